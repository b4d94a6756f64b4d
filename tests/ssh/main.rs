//! Sessions against a real sshd, in a lab. These tests need root, and say so.
mod hosts;
#[path = "../labs/mod.rs"]
mod labs;

use dsfuzz::cluster::{
    AgentBinaries, Cluster, ConnectOptions, Node, NodeConnectError, Remote, RemoteError, Secret, Session, SshTarget,
    download, run, upload,
};
use dsfuzz::lab::Lab;
use dsfuzz_nemesis::protocol::{self, Request};
use labs::{in_node, new_lab};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// One lab for all tests of this process; its end is this process's.
fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| new_lab("ssh", 3))
}

fn stand_in() -> Arc<AgentBinaries> {
    Arc::new(AgentBinaries::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-in/agent.py")))
}

fn options() -> ConnectOptions {
    ConnectOptions { run: "test".into(), patience: SECOND, deadline: 30 * SECOND, ..ConnectOptions::default() }
}

fn node(lab: &Lab, index: usize) -> (Node, SshTarget) {
    lab.nodes().swap_remove(index)
}

/// Connects from inside the lab's control network, on a thread that is there for that alone.
fn connect(lab: &Lab, node: (Node, SshTarget)) -> Result<Session, NodeConnectError> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            lab.enter_thread().expect("entered");
            Session::connect(node.0, node.1, stand_in(), options())
        });
        inside.join().expect("joined")
    })
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn hostname(session: &Session) -> String {
    wait(run(session, &["hostname"], 10 * SECOND)).expect("ran").stdout.trim().to_owned()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn keygen(path: &Path, passphrase: &str) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", passphrase, "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen").success());
}

/// Another sshd in a node, with its own settings and its own folder.
fn second_sshd(lab: &Lab, node: &str, port: u16, settings: &str) {
    let config = format!(
        "Port {port}\nHostKey /etc/dsfuzz-lab/hostkey\nPidFile none\nUsePAM no\nStrictModes no\nUseDNS no\n{settings}\n"
    );
    in_node(
        lab,
        node,
        &format!("cat > /etc/dsfuzz-lab/sshd-{port} <<'E'\n{config}E\n/usr/sbin/sshd -f /etc/dsfuzz-lab/sshd-{port}"),
    );
}

#[test]
fn a_key_opens_and_requests_are_answered_out_of_order() {
    let session = connect(lab(), node(lab(), 0)).expect("connected");
    assert_eq!(
        session.hello().boot_id,
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("read").trim()
    );
    assert_eq!(session.hello().arch, std::env::consts::ARCH);
    wait(async {
        let slow = run(&session, &["until [ -e /tmp/go ]; do sleep 0.01; done; echo slow"], 20 * SECOND);
        let quick = async {
            let quick = run(&session, &["echo quick; touch /tmp/go"], 20 * SECOND).await.expect("ran");
            assert_eq!(quick.stdout, "quick\n");
        };
        // The slow one is asked first and can end only after the quick one has been answered.
        let (slow, ()) = tokio::join!(slow, quick);
        assert_eq!(slow.expect("ran").stdout, "slow\n");
        let many = (0..64).map(|i| {
            let session = &session;
            async move { (i, run(session, &["echo", &i.to_string()], 60 * SECOND).await.expect("ran").stdout) }
        });
        for many in many.collect::<Vec<_>>() {
            let (i, text) = many.await;
            assert_eq!(text, format!("{i}\n"));
        }
        match session.ask(Request::Clocks, Vec::new(), 10 * SECOND).await {
            Err(RemoteError::Refused { node, message }) => {
                assert_eq!((&*node, message.contains("clocks")), ("n1", true))
            }
            other => panic!("{other:?}"),
        }
        let long = protocol::Command { argv: vec!["sleep 30".into()], ..protocol::Command::default() };
        match session.ask(Request::Run(long), Vec::new(), Duration::from_millis(50)).await {
            Err(RemoteError::Late { what, .. }) => assert!(what.starts_with("run"), "{what}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn files_go_there_and_back_and_the_agent_goes_once() {
    let session = connect(lab(), node(lab(), 1)).expect("connected");
    let bytes: Vec<u8> = (0..1_000_003u32).flat_map(|i| i.to_le_bytes()).collect();
    let here = folder();
    wait(async {
        upload(&session, "/var/lib/dsfuzz/deep/file", &bytes, 0o640).await.expect("up");
        let back = here.path().join("back/file");
        assert_eq!(download(&session, "/var/lib/dsfuzz/deep/file", &back).await.expect("down"), bytes.len() as u64);
        assert!(std::fs::read(&back).expect("read") == bytes);
        upload(&session, "/var/lib/dsfuzz/empty", b"", 0o600).await.expect("up");
        assert_eq!(download(&session, "/var/lib/dsfuzz/empty", &here.path().join("empty")).await.expect("down"), 0);
        assert!(download(&session, "/nonexistent", &here.path().join("none")).await.is_err());
    });
    let listed = "ls -i /var/lib/dsfuzz/agent";
    let before = in_node(lab(), "n2", listed);
    let again = connect(lab(), node(lab(), 1)).expect("connected");
    assert_eq!(in_node(lab(), "n2", listed), before, "the agent was sent again though it was there");
    // A damaged one is replaced.
    in_node(lab(), "n2", "truncate -s 10 /var/lib/dsfuzz/agent/dsfuzz-agent-*");
    drop((session, again));
    assert_eq!(hostname(&connect(lab(), node(lab(), 1)).expect("connected")), "n2");
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let (here, (name, mut target)) = (folder(), node(lab(), 0));
    let key = here.path().join("encrypted");
    keygen(&key, "secret words");
    let public = std::fs::read_to_string(key.with_extension("pub")).expect("read");
    in_node(lab(), "n1", &format!("echo '{}' >> /root/.ssh/authorized_keys", public.trim()));
    target.key = Some(key);
    match connect(lab(), (name.clone(), target.clone())) {
        Err(NodeConnectError::AuthFailed { tried, .. }) => assert!(tried[0].contains("passphrase_env"), "{tried:?}"),
        other => panic!("{other:?}"),
    }
    target.passphrase = Some(Secret::new("secret words"));
    assert_eq!(hostname(&connect(lab(), (name, target)).expect("connected")), "n1");
}

#[test]
fn the_ssh_agent_is_asked() {
    let (here, (name, mut target)) = (folder(), node(lab(), 0));
    let (key, socket) = (target.key.take().expect("a key"), here.path().join("agent"));
    let mut agent =
        Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(std::process::Stdio::null()).spawn();
    let agent = agent.as_mut().expect("ssh-agent");
    let add =
        || Command::new("ssh-add").arg(&key).env("SSH_AUTH_SOCK", &socket).output().expect("ssh-add").status.success();
    let deadline = Instant::now() + 20 * SECOND;
    while !add() {
        assert!(Instant::now() < deadline, "ssh-agent does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    target.ssh_agent = Some(socket);
    let opened = connect(lab(), (name.clone(), target.clone())).map(|session| hostname(&session));
    // Only keys that are named, and this one is not.
    target.named_only = true;
    let refused = connect(lab(), (name, target));
    agent.kill().and_then(|()| agent.wait()).expect("ended");
    assert_eq!(opened.expect("connected"), "n1");
    assert!(matches!(refused, Err(NodeConnectError::AuthFailed { .. })), "{refused:?}");
}

#[test]
fn a_password_opens_and_a_wrong_one_is_said_to_be_wrong() {
    let (name, mut target) = node(lab(), 2);
    let hash = Command::new("openssl").args(["passwd", "-6", "pass word"]).output().expect("openssl").stdout;
    let hash = String::from_utf8(hash).expect("text");
    in_node(lab(), "n3", &format!("sed -i 's|^root:[^:]*:|root:{}:|' /etc/shadow", hash.trim()));
    second_sshd(lab(), "n3", 2203, "PermitRootLogin yes\nPubkeyAuthentication no\nKbdInteractiveAuthentication no");
    // Its key is known under the bare name; on another port it is met anew.
    let here = folder();
    (target.port, target.known_hosts, target.strict) = (2203, here.path().join("known_hosts"), false);
    target.password = Some(Secret::new("wrong"));
    match connect(lab(), (name.clone(), target.clone())) {
        Err(error @ NodeConnectError::AuthFailed { .. }) => {
            let text = error.to_string();
            assert!(text.starts_with("n3: cannot log in as root") && text.contains("password"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    target.password = Some(Secret::new("pass word"));
    assert_eq!(hostname(&connect(lab(), (name, target)).expect("connected")), "n3");
    let known = std::fs::read_to_string(here.path().join("known_hosts")).expect("read");
    assert!(known.starts_with("[10.77.0.3]:2203 ssh-ed25519 ") && known.lines().count() == 1, "{known}");
}

#[test]
fn host_keys_are_checked() {
    let (here, (name, mut target)) = (folder(), node(lab(), 0));
    let real = std::fs::read_to_string(&target.known_hosts).expect("read");
    let key_of = |node: &str| {
        let line = real.lines().find(|line| line.contains(&format!(",{node} "))).expect("a line");
        line.split_once(' ').expect("a key").1.to_owned()
    };
    let known = here.path().join("known_hosts");
    target.known_hosts = known.clone();
    // Unknown: refused when strict, kept when not.
    target.strict = true;
    match connect(lab(), (name.clone(), target.clone())) {
        Err(NodeConnectError::HostKeyUnknown { host, .. }) => assert_eq!(host, "10.77.0.1"),
        other => panic!("{other:?}"),
    }
    assert!(!known.exists());
    target.strict = false;
    connect(lab(), (name.clone(), target.clone())).expect("accepted");
    assert_eq!(std::fs::read_to_string(&known).expect("read"), format!("10.77.0.1 {}\n", key_of("n1")));
    target.strict = true;
    connect(lab(), (name.clone(), target.clone())).expect("known now");
    // Changed: refused, with the file and the line, strict or not.
    target.strict = false;
    std::fs::write(&known, format!("# a comment\nbad line\n10.77.0.1 {}\n", key_of("n2"))).expect("written");
    match connect(lab(), (name.clone(), target.clone())) {
        Err(ref error @ NodeConnectError::HostKeyChanged { ref file, line, .. }) => {
            assert_eq!((file, line), (&known, 3));
            assert!(error.to_string().contains("CHANGED"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // A bad line costs only itself.
    std::fs::write(&known, format!("10.77.0.1 ssh-ed25519 ???\n|1|bad\n10.77.0.1 {}\n", key_of("n1")))
        .expect("written");
    target.strict = true;
    connect(lab(), (name.clone(), target.clone())).expect("known");
    // Revoked: refused although another line knows it.
    std::fs::write(&known, format!("10.77.0.1 {0}\n@revoked * {0}\n", key_of("n1"))).expect("written");
    match connect(lab(), (name, target)) {
        Err(NodeConnectError::HostKeyRevoked { line, .. }) => assert_eq!(line, 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn noise_of_a_shell_is_skipped_and_an_agent_that_cannot_run_is_quoted() {
    let noisy = new_lab("noise", 1);
    in_node(
        &noisy,
        "n1",
        "printf 'echo welcome to the jungle\\necho and more >&2\\nprintf \"no newline\"\\n' > /root/.bashrc",
    );
    in_node(&noisy, "n1", "usermod -s /bin/bash root");
    assert_eq!(hostname(&connect(&noisy, node(&noisy, 0)).expect("connected")), "n1");
    in_node(&noisy, "n1", "touch /etc/stand-in-complains");
    match connect(&noisy, node(&noisy, 0)) {
        Err(error @ NodeConnectError::AgentCannotRun { .. }) => {
            let text = error.to_string();
            assert!(text.contains("GLIBC_2.99") && text.contains("static"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    in_node(
        &noisy,
        "n1",
        "rm /etc/stand-in-complains /var/lib/dsfuzz/agent/*; fallocate -l $(df --output=avail -B1 /var/lib/dsfuzz | tail -1) /var/lib/dsfuzz/fill || true",
    );
    match connect(&noisy, node(&noisy, 0)) {
        Err(error @ NodeConnectError::AgentUpload { .. }) => {
            assert!(error.to_string().contains("No space left"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    noisy.down().expect("down");
}

#[test]
fn another_user_becomes_root_by_sudo_or_is_told_how() {
    let lab = new_lab("sudo", 1);
    in_node(
        &lab,
        "n1",
        "useradd -m -s /bin/sh -p '*' tester && cp -r /root/.ssh /home/tester/ && chown -R tester /home/tester",
    );
    let (name, mut target) = node(&lab, 0);
    (target.user, target.sudo) = ("tester".into(), true);
    let sudo = |script: &str| {
        in_node(&lab, "n1", &format!("cat > /usr/local/bin/sudo <<'E'\n{script}\nE\nchmod 4755 /usr/local/bin/sudo"))
    };
    sudo("#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1");
    match connect(&lab, (name.clone(), target.clone())) {
        Err(NodeConnectError::SudoNeedsPassword { user, message, .. }) => {
            assert!(user == "tester" && message.contains("password is required"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // Every other failure is quoted, and nothing is said of passwords.
    for words in [
        "sudo: sorry, you must have a tty to run sudo",
        "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set",
        "/etc/sudoers:5:1: syntax error\nsudo: no valid sudoers sources found, quitting",
        "sudo: sh: command not found",
        "Sorry, user tester is not allowed to execute '/bin/sh' as root on n1.",
    ] {
        sudo(&format!("#!/bin/sh\ncat >&2 <<'W'\n{words}\nW\nexit 1"));
        match connect(&lab, (name.clone(), target.clone())) {
            Err(error @ NodeConnectError::SudoFailed { .. }) => {
                let text = error.to_string();
                assert!(words.lines().all(|line| text.contains(line)) && !text.contains("password"), "{text}");
            }
            other => panic!("{words}: {other:?}"),
        }
    }
    in_node(&lab, "n1", "rm /usr/local/bin/sudo");
    if in_node(&lab, "n1", "command -v sudo || true").is_empty() {
        match connect(&lab, (name.clone(), target.clone())) {
            Err(error @ NodeConnectError::SudoFailed { .. }) => {
                assert!(error.to_string().contains("is sudo installed"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    // A stand-in that only shows that the agent is started through it.
    sudo("#!/bin/sh\n[ \"$1\" = -n ] || exit 9; shift; VIA_SUDO=yes exec \"$@\"");
    target.dir = "/home/tester/state".into();
    let session = connect(&lab, (name, target)).expect("connected");
    assert_eq!(wait(run(&session, &["echo $VIA_SUDO"], 10 * SECOND)).expect("ran").stdout, "yes\n");
    lab.down().expect("down");
}

#[test]
fn a_jump_host_carries_a_connection_unless_it_is_a_node() {
    let (_, gate) = node(lab(), 2);
    let (name, mut target) = node(lab(), 1);
    target.jump = Some(Box::new(gate.clone()));
    // Only the gate may reach the node, so a direct connection would show.
    in_node(
        lab(),
        "n2",
        "nft add table inet only; nft 'add chain inet only in { type filter hook input priority 0; }'; nft add rule inet only in ip saddr 10.77.0.254 tcp dport 22 drop",
    );
    let session = connect(lab(), (name, target.clone()));
    in_node(lab(), "n2", "nft delete table inet only");
    let session = session.expect("connected");
    assert_eq!(hostname(&session), "n2");
    let from = wait(run(&session, &["ss -Htn state established sport = :22"], 10 * SECOND)).expect("ran").stdout;
    assert!(from.contains("10.77.0.3"), "{from}");
    let bytes = vec![7u8; 3 << 20];
    wait(upload(&session, "/var/lib/dsfuzz/through", &bytes, 0o600)).expect("up");
    assert_eq!(in_node(lab(), "n2", "stat -c %s /var/lib/dsfuzz/through"), bytes.len().to_string());
    // The jump host's key is checked too.
    let mut bad = target.clone();
    let here = folder();
    bad.jump = Some(Box::new(SshTarget { known_hosts: here.path().join("none"), ..gate }));
    match connect(lab(), (node(lab(), 1).0, bad)) {
        Err(NodeConnectError::HostKeyUnknown { node, .. }) => assert!(node.contains("through 10.77.0.3"), "{node}"),
        other => panic!("{other:?}"),
    }
    let mut nodes = lab().nodes();
    nodes[1].1 = target;
    let errors = Cluster::connect(&nodes, &stand_in(), &options()).expect_err("refused");
    assert!(matches!(errors.0.as_slice(), [NodeConnectError::JumpIsNode { .. }]), "{errors}");
}

#[test]
fn a_cluster_is_connected_at_once_and_every_error_is_told() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            lab().enter_thread().expect("entered");
            let cluster = Cluster::connect(&lab().nodes(), &stand_in(), &options()).expect("connected");
            let names: Vec<String> = cluster.sessions().iter().map(|session| hostname(session)).collect();
            assert_eq!(names, ["n1", "n2", "n3"]);
            // No node's real clock may be stepped.
            let sharers = cluster.kernel_sharers();
            assert!(sharers.iter().all(|(_, sharer)| sharer.as_deref() == Some("this machine")), "{sharers:?}");
            let mut nodes = lab().nodes();
            (nodes[0].1.port, nodes[2].1.host) = (1, "10.77.0.99".into());
            let errors = Cluster::connect(&nodes, &stand_in(), &options()).expect_err("refused");
            let text = errors.to_string();
            assert_eq!(errors.0.len(), 2, "{text}");
            assert!(matches!(&errors.0[0], NodeConnectError::Unreachable { attempts, .. } if *attempts > 1), "{text}");
            assert!(text.contains("10.77.0.1:1") && text.contains("10.77.0.99:22"), "{text}");
        });
    });
}

#[test]
fn a_silent_connection_is_noticed_by_the_lease_and_can_be_made_again() {
    let quiet = new_lab("quiet", 1);
    let network = |script: &str| {
        let mut command = quiet.command("nft").expect("a command");
        assert!(command.arg(script).status().expect("nft").success(), "{script}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            quiet.enter_thread().expect("entered");
            let (name, target) = node(&quiet, 0);
            let session = Session::connect(name, target, stand_in(), options()).expect("connected");
            assert_eq!((hostname(&session).as_str(), session.lost_now()), ("n1", None));
            network("add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }; add chain inet cut out { type filter hook output priority 0; policy drop; }");
            wait(async {
                let waiting = run(&session, &["true"], 600 * SECOND);
                // Far more than the lease, far less than any timeout of TCP.
                let why = tokio::time::timeout(20 * SECOND, session.lost()).await.expect("noticed");
                assert!(why.contains("no answer for 3000 ms"), "{why}");
                assert!(matches!(waiting.await, Err(RemoteError::Lost { .. })));
            });
            network("delete table inet cut");
            session.reconnect().expect("again");
            assert_eq!((hostname(&session).as_str(), session.lost_now()), ("n1", None));
        });
    });
    quiet.down().expect("down");
}

#[test]
fn an_agent_that_ends_is_a_lost_connection_and_a_dropped_session_ends_its_agent() {
    let lab = new_lab("ends", 1);
    let session = connect(&lab, node(&lab, 0)).expect("connected");
    let pid = session.hello().pids.0;
    wait(async {
        let killed = run(&session, &[format!("kill -9 {pid}").as_str()], 10 * SECOND).await;
        assert!(matches!(killed, Err(RemoteError::Lost { .. })), "{killed:?}");
        assert!(session.lost().await.contains("the agent ended"));
        assert!(matches!(run(&session, &["true"], SECOND).await, Err(RemoteError::Lost { .. })));
    });
    let session = connect(&lab, node(&lab, 0)).expect("connected");
    let pid = session.hello().pids.0;
    wait(session.bye(false, 10 * SECOND)).expect("bye");
    let session = connect(&lab, node(&lab, 0)).expect("connected");
    assert_ne!(session.hello().pids.0, pid);
    let pid = session.hello().pids.0;
    drop(session);
    let deadline = Instant::now() + 20 * SECOND;
    while in_node(&lab, "n1", &format!("[ -e /proc/{pid} ] && echo there || true")) == "there" {
        assert!(Instant::now() < deadline, "the agent lives on without its session");
        std::thread::sleep(Duration::from_millis(10));
    }
    lab.down().expect("down");
}

#[test]
fn a_host_that_accepts_and_says_nothing_runs_into_the_deadline() {
    let lab = new_lab("mute", 1);
    let pid = in_node(&lab, "n1", "cat /run/sshd.pid");
    in_node(&lab, "n1", &format!("kill -STOP {pid}"));
    let done = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            lab.enter_thread().expect("entered");
            let (name, target) = node(&lab, 0);
            Session::connect(name, target, stand_in(), ConnectOptions { deadline: 2 * SECOND, ..options() })
        });
        inside.join().expect("joined")
    });
    match done {
        Err(NodeConnectError::Timeout { phase, .. }) => assert_eq!(phase, "the key exchange"),
        other => panic!("{other:?}"),
    }
    lab.down().expect("down");
}

#[test]
fn a_missing_agent_is_named() {
    let nowhere = Arc::new(AgentBinaries::at(PathBuf::from("/nonexistent/agent")));
    let (name, target) = node(lab(), 0);
    let done = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            lab().enter_thread().expect("entered");
            Session::connect(name, target, nowhere, options())
        });
        inside.join().expect("joined")
    });
    match done {
        Err(NodeConnectError::AgentMissing { looked, .. }) => assert_eq!(looked, [PathBuf::from("/nonexistent/agent")]),
        other => panic!("{other:?}"),
    }
}
