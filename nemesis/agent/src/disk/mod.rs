//! [`Disks`]: the layers over the folders in which targets keep their data. A layer is a file system of ours (FUSE) between the target
//! and its folder, so that data that are not synced can be lost, and calls can fail.
//!
//! A layer outlives the agent, as the services do. Its record is in the agent's folder before it is mounted, so that the next
//! agent finds it. Never: a layer over a folder that holds the agent's own files.
mod control;
mod damage;
mod effects;
mod filesystem;
mod loss;
mod mount;
mod node;
mod process;
mod tree;

pub(crate) use self::control::{DamageOrder, LayerStatus, PowerLossOrder, PowerLossRecord};
pub(crate) use self::process::{keep, serve};
pub(crate) use self::tree::PROBE;

use self::control::LayerRequest;
use crate::process as processes;
use crate::state_dir::{StateDir, write_whole};
use crate::sys;
use dsfuzz_nemesis::protocol::{DiskEffect, DiskFolder};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a layer may take until it answers.
const STARTING: Duration = Duration::from_secs(10);
/// How long a layer without users may take to end.
const ENDING: Duration = Duration::from_secs(5);
/// A path to a socket cannot be longer.
const SOCKET_PATH_MAX: usize = 107;

/// The begin of the name of a scratch folder.
const SCRATCH: &str = "probe-";

/// A process by its id and start.
type ProcessKey = (u32, u64);

/// The record of a layer on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LayerRecord {
    folder: PathBuf,
    /// Files that are always safe: logs that the harness reads.
    exempt: Vec<String>,
    keeper: Option<ProcessKey>,
    layer: Option<ProcessKey>,
    /// Services that were killed because the layer had died, and that are not started again yet.
    #[serde(default)]
    killed: Vec<String>,
}

impl LayerRecord {
    /// Whether the layer has died, or is no longer mounted.
    fn is_dead(&self) -> bool {
        let Some((pid, start)) = self.layer else { return false };
        !processes::lives(pid, start) || mount::is_bare(&self.folder)
    }
}

/// The files of a layer in the agent's folder.
struct LayerFiles {
    base: PathBuf,
}

impl LayerFiles {
    fn of(state_dir: &StateDir, folder: &Path) -> LayerFiles {
        let name = crate::state_dir::short_name(folder);
        LayerFiles { base: state_dir.file("disk").join(name) }
    }

    fn socket(&self) -> PathBuf {
        self.base.with_extension("sock")
    }

    fn record_path(&self) -> PathBuf {
        self.base.with_extension("json")
    }

    fn record(&self) -> Result<LayerRecord, String> {
        let path = self.record_path();
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn write(&self, record: &LayerRecord) -> Result<(), String> {
        let json = serde_json::to_vec(record).map_err(|error| error.to_string())?;
        write_whole(&self.record_path(), &json)
    }

    fn remove(&self) {
        drop(fs::remove_file(self.socket()));
        drop(fs::remove_file(self.record_path()));
    }
}

/// The layers of this node.
pub(crate) struct Disks {
    state_dir: StateDir,
    /// Held while layers are mounted or taken away.
    work: Mutex<()>,
}

impl Disks {
    pub(crate) fn open(state_dir: &StateDir) -> Disks {
        Disks { state_dir: state_dir.clone(), work: Mutex::default() }
    }

    fn work(&self) -> MutexGuard<'_, ()> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self, folder: &Path) -> LayerFiles {
        LayerFiles::of(&self.state_dir, folder)
    }

    fn records(&self) -> Vec<LayerRecord> {
        let entries = fs::read_dir(self.state_dir.file("disk")).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
        let read = |path: PathBuf| fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let mut records: Vec<LayerRecord> = paths.filter_map(read).collect();
        records.sort_by(|one, other| one.folder.cmp(&other.folder));
        records
    }

    /// Whether there is any layer.
    pub(crate) fn is_empty(&self) -> bool {
        self.records().is_empty()
    }

    /// Lays layers over these folders and takes all others away. Everything in a folder is safe from a power loss then.
    pub(crate) fn set(&self, wanted: &[DiskFolder]) -> Result<(), String> {
        let _work = self.work();
        for record in self.records() {
            if !wanted.iter().any(|folder| Path::new(&folder.path) == record.folder)
                || !answers(&self.files(&record.folder))
            {
                self.take_away(&record)?;
            }
        }
        self.remove_scratch();
        for folder in wanted {
            let files = self.files(Path::new(&folder.path));
            if files.record().is_err() {
                self.lay(Path::new(&folder.path), &folder.exempt, &[])?;
            }
            control::ask(&files.socket(), &LayerRequest::SyncAll { copy: folder.copy })?;
        }
        Ok(())
    }

    /// Removes scratch folders, also those of agents that were killed, but for one that is still under a layer.
    fn remove_scratch(&self) {
        for entry in fs::read_dir(self.state_dir.file("disk")).into_iter().flatten().flatten() {
            let scratch = entry.file_name().to_string_lossy().starts_with(SCRATCH);
            if scratch && !mount::is_mounted(&entry.path()) {
                drop(fs::remove_dir_all(entry.path()));
            }
        }
    }

    fn lay(&self, folder: &Path, exempt: &[String], killed: &[String]) -> Result<(), String> {
        let files = self.files(folder);
        if !folder.is_absolute() || !folder.is_dir() {
            return Err(format!("folder {}: there is none to lay a layer over", folder.display()));
        }
        if self.state_dir.dir().starts_with(folder) {
            let own = self.state_dir.dir().display();
            return Err(format!("folder {}: it holds the agent's own folder {own}", folder.display()));
        }
        if files.socket().as_os_str().len() > SOCKET_PATH_MAX {
            return Err(format!("{}: too long for a socket; name a shorter --dir", files.socket().display()));
        }
        let disk = self.state_dir.file("disk");
        fs::create_dir_all(&disk).map_err(|error| format!("{}: {error}", disk.display()))?;
        let mut record = LayerRecord {
            folder: folder.to_owned(),
            exempt: exempt.to_vec(),
            keeper: None,
            layer: None,
            killed: killed.to_vec(),
        };
        files.write(&record)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("disk-keeper").arg("--dir").arg(self.state_dir.dir()).arg("--folder").arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).current_dir("/");
        sys::set_up(&mut command, sys::ChildSetup { session: true, ..sys::ChildSetup::default() });
        let mut keeper = command.spawn().map_err(|error| format!("a layer: {error}"))?;
        let mut early = None;
        let up = sys::await_true(STARTING, || {
            early = keeper.try_wait().ok().flatten();
            early.is_some() || (mount::is_mounted(folder) && answers(&files))
        });
        if !up || early.is_some() {
            drop(keeper.kill());
            let said =
                keeper.wait_with_output().map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
            self.take_away(&record)?;
            let said = said.unwrap_or_default();
            let said = said.strip_prefix("dsfuzz-agent: ").unwrap_or(&said);
            return Err(if said.is_empty() {
                "a layer does not start (agent.log says more)".to_owned()
            } else {
                said.to_owned()
            });
        }
        let layer = control::ask(&files.socket(), &LayerRequest::Status)?.pid;
        record.keeper = Some(key(keeper.id()));
        record.layer = Some(key(layer));
        files.write(&record)?;
        // Reaps it.
        std::thread::spawn(move || drop(keeper.wait()));
        Ok(())
    }

    /// Kills a process of a layer.
    fn kill(key: Option<ProcessKey>) {
        if let Some((pid, start)) = key
            && processes::lives(pid, start)
        {
            drop(sys::kill(pid, libc::SIGKILL));
            sys::await_true(ENDING, || !processes::lives(pid, start));
        }
    }

    /// Takes a layer away. All data below it are safe. Its users, if there are any, keep it until they end.
    fn take_away(&self, record: &LayerRecord) -> Result<(), String> {
        let files = self.files(&record.folder);
        let lives = |(pid, start): ProcessKey| processes::lives(pid, start);
        if mount::is_mounted(&record.folder) {
            // A dead layer cannot be asked, and has nothing to make safe. Its keeper would wait for an agent.
            if record.layer.is_some_and(|key| !lives(key)) {
                Disks::kill(record.keeper);
            }
            drop(control::ask(&files.socket(), &LayerRequest::SyncAll { copy: false }));
            mount::unmount(&record.folder)?;
        }
        // One that is still in use goes on for its users.
        sys::await_true(ENDING, || !record.layer.is_some_and(lives));
        files.remove();
        Ok(())
    }

    /// Folders whose layer has died, or is no longer mounted.
    pub(crate) fn dead(&self) -> Vec<PathBuf> {
        let Ok(_work) = self.work.try_lock() else { return Vec::new() };
        self.records().into_iter().filter(LayerRecord::is_dead).map(|record| record.folder).collect()
    }

    /// Whether a layer has died, or its services are not started again yet.
    pub(crate) fn are_to_be_mended(&self) -> bool {
        let Ok(_work) = self.work.try_lock() else { return false };
        self.records().iter().any(|record| !record.killed.is_empty() || record.is_dead())
    }

    /// Services that an agent killed because a layer had died, and that it did not start again.
    pub(crate) fn killed(&self) -> Vec<String> {
        let Ok(_work) = self.work.try_lock() else { return Vec::new() };
        self.records().into_iter().flat_map(|record| record.killed).collect()
    }

    /// Notes the services that are about to be killed because these layers have died; with none, that they were started again.
    pub(crate) fn note_killed(&self, folders: &[PathBuf], services: &[String]) {
        let _work = self.work();
        let changed = |record: &LayerRecord| record.killed != services;
        let chosen = |record: &LayerRecord| services.is_empty() || folders.contains(&record.folder);
        for record in self.records().into_iter().filter(|record| changed(record) && chosen(record)) {
            let files = self.files(&record.folder);
            if let Err(reason) = files.write(&LayerRecord { killed: services.to_vec(), ..record }) {
                self.state_dir.log(&format!("the record of a layer: {reason}"));
            }
        }
    }

    /// Ends the processes of a dead layer, so that calls that wait for it fail, and takes the layer away.
    pub(crate) fn bury(&self, folder: &Path) -> Result<(), String> {
        let _work = self.work();
        let record = self.files(folder).record()?;
        Disks::kill(record.keeper);
        // It lives where it was unmounted while it was in use. What it was asked to write is below.
        Disks::kill(record.layer);
        mount::unmount(folder)
    }

    /// Lays a layer over a folder again, after [`Disks::bury`]. After a failure the folder still counts as one whose layer died.
    pub(crate) fn lay_again(&self, folder: &Path) -> Result<(), String> {
        let _work = self.work();
        let files = self.files(folder);
        let record = files.record()?;
        let laid = self.lay(folder, &record.exempt, &record.killed);
        if laid.is_err() {
            files.write(&record)?;
        }
        laid
    }

    /// Takes all layers away.
    pub(crate) fn take_all_away(&self) -> Result<(), String> {
        self.set(&[])
    }

    /// Loses what is not synced in every folder.
    pub(crate) fn lose_power(&self, order: PowerLossOrder) -> Result<Vec<(PathBuf, LayerStatus)>, String> {
        self.ask_all(&LayerRequest::LosePower(order))
    }

    /// Begins a fault in every folder.
    pub(crate) fn disturb(&self, fault: u64, effect: DiskEffect, seed: u64) -> Result<(), String> {
        self.ask_all(&LayerRequest::Disturb { fault, effect, seed }).map(drop)
    }

    /// Ends a fault in every folder.
    pub(crate) fn calm(&self, fault: u64) -> Result<(), String> {
        self.ask_all(&LayerRequest::Calm { fault }).map(drop)
    }

    /// Damages files in every folder.
    pub(crate) fn damage(&self, order: DamageOrder) -> Result<Vec<(PathBuf, LayerStatus)>, String> {
        self.ask_all(&LayerRequest::Damage(order))
    }

    /// The state of every layer.
    pub(crate) fn status(&self) -> Result<Vec<(PathBuf, LayerStatus)>, String> {
        self.ask_all(&LayerRequest::Status)
    }

    fn ask_all(&self, request: &LayerRequest) -> Result<Vec<(PathBuf, LayerStatus)>, String> {
        let records = self.records().into_iter();
        records
            .map(|LayerRecord { folder, .. }| {
                let status = control::ask(&self.files(&folder).socket(), request)?;
                Ok((folder, status))
            })
            .collect()
    }

    /// Tries a layer over a scratch folder: a file that is not synced is lost, one that is synced is not.
    pub(crate) fn rehearse(&self) -> Result<String, String> {
        let folder = self.state_dir.file("disk").join(format!("{SCRATCH}{}", std::process::id()));
        let work = self.work();
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let tried = self.lay(&folder, &[], &[]).and_then(|()| try_in(&folder, &self.files(&folder)));
        let taken = self.files(&folder).record().map_or(Ok(()), |record| self.take_away(&record));
        self.remove_scratch();
        drop(work);
        tried.and(taken).map(|()| "a file that was not synced was lost in a scratch folder".to_owned())
    }
}

fn try_in(folder: &Path, files: &LayerFiles) -> Result<(), String> {
    let say = |error: std::io::Error| format!("a layer: {error}");
    let (safe, unsafe_file) = (folder.join("synced"), folder.join("not-synced"));
    fs::write(&safe, b"synced").and_then(|()| fs::File::open(&safe)?.sync_all()).map_err(say)?;
    fs::write(&unsafe_file, b"not synced").map_err(say)?;
    control::ask(&files.socket(), &LayerRequest::LosePower(PowerLossOrder { fault: 1, seed: 1, torn: 0 }))?;
    match (fs::read(&safe).is_ok_and(|text| text == b"synced"), unsafe_file.exists()) {
        (true, false) => Ok(()),
        (false, _) => Err("a layer lost a file that was synced".to_owned()),
        (true, true) => Err("a layer did not lose a file that was not synced".to_owned()),
    }
}

fn key(pid: u32) -> ProcessKey {
    (pid, processes::stat(pid).map_or(0, |stat| stat.start))
}

fn answers(files: &LayerFiles) -> bool {
    control::ask(&files.socket(), &LayerRequest::Status).is_ok()
}
