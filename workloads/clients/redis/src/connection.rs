//! [`Connection`]: one connection to one server, which knows whether a request left this machine.
use crate::errors::refusal;
use crate::settings::Settings;
use dsfuzz_client::CallError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, Value};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection. The library's own would not say whether a command was sent before it broke.
pub(crate) struct Connection {
    connection: MultiplexedConnection,
    sent: Arc<AtomicU64>,
}

impl Connection {
    /// Connects, logs in, and asks a replica of a cluster to serve reads if the settings say so.
    pub(crate) async fn open(
        address: &str,
        port: u16,
        settings: &Settings,
        within: Duration,
    ) -> Result<Connection, CallError> {
        let refused = |error: &dyn std::fmt::Display| CallError::fail("refused", format!("{address}:{port}: {error}"));
        let connecting = async {
            let stream = TcpStream::connect((address, port)).await.map_err(|error| refused(&error))?;
            stream.set_nodelay(true).map_err(|error| refused(&error))?;
            let sent = Arc::new(AtomicU64::new(0));
            let stream = CountedStream { stream, sent: sent.clone() };
            // Without a time limit of the library: the call has one.
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let (connection, driver) = MultiplexedConnection::new_with_config(&login(settings), stream, config)
                .await
                .map_err(|error| not_let_in(&error, address, port))?;
            tokio::spawn(driver);
            Ok(Connection { connection, sent })
        };
        let mut connection = match tokio::time::timeout(within, connecting).await {
            Ok(connected) => connected?,
            Err(_) => return Err(refused(&format!("no connection within {} ms", within.as_millis()))),
        };
        if settings.cluster && settings.reads_replicas {
            connection.one(&redis::cmd("READONLY")).await.map_err(|error| CallError { certain: true, ..error })?;
        }
        Ok(connection)
    }

    /// The replies to commands that are sent at once, errors of the server among them.
    pub(crate) async fn send(&mut self, commands: &[Cmd]) -> Result<Vec<Value>, CallError> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let before = self.sent.load(Ordering::Relaxed);
        let sent = self.connection.send_packed_commands(&pipeline, 0, commands.len()).await;
        sent.map_err(|error| match self.sent.load(Ordering::Relaxed) == before {
            true => CallError::fail("refused", format!("the connection is closed, and nothing was sent: {error}")),
            false => CallError::info("lost", error),
        })
    }

    /// The reply to one command; an error of the server is this call's.
    pub(crate) async fn one(&mut self, command: &Cmd) -> Result<Value, CallError> {
        let reply = self.send(std::slice::from_ref(command)).await?.pop();
        checked(reply.unwrap_or(Value::Nil))
    }
}

/// A reply that is no error of the server.
pub(crate) fn checked(reply: Value) -> Result<Value, CallError> {
    match reply {
        Value::ServerError(error) => Err(refusal(error.code(), error.details().unwrap_or_default())),
        reply => Ok(reply),
    }
}

/// The user and database. The library's name is not sent: servers before 7.2 answer that with an error.
fn login(settings: &Settings) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        .set_db(settings.db as i64)
        .set_skip_set_lib_name();
    if let Some(user) = &settings.user {
        info = info.set_username(user);
    }
    if let Some(password) = &settings.password {
        info = info.set_password(password);
    }
    info
}

/// Nothing but the login was sent, so that the call was not carried out.
fn not_let_in(error: &RedisError, address: &str, port: u16) -> CallError {
    let text = format!("{address}:{port}: {error}");
    let known = refusal(error.code().unwrap_or_default(), &error.to_string());
    let denied = error.kind() == redis::ErrorKind::AuthenticationFailed || known.code == "denied";
    CallError::fail(if denied { "denied" } else { "refused" }, text)
}

/// A stream that counts the bytes that the kernel took for sending.
struct CountedStream {
    stream: TcpStream,
    sent: Arc<AtomicU64>,
}

impl CountedStream {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.sent.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
