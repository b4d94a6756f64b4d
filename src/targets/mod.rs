//! [`Target`]: the system under test, from its recipe and its clients. Built-in recipes are YAML like users' recipes, embedded in
//! the program.
//!
//! Agents do all the work on nodes. Never: faults, verdicts.
pub mod alarms;
mod clients;
pub mod deploy;
pub mod error;
pub mod etcd;
pub mod exec;
mod facts;
mod http;
mod inputs;
mod join_all;
pub mod layout;
pub mod lessons;
mod local;
pub mod logs;
mod node_commands;
pub mod probe;
pub mod recipe;
mod template;
mod wanted;

pub use alarms::Alarm;
pub use deploy::{Convergence, Deployment, DiskRoom, FetchedLog, MissingPackages, NotReady, RoleAnswer};
pub use error::TargetError;
pub use facts::TargetFacts;
pub use inputs::InputFiles;
pub(crate) use join_all::join_all;
pub use layout::Layout;
pub use logs::LogClaim;
pub use recipe::Recipe;

use crate::cluster::{Node, Remote};
use dsfuzz_nemesis::Span;
use dsfuzz_nemesis::own::OwnOptions;
use dsfuzz_workloads::{ClientWorkload, Connect, Endpoint, Terms, WORKLOADS, WorkloadOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Default of [`Recipe::election`].
const ELECTION: Duration = Duration::from_secs(5);
/// Programs whose first argument is a script.
const INTERPRETERS: [&str; 6] = ["python", "sh", "bash", "node", "ruby", "perl"];
const ELECTION_MAX: Duration = Duration::from_secs(3600);

/// A built-in recipe: its name and its text.
type BuiltIn = (&'static str, &'static str);

/// Every built-in recipe. A new one is a file in `recipes/` and an entry here.
const BUILT_IN: &[BuiltIn] = &[
    ("etcd", include_str!("recipes/etcd.yaml")),
    ("zookeeper", include_str!("recipes/zookeeper.yaml")),
    ("postgres", include_str!("recipes/postgres.yaml")),
    ("patroni", include_str!("recipes/patroni.yaml")),
    ("galera", include_str!("recipes/galera.yaml")),
    ("rabbitmq", include_str!("recipes/rabbitmq.yaml")),
    ("nats", include_str!("recipes/nats.yaml")),
    ("redis-sentinel", include_str!("recipes/redis-sentinel.yaml")),
    ("redis-cluster", include_str!("recipes/redis-cluster.yaml")),
    ("tarantool", include_str!("recipes/tarantool.yaml")),
    ("specimen", include_str!("recipes/specimen.yaml")),
    ("maelstrom", include_str!("recipes/maelstrom.yaml")),
];

/// The names of the built-in targets.
pub fn builtin() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// The recipe of a built-in target as YAML, from which a new recipe may start.
pub fn builtin_yaml(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, yaml)| *yaml)
}

/// A recipe with the options of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    recipe: Recipe,
    options: BTreeMap<String, serde_json::Value>,
    origin: String,
    folder: PathBuf,
    /// The recipe as it was read, and its file if it is not built in.
    text: String,
    file: Option<PathBuf>,
    election: Duration,
    failover: bool,
    several_leaders: bool,
    /// The faults of the recipe as the options want them.
    recipes_faults: Vec<recipe::OwnFault>,
    /// Faults that the plan defines.
    plans_faults: Vec<recipe::OwnFault>,
}

/// Loads a built-in target by its name, or a recipe by its path (relative to `base_dir`, the plan's folder; a folder stands
/// for its `recipe.yaml`). `options` are the plan's, under the name of the recipe; another name is an error.
pub fn load(
    name_or_path: &str,
    base_dir: &Path,
    options: &BTreeMap<String, BTreeMap<String, serde_json::Value>>,
) -> Result<Target, TargetError> {
    let (text, origin, file) = match builtin_yaml(name_or_path) {
        Some(yaml) => (yaml.to_owned(), format!("{name_or_path}.yaml (built in)"), None),
        None => read_recipe(name_or_path, base_dir)?,
    };
    let folder = match &file {
        Some(file) => file.parent().map_or_else(PathBuf::new, Path::to_owned),
        None => base_dir.to_owned(),
    };
    let mut recipe = Recipe::parse(&text, &origin)?;
    foreign_options(&recipe, options)?;
    let given = options.get(&recipe.name).cloned().unwrap_or_default();
    let options = effective_options(&recipe, given)?;
    wanted::keep_roles(&mut recipe, &options, &origin)?;
    let election = election(&recipe, &options, &origin)?;
    let failover = failover(&recipe, &options, &origin)?;
    let several_leaders = recipe.has_several_leaders(&[]);
    let recipes_faults = wanted::faults(&recipe, &options, &origin)?;
    let plans_faults = Vec::new();
    Ok(Target {
        recipe,
        options,
        origin,
        folder,
        text,
        file,
        election,
        failover,
        several_leaders,
        recipes_faults,
        plans_faults,
    })
}

fn read_recipe(path: &str, base_dir: &Path) -> Result<(String, String, Option<PathBuf>), TargetError> {
    let mut file = base_dir.join(path);
    if file.is_dir() {
        file = file.join("recipe.yaml");
    }
    let origin = file.display().to_string();
    match crate::document::read_regular(&file) {
        Ok(text) => Ok((text, origin, Some(file))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(TargetError::Unknown { name: path.to_owned(), builtin: builtin().join(", "), tried: origin })
        }
        Err(source) => Err(TargetError::File { path: origin, source }),
    }
}

/// Refuses options under another name, which would silently have no effect.
fn foreign_options(
    recipe: &Recipe,
    options: &BTreeMap<String, BTreeMap<String, serde_json::Value>>,
) -> Result<(), TargetError> {
    let Some((name, given)) = options.iter().find(|(name, _)| **name != recipe.name) else { return Ok(()) };
    let fits = given.keys().any(|option| recipe.options.contains_key(option));
    let meant = fits || crate::document::did_you_mean(name, [recipe.name.as_str()]).is_some();
    Err(TargetError::ForeignOptions { name: name.clone(), target: recipe.name.clone(), meant })
}

/// The recipe's `election` with the options filled in.
fn election(
    recipe: &Recipe,
    options: &BTreeMap<String, serde_json::Value>,
    origin: &str,
) -> Result<Duration, TargetError> {
    let Some(text) = &recipe.election else { return Ok(ELECTION) };
    let wrong =
        |message: String| TargetError::Recipe { origin: origin.to_owned(), place: "election: ".to_owned(), message };
    let text = template::of_options(options, origin, "election", text)?;
    let span: Span = text.parse().map_err(wrong)?;
    if span.0.is_zero() || span.0 > ELECTION_MAX {
        return Err(wrong(format!("{span} is not between 1ms and {}", Span(ELECTION_MAX))));
    }
    Ok(span.0)
}

/// The recipe's `failover` with the options filled in.
fn failover(recipe: &Recipe, options: &BTreeMap<String, serde_json::Value>, origin: &str) -> Result<bool, TargetError> {
    let text = template::of_options(options, origin, "failover", &recipe.failover.0)?;
    recipe::Condition::meaning(&text).map_err(|message| TargetError::Recipe {
        origin: origin.to_owned(),
        place: "failover: ".to_owned(),
        message,
    })
}

/// The defaults, overridden by the plan's values.
fn effective_options(
    recipe: &Recipe,
    given: BTreeMap<String, serde_json::Value>,
) -> Result<BTreeMap<String, serde_json::Value>, TargetError> {
    let mut options: BTreeMap<_, _> =
        recipe.options.iter().map(|(name, option)| (name.clone(), option.default.clone())).collect();
    for (name, value) in given {
        let wrong = |message: String| TargetError::Option { target: recipe.name.clone(), name: name.clone(), message };
        let Some(option) = recipe.options.get(&name) else {
            let known: Vec<&str> = recipe.options.keys().map(String::as_str).collect();
            let near =
                known.iter().max_by(|one, other| strsim::jaro(one, &name).total_cmp(&strsim::jaro(other, &name)));
            let hint =
                near.filter(|near| strsim::jaro(near, &name) > 0.75).map(|near| format!("did you mean {near}? "));
            return Err(wrong(format!("not an option; {}there are {}", hint.unwrap_or_default(), known.join(", "))));
        };
        if !option.accepts(&value) {
            return Err(wrong(format!("{value} is not {}", option.takes())));
        }
        options.insert(name, value);
    }
    Ok(options)
}

impl Target {
    /// Its recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// The plan's values of options that the recipe marks as secret.
    pub fn secrets(&self) -> impl Iterator<Item = &serde_json::Value> {
        let secret = |name: &String, value: &serde_json::Value| {
            self.recipe.options.get(name).is_some_and(|option| option.secret && option.default != *value)
        };
        self.options.iter().filter(move |(name, value)| secret(name, value)).map(|(_, value)| value)
    }

    /// The effective options.
    pub fn options(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.options
    }

    /// The options whose values are beyond a bound that depends on the plan's nodes and on other options, one sentence each.
    pub fn beyond_bounds(&self, nodes: &[String]) -> Vec<String> {
        let sentence = |(name, option): (&String, &recipe::OptionDoc)| {
            let value = self.options.get(name)?;
            let number = |key: &str, text: &str| {
                let place = format!("options.{name}.{key}");
                // Without the nodes, such as in `client try`, a bound by their number is left out.
                if nodes.is_empty() && text.contains("nodes") {
                    return Ok(f64::NAN);
                }
                let filled = template::of_plan(&self.options, nodes, &self.origin, &place, text)?;
                filled.trim().parse::<f64>().map_err(|_| TargetError::Recipe {
                    origin: self.origin.clone(),
                    place: format!("{place}: "),
                    message: format!("{filled:?} is no number"),
                })
            };
            let default = if *value == option.default { ", its default," } else { "" };
            match option.beyond(value, number) {
                Ok(beyond) => Some(format!("option {}.{name}: {value}{default} is {}", self.name(), beyond?)),
                Err(error) => Some(error.to_string()),
            }
        };
        self.recipe.options.iter().filter_map(sentence).collect()
    }

    /// The target under these workloads of a plan.
    #[must_use]
    pub fn under<'a>(self, workloads: impl Iterator<Item = &'a WorkloadOptions>) -> Target {
        let several_leaders = self.recipe.has_several_leaders(&workloads.collect::<Vec<_>>());
        Target { several_leaders, ..self }
    }

    /// The target with the faults that a plan defines beside those of the recipe.
    #[must_use]
    pub fn defining(self, own: &[OwnOptions]) -> Target {
        let mut plans_faults: Vec<recipe::OwnFault> = Vec::new();
        for fault in own.iter().filter_map(recipe::OwnFault::of_plan) {
            if plans_faults.iter().all(|known| known.name != fault.name) {
                plans_faults.push(fault);
            }
        }
        Target { plans_faults, ..self }
    }

    /// The faults of the recipe that there are with these options.
    pub fn recipes_faults(&self) -> impl Iterator<Item = &recipe::OwnFault> {
        self.recipes_faults.iter()
    }

    /// The faults that the recipe leaves out with these options, each with the reason.
    pub fn faults_left_out(&self) -> Vec<(String, String)> {
        let here = |fault: &&recipe::OwnFault| self.recipes_faults.iter().all(|known| known.name != fault.name);
        let why = |fault: &recipe::OwnFault| {
            let when = fault.when.as_deref().unwrap_or_default();
            let whole = |after: &str| !after.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
            let names = |name: &str| when.split(&format!("options.{name}")).skip(1).any(whole);
            let named = self.options.iter().filter(|(name, _)| names(name));
            let set = named.map(|(name, value)| {
                let takes = self.recipe.options.get(name).map(recipe::OptionDoc::takes).unwrap_or_default();
                format!(
                    "the option {name} is {value}; set `options: {{{}: {{{name}: ..}}}}`, which takes {takes}",
                    self.name()
                )
            });
            let set: Vec<String> = set.collect();
            let set = if set.is_empty() { String::new() } else { format!(": {}", set.join("; ")) };
            (fault.name.clone(), format!("it is there where `{when}`{set}"))
        };
        self.recipe.faults.iter().filter(here).map(why).collect()
    }

    /// The faults of the recipe and of the plan.
    pub fn faults(&self) -> impl Iterator<Item = &recipe::OwnFault> {
        self.recipes_faults.iter().chain(&self.plans_faults)
    }

    /// Whether several nodes lead at once by its design.
    pub fn has_several_leaders(&self) -> bool {
        self.several_leaders
    }

    /// Longest time until it serves again after it lost nodes (see [`Recipe::election`]).
    pub fn election(&self) -> Duration {
        self.election
    }

    /// Its name and those of its processes, roles and clients, which occur in records and reports.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let recipe = &self.recipe;
        let roles = recipe.role.iter().flat_map(|probe| probe.roles.iter().map(|role| role.name.as_str()));
        let processes = recipe.processes.iter().map(|process| process.name.as_str());
        std::iter::once(self.name()).chain(processes).chain(roles)
    }

    /// Its facts for evidence.
    pub fn facts(&self) -> TargetFacts {
        TargetFacts {
            leads: self.recipe.has_leaders(),
            several_leaders: self.several_leaders,
            failover: self.failover,
            trusted_terms: self.recipe.has_trusted_terms(),
            election_ms: u64::try_from(self.election.as_millis()).unwrap_or(u64::MAX),
            exits: self.recipe.exits.clone(),
        }
    }

    /// The source of the recipe, for messages.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Ports by role.
    pub fn ports(&self) -> BTreeMap<String, u16> {
        self.recipe.processes.iter().flat_map(|process| process.ports.clone()).collect()
    }

    /// The recipe's packages as the options want them: versions filled in, without those that `when` leaves out.
    pub fn packages(&self) -> Result<Vec<recipe::Package>, TargetError> {
        let mut packages = Vec::new();
        for (at, package) in self.recipe.packages.iter().enumerate() {
            let fill = |key: &str, text: &str| {
                template::of_options(&self.options, &self.origin, &format!("packages[{at}].{key}"), text)
            };
            let wanted = match &package.when {
                Some(text) => !["", "false"].contains(&fill("when", text)?.trim()),
                None => true,
            };
            if wanted {
                let provides = package.provides.iter().map(|path| fill("provides", path)).collect::<Result<_, _>>()?;
                let package = recipe::Package {
                    version: fill("version", &package.version)?,
                    archive: fill("archive", &package.archive)?,
                    path: fill("path", &package.path)?,
                    provides,
                    ..package.clone()
                };
                packages.push(package.with_version().map_err(|message| TargetError::Recipe {
                    origin: self.origin.clone(),
                    place: format!("packages[{at}]: "),
                    message,
                })?);
            }
        }
        Ok(packages)
    }

    /// The recipe filled in for these nodes, each with the target's folder `<base>/<target>`. Touches nothing.
    pub fn layout(&self, nodes: &[Node], base: &str) -> Result<Layout, TargetError> {
        self.recipe.clients.iter().try_for_each(|client| layout::settings(self, client, nodes).map(drop))?;
        Layout::new(self, nodes, base)
    }

    /// The target on these nodes, ready to be installed and started.
    pub fn deployment(&self, remotes: Vec<Arc<dyn Remote>>, base: &str) -> Result<Deployment, TargetError> {
        let nodes: Vec<Node> = remotes.iter().map(|remote| remote.node().clone()).collect();
        Ok(Deployment::new(self.layout(&nodes, base)?, remotes))
    }

    /// The reason why no client of the recipe can carry out a workload: none is for it, or the client's program or script is
    /// missing on this machine.
    pub fn client_mistake(&self, workload: &str, object: &str) -> Option<String> {
        let client = match self.client(workload, object) {
            Ok(client) => client,
            Err(error) => return Some(error.to_string()),
        };
        let script = || self.missing_script(&client.command.as_ref()?.0);
        let why = self.missing_client(workload, object).or_else(script)?;
        Some(format!("the client of {} for workload {workload} cannot be started: {why}", self.recipe.name))
    }

    /// The reason why registers of this workload have no versions, if its client is a built-in one without.
    pub fn without_versions(&self, workload: &str, object: &str) -> Option<String> {
        let client = self.client_without_versions(workload, object)?;
        let has = |name: &&str| {
            let target = load(name, Path::new(""), &BTreeMap::new()).ok();
            target.is_some_and(|target| {
                target.carries(workload, object) && target.client_without_versions(workload, object).is_none()
            })
        };
        let with: Vec<&str> = builtin().into_iter().filter(has).collect();
        Some(format!(
            "{workload}: versions: the client {client} of {} says no versions; leave the option out, or take a target whose client does: {}",
            self.name(),
            with.join(", ")
        ))
    }

    /// The built-in client for this workload, if its registers have no versions.
    fn client_without_versions(&self, workload: &str, object: &str) -> Option<&'static str> {
        let name = self.client(workload, object).ok()?.builtin.as_deref()?;
        clients::find(name).ok().filter(|client| !client.versions).map(|client| client.name)
    }

    /// The missing script of an interpreter's command line.
    fn missing_script(&self, argv: &[String]) -> Option<String> {
        let words: Vec<&str> = match argv {
            [script] => exec::plain_words(script)?,
            words => words.iter().map(String::as_str).collect(),
        };
        let (program, arguments) = words.split_first()?;
        let interprets = INTERPRETERS.iter().any(|known| program.trim_end_matches(char::is_numeric) == *known);
        let script = arguments.first().filter(|script| interprets && !script.starts_with('-'))?;
        let path = self.folder.join(script);
        (!path.is_file()).then(|| format!("there is no file {}", path.display()))
    }

    /// Whether a client of the recipe can carry a workload.
    pub fn carries(&self, workload: &str, object: &str) -> bool {
        self.recipe.clients.iter().any(|client| client.carries(workload, object))
    }

    /// The client for a workload: the first that can carry it.
    fn client(&self, workload: &str, object: &str) -> Result<&recipe::ClientDoc, TargetError> {
        self.recipe.clients.iter().find(|client| client.carries(workload, object)).ok_or_else(|| {
            let carried = WORKLOADS.iter().filter(|doc| doc.name != workload && self.carries(doc.name, doc.object));
            let has: Vec<&str> = carried.map(|doc| doc.name).collect();
            TargetError::NoClient {
                target: self.recipe.name.clone(),
                workload: workload.to_owned(),
                has: if has.is_empty() { "none at all".to_owned() } else { format!("clients for {}", has.join(", ")) },
            }
        })
    }

    /// Opens clients for a workload; an answer may name one of `nodes`. `folder` keeps the standard error of client programs and
    /// their files, `run` is the run's name.
    pub fn connect(
        &self,
        workload: &ClientWorkload,
        nodes: &[Node],
        folder: &Path,
        run: &str,
    ) -> Result<Arc<dyn Connect>, TargetError> {
        let built_in =
            self.client(&workload.name, &workload.object)?.builtin.as_deref().and_then(|name| clients::find(name).ok());
        match built_in.and_then(|client| client.inside) {
            Some(connect) => Ok(connect(workload)),
            None => Ok(Arc::new(self.client_program(workload, nodes, folder, run)?)),
        }
    }

    /// The program that carries a workload, ready to be started.
    pub fn client_program(
        &self,
        workload: &ClientWorkload,
        nodes: &[Node],
        folder: &Path,
        run: &str,
    ) -> Result<exec::ExecConnect, TargetError> {
        let client = self.client(&workload.name, &workload.object)?;
        let argv = self.argv(client).map_err(|message| TargetError::Recipe {
            origin: self.origin.clone(),
            place: format!("clients: {}: builtin: ", client.interface),
            message,
        })?;
        Ok(exec::ExecConnect {
            settings: layout::settings(self, client, nodes)?,
            nodes: nodes.to_vec(),
            stderr_dir: folder.to_owned(),
            run: run.to_owned(),
            ..self.exec(client, argv, workload)
        })
    }

    /// Program and arguments of a client that is not part of this program.
    fn argv(&self, client: &recipe::ClientDoc) -> Result<Vec<String>, String> {
        match (&client.command, client.builtin.as_deref()) {
            (Some(argv), _) => Ok(argv.0.clone()),
            (None, name) => {
                let known = clients::find(name.unwrap_or_default())?;
                if known.inside.is_some() {
                    return Err("this client is part of dsfuzz, and no program of its own".to_owned());
                }
                let program = known.program()?;
                // One word alone would be a script for the shell.
                Ok(vec!["/usr/bin/env".to_owned(), program.display().to_string()])
            }
        }
    }

    fn exec(&self, client: &recipe::ClientDoc, argv: Vec<String>, workload: &ClientWorkload) -> exec::ExecConnect {
        exec::ExecConnect {
            argv,
            called: client.builtin.as_deref().map(clients::program_name),
            folder: self.folder.clone(),
            env: client.env.clone(),
            errors: client.errors.clone(),
            init_deadline: client.init_deadline.0,
            workload: workload.clone(),
            settings: BTreeMap::new(),
            run: String::new(),
            nodes: Vec::new(),
            stderr_dir: PathBuf::new(),
            stderr_room: Arc::new(AtomicU64::new(exec::STDERR_ROOM_BYTES)),
            line_bytes_max: exec::LINE_BYTES_MAX,
            programs: match client.clients_per_program() {
                1 => None,
                seats if client.builtin.is_some() => Some(Arc::new(exec::Programs::of_built_in(seats))),
                seats => Some(Arc::new(exec::Programs::with_seats(seats))),
            },
        }
    }

    /// The reason why the program of the client for this workload cannot be started, found without starting it. None if it can,
    /// if the client is part of this program, and if there is no client ([`Target::connect`] reports that).
    pub fn missing_client(&self, workload: &str, object: &str) -> Option<String> {
        let client = self.client(workload, object).ok()?;
        let built_in = client.builtin.as_deref().and_then(|name| clients::find(name).ok());
        if built_in.is_some_and(|client| client.inside.is_some()) {
            return None;
        }
        match self.argv(client) {
            Ok(argv) => self.exec(client, argv, &ClientWorkload::new(workload, &[])).missing(),
            Err(why) => Some(why),
        }
    }

    /// Error codes by which a node refuses to be read, from the protocol and the recipe.
    pub fn refusals(&self) -> Vec<String> {
        let own = self.recipe.clients.iter().flat_map(|client| &client.errors);
        let own = own.filter(|(_, certainty)| **certainty == recipe::Certainty::Refuses).map(|(code, _)| code.clone());
        ["not-leader", "read-only"].map(str::to_owned).into_iter().chain(own).collect()
    }

    /// The endpoint of a client of this process.
    pub fn endpoint(&self, node: &Node, process: u64, terms: Terms) -> Endpoint {
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Endpoint {
            node: node.name.clone(),
            address: node.address.to_string(),
            ports: self.ports(),
            process,
            options: self.options.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            terms,
        }
    }
}

#[cfg(test)]
mod tests;
