//! A headless Chromium, driven by chromedriver over the WebDriver protocol (W3C) with a few requests of its own.
//!
//! chromedriver is started on a port of its own choosing and ended, with its browser, when the value is dropped.
use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a page may take to reach a state that a test waits for; generous, as machines may be loaded.
const DEADLINE: Duration = Duration::from_secs(60);

/// One browser with one window.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    runtime: tokio::runtime::Runtime,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one. Panics with the package's name where it is missing.
    pub(crate) fn start() -> Browser {
        match Browser::try_start() {
            Ok(browser) => browser,
            Err(problem) => panic!("no headless browser: {problem}"),
        }
    }

    /// Starts one, or says which package is missing.
    pub(crate) fn try_start() -> Result<Browser, String> {
        for (program, package) in [("chromium", "chromium"), ("chromedriver", "chromium-driver")] {
            let found = std::env::var_os("PATH")
                .is_some_and(|paths| std::env::split_paths(&paths).any(|path| path.join(program).is_file()));
            if !found {
                return Err(format!("{program} is missing: install the package {package} (apt-get install {package})"));
            }
        }
        let profile = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("chromedriver does not start: {error}"))?;
        let port = match driver.stdout.take().map(said_port) {
            Some(Some(port)) => port,
            _ => return Err("chromedriver ended before it said its port".to_string()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let mut browser = Browser { driver, port, session: String::new(), runtime, _profile: profile };
        let data = format!("--user-data-dir={}", browser._profile.path().display());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,1400",
            "--hide-scrollbars",
            &data,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let opened = browser.send("POST", "/session", &wanted)?;
        browser.session = opened["sessionId"].as_str().ok_or("chromedriver gave no session")?.to_string();
        Ok(browser)
    }

    /// Sends one request to chromedriver; its `value`.
    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let exchange = async {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let connection = tokio::spawn(connection);
            let body = if method == "POST" { Bytes::from(body.to_string()) } else { Bytes::new() };
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", format!("127.0.0.1:{}", self.port))
                .header("content-type", "application/json")
                .body(Full::new(body))?;
            let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
            connection.abort();
            Ok::<Value, Box<dyn std::error::Error>>(serde_json::from_slice(&answer)?)
        };
        let answer = self.runtime.block_on(exchange).map_err(|error| format!("{method} {path}: {error}"))?;
        match answer["value"].get("error") {
            Some(error) => Err(format!("{method} {path}: {error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.send(method, &path, &body).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// Opens an address.
    pub(crate) fn open(&self, address: &str) {
        self.ask("POST", "/url", json!({ "url": address }));
    }

    /// Opens a file.
    pub(crate) fn open_file(&self, path: &Path) {
        let path = path.canonicalize().expect("the file is there");
        self.open(&format!("file://{}", path.display()));
    }

    /// Runs a script in the page; `return` gives its value.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression of the page is true.
    pub(crate) fn wait(&self, expression: &str) {
        let begun = Instant::now();
        while self.run(&format!("return Boolean({expression})")) != json!(true) {
            assert!(begun.elapsed() < DEADLINE, "still not true: {expression}; console: {:?}", self.console());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Opens a report and waits for its first drawing, where it has something to draw.
    pub(crate) fn open_report(&self, path: &Path) {
        self.open_file(path);
        let painted = "!document.querySelector('#charts') || document.querySelector('#timeline')?.dataset.painted";
        self.wait(&format!("document.readyState === 'complete' && ({painted})"));
    }

    /// Does pointer or key actions (the WebDriver Actions of one source).
    pub(crate) fn act(&self, source: Value) {
        self.ask("POST", "/actions", json!({ "actions": [source] }));
    }

    /// Moves the mouse through places of the window; between, presses and releases as `doing` says.
    pub(crate) fn mouse(&self, doing: &[Value]) {
        self.act(json!({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": doing}));
    }

    /// Turns the wheel over a place.
    pub(crate) fn wheel(&self, x: i64, y: i64, by: i64) {
        let scroll =
            json!({"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": by, "duration": 0, "origin": "viewport"});
        self.act(json!({"type": "wheel", "id": "wheel", "actions": [scroll]}));
    }

    /// Presses and releases a key.
    pub(crate) fn key(&self, key: &str) {
        let actions = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.act(json!({"type": "key", "id": "keys", "actions": actions}));
    }

    /// Asks the DevTools of the browser.
    pub(crate) fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    /// Makes the pages dark or light.
    pub(crate) fn scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Sets the size of the window's inside.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the console said since it was last asked, errors and warnings only.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.ask("POST", "/se/log", json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let wrong = entries.iter().filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        wrong.map(|entry| entry["message"].to_string()).collect()
    }

    /// Saves a picture of the whole page below `target/screenshots`.
    pub(crate) fn screenshot(&self, name: &str) {
        let height = self.run("return document.documentElement.scrollHeight").as_f64().unwrap_or(1400.0).min(6000.0);
        let width = self.run("return window.innerWidth").as_f64().unwrap_or(1280.0);
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        self.save(name, json!({"captureBeyondViewport": true, "clip": clip}));
    }

    /// Saves a picture of what the window shows.
    pub(crate) fn window(&self, name: &str) {
        self.save(name, json!({}));
    }

    fn save(&self, name: &str, parameters: Value) {
        let picture = self.devtools("Page.captureScreenshot", parameters);
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().expect("a picture"));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        std::fs::write(folder.join(format!("{name}.png")), bytes.expect("base64")).expect("a picture is written");
    }
}

/// Reads until chromedriver says its port, then lets a thread drain the rest, so that it never blocks.
fn said_port(output: impl Read + Send + 'static) -> Option<u16> {
    let mut reader = BufReader::new(output);
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 0 {
        let said = line.split("started successfully on port ").nth(1);
        if let Some(port) = said.and_then(|rest| rest.trim().trim_end_matches('.').parse().ok()) {
            std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            return Some(port);
        }
        line.clear();
    }
    None
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.send("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        // The whole process group that this test started: chromedriver, and a browser it may have left.
        if let Ok(pid) = i32::try_from(self.driver.id()) {
            let group = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.driver.wait();
    }
}
