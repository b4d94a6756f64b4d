//! What fills a node's disk, and the part of it that earlier runs left and a run may remove.
//!
//! Never: removes anything but what a wipe of this target removes, and the folders of other targets of dsfuzz that do not run.
use super::super::error::TargetError;
use super::super::hands;
use super::super::layout::NodeLayout;
use super::super::together::together;
use super::{Deployment, wipe};
use crate::cluster::Remote;
use dsfuzz_nemesis::protocol::{Command, Service};
use dsfuzz_workloads::BoxFuture;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Summing up a full disk takes its time.
const MEASURE_MS: u64 = 20_000;
const REMOVE_MS: u64 = 60_000;

/// The room on the disk of a node's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The node.
    pub node: Arc<str>,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Bytes that earlier runs left there, which [`Deployment::make_room`] frees.
    pub left_bytes: u64,
    /// The file or folder below the node's folder that takes the most, and its bytes.
    pub largest: Option<(String, u64)>,
}

/// What the agent keeps of a service.
#[derive(Deserialize)]
struct Kept {
    service: Service,
}

impl Deployment {
    /// How much room each node has, and what takes it. Changes nothing.
    pub async fn rooms(&self) -> Result<Vec<Room>, TargetError> {
        let acts = self.layout.nodes.iter().zip(&self.remotes).map(|(plan, remote)| {
            let act: BoxFuture<'_, _> = Box::pin(room(plan, remote.as_ref()));
            act
        });
        together(acts.collect()).await.into_iter().collect()
    }

    /// Removes what earlier runs left: kills the target's processes, removes its data, and the folders of other targets none of
    /// whose processes runs. What was there before, by node.
    pub async fn make_room(&self) -> Result<Vec<Room>, TargetError> {
        let before = self.rooms().await?;
        self.each(|plan, remote| {
            Box::pin(async move {
                wipe(plan, remote).await?;
                let others = folders_of_others(plan, remote).await?;
                if others.is_empty() {
                    return Ok(());
                }
                let argv = ["rm", "-rf", "--one-file-system", "--"].map(str::to_owned).into_iter().chain(others);
                let command = Command { argv: argv.collect(), deadline_ms: REMOVE_MS, ..Command::default() };
                hands::run(remote, "remove what other targets left", command).await.map(drop)
            })
        })
        .await?;
        Ok(before)
    }
}

/// The node's folder: that of its targets and of the agent.
fn base(plan: &NodeLayout) -> &str {
    plan.dir.rsplit_once('/').map_or("/", |(base, _)| base)
}

/// Marks the target's folder as one of dsfuzz: a folder that outlives a wipe.
pub(super) fn mark(plan: &NodeLayout) -> String {
    let (base, name) = plan.dir.rsplit_once('/').unwrap_or(("", &plan.dir));
    format!("{base}/services/{name}.target")
}

/// Folders of other targets that the agent has run and that do not run now.
async fn folders_of_others(plan: &NodeLayout, remote: &dyn Remote) -> Result<Vec<String>, TargetError> {
    let base = base(plan);
    let runs: BTreeSet<String> = hands::services(remote)
        .await?
        .into_iter()
        .filter(|state| !state.pids.is_empty())
        .map(|state| state.name)
        .collect();
    let script = r#"for mark in "$1"/services/*.target; do [ -d "$mark" ] && basename "$mark" .target; done; true"#;
    let argv = ["/bin/sh", "-c", script, "room", base].map(str::to_owned).to_vec();
    let command = Command { argv, deadline_ms: MEASURE_MS, ..Command::default() };
    let marked = hands::run(remote, "look for what other targets left", command).await?;
    let folders = marked.lines().map(|name| format!("{base}/{name}")).filter(|folder| *folder != plan.dir);
    let mut idle: BTreeMap<String, bool> = folders.map(|folder| (folder, true)).collect();
    for (path, _) in hands::list(remote, &format!("{base}/services/*.json")).await? {
        let bytes = hands::read(remote, &path, 0).await?;
        let Ok(Kept { service }) = serde_json::from_slice(&bytes) else { continue };
        if let Some(folder) = target_folder(base, &service.log).filter(|folder| *folder != plan.dir) {
            *idle.entry(folder).or_insert(true) &= !runs.contains(&service.name);
        }
    }
    Ok(idle.into_iter().filter(|(_, idle)| *idle).map(|(folder, _)| folder).collect())
}

/// The target's folder to which a log belongs; none for what is not in one.
fn target_folder(base: &str, log: &str) -> Option<String> {
    let (name, _) = log.strip_prefix(base)?.strip_prefix('/')?.split_once('/')?;
    let own = ["agent", "services", "", ".", ".."];
    (!own.contains(&name)).then(|| format!("{base}/{name}"))
}

async fn room(plan: &NodeLayout, remote: &dyn Remote) -> Result<Room, TargetError> {
    let others = folders_of_others(plan, remote).await?;
    // Only what is on the same file system frees room there.
    let script = r#"base=$1; shift; device=$(stat -c %d -- "$base"); left=0
df -Pk -- "$base" | tail -n 1 | { read -r _ _ _ free _; echo "$free"; }
for path; do
  [ "$(stat -c %d -- "$path" 2>/dev/null)" = "$device" ] || continue
  taken=$(du -skx -- "$path" 2>/dev/null | cut -f1); left=$((left + ${taken:-0}))
done
echo $left
du -akx -d 1 -- "$base" 2>/dev/null | sort -rn | sed -n 2p"#;
    let mut argv: Vec<String> = ["/bin/sh", "-c", script, "room", base(plan)].map(str::to_owned).to_vec();
    argv.extend(plan.wipe_paths.iter().cloned().chain(others));
    let command = Command { argv, deadline_ms: MEASURE_MS, ..Command::default() };
    let told = hands::run(remote, "look what fills the disk", command).await?;
    Ok(parsed(remote.node().name.clone(), &told))
}

fn parsed(node: Arc<str>, told: &str) -> Room {
    let bytes = |kib: &str| kib.trim().parse::<u64>().unwrap_or(0).saturating_mul(1024);
    let mut lines = told.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (free_bytes, left_bytes) = (bytes(next()), bytes(next()));
    let largest = next().split_once('\t').map(|(kib, path)| (path.to_owned(), bytes(kib)));
    Room { node, free_bytes, left_bytes, largest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_belongs_to_the_folder_of_its_target() {
        let folder = |log| target_folder("/var/lib/dsfuzz", log);
        assert_eq!(folder("/var/lib/dsfuzz/redis/a/b.log").as_deref(), Some("/var/lib/dsfuzz/redis"));
        assert_eq!(folder("/var/lib/dsfuzz/redis/b.log").as_deref(), Some("/var/lib/dsfuzz/redis"));
        for other in ["", "/var/log/x.log", "/var/lib/dsfuzz/x.log", "/var/lib/dsfuzz/services/x.log"] {
            assert_eq!(folder(other), None, "{other}");
        }
        assert_eq!(folder("/var/lib/dsfuzz/agent/x.log"), None);
        assert_eq!(folder("/var/lib/dsfuzz/../x.log"), None);
        assert_eq!(folder("/var/lib/dsfuzz-2/redis/x.log"), None);
    }

    #[test]
    fn what_the_node_tells_is_read() {
        let room = parsed("n1".into(), "100\n20480\n40960\t/var/lib/dsfuzz/fill\n");
        assert_eq!((room.free_bytes, room.left_bytes), (102_400, 20 << 20));
        assert_eq!(room.largest, Some(("/var/lib/dsfuzz/fill".to_owned(), 40 << 20)));
        assert_eq!(parsed("n1".into(), "").largest, None);
    }
}
