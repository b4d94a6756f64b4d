//! The table of functions and the one of micro-operations.
use super::Argument::{Element, MicroOperations, Objects, Optional, Other, Selector, Subject, Suffix, Swap, Value};
use super::FunctionKind::{
    Acquire, Change, CommutativeWrite, Follow, Query, Read, ReadWrite, Release, Renew, Transaction, Write,
};
use super::Reply::{self, Acknowledgement, Elements};
use super::{Argument, Function, FunctionKind};

const fn row(name: &'static str, kind: FunctionKind, argument: Argument, reply: Reply) -> Function {
    Function { name, kind, argument, reply, verb: None }
}

const fn verb(verb: &'static str, past: &'static str, function: Function) -> Function {
    Function { verb: Some((verb, past)), ..function }
}

/// What each function means, in the order of their names. Functions that are not here may change anything.
pub static FUNCTIONS: &[Function] = &[
    row("acquire", Acquire, Optional, Acknowledgement),
    verb("add", "added", row("add", CommutativeWrite, Element, Acknowledgement)),
    row("add-and-get", ReadWrite, Other, Reply::Other),
    row("append", Write, Suffix, Acknowledgement),
    row("assign", Follow, Other, Reply::Other),
    row("begin", Change, Other, Reply::Other),
    row("broadcast", CommutativeWrite, Other, Reply::Other),
    row("campaign", Change, Other, Reply::Other),
    verb("replace", "replaced", row("cas", Write, Swap, Acknowledgement)),
    row("commit", Change, Other, Reply::Other),
    row("contains", Query, Other, Reply::Other),
    row("count", Query, Other, Reply::Other),
    row("crash", Follow, Other, Reply::Other),
    row("create-accounts", Change, Objects, Reply::Other),
    row("create-transfers", Change, Objects, Reply::Other),
    row("debug-topic-partitions", Query, Other, Reply::Other),
    verb("decrement", "decremented", row("dec", CommutativeWrite, Optional, Acknowledgement)),
    verb("decrement", "decremented", row("decrement", CommutativeWrite, Optional, Acknowledgement)),
    row("delete", Write, Subject, Acknowledgement),
    row("dequeue", ReadWrite, Other, Reply::Value),
    row("drain", ReadWrite, Other, Elements),
    row("echo", Query, Other, Reply::Other),
    row("elect", Change, Other, Reply::Other),
    row("enqueue", Write, Value, Acknowledgement),
    row("extract", ReadWrite, Other, Reply::Value),
    row("fetch", ReadWrite, Other, Reply::Other),
    row("generate", ReadWrite, Other, Reply::Other),
    row("get", Read, Selector, Reply::Value),
    row("holder", Query, Other, Reply::Other),
    verb("increment", "incremented", row("inc", CommutativeWrite, Optional, Acknowledgement)),
    verb("increment", "incremented", row("increment", CommutativeWrite, Optional, Acknowledgement)),
    row("init", Change, Objects, Reply::Other),
    row("insert", Change, Element, Acknowledgement),
    row("leader", Query, Other, Reply::Other),
    row("length", Query, Other, Reply::Other),
    row("lock", Acquire, Optional, Acknowledgement),
    row("log", Query, Other, Reply::Other),
    row("lookup-accounts", Query, Objects, Reply::Other),
    row("lookup-transfers", Query, Objects, Reply::Other),
    row("observe", Query, Other, Reply::Other),
    row("poll", Follow, Other, Reply::Other),
    row("pop", ReadWrite, Other, Reply::Value),
    row("publish", Change, Other, Reply::Other),
    row("push", Change, Value, Acknowledgement),
    row("put", Write, Value, Acknowledgement),
    row("r", Read, Selector, Reply::Value),
    verb("read", "read", row("read", Read, Selector, Reply::Value)),
    row("read-at", Query, Other, Reply::Other),
    row("rebalance", Follow, Other, Reply::Other),
    row("receive", ReadWrite, Other, Reply::Value),
    row("refresh", Change, Other, Reply::Other),
    row("release", Release, Optional, Acknowledgement),
    row("remove", Change, Subject, Acknowledgement),
    row("renew", Renew, Optional, Reply::Other),
    row("resign", Change, Other, Reply::Other),
    row("seek", Follow, Other, Reply::Other),
    row("send", Change, Element, Acknowledgement),
    row("size", Query, Other, Reply::Other),
    row("start", Change, Other, Reply::Other),
    row("status", Query, Other, Reply::Other),
    row("strong-read", Read, Selector, Reply::Other),
    row("subscribe", Follow, Other, Reply::Other),
    row("transfer", Change, Objects, Acknowledgement),
    row("txn", Transaction, MicroOperations, Reply::Other),
    row("unlock", Release, Optional, Acknowledgement),
    row("update", Change, Other, Reply::Other),
    row("upsert", Change, Other, Reply::Other),
    row("w", Write, Value, Acknowledgement),
    row("watch", Follow, Other, Reply::Other),
    verb("write", "wrote", row("write", Write, Value, Acknowledgement)),
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
