//! Stories of registers and of other objects that one model describes.
use super::Story;

/// All of them.
pub(super) const STORIES: &[Story] = &[
    Story {
        name: "a read goes back behind an acknowledged write",
        checker: "linearizable",
        options: &[],
        kind: "stale-read",
        lines: "
        0 write 1 1 -> ok
        2 read 1 -> ok 1
        0 write 1 2 -> ok
        3 write 1 3 -> info
        1 read 1 -> ok 1
        ",
    },
    Story {
        name: "two compare-and-sets replace one value",
        checker: "linearizable",
        options: &[],
        kind: "lost-update",
        lines: "
        0 write x 1 -> ok
        0 cas x [1,2] ...
        1 cas x [1,3] ...
        0 -> ok
        1 -> ok
        ",
    },
    Story {
        name: "each process writes, and then reads before the other's write",
        checker: "sequential",
        options: &[],
        kind: "nonsequential",
        lines: "
        0 write x 1 -> ok
        1 write y 1 -> ok
        0 read y -> ok
        1 read x -> ok
        ",
    },
    Story {
        name: "an answer is seen without its question",
        checker: "causal",
        options: &[],
        kind: "write-co-init-read",
        lines: "
        0 write question 1 -> ok
        1 read question -> ok 1
        1 write answer 2 -> ok
        2 read answer -> ok 2
        2 read question -> ok
        ",
    },
    Story {
        name: "a value comes back that was causally overwritten",
        checker: "causal",
        options: &[],
        kind: "write-co-read",
        lines: "
        0 write x 1 -> ok
        0 write x 2 -> ok
        1 read x -> ok 2
        1 read x -> ok 1
        ",
    },
    Story {
        name: "a process reads backwards",
        checker: "monotonic-reads",
        options: &[],
        kind: "non-monotonic-read",
        lines: "
        0 write x 1 -> ok
        0 write x 2 -> ok
        1 read x -> ok 2
        1 read x -> ok 1
        ",
    },
    Story {
        name: "a process does not see its own write",
        checker: "read-your-writes",
        options: &[],
        kind: "stale-own-write",
        lines: "
        1 write x 1 -> ok
        1 read x -> ok
        ",
    },
    Story {
        name: "a queue gives back the later value first",
        checker: "linearizable",
        options: &[("model", "\"fifo-queue\"")],
        kind: "fifo-violation",
        lines: "
        0 enqueue null 1 -> ok
        0 enqueue null 2 -> ok
        1 dequeue -> ok 2
        1 dequeue -> ok 1
        1 enqueue null 3 -> info
        ",
    },
    Story {
        name: "a stack gives back what lies below",
        checker: "linearizable",
        options: &[("model", "\"stack\"")],
        kind: "lifo-violation",
        lines: "
        0 push null 1 -> ok
        0 push null 2 -> ok
        1 pop -> ok 1
        1 pop -> ok 2
        ",
    },
    Story {
        name: "an append to a key of a store is not there",
        checker: "linearizable",
        options: &[("model", "\"kv\"")],
        kind: "nonlinearizable",
        lines: "
        0 put k a -> ok
        1 append k b -> ok
        2 get k -> ok a
        ",
    },
    Story {
        name: "more permits are out than there are",
        checker: "linearizable",
        options: &[("model", "\"semaphore\""), ("permits", "2")],
        kind: "nonlinearizable",
        lines: "
        0 acquire null 2 -> ok
        1 acquire null 1 -> ok
        ",
    },
    Story {
        name: "a read is two writes behind",
        checker: "staleness",
        options: &[("k_max", "1")],
        kind: "not-k-atomic",
        lines: "
        0 write x 1 -> ok
        0 write x 2 -> ok
        1 read x -> ok 1
        ",
    },
];
