//! What registers hold before anything is written: a question where nobody says, never an accusation.
use crate::tests::stories;
use crate::value::Value;
use crate::verdict::Validity::{self, Invalid, Unknown, Valid};
use crate::verdict::Verdict;

type Set = &'static [(&'static str, &'static str)];

/// A checker, options beside `initial`, a story of registers that began with 0, and what it is where that is said.
const BEGUN: &[(&str, Set, &str, Validity)] = &[
    ("linearizable", &[], "1 read 0 null -> ok 0\n 2 cas 0 [0,3] -> ok\n 1 read 0 null -> ok 3", Valid),
    (
        "linearizable",
        &[("model", "register")],
        "1 read 0 null -> ok 0\n 2 write 0 0 -> ok\n 1 read 0 null -> ok 0",
        Valid,
    ),
    (
        "linearizable",
        &[("model", "multi-register")],
        "1 txn 0 [[\"read\",\"x\",null]] -> ok [[\"read\",\"x\",0]]\n 2 write 0 {\"x\":1} -> ok\n 1 read 0 [\"x\"] -> ok {\"x\":1}",
        Valid,
    ),
    ("linearizable", &[("model", "kv")], "1 get 0 null -> ok 0\n 2 put 0 3 -> ok\n 1 get 0 null -> ok 3", Valid),
    ("sequential", &[], "1 read 0 null -> ok 0\n 2 write 0 3 -> ok\n 1 read 0 null -> ok 3", Valid),
    ("causal", &[], "1 read 0 null -> ok 0\n 2 write 0 3 -> ok\n 1 read 0 null -> ok 3", Valid),
    ("pram", &[], "1 read 0 null -> ok 0\n 2 write 0 3 -> ok\n 1 read 0 null -> ok 3", Valid),
    ("read-your-writes", &[], "2 read 0 null -> ok 0\n 1 write 0 3 -> ok\n 1 read 0 null -> ok 3", Valid),
    (
        "monotonic-reads",
        &[],
        "1 read 0 null -> ok 0\n 2 write 0 3 -> ok\n 1 read 0 null -> ok 3\n 1 read 0 null -> ok 3",
        Valid,
    ),
    ("staleness", &[("k_max", "1")], "1 read 0 null -> ok 0\n 2 write 0 3 -> ok\n 1 read 0 null -> ok 3", Valid),
    (
        "rw-register",
        &[("model", "serializable")],
        "1 txn null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,0],[\"r\",2,0]]\n \
         2 txn null [[\"r\",1,null],[\"w\",1,7]] -> ok [[\"r\",1,0],[\"w\",1,7]]\n 1 txn null [[\"r\",1,null]] -> ok [[\"r\",1,7]]",
        Valid,
    ),
    (
        "mini-transactions",
        &[],
        "2 txn null [[\"r\",1,null],[\"w\",1,7]] -> ok [[\"r\",1,0],[\"w\",1,7]]\n 1 txn null [[\"r\",1,null]] -> ok [[\"r\",1,7]]",
        Valid,
    ),
    (
        "read-atomic",
        &[],
        "2 txn null [[\"r\",1,null],[\"w\",1,7]] -> ok [[\"r\",1,0],[\"w\",1,7]]\n 1 txn null [[\"r\",1,null]] -> ok [[\"r\",1,7]]",
        Valid,
    ),
];

fn judge(checker: &str, set: &[(&str, &str)], story: &str) -> Verdict {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::text(text));
    let options: Vec<(&str, Value)> = set.iter().map(|(name, text)| (*name, value(text))).collect();
    stories::judge(checker, &options, story)
}

fn with(set: Set, initial: &'static str) -> Vec<(&'static str, &'static str)> {
    set.iter().copied().chain([("initial", initial)]).collect()
}

#[test]
fn what_was_read_before_everything_is_a_question_and_with_the_option_an_answer() {
    for (checker, set, story, said) in BEGUN {
        let asked = judge(checker, set, story);
        assert_eq!(asked.validity, Unknown, "{checker} {set:?}: {}", asked.summary);
        assert!(asked.summary.contains("initial=0"), "{checker}: {}", asked.summary);
        let told = judge(checker, &with(set, "0"), story);
        assert_eq!(told.validity, *said, "{checker} {set:?}: {}", told.summary);
        let otherwise = judge(checker, &with(set, "5"), story);
        assert_eq!(otherwise.validity, Invalid, "{checker} {set:?}: {}", otherwise.summary);
        let nil = judge(checker, &with(set, "null"), story);
        assert_eq!(nil.validity, Invalid, "{checker}: {}", nil.summary);
    }
}

#[test]
fn a_contradiction_under_every_initial_value_stays_one() {
    for (checker, story) in [
        // Two values that nobody wrote.
        ("linearizable", "1 read 0 null -> ok 0\n 2 read 0 null -> ok 5\n 1 write 0 3 -> ok"),
        ("sequential", "1 read 0 null -> ok 0\n 2 read 0 null -> ok 5\n 1 write 0 3 -> ok"),
        ("causal", "1 read 0 null -> ok 0\n 2 read 0 null -> ok 5\n 1 write 0 3 -> ok"),
        // Nothing was there, and yet something was.
        ("linearizable", "1 read 0 null -> ok\n 2 read 0 null -> ok 5\n 1 write 0 3 -> ok"),
        // It had been overwritten.
        ("linearizable", "1 write 0 3 -> ok\n 2 read 0 null -> ok 5"),
        ("read-your-writes", "1 write 0 3 -> ok\n 1 read 0 null -> ok 5"),
        // Another mistake beside it.
        ("linearizable", "1 read 0 null -> ok 0\n 1 write 0 3 -> ok\n 1 write 0 4 -> ok\n 2 read 0 null -> ok 3"),
    ] {
        let verdict = judge(checker, &[], story);
        assert_eq!(verdict.validity, Invalid, "{checker}: {story}: {}", verdict.summary);
    }
}

#[test]
fn what_began_with_one_of_several_values_is_never_accused() {
    let ambiguous = "3 cas 1 [4,2] -> info\n 4 cas 1 [77,2] -> info\n 2 read 1 null -> ok 2\n";
    for checker in ["linearizable", "sequential", "causal", "pram"] {
        for more in ["", " 1 read 0 null -> ok 77", " 1 read 0 null -> ok 77\n 1 write 0 3 -> ok"] {
            let verdict = judge(checker, &[], &format!("{ambiguous}{more}"));
            assert_eq!(verdict.validity, Unknown, "{checker} {more}: {}", verdict.summary);
            // What reads of a value that was written twice saw is not decided by these.
            let undecided = ["causal", "pram"].contains(&checker) && !verdict.summary.contains("set initial");
            assert!(undecided == verdict.summary.starts_with("Not decided"), "{checker}: {}", verdict.summary);
        }
    }
    for checker in ["linearizable", "sequential"] {
        // Neither value explains the second read.
        let verdict = judge(checker, &[], &format!("{ambiguous} 2 read 1 null -> ok 9"));
        assert_eq!(verdict.validity, Invalid, "{checker}: {}", verdict.summary);
        // A value that replaces itself was there before.
        let verdict = judge(checker, &[], "1 cas 1 [2,2] -> ok\n 2 read 1 null -> ok 2");
        assert_eq!(verdict.validity, Unknown, "{checker}: {}", verdict.summary);
    }
}

#[test]
fn what_writers_explain_is_not_asked_about() {
    // An unacknowledged compare-and-set of a written value was read, many others were acknowledged, and one read is stale.
    let cas: String = (2..18).map(|value| format!("1 cas 0 [{value},{}] -> ok\n", value + 1)).collect();
    let stale = format!(
        "1 write 0 1 -> ok\n 3 cas 0 [1,2] -> info\n 2 read 0 null -> ok 2\n{cas}1 write 0 1000 -> ok\n 2 read 0 null -> ok 18"
    );
    for checker in ["linearizable", "sequential"] {
        let story = if checker == "sequential" { stale.replace(" 2 read", "1 read") } else { stale.clone() };
        let verdict = judge(checker, &[], &story);
        assert_eq!(verdict.validity, Invalid, "{checker}: {}", verdict.summary);
    }
    // Two keys, each with many; and two processes that each miss the other's write.
    let many = |key: u32| {
        let cas: String = (2..12).map(|value| format!("1 cas {key} [{value},{}] -> ok\n", value + 1)).collect();
        format!("1 write {key} 1 -> ok\n {} cas {key} [1,2] -> info\n 1 read {key} null -> ok 2\n{cas}", 10 + key)
    };
    let missed = "1 write 8 1 -> ok\n 2 write 9 1 -> ok\n 1 read 9 null -> ok\n 2 read 8 null -> ok";
    let verdict = judge("sequential", &[], &format!("{}{}{missed}", many(1), many(2)));
    assert_eq!(verdict.validity, Invalid, "{}", verdict.summary);
}

#[test]
fn a_beginning_that_nobody_read_is_not_said_to_be_read() {
    let verdict = judge("linearizable", &[], "3 cas 1 [4,2] -> info\n 4 cas 1 [77,2] -> info\n 2 read 1 null -> ok 2");
    assert!(
        verdict.summary.starts_with("the replies agree if 4 was there before anything was written"),
        "{}",
        verdict.summary
    );
}

#[test]
fn too_many_ways_to_begin_are_unknown_and_hide_no_other_key() {
    let key = |key: u32| {
        let cas = |from: u32| format!("{} cas {key} [{from},2] -> info\n", 100 * key + from);
        (10..14).map(cas).collect::<String>() + &format!("2 read {key} null -> ok 2\n")
    };
    let all: String = (1..5).map(key).collect();
    let stale = "1 write 0 3 -> ok\n 1 write 0 4 -> ok\n 1 read 0 null -> ok 3";
    for checker in ["linearizable", "sequential", "causal", "pram"] {
        assert_eq!(judge(checker, &[], &all).validity, Unknown, "{checker}");
        let verdict = judge(checker, &[], &format!("{all}{stale}"));
        assert_eq!(verdict.validity, Invalid, "{checker}: {}", verdict.summary);
    }
}

#[test]
fn a_phantom_that_came_too_late_is_told_as_one() {
    let verdict = judge("linearizable", &[], "1 write 0 3 -> ok\n 2 read 0 null -> ok 5");
    let finding = &verdict.findings[0];
    assert_eq!(finding.kind, "phantom-read");
    assert!(finding.title.contains("which was never written"), "{}", finding.title);
    assert!(
        finding.sentences.iter().any(|one| one == "Nor can the register have begun with 5."),
        "{:?}",
        finding.sentences
    );
    assert_eq!(finding.ops.len(), 2);
}

#[test]
fn a_value_of_a_refused_write_did_not_begin() {
    let story = "1 write 0 5 -> fail\n 2 read 0 null -> ok 5\n 1 write 0 3 -> ok";
    assert_eq!(judge("linearizable", &[], story).validity, Invalid);
    assert_eq!(judge("sequential", &[], story).validity, Invalid);
}

#[test]
fn keys_may_begin_differently() {
    let story =
        "1 read \"x\" null -> ok 0\n 1 read \"y\" null -> ok 5\n 2 write \"x\" 1 -> ok\n 1 read \"x\" null -> ok 1";
    let asked = judge("linearizable", &[], story);
    assert_eq!(asked.validity, Unknown);
    assert!(asked.summary.ends_with(r#"set initial={"x": 0, "y": 5}."#), "{}", asked.summary);
    for checker in ["linearizable", "sequential"] {
        assert_eq!(judge(checker, &[("initial", r#"{"x":0,"y":5}"#)], story).validity, Valid, "{checker}");
        assert_eq!(judge(checker, &[("initial", r#"{"x":0}"#)], story).validity, Unknown, "{checker}");
    }
}

#[test]
fn counters_begin_where_they_are_told_to() {
    let story = "1 read 0 null -> ok 5\n 2 add 0 1 -> ok\n 1 read 0 null -> ok 6";
    for set in [&[][..], &[("model", "counter")]] {
        let checker = if set.is_empty() { "counter" } else { "linearizable" };
        let asked = judge(checker, set, story);
        assert_eq!(asked.validity, Unknown, "{checker}: {}", asked.summary);
        assert!(asked.summary.contains("initial=5"), "{}", asked.summary);
        let told: Vec<(&str, &str)> = set.iter().copied().chain([("initial", "5")]).collect();
        assert_eq!(judge(checker, &told, story).validity, Valid, "{checker}");
    }
}

#[test]
fn replicated_counters_and_registers_begin_where_they_are_told_to() {
    for (set, story, asked, otherwise) in [
        (("type", "lww-register"), "1 read 0 null -> ok 7\n 2 write 0 3 -> ok", "7", "unexpected-value"),
        (("type", "pn-counter"), "1 add 0 5 -> ok\n 2 read 0 null -> ok 105", "100", "value-out-of-bounds"),
    ] {
        let verdict = judge("crdt", &[set], story);
        assert_eq!(verdict.validity, Unknown, "{story}: {}", verdict.summary);
        assert!(verdict.summary.contains(&format!("initial={asked}")), "{}", verdict.summary);
        let said = judge("crdt", &[set, ("initial", asked)], story);
        assert_eq!((said.validity, said.findings.len()), (Unknown, 0), "no final reads: {}", said.summary);
        let other = judge("crdt", &[set, ("initial", "1")], story);
        assert_eq!((other.validity, other.findings[0].kind.as_str()), (Invalid, otherwise), "{}", other.summary);
    }
    // Less than was acknowledged is a loss, whatever it began with; so is what a refused addition explains.
    for story in
        ["1 add 0 5 -> ok\n 2 read 0 null -> ok 3", "1 add 0 5 -> fail\n 1 add 0 1 -> ok\n 2 read 0 null -> ok 6"]
    {
        assert_eq!(judge("counter", &[], story).validity, Invalid, "{story}");
        assert_eq!(judge("linearizable", &[("model", "counter")], story).validity, Invalid, "{story}");
    }
}

#[test]
fn a_key_that_shows_what_it_began_with_was_not_written_yet() {
    let read = |one: u32, two: u32| {
        format!("1 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,{one}],[\"r\",2,{two}]]\n")
    };
    let write = |key: u32, value: u32| format!("2 txn null [[\"w\",{key},{value}]] -> ok [[\"w\",{key},{value}]]\n");
    let story = write(1, 7) + &write(2, 8) + &read(7, 0) + &read(0, 8);
    assert_eq!(judge("long-fork", &[("initial", "0")], &story).validity, Invalid);
    assert_ne!(judge("long-fork", &[], &story).validity, Invalid);
}

#[test]
fn a_certificate_says_what_registers_began_with_and_another_value_is_refused() {
    let verify = |text: &str| dsfuzz_verifier::verify(&dsfuzz_verifier::Certificate::parse(text).unwrap(), None);
    for (checker, story) in [
        ("linearizable", "1 write 0 3 -> ok\n 2 read 0 null -> ok 0"),
        ("pram", "1 write 0 3 -> ok\n 1 read 0 null -> ok 0"),
    ] {
        let verdict = judge(checker, &[("initial", "0")], story);
        let certificate = verdict.findings[0].certificate.as_ref().expect("a certificate");
        assert_eq!(certificate.initial.len(), 1, "{checker}");
        let text = serde_json::to_string(certificate).expect("JSON");
        assert_eq!(verify(&text), Ok(()), "{checker}: {text}");
        let said = text.replace(r#""initial":[{"key":0,"value":0}]"#, r#""initial":[{"key":0,"value":5}]"#);
        assert_ne!(said, text);
        assert!(verify(&said).is_err(), "{checker}: {said}");
    }
}

#[test]
fn what_nobody_read_is_not_said_to_be_read() {
    // Nothing but the first of these calls explains the read, and it saw what it replaced.
    let chain = "2 cas 0 [0,1] -> info\n 3 read 0 null -> ok 1\n 1 write 0 2 -> ok\n 3 read 0 null -> ok 2";
    for checker in ["linearizable", "sequential", "causal", "pram"] {
        let verdict = judge(checker, &[], chain);
        assert_eq!(verdict.validity, Unknown, "{checker}: {}", verdict.summary);
        assert!(!verdict.summary.contains("was read before"), "{checker}: {}", verdict.summary);
        assert!(verdict.summary.contains("the replies agree if 0 was there before"), "{checker}: {}", verdict.summary);
    }
    let read = judge("linearizable", &[], "1 read 0 null -> ok 0\n 2 cas 0 [0,1] -> info\n 3 read 0 null -> ok 1");
    assert!(read.summary.starts_with("0 was read before anything was written"), "{}", read.summary);
}
