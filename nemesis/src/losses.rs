//! [`Losses`]: what faults take of a cluster together. [`Rules`]: which fault may be drawn beside others.
//!
//! A quorum is left if some node that runs hears, and is heard by, a majority of the nodes, itself among them. A fault that leaves
//! none by its own aim (`majority`, `all`, halves of an even number) is drawn as the plan has it, and counts for nothing here.
//! Which node leads at the moment of a fault is not known when it is drawn: every possibility must leave a quorum.
use crate::aim::majority_min;
use crate::budget::{Budget, Taken};
use crate::facts::Leaves;
use crate::fault::{PlannedFault, ResolvedFault};
use crate::options::SymbolicFault;
use crate::view::{ClusterView, NodeView};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// The part of the cluster that is lost at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Loss {
    down: BTreeSet<usize>,
    cut: BTreeSet<(usize, usize)>,
}

impl Loss {
    fn and(&self, other: &Loss) -> Loss {
        Loss { down: &self.down | &other.down, cut: &self.cut | &other.cut }
    }

    /// Whether some node runs and is connected with a majority, itself among them.
    fn leaves_quorum(&self, nodes: usize) -> bool {
        let up = |node: &usize| !self.down.contains(node);
        let connected = |one: usize, other: usize| {
            one == other || !(self.cut.contains(&(one, other)) || self.cut.contains(&(other, one)))
        };
        let reached = |one: usize| (0..nodes).filter(up).filter(|other| connected(one, *other)).count();
        (0..nodes).filter(up).any(|one| reached(one) >= majority_min(nodes))
    }
}

/// Combinations beyond this number are not tried: the faults then count as too many.
const COMBINATIONS_MAX: usize = 20_000;

/// Up to this number of nodes each pair of a leader and a former leader is tried.
const PAIRS_UP_TO: usize = 7;

/// What single faults take on nodes of these names.
pub(crate) struct Losses<'a> {
    names: &'a [String],
}

impl<'a> Losses<'a> {
    pub(crate) fn on(names: &'a [String]) -> Losses<'a> {
        Losses { names }
    }

    /// What a fault may take: one for each node that may lead, or may have led, each once.
    pub(crate) fn taken(&self, fault: &SymbolicFault) -> BTreeSet<Taken> {
        let views = self.views(fault.needs_leader() || fault.aims_at_leader());
        let all = || Taken { nodes: (0..self.names.len()).collect(), cut: BTreeSet::new() };
        views.iter().map(|view| fault.takes(view).unwrap_or_else(|_| all())).collect()
    }

    /// The cluster without a leader; or led by each node, after each other one.
    pub(crate) fn views(&self, led: bool) -> Vec<ClusterView> {
        match led {
            false => vec![self.view(None, None)],
            true => (0..self.names.len()).flat_map(|leader| self.led_by(leader)).collect(),
        }
    }

    fn led_by(&self, leader: usize) -> Vec<ClusterView> {
        let nodes = self.names.len();
        // Of many nodes each leads once and has led once.
        let next = |former: &usize| nodes <= PAIRS_UP_TO || *former == (leader + 1) % nodes;
        let formers = (0..nodes).filter(|former| *former != leader).filter(next);
        let views = formers.map(|former| self.view(Some(&self.names[leader]), Some(&self.names[former])));
        let views: Vec<ClusterView> = views.collect();
        if views.is_empty() { vec![self.view(Some(&self.names[leader]), None)] } else { views }
    }

    fn view(&self, leader: Option<&String>, former: Option<&String>) -> ClusterView {
        let node = |name: &String| NodeView {
            name: name.clone(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            others: Vec::new(),
            ports: Vec::new(),
            port_roles: BTreeMap::new(),
            services: vec!["service".to_owned()],
            own_kernel: false,
        };
        ClusterView {
            nodes: self.names.iter().map(node).collect(),
            leaders: leader.into_iter().cloned().collect(),
            former_leaders: former.into_iter().cloned().collect(),
            ..ClusterView::default()
        }
    }

    fn losses(&self, fault: &SymbolicFault) -> BTreeSet<Loss> {
        let leaves = fault.facts().leaves;
        let loss = |taken: Taken| Loss {
            down: if leaves == Leaves::OtherNodes { taken.nodes } else { BTreeSet::new() },
            cut: if leaves == Leaves::ConnectedNodes { taken.cut } else { BTreeSet::new() },
        };
        let taken = self.taken(fault).into_iter();
        match fault.rolling() {
            // One node after the other, and never two.
            true => taken.flat_map(|taken| taken.nodes).map(|node| loss(Taken::of(vec![node]))).collect(),
            false => taken.map(loss).collect(),
        }
    }

    /// Whether these faults leave a quorum together, whichever nodes lead. Those that leave none alone are not asked.
    pub(crate) fn leave_quorum(&self, faults: &[&SymbolicFault]) -> bool {
        let nodes = self.names.len();
        let all = faults.iter().map(|fault| self.losses(fault));
        let asked = all.filter(|losses| losses.iter().all(|loss| loss.leaves_quorum(nodes)));
        let mut together = BTreeSet::from([Loss::default()]);
        for losses in asked {
            if together.len().saturating_mul(losses.len()) > COMBINATIONS_MAX {
                return false;
            }
            together = together.iter().flat_map(|one| losses.iter().map(|other| one.and(other))).collect();
        }
        together.iter().all(|loss| loss.leaves_quorum(nodes))
    }
}

/// The nodes whose files drawn faults damage: one set for each way in which nodes may lead.
struct DamagedNodes {
    /// The number of drawn faults that are in it.
    counted: usize,
    together: BTreeSet<BTreeSet<usize>>,
}

impl Default for DamagedNodes {
    fn default() -> DamagedNodes {
        DamagedNodes { counted: 0, together: BTreeSet::from([BTreeSet::new()]) }
    }
}

impl DamagedNodes {
    /// Counts the faults that were drawn since. Never: counts one twice, so that many faults take no more time each.
    fn count(&mut self, losses: &Losses<'_>, drawn: &[PlannedFault]) {
        for fault in drawn.iter().skip(self.counted).filter(|fault| fault.fault.damages_files()) {
            if let Some(together) = self.with(losses, &fault.fault) {
                self.together = together;
            }
        }
        self.counted = drawn.len();
    }

    /// The same with this fault. None: it damages a majority alone, and is not asked, or the combinations are too many.
    fn with(&self, losses: &Losses<'_>, fault: &SymbolicFault) -> Option<BTreeSet<BTreeSet<usize>>> {
        let taken = losses.damaged(fault)?;
        let few = self.together.len().saturating_mul(taken.len()) <= COMBINATIONS_MAX;
        few.then(|| self.together.iter().flat_map(|one| taken.iter().map(move |other| one | other)).collect())
    }

    /// Whether the files of a majority are left with this fault, whichever nodes lead.
    fn leaves_majority(&self, losses: &Losses<'_>, fault: &SymbolicFault) -> bool {
        if losses.damaged(fault).is_none() {
            return true;
        }
        self.with(losses, fault).is_some_and(|together| together.iter().all(|nodes| nodes.len() <= losses.most_lost()))
    }
}

impl Losses<'_> {
    /// The most nodes that leave a majority.
    fn most_lost(&self) -> usize {
        self.names.len() - majority_min(self.names.len())
    }

    /// The nodes whose files a fault damages, for each way in which nodes may lead; none if it damages a majority alone.
    fn damaged(&self, fault: &SymbolicFault) -> Option<BTreeSet<BTreeSet<usize>>> {
        let taken: BTreeSet<BTreeSet<usize>> = self.taken(fault).into_iter().map(|taken| taken.nodes).collect();
        taken.iter().all(|nodes| nodes.len() <= self.most_lost()).then_some(taken)
    }
}

/// A fault that is about to begin, or that began and is not proven to be healed.
#[derive(Clone, Debug)]
pub struct BesideFault {
    /// Its name.
    pub name: String,
    /// As it was bound.
    pub fault: ResolvedFault,
    /// Whether its nodes are taken one after the other.
    pub rolling: bool,
}

impl BesideFault {
    /// What it takes of these voters: of a rolling fault each node alone.
    fn losses(&self, voters: &[String]) -> BTreeSet<Loss> {
        let position = |name: &String| voters.iter().position(|voter| voter == name);
        let leaves = crate::facts::facts(self.fault.kind).map(|facts| facts.leaves);
        let down = self.fault.nodes.iter().filter_map(position).filter(|_| leaves == Some(Leaves::OtherNodes));
        let down: BTreeSet<usize> = down.collect();
        if self.rolling {
            return down.into_iter().map(|node| Loss { down: BTreeSet::from([node]), ..Loss::default() }).collect();
        }
        let cut = self.fault.cut.iter().filter_map(|(from, to)| Some((position(from)?, position(to)?)));
        BTreeSet::from([Loss { down, cut: cut.filter(|_| leaves == Some(Leaves::ConnectedNodes)).collect() }])
    }
}

/// The reason why a fault may not begin beside those that are in force or not healed: together they would leave no quorum of the nodes that
/// vote now. One that leaves none alone is not asked, and does not count, as when faults are drawn.
pub fn beyond_quorum(fault: &BesideFault, others: &[&BesideFault], voters: &[String]) -> Option<String> {
    let asked = |fault: &BesideFault| {
        let losses = fault.losses(voters);
        losses.iter().all(|loss| loss.leaves_quorum(voters.len())).then_some(losses)
    };
    let mut together = asked(fault).filter(|losses| !losses.is_empty())?;
    let mut names = Vec::new();
    for other in others {
        let Some(losses) = asked(other).filter(|losses| losses.iter().any(|loss| *loss != Loss::default())) else {
            continue;
        };
        names.push(other.name.as_str());
        together = together.iter().flat_map(|one| losses.iter().map(|other| one.and(other))).collect();
    }
    let leaves = together.iter().all(|loss| loss.leaves_quorum(voters.len()));
    (!leaves).then(|| {
        format!(
            "beside fault {} it would leave no quorum of the voters {} (`nemesis.budget`)",
            names.join(", "),
            voters.join(" ")
        )
    })
}

/// The rules for a drawn fault beside those that were drawn before it.
pub(crate) struct Rules<'a> {
    budget: Budget,
    losses: Losses<'a>,
    /// From the end of a fault until nothing of it is left.
    gap_ms: u64,
    damaged: RefCell<DamagedNodes>,
}

impl<'a> Rules<'a> {
    /// The rules for faults that are only ever added to.
    pub(crate) fn new(budget: Budget, names: &'a [String], gap_ms: u64) -> Rules<'a> {
        Rules { budget, losses: Losses::on(names), gap_ms, damaged: RefCell::default() }
    }
}

impl Rules<'_> {
    /// Whether the fault may be drawn beside these.
    pub(crate) fn allow(&self, fault: &PlannedFault, drawn: &[PlannedFault]) -> bool {
        let beside: Vec<&PlannedFault> = drawn.iter().filter(|other| self.overlap(fault, other)).collect();
        if beside.iter().any(|other| other.kind() == fault.kind() || self.meet(fault, other)) {
            return false;
        }
        if self.budget == Budget::None {
            return true;
        }
        let with = |others: Vec<&PlannedFault>| -> bool {
            let all: Vec<&SymbolicFault> = others.into_iter().chain([fault]).map(|planned| &planned.fault).collect();
            self.losses.leave_quorum(&all)
        };
        let damaged = || {
            let mut damaged = self.damaged.borrow_mut();
            damaged.count(&self.losses, drawn);
            damaged.leaves_majority(&self.losses, &fault.fault)
        };
        (beside.is_empty() || with(beside)) && (!fault.fault.damages_files() || damaged())
    }

    fn overlap(&self, one: &PlannedFault, other: &PlannedFault) -> bool {
        let span = |fault: &PlannedFault| {
            (fault.at.as_millis(), (fault.at.as_millis() + fault.lasts.as_millis()) + self.gap_ms)
        };
        let ((from, to), (other_from, other_to)) = (span(one), span(other));
        from < other_to && other_from < to
    }

    /// Whether both certainly take the processes of one node, so that one of them would hide the other.
    fn meet(&self, one: &PlannedFault, other: &PlannedFault) -> bool {
        let of_links =
            |fault: &PlannedFault| fault.facts().leaves == Leaves::ConnectedNodes || fault.kind() == "packet";
        if of_links(one) || of_links(other) {
            return false;
        }
        let (one, other) = (self.losses.taken(&one.fault), self.losses.taken(&other.fault));
        one.iter().all(|one| other.iter().all(|other| !one.nodes.is_disjoint(&other.nodes)))
    }
}
