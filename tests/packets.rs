//! Faults of some packets on real nodes: a lab, real agents, the packet filter. These tests need root.
mod labs;
#[path = "labs/play.rs"]
mod play;

use dsfuzz::lab::Lab;
use dsfuzz_checkers::history::FaultStep;
use labs::{in_node, new_lab};
use play::{detail, play};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server that answers what it reads, on one port of a node.
const ECHO: &str = "import socket, sys, threading
server = socket.create_server(('0.0.0.0', int(sys.argv[1])))
def echo(client):
    try:
        while data := client.recv(100): client.sendall(data)
    except OSError: pass
print('up', flush=True)
while True: threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()";

/// A client that keeps one connection and asks on and on. It prints its state when that changes.
const CLIENT: &str = "import socket, sys, time
link, was = None, ''
while True:
    try:
        link = link or socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.4)
        link.sendall(b'x')
        now = 'open' if link.recv(1) else 'ended'
    except socket.timeout: now = 'silent'
    except ConnectionError as error: now = type(error).__name__
    if now != 'open': link = None
    if now != was: print(now, flush=True)
    was = now
    time.sleep(0.02)";

/// A program that is killed with the test.
struct Program {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Program {
    fn start(mut command: Command, arguments: &[&str]) -> Program {
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("a program");
        let lines = BufReader::new(child.stdout.take().expect("stdout"));
        Program { child, lines }
    }

    fn in_node(lab: &Lab, node: &str, script: &str, arguments: &[&str]) -> Program {
        let argv = ["timeout", "120", "python3", "-c", script];
        Program::start(lab.node_command(node, &argv).expect("a command"), arguments)
    }

    /// Waits until it prints this line.
    fn says(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).expect("read"), 0, "it ended before {wanted}: {seen:?}");
            if line.trim() == wanted {
                return;
            }
            seen.push(line);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn echo_servers(lab: &Lab, port: &str) -> Vec<Program> {
    let nodes = lab.nodes();
    let mut servers: Vec<Program> =
        nodes.iter().map(|(node, _)| Program::in_node(lab, &node.name, ECHO, &[port])).collect();
    servers.iter_mut().for_each(|server| server.says("up"));
    servers
}

fn nothing_is_left(lab: &Lab) {
    for (node, _) in lab.nodes() {
        assert_eq!(in_node(lab, &node.name, "nft list tables"), "");
    }
}

#[test]
fn a_rejected_role_resets_its_connections_and_leaves_every_other_port_alone() {
    let lab = new_lab("role", 3);
    let servers = [echo_servers(&lab, "5005"), echo_servers(&lab, "5009")];
    let mut of_role = Program::in_node(&lab, "n1", CLIENT, &["10.77.0.2", "5005"]);
    let mut other_port = Program::in_node(&lab, "n1", CLIENT, &["10.77.0.2", "5009"]);
    let mut other_side = Program::in_node(&lab, "n3", CLIENT, &["10.77.0.2", "5005"]);
    for client in [&mut of_role, &mut other_port, &mut other_side] {
        client.says("open");
    }
    let fault = json!({"partition": {"shape": "isolate-leader", "how": "reject", "ports": "peer"}});
    let (report, output) = play(&lab, fault, || {
        of_role.says("ConnectionResetError");
        of_role.says("ConnectionRefusedError");
    });
    assert!(report.proven.is_some() && report.reproven.is_some() && report.healed, "{report:?}");
    assert!(report.what.ends_with(", only ports peer by reject"), "{}", report.what);
    let proof = detail(&output, FaultStep::Proven);
    // Two by two links of one pair of addresses are cut; n2 and n3 speak both ways.
    assert!(proof.contains("no handshake on 4 address pairs of ports peer, 2 others speak"), "{proof}");
    assert!(proof.contains("the agents' datagrams arrive on all 6 links"), "{proof}");
    assert!(output.iter().all(|event| event.cut.is_empty()), "the nodes reach each other over other ports: {output:?}");
    of_role.says("open");
    drop(servers);
    // What was never anything but open has no more to say than its end.
    for client in [&mut other_port, &mut other_side] {
        let mut line = String::new();
        client.lines.read_line(&mut line).expect("read");
        assert_ne!(line.trim(), "open", "its connection was touched");
    }
    nothing_is_left(&lab);
    lab.down().expect("down");
}

#[test]
fn clients_are_cut_from_one_side_and_the_agents_are_not() {
    let lab = new_lab("clients", 3);
    let servers = echo_servers(&lab, "5006");
    let client = |address: &str| {
        let mut command = lab.command("timeout").expect("a command");
        command.args(["120", "python3", "-c", CLIENT]);
        let mut client = Program::start(command, &[address, "5006"]);
        client.says("open");
        client
    };
    let (mut cut, mut kept) = (client("10.77.0.1"), client("10.77.0.2"));
    let fault = json!({"partition": {"shape": "isolate-leader", "clients": true}});
    let (report, output) = play(&lab, fault, || cut.says("silent"));
    assert!(report.proven.is_some() && report.reproven.is_some() && report.healed, "{report:?}");
    let proof = detail(&output, FaultStep::Proven);
    assert!(proof.contains("packets of clients were cut") && proof.contains("cut proven on"), "{proof}");
    assert!(output.iter().any(|event| event.cut.len() == 4), "{output:?}");
    cut.says("open");
    drop(servers);
    let mut line = String::new();
    kept.lines.read_line(&mut line).expect("read");
    assert_ne!(line.trim(), "open", "its connection was touched");
    nothing_is_left(&lab);
    lab.down().expect("down");
}

#[test]
fn a_role_whose_ports_do_not_answer_cannot_be_proven_cut() {
    let lab = new_lab("dumb", 2);
    let (report, output) = play(&lab, json!({"partition": {"shape": "halves", "ports": "peer"}}), || ());
    assert!(report.proven.is_none(), "{report:?}");
    let why = detail(&output, FaultStep::Unproven);
    assert!(why.contains("no port of the role peer answers between n1 and n2"), "{why}");
    nothing_is_left(&lab);
    lab.down().expect("down");
}

/// One-way latencies of datagrams between two nodes, in milliseconds, sorted: a program in each, and the one clock of the kernel.
fn latencies(lab: &Lab, from: &str, to: &str, address: &str) -> Vec<f64> {
    let receive = "import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 6006)); s.settimeout(5); print('up', flush=True)
for _ in range(100):
    sent = int(s.recv(99))
    print((time.monotonic_ns() - sent) / 1e6, flush=True)";
    let send = "import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100): s.sendto(b'%d' % time.monotonic_ns(), (sys.argv[1], 6006)); time.sleep(0.003)";
    let mut receiver = Program::in_node(lab, to, receive, &[address]);
    receiver.says("up");
    let done = lab.node_command(from, &["python3", "-c", send, address]).expect("a command").status().expect("ran");
    assert!(done.success());
    let mut late: Vec<f64> = (0..100)
        .map(|_| {
            let mut line = String::new();
            receiver.lines.read_line(&mut line).expect("read");
            line.trim().parse().expect("a number: no datagram is lost")
        })
        .collect();
    late.sort_by(f64::total_cmp);
    late
}

#[test]
fn a_delay_of_one_directed_link_is_measured_by_a_program_of_its_own() {
    let lab = new_lab("delay", 3);
    let link = json!({"from": "n1", "to": "n2"});
    let fault = json!({"packet": {"delay": {"mean": "50ms", "jitter": "5ms"}, "link": link}});
    let mut seen = Vec::new();
    let (report, output) = play(&lab, fault, || {
        for (from, to, address) in [("n1", "n2", "10.77.0.2"), ("n2", "n1", "10.77.0.1"), ("n1", "n3", "10.77.0.3")] {
            let late = latencies(&lab, from, to, address);
            println!("{from} to {to}: median {:.2} ms, 10 to 90 % {:.2} to {:.2} ms", late[50], late[10], late[90]);
            seen.push(late);
        }
    });
    println!("{}", detail(&output, FaultStep::Proven));
    assert!(report.proven.is_some() && report.reproven.is_some() && report.healed, "{report:?}");
    let median = |at: usize| seen[at][50];
    assert!((40.0..=60.0).contains(&median(0)), "{:?}", seen[0]);
    assert!(seen[0][0] > 44.0, "one came too early: {:?}", seen[0]);
    assert!(median(1) < 10.0 && median(2) < 10.0, "{} {}", median(1), median(2));
    let after = latencies(&lab, "n1", "n2", "10.77.0.2");
    assert!(after[50] < 10.0, "{after:?}");
    nothing_is_left(&lab);
    lab.down().expect("down");
}

#[test]
fn each_packet_fault_is_proven_and_healed() {
    let lab = new_lab("packet", 3);
    let mut unproven = Vec::new();
    for (effect, place) in [
        (json!({"loss": 30}), json!({"nodes": "leader", "direction": "in"})),
        (json!({"loss": {"percent": 30, "burst": 4}}), json!({"link": {"from": "n2", "to": "n3"}})),
        (json!({"every_nth": 3}), json!({"nodes": "leader", "direction": "out"})),
        (json!({"duplicate": 20}), json!({"nodes": "leader"})),
        (json!({"corrupt": 20}), json!({"nodes": "leader"})),
        (json!({"rate": 1000}), json!({"nodes": "leader", "direction": "in"})),
        (json!({"mtu": 600}), json!({"nodes": "all"})),
        (json!({"delay": {"mean": "80ms", "jitter": "20ms"}}), json!({"nodes": "leader"})),
        (json!({"reorder": {"percent": 25, "by": "10ms"}}), json!({"nodes": "leader", "direction": "out"})),
        (json!({"flap": {"period": "200ms", "down": "80ms"}}), json!({"link": {"from": "n3", "to": "n1"}})),
        (json!({"loss": 40}), json!({"link": {"from": "n1", "to": "n2"}, "ports": "peer"})),
    ] {
        let mut options = effect;
        options.as_object_mut().expect("options").extend(place.as_object().expect("a place").clone());
        let (report, output) = play(&lab, json!({"packet": options}), || ());
        let last = output.iter().map(|event| format!("{:?}: {}", event.step, event.detail.join(" | ")));
        let told: Vec<String> = last.filter(|line| !line.starts_with("Planned")).collect();
        println!("{}\n  {}", report.what, told.join("\n  "));
        if !(report.proven.is_some() && report.reproven.is_some() && report.healed) {
            unproven.push(report.what);
        }
        nothing_is_left(&lab);
    }
    assert_eq!(unproven, [""; 0]);
    lab.down().expect("down");
}
