//! [`Layout`]: a recipe filled in for the nodes of one cluster: the files, processes, steps and probes of each.
//!
//! `dsfuzz plan` shows it, [`super::deploy`] carries it out. Pure: a mistake in a text shows here, before any node is touched.
use super::error::TargetError;
use super::probe::{Condition, Pick, Probe, Question};
use super::recipe::{
    Authority, Converged, Copies, File, Log, MembersProbe, On, Process, Recipe, RoleProbe, RoleRule, StartOrder, Step,
};
use super::template::{NodeNames, Scope, TemplateVariables};
use super::{Target, recipe};
use crate::cluster::{Node, dir_on};
use dsfuzz_nemesis::protocol::{Command, DiskFolder, OwnCommands, Service};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A recipe filled in for a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The target's name.
    pub target: String,
    /// Packages with the commands they provide, without those that the options leave out.
    pub packages: Vec<recipe::Package>,
    /// The start order of the nodes.
    pub start_order: StartOrder,
    /// The authoritative node of final reads.
    pub authority: Authority,
    /// The nodes, in the plan's order.
    pub nodes: Vec<NodeLayout>,
}

/// The layout of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLayout {
    /// The node.
    pub node: Node,
    /// The target's folder.
    pub dir: String,
    /// Addresses from the recipe.
    pub addresses: Vec<IpAddr>,
    /// Ports by role.
    pub ports: BTreeMap<String, u16>,
    /// Environment of every command.
    pub env: BTreeMap<String, String>,
    /// Its processes.
    pub processes: Vec<PlannedProcess>,
    /// Its files.
    pub files: Vec<PlannedFile>,
    /// Steps after the packages.
    pub install: Vec<Command>,
    /// Steps before the first start.
    pub prepare: Vec<Command>,
    /// Steps after the start, repeated until they succeed.
    pub form: Vec<FormStep>,
    /// Steps before a start after all processes had died.
    pub recovery: Vec<RecoveryStep>,
    /// Paths that a wipe removes.
    pub wipe_paths: Vec<String>,
    /// Steps of a wipe.
    pub wipe_commands: Vec<Command>,
    /// The commands of the recipe's and the plan's faults, by name.
    pub faults: BTreeMap<String, OwnCommands>,
    /// Its role probe.
    pub role: Option<RoleProbe>,
    /// Its probe of members.
    pub members: Option<MembersProbe>,
    /// Its convergence probe.
    pub converged: Option<Converged>,
    /// The command that prints the version.
    pub version: Option<Command>,
    /// Its logs: those of the processes, then those of the recipe.
    pub logs: Vec<Log>,
}

/// A step of `form` on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct FormStep {
    /// Its position in the recipe, the same on all nodes.
    pub position: usize,
    /// It runs on the node that leads.
    pub on_leader: bool,
    /// Its command on this node.
    pub command: Command,
}

/// A step of `recovery` on a node. Its command is known only when the outputs of the nodes are.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryStep {
    /// Its position in the recipe, the same on all nodes.
    pub position: usize,
    /// Its command with stand-ins for the outputs.
    pub preview: Command,
    step: Step,
    names: TemplateVariables,
    origin: String,
}

impl RecoveryStep {
    /// Whether its output is gathered.
    pub fn gathers(&self) -> bool {
        self.step.gather.is_some()
    }

    /// Whether it is for the node with the greatest number.
    pub fn on_max(&self) -> bool {
        matches!(self.step.on, On::Max(_))
    }

    /// Its command, with the outputs gathered so far by node.
    pub(super) fn command(&self, gathered: &BTreeMap<String, String>) -> Result<Command, TargetError> {
        let mut names = self.names.clone();
        names.gathered = (!gathered.is_empty()).then(|| gathered.clone());
        command(&Scope::new(&names, &self.origin), &format!("recovery[{}]", self.position), &self.step, &names.env)
    }
}

/// A process of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedProcess {
    /// The service that the agent runs.
    pub service: Service,
    /// The processes of this node that must serve before it starts.
    pub after: Vec<String>,
    /// The signal to stop it with.
    pub stop_signal: i32,
    /// Its deadline for stopping.
    pub stop_grace: Duration,
    /// Its readiness probe.
    pub ready: Probe,
}

/// A file of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner; none: unchanged.
    pub owner: Option<String>,
    /// Its text.
    pub content: String,
}

impl Layout {
    /// Fills in the target's recipe for these nodes; the target gets the folder `<base>/<target>` on each.
    pub fn new(target: &Target, nodes: &[Node], base: &str) -> Result<Layout, TargetError> {
        let recipe = target.recipe();
        let mut packages = target.packages()?;
        packages.iter_mut().for_each(|package| package.share_below(base));
        let names = node_names(nodes);
        let mut filled = Vec::with_capacity(nodes.len());
        for (position, node) in nodes.iter().enumerate() {
            let dir = format!("{}/{}", dir_on(base, &node.name).trim_end_matches('/'), recipe.name);
            let Some(mut seen) = variables(target, &names, position, &dir) else { break };
            let folders = packages.iter().filter(|package| package.is_brought());
            seen.package = folders.map(|package| (package.title().to_owned(), package.folder())).collect();
            seen.env = Scope::new(&seen, target.origin()).map("env", &recipe.env)?;
            let scope = Scope::new(&seen, target.origin());
            let filler = Filler { scope, names: seen, recipe, target, position, dir: &dir };
            filled.push(filler.node(node)?);
        }
        Ok(Layout {
            target: recipe.name.clone(),
            packages,
            start_order: recipe.start_order,
            authority: recipe.authority.clone(),
            nodes: filled,
        })
    }
}

fn node_names(nodes: &[Node]) -> Vec<NodeNames> {
    nodes.iter().enumerate().map(|(position, node)| NodeNames::new(node, position)).collect()
}

/// The variables of texts for the node at a position.
fn variables(target: &Target, names: &[NodeNames], position: usize, dir: &str) -> Option<TemplateVariables> {
    Some(TemplateVariables {
        node: names.get(position)?.clone(),
        nodes: names.to_vec(),
        first: names.first()?.clone(),
        dir: dir.to_owned(),
        target: target.name().to_owned(),
        port: target.ports(),
        options: target.options().clone(),
        package: BTreeMap::new(),
        gathered: None,
        env: BTreeMap::new(),
    })
}

/// What the recipe says to a client (`settings`), filled in for each node. A client runs on the control node: `dir`, the
/// target's folder on a node, is no name here.
pub(super) fn settings(
    target: &Target,
    client: &recipe::ClientDoc,
    nodes: &[Node],
) -> Result<BTreeMap<Arc<str>, serde_json::Value>, TargetError> {
    let names = node_names(nodes);
    let mut all = BTreeMap::new();
    for (position, node) in nodes.iter().enumerate() {
        let Some(seen) = variables(target, &names, position, "") else { break };
        let scope = Scope::without_dir(&seen, target.origin());
        let place = format!("clients: {}: settings", client.interface);
        let filled = client
            .settings
            .iter()
            .map(|(name, value)| Ok((name.clone(), scope.json(&format!("{place}.{name}"), value)?)));
        all.insert(node.name.clone(), filled.collect::<Result<serde_json::Map<_, _>, TargetError>>()?.into());
    }
    Ok(all)
}

impl NodeLayout {
    /// The target's folder as one under a layer. Its logs are always safe, since the harness reads them.
    pub fn disk_folder(&self, copy: bool) -> DiskFolder {
        DiskFolder { path: self.dir.clone(), exempt: self.logs.iter().map(|log| log.path.clone()).collect(), copy }
    }

    /// The steps of a fresh start on this node, in order, a line for each, for `dsfuzz plan`.
    pub fn sentences(&self) -> Vec<String> {
        let run = |when: &str, command: &Command| format!("{when}: {}", command.argv.join(" "));
        let mut lines: Vec<String> = self.install.iter().map(|command| run("install", command)).collect();
        lines.extend(self.wipe_paths.iter().map(|path| format!("wipe: {path}")));
        lines.extend(self.wipe_commands.iter().map(|command| run("wipe", command)));
        lines.extend(self.files.iter().map(|file| format!("write: {} ({:o})", file.path, file.mode)));
        lines.extend(self.prepare.iter().map(|command| run("prepare", command)));
        for process in &self.processes {
            let service = &process.service;
            lines.push(format!("start {}: {} (output to {})", service.name, service.argv.join(" "), service.log));
        }
        let form = |step: &FormStep| run(if step.on_leader { "form, on the leader" } else { "form" }, &step.command);
        lines.extend(self.form.iter().map(form));
        lines
    }
}

/// Fills in one node.
struct Filler<'a> {
    scope: Scope,
    names: TemplateVariables,
    recipe: &'a Recipe,
    target: &'a Target,
    position: usize,
    dir: &'a str,
}

impl Filler<'_> {
    fn node(&self, node: &Node) -> Result<NodeLayout, TargetError> {
        let recipe = self.recipe;
        let mut processes = Vec::new();
        let mut logs = Vec::new();
        for (position, process) in recipe.processes.iter().enumerate() {
            let planned = self.process(&format!("processes[{position}]"), process)?;
            logs.push(Log { path: planned.service.log.clone(), ..Log::default() });
            processes.push(planned);
        }
        for (position, log) in recipe.logs.iter().enumerate() {
            let path = self.path(&format!("logs[{position}].path"), &log.path)?;
            logs.retain(|known: &Log| known.path != path);
            logs.push(Log { path, ..log.clone() });
        }
        let files = recipe.files.iter().enumerate().filter(|(_, file)| file.on.covers(self.position));
        let wipe = &recipe.wipe;
        let wipe_paths =
            wipe.paths.iter().enumerate().map(|(at, path)| self.wipe_path(&format!("wipe.paths[{at}]"), path));
        let wipe_commands = wipe.commands.iter().enumerate().map(|(at, argv)| {
            let step = Step {
                run: Some(argv.clone()),
                gather: None,
                on: On::All,
                user: String::new(),
                deadline: dsfuzz_nemesis::Span::seconds(60),
            };
            self.command(&format!("wipe.commands[{at}]"), &step)
        });
        Ok(NodeLayout {
            node: node.clone(),
            dir: self.dir.to_owned(),
            addresses: self.addresses()?,
            ports: self.target.ports(),
            env: self.names.env.clone(),
            processes,
            files: files.map(|(at, file)| self.file(&format!("files[{at}]"), file)).collect::<Result<_, _>>()?,
            install: self.steps("install", &recipe.install)?,
            prepare: self.steps("prepare", &recipe.prepare)?,
            form: self.form()?,
            recovery: self.recovery()?,
            wipe_paths: wipe_paths.collect::<Result<_, _>>()?,
            wipe_commands: wipe_commands.collect::<Result<_, _>>()?,
            faults: self.faults()?,
            role: recipe.role.as_ref().map(|probe| self.role(probe)).transpose()?,
            members: recipe.members.as_ref().map(|probe| self.members(probe)).transpose()?,
            converged: recipe.converged.as_ref().map(|probe| self.converged("converged", probe)).transpose()?,
            version: recipe.version.as_ref().map(|argv| self.version(argv)).transpose()?,
            logs,
        })
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, TargetError> {
        let mut addresses = Vec::new();
        for (at, template) in self.recipe.addresses.iter().enumerate() {
            let place = format!("addresses[{at}]");
            let text = self.scope.text(&place, template)?;
            if !text.trim().is_empty() {
                let address = text.trim().parse();
                addresses.push(address.map_err(|_| self.wrong(&place, &format!("{text:?} is no IP address")))?);
            }
        }
        Ok(addresses)
    }

    fn process(&self, place: &str, process: &Process) -> Result<PlannedProcess, TargetError> {
        let within = |key: &str| format!("{place}.{key}");
        let restart = process.restart.as_ref().map(|argv| self.scope.argv(&within("restart"), argv)).transpose()?;
        let log = process.log.clone().unwrap_or_else(|| format!("{{{{ dir }}}}/{}.log", process.name));
        let ready = match (&process.ready, process.ports.keys().next()) {
            (Some(probe), _) => self.probe(&within("ready"), probe)?,
            (None, Some(role)) => Probe::tcp(role),
            (None, None) => return Err(self.wrong(place, "neither `ready` nor `ports`")),
        };
        Ok(PlannedProcess {
            service: Service {
                name: process.name.clone(),
                argv: self.scope.argv(&within("start"), &process.start)?,
                restart: restart.unwrap_or_default(),
                env: self.env_of(&within("env"), &process.env)?,
                cwd: self.dir.to_owned(),
                user: process.user.clone(),
                log: self.path(&within("log"), &log)?,
            },
            after: process.after.clone(),
            stop_signal: process.stop.signal.number(),
            stop_grace: process.stop.grace.0,
            ready,
        })
    }

    fn probe(&self, place: &str, probe: &Probe) -> Result<Probe, TargetError> {
        let conditions = self.conditions(place, &probe.conditions)?;
        Ok(Probe { ask: self.question(place, &probe.ask)?, conditions, deadline: probe.deadline })
    }

    fn role(&self, probe: &RoleProbe) -> Result<RoleProbe, TargetError> {
        let rule = |(at, rule): (usize, &RoleRule)| {
            let conditions = self.conditions(&format!("role.roles[{at}]"), &rule.conditions)?;
            Ok(RoleRule { conditions, ..rule.clone() })
        };
        let roles = probe.roles.iter().enumerate().map(rule).collect::<Result<_, TargetError>>()?;
        let term = probe.term.as_ref().map(|part| self.pick("role.term", part)).transpose()?;
        Ok(RoleProbe { ask: self.question("role", &probe.ask)?, roles, term, ..probe.clone() })
    }

    fn members(&self, probe: &MembersProbe) -> Result<MembersProbe, TargetError> {
        let lines = probe.lines.clone().map(Condition::Matches);
        if let Some(lines) = lines {
            self.conditions("members.lines", std::slice::from_ref(&lines))?;
        }
        Ok(MembersProbe {
            ask: self.question("members", &probe.ask)?,
            node: self.pick("members.node", &probe.node)?,
            voter: self.conditions("members.voter", &probe.voter)?,
            ..probe.clone()
        })
    }

    fn converged(&self, place: &str, probe: &Converged) -> Result<Converged, TargetError> {
        let copies = probe.copies.as_ref().map(|copies| self.copies(&format!("{place}.copies"), copies)).transpose()?;
        let or = probe.or.as_ref().map(|or| self.converged(&format!("{place}.or"), or)).transpose()?;
        Ok(Converged {
            ask: self.question(place, &probe.ask)?,
            conditions: self.conditions(place, &probe.conditions)?,
            one: self.conditions(&format!("{place}.one"), &probe.one)?,
            agree: self.picks(&format!("{place}.agree"), &probe.agree)?,
            copies,
            or: or.map(Box::new),
            every: probe.every,
            deadline: probe.deadline,
        })
    }

    fn copies(&self, place: &str, copies: &Copies) -> Result<Copies, TargetError> {
        if !copies.each.starts_with('/') {
            return Err(self.wrong(&format!("{place}.each"), "a JSON pointer begins with `/`"));
        }
        let count = copies.count.as_ref();
        Ok(Copies {
            each: copies.each.clone(),
            name: self.pick(&format!("{place}.name"), &copies.name)?,
            count: count.map(|count| self.pick(&format!("{place}.count"), count)).transpose()?,
            one: self.conditions(&format!("{place}.one"), &copies.one)?,
            agree: self.picks(&format!("{place}.agree"), &copies.agree)?,
        })
    }

    fn picks(&self, place: &str, picks: &[Pick]) -> Result<Vec<Pick>, TargetError> {
        picks.iter().map(|part| self.pick(place, part)).collect()
    }

    fn question(&self, place: &str, question: &Question) -> Result<Question, TargetError> {
        if let Some(role) = question.port_role().filter(|role| !self.target.ports().contains_key(*role)) {
            let known: Vec<String> = self.target.ports().into_keys().collect();
            return Err(self.wrong(
                &format!("{place}.ask"),
                &format!("no port has the role {role:?}; there are {}", known.join(", ")),
            ));
        }
        question.fill(&self.scope, &format!("{place}.ask"))
    }

    fn conditions(&self, place: &str, conditions: &[Condition]) -> Result<Vec<Condition>, TargetError> {
        let place = format!("{place}.where");
        let text = |template: &str| self.scope.text(&place, template);
        let wrong = |message: String| self.wrong(&place, &message);
        conditions.iter().map(|condition| condition.fill(&text, &wrong)).collect()
    }

    fn pick(&self, place: &str, pick: &Pick) -> Result<Pick, TargetError> {
        pick.fill(&|template: &str| self.scope.text(place, template), &|message: String| self.wrong(place, &message))
    }

    fn env_of(&self, place: &str, own: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, TargetError> {
        let mut env = self.names.env.clone();
        env.extend(self.scope.map(place, own)?);
        Ok(env)
    }

    fn steps(&self, place: &str, steps: &[Step]) -> Result<Vec<Command>, TargetError> {
        let meant = steps.iter().enumerate().filter(|(_, step)| step.on.covers(self.position));
        meant.map(|(at, step)| self.command(&format!("{place}[{at}]"), step)).collect()
    }

    fn form(&self) -> Result<Vec<FormStep>, TargetError> {
        let meant = self.recipe.form.iter().enumerate().filter(|(_, step)| step.on.covers(self.position));
        let form = |(position, step): (usize, &Step)| {
            let command = self.command(&format!("form[{position}]"), step)?;
            Ok(FormStep { position, on_leader: step.on == On::Leader, command })
        };
        meant.map(form).collect()
    }

    /// The steps of `recovery`, each filled in with stand-ins for the outputs, so that a mistake in a text shows now.
    fn recovery(&self) -> Result<Vec<RecoveryStep>, TargetError> {
        let mut gathered = BTreeMap::new();
        let mut steps = Vec::new();
        for (position, step) in self.recipe.recovery.iter().enumerate() {
            let (names, origin) = (self.names.clone(), self.target.origin().to_owned());
            let mut planned = RecoveryStep { position, preview: Command::default(), step: step.clone(), names, origin };
            planned.preview = planned.command(&gathered)?;
            if planned.gathers() {
                let names = self.names.nodes.iter().map(|node| node.name.clone());
                gathered = names.map(|name| (name.clone(), format!("<gathered from {name}>"))).collect();
            }
            if step.on.covers(self.position) {
                steps.push(planned);
            }
        }
        Ok(steps)
    }

    fn command(&self, place: &str, step: &Step) -> Result<Command, TargetError> {
        command(&self.scope, place, step, &self.names.env)
    }

    fn faults(&self) -> Result<BTreeMap<String, OwnCommands>, TargetError> {
        let shell = self.scope.text("shell", &self.recipe.shell)?;
        let of_recipe = self.target.recipes_faults().map(|fault| {
            self.fault(fault, (&format!("faults: {}: ", fault.name), &shell), |key, error| match error {
                None => {
                    self.wrong(&format!("faults: {}: {key}", fault.name), "the command is empty with these options")
                }
                Some(error) => error,
            })
        });
        let of_plan = self.target.plans_faults().map(|fault| {
            self.fault(fault, ("", ""), |key, error| {
                let message = match error {
                    None => format!("{key}: the command is empty with these options"),
                    Some(TargetError::Recipe { message, .. }) => format!("{key}: {message}"),
                    Some(error) => return error,
                };
                TargetError::PlansFault { name: fault.name.clone(), message }
            })
        });
        of_recipe.chain(of_plan).collect()
    }

    /// The commands of a fault. `whose`: what stands before their keys in errors. `shell`: what stands before a text for the shell. `wrong`: the error of the command under a key, from that of its text; none: it is empty.
    fn fault(
        &self,
        fault: &recipe::OwnFault,
        (whose, shell): (&str, &str),
        wrong: impl Fn(&str, Option<TargetError>) -> TargetError,
    ) -> Result<(String, OwnCommands), TargetError> {
        let command = |key: &str, argv: &recipe::Argv| {
            let place = format!("{whose}{key}");
            let mut argv = self.scope.argv(&place, argv).map_err(|error| wrong(key, Some(error)))?;
            if argv.first().is_none_or(|program| program.trim().is_empty()) {
                return Err(wrong(key, None));
            }
            if let ([script], false) = (&mut argv[..], shell.is_empty()) {
                *script = format!("{shell}\n{script}");
            }
            let deadline_ms = u64::try_from(fault.deadline.0.as_millis()).unwrap_or(u64::MAX);
            let (env, user) = (self.names.env.clone(), fault.user.clone());
            Ok(Command { argv, env, user, deadline_ms, ..Command::default() })
        };
        let commands = OwnCommands {
            begin: command("begin", &fault.begin)?,
            prove: command("prove", &fault.prove)?,
            heal: command("heal", &fault.heal)?,
            healed: command("healed", &fault.healed)?,
            processes: fault.processes,
        };
        match self.too_long_for_journal(&commands, (whose, shell)) {
            Some((key, error)) => Err(wrong(key, Some(error))),
            None => Ok((fault.name.clone(), commands)),
        }
    }

    /// The error of commands that are too long for the undo journal, with the key of the longest text.
    fn too_long_for_journal(
        &self,
        commands: &OwnCommands,
        (whose, shell): (&str, &str),
    ) -> Option<(&'static str, TargetError)> {
        let (bytes, most) = (serde_json::to_vec(commands).map_or(0, |json| json.len()), OwnCommands::JSON_BYTES_MAX);
        if bytes <= most {
            return None;
        }
        let OwnCommands { begin, prove, heal, healed, .. } = commands;
        let lengths = [("begin", begin), ("prove", prove), ("heal", heal), ("healed", healed)];
        let length = |command: &Command| command.argv.concat().len().saturating_sub(shell.len());
        let longest = lengths.into_iter().map(|(key, command)| (length(command), key)).max();
        let (length, key) = longest.filter(|(length, _)| *length >= shell.len()).unwrap_or((shell.len(), "shell"));
        let whose = if key == "shell" { "" } else { whose };
        let message = format!(
            "the commands of the fault have {bytes} bytes together, and at most {most} fit into the undo journal of a node; this text \
             has {length}, so put it into a file"
        );
        Some((key, self.wrong(&format!("{whose}{key}"), &message)))
    }

    fn version(&self, argv: &recipe::Argv) -> Result<Command, TargetError> {
        let env = self.names.env.clone();
        Ok(Command { argv: self.scope.argv("version", argv)?, env, deadline_ms: 10_000, ..Command::default() })
    }

    fn file(&self, place: &str, file: &File) -> Result<PlannedFile, TargetError> {
        let mode = file.mode_bits().ok_or_else(|| self.wrong(place, "mode: write it as \"0644\""))?;
        let path = self.path(&format!("{place}.path"), &file.path)?;
        let content = match &file.from {
            Some(from) => self.target.file(from).map_err(|message| self.wrong(&format!("{place}.from"), &message))?,
            None => self.scope.text(&format!("{place}.content"), file.content.as_deref().unwrap_or_default())?,
        };
        Ok(PlannedFile { path, mode, owner: file.owner.clone(), content })
    }

    /// An absolute path without steps upwards.
    fn path(&self, place: &str, template: &str) -> Result<String, TargetError> {
        let path = self.scope.text(place, template)?;
        match path.starts_with('/') && !path.split('/').any(|part| part == "..") {
            true => Ok(path),
            false => Err(self.wrong(place, &format!("{path:?} must be an absolute path without `..`"))),
        }
    }

    /// A path that may be removed recursively: at least two folders deep, so that a mistake cannot empty a system.
    fn wipe_path(&self, place: &str, template: &str) -> Result<String, TargetError> {
        let path = self.path(place, template)?;
        match path.split('/').filter(|part| !part.is_empty() && *part != ".").count() {
            0..=1 => Err(self.wrong(place, &format!("{path:?} is too near the root to be removed"))),
            _ => Ok(path),
        }
    }

    fn wrong(&self, place: &str, message: &str) -> TargetError {
        TargetError::Recipe {
            origin: self.target.origin().to_owned(),
            place: format!("{place}: "),
            message: message.to_owned(),
        }
    }
}

/// The command of a step, filled in.
fn command(scope: &Scope, place: &str, step: &Step, env: &BTreeMap<String, String>) -> Result<Command, TargetError> {
    let key = if step.gather.is_some() { "gather" } else { "run" };
    Ok(Command {
        argv: scope.argv(&format!("{place}.{key}"), step.command())?,
        env: env.clone(),
        user: step.user.clone(),
        deadline_ms: u64::try_from(step.deadline.0.as_millis()).unwrap_or(u64::MAX),
        ..Command::default()
    })
}
