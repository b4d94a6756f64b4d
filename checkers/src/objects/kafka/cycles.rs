//! Operations that polled each other's messages in a circle: dependencies from sender to poller, their strongly
//! connected components (Tarjan 1972, without recursion), and a shortest cycle in each.
use super::Judge;
use super::log::{Sighting, Step};
use crate::value::Value;
use crate::verdict::Severity;
use crate::verdict::Violation;
use crate::verdict::certificate::{Edge, EdgeKind};
use std::collections::{HashMap, VecDeque};

const NONE: u32 = u32::MAX;

/// Senders and pollers: operations that did both, by number, with edges to those that polled their messages.
struct Circles {
    /// Position of each operation.
    ops: Vec<u32>,
    /// Edges by their beginning: the end, and the message.
    edges: Vec<Vec<(u32, u32)>>,
}

impl Circles {
    fn of(judge: &Judge<'_, '_>) -> Circles {
        let logs = judge.logs;
        let mut senders: Vec<u32> =
            logs.messages.iter().filter(|message| message.tried == 1).filter_map(|m| m.send).collect();
        senders.sort_unstable();
        let sure = |seen: &Sighting| seen.acknowledged && !logs.doubts.sent(seen.log);
        let polls = logs.steps.iter().flatten().filter_map(|step| match step {
            Step::Poll { seen, .. } if sure(seen) => Some((seen.op, seen.value)),
            _ => None,
        });
        let mut ops: Vec<u32> =
            polls.clone().map(|(op, _)| op).filter(|op| senders.binary_search(op).is_ok()).collect();
        ops.sort_unstable();
        ops.dedup();
        let mut edges = vec![Vec::new(); ops.len()];
        let place = |op: u32| ops.binary_search(&op).ok();
        for (to, value) in polls {
            let message = &logs.messages[value as usize];
            let sender = message.send.filter(|_| message.tried == 1);
            let ends = sender.and_then(place).zip(place(to));
            if let Some((from, to)) = ends.filter(|(from, to)| from != to) {
                edges[from].push((to as u32, value));
            }
        }
        Circles { ops, edges }
    }

    /// Components of more than one operation, by a number for each operation; NONE for the others.
    fn components(&self) -> Vec<u32> {
        let count = self.ops.len();
        let mut component = vec![NONE; count];
        let (mut order, mut low, mut open) = (vec![NONE; count], vec![0; count], vec![false; count]);
        let (mut next, mut stack): (u32, Vec<u32>) = (0, Vec::new());
        // Where the search stands: an operation and its next edge.
        let mut path: Vec<(u32, usize)> = Vec::new();
        for start in 0..count as u32 {
            if order[start as usize] != NONE {
                continue;
            }
            path.push((start, 0));
            while let Some((at, edge)) = path.pop() {
                let here = at as usize;
                if edge == 0 {
                    (order[here], low[here], open[here]) = (next, next, true);
                    next += 1;
                    stack.push(at);
                }
                if let Some(&(to, _)) = self.edges[here].get(edge) {
                    path.push((at, edge + 1));
                    let there = to as usize;
                    if order[there] == NONE {
                        path.push((to, 0));
                    } else if open[there] {
                        low[here] = low[here].min(order[there]);
                    }
                    continue;
                }
                if low[here] == order[here] {
                    let from = stack.iter().rposition(|&other| other == at).unwrap_or(0);
                    let whole = stack.len() - from > 1;
                    for member in stack.drain(from..) {
                        open[member as usize] = false;
                        component[member as usize] = if whole { at } else { NONE };
                    }
                }
                if let Some((parent, _)) = path.last() {
                    let parent = *parent as usize;
                    low[parent] = low[parent].min(low[here]);
                }
            }
        }
        component
    }

    /// A shortest cycle through an operation of a component: operations with the message to the next one.
    fn cycle(&self, component: &[u32], start: u32) -> Vec<(u32, u32)> {
        let mut before: HashMap<u32, (u32, u32)> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for &(to, message) in &self.edges[at as usize] {
                if component[to as usize] != component[start as usize] || before.contains_key(&to) {
                    continue;
                }
                before.insert(to, (at, message));
                if to == start {
                    queue.clear();
                    break;
                }
                queue.push_back(to);
            }
            if before.contains_key(&start) {
                break;
            }
        }
        let mut cycle = Vec::new();
        let mut at = start;
        while let Some(&(from, message)) = before.get(&at) {
            cycle.push((from, message));
            at = from;
            if at == start {
                break;
            }
        }
        cycle.reverse();
        cycle
    }
}

/// Judges all circles: one violation for each component.
pub(super) fn circles(judge: &mut Judge<'_, '_>) {
    if judge.uncommitted() || judge.logs.doubts.anything() {
        return; // What could not be understood may have sent the same messages.
    }
    let circles = Circles::of(judge);
    let component = circles.components();
    let mut told = vec![false; component.len()];
    for start in 0..component.len() as u32 {
        let one = component[start as usize];
        if one == NONE || std::mem::replace(&mut told[one as usize], true) {
            continue;
        }
        let cycle = circles.cycle(&component, start);
        let ops: Vec<u32> = cycle.iter().map(|(op, _)| circles.ops[*op as usize]).collect();
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
