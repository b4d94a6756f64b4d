//! Checker inference: which checkers judge a history that comes without a plan. `RULES` look at each workload alone: at the
//! functions that were called and at the kinds of values that went in and came out.
//!
//! Several kinds of objects may have the same calls: then nothing is inferred. Nor is anything inferred without positive signs.
//! Where values come out in another kind than they went in (texts for numbers, values with their versions for values), or where
//! an element has no value, a checker would accuse a history that it does not recognise.
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
    /// The value of its option `model`, if it needs one.
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

/// When a checker judges a workload.
struct Rule {
    candidate: Candidate,
    /// Functions one of which was called.
    marks: &'static [&'static str],
    /// Every function that it understands.
    knows: &'static [&'static str],
    /// A condition on the arguments and replies.
    shape: fn(&WorkloadTraits<'_>) -> bool,
}

const fn rule(
    checker: &'static str,
    marks: &'static [&'static str],
    knows: &'static [&'static str],
    shape: fn(&WorkloadTraits<'_>) -> bool,
) -> Rule {
    Rule { candidate: Candidate { checker, model: None }, marks, knows, shape }
}

/// `linearizable` with this model. The functions are those of the model.
const fn model(name: &'static str, marks: &'static [&'static str], shape: fn(&WorkloadTraits<'_>) -> bool) -> Rule {
    Rule { candidate: Candidate { checker: "linearizable", model: Some(name) }, marks, knows: &[], shape }
}

const ANY: fn(&WorkloadTraits<'_>) -> bool = |_| true;
const ALIKE: fn(&WorkloadTraits<'_>) -> bool = |traits| traits.alike();

/// One rule for each checker and model that can be inferred. Of two checkers of the same object one has a rule (`set`), the other
/// is meant only by its name (`set-full`).
const RULES: &[Rule] = &[
    rule("list-append", &["txn"], &["txn"], |traits| {
        let others = ["w", "send", "poll", "rp"].iter().any(|name| traits.part(name));
        (traits.part("append") || (traits.parts_read_lists && !others)) && traits.elements_alike()
    }),
    // Reads alone are judged as those of registers, where they did not read lists.
    rule("rw-register", &["txn"], &["txn"], |traits| {
        let others = ["append", "send", "poll", "rp"].iter().any(|name| traits.part(name));
        let registers =
            traits.part("w") && !traits.part("rp") || traits.part("r") && !(others || traits.parts_read_lists);
        registers && traits.alike()
    }),
    rule("closed-predicate", &["txn"], &["init", "txn"], |traits| traits.part("rp")),
    rule("kafka", &["send", "poll"], KAFKA, |traits| !traits.called("receive")),
    rule("kafka", &["txn"], KAFKA, |traits| traits.part("send") || traits.part("poll")),
    rule("closed-predicate", &["init"], &["init", "txn"], ANY),
    rule("watch", &["watch"], &["watch", "put", "delete", "txn"], ANY),
    rule("bank", &["transfer"], &["transfer", "read", "txn"], ANY),
    rule("linearizable", &["write", "cas"], REGISTER, |traits| {
        !traits.asked && !traits.versioned && !traits.reads_parts && traits.alike()
    }),
    model("versioned-register", &["write", "cas"], |traits| traits.versioned),
    model("multi-register", &["write"], |traits| traits.asked && traits.writes_maps),
    rule("long-fork", &["read", "write"], &["read", "write"], |traits| traits.reads_parts),
    // Lists that are read of what is written may be values with their versions.
    rule("causal-reverse", &["write", "insert", "append"], REVERSE, |traits| {
        // What was written may be read with its version, as lists of two.
        let lists = traits.reads_other_lists && traits.elements_alike() || !traits.called("write");
        traits.reads_lists && !traits.writes_lists && lists
    }),
    model("kv", &["get", "put"], |traits| !traits.asked && traits.alike()),
    model("kv", &["append"], |traits| !traits.asked && traits.called("read")),
    model("log", &["append"], |traits| !traits.called("put")),
    // Without an argument an add may take the largest value plus one, count, or not say what it adds.
    rule("counter", &["add"], &["add", "read"], |traits| {
        (traits.reads_numbers && traits.adds_some_numbers)
            || (!traits.answered && traits.adds_numbers)
            || traits.nameless()
    }),
    rule("counter", &["increment", "decrement"], &["add", "increment", "decrement", "read"], ANY),
    // Final reads that name no node: Maelstrom's counters may be behind until then.
    rule("crdt", &["add", "increment", "decrement"], &["add", "increment", "decrement", "read"], |traits| {
        traits.reads_numbers && traits.settles && !traits.placed
    }),
    model("counter", &["inc", "dec", "add-and-get"], ANY),
    rule("set", &["add"], &["add", "read"], |traits| {
        let elements = !traits.adds_nothing && (traits.reads_lists && traits.elements_alike() || !traits.answered);
        elements && !traits.rows() || traits.nameless()
    }),
    rule("monotonic", &["add"], &["add", "read"], |traits| traits.rows() || traits.nameless()),
    model("set", &["contains", "remove"], |traits| traits.called("add")),
    rule("crdt", &["remove"], &["add", "remove", "read"], |traits| traits.called("add")),
    rule("queue", &["enqueue", "dequeue"], &["enqueue", "dequeue"], ALIKE),
    rule("total-queue", &["drain"], &["enqueue", "dequeue", "drain"], ALIKE),
    model("fifo-queue", &["receive"], ALIKE),
    model("unordered-queue", &["receive"], ALIKE),
    model("stack", &["push", "pop"], ALIKE),
    model("priority-queue", &["extract"], ALIKE),
    rule("g2", &["insert"], &["insert"], ANY),
    rule("lock", &["acquire", "release"], &["acquire", "release"], ANY),
    // A number is a number of permits, unless it says who acquires.
    rule("semaphore", &["acquire"], &["acquire", "release"], |traits| {
        traits.acquires_numbers && !traits.acquires_own()
    }),
    rule("lease", &["renew"], &["acquire", "renew", "release"], ANY),
    model("lease", &["holder"], ANY),
    rule("fencing", &["acquire"], &["acquire", "release", "write", "log"], |traits| {
        traits.called("write") || traits.called("log")
    }),
    rule("unique-ids", &["generate"], &["generate"], ANY),
    rule("atomic-commit", &["commit"], &["commit", "status"], ANY),
    rule("saga", &["start"], &["start", "log"], ANY),
    model("leader-election", &["campaign", "resign"], ANY),
    rule("leadership", &["elect", "leader"], &["elect", "leader", "resign", "write", "log"], ANY),
];

const KAFKA: &[&str] = &["send", "poll", "txn", "assign", "subscribe", "seek", "rebalance", "crash"];
const REVERSE: &[&str] = &["write", "insert", "append", "read"];

const REGISTER: &[&str] = &["read", "write", "cas"];

/// The checkers that fit one workload.
#[derive(Debug)]
pub struct Inference<'h> {
    /// The workload's name.
    pub workload: &'h str,
    /// The functions that were called.
    pub functions: Vec<&'h str>,
    /// The checkers that fit; if some of them know every function, only those. Several: the workload leaves a doubt.
    pub candidates: Vec<Candidate>,
    /// Where none fits: checkers that know every function but expect other arguments and replies.
    pub possible: Vec<Candidate>,
    /// Where that is why none fits: the kinds of values that went in, and the other kinds that came out.
    pub unlike: Option<String>,
    /// Where no checker fits: the first read with an argument of its own, as it stands in the history.
    pub asked: Option<String>,
}

/// Infers the checkers of each workload of the history. A model that the user named is taken for the workloads that call one of its
/// functions.
pub fn infer<'h>(history: &'h History, model: Option<&str>) -> Vec<Inference<'h>> {
    let object = model.and_then(|name| MODELS.iter().find(|model| model.name == name));
    let traits = WorkloadTraits::of(history).into_iter();
    let fits = traits.map(|(workload, traits)| {
        let named = object.filter(|model| traits.functions.iter().any(|function| model.functions.contains(function)));
        let candidates = match named {
            Some(model) => vec![Candidate { checker: "linearizable", model: Some(model.name) }],
            None => candidates(&traits, |rule| (rule.shape)(&traits)),
        };
        let none = candidates.is_empty();
        let possible = if none { by_functions(&traits) } else { Vec::new() };
        let alike =
            if traits.called("add") || traits.part("append") { traits.elements_alike() } else { traits.alike() };
        let unlike = (none && !alike).then(|| traits.unlike());
        let functions = traits.called_as.iter().copied().collect();
        let asked = traits.asked_by.filter(|_| none);
        Inference { workload: history.name(workload), functions, candidates, possible, unlike, asked }
    });
    fits.collect()
}

/// The checkers that know every function, whatever the arguments and replies are.
fn by_functions(traits: &WorkloadTraits<'_>) -> Vec<Candidate> {
    let known = candidates(traits, |_| true);
    let knows = |candidate: &Candidate| {
        let of_model = candidate.model.and_then(|name| MODELS.iter().find(|model| model.name == name));
        let rules = RULES.iter().filter(|rule| rule.candidate == *candidate);
        let functions: Vec<&str> = of_model
            .map_or_else(|| rules.flat_map(|rule| rule.knows).copied().collect(), |model| model.functions.to_vec());
        traits.functions.iter().all(|function| functions.contains(function))
    };
    known.into_iter().filter(knows).collect()
}

fn candidates(traits: &WorkloadTraits<'_>, shape: impl Fn(&Rule) -> bool) -> Vec<Candidate> {
    let fits = |rule: &&Rule| rule.marks.iter().any(|mark| traits.called(mark)) && shape(rule);
    let rules: Vec<&Rule> = RULES.iter().filter(fits).collect();
    let knows = |rule: &Rule| {
        let of_model = rule.candidate.model.and_then(|name| MODELS.iter().find(|model| model.name == name));
        let known = of_model.map_or(rule.knows, |model| model.functions);
        traits.functions.iter().all(|function| known.contains(function))
    };
    let whole = rules.iter().any(|rule| knows(rule));
    let mut candidates: Vec<Candidate> = Vec::new();
    for rule in rules.into_iter().filter(|rule| !whole || knows(rule)) {
        if !candidates.contains(&rule.candidate) {
            candidates.push(rule.candidate);
        }
    }
    candidates
}

/// A name for a workload whose calls name none: that of the one checker or model that fits.
pub(crate) fn name_of(history: &History, workload: NameId) -> &'static str {
    let traits = WorkloadTraits::of(history).into_iter().find(|(id, _)| *id == workload);
    let Some((_, traits)) = traits else { return UNNAMED };
    match candidates(&traits, |rule| (rule.shape)(&traits))[..] {
        [Candidate { model: Some(model), .. }] => model,
        [Candidate { checker: "linearizable", .. }] => "register",
        [Candidate { checker, .. }] => checker,
        // Reads alone, and calls that may be those of a register: a checker of registers finds them by this name.
        _ if traits.functions.iter().all(|function| REGISTER.contains(function)) => "register",
        _ => UNNAMED,
    }
}

const UNNAMED: &str = "calls";

/// The functions of every rule and model, with repetitions.
#[cfg(test)]
pub(crate) fn known_functions() -> Vec<&'static str> {
    let of_rules = RULES.iter().flat_map(|rule| rule.marks.iter().chain(rule.knows));
    of_rules.chain(MODELS.iter().flat_map(|model| model.functions)).copied().collect()
}

/// The workloads of the history, by name, with the functions that were called; a list of micro-operations is a `txn`.
pub(crate) fn called(history: &History) -> Vec<(&str, BTreeSet<&str>)> {
    let traits = WorkloadTraits::of(history).into_iter();
    traits.map(|(workload, traits)| (history.name(workload), traits.functions)).collect()
}

/// The traits of a workload that the rules ask for.
#[derive(Debug, Default)]
struct WorkloadTraits<'h> {
    /// The functions that were called. A list of micro-operations counts as `txn`.
    functions: BTreeSet<&'h str>,
    /// The same, as the history names them.
    called_as: BTreeSet<&'h str>,
    /// The first words of the parts of transactions.
    parts: BTreeSet<&'h str>,
    /// A transaction read a list.
    parts_read_lists: bool,
    /// What is called `read` or `write` is a list of parts of a transaction.
    reads_parts: bool,
    /// A read (a get) has an argument that is not its reply: it asks for something.
    asked: bool,
    /// The first of these reads, as it stands in the history.
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
    /// Kinds of the values that went in (written, added), that came out (read, taken), and of the elements of lists that were read.
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

impl<'h> WorkloadTraits<'h> {
    /// Each workload with its traits, in the order of their first calls.
    fn of(history: &'h History) -> Vec<(NameId, WorkloadTraits<'h>)> {
        let workloads = history.workloads();
        let new = || WorkloadTraits { adds_numbers: true, ..WorkloadTraits::default() };
        let mut all: BTreeMap<NameId, WorkloadTraits<'h>> =
            workloads.iter().map(|workload| (*workload, new())).collect();
        for op in history.ops().iter() {
            let Some(traits) = all.get_mut(&op.workload) else { continue };
            let function = history.name(op.function);
            traits.called_as.insert(function);
            traits.settles |= op.settle;
            traits.placed |= messages::placed(history, &op);
            let tagged = function != "txn" && functions::is_micro_operations(op.input);
            // Reads and writes of long forks are no transactions in general.
            let fork = tagged && matches!(function, "read" | "write") && single_minded(function, op.input);
            traits.functions.insert(if tagged && !fork { "txn" } else { function });
            traits.parts(if tagged && !fork { "txn" } else { function }, &op);
            if !tagged {
                traits.kinds(function, &op);
            }
            match function {
                _ if reads(function) => traits.read(function, &op),
                "write" | "insert" | "append" => {
                    traits.writes_lists |= op.input.as_list().is_some();
                    traits.writes_maps |= op.input.as_map().is_some();
                }
                "add" => {
                    traits.adds_numbers &= op.input.as_int().is_some();
                    traits.adds_some_numbers |= op.input.as_int().is_some();
                    traits.adds_nothing |= op.input.is_nil();
                    traits.adds_lists |= op.input.as_list().is_some();
                }
                "acquire" => {
                    let (number, own) = (op.input.as_int(), history.client(op.process));
                    traits.acquires_numbers |= number.is_some();
                    if number.is_some_and(|number| u64::try_from(number) == Ok(own)) {
                        traits.acquires_owners.insert(own);
                    } else {
                        traits.acquires_others = true;
                    }
                }
                _ => {}
            }
        }
        for traits in all.values_mut() {
            // Reads and writes beside transactions are transactions, too.
            if traits.reads_parts && traits.functions.contains("txn") {
                traits.functions.remove("read");
                traits.functions.remove("write");
                traits.reads_parts = false;
            }
        }
        let versions = versioned::recognised(history);
        for (workload, traits) in &mut all {
            traits.versioned = versions.contains(workload);
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

    /// Notes the kinds of the argument and of the reply.
    fn kinds(&mut self, function: &str, op: &Op<'h>) {
        let function = functions::function(function);
        match function.argument {
            Argument::Value | Argument::Element => note(&mut self.brought, op.input),
            Argument::Swap => {
                // The new value.
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

    /// Whether the values that came out may be those that went in.
    fn alike(&self) -> bool {
        self.may_be(&self.shown)
    }

    /// Whether the elements of the lists that came out may be the values that went in.
    fn elements_alike(&self) -> bool {
        self.may_be(&self.elements)
    }

    /// Whether values of these kinds may be those that went in: some are of the same kind, or there is nothing to compare. A list or
    /// an object where none went in, such as a value with its version, is never one of them.
    fn may_be(&self, kinds: &BTreeSet<&str>) -> bool {
        let composite = |kind: &&&str| matches!(**kind, "lists" | "objects");
        let none = self.brought.is_empty() || kinds.is_empty();
        none || !self.brought.is_disjoint(kinds)
            && kinds.iter().filter(composite).all(|kind| self.brought.contains(kind))
    }

    fn unlike(&self) -> String {
        let list = |kinds: &BTreeSet<&str>| kinds.iter().copied().collect::<Vec<_>>().join(", ");
        let of = if self.elements.is_empty() { String::new() } else { format!(" of {}", list(&self.elements)) };
        let shown = list(&self.shown).replace("lists", &format!("lists{of}"));
        format!("{} went in, {shown} came out", list(&self.brought))
    }

    /// Adds without an argument whose values no read shows: a set, a counter or a table.
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

    /// Every client acquired with its own number, and the numbers are no permits: one is 0, or they differ.
    fn acquires_own(&self) -> bool {
        !self.acquires_others && (self.acquires_owners.len() > 1 || self.acquires_owners.contains(&0))
    }

    /// Reads return pairs that were not added as pairs: rows with their timestamps.
    fn rows(&self) -> bool {
        self.reads_pairs && !self.reads_plain && !self.adds_lists
    }
}

/// Whether a function of this name answers with the value of an object, and changes nothing.
fn reads(name: &str) -> bool {
    let function = functions::function(name);
    function.kind == FunctionKind::Read && function.reply == Reply::Value
}

/// Notes the kinds of the elements of a list.
fn note_elements(kinds: &mut BTreeSet<&'static str>, value: ValueRef<'_>) {
    // The beginning of a long list suffices.
    value.as_list().unwrap_or_default().iter().take(64).for_each(|element| note(kinds, element));
}

/// Notes the kind of a value.
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

/// Whether the micro-operations are of the kind that the function's name says: reads only, or one write.
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
        for rule in RULES {
            let name = rule.candidate.checker;
            assert!(CHECKERS.iter().any(|doc| doc.name == name), "no checker {name}");
            if let Some(model) = rule.candidate.model {
                assert!(MODELS.iter().any(|doc| doc.name == model), "no model {model}");
            }
        }
    }

    #[test]
    fn what_a_checker_with_rules_judges_is_what_its_rules_say() {
        for doc in CHECKERS {
            let of_checker = |rule: &&Rule| rule.candidate.checker == doc.name && rule.candidate.model.is_none();
            let rules: Vec<&Rule> = RULES.iter().filter(of_checker).collect();
            let marks: BTreeSet<&str> = rules.iter().flat_map(|rule| rule.marks).copied().collect();
            let mut known: BTreeSet<&str> = rules.iter().flat_map(|rule| rule.knows).copied().collect();
            known.extend(&marks);
            let judges = doc.judges;
            if !rules.is_empty() {
                // What these checkers know as well is left to others: a queue that is drained to total-queue, and what a lock
                // guards, a leader writes, or transactions of one function do, to the checker that is named.
                let left: BTreeSet<&str> = match doc.name {
                    "queue" => ["drain"].into(),
                    "long-fork" => ["txn"].into(),
                    "causal-reverse" => ["add"].into(),
                    "crdt" => ["write"].into(),
                    "lock" => ["add", "read", "write", "log"].into(),
                    "fencing" => ["elect", "leader", "resign"].into(),
                    _ => BTreeSet::new(),
                };
                let needs = judges.needs.iter().copied().filter(|name| !left.contains(name));
                assert_eq!(needs.collect::<BTreeSet<_>>(), marks, "{}", doc.name);
                let knows: BTreeSet<&str> = judges.needs.iter().chain(judges.knows).copied().collect();
                assert_eq!(knows, known.union(&left).copied().collect(), "{}", doc.name);
            }
        }
    }
}
