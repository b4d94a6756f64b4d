//! Judges a run from its history: checkers in parallel under a budget, evidence against thresholds, one sentence.
//!
//! Never: asks a node anything, or reads anything but what it is given.
mod evidence;

use crate::error::Exit;
use crate::plan::{BudgetPlan, EvidencePlan, Plan};
use crate::store::{Evidence, FORMAT_VERSION, RunInfo, RunVerdict};
use dsfuzz_checkers::{Budget, History, Options, Severity, Validity, Verdict};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// What to judge by.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Checkers by name with their options, in order.
    pub checkers: Vec<(String, Options)>,
    /// What each may use.
    pub budget: BudgetPlan,
    /// Below these a run is unknown. None: a history from elsewhere, of which no run is known.
    pub evidence: Option<EvidencePlan>,
    /// Kinds of fault that the plan names, each once: each must have landed.
    pub kinds: Vec<String>,
}

impl Rules {
    /// The rules of a plan: its own checkers, or those that its workloads name.
    pub fn of_plan(plan: &Plan) -> Rules {
        let workloads = plan.workload.iter().chain(&plan.workloads);
        let named = workloads.flat_map(|workload| workload.build().checkers());
        let mut checkers: Vec<(String, Options)> = match plan.check.is_empty() {
            true => named.map(|name| (name.to_owned(), Options::default())).collect(),
            false => plan.check.iter().map(|check| (check.name().to_owned(), check.options())).collect(),
        };
        let mut seen = BTreeSet::new();
        checkers.retain(|(name, _)| seen.insert(name.clone()));
        let faults = plan.nemesis.iter().flat_map(|nemesis| &nemesis.faults);
        let kinds: BTreeSet<&str> = faults.map(|fault| fault.doc().name).collect();
        let kinds = kinds.into_iter().map(String::from).collect();
        Rules { checkers, budget: plan.budget.clone(), evidence: Some(plan.evidence.clone()), kinds }
    }
}

/// Judges the history. `info` carries what the run itself knows of its health.
pub fn judge(history: &History, rules: &Rules, info: &RunInfo) -> RunVerdict {
    let promises = run_checkers(history, rules);
    let weighed = rules.evidence.as_ref().map(|asked| evidence::weigh(history, asked, rules, info));
    let evidence = weighed.unwrap_or_default();
    let mut harness = info.harness_failures.clone();
    harness.extend(
        info.phases
            .iter()
            .filter(|phase| !phase.problem.is_empty())
            .map(|phase| format!("{}: {}", phase.name, phase.problem)),
    );
    let mut unseen = unseen(history, info);
    unseen.extend(unpromised(rules));
    let thin = evidence.iter().any(|evidence| !evidence.enough) || !unseen.is_empty();
    let validity = weigh(&promises, thin || !info.harness_failures.is_empty());
    let sentence = sentence(validity, history, &promises, &evidence, &unseen, info);
    let sentence = match &info.stopped_by {
        Some(signal) if validity != Validity::Invalid => {
            format!("stopped by {signal}; nothing wrong was found until then: {sentence}")
        }
        _ => sentence,
    };
    let exit = exit(validity, info);
    RunVerdict {
        format: FORMAT_VERSION,
        validity,
        sentence,
        promises,
        evidence,
        harness,
        exit: i32::from(exit.code()),
        dsfuzz: env!("CARGO_PKG_VERSION").into(),
        asked: None,
    }
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
            scope.spawn(move || match checker {
                Ok(checker) => dsfuzz_checkers::judge_one(checker.as_ref(), history, budget),
                Err(message) => undecided(&name, message),
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

/// The answer where there is none.
fn undecided(checker: &str, summary: String) -> Verdict {
    Verdict::new(checker, Validity::Unknown, summary)
}

/// What of the end was not seen. A record of ours says where it ends; without that it was cut off, whoever reads it.
fn unseen(history: &History, info: &RunInfo) -> Vec<String> {
    let mut unseen = info.unseen.clone();
    if !history.complete && !history.wall.is_empty() {
        unseen.push("the run was cut off before its end: no final reads, and recovery was not seen".into());
    }
    unseen
}

/// That nothing was promised, where all checkers only measure: numbers alone are no pass.
fn unpromised(rules: &Rules) -> Option<String> {
    let measures = |(name, options): &(String, Options)| {
        dsfuzz_checkers::checker_with(name, options).is_ok_and(|checker| checker.measures_only())
    };
    let names: Vec<&str> = rules.checkers.iter().map(|(name, _)| name.as_str()).collect();
    let verb = if names.len() == 1 { "measures" } else { "measure" };
    (!names.is_empty() && rules.checkers.iter().all(measures))
        .then(|| format!("nothing was promised: {} only {verb}", names.join(", ")))
}

/// Broken promises beat everything; thin evidence, an end that was not seen and a harness that failed make a pass
/// unknown.
fn weigh(promises: &[Verdict], thin: bool) -> Validity {
    let asked = promises.iter().filter(|promise| !promise.not_asked());
    let promises = asked.map(|promise| promise.validity).max().unwrap_or(Validity::Unknown);
    promises.max(if thin { Validity::Unknown } else { Validity::Valid })
}

fn sentence(
    validity: Validity,
    history: &History,
    promises: &[Verdict],
    evidence: &[Evidence],
    unseen: &[String],
    info: &RunInfo,
) -> String {
    if let Some(failure) = info.harness_failures.first().filter(|_| validity != Validity::Invalid) {
        let more = info.harness_failures.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        return format!("the harness or the cluster failed: {failure}{more}");
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
            let alone = promises.iter().all(Verdict::not_asked);
            let asked = promises.iter().filter(|promise| alone || !promise.not_asked());
            let unknown = asked.filter(|promise| promise.validity == Validity::Unknown);
            let gave_up = unknown.map(|promise| format!("{}: {}", promise.checker, promise.summary));
            let thin = evidence.iter().filter(|evidence| !evidence.enough);
            let thin = thin.map(|evidence| {
                format!(
                    "{}: {} where at least {} is asked",
                    evidence.doc,
                    number(evidence.measured),
                    number(evidence.at_least)
                )
            });
            let reasons: Vec<String> = gave_up.chain(unseen.iter().cloned()).chain(thin).collect();
            let more = reasons.len().saturating_sub(1);
            let first = reasons.into_iter().next().unwrap_or_else(|| "nothing was judged".into());
            if more == 0 { first } else { format!("{first} (and {more} more)") }
        }
        Validity::Valid => {
            let proven = history.faults.iter().filter(|fault| fault.proven.is_some()).count();
            let asked = promises.iter().filter(|promise| !promise.not_asked());
            let checkers: Vec<&str> = asked.map(|promise| promise.checker.as_str()).collect();
            let faults = if proven == 1 { "fault" } else { "faults" };
            format!(
                "{} kept every promise ({}) through {proven} proven {faults}{}",
                calls(history, promises),
                checkers.join(", "),
                evidence_found(promises)
            )
        }
    }
}

/// What checkers found that breaks no promise: `; evidence: 2 replicas-differ (set)`. Measurements are none.
fn evidence_found(promises: &[Verdict]) -> String {
    let measures = |name: &str| dsfuzz_checkers::checker(name).is_some_and(|checker| checker.measures_only());
    let promises = promises.iter().filter(|promise| !measures(&promise.checker));
    let kinds = promises.flat_map(|promise| {
        let told = |(first, count): (&dsfuzz_checkers::Finding, usize)| {
            format!("{count} {} ({})", first.kind, promise.checker)
        };
        promise.evidence().into_iter().map(told).collect::<Vec<String>>()
    });
    let kinds: Vec<String> = kinds.collect();
    if kinds.is_empty() { String::new() } else { format!("; evidence: {}", kinds.join(", ")) }
}

/// The calls that were judged: all, or those of the workloads that the checkers name.
fn calls(history: &History, promises: &[Verdict]) -> String {
    let all = history.ops().len();
    let named: BTreeSet<&str> = promises.iter().flat_map(|promise| promise.workload.split(", ")).collect();
    if named.contains("") {
        return format!("{all} calls");
    }
    let judged = history.ops().iter().filter(|op| named.contains(history.name(op.workload))).count();
    let names = named.into_iter().collect::<Vec<_>>().join(", ");
    if judged == all { format!("{all} calls") } else { format!("{judged} calls of workload {names}") }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

fn exit(validity: Validity, info: &RunInfo) -> Exit {
    let signal = info.stopped_by.as_deref().map(|signal| if signal == "SIGTERM" { 15 } else { 2 });
    Exit::of_run(validity, !info.harness_failures.is_empty(), signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A write that was acknowledged and read, as our own records have it, with these lines after it.
    fn history(after: &str) -> History {
        let lines = [
            r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#,
            r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"register","f":"write","value":1}"#,
            r#"{"type":"ok","index":2,"time":2,"process":0}"#,
            r#"{"type":"invoke","index":3,"time":3,"worker":0,"process":0,"node":"n1","workload":"register","f":"read"}"#,
            r#"{"type":"ok","index":4,"time":4,"process":0,"value":1}"#,
            after,
        ];
        dsfuzz_checkers::history::read_jsonl(lines.join("\n").as_bytes()).unwrap()
    }

    fn rules() -> Rules {
        Rules { checkers: vec![("linearizable".into(), Options::default())], ..Rules::default() }
    }

    const END: &str = r#"{"type":"end","index":5,"time":5}"#;

    #[test]
    fn a_record_that_was_cut_off_is_no_pass() {
        let whole = judge(&history(END), &rules(), &RunInfo::default());
        assert_eq!((whole.validity, whole.exit), (Validity::Valid, 0), "{}", whole.sentence);
        let cut_off = judge(&history(""), &rules(), &RunInfo::default());
        assert_eq!((cut_off.validity, cut_off.exit), (Validity::Unknown, 2), "{}", cut_off.sentence);
        assert!(cut_off.sentence.contains("cut off"), "{}", cut_off.sentence);
    }

    #[test]
    fn numbers_alone_are_no_pass() {
        let measured = |names: &[&str]| {
            let checkers = names.iter().map(|name| ((*name).into(), Options::default())).collect();
            judge(&history(END), &Rules { checkers, ..Rules::default() }, &RunInfo::default())
        };
        let alone = measured(&["availability"]);
        assert_eq!(alone.promises[0].validity, Validity::Valid, "it took its numbers");
        assert_eq!((alone.validity, alone.exit), (Validity::Unknown, 2), "{}", alone.sentence);
        assert_eq!(alone.sentence, "nothing was promised: availability only measures");
        let both = measured(&["availability", "linearizable"]);
        assert_eq!(both.validity, Validity::Valid, "{}", both.sentence);
    }

    #[test]
    fn a_valid_answer_names_its_evidence() {
        let lines = [
            r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#,
            r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"set","f":"add","value":1}"#,
            r#"{"type":"ok","index":2,"time":2,"process":0}"#,
            r#"{"type":"invoke","index":3,"time":3,"worker":0,"process":0,"node":"n1","workload":"set","f":"read","settle":true}"#,
            r#"{"type":"ok","index":4,"time":4,"process":0,"value":[1,1]}"#,
            END,
        ];
        let history = dsfuzz_checkers::history::read_jsonl(lines.join("\n").as_bytes()).unwrap();
        let options = Options([("at_least_once".to_owned(), dsfuzz_checkers::Value::Bool(true))].into());
        let rules = Rules { checkers: vec![("set".into(), options)], ..Rules::default() };
        let verdict = judge(&history, &rules, &RunInfo::default());
        assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.sentence);
        assert!(verdict.sentence.ends_with("; evidence: 1 duplicated-element (set)"), "{}", verdict.sentence);
        assert!(verdict.promises[0].summary.ends_with(" Evidence: 1 duplicated-element."), "{:?}", verdict.promises);
    }

    #[test]
    fn what_was_not_asked_for_is_no_doubt() {
        let options = Options([("final_reads".to_owned(), dsfuzz_checkers::Value::text("leader"))].into());
        let agree = ("replicas-agree".to_owned(), options);
        let both =
            Rules { checkers: vec![("linearizable".into(), Options::default()), agree.clone()], ..Rules::default() };
        let verdict = judge(&history(END), &both, &RunInfo::default());
        assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.sentence);
        assert!(verdict.sentence.contains("(linearizable)"), "{}", verdict.sentence);
        assert!(verdict.promises[1].summary.starts_with("Not asked: final_reads is leader"), "{:?}", verdict.promises);
        let alone = judge(&history(END), &Rules { checkers: vec![agree], ..Rules::default() }, &RunInfo::default());
        assert_eq!(alone.validity, Validity::Unknown, "{}", alone.sentence);
        assert!(alone.sentence.contains("Not asked"), "{}", alone.sentence);
    }

    #[test]
    fn nothing_is_valid_in_a_run_whose_harness_failed() {
        let info = RunInfo { harness_failures: vec!["a worker panicked".into()], ..RunInfo::default() };
        let verdict = judge(&history(END), &rules(), &info);
        assert_eq!((verdict.validity, verdict.exit), (Validity::Unknown, 255), "{}", verdict.sentence);
    }
}
