//! Disk: a disk on some nodes that is full, slow, read-only or fails; or that has damaged files of the target while it was down.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, NodeView, ResolvedFault, Unresolved};
use crate::options::{FaultDefinition, FaultOptions, FaultSource, Symbolic, SymbolicFault, Written};
use crate::protocol::{DiskCall, DiskDamage, DiskEffect, DiskError, Injection, ability};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every fault of a disk.
pub const FACTS: FaultFacts = FaultFacts {
    name: "disk",
    doc: "A disk on some nodes is full, slow, read-only or fails, or it damages files of the target.",
    needs: NodeNeeds::everywhere(&[ability::ROOT, ability::DISK_LAYER]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    // A disk that is only slow need not move the leadership.
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Devices,
};

/// Options of the fault of a disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiskOptions {
    /// What the disk does, or several to draw from.
    pub effect: Choice<DiskKind>,
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for DiskOptions {
    fn default() -> DiskOptions {
        DiskOptions { effect: Choice::one(DiskKind::Full), nodes: Choice::one(Aim::One), lasts: None }
    }
}

/// What a disk does, as in a plan: `full`, or `{errors: {on: fsync, percent: 10}}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiskKind {
    /// Writes that need room fail with ENOSPC.
    Full,
    /// Changes fail with EROFS.
    ReadOnly,
    /// Reads and writes wait.
    Slow(SlowDisk),
    /// Syncs wait.
    SlowFsync(SlowSyncs),
    /// Calls of a kind fail by chance.
    Errors(DiskErrors),
    /// The target is killed, bits of its files are flipped, and it is started again at the end.
    BitFlip(BitFlips),
    /// The target is killed, one of its files loses its end, and it is started again at the end.
    Truncate(CutFile),
    /// The target is killed, its files are as they were before the load, and it is started again at the end.
    OldCopy,
}

/// A slow disk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlowDisk {
    /// How long a read waits that the kernel does not answer from its memory.
    pub read: Span,
    /// How long a write waits.
    pub write: Span,
}

impl Default for SlowDisk {
    fn default() -> SlowDisk {
        SlowDisk { read: Span::millis(20), write: Span::millis(20) }
    }
}

/// A disk with slow syncs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlowSyncs {
    /// How long a sync waits.
    pub by: Span,
}

impl Default for SlowSyncs {
    fn default() -> SlowSyncs {
        SlowSyncs { by: Span::millis(200) }
    }
}

/// A disk with errors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiskErrors {
    /// The calls that fail.
    pub on: DiskCall,
    /// Chance of each call, in percent.
    pub percent: u8,
    /// The error.
    pub code: DiskError,
}

impl Default for DiskErrors {
    fn default() -> DiskErrors {
        DiskErrors { on: DiskCall::Fsync, percent: 100, code: DiskError::Eio }
    }
}

/// Flipped bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BitFlips {
    /// How many, in all files together.
    pub bits: u32,
}

impl Default for BitFlips {
    fn default() -> BitFlips {
        BitFlips { bits: 1 }
    }
}

/// A file without its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CutFile {
    /// At most this many bytes; how many is drawn.
    pub bytes: u64,
}

impl Default for CutFile {
    fn default() -> CutFile {
        CutFile { bytes: 4096 }
    }
}

/// A [`DiskKind`] as the agent carries it out.
enum DiskAct {
    Effect(DiskEffect),
    Damage(DiskDamage),
}

impl DiskKind {
    fn act(self) -> DiskAct {
        DiskAct::Effect(match self {
            DiskKind::Full => DiskEffect::Full,
            DiskKind::ReadOnly => DiskEffect::ReadOnly,
            DiskKind::Slow(slow) => {
                DiskEffect::Slow { read_ms: slow.read.as_millis(), write_ms: slow.write.as_millis() }
            }
            DiskKind::SlowFsync(slow) => DiskEffect::SlowSync { by_ms: slow.by.as_millis() },
            DiskKind::Errors(errors) => {
                DiskEffect::Errors { on: errors.on, percent: errors.percent, code: errors.code }
            }
            DiskKind::BitFlip(flips) => return DiskAct::Damage(DiskDamage::BitFlip { bits: flips.bits }),
            DiskKind::Truncate(cut) => return DiskAct::Damage(DiskDamage::Truncate { bytes: cut.bytes }),
            DiskKind::OldCopy => return DiskAct::Damage(DiskDamage::OldCopy),
        })
    }

    /// Whether it damages files, which its heal does not mend.
    pub fn damages_files(self) -> bool {
        matches!(self, DiskKind::BitFlip(_) | DiskKind::Truncate(_) | DiskKind::OldCopy)
    }

    fn words(self) -> String {
        match self {
            DiskKind::Full => "full".to_owned(),
            DiskKind::ReadOnly => "read-only".to_owned(),
            DiskKind::Slow(slow) => format!("slow: reads {}, writes {}", slow.read, slow.write),
            DiskKind::SlowFsync(slow) => format!("slow fsync: {}", slow.by),
            DiskKind::Errors(errors) => {
                format!("{} of {} % of {}", errors.code.name(), errors.percent, errors.on.name())
            }
            DiskKind::BitFlip(BitFlips { bits: 1 }) => "one bit flipped".to_owned(),
            DiskKind::BitFlip(flips) => format!("{} bits flipped", flips.bits),
            DiskKind::Truncate(cut) => format!("a file cut by up to {} bytes", cut.bytes),
            DiskKind::OldCopy => "an old copy".to_owned(),
        }
    }

    /// Why it would change nothing, or cannot be.
    fn mistake(self) -> Option<String> {
        match self {
            DiskKind::Slow(slow) if slow.read.as_millis() == 0 && slow.write.as_millis() == 0 => {
                Some("slow: neither reads nor writes wait for 1ms or longer".to_owned())
            }
            DiskKind::SlowFsync(slow) if slow.by.as_millis() == 0 => Some("slow-fsync: by: less than 1ms".to_owned()),
            DiskKind::Slow(SlowDisk { read: longest, .. } | SlowDisk { write: longest, .. })
            | DiskKind::SlowFsync(SlowSyncs { by: longest })
                if longest.as_millis() > 60_000 =>
            {
                Some(format!("a call that waits for {longest}; at most 1m"))
            }
            DiskKind::Errors(errors) if !(1..=100).contains(&errors.percent) => {
                Some(format!("errors: percent: {}; 1 to 100 are possible", errors.percent))
            }
            DiskKind::BitFlip(flips) if !(1..=10_000).contains(&flips.bits) => {
                Some(format!("bit-flip: bits: {}; 1 to 10000 are possible", flips.bits))
            }
            DiskKind::Truncate(cut) if cut.bytes == 0 => Some("truncate: bytes: 0 would change nothing".to_owned()),
            _ => None,
        }
    }
}

impl FaultDefinition for DiskOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn aims(&self) -> Vec<Aim> {
        self.nodes.items().to_vec()
    }

    fn nodes_mut(&mut self) -> Option<&mut Choice<Aim>> {
        Some(&mut self.nodes)
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        if let Some(mistake) = self.effect.items().iter().find_map(|kind| kind.mistake()) {
            return Err(mistake);
        }
        let (kinds, aims) = (Bag::of(self.effect.items().to_vec()), Bag::of(self.nodes.items().to_vec()));
        Ok(Box::new(DiskSource { kinds, aims, nodes }))
    }
}

struct DiskSource {
    kinds: Bag<DiskKind>,
    aims: Bag<Aim>,
    nodes: usize,
}

impl FaultSource for DiskSource {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let kind = self.kinds.draw(rng).unwrap_or(DiskKind::Full);
        let aim = self.aims.draw(rng).unwrap_or(Aim::One);
        SymbolicFault::Disk(DiskFault { kind, nodes: aim.draw(rng, self.nodes), seed: rng.bits() >> 11 })
    }
}

/// One fault of a disk with its draws made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskFault {
    /// What the disk does.
    pub kind: DiskKind,
    /// Which nodes.
    pub nodes: PlannedAim,
    /// Decides which calls fail and which bytes are damaged; below 2^53, so that every reader of JSON keeps it.
    pub seed: u64,
}

impl DiskFault {
    fn injection(&self, node: &NodeView) -> Injection {
        let (services, seed) = (node.services.clone(), self.seed);
        match self.kind.act() {
            DiskAct::Effect(effect) => Injection::DisturbDisk { services, effect, seed },
            DiskAct::Damage(damage) => Injection::DamageDisk { services, damage, seed },
        }
    }
}

impl Symbolic for DiskFault {
    fn describe(&self) -> String {
        format!("{} {}, {}", FACTS.name, self.kind.words(), self.nodes.words())
    }

    fn aims(&self) -> Vec<&PlannedAim> {
        vec![&self.nodes]
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        self.nodes.resolve(view, FACTS.name, &format!("{}, ", self.kind.words()), |node| self.injection(node))
    }

    fn mistakes(&self, _: &ResolvedFault, _: Span) -> Vec<String> {
        let options = DiskOptions { effect: Choice::one(self.kind), ..DiskOptions::default() };
        options.draws(1).err().into_iter().collect()
    }

    fn written(&self, of: Written<'_>) -> Option<FaultOptions> {
        // Options cannot say which calls fail and which bytes are damaged.
        let by_chance = match self.kind {
            DiskKind::Errors(errors) => errors.percent < 100,
            DiskKind::BitFlip(_) | DiskKind::Truncate(_) => true,
            _ => false,
        };
        let nodes = self.nodes.written(of).filter(|_| !by_chance)?;
        Some(FaultOptions::Disk(DiskOptions { effect: Choice::one(self.kind), nodes, lasts: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(effect: serde_json::Value) -> DiskOptions {
        serde_json::from_value(json!({ "effect": effect })).expect("options")
    }

    #[test]
    fn every_effect_is_read_as_it_stands_and_drawn_in_words() {
        let words = [
            (json!("full"), "disk full, one"),
            (json!("read-only"), "disk read-only, one"),
            (json!({"slow": {"write": "5ms"}}), "disk slow: reads 20ms, writes 5ms, one"),
            (json!({"slow-fsync": {}}), "disk slow fsync: 200ms, one"),
            (json!({"errors": {"on": "write", "percent": 5, "code": "ENOSPC"}}), "disk ENOSPC of 5 % of write, one"),
            (json!({"bit-flip": {}}), "disk one bit flipped, one"),
            (json!({"truncate": {"bytes": 100}}), "disk a file cut by up to 100 bytes, one"),
            (json!("old-copy"), "disk an old copy, one"),
        ];
        for (effect, wanted) in words {
            let mut draws = options(effect).draws(3).expect("draws");
            let drawn = draws.draw(&mut Rng::new(1, "disk", 0)).describe();
            assert!(drawn.starts_with(wanted), "{drawn}");
        }
    }

    #[test]
    fn effects_that_change_nothing_or_cannot_be_are_refused() {
        for effect in [
            json!({"slow": {"read": "0s", "write": "0s"}}),
            json!({"slow": {"read": "2m"}}),
            json!({"slow-fsync": {"by": "0s"}}),
            json!({"errors": {"percent": 0}}),
            json!({"errors": {"percent": 101}}),
            json!({"bit-flip": {"bits": 0}}),
            json!({"truncate": {"bytes": 0}}),
        ] {
            assert!(options(effect.clone()).draws(3).is_err(), "{effect}");
        }
    }
}
