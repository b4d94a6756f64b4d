//! How findings speak of operations, times and elements. One way for all checkers.
use crate::functions::{brought, describe};
use crate::history::{Fault, History, Op, Outcome};
use crate::value::Value;

/// The title of every finding, `Stale read of key 7: #5 returned 3 ..`: the kind in words, the key unless it is nil, and what
/// happened.
pub(crate) fn title(kind: &str, key: &Value, what: &str) -> String {
    let on = if key.is_nil() { String::new() } else { format!(" of key {key}") };
    format!("{}{on}: {what}", kind_in_words(kind))
}

/// A kind of finding in words: `stale-read` as `Stale read`. Names of the literature (`G1c`, `CO`) keep their letters.
fn kind_in_words(kind: &str) -> String {
    match kind {
        "nonlinearizable" => return "Nonlinearizable history".to_owned(),
        "not-k-atomic" => return "Not k-atomic".to_owned(),
        "not-delta-atomic" => return "Not delta-atomic".to_owned(),
        _ if kind.starts_with('G') => return kind.to_owned(),
        _ => {}
    }
    let word = |word: &str| match word {
        "co" | "cf" | "hb" => word.to_uppercase(),
        _ => word.to_owned(),
    };
    let words = kind.split('-').map(word).collect::<Vec<_>>().join(" ");
    let first = words.chars().next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(words.chars().skip(1)).collect()
}

/// A time in seconds with milliseconds, `12.034 s`.
pub(crate) fn seconds(nanoseconds: u64) -> String {
    let ms = (nanoseconds + 500_000) / 1_000_000;
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

/// One sentence about an operation: its process, node, call and times.
pub(crate) fn operation(history: &History, op: &Op<'_>) -> String {
    operation_as(history, op, &describe(history, op))
}

/// The same with a description of its own.
pub(crate) fn operation_as(history: &History, op: &Op<'_>, deed: &str) -> String {
    let process = op.process;
    let when = match op.outcome {
        Outcome::Ok => format!("called at {}, answered at {}", seconds(op.call_time), seconds(op.reply_time)),
        Outcome::Fail => format!("called at {}, refused at {}", seconds(op.call_time), seconds(op.reply_time)),
        Outcome::Info => {
            let why = op.error.map(|error| format!(" ({})", history.name(error))).unwrap_or_default();
            format!(
                "called at {}, never acknowledged{why}: it may take effect at any later time",
                seconds(op.call_time)
            )
        }
    };
    format!("#{}: process {process}{} {deed}; {when}.", op.call, on(history, op))
}

/// Refused calls that would have brought this value before this reply of the same object.
pub(crate) fn refused<'h>(history: &'h History, reply: &Op<'_>, value: &Value) -> Vec<Op<'h>> {
    let brings = |op: &Op<'_>| {
        let same = op.workload == reply.workload && op.key == reply.key;
        let before = op.outcome == Outcome::Fail && op.call < reply.reply;
        same && before && brought(history, op).is_some_and(|brought| brought == *value)
    };
    history.ops().iter().filter(brings).collect()
}

/// Why something should not be there: `which no call had added`, or only refused calls.
pub(crate) fn not_done(refused: &[Op<'_>], done: &str) -> String {
    match refused {
        [] => format!("which no call had {done}"),
        [one] => format!("which only #{} had {done}, and that was refused", one.call),
        [first, rest @ ..] => {
            let others = count(rest.len(), "other call");
            format!("which only #{} and {others} had {done}, and all were refused", first.call)
        }
    }
}

/// Whether the history says where the call went: those of other programs may not.
pub(crate) fn placed(history: &History, op: &Op<'_>) -> bool {
    !matches!(history.name(op.node), "" | "?")
}

/// ` on n1`, or nothing where no node is known.
pub(crate) fn on(history: &History, op: &Op<'_>) -> String {
    on_all(history, std::slice::from_ref(op))
}

/// ` on n1, n2`, or nothing where no node is known.
pub(crate) fn on_all(history: &History, ops: &[Op<'_>]) -> String {
    let nodes = nodes_of(history, ops);
    if nodes.is_empty() { String::new() } else { format!(" on {}", nodes.join(", ")) }
}

/// Ids of the faults that may have been in force between the first call and the last reply of these operations.
pub(crate) fn faults_around(history: &History, ops: &[Op<'_>]) -> Vec<u64> {
    let from = ops.iter().map(|op| op.call_time).min().unwrap_or(0);
    let replies = ops.iter().map(|op| op.reply_time).filter(|&time| time != Op::OPEN);
    let to = replies.chain(ops.iter().map(|op| op.call_time)).max().unwrap_or(0);
    history.faults_within(from, to).iter().map(|fault| fault.id).collect()
}

/// Nodes of these operations, as far as they are known, each once, in order of name.
pub(crate) fn nodes_of(history: &History, ops: &[Op<'_>]) -> Vec<String> {
    let known = ops.iter().filter(|op| placed(history, op));
    let mut nodes: Vec<String> = known.map(|op| history.name(op.node).to_owned()).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

/// One sentence about faults that may have been in force, or nothing.
pub(crate) fn faults(history: &History, ids: &[u64]) -> Option<String> {
    let mut named: Vec<String> = history.faults.iter().filter(|fault| ids.contains(&fault.id)).map(fault).collect();
    let more = named.len().saturating_sub(4);
    named.truncate(4);
    if more > 0 {
        named.push(format!("{more} more"));
    }
    (!named.is_empty()).then(|| format!("Possibly in force meanwhile: {}.", named.join("; ")))
}

/// A fault by its id and words, `fault 3 (partition: n1 | n2 n3)`.
pub(crate) fn fault(fault: &Fault) -> String {
    let words = [&fault.what, &fault.planned, &fault.kind].into_iter().find(|text| !text.is_empty());
    let id = fault.label();
    format!("fault {id} ({})", words.map_or("", |text| text.as_str()))
}

/// Elements: runs of integers as ranges, at most `limit` entries.
pub(crate) fn elements(values: &[Value], limit: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort();
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for value in sorted {
        let follows = entries.last().and_then(|(_, last)| last.as_int()).and_then(|last| last.checked_add(1));
        match entries.last_mut() {
            Some((_, last)) if follows.is_some() && follows == value.as_int() => *last = value,
            _ => entries.push((value.clone(), value)),
        }
    }
    let more = entries.len().saturating_sub(limit);
    let text =
        |(first, last): &(Value, Value)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let mut shown: Vec<String> = entries.iter().take(limit).map(text).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// `1 key`, `2 keys`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_begin_with_the_kind() {
        let titles = [
            ("stale-read", Value::Int(7), "Stale read of key 7: x"),
            ("nonlinearizable", Value::Int(7), "Nonlinearizable history of key 7: x"),
            ("not-k-atomic", Value::Nil, "Not k-atomic: x"),
            ("G-single-item-process", Value::Nil, "G-single-item-process: x"),
            ("write-co-init-read", Value::text("a"), "Write CO init read of key \"a\": x"),
        ];
        for (kind, key, whole) in titles {
            assert_eq!(title(kind, &key, "x"), whole);
        }
    }
}
