//! Archives of runs: without secrets, whole enough to be run and judged again, and never a way out of their folder.
use super::Scene;
use super::replayed::{info, newest, ran_with};
use dsfuzz::store::RunDir;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

type Builder = tar::Builder<GzEncoder<Vec<u8>>>;

const IN_ENV: &str = "in-the-recipes-environment-3b7";
const DEFAULT: &str = "default-of-a-secret-option-4c8";
const SHORT: &str = "pw1";
const IN_LOG: &str = "only-in-a-log-5d9";
const IN_KEY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC";
const IN_URL: &str = "inside-of-a-url-6ea";

const RECIPE: &str = "schema: 1\nname: mine\ndoc: A target for this test.\n\
    options:\n  level: {default: 1, doc: d}\n  entry: {default: default-of-a-secret-option-4c8, doc: d, secret: true}\n\
    env:\n  MINE_PASSWORD: in-the-recipes-environment-3b7\n  PIN_TOKEN: pw1   # short\n  USES: \"{{ options.entry }}\"\n\
    processes: [{name: mine, start: [\"true\"], ports: {client: 1}, ready: {ask: {tcp: client}}}]\n\
    clients: [{interface: x, workloads: [set], command: [python3, client.py], files: [../lib/loop.py]}]\n";

/// Every file of an archive by its path.
fn members(archive: &Path) -> BTreeMap<String, String> {
    let mut tar = tar::Archive::new(GzDecoder::new(File::open(archive).expect("an archive")));
    let mut members = BTreeMap::new();
    for entry in tar.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("read");
        members.insert(name, String::from_utf8_lossy(&bytes).into_owned());
    }
    members
}

/// A run with secrets in its recipe, and in the logs that its nodes left.
fn with_secrets() -> (Scene, RunDir) {
    let (scene, run) = ran_with(RECIPE, &[]);
    let log = run.node("127.0.0.1");
    std::fs::create_dir_all(&log).expect("made");
    let mut text = format!(
        "starts with --password {IN_LOG} on host-x\nauth token={IN_LOG}\nlogin {DEFAULT} refused\n\
         url postgres://u:{IN_URL}@h/db\n-----BEGIN PRIVATE KEY-----\n{IN_KEY}\n-----END PRIVATE KEY-----\n"
    );
    (0..3000).for_each(|line| text += &format!("line {line} of the log\n"));
    std::fs::write(log.join("mine.log"), text).expect("written");
    std::fs::write(log.join("core"), b"\0\x01binary").expect("written");
    std::os::unix::fs::symlink("/etc/passwd", log.join("link")).expect("a link");
    (scene, run)
}

#[test]
fn an_archive_has_no_secret_and_logs_of_bounded_length() {
    let (scene, run) = with_secrets();
    let output = scene.run(&["pack", "p", "--log-kib", "4"]);
    assert_eq!(output.code, 0, "{output:?}");
    let archive = scene.folder.path().join(output.stdout.trim());
    let members = members(&archive);
    let top = format!("p/{}", run.path().file_name().expect("a name").to_string_lossy());
    for name in ["README.md", "run.json", "plan.yaml", "verdict.json", "inputs/t/recipe.yaml", "inputs/lib/loop.py"] {
        assert!(members.contains_key(&format!("{top}/{name}")), "{name}: {:?}", members.keys());
    }
    let unwanted = ["core", "link", "journal", "run.lock"];
    assert!(!members.keys().any(|name| unwanted.iter().any(|end| name.ends_with(end))), "{:?}", members.keys());
    for (name, text) in &members {
        for secret in [IN_ENV, DEFAULT, IN_LOG, IN_KEY, IN_URL] {
            assert!(!text.contains(secret), "{secret} stands in {name}");
        }
    }
    let recipe = &members[&format!("{top}/inputs/t/recipe.yaml")];
    assert!(!recipe.contains(SHORT) && recipe.contains("PIN_TOKEN: \"(redacted)\"   # short"), "{recipe}");
    assert!(recipe.contains("USES: \"{{ options.entry }}\""), "a template is no secret: {recipe}");
    let log = &members[&format!("{top}/nodes/127.0.0.1/mine.log")];
    assert!(log.len() < 5000 && log.ends_with("line 2999 of the log\n"), "{}", log.len());
    assert!(log.contains("bytes left out by dsfuzz pack"), "{log}");
    let readme = &members[&format!("{top}/README.md")];
    assert!(readme.contains("dsfuzz replay ARCHIVE") && readme.contains("mine.log: "), "{readme}");
    // Nothing is written over.
    assert_eq!(scene.run(&["pack", "p"]).code, 254);
    // The recipe is not as it ran.
    std::fs::remove_dir_all(scene.folder.path().join("results")).expect("removed");
    let refused = scene.run(&["run", &archive.display().to_string()]);
    assert_eq!(refused.code, 254, "{refused:?}");
    assert!(refused.stderr.contains("secrets were taken out of t/recipe.yaml"), "{refused:?}");
}

#[test]
fn a_secret_in_a_command_of_a_custom_fault_is_not_packed() {
    let own = "own: {name: mine, begin: 'ctl --password in-a-command-9a1 stop', prove: 'ctl token=in-a-proof-8b2 state', \
               heal: 'ctl --password {{ options.entry }} start; ctl allow_empty_password=true --token-bucket=1000', \
               healed: 'ctl --password $KEPT state'}";
    let (scene, run) = ran_with(
        RECIPE,
        &["--time", "60s", "--set", "evidence={}", "--set", &format!("nemesis={{faults: [{{{own}}}]}}")],
    );
    std::fs::create_dir_all(run.node("127.0.0.1")).expect("made");
    std::fs::write(run.node("127.0.0.1").join("mine.log"), "it said in-a-command-9a1\n").expect("written");
    let output = scene.run(&["pack", "p"]);
    assert_eq!(output.code, 0, "{output:?}");
    let archive = scene.folder.path().join(output.stdout.trim());
    let members = members(&archive);
    for (name, text) in &members {
        assert!(!text.contains("in-a-command-9a1") && !text.contains("in-a-proof-8b2"), "{name}: {text}");
    }
    let plan = members.iter().find(|(name, _)| name.ends_with("plan.yaml")).expect("a plan").1;
    assert!(plan.contains("--password {{ options.entry }} start") && plan.contains("$KEPT"), "{plan}");
    // `true` and 1000 are no secrets elsewhere.
    let account = members.iter().find(|(name, _)| name.ends_with("run.json")).expect("an account").1;
    serde_json::from_str::<serde_json::Value>(account).unwrap_or_else(|error| panic!("{error}: {account}"));
}

#[test]
fn hosts_are_hidden_on_request() {
    let (scene, run) = with_secrets();
    let output = scene.run(&["pack", "p", "--hide-hosts", "--json"]);
    let packed = output.json();
    let members = members(&scene.folder.path().join(packed["path"].as_str().expect("a path")));
    assert!(info(&run).nodes[0].name == "127.0.0.1");
    for (name, text) in members.iter().filter(|(name, _)| !name.ends_with("report.html")) {
        assert!(!text.contains("127.0.0.1"), "{name}: {text}");
    }
    assert!(packed["redacted"].as_u64().expect("a number") > 4, "{packed}");
}

#[test]
fn an_archive_is_run_again_among_the_results_of_another_machine() {
    let (scene, run) = ran_with(super::replayed::RECIPE, &[]);
    let (first, name) = (info(&run), run.path().file_name().expect("a name").to_owned());
    assert_eq!(scene.run(&["pack", "p", "--output", "a.tgz"]).code, 0);
    std::fs::rename(scene.folder.path().join("results"), scene.folder.path().join("old")).expect("moved");
    for _ in 0..2 {
        let output = scene.run(&["run", "a.tgz"]);
        assert_eq!(output.code, 255, "{output:?}");
        let again = info(&newest(&scene));
        assert_eq!(again.inputs, first.inputs);
        let replay = again.replay.expect("a repetition");
        assert_eq!((replay.run, replay.started), (format!("p/{}", name.to_string_lossy()), first.started.clone()));
    }
    // The run itself is among the results, once.
    let unpacked = scene.folder.path().join("results/p").join(&name);
    assert_eq!(info(&RunDir::at(&unpacked)).started, first.started);
    std::fs::write(unpacked.join("run.json"), r#"{"format":1}"#).expect("written");
    assert_eq!(scene.run(&["run", "a.tgz"]).code, 254, "the place is taken");
}

#[test]
fn an_archive_that_leads_out_of_its_folder_is_refused() {
    let scene = Scene::new(super::PLAN);
    let refused = |what: &str, build: &dyn Fn(&mut Builder)| {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        build(&mut tar);
        let bytes = tar.into_inner().and_then(GzEncoder::finish).expect("an archive");
        std::fs::write(scene.folder.path().join("bad.tgz"), bytes).expect("written");
        let output = scene.run(&["run", "bad.tgz"]);
        assert_eq!(output.code, 254, "{what}: {output:?}");
        assert!(output.stderr.contains("bad.tgz is no archive of a run"), "{what}: {output:?}");
        let left = std::fs::read_dir(scene.folder.path().join("results")).into_iter().flatten().flatten();
        let left: Vec<String> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        assert!(!left.iter().any(|name| name == "p" || name.starts_with(".unpacking")), "{what}: {left:?}");
    };
    let file = |tar: &mut Builder, path: &str, kind: tar::EntryType, link: &str| {
        let mut header = tar::Header::new_gnu();
        // The library itself refuses to write such paths.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        if !link.is_empty() {
            header.set_link_name(link).expect("a link");
        }
        header.set_cksum();
        tar.append(&header, std::io::empty()).expect("appended");
    };
    refused("a path upwards", &|tar| file(tar, "p/t/../../../escaped", tar::EntryType::Regular, ""));
    refused("an absolute path", &|tar| file(tar, "/p/t/run.json", tar::EntryType::Regular, ""));
    refused("a link", &|tar| file(tar, "p/t/link", tar::EntryType::Symlink, "/etc/passwd"));
    refused("a device", &|tar| file(tar, "p/t/null", tar::EntryType::Char, ""));
    refused("two runs", &|tar| {
        file(tar, "p/t/run.json", tar::EntryType::Regular, "");
        file(tar, "q/t/run.json", tar::EntryType::Regular, "");
    });
    refused("nothing", &|_| ());
    assert!(!scene.folder.path().join("escaped").exists());
}
