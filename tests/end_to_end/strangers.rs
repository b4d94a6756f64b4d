//! A plain list of SSH hosts, given with key and known_hosts, works as a lab does.
use crate::nodes::Lab;
use crate::stage::{Stage, history};

#[test]
fn a_plain_list_of_hosts_works_as_a_lab_does() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 3);
    let rest = "\
name: strangers
target: etcd
options: {etcd: {heartbeat_ms: 50, election_ms: 500}}
workload: {register: {keys: 4}}
load: {clients: 2n, rate: 200/s, time: 28s}
evidence: {ok_min: 20}
nemesis:
  every: 10s
  for: 6s
  quiet_start: 2s
  quiet_end: 5s
  faults: [{partition: {shape: isolate-leader}}, {pause: {nodes: leader}}]
";
    let plan = stage.write("plan.yaml", &format!("{rest}{}", lab.as_hosts()));
    stage.run(&lab.exec("control", &[env!("CARGO_BIN_EXE_dsfuzz"), "run", &plan, "--seed", "5"])).exits(0);
    let dir = stage.latest("strangers");
    let history = history(&dir);
    assert_eq!(history.nodes, lab.addresses);
    assert_eq!(history.faults.len(), 2);
    assert!(history.faults.iter().all(|fault| fault.certain().is_some() && fault.healed.is_some()));
    for node in &lab.addresses {
        assert!(dir.node(node).join("etcd.log").is_file());
    }
    // What was tested is taken away again.
    assert!(lab.etcds().iter().all(String::is_empty), "{:?}", lab.etcds());
}
