//! A queue of the kernel (NFQUEUE) into which a rule puts packets, and a thread that lets each pass when its time has come, or
//! drops it. Only the numbers of packets come here, not their bytes.
//!
//! The kernel lets packets pass as soon as the queue is gone or full: the death of the agent ends the fault. What is held then is
//! lost, as on a cable that is pulled.
use crate::netlink::{Netlink, Packet};
use crate::{nft, sys};
use dsfuzz_nemesis::protocol::PacketEffect;
use dsfuzz_rng::Rng;
use std::collections::{BTreeMap, BinaryHeap};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Numbers of queues to try. Other programs of the node use small ones.
const NUMBERS: std::ops::Range<u16> = 0xd500..0xd540;
/// Packets that a queue holds; the kernel lets pass what is beyond.
const LENGTH: u32 = 100_000;
/// How long the thread sleeps while it holds nothing.
const IDLE: Duration = Duration::from_millis(100);

/// The queues of the agent, by the name of the base chain.
#[derive(Default)]
pub(crate) struct PacketQueues(BTreeMap<String, PacketQueue>);

impl PacketQueues {
    /// Opens a queue for an effect and starts its thread. Returns the number of the queue.
    pub(crate) fn open(&mut self, name: &str, effect: &PacketEffect) -> Result<u16, String> {
        self.close(name);
        let queue = PacketQueue::open(Fates::of(effect)?)?;
        let number = queue.number;
        self.0.insert(name.to_owned(), queue);
        Ok(number)
    }

    /// Whether the thread of a queue lives.
    pub(crate) fn serves(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|queue| queue.thread.as_ref().is_some_and(|thread| !thread.is_finished()))
    }

    /// The packets that met the effect of a queue.
    pub(crate) fn hits(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |queue| queue.hits.load(SeqCst))
    }

    /// Lets everything pass that is held, and closes the queue.
    pub(crate) fn close(&mut self, name: &str) {
        drop(self.0.remove(name));
    }
}

/// Appends to a chain of our tables the rule that puts packets into a queue: by nft's own statement, or as iptables does it where the
/// kernel has only that.
pub(crate) fn fill(table: &str, chain: &str, number: u16) -> Result<(), String> {
    let Err(reason) = nft::script(&format!("add rule {table} {chain} queue num {number} bypass\n")) else {
        return Ok(());
    };
    let (_, name) = table.split_once(' ').unwrap_or_default();
    let other = Netlink::open().and_then(|netlink| netlink.add_queue_rule(name, chain, number));
    other.map_err(|error| format!("{reason}; and the target NFQUEUE: {error}"))
}

struct PacketQueue {
    number: u16,
    hits: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PacketQueue {
    fn open(fates: Fates) -> Result<PacketQueue, String> {
        let netlink = Netlink::open().map_err(|error| format!("nfqueue: {error}"))?;
        let mut last = String::new();
        for number in NUMBERS {
            match netlink.bind_queue(number, LENGTH) {
                Ok(()) => {
                    let over = Arc::new(AtomicBool::new(false));
                    let hits = Arc::default();
                    let shared = (Arc::clone(&over), Arc::clone(&hits));
                    let thread = std::thread::spawn(move || serve(&netlink, number, fates, &shared.0, &shared.1));
                    return Ok(PacketQueue { number, hits, over, thread: Some(thread) });
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(format!("nfqueue: no queue can be had: {last}"))
    }
}

impl Drop for PacketQueue {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Opens a queue for a chain that no packet reaches, and closes it: whether this kernel can.
pub(crate) fn rehearse(table: &str, chain: &str) -> Result<(), String> {
    let queue = PacketQueue::open(Fates::of(&PacketEffect::Flap { period_ms: 100, down_ms: 50 })?)?;
    fill(table, chain, queue.number)
}

fn serve(netlink: &Netlink, number: u16, mut fates: Fates, over: &AtomicBool, hits: &AtomicU64) {
    sys::hurry_thread();
    let mut held: BinaryHeap<Held> = BinaryHeap::new();
    let mut packets = Vec::new();
    while !over.load(SeqCst) {
        let now = Instant::now();
        while held.peek().is_some_and(|first| first.due <= now) {
            let id = held.pop().map_or(0, |first| first.id);
            netlink.judge(number, id, true);
        }
        let wait = held.peek().map_or(IDLE, |first| first.due.saturating_duration_since(now).min(IDLE));
        sys::wait_readable_exactly(netlink.as_raw_fd(), wait);
        packets.clear();
        netlink.receive(&mut packets);
        let now = Instant::now();
        for Packet { id } in &packets {
            let fate = fates.next(now);
            hits.fetch_add(u64::from(fate != Fate::Pass), SeqCst);
            match fate {
                Fate::Pass => netlink.judge(number, *id, true),
                Fate::Drop => netlink.judge(number, *id, false),
                Fate::Hold(time) => held.push(Held { due: now + time, id: *id }),
            }
        }
    }
    // In their order, so that a heal reorders nothing.
    packets.clear();
    netlink.receive(&mut packets);
    let late = packets.iter().map(|packet| Held { due: Instant::now(), id: packet.id });
    held.extend(late);
    while let Some(first) = held.pop() {
        netlink.judge(number, first.id, true);
    }
}

/// A packet that waits.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    due: Instant,
    id: u32,
}

impl Ord for Held {
    /// The greatest is the one that is due first.
    fn cmp(&self, other: &Held) -> std::cmp::Ordering {
        other.due.cmp(&self.due).then(other.id.cmp(&self.id))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Drop,
    Hold(Duration),
}

/// Decides about packets in the order of their arrival: the same seed gives the same fates, apart from a flapping link, whose
/// clock decides.
struct Fates {
    effect: PacketEffect,
    rng: Rng,
    begun: Instant,
    in_burst: bool,
}

impl Fates {
    fn of(effect: &PacketEffect) -> Result<Fates, String> {
        let seed = match effect {
            PacketEffect::Delay { seed, .. }
            | PacketEffect::Reorder { seed, .. }
            | PacketEffect::Bursts { seed, .. } => *seed,
            PacketEffect::Flap { .. } => 0,
            other => return Err(format!("{other:?} needs no queue")),
        };
        Ok(Fates { effect: effect.clone(), rng: Rng::new(seed, "packets", 0), begun: Instant::now(), in_burst: false })
    }

    fn next(&mut self, now: Instant) -> Fate {
        match self.effect {
            PacketEffect::Delay { mean_us, jitter_us, .. } => {
                Fate::Hold(Duration::from_micros(self.rng.between(mean_us - jitter_us, mean_us + jitter_us)))
            }
            PacketEffect::Reorder { permille, by_us, .. } => match self.rng.below(1000) < u64::from(permille) {
                true => Fate::Hold(Duration::from_micros(by_us)),
                false => Fate::Pass,
            },
            PacketEffect::Bursts { permille, mean, .. } => {
                // Two states: a burst ends with probability 1/mean, and begins as often as the share of lost packets asks for.
                const WHOLE: u64 = 1 << 40;
                let (lost, mean) = (u64::from(permille), u64::from(mean));
                let changes = match self.in_burst {
                    true => WHOLE / mean,
                    false => WHOLE / (1000 - lost) * lost / mean,
                };
                self.in_burst ^= self.rng.below(WHOLE) < changes;
                if self.in_burst { Fate::Drop } else { Fate::Pass }
            }
            PacketEffect::Flap { period_ms, down_ms } => {
                let phase = now.saturating_duration_since(self.begun).as_millis() % u128::from(period_ms.max(1));
                if phase < u128::from(down_ms) { Fate::Drop } else { Fate::Pass }
            }
            _ => Fate::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(effect: &PacketEffect, count: usize) -> Vec<Fate> {
        let mut fates = Fates::of(effect).expect("a queue's effect");
        let begun = fates.begun;
        (0..count).map(|at| fates.next(begun + Duration::from_millis(at as u64))).collect()
    }

    #[test]
    fn a_seed_gives_the_same_fates() {
        let delay = |seed| fates(&PacketEffect::Delay { mean_us: 50_000, jitter_us: 9_000, seed }, 100);
        assert_eq!(delay(1), delay(1));
        assert_ne!(delay(1), delay(2));
        let bounds = Duration::from_millis(41)..=Duration::from_millis(59);
        assert!(delay(1).iter().all(|fate| matches!(fate, Fate::Hold(time) if bounds.contains(time))));
    }

    #[test]
    fn bursts_lose_their_share_in_rows_of_their_mean_length() {
        for (permille, mean) in [(100, 5), (300, 3), (600, 20)] {
            let all = fates(&PacketEffect::Bursts { permille, mean, seed: 9 }, 200_000);
            let lost = all.iter().filter(|fate| **fate == Fate::Drop).count();
            let begins = all.windows(2).filter(|pair| pair[0] == Fate::Pass && pair[1] == Fate::Drop).count();
            let (share, row) = (lost as f64 / all.len() as f64, lost as f64 / begins as f64);
            assert!((share - f64::from(permille) / 1000.0).abs() < 0.03, "{permille} {mean}: {share}");
            assert!((row / f64::from(mean) - 1.0).abs() < 0.1, "{permille} {mean}: {row}");
        }
    }

    #[test]
    fn a_link_flaps_by_the_clock() {
        let all = fates(&PacketEffect::Flap { period_ms: 100, down_ms: 30 }, 300);
        for (at, fate) in all.iter().enumerate() {
            assert_eq!(*fate == Fate::Drop, at % 100 < 30, "{at} ms");
        }
    }

    #[test]
    fn the_first_to_be_due_passes_first() {
        let now = Instant::now();
        let mut held: BinaryHeap<Held> =
            [(3, 1), (1, 3), (1, 2)].map(|(ms, id)| Held { due: now + Duration::from_millis(ms), id }).into();
        let order: Vec<u32> = std::iter::from_fn(|| held.pop()).map(|held| held.id).collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
