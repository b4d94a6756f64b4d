//! [`Foreign`]: puts histories of other programs together. They number nothing themselves: the place in the file is the
//! order.
//!
//! What they may do that ours may not: leave out times, let times go back (they are held at the last one), and let a
//! process act again after an info. Jepsen never does the latter (a worker goes on as a new process), other recorders
//! do; a call after an info then counts as a new process, which only takes knowledge away. Where it matters who calls
//! (locks), [`History::client`] tells who it was, so that this makes no false alarm. [`ReadOptions::strict`] refuses
//! it.
use super::clients::Clients;
use super::json::clipped;
use super::pairs::{self, Confidence, Pairs};
use crate::functions::{Argument, Function, Reply, function, is_micro_operations};
use crate::history::builder::{RecentNames, broken, too_many_names};
use crate::history::columns::{NO_INDEX, NewCall};
use crate::history::{History, HistoryError, NameId, Outcome, ReadOptions};
use crate::inference;
use crate::value::{Arena, ListRef, Value, ValueRef, Word};
use std::collections::HashMap;
use std::sync::Arc;

/// The node of calls that name none.
pub(super) const NO_NODE: &str = "?";

/// A process as the file names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Caller {
    /// It does not.
    #[default]
    Unnamed,
    /// A client, by its number.
    Client(u64),
    /// A client, by its name.
    Named(String),
    /// Not a client: one of [`BESIDE`](super::clients::BESIDE).
    Other(&'static str),
}

/// One operation record.
#[derive(Clone, Debug, Default)]
pub(super) struct ForeignRecord {
    /// `None`: a call; otherwise how one ended.
    pub(super) outcome: Option<Outcome>,
    pub(super) caller: Caller,
    pub(super) function: Option<u16>,
    pub(super) node: Option<u16>,
    pub(super) workload: Option<u16>,
    pub(super) time: Option<u64>,
    /// What the record says of its own place.
    pub(super) index: Option<u64>,
    pub(super) key: Word,
    pub(super) value: Word,
    /// Whether the value is a key with its value.
    pub(super) pair: bool,
    pub(super) error: Option<NameId>,
    pub(super) settle: bool,
    /// A consumer goes to the first offsets of the logs that the value names.
    pub(super) to_beginning: bool,
}

#[derive(Debug)]
struct Process {
    session: u32,
    worker: u32,
    id: u64,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Free,
    /// Its call is at this position; whether a tag said that its value is a key with its value.
    Open(usize, bool),
    Retired,
}

/// A history that is being put together.
#[derive(Debug)]
pub(super) struct Foreign {
    history: History,
    independent: Option<bool>,
    pairs: Pairs,
    strict: bool,
    workload: Option<u16>,
    named: Option<String>,
    no_node: u16,
    names: RecentNames,
    processes: HashMap<u64, Process>,
    clients: Clients,
    next_index: u64,
    /// The last index that a record itself had.
    last_said: Option<u64>,
    reused: u64,
    /// Types of records that are no calls, with how many there were.
    others: Vec<(String, u64)>,
    lone: Lone,
    /// What functions mean, by their numbers.
    functions: Vec<Option<&'static Function>>,
    mark: usize,
}

/// Infos of clients that complete no call: remarks of theirs, where no call has such a function.
#[derive(Debug, Default)]
struct Lone {
    count: u64,
    /// The first of each function: the function, the index, what is wrong if it is called, and where it stands.
    firsts: Vec<(u16, u64, String, (u64, u64))>,
}

/// Processes that acted again after an info are numbered from here on.
const FRESH: u64 = 1 << 32;
/// Types of passed-over records that are counted one by one.
const OTHERS_MAX: usize = 16;

impl Foreign {
    /// The index of the first record is 0, or what is given.
    pub(super) fn new(options: &ReadOptions, first_index: u64) -> Foreign {
        let mut history = History::default();
        let mut names = RecentNames::default();
        let no_node = names.number(0, NO_NODE, &mut history).unwrap_or(0);
        Foreign {
            history,
            independent: options.independent,
            pairs: Pairs::default(),
            strict: options.strict,
            workload: None,
            named: options.workload.clone(),
            no_node,
            names,
            processes: HashMap::new(),
            clients: Clients::default(),
            next_index: first_index,
            last_said: None,
            reused: 0,
            others: Vec::new(),
            lone: Lone::default(),
            functions: Vec::new(),
            mark: 0,
        }
    }

    /// Where values go.
    pub(super) fn arena(&mut self) -> &mut Arena {
        &mut self.history.columns.values
    }

    /// Forgets the values of a record that was not taken.
    pub(super) fn forget(&mut self) {
        let mark = self.mark;
        self.arena().forget(mark);
    }

    /// A record of this type was passed over.
    pub(super) fn passed(&mut self, kind: &str) {
        match self.others.iter().position(|(known, _)| known == kind) {
            Some(at) => self.others[at].1 += 1,
            None if self.others.len() < OTHERS_MAX => self.others.push((clipped(kind), 1)),
            // The last one counts for all others.
            None => self.others[OTHERS_MAX - 1].1 += 1,
        }
    }

    /// The order between processes means nothing.
    pub(super) fn no_realtime(&mut self) {
        self.history.realtime = false;
    }

    /// The number of a node (0), workload (1) or function (2).
    pub(super) fn name(&mut self, kind: usize, text: &str) -> Result<u16, HistoryError> {
        let number = self.names.number(kind, text, &mut self.history);
        number.ok_or_else(|| too_many_names(self.next_index))
    }

    pub(super) fn error(&mut self, text: &str) -> NameId {
        self.history.intern(text)
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, act: ForeignRecord) -> Result<(), HistoryError> {
        let index = self.next_index;
        if index >= u64::from(NO_INDEX) {
            return Err(broken(index, format!("a history has less than {NO_INDEX} records")));
        }
        // The order of the records is the order of what happened; a file that says otherwise would be judged wrongly.
        if let (Some(before), Some(said)) = (self.last_said, act.index)
            && said <= before
        {
            let why = format!("its index {said} does not come after the {before} before it: sort the records by index");
            return Err(broken(index, why));
        }
        self.last_said = act.index.or(self.last_said);
        self.next_index += 1;
        let end_time = &mut self.history.end_time;
        *end_time = act.time.unwrap_or(end_time.saturating_add(1000)).max(*end_time);
        if let Caller::Other(name) = act.caller {
            let text = self.told(name, &act);
            self.history.notes.push((self.history.end_time, String::new(), text));
            self.mark = self.arena().mark();
            return Ok(());
        }
        let number = self.clients.number(&act.caller).map_err(|message| broken(index, message))?;
        match act.outcome {
            None => self.call(index as u32, number, act)?,
            Some(outcome) => self.reply(index as u32, number, outcome, act)?,
        }
        self.mark = self.arena().mark();
        Ok(())
    }

    fn told(&self, name: &str, act: &ForeignRecord) -> String {
        let function = act.function.map_or("", |id| self.history.name(NameId(u32::from(id))));
        let value = self.history.columns.values.get(act.value);
        if value.is_nil() { format!("{name}: {function}") } else { format!("{name}: {function} {value}") }
    }

    fn call(&mut self, index: u32, number: u64, act: ForeignRecord) -> Result<(), HistoryError> {
        let at = u64::from(index);
        let columns = &mut self.history.columns;
        let worker = self.processes.len() as u32;
        let process = self.processes.entry(number).or_insert_with(|| {
            let session = columns.new_process(number);
            Process { session, worker, id: number, state: State::Free }
        });
        match process.state {
            State::Free => {}
            State::Open(..) => {
                let caller = self.clients.name(number);
                // One of these may have been meant as its completion.
                let types: Vec<&str> = self.others.iter().map(|(kind, _)| kind.as_str()).collect();
                let passed = match types.is_empty() {
                    true => String::new(),
                    false => format!(" (passed over were records of the types {})", types.join(", ")),
                };
                return Err(broken(at, format!("process {caller} calls while its last call is open{passed}")));
            }
            State::Retired if self.strict => {
                let caller = self.clients.name(number);
                return Err(broken(at, format!("process {caller} calls again after an info")));
            }
            State::Retired => {
                process.id = FRESH + self.reused;
                self.history.reused.insert(process.id, number);
                process.session = columns.new_process(process.id);
                self.reused += 1;
            }
        }
        process.state = State::Open(columns.len(), act.pair);
        let swaps = act.function.is_some_and(|function| {
            let name = |id: NameId| self.history.names[id.0 as usize].as_ref();
            meaning(&mut self.functions, function, name).argument == Argument::Swap
        });
        let (worker, session) = (process.worker, process.session);
        let (key, input) = if act.pair || self.independent == Some(true) {
            match pair(&mut columns.values, act.value, swaps) {
                Some(pair) => pair,
                // Beside the keys, as Jepsen allows it.
                None if act.value == Word::NIL => (act.key, act.value),
                None => {
                    let value = columns.values.get(act.value);
                    return Err(broken(at, format!("its value should be a key and its value, not {value}")));
                }
            }
        } else {
            (act.key, act.value)
        };
        let function = match act.function {
            Some(function) => function,
            None => self.name(2, "txn")?,
        };
        if self.independent.is_none() {
            self.explained(number, function, act.pair || key != Word::NIL, input)?;
        }
        let input = if act.to_beginning { self.seeking_the_beginning(input) } else { input };
        let workload = match (act.workload, self.workload) {
            (Some(own), _) => own,
            (None, Some(default)) => default,
            (None, None) => {
                let name = self.named.clone().unwrap_or_default();
                let number = self.name(1, &name)?;
                *self.workload.insert(number)
            }
        };
        let (time, settle) = (self.history.end_time, act.settle);
        let node = act.node.unwrap_or(self.no_node);
        let columns = &mut self.history.columns;
        columns.push(NewCall { index, time, worker, session, node, workload, function, key, input, settle });
        Ok(())
    }

    /// The argument `{keys, seek-to-beginning?}` of a call that has the flag beside its value.
    fn seeking_the_beginning(&mut self, keys: Word) -> Word {
        let values = self.arena();
        let keys = values.get(keys).to_value();
        let entries = [(Arc::from("keys"), keys), (Arc::from("seek-to-beginning?"), Value::Bool(true))];
        values.put(&Value::Map(entries.into()))
    }

    /// Looks whether this call's value is a key with its value although the file does not say so.
    fn explained(&mut self, number: u64, function: u16, keyed: bool, input: Word) -> Result<(), HistoryError> {
        if keyed {
            self.pairs.keyed();
            return Ok(());
        }
        let argument = meaning(&mut self.functions, function, |id| self.history.name(id)).argument;
        let value = self.history.columns.values.get(input);
        match self.pairs.call(argument, value) {
            Confidence::Nothing => Ok(()),
            Confidence::Likely => {
                let seen = self.asked(number, function, value);
                self.pairs.keep(seen);
                Ok(())
            }
            Confidence::Certain => {
                Err(HistoryError::AmbiguousKeys { line: 0, column: 0, seen: self.asked(number, function, value) })
            }
        }
    }

    fn asked(&self, number: u64, function: u16, value: ValueRef<'_>) -> String {
        let (caller, function) = (self.clients.name(number), self.history.name(NameId(u32::from(function))));
        format!("process {caller} called {function} with {}", clipped(&value.to_string()))
    }

    /// The place of the record that was taken last, if it has to be known.
    pub(super) fn unplaced(&mut self) -> Option<&mut (u64, u64)> {
        let lone = self.lone.firsts.last_mut().map(|(.., place)| place).filter(|place| place.0 == 0);
        lone.or(self.pairs.place())
    }

    fn reply(&mut self, index: u32, number: u64, outcome: Outcome, act: ForeignRecord) -> Result<(), HistoryError> {
        let at = u64::from(index);
        let process = self.processes.get_mut(&number);
        let Some((process, position, tagged)) = process.and_then(|process| match process.state {
            State::Open(position, tagged) => Some((process, position, tagged)),
            State::Free | State::Retired => None,
        }) else {
            let message = self.clients.uncalled(number);
            if let (Outcome::Info, Some(function)) = (outcome, act.function) {
                self.lone.count += 1;
                if self.lone.firsts.iter().all(|(known, ..)| *known != function) {
                    self.lone.firsts.push((function, at, message, (0, 0)));
                }
                return Ok(());
            }
            return Err(broken(at, message));
        };
        process.state = if outcome == Outcome::Info { State::Retired } else { State::Free };
        let time = self.history.end_time;
        let columns = &mut self.history.columns;
        let (key, mut input, function) = columns.argument(position);
        if let Some(other) = act.function
            && other != function
        {
            let (asked, other) = (NameId(u32::from(function)), NameId(u32::from(other)));
            let (asked, other) = (self.history.name(asked), self.history.name(other));
            let caller = self.clients.name(number);
            return Err(broken(at, format!("process {caller} called {asked} and completes {other}")));
        }
        let mut output = act.value;
        let carries = act.pair || tagged || self.independent == Some(true);
        let &Function { argument, reply, .. } =
            meaning(&mut self.functions, function, |id| self.history.names[id.0 as usize].as_ref());
        let filled = argument.chosen_late();
        if act.pair || (carries && key != Word::NIL) {
            output = match pair(&mut columns.values, output, argument == Argument::Swap) {
                Some((own, output)) if columns.values.get(own) == columns.values.get(key) => output,
                Some(_) => {
                    let caller = self.clients.name(number);
                    return Err(broken(at, format!("process {caller} completes a call of another key")));
                }
                None => output,
            };
        }
        if self.independent.is_none() && !carries && key == Word::NIL && outcome == Outcome::Ok {
            let values = &self.history.columns.values;
            let (asked, answered) = (values.get(input), values.get(output));
            if pairs::echoes(argument, asked, answered) {
                let asked = self.asked(number, function, asked);
                let seen = format!("{asked} and was answered {}", clipped(&answered.to_string()));
                return Err(HistoryError::AmbiguousKeys { line: 0, column: 0, seen });
            }
        }
        let columns = &mut self.history.columns;
        if outcome != Outcome::Ok {
            // A repeated argument says nothing. Where the call left that out, it is the argument.
            if filled && input == Word::NIL && output != Word::NIL {
                columns.set_input(position, output);
                output = Word::NIL;
            } else if columns.values.get(output) == columns.values.get(input) {
                columns.values.forget(self.mark);
                output = Word::NIL;
            }
            columns.complete(position, index, time, outcome, output, act.error);
            return Ok(());
        }
        if filled && input == Word::NIL && output != Word::NIL {
            columns.set_input(position, output);
            input = output;
        }
        let same = columns.values.get(output) == columns.values.get(input);
        if same && output != input {
            columns.values.forget(self.mark);
            output = input;
        }
        // A transaction answers with its reads, whatever its function is called.
        if same && reply == Reply::Acknowledgement && !is_micro_operations(columns.values.get(input)) {
            output = Word::NIL;
        }
        columns.complete(position, index, time, outcome, output, act.error);
        Ok(())
    }

    /// The whole. Calls still open stay Info.
    ///
    /// # Errors
    /// When all calls together say that their values are keys with their values, and the file does not say whether they are.
    pub(super) fn finish(mut self) -> Result<History, HistoryError> {
        std::mem::take(&mut self.pairs).judged()?;
        self.lone_are_remarks()?;
        if self.named.is_none()
            && let Some(blank) = self.workload
        {
            let name = self.history.intern(inference::name_of(&self.history, NameId(u32::from(blank))));
            if let Ok(name) = u16::try_from(name.0) {
                self.history.columns.rename_workload(blank, name);
            }
        }
        let mut nodes: Vec<NameId> = Vec::new();
        for node in self.history.ops().iter().map(|op| op.node) {
            if nodes.last() != Some(&node) && !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        nodes.retain(|id| self.history.name(*id) != NO_NODE);
        self.history.nodes = nodes.into_iter().map(|id| self.history.name(id).to_owned()).collect();
        if self.reused > 0 {
            let text = format!(
                "{} times a process called again after an info: each time it counts as a new process",
                self.reused
            );
            self.history.notes.push((self.history.end_time, String::new(), text));
        }
        if let Some(text) = self.clients.note() {
            self.history.notes.push((self.history.end_time, String::new(), text));
        }
        self.remark();
        Ok(self.history)
    }
}

impl Foreign {
    /// An info that completes no call is a client's remark only where no client ever calls such a function: otherwise
    /// the call is missing, and what it did would look as if no call had done it.
    fn lone_are_remarks(&mut self) -> Result<(), HistoryError> {
        let Lone { firsts, .. } = &mut self.lone;
        let called = |function: &u16| self.history.ops().iter().any(|op| op.function == NameId(u32::from(*function)));
        match firsts.iter().position(|(function, ..)| called(function)) {
            Some(first) => {
                let (_, index, message, place) = firsts.swap_remove(first);
                Err(broken(index, message).at(place))
            }
            None => Ok(()),
        }
    }

    /// What was passed over, for who reads the verdict.
    fn remark(&mut self) {
        let mut remarks = Vec::new();
        if !self.others.is_empty() {
            let all: u64 = self.others.iter().map(|(_, count)| count).sum();
            let kinds: Vec<String> = self.others.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
            let records = if all == 1 { "record" } else { "records" };
            remarks.push(format!("{all} {records} of other types passed over: {}", kinds.join(", ")));
        }
        if self.lone.count > 0 {
            let functions: Vec<&str> =
                self.lone.firsts.iter().map(|(function, ..)| self.history.name(NameId(u32::from(*function)))).collect();
            let (count, functions) = (self.lone.count, functions.join(", "));
            let infos = if count == 1 { "info that completes" } else { "infos that complete" };
            remarks.push(format!("{count} {infos} no call passed over: {functions}"));
        }
        for text in &remarks {
            self.history.notes.push((self.history.end_time, String::new(), text.clone()));
        }
        self.history.remarks = remarks;
    }
}

/// A key and its value; of a compare-and-set also the key and both values in one list.
fn pair(values: &mut Arena, value: Word, swaps: bool) -> Option<(Word, Word)> {
    match values.get(value).as_list().map(ListRef::words) {
        Some([key, value]) => Some((*key, *value)),
        Some([key, from, to]) if swaps => {
            let (key, both) = (*key, [*from, *to]);
            Some((key, values.put_list(&both)))
        }
        _ => None,
    }
}

/// What the function of this number means.
fn meaning<'a>(
    known: &mut Vec<Option<&'static Function>>,
    number: u16,
    name: impl FnOnce(NameId) -> &'a str,
) -> &'static Function {
    let at = usize::from(number);
    if known.len() <= at {
        known.resize(at + 1, None);
    }
    known[at].get_or_insert_with(|| function(name(NameId(u32::from(number)))))
}
