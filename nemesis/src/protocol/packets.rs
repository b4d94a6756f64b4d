//! Which packets a fault takes on arrival ([`PacketMatch`]), what happens to them ([`PacketEffect`]), and the volleys of datagrams
//! ([`Volley`]) by which that is measured.
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The packets that an [`super::Injection::Packet`] takes, as they arrive at its node.
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
        /// The addresses of this node; none: packets to any address.
        #[serde(default)]
        to: Vec<IpAddr>,
        /// The ports. Never SSH's.
        ports: Vec<u16>,
    },
}

/// What happens to the packets of an [`super::Injection::Packet`].
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
        /// At most this much more or less.
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

    /// The effect with a seed of the node at this position.
    pub(crate) fn of_node(self, position: usize) -> PacketEffect {
        match self {
            PacketEffect::Bursts { seed, .. }
            | PacketEffect::Delay { seed, .. }
            | PacketEffect::Reorder { seed, .. } => self.seeded(seed.wrapping_add(position as u64)),
            other => other,
        }
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

/// The counts of a `packet` injection since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketCounts {
    /// It takes packets of clients, not of the nodes.
    pub clients: bool,
    /// Packets that it took.
    pub seen: u64,
    /// Those of them that met the effect.
    pub hit: u64,
}

/// A volley of datagrams to each of several targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volley {
    /// The round's number.
    pub round: u64,
    /// The sender's name, carried in the datagrams.
    pub from: String,
    /// Datagrams to each target.
    pub count: u32,
    /// Bytes of a datagram, without the headers of UDP and IP; never fewer than its head needs.
    pub bytes: u32,
    /// Bytes of every second datagram; zero: as the others.
    pub large_bytes: u32,
    /// Microseconds from one datagram to the next on a path.
    pub gap_us: u32,
}

/// The part of a volley that arrived on one path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardVolley {
    /// The sender's name.
    pub from: String,
    /// [`super::PingTarget::source`].
    pub source: Option<IpAddr>,
    /// [`super::PingTarget::address`].
    pub address: Option<IpAddr>,
    /// Datagrams that arrived.
    pub count: u32,
    /// Without those that arrived before.
    pub distinct: u32,
    /// Those with a changed byte.
    pub damaged: u32,
    /// Those that arrived after a later one.
    pub overtaken: u32,
    /// The large ones, each once.
    pub large: u32,
    /// Bytes of the distinct ones.
    pub bytes: u64,
    /// For each distinct one: the receiver's clock at its arrival less the sender's when it was sent, in microseconds.
    pub late_us: Vec<i64>,
}
