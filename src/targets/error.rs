//! [`TargetError`]: what can go wrong between a recipe and a running system. Each names its node and says what to do.
use crate::cluster::RemoteError;
use std::sync::Arc;
use std::time::Duration;

/// Why a target cannot be loaded, installed, started, stopped or asked.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No such target.
    #[error(
        "no target {name:?}: built in are {builtin}; a recipe of your own is named by its path ({tried} is not there)"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The built-in ones.
        builtin: String,
        /// The path that was tried.
        tried: String,
    },
    /// The recipe is wrong.
    #[error("{origin}: {place}{message}")]
    Recipe {
        /// Its path.
        origin: String,
        /// The key, with `: `, or empty where the message has it.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// The recipe is not YAML, or not a recipe: the line with a caret.
    #[error("{0}")]
    Yaml(String),
    /// An option of the plan is wrong.
    #[error("option {target}.{name}: {message}")]
    Option {
        /// The target.
        target: String,
        /// The option.
        name: String,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// The plan gives options under a name that is not the recipe's: they would not be in force.
    #[error(
        "options: {name}: the recipe of this plan is named {target}, so these options would not be in force; {hint}",
        hint = if *meant { format!("did you mean {target}? write them under its name") }
               else { format!("its options stand under {target}") }
    )]
    ForeignOptions {
        /// The name in the plan.
        name: String,
        /// The recipe's name.
        target: String,
        /// Whether the recipe's own name was probably meant.
        meant: bool,
    },
    /// No client of the recipe carries out the workload.
    #[error(
        "target {target} has no client for workload {workload}: it has {has}; add one under `clients:` of its recipe"
    )]
    NoClient {
        /// The target.
        target: String,
        /// The workload.
        workload: String,
        /// The workloads it has clients for.
        has: String,
    },
    /// A package cannot be had.
    #[error("{node}: package {package} cannot be installed: {message}")]
    Package {
        /// The node.
        node: Arc<str>,
        /// The package.
        package: String,
        /// What apt said, and what to do.
        message: String,
    },
    /// The agent did not do what was asked.
    #[error("{what}: {source}")]
    Remote {
        /// What was being done.
        what: String,
        /// The agent's side.
        source: RemoteError,
    },
    /// The agent answered something else than was asked.
    #[error("{node}: {what}: the agent answered {told}; is it the agent of this release?")]
    Protocol {
        /// The node.
        node: Arc<str>,
        /// What was being done.
        what: String,
        /// What it answered.
        told: String,
    },
    /// A command of the recipe failed.
    #[error("{node}: {what}: `{command}` ended with {ended}{output}")]
    Command {
        /// The node.
        node: Arc<str>,
        /// The step of the recipe.
        what: String,
        /// The command.
        command: String,
        /// `exit 1`, `its deadline of 5s`, `a signal`.
        ended: String,
        /// The tail of its output, or empty.
        output: String,
    },
    /// A process does not serve in time, or died.
    #[error("{node}: {process} is not ready after {}: {waiting_for}{log}", humantime::format_duration(*.waited))]
    NotReady {
        /// The node.
        node: Arc<str>,
        /// The process.
        process: String,
        /// How long it was given.
        waited: Duration,
        /// What was waited for and seen last.
        waiting_for: String,
        /// The last lines of its log, or where to look.
        log: String,
    },
    /// A file of the control node.
    #[error("{path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}
