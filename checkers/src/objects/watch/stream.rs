//! [`Store`]: the changes that are known of a store, by revision and by key, and what its watches delivered.
use crate::history::{History, Op, Outcome};
use crate::value::{MapRef, ValueRef};
use std::borrow::Cow;
use std::collections::HashMap;

/// The functions of the workload.
pub(super) const FUNCTIONS: [&str; 4] = ["put", "delete", "txn", "watch"];

/// What happened to a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change<'h> {
    Put(ValueRef<'h>),
    Delete,
}

/// An event that a watch delivered.
pub(super) struct Event<'h> {
    pub(super) revision: i64,
    pub(super) key: u32,
    pub(super) change: Change<'h>,
    /// The response it came in, from 0.
    pub(super) response: u32,
}

/// Which keys are watched.
pub(super) enum Filter<'h> {
    Everything,
    Key(Cow<'h, str>),
    Prefix(Cow<'h, str>),
}

/// An answered watch.
pub(super) struct Watched<'h> {
    /// Position of the operation.
    pub(super) op: u32,
    pub(super) filter: Filter<'h>,
    pub(super) start: Option<i64>,
    pub(super) events: Vec<Event<'h>>,
    /// Bookmarks: the revision, and how many events came before.
    pub(super) bookmarks: Vec<(i64, usize)>,
}

/// A change that certainly happened.
#[derive(Clone, Copy)]
pub(super) struct CertainChange {
    pub(super) revision: i64,
    pub(super) key: u32,
    /// The operation that shows it.
    pub(super) op: u32,
    /// Whether that is the change itself, acknowledged.
    pub(super) acknowledged: bool,
}

/// The changes and watches of one store.
#[derive(Default)]
pub(super) struct Store<'h> {
    names: Vec<Cow<'h, str>>,
    ids: HashMap<Cow<'h, str>, u32>,
    /// For each put its first attempt that may have happened, and one that did not.
    attempts: HashMap<(u32, ValueRef<'h>), u32>,
    refused: HashMap<(u32, ValueRef<'h>), u32>,
    /// CertainChange changes by revision and key, each once.
    known: Vec<CertainChange>,
    /// Keys in the order of their texts, each with the places of its changes in `known`.
    by_key: Vec<(u32, Vec<u32>)>,
    /// A revision, a key, and two operations that differ about them.
    pub(super) contradictions: Vec<(i64, u32, u32, u32)>,
    pub(super) watches: Vec<Watched<'h>>,
    pub(super) acknowledged: u64,
    pub(super) malformed: Vec<u64>,
}

/// A change as one operation tells it.
struct ShownChange<'h> {
    known: CertainChange,
    change: Change<'h>,
}

fn text<'h>(value: ValueRef<'h>) -> Cow<'h, str> {
    value.as_text().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

impl<'h> Store<'h> {
    /// Of the calls at these positions, which are in order.
    pub(super) fn of(history: &'h History, positions: &[u32]) -> Store<'h> {
        let mut store = Store::default();
        let mut shown: Vec<ShownChange<'_>> = Vec::new();
        for op in positions.iter().map(|&at| history.ops().at(at as usize)) {
            let understood = match history.name(op.function) {
                "watch" => store.watch(&op),
                "txn" => store.transaction(&op, &mut shown),
                "put" => store.change(&op, op.key, Change::Put(op.input), true, &mut shown),
                _ => store.change(&op, op.key, Change::Delete, true, &mut shown),
            };
            if !understood {
                store.malformed.push(op.call);
            }
        }
        for watch in &store.watches {
            shown.extend(watch.events.iter().map(|event| {
                let known =
                    CertainChange { revision: event.revision, key: event.key, op: watch.op, acknowledged: false };
                ShownChange { known, change: event.change }
            }));
        }
        store.settle(shown);
        store
    }

    /// The text of a key.
    pub(super) fn key(&self, key: u32) -> &str {
        &self.names[key as usize]
    }

    /// Whether a filter takes a key.
    pub(super) fn takes(&self, filter: &Filter<'_>, key: u32) -> bool {
        filter.matches(self.key(key))
    }

    /// The first put of this value that may have happened.
    pub(super) fn attempt(&self, key: u32, value: ValueRef<'h>) -> Option<u32> {
        self.attempts.get(&(key, value)).copied()
    }

    /// A put of this value that certainly did not happen.
    pub(super) fn refusal(&self, key: u32, value: ValueRef<'h>) -> Option<u32> {
        self.refused.get(&(key, value)).copied()
    }

    fn id(&mut self, key: Cow<'h, str>) -> u32 {
        let next = self.names.len() as u32;
        let id = *self.ids.entry(key.clone()).or_insert(next);
        if id == next {
            self.names.push(key);
        }
        id
    }

    /// A change; false where its answer cannot be understood. `certain`: an acknowledgement with a revision shows it.
    fn change(
        &mut self,
        op: &Op<'h>,
        key: ValueRef<'h>,
        change: Change<'h>,
        certain: bool,
        shown: &mut Vec<ShownChange<'h>>,
    ) -> bool {
        let key = self.id(text(key));
        if let Change::Put(value) = change {
            let list = if op.outcome == Outcome::Fail { &mut self.refused } else { &mut self.attempts };
            list.entry((key, value)).or_insert(op.position);
        }
        if op.outcome != Outcome::Ok {
            return true;
        }
        match op.output.as_int() {
            Some(revision) if certain => {
                self.acknowledged += 1;
                let known = CertainChange { revision, key, op: op.position, acknowledged: true };
                shown.push(ShownChange { known, change });
                true
            }
            Some(_) => true,
            None => op.output.is_nil() && (change == Change::Delete || !certain),
        }
    }

    fn transaction(&mut self, op: &Op<'h>, shown: &mut Vec<ShownChange<'h>>) -> bool {
        let Some(list) = op.input.as_list() else { return false };
        // A transaction that did nothing has no revision.
        let happened = op.output.as_int().is_some();
        let mut understood = happened || op.output.is_nil();
        for item in list.iter() {
            let item = item.as_list();
            let name = item.and_then(|item| item.get(0)).and_then(|name| name.as_text());
            understood &= match (name, item) {
                (Some("put"), Some(item)) if item.len() == 3 => {
                    self.change(op, item.at(1), Change::Put(item.at(2)), happened, shown)
                }
                (Some("delete"), Some(item)) if item.len() == 2 => {
                    self.change(op, item.at(1), Change::Delete, false, shown)
                }
                _ => false,
            };
        }
        understood
    }

    /// An answered watch; false where its input or its answer cannot be understood, and then nothing of it counts.
    fn watch(&mut self, op: &Op<'h>) -> bool {
        if op.outcome != Outcome::Ok {
            return true;
        }
        let input = op.input.as_map();
        let field = |name: &str| input.and_then(|map| map.get(name)).filter(|value| !value.is_nil());
        let start = field("revision").map(|revision| revision.as_int());
        let Some(responses) = op.output.as_list().filter(|_| input.is_some() || op.input.is_nil()) else {
            return false;
        };
        if start == Some(None) {
            return false;
        }
        let filter = match (field("key"), field("prefix")) {
            (Some(key), _) => Filter::Key(text(key)),
            (None, Some(prefix)) => Filter::Prefix(text(prefix)),
            (None, None) => Filter::Everything,
        };
        let start = start.flatten().filter(|&revision| revision > 0);
        let mut watch = Watched { op: op.position, filter, start, events: Vec::new(), bookmarks: Vec::new() };
        for (at, response) in responses.iter().enumerate() {
            let understood = match (response.as_list(), response.as_map()) {
                (Some(list), _) => {
                    list.iter().all(|event| event.as_map().is_some_and(|map| self.event(map, at, &mut watch)))
                }
                (_, Some(map)) => self.event(map, at, &mut watch),
                _ => false,
            };
            if !understood {
                return false;
            }
        }
        self.watches.push(watch);
        true
    }

    fn event(&mut self, map: MapRef<'h>, response: usize, watch: &mut Watched<'h>) -> bool {
        let Some(revision) = map.get("revision").and_then(|revision| revision.as_int()) else { return false };
        let change = match map.get("type").and_then(|kind| kind.as_text()) {
            Some("put") => map.get("value").map(Change::Put),
            Some("delete") => Some(Change::Delete),
            Some("progress") => {
                watch.bookmarks.push((revision, watch.events.len()));
                return true;
            }
            _ => None,
        };
        let (Some(change), Some(key)) = (change, map.get("key")) else { return false };
        let key = self.id(text(key));
        watch.events.push(Event { revision, key, change, response: response as u32 });
        true
    }

    /// Sorts what is known, and finds where it contradicts itself.
    fn settle(&mut self, mut shown: Vec<ShownChange<'h>>) {
        shown.sort_by_key(|one| (one.known.revision, one.known.key, !one.known.acknowledged, one.known.op));
        let mut by_key: Vec<Vec<u32>> = vec![Vec::new(); self.names.len()];
        for same in
            shown.chunk_by(|one, two| (one.known.revision, one.known.key) == (two.known.revision, two.known.key))
        {
            let first = &same[0];
            if let Some(other) = same.iter().find(|other| other.change != first.change) {
                self.contradictions.push((first.known.revision, first.known.key, first.known.op, other.known.op));
            }
            by_key[first.known.key as usize].push(self.known.len() as u32);
            self.known.push(first.known);
        }
        self.by_key = by_key.into_iter().enumerate().map(|(key, places)| (key as u32, places)).collect();
        let names = &self.names;
        self.by_key.sort_by(|one, two| names[one.0 as usize].cmp(&names[two.0 as usize]));
    }

    /// The known changes that a filter takes, from one revision to another, both inclusive.
    pub(super) fn within(&self, filter: &Filter<'_>, from: i64, to: i64, mut take: impl FnMut(&CertainChange)) {
        let low = self.known.partition_point(|known| known.revision < from);
        let high = self.known.partition_point(|known| known.revision <= to).max(low);
        let name = |at: &(u32, Vec<u32>)| -> &str { &self.names[at.0 as usize] };
        let keys = match filter {
            Filter::Everything => &self.by_key[..],
            Filter::Key(prefix) | Filter::Prefix(prefix) => {
                let first = self.by_key.partition_point(|entry| name(entry) < &**prefix);
                let count = self.by_key[first..].partition_point(|entry| name(entry).starts_with(&**prefix));
                &self.by_key[first..first + count]
            }
        };
        let keys = if let Filter::Key(_) = filter { &keys[..keys.len().min(1)] } else { keys };
        // Whichever is less: to go through the revisions, or through the keys.
        if high - low <= keys.len() || matches!(filter, Filter::Everything) {
            self.known[low..high].iter().filter(|known| self.takes(filter, known.key)).for_each(take);
            return;
        }
        for (_, places) in keys.iter().filter(|entry| filter.matches(name(entry))) {
            let first = places.partition_point(|&place| (place as usize) < low);
            for &place in places[first..].iter().take_while(|&&place| (place as usize) < high) {
                take(&self.known[place as usize]);
            }
        }
    }
}
