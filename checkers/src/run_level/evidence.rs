//! [`evidence`]: the numbers that show whether a run could have found anything: what succeeded, which faults certainly landed,
//! what was acknowledged meanwhile, whether leadership moved. Thresholds are the run's business, not this module's.
use crate::history::{Fault, History, Op, Outcome};
use crate::run_level::sides::sides;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The numbers of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Operations by outcome, final reads included.
    pub ok: u64,
    /// Certainly without effect.
    pub fail: u64,
    /// Unknown.
    pub info: u64,
    /// Acknowledged of all, 0 to 1; 0 where there were none.
    pub ok_fraction: f64,
    /// Acknowledged by function.
    pub ok_by_function: BTreeMap<String, u64>,
    /// Each kind of fault.
    pub kinds: BTreeMap<String, KindEvidence>,
    /// Each fault that was begun.
    pub faults: Vec<FaultEvidence>,
    /// Leaders in the order in which they began to lead.
    pub leaders: Vec<Leadership>,
    /// How often leadership moved: one less than the leaders, 0 where none was seen.
    pub leader_changes: u64,
    /// Clock faults that were shown to be in force by reading the clock back.
    pub clocks_read_back: u64,
}

/// What became of the faults of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindEvidence {
    /// Planned.
    pub planned: u64,
    /// Begun.
    pub begun: u64,
    /// Shown to be in force, and not found to have lapsed before the heal.
    pub proven: u64,
    /// Begun, but never shown to be in force, or lapsed.
    pub unproven: u64,
    /// Shown to be gone, by the control node or by the node itself.
    pub healed: u64,
    /// Operations acknowledged while one was certainly in force.
    pub ok_during: u64,
}

/// What one fault met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultEvidence {
    /// Its id.
    pub fault: u64,
    /// Its kind.
    pub kind: String,
    /// Whether it was shown to be in force and not found to have lapsed before the heal.
    pub proven: bool,
    /// Whether it was shown to be gone.
    pub healed: bool,
    /// Operations called and acknowledged while it was certainly in force.
    pub ok_during: u64,
    /// For a cut: writes acknowledged on each side meanwhile, by the names of the side's nodes.
    pub writes_by_side: BTreeMap<String, u64>,
}

/// One leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// The node.
    pub node: String,
    /// The term, where it named one together with the role.
    pub term: Option<i64>,
    /// When the first reply that said so came, nanoseconds.
    pub time: u64,
}

/// Computes the numbers.
pub fn evidence(history: &History) -> Evidence {
    let count = |outcome: Outcome| history.ops().iter().filter(|op| op.outcome == outcome).count() as u64;
    let (ok, fail, info) = (count(Outcome::Ok), count(Outcome::Fail), count(Outcome::Info));
    let mut ok_by_function: BTreeMap<String, u64> = BTreeMap::new();
    for op in history.ops().iter().filter(|op| op.outcome == Outcome::Ok) {
        let name = history.name(op.function);
        match ok_by_function.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(ok_by_function.insert(name.to_owned(), 1)),
        }
    }
    let faults: Vec<FaultEvidence> =
        history.faults.iter().filter(|fault| fault.begun.is_some()).map(|fault| met(history, fault)).collect();
    let mut kinds: BTreeMap<String, KindEvidence> = BTreeMap::new();
    for fault in &history.faults {
        kinds.entry(fault.kind.clone()).or_default().planned += 1;
    }
    for fault in &faults {
        let kind = kinds.entry(fault.kind.clone()).or_default();
        kind.begun += 1;
        kind.proven += u64::from(fault.proven);
        kind.unproven += u64::from(!fault.proven);
        kind.healed += u64::from(fault.healed);
        kind.ok_during += fault.ok_during;
    }
    let leaders = leaders(history);
    let all = (ok + fail + info).max(1);
    Evidence {
        ok,
        fail,
        info,
        ok_fraction: ok as f64 / all as f64,
        ok_by_function,
        clocks_read_back: kinds.get("clock").map_or(0, |kind| kind.proven),
        kinds,
        faults,
        leader_changes: leaders.len().saturating_sub(1) as u64,
        leaders,
    }
}

fn met(history: &History, fault: &Fault) -> FaultEvidence {
    let during = fault.certain().map_or(0, |(from, to)| {
        let first = history.ops().partition_point(|op| op.call <= from.index);
        let within = history.ops().skip(first).iter().take_while(|op| op.call < to.index);
        within.filter(|op: &Op<'_>| op.outcome == Outcome::Ok && op.reply < to.index).count() as u64
    });
    FaultEvidence {
        fault: fault.id,
        kind: fault.kind.clone(),
        proven: fault.proven.is_some() && !fault.lapsed,
        healed: fault.gone(),
        ok_during: during,
        writes_by_side: sides(history, fault).iter().map(|side| (side.name(), side.writes.len() as u64)).collect(),
    }
}

/// How often leadership moved where several nodes lead at once by design: how often a node ceased to lead, or how often one began
/// to, whichever is more. A node's first answer is no change.
pub fn shard_leader_changes(history: &History) -> u64 {
    let mut last: BTreeMap<&str, bool> = BTreeMap::new();
    let (mut began, mut ceased) = (0, 0);
    for claim in history.roles.iter().filter(|claim| !claim.role.is_empty() && &*claim.source != "log") {
        let leads = claim.is_leader();
        let before = last.insert(&claim.node, leads);
        began += u64::from(leads && before == Some(false));
        ceased += u64::from(!leads && before == Some(true));
    }
    began.max(ceased)
}

/// Who began to lead, in the order in which probes found it: a claim to lead by a node whose last answer was another
/// role or another trustworthy term. A question without an answer says nothing. What nodes logged has no place in that
/// order, because logs are collected at the end.
fn leaders(history: &History) -> Vec<Leadership> {
    let mut leaders: Vec<Leadership> = Vec::new();
    let mut last: BTreeMap<&str, (bool, Option<i64>)> = BTreeMap::new();
    for claim in history.roles.iter().filter(|claim| !claim.role.is_empty() && &*claim.source != "log") {
        // A term that was not read together with the role may lag behind it, and would make one leader two.
        let now = (claim.is_leader(), claim.term.filter(|_| claim.term_with_role));
        let before = last.insert(&claim.node, now);
        // A node that was seen leading this term already is an old leader that does not know better.
        let known = now.1.is_some() && leaders.iter().any(|one| one.node == *claim.node && one.term == now.1);
        if now.0 && before != Some(now) && !known {
            leaders.push(Leadership { node: claim.node.to_string(), term: now.1, time: claim.time });
        }
    }
    leaders
}
