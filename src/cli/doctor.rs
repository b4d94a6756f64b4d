//! `dsfuzz doctor`: can these nodes be tested?
use super::place::{self, Place};
use super::{Output, PlanArgs};
use crate::cluster::{Node, SshTarget};
use crate::error::{Exit, Failure};
use crate::plan::Plan;
use crate::run::NODE_DIR;
use crate::run::hosts::{self, Hosts};
use crate::targets::{MissingPackages, Target};
use clap::Args;
use serde::Serialize;

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The plan and what is changed in it.
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Look {
    node: String,
    what: String,
    able: bool,
    needed: bool,
    detail: String,
}

pub(super) fn main(args: &DoctorArgs, out: &mut Output) -> Result<Exit, Failure> {
    let (plan, _overrides) = args.plan.load()?;
    let target = args.plan.target(&plan)?;
    let place = Place::find(&plan.cluster, false)?;
    let runtime = place::runtime()?;
    let looks = runtime.block_on(look(&plan, &target, place.nodes.clone()));
    runtime.shutdown_background();
    place.leave()?;
    let looks = looks?;
    let well = looks.iter().all(|look| look.able || !look.needed);
    if out.json {
        out.document(&looks)?;
    } else {
        let row = |look: &Look| {
            let able = match (look.able, look.needed) {
                (true, _) => "yes",
                (false, true) => "NO",
                (false, false) => "no, not needed",
            };
            vec![look.node.clone(), look.what.clone(), able.into(), look.detail.clone()]
        };
        let rows: Vec<Vec<String>> = looks.iter().map(row).collect();
        out.table(&["node", "what", "able", "detail"], &rows);
        out.line(if well { "these nodes can be tested" } else { "these nodes cannot be tested as the plan asks" });
    }
    Ok(if well { Exit::Valid } else { Exit::Harness })
}

async fn look(plan: &Plan, target: &Target, nodes: Vec<(Node, SshTarget)>) -> anyhow::Result<Vec<Look>> {
    let mut looks = Vec::new();
    let base = plan.cluster.ssh.dir.clone().unwrap_or_else(|| NODE_DIR.into());
    let order: Vec<String> = nodes.iter().map(|(node, _)| node.name.to_string()).collect();
    let hosts = Hosts::connect(nodes, format!("doctor/{}", std::process::id()), false).await?;
    let own_kernels = hosts.own_kernels();
    for (node, abilities) in hosts.abilities().await {
        let abilities = abilities.map_err(|error| anyhow::anyhow!(error))?;
        let lacking = hosts::lacking(plan, &abilities).join("\n");
        let own = own_kernels.contains(&node);
        looks.push(Look {
            node: node.to_string(),
            what: "kernel of its own".into(),
            able: own,
            needed: plan.cluster.ssh.own_kernel,
            detail: if own {
                "no other node has its boot id"
            } else {
                "it shares its kernel: clocks are shifted for each process"
            }
            .into(),
        });
        looks.extend(abilities.into_iter().map(|ability| Look {
            needed: lacking.contains(&format!("needs {}:", ability.name)),
            node: node.to_string(),
            what: ability.name,
            able: ability.able,
            detail: ability.detail,
        }));
    }
    for MissingPackages { node, missing, by_hand } in
        target.deployment(hosts.remotes(), &base)?.missing_packages().await?
    {
        let detail = if missing.is_empty() {
            "all there".into()
        } else {
            by_hand.clone().unwrap_or_else(|| format!("`dsfuzz run` will install {}", missing.join(", ")))
        };
        looks.push(Look {
            node: node.to_string(),
            what: "packages".into(),
            able: missing.is_empty(),
            needed: by_hand.is_some(),
            detail,
        });
    }
    looks.sort_by_key(|look| order.iter().position(|name| *name == look.node));
    hosts.bye(false).await;
    Ok(looks)
}
