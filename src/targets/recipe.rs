//! [`Recipe`]: a YAML file that says how a system is installed, started, stopped, wiped and asked for its role.
//!
//! It is parsed once and checked; [`super::layout`] fills in texts with `{{ }}` for each node. Never: acts on a node.
mod client;
mod command;
mod condition;
mod fault;
mod members;
mod option;
mod package;
mod role;
mod step;

pub use client::{Certainty, ClientDoc};
pub use command::Argv;
pub(super) use command::word;
pub use condition::Condition;
pub use dsfuzz_checkers::FinalReads;
pub use fault::OwnFault;
pub use members::MembersProbe;
pub use option::{Bounds, OptionDoc};
pub use package::{PACKAGES_DIR, Package};
pub use role::{AtOnce, Authority, Converged, Copies, RoleProbe, RoleRule};
pub use step::{File, Gathered, On, Step};

use super::error::TargetError;
use super::probe::{Pick, Probe};
use dsfuzz_checkers::history::leads_by_name;
use dsfuzz_nemesis::Span;
use dsfuzz_workloads::WorkloadOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of recipes that this release reads.
pub const SCHEMA_VERSION: u32 = 1;

/// A whole recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// The target's name: letters, digits, `-`. Options in a plan stand under it.
    pub name: String,
    /// One or two sentences for listings.
    pub doc: String,
    /// Packages that the nodes need.
    #[serde(default)]
    pub packages: Vec<Package>,
    /// What a plan may set, with defaults.
    #[serde(default)]
    pub options: BTreeMap<String, OptionDoc>,
    /// Extra environment of every command on a node: processes, steps, probes, `version`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What runs on each node.
    pub processes: Vec<Process>,
    /// Addresses of a node that its own interfaces do not show, such as a container's; a partition cuts them too. An empty
    /// one counts as none.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Which nodes start first.
    #[serde(default)]
    pub start_order: StartOrder,
    /// Files, written before the first start and again with every wipe.
    #[serde(default)]
    pub files: Vec<File>,
    /// After the packages, once: fetch, unpack, build.
    #[serde(default)]
    pub install: Vec<Step>,
    /// After the files, before the processes start (`initdb`).
    #[serde(default)]
    pub prepare: Vec<Step>,
    /// After the processes started; each is repeated until it succeeds or its deadline passes (`cluster create`).
    #[serde(default)]
    pub form: Vec<Step>,
    /// Before the processes start again after all of them had died on every node.
    #[serde(default)]
    pub recovery: Vec<Step>,
    /// What a wipe removes.
    #[serde(default)]
    pub wipe: Wipe,
    /// How a node is asked for its role.
    #[serde(default)]
    pub role: Option<RoleProbe>,
    /// How nodes are asked who the members of the cluster are. Aims such as `minority` are then counted over those that vote.
    #[serde(default)]
    pub members: Option<MembersProbe>,
    /// How to see that replicas have converged, before final reads.
    #[serde(default)]
    pub converged: Option<Converged>,
    /// Which node speaks with authority in final reads.
    #[serde(default)]
    pub authority: Authority,
    /// Which nodes must answer the final reads, where the plan does not say (`load.final_reads`).
    #[serde(default)]
    pub final_reads: FinalReads,
    /// How long it takes at most until the target serves again after it lost nodes: until a new leader is elected, a view
    /// is changed, a failure detector has spoken. A duration; it may use options, such as
    /// `"{{ options.election_ms * 2 }}ms"`. Left out: 5s. What evidence asks of a fault and the default of
    /// `load.deadline` follow from it.
    #[serde(default)]
    pub election: Option<String>,
    /// Whether another node takes over from a lost leader: `true`, `false` or a text that may use options, such as
    /// `"{{ options.replicas > 1 }}"`. Left out: true. Evidence asks for changes of leader only where it is.
    #[serde(default)]
    pub failover: Condition,
    /// How long load must go on after the last heal: healing is a disturbance too.
    #[serde(default = "default_quiet")]
    pub quiet_after_heal: Span,
    /// Shell functions for the commands of `faults` that are a text for the shell: it stands before each of them.
    #[serde(default)]
    pub shell: String,
    /// Faults that plans may name (`own: {name: ..}`): each with the commands that begin it, prove it, undo it, and prove that
    /// it is gone.
    #[serde(default)]
    pub faults: Vec<OwnFault>,
    /// Logs to collect beside those of the processes, and what their lines mean.
    #[serde(default)]
    pub logs: Vec<Log>,
    /// Which ends of processes by themselves are in order, where they are.
    #[serde(default)]
    pub exits: Exits,
    /// A command whose first line of output is the version.
    #[serde(default)]
    pub version: Option<Argv>,
    /// Clients by interface.
    pub clients: Vec<ClientDoc>,
    /// Where the first plan of `dsfuzz init` differs from that of other targets.
    #[serde(default)]
    pub first_plan: FirstPlan,
}

/// What `dsfuzz init` writes for a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FirstPlan {
    /// Nodes of its lab. Left out: 5.
    pub nodes: Option<u16>,
    /// Options of the target.
    pub options: BTreeMap<String, serde_json::Value>,
    /// Keys of `load`.
    pub load: BTreeMap<String, serde_json::Value>,
    /// Keys of `nemesis`.
    pub nemesis: BTreeMap<String, serde_json::Value>,
}

/// Which ends of processes by themselves, with an exit status, are in order. What is left out is as `crashes` has it by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exits {
    /// Statuses that are in order at any time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ok: Vec<u8>,
    /// What an exit counts as while a clock, a cut, a pause or a kill of half of the nodes may provoke it, and up to 10 s after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_faults: Option<ExitsInFaults>,
}

/// What an exit in a fault counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExitsInFaults {
    /// The report shows it.
    Evidence,
    /// The target never ends by itself.
    Violation,
    /// It is left out.
    Off,
}

impl ExitsInFaults {
    /// As the option `exits_in_faults` of `crashes` has it.
    pub fn name(self) -> &'static str {
        match self {
            ExitsInFaults::Evidence => "evidence",
            ExitsInFaults::Violation => "violation",
            ExitsInFaults::Off => "off",
        }
    }
}

/// A process on every node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its name: letters, digits, `-`, `_`.
    pub name: String,
    /// How to start it, in the foreground.
    pub start: Argv,
    /// How to start it when it has run before. Left out: as `start`.
    #[serde(default)]
    pub restart: Option<Argv>,
    /// How to stop it.
    #[serde(default)]
    pub stop: Stop,
    /// Ports by role (`client`, `peer`, `admin`). A role stands once in a recipe.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// Processes of this node that must serve (`ready`) before this one is started.
    #[serde(default)]
    pub after: Vec<String>,
    /// Extra environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// User. Left out: root.
    #[serde(default)]
    pub user: String,
    /// When it serves. Left out: its first port accepts connections.
    #[serde(default)]
    pub ready: Option<Probe>,
    /// Where its output goes. Left out: `{{ dir }}/<name>.log`.
    #[serde(default)]
    pub log: Option<String>,
}

/// How a process is stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// The signal to begin with.
    pub signal: StopSignal,
    /// How long to wait before SIGKILL.
    pub grace: Span,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop { signal: StopSignal::Term, grace: Span::seconds(10) }
    }
}

/// A signal by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGKILL.
    Kill,
}

impl StopSignal {
    /// Its number on Linux.
    pub fn number(self) -> i32 {
        match self {
            StopSignal::Hup => 1,
            StopSignal::Int => 2,
            StopSignal::Quit => 3,
            StopSignal::Kill => 9,
            StopSignal::Term => 15,
        }
    }
}

/// Which nodes start first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartOrder {
    /// All at once.
    #[default]
    Together,
    /// The first node, until it is ready; then the others.
    FirstThenOthers,
}

/// What a wipe removes, after killing every process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wipe {
    /// Files and folders.
    pub paths: Vec<String>,
    /// Commands after that.
    pub commands: Vec<Argv>,
}

impl Default for Wipe {
    fn default() -> Wipe {
        Wipe { paths: vec!["{{ dir }}".to_owned()], commands: Vec::new() }
    }
}

/// A log file on every node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Absolute path, `*` allowed in the last part.
    pub path: String,
    /// What its lines mean.
    #[serde(default)]
    pub patterns: Vec<LogPattern>,
    /// Texts anywhere in a line that make it an alarm (a finding `log-alarm`), beside panics, failed assertions and their
    /// like; `{any}` stands for a word.
    #[serde(default)]
    pub alarms: Vec<String>,
    /// Texts that make a line no alarm, whatever else stands in it.
    #[serde(default)]
    pub ignore: Vec<String>,
}

/// A line of a log that claims a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogPattern {
    /// Text anywhere in the line; `{term}` stands for a number, `{any}` for a word. See [`super::logs`].
    pub text: String,
    /// The role that the node which wrote the line claims by it.
    pub role: String,
    /// Where the time (RFC 3339) stands in the line.
    #[serde(default)]
    pub at: Option<Pick>,
}

fn default_quiet() -> Span {
    Span::seconds(20)
}

impl Recipe {
    /// Whether some role leads.
    pub fn has_leaders(&self) -> bool {
        self.role.iter().flat_map(|probe| &probe.roles).any(RoleRule::leads)
    }

    /// Whether several nodes lead at once in a plan with these workloads.
    pub fn has_several_leaders(&self, workloads: &[&WorkloadOptions]) -> bool {
        self.has_leaders() && self.role.as_ref().is_some_and(|probe| probe.leaders.several(workloads))
    }

    /// Whether leadership claims have trustworthy terms: read together with the role, or logged.
    pub fn has_trusted_terms(&self) -> bool {
        let probed = self.role.as_ref().is_some_and(|probe| probe.term.is_some() && probe.term_with_role);
        let mut patterns = self.logs.iter().flat_map(|log| &log.patterns);
        let logged = patterns.any(|pattern| pattern.text.contains("{term}") && self.leads(&pattern.role));
        self.has_leaders() && (probed || logged)
    }

    /// Whether a role of this name leads.
    pub fn leads(&self, role: &str) -> bool {
        let rule = self.role.iter().flat_map(|probe| &probe.roles).find(|rule| rule.name == role);
        rule.map_or_else(|| leads_by_name(role), RoleRule::leads)
    }

    /// Reads a recipe; `origin` is its path, for messages.
    pub fn parse(text: &str, origin: &str) -> Result<Recipe, TargetError> {
        let recipe: Recipe =
            crate::document::read_yaml(origin, text).map_err(|error| TargetError::Yaml(error.to_string()))?;
        recipe.validate().map_err(|(place, message)| TargetError::Recipe {
            origin: origin.to_owned(),
            place: format!("{place}: "),
            message,
        })?;
        Ok(recipe)
    }

    /// Rules that the types do not express: the key and its mistake.
    fn validate(&self) -> Result<(), (String, String)> {
        let wrong = |place: String, message: &str| Err((place, message.to_owned()));
        if self.schema != SCHEMA_VERSION {
            return wrong("schema".into(), &format!("{}, but this release reads {SCHEMA_VERSION}", self.schema));
        }
        if !is_name(&self.name) {
            return wrong("name".into(), &format!("{:?}: use letters, digits, `-` and `_`", self.name));
        }
        if self.processes.is_empty() {
            return wrong("processes".into(), "empty: a target needs one process at least");
        }
        self.validate_processes()?;
        for (position, package) in self.packages.iter().enumerate() {
            if let Some((key, message)) = package.mistake() {
                return wrong(format!("packages[{position}]{key}"), message);
            }
        }
        for (position, file) in self.files.iter().enumerate() {
            if file.mode_bits().is_none() {
                return wrong(format!("files[{position}].mode"), &format!("{:?}: write it as \"0644\"", file.mode));
            }
            if file.content.is_some() == file.from.is_some() {
                return wrong(format!("files[{position}]"), "give exactly one of `content` and `from`");
            }
        }
        self.validate_steps()?;
        let mut names = BTreeSet::new();
        for (position, fault) in self.faults.iter().enumerate() {
            let taken = || format!("name {:?} is taken or not letters, digits, `-`, `_`", fault.name);
            let mistake = fault.mistake();
            let mistake = mistake.or_else(|| (!is_name(&fault.name) || !names.insert(&fault.name)).then(taken));
            if let Some(message) = mistake {
                return wrong(format!("faults[{position}]"), &message);
            }
        }
        for (name, option) in &self.options {
            if let Some((key, message)) = option.mistake() {
                return wrong(format!("options.{name}.{key}"), &message);
            }
        }
        if self.final_reads == FinalReads::Leader && self.role.is_none() {
            return wrong("final_reads".into(), "leader: the recipe has no `role`, so that no leader is known");
        }
        if let Some((place, message)) = self.members.as_ref().and_then(MembersProbe::mistake) {
            return wrong(place.into(), message);
        }
        if let Some((place, message)) = self.shards_mistake() {
            return wrong(place.into(), message);
        }
        for (position, client) in self.clients.iter().enumerate() {
            if let Some((key, message)) = client.mistake() {
                return wrong(format!("clients[{position}]{key}"), &message);
            }
        }
        Ok(())
    }

    /// What a recipe with several leaders cannot say.
    fn shards_mistake(&self) -> Option<(&'static str, &'static str)> {
        let probe = self.role.as_ref().filter(|probe| probe.leaders == AtOnce::Several)?;
        if !self.has_leaders() {
            return Some(("role.leaders", "several: no role of the recipe leads"));
        }
        let terms = "with `role.leaders: several` the terms of two nodes cannot be compared";
        let logged = self.logs.iter().flat_map(|log| &log.patterns);
        let mut logged = logged.filter(|pattern| pattern.text.contains("{term}") && self.leads(&pattern.role));
        if probe.term_with_role {
            return Some(("role.term_with_role", terms));
        }
        if logged.next().is_some() {
            return Some(("logs", terms));
        }
        let reads =
            "leader: with `role.leaders: several` no leader holds all data; any-node asks each node for its own";
        (self.final_reads == FinalReads::Leader).then_some(("final_reads", reads))
    }

    fn validate_processes(&self) -> Result<(), (String, String)> {
        let wrong = |place: String, message: &str| Err((place, message.to_owned()));
        let (mut names, mut roles) = (BTreeSet::new(), BTreeSet::new());
        for (position, process) in self.processes.iter().enumerate() {
            let place = format!("processes[{position}]");
            if let Some(other) = process.after.iter().find(|other| !names.contains(other)) {
                return wrong(format!("{place}.after"), &format!("{other:?} is no process that stands above it"));
            }
            if !is_name(&process.name) || !names.insert(&process.name) {
                return wrong(place, &format!("name {:?} is taken or not letters, digits, `-`, `_`", process.name));
            }
            if process.start.0.is_empty() {
                return wrong(format!("{place}.start"), "empty: name the program");
            }
            if let Some(role) = process.ports.keys().find(|role| !roles.insert((*role).clone())) {
                return wrong(format!("{place}.ports"), &format!("role {role:?} stands at another process already"));
            }
            if process.ready.is_none() && process.ports.is_empty() {
                return wrong(place, "neither `ready` nor `ports`: nothing would tell when it serves");
            }
        }
        Ok(())
    }

    fn validate_steps(&self) -> Result<(), (String, String)> {
        let keys = [
            ("install", &self.install),
            ("prepare", &self.prepare),
            ("form", &self.form),
            ("recovery", &self.recovery),
        ];
        for (key, steps) in keys {
            let mut gathered = false;
            for (position, step) in steps.iter().enumerate() {
                if let Some(message) = step.mistake(key, gathered) {
                    return Err((format!("{key}[{position}]"), message));
                }
                if step.on == On::Leader && !self.has_leaders() {
                    let message = "leader: no role of the recipe leads, so that no leader is known";
                    return Err((format!("{key}[{position}].on"), message.to_owned()));
                }
                gathered |= step.gather.is_some();
            }
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "schema: 1\nname: t\ndoc: d\nprocesses:\n- {name: p, start: [p, 7, true], ports: {client: 1}}\nclients: []\n";

    #[test]
    fn arguments_are_text_whatever_yaml_thinks() {
        let recipe = Recipe::parse(SMALL, "r.yaml").unwrap();
        assert_eq!(recipe.processes[0].start, Argv(vec!["p".into(), "7".into(), "true".into()]));
        assert_eq!(recipe.quiet_after_heal, Span::seconds(20));
    }

    #[test]
    fn there_is_a_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(Recipe)).unwrap();
        assert_eq!(schema.pointer("/properties/schema/type").and_then(|kind| kind.as_str()), Some("integer"));
        assert!(schema.pointer("/$defs/Command/anyOf").is_some());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let refused =
            |find: &str, replace: &str| Recipe::parse(&SMALL.replace(find, replace), "r.yaml").unwrap_err().to_string();
        let cases = [
            ("schema: 1", "schema: 2", "schema: 2, but this release reads 1"),
            ("doc: d", "dok: d", "unknown key `dok`"),
            ("name: p,", "name: p q,", "processes[0]"),
            (", ports: {client: 1}", "", "nothing would tell when it serves"),
            ("clients: []", "clients: [{interface: x, workloads: []}]", "exactly one of `builtin` and `command`"),
            (
                "clients: []",
                "clients: [{interface: x, workloads: [], builtin: etc}]",
                "clients[0].builtin: unknown; built in is: etcd",
            ),
            ("clients: []", "clients: []\noptions: {a: {default: [], doc: d}}", "options.a.default"),
            (
                "clients: []",
                "clients: []\noptions: {a: {default: 7, doc: d, at_least: 8}}",
                "options.a.default: 7 is not a whole number of at least 8",
            ),
            (
                "clients: []",
                "clients: []\noptions: {a: {default: x, doc: d, at_most: 8}}",
                "options.a.at_most: only a number",
            ),
            (
                "clients: []",
                "clients: []\noptions: {a: {default: 7, doc: d, matches: x}}",
                "options.a.matches: only a text",
            ),
            ("clients: []", "clients: []\noptions: {a: {default: x, doc: d, matches: '('}}", "options.a.matches: "),
            ("clients: []", "clients: []\nfiles: [{path: /x, content: x, mode: rw}]", "files[0].mode"),
            ("clients: []", "clients: []\nauthority: {rule: leader}", "rule"),
            ("clients: []", "clients: []\nfaults: [{name: f, begin: a, prove: b, heal: c}]", "healed"),
            ("clients: []", "clients: []\nfaults: [{name: f, begin: a, prove: b, healed: c}]", "heal"),
            (
                "clients: []",
                "clients: []\nfaults: [{name: f, begin: a, prove: [], heal: c, healed: d}]",
                "faults[0]: prove: empty",
            ),
            (
                "clients: []",
                "clients: []\nfaults: [{name: f, begin: a, prove: b, heal: c, healed: d, deadline: 1h}]",
                "faults[0]: deadline: 1h is not",
            ),
            ("clients: []", "clients: []\nfinal_reads: leader", "has no `role`"),
            ("clients: []", "clients: []\nfinal_reads: twice", "twice"),
            (
                "clients: []",
                "clients: [{interface: x, workloads: [], command: c, errors: {absent: fail}}]",
                "clients[0].errors.absent: this word is reserved",
            ),
        ];
        for (find, replace, expected) in cases {
            let message = refused(find, replace);
            assert!(message.contains("r.yaml") && message.contains(expected), "{replace}: {message}");
        }
    }
}
