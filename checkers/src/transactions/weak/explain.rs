//! Contradictions in words: a cycle of transactions as a finding, edge by edge, with a sentence for each edge.
use super::causal::Causes;
use super::judge::{Level, Link, Why};
use super::matched::{Flaw, FlawedRead};
use super::view::{INITIAL, View};
use crate::transactions::explain::Narrator;
use crate::transactions::txn::{MopKind, Transactions};
use crate::value::{Value, Word};
use crate::verdict::certificate::{Certificate, Claim, Edge, EdgeKind};
use crate::verdict::{Finding, Violation};
use std::cell::OnceCell;
use std::collections::HashMap;

/// What findings need to speak of a view.
pub(crate) struct Words<'a, 'h> {
    pub(crate) transactions: &'a Transactions<'h>,
    pub(crate) view: &'a View,
    /// The transaction behind each number of the view.
    pub(crate) txns: &'a [u32],
    pub(crate) level: Level,
    /// The causal order, made when it is first needed.
    pub(crate) causes: OnceCell<Causes>,
}

/// Links of a cycle that are described; of a longer one these and the last. A longer one has no certificate where transactions
/// beside it would have to show its links.
const LINKS_SHOWN: usize = 30;

impl Level {
    /// Its name in plans and verdicts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Committed => "PL-2",
            Level::ReadCommitted => "read-committed",
            Level::ReadAtomic => "read-atomic",
            Level::Causal => "causal",
            Level::Parallel => "parallel-snapshot-isolation",
        }
    }
}

impl Words<'_, '_> {
    fn call(&self, txn: u32) -> u64 {
        u64::from(self.transactions.txn(self.txns[txn as usize]).call)
    }

    fn key(&self, key: u32) -> Value {
        self.transactions.key(key).to_value()
    }

    /// The value that the transaction left in the key: the written value, or the last appended element.
    fn written(&self, txn: u32, key: u32) -> Value {
        if txn == INITIAL {
            return self.transactions.first(key);
        }
        Narrator(self.transactions).last_written(self.txns[txn as usize], key)
    }

    /// The first element that the transaction appended to the key: what of it comes before another's last one.
    fn first_written(&self, txn: u32, key: u32) -> Value {
        let mut mops = self.transactions.mops(self.txns[txn as usize]).iter();
        let first = mops.find(|mop| mop.key == key && mop.writes());
        first.map_or(Value::Nil, |mop| self.transactions.value(mop.value).to_value())
    }

    fn edge(&self, from: u32, to: u32, kind: EdgeKind, key: Option<u32>) -> Edge {
        let (mut before, mut after) = (Value::Nil, Value::Nil);
        if let Some(key) = key {
            match kind {
                EdgeKind::Wr => {
                    before = self.written(from, key);
                    after = before.clone();
                }
                EdgeKind::Rw => {
                    let read = self.view.reads(from).iter().find(|read| read.key == key);
                    before = read.map_or(Value::Nil, |read| self.written(read.from, key));
                    after = self.written(to, key);
                }
                _ => {
                    before = self.written(from, key);
                    after = self.written(to, key);
                }
            }
        }
        let key = key.map_or(Value::Nil, |key| self.key(key));
        Edge { from: self.call(from), to: self.call(to), kind, key, before, after }
    }

    /// How the reader came to see the writer, as links from the writer to the reader.
    fn sight(&self, writer: u32, reader: u32) -> Vec<Link> {
        let direct = |from: u32, to: u32| {
            let read = self.view.reads(to).iter().find(|read| read.from == from && !read.behind_own);
            read.map(|read| Link { from, to, why: Why::Reads(read.key) })
        };
        let session = |from: u32, to: u32| {
            let same = self.view.session[from as usize] == self.view.session[to as usize] && from < to;
            same.then_some(Link { from, to, why: Why::Session })
        };
        let step =
            |from: u32, to: u32| direct(from, to).or_else(|| session(from, to)).or_else(|| self.element(from, to));
        if let Some(link) = step(writer, reader) {
            return vec![link];
        }
        let causes = self.causes.get_or_init(|| Causes::new(self.view, false));
        let path = causes.path(writer, reader);
        path.windows(2).filter_map(|pair| step(pair[0], pair[1])).collect()
    }

    /// The read in which one saw an element of the other, though not as the last one.
    fn element(&self, from: u32, to: u32) -> Option<Link> {
        let among = |key: u32, place: u32| {
            let chain = self.view.versions[key as usize].chain();
            chain.is_some_and(|chain| chain.writers.iter().take(place as usize).any(|&writer| writer == from))
        };
        let read = self.view.reads(to).iter().find(|read| among(read.key, read.place));
        read.map(|read| Link { from, to, why: Why::Reads(read.key) })
    }

    fn sentence(&self, link: &Link) -> String {
        let (from, to) = (self.call(link.from), if link.to == INITIAL { 0 } else { self.call(link.to) });
        match link.why {
            Why::Session => {
                let process = self.transactions.op(self.txns[link.to as usize]).process;
                format!("#{from} comes before #{to}: process {process} called it first.")
            }
            Why::Reads(key) => {
                let value = self.written(link.from, key);
                format!("#{from} comes before #{to}: #{to} read {value} of key {}, which #{from} wrote.", self.key(key))
            }
            Why::Versions(key) => {
                let (one, two) = (self.first_written(link.from, key), self.written(link.to, key));
                format!("#{from} comes before #{to}: of key {}, its {one} comes before {two}.", self.key(key))
            }
            Why::Forced(reader, key) => {
                let (reader, name) = (self.call(reader), self.key(key));
                if link.to == INITIAL {
                    return format!("Yet #{reader} read key {name} as it was before #{from} wrote it.");
                }
                let value = self.written(link.to, key);
                format!(
                    "#{from} comes before #{to}: #{reader} sees #{from}, which wrote key {name}, and still read {value} of \
                     it, which #{to} wrote."
                )
            }
        }
    }

    /// The cycle with links on the versions of one key taken together, as far as the first's first comes before the last's
    /// last.
    fn joined(&self, cycle: &[Link]) -> Vec<Link> {
        // By key, the first and the last place of each writer.
        let mut places: HashMap<u32, HashMap<u32, (usize, usize)>> = HashMap::new();
        let mut before = |key: u32, from: u32, to: u32| {
            let places = places.entry(key).or_insert_with(|| self.places(key));
            let place = |txn: u32| places.get(&txn);
            place(from).zip(place(to)).is_some_and(|(from, to)| from.0 < to.1)
        };
        let mut short: Vec<Link> = Vec::new();
        for link in cycle {
            if let (Some(last), Why::Versions(key)) = (short.last_mut(), link.why)
                && last.why == link.why
                && last.from != link.to
                && before(key, last.from, link.to)
            {
                last.to = link.to;
            } else {
                short.push(*link);
            }
        }
        short
    }

    fn places(&self, key: u32) -> HashMap<u32, (usize, usize)> {
        let mut places: HashMap<u32, (usize, usize)> = HashMap::new();
        let Some(chain) = self.view.versions[key as usize].chain() else { return places };
        let end = chain.writers.len();
        for (at, &writer) in chain.writers.iter().enumerate().chain(chain.tail.iter().map(|writer| (end, writer))) {
            places.entry(writer).or_insert((at, at)).1 = at;
        }
        places
    }

    /// A cycle as a finding.
    pub(crate) fn cycle(&self, cycle: &[Link]) -> Finding {
        let cycle = &self.joined(cycle)[..];
        if let Some(finding) = self.missed(cycle) {
            return finding;
        }
        let forced = cycle.iter().any(|link| matches!(link.why, Why::Forced(..)));
        let kind = if forced { self.kind() } else { plain_kind(cycle) };
        let mut sentences = Vec::new();
        let mut calls: Vec<u64> = Vec::new();
        let mut edges = Vec::new();
        let long = cycle.len() > LINKS_SHOWN + 1;
        // What a transaction read behind its own appends shows no order of others, and so no certificate.
        let mut certified = !long || !cycle.iter().any(|link| matches!(link.why, Why::Forced(..) | Why::Versions(_)));
        for (at, link) in cycle.iter().enumerate() {
            edges.push(self.link_edge(link));
            calls.extend([self.call(link.from), self.call(link.to)]);
            if long && at >= LINKS_SHOWN && at + 1 < cycle.len() {
                if at == LINKS_SHOWN {
                    sentences.push(format!("And so on, {} links.", cycle.len() - LINKS_SHOWN - 1));
                }
                continue;
            }
            if let Why::Forced(reader, _) = link.why {
                calls.push(self.call(reader));
                let sight = self.sight(link.from, reader);
                sentences.extend(sight.iter().map(|link| self.sentence(link)));
                calls.extend(sight.iter().flat_map(|link| [self.call(link.from), self.call(link.to)]));
            }
            sentences.push(self.sentence(link));
        }
        match if certified { self.witnesses(cycle) } else { None } {
            Some(witnesses) => calls.extend(witnesses),
            None => certified = false,
        }
        let title = match forced {
            true => format!("no order of the writes fits what {} transactions read", cycle.len()),
            false => format!("{} transactions come before each other", cycle.len()),
        };
        let violation = self.violation(kind, title, sentences, calls, edges);
        Violation { certified, ..violation }.finding(self.transactions.history())
    }

    /// Transactions beside the cycle that read the first version of a link before its second or without it, as few as show all
    /// links; none where no transaction shows a link.
    fn witnesses(&self, cycle: &[Link]) -> Option<Vec<u64>> {
        let mut missing: Vec<(u32, Word, Word)> = Vec::new();
        for link in cycle {
            let Why::Versions(key) = link.why else { continue };
            let writes = |txn: u32| {
                let mops = self.transactions.mops(self.txns[txn as usize]).iter();
                mops.filter(|mop| mop.key == key && mop.writes()).map(|mop| mop.value)
            };
            let (before, after) = (writes(link.from).next()?, writes(link.to).next_back()?);
            if !cycle.iter().any(|link| self.shows(self.txns[link.from as usize], (key, before, after))) {
                missing.push((key, before, after));
            }
        }
        let mut witnesses: Vec<u32> = Vec::new();
        for &order in &missing {
            let mops = self.transactions.all_mops();
            let mut readers = self.transactions.key_mops(order.0).iter().map(|&place| mops[place as usize]);
            witnesses.push(readers.find(|mop| mop.kind() == MopKind::Read && self.shows(mop.txn(), order))?.txn());
        }
        witnesses.sort_unstable();
        witnesses.dedup();
        // The witness of one link may show another one, too.
        let mut at = 0;
        while at < witnesses.len() {
            let others = || witnesses.iter().filter(|&&other| other != witnesses[at]);
            if missing.iter().all(|&order| others().any(|&other| self.shows(other, order))) {
                witnesses.remove(at);
            } else {
                at += 1;
            }
        }
        Some(witnesses.into_iter().map(|txn| u64::from(self.transactions.txn(txn).call)).collect())
    }

    /// Whether the transaction read the key's first version before the second or without it.
    fn shows(&self, txn: u32, (key, before, after): (u32, Word, Word)) -> bool {
        Narrator(self.transactions).reads_in_order(txn, key, before, after)
    }

    fn link_edge(&self, link: &Link) -> Edge {
        match link.why {
            Why::Session => self.edge(link.from, link.to, EdgeKind::Process, None),
            Why::Reads(key) => self.edge(link.from, link.to, EdgeKind::Wr, Some(key)),
            Why::Versions(key) => {
                let before = self.first_written(link.from, key);
                Edge { before, ..self.edge(link.from, link.to, EdgeKind::Ww, Some(key)) }
            }
            Why::Forced(_, key) => self.edge(link.from, link.to, EdgeKind::Ww, Some(key)),
        }
    }

    /// Where the order of the two versions is known, the cycle is the reader's own: it saw a writer, and missed what that
    /// wrote.
    fn missed(&self, cycle: &[Link]) -> Option<Finding> {
        let at = cycle.iter().position(|link| matches!(link.why, Why::Forced(..)))?;
        let Why::Forced(reader, key) = cycle[at].why else { return None };
        let known = |link: &Link| link.why == Why::Versions(key);
        if cycle[at].to != INITIAL && !cycle.iter().enumerate().all(|(other, link)| other == at || known(link)) {
            return None;
        }
        let writer = cycle[at].from;
        let sight = self.sight(writer, reader);
        if sight.is_empty() {
            return None;
        }
        let mut calls: Vec<u64> = sight.iter().flat_map(|link| [self.call(link.from), self.call(link.to)]).collect();
        let mut sentences: Vec<String> = sight.iter().map(|link| self.sentence(link)).collect();
        if cycle[at].to == INITIAL {
            sentences.push(self.sentence(&cycle[at]));
        } else {
            // A list ends in what comes before, a value does not say what it replaced.
            let mut mops = self.transactions.mops(self.txns[writer as usize]).iter();
            if !mops.any(|mop| mop.key == key && mop.kind() == MopKind::Append) {
                calls.push(self.call(cycle[at].to));
            }
            let (name, value) = (self.key(key), self.written(cycle[at].to, key));
            sentences.push(format!(
                "Yet #{} read {value} of key {name}, which comes before the {} that #{} wrote.",
                self.call(reader),
                self.written(writer, key),
                self.call(writer)
            ));
        }
        let mut edges: Vec<Edge> = sight.iter().map(|link| self.link_edge(link)).collect();
        // It may have read the key before, from somebody else.
        let before = self.written(cycle[at].to, key);
        edges.push(Edge { before, ..self.edge(reader, writer, EdgeKind::Rw, Some(key)) });
        let (reader, writer) = (self.call(reader), self.call(writer));
        let title = format!("#{reader} sees #{writer} but not what it wrote to key {}", self.key(key));
        let violation = self.violation(self.kind(), title, sentences, calls, edges);
        Some(violation.finding(self.transactions.history()))
    }

    fn kind(&self) -> &'static str {
        match self.level {
            Level::Committed | Level::ReadCommitted => "non-monotonic-view",
            Level::ReadAtomic => "fractured-read",
            Level::Causal | Level::Parallel => "causal-violation",
        }
    }

    /// The violation of the transactions with these calls; the certificate claims the cycle.
    fn violation(
        &self,
        kind: &'static str,
        title: String,
        reasons: Vec<String>,
        calls: Vec<u64>,
        cycle: Vec<Edge>,
    ) -> Violation<'_> {
        let ops = calls.into_iter().filter_map(|call| self.transactions.history().op(call)).collect();
        Violation { reasons, cycle, anomaly: Some(kind), ..Violation::new(kind, title, Value::Nil, ops) }
    }
}

/// The name of a cycle that every level rules out.
fn plain_kind(cycle: &[Link]) -> &'static str {
    let has = |wanted: fn(&Why) -> bool| cycle.iter().any(|link| wanted(&link.why));
    match (has(|why| matches!(why, Why::Reads(_))), has(|why| *why == Why::Session)) {
        (true, false) => "G1c",
        (true, true) => "G1c-process",
        (false, true) => "G0-process",
        (false, false) => "G0",
    }
}

/// The violation that a flaw is.
pub(crate) fn flaw<'h>(transactions: &Transactions<'h>, flawed: &FlawedRead) -> Violation<'h> {
    let history = transactions.history();
    let call = |txn: u32| u64::from(transactions.txn(txn).call);
    let (reader, key) = (call(flawed.reader), transactions.key(flawed.key));
    let value = transactions.value(flawed.value);
    let (title, why) = match flawed.flaw {
        Flaw::Aborted => {
            let writer = call(flawed.writer);
            let why =
                format!("#{writer} certainly had no effect, and no other transaction wrote {value} to key {key}.");
            (format!("#{reader} read {value} of key {key}, which only the aborted #{writer} wrote"), why)
        }
        Flaw::Unwritten => {
            let why = format!("No transaction wrote {value} to key {key}.");
            (format!("#{reader} read {value} of key {key}, which no transaction wrote"), why)
        }
        Flaw::Intermediate => {
            let writer = call(flawed.writer);
            let why = format!(
                "#{writer} itself overwrote {value} before it ended, so that no other transaction should see it."
            );
            (format!("#{reader} read {value} of key {key}, which #{writer} wrote only in between"), why)
        }
        Flaw::Internal => {
            let mops = transactions.mops(flawed.reader).iter();
            let own = mops
                .take_while(|mop| !(mop.kind() == MopKind::Read && mop.value == flawed.value && mop.key == flawed.key));
            let own: Vec<Word> = own.filter(|mop| mop.writes() && mop.key == flawed.key).map(|mop| mop.value).collect();
            let own = own.last().map_or(Value::Nil, |word| transactions.value(*word).to_value());
            let why = format!("#{reader} had itself written {own} to key {key} before.");
            (format!("#{reader} read {value} of key {key} right after writing {own} to it"), why)
        }
        Flaw::Incompatible => {
            let other = call(flawed.writer);
            let why = format!("Neither this list nor the longer one that #{other} read begins with the other.");
            (format!("#{reader} and #{other} read lists of key {key} in different orders"), why)
        }
        Flaw::Inverted => {
            let writer = call(flawed.writer);
            let why = format!("#{writer} appended another element to key {key} before {value}.");
            let title = format!("#{reader} read {value} of key {key}, but not before it what #{writer} appended first");
            (title, why)
        }
        Flaw::Duplicate => {
            let why = format!("Only #{} appended {value} to key {key}, and once.", call(flawed.writer));
            (format!("#{reader} read {value} twice in the list of key {key}"), why)
        }
        Flaw::Future => {
            let why = format!("Only #{reader} itself wrote {value} to key {key}, after that read.");
            (format!("#{reader} read {value} of key {key} before writing it"), why)
        }
    };
    let kind = flawed.flaw.kind();
    let mut calls = vec![reader];
    if flawed.writer != INITIAL {
        calls.push(call(flawed.writer));
    }
    let ops = calls.iter().filter_map(|&call| history.op(call)).collect();
    let subject = Value::list([key.to_value(), value.to_value()]);
    let claim = Claim::Rule { rule: kind.to_owned(), subject: subject.clone() };
    // Shown also where the model allows it and it is evidence.
    let certificate = Certificate::new(history, claim, &calls);
    let violation = Violation { reasons: vec![why], certified: false, ..Violation::new(kind, title, subject, ops) };
    violation.on(key).with_certificate(Some(certificate))
}
