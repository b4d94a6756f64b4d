//! `dsfuzz demo`: a system with a known mistake, and the run that finds it.
use super::{Output, OverrideArgs, PlanArgs, run};
use crate::error::{Exit, Failure};
use crate::folders::is_root;
use crate::lab::{Lab, Owner};
use clap::Args;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The plan, with a word in place of its cluster.
const PLAN: &str = include_str!("demo.yaml");
/// The cluster where a lab can be made.
const LAB: &str = "{lab: 3}";

/// Arguments of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Use processes of this machine instead of a lab, as on a machine that allows no namespaces
    #[arg(long)]
    local: bool,
    /// The seed
    #[arg(long, default_value = "1")]
    seed: String,
}

pub(super) fn main(args: &DemoArgs, out: &mut Output) -> Result<Exit, Failure> {
    let no_lab = if args.local { Some("--local".to_owned()) } else { lab_refused() };
    let folder = std::env::temp_dir().join(format!("dsfuzz-demo-{}", std::process::id()));
    let cluster = match &no_lab {
        None => LAB.to_owned(),
        Some(why) => {
            out.note(format!("three nodes that are processes of this machine, without a lab: {why}"));
            shared_folder(&folder)?;
            local(&folder)
        }
    };
    let file = out.results.join("demo.yaml");
    let written =
        std::fs::create_dir_all(&out.results).and_then(|()| std::fs::write(&file, PLAN.replace("CLUSTER", &cluster)));
    written.map_err(|error| Failure::harness(format!("{}: {error}", file.display())))?;
    let ended = run_plan(file, args.seed.clone(), out);
    // What the nodes left; they have ended.
    let _ = std::fs::remove_dir_all(&folder);
    match ended? {
        Exit::Invalid => {
            if !out.json {
                out.line("That was to be found: the demo's system has a mistake. `mistake: none` in its plan switches it off.");
            }
            Ok(Exit::Valid)
        }
        other => Ok(other),
    }
}

fn run_plan(file: PathBuf, seed: String, out: &mut Output) -> Result<Exit, Failure> {
    let overrides = OverrideArgs { seed: Some(seed), ..OverrideArgs::default() };
    run::main(&run::RunArgs { plan: PlanArgs { file, overrides }, ..run::RunArgs::default() }, out)
}

/// The reason why no lab can be made here; none if one was made.
fn lab_refused() -> Option<String> {
    let lab = Lab::up(&format!("demo-{}", std::process::id()), 1, Owner::ThisProcess);
    lab.and_then(Lab::down).err().map(|error| format!("{error:#}"))
}

/// A folder for the nodes' files. Root hands them to another user.
fn shared_folder(folder: &Path) -> Result<(), Failure> {
    let open = std::fs::Permissions::from_mode(0o1777);
    let made = std::fs::create_dir(folder).and_then(|()| std::fs::set_permissions(folder, open));
    made.map_err(|error| Failure::harness(format!("{}: {error}", folder.display())))
}

/// Nodes that are processes of this machine, with addresses of its loopback interface.
fn local(folder: &Path) -> String {
    let nodes =
        (1..=3).map(|node| format!("{{name: n{node}, address: 127.77.0.{node}}}")).collect::<Vec<_>>().join(", ");
    // Agents of root would share the machine: its firewall, its claim.
    let user = if is_root() { "setpriv, --reuid=65534, --regid=65534, --clear-groups, " } else { "" };
    format!(
        "{{exec: {{nodes: [{nodes}], command: [{user}env, \"DSFUZZ_NODE={{{{ node }}}}\"], any_user: true, dir: \"{}/{{{{ node }}}}\"}}}}",
        folder.display()
    )
}
