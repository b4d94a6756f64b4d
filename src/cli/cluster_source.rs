//! [`ClusterSource`]: the nodes of a plan and how to reach them, with the lab behind them if there is one.
use crate::cluster::{ExecOptions, Node, NodeAccess, resolve_exec_nodes, resolve_nodes};
use crate::error::Failure;
use crate::lab::{Lab, Owner};
use crate::plan::{ClusterPlan, LabPlan};

/// Nodes, in the plan's order.
pub(super) struct ClusterSource {
    /// The nodes and how to reach them.
    pub(super) nodes: Vec<(Node, NodeAccess)>,
    /// A lab that was made for this command.
    own_lab: Option<Lab>,
}

impl ClusterSource {
    /// Finds or makes the nodes. For a lab, this process moves into its network for good, so it must not have threads yet.
    /// `stays`: a lab made here outlives this process.
    pub(super) fn find(cluster: &ClusterPlan, stays: bool) -> Result<ClusterSource, Failure> {
        match &cluster.lab {
            Some(LabPlan::Nodes(count)) => {
                let owner = if stays { Owner::Detached } else { Owner::ThisProcess };
                let lab = Lab::up(&format!("run-{}", std::process::id()), *count, owner)?;
                let source = ClusterSource::inside(&lab, cluster)?;
                Ok(ClusterSource { own_lab: Some(lab), ..source })
            }
            Some(LabPlan::Named(name)) => ClusterSource::inside(&lab(name)?, cluster),
            None => {
                let nodes = match &cluster.exec {
                    Some(exec) => entered(exec)?,
                    None => {
                        let hosts = resolve_nodes(&cluster.nodes, &cluster.ssh)?;
                        hosts.into_iter().map(|(node, target)| (node, target.into())).collect()
                    }
                };
                Ok(ClusterSource { nodes, own_lab: None })
            }
        }
    }

    fn inside(lab: &Lab, cluster: &ClusterPlan) -> Result<ClusterSource, Failure> {
        lab.enter()?;
        let mut nodes = lab.nodes();
        for (_, target) in &mut nodes {
            if let Some(dir) = &cluster.ssh.dir {
                target.dir.clone_from(dir);
            }
        }
        let nodes = nodes.into_iter().map(|(node, target)| (node, target.into())).collect();
        Ok(ClusterSource { nodes, own_lab: None })
    }

    /// The name of the lab that was made here.
    pub(super) fn own_lab(&self) -> Option<&str> {
        self.own_lab.as_ref().map(Lab::name)
    }

    /// Takes down the lab that was made here, unless it stays.
    pub(super) fn leave(self) -> Result<(), Failure> {
        match self.own_lab {
            Some(lab) if !lab.detached() => Ok(lab.down()?),
            _ => Ok(()),
        }
    }
}

/// Nodes that are entered by a command. A program that is not on this machine is a wrong plan.
fn entered(exec: &ExecOptions) -> Result<Vec<(Node, NodeAccess)>, Failure> {
    match exec.missing_program() {
        Some(missing) => Err(Failure::Usage(missing)),
        None => Ok(resolve_exec_nodes(exec)?),
    }
}

/// A lab that is up, by name. An unknown name is a wrong argument.
pub(super) fn lab(name: &str) -> Result<Lab, Failure> {
    Lab::find(name).map_err(|error| Failure::Usage(format!("{error:#}")))
}

/// The runtime of a command that talks to nodes. Made after [`ClusterSource::find`], because it brings threads.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::harness(format!("no runtime: {error}")))
}
