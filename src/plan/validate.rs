//! Rules of a plan that its types do not express: keys that must go together, and keys that must not.
use super::{Clients, LIVENESS, LabPlan, LoadPlan, Plan, names};
use crate::cluster::{ExecOptions, SshOptions};
use crate::document::{Mistake, did_you_mean};
use crate::lab::NODES_MAX;
use dsfuzz_checkers::{CHECKERS, CheckerDoc, OptionError, Options};
use dsfuzz_nemesis::NemesisOptions;
use dsfuzz_nemesis::schedule::{Begin, Trigger};
use dsfuzz_workloads::WorkloadOptions;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Most clients of one run, and most clients that join hanging ones.
const CLIENTS_MAX: u32 = 10_000;
/// Highest rate.
pub(super) const RATE_MAX: f64 = 1_000_000.0;
/// Longest load, and longest wait.
const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most faults of one run.
const FAULTS_MAX: u32 = 10_000;
/// Least time between the begins of two faults, however small `every` is.
const FAULT_SLOT_MIN: Duration = Duration::from_secs(1);

pub(super) fn check(plan: &Plan) -> Result<(), Mistake> {
    name(&plan.name)?;
    cluster(plan)?;
    if plan.target.trim().is_empty() {
        return wrong(&["target"], "the target is empty", "a built-in recipe (`dsfuzz list targets`) or a recipe file");
    }
    workloads(plan)?;
    load(plan)?;
    thresholds(plan)?;
    nemesis(plan)?;
    checks(plan)
}

/// The absolute path of a recipe that is not built in: a file, or a folder with a `recipe.yaml`.
pub(super) fn recipe_path(target: &str, folder: &Path) -> Result<String, Mistake> {
    let found = folder.join(target);
    if found.exists() {
        let absolute = std::path::absolute(&found).unwrap_or(found);
        return Ok(absolute.display().to_string());
    }
    let known = names::targets();
    let known: Vec<&str> = known.iter().map(|entry| entry.name.as_str()).collect();
    let meant = did_you_mean(target, known.iter().copied());
    let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
    let help = format!("{meant}built in: {}; a recipe of your own is named by its path", known.join(", "));
    let message = format!("no target `{}` is built in, and there is no such file", target.escape_debug());
    Err(Mistake::at(&["target"], message, Some(&help)))
}

fn wrong(path: &[&str], message: impl Into<String>, help: &str) -> Result<(), Mistake> {
    Err(Mistake::at(path, message, Some(help)))
}

/// A name becomes a folder; `latest` is taken.
fn name(name: &str) -> Result<(), Mistake> {
    let help = "the name becomes a folder under results/: use letters, digits, `-`, `_` and `.`";
    if !is_folder_name(name) || name == "latest" {
        return wrong(&["name"], format!("\"{}\" cannot name a folder", name.escape_debug()), help);
    }
    Ok(())
}

fn is_folder_name(name: &str) -> bool {
    let separators = |c: char| matches!(c, '/' | '\\') || c.is_control();
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.trim() == name && !name.contains(separators)
}

fn cluster(plan: &Plan) -> Result<(), Mistake> {
    let cluster = &plan.cluster;
    let one = "one of: `lab: 5` (nodes on this machine), `nodes: [n1, n2, n3]` (hosts) and `exec: {nodes: [..], command: [..]}` \
               (nodes that a command enters)";
    let named =
        [("lab", cluster.lab.is_some()), ("nodes", !cluster.nodes.is_empty()), ("exec", cluster.exec.is_some())];
    let named: Vec<&str> = named.iter().filter(|(_, named)| *named).map(|(key, _)| *key).collect();
    match (named.as_slice(), &cluster.lab) {
        ([], _) => return wrong(&["cluster"], "the cluster has no nodes", one),
        ([first, second, ..], _) => {
            return wrong(&["cluster"], format!("a cluster has `{first}` or `{second}`, here are both"), one);
        }
        (_, Some(LabPlan::Nodes(count))) if *count == 0 || *count > NODES_MAX => {
            let message = format!("a lab has 1 to {NODES_MAX} nodes, not {count}");
            return wrong(&["cluster", "lab"], message, "such as `lab: 5`");
        }
        (_, Some(LabPlan::Named(lab))) if !is_folder_name(lab) => {
            let message = format!("\"{}\" cannot name a lab", lab.escape_debug());
            return wrong(&["cluster", "lab"], message, "a number of nodes, or a name that `dsfuzz lab list` shows");
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let at = index.to_string();
        let path = ["cluster", "nodes", at.as_str()];
        let host = node.rsplit('@').next().unwrap_or(node);
        if host.is_empty() || !is_node_name(node) {
            let help = "a host as one would write it after `ssh`: n1, 10.0.0.3, admin@n1";
            return wrong(&path, format!("\"{}\" cannot name a host", node.escape_debug()), help);
        }
        if !seen.insert(host) {
            return wrong(&path, format!("the node `{host}` is there twice"), "each host once");
        }
    }
    cluster.exec.as_ref().map_or(Ok(()), |exec| entered(exec, &cluster.ssh))
}

/// A name that is one word of a command, and no option.
fn is_node_name(name: &str) -> bool {
    is_folder_name(name) && !name.starts_with('-') && !name.contains(char::is_whitespace)
}

/// Nodes that a command enters.
fn entered(exec: &ExecOptions, ssh: &SshOptions) -> Result<(), Mistake> {
    if *ssh != SshOptions::default() {
        let help = "`own_kernel`, `ping_port` and `dir` stand in `exec` too; what reaches the nodes is its command";
        return wrong(&["cluster", "ssh"], "nodes that a command enters are not reached by SSH", help);
    }
    let example = "such as `command: [docker, exec, -i, \"{{ node }}\"]`";
    if exec.nodes.is_empty() {
        return wrong(&["cluster", "exec", "nodes"], "the cluster has no nodes", "such as `nodes: [n1, n2, n3]`");
    }
    if exec.command.first().is_none_or(|program| program.trim().is_empty()) {
        return wrong(&["cluster", "exec", "command"], "the command that enters a node is empty", example);
    }
    let foreign = |dir: &&String| dir.replace("{{ node }}", "").contains(['{', '}']);
    if let Some(dir) = exec.dir.as_ref().filter(foreign) {
        let help = "such as `/var/lib/dsfuzz` or `/tmp/nodes/{{ node }}`";
        return wrong(&["cluster", "exec", "dir"], format!("\"{dir}\": only {{{{ node }}}} can be filled in"), help);
    }
    let mut commands: Vec<(&str, Vec<String>)> = Vec::new();
    for (index, node) in exec.nodes.iter().enumerate() {
        let (at, name) = (index.to_string(), node.name());
        let path = ["cluster", "exec", "nodes", at.as_str()];
        if !is_node_name(name) {
            let help = "a name for the command: letters, digits, `-`, `_` and `.`";
            return wrong(&path, format!("\"{}\" cannot name a node", name.escape_debug()), help);
        }
        if commands.iter().any(|(other, _)| *other == name) {
            return wrong(&path, format!("the node `{name}` is there twice"), "each node once");
        }
        let argv = match exec.argv(node) {
            Ok(argv) => argv,
            Err(message) => {
                let help = "a word may use {{ node }}, and {{ address }} where each node has one: `{name: n1, address: 10.0.0.1}`";
                return wrong(&["cluster", "exec", "command"], message, help);
            }
        };
        if let Some((other, _)) = commands.iter().find(|(_, command)| *command == argv) {
            let message = format!("the command is the same for {other} and {name}: it would enter one node twice");
            return wrong(&["cluster", "exec", "command"], message, example);
        }
        commands.push((name, argv));
    }
    Ok(())
}

fn workloads(plan: &Plan) -> Result<(), Mistake> {
    let one =
        "`workload: {register: {}}` for one, or `workloads: [..]` for several; `dsfuzz list workloads` shows them";
    match (&plan.workload, plan.workloads.as_slice()) {
        (None, []) => return wrong(&["workload"], "it is missing, so that clients have nothing to do", one),
        (Some(_), [_, ..]) => {
            return wrong(&["workloads"], "a plan has `workload` or `workloads`, here are both", one);
        }
        _ => {}
    }
    if let Some((workload, (option, message))) = plan.workload.iter().find_map(|one| Some((one, one.mistake()?))) {
        return wrong(
            &["workload", workload.name(), option],
            message,
            "`dsfuzz list workloads` and docs/plan.md say what it is",
        );
    }
    let mut seen = BTreeSet::new();
    for (index, workload) in plan.workloads.iter().enumerate() {
        if let Some((option, message)) = workload.mistake() {
            let path = ["workloads", &index.to_string(), workload.name(), option];
            return wrong(&path, message, "`dsfuzz list workloads` and docs/plan.md say what it is");
        }
        if !seen.insert(workload.name()) {
            let message = format!("the workload `{}` is there twice", workload.name());
            return wrong(&["workloads", &index.to_string()], message, "their operations could not be told apart");
        }
    }
    Ok(())
}

fn load(plan: &Plan) -> Result<(), Mistake> {
    let load = &plan.load;
    let spans = [
        ("time", Some(load.time)),
        ("deadline", load.deadline),
        ("settle", Some(load.settle)),
        ("final_deadline", Some(load.final_deadline)),
        ("recovery", Some(load.recovery)),
    ];
    for (key, span) in spans {
        if span.is_some_and(|span| span.0.is_zero()) {
            return wrong(&["load", key], "this duration cannot be zero", "such as 60s");
        }
        if let Some(span) = span.filter(|span| span.0 > TIME_MAX) {
            let message = format!("{span} is longer than one run can take: at most 30days (720h)");
            return wrong(&["load", key], message, "such as 60s; for more, start several runs, each with its own seed");
        }
    }
    if let Some((key, message)) = too_many_clients(load, plan.cluster.nodes_planned()) {
        let help = if key == "joining" { "such as 40; 0 for none" } else { "such as 2n; more load is a higher `rate`" };
        return wrong(&["load", key], message, help);
    }
    if load.rate.is_some_and(|rate| rate.0 > RATE_MAX) {
        let message = format!("no cluster is asked more than {RATE_MAX} times a second from here");
        return wrong(&["load", "rate"], message, "leave it out for as fast as possible");
    }
    if load.ops_max == Some(0) {
        return wrong(&["load", "ops_max"], "no call at all would be made", "leave it out for no limit");
    }
    if plan.budget.time.0.is_zero() {
        return wrong(&["budget", "time"], "this duration cannot be zero", "such as 5m");
    }
    if plan.budget.memory_mib == 0 {
        return wrong(&["budget", "memory_mib"], "checkers cannot do without memory", "such as 1024");
    }
    if !(0.0..=1.0).contains(&plan.evidence.ok_fraction_min) {
        return wrong(&["evidence", "ok_fraction_min"], "a fraction lies between 0 and 1", "such as 0.1");
    }
    Ok(())
}

/// The error for too many clients on this number of nodes: the key that asks for them, and a sentence.
pub(super) fn too_many_clients(load: &LoadPlan, nodes: usize) -> Option<(&'static str, String)> {
    let made = |each: u32| u64::from(each).saturating_mul(nodes as u64);
    let on_nodes =
        |count: u64| if nodes == 1 { String::new() } else { format!(" for each of {nodes} nodes make {count}") };
    let (clients, of_nodes) = match load.clients {
        Clients::Total(count) => (u64::from(count), String::new()),
        Clients::PerNode(each) => (made(each), on_nodes(made(each))),
    };
    if clients > u64::from(CLIENTS_MAX) {
        return Some(("clients", format!("{} clients{of_nodes}; at most {CLIENTS_MAX} are held", load.clients)));
    }
    let joining = made(load.joining);
    let of_nodes = on_nodes(joining);
    (joining > u64::from(CLIENTS_MAX))
        .then(|| ("joining", format!("{} clients that join{of_nodes}; at most {CLIENTS_MAX} are held", load.joining)))
}

/// Thresholds by kind must name existing kinds.
fn thresholds(plan: &Plan) -> Result<(), Mistake> {
    let own: Vec<String> = plan.nemesis.iter().flat_map(|nemesis| nemesis.counted_as()).collect();
    let known = dsfuzz_nemesis::FAULTS.iter().map(|fault| fault.name);
    let custom = own.iter().map(String::as_str).filter(|kind| dsfuzz_nemesis::kind_of(kind) != *kind);
    let mut known: Vec<&str> = known.chain(custom).collect();
    known.dedup();
    let evidence = &plan.evidence;
    let named = evidence.proven_per_kind_min.kinds().map(|kind| ("proven_per_kind_min", kind));
    let mut named = named.chain(evidence.ok_during_fault_min.kinds().map(|kind| ("ok_during_fault_min", kind)));
    if let Some((key, kind)) = named.find(|(_, kind)| !known.contains(kind)) {
        let meant = did_you_mean(kind, known.iter().copied());
        let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
        let help = format!("{meant}kinds of fault: {}", known.join(", "));
        return wrong(&["evidence", key], format!("no fault is of the kind `{kind}`"), &help);
    }
    Ok(())
}

fn nemesis(plan: &Plan) -> Result<(), Mistake> {
    let Some(nemesis) = &plan.nemesis else { return Ok(()) };
    for (key, span) in [("every", nemesis.every), ("for", nemesis.lasts)] {
        if span.0.is_zero() {
            return wrong(&["nemesis", key], "this duration cannot be zero", "such as 10s");
        }
    }
    if let Some((key, message)) = nemesis.drawing_mistake() {
        return wrong(&["nemesis", key], message, "docs/plan.md says what it is");
    }
    if let Some(recovery) = nemesis.recovery {
        if recovery.within.0.is_zero() {
            return wrong(&["nemesis", "recovery", "within"], "this duration cannot be zero", "such as 10s");
        }
        if let Some(end) = nemesis.quiet_end.filter(|end| *end < recovery.needs()) {
            let message = format!("{end} without faults are too short to see a recovery within {}", recovery.within);
            let help = format!("{} or longer, or leave it out", recovery.needs());
            return wrong(&["nemesis", "quiet_end"], message, &help);
        }
        if plan.check.iter().any(|check| check.name() == LIVENESS) {
            let help = "leave out one of the two: `nemesis.recovery` is this checker with `recover`";
            return wrong(&["nemesis", "recovery"], "`check` has liveness too, with a time of its own", help);
        }
    }
    match (nemesis.faults.is_empty(), nemesis.schedule.is_empty()) {
        (true, true) => {
            let help = "name some under `faults` or `schedule`, or leave out `nemesis`";
            return wrong(&["nemesis"], "a nemesis without faults", help);
        }
        (false, false) => {
            let message = "both `faults`, which are drawn over the load, and a `schedule`";
            return wrong(&["nemesis", "schedule"], message, "leave one of the two out");
        }
        (true, false) => return schedule(nemesis),
        (false, true) => {}
    }
    let faults = plan.load.time.0.as_secs_f64() / nemesis.every.0.max(FAULT_SLOT_MIN).as_secs_f64();
    if faults > f64::from(FAULTS_MAX) {
        let message = format!("one every {} within {} makes {faults:.0} faults", nemesis.every, plan.load.time);
        let help = format!("at most {FAULTS_MAX} in one run: a larger `nemesis.every` or a shorter `load.time`");
        return wrong(&["nemesis", "every"], message, &help);
    }
    let quiet_end = nemesis.quiet_end.or(nemesis.recovery.map(|demand| demand.needs()));
    let quiet = nemesis.quiet_start.0 + quiet_end.map_or(std::time::Duration::ZERO, |span| span.0);
    if quiet >= plan.load.time.0 {
        let message = format!("the quiet start and end leave no time for faults in a load of {}", plan.load.time);
        return wrong(
            &["nemesis"],
            message,
            "a longer `load.time`, or shorter `quiet_start`, `quiet_end` and `recovery.within`",
        );
    }
    Ok(())
}

fn schedule(nemesis: &NemesisOptions) -> Result<(), Mistake> {
    if nemesis.schedule.len() > FAULTS_MAX as usize {
        let message = format!("{} faults in one schedule", nemesis.schedule.len());
        return wrong(&["nemesis", "schedule"], message, &format!("at most {FAULTS_MAX}"));
    }
    for (position, entry) in nemesis.schedule.iter().enumerate() {
        let at = position.to_string();
        if entry.duration(nemesis.lasts).0.is_zero() {
            return wrong(&["nemesis", "schedule", &at, "for"], "this duration cannot be zero", "such as 6s");
        }
        if let Begin::When(Trigger::Log { pattern, .. }) = &entry.begin
            && let Err(error) = regex_lite::Regex::new(pattern)
        {
            let message = format!("{pattern} is not a regular expression: {error}");
            return wrong(&["nemesis", "schedule", &at, "when"], message, "such as {log: \"became leader\"}");
        }
    }
    Ok(())
}

fn checks(plan: &Plan) -> Result<(), Mistake> {
    let known: Vec<&str> = CHECKERS.iter().map(|doc| doc.name).collect();
    let mut seen = BTreeSet::new();
    for (index, check) in plan.check.iter().enumerate() {
        let (at, name) = (index.to_string(), check.name());
        if name.is_empty() {
            let help = "a name, or a map of one name with its options, such as `bank: {total: 100}`";
            return wrong(&["check", &at], "this is not one checker", help);
        }
        if !known.contains(&name) {
            let meant = did_you_mean(name, known.iter().copied());
            let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
            let help = format!("{meant}known checkers: {}", known.join(", "));
            return wrong(&["check", &at], format!("unknown checker `{name}`"), &help);
        }
        if !seen.insert(name) {
            return wrong(&["check", &at], format!("the checker `{name}` is there twice"), "each once");
        }
        let Some(doc) = dsfuzz_checkers::CHECKERS.iter().find(|doc| doc.name == name) else { continue };
        if let Err(error) = doc.checker(&check.options()) {
            return Err(option_mistake(&at, name, error));
        }
    }
    Ok(())
}

/// Whether each checker of a plan that is to run can judge some workload of it. A stored plan is judged again as it is.
pub(super) fn checkers_fit(plan: &Plan) -> Result<(), Mistake> {
    for (index, check) in plan.check.iter().enumerate() {
        let Some(doc) = CHECKERS.iter().find(|doc| doc.name == check.name()) else { continue };
        let misfit = cannot_judge(plan, doc, &check.options()).or_else(|| misfit(plan, &check.options()));
        if let Some((message, help)) = misfit {
            return wrong(&["check", &index.to_string()], message, &help);
        }
    }
    Ok(())
}

/// The error for a model that fits no workload of the plan: a sentence, and the models that fit.
fn misfit(plan: &Plan, options: &dsfuzz_checkers::Options) -> Option<(String, String)> {
    let text = |name: &str| match options.0.get(name) {
        Some(dsfuzz_checkers::Value::Text(text)) => Some(&**text),
        _ => None,
    };
    let model = dsfuzz_checkers::MODELS.iter().find(|doc| Some(doc.name) == text("model"))?;
    let judged = |name: &str| text("workload").is_none_or(|workload| workload == name);
    let workloads = plan.all_workloads().filter(|workload| judged(workload.name()));
    let called: Vec<(&str, Vec<std::sync::Arc<str>>)> =
        workloads.map(|workload| (workload.name(), workload.build().functions())).collect();
    let knows = |doc: &dsfuzz_checkers::ModelDoc| {
        called.iter().any(|(_, functions)| functions.iter().all(|f| doc.functions.contains(&&**f)))
    };
    if called.is_empty() || knows(model) {
        return None;
    }
    let words =
        |(workload, functions): &(&str, Vec<std::sync::Arc<str>>)| format!("{workload}: {}", functions.join(", "));
    let called: Vec<String> = called.iter().map(words).collect();
    let fitting: Vec<&str> = dsfuzz_checkers::MODELS.iter().filter(|doc| knows(doc)).map(|doc| doc.name).collect();
    let message = format!(
        "the model `{}` ({}) knows the functions of no workload of this plan ({})",
        model.name,
        model.functions.join(", "),
        called.join("; ")
    );
    Some((message, format!("models that do: {}", fitting.join(", "))))
}

/// An option that the checker does not take, at its place in the plan.
fn option_mistake(at: &str, checker: &str, error: OptionError) -> Mistake {
    match error.known {
        Some(known) => Mistake::unknown_key(&["check", at, checker], &error.option, known),
        None => {
            let help = format!("`dsfuzz explain {checker}` shows what it takes");
            Mistake::at(&["check", at, checker, &error.option], error.message, Some(&help))
        }
    }
}

/// A checker that can judge no workload of the plan: a sentence, and which checkers can.
fn cannot_judge(plan: &Plan, doc: &CheckerDoc, options: &Options) -> Option<(String, String)> {
    let workloads = || plan.all_workloads();
    let only = options.text("workload").ok().flatten();
    if let Some(only) = only.filter(|only| workloads().all(|workload| workload.name() != *only)) {
        let names: Vec<&str> = workloads().map(WorkloadOptions::name).collect();
        return Some((format!("this plan has no workload `{only}`"), format!("its workloads: {}", names.join(", "))));
    }
    let can_judge = |doc: &CheckerDoc, options: &Options| {
        workloads().filter(|workload| only.is_none_or(|only| workload.name() == only)).any(|workload| {
            let functions = workload.build().functions();
            let functions: Vec<&str> = functions.iter().map(|function| &**function).collect();
            doc.can_judge(options, &functions, workload.reads())
        })
    };
    if can_judge(doc, options) {
        return None;
    }
    let fitting = CHECKERS.iter().filter(|doc| can_judge(doc, &Options::default())).map(|doc| doc.name);
    let names: Vec<&str> =
        workloads().map(WorkloadOptions::name).filter(|name| only.is_none_or(|o| o == *name)).collect();
    let message = format!("the checker `{}` cannot judge what this plan runs ({})", doc.name, names.join(", "));
    Some((message, format!("those that can: {}", fitting.collect::<Vec<_>>().join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Overrides;

    /// The message for a minimal plan with one key set.
    fn said(set: &str) -> String {
        let text = "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkload: {register: {}}\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yaml");
        std::fs::write(&file, text).unwrap();
        let mut overrides = Overrides::none();
        if let Err(error) = overrides.set(set) {
            return error.to_string();
        }
        Plan::load(&file, &overrides).map_or_else(|error| error.to_string(), |_| "no error".into())
    }

    #[test]
    fn each_contradiction_has_its_own_message() {
        for (set, part) in [
            ("name=a/b", "cannot name a folder"),
            ("name=..", "cannot name a folder"),
            ("name=latest", "cannot name a folder"),
            ("cluster={}", "has no nodes"),
            ("cluster={lab: 3, nodes: [a]}", "here are both"),
            ("cluster={lab: 3, exec: {nodes: [a], command: [env]}}", "`lab` or `exec`, here are both"),
            ("cluster={exec: {nodes: [a]}}", "`command`"),
            ("cluster={exec: {nodes: [], command: [env]}}", "has no nodes"),
            ("cluster={exec: {nodes: [a], command: []}}", "is empty"),
            ("cluster={exec: {nodes: [a, b], command: [env]}}", "the command is the same for a and b"),
            ("cluster={exec: {nodes: [a, a], command: [env, '{{ node }}']}}", "`a` is there twice"),
            ("cluster={exec: {nodes: [-a], command: [env, '{{ node }}']}}", "cannot name a node"),
            ("cluster={exec: {nodes: [a], command: [env, '{{ pod }}']}}", "`{{ pod }}` cannot be filled in"),
            ("cluster={exec: {nodes: [a], command: [env, '{{ address }}']}}", "a has none in the plan"),
            ("cluster={exec: {nodes: [{name: a, adress: b}], command: [env]}}", "did you mean `address`"),
            ("cluster={exec: {nodes: [a], command: [env]}, ssh: {user: me}}", "are not reached by SSH"),
            ("cluster.lab=0", "1 to 200 nodes, not 0"),
            ("cluster={nodes: [a, b, a]}", "`a` is there twice"),
            ("cluster={nodes: [root@a, b, a]}", "`a` is there twice"),
            ("cluster={nodes: ['-oProxyCommand=x']}", "cannot name a host"),
            ("cluster={nodes: ['a/../b']}", "cannot name a host"),
            ("target=''", "the target is empty"),
            ("target=etdc", "did you mean `etcd`"),
            ("target=./my/recipe.yaml", "there is no such file"),
            ("workload=null", "`workload`: it is missing"),
            ("workloads=[set]", "here are both"),
            ("load.time=0", "cannot be zero"),
            ("load.time=-3s", "cannot be negative"),
            ("load.time=1000000h", "`load.time`: 114years 28days 4h is longer than one run can take: at most 30days"),
            ("load.recovery=800h", "is longer than one run can take"),
            ("load.time=1e19", "no duration is longer than a thousand years"),
            ("budget.time=99999999999h", "no duration is longer than a thousand years"),
            (
                "seed=18446744073709551616",
                "a whole number from 0 to 18446744073709551615 is expected, not 18446744073709551616",
            ),
            ("seed=999999999999999999999999999999999999999999", "from 0 to 18446744073709551615 is expected"),
            ("load={ops_max: 99999999999999999999}", "`ops_max`: a whole number from 0 to 18446744073709551615"),
            ("load.clients=0", "not a number of clients"),
            ("load.clients=9000n", "9000n clients for each of 3 nodes make 27000; at most 10000 are held"),
            ("load.clients=4000000000n", "for each of 3 nodes make 12000000000; at most 10000 are held"),
            ("load.clients=10001", "10001 clients; at most 10000 are held"),
            ("load.clients=99999999999999", "not a number of clients"),
            ("load.rate=1e300/s", "no cluster is asked more than 1000000 times a second"),
            ("cluster.lab=70000", "1 to 200 nodes, not 70000"),
            ("load.joining=4000", "4000 clients that join for each of 3 nodes make 12000"),
            (
                "check=[{linearizable: {model: stack}}]",
                "knows the functions of no workload of this plan (register: read, write, cas)",
            ),
            ("check=[{linearizable: {model: stack}}]", "models that do: cas-register, versioned-register, kv"),
            ("check=[{linearizable: {model: register}}]", "knows the functions of no workload"),
            ("evidence.ok_fraction_min=2", "between 0 and 1"),
            ("check=[linearisable]", "did you mean `linearizable`"),
            ("check=[{split-brain: {nodes: 3}}]", "unknown key `nodes` in `check[0].split-brain`"),
            ("check=[{}]", "not one checker"),
            ("nemesis={faults: []}", "without faults"),
            ("seed=-1", "`seed`: a whole number from 0 up is expected, not -1"),
            ("load=[1]", "a map of keys and values is expected, not a list"),
        ] {
            let message = said(set);
            assert!(message.contains(part) && message.contains("--set"), "{set}: {message}");
        }
        for check in ["[linearizable, crashes]", "[crashes, availability]", "[sequential, staleness]"] {
            assert_eq!(said(&format!("check={check}")), "no error");
        }
        for exec in
            ["{nodes: [a], command: [env]}", "{nodes: [{name: a, address: '::1'}, b], command: [in, '{{ node }}']}"]
        {
            assert_eq!(said(&format!("cluster={{exec: {exec}}}")), "no error");
        }
        assert_eq!(said("workload.register.keys=3"), "no error");
        assert_eq!(said("load.time=7"), "no error");
        assert_eq!(said("load.time=720h"), "no error");
        assert_eq!(said("seed=18446744073709551615"), "no error");
        assert_eq!(said("load.clients=3333n"), "no error");
        assert_eq!(said("check=[{linearizable: {model: cas-register}}]"), "no error");
    }
}
