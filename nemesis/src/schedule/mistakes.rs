//! Mistakes of a schedule: entries that do not fit each other, the nodes or the load, so that a fault could never come.
use super::{Begin, ScheduledFault, ScheduledKind, Trigger, TriggerStep};
use crate::aim::{BoundRole, SameAs, aim_words, unknown_node};
use crate::mistake::{FaultMistake, PlacedFault};
use crate::options::{FaultOptions, NemesisOptions};
use crate::partition::EmptySide;
use dsfuzz_span::Span;
use std::collections::BTreeSet;
use std::time::Duration;

impl NemesisOptions {
    /// The mistakes of these options for nodes of these names: names that no node has, nodes that leave nothing to a fault, and entries
    /// of a schedule that do not fit each other.
    pub fn mistakes(&self, nodes: &[String]) -> Vec<FaultMistake> {
        let mut mistakes = self.entry_mistakes(nodes);
        let ids: Vec<&str> = self.schedule.iter().map(|entry| entry.id.as_str()).collect();
        for PlacedFault { place, options, .. } in self.placed() {
            for name in options.named_nodes().into_iter().filter(|name| !nodes.contains(name)) {
                let sentence = format!("{}{}", unknown_node(&name, nodes), meant_same_as(&name, &ids));
                let known = nodes.iter().cloned().chain(aim_words().map(str::to_owned));
                mistakes.push(place.mistake(sentence).unknown(&name, known));
            }
            let aims = options.aims().into_iter().filter_map(|aim| aim.mistake(nodes.len()));
            mistakes.extend(aims.map(|sentence| place.mistake(sentence)));
            if let Some(EmptySide::Always(sentence)) = emptied(options, nodes) {
                mistakes.push(place.mistake(sentence));
            }
            if self.schedule.is_empty() {
                mistakes.extend(
                    options.named_faults().into_iter().map(|id| {
                        place.mistake(format!("same_as: {id} is a fault of a schedule, and these are drawn"))
                    }),
                );
            }
        }
        mistakes
    }

    /// What may keep faults from the nodes that they are aimed at, on nodes of these names, one sentence each with its place.
    pub fn aim_warnings(&self, nodes: &[String]) -> Vec<String> {
        let warning = |PlacedFault { place, options, .. }: PlacedFault<'_>| match emptied(options, nodes)? {
            EmptySide::WithRoles(sentence) => Some(format!("`{place}`: {}", place.mistake(sentence).message)),
            EmptySide::Always(_) => None,
        };
        self.placed().filter_map(warning).collect()
    }

    /// Entries of the schedule whose `unless_by` changes nothing in a load that is quiet from this time on, one sentence each with its place.
    pub fn unless_by_warnings(&self, quiet_from: Span) -> Vec<String> {
        let warning = |(position, entry): (usize, &ScheduledFault)| {
            let wait = entry.wait.map_or(Duration::ZERO, |wait| wait.from.0);
            let last = Span(quiet_from.0.saturating_sub(entry.duration(self.lasts).0 + wait));
            let by = entry.unless_by.filter(|by| *by > last)?;
            Some(format!(
                "`{}`: fault {}: unless_by: its trigger counts until {by} of the load, and comes too late for this fault from {last} on: it \
                 changes nothing",
                self.entry_place(position),
                entry.id
            ))
        };
        self.schedule.iter().enumerate().filter_map(warning).collect()
    }

    /// The mistakes of the entries of the schedule on nodes of these names.
    fn entry_mistakes(&self, nodes: &[String]) -> Vec<FaultMistake> {
        let mut mistakes = Vec::new();
        let schedule = &self.schedule;
        let ids: Vec<&str> = schedule.iter().map(|entry| entry.id.as_str()).collect();
        let mut seen = BTreeSet::new();
        for (position, entry) in schedule.iter().enumerate() {
            let (id, place) = (&entry.id, self.entry_place(position));
            let mut wrong = |sentence: String| mistakes.push(place.entry_mistake(sentence));
            let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
            if id.is_empty() || id.len() > 40 || !id.chars().all(plain) {
                wrong(format!("id: {id:?}; an id has 1 to 40 letters, digits, - and _"));
            }
            if !seen.insert(id.as_str()) {
                wrong(format!("id: another entry has the id {id} too"));
            }
            if let (Begin::At(_), Some(_)) = (&entry.begin, entry.unless_by) {
                wrong("unless_by: it belongs to a trigger (`when`)".to_owned());
            }
            if let (Some(outer), Some(inner)) = (entry.lasts, entry.fault.options().and_then(FaultOptions::lasts)) {
                wrong(format!("for: it has two durations, {outer} and {inner}: leave one `for` out"));
            }
            if let Some(options) = entry.fault.options() {
                let drawn = options.together().and_then(|options| options.draws(nodes.len()));
                drawn.err().into_iter().for_each(|why| wrong(format!("{}: {why}", options.facts().name)));
            }
            if let Begin::When(trigger) = &entry.begin {
                if waits_for(schedule, position, position) && !trigger.is_fault(id) {
                    wrong(format!("when: it waits for a fault that waits for {id}: neither would come"));
                }
                mistakes.extend(trigger.mistake(&place, id, &ids));
            }
            mistakes.extend(self.same_as_mistakes(position));
            for name in entry.trigger_nodes().into_iter().filter(|name| !nodes.contains(name)) {
                let sentence = format!("when: node: {name} is not a node ({})", nodes.join(", "));
                mistakes.push(place.entry_mistake(sentence).unknown(&name, nodes));
            }
        }
        mistakes
    }

    /// Why the nodes of `same_as` are not known to the entry at this position.
    fn same_as_mistakes(&self, position: usize) -> Vec<FaultMistake> {
        let (schedule, place) = (&self.schedule, self.entry_place(position));
        let key = if schedule[position].fault.facts().name == "partition" { "cut" } else { "nodes" };
        let named = schedule[position].fault.options().map(FaultOptions::named_faults).unwrap_or_default();
        let same_as = named.iter().filter_map(|named| SameAs::parse(named).ok());
        let ids: Vec<&str> = schedule.iter().map(|entry| entry.id.as_str()).collect();
        let mistake = |same: SameAs| match ids.contains(&same.fault.as_str()) {
            true => {
                same_as_mistake(schedule, position, &same, self.lasts).map(|why| place.mistake(format!("{key}: {why}")))
            }
            false => {
                let sentence =
                    format!("{key}: same_as: no fault of the schedule is called {} ({})", same.fault, ids.join(", "));
                Some(place.mistake(sentence).unknown(&same.fault, ids.iter().copied()))
            }
        };
        same_as.filter_map(mistake).collect()
    }

    /// The faults of the schedule that cannot come in a load that is quiet from this time on.
    pub fn time_mistakes(&self, quiet_from: Span) -> Vec<FaultMistake> {
        let late = time_mistakes(&self.schedule, self.lasts, quiet_from).into_iter();
        let mistake = |(position, sentence): (usize, String)| FaultMistake {
            message: format!("fault {} cannot come: {sentence}", self.schedule[position].id),
            ..self.entry_place(position).entry_mistake(&sentence)
        };
        late.map(mistake).collect()
    }
}

/// How the cut of a partition can be left without a node. What names no node, and sides that meet, are mistakes of their own.
fn emptied(options: &FaultOptions, nodes: &[String]) -> Option<EmptySide> {
    let FaultOptions::Partition(partition) = options else { return None };
    let known = options.named_nodes().iter().all(|name| nodes.contains(name));
    (known && options.draws(nodes.len()).is_ok()).then(|| partition.emptied(nodes)).flatten()
}

/// What a name means that is a fault's id: those nodes.
fn meant_same_as(name: &str, ids: &[&str]) -> String {
    let fault = name.split('.').next().unwrap_or(name);
    if ids.contains(&fault) { format!("; the nodes of a fault are {{same_as: {name}}}") } else { String::new() }
}

/// Why the nodes of `same_as` are not known when the fault at this position is bound.
fn same_as_mistake(schedule: &[ScheduledFault], position: usize, same: &SameAs, lasts: Span) -> Option<String> {
    let other = schedule.iter().position(|entry| entry.id == same.fault)?;
    let by_node = matches!(schedule[other].begin, Begin::When(Trigger::Role { .. } | Trigger::Log { .. }));
    if same.role == BoundRole::Trigger && !by_node {
        return Some(format!(
            "same_as: {same}: fault {} is not begun by a role or a log line of a node, which alone name the node of a trigger",
            same.fault
        ));
    }
    if other == position {
        // The roles are those of its trigger's moment.
        let known = by_node && !matches!(same.role, BoundRole::Nodes | BoundRole::Others);
        return (!known)
            .then(|| format!("same_as: {same}: a fault cannot take its own nodes: name them, or another fault"));
    }
    let (earliest, _) = begins(schedule, other, lasts, schedule.len());
    let (_, latest) = begins(schedule, position, lasts, schedule.len());
    let later = waits_for(schedule, other, position) || latest.is_some_and(|latest| earliest >= latest);
    later.then(|| {
        format!(
            "same_as: {same}: fault {0} does not begin before this one, so that its nodes are not known then: let this one begin \
             later, such as with `when: {{fault: {0}}}`",
            same.fault
        )
    })
}

/// The entries to which the triggers by faults lead from the one at `from`, each once, with the step that is waited for.
pub(super) fn waits(schedule: &[ScheduledFault], from: usize) -> impl Iterator<Item = (usize, TriggerStep)> {
    let mut seen = BTreeSet::new();
    let mut at = Some(from);
    std::iter::from_fn(move || {
        let Begin::When(Trigger::Fault { fault, step }) = &schedule[at.take()?].begin else { return None };
        let next = schedule.iter().position(|entry| entry.id == *fault).filter(|next| seen.insert(*next))?;
        at = Some(next);
        Some((next, *step))
    })
}

/// Whether the triggers by faults lead from the entry at `from` to the one at `to`.
fn waits_for(schedule: &[ScheduledFault], from: usize, to: usize) -> bool {
    waits(schedule, from).any(|(waited, _)| waited == to)
}

/// The earliest time at which the trigger of an entry can come, within this number of steps by faults.
fn earliest_trigger(schedule: &[ScheduledFault], trigger: &Trigger, lasts: Span, steps: usize) -> Duration {
    let Trigger::Fault { fault, step } = trigger else { return Duration::ZERO };
    match schedule.iter().position(|entry| entry.id == *fault) {
        Some(other) if steps > 0 => {
            let (earliest, _) = begins(schedule, other, lasts, steps - 1);
            let whole = *step == TriggerStep::Healed && !schedule[other].fault.may_end_early();
            earliest + if whole { schedule[other].duration(lasts).0 } else { Duration::ZERO }
        }
        _ => Duration::ZERO,
    }
}

/// The earliest and the latest begin of an entry; no latest if only the run shows it.
fn begins(schedule: &[ScheduledFault], at: usize, lasts: Span, steps: usize) -> (Duration, Option<Duration>) {
    let entry = &schedule[at];
    let (from, to) = entry.wait.map_or((Duration::ZERO, Duration::ZERO), |wait| (wait.from.0, wait.to.0));
    match &entry.begin {
        Begin::At(at) => (at.0 + from, Some(at.0 + to)),
        Begin::When(trigger) => {
            let earliest = earliest_trigger(schedule, trigger, lasts, steps);
            (earliest + from, entry.unless_by.map(|by| by.0 + to))
        }
    }
}

/// The positions of the entries that cannot come in a load that is quiet from this time on, each with a sentence.
fn time_mistakes(schedule: &[ScheduledFault], lasts: Span, quiet_from: Span) -> Vec<(usize, String)> {
    let mut mistakes = Vec::new();
    for (position, entry) in schedule.iter().enumerate() {
        let (earliest, latest) = begins(schedule, position, lasts, schedule.len());
        let lasts_here = entry.duration(lasts);
        // Of a range each time must fit, so that no seed makes a run without the fault.
        let begin = match &entry.begin {
            Begin::At(_) => latest.unwrap_or(earliest),
            Begin::When(_) => earliest,
        };
        let ends = Span(begin + lasts_here.0);
        if ends > quiet_from {
            let how = match &entry.begin {
                Begin::At(_) => "it would end at",
                Begin::When(_) => "its trigger cannot come before it would end at",
            };
            mistakes.push((position, format!(
                "{how} {ends}, and no fault is in force after {quiet_from} of the load; make `load.time` longer, or \
                 `nemesis.quiet_end` or the fault's times shorter"
            )));
        }
        let Begin::When(trigger) = &entry.begin else { continue };
        let can = Span(earliest_trigger(schedule, trigger, lasts, schedule.len()));
        if let Some(by) = entry.unless_by.filter(|by| *by < can || by.0.is_zero()) {
            mistakes.push((position, format!(
                "unless_by: its trigger ({trigger}) counts until {by} of the load, and cannot come before {can}; make \
                 `unless_by` later"
            )));
        }
    }
    mistakes
}

impl ScheduledKind {
    /// Whether it ends when its work is done: a rolling fault.
    pub(super) fn may_end_early(&self) -> bool {
        match self {
            ScheduledKind::Options(FaultOptions::Restart(restart)) => restart.rolling,
            ScheduledKind::Options(FaultOptions::Own(own)) => own.rolling,
            ScheduledKind::Options(_) => false,
            ScheduledKind::Exactly(fault) => fault.rolling(),
        }
    }
}

impl ScheduledFault {
    /// Names of nodes in its trigger.
    fn trigger_nodes(&self) -> Vec<String> {
        match &self.begin {
            Begin::When(Trigger::Log { node: Some(node), .. } | Trigger::Role { node: Some(node), .. }) => {
                crate::aim::named(std::slice::from_ref(node))
            }
            _ => Vec::new(),
        }
    }
}
