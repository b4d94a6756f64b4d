//! [`Session`]: the handle of one node's agent. Any task may ask it; the connection's thread does the work.
use super::access::NodeAccess;
use super::agent::{self, AgentBinaries};
use super::connect::Deadline;
use super::connect_error::NodeConnectError;
use super::connection::{Connection, SessionRequest};
use super::{Node, Remote, RemoteError};
use dsfuzz_nemesis::protocol::{ClaimEntry, Claimant, PROTOCOL_VERSION, Request, Response};
use dsfuzz_workloads::BoxFuture;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How to connect: for which run, and for how long.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Names the run in the agents' undo journals.
    pub run: String,
    /// The run that asks for the node. One run holds a node at a time.
    pub claim: Claimant,
    /// End the run that holds the node.
    pub take_over: bool,
    /// The lease: after this time of silence the agent heals its node, and this side gives up the connection.
    pub lease: Duration,
    /// How long a silent host is retried.
    pub patience: Duration,
    /// Deadline of all steps up to the agent's first response.
    pub deadline: Duration,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            run: String::new(),
            claim: Claimant::default(),
            take_over: false,
            lease: Duration::from_secs(3),
            patience: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
        }
    }
}

/// An agent's hello: facts about itself and its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentHello {
    /// The kernel's boot id.
    pub boot_id: String,
    /// Kernel release.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
    /// UDP port on which it hears pings.
    pub ping_port: u16,
    /// Process ids of the agent and its guardian.
    pub pids: (u32, u32),
}

/// The agent's response with its blob, or the message of its refusal.
type AgentResult = Result<(Response, Vec<u8>), String>;

/// The receiver of one response. If it is dropped unused, the waiting caller learns that the connection is gone.
pub(super) struct ResponseSender(Box<dyn FnOnce(AgentResult) + Send>);

impl ResponseSender {
    pub(super) fn give(self, response: Response, blob: Vec<u8>) {
        (self.0)(match response {
            Response::Failed(message) => Err(message),
            response => Ok((response, blob)),
        });
    }

    pub(super) fn refuse(self, message: String) {
        (self.0)(Err(message));
    }
}

/// One connection; a session may have several, one after the other.
struct AgentConnection {
    jobs: Sender<SessionRequest>,
    wake: Arc<EventFd>,
    ids: AtomicU64,
    lost: watch::Receiver<Option<Arc<str>>>,
    hello: AgentHello,
}

impl Drop for AgentConnection {
    fn drop(&mut self) {
        let _ = self.jobs.send(SessionRequest::Close);
        let _ = self.wake.write(1);
    }
}

/// A node's agent at the end of a connection: an SSH channel, or a command of this machine. Dropped, the connection closes and the agent heals and ends.
pub struct Session {
    node: Node,
    access: NodeAccess,
    agents: Arc<AgentBinaries>,
    options: ConnectOptions,
    line: Mutex<Arc<AgentConnection>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("node", &self.node).field("access", &self.access).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, logs in, puts the agent on the node, starts it and greets it. Blocks, at most for the deadline; in async
    /// code call it within `spawn_blocking`.
    pub fn connect(
        node: Node,
        access: impl Into<NodeAccess>,
        agents: Arc<AgentBinaries>,
        options: ConnectOptions,
    ) -> Result<Session, NodeConnectError> {
        let access = access.into();
        let first = if options.take_over { ClaimEntry::TakeOver } else { ClaimEntry::First };
        let line = Mutex::new(Arc::new(open(&node, &access, &agents, &options, first)?));
        Ok(Session { node, access, agents, options, line })
    }

    /// Connects again after a loss; holders of this session go on with it. Blocks. The old agent has healed its injections or
    /// will; ask the new one for [`Request::Undone`]. Fails with [`NodeConnectError::NodeTaken`] if another run held the node since.
    pub fn reconnect(&self) -> Result<(), NodeConnectError> {
        let fresh = Arc::new(open(&self.node, &self.access, &self.agents, &self.options, ClaimEntry::Again)?);
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Reports that this run's clients are closed, after another run has taken over the node. Blocks.
    pub fn say_gone(&self) {
        if let Err(error) = open(&self.node, &self.access, &self.agents, &self.options, ClaimEntry::Gone)
            && !matches!(error, NodeConnectError::NodeTaken { .. })
        {
            tracing::warn!("{error}");
        }
    }

    /// How the node is reached.
    pub fn access(&self) -> &NodeAccess {
        &self.access
    }

    /// The agent's hello.
    pub fn hello(&self) -> AgentHello {
        self.line().hello.clone()
    }

    /// Waits until the present connection is lost; returns the reason.
    pub async fn lost(&self) -> Arc<str> {
        let mut lost = self.line().lost.clone();
        let why = lost.wait_for(Option::is_some).await.map(|why| why.clone());
        why.ok().flatten().unwrap_or_else(|| "the connection's thread ended".into())
    }

    /// Why the present connection is lost, if it is.
    pub fn lost_now(&self) -> Option<Arc<str>> {
        self.line().lost.borrow().clone()
    }

    /// Ends the agent in order. Services go on unless they are to stop.
    pub async fn bye(&self, stop_services: bool, deadline: Duration) -> Result<(), RemoteError> {
        self.ask(Request::Bye { stop_services }, Vec::new(), deadline).await.map(drop)
    }

    fn line(&self) -> Arc<AgentConnection> {
        Arc::clone(&self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lost_error(&self, line: &AgentConnection) -> RemoteError {
        let why = line.lost.borrow().clone().unwrap_or_else(|| "the connection's thread ended".into());
        RemoteError::Lost { node: Arc::clone(&self.node.name), message: why.to_string() }
    }
}

impl Remote for Session {
    fn node(&self) -> &Node {
        &self.node
    }

    fn ask(
        &self,
        ask: Request,
        blob: Vec<u8>,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(Response, Vec<u8>), RemoteError>> {
        let line = self.line();
        Box::pin(async move {
            let what = word(&ask);
            let id = line.ids.fetch_add(1, Ordering::Relaxed);
            let (tell, answered) = oneshot::channel();
            // The caller may have given up by then.
            let answer = ResponseSender(Box::new(move |answer| drop(tell.send(answer))));
            if line.jobs.send(SessionRequest::Request { id, ask: Box::new(ask), blob, answer }).is_err() {
                return Err(self.lost_error(&line));
            }
            let _ = line.wake.write(1);
            match tokio::time::timeout(deadline, answered).await {
                Ok(Ok(Ok(response))) => Ok(response),
                Ok(Ok(Err(message))) => Err(RemoteError::Refused { node: Arc::clone(&self.node.name), message }),
                Ok(Err(_)) => Err(self.lost_error(&line)),
                Err(_) => {
                    let _ = line.jobs.send(SessionRequest::Forget(id));
                    let _ = line.wake.write(1);
                    Err(RemoteError::Late { node: Arc::clone(&self.node.name), what, deadline })
                }
            }
        })
    }
}

/// A request in a word: `run etcd`, `undo`.
fn word(ask: &Request) -> String {
    match ask {
        Request::Run(command) => format!("run {}", command.argv.first().map(String::as_str).unwrap_or_default()),
        Request::Start { service, .. } => format!("start {service}"),
        Request::Stop { service, .. } => format!("stop {service}"),
        Request::Write { path, .. } => format!("write {path}"),
        Request::Read { path, .. } => format!("read {path}"),
        other => match serde_json::to_value(other) {
            Ok(serde_json::Value::String(name)) => name,
            Ok(serde_json::Value::Object(fields)) => fields.keys().next().cloned().unwrap_or_default(),
            _ => "a request".into(),
        },
    }
}

fn open(
    node: &Node,
    access: &NodeAccess,
    agents: &Arc<AgentBinaries>,
    options: &ConnectOptions,
    entry: ClaimEntry,
) -> Result<AgentConnection, NodeConnectError> {
    let deadline = Arc::new(Deadline::new(Arc::clone(&node.name), options.deadline));
    let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
    let wake = Arc::new(wake.map_err(|error| deadline.failed(error))?);
    let (jobs, queue) = mpsc::channel();
    let (lost, lost_seen) = watch::channel(None);
    let (ready, outcome) = mpsc::channel();
    let (tell, greeted) = mpsc::channel();
    let hello = Request::Hello {
        version: PROTOCOL_VERSION,
        lease_ms: u64::try_from(options.lease.as_millis()).unwrap_or(u64::MAX),
        run: options.run.clone(),
        claim: options.claim.clone(),
        entry,
    };
    // Queued before the thread begins, so it is the first frame.
    let answer = ResponseSender(Box::new(move |answer| drop(tell.send(answer))));
    let _ = jobs.send(SessionRequest::Request { id: 0, ask: Box::new(hello), blob: Vec::new(), answer });
    let thread = {
        let (access, agents, options) = (access.clone(), Arc::clone(agents), options.clone());
        let (deadline, wake) = (Arc::clone(&deadline), Arc::clone(&wake));
        move || {
            let begun = access
                .connect(options.patience, &deadline)
                .and_then(|link| agent::start(&link, &access, &agents, &deadline));
            let started = match begun {
                Ok(started) => started,
                Err(error) => return drop(ready.send(Err(error))),
            };
            deadline.begin("greeting the agent");
            let connection = Connection::new(started, queue, wake, options.lease, deadline.left());
            // After the deadline no caller waits; the closed queue then ends the connection.
            let _ = ready.send(Ok(()));
            let why = connection.run();
            lost.send_replace(Some(why.into()));
        }
    };
    let named = std::thread::Builder::new().name(format!("node-{}", node.name));
    named.spawn(thread).map_err(|error| deadline.failed(error))?;
    match outcome.recv_timeout(deadline.left() + Duration::from_secs(1)) {
        Ok(done) => done?,
        Err(RecvTimeoutError::Timeout) => return Err(deadline.timed_out()),
        Err(RecvTimeoutError::Disconnected) => return Err(deadline.failed("its thread ended")),
    }
    let hello = await_hello(greeted, &lost_seen, &deadline, &node.name, entry)?;
    Ok(AgentConnection { jobs, wake, ids: AtomicU64::new(1), lost: lost_seen, hello })
}

fn await_hello(
    greeted: mpsc::Receiver<AgentResult>,
    lost: &watch::Receiver<Option<Arc<str>>>,
    deadline: &Deadline,
    node: &Arc<str>,
    entry: ClaimEntry,
) -> Result<AgentHello, NodeConnectError> {
    let mismatch = |message| NodeConnectError::AgentMismatch { node: Arc::clone(node), message };
    // The connection gives up at the deadline, which drops the sender.
    match greeted.recv() {
        Ok(Ok((Response::Hello { version, boot_id, kernel, arch, ping_port, pids }, _))) => {
            if version != PROTOCOL_VERSION {
                return Err(mismatch(format!("it speaks version {version} of the protocol, not {PROTOCOL_VERSION}")));
            }
            Ok(AgentHello { boot_id, kernel, arch, ping_port, pids })
        }
        Ok(Ok((Response::Taken(claim), _))) => Err(NodeConnectError::NodeTaken {
            node: Arc::clone(node),
            claim: Box::new(claim),
            again: matches!(entry, ClaimEntry::Again | ClaimEntry::Gone),
        }),
        Ok(Ok((other, _))) => Err(mismatch(format!("it answers {other:?} to the greeting"))),
        Ok(Err(message)) => Err(mismatch(message)),
        Err(_) => Err(deadline.failed(lost.borrow().clone().unwrap_or_else(|| "its thread ended".into()))),
    }
}
