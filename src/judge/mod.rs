//! Judges a run from its history: checkers in parallel under a budget, evidence against thresholds, one sentence.
//!
//! Never: asks a node, or reads anything but its arguments.
mod defaults;
mod effective_fault;
pub mod errors;
mod evidence;
pub mod never_ok;
mod recovery;
mod scope;
#[cfg(test)]
mod tests;
mod theory;

pub use evidence::asked;

use crate::error::Exit;
use crate::plan::{BudgetPlan, EvidencePlan, LIVENESS, LoadPlan, Plan};
use crate::store::{Evidence, FORMAT_VERSION, RunInfo, RunVerdict};
use crate::targets::TargetFacts;
use defaults::{with_exits, with_workloads};
use dsfuzz_checkers::{Budget, CHECKERS, CRASHES, History, Options, Phase, Severity, Validity, Value, Verdict};
use dsfuzz_workloads::{Part, Workload, WorkloadOptions};
use never_ok::NeverOk;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// The option of checkers that judge by the final reads: how these were made.
const FINAL_READS: &str = "final_reads";
const SPLIT_BRAIN: &str = "split-brain";
/// A rate below this fraction of the plan's rate is reported.
const RATE_REACHED: f64 = 0.9;

/// The rules of a judgement.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Checkers by name with their options, in order.
    pub checkers: Vec<(String, Options)>,
    /// The workloads that a checker judges, where it leaves out some: others may call functions of the same names.
    pub scopes: BTreeMap<String, Vec<String>>,
    /// The budget of each.
    pub budget: BudgetPlan,
    /// Thresholds; below one of them a run is unknown. None: a history without a run.
    pub evidence: Option<EvidencePlan>,
    /// Kinds of fault in the plan, each once. Each must have landed.
    pub kinds: Vec<String>,
    /// What undoes faults that the run may have left on the nodes.
    pub cure: String,
    /// Ids of the faults of the plan's schedule that evidence asks for: each must have come. None: the plan's faults are drawn.
    pub scheduled: Option<Vec<String>>,
    /// The plan does not name the checker `crashes`, which judges every run all the same.
    pub crashes_implied: bool,
    /// The plan's calls a second.
    pub rate: Option<f64>,
    /// The plan's load. None: a history without a run.
    pub load: Option<LoadPlan>,
    /// Checkers that may find nothing to judge, because they run by default.
    pub if_seen: Vec<String>,
    /// Kinds of fault for which `split-brain` runs by default: a run whose swarm drew none of them may have nothing to judge.
    pub cut_kinds: Vec<String>,
    /// Checkers that are left out, with the reason.
    pub not_asked: Vec<(String, String)>,
    /// Reasons why the load cannot contradict a promise, one sentence each.
    pub blind: Vec<String>,
}

/// Fraction of the driver's calls a second on each node during faults, below which evidence is thin.
const ASKED_FRACTION: f64 = 0.1;

impl Rules {
    /// The rules of a plan on a target: the plan's checkers, or those of its workloads. `split-brain` runs by default only if
    /// there are leaders or cuts to judge.
    pub fn of_plan(plan: &Plan, facts: &TargetFacts) -> Rules {
        let workloads = plan.all_workloads();
        let workloads: Vec<Box<dyn Workload>> = workloads.map(WorkloadOptions::build).collect();
        let named = workloads.iter().flat_map(|workload| workload.checkers());
        let mut checkers: Vec<(String, Options)> = match plan.check.is_empty() {
            true => named.map(|name| (name.to_owned(), Options::default())).collect(),
            false => plan.check.iter().map(|check| (check.name().to_owned(), check.options())).collect(),
        };
        checkers.iter_mut().for_each(|(name, options)| with_workloads(&workloads, name, options));
        checkers.extend(plan.nemesis.iter().filter_map(|nemesis| Some(recovery::judged(nemesis.recovery?))));
        let mut seen = BTreeSet::new();
        checkers.retain(|(name, _)| seen.insert(name.clone()));
        let scopes =
            checkers.iter().filter_map(|(name, options)| Some((name.clone(), scope::of(plan, name, options)?)));
        let scopes = scopes.collect();
        let crashes_implied = !seen.contains(CRASHES);
        if crashes_implied {
            checkers.push((CRASHES.to_owned(), Options::default()));
        }
        let judged = checkers.iter_mut().filter(|(name, _)| name == CRASHES);
        judged.for_each(|(_, options)| with_exits(options, &facts.exits));
        let in_shards = checkers.iter_mut().filter(|(name, _)| name == SPLIT_BRAIN && facts.several_leaders);
        in_shards.for_each(|(_, options)| drop(options.0.insert("several_leaders".to_owned(), Value::Bool(true))));
        let kinds: BTreeSet<String> = plan.nemesis.iter().flat_map(|nemesis| nemesis.counted_as()).collect();
        let kinds: Vec<String> = kinds.into_iter().collect();
        let schedule = plan.nemesis.as_ref().map(|nemesis| &nemesis.schedule).filter(|schedule| !schedule.is_empty());
        let scheduled = schedule
            .map(|schedule| schedule.iter().filter(|entry| entry.evidence).map(|entry| entry.id.clone()).collect());
        let cuts = plan.nemesis.iter().any(dsfuzz_nemesis::NemesisOptions::cuts_links);
        let (mut if_seen, mut not_asked) = (Vec::new(), Vec::new());
        if plan.check.is_empty() && !cuts {
            if !facts.leads || facts.several_leaders {
                let leaders = if facts.leads { "several nodes lead by design" } else { "no leader" };
                checkers.retain(|(name, _)| name != SPLIT_BRAIN);
                not_asked.push((SPLIT_BRAIN.into(), format!("{leaders}, no cut")));
            } else if !facts.trusted_terms {
                if_seen.push(SPLIT_BRAIN.into());
            }
        }
        let workloads = plan.all_workloads();
        // Where no client may join the hanging ones, none of them is asked for.
        let joins = |workload: &WorkloadOptions| {
            let built = workload.build();
            Part::ALL.iter().any(|part| built.part(*part, 0, 0, 1).is_some())
        };
        let joining = if workloads.clone().any(joins) { plan.load.joining } else { 0 };
        let load = LoadPlan { joining, ..plan.load.clone() };
        let blind = workloads.filter_map(|workload| Some(format!("{}: {}", workload.name(), workload.blind()?)));
        Rules {
            checkers,
            scopes,
            budget: plan.budget.clone(),
            evidence: Some(plan.evidence.clone()),
            kinds,
            cure: plan.cluster.cure_of_left_faults(),
            scheduled,
            rate: plan.load.rate.map(|rate| rate.0),
            load: Some(load),
            if_seen,
            cut_kinds: plan
                .nemesis
                .iter()
                .filter(|_| plan.check.is_empty())
                .flat_map(|nemesis| nemesis.cut_kinds())
                .collect(),
            not_asked,
            blind: blind.collect(),
            crashes_implied,
        }
    }

    /// Least calls a second on each node of a cluster of this size during faults.
    fn asked_min(&self, nodes: usize) -> f64 {
        self.load.as_ref().map_or(0.0, |load| ASKED_FRACTION * load.asked_per_node(nodes))
    }

    /// The nodes to which the plan binds clients: all of them, or the first ones if there are fewer clients.
    fn bound<'n>(&self, nodes: &'n [String]) -> &'n [String] {
        &nodes[..nodes.len() - self.unbound(nodes).len()]
    }

    /// The nodes that no client of the load asks.
    fn unbound<'n>(&self, nodes: &'n [String]) -> &'n [String] {
        self.load.as_ref().map_or(&[], |load| load.unbound(nodes))
    }

    /// The checkers that are left out, one sentence each: `split-brain: not asked (no leader, no cut)`.
    pub fn not_asked(&self) -> impl Iterator<Item = String> {
        let asked = |name: &str| self.checkers.iter().any(|(checker, _)| checker == name);
        let left_out = self.not_asked.iter().filter(move |(name, _)| !asked(name));
        left_out.map(|(name, why)| format!("{name}: not asked ({why})"))
    }

    /// Adds the mode of the final reads to the options of checkers that take it, unless the plan sets another one.
    fn with_final_reads(&self, mode: &str) -> Rules {
        let mut rules = self.clone();
        if mode.is_empty() {
            return rules;
        }
        let by_mode = |name: &str| CHECKERS.iter().any(|doc| doc.name == name && doc.takes(FINAL_READS));
        for (name, options) in rules.checkers.iter_mut().filter(|(name, _)| by_mode(name)) {
            let mut with_mode = options.clone();
            if !with_mode.0.contains_key(FINAL_READS) {
                with_mode.0.insert(FINAL_READS.to_owned(), Value::text(mode));
            }
            if dsfuzz_checkers::checker_with(name, &with_mode).is_ok() {
                *options = with_mode;
            }
        }
        rules
    }
}

/// Judges the history. `info` carries the health of the run.
pub fn judge(history: &History, rules: &Rules, info: &RunInfo) -> RunVerdict {
    let never_ok = never_ok::of(history, info);
    let mut info = Cow::Borrowed(info);
    if let Some(sentence) = at_fault(history, &info, &never_ok) {
        info.to_mut().harness_failures.push(sentence);
    }
    let info = &*info;
    let mut rules = rules.with_final_reads(&info.final_reads);
    // A run of an earlier version, or one without a load: no process was watched, and no plan asked for it.
    if rules.crashes_implied && history.processes.is_empty() {
        rules.checkers.retain(|(name, _)| name != CRASHES);
    }
    if !rules.cut_kinds.is_empty() && rules.cut_kinds.iter().all(|kind| info.did_not_draw(kind)) {
        rules.if_seen.push(SPLIT_BRAIN.into());
    }
    let rules = &rules;
    let promises = run_checkers(history, rules);
    let weighed = rules.evidence.as_ref().map(|asked| evidence::weigh(history, asked, rules, info));
    let mut evidence = weighed.unwrap_or_default();
    if rules.evidence.is_some() {
        let liveness = promises.iter().filter(|promise| promise.checker == LIVENESS);
        evidence.extend(liveness.flat_map(evidence::recoveries));
    }
    let mut harness = info.harness_failures.clone();
    harness.extend(
        info.phases
            .iter()
            .filter(|phase| !phase.problem.is_empty())
            .filter(|phase| !info.harness_failures.iter().any(|known| known.contains(&phase.problem)))
            .map(|phase| format!("{}: {}", phase.name, phase.problem)),
    );
    let mut unseen = unseen(history, info);
    unseen.extend(unpromised(rules));
    unseen.extend(rules.blind.iter().cloned());
    let thin = evidence.iter().any(|evidence| !evidence.enough) || !unseen.is_empty();
    let (counted, empty): (Vec<&Verdict>, Vec<&Verdict>) =
        promises.iter().partition(|promise| !found_nothing(promise, rules));
    let validity = weigh(&counted, thin || !info.harness_failures.is_empty());
    let sentence = sentence(validity, history, &counted, (&evidence, &unseen), (rules, info));
    let sentence = match &info.stopped_by {
        Some(signal) if validity != Validity::Invalid => {
            format!("stopped by {signal}; nothing wrong was found until then: {sentence}")
        }
        _ => sentence,
    };
    let mut notes: Vec<String> = rules.not_asked().collect();
    notes.extend(never_ok.notes());
    let errors = errors::table(history);
    notes.extend(errors::client_notes(&errors).into_iter().filter(|_| !info.file));
    notes.extend(empty.iter().map(|promise| {
        if promise.not_asked() {
            return format!("{}: {}", promise.checker, promise.summary);
        }
        let found: String =
            promise.findings.iter().take(1).map(|finding| format!("; it saw: {}", finding.title)).collect();
        format!("{}: nothing to judge (no leader's term can be trusted, no cut): not counted{found}", promise.checker)
    }));
    notes.extend(rules.rate.and_then(|rate| rate_missed(history, rate)));
    let unbound = rules.unbound(&history.nodes);
    if let Some(warning) = rules.load.as_ref().and_then(|load| load.too_few(&history.nodes)) {
        notes.push(format!("never asked under load: {} ({warning})", unbound.join(", ")));
    }
    // A finding may rest on unrecorded events, such as calls of another run.
    if validity == Validity::Invalid && !info.file {
        notes.extend(info.unseen.iter().map(|unseen| format!("not seen: {unseen}")));
    }
    let (exit, load) = (exit(validity, info), effective_fault::loads(history));
    let theory = theory::measure(history, &promises, info);
    RunVerdict {
        format: FORMAT_VERSION,
        validity,
        sentence,
        evidence,
        notes,
        load,
        harness,
        errors,
        exit: i32::from(exit.code()),
        promises,
        theory,
        dsfuzz: env!("CARGO_PKG_VERSION").into(),
        asked: None,
    }
}

/// The fault of the client, the plan or the recipe for which no verdict may rest on the run, unless the run knows it.
fn at_fault(history: &History, info: &RunInfo, never_ok: &NeverOk) -> Option<String> {
    let known = &info.harness_failures;
    let never_ok = || never_ok.sentence().filter(|_| !known.iter().any(|known| known.starts_with(never_ok::AT_FAULT)));
    errors::client_faults(history, info).or_else(never_ok).filter(|sentence| !known.contains(sentence))
}

/// Whether a checker that runs by default found nothing to judge.
fn found_nothing(promise: &Verdict, rules: &Rules) -> bool {
    let none = |number: &str| promise.numbers.get(number).and_then(serde_json::Value::as_u64) == Some(0);
    let empty = none("trusted_leader_claims") && none("judged_cuts");
    promise.not_asked() || (rules.if_seen.contains(&promise.checker) && promise.validity == Validity::Unknown && empty)
}

/// The sentence for a rate below the plan's.
fn rate_missed(history: &History, rate: f64) -> Option<String> {
    let (offered, ok) = evidence::offered(history)?;
    let sentence =
        format!("rate: asked {rate}/s, offered {offered:.0}/s, ok {ok:.0}/s (too few clients for it, or they wait)");
    (offered < RATE_REACHED * rate).then_some(sentence)
}

fn run_checkers(history: &History, rules: &Rules) -> Vec<Verdict> {
    let deadline = Instant::now() + rules.budget.time.0;
    let budget = Budget {
        expired: Arc::new(move || Instant::now() >= deadline),
        memory_bytes: rules.budget.memory_mib.saturating_mul(1 << 20),
        ..Budget::unlimited()
    };
    std::thread::scope(|scope| {
        let budget = &budget;
        let judging = |(name, options): &(String, Options)| {
            let checker = dsfuzz_checkers::checker_with(name, options);
            let name = name.clone();
            let within = rules.scopes.get(&name);
            scope.spawn(move || match (checker, within) {
                (Ok(checker), Some(within)) => {
                    dsfuzz_checkers::judge_one(checker.as_ref(), &history.among(within), budget)
                }
                (Ok(checker), None) => dsfuzz_checkers::judge_one(checker.as_ref(), history, budget),
                (Err(message), _) => undecided(&name, message),
            })
        };
        let threads: Vec<_> = rules.checkers.iter().map(judging).collect();
        let answers = threads.into_iter().zip(&rules.checkers);
        answers
            .map(|(thread, (name, _))| {
                thread.join().unwrap_or_else(|_| undecided(name, "it panicked (a bug of dsfuzz)".into()))
            })
            .collect()
    })
}

/// The verdict of a history without checkers.
fn undecided(checker: &str, summary: String) -> Verdict {
    Verdict::unknown(checker, summary)
}

/// Parts of the end that were not seen. dsfuzz's own record states its end; without that statement it was cut off.
fn unseen(history: &History, info: &RunInfo) -> Vec<String> {
    let mut unseen = info.unseen.clone();
    unseen.extend(cut_off(history, info));
    unseen
}

/// The sentence for a record without an end: when and in which phase it breaks off, and what is missing.
fn cut_off(history: &History, info: &RunInfo) -> Option<String> {
    if history.complete || history.wall.is_empty() {
        return None;
    }
    let (place, missing) = match history.phases.iter().max_by_key(|(_, mark)| mark.index).map(|(phase, _)| *phase) {
        None => ("before the load", "no load, no recovery and no final reads were seen"),
        Some(Phase::Load) => ("in the load", "recovery was not seen, and no final reads were made"),
        Some(Phase::Drain) => ("after the load", "recovery was not seen, and no final reads were made"),
        Some(Phase::Recover) => ("in the recovery", "recovery was not seen to its end, and no final reads were made"),
        Some(_) => ("in the final reads", "final reads may be missing"),
    };
    let seconds = history.end_time as f64 / 1e9;
    // A run that was evicted, or that could not record, says so itself.
    let known = info.judged_until.is_some() || !info.harness_failures.is_empty();
    let why = if known { "" } else { " (the run was killed or lost)" };
    Some(format!("the recording was cut off after {seconds:.3} s, {place}{why}: {missing}"))
}

/// The sentence if all checkers only measure: numbers alone are no pass.
fn unpromised(rules: &Rules) -> Option<String> {
    let measures = |(name, options): &(String, Options)| {
        dsfuzz_checkers::checker_with(name, options).is_ok_and(|checker| checker.measures_only())
    };
    let named = rules.checkers.iter().map(|(name, _)| name.as_str());
    let names: Vec<&str> = named.filter(|name| *name != CRASHES || !rules.crashes_implied).collect();
    let verb = if names.len() == 1 { "measures" } else { "measure" };
    (!names.is_empty() && rules.checkers.iter().all(measures))
        .then(|| format!("nothing was promised: {} only {verb}", names.join(", ")))
}

/// Broken promises beat everything. Thin evidence, an unseen end and a failure of the harness make a pass unknown.
fn weigh(promises: &[&Verdict], thin: bool) -> Validity {
    let promises = promises.iter().map(|promise| promise.validity).max().unwrap_or(Validity::Unknown);
    promises.max(if thin { Validity::Unknown } else { Validity::Valid })
}

fn sentence(
    validity: Validity,
    history: &History,
    promises: &[&Verdict],
    (evidence, unseen): (&[Evidence], &[String]),
    (rules, info): (&Rules, &RunInfo),
) -> String {
    if let Some(failure) = info.harness_failures.first().filter(|_| validity != Validity::Invalid) {
        let more = info.harness_failures.len() - 1;
        let more = match more {
            0 => String::new(),
            1 => " (and 1 more failure)".to_owned(),
            more => format!(" (and {more} more failures)"),
        };
        let harness = if failure.starts_with(never_ok::AT_FAULT) { "" } else { "the harness or the cluster failed: " };
        return format!("{harness}{failure}{more}");
    }
    match validity {
        Validity::Invalid => {
            let violations = promises.iter().flat_map(|promise| &promise.findings);
            let mut titles =
                violations.filter(|finding| finding.severity == Severity::Violation).map(|finding| &finding.title);
            let broken: BTreeSet<&str> = promises
                .iter()
                .filter(|promise| promise.validity == Validity::Invalid)
                .map(|promise| promise.checker.as_str())
                .collect();
            let broken = broken.into_iter().collect::<Vec<_>>().join(", ");
            titles.next().cloned().unwrap_or_else(|| format!("a promise is broken: {broken}"))
        }
        Validity::Unknown => {
            let unknown = promises.iter().filter(|promise| promise.validity == Validity::Unknown);
            let gave_up = unknown.map(|promise| format!("{}: {}", promise.checker, promise.summary));
            let thin = evidence.iter().filter(|evidence| !evidence.enough);
            let thin = thin.map(Evidence::missing);
            let cut_off = cut_off(history, info);
            let others = unseen.iter().filter(|unseen| Some(*unseen) != cut_off.as_ref()).cloned();
            let reasons: Vec<String> = cut_off.clone().into_iter().chain(gave_up).chain(others).chain(thin).collect();
            let more = reasons.len().saturating_sub(1);
            let first = reasons.into_iter().next().unwrap_or_else(|| "nothing was judged".into());
            match more {
                0 => first,
                1 => format!("{first} (and 1 more reason)"),
                more => format!("{first} (and {more} more reasons)"),
            }
        }
        Validity::Valid => {
            let checkers: Vec<&str> = promises.iter().map(|promise| promise.checker.as_str()).collect();
            let kept = format!("{} kept every promise ({})", calls(history, promises), checkers.join(", "));
            let unbound = rules.unbound(&history.nodes).join(", ");
            let never = if unbound.is_empty() { unbound } else { format!("; never asked under load: {unbound}") };
            let found = never + &evidence_found(promises);
            let proven = history.faults.iter().filter(|fault| fault.proven.is_some()).count();
            match (proven, history.faults.is_empty() && rules.kinds.is_empty()) {
                (0, true) if rules.evidence.is_some() => format!("{kept}; no fault was asked for{found}"),
                // A history without a run: its plan of faults is unknown.
                (0, true) => format!("{kept}{found}"),
                (1, _) => format!("{kept} through 1 proven fault{found}"),
                (proven, _) => format!("{kept} through {proven} proven faults{found}"),
            }
        }
    }
}

/// Findings that break no promise: `; evidence: 2 replicas-differ (set)`. Measurements do not count.
fn evidence_found(promises: &[&Verdict]) -> String {
    let measures = |name: &str| dsfuzz_checkers::checker(name).is_some_and(|checker| checker.measures_only());
    let promises = promises.iter().filter(|promise| !measures(&promise.checker));
    let kinds = promises.flat_map(|promise| {
        let describe = |(first, count): (&dsfuzz_checkers::Finding, usize)| {
            format!("{count} {} ({})", first.kind, promise.checker)
        };
        promise.evidence().into_iter().map(describe).collect::<Vec<String>>()
    });
    let kinds: Vec<String> = kinds.collect();
    if kinds.is_empty() { String::new() } else { format!("; evidence: {}", kinds.join(", ")) }
}

/// The judged calls: all, or those of the workloads that the checkers name.
fn calls(history: &History, promises: &[&Verdict]) -> String {
    let all = history.ops().len();
    let named: BTreeSet<&str> = promises.iter().flat_map(|promise| promise.workload.split(", ")).collect();
    if named.contains("") {
        return format!("{all} calls");
    }
    let judged = history.ops().iter().filter(|op| named.contains(history.name(op.workload))).count();
    let names = named.into_iter().collect::<Vec<_>>().join(", ");
    if judged == all { format!("{all} calls") } else { format!("{judged} calls of workload {names}") }
}

fn exit(validity: Validity, info: &RunInfo) -> Exit {
    let signal = info.stopped_by.as_deref().map(|signal| if signal == "SIGTERM" { 15 } else { 2 });
    Exit::of_run(validity, !info.harness_failures.is_empty(), signal)
}
