//! The top of the command line, and the flags that change a plan.
use super::stored::{self, PlannedOrNot};
use crate::error::Failure;
use crate::plan::{Overrides, Plan, fit};
use crate::secrets;
use crate::targets::{self, Target};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};

const AFTER: &str = "Exit codes: 0 valid, 1 a promise is broken, 2 unknown, 254 bad arguments, plan or input file, 255 the harness or \
                     the cluster failed, 130/143 stopped by a signal after healing.";

/// Tests whether a replicated system keeps its promises when machines die, clocks jump and networks split.
#[derive(Debug, Parser)]
#[command(name = "dsfuzz", version, after_help = AFTER, propagate_version = true, infer_long_args = false)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The default folder of stored runs.
pub(super) const RESULTS: &str = "results";

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Colours; NO_COLOR in the environment switches them off too
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "auto|always|never",
        hide_possible_values = true
    )]
    pub color: Color,
    /// Print the result as one JSON document on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Log what dsfuzz does on stderr (-vv: everything; DSFUZZ_LOG: a filter)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Folder of stored runs
    #[arg(long, global = true, env = "DSFUZZ_RESULTS", default_value = RESULTS, value_name = "DIR")]
    pub results: PathBuf,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deploy a cluster, run the load, inject faults, heal, collect, judge, report
    #[command(visible_alias = "test")]
    Run(super::run::RunArgs),
    /// Run a system with a known mistake, and find it
    Demo(super::demo::DemoArgs),
    /// Run the specimens with each of their mistakes: which are found, in how many runs and how soon
    Matrix(super::matrix::MatrixArgs),
    /// Run a stored run again and again, with faults and without: how often its finding comes back
    Replay(super::replay::ReplayArgs),
    /// Pack a stored run into an archive for an issue report, without secrets
    Pack(super::pack::PackArgs),
    /// Judge a stored run, or a history recorded by another tool
    #[command(visible_alias = "analyze")]
    Check(super::check::CheckArgs),
    /// Dry run: nodes, packages, commands, the fault timetable of this seed; touches nothing
    Plan(super::plan::DryRunArgs),
    /// Draw the report of a stored run again
    Report(super::report::ReportArgs),
    /// Browse stored runs in a web page
    Serve(super::serve::ServeArgs),
    /// List stored runs
    Runs(super::runs::RunsArgs),
    /// List targets, workloads, faults, checkers and fallacies
    List(super::list::ListArgs),
    /// Check whether the nodes of a plan can be tested
    Doctor(super::doctor::DoctorArgs),
    /// Undo every fault left on nodes
    Heal(super::heal::HealArgs),
    /// Try a client program against the rules of the client protocol
    Client(super::client::ClientArgs),
    /// Make and use a local cluster of real nodes
    Lab(super::lab::LabArgs),
    /// Write a commented plan
    Init(super::init::InitArgs),
    /// Print completions for a shell
    Completions(super::completions::CompletionsArgs),
    /// Print the JSON schema of a plan, of the targets' options or of a client's lines
    Schema(super::schema::SchemaArgs),
    /// Explain a checker, model, kind of finding, fault, workload, target, error code or term
    Explain(super::explain::ExplainArgs),
    /// Write a history as JSON lines, Jepsen's EDN or Parquet
    Export(super::export::ExportArgs),
    /// Check the certificates of a verdict without the checkers that made them
    Verify(super::verify::VerifyArgs),
}

/// A plan and the changes to it.
#[derive(Clone, Debug, Default, Args)]
pub struct PlanArgs {
    /// The plan, a YAML file; or a stored run, whose plan and files are used again: its folder, its archive (`dsfuzz pack`), PLAN/TIME or
    /// `latest`
    #[arg(value_name = "PLAN")]
    pub file: PathBuf,
    /// The changes.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

impl PlanArgs {
    /// The plan with the changes of the environment and of the flags, and those changes.
    pub fn load(&self) -> Result<(Plan, Overrides), Failure> {
        self.load_with(PlannedOrNot::Planned)
    }

    /// The same, with the plan's faults or without any.
    pub(super) fn load_with(&self, faults: PlannedOrNot) -> Result<(Plan, Overrides), Failure> {
        let overrides = self.overrides.resolve(|name| std::env::var(name).ok())?;
        let plan = match stored::run_in(&self.file)? {
            Some(run) => stored::plan(&run, &overrides, faults)?,
            None => Plan::load(&self.file, &stored::changed(overrides.clone(), faults))?,
        };
        plan.options
            .values()
            .flat_map(|group| group.iter())
            .for_each(|(name, value)| secrets::learn_option(name, value));
        Ok((plan, overrides))
    }

    /// The folder against which the plan's paths are resolved.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The target of the loaded plan; an error if the two do not fit. Touches no node.
    pub fn target(&self, plan: &Plan) -> Result<Target, Failure> {
        let target = targets::load(&plan.target, self.folder(), &plan.options)
            .map_err(|error| Failure::Usage(error.to_string()))?
            .under(plan.all_workloads())
            .defining(&plan.own_faults());
        secrets::keep(target.names());
        target.secrets().for_each(secrets::learn_all);
        let mistakes = fit::mistakes(plan, &target);
        if mistakes.is_empty() { Ok(target) } else { Err(Failure::Usage(self.said(&mistakes))) }
    }

    /// The mistakes in words, each with its line in the plan's file. A stored run has no line of the user's.
    fn said(&self, mistakes: &[fit::FitMistake]) -> String {
        let text = std::fs::read_to_string(&self.file).ok();
        let overrides = self.overrides.resolve(|name| std::env::var(name).ok()).ok();
        let in_file = text.zip(overrides);
        let origin = self.file.display().to_string();
        let said = mistakes.iter().map(|mistake| match &in_file {
            Some((text, overrides)) => mistake.located(&origin, text, overrides),
            None => mistake.to_string(),
        });
        said.collect::<Vec<_>>().join("\n")
    }
}

/// Flags that change a plan. A flag beats the environment, which beats the file.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Overrides of the plan")]
pub struct OverrideArgs {
    /// Seed of every random draw [env: DSFUZZ_SEED]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<String>,
    /// Duration of the load, such as 60s [env: DSFUZZ_TIME]
    #[arg(long, alias = "time-limit", value_name = "DURATION", allow_hyphen_values = true)]
    pub time: Option<String>,
    /// Nodes, such as n1,n2,n3; or a number, for a lab of that size [env: DSFUZZ_NODES]
    #[arg(long, value_name = "NODES")]
    pub nodes: Option<String>,
    /// Calls a second of all clients together, such as 400/s [env: DSFUZZ_RATE]
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub rate: Option<String>,
    /// Clients, such as 10, or 2n for two for each node [env: DSFUZZ_CLIENTS]
    #[arg(long, alias = "concurrency", value_name = "CLIENTS")]
    pub clients: Option<String>,
    /// The faults that refute a fallacy of distributed computing instead of the plan's, such as latency-is-zero (`dsfuzz list fallacies`)
    #[arg(long, value_name = "NAME")]
    pub fallacy: Option<String>,
    /// Any key of the plan: --set workload.register.keys=4 (repeatable; applied after all others)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl OverrideArgs {
    /// The changes, with the environment read through `variable`. An empty variable counts as unset.
    pub fn resolve(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Overrides, Failure> {
        let named = [
            ("--seed", "DSFUZZ_SEED", "seed", &self.seed),
            ("--time", "DSFUZZ_TIME", "load.time", &self.time),
            ("--nodes", "DSFUZZ_NODES", "cluster.nodes", &self.nodes),
            ("--rate", "DSFUZZ_RATE", "load.rate", &self.rate),
            ("--clients", "DSFUZZ_CLIENTS", "load.clients", &self.clients),
        ];
        let mut overrides = Overrides::none();
        for (flag, name, path, typed) in named {
            let from_environment = || variable(name).filter(|text| !text.is_empty()).map(|text| (name, text));
            let Some((source, text)) = typed.clone().map(|text| (flag, text)).or_else(from_environment) else {
                continue;
            };
            if flag == "--nodes" {
                overrides.nodes(source, &text);
            } else {
                overrides.flag(flag, source, path, &text)?;
            }
        }
        if let Some(name) = &self.fallacy {
            overrides.fallacy(name)?;
        }
        for assignment in &self.set {
            overrides.set(assignment)?;
        }
        Ok(overrides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_words_of_jepsen_are_understood() {
        let cli =
            Cli::try_parse_from(["dsfuzz", "test", "p.yaml", "--time-limit", "9s", "--concurrency", "2n"]).unwrap();
        let Command::Run(args) = cli.command else { panic!("test is run") };
        assert_eq!(args.plan.overrides.time.as_deref(), Some("9s"));
        assert_eq!(args.plan.overrides.clients.as_deref(), Some("2n"));
    }
}
