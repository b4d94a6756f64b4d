//! [`Layer`]: the file system that the target sees over its data folder. Every call goes to the same file below.
use super::effects::{Call, Effects, Hindrance};
use super::node::Node;
use super::tree::{Birth, HIDDEN, PROBE, Tree};
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::sys::stat::{UtimensatFlags, fstat, utimensat};
use nix::sys::time::TimeSpec;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names are asked for anew each time, since a power loss changes them.
const NAME_TTL: Duration = Duration::ZERO;
/// Attributes change only through the layer; a power loss tells the kernel.
const ATTRIBUTES_TTL: Duration = Duration::from_secs(60);

type Listing = Arc<Vec<(u64, FileType, OsString)>>;

/// The file system over a folder.
pub(super) struct Layer {
    tree: Arc<Tree>,
    effects: Arc<Effects>,
    listings: Mutex<HashMap<u64, Listing>>,
    handles: AtomicU64,
}

impl Layer {
    pub(super) fn over(tree: Arc<Tree>, effects: Arc<Effects>) -> Layer {
        Layer { tree, effects, listings: Mutex::default(), handles: AtomicU64::new(1) }
    }

    fn attributes(&self, node: &Node) -> io::Result<FileAttr> {
        let about = fstat(&node.path)?;
        let time = |seconds: i64, nanoseconds: i64| {
            let since = Duration::new(seconds.unsigned_abs(), u32::try_from(nanoseconds).unwrap_or(0));
            if seconds < 0 { UNIX_EPOCH - since } else { UNIX_EPOCH + since }
        };
        let hidden = u64::from(node.hidden_links.load(SeqCst));
        Ok(FileAttr {
            ino: INodeNo(self.tree.number(node)),
            size: u64::try_from(about.st_size).unwrap_or(0),
            blocks: u64::try_from(about.st_blocks).unwrap_or(0),
            atime: time(about.st_atime, about.st_atime_nsec),
            mtime: time(about.st_mtime, about.st_mtime_nsec),
            ctime: time(about.st_ctime, about.st_ctime_nsec),
            crtime: UNIX_EPOCH,
            kind: file_type(about.st_mode),
            perm: (about.st_mode & 0o7777) as u16,
            nlink: u32::try_from((about.st_nlink as u64).saturating_sub(hidden)).unwrap_or(u32::MAX),
            uid: about.st_uid,
            gid: about.st_gid,
            rdev: u32::try_from(about.st_rdev).unwrap_or(0),
            blksize: 4096,
            flags: 0,
        })
    }

    fn enter(&self, found: io::Result<Arc<Node>>, reply: ReplyEntry) {
        match found.and_then(|node| self.attributes(&node)) {
            Ok(attributes) => reply.entry_with_ttls(&ATTRIBUTES_TTL, &NAME_TTL, &attributes, Generation(0)),
            Err(error) => reply.error(error.into()),
        }
    }

    fn listings(&self) -> MutexGuard<'_, HashMap<u64, Listing>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listing(&self, number: u64) -> io::Result<Listing> {
        let node = self.tree.node(number)?;
        let mut all =
            vec![(number, FileType::Directory, OsString::from(".")), (number, FileType::Directory, "..".into())];
        for entry in std::fs::read_dir(node.proc_path())? {
            let entry = entry?;
            if node.ino == self.tree.root().ino && entry.file_name() == HIDDEN {
                continue;
            }
            let kind = entry.file_type().ok().and_then(FileType::from_std).unwrap_or(FileType::RegularFile);
            all.push((entry.ino(), kind, entry.file_name()));
        }
        Ok(Arc::new(all))
    }

    /// Changes a name, unless a fault or the harness's logs say otherwise.
    fn name<T>(&self, call: Call, folder: INodeNo, name: &OsStr, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let hindered = self.effects.meet(call).error.filter(|_| !self.is_exempt(folder, name));
        let _change = self.tree.change();
        hindered.map_or_else(act, |error| Err(io::Error::from_raw_os_error(error)))
    }

    fn is_exempt(&self, folder: INodeNo, name: &OsStr) -> bool {
        self.tree.node(folder.0).is_ok_and(|folder| self.tree.is_exempt(&folder.name().join(name)))
    }

    /// What a call to a file meets; nothing where it is a log of the harness.
    fn meet(&self, number: INodeNo, call: impl FnOnce(&Node) -> Call) -> Hindrance {
        match self.tree.node(number.0) {
            Ok(node) if !node.exempt => self.effects.meet(call(&node)),
            _ => Hindrance::default(),
        }
    }

    /// Acts now, or after the time that a fault makes a call wait, on a thread of its own.
    fn after(wait: Duration, act: impl FnOnce() + Send + 'static) {
        if wait.is_zero() {
            return act();
        }
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            act();
        });
    }

    fn change(&self, node: &Node, wanted: &Wanted) -> io::Result<()> {
        let path = node.proc_path();
        if let Some(mode) = wanted.mode {
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode & 0o7777))?;
        }
        if wanted.uid.is_some() || wanted.gid.is_some() {
            std::os::unix::fs::chown(&path, wanted.uid, wanted.gid)?;
        }
        if let Some(size) = wanted.size {
            let _change = self.tree.change();
            node.set_size(size)?;
        }
        if wanted.atime.is_some() || wanted.mtime.is_some() {
            let (atime, mtime) = (timespec(wanted.atime), timespec(wanted.mtime));
            utimensat(nix::fcntl::AT_FDCWD, &path, &atime, &mtime, UtimensatFlags::FollowSymlink)?;
        }
        Ok(())
    }
}

/// The attributes that a call sets.
struct Wanted {
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    atime: Option<TimeOrNow>,
    mtime: Option<TimeOrNow>,
}

fn timespec(time: Option<TimeOrNow>) -> TimeSpec {
    match time {
        None => TimeSpec::new(0, libc::UTIME_OMIT),
        Some(TimeOrNow::Now) => TimeSpec::new(0, libc::UTIME_NOW),
        Some(TimeOrNow::SpecificTime(time)) => match time.duration_since(UNIX_EPOCH) {
            Ok(since) => TimeSpec::from_duration(since),
            Err(before) => TimeSpec::new(-i64::try_from(before.duration().as_secs()).unwrap_or(0), 0),
        },
    }
}

fn file_type(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFBLK => FileType::BlockDevice,
        libc::S_IFCHR => FileType::CharDevice,
        _ => FileType::RegularFile,
    }
}

fn birth(request: &Request, kind: u32, mode: u32, umask: u32) -> Birth {
    Birth { uid: request.uid(), gid: request.gid(), mode: kind | (mode & !umask & 0o7777) }
}

/// Fails with the error of a fault, if there is one.
fn failing(error: Option<i32>) -> io::Result<()> {
    error.map_or(Ok(()), |error| Err(io::Error::from_raw_os_error(error)))
}

/// Makes a file, and all earlier names, safe; or fails.
fn sync(tree: &Tree, number: u64, error: Option<i32>) -> io::Result<()> {
    let node = tree.node(number)?;
    let _change = tree.change();
    if error.is_some() {
        node.fail_sync()?;
        return failing(error);
    }
    node.sync();
    tree.sync_names();
    Ok(())
}

fn end(done: io::Result<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error.into()),
    }
}

impl Filesystem for Layer {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.enter(self.tree.look_up(parent.0, name), reply);
    }

    fn forget(&self, _: &Request, ino: INodeNo, count: u64) {
        self.tree.forget(ino.0, count);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.tree.node(ino.0).and_then(|node| self.attributes(&node)) {
            Ok(attributes) => reply.attr(&ATTRIBUTES_TTL, &attributes),
            Err(error) => reply.error(error.into()),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let wanted = Wanted { mode, uid, gid, size, atime, mtime };
        let grows = |node: &Node| size.is_some_and(|size| node.size().is_ok_and(|now| size > now));
        let hindered = self.meet(ino, |node| if grows(node) { Call::Extend } else { Call::Change }).error;
        let changed = self.tree.node(ino.0).and_then(|node| {
            failing(hindered)?;
            self.change(&node, &wanted)?;
            self.attributes(&node)
        });
        match changed {
            Ok(attributes) => reply.attr(&ATTRIBUTES_TTL, &attributes),
            Err(error) => reply.error(error.into()),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.tree.node(ino.0).and_then(|node| Ok(nix::fcntl::readlinkat(&node.path, "")?));
        match target {
            Ok(target) => reply.data(target.as_encoded_bytes()),
            Err(error) => reply.error(error.into()),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let birth = birth(request, mode & libc::S_IFMT, mode, umask);
        self.enter(
            self.name(Call::Make, parent, name, || self.tree.make(parent.0, name, birth, u64::from(rdev))),
            reply,
        );
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let birth = birth(request, libc::S_IFDIR, mode, umask);
        self.enter(self.name(Call::Make, parent, name, || self.tree.make(parent.0, name, birth, 0)), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(self.name(Call::Change, parent, name, || self.tree.remove(parent.0, name, false)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(self.name(Call::Change, parent, name, || self.tree.remove(parent.0, name, true)), reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let birth = birth(request, libc::S_IFLNK, 0o777, 0);
        self.enter(
            self.name(Call::Make, parent, name, || self.tree.make_symlink(parent.0, name, target, birth)),
            reply,
        );
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = || self.tree.rename((parent.0, name), (newparent.0, newname), flags.bits());
        end(self.name(Call::Change, parent, name, rename), reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        self.enter(self.name(Call::Make, newparent, newname, || self.tree.link(ino.0, newparent.0, newname)), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // What the agent tries must come here, whatever the kernel holds in its memory.
        let is_probe = self.tree.node(ino.0).is_ok_and(|node| node.name() == Path::new(PROBE));
        let flags = if is_probe { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::FOPEN_KEEP_CACHE };
        reply.opened(FileHandle(0), flags);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let birth = birth(request, libc::S_IFREG, mode, umask);
        let made = self.name(Call::Make, parent, name, || self.tree.make(parent.0, name, birth, 0));
        match made.and_then(|node| self.attributes(&node)) {
            Ok(attributes) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&NAME_TTL, &attributes, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let met = self.meet(ino, |_| Call::Read);
        let tree = Arc::clone(&self.tree);
        Layer::after(met.wait, move || {
            let read = failing(met.error).and_then(|()| tree.node(ino.0)?.read(offset, size as usize));
            match read {
                Ok(data) => reply.data(&data),
                Err(error) => reply.error(error.into()),
            }
        });
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let end = offset.saturating_add(data.len() as u64);
        let extends = |node: &Node| node.size().is_ok_and(|size| end > size);
        let met = self.meet(ino, |node| if extends(node) { Call::Extend } else { Call::Overwrite });
        let syncs = flags.0 & (libc::O_SYNC | libc::O_DSYNC) != 0;
        let synced = if syncs { self.meet(ino, |_| Call::Sync) } else { Hindrance::default() };
        let act = move |tree: &Tree, data: &[u8]| {
            failing(met.error)?;
            let change = tree.change();
            tree.node(ino.0)?.write(offset, data)?;
            drop(change);
            if syncs { sync(tree, ino.0, synced.error) } else { Ok(()) }
        };
        let answer = |done: io::Result<()>, bytes: usize, reply: ReplyWrite| match done {
            Ok(()) => reply.written(u32::try_from(bytes).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error.into()),
        };
        let wait = met.wait + synced.wait;
        if wait.is_zero() {
            return answer(act(&self.tree, data), data.len(), reply);
        }
        let (tree, data) = (Arc::clone(&self.tree), data.to_vec());
        Layer::after(wait, move || answer(act(&tree, &data), data.len(), reply));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let met = self.meet(ino, |_| Call::Sync);
        let tree = Arc::clone(&self.tree);
        Layer::after(met.wait, move || end(sync(&tree, ino.0, met.error), reply));
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let met = self.effects.meet(Call::Sync);
        let tree = Arc::clone(&self.tree);
        Layer::after(met.wait, move || {
            let done = failing(met.error);
            if done.is_ok() {
                tree.sync_names();
            }
            end(done, reply);
        });
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.listing(ino.0) {
            Ok(listing) => {
                let handle = self.handles.fetch_add(1, SeqCst);
                self.listings().insert(handle, listing);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        if offset == 0 {
            // A program that rewinds sees what is there now.
            match self.listing(ino.0) {
                Ok(fresh) => drop(self.listings().insert(handle.0, fresh)),
                Err(error) => return reply.error(error.into()),
            }
        }
        let Some(listing) = self.listings().get(&handle.0).cloned() else { return reply.error(Errno::EBADF) };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (number, kind, name)) in listing.iter().enumerate().skip(from) {
            if reply.add(INodeNo(*number), at as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings().remove(&handle.0);
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let hindered = self.meet(ino, |_| Call::Extend).error;
        let _change = self.tree.change();
        let allocate = || self.tree.node(ino.0)?.allocate(offset, length, mode);
        end(failing(hindered).and_then(|()| allocate()), reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match nix::sys::statvfs::fstatvfs(&self.tree.root().path) {
            Ok(room) => reply.statfs(
                room.blocks(),
                if self.effects.no_room() { 0 } else { room.blocks_free() },
                if self.effects.no_room() { 0 } else { room.blocks_available() },
                room.files(),
                room.files_free(),
                u32::try_from(room.block_size()).unwrap_or(4096),
                255,
                u32::try_from(room.fragment_size()).unwrap_or(4096),
            ),
            Err(error) => reply.error(Errno::from_i32(error as i32)),
        }
    }
}
