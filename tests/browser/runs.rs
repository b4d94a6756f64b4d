//! Made-up runs with known content: what the tests and the bench of the report draw.

use dsfuzz::store::{Evidence, NodeInfo, PhaseInfo, RunInfo, RunVerdict, Theory};
use dsfuzz_checkers::history::{Completion, FaultEvent, FaultStep, HistoryBuilder, Invoke, Phase, Record, RoleClaim};
use dsfuzz_checkers::{Finding, History, Severity, Validity, Value, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run as the report takes it.
pub(crate) struct Run {
    pub(crate) history: History,
    pub(crate) info: RunInfo,
    pub(crate) verdict: RunVerdict,
}

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// Records with their times, in any order.
#[derive(Default)]
struct HistoryLines(Vec<(u64, Record)>);

/// A small generator, so that every test sees the same run.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A latency around two milliseconds with a long tail.
    fn latency(&mut self) -> u64 {
        let base = 900_000 + self.below(1_800_000);
        if self.below(40) == 0 { base * (2 + self.below(12)) } else { base + self.below(600_000) }
    }
}

impl HistoryLines {
    #[expect(clippy::too_many_arguments, reason = "a call is read best as one line of data")]
    fn invoke(&mut self, time: u64, worker: u32, process: u64, node: &str, f: &str, key: Value, value: Value) {
        let (index, workload) = (0, Arc::from("register"));
        let invoke = Invoke {
            index,
            time,
            worker,
            process,
            node: node.into(),
            workload,
            f: f.into(),
            key,
            value,
            settle: false,
        };
        self.0.push((time, Record::Invoke(invoke)));
    }

    fn reply(&mut self, time: u64, process: u64, kind: &str, value: Value, error: Option<&str>) {
        let completion = Completion { index: 0, time, process, value, error: error.map(Arc::from), node: None };
        let record = match kind {
            "ok" => Record::Ok(completion),
            "fail" => Record::Fail(completion),
            _ => Record::Info(completion),
        };
        self.0.push((time, record));
    }

    #[expect(clippy::too_many_arguments, reason = "a fault's steps are read best as one line of data")]
    fn fault(
        &mut self,
        id: u64,
        kind: &str,
        planned: &str,
        what: &str,
        nodes: &[&str],
        cut: &[(&str, &str)],
        steps: &[(FaultStep, u64)],
    ) {
        for (step, time) in steps {
            let symbolic = *step == FaultStep::Planned;
            let proof = matches!(step, FaultStep::Proven | FaultStep::Reproven);
            let detail = if proof { vec![format!("{what}: 20 of 20 probes lost, counter +20")] } else { Vec::new() };
            self.0.push((
                *time,
                Record::Fault(FaultEvent {
                    index: 0,
                    time: *time,
                    fault: id,
                    kind: kind.into(),
                    step: *step,
                    what: if symbolic { planned.to_string() } else { what.to_string() },
                    nodes: if symbolic { Vec::new() } else { nodes.iter().map(|node| node.to_string()).collect() },
                    cut: cut.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect(),
                    detail,
                    ended: (*step == FaultStep::SelfHealed).then(|| (time - S, *time)),
                    problem: None,
                    name: String::new(),
                    entry: None,
                    damages: false,
                }),
            ));
        }
    }

    fn role(&mut self, time: u64, node: &str, role: &str, term: i64) {
        self.0.push((
            time,
            Record::Role(RoleClaim {
                leads: None,
                index: 0,
                time,
                sent_index: 0,
                sent_time: time.saturating_sub(2 * MS),
                node: node.into(),
                role: role.into(),
                term: Some(term),
                term_with_role: false,
                source: "probe".into(),
                detail: String::new(),
            }),
        ));
    }

    fn finish(mut self, nodes: &[String], ended: bool) -> History {
        self.0.sort_by_key(|(time, _)| *time);
        let mut builder = HistoryBuilder::new();
        let wall = "2026-11-20T10:00:00Z".to_string();
        let start = Record::Start { index: 0, time: 0, version: 1, nodes: nodes.to_vec(), wall };
        builder.push(start).expect("a start");
        let mut last = (0, 0);
        for (position, (time, mut record)) in self.0.into_iter().enumerate() {
            stamp(&mut record, position as u64 + 1);
            builder.push(record).expect("records in order");
            last = (position as u64 + 1, time);
        }
        if ended {
            builder.push(Record::End { index: last.0 + 1, time: last.1 }).expect("an end");
        }
        builder.finish().expect("a history")
    }
}

fn stamp(record: &mut Record, number: u64) {
    match record {
        Record::Start { index, .. }
        | Record::Phase { index, .. }
        | Record::Note { index, .. }
        | Record::End { index, .. } => *index = number,
        Record::Invoke(invoke) => invoke.index = number,
        Record::Ok(completion) | Record::Fail(completion) | Record::Info(completion) => completion.index = number,
        Record::Fault(event) => event.index = number,
        Record::Role(claim) => claim.index = number,
        Record::Process(event) => event.index = number,
    }
}

fn nodes(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("n{number}")).collect()
}

fn steps(begun: u64, healed: u64) -> Vec<(FaultStep, u64)> {
    use FaultStep::{Begun, HealBegun, Healed, Planned, Proven, Reproven, Resolved};
    let (proven, reproven) = (begun + 60 * MS, healed - 90 * MS);
    vec![
        (Planned, MS),
        (Resolved, begun - 2 * MS),
        (Begun, begun),
        (Proven, proven),
        (Reproven, reproven),
        (HealBegun, reproven + MS),
        (Healed, healed),
    ]
}

/// Five registers under four faults on five nodes; a read that returns an old value while n3 is cut off.
pub(crate) fn stale_read() -> Run {
    let names = nodes(5);
    let mut tape = HistoryLines::default();
    phases(&mut tape);
    faults(&mut tape);
    for tick in 0..88u64 {
        roles(&mut tape, tick * 500 * MS + 5 * MS);
    }
    load(&mut tape, &names);
    contradiction(&mut tape);
    for (second, node) in (10..44).flat_map(|second| names.iter().map(move |node| (second, node))) {
        let offset = if node == "n5" && (28..34).contains(&second) { 60_000.0 } else { 0.3 * (second % 3) as f64 };
        let text = format!("clock offset {offset} ms");
        let time = second * S;
        tape.0.push((time, Record::Note { index: 0, time, node: node.clone(), text }));
    }
    let history = tape.finish(&names, true);
    let find = |process: u64, f: &str| {
        let wanted = |op: &dsfuzz_checkers::Op<'_>| op.process == process && history.name(op.function) == f;
        history.ops().iter().find(wanted).map_or(0, |op| op.call)
    };
    let ops = vec![find(9001, "write"), find(9002, "write"), find(9004, "cas"), find(9003, "read")];
    let verdict = stale_verdict(&history, ops);
    Run { info: info("etcd-register", &names), verdict, history }
}

fn phases(tape: &mut HistoryLines) {
    for (phase, time) in
        [(Phase::Load, 10 * MS), (Phase::Drain, 40 * S), (Phase::Recover, 41 * S), (Phase::Settle, 43 * S)]
    {
        tape.0.push((time, Record::Phase { index: 0, time, phase }));
    }
}

fn faults(tape: &mut HistoryLines) {
    let cut = [("n3", "n1"), ("n1", "n3"), ("n3", "n2"), ("n2", "n3"), ("n3", "n4"), ("n4", "n3")];
    let what = "partition isolate-leader: n3 | n1 n2 n4 n5";
    tape.fault(0, "partition", "partition isolate-leader", what, &["n3"], &cut, &steps(6 * S, 13 * S));
    tape.fault(1, "kill", "kill minority", "kill n2 n4", &["n2", "n4"], &[], &steps(17 * S, 22 * S));
    tape.fault(2, "pause", "pause leader", "pause n1", &["n1"], &[], &steps(24 * S, 27 * S));
    let mut clock = steps(28 * S, 34 * S);
    clock.truncate(4);
    clock.push((FaultStep::SelfHealed, 34 * S));
    tape.fault(3, "clock", "clock jump 60s", "clock jump of n5 by 60 s", &["n5"], &[], &clock);
}

/// n3 leads term 4 until it is cut off and goes on saying so; n1 leads term 5, n5 term 6.
fn roles(tape: &mut HistoryLines, time: u64) {
    for node in ["n1", "n2", "n3", "n4", "n5"] {
        let down = matches!(node, "n2" | "n4") && (17 * S..22 * S).contains(&time)
            || node == "n1" && (24 * S..27 * S).contains(&time);
        if down {
            continue;
        }
        let (role, term) = match (node, time / MS) {
            ("n3", 0..10_500) => ("leader", 4),
            ("n2", 6_500..7_200) => ("candidate", 5),
            (_, 0..7_200) => ("follower", 4),
            ("n1", 7_200..24_000) => ("leader", 5),
            (_, 7_200..25_200) => ("follower", 5),
            ("n5", _) => ("leader", 6),
            _ => ("follower", 6),
        };
        tape.role(time + 3 * MS, node, role, term);
    }
}

fn load(tape: &mut HistoryLines, names: &[String]) {
    let mut dice = Rng(7);
    let mut fresh_process = 100;
    let mut value = 10;
    for worker in 0..10u32 {
        let node = &names[worker as usize % names.len()];
        let mut process = u64::from(worker);
        let mut time = 20 * MS + dice.below(30 * MS);
        while time < 40 * S {
            value += 1;
            let key = Value::from(dice.below(5) as i64);
            let (f, input) = match dice.below(10) {
                0..5 => ("read", Value::Nil),
                5..8 => ("write", Value::from(value)),
                _ => ("cas", Value::list([Value::from(value - 3), Value::from(value)])),
            };
            tape.invoke(time, worker, process, node, f, key, input);
            let cut = node == "n3" && (6 * S..13 * S).contains(&time);
            let dead = matches!(&**node, "n2" | "n4") && (17 * S..22 * S).contains(&time);
            let paused = node == "n1" && (24 * S..27 * S).contains(&time);
            let (took, kind, error) = match f {
                _ if dead => (300_000 + dice.below(200_000), "fail", Some("refused: connection refused")),
                "read" if cut || paused => (2 * S + dice.below(40 * MS), "fail", Some("timeout: a read has no effect")),
                _ if cut || paused => (2 * S + dice.below(30 * MS), "info", Some("timeout")),
                "cas" if dice.below(3) > 0 => (dice.latency(), "fail", Some("compare failed")),
                _ => (dice.latency(), "ok", None),
            };
            let reply = if f == "read" && kind == "ok" { Value::from(value - 5) } else { Value::Nil };
            tape.reply(time + took, process, kind, reply, error);
            if kind == "info" {
                fresh_process += 1;
                process = fresh_process;
            }
            time += took + 20 * MS + dice.below(50 * MS) + if kind == "ok" { 0 } else { 150 * MS };
        }
    }
}

fn contradiction(tape: &mut HistoryLines) {
    let key = Value::from(7);
    tape.invoke(5 * S + 800 * MS, 91, 9001, "n1", "write", key.clone(), Value::from(3));
    tape.reply(5 * S + 804 * MS, 9001, "ok", Value::Nil, None);
    tape.invoke(8 * S + 301 * MS, 92, 9002, "n2", "write", key.clone(), Value::from(4));
    tape.reply(8 * S + 309 * MS, 9002, "ok", Value::Nil, None);
    tape.invoke(8 * S + 900 * MS, 94, 9004, "n3", "cas", key.clone(), Value::list([Value::from(3), Value::from(9)]));
    tape.reply(10 * S + 900 * MS, 9004, "info", Value::Nil, Some("timeout"));
    tape.invoke(9 * S + 102 * MS, 93, 9003, "n3", "read", key, Value::Nil);
    tape.reply(9 * S + 105 * MS, 9003, "ok", Value::from(3), None);
}

fn promise(
    (checker, workload): (&str, &str),
    (validity, summary): (Validity, &str),
    findings: Vec<Finding>,
    numbers: BTreeMap<String, serde_json::Value>,
) -> Verdict {
    let mut promise = Verdict::unknown(checker, summary.to_owned());
    promise.workload = workload.to_owned();
    (promise.validity, promise.findings, promise.numbers) = (validity, findings, numbers);
    promise
}

fn stale_verdict(history: &History, ops: Vec<u64>) -> RunVerdict {
    let title = "A read of key 7 at 9.102 s returned 3, although the write of 4 had finished 0.793 s earlier";
    let finding = Finding {
        workload: String::new(),
        cycle: Vec::new(),
        certificate: None,
        kind: "nonlinearizable".into(),
        severity: Severity::Violation,
        title: title.into(),
        sentences: vec![
            format!("#{} wrote 3 to key 7 and was acknowledged at 5.804 s.", ops[0]),
            format!("#{} wrote 4 to key 7 on n2; it began after that and was acknowledged at 8.309 s.", ops[1]),
            format!("#{} read key 7 on n3 from 9.102 s to 9.105 s and got 3.", ops[3]),
            "No order of these operations that keeps to their times explains 3: a contradiction.".into(),
        ],
        ops,
        key: Value::from(7),
        nodes: vec!["n3".into()],
        faults: vec![0],
    };
    let overlap = Finding {
        workload: String::new(),
        cycle: Vec::new(),
        certificate: None,
        kind: "overlapping-leaders".into(),
        severity: Severity::Evidence,
        title: "n3 and n1 both said to lead from 7.2 s to 10.5 s".into(),
        sentences: vec!["Their terms differ (4, 5), so this breaks no promise by itself.".into()],
        ops: Vec::new(),
        key: Value::Nil,
        nodes: vec!["n1".into(), "n3".into()],
        faults: vec![0],
    };
    let numbers = BTreeMap::from([("checked_ops".to_string(), serde_json::json!(history.ops().len()))]);
    let sentence = format!("{title}.");
    RunVerdict {
        theory: vec![theory(
            "cap",
            "The system chose availability: writes were acknowledged on several sides in 2 of 2 partitions",
        )],
        notes: Vec::new(),
        load: Vec::new(),
        format: 1,
        errors: Vec::new(),
        validity: Validity::Invalid,
        sentence: sentence.clone(),
        promises: vec![
            promise(("linearizable", "register"), (Validity::Invalid, &sentence), vec![finding], numbers),
            promise(
                ("split-brain", ""),
                (Validity::Unknown, "Terms are not read together with roles, so overlaps are evidence only."),
                vec![overlap],
                BTreeMap::from([("overlap_ms_max".to_string(), serde_json::json!(3300))]),
            ),
            promise(
                ("availability", "register"),
                (Validity::Valid, "Every node served again within 1.2 s of the last heal."),
                Vec::new(),
                BTreeMap::from([("recovery_ms_max".to_string(), serde_json::json!(1190))]),
            ),
        ],
        evidence: vec![
            evidence("ok_ops", "calls that were ok", 4100.0, 100.0),
            evidence("proven_partition", "partitions shown to be in force", 1.0, 1.0),
            evidence("leader_changes", "changes of leader seen", 2.0, 1.0),
            evidence("ok_during_clock", "calls that were ok while a clock fault was certain", 0.0, 1.0),
        ],
        harness: Vec::new(),
        exit: 1,
        ..RunVerdict::failed("", 0)
    }
}

fn evidence(name: &str, doc: &str, measured: f64, at_least: f64) -> Evidence {
    Evidence {
        name: name.into(),
        doc: doc.into(),
        measured,
        at_least,
        enough: measured >= at_least,
        shortfall: String::new(),
    }
}

fn info(plan: &str, nodes: &[String]) -> RunInfo {
    let phase = |name: &str, took_ms, problem: &str| PhaseInfo { name: name.into(), took_ms, problem: problem.into() };
    let node = |(position, name): (usize, &String)| NodeInfo {
        name: name.clone(),
        address: format!("10.91.0.{}", position + 1),
        kernel: "6.1.0".into(),
        boot_id: format!("5b1c0c3e-0000-4000-8000-00000000000{}", position % 10),
    };
    RunInfo {
        format: 1,
        dsfuzz: "0.1.0".into(),
        plan: plan.into(),
        seed: 12_345_678,
        started: "2026-11-20T10:00:00+01:00".into(),
        ended: "2026-11-20T10:01:12+01:00".into(),
        target: "etcd".into(),
        target_versions: nodes.iter().map(|node| (node.clone(), "3.4.23".to_string())).collect(),
        final_reads: String::new(),
        options: BTreeMap::new(),
        facts: dsfuzz::targets::TargetFacts::default(),
        timetable_slip_ms: None,
        nodes: nodes.iter().enumerate().map(node).collect(),
        phases: vec![
            phase("connect", 310, ""),
            phase("start", 2_400, ""),
            phase("load", 40_000, ""),
            phase("recover", 2_100, ""),
            phase("settle", 900, ""),
            phase("collect", 1_450, "n4: one log could not be read"),
        ],
        again: format!("dsfuzz run plans/{plan}.yaml --seed 12345678"),
        stopped_by: None,
        unseen: Vec::new(),
        judged_until: None,
        harness_failures: Vec::new(),
        exit: Some(1),
        ..RunInfo::default()
    }
}

/// A run in which nothing was broken, with `count` operations over ten minutes on five nodes.
pub(crate) fn large(count: usize) -> Run {
    let names = nodes(5);
    let nodes: Vec<Arc<str>> = names.iter().map(|name| Arc::from(name.as_str())).collect();
    let functions: [Arc<str>; 3] = ["read".into(), "write".into(), "cas".into()];
    let (workload, timeout, compare): (Arc<str>, Arc<str>, Arc<str>) =
        ("register".into(), "timeout".into(), "compare failed".into());
    let (workers, end) = (50u64, 600 * S);
    let gap = end / (count as u64 / workers).max(1);
    let mut dice = Rng(11);
    let mut records: Vec<(u64, Record)> = Vec::with_capacity(count * 2 + 200);
    for worker in 0..workers {
        let node = &nodes[worker as usize % nodes.len()];
        let mut process = worker;
        for number in 0..(count as u64 / workers) {
            let time = number * gap + dice.below(gap / 3 + 1);
            let hurt = time % (100 * S) > 70 * S && (worker % 5) == (time / (100 * S)) % 5;
            let took = (dice.latency() * if hurt { 2 } else { 1 }).min(gap / 2);
            let draw = dice.below(1000);
            let f = functions[(draw % 3) as usize].clone();
            let (value, key) = (Value::from(number as i64), Value::from((number / 200) as i64));
            let invoke = Invoke {
                index: 0,
                time,
                worker: worker as u32,
                process,
                node: node.clone(),
                workload: workload.clone(),
                f,
                key,
                value,
                settle: false,
            };
            records.push((time, Record::Invoke(invoke)));
            let mut completion =
                Completion { index: 0, time: time + took, process, value: Value::Nil, error: None, node: None };
            let reply = match draw {
                0..10 if hurt => {
                    completion.error = Some(timeout.clone());
                    process += 1000;
                    Record::Info(completion)
                }
                10..60 => {
                    completion.error = Some(compare.clone());
                    Record::Fail(completion)
                }
                _ => Record::Ok(completion),
            };
            records.push((time + took, reply));
        }
    }
    let mut tape = HistoryLines(records);
    for round in 0..6u64 {
        let node = &*names[(round % 5) as usize];
        let (what, begun) = (format!("partition one: {node} | rest"), round * 100 * S + 70 * S);
        tape.fault(round, "partition", "partition one", &what, &[node], &[], &steps(begun, begun + 30 * S));
    }
    for tick in 0..600u64 {
        for (row, node) in names.iter().enumerate() {
            let leads = row as u64 == (tick / 130) % 5;
            tape.role(tick * S, node, if leads { "leader" } else { "follower" }, (tick / 130) as i64 + 2);
        }
    }
    let history = tape.finish(&names, true);
    let checked = serde_json::json!(history.ops().len());
    let verdict = RunVerdict {
        notes: Vec::new(),
        load: Vec::new(),
        format: 1,
        errors: Vec::new(),
        validity: Validity::Valid,
        sentence: format!(
            "All {} operations on 5 nodes are linearizable, and every fault was proven.",
            history.ops().len()
        ),
        promises: vec![promise(
            ("linearizable", "register"),
            (Validity::Valid, "Every key is linearizable."),
            Vec::new(),
            BTreeMap::from([("checked_ops".to_string(), checked)]),
        )],
        evidence: vec![evidence("ok_ops", "calls that were ok", count as f64 * 0.94, 100.0)],
        harness: Vec::new(),
        exit: 0,
        ..RunVerdict::failed("", 0)
    };
    Run { info: info("etcd-large", &names), verdict, history }
}

/// What a hostile target may write wherever it can write.
pub(crate) const HOSTILE: &str = "</script><script>document.title='owned'</script><!--<script>\u{2028}\u{2029}\"'`&<img src=x \
                           onerror=\"document.title='owned'\">\u{1b}[31m\u{0}\u{202e}]]>";

/// The stale read, with hostile text in every place where a target, a node or a plan can put some.
pub(crate) fn hostile() -> Run {
    let names = vec!["n1".to_string(), HOSTILE.to_string()];
    let mut tape = HistoryLines::default();
    let text = || Value::text(HOSTILE);
    tape.invoke(S, 0, 0, &names[0], "write", text(), text());
    tape.reply(S + 5 * MS, 0, "ok", Value::Nil, None);
    tape.invoke(2 * S, 1, 1, HOSTILE, HOSTILE, text(), Value::Map(Arc::from([(Arc::from(HOSTILE), text())])));
    tape.reply(4 * S, 1, "info", Value::Nil, Some(HOSTILE));
    tape.invoke(3 * S, 0, 0, &names[0], "read", text(), Value::Nil);
    tape.reply(3 * S + MS, 0, "ok", text(), None);
    tape.fault(0, HOSTILE, HOSTILE, HOSTILE, &[HOSTILE], &[(HOSTILE, "n1")], &steps(S + 500 * MS, 4 * S));
    tape.role(2 * S, HOSTILE, HOSTILE, 3);
    tape.role(2 * S, "n1", "leader", i64::MIN);
    tape.0.push((S, Record::Note { index: 0, time: S, node: HOSTILE.into(), text: HOSTILE.into() }));
    let history = tape.finish(&names, false);
    let ops = history.ops().iter().map(|op| op.call).collect();
    let finding = Finding {
        workload: String::new(),
        cycle: Vec::new(),
        certificate: None,
        kind: HOSTILE.into(),
        severity: Severity::Violation,
        title: HOSTILE.into(),
        sentences: vec![HOSTILE.into()],
        ops,
        key: text(),
        nodes: vec![HOSTILE.into()],
        faults: vec![0, 99],
    };
    let mut info = info("etcd-register", &names);
    for field in [&mut info.plan, &mut info.target, &mut info.again, &mut info.dsfuzz, &mut info.started] {
        *field = HOSTILE.into();
    }
    info.stopped_by = Some(HOSTILE.into());
    info.phases[0].problem = HOSTILE.into();
    info.target_versions.insert(HOSTILE.into(), HOSTILE.into());
    info.harness_failures = vec![HOSTILE.into()];
    let verdict = RunVerdict {
        notes: Vec::new(),
        load: Vec::new(),
        format: 1,
        errors: Vec::new(),
        validity: Validity::Invalid,
        theory: vec![theory(HOSTILE, HOSTILE)],
        sentence: HOSTILE.into(),
        promises: vec![promise(
            (HOSTILE, HOSTILE),
            (Validity::Invalid, HOSTILE),
            vec![finding],
            BTreeMap::from([(HOSTILE.to_string(), serde_json::json!({ HOSTILE: HOSTILE }))]),
        )],
        evidence: vec![evidence(HOSTILE, HOSTILE, f64::NAN, 1.0)],
        harness: vec![HOSTILE.into(), HOSTILE.into()],
        exit: 1,
        ..RunVerdict::failed("", 0)
    };
    Run { history, info, verdict }
}

/// One measured figure, titled by its name.
fn theory(name: &str, line: &str) -> Theory {
    Theory { name: name.into(), title: name.to_uppercase(), lines: vec![line.into()], ..Theory::default() }
}
