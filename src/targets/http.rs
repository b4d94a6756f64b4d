//! One HTTP/1.1 connection to one address: no pool, no retries, no redirects, no proxy. Deadlines are the caller's.
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// Largest reply.
pub(super) const REPLY_BYTES_MAX: usize = 64 << 20;

/// The reason for a missing reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The request certainly never left: there was no connection, or it was closed before a byte was written.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request may have left; the connection is no longer usable.
    #[error("no reply: {0}")]
    Broken(String),
}

/// A reply.
#[derive(Debug)]
pub(super) struct HttpResponse {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its body.
    pub(super) body: Bytes,
}

/// An open connection. Dropping it closes the socket at once.
#[derive(Debug)]
pub(super) struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
    authority: String,
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl HttpConnection {
    /// Connects to `host:port`, an IPv6 host in brackets.
    pub(super) async fn open(authority: &str) -> Result<HttpConnection, HttpError> {
        let lost = |error: &dyn std::fmt::Display| HttpError::NotSent(format!("{authority}: {error}"));
        let stream = TcpStream::connect(authority).await.map_err(|error| lost(&error))?;
        stream.set_nodelay(true).map_err(|error| lost(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        let driver = tokio::spawn(async move {
            // The caller gets an error of the connection through its request.
            let _ = connection.await;
        });
        Ok(HttpConnection { sender, driver: driver.abort_handle(), authority: authority.to_owned() })
    }

    /// Whether the other side has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends one request and reads its whole reply.
    pub(super) async fn send(&mut self, method: &str, path: &str, body: Vec<u8>) -> Result<HttpResponse, HttpError> {
        self.send_with(method, path, &[], body).await
    }

    /// The same, with further headers.
    pub(super) async fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<HttpResponse, HttpError> {
        let response = self.begin(method, path, headers, body).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await.map_err(|error| {
            let too_long = error.downcast_ref::<LengthLimitError>().is_some();
            HttpError::Broken(if too_long {
                format!("the reply is longer than {REPLY_BYTES_MAX} bytes")
            } else {
                format!("status {status}, then the body broke off: {error}")
            })
        })?;
        Ok(HttpResponse { status, body: body.to_bytes() })
    }

    /// Sends one request whose reply is a stream of lines. Each goes to `take` once it is whole, until that answers false or the
    /// stream ends. The connection cannot be used again.
    pub(super) async fn lines(
        &mut self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), HttpError> {
        let mut body = self.begin(method, path, &[], body).await?.into_body();
        let mut line: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| HttpError::Broken(sentence(&error)))?;
            for byte in frame.into_data().unwrap_or_default() {
                if byte != b'\n' {
                    line.push(byte);
                } else if !line.is_empty() && !take(&std::mem::take(&mut line)) {
                    return Ok(());
                }
            }
            if line.len() > REPLY_BYTES_MAX {
                return Err(HttpError::Broken(format!("a line of the stream is longer than {REPLY_BYTES_MAX} bytes")));
            }
        }
        if !line.is_empty() {
            take(&line);
        }
        Ok(())
    }

    /// Sends one request, and waits for the beginning of its reply.
    async fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, HttpError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|error| HttpError::NotSent(error.to_string()))?;
        self.sender.ready().await.map_err(|error| HttpError::NotSent(sentence(&error)))?;
        self.sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(_) => HttpError::NotSent(sentence(error.error())),
            None => HttpError::Broken(sentence(error.error())),
        })
    }
}

/// An error with its causes.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}
