//! Hosts of other people, each a real sshd in a lab: logins with a second factor. These tests need root, and say so.
mod labs;

use dsfuzz::cluster::{AgentBinaries, ConnectOptions, Node, NodeConnectError, Remote, Secret, Session, SshTarget, run};
use dsfuzz::lab::Lab;
use labs::{in_node, new_lab};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Another sshd in the node, and how it is reached.
fn second_sshd(lab: &Lab, port: u16, settings: &str, here: &Path) -> (Node, SshTarget) {
    let config =
        format!("Port {port}\nHostKey /etc/dsfuzz-lab/hostkey\nPidFile none\nStrictModes no\nUseDNS no\n{settings}\n");
    let path = format!("/etc/dsfuzz-lab/sshd-{port}");
    in_node(lab, "n1", &format!("cat > {path} <<'E'\n{config}E\n/usr/sbin/sshd -f {path}"));
    let (name, mut target) = lab.nodes().swap_remove(0);
    (target.port, target.known_hosts, target.strict) = (port, here.join("known_hosts"), false);
    (name, target)
}

/// Connects from inside the lab's control network, on a thread that is there for that alone.
fn connect(lab: &Lab, node: (Node, SshTarget)) -> Result<Session, NodeConnectError> {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-in/agent.py");
    let options =
        ConnectOptions { run: "test".into(), patience: SECOND, deadline: 30 * SECOND, ..ConnectOptions::default() };
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            lab.enter_thread().expect("entered");
            Session::connect(node.0, node.1, Arc::new(AgentBinaries::at(agent)), options)
        });
        inside.join().expect("joined")
    })
}

fn hostname(session: &Session) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(session as &dyn Remote, &["hostname"], 10 * SECOND)).expect("ran").stdout.trim().to_owned()
}

#[test]
fn questions_after_the_key_are_answered_by_the_password_or_told() {
    let (lab, here) = (new_lab("questions", 1), tempfile::tempdir().expect("a folder"));
    let hash = Command::new("openssl").args(["passwd", "-6", "pass word"]).output().expect("openssl").stdout;
    let hash = String::from_utf8(hash).expect("text");
    in_node(&lab, "n1", &format!("sed -i 's|^root:[^:]*:|root:{}:|' /etc/shadow", hash.trim()));
    let pam = "auth required pam_unix.so\\naccount required pam_permit.so\\nsession required pam_permit.so";
    in_node(&lab, "n1", &format!("printf '{pam}\\n' > /etc/pam.d/sshd"));
    let (name, mut target) = second_sshd(
        &lab,
        2401,
        "UsePAM yes\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication yes\n\
         AuthenticationMethods publickey,keyboard-interactive",
        here.path(),
    );
    let refused = |target: &SshTarget| match connect(&lab, (name.clone(), target.clone())) {
        Err(error @ NodeConnectError::SecondFactor { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let text = refused(&target);
    assert!(text.contains("root's login wants a second factor: key ") && text.contains("ssh.password_env"), "{text}");
    assert!(text.contains("the host also takes keyboard-interactive;"), "it was asked nothing: {text}");
    target.password = Some(Secret::new("wrong"));
    let text = refused(&target);
    assert!(text.contains("(it asks: ") && text.contains("Password:"), "{text}");
    target.password = Some(Secret::new("pass word"));
    assert_eq!(hostname(&connect(&lab, (name.clone(), target.clone())).expect("connected")), "n1");
    lab.down().expect("down");
}
