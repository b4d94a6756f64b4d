//! Which statements a call sends, and how it ends when one of them fails.
use crate::driver::Outcome;
use crate::errors::SqlError;
use crate::scripted::{call_of, init_of, init_with, rows};
use serde_json::{Value, json};

fn server(code: &str) -> Result<Outcome, SqlError> {
    Err(SqlError::Server { code: code.to_owned(), text: "text".to_owned(), fatal: false })
}

fn lost() -> Result<Outcome, SqlError> {
    Err(SqlError::Lost("reset".to_owned()))
}

fn first_word(statement: &str) -> &str {
    statement.split(' ').next().unwrap_or_default()
}

/// The first words of what was sent after the connect, and the end: `ok`, or whether it is certain and its code.
fn end_of(object: &str, script: &[(&str, Result<Outcome, SqlError>)], f: &str, value: Value) -> (Vec<String>, String) {
    let mut init = init_of(object);
    init.params = json!({"tables": 1});
    let (end, sent) = call_of(init, script, f, value);
    let words = sent.iter().map(|statement| first_word(statement).to_owned()).collect();
    let end = end.map_or_else(
        |error| format!("{} {}", if error.certain { "fail" } else { "info" }, error.code),
        |_| "ok".to_owned(),
    );
    (words, end)
}

fn check(got: (Vec<String>, String), sent: &str, end: &str) {
    assert_eq!((got.0.join(" "), got.1), (format!("(connect) {sent}").trim_end().to_owned(), end.to_owned()));
}

#[test]
fn a_transaction_fails_for_certain_until_its_commit_is_sent() {
    let two = || json!([["append", 1, 2], ["r", 3, null]]);
    let txn = |script: &[(&str, Result<Outcome, SqlError>)]| end_of("transactions", script, "txn", two());
    check(txn(&[]), "begin insert select commit", "ok");
    check(txn(&[("begin", lost())]), "begin", "fail aborted");
    check(txn(&[("select", server("40001"))]), "begin insert select rollback", "fail conflict");
    // An error of a class that says nothing: not committed is not done.
    check(txn(&[("select", server("XX000"))]), "begin insert select rollback", "fail aborted");
    check(txn(&[("insert", lost())]), "begin insert", "fail aborted");
    check(txn(&[("insert", server("40001")), ("rollback", lost())]), "begin insert rollback", "fail conflict");
    check(txn(&[("commit", server("40001"))]), "begin insert select commit rollback", "fail conflict");
    check(txn(&[("commit", server("XX000"))]), "begin insert select commit rollback", "info unknown");
    check(txn(&[("commit", lost())]), "begin insert select commit", "info lost");
    let warned = Outcome { warnings: vec!["WARNING: canceling wait".to_owned()], ..Outcome::default() };
    check(txn(&[("commit", Ok(warned))]), "begin insert select commit", "info warning");
    check(txn(&[("select", Ok(rows(&[&["1,x", "2"]])))]), "begin insert select rollback", "fail malformed");
}

#[test]
fn one_statement_is_a_transaction_by_itself() {
    let append = || json!([["append", 1, 2]]);
    let txn = |script: &[(&str, Result<Outcome, SqlError>)]| end_of("transactions", script, "txn", append());
    check(txn(&[]), "insert", "ok");
    check(txn(&[("insert", lost())]), "insert", "info lost");
    check(txn(&[("insert", server("40001"))]), "insert", "fail conflict");
    check(txn(&[("insert", server("57014"))]), "insert", "info unknown");
    let read = json!([["r", 1, null]]);
    check(end_of("transactions", &[("select", lost())], "txn", read), "select", "fail aborted");
    // A list that is rewritten is read first.
    let rewrite = init_with("transactions", json!({"lists": "rewrite"}));
    let (end, sent) = call_of(rewrite, &[("select", Ok(rows(&[&["4,5", "0"]])))], "txn", append());
    assert_eq!(end.map(|reply| reply.value), Ok(append()));
    assert_eq!(sent.len(), 5, "{sent:?}");
    assert!(sent[3].contains("values (1, '4,5,2')"), "{sent:?}");
}

#[test]
fn a_transfer_reads_both_balances_and_writes_both() {
    let transfer = json!({"from": 0, "to": 1, "amount": 5});
    let five = || ("select", Ok(rows(&[&["5"]])));
    let moved = end_of("bank", &[five(), five()], "transfer", transfer.clone());
    check(moved, "begin select select update update commit", "ok");
    let four = ("select", Ok(rows(&[&["4"]])));
    check(
        end_of("bank", &[four, five()], "transfer", transfer.clone()),
        "begin select select rollback",
        "fail precondition",
    );
    let none = ("select", Ok(Outcome::default()));
    check(end_of("bank", &[none], "transfer", transfer), "begin select rollback", "fail not-found");
}

#[test]
fn what_a_lost_commit_of_a_dequeue_took_is_known() {
    let taken = ("select", Ok(rows(&[&["17", "4"]])));
    let (end, _) = call_of(init_of("queue"), &[taken.clone(), ("commit", lost())], "dequeue", Value::Null);
    let error = end.expect_err("no answer to the commit");
    assert_eq!((error.certain, error.value), (false, json!(4)));
    let (end, sent) = call_of(init_of("queue"), std::slice::from_ref(&taken), "dequeue", Value::Null);
    assert_eq!(end.map(|reply| reply.value), Ok(json!(4)));
    assert!(sent[2].contains("limit 1 for update skip locked") && sent[3].contains("in (17)"), "{sent:?}");
    let other = ("delete", Ok(Outcome::default()));
    check(end_of("queue", &[taken, other], "dequeue", Value::Null), "begin select delete rollback", "fail conflict");
}

#[test]
fn a_commit_decides_for_all_participants_at_once() {
    let commit = |script: &[(&str, Result<Outcome, SqlError>)]| {
        let init = dsfuzz_client::Init { params: json!({"participants": [0, 1]}), ..init_of("commit") };
        let (end, sent) = call_of(init, script, "commit", Value::Null);
        (sent.iter().map(|line| first_word(line)).collect::<Vec<_>>().join(" "), end)
    };
    let (sent, end) = commit(&[]);
    assert_eq!(
        (&*sent, end.map(|reply| reply.value)),
        ("(connect) begin insert insert commit", Ok(json!("committed")))
    );
    // A participant has aborted: the decision that others made in the same transaction goes with it.
    let taken = [("insert", Ok(Outcome::default())), ("select d", Ok(rows(&[&["aborted"]])))];
    let (sent, end) = commit(&taken);
    assert_eq!(
        (&*sent, end.map(|reply| reply.value)),
        ("(connect) begin insert select rollback", Ok(json!("aborted")))
    );
    let (_, end) = commit(&[("commit", lost())]);
    assert!(!end.expect_err("no answer to the commit").certain);
}

#[test]
fn a_saga_that_has_begun_never_fails_for_certain() {
    let start = |script: &[(&str, Result<Outcome, SqlError>)]| {
        let (end, sent) = call_of(init_of("saga"), script, "start", json!([1]));
        (sent.iter().map(|line| first_word(line)).collect::<Vec<_>>().join(" "), end)
    };
    let one = "begin update insert commit";
    let (sent, end) = start(&[]);
    assert_eq!(sent, format!("(connect) insert {one} {one}"), "a step and the end");
    assert_eq!(end.map(|reply| reply.value), Ok(json!("completed")));
    let (_, end) = start(&[("insert", server("40001"))]);
    assert!(end.expect_err("not begun").certain);
    // A step that is refused is compensated for: there is none done.
    let (sent, end) = start(&[("update", server("40001"))]);
    assert_eq!(sent, format!("(connect) insert begin update rollback {one}"));
    assert_eq!(end.map(|reply| reply.value), Ok(json!("compensated")));
    let (_, end) = start(&[("update", lost())]);
    assert!(!end.expect_err("no connection to compensate over").certain);
    // A step whose commit is not answered: the final read of the log ends the saga.
    let (_, end) = start(&[("commit", lost())]);
    assert!(!end.expect_err("no answer to a commit").certain);
    // Another client has compensated it.
    let fenced = || ("update", Ok(Outcome::default()));
    let (_, end) = start(&[fenced(), fenced()]);
    assert!(!end.expect_err("fenced").certain);
}

#[test]
fn a_grant_that_is_not_answered_is_given_back() {
    let granted = || ("select pg_try", Ok(rows(&[&["t"]])));
    let broken = ("select l", server("40001"));
    let back = ("select pg_advisory_unlock", Ok(rows(&[&["t"]])));
    check(
        end_of("guarded", &[granted(), broken, back], "acquire", Value::Null),
        "select select select",
        "fail conflict",
    );
    // With the connection the lock is gone.
    let got = end_of("guarded", &[granted(), ("select l", lost())], "acquire", Value::Null);
    assert_eq!(got.1, "fail aborted");
}

#[test]
fn the_last_values_of_a_versioned_register_are_read_in_its_transaction() {
    let versions = init_with("register", json!({"versions": true}));
    let (end, sent) = call_of(versions, &[("select", Ok(rows(&[&["9", "3"]])))], "write", json!(9));
    assert_eq!(end.map(|reply| reply.value), Ok(json!(3)));
    assert_eq!(sent.len(), 5, "{sent:?}");
}
