//! Random small histories: replicas that hand writes on late, out of order or not at all, and then, mostly, one changed reply.
use crate::history::{Completion, HISTORY_VERSION, History, HistoryBuilder, Invoke, Outcome, Phase, Record};
use crate::random::Rng;
use crate::value::Value;

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) session: usize,
    pub(crate) node: usize,
    pub(crate) key: i64,
    pub(crate) act: SmallCall,
    pub(crate) call: u64,
    pub(crate) reply: u64,
    pub(crate) outcome: Outcome,
    pub(crate) settle: bool,
}

/// What it did; nil is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SmallCall {
    Read(Option<i64>),
    Write(i64),
    Cas(Option<i64>, i64),
}

/// What a small history is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) most_ops: u64,
    pub(crate) unique: bool,
    pub(crate) cas: bool,
    /// Whether every node is asked for every key at the end.
    pub(crate) settle: bool,
}

const NODES: usize = 3;

/// Calls in the order of their indices.
pub(crate) fn calls(rng: &mut Rng, shape: Shape) -> Vec<Call> {
    let count = 2 + rng.below(shape.most_ops - 1) as usize;
    let (sessions, keys) = (2 + rng.below(2) as usize, 1 + rng.below(2) as i64);
    let (fifo, lazy, info) = (rng.percent(50), 10 + rng.below(60), rng.below(3) * 12);
    let mut replicas = vec![[None::<i64>; 2]; NODES];
    let mut flying: Vec<(usize, i64, i64)> = Vec::new();
    let mut open: Vec<Option<usize>> = vec![None; sessions];
    let mut names: Vec<usize> = (0..sessions).collect();
    let mut calls: Vec<Call> = Vec::new();
    let (mut next_session, mut index, mut fresh) = (sessions, 1, 0);
    while calls.len() < count || open.iter().any(Option::is_some) {
        if !flying.is_empty() && !rng.percent(lazy) {
            let at = if fifo { 0 } else { rng.below(flying.len() as u64) as usize };
            let (node, key, value) = flying.remove(at);
            replicas[node][key as usize] = Some(value);
        }
        let who = rng.below(sessions as u64) as usize;
        let Some(at) = open[who].take() else {
            if calls.len() < count {
                let mut value = |rng: &mut Rng| {
                    fresh += 1;
                    if shape.unique { fresh } else { 1 + rng.below(2) as i64 }
                };
                let act = match rng.below(if shape.cas { 7 } else { 6 }) {
                    0..3 => SmallCall::Read(None),
                    3..6 => SmallCall::Write(value(rng)),
                    _ => SmallCall::Cas(None, value(rng)),
                };
                let node = if rng.percent(80) { who % NODES } else { rng.below(NODES as u64) as usize };
                let key = rng.below(keys as u64) as i64;
                open[who] = Some(calls.len());
                let (session, outcome) = (names[who], Outcome::Info);
                calls.push(Call { session, node, key, act, call: index, reply: u64::MAX, outcome, settle: false });
                index += 1;
            }
            continue;
        };
        let call = &mut calls[at];
        let held = replicas[call.node][call.key as usize];
        let lost = rng.percent(info) && !matches!(call.act, SmallCall::Read(_));
        let written = match call.act {
            SmallCall::Read(_) => {
                call.act = SmallCall::Read(held);
                None
            }
            SmallCall::Write(value) => Some(value),
            SmallCall::Cas(_, value) => {
                call.act = SmallCall::Cas(held, value);
                Some(value)
            }
        };
        if let Some(value) = written.filter(|_| !lost || rng.percent(60)) {
            replicas[call.node][call.key as usize] = Some(value);
            flying.extend((0..NODES).filter(|&node| node != call.node).map(|node| (node, call.key, value)));
        }
        call.reply = index;
        call.outcome = if lost { Outcome::Info } else { Outcome::Ok };
        index += 1;
        if lost {
            names[who] = next_session;
            next_session += 1;
        }
    }
    if shape.settle {
        settle(rng, &mut calls, &mut replicas, &flying, (index, next_session, keys));
    }
    if rng.percent(50) {
        change(rng, &mut calls);
    }
    calls
}

/// Mostly, everything arrives; then every node is asked.
fn settle(
    rng: &mut Rng,
    calls: &mut Vec<Call>,
    replicas: &mut [[Option<i64>; 2]],
    flying: &[(usize, i64, i64)],
    (mut index, mut session, keys): (u64, usize, i64),
) {
    let agree = rng.percent(60);
    for (node, key, value) in flying {
        replicas[*node][*key as usize] = Some(*value);
    }
    for key in 0..keys {
        let value = replicas[0][key as usize];
        for (node, replica) in replicas.iter().enumerate() {
            let value = if agree { value } else { replica[key as usize] };
            let outcome = if rng.percent(5) { Outcome::Info } else { Outcome::Ok };
            let act = SmallCall::Read(value);
            calls.push(Call { session, node, key, act, call: index, reply: index + 1, outcome, settle: true });
            index += 2;
            session += 1;
        }
    }
}

fn change(rng: &mut Rng, calls: &mut [Call]) {
    let most = calls.len() as i64;
    let at = rng.below(calls.len() as u64) as usize;
    let other = Some(rng.below(most as u64 + 1) as i64).filter(|value| *value != 0);
    match &mut calls[at].act {
        SmallCall::Read(value) => *value = other,
        SmallCall::Cas(from, to) if other != Some(*to) => *from = other,
        _ => {}
    }
}

/// As a history of transactions of one or two steps.
pub(crate) fn transactions(calls: &[Call]) -> History {
    let value = |value: Option<i64>| value.map_or(Value::Nil, Value::Int);
    recorded(calls, |call| {
        let step = |f: &str, value: Value| Value::list([Value::text(f), Value::Int(call.key), value]);
        let (steps, reply): (Vec<Value>, Vec<Value>) = match call.act {
            SmallCall::Read(seen) => (vec![step("r", Value::Nil)], vec![step("r", value(seen))]),
            SmallCall::Write(written) => {
                let write = vec![step("w", Value::Int(written))];
                (write.clone(), write)
            }
            SmallCall::Cas(from, to) => {
                let write = step("w", Value::Int(to));
                (vec![step("r", Value::Nil), write.clone()], vec![step("r", value(from)), write])
            }
        };
        ("txn", Value::list(steps), Value::list(reply))
    })
}

/// As a history. A millisecond lies between two records.
pub(crate) fn history(calls: &[Call]) -> History {
    let value = |value: Option<i64>| value.map_or(Value::Nil, Value::Int);
    recorded(calls, |call| match call.act {
        SmallCall::Read(seen) => ("read", Value::Nil, value(seen)),
        SmallCall::Write(written) => ("write", Value::Int(written), Value::Nil),
        SmallCall::Cas(from, to) => ("cas", Value::list([value(from), Value::Int(to)]), Value::Nil),
    })
}

/// The records; of each call its function, argument and reply.
fn recorded(calls: &[Call], words: impl Fn(&Call) -> (&'static str, Value, Value)) -> History {
    let mut records: Vec<(u64, Record)> = Vec::new();
    let nodes: Vec<String> = (1..=NODES).map(|node| format!("n{node}")).collect();
    let time = |index: u64| index * 1_000_000;
    for call in calls {
        let (f, input, output) = words(call);
        let process = call.session as u64;
        records.push((
            call.call,
            Record::Invoke(Invoke {
                index: call.call,
                time: time(call.call),
                worker: call.session as u32,
                process,
                node: nodes[call.node].as_str().into(),
                workload: "register".into(),
                f: f.into(),
                key: Value::Int(call.key),
                value: input,
                settle: call.settle,
            }),
        ));
        let ok = call.outcome == Outcome::Ok;
        let output = if ok { output } else { Value::Nil };
        let done =
            Completion { index: call.reply, time: time(call.reply), process, value: output, error: None, node: None };
        records.push((call.reply, if ok { Record::Ok(done) } else { Record::Info(done) }));
    }
    records.sort_by_key(|(index, _)| *index);
    let mut builder = HistoryBuilder::new();
    let start =
        Record::Start { index: 0, time: 0, version: HISTORY_VERSION, nodes: nodes.clone(), wall: String::new() };
    // Records of a generated history contradict nothing; if they did, the history would be shorter and the test would show it.
    let _ = builder.push(start);
    let end = records.last().map_or(1, |(index, _)| index + 1);
    for (_, record) in records {
        let _ = builder.push(record);
    }
    let _ = builder.push(Record::Phase { index: end, time: time(end), phase: Phase::Settle });
    builder.finish().unwrap_or_default()
}
