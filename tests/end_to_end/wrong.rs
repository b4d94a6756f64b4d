//! What is wrong with nodes or with a plan: each has a message of its own, and its exit code.
use crate::nodes::Lab;
use crate::program::ProgramOutput;
use crate::stage::Stage;

const REST: &str = "name: wrong\ntarget: etcd\nworkload: register\nload: {time: 5s}\n";

/// Nodes that are wrong.
struct Case<'a> {
    what: &'a str,
    /// Makes it wrong, inside the second node.
    spoil: &'a str,
    /// The plan's `cluster:`.
    cluster: String,
    target: &'a str,
    /// What is said, beside the node's name.
    says: &'a [&'a str],
}

#[test]
fn each_thing_that_is_wrong_with_nodes_has_its_own_message() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 3);
    let recipe = "\
schema: 1
name: nopkg
doc: Not to be had.
packages: [{name: dsfuzz-no-such-package, provides: [dsfuzz-no-such-command]}]
processes: [{name: nopkg, start: [sleep, '1000'], ports: {client: 2379}}]
clients: [{interface: http, workloads: [register], builtin: etcd}]
";
    stage.write("recipe.yaml", recipe);
    let (good, second) = (lab.as_hosts(), lab.addresses[1].as_str());
    let known = lab.known_hosts.display().to_string();
    let strange = stage.write("strange_hosts", &other_key(&lab, second));
    let anew = stage.path("anew").display().to_string();
    let by_password = good
        .replace(&format!("key: {}", lab.key.display()), "port: 2222, password_env: E2E_PASSWORD")
        .replace(&known, &anew)
        .replace("strict: true", "strict: false");
    let sshd = "printf 'Port 2222\\nHostKey /etc/dsfuzz-lab/hostkey\\nPidFile none\\nUsePAM no\\nStrictModes no\\n\
                PasswordAuthentication yes\\nPermitRootLogin yes\\n' > /etc/dsfuzz-lab/sshd-2222; \
                /usr/sbin/sshd -f /etc/dsfuzz-lab/sshd-2222";
    for node in ["n1", "n3"] {
        lab.ask(node, sshd);
    }
    let cases = [
        Case {
            what: "a changed host key",
            spoil: "",
            cluster: good.replace(&known, &strange),
            target: "etcd",
            says: &["host key", "has CHANGED", "SHA256:", "line 2 of", "ssh-keygen -f"],
        },
        Case {
            what: "an unreachable node",
            spoil: "",
            cluster: good.replace(second, "10.77.0.99"),
            target: "etcd",
            says: &["10.77.0.99", "cannot reach", "attempts", "is the machine up"],
        },
        Case {
            what: "a wrong password",
            spoil: sshd,
            cluster: by_password,
            target: "etcd",
            says: &["cannot log in as root", "the host takes", "tried: password: Auth", "ssh.password_env"],
        },
        Case {
            what: "a missing package",
            spoil: "",
            cluster: good.clone(),
            target: "./recipe.yaml",
            says: &["package dsfuzz-no-such-package cannot be installed", "apt-get install -y", "on this machine"],
        },
        Case {
            what: "a disk that is nearly full",
            spoil: "fallocate -l $(( $(df --output=avail -B1 /var/lib/dsfuzz | tail -1) - 30000000 )) /var/lib/dsfuzz/fill; sync -f /var/lib/dsfuzz",
            cluster: good.clone(),
            target: "etcd",
            says: &["the disk is full", "MiB are free", "make room"],
        },
        Case {
            what: "a disk without any room",
            // What is not on the disk yet would be waited for by the next to write.
            spoil: "rm -rf /var/lib/dsfuzz/agent*; dd if=/dev/zero of=/var/lib/dsfuzz/more bs=4k 2>/dev/null; sync -f /var/lib/dsfuzz",
            cluster: good.clone(),
            target: "etcd",
            says: &["No space left", "room"],
        },
    ];
    for case in cases {
        if !case.spoil.is_empty() {
            lab.ask("n2", case.spoil);
        }
        let plan = REST.replace("target: etcd", &format!("target: {}", case.target));
        let plan = stage.write("plan.yaml", &format!("{plan}{}", case.cluster));
        let arguments = lab.exec("control", &[env!("CARGO_BIN_EXE_dsfuzz"), "run", &plan]);
        let output = stage.command(&arguments).env("E2E_PASSWORD", "not this one").output().expect("ran");
        let output = ProgramOutput::of(output);
        eprintln!("{}: {}", case.what, output.stdout.lines().rev().nth(2).unwrap_or_default());
        assert_eq!(output.code, 255, "{}: {output}", case.what);
        let node = if case.what == "an unreachable node" { "10.77.0.99" } else { second };
        // A missing package is missing everywhere, and said of the first node.
        let node = if case.what == "a missing package" { lab.addresses[0].as_str() } else { node };
        let last = output.stdout.lines().rev().nth(2).unwrap_or_default();
        for part in case.says.iter().chain([&node]) {
            assert!(last.contains(part), "{}: {part:?} is not in the last lines: {output}", case.what);
        }
        assert!(output.stdout.contains("report: "), "{output}");
    }
}

/// known_hosts with another node's key for this one.
fn other_key(lab: &Lab<'_>, node: &str) -> String {
    let text = std::fs::read_to_string(&lab.known_hosts).expect("known_hosts");
    let key = |line: &str| line.split_once(' ').expect("a line").1.to_owned();
    let first = key(text.lines().next().expect("a line"));
    let lines = text.lines().map(|line| {
        let name = line.split_once(' ').expect("a line").0;
        if line.starts_with(node) { format!("{name} {first}\n") } else { format!("{line}\n") }
    });
    lines.collect()
}

#[test]
fn each_thing_that_is_wrong_with_a_plan_has_its_own_message() {
    let stage = Stage::new();
    let mut bomb = String::from("name: p\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let good = format!("{REST}cluster: {{lab: 3}}\n");
    let cases = [
        (good.replace("workload:", "worklod:"), &["plan.yaml:3", "worklod", "^", "did you mean", "workload"][..]),
        (good.replace("5s", "-5s"), &["plan.yaml:4", "load.time", "cannot be negative", "-5s", "^"]),
        (bomb, &["plan.yaml", "20000 values", "aliases"]),
        (good.replace("etcd", "etdc"), &["etdc", "etcd"]),
        (good.replace("{lab: 3}", "{lab: no-such-lab}"), &["no lab named no-such-lab"]),
    ];
    for (plan, says) in cases {
        let plan = stage.write("plan.yaml", &plan);
        let output = stage.run(&["run", &plan]).exits(254).says(says);
        assert_eq!(output.stdout, "");
        assert!(stage.path("results/latest/junit.xml").exists(), "a job that reads the files finds out why");
        assert!(!stage.path("results/latest/journal").exists(), "nothing was touched");
    }
}
