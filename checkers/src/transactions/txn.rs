//! [`Transactions`]: the transactions of one workload, parsed once into flat arrays. Values stay words of the history's
//! arena: atoms are compared as words, lists as slices of words. It never judges anything.
//!
//! A transaction is a call of `txn` whose argument is a list of micro-operations, `["append", key, element]`,
//! `["w", key, value]` and `["r", key, null]`; its Ok reply is the same list with the reads filled in. A call with such a
//! list is one whatever its function is called: Jepsen's tests name transactions by what they hold (`read`, `write`).
//! Other calls of `append`, `write` (`w`) and `read` (`r`) with a key are transactions of one micro-operation.
use crate::functions::{MicroOperation, is_micro_operations, micro_operation};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::{Initial, Trace, of_key, shown};
use crate::value::{ListRef, Value, ValueRef, Word};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Which writes a workload makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `append` and `r`: a key holds a list; nil reads as the empty list.
    Lists,
    /// `w` and `r`: a key holds one value, initially nil.
    Registers,
}

/// What a micro-operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MopKind {
    /// Appends its value to the list.
    Append = 0,
    /// Sets the register to its value.
    Write = 1,
    /// Read its value: only in transactions that are Ok.
    Read = 2,
    /// A read without a reply: its transaction is Fail or Info.
    Unread = 3,
}

/// A micro-operation, 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mop {
    /// What was appended, written or read; nil of [`MopKind::Unread`].
    pub value: Word,
    /// The key: see [`Transactions::key`].
    pub key: u32,
    /// Transaction and kind.
    meta: u32,
}

impl Mop {
    fn new(kind: MopKind, txn: u32, key: u32, value: Word) -> Mop {
        Mop { value, key, meta: txn << 2 | kind as u32 }
    }

    /// What it does.
    #[inline]
    pub(crate) fn kind(self) -> MopKind {
        match self.meta & 3 {
            0 => MopKind::Append,
            1 => MopKind::Write,
            2 => MopKind::Read,
            _ => MopKind::Unread,
        }
    }

    /// The transaction it is part of.
    #[inline]
    pub(crate) fn txn(self) -> u32 {
        self.meta >> 2
    }

    /// Whether it appends or writes.
    #[inline]
    pub(crate) fn writes(self) -> bool {
        self.meta & 2 == 0
    }
}

/// A transaction, known by its number: transactions count from 0 in the order of their calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Txn {
    /// Index of the call.
    pub call: u32,
    /// Index of the reply of an Ok or Fail transaction; [`Txn::OPEN`] for Info: it may take effect at any time.
    pub end: u32,
    /// The process: see [`Op::session`].
    pub session: u32,
    /// First of its micro-operations.
    first: u32,
    /// How it ended.
    pub outcome: Outcome,
}

impl Txn {
    /// Later than every index.
    pub(crate) const OPEN: u32 = u32::MAX;
}

/// A call that is no transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Index of the call; 0 where the workload as a whole is too large.
    pub call: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Transactions at most: a micro-operation keeps the number of its transaction in 30 bits.
const TXNS_MAX: usize = 1 << 29;

/// The transactions of one workload. Transactions that are Fail or Info and wrote nothing say nothing and are left out.
#[derive(Clone, Debug)]
pub(crate) struct Transactions<'h> {
    history: &'h History,
    dialect: Dialect,
    txns: Vec<Txn>,
    mops: Vec<Mop>,
    keys: Vec<Word>,
    /// Of each key, where its part of `by_key` begins.
    key_first: Vec<u32>,
    /// Micro-operations by key, of one key in the order of the calls.
    by_key: Vec<u32>,
    /// How many calls were Ok, Fail, Info, also those left out.
    pub outcomes: [u64; 3],
    /// What registers begin with where that is not nil, by key; `None`: a value that no micro-operation has.
    begins: HashMap<u32, Option<Word>>,
}

impl<'h> Transactions<'h> {
    /// Parses the transactions of the workload. The error names the first call that is none.
    pub(crate) fn parse(
        history: &'h History,
        workload: NameId,
        dialect: Dialect,
    ) -> Result<Transactions<'h>, Malformed> {
        let mut parser = Parser::new(history, dialect);
        for op in history.ops().iter().filter(|op| op.workload == workload) {
            parser.take(&op).map_err(|why| Malformed { call: op.call, why })?;
        }
        let Transactions { mops, keys, .. } = &parser.out;
        if u32::try_from(mops.len()).is_err() || u32::try_from(keys.len()).is_err() {
            return Err(Malformed { call: 0, why: "there are more than 4294967295 micro-operations".to_owned() });
        }
        Ok(parser.finish())
    }

    /// Registers begin so.
    pub(crate) fn beginning(mut self, initial: &Initial) -> Transactions<'h> {
        for key in 0..self.keys.len() as u32 {
            let Some(begins) = of_key(initial, self.key(key)).filter(|begins| !begins.is_nil()) else { continue };
            let mops = self.key_mops(key).iter().map(|&at| self.mops[at as usize].value);
            let word = mops.into_iter().find(|&word| self.value(word) == begins);
            self.begins.insert(key, word);
        }
        self
    }

    /// Whether this is what a register begins with.
    #[inline]
    pub(crate) fn begins(&self, key: u32, value: Word) -> bool {
        if self.begins.is_empty() {
            return value == Word::NIL;
        }
        self.begins.get(&key).map_or(value == Word::NIL, |begins| *begins == Some(value))
    }

    /// What a register begins with.
    pub(crate) fn first(&self, key: u32) -> Value {
        self.begins.get(&key).copied().flatten().map_or(Value::Nil, |word| self.value(word).to_value())
    }

    /// Values that certainly were in registers before everything: see [`shown`].
    pub(crate) fn certainly_first(&self) -> Vec<(Value, Value)> {
        let traces = (0..self.len() as u32).flat_map(|txn| {
            let (known, mops) = (self.txn(txn), self.mops(txn));
            mops.iter().enumerate().filter_map(move |(at, mop)| {
                let own = || mops[..at].iter().any(|own| own.writes() && own.key == mop.key);
                match mop.kind() {
                    MopKind::Read if !own() => Some(Trace::Seen(mop.key, mop.value.bits(), u64::from(known.end))),
                    MopKind::Write => Some(Trace::Left(mop.key, mop.value.bits(), u64::from(known.call))),
                    _ => None,
                }
            })
        });
        let mut first = Vec::new();
        for (key, bits) in shown(traces) {
            let mut mops = self.key_mops(key).iter().map(|&at| self.mops[at as usize].value);
            let word = mops.find(|word| word.bits() == bits).unwrap_or(Word::NIL);
            first.push((self.key(key).to_value(), self.value(word).to_value()));
        }
        first
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.txns.len()
    }

    /// Whether keys hold lists or single values.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The history they are of.
    pub(crate) fn history(&self) -> &'h History {
        self.history
    }

    /// A transaction by its number.
    #[inline]
    pub(crate) fn txn(&self, txn: u32) -> &Txn {
        &self.txns[txn as usize]
    }

    /// All of them, by number.
    pub(crate) fn txns(&self) -> &[Txn] {
        &self.txns
    }

    /// The call as it stands in the history.
    ///
    /// # Panics
    /// Never, for a transaction of this history.
    pub(crate) fn op(&self, txn: u32) -> Op<'h> {
        let call = u64::from(self.txn(txn).call);
        let ops = self.history.ops();
        ops.at(ops.partition_point(|op| op.call < call))
    }

    /// Its micro-operations, in order.
    #[inline]
    pub(crate) fn mops(&self, txn: u32) -> &[Mop] {
        let first = self.txns[txn as usize].first as usize;
        let end = self.txns.get(txn as usize + 1).map_or(self.mops.len(), |next| next.first as usize);
        &self.mops[first..end]
    }

    /// Places of its micro-operations among all.
    pub(crate) fn mop_range(&self, txn: u32) -> std::ops::Range<u32> {
        let end = self.txns.get(txn as usize + 1).map_or(self.mops.len() as u32, |next| next.first);
        self.txns[txn as usize].first..end
    }

    /// All micro-operations: those of one transaction side by side, in order.
    pub(crate) fn all_mops(&self) -> &[Mop] {
        &self.mops
    }

    /// How many keys there are; they count from 0 in the order in which they appear.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The key's value.
    pub(crate) fn key(&self, key: u32) -> ValueRef<'h> {
        self.history.values().get(self.keys[key as usize])
    }

    /// Places in [`Transactions::all_mops`] of the micro-operations on this key, by transaction.
    #[inline]
    pub(crate) fn key_mops(&self, key: u32) -> &[u32] {
        &self.by_key[self.key_first[key as usize] as usize..self.key_first[key as usize + 1] as usize]
    }

    /// A word as a value.
    pub(crate) fn value(&self, word: Word) -> ValueRef<'h> {
        self.history.values().get(word)
    }

    /// The elements of a list that was read; nil is the empty list.
    #[inline]
    pub(crate) fn elements(&self, word: Word) -> &'h [Word] {
        self.value(word).as_list().map_or(&[], ListRef::words)
    }
}

/// Values that certainly were in registers of transactions before everything.
pub(crate) fn certainly_first(history: &History) -> Vec<(Value, Value)> {
    let parse = |workload| Transactions::parse(history, workload, Dialect::Registers).ok();
    history.workloads().into_iter().filter_map(parse).flat_map(|txns| txns.certainly_first()).collect()
}

struct Parser<'h> {
    out: Transactions<'h>,
    key_ids: HashMap<u64, u32, BuildHasherDefault<Mix>>,
    /// Words of names that were met, with what they mean.
    names: Vec<(Word, MicroOperation)>,
}

impl<'h> Parser<'h> {
    fn new(history: &'h History, dialect: Dialect) -> Parser<'h> {
        let out = Transactions {
            history,
            dialect,
            txns: Vec::new(),
            mops: Vec::new(),
            keys: Vec::new(),
            key_first: Vec::new(),
            by_key: Vec::new(),
            outcomes: [0; 3],
            begins: HashMap::new(),
        };
        Parser { out, key_ids: HashMap::default(), names: Vec::new() }
    }

    fn take(&mut self, op: &Op<'h>) -> Result<(), String> {
        self.out.outcomes[op.outcome as usize] += 1;
        let first = self.out.mops.len();
        if self.out.txns.len() >= TXNS_MAX {
            return Err(format!("there are more than {TXNS_MAX} transactions"));
        }
        let ok = op.outcome == Outcome::Ok;
        match self.out.history.name(op.function) {
            name if transacts(name, op) => {
                let input = op.input.as_list();
                // Jepsen's own histories may leave the argument out where the reply has all of it.
                let shown = if ok { op.output.as_list() } else { input };
                let list = shown.ok_or_else(|| format!("a txn takes a list of operations, not {}", op.input))?;
                let same = |input: ListRef<'_>| same_calls(input, list);
                if ok && !input.is_none_or(same) {
                    return Err("its reply has other operations than its call".to_owned());
                }
                for mop in list.iter() {
                    let Some([name, key, value]) = mop.as_list().map(ListRef::words) else {
                        return Err(format!(
                            "{mop} is no operation; it takes [\"append\", key, element], [\"w\", key, value] or [\"r\", key, null]"
                        ));
                    };
                    let function = self.function(*name)?;
                    self.mop(function, *key, *value, ok)?;
                }
            }
            name => {
                let function = micro_operation(name).ok_or_else(|| {
                    format!("{name} is no transaction; there are txn, append, w (write) and r (read)")
                })?;
                let value = if function == MicroOperation::Read { op.output } else { op.input };
                self.mop(function, op.key.word(), value.word(), ok)?;
            }
        }
        if !ok && self.out.mops[first..].iter().all(|mop| !mop.writes()) {
            self.out.mops.truncate(first);
            return Ok(());
        }
        let end = match op.end() {
            Op::OPEN => Txn::OPEN,
            end => end as u32,
        };
        self.out.txns.push(Txn {
            call: op.call as u32,
            end,
            session: op.session,
            first: first as u32,
            outcome: op.outcome,
        });
        Ok(())
    }

    fn mop(&mut self, function: MicroOperation, key: Word, value: Word, ok: bool) -> Result<(), String> {
        let values = self.out.history.values();
        let kind = match (function, self.out.dialect) {
            (MicroOperation::Append, Dialect::Lists) => MopKind::Append,
            (MicroOperation::Write, Dialect::Registers) => MopKind::Write,
            (MicroOperation::Read, _) if ok => MopKind::Read,
            (MicroOperation::Read, _) => MopKind::Unread,
            (MicroOperation::Append, Dialect::Registers) => {
                return Err("it appends, where keys are registers".to_owned());
            }
            (MicroOperation::Write, Dialect::Lists) => {
                return Err("it writes a register, where keys are lists".to_owned());
            }
        };
        if !key.is_atom() {
            return Err(format!("{} is no key: a key is a number or a text", values.get(key)));
        }
        let value = match kind {
            MopKind::Unread => Word::NIL,
            MopKind::Read if self.out.dialect == Dialect::Lists => {
                let read = values.get(value);
                let sound = read.is_nil() || read.as_list().is_some_and(|list| Word::all_atoms(list.words()));
                if !sound {
                    return Err(format!("it read {read}, which is no list of numbers and texts"));
                }
                value
            }
            _ if !value.is_atom() => {
                return Err(format!("{} is no value: a value is a number or a text", values.get(value)));
            }
            _ => value,
        };
        let next = self.out.keys.len() as u32;
        let id = *self.key_ids.entry(key.bits()).or_insert(next);
        if id == next {
            self.out.keys.push(key);
        }
        self.out.mops.push(Mop::new(kind, self.out.txns.len() as u32, id, value));
        Ok(())
    }

    fn function(&mut self, name: Word) -> Result<MicroOperation, String> {
        if let Some((_, function)) = self.names.iter().find(|(known, _)| *known == name) {
            return Ok(*function);
        }
        let text = self.out.history.values().get(name);
        let function = text.as_text().and_then(micro_operation);
        let function = function.ok_or_else(|| format!("{text} is no operation; there are append, w and r"))?;
        self.names.push((name, function));
        Ok(function)
    }

    /// Sorts the micro-operations by key.
    fn finish(self) -> Transactions<'h> {
        let mut out = self.out;
        let mut first = vec![0u32; out.keys.len() + 1];
        for mop in &out.mops {
            first[mop.key as usize + 1] += 1;
        }
        for at in 1..first.len() {
            first[at] += first[at - 1];
        }
        let mut next = first.clone();
        out.by_key = vec![0; out.mops.len()];
        for (at, mop) in out.mops.iter().enumerate() {
            let place = &mut next[mop.key as usize];
            out.by_key[*place as usize] = at as u32;
            *place += 1;
        }
        out.key_first = first;
        out
    }
}

/// Whether a call of this function is a transaction of several micro-operations.
pub(crate) fn transacts(function: &str, op: &Op<'_>) -> bool {
    function == "txn" || is_micro_operations(op.input)
}

/// Whether the reply is of this call: the same operations on the same keys, with the same values written.
fn same_calls(call: ListRef<'_>, reply: ListRef<'_>) -> bool {
    let same = |(call, reply): (ValueRef<'_>, ValueRef<'_>)| match (call.as_list(), reply.as_list()) {
        (Some(call), Some(reply)) => {
            let (call, reply) = (call.words(), reply.words());
            // What is read is nil in the call; what is written is the same in both.
            call.len() == reply.len()
                && call.len() == 3
                && call[..2] == reply[..2]
                && (call[2] == reply[2] || call[2] == Word::NIL)
        }
        _ => false,
    };
    call.len() == reply.len() && call.iter().zip(reply.iter()).all(same)
}

/// A hasher for words and numbers of our own making: multiply and fold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }
    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.0 ^ number ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93_u128;
        self.0 = wide as u64 ^ (wide >> 64) as u64;
    }
}
