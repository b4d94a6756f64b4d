//! [`Job`]: a plan with its seed, its nodes and its folder.
use crate::cluster::{Node, NodeAccess};
use crate::plan::Plan;
use crate::store::{self, FORMAT_VERSION, Inputs, NodeInfo, PlannedFaults, RunDir, RunInfo, StoredRun};
use crate::targets::Target;
use crate::targets::recipe::FinalReads;
use anyhow::{Context as _, Result};
use dsfuzz_nemesis::Timetable;
use std::path::PathBuf;

pub use crate::cluster::NODE_DIR;

/// A run to be made.
pub struct Job {
    /// The plan, with its seed drawn.
    pub plan: Plan,
    /// The seed.
    pub seed: u64,
    /// The folder of the results.
    pub dir: RunDir,
    /// The folder against which a recipe's path is resolved.
    pub plan_folder: PathBuf,
    /// The nodes, in the plan's order.
    pub nodes: Vec<(Node, NodeAccess)>,
    /// Leave the target running at the end.
    pub leave_running: bool,
    /// End the run that holds the nodes, if there is one.
    pub take_over: bool,
    /// The command that runs it again.
    pub again: String,
    /// The stored run that it repeats, if it does.
    pub repeats: Option<StoredRun>,
}

impl Job {
    pub(super) fn timetable(&self, target: &Target) -> Timetable {
        let names: Vec<String> = self.nodes.iter().map(|(node, _)| node.name.to_string()).collect();
        crate::plan::fit::timetable(&self.plan, target, self.seed, &names)
    }

    /// Stores the plan and the files that the run is made from; what `run.json` says of them, and of the run that it repeats.
    pub(super) fn keep_inputs(&self, target: &Target) -> Result<RunInfo> {
        std::fs::write(self.dir.plan(), self.plan.to_yaml()?).context("the effective plan cannot be stored")?;
        let inputs = Inputs::keep(&self.dir, target)?;
        let plan = self.plan.without_target()?;
        let replay = self.repeats.as_ref().map(|stored| stored.replay(&plan, &inputs));
        Ok(RunInfo { inputs: Some(inputs), replay, ..RunInfo::default() })
    }

    pub(super) fn info(&self, target: &Target, timetable: &Timetable, made_from: RunInfo) -> RunInfo {
        let faults = self.plan.nemesis.iter().flat_map(|nemesis| nemesis.counted_as());
        let mut kinds: Vec<String> = Vec::new();
        faults.for_each(|kind| {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        });
        let fitted = timetable.faults.len() as u64;
        let planned =
            Some(PlannedFaults { kinds, fitted, warnings: timetable.warnings.clone(), swarm: timetable.swarm.clone() });
        let node = |(node, _): &(Node, NodeAccess)| NodeInfo {
            name: node.name.to_string(),
            address: node.address.to_string(),
            ..NodeInfo::default()
        };
        RunInfo {
            format: FORMAT_VERSION,
            dsfuzz: store::VERSION.into(),
            revision: store::REVISION.into(),
            plan: self.plan.name.clone(),
            seed: self.seed,
            started: chrono::Local::now().to_rfc3339(),
            target: target.name().into(),
            final_reads: self.final_reads(target).name().into(),
            options: crate::plan::redacted(target.options()),
            facts: target.facts(),
            planned,
            nodes: self.nodes.iter().map(node).collect(),
            again: self.again.clone(),
            ..made_from
        }
    }

    pub(super) fn final_reads(&self, target: &Target) -> FinalReads {
        self.plan.load.final_reads.unwrap_or(target.recipe().final_reads)
    }

    /// The run's name for the agents: the plan and the time.
    pub(super) fn name(&self) -> String {
        let time = self.dir.path().file_name().map(|name| name.to_string_lossy().into_owned());
        format!("{}/{}", self.plan.name, time.unwrap_or_default())
    }

    /// The folder on a node for the agent and the target's data.
    pub fn node_dir(&self) -> String {
        self.plan.cluster.dir().unwrap_or(NODE_DIR).into()
    }
}
