//! Stories of transactions.
use super::Story;

/// All of them.
pub(super) const STORIES: &[Story] = &[
    Story {
        name: "money appears",
        checker: "bank",
        options: &[("total", "100")],
        kind: "wrong-total",
        lines: r#"
        {"type":"invoke","process":0,"f":"read"}
        {"type":"ok","process":0,"value":{"a":60,"b":40}}
        {"type":"invoke","process":1,"f":"transfer","value":{"from":"a","to":"b","amount":10}}
        {"type":"invoke","process":0,"f":"read"}
        {"type":"ok","process":0,"value":{"a":60,"b":50}}
        {"type":"ok","process":1}
        "#,
    },
    Story {
        name: "the later of two writes is seen without the earlier",
        checker: "causal-reverse",
        options: &[],
        kind: "causal-reverse",
        lines: r#"
        {"type":"invoke","process":0,"f":"write","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"write","value":2}
        {"type":"invoke","process":2,"f":"read"}
        {"type":"ok","process":2,"value":[2]}
        {"type":"ok","process":1}
        "#,
    },
    Story {
        name: "two reads see two writes in opposite orders",
        checker: "long-fork",
        options: &[],
        kind: "long-fork",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["w","x",1]]}
        {"type":"ok","process":0,"value":[["w","x",1]]}
        {"type":"invoke","process":1,"f":"txn","value":[["w","y",1]]}
        {"type":"ok","process":1,"value":[["w","y",1]]}
        {"type":"invoke","process":2,"f":"txn","value":[["r","x",null],["r","y",null]]}
        {"type":"ok","process":2,"value":[["r","x",1],["r","y",null]]}
        {"type":"invoke","process":3,"f":"txn","value":[["r","x",null],["r","y",null]]}
        {"type":"ok","process":3,"value":[["r","x",null],["r","y",1]]}
        "#,
    },
    Story {
        name: "two transactions read the same and both append",
        checker: "list-append",
        options: &[],
        kind: "lost-update",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["append",1,1]]}
        {"type":"ok","process":0,"value":[["append",1,1]]}
        {"type":"invoke","process":0,"f":"txn","value":[["r",1,null],["append",1,2]]}
        {"type":"invoke","process":1,"f":"txn","value":[["r",1,null],["append",1,3]]}
        {"type":"ok","process":0,"value":[["r",1,[1]],["append",1,2]]}
        {"type":"ok","process":1,"value":[["r",1,[1]],["append",1,3]]}
        {"type":"invoke","process":2,"f":"txn","value":[["r",1,null]]}
        {"type":"ok","process":2,"value":[["r",1,[1,2,3]]]}
        "#,
    },
    Story {
        name: "each of two transactions misses what the other wrote",
        checker: "list-append",
        options: &[],
        kind: "G2-item",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["r",1,null],["append",2,1]]}
        {"type":"invoke","process":1,"f":"txn","value":[["r",2,null],["append",1,1]]}
        {"type":"ok","process":0,"value":[["r",1,[]],["append",2,1]]}
        {"type":"ok","process":1,"value":[["r",2,[]],["append",1,1]]}
        {"type":"invoke","process":2,"f":"txn","value":[["r",1,null],["r",2,null]]}
        {"type":"ok","process":2,"value":[["r",1,[1]],["r",2,[1]]]}
        "#,
    },
    Story {
        name: "two transactions append in opposite orders",
        checker: "list-append",
        options: &[],
        kind: "G0",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["append",1,1],["append",2,1]]}
        {"type":"invoke","process":1,"f":"txn","value":[["append",1,2],["append",2,2]]}
        {"type":"ok","process":0,"value":[["append",1,1],["append",2,1]]}
        {"type":"ok","process":1,"value":[["append",1,2],["append",2,2]]}
        {"type":"invoke","process":2,"f":"txn","value":[["r",1,null],["r",2,null]]}
        {"type":"ok","process":2,"value":[["r",1,[1,2]],["r",2,[2,1]]]}
        "#,
    },
    Story {
        name: "two transactions read each other's appends",
        checker: "list-append",
        options: &[],
        kind: "G1c",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["append",1,1],["r",2,null]]}
        {"type":"invoke","process":1,"f":"txn","value":[["append",2,1],["r",1,null]]}
        {"type":"ok","process":0,"value":[["append",1,1],["r",2,[1]]]}
        {"type":"ok","process":1,"value":[["append",2,1],["r",1,[1]]]}
        "#,
    },
    Story {
        name: "a transaction sees half of another",
        checker: "list-append",
        options: &[],
        kind: "G-single-item",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["append",1,1],["append",2,1]]}
        {"type":"invoke","process":1,"f":"txn","value":[["r",1,null],["r",2,null]]}
        {"type":"ok","process":0,"value":[["append",1,1],["append",2,1]]}
        {"type":"ok","process":1,"value":[["r",1,[1]],["r",2,[]]]}
        "#,
    },
    Story {
        name: "what was appended before is not read afterwards",
        checker: "list-append",
        options: &[],
        kind: "G-single-item-realtime",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["append",1,1]]}
        {"type":"ok","process":0,"value":[["append",1,1]]}
        {"type":"invoke","process":1,"f":"txn","value":[["append",1,2]]}
        {"type":"info","process":1}
        {"type":"invoke","process":2,"f":"txn","value":[["r",1,null]]}
        {"type":"ok","process":2,"value":[["r",1,[]]]}
        "#,
    },
    Story {
        name: "a transaction reads what was rolled back",
        checker: "list-append",
        options: &[],
        kind: "G1a",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["append",1,1],["append",1,2]]}
        {"type":"invoke","process":1,"f":"txn","value":[["r",1,null]]}
        {"type":"ok","process":1,"value":[["r",1,[1]]]}
        {"type":"fail","process":0}
        "#,
    },
    Story {
        name: "registers: each of two transactions misses what the other wrote",
        checker: "rw-register",
        options: &[],
        kind: "G2-item",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["r","x",null],["w","y",1]]}
        {"type":"invoke","process":1,"f":"txn","value":[["r","y",null],["w","x",1]]}
        {"type":"ok","process":0,"value":[["r","x",null],["w","y",1]]}
        {"type":"ok","process":1,"value":[["r","y",null],["w","x",1]]}
        "#,
    },
    Story {
        name: "registers: the order of two versions follows from who touched them when",
        checker: "rw-register",
        options: &[("linearizable_keys", "true")],
        kind: "G-single-item",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["w","x",1]]}
        {"type":"ok","process":0,"value":[["w","x",1]]}
        {"type":"invoke","process":0,"f":"txn","value":[["w","x",2],["w","y",2]]}
        {"type":"invoke","process":1,"f":"txn","value":[["r","x",null],["r","y",null]]}
        {"type":"ok","process":0,"value":[["w","x",2],["w","y",2]]}
        {"type":"ok","process":1,"value":[["r","x",1],["r","y",2]]}
        "#,
    },
    Story {
        name: "a transaction sees half of another, and no stronger level is promised",
        checker: "read-atomic",
        options: &[],
        kind: "fractured-read",
        lines: r#"
        {"type":"invoke","process":0,"f":"txn","value":[["w","x",1],["w","y",1]]}
        {"type":"invoke","process":1,"f":"txn","value":[["r","y",null],["r","x",null]]}
        {"type":"ok","process":0,"value":[["w","x",1],["w","y",1]]}
        {"type":"ok","process":1,"value":[["r","y",null],["r","x",1]]}
        "#,
    },
    Story {
        name: "one participant commits, another aborts",
        checker: "atomic-commit",
        options: &[],
        kind: "mixed-decision",
        lines: r#"
        {"type":"invoke","process":0,"f":"status","key":"t","value":"a"}
        {"type":"ok","process":0,"value":"committed"}
        {"type":"invoke","process":0,"f":"status","key":"t","value":"b"}
        {"type":"ok","process":0,"value":"aborted"}
        "#,
    },
];
