//! The verification of a packet fault: volleys of datagrams before the fault, in it and after it, and the counts of the receivers'
//! rules.
use super::Executor;
use super::links::OpenPaths;
use super::packet_proof::{self, NodeMeasured, PLAIN, PathMeasured};
use super::paths::{NetworkPath, Transport};
use super::remotes::{everywhere, unexpected};
use dsfuzz_nemesis::ResolvedFault;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::{HeardVolley, PacketCounts, PacketEffect, Proof, Request, Response, Volley};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How long a volley's last datagrams may take to be counted on a busy node.
const COUNTING: Duration = Duration::from_millis(600);
const LOOK: Duration = Duration::from_millis(20);
/// Beyond the time that a volley takes to be sent.
const SENDING: Duration = Duration::from_secs(1);

/// What arrived of volleys, by path.
type Heard = BTreeMap<NetworkPath, HeardVolley>;

impl Executor {
    /// The open paths of these links, with how late datagrams are on one path of each; the problems.
    pub(super) async fn baseline(&self, id: u64, all: &[Link]) -> (OpenPaths, Vec<String>) {
        let (mut open, mut problems) = self.open_paths_beside(id, all).await;
        if !problems.is_empty() {
            return (open, problems);
        }
        let mut measured = BTreeSet::new();
        // Nothing can be measured where another fault does something to packets.
        for link in &self.own_links(id, all, &open) {
            let of_link = |path: &&NetworkPath| path.via == Transport::Udp && path.is_of(std::slice::from_ref(link));
            let main = self.remotes.ping_address(&link.1).map(|(address, _)| address.to_canonical());
            let mut paths: Vec<&NetworkPath> = open.paths.iter().filter(of_link).collect();
            paths.sort_by_key(|path| Some(path.address) != main);
            match paths.first() {
                Some(path) => drop(measured.insert((*path).clone())),
                None => problems.push(format!(
                    "datagrams from {} to {} are filtered, so that nothing can be measured between them",
                    link.0, link.1
                )),
            }
        }
        match self.volleys(&[(measured.clone(), PLAIN)], Duration::ZERO).await {
            Ok(heard) => {
                for path in measured {
                    match heard.get(&path).and_then(packet_proof::median_us) {
                        Some(median) => drop(open.late_us.insert(path, median)),
                        None => problems.push(format!("{} does not hear {} {path}", path.to, path.from)),
                    }
                }
                open.measured = Some(Instant::now());
            }
            Err(errors) => problems.extend(errors),
        }
        (open, problems)
    }

    /// Verifies that an effect is in force on the taken links, that nothing happens on the others, and that the receivers' rules
    /// counted as it should be since `before` (empty if the rules are new).
    pub(super) async fn verify_packets(
        &self,
        id: u64,
        (fault, effect): (&ResolvedFault, &PacketEffect),
        before: &[(String, Proof)],
        (taken, others, open): (&[Link], &[Link], &OpenPaths),
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let of = |links: &[Link]| -> BTreeSet<NetworkPath> {
            open.late_us.keys().filter(|path| path.is_of(links)).cloned().collect()
        };
        let cut = self.in_force.cut_by_others(id);
        let uncut: Vec<Link> = taken.iter().filter(|link| !cut.contains(link)).cloned().collect();
        let (taken, others) = (of(&uncut), of(&self.own_links(id, others, open)));
        let sent = packet_proof::volley(effect);
        let begun = Instant::now();
        let flights = [(taken.clone(), sent.clone()), (others.clone(), PLAIN)];
        let heard = self.volleys(&flights, packet_proof::longest_hold(effect)).await?;
        let took = begun.elapsed();
        let proofs = self.proofs(id, fault, deadline.min(self.limits.look)).await?;
        let (mut seen, mut problems) = (Vec::new(), Vec::new());
        if taken.is_empty() {
            problems.push("nothing could be measured: other faults hold every link that it takes".to_owned());
        }
        for (node, proof) in &proofs {
            if !proof.holds {
                problems.push(format!("not in force on {node}: {}", proof.detail.join("; ")));
                continue;
            }
            let earlier =
                before.iter().find(|(name, _)| name == node).map(|(_, proof)| counts(proof)).unwrap_or_default();
            let now = counts(proof);
            let paths = taken.iter().filter(|path| path.to == *node);
            let paths: Vec<PathMeasured> = paths.map(|path| measured(path, &heard, open)).collect();
            if paths.is_empty() {
                seen.push(format!(
                    "{node}: its rules stand; another fault holds its links, so that nothing can be measured there"
                ));
                continue;
            }
            let (hit, all) = (now.hit.saturating_sub(earlier.hit), now.seen.saturating_sub(earlier.seen));
            let measured = NodeMeasured { node: node.clone(), paths, seen: all, hit, took };
            match packet_proof::in_force(effect, &sent, &measured) {
                Ok(observed) => seen.extend(observed),
                Err(contradictions) => problems.extend(contradictions),
            }
        }
        match untouched(&others, &heard, open, delay_of(effect)) {
            Ok(observed) => seen.push(observed),
            Err(contradictions) => problems.extend(contradictions),
        }
        if problems.is_empty() { Ok(seen) } else { Err(problems) }
    }

    /// After a heal: what still happens to datagrams on the measured paths.
    pub(super) async fn still_disturbed(&self, id: u64, effect: &PacketEffect, open: &OpenPaths) -> Vec<String> {
        let disturbed: Vec<Link> = self.in_force.disturbed_by_others(id).into_iter().collect();
        let paths = open.late_us.keys().filter(|path| !path.is_of(&disturbed));
        let paths: BTreeSet<NetworkPath> = paths.cloned().collect();
        match self.volleys(&[(paths.clone(), PLAIN)], Duration::ZERO).await {
            Ok(heard) => untouched(&paths, &heard, open, delay_of(effect)).err().unwrap_or_default(),
            Err(errors) => errors,
        }
    }

    /// Sends volleys on these paths, and gives what arrived, once all has come or no more comes.
    async fn volleys(&self, flights: &[(BTreeSet<NetworkPath>, Volley)], hold: Duration) -> Result<Heard, Vec<String>> {
        let mut sends = Vec::new();
        let mut rounds = Vec::new();
        let mut longest = SENDING;
        for (paths, volley) in flights.iter().filter(|(paths, _)| !paths.is_empty()) {
            let round = self.rounds.fetch_add(1, Ordering::Relaxed) + 1;
            rounds.push((round, paths, volley.count));
            longest = longest.max(SENDING + Duration::from_micros(u64::from(volley.gap_us) * u64::from(volley.count)));
            let mut from: BTreeMap<&str, Vec<&NetworkPath>> = BTreeMap::new();
            paths.iter().for_each(|path| from.entry(&path.from).or_default().push(path));
            for (node, paths) in from {
                let to = paths.iter().map(|path| path.target()).collect();
                let volley = Volley { round, from: node.to_owned(), ..volley.clone() };
                sends.push((node.to_owned(), Request::Volley { volley, to }));
            }
        }
        let mut errors = Vec::new();
        for (node, answer) in everywhere(&self.remotes, sends, longest).await {
            match answer {
                Ok(Response::Pinged { unsent }) => {
                    errors.extend(unsent.into_iter().map(|(_, why)| format!("{node} cannot send datagrams: {why}")));
                }
                Ok(other) => errors.push(unexpected(&node, &other)),
                Err(error) => errors.push(error.to_string()),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        tokio::time::sleep(hold).await;
        let end = Instant::now() + COUNTING;
        let mut heard = self.heard_volleys(&rounds).await?;
        loop {
            tokio::time::sleep(LOOK).await;
            let later = self.heard_volleys(&rounds).await?;
            let all = rounds.iter().all(|(_, paths, count)| {
                paths.iter().all(|path| later.get(path).is_some_and(|volley| volley.distinct == *count))
            });
            if all || later == heard || Instant::now() >= end {
                return Ok(later);
            }
            heard = later;
        }
    }

    async fn heard_volleys(&self, rounds: &[(u64, &BTreeSet<NetworkPath>, u32)]) -> Result<Heard, Vec<String>> {
        let mut asks = Vec::new();
        for (round, paths, _) in rounds {
            let receivers: BTreeSet<&String> = paths.iter().map(|path| &path.to).collect();
            asks.extend(receivers.into_iter().map(|node| (node.clone(), Request::HeardVolleys { round: *round })));
        }
        let known: Vec<&NetworkPath> = rounds.iter().flat_map(|(_, paths, _)| paths.iter()).collect();
        let (mut heard, mut errors) = (Heard::new(), Vec::new());
        for (node, answer) in everywhere(&self.remotes, asks, self.limits.look).await {
            match answer {
                Ok(Response::HeardVolleys(volleys)) => {
                    for volley in volleys {
                        let like = |path: &&&NetworkPath| {
                            path.to == node
                                && (&path.from, path.source, Some(path.address))
                                    == (&volley.from, volley.source, volley.address)
                        };
                        if let Some(path) = known.iter().find(like) {
                            heard.insert((*path).clone(), volley);
                        }
                    }
                }
                Ok(other) => errors.push(unexpected(&node, &other)),
                Err(error) => errors.push(error.to_string()),
            }
        }
        if errors.is_empty() { Ok(heard) } else { Err(errors) }
    }
}

/// The counts of the nodes' packets.
fn counts(proof: &Proof) -> PacketCounts {
    proof.counts.iter().find(|counts| !counts.clients).copied().unwrap_or_default()
}

fn delay_of(effect: &PacketEffect) -> Option<Duration> {
    match effect {
        PacketEffect::Delay { mean_us, .. } => Some(Duration::from_micros(*mean_us)),
        _ => None,
    }
}

fn measured(path: &NetworkPath, heard: &Heard, open: &OpenPaths) -> PathMeasured {
    PathMeasured {
        link: format!("{} to {}", path.from, path.to),
        heard: heard.get(path).cloned().unwrap_or_default(),
        baseline_us: open.late_us.get(path).copied().unwrap_or_default(),
        since: open.measured.map_or(Duration::ZERO, |measured| measured.elapsed()),
    }
}

/// Whether nothing happens to datagrams on these paths: a sentence, or the contradictions.
fn untouched(
    paths: &BTreeSet<NetworkPath>,
    heard: &Heard,
    open: &OpenPaths,
    least: Option<Duration>,
) -> Result<String, Vec<String>> {
    let judged: Vec<Result<i64, String>> =
        paths.iter().map(|path| packet_proof::untouched(&measured(path, heard, open), &PLAIN, least)).collect();
    let problems: Vec<String> = judged.iter().filter_map(|judged| judged.clone().err()).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let latest = judged.iter().filter_map(|judged| judged.as_ref().ok()).max().copied().unwrap_or_default();
    let datagrams = paths.len() * PLAIN.count as usize;
    Ok(format!(
        "{} other links untouched: all {datagrams} datagrams arrive once, at most {:.1} ms later than before (medians)",
        paths.len(),
        latest as f64 / 1000.0
    ))
}
