//! Replies of transactions: the list of micro-operations that was asked for, with the reads filled in. Pure.
use super::protocol::ReplyDefect;
use super::values;
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_workloads::Call;

const READ: &str = "r";
/// Shows all rows that match a predicate.
const SELECT: &str = "rp";

/// Micro-operations whose replies are known. Others are accepted as they are answered.
const CHECKED: [&str; 6] = [READ, SELECT, "w", "append", "insert", "delete"];

/// The parts of a micro-operation: name, key, value.
fn parts(micro_operation: &Value) -> Option<(&str, &Value, &Value)> {
    match micro_operation.as_list()? {
        [Value::Text(name), key, value] => Some((name, key, value)),
        _ => None,
    }
}

/// The reply of a transaction that is Ok and says no more: what was asked, if nothing was to be read.
pub(super) fn unsaid(call: &Call, reads: Reads) -> Result<Value, ReplyDefect> {
    if !is_checked(reads) {
        return Ok(Value::Nil);
    }
    let asked = call.value.as_list().unwrap_or_default();
    match asked.iter().filter_map(parts).any(|(name, ..)| matches!(name, READ | SELECT)) {
        true => Err(expected("its reads filled in")),
        false => Ok(call.value.clone()),
    }
}

/// Checks a reply against the transaction: the same micro-operations, and reads of what was written.
pub(super) fn filled_in(reply: Value, call: &Call, reads: Reads) -> Result<Value, ReplyDefect> {
    let asked = call.value.as_list().filter(|_| is_checked(reads));
    let Some(asked) = asked else { return Ok(reply) };
    let answered = reply.as_list().filter(|answered| answered.len() == asked.len());
    let Some(answered) = answered else { return Err(expected("all its micro-operations, in their order")) };
    for (asked, answered) in asked.iter().zip(answered) {
        let read = match (parts(asked), parts(answered)) {
            (Some((READ, key, _)), Some((READ, same, read))) if key == same => read,
            (Some((SELECT, asked, _)), Some((SELECT, same, rows))) if asked == same => {
                selected(rows)?;
                continue;
            }
            (Some((name, ..)), Some((same, ..))) if name == same && !CHECKED.contains(&name) => continue,
            _ if asked == answered => continue,
            _ => return Err(expected(&format!("{asked} where it has {answered}"))),
        };
        believe(read, reads)?;
    }
    Ok(reply)
}

/// Replies of other transactions, as those of a log, have other shapes.
fn is_checked(reads: Reads) -> bool {
    matches!(reads, Reads::Value | Reads::Elements)
}

fn expected(what: &str) -> ReplyDefect {
    ReplyDefect::Malformed(format!("expected the transaction as \"value\", with {what}"))
}

/// Rows that match a predicate: `{key: value}`.
fn selected(rows: &Value) -> Result<(), ReplyDefect> {
    let Value::Map(rows) = rows else {
        return Err(expected(r#"an object of all rows that match a predicate, {"7":3}"#));
    };
    match rows.iter().find(|(_, value)| !matches!(value, Value::Int(_))) {
        None => Ok(()),
        Some((key, value)) => Err(ReplyDefect::Unbelieved(format!(
            "a read by a predicate returned for key {key} {}",
            values::mistyped(value, "written")
        ))),
    }
}

/// Only integers are written. A key that nothing was written to reads as null; a list of none may be empty too.
fn believe(read: &Value, reads: Reads) -> Result<(), ReplyDefect> {
    let unbelieved = |value: &Value, verb: &str| {
        Err(ReplyDefect::Unbelieved(format!("a read of a transaction returned {}", values::mistyped(value, verb))))
    };
    match (read, reads) {
        (Value::Nil, _) | (Value::Int(_), Reads::Value) => Ok(()),
        (Value::List(elements), Reads::Elements) => {
            let other = elements.iter().find(|element| !matches!(element, Value::Int(_)));
            other.map_or(Ok(()), |other| unbelieved(other, "appended"))
        }
        (other, Reads::Elements) => {
            let shown = super::super::node_commands::head(&other.to_string());
            Err(ReplyDefect::Unbelieved(format!("a read of a transaction returned {shown}, and a key holds a list")))
        }
        (other, _) => unbelieved(other, "written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("a value")
    }

    fn call(json: &str) -> Call {
        Call { workload: "list-append".into(), f: "txn".into(), key: Value::Nil, value: value(json) }
    }

    fn why(defect: ReplyDefect) -> (bool, String) {
        match defect {
            ReplyDefect::Malformed(why) => (true, why),
            ReplyDefect::Unbelieved(why) => (false, why),
        }
    }

    #[test]
    fn a_reply_is_the_transaction_with_its_reads() {
        let lists = call(r#"[["r",1,null],["append",1,5],["r",2,null]]"#);
        for reply in [r#"[["r",1,[3,4]],["append",1,5],["r",2,null]]"#, r#"[["r",1,[]],["append",1,5],["r",2,[7]]]"#] {
            assert_eq!(filled_in(value(reply), &lists, Reads::Elements), Ok(value(reply)));
        }
        let registers = call(r#"[["r",1,null],["w",1,5]]"#);
        for reply in [r#"[["r",1,3],["w",1,5]]"#, r#"[["r",1,null],["w",1,5]]"#] {
            assert_eq!(filled_in(value(reply), &registers, Reads::Value), Ok(value(reply)));
        }
        let log = call(r#"[["send",1,5]]"#);
        let offsets = value(r#"[["send",1,[0,5]]]"#);
        assert_eq!(filled_in(offsets.clone(), &log, Reads::Anything), Ok(offsets));
    }

    #[test]
    fn a_read_by_a_predicate_shows_rows_of_integers() {
        let asked = call(r#"[["rp",["=",3],null],["insert",7,3],["delete",1,null],["r",7,null]]"#);
        let reply =
            |rows: &str| value(&format!(r#"[["rp",["=",3],{rows}],["insert",7,3],["delete",1,null],["r",7,3]]"#));
        for rows in ["{}", r#"{"5":3,"6":3}"#] {
            assert_eq!(filled_in(reply(rows), &asked, Reads::Value), Ok(reply(rows)));
        }
        for (rows, malformed, says) in [
            ("null", true, "an object of all rows that match"),
            ("[5]", true, "an object of all rows that match"),
            (r#"{"5":"3"}"#, false, "for key 5"),
        ] {
            let (form, why) = why(filled_in(reply(rows), &asked, Reads::Value).expect_err(rows));
            assert!(form == malformed && why.contains(says), "{rows}: {why}");
        }
        let other = value(r#"[["rp",["=",4],{}],["insert",7,3],["delete",1,null],["r",7,3]]"#);
        assert!(matches!(filled_in(other, &asked, Reads::Value), Err(ReplyDefect::Malformed(_))));
        assert!(unsaid(&asked, Reads::Value).is_err(), "what a predicate shows must be said");
    }

    #[test]
    fn a_reply_of_another_transaction_is_malformed() {
        let asked = call(r#"[["r",1,null],["append",1,5]]"#);
        for (reply, expected) in [
            ("true", "all its micro-operations"),
            (r#"[["r",1,[3]]]"#, "all its micro-operations"),
            (r#"[["append",1,5],["r",1,[3]]]"#, "[\"r\", 1, nil]"),
            (r#"[["r","1",[3]],["append",1,5]]"#, "[\"r\", 1, nil]"),
            (r#"[["r",1,[3]],["append",1,6]]"#, "[\"append\", 1, 5]"),
            (r#"[["r",1],["append",1,5]]"#, "[\"r\", 1, nil]"),
        ] {
            let (malformed, why) = why(filled_in(value(reply), &asked, Reads::Elements).expect_err(reply));
            assert!(malformed && why.contains(expected), "{reply}: {why}");
        }
    }

    #[test]
    fn a_read_of_another_type_is_not_believed() {
        let asked = call(r#"[["r",1,null]]"#);
        for (read, reads, expected) in [
            (r#"["3"]"#, Reads::Elements, "a text, and only integers were appended"),
            ("[[3]]", Reads::Elements, "a list, and only integers were appended"),
            (r#""3,4""#, Reads::Elements, "and a key holds a list"),
            ("3", Reads::Elements, "and a key holds a list"),
            (r#""3""#, Reads::Value, "a text, and only integers were written"),
            ("[3]", Reads::Value, "a list, and only integers were written"),
        ] {
            let reply = value(&format!(r#"[["r",1,{read}]]"#));
            let (malformed, why) = why(filled_in(reply, &asked, reads).expect_err(read));
            assert!(!malformed && why.contains(expected), "{read}: {why}");
        }
    }

    #[test]
    fn writes_alone_need_no_reply() {
        let writes = call(r#"[["append",1,5],["append",2,6]]"#);
        assert_eq!(unsaid(&writes, Reads::Elements), Ok(writes.value.clone()));
        let (malformed, why) =
            why(unsaid(&call(r#"[["append",1,5],["r",2,null]]"#), Reads::Elements).expect_err("reads"));
        assert!(malformed && why.contains("its reads filled in"), "{why}");
        assert_eq!(unsaid(&call("[]"), Reads::Anything), Ok(Value::Nil));
    }
}
