//! `dsfuzz doctor`: can these nodes be tested?
use super::cluster_source::{self, ClusterSource};
use super::{Output, PlanArgs, stored};
use crate::cluster::{Node, NodeAccess};
use crate::error::{Exit, Failure};
use crate::plan::{Plan, fit};
use crate::run::NODE_DIR;
use crate::run::hosts::Hosts;
use crate::run::needs::{self, MissingAbility};
use crate::run::nemesis::{BlockedKind, BlockedPath, Executor};
use crate::run::reach::unreachable;
use crate::targets::{Deployment, MissingPackages, Target};
use clap::Args;
use dsfuzz_checkers::history::Mark;
use dsfuzz_nemesis::protocol::ability::Ability;
use dsfuzz_nemesis::{AgentPaths, ClusterView, NodeView};
use serde::Serialize;
use std::sync::Arc;

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The plan and the changes to it.
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// One check of a node, and its outcome.
#[derive(Debug, Serialize)]
struct NodeCheck {
    node: String,
    what: String,
    able: bool,
    needed: bool,
    /// `dsfuzz run` will see to it.
    by_run: bool,
    /// Only faults need it, and the run leaves them out (`nemesis.skip_unable`).
    left_out: bool,
    detail: String,
}

pub(super) fn main(args: &DoctorArgs, out: &mut Output) -> Result<Exit, Failure> {
    let args_plan = stored::resolved(&args.plan, &out.results)?;
    let (plan, _overrides) = args_plan.load()?;
    let target = args_plan.target(&plan)?;
    fit::warnings(&plan, &target, plan.seed).iter().for_each(|warning| out.note(warning));
    let source = ClusterSource::find(&plan.cluster, false)?;
    let runtime = cluster_source::runtime()?;
    let looks = runtime.block_on(look(&plan, &target, source.nodes.clone()));
    runtime.shutdown_background();
    source.leave()?;
    let looks = looks?;
    let well = looks.iter().all(|look| look.able || !look.needed);
    if out.json {
        out.document(&looks)?;
    } else {
        show(&looks, out);
        out.line(if well { "these nodes can be tested" } else { "these nodes cannot be tested as the plan asks" });
    }
    Ok(if well { Exit::Valid } else { Exit::Harness })
}

impl NodeCheck {
    /// The cell of the table.
    fn word(&self) -> &'static str {
        match (self.able, self.needed) {
            (true, _) => "yes",
            (false, true) => "NO",
            (false, false) if self.by_run => "not yet",
            (false, false) => "no",
        }
    }

    /// The same in a sentence.
    fn sentence(&self) -> String {
        let state = match (self.able, self.needed) {
            (true, _) => "yes",
            (false, true) => "NO, and this plan needs it",
            (false, false) if self.by_run => "not yet",
            (false, false) if self.left_out => "no, and the faults that need it are left out (nemesis.skip_unable)",
            (false, false) => "no (not needed by this plan)",
        };
        format!("{}: {state}: {}", self.what, self.detail)
    }

    /// Whether it is shown without being asked for.
    fn is_notable(&self) -> bool {
        !self.able || self.by_run
    }
}

/// A row for each ability and a column for each node, then what is to be said about each. Without `--verbose`: only abilities that a
/// node lacks.
fn show(looks: &[NodeCheck], out: &mut Output) {
    let (mut nodes, mut abilities): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for look in looks {
        if !nodes.contains(&&*look.node) {
            nodes.push(&look.node);
        }
        if !abilities.contains(&&*look.what) {
            abilities.push(&look.what);
        }
    }
    let of = |ability: &str| looks.iter().filter(|look| look.what == ability).collect::<Vec<_>>();
    let (notable, alike): (Vec<&str>, Vec<&str>) =
        abilities.into_iter().partition(|ability| out.verbose || of(ability).into_iter().any(NodeCheck::is_notable));
    // The worst of several checks of an ability, such as those of two ports.
    let cell = |ability: &str, node: &str| {
        let mut checks: Vec<&NodeCheck> = of(ability).into_iter().filter(|look| look.node == node).collect();
        checks.sort_by_key(|look| (look.able, !look.needed));
        checks.first().map_or("", |look| look.word()).to_owned()
    };
    let row = |ability: &&str| {
        let cells = nodes.iter().map(|node| cell(ability, node));
        std::iter::once((*ability).to_owned()).chain(cells).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> = notable.iter().map(row).collect();
    if !rows.is_empty() {
        let header: Vec<&str> = std::iter::once("ability").chain(nodes.iter().copied()).collect();
        out.table(&header, &rows);
    }
    let said = notable.iter().flat_map(|ability| of(ability)).filter(|look| out.verbose || look.is_notable());
    let mut sentences: Vec<(Vec<&str>, String)> = Vec::new();
    for look in said {
        let sentence = look.sentence();
        match sentences.iter_mut().find(|(_, known)| *known == sentence) {
            Some((nodes, _)) => nodes.push(&look.node),
            None => sentences.push((vec![&look.node], sentence)),
        }
    }
    for (nodes, sentence) in sentences {
        out.line(format!("{}: {sentence}", nodes.join(" ")));
    }
    if !alike.is_empty() {
        out.line(format!("there on every node (-v says more): {}", alike.join(", ")));
    }
}

async fn look(plan: &Plan, target: &Target, nodes: Vec<(Node, NodeAccess)>) -> anyhow::Result<Vec<NodeCheck>> {
    let mut looks = Vec::new();
    let base = plan.cluster.dir().unwrap_or(NODE_DIR).to_owned();
    let order: Vec<String> = nodes.iter().map(|(node, _)| node.name.to_string()).collect();
    let hosts = Hosts::connect(nodes, format!("doctor/{}", std::process::id()), false).await?;
    let sharers = hosts.kernel_sharers();
    for (node, abilities) in hosts.abilities().await {
        let abilities = abilities.map_err(|error| anyhow::anyhow!(error))?;
        let skips = plan.nemesis.as_ref().is_some_and(|nemesis| nemesis.skip_unable);
        let (left_out, lacking): (Vec<MissingAbility>, Vec<MissingAbility>) =
            needs::lacking(plan, target, &node, &abilities).into_iter().partition(|lack| skips && lack.fault.is_some());
        let sharer = sharers.iter().find_map(|(name, sharer)| sharer.as_ref().filter(|_| *name == node));
        looks.push(NodeCheck {
            node: node.to_string(),
            what: needs::KERNEL.into(),
            able: sharer.is_none(),
            needed: plan.cluster.own_kernel(),
            by_run: false,
            left_out: false,
            detail: match sharer {
                None => "no other node has its boot id".into(),
                Some(sharer) if plan.cluster.own_kernel() => needs::shared_kernel(sharer),
                Some(_) => "it shares its kernel: clocks are shifted for each process".into(),
            },
        });
        for Ability { name, able, detail } in abilities {
            // The node is able, and too small for a fault of the plan.
            let small = lacking.iter().chain(&left_out).find(|lack| able && lack.need == name);
            looks.push(NodeCheck {
                needed: lacking.iter().any(|lack| lack.need == name),
                left_out: left_out.iter().any(|lack| lack.need == name),
                node: node.to_string(),
                able: able && small.is_none(),
                by_run: false,
                detail: small.map_or(detail, |lack| lack.sentence.clone()),
                what: name,
            });
        }
    }
    let deployment = target.deployment(hosts.remotes(), &base)?;
    let full = |look: &NodeCheck| look.what == needs::ROOM && !look.able;
    if looks.iter().any(full) {
        for room in deployment.rooms().await? {
            for look in looks.iter_mut().filter(|look| full(look) && look.node == *room.node) {
                (look.able, look.detail) = needs::after_wipe(&room);
                look.by_run = look.able;
            }
        }
    }
    looks.extend(walls(plan, &deployment, &hosts).await);
    looks.extend(hosts.left_behind().await.into_iter().map(|(node, detail)| NodeCheck {
        node: node.to_string(),
        what: "no faults left behind".into(),
        able: false,
        needed: true,
        by_run: false,
        left_out: false,
        detail: format!("{detail}; `dsfuzz heal` shows it and forgets it"),
    }));
    for remote in hosts.remotes() {
        let node = remote.node();
        let unreachable = unreachable(node.address, &deployment.ports(&node.name)).await;
        looks.extend(unreachable.map(|detail| NodeCheck {
            node: node.name.to_string(),
            what: "target's ports".into(),
            able: false,
            needed: true,
            by_run: false,
            left_out: false,
            detail,
        }));
    }
    looks.extend(packages(&deployment).await?);
    looks.sort_by_key(|look| order.iter().position(|name| *name == look.node));
    hosts.bye(false).await;
    Ok(looks)
}

/// Whether the packages are there, or come with a run.
async fn packages(deployment: &Deployment) -> anyhow::Result<Vec<NodeCheck>> {
    let missing = deployment.missing_packages().await?;
    let unobtainable = deployment.unobtainable(&missing).await;
    let check = |MissingPackages { node, missing, by_hand }| {
        let mut reasons: Vec<String> = missing.iter().filter_map(|name| unobtainable.get(name).cloned()).collect();
        reasons.extend(by_hand);
        let by_run = !missing.is_empty() && reasons.is_empty();
        NodeCheck {
            node: node.to_string(),
            what: "packages".into(),
            able: missing.is_empty(),
            needed: !reasons.is_empty(),
            by_run,
            left_out: false,
            detail: match (missing.is_empty(), by_run) {
                (true, _) => "all there".into(),
                (_, true) => format!("`dsfuzz run` will install {}", missing.join(", ")),
                _ => reasons.join("; "),
            },
        }
    };
    Ok(missing.into_iter().map(check).collect())
}

/// Whether the agents hear each other, as the proof of a partition needs it.
async fn walls(plan: &Plan, deployment: &Deployment, hosts: &Arc<Hosts>) -> Vec<NodeCheck> {
    let remotes = hosts.remotes();
    let nodes = remotes.iter().map(|remote| {
        let node = remote.node();
        NodeView {
            name: node.name.to_string(),
            address: node.address,
            others: deployment.addresses(&node.name),
            ports: deployment.ports(&node.name),
            port_roles: deployment.port_roles(&node.name),
            services: Vec::new(),
            own_kernel: false,
        }
    });
    let view = ClusterView { nodes: nodes.collect(), ..ClusterView::default() };
    let seen = view.clone();
    let executor = Executor::new(
        hosts.clone(),
        hosts.run_name(),
        Arc::new(|_| Mark { index: 0, time: 0 }),
        Arc::new(move |_| {
            let view = seen.clone();
            Box::pin(async move { view })
        }),
        Arc::new(|| 0),
    );
    let paths = plan.nemesis.as_ref().map_or(AgentPaths::NotNeeded, |nemesis| nemesis.agent_paths());
    // TCP proves every cut except a one-way cut. The target's own ports answer only once it runs.
    let (one_way, cuts) = (paths == AgentPaths::OneWay, paths != AgentPaths::NotNeeded);
    let has_ports = view.nodes.iter().all(|node| !node.ports.is_empty());
    let look = |wall: BlockedPath| NodeCheck {
        node: wall.between.0,
        what: "pings".into(),
        able: false,
        needed: match wall.kind {
            BlockedKind::TcpOnly => one_way,
            BlockedKind::Filtered => true,
            BlockedKind::Closed => one_way || (cuts && !has_ports),
            BlockedKind::Unknown => cuts,
        },
        by_run: false,
        left_out: false,
        detail: wall.detail,
    };
    let walls = executor.walls(&view).await;
    let walled: Vec<String> =
        walls.iter().flat_map(|BlockedPath { between: (one, other), .. }| [one, other]).cloned().collect();
    let heard = |name: &str| NodeCheck {
        node: name.to_owned(),
        what: "pings".into(),
        able: true,
        needed: false,
        by_run: false,
        left_out: false,
        detail: "every other node and this one hear each other".into(),
    };
    let well = view.names().filter(|name| !walled.iter().any(|node| node == name)).map(heard);
    walls.into_iter().map(look).chain(well).collect()
}
