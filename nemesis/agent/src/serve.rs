//! `serve`: the agent itself. One thread reads requests, one writes, and each request has its own thread, so that a heal never
//! waits behind a long command. The main thread waits for the end, heals, and is the only one that exits.
use crate::claim::{ClaimRefusal, NodeClaim};
use crate::clock::PatchedProcess;
use crate::guard::{self, GuardianMessage, GuardianPipe};
use crate::injector::Injector;
use crate::ping::Pings;
use crate::service::Services;
use crate::state_dir::StateDir;
use crate::{abilities, addresses, files, follow, process, reach, run, sys};
use dsfuzz_nemesis::protocol::{
    self, ClaimEntry, Claimant, GREETING, PROTOCOL_VERSION, Request, RequestFrame, Response, ResponseFrame,
};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The lease until the control node names one.
const LEASE_MS: u64 = 30_000;
/// Time between two checks of the lease, each with a sign of life to the guardian.
const TICK: Duration = Duration::from_millis(20);
/// Time between two signs of life to the guardian in the heal at the end.
const SIGN: Duration = Duration::from_secs(1);
/// Ticks between two renewals of the claim on the node.
const CLAIM_TICKS: u64 = 25;
/// Ticks between two looks at the layers over folders.
const DISK_TICKS: u64 = 10;
/// How long injections in progress may delay the heal at the end; then the guardian heals.
const LAST_ACT: Duration = Duration::from_secs(8);
/// Requests at one time.
const REQUESTS_MAX: usize = 256;

/// A message to the writer.
enum Outgoing {
    Frame(Box<ResponseFrame>, Vec<u8>),
    Flush(SyncSender<()>),
}

/// The shared state of the threads.
struct Agent {
    state_dir: StateDir,
    claim: NodeClaim,
    services: Arc<Services>,
    injector: Mutex<Injector>,
    pings: Pings,
    guardian_pipe: Mutex<Option<GuardianPipe>>,
    guardian: AtomicU32,
    lease_ms: AtomicU64,
    heard_ns: AtomicU64,
    held_until_ns: AtomicU64,
    shifts: AtomicBool,
    ending: AtomicBool,
    busy: AtomicUsize,
    out: Sender<Outgoing>,
    end: Sender<String>,
}

/// The first request: a greeting of this protocol.
struct Greeting {
    id: u64,
    lease_ms: u64,
    run: String,
    claim: Claimant,
    entry: ClaimEntry,
}

/// Reads until a proper greeting comes; none if the channel closes before.
fn greeting() -> Result<Option<Greeting>, String> {
    let say = |error: std::io::Error| format!("the greeting: {error}");
    let mut stdout = std::io::stdout();
    stdout.write_all(GREETING).and_then(|()| stdout.flush()).map_err(say)?;
    let mut input = std::io::stdin().lock();
    loop {
        let Some((RequestFrame { id, body }, _)) = protocol::read_frame::<RequestFrame>(&mut input).map_err(say)?
        else {
            return Ok(None);
        };
        let response = match body {
            Request::Hello { version, lease_ms, run, claim, entry } => match Agent::refused_greeting(version, lease_ms)
            {
                None => return Ok(Some(Greeting { id, lease_ms, run, claim, entry })),
                Some(reason) => Response::Failed(reason),
            },
            Request::Heartbeat => Response::Done,
            _ => Response::Failed("the agent was not greeted".to_owned()),
        };
        protocol::write_frame(&mut stdout, &ResponseFrame { id, body: response }, &[]).map_err(say)?;
    }
}

/// Runs the agent until its channel closes, its lease runs out, a signal comes or a request ends it. Nothing on the node is
/// touched before the greeting has named the run and the run holds the node. `ping_port`: the port for pings, 0 for any;
/// another port if it is taken.
pub(crate) fn serve(state_dir: &StateDir, ping_port: u16) -> Result<u8, String> {
    sys::new_session();
    let (greeted, first) = channel();
    std::thread::spawn(move || drop(greeted.send(greeting())));
    let first = first.recv_timeout(Duration::from_millis(LEASE_MS)).map_err(|_| "no greeting came".to_owned())??;
    let Some(first) = first else { return Ok(0) };
    sys::block_ending_signals();
    let refused = |response: Response| {
        let response = ResponseFrame { id: first.id, body: response };
        drop(protocol::write_frame(&mut std::io::stdout(), &response, &[]));
        Ok(0)
    };
    let claim = match NodeClaim::take(state_dir.dir(), &first.claim, first.entry) {
        Ok(claim) => claim,
        Err(ClaimRefusal::Taken(claim)) => return refused(Response::Taken(*claim)),
        Err(ClaimRefusal::Failed(reason)) => return refused(Response::Failed(reason)),
    };
    let _lock = state_dir.take_over()?;
    state_dir.sign();
    let services = Arc::new(Services::open(state_dir));
    let mut injector = Injector::open(state_dir, Arc::clone(&services))?;
    injector.greet(&first.run, first.lease_ms);
    let pings = Pings::open(ping_port)?;
    injector.hear_at(pings.port());
    // Injections of an earlier agent that its guardian has not healed.
    injector.heal("agent died", None);
    let (out, outgoing) = channel();
    let (end, ended) = channel();
    let agent = Arc::new(Agent {
        state_dir: state_dir.clone(),
        claim,
        services,
        injector: Mutex::new(injector),
        pings,
        guardian_pipe: Mutex::new(None),
        guardian: AtomicU32::new(0),
        lease_ms: AtomicU64::new(LEASE_MS),
        heard_ns: AtomicU64::new(sys::boottime_ns()),
        held_until_ns: AtomicU64::new(0),
        shifts: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        busy: AtomicUsize::new(0),
        out,
        end,
    });
    agent.services.watch_running(&first.claim);
    agent.spawn_guardian()?;
    state_dir.log(&format!("serving {} from host {}", first.claim.run, first.claim.host));
    let hello = agent.hello(PROTOCOL_VERSION, first.lease_ms, &first.run)?;
    agent.reply(first.id, hello, Vec::new());
    std::thread::spawn(move || write_all(&outgoing));
    for work in [Agent::read_all, Agent::tick, Agent::keep, Agent::heed_signals] {
        let agent = Arc::clone(&agent);
        std::thread::spawn(move || work(&agent));
    }
    Ok(agent.last_words(&ended))
}

/// Writes frames in their order. After the death of the channel nothing is written; the lease ends the agent.
fn write_all(outgoing: &Receiver<Outgoing>) {
    let mut stdout = std::io::stdout();
    for item in outgoing {
        match item {
            Outgoing::Flush(done) => drop(done.send(())),
            Outgoing::Frame(response, blob) => {
                if let Err(error) = protocol::write_frame(&mut stdout, &response, &blob)
                    && error.kind() == std::io::ErrorKind::InvalidData
                {
                    let body = Response::Failed(format!("the answer does not fit into a frame: {error}"));
                    drop(protocol::write_frame(&mut stdout, &ResponseFrame { id: response.id, body }, &[]));
                }
            }
        }
    }
}

/// Standard input; every byte from the control node renews the lease.
struct Renewing<'a> {
    input: std::io::StdinLock<'static>,
    agent: &'a Agent,
}

impl Read for Renewing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.input.read(buffer)?;
        if got > 0 {
            self.agent.heard_ns.store(sys::boottime_ns(), SeqCst);
        }
        Ok(got)
    }
}

/// Counts a request that is being answered.
struct Busy(Arc<Agent>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, SeqCst);
    }
}

impl Agent {
    fn injector(&self) -> MutexGuard<'_, Injector> {
        self.injector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, why: &str) {
        drop(self.end.send(why.to_owned()));
    }

    fn reply(&self, id: u64, body: Response, blob: Vec<u8>) {
        drop(self.out.send(Outgoing::Frame(Box::new(ResponseFrame { id, body }), blob)));
    }

    /// Reads requests until the channel closes.
    fn read_all(self: &Arc<Agent>) {
        let mut input = Renewing { input: std::io::stdin().lock(), agent: self };
        let why = loop {
            match protocol::read_frame::<RequestFrame>(&mut input) {
                Ok(Some((request, blob))) => self.take(request, blob),
                Ok(None) => break "channel closed".to_owned(),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break "channel closed".to_owned(),
                Err(error) => break format!("channel broken: {error}"),
            }
        };
        self.finish(&why);
    }

    /// Answers quick requests, and starts a thread for others.
    fn take(self: &Arc<Agent>, request: RequestFrame, blob: Vec<u8>) {
        let id = request.id;
        if matches!(request.body, Request::Heartbeat) {
            return self.reply(id, Response::Done, Vec::new());
        }
        if self.busy.fetch_add(1, SeqCst) >= REQUESTS_MAX {
            self.busy.fetch_sub(1, SeqCst);
            return self.reply(id, Response::Failed(format!("{REQUESTS_MAX} requests are being answered")), Vec::new());
        }
        let busy = Busy(Arc::clone(self));
        // Only Hello needs its order: later requests rely on its lease and run.
        if matches!(request.body, Request::Hello { .. }) {
            busy.0.answer_to(request, &blob);
        } else {
            std::thread::spawn(move || busy.0.answer_to(request, &blob));
        }
    }

    fn answer_to(self: &Arc<Agent>, request: RequestFrame, blob: &[u8]) {
        let id = request.id;
        let bye = matches!(request.body, Request::Bye { .. });
        let answered = catch_unwind(AssertUnwindSafe(|| self.answer(request.body, blob)));
        let (body, blob) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => (Response::Failed(reason), Vec::new()),
            Err(_) => (Response::Failed("the agent has a bug: it panicked over this request".to_owned()), Vec::new()),
        };
        self.reply(id, body, blob);
        if bye {
            self.finish("asked to end");
        }
    }

    fn answer(self: &Arc<Agent>, ask: Request, blob: &[u8]) -> Result<(Response, Vec<u8>), String> {
        let response = match ask {
            Request::Hello { version, lease_ms, run, .. } => self.hello(version, lease_ms, &run)?,
            Request::Heartbeat => Response::Done,
            Request::Run(command) => run::run(&command),
            Request::Define(service) => self.services.define(service).map(|()| Response::Done)?,
            Request::Start { service, again } => Response::Started { pid: self.injector().start(&service, again)? },
            Request::Stop { service, signal, grace_ms } => {
                self.services.stop(&service, signal, Duration::from_millis(grace_ms)).map(|()| Response::Done)?
            }
            Request::Services => Response::Services(self.services.states()),
            Request::Deaths { cores } => self.services.deaths(cores),
            Request::Write { path, offset, mode, owner } => {
                files::write(&path, offset, mode, owner.as_deref(), blob).map(|()| Response::Done)?
            }
            Request::Read { path, offset, bytes } => {
                let (size, chunk) = files::read(&path, offset, bytes)?;
                return Ok((Response::Chunk { size }, chunk));
            }
            Request::List { pattern } => files::list(&pattern)?,
            Request::Follow { logs, patterns, positions, wait_ms } => {
                follow::follow(&logs, &patterns, positions, Duration::from_millis(wait_ms))?
            }
            Request::Inject { fault, injection } => self.inject(fault, injection)?,
            Request::Prove { fault } => Response::Proof(Injector::prove_beside(&self.injector, fault)),
            Request::Undo { fault } => Response::Proof(self.undone(Some(fault))),
            Request::UndoAll => Response::Proof(self.undone(None)),
            Request::Undone => self.injector().undone(),
            Request::Addresses => Response::Addresses(addresses::all()?),
            Request::Ping { round, from, to, count } => {
                Response::Pinged { unsent: self.pings.send(round, &from, &to, count)? }
            }
            Request::Reach { to, wait_ms } => {
                let (open, refused) = reach::reach(&to, Duration::from_millis(wait_ms));
                Response::Reached { open, refused }
            }
            Request::Volley { volley, to } => Response::Pinged { unsent: self.pings.send_volley(&volley, &to)? },
            Request::HeardVolleys { round } => Response::HeardVolleys(self.pings.heard_volleys(round)),
            Request::Heard { round } => Response::Heard(self.pings.heard(round)),
            Request::DiskLayers { folders } => self.services.disks().set(&folders).map(|()| Response::Done)?,
            Request::Clocks => self.clocks(),
            Request::Abilities => Response::Abilities(abilities::abilities(&self.state_dir, self.services.disks())),
            Request::AwaitClients => Response::Clients(self.claim.await_clients()),
            Request::Bye { stop_services } => self.bye(stop_services)?,
        };
        Ok((response, Vec::new()))
    }

    fn refused_greeting(version: u32, lease_ms: u64) -> Option<String> {
        if version != PROTOCOL_VERSION {
            return Some(format!(
                "protocol {version} is asked for; this agent speaks {PROTOCOL_VERSION}: upload it again"
            ));
        }
        (lease_ms < 100).then(|| format!("a lease of {lease_ms} ms is too short; at least 100"))
    }

    fn hello(&self, version: u32, lease_ms: u64, run: &str) -> Result<Response, String> {
        if let Some(reason) = Agent::refused_greeting(version, lease_ms) {
            return Err(reason);
        }
        self.lease_ms.store(lease_ms, SeqCst);
        self.tell_guardian(false);
        self.pings.greet(run);
        self.injector().greet(run, lease_ms);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Response::Hello {
            version: PROTOCOL_VERSION,
            boot_id: process::BootId::current().0,
            kernel: kernel.trim().to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            ping_port: self.pings.port(),
            pids: (std::process::id(), self.guardian.load(SeqCst)),
        })
    }

    fn inject(&self, fault: u64, injection: protocol::Injection) -> Result<Response, String> {
        let detail = Injector::inject_beside(&self.injector, fault, injection)?;
        self.shifts.store(self.injector().shifts_clocks(), SeqCst);
        self.held_until_ns.fetch_max(sys::boottime_ns(), SeqCst);
        Ok(Response::Injected { detail })
    }

    /// Undoes a fault, or all.
    fn undone(&self, fault: Option<u64>) -> protocol::Proof {
        let proof = Injector::undo_beside(&self.injector, fault);
        self.shifts.store(self.injector().shifts_clocks(), SeqCst);
        proof
    }

    fn clocks(&self) -> Response {
        let node_ns = sys::realtime_ns();
        let shift_of = |name: &String| {
            let pid = *self.services.processes(name).first()?;
            PatchedProcess::open(pid).ok()?.shift(node_ns).map(|shift| shift.at(node_ns))
        };
        let names = self.services.names();
        let shifts_ns = names.into_iter().map(|name| (shift_of(&name).unwrap_or(0), name));
        Response::Clocks { node_ns, shifts_ns: shifts_ns.map(|(shift, name)| (name, shift)).collect() }
    }

    fn bye(&self, stop_services: bool) -> Result<Response, String> {
        self.claim.over();
        self.injector().close();
        let proof = self.undone(None);
        if stop_services {
            let names = self.services.names();
            let failed: Vec<String> = names
                .iter()
                .filter_map(|name| self.services.stop(name, libc::SIGTERM, Duration::from_secs(2)).err())
                .collect();
            if !failed.is_empty() {
                return Err(failed.join("; "));
            }
            self.services.disks().take_all_away()?;
        }
        self.services.sweep();
        if proof.holds { Ok(Response::Done) } else { Err(format!("not all is undone: {}", proof.detail.join("; "))) }
    }

    /// Watches the lease and sends signs of life to the guardian.
    fn tick(self: &Arc<Agent>) {
        let (mut ticks, mut claimed_ns) = (0u64, 0);
        loop {
            std::thread::sleep(TICK);
            ticks += 1;
            let lease_ms = self.lease_ms.load(SeqCst);
            let silent_ns = sys::boottime_ns().saturating_sub(self.heard_ns.load(SeqCst));
            if silent_ns > lease_ms.saturating_mul(1_000_000) {
                return self.finish("lease ran out");
            }
            if ticks.is_multiple_of(10) {
                self.tell_guardian(false);
            }
            if ticks.is_multiple_of(DISK_TICKS) && self.services.disks().are_to_be_mended() {
                let agent = Arc::clone(self);
                std::thread::spawn(move || agent.injector().mend_disks());
            }
            if ticks.is_multiple_of(CLAIM_TICKS) {
                self.renew_claim(&mut claimed_ns);
                self.services.bound_logs();
            }
        }
    }

    /// Renews the claim if the control node has sent a message since the last time.
    fn renew_claim(&self, claimed_ns: &mut u64) {
        let heard_ns = self.heard_ns.load(SeqCst);
        if heard_ns != *claimed_ns {
            *claimed_ns = heard_ns;
            self.claim.renew();
        }
    }

    fn tell_guardian(&self, clean: bool) {
        let sign = GuardianMessage {
            lease_ms: self.lease_ms.load(SeqCst),
            held_until_ns: self.held_until_ns.load(SeqCst),
            clean,
        };
        if let Some(pipe) = self.guardian_pipe.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            pipe.tell(sign);
        }
    }

    /// Renews expiring injections three times in each lease, and shifts the clocks of new processes.
    fn keep(self: &Arc<Agent>) {
        let mut renewed_ns = sys::boottime_ns();
        loop {
            std::thread::sleep(TICK);
            let now_ns = sys::boottime_ns();
            if now_ns.saturating_sub(renewed_ns) > self.lease_ms.load(SeqCst).saturating_mul(1_000_000) / 3 {
                let mut injector = self.injector();
                if injector.renew() {
                    self.held_until_ns.fetch_max(now_ns + injector.hold_ns(), SeqCst);
                }
                renewed_ns = now_ns;
            } else if self.shifts.load(SeqCst) {
                self.injector().watch_clocks();
            }
        }
    }

    fn heed_signals(self: &Arc<Agent>) {
        let signal = sys::wait_ending_signal();
        self.finish(&self.claim.evicted_by().unwrap_or_else(|| format!("signal {signal}")));
    }

    /// Starts a guardian, and a thread that replaces it when it dies.
    fn spawn_guardian(self: &Arc<Agent>) -> Result<(), String> {
        let (mut child, pipe) = guard::spawn(&self.state_dir)?;
        self.guardian.store(child.id(), SeqCst);
        *self.guardian_pipe.lock().unwrap_or_else(PoisonError::into_inner) = Some(pipe);
        self.tell_guardian(false);
        let agent = Arc::clone(self);
        std::thread::spawn(move || {
            drop(child.wait());
            let mut pause = Duration::from_millis(10);
            while !agent.ending.load(SeqCst) {
                agent.state_dir.log("the guardian has died; starting another");
                match agent.spawn_guardian() {
                    Ok(()) => return,
                    Err(reason) => agent.state_dir.log(&reason),
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        });
        Ok(())
    }

    /// Does something that may take longer than the guardian's patience: sends it signs of life meanwhile, but no longer than this.
    fn with_signs<T>(&self, longest: Duration, act: impl FnOnce() -> T) -> T {
        let end = Instant::now().checked_add(longest);
        let (done, ended) = channel::<()>();
        let sign = move || {
            while end.is_none_or(|end| Instant::now() < end) {
                self.tell_guardian(false);
                if ended.recv_timeout(SIGN) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            if let Err(error) = std::thread::Builder::new().name("signs".to_owned()).spawn_scoped(scope, sign) {
                self.state_dir.log(&format!("the guardian gets no signs of life: {error}"));
            }
            let outcome = act();
            drop(done);
            outcome
        })
    }

    /// Waits for the end, heals, and gives the exit code.
    fn last_words(&self, ended: &Receiver<String>) -> u8 {
        let why = ended.recv().unwrap_or_else(|_| "a bug".to_owned());
        self.state_dir.log(&format!("ending: {why}"));
        self.claim.end();
        // Ready responses go out, if the channel is still read.
        let (done, flushed) = sync_channel(1);
        drop(self.out.send(Outgoing::Flush(done)));
        if why == "asked to end" {
            let _ = flushed.recv_timeout(Duration::from_secs(1));
        }
        run::end_all();
        if !Injector::quiet(&self.injector, LAST_ACT) {
            self.state_dir.log("an injection does not end; the guardian heals");
            return 1;
        }
        let mut injector = self.injector();
        // Expiring injections were last renewed until this time; they end by the heal below or by expiry.
        self.claim.undoes(injector.faults());
        let longest = injector.longest_commands();
        let clean = self.with_signs(longest, || injector.heal(&why, Some(self.held_until_ns.load(SeqCst))));
        self.ending.store(true, SeqCst);
        if clean {
            self.tell_guardian(true);
        }
        self.services.sweep();
        self.state_dir.log(if clean { "ended clean" } else { "ended; something is left in the journal" });
        // Held on purpose: no further injection may begin.
        std::mem::forget(injector);
        u8::from(!clean)
    }
}
