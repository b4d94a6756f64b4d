//! Histories written down again: as our own JSON lines, and as Jepsen's operation maps in EDN, which Jepsen, Knossos
//! and elle-cli read. `export::parquet` (feature `parquet`) is for tables.
#[cfg(feature = "parquet")]
pub mod parquet;

use super::{
    Completion, Fault, FaultEvent, FaultStep, HISTORY_VERSION, History, Invoke, Mark, Op, Outcome, ProcessEvent,
    Record, write_record,
};
use crate::functions::{Argument, FunctionKind, function_of};
use crate::value::{Kind, ValueRef};
use std::io::{self, Write};
use std::sync::Arc;

/// Something that has its index.
#[derive(Clone, Copy)]
enum Event {
    Call(usize),
    Reply(usize),
    Role(usize),
    Process(usize),
    Phase(usize),
    Fault(usize, FaultStep),
}

/// Everything with an index, in order.
fn events(history: &History) -> Vec<(Mark, Event)> {
    let mut events = Vec::with_capacity(2 * history.ops().len());
    for (at, op) in history.ops().iter().enumerate() {
        events.push((Mark { index: op.call, time: op.call_time }, Event::Call(at)));
        if op.reply != Op::OPEN {
            events.push((Mark { index: op.reply, time: op.reply_time }, Event::Reply(at)));
        }
    }
    for (at, role) in history.roles.iter().enumerate() {
        events.push((Mark { index: role.index, time: role.time }, Event::Role(at)));
    }
    for (at, event) in history.processes.iter().enumerate() {
        events.push((Mark { index: event.index, time: event.time }, Event::Process(at)));
    }
    for (at, (_, mark)) in history.phases.iter().enumerate() {
        events.push((*mark, Event::Phase(at)));
    }
    for (at, fault) in history.faults.iter().enumerate() {
        let steps = [
            (fault.triggered, FaultStep::Triggered),
            (fault.begun, FaultStep::Begun),
            (fault.proven, FaultStep::Proven),
            (fault.reproven, FaultStep::Reproven),
            (fault.heal_begun, FaultStep::HealBegun),
            (fault.healed, FaultStep::Healed),
        ];
        events.extend(steps.into_iter().filter_map(|(mark, step)| Some((mark?, Event::Fault(at, step)))));
    }
    events.sort_by_key(|(mark, _)| mark.index);
    events
}

/// Writes a history as JSON lines that [`super::read_jsonl`] reads as the same history: operations, indices and times,
/// faults, roles, phases and notes. Indices that no kept record has (an event of a fault other than those with a mark)
/// are filled with what else is known of the faults, or with a note that says so.
pub fn write_jsonl(history: &History, writer: &mut impl Write) -> io::Result<()> {
    let events = events(history);
    let mut out = Lines { writer, index: 0, time: 0 };
    if events.first().is_none_or(|(mark, _)| mark.index > 0) {
        out.start(history)?;
    }
    let mut notes = history.notes.iter().peekable();
    let mut extras = history.faults.iter().flat_map(extras).peekable();
    for (mark, event) in events {
        while out.index < mark.index {
            let note = notes.next_if(|(time, ..)| *time <= mark.time);
            let record = match (note, note.is_none().then(|| extras.next()).flatten()) {
                (Some((time, node, text)), _) => out.note(*time, node, text),
                (None, Some((fault, step))) => out.fault(fault, step),
                (None, None) => out.note(0, "", "a record that was not kept"),
            };
            out.write(&record)?;
        }
        out.time = mark.time;
        let record = out.event(history, event);
        out.write(&record)?;
    }
    for (fault, step) in extras {
        let record = out.fault(fault, step);
        out.write(&record)?;
    }
    for (time, node, text) in notes {
        let record = out.note(*time, node, text);
        out.write(&record)?;
    }
    if history.complete {
        let record = Record::End { index: out.index, time: out.time.max(history.end_time) };
        out.write(&record)?;
    }
    Ok(())
}

/// What is known of a fault beside the steps that have marks.
fn extras(fault: &Fault) -> impl Iterator<Item = (&Fault, FaultStep)> {
    let steps = [
        (!fault.planned.is_empty(), FaultStep::Planned),
        (fault.begun.is_none(), FaultStep::Resolved),
        (fault.lapsed, FaultStep::Lapsed),
        (fault.unhealed, FaultStep::Unhealed),
        (fault.not_triggered, FaultStep::NotTriggered),
        (fault.missed, FaultStep::Missed),
        (fault.self_healed.is_some(), FaultStep::SelfHealed),
    ];
    steps.into_iter().filter(|(known, _)| *known).map(move |(_, step)| (fault, step))
}

struct Lines<'w, W> {
    writer: &'w mut W,
    index: u64,
    time: u64,
}

impl<W: Write> Lines<'_, W> {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.index += 1;
        write_record(self.writer, record)
    }

    fn start(&mut self, history: &History) -> io::Result<()> {
        let (nodes, wall) = (history.nodes.clone(), history.wall.clone());
        let record = Record::Start { index: 0, time: 0, version: HISTORY_VERSION, nodes, wall };
        if history.realtime {
            return self.write(&record);
        }
        self.index += 1;
        let mut fields = serde_json::to_value(&record)?;
        fields["realtime"] = false.into();
        serde_json::to_writer(&mut *self.writer, &fields)?;
        self.writer.write_all(b"\n")
    }

    fn note(&mut self, time: u64, node: &str, text: &str) -> Record {
        self.time = self.time.max(time);
        Record::Note { index: self.index, time: self.time, node: node.to_owned(), text: text.to_owned() }
    }

    fn fault(&self, fault: &Fault, step: FaultStep) -> Record {
        let first = step == FaultStep::Begun || step == FaultStep::Resolved;
        Record::Fault(FaultEvent {
            index: self.index,
            time: self.time,
            fault: fault.id,
            kind: fault.kind.as_str().into(),
            step,
            what: match step {
                FaultStep::Planned => fault.planned.clone(),
                _ if first => fault.what.clone(),
                _ => String::new(),
            },
            nodes: if first { fault.nodes.clone() } else { Vec::new() },
            cut: if first { fault.cut.clone() } else { Vec::new() },
            detail: if first { fault.detail.clone() } else { Vec::new() },
            ended: fault.self_healed.filter(|_| step == FaultStep::SelfHealed),
            problem: fault.problems.first().copied().filter(|_| first),
            name: fault.name.clone(),
            entry: None,
            damages: fault.damages,
        })
    }

    fn event(&self, history: &History, event: Event) -> Record {
        let (index, time) = (self.index, self.time);
        let name = |id| Arc::from(history.name(id));
        match event {
            Event::Call(at) => {
                let op = history.ops().at(at);
                Record::Invoke(Invoke {
                    index,
                    time,
                    worker: op.worker,
                    process: op.process,
                    node: name(history.bound_node(&op)),
                    workload: name(op.workload),
                    f: name(op.function),
                    key: op.key.to_value(),
                    value: op.input.to_value(),
                    settle: op.settle,
                })
            }
            Event::Reply(at) => {
                let op = history.ops().at(at);
                let (process, value, error) = (op.process, op.completion_value.to_value(), op.error.map(name));
                let node = Some(op.node).filter(|node| *node != history.bound_node(&op)).map(name);
                let reply = Completion { index, time, process, value, error, node };
                match op.outcome {
                    Outcome::Ok => Record::Ok(reply),
                    Outcome::Fail => Record::Fail(reply),
                    Outcome::Info => Record::Info(reply),
                }
            }
            Event::Role(at) => Record::Role(history.roles[at].clone()),
            Event::Process(at) => Record::Process(history.processes[at].clone()),
            Event::Phase(at) => Record::Phase { index, time, phase: history.phases[at].0 },
            Event::Fault(at, step) => self.fault(&history.faults[at], step),
        }
    }
}

/// How keys stand in EDN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// As a field of its own, `:key`.
    #[default]
    Field,
    /// With the value, `[key value]`, as `jepsen.independent` has them.
    Pair,
}

/// Writes the operations of a history as Jepsen's maps, one a line, with the faults as the nemesis' operations.
///
/// Names become keywords where Jepsen has keywords: functions, the first word of a micro-operation, names of maps. A
/// completion repeats the argument where there is no reply, as Jepsen's do. A compare-and-set that was answered with a
/// mismatch (Ok, `false`) becomes a `:fail`: Jepsen knows no other word for it. The reply of a write, put, append, push
/// or enqueue of nil is left out: there it would stand for the argument.
pub fn write_edn(history: &History, keys: Keys, writer: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for (number, (mark, event)) in events(history).into_iter().enumerate() {
        line.clear();
        line.push_str(&format!("{{:index {number}, :time {}, ", mark.time));
        match event {
            Event::Call(at) => call(&mut line, history, history.ops().at(at), keys),
            Event::Reply(at) => reply(&mut line, history, history.ops().at(at), keys),
            Event::Fault(at, step) => nemesis(&mut line, &history.faults[at], step),
            Event::Role(at) => {
                let role = &history.roles[at];
                line.push_str(":type :info, :process :roles, :f :role, :value ");
                text(&mut line, &format!("{} {}", role.node, role.role));
            }
            Event::Process(at) => {
                let ProcessEvent { node, process, step, how, .. } = &history.processes[at];
                line.push_str(":type :info, :process :target, :f ");
                word(&mut line, step.name());
                line.push_str(", :value ");
                text(&mut line, [&**node, &**process, how].join(" ").trim_end());
            }
            Event::Phase(at) => {
                line.push_str(":type :info, :process :phases, :f :phase, :value ");
                text(&mut line, &format!("{:?}", history.phases[at].0).to_lowercase());
            }
        }
        line.push_str("}\n");
        writer.write_all(line.as_bytes())?;
    }
    Ok(())
}

fn call(line: &mut String, history: &History, op: Op<'_>, keys: Keys) {
    line.push_str(":type :invoke");
    common(line, history, op, op.input, keys);
    line.push_str(", :node ");
    text(line, history.name(history.bound_node(&op)));
    line.push_str(", :workload ");
    word(line, history.name(op.workload));
    if op.settle {
        line.push_str(", :final? true");
    }
}

fn reply(line: &mut String, history: &History, op: Op<'_>, keys: Keys) {
    let function = function_of(history, &op);
    let mismatch =
        op.outcome == Outcome::Ok && function.argument == Argument::Swap && op.output.as_bool() == Some(false);
    line.push_str(match op.outcome {
        Outcome::Ok if !mismatch => ":type :ok",
        Outcome::Ok | Outcome::Fail => ":type :fail",
        Outcome::Info => ":type :info",
    });
    // What such a function answers without an argument would be read as its argument.
    let filled = op.input.is_nil() && function.argument.chosen_late();
    // Jepsen takes the value of such a completion for the argument: a count or a version is none. A queue that answers false
    // took nothing.
    let brings = matches!(function.argument, Argument::Value | Argument::Element | Argument::Swap);
    let refused = function.kind == FunctionKind::Write && op.output.as_bool() == Some(false);
    let changes = function.kind.is_write() && brings && !refused && !op.input.is_nil();
    let filled = filled || (changes && op.completion_value.as_list().is_none());
    let answered = !mismatch && !filled && !op.completion_value.is_nil();
    common(line, history, op, if answered { op.completion_value } else { op.input }, keys);
    if let Some(error) = op.error {
        line.push_str(", :error ");
        word(line, history.name(error));
    }
    if op.node != history.bound_node(&op) {
        line.push_str(", :node ");
        text(line, history.name(op.node));
    }
}

fn common(line: &mut String, history: &History, op: Op<'_>, content: ValueRef<'_>, keys: Keys) {
    let function = history.name(op.function);
    line.push_str(&format!(", :process {}, :f ", op.process));
    word(line, function);
    let pair = keys == Keys::Pair && !op.key.is_nil();
    if pair {
        line.push_str(", :value [");
        value(line, op.key, false);
        line.push(' ');
    } else {
        if !op.key.is_nil() {
            line.push_str(", :key ");
            value(line, op.key, false);
        }
        line.push_str(", :value ");
    }
    value(line, content, function == "txn");
    if pair {
        line.push(']');
    }
}

fn nemesis(line: &mut String, fault: &Fault, step: FaultStep) {
    let verb = match step {
        FaultStep::Begun => "start",
        FaultStep::Healed => "stop",
        FaultStep::Proven => "proven",
        FaultStep::Reproven => "reproven",
        FaultStep::Triggered => "triggered",
        _ => "stopping",
    };
    line.push_str(":type :info, :process :nemesis, :f ");
    word(line, &format!("{verb}-{}", fault.kind));
    line.push_str(", :value ");
    text(line, &fault.what);
}

/// A keyword where the text can be one, otherwise the text.
fn word(line: &mut String, name: &str) {
    if is_word(name) {
        line.push(':');
        line.push_str(name);
    } else {
        text(line, name);
    }
}

fn is_word(name: &str) -> bool {
    let inner =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'?' | b'!' | b'*' | b'+');
    name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && name.bytes().all(inner)
}

fn text(line: &mut String, text: &str) {
    line.push('"');
    for letter in text.chars() {
        match letter {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            letter if (letter as u32) < 0x20 => line.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => line.push(letter),
        }
    }
    line.push('"');
}

/// What is still to be written of a value.
enum Left<'h> {
    Value(ValueRef<'h>),
    /// The first word of a micro-operation.
    Head(ValueRef<'h>),
    Name(&'h str),
    Mark(&'static str),
}

/// Writes a value. Of a transaction, the first words of its parts are keywords. Depth is on a stack of our own.
fn value(line: &mut String, root: ValueRef<'_>, transaction: bool) {
    let mut left = vec![Left::Value(root)];
    let mut micro = transaction;
    while let Some(next) = left.pop() {
        let next = match next {
            Left::Mark(mark) => {
                line.push_str(mark);
                continue;
            }
            Left::Name(name) => {
                match name.parse::<i64>() {
                    Ok(number) if number.to_string() == name => line.push_str(name),
                    _ => word(line, name),
                }
                continue;
            }
            Left::Head(head) => {
                match head.as_text() {
                    Some(name) => word(line, name),
                    None => left.push(Left::Value(head)),
                }
                continue;
            }
            Left::Value(next) => next,
        };
        match next.kind() {
            Kind::Nil => line.push_str("nil"),
            Kind::Bool(flag) => line.push_str(if flag { "true" } else { "false" }),
            Kind::Int(number) => line.push_str(&number.to_string()),
            Kind::Text(content) => text(line, content),
            Kind::List(list) => {
                left.push(Left::Mark("]"));
                for (at, item) in list.iter().enumerate().rev() {
                    // Of the transaction itself every item is a part, and each part begins with its word.
                    match item.as_list().filter(|_| micro) {
                        Some(part) => {
                            left.push(Left::Mark("]"));
                            for (place, inner) in part.iter().enumerate().rev() {
                                left.push(if place == 0 { Left::Head(inner) } else { Left::Value(inner) });
                                left.push(Left::Mark(if place == 0 { "" } else { " " }));
                            }
                            left.push(Left::Mark("["));
                        }
                        None => left.push(Left::Value(item)),
                    }
                    left.push(Left::Mark(if at == 0 { "" } else { " " }));
                }
                line.push('[');
                micro = false;
            }
            Kind::Map(map) => {
                left.push(Left::Mark("}"));
                let entries: Vec<_> = map.iter().collect();
                for (at, (name, item)) in entries.into_iter().enumerate().rev() {
                    left.push(Left::Value(item));
                    left.push(Left::Mark(" "));
                    left.push(Left::Name(name));
                    left.push(Left::Mark(if at == 0 { "" } else { ", " }));
                }
                line.push('{');
            }
        }
    }
}
