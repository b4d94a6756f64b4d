//! [`Plan`]: a test plan, parsed once into types that hold valid values only.
//!
//! Unknown keys are errors. Everything has a default. Never: acting on anything.
mod check;
mod effective;
pub mod fallacies;
pub mod fit;
mod load;
pub mod names;
mod overrides;
mod quantities;
pub mod reference;
pub mod schedule;
mod validate;

pub use check::CheckPlan;
pub use effective::{on_one_line, redacted};
pub use overrides::Overrides;

use crate::cluster::{ExecOptions, SshOptions};
use dsfuzz_checkers::FinalReads;
use dsfuzz_nemesis::disk::DiskKind;
use dsfuzz_nemesis::own::OwnOptions;
use dsfuzz_nemesis::protocol::ability;
use dsfuzz_nemesis::{FaultOptions, NemesisOptions, Span};
use dsfuzz_workloads::WorkloadOptions;
use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The checker of recovery.
pub const LIVENESS: &str = "liveness";

/// A whole plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Names the folder under `results/`. Left out: the file's name.
    #[serde(default)]
    pub name: String,
    /// Where the nodes come from.
    pub cluster: ClusterPlan,
    /// A built-in recipe (`etcd`) or the path to a recipe file, relative to the plan.
    pub target: String,
    /// Options for recipes and their clients, by recipe name: `{etcd: {serializable: true}}`.
    #[serde(default)]
    pub options: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// The workload.
    #[serde(default)]
    pub workload: Option<WorkloadOptions>,
    /// Several workloads in one run.
    #[serde(default)]
    pub workloads: Vec<WorkloadOptions>,
    /// Rate, duration and deadlines of the load.
    #[serde(default)]
    pub load: LoadPlan,
    /// Which faults come, and when. Left out: no faults.
    #[serde(default)]
    pub nemesis: Option<NemesisOptions>,
    /// Checkers by name, or with options as a one-key map: `bank: {total: 100}`. Left out: what the workloads name.
    #[serde(default)]
    pub check: Vec<CheckPlan>,
    /// Time and memory for checkers.
    #[serde(default)]
    pub budget: BudgetPlan,
    /// Thresholds: below one of them a run is unknown.
    #[serde(default)]
    pub evidence: EvidencePlan,
    /// The seed. Left out: drawn, printed and stored.
    #[serde(default)]
    pub seed: Option<u64>,
}

impl Plan {
    /// Every workload, `workload` first.
    pub fn all_workloads(&self) -> impl Iterator<Item = &WorkloadOptions> + Clone {
        self.workload.iter().chain(&self.workloads)
    }

    /// The custom faults, defined here or in the recipe.
    pub fn own_faults(&self) -> Vec<OwnOptions> {
        self.nemesis.as_ref().map(NemesisOptions::own).unwrap_or_default()
    }

    /// Whether a fault of the plan needs layers over the target's folders.
    pub fn needs_disk_layers(&self) -> bool {
        let mut kinds = self.nemesis.iter().flat_map(NemesisOptions::kinds);
        kinds.any(|facts| facts.needs.on(self.cluster.own_kernel()).contains(&ability::DISK_LAYER))
    }

    /// Whether a fault of the plan puts an old copy of the target's files back.
    pub fn needs_disk_copies(&self) -> bool {
        let faults = self.nemesis.iter().flat_map(NemesisOptions::all_faults);
        let exact =
            self.nemesis.iter().flat_map(|nemesis| &nemesis.schedule).any(|entry| entry.fault.options().is_none());
        let old_copy = |fault: &FaultOptions| match fault {
            FaultOptions::Disk(options) => options.effect.items().contains(&DiskKind::OldCopy),
            _ => false,
        };
        (exact && self.needs_disk_layers()) || faults.into_iter().any(|(fault, _)| old_copy(fault))
    }

    /// How long final reads must show no change before differing replicas count as stable, by the plan's checkers.
    pub fn standstill(&self) -> Duration {
        let asked = self.check.iter().filter_map(|check| dsfuzz_checkers::standstill(check.name(), &check.options()));
        asked.max().unwrap_or(Duration::from_millis(dsfuzz_checkers::history::standstill::STANDSTILL_MS))
    }
}

/// Where the nodes come from: exactly one of `lab`, `nodes` and `exec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterPlan {
    /// A lab on this machine: how many nodes, for this run alone; or the name of a lab that is up.
    pub lab: Option<LabPlan>,
    /// Hosts, as in the argument of `ssh`.
    pub nodes: Vec<String>,
    /// How to connect to hosts, and options of a lab's nodes.
    pub ssh: SshOptions,
    /// Nodes that a command of this machine enters, such as containers.
    pub exec: Option<ExecOptions>,
}

/// `lab: 5` or `lab: name`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum LabPlan {
    /// A lab of this size, made for this run and taken down after it.
    Nodes(u16),
    /// A lab that is already up (`dsfuzz lab up 5 --name NAME`).
    Named(String),
}

/// Rate, duration and deadlines of the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoadPlan {
    /// Clients: a number, or `2n` for two for each node.
    pub clients: Clients,
    /// The share of the clients that follow the leader, such as `50%`. Such a client is opened again on the new leader, as a
    /// new process, when leadership moves. Left out: none, each client stays on its node.
    pub on_leader: Option<Share>,
    /// Calls a second, all clients together. Left out: as fast as possible.
    pub rate: Option<Rate>,
    /// Duration of the load.
    pub time: Span,
    /// Deadline of one call. Left out: the target's `election` and a second, from 1s to 5s.
    pub deadline: Option<Span>,
    /// Maximum number of clients that join on each node whose clients hang, so that ten calls a second begin there during
    /// every fault. 0: none.
    pub joining: u32,
    /// Deadline of the settle phase.
    pub settle: Span,
    /// Deadline of one final read.
    pub final_deadline: Span,
    /// Which nodes must answer the final reads: `each-node`, `any-node`, `leader`, `once`, `until-empty`. Left out: as the
    /// recipe says.
    pub final_reads: Option<FinalReads>,
    /// Deadline for every node to serve again after the last heal.
    pub recovery: Span,
    /// Stop at this many calls, whatever the time.
    pub ops_max: Option<u64>,
}

/// How often a second each node is asked at the least, whatever hangs.
const ASKED_PER_NODE: f64 = 10.0;

impl LoadPlan {
    /// The deadline of one call, on a target whose election takes this time.
    pub fn deadline(&self, election: Duration) -> Duration {
        let default = || (election + Duration::from_secs(1)).clamp(Duration::from_secs(1), Duration::from_secs(5));
        self.deadline.map_or_else(default, |span| span.0)
    }

    /// How many of this number of clients follow the leader: the last ones. At least one, if the plan asks for a share.
    pub fn on_leader(&self, clients: u32) -> u32 {
        self.on_leader.map_or(0, |share| ((f64::from(clients) * share.0) as u32).clamp(1, clients.max(1)))
    }

    /// The nodes without a client of their own: client i is bound to node i, modulo the number of nodes, unless it follows the
    /// leader.
    pub fn unbound<'n>(&self, nodes: &'n [String]) -> &'n [String] {
        let clients = self.clients.count(nodes.len());
        let stay = clients.saturating_sub(self.on_leader(clients));
        &nodes[usize::try_from(stay).unwrap_or(usize::MAX).min(nodes.len())..]
    }

    /// The sentence for nodes without a client, with the number to set.
    pub fn too_few(&self, nodes: &[String]) -> Option<String> {
        let (clients, count) = (self.clients.count(nodes.len()), nodes.len());
        let few = !self.unbound(nodes).is_empty();
        few.then(|| match self.on_leader(clients) {
            0 => format!("load.clients is {clients} for {count} nodes; {count} or more, such as 1n, asks every node"),
            follow => format!(
                "load.clients is {clients} for {count} nodes, and {follow} of them follow the leader; {count} or more that \
                 stay, such as clients: 2n with on_leader: 50%, ask every node"
            ),
        })
    }

    /// Least calls a second on each node of a cluster of this size, whatever hangs: ten, but never more than the plan's rate;
    /// 0 if no client may join the hanging ones.
    pub fn asked_per_node(&self, nodes: usize) -> f64 {
        let share = self.rate.map_or(ASKED_PER_NODE, |rate| rate.0 / nodes.max(1) as f64);
        if self.joining == 0 { 0.0 } else { share.min(ASKED_PER_NODE) }
    }
}

impl ClusterPlan {
    /// The number of nodes in the plan; 1 for a named lab, whose size the plan does not say.
    pub fn nodes_planned(&self) -> usize {
        match &self.lab {
            Some(LabPlan::Nodes(count)) => usize::from(*count),
            Some(LabPlan::Named(_)) => 1,
            None => self.exec.as_ref().map_or(self.nodes.len(), |exec| exec.nodes.len()),
        }
    }

    /// The folder on a node for the agent and the target's data, if the plan names one.
    pub fn dir(&self) -> Option<&str> {
        let dir = self.exec.as_ref().map_or(&self.ssh.dir, |exec| &exec.dir);
        dir.as_deref()
    }

    /// What undoes faults that a run may have left on the nodes.
    pub fn cure_of_left_faults(&self) -> String {
        match &self.lab {
            Some(LabPlan::Nodes(_)) => {
                "they end with the lab, which was made for this run; in one that was left running \
                                        `dsfuzz heal --lab NAME` undoes them"
                    .to_owned()
            }
            Some(LabPlan::Named(name)) => format!("`dsfuzz heal --lab {name}` undoes them"),
            None => "`dsfuzz heal PLAN` undoes them".to_owned(),
        }
    }

    /// Whether the nodes have kernels of their own, so that their real clocks may be stepped.
    pub fn own_kernel(&self) -> bool {
        self.exec.as_ref().map_or(self.ssh.own_kernel, |exec| exec.own_kernel)
    }
}

impl Default for LoadPlan {
    fn default() -> LoadPlan {
        LoadPlan {
            clients: Clients::PerNode(2),
            on_leader: None,
            rate: None,
            time: Span::seconds(60),
            deadline: None,
            joining: 40,
            settle: Span::seconds(60),
            final_deadline: Span::seconds(30),
            final_reads: None,
            recovery: Span::seconds(60),
            ops_max: None,
        }
    }
}

/// A number of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// In all.
    Total(u32),
    /// For each node (`2n`).
    PerNode(u32),
}

/// A share of all (`50%`): more than nothing, at most all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

/// Calls a second (`400/s`, `400`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub f64);

/// Time and memory for checkers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetPlan {
    /// Time for all checkers together.
    pub time: Span,
    /// Memory for each checker, in mebibytes.
    pub memory_mib: u64,
}

impl Default for BudgetPlan {
    fn default() -> BudgetPlan {
        BudgetPlan { time: Span::seconds(300), memory_mib: 1024 }
    }
}

/// Thresholds of evidence: below one of them a run is unknown and says which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvidencePlan {
    /// Calls that were Ok.
    pub ok_min: u64,
    /// Fraction of all calls that was Ok.
    pub ok_fraction_min: f64,
    /// Each planned kind of fault was proven this often, in force for half a second or longer; by kind: `{kill: 2}`.
    pub proven_per_kind_min: PerKind<1>,
    /// Calls that were Ok during each kind of fault, if the faults leave a majority and last longer than an election of the
    /// target; by kind: `{partition: 0}`.
    pub ok_during_fault_min: PerKind<10>,
    /// Observed changes of leader, if a fault that can move the leader is aimed at it.
    pub leader_changes_min: u64,
    /// Nodes that the clients of the load are bound to. Left out: every node.
    pub nodes_asked_min: Option<u64>,
}

impl EvidencePlan {
    /// The number of nodes, in a cluster of this size, that the clients of the load must ask.
    pub fn nodes_asked(&self, nodes: usize) -> u64 {
        let all = nodes as u64;
        self.nodes_asked_min.map_or(all, |min| min.min(all))
    }
}

/// A threshold: one for every kind of fault, or by kind. `DEFAULT` is that of kinds which are not named.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum PerKind<const DEFAULT: u64> {
    /// For every kind.
    All(u64),
    /// By kind.
    ByKind(BTreeMap<String, u64>),
}

// An untagged enum's only error would be "did not match any variant".
impl<'de, const DEFAULT: u64> Deserialize<'de> for PerKind<DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PerKind<DEFAULT>, D::Error> {
        struct Visitor<const DEFAULT: u64>;
        impl<'de, const DEFAULT: u64> de::Visitor<'de> for Visitor<DEFAULT> {
            type Value = PerKind<DEFAULT>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a map of kinds of faults to whole numbers such as `{partition: 0}`,")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(PerKind::All(number))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map)).map(PerKind::ByKind)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<const DEFAULT: u64> PerKind<DEFAULT> {
    /// The threshold of a kind.
    pub fn of(&self, kind: &str) -> u64 {
        match self {
            PerKind::All(min) => *min,
            PerKind::ByKind(kinds) => {
                let of_kind = || kinds.get(dsfuzz_nemesis::kind_of(kind));
                kinds.get(kind).or_else(of_kind).copied().unwrap_or(DEFAULT)
            }
        }
    }

    /// Kinds that it names.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        let kinds = if let PerKind::ByKind(kinds) = self { Some(kinds) } else { None };
        kinds.into_iter().flatten().map(|(kind, _)| kind.as_str())
    }
}

impl Default for EvidencePlan {
    fn default() -> EvidencePlan {
        EvidencePlan {
            ok_min: 100,
            ok_fraction_min: 0.1,
            proven_per_kind_min: PerKind::All(1),
            ok_during_fault_min: PerKind::All(10),
            leader_changes_min: 1,
            nodes_asked_min: None,
        }
    }
}
