//! Limits the memory or the open files of the processes of some services: by `memory.max` of their cgroup, else by the soft limits
//! of each process. The undo writes the soft limits of before, and starts a service again that ended in the fault.
//!
//! A process that comes during the fault gets the limit of those before it. Its undo gives it the limit that they had before.
use super::{Context, Inject, kill, new_proof, note};
use crate::abilities;
use crate::cgroup::Cgroup;
use crate::journal::UndoEntry;
use crate::service::Services;
use crate::sys::{self, Limited};
use crate::{limits, process};
use dsfuzz_nemesis::protocol::{Injection, LimitedGroup, LimitedProcess, Proof, ResourceLimit};
use std::time::Duration;

/// Time between the two looks of a proof at what a process uses.
const BETWEEN: Duration = Duration::from_millis(50);
/// How long processes may take to get their limits back.
const LIFTING: Duration = Duration::from_secs(3);
/// With this number of further open files or fewer, a limit is felt however little it takes.
const FEW_FREE: u64 = 256;
const MAX: &str = "memory.max";

/// Limits a resource of these services.
pub(super) struct Limit<'a> {
    pub(super) services: &'a [String],
    pub(super) limit: ResourceLimit,
    pub(super) picked: &'a [LimitedProcess],
    pub(super) groups: &'a [LimitedGroup],
    pub(super) injection: &'a Injection,
}

impl Limit<'_> {
    fn what(&self) -> Limited {
        if self.limit.is_of_memory() { Limited::Data } else { Limited::Files }
    }

    /// The soft limit that a process gets; none if it is gone.
    fn wanted(&self, pid: u32) -> Result<Option<u64>, String> {
        let unreadable = |what: &str| match process::stat(pid).is_some_and(|stat| stat.lives()) {
            true => Err(format!("process {pid}: its {what} cannot be read")),
            false => Ok(None),
        };
        match self.limit {
            ResourceLimit::Memory(bytes) => Ok(Some(bytes)),
            ResourceLimit::Descriptors(count) => Ok(Some(count)),
            ResourceLimit::MemoryHeadroom(room) => match limits::data_bytes(pid) {
                Some(bytes) => Ok(Some(bytes.saturating_add(room))),
                None => unreadable("memory"),
            },
            ResourceLimit::SpareDescriptors(spare) => match process::open_files(pid) {
                Some(open) => Ok(Some(limits::files_with_spare(&open, spare))),
                None => unreadable("open files"),
            },
        }
    }

    /// The cgroup of a service, if it can limit this resource. A cgroup that got its controller after its processes does not count what
    /// they have, so that its limit would take nothing from them.
    fn group(&self, name: &str, services: &Services) -> Option<Cgroup> {
        let cgroup = services.cgroup(name).filter(|_| self.limit.is_of_memory())?;
        let counted: u64 = cgroup.get("memory.current").parse().ok()?;
        let resident = |pid: &u32| process::status_number(*pid, "RssAnon");
        let resident_kib: u64 = services.processes(name).iter().filter_map(resident).sum();
        (counted >= resident_kib.saturating_mul(1024) / 2).then_some(cgroup)
    }

    fn of<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b LimitedProcess> {
        self.picked.iter().filter(move |process| process.service == name)
    }

    /// The soft limit of a process of this service in the fault, and the one of before.
    fn known(&self, name: &str, pid: u32) -> Option<(u64, u64)> {
        let same = |process: &&LimitedProcess| process.pid == pid && process::lives(pid, process.start);
        if let Some(process) = self.of(name).find(same) {
            return Some((process.limit, process.before));
        }
        let limit = self.of(name).map(|process| process.limit).max()?;
        Some((limit, self.of(name).map(|process| process.before).max()?))
    }

    /// Processes of a service whose soft limit is not lowered.
    fn beyond(&self, name: &str, services: &Services) -> Vec<(u32, u64)> {
        let higher = |pid: u32| {
            let (limit, _) = self.known(name, pid)?;
            limits::soft(pid, self.what()).is_some_and(|soft| soft > limit).then_some((pid, limit))
        };
        services.processes(name).into_iter().filter_map(higher).collect()
    }

    /// What a process uses beyond its limit: bytes, or files with a number that is not below it.
    fn excess(&self, pid: u32, limit: u64) -> u64 {
        match self.what() {
            Limited::Data => limits::data_bytes(pid).unwrap_or(0).saturating_sub(limit),
            Limited::Files => process::open_files(pid).map_or(0, |open| open.range(limit..).count() as u64),
        }
    }

    /// The reason why nothing feels this limit of memory. A soft limit is of virtual memory, which may be more than the node has.
    fn unfelt_memory(&self) -> Option<String> {
        self.groups.iter().find_map(|group| abilities::size().too_roomy(group.limit))
    }

    /// The reason why nothing feels this limit of open files: many stay free for each process of the service, and it takes a tenth of them
    /// or fewer.
    fn unfelt_files(&self, name: &str) -> Option<String> {
        let ResourceLimit::Descriptors(_) = self.limit else { return None };
        let counts = self.of(name).filter_map(|process| {
            let open = process::open_files(process.pid)?.len() as u64;
            Some((open, process.before.saturating_sub(open), process.before.saturating_sub(process.limit)))
        });
        let counts: Vec<(u64, u64, u64)> = counts.collect();
        let (open, free, _) = *counts.first()?;
        let felt = counts.iter().any(|(_, free, taken)| {
            *taken > 0 && (taken.saturating_mul(10) > *free || free.saturating_sub(*taken) <= FEW_FREE)
        });
        (!felt).then(|| {
            format!(
                "service {name}: a process with {open} open files can open {free} more, and nothing feels a limit that takes a \
                 tenth of them or fewer: name at most {}, or `spare`",
                open + (free - free / 10).saturating_sub(1)
            )
        })
    }

    fn uses(&self, pid: u32) -> String {
        match self.what() {
            Limited::Data => format!("{} bytes of data", limits::data_bytes(pid).unwrap_or(0)),
            Limited::Files => format!("{} open files", process::open_files(pid).map_or(0, |open| open.len())),
        }
    }

    /// A service without a process was limited until its end, unless something else ended it.
    fn prove_ended(&self, seq: u64, name: &str, context: &Context<'_>, proof: &mut Proof) {
        let (holds, detail) = match kill::dead_for(name, context) {
            Some(fault) => (false, format!("fault {fault} has ended its processes")),
            None if !context.services.ended_by_itself(name) => {
                (false, "the harness has ended its processes".to_owned())
            }
            None if !context.services.memos.saw(seq, name) => {
                (false, "its processes ended before any was seen limited".to_owned())
            }
            None => (true, "its processes ended while they were limited".to_owned()),
        };
        note(proof, holds, format!("service {name}: {detail}"));
    }

    fn prove_group(&self, group: &LimitedGroup, context: &Context<'_>, proof: &mut Proof) {
        let name = &group.service;
        let file = |file| context.services.cgroup(name).map(|cgroup| cgroup.get(file)).unwrap_or_default();
        // The kernel rounds a limit down to whole pages.
        let limited = file(MAX).parse::<u64>().is_ok_and(|read| read <= group.limit);
        let used = file("memory.current");
        let within = used.parse::<u64>().is_ok_and(|used| used <= group.limit);
        note(proof, limited && within, format!("service {name}: {MAX} is {}, and {used} bytes are used", file(MAX)));
    }

    fn prove_processes(&self, name: &str, pids: Vec<u32>, proof: &mut Proof) {
        let limited: Vec<(u32, u64, u64)> = pids
            .into_iter()
            .filter_map(|pid| self.known(name, pid).map(|(limit, before)| (pid, limit, before)))
            .collect();
        let excess = |(pid, limit, _): &(u32, u64, u64)| self.excess(*pid, *limit);
        let first: Vec<u64> = limited.iter().map(excess).collect();
        std::thread::sleep(BETWEEN);
        for ((pid, limit, before), first) in limited.into_iter().zip(first) {
            let Some(soft) = limits::soft(pid, self.what()) else { continue };
            let grew = self.excess(pid, limit) > first;
            let detail = format!(
                "service {name}: process {pid} is limited to {} ({} before) and has {}{}",
                limits::words(soft),
                limits::words(before),
                self.uses(pid),
                if grew { ", which grew beyond its limit" } else { "" }
            );
            note(proof, soft <= limit && !grew, detail);
        }
    }

    /// Gives processes of a service their limits back; those that are still limited.
    fn lift(&self, name: &str, context: &Context<'_>) -> Vec<u32> {
        let mut low: Vec<(u32, u64)> = Vec::new();
        sys::await_true(LIFTING, || {
            let limited = |pid: &u32| {
                let (limit, before) = self.known(name, *pid)?;
                // A process may have set its own limit since.
                let soft = limits::soft(*pid, self.what())?;
                let ours = self.of(name).any(|process| process.limit == soft);
                (ours && limit < before).then_some((*pid, before))
            };
            low = context.services.processes(name).iter().filter_map(limited).collect();
            low.iter().for_each(|(pid, before)| drop(limits::set(*pid, self.what(), *before)));
            low.is_empty()
        });
        low.into_iter().map(|(pid, _)| pid).collect()
    }

    fn lift_processes(&self, name: &str, context: &Context<'_>, proof: &mut Proof) {
        let left = self.lift(name, context);
        if !left.is_empty() {
            return note(proof, false, format!("service {name}: processes {left:?} are still limited"));
        }
        for pid in context.services.processes(name) {
            let soft = limits::soft(pid, self.what()).map(limits::words).unwrap_or_default();
            note(proof, true, format!("service {name}: process {pid} is limited to {soft}"));
        }
    }

    fn lift_group(&self, name: &str, context: &Context<'_>, proof: &mut Proof) {
        let Some(cgroup) = context.services.cgroup(name) else { return };
        let lifted = cgroup.set(MAX, "max");
        let read = cgroup.get(MAX);
        let detail = lifted.err().unwrap_or_else(|| format!("{MAX} is {read}"));
        note(proof, read == "max", format!("service {name}: {detail}"));
    }

    /// Starts services again that ended in the fault and that no other fault keeps dead.
    fn revive(&self, context: &Context<'_>, proof: &mut Proof) {
        let dead = |name: &&String| context.services.processes(name).is_empty();
        let dead: Vec<String> = self.services.iter().filter(dead).cloned().collect();
        if dead.is_empty() {
            return;
        }
        let started = kill::to_start(&dead, context, proof);
        // A process that still ends holds its ports.
        let ends = |name: &str| {
            let picked = self.of(name).any(|process| process::lives(process.pid, process.start));
            picked || context.services.first_process(name).is_some()
        };
        sys::await_true(LIFTING, || !started.iter().any(|name| ends(name)));
        kill::start_again(&started, context, proof);
    }
}

impl Inject for Limit<'_> {
    fn bound(&self, context: &Context<'_>) -> Result<Option<Injection>, String> {
        let (mut processes, mut limited_groups) = (Vec::new(), Vec::new());
        for name in self.services {
            if let Some(cgroup) = self.group(name, context.services) {
                let limit = match self.limit {
                    ResourceLimit::MemoryHeadroom(room) => {
                        let kept = limits::kept_bytes(&cgroup.get("memory.current"), &cgroup.get("memory.stat"));
                        kept.ok_or_else(|| format!("service {name}: its memory.current is not read"))?
                            .saturating_add(room)
                    }
                    ResourceLimit::Memory(limit)
                    | ResourceLimit::Descriptors(limit)
                    | ResourceLimit::SpareDescriptors(limit) => limit,
                };
                limited_groups.push(LimitedGroup { service: name.clone(), limit });
                continue;
            }
            for pid in context.services.processes(name) {
                let (Some(stat), Some(before)) = (process::stat(pid), limits::soft(pid, self.what())) else { continue };
                let Some(wanted) = self.wanted(pid)? else { continue };
                let limit = wanted.min(before);
                processes.push(LimitedProcess { service: name.clone(), pid, start: stat.start, before, limit });
            }
        }
        let mut injection = self.injection.clone();
        if let Injection::LimitResource { picked, groups, .. } = &mut injection {
            (*picked, *groups) = (processes, limited_groups);
        }
        Ok(Some(injection))
    }

    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        let same = |injection: &Injection| match injection {
            Injection::LimitResource { services, limit, .. } => {
                limit.is_of_memory() == self.limit.is_of_memory()
                    && services.iter().any(|name| self.services.contains(name))
            }
            _ => false,
        };
        if let Some(other) = context.others.iter().find(|other| same(&other.injection)) {
            return Some(format!("fault {} limits the same processes already", other.fault));
        }
        if let Some(name) = self.services.iter().find(|name| context.services.processes(name).is_empty()) {
            return Some(format!("service {name}: it does not run, so it cannot be limited"));
        }
        if let Some(reason) = self.unfelt_memory() {
            return Some(reason);
        }
        let lowers = |name: &String| {
            self.groups.iter().any(|group| group.service == *name)
                || self.of(name).any(|process| process.limit < process.before)
        };
        if let Some(bare) = self.services.iter().find(|name| !lowers(name)) {
            let now = self.of(bare).map(|process| limits::words(process.before)).next().unwrap_or_default();
            return Some(format!("service {bare}: its limit is {now} already, so that this one would change nothing"));
        }
        self.services.iter().find_map(|name| self.unfelt_files(name))
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        context.services.memos.begin(entry.seq);
        let mut detail = Vec::new();
        for group in self.groups {
            let cgroup = context.services.cgroup(&group.service);
            cgroup
                .ok_or_else(|| format!("service {}: its cgroup is gone", group.service))
                .and_then(|cgroup| cgroup.set(MAX, &group.limit.to_string()))?;
            detail.push(format!("service {}: {MAX} is {}", group.service, group.limit));
        }
        for process in self.picked.iter().filter(|process| process::lives(process.pid, process.start)) {
            limits::set(process.pid, self.what(), process.limit)?;
            detail
                .push(format!("service {}: process {} is limited to {}", process.service, process.pid, process.limit));
        }
        self.follow(context.services)?;
        Ok(detail)
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        if let Err(reason) = self.follow(context.services) {
            note(&mut proof, false, reason);
        }
        for name in self.services {
            let pids = context.services.processes(name);
            if pids.is_empty() {
                self.prove_ended(entry.seq, name, context, &mut proof);
                continue;
            }
            let mut seen = new_proof();
            match self.groups.iter().find(|group| group.service == *name) {
                None => self.prove_processes(name, pids, &mut seen),
                Some(group) => self.prove_group(group, context, &mut seen),
            }
            if seen.holds && !seen.detail.is_empty() {
                context.services.memos.see(entry.seq, name);
            }
            proof.holds &= seen.holds;
            proof.detail.extend(seen.detail);
        }
        proof
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        for name in self.services {
            match self.groups.iter().any(|group| group.service == *name) {
                true => self.lift_group(name, context, &mut proof),
                false => self.lift_processes(name, context, &mut proof),
            }
        }
        self.revive(context, &mut proof);
        proof
    }

    fn is_kept(&self) -> bool {
        true
    }

    fn follow(&self, services: &Services) -> Result<(), String> {
        let mut failed = Vec::new();
        for name in self.services {
            for (pid, limit) in self.beyond(name, services) {
                failed.extend(limits::set(pid, self.what(), limit).err());
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }
}
