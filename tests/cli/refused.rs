//! What is refused with 254 before a node is touched, or before anything is judged, and what the program says before.
use super::{PLAN, Scene};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

const RECIPE: &str = "schema: 1
name: mine
doc: A target of a test.
options: {sync: {default: true, doc: Whether it syncs.}}
processes: [{name: db, start: [db], ports: {client: 1}}]
role:
  ask: {http: {port: client, path: /role}}
  roles: [{name: ruler, where: [{is: {of: {json: /role}, value: ruler}}]}, {name: other}]
clients: [{interface: text, workloads: [register], command: [./client.sh]}]
";
const OWN: &str = "name: p\ncluster: {lab: 3}\ntarget: ./mine.yaml\nworkload: register\nload: {time: 60s}\n";

/// A plan on a recipe of its own with its client, both changed by the test.
fn own(plan: &str, recipe: &str) -> Scene {
    let scene = Scene::new(plan);
    let client = scene.folder.path().join("client.sh");
    std::fs::write(scene.folder.path().join("mine.yaml"), recipe).expect("a recipe is written");
    std::fs::write(&client, "#!/bin/sh\n").expect("a client is written");
    std::fs::set_permissions(client, std::fs::Permissions::from_mode(0o755)).expect("it may be executed");
    scene
}

/// The same refusal of `plan`, `doctor` and `run`, before a node is touched.
#[track_caller]
fn refused_by_all(scene: &Scene, part: &str) {
    for verb in ["plan", "doctor", "run"] {
        let output = scene.run(&[verb, "plan.yaml"]);
        assert_eq!(output.code, 254, "{verb}: {output:?}");
        assert!(output.stderr.contains(part), "{verb}: {output:?}");
    }
}

#[test]
fn settings_that_would_silently_not_be_in_force_are_refused_by_plan_doctor_and_run_alike() {
    for (more, part) in [
        ("options: {mein: {sync: false}}", "options: mein: the recipe of this plan is named mine"),
        ("options: {etcd: {serializable: true}}", "would not be in force"),
        ("check: [total-queue]", "the checker `total-queue` cannot judge what this plan runs (register)"),
        ("nemesis: {faults: [{kill: {nodes: folower}}]}", "folower is neither a node (n1, n2, n3) nor"),
        (
            "nemesis: {faults: [{kill: {nodes: follower}}]}",
            "kill: nodes: follower: the recipe of mine names no role that leads",
        ),
        (
            "nemesis: {faults: [{kill: {nodes: leader}}]}",
            "kill: nodes: leader: the recipe of mine names no role that leads",
        ),
        ("nemesis: {faults: [{partition: {shape: isolate-leader}}]}", "partition: shape: isolate-leader: the recipe"),
        (
            "nemesis: {faults: [{kill: {nodes: learners}}]}",
            "kill: learners: the recipe does not ask for the members of the cluster (`members`)",
        ),
        ("nemesis: {faults: [{kill: {}}], overlap: 1.5}", "a whole number from 1 to 8 is expected, not 1.5"),
        ("nemesis: {faults: [{partition: {from: n1, to: n2}}]}", "stand under `cut`: `cut: {from: n1, to: n2}`"),
        ("nemesis: {faults: [{memory: {limit: 1000KB}}]}", "with B, kB (1000), MB, GB, KiB (1024), MiB or GiB"),
        ("nemesis: {faults: [kill], every: 1ns}\nload: {time: 600h}", "faults"),
        ("load: {clients: 4000000000}", "4000000000 clients; at most 10000 are held"),
        ("load: {clients: 9000n}", "9000n clients for each of 3 nodes make 27000; at most 10000 are held"),
        ("load: {joining: 20000}", "20000 clients that join for each of 3 nodes make 60000"),
        ("check: [{linearizable: {model: stack}}]", "the model `stack` (push, pop) knows the functions of no workload"),
        ("evidence: {ok_during_fault_min: {kil: 1}}", "no fault is of the kind `kil`"),
        ("workload: {register: {keys: 0}}", "no key at all would be used"),
        ("workload: {register: {keys: 4000000000}}", "at most 100000 are held"),
        ("workload: {register: {ops_per_key: 0}}", "no key would get a call"),
        ("workload: {register: {values: 0}}", "nothing to write"),
        ("workload: {register: {mix: {read: 0, write: 0, cas: 0}}}", "every weight is 0"),
        ("workload: set", "has no client for workload set"),
    ] {
        let mut plan: Vec<&str> = OWN.lines().collect();
        for line in more.lines() {
            let key = line.split(':').next().expect("a key");
            plan.retain(|old| !old.starts_with(&format!("{key}:")));
            plan.push(line);
        }
        refused_by_all(&own(&plan.join("\n"), RECIPE), part);
    }
    let absent = RECIPE.replace("./client.sh", "./absent.sh");
    refused_by_all(&own(OWN, &absent), "absent.sh");
    for (command, why) in [
        ("[python3, absent.py]", "there is no file"),
        ("python3 absent.py", "there is no file"),
        ("[no-such-program, x]", "no program `no-such-program` is in PATH"),
        ("[no-such-program]", "no program `no-such-program` is in PATH"),
        ("no-such-program", "no program `no-such-program` is in PATH"),
        ("'A=1 exec no-such-program --x \"$A\" | cat'", "no program `no-such-program` is in PATH"),
        ("'./absent/client.sh 2>&1'", "there is no"),
        ("[./mine.yaml]", "is not an executable file"),
    ] {
        let scene = own(OWN, &RECIPE.replace("[./client.sh]", command));
        refused_by_all(&scene, "the client of mine for workload register cannot be started: ");
        refused_by_all(&scene, why);
    }
    for command in
        ["[./client.sh]", "./client.sh", "'cd . && ./client.sh'", "'while :; do :; done'", "'python3 -c pass'"]
    {
        let output = own(OWN, &RECIPE.replace("[./client.sh]", command)).run(&["plan", "plan.yaml"]);
        assert_eq!(output.code, 0, "{command}: {output:?}");
    }
    refused_by_all(&own(OWN, &RECIPE.replacen("doc:", "election: soon\ndoc:", 1)), "election: not a duration");
}

/// Before, these passed `plan` and failed, or waited without end, in the lab.
#[test]
fn a_value_that_a_target_does_not_take_is_refused_with_its_bound() {
    for (target, workload, given, said) in [
        ("zookeeper", "register", "session_ms: -5", "zookeeper.session_ms: -5 is not a whole number from 1 to 400000"),
        ("zookeeper", "register", "tick_ms: 0", "zookeeper.tick_ms: 0 is not a whole number from 100 to 20000"),
        ("zookeeper", "register", "session_ms: 21000", "zookeeper.session_ms: 21000 is more than 20000 (tick_ms * 20)"),
        (
            "nats",
            "set",
            "replicas: 9",
            "nats.replicas: 9 is not a whole number from 1 to 5, at most the number of nodes",
        ),
        ("nats", "set", "replicas: 4", "nats.replicas: 4 is more than 3 (the number of nodes)"),
        ("rabbitmq", "queue", "net_ticktime: 0", "rabbitmq.net_ticktime: 0 is not a whole number from "),
        ("patroni", "register", "ttl: 5", "patroni.ttl: 5 is not a whole number from 20 to "),
        ("etcd", "register", "binary: ''", "etcd.binary: \"\" is not a text that matches `^\\S+$`"),
        (
            "etcd",
            "register",
            "heartbeat_ms: 500",
            "etcd.election_ms: 1000, its default, is less than 2500 (heartbeat_ms * 5)",
        ),
        ("redis-sentinel", "register", "wait: 3", "redis-sentinel.wait: 3 is more than 2 (the number of nodes - 1)"),
    ] {
        let plan = format!(
            "name: p\ncluster: {{lab: 3}}\ntarget: {target}\nworkload: {workload}\noptions: {{{target}: {{{given}}}}}\n"
        );
        refused_by_all(&Scene::new(&plan), &format!("option {said}"));
    }
    let recipe = RECIPE.replace(
        "doc: Whether it syncs.",
        "doc: Whether it syncs.}, copies: {default: 1, doc: d, at_most: '{{ nodes }}'",
    );
    refused_by_all(&own(OWN, &recipe), "options.copies.at_most: ");
}

#[test]
fn versions_of_registers_are_refused_where_the_client_has_none() {
    let plan = |target: &str| {
        format!("name: p\ncluster: {{lab: 3}}\ntarget: {target}\nworkload: {{sessions: {{versions: true}}}}\n")
    };
    let said = "sessions: versions: the client redis of redis-sentinel says no versions; leave the option out, or take a \
                target whose client does: etcd, zookeeper, postgres, patroni, galera, nats, tarantool";
    refused_by_all(&Scene::new(&plan("redis-sentinel")), said);
    assert_eq!(Scene::new(&plan("etcd")).run(&["plan", "plan.yaml"]).code, 0);
}

#[test]
fn a_target_that_is_no_regular_file_is_refused_unread() {
    for target in ["/dev/zero", "./pipe"] {
        let scene = Scene::new(&PLAN.replace("target: etcd", &format!("target: {target}")));
        let made = Command::new("mkfifo").arg(scene.folder.path().join("pipe")).status().expect("mkfifo runs");
        assert!(made.success());
        refused_by_all(&scene, "it is not a regular file");
    }
}

#[test]
fn a_role_that_leads_can_have_any_name() {
    let leader = "\nnemesis: {faults: [{kill: {nodes: leader}}]}\n";
    let scene = own(&format!("{OWN}{leader}"), &RECIPE.replace("{name: ruler,", "{name: ruler, leads: true,"));
    assert_eq!(scene.run(&["plan", "plan.yaml"]).code, 0);
    let scene = own(&format!("{OWN}{leader}"), &RECIPE.replace("name: ruler", "name: primary"));
    assert_eq!(scene.run(&["plan", "plan.yaml"]).code, 0);
}

#[test]
fn a_dry_run_names_the_checkers_that_are_asked_and_what_evidence_asks() {
    let output = own(OWN, RECIPE).run(&["plan", "plan.yaml"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("check      linearizable"), "{output:?}");
    assert!(output.stdout.contains("split-brain: not asked (no leader, no cut)"), "{output:?}");
    assert!(output.stdout.contains("5s for a call"), "{output:?}");
    let plan = PLAN.replace("10s", "60s") + "nemesis: {faults: [{kill: {nodes: all}}, partition]}\n";
    let output = Scene::new(&plan).run(&["plan", "plan.yaml"]);
    assert_eq!(output.code, 0, "{output:?}");
    for part in [
        "check      linearizable, split-brain",
        "3s for a call",
        "kill, partition: proven 1 times for 500ms or longer; ",
    ] {
        assert!(output.stdout.contains(part), "{part}: {output:?}");
    }
    assert!(
        output.stderr.contains("`nemesis.faults[0]`: kill: it may take every node, and then none answers"),
        "{output:?}"
    );
}

#[test]
fn a_load_that_is_too_short_is_told_with_the_one_that_will_do_before_anything_is_touched() {
    // No such host can be: doctor and run get no further than its name.
    let plan = PLAN.replace("{lab: 3}", "{nodes: [nosuchhost.invalid, b.invalid]}");
    let plan = plan + "nemesis: {faults: [{kill: {nodes: one}}, partition]}\n";
    for verb in ["plan", "doctor", "run"] {
        let output = Scene::new(&plan).run(&[verb, "plan.yaml", "--time", "30s"]);
        let part = "kill, partition cannot come: a load of 30s has room for none of 2 faults";
        assert!(output.stderr.contains(part), "{verb}: {output:?}");
        assert!(
            output.stderr.contains("a load of 43s holds one of each (`load.time`, `--time`)"),
            "{verb}: {output:?}"
        );
        let enough = Scene::new(&plan).run(&[verb, "plan.yaml", "--time", "43s"]);
        assert!(!enough.stderr.contains("cannot come"), "{verb}: {enough:?}");
    }
    for (change, part) in [
        ("nemesis.for=700ms", "kill: a fault of 700ms proves too little"),
        ("load={rate: 1/s, time: 60s}", "the load makes 60 calls at the most, and evidence asks for 100"),
        ("load.ops_max=50", "the load makes 50 calls at the most"),
    ] {
        let output = Scene::new(&plan).run(&["plan", "plan.yaml", "--time", "60s", "--set", change]);
        assert!(output.code == 0 && output.stderr.contains(part), "{change}: {output:?}");
    }
}

#[test]
fn a_dry_run_says_what_the_seed_draws_and_the_same_seed_says_the_same() {
    let plan = PLAN.replace("time: 10s", "time: 120s")
        + "nemesis:\n  swarm: true\n  overlap: 2\n  quiet: {every: 40s, for: 10s}\n  recovery: {within: 10s}\n\
           \x20 faults: [{kill: {}}, {pause: {}}, {clock: {}}, {partition: {}}]\n";
    let scene = Scene::new(&plan);
    let json = |seed: &str| scene.run(&["plan", "plan.yaml", "--json", "--seed", seed]).stdout;
    assert_eq!(json("3"), json("3"));
    let mut left_out = 0;
    for seed in ["1", "2", "3", "4"] {
        let dry: serde_json::Value = serde_json::from_str(&json(seed)).expect("json");
        let names = |key: &str| -> Vec<String> {
            let all = dry["swarm"][key].as_array().expect("a list");
            all.iter().map(|one| one.as_str().or(one[0].as_str()).expect("a name").to_owned()).collect()
        };
        let (drawn, not_drawn) = (names("drawn"), names("not_drawn"));
        assert!(!drawn.is_empty() && drawn.len() + not_drawn.len() == 4, "{dry}");
        left_out += not_drawn.len();
        let asked = dry["evidence"].to_string();
        let faults = dry["timetable"].to_string();
        for kind in &not_drawn {
            assert!(!asked.contains(&format!("{kind}: proven")) && !faults.contains(kind.as_str()), "{kind}: {dry}");
        }
        assert!(drawn.iter().all(|kind| asked.contains(&format!("{kind}: proven"))), "{dry}");
        assert!(dry["checkers"].to_string().contains("liveness"), "{dry}");
    }
    assert!(left_out > 0, "four seeds leave something out");
    let output = scene.run(&["plan", "plan.yaml", "--seed", "3"]);
    for part in [
        "swarm      this seed drew ",
        "#1 is n1, #2 is n2, #3 is n3",
        "overlap: up to 2 are in force at once, and together they leave a quorum (`budget: quorum`)",
        "quiet: none is in force in the last 10s of each 40s of the load (from 30s to 40s, ..)",
        "recovery: every node must answer again within 10s after each heal, unless another fault comes sooner",
    ] {
        assert!(output.code == 0 && output.stdout.contains(part), "{part}: {output:?}");
    }
}

#[test]
fn a_dry_run_warns_of_the_faults_of_its_seed_alone() {
    let plan = PLAN.replace("time: 10s", "time: 42s")
        + "nemesis:\n  swarm: {chance: 30}\n  faults: [{kill: {}}, {pause: {}}, {clock: {}}, {partition: {}}]\n";
    let scene = Scene::new(&plan);
    let (mut warned, mut silent) = (0, 0);
    for seed in 1..12 {
        let output = scene.run(&["plan", "plan.yaml", "--json", "--seed", &seed.to_string()]);
        let dry: serde_json::Value = serde_json::from_str(&output.stdout).expect("json");
        let drawn = dry["swarm"]["drawn"].to_string();
        let Some((before, _)) = output.stderr.split_once(" cannot come") else {
            silent += 1;
            continue;
        };
        warned += 1;
        let kinds = before.lines().last().expect("a line").rsplit(": ").next().expect("kinds");
        assert!(kinds.split(", ").all(|kind| drawn.contains(kind)), "{kinds} of {drawn}: {}", output.stderr);
    }
    assert!(warned > 0 && silent > 0, "{warned} seeds with and {silent} without a warning");
}

#[test]
fn a_fault_that_can_never_come_is_refused_with_what_to_do() {
    let plan = PLAN.replace("time: 10s", "time: 60s");
    let drawn = |fault: &str| format!("{plan}nemesis: {{faults: [{fault}]}}\n");
    let scheduled = |entries: &str| format!("{plan}nemesis: {{schedule: [{entries}]}}\n");
    for (plan, part) in [
        (drawn("{power-loss: {torn: 200}}"), "power-loss: torn: 200: a chance in percent is at most 100"),
        (drawn("{disk: {effect: {errors: {percent: 200}}}}"), "disk: errors: percent: 200; 1 to 100 are possible"),
        (drawn("{packet: {loss: 200}}"), "packet: loss: 1 to 100 percent, not 200"),
        (drawn("{clock: {drift: 150%}}"), "clock: drift: at most 99.9999%"),
        (drawn("{clock: {strobe: {period: 0s}}}"), "clock: strobe: a period below 1ms"),
        (
            drawn("{partition: {shape: halves, cut: [n1, n2]}}"),
            "partition: both `shape` and `cut`: leave one of them out",
        ),
        (scheduled("{id: a, at: 5s, power-loss: {torn: 200}}"), "fault a: power-loss: torn: 200"),
        (scheduled("{id: a, at: 5s, partition: {cut: [n1, n1]}}"), "cut: n1 is on two sides"),
        (scheduled("{id: a, at: 5s, kill: {nodes: {same_as: a}}}"), "a fault cannot take its own nodes"),
        (scheduled("{id: a, when: {ok: 0}, kill: {}}"), "`ok` counts from 1"),
        (scheduled("{id: a, at: 2m, kill: {}}"), "fault a cannot come: it would end at 2m 6s"),
        (
            scheduled("{id: a, when: {log: x, node: n9}, kill: {}}"),
            "fault a: when: node: n9 is not a node (n1, n2, n3)",
        ),
        (drawn("{kill: {}}").replace("faults:", "quiet: {every: 10s, for: 9s}, faults:"), "a fault of 6s needs 7s"),
        (drawn("{kill: {}}").replace("faults:", "swarm: {chance: 0}, faults:"), "1 to 100 percent are possible"),
        (drawn("{kill: {}}").replace("faults:", "recovery: {within: 10s}, quiet_end: 5s, faults:"), "too short to see"),
        (scheduled("{id: a, at: 5s, kill: {}}").replace("schedule:", "overlap: 2, schedule:"), "faults that are drawn"),
        (
            scheduled("{id: p, at: 5s, kill: {}}, {id: b, at: 12s, pause: {nodes: p.leader}}"),
            "the nodes of a fault are {same_as: p.leader}",
        ),
        (
            scheduled("{id: p, at: 20s, kill: {}}, {id: b, when: {fault: p}, unless_by: 10s, pause: {}}"),
            "fault b cannot come: unless_by",
        ),
    ] {
        refused_by_all(&Scene::new(&plan), part);
    }
}

#[test]
fn a_lab_that_is_not_up_and_a_plan_that_is_no_file_are_refused_by_all() {
    refused_by_all(&Scene::new(&PLAN.replace("{lab: 3}", "{lab: nosuch}")), "no lab named nosuch is up");
    let scene = Scene::new(PLAN);
    let made = Command::new("mkfifo").arg(scene.folder.path().join("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    std::fs::create_dir(scene.folder.path().join("folder")).expect("a folder");
    for verb in ["plan", "doctor", "run", "heal"] {
        for (plan, part) in
            [("pipe", "it is not a regular file"), ("folder", "it is a folder"), ("none.yaml", "No such file")]
        {
            let output = scene.run(&[verb, plan]);
            assert!(output.code == 254 && output.stderr.contains(part), "{verb} {plan}: {output:?}");
        }
    }
    let output = scene.run(&["heal", "--lab", "nosuch"]);
    assert!(output.code == 254 && output.stderr.contains("no lab named nosuch is up"), "{output:?}");
}

const START: &str = r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":""}"#;
const CALL: &str = r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"register","f":"write","value":1}"#;

#[test]
fn a_bad_input_file_is_a_wrong_argument_and_named() {
    let scene = Scene::new(PLAN);
    let write = |name: &str, text: &str| std::fs::write(scene.folder.path().join(name), text).expect("written");
    write("empty.jsonl", "");
    write("blank.jsonl", "\n  \n");
    write("damaged.jsonl", &format!("{START}\n{CALL}\n{{\"type\":\"ok\",\"ind\n{CALL}\n"));
    write("broken.jsonl", &format!("{START}\n{CALL}\n{CALL}\n"));
    write("noise.bin", "\u{1}\u{2}\u{3}");
    write("worker.jsonl", &CALL.replace("worker", "wroker"));
    write("workload.jsonl", &(CALL.replace("workload", "worklaod") + "\n"));
    write("version.jsonl", &format!("{}\n{CALL}\n", START.replace("version", "verison")));
    std::fs::create_dir(scene.folder.path().join("folder")).expect("a folder");
    for (file, part) in [
        ("empty.jsonl", "empty.jsonl is empty: there is no history in it"),
        ("blank.jsonl", "blank.jsonl is empty"),
        ("damaged.jsonl", "damaged.jsonl: line 3"),
        ("broken.jsonl", "broken.jsonl: line 3"),
        ("noise.bin", "no format begins so: name the format, one of jsonl, "),
        ("workload.jsonl", "no record has a field worklaod; did you mean workload?"),
        ("version.jsonl", "no record has a field verison; did you mean version?"),
        ("none.jsonl", "there is no file none.jsonl; no run none.jsonl"),
        ("./none", "there is no file ./none; "),
        ("folder", "folder is a folder without the files of a run; "),
        ("none", "no run none"),
    ] {
        for verb in ["check", "export"] {
            let output = scene.run(&[verb, file]);
            assert!(output.code == 254 && output.stderr.contains(part), "{verb} {file}: {output:?}");
        }
    }
    let output = scene.run(&["check", "none"]);
    assert!(!output.stderr.contains("there is no file"), "a run may be meant: {output:?}");
    // A last line that was cut off is what a killed writer leaves; a misspelt one is not.
    let output = scene.run(&["check", "worker.jsonl"]);
    assert!(!output.stderr.contains("jepsen-json"), "{output:?}");
    for empty in ["empty.jsonl", "blank.jsonl"] {
        let output = scene.run(&["check", empty, "--as", "register"]);
        assert_eq!(output.code, 2, "a certain question has nothing to judge: {output:?}");
    }
    let verdict = scene.run(&["verify", "damaged.jsonl"]);
    assert!(verdict.code == 254 && verdict.stderr.contains("is not JSON"), "{verdict:?}");
}

#[test]
fn runs_of_no_plan_and_checkers_named_twice_are_refused() {
    let scene = Scene::new(PLAN);
    let none = scene.run(&["runs", "nosuch"]);
    assert!(none.code == 0 && none.stderr.contains("`dsfuzz run PLAN` makes one"), "{none:?}");
    assert_eq!(scene.run(&["run", "none.yaml"]).code, 254);
    let other = scene.run(&["runs", "nosuch"]);
    assert!(
        other.code == 254 && other.stderr.contains("no run of nosuch in results; there are runs of none"),
        "{other:?}"
    );
    assert_eq!(scene.run(&["runs", "-n", "0"]).code, 254);
    std::fs::write(scene.folder.path().join("h.jsonl"), format!("{START}\n{CALL}\n")).expect("written");
    let twice = scene.run(&["check", "h.jsonl", "--checker", "linearizable,linearizable"]);
    assert!(twice.code == 254 && twice.stderr.contains("the checker linearizable is there twice"), "{twice:?}");
}

#[test]
fn an_option_of_the_model_that_is_inferred_is_taken() {
    let scene = Scene::new(PLAN);
    let call = |index: u64, f: &str, value: &str| {
        format!(
            r#"{{"type":"invoke","index":{index},"time":{index},"worker":0,"process":0,"node":"n1","workload":"w","f":"{f}","value":{value}}}"#
        )
    };
    let ok = |index: u64, value: &str| {
        format!(r#"{{"type":"ok","index":{index},"time":{index},"process":0,"value":{value}}}"#)
    };
    let lines = [
        START.to_owned(),
        call(1, "insert", "5"),
        ok(2, "null"),
        call(3, "insert", "2"),
        ok(4, "null"),
        call(5, "extract", "null"),
        ok(6, "5"),
    ];
    std::fs::write(scene.folder.path().join("h.jsonl"), lines.join("\n") + "\n").expect("written");
    assert_eq!(scene.run(&["check", "h.jsonl", "--set", "order=largest"]).code, 0);
    assert_eq!(scene.run(&["check", "h.jsonl", "--set", "order=smallest"]).code, 1);
    let wrong = scene.run(&["check", "h.jsonl", "--set", "permits=2"]);
    assert!(wrong.code == 254 && wrong.stderr.contains("has no option permits"), "{wrong:?}");
}

#[test]
fn a_value_of_an_option_that_is_none_is_refused() {
    let scene = Scene::new(PLAN);
    let reply = r#"{"type":"ok","index":2,"time":2,"process":0}"#;
    std::fs::write(scene.folder.path().join("h.jsonl"), format!("{START}\n{CALL}\n{reply}\n")).expect("written");
    let check = |value: &str| scene.run(&["check", "h.jsonl", "--as", "linearizable", "--set", value]);
    for (value, part) in [
        ("initial=", "a value is missing"),
        ("initial=nil", "write null"),
        ("initial={x:", "neither JSON nor YAML"),
        ("initial=[1", "neither JSON nor YAML"),
        ("initial=00", "numbers are written like 10"),
    ] {
        let output = check(value);
        assert!(output.code == 254 && output.stderr.contains(part), "{value}: {output:?}");
    }
    // As a plan has it.
    for value in
        ["initial={x: 0}", "initial={\"x\": 0}", "initial=null", "initial=some text", "initial=-3", "initial=\"00\""]
    {
        assert_ne!(check(value).code, 254, "{value}");
    }
}

#[test]
fn the_files_of_a_run_are_the_harness_s_own() {
    let scene = Scene::new(PLAN);
    let run = scene.folder.path().join("results/p/1");
    std::fs::create_dir_all(&run).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(run.join(name), text).expect("written");
    write("plan.yaml", PLAN);
    write("history.jsonl", &format!("{START}\n{CALL}\n{CALL}\n"));
    let info = dsfuzz::store::RunInfo { plan: "p".into(), ..Default::default() };
    write("run.json", &serde_json::to_string(&info).expect("JSON"));
    for damaged in ["history.jsonl", "run.json", "plan.yaml"] {
        let output = scene.run(&["check", "p/1"]);
        assert!(output.code == 255 && output.stderr.contains(damaged), "{damaged}: {output:?}");
        // Next, the file that is read before this one.
        write(if damaged == "history.jsonl" { "run.json" } else { "plan.yaml" }, "{");
    }
    let output = scene.run(&["check", "results/p/1/history.jsonl"]);
    assert_eq!(output.code, 254, "the same file, named as a file: {output:?}");
}

#[test]
fn a_read_with_an_argument_that_is_no_key_is_told_what_to_do() {
    let scene = Scene::new(PLAN);
    let text =
        "{:type :invoke, :f :read, :value [1 nil], :process 1}\n{:type :ok, :f :read, :value [1 2], :process 1}\n";
    std::fs::write(scene.folder.path().join("pairs.edn"), text).expect("written");
    let output = scene.run(&["check", "pairs.edn"]);
    assert!(output.code == 254 && output.stderr.contains("say --independent=false and name with --as"), "{output:?}");
    let output = scene.run(&["check", "pairs.edn", "--independent=false"]);
    assert!(output.code == 2 && output.stderr.contains("then name what judges such reads with --as"), "{output:?}");
}

#[test]
fn a_mistyped_run_is_no_plan_and_leaves_no_run() {
    let scene = Scene::new(PLAN);
    assert_eq!(scene.run(&["run", "none.yaml"]).code, 254);
    let runs = scene.run(&["runs"]).stdout;
    for named in ["results/none/nosuch", "none/nosuch", "nosuch", "results/p"] {
        for verb in ["run", "plan", "replay"] {
            let output = scene.run(&[verb, named]);
            let says = format!("there is no file or folder {named}, and no run ");
            assert!(output.code == 254 && output.stderr.contains(&says), "{verb} {named}: {output:?}");
        }
    }
    assert_eq!(scene.run(&["runs"]).stdout, runs, "no run was made");
}

#[test]
fn triggers_beyond_the_load_and_aims_that_no_node_meets_are_named() {
    let scene = Scene::new(
        "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkload: register\nload: {time: 60s}\nnemesis:\n  quiet_end: 10s\n  schedule:\n\
         \x20   - {id: a, when: {role: leader, nth: 2}, unless_by: 90s, for: 2s, kill: {nodes: leader}}\n",
    );
    let learners = scene.run(&["plan", "plan.yaml", "--set", "nemesis={faults: [{kill: {nodes: learners}}]}"]);
    let says = "`nemesis.faults[0]`: kill: learners: the fault comes only while a member has no vote";
    assert!(learners.code == 0 && learners.stderr.contains(says), "{learners:?}");
    let output = scene.run(&["plan", "plan.yaml"]);
    let says = "fault a: unless_by: its trigger counts until 1m 30s of the load, and comes too late for this fault from 48s on";
    assert!(output.code == 0 && output.stderr.contains(says), "{output:?}");
}

#[test]
fn faults_of_a_schedule_that_do_not_fit_beside_each_other_are_refused() {
    for (first, second, part) in [
        (
            "own: {name: leave, nodes: n1}",
            "own: {name: leave, nodes: n2}",
            "leave takes at most 1 of 3 nodes at the same time",
        ),
        (
            "memory: {limit: 200MB, nodes: n1}",
            "memory: {limit: 100MB, nodes: n1}",
            "fault b: memory: n1: fault a is in force there then, and an agent refuses this one beside it",
        ),
    ] {
        let plan =
            "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkload: register\nload: {time: 60s}\nnemesis:\n  schedule:\n";
        let entries =
            format!("    - {{id: a, at: 5s, for: 9s, {first}}}\n    - {{id: b, at: 8s, for: 9s, {second}}}\n");
        refused_by_all(&Scene::new(&format!("{plan}{entries}")), part);
    }
}

#[test]
fn a_schedule_that_is_printed_has_what_gives_the_same_phases() {
    let plan = "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkload: register\nload: {time: 90s}\nnemesis:\n  quiet_end: 14s\n\
                \x20 recovery: {within: 5s}\n  faults: [{kill: {}}, {pause: {}}]\n";
    let scene = Scene::new(plan);
    let output = scene.run(&["plan", "plan.yaml", "--seed", "7", "--as-schedule"]);
    assert!(
        output.stdout.starts_with("nemesis:\n  quiet_end: 14s\n  recovery: {within: 5s}\n  schedule:\n"),
        "{output:?}"
    );
    let (head, _) = plan.split_once("nemesis:").expect("faults");
    let again = Scene::new(&format!("{head}{}", output.stdout));
    let printed = again.run(&["plan", "plan.yaml", "--as-schedule"]);
    assert_eq!((printed.code, printed.stdout), (0, output.stdout));
    let json = again.run(&["plan", "plan.yaml", "--as-schedule", "--json"]).json();
    assert_eq!((&json["nemesis"]["quiet_end"], &json["nemesis"]["recovery"]["within"]), (&"14s".into(), &"5s".into()));
    assert!(json["nemesis"]["schedule"][0]["id"].is_string(), "{json}");
}
