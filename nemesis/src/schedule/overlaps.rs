//! Faults of a schedule that may be in force at the same time and do not fit beside each other: custom faults that would take more nodes
//! together than they can, and faults beside which an agent refuses another one.
use super::mistakes::waits;
use super::{Begin, ScheduledFault, ScheduledKind, Trigger, TriggerStep};
use crate::aim::Aim;
use crate::fault::{ClusterView, ResolvedFault};
use crate::mistake::FaultMistake;
use crate::options::NemesisOptions;
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use std::collections::BTreeMap;
use std::time::Duration;

/// When an entry may be in force.
#[derive(Clone, Copy, Debug)]
struct MayLast {
    /// The entry from whose trigger the times count, because only the run shows when that comes; none: from the begin of the load.
    root: Option<usize>,
    /// Its earliest begin.
    earliest: Duration,
    /// Its latest begin.
    latest: Duration,
    /// Its duration.
    lasts: Duration,
}

impl MayLast {
    fn meets(&self, other: &MayLast) -> bool {
        let ends = |one: &MayLast| one.latest + one.lasts;
        self.root == other.root && self.earliest < ends(other) && other.earliest < ends(self)
    }

    /// Whether the other begins while this one is in force, whatever the draws.
    fn certainly_holds(&self, other: &MayLast) -> bool {
        self.root == other.root && self.latest <= other.earliest && other.latest < self.earliest + self.lasts
    }
}

impl NemesisOptions {
    /// The custom faults of the schedule that take more of this many nodes beside others of their name than they can at the same time.
    /// `at_once`: the most, by their names. Of triggers whose time only the run shows nothing is said: such a fault waits for the others.
    pub fn at_once_mistakes(&self, nodes: usize, at_once: &BTreeMap<String, usize>) -> Vec<FaultMistake> {
        let schedule = &self.schedule;
        let limited = schedule.iter().enumerate().filter_map(|(position, entry)| {
            let own = entry.fault.own().filter(|own| at_once.contains_key(&own.name))?;
            let taken = own.most_at_once(nodes, true);
            Some((position, own.name, taken, may_last(schedule, position, self.lasts, schedule.len())))
        });
        let limited: Vec<(usize, String, usize, MayLast)> = limited.collect();
        let mistake = |(position, name, own_nodes, span): &(usize, String, usize, MayLast)| {
            // Those that may be in force when this one begins.
            let beside = limited.iter().filter(|(other, of, _, its)| {
                other != position
                    && of == name
                    && its.meets(span)
                    && (its.earliest, *other) < (span.earliest, *position)
                    && !begins_after(schedule, *position, *other)
                    && !begins_after(schedule, *other, *position)
            });
            let beside: Vec<&(usize, String, usize, MayLast)> = beside.collect();
            let taken = own_nodes + beside.iter().map(|(_, _, taken, _)| taken).sum::<usize>();
            let most = at_once[name];
            let first = beside.first().filter(|_| taken > most)?;
            let ids: Vec<&str> = beside.iter().map(|(other, ..)| schedule[*other].id.as_str()).collect();
            Some(self.entry_place(*position).mistake(format!(
                "{name} takes at most {most} of {nodes} nodes at the same time, and beside {} this takes up to {taken}: let it begin when \
                 they are healed (`when: {{fault: {}, step: healed}}`)",
                ids.join(", "),
                schedule[first.0].id
            )))
        };
        limited.iter().filter_map(mistake).collect()
    }
}

impl NemesisOptions {
    /// The faults of the schedule that begin on a node on which an agent refuses them, since another one is in force there then. The view
    /// has the commands of custom faults.
    pub fn excluded_mistakes(&self, view: &ClusterView) -> Vec<FaultMistake> {
        let schedule = &self.schedule;
        // One that evidence does not ask for may be refused.
        let asked = schedule.iter().enumerate().filter(|(_, entry)| entry.evidence);
        let certain = asked.filter_map(|(position, entry)| {
            let span = may_last(schedule, position, self.lasts, schedule.len());
            Some((position, span, on_named_nodes(&entry.fault, view)?))
        });
        let certain: Vec<(usize, MayLast, ResolvedFault)> = certain.collect();
        let mistake = |(position, span, fault): &(usize, MayLast, ResolvedFault)| {
            let held = certain.iter().filter(|(other, its, _)| {
                other != position && !schedule[*other].fault.may_end_early() && its.certainly_holds(span)
            });
            let refused = held.filter_map(|(other, _, earlier)| {
                let on = |(node, injection)| {
                    earlier.injections.iter().any(|(at, its)| at == node && its.excludes(injection))
                };
                let (node, _) =
                    fault.injections.iter().map(|(node, injection)| (node, injection)).find(|pair| on(*pair))?;
                Some((*other, node))
            });
            // Two that begin together refuse each other: the later entry of the plan is named.
            let (other, node) = refused.min().filter(|(other, _)| {
                other < position || !certain.iter().any(|(of, its, _)| of == other && span.certainly_holds(its))
            })?;
            let id = &schedule[other].id;
            Some(self.entry_place(*position).mistake(format!(
                "{node}: fault {id} is in force there then, and an agent refuses this one beside it: let it begin when that is healed (`when: \
                 {{fault: {id}, step: healed}}`), or aim it at another node"
            )))
        };
        certain.iter().filter_map(mistake).collect()
    }
}

/// The injections of a fault that names its nodes; none if draws or roles decide about them, or if its draws are made.
fn on_named_nodes(fault: &ScheduledKind, view: &ClusterView) -> Option<ResolvedFault> {
    let options = fault.options()?;
    let named = |aim: &Aim| matches!(aim, Aim::Node(_) | Aim::Nodes(_) | Aim::All);
    if !options.aims().iter().all(named) {
        return None;
    }
    let mut source = options.together().and_then(|all| all.draws(view.nodes.len())).ok()?;
    source.draw(&mut Rng::new(0, "schedule", 0)).resolve(view).ok()
}

/// When the entry at this position may be in force, within this number of steps by faults.
fn may_last(schedule: &[ScheduledFault], position: usize, otherwise: Span, steps: usize) -> MayLast {
    let entry = &schedule[position];
    let lasts = entry.duration(otherwise).0;
    let (from, to) = entry.wait.map_or((Duration::ZERO, Duration::ZERO), |wait| (wait.from.0, wait.to.0));
    let unknown = MayLast { root: Some(position), earliest: from, latest: to, lasts };
    match &entry.begin {
        Begin::At(at) => MayLast { root: None, earliest: at.0 + from, latest: at.0 + to, lasts },
        Begin::When(Trigger::Fault { fault, step }) if steps > 0 => {
            let Some(other) = schedule.iter().position(|entry| entry.id == *fault) else { return unknown };
            let before = may_last(schedule, other, otherwise, steps - 1);
            let (earliest, latest) = match step {
                TriggerStep::Begun => (Duration::ZERO, Duration::ZERO),
                TriggerStep::Proven => (Duration::ZERO, before.lasts),
                TriggerStep::Healed if schedule[other].fault.may_end_early() => (Duration::ZERO, before.lasts),
                TriggerStep::Healed => (before.lasts, before.lasts),
            };
            MayLast {
                root: before.root,
                earliest: before.earliest + earliest + from,
                latest: before.latest + latest + to,
                lasts,
            }
        }
        Begin::When(_) => unknown,
    }
}

/// Whether the entry at this position begins only once the other one is healed.
fn begins_after(schedule: &[ScheduledFault], position: usize, other: usize) -> bool {
    waits(schedule, position).any(|(waited, step)| waited == other && step == TriggerStep::Healed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_that_an_agent_would_refuse_beside_another_is_named() {
        let said = |first: serde_json::Value, begin: serde_json::Value, second: serde_json::Value| -> Vec<String> {
            let mut entries = [json!({"id": "a", "at": "5s", "for": "5s"}), json!({"id": "b", "for": "2s"})];
            for (entry, more) in entries.iter_mut().zip([vec![&first], vec![&begin, &second]]) {
                let more = more.into_iter().flat_map(|more| more.as_object().expect("a map").clone());
                entry.as_object_mut().expect("a map").extend(more);
            }
            let options: NemesisOptions = serde_json::from_value(json!({ "schedule": entries })).expect("options");
            let mistakes = options.excluded_mistakes(&ClusterView::of(3, &["n1"]));
            mistakes.into_iter().map(|mistake| mistake.message).collect()
        };
        let memory = |limit: &str, nodes: &str| json!({"memory": {"limit": limit, "nodes": nodes}});
        let refused = "fault b: memory: n1: fault a is in force there then, and an agent refuses this one beside it";
        for (begin, second, words) in [
            (json!({"at": "6s"}), memory("100MB", "n1"), Some(refused)),
            (json!({"at": "5s"}), memory("100MB", "all"), Some(refused)),
            (json!({"when": {"fault": "a", "step": "begun"}, "wait": "1s..2s"}), memory("100MB", "n1"), Some(refused)),
            (json!({"at": "6s"}), memory("100MB", "n2"), None),
            (json!({"at": "6s"}), memory("100MB", "one"), None),
            (json!({"at": "6s"}), json!({"descriptors": {"spare": 8, "nodes": "n1"}}), None),
            (json!({"when": {"fault": "a", "step": "healed"}}), memory("100MB", "n1"), None),
            (json!({"at": "4s", "wait": "0s..8s"}), memory("100MB", "n1"), None),
        ] {
            let said = said(memory("200MB", "n1"), begin.clone(), second.clone());
            match words {
                Some(words) => assert!(said.len() == 1 && said[0].starts_with(words), "{begin} {second}: {said:?}"),
                None => assert_eq!(said, [""; 0], "{begin} {second}"),
            }
        }
    }

    #[test]
    fn custom_faults_that_may_be_in_force_at_the_same_time_are_counted_together() {
        let said = |schedule: serde_json::Value| -> Vec<String> {
            let options: NemesisOptions = serde_json::from_value(json!({ "schedule": schedule })).expect("options");
            let at_once = BTreeMap::from([("leave".to_owned(), 1), ("mixed".to_owned(), 2)]);
            let mistakes = options.at_once_mistakes(3, &at_once);
            mistakes.into_iter().map(|mistake| mistake.message).collect()
        };
        let own = |id: &str, begin: serde_json::Value, lasts: &str, own: serde_json::Value| {
            let mut entry = json!({"id": id, "for": lasts, "own": own});
            entry.as_object_mut().expect("a map").extend(begin.as_object().expect("a map").clone());
            entry
        };
        let leave = |id: &str, begin: serde_json::Value| own(id, begin, "10s", json!({"name": "leave"}));
        let refused = "fault b: own: leave takes at most 1 of 3 nodes at the same time, and beside a this takes up to 2: let it begin \
                       when they are healed (`when: {fault: a, step: healed}`)";
        for (begin, words) in [
            (json!({"at": "14s"}), Some(refused)),
            (json!({"at": "2s", "wait": "1s..4s"}), Some("fault a: own: leave takes at most 1")),
            (json!({"when": {"fault": "a"}, "wait": "9s"}), Some(refused)),
            (json!({"when": {"fault": "a", "step": "proven"}, "wait": "9s"}), Some(refused)),
            (json!({"when": {"fault": "a", "step": "healed"}}), None),
            (json!({"at": "15s"}), None),
            (json!({"when": {"role": "leader"}}), None),
        ] {
            let said = said(json!([leave("a", json!({"at": "5s"})), leave("b", begin.clone())]));
            match words {
                Some(words) => assert!(said.len() == 1 && said[0].starts_with(words), "{begin}: {said:?}"),
                None => assert_eq!(said, [""; 0], "{begin}"),
            }
        }
        // By way of another fault.
        let chain = |step: &str| {
            let between = json!({"id": "c", "when": {"fault": "a", "step": step}, "for": "1s", "pause": {}});
            said(json!([
                leave("a", json!({"when": {"role": "leader"}})),
                between,
                leave("b", json!({"when": {"fault": "c"}}))
            ]))
        };
        assert_eq!(chain("healed"), [""; 0]);
        assert_eq!(chain("begun"), [refused]);
        // Not more than two are in force at any moment.
        let mixed = |id: &str, at: &str, of: serde_json::Value| own(id, json!({"at": at}), "10s", of);
        let one = || json!({"name": "mixed", "nodes": "n1"});
        let three = json!([mixed("a", "1s", one()), mixed("b", "10s", one()), mixed("c", "19s", one())]);
        assert_eq!(said(three), [""; 0]);
        let rolling = json!({"name": "mixed", "nodes": "all", "rolling": true});
        assert_eq!(said(json!([mixed("a", "1s", rolling.clone()), mixed("b", "2s", one())])), [""; 0]);
        let all = json!([mixed("a", "1s", rolling), mixed("b", "2s", one()), mixed("c", "3s", one())]);
        assert!(
            said(all)[0].contains("fault c: own: mixed takes at most 2 of 3 nodes at the same time, and beside a, b")
        );
        assert_eq!(said(json!([leave("a", json!({"at": "5s"})), mixed("b", "6s", one())])), [""; 0], "two names");
    }
}
