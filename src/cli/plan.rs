//! `dsfuzz plan`: a dry run. Prints every step of a run in order, with this seed; touches nothing.
use super::{Output, Paint, PlanArgs, stored};
use crate::cluster::Node;
use crate::error::{Exit, Failure};
use crate::judge::{self, Rules};
use crate::plan::{LabPlan, Plan, fit, on_one_line, schedule};
use crate::run::NODE_DIR;
use crate::targets::Target;
use crate::targets::layout::NodeLayout;
use dsfuzz_nemesis::budget::Budget;
use dsfuzz_nemesis::protocol::Command;
use dsfuzz_nemesis::{NemesisOptions, Span, SwarmDraw, Timetable};
use serde::Serialize;
use serde_json::Value;

/// `dsfuzz plan`.
#[derive(Clone, Debug, clap::Args)]
pub struct DryRunArgs {
    /// The plan.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Print only the faults of this seed, as the `schedule` of a plan
    #[arg(long)]
    pub as_schedule: bool,
}

/// The dry run as one document.
#[derive(Debug, Serialize)]
struct DryRun {
    /// The effective plan, secrets redacted.
    plan: Value,
    /// The seed: the plan's, or one drawn now.
    seed: u64,
    /// Nodes by name.
    nodes: Vec<String>,
    /// Clients in all.
    clients: u32,
    /// Those of them that follow the leader.
    clients_on_leader: u32,
    /// Deadline of one call, in milliseconds.
    deadline_ms: u64,
    /// The checkers of the run.
    checkers: Vec<String>,
    /// Checkers that are left out, with the reason.
    not_asked: Vec<String>,
    /// The thresholds of evidence, one sentence each.
    evidence: Vec<String>,
    /// The steps on the first node; with -v also those on the second, which stands for all others.
    steps: Vec<DryStep>,
    /// The fault timetable of this seed.
    timetable: Vec<DryFault>,
    /// The plan's faults that this seed draws; none without `nemesis.swarm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    swarm: Option<SwarmDraw>,
}

/// One step on nodes.
#[derive(Debug, Serialize)]
struct DryStep {
    /// The node; `all` for packages.
    node: String,
    /// `install`, `configure`, `disk`, `start`; with -v also `wipe`, `prepare`, `form`, `recovery`.
    phase: String,
    /// A command line or a file's path; with -v the file's content in further lines.
    what: String,
}

/// One planned fault.
#[derive(Debug, Serialize)]
struct DryFault {
    /// Its number, as in the record and the report.
    id: u64,
    /// Begin, in milliseconds of the load phase.
    begin_ms: u64,
    /// How long, in milliseconds.
    lasts_ms: u64,
    /// Its id in the plan's schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it waits for, instead of a time of the load; `begin_ms` counts from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// The latest time of the load at which what it waits for counts, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    unless_by_ms: Option<u64>,
    /// The fault in words, aimed symbolically.
    fault: String,
}

pub(super) fn main(DryRunArgs { plan: args, as_schedule }: &DryRunArgs, out: &mut Output) -> Result<Exit, Failure> {
    let args = &stored::resolved(args, &out.results)?;
    let (mut plan, _overrides) = args.load()?;
    let drawn = plan.seed.is_none();
    let seed = plan.draw_seed();
    let target = args.target(&plan)?;
    let nodes = fit::nodes(&plan).map_err(Failure::Usage)?;
    if *as_schedule {
        fit::warnings(&plan, &target, Some(seed)).iter().for_each(|warning| out.note(warning));
        let timetable = fit::timetable(&plan, &target, seed, &nodes);
        let mut schedule = dsfuzz_nemesis::schedule::as_schedule(&timetable, &nodes);
        plan.nemesis.iter().for_each(|nemesis| nemesis.define(&mut schedule));
        let file = schedule::ScheduleFile::of(&plan, &timetable, &schedule);
        match out.json {
            true => out.document(&file.to_json())?,
            false => file.to_yaml().lines().for_each(|line| out.line(crate::harmless::plain_line(line))),
        }
        return Ok(Exit::Valid);
    }
    let own = plan.own_faults().into_iter().map(|own| own.name).collect();
    let view = StepView { whole: out.verbose, disk_layers: plan.needs_disk_layers(), own };
    let steps = steps(&target, &nodes, plan.cluster.dir().unwrap_or(NODE_DIR), &view)?;
    fit::warnings(&plan, &target, Some(seed)).iter().for_each(|warning| out.note(warning));
    let drawn_faults = fit::timetable(&plan, &target, seed, &nodes);
    let timetable = timetable(&drawn_faults);
    let rules = Rules::of_plan(&plan, &target.facts());
    let clients = plan.load.clients.count(nodes.len());
    let evidence = judge::asked(&rules, &target.facts(), nodes.len(), drawn_faults.swarm.as_ref());
    let dry = DryRun {
        plan: plan.to_json().map_err(Failure::harness)?,
        seed,
        clients,
        clients_on_leader: plan.load.on_leader(clients),
        nodes,
        deadline_ms: u64::try_from(plan.load.deadline(target.election()).as_millis()).unwrap_or(u64::MAX),
        checkers: rules.checkers.iter().map(|(name, _)| name.clone()).collect(),
        not_asked: rules.not_asked().collect(),
        evidence,
        steps,
        timetable,
        swarm: drawn_faults.swarm,
    };
    if out.json {
        out.document(&dry)?;
    } else {
        show(&plan, &dry, drawn, out);
    }
    Ok(Exit::Valid)
}

/// A command as typed in a shell.
fn shown(command: &Command) -> String {
    let user = if command.user.is_empty() { String::new() } else { format!(" (as {})", command.user) };
    format!("{}{user}", command.argv.join(" "))
}

/// Which steps are shown.
struct StepView {
    /// Also those of the second node, the contents of files, and the commands that prepare, form, recover and wipe.
    whole: bool,
    /// The plan's faults need layers over the target's folders.
    disk_layers: bool,
    /// The custom faults whose commands are shown, where `whole`.
    own: Vec<String>,
}

/// Packages, files and commands of the target's recipe, on the first node.
fn steps(target: &Target, nodes: &[String], base: &str, view: &StepView) -> Result<Vec<DryStep>, Failure> {
    let layout = target.layout(&Node::stand_ins(nodes), base).map_err(|error| Failure::Usage(error.to_string()))?;
    let package = |package: &str| DryStep::new("all", "install", format!("package {package}"));
    let mut steps: Vec<DryStep> = layout.packages.iter().map(|name| package(&name.to_string())).collect();
    for node in layout.nodes.iter().take(if view.whole { 2 } else { 1 }) {
        steps.extend(steps_on(node, view));
        let faults = node.faults.iter().filter(|(name, _)| view.whole && view.own.contains(name));
        steps.extend(faults.flat_map(|(name, fault)| {
            let commands =
                [("begin", &fault.begin), ("prove", &fault.prove), ("heal", &fault.heal), ("healed", &fault.healed)];
            let what = |(key, command): (&str, &Command)| format!("{name}, {key}: {}", shown(command));
            commands.map(|command| DryStep::new(&node.node.name, "fault", what(command)))
        }));
    }
    Ok(steps)
}

/// The steps on one node.
fn steps_on(node: &NodeLayout, view: &StepView) -> Vec<DryStep> {
    let whole = view.whole;
    let step = |phase: &str, what: String| DryStep::new(&node.node.name, phase, what);
    let commands = |phase: &str, commands: &[Command]| {
        commands.iter().map(|command| step(phase, shown(command))).collect::<Vec<_>>()
    };
    let mut steps = commands("install", &node.install);
    if whole {
        steps.extend(node.wipe_paths.iter().map(|path| step("wipe", format!("remove {path}"))));
        steps.extend(commands("wipe", &node.wipe_commands));
    }
    for file in &node.files {
        let owner = file.owner.as_ref().map(|owner| format!(", of {owner}")).unwrap_or_default();
        let content = if whole { format!(" (mode {:o}{owner})\n{}", file.mode, file.content) } else { String::new() };
        steps.push(step("configure", format!("{}{content}", file.path)));
    }
    if view.disk_layers {
        steps.push(step("disk", format!("a layer over {}, for the faults of its disk", node.dir)));
    }
    if whole {
        steps.extend(commands("prepare", &node.prepare));
    }
    for process in &node.processes {
        let argv = process.service.argv.iter().filter(|word| !word.is_empty());
        steps.push(step("start", argv.cloned().collect::<Vec<_>>().join(" ")));
    }
    if whole {
        steps.extend(node.form.iter().map(|form| {
            let whom = if form.on_leader { " (on the leader)" } else { "" };
            step("form", format!("{}{whom}", shown(&form.command)))
        }));
        steps.extend(node.recovery.iter().map(|recovery| {
            let whom = if recovery.on_max() { " (on the node with the greatest number)" } else { "" };
            step("recovery", format!("{}{whom}", shown(&recovery.preview)))
        }));
    }
    steps
}

impl DryStep {
    fn new(node: &str, phase: &str, what: String) -> DryStep {
        DryStep { node: node.into(), phase: phase.into(), what }
    }
}

/// The faults of this seed.
fn timetable(timetable: &Timetable) -> Vec<DryFault> {
    let millis = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
    let fault = |planned: &dsfuzz_nemesis::PlannedFault| DryFault {
        id: planned.id,
        begin_ms: millis(planned.at),
        lasts_ms: millis(planned.lasts),
        name: planned.entry.as_ref().map(|entry| entry.name.clone()),
        after: planned.trigger().map(ToString::to_string),
        unless_by_ms: planned.entry.as_ref().and_then(|entry| entry.unless_by).map(millis),
        fault: planned.describe(),
    };
    timetable.faults.iter().map(fault).collect()
}

fn show(plan: &Plan, dry: &DryRun, drawn: bool, out: &mut Output) {
    let mut rows = vec![("plan", plan.name.clone())];
    let how = if drawn { " (drawn now; `--seed` keeps it)" } else { "" };
    rows.push(("seed", format!("{}{how}", dry.seed)));
    rows.push((
        "nodes",
        match &plan.cluster.lab {
            Some(LabPlan::Named(lab)) => format!("{} (the lab {lab})", dry.nodes.join(", ")),
            Some(LabPlan::Nodes(_)) => format!("{} (a lab, made for the run)", dry.nodes.join(", ")),
            None => match &plan.cluster.exec {
                Some(exec) => format!("{} (entered by `{}`)", dry.nodes.join(", "), exec.command.join(" ")),
                None => dry.nodes.join(", "),
            },
        },
    ));
    rows.push(("target", plan.target.clone()));
    for workload in plan.all_workloads() {
        rows.push(("workload", written(workload)));
    }
    let rate = plan.load.rate.map_or_else(|| "as fast as possible".into(), |rate| rate.to_string());
    let deadline = Span::millis(dry.deadline_ms);
    let follow = match dry.clients_on_leader {
        0 => String::new(),
        follow => format!(" ({follow} of them on the leader)"),
    };
    let load = format!("{} clients{follow}, {rate}, for {}, {deadline} for a call", dry.clients, plan.load.time);
    rows.push(("load", load));
    match &plan.nemesis {
        None => rows.push(("faults", "none".into())),
        Some(nemesis) if !nemesis.schedule.is_empty() => {
            let titles = std::iter::once("schedule").chain(std::iter::repeat(""));
            rows.extend(titles.zip(nemesis.schedule.iter().map(schedule::line)));
        }
        Some(nemesis) => {
            let pace = format!("one every {} on average, each for {}", nemesis.every, nemesis.lasts);
            let own = nemesis.faults.iter().any(|fault| fault.lasts().is_some());
            rows.push(("faults", if own { format!("{pace} where it has no `for` of its own") } else { pace }));
            rows.extend(nemesis.faults.iter().map(|fault| ("", written(fault))));
            rows.extend(shape(nemesis).map(|line| ("", line)));
            rows.extend(dry.swarm.as_ref().map(|swarm| ("swarm", format!("this seed {swarm}"))));
        }
    }
    let check = if plan.check.is_empty() { dry.checkers.join(", ") } else { written(&plan.check) };
    rows.push(("check", check));
    rows.extend(dry.not_asked.iter().map(|line| ("", line.clone())));
    let titles = std::iter::once("evidence").chain(std::iter::repeat(""));
    rows.extend(titles.zip(alike(&dry.evidence)));
    for (name, text) in rows {
        let line = format!("{} {}", title(out, name), crate::harmless::plain_line(&text));
        out.line(line);
    }
    show_steps(&dry.steps, &dry.nodes, out);
    for (index, fault) in dry.timetable.iter().enumerate() {
        let name = title(out, if index == 0 { "timetable" } else { "" });
        let begin = fault.begin_ms as f64 / 1000.0;
        let lasts = fault.lasts_ms as f64 / 1000.0;
        let id = fault.name.clone().unwrap_or_else(|| fault.id.to_string());
        let after = fault.after.as_ref().map(|after| match fault.begin_ms {
            0 => format!(", right after {after}"),
            _ => format!(", {begin:.3} s after {after}"),
        });
        let until =
            fault.unless_by_ms.map(|by| format!(" (missed unless this comes in the first {})", Span::millis(by)));
        let after = after.unwrap_or_default() + &until.unwrap_or_default();
        let begin = if fault.after.is_some() { format!("{:>9}", "triggered") } else { format!("{begin:>7.1} s") };
        out.line(format!("{name} {:<10} {begin} for {lasts:>5.1} s  {}{after}", format!("fault {id}"), fault.fault));
    }
    if let Some(positions) = positions(dry) {
        out.line(format!("{} {positions}", title(out, "")));
    }
}

/// What `#2` is in the words of faults that are drawn by position; none where no fault has it.
fn positions(dry: &DryRun) -> Option<String> {
    let numbered = |fault: &DryFault| {
        fault.fault.split([' ', '(']).any(|word| word.strip_prefix('#').is_some_and(|at| at.parse::<u32>().is_ok()))
    };
    let names = || {
        dry.nodes.iter().enumerate().map(|(at, name)| format!("#{} is {name}", at + 1)).collect::<Vec<_>>().join(", ")
    };
    dry.timetable.iter().any(numbered).then(names)
}

/// Lines of single kinds (`kill: ..`), those that ask the same of several kinds joined.
fn alike(lines: &[String]) -> Vec<String> {
    let mut joined: Vec<(Option<String>, String)> = Vec::new();
    for line in lines {
        let (kind, asked) = match line.split_once(": proven ") {
            Some((kind, asked)) => (Some(kind.to_owned()), format!("proven {asked}")),
            None => (None, line.clone()),
        };
        match joined.iter_mut().find(|(kinds, other)| kinds.is_some() && kind.is_some() && *other == asked) {
            Some((kinds, _)) => *kinds = kinds.take().zip(kind).map(|(kinds, kind)| format!("{kinds}, {kind}")),
            None => joined.push((kind, asked)),
        }
    }
    joined.into_iter().map(|(kinds, asked)| kinds.map_or(asked.clone(), |kinds| format!("{kinds}: {asked}"))).collect()
}

/// What shapes the drawing of faults beside their list, one line each.
fn shape(nemesis: &NemesisOptions) -> impl Iterator<Item = String> {
    let beside = match nemesis.budget {
        Budget::Quorum => "and together they leave a quorum (`budget: quorum`)",
        Budget::None => "whatever they leave (`budget: none`)",
    };
    let overlap =
        (nemesis.overlap > 1).then(|| format!("overlap: up to {} are in force at once, {beside}", nemesis.overlap));
    let quiet = nemesis.quiet.map(|quiet| {
        let begins = Span(quiet.every.0.saturating_sub(quiet.lasts.0));
        let (lasts, every) = (quiet.lasts, quiet.every);
        format!(
            "quiet: none is in force in the last {lasts} of each {every} of the load (from {begins} to {every}, ..)"
        )
    });
    let recovery = nemesis.recovery.map(|demand| {
        format!(
            "recovery: every node must answer again within {} after each heal, unless another fault comes sooner (checker liveness)",
            demand.within
        )
    });
    overlap.into_iter().chain(quiet).chain(recovery)
}

/// The first words of a line.
fn title(out: &Output, text: &str) -> String {
    out.paint(Paint::Strong, &format!("{text:<10}"))
}

/// The steps, each node's under its name, and the nodes whose steps are like them.
fn show_steps(steps: &[DryStep], nodes: &[String], out: &mut Output) {
    let mut node = "";
    for step in steps {
        let name = if step.node == node { String::new() } else { format!("on {}", step.node) };
        node = &step.node;
        let name = title(out, &name);
        let mut lines = step.what.lines();
        out.line(format!(
            "{name} {:<10} {}",
            step.phase,
            crate::harmless::plain_line(lines.next().unwrap_or_default())
        ));
        lines.for_each(|line| out.line(format!("{:22}| {}", "", crate::harmless::plain_line(line))));
    }
    let shown = nodes.iter().position(|name| name == node).map_or(nodes.len(), |last| last + 1);
    if shown < nodes.len() {
        let text = format!("like {node}, with names and addresses of their own");
        let text = if shown == 1 { format!("{text}; -v shows all steps and the files") } else { text };
        out.line(format!("{} {text}", title(out, &format!("on {}", nodes[shown..].join(", ")))));
    }
}

/// As it stands in a plan, on one line.
fn written(value: &impl Serialize) -> String {
    serde_json::to_value(value).map(|value| on_one_line(&value)).unwrap_or_default()
}
