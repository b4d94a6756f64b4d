//! [`Tree`]: the files and folders below the layer, and the changes of names that are not synced.
//!
//! Changes of names are safe in their order, as in the journal of a file system: a sync of any file or folder makes all earlier
//! ones safe. A power loss takes back those after it, the last first. What a change removes is kept in a hidden folder until then.
use super::node::{KeptBytes, Node};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The hidden folder for what a power loss may bring back.
pub(super) const HIDDEN: &str = ".dsfuzz-disk";
/// A file that only its name finds, in the layer's folder: the agent tries on it what calls meet.
pub(crate) const PROBE: &str = ".dsfuzz-probe";
/// The number of the layer's folder for the kernel.
const ROOT: u64 = 1;

/// The files and folders below the layer.
pub(super) struct Tree {
    root: Arc<Node>,
    device: u64,
    exempt: Vec<PathBuf>,
    kept_bytes: KeptBytes,
    state: Mutex<TreeState>,
    /// Held by every change of data or names, and alone by what must see none.
    changing: RwLock<()>,
}

struct TreeState {
    nodes: HashMap<u64, Arc<Node>>,
    changes: Vec<NameChange>,
    hidden: OwnedFd,
    hidden_names: u64,
}

/// A name in a folder.
#[derive(Clone)]
struct Entry {
    folder: Arc<Node>,
    name: OsString,
}

impl Entry {
    fn of(folder: &Arc<Node>, name: &OsStr) -> Entry {
        Entry { folder: Arc::clone(folder), name: name.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.folder.name().join(&self.name)
    }
}

/// What was removed: its name in the hidden folder, and the object.
struct Removed {
    hidden: OsString,
    node: Arc<Node>,
}

/// A change of names that a power loss takes back.
enum NameChange {
    Made { entry: Entry, folder: bool },
    Removed { entry: Entry, removed: Removed },
    Moved { from: Entry, to: Entry, replaced: Option<Removed> },
    Exchanged { one: Entry, other: Entry },
}

/// The owner and mode of a new object.
#[derive(Clone, Copy)]
pub(super) struct Birth {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

fn missing() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

fn at(error: i32) -> io::Error {
    io::Error::from_raw_os_error(error)
}

impl Tree {
    /// The tree below an open folder. `exempt`: files, relative to it, whose last part may have a `*`.
    pub(super) fn open(root: OwnedFd, exempt: Vec<PathBuf>) -> io::Result<Tree> {
        let about = fstat(&root)?;
        empty_hidden(&root)?;
        mkdirat(&root, HIDDEN, Mode::from_bits_truncate(0o700))?;
        let hidden = openat(&root, HIDDEN, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let probe =
            openat(&hidden, PROBE, OFlag::O_CREAT | OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::from_bits_truncate(0o600))?;
        std::os::unix::fs::FileExt::write_all_at(&std::fs::File::from(probe), &[1; 4096], 0)?;
        let kept_bytes = KeptBytes::default();
        let kind = about.st_mode & libc::S_IFMT;
        let root = Arc::new(Node::new((about.st_ino, kind), root, PathBuf::new(), false, Arc::clone(&kept_bytes)));
        let nodes = HashMap::from([(ROOT, Arc::clone(&root))]);
        let state = TreeState { nodes, changes: Vec::new(), hidden, hidden_names: 0 };
        let (device, changing) = (about.st_dev, RwLock::default());
        Ok(Tree { root, device, exempt, kept_bytes, state: Mutex::new(state), changing })
    }

    fn state(&self) -> MutexGuard<'_, TreeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while data or names change.
    pub(super) fn change(&self) -> RwLockReadGuard<'_, ()> {
        self.changing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while nothing may change.
    pub(super) fn stand_still(&self) -> RwLockWriteGuard<'_, ()> {
        self.changing.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The layer's folder.
    pub(super) fn root(&self) -> &Arc<Node> {
        &self.root
    }

    /// The kernel's number of an object.
    pub(super) fn number(&self, node: &Node) -> u64 {
        if node.ino == self.root.ino { ROOT } else { node.ino }
    }

    /// The object of a number.
    pub(super) fn node(&self, number: u64) -> io::Result<Arc<Node>> {
        self.state().nodes.get(&number).cloned().ok_or_else(missing)
    }

    /// All objects that are known.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        self.state().nodes.values().cloned().collect()
    }

    /// Changes of names that a power loss would take back.
    pub(super) fn unsynced_names(&self) -> usize {
        self.state().changes.len()
    }

    /// Finds a name; the kernel then holds a reference to the object.
    pub(super) fn look_up(&self, folder: u64, name: &OsStr) -> io::Result<Arc<Node>> {
        let mut state = self.state();
        let folder = state.folder(folder)?;
        let node = self.find(&mut state, &folder, name)?;
        node.lookups.fetch_add(1, SeqCst);
        Ok(node)
    }

    fn find(&self, state: &mut TreeState, folder: &Arc<Node>, name: &OsStr) -> io::Result<Arc<Node>> {
        self.check_name(folder, name)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let is_probe = folder.ino == self.root.ino && name == PROBE;
        let within = if is_probe { &state.hidden } else { &folder.path };
        let path = openat(within, name, flags, Mode::empty())?;
        let about = fstat(&path)?;
        if about.st_dev != self.device {
            return Err(at(libc::EXDEV));
        }
        let full = folder.name().join(name);
        if let Some(known) = state.nodes.get(&about.st_ino) {
            *known.name.lock().unwrap_or_else(PoisonError::into_inner) = full;
            return Ok(Arc::clone(known));
        }
        let exempt = self.is_exempt(&full);
        let (kind, kept_bytes) = (about.st_mode & libc::S_IFMT, Arc::clone(&self.kept_bytes));
        let node = Arc::new(Node::new((about.st_ino, kind), path, full, exempt, kept_bytes));
        state.nodes.insert(about.st_ino, Arc::clone(&node));
        Ok(node)
    }

    fn check_name(&self, folder: &Node, name: &OsStr) -> io::Result<()> {
        if folder.ino == self.root.ino && name == HIDDEN { Err(missing()) } else { Ok(()) }
    }

    pub(super) fn is_exempt(&self, path: &Path) -> bool {
        let matches = |pattern: &PathBuf| {
            let (Some(wanted), Some(name)) = (pattern.file_name(), path.file_name()) else { return false };
            pattern.parent() == path.parent()
                && crate::files::matches(&wanted.to_string_lossy(), &name.to_string_lossy())
        };
        self.exempt.iter().any(matches)
    }

    /// The kernel gives up references.
    pub(super) fn forget(&self, number: u64, count: u64) {
        let mut state = self.state();
        let Some(node) = state.nodes.get(&number).cloned() else { return };
        let before = node.lookups.fetch_update(SeqCst, SeqCst, |now| Some(now.saturating_sub(count))).unwrap_or(0);
        if before <= count && number != ROOT && node.unsynced_bytes().is_none() {
            state.nodes.remove(&number);
        }
    }

    /// Makes a file, folder, device or socket.
    pub(super) fn make(&self, folder: u64, name: &OsStr, birth: Birth, device: u64) -> io::Result<Arc<Node>> {
        let kind = SFlag::from_bits_truncate(birth.mode & libc::S_IFMT);
        let mode = Mode::from_bits_truncate(birth.mode & 0o7777);
        self.made(folder, name, birth, |folder| {
            if kind == SFlag::S_IFDIR { mkdirat(folder, name, mode) } else { mknodat(folder, name, kind, mode, device) }
        })
    }

    /// Makes a symbolic link.
    pub(super) fn make_symlink(&self, folder: u64, name: &OsStr, target: &Path, birth: Birth) -> io::Result<Arc<Node>> {
        self.made(folder, name, birth, |folder| symlinkat(target, folder, name))
    }

    fn made(
        &self,
        folder: u64,
        name: &OsStr,
        birth: Birth,
        make: impl FnOnce(&OwnedFd) -> nix::Result<()>,
    ) -> io::Result<Arc<Node>> {
        let mut state = self.state();
        let folder = state.folder(folder)?;
        self.check_name(&folder, name).map_err(|_| at(libc::EPERM))?;
        make(&folder.path)?;
        let above = fstat(&folder.path)?;
        let gid = if above.st_mode & libc::S_ISGID == 0 { birth.gid } else { above.st_gid };
        let owner = (Some(birth.uid.into()), Some(gid.into()));
        fchownat(&folder.path, name, owner.0, owner.1, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let node = self.find(&mut state, &folder, name)?;
        node.lookups.fetch_add(1, SeqCst);
        if node.is_file() && birth.mode & 0o6000 != 0 {
            // The change of owner has cleared these bits.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(birth.mode & 0o7777);
            std::fs::set_permissions(node.proc_path(), mode)?;
        }
        if !node.exempt {
            state.changes.push(NameChange::Made { entry: Entry::of(&folder, name), folder: node.is_folder() });
        }
        Ok(node)
    }

    /// Gives a file another name.
    pub(super) fn link(&self, number: u64, folder: u64, name: &OsStr) -> io::Result<Arc<Node>> {
        let mut state = self.state();
        let (node, folder) = (state.folder(number)?, state.folder(folder)?);
        self.check_name(&folder, name).map_err(|_| at(libc::EPERM))?;
        linkat(AT_FDCWD, &node.proc_path(), &folder.path, name, AtFlags::AT_SYMLINK_FOLLOW)?;
        let node = self.find(&mut state, &folder, name)?;
        node.lookups.fetch_add(1, SeqCst);
        state.changes.push(NameChange::Made { entry: Entry::of(&folder, name), folder: false });
        Ok(node)
    }

    /// Removes a file or an empty folder.
    pub(super) fn remove(&self, folder: u64, name: &OsStr, is_folder: bool) -> io::Result<()> {
        let mut state = self.state();
        let folder = state.folder(folder)?;
        let node = self.find(&mut state, &folder, name)?;
        if is_folder && !is_empty(&node)? {
            return Err(at(libc::ENOTEMPTY));
        }
        let flags = if is_folder { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        if node.exempt {
            return Ok(unlinkat(&folder.path, name, flags)?);
        }
        let hidden = state.hidden_name();
        renameat2(&folder.path, name, &state.hidden, hidden.as_os_str(), RenameFlags::empty())?;
        node.hidden_links.fetch_add(1, SeqCst);
        let removed = Removed { hidden, node };
        state.changes.push(NameChange::Removed { entry: Entry::of(&folder, name), removed });
        Ok(())
    }

    /// Renames, by the kernel's flags.
    pub(super) fn rename(&self, from: (u64, &OsStr), to: (u64, &OsStr), flags: u32) -> io::Result<()> {
        let mut state = self.state();
        let from = Entry { folder: state.folder(from.0)?, name: from.1.to_owned() };
        let to = Entry { folder: state.folder(to.0)?, name: to.1.to_owned() };
        self.check_name(&from.folder, &from.name)?;
        self.check_name(&to.folder, &to.name).map_err(|_| at(libc::EPERM))?;
        let flags = RenameFlags::from_bits(flags).ok_or_else(|| at(libc::EINVAL))?;
        if flags.contains(RenameFlags::RENAME_WHITEOUT) {
            return Err(at(libc::EINVAL));
        }
        let moving = self.find(&mut state, &from.folder, &from.name)?;
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            rename(&from, &to, flags)?;
            state.exchanged(&from, &to);
            state.changes.push(NameChange::Exchanged { one: from, other: to });
            return Ok(());
        }
        let target = match self.find(&mut state, &to.folder, &to.name) {
            Ok(target) if target.ino == moving.ino => return Ok(()),
            Ok(_) if flags.contains(RenameFlags::RENAME_NOREPLACE) => return Err(at(libc::EEXIST)),
            Ok(target) => Some(target),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => None,
            Err(error) => return Err(error),
        };
        let replaced = target.map(|target| state.hide(&to, target)).transpose()?;
        rename(&from, &to, flags)?;
        if replaced.is_some() {
            // A file that replaces another brings its data: ext4 allocates and writes them with the rename (auto_da_alloc).
            moving.sync();
        }
        state.renamed(&from, &to);
        state.changes.push(NameChange::Moved { from, to, replaced });
        Ok(())
    }

    /// All names are as they are now, also after a power loss.
    pub(super) fn sync_names(&self) {
        let mut state = self.state();
        let changes = std::mem::take(&mut state.changes);
        changes.into_iter().for_each(|change| state.settle(change));
    }

    /// All data and names are safe.
    pub(super) fn sync_all(&self) {
        self.nodes().iter().for_each(|node| node.sync());
        self.sync_names();
        let mut state = self.state();
        state.nodes.retain(|number, node| *number == ROOT || node.lookups.load(SeqCst) > 0);
    }

    /// Takes back changes of names, the last first, while `survives` does not say that an early one is on the disk. Returns how
    /// many were taken back, and how many survived.
    pub(super) fn lose_names(&self, survives: &mut impl FnMut() -> bool) -> io::Result<(u64, u64)> {
        let mut state = self.state();
        let changes = std::mem::take(&mut state.changes);
        // One that survives has all earlier ones with it.
        let kept = (0..changes.len()).take_while(|_| survives()).count();
        let (mut rest, mut lost) = (changes, 0);
        let later = rest.split_off(kept);
        rest.into_iter().for_each(|change| state.settle(change));
        for change in later.into_iter().rev() {
            state.take_back(change)?;
            lost += 1;
        }
        Ok((lost, kept as u64))
    }

    /// Removes the hidden folder. The layer ends.
    pub(super) fn close(&self) {
        self.sync_all();
        drop(empty_hidden(&self.root.path));
    }
}

impl TreeState {
    fn folder(&self, number: u64) -> io::Result<Arc<Node>> {
        self.nodes.get(&number).cloned().ok_or_else(missing)
    }

    /// Gives an object, and those below it, their new names.
    fn renamed(&self, from: &Entry, to: &Entry) {
        let (from, to) = (from.path(), to.path());
        self.rename_paths(|path| path.strip_prefix(&from).ok().map(|rest| to.join(rest)));
    }

    fn exchanged(&self, one: &Entry, other: &Entry) {
        let (one, other) = (one.path(), other.path());
        self.rename_paths(|path| {
            let moved = |from: &Path, to: &Path| path.strip_prefix(from).ok().map(|rest| to.join(rest));
            moved(&one, &other).or_else(|| moved(&other, &one))
        });
    }

    fn rename_paths(&self, renamed: impl Fn(&Path) -> Option<PathBuf>) {
        for node in self.nodes.values() {
            let mut name = node.name.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(new) = renamed(&name) {
                // Joining with nothing adds a slash.
                *name = new.components().collect();
            }
        }
    }

    fn hidden_name(&mut self) -> OsString {
        self.hidden_names += 1;
        OsString::from(format!("{}", self.hidden_names))
    }

    /// Keeps what a rename is about to replace. A file keeps its name until then, so that the rename replaces it at once.
    fn hide(&mut self, entry: &Entry, node: Arc<Node>) -> io::Result<Removed> {
        let hidden = self.hidden_name();
        if node.is_folder() {
            if !is_empty(&node)? {
                return Err(at(libc::ENOTEMPTY));
            }
            renameat2(
                &entry.folder.path,
                entry.name.as_os_str(),
                &self.hidden,
                hidden.as_os_str(),
                RenameFlags::empty(),
            )?;
        } else {
            linkat(&entry.folder.path, entry.name.as_os_str(), &self.hidden, hidden.as_os_str(), AtFlags::empty())?;
        }
        node.hidden_links.fetch_add(1, SeqCst);
        Ok(Removed { hidden, node })
    }

    /// A change is safe: what it removed can go.
    fn settle(&self, change: NameChange) {
        let removed = match change {
            NameChange::Made { .. } | NameChange::Exchanged { .. } => None,
            NameChange::Removed { removed, .. } => Some(removed),
            NameChange::Moved { replaced, .. } => replaced,
        };
        if let Some(Removed { hidden, node }) = removed {
            let flags = if node.is_folder() { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
            let _ = unlinkat(&self.hidden, hidden.as_os_str(), flags);
            node.hidden_links.fetch_sub(1, SeqCst);
        }
    }

    fn take_back(&self, change: NameChange) -> io::Result<()> {
        match change {
            NameChange::Made { entry, folder } => {
                let flags = if folder { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
                match unlinkat(&entry.folder.path, entry.name.as_os_str(), flags) {
                    // A log of the harness stays, and the folder with it.
                    Err(nix::Error::ENOTEMPTY | nix::Error::ENOENT) => Ok(()),
                    other => Ok(other?),
                }
            }
            NameChange::Removed { entry, removed } => self.bring_back(&entry, &removed),
            NameChange::Moved { from, to, replaced } => {
                rename(&to, &from, RenameFlags::empty())?;
                self.renamed(&to, &from);
                replaced.map_or(Ok(()), |removed| self.bring_back(&to, &removed))
            }
            NameChange::Exchanged { one, other } => {
                self.exchanged(&one, &other);
                rename(&one, &other, RenameFlags::RENAME_EXCHANGE)
            }
        }
    }

    fn bring_back(&self, entry: &Entry, removed: &Removed) -> io::Result<()> {
        let to = (&entry.folder.path, entry.name.as_os_str());
        renameat2(&self.hidden, removed.hidden.as_os_str(), to.0, to.1, RenameFlags::empty())?;
        removed.node.hidden_links.fetch_sub(1, SeqCst);
        Ok(())
    }
}

fn rename(from: &Entry, to: &Entry, flags: RenameFlags) -> io::Result<()> {
    Ok(renameat2(&from.folder.path, from.name.as_os_str(), &to.folder.path, to.name.as_os_str(), flags)?)
}

fn is_empty(folder: &Node) -> io::Result<bool> {
    Ok(std::fs::read_dir(folder.proc_path())?.next().is_none())
}

/// Removes the hidden folder of this layer or of an earlier one, whose end made everything safe.
fn empty_hidden(root: &OwnedFd) -> io::Result<()> {
    if fstatat(root, HIDDEN, AtFlags::AT_SYMLINK_NOFOLLOW).is_err() {
        return Ok(());
    }
    let path = format!("/proc/self/fd/{}/{HIDDEN}", std::os::fd::AsRawFd::as_raw_fd(root));
    std::fs::remove_dir_all(path)
}
