//! The lines of the client protocol (docs/client-protocol.md): writes requests and reads answers. Pure.
#[cfg(test)]
mod tests;

use super::super::node_commands::head;
use super::super::recipe::Certainty;
use super::codes;
use super::{shapes, transactions, values};
use crate::cluster::Node;
use dsfuzz_checkers::functions::{Argument, Function, FunctionKind, Reply, function};
use dsfuzz_checkers::{ABSENT, Reads, Value};
use dsfuzz_client::lines::{self, Request, RequestLine};
use dsfuzz_workloads::{Call, CallResponse, CallResult, ClientWorkload, Endpoint, Terms, WORKLOADS};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The content of the `init` line.
pub(super) struct Init<'a> {
    /// Its number in a program that serves several clients.
    pub(super) client: Option<u64>,
    /// Its node.
    pub(super) endpoint: &'a Endpoint,
    /// All nodes of the plan.
    pub(super) nodes: &'a [Node],
    /// What it is to carry out.
    pub(super) workload: &'a ClientWorkload,
    /// What the recipe says to the client on this node.
    pub(super) settings: &'a Json,
    /// The run's name.
    pub(super) run: &'a str,
    /// A folder for the clients' files.
    pub(super) scratch: &'a Path,
}

/// The first line to a program.
pub(super) fn init_line(init: &Init<'_>) -> String {
    let Init { endpoint, nodes, workload, .. } = init;
    let node = |node: &Node| lines::NodeAddress {
        name: node.name.to_string(),
        address: node.address.to_string(),
        ports: endpoint.ports.clone(),
    };
    let request = Request::Init(Box::new(lines::Init {
        version: lines::VERSION,
        node: endpoint.node.to_string(),
        address: endpoint.address.clone(),
        ports: endpoint.ports.clone(),
        process: endpoint.process,
        options: endpoint.options.clone(),
        settings: init.settings.clone(),
        workload: workload.name.to_string(),
        object: workload.object.to_string(),
        functions: workload.functions.iter().map(ToString::to_string).collect(),
        params: open(&workload.params),
        nodes: nodes.iter().map(node).collect(),
        run: init.run.to_owned(),
        scratch: init.scratch.display().to_string(),
        deadline_ms: milliseconds(endpoint.terms),
        is_final: endpoint.terms.settle,
    }));
    line(request, init.client)
}

/// A call.
pub(super) fn invoke_line(id: u64, call: &Call, terms: Terms, client: Option<u64>) -> String {
    let request = Request::Invoke(lines::Call {
        id,
        f: call.f.to_string(),
        key: open(&call.key),
        value: open(&call.value),
        deadline_ms: milliseconds(terms),
        is_final: terms.settle,
    });
    line(request, client)
}

/// The last line to a client, or to a program.
pub(super) fn close_line(client: Option<u64>) -> String {
    line(Request::Close, client)
}

fn line(request: Request, client: Option<u64>) -> String {
    serde_json::to_string(&RequestLine { request, client }).unwrap_or_default()
}

fn open(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

fn milliseconds(terms: Terms) -> u64 {
    u64::try_from(terms.deadline.as_millis()).unwrap_or(u64::MAX)
}

/// The reason why a program cannot be used as a client.
#[derive(Debug, PartialEq)]
pub(super) enum InitRefusal {
    /// Its own error.
    Answered(String),
    /// A malformed answer.
    Malformed(String),
}

/// Checks the answer to `init`. Returns whether the client wants to be asked for [`lines::SETUP`].
pub(super) fn check_init_ok(line: &str, functions: &[Arc<str>]) -> Result<bool, InitRefusal> {
    let expected = r#"expected {"type":"init_ok","version":1,"functions":[..]} (docs/client-protocol.md)"#;
    let malformed = |why: String| Err(InitRefusal::Malformed(why));
    let Ok(json) = serde_json::from_str::<Json>(line) else {
        return malformed(format!("not JSON: {}; {expected}", head(line)));
    };
    match json.get("type").and_then(Json::as_str) {
        Some("init_ok") => {}
        Some("error" | "fail" | "info") => return Err(InitRefusal::Answered(error_text(&json))),
        _ => return malformed(format!("it answered `init` with {}; {expected}", head(line))),
    }
    if json.get("version").and_then(Json::as_u64) != Some(lines::VERSION) {
        return malformed(format!(
            "it speaks version {} of the protocol, this is {}; {expected}",
            json["version"],
            lines::VERSION
        ));
    }
    let Some(known) = json.get("functions").and_then(Json::as_array) else {
        return malformed(format!("it names no functions; {expected}"));
    };
    let missing: Vec<&str> =
        functions.iter().map(|name| &**name).filter(|name| !known.iter().any(|one| one == name)).collect();
    match missing.is_empty() {
        true => Ok(known.iter().any(|one| one == lines::SETUP)),
        false => malformed(format!("it does not support {}, which the workload needs", missing.join(", "))),
    }
}

/// The context in which lines of one client are read.
pub(super) struct ReplyContext {
    /// The meanings of the client's own error codes.
    pub(super) errors: BTreeMap<String, Certainty>,
    /// The client's node.
    pub(super) node: Arc<str>,
    /// All nodes of the plan.
    pub(super) nodes: Vec<Arc<str>>,
    /// Whether registers have versions ([`asks_for_versions`]).
    pub(super) versions: bool,
}

/// Whether the registers of a workload with these parameters have versions.
pub fn asks_for_versions(params: &Value) -> bool {
    open(params).get("versions") == Some(&Json::Bool(true))
}

/// A line of a client.
#[derive(Debug, PartialEq)]
pub(super) enum ClientLine {
    /// How the call ended.
    Response(CallResponse),
    /// An answer to another call.
    Late,
    /// A malformed line. Holds the mistake, and the expected form.
    Malformed(String),
    /// A well-formed answer whose value the target cannot hold: a fault of the client. Holds the reason.
    Unbelieved(String),
}

/// Reads a line as an answer to the call with this id.
pub(super) fn reply(line: &str, id: u64, call: &Call, meaning: &ReplyContext) -> ClientLine {
    let Ok(json) = serde_json::from_str::<Json>(line) else {
        return ClientLine::Malformed(format!(
            "the client answered {}, which is not JSON; expected one JSON object on a line",
            head(line)
        ));
    };
    match json.get("id").and_then(Json::as_u64) {
        Some(about) if about == id => {}
        Some(about) if about < id => return ClientLine::Late,
        _ => return ClientLine::Malformed(format!("the client answered {}; expected \"id\":{id}", head(line))),
    }
    let node = match answering_node(&json, meaning) {
        Ok(node) => node,
        Err(expected) => return ClientLine::Malformed(format!("the client answered {}; {expected}", head(line))),
    };
    let error = json.get("error");
    let code = error.and_then(|error| error.get("code")).and_then(Json::as_str);
    let certainty = code.and_then(|code| certainty(code, call, &meaning.errors));
    let answer = match json.get("type").and_then(Json::as_str) {
        Some("ok") => match ok(&json, call).and_then(|value| versioned(value, call, meaning)) {
            Ok(value) => CallResult::Ok(value),
            Err(doubt) => return doubt.reply(line),
        },
        Some("info") => CallResult::info(error_text(&json)),
        Some("fail" | "error") if error.is_some_and(|error| !error.is_object()) => {
            return ClientLine::Malformed(format!(
                "the client answered {}; expected \"error\":{{\"code\":..,\"text\":..}}",
                head(line)
            ));
        }
        Some("fail" | "error") if certainty == Some(Certainty::Refuses) => CallResult::fail(error_text(&json)),
        // A code that says "unknown" is believed before a type that says "certain".
        Some("fail" | "error") if certainty == Some(Certainty::Absent) => {
            CallResult::fail(format!("{ABSENT}{}", client_words(&json)))
        }
        Some("fail") if certainty == Some(Certainty::Info) => CallResult::info(error_text(&json)),
        Some("fail") => CallResult::fail(error_text(&json)),
        Some("error") if certainty == Some(Certainty::Fail) => CallResult::fail(error_text(&json)),
        Some("error") => CallResult::info(error_text(&json)),
        _ => {
            return ClientLine::Malformed(format!(
                "the client answered {}; expected \"type\" ok, fail, info or error",
                head(line)
            ));
        }
    };
    let known = json.get("value").filter(|value| !value.is_null() && !matches!(answer, CallResult::Ok(_)));
    match known.map_or(Ok(Value::Nil), |value| reply_value(value, call)) {
        Ok(value) => ClientLine::Response(CallResponse { result: answer, node, reply: value }),
        Err(doubt) => doubt.reply(line),
    }
}

impl ReplyDefect {
    fn reply(self, line: &str) -> ClientLine {
        match self {
            ReplyDefect::Malformed(expected) => {
                ClientLine::Malformed(format!("the client answered {}; {expected}", head(line)))
            }
            ReplyDefect::Unbelieved(why) => {
                ClientLine::Unbelieved(format!("{why}; the client answered {}", head(line)))
            }
        }
    }
}

/// The node that answered, if it is not the client's own.
fn answering_node(json: &Json, meaning: &ReplyContext) -> Result<Option<Arc<str>>, String> {
    let name = match json.get("node") {
        None | Some(Json::Null) => return Ok(None),
        Some(name) => name.as_str(),
    };
    if name == Some(&*meaning.node) {
        return Ok(None);
    }
    let known = meaning.nodes.iter().find(|node| Some(&***node) == name);
    let names = || meaning.nodes.iter().map(|node| &**node).collect::<Vec<_>>().join(", ");
    known.cloned().map(Some).ok_or_else(|| format!("expected one of the plan's nodes as \"node\": {}", names()))
}

/// The value of a positive answer.
fn ok(json: &Json, call: &Call) -> Result<Value, ReplyDefect> {
    let function = function(&call.f);
    let refused = json.get("value") == Some(&Json::Bool(false));
    if function.argument == Argument::Swap && refused {
        let expected = "where a compare-and-set found another value, expected \"fail\" with the code \"precondition\"";
        return Err(ReplyDefect::Malformed(expected.to_owned()));
    }
    if function.kind.is_write() && refused {
        return Err(ReplyDefect::Malformed("expected \"fail\" where nothing was changed".to_owned()));
    }
    if json.get("value").is_none()
        && let Some(defect) = shapes::mistake(call, None)
    {
        return Err(defect);
    }
    match json.get("value") {
        None if function.kind == FunctionKind::Read => {
            Err(ReplyDefect::Malformed("expected \"value\" for a read (null where there is none)".to_owned()))
        }
        None if takes(function) => Err(ReplyDefect::Malformed(format!(
            "expected \"value\" for {}: what it took (null or an empty list where there was nothing)",
            function.name
        ))),
        None | Some(Json::Null) if &*call.f == "generate" => {
            Err(ReplyDefect::Malformed("expected the id as \"value\"".to_owned()))
        }
        None if function.kind == FunctionKind::Transaction => {
            transactions::unsaid(call, replies_of_reads(call).unwrap_or(Reads::Anything))
        }
        None => Ok(Value::Nil),
        Some(value) => reply_value(value, call),
    }
}

/// What the reads of the call's workload reply with.
fn replies_of_reads(call: &Call) -> Option<Reads> {
    WORKLOADS.iter().find(|doc| doc.name == &*call.workload).map(|doc| doc.reads)
}

/// Checks a value against the replies of the function. dsfuzz made every written value, so it knows their type.
fn reply_value(json: &Json, call: &Call) -> Result<Value, ReplyDefect> {
    let value = values::from_json(json);
    if let Some(defect) = shapes::mistake(call, Some(&value)) {
        return Err(defect);
    }
    let function = function(&call.f);
    if takes(function) {
        return taken(value, function);
    }
    if function.kind == FunctionKind::Transaction {
        return transactions::filled_in(value, call, replies_of_reads(call).unwrap_or(Reads::Anything));
    }
    if !reads(call) {
        return Ok(value);
    }
    match replies_of_reads(call).unwrap_or(Reads::Value) {
        Reads::Value => written(value),
        Reads::Elements => elements(value),
        Reads::Balances => balances(value),
        Reads::Number => number(value),
        Reads::Rows => rows(value),
        Reads::Replica => replica(value),
        Reads::Anything => Ok(value),
    }
}

/// A sum of what was added.
fn number(value: Value) -> Result<Value, ReplyDefect> {
    match &value {
        Value::Int(_) => Ok(value),
        other => {
            Err(ReplyDefect::Unbelieved(format!("a read of a counter returned {}", values::mistyped(other, "added"))))
        }
    }
}

/// What a replica holds: an integer, nothing, or integers in a list; it may come with a clock, `{"value": v, "clock": c}`.
fn replica(value: Value) -> Result<Value, ReplyDefect> {
    let entry = |name: &str| match &value {
        Value::Map(entries) => entries.iter().find(|(known, _)| &**known == name).map(|(_, held)| held),
        _ => None,
    };
    let held = match &value {
        Value::Map(_) => entry("value").filter(|_| entry("clock").is_some()),
        held => Some(held),
    };
    let Some(held) = held else {
        let expected = r#"expected what the replica holds as "value", or {"value":..,"clock":..}"#;
        return Err(ReplyDefect::Malformed(expected.to_owned()));
    };
    let foreign = match held {
        Value::Nil | Value::Int(_) => None,
        Value::List(elements) => elements.iter().find(|element| !matches!(element, Value::Int(_))),
        other => Some(other),
    };
    match foreign {
        None => Ok(value),
        Some(other) => Err(ReplyDefect::Unbelieved(format!(
            "a read of a replica returned {}",
            values::mistyped(other, "added or written")
        ))),
    }
}

/// Rows of an integer and a timestamp: an integer, or a text where it has a fraction.
fn rows(value: Value) -> Result<Value, ReplyDefect> {
    let row = |row: &Value| matches!(row.as_list(), Some([Value::Int(_), Value::Int(_) | Value::Text(_)]));
    match value.as_list() {
        Some(rows) if rows.iter().all(row) => Ok(value),
        _ => Err(ReplyDefect::Malformed(r#"expected a list of rows as "value": [[7,1700000000],..]"#.to_owned())),
    }
}

/// What each account holds; an account may hold null, which its checker reports.
fn balances(value: Value) -> Result<Value, ReplyDefect> {
    let Value::Map(accounts) = &value else {
        let expected = r#"expected an object of all balances as "value" for the read of a bank: {"0":12,"1":13}"#;
        return Err(ReplyDefect::Malformed(expected.to_owned()));
    };
    match accounts.iter().find(|(_, held)| !matches!(held, Value::Int(_) | Value::Nil)) {
        None => Ok(value),
        Some((account, held)) => Err(ReplyDefect::Unbelieved(format!(
            "a read of a bank returned for account {account} {}",
            values::mistyped(held, "transferred")
        ))),
    }
}

/// A value that was written; a versioned register answers `[version, value]`, and a client need not know the version.
fn written(value: Value) -> Result<Value, ReplyDefect> {
    let plain = match &value {
        Value::List(parts) if matches!(&parts[..], [Value::Int(_) | Value::Nil, _]) => &parts[1],
        other => other,
    };
    match plain {
        Value::Nil | Value::Int(_) => Ok(value),
        other => Err(ReplyDefect::Unbelieved(format!("a read returned {}", values::mistyped(other, "written")))),
    }
}

/// What a register with versions answers to a read and to a write.
fn versioned(value: Value, call: &Call, meaning: &ReplyContext) -> Result<Value, ReplyDefect> {
    let (fits, expected) = match &*call.f {
        _ if !meaning.versions => return Ok(value),
        "read" => (
            matches!(value.as_list(), Some([Value::Int(_), _])),
            "a read is answered with [version, value] ([0, null] before the first write)",
        ),
        "write" => (value.as_int().is_some(), "a write is answered with its version, an integer"),
        _ => return Ok(value),
    };
    match fits {
        true => Ok(value),
        false => Err(ReplyDefect::Unbelieved(format!("`versions` of the workload is set, so that {expected}"))),
    }
}

/// A list of elements that were added.
fn elements(value: Value) -> Result<Value, ReplyDefect> {
    let Value::List(elements) = &value else {
        return Err(ReplyDefect::Malformed("expected a list as \"value\" for the read of a set".to_owned()));
    };
    match elements.iter().find(|element| !matches!(element, Value::Int(_))) {
        None => Ok(value),
        Some(other) => Err(ReplyDefect::Unbelieved(format!(
            "a read of a set returned the element {}",
            values::mistyped(other, "added")
        ))),
    }
}

/// What a function took out: an element or nothing, or a list of elements.
fn taken(value: Value, function: &Function) -> Result<Value, ReplyDefect> {
    let verb = function.name;
    let elements = match (&value, function.reply) {
        (Value::List(elements), Reply::Elements) => &elements[..],
        (_, Reply::Elements) => {
            return Err(ReplyDefect::Malformed(format!("expected a list as \"value\" for {verb}")));
        }
        (Value::Nil, _) => &[],
        (element, _) => std::slice::from_ref(element),
    };
    match elements.iter().find(|element| !matches!(element, Value::Int(_))) {
        None => Ok(value),
        Some(other) => Err(ReplyDefect::Unbelieved(format!("{verb} returned {}", values::mistyped(other, "enqueued")))),
    }
}

/// The reason why the value of an answer is not accepted.
#[derive(Debug, PartialEq)]
pub(super) enum ReplyDefect {
    /// It breaks the protocol. Holds the expected form.
    Malformed(String),
    /// It keeps the protocol but cannot have been written.
    Unbelieved(String),
}

/// Whether the function replies with what it took out of a queue. Without the reply nothing would be known to have come out.
fn takes(function: &Function) -> bool {
    matches!(function.name, "dequeue" | "drain")
}

/// Whether the call reads the object.
fn reads(call: &Call) -> bool {
    function(&call.f).kind == FunctionKind::Read
}

fn certainty(code: &str, call: &Call, errors: &BTreeMap<String, Certainty>) -> Option<Certainty> {
    // Only a read can find an absent object; for a change the code means no more than the table says.
    let given = errors.get(code).copied().filter(|given| *given != Certainty::Absent || reads(call));
    given.or_else(|| codes::certainty(code))
}

/// `code: text`. A client's own text never begins with [`ABSENT`]: only a recipe declares that an object is certainly absent.
fn error_text(json: &Json) -> String {
    let words = client_words(json);
    let code = words.split(':').next().unwrap_or_default().trim();
    if code == ABSENT.trim_end_matches([':', ' ']) { format!("undeclared {}", words.trim_start()) } else { words }
}

fn client_words(json: &Json) -> String {
    let part = |name: &str| json.pointer(&format!("/error/{name}")).and_then(Json::as_str).unwrap_or_default();
    let (code, text) = (part("code"), part("text"));
    match (code.is_empty(), text.is_empty()) {
        (true, true) => "no error given".to_owned(),
        (true, false) => head(text),
        (false, true) => head(code),
        (false, false) => head(&format!("{code}: {text}")),
    }
}
