//! [`Connection`]: one connection to one instance. A request is sent once.
use crate::errors;
use crate::settings::Settings;
use crate::wire::{self, GREETING, Greeting, PREFIX};
use dsfuzz_client::CallError;
use rmpv::Value;
use std::fmt::Display;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection whose user is logged in.
pub(crate) struct Connection {
    stream: TcpStream,
    greeting: Greeting,
    requests: u64,
}

impl Connection {
    /// Connects and logs in. Nothing else is sent, so an error is definite.
    pub(crate) async fn open(
        address: &str,
        port: u16,
        settings: &Settings,
        within: Duration,
    ) -> Result<Connection, CallError> {
        let refused = |error: &dyn Display| CallError::fail("refused", format!("{address}:{port}: {error}"));
        let connecting = async {
            let mut stream = TcpStream::connect((address, port)).await.map_err(|error| refused(&error))?;
            stream.set_nodelay(true).map_err(|error| refused(&error))?;
            let mut greeting = [0; GREETING];
            stream.read_exact(&mut greeting).await.map_err(|error| refused(&error))?;
            let greeting = Greeting::read(&greeting).map_err(|error| refused(&error))?;
            let mut connection = Connection { stream, greeting, requests: 0 };
            if let Some(user) = &settings.user {
                let password = settings.password.as_deref().unwrap_or_default();
                connection.requests += 1;
                let login = connection.greeting.login(user, password, connection.requests);
                let logged_in = connection.ask(&login).await;
                logged_in.map_err(|error| match error.code {
                    "denied" | "loading" => error,
                    _ => refused(&error.text),
                })?;
            }
            Ok(connection)
        };
        match tokio::time::timeout(within, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(refused(&format!("no connection within {} ms", within.as_millis()))),
        }
    }

    /// What the instance said of itself.
    pub(crate) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Whether the other side has closed it, or has sent what was not asked for.
    pub(crate) fn is_broken(&self) -> bool {
        let read = self.stream.try_read(&mut [0; 1]);
        !read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// What a script returns for an argument.
    pub(crate) async fn eval(&mut self, script: &str, argument: Value) -> Result<Vec<Value>, CallError> {
        self.requests += 1;
        self.ask(&wire::eval(script, argument, self.requests)).await
    }

    /// The reply to a message.
    async fn ask(&mut self, message: &[u8]) -> Result<Vec<Value>, CallError> {
        // An instance carries out whole messages only. One that could not be written to its end is none.
        self.stream
            .write_all(message)
            .await
            .map_err(|error| CallError::fail("refused", format!("the request could not be sent: {error}")))?;
        let lost = |error: &dyn Display| CallError::info("lost", error);
        let mut prefix = [0; PREFIX];
        self.stream.read_exact(&mut prefix).await.map_err(|error| lost(&error))?;
        let mut payload = vec![0; wire::length(&prefix).map_err(|error| lost(&error))?];
        self.stream.read_exact(&mut payload).await.map_err(|error| lost(&error))?;
        let response = wire::response(&payload).map_err(|error| lost(&error))?;
        if response.sync != self.requests {
            return Err(lost(&format!("the reply to request {}, and not to {}", response.sync, self.requests)));
        }
        response.result.map_err(|(code, text)| errors::of_request(code, &text))
    }
}
