//! [`Session`]: the handle of one node's agent. Cheap to ask from any task; the work is done on the connection's thread.
use super::agent::{self, AgentBinaries};
use super::connect::{self, Deadline};
use super::connect_error::ConnectError;
use super::connection::{Connection, Job};
use super::target::SshTarget;
use super::{Node, Remote, RemoteError};
use dsfuzz_nemesis::protocol::{Claimant, Entry, PROTOCOL_VERSION, Request, Response};
use dsfuzz_workloads::BoxFuture;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How patiently to connect, and for which run.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Names the run in the agents' undo journals.
    pub run: String,
    /// Who asks for the node: one run has it at a time.
    pub claim: Claimant,
    /// End the run that has the node.
    pub take_over: bool,
    /// The lease: after this much silence the agent heals, and this side gives the connection up.
    pub lease: Duration,
    /// How long to go on trying a host that does not answer.
    pub patience: Duration,
    /// Deadline for everything until the agent has answered.
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

/// What an agent says of itself and its node.
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

/// An answer: the agent's response with its blob, or the sentence with which it refused.
type Answered = Result<(Response, Vec<u8>), String>;

/// Where one answer goes. Dropped without one, the waiting caller learns that the connection is gone.
pub(super) struct Answer(Box<dyn FnOnce(Answered) + Send>);

impl Answer {
    pub(super) fn give(self, told: Response, blob: Vec<u8>) {
        (self.0)(match told {
            Response::Failed(message) => Err(message),
            told => Ok((told, blob)),
        });
    }

    pub(super) fn refuse(self, message: String) {
        (self.0)(Err(message));
    }
}

/// One connection; a session may have several, one after the other.
struct Line {
    jobs: Sender<Job>,
    wake: Arc<EventFd>,
    ids: AtomicU64,
    lost: watch::Receiver<Option<Arc<str>>>,
    hello: AgentHello,
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::Close);
        let _ = self.wake.write(1);
    }
}

/// A node's agent at the end of an SSH connection. Dropped, the connection closes and the agent heals and ends.
pub struct Session {
    node: Node,
    target: SshTarget,
    agents: Arc<AgentBinaries>,
    options: ConnectOptions,
    line: Mutex<Arc<Line>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("node", &self.node).field("target", &self.target).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, logs in, puts the agent there, starts it and greets it. Blocks, at most for the deadline; in async code
    /// call it within `spawn_blocking`.
    pub fn connect(
        node: Node,
        target: SshTarget,
        agents: Arc<AgentBinaries>,
        options: ConnectOptions,
    ) -> Result<Session, ConnectError> {
        let first = if options.take_over { Entry::TakeOver } else { Entry::First };
        let line = Mutex::new(Arc::new(open(&node, &target, &agents, &options, first)?));
        Ok(Session { node, target, agents, options, line })
    }

    /// Connects anew after a loss; who holds this session goes on with it. Blocks. What the old agent had done it has
    /// healed by itself or will; ask the new one for [`Request::Undone`]. [`ConnectError::NodeTaken`] where another run has had the
    /// node since.
    pub fn reconnect(&self) -> Result<(), ConnectError> {
        let fresh = Arc::new(open(&self.node, &self.target, &self.agents, &self.options, Entry::Again)?);
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Says that this run's clients are closed, after another run has taken the node over. Blocks.
    pub fn say_gone(&self) {
        if let Err(error) = open(&self.node, &self.target, &self.agents, &self.options, Entry::Gone)
            && !matches!(error, ConnectError::NodeTaken { .. })
        {
            tracing::warn!("{error}");
        }
    }

    /// How the node is reached.
    pub fn target(&self) -> &SshTarget {
        &self.target
    }

    /// What the agent said of itself and its node when it was greeted.
    pub fn hello(&self) -> AgentHello {
        self.line().hello.clone()
    }

    /// Waits until the present connection is lost; the answer says why.
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

    fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lost_error(&self, line: &Line) -> RemoteError {
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
            // Whoever asked may have given up by then.
            let answer = Answer(Box::new(move |answer| drop(tell.send(answer))));
            if line.jobs.send(Job::Request { id, ask: Box::new(ask), blob, answer }).is_err() {
                return Err(self.lost_error(&line));
            }
            let _ = line.wake.write(1);
            match tokio::time::timeout(deadline, answered).await {
                Ok(Ok(Ok(told))) => Ok(told),
                Ok(Ok(Err(message))) => Err(RemoteError::Refused { node: Arc::clone(&self.node.name), message }),
                Ok(Err(_)) => Err(self.lost_error(&line)),
                Err(_) => {
                    let _ = line.jobs.send(Job::Forget(id));
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
    target: &SshTarget,
    agents: &Arc<AgentBinaries>,
    options: &ConnectOptions,
    entry: Entry,
) -> Result<Line, ConnectError> {
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
    let answer = Answer(Box::new(move |answer| drop(tell.send(answer))));
    let _ = jobs.send(Job::Request { id: 0, ask: Box::new(hello), blob: Vec::new(), answer });
    let thread = {
        let (node, target, agents, options) =
            (Arc::clone(&node.name), target.clone(), Arc::clone(agents), options.clone());
        let (deadline, wake) = (Arc::clone(&deadline), Arc::clone(&wake));
        move || {
            let begun = connect::connect(&target, options.patience, &deadline).and_then(|link| {
                let started = agent::start(&link, &node, &target, &agents, &deadline)?;
                Ok((link, started))
            });
            let (link, started) = match begun {
                Ok(begun) => begun,
                Err(error) => return drop(ready.send(Err(error))),
            };
            deadline.begin("greeting the agent");
            let connection = Connection::new(link, started, queue, wake, options.lease, deadline.left());
            // Nobody waits when the deadline has passed; the closed queue then ends the connection.
            let _ = ready.send(Ok(()));
            let why = connection.run();
            lost.send_replace(Some(why.into()));
        }
    };
    let named = std::thread::Builder::new().name(format!("ssh-{}", node.name));
    named.spawn(thread).map_err(|error| deadline.failed(error))?;
    match outcome.recv_timeout(deadline.left() + Duration::from_secs(1)) {
        Ok(done) => done?,
        Err(RecvTimeoutError::Timeout) => return Err(deadline.timed_out()),
        Err(RecvTimeoutError::Disconnected) => return Err(deadline.failed("its thread ended")),
    }
    let hello = await_hello(greeted, &lost_seen, &deadline, &node.name, entry)?;
    Ok(Line { jobs, wake, ids: AtomicU64::new(1), lost: lost_seen, hello })
}

fn await_hello(
    greeted: mpsc::Receiver<Answered>,
    lost: &watch::Receiver<Option<Arc<str>>>,
    deadline: &Deadline,
    node: &Arc<str>,
    entry: Entry,
) -> Result<AgentHello, ConnectError> {
    let mismatch = |message| ConnectError::AgentMismatch { node: Arc::clone(node), message };
    // The connection gives up by itself at the deadline, which drops the sender.
    match greeted.recv() {
        Ok(Ok((Response::Hello { version, boot_id, kernel, arch, ping_port, pids }, _))) => {
            if version != PROTOCOL_VERSION {
                return Err(mismatch(format!("it speaks version {version} of the protocol, not {PROTOCOL_VERSION}")));
            }
            Ok(AgentHello { boot_id, kernel, arch, ping_port, pids })
        }
        Ok(Ok((Response::Taken(claim), _))) => Err(ConnectError::NodeTaken {
            node: Arc::clone(node),
            claim: Box::new(claim),
            again: matches!(entry, Entry::Again | Entry::Gone),
        }),
        Ok(Ok((other, _))) => Err(mismatch(format!("it answers {other:?} to the greeting"))),
        Ok(Err(message)) => Err(mismatch(message)),
        Err(_) => Err(deadline.failed(lost.borrow().clone().unwrap_or_else(|| "its thread ended".into()))),
    }
}
