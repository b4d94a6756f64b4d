//! The commands beside `run` and `check`, on real nodes.
use crate::nodes::Lab;
use crate::program::ProgramOutput;
use crate::stage::{Stage, eventually};
use nix::sys::signal::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const PLAN: &str = "\
name: commands
target: etcd
workload: register
load: {clients: 2, rate: 100/s, time: 3s}
evidence: {ok_min: 20}
";

#[test]
fn labs_and_doctors_answer_for_their_nodes() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 2);
    let listed = stage.run(&["lab", "list", "--json"]).exits(0).json();
    let own = listed.as_array().expect("labs").iter().find(|one| one["name"] == lab.name.as_str()).expect("listed");
    assert_eq!(own["nodes"][1]["address"], lab.addresses[1].as_str());
    stage.run(&["lab", "list"]).exits(0).says(&[&lab.name, "n1 10.77.0.1, n2 10.77.0.2"]);
    assert_eq!(stage.run(&lab.exec("n2", &["hostname"])).exits(0).stdout, "n2\n");
    stage.run(&lab.exec("n1", &["sh", "-c", "exit 7"])).exits(7);
    stage.run(&["lab", "exec", "--name", &lab.name, "n9", "--", "true"]).exits(254).says(&["no node n9"]);
    assert_eq!(stage.run(&["lab", "ssh", "--name", &lab.name, "n1", "hostname"]).exits(0).stdout, "n1\n");
    stage.run(&["lab", "up", "1", "--name", &lab.name]).exits(255).says(&["already up"]);

    let faults = "nemesis: {faults: [partition, kill, pause, clock]}\n";
    let plan = format!("{PLAN}cluster: {{lab: {}}}\n{faults}", lab.name).replace("time: 3s", "time: 60s");
    let plan = stage.write("plan.yaml", &plan);
    stage.run(&["doctor", &plan]).exits(0).says(&["vdso-clock", "packages", "these nodes can be tested"]);
    let looks = stage.run(&["doctor", &plan, "--json"]).exits(0).json();
    assert!(looks.as_array().expect("looks").len() > 10 && looks[0]["able"].is_boolean(), "{looks}");
    let lacking = stage.run(&["doctor", &plan, "--set", "cluster.ssh.own_kernel=true"]).exits(255);
    lacking.says(&["NO", "these nodes cannot be tested as the plan asks"]);

    let healed = stage.run(&["heal", "--lab", &lab.name]).exits(0);
    assert_eq!(healed.stdout, "n1: nothing was left\nn2: nothing was left\n", "{healed}");
    let own = stage.write("own.yaml", &format!("{PLAN}cluster: {{lab: 1}}\n"));
    let healed = stage.run(&["heal", &own]).exits(0).says(&["nothing is left to heal", "dsfuzz heal --lab NAME"]);
    assert_eq!(healed.stdout, "", "{healed}");
    stage.run(&["lab", "down", &lab.name]).exits(0).says(&["is down"]);
    stage.run(&["heal", "--lab", &lab.name]).exits(254).says(&["no lab named"]);
    stage.run(&["lab", "down", &lab.name]).exits(254).says(&["no lab named"]);
}

/// Without an index no package can be had, whatever its name.
#[test]
fn a_package_that_cannot_be_had_is_told_by_doctor_as_by_run() {
    let stage = Stage::new();
    let recipe = "\
schema: 1
name: nopkg
doc: Not to be had.
packages: [{pypi: dsfuzz-no-such-package, version: 9.9.9, provides: [bin/x]}]
processes: [{name: nopkg, start: [sleep, '1000'], ports: {client: 2379}}]
clients: [{interface: http, workloads: [register], builtin: etcd}]
";
    stage.write("recipe.yaml", recipe);
    let plan = PLAN.replace("target: etcd", "target: ./recipe.yaml") + "cluster: {lab: 1}\n";
    let plan = stage.write("plan.yaml", &plan);
    for verb in ["doctor", "run"] {
        let output = stage.command(&[verb, &plan]).env("PIP_NO_INDEX", "1").output().expect("ran");
        let output = ProgramOutput::of(output).exits(255);
        let output = output.says(&["package dsfuzz-no-such-package 9.9.9: pip download failed"]);
        assert!(!output.stdout.contains("not needed by this plan): package dsfuzz"), "{output}");
    }
}

#[test]
fn heal_undoes_what_is_left_when_nobody_else_could() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 1);
    let fault = "nemesis: {every: 60s, for: 50s, quiet_start: 0s, quiet_end: 1s, faults: [{pause: {nodes: all}}]}\n";
    let plan = format!("{PLAN}cluster: {{lab: {}}}\n{fault}", lab.name).replace("time: 3s", "time: 60s");
    let plan = stage.write("plan.yaml", &plan);
    let mut run = stage.start(&["run", &plan]);
    stage.await_proven(&mut run);
    // The agent and its guardian at once, while control cannot start others: none is left that could heal.
    run.signal(Signal::SIGSTOP);
    // Stopped first, so that neither sees the other die.
    let all = r#"
        them=$(for p in /proc/[0-9]*; do
            tr '\0' ' ' <$p/cmdline | grep -qE '^[^ ]*(dsfuzz-agent[^ ]* serve|exe guard) ' && echo ${p#/proc/}
        done)
        kill -STOP $them && kill -KILL $them
    "#;
    stage.run(&lab.exec("n1", &["bash", "-c", all])).exits(0);
    run.kill();
    let frozen = "cat $(find /sys/fs/cgroup -path '*etcd*' -name cgroup.freeze)";
    assert_eq!(lab.ask("n1", frozen), "1", "nothing was left to heal");
    let healed = stage.run(&["heal", &plan]).exits(0);
    assert!(healed.stdout.starts_with("n1: ") && !healed.stdout.contains("nothing was left"), "{healed}");
    assert_eq!(lab.ask("n1", frozen), "0");
    lab.await_clean();
    stage.run(&["heal", &plan]).exits(0).says(&["n1: nothing was left"]);
}

#[test]
fn what_is_left_running_runs_until_its_lab_goes_down() {
    let stage = Stage::new();
    let plan = stage.write("plan.yaml", &format!("{PLAN}cluster: {{lab: 1}}\n"));
    let run = stage.start(&["run", &plan, "--leave-running"]);
    let lab = format!("run-{}", run.id());
    let output = run.wait().exits(0);
    let probe = "exec 3<>/dev/tcp/n1/2379 && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
    let health = stage.run(&["lab", "exec", "--name", &lab, "n1", "--", "bash", "-c", probe]);
    let down = stage.run(&["lab", "down", &lab]);
    assert!(health.stdout.contains("\"true\""), "{health}");
    output.says(&[&format!("dsfuzz lab down {lab}")]);
    down.exits(0);
}

#[test]
fn a_dry_run_touches_nothing_and_is_the_same_for_one_seed() {
    let stage = Stage::new();
    let faults = "nemesis: {every: 5s, faults: [partition, kill, pause, clock]}\n";
    let plan = format!("{PLAN}cluster: {{lab: 5}}\n{faults}").replace("time: 3s", "time: 90s");
    let plan = stage.write("plan.yaml", &plan);
    let dry = |seed: &str| stage.run(&["plan", &plan, "--seed", seed, "--json"]).exits(0);
    let first = dry("1");
    first.json();
    assert_eq!(first.stdout, dry("1").stdout);
    assert_ne!(first.stdout, dry("2").stdout);
    stage.run(&["plan", &plan, "--seed", "1"]).exits(0).says(&["partition", "kill", "pause", "clock", "etcd"]);
    assert!(!stage.path("results").exists());
}

#[test]
fn runs_are_served_until_the_interrupt() {
    let stage = Stage::new();
    let plan = stage.write("plan.yaml", &format!("{PLAN}cluster: {{lab: 1}}\n"));
    stage.run(&["run", &plan]).exits(0);
    let mut server = stage.start(&["serve", "--port", "0"]);
    let address = eventually("an address", Duration::from_secs(20), || {
        server.assert_under_way("an address");
        server.stdout().strip_prefix("http://")?.strip_suffix("/\n").map(str::to_owned)
    });
    let list = get(&address, "/");
    assert!(list.starts_with("HTTP/1.1 200") && list.contains("commands"), "{list}");
    let link = list.split_once("href=\"/runs/commands/").and_then(|(_, rest)| rest.split_once('"')).expect("a link").0;
    let report = get(&address, &format!("/runs/commands/{link}"));
    assert!(report.starts_with("HTTP/1.1 200") && report.contains("commands"), "{report:.200}");
    server.signal(Signal::SIGINT);
    let output = server.wait();
    assert!([0, 130].contains(&output.code), "{output}");
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("answered");
    String::from_utf8_lossy(&bytes).into_owned()
}
