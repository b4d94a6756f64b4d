//! [`TargetError`]: errors between a recipe and a running system. Each names its node and says what to do.
use crate::cluster::RemoteError;
use std::sync::Arc;
use std::time::Duration;

/// An error of loading, installing, starting, stopping or asking a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No such target.
    #[error(
        "no target {name:?}: built in are {builtin}; a recipe of your own is named by its path ({tried} is not there)"
    )]
    Unknown {
        /// The requested name.
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
        /// The key with `: `; empty if the message has it.
        place: String,
        /// The mistake.
        message: String,
    },
    /// A text of a custom fault that the plan defines is wrong.
    #[error("own: {name}: {message}")]
    PlansFault {
        /// The fault.
        name: String,
        /// The key of the command, and the mistake.
        message: String,
    },
    /// The recipe is not YAML, or not a recipe. Shows the line with a caret.
    #[error("{0}")]
    Yaml(String),
    /// An option of the plan is wrong.
    #[error("option {target}.{name}: {message}")]
    Option {
        /// The target.
        target: String,
        /// The option.
        name: String,
        /// The mistake, and the allowed values.
        message: String,
    },
    /// The plan gives options under a name other than the recipe's: they would have no effect.
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
        /// Whether the plan probably meant the recipe.
        meant: bool,
    },
    /// No node led while a step was to run on the leader.
    #[error("{step} is for the leader, and no node said within {} that it leads", humantime::format_duration(*waited))]
    NoLeader {
        /// The step.
        step: String,
        /// Its deadline.
        waited: Duration,
    },
    /// A gathered output is no number, so that none is the greatest.
    #[error(
        "{node}: `on: {{max: gathered}}` compares whole numbers, but this node's `gather` step printed {output:?} first"
    )]
    Gathered {
        /// The node.
        node: Arc<str>,
        /// The first line of its output.
        output: String,
    },
    /// A package of a registry could not be brought to a node.
    #[error("package {package}: {message}")]
    Registry {
        /// Its name and version.
        package: String,
        /// The cause, and what to do.
        message: String,
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
        /// The workloads with clients.
        has: String,
    },
    /// A package cannot be installed.
    #[error("{node}: package {package} cannot be installed: {message}")]
    Package {
        /// The node.
        node: Arc<str>,
        /// The package.
        package: String,
        /// apt's message, and what to do.
        message: String,
    },
    /// The agent refused or failed.
    #[error("{what}: {source}")]
    Remote {
        /// The action.
        what: String,
        /// The agent's error.
        source: RemoteError,
    },
    /// The agent's response is of the wrong kind.
    #[error("{node}: {what}: the agent answered {response}; is it the agent of this release?")]
    Protocol {
        /// The node.
        node: Arc<str>,
        /// The action.
        what: String,
        /// Its response.
        response: String,
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
        /// The end of its output, or empty.
        output: String,
    },
    /// A process does not serve in time, or died.
    #[error("{node}: {process} is not ready after {}: {waiting_for}{log}", humantime::format_duration(*.waited))]
    NotReady {
        /// The node.
        node: Arc<str>,
        /// The process.
        process: String,
        /// Its deadline.
        waited: Duration,
        /// The missing condition, and the last observation.
        waiting_for: String,
        /// The last lines of its log, or its path.
        log: String,
    },
    /// A file of the control node.
    #[error("{path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}
