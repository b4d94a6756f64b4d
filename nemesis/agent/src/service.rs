//! [`Services`]: processes that outlive the agent. Each has its own session and, where there is cgroup2, its own leaf; what
//! is known of it is kept in the agent's folder, so that the next agent finds it again.
use crate::clock::{self, Shift};
use crate::leaf::{self, Leaf};
use crate::place::{Place, write_whole};
use crate::{launch, process, sys};
use dsfuzz_nemesis::protocol::{Service, ServiceState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long processes may take to vanish after SIGKILL.
const VANISHING: Duration = Duration::from_secs(3);
/// The variable by which a service's processes are recognised where there is no cgroup2.
const MARKER: &str = "DSFUZZ_SERVICE";

/// The first process of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct First {
    pid: u32,
    start: u64,
    boot_id: String,
}

/// What is kept of a service on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    service: Service,
    first: Option<First>,
    leaf: Option<PathBuf>,
    #[serde(default)]
    ended: String,
}

/// All services of this node.
pub(crate) struct Services {
    place: Place,
    boot_id: String,
    leaves: Option<PathBuf>,
    known: Mutex<BTreeMap<String, Kept>>,
}

impl Services {
    /// Reads what earlier agents kept.
    pub(crate) fn open(place: &Place) -> Services {
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(place.file("services")).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Ok(text) = fs::read(&path)
            {
                match serde_json::from_slice::<Kept>(&text) {
                    Ok(kept) => drop(known.insert(kept.service.name.clone(), kept)),
                    Err(error) => place.log(&format!("{}: {error}", path.display())),
                }
            }
        }
        let leaves = leaf::root().map(|root| root.join(place.tag()));
        Services { place: place.clone(), boot_id: process::boot_id(), leaves, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, name: &str) -> Result<Kept, String> {
        self.known().get(name).cloned().ok_or_else(|| format!("service {name}: not defined on this node"))
    }

    fn keep(&self, kept: Kept) -> Result<(), String> {
        let json = serde_json::to_vec_pretty(&kept).map_err(|error| error.to_string())?;
        let path = self.place.file("services").join(format!("{}.json", kept.service.name));
        // The lock is held while writing, so that two changes reach the disk in their order.
        let mut known = self.known();
        write_whole(&path, &json)?;
        known.insert(kept.service.name.clone(), kept);
        Ok(())
    }

    /// Defines a service or replaces its definition; what runs goes on.
    pub(crate) fn define(&self, service: Service) -> Result<(), String> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        if service.name.is_empty() || service.name.len() > 64 || !service.name.chars().all(plain) {
            return Err(format!("service name {:?}: 1 to 64 letters, digits, - and _", service.name));
        }
        if service.argv.is_empty() {
            return Err(format!("service {}: no program", service.name));
        }
        let old = self.kept(&service.name).ok();
        let (first, leaf, ended) = old.map_or((None, None, String::new()), |old| (old.first, old.leaf, old.ended));
        self.keep(Kept { service, first, leaf, ended })
    }

    /// Whether there is such a service.
    pub(crate) fn defined(&self, name: &str) -> bool {
        self.known().contains_key(name)
    }

    /// Names of all services.
    pub(crate) fn names(&self) -> Vec<String> {
        self.known().keys().cloned().collect()
    }

    /// The service's leaf, where it has one.
    pub(crate) fn leaf(&self, name: &str) -> Option<Leaf> {
        self.kept(name).ok()?.leaf.and_then(|path| Leaf::find(&path))
    }

    /// The service's processes, zombies not counted.
    pub(crate) fn processes(&self, name: &str) -> Vec<u32> {
        let Ok(kept) = self.kept(name) else { return Vec::new() };
        if let Some(leaf) = kept.leaf.and_then(|path| Leaf::find(&path)) {
            return leaf.processes();
        }
        let marker = self.marker(name);
        let first = kept.first.filter(|first| first.boot_id == self.boot_id);
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
        format!("{MARKER}={}/{name}", self.place.tag())
    }

    /// Whether all of the service is stopped or frozen.
    pub(crate) fn paused(&self, name: &str) -> bool {
        let pids = self.processes(name);
        !pids.is_empty() && (self.leaf(name).is_some_and(|leaf| leaf.frozen()) || all_stopped(&pids))
    }

    /// The state of every service.
    pub(crate) fn states(&self) -> Vec<ServiceState> {
        let kept: Vec<Kept> = self.known().values().cloned().collect();
        kept.into_iter()
            .map(|kept| {
                let name = kept.service.name;
                ServiceState { pids: self.processes(&name), paused: self.paused(&name), ended: kept.ended, name }
            })
            .collect()
    }

    /// Starts a service that does not run; gives its first process. One that runs is left alone. With a shift, it sees
    /// that clock from its first instruction.
    pub(crate) fn start(
        self: &Arc<Services>,
        name: &str,
        again: bool,
        shift: Option<(Shift, i64)>,
    ) -> Result<u32, String> {
        let mut kept = self.kept(name)?;
        if let Some(pid) = self.processes(name).first() {
            return Ok(kept.first.map_or(*pid, |first| first.pid));
        }
        let service = kept.service.clone();
        let argv = if again && !service.restart.is_empty() { &service.restart } else { &service.argv };
        let mut env = service.env.clone();
        env.insert(MARKER.to_owned(), format!("{}/{name}", self.place.tag()));
        let (mut command, ids) = launch::command(argv, &env, &service.cwd, &service.user)
            .map_err(|reason| format!("service {name}: {reason}"))?;
        let log = self.open_log(&service)?;
        let copy = log.try_clone().map_err(|error| format!("{}: {error}", service.log))?;
        command.stdout(log).stderr(copy);
        // A leaf that cannot be made is no reason not to start: the session and the marker serve instead.
        let leaf = self.leaves.as_ref().and_then(|root| Leaf::make(&root.join(name)).ok());
        kept.leaf = self.leaves.as_ref().filter(|_| leaf.is_some()).map(|root| root.join(name));
        let paused = leaf.as_ref().filter(|leaf| leaf.told_to_freeze());
        // Nothing is in it; what is started in a frozen leaf would never reach its exec.
        paused.map_or(Ok(()), |leaf| leaf.freeze(false))?;
        let entrance = leaf.as_ref().map(Leaf::entrance).transpose()?;
        let traced = shift.is_some();
        sys::born(&mut command, sys::Birth { session: true, leaf: entrance, ids, traced, dies_with_parent: false });
        let child = command.spawn().map_err(|error| format!("service {name}: {}: {error}", launch::name(argv)))?;
        let pid = child.id();
        if let Some((shift, expiry_ns)) = shift
            && let Err(reason) = clock::follow_start(pid, shift, expiry_ns)
        {
            self.place.log(&format!("service {name}: clock not shifted from the start: {reason}"));
        }
        let start = process::stat(pid).map_or(0, |stat| stat.start);
        kept.first = Some(First { pid, start, boot_id: self.boot_id.clone() });
        kept.ended.clear();
        let written = self.keep(kept);
        self.watch(name, child);
        paused.map_or(Ok(()), |leaf| leaf.freeze(true))?;
        written.map(|()| pid)
    }

    fn open_log(&self, service: &Service) -> Result<fs::File, String> {
        let path = if service.log.is_empty() {
            self.place.file("services").join(format!("{}.log", service.name))
        } else {
            PathBuf::from(&service.log)
        };
        let say = |error| format!("log {}: {error}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(say)?;
        }
        OpenOptions::new().create(true).append(true).open(&path).map_err(say)
    }

    /// Reaps the first process when it ends and remembers how. It waits on a pidfd: waiting by process id would steal the
    /// stops of a thread that traces it.
    fn watch(self: &Arc<Services>, name: &str, mut child: Child) {
        let (services, name) = (Arc::clone(self), name.to_owned());
        std::thread::spawn(move || {
            let pid = child.id();
            match sys::pidfd(pid) {
                Ok(end) => sys::wait_readable(&[end.as_raw_fd()], Duration::from_secs(1 << 20)),
                // A kernel before 5.3: look now and then.
                Err(_) => {
                    while process::stat(pid).is_some_and(|stat| stat.lives()) {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            }
            let Ok(status) = child.wait() else { return };
            let ended = match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => String::new(),
            };
            services.ended(&name, pid, ended);
        });
    }

    fn ended(&self, name: &str, pid: u32, ended: String) {
        let kept = self.kept(name).ok().filter(|kept| kept.first.as_ref().is_some_and(|first| first.pid == pid));
        if let Some(mut kept) = kept {
            kept.ended = ended;
            drop(self.keep(kept));
        }
    }

    /// Signals a service, waits, kills what is left, and waits until nothing is.
    pub(crate) fn stop(&self, name: &str, signal: i32, grace: Duration) -> Result<(), String> {
        self.kept(name)?;
        for pid in self.processes(name) {
            drop(sys::kill(pid, signal));
        }
        if sys::await_true(grace, || self.processes(name).is_empty()) {
            return Ok(());
        }
        self.kill(name)
    }

    /// Kills all of a service with SIGKILL, those too that are born meanwhile; returns when none is left.
    pub(crate) fn kill(&self, name: &str) -> Result<(), String> {
        self.kept(name)?;
        let leaf = self.leaf(name);
        let gone = sys::await_true(VANISHING, || {
            let pids = self.processes(name);
            if !pids.is_empty() && !leaf.as_ref().is_some_and(Leaf::kill) {
                pids.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGKILL)));
            }
            pids.is_empty() || self.processes(name).is_empty()
        });
        if gone {
            return Ok(());
        }
        Err(format!("service {name}: processes {:?} do not die (in an uninterruptible call?)", self.processes(name)))
    }

    /// Removes the leaves of services that have no process.
    pub(crate) fn sweep(&self) {
        for name in self.names() {
            if let Some(leaf) = self.leaf(&name)
                && leaf.processes().is_empty()
            {
                leaf.remove();
            }
        }
    }
}

/// Whether all these processes are stopped by a signal.
pub(crate) fn all_stopped(pids: &[u32]) -> bool {
    pids.iter().all(|pid| process::stat(*pid).is_none_or(|stat| matches!(stat.state, 'T' | 't')))
}
