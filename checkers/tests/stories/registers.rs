//! Stories of registers and of other objects that one model describes.
use super::Story;

/// All of them.
pub(super) const STORIES: &[Story] = &[
    Story {
        name: "a read goes back behind an acknowledged write",
        checker: "linearizable",
        options: &[],
        kind: "stale-read",
        lines: r#"
        {"type":"invoke","process":0,"f":"write","key":1,"value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":2,"f":"read","key":1}
        {"type":"ok","process":2,"value":1}
        {"type":"invoke","process":0,"f":"write","key":1,"value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":3,"f":"write","key":1,"value":3}
        {"type":"info","process":3}
        {"type":"invoke","process":1,"f":"read","key":1}
        {"type":"ok","process":1,"value":1}
        "#,
    },
    Story {
        name: "two compare-and-sets replace one value",
        checker: "linearizable",
        options: &[],
        kind: "lost-update",
        lines: r#"
        {"type":"invoke","process":0,"f":"write","key":"x","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"cas","key":"x","value":[1,2]}
        {"type":"invoke","process":1,"f":"cas","key":"x","value":[1,3]}
        {"type":"ok","process":0}
        {"type":"ok","process":1}
        "#,
    },
    Story {
        name: "each process writes, and then reads before the other's write",
        checker: "sequential",
        options: &[],
        kind: "nonsequential",
        lines: r#"
        {"type":"invoke","process":0,"f":"write","key":"x","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"write","key":"y","value":1}
        {"type":"ok","process":1}
        {"type":"invoke","process":0,"f":"read","key":"y"}
        {"type":"ok","process":0,"value":null}
        {"type":"invoke","process":1,"f":"read","key":"x"}
        {"type":"ok","process":1,"value":null}
        "#,
    },
    Story {
        name: "an answer is seen without its question",
        checker: "causal",
        options: &[],
        kind: "write-co-init-read",
        lines: r#"
        {"type":"invoke","process":0,"f":"write","key":"question","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"read","key":"question"}
        {"type":"ok","process":1,"value":1}
        {"type":"invoke","process":1,"f":"write","key":"answer","value":2}
        {"type":"ok","process":1}
        {"type":"invoke","process":2,"f":"read","key":"answer"}
        {"type":"ok","process":2,"value":2}
        {"type":"invoke","process":2,"f":"read","key":"question"}
        {"type":"ok","process":2,"value":null}
        "#,
    },
    Story {
        name: "a value comes back that was causally overwritten",
        checker: "causal",
        options: &[],
        kind: "write-co-read",
        lines: r#"
        {"type":"invoke","process":0,"f":"write","key":"x","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"write","key":"x","value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"read","key":"x"}
        {"type":"ok","process":1,"value":2}
        {"type":"invoke","process":1,"f":"read","key":"x"}
        {"type":"ok","process":1,"value":1}
        "#,
    },
    Story {
        name: "a process reads backwards",
        checker: "monotonic-reads",
        options: &[],
        kind: "non-monotonic-read",
        lines: r#"
        {"type":"invoke","process":0,"f":"write","key":"x","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"write","key":"x","value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"read","key":"x"}
        {"type":"ok","process":1,"value":2}
        {"type":"invoke","process":1,"f":"read","key":"x"}
        {"type":"ok","process":1,"value":1}
        "#,
    },
    Story {
        name: "a process does not see its own write",
        checker: "read-your-writes",
        options: &[],
        kind: "stale-own-write",
        lines: r#"
        {"type":"invoke","process":1,"f":"write","key":"x","value":1}
        {"type":"ok","process":1}
        {"type":"invoke","process":1,"f":"read","key":"x"}
        {"type":"ok","process":1,"value":null}
        "#,
    },
    Story {
        name: "a queue gives back the later value first",
        checker: "linearizable",
        options: &[("model", "\"fifo-queue\"")],
        kind: "fifo-violation",
        lines: r#"
        {"type":"invoke","process":0,"f":"enqueue","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"enqueue","value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"dequeue"}
        {"type":"ok","process":1,"value":2}
        {"type":"invoke","process":1,"f":"dequeue"}
        {"type":"ok","process":1,"value":1}
        {"type":"invoke","process":1,"f":"enqueue","value":3}
        {"type":"info","process":1}
        "#,
    },
    Story {
        name: "a stack gives back what lies below",
        checker: "linearizable",
        options: &[("model", "\"stack\"")],
        kind: "lifo-violation",
        lines: r#"
        {"type":"invoke","process":0,"f":"push","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"push","value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"pop"}
        {"type":"ok","process":1,"value":1}
        {"type":"invoke","process":1,"f":"pop"}
        {"type":"ok","process":1,"value":2}
        "#,
    },
    Story {
        name: "an append to a key of a store is not there",
        checker: "linearizable",
        options: &[("model", "\"kv\"")],
        kind: "nonlinearizable",
        lines: r#"
        {"type":"invoke","process":0,"f":"put","key":"k","value":"a"}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"append","key":"k","value":"b"}
        {"type":"ok","process":1}
        {"type":"invoke","process":2,"f":"get","key":"k"}
        {"type":"ok","process":2,"value":"a"}
        "#,
    },
    Story {
        name: "more permits are out than there are",
        checker: "linearizable",
        options: &[("model", "\"semaphore\""), ("permits", "2")],
        kind: "nonlinearizable",
        lines: r#"
        {"type":"invoke","process":0,"f":"acquire","value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"acquire","value":1}
        {"type":"ok","process":1}
        "#,
    },
    Story {
        name: "a read is two writes behind",
        checker: "staleness",
        options: &[("k_max", "1")],
        kind: "not-k-atomic",
        lines: r#"
        {"type":"invoke","process":0,"f":"write","key":"x","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"write","key":"x","value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"read","key":"x"}
        {"type":"ok","process":1,"value":1}
        "#,
    },
];
