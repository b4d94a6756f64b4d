//! The room on a node's disk, and the data of earlier runs that a run may remove.
//!
//! Never: removes other data than a wipe of this target does, and marked folders of other targets that no process uses.
use super::super::error::TargetError;
use super::super::join_all::join_all;
use super::super::layout::NodeLayout;
use super::super::node_commands;
use super::{Deployment, wipe};
use crate::cluster::Remote;
use dsfuzz_nemesis::protocol::Command;
use dsfuzz_workloads::BoxFuture;
use std::sync::Arc;

/// Deadline of summing up a full disk.
const MEASURE_MS: u64 = 20_000;
const REMOVE_MS: u64 = 60_000;

/// The room on the disk of a node's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskRoom {
    /// The node.
    pub node: Arc<str>,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Bytes that earlier runs left there, which [`Deployment::make_room`] frees.
    pub left_bytes: u64,
    /// The files and folders that [`Deployment::make_room`] removes.
    pub left: Vec<String>,
    /// The largest file or folder below the node's folder, and its bytes.
    pub largest: Option<(String, u64)>,
}

impl Deployment {
    /// The room of each node, and its largest data. Changes nothing.
    pub async fn rooms(&self) -> Result<Vec<DiskRoom>, TargetError> {
        let acts = self.layout.nodes.iter().zip(&self.remotes).map(|(plan, remote)| {
            let act: BoxFuture<'_, _> = Box::pin(room(plan, remote.as_ref()));
            act
        });
        join_all(acts.collect()).await.into_iter().collect()
    }

    /// Makes room on these nodes: kills the target's processes, and removes its data and the unused folders of other targets.
    /// Returns the room before, with the removed paths.
    pub async fn make_room(&self, nodes: &[Arc<str>]) -> Result<Vec<DiskRoom>, TargetError> {
        let meant = |position: usize| nodes.contains(&self.layout.nodes[position].node.name);
        self.each_of(meant, |plan, remote| Box::pin(make_room(plan, remote))).await
    }
}

async fn make_room(plan: &NodeLayout, remote: &dyn Remote) -> Result<DiskRoom, TargetError> {
    let mut room = room(plan, remote).await?;
    wipe(plan, remote).await?;
    // A target may have been started meanwhile.
    let idle = folders_of_others(plan, remote).await?;
    room.left.retain(|path| plan.wipe_paths.contains(path) || idle.contains(path));
    let others = idle.into_iter().filter(|folder| room.left.contains(folder));
    let gone: Vec<String> = others.flat_map(|folder| [mark_of(&folder), folder]).collect();
    if !gone.is_empty() {
        let argv = ["rm", "-rf", "--one-file-system", "--"].map(str::to_owned).into_iter().chain(gone);
        let command = Command { argv: argv.collect(), deadline_ms: REMOVE_MS, ..Command::default() };
        node_commands::run(remote, "remove what other targets left", command).await?;
    }
    Ok(room)
}

/// The node's folder for targets and the agent.
fn base(plan: &NodeLayout) -> &str {
    plan.dir.rsplit_once('/').map_or("/", |(base, _)| base)
}

/// Marks the target's folder as made by dsfuzz, with a folder that outlives a wipe.
pub(super) fn mark(plan: &NodeLayout) -> String {
    mark_of(&plan.dir)
}

fn mark_of(folder: &str) -> String {
    let (base, name) = folder.rsplit_once('/').unwrap_or(("", folder));
    format!("{base}/services/{name}.target")
}

/// Prints the marked folders below `$1` and on its file system that no process uses: not as working folder, program or open
/// file, and not on a command line. A process that root cannot inspect, except init, may use any of them, so that none is
/// printed.
const IDLE: &str = r#"device=$(stat -c %d -- "$1"); real=$(cd "$1" && pwd -P) || exit 0; used=
for process in /proc/[0-9]*; do
  words=$(tr '\0' ' ' 2>/dev/null < "$process/cmdline")
  [ -n "$words" ] || continue
  links=$(ls -l "$process/cwd" "$process/exe" "$process/fd/" 2>/dev/null)
  case "$links" in
    *"/cwd -> "*) ;;
    *) [ "$process" != /proc/1 ] && [ "$(id -u)" = 0 ] && [ -n "$(tr '\0' ' ' 2>/dev/null < "$process/cmdline")" ] && exit 0 ;;
  esac
  used="$used $words
$links
"
done
for mark in "$1"/services/*.target; do
  name=$(basename "$mark" .target)
  [ -d "$mark" ] && [ -d "$1/$name" ] && [ ! -L "$1/$name" ] || continue
  [ "$(stat -c %d -- "$1/$name")" = "$device" ] || continue
  case "$used" in *"$1/$name"[!A-Za-z0-9._-]* | *"$real/$name"[!A-Za-z0-9._-]*) continue ;; esac
  printf '%s\n' "$1/$name"
done"#;

/// Folders of other targets that no process uses now.
async fn folders_of_others(plan: &NodeLayout, remote: &dyn Remote) -> Result<Vec<String>, TargetError> {
    let base = base(plan);
    let argv = ["/bin/sh", "-c", IDLE, "room", base].map(str::to_owned).to_vec();
    let command = Command { argv, deadline_ms: MEASURE_MS, ..Command::default() };
    let idle = node_commands::run(remote, "look for what other targets left", command).await?;
    // A target may have the name of a folder of the agent.
    let own = [format!("{base}/agent"), format!("{base}/services"), plan.dir.clone()];
    Ok(idle.lines().map(str::to_owned).filter(|folder| !own.contains(folder)).collect())
}

async fn room(plan: &NodeLayout, remote: &dyn Remote) -> Result<DiskRoom, TargetError> {
    let others = folders_of_others(plan, remote).await?;
    // Only data on the same file system free room there.
    let script = r#"base=$1; shift; device=$(stat -c %d -- "$base"); left=0; paths=
df -Pk -- "$base" | tail -n 1 | { read -r _ _ _ free _; echo "$free"; }
for path; do
  [ -e "$path" ] || [ -L "$path" ] || continue
  paths="$paths$path
"
  [ "$(stat -c %d -- "$path" 2>/dev/null)" = "$device" ] || continue
  taken=$(du -skx -- "$path" 2>/dev/null | cut -f1); left=$((left + ${taken:-0}))
done
echo $left
du -akx -d 1 -- "$base" 2>/dev/null | sort -rn | sed -n 2p | grep . || echo
printf '%s' "$paths""#;
    let mut argv: Vec<String> = ["/bin/sh", "-c", script, "room", base(plan)].map(str::to_owned).to_vec();
    argv.extend(plan.wipe_paths.iter().cloned().chain(others));
    let command = Command { argv, deadline_ms: MEASURE_MS, ..Command::default() };
    let output = node_commands::run(remote, "look what fills the disk", command).await?;
    Ok(parsed(remote.node().name.clone(), &output))
}

fn parsed(node: Arc<str>, output: &str) -> DiskRoom {
    let bytes = |kib: &str| kib.trim().parse::<u64>().unwrap_or(0).saturating_mul(1024);
    let mut lines = output.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (free_bytes, left_bytes) = (bytes(next()), bytes(next()));
    let largest = next().split_once('\t').map(|(kib, path)| (path.to_owned(), bytes(kib)));
    DiskRoom { node, free_bytes, left_bytes, largest, left: lines.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;

    fn end(running: &mut std::process::Child) {
        running.kill().and_then(|()| running.wait()).expect("ended");
    }

    fn idle(base: &std::path::Path) -> Vec<String> {
        let output = std::process::Command::new("/bin/sh").args(["-c", IDLE, "room"]).arg(base).output().expect("sh");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let mut folders: Vec<String> =
            String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect();
        folders.sort();
        folders
    }

    #[test]
    fn only_marked_folders_that_no_process_uses_may_be_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path();
        for made in
            ["services/idle.target", "services/gone.target", "services/idle-2.target", "idle", "idle-2", "pgsql/log"]
        {
            std::fs::create_dir_all(base.join(made)).expect("made");
        }
        let path = |name: &str| base.join(name).to_str().expect("UTF-8").to_owned();
        assert_eq!(idle(base), [path("idle"), path("idle-2")], "a folder without a mark may be anybody's");

        // By its working folder, by a file that it has open (its log), and by its command line.
        let log = std::fs::File::create(base.join("idle/x.log")).expect("a log");
        let mut by_folder = std::process::Command::new("sleep");
        by_folder.arg("60").current_dir(base.join("idle"));
        let mut by_log = std::process::Command::new("sleep");
        by_log.arg("60").current_dir("/").stdout(log);
        let mut by_words = std::process::Command::new("sleep");
        by_words.arg0(format!("{}/server", path("idle"))).arg("60").current_dir("/");
        for mut command in [by_folder, by_log, by_words] {
            let mut running = command.spawn().expect("a process");
            let seen = idle(base);
            end(&mut running);
            assert_eq!(seen, [path("idle-2")], "{command:?}");
        }
        assert_eq!(idle(base), [path("idle"), path("idle-2")]);
        // The agent's own base by another name.
        let link = tempfile::tempdir().expect("a folder");
        let other = link.path().join("base");
        std::os::unix::fs::symlink(base, &other).expect("a link");
        let mut running =
            std::process::Command::new("sleep").arg("60").current_dir(base.join("idle")).spawn().expect("a process");
        let seen = idle(&other);
        end(&mut running);
        assert_eq!(seen, [other.join("idle-2").to_str().expect("UTF-8")]);
    }

    #[test]
    fn what_the_node_tells_is_read() {
        let output = "100\n20480\n40960\t/var/lib/dsfuzz/fill\n/var/lib/dsfuzz/two\n/tmp/two\n";
        let room = parsed("n1".into(), output);
        assert_eq!((room.free_bytes, room.left_bytes), (102_400, 20 << 20));
        assert_eq!(room.left, ["/var/lib/dsfuzz/two", "/tmp/two"]);
        assert_eq!(room.largest, Some(("/var/lib/dsfuzz/fill".to_owned(), 40 << 20)));
        assert_eq!(parsed("n1".into(), "").largest, None);
    }
}
