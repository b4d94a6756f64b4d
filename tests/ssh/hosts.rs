//! Hosts of other people: hardened servers, two factors, few sessions, no shell.
use super::*;

/// A target for another sshd of a node, whose key is met anew.
fn on_port(lab: &Lab, index: usize, port: u16, here: &Path) -> (Node, SshTarget) {
    let (name, mut target) = node(lab, index);
    (target.port, target.known_hosts, target.strict) = (port, here.join(format!("known-{port}")), false);
    (name, target)
}

#[test]
fn hardened_hosts_are_reached_each_way_alone() {
    let (lab, here) = (new_lab("hardened", 1), folder());
    let bytes = vec![0x5au8; 300_001];
    for (port, settings) in (2301..).zip([
        "Ciphers aes256-ctr\nMACs hmac-sha2-256-etm@openssh.com",
        "Ciphers aes128-ctr\nMACs hmac-sha2-512-etm@openssh.com\nRekeyLimit 100K",
        "Ciphers aes192-ctr\nMACs hmac-sha2-512",
        "Ciphers aes256-gcm@openssh.com\nMACs umac-128-etm@openssh.com",
        "Ciphers aes128-gcm@openssh.com\nMACs hmac-sha2-256-etm@openssh.com\nRekeyLimit 100K",
        "Ciphers chacha20-poly1305@openssh.com\nRekeyLimit 100K",
        "KexAlgorithms diffie-hellman-group-exchange-sha256",
        "KexAlgorithms curve25519-sha256\nCiphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com\n\
         MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com",
    ]) {
        second_sshd(&lab, "n1", port, settings);
        let session = connect(&lab, on_port(&lab, 0, port, here.path()));
        let session = session.unwrap_or_else(|error| panic!("{settings}: {error}"));
        assert_eq!(hostname(&session), "n1", "{settings}");
        // Both directions, over several packets and key exchanges.
        let file = here.path().join("back");
        wait(async {
            upload(&session, "/var/lib/dsfuzz/hardened", &bytes, 0o600).await.expect("up");
            download(&session, "/var/lib/dsfuzz/hardened", &file).await.expect("down");
        });
        assert!(std::fs::read(&file).expect("read") == bytes, "{settings}");
    }
    // What cannot be agreed on names both sides' lists.
    second_sshd(&lab, "n1", 2320, "KexAlgorithms sntrup761x25519-sha512@openssh.com");
    match connect(&lab, on_port(&lab, 0, 2320, here.path())) {
        Err(error @ NodeConnectError::Handshake { .. }) => {
            let text = error.to_string();
            assert!(text.contains("the host offers key exchange sntrup761x25519-sha512@openssh.com"), "{text}");
            assert!(text.contains("dsfuzz offers curve25519"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    lab.down().expect("down");
}

#[test]
fn what_the_users_own_files_say_about_a_host_counts() {
    let (here, (name, mut target)) = (folder(), node(lab(), 0));
    let real = std::fs::read_to_string(&target.known_hosts).expect("read");
    let key_of = |node: &str| {
        let line = real.lines().find(|line| line.contains(&format!(",{node} "))).expect("a line");
        line.split_once(' ').expect("a key").1.to_owned()
    };
    let (users, system) = (here.path().join("users"), here.path().join("system"));
    target.users_known_hosts = vec![users.clone(), system.clone(), here.path().join("missing")];
    let connect = |target: &SshTarget| self::connect(lab(), (name.clone(), target.clone()));
    // A contradiction refuses, though dsfuzz's own file knows the host, and the words name file and line.
    std::fs::write(&users, format!("# mine\n10.77.0.1 {}\n", key_of("n2"))).expect("written");
    match connect(&target) {
        Err(NodeConnectError::HostKeyChanged { file, line, .. }) => assert_eq!((file, line), (users.clone(), 2)),
        other => panic!("{other:?}"),
    }
    // As in OpenSSH the user's and the system's file are one list: one that knows the host is enough.
    std::fs::write(&system, format!("10.77.0.1 {}\n", key_of("n1"))).expect("written");
    connect(&target).expect("known in the system's file");
    // Known there, a host is not written anew, also where only known ones are wanted.
    (target.known_hosts, target.strict) = (here.path().join("own"), true);
    connect(&target).expect("known in the system's file");
    assert!(!target.known_hosts.exists());
    std::fs::remove_file(&users).expect("removed");
    std::fs::write(&system, format!("10.77.0.1 {0}\n@revoked * {0}\n", key_of("n1"))).expect("written");
    match connect(&target) {
        Err(NodeConnectError::HostKeyRevoked { file, line, .. }) => assert_eq!((file, line), (system.clone(), 2)),
        other => panic!("{other:?}"),
    }
    // A certificate authority alone: said, and nothing is accepted behind its back.
    target.strict = false;
    std::fs::write(&system, format!("@cert-authority 10.77.0.* {}\n", key_of("n2"))).expect("written");
    match connect(&target) {
        Err(error @ NodeConnectError::HostKeyAuthority { line: 1, .. }) => {
            assert!(error.to_string().contains("does not read host certificates"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!target.known_hosts.exists());
    // RevokedHostKeys: lines, a binary list, and a file that is not there.
    std::fs::remove_file(&system).expect("removed");
    let (list, public) = (here.path().join("revoked"), here.path().join("host.pub"));
    std::fs::write(&public, format!("{}\n", key_of("n1"))).expect("written");
    for binary in [false, true] {
        if binary {
            let made = Command::new("ssh-keygen").args(["-q", "-k", "-f"]).arg(&list).arg(&public).status();
            assert!(made.expect("ssh-keygen").success());
        } else {
            std::fs::write(&list, format!("# bad keys\n{}\n", key_of("n1"))).expect("written");
        }
        target.revoked_keys = Some(list.clone());
        assert!(matches!(connect(&target), Err(NodeConnectError::HostKeyRevoked { file, .. }) if file == list));
        std::fs::write(&public, format!("{}\n", key_of("n2"))).expect("written");
        let made = Command::new("ssh-keygen").args(["-q", "-k", "-f"]).arg(&list).arg(&public).status();
        assert!(made.expect("ssh-keygen").success());
        connect(&target).expect("another key is revoked");
        std::fs::write(&public, format!("{}\n", key_of("n1"))).expect("written");
    }
    target.revoked_keys = Some(here.path().join("none"));
    assert!(matches!(connect(&target), Err(NodeConnectError::KnownHosts { .. })));
}

#[test]
fn two_factors_are_given_one_after_the_other() {
    let (lab, here) = (new_lab("factors", 1), folder());
    let hash = Command::new("openssl").args(["passwd", "-6", "pass word"]).output().expect("openssl").stdout;
    let hash = String::from_utf8(hash).expect("text");
    in_node(&lab, "n1", &format!("sed -i 's|^root:[^:]*:|root:{}:|' /etc/shadow", hash.trim()));
    second_sshd(
        &lab,
        "n1",
        2330,
        "PermitRootLogin yes\nPasswordAuthentication yes\nAuthenticationMethods publickey,password",
    );
    let (name, mut target) = on_port(&lab, 0, 2330, here.path());
    match connect(&lab, (name.clone(), target.clone())) {
        Err(error @ NodeConnectError::AuthFailed { .. }) => {
            let text = error.to_string();
            assert!(text.contains("the host takes password, after key ") && text.contains("not enough"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    target.password = Some(Secret::new("pass word"));
    assert_eq!(hostname(&connect(&lab, (name, target)).expect("connected")), "n1");
    lab.down().expect("down");
}

#[test]
fn one_session_at_a_time_is_enough() {
    let (lab, here) = (new_lab("single", 1), folder());
    second_sshd(&lab, "n1", 2340, "MaxSessions 1");
    for _ in 0..8 {
        let session = connect(&lab, on_port(&lab, 0, 2340, here.path())).expect("connected");
        assert_eq!(hostname(&session), "n1");
    }
    lab.down().expect("down");
}

#[test]
fn a_login_without_a_shell_is_told_in_the_hosts_own_words() {
    let (lab, here) = (new_lab("shells", 1), folder());
    let advice = "Please login as the user \\\"ubuntu\\\" rather than the user \\\"root\\\".";
    second_sshd(&lab, "n1", 2350, &format!("ForceCommand echo '{}'; exit 142", advice.replace('\\', "")));
    match connect(&lab, on_port(&lab, 0, 2350, here.path())) {
        Err(error @ NodeConnectError::NoShell { .. }) => {
            let text = error.to_string();
            assert!(text.contains("Please login as the user") && text.contains("ForceCommand"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    in_node(&lab, "n1", "usermod -s /usr/sbin/nologin root");
    match connect(&lab, node(&lab, 0)) {
        Err(error @ NodeConnectError::NoShell { .. }) => {
            assert!(error.to_string().contains("This account is currently not available"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    in_node(&lab, "n1", "usermod -s /bin/bash root; echo 'read -r name' > /root/.bashrc");
    match connect(&lab, node(&lab, 0)) {
        Err(error @ NodeConnectError::InputEaten { .. }) => assert!(error.to_string().contains("~/.bashrc"), "{error}"),
        other => panic!("{other:?}"),
    }
    lab.down().expect("down");
}
