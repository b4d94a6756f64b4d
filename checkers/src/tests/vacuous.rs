//! Calls happened, and nothing was observed that could have contradicted the promise: no checker calls that valid.
use crate::registry::CHECKERS;
use crate::tests::stories::judge;
use crate::value::Value;
use crate::verdict::Validity;

/// A checker, an option, a story after which it must say that it saw too little.
type Story = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const STORIES: &[Story] = &[
    ("linearizable", &[], "1 write 0 1 -> ok\n 2 write 0 2 -> ok"),
    ("linearizable", &[], "1 read 0 null -> ok\n 2 read 0 null -> ok\n 1 write 1 5 -> ok"),
    ("linearizable", &[], "1 write 0 1 -> info\n 2 read 0 null -> ok"),
    (
        "linearizable",
        &[("model", "fifo-queue")],
        "1 enqueue 0 1 -> ok\n 2 enqueue 0 2 -> ok\n 1 dequeue 0 null -> info",
    ),
    ("linearizable", &[("model", "mutex")], "1 acquire 0 null -> ok false\n 2 acquire 0 null -> ok false"),
    ("linearizable", &[("model", "counter")], "1 add 0 1 -> ok\n 2 inc 0 null -> ok"),
    ("linearizable", &[("model", "log")], "1 append 0 1 -> ok\n 2 append 0 2 -> ok"),
    ("linearizable", &[("model", "kv")], "1 put 0 \"a\" -> ok\n 2 append 0 \"b\" -> ok"),
    ("linearizable", &[("model", "multi-register")], "1 write 0 {\"a\":1} -> ok\n 2 write 0 {\"b\":2} -> ok"),
    (
        "linearizable",
        &[("model", "versioned-register")],
        "1 write 0 [null,1] -> ok\n 2 write 0 [null,2] -> ok\n 1 read 0 null -> ok [null,null]",
    ),
    ("linearizable", &[("model", "set")], "1 add 0 1 -> ok\n 2 add 0 2 -> ok"),
    ("linearizable", &[("model", "lease")], "1 acquire 0 null -> ok\n 2 holder 0 null -> ok"),
    ("linearizable", &[("model", "leader-election")], "1 campaign 0 null -> ok\n 2 leader 0 null -> ok"),
    ("set", &[], "1 add 0 1 -> info\n settle 2 read 0 null -> ok []"),
    ("set", &[], "settle 2 read 0 null -> ok []\n 1 add 0 1 -> ok"),
    (
        "list-append",
        &[],
        "1 txn null [[\"append\",1,1]] -> ok [[\"append\",1,1]]\n 2 txn null [[\"r\",2,null]] -> ok [[\"r\",2,[]]]",
    ),
    (
        "list-append",
        &[("model", "read-committed")],
        "1 txn null [[\"append\",1,1]] -> ok [[\"append\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,[]]]",
    ),
    ("split-brain", &[], "1 write 0 1 -> ok\n 2 write 0 2 -> ok"),
    (
        "rw-register",
        &[],
        "1 txn null [[\"w\",1,1]] -> ok [[\"w\",1,1]]\n 2 txn null [[\"r\",2,null]] -> ok [[\"r\",2,null]]",
    ),
    (
        "mini-transactions",
        &[],
        "1 txn null [[\"r\",1,null],[\"w\",1,1]] -> ok [[\"r\",1,null],[\"w\",1,1]]
         2 txn null [[\"r\",2,null],[\"w\",2,1]] -> ok [[\"r\",2,null],[\"w\",2,1]]",
    ),
    ("g2", &[], "1 insert 1 [1,null] -> ok\n 1 insert 2 [2,null] -> fail\n 2 insert 2 [null,3] -> fail"),
    (
        "closed-predicate",
        &[],
        "1 init null {\"1\":1} -> ok\n 2 txn null [[\"rp\",true,null]] -> ok [[\"rp\",true,{\"1\":1}]]",
    ),
    (
        "read-committed",
        &[],
        "1 txn null [[\"w\",1,1]] -> ok [[\"w\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,null]]",
    ),
    (
        "read-atomic",
        &[],
        "1 txn null [[\"w\",1,1]] -> ok [[\"w\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,null]]",
    ),
    (
        "causal-transactions",
        &[],
        "1 txn null [[\"w\",1,1]] -> ok [[\"w\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,null]]",
    ),
    ("set-full", &[], "1 read 0 null -> ok []\n 1 add 0 1 -> ok"),
    ("queue", &[], "1 enqueue 0 1 -> ok\n 2 dequeue 0 null -> ok"),
    ("total-queue", &[], "1 drain 0 null -> ok []\n 1 enqueue 0 1 -> ok"),
    ("counter", &[], "1 read 0 null -> ok 0\n 1 add 0 5 -> ok"),
    ("counter", &[], "1 read 0 null -> ok 0\n 1 add 1 5 -> ok"),
    ("unique-ids", &[], "1 generate 0 null -> ok 1"),
    ("monotonic", &[], "1 read 0 null -> ok []\n 1 add 0 1 -> ok"),
    ("bank", &[], "1 read null null -> ok {\"a\":5,\"b\":5}\n 2 read null null -> ok {\"a\":5,\"b\":5}"),
    (
        "bank",
        &[],
        "1 read null null -> ok {\"a\":5,\"b\":5}\n 2 read null null -> ok {\"a\":5,\"b\":5}
         1 transfer null {\"from\":\"a\",\"to\":\"b\",\"amount\":3} -> ok",
    ),
    (
        "long-fork",
        &[],
        "1 write 1 1 -> ok\n 2 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,null],[\"r\",2,null]]
         3 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,null],[\"r\",2,null]]",
    ),
    (
        "long-fork",
        &[],
        "1 write 1 1 -> ok\n 2 write 2 1 -> ok
         2 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,1],[\"r\",2,1]]
         3 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,1],[\"r\",2,1]]",
    ),
    ("causal-reverse", &[], "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 3 read 0 null -> ok [1]"),
    ("lock", &[], "1 acquire 0 null -> ok\n 1 acquire 1 null -> fail\n 2 acquire 1 null -> fail"),
    ("semaphore", &[("permits", "3")], "1 acquire 0 null -> ok\n 2 acquire 0 2 -> ok"),
    ("lease", &[("ttl_ms", "100")], "1 acquire 0 null -> ok\n 1 acquire 1 null -> fail\n 2 acquire 1 null -> fail"),
    (
        "fencing",
        &[],
        "1 acquire 0 null -> ok 1\n 2 acquire 1 null -> ok 2\n 1 write 2 [1,0] -> ok\n 2 write 3 [2,0] -> ok",
    ),
    (
        "kafka",
        &[],
        "1 send null [[\"send\",\"a\",1]] -> ok [[\"send\",\"a\",[0,1]]]\n 2 poll null [[\"poll\"]] -> ok [[\"poll\",{}]]",
    ),
    ("watch", &[], "1 put \"a\" 1 -> ok 2\n 2 watch null {\"key\":\"b\",\"revision\":2} -> ok []"),
    (
        "atomic-commit",
        &[],
        "1 commit 7 null -> ok\n 2 status 7 \"p\" -> ok \"committed\"\n 2 status 7 \"p\" -> ok \"committed\"",
    ),
    ("saga", &[], "1 start 0 [] -> ok\n settle 2 log 0 null -> ok [\"completed\"]"),
    ("crdt", &[], "settle n1: 8 read 0 null -> ok 0\n settle n2: 9 read 0 null -> ok 0\n n1: 1 add 0 2 -> ok"),
    (
        "replicas-agree",
        &[],
        "settle n1: 8 read 0 null -> ok []\n settle n2: 9 read 0 null -> ok []\n n1: 1 add 0 2 -> ok",
    ),
    ("leadership", &[], "1 leader null null -> ok {\"leader\":\"n1\",\"term\":3}"),
    ("liveness", &[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1"),
    ("sequential", &[], "1 write 0 1 -> ok\n 2 read 0 null -> ok\n 3 read 0 null -> ok"),
    ("causal", &[], "1 write 0 1 -> ok\n 2 read 0 null -> ok"),
    ("pram", &[], "1 write 0 1 -> ok\n 2 read 0 null -> ok"),
    ("read-your-writes", &[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1\n 1 read 1 null -> ok"),
    ("monotonic-reads", &[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1\n 3 read 0 null -> ok 1"),
    ("monotonic-reads", &[], "1 write 0 1 -> ok\n 2 read 0 null -> ok\n 2 read 0 null -> ok"),
    ("monotonic-writes", &[], "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 3 read 0 null -> ok 2"),
    ("monotonic-writes", &[], "1 write 0 1 -> ok\n 2 write 0 2 -> ok\n 3 read 0 null -> ok 1\n 3 read 0 null -> ok 2"),
    (
        "writes-follow-reads",
        &[],
        "1 write 0 1 -> ok\n 2 read 0 null -> ok 1\n 2 write 0 2 -> ok\n 3 read 0 null -> ok 2",
    ),
    ("eventual-convergence", &[], "settle n1: 2 read 0 null -> ok\n n1: 1 write 0 1 -> ok"),
    ("staleness", &[("k_max", "1")], "1 write 0 1 -> ok\n 2 read 1 null -> ok"),
    ("crashes", &[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1"),
];

#[test]
fn what_was_not_observed_is_not_valid() {
    for (checker, options, story) in STORIES {
        let value = |text: &str| text.parse().map_or_else(|_| Value::text(text), Value::Int);
        let options: Vec<(&str, Value)> = options.iter().map(|(name, text)| (*name, value(text))).collect();
        let verdict = judge(checker, &options, story);
        assert_eq!(verdict.validity, Validity::Unknown, "{checker} {options:?}: {}\n{story}", verdict.summary);
        let understood = ["cannot be judged", "understood", "not known", "is no ", "takes"];
        let odd = understood.iter().find(|words| verdict.summary.contains(**words));
        assert_eq!(odd, None, "{checker} {options:?}: {}", verdict.summary);
    }
}

#[test]
fn every_checker_that_promises_something_has_such_a_story() {
    for doc in CHECKERS.iter().filter(|doc| doc.name != "availability") {
        assert!(STORIES.iter().any(|(checker, ..)| *checker == doc.name), "{}", doc.name);
    }
}

/// One call more, and there was something to contradict.
#[test]
fn what_was_observed_is_valid() {
    for (checker, options, story) in [
        ("linearizable", &[][..], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1"),
        ("linearizable", &[], "1 write 0 1 -> info\n 2 read 0 null -> ok 1"),
        ("linearizable", &[], "1 write 0 1 -> ok\n 2 cas 0 [5,6] -> ok false"),
        ("linearizable", &[("model", "mutex")], "1 acquire 0 null -> ok\n 1 release 0 null -> ok"),
        ("linearizable", &[("model", "fifo-queue")], "1 enqueue 0 1 -> ok\n 1 dequeue 0 null -> ok 1"),
        ("linearizable", &[("model", "semaphore")], "1 acquire 0 null -> ok\n 1 release 0 null -> ok"),
        ("linearizable", &[("model", "lease")], "1 acquire 0 null -> ok 1\n 2 acquire 0 null -> ok 2"),
        ("linearizable", &[("model", "counter")], "1 add-and-get 0 1 -> ok 1\n 1 add-and-get 0 1 -> ok 2"),
        ("linearizable", &[("model", "log")], "1 append 0 7 -> ok 0\n 1 append 0 8 -> ok 1"),
        (
            "list-append",
            &[],
            "1 txn null [[\"append\",1,1]] -> ok [[\"append\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,[1]]]",
        ),
        ("sequential", &[], "1 write 0 1 -> ok\n 2 write 1 1 -> ok\n 1 read 1 null -> ok"),
        ("counter", &[], "1 inc 0 null -> ok\n 1 dec 0 3 -> ok\n 2 read 0 null -> ok -2"),
        (
            "monotonic-writes",
            &[],
            "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 3 read 0 null -> ok 1\n 3 read 0 null -> ok 2",
        ),
        ("monotonic-writes", &[("versions", "true")], "1 write 0 1 -> ok 1\n 1 write 0 2 -> ok 2"),
    ] {
        let value = |text: &str| if text == "true" { Value::Bool(true) } else { Value::text(text) };
        let options: Vec<(&str, Value)> = options.iter().map(|(name, text)| (*name, value(text))).collect();
        let verdict = judge(checker, &options, story);
        assert_eq!(verdict.validity, Validity::Valid, "{checker} {options:?}: {}\n{story}", verdict.summary);
    }
}
