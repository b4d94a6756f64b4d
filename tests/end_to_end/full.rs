//! A disk that the target has filled: what earlier runs left is wiped, what is somebody else's stays, and each is said.
//! The disk is the lab node's own file system in a file.
use crate::nodes::Lab;
use crate::stage::Stage;

const PLAN: &str = "name: full\ntarget: TARGET\nworkload: {register: {keys: 4}}\ncheck: [linearizable]\n\
                    load: {clients: 1n, rate: 50/s, time: 2s, settle: 20s}\nevidence: {ok_min: 10}\n";

/// Fills the node's disk to the last byte with this file. The disk has taken it all: otherwise the next to write would wait for it,
/// and on a busy machine for longer than a connection may take.
fn fill(lab: &Lab<'_>, path: &str) {
    let script = format!(
        "mkdir -p $(dirname {path}); fallocate -l $(df --output=avail -B1 /var/lib/dsfuzz | tail -1) {path}; \
         dd if=/dev/zero of={path}.more bs=4k 2>/dev/null; sync -f {path}; echo $(df --output=avail -B1 /var/lib/dsfuzz | tail -1)"
    );
    assert_eq!(lab.ask("n1", &script), "0");
}

#[test]
fn a_disk_that_an_earlier_run_filled_is_wiped_and_one_that_others_filled_is_said() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 1);
    let write = |name: &str, target: &str| {
        stage.write(name, &format!("{}cluster: {{lab: {}}}\n", PLAN.replace("TARGET", target), lab.name))
    };
    let plan = write("plan.yaml", "etcd");
    let etcd = dsfuzz::targets::builtin_yaml("etcd").expect("built in");
    stage.write("older.yaml", &etcd.replacen("name: etcd", "name: older", 1));
    let older = write("older-plan.yaml", "./older.yaml");

    // Left by the target of this plan, then by the target of another. What is wiped loses its mark, so that each runs first.
    for (folder, of, seed) in [("etcd", &plan, "2"), ("older", &older, "3")] {
        stage.run(&["run", of, "--seed", "1"]).exits(0);
        let path = format!("/var/lib/dsfuzz/{folder}/data/chatty.log");
        fill(&lab, &path);
        stage.run(&["heal", "--lab", &lab.name]).exits(0).says(&["nothing was left"]);
        stage.run(&["doctor", &plan]).exits(0).says(&["the disk is full (0 MiB are free); a run first wipes "]);
        assert_eq!(lab.ask("n1", &format!("ls {path}")), path, "doctor changes nothing");
        stage.run(&["run", &plan, "--seed", seed]).exits(0).says(&["n1: the disk was full (0 MiB were free); wiped "]);
        assert_eq!(lab.ask("n1", &format!("ls {path} 2>/dev/null")), "");
    }

    // Somebody else's, in the same folder: named, and never removed.
    let path = "/var/lib/dsfuzz/mine/file";
    fill(&lab, path);
    let says = ["the disk is full: 0 MiB are free", "the largest there is /var/lib/dsfuzz/mine (", "make room"];
    stage.run(&["heal", "--lab", &lab.name]).exits(0);
    stage.run(&["doctor", &plan]).exits(255).says(&says);
    stage.run(&["run", &plan, "--seed", "4"]).exits(255).says(&says);
    assert_eq!(lab.ask("n1", &format!("ls {path}")), path);
}
