//! [`run`]: the loop of a client program around a type that implements [`Client`].
//!
//! It reads a request, carries it out, writes the answer and flushes it. A program ends with its standard input. Lines with the
//! field `client` are for several clients (`several`).
use crate::lines::{Answer, Call, ClientField, ErrorLine, Init, NotOk, Request, SETUP, VERSION};
use serde_json::Value;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader, Lines};

mod several;

/// How often the timer of an idle program is due.
const TICK: Duration = Duration::from_millis(500);

/// The name of an object, and the functions of it that a client carries out.
pub type ObjectFunctions = (&'static str, &'static [&'static str]);

/// A connection to one node.
pub trait Client: Sized + Send + 'static {
    /// What it carries out, by object; with [`SETUP`] among the functions of an object that must be prepared.
    const OBJECTS: &'static [ObjectFunctions];

    /// Whether its registers have versions. A client without refuses a workload that needs them.
    const VERSIONS: bool = false;

    /// Connects. Must not change the target's state.
    fn open(init: Init) -> impl Future<Output = Result<Self, CallError>> + Send;

    /// Carries out one call. `init` has said for which workload. It is dropped shortly before the call's deadline, and the answer
    /// is `info`.
    fn call(&mut self, call: &Call) -> impl Future<Output = Result<Reply, CallError>> + Send;

    /// Closes the connection properly.
    fn close(self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Codes that mean that a call certainly had no effect.
pub const FAILURES: [&str; 15] = [
    "refused",
    "not-supported",
    "malformed",
    "precondition",
    "not-found",
    "exists",
    "not-leader",
    "read-only",
    "aborted",
    "conflict",
    "denied",
    "empty",
    "not-held",
    "fenced",
    "gone",
];

/// The reply to a call that took effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The value.
    pub value: Value,
    /// The node that answered, if it is not the client's own.
    pub node: Option<String>,
}

impl Reply {
    /// No value.
    pub fn nothing() -> Reply {
        Reply::default()
    }

    /// This value.
    pub fn value(value: impl Into<Value>) -> Reply {
        Reply { value: value.into(), node: None }
    }
}

/// Why a call did not end Ok.
#[derive(Clone, Debug, PartialEq)]
pub struct CallError {
    /// Whether the call certainly had no effect and never will.
    pub certain: bool,
    /// The code.
    pub code: &'static str,
    /// The words.
    pub text: String,
    /// The part of the reply that is known all the same.
    pub value: Value,
}

impl CallError {
    /// The call certainly had no effect and never will.
    pub fn fail(code: &'static str, text: impl ToString) -> CallError {
        CallError { certain: true, code, text: text.to_string(), value: Value::Null }
    }

    /// Whether the call took effect is unknown. dsfuzz ends the program after it.
    pub fn info(code: &'static str, text: impl ToString) -> CallError {
        CallError { certain: false, ..CallError::fail(code, text) }
    }

    /// The same, with what is known of the reply.
    #[must_use]
    pub fn with_value(self, value: impl Into<Value>) -> CallError {
        CallError { value: value.into(), ..self }
    }

    fn line(self, id: Option<u64>) -> NotOk {
        NotOk { id, error: ErrorLine { code: self.code.to_owned(), text: self.text }, value: self.value, node: None }
    }
}

/// The answer to a call, given up a little before its deadline, so that the reason still comes in time.
async fn in_time(call: &Call, answer: impl Future<Output = Result<Reply, CallError>>) -> Result<Reply, CallError> {
    let within = Duration::from_millis(call.deadline_ms - call.deadline_ms / 20);
    let late = |_| Err(CallError::info("timeout", format!("no answer within {} ms", within.as_millis())));
    tokio::time::timeout(within, answer).await.unwrap_or_else(late)
}

/// Runs a client program until its standard input ends.
///
/// `--objects` as the only argument prints what it carries out, as JSON.
pub fn run<C: Client>() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--objects") => {
            println!("{}", serde_json::json!(objects::<C>()));
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!(
                "unknown argument `{other}`: dsfuzz starts this program and speaks JSON lines with it; `--objects` lists what it carries out"
            );
            return ExitCode::from(2);
        }
    }
    if std::io::stdin().is_terminal() {
        eprintln!(
            "dsfuzz starts this program and speaks JSON lines with it; waiting for a line with \"type\":\"init\""
        );
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let ended = runtime.block_on(async {
        // A timer that is due before the deadline of most calls. Without one the deadline of each call is the next timer, and
        // the runtime wakes itself for it: a write to a descriptor and one more poll.
        tokio::spawn(async {
            let mut tick = tokio::time::interval(TICK);
            loop {
                tick.tick().await;
            }
        });
        // A task of its own: whatever wakes the future of `block_on` writes to a descriptor and polls once more, for each call.
        let serving = tokio::spawn(async {
            // A pipe is read without a thread of its own; anything else by hand.
            let pipe = std::io::stdin().as_fd().try_clone_to_owned();
            match pipe.and_then(tokio::net::unix::pipe::Receiver::from_owned_fd) {
                Ok(pipe) => serve::<C>(BufReader::new(pipe)).await,
                Err(_) => serve::<C>(BufReader::new(tokio::io::stdin())).await,
            }
        });
        serving.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(std::io::Error::other(error)),
        })
    });
    // What a library still does must not keep the program.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &std::io::Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

/// What a client carries out, by object.
fn objects<C: Client>() -> std::collections::BTreeMap<&'static str, &'static [&'static str]> {
    C::OBJECTS.iter().copied().collect()
}

/// Serves the client of each line that names one, or the one client of lines that name none.
async fn serve<C: Client>(input: BufReader<impl AsyncRead + Unpin + Send>) -> std::io::Result<()> {
    let mut lines = input.lines();
    let Some(first) = lines.next_line().await? else { return Ok(()) };
    match serde_json::from_str::<ClientField>(&first).unwrap_or_default().client {
        None => serve_one::<C>(&first, lines).await,
        Some(_) => several::serve::<C>(first, lines, std::io::stdout()).await,
    }
}

async fn serve_one<C: Client>(first: &str, mut lines: Lines<impl AsyncBufRead + Unpin>) -> std::io::Result<()> {
    let mut client = match opened::<C>(serde_json::from_str(first)).await {
        Ok((client, functions)) => {
            write(&Answer::InitOk { version: VERSION, functions })?;
            client
        }
        Err(error) => return write(&Answer::Error(error.line(None))),
    };
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(Request::Invoke(call)) => write(&answered(&mut client, &call).await)?,
            Ok(Request::Close) => break,
            Ok(Request::Init(_)) => return Err(std::io::Error::other("a second `init`")),
            Err(error) => return Err(std::io::Error::other(format!("{error}: {line}"))),
        }
    }
    client.close().await;
    Ok(())
}

async fn answered<C: Client>(client: &mut C, call: &Call) -> Answer {
    let id = call.id;
    match in_time(call, client.call(call)).await {
        Ok(Reply { value, node }) => Answer::Ok { id, value, node },
        Err(error) if error.certain => Answer::Fail(error.line(Some(id))),
        Err(error) => Answer::Info(error.line(Some(id))),
    }
}

/// Opens the client that the first line asks for, with the functions that it carries out.
async fn opened<C: Client>(first: serde_json::Result<Request>) -> Result<(C, Vec<String>), CallError> {
    let init = match first {
        Ok(Request::Init(init)) => *init,
        Ok(_) => return Err(CallError::fail("malformed", "the first line is not `init`")),
        Err(error) => return Err(CallError::fail("malformed", format!("`init` cannot be read: {error}"))),
    };
    if init.version != VERSION {
        let text = format!("version {} of the protocol; this client speaks {VERSION}", init.version);
        return Err(CallError::fail("not-supported", text));
    }
    let Some((_, functions)) = C::OBJECTS.iter().find(|(object, _)| *object == init.object) else {
        let known: Vec<&str> = C::OBJECTS.iter().map(|(object, _)| *object).collect();
        let text =
            format!("no functions on `{}` (workload {}); there are {}", init.object, init.workload, known.join(", "));
        return Err(CallError::fail("not-supported", text));
    };
    let missing: Vec<&String> = init
        .functions
        .iter()
        .filter(|function| *function != SETUP && !functions.contains(&function.as_str()))
        .collect();
    if !missing.is_empty() {
        let text = format!("no function {missing:?} on `{}` (workload {})", init.object, init.workload);
        return Err(CallError::fail("not-supported", text));
    }
    if init.versions() && !C::VERSIONS {
        let text = format!(
            "registers have no versions here, and the workload {} asks for them: leave its option `versions` out",
            init.workload
        );
        return Err(CallError::fail("not-supported", text));
    }
    let client = C::open(init).await?;
    Ok((client, functions.iter().map(ToString::to_string).collect()))
}

fn write(answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&line)?;
    output.flush()
}
