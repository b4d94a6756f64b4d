//! One attempt to call or to connect, with a deadline that no client library can stretch, and safe from its panics.
use dsfuzz_workloads::{BoxFuture, Call, CallResponse, CallResult, Client, Connect, ConnectError, Endpoint, Terms};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The failure of an attempt without an answer.
enum AttemptFailure {
    Late,
    Panicked(String),
}

/// Makes a call. A timeout or a panic of the client is Info. Also returns a message for people.
pub(in crate::run) async fn call_once(
    client: &mut dyn Client,
    call: &Call,
    terms: Terms,
) -> (CallResponse, Option<String>) {
    // Taken out of an option, so that the closure moves the borrow.
    let mut client = Some(client);
    let future = match catch_unwind(AssertUnwindSafe(|| client.take().map(|client| client.call(call, terms)))) {
        Ok(Some(future)) => future,
        Ok(None) => return (CallResult::info("no client").into(), None),
        Err(panic) => return panicked(call, &text_of(&*panic)),
    };
    match within(future, terms.deadline).await {
        Ok(response) => (response, None),
        Err(AttemptFailure::Late) => (CallResult::info("timeout").into(), None),
        Err(AttemptFailure::Panicked(text)) => panicked(call, &text),
    }
}

fn panicked(call: &Call, text: &str) -> (CallResponse, Option<String>) {
    (CallResult::info("client panicked").into(), Some(format!("the client panicked in {}: {text}", call.f)))
}

/// Opens a client within the deadline of a call, or its own ([`Connect::open_deadline`]); never longer than `longest`.
pub(in crate::run) async fn connect_once(
    connect: &dyn Connect,
    endpoint: Endpoint,
    deadline: Duration,
    longest: Duration,
) -> Result<Box<dyn Client>, ConnectError> {
    let deadline = connect.open_deadline().unwrap_or(deadline).min(longest);
    let future = catch_unwind(AssertUnwindSafe(|| connect.open(endpoint)));
    let future = future.map_err(|panic| ConnectError(format!("the client panicked: {}", text_of(&*panic))))?;
    match within(future, deadline).await {
        Ok(opened) => opened,
        Err(AttemptFailure::Late) => Err(ConnectError(format!("no connection within {} ms", deadline.as_millis()))),
        Err(AttemptFailure::Panicked(text)) => Err(ConnectError(format!("the client panicked: {text}"))),
    }
}

/// Discards a client; a panic in its drop is ignored.
pub(in crate::run) fn discard(client: Option<Box<dyn Client>>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(client)));
}

/// Polls once before arming a timer: a fast client has most answers ready at the first poll.
async fn within<T>(future: BoxFuture<'_, T>, deadline: Duration) -> Result<T, AttemptFailure> {
    let mut guarded = Guarded(Some(future));
    let first = poll_fn(|context| Poll::Ready(Pin::new(&mut guarded).poll(context))).await;
    let ended = match first {
        Poll::Ready(ended) => ended,
        Poll::Pending => match tokio::time::timeout(deadline, &mut guarded).await {
            Ok(ended) => ended,
            Err(_) => return Err(AttemptFailure::Late),
        },
    };
    ended.map_err(AttemptFailure::Panicked)
}

/// A future that turns its panics, also in its drop, into values.
struct Guarded<'a, T>(Option<BoxFuture<'a, T>>);

impl<T> Future for Guarded<'_, T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.0.as_mut() else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(text_of(&*panic))),
        }
    }
}

impl<T> Drop for Guarded<'_, T> {
    fn drop(&mut self) {
        let future = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
