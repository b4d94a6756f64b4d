//! Operations that polled each other's messages (`G1c`): dependencies from the sender of a message to its poller, and a short
//! cycle in each of their strongly connected components. `kafka` calls it.
use super::Judge;
use super::log::{Observation, Step};
use crate::graph::cycle_of_each_component;
use crate::value::Value;
use crate::verdict::Severity;
use crate::verdict::Violation;
use crate::verdict::certificate::{Edge, EdgeKind};

/// Dependencies between operations that both sent and polled: from the sender of a message to a poller of it.
struct Dependencies {
    /// The position of each operation.
    ops: Vec<u32>,
    /// From, to, as places in `ops`.
    edges: Vec<(u32, u32)>,
    /// The message of each edge.
    messages: Vec<u32>,
}

impl Dependencies {
    fn of(judge: &Judge<'_, '_>) -> Dependencies {
        let logs = judge.logs;
        let mut senders: Vec<u32> =
            logs.messages.iter().filter(|message| message.tried == 1).filter_map(|m| m.send).collect();
        senders.sort_unstable();
        let sure = |seen: &Observation| seen.acknowledged && !logs.doubts.sent(seen.log);
        let polls = logs.steps.iter().flatten().filter_map(|step| match step {
            Step::Poll { seen, .. } if sure(seen) => Some((seen.op, seen.value)),
            _ => None,
        });
        let mut ops: Vec<u32> =
            polls.clone().map(|(op, _)| op).filter(|op| senders.binary_search(op).is_ok()).collect();
        ops.sort_unstable();
        ops.dedup();
        let place = |op: u32| ops.binary_search(&op).ok();
        let (mut edges, mut messages) = (Vec::new(), Vec::new());
        for (to, value) in polls {
            let message = &logs.messages[value as usize];
            let sender = message.send.filter(|_| message.tried == 1);
            let ends = sender.and_then(place).zip(place(to));
            if let Some((from, to)) = ends.filter(|(from, to)| from != to) {
                edges.push((from as u32, to as u32));
                messages.push(value);
            }
        }
        Dependencies { ops, edges, messages }
    }
}

/// Reports one violation for each strongly connected component of the dependencies.
pub(super) fn circles(judge: &mut Judge<'_, '_>) {
    if judge.uncommitted() || judge.logs.doubts.anything() {
        return; // What could not be understood may have sent the same messages.
    }
    let dependencies = Dependencies::of(judge);
    for cycle in cycle_of_each_component(dependencies.ops.len(), &dependencies.edges) {
        let step = |place: usize| (dependencies.edges[place].0, dependencies.messages[place]);
        let cycle: Vec<(u32, u32)> = cycle.into_iter().map(step).collect();
        let ops: Vec<u32> = cycle.iter().map(|(op, _)| dependencies.ops[*op as usize]).collect();
        let calls: Vec<u64> = ops.iter().map(|&op| judge.op(op).call).collect();
        let edge = |(at, (_, message)): (usize, &(u32, u32))| {
            let value = judge.logs.value(*message).to_value();
            let key = Value::text(judge.logs.key(judge.logs.messages[*message as usize].log));
            let (from, to) = (calls[at], calls[(at + 1) % calls.len()]);
            Edge { from, to, kind: EdgeKind::Wr, key, before: value.clone(), after: value }
        };
        let edges: Vec<Edge> = cycle.iter().enumerate().map(edge).collect();
        let title = format!("{} transactions polled each other's messages in a circle", calls.len());
        let why: Vec<String> = edges
            .iter()
            .map(|edge| format!("#{} polled {} of log {}, which #{} sent.", edge.to, edge.before, edge.key, edge.from))
            .collect();
        // A verifier asks that whatever these operations sent to the logs of the cycle was sent by one operation only.
        let messages = &judge.logs.messages;
        let within: Vec<u32> = cycle.iter().map(|(_, message)| messages[*message as usize].log).collect();
        let certified = !judge.logs.sends.iter().flatten().any(|sent| {
            let message = &messages[sent.message as usize];
            message.tried > 1 && ops.contains(&sent.op) && within.contains(&message.log)
        });
        let ops: Vec<_> = ops.iter().map(|&op| judge.op(op)).collect();
        judge.report.violation_of("G1c", Severity::Violation, || {
            let mut violation = Violation::new("G1c", title, Value::Nil, ops);
            (violation.why, violation.cycle, violation.anomaly) = (why, edges, Some("G1c"));
            violation.certified = certified;
            violation
        });
    }
}
