//! Clock: skews the wall clock on some nodes: one jump, back and forth (strobe), too fast or too slow (drift), or standing still
//! (freeze).
//!
//! On a node that owns its kernel, jump and drift change the real clock. On other nodes, and for strobe and freeze on all nodes,
//! only the target's processes see the skew (in their vDSO). The resolution of the fault decides between the two.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, NodeView, ResolvedFault, Unresolved};
use crate::options::{FaultDefinition, FaultSource, Symbolic, SymbolicFault};
use crate::protocol::{Injection, ability};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// What holds for every clock fault.
pub const FACTS: FaultFacts = FaultFacts {
    name: "clock",
    doc: "Skews the wall clock on some nodes: one jump forward or back, back and forth (strobe), too fast or slow (drift), or \
          standing still (freeze).",
    needs: NodeNeeds { shared_kernel: &[ability::VDSO_CLOCK], own_kernel: &[ability::ROOT, ability::STEP_CLOCK] },
    verified_by: VerifiedBy::State,
    leaves: Leaves::AllNodes,
    // A wrong clock need not move the leadership.
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: true,
    colour: ColourFamily::Clocks,
};

/// Options of the clock fault. Without `jump`, `strobe`, `drift` and `freeze`: a jump of one minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClockOptions {
    /// Size of the jump, or several sizes to draw from; the direction is drawn.
    pub jump: Option<Choice<Span>>,
    /// Flip back and forth.
    pub strobe: Option<Strobe>,
    /// Run too fast or too slow by this rate (`5%`, `200ppm`), or one of several rates; the direction is drawn.
    pub drift: Option<Choice<Rate>>,
    /// Stand still.
    pub freeze: bool,
    /// Each node draws its own kind, direction and amount (a tenth of the size or rate to the whole). Else all nodes of a fault
    /// have the same skew.
    pub per_node: bool,
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for ClockOptions {
    fn default() -> ClockOptions {
        ClockOptions {
            jump: None,
            strobe: None,
            drift: None,
            freeze: false,
            per_node: false,
            nodes: Choice::one(Aim::Minority),
            lasts: None,
        }
    }
}

/// The clock flips between the true time and a shifted one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Strobe {
    /// Size of the shift; the direction is drawn.
    pub by: Span,
    /// How often it flips.
    pub period: Span,
}

impl Default for Strobe {
    fn default() -> Strobe {
        Strobe { by: Span::seconds(10), period: Span::millis(50) }
    }
}

const JUMP_DEFAULT: Span = Span::seconds(60);

impl FaultDefinition for ClockOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn aims(&self) -> Vec<Aim> {
        self.nodes.items().to_vec()
    }

    fn nodes_mut(&mut self) -> Option<&mut Choice<Aim>> {
        Some(&mut self.nodes)
    }

    fn silences_all(&self) -> bool {
        // Nodes serve with wrong clocks too.
        false
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        let jumps = self.jump.as_ref().map(|jump| jump.items().to_vec()).unwrap_or_default();
        let strobe = self.strobe.as_ref().map(|strobe| ("strobe: by", strobe.by));
        let sizes = jumps.iter().map(|by| ("jump", *by)).chain(strobe);
        if let Some((option, by)) = sizes.into_iter().find(|(_, by)| by.0.as_millis() > MILLIS_MAX) {
            return Err(format!("{option}: {by} is more than a hundred years"));
        }
        let mut skews: Vec<ClockSkew> = jumps.iter().map(|by| ClockSkew::Jump { by_ms: millis(*by) }).collect();
        if let Some(strobe) = &self.strobe {
            let period_ms = strobe.period.as_millis();
            if period_ms == 0 {
                return Err("strobe: a period below 1ms".to_owned());
            }
            skews.push(ClockSkew::Strobe { by_ms: millis(strobe.by), period_ms });
        }
        let rates = self.drift.as_ref().map(|drift| drift.items().to_vec()).unwrap_or_default();
        if rates.iter().any(|rate| rate.ppm() >= STANDSTILL_PPM) {
            return Err(
                "drift: at most 99.9999%; a clock that is slow by 100% stands still: write `freeze: true`".to_owned()
            );
        }
        skews.extend(rates.iter().map(|rate| ClockSkew::Drift { rate_ppm: rate.ppm() }));
        if self.freeze {
            skews.push(ClockSkew::Freeze);
        }
        if skews.is_empty() {
            skews.push(ClockSkew::Jump { by_ms: millis(JUMP_DEFAULT) });
        }
        if skews.iter().any(|skew| skew.amount() == Some(0)) {
            return Err("a clock skew of less than 1ms or 1ppm would change nothing".to_owned());
        }
        let aims = Bag::of(self.nodes.items().to_vec());
        Ok(Box::new(ClockSource { skews: Bag::of(skews), aims, nodes, per_node: self.per_node }))
    }
}

/// A hundred years: offsets in nanoseconds must fit 64 bits (292 years) on the wire.
const MILLIS_MAX: u128 = 100 * 365 * 86_400_000;

fn millis(span: Span) -> i64 {
    i64::try_from(span.0.as_millis().min(MILLIS_MAX)).unwrap_or(i64::MAX)
}

/// The rate at which a slow clock stands still.
const STANDSTILL_PPM: i64 = 1_000_000;

struct ClockSource {
    skews: Bag<ClockSkew>,
    aims: Bag<Aim>,
    nodes: usize,
    per_node: bool,
}

impl ClockSource {
    fn skew(&mut self, rng: &mut Rng) -> ClockSkew {
        let skew = self.skews.draw(rng).unwrap_or(ClockSkew::Jump { by_ms: millis(JUMP_DEFAULT) });
        if rng.below(2) == 0 { skew.backwards() } else { skew }
    }
}

impl FaultSource for ClockSource {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let skew = self.skew(rng);
        let aim = self.aims.draw(rng).unwrap_or(Aim::Minority);
        let nodes = aim.draw(rng, self.nodes);
        let own = |source: &mut ClockSource, rng: &mut Rng| source.skew(rng).hundredths(rng.between(10, 100));
        let by_node = match self.per_node {
            true => (0..self.nodes).map(|_| own(self, rng)).collect(),
            false => Vec::new(),
        };
        SymbolicFault::Clock(ClockFault { skew, by_node, nodes })
    }
}

/// The skew of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockSkew {
    /// A constant offset.
    Jump {
        /// Milliseconds, negative for the past.
        by_ms: i64,
    },
    /// An offset that flips on and off.
    Strobe {
        /// Milliseconds, negative for the past.
        by_ms: i64,
        /// How often it flips.
        period_ms: u64,
    },
    /// A wrong rate.
    Drift {
        /// Parts per million, negative for a slow clock.
        rate_ppm: i64,
    },
    /// A standstill.
    Freeze,
}

impl ClockSkew {
    /// Milliseconds or parts per million; none for a standstill.
    fn amount(self) -> Option<i64> {
        match self {
            ClockSkew::Jump { by_ms } | ClockSkew::Strobe { by_ms, .. } => Some(by_ms),
            ClockSkew::Drift { rate_ppm } => Some(rate_ppm),
            ClockSkew::Freeze => None,
        }
    }

    /// The same with another amount.
    fn with(self, change: impl Fn(i64) -> i64) -> ClockSkew {
        match self {
            ClockSkew::Jump { by_ms } => ClockSkew::Jump { by_ms: change(by_ms) },
            ClockSkew::Strobe { by_ms, period_ms } => ClockSkew::Strobe { by_ms: change(by_ms), period_ms },
            ClockSkew::Drift { rate_ppm } => ClockSkew::Drift { rate_ppm: change(rate_ppm) },
            ClockSkew::Freeze => ClockSkew::Freeze,
        }
    }

    /// This number of hundredths of its amount, but never nothing.
    fn hundredths(self, count: u64) -> ClockSkew {
        let count = count.cast_signed();
        self.with(|amount| match (amount / 100).saturating_mul(count) + amount % 100 * count / 100 {
            0 => amount.signum(),
            part => part,
        })
    }

    /// The reason why no clock can have it.
    fn mistake(self) -> Option<String> {
        let far = |by_ms: i64| u128::from(by_ms.unsigned_abs()) > MILLIS_MAX;
        match self {
            ClockSkew::Jump { by_ms } | ClockSkew::Strobe { by_ms, .. } if far(by_ms) => {
                Some(format!("{by_ms} ms is more than a hundred years"))
            }
            ClockSkew::Strobe { period_ms: 0, .. } => Some("strobe: a period below 1ms".to_owned()),
            ClockSkew::Drift { rate_ppm } if rate_ppm.unsigned_abs() >= STANDSTILL_PPM.unsigned_abs() => {
                Some(format!("drift: {rate_ppm} ppm; at most 99.9999%"))
            }
            _ => None,
        }
    }

    fn backwards(self) -> ClockSkew {
        self.with(|amount| -amount)
    }

    fn words(self) -> String {
        let amount = self.amount().unwrap_or_default();
        let sign = if amount < 0 { '-' } else { '+' };
        let by = Span::millis(amount.unsigned_abs());
        match self {
            ClockSkew::Jump { .. } => format!("jump {sign}{by}"),
            ClockSkew::Strobe { period_ms, .. } => format!("strobe {sign}{by} every {}", Span::millis(period_ms)),
            ClockSkew::Drift { rate_ppm } => format!("drift {sign}{}", Rate::of_ppm(rate_ppm.unsigned_abs())),
            ClockSkew::Freeze => "freeze".to_owned(),
        }
    }
}

/// One clock fault with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockFault {
    /// The skew of every node without one of its own.
    pub skew: ClockSkew,
    /// The skew of each node, in the plan's order, if each has its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_node: Vec<ClockSkew>,
    /// The nodes.
    pub nodes: PlannedAim,
}

impl ClockFault {
    fn skew_at(&self, position: usize) -> ClockSkew {
        self.by_node.get(position).copied().unwrap_or(self.skew)
    }

    fn injection(skew: ClockSkew, node: &NodeView, control_boot_id: &str) -> Injection {
        let (services, control_boot_id) = (node.services.clone(), control_boot_id.to_owned());
        let ns = |by_ms: i64| by_ms * 1_000_000;
        match skew {
            ClockSkew::Jump { by_ms } if node.own_kernel => {
                Injection::StepClock { offset_ns: ns(by_ms), control_boot_id, own_kernel: true }
            }
            ClockSkew::Drift { rate_ppm } if node.own_kernel => {
                Injection::SlewClock { rate_ppm, control_boot_id, own_kernel: true }
            }
            ClockSkew::Jump { by_ms } => Injection::ShiftClock { services, offset_ns: ns(by_ms) },
            ClockSkew::Strobe { by_ms, period_ms } => {
                Injection::StrobeClock { services, offset_ns: ns(by_ms), period_ms }
            }
            ClockSkew::Drift { rate_ppm } => Injection::DriftClock { services, rate_ppm },
            ClockSkew::Freeze => Injection::FreezeClock { services },
        }
    }
}

impl Symbolic for ClockFault {
    fn describe(&self) -> String {
        let own = |(position, skew): (usize, &ClockSkew)| format!("#{} {}", position + 1, skew.words());
        let each: Vec<String> = self.by_node.iter().enumerate().map(own).collect();
        let skew = if each.is_empty() { self.skew.words() } else { format!("({})", each.join(", ")) };
        format!("clock {skew} {}", self.nodes.words())
    }

    fn aims(&self) -> Vec<&PlannedAim> {
        vec![&self.nodes]
    }

    fn mistakes(&self, _: &ResolvedFault, _: Span) -> Vec<String> {
        std::iter::once(&self.skew).chain(&self.by_node).filter_map(|skew| skew.mistake()).collect()
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        let skew_of = |node: &NodeView| {
            let position = view.nodes.iter().position(|other| other.name == node.name);
            position.map_or(self.skew, |position| self.skew_at(position))
        };
        let injection = |node: &NodeView| ClockFault::injection(skew_of(node), node, &view.control_boot_id);
        let how = match self.by_node.is_empty() {
            true => self.skew.words(),
            false => {
                let own = |position: &usize| {
                    let node = &view.nodes[*position];
                    format!("{} {}", node.name, skew_of(node).words())
                };
                let each: Vec<String> = self.nodes.bind(view)?.positions.iter().map(own).collect();
                format!("({})", each.join(", "))
            }
        };
        self.nodes.resolve(view, FACTS.name, &format!("{how} "), injection)
    }
}

/// The rate of a clock that is too fast or too slow, as people write it: `5%`, `0.25%`, `200ppm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    /// From parts per million.
    pub const fn of_ppm(ppm: u64) -> Rate {
        Rate(ppm)
    }

    /// In parts per million.
    pub fn ppm(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PPM_OF_PERCENT: u64 = 10_000;
        if self.0 >= PPM_OF_PERCENT / 10 && self.0.is_multiple_of(PPM_OF_PERCENT / 100) {
            let (whole, hundredths) = (self.0 / PPM_OF_PERCENT, self.0 % PPM_OF_PERCENT / 100);
            let part = format!(".{hundredths:02}");
            return write!(f, "{whole}{}%", part.trim_end_matches('0').trim_end_matches('.'));
        }
        write!(f, "{}ppm", self.0)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || format!("not a rate: {text}; write it as 5%, 0.25% or 200ppm");
        let (number, decimals) = match (text.strip_suffix('%'), text.strip_suffix("ppm")) {
            (Some(number), _) => (number, 4),
            (None, Some(number)) => (number, 0),
            (None, None) => return Err(wrong()),
        };
        let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || part.len() > decimals || !digits(whole) || !digits(part) {
            return Err(wrong());
        }
        format!("{whole}{part:0<decimals$}").parse().map(Rate).map_err(|_| wrong())
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A rate, such as 5%, 0.25% or 200ppm.",
            "type": "string",
            "pattern": "^[0-9]+(\\.[0-9]{1,4})?(%|ppm)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(own_kernel: bool) -> ClusterView {
        let mut view = ClusterView { control_boot_id: "boot".into(), ..ClusterView::of(3, &["n2"]) };
        for node in &mut view.nodes {
            node.services.push("proxy".to_owned());
            node.own_kernel = own_kernel;
        }
        view
    }

    fn drawn(options: &ClockOptions, seed: u64) -> SymbolicFault {
        options.draws(3).expect("draws").draw(&mut Rng::new(seed, "clock", 0))
    }

    #[test]
    fn jumps_go_both_ways_and_take_every_size() {
        let jump = Choice::several(vec![Span::seconds(1), Span::seconds(60)]);
        let options = ClockOptions { jump, nodes: Choice::one(Aim::Leader), ..ClockOptions::default() };
        let mut offsets = std::collections::BTreeSet::new();
        for seed in 0..60 {
            let fault = drawn(&options, seed).resolve(&view(false)).expect("resolved");
            assert_eq!(fault.nodes, ["n2"]);
            match &fault.injections[..] {
                [(node, Injection::ShiftClock { services, offset_ns })] if node == "n2" && services.len() == 2 => {
                    offsets.insert(offset_ns / 1_000_000_000);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(Vec::from_iter(offsets), [-60, -1, 1, 60]);
    }

    #[test]
    fn only_a_node_that_owns_its_kernel_has_its_real_clock_stepped() {
        let fault = drawn(&ClockOptions::default(), 1).resolve(&view(true)).expect("resolved");
        assert!(fault.injections.iter().all(|(_, injection)| matches!(injection,
            Injection::StepClock { control_boot_id, own_kernel: true, .. } if control_boot_id == "boot")));
        let strobe = ClockOptions { strobe: Some(Strobe::default()), ..ClockOptions::default() };
        let fault = drawn(&strobe, 1).resolve(&view(true)).expect("resolved");
        assert!(
            fault
                .injections
                .iter()
                .all(|(_, injection)| matches!(injection, Injection::StrobeClock { period_ms: 50, .. }))
        );
        assert!(fault.what.starts_with("clock strobe ") && fault.what.contains(" every 50ms "), "{}", fault.what);
    }

    #[test]
    fn drift_and_freeze_reach_processes_or_the_real_clock() {
        let drift = Choice::several(vec![Rate::of_ppm(50_000), Rate::of_ppm(200)]);
        let options = ClockOptions { drift, freeze: true, nodes: Choice::one(Aim::One), ..ClockOptions::default() };
        let mut words = std::collections::BTreeSet::new();
        for seed in 0..60 {
            let fault = drawn(&options, seed);
            for own_kernel in [false, true] {
                let fault = fault.resolve(&view(own_kernel)).expect("resolved");
                words.insert(fault.what.split(" one: ").next().expect("the skew").to_owned());
                let fits = match &fault.injections[0].1 {
                    Injection::SlewClock { own_kernel: true, .. } => own_kernel,
                    Injection::DriftClock { services, .. } => !own_kernel && services.len() == 2,
                    Injection::FreezeClock { .. } => true,
                    _ => false,
                };
                assert!(fits, "{fault:?}");
            }
        }
        let all = ["clock drift +200ppm", "clock drift +5%", "clock drift -200ppm", "clock drift -5%", "clock freeze"];
        assert_eq!(Vec::from_iter(words), all);
    }

    #[test]
    fn nodes_of_one_fault_have_their_own_amounts_if_the_plan_says_so() {
        let jump = Some(Choice::one(Span::seconds(100)));
        let options = ClockOptions { jump, per_node: true, nodes: Choice::one(Aim::All), ..ClockOptions::default() };
        let mut apart = 0;
        for seed in 0..20 {
            let symbolic = drawn(&options, seed);
            assert_eq!(symbolic, drawn(&options, seed), "the seed decides");
            let fault = symbolic.resolve(&view(false)).expect("resolved");
            let offset = |(_, injection): &(String, Injection)| match injection {
                Injection::ShiftClock { offset_ns, .. } => *offset_ns,
                other => panic!("{other:?}"),
            };
            let offsets: std::collections::BTreeSet<i64> = fault.injections.iter().map(offset).collect();
            let seconds = |offset: &i64| offset.unsigned_abs() / 1_000_000_000;
            assert!(offsets.iter().all(|offset| (10..=100).contains(&seconds(offset))), "{offsets:?}");
            apart += usize::from(offsets.len() == 3);
            assert!(fault.what.starts_with("clock (n1 jump ") && fault.what.contains(", n3 jump "), "{}", fault.what);
            assert!(symbolic.describe().starts_with("clock (#1 jump "), "{}", symbolic.describe());
        }
        assert!(apart > 15, "{apart} of 20");
    }

    #[test]
    fn rates_are_read_and_written_as_people_write_them() {
        for (text, ppm) in [("5%", 50_000), ("0.25%", 2_500), ("200ppm", 200), ("12.5%", 125_000), ("0.0001%", 1)] {
            let rate: Rate = text.parse().expect("a rate");
            assert_eq!(rate, Rate::of_ppm(ppm));
            assert_eq!(rate.to_string().parse(), Ok(rate), "{rate}");
        }
        assert_eq!(Rate::of_ppm(50_000).to_string(), "5%");
        assert_eq!(Rate::of_ppm(123).to_string(), "123ppm");
        for wrong in ["5", "%", "-5%", "5.%1", "0.00001%", "1.5ppm", "5 %%"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn lies_of_nothing_are_refused() {
        for rate in [0, 1_000_000, 2_000_000] {
            let drift = Some(Choice::one(Rate::of_ppm(rate)));
            assert!(ClockOptions { drift, ..ClockOptions::default() }.draws(3).is_err(), "{rate}");
        }
        let nothing = ClockOptions { jump: Some(Choice::one(Span::seconds(0))), ..ClockOptions::default() };
        assert!(nothing.draws(3).is_err());
        let still = Strobe { period: Span::seconds(0), ..Strobe::default() };
        assert!(ClockOptions { strobe: Some(still), ..ClockOptions::default() }.draws(3).is_err());
    }
}
