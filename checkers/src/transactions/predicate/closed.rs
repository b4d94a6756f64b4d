//! `closed-predicate`: transactions with predicate reads over a closed universe of keys are serializable.
//!
//! Functions: `init`, once and first, with `{key: value, ..}` (without it nothing was there); and `txn` with `["insert", key, value]`,
//! `["w", key, value]`, `["delete", key, null]`, `["r", key, null]` and `["rp", predicate, null]`. A predicate is `true` (also
//! `:true`, as Elle has it), `["=", value]` or `["mod", divisor, rest]`; its reply is `{key: value, ..}`, all keys that match. What a predicate read does not show says
//! something too (the idea is that of Elle's closed predicate): a key that is missing was read at a version that does not
//! match, be it unborn or deleted; where only one such version exists, that was it.
//!
//! Each key may be written by one transaction only, beside `init`. Then it has two versions at most, their order is known, and
//! every read says that its transaction comes before the writer, or after it, or nothing: the history is serializable
//! exactly if these form no cycle. Keys that several transactions write make the answer Unknown, unless the others alone
//! contradict each other. Sessions and real time do not count.
//!
//! Kinds: G1c, G-single, G2 (with `-item`, where no edge of the cycle comes from a predicate), predicate-read-miss (no
//! version of the key fails to match, and it is missing), predicate-mismatch (a reply that does not match its predicate),
//! garbage-read (a value that no transaction wrote, or only one that failed), G-single-item also where nil was read of a key that
//! `init` had set (the state from before it), G1b, internal (its own write is not what it read),
//! future-read (it read what it wrote only later). Unknown: a value that no
//! transaction wrote where no `init` says what was there at first, no predicate read, no write beside `init`, a call is no such transaction.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{name_of, workloads_where, workloads_with};
use crate::checker::{CheckerDoc, Judges};
use crate::graph::cycle_of_each_component;
use crate::history::{History, NameId, Op, Outcome};
use crate::options::{NoOptions, schema};
use crate::value::{Value, ValueRef};
use crate::verdict::certificate::{Edge, EdgeKind};
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Report, Validity, Verdict, Violation};
use std::collections::BTreeMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "closed-predicate",
    doc: "Transactions with predicate reads over a known universe of keys are serializable.",
    cost: "predicate reads times keys of the universe",
    judges: Judges::calls(&["txn", "init"], &[]),
    options: schema::<NoOptions>,
    build: |given| given.read().map(|NoOptions {}| Box::new(ClosedPredicate) as _),
};

/// Judges transactions with predicate reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClosedPredicate;

#[derive(Clone, Debug, PartialEq)]
enum Predicate {
    All,
    Equal(Value),
    Modulo(i64, i64),
}

impl Predicate {
    fn parse(value: ValueRef<'_>) -> Option<Predicate> {
        if value.as_bool() == Some(true) || matches!(value.as_text(), Some("true" | ":true")) {
            return Some(Predicate::All);
        }
        let list = value.as_list()?;
        match (list.get(0)?.as_text()?, list.len()) {
            ("=", 2) => Some(Predicate::Equal(list.at(1).to_value())),
            ("mod", 3) => {
                let (divisor, rest) = (list.at(1).as_int()?, list.at(2).as_int()?);
                (divisor > 0).then_some(Predicate::Modulo(divisor, rest))
            }
            _ => None,
        }
    }

    /// Whether a version matches; [`Value::Nil`] is unborn or deleted.
    fn matches(&self, version: &Value) -> bool {
        match self {
            _ if version.is_nil() => false,
            Predicate::All => true,
            Predicate::Equal(wanted) => version == wanted,
            Predicate::Modulo(divisor, rest) => version.as_int().is_some_and(|one| one.rem_euclid(*divisor) == *rest),
        }
    }
}

/// A micro-operation on one key, or on all keys that match a predicate.
enum KeyOperation {
    Write(String, Value),
    Read(String, Value),
    Select(Predicate, BTreeMap<String, Value>),
}

struct Txn<'h> {
    op: Op<'h>,
    operations: Vec<KeyOperation>,
}

/// A key: its first version, and the writer of the second.
#[derive(Default)]
struct Key {
    first: Value,
    /// The transaction and what it left.
    writer: Option<(usize, Value)>,
    /// What the writer wrote before that.
    between: Vec<Value>,
    /// What failed transactions wrote.
    failed: Vec<Value>,
    /// Several transactions that may have taken effect wrote it.
    crowded: bool,
}

fn map(value: ValueRef<'_>) -> Option<BTreeMap<String, Value>> {
    use crate::value::Kind;
    match value.kind() {
        Kind::Nil => Some(BTreeMap::new()),
        Kind::Map(map) => Some(map.iter().map(|(key, value)| (key.to_owned(), value.to_value())).collect()),
        _ => None,
    }
}

/// The micro-operations of a transaction; the error says which cannot be understood.
fn operations(op: &Op<'_>) -> Result<Vec<KeyOperation>, String> {
    let ok = op.outcome == Outcome::Ok;
    let shown = if ok { op.output } else { op.input };
    let list = shown.as_list().ok_or_else(|| format!("{shown} is no list of operations"))?;
    let operations = list.iter().map(|mop| act(mop, ok).ok_or_else(|| format!("{mop} is not understood")));
    Ok(operations.collect::<Result<Vec<Option<KeyOperation>>, String>>()?.into_iter().flatten().collect())
}

/// A micro-operation: what it says, which is nothing of a read that was not answered. None: it is not understood.
fn act(mop: ValueRef<'_>, ok: bool) -> Option<Option<KeyOperation>> {
    let mop = mop.as_list()?;
    let (function, key, value) = (mop.get(0)?.as_text()?, mop.get(1)?, mop.get(2));
    Some(match function {
        "insert" | "w" => {
            Some(KeyOperation::Write(name_of(key).into_owned(), value.filter(|value| !value.is_nil())?.to_value()))
        }
        "delete" => Some(KeyOperation::Write(name_of(key).into_owned(), Value::Nil)),
        "r" if ok => Some(KeyOperation::Read(name_of(key).into_owned(), value?.to_value())),
        "rp" if ok => Some(KeyOperation::Select(Predicate::parse(key)?, map(value?)?)),
        "r" | "rp" => None,
        _ => return None,
    })
}

/// Workloads with an `init` or with micro-operations on predicates; those with any transaction where there are none.
fn workloads(history: &History) -> Vec<NameId> {
    let predicate = |mop: ValueRef<'_>| {
        let name = mop.as_list().and_then(|mop| mop.get(0)).and_then(|name| name.as_text());
        name.is_some_and(|name| matches!(name, "insert" | "delete" | "rp"))
    };
    let own = workloads_where(history, |op| match history.name(op.function) {
        "init" => true,
        "txn" => op.input.as_list().is_some_and(|mops| mops.iter().any(predicate)),
        _ => false,
    });
    if own.is_empty() { workloads_with(history, &["txn"]) } else { own }
}

/// Why one transaction comes before another.
#[derive(Clone, Debug)]
struct Reason {
    from: usize,
    to: usize,
    kind: EdgeKind,
    key: String,
    predicate: bool,
}

/// The anomaly that a cycle is.
fn kind(cycle: &[Reason]) -> &'static str {
    let missed = cycle.iter().filter(|reason| reason.kind == EdgeKind::Rw).count();
    let item = !cycle.iter().any(|reason| reason.predicate);
    match (missed, item) {
        (0, _) => "G1c",
        (1, true) => "G-single-item",
        (1, false) => "G-single",
        (_, true) => "G2-item",
        (_, false) => "G2",
    }
}

/// A read that no order explains.
struct FlawedRead {
    kind: &'static str,
    reader: usize,
    key: String,
    value: Value,
}

#[derive(Default)]
struct Analysis<'h> {
    txns: Vec<Txn<'h>>,
    keys: BTreeMap<String, Key>,
    reasons: Vec<Reason>,
    wrong: Vec<FlawedRead>,
    /// The call that says what was there at first.
    init: Option<Op<'h>>,
    selects: u64,
    undetermined: u64,
}

impl<'h> Analysis<'h> {
    /// Reads the history; the error names a call that cannot be judged.
    fn new(history: &'h History) -> Result<Analysis<'h>, String> {
        let mut out = Analysis::default();
        let workloads = workloads(history);
        for op in history.ops().iter().filter(|op| workloads.contains(&op.workload)) {
            match history.name(op.function) {
                "init" if op.outcome == Outcome::Fail => {}
                "init" => {
                    let state = map(op.input).filter(|_| op.outcome == Outcome::Ok && out.txns.is_empty());
                    let state =
                        state.ok_or_else(|| format!("#{} is no init that comes first and succeeds.", op.call))?;
                    out.init = Some(op);
                    for (key, first) in state {
                        out.keys.entry(key).or_default().first = first;
                    }
                }
                "txn" => {
                    let operations = operations(&op);
                    let operations =
                        operations.map_err(|why| format!("#{} is no transaction with predicates: {why}.", op.call))?;
                    out.txns.push(Txn { op, operations });
                }
                _ => {}
            }
        }
        for (at, txn) in out.txns.iter().enumerate() {
            for act in &txn.operations {
                match act {
                    KeyOperation::Write(key, value) if txn.op.outcome != Outcome::Fail => {
                        let key = out.keys.entry(key.clone()).or_default();
                        key.crowded |= key.writer.as_ref().is_some_and(|one| one.0 != at);
                        let before = key.writer.replace((at, value.clone()));
                        key.between.extend(before.map(|one| one.1));
                    }
                    KeyOperation::Write(key, value) => {
                        out.keys.entry(key.clone()).or_default().failed.push(value.clone());
                    }
                    KeyOperation::Read(key, _) => {
                        out.keys.entry(key.clone()).or_default();
                    }
                    KeyOperation::Select(_, found) => {
                        for key in found.keys() {
                            out.keys.entry(key.clone()).or_default();
                        }
                    }
                }
            }
        }
        let txns = std::mem::take(&mut out.txns);
        for (at, txn) in txns.iter().enumerate() {
            out.read(at, txn);
        }
        out.txns = txns;
        Ok(out)
    }

    fn read(&mut self, reader: usize, txn: &Txn<'h>) {
        let mut own: BTreeMap<&str, &Value> = BTreeMap::new();
        let keys = std::mem::take(&mut self.keys);
        for act in &txn.operations {
            match act {
                KeyOperation::Write(key, value) => drop(own.insert(key, value)),
                KeyOperation::Read(key, value) => match own.get(key.as_str()) {
                    None => self.version(reader, key, &keys[key], value, false),
                    Some(written) if *written != value => self.wrong("internal", reader, key, value),
                    Some(_) => {}
                },
                KeyOperation::Select(predicate, found) => {
                    self.selects += 1;
                    for (key, about) in &keys {
                        if let Some(written) = own.get(key.as_str()) {
                            let shown = found.get(key);
                            if shown != Some(*written).filter(|written| predicate.matches(written)) {
                                self.wrong("internal", reader, key, &shown.cloned().unwrap_or_default());
                            }
                            continue;
                        }
                        match found.get(key) {
                            Some(value) if !predicate.matches(value) => {
                                self.wrong("predicate-mismatch", reader, key, value)
                            }
                            Some(value) => self.version(reader, key, about, value, true),
                            None if about.crowded => self.undetermined += 1,
                            None => self.missing(reader, key, about, predicate),
                        }
                    }
                }
            }
        }
        self.keys = keys;
    }

    fn wrong(&mut self, kind: &'static str, reader: usize, key: &str, value: &Value) {
        self.wrong.push(FlawedRead { kind, reader, key: key.to_owned(), value: value.clone() });
    }

    /// The reader saw this value.
    fn version(&mut self, reader: usize, key: &str, about: &Key, value: &Value, predicate: bool) {
        if about.crowded {
            self.undetermined += 1;
            return;
        }
        let second = about.writer.as_ref().filter(|(_, written)| written == value);
        match (second, *value == about.first) {
            // Deleted and never there look the same.
            (Some(_), true) => self.undetermined += 1,
            (Some(&(writer, _)), false) if writer == reader => self.wrong("future-read", reader, key, value),
            (Some(&(writer, _)), false) => self.reason(writer, reader, EdgeKind::Wr, key, predicate),
            (None, true) => {
                if let Some(&(writer, _)) = about.writer.as_ref() {
                    self.reason(reader, writer, EdgeKind::Rw, key, false);
                }
            }
            (None, false) if about.between.contains(value) => self.wrong("G1b", reader, key, value),
            // What init did comes before all others.
            (None, false) if value.is_nil() && !about.failed.contains(value) => {
                self.wrong("G-single-item", reader, key, value)
            }
            (None, false) => self.wrong("garbage-read", reader, key, value),
        }
    }

    /// The key is missing from what the predicate found.
    fn missing(&mut self, reader: usize, key: &str, about: &Key, predicate: &Predicate) {
        let first = !predicate.matches(&about.first);
        // What it writes only later is no version that it can have read.
        let writer = about.writer.as_ref();
        let second = writer.filter(|one| one.0 != reader).map(|(writer, value)| (*writer, !predicate.matches(value)));
        match (first, second) {
            (true, Some((writer, false))) => self.reason(reader, writer, EdgeKind::Rw, key, true),
            (false, Some((writer, true))) => self.reason(writer, reader, EdgeKind::Wr, key, true),
            (false, _) => self.wrong("predicate-read-miss", reader, key, &Value::Nil),
            (true, _) => {}
        }
    }

    fn reason(&mut self, from: usize, to: usize, kind: EdgeKind, key: &str, predicate: bool) {
        if from != to {
            self.reasons.push(Reason { from, to, kind, key: key.to_owned(), predicate });
        }
    }

    /// Only transactions that took effect: an Info one did if someone saw what it wrote.
    fn committed(&self) -> Vec<bool> {
        let mut committed: Vec<bool> = self.txns.iter().map(|txn| txn.op.outcome == Outcome::Ok).collect();
        for reason in self.reasons.iter().filter(|reason| reason.kind == EdgeKind::Wr) {
            committed[reason.from] = true;
        }
        committed
    }

    /// One cycle for each strongly connected component.
    fn cycles(&self) -> Vec<Vec<Reason>> {
        let committed = self.committed();
        let reasons: Vec<&Reason> =
            self.reasons.iter().filter(|reason| committed[reason.from] && committed[reason.to]).collect();
        let pairs: Vec<(u32, u32)> = reasons.iter().map(|reason| (reason.from as u32, reason.to as u32)).collect();
        let cycles = cycle_of_each_component(self.txns.len(), &pairs).into_iter();
        cycles.map(|cycle| cycle.into_iter().map(|at| reasons[at].clone()).collect()).collect()
    }
}

impl Analysis<'_> {
    /// A read of a value that no transaction tried to write, where it may have been there at first.
    fn unexplained(&self) -> Option<&FlawedRead> {
        let foreign =
            |wrong: &&FlawedRead| wrong.kind == "garbage-read" && !self.keys[&wrong.key].failed.contains(&wrong.value);
        self.wrong.iter().find(foreign).filter(|_| self.init.is_none())
    }

    /// Whether a transaction beside `init` may have written something.
    fn changed(&self) -> bool {
        self.keys.values().any(|key| key.writer.is_some())
    }
}

impl Checker for ClosedPredicate {
    fn name(&self) -> &str {
        "closed-predicate"
    }

    /// Who saw whose writes is all that is judged.
    fn needs_realtime(&self) -> bool {
        false
    }

    /// Those with an `init` or with what only these transactions have; all with transactions where there are none.
    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads(history)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let analysis = match Analysis::new(history) {
            Ok(analysis) => analysis,
            Err(why) => return Verdict::unknown(self.name(), why),
        };
        if let Some(FlawedRead { reader, key, value, .. }) = analysis.unexplained() {
            let call = analysis.call(*reader);
            let why = format!(
                "#{call} read {value} of key {key}, which no call wrote, and no init says what was there at first."
            );
            return Verdict::unknown(self.name(), why);
        }
        if (budget.expired)() {
            let why = format!(
                "The time was up before it was decided whether {} contradict each other.",
                messages::count(analysis.txns.len(), "transaction")
            );
            return Verdict::unknown(self.name(), why);
        }
        let cycles = analysis.cycles();
        let mut report = Report::new(history);
        for wrong in &analysis.wrong {
            report.violation(wrong.kind, || analysis.wrong_read(wrong));
        }
        for cycle in &cycles {
            report.violation(kind(cycle), || analysis.cycle(cycle));
        }
        let crowded = analysis.keys.values().filter(|key| key.crowded).count();
        let otherwise = if analysis.selects == 0 {
            (Validity::Unknown, "No predicate was read.".to_owned())
        } else if crowded > 0 {
            let keys = messages::count(crowded, "key");
            (Validity::Unknown, format!("Several transactions wrote {keys}: the order of the versions is not known."))
        } else if !analysis.changed() {
            let text = "Nothing was written beside init, so no predicate could have missed anything.";
            (Validity::Unknown, text.to_owned())
        } else {
            let reads = messages::count(analysis.selects as usize, "predicate read");
            (Validity::Valid, format!("Some serial order explains {reads}."))
        };
        report.numbers([
            ("txns", analysis.txns.len() as u64),
            ("keys", analysis.keys.len() as u64),
            ("predicate_reads", analysis.selects),
            ("dependency_edges", analysis.reasons.len() as u64),
            ("undetermined_versions", analysis.undetermined),
        ]);
        let reads = messages::count(analysis.wrong.len(), "flawed read");
        let cycles = messages::count(cycles.len(), "contradiction");
        report.conclude(self.name(), otherwise, |_| format!("Not serializable: {reads}, {cycles}."))
    }
}

impl Analysis<'_> {
    fn call(&self, txn: usize) -> u64 {
        self.txns[txn].op.call
    }

    fn wrong_read(&self, wrong: &FlawedRead) -> Violation<'_> {
        let (call, key, value) = (self.call(wrong.reader), &wrong.key, &wrong.value);
        let title = match wrong.kind {
            "predicate-mismatch" => {
                format!("#{call} was shown {value} of key {key}, which does not match its predicate")
            }
            "G1b" => format!("#{call} read {value} of key {key}, which its writer wrote only in between"),
            "internal" => format!("#{call} read {value} of key {key}, which it had written itself before"),
            "future-read" => format!("#{call} read {value} of key {key}, which it wrote only later"),
            "predicate-read-miss" => format!("#{call} missed key {key}, every version of which matches its predicate"),
            "G-single-item" => {
                let (first, init) = (&self.keys[key].first, self.init.map_or(0, |op| op.call));
                format!("#{call} read nil of key {key}: a stale state, from before #{init} (init) set it to {first}")
            }
            _ => format!("#{call} read {value} of key {key}, which no transaction wrote that may have taken effect"),
        };
        self.violation(wrong.kind, title, &[wrong.reader], Vec::new())
    }

    fn cycle(&self, cycle: &[Reason]) -> Violation<'_> {
        let kind = kind(cycle);
        let mut edges = Vec::new();
        let mut sentences = Vec::new();
        for reason in cycle {
            let (from, to, key) = (self.call(reason.from), self.call(reason.to), &reason.key);
            let about = &self.keys[key];
            let written = about.writer.as_ref().map(|one| one.1.clone()).unwrap_or_default();
            let through = if reason.predicate { "its predicate read" } else { "its read" };
            sentences.push(match reason.kind {
                EdgeKind::Wr => {
                    format!("#{from} comes before #{to}: {through} saw what #{from} made of key {key}: {written}.")
                }
                _ => format!(
                    "#{from} comes before #{to}: {through} did not see what #{to} made of key {key}: {written}."
                ),
            });
            let before = if reason.kind == EdgeKind::Wr { written.clone() } else { about.first.clone() };
            edges.push(Edge { from, to, kind: reason.kind, key: Value::text(key), before, after: written });
        }
        let title = format!("{} that each precede the next", messages::count(cycle.len(), "transaction"));
        let members: Vec<usize> = cycle.iter().map(|reason| reason.from).collect();
        // What a predicate read does not show is nothing that a certificate can say so far.
        Violation { cycle: edges, ..self.violation(kind, title, &members, sentences) }
    }

    fn violation(&self, kind: &'static str, title: String, txns: &[usize], reasons: Vec<String>) -> Violation<'_> {
        let ops: Vec<Op<'_>> = txns.iter().map(|&txn| self.txns[txn].op).collect();
        Violation { reasons, certified: false, ..Violation::new(kind, title, Value::Nil, ops) }
    }
}

#[cfg(test)]
mod tests;
