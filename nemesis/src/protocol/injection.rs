//! [`Injection`]: the action of an agent on its own node for a fault, and its facts for agent and control node.
use super::{
    Command, DiskDamage, DiskEffect, LimitedGroup, LimitedProcess, PacketEffect, PacketMatch, PickedProcess,
    ProcessSelection, ResourceLimit,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// The action of an agent on its own node for a fault. A new one has its variant and facts here, and its file in the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Injection {
    /// Packets from these addresses are dropped on arrival (nftables, table `inet dsfuzz`, set elements with a timeout that
    /// the agent renews). Never the address of the control node.
    Drop {
        /// Senders.
        from: Vec<IpAddr>,
    },
    /// Some packets meet a fault on arrival (nftables, table `inet dsfuzz`, set elements with a timeout that the agent renews).
    Packet {
        /// The packets.
        packets: PacketMatch,
        /// What happens to them.
        effect: PacketEffect,
    },
    /// Kills all processes of the services with SIGKILL. Undo: starts them again.
    Kill {
        /// Names of services.
        services: Vec<String>,
    },
    /// Ends processes of the services by a signal. Undo: starts each service again whose first process is gone.
    EndProcesses {
        /// Names of services.
        services: Vec<String>,
        /// Which processes.
        processes: ProcessSelection,
        /// The signal's number.
        signal: i32,
        /// How long they may take to end; the control node waits so long for the proof.
        grace_ms: u64,
        /// The control node undoes it this long after the begin of the heal.
        start_after_ms: u64,
        /// The processes, which the agent fills in.
        #[serde(default)]
        picked: Vec<PickedProcess>,
    },
    /// Ends all processes of the services and starts them again, again and again. Undo: ends that, and starts the services.
    RestartLoop {
        /// Names of services.
        services: Vec<String>,
        /// The signal's number.
        signal: i32,
        /// How long they may take to end by it before they are killed.
        grace_ms: u64,
        /// Time from restart to restart.
        every_ms: u64,
    },
    /// Kills all processes of the services, then loses what is not synced in the folders under layers
    /// ([`super::Request::DiskLayers`]). Undo: starts the services again.
    LosePower {
        /// Names of services.
        services: Vec<String>,
        /// Decides which sectors survive.
        seed: u64,
        /// Chance of each sector that is not synced to survive, in percent.
        torn: u8,
    },
    /// Calls to files in the folders under layers fail or wait.
    DisturbDisk {
        /// Names of services.
        services: Vec<String>,
        /// What calls meet.
        effect: DiskEffect,
        /// Decides which calls fail.
        seed: u64,
    },
    /// Kills all processes of the services, then damages files in the folders under layers. Undo: starts the services again.
    DamageDisk {
        /// Names of services.
        services: Vec<String>,
        /// What is done to the files.
        damage: DiskDamage,
        /// Decides where.
        seed: u64,
    },
    /// Stops all processes of the services (cgroup v2 freeze, else SIGSTOP).
    Pause {
        /// Names of services.
        services: Vec<String>,
    },
    /// Stops processes of the services by SIGSTOP.
    PauseProcesses {
        /// Names of services.
        services: Vec<String>,
        /// Which processes.
        processes: ProcessSelection,
        /// The processes, which the agent fills in.
        #[serde(default)]
        picked: Vec<PickedProcess>,
    },
    /// Gives the processes of each service at most this share of one CPU (`cpu.max`, else they are stopped and continued in turns).
    LimitCpu {
        /// Names of services.
        services: Vec<String>,
        /// The share, 1 to 99.
        percent: u32,
    },
    /// Runs busy processes beside the services.
    BurnCpu {
        /// Names of services.
        services: Vec<String>,
        /// How many.
        processes: u32,
    },
    /// Limits a resource of the services (`memory.max`, else soft limits of their processes), also of processes started while it is
    /// in force. Undo: the limits of before; a service that ended meanwhile is started again.
    LimitResource {
        /// Names of services.
        services: Vec<String>,
        /// How much they may have.
        limit: ResourceLimit,
        /// Processes with their soft limits, which the agent fills in.
        #[serde(default)]
        picked: Vec<LimitedProcess>,
        /// Services whose control group is limited, which the agent fills in.
        #[serde(default)]
        groups: Vec<LimitedGroup>,
    },
    /// Shifts the services' wall clock (in their vDSO), also of processes started while it is in force.
    ShiftClock {
        /// Names of services.
        services: Vec<String>,
        /// Offset, negative for the past.
        offset_ns: i64,
    },
    /// Flips the services' wall clock between true and shifted.
    StrobeClock {
        /// Names of services.
        services: Vec<String>,
        /// Offset, negative for the past.
        offset_ns: i64,
        /// Time between two flips.
        period_ms: u64,
    },
    /// Makes the services' wall clock too fast or too slow from now on.
    DriftClock {
        /// Names of services.
        services: Vec<String>,
        /// Parts per million, negative for a slow clock; above -1 000 000.
        rate_ppm: i64,
    },
    /// The services' wall clock stands still at the present time.
    FreezeClock {
        /// Names of services.
        services: Vec<String>,
    },
    /// Steps the node's real clock. Refused unless the node owns its kernel (`own_kernel`), its boot id is not
    /// `control_boot_id`, and a harmless probe says that the clock may be set.
    StepClock {
        /// Offset, negative for the past.
        offset_ns: i64,
        /// Boot id of the control node.
        control_boot_id: String,
        /// The plan says that this node owns its kernel, and the control node saw no other node with its boot id.
        own_kernel: bool,
    },
    /// Makes the node's real clock too fast or too slow, by small steps. Refused as `StepClock` is.
    SlewClock {
        /// Parts per million, negative for a slow clock.
        rate_ppm: i64,
        /// Boot id of the control node.
        control_boot_id: String,
        /// As in `StepClock`.
        own_kernel: bool,
    },
    /// Runs the commands of a fault that the recipe or the plan defines.
    Own {
        /// The fault's name.
        name: String,
        /// Names of the target's services.
        services: Vec<String>,
        /// Its commands on this node.
        commands: Box<OwnCommands>,
    },
}

/// The commands of a custom fault on a node. Each has its deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCommands {
    /// Begins it.
    pub begin: Command,
    /// Ends with 0 while it is in force, and only then.
    pub prove: Command,
    /// Undoes it. Safe to repeat, and after a `begin` that failed half-way.
    pub heal: Command,
    /// Ends with 0 when it is gone.
    pub healed: Command,
    /// What becomes of the target's services.
    #[serde(default)]
    pub processes: OwnProcesses,
}

/// What becomes of the target's processes on a node in a custom fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OwnProcesses {
    /// They run on.
    #[default]
    Stay,
    /// They are stopped before `begin`, and start again after `heal`.
    Stop,
    /// They are stopped before `begin` and before `heal`, and start again after each.
    Restart,
    /// They are stopped before `begin` and start again after it; `heal` leaves them as they are.
    RestartOnce,
}

impl OwnCommands {
    /// The most bytes of their JSON: with what stands beside them they fit into one slot of an agent's undo journal.
    pub const JSON_BYTES_MAX: usize = 15 << 10;

    /// How long these commands may take together.
    pub fn may_take(commands: &[&Command]) -> Duration {
        Duration::from_millis(commands.iter().map(|command| command.deadline_ms).sum())
    }
}

/// The facts of a kind of injection. There are no defaults: each kind states all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectionFacts {
    /// A reboot of the node ends it.
    pub ends_with_boot: bool,
    /// It ends by itself unless the agent renews it.
    pub expires: bool,
    /// It changes the services' wall clock, which must be right before it.
    pub changes_clock: bool,
    /// The remains of it if its undo failed and its run is over.
    pub leftover: Leftover,
}

/// First word of the sentence about another run's injection that was dropped from the journal without an undo.
pub const DROPPED: &str = "dropped";

/// The same where a later run may meet what is left, on the node itself. The agent reports it until `dsfuzz heal` has shown it.
pub const LEFT_BEHIND: &str = "left behind";

/// The remains of an injection whose undo failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Nothing, once it has expired without renewal.
    NothingAfterExpiry,
    /// Something that ends with the run's target, as this clause says.
    Other(&'static str),
    /// Something on the node itself, which a later run may meet, as this clause says.
    OnNode(&'static str),
}

impl Injection {
    /// The services that it names; none if it changes the node itself.
    pub fn services(&self) -> Option<&[String]> {
        match self {
            Injection::Kill { services }
            | Injection::EndProcesses { services, .. }
            | Injection::RestartLoop { services, .. }
            | Injection::LosePower { services, .. }
            | Injection::DisturbDisk { services, .. }
            | Injection::DamageDisk { services, .. }
            | Injection::Pause { services }
            | Injection::PauseProcesses { services, .. }
            | Injection::LimitCpu { services, .. }
            | Injection::BurnCpu { services, .. }
            | Injection::LimitResource { services, .. }
            | Injection::ShiftClock { services, .. }
            | Injection::StrobeClock { services, .. }
            | Injection::DriftClock { services, .. }
            | Injection::FreezeClock { services }
            | Injection::Own { services, .. } => Some(services),
            Injection::Drop { .. }
            | Injection::Packet { .. }
            | Injection::StepClock { .. }
            | Injection::SlewClock { .. } => None,
        }
    }

    /// Whether it leaves its services without a process.
    pub fn leaves_dead(&self) -> bool {
        match self {
            Injection::Kill { .. } | Injection::LosePower { .. } | Injection::DamageDisk { .. } => true,
            Injection::Own { commands, .. } => commands.processes == OwnProcesses::Stop,
            Injection::EndProcesses { processes, .. } => processes.is_all(),
            _ => false,
        }
    }

    /// Whether it kills every process of its services at once.
    pub fn kills_all(&self) -> bool {
        match self {
            Injection::Kill { .. } => true,
            Injection::EndProcesses { processes, signal, .. } => processes.is_all() && *signal == SIGKILL,
            _ => false,
        }
    }

    /// Whether this injection, in force on a node, has the whole effect of a later one there, so that nothing shows that of the
    /// later one. Cuts are compared by their links instead.
    pub fn covers(&self, later: &Injection) -> bool {
        let named = |injection: &Injection| injection.services().unwrap_or_default().to_vec();
        let (mine, its) = (named(self), named(later));
        let all = !its.is_empty() && its.iter().all(|service| mine.contains(service));
        all && match (self, later) {
            (_, Injection::Kill { .. } | Injection::EndProcesses { .. }) => self.leaves_dead(),
            // A power loss also takes what a killed process had written and not synced.
            (Injection::LosePower { .. }, Injection::LosePower { .. }) => true,
            (Injection::Pause { .. }, Injection::Pause { .. } | Injection::PauseProcesses { .. }) => true,
            (Injection::PauseProcesses { processes, .. }, Injection::PauseProcesses { processes: later, .. }) => {
                processes == later
            }
            (Injection::DisturbDisk { effect, .. }, Injection::DisturbDisk { effect: later, .. }) => effect == later,
            (Injection::FreezeClock { .. }, Injection::FreezeClock { .. }) => true,
            (Injection::LimitCpu { percent, .. }, Injection::LimitCpu { percent: later, .. }) => percent <= later,
            // Each has its own busy processes. Those beside stopped processes compete with nothing.
            (Injection::Pause { .. }, Injection::LimitCpu { .. } | Injection::BurnCpu { .. }) => true,
            (Injection::LimitResource { limit, .. }, Injection::LimitResource { limit: later, .. }) => {
                limit.is_at_most(*later)
            }
            _ => false,
        }
    }

    /// Whether an agent refuses a later injection on the same node while this one is in force: two of them would undo each other.
    pub fn excludes(&self, later: &Injection) -> bool {
        let shares = || {
            let (mine, its) = (self.services().unwrap_or_default(), later.services().unwrap_or_default());
            its.iter().any(|service| mine.contains(service))
        };
        match (self, later) {
            (Injection::LimitCpu { .. }, Injection::LimitCpu { .. }) => shares(),
            (Injection::LimitCpu { .. }, Injection::Pause { .. } | Injection::PauseProcesses { .. })
            | (Injection::Pause { .. } | Injection::PauseProcesses { .. }, Injection::LimitCpu { .. }) => shares(),
            (Injection::LimitResource { limit, .. }, Injection::LimitResource { limit: later, .. }) => {
                limit.is_of_memory() == later.is_of_memory() && shares()
            }
            (Injection::Own { name, .. }, Injection::Own { name: later, .. }) => name == later,
            (
                Injection::StepClock { .. } | Injection::SlewClock { .. },
                Injection::StepClock { .. } | Injection::SlewClock { .. },
            ) => true,
            _ => false,
        }
    }

    /// How long after it was made it may still take to be in force.
    pub fn grace_ms(&self) -> u64 {
        match self {
            Injection::EndProcesses { grace_ms, .. } | Injection::RestartLoop { grace_ms, .. } => *grace_ms,
            _ => 0,
        }
    }

    /// How long after the begin of the heal its undo comes.
    pub fn undo_after_ms(&self) -> u64 {
        if let Injection::EndProcesses { start_after_ms, .. } = self { *start_after_ms } else { 0 }
    }

    /// The facts of its kind.
    pub fn facts(&self) -> InjectionFacts {
        match self {
            Injection::Drop { .. } | Injection::Packet { .. } => InjectionFacts {
                ends_with_boot: true,
                expires: true,
                changes_clock: false,
                leftover: Leftover::NothingAfterExpiry,
            },
            Injection::Kill { .. }
            | Injection::EndProcesses { .. }
            | Injection::RestartLoop { .. }
            | Injection::LosePower { .. }
            | Injection::DamageDisk { .. } => InjectionFacts {
                ends_with_boot: false,
                expires: false,
                changes_clock: false,
                leftover: Leftover::Other("a later run starts its target anew"),
            },
            Injection::DisturbDisk { .. } => InjectionFacts {
                ends_with_boot: true,
                expires: false,
                changes_clock: false,
                leftover: Leftover::Other("the layer over its folder is taken away with its target"),
            },
            Injection::Pause { .. } | Injection::LimitCpu { .. } => InjectionFacts {
                ends_with_boot: true,
                expires: false,
                changes_clock: false,
                leftover: Leftover::Other("its processes were sent SIGKILL"),
            },
            Injection::PauseProcesses { .. } => InjectionFacts {
                ends_with_boot: true,
                expires: false,
                changes_clock: false,
                leftover: Leftover::Other("its processes may be stopped: kill -CONT continues them"),
            },
            Injection::BurnCpu { .. } => InjectionFacts {
                ends_with_boot: true,
                expires: false,
                changes_clock: false,
                leftover: Leftover::Other("its busy processes were sent SIGKILL"),
            },
            Injection::LimitResource { .. } => InjectionFacts {
                ends_with_boot: true,
                expires: false,
                changes_clock: false,
                leftover: Leftover::Other("its processes may be limited: a later run starts its target anew"),
            },
            Injection::ShiftClock { .. }
            | Injection::StrobeClock { .. }
            | Injection::DriftClock { .. }
            | Injection::FreezeClock { .. } => InjectionFacts {
                ends_with_boot: true,
                expires: true,
                changes_clock: true,
                leftover: Leftover::NothingAfterExpiry,
            },
            Injection::Own { .. } => InjectionFacts {
                ends_with_boot: false,
                expires: false,
                changes_clock: false,
                leftover: Leftover::OnNode("what its `begin` did may still be there: run its `heal` by hand"),
            },
            Injection::StepClock { .. } | Injection::SlewClock { .. } => InjectionFacts {
                ends_with_boot: false,
                expires: false,
                changes_clock: true,
                leftover: Leftover::OnNode("the node's clock may be off: set it by a time server"),
            },
        }
    }
}

/// The signal that no process can catch.
const SIGKILL: i32 = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::CutHow;

    fn each() -> Vec<Injection> {
        let services = || vec!["db".to_owned()];
        vec![
            Injection::Drop { from: vec![[10, 0, 0, 1].into()] },
            Injection::Packet {
                packets: PacketMatch::From { senders: vec![[10, 0, 0, 1].into()], ports: vec![1] },
                effect: PacketEffect::Cut(CutHow::Drop),
            },
            Injection::Kill { services: services() },
            Injection::LosePower { services: services(), seed: 1, torn: 0 },
            Injection::DisturbDisk { services: services(), effect: DiskEffect::Full, seed: 1 },
            Injection::DamageDisk { services: services(), damage: DiskDamage::OldCopy, seed: 1 },
            Injection::Pause { services: services() },
            Injection::EndProcesses {
                services: services(),
                processes: ProcessSelection::default(),
                signal: 15,
                grace_ms: 1,
                start_after_ms: 1,
                picked: Vec::new(),
            },
            Injection::RestartLoop { services: services(), signal: 9, grace_ms: 0, every_ms: 1 },
            Injection::PauseProcesses {
                services: services(),
                processes: ProcessSelection::default(),
                picked: Vec::new(),
            },
            Injection::ShiftClock { services: services(), offset_ns: 1 },
            Injection::StrobeClock { services: services(), offset_ns: 1, period_ms: 1 },
            Injection::StepClock { offset_ns: 1, control_boot_id: "b".to_owned(), own_kernel: true },
            Injection::DriftClock { services: services(), rate_ppm: 1 },
            Injection::FreezeClock { services: services() },
            Injection::SlewClock { rate_ppm: 1, control_boot_id: "b".to_owned(), own_kernel: true },
            Injection::LimitCpu { services: services(), percent: 20 },
            Injection::BurnCpu { services: services(), processes: 2 },
            Injection::LimitResource {
                services: services(),
                limit: ResourceLimit::Descriptors(64),
                picked: Vec::new(),
                groups: Vec::new(),
            },
            Injection::Own { name: "o".to_owned(), services: services(), commands: Box::default() },
        ]
    }

    #[test]
    fn a_fault_covers_a_later_one_only_if_it_holds_all_its_services() {
        let kill = |names: &[&str]| Injection::Kill { services: names.iter().map(|name| (*name).to_owned()).collect() };
        let (one, both) = (kill(&["patroni"]), kill(&["patroni", "etcd"]));
        assert!(!one.covers(&both), "etcd still runs");
        assert!(both.covers(&one) && both.covers(&both));
        assert!(!both.covers(&kill(&[])));
    }

    #[test]
    fn a_limit_covers_and_excludes_others_of_its_sort() {
        let services = || vec!["db".to_owned()];
        let cpu = |percent| Injection::LimitCpu { services: services(), percent };
        let of =
            |limit| Injection::LimitResource { services: services(), limit, picked: Vec::new(), groups: Vec::new() };
        let (files, memory) = (of(ResourceLimit::Descriptors(64)), of(ResourceLimit::Memory(1000)));
        let pause = Injection::Pause { services: services() };
        let burn = Injection::BurnCpu { services: services(), processes: 2 };
        assert!(cpu(20).covers(&cpu(50)) && !cpu(50).covers(&cpu(20)));
        assert!(
            files.covers(&of(ResourceLimit::Descriptors(64))) && !files.covers(&of(ResourceLimit::Descriptors(63)))
        );
        assert!(memory.covers(&of(ResourceLimit::Memory(2000))) && !memory.covers(&files));
        assert!(!memory.covers(&of(ResourceLimit::MemoryHeadroom(2000))), "what is used is not known");
        assert!(pause.covers(&burn) && !burn.covers(&burn));
        assert!(cpu(50).excludes(&cpu(20)) && cpu(50).excludes(&pause) && pause.excludes(&cpu(50)));
        assert!(memory.excludes(&of(ResourceLimit::MemoryHeadroom(0))) && !memory.excludes(&files));
        let other = Injection::LimitCpu { services: vec!["proxy".to_owned()], percent: 20 };
        assert!(!other.excludes(&cpu(20)) && !pause.excludes(&pause) && !burn.excludes(&burn));
    }

    #[test]
    fn only_what_expires_is_gone_without_an_undo() {
        for injection in each() {
            let facts = injection.facts();
            assert_eq!(facts.leftover == Leftover::NothingAfterExpiry, facts.expires, "{injection:?}");
            assert!(!facts.expires || facts.ends_with_boot, "{injection:?}: who would renew it after a reboot?");
        }
    }

    #[test]
    fn undo_journals_of_earlier_agents_stay_readable() {
        let names = [
            "drop",
            "packet",
            "kill",
            "lose-power",
            "disturb-disk",
            "damage-disk",
            "pause",
            "end-processes",
            "restart-loop",
            "pause-processes",
            "shift-clock",
            "strobe-clock",
            "step-clock",
            "drift-clock",
            "freeze-clock",
            "slew-clock",
            "limit-cpu",
            "burn-cpu",
            "limit-resource",
            "own",
        ];
        for (injection, name) in each().iter().zip(names) {
            let written = serde_json::to_value(injection).expect("written");
            assert!(written.get(name).is_some(), "{written}");
        }
    }
}
