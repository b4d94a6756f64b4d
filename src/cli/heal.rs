//! `dsfuzz heal`: undoes every fault left on nodes.
use super::Output;
use super::cluster_source::{self, ClusterSource};
use crate::cluster::SshOptions;
use crate::error::{Exit, Failure};
use crate::plan::{ClusterPlan, LabPlan, Overrides, Plan};
use crate::run::hosts::Hosts;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `heal`: the nodes of a plan, of a lab, or named.
#[derive(Clone, Debug, Default, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(false))]
pub struct HealArgs {
    /// The plan whose nodes are healed
    #[arg(value_name = "PLAN", group = "which")]
    pub plan: Option<PathBuf>,
    /// Any key of the plan: --set cluster.lab= (repeatable)
    #[arg(long, requires = "plan", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Hosts, such as n1,n2,n3
    #[arg(long, value_name = "NODES", value_delimiter = ',', group = "which")]
    pub nodes: Vec<String>,
    /// A lab that is up
    #[arg(long, value_name = "NAME", group = "which")]
    pub lab: Option<String>,
    /// User, with --nodes
    #[arg(long, requires = "nodes")]
    pub user: Option<String>,
    /// Private key file, with --nodes
    #[arg(long, requires = "nodes", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Port, with --nodes
    #[arg(long, requires = "nodes")]
    pub port: Option<u16>,
    /// known_hosts file, with --nodes
    #[arg(long, requires = "nodes", value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// End the run that uses the nodes, if there is one; without this flag, its nodes are left alone
    #[arg(long)]
    pub take_over: bool,
}

impl HealArgs {
    /// The nodes and how to reach them.
    pub fn cluster(&self) -> Result<ClusterPlan, Failure> {
        if let Some(plan) = &self.plan {
            let mut overrides = Overrides::none();
            for assignment in &self.set {
                overrides.set(assignment)?;
            }
            return Ok(Plan::load(plan, &overrides)?.cluster);
        }
        let ssh = SshOptions {
            user: self.user.clone(),
            key: self.key.clone(),
            port: self.port,
            known_hosts: self.known_hosts.clone(),
            ..SshOptions::default()
        };
        Ok(ClusterPlan { lab: self.lab.clone().map(LabPlan::Named), nodes: self.nodes.clone(), exec: None, ssh })
    }
}

pub(super) fn main(args: &HealArgs, out: &mut Output) -> Result<Exit, Failure> {
    let cluster = args.cluster()?;
    if let Some(LabPlan::Nodes(_)) = cluster.lab {
        out.note(
            "the plan's lab is made for each run and ends with it, so nothing is left to heal; \
             for one that was left running: `dsfuzz lab list`, then `dsfuzz heal --lab NAME`",
        );
        if out.json {
            out.document(&serde_json::json!([]))?;
        }
        return Ok(Exit::Valid);
    }
    let source = ClusterSource::find(&cluster, false)?;
    let runtime = cluster_source::runtime()?;
    let healed = runtime.block_on(async {
        let name = format!("heal/{}", std::process::id());
        let hosts = Hosts::connect(source.nodes.clone(), name, args.take_over).await?;
        let healed = hosts.heal().await;
        let layers = hosts.take_layers_away().await;
        hosts.bye(false).await;
        healed.and_then(|healed| layers.map(|()| healed))
    });
    runtime.shutdown_background();
    source.leave()?;
    let healed = healed?;
    if out.json {
        let nodes: Vec<_> =
            healed.iter().map(|(node, proof)| serde_json::json!({"node": &**node, "detail": proof.detail})).collect();
        out.document(&nodes)?;
    } else {
        for (node, proof) in &healed {
            let detail = if proof.detail.is_empty() { "nothing was left".into() } else { proof.detail.join("; ") };
            out.line(format!("{node}: {detail}"));
        }
    }
    let left: Vec<&str> = healed.iter().filter(|(_, proof)| !proof.holds).map(|(node, _)| &**node).collect();
    if !left.is_empty() {
        return Err(anyhow::anyhow!(
            "a fault was not undone on {}: its journal has dropped it, so that later runs are not blocked; undo by hand what the \
             line above names",
            left.join(", ")
        ).into());
    }
    Ok(Exit::Valid)
}
