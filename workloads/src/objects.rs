//! [`OBJECTS`]: what clients implement. Several workloads share an object, so that a client that carries the object carries them all.

/// An object of a target: its functions, whatever workload calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectDoc {
    /// Its name in recipes.
    pub name: &'static str,
    /// What workloads may call of it.
    pub functions: &'static [&'static str],
    /// One sentence.
    pub doc: &'static str,
}

const fn object(name: &'static str, functions: &'static [&'static str], doc: &'static str) -> ObjectDoc {
    ObjectDoc { name, functions, doc }
}

/// Every object, for listings.
pub const OBJECTS: &[ObjectDoc] = &[
    object("register", &["read", "write", "cas"], "One value for each key."),
    object("set", &["add", "read"], "Elements that are added and never removed; a read returns them all."),
    object(
        "rows",
        &["add", "read"],
        "A table whose rows get a timestamp from the target; a read returns value and timestamp of all.",
    ),
    object(
        "transactions",
        &["txn"],
        "Lists and registers by key; a transaction is a list of micro-operations on several of them.",
    ),
    object("bank", &["transfer", "read"], "Accounts; a read returns all balances at once."),
    object("predicate", &["insert"], "Rows by key; a transaction inserts one if a predicate finds none."),
    object(
        "table",
        &["init", "txn"],
        "Rows by key; a transaction inserts, writes, deletes, reads and selects by a predicate.",
    ),
    object(
        "crdt",
        &["read", "add", "remove", "write"],
        "A replicated counter, set or register, whose type the parameters name.",
    ),
    object("queue", &["enqueue", "dequeue", "drain"], "Messages that are handed out once."),
    object("counter", &["add", "read"], "A number that is added to."),
    object("ids", &["generate"], "Ids that the target makes."),
    object("lock", &["acquire", "release"], "A lock for each key, held by one process at a time."),
    object("lease", &["acquire", "renew", "release"], "A lock for each key that expires unless it is renewed."),
    object("semaphore", &["acquire", "release"], "Permits for each key, as many as the parameters say."),
    object(
        "guarded",
        &["acquire", "add", "read", "write", "log", "release"],
        "A lock for each key and what it guards: a set that holders write back whole, and a log of writes with fencing tokens.",
    ),
    object(
        "election",
        &["elect", "leader", "write", "log", "resign"],
        "An office for each key with one leader in a term, and a log of what leaders write with their term.",
    ),
    object(
        "log",
        &["assign", "subscribe", "send", "poll", "txn", "crash"],
        "Logs of messages with offsets, which consumers poll from their place on.",
    ),
    object("kv", &["get", "put", "delete", "watch"], "A store of keys with revisions that can be watched."),
    object("commit", &["commit", "status"], "Transactions that several participants commit or abort."),
    object("saga", &["start", "log"], "Sagas: steps that are all done, or compensated in reverse order."),
];
