//! [`FinalReads`]: how the final reads of a run were made, and so how they are judged; which of them is the last word of
//! a node, and what those say that failed.
use crate::history::{History, NameId, Op, Outcome};
use crate::verdict::messages;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Begins the error of a final read whose object (stream, table, key space) is certainly not there: `absent: CODE: TEXT`,
/// where the recipe declares of this code that it means so. No client's own words may begin like this.
pub const ABSENT: &str = "absent: ";

/// Which nodes must answer the final reads, and how often they are asked; and so how the answers are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FinalReads {
    /// Each node answers for itself, each read repeated until it is answered; all should hold the same.
    #[default]
    EachNode,
    /// Every node is asked; one answer to each read speaks for all.
    AnyNode,
    /// The node that leads answers for all.
    Leader,
    /// One node, one answer: the read takes what it returns and is never repeated after an unknown end.
    Once,
    /// One node after the other, each until nothing is left: reads take what they return, and all of them together are
    /// what was there.
    UntilEmpty,
}

impl FinalReads {
    /// All of them.
    pub const ALL: [FinalReads; 5] =
        [FinalReads::EachNode, FinalReads::AnyNode, FinalReads::Leader, FinalReads::Once, FinalReads::UntilEmpty];

    /// Its name in plans, recipes and options of checkers.
    pub fn name(self) -> &'static str {
        match self {
            FinalReads::EachNode => "each-node",
            FinalReads::AnyNode => "any-node",
            FinalReads::Leader => "leader",
            FinalReads::Once => "once",
            FinalReads::UntilEmpty => "until-empty",
        }
    }

    /// Whether a read may take away what it returns.
    pub(crate) fn takes_away(self) -> bool {
        matches!(self, FinalReads::Once | FinalReads::UntilEmpty)
    }

    /// Whether each node is asked for itself, so that one that never answered may hold what the others lack.
    pub(crate) fn asks_each(self) -> bool {
        self == FinalReads::EachNode
    }
}

/// Nodes that were asked for a final read (a client is bound to the node that it asks), and that answered none and of
/// which no read was answered, by whichever node: each once.
pub(crate) fn silent<'h>(
    history: &History,
    failed: impl Iterator<Item = &'h Op<'h>>,
    answered: impl Iterator<Item = &'h Op<'h>>,
) -> BTreeSet<NameId> {
    let answered: BTreeSet<NameId> = answered.flat_map(|op| [history.bound_node(op), op.node]).collect();
    failed.map(|op| history.bound_node(op)).filter(|node| !answered.contains(node)).collect()
}

/// Those of these nodes, to which adds were made that were acknowledged, that were never asked for a final read: their clients
/// made none, and they answered none. None where no final read was made, or where one went to a node that is not known.
pub(crate) fn unasked<'h>(
    history: &History,
    added: impl Iterator<Item = NameId>,
    finals: impl Iterator<Item = &'h Op<'h>>,
) -> BTreeSet<NameId> {
    let known = |node: &NameId| !matches!(history.name(*node), "" | "?");
    let asked: BTreeSet<NameId> = finals.flat_map(|op| [history.bound_node(op), op.node]).collect();
    if asked.is_empty() || !asked.iter().all(known) {
        return BTreeSet::new();
    }
    added.filter(known).filter(|node| !asked.contains(node)).collect()
}

/// Nodes of which no final read says what they hold.
#[derive(Default)]
pub(crate) struct Unread<'h> {
    /// They were asked.
    pub(crate) silent: BTreeSet<&'h str>,
    /// They acknowledged adds and were never asked.
    pub(crate) unasked: BTreeSet<&'h str>,
}

impl<'h> Unread<'h> {
    /// Their names.
    pub(crate) fn of(history: &'h History, silent: &BTreeSet<NameId>, unasked: &BTreeSet<NameId>) -> Unread<'h> {
        let names = |nodes: &BTreeSet<NameId>| nodes.iter().map(|node| history.name(*node)).collect();
        Unread { silent: names(silent), unasked: names(unasked) }
    }

    /// With those of another object.
    pub(crate) fn join(&mut self, other: Unread<'h>) {
        self.silent.extend(other.silent);
        self.unasked.extend(other.unasked);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.silent.is_empty() && self.unasked.is_empty()
    }

    /// A clause about final reads: `n2 never answered one and n3 was not asked for one`.
    pub(crate) fn clause(&self) -> String {
        let list = |nodes: &BTreeSet<&str>| nodes.iter().copied().collect::<Vec<_>>().join(", ");
        let silent = (!self.silent.is_empty()).then(|| format!("{} never answered one", list(&self.silent)));
        let was = if self.unasked.len() == 1 { "was" } else { "were" };
        let unasked = (!self.unasked.is_empty()).then(|| format!("{} {was} not asked for one", list(&self.unasked)));
        silent.into_iter().chain(unasked).collect::<Vec<_>>().join(" and ")
    }

    /// A clause: `No final read succeeded on n2, and none was made on n3, which acknowledged adds`.
    pub(crate) fn none(&self) -> String {
        let list = |nodes: &BTreeSet<&str>| nodes.iter().copied().collect::<Vec<_>>().join(", ");
        let (silent, unasked) = (list(&self.silent), list(&self.unasked));
        match (self.silent.is_empty(), self.unasked.is_empty()) {
            (_, true) => format!("No final read succeeded on {silent}"),
            (true, false) => format!("No final read was made on {unasked}, which acknowledged adds"),
            (false, false) => {
                format!("No final read succeeded on {silent}, and none was made on {unasked}, which acknowledged adds")
            }
        }
    }

    /// What to do where one node's answer is enough: ` If ..`, or nothing where all were asked.
    pub(crate) fn advice(&self) -> &'static str {
        match self.unasked.is_empty() {
            true => "",
            false => " If one node's answer speaks for all, say so: the option final_reads: any-node.",
        }
    }
}

/// Nodes that were asked for a final read by the clients bound to them, and that answered none themselves: their reads
/// failed, or another node answered in their place. Nothing shows what they hold. Each once, in order of name.
pub(crate) fn unheard<'h, 'o>(
    history: &'h History,
    asked: impl Iterator<Item = &'o Op<'o>>,
    answered: impl Iterator<Item = NameId>,
) -> BTreeSet<&'h str> {
    let answered: BTreeSet<NameId> = answered.collect();
    let nodes = asked.map(|op| history.bound_node(op)).filter(|node| !answered.contains(node));
    nodes.map(|node| history.name(node)).filter(|node| !matches!(*node, "" | "?")).collect()
}

/// A clause: `n3 was asked for a final read and gave none of its own`.
pub(crate) fn none_of_its_own(unheard: &BTreeSet<&str>) -> String {
    let nodes = unheard.iter().copied().collect::<Vec<_>>().join(", ");
    let (was, its) = if unheard.len() == 1 { ("was", "its") } else { ("were", "their") };
    format!("{nodes} {was} asked for a final read and gave none of {its} own")
}

/// The code with which an error begins.
fn code<'h>(history: &'h History, op: &Op<'h>) -> &'h str {
    let text = op.error.map_or("", |error| history.name(error));
    let code = text.split(':').next().unwrap_or_default().trim();
    if code.is_empty() { "no reason given" } else { code }
}

/// Whether the read failed because what it asked for is certainly not there: it is a read of nothing.
pub(crate) fn is_absent(history: &History, op: &Op<'_>) -> bool {
    let error = op.error.map_or("", |error| history.name(error));
    op.outcome == Outcome::Fail && op.settle && error.starts_with(ABSENT)
}

/// Whether a read says what is there: it returned a list, or found that what it asked for is not there.
pub(crate) fn answered(history: &History, op: &Op<'_>) -> bool {
    match op.outcome {
        Outcome::Ok => op.output.as_list().is_some(),
        _ => is_absent(history, op),
    }
}

/// Final reads that did not succeed, in all sets.
#[derive(Default)]
pub(crate) struct Failures<'h> {
    by_code: BTreeMap<&'h str, usize>,
    nodes: BTreeSet<&'h str>,
}

impl<'h> Failures<'h> {
    /// Takes one in that did not succeed.
    pub(crate) fn take(&mut self, history: &'h History, op: &Op<'h>) {
        let code = code(history, op);
        *self.by_code.entry(code).or_default() += 1;
        let node = history.name(history.bound_node(op));
        if !matches!(node, "" | "?") {
            self.nodes.insert(node);
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.by_code.values().sum()
    }

    /// ` 3 final reads failed: 3 x timeout on n1, n2.`, or nothing.
    pub(crate) fn sentence(&self) -> String {
        let count = self.count();
        if count == 0 {
            return String::new();
        }
        let mut codes: Vec<(&str, usize)> = self.by_code.iter().map(|(code, count)| (*code, *count)).collect();
        codes.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        let more = codes.len().saturating_sub(4);
        let mut codes: Vec<String> =
            codes.into_iter().take(4).map(|(code, count)| format!("{count} x {code}")).collect();
        if more > 0 {
            codes.push(format!("{more} more codes"));
        }
        let nodes: Vec<&str> = self.nodes.iter().copied().collect();
        let on = if nodes.is_empty() { String::new() } else { format!(" on {}", nodes.join(", ")) };
        format!(" {} failed: {}{on}.", messages::count(count, "final read"), codes.join(", "))
    }
}

/// Reads of one node, or of clients of which no node is known, by what they follow in real time.
///
/// A read that another of the same node followed, called after its reply, is no last word. Places are those of the reads
/// as they were given.
pub(crate) fn last_words<'h>(history: &'h History, reads: &[Op<'h>]) -> BTreeMap<Option<NameId>, Vec<usize>> {
    let mut last: BTreeMap<Option<NameId>, Vec<usize>> = BTreeMap::new();
    for (place, read) in reads.iter().enumerate() {
        let node = messages::placed(history, read).then_some(read.node);
        last.entry(node).or_default().push(place);
    }
    for places in last.values_mut() {
        let latest = places.iter().map(|&place| reads[place].call).max().unwrap_or(0);
        places.retain(|&place| reads[place].reply >= latest);
    }
    last
}

/// Nodes that led, by the last answer of each before this index.
pub(crate) fn leaders_at(history: &History, index: u64) -> BTreeSet<&str> {
    let claims = history.roles.iter().filter(|claim| &*claim.source != "log" && !claim.role.is_empty());
    let mut leads: BTreeMap<&str, bool> = BTreeMap::new();
    for claim in claims.take_while(|claim| claim.index < index) {
        leads.insert(&claim.node, claim.is_leader());
    }
    leads.into_iter().filter(|(_, leads)| *leads).map(|(node, _)| node).collect()
}
