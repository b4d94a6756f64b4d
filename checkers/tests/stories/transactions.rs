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
        0 read -> ok {"a":60,"b":40}
        1 transfer null {"from":"a","to":"b","amount":10} ...
        0 read -> ok {"a":60,"b":50}
        1 -> ok
        "#,
    },
    Story {
        name: "the later of two writes is seen without the earlier",
        checker: "causal-reverse",
        options: &[],
        kind: "causal-reverse",
        lines: "
        0 write null 1 -> ok
        1 write null 2 ...
        2 read -> ok [2]
        1 -> ok
        ",
    },
    Story {
        name: "two reads see two writes in opposite orders",
        checker: "long-fork",
        options: &[],
        kind: "long-fork",
        lines: "
        0 txn w x 1 -> ok
        1 txn w y 1 -> ok
        2 txn r x 1; r y -> ok
        3 txn r x; r y 1 -> ok
        ",
    },
    Story {
        name: "two transactions read the same and both append",
        checker: "list-append",
        options: &[],
        kind: "lost-update",
        lines: "
        0 txn a 1 1 -> ok
        0 txn r 1; a 1 2 ...
        1 txn r 1; a 1 3 ...
        0 -> ok r 1 [1]; a 1 2
        1 -> ok r 1 [1]; a 1 3
        2 txn r 1 [1,2,3] -> ok
        ",
    },
    Story {
        name: "each of two transactions misses what the other wrote",
        checker: "list-append",
        options: &[],
        kind: "G2-item",
        lines: "
        0 txn r 1; a 2 1 ...
        1 txn r 2; a 1 1 ...
        0 -> ok r 1 []; a 2 1
        1 -> ok r 2 []; a 1 1
        2 txn r 1 [1]; r 2 [1] -> ok
        ",
    },
    Story {
        name: "two transactions append in opposite orders",
        checker: "list-append",
        options: &[],
        kind: "G0",
        lines: "
        0 txn a 1 1; a 2 1 ...
        1 txn a 1 2; a 2 2 ...
        0 -> ok a 1 1; a 2 1
        1 -> ok a 1 2; a 2 2
        2 txn r 1 [1,2]; r 2 [2,1] -> ok
        ",
    },
    Story {
        name: "two transactions read each other's appends",
        checker: "list-append",
        options: &[],
        kind: "G1c",
        lines: "
        0 txn a 1 1; r 2 ...
        1 txn a 2 1; r 1 ...
        0 -> ok a 1 1; r 2 [1]
        1 -> ok a 2 1; r 1 [1]
        ",
    },
    Story {
        name: "a transaction sees half of another",
        checker: "list-append",
        options: &[],
        kind: "G-single-item",
        lines: "
        0 txn a 1 1; a 2 1 ...
        1 txn r 1; r 2 ...
        0 -> ok a 1 1; a 2 1
        1 -> ok r 1 [1]; r 2 []
        ",
    },
    Story {
        name: "what was appended before is not read afterwards",
        checker: "list-append",
        options: &[],
        kind: "G-single-item-realtime",
        lines: "
        0 txn a 1 1 -> ok
        1 txn a 1 2 -> info
        2 txn r 1 [] -> ok
        ",
    },
    Story {
        name: "a transaction reads what was rolled back",
        checker: "list-append",
        options: &[],
        kind: "G1a",
        lines: "
        0 txn a 1 1; a 1 2 ...
        1 txn r 1 [1] -> ok
        0 -> fail
        ",
    },
    Story {
        name: "registers: each of two transactions misses what the other wrote",
        checker: "rw-register",
        options: &[],
        kind: "G2-item",
        lines: "
        0 txn r x; w y 1 ...
        1 txn r y; w x 1 ...
        0 -> ok r x; w y 1
        1 -> ok r y; w x 1
        ",
    },
    Story {
        name: "registers: the order of two versions follows from who touched them when",
        checker: "rw-register",
        options: &[("linearizable_keys", "true")],
        kind: "G-single-item",
        lines: "
        0 txn w x 1 -> ok
        0 txn w x 2; w y 2 ...
        1 txn r x; r y ...
        0 -> ok w x 2; w y 2
        1 -> ok r x 1; r y 2
        ",
    },
    Story {
        name: "a transaction sees half of another, and no stronger level is promised",
        checker: "read-atomic",
        options: &[],
        kind: "fractured-read",
        lines: "
        0 txn w x 1; w y 1 ...
        1 txn r y; r x ...
        0 -> ok w x 1; w y 1
        1 -> ok r y; r x 1
        ",
    },
    Story {
        name: "one participant commits, another aborts",
        checker: "atomic-commit",
        options: &[],
        kind: "mixed-decision",
        lines: "
        0 status t a -> ok committed
        0 status t b -> ok aborted
        ",
    },
];
