//! Partitions on real nodes with several addresses: a lab, real agents, the packet filter. These tests need root.
mod labs;
#[path = "labs/play.rs"]
mod play;

use dsfuzz::lab::Lab;
use dsfuzz_checkers::history::FaultStep;
use labs::{in_node, new_lab};
use play::{detail, play};
use serde_json::json;
use std::sync::atomic::{AtomicU16, Ordering};

/// Every node gets an address in a second network and one of IPv6, on the same wire.
fn more_addresses(lab: &Lab) {
    for (number, (node, _)) in (1..).zip(lab.nodes()) {
        let script =
            format!("ip addr add 10.78.0.{number}/24 dev eth0 && ip -6 addr add fd78::{number}/64 dev eth0 nodad");
        in_node(lab, &node.name, &script);
    }
}

/// Whether a node can connect to another one's address; the receiver is a plain program, not the agent. It ends by itself.
fn speaks(lab: &Lab, from: &str, to: &str, address: &str) -> bool {
    static PORT: AtomicU16 = AtomicU16::new(6000);
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    let listen = format!(
        "import socket; s = socket.create_server(('{address}', {port}), family=socket.AF_INET6 if ':' in '{address}' else \
         socket.AF_INET); print('up', flush=True); s.accept()"
    );
    let mut server = lab.node_command(to, &["timeout", "60", "python3", "-c", &listen]).expect("a command");
    let mut server = server.stdout(std::process::Stdio::piped()).spawn().expect("a server");
    let mut line = String::new();
    let stdout = server.stdout.take().expect("stdout");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("read");
    assert_eq!(line, "up\n");
    let ask = format!("import socket; socket.create_connection(('{address}', {port}), timeout=1)");
    let done = lab.node_command(from, &["python3", "-c", &ask]).expect("a command").output().expect("ran");
    server.kill().and_then(|()| server.wait()).expect("ended");
    done.status.success()
}

fn partition(shape: &str) -> serde_json::Value {
    json!({"partition": {"shape": shape}})
}

#[test]
fn a_partition_cuts_every_address_of_both_families_and_the_heal_removes_all() {
    let lab = new_lab("many", 3);
    more_addresses(&lab);
    let ways = ["10.77.0.2", "10.78.0.2", "fd78::2"];
    let before = ways.map(|address| speaks(&lab, "n1", "n2", address));
    assert_eq!(before, [true; 3]);
    let look = || {
        // Both directions, on every address; n2 and n3 are on one side.
        assert_eq!(ways.map(|address| speaks(&lab, "n1", "n2", address)), [false; 3]);
        assert_eq!(["10.78.0.1", "fd78::1"].map(|address| speaks(&lab, "n3", "n1", address)), [false; 2]);
        assert_eq!(ways.map(|address| speaks(&lab, "n3", "n2", address)), [true; 3]);
    };
    let (report, output) = play(&lab, partition("isolate-leader"), look);
    assert!(report.proven.is_some() && report.reproven.is_some() && report.healed, "{report:?}");
    let proof = detail(&output, FaultStep::Proven);
    // Four directed links; on each two by two addresses of IPv4, one of IPv6 and the link-local one.
    let pairs: u32 = proof
        .split("cut proven on ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("pairs")
        .parse()
        .expect("a number");
    assert!((20..=24).contains(&pairs) && proof.contains(&format!("on {pairs} of {pairs} address pairs")), "{proof}");
    assert_eq!(ways.map(|address| speaks(&lab, "n1", "n2", address)), [true; 3]);
    for node in ["n1", "n2", "n3"] {
        assert_eq!(in_node(&lab, node, "nft list tables"), "");
    }
    lab.down().expect("down");
}

#[test]
fn behind_a_firewall_a_cut_is_proven_over_the_targets_own_port() {
    let lab = new_lab("walled", 3);
    for node in ["n1", "n2", "n3"] {
        in_node(
            &lab,
            node,
            "nft add table inet wall && nft 'add chain inet wall in { type filter hook input priority 0; policy drop; }' && \
             nft add rule inet wall in ct state established,related accept && nft add rule inet wall in iif lo accept && \
             nft add rule inet wall in tcp dport '{ 22, 5005 }' accept",
        );
    }
    // Nothing listens on the target's port: a cut cannot be proven, and the words say which ports are filtered.
    let (report, output) = play(&lab, partition("isolate-leader"), || ());
    assert!(report.proven.is_none() && !report.healed, "{report:?}");
    let why = detail(&output, FaultStep::Unproven);
    assert!(why.contains("does not hear") && why.contains("UDP port 17077 is filtered"), "{why}");
    let serve =
        "import socket; s = socket.create_server(('0.0.0.0', 5005)); print('up', flush=True)\nwhile True: s.accept()";
    let mut servers: Vec<std::process::Child> = ["n1", "n2", "n3"]
        .iter()
        .map(|node| {
            let mut server = lab.node_command(node, &["timeout", "120", "python3", "-c", serve]).expect("a command");
            let mut server = server.stdout(std::process::Stdio::piped()).spawn().expect("a server");
            let mut line = String::new();
            let stdout = server.stdout.take().expect("stdout");
            std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("read");
            server
        })
        .collect();
    let (report, output) = play(&lab, partition("isolate-leader"), || ());
    for server in &mut servers {
        server.kill().and_then(|()| server.wait()).expect("ended");
    }
    assert!(report.proven.is_some() && report.reproven.is_some() && report.healed, "{report:?}");
    let proof = detail(&output, FaultStep::Proven);
    assert!(proof.contains("cut proven on 4 of 4 address pairs, 4 of them by TCP handshakes"), "{proof}");
    lab.down().expect("down");
}
