//! What shapes the drawing of faults beside their list: its mistakes, and the faults that a swarm draws.
use crate::budget::Budget;
use crate::options::{FaultOptions, NemesisOptions};
use crate::overlap::OVERLAP_MAX;
use crate::quiet::GAP_MS;
use crate::swarm::{Swarm, SwarmDraw, SwarmOptions};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;

impl NemesisOptions {
    /// The first mistake of what shapes the drawing of faults: the key, and a sentence.
    pub fn drawing_mistake(&self) -> Option<(&'static str, String)> {
        let kept = NemesisOptions::default();
        if !self.schedule.is_empty() {
            let set = [
                ("overlap", self.overlap != kept.overlap),
                ("budget", self.budget != kept.budget),
                ("quiet", self.quiet.is_some()),
                ("swarm", !self.swarm.is_off()),
            ];
            let (key, _) = set.into_iter().find(|(_, set)| *set)?;
            let why = "this shapes faults that are drawn (`faults`), and a schedule names each of its own";
            return Some((key, why.to_owned()));
        }
        if !(1..=OVERLAP_MAX).contains(&self.overlap) {
            return Some(("overlap", format!("{}; 1 to {OVERLAP_MAX} faults are in force at once", self.overlap)));
        }
        if let Swarm::On(SwarmOptions { chance, .. }) = self.swarm
            && !(1..=100).contains(&chance)
        {
            return Some(("swarm", format!("chance: {chance}; 1 to 100 percent are possible")));
        }
        let longest = self.faults.iter().map(|fault| fault.lasts().unwrap_or(self.lasts)).max()?;
        Some(("quiet", self.quiet?.mistake(longest, GAP_MS)?))
    }
}

impl NemesisOptions {
    /// What shapes the drawing of faults and changes nothing: the key, and a sentence. No fault is in force from `quiet_from` on.
    pub fn drawing_warnings(&self, quiet_from: Span) -> Vec<(&'static str, String)> {
        let mut warnings = Vec::new();
        let mut kinds: Vec<&str> = self.faults.iter().map(|fault| fault.facts().name).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let at_once = usize::try_from(self.overlap).unwrap_or(usize::MAX);
        match kinds.as_slice() {
            [only] if at_once > 1 => warnings.push((
                "overlap",
                format!(
                    "faults of one kind never overlap, and every entry of `faults` is a {only}: it changes nothing"
                ),
            )),
            [_, _, ..] if at_once > kinds.len() => warnings.push((
                "overlap",
                format!(
                    "faults of one kind never overlap: of {} kinds at most {} are in force at once",
                    kinds.len(),
                    kinds.len()
                ),
            )),
            _ => {}
        }
        if self.budget == Budget::None && at_once < 2 && !self.faults.iter().any(FaultOptions::damages_files) {
            warnings.push((
                "budget",
                "one fault is in force at a time, and none damages files: it changes nothing".to_owned(),
            ));
        }
        if let Some(quiet) = self.quiet
            && quiet.every.as_millis().saturating_sub(quiet.lasts.as_millis()) >= quiet_from.as_millis()
        {
            warnings.push((
                "quiet",
                format!(
                    "its first stretch begins {} after the begin of the load, and no fault is in force after {quiet_from} anyway: it \
                     changes nothing",
                    Span::millis(quiet.every.as_millis() - quiet.lasts.as_millis())
                ),
            ));
        }
        if let (Swarm::On(SwarmOptions { rates: false, .. }), [_]) = (self.swarm, self.faults.as_slice()) {
            warnings.push(("swarm", "`faults` has one entry, which every run then has: it changes nothing".to_owned()));
        }
        // Without `overlap` the time is left free after each fault.
        let within = self.recovery.map(|recovery| recovery.within).filter(|within| at_once > 1 && *within > self.every);
        if let Some(within) = within {
            warnings.push((
                "recovery",
                format!(
                    "within: {within} is longer than `every` ({}): beside `overlap` the next fault mostly comes sooner, and then the recovery \
                     is not judged",
                    self.every
                ),
            ));
        }
        warnings
    }
}

impl FaultOptions {
    /// Whether it damages files of the target, which its heal does not mend.
    pub fn damages_files(&self) -> bool {
        matches!(self, FaultOptions::Disk(disk) if disk.effect.items().iter().any(|effect| effect.damages_files()))
    }
}

/// The options of a run of this seed, how often each of their faults comes beside the others, and what was drawn; none without a
/// swarm.
pub(crate) fn swarmed(options: &NemesisOptions, seed: u64) -> Option<(NemesisOptions, Vec<u64>, SwarmDraw)> {
    let Swarm::On(SwarmOptions { chance, rates }) = options.swarm else { return None };
    let mut rng = Rng::new(seed, "swarm", 0);
    let mut takes: Vec<bool> = options.faults.iter().map(|_| rng.below(100) < u64::from(chance)).collect();
    // Drawn in any case, so that the draws that follow do not depend on it.
    let one = rng.below(options.faults.len().max(1) as u64) as usize;
    if !takes.contains(&true) && !takes.is_empty() {
        takes[one] = true;
    }
    let weights: Vec<u64> = options.faults.iter().map(|_| rng.between(1, 3)).collect();
    let pace = rng.below(3);
    let every_ms = options.every.as_millis();
    let every = match pace {
        0 if rates => Span::millis((every_ms / 2).max(1)),
        2 if rates => Span::millis(every_ms.saturating_mul(2)),
        _ => options.every,
    };
    let kind = |at: usize| options.faults[at].counted_as();
    let label = |at: usize| {
        let alike: Vec<usize> = (0..options.faults.len()).filter(|other| kind(*other) == kind(at)).collect();
        if alike.len() > 1 { format!("{} (faults[{at}])", kind(at)) } else { kind(at) }
    };
    let (mut drawn, mut kept, mut faults) = (SwarmDraw { every, ..SwarmDraw::default() }, Vec::new(), Vec::new());
    for (at, taken) in takes.iter().enumerate() {
        let weight = if rates { weights[at] } else { 1 };
        if *taken {
            drawn.drawn.push((label(at), weight));
            kept.push(weight);
            faults.push(options.faults[at].clone());
            continue;
        }
        drawn.not_drawn.push(label(at));
        let elsewhere = (0..takes.len()).any(|other| takes[other] && kind(other) == kind(at));
        let name = kind(at);
        if !elsewhere && !drawn.kinds_not_drawn.contains(&name) {
            drawn.kinds_not_drawn.push(name);
        }
    }
    let options = NemesisOptions { faults, every, swarm: Swarm::Off, ..options.clone() };
    Some((options, kept, drawn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_changes_nothing_is_named_with_its_key() {
        let keys = |options: serde_json::Value| -> Vec<&str> {
            let options: NemesisOptions = serde_json::from_value(options).expect("options");
            options.drawing_warnings(Span::seconds(40)).into_iter().map(|(key, _)| key).collect()
        };
        let two = json!([{"kill": {}}, {"pause": {}}]);
        for (options, named) in [
            (json!({"faults": [{"kill": {}}, {"kill": {}}], "overlap": 2}), "overlap"),
            (json!({"faults": two, "overlap": 3}), "overlap"),
            (json!({"faults": two, "budget": "none"}), "budget"),
            (json!({"faults": two, "quiet": {"every": "60s", "for": "20s"}}), "quiet"),
            (json!({"faults": [{"kill": {}}], "swarm": {"rates": false}}), "swarm"),
            (json!({"faults": two, "overlap": 2, "recovery": {"within": "11s"}}), "recovery"),
        ] {
            assert_eq!(keys(options.clone()), [named], "{options}");
        }
        for fits in [
            json!({"faults": two, "overlap": 2, "budget": "none", "swarm": true, "recovery": {"within": "10s"}}),
            json!({"faults": [{"disk": {"effect": "old-copy"}}], "budget": "none", "swarm": true}),
            json!({"faults": two, "quiet": {"every": "60s", "for": "21s"}}),
            json!({"faults": two, "recovery": {"within": "11s"}}),
        ] {
            assert_eq!(keys(fits.clone()), [""; 0], "{fits}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_key() {
        let said = |options: serde_json::Value| {
            let options: NemesisOptions = serde_json::from_value(options).expect("options");
            options.drawing_mistake().map(|(key, sentence)| format!("{key}: {sentence}")).unwrap_or_default()
        };
        let quiet =
            |every: &str, lasts: &str| json!({"faults": [{"kill": {}}], "quiet": {"every": every, "for": lasts}});
        assert_eq!(said(quiet("60s", "10s")), "");
        assert!(said(quiet("10s", "10s")).contains("shorter than `every`"));
        assert!(said(quiet("10s", "4s")).contains("6s are left between two stretches, and a fault of 6s needs 7s"));
        for (options, words) in [
            (json!({"faults": [{"kill": {}}], "overlap": 0}), "overlap: 0; 1 to 8"),
            (json!({"faults": [{"kill": {}}], "swarm": {"chance": 0}}), "chance: 0; 1 to 100"),
            (
                json!({"schedule": [{"id": "a", "at": "1s", "kill": {}}], "swarm": true}),
                "swarm: this shapes faults that are drawn",
            ),
            (json!({"schedule": [{"id": "a", "at": "1s", "kill": {}}], "overlap": 2}), "overlap: this shapes faults"),
        ] {
            assert!(said(options.clone()).contains(words), "{words}: {}", said(options));
        }
        assert_eq!(said(json!({"faults": [{"kill": {}}], "swarm": {"chance": 1}, "overlap": 8, "budget": "none"})), "");
    }
}
