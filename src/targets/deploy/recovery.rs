//! The recipe's `recovery`: steps before the processes start again after all of them had died on every node.
use super::super::error::TargetError;
use super::super::join_all::join_all;
use super::super::node_commands;
use super::Deployment;
use dsfuzz_workloads::BoxFuture;
use std::collections::BTreeMap;

impl Deployment {
    /// Runs the steps in order, each on all of its nodes at the same time; the next one begins when all have ended.
    pub(super) async fn recover(&self) -> Result<(), TargetError> {
        let steps = self.layout.nodes.iter().flat_map(|plan| &plan.recovery).map(|step| step.position + 1).max();
        let mut gathered = BTreeMap::new();
        for position in 0..steps.unwrap_or(0) {
            let outputs = self.recovery_step(position, &gathered).await?;
            gathered = outputs.unwrap_or(gathered);
        }
        Ok(())
    }

    /// One step. The outputs by node, if they are gathered.
    async fn recovery_step(
        &self,
        position: usize,
        gathered: &BTreeMap<String, String>,
    ) -> Result<Option<BTreeMap<String, String>>, TargetError> {
        let mut gathers = false;
        let mut acts: Vec<BoxFuture<'_, Result<(String, String), TargetError>>> = Vec::new();
        for (plan, remote) in self.layout.nodes.iter().zip(&self.remotes) {
            let Some(step) = plan.recovery.iter().find(|step| step.position == position) else { continue };
            if step.on_max() && self.greatest(gathered)? != &*plan.node.name {
                continue;
            }
            gathers |= step.gathers();
            let command = step.command(gathered)?;
            let node = plan.node.name.to_string();
            acts.push(Box::pin(async move {
                let output = node_commands::run(remote.as_ref(), "recovery", command).await?;
                Ok((node, output.lines().next().unwrap_or_default().trim().to_owned()))
            }));
        }
        let outputs: BTreeMap<String, String> = join_all(acts).await.into_iter().collect::<Result<_, _>>()?;
        Ok(gathers.then_some(outputs))
    }

    /// The node with the greatest number; of several, the first of the plan.
    fn greatest(&self, gathered: &BTreeMap<String, String>) -> Result<&str, TargetError> {
        let mut greatest: Option<(i128, &str)> = None;
        for plan in &self.layout.nodes {
            let node = &*plan.node.name;
            let output = gathered.get(node).map(String::as_str).unwrap_or_default();
            let number = output.parse::<i128>().map_err(|_| TargetError::Gathered {
                node: plan.node.name.clone(),
                output: node_commands::head(output),
            })?;
            if greatest.is_none_or(|(most, _)| number > most) {
                greatest = Some((number, node));
            }
        }
        Ok(greatest.map_or("", |(_, node)| node))
    }
}
