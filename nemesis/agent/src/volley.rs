//! Volleys of datagrams between agents, which measure what a network path does to packets: how many are lost, come twice, are
//! damaged or overtaken, and how late each is.
//!
//! Lateness is the receiver's clock less the sender's. The offset between two clocks is not known, so that only the difference
//! between two volleys on one path means anything.
use crate::sys;
use dsfuzz_nemesis::protocol::{HeardVolley, PingTarget, Volley};
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MAGIC: &[u8; 8] = b"DSFVOLL1";
/// The byte that fills a datagram. A changed one is damage.
const FILL: u8 = 0xa5;
/// Filled bytes before the names. A damaged byte behind them would hide the datagram's sender.
const FILLED: usize = 64;
const ROUNDS_MAX: usize = 16;
const PATHS_MAX: usize = 1024;
const DATAGRAMS_MAX: usize = 4096;
const BYTES_MAX: usize = 1472;

/// A sender's name, its address if it named one, and the receiver's address.
type VolleyPath = (String, Option<IpAddr>, IpAddr);

/// The datagrams of one path in one round.
#[derive(Debug, Default)]
struct Arrivals {
    volley: HeardVolley,
    seen: HashSet<u32>,
    last: Option<u32>,
}

/// What arrived, by round and path.
#[derive(Debug, Default)]
pub(crate) struct Volleys {
    rounds: Mutex<BTreeMap<u64, BTreeMap<VolleyPath, Arrivals>>>,
}

impl Volleys {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes a datagram that arrived now, if it is one of a volley of this run.
    pub(crate) fn take(&self, message: &[u8], run: &str) {
        let now_ns = sys::raw_monotonic_ns();
        let Some((head, path)) = decode(message, run) else { return };
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = rounds.entry(head.round).or_default();
        if paths.len() < PATHS_MAX || paths.contains_key(&path) {
            let begin = |path: &VolleyPath| Arrivals {
                volley: HeardVolley {
                    from: path.0.clone(),
                    source: path.1,
                    address: Some(path.2),
                    ..HeardVolley::default()
                },
                ..Arrivals::default()
            };
            paths.entry(path.clone()).or_insert_with(|| begin(&path)).add(&head, now_ns);
        }
        if rounds.len() > ROUNDS_MAX {
            rounds.pop_first();
        }
    }

    /// The volleys of a round.
    pub(crate) fn heard(&self, round: u64) -> Vec<HeardVolley> {
        let rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.get(&round).into_iter().flatten().map(|(_, arrivals)| arrivals.volley.clone()).collect()
    }
}

impl Arrivals {
    fn add(&mut self, head: &Head, now_ns: i64) {
        let volley = &mut self.volley;
        volley.count = volley.count.saturating_add(1);
        volley.damaged = volley.damaged.saturating_add(u32::from(head.damaged));
        volley.overtaken = volley.overtaken.saturating_add(u32::from(self.last.is_some_and(|last| head.number < last)));
        self.last = self.last.max(Some(head.number));
        if self.seen.len() < DATAGRAMS_MAX && self.seen.insert(head.number) {
            volley.distinct += 1;
            volley.bytes += head.bytes;
            volley.large += u32::from(head.large);
            volley.late_us.push((now_ns - head.sent_ns) / 1000);
        }
    }
}

/// Sends a volley to each target, one datagram to each in turn. `send` returns the kernel's error. Returns the positions of the
/// targets to which sending failed, with the first error.
pub(crate) fn send(
    run: &str,
    volley: &Volley,
    to: &[PingTarget],
    mut send: impl FnMut(&PingTarget, &[u8]) -> Result<(), String>,
) -> Result<Vec<(usize, String)>, String> {
    let names: Vec<Vec<u8>> = to.iter().map(|target| names(run, &volley.from, target)).collect::<Result<_, _>>()?;
    let mut failed: BTreeMap<usize, String> = BTreeMap::new();
    let begun = Instant::now();
    for number in 0..volley.count {
        for (position, target) in to.iter().enumerate() {
            let large = volley.large_bytes > 0 && number % 2 == 1;
            let bytes = if large { volley.large_bytes } else { volley.bytes };
            let message = encode(volley.round, number, large, bytes as usize, &names[position]);
            if let Err(reason) = send(target, &message) {
                failed.entry(position).or_insert(reason);
            }
        }
        // A late datagram does not delay those after it.
        let due = Duration::from_micros(u64::from(volley.gap_us)) * (number + 1);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(failed.into_iter().collect())
}

/// What a datagram says.
struct Head {
    round: u64,
    number: u32,
    sent_ns: i64,
    large: bool,
    damaged: bool,
    bytes: u64,
}

fn names(run: &str, from: &str, to: &PingTarget) -> Result<Vec<u8>, String> {
    let source = to.source.map(|source| source.to_string()).unwrap_or_default();
    let mut bytes = Vec::new();
    for text in [run, from, &source, &to.address.to_string()] {
        let length = u8::try_from(text.len()).map_err(|_| format!("volley: a name of {} bytes", text.len()))?;
        bytes.push(length);
        bytes.extend_from_slice(text.as_bytes());
    }
    Ok(bytes)
}

fn encode(round: u64, number: u32, large: bool, bytes: usize, names: &[u8]) -> Vec<u8> {
    let mut message = MAGIC.to_vec();
    message.extend_from_slice(&round.to_be_bytes());
    message.extend_from_slice(&number.to_be_bytes());
    message.push(u8::from(large));
    message.extend_from_slice(&[FILL; FILLED]);
    message.extend_from_slice(names);
    message.resize(message.len().max(bytes.min(BYTES_MAX).saturating_sub(8)), FILL);
    message.extend_from_slice(&sys::raw_monotonic_ns().to_be_bytes());
    message
}

fn decode(message: &[u8], run: &str) -> Option<(Head, VolleyPath)> {
    let (round, rest) = message.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (large, rest) = rest.split_first()?;
    let (filled, mut rest) = rest.split_first_chunk::<FILLED>()?;
    let mut text = || {
        let (length, more) = rest.split_first()?;
        let (text, more) = more.split_at_checked(usize::from(*length))?;
        rest = more;
        String::from_utf8(text.to_vec()).ok()
    };
    let (theirs, from, source, address) = (text()?, text()?, text()?, text()?);
    let (filler, sent) = rest.split_last_chunk::<8>()?;
    let source = if source.is_empty() { None } else { Some(source.parse().ok()?) };
    let head = Head {
        round: u64::from_be_bytes(*round),
        number: u32::from_be_bytes(*number),
        sent_ns: i64::from_be_bytes(*sent),
        large: *large == 1,
        damaged: filled.iter().chain(filler).any(|byte| *byte != FILL),
        bytes: message.len() as u64,
    };
    (theirs == run).then_some((head, (from, source, address.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_to_datagrams_is_counted() {
        let target = PingTarget { source: None, address: [10, 0, 0, 2].into(), port: 9 };
        let volley = Volley { round: 7, from: "n1".to_owned(), count: 6, bytes: 200, large_bytes: 400, gap_us: 0 };
        let mut sent = Vec::new();
        let failed = send("run", &volley, std::slice::from_ref(&target), |_, message| {
            sent.push(message.to_vec());
            Ok(())
        });
        assert_eq!(failed, Ok(Vec::new()));
        assert!(sent.iter().enumerate().all(|(number, message)| message.len() == [200, 400][number % 2]));
        let volleys = Volleys::default();
        sent[2][40] ^= 0x55;
        // The first is lost, the second comes twice, the fourth overtakes the third.
        for number in [1, 1, 3, 2, 4, 5] {
            volleys.take(&sent[number], "run");
        }
        volleys.take(&sent[0], "another run");
        volleys.take(b"GET / HTTP/1.1", "run");
        let heard = volleys.heard(7);
        assert_eq!(heard.len(), 1);
        let HeardVolley { from, address, count, distinct, damaged, overtaken, large, bytes, late_us, .. } = &heard[0];
        assert_eq!((from.as_str(), *address, *count, *distinct), ("n1", Some(target.address), 6, 5));
        assert_eq!((*damaged, *overtaken, *large, *bytes), (1, 1, 3, 1600));
        assert!(late_us.len() == 5 && late_us.iter().all(|late| *late >= 0), "{late_us:?}");
        assert!(volleys.heard(8).is_empty());
    }
}
