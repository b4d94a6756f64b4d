//! Registers with repeated values, of any length: a narrow pass forward, made wider where it fails.
//!
//! Keeps the few most promising configurations. Where none can go on it goes back, further and with more of them each
//! time, at last to the beginning with all. Before that it asks whether the stretch alone, begun with the largest set
//! there can be, contradicts itself: then no order exists. A set that was cut proves only; the
//! largest set refutes only.
use super::configuration::Configuration;
use super::forward::{Class, Machine};
use super::limits::{EngineAnswer, Limits, Stop};
use super::timeline::{Event, Timeline};
use super::witness::Paths;

/// The width and the way back of a first pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeamSettings {
    /// Configurations kept.
    pub(crate) width: usize,
    /// Events gone back.
    pub(crate) back: usize,
    /// Events between two places to which it can go back.
    pub(crate) spacing: usize,
}

impl BeamSettings {
    pub(crate) const USUAL: BeamSettings = BeamSettings { width: 8, back: 128, spacing: 64 };
}

/// Width and way back grow by two to the power of this each time.
const GROWTH: u32 = 2;
/// Configurations of the largest set that a stretch is begun with, and steps at first to refute it.
const LARGEST: usize = 4096;
const REFUTE_STEPS: u64 = 10_000;
/// After this many steps it refutes by the exact set only. Where it stops depends on the operations alone, so what it says
/// is the same in every run.
const STRETCH_STEPS: u64 = 20_000_000;

struct Place<const N: usize> {
    at: usize,
    configurations: Vec<Configuration<N>>,
    classes: Vec<Class>,
    cut: bool,
}

/// Goes on until there is an answer or the turn is over.
pub(crate) trait Pass: Send {
    /// One turn. After [`Stop::Quota`] there may be another.
    fn run(&mut self, limits: &mut Limits<'_>) -> Result<EngineAnswer, Stop>;

    /// The steps that led to the end, if they were asked for: for each the event before which it was taken and the
    /// position of its operation.
    fn steps(&self) -> Option<Vec<(u32, u32)>>;
}

/// A pass over these events, at the beginning. With `witness` it remembers how it came to the end.
pub(crate) fn beam<'t>(time: &'t Timeline<'t>, witness: bool, settings: BeamSettings) -> Box<dyn Pass + 't> {
    match time.kinds {
        0 => Box::new(Beam::<0>::new(time, witness, settings)),
        _ => Box::new(Beam::<14>::new(time, witness, settings)),
    }
}

/// Whether this stretch of events has no order after any state.
#[cfg(feature = "oracles")]
pub(crate) fn refutes(time: &Timeline<'_>, from: usize, to: usize, limits: &mut Limits<'_>) -> bool {
    time.fits
        && Beam::<0>::new(time, false, BeamSettings::USUAL).refutes(from, to, limits).is_ok_and(|index| index.is_some())
}

/// A pass that can be continued; a configuration counts up to `N` classes of indeterminate operations.
struct Beam<'t, const N: usize> {
    machine: Machine<'t, N>,
    places: Vec<Place<N>>,
    places_bytes: u64,
    level: u32,
    /// The furthest event at which it failed.
    trouble: usize,
    settings: BeamSettings,
    stretch: Option<Box<Machine<'t, 0>>>,
    stretch_steps: u64,
    paths: Option<Paths>,
}

impl<'t, const N: usize> Beam<'t, N> {
    fn new(time: &'t Timeline<'t>, witness: bool, settings: BeamSettings) -> Beam<'t, N> {
        Beam {
            machine: Machine::new(time, false),
            places: Vec::new(),
            places_bytes: 0,
            level: 0,
            trouble: 0,
            settings,
            stretch: None,
            stretch_steps: 0,
            paths: witness.then(Paths::default),
        }
    }

    fn bytes(&self) -> u64 {
        let paths = self.paths.as_ref().map_or(0, Paths::bytes);
        let stretch = self.stretch.as_ref().map_or(0, |machine| machine.bytes());
        self.machine.time.bytes() + self.machine.bytes() + self.places_bytes + stretch + paths
    }

    fn remember(&mut self) {
        let machine = &self.machine;
        let place = Place {
            at: machine.at,
            configurations: machine.configurations.clone(),
            classes: machine.classes().to_vec(),
            cut: machine.cut,
        };
        self.places_bytes += place.bytes();
        self.places.push(place);
        if self.places.len() > 256 {
            self.thin();
        }
        if let Some(paths) = &mut self.paths
            && paths.crowded()
        {
            let kept = self.places.iter_mut().flat_map(|place| place.configurations.iter_mut());
            paths.keep(kept.chain(self.machine.configurations.iter_mut()).map(|one| &mut one.path));
        }
    }

    /// Far back, places are rarer.
    fn thin(&mut self) {
        let last = self.places.len() - 128;
        let mut number = 0;
        self.places.retain(|_| {
            number += 1;
            number > last || number % 2 == 1
        });
        self.places_bytes = self.places.iter().map(Place::bytes).sum();
    }

    /// No configuration goes on. Goes back, unless that settles it.
    fn failed(&mut self, limits: &mut Limits<'_>) -> Result<Option<EngineAnswer>, Stop> {
        let at = self.machine.at;
        if !self.machine.cut {
            return Ok(Some(EngineAnswer::Refuted(self.machine.time.index(at))));
        }
        if self.trouble > 0 || self.level > 0 {
            self.level += 1;
        }
        self.trouble = self.trouble.max(at);
        let back = self.settings.back.checked_shl(GROWTH * self.level).unwrap_or(usize::MAX);
        if self.level > 0 && self.stretch_steps < STRETCH_STEPS {
            let refuted = self.contradicts_itself(self.trouble.saturating_sub(back), limits)?;
            if let Some(index) = refuted {
                return Ok(Some(EngineAnswer::Refuted(index)));
            }
        }
        let to = self.trouble.saturating_sub(back);
        while self.places.len() > 1 && self.places.last().is_some_and(|place| place.at > to) {
            if let Some(place) = self.places.pop() {
                self.places_bytes -= place.bytes();
            }
        }
        if let Some(place) = self.places.last() {
            self.machine.wind(place.at);
            self.machine.restore(&place.configurations, &place.classes, place.cut);
        }
        Ok(None)
    }

    /// [`Beam::contradicts_itself`] for a stretch alone.
    #[cfg(feature = "oracles")]
    fn refutes(&mut self, from: usize, to: usize, limits: &mut Limits<'_>) -> Result<Option<u64>, Stop> {
        self.trouble = to;
        self.contradicts_itself(from, limits)
    }

    /// Whether the events from here to the trouble have no order after any state: the index that shows it.
    fn contradicts_itself(&mut self, from: usize, limits: &mut Limits<'_>) -> Result<Option<u64>, Stop> {
        let time = self.machine.time;
        let mut machine = match self.stretch.take() {
            Some(machine) => machine,
            None => Box::new(Machine::new(time, true)),
        };
        machine.wind(from);
        let mut answer = Ok(None);
        if machine.assume_anything(LARGEST) {
            let held = self.bytes() + machine.bytes();
            let enough = self.stretch_steps + (REFUTE_STEPS << (GROWTH * self.level.min(12)));
            while machine.at <= self.trouble && self.stretch_steps < enough {
                self.stretch_steps += 1 + machine.configurations.len() as u64;
                match machine.pass(usize::MAX, false, limits, held, &mut |_, _, _| 0) {
                    Ok(true) => {}
                    Ok(false) => {
                        answer = Ok(Some(time.index(machine.at)));
                        break;
                    }
                    Err(stop) => {
                        answer = Err(stop);
                        break;
                    }
                }
            }
        }
        self.stretch = Some(machine);
        answer
    }
}

impl<const N: usize> Pass for Beam<'_, N> {
    fn run(&mut self, limits: &mut Limits<'_>) -> Result<EngineAnswer, Stop> {
        let time = self.machine.time;
        if !time.fits {
            return Err(Stop::Width);
        }
        while self.machine.at < time.events.len() {
            let at = self.machine.at;
            if at.is_multiple_of(self.settings.spacing) && self.places.last().is_none_or(|place| place.at < at) {
                self.remember();
            }
            if self.level > 0 && at > self.trouble + self.settings.back {
                self.level = 0;
            }
            let width = if self.level > 12 { usize::MAX } else { self.settings.width << (GROWTH * self.level) };
            let held = self.bytes();
            let mut record = |before, event, position| match &mut self.paths {
                Some(paths) => paths.add(before, event, position),
                None => 0,
            };
            let returned = matches!(time.events[at], Event::Return(_));
            if self.machine.pass(width, self.level == 0, limits, held, &mut record)? {
                if returned {
                    limits.reached(time.index(at));
                }
                if at.is_multiple_of(1024) {
                    limits.passed(at as u64 / 2);
                }
            } else if let Some(answer) = self.failed(limits)? {
                return Ok(answer);
            }
        }
        Ok(EngineAnswer::Linearizable(None))
    }

    fn steps(&self) -> Option<Vec<(u32, u32)>> {
        let paths = self.paths.as_ref()?;
        self.machine.configurations.first().map(|one| paths.steps(one.path))
    }
}

impl<const N: usize> Place<N> {
    fn bytes(&self) -> u64 {
        let classes = self.classes.capacity() * size_of::<Class>();
        (classes + self.configurations.capacity() * size_of::<Configuration<N>>() + size_of::<Self>()) as u64
    }
}
