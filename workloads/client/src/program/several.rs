//! Several clients in one program: each is a task of its own, so that none waits for another, and answers that are ready at the
//! same time are written at once.
use super::{CallError, Client, answered, opened};
use crate::lines::{Answer, AnswerLine, Call, Init, Request, RequestLine, VERSION};
use std::collections::HashMap;
use std::io::{Error, Result, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufRead, Lines};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// What the loop keeps of a client.
struct Seat {
    /// Its calls. Dropped: it closes its connection.
    calls: mpsc::UnboundedSender<Call>,
    open_call: OpenCall,
    task: AbortHandle,
}

/// The number of the call that has no answer yet; 0: none.
type OpenCall = Arc<AtomicU64>;

/// In [`OpenCall`]: the client is not connected yet.
const OPENING: u64 = u64::MAX;

/// Serves clients until a `close` that names none, or until the input ends.
pub(super) async fn serve<C: Client>(
    first: String,
    mut lines: Lines<impl AsyncBufRead + Unpin>,
    to: impl Write + Send + 'static,
) -> Result<()> {
    let output = Arc::new(Output { lines: Mutex::default(), ready: Notify::default(), to: Mutex::new(Box::new(to)) });
    let mut writer = tokio::spawn(Output::write(output.clone()));
    let mut seats = HashMap::<u64, Seat>::new();
    let mut tasks = JoinSet::new();
    let mut line = Some(first);
    while let Some(text) = line {
        let read: serde_json::Result<RequestLine> = serde_json::from_str(&text);
        let RequestLine { request, client } = read.map_err(|error| Error::other(format!("{error}: {text}")))?;
        match (request, client) {
            (Request::Init(init), Some(client)) if !seats.contains_key(&client) => {
                seats.insert(client, Seat::take::<C>(client, *init, &output, &mut tasks));
            }
            (Request::Invoke(call), Some(client)) if seats.contains_key(&client) => seats[&client].call(call),
            (Request::Close, Some(client)) => drop(seats.remove(&client).map(Seat::leave)),
            (Request::Close, None) => break,
            _ => return Err(Error::other(format!("a line for no client, or a second `init` of one: {text}"))),
        }
        line = loop {
            tokio::select! {
                biased;
                line = lines.next_line() => break line?,
                Some(ended) = tasks.join_next_with_id() => panicked(ended, &seats, &output),
                failed = &mut writer => return failed?,
            }
        };
    }
    seats.into_values().for_each(Seat::leave);
    while tasks.join_next().await.is_some() {}
    writer.abort();
    output.flush()
}

impl Seat {
    fn take<C: Client>(client: u64, init: Init, output: &Arc<Output>, tasks: &mut JoinSet<()>) -> Seat {
        let (calls, receiver) = mpsc::unbounded_channel();
        let open_call = OpenCall::new(AtomicU64::new(OPENING));
        let task = tasks.spawn(serve_client::<C>(client, init, receiver, open_call.clone(), output.clone()));
        Seat { calls, open_call, task }
    }

    fn call(&self, call: Call) {
        self.open_call.store(call.id, Ordering::Relaxed);
        // A client that could not be opened has answered, and reads no calls.
        let _ = self.calls.send(call);
    }

    /// Within a call, and while it connects, its connection is cut, so that the target frees what it held.
    fn leave(self) {
        if self.open_call.load(Ordering::Relaxed) != 0 {
            self.task.abort();
        }
    }
}

async fn serve_client<C: Client>(
    number: u64,
    init: Init,
    mut calls: mpsc::UnboundedReceiver<Call>,
    open_call: OpenCall,
    output: Arc<Output>,
) {
    let mut client = match opened::<C>(Ok(Request::Init(Box::new(init)))).await {
        Ok((client, functions)) => {
            open_call.store(0, Ordering::Relaxed);
            output.add(number, Answer::InitOk { version: VERSION, functions });
            client
        }
        Err(error) => return output.add(number, Answer::Error(error.line(None))),
    };
    while let Some(call) = calls.recv().await {
        let answer = answered(&mut client, &call).await;
        open_call.store(0, Ordering::Relaxed);
        let doubtful = matches!(answer, Answer::Info(_));
        output.add(number, answer);
        if doubtful {
            // No further call comes. Its connection is cut, not closed: that might hang as the call did.
            return;
        }
    }
    client.close().await;
}

/// The panic of one client is the answer to its open call, or to its `init`. The others go on.
fn panicked(ended: std::result::Result<(Id, ()), JoinError>, seats: &HashMap<u64, Seat>, output: &Output) {
    let Err(error) = ended else { return };
    let id = error.id();
    let Some((&client, seat)) = seats.iter().find(|(_, seat)| seat.task.id() == id) else { return };
    let Ok(panic) = error.try_into_panic() else { return };
    let words = panic.downcast_ref::<&str>().map(ToString::to_string);
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let error = CallError::info("crash", format!("the client panicked: {words}"));
    output.add(
        client,
        match seat.open_call.load(Ordering::Relaxed) {
            0 | OPENING => Answer::Error(error.line(None)),
            call => Answer::Info(error.line(Some(call))),
        },
    );
}

/// Lines that are not written yet, and where they go.
struct Output {
    lines: Mutex<Vec<u8>>,
    ready: Notify,
    to: Mutex<Box<dyn Write + Send>>,
}

impl Output {
    fn add(&self, client: u64, answer: Answer) {
        let line = AnswerLine { answer, client: Some(client) };
        let mut lines = lock(&self.lines);
        // Answers hold JSON values only, which can always be written.
        lines.extend(serde_json::to_vec(&line).unwrap_or_default());
        lines.push(b'\n');
        self.ready.notify_one();
    }

    /// Writes the pending lines whenever some are added.
    async fn write(output: Arc<Output>) -> Result<()> {
        loop {
            output.ready.notified().await;
            output.flush()?;
        }
    }

    fn flush(&self) -> Result<()> {
        let lines = std::mem::take(&mut *lock(&self.lines));
        let mut to = lock(&self.to);
        to.write_all(&lines)?;
        to.flush()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
