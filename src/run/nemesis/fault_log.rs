//! [`FaultLog`]: the events of one fault in the history. [`FaultLogs`] keeps them, so that later events about a fault (a late
//! heal, a self-heal) name the same nodes and links.
use super::{EventSink, NodeHeal};
use dsfuzz_checkers::history::{FaultEvent, FaultProblem, FaultStep, Mark};
use dsfuzz_nemesis::{PlannedFault, ResolvedFault, ScheduledFault, schedule};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The logs of all faults of a run.
pub(super) struct FaultLogs {
    sink: EventSink,
    state: Mutex<FaultLogState>,
    steps: watch::Sender<BTreeSet<(u64, FaultStep)>>,
}

#[derive(Default)]
struct FaultLogState {
    begun: BTreeMap<u64, Begun>,
    self_heals: HashSet<(String, u64, u64)>,
}

/// A fault that began.
#[derive(Clone, Debug)]
struct Begun {
    event: FaultEvent,
    /// The nodes with an injection.
    injected: Vec<String>,
    healed: bool,
    /// It was recorded why it is not healed.
    unhealed: bool,
}

impl FaultLogs {
    pub(super) fn new(sink: EventSink) -> FaultLogs {
        FaultLogs { sink, state: Mutex::default(), steps: watch::Sender::default() }
    }

    /// The steps that faults have reached.
    pub(super) fn steps(&self) -> watch::Receiver<BTreeSet<(u64, FaultStep)>> {
        self.steps.subscribe()
    }

    /// The log of a fault that has begun.
    pub(super) fn begun(&self, fault: u64) -> Option<FaultLog<'_>> {
        let Begun { event, injected, .. } = self.state().begun.get(&fault)?.clone();
        Some(FaultLog { logs: self, event, injected })
    }

    fn state(&self) -> MutexGuard<'_, FaultLogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the plan.
    pub(super) fn planned(&self, planned: &PlannedFault, nodes: &[String]) {
        let begin = match planned.trigger() {
            Some(trigger) => format!("{} after {trigger}", planned.at),
            None => format!("at {}", planned.at),
        };
        let detail = vec![format!("{begin} for {}", planned.lasts)];
        let entry = Some(Box::new(schedule::planned(planned, nodes).compact()));
        let event =
            FaultEvent { what: planned.describe(), step: FaultStep::Planned, detail, entry, ..event_of(planned) };
        (self.sink)(event);
    }

    /// The log of a planned fault.
    pub(super) fn of(&self, planned: &PlannedFault) -> FaultLog<'_> {
        FaultLog {
            logs: self,
            event: FaultEvent { what: planned.describe(), ..event_of(planned) },
            injected: Vec::new(),
        }
    }

    /// Records a self-heal of a node, once for each node and fault. Returns whether it was new and of this run.
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
            (self.sink)(event);
        }
        new
    }

    /// Records the heal of every open fault whose nodes are all among these.
    pub(super) fn all_healed_on(&self, nodes: &[String]) {
        let mut state = self.state();
        let mut events = Vec::new();
        for begun in state.begun.values_mut().filter(|begun| !begun.healed) {
            if begun.injected.iter().all(|node| nodes.contains(node)) {
                begun.healed = true;
                let detail = vec!["undone with everything else; each agent showed that it is gone".to_owned()];
                events.push(FaultEvent { step: FaultStep::Healed, detail, ..begun.event.clone() });
            }
        }
        drop(state);
        for event in events {
            (self.sink)(event);
        }
    }

    /// Records of every open fault with a node among these why it is not healed, unless that is recorded.
    pub(super) fn all_unhealed_on<'h>(&self, heals: impl Iterator<Item = &'h NodeHeal>) {
        let heals: Vec<&NodeHeal> = heals.collect();
        let mut state = self.state();
        let mut events = Vec::new();
        for begun in state.begun.values_mut().filter(|begun| !begun.healed && !begun.unhealed) {
            let of = heals.iter().filter(|heal| begun.injected.contains(&heal.node));
            let detail: Vec<String> = of.flat_map(|heal| heal.detail.iter().cloned()).collect();
            if !detail.is_empty() {
                begun.unhealed = true;
                events.push(FaultEvent { step: FaultStep::Unhealed, detail, ..begun.event.clone() });
            }
        }
        drop(state);
        for event in events {
            (self.sink)(event);
        }
    }
}

/// The events of one fault.
pub(super) struct FaultLog<'a> {
    logs: &'a FaultLogs,
    event: FaultEvent,
    injected: Vec<String>,
}

impl FaultLog<'_> {
    /// The fault's id in the schedule, else its number.
    pub(super) fn name(&self) -> String {
        if self.event.name.is_empty() { self.event.fault.to_string() } else { self.event.name.clone() }
    }

    /// The fault's id.
    pub(super) fn id(&self) -> u64 {
        self.event.fault
    }

    /// The log with the nodes' names.
    pub(super) fn resolved(mut self, fault: &ResolvedFault) -> Self {
        self.event.what.clone_from(&fault.what);
        self.event.nodes.clone_from(&fault.nodes);
        self.event.cut.clone_from(&fault.cut);
        self.injected = fault.injections.iter().map(|(node, _)| node.clone()).collect();
        self
    }

    /// Records the nodes, and the fault as an entry of a schedule that is bound to them.
    pub(super) fn bound(&self, entry: &ScheduledFault) {
        let entry = Some(Box::new(entry.compact()));
        (self.logs.sink)(FaultEvent { step: FaultStep::Resolved, entry, ..self.event.clone() });
    }

    /// Records that the injections are about to be requested, and a delay behind the timetable.
    pub(super) fn begin(&self, slip: Option<Duration>) -> Mark {
        let begun =
            Begun { event: self.event.clone(), injected: self.injected.clone(), healed: false, unhealed: false };
        self.logs.state().begun.insert(self.event.fault, begun);
        let late = slip.map(|slip| format!("begun {} ms later than the timetable says", slip.as_millis()));
        self.record(FaultStep::Begun, late.into_iter().collect())
    }

    /// Records a step.
    pub(super) fn record(&self, step: FaultStep, detail: Vec<String>) -> Mark {
        self.record_problem(step, detail, None)
    }

    /// Records a step with the cause for which the fault is not in force, where that is known.
    pub(super) fn record_problem(&self, step: FaultStep, detail: Vec<String>, problem: Option<FaultProblem>) -> Mark {
        if let Some(begun) = self.logs.state().begun.get_mut(&self.event.fault) {
            begun.healed |= step == FaultStep::Healed;
            begun.unhealed |= step == FaultStep::Unhealed;
        }
        let mark = (self.logs.sink)(FaultEvent { step, detail, problem, ..self.event.clone() });
        self.logs.steps.send_if_modified(|steps| steps.insert((self.event.fault, step)));
        mark
    }
}

/// An event of a planned fault, without words and nodes.
fn event_of(planned: &PlannedFault) -> FaultEvent {
    FaultEvent {
        index: 0,
        time: 0,
        fault: planned.id,
        kind: planned.counted_as().into(),
        step: FaultStep::Planned,
        what: String::new(),
        nodes: Vec::new(),
        cut: Vec::new(),
        detail: Vec::new(),
        ended: None,
        problem: None,
        name: planned.entry.as_ref().map(|entry| entry.name.clone()).unwrap_or_default(),
        entry: None,
        damages: planned.fault.damages_files(),
    }
}
