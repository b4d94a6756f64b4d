//! [`Services`]: processes that outlive the agent. Each has its own session and, with cgroup2, its own cgroup. Its record is in the
//! agent's folder, so that the next agent finds it.
use crate::burn::Burners;
use crate::cgroup::{self, Cgroup};
use crate::clock::{self, Shift};
use crate::deaths::{self, Deaths, HarnessAction};
use crate::disk::Disks;
use crate::memos::Memos;
use crate::process::BootId;
use crate::restarts::RestartLoops;
use crate::state_dir::{StateDir, write_whole};
use crate::throttle::Throttles;
use crate::{files, launch, process, sys};
use dsfuzz_nemesis::protocol::{Claimant, Death, Response, Service, ServiceState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long processes may take to vanish after SIGKILL.
pub(crate) const VANISHING: Duration = Duration::from_secs(3);
/// Time between two looks at processes that outlive the first process of their service.
const OTHERS: Duration = Duration::from_millis(200);
/// Size of a log from which the room of its older part is released.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// Bytes of its end that stay: as many as are collected.
const LOG_BYTES_KEPT: u64 = 64 << 20;
/// The end of a process that was not seen.
const UNSEEN: &str = "its status is lost";
/// The variable that marks a service's processes without cgroup2.
const MARKER: &str = "DSFUZZ_SERVICE";

/// The first process of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FirstProcess {
    pid: u32,
    start: u64,
    boot_id: BootId,
}

/// The record of a service on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ServiceRecord {
    service: Service,
    first: Option<FirstProcess>,
    #[serde(rename = "leaf")]
    cgroup: Option<PathBuf>,
    #[serde(default)]
    ended: String,
    /// The harness stopped or killed it since its start.
    #[serde(default)]
    asked_to_end: bool,
    /// It was a restart, not the first start.
    #[serde(default)]
    again: bool,
    /// The count of out-of-memory kills at its start.
    #[serde(default)]
    oom_before: u64,
}

/// All services of this node.
pub(crate) struct Services {
    state_dir: StateDir,
    boot_id: BootId,
    cgroups: Option<PathBuf>,
    known: Mutex<BTreeMap<String, ServiceRecord>>,
    deaths: Deaths,
    /// Threads that restart services.
    pub(crate) restart_loops: RestartLoops,
    /// Threads that stop and continue services in turns.
    pub(crate) throttles: Throttles,
    /// Busy processes beside services.
    pub(crate) burners: Burners,
    /// Facts about injections in force that are not in the journal.
    pub(crate) memos: Memos,
    disks: Disks,
}

impl Services {
    /// Reads the records of earlier agents.
    pub(crate) fn open(state_dir: &StateDir) -> Services {
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(state_dir.file("services")).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Ok(text) = fs::read(&path)
            {
                match serde_json::from_slice::<ServiceRecord>(&text) {
                    Ok(kept) => drop(known.insert(kept.service.name.clone(), kept)),
                    Err(error) => state_dir.log(&format!("{}: {error}", path.display())),
                }
            }
        }
        let cgroups = cgroup::root().map(|root| root.join(state_dir.tag()));
        Services {
            state_dir: state_dir.clone(),
            boot_id: BootId::current(),
            cgroups,
            known: Mutex::new(known),
            deaths: Deaths::default(),
            restart_loops: RestartLoops::default(),
            throttles: Throttles::default(),
            burners: Burners::default(),
            memos: Memos::open(state_dir),
            disks: Disks::open(state_dir),
        }
    }

    /// The layers over the folders of their data.
    pub(crate) fn disks(&self) -> &Disks {
        &self.disks
    }

    /// The folder of this agent.
    pub(crate) fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, ServiceRecord>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, name: &str) -> Result<ServiceRecord, String> {
        self.known().get(name).cloned().ok_or_else(|| format!("service {name}: not defined on this node"))
    }

    /// Keeps the record of a service. If the disk fails, this agent still has it, so that a disk filled by the target does not
    /// prevent stopping, wiping and starting it.
    fn keep(&self, kept: ServiceRecord) {
        // The lock is held while writing, so that two changes reach the disk in their order.
        let mut known = self.known();
        self.write(&kept);
        known.insert(kept.service.name.clone(), kept);
    }

    /// Changes the record of a service, if it satisfies `holds`.
    fn change(&self, name: &str, holds: impl FnOnce(&ServiceRecord) -> bool, change: impl FnOnce(&mut ServiceRecord)) {
        let mut known = self.known();
        if let Some(kept) = known.get_mut(name).filter(|kept| holds(kept)) {
            change(kept);
            self.write(kept);
        }
    }

    fn write(&self, kept: &ServiceRecord) {
        let path = self.state_dir.file("services").join(format!("{}.json", kept.service.name));
        let json = serde_json::to_vec_pretty(&kept).map_err(|error| error.to_string());
        if let Err(reason) = json.and_then(|json| write_whole(&path, &json)) {
            self.state_dir.log(&format!("service {}: not kept on disk: {reason}", kept.service.name));
        }
    }

    /// Defines a service or replaces its definition; running processes go on.
    pub(crate) fn define(&self, service: Service) -> Result<(), String> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        if service.name.is_empty() || service.name.len() > 64 || !service.name.chars().all(plain) {
            return Err(format!("service name {:?}: 1 to 64 letters, digits, - and _", service.name));
        }
        if service.argv.is_empty() {
            return Err(format!("service {}: no program", service.name));
        }
        let old = self.kept(&service.name).ok();
        let kept = match old {
            Some(old) => ServiceRecord { service, ..old },
            None => ServiceRecord {
                service,
                first: None,
                cgroup: None,
                ended: String::new(),
                asked_to_end: false,
                again: false,
                oom_before: 0,
            },
        };
        self.keep(kept);
        Ok(())
    }

    /// Whether there is such a service.
    pub(crate) fn defined(&self, name: &str) -> bool {
        self.known().contains_key(name)
    }

    /// Names of all services.
    pub(crate) fn names(&self) -> Vec<String> {
        self.known().keys().cloned().collect()
    }

    /// The service's cgroup, if it has one.
    pub(crate) fn cgroup(&self, name: &str) -> Option<Cgroup> {
        self.kept(name).ok()?.cgroup.and_then(|path| Cgroup::find(&path))
    }

    /// Thaws the service if it is or may be frozen. After an error it may still be frozen.
    pub(crate) fn thaw(&self, name: &str) -> Result<(), String> {
        let Some(path) = self.kept(name).ok().and_then(|kept| kept.cgroup) else { return Ok(()) };
        match Cgroup::find(&path) {
            Some(cgroup) => cgroup.thaw(),
            None if self.processes(name).is_empty() => Ok(()),
            None => Err(format!("cgroup {}: it is no longer there to be thawed", path.display())),
        }
    }

    /// The service's first process, if it lives, with its start.
    pub(crate) fn first_process(&self, name: &str) -> Option<(u32, u64)> {
        let first = self.kept(name).ok()?.first.filter(|first| first.boot_id.is_same_boot(&self.boot_id))?;
        process::lives(first.pid, first.start).then_some((first.pid, first.start))
    }

    /// The service's processes, zombies not counted.
    pub(crate) fn processes(&self, name: &str) -> Vec<u32> {
        let Ok(kept) = self.kept(name) else { return Vec::new() };
        if let Some(cgroup) = kept.cgroup.and_then(|path| Cgroup::find(&path)) {
            let found = cgroup.processes();
            // The kernel leaves out a process whose last thread is ending.
            let ending = self.first_process(name).filter(|_| found.is_empty()).map(|(pid, _)| pid);
            return found.into_iter().chain(ending).collect();
        }
        let marker = self.marker(name);
        let first = kept.first.filter(|first| first.boot_id.is_same_boot(&self.boot_id));
        let of_session = |stat: &process::Stat| {
            first.as_ref().is_some_and(|first| stat.session == first.pid && stat.start >= first.start)
        };
        let me = std::process::id();
        process::all()
            .into_iter()
            .filter(|pid| *pid != me)
            .filter(|pid| {
                process::stat(*pid)
                    .is_some_and(|stat| stat.lives() && (of_session(&stat) || process::has_environment(*pid, &marker)))
            })
            .collect()
    }

    fn marker(&self, name: &str) -> String {
        format!("{MARKER}={}/{name}", self.state_dir.tag())
    }

    /// The end of its first process; empty while it runs.
    pub(crate) fn ended(&self, name: &str) -> String {
        self.kept(name).map(|kept| kept.ended).unwrap_or_default()
    }

    /// Whether the harness has not asked its first process to end.
    pub(crate) fn ended_by_itself(&self, name: &str) -> bool {
        self.kept(name).is_ok_and(|kept| !kept.asked_to_end)
    }

    /// Whether all of the service is stopped or frozen, and not only in turns.
    pub(crate) fn paused(&self, name: &str) -> bool {
        let pids = self.processes(name);
        !pids.is_empty()
            && !self.is_throttled(name)
            && (self.cgroup(name).is_some_and(|cgroup| cgroup.frozen()) || all_stopped(&pids))
    }

    /// The state of every service.
    pub(crate) fn states(&self) -> Vec<ServiceState> {
        let kept: Vec<ServiceRecord> = self.known().values().cloned().collect();
        kept.into_iter()
            .map(|kept| {
                let name = kept.service.name;
                ServiceState { pids: self.processes(&name), paused: self.paused(&name), ended: kept.ended, name }
            })
            .collect()
    }

    /// Starts a stopped service and returns its first process. A running service is left alone. With a shift, it sees that clock
    /// from its first instruction.
    pub(crate) fn start(
        self: &Arc<Services>,
        name: &str,
        again: bool,
        shift: Option<(Shift, i64)>,
    ) -> Result<u32, String> {
        if let Some(pid) = self.processes(name).first() {
            return Ok(self.kept(name)?.first.map_or(*pid, |first| first.pid));
        }
        // The last thread of a killed process may still hold its port.
        if !sys::await_true(VANISHING, || self.cgroup(name).is_none_or(|cgroup| !cgroup.is_populated())) {
            return Err(format!("service {name}: a thread of a process that has ended does not end"));
        }
        self.spawn(name, again, shift)
    }

    /// Starts the first process of a service again, beside others of the service that run.
    pub(crate) fn start_first(self: &Arc<Services>, name: &str, shift: Option<(Shift, i64)>) -> Result<u32, String> {
        match self.first_process(name) {
            Some((pid, _)) => Ok(pid),
            None => self.spawn(name, true, shift),
        }
    }

    fn spawn(self: &Arc<Services>, name: &str, again: bool, shift: Option<(Shift, i64)>) -> Result<u32, String> {
        let mut kept = self.kept(name)?;
        let service = kept.service.clone();
        let argv = if again && !service.restart.is_empty() { &service.restart } else { &service.argv };
        let mut env = service.env.clone();
        env.insert(MARKER.to_owned(), format!("{}/{name}", self.state_dir.tag()));
        let (mut command, ids) = launch::command(argv, &env, &service.cwd, &service.user)
            .map_err(|reason| format!("service {name}: {reason}"))?;
        let log = self.open_log(&service)?;
        let copy = log.try_clone().map_err(|error| format!("{}: {error}", service.log))?;
        command.stdout(log).stderr(copy);
        // Without a cgroup the session and the marker identify the processes.
        let cgroup = self.cgroups.as_ref().and_then(|root| Cgroup::make(&root.join(name)).ok());
        // Before its processes are in, so that their memory is counted.
        let _ = cgroup.as_ref().map(|cgroup| cgroup.enable("memory"));
        let entrance = cgroup.as_ref().and_then(|cgroup| cgroup.entrance().ok());
        let cgroup = cgroup.filter(|_| entrance.is_some());
        // Its turns thaw it by themselves. They may begin or end meanwhile.
        let throttled = self.is_throttled(name);
        let requested = cgroup.as_ref().is_some_and(Cgroup::freeze_requested);
        let paused = requested && !throttled && !self.is_throttled(name);
        // It is empty. A process in a frozen cgroup would never reach its exec.
        let cgroup = cgroup.filter(|cgroup| !paused || cgroup.freeze(false).is_ok());
        let entrance = entrance.filter(|_| cgroup.is_some());
        let traced = shift.is_some();
        sys::set_up(
            &mut command,
            sys::ChildSetup { session: true, cgroup: entrance, ids, traced, dies_with_parent: false },
        );
        let (oom_before, _) = deaths::oom_count(cgroup.as_ref());
        let child = command.spawn().map_err(|error| format!("service {name}: {}: {error}", launch::name(argv)))?;
        let pid = child.id();
        self.deaths.begun(name, pid);
        if let Some((shift, expiry_ns)) = shift
            && let Err(reason) = clock::follow_start(pid, shift, expiry_ns)
        {
            self.state_dir.log(&format!("service {name}: clock not shifted from the start: {reason}"));
        }
        let start = process::stat(pid).map_or(0, |stat| stat.start);
        // It moves itself in before its exec, for which spawn waits. If it is not in, it could not.
        let inside =
            cgroup.as_ref().is_some_and(|cgroup| cgroup.processes().contains(&pid) || !process::lives(pid, start));
        kept.cgroup = self.cgroups.as_ref().filter(|_| inside).map(|root| root.join(name));
        kept.first = Some(FirstProcess { pid, start, boot_id: self.boot_id.clone() });
        kept.ended.clear();
        (kept.asked_to_end, kept.again, kept.oom_before) = (false, again, oom_before);
        self.keep(kept.clone());
        self.watch(kept, child);
        cgroup.filter(|_| paused).map_or(Ok(()), |cgroup| cgroup.freeze(true))?;
        Ok(pid)
    }

    fn log_of(&self, service: &Service) -> PathBuf {
        if service.log.is_empty() {
            self.state_dir.file("services").join(format!("{}.log", service.name))
        } else {
            PathBuf::from(&service.log)
        }
    }

    fn open_log(&self, service: &Service) -> Result<fs::File, String> {
        let log = files::open_to_write(&self.log_of(service), libc::O_CREAT | libc::O_APPEND);
        let log = log.map_err(|reason| format!("log {reason}"))?;
        sys::set_blocking(log.as_raw_fd()).map_err(|error| format!("log {}: {error}", service.log))?;
        Ok(log)
    }

    /// Releases the room of the older part of a large log, so that a target does not fill its disk by it.
    pub(crate) fn bound_logs(&self) {
        let services: Vec<Service> = self.known().values().map(|kept| kept.service.clone()).collect();
        for service in services {
            let path = self.log_of(&service);
            let large =
                |about: fs::Metadata| (about.is_file() && about.blocks() * 512 > LOG_BYTES_MAX).then_some(about.len());
            let Some(size) = fs::symlink_metadata(&path).ok().and_then(large) else { continue };
            let old = i64::try_from(size.saturating_sub(LOG_BYTES_KEPT)).unwrap_or(0);
            let punched = files::open_to_write(&path, 0)
                .and_then(|file| sys::punch_hole(&file, old).map_err(|error| format!("{}: {error}", path.display())));
            if let Err(reason) = punched {
                self.state_dir.log(&format!("log of {} stays large: {reason}", service.name));
            }
        }
    }

    /// Reaps the first process and keeps its end. It waits on a pidfd, since waiting by process id would steal the stops of a
    /// thread that traces it.
    fn watch(self: &Arc<Services>, kept: ServiceRecord, mut child: Child) {
        let services = Arc::clone(self);
        std::thread::spawn(move || {
            let (pid, start) = (child.id(), process::stat(child.id()).map_or(0, |stat| stat.start));
            let alive_ns = await_end(pid, start);
            let Ok(status) = child.wait() else { return };
            services.first_ended(&kept, (pid, start), Some(status), alive_ns);
        });
    }

    /// Keeps the deaths of services for this run, including those from its earlier agents. Watches the first processes that
    /// earlier agents started, and reports those that have ended since. An end that an earlier agent of this run saw but had no
    /// time to keep is reported with its observation.
    pub(crate) fn watch_running(self: &Arc<Services>, run: &Claimant) {
        let resumed = self.deaths.open(&self.state_dir, run);
        let all: Vec<ServiceRecord> = self.known().values().cloned().collect();
        for kept in all {
            let Some(first) = kept.first.clone().filter(|first| first.boot_id.is_same_boot(&self.boot_id)) else {
                continue;
            };
            if !kept.ended.is_empty() && (kept.asked_to_end || !resumed) {
                continue;
            }
            if kept.asked_to_end {
                self.deaths.ask(&kept.service.name, first.pid, HarnessAction::Stop);
            }
            let services = Arc::clone(self);
            std::thread::spawn(move || {
                let alive_ns = await_end(first.pid, first.start);
                services.first_ended(&kept, (first.pid, first.start), None, alive_ns);
            });
        }
    }

    /// The first process of a service has ended. It is the service's death unless the harness asked for it, or others of the
    /// service go on in its place: then their end is waited for.
    fn first_ended(&self, kept: &ServiceRecord, (pid, start): (u32, u64), status: Option<ExitStatus>, alive_ns: u64) {
        let name = kept.service.name.as_str();
        let current = || self.kept(name).ok().filter(|kept| kept.first.as_ref().is_some_and(|first| first.pid == pid));
        let before = Some(kept.ended.clone()).filter(|ended| ended != UNSEEN).unwrap_or_default();
        let how = status.map_or(before, deaths::manner);
        let ended = if how.is_empty() { UNSEEN.to_owned() } else { how.clone() };
        let same = |kept: &ServiceRecord| kept.first.as_ref().is_some_and(|first| first.pid == pid);
        self.change(name, same, |kept| kept.ended.clone_from(&ended));
        let handed_over = status.is_none_or(|status| status.success());
        let (mut earliest_ns, mut latest_ns) = (alive_ns, sys::boottime_ns());
        let mut others = false;
        while handed_over && !self.processes(name).is_empty() {
            (others, earliest_ns) = (true, sys::boottime_ns());
            if current().is_none() {
                return;
            }
            std::thread::sleep(OTHERS);
            latest_ns = sys::boottime_ns();
        }
        // A restart meanwhile does not undo this end.
        if self.deaths.explains(name, pid, status.filter(|_| !others)) {
            return;
        }
        let cgroup = self.cgroup(name);
        let started_ns = deaths::started_ns(start);
        let (oom_kills, oom_of_machine) = deaths::oom_kills(cgroup.as_ref(), kept.oom_before, pid, started_ns);
        self.deaths.note(Death {
            service: name.to_owned(),
            pid,
            start,
            how: if others { String::new() } else { how },
            core: status.is_some_and(|status| status.core_dumped()),
            earliest_ns,
            latest_ns,
            ran_ms: earliest_ns.saturating_sub(started_ns) / 1_000_000,
            again: kept.again,
            oom_kills,
            oom_of_machine,
            log: deaths::last_lines(&self.log_of(&kept.service)),
        });
        self.state_dir.log(&format!("service {name}: process {pid} ended by itself: {ended}"));
    }

    /// The deaths of services, with their traces.
    pub(crate) fn deaths(&self, cores: bool) -> Response {
        let all: Vec<ServiceRecord> = self.known().values().cloned().collect();
        let killed = |kept: &ServiceRecord| {
            let count = self.cgroup(&kept.service.name)?.oom_kills()?;
            Some((kept.service.name.clone(), count.saturating_sub(kept.oom_before)))
        };
        let in_folder = |kept: &ServiceRecord| match kept.service.cwd.as_str() {
            "" | "/" => Vec::new(),
            folder => deaths::core_files(&kept.service.name, Path::new(folder)),
        };
        Response::Deaths {
            deaths: self.deaths.all(),
            oom_kills: all.iter().filter_map(killed).collect(),
            cores: if cores { all.iter().flat_map(in_folder).collect() } else { Vec::new() },
            now_ns: sys::boottime_ns(),
        }
    }

    /// Notes that the harness is about to end a service. If the disk fails, this agent still knows it.
    fn ask_to_end(&self, name: &str, asked: HarnessAction) {
        if let Some(first) = self.kept(name).ok().and_then(|kept| kept.first) {
            self.deaths.ask(name, first.pid, asked);
        }
        self.change(name, |kept| !kept.asked_to_end, |kept| kept.asked_to_end = true);
    }

    /// Notes that the harness is about to end a service by a signal.
    pub(crate) fn ask_to_end_by(&self, name: &str, signal: i32) {
        let asked = if signal == libc::SIGKILL { HarnessAction::Kill } else { HarnessAction::Signal(signal) };
        self.ask_to_end(name, asked);
    }

    /// Waits for the end of a service that the harness has asked to end, and kills what has not ended by then: a process that is
    /// ending would be taken for one that runs. With `all`, of all its processes, else of its first one. Returns what it killed.
    pub(crate) fn see_end(&self, name: &str, all: bool, patience: Duration) -> Result<Vec<u32>, String> {
        if !self.kept(name)?.asked_to_end {
            return Ok(Vec::new());
        }
        let first = || self.first_process(name).map(|(pid, _)| pid).into_iter().collect();
        let left = || if all { self.processes(name) } else { first() };
        if sys::await_true(patience, || left().is_empty()) {
            return Ok(Vec::new());
        }
        let late = left();
        if all {
            self.kill_all(name)?;
        } else {
            late.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGKILL)));
            if !sys::await_true(VANISHING, || left().is_empty()) {
                return Err(format!("service {name}: its first process {late:?} does not die"));
            }
        }
        Ok(late)
    }

    /// Signals a service, waits, kills the processes left, and waits until none is.
    pub(crate) fn stop(&self, name: &str, signal: i32, grace: Duration) -> Result<(), String> {
        self.kept(name)?;
        self.ask_to_end(name, HarnessAction::Stop);
        for pid in self.processes(name) {
            drop(sys::kill(pid, signal));
        }
        if sys::await_true(grace, || self.processes(name).is_empty()) {
            return Ok(());
        }
        self.kill_all(name)
    }

    /// Sends SIGKILL to all processes of a service, for the harness, and does not wait.
    pub(crate) fn begin_kill(&self, name: &str) {
        self.ask_to_end(name, HarnessAction::Kill);
        if !self.cgroup(name).is_some_and(|cgroup| cgroup.kill()) {
            self.processes(name).iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGKILL)));
        }
    }

    /// Kills all processes of a service with SIGKILL, including new ones; returns when none is left.
    pub(crate) fn kill(&self, name: &str) -> Result<(), String> {
        self.kept(name)?;
        self.ask_to_end(name, HarnessAction::Kill);
        self.kill_all(name)
    }

    /// Kills the processes that a signal for all of the service did not end.
    pub(crate) fn kill_rest(&self, name: &str) -> Result<(), String> {
        self.kill_all(name)
    }

    fn kill_all(&self, name: &str) -> Result<(), String> {
        let cgroup = self.cgroup(name);
        let gone = sys::await_true(VANISHING, || {
            let pids = self.processes(name);
            if !pids.is_empty() && !cgroup.as_ref().is_some_and(Cgroup::kill) {
                pids.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGKILL)));
            }
            pids.is_empty() || self.processes(name).is_empty()
        });
        if gone {
            return Ok(());
        }
        Err(format!("service {name}: processes {:?} do not die (in an uninterruptible call?)", self.processes(name)))
    }

    /// Removes the cgroups of services without processes.
    pub(crate) fn sweep(&self) {
        for name in self.names() {
            if let Some(cgroup) = self.cgroup(&name)
                && cgroup.processes().is_empty()
            {
                cgroup.remove();
            }
        }
    }
}

/// Waits until a process has ended; returns the last time at which it was seen alive, on the boot-time clock.
fn await_end(pid: u32, start: u64) -> u64 {
    let end = sys::pidfd(pid);
    let mut alive_ns = deaths::started_ns(start);
    while process::lives(pid, start) {
        alive_ns = sys::boottime_ns();
        match &end {
            Ok(end) => sys::wait_readable(&[end.as_raw_fd()], Duration::from_secs(1)),
            // A kernel before 5.3: look now and then.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    alive_ns
}

/// Whether all these processes are stopped by a signal.
pub(crate) fn all_stopped(pids: &[u32]) -> bool {
    pids.iter().all(|pid| process::stat(*pid).is_none_or(|stat| matches!(stat.state, 'T' | 't')))
}
