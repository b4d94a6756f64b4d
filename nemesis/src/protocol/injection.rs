//! [`Injection`]: the action of an agent on its own node for a fault, and its facts for agent and control node.
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
    /// Stops all processes of the services (cgroup v2 freeze, else SIGSTOP).
    Pause {
        /// Names of services.
        services: Vec<String>,
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
}

/// The packets that an [`Injection::Packet`] takes, as they arrive at its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketMatch {
    /// Those of these senders.
    From {
        /// The senders' addresses. Never that of the control node, unless `ports` are given and do not hold SSH's.
        senders: Vec<IpAddr>,
        /// Only those to or from these ports, TCP and UDP; none: all packets.
        ports: Vec<u16>,
    },
    /// Those to these ports of this node, from everyone except the cluster's nodes: what clients send.
    Clients {
        /// The addresses of all nodes.
        nodes: Vec<IpAddr>,
        /// The ports. Never SSH's.
        ports: Vec<u16>,
    },
}

/// What happens to the packets of an [`Injection::Packet`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketEffect {
    /// They vanish, or their sender gets a refusal.
    Cut(CutHow),
    /// Some are lost, each for itself.
    Loss {
        /// How many of a thousand.
        permille: u32,
    },
    /// Every n-th is lost.
    EveryNth {
        /// At least 2.
        n: u32,
    },
    /// Some arrive twice.
    Duplicate {
        /// How many of a thousand.
        permille: u32,
    },
    /// One byte of some is changed, behind the transport's header.
    Corrupt {
        /// How many of a thousand.
        permille: u32,
    },
    /// Those beyond a bandwidth are lost.
    Rate {
        /// The bandwidth.
        bytes_per_second: u64,
    },
    /// Large ones are lost.
    TooBig {
        /// The largest that pass.
        bytes: u32,
    },
    /// Some are lost, several in a row.
    Bursts {
        /// How many of a thousand, in the mean.
        permille: u32,
        /// Mean length of a row.
        mean: u32,
        /// Of the draws.
        seed: u64,
    },
    /// All are late.
    Delay {
        /// In the mean.
        mean_us: u64,
        /// Up to so much more or less.
        jitter_us: u64,
        /// Of the draws.
        seed: u64,
    },
    /// Some are late, so that others overtake them.
    Reorder {
        /// How many of a thousand.
        permille: u32,
        /// How late.
        by_us: u64,
        /// Of the draws.
        seed: u64,
    },
    /// All are lost at the begin of each period.
    Flap {
        /// The period.
        period_ms: u64,
        /// The time in which they are lost.
        down_ms: u64,
    },
}

impl PacketEffect {
    /// The bytes that a bandwidth lets pass at once after a pause: a twentieth of a second, but two large packets.
    pub fn rate_burst_bytes(bytes_per_second: u64) -> u64 {
        (bytes_per_second / 20).max(3000)
    }

    /// Whether a queue of the kernel and a thread of the agent do it; else rules of the packet filter alone do.
    pub fn is_queued(&self) -> bool {
        matches!(
            self,
            PacketEffect::Bursts { .. }
                | PacketEffect::Delay { .. }
                | PacketEffect::Reorder { .. }
                | PacketEffect::Flap { .. }
        )
    }

    /// The effect with this seed, if it draws from one.
    pub(crate) fn seeded(self, new: u64) -> PacketEffect {
        let mut effect = self;
        if let PacketEffect::Bursts { seed, .. }
        | PacketEffect::Delay { seed, .. }
        | PacketEffect::Reorder { seed, .. } = &mut effect
        {
            *seed = new;
        }
        effect
    }

    /// In words: `loss 20 %`, `delay 50ms +-5ms`.
    pub fn words(&self) -> String {
        let percent = |permille: u32| format!("{} %", f64::from(permille) / 10.0);
        let micros = |micros: u64| Span(std::time::Duration::from_micros(micros));
        match self {
            PacketEffect::Cut(CutHow::Drop) => "cut".to_owned(),
            PacketEffect::Cut(CutHow::Reject) => "cut by reject".to_owned(),
            PacketEffect::Loss { permille } => format!("loss {}", percent(*permille)),
            PacketEffect::EveryNth { n } => format!("loss of every {n}th"),
            PacketEffect::Duplicate { permille } => format!("duplicate {}", percent(*permille)),
            PacketEffect::Corrupt { permille } => format!("corrupt {}", percent(*permille)),
            PacketEffect::Rate { bytes_per_second } => format!("rate {} kbit/s", bytes_per_second / 125),
            PacketEffect::TooBig { bytes } => format!("mtu {bytes}"),
            PacketEffect::Bursts { permille, mean, .. } => {
                format!("loss {} in bursts of {mean}", percent(*permille))
            }
            PacketEffect::Delay { mean_us, jitter_us: 0, .. } => format!("delay {}", micros(*mean_us)),
            PacketEffect::Delay { mean_us, jitter_us, .. } => {
                format!("delay {} +-{}", micros(*mean_us), micros(*jitter_us))
            }
            PacketEffect::Reorder { permille, by_us, .. } => {
                format!("reorder {} by {}", percent(*permille), micros(*by_us))
            }
            PacketEffect::Flap { period_ms, down_ms } => {
                format!("flap {} down every {}", Span::millis(*down_ms), Span::millis(*period_ms))
            }
        }
    }
}

/// How a cut treats packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CutHow {
    /// They vanish: connections stall.
    #[default]
    Drop,
    /// The sender gets a TCP reset, or an ICMP message that the port is unreachable: connections end at once.
    Reject,
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

/// The remains of an injection whose undo failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Nothing, once it has expired without renewal.
    NothingAfterExpiry,
    /// Something, as this clause says.
    Other(&'static str),
}

impl Injection {
    /// The services that it names; none if it changes the node itself.
    pub fn services(&self) -> Option<&[String]> {
        match self {
            Injection::Kill { services }
            | Injection::LosePower { services, .. }
            | Injection::Pause { services }
            | Injection::ShiftClock { services, .. }
            | Injection::StrobeClock { services, .. }
            | Injection::DriftClock { services, .. }
            | Injection::FreezeClock { services } => Some(services),
            Injection::Drop { .. }
            | Injection::Packet { .. }
            | Injection::StepClock { .. }
            | Injection::SlewClock { .. } => None,
        }
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
            Injection::Kill { .. } | Injection::LosePower { .. } => InjectionFacts {
                ends_with_boot: false,
                expires: false,
                changes_clock: false,
                leftover: Leftover::Other("a later run starts its target anew"),
            },
            Injection::Pause { .. } => InjectionFacts {
                ends_with_boot: true,
                expires: false,
                changes_clock: false,
                leftover: Leftover::Other("its processes were sent SIGKILL"),
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
            Injection::StepClock { .. } | Injection::SlewClock { .. } => InjectionFacts {
                ends_with_boot: false,
                expires: false,
                changes_clock: true,
                leftover: Leftover::Other("the node's clock may be off: set it by a time server"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            Injection::Pause { services: services() },
            Injection::ShiftClock { services: services(), offset_ns: 1 },
            Injection::StrobeClock { services: services(), offset_ns: 1, period_ms: 1 },
            Injection::StepClock { offset_ns: 1, control_boot_id: "b".to_owned(), own_kernel: true },
            Injection::DriftClock { services: services(), rate_ppm: 1 },
            Injection::FreezeClock { services: services() },
            Injection::SlewClock { rate_ppm: 1, control_boot_id: "b".to_owned(), own_kernel: true },
        ]
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
            "pause",
            "shift-clock",
            "strobe-clock",
            "step-clock",
            "drift-clock",
            "freeze-clock",
            "slew-clock",
        ];
        for (injection, name) in each().iter().zip(names) {
            let written = serde_json::to_value(injection).expect("written");
            assert!(written.get(name).is_some(), "{written}");
        }
    }
}
