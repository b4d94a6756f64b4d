//! `dsfuzz serve` as a client sees it: what it refuses, what it sends, and under which headers.
use dsfuzz::serve::Server;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

/// A server over a folder, on a port of its own.
struct Served {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

fn served(fill: impl FnOnce(&Path)) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = runtime.block_on(Server::bind(folder.path(), free)).expect("a server");
    let address = server.address().expect("an address");
    runtime.spawn(server.run());
    Served { address, _runtime: runtime, folder }
}

impl Served {
    /// One request; the whole answer as text.
    fn ask(&self, method: &str, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path, "localhost")
    }
}

fn one_run(root: &Path) {
    let run = root.join("etcd/2026");
    fs::create_dir_all(run.join("nodes/n1")).expect("a folder");
    fs::create_dir_all(run.join("report")).expect("a folder");
    fs::write(run.join("report.html"), "<p>page").expect("a page");
    fs::write(run.join("report/index.html"), "<p>plain").expect("a page");
    fs::write(run.join("nodes/n1/etcd.log"), "line\n".repeat(100_000)).expect("a log");
    fs::write(run.join("nodes/n1/x.html"), "<script>").expect("a log");
    fs::write(run.join(".hidden"), "secret").expect("a file");
    std::os::unix::fs::symlink("/etc/passwd", run.join("nodes/n1/passwd")).expect("a link");
    std::os::unix::fs::symlink("2026", root.join("etcd/latest")).expect("a link");
}

#[test]
fn only_reading_and_only_our_own_host_names() {
    let served = served(one_run);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert!(served.ask(method, "/", "localhost").starts_with("HTTP/1.1 405"), "{method}");
    }
    assert!(served.ask("GET", "/", "evil.example").starts_with("HTTP/1.1 421"), "DNS rebinding");
    assert!(served.ask("GET", "/", &served.address.to_string()).starts_with("HTTP/1.1 200"));
    let head = served.ask("HEAD", "/runs/etcd/2026/report.html", "localhost");
    assert!(head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("content-length: 7"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "a HEAD has no body");
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let served = served(one_run);
    fs::write(served.folder.path().join("outside"), "x").expect("a file");
    for path in [
        "/runs/etcd/2026/../../outside",
        "/runs/etcd/2026/%2e%2e/%2e%2e/outside",
        "/runs/etcd/2026/nodes/n1/passwd",
        "/runs/etcd/2026/.hidden",
        "/runs/etcd/2026/nodes/n1",
        "/runs/etcd/2026//etc/passwd",
        "/runs//etc/passwd",
        "/runs/etcd/2026/..%2f..%2foutside",
        "/runs/etcd/2026/nodes%00/n1",
        "/runs/etcd/2026/missing",
        "/etc/passwd",
    ] {
        let answer = served.get(path);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer:.60}");
        assert!(!answer.contains("root:"), "{path}");
    }
}

#[test]
fn files_come_whole_and_under_their_policies() {
    let served = served(one_run);
    let page = served.get("/runs/etcd/latest/report.html");
    assert!(page.contains("content-type: text/html") && page.ends_with("<p>page"), "{page}");
    let plain = served.get("/runs/etcd/2026/report/index.html");
    assert!(plain.contains("content-security-policy: sandbox") && !plain.contains("script-src"), "{plain}");
    let log = served.get("/runs/etcd/2026/nodes/n1/etcd.log");
    assert!(log.contains("content-type: text/plain") && log.contains("x-content-type-options: nosniff"));
    assert_eq!(log.matches("line\n").count(), 100_000);
    assert!(served.get("/runs/etcd/2026/nodes/n1/x.html").contains("content-type: text/plain"));
    let list = served.get("/");
    assert!(list.contains("default-src 'none'") && !list.contains("unsafe-inline"), "{list}");
    assert!(list.contains("There are no runs here yet"), "a folder without run.json is no run");
}

#[test]
fn runs_are_listed_newest_first_whatever_state_they_are_in() {
    let served = served(|root| {
        let info = |started: &str, ended: &str| {
            let info = dsfuzz::store::RunInfo { started: started.into(), ended: ended.into(), ..Default::default() };
            serde_json::to_vec(&info).expect("JSON")
        };
        for (name, content) in [
            ("etcd/a", info("2026-11-20T10:00:00+01:00", "2026-11-20T10:01:00+01:00")),
            ("etcd/b", info("2026-11-20T09:30:00Z", "")),
            ("<b>/c", info("2026-11-19T09:30:00Z", "2026-11-19T09:31:05Z")),
            ("etcd/d", b"{torn".to_vec()),
            ("etcd/e", info("2026-11-18T09:30:00Z", "2026-11-18T09:30:01Z")),
        ] {
            fs::create_dir_all(root.join(name)).expect("a folder");
            fs::write(root.join(name).join("run.json"), content).expect("run.json");
        }
        let refused = dsfuzz::store::RunVerdict::failed("unknown key", 254);
        fs::write(root.join("etcd/e/verdict.json"), serde_json::to_vec(&refused).expect("JSON")).expect("a verdict");
    });
    let list = served.get("/");
    let place = |text: &str| list.find(text).unwrap_or_else(|| panic!("{text} is missing in {list}"));
    assert!(place("2026-11-20 09:30:00") < place("2026-11-20 09:00:00"), "zones are minded");
    assert!(place("2026-11-20 09:00:00") < place("2026-11-19 09:30:00"));
    place("<span class=\"mark\">refused</span>");
    for wanted in ["running, or killed", "run.json cannot be read", "65 s", "&lt;b&gt;", "/runs/%3Cb%3E/c/run.json"] {
        place(wanted);
    }
}

/// More readers than there are places, each of which asked for a large file and takes nothing of it.
#[test]
fn readers_that_do_not_read_lock_nobody_out() {
    let served = served(|root| {
        one_run(root);
        fs::write(root.join("etcd/2026/nodes/n1/large.log"), vec![b'x'; 16 << 20]).expect("a log");
    });
    let idle: Vec<TcpStream> = (0..140)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address).expect("a connection");
            let request = "GET /runs/etcd/2026/nodes/n1/large.log HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(request.as_bytes()).expect("sent");
            stream
        })
        .collect();
    assert!(served.get("/").starts_with("HTTP/1.1 200"));
    drop(idle);
}
