//! One HTTP/1.1 connection to one address: no pool, no retries, no redirects, no proxy.
use bytes::Bytes;
use dsfuzz_client::CallError;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// Largest reply.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// An open connection. Dropping it closes the socket.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(crate) async fn open(address: &str, port: u16) -> Result<Connection, CallError> {
        let refused = |error: &dyn std::fmt::Display| CallError::fail("refused", format!("{address}:{port}: {error}"));
        let stream = TcpStream::connect((address, port)).await.map_err(|error| refused(&error))?;
        stream.set_nodelay(true).map_err(|error| refused(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| refused(&error))?;
        let driver = tokio::spawn(async move {
            // A call gets an error of the connection through its request.
            let _ = connection.await;
        });
        Ok(Connection { sender, driver: driver.abort_handle() })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and reads its whole reply: status and body.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), CallError> {
        self.sender.ready().await.map_err(|error| CallError::fail("refused", error))?;
        let response = self.sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(_) => CallError::fail("refused", error.error()),
            None => CallError::info("lost", error.error()),
        })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| CallError::info("lost", format!("status {status}, then: {error}")))?;
        Ok((status, body.to_bytes()))
    }
}
