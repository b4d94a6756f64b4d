//! Serves one file of a run: finds it, checks that it may be seen, and picks its content type.
use super::{Body, protect, refuse};
use bytes::Bytes;
use http_body_util::Either;
use hyper::body::{Frame, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

const CHUNK: usize = 64 * 1024;

/// The policy for the report, whose script and style are inside it. Its own policy is stricter.
const REPORT_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' \
                             data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The policy for the report without scripts and for all other files.
const STRICT_POLICY: &str =
    "sandbox allow-top-navigation-by-user-activation; default-src 'none'; img-src 'self'; style-src 'self'";

/// The file at `<plan>/<time>/<file>`, which is still percent-encoded.
pub(super) async fn answer(root: &Path, encoded: &str) -> Response<Body> {
    let missing = || refuse(StatusCode::NOT_FOUND, "there is no such file");
    let Some(parts) = parts(encoded) else { return missing() };
    let wanted: PathBuf = parts.iter().fold(root.to_path_buf(), |path, part| path.join(part));
    // The real path counts: a link inside a run must not lead out of the folder.
    let Ok(path) = tokio::fs::canonicalize(&wanted).await else { return missing() };
    if !path.starts_with(root) {
        return missing();
    }
    let Ok(meta) = tokio::fs::metadata(&path).await else { return missing() };
    if !meta.is_file() {
        return missing();
    }
    let Ok(file) = File::open(&path).await else {
        return refuse(StatusCode::FORBIDDEN, "the file cannot be read: look at its permissions");
    };
    let within: Vec<&str> = parts.iter().skip(2).map(String::as_str).collect();
    let (kind, policy) = kind(&within);
    let mut response = Response::new(Either::Right(FileBody { file, left: meta.len() }));
    protect(&mut response, kind, policy);
    if matches!(within[..], ["report", _]) {
        // The page is sandboxed and so has no origin: its own pictures would be refused as cross-origin.
        response.headers_mut().remove("cross-origin-resource-policy");
    }
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(meta.len()));
    response
}

/// The parts of a path; none if one of them is not a plain name.
fn parts(encoded: &str) -> Option<Vec<String>> {
    let parts: Option<Vec<String>> = encoded.split('/').map(decode).collect();
    let plain = |part: &String| {
        !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\\']) && !part.contains(char::is_control)
    };
    parts.filter(|parts| parts.len() >= 3 && parts.iter().all(plain))
}

fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Content type and policy by the path within the run. Only dsfuzz's own pages are more than plain text.
fn kind(within: &[&str]) -> (&'static str, &'static str) {
    let extension = within.last().and_then(|name| name.rsplit_once('.')).map_or("", |(_, extension)| extension);
    match (within, extension) {
        (["report.html"], _) => ("text/html; charset=utf-8", REPORT_POLICY),
        (["report", _], "html") => ("text/html; charset=utf-8", STRICT_POLICY),
        (["report", _], "css") => ("text/css; charset=utf-8", STRICT_POLICY),
        (["report", _], "svg") => ("image/svg+xml", STRICT_POLICY),
        ([_], "json") => ("application/json", STRICT_POLICY),
        ([_], "xml") => ("application/xml", STRICT_POLICY),
        (_, "gz" | "zst" | "xz" | "tar" | "zip" | "db" | "wal" | "rdb" | "snap" | "bin") => {
            ("application/octet-stream", STRICT_POLICY)
        }
        _ => ("text/plain; charset=utf-8", STRICT_POLICY),
    }
}

/// A file as a body, read in chunks, because a history may be larger than memory. Ends at the length at the time of opening.
pub(super) struct FileBody {
    file: File,
    left: u64,
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let size = usize::try_from(this.left).unwrap_or(CHUNK).min(CHUNK);
        let mut chunk = vec![0; size];
        let mut buffer = ReadBuf::new(&mut chunk);
        if let Err(error) = ready!(Pin::new(&mut this.file).poll_read(context, &mut buffer)) {
            return Poll::Ready(Some(Err(error)));
        }
        let read = buffer.filled().len();
        if read == 0 {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read");
            return Poll::Ready(Some(Err(error)));
        }
        chunk.truncate(read);
        this.left -= read as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_paths() {
        assert_eq!(parts("p/t/nodes/n%201/a.log").map(|parts| parts.join("|")), Some("p|t|nodes|n 1|a.log".into()));
        for bad in
            ["p/t", "p/t/../x", "p/t/%2e%2e/x", "p/t//x", "p/t/a%2Fb", "p/t/a%00", "p/t/%zz", "p/t/%5c", "p/t/.x"]
        {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_a_target_wrote_is_never_a_page() {
        assert!(kind(&["nodes", "n1", "evil.html"]).0.starts_with("text/plain"));
        assert!(kind(&["nodes", "n1", "report.html"]).0.starts_with("text/plain"));
        assert!(kind(&["nodes", "n1", "evil.svg"]).0.starts_with("text/plain"));
        assert!(kind(&["report.html"]).0.starts_with("text/html"));
    }
}
