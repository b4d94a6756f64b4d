//! [`TarantoolClient`]: the calls of each object.
use crate::connection::Connection;
use crate::errors;
use crate::scripts::{SETUP_SCRIPT, Script};
use crate::settings::{Reads, Settings};
use crate::values::{from_script, integer, to_script};
use dsfuzz_client::lines::SETUP;
use dsfuzz_client::{Call, CallError, Client, Init, ObjectFunctions, Reply, settings};
use rmpv::Value;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// The oldest version with synchronous spaces, and the oldest one that this client is for.
const SYNCHRONOUS: (u64, u64) = (2, 5);
const OLDEST: (u64, u64) = (2, 2);
/// Codes of the client protocol that scripts answer with.
const ANSWERS: [&str; 3] = ["precondition", "exists", "not-found"];

/// The client of one process.
pub(crate) struct TarantoolClient {
    init: Init,
    settings: Settings,
    port: u16,
    script: &'static Script,
    text: String,
    /// The names of the object's spaces.
    spaces: Vec<String>,
    connection: Option<Connection>,
}

impl Client for TarantoolClient {
    const OBJECTS: &'static [ObjectFunctions] = &[
        ("register", &["read", "write", "cas", SETUP]),
        ("set", &["add", "read", SETUP]),
        ("rows", &["add", "read", SETUP]),
        ("transactions", &["txn", SETUP]),
        ("bank", &["transfer", "read", SETUP]),
        ("predicate", &["insert", SETUP]),
        ("queue", &["enqueue", "dequeue", "drain", SETUP]),
        ("counter", &["add", "read", SETUP]),
        ("ids", &["generate", SETUP]),
    ];

    const VERSIONS: bool = true;

    async fn open(init: Init) -> Result<TarantoolClient, CallError> {
        let settings = Settings::read(&init)?;
        let port = settings::port(&init, &settings.port)?;
        let Some(script) = Script::of(&init.object) else {
            return Err(CallError::fail("not-supported", format!("no functions on `{}`", init.object)));
        };
        let spaces = names(&init);
        let mut client =
            TarantoolClient { init, settings, port, script, text: script.text(), spaces, connection: None };
        let within = Duration::from_millis(client.init.deadline_ms);
        client.connection = Some(client.connect(within).await?);
        Ok(client)
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (script, argument) = match call.f.as_str() {
            SETUP => (SETUP_SCRIPT.to_owned(), self.setup()?),
            _ => (self.text.clone(), self.argument(call)?),
        };
        let mut connection = self.connect(Duration::from_millis(call.deadline_ms / 2)).await?;
        if call.f == SETUP {
            let least = if self.settings.sync { SYNCHRONOUS } else { OLDEST };
            refuse_older_than(least, connection.greeting())?;
        }
        let returned = connection.eval(&script, argument).await;
        if returned.as_ref().map_or_else(|error| error.certain, |_| true) {
            self.connection = Some(connection);
        }
        let value = self.outcome(&returned?)?;
        self.reply(call, value)
    }
}

impl TarantoolClient {
    /// The connection, which goes to the caller; a new one if the last one is closed or a call was given up on it.
    async fn connect(&mut self, within: Duration) -> Result<Connection, CallError> {
        match self.connection.take() {
            Some(connection) if !connection.is_broken() => Ok(connection),
            _ => Connection::open(&self.init.address, self.port, &self.settings, within).await,
        }
    }

    /// What a script needs to know.
    fn argument(&self, call: &Call) -> Result<Value, CallError> {
        let reads = match call.f.as_str() {
            "txn" => operations(&call.value)?,
            "read" => true,
            _ => false,
        };
        let value = match call.f.as_str() {
            "add" if self.script.object == "rows" && call.value.is_null() => Json::Null,
            "add" | "write" | "enqueue" => integer(&call.value)?.into(),
            "cas" if call.value.as_array().is_none_or(|pair| pair.len() != 2) => {
                return Err(CallError::fail("malformed", format!("{} is not [from, to]", call.value)));
            }
            // Each id is one more than the last.
            "generate" => 1.into(),
            "transfer" => {
                let part = |name: &str| integer(&call.value[name]);
                json!({"from": part("from")?, "to": part("to")?, "amount": part("amount")?})
            }
            _ => call.value.clone(),
        };
        let confirm = reads && self.settings.reads == Reads::Commit;
        let truth = |name: &str| self.init.params.get(name).and_then(Json::as_bool).unwrap_or(false);
        Ok(to_script(&json!({
            "f": call.f,
            "key": call.key.to_string(),
            "value": value,
            "spaces": self.spaces,
            "process": self.init.process,
            "replicas": reads && self.settings.reads_replicas,
            "confirm": confirm.then(|| reads_space(&self.init.workload)),
            "versions": self.init.versions(),
            "overdrafts": truth("negative_balances"),
        })))
    }

    /// What the script of the setup makes.
    fn setup(&self) -> Result<Value, CallError> {
        let mut definitions: Vec<Value> = self
            .spaces
            .iter()
            .map(|name| Value::Map(vec![("name".into(), name.as_str().into()), ("parts".into(), self.script.parts())]))
            .collect();
        definitions.push(to_script(&json!({"name": reads_space(&self.init.workload), "parts": [1, "unsigned"]})));
        let mut rows = Vec::new();
        if self.script.object == "bank" {
            let Some(balances) = self.init.params.get("balances").and_then(Json::as_object) else {
                return Err(CallError::fail("malformed", "the parameters of the bank have no `balances`"));
            };
            for (account, balance) in balances {
                let malformed = || CallError::fail("malformed", format!("the account {account:?} is not an integer"));
                let number: u64 = account.parse().map_err(|_| malformed())?;
                let space = &self.spaces[(number % self.spaces.len() as u64) as usize];
                rows.push(json!([space, number, integer(balance)?]));
            }
        }
        let mut argument = vec![
            ("run".into(), self.init.run.as_str().into()),
            ("engine".into(), self.settings.engine.name().into()),
            ("sync".into(), self.settings.sync.into()),
        ];
        argument.push(("definitions".into(), definitions.into()));
        argument.push(("rows".into(), to_script(&rows.into())));
        Ok(Value::Map(argument))
    }

    /// What a script replied.
    fn outcome(&self, returned: &[Value]) -> Result<Json, CallError> {
        let unexpected = || CallError::info("unknown", format!("the script returned {returned:?}"));
        let [Value::Array(reply)] = returned else { return Err(unexpected()) };
        let [Value::String(stage), rest @ ..] = reply.as_slice() else { return Err(unexpected()) };
        let text = || rest.get(1).and_then(Value::as_str).unwrap_or_default();
        match (stage.as_str(), rest) {
            (Some("ok"), rest) => from_script(rest.first().unwrap_or(&Value::Nil)),
            (Some("no"), [code, ..]) => match ANSWERS.iter().find(|known| Some(**known) == code.as_str()) {
                Some(code) => Err(CallError::fail(code, text())),
                None => Err(unexpected()),
            },
            (Some("refused"), [code, ..]) => Err(errors::before_commit(code.as_u64().unwrap_or(0), text())),
            (Some("commit"), [code, ..]) => {
                Err(errors::of_commit(code.as_u64().unwrap_or(0), text(), self.settings.quorum_timeout))
            }
            _ => Err(unexpected()),
        }
    }

    /// The reply, as the client protocol has it.
    fn reply(&self, call: &Call, value: Json) -> Result<Reply, CallError> {
        let unexpected = |value: &Json| CallError::info("unknown", format!("{} replied {value}", call.f));
        let value = match (self.script.object, call.f.as_str()) {
            ("transactions", "txn") => {
                let operations = call.value.as_array().map(Vec::as_slice).unwrap_or_default();
                let replies = value.as_array().filter(|replies| replies.len() == operations.len());
                let replies = replies.ok_or_else(|| unexpected(&value))?;
                let filled = |(operation, reply): (&Json, &Json)| match operation[0].as_str() {
                    Some("r") => json!([operation[0], operation[1], reply]),
                    _ => operation.clone(),
                };
                operations.iter().zip(replies).map(filled).collect()
            }
            ("bank", "read") => {
                let mut balances = serde_json::Map::new();
                for row in value.as_array().ok_or_else(|| unexpected(&value))? {
                    balances.insert(row[0].to_string(), row[1].clone());
                }
                if balances.is_empty() {
                    return Err(CallError::fail("not-found", "there are no accounts on this node"));
                }
                balances.into()
            }
            _ => value,
        };
        Ok(Reply::value(value))
    }
}

/// Whether the micro-operations of a transaction read only; an error if there is one that is unknown.
fn operations(value: &Json) -> Result<bool, CallError> {
    let mut reads_only = true;
    for operation in value.as_array().map(Vec::as_slice).unwrap_or_default() {
        let known = match operation[0].as_str() {
            Some("r") => true,
            Some("w" | "append") => {
                reads_only = false;
                operation[2].is_i64()
            }
            _ => false,
        };
        if !known || !operation[1].is_i64() {
            return Err(CallError::fail("not-supported", format!("no micro-operation {operation}")));
        }
    }
    Ok(reads_only)
}

/// The spaces of an object.
fn names(init: &Init) -> Vec<String> {
    let name = space(&init.workload);
    let count = match init.object.as_str() {
        "bank" => init.params.get("tables").and_then(Json::as_u64).unwrap_or(1).max(1),
        "predicate" => 2,
        _ => return vec![name],
    };
    (0..count).map(|place| format!("{name}_{place}")).collect()
}

fn space(workload: &str) -> String {
    format!("dsfuzz_{}", workload.replace('-', "_"))
}

/// The space into which reads write that are to be committed.
fn reads_space(workload: &str) -> String {
    format!("{}_reads", space(workload))
}

fn refuse_older_than(least: (u64, u64), greeting: &crate::wire::Greeting) -> Result<(), CallError> {
    if greeting.version >= least {
        return Ok(());
    }
    let (major, minor) = least;
    let text = format!("the instance says \"{}\", and {major}.{minor} is the least that will do", greeting.line);
    Err(CallError::fail("not-supported", text))
}
