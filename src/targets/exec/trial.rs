//! [`ClientTrial`]: tries a client program against the rules of the protocol, before it is trusted with a verdict.
//!
//! The calls are those of a workload; the store in memory says what a correct object replies to them. A proxy stands between the
//! client and its server, loses an answer here, holds one back there, and the object is read afterwards.
mod proxy;
mod reference;
mod rules;
mod session;
mod several;

pub use rules::{Rule, RuleState, TrialNotes};

use super::ExecConnect;
use crate::targets::node_commands::head;
use dsfuzz_checkers::functions::{FunctionKind, function};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_workloads::{Call, CallResponse, CallResult, Generator, Next, Terms, Workload, WorkloadOptions};
use proxy::{Passage, Proxy};
use reference::{Reference, probes};
use session::{CallOutcome, Session};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Calls whose answer is lost.
const CUTS: u64 = 12;
/// Answers of a call that are lost in turn: the first, the second, ...
const CUT_AT_MAX: u64 = 3;
/// How often a look at the object is repeated while the server still clears up a lost connection.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How soon a proxy is looked at again.
const PROXY_AGAIN: Duration = Duration::from_millis(5);
/// How often a generator may say that it has no call now.
const WAITS_MAX: u32 = 2_000;

/// A client to try, and where.
pub struct ClientTrial {
    /// The program.
    pub exec: ExecConnect,
    /// The workload whose calls it gets.
    pub workload: Box<dyn Workload>,
    /// What the calls act on, and what its reads reply with.
    pub object: (String, Reads),
    /// The server; without one, the client is tried alone.
    pub server: Option<IpAddr>,
    /// The server's ports by role.
    pub ports: BTreeMap<String, u16>,
    /// Options for the client.
    pub options: BTreeMap<String, String>,
    /// The deadline of a call.
    pub deadline: Duration,
    /// Calls to make while nothing is broken.
    pub calls: u32,
}

/// The proxies in front of a server, and their ports by role.
struct Server {
    proxies: Vec<Proxy>,
    ports: BTreeMap<String, u16>,
}

impl Server {
    fn set(&self, passage: Passage) {
        self.proxies.iter().for_each(|proxy| proxy.set(passage));
    }

    fn has_cut(&self) -> bool {
        self.proxies.iter().any(Proxy::has_cut)
    }

    /// Waits until this holds for some proxy, at most for this time.
    async fn until(&self, holds: impl Fn(&Proxy) -> bool, within: Duration) {
        let end = tokio::time::Instant::now() + within;
        while !self.proxies.iter().any(&holds) && tokio::time::Instant::now() < end {
            tokio::time::sleep(PROXY_AGAIN).await;
        }
    }

    fn sent_again(&self) -> u64 {
        self.proxies.iter().map(Proxy::sent_again).sum()
    }
}

/// A trial in progress: the object as it must be by now.
struct Progress<'a> {
    trial: &'a ClientTrial,
    server: Server,
    notes: &'a mut TrialNotes,
    reference: Reference<'a>,
    generator: Box<dyn Generator>,
    next_process: u64,
}

/// Where the trial cannot go on; what was found stands in the notes.
struct Stopped;

impl ClientTrial {
    /// The terms of its calls.
    fn terms(&self) -> Terms {
        Terms::load(self.deadline)
    }

    /// Tries every rule that can be tried here. An error says why nothing could be tried.
    pub async fn run(&self) -> Result<TrialNotes, String> {
        let mut notes = TrialNotes::default();
        if !self.ports.is_empty() {
            self.without_a_server(&mut notes).await?;
        }
        if self.ports.is_empty() || self.server.is_some() {
            let server = self.serve().await?;
            let mut progress = Progress {
                trial: self,
                server,
                notes: &mut notes,
                reference: Reference::new(&*self.workload, self.object.1),
                generator: self.workload.generator(7, 0, 1),
                next_process: 0,
            };
            // What stopped it is among the notes.
            let _ = progress.all().await?;
        }
        Ok(notes)
    }

    async fn serve(&self) -> Result<Server, String> {
        let (mut proxies, mut ports) = (Vec::new(), BTreeMap::new());
        for (role, port) in &self.ports {
            let address = self.server.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let proxy = Proxy::to(address, *port).await.map_err(|error| format!("a proxy to port {port}: {error}"))?;
            ports.insert(role.clone(), proxy.port);
            proxies.push(proxy);
        }
        Ok(Server { proxies, ports })
    }

    /// No server listens on its ports.
    async fn without_a_server(&self, notes: &mut TrialNotes) -> Result<(), String> {
        let mut ports = BTreeMap::new();
        let mut held = Vec::new();
        for role in self.ports.keys() {
            let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
            ports.insert(role.clone(), free.local_addr().map_err(|error| error.to_string())?.port());
            held.push(free);
        }
        drop(held);
        let mut alone = TrialNotes::default();
        match self.open(&ports, 0, &mut alone).await {
            Err(why) if why.starts_with(INIT_ERROR) => notes.kept(Rule::Refused),
            Err(why) if why.starts_with("it cannot be started") => return Err(why),
            Err(why) => notes.broken(Rule::Refused, format!("{why}; it should answer `init` with an error")),
            Ok(mut session) => {
                let Some(call) = first_call(&*self.workload) else { return Ok(()) };
                match session.call(&call, self.terms(), notes).await {
                    CallOutcome::InTime(response) | CallOutcome::Late(response, _)
                        if matches!(response.result, CallResult::Ok(_)) =>
                    {
                        notes.broken(
                            Rule::Refused,
                            format!("no server was there, and it answered ok to {}", words(&call)),
                        );
                    }
                    _ => notes.kept(Rule::Refused),
                }
            }
        }
        Ok(())
    }
}

/// The begin of the words of a client that refuses `init` properly.
const INIT_ERROR: &str = "it answered `init` with an error";

/// The first call of a workload.
fn first_call(workload: &dyn Workload) -> Option<Call> {
    match workload.generator(7, 0, 1).next() {
        Next::Call(call) => Some(call),
        Next::Wait | Next::Done => None,
    }
}

/// A call in words.
fn words(call: &Call) -> String {
    let key = if call.key == Value::Nil { String::new() } else { format!(" of key {}", call.key) };
    let value = if call.value == Value::Nil { String::new() } else { format!(" {}", call.value) };
    head(&format!("{}{value}{key}", call.f))
}

/// A result in words.
fn result_words(result: &CallResult) -> String {
    match result {
        CallResult::Ok(value) => head(&format!("ok {value}")),
        CallResult::Fail(why) => head(&format!("fail ({why})")),
        CallResult::Info(why) => head(&format!("info ({why})")),
    }
}

/// Whether the call only reads, and leaves what it reads.
fn only_reads(call: &Call) -> bool {
    function(&call.f).kind == FunctionKind::Read
}

impl Progress<'_> {
    async fn all(&mut self) -> Result<Result<(), Stopped>, String> {
        let mut session = match self.open().await {
            Ok(session) => session,
            Err(why) if self.notes.has_broken() || why.contains("flush") || why.contains("did not answer") => {
                self.notes.broken(Rule::Init, why);
                return Ok(Err(Stopped));
            }
            Err(why) => return Err(why),
        };
        if session.wants_setup
            && let CallOutcome::InTime(CallResponse { result: CallResult::Fail(why) | CallResult::Info(why), .. }) =
                session.set_up(self.trial, self.notes).await
        {
            return Err(format!("setup: {why}"));
        }
        self.must_be_empty(&mut session).await?;
        Ok(self.through(session).await)
    }

    async fn through(&mut self, session: Session) -> Result<(), Stopped> {
        let session = self.in_order(session).await?;
        session.end(self.notes).await;
        self.connecting().await?;
        self.unknown_function().await;
        if !self.server.proxies.is_empty() {
            self.lost_answers().await?;
            self.held_answers().await?;
        }
        self.several().await;
        Ok(())
    }

    async fn open(&mut self) -> Result<Session, String> {
        self.next_process += 1;
        self.trial.open(&self.server.ports, self.next_process, self.notes).await
    }

    /// As [`Self::open`], in the middle of the trial.
    async fn again(&mut self) -> Result<Session, Stopped> {
        self.open().await.map_err(|why| {
            self.notes.broken(Rule::Init, format!("when it was started again: {why}"));
            Stopped
        })
    }

    /// The trial compares with an empty object.
    async fn must_be_empty(&mut self, session: &mut Session) -> Result<(), String> {
        let Some(call) = first_call(&*self.trial.workload) else { return Ok(()) };
        for probe in probes(&self.trial.object.0, &call) {
            let expected = self.reference.reply(&[], &probe).await;
            let CallOutcome::InTime(response) = session.call(&probe, self.trial.terms(), self.notes).await else {
                continue;
            };
            if matches!(response.result, CallResult::Ok(_))
                && !self.reference.agrees(&probe, &expected, &response.result)
            {
                return Err(format!(
                    "the object is not as it begins: {} is {}, and {} was expected; try the client on an empty server",
                    words(&probe),
                    result_words(&response.result),
                    result_words(&expected)
                ));
            }
        }
        Ok(())
    }

    /// The next call of the workload.
    async fn next_call(&mut self) -> Option<Call> {
        for _ in 0..WAITS_MAX {
            match self.generator.next() {
                Next::Call(call) => {
                    self.generator.taken();
                    return Some(call);
                }
                Next::Wait => tokio::time::sleep(Duration::from_millis(1)).await,
                Next::Done => return None,
            }
        }
        None
    }

    /// Calls one after the other, while nothing is broken.
    async fn in_order(&mut self, mut session: Session) -> Result<Session, Stopped> {
        for _ in 0..self.trial.calls {
            let Some(call) = self.next_call().await else { break };
            let result = self.one(&mut session, &call).await?;
            if only_reads(&call) {
                let again = self.one(&mut session, &call).await?;
                self.notes.kept(Rule::Reads);
                if !self.reference.are_alike(&call, &result, &again) {
                    let (first, second) = (result_words(&result), result_words(&again));
                    self.notes.broken(Rule::Reads, format!("{} twice: {first}, then {second}", words(&call)));
                    return Err(Stopped);
                }
            }
            self.generator.observe(&call, &result);
        }
        self.notes.kept(Rule::Lines);
        self.notes.kept(Rule::Replies);
        Ok(session)
    }

    /// One call whose answer is compared with that of a correct object.
    async fn one(&mut self, session: &mut Session, call: &Call) -> Result<CallResult, Stopped> {
        let expected = self.reference.reply(&[], call).await;
        let found = match session.call(call, self.trial.terms(), self.notes).await {
            CallOutcome::InTime(response) => response.result,
            CallOutcome::Late(_, beyond) => {
                let late = beyond.as_millis();
                self.notes.broken(Rule::Deadline, format!("{} was answered {late} ms after its deadline", words(call)));
                return Err(Stopped);
            }
            CallOutcome::Not => {
                if !self.notes.has_broken() {
                    self.notes.broken(Rule::Lines, format!("{} was not answered", words(call)));
                }
                return Err(Stopped);
            }
            CallOutcome::Ended(how) => {
                self.notes.broken(Rule::Lines, format!("it ended during {}{how}", words(call)));
                return Err(Stopped);
            }
        };
        if self.reference.known() {
            self.notes.kept(Rule::Effects);
        }
        if !self.reference.agrees(call, &expected, &found) {
            let sentence = format!(
                "{} was answered {}; after the calls before it a correct {} answers {}",
                words(call),
                result_words(&found),
                self.trial.object.0,
                result_words(&expected)
            );
            let rule = if only_reads(call) && self.read_before(call) { Rule::Reads } else { Rule::Effects };
            self.notes.broken(rule, sentence);
            return Err(Stopped);
        }
        if matches!(found, CallResult::Ok(_)) {
            self.reference.took_effect(call);
        }
        Ok(found)
    }

    /// Whether the last call that took effect was the same read: then the read itself has changed the object.
    fn read_before(&self, call: &Call) -> bool {
        self.reference.last() == Some(call)
    }

    /// A new connection sees what the old one left.
    async fn connecting(&mut self) -> Result<(), Stopped> {
        let mut session = self.again().await?;
        if session.wants_setup {
            match session.set_up(self.trial, self.notes).await {
                CallOutcome::InTime(CallResponse { result: CallResult::Ok(_), .. }) => self.notes.kept(Rule::Setup),
                CallOutcome::InTime(response) => {
                    self.notes.broken(Rule::Setup, format!("it was answered {}", result_words(&response.result)));
                }
                _ => self.notes.broken(Rule::Setup, "it was not answered in time".to_owned()),
            }
        }
        for probe in self.reference.probes(&self.trial.object.0) {
            let expected = self.reference.reply(&[], &probe).await;
            let found = self.look(&probe).await?;
            if !self.reference.agrees(&probe, &expected, &found) {
                let sentence = format!(
                    "over a new connection {} was answered {}, and before it was opened {} was right",
                    words(&probe),
                    result_words(&found),
                    result_words(&expected)
                );
                self.notes.broken(Rule::Reads, sentence);
                return Err(Stopped);
            }
            self.reference.took_effect(&probe);
        }
        Ok(())
    }

    async fn unknown_function(&mut self) {
        let Ok(mut session) = self.again().await else { return };
        let call = Call {
            workload: self.trial.exec.workload.name.clone(),
            f: "no-such-function".into(),
            key: Value::Nil,
            value: Value::Nil,
        };
        let how = match session.call(&call, self.trial.terms(), self.notes).await {
            CallOutcome::InTime(CallResponse { result: CallResult::Fail(_), .. }) => {
                return self.notes.kept(Rule::Unknown);
            }
            CallOutcome::InTime(response) | CallOutcome::Late(response, _) => {
                format!("answered {}", result_words(&response.result))
            }
            CallOutcome::Not => "not answered".to_owned(),
            CallOutcome::Ended(how) => format!("the end of the program{how}"),
        };
        self.notes.broken(Rule::Unknown, format!("`no-such-function` was {how}"));
    }

    /// The next call that changes something; reads in between are made.
    async fn next_change(&mut self, session: &mut Session) -> Result<Option<Call>, Stopped> {
        for _ in 0..WAITS_MAX {
            match self.next_call().await {
                Some(call) if only_reads(&call) => {
                    let result = self.one(session, &call).await?;
                    self.generator.observe(&call, &result);
                }
                call => return Ok(call),
            }
        }
        Ok(None)
    }

    /// Calls whose answer is lost on its way.
    async fn lost_answers(&mut self) -> Result<(), Stopped> {
        for round in 0..CUTS {
            let mut session = self.again().await?;
            let Some(call) = self.next_change(&mut session).await? else { return Ok(()) };
            let cut_at = 1 + round % CUT_AT_MAX;
            self.server.set(Passage::CutAt(cut_at));
            let answered = session.call(&call, self.trial.terms(), self.notes).await;
            // A client that does not wait for the server may be quicker than the server's first answer.
            if cut_at == 1 && matches!(answered, CallOutcome::InTime(_)) {
                self.server.until(Proxy::has_cut, self.trial.deadline).await;
            }
            let (cut, again) = (self.server.has_cut(), self.server.sent_again());
            self.server.set(Passage::Open);
            drop(session);
            if cut {
                self.notes.kept(Rule::Lost);
            }
            if again > 0 {
                let sentence = format!(
                    "within {} its connection was lost, and it sent {again} bytes over a new one: a call that is sent \
                     twice may take effect twice",
                    words(&call)
                );
                self.notes.broken(Rule::Lost, sentence);
            }
            let result = self.result_of(&call, answered, Rule::Lost);
            if cut && cut_at == 1 && matches!(result, CallResult::Ok(_)) && again == 0 {
                let sentence = format!("{} was answered ok, and no answer of the server had reached it", words(&call));
                self.notes.broken(Rule::Lost, sentence);
            }
            self.settle_effect(&call, &result).await?;
        }
        Ok(())
    }

    /// Calls whose answer does not come.
    async fn held_answers(&mut self) -> Result<(), Stopped> {
        let mut session = self.again().await?;
        let Some(call) = self.next_change(&mut session).await? else { return Ok(()) };
        self.server.set(Passage::Held);
        let answered = session.call(&call, self.trial.terms(), self.notes).await;
        drop(session);
        self.server.set(Passage::Open);
        self.notes.kept(Rule::Deadline);
        if matches!(&answered, CallOutcome::InTime(response) if matches!(response.result, CallResult::Ok(_))) {
            let sentence = format!("{} was answered ok, and the server's answer had not come", words(&call));
            self.notes.broken(Rule::Deadline, sentence);
        }
        let result = self.result_of(&call, answered, Rule::Deadline);
        self.settle_effect(&call, &result).await
    }

    /// How a call ended for dsfuzz, which gives up at the deadline.
    fn result_of(&mut self, call: &Call, answered: CallOutcome, rule: Rule) -> CallResult {
        match answered {
            CallOutcome::InTime(response) => response.result,
            CallOutcome::Late(response, beyond) => {
                let (late, said) = (beyond.as_millis(), result_words(&response.result));
                self.notes.broken(rule, format!("{} was answered {said}, {late} ms after its deadline", words(call)));
                CallResult::info("timeout")
            }
            CallOutcome::Not => CallResult::info("timeout"),
            CallOutcome::Ended(how) => CallResult::info(how),
        }
    }

    /// Looks whether a call of this result took effect, and takes the object from there.
    async fn settle_effect(&mut self, call: &Call, result: &CallResult) -> Result<(), Stopped> {
        self.generator.observe(call, result);
        for probe in probes(&self.trial.object.0, call) {
            let without = self.reference.reply(&[], &probe).await;
            let with = self.reference.reply(std::slice::from_ref(call), &probe).await;
            let found = self.look(&probe).await?;
            let is_without = self.reference.agrees(&probe, &without, &found);
            let is_with = self.reference.agrees(&probe, &with, &found);
            let said = result_words(result);
            let seen =
                format!("{} was answered {said}; {} then is {}", words(call), words(&probe), result_words(&found));
            match (result, is_without, is_with) {
                (_, false, false) => {
                    let right = (result_words(&without), result_words(&with));
                    let sentence = format!("{seen}, and {} without it or {} with it would be right", right.0, right.1);
                    self.notes.broken(Rule::Effects, sentence);
                    return Err(Stopped);
                }
                (CallResult::Fail(_), false, true) => {
                    self.notes.broken(Rule::Effects, format!("{seen}: it did take effect; answer info in doubt"));
                }
                (CallResult::Ok(_), true, false) => {
                    self.notes.broken(Rule::Effects, format!("{seen}: it had no effect"));
                }
                _ => {}
            }
            if is_with && !is_without {
                self.reference.took_effect(call);
            }
            self.reference.took_effect(&probe);
        }
        Ok(())
    }

    /// A reply to a call over a new connection. A server may need a moment to clear up a lost one.
    async fn look(&mut self, probe: &Call) -> Result<CallResult, Stopped> {
        let mut last = CallResult::info("no answer");
        for _ in 0..LOOKS {
            let mut session = self.again().await?;
            if let CallOutcome::InTime(response) = session.call(probe, self.trial.terms(), self.notes).await {
                last = response.result;
                if matches!(last, CallResult::Ok(_)) {
                    break;
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(last)
    }
}

/// The workload of this name with its default options.
pub fn plain_workload(name: &str) -> Option<WorkloadOptions> {
    serde_json::from_value(serde_json::json!({ name: {} })).ok()
}

/// A client of a workload for a trial.
pub fn trial_of(exec: ExecConnect, options: &WorkloadOptions) -> ClientTrial {
    let workload = options.build();
    let exec =
        ExecConnect { workload: dsfuzz_workloads::ClientWorkload::of(&*workload), run: "try".to_owned(), ..exec };
    ClientTrial {
        exec,
        workload,
        object: (options.object().to_owned(), options.reads()),
        server: None,
        ports: BTreeMap::new(),
        options: BTreeMap::new(),
        deadline: Duration::from_secs(2),
        calls: 40,
    }
}
