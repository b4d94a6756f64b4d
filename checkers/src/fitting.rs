//! What judges a history that names no plan: by the functions that were called and by what
//! went in and came out, of each workload on its own. It decides nothing where several kinds of objects have these
//! calls, and nothing without positive signs: where what comes out is of another kind than what went in (texts for
//! numbers, values with their versions for values), or where an element has no value, a checker would accuse what it does
//! not recognise.
use crate::functions::{self, Argument, FunctionKind, Reply};
use crate::history::{History, NameId, Op, Outcome};
use crate::models::{MODELS, versioned};
use crate::options::Options;
use crate::value::{Kind, Value, ValueRef};
use crate::verdict::messages;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A checker that fits, with its model where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The checker's name.
    pub checker: &'static str,
    /// What its option `model` is, where it has to be told.
    pub model: Option<&'static str>,
}

impl Candidate {
    /// The checker with these options, and this model where they name none.
    pub fn with(self, (checker, mut options): (String, Options)) -> (String, Options) {
        if let Some(model) = self.model {
            options.0.entry("model".to_owned()).or_insert_with(|| Value::text(model));
        }
        (checker, options)
    }
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
const ALIKE: fn(&Seen<'_>) -> bool = |seen| seen.alike();

/// Where two checkers judge the same object, the one that is meant without a name: `set` rather than `set-full`.
const ROWS: &[Row] = &[
    row("list-append", &["txn"], &["txn"], |seen| {
        let others = ["w", "send", "poll", "rp"].iter().any(|name| seen.part(name));
        (seen.part("append") || (seen.parts_read_lists && !others)) && seen.elements_alike()
    }),
    // Reads alone are judged as those of registers, where they did not read lists.
    row("rw-register", &["txn"], &["txn"], |seen| {
        let others = ["append", "send", "poll", "rp"].iter().any(|name| seen.part(name));
        let registers = seen.part("w") && !seen.part("rp") || seen.part("r") && !(others || seen.parts_read_lists);
        registers && seen.alike()
    }),
    row("closed-predicate", &["txn"], &["init", "txn"], |seen| seen.part("rp")),
    row("kafka", &["send", "poll"], KAFKA, |seen| !seen.called("receive")),
    row("kafka", &["txn"], KAFKA, |seen| seen.part("send") || seen.part("poll")),
    row("closed-predicate", &["init"], &["init", "txn"], ANY),
    row("watch", &["watch"], &["watch", "put", "delete", "txn"], ANY),
    row("bank", &["transfer"], &["transfer", "read", "txn"], ANY),
    row("linearizable", &["write", "cas"], REGISTER, |seen| {
        !seen.asked && !seen.versioned && !seen.reads_parts && seen.alike()
    }),
    model("versioned-register", &["write", "cas"], |seen| seen.versioned),
    model("multi-register", &["write"], |seen| seen.asked && seen.writes_maps),
    row("long-fork", &["read", "write"], &["read", "write"], |seen| seen.reads_parts),
    // Lists that are read of what is written may be values with their versions.
    row("causal-reverse", &["write", "insert", "append"], REVERSE, |seen| {
        // What was written may be read with its version, as lists of two.
        let lists = seen.reads_other_lists && seen.elements_alike() || !seen.called("write");
        seen.reads_lists && !seen.writes_lists && lists
    }),
    model("kv", &["get", "put"], |seen| !seen.asked && seen.alike()),
    model("kv", &["append"], |seen| !seen.asked && seen.called("read")),
    model("log", &["append"], |seen| !seen.called("put")),
    // Without an argument an add may take the largest value plus one, count, or not say what it adds.
    row("counter", &["add"], &["add", "read"], |seen| {
        (seen.reads_numbers && seen.adds_some_numbers) || (!seen.answered && seen.adds_numbers) || seen.nameless()
    }),
    row("counter", &["increment", "decrement"], &["add", "increment", "decrement", "read"], ANY),
    // Final reads of nobody knows which node: Maelstrom's counters may be behind until then.
    row("crdt", &["add", "increment", "decrement"], &["add", "increment", "decrement", "read"], |seen| {
        seen.reads_numbers && seen.settles && !seen.placed
    }),
    model("counter", &["inc", "dec", "add-and-get"], ANY),
    row("set", &["add"], &["add", "read"], |seen| {
        let elements = !seen.adds_nothing && (seen.reads_lists && seen.elements_alike() || !seen.answered);
        elements && !seen.rows() || seen.nameless()
    }),
    row("monotonic", &["add"], &["add", "read"], |seen| seen.rows() || seen.nameless()),
    model("set", &["contains", "remove"], |seen| seen.called("add")),
    row("crdt", &["remove"], &["add", "remove", "read"], |seen| seen.called("add")),
    row("queue", &["enqueue", "dequeue"], &["enqueue", "dequeue"], ALIKE),
    row("total-queue", &["drain"], &["enqueue", "dequeue", "drain"], ALIKE),
    model("fifo-queue", &["receive"], ALIKE),
    model("unordered-queue", &["receive"], ALIKE),
    model("stack", &["push", "pop"], ALIKE),
    model("priority-queue", &["extract"], ALIKE),
    row("g2", &["insert"], &["insert"], ANY),
    row("lock", &["acquire", "release"], &["acquire", "release"], ANY),
    // A number is a number of permits, unless it says who acquires.
    row("semaphore", &["acquire"], &["acquire", "release"], |seen| seen.acquires_numbers && !seen.acquires_own()),
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

const REGISTER: &[&str] = &["read", "write", "cas"];

/// What judges one workload.
#[derive(Debug)]
pub struct Fit<'h> {
    /// The workload's name.
    pub workload: &'h str,
    /// What was called, by name.
    pub functions: Vec<&'h str>,
    /// The checkers that fit, those that know every function if there are such. Of several, none is meant without
    /// doubt.
    pub candidates: Vec<Candidate>,
    /// Where none fits: those that know every function, although what went in and came out is not what they expect.
    pub possible: Vec<Candidate>,
    /// What went in is of another kind than what came out, where that is why none fits.
    pub unlike: Option<String>,
    /// A read with an argument of its own, where no checker fits: as it stands in the history.
    pub asked: Option<String>,
}

/// What judges each workload of the history. A model of an object that was named is meant where it knows the calls.
pub fn fitting<'h>(history: &'h History, model: Option<&str>) -> Vec<Fit<'h>> {
    let object = model.and_then(|name| MODELS.iter().find(|model| model.name == name));
    let seen = Seen::of(history).into_iter();
    let fits = seen.map(|(workload, seen)| {
        let named = object.filter(|model| seen.functions.iter().any(|function| model.functions.contains(function)));
        let candidates = match named {
            Some(model) => vec![Candidate { checker: "linearizable", model: Some(model.name) }],
            None => candidates(&seen, |row| (row.shape)(&seen)),
        };
        let none = candidates.is_empty();
        let possible = if none { candidates_of(&seen) } else { Vec::new() };
        let alike = if seen.called("add") || seen.part("append") { seen.elements_alike() } else { seen.alike() };
        let unlike = (none && !alike).then(|| seen.unlike());
        let functions = seen.called_as.iter().copied().collect();
        let asked = seen.asked_by.filter(|_| none);
        Fit { workload: history.name(workload), functions, candidates, possible, unlike, asked }
    });
    fits.collect()
}

/// Those that know every function, whatever went in and came out.
fn candidates_of(seen: &Seen<'_>) -> Vec<Candidate> {
    let known = candidates(seen, |_| true);
    let knows = |candidate: &Candidate| {
        let of_model = candidate.model.and_then(|name| MODELS.iter().find(|model| model.name == name));
        let rows = ROWS.iter().filter(|row| row.candidate == *candidate);
        let functions: Vec<&str> = of_model
            .map_or_else(|| rows.flat_map(|row| row.knows).copied().collect(), |model| model.functions.to_vec());
        seen.functions.iter().all(|function| functions.contains(function))
    };
    known.into_iter().filter(knows).collect()
}

fn candidates(seen: &Seen<'_>, shape: impl Fn(&Row) -> bool) -> Vec<Candidate> {
    let fits = |row: &&Row| row.marks.iter().any(|mark| seen.called(mark)) && shape(row);
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

/// A name for a workload whose calls name none: what they mean, if they leave no doubt.
pub(crate) fn name_of(history: &History, workload: NameId) -> &'static str {
    let seen = Seen::of(history).into_iter().find(|(id, _)| *id == workload);
    let Some((_, seen)) = seen else { return UNNAMED };
    match candidates(&seen, |row| (row.shape)(&seen))[..] {
        [Candidate { model: Some(model), .. }] => model,
        [Candidate { checker: "linearizable", .. }] => "register",
        [Candidate { checker, .. }] => checker,
        // Also reads alone, and what is no register without doubt: who judges them as one finds them by this name.
        _ if seen.functions.iter().all(|function| REGISTER.contains(function)) => "register",
        _ => UNNAMED,
    }
}

const UNNAMED: &str = "calls";

/// Every function that some checker or model knows for certain, as often as one does.
#[cfg(test)]
pub(crate) fn known_functions() -> Vec<&'static str> {
    let of_rows = ROWS.iter().flat_map(|row| row.marks.iter().chain(row.knows));
    of_rows.chain(MODELS.iter().flat_map(|model| model.functions)).copied().collect()
}

/// The workloads of the history, by name, with the functions that were called; a list of micro-operations is a `txn`.
pub(crate) fn called(history: &History) -> Vec<(&str, BTreeSet<&str>)> {
    let seen = Seen::of(history).into_iter();
    seen.map(|(workload, seen)| (history.name(workload), seen.functions)).collect()
}

/// What the rows ask about a workload.
#[derive(Debug, Default)]
struct Seen<'h> {
    /// What was called; a list of micro-operations is a `txn`, whatever its function is called.
    functions: BTreeSet<&'h str>,
    /// The same by the names that the history has.
    called_as: BTreeSet<&'h str>,
    /// The first words of the parts of transactions.
    parts: BTreeSet<&'h str>,
    /// A transaction read a list.
    parts_read_lists: bool,
    /// What is called `read` or `write` is a list of parts of a transaction.
    reads_parts: bool,
    /// A read (a get) has an argument that is not its reply: it asks for something.
    asked: bool,
    /// The first such, as it stands in the history.
    asked_by: Option<String>,
    /// A read was answered, with something.
    answered: bool,
    reads_numbers: bool,
    reads_lists: bool,
    /// A read's list has one element, or more than two.
    reads_other_lists: bool,
    /// A read's list holds something other than pairs, or nothing that was read is a list with something in it.
    reads_plain: bool,
    reads_pairs: bool,
    writes_lists: bool,
    writes_maps: bool,
    /// Every add.
    adds_numbers: bool,
    adds_some_numbers: bool,
    adds_lists: bool,
    /// Some add has no argument.
    adds_nothing: bool,
    /// Arguments of writes are `[version, value]` of which the reply alone has the version, and so are reads.
    versioned: bool,
    /// Kinds of what was brought (written, added, ...), of what was shown as it stands (read, taken), and of the elements of
    /// lists that were read.
    brought: BTreeSet<&'static str>,
    shown: BTreeSet<&'static str>,
    elements: BTreeSet<&'static str>,
    /// There are final reads.
    settles: bool,
    /// A call names its node.
    placed: bool,
    acquires_numbers: bool,
    /// Some acquired with something other than the caller's own number.
    acquires_others: bool,
    /// The callers' own numbers that were acquired with.
    acquires_owners: BTreeSet<u64>,
}

impl<'h> Seen<'h> {
    /// Each workload with what was seen of it, in the order in which they first made a call.
    fn of(history: &'h History) -> Vec<(NameId, Seen<'h>)> {
        let workloads = history.workloads();
        let new = || Seen { adds_numbers: true, ..Seen::default() };
        let mut all: BTreeMap<NameId, Seen<'h>> = workloads.iter().map(|workload| (*workload, new())).collect();
        for op in history.ops().iter() {
            let Some(seen) = all.get_mut(&op.workload) else { continue };
            let function = history.name(op.function);
            seen.called_as.insert(function);
            seen.settles |= op.settle;
            seen.placed |= messages::placed(history, &op);
            let tagged = function != "txn" && functions::is_micro_operations(op.input);
            // Reads and writes of long forks are told apart from transactions in general.
            let fork = tagged && matches!(function, "read" | "write") && single_minded(function, op.input);
            seen.functions.insert(if tagged && !fork { "txn" } else { function });
            seen.parts(if tagged && !fork { "txn" } else { function }, &op);
            if !tagged {
                seen.kinds(function, &op);
            }
            match function {
                _ if reads(function) => seen.read(function, &op),
                "write" | "insert" | "append" => {
                    seen.writes_lists |= op.input.as_list().is_some();
                    seen.writes_maps |= op.input.as_map().is_some();
                }
                "add" => {
                    seen.adds_numbers &= op.input.as_int().is_some();
                    seen.adds_some_numbers |= op.input.as_int().is_some();
                    seen.adds_nothing |= op.input.is_nil();
                    seen.adds_lists |= op.input.as_list().is_some();
                }
                "acquire" => {
                    let (number, own) = (op.input.as_int(), history.client(op.process));
                    seen.acquires_numbers |= number.is_some();
                    if number.is_some_and(|number| u64::try_from(number) == Ok(own)) {
                        seen.acquires_owners.insert(own);
                    } else {
                        seen.acquires_others = true;
                    }
                }
                _ => {}
            }
        }
        for seen in all.values_mut() {
            // Reads and writes beside transactions are transactions, too.
            if seen.reads_parts && seen.functions.contains("txn") {
                seen.functions.remove("read");
                seen.functions.remove("write");
                seen.reads_parts = false;
            }
        }
        let versions = versioned::recognised(history);
        for (workload, seen) in &mut all {
            seen.versioned = versions.contains(workload);
        }
        workloads.into_iter().filter_map(|workload| Some((workload, all.remove(&workload)?))).collect()
    }

    fn parts(&mut self, function: &str, op: &Op<'h>) {
        if !matches!(function, "txn" | "read" | "write") {
            return;
        }
        for part in op.input.as_list().unwrap_or_default().iter() {
            let Some(head) = part.as_list().and_then(|part| part.get(0)?.as_text()) else { continue };
            if function == "txn" {
                self.parts.insert(head);
                let value = part.as_list().and_then(|part| part.get(2)).filter(|_| matches!(head, "w" | "append"));
                value.into_iter().for_each(|value| note(&mut self.brought, value));
            } else {
                self.reads_parts |= matches!(head, "r" | "w");
            }
        }
        for part in op.output.as_list().filter(|_| function == "txn").unwrap_or_default().iter() {
            let Some(part) = part.as_list() else { continue };
            let reads = part.get(0).and_then(|head| head.as_text()) == Some("r");
            let Some(value) = part.get(2).filter(|_| reads) else { continue };
            self.parts_read_lists |= value.as_list().is_some();
            if op.outcome == Outcome::Ok {
                note(&mut self.shown, value);
                note_elements(&mut self.elements, value);
            }
        }
    }

    /// What kinds of values go in and come out.
    fn kinds(&mut self, function: &str, op: &Op<'h>) {
        let function = functions::function(function);
        match function.argument {
            Argument::Value | Argument::Element => note(&mut self.brought, op.input),
            Argument::Swap => {
                // What it sets.
                let set = op.input.as_list().and_then(|both| both.get(both.len().saturating_sub(1)));
                set.into_iter().for_each(|value| note(&mut self.brought, value));
            }
            _ => {}
        }
        match function.reply {
            Reply::Elements if op.outcome == Outcome::Ok => note_elements(&mut self.shown, op.output),
            Reply::Value if op.outcome == Outcome::Ok => {
                note(&mut self.shown, op.output);
                note_elements(&mut self.elements, op.output);
            }
            _ => {}
        }
    }

    /// Whether what came out may be what went in.
    fn alike(&self) -> bool {
        self.may_be(&self.shown)
    }

    /// Whether the elements of what came out may be what went in.
    fn elements_alike(&self) -> bool {
        self.may_be(&self.elements)
    }

    /// Whether values of these kinds may be what went in: some are of the same kind, or there is nothing to compare; and
    /// there is no list or object among them where none went in, such as a value with its version.
    fn may_be(&self, kinds: &BTreeSet<&str>) -> bool {
        let composite = |kind: &&&str| matches!(**kind, "lists" | "objects");
        let none = self.brought.is_empty() || kinds.is_empty();
        none || !self.brought.is_disjoint(kinds)
            && kinds.iter().filter(composite).all(|kind| self.brought.contains(kind))
    }

    fn unlike(&self) -> String {
        let told = |kinds: &BTreeSet<&str>| kinds.iter().copied().collect::<Vec<_>>().join(", ");
        let of = if self.elements.is_empty() { String::new() } else { format!(" of {}", told(&self.elements)) };
        let shown = told(&self.shown).replace("lists", &format!("lists{of}"));
        format!("{} went in, {shown} came out", told(&self.brought))
    }

    /// Adds without an argument, whose values nobody shows: a set, a counter or a table.
    fn nameless(&self) -> bool {
        self.adds_nothing && !self.rows()
    }

    fn read(&mut self, function: &str, op: &Op<'h>) {
        if op.outcome != Outcome::Ok {
            return;
        }
        if !op.input.is_nil() && op.input != op.output {
            self.asked = true;
            self.asked_by.get_or_insert_with(|| format!("#{} {function} {} -> {}", op.call, op.input, op.output));
        }
        self.answered |= !op.output.is_nil();
        self.reads_numbers |= op.output.as_int().is_some();
        let Some(list) = op.output.as_list() else { return };
        self.reads_lists = true;
        self.reads_other_lists |= !matches!(list.len(), 0 | 2);
        for item in list.iter() {
            let row = || item.as_map().is_some_and(|row| row.get("val").is_some() && row.get("sts").is_some());
            let pair = item.as_list().is_some_and(|item| item.len() == 2) || row();
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

    /// All acquired with their own numbers: one of them no number of permits, or several, each another.
    fn acquires_own(&self) -> bool {
        !self.acquires_others && (self.acquires_owners.len() > 1 || self.acquires_owners.contains(&0))
    }

    /// What is read are pairs, which were not added as such: rows with their timestamps.
    fn rows(&self) -> bool {
        self.reads_pairs && !self.reads_plain && !self.adds_lists
    }
}

/// Whether a function of this name answers with the value of an object, and changes nothing.
fn reads(name: &str) -> bool {
    let function = functions::function(name);
    function.kind == FunctionKind::Read && function.reply == Reply::Value
}

/// The kinds of what is in a list.
fn note_elements(kinds: &mut BTreeSet<&'static str>, value: ValueRef<'_>) {
    // Of a long list the beginning tells it.
    value.as_list().unwrap_or_default().iter().take(64).for_each(|element| note(kinds, element));
}

/// The kind of a value.
fn note(kinds: &mut BTreeSet<&'static str>, value: ValueRef<'_>) {
    match value.kind() {
        Kind::Nil => {}
        // An empty list holds nothing of any kind.
        Kind::List(list) if list.is_empty() => {}
        Kind::Bool(_) => drop(kinds.insert("flags")),
        Kind::Int(_) => drop(kinds.insert("numbers")),
        Kind::Text(_) => drop(kinds.insert("texts")),
        Kind::Map(_) => drop(kinds.insert("objects")),
        Kind::List(_) => drop(kinds.insert("lists")),
    }
}

/// Whether these micro-operations are only what the function's name says: reads, or one write.
fn single_minded(function: &str, mops: ValueRef<'_>) -> bool {
    let mops = mops.as_list().unwrap_or_default();
    let head = |mop: ValueRef<'_>| mop.as_list().and_then(|mop| mop.get(0)?.as_text()).unwrap_or_default().to_owned();
    match function {
        "read" => mops.iter().all(|mop| head(mop) == "r"),
        _ => mops.len() == 1 && mops.iter().all(|mop| head(mop) == "w"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::CHECKERS;

    #[test]
    fn every_row_is_about_a_checker_or_a_model() {
        for row in ROWS {
            let name = row.candidate.checker;
            let doc = CHECKERS.iter().find(|doc| doc.name == name).unwrap_or_else(|| panic!("no checker {name}"));
            if let Some(model) = row.candidate.model {
                assert!(MODELS.iter().any(|doc| doc.name == model), "no model {model}");
                continue;
            }
            let (needs, knows) = (doc.judges.needs, doc.judges.knows);
            assert!(row.marks.iter().all(|function| needs.contains(function)), "{name}: {:?}", row.marks);
            let known = |function: &&str| needs.contains(function) || knows.contains(function);
            assert!(row.knows.iter().all(|function| known(&function)), "{name}: {:?}", row.knows);
        }
    }

    #[test]
    fn what_a_checker_with_rows_judges_is_what_its_rows_say() {
        for doc in CHECKERS {
            let rows = || ROWS.iter().filter(|row| row.candidate.checker == doc.name && row.candidate.model.is_none());
            let marks: BTreeSet<&str> = rows().flat_map(|row| row.marks).copied().collect();
            let known: BTreeSet<&str> = rows().flat_map(|row| row.knows).copied().collect();
            let judges = doc.judges;
            if !marks.is_empty() {
                assert_eq!(judges.needs.iter().copied().collect::<BTreeSet<_>>(), marks, "{}", doc.name);
                let knows: BTreeSet<&str> = judges.needs.iter().chain(judges.knows).copied().collect();
                assert!(known.is_subset(&knows) && knows.is_subset(&(&known | &marks)), "{}", doc.name);
            }
        }
    }
}
