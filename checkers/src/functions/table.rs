//! The table of functions and the one of micro-operations, and what their columns mean. It stands below histories, which know the
//! row of each function that was called.
use Argument::{Element, MicroOperations, Nothing, Objects, Optional, Other, Selector, Subject, Suffix, Swap, Value};
use FunctionKind::{
    Acquire, Change, CommutativeWrite, Follow, Query, Read, ReadWrite, Release, Renew, Transaction, Write,
};
use Reply::{Acknowledgement, Elements};

/// What a call of a function does to the object that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// It changes nothing and answers with what the object holds.
    Read,
    /// It changes nothing and answers with something else: a number of elements, a status.
    Query,
    /// It changes nothing but what its own client is shown next. Of a queue, the same name may take elements away.
    Follow,
    /// It changes the object, and the order of two of them matters.
    Write,
    /// It changes the object, and the order of two of them does not matter: neither contradicts the other.
    CommutativeWrite,
    /// It changes the object and answers with what it took, found or made: `dequeue`, `generate`.
    ReadWrite,
    /// It may change the object; whether two of them contradict each other depends on the object.
    Change,
    /// It takes a lock that others then cannot have.
    Acquire,
    /// It gives a lock back.
    Release,
    /// It holds on to a lock that would expire.
    Renew,
    /// A list of micro-operations, each with a kind and a key of its own.
    Transaction,
    /// The table does not know the function: it may change anything.
    Unknown,
}

impl FunctionKind {
    /// Whether a call changes nothing: neither the object nor what its client is shown next.
    pub fn is_read_only(self) -> bool {
        matches!(self, FunctionKind::Read | FunctionKind::Query)
    }

    /// Whether a call changes the object and shows nothing of it.
    pub fn is_write(self) -> bool {
        matches!(self, FunctionKind::Write | FunctionKind::CommutativeWrite)
    }
}

/// What the argument of a function is, and where the keys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// What is asked for; nil asks for everything. The key stands beside it.
    Selector,
    /// A value that the object then holds. A client may choose it during the call, and then only the reply shows it.
    Value,
    /// The end of a value that the object then holds. A client may choose it during the call.
    Suffix,
    /// An element that joins others. A reply to a call without an argument is news, and no argument.
    Element,
    /// An element or key that the call is about.
    Subject,
    /// Several objects and what is done with them: the keys stand in the argument.
    Objects,
    /// The value that is expected and the one that replaces it: `[from, to]`.
    Swap,
    /// None. A call of this name with one is another function, and may change anything: `log` of a line to be written.
    Nothing,
    /// It may be missing: an owner, an amount.
    Optional,
    /// A list of micro-operations: the keys stand in them.
    MicroOperations,
    /// Anything.
    Other,
}

impl Argument {
    /// Whether a client may choose the argument during the call, so that only the reply shows it.
    pub(crate) fn chosen_late(self) -> bool {
        matches!(self, Argument::Value | Argument::Suffix)
    }
}

/// What the reply of a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing but that it was done. A reply that repeats the argument, as Jepsen's completions do, says no more.
    Acknowledgement,
    /// The value that the object held: as it was written, or a list of what was added.
    Value,
    /// A list of values that were in the object.
    Elements,
    /// Anything else: a token, an offset, a number, micro-operations.
    Other,
}

/// A function of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name in histories and in the client protocol.
    pub name: &'static str,
    /// What a call does to its object.
    pub kind: FunctionKind,
    /// What its argument is.
    pub argument: Argument,
    /// What its reply is.
    pub reply: Reply,
    /// The verb of findings, `add`, and its past tense, `added`.
    pub(super) verb: &'static str,
    pub(super) past: &'static str,
}

/// Stands for every function that the table does not know.
static UNKNOWN: Function = Function {
    name: "?",
    kind: FunctionKind::Unknown,
    argument: Argument::Other,
    reply: Reply::Other,
    verb: "call",
    past: "called",
};

/// What the function of this name means; [`FunctionKind::Unknown`] where the table does not know it.
pub fn function(name: &str) -> &'static Function {
    FUNCTIONS.binary_search_by(|known| known.name.cmp(name)).map_or(&UNKNOWN, |at| &FUNCTIONS[at])
}

/// A function with the infinitive and the past tense of its verb.
const fn row(
    name: &'static str,
    kind: FunctionKind,
    argument: Argument,
    reply: Reply,
    verb: &'static str,
    past: &'static str,
) -> Function {
    Function { name, kind, argument, reply, verb, past }
}

/// What each function means, in the order of their names. Functions that are not here may change anything.
pub static FUNCTIONS: &[Function] = &[
    row("acquire", Acquire, Optional, Acknowledgement, "acquire", "acquired"),
    row("add", CommutativeWrite, Element, Acknowledgement, "add", "added"),
    row("add-and-get", ReadWrite, Other, Reply::Other, "add", "added"),
    row("append", Write, Suffix, Acknowledgement, "append", "appended"),
    row("assign", Follow, Other, Reply::Other, "assign", "assigned"),
    row("begin", Change, Other, Reply::Other, "begin", "began"),
    row("broadcast", CommutativeWrite, Other, Reply::Other, "broadcast", "broadcast"),
    row("campaign", Change, Other, Reply::Other, "win the election", "won the election"),
    row("cas", Write, Swap, Acknowledgement, "replace", "replaced"),
    row("commit", Change, Other, Reply::Other, "commit", "committed"),
    row("contains", Query, Other, Reply::Other, "look up", "looked up"),
    row("count", Query, Other, Reply::Other, "count", "counted"),
    row("crash", Follow, Other, Reply::Other, "crash", "crashed"),
    row("create-accounts", Change, Objects, Reply::Other, "create accounts", "created accounts"),
    row("create-transfers", Change, Objects, Reply::Other, "create transfers", "created transfers"),
    row("debug-topic-partitions", Query, Other, Reply::Other, "list topic partitions", "listed topic partitions"),
    row("dec", CommutativeWrite, Optional, Acknowledgement, "decrement", "decremented"),
    row("decrement", CommutativeWrite, Optional, Acknowledgement, "decrement", "decremented"),
    row("delete", Write, Subject, Acknowledgement, "delete", "deleted"),
    row("dequeue", ReadWrite, Other, Reply::Value, "dequeue", "dequeued"),
    row("drain", ReadWrite, Other, Elements, "drain", "drained"),
    row("echo", Query, Other, Reply::Other, "echo", "echoed"),
    row("elect", Change, Other, Reply::Other, "elect", "elected"),
    row("enqueue", Write, Value, Acknowledgement, "enqueue", "enqueued"),
    row("extract", ReadWrite, Other, Reply::Value, "extract", "extracted"),
    row("fetch", ReadWrite, Other, Reply::Other, "fetch", "fetched"),
    row("generate", ReadWrite, Other, Reply::Other, "generate", "generated"),
    row("get", Read, Selector, Reply::Value, "get", "got"),
    row("holder", Query, Other, Reply::Other, "ask for the holder", "asked for the holder"),
    row("inc", CommutativeWrite, Optional, Acknowledgement, "increment", "incremented"),
    row("increment", CommutativeWrite, Optional, Acknowledgement, "increment", "incremented"),
    row("init", Change, Objects, Reply::Other, "initialise", "initialised"),
    row("insert", Change, Element, Acknowledgement, "insert", "inserted"),
    row("leader", Query, Other, Reply::Other, "ask for the leader", "asked for the leader"),
    row("length", Query, Other, Reply::Other, "ask for the length", "asked for the length"),
    row("lock", Acquire, Optional, Acknowledgement, "lock", "locked"),
    row("log", Query, Nothing, Reply::Other, "read the log", "read the log"),
    row("lookup-accounts", Query, Objects, Reply::Other, "look up accounts", "looked up accounts"),
    row("lookup-transfers", Query, Objects, Reply::Other, "look up transfers", "looked up transfers"),
    row("members", Query, Nothing, Reply::Other, "ask for the members", "asked for the members"),
    row("observe", Query, Nothing, Reply::Other, "observe", "observed"),
    row("poll", Follow, Other, Reply::Other, "poll", "polled"),
    row("pop", ReadWrite, Other, Reply::Value, "pop", "popped"),
    row("publish", Change, Other, Reply::Other, "publish", "published"),
    row("push", Change, Value, Acknowledgement, "push", "pushed"),
    row("put", Write, Value, Acknowledgement, "put", "put"),
    row("r", Read, Selector, Reply::Value, "read", "read"),
    row("read", Read, Selector, Reply::Value, "read", "read"),
    row("read-at", Query, Other, Reply::Other, "read at", "read at"),
    row("rebalance", Follow, Other, Reply::Other, "rebalance", "rebalanced"),
    row("receive", ReadWrite, Other, Reply::Value, "receive", "received"),
    row("refresh", Change, Other, Reply::Other, "refresh", "refreshed"),
    row("release", Release, Optional, Acknowledgement, "release", "released"),
    row("remove", Change, Subject, Acknowledgement, "remove", "removed"),
    row("renew", Renew, Optional, Reply::Other, "renew", "renewed"),
    row("resign", Change, Other, Reply::Other, "resign", "resigned"),
    row("seek", Follow, Other, Reply::Other, "seek", "sought"),
    row("send", Change, Element, Acknowledgement, "send", "sent"),
    row("size", Query, Other, Reply::Other, "ask for the size", "asked for the size"),
    row("start", Change, Other, Reply::Other, "start", "started"),
    row("status", Query, Other, Reply::Other, "ask for the status", "asked for the status"),
    row("strong-read", Read, Selector, Reply::Other, "read", "read"),
    row("subscribe", Follow, Other, Reply::Other, "subscribe to", "subscribed to"),
    row("transfer", Change, Objects, Acknowledgement, "transfer", "transferred"),
    row("txn", Transaction, MicroOperations, Reply::Other, "commit", "committed"),
    row("unlock", Release, Optional, Acknowledgement, "unlock", "unlocked"),
    row("update", Change, Other, Reply::Other, "update", "updated"),
    row("upsert", Change, Other, Reply::Other, "upsert", "upserted"),
    row("w", Write, Value, Acknowledgement, "write", "wrote"),
    row("watch", Follow, Other, Reply::Other, "watch", "watched"),
    row("write", Write, Value, Acknowledgement, "write", "wrote"),
];

/// First words of micro-operations, with what they do to their key.
pub(super) static PARTS: &[(&str, FunctionKind)] = &[
    ("r", Read),
    ("read", Read),
    ("rp", Read),
    ("w", Write),
    ("write", Write),
    ("append", Write),
    ("insert", Write),
    ("put", Write),
    ("delete", Write),
    ("send", Write),
    ("poll", Follow),
];
