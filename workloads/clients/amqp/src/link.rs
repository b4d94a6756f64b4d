//! [`Link`]: one connection with one channel. The library neither recovers it nor connects anew.
use crate::settings::Settings;
use dsfuzz_client::{CallError, Init};
use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::ShortString;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind, Queue};
use std::future::Future;
use std::time::Duration;

/// The reply codes of AMQP 0.9.1 that are told apart.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// Longest time to connect.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest time to close.
const CLOSE_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Link {
    connection: Connection,
    channel: Channel,
}

impl Link {
    /// Connects to the node. Nothing is tried a second time.
    pub(crate) async fn open(init: &Init, settings: &Settings) -> Result<Link, CallError> {
        let Some(port) = init.ports.get("client").copied() else {
            return Err(CallError::fail("malformed", "the recipe names no port `client`"));
        };
        let place = format!("{}:{port}", init.address);
        let opened = tokio::time::timeout(CONNECT_MAX, Link::connect(uri(init, port, settings), settings)).await;
        opened
            .unwrap_or_else(|_| Err(CallError::fail("refused", format!("no connection within {CONNECT_MAX:?}"))))
            .map_err(|error| CallError { text: format!("{place}: {}", error.text), ..error })
    }

    async fn connect(uri: AMQPUri, settings: &Settings) -> Result<Link, CallError> {
        let connection = Connection::connect_uri(uri, ConnectionProperties::default()).await.map_err(not_connected)?;
        let channel = connection.create_channel().await.map_err(not_connected)?;
        if settings.confirm {
            channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(not_connected)?;
        }
        Ok(Link { connection, channel })
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    pub(crate) async fn declare(&self, queue: &str, settings: &Settings, within: Duration) -> Result<Queue, CallError> {
        let declared =
            self.channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), settings.arguments.clone());
        answered(within, declared).await?.map_err(|error| match code(&error) {
            Some(PRECONDITION_FAILED) => {
                CallError::fail("exists", format!("queue {queue} exists with other arguments: {error}"))
            }
            Some(ACCESS_REFUSED) => CallError::fail("denied", error),
            _ => lost(&error),
        })
    }

    /// Publishes a persistent message, and waits for the confirmation if there will be one.
    pub(crate) async fn publish(
        &self,
        queue: &str,
        payload: &[u8],
        id: &str,
        within: Duration,
    ) -> Result<(), CallError> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(id.into());
        let published =
            async { self.channel.basic_publish("".into(), queue.into(), options, payload, properties).await?.await };
        match answered(within, published).await? {
            Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => Ok(()),
            Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
                let text = format!("returned: {} {}", returned.reply_code, returned.reply_text);
                Err(CallError::fail("not-found", text))
            }
            // "The broker could not process the message": it may have reached a replica.
            Ok(Confirmation::Nack(None)) => Err(CallError::info("unavailable", "basic.nack")),
            Err(error) if code(&error) == Some(ACCESS_REFUSED) => Err(CallError::fail("denied", error)),
            Err(error) => Err(lost(&error)),
        }
    }

    /// Takes a message that must be acknowledged. An error certainly had no effect: the broker gives the message to another as soon
    /// as this link is dropped.
    pub(crate) async fn get(&self, queue: &str, within: Duration) -> Result<Option<BasicGetMessage>, CallError> {
        let got = self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: false });
        let text = "nothing was acknowledged";
        match answered(within, got).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => {
                let code = match code(&error) {
                    Some(NOT_FOUND) => "not-found",
                    Some(ACCESS_REFUSED) => "denied",
                    _ => "aborted",
                };
                Err(CallError::fail(code, format!("{error}; {text}")))
            }
            Err(late) => Err(CallError::fail("aborted", format!("{}; {text}", late.text))),
        }
    }

    /// Waits until the broker has read everything that was sent before. An acknowledgement itself has no answer.
    pub(crate) async fn round_trip(&self, within: Duration) -> Result<(), CallError> {
        let asked = self.channel.basic_qos(0, BasicQosOptions::default());
        answered(within, asked).await?.map_err(|error| lost(&error))
    }

    pub(crate) async fn close(self) {
        let _ = answered(CLOSE_MAX, self.connection.close(200, ShortString::from("done"))).await;
    }
}

fn uri(init: &Init, port: u16, settings: &Settings) -> AMQPUri {
    let userinfo = AMQPUserInfo { username: settings.user.clone(), password: settings.password.clone() };
    AMQPUri {
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority { userinfo, host: init.address.clone(), port },
        vhost: settings.vhost.clone(),
        query: AMQPQueryString { heartbeat: Some(settings.heartbeat), ..AMQPQueryString::default() },
    }
}

/// The answer of the broker in time.
pub(crate) async fn answered<T>(
    within: Duration,
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<Result<T, lapin::Error>, CallError> {
    let late = |_| CallError::info("timeout", format!("no answer within {within:?}"));
    tokio::time::timeout(within, answer).await.map_err(late)
}

/// The code that the broker gave.
fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

pub(crate) fn lost(error: &lapin::Error) -> CallError {
    CallError::info("lost", error)
}

fn not_connected(error: lapin::Error) -> CallError {
    match code(&error) {
        Some(ACCESS_REFUSED | NOT_ALLOWED) => CallError::fail("denied", error),
        _ => CallError::fail("refused", error),
    }
}
