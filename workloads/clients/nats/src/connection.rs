//! [`Connection`]: the one connection of a client. The library would open another one in its place when it breaks; here it does not.
use crate::errors;
use crate::settings::Settings;
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message, Request, RequestErrorKind, StatusCode,
};
use dsfuzz_client::{CallError, Init};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Longer than any program runs.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A connection to the server of the client's node.
pub(crate) struct Connection {
    client: Client,
    /// True once the connection is closed.
    closed: watch::Receiver<bool>,
}

impl Connection {
    /// Connects and logs in.
    pub(crate) async fn open(init: &Init, settings: &Settings) -> Result<Connection, CallError> {
        let port = dsfuzz_client::settings::port(init, &settings.port)?;
        let (closing, closed) = watch::channel(false);
        let connected = AtomicBool::new(false);
        let mut options = ConnectOptions::new()
            .ignore_discovered_servers()
            .connection_timeout(Duration::from_millis((init.deadline_ms / 2).clamp(100, 5_000)))
            // The call has a time limit of its own.
            .request_timeout(None)
            // `max_reconnects(0)` would mean that there is no limit. The first attempt is made at once, a second one never.
            .max_reconnects(1)
            .reconnect_delay_callback(
                move |_| {
                    if connected.swap(true, Ordering::Relaxed) { NEVER } else { Duration::ZERO }
                },
            )
            .event_callback(move |event| {
                let closing = closing.clone();
                async move {
                    if matches!(event, Event::Disconnected | Event::Closed) {
                        closing.send_replace(true);
                    }
                }
            });
        if let Some(user) = &settings.user {
            options = options.user_and_password(user.clone(), settings.password.clone().unwrap_or_default());
        }
        let place = format!("{}:{port}", init.address);
        let client = options.connect(format!("nats://{place}")).await.map_err(|error| {
            let denied =
                matches!(error.kind(), ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication);
            CallError::fail(if denied { "denied" } else { "refused" }, format!("{place}: {error}"))
        })?;
        Ok(Connection { client, closed })
    }

    /// The server's version and its name.
    pub(crate) fn server(&self) -> (String, String) {
        let info = self.client.server_info();
        (info.version, info.server_name)
    }

    /// Pulls messages: as many as were asked for, and fewer if the server says that it ends here (the last one is then its word).
    ///
    /// A message that is pulled keeps its own subject, so that it needs an inbox of its own.
    pub(crate) async fn pull(&self, subject: String, count: usize) -> Result<Vec<Message>, CallError> {
        let mut closed = self.closed.clone();
        if *closed.borrow_and_update() {
            return Err(not_sent());
        }
        let lost = |error: &dyn std::fmt::Display| CallError::info("lost", error);
        let inbox = self.client.new_inbox();
        let mut messages = Vec::with_capacity(count);
        let pulling = async {
            let mut inbox_messages = self.client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
            let body = json!({"batch": count, "no_wait": true}).to_string();
            self.client.publish_with_reply(subject, inbox, body.into()).await.map_err(|error| lost(&error))?;
            while messages.len() < count {
                let Some(message) = inbox_messages.next().await else { return Err(lost(&"the subscription ended")) };
                let ends = message.status.is_some();
                if message.status == Some(StatusCode::NO_RESPONDERS) {
                    return Err(no_responders(&"no responders"));
                }
                messages.push(message);
                if ends {
                    break;
                }
            }
            Ok(())
        };
        tokio::select! {
            pulled = pulling => pulled?,
            _ = closed.wait_for(|closed| *closed) => return Err(lost(&"the connection was closed before the reply")),
        }
        Ok(messages)
    }

    /// Sends a request once: its reply.
    pub(crate) async fn raw(&self, subject: String, headers: HeaderMap, payload: String) -> Result<Message, CallError> {
        let mut closed = self.closed.clone();
        if *closed.borrow_and_update() {
            return Err(not_sent());
        }
        let mut request = Request::new().payload(payload.into());
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        let replied = tokio::select! {
            replied = self.client.send_request(subject, request) => replied,
            _ = closed.wait_for(|closed| *closed) => {
                return Err(CallError::info("lost", "the connection was closed before the reply"));
            }
        };
        replied.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => no_responders(&error),
            RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                CallError::fail("malformed", error)
            }
            _ => CallError::info("lost", error),
        })
    }

    /// Sends a request of JetStream's interface: the reply, also if it is an error.
    pub(crate) async fn ask(&self, subject: &str, body: &Value) -> Result<Value, CallError> {
        let reply = self.raw(format!("$JS.API.{subject}"), HeaderMap::new(), body.to_string()).await?;
        parsed(&reply)
    }

    /// The same; an error of JetStream is this call's.
    pub(crate) async fn done(&self, subject: &str, body: &Value) -> Result<Value, CallError> {
        let reply = self.ask(subject, body).await?;
        match errors::refused(&reply) {
            Some((_, error)) => Err(error),
            None => Ok(reply),
        }
    }

    /// Publishes a message: the acknowledgement of the stream, which must be this one.
    pub(crate) async fn publish(
        &self,
        stream: &str,
        subject: String,
        headers: HeaderMap,
        payload: String,
    ) -> Result<Value, CallError> {
        let reply = parsed(&self.raw(subject, headers, payload).await?)?;
        if let Some((_, error)) = errors::refused(&reply) {
            return Err(error);
        }
        if reply["stream"] != stream || reply["seq"].as_u64().is_none() {
            return Err(CallError::info("unknown", format!("no acknowledgement of {stream}: {reply}")));
        }
        Ok(reply)
    }
}

fn not_sent() -> CallError {
    CallError::fail("refused", "the connection is closed, and nothing was sent")
}

/// The server that got the message knows nobody who would take it, so it went nowhere.
fn no_responders(words: &dyn std::fmt::Display) -> CallError {
    CallError::fail("no-responders", words)
}

fn parsed(reply: &Message) -> Result<Value, CallError> {
    let text = String::from_utf8_lossy(&reply.payload);
    serde_json::from_str(&text).map_err(|error| CallError::info("unknown", format!("{error}: {text}")))
}
