//! Stories of single workloads: sets, locks, queues, logs, ...
use super::Story;

/// All of them.
pub(super) const STORIES: &[Story] = &[
    Story {
        name: "an acknowledged element is in no last read",
        checker: "set-full",
        options: &[],
        kind: "lost-element",
        lines: "
        0 add null 1 -> ok
        0 add null 2 -> ok
        1 read -> ok [2]
        ",
    },
    Story {
        name: "two callers receive one id",
        checker: "unique-ids",
        options: &[],
        kind: "duplicate-id",
        lines: "
        0 generate -> ok a7
        1 generate -> ok a8
        0 generate -> ok a8
        ",
    },
    Story {
        name: "a counter forgets",
        checker: "counter",
        options: &[],
        kind: "read-below-bound",
        lines: "
        0 add null 5 -> ok
        0 decrement -> info
        1 add null 3 ...
        9 read -> ok 3
        ",
    },
    Story {
        name: "a release that was refused leaves the lock held",
        checker: "lock",
        options: &[],
        kind: "double-hold",
        lines: "
        0 acquire l -> ok
        0 release l -> fail not-held
        1 acquire l -> ok
        ",
    },
    Story {
        name: "two processes hold one lock",
        checker: "lock",
        options: &[],
        kind: "double-hold",
        lines: "
        0 acquire l -> ok
        1 acquire l -> ok
        0 release l -> ok
        ",
    },
    Story {
        name: "a write with an old token is accepted",
        checker: "fencing",
        options: &[],
        kind: "stale-token-accepted",
        lines: r#"
        1 acquire l -> ok 33
        0 acquire l -> ok 34
        0 write null {"token":34,"value":"a"} -> ok
        1 write null {"token":33,"value":"b"} -> ok
        "#,
    },
    Story {
        name: "a message comes out that nobody put in",
        checker: "queue",
        options: &[],
        kind: "unexpected-message",
        lines: "
        0 enqueue null 1 -> ok
        1 dequeue -> ok 7
        ",
    },
    Story {
        name: "a log loses an acknowledged message",
        checker: "kafka",
        options: &[],
        kind: "lost-write",
        lines: r#"
        0 send null [["send","k",1]] -> ok [["send","k",[0,1]]]
        0 send null [["send","k",2]] -> ok [["send","k",[1,2]]]
        1 poll null [["poll"]] -> ok [["poll",{"k":[[1,2]]}]]
        "#,
    },
    Story {
        name: "a transaction polls what it has not committed",
        checker: "kafka",
        options: &[("isolation", "\"read-committed\"")],
        kind: "precommitted-read",
        lines: r#"
        0 txn null [["send","k",1],["poll"]] -> ok [["send","k",[0,1]],["poll",{"k":[[0,1]]}]]
        "#,
    },
    Story {
        name: "a consumer that is assigned a log again passes a message",
        checker: "kafka",
        options: &[],
        kind: "poll-skip",
        lines: r#"
        0 send null [["send","k",1],["send","k",2],["send","k",3]] -> ok [["send","k",[0,1]],["send","k",[1,2]],["send","k",[2,3]]]
        1 poll null [["poll"]] -> ok [["poll",{"k":[[0,1]]}]]
        1 assign null ["k","l"] -> ok
        1 poll null [["poll"]] -> ok [["poll",{"k":[[2,3]]}]]
        "#,
    },
    Story {
        name: "a consumer passes a message",
        checker: "kafka",
        options: &[],
        kind: "poll-skip",
        lines: r#"
        0 send null [["send","k",1],["send","k",2],["send","k",3]] -> ok [["send","k",[0,1]],["send","k",[1,2]],["send","k",[2,3]]]
        1 poll null [["poll"]] -> ok [["poll",{"k":[[0,1]]}]]
        1 poll null [["poll"]] -> ok [["poll",{"k":[[2,3]]}]]
        "#,
    },
    Story {
        name: "a watch leaves out a revision",
        checker: "watch",
        options: &[],
        kind: "watch-not-reliable",
        lines: r#"
        0 put a 1 -> ok 2
        0 put a 2 -> ok 3
        0 put a 3 -> ok 4
        1 watch null {"key":"a","revision":1} -> ok [[{"revision":2,"key":"a","value":1,"type":"put"}],[{"revision":4,"key":"a","value":3,"type":"put"}]]
        "#,
    },
    Story {
        name: "a later insert has an earlier timestamp",
        checker: "monotonic",
        options: &[],
        kind: "out-of-order",
        lines: "
        0 add null 1 -> ok
        1 add null 2 -> ok
        2 read -> ok [[1,20],[2,10]]
        ",
    },
    Story {
        name: "a saga compensates in the wrong order",
        checker: "saga",
        options: &[],
        kind: "compensated-out-of-order",
        lines: r#"
        0 start s ["a","b"] -> ok
        1 log s -> ok [["step","a"],["step","b"],["compensate","a"],["compensate","b"],"compensated"]
        "#,
    },
];
