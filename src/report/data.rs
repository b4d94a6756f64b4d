//! The data of the page's script: operations as packed columns, all else as JSON.
//!
//! Nine bytes an operation, so that a million make twelve megabytes of base64. Layout, little-endian, column after
//! column, operations ordered by the time of their call: time `u32` in units of [`Packed::unit`] nanoseconds; latency
//! `u16` as `log2(ns + 1) * 1024` (65535: no reply); class `u8` (bits 0-1 ok, fail, info; bit 2 settle; bits 3-7
//! function); node `u8`; step of the call's index from the one before it `u8` (255: listed in `jumps`).
use super::palette::fault_colour;
use super::summary::HistorySummary;
use super::words;
use base64::Engine;
use dsfuzz_checkers::{Fault, History, Op, Outcome, Phase};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Operations whose whole record goes into the page.
const DETAILS_MAX: usize = 5000;
/// Functions that the class column distinguishes; the last stands for all others.
const FUNCTIONS_MAX: usize = 32;
const JUMPS_MAX: usize = 100_000;
const VALUE_CHARACTERS: usize = 240;

/// Operations as base64, and the parameters of their encoding.
pub(super) struct Packed {
    pub(super) base64: String,
    pub(super) unit: u64,
    pub(super) jumps: Vec<(u32, u64)>,
}

/// Packs all operations.
pub(super) fn pack(history: &History, summary: &HistorySummary) -> Packed {
    let unit = summary.end / u64::from(u32::MAX) + 1;
    let count = summary.order.len();
    let function_of: BTreeMap<_, _> = summary.functions.iter().enumerate().map(|(row, names)| (*names, row)).collect();
    let node_rows: Vec<(&str, usize)> = summary.nodes.iter().enumerate().map(|(row, name)| (&**name, row)).collect();
    let mut node_of = BTreeMap::new();
    let mut bytes = vec![0u8; count * 9];
    let (times, rest) = bytes.split_at_mut(count * 4);
    let (latencies, rest) = rest.split_at_mut(count * 2);
    let (classes, rest) = rest.split_at_mut(count);
    let (nodes, steps) = rest.split_at_mut(count);
    let (mut jumps, mut last) = (Vec::new(), 0u64);
    for (place, &position) in summary.order.iter().enumerate() {
        let op = history.ops().at(position as usize);
        let time = u32::try_from(op.call_time / unit).unwrap_or(u32::MAX);
        times[place * 4..place * 4 + 4].copy_from_slice(&time.to_le_bytes());
        latencies[place * 2..place * 2 + 2].copy_from_slice(&latency_code(&op).to_le_bytes());
        let function = function_of.get(&(op.workload, op.function)).copied().unwrap_or(FUNCTIONS_MAX);
        classes[place] = class_code(&op, function);
        let row = *node_of.entry(op.node).or_insert_with(|| {
            let name = history.name(op.node);
            node_rows.iter().find(|(node, _)| *node == name).map_or(255, |(_, row)| *row)
        });
        nodes[place] = u8::try_from(row).unwrap_or(255);
        steps[place] = match op.call.checked_sub(last).and_then(|step| u8::try_from(step).ok()) {
            Some(step) if step < 255 => step,
            _ => {
                if jumps.len() < JUMPS_MAX {
                    jumps.push((u32::try_from(place).unwrap_or(u32::MAX), op.call));
                }
                255
            }
        };
        last = op.call;
    }
    Packed { base64: base64::engine::general_purpose::STANDARD.encode(&bytes), unit, jumps }
}

fn latency_code(op: &Op<'_>) -> u16 {
    if op.reply_time == Op::OPEN {
        return u16::MAX;
    }
    let nanos = op.reply_time.saturating_sub(op.call_time);
    (((nanos + 1) as f64).log2() * 1024.0).round().min(65534.0) as u16
}

fn class_code(op: &Op<'_>, function: usize) -> u8 {
    let outcome = match op.outcome {
        Outcome::Ok => 0u8,
        Outcome::Fail => 1,
        Outcome::Info => 2,
    };
    let function = u8::try_from(function.min(FUNCTIONS_MAX - 1)).unwrap_or(31);
    outcome | u8::from(op.settle) << 2 | function << 3
}

/// A fault in the charts; times in nanoseconds.
#[derive(Serialize)]
struct Band {
    id: u64,
    kind: String,
    what: String,
    colour: usize,
    from: u64,
    to: u64,
    open: bool,
    certain: Option<(u64, u64)>,
    nodes: Vec<String>,
}

impl Band {
    fn of(fault: &Fault, end: u64) -> Option<Band> {
        let (from, to) = fault.possible()?;
        Some(Band {
            id: fault.id,
            kind: fault.kind.clone(),
            what: words::shorten(&words::fault(fault), 200),
            colour: fault_colour(&fault.kind),
            from,
            to: to.min(end),
            open: to == u64::MAX,
            certain: fault.certain().map(|(from, to)| (from.time, to.time)),
            nodes: fault.nodes.clone(),
        })
    }
}

/// The whole record of an operation.
#[derive(Serialize)]
struct Detail {
    op: u64,
    worker: u32,
    process: u64,
    node: String,
    workload: String,
    f: String,
    key: String,
    value: String,
    outcome: &'static str,
    reply: String,
    error: String,
    called_ns: u64,
    replied_ns: Option<u64>,
    reply_index: Option<u64>,
    settle: bool,
}

/// The script's data besides the columns.
#[derive(Serialize)]
struct Meta<'a> {
    count: usize,
    unit: u64,
    end: u64,
    nodes: &'a [String],
    functions: Vec<String>,
    faults: Vec<Band>,
    roles: &'a [super::summary::RoleInterval],
    clocks: &'a [super::summary::ClockReading],
    /// From, to, the node's row, the offset in milliseconds.
    clock_steps: Vec<(u64, u64, usize, f64)>,
    /// The node's row, from, to.
    silences: &'a [(usize, u64, u64)],
    /// The wall clock at time 0, in milliseconds since 1970.
    wall_ms: Option<f64>,
    phases: Vec<(&'static str, u64)>,
    jumps: &'a [(u32, u64)],
    marked: Vec<u64>,
    details: BTreeMap<u64, Detail>,
}

/// The JSON for the script, safe inside its element. `marked` are the operations of the counterexamples.
pub(super) fn meta(
    history: &History,
    summary: &HistorySummary,
    packed: &Packed,
    marked: &BTreeSet<u64>,
) -> anyhow::Result<String> {
    let workloads: BTreeSet<_> = summary.functions.iter().map(|(workload, _)| workload).collect();
    let function = |(workload, function): &(_, _)| {
        let name = words::shorten(history.name(*function), 60);
        if workloads.len() > 1 { format!("{} {name}", words::shorten(history.name(*workload), 30)) } else { name }
    };
    let meta = Meta {
        count: summary.order.len(),
        unit: packed.unit,
        end: summary.end,
        nodes: &summary.nodes,
        functions: summary.functions.iter().map(function).collect(),
        faults: history.faults.iter().filter_map(|fault| Band::of(fault, summary.end)).take(5000).collect(),
        roles: &summary.roles[..summary.roles.len().min(20_000)],
        clocks: &summary.clocks[..summary.clocks.len().min(20_000)],
        clock_steps: summary.clock_steps(history),
        silences: &summary.silences[..summary.silences.len().min(20_000)],
        wall_ms: words::wall_start(history).map(|wall| wall.timestamp_micros() as f64 / 1e3),
        phases: history.phases.iter().map(|(phase, mark)| (phase_name(*phase), mark.time)).collect(),
        jumps: &packed.jumps,
        marked: marked.iter().copied().filter(|call| history.op(*call).is_some()).collect(),
        details: details(history, marked),
    };
    Ok(words::json_in_script(&serde_json::to_string(&meta)?))
}

pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "load",
        Phase::Drain => "drain",
        Phase::Recover => "recover",
        Phase::Settle => "settle",
    }
}

/// The operations of counterexamples first, then calls that are not Ok, then an even sample of the Ok calls.
fn details(history: &History, marked: &BTreeSet<u64>) -> BTreeMap<u64, Detail> {
    let mut details = BTreeMap::new();
    let mut take = |op: &Op<'_>, most: usize| {
        if details.len() < most {
            details.entry(op.call).or_insert_with(|| detail(history, op));
        }
    };
    for call in marked {
        if let Some(op) = history.op(*call) {
            take(&op, DETAILS_MAX);
        }
    }
    for (outcome, most) in [(Outcome::Info, DETAILS_MAX / 2), (Outcome::Fail, DETAILS_MAX * 3 / 4)] {
        history.ops().iter().filter(|op| op.outcome == outcome).for_each(|op| take(&op, most));
    }
    let step = history.ops().len().div_ceil(DETAILS_MAX / 4).max(1);
    let step = if history.ops().len() <= DETAILS_MAX { 1 } else { step };
    history.ops().iter().step_by(step).for_each(|op| take(&op, DETAILS_MAX));
    details
}

fn detail(history: &History, op: &Op<'_>) -> Detail {
    let text = |value: dsfuzz_checkers::ValueRef<'_>| words::value(&value.to_value(), VALUE_CHARACTERS);
    Detail {
        op: op.call,
        worker: op.worker,
        process: op.process,
        node: history.name(op.node).to_string(),
        workload: history.name(op.workload).to_string(),
        f: history.name(op.function).to_string(),
        key: text(op.key),
        value: text(op.input),
        outcome: words::outcome(op.outcome),
        reply: text(op.completion_value),
        error: op.error.map(|id| words::shorten(history.name(id), VALUE_CHARACTERS)).unwrap_or_default(),
        called_ns: op.call_time,
        replied_ns: (op.reply_time != Op::OPEN).then_some(op.reply_time),
        reply_index: (op.reply != Op::OPEN).then_some(op.reply),
        settle: op.settle,
    }
}
