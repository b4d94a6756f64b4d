//! [`Stories`]: what has been told about each fault, so that later events about it (a late heal, a node that healed by
//! itself) say the same nodes and links.
use super::Log;
use dsfuzz_checkers::history::{FaultEvent, FaultStep, Mark};
use dsfuzz_nemesis::{Harm, PlannedHarm};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The faults that began.
pub(super) struct Stories {
    log: Log,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: BTreeMap<u64, Begun>,
    self_heals: HashSet<(String, u64, u64)>,
}

/// A fault that began.
#[derive(Clone, Debug)]
struct Begun {
    event: FaultEvent,
    /// The nodes whose agents acted.
    acted: Vec<String>,
    healed: bool,
}

impl Stories {
    pub(super) fn new(log: Log) -> Stories {
        Stories { log, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the plan.
    pub(super) fn planned(&self, planned: &PlannedHarm) {
        let detail = vec![format!("at {} for {}", planned.at, planned.lasts)];
        let event = FaultEvent { what: planned.describe(), step: FaultStep::Planned, detail, ..bare(planned) };
        (self.log)(event);
    }

    /// The story of a planned harm.
    pub(super) fn of(&self, planned: &PlannedHarm) -> Story<'_> {
        Story { stories: self, event: FaultEvent { what: planned.describe(), ..bare(planned) }, acted: Vec::new() }
    }

    /// Tells that a node undid a fault by itself, once for each. Says whether it was new and of a fault of ours.
    pub(super) fn self_healed(&self, node: &str, fault: u64, key: u64, ended: (u64, u64), detail: String) -> bool {
        let mut state = self.state();
        let Some(begun) = state.begun.get(&fault) else { return false };
        let event = FaultEvent {
            step: FaultStep::SelfHealed,
            nodes: vec![node.to_owned()],
            detail: vec![detail],
            ended: Some(ended),
            ..begun.event.clone()
        };
        let new = state.self_heals.insert((node.to_owned(), fault, key));
        drop(state);
        if new {
            (self.log)(event);
        }
        new
    }

    /// Tells the heal of every fault that was still open and whose nodes are all among these.
    pub(super) fn all_healed_on(&self, nodes: &[String]) {
        let mut state = self.state();
        let mut events = Vec::new();
        for begun in state.begun.values_mut().filter(|begun| !begun.healed) {
            if begun.acted.iter().all(|node| nodes.contains(node)) {
                begun.healed = true;
                let detail = vec!["undone with everything else; each agent showed that it is gone".to_owned()];
                events.push(FaultEvent { step: FaultStep::Healed, detail, ..begun.event.clone() });
            }
        }
        drop(state);
        for event in events {
            (self.log)(event);
        }
    }
}

/// The events of one fault.
pub(super) struct Story<'a> {
    stories: &'a Stories,
    event: FaultEvent,
    acted: Vec<String>,
}

impl Story<'_> {
    /// The fault's id.
    pub(super) fn fault(&self) -> u64 {
        self.event.fault
    }

    /// The story goes on with the nodes' names.
    pub(super) fn resolved(mut self, harm: &Harm) -> Self {
        self.event.what.clone_from(&harm.what);
        self.event.nodes.clone_from(&harm.nodes);
        self.event.cut.clone_from(&harm.cut);
        self.acted = harm.acts.iter().map(|(node, _)| node.clone()).collect();
        self
    }

    /// Tells that the acts are about to be asked for, and how much later than planned where that is worth a word.
    pub(super) fn begin(&self, slip: Option<Duration>) -> Mark {
        let begun = Begun { event: self.event.clone(), acted: self.acted.clone(), healed: false };
        self.stories.state().begun.insert(self.event.fault, begun);
        let late = slip.map(|slip| format!("begun {} ms later than the timetable says", slip.as_millis()));
        self.tell(FaultStep::Begun, late.into_iter().collect())
    }

    /// Tells a step.
    pub(super) fn tell(&self, step: FaultStep, detail: Vec<String>) -> Mark {
        if step == FaultStep::Healed
            && let Some(begun) = self.stories.state().begun.get_mut(&self.event.fault)
        {
            begun.healed = true;
        }
        (self.stories.log)(FaultEvent { step, detail, ..self.event.clone() })
    }
}

fn bare(planned: &PlannedHarm) -> FaultEvent {
    FaultEvent {
        index: 0,
        time: 0,
        fault: planned.id,
        kind: planned.kind().into(),
        step: FaultStep::Planned,
        what: String::new(),
        nodes: Vec::new(),
        cut: Vec::new(),
        detail: Vec::new(),
        ended: None,
    }
}
