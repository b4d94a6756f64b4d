//! `dsfuzz client try`: whether a client program keeps the rules of the client protocol.
use super::{Output, Paint};
use crate::cluster::Node;
use crate::document::did_you_mean;
use crate::error::{Exit, Failure};
use crate::plan::{Overrides, Plan, fit};
use crate::targets::exec::trial::{ClientTrial, TrialNotes, plain_workload, trial_of};
use crate::targets::exec::{ExecConnect, LINE_BYTES_MAX, STDERR_ROOM_BYTES};
use crate::targets::{self, Target, TargetError};
use clap::{Args, Subcommand};
use dsfuzz_nemesis::Span;
use dsfuzz_workloads::{ClientWorkload, WORKLOADS, WorkloadOptions};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How long a server may take to answer whether it listens.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Arguments of `client`.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ClientCommand,
}

/// What to do with a client.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Run a client program on its own, make calls, lose and hold back the server's answers, and say which rules it breaks
    Try(TryArgs),
}

/// Arguments of `client try`.
#[derive(Clone, Debug, Args)]
pub struct TryArgs {
    /// The workload whose calls it gets: register, unless --plan names another one
    #[arg(long, value_name = "NAME")]
    pub workload: Option<String>,
    /// A plan whose workload is tried, with its options; without --target and COMMAND also its target, with its options
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// The recipe whose client for the workload is tried: a built-in target or a path; instead of COMMAND
    #[arg(long, value_name = "RECIPE", conflicts_with = "command")]
    pub target: Option<String>,
    /// Address of a running server with nothing in it yet; left out, the client is tried without a server
    #[arg(long, value_name = "ADDRESS")]
    pub server: Option<IpAddr>,
    /// A port of the server by its role, such as client=6379 (repeatable; of a recipe, its own ports)
    #[arg(long = "port", value_name = "ROLE=PORT")]
    pub ports: Vec<String>,
    /// An option for the client (repeatable; of a recipe, its own options)
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub options: Vec<String>,
    /// Deadline of a call
    #[arg(long, default_value = "2s", value_name = "DURATION")]
    pub deadline: Span,
    /// Calls to make in order before answers are lost
    #[arg(long, default_value_t = 40, value_name = "N")]
    pub calls: u32,
    /// The program and its arguments, after `--`
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub(super) fn main(args: &ClientArgs, out: &mut Output) -> Result<Exit, Failure> {
    let ClientCommand::Try(args) = &args.command;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::harness)?;
    let folder = std::env::temp_dir().join(format!("dsfuzz-client-try-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(Failure::harness)?;
    let tried = trial(args, &folder).map(|trial| runtime.block_on(trial.run()));
    // A kept rule needs no explanation; else the sentences name these files.
    let kept = tried.as_ref().is_ok_and(|notes| notes.as_ref().is_ok_and(|notes| !notes.has_broken()));
    if kept || !has_stderr(&folder) {
        let _ = std::fs::remove_dir_all(&folder);
    } else {
        out.note(format!("the client's standard error is in {}", folder.display()));
    }
    let notes = tried?.map_err(Failure::harness)?;
    show(&notes, out)?;
    Ok(if notes.has_broken() { Exit::Invalid } else { Exit::Valid })
}

/// Whether the client wrote to its standard error; a file is made with its first byte.
fn has_stderr(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|file| file.path()).any(|path| path.extension().is_some_and(|end| end == "stderr"))
}

/// The trial that the arguments ask for.
fn trial(args: &TryArgs, folder: &Path) -> Result<ClientTrial, Failure> {
    let usage = |message: String| Failure::Usage(message);
    let plan = args.plan.as_deref().map(|path| Plan::load(path, &Overrides::none())).transpose()?;
    let options = match &plan {
        Some(plan) => planned_workload(plan, args.workload.as_deref())?,
        None => named_workload(args.workload.as_deref().unwrap_or("register"))?,
    };
    let target = tried_target(args, plan.as_ref())?;
    let ports = ports(&args.ports, target.as_ref())?;
    let exec = match &target {
        Some(target) => {
            let node = Node { name: "n1".into(), address: args.server.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)) };
            let workload = ClientWorkload::of(&*options.build());
            target.client_program(&workload, &[node], folder, "try").map_err(|error| usage(error.to_string()))?
        }
        None if args.command.is_empty() => {
            return Err(usage(
                "name the client: `dsfuzz client try -- python3 client.py`, or --target RECIPE".to_owned(),
            ));
        }
        None => of_command(&args.command, folder),
    };
    if let Some(why) = exec.missing() {
        return Err(usage(why));
    }
    if let Some(server) = args.server {
        if ports.is_empty() {
            return Err(usage("--server needs the server's ports: --port client=6379".to_owned()));
        }
        listening(server, &ports)?;
    }
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let client_options = match &target {
        Some(target) => target.options().iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        None => pairs("--option", &args.options)?.into_iter().collect(),
    };
    Ok(ClientTrial {
        server: args.server,
        ports,
        options: client_options,
        deadline: args.deadline.0,
        calls: args.calls,
        ..trial_of(exec, &options)
    })
}

/// The target whose client is tried: that of --target, or without a command that of the plan; with the options of the plan and
/// those of --option.
fn tried_target(args: &TryArgs, plan: Option<&Plan>) -> Result<Option<Target>, Failure> {
    let usage = |error: TargetError| Failure::Usage(error.to_string());
    let plan = plan.filter(|_| args.target.is_none() && args.command.is_empty());
    let Some(name) = args.target.as_ref().or(plan.map(|plan| &plan.target)) else { return Ok(None) };
    // A path in a plan is relative to the plan.
    let folder = args.plan.as_deref().filter(|_| plan.is_some()).and_then(Path::parent).unwrap_or(Path::new(""));
    let mut options = plan.map(|plan| plan.options.clone()).unwrap_or_default();
    let given = pairs("--option", &args.options)?;
    if !given.is_empty() {
        let target = targets::load(name, folder, &options).map_err(usage)?;
        let docs = &target.recipe().options;
        let typed = |(name, text): (String, String)| {
            let value = docs.get(&name).map_or_else(|| text.clone().into(), |doc| doc.read(&text));
            (name, value)
        };
        options.entry(target.name().to_owned()).or_default().extend(given.into_iter().map(typed));
    }
    let target = targets::load(name, folder, &options).map_err(usage)?;
    // A lab that is not up has no nodes to count.
    let nodes = plan.and_then(|plan| fit::nodes(plan).ok()).unwrap_or_default();
    let beyond = target.beyond_bounds(&nodes);
    if beyond.is_empty() { Ok(Some(target)) } else { Err(Failure::Usage(beyond.join("\n"))) }
}

/// The ports by role: those of the recipe, if there is one, with others in their place. Without a recipe any role is one.
fn ports(given: &[String], target: Option<&Target>) -> Result<BTreeMap<String, u16>, Failure> {
    let mut ports = target.map(Target::ports).unwrap_or_default();
    for (role, port) in pairs("--port", given)? {
        let usage = |why: String| Failure::Usage(format!("--port {role}={port}: {why}"));
        if let Some(target) = target.filter(|_| !ports.contains_key(&role)) {
            let known: Vec<&str> = ports.keys().map(String::as_str).collect();
            let meant = did_you_mean(&role, known.iter().copied()).map(|meant| format!("did you mean {meant}? "));
            return Err(usage(format!(
                "no port of {} is named {role}; {}there are {}",
                target.name(),
                meant.unwrap_or_default(),
                known.join(", ")
            )));
        }
        let number = port.parse().ok().filter(|number| *number != 0);
        ports.insert(role.clone(), number.ok_or_else(|| usage(format!("{port} is not a port from 1 to 65535")))?);
    }
    Ok(ports)
}

/// Whether the server listens at one of these ports: a client that meets no server must not be blamed for it.
fn listening(server: IpAddr, ports: &BTreeMap<String, u16>) -> Result<(), Failure> {
    let mut refused = Vec::new();
    for (role, port) in ports {
        match std::net::TcpStream::connect_timeout(&(server, *port).into(), CONNECT_WITHIN) {
            Ok(_) => return Ok(()),
            Err(why) => refused.push(format!("{server}:{port} (port {role}): {why}")),
        }
    }
    Err(Failure::harness(format!("no server listens at {}; start it, or leave --server out", refused.join(", "))))
}

/// The workload of this name with its default options.
fn named_workload(name: &str) -> Result<WorkloadOptions, Failure> {
    let options = plain_workload(name).ok_or_else(|| {
        let known: Vec<&str> = WORKLOADS.iter().map(|doc| doc.name).collect();
        Failure::Usage(format!("--workload {name}: unknown; there are {}", known.join(", ")))
    })?;
    match options.mistake() {
        None => Ok(options),
        Some((option, why)) => Err(Failure::Usage(format!(
            "--workload {name}: {option}: {why}; a plan says it: `dsfuzz client try --plan PLAN`"
        ))),
    }
}

/// The workload of a plan; of several, the one of this name.
fn planned_workload(plan: &Plan, name: Option<&str>) -> Result<WorkloadOptions, Failure> {
    let workloads: Vec<&WorkloadOptions> = plan.all_workloads().collect();
    let has: Vec<&str> = workloads.iter().map(|workload| workload.name()).collect();
    let has = has.join(", ");
    let chosen = match (name, &workloads[..]) {
        (None, [only]) => Ok(*only),
        (None, _) => Err(format!("the plan has several workloads ({has}): name one with --workload")),
        (Some(name), _) => workloads
            .iter()
            .copied()
            .find(|workload| workload.name() == name)
            .ok_or_else(|| format!("--workload {name}: the plan has {has}")),
    };
    chosen.cloned().map_err(Failure::Usage)
}

/// A program in this folder.
fn of_command(command: &[String], folder: &Path) -> ExecConnect {
    ExecConnect {
        argv: command.to_vec(),
        called: None,
        folder: std::path::PathBuf::new(),
        env: BTreeMap::new(),
        errors: BTreeMap::new(),
        init_deadline: std::time::Duration::from_secs(10),
        workload: ClientWorkload::new("", &[]),
        settings: BTreeMap::new(),
        run: String::new(),
        nodes: Vec::new(),
        stderr_dir: folder.to_owned(),
        stderr_room: Arc::new(AtomicU64::new(STDERR_ROOM_BYTES)),
        line_bytes_max: LINE_BYTES_MAX,
        programs: None,
    }
}

/// `NAME=VALUE` of a repeatable flag.
fn pairs(flag: &str, given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::Usage(format!("{flag} {text}: expected NAME=VALUE"))),
    };
    given.iter().map(pair).collect()
}

fn show(notes: &TrialNotes, out: &mut Output) -> Result<(), Failure> {
    /// A rule in the document.
    #[derive(Serialize)]
    struct RuleLine {
        rule: String,
        words: &'static str,
        kept: Option<bool>,
        broken: Vec<String>,
    }
    if out.json {
        let lines: Vec<RuleLine> = notes
            .rules()
            .map(|(rule, words, state)| RuleLine {
                rule: serde_json::to_value(rule)
                    .ok()
                    .and_then(|rule| Some(rule.as_str()?.to_owned()))
                    .unwrap_or_default(),
                words,
                kept: state.tried.then_some(state.broken.is_empty()),
                broken: state.broken,
            })
            .collect();
        return out.document(&lines);
    }
    for (_, words, state) in notes.rules() {
        let mark = match (state.tried, state.broken.is_empty()) {
            (false, _) => out.paint(Paint::Faint, "not tried"),
            (true, true) => out.paint(Paint::Good, "kept     "),
            (true, false) => out.paint(Paint::Bad, "broken   "),
        };
        out.line(format!("{mark}  {words}"));
        for sentence in &state.broken {
            out.line(format!("             {sentence}"));
        }
    }
    Ok(())
}
