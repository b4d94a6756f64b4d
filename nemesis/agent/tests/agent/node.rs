//! [`Node`]: namespaces of the test's own (net, pid, mount, cgroup) without the right to set the clock, and [`Channel`]: an
//! agent in them, spoken to over pipes as the control node does over SSH. Everything ends with the test process.
use dsfuzz_nemesis::protocol::{
    ClaimEntry, Claimant, GREETING, PROTOCOL_VERSION, Proof, Request, RequestFrame, Response, ResponseFrame, SelfHeal,
    Service, read_frame, write_frame,
};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_dsfuzz-agent");
/// No wait in these tests is longer; a machine under load may need much of it.
const PATIENCE: Duration = Duration::from_secs(30);
const HERE: &str = "dsfuzz-agent-test-";
static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Node {
    holder: Child,
    inner: u32,
    cgroup: Option<PathBuf>,
    pub(crate) dir: PathBuf,
}

/// Where cgroup2 is on this machine.
fn cgroup_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

fn remove_cgroup(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_cgroup(&entry.path());
        }
    }
    let end = Instant::now() + Duration::from_secs(5);
    while fs::remove_dir(folder).is_err() && folder.exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Node {
    /// A node with cgroup2.
    pub(crate) fn new() -> Node {
        Node::with(true)
    }

    /// A node on which no cgroup2 is mounted.
    pub(crate) fn without_cgroup2() -> Node {
        Node::with(false)
    }

    fn with(cgroup2: bool) -> Node {
        let status = fs::read_to_string("/proc/self/status").expect("status");
        let root = status.lines().any(|line| line.split_whitespace().take(3).eq(["Uid:", "0", "0"]));
        assert!(root, "these tests make namespaces and break things in them: run them as root");
        let name = format!("{HERE}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir_all(dir.join("cg")).expect("a folder");
        let cgroup = cgroup_root().filter(|_| cgroup2).map(|root| root.join(&name));
        let mut script = String::new();
        if let Some(cgroup) = &cgroup {
            fs::create_dir_all(cgroup).expect("a cgroup");
            script.push_str(&format!("echo $$ >{}/cgroup.procs; ", cgroup.display()));
        }
        // Inside, what the host has mounted of cgroup2 reaches above the node and is not used; its own mount is.
        let mount = match cgroup_root() {
            Some(_) if cgroup2 => format!("mount -t cgroup2 none {}/cg; ", dir.display()),
            Some(root) => format!("umount -l {}; ", root.display()),
            None => String::new(),
        };
        script.push_str(&format!(
            "exec unshare --net --pid --mount --cgroup --fork --kill-child --mount-proc --propagation private \
             sh -c '{mount}mount -t tmpfs none /run; ip link set lo up; ip addr add 127.0.0.2/8 dev lo; echo up; cat >/dev/null; true'"
        ));
        let mut holder = Command::new("sh")
            .arg("-c")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("stdout")).read_line(&mut line).expect("read");
        assert_eq!(line, "up\n", "the namespaces were not made; unshare, ip and mount are needed");
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let inner = fs::read_to_string(children).expect("children").trim().parse().expect("the node's process 1");
        Node { holder, inner, cgroup, dir }
    }

    /// A command in the node, which cannot set the clock.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.inner.to_string(), "-n", "-p", "-m", "-C", "--"]);
        command.args([
            "setpriv",
            "--bounding-set=-sys_time",
            "--inh-caps=-sys_time",
            "--pdeathsig",
            "KILL",
            "--",
            program,
        ]);
        command.args(arguments).env_remove("SSH_CONNECTION");
        command
    }

    /// Runs a script in the node and gives its output.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output: Output = self.command("sh", &["-c", script]).output().expect("run");
        String::from_utf8_lossy(&output.stdout).trim().to_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Whether there is a table of ours.
    pub(crate) fn has_table(&self) -> bool {
        self.sh("nft list tables").contains("table inet dsfuzz\n")
            || self.sh("nft list tables").ends_with("inet dsfuzz")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("agent.log")).unwrap_or_default()
    }

    /// A folder of the agent.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().expect("text").to_owned()
    }

    /// An agent in this node, greeted.
    pub(crate) fn agent(&self, run: &str, lease_ms: u64) -> Channel {
        self.agent_with(run, lease_ms, "")
    }

    /// An agent with more arguments, greeted.
    pub(crate) fn agent_with(&self, run: &str, lease_ms: u64, arguments: &str) -> Channel {
        let mut channel = self.started(&[], arguments);
        channel.hello(run, lease_ms);
        channel
    }

    /// An agent with another folder.
    pub(crate) fn ungreeted_in(&self, folder: &str) -> Channel {
        self.serving(&self.path(folder), &[], "")
    }

    pub(crate) fn ungreeted(&self, env: &[(&str, &str)]) -> Channel {
        self.started(env, "")
    }

    fn started(&self, env: &[(&str, &str)], arguments: &str) -> Channel {
        self.serving(self.dir.to_str().expect("text"), env, arguments)
    }

    fn serving(&self, dir: &str, env: &[(&str, &str)], arguments: &str) -> Channel {
        // What a login shell prints comes first.
        let script = format!("echo Welcome to this node; exec {AGENT} serve --dir {dir} {arguments}");
        let mut command = self.command("sh", &["-c", &script]);
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("agent");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("stdout"));
        let mut seen = Vec::new();
        while !seen.ends_with(GREETING) {
            let mut byte = [0];
            assert_eq!(output.read(&mut byte).expect("read"), 1, "no greeting; log: {}", self.log());
            seen.push(byte[0]);
        }
        let (sender, replies) = channel();
        std::thread::spawn(move || pump(output, &sender));
        Channel { child, input, replies, early: BTreeMap::new(), next: 0, pids: (0, 0), ping_port: 0 }
    }

    /// `dsfuzz-agent heal`: exit code and what it prints.
    pub(crate) fn heal(&self) -> (Option<i32>, Response) {
        let output = self.command(AGENT, &["heal", "--dir", &self.path("")]).output().expect("heal");
        let response = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), response)
    }

    /// Waits for something in the node.
    pub(crate) fn until(&self, what: &str, mut question: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !question() {
            assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        drop(self.holder.kill());
        drop(self.holder.wait());
        if let Some(cgroup) = &self.cgroup {
            remove_cgroup(cgroup);
        }
        drop(fs::remove_dir_all(&self.dir));
    }
}

fn pump(mut output: BufReader<impl Read>, sender: &Sender<(ResponseFrame, Vec<u8>)>) {
    while let Ok(Some(frame)) = read_frame::<ResponseFrame>(&mut output) {
        if sender.send(frame).is_err() {
            return;
        }
    }
}

pub(crate) struct Channel {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    replies: Receiver<(ResponseFrame, Vec<u8>)>,
    early: BTreeMap<u64, (Response, Vec<u8>)>,
    next: u64,
    /// Agent and guardian, as the node numbers its processes.
    pub(crate) pids: (u32, u32),
    pub(crate) ping_port: u16,
}

impl Channel {
    pub(crate) fn hello(&mut self, run: &str, lease_ms: u64) -> String {
        let response = self.greet(run, lease_ms, ClaimEntry::First);
        let Response::Hello { boot_id, pids, ping_port, .. } = response else { panic!("{response:?}") };
        (self.pids, self.ping_port) = (pids, ping_port);
        boot_id
    }

    /// Greets for a run, and gives the answer whatever it is.
    pub(crate) fn greet(&mut self, run: &str, lease_ms: u64, entry: ClaimEntry) -> Response {
        let claim = Claimant { run: run.to_owned(), host: "control".to_owned(), token: run.to_owned() };
        self.ask(Request::Hello { version: PROTOCOL_VERSION, lease_ms, run: run.to_owned(), claim, entry })
    }

    pub(crate) fn send(&mut self, body: Request, blob: &[u8]) -> u64 {
        self.next += 1;
        let input = self.input.as_mut().expect("open");
        write_frame(input, &RequestFrame { id: self.next, body }, blob).expect("sent");
        self.next
    }

    pub(crate) fn reply(&mut self, id: u64) -> (Response, Vec<u8>) {
        loop {
            if let Some(found) = self.early.remove(&id) {
                return found;
            }
            let (response, blob) = self.replies.recv_timeout(PATIENCE).expect("a reply");
            self.early.insert(response.id, (response.body, blob));
        }
    }

    pub(crate) fn ask(&mut self, body: Request) -> Response {
        let id = self.send(body, &[]);
        self.reply(id).0
    }

    pub(crate) fn done(&mut self, body: Request) {
        let response = self.ask(body);
        assert_eq!(response, Response::Done);
    }

    pub(crate) fn fails(&mut self, body: Request) -> String {
        let response = self.ask(body);
        let Response::Failed(reason) = response else { panic!("it was to fail: {response:?}") };
        reason
    }

    pub(crate) fn inject(&mut self, fault: u64, injection: dsfuzz_nemesis::protocol::Injection) {
        let response = self.ask(Request::Inject { fault, injection });
        assert!(matches!(response, Response::Injected { .. }), "{response:?}");
    }

    pub(crate) fn proof(&mut self, body: Request) -> Proof {
        let response = self.ask(body);
        let Response::Proof(proof) = response else { panic!("{response:?}") };
        proof
    }

    /// In force.
    pub(crate) fn proven(&mut self, fault: u64) -> Proof {
        let proof = self.proof(Request::Prove { fault });
        assert!(proof.holds, "{proof:?}");
        proof
    }

    /// Undone and gone.
    pub(crate) fn healed(&mut self, fault: u64) -> Proof {
        let proof = self.proof(Request::Undo { fault });
        assert!(proof.holds, "{proof:?}");
        let after = self.proof(Request::Prove { fault });
        assert!(!after.holds, "{after:?}");
        proof
    }

    pub(crate) fn undone(&mut self) -> (Vec<SelfHeal>, Vec<u64>) {
        let response = self.ask(Request::Undone);
        let Response::Undone { by_itself, left, .. } = response else { panic!("{response:?}") };
        (by_itself, left)
    }

    /// Defines and starts a service.
    pub(crate) fn service(&mut self, node: &Node, name: &str, argv: &[&str]) -> u32 {
        self.service_in(node, name, argv, "")
    }

    pub(crate) fn service_in(&mut self, node: &Node, name: &str, argv: &[&str], cwd: &str) -> u32 {
        let argv = argv.iter().map(ToString::to_string).collect();
        let log = node.path(&format!("{name}.out"));
        self.done(Request::Define(Service {
            name: name.to_owned(),
            argv,
            log,
            cwd: cwd.to_owned(),
            ..Service::default()
        }));
        self.start(name, false)
    }

    pub(crate) fn start(&mut self, name: &str, again: bool) -> u32 {
        let response = self.ask(Request::Start { service: name.to_owned(), again });
        let Response::Started { pid } = response else { panic!("{response:?}") };
        pid
    }

    pub(crate) fn pids(&mut self, name: &str) -> Vec<u32> {
        let response = self.ask(Request::Services);
        let Response::Services(states) = response else { panic!("{response:?}") };
        states.into_iter().find(|state| state.name == name).expect("the service").pids
    }

    /// The channel closes, as when the control node dies.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }

    /// Waits until the agent is gone.
    pub(crate) fn ended(&mut self, node: &Node) {
        let pid = self.pids.0;
        node.until("the agent ends", || {
            let state = node.sh(&format!("sed 's/.*) //' /proc/{pid}/stat 2>/dev/null"));
            state.is_empty() || state.starts_with('Z')
        });
        // nsenter stops itself when its child is stopped, and only then sees that it has ended.
        drop(Command::new("kill").args(["-CONT", &self.child.id().to_string()]).output());
        node.until("nsenter ends", || self.child.try_wait().expect("wait").is_some());
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.input = None;
        let end = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
