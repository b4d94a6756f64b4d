//! `dsfuzz serve`: a page that lists the runs below a folder and opens their files.
//!
//! It only reads: GET and HEAD of files below its folder, without following links out of it. Never: serves a target's text as
//! HTML; only dsfuzz's own pages are HTML, and logs are plain text.
mod files;
mod listing;

use anyhow::Context;
use bytes::Bytes;
use files::FileBody;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_io_timeout::TimeoutStream;

const CONNECTIONS_MAX: usize = 128;
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A client that reads nothing for this time is disconnected.
const READS_ON_WITHIN: Duration = Duration::from_secs(30);

/// The content policy of the list page and the style sheet.
const LIST_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type Body = Either<Full<Bytes>, FileBody>;

/// Serves the runs below `root` at `address` until the task is dropped.
pub async fn serve(root: &Path, address: SocketAddr) -> anyhow::Result<()> {
    Server::bind(root, address).await?.run().await
}

/// A server that is bound to its address but does not answer yet.
pub struct Server {
    listener: TcpListener,
    site: Arc<Site>,
}

struct Site {
    root: PathBuf,
    bound: IpAddr,
}

impl Server {
    /// Binds the address; port 0 picks a free one.
    pub async fn bind(root: &Path, address: SocketAddr) -> anyhow::Result<Server> {
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot serve {}: give the folder that holds the runs", root.display()))?;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen at {address}: another program may hold the port; name another one")
        })?;
        let bound = listener.local_addr().context("the listener has no address")?.ip();
        Ok(Server { listener, site: Arc::new(Site { root, bound }) })
    }

    /// The address.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("the listener has no address")
    }

    /// Answers until the task is dropped. Above `CONNECTIONS_MAX` connections the oldest is closed, so that idle clients never
    /// lock others out.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut connections = tokio::task::JoinSet::new();
        let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    oldest_first.retain(|connection| !connection.is_finished());
                    if oldest_first.len() >= CONNECTIONS_MAX
                        && let Some(oldest) = oldest_first.pop_front()
                    {
                        oldest.abort();
                    }
                    oldest_first.push_back(connections.spawn(connection(stream, self.site.clone())));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, site: Arc<Site>) {
    let service = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(answer(&site, &request).await) }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(READS_ON_WITHIN));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    if let Err(error) = builder.serve_connection(TokioIo::new(Box::pin(stream)), service).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer<B>(site: &Arc<Site>, request: &Request<B>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !host_is_ours(host, site.bound) {
        return refuse(
            StatusCode::MISDIRECTED_REQUEST,
            "this host name is not served: use localhost or the address itself",
        );
    }
    match request.uri().path() {
        "/" => {
            let root = site.root.clone();
            match tokio::task::spawn_blocking(move || listing::page(&root)).await {
                Ok(page) => whole(StatusCode::OK, "text/html; charset=utf-8", page),
                Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the runs could not be listed"),
            }
        }
        // Browsers ask for this icon if a page names none.
        "/favicon.ico" => {
            let mut response = whole(StatusCode::NO_CONTENT, "image/x-icon", String::new());
            response.headers_mut().remove("cross-origin-resource-policy");
            response
        }
        "/style.css" => whole(StatusCode::OK, "text/css; charset=utf-8", crate::report::STYLE.clone()),
        path => match path.strip_prefix("/runs/") {
            Some(path) => files::answer(&site.root, path).await,
            None => refuse(StatusCode::NOT_FOUND, "there is no such page"),
        },
    }
}

/// Whether a Host header names this server. A page of another site whose name now means 127.0.0.1 (DNS rebinding) has another
/// name. An address is always accepted, since such a page has none for a name.
fn host_is_ours(host: &str, bound: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == bound || bound.is_unspecified(),
        Err(_) => false,
    }
}

fn refuse(status: StatusCode, text: &str) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn whole(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    protect(&mut response, kind, LIST_POLICY);
    response
}

/// The headers of every answer.
fn protect(response: &mut Response<Body>, kind: &'static str, policy: &'static str) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_answered() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "[::1]:9"] {
            assert!(host_is_ours(host, loopback), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"] {
            assert!(!host_is_ours(host, loopback), "{host}");
        }
        assert!(host_is_ours("10.0.0.1:80", IpAddr::from([10, 0, 0, 1])));
        assert!(host_is_ours("10.0.0.1:80", IpAddr::from([0, 0, 0, 0])));
        assert!(!host_is_ours("evil.example", IpAddr::from([0, 0, 0, 0])));
    }
}
