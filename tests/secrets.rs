//! A secret in a plan's options stands in nothing that a run leaves behind or prints.
use std::path::Path;
use std::process::Command;

const MARKED: &str = "marked-by-the-recipe-5f1";
const NAMED: &str = "named-by-its-key-8d2";
const IN_URL: &str = "inside-of-a-url-c43";
const GIVEN: &str = "given-on-the-command-line'<&>-e94";

/// A node whose ssh port nobody listens on: the run ends before it touches anything, and says so with everything it has.
const PLAN: &str = "name: p\ncluster: {nodes: [127.0.0.1], ssh: {port: 1}}\ntarget: ./recipe.yaml\n\
                    workload: {set: {}}\nload: {time: 10s}\n";

const OPTIONS: &str = "options:\n  mine: {entry: marked-by-the-recipe-5f1, api_key: named-by-its-key-8d2, \
                       url: 'postgres://u:inside-of-a-url-c43@h/db'}\n";

const RECIPE: &str = "schema: 1\nname: mine\ndoc: A target for this test.\n\
    options:\n  entry: {default: '', doc: d, secret: true}\n  api_key: {default: '', doc: d}\n  url: {default: '', doc: d}\n  given_password: {default: '', doc: d}\n\
    processes: [{name: mine, start: [\"true\"], ports: {client: 1}, ready: {ask: {tcp: client}}}]\nclients: [{interface: x, workloads: [set], command: [\"true\"]}]\n";

#[test]
fn secrets_stand_in_nothing_that_is_left_or_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("plan.yaml"), format!("{PLAN}{OPTIONS}")).unwrap();
    std::fs::write(folder.path().join("recipe.yaml"), RECIPE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dsfuzz"))
        .current_dir(folder.path())
        .env("GITHUB_STEP_SUMMARY", folder.path().join("results/summary.md"))
        .env("GITHUB_ACTIONS", "true")
        .args(["run", "plan.yaml", "-vv", "--private", "--set", &format!("options.mine.given_password={GIVEN}")])
        .output()
        .expect("the program runs");
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(255), "{printed}");
    let mut read = vec![("the terminal".to_owned(), printed)];
    files(&folder.path().join("results"), &mut read);
    for file in ["run.json", "verdict.json", "junit.xml", "report.html", "index.html", "summary.md", "dsfuzz.log"] {
        assert!(read.iter().any(|(name, _)| name.ends_with(file)), "{file} was not written");
    }
    for (name, text) in &read {
        for secret in [MARKED, NAMED, IN_URL, "given-on-the-command-line"] {
            assert!(!text.contains(secret), "{secret} stands in {name}: {text}");
        }
    }
    let run = &read.iter().find(|(name, _)| name.ends_with("run.json")).unwrap().1;
    assert!(run.contains("(redacted)"), "the command that runs it again says that something is left out: {run}");
    // With --private nobody else can open the folder.
    use std::os::unix::fs::PermissionsExt as _;
    let run = std::fs::canonicalize(folder.path().join("results/latest")).unwrap();
    assert_eq!(std::fs::metadata(run).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_dry_run_and_the_effective_plan_hide_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("plan.yaml"), format!("{PLAN}{OPTIONS}")).unwrap();
    let recipe = RECIPE.replacen("[\"true\"]", "[\"mine\", \"{{ options.entry }}\", \"{{ options.url }}\"]", 1);
    std::fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
    for arguments in [&["plan", "plan.yaml"][..], &["plan", "plan.yaml", "-v"], &["plan", "plan.yaml", "--json"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_dsfuzz")).current_dir(folder.path()).args(arguments).output();
        let output = output.expect("the program runs");
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{printed}");
        for secret in [MARKED, NAMED, IN_URL] {
            assert!(!printed.contains(secret), "{arguments:?}: {printed}");
        }
        assert!(printed.contains("(redacted)"), "{printed}");
    }
}

fn files(folder: &Path, read: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_symlink() {
            continue;
        }
        match entry.is_dir() {
            true => files(&entry, read),
            false => {
                let text = String::from_utf8_lossy(&std::fs::read(&entry).expect("a file")).into_owned();
                read.push((entry.display().to_string(), text));
            }
        }
    }
}
