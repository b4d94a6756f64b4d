//! Stories: a few lines of a history, and what each checker of a contract must say of them.
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history_of;
use crate::value::Value;
use crate::verdict::certificate::Claim;
use crate::verdict::{Budget, Severity, Validity, Verdict};

/// The verdict of the checker of this name on these lines.
pub(crate) fn judge(checker: &str, options: &[(&str, Value)], story: &str) -> Verdict {
    judge_with(
        checker,
        &Options(options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()),
        story,
    )
}

/// As [`judge`], with these options.
pub(crate) fn judge_with(checker: &str, options: &Options, story: &str) -> Verdict {
    let checker = checker_with(checker, options).unwrap_or_else(|error| panic!("{error}"));
    checker.check(&history_of("w", story), &Budget::unlimited())
}

/// Kinds of violations, in order.
pub(crate) fn kinds(verdict: &Verdict) -> Vec<&str> {
    let violations = verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation);
    let kinds: Vec<&str> = violations.map(|finding| finding.kind.as_str()).collect();
    assert_eq!(verdict.validity == Validity::Invalid, !kinds.is_empty(), "{}", verdict.summary);
    kinds
}

pub(crate) fn valid(verdict: &Verdict) {
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert!(kinds(verdict).is_empty());
}

pub(crate) fn unknown(verdict: &Verdict, why: &str) {
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.contains(why), "{}", verdict.summary);
}

#[test]
fn a_bank_that_loses_money_is_told_with_the_transfer_in_flight() {
    let story = r#"
        1 read null null -> ok {"a":10,"b":0}
        2 transfer null {"from":"a","to":"b","amount":3} ...
        1 read null null -> ok {"a":7,"b":0}
        2 -> ok
        1 read null null -> ok {"a":7,"b":3}"#;
    let verdict = judge("bank", &[], story);
    assert_eq!(kinds(&verdict), ["wrong-total"]);
    let finding = &verdict.findings[0];
    assert_eq!(finding.ops, [0, 3]);
    assert!(finding.sentences.join(" ").contains("In flight meanwhile: #2 (transfer"), "{:?}", finding.sentences);
    assert_eq!(judge("bank", &[("total", 10.into())], story).findings[0].ops, [3], "a known total needs no other read");
    valid(&judge("bank", &[], &story.replace(r#"{"a":7,"b":0}"#, r#"{"a":7,"b":3}"#)));
    let wrong = judge("bank", &[("total", 20.into())], story);
    assert_eq!(wrong.numbers["wrong_total"], 3);
}

#[test]
fn other_sins_of_banks() {
    let first = r#"1 transfer null {"from":"a","to":"b","amount":3} -> ok
        1 read null null -> ok {"a":7,"b":3}
        "#;
    let with = |read: &str| judge("bank", &[], &format!("{first} 1 read null null -> ok {read}"));
    assert_eq!(kinds(&with(r#"{"a":13,"b":-3}"#)), ["negative-value"]);
    assert_eq!(kinds(&with(r#"{"a":null,"b":3}"#)), ["nil-balance"]);
    assert_eq!(kinds(&with(r#"{"a":7,"b":3,"c":0}"#)), ["unexpected-key"]);
    unknown(&with("[1]"), "no table");
    unknown(&judge("bank", &[], first), "nothing to compare");
    unknown(&judge("bank", &[], &first.replace("-> ok\n", "-> fail\n").repeat(2)), "refused");
    let overdrawn = format!("{first} 1 read null null -> ok {{\"a\":13,\"b\":-3}}");
    valid(&judge("bank", &[("negative_balances", Value::Bool(true))], &overdrawn));
    let places = r#"1 transfer null {"from":0,"to":1,"amount":3} -> ok
        1 read null null -> ok [7,3]
        1 read null null -> ok [7,4]"#;
    assert_eq!(kinds(&judge("bank", &[], places)), ["wrong-total"], "balances alone");
    let lists = r#"1 transfer null {"from":1,"to":2,"amount":3} -> ok
        1 txn null [["r",1,null],["r",2,null]] -> ok [["r",1,7],["r",2,3]]
        1 txn null [["r",1,null]] -> ok [["r",1,7]]
        1 txn null [["r",1,null],["r",2,null]] -> ok [["r",1,7],["r",2,4]]"#;
    assert_eq!(kinds(&judge("bank", &[], lists)), ["wrong-total"], "a list of some accounts has no total");
}

#[test]
fn a_long_fork_is_a_cycle_of_two_reads_and_two_writes() {
    let reads = r#"
        1 read null [["r",1,null],["r",2,null]] -> ok [["r",1,1],["r",2,null]]
        2 read null [["r",2,null],["r",1,null]] -> ok [["r",2,1],["r",1,null]]"#;
    let story = format!("3 write 1 1 -> ok\n 4 write 2 1 -> info\n {reads}");
    let verdict = judge("long-fork", &[], &story);
    assert_eq!(kinds(&verdict), ["long-fork"]);
    let finding = &verdict.findings[0];
    assert_eq!((finding.ops.len(), finding.cycle.len()), (4, 4));
    let next = finding.cycle.iter().cycle().skip(1);
    assert!(finding.cycle.iter().zip(next).all(|(one, two)| one.to == two.from), "{:?}", finding.cycle);
    assert!(matches!(finding.certificate.as_ref().map(|one| &one.claim), Some(Claim::Cycle { .. })));
    let bare = judge("long-fork", &[], reads);
    assert_eq!((kinds(&bare), bare.findings[0].ops.len()), (vec!["long-fork"], 2));
    let ordered = story.replace(r#"["r",1,null]]"#, r#"["r",1,1]]"#).replace(r#"[["r",1,null],"#, r#"[["r",1,1],"#);
    valid(&judge("long-fork", &[], &ordered));
    unknown(&judge("long-fork", &[], &format!("{ordered}\n 3 write 1 2 -> ok")), "written more than once");
    unknown(&judge("long-fork", &[("group_size", 3.into())], &story), "No two");
    unknown(&judge("long-fork", &[], &format!("{story}\n 3 delete 1 null -> ok")), "neither");
}

#[test]
fn a_later_write_without_an_earlier_one() {
    let story = r#"
        1 write 0 1 -> ok
        2 write 0 2 -> ok
        3 read 0 null -> ok [2]"#;
    let verdict = judge("causal-reverse", &[], story);
    assert_eq!((kinds(&verdict), &verdict.findings[0].ops[..]), (vec!["causal-reverse"], &[0, 2, 4][..]));
    valid(&judge("causal-reverse", &[], &story.replace("[2]", "[2,1]")));
    unknown(&judge("causal-reverse", &[], &story.replace("[2]", "[1]")), "None of 1 read");
    let at_once = "1 write 0 1 ...\n 2 write 0 2 -> ok\n 1 -> ok\n 3 read 0 null -> ok [2]";
    unknown(&judge("causal-reverse", &[], at_once), "None of 1 read");
}

#[test]
fn a_long_reply_is_told_without_its_middle() {
    let list: Vec<String> = (2..5000).map(|element| element.to_string()).collect();
    let story = format!("1 write 0 1 -> ok\n 2 write 0 2 -> ok\n 3 read 0 null -> ok [{}]", list.join(","));
    let verdict = judge("causal-reverse", &[], &story);
    assert_eq!(kinds(&verdict), ["causal-reverse"]);
    assert!(verdict.findings[0].sentences.iter().all(|sentence| sentence.len() < 500));
}

#[test]
fn two_certain_holds_of_one_lock() {
    let story = r#"
        1 acquire "l" null -> ok
        2 acquire "l" null -> ok
        1 release "l" null -> ok"#;
    let verdict = judge("lock", &[], story);
    assert_eq!((kinds(&verdict), &verdict.findings[0].ops[..]), (vec!["double-hold"], &[0, 2, 4][..]));
    let in_turn = "1 acquire 0 null -> ok\n 1 release 0 null ...\n 2 acquire 0 null -> ok\n 1 -> ok";
    valid(&judge("lock", &[], in_turn));
    let doubtful = "1 acquire 0 null -> info\n 2 acquire 0 null -> ok\n 3 acquire 0 null -> fail";
    valid(&judge("lock", &[], doubtful));
    let session_over = "1 acquire 0 null -> ok\n 1 read 0 null -> info\n 2 acquire 0 null -> ok";
    valid(&judge("lock", &[], session_over));
    let client_closed = "1 acquire 0 null -> ok\n {\"type\":\"phase\",\"phase\":\"settle\"}\n 2 acquire 0 null -> ok";
    valid(&judge("lock", &[], client_closed));
    let foreign = "1 acquire 0 null -> ok\n 2 release 0 null -> ok\n 2 acquire 0 null -> fail";
    assert_eq!(kinds(&judge("lock", &[], foreign)), ["release-by-non-holder"]);
    valid(&judge("lock", &[("idempotent_release", Value::Bool(true))], foreign));
    unknown(&judge("lock", &[], "1 acquire 0 null -> ok\n 1 release 0 null -> ok"), "nothing was contended");
    unknown(&judge("lock", &[], "1 acquire 0 null -> fail\n 2 acquire 0 null -> fail"), "Nothing was ever");
    let again = judge("lock", &[], "1 acquire 0 null -> ok\n 1 acquire 0 null -> ok\n 2 acquire 0 null -> fail");
    valid(&again);
    assert_eq!(again.findings[0].kind, "acquired-while-held");
}

#[test]
fn a_refused_release_gives_nothing_back() {
    let story = "1 acquire 0 null -> ok\n 1 release 0 null -> fail\n 2 acquire 0 null -> ok";
    let long = [("ttl_ms", Value::Int(10_000))];
    let shown = |verdict: &Verdict, kind: &str| {
        assert_eq!(kinds(verdict), [kind]);
        let finding = &verdict.findings[0];
        assert_eq!(finding.ops, [0, 2, 4], "the refused release is shown");
        let sentence = "#2, its release, was refused, so it gave nothing back.";
        assert!(finding.sentences.iter().any(|one| one == sentence), "{:?}", finding.sentences);
        let certified = finding.certificate.as_ref().map(|one| one.ops.len());
        assert_eq!(certified, Some(2), "and proves nothing");
    };
    for story in [story, &story.replace("fail", "ok false"), &story.replace("0 null", "0 \"a\"")] {
        shown(&judge("lock", &[], story), "double-hold");
        shown(&judge("lease", &long, story), "overlapping-leases");
    }
    // Not what was refused of another lock, or later.
    let argument = [("named_by", Value::text("argument"))];
    let named = story.replace("0 null", "0 \"a\"").replace("release 0 \"a\"", "release 0 \"b\"");
    let other = judge("lock", &argument, &format!("{named}\n 3 acquire 0 \"b\" -> ok\n 1 release 0 \"a\" -> fail"));
    assert_eq!((kinds(&other), &other.findings[0].ops[..]), (vec!["double-hold"], &[0, 4][..]));
    valid(&judge("lock", &[], &story.replace("fail", "info")));
    let in_turn = story.replace("fail", "ok");
    unknown(&judge("lock", &[], &in_turn), "nothing was contended");
    unknown(&judge("lease", &long, &in_turn), "nothing was contended");
    unknown(&judge("semaphore", &[("permits", 1.into())], &in_turn), "nothing was contended");
    let refused = format!("{in_turn}\n 1 acquire 0 null -> fail");
    valid(&judge("lock", &[], &refused));
    valid(&judge("lease", &long, &refused));
    valid(&judge("semaphore", &[("permits", 1.into())], &refused));
    unknown(&judge("semaphore", &[("permits", 2.into())], &refused), "nothing was contended");
    assert_eq!(kinds(&judge("semaphore", &[("permits", 1.into())], story)), ["too-many-holders"]);
}

#[test]
fn locks_named_by_an_argument_are_told_apart_or_not_judged() {
    let apart = r#"
        1 acquire null "a" -> ok
        2 acquire null "b" -> ok
        1 release null "a" -> ok
        1 acquire null "b" -> fail"#;
    let (key, argument) = ([("named_by", Value::text("key"))], [("named_by", Value::text("argument"))]);
    unknown(&judge("lock", &[], apart), "set the option named_by");
    valid(&judge("lock", &argument, apart));
    assert_eq!(kinds(&judge("lock", &key, apart)), ["double-hold"]);
    // One name is held twice either way, and one name alone is a key like any other.
    let twice = apart.replacen("\"b\"", "\"a\"", 1);
    for options in [&[][..], &argument, &key] {
        assert_eq!(kinds(&judge("lock", options, &twice)), ["double-hold"]);
        assert_eq!(kinds(&judge("lock", options, &twice.replace("\"b\"", "\"a\""))), ["double-hold"]);
    }
    // A nested lock is given back alone; without a name nobody knows what is given back.
    let nested = r#"
        1 acquire null "a" -> ok
        1 acquire null "b" -> ok
        1 release null "b" -> ok
        2 acquire null "a" -> ok"#;
    unknown(&judge("lock", &[], nested), "set the option named_by");
    assert_eq!(kinds(&judge("lock", &argument, nested)), ["double-hold"]);
    unknown(&judge("lock", &argument, &nested.replace("release null \"b\"", "release null null")), "gives back");
    // Times to live name no lock.
    let times = r#"1 acquire null {"ttl_ms":10000} -> ok
        2 acquire null {"ttl_ms":20000} -> ok"#;
    assert_eq!(kinds(&judge("lease", &[], times)), ["overlapping-leases"]);
    let named = times.replace("{", "{\"of\":\"a\",").replacen("\"a\"", "\"b\"", 1);
    unknown(&judge("lease", &[], &named), "set the option named_by");
    let token = |options: &[_]| judge("fencing", options, "1 acquire 0 \"a\" -> ok 5\n 2 acquire 0 \"b\" -> ok 5");
    unknown(&token(&[]), "set the option named_by");
    assert_eq!(kinds(&token(&key)), ["token-granted-twice", "token-not-increasing"]);
    assert_eq!(token(&argument).validity, Validity::Unknown, "each lock was granted once");
    let three = [("permits", Value::Int(1)), argument[0].clone()];
    valid(&judge("semaphore", &three, apart));
    unknown(&judge("semaphore", &three[..1], apart), "set the option named_by");
    unknown(&judge("semaphore", &three, "1 acquire 0 [2] -> ok\n 2 acquire 0 [2] -> ok"), "a number of permits");
    assert!(checker_with("lock", &Options([("named_by".to_owned(), Value::text("f"))].into())).is_err());
}

#[test]
fn numbers_of_callers_are_owners_only_where_it_shows() {
    let (key, argument) = ([("named_by", Value::text("key"))], [("named_by", Value::text("argument"))]);
    let apart = "1 acquire null 1 -> ok\n 2 acquire null 2 -> ok";
    let again = format!("{apart}\n 1 release null 1 -> ok\n 1 acquire null 1 -> fail");
    let tokens = apart.replace("-> ok", "-> ok 5");
    for (checker, story, found) in [
        ("lock", apart, &["double-hold"][..]),
        ("lease", apart, &["overlapping-leases"]),
        ("fencing", &tokens, &["token-granted-twice", "token-not-increasing"]),
    ] {
        let ttl = ("ttl_ms", Value::Int(10_000));
        let judge = |options: &[(&str, Value)], story: &str| {
            let options = options.iter().cloned().chain(Some(ttl.clone()).filter(|_| checker == "lease"));
            judge(checker, &options.collect::<Vec<_>>(), story)
        };
        unknown(&judge(&[], story), "set the option named_by");
        assert_eq!(kinds(&judge(&key, story)), found);
        // Locks whose names are numbers are named by them, whoever calls.
        let repeated =
            format!("{story}\n 1 acquire null 1 -> fail\n 1 acquire null 2 -> fail\n 2 acquire null 1 -> fail");
        assert!(kinds(&judge(&argument, &repeated)).is_empty(), "{checker}");
        let same = repeated.replacen("2 acquire null 2", "2 acquire null 1", 1);
        assert_eq!(kinds(&judge(&argument, &same)), found);
        unknown(&judge(&[], &repeated), "set the option named_by");
        // One who asks again and again with its own number is an owner, also over several keys.
        assert_eq!(kinds(&judge(&[], &format!("{story}\n 1 acquire null 1 -> fail"))), found);
        assert_eq!(kinds(&judge(&[], &format!("{story}\n 1 acquire 9 1 -> fail"))), found);
        unknown(&judge(&[], &format!("{story}\n 1 acquire 9 2 -> fail")), "set the option named_by");
    }
    valid(&judge("lock", &argument, &format!("{again}\n 1 acquire null 2 -> fail")));
    assert_eq!(kinds(&judge("lock", &[], &again)), ["double-hold"]);
    unknown(&judge("lock", &[], &again.replace("null 2", "null 3")), "set the option named_by");
    // A semaphore's numbers may be permits: what else they may be is said, and nothing taken for granted.
    let with = |named_by: &[(&'static str, Value)], permits: i64, story: &str| {
        let options: Vec<_> = named_by.iter().cloned().chain([("permits", permits.into())]).collect();
        judge("semaphore", &options, story)
    };
    unknown(&with(&argument, 1, apart), "may be a number of permits or a name");
    unknown(&with(&[], 2, &again), "may be a number of permits or who acquires");
    assert_eq!(kinds(&with(&key, 2, &again)), ["too-many-holders"]);
    let texts = format!("{apart}\n 3 acquire null \"a\" -> ok\n 4 acquire null \"a\" -> ok");
    assert_eq!(kinds(&with(&argument, 1, &texts)), ["too-many-holders"], "texts are names");
    unknown(&with(&argument, 2, &texts), "may be a number of permits or a name");
}

#[test]
fn models_of_locks_know_no_names() {
    let judge = |model: &str, story: &str| judge("linearizable", &[("model", Value::text(model))], story);
    for (model, replies) in [("mutex", ["null", "null"]), ("fenced-lock", ["1", "2"]), ("lease", ["2", "1"])] {
        let story = |one: &str, two: &str| {
            let [first, second] = replies;
            format!(
                "1 acquire 0 {one} -> ok {first}\n 2 acquire 0 {two} -> ok {second}\n 2 acquire 0 {two} -> ok false"
            )
        };
        unknown(&judge(model, &story("\"a\"", "\"b\"")), "make them the keys");
        unknown(&judge(model, &story("\"a\"", "null")), "make them the keys");
        for (one, two) in [("null", "null"), ("\"a\"", "\"a\""), ("1", "2"), ("{\"ttl_ms\":1}", "{\"ttl_ms\":2}")] {
            assert_eq!(kinds(&judge(model, &story(one, two))), ["nonlinearizable"], "{model} {one}");
        }
    }
    let owners = "1 acquire 0 \"a\" -> ok\n 2 acquire 0 \"b\" -> ok";
    assert_eq!(kinds(&judge("owner-mutex", owners)), ["nonlinearizable"], "the argument is the holder");
    unknown(&judge("semaphore", owners), "takes a number of permits");
    // What could not contradict is said in words that are true of locks.
    let alone = judge("mutex", "1 acquire 0 null -> ok\n 1 release 0 null -> ok false");
    assert!(!alone.summary.contains("Read what is written"), "{}", alone.summary);
    unknown(&judge("cas-register", "1 write 0 1 -> ok"), "Read what is written.");
}

#[test]
fn a_lock_that_was_given_back_by_name_is_not_held() {
    let (argument, ttl) = (("named_by", Value::text("argument")), ("ttl_ms", Value::Int(4)));
    let in_turn = r#"
        1 acquire null "a" -> ok
        1 release null "a" -> ok
        1 acquire null "b" -> ok
        1 release null null -> ok
        2 acquire null "a" -> ok
        2 release null "a" -> ok
        2 acquire null "b" -> ok
        1 acquire null "b" -> fail"#;
    valid(&judge("lock", std::slice::from_ref(&argument), in_turn));
    let nested = in_turn.replacen("release null \"a\"", "read null \"a\"", 1);
    unknown(&judge("lock", std::slice::from_ref(&argument), &nested), "which of them it gives back");
    let twice = format!("{in_turn}\n 3 acquire null \"b\" -> ok").replace("null null", "null \"b\"");
    let verdict = judge("lock", std::slice::from_ref(&argument), &twice);
    assert_eq!(kinds(&verdict), ["double-hold"]);
    assert!(verdict.findings[0].certificate.is_some(), "one lock after the other");
    // A renewal without a name is about the only lock that is held.
    let renewed = r#"
        {"type":"invoke","process":1,"node":"n1","workload":"w","f":"acquire","value":"a","time":0}
        {"type":"ok","process":1,"time":1}
        {"type":"invoke","process":1,"node":"n1","workload":"w","f":"renew","time":3000000}
        {"type":"ok","process":1,"time":3000001}
        {"type":"invoke","process":2,"node":"n1","workload":"w","f":"acquire","value":"b","time":5000000}
        {"type":"ok","process":2,"time":5000001}
        {"type":"invoke","process":1,"node":"n1","workload":"w","f":"acquire","value":"b","time":5000002}
        {"type":"fail","process":1,"time":5000003}"#;
    let both = [argument, ttl];
    valid(&judge("lease", &both, renewed));
    let taken = renewed.replacen("\"b\"", "\"a\"", 1);
    assert_eq!(kinds(&judge("lease", &both, &taken)), ["overlapping-leases"]);
    assert_eq!(kinds(&judge("lease", &both[1..], &taken)), ["overlapping-leases"]);
    // Who gave back one of two may hold the other one, and renew that.
    let at_first = |steps: &[&str]| {
        let step = |step: &&str| {
            format!(
                "{{\"type\":\"invoke\",\"process\":1,\"node\":\"n1\",\"workload\":\"w\",{step},\"time\":0}}\n\
                 {{\"type\":\"ok\",\"process\":1,\"time\":0}}\n"
            )
        };
        steps.iter().map(step).collect::<String>() + &taken
    };
    let other = "\"f\":\"acquire\",\"value\":\"b\"";
    let one_of_two = at_first(&["\"f\":\"acquire\",\"value\":\"a\"", other, "\"f\":\"release\""]);
    unknown(&judge("lease", &both, &at_first(&[other])), "which of them it renews");
    unknown(&judge("lease", &both, &one_of_two), "which of them it gives back");
    unknown(&judge("lease", &both[1..], &one_of_two), "set the option named_by");
}

#[test]
fn more_holders_than_permits() {
    let story = r#"
        1 acquire 0 2 -> ok
        2 acquire 0 null -> ok
        1 release 0 1 -> ok
        3 acquire 0 2 -> ok"#;
    let verdict = judge("semaphore", &[("permits", 3.into())], story);
    assert_eq!(kinds(&verdict), ["too-many-holders"]);
    assert_eq!(verdict.numbers["held_at_once_max"], 4);
    valid(&judge("semaphore", &[("permits", 4.into())], story));
    unknown(&judge("semaphore", &[], story), "option permits");
}

#[test]
fn a_lease_ends_by_the_call_that_asked_for_it() {
    let story = |time: u64| {
        format!(
            r#"
        {{"type":"invoke","process":1,"node":"n1","workload":"w","f":"acquire","time":0}}
        {{"type":"ok","process":1,"time":4000000000}}
        {{"type":"invoke","process":2,"node":"n2","workload":"w","f":"acquire","time":{time}}}
        {{"type":"ok","process":2,"time":{}}}"#,
            time + 1
        )
    };
    let ten_seconds = [("ttl_ms", Value::Int(10_000)), ("clock_error_ms", Value::Int(500))];
    let verdict = judge("lease", &ten_seconds, &story(9_000_000_000));
    assert_eq!(kinds(&verdict), ["overlapping-leases"]);
    let Some(Claim::Rule { subject, .. }) = verdict.findings[0].certificate.as_ref().map(|one| &one.claim) else {
        panic!("a rule")
    };
    assert!(subject.to_string().contains("call_time_ns: 9000000000"), "{subject}");
    valid(&judge("lease", &ten_seconds, &story(9_600_000_000)));
    unknown(&judge("lease", &[], &story(9_000_000_000)), "set the option ttl.");
}

#[test]
fn fencing_tokens_that_go_back() {
    let granted = "1 acquire 0 null -> ok 5\n 1 release 0 null -> ok\n 2 acquire 0 null -> ok {\"token\":5}";
    let verdict = judge("fencing", &[], granted);
    assert_eq!(kinds(&verdict), ["token-granted-twice", "token-not-increasing"]);
    valid(&judge("fencing", &[], &granted.replace(":5", ":6")));
    let accepted = "1 acquire 0 null -> ok 5\n 1 write 9 {\"token\":6,\"value\":1} -> ok\n 2 write 9 [5,2] -> ok";
    assert_eq!(kinds(&judge("fencing", &[], accepted)), ["stale-token-accepted"]);
    valid(&judge(
        "fencing",
        &[],
        &format!("{}\n 2 write 9 [6,2] -> ok", accepted.replace("[5,2] -> ok", "[5,2] -> fail")),
    ));
    assert_eq!(kinds(&judge("fencing", &[], "1 log 9 null -> ok [[1,0],[3,0],[2,0]]")), ["stale-token-in-log"]);
    let words = |story: &str, words: &str| {
        let verdict = judge("fencing", &[], story);
        assert!(verdict.summary.contains(words), "{}", verdict.summary);
    };
    words(&granted.replace(":5", ":6"), "2 grants, 0 accepted writes and 0 entries of logs");
    words("1 log 9 null -> ok [[1,0],[3,0]]", "and 2 entries of logs");
    words(&granted.replace("{\"token\":5}", "null"), "1 operation names no token");
    words(&granted.replace("{\"token\":5}", "null").replace("ok 5", "ok"), "2 operations name no token");
    unknown(&judge("fencing", &[], &granted.replace("ok 5", "ok")), "no token");
    unknown(&judge("fencing", &[], "1 acquire 0 null -> ok 5"), "nothing to compare");
    unknown(&judge("fencing", &[], "1 acquire 0 null -> ok 5\n 2 acquire 1 null -> ok 6"), "nothing to compare");
}

#[test]
fn one_transaction_has_one_outcome() {
    let story = r#"
        1 commit 7 null -> ok
        2 status 7 "p" -> ok "committed"
        settle 3 status 7 "q" -> ok "aborted""#;
    let verdict = judge("atomic-commit", &[], story);
    assert_eq!(kinds(&verdict), ["acknowledged-commit-aborted", "mixed-decision"]);
    valid(&judge("atomic-commit", &[], &story.replace("aborted", "committed")));
    let blocked = story.replace("aborted", "prepared");
    unknown(&judge("atomic-commit", &[], &blocked), "1 transaction undecided");
    assert_eq!(kinds(&judge("atomic-commit", &[("must_decide", Value::Bool(true))], &blocked)), ["undecided"]);
    let refused = story.replace("-> ok\n", "-> fail\n").replace("aborted", "committed");
    assert_eq!(kinds(&judge("atomic-commit", &[], &refused)), ["refused-commit-committed"]);
    let tables = "n1: 1 status null null -> ok {\"7\":\"commit\"}\n n2: 2 status null null -> ok {\"7\":\"abort\"}";
    assert_eq!(kinds(&judge("atomic-commit", &[], tables)), ["mixed-decision"]);
    unknown(&judge("atomic-commit", &[], "1 commit 7 null -> ok"), "No participant");
}

#[test]
fn sagas_end_whole_or_undone_in_reverse() {
    let with =
        |log: &str| judge("saga", &[], &format!("1 start 0 [\"a\",\"b\"] -> ok\n settle 2 log 0 null -> ok {log}"));
    valid(&with(r#"[["step","a"],["step","b"],"completed"]"#));
    valid(&with(r#"[["step","a"],["step","b"],["compensate","b"],["compensate","a"],["compensated"]]"#));
    assert_eq!(
        kinds(&with(r#"[["step","a"],["step","b"],["compensate","a"],["compensate","b"],"compensated"]"#)),
        ["compensated-out-of-order"]
    );
    assert_eq!(kinds(&with(r#"[["step","a"],"completed"]"#)), ["completed-with-steps-missing"]);
    assert_eq!(
        kinds(&with(r#"[["step","a"],["compensate","b"],"compensated"]"#)),
        ["compensated-without-step", "incomplete-compensation"]
    );
    assert_eq!(
        kinds(&with(r#"[["step","a"],["step","b"],"completed",["compensate","b"]]"#)),
        ["compensated-after-success"]
    );
    unknown(&with(r#"[["step","a"]]"#), "had not ended");
    unknown(&with(r#"[["stop","a"]]"#), "not known");
    unknown(&judge("saga", &[], "1 start 0 [\"a\"] -> ok"), "No log");
}

#[test]
fn replicas_agree_after_quiescence() {
    let finals =
        |one: &str, two: &str| format!("settle n1: 8 read 0 null -> ok {one}\n settle n2: 9 read 0 null -> ok {two}");
    let promised = [("quiesce_ms", Value::Int(0))];
    let counter =
        |adds: &str, one: &str, two: &str| judge("crdt", &promised, &format!("{adds}\n {}", finals(one, two)));
    valid(&counter("1 add 0 2 -> ok", "2", "2"));
    assert_eq!(kinds(&counter("1 add 0 2 -> ok\n 2 add 0 1 -> info", "2", "4")), ["value-out-of-bounds"]);
    unknown(&counter("1 add 0 2 -> ok\n 2 add 0 1 -> info", "2", "3"), "never acknowledged");
    assert_eq!(
        kinds(&counter("1 add 0 2 -> ok\n 2 read 0 null -> ok 2\n 3 read 0 null -> ok 0", "2", "2")),
        ["shrunk"]
    );
    assert_eq!(
        kinds(&counter("n1: 1 add 0 5 -> ok\n n1: 1 remove 0 5 -> ok", "[5]", "[]")),
        ["resurrected-element", "diverged"]
    );
    valid(&counter("n1: 1 add 0 5 -> ok\n n2: 1 remove 0 5 -> ok", "[5]", "[5]"));
    assert_eq!(kinds(&counter("1 add 0 5 -> ok\n 2 add 0 6 -> ok", "[5]", "[5]")), ["lost-element"]);
    assert_eq!(kinds(&counter("1 write 0 5 -> ok\n 2 write 0 6 -> ok", "5", "6")), ["diverged"]);
    valid(&counter("1 write 0 5 -> ok\n 2 write 0 6 -> ok", "5", "5"));
    let clocks = |value: u8| {
        counter("1 add 0 1 -> ok", "{\"value\":1,\"clock\":[1]}", &format!("{{\"value\":{value},\"clock\":[1]}}"))
    };
    valid(&clocks(1));
    assert!(kinds(&clocks(0)).contains(&"same-clock-different-value"));
    unknown(&judge("crdt", &[], "1 add 0 1 -> ok\n settle n1: 8 read 0 null -> ok 1"), "two nodes");
    let unhealed = "{\"type\":\"fault\",\"fault\":1,\"kind\":\"partition\",\"step\":\"begun\"}\n 1 add 0 1 -> ok";
    unknown(&counter(unhealed, "1", "0"), "two nodes");
}

#[test]
fn two_leaders_in_one_term_by_what_clients_are_told() {
    let story = r#"
        1 leader null null -> ok {"leader":"n1","term":3}
        2 leader null null -> ok {"leader":"n2","term":3}"#;
    let verdict = judge("leadership", &[], story);
    assert_eq!((kinds(&verdict), &verdict.findings[0].ops[..]), (vec!["two-leaders-in-one-term"], &[0, 2][..]));
    valid(&judge("leadership", &[], &story.replacen('3', "4", 1)));
    unknown(&judge("leadership", &[], &story.replace("\"term\":3", "\"term\":null")), "No leader was named");
    let claims = r#"
        {"type":"role","node":"n1","term":4,"term_with_role":true}
        {"type":"role","node":"n2","term":4,"term_with_role":true}"#;
    assert_eq!(kinds(&judge("leadership", &[], claims)), ["two-leaders-in-one-term"]);
}

#[test]
fn recovery_within_a_stated_time() {
    let story = |answer: &str, more: &str| {
        format!(
            r#"
        {{"type":"phase","phase":"load"}}
        1 write 0 1 -> ok
        {{"type":"fault","fault":1,"kind":"kill","step":"begun","nodes":["n1"],"time":1000000000}}
        {{"type":"fault","fault":1,"kind":"kill","step":"healed","time":2000000000}}
        {{"type":"invoke","process":1,"node":"n1","workload":"w","f":"write","value":2,"time":2100000000}}
        {{"type":"{answer}","process":1,"time":2900000000}}
        {more}
        {{"type":"phase","phase":"drain","time":9000000000}}"#
        )
    };
    let within = [("recover_ms", Value::Int(1000))];
    let good = judge("liveness", &within, &story("ok", ""));
    valid(&good);
    assert_eq!(good.numbers["recovery_ms_max"], 900);
    let bad = judge("liveness", &within, &story("fail", ""));
    assert_eq!((kinds(&bad), &bad.findings[0].nodes[..]), (vec!["not-recovered"], &["n1".to_owned()][..]));
    // A node that follows now is well, if another serves.
    let follows =
        story("fail", "").replace(r#""type":"fail","process":1"#, r#""type":"fail","process":1,"error":"not-leader""#);
    assert_eq!(kinds(&judge("liveness", &within, &follows)), ["not-recovered"]);
    let call = |time: &str, rest: &str| format!(r#"{{"type":{rest},"process":2,"time":{time}}}"#);
    let of_n2 = |time: &str| call(time, r#""invoke","node":"n2","workload":"w","f":"write","value":3"#);
    let before = [of_n2("500000000"), call("600000000", r#""ok""#)].join("\n");
    let after = [of_n2("2200000000"), call("2300000000", r#""ok""#)].join("\n");
    let begins = r#"{"type":"fault","fault":1,"kind":"kill","step":"begun""#;
    let served = follows.replacen(begins, &format!("{before}\n{begins}"), 1);
    let answered = r#"{"type":"fail","process":1"#;
    let served = served.replacen(answered, &format!("{after}\n{answered}"), 1);
    let moved = judge("liveness", &within, &served);
    valid(&moved);
    assert_eq!((&moved.numbers["judged"], &moved.numbers["following"]), (&serde_json::json!(1), &serde_json::json!(1)));
    let other_fault = r#"{"type":"fault","fault":2,"kind":"kill","step":"begun","nodes":["n2"],"time":2950000000}"#;
    unknown(&judge("liveness", &within, &story("fail", other_fault)), "No recovery could be judged");
    unknown(&judge("liveness", &[], &story("fail", "")), "1 within 30000 ms of another fault or the end of the load");
    assert!(checker_with("liveness", &Options([("scope".to_owned(), Value::text("all"))].into())).is_err());
}
