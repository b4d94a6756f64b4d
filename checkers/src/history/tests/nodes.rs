//! Which node answered, where a client followed a redirect.
use crate::Value;
use crate::history::export::{Keys, write_edn, write_jsonl};
use crate::history::{Format, History, ReadOptions, read};
use crate::run_level::split_brain::SplitBrain;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Validity};

/// The nodes of every operation: the one that answered, the one that was asked.
fn nodes(history: &History) -> Vec<(String, String)> {
    let name = |id| history.name(id).to_owned();
    history.ops().iter().map(|op| (name(op.node), name(history.bound_node(&op)))).collect()
}

fn redirected() -> History {
    history(
        r#"{"type":"start","nodes":["n1","n2"]}
           {"type":"invoke","process":0,"node":"n1","f":"write","value":1}
           {"type":"ok","process":0,"node":"n2"}
           {"type":"invoke","process":0,"node":"n1","workload":"other","f":"write","value":2}
           {"type":"ok","process":0,"node":"n1"}
           {"type":"invoke","process":0,"node":"n1","f":"write","value":3}
           {"type":"fail","process":0,"error":"not-leader","node":"n2"}
           {"type":"invoke","process":1,"node":"n2","f":"read"}
           {"type":"ok","process":1,"value":1}"#,
    )
}

#[test]
fn an_answer_names_its_node_and_the_asked_one_is_still_known() {
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let expected = [pair("n2", "n1"), pair("n1", "n1"), pair("n2", "n1"), pair("n2", "n2")];
    let history = redirected();
    assert_eq!(nodes(&history), expected);
    assert_eq!(nodes(&history.only("register")), [pair("n2", "n1"), pair("n2", "n1"), pair("n2", "n2")]);
}

#[test]
fn exports_keep_both_nodes() {
    let history = redirected();
    let mut text = Vec::new();
    write_jsonl(&history, &mut text).expect("written to memory");
    let again = read(Format::Jsonl, &text[..], &ReadOptions::default()).expect("the same history");
    assert_eq!(nodes(&again), nodes(&history));
    assert_eq!(again.ops().at(3).output, Value::Int(1));
    let mut text = Vec::new();
    write_edn(&history, Keys::Field, &mut text).expect("written to memory");
    let text = String::from_utf8(text).expect("text");
    let second = text.lines().nth(1).expect("the reply");
    assert!(second.contains(":type :ok") && second.contains(":node \"n2\""), "{second}");
}

#[test]
fn a_redirect_across_no_cut_is_no_split_brain() {
    // The control node reaches both sides: the client of n1 was sent to the leader, n2, and n2 acknowledged both.
    let run = |node: &str| {
        history(&format!(
            r#"{{"type":"start","nodes":["n1","n2"]}}
               {{"type":"fault","fault":0,"kind":"partition","step":"begun","what":"n1 | n2","cut":[["n1","n2"],["n2","n1"]]}}
               {{"type":"fault","fault":0,"kind":"partition","step":"proven"}}
               {{"type":"invoke","process":0,"node":"n1","f":"write","key":1,"value":1}}
               {{"type":"invoke","process":1,"node":"n2","f":"write","key":1,"value":2}}
               {{"type":"ok","process":0,"node":"{node}"}}
               {{"type":"ok","process":1}}
               {{"type":"fault","fault":0,"kind":"partition","step":"reproven"}}
               {{"type":"fault","fault":0,"kind":"partition","step":"healed"}}"#
        ))
    };
    let judged = |node| SplitBrain::default().check(&run(node), &Budget::unlimited()).validity;
    assert_eq!((judged("n2"), judged("n1")), (Validity::Valid, Validity::Invalid));
}
