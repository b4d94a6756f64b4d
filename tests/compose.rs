//! `examples/compose`: its files fit each other, and a real sshd takes its settings. Docker itself is not started.
mod labs;

use labs::{in_node, new_lab};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/compose")
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_yaml::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A service with what it takes from the common part.
fn service(compose: &Value, name: &str) -> Value {
    let own = &compose["services"][name];
    let mut all = own["<<"].as_object().cloned().unwrap_or_default();
    all.extend(own.as_object().unwrap_or_else(|| panic!("no service {name}")).clone());
    Value::Object(all)
}

#[test]
fn the_nodes_of_the_plan_are_the_services_with_what_faults_need() {
    let (compose, plan) = (yaml("compose.yaml"), yaml("plan.yaml"));
    let nodes: Vec<&str> =
        plan["cluster"]["nodes"].as_array().expect("nodes").iter().filter_map(Value::as_str).collect();
    assert_eq!(nodes.len(), 5);
    let key = plan["cluster"]["ssh"]["key"].as_str().expect("a key");
    let image = service(&compose, "keys")["image"].clone();
    let services = compose["services"].as_object().expect("services").keys().map(|name| service(&compose, name));
    let builders = services.filter(|service| service["image"] == image && !service["build"].is_null());
    let targets: Vec<Value> = builders.map(|service| service["build"]["target"].clone()).collect();
    assert_eq!(targets, ["node"], "one service builds the image of the nodes");
    for node in &nodes {
        let service = service(&compose, node);
        assert_eq!(service["hostname"], *node);
        assert_eq!((&service["image"], &service["pull_policy"]), (&image, &Value::from("never")), "{node}");
        for needed in ["NET_ADMIN", "SYS_PTRACE"] {
            assert!(
                service["cap_add"].as_array().expect("capabilities").contains(&Value::from(needed)),
                "{node}: {needed}"
            );
        }
        assert!(service["volumes"].as_array().expect("volumes").contains(&Value::from("keys:/keys:ro")), "{node}");
        assert_eq!(service["networks"][0], "cluster");
    }
    let control = service(&compose, "control");
    assert_eq!(control["networks"][0], "cluster");
    assert!(
        control["volumes"].to_string().contains("keys:/keys:ro")
            && control["volumes"].to_string().contains("plan.yaml")
    );
    let depends: Vec<&str> =
        control["depends_on"].as_array().expect("nodes").iter().filter_map(Value::as_str).collect();
    assert_eq!(depends, nodes);
    let makes = service(&compose, "keys")["command"][2].as_str().expect("a script").to_owned();
    assert!(makes.contains(&format!("-f {key}")), "{makes}");
    let config = text("sshd_config");
    assert!(config.contains(&format!("AuthorizedKeysFile {key}.pub")), "{config}");
    assert!(config.contains(&format!("Port {}", plan["cluster"]["ssh"]["port"])), "{config}");
    let docker = text("Dockerfile");
    for part in
        ["AS node", "AS control", "COPY sshd_config /etc/ssh/sshd_config", "openssh-server", "nftables", "etcd-server"]
    {
        assert!(docker.contains(part), "{part}");
    }
    let said =
        Command::new(env!("CARGO_BIN_EXE_dsfuzz")).arg("plan").arg(folder().join("plan.yaml")).output().expect("ran");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn a_real_sshd_with_its_settings_takes_the_key_and_nothing_else() {
    let lab = new_lab("compose", 1);
    let write = |name: &str, to: &str| in_node(&lab, "n1", &format!("cat > {to} <<'E'\n{}E", text(name)));
    write("sshd_config", "/etc/ssh/sshd_config");
    let compose = yaml("compose.yaml");
    let makes = service(&compose, "keys")["command"][2].as_str().expect("a script").to_owned();
    in_node(&lab, "n1", &format!("mkdir /keys && {{ {makes}; }}"));
    // The lab's own sshd has port 22.
    in_node(&lab, "n1", "/usr/sbin/sshd -p 2222 -h /etc/dsfuzz-lab/hostkey -o PidFile=none");
    let here = tempfile::tempdir().expect("a folder");
    let key = here.path().join("key");
    fs::write(&key, in_node(&lab, "n1", "cat /keys/id_ed25519") + "\n").expect("written");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("private");
    let login = |options: &[&str]| {
        let mut ssh = lab.command("ssh").expect("a command");
        ssh.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o"]);
        ssh.arg(format!("UserKnownHostsFile={}", here.path().join("known_hosts").display())).args(["-p", "2222"]);
        let done = ssh.args(options).args(["root@10.77.0.1", "id -u"]).output().expect("ran");
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr),
        )
    };
    let with_key = ["-i", key.to_str().expect("text"), "-o", "IdentitiesOnly=yes"];
    let (well, said) = login(&with_key);
    assert!(well && said.starts_with("0\n"), "{said}");
    let (well, said) = login(&["-o", "PubkeyAuthentication=no"]);
    assert!(!well && said.contains("Permission denied (publickey)"), "{said}");
    lab.down().expect("down");
}
