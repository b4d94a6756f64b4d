//! Records made by hand whose figures are known.
use super::measure;
use crate::store::{RunInfo, Theory};
use crate::targets::TargetFacts;
use dsfuzz_checkers::{History, Validity, Verdict};
use serde_json::{Value, json};

/// A record in the making. Each record takes the next index.
struct Record {
    lines: Vec<String>,
}

const SECOND: f64 = 1000.0;

impl Record {
    /// Three nodes; the load begins at once.
    fn new() -> Record {
        let start = json!({"type": "start", "index": 0, "time": 0, "version": 1, "nodes": ["n1", "n2", "n3"],
            "wall": "2026-01-01T00:00:00Z"});
        let mut record = Record { lines: vec![start.to_string()] };
        record.add(0.0, json!({"type": "phase", "phase": "load"}));
        record
    }

    fn add(&mut self, ms: f64, mut record: Value) {
        record["index"] = json!(self.lines.len());
        record["time"] = json!((ms * 1e6) as u64);
        self.lines.push(record.to_string());
    }

    /// A call that ends after `took` milliseconds.
    fn call(&mut self, ms: f64, took: f64, (node, f, ok): (&str, &str, bool)) {
        let value = if f == "write" { json!(1) } else { Value::Null };
        let call = json!({"type": "invoke", "worker": 0, "process": 0, "node": node, "workload": "register", "f": f,
            "value": value});
        self.add(ms, call);
        let kind = if ok { "ok" } else { "fail" };
        let reply = if f == "read" { json!(1) } else { Value::Null };
        self.add(ms + took, json!({"type": kind, "process": 0, "value": reply}));
    }

    fn fault(&mut self, ms: f64, (id, kind, step): (u64, &str, &str), nodes: &[&str]) {
        let cut: Vec<(&str, &str)> = match kind {
            "partition" => nodes
                .iter()
                .flat_map(|node| ["n1", "n2", "n3"].map(|other| [(*node, other), (other, *node)]))
                .flatten()
                .filter(|(from, to)| !(nodes.contains(from) && nodes.contains(to)))
                .collect(),
            _ => Vec::new(),
        };
        self.add(ms, json!({"type": "fault", "fault": id, "kind": kind, "step": step, "nodes": nodes, "cut": cut}));
    }

    /// Begins at `from` and is proven 100 ms later.
    fn begins(&mut self, from: f64, (id, kind): (u64, &str), nodes: &[&str]) {
        for (ms, step) in [(from, "resolved"), (from, "begun"), (from + 100.0, "proven")] {
            self.fault(ms, (id, kind, step), nodes);
        }
    }

    /// Is proven again at `to` and healed 200 ms later.
    fn ends(&mut self, to: f64, (id, kind): (u64, &str), nodes: &[&str]) {
        for (ms, step) in [(to, "reproven"), (to + 100.0, "heal-begun"), (to + 200.0, "healed")] {
            self.fault(ms, (id, kind, step), nodes);
        }
    }

    fn role(&mut self, ms: f64, node: &str, (role, term): (&str, i64)) {
        let sent = self.lines.len() - 1;
        self.add(
            ms,
            json!({"type": "role", "sent_index": sent, "sent_time": ((ms - 1.0) * 1e6) as u64, "node": node,
                "role": role, "term": term, "term_with_role": true, "source": "probe"}),
        );
    }

    fn history(mut self, end: f64) -> History {
        self.add(end, json!({"type": "phase", "phase": "drain"}));
        self.add(end + SECOND, json!({"type": "end"}));
        dsfuzz_checkers::history::read_jsonl(self.lines.join("\n").as_bytes()).expect("a history")
    }
}

fn info() -> RunInfo {
    RunInfo { facts: TargetFacts { election_ms: 2000, ..TargetFacts::default() }, ..RunInfo::default() }
}

fn of(history: &History, name: &str) -> Option<Theory> {
    measure(history, &[], &info()).into_iter().find(|theory| theory.name == name)
}

fn numbers(theory: &Theory, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| theory.numbers[*name].clone()).collect()
}

/// A cut of n1 from 10 s to 14 s. Three writes and two reads on n1, five writes and four reads on the others.
fn partitioned(n1_writes: bool, n1_called: bool) -> History {
    let mut record = Record::new();
    let cut = (0, "partition");
    record.begins(10.0 * SECOND, cut, &["n1"]);
    for at in 0..5 {
        let ms = 10_200.0 + 100.0 * f64::from(at);
        record.call(ms, 1.0, ("n2", "write", true));
        if n1_called && at < 3 {
            record.call(ms + 10.0, 1.0, ("n1", "write", n1_writes));
        }
        if n1_called && at < 2 {
            record.call(ms + 20.0, 1.0, ("n1", "read", true));
        }
        if at < 4 {
            record.call(ms + 30.0, 1.0, ("n3", "read", true));
        }
    }
    record.ends(14.0 * SECOND, cut, &["n1"]);
    // After the last proof nothing counts.
    record.call(14.5 * SECOND, 1.0, ("n1", "write", true));
    record.history(20.0 * SECOND)
}

#[test]
fn a_cut_shows_what_the_system_chose() {
    let counts = [
        "chose",
        "majority_writes_ok",
        "majority_writes_called",
        "other_writes_ok",
        "other_writes_called",
        "majority_reads_ok",
        "other_reads_ok",
    ];
    let consistent = of(&partitioned(false, true), "cap").expect("a cut");
    assert_eq!(
        numbers(&consistent, &counts),
        [json!("consistency"), 5.into(), 5.into(), 0.into(), 3.into(), 4.into(), 2.into()]
    );
    assert_eq!(
        consistent.lines,
        [
            "The system chose consistency: writes were acknowledged on one side alone in 1 of 1 partition",
            "Reads were answered on several sides in 1 of 1 partition",
            "On the side with a majority: 5 of 5 writes and 4 of 4 reads acknowledged",
            "On the other sides: 0 of 3 writes and 2 of 2 reads acknowledged",
        ]
    );
    let available = of(&partitioned(true, true), "cap").expect("a cut");
    assert_eq!(numbers(&available, &counts[..4]), [json!("availability"), 5.into(), 5.into(), 3.into()]);
    assert_eq!(of(&partitioned(true, false), "cap"), None, "one side was never called");
}

#[test]
fn latency_is_measured_outside_faults() {
    let mut record = Record::new();
    let mut ms = 0.0;
    for took in 1..=100 {
        record.call(ms, f64::from(took), ("n1", "read", true));
        ms += f64::from(took) + 1.0;
    }
    for _ in 0..99 {
        record.call(ms, 2.0, ("n1", "write", true));
        ms += 3.0;
    }
    record.begins(ms, (0, "pause"), &["n2"]);
    for at in 1..=50 {
        record.call(ms + 100.0 + f64::from(at) * 901.0, 900.0, ("n1", "read", true));
    }
    record.ends(ms + 50_000.0, (0, "pause"), &["n2"]);
    // Healed 200 ms later; the target may recover for 2 s.
    record.call(ms + 51_000.0, 800.0, ("n1", "read", true));
    let history = record.history(ms + 60_000.0);
    let mut valid = Verdict::unknown("linearizable", String::new());
    valid.validity = Validity::Valid;
    let all = measure(&history, &[valid], &info());
    let pacelc = all.iter().find(|theory| theory.name == "pacelc").expect("100 reads");
    assert_eq!(numbers(pacelc, &["read_p50_ms", "read_p99_ms", "reads"]), [json!(50.0), json!(99.0), json!(100)]);
    assert!(!pacelc.numbers.contains_key("write_p50_ms"), "99 writes are too few: {:?}", pacelc.numbers);
    assert_eq!(
        pacelc.lines,
        ["Reads: p50 50.0 ms, p99 99.0 ms (100 calls)", "Consistency of the whole run: linearizable valid"]
    );
}

/// A partition that is healed at 14.2 s, a last write and perhaps a note that the replicas converged.
fn converging(last_write: f64, note: Option<f64>) -> History {
    let mut record = Record::new();
    record.begins(10.0 * SECOND, (0, "partition"), &["n1"]);
    record.call(11.0 * SECOND, 1.0, ("n2", "write", true));
    record.ends(14.0 * SECOND, (0, "partition"), &["n1"]);
    if last_write > 14_200.0 {
        record.call(last_write - 1.0, 1.0, ("n2", "write", true));
    }
    if let Some(ms) = note {
        record.add(ms, json!({"type": "note", "node": "", "text": "the replicas converged"}));
    }
    record.history(20.0 * SECOND)
}

#[test]
fn convergence_counts_from_the_later_of_heal_and_last_write() {
    let measured = |last_write, note| {
        let theory = of(&converging(last_write, Some(note)), "convergence").expect("a note");
        numbers(&theory, &["converged_within_ms", "from"])
    };
    assert_eq!(measured(16_000.0, 17_500.0), [json!(1500.0), json!("write")]);
    assert_eq!(measured(0.0, 15_000.0), [json!(800.0), json!("heal")]);
    assert_eq!(of(&converging(16_000.0, None), "convergence"), None, "no probe saw it");
}

#[test]
fn a_death_of_the_target_leaves_no_choice_to_count() {
    let dead = |at: f64| {
        let mut history = partitioned(true, true);
        let ms = (at * 1e6) as u64;
        let event = json!({"index": 1, "time": 30_000_000_000_u64, "node": "n3", "process": "db", "step": "ended",
            "between": [ms, ms + 1]});
        history.processes.push(serde_json::from_value(event).expect("an event"));
        of(&history, "cap").is_some()
    };
    assert!(!dead(5.0 * SECOND), "n3 was dead in the cut");
    assert!(dead(16.0 * SECOND), "n3 died after the cut");
}

/// n1 leads and n2 is its follower; a pause of `taken` from 10 s to 14.2 s; a new leader at 11.3 s.
fn paused(taken: &str) -> History {
    let mut record = Record::new();
    record.role(SECOND, "n1", ("leader", 1));
    record.role(SECOND + 10.0, "n2", ("follower", 1));
    record.begins(10.0 * SECOND, (0, "pause"), &[taken]);
    record.call(10_500.0, 400.0, ("n2", "write", false));
    record.role(11_300.0, "n2", ("leader", 2));
    record.call(11_400.0, 100.0, ("n2", "write", true));
    record.ends(14.0 * SECOND, (0, "pause"), &[taken]);
    record.role(20.0 * SECOND, "n3", ("leader", 3));
    record.history(30.0 * SECOND)
}

#[test]
fn a_fault_on_the_leader_shows_detection_and_recovery() {
    let history = paused("n1");
    let detection = of(&history, "detection").expect("leaders");
    assert_eq!(
        numbers(&detection, &["leader_faults", "new_leader_ms_median", "healed_first", "false_suspicions", "quiet_ms"]),
        // Of 30 s, the fault and the 2 s after its heal took 6.2 s.
        [json!(1), json!(1300.0), json!(0), json!(1), json!(23_800.0)]
    );
    assert_eq!(
        detection.lines,
        [
            "1 fault took the leader: a new leader was seen in 1 of them after 1.30 s",
            "1 leader change without a fault in 23.80 s (counted from 2.00 s after each heal)",
        ]
    );
    let recovery = of(&history, "recovery").expect("a write");
    assert_eq!(
        numbers(&recovery, &["first_write_ms_median", "measurements", "after_heal", "median_by_election"]),
        [json!(1500.0), json!(1), json!(0), json!(0.75)]
    );
}

#[test]
fn a_fault_on_a_follower_says_nothing_of_detection() {
    let history = paused("n3");
    assert_eq!(of(&history, "recovery"), None);
    let detection = of(&history, "detection").expect("leaders");
    assert!(!detection.numbers.contains_key("leader_faults"), "{:?}", detection.numbers);
    // A fault that slows the leader down does not take it.
    let mut slow = paused("n1");
    slow.faults[0].kind = "packet".into();
    assert_eq!(of(&slow, "recovery"), None);
}

#[test]
fn nothing_is_said_where_nothing_was_seen() {
    assert_eq!(measure(&Record::new().history(60.0 * SECOND), &[], &info()), []);
    assert_eq!(measure(&History::default(), &[], &info()), []);
    let several = RunInfo { facts: TargetFacts { several_leaders: true, ..info().facts }, ..info() };
    let names: Vec<String> = measure(&paused("n1"), &[], &several).into_iter().map(|theory| theory.name).collect();
    assert_eq!(names, Vec::<String>::new(), "several leaders are no changes");
}
