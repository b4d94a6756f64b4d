//! What judges a history that names no plan: by the functions that were called and, where these are the same, by what
//! went in and came out. It decides nothing where several kinds of objects have these calls.
use dsfuzz_checkers::history::{Op, Outcome};
use dsfuzz_checkers::{History, MODELS};
use std::collections::BTreeSet;
use std::fmt;

/// A checker that fits, with its model where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) checker: &'static str,
    pub(super) model: Option<&'static str>,
}

/// As on the command line.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.checker)?;
        self.model.map_or(Ok(()), |model| write!(f, " --model {model}"))
    }
}

/// When a checker fits.
struct Row {
    candidate: Candidate,
    /// One of these was called.
    marks: &'static [&'static str],
    /// All that it knows.
    knows: &'static [&'static str],
    /// What else has to be true.
    shape: fn(&Seen<'_>) -> bool,
}

const fn row(
    checker: &'static str,
    marks: &'static [&'static str],
    knows: &'static [&'static str],
    shape: fn(&Seen<'_>) -> bool,
) -> Row {
    Row { candidate: Candidate { checker, model: None }, marks, knows, shape }
}

/// An object of this model, which knows its functions itself.
const fn model(name: &'static str, marks: &'static [&'static str], shape: fn(&Seen<'_>) -> bool) -> Row {
    Row { candidate: Candidate { checker: "linearizable", model: Some(name) }, marks, knows: &[], shape }
}

const ANY: fn(&Seen<'_>) -> bool = |_| true;

/// Where two checkers judge the same object, the one that is meant without a name: `set` rather than `set-full`.
const ROWS: &[Row] = &[
    row("list-append", &["txn"], &["txn"], |seen| seen.part("append")),
    // Reads alone are judged as those of registers.
    row("rw-register", &["txn"], &["txn"], |seen| {
        seen.part("w") || !["append", "send", "poll"].iter().any(|name| seen.part(name))
    }),
    row("kafka", &["send", "poll"], KAFKA, |seen| !seen.called("receive")),
    row("kafka", &["txn"], KAFKA, |seen| seen.part("send") || seen.part("poll")),
    row("closed-predicate", &["init"], &["init", "txn"], ANY),
    row("watch", &["watch"], &["watch", "put", "delete", "txn"], ANY),
    row("bank", &["transfer"], &["transfer", "read", "txn"], ANY),
    row("linearizable", &["write", "cas"], &["read", "write", "cas"], |seen| !seen.asked && !seen.reads_parts),
    model("multi-register", &["write"], |seen| seen.asked && seen.writes_maps),
    row("long-fork", &["read", "write"], &["read", "write"], |seen| seen.reads_parts),
    row("causal-reverse", &["write", "insert", "append"], REVERSE, |seen| seen.reads_lists && !seen.writes_lists),
    model("kv", &["get", "put"], |seen| !seen.asked),
    model("kv", &["append"], |seen| !seen.asked && seen.called("read")),
    model("log", &["append"], |seen| !seen.called("put")),
    row("counter", &["add"], &["add", "read"], |seen| seen.reads_numbers || (!seen.answered && seen.adds_numbers)),
    row("counter", &["increment", "decrement"], &["add", "increment", "decrement", "read"], ANY),
    model("counter", &["inc", "dec", "add-and-get"], ANY),
    row("set", &["add"], &["add", "read"], |seen| !seen.reads_numbers && !seen.rows()),
    row("monotonic", &["add"], &["add", "read"], |seen| seen.rows()),
    model("set", &["contains", "remove"], |seen| seen.called("add")),
    row("crdt", &["remove"], &["add", "remove", "read"], |seen| seen.called("add")),
    row("queue", &["enqueue", "dequeue"], &["enqueue", "dequeue"], ANY),
    row("total-queue", &["drain"], &["enqueue", "dequeue", "drain"], ANY),
    model("fifo-queue", &["receive"], ANY),
    model("unordered-queue", &["receive"], ANY),
    model("stack", &["push", "pop"], ANY),
    model("priority-queue", &["extract"], ANY),
    row("g2", &["insert"], &["insert"], ANY),
    row("lock", &["acquire", "release"], &["acquire", "release"], ANY),
    // A number is a number of permits, or who acquires.
    row("semaphore", &["acquire"], &["acquire", "release"], |seen| seen.acquires_numbers),
    row("lease", &["renew"], &["acquire", "renew", "release"], ANY),
    model("lease", &["holder"], ANY),
    row("fencing", &["acquire"], &["acquire", "release", "write", "log"], |seen| {
        seen.called("write") || seen.called("log")
    }),
    row("unique-ids", &["generate"], &["generate"], ANY),
    row("atomic-commit", &["commit"], &["commit", "status"], ANY),
    row("saga", &["start"], &["start", "log"], ANY),
    model("leader-election", &["campaign", "resign"], ANY),
    row("leadership", &["elect", "leader"], &["elect", "leader"], ANY),
];

const KAFKA: &[&str] = &["send", "poll", "txn", "assign", "subscribe", "seek", "rebalance", "crash"];
const REVERSE: &[&str] = &["write", "insert", "append", "read"];

/// The checkers that fit, those that know every function if there are such. Of several, none is meant without doubt.
pub(super) fn fitting(history: &History) -> Vec<Candidate> {
    let seen = Seen::of(history);
    let fits = |row: &&Row| row.marks.iter().any(|mark| seen.called(mark)) && (row.shape)(&seen);
    let rows: Vec<&Row> = ROWS.iter().filter(fits).collect();
    let knows = |row: &Row| {
        let of_model = row.candidate.model.and_then(|name| MODELS.iter().find(|model| model.name == name));
        let known = of_model.map_or(row.knows, |model| model.functions);
        seen.functions.iter().all(|function| known.contains(function))
    };
    let whole = rows.iter().any(|row| knows(row));
    let mut candidates: Vec<Candidate> = Vec::new();
    for row in rows.into_iter().filter(|row| !whole || knows(row)) {
        if !candidates.contains(&row.candidate) {
            candidates.push(row.candidate);
        }
    }
    candidates
}

/// The functions that were called, by name.
pub(super) fn functions(history: &History) -> Vec<&str> {
    Seen::of(history).functions.into_iter().collect()
}

/// What the rows ask about a history.
#[derive(Debug, Default)]
struct Seen<'h> {
    functions: BTreeSet<&'h str>,
    /// The first words of the parts of transactions.
    parts: BTreeSet<&'h str>,
    /// What is called `read` or `write` is a list of parts of a transaction.
    reads_parts: bool,
    /// A read (a get) has an argument that is not its reply: it asks for something.
    asked: bool,
    /// A read was answered, with something.
    answered: bool,
    reads_numbers: bool,
    reads_lists: bool,
    /// A read's list holds something other than pairs, or nothing that was read is a list with something in it.
    reads_plain: bool,
    reads_pairs: bool,
    writes_lists: bool,
    writes_maps: bool,
    adds_numbers: bool,
    adds_lists: bool,
    acquires_numbers: bool,
}

impl<'h> Seen<'h> {
    fn of(history: &'h History) -> Seen<'h> {
        let mut seen = Seen { adds_numbers: true, ..Seen::default() };
        for op in history.ops().iter() {
            let function = history.name(op.function);
            seen.functions.insert(function);
            seen.parts(function, &op);
            match function {
                "read" | "get" => seen.read(&op),
                "write" | "insert" | "append" => {
                    seen.writes_lists |= op.input.as_list().is_some();
                    seen.writes_maps |= op.input.as_map().is_some();
                }
                "add" => {
                    seen.adds_numbers &= op.input.as_int().is_some();
                    seen.adds_lists |= op.input.as_list().is_some();
                }
                "acquire" => seen.acquires_numbers |= op.input.as_int().is_some(),
                _ => {}
            }
        }
        seen
    }

    fn parts(&mut self, function: &str, op: &Op<'h>) {
        if !matches!(function, "txn" | "read" | "write") {
            return;
        }
        for part in op.input.as_list().unwrap_or_default().iter() {
            let Some(head) = part.as_list().and_then(|part| part.get(0)?.as_text()) else { continue };
            if function == "txn" {
                self.parts.insert(head);
            } else {
                self.reads_parts |= matches!(head, "r" | "w");
            }
        }
    }

    fn read(&mut self, op: &Op<'h>) {
        if op.outcome != Outcome::Ok {
            return;
        }
        self.asked |= !op.input.is_nil() && op.input != op.output;
        self.answered |= !op.output.is_nil();
        self.reads_numbers |= op.output.as_int().is_some();
        let Some(list) = op.output.as_list() else { return };
        self.reads_lists = true;
        for item in list.iter() {
            let pair = item.as_list().is_some_and(|item| item.len() == 2);
            self.reads_pairs |= pair;
            self.reads_plain |= !pair;
        }
    }

    fn called(&self, function: &str) -> bool {
        self.functions.contains(function)
    }

    fn part(&self, head: &str) -> bool {
        self.parts.contains(head)
    }

    /// What is read are pairs, which were not added as such: rows with their timestamps.
    fn rows(&self) -> bool {
        self.reads_pairs && !self.reads_plain && !self.adds_lists
    }
}
