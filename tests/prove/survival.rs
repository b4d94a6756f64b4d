//! What is left of a fault when a part of the harness ends at a random moment of it: the control node, its network, the agents,
//! or the nodes' SSH servers.
//!
//! A lab outlives the runs of many cases, one after the other. Its nodes are looked at from inside, without the agent: a node is
//! clean when it looks as it did before the lab's first fault.
use crate::catalogue::DAMAGING;
use crate::labs::{LabForCases, Look, REFUSED, SetUp, differences, follows_refusal, refusals};
use crate::results::{Case, CaseResult, Only};
use crate::runs::dsfuzz;
use crate::variants::VARIANTS;
use dsfuzz::run::journal;
use dsfuzz_checkers::History;
use dsfuzz_rng::Rng;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Within which every node must be clean. The lease is 3 s; a loaded machine gets as much again, and the starts of targets.
const CLEAN_WITHIN: Duration = Duration::from_secs(15);
/// The end comes within this time after the fault's begin.
const MOMENTS: Duration = Duration::from_millis(2_000);
/// From this moment on the fault must be seen on some node before the end.
const SEEN_FROM: Duration = Duration::from_millis(700);

/// A part that ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The run is killed with SIGKILL.
    Control,
    /// Packets between the control node and the nodes are dropped.
    Network,
    /// Every agent is killed with SIGKILL; its guardian and the control node are left.
    Agents,
    /// Every agent is killed with SIGKILL while the control node stands still; then that is killed too.
    AgentsAndControl,
    /// Every process of every node's SSH server is killed with SIGKILL.
    Sshd,
    /// Ctrl-C twice.
    Interrupts,
}

/// Every end with its name.
pub(crate) const ENDS: [(&str, End); 6] = [
    ("control-killed", End::Control),
    ("network-cut", End::Network),
    ("agents-killed", End::Agents),
    ("agents-and-control-killed", End::AgentsAndControl),
    ("sshd-killed", End::Sshd),
    ("interrupted-twice", End::Interrupts),
];

/// `repeat` cases for each form of a fault and each end, round after round, of those that are chosen.
pub(crate) fn cases(repeat: u64, only: &Only) -> Vec<Case> {
    let mut cases = Vec::new();
    for round in 1..=repeat {
        for (name, nemesis) in nemeses() {
            for (end_name, end) in ENDS {
                let case = format!("{name}.{end_name}-{round:02}");
                if only.chooses(&case) {
                    let (nemesis, name) = (nemesis.clone(), case.clone());
                    let show = move || {
                        show(&nemesis, end, &name).unwrap_or_else(|seen| CaseResult { as_claimed: false, seen })
                    };
                    cases.push(Case { name: case, show: Box::new(show) });
                }
            }
        }
    }
    cases
}

/// Three faults at the same time.
const OVERLAPPING: (&str, &str) = (
    "three-overlapping",
    "{quiet_end: 5s, schedule: [{id: cut, at: FROM, for: 80s, partition: {shape: isolate-one}}, \
     {id: clock, when: {fault: cut, step: begun}, wait: 100ms, for: 80s, clock: {jump: 60s, nodes: n2}}, \
     {id: stop, when: {fault: cut, step: begun}, wait: 200ms, for: 80s, pause: {nodes: n3}}]}",
);

/// The `nemesis` of a plan for each form of a fault, and for faults that overlap, each with its name. `FROM` stands for the begin.
fn nemeses() -> Vec<(&'static str, String)> {
    let one = |variant: &crate::variants::Variant| {
        let fault = format!("{{{}: {}}}", variant.kind, variant.options);
        (variant.name, format!("{{every: 82s, for: 80s, quiet_start: FROM, quiet_end: 5s, faults: [{fault}]}}"))
    };
    VARIANTS.iter().map(one).chain([(OVERLAPPING.0, OVERLAPPING.1.to_owned())]).collect()
}

/// The matrix of all results as a page: for each fault and end the cases, and the time until the nodes were clean.
pub(crate) fn page(results: &crate::results::StoredResults) -> String {
    let mut page = String::from(
        "# What survives\n\n\
         Each fault, and what ends at a random moment of it. A cell has the cases after which every node was as before the fault, \
         the median and the longest time until then; the look itself counts. A fault that damages a file of the target is undone \
         when nothing of dsfuzz is left: in the cases that a cell counts as refused, a Redis does not start from the damaged file, as \
         its own log says. This page is written by \
         `make prove ARGS=\"--lines survival --write docs/survival.md\"` from the cases that it keeps under \
         `results/prove/survival/`.\n\n| fault |",
    );
    for (end, _) in ENDS {
        page.push_str(&format!(" {} |", end.replace('-', " ")));
    }
    page.push_str(&format!("\n|---|{}\n", "---|".repeat(ENDS.len())));
    let kept = results.kept("survival");
    for (name, _) in nemeses() {
        let form = VARIANTS.iter().find(|variant| variant.name == name);
        let fault = form.map(|variant| format!("`{}: {}`", variant.kind, variant.options.replace('|', "\\|")));
        page.push_str(&format!("| {} |", fault.unwrap_or_else(|| name.replace('-', " "))));
        for (end, _) in ENDS {
            let beginning = format!("{name}.{end}-");
            let seen = kept.iter().filter(|(case, _)| case.starts_with(&beginning)).map(|(_, result)| result);
            page.push_str(&format!(" {} |", cell(&seen.collect::<Vec<_>>())));
        }
        page.push('\n');
    }
    page
}

/// The cases of a fault and an end.
fn cell(seen: &[&CaseResult]) -> String {
    let good = seen.iter().filter(|result| result.as_claimed).count();
    let refused = seen.iter().filter(|result| result.seen.contains(REFUSED)).count();
    let mut times: Vec<f64> = seen.iter().filter_map(|result| clean_after(&result.seen)).collect();
    times.sort_by(f64::total_cmp);
    let refused = if refused == 0 { String::new() } else { format!(", {refused} refused") };
    match (times.get(times.len() / 2), times.last()) {
        _ if seen.is_empty() => "not run".to_owned(),
        (Some(median), Some(longest)) => format!("{good} of {}, {median:.1} s, {longest:.1} s{refused}", seen.len()),
        _ => format!("{good} of {}", seen.len()),
    }
}

/// The seconds in the sentence of a case.
fn clean_after(seen: &str) -> Option<f64> {
    seen.strip_prefix("clean after ")?.split(' ').next()?.parse().ok()
}

/// The exit code of a run that SIGINT stopped, and of the check of its history.
const INTERRUPTED: i32 = 130;

/// Forms whose effect is over before their heal, or may be drawn too small for a look (a clock that drifts by 2 %): the run's own
/// proof counts.
const PASSING: [&str; 3] = ["restart-rolling", "own-rolling", "clock-per-node"];

/// Times that a case starts again because a busy machine looked at the nodes too late.
const STARTS: u64 = 4;

/// Looks that find something follow each other this much later, so that they do not slow down what they wait for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(60);

fn show(nemesis: &str, end: End, name: &str) -> Result<CaseResult, String> {
    for start in 0..STARTS {
        let mut lab = LabForCases::lend()?;
        if let Some(result) = try_show(&mut lab, nemesis, end, name, Rng::new(1, name, start))? {
            lab.give_back();
            return Ok(result);
        }
    }
    Err(format!("the fault began before the nodes had been looked at, {STARTS} times"))
}

/// The case; nothing if its fault began before the look that it is compared with had ended.
fn try_show(
    lab: &mut LabForCases,
    nemesis: &str,
    end: End,
    name: &str,
    mut rng: Rng,
) -> Result<Option<CaseResult>, String> {
    let results = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = results.path().join("plan.yaml");
    let layers = ["{disk: ", "{power-loss: "].iter().any(|kind| nemesis.contains(kind));
    let set_up = if layers { SetUp::DiskLayers } else { SetUp::Plain };
    let nemesis = nemesis.replace("FROM", if lab.fit.contains_key(&set_up) { "500ms" } else { "4s" });
    std::fs::write(&path, plan(lab.name(), &nemesis)).map_err(|error| error.to_string())?;
    let mut run = Run::start(&path, results.path(), rng.below(1 << 32))?;
    run.await_log("done phase=\"setup\"")?;
    let Some(before) = before(lab, set_up, &run)? else { return Ok(None) };
    run.await_log("step=begun")?;
    let begun = Instant::now();
    let moment = Duration::from_millis(rng.below(u64::try_from(MOMENTS.as_millis()).unwrap_or(u64::MAX)));
    let mut seen = String::new();
    if moment >= SEEN_FROM {
        seen = await_effect(lab, &before, &run, begun, PASSING.iter().any(|form| is_form(name, form)))?;
    }
    std::thread::sleep(moment.saturating_sub(begun.elapsed()));
    let moment = begun.elapsed();
    let ended = Instant::now();
    carry_out(end, lab, &mut run)?;
    let cleaned = clean(lab, &before, end, DAMAGING.iter().any(|form| is_form(name, form)), ended);
    if end == End::Network {
        lab.control("delete table inet prove")?;
    }
    let (took, refused) = cleaned?;
    if end == End::Interrupts {
        run.await_exit()?;
    }
    run.kill();
    let (history, judged) = judge(&run.folder()?)?;
    let mut seen_before = refused;
    seen_before.extend((!seen.is_empty()).then(|| format!("seen before: {seen}")));
    Ok(Some(CaseResult {
        as_claimed: (0..=2).contains(&judged) || (end == End::Interrupts && judged == INTERRUPTED),
        seen: format!(
            "clean after {:.1} s; ended {:.2} s after the fault's begin, {} ops recorded, check exits {judged}{}",
            took.as_secs_f64(),
            moment.as_secs_f64(),
            history.ops().len(),
            seen_before.iter().map(|words| format!(", {words}")).collect::<String>()
        ),
    }))
}

/// Whether a case is one of this form.
fn is_form(case: &str, form: &str) -> bool {
    case.split('.').next() == Some(form)
}

/// How the lab's nodes look without a fault, from their first case on; nothing if the fault began before they had been looked at.
fn before(lab: &mut LabForCases, set_up: SetUp, run: &Run) -> Result<Option<Vec<Look>>, String> {
    if let Some(fit) = lab.fit.get(&set_up) {
        return Ok(Some(fit.clone()));
    }
    loop {
        let looked = lab.look();
        if run.has_logged("step=begun")? {
            return Ok(None);
        }
        if looked.iter().all(|look| look.unfit().is_none()) {
            lab.fit.insert(set_up, looked.clone());
            return Ok(Some(looked));
        }
    }
}

/// The first effect that a look shows; an effect that none shows would not be missed either. An effect that passes counts as the
/// run proves it.
fn await_effect(
    lab: &mut LabForCases,
    before: &[Look],
    run: &Run,
    begun: Instant,
    passes: bool,
) -> Result<String, String> {
    loop {
        if let Some(dirt) = differences(&lab.look(), before, false).first() {
            return Ok(dirt.clone());
        }
        if passes && run.has_logged("step=proven")? {
            return Ok("proven by the run".to_owned());
        }
        if begun.elapsed() > MOMENTS * 5 {
            return Err("the fault is seen on no node, so that its end would show nothing".into());
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn carry_out(end: End, lab: &mut LabForCases, run: &mut Run) -> Result<(), String> {
    match end {
        End::Control => run.kill(),
        End::Network => lab.control(
            "table inet prove {\nchain in {\ntype filter hook input priority 0;\ntcp sport 22 drop;\n}\n\
             chain out {\ntype filter hook output priority 0;\ntcp dport 22 drop;\n}\n}\n",
        )?,
        End::Agents => lab.kill_agents(),
        End::AgentsAndControl => {
            // It starts no other agents.
            run.signal("STOP");
            lab.kill_agents();
            run.kill();
        }
        End::Sshd => lab.kill_sshd(),
        End::Interrupts => {
            run.signal("INT");
            std::thread::sleep(Duration::from_millis(50));
            run.signal("INT");
        }
    }
    Ok(())
}

/// Waits until nothing differs; the time that it took, and what the target's own damage is. Else what differs.
fn clean(
    lab: &mut LabForCases,
    before: &[Look],
    end: End,
    damaging: bool,
    ended: Instant,
) -> Result<(Duration, Vec<String>), String> {
    let agents_gone = matches!(end, End::Control | End::AgentsAndControl | End::Interrupts);
    // An interrupted run stops its target too: only what is new is dirt then.
    let absent = [": gone: ", ": new: redis does not answer", ": new: redis said last: "];
    let stopped = |line: &String| absent.iter().any(|part| line.contains(part));
    loop {
        // What a look saw at its begin, before the time was over, may be gone at its end.
        let looked = ended.elapsed();
        let now = lab.look();
        let mut dirt = differences(&now, before, agents_gone);
        dirt.retain(|line| end != End::Interrupts || !stopped(line));
        dirt.retain(|line| !damaging || !follows_refusal(line, &now));
        let took = ended.elapsed();
        if dirt.is_empty() {
            return Ok((took, if damaging { refusals(&now) } else { Vec::new() }));
        }
        if looked > CLEAN_WITHIN {
            let few: Vec<String> = dirt.iter().take(8).cloned().chain(lab.last_words(&now)).collect();
            return Err(format!("after {:.1} s: {}", took.as_secs_f64(), few.join("; ")));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn plan(lab: &str, nemesis: &str) -> String {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prove/lone-redis");
    format!(
        "name: survival\ncluster: {{lab: {lab}}}\ntarget: {}\nworkload: {{set: {{}}}}\n\
         load: {{clients: 3, rate: 30/s, time: 100s}}\n\
         nemesis: {nemesis}\n",
        target.display()
    )
}

/// `dsfuzz run`, killed with the case.
struct Run {
    child: Child,
    results: PathBuf,
}

impl Run {
    fn start(plan: &Path, results: &Path, seed: u64) -> Result<Run, String> {
        let mut command = dsfuzz();
        command.arg("run").arg(plan).args(["--seed", &seed.to_string()]).env("DSFUZZ_RESULTS", results);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| error.to_string())?;
        Ok(Run { child, results: results.to_path_buf() })
    }

    /// The folder of the run, the only one in its results folder.
    fn folder(&self) -> Result<PathBuf, String> {
        let entries = std::fs::read_dir(self.results.join("survival")).into_iter().flatten().flatten();
        let folder = entries.map(|entry| entry.path()).find(|path| path.is_dir() && !path.is_symlink());
        folder.ok_or_else(|| "the run has no folder".to_owned())
    }

    /// Whether the run's log has this text.
    fn has_logged(&self, text: &str) -> Result<bool, String> {
        let path = self.folder()?.join("dsfuzz.log");
        let log = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(log.contains(text))
    }

    /// Waits until the run's log has this text.
    fn await_log(&mut self, text: &str) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(90);
        while !self.has_logged(text).unwrap_or(false) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the run ended before {text}: {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("no {text} within 90 s"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn signal(&self, signal: &str) {
        let sent =
            std::process::Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status();
        sent.expect("kill starts");
    }

    fn kill(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself.
    fn await_exit(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > deadline {
                return Err("the run goes on 60 s after two interrupts".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kill();
    }
}

fn judge(dir: &Path) -> Result<(History, i32), String> {
    let history = journal::read(&dir.join("journal")).map_err(|error| format!("no history: {error}"))?;
    let output = dsfuzz().arg("check").arg(dir).output().map_err(|error| error.to_string())?;
    Ok((history, output.status.code().unwrap_or(-1)))
}
