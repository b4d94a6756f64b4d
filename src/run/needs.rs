//! Missing abilities of nodes: the needs of the target and of the planned faults against each node's abilities. A run can free
//! room on a full disk.
use super::Run;
use super::hosts::Hosts;
use super::reach::unreachable;
use crate::plan::Plan;
use crate::targets::{Deployment, DiskRoom, Target};
use dsfuzz_nemesis::protocol::ability::{self, Ability, NodeSize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Deadline of measuring and wiping a full disk.
const LOOK: Duration = Duration::from_secs(180);

/// Least room in the folder of a node: with less, the target would fail for lack of room and not by a fault.
const FREE_BYTES_MIN: u64 = 128 << 20;
/// The ability that carries the room of the agent's folder.
pub const ROOM: &str = ability::DISK_FREE_BYTES;
/// What a node has whose boot id no other node has; the control node sees it.
pub const KERNEL: &str = "kernel of its own";

/// What needs an ability that no fault needs.
const TARGET: &str = "the target";

/// An ability that a node lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingAbility {
    /// The name of the ability.
    pub need: String,
    /// The kind of fault that needs it; none if the target does.
    pub fault: Option<String>,
    /// The fault or target that needs it, and why the node lacks it.
    pub sentence: String,
}

impl MissingAbility {
    /// Whether more room on the disk would cure it.
    pub fn is_room(&self) -> bool {
        self.need == ROOM
    }
}

/// Missing abilities of the node of this name for the target and the planned faults, one sentence each.
pub fn lacking(plan: &Plan, target: &Target, node: &str, abilities: &[Ability]) -> Vec<MissingAbility> {
    let mut lacking: Vec<MissingAbility> = Vec::new();
    let mut needs = |who: &str, need: &str| {
        if let Some(ability) = abilities.iter().find(|ability| ability.name == need && !ability.able) {
            let sentence = format!("{who} needs {need}: {}", ability.detail);
            let fault = (who != TARGET).then(|| who.to_owned());
            let lack = MissingAbility { need: need.to_owned(), fault, sentence };
            if !lacking.contains(&lack) {
                lacking.push(lack);
            }
        }
    };
    needs(TARGET, ROOM);
    if target.recipe().processes.iter().any(|process| !process.user.is_empty()) {
        needs(TARGET, ability::USERS);
    }
    for facts in plan.nemesis.iter().flat_map(|nemesis| nemesis.kinds()) {
        facts.needs.on(plan.cluster.own_kernel()).iter().for_each(|need| needs(facts.name, need));
    }
    for (facts, need) in plan.nemesis.iter().flat_map(|nemesis| nemesis.more_needs()) {
        needs(facts.name, need);
    }
    let size = NodeSize::of(abilities);
    for (facts, need, why) in plan.nemesis.iter().flat_map(|nemesis| nemesis.beyond(node, &size)) {
        let sentence = format!("{}: {why}", facts.name);
        let lack = MissingAbility { need: need.to_owned(), fault: Some(facts.name.to_owned()), sentence };
        if !lacking.contains(&lack) {
            lacking.push(lack);
        }
    }
    lacking
}

/// The sentence for a node whose kernel is not its own although the plan says so.
pub fn shared_kernel(sharer: &str) -> String {
    format!(
        "the plan says `own_kernel: true`, but this node shares its kernel with {sharer}, and a step of its real clock would reach both; remove `own_kernel`"
    )
}

/// Judges the room that an agent reports.
pub(super) fn with_room(ability: Ability) -> Ability {
    match ability.detail.parse::<u64>() {
        Ok(bytes) if ability.name == ROOM && bytes < FREE_BYTES_MIN => {
            Ability { able: false, detail: full(bytes, ""), ..ability }
        }
        _ => ability,
    }
}

/// Whether a node with a full disk has enough room once a run has removed the data of earlier runs, and the sentence for it.
pub fn after_wipe(room: &DiskRoom) -> (bool, String) {
    let DiskRoom { free_bytes, left_bytes, largest, .. } = room;
    let (free, left) = (mib(*free_bytes), mib(*left_bytes));
    if free_bytes.saturating_add(*left_bytes) >= FREE_BYTES_MIN {
        return (
            true,
            format!(
                "the disk is full ({free} MiB are free); a run first wipes {left} MiB that earlier runs left{}",
                paths(room)
            ),
        );
    }
    let largest = match largest {
        Some((path, bytes)) if *bytes >= 1 << 20 => format!("the largest there is {path} ({} MiB)", mib(*bytes)),
        _ => "it is not filled by what is in that folder".to_owned(),
    };
    (false, full(*free_bytes, &format!("a run would wipe {left} MiB that earlier runs left; {largest}; ")))
}

fn full(free_bytes: u64, more: &str) -> String {
    format!(
        "the disk is full: {} MiB are free where dsfuzz keeps the target's data, and {} MiB are asked for; {more}make room, or \
         name another folder with ssh.dir or exec.dir",
        mib(free_bytes),
        mib(FREE_BYTES_MIN)
    )
}

/// The paths to remove.
fn paths(room: &DiskRoom) -> String {
    if room.left.is_empty() { String::new() } else { format!(" ({})", room.left.join(", ")) }
}

/// Whole mebibytes, for people.
fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// The missing abilities of each node.
async fn needs_of(plan: &Plan, target: &Target, hosts: &Hosts) -> Result<Vec<(Arc<str>, MissingAbility)>, String> {
    let mut all = Vec::new();
    for (node, abilities) in hosts.abilities().await {
        all.extend(lacking(plan, target, &node, &abilities?).into_iter().map(|lack| (node.clone(), lack)));
    }
    let sharers = if plan.cluster.own_kernel() { hosts.kernel_sharers() } else { Vec::new() };
    for (node, sharer) in sharers.into_iter().filter_map(|(node, sharer)| Some((node, sharer?))) {
        all.push((node, MissingAbility { need: KERNEL.to_owned(), fault: None, sentence: shared_kernel(&sharer) }));
    }
    Ok(all)
}

impl Run {
    /// Whether the nodes have the abilities that the plan needs. If only room on a disk is missing, the data of earlier runs are
    /// removed, and the nodes are asked again.
    pub(super) async fn able(&mut self, hosts: &Hosts, deployment: &Deployment) -> bool {
        let (plan, target, progress) = (self.job.plan.clone(), self.target.clone(), self.progress.clone());
        let skips = plan.nemesis.as_ref().is_some_and(|nemesis| nemesis.skip_unable);
        let mut left_out: BTreeMap<String, String> = BTreeMap::new();
        let looking = async {
            let mut lacking = needs_of(&plan, &target, hosts).await?;
            let skipped = |lack: &MissingAbility| skips && lack.fault.is_some();
            if lacking.iter().any(|(_, lack)| lack.is_room())
                && lacking.iter().all(|(_, lack)| lack.is_room() || skipped(lack))
            {
                let full = lacking.iter().filter(|(_, lack)| lack.is_room());
                let full: Vec<Arc<str>> = full.map(|(node, _)| node.clone()).collect();
                for room in deployment.make_room(&full).await.map_err(|error| error.to_string())? {
                    let (free, left) = (mib(room.free_bytes), mib(room.left_bytes));
                    progress.line(&format!(
                        "{}: the disk was full ({free} MiB were free); wiped {left} MiB that earlier runs left{}",
                        room.node,
                        paths(&room)
                    ));
                }
                lacking = needs_of(&plan, &target, hosts).await?;
                for room in deployment.rooms().await.map_err(|error| error.to_string())? {
                    for (_, lack) in lacking.iter_mut().filter(|(node, _)| *node == room.node) {
                        lack.sentence = after_wipe(&room).1;
                    }
                }
            }
            if skips {
                for (node, lack) in &lacking {
                    if let Some(kind) = &lack.fault {
                        left_out.entry(kind.clone()).or_insert_with(|| format!("{node}: {}", lack.sentence));
                    }
                }
                lacking.retain(|(_, lack)| lack.fault.is_none());
            }
            let mut sentences: Vec<String> =
                lacking.iter().map(|(node, lack)| format!("{node}: {}", lack.sentence)).collect();
            // Hosts are reached by SSH at the same address; a command may enter nodes whose network is not this machine's.
            let entered = if plan.cluster.exec.is_some() { hosts.remotes() } else { Vec::new() };
            for remote in entered {
                let node = remote.node();
                let unreachable = unreachable(node.address, &deployment.ports(&node.name)).await;
                sentences.extend(unreachable.map(|sentence| format!("{}: {sentence}", node.name)));
            }
            match sentences.is_empty() {
                true => Ok(()),
                false => Err(format!("{} (`dsfuzz doctor` says more)", sentences.join("; "))),
            }
        };
        let able = self.phases.run("look", LOOK, looking).await.is_some();
        for (kind, why) in &left_out {
            self.progress.line(&format!(
                "{kind} faults are left out (nemesis.skip_unable), so that this run proves less: {why}"
            ));
        }
        self.timetable.faults.retain(|fault| !left_out.contains_key(fault.facts().name));
        self.phases.info.left_out = left_out;
        self.phases.save();
        if !able {
            let why = self.phases.last_problem();
            self.phases.harness_failed(why);
        }
        able
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_a_wipe_makes_is_told_apart_from_a_disk_that_others_filled() {
        let room = |free_bytes: u64, left_bytes: u64, largest: Option<(&str, u64)>| {
            let largest = largest.map(|(path, bytes)| (path.to_owned(), bytes << 20));
            after_wipe(&DiskRoom {
                free_bytes: free_bytes << 20,
                left_bytes: left_bytes << 20,
                largest,
                ..DiskRoom::default()
            })
        };
        let left = vec!["/var/lib/dsfuzz/two".to_owned(), "/var/lib/dsfuzz/redis".to_owned()];
        let (_, words) = after_wipe(&DiskRoom { left_bytes: 1900 << 20, left, ..DiskRoom::default() });
        assert!(
            words.contains("1900 MiB that earlier runs left (/var/lib/dsfuzz/two, /var/lib/dsfuzz/redis)"),
            "{words}"
        );
        let (able, words) = room(3, 1900, None);
        assert!(able && words.contains("3 MiB are free") && words.contains("first wipes 1900 MiB"), "{words}");
        let (able, words) = room(3, 100, Some(("/var/lib/dsfuzz/mine", 1800)));
        assert!(!able && words.contains("the largest there is /var/lib/dsfuzz/mine (1800 MiB)"), "{words}");
        let (able, words) = room(0, 0, None);
        assert!(!able && words.contains("not filled by what is in that folder"), "{words}");
    }
    #[test]
    fn a_node_that_is_too_small_for_a_fault_lacks_what_it_needs() {
        let text = "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkload: register\n\
                    nemesis: {faults: [{cpu: {burn: 100}}, {memory: {limit: 64GB}}]}\n";
        let plan = Plan::from_yaml_str(text).expect("a plan");
        let target = crate::targets::load("etcd", std::path::Path::new("/"), &BTreeMap::new()).expect("etcd");
        let ability =
            |name: &str, detail: &str| Ability { name: name.to_owned(), able: true, detail: detail.to_owned() };
        let small = [ability(ability::CPUS, "2"), ability(ability::MEMORY_BYTES, "8000000000")];
        let sentences: Vec<String> =
            lacking(&plan, &target, "n1", &small).into_iter().map(|lack| lack.sentence).collect();
        assert_eq!(
            sentences,
            [
                "cpu: 100 busy processes on a node with 2 CPUs: at most 8, four for each",
                "memory: 64000000000 bytes are no limit on a node with 8000000000 bytes of memory: name fewer"
            ]
        );
        let large = [ability(ability::CPUS, "32"), ability(ability::MEMORY_BYTES, "80000000000")];
        assert_eq!(lacking(&plan, &target, "n1", &large), []);
    }
}
