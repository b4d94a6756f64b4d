//! `docs/exit-codes.md`: each example of its table ends as the table says.
use super::{ProgramOutput, Scene};
use std::path::Path;

const PAGE: &str = include_str!("../../docs/exit-codes.md");

#[test]
fn each_example_of_wrong_input_ends_with_its_code_and_words() {
    let (_, plan) = PAGE.split_once("```yaml\n").expect("the plan of the examples");
    let (plan, _) = plan.split_once("```").expect("its end");
    let scene = Scene::new(plan);
    let damaged = scene.folder.path().join("results/damaged/1");
    std::fs::create_dir_all(&damaged).expect("a folder");
    for (file, text) in [("plan.yaml", plan), ("run.json", "{"), ("history.jsonl", "")] {
        std::fs::write(damaged.join(file), text).expect("written");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_dsfuzz")).parent().expect("a folder").display();
    let path = format!("{program}:{}", std::env::var("PATH").expect("a path"));
    let rows = PAGE.lines().filter(|line| line.contains("| `dsfuzz "));
    let mut wrong = Vec::new();
    let mut codes = std::collections::BTreeMap::<i32, u32>::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [what, example, code, says] = cells[..] else { panic!("a row has four cells: {row}") };
        let code: i32 = code.parse().expect("a code");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", example.trim_matches('`')]).current_dir(scene.folder.path()).env("PATH", &path);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DSFUZZ_")) {
            command.env_remove(name);
        }
        let output = ProgramOutput::from(command.output().expect("a shell"));
        let is_said = output.stderr.contains(says) || output.stdout.contains(says);
        if output.code != code || !is_said {
            wrong.push(format!("{what}: {output:?}"));
        }
        *codes.entry(code).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(codes[&254] > 15 && codes[&255] > 2, "{codes:?}");
}
