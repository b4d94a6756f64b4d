//! [`Memos`]: facts about injections in force that are not in the undo journal. Files keep those that the next agent or the guardian needs.
use crate::state_dir::StateDir;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::ops::Deref;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of each file. They are allocated when it is made, so that a full disk does not stop a change.
const FILE_BYTES: usize = 32 << 10;

/// Facts about injections in force.
pub(crate) struct Memos {
    state_dir: StateDir,
    stopped: Mutex<OnDisk<Stopped>>,
    commands: Mutex<OnDisk<BTreeSet<String>>>,
    seen: Mutex<BTreeSet<(u64, String)>>,
}

/// The custom faults, by name, that have stopped a service and start it after their commands.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Stopped(BTreeMap<String, BTreeSet<String>>);

impl Stopped {
    /// Whether a custom fault has stopped this service.
    pub(crate) fn contains(&self, service: &str) -> bool {
        self.0.get(service).is_some_and(|faults| !faults.is_empty())
    }
}

/// A value that a file keeps beyond the death of the agent. It is not synced: after a loss of power none of it matters.
pub(crate) struct OnDisk<T> {
    file: Option<File>,
    value: T,
}

impl<T> Deref for OnDisk<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Default + Serialize + DeserializeOwned> OnDisk<T> {
    /// Reads the file; the value is the default where it cannot be read. Says why the file does not keep it.
    fn open(path: &Path) -> (OnDisk<T>, Option<String>) {
        let say = |error: &dyn std::fmt::Display| Some(format!("{}: {error}", path.display()));
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path);
        let (file, bytes) = match open.and_then(|file| Ok((read(&file)?, file))) {
            Ok((bytes, file)) => (Some(file), bytes),
            Err(error) => return (OnDisk { file: None, value: T::default() }, say(&error)),
        };
        let json = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        match json {
            [] => (OnDisk { file, value: T::default() }, None),
            json => match serde_json::from_slice(json) {
                Ok(value) => (OnDisk { file, value }, None),
                Err(error) => (OnDisk { file, value: T::default() }, say(&error)),
            },
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut T)) -> Result<(), String> {
        change(&mut self.value);
        let mut json = serde_json::to_vec(&self.value).map_err(|error| error.to_string())?;
        json.push(0);
        if json.len() > FILE_BYTES {
            return Err(format!("{} bytes do not fit", json.len()));
        }
        self.file.as_ref().map_or(Ok(()), |file| file.write_all_at(&json, 0)).map_err(|error| error.to_string())
    }
}

/// All of a file, whose room is allocated.
fn read(file: &File) -> std::io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    if size < FILE_BYTES {
        file.write_all_at(&vec![0; FILE_BYTES - size], size as u64)?;
    }
    let mut bytes = vec![0; FILE_BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memos {
    /// Reads the memos of earlier agents.
    pub(crate) fn open(state_dir: &StateDir) -> Memos {
        let (stopped, no_stopped) = OnDisk::open(&state_dir.file("stopped"));
        let (commands, no_commands) = OnDisk::open(&state_dir.file("commands"));
        no_stopped.into_iter().chain(no_commands).for_each(|reason| state_dir.log(&format!("memos: {reason}")));
        let (stopped, commands) = (Mutex::new(stopped), Mutex::new(commands));
        Memos { state_dir: state_dir.clone(), stopped, commands, seen: Mutex::default() }
    }

    fn log(&self, kept: Result<(), String>) {
        if let Err(reason) = kept {
            self.state_dir.log(&format!("memos: not kept on disk: {reason}"));
        }
    }

    /// While this is held, no custom fault begins to stop a service.
    pub(crate) fn stopped(&self) -> MutexGuard<'_, OnDisk<Stopped>> {
        lock(&self.stopped)
    }

    /// From now on a custom fault keeps these services stopped.
    pub(crate) fn stop(&self, fault: &str, services: &[String]) {
        let kept = self.stopped().change(|stopped| {
            for service in services {
                stopped.0.entry(service.clone()).or_default().insert(fault.to_owned());
            }
        });
        self.log(kept);
    }

    /// From now on it does not.
    pub(crate) fn go_on(&self, fault: &str, services: &[String]) {
        let kept = self.stopped().change(|stopped| {
            for service in services {
                if let Some(faults) = stopped.0.get_mut(service) {
                    faults.remove(fault);
                }
            }
            stopped.0.retain(|_, faults| !faults.is_empty());
        });
        self.log(kept);
    }

    /// Only these custom faults are in force.
    pub(crate) fn in_force(&self, names: &BTreeSet<&str>) {
        let kept = self.stopped().change(|stopped| {
            stopped.0.values_mut().for_each(|faults| faults.retain(|fault| names.contains(fault.as_str())));
            stopped.0.retain(|_, faults| !faults.is_empty());
        });
        self.log(kept);
    }

    /// Whether this custom fault keeps a service stopped.
    pub(crate) fn is_stopped_by(&self, fault: &str, service: &str) -> bool {
        self.stopped().0.get(service).is_some_and(|faults| faults.contains(fault))
    }

    /// A command of a custom fault with this mark is about to run.
    pub(crate) fn command_begins(&self, mark: &str) {
        let kept = lock(&self.commands).change(|marks| {
            marks.insert(mark.to_owned());
        });
        self.log(kept);
    }

    /// It has ended.
    pub(crate) fn command_ended(&self, mark: &str) {
        let kept = lock(&self.commands).change(|marks| {
            marks.remove(mark);
        });
        self.log(kept);
    }

    /// The marks of commands that have not ended.
    pub(crate) fn commands(&self) -> BTreeSet<String> {
        lock(&self.commands).clone()
    }

    /// The injection of this number is new.
    pub(crate) fn begin(&self, seq: u64) {
        self.seen().retain(|(other, _)| *other != seq);
    }

    /// The injection of this number was seen in force on processes of a service.
    pub(crate) fn see(&self, seq: u64, service: &str) {
        self.seen().insert((seq, service.to_owned()));
    }

    /// Whether it was.
    pub(crate) fn saw(&self, seq: u64, service: &str) -> bool {
        self.seen().contains(&(seq, service.to_owned()))
    }

    fn seen(&self) -> MutexGuard<'_, BTreeSet<(u64, String)>> {
        lock(&self.seen)
    }
}
