//! Judges the measurements of a packet fault: what volleys of datagrams met on each link, and what the receivers' rules counted.
//! Pure.
//!
//! The counts of the rules decide about shares, since they see the target's packets too. The datagrams show that the effect
//! reaches receivers. Bounds are five standard deviations wide: a right count is refused once in a million times.
use dsfuzz_nemesis::protocol::{HeardVolley, PacketEffect, Volley};
use std::time::Duration;

/// How far a median may be off, in microseconds: a busy machine is late by itself.
const SLACK_US: i64 = 10_000;
/// Two clocks part by at most this in a second, in microseconds.
const DRIFT_US: u64 = 100;
const DEVIATIONS: f64 = 5.0;

/// The volley that shows nothing but that a path is untouched.
pub(super) const PLAIN: Volley =
    Volley { round: 0, from: String::new(), count: 40, bytes: 0, large_bytes: 0, gap_us: 500 };

/// The volley that shows an effect.
pub(super) fn volley(effect: &PacketEffect) -> Volley {
    let usual = Volley { count: 200, ..PLAIN };
    match effect {
        PacketEffect::Rate { bytes_per_second } => {
            let enough = 2 * PacketEffect::rate_burst_bytes(*bytes_per_second) / 1400 + 50;
            Volley { count: u32::try_from(enough).unwrap_or(2000).clamp(100, 2000), bytes: 1400, gap_us: 0, ..usual }
        }
        PacketEffect::TooBig { bytes } => Volley { large_bytes: *bytes, ..usual },
        // It must see the link down and up.
        PacketEffect::Flap { period_ms, .. } => {
            Volley { gap_us: u32::try_from(period_ms * 1300 / 200).unwrap_or(u32::MAX), ..usual }
        }
        _ => usual,
    }
}

/// The longest time that the effect holds a packet.
pub(super) fn longest_hold(effect: &PacketEffect) -> Duration {
    Duration::from_micros(match effect {
        PacketEffect::Delay { mean_us, jitter_us, .. } => mean_us + jitter_us,
        PacketEffect::Reorder { by_us, .. } => *by_us,
        _ => 0,
    })
}

/// What a volley met on one path.
#[derive(Clone, Debug)]
pub(super) struct PathMeasured {
    /// In words: `n1 to n2`.
    pub(super) link: String,
    /// What arrived.
    pub(super) heard: HeardVolley,
    /// The median lateness before the fault.
    pub(super) baseline_us: i64,
    /// The time since then.
    pub(super) since: Duration,
}

impl PathMeasured {
    /// How much later datagrams arrive than before the fault: the tenth, the fifth and the ninth of ten.
    fn later_us(&self) -> Option<[i64; 3]> {
        let mut late = self.heard.late_us.clone();
        late.sort_unstable();
        let at = |tenth: usize| Some(late.get(late.len() * tenth / 10)? - self.baseline_us);
        Some([at(1)?, at(5)?, at(9)?])
    }

    fn slack_us(&self) -> i64 {
        SLACK_US + i64::try_from(self.since.as_secs() * DRIFT_US).unwrap_or(i64::MAX)
    }
}

/// The median lateness of a volley.
pub(super) fn median_us(heard: &HeardVolley) -> Option<i64> {
    let mut late = heard.late_us.clone();
    late.sort_unstable();
    late.get(late.len() / 2).copied()
}

/// What a receiver met on the taken links.
#[derive(Clone, Debug)]
pub(super) struct NodeMeasured {
    /// The receiver.
    pub(super) node: String,
    /// Its taken links.
    pub(super) paths: Vec<PathMeasured>,
    /// Packets that its rules took.
    pub(super) seen: u64,
    /// Those of them that met the effect.
    pub(super) hit: u64,
    /// The time of the volley.
    pub(super) took: Duration,
}

/// Whether an effect is in force on a receiver: the observations, or the contradictions.
pub(super) fn in_force(
    effect: &PacketEffect,
    sent: &Volley,
    measured: &NodeMeasured,
) -> Result<Vec<String>, Vec<String>> {
    let NodeMeasured { node, paths, seen, hit, .. } = measured;
    let all = u64::from(sent.count) * paths.len() as u64;
    let sum = |part: fn(&HeardVolley) -> u32| paths.iter().map(|path| u64::from(part(&path.heard))).sum::<u64>();
    let got = sum(|heard| heard.distinct);
    let lost = all.saturating_sub(got);
    let mut problems = Vec::new();
    if *seen == 0 || *seen < got {
        problems.push(format!("{node}: its rules took {seen} packets, though {got} datagrams arrived"));
    }
    problems.extend(share_problem(effect, *seen, *hit).map(|problem| format!("{node}: {problem}")));
    let twice = sum(|heard| heard.count).saturating_sub(got);
    let (damaged, overtaken, large) =
        (sum(|heard| heard.damaged), sum(|heard| heard.overtaken), sum(|heard| heard.large));
    let shown = match effect {
        PacketEffect::Duplicate { .. } => twice > 0,
        PacketEffect::Corrupt { .. } => damaged + lost > 0,
        PacketEffect::Reorder { .. } => overtaken > 0,
        PacketEffect::TooBig { .. } => large == 0 && got > 0,
        PacketEffect::Flap { .. } => lost > 0 && got > 0,
        PacketEffect::Delay { .. } => true,
        _ => lost > 0,
    };
    let met = format!(
        "{node}: of {all} datagrams {lost} lost, {twice} twice, {damaged} damaged, {overtaken} overtaken, {large} large; its rules \
         hit {hit} of {seen} packets ({:.1} %)",
        *hit as f64 * 100.0 / (*seen).max(1) as f64
    );
    if !shown {
        problems.push(format!("no datagram shows it: {met}"));
    }
    let mut observed = vec![met];
    if let PacketEffect::Delay { mean_us, jitter_us, .. } = effect {
        for path in paths {
            match lateness(path, *mean_us, *jitter_us) {
                Ok(late) => observed.push(late),
                Err(late) => problems.push(late),
            }
        }
    }
    if let PacketEffect::Rate { bytes_per_second } = effect {
        let bytes: u64 = paths.iter().map(|path| path.heard.bytes).sum();
        let most = PacketEffect::rate_burst_bytes(*bytes_per_second) as f64
            + *bytes_per_second as f64 * measured.took.as_secs_f64();
        if bytes as f64 > most {
            problems.push(format!("{node}: {bytes} bytes arrived, where {most:.0} could"));
        }
    }
    if problems.is_empty() { Ok(observed) } else { Err(problems) }
}

/// The contradiction between an effect's share of packets and what the rules counted.
fn share_problem(effect: &PacketEffect, seen: u64, hit: u64) -> Option<String> {
    let thousandth = |permille: u32| f64::from(permille) / 1000.0;
    let (share, row) = match effect {
        PacketEffect::Loss { permille }
        | PacketEffect::Duplicate { permille }
        | PacketEffect::Reorder { permille, .. } => (thousandth(*permille), 1.0),
        PacketEffect::Bursts { permille, mean, .. } => (thousandth(*permille), f64::from(2 * mean)),
        PacketEffect::EveryNth { n } => (1.0 / f64::from(*n), 0.0),
        PacketEffect::Delay { .. } => (1.0, 0.0),
        // Small packets have no byte to change; bandwidth, size and time depend on the packets.
        PacketEffect::Corrupt { .. }
        | PacketEffect::Rate { .. }
        | PacketEffect::TooBig { .. }
        | PacketEffect::Flap { .. } => {
            return (hit == 0).then(|| format!("its rules hit none of {seen} packets"));
        }
        PacketEffect::Cut(_) => (1.0, 0.0),
    };
    let (expected, counted) = (share * seen as f64, hit as f64);
    let width = DEVIATIONS * (expected * (1.0 - share) * row).max(0.0).sqrt() + 2.0;
    let wrong = hit == 0 || (counted - expected).abs() > width;
    wrong.then(|| format!("its rules hit {hit} of {seen} packets, where {expected:.0} +-{width:.0} were to be"))
}

/// How late the datagrams of a path are, as a sentence; an error if that is not the delay.
fn lateness(path: &PathMeasured, mean_us: u64, jitter_us: u64) -> Result<String, String> {
    let Some([low, middle, high]) = path.later_us() else {
        return Err(format!("{}: no datagram arrived, so that no delay can be measured", path.link));
    };
    let ms = |us: i64| us as f64 / 1000.0;
    let met = format!(
        "{}: {:.1} ms later than before (median of {}; eight of ten within {:.1} to {:.1} ms)",
        path.link,
        ms(middle),
        path.heard.late_us.len(),
        ms(low),
        ms(high)
    );
    let mean_us = i64::try_from(mean_us).unwrap_or(i64::MAX);
    let width = path.slack_us().min(mean_us / 2) + i64::try_from(jitter_us / 4).unwrap_or(i64::MAX);
    if (middle - mean_us).abs() <= width {
        Ok(met)
    } else {
        Err(format!("{met}, where {:.1} ms were to be", ms(mean_us)))
    }
}

/// Whether a path is untouched: how much later its datagrams arrive than before, or the contradiction. `least`: a delay that it
/// must not have.
pub(super) fn untouched(path: &PathMeasured, sent: &Volley, least: Option<Duration>) -> Result<i64, String> {
    let HeardVolley { count, distinct, damaged, .. } = &path.heard;
    let Some([_, later_us, _]) = path.later_us() else { return Err(format!("{}: no datagram arrives", path.link)) };
    if (*distinct, *count, *damaged) != (sent.count, sent.count, 0) {
        return Err(format!(
            "{}: of {} datagrams {} arrive, {} twice, {damaged} damaged, though nothing was to happen to them",
            path.link,
            sent.count,
            distinct,
            count - distinct
        ));
    }
    let half = least.map_or(i64::MAX, |least| i64::try_from(least.as_micros() / 2).unwrap_or(i64::MAX));
    if later_us > path.slack_us().min(half) {
        return Err(format!("{}: datagrams are {:.1} ms later than before", path.link, later_us as f64 / 1000.0));
    }
    Ok(later_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(distinct: u32, late_us: impl Fn(u32) -> i64) -> PathMeasured {
        let late_us = (0..distinct).map(late_us).collect();
        let heard = HeardVolley { count: distinct, distinct, late_us, ..HeardVolley::default() };
        PathMeasured { link: "n1 to n2".to_owned(), heard, baseline_us: 1_000_000, since: Duration::from_secs(6) }
    }

    fn node(paths: Vec<PathMeasured>, seen: u64, hit: u64) -> NodeMeasured {
        NodeMeasured { node: "n2".to_owned(), paths, seen, hit, took: Duration::from_millis(100) }
    }

    fn judged(effect: &PacketEffect, measured: &NodeMeasured) -> Result<Vec<String>, Vec<String>> {
        in_force(effect, &volley(effect), measured)
    }

    #[test]
    fn a_loss_is_in_force_within_its_bounds() {
        let loss = PacketEffect::Loss { permille: 300 };
        let holds = |heard, seen, hit| judged(&loss, &node(vec![path(heard, |_| 0)], seen, hit)).is_ok();
        assert!(holds(140, 200, 60) && holds(150, 1000, 290) && holds(140, 200, 85));
        assert!(!holds(140, 200, 0), "no packet was lost");
        assert!(!holds(140, 200, 100), "far too many");
        assert!(!holds(140, 1000, 200), "far too few");
        assert!(!holds(200, 200, 60), "every datagram arrived");
        assert!(!holds(140, 100, 30), "more arrived than the rules took");
        let nth = PacketEffect::EveryNth { n: 4 };
        let counted = |hit| judged(&nth, &node(vec![path(150, |_| 0)], 200, hit)).is_ok();
        assert!(counted(50) && counted(51) && !counted(54));
    }

    #[test]
    fn a_delay_is_the_median_above_that_before_the_fault() {
        let delay = PacketEffect::Delay { mean_us: 50_000, jitter_us: 5_000, seed: 1 };
        let late = |by: i64| {
            judged(&delay, &node(vec![path(200, |at| 1_000_000 + by + i64::from(at % 11) * 1000 - 5000)], 200, 200))
        };
        let seen = late(50_000).expect("in force").join("; ");
        assert!(
            seen.contains("50.0 ms later than before (median of 200; eight of ten within 46.0 to 54.0 ms)"),
            "{seen}"
        );
        assert!(late(45_000).is_ok() && late(59_000).is_ok());
        assert!(late(35_000).is_err() && late(65_000).is_err() && late(0).is_err());
        assert!(judged(&delay, &node(vec![path(0, |_| 0)], 200, 200)).is_err());
    }

    #[test]
    fn twice_damaged_overtaken_and_large_need_a_datagram_that_shows_it() {
        let one = |change: fn(&mut HeardVolley), distinct| {
            let mut path = path(distinct, |_| 0);
            change(&mut path.heard);
            node(vec![path], 200, 20)
        };
        let plain = one(|_| (), 200);
        for (effect, shown) in [
            (PacketEffect::Duplicate { permille: 100 }, one(|heard| heard.count += 3, 200)),
            (PacketEffect::Corrupt { permille: 100 }, one(|heard| heard.damaged = 2, 200)),
            (PacketEffect::Reorder { permille: 100, by_us: 9000, seed: 1 }, one(|heard| heard.overtaken = 2, 200)),
            (PacketEffect::TooBig { bytes: 1000 }, one(|_| (), 100)),
            (PacketEffect::Flap { period_ms: 100, down_ms: 50 }, one(|_| (), 100)),
        ] {
            assert!(judged(&effect, &shown).is_ok(), "{effect:?}: {:?}", judged(&effect, &shown));
            let mut plain = plain.clone();
            plain.paths[0].heard.large = 5;
            assert!(judged(&effect, &plain).is_err(), "{effect:?}");
        }
    }

    #[test]
    fn bandwidth_is_bounded_by_time() {
        let rate = PacketEffect::Rate { bytes_per_second: 125_000 };
        let bytes = |bytes| {
            let mut path = path(20, |_| 0);
            path.heard.bytes = bytes;
            judged(&rate, &node(vec![path], 200, 180))
        };
        // A burst of 6250 bytes, and a tenth of a second.
        assert!(bytes(18_000).is_ok() && bytes(20_000).is_err());
    }

    #[test]
    fn an_untouched_path_loses_nothing_and_is_not_late() {
        assert_eq!(untouched(&path(40, |_| 1_000_300), &PLAIN, None), Ok(300));
        assert!(untouched(&path(39, |_| 1_000_300), &PLAIN, None).is_err());
        assert!(untouched(&path(40, |_| 1_050_000), &PLAIN, None).is_err());
        assert!(untouched(&path(40, |_| 1_006_000), &PLAIN, Some(Duration::from_millis(10))).is_err());
    }
}
