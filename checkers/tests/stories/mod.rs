//! Small invalid histories, one of each kind of broken promise.
use dsfuzz_checkers::Value;
use serde_json::{Value as Json, json};

/// A history and what must be found in it.
pub(crate) struct Story {
    /// What happens, in a few words.
    pub(crate) name: &'static str,
    /// Who judges.
    pub(crate) checker: &'static str,
    /// With which options, as JSON.
    pub(crate) options: &'static [(&'static str, &'static str)],
    /// The finding's kind.
    pub(crate) kind: &'static str,
    /// JSON lines; what is obvious is left out, see [`complete`].
    pub(crate) lines: &'static str,
}

/// All of them.
pub(crate) const STORIES: &[Story] = &[
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

/// A value written as JSON.
pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

/// The lines with what was left out: `index` (counts up), `time` (a millisecond each), `worker` (the process), `node`
/// (`n1`), `workload` (`register`).
pub(crate) fn complete(lines: &str) -> String {
    let mut out = String::new();
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    for (index, line) in lines.enumerate() {
        let mut record: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let process = record["process"].clone();
        let invoke = record["type"] == "invoke";
        let fields = record.as_object_mut().expect("an object");
        let mut default = |name: &str, value: Json| {
            fields.entry(name).or_insert(value);
        };
        default("index", json!(index));
        default("time", json!(index * 1_000_000));
        if invoke {
            default("node", json!("n1"));
            default("workload", json!("register"));
            default("worker", process);
        }
        out.push_str(&record.to_string());
        out.push('\n');
    }
    out
}
