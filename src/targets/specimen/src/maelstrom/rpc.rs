//! [`Workload`]: which calls of clients are which requests of Maelstrom, and what its answers mean. Pure.
//!
//! **Source.** Maelstrom's protocol and workloads: `doc/protocol.md` (the table of errors) and `doc/workloads.md` of
//! <https://github.com/jepsen-io/maelstrom>.
use crate::call::{Call, Outcome};
use serde_json::{Value as Json, json};

/// A workload of Maelstrom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    /// What is sent comes back.
    Echo,
    /// Ids that no two calls get.
    UniqueIds,
    /// A set to which messages are broadcast.
    Broadcast,
    /// A set that only grows.
    GSet,
    /// A counter that only grows.
    GCounter,
    /// A counter that goes up and down.
    PnCounter,
    /// Logs with offsets.
    Kafka,
    /// Registers.
    LinKv,
    /// Transactions on lists.
    TxnListAppend,
    /// Transactions on registers.
    TxnRwRegister,
}

use Workload::{Broadcast, Echo, GCounter, GSet, Kafka, LinKv, PnCounter, TxnListAppend, TxnRwRegister, UniqueIds};

/// Every workload, by its name in Maelstrom.
pub(super) const WORKLOADS: &[(&str, Workload)] = &[
    ("echo", Echo),
    ("unique-ids", UniqueIds),
    ("broadcast", Broadcast),
    ("g-set", GSet),
    ("g-counter", GCounter),
    ("pn-counter", PnCounter),
    ("kafka", Kafka),
    ("lin-kv", LinKv),
    ("txn-list-append", TxnListAppend),
    ("txn-rw-register", TxnRwRegister),
];

impl Workload {
    /// The workload of this name.
    pub(super) fn named(name: &str) -> Option<Workload> {
        WORKLOADS.iter().find(|(known, _)| *known == name).map(|(_, workload)| *workload)
    }

    /// The objects of dsfuzz that it has.
    pub(super) fn objects(self) -> &'static [&'static str] {
        match self {
            Echo | UniqueIds => &["ids"],
            Broadcast | GSet => &["set", "crdt"],
            GCounter | PnCounter => &["counter", "crdt"],
            Kafka => &["log"],
            LinKv => &["register"],
            TxnListAppend | TxnRwRegister => &["transactions"],
        }
    }

    /// The request that a call is, or the certain failure of one that Maelstrom does not have. Those of `kafka` are in
    /// [`super::consumer`].
    pub(super) fn request(self, call: &Call) -> Result<Json, Outcome> {
        let unknown = |what: String| Err(Outcome::fail("not-supported", what));
        let keyed = self == LinKv;
        if !keyed && !call.key.is_null() {
            return unknown(
                "this workload of Maelstrom has one object: leave `keys` of the plan's workload out".to_owned(),
            );
        }
        if call.object == "crdt" && !self.is_type(&call.params["type"]) {
            return unknown(format!("the program is no {}", call.params["type"]));
        }
        if call.params["versions"] == true {
            return unknown("registers of Maelstrom have no versions".to_owned());
        }
        let value = &call.value;
        Ok(match (self, call.f.as_str()) {
            (Echo, "generate") => json!({"type": "echo", "echo": own_text(call)}),
            (UniqueIds, "generate") => json!({"type": "generate"}),
            (Broadcast, "add") => json!({"type": "broadcast", "message": value}),
            (GSet, "add") => json!({"type": "add", "element": value}),
            (GCounter | PnCounter, "add") => json!({"type": "add", "delta": value}),
            (Broadcast | GSet | GCounter | PnCounter, "read") => json!({"type": "read"}),
            (LinKv, "read") => json!({"type": "read", "key": call.key}),
            (LinKv, "write") => json!({"type": "write", "key": call.key, "value": value}),
            (LinKv, "cas") => json!({"type": "cas", "key": call.key, "from": value[0], "to": value[1]}),
            (TxnListAppend | TxnRwRegister, "txn") => json!({"type": "txn", "txn": value}),
            (_, f) => return unknown(format!("no function {f} of a {}", call.object)),
        })
    }

    /// Whether a replicated data type of dsfuzz is this one.
    fn is_type(self, name: &Json) -> bool {
        match self {
            Broadcast | GSet => name == "g-set",
            GCounter => name == "g-counter",
            PnCounter => name == "pn-counter" || name == "g-counter",
            _ => false,
        }
    }

    /// What the answer to the request of a call means.
    pub(super) fn outcome(self, call: &Call, body: &Json) -> Outcome {
        if body["type"] == "error" {
            return match (self, call.f.as_str(), body["code"].as_i64()) {
                // A register to which nothing was written.
                (LinKv, "read", Some(20)) => Outcome::Ok(Json::Null),
                (LinKv, "cas", Some(20)) => Outcome::fail("precondition", "nothing was written"),
                _ => error(body),
            };
        }
        let field = match (self, call.f.as_str()) {
            (Echo, _) => "echo",
            (UniqueIds, _) => "id",
            (Broadcast, "read") => "messages",
            (GSet | GCounter | PnCounter | LinKv, "read") => "value",
            (TxnListAppend | TxnRwRegister, _) => "txn",
            _ => "",
        };
        let expected = self.request(call).map(|request| request["type"].clone()).unwrap_or_default();
        let reply = match answered(expected.as_str().unwrap_or_default(), body, field) {
            Ok(reply) => reply,
            Err(outcome) => return outcome,
        };
        match self {
            Echo if reply != own_text(call) => not_understood(format!("the echo of {} is {reply}", own_text(call))),
            // An id of dsfuzz is a number or a text.
            UniqueIds if !reply.is_i64() && !reply.is_string() => Outcome::Ok(reply.to_string().into()),
            _ => Outcome::Ok(reply),
        }
    }
}

/// A text that no other call of the run has, for an echo.
fn own_text(call: &Call) -> String {
    format!("{}-{}", call.process, call.id)
}

/// The field of an answer to a request of this type; without a field only the type is looked at.
pub(super) fn answered(request: &str, body: &Json, field: &str) -> Result<Json, Outcome> {
    if body["type"] == "error" {
        return Err(error(body));
    }
    if body["type"] != format!("{request}_ok") {
        return Err(not_understood(format!("the answer to {request} is {body}")));
    }
    match body.get(field) {
        _ if field.is_empty() => Ok(Json::Null),
        Some(value) => Ok(value.clone()),
        None => Err(not_understood(format!("the answer to {request} has no `{field}`: {body}"))),
    }
}

/// The code of an answer that is none of Maelstrom's.
pub(super) const NOT_UNDERSTOOD: &str = "unknown";

fn not_understood(text: String) -> Outcome {
    Outcome::info(NOT_UNDERSTOOD, text)
}

/// What an error means: codes 0 and 13 and those of the program's own leave the effect unknown.
fn error(body: &Json) -> Outcome {
    let said = body["text"].as_str().unwrap_or_default();
    let text = |name: &str| format!("{name}: {said}");
    match body["code"].as_i64() {
        Some(0) => Outcome::info("timeout", text("timeout")),
        Some(1) => Outcome::fail("not-found", text("node-not-found")),
        Some(10) => Outcome::fail("not-supported", text("not-supported")),
        Some(11) => Outcome::fail("aborted", text("temporarily-unavailable")),
        Some(12) => Outcome::fail("malformed", text("malformed-request")),
        Some(13) => Outcome::info("crash", text("crash")),
        Some(14) => Outcome::fail("aborted", text("abort")),
        Some(20) => Outcome::fail("not-found", text("key-does-not-exist")),
        Some(21) => Outcome::fail("exists", text("key-already-exists")),
        Some(22) => Outcome::fail("precondition", text("precondition-failed")),
        Some(30) => Outcome::fail("conflict", text("txn-conflict")),
        _ => Outcome::info("unavailable", format!("error {}: {said}", body["code"])),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn call(object: &str, f: &str, key: Json, value: Json, params: Json) -> Call {
        serde_json::from_value(json!({
            "id": 1, "process": 4, "workload": "w", "object": object, "f": f, "key": key, "value": value, "params": params,
            "deadline_ms": 1000,
        }))
        .expect("a call")
    }

    /// The request of a call, and its outcome for this answer.
    fn case(workload: &str, call: &Call, answer: Json) -> (Json, Outcome) {
        let workload = Workload::named(workload).expect("a workload");
        (workload.request(call).expect("a request"), workload.outcome(call, &answer))
    }

    #[test]
    fn every_workload_has_its_requests_and_answers() {
        let null = Json::Null;
        let of = |object, f, value: Json| call(object, f, Json::Null, value, Json::Null);
        let ok = |value: Json| Outcome::Ok(value);
        let cases = [
            (
                "echo",
                of("ids", "generate", null.clone()),
                json!({"type": "echo", "echo": "4-1"}),
                json!({"type": "echo_ok", "echo": "4-1"}),
                ok("4-1".into()),
            ),
            (
                "unique-ids",
                of("ids", "generate", null.clone()),
                json!({"type": "generate"}),
                json!({"type": "generate_ok", "id": [1, 2]}),
                ok("[1,2]".into()),
            ),
            (
                "broadcast",
                of("set", "add", 3.into()),
                json!({"type": "broadcast", "message": 3}),
                json!({"type": "broadcast_ok"}),
                Outcome::done(),
            ),
            (
                "broadcast",
                of("set", "read", null.clone()),
                json!({"type": "read"}),
                json!({"type": "read_ok", "messages": [3]}),
                ok(json!([3])),
            ),
            (
                "g-set",
                of("set", "add", 3.into()),
                json!({"type": "add", "element": 3}),
                json!({"type": "add_ok"}),
                Outcome::done(),
            ),
            (
                "g-set",
                of("set", "read", null.clone()),
                json!({"type": "read"}),
                json!({"type": "read_ok", "value": [3]}),
                ok(json!([3])),
            ),
            (
                "pn-counter",
                of("counter", "add", (-3).into()),
                json!({"type": "add", "delta": -3}),
                json!({"type": "add_ok"}),
                Outcome::done(),
            ),
            (
                "g-counter",
                of("counter", "read", null.clone()),
                json!({"type": "read"}),
                json!({"type": "read_ok", "value": 9}),
                ok(9.into()),
            ),
            (
                "txn-list-append",
                of("transactions", "txn", json!([["r", 1, null], ["append", 1, 6]])),
                json!({"type": "txn", "txn": [["r", 1, null], ["append", 1, 6]]}),
                json!({"type": "txn_ok", "txn": [["r", 1, [8]], ["append", 1, 6]]}),
                ok(json!([["r", 1, [8]], ["append", 1, 6]])),
            ),
        ];
        for (workload, call, request, answer, outcome) in cases {
            assert_eq!(case(workload, &call, answer), (request, outcome), "{workload}");
        }
    }

    #[test]
    fn a_register_is_empty_before_its_first_write() {
        let missing = json!({"type": "error", "code": 20, "text": "not found"});
        let of = |f, value| call("register", f, 5.into(), value, Json::Null);
        let read = case("lin-kv", &of("read", Json::Null), missing.clone());
        assert_eq!(read, (json!({"type": "read", "key": 5}), Outcome::Ok(Json::Null)));
        let (request, outcome) = case("lin-kv", &of("cas", json!([1, 2])), missing);
        assert_eq!(request, json!({"type": "cas", "key": 5, "from": 1, "to": 2}));
        assert!(matches!(outcome, Outcome::Fail(code, _) if code == "precondition"));
        assert_eq!(case("lin-kv", &of("write", 2.into()), json!({"type": "write_ok"})).1, Outcome::done());
    }

    #[test]
    fn only_definite_errors_are_failures() {
        let write = call("register", "write", 5.into(), 2.into(), Json::Null);
        for (codes, certain) in [(&[1, 10, 11, 12, 14, 20, 21, 22, 30][..], true), (&[0, 13, 2, 999, 1000], false)] {
            for code in codes {
                let outcome = LinKv.outcome(&write, &json!({"type": "error", "code": code}));
                assert_eq!(matches!(outcome, Outcome::Fail(..)), certain, "{code}: {outcome:?}");
                assert_eq!(matches!(outcome, Outcome::Info(..)), !certain, "{code}: {outcome:?}");
            }
        }
        // Answers that are none of the protocol's.
        for answer in [json!({"type": "read_ok"}), json!({"type": "error"}), Json::Null] {
            assert!(matches!(LinKv.outcome(&write, &answer), Outcome::Info(..)), "{answer}");
        }
        let echo = call("ids", "generate", Json::Null, Json::Null, Json::Null);
        let wrong = Echo.outcome(&echo, &json!({"type": "echo_ok", "echo": 8}));
        assert_eq!(wrong, Outcome::info(NOT_UNDERSTOOD, "the echo of 4-1 is 8"));
    }

    #[test]
    fn what_maelstrom_does_not_have_is_not_supported() {
        let cases = [
            (GSet, call("set", "add", 1.into(), 3.into(), Json::Null)),
            (GSet, call("set", "remove", Json::Null, 3.into(), Json::Null)),
            (GSet, call("crdt", "add", Json::Null, 3.into(), json!({"type": "or-set"}))),
            (GCounter, call("crdt", "add", Json::Null, (-3).into(), json!({"type": "pn-counter"}))),
            (LinKv, call("register", "read", 1.into(), Json::Null, json!({"versions": true}))),
        ];
        for (workload, call) in cases {
            let refused = workload.request(&call);
            assert!(matches!(&refused, Err(Outcome::Fail(code, _)) if code == "not-supported"), "{refused:?}");
        }
        let add = call("crdt", "add", Json::Null, 3.into(), json!({"type": "g-set"}));
        assert_eq!(Broadcast.request(&add), Ok(json!({"type": "broadcast", "message": 3})));
    }
}
