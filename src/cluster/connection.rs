//! The loop of one connection: frames out, frames in, heartbeats, and the watch over silence. One thread, one poll.
//!
//! Small requests overtake bulk ones, so that a heal waits for one frame at most. Never: blocks on a read.
use super::agent::StartedAgent;
use super::channel::NodeChannel;
use super::session::ResponseSender;
use dsfuzz_nemesis::protocol::{Request, RequestFrame, ResponseFrame, frame_lengths, write_frame};
use nix::sys::eventfd::EventFd;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// Bytes to read before requests get their turn again.
const READ_BYTES_TURN: usize = 1 << 20;
const STDERR_BYTES_MAX: usize = 64 << 10;
/// Heartbeats carry this id; their answers are dropped.
const HEARTBEAT_ID: u64 = u64::MAX;

/// A request of a session's handle to the loop.
pub(super) enum SessionRequest {
    /// Ask the agent; the response goes to the closure.
    Request { id: u64, ask: Box<Request>, blob: Vec<u8>, answer: ResponseSender },
    /// The caller no longer waits for this response.
    Forget(u64),
    /// End the connection.
    Close,
}

/// One connection.
pub(super) struct Connection {
    channel: Box<dyn NodeChannel>,
    jobs: Receiver<SessionRequest>,
    wake: Arc<EventFd>,
    lease: Duration,
    waiting: HashMap<u64, ResponseSender>,
    urgent: VecDeque<Vec<u8>>,
    bulk: VecDeque<Vec<u8>>,
    sending: (Vec<u8>, usize),
    input: Vec<u8>,
    stderr: Vec<u8>,
    /// The time of the agent's last message, and how long it may be silent.
    heard: Instant,
    silence: Duration,
    beat: Instant,
}

impl Connection {
    /// `patience`: how long the agent may take for its first answer.
    pub(super) fn new(
        started: StartedAgent,
        jobs: Receiver<SessionRequest>,
        wake: Arc<EventFd>,
        lease: Duration,
        patience: Duration,
    ) -> Connection {
        Connection {
            channel: started.channel,
            jobs,
            wake,
            lease,
            waiting: HashMap::new(),
            urgent: VecDeque::new(),
            bulk: VecDeque::new(),
            sending: (Vec::new(), 0),
            input: started.rest,
            stderr: Vec::new(),
            heard: Instant::now(),
            silence: patience,
            beat: Instant::now() + lease / 4,
        }
    }

    /// Serves until the connection is gone, and returns the reason. Callers that still wait get no response.
    pub(super) fn run(mut self) -> String {
        let why = match self.serve() {
            Ok(()) => "closed by dsfuzz".into(),
            Err(why) => why,
        };
        // The agent sees the end of its input and heals. No waiting here: the peer may be dead.
        self.channel.close();
        why
    }

    fn serve(&mut self) -> Result<(), String> {
        loop {
            // Emptied before the jobs are taken, so that a later job wakes the poll.
            let _ = self.wake.read();
            if self.take_jobs()? {
                return Ok(());
            }
            self.send().map_err(|error| self.lost(&error))?;
            let more = self.receive().map_err(|error| self.lost(&error))?;
            self.answer()?;
            if !more && self.channel.has_ended() {
                return Err(self.ended());
            }
            let now = Instant::now();
            if !more && now.duration_since(self.heard) > self.silence {
                return Err(format!("no answer for {} ms", self.silence.as_millis()));
            }
            if now >= self.beat {
                self.beat = now + self.lease / 4;
                self.queue(HEARTBEAT_ID, Request::Heartbeat, &[])?;
                continue;
            }
            if !more {
                let until = self.beat.min(self.heard + self.silence).saturating_duration_since(now);
                self.channel.wait(Some(&*self.wake), until).map_err(|error| error.to_string())?;
            }
        }
    }

    /// Whether the handle is gone.
    fn take_jobs(&mut self) -> Result<bool, String> {
        loop {
            match self.jobs.try_recv() {
                Ok(SessionRequest::Request { id, ask, blob, answer }) => {
                    self.waiting.insert(id, answer);
                    self.queue(id, *ask, &blob)?;
                }
                Ok(SessionRequest::Forget(id)) => drop(self.waiting.remove(&id)),
                Ok(SessionRequest::Close) | Err(TryRecvError::Disconnected) => return Ok(true),
                Err(TryRecvError::Empty) => return Ok(false),
            }
        }
    }

    fn queue(&mut self, id: u64, ask: Request, blob: &[u8]) -> Result<(), String> {
        let bulk = matches!(ask, Request::Write { .. });
        let mut frame = Vec::new();
        match write_frame(&mut frame, &RequestFrame { id, body: ask }, blob) {
            Ok(()) if bulk => self.bulk.push_back(frame),
            Ok(()) => self.urgent.push_back(frame),
            Err(error) => {
                // Too large for a frame: this request alone is refused.
                if let Some(answer) = self.waiting.remove(&id) {
                    answer.refuse(error.to_string());
                }
            }
        }
        Ok(())
    }

    /// Writes until the queue is empty or the channel is full.
    fn send(&mut self) -> io::Result<()> {
        loop {
            if self.sending.1 == self.sending.0.len() {
                match self.urgent.pop_front().or_else(|| self.bulk.pop_front()) {
                    Some(frame) => self.sending = (frame, 0),
                    None => return Ok(()),
                }
            }
            match self.channel.write(&self.sending.0[self.sending.1..]) {
                Ok(0) => return Ok(()),
                Ok(more) => self.sending.1 += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads up to the limit; returns whether there may be more.
    fn receive(&mut self) -> io::Result<bool> {
        let mut chunk = [0u8; 32 << 10];
        let mut turn = 0;
        let mut more = true;
        while more && turn < READ_BYTES_TURN {
            more = false;
            // Reading one stream makes libssh2 take the data of both from the socket. So the frames are read last: a response
            // that arrived during the other read would lie in its queue, where no poll sees it.
            for frames in [false, true] {
                let read = match frames {
                    true => self.channel.read_stdout(&mut chunk),
                    false => self.channel.read_stderr(&mut chunk),
                };
                let got = match read {
                    Ok(got) => got,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error),
                };
                let into = if frames { &mut self.input } else { &mut self.stderr };
                into.extend_from_slice(&chunk[..got]);
                more |= got > 0;
                turn += got;
            }
        }
        if turn > 0 {
            self.heard = Instant::now();
        }
        let surplus = self.stderr.len().saturating_sub(STDERR_BYTES_MAX);
        self.stderr.drain(..surplus);
        Ok(more)
    }

    /// Hands out whole frames.
    fn answer(&mut self) -> Result<(), String> {
        let mut from = 0;
        while let Some(head) = self.input.get(from..from + 8) {
            let mut lengths = [0u8; 8];
            lengths.copy_from_slice(head);
            let nonsense = |error: &dyn std::fmt::Display| format!("the agent does not speak the protocol: {error}");
            let (json, blob) = frame_lengths(lengths).map_err(|error| nonsense(&error))?;
            let Some(body) = self.input.get(from + 8..from + 8 + json + blob) else {
                break;
            };
            let response: ResponseFrame = serde_json::from_slice(&body[..json]).map_err(|error| nonsense(&error))?;
            if let Some(answer) = self.waiting.remove(&response.id) {
                answer.give(response.body, body[json..].to_vec());
            }
            // From the first response on, the agent is up and the lease counts.
            self.silence = self.lease;
            from += 8 + json + blob;
        }
        self.input.drain(..from);
        Ok(())
    }

    fn lost(&self, error: &io::Error) -> String {
        let said = self.said();
        if said.is_empty() { error.to_string() } else { format!("{error}; the agent said: {said}") }
    }

    fn ended(&self) -> String {
        let said = self.said();
        if said.is_empty() { "the agent ended".into() } else { format!("the agent ended; it said: {said}") }
    }

    /// The last lines on the agent's standard error.
    fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.trim().lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}
