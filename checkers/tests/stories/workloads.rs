//! Stories of single workloads: sets, locks, queues, logs, ...
use super::Story;

/// All of them.
pub(super) const STORIES: &[Story] = &[
    Story {
        name: "an acknowledged element is in no last read",
        checker: "set-full",
        options: &[],
        kind: "lost-element",
        lines: r#"
        {"type":"invoke","process":0,"f":"add","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"add","value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"read"}
        {"type":"ok","process":1,"value":[2]}
        "#,
    },
    Story {
        name: "two callers receive one id",
        checker: "unique-ids",
        options: &[],
        kind: "duplicate-id",
        lines: r#"
        {"type":"invoke","process":0,"f":"generate"}
        {"type":"ok","process":0,"value":"a7"}
        {"type":"invoke","process":1,"f":"generate"}
        {"type":"ok","process":1,"value":"a8"}
        {"type":"invoke","process":0,"f":"generate"}
        {"type":"ok","process":0,"value":"a8"}
        "#,
    },
    Story {
        name: "a counter forgets",
        checker: "counter",
        options: &[],
        kind: "read-below-bound",
        lines: r#"
        {"type":"invoke","process":0,"f":"add","value":5}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"decrement"}
        {"type":"info","process":0}
        {"type":"invoke","process":1,"f":"add","value":3}
        {"type":"invoke","process":9,"f":"read"}
        {"type":"ok","process":9,"value":3}
        "#,
    },
    Story {
        name: "a release that was refused leaves the lock held",
        checker: "lock",
        options: &[],
        kind: "double-hold",
        lines: r#"
        {"type":"invoke","process":0,"f":"acquire","key":"l"}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"release","key":"l"}
        {"type":"fail","process":0,"value":"not-held"}
        {"type":"invoke","process":1,"f":"acquire","key":"l"}
        {"type":"ok","process":1}
        "#,
    },
    Story {
        name: "two processes hold one lock",
        checker: "lock",
        options: &[],
        kind: "double-hold",
        lines: r#"
        {"type":"invoke","process":0,"f":"acquire","key":"l"}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"acquire","key":"l"}
        {"type":"ok","process":1}
        {"type":"invoke","process":0,"f":"release","key":"l"}
        {"type":"ok","process":0}
        "#,
    },
    Story {
        name: "a write with an old token is accepted",
        checker: "fencing",
        options: &[],
        kind: "stale-token-accepted",
        lines: r#"
        {"type":"invoke","process":1,"f":"acquire","key":"l"}
        {"type":"ok","process":1,"value":33}
        {"type":"invoke","process":0,"f":"acquire","key":"l"}
        {"type":"ok","process":0,"value":34}
        {"type":"invoke","process":0,"f":"write","value":{"token":34,"value":"a"}}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"write","value":{"token":33,"value":"b"}}
        {"type":"ok","process":1}
        "#,
    },
    Story {
        name: "a message comes out that nobody put in",
        checker: "queue",
        options: &[],
        kind: "unexpected-message",
        lines: r#"
        {"type":"invoke","process":0,"f":"enqueue","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"dequeue"}
        {"type":"ok","process":1,"value":7}
        "#,
    },
    Story {
        name: "a log loses an acknowledged message",
        checker: "kafka",
        options: &[],
        kind: "lost-write",
        lines: r#"
        {"type":"invoke","process":0,"f":"send","value":[["send","k",1]]}
        {"type":"ok","process":0,"value":[["send","k",[0,1]]]}
        {"type":"invoke","process":0,"f":"send","value":[["send","k",2]]}
        {"type":"ok","process":0,"value":[["send","k",[1,2]]]}
        {"type":"invoke","process":1,"f":"poll","value":[["poll"]]}
        {"type":"ok","process":1,"value":[["poll",{"k":[[1,2]]}]]}
        "#,
    },
    Story {
        name: "a transaction polls what it has not committed",
        checker: "kafka",
        options: &[("isolation", "\"read-committed\"")],
        kind: "precommitted-read",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["send","k",1],["poll"]]}
        {"type":"ok","process":0,"value":[["send","k",[0,1]],["poll",{"k":[[0,1]]}]]}
        "#,
    },
    Story {
        name: "a consumer that is assigned a log again passes a message",
        checker: "kafka",
        options: &[],
        kind: "poll-skip",
        lines: r#"
        {"type":"invoke","process":0,"f":"send","value":[["send","k",1],["send","k",2],["send","k",3]]}
        {"type":"ok","process":0,"value":[["send","k",[0,1]],["send","k",[1,2]],["send","k",[2,3]]]}
        {"type":"invoke","process":1,"f":"poll","value":[["poll"]]}
        {"type":"ok","process":1,"value":[["poll",{"k":[[0,1]]}]]}
        {"type":"invoke","process":1,"f":"assign","value":["k","l"]}
        {"type":"ok","process":1}
        {"type":"invoke","process":1,"f":"poll","value":[["poll"]]}
        {"type":"ok","process":1,"value":[["poll",{"k":[[2,3]]}]]}
        "#,
    },
    Story {
        name: "a consumer passes a message",
        checker: "kafka",
        options: &[],
        kind: "poll-skip",
        lines: r#"
        {"type":"invoke","process":0,"f":"send","value":[["send","k",1],["send","k",2],["send","k",3]]}
        {"type":"ok","process":0,"value":[["send","k",[0,1]],["send","k",[1,2]],["send","k",[2,3]]]}
        {"type":"invoke","process":1,"f":"poll","value":[["poll"]]}
        {"type":"ok","process":1,"value":[["poll",{"k":[[0,1]]}]]}
        {"type":"invoke","process":1,"f":"poll","value":[["poll"]]}
        {"type":"ok","process":1,"value":[["poll",{"k":[[2,3]]}]]}
        "#,
    },
    Story {
        name: "a watch leaves out a revision",
        checker: "watch",
        options: &[],
        kind: "watch-not-reliable",
        lines: r#"
        {"type":"invoke","process":0,"f":"put","key":"a","value":1}
        {"type":"ok","process":0,"value":2}
        {"type":"invoke","process":0,"f":"put","key":"a","value":2}
        {"type":"ok","process":0,"value":3}
        {"type":"invoke","process":0,"f":"put","key":"a","value":3}
        {"type":"ok","process":0,"value":4}
        {"type":"invoke","process":1,"f":"watch","value":{"key":"a","revision":1}}
        {"type":"ok","process":1,"value":[[{"revision":2,"key":"a","value":1,"type":"put"}],[{"revision":4,"key":"a","value":3,"type":"put"}]]}
        "#,
    },
    Story {
        name: "a later insert has an earlier timestamp",
        checker: "monotonic",
        options: &[],
        kind: "out-of-order",
        lines: r#"
        {"type":"invoke","process":0,"f":"add","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"add","value":2}
        {"type":"ok","process":1}
        {"type":"invoke","process":2,"f":"read"}
        {"type":"ok","process":2,"value":[[1,20],[2,10]]}
        "#,
    },
    Story {
        name: "a saga compensates in the wrong order",
        checker: "saga",
        options: &[],
        kind: "compensated-out-of-order",
        lines: r#"
        {"type":"invoke","process":0,"f":"start","key":"s","value":["a","b"]}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"log","key":"s"}
        {"type":"ok","process":1,"value":[["step","a"],["step","b"],["compensate","a"],["compensate","b"],"compensated"]}
        "#,
    },
];
