//! The built program: exit codes, messages, output that machines read, and the plan's documentation.
#[path = "cli/exit_codes.rs"]
mod exit_codes;
#[path = "cli/packed.rs"]
mod packed;
#[path = "cli/refused.rs"]
mod refused;
#[path = "cli/refused_faults.rs"]
mod refused_faults;
#[path = "cli/replayed.rs"]
mod replayed;
#[path = "cli/stored.rs"]
mod stored;
#[path = "prove/variants.rs"]
mod variants;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const PLAN: &str = "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkload: {register: {keys: 4}}\nload: {time: 10s}\n";

/// A folder with a plan, where the program runs without the environment's own `DSFUZZ_` variables.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new(plan: &str) -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("plan.yaml"), plan).expect("a plan is written");
        Scene { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
        command.current_dir(self.folder.path()).args(arguments).env_remove("NO_COLOR");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DSFUZZ_")) {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> ProgramOutput {
        ProgramOutput::from(self.command(arguments).output().expect("the program runs"))
    }
}

/// The output of the program.
#[derive(Debug)]
struct ProgramOutput {
    code: i32,
    stdout: String,
    stderr: String,
}

impl From<Output> for ProgramOutput {
    fn from(output: Output) -> ProgramOutput {
        ProgramOutput {
            code: output.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl ProgramOutput {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).expect("one JSON document")
    }
}

#[test]
fn help_and_version_succeed_and_bad_arguments_are_254() {
    let scene = Scene::new(PLAN);
    for arguments in [&["--help"][..], &["-h"], &["--version"], &["run", "--help"], &["lab", "up", "--help"]] {
        let output = scene.run(arguments);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
    for arguments in
        [&[][..], &["fly"], &["run"], &["run", "plan.yaml", "--fast"], &["lab"], &["lab", "up", "0"], &["heal"]]
    {
        let output = scene.run(arguments);
        assert_eq!((output.code, output.stdout.as_str()), (254, ""), "{arguments:?}");
        assert!(output.stderr.contains("--help") || output.stderr.contains("Usage"), "{output:?}");
    }
    assert_eq!(scene.run(&["serve", "--port", "70000"]).code, 254);
}

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_its_neighbour() {
    let scene = Scene::new("name: p\ncluster: {lab: 3}\ntarget: etcd\nworkload: {register: {}}\nload: {tiem: 60s}\n");
    for verb in ["run", "plan", "doctor"] {
        let output = scene.run(&[verb, "plan.yaml"]);
        assert_eq!(output.code, 254);
        let expected = "error: unknown key `tiem` in `load`
 --> plan.yaml:5:8
  |
5 | load: {tiem: 60s}
  |        ^^^^
  = did you mean `time`?
  = known keys: clients, on_leader, rate, time, deadline, joining, settle, final_deadline, final_reads, recovery, ops_max
";
        assert_eq!(output.stderr, expected);
    }
    let output = scene.run(&["plan", "plan.yaml", "--json"]);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(document["exit"], 254);
    assert!(document["error"].as_str().unwrap().contains("did you mean `time`"));
}

#[test]
fn a_negative_duration_is_pointed_at() {
    let scene = Scene::new(&PLAN.replace("10s", "-10s"));
    let output = scene.run(&["run", "plan.yaml"]);
    assert_eq!(output.code, 254);
    let expected = "error: `load.time`: a duration cannot be negative: -10s
 --> plan.yaml:5:14
  |
5 | load: {time: -10s}
  |              ^^^^
";
    assert_eq!(output.stderr, expected);
    let output = Scene::new(PLAN).run(&["run", "plan.yaml", "--time", "-3s"]);
    assert_eq!(output.stderr, "error: `load.time`: a duration cannot be negative: -3s\n --> --time -3s\n");
}

#[test]
fn a_yaml_bomb_is_refused_with_its_own_message() {
    let mut bomb = String::from("name: p\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let output = Scene::new(&bomb).run(&["run", "plan.yaml"]);
    assert_eq!(output.code, 254);
    assert!(
        output.stderr.contains("error: the file holds more than 20000 values once its aliases are written out"),
        "{output:?}"
    );
    let output = Scene::new(&"[".repeat(100_000)).run(&["run", "plan.yaml"]);
    assert!(output.code == 254 && output.stderr.contains("nests deeper than"), "{output:?}");
    let output = Scene::new(&"# x\n".repeat(400_000)).run(&["run", "plan.yaml"]);
    assert!(output.code == 254 && output.stderr.contains("larger than 1048576 bytes"), "{output:?}");
}

#[test]
fn each_kind_of_mistake_has_its_own_message_and_place() {
    for (from, to, message, place) in [
        (
            "cluster: {lab: 3}",
            "cluster: {lab: 3, nodes: [a]}",
            "a cluster has `lab` or `nodes`, here are both",
            ":2:10",
        ),
        ("cluster: {lab: 3}", "cluster: {}", "the cluster has no nodes", ":2:10"),
        ("cluster: {lab: 3}", "cluster: {lab: 0}", "a lab has 1 to 200 nodes, not 0", ":2:16"),
        ("cluster: {lab: 3}", "cluster: {lab: true}", "a number of nodes, or the name of a lab", ":2:16"),
        ("cluster: {lab: 3}", "cluster: {nodes: [a, b, a]}", "the node `a` is there twice", ":2:25"),
        ("cluster: {lab: 3}", "cluster: {nodes: n1}", "a list is expected, not the text \"n1\"", ":2:18"),
        ("cluster: {lab: 3}", "cluster: {nodes: [a], ssh: {password: x}}", "unknown key `password`", ":2:29"),
        ("cluster: {lab: 3}\n", "", "`cluster` is missing in this file", ""),
        ("workload: {register: {keys: 4}}\n", "", "`workload`: it is missing", ""),
        ("register", "regsiter", "unknown name `regsiter` in `workload`", ":4:12"),
        ("{register: {keys: 4}}", "regsiter", "unknown name `regsiter` in `workload`", ":4:11"),
        ("keys: 4", "keys: many", "a whole number from 0 to 4294967295 is expected, not the text \"many\"", ":4:29"),
        ("target: etcd", "target: etdc", "no target `etdc` is built in", ":3:9"),
        ("name: p", "name: ../p", "\"../p\" cannot name a folder", ":1:7"),
        ("name: p", "name: 7", "a string is expected, not 7", ":1:7"),
        ("name: p", "name: p\nname: q", "the key `name` is there twice", ":2:1"),
        ("load: {time: 10s}", "load: [", "not YAML", ""),
        ("load: {time: 10s}", "load:\n\ttime: 10s", "not YAML", ":6:1"),
        ("load: {time: 10s}", "check: [linearisable]", "unknown checker `linearisable`", ":5:9"),
    ] {
        let output = Scene::new(&PLAN.replace(from, to)).run(&["run", "plan.yaml"]);
        assert_eq!(output.code, 254, "{to}: {output:?}");
        assert!(output.stderr.contains(message), "{to}: {}", output.stderr);
        assert!(output.stderr.contains(&format!("plan.yaml{place}")), "{to}: {}", output.stderr);
    }
    let output = Scene::new("").run(&["run", "plan.yaml"]);
    assert!(output.stderr.contains("the plan is empty"), "{output:?}");
    let output = Scene::new("").run(&["run", "absent.yaml"]);
    assert!(output.code == 254 && output.stderr.contains("cannot be read"), "{output:?}");
    let scene = Scene::new("");
    std::fs::write(scene.folder.path().join("plan.yaml"), b"name: p\nx: \xff\xfe\n").unwrap();
    assert!(scene.run(&["run", "plan.yaml"]).stderr.contains("not UTF-8 text (line 2)"));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let scene = Scene::new(PLAN);
    let effective = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = scene.command(&[&["plan", "plan.yaml", "--json"], arguments].concat());
        ProgramOutput::from(command.envs(environment.iter().copied()).output().unwrap()).json()
    };
    let time = |document: &Value| document["plan"]["load"]["time"].as_str().unwrap().to_owned();
    assert_eq!(time(&effective(&[], &[])), "10s");
    assert_eq!(time(&effective(&[], &[("DSFUZZ_TIME", "20s")])), "20s");
    assert_eq!(time(&effective(&["--time", "30s"], &[("DSFUZZ_TIME", "20s")])), "30s");
    assert_eq!(time(&effective(&["--time=30s", "--set", "load.time=40s"], &[("DSFUZZ_TIME", "20s")])), "40s");
    assert_eq!(time(&effective(&[], &[("DSFUZZ_TIME", "")])), "10s");
    let all = [("DSFUZZ_SEED", "7"), ("DSFUZZ_RATE", "50"), ("DSFUZZ_NODES", "a,b"), ("DSFUZZ_CLIENTS", "3n")];
    let document = effective(&[], &all);
    assert_eq!(document["seed"], 7);
    assert_eq!(document["plan"]["load"]["rate"], "50/s");
    assert_eq!(document["nodes"], serde_json::json!(["a", "b"]));
    assert_eq!(document["clients"], 6);
    assert_eq!(effective(&["--nodes", "5"], &all)["plan"]["cluster"]["lab"], 5);
    let output = ProgramOutput::from(scene.command(&["plan", "plan.yaml"]).env("DSFUZZ_SEED", "x").output().unwrap());
    assert!(output.code == 254 && output.stderr.contains("--> DSFUZZ_SEED x"), "{output:?}");
    let output = scene.run(&["plan", "plan.yaml", "--set", "load.tiem=3s"]);
    assert!(
        output.stderr.contains("did you mean `time`") && output.stderr.contains("--> --set load.tiem=3s"),
        "{output:?}"
    );
}

#[test]
fn an_effective_plan_is_a_plan() {
    use dsfuzz::plan::{Overrides, Plan};
    let scene = Scene::new(&PLAN.replace("name: p", "name: 'on'\noptions: {etcd: {a: 'no', password: hush}}"));
    let plan = Plan::load(&scene.folder.path().join("plan.yaml"), &Overrides::none()).unwrap();
    let text = plan.to_yaml().unwrap();
    assert!(text.contains("name: \"on\"") && text.contains("a: \"no\"") && !text.contains("hush"), "{text}");
    let again = Plan::from_yaml_str(&text).unwrap();
    assert_eq!((&again.name, &again.load, &again.cluster), (&plan.name, &plan.load, &plan.cluster));
    assert_eq!(again.to_yaml().unwrap(), text);
}

#[test]
fn lists_parse_and_every_name_is_explained() {
    let scene = Scene::new(PLAN);
    let lists = scene.run(&["list", "--json"]).json();
    for kind in ["targets", "workloads", "faults", "checkers"] {
        let entries = lists[kind].as_array().unwrap();
        assert!(!entries.is_empty(), "no {kind}");
        for entry in entries {
            assert!(!entry["doc"].as_str().unwrap().is_empty(), "{entry}");
            assert_eq!(scene.run(&["explain", entry["name"].as_str().unwrap()]).code, 0, "{entry}");
        }
    }
    for (name, part) in [("G2_item", "Write skew"), ("fifo-queue", "enqueue"), ("serializable", "snapshot-isolation")] {
        let output = scene.run(&["explain", name]);
        assert!(output.code == 0 && output.stdout.contains(part), "{output:?}");
    }
    assert!(scene.run(&["list"]).stdout.contains("linearizable"));
    assert_eq!(scene.run(&["list", "workloads", "--json"]).json().as_object().unwrap().len(), 1);
    let output = scene.run(&["explain", "linearizble"]);
    assert!(output.code == 254 && output.stderr.contains("did you mean linearizable?"), "{output:?}");
}

#[test]
fn completions_name_the_commands() {
    let scene = Scene::new(PLAN);
    for shell in ["bash", "zsh", "fish"] {
        let output = scene.run(&["completions", shell]);
        assert!(output.code == 0 && output.stdout.contains("doctor"), "{shell}: {output:?}");
    }
    assert_eq!(scene.run(&["completions", "tcsh"]).code, 254);
}

/// A schema as far as plans use it: types, properties, required, items, variants.
fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target =
            root.pointer(reference.trim_start_matches('#')).ok_or(format!("{at}: {reference} is not there"))?;
        return fits(root, target, value, at);
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[several].as_array() {
            let errors: Vec<String> = choices.iter().filter_map(|one| fits(root, one, value, at).err()).collect();
            return if errors.len() < choices.len() { Ok(()) } else { Err(format!("{at}: none fits: {errors:?}")) };
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    match &schema["type"] {
        Value::Null => {}
        Value::Array(kinds) if kinds.iter().any(allowed) => {}
        one if allowed(one) => {}
        other => return Err(format!("{at}: {kind}, not {other}")),
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        fits(root, &schema["items"], item, &format!("{at}[{index}]"))?;
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        value.get(required).ok_or(format!("{at}: {required} is missing"))?;
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{at}: not a key")),
            (Value::Null, Value::Null) => {}
            (Value::Null, rest) => fits(root, rest, value, &at)?,
            (property, _) => fits(root, property, value, &at)?,
        }
    }
    Ok(())
}

#[test]
fn the_schema_accepts_plans_and_refuses_misspelt_ones() {
    let scene = Scene::new(PLAN);
    let schema = scene.run(&["schema"]).json();
    for name in ["etcd-register.yaml", "etcd-serializable.yaml"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let output = scene.run(&["plan", file.to_str().unwrap(), "--json"]);
        let mut plan = output.json()["plan"].clone();
        fits(&schema, &schema, &plan, "plan").unwrap();
        plan["load"]["tiem"] = "60s".into();
        assert!(fits(&schema, &schema, &plan, "plan").unwrap_err().contains("plan.load.tiem: not a key"));
    }
}

#[test]
fn a_new_plan_is_a_plan_and_is_not_overwritten() {
    let scene = Scene::new(PLAN);
    assert_eq!(scene.run(&["init", "etcd", "--output", "new.yaml"]).code, 0);
    let document = scene.run(&["plan", "new.yaml", "--json"]).json();
    assert_eq!(document["plan"]["name"], "etcd-register");
    assert_eq!(document["clients"], 10);
    let written = std::fs::read_to_string(scene.folder.path().join("new.yaml")).unwrap();
    assert_eq!(scene.run(&["init", "etcd"]).stdout, written);
    let output = scene.run(&["init", "etcd", "--output", "new.yaml"]);
    assert!(output.code == 254 && output.stderr.contains("--force"), "{output:?}");
    assert_eq!(scene.run(&["init", "etcd", "--output", "new.yaml", "--force"]).code, 0);
    let output = scene.run(&["init", "etdc"]);
    assert!(output.code == 254 && output.stderr.contains("did you mean etcd?"), "{output:?}");
    assert!(scene.run(&["init", "my/recipe.yaml"]).stdout.contains("target: \"my/recipe.yaml\""));
}

#[test]
fn runs_are_listed_and_found() {
    use dsfuzz::store::{self, RunInfo};
    let scene = Scene::new(PLAN);
    let output = scene.run(&["runs"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    assert!(output.stderr.contains("no runs in results"), "{output:?}");
    assert_eq!(scene.run(&["runs", "--json"]).json(), serde_json::json!([]));
    let output = scene.run(&["check"]);
    assert!(output.code == 254 && output.stderr.contains("holds none yet"), "{output:?}");
    let root = scene.folder.path().join("elsewhere");
    let run = store::create(&root, "p\u{1b}[31m", chrono::Utc::now()).unwrap();
    let info = RunInfo { seed: 42, target: "etcd".into(), ..RunInfo::default() };
    std::fs::write(run.info(), serde_json::to_vec(&info).unwrap()).unwrap();
    let output = scene.run(&["runs", "--results", "elsewhere"]);
    assert!(output.stdout.contains("42") && output.stdout.contains("running, or killed"), "{output:?}");
    assert!(!output.stdout.contains('\u{1b}'), "{output:?}");
    let rows = scene.run(&["runs", "--results", "elsewhere", "--json"]).json();
    assert_eq!(rows[0]["seed"], 42);
    let output = scene.run(&["check", "latest", "--results", "elsewhere", "--checker", "linearizabel"]);
    assert!(output.code == 254 && output.stderr.contains("did you mean linearizable?"), "{output:?}");
}

#[test]
fn colours_follow_the_flag_and_the_environment() {
    let scene = Scene::new(PLAN);
    assert!(!scene.run(&["list"]).stdout.contains('\u{1b}'));
    assert!(scene.run(&["list", "--color", "always"]).stdout.contains('\u{1b}'));
    assert!(!scene.run(&["list", "--color", "never"]).stdout.contains('\u{1b}'));
}

#[test]
fn a_history_on_its_own_has_no_report_and_is_judged_again_in_the_same_way() {
    let scene = Scene::new(PLAN);
    let edn = "{:type :invoke, :process 0, :f :generate}\n{:type :ok, :process 0, :f :generate, :value 1}\n";
    std::fs::write(scene.folder.path().join("h.edn"), edn).unwrap();
    let output = scene.run(&["check", "h.edn", "--as", "unique-ids", "--set", "workload=two words", "--budget", "9s"]);
    assert_eq!(output.code, 2, "{output:?}");
    let again = "again:  dsfuzz check h.edn --as unique-ids --set 'workload=two words' --budget 9s";
    assert!(output.stdout.contains(again), "{output:?}");
    assert!(!output.stdout.contains("report: "), "{output:?}");
    assert!(!scene.folder.path().join("report.html").exists());
    std::fs::write(scene.folder.path().join("h.edn"), edn.replace("generate", "dance")).unwrap();
    let output = scene.run(&["check", "h.edn"]);
    assert!(output.code == 2 && output.stderr.contains("--as"), "{output:?}");
}

/// `docs/checkers.md` has a section for every checker, with its options, and names every kind of finding, model and format.
#[test]
fn the_documentation_of_the_checkers_is_complete() {
    use dsfuzz_checkers::history::Format;
    let text = include_str!("../docs/checkers.md");
    let sections: Vec<(&str, &str)> =
        text.split("\n### `").skip(1).filter_map(|section| section.split_once("`\n")).collect();
    let mut named: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    let mut listed: Vec<&str> = dsfuzz_checkers::CHECKERS.iter().map(|doc| doc.name).collect();
    named.sort_unstable();
    listed.sort_unstable();
    assert_eq!(named, listed);
    let shown = |text: &str, word: &str| text.contains(&format!("`{word}`"));
    for doc in dsfuzz_checkers::CHECKERS {
        let (_, section) = sections.iter().find(|(name, _)| *name == doc.name).unwrap();
        // Every checker takes `workload`.
        for option in doc.option_docs().iter().map(|option| &option.name).filter(|name| *name != "workload") {
            assert!(shown(section, option), "{}: option {option}", doc.name);
        }
    }
    for (kind, _) in dsfuzz_checkers::ANOMALIES {
        let plain = kind.trim_end_matches("-process").trim_end_matches("-realtime");
        assert!(shown(text, plain), "finding {kind}");
    }
    assert!(dsfuzz_checkers::MODELS.iter().all(|model| shown(text, model.name)), "a model");
    assert!(Format::ALL.iter().all(|format| shown(text, format.name())), "a format");
    let transactions = dsfuzz_checkers::lattice::MODELS;
    assert!(transactions.iter().all(|model| text.contains(model.name)), "a model of transactions");
}

#[test]
fn a_target_is_listed_with_its_options_objects_and_workloads() {
    let scene = Scene::new(PLAN);
    let listed = scene.run(&["list", "targets", "postgres", "--json"]).json();
    let [target] = listed["targets"].as_array().expect("a list").as_slice() else { panic!("{listed}") };
    let isolation = target["options"].as_array().expect("options").iter().find(|option| option["name"] == "isolation");
    let isolation = isolation.expect("an option");
    assert_eq!(isolation["takes"], "read committed, repeatable read or serializable");
    assert_eq!(isolation["default"], "serializable");
    assert!(target["objects"].as_array().expect("objects").contains(&"transactions".into()), "{target}");
    assert!(target["workloads"].as_array().expect("workloads").contains(&"list-append".into()), "{target}");
    let shown = scene.run(&["list", "targets", "postgres"]).stdout;
    assert!(shown.contains("sync: true or false, by default false. ") && !shown.contains("\n  patroni "), "{shown}");
    let explained = scene.run(&["explain", "postgres"]).stdout;
    assert!(explained.contains("option version: debian or 18.6.0, by default debian"), "{explained}");
    let output = scene.run(&["list", "targets", "postgre"]);
    assert!(output.code == 254 && output.stderr.contains("did you mean postgres? there are etcd,"), "{output:?}");
    let schema = scene.run(&["schema", "targets"]).json();
    let election = &schema["etcd"]["properties"]["election_ms"];
    assert_eq!((&election["type"], &election["maximum"]), (&"integer".into(), &50000.into()));
    let shown = scene.run(&["list", "targets", "nats"]).stdout;
    assert!(
        shown.contains("replicas: a whole number from 1 to 5, at most the number of nodes, by default 3. "),
        "{shown}"
    );
}

#[test]
fn the_dry_run_names_the_node_of_each_step_and_the_number_of_each_fault() {
    let scene =
        Scene::new(&format!("{PLAN}nemesis: {{every: 2s, for: 1s, quiet_end: 1s, quiet_start: 1s, faults: [kill]}}\n"));
    let text = scene.run(&["plan", "plan.yaml", "--seed", "3"]).stdout;
    assert!(text.contains("\non all     install    package etcd-server\n"), "{text}");
    assert!(text.contains("\non n1      configure") || text.contains("\non n1      start"), "{text}");
    assert!(text.contains("\non n2, n3  like n1, with names and addresses of their own"), "{text}");
    assert!(text.contains("\ntimetable  fault 1 ") && !text.contains("fault 0"), "{text}");
    let text = scene.run(&["plan", "plan.yaml", "--seed", "3", "-v"]).stdout;
    assert!(text.contains("\non n2      ") && text.contains("\non n3      like n2"), "{text}");
    let dry = scene.run(&["plan", "plan.yaml", "--seed", "3", "--json"]).json();
    assert_eq!(dry["timetable"][0]["id"], 1);
}

/// A workload that no built-in target carries would be a limit, and `docs/limits.md` would have to say so.
#[test]
fn every_workload_but_those_that_plans_declare_runs_on_a_built_in_target() {
    let listed = Scene::new(PLAN).run(&["list", "workloads", "--json"]).json();
    let listed = listed["workloads"].as_array().expect("a list").iter();
    let idle = listed.filter(|workload| workload["targets"].as_array().is_none_or(Vec::is_empty));
    let idle: Vec<&str> = idle.filter_map(|workload| workload["name"].as_str()).collect();
    assert_eq!(idle, ["declared"]);
}

/// Descriptions are for readers of JSON, who have no rustdoc.
#[test]
fn the_schemas_speak_no_rustdoc() {
    let scene = Scene::new(PLAN);
    for of in ["plan", "client", "targets"] {
        let text = scene.run(&["schema", of]).stdout;
        let of_rust: Vec<&str> = text.lines().filter(|line| line.contains("[`") || line.contains("::")).collect();
        assert!(of_rust.is_empty(), "{of}: {of_rust:#?}");
    }
}

/// The text of a page whose tables a command prints; `DSFUZZ_BLESS=1 cargo test --test cli documentation` writes them.
fn page_with_tables(page: &str, arguments: &[&str]) -> String {
    const END: &str = "<!-- end -->\n";
    let begin = format!("<!-- begin: dsfuzz {} -->\n", arguments.join(" "));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(&file).expect("a page");
    let (before, rest) = text.split_once(&begin).expect("the table begins");
    let (_, after) = rest.split_once(END).expect("the table ends");
    let tables = Scene::new(PLAN).run(arguments).stdout;
    let expected = format!("{before}{begin}\n{tables}{END}{after}");
    if std::env::var_os("DSFUZZ_BLESS").is_some() {
        std::fs::write(&file, &expected).expect("the page is written");
    } else {
        assert!(text == expected, "{page} is behind the types: DSFUZZ_BLESS=1 cargo test --test cli documentation");
    }
    expected
}

/// `docs/targets.md` holds every option of every built-in target.
#[test]
fn the_documentation_of_the_targets_is_complete() {
    let page = page_with_tables("docs/targets.md", &["schema", "targets", "--markdown"]);
    for name in dsfuzz::targets::builtin() {
        let (_, section) = page.split_once(&format!("\n## {name}\n")).expect("a section");
        let section = section.split("\n## ").next().expect("the first part");
        let yaml = dsfuzz::targets::builtin_yaml(name).expect("a recipe");
        let recipe = dsfuzz::targets::Recipe::parse(yaml, name).expect("a recipe");
        for option in recipe.options.keys() {
            assert!(section.contains(&format!("\n| `{option}` | ")), "{name}: {option}");
        }
    }
}

/// `docs/plan.md` holds every key of the schema.
#[test]
fn the_documentation_of_the_plan_is_complete() {
    let expected = page_with_tables("docs/plan.md", &["schema", "--markdown"]);
    let schema = dsfuzz::plan::reference::schema();
    let mut maps = vec![&schema];
    maps.extend(schema["$defs"].as_object().unwrap().values());
    for key in maps.iter().filter_map(|map| map["properties"].as_object()).flat_map(|keys| keys.keys()) {
        assert!(expected.contains(&format!("`{key}`")), "{key} is not documented");
    }
}

#[test]
fn every_kind_of_fault_has_a_form_that_is_measured() {
    assert_eq!(variants::missing(), Vec::<&str>::new(), "tests/prove/variants.rs needs a row");
    for variant in variants::VARIANTS {
        let fault = format!("{{{}: {}}}", variant.kind, variant.options);
        let written: Value = serde_yaml::from_str(&fault).expect("YAML");
        let read = serde_json::from_value::<dsfuzz_nemesis::FaultOptions>(written);
        assert!(read.is_ok(), "{}: {fault}: {read:?}", variant.name);
    }
}
