//! Numbers of a history for the charts and tables, counted once: order by time, totals, the effect of each fault, leaders,
//! clock offsets. Never: HTML.
use dsfuzz_checkers::history::NameId;
use dsfuzz_checkers::{Fault, History, Op, Outcome};
use dsfuzz_nemesis::facts;
use serde::Serialize;

/// Calls by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OutcomeCounts {
    pub(super) ok: u64,
    pub(super) fail: u64,
    pub(super) info: u64,
}

impl OutcomeCounts {
    pub(super) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Fail => self.fail += 1,
            Outcome::Info => self.info += 1,
        }
    }

    pub(super) fn all(&self) -> u64 {
        self.ok + self.fail + self.info
    }

    fn minus(&self, other: &OutcomeCounts) -> OutcomeCounts {
        OutcomeCounts { ok: self.ok - other.ok, fail: self.fail - other.fail, info: self.info - other.info }
    }
}

/// The effect of a fault on the load: calls before, during and after it, each with the length of its interval.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FaultEffect {
    pub(super) before: (OutcomeCounts, u64),
    pub(super) during: (OutcomeCounts, u64),
    pub(super) after: (OutcomeCounts, u64),
}

/// An interval in which a node claimed one role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RoleInterval {
    pub(super) node: String,
    pub(super) role: String,
    pub(super) term: Option<i64>,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) claims: u64,
    pub(super) trusted: bool,
}

/// A reading of a clock: time, node, offset in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ClockReading(pub(super) u64, pub(super) String, pub(super) f64);

/// The numbers of a history.
pub(super) struct HistorySummary {
    /// Positions in `history.ops`, by the time of the call.
    pub(super) order: Vec<u32>,
    /// End of the time axis, nanoseconds; at least one.
    pub(super) end: u64,
    pub(super) total: OutcomeCounts,
    /// Rows of every drawing by node: the plan's nodes, then others that operations name.
    pub(super) nodes: Vec<String>,
    /// Functions with their workload, in the order of first use.
    pub(super) functions: Vec<(NameId, NameId)>,
    pub(super) roles: Vec<RoleInterval>,
    pub(super) clocks: Vec<ClockReading>,
    /// Intervals in which callers waited for a node that answered none of them: its row, from, to.
    pub(super) silences: Vec<(usize, u64, u64)>,
    times: Vec<u64>,
    sums: Vec<OutcomeCounts>,
}

impl HistorySummary {
    pub(super) fn of(history: &History) -> HistorySummary {
        let mut order: Vec<u32> = (0..u32::try_from(history.ops().len()).unwrap_or(u32::MAX)).collect();
        order.sort_by_key(|&position| history.ops().at(position as usize).call_time);
        let times: Vec<u64> = order.iter().map(|&position| history.ops().at(position as usize).call_time).collect();
        let mut sums = Vec::with_capacity(order.len() + 1);
        let mut total = OutcomeCounts::default();
        sums.push(total);
        for &position in &order {
            total.add(history.ops().at(position as usize).outcome);
            sums.push(total);
        }
        let (nodes, functions) = names(history);
        let silences = silences(history, &order, &nodes);
        HistorySummary {
            end: history.end_time.max(1),
            total,
            nodes,
            functions,
            roles: role_stretches(history),
            clocks: clock_readings(history),
            silences,
            order,
            times,
            sums,
        }
    }

    /// Calls made at or after `from` and before `to`.
    pub(super) fn tally(&self, from: u64, to: u64) -> OutcomeCounts {
        let at = |time: u64| self.times.partition_point(|&other| other < time);
        let (first, last) = (at(from), at(to.max(from)));
        self.sums[last].minus(&self.sums[first])
    }

    /// The load around a fault. Before and after are as long as the fault, but at most five seconds.
    pub(super) fn effect(&self, fault: &Fault) -> Option<FaultEffect> {
        let (from, to) = fault.possible()?;
        let to = to.min(self.end).max(from);
        let around = (to - from).clamp(1_000_000_000, 5_000_000_000);
        let before = from.saturating_sub(around);
        let after = to.saturating_add(around).min(self.end).max(to);
        Some(FaultEffect {
            before: (self.tally(before, from), from - before),
            during: (self.tally(from, to), to - from),
            after: (self.tally(to, after), after - to),
        })
    }

    /// The interval in which a clock fault certainly held a clock: between its proofs, if all readings within agree.
    pub(super) fn clock_steps(&self, history: &History) -> Vec<(u64, u64, usize, f64)> {
        let mut steps = Vec::new();
        for fault in history.faults.iter().filter(|fault| facts(&fault.kind).is_some_and(|facts| facts.samples_clocks))
        {
            let (Some((from, to)), Some((since, until))) = (fault.possible(), fault.certain()) else { continue };
            for node in &fault.nodes {
                let within = |reading: &&ClockReading| reading.1 == *node && (from..=to).contains(&reading.0);
                let offsets: Vec<f64> = self.clocks.iter().filter(within).map(|reading| reading.2).collect();
                // The last reading of a healing fault may be right already.
                let held = offsets.iter().copied().max_by(|one, other| one.abs().total_cmp(&other.abs()));
                let (Some(held), Some(row)) = (held, self.node_row(node)) else { continue };
                let agree =
                    |offset: &f64| (offset - held).abs() <= held.abs() * 0.05 || offset.abs() < held.abs() * 0.01;
                if held != 0.0 && offsets.iter().all(agree) {
                    steps.push((since.time, until.time, row, held));
                }
            }
        }
        steps
    }

    /// The known duration of an operation; an open one lasts until the end of the record.
    pub(super) fn latency(&self, op: &Op<'_>) -> u64 {
        op.reply_time.min(self.end).saturating_sub(op.call_time)
    }

    /// Quantiles of the latency of Ok calls, by a sample of at most 20,000.
    pub(super) fn latency_quantiles(&self, history: &History, fractions: &[f64]) -> Vec<u64> {
        let step = (history.ops().len() / 20_000).max(1);
        let ok = history.ops().iter().step_by(step).filter(|op| op.outcome == Outcome::Ok);
        let mut sample: Vec<u64> = ok.map(|op| self.latency(&op)).collect();
        sample.sort_unstable();
        let at = |fraction: &f64| ((sample.len() as f64 * fraction) as usize).min(sample.len().saturating_sub(1));
        if sample.is_empty() { Vec::new() } else { fractions.iter().map(|fraction| sample[at(fraction)]).collect() }
    }

    /// The row of a node.
    pub(super) fn node_row(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node == name)
    }
}

/// Least wait of callers that counts as silence.
const SILENT: u64 = 500_000_000;

/// Every interval longer than [`SILENT`] in which a node had open calls and answered none. A timeout is no answer.
fn silences(history: &History, order: &[u32], nodes: &[String]) -> Vec<(usize, u64, u64)> {
    let rows: std::collections::HashMap<&str, usize> =
        nodes.iter().enumerate().map(|(row, node)| (node.as_str(), row)).collect();
    // For each node, in order of time: a call (+1), an answer or an end without one (-1).
    let mut events: Vec<Vec<(u64, bool, bool)>> = vec![Vec::new(); nodes.len()];
    let mut names = std::collections::HashMap::new();
    for &position in order {
        let op = history.ops().at(position as usize);
        let row = *names.entry(op.node).or_insert_with(|| rows.get(history.name(op.node)).copied());
        let Some(row) = row else { continue };
        events[row].push((op.call_time, true, false));
        let end = op.reply_time.min(history.end_time);
        // A read that ran into its deadline certainly had no effect, but was not answered either.
        let late = op.error.is_some_and(|error| history.name(error).starts_with("timeout"));
        events[row].push((end, false, op.outcome != Outcome::Info && !late));
    }
    let mut silences = Vec::new();
    for (row, mut events) in events.into_iter().enumerate() {
        // At the same time calls come first, so that no call ends before it began.
        events.sort_by_key(|(time, call, _)| (*time, !*call));
        let (mut open, mut since) = (0u64, 0u64);
        for (time, call, answered) in events {
            if call {
                if open == 0 {
                    since = time;
                }
                open += 1;
                continue;
            }
            open = open.saturating_sub(1);
            if (answered || open == 0) && time.saturating_sub(since) > SILENT {
                silences.push((row, since, time));
            }
            if answered || open == 0 {
                since = time;
            }
        }
    }
    silences
}

fn names(history: &History) -> (Vec<String>, Vec<(NameId, NameId)>) {
    let mut nodes = history.nodes.clone();
    let mut functions = Vec::new();
    let mut last = None;
    for op in history.ops().iter() {
        let seen = (op.node, op.workload, op.function);
        if last == Some(seen) {
            continue;
        }
        last = Some(seen);
        if !functions.contains(&(op.workload, op.function)) {
            functions.push((op.workload, op.function));
        }
        let name = history.name(op.node);
        if !nodes.iter().any(|node| node == name) {
            nodes.push(name.to_string());
        }
    }
    for claim in &history.roles {
        if !nodes.iter().any(|node| **node == *claim.node) {
            nodes.push(claim.node.to_string());
        }
    }
    (nodes, functions)
}

/// A claim holds somewhere between its probe and its reply. Equal claims of one node within five seconds of each other make
/// an interval. A failed probe (empty role) ends one. Claims from logs are left out: logs are collected at the end, so that
/// their interval is the whole run.
fn role_stretches(history: &History) -> Vec<RoleInterval> {
    const GAP: u64 = 5_000_000_000;
    let mut stretches: Vec<RoleInterval> = Vec::new();
    let mut last: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for claim in history.roles.iter().filter(|claim| &*claim.source != "log") {
        let key = &*claim.node;
        if claim.role.is_empty() {
            last.remove(key);
            continue;
        }
        let same = last.get(key).copied().filter(|&position| {
            let stretch = &stretches[position];
            *stretch.role == *claim.role && stretch.term == claim.term && claim.sent_time <= stretch.to + GAP
        });
        if let Some(position) = same {
            let stretch = &mut stretches[position];
            stretch.to = stretch.to.max(claim.time);
            stretch.claims += 1;
            stretch.trusted &= claim.term_with_role;
            continue;
        }
        last.insert(key, stretches.len());
        stretches.push(RoleInterval {
            node: claim.node.to_string(),
            role: claim.role.to_string(),
            term: claim.term,
            from: claim.sent_time.min(claim.time),
            to: claim.time,
            claims: 1,
            trusted: claim.term_with_role,
        });
    }
    stretches
}

/// Clock offsets are notes of a node with the text `clock offset -12.5 ms`.
fn clock_readings(history: &History) -> Vec<ClockReading> {
    let reading = |(time, node, text): &(u64, String, String)| {
        let number = text.strip_prefix("clock offset ")?.strip_suffix(" ms")?;
        let offset = number.trim().parse::<f64>().ok().filter(|offset| offset.is_finite())?;
        Some(ClockReading(*time, node.clone(), offset))
    };
    history.notes.iter().filter_map(reading).collect()
}
