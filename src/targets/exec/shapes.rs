//! Replies of objects whose reads are no plain values: logs, watches, elections, what locks guard, decisions and sagas. Pure.
use super::protocol::ReplyDefect;
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, WORKLOADS};

/// The form of a function's reply.
struct Shape {
    object: &'static str,
    function: &'static str,
    /// Whether an answer without a value says too little.
    needed: bool,
    /// The expected form, as the end of a sentence.
    expected: &'static str,
    fits: fn(&Value, &Call) -> bool,
}

const fn shape(
    object: &'static str,
    function: &'static str,
    needed: bool,
    expected: &'static str,
    fits: fn(&Value, &Call) -> bool,
) -> Shape {
    Shape { object, function, needed, expected, fits }
}

const SENT: &str = r#"expected the call as "value", sends with their offsets and polls with their messages: [["send",0,[17,5]],["poll",{"0":[[17,5]]}]]"#;
const LEADS: &str = r#"expected who leads as "value": {"leader":3,"term":7}, or null"#;
const ENTRIES: &str = r#"expected what was accepted as "value", in its order: [[token, value],..]"#;
const REVISION: &str = r#"expected the revision as "value""#;

const SHAPES: &[Shape] = &[
    shape("log", "send", false, SENT, micro_operations),
    shape("log", "poll", true, SENT, micro_operations),
    shape("log", "txn", true, SENT, micro_operations),
    shape("kv", "put", true, REVISION, |value, _| value.as_int().is_some()),
    shape(
        "kv",
        "delete",
        true,
        r#"expected the revision as "value", null where there was nothing to delete"#,
        |value, _| value.is_nil() || value.as_int().is_some(),
    ),
    shape(
        "kv",
        "watch",
        true,
        r#"expected the responses as "value", each a list of events: [[{"revision":7,"type":"put","key":"a","value":5}],..]"#,
        |value, _| all(value, |response| event(response) || all(response, event)),
    ),
    shape("election", "elect", true, LEADS, |value, _| value.is_nil() || leads(value)),
    shape("election", "leader", true, LEADS, |value, _| value.is_nil() || leads(value)),
    shape("election", "log", true, ENTRIES, |value, _| all(value, entry)),
    shape("guarded", "log", true, ENTRIES, |value, _| all(value, entry)),
    shape(
        "guarded",
        "acquire",
        false,
        r#"expected the token as "value", an integer, or false where the lock is held"#,
        |value, _| matches!(value, Value::Nil | Value::Bool(_) | Value::Int(_)),
    ),
    shape("commit", "commit", false, r#"expected the decision as "value": committed or aborted"#, |value, _| {
        value.is_nil() || matches!(value, Value::Bool(_)) || is_one_of(value, &DECISIONS)
    }),
    shape(
        "commit",
        "status",
        true,
        r#"expected the decision as "value": committed, aborted or null, and without a key an object of them by transaction"#,
        |value, call| match value {
            Value::Map(all) if call.key.is_nil() => all.iter().all(|(_, word)| undecided(word)),
            _ => !call.key.is_nil() && undecided(value),
        },
    ),
    shape(
        "saga",
        "start",
        false,
        r#"expected no "value", or how the saga ended: completed or compensated"#,
        |value, _| value.is_nil() || is_one_of(value, &ENDS),
    ),
    shape(
        "saga",
        "log",
        true,
        r#"expected what happened as "value": [["step",1],["compensate",1],"compensated"]"#,
        |value, _| all(value, saga_event),
    ),
];

const DECISIONS: [&str; 4] = ["committed", "aborted", "commit", "abort"];
const ENDS: [&str; 2] = ["completed", "compensated"];

/// The mistake in the reply of a call; none if its form is as expected, or if no form is. `value` is none where the answer has none.
pub(super) fn mistake(call: &Call, value: Option<&Value>) -> Option<ReplyDefect> {
    let object = WORKLOADS.iter().find(|doc| doc.name == &*call.workload)?.object;
    let shape = SHAPES.iter().find(|shape| shape.object == object && shape.function == &*call.f)?;
    let fits = value.map_or(!shape.needed, |value| (shape.fits)(value, call));
    (!fits).then(|| ReplyDefect::Malformed(shape.expected.to_owned()))
}

fn all(value: &Value, fits: fn(&Value) -> bool) -> bool {
    value.as_list().is_some_and(|list| list.iter().all(fits))
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    matches!(value, Value::Text(word) if words.contains(&&**word))
}

/// A decision, or another word or nothing where there is none yet.
fn undecided(value: &Value) -> bool {
    matches!(value, Value::Nil | Value::Text(_))
}

fn part<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Map(entries) = value else { return None };
    entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
}

fn leads(value: &Value) -> bool {
    let leader = part(value, "leader").is_some_and(|leader| leader.as_int().is_some());
    leader && part(value, "term").is_some_and(|term| term.as_int().is_some())
}

/// `[token, value]`.
fn entry(value: &Value) -> bool {
    matches!(value.as_list(), Some([Value::Int(_), Value::Int(_)]))
}

fn event(value: &Value) -> bool {
    let kind = part(value, "type");
    let is = |name: &str| matches!(kind, Some(Value::Text(kind)) if &**kind == name);
    let key = || matches!(part(value, "key"), Some(Value::Text(_)));
    let changed = || is("delete") || (is("put") && part(value, "value").is_some_and(|value| value.as_int().is_some()));
    part(value, "revision").is_some_and(|at| at.as_int().is_some()) && (is("progress") || (key() && changed()))
}

fn saga_event(value: &Value) -> bool {
    is_one_of(value, &ENDS)
        || match value.as_list() {
            Some([word, Value::Int(_)]) => is_one_of(word, &["step", "compensate"]),
            Some([word]) => is_one_of(word, &ENDS),
            _ => false,
        }
}

/// The micro-operations of the call in their order: sends as they were asked or with `[offset, message]`, polls with what they found.
fn micro_operations(value: &Value, call: &Call) -> bool {
    let (Some(asked), Some(answered)) = (call.value.as_list(), value.as_list()) else { return false };
    let answers = |(asked, answered): (&Value, &Value)| match (asked.as_list(), answered.as_list()) {
        (Some([_, log, message]), Some([Value::Text(name), same, reply])) => {
            let placed = |pair: &[Value]| matches!(pair, [Value::Int(_) | Value::Nil, sent] if sent == message);
            &**name == "send" && log == same && (reply == message || reply.as_list().is_some_and(placed))
        }
        (Some([_]), Some([Value::Text(name), polled])) => &**name == "poll" && messages(polled),
        _ => false,
    };
    asked.len() == answered.len() && asked.iter().zip(answered).all(answers)
}

/// `{log: [[offset, message],..]}`.
fn messages(polled: &Value) -> bool {
    let Value::Map(logs) = polled else { return false };
    logs.iter().all(|(_, list)| all(list, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("a value")
    }

    /// Whether the reply to this call has the expected form.
    fn fits(workload: &str, f: &str, (key, asked): (&str, &str), reply: &str) -> bool {
        let call = Call { workload: workload.into(), f: f.into(), key: value(key), value: value(asked) };
        let reply = (!reply.is_empty()).then(|| value(reply));
        mistake(&call, reply.as_ref()).is_none()
    }

    const NONE: (&str, &str) = ("null", "null");

    #[test]
    fn logs_repeat_the_call_with_offsets_and_messages() {
        let send = ("null", r#"[["send",0,5]]"#);
        for reply in ["", r#"[["send",0,5]]"#, r#"[["send",0,[17,5]]]"#, r#"[["send",0,[null,5]]]"#] {
            assert!(fits("log", "send", send, reply), "{reply}");
        }
        for reply in ["17", "[]", r#"[["send",1,[17,5]]]"#, r#"[["send",0,[17,6]]]"#, r#"[["send",0,17]]"#] {
            assert!(!fits("log", "send", send, reply), "{reply}");
        }
        let both = ("null", r#"[["poll"],["send",0,5]]"#);
        assert!(fits("log", "txn", both, r#"[["poll",{"0":[[1,4],[2,6]],"1":[]}],["send",0,[17,5]]]"#));
        for reply in
            ["", r#"[["poll"],["send",0,5]]"#, r#"[["poll",{"0":[4]}],["send",0,5]]"#, r#"[["poll",[]],["send",0,5]]"#]
        {
            assert!(!fits("log", "txn", both, reply), "{reply}");
        }
        assert!(fits("log", "assign", ("null", "[0]"), ""));
    }

    #[test]
    fn watches_reply_with_events() {
        let watch = ("null", r#"{"revision":1,"for_ms":9}"#);
        let event = r#"{"revision":7,"type":"put","key":"0/1","value":5}"#;
        let deleted = r#"{"revision":8,"type":"delete","key":"0/1"}"#;
        for reply in ["[]", &format!("[[{event},{deleted}],{event}]"), r#"[{"revision":9,"type":"progress"}]"#] {
            assert!(fits("watch", "watch", watch, reply), "{reply}");
        }
        for reply in
            ["", "null", r#"[[{"type":"put","key":"a","value":5}]]"#, r#"[[{"revision":7,"type":"put","key":"a"}]]"#]
        {
            assert!(!fits("watch", "watch", watch, reply), "{reply}");
        }
        let key = (r#""0/1""#, "5");
        assert!(fits("watch", "put", key, "7") && !fits("watch", "put", key, "") && !fits("watch", "put", key, "null"));
        assert!(fits("watch", "delete", key, "null") && !fits("watch", "delete", key, ""));
    }

    #[test]
    fn elections_and_locks_reply_with_terms_and_tokens() {
        let leader = r#"{"leader":3,"term":7}"#;
        assert!(fits("election", "elect", ("null", "3"), leader) && fits("election", "leader", NONE, "null"));
        for reply in ["", "true", r#"{"leader":3}"#, r#"{"leader":"n1","term":7}"#] {
            assert!(!fits("election", "elect", ("null", "3"), reply), "{reply}");
        }
        for workload in ["election", "lock-set"] {
            assert!(fits(workload, "log", NONE, "[[7,1],[7,2]]") && !fits(workload, "log", NONE, "[[7]]"));
        }
        assert!(["", "null", "false", "41"].iter().all(|reply| fits("lock-set", "acquire", NONE, reply)));
        assert!(!fits("lock-set", "acquire", NONE, r#""41""#));
    }

    #[test]
    fn decisions_and_sagas_reply_with_words() {
        assert!(["", "true", r#""aborted""#].iter().all(|reply| fits("atomic-commit", "commit", ("1", "null"), reply)));
        assert!(!fits("atomic-commit", "commit", ("1", "null"), r#""yes""#));
        assert!(fits("atomic-commit", "status", ("1", "null"), r#""committed""#));
        assert!(fits("atomic-commit", "status", NONE, r#"{"1":"committed","2":null}"#));
        assert!(
            !fits("atomic-commit", "status", NONE, r#""committed""#)
                && !fits("atomic-commit", "status", ("1", "0"), "")
        );
        let log = r#"[["step",1],["step",2],["compensate",2],["compensate",1],"compensated"]"#;
        assert!(fits("saga", "log", ("1", "null"), log) && fits("saga", "log", ("1", "null"), "[]"));
        assert!(!fits("saga", "log", ("1", "null"), "null") && !fits("saga", "log", ("1", "null"), r#"[["done",1]]"#));
        assert!(fits("saga", "start", ("1", "[1]"), "") && !fits("saga", "start", ("1", "[1]"), "7"));
    }
}
