//! Writes, reads and lists files in chunks. The agent is root and the folders belong to a target under any user, so paths are
//! walked step by step.
//!
//! Never: follows a symbolic link that another user than root made or could replace, or reads or writes a file that is not
//! regular.
use crate::accounts::account;
use crate::sys;
use dsfuzz_nemesis::protocol::{BLOB_BYTES_MAX, Response};
use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};

/// Most links of one path.
const LINKS_MAX: usize = 16;

fn absolute(path: &str) -> Result<&Path, String> {
    let path = Path::new(path);
    if path.is_absolute() { Ok(path) } else { Err(format!("path {}: not an absolute path", path.display())) }
}

/// Whether a link in this folder belongs to root (or to the agent's user), and no other user can replace it.
fn trusted(folder: &Metadata, link: &Metadata) -> bool {
    let mine = |uid: u32| uid == 0 || uid == sys::effective_uid();
    let open_to_others = folder.mode() & 0o022 != 0 && folder.mode() & 0o1000 == 0;
    mine(link.uid()) && mine(folder.uid()) && !open_to_others
}

fn text(name: &std::ffi::OsStr) -> Result<CString, String> {
    CString::new(name.as_bytes()).map_err(|_| "a path with a zero in it".to_owned())
}

/// A name within a folder, not followed.
fn look(folder: &File, name: &CStr) -> std::io::Result<Metadata> {
    sys::open_at(folder, name, libc::O_PATH | libc::O_NOFOLLOW, 0)?.metadata()
}

/// A step of a path.
enum PathComponent {
    Root,
    Up,
    Name(OsString),
}

impl PathComponent {
    fn of(part: Component<'_>) -> Option<PathComponent> {
        match part {
            Component::RootDir => Some(PathComponent::Root),
            Component::ParentDir => Some(PathComponent::Up),
            Component::Normal(name) => Some(PathComponent::Name(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        }
    }
}

/// The folder of a path, opened step by step, and the path's last name. Missing folders are made on request. The target of a
/// link is walked by the same rule; the kernel follows none.
fn folder_of(path: &Path, make: bool) -> Result<(File, CString), String> {
    let say = |error: std::io::Error| format!("{}: {error}", path.display());
    let name = text(path.file_name().ok_or_else(|| format!("{}: no file name in it", path.display()))?)?;
    let parent = path.parent().unwrap_or(path);
    if parent.components().any(|part| part == Component::ParentDir) {
        return Err(format!("{}: `..` in it", path.display()));
    }
    let mut steps: VecDeque<PathComponent> = parent.components().filter_map(PathComponent::of).collect();
    let root = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open("/").map_err(say)?;
    let (mut above, mut folder, mut links) = (Vec::new(), root.try_clone().map_err(say)?, 0);
    while let Some(step) = steps.pop_front() {
        let step = match step {
            PathComponent::Name(step) => step,
            PathComponent::Up => {
                folder = above.pop().unwrap_or(folder);
                continue;
            }
            PathComponent::Root => {
                above.clear();
                folder = root.try_clone().map_err(say)?;
                continue;
            }
        };
        let shown = step.to_string_lossy().into_owned();
        let step = text(&step)?;
        let about = match look(&folder, &step) {
            Err(error) if make && error.kind() == std::io::ErrorKind::NotFound => {
                sys::make_folder_at(&folder, &step, 0o755).map_err(say)?;
                look(&folder, &step)
            }
            found => found,
        };
        let about = about.map_err(say)?;
        if about.is_symlink() {
            if !trusted(&folder.metadata().map_err(say)?, &about) {
                return Err(format!("{}: {shown} in it is a symbolic link that is not root's", path.display()));
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(format!("{}: too many symbolic links", path.display()));
            }
            let target = link_target(&folder, &step).map_err(say)?;
            target.components().rev().filter_map(PathComponent::of).for_each(|step| steps.push_front(step));
            continue;
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let next = sys::open_at(&folder, &step, flags, 0).map_err(say)?;
        above.push(std::mem::replace(&mut folder, next));
    }
    Ok((folder, name))
}

/// The target of a link in a folder.
fn link_target(folder: &File, name: &CStr) -> std::io::Result<PathBuf> {
    let name = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
    fs::read_link(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

/// Whether the file belongs to the target: it is regular, and no second name of another user's file.
fn plain(path: &Path, folder: &File, file: &File) -> Result<Metadata, String> {
    let say = |error: std::io::Error| format!("{}: {error}", path.display());
    let (about, folder) = (file.metadata().map_err(say)?, folder.metadata().map_err(say)?);
    if !about.is_file() {
        return Err(format!("{}: it is no regular file", path.display()));
    }
    if about.nlink() > 1 && about.uid() != folder.uid() {
        return Err(format!("{}: it is a second name of a file of another user", path.display()));
    }
    Ok(about)
}

/// Opens a regular file to be read, and gives its size. Its last name is never followed.
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64), String> {
    let (folder, name) = folder_of(path, false)?;
    let say = |error: std::io::Error| match error.raw_os_error() {
        Some(libc::ELOOP) => format!("{}: it is a symbolic link", path.display()),
        _ => format!("{}: {error}", path.display()),
    };
    // A pipe without a writer must not block this.
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = sys::open_at(&folder, &name, flags, 0).map_err(say)?;
    let about = plain(path, &folder, &file)?;
    Ok((file, about.len()))
}

/// Opens a regular file to be written, made where it is not there, with these flags beside.
pub(crate) fn open_to_write(path: &Path, flags: i32) -> Result<File, String> {
    let say = |error: std::io::Error| format!("{}: {error}", path.display());
    let flags = flags | libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW;
    let mut at = path.to_owned();
    for _ in 0..LINKS_MAX {
        let (folder, name) = folder_of(&at, true)?;
        let Some(link) = look(&folder, &name).ok().filter(Metadata::is_symlink) else {
            let file = sys::open_at(&folder, &name, flags, 0o644).map_err(say)?;
            plain(path, &folder, &file)?;
            return Ok(file);
        };
        if !trusted(&folder.metadata().map_err(say)?, &link) {
            return Err(format!("{}: it is a symbolic link that is not root's", path.display()));
        }
        // The target of root's link is walked like any path.
        at = fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())).map_err(say)?;
        for part in link_target(&folder, &name).map_err(say)?.components() {
            match part {
                Component::ParentDir => drop(at.pop()),
                part => at.push(part),
            }
        }
    }
    Err(format!("{}: too many symbolic links", path.display()))
}

/// Writes a chunk; offset 0 begins the file anew, with folders, permission bits and owner.
pub(crate) fn write(path: &str, offset: u64, mode: u32, owner: Option<&str>, chunk: &[u8]) -> Result<(), String> {
    let path = absolute(path)?;
    let say = |error| format!("writing {}: {error}", path.display());
    let file = open_to_write(path, if offset == 0 { libc::O_CREAT } else { 0 })?;
    if offset == 0 {
        file.set_len(0).map_err(say)?;
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777)).map_err(say)?;
        if let Some(owner) = owner {
            let ids = account(owner)?.ids;
            fchown(&file, Some(ids.uid), Some(ids.gid)).map_err(say)?;
        }
    }
    file.write_all_at(chunk, offset).map_err(say)
}

/// Reads a chunk, and the file's size.
pub(crate) fn read(path: &str, offset: u64, bytes: u32) -> Result<(u64, Vec<u8>), String> {
    let path = absolute(path)?;
    let (file, size) = open_regular(path).map_err(|reason| format!("reading {reason}"))?;
    let mut chunk = vec![0; (bytes as usize).min(BLOB_BYTES_MAX)];
    let got = read_chunk(&file, offset, &mut chunk).map_err(|error| format!("reading {}: {error}", path.display()))?;
    chunk.truncate(got);
    Ok((size, chunk))
}

/// Fills the buffer as far as the file goes; gives how far.
pub(crate) fn read_chunk(file: &File, offset: u64, chunk: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < chunk.len() {
        match file.read_at(&mut chunk[got..], offset + got as u64)? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

/// Regular files that match a path with `*` in its last part, sorted. No folder: no files.
pub(crate) fn list(pattern: &str) -> Result<Response, String> {
    let path = absolute(pattern)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(format!("pattern {pattern}: no file name in it"));
    };
    if folder.to_string_lossy().contains('*') {
        return Err(format!("pattern {pattern}: * in its last part only"));
    }
    if !folder.is_dir() {
        return Ok(Response::Files(Vec::new()));
    }
    let (opened, _) = folder_of(path, false)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/self/fd/{}", opened.as_raw_fd())).into_iter().flatten().flatten() {
        let matches_name = entry.file_name().to_str().is_some_and(|candidate| matches(name, candidate));
        // The entry itself, not the target of a link.
        if matches_name
            && let Ok(about) = entry.metadata()
            && about.is_file()
        {
            found.push((folder.join(entry.file_name()).to_string_lossy().into_owned(), about.len()));
        }
    }
    found.sort();
    Ok(Response::Files(found))
}

/// Whether a name fits a pattern in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match() {
        for (pattern, name, fits) in [
            ("a.log", "a.log", true),
            ("a.log", "b.log", false),
            ("*.log", "etcd.log", true),
            ("etcd*", "etcd", true),
            ("e*d*g", "etcd.log", true),
            ("e*x*g", "etcd.log", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn chunks_make_a_file() {
        let folder = std::env::temp_dir().join(format!("dsfuzz-files-{}", std::process::id()));
        let path = folder.join("deep/file");
        let path = path.to_str().expect("text");
        write(path, 0, 0o640, None, b"hello ").expect("written");
        write(path, 6, 0o640, None, b"world").expect("written");
        assert_eq!(read(path, 4, 100).expect("read"), (11, b"o world".to_vec()));
        assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o640);
        write(path, 0, 0o640, None, b"new").expect("written");
        assert_eq!(read(path, 0, 100).expect("read").0, 3);
        assert!(write("relative", 0, 0o640, None, b"").is_err());
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn links_and_special_files_are_not_followed() {
        let folder = std::env::temp_dir().join(format!("dsfuzz-links-{}", std::process::id()));
        fs::create_dir_all(folder.join("real")).expect("a folder");
        let at = |name: &str| folder.join(name).to_str().expect("text").to_owned();
        fs::write(at("real/a.log"), "a").expect("written");
        fs::write(at("secret"), "secret").expect("written");
        std::os::unix::fs::symlink(at("secret"), at("real/x.log")).expect("a link");
        std::process::Command::new("mkfifo").arg(at("real/pipe.log")).status().expect("mkfifo");
        let listed = list(&at("real/*.log")).expect("listed");
        assert_eq!(listed, Response::Files(vec![(at("real/a.log"), 1)]), "neither the link nor the pipe");
        assert!(read(&at("real/x.log"), 0, 10).expect_err("a link").contains("symbolic link"));
        assert!(read(&at("real/pipe.log"), 0, 10).expect_err("a pipe").contains("no regular file"));
        assert!(read("/dev/zero", 0, 10).expect_err("a device").contains("no regular file"));
        // A link that another user could have made is neither written nor walked through.
        fs::set_permissions(at("real"), fs::Permissions::from_mode(0o777)).expect("opened");
        assert!(write(&at("real/x.log"), 0, 0o644, None, b"x").expect_err("a link").contains("not root's"));
        std::os::unix::fs::symlink(&folder, at("real/up")).expect("a link");
        assert!(read(&at("real/up/secret"), 0, 10).expect_err("a link").contains("not root's"));
        assert_eq!(fs::read_to_string(at("secret")).expect("there"), "secret");
        // Root's links in root's folders are followed.
        fs::set_permissions(at("real"), fs::Permissions::from_mode(0o755)).expect("closed");
        assert_eq!(read(&at("real/up/secret"), 0, 10).expect("read").1, b"secret");
        // The target of such a link is trusted no more than any path.
        fs::create_dir(at("open")).expect("a folder");
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).expect("opened");
        std::os::unix::fs::symlink(&folder, at("open/evil")).expect("a link");
        std::os::unix::fs::symlink("../open/evil", at("real/via")).expect("a link");
        assert!(read(&at("real/via/secret"), 0, 10).expect_err("a link").contains("not root's"));
        std::os::unix::fs::symlink("../open/evil/secret", at("real/through")).expect("a link");
        assert!(write(&at("real/through"), 0, 0o644, None, b"x").expect_err("a link").contains("not root's"));
        std::os::unix::fs::symlink("../secret", at("real/own")).expect("a link");
        write(&at("real/own"), 0, 0o644, None, b"mine").expect("root's own link");
        assert_eq!(fs::read_to_string(at("secret")).expect("there"), "mine");
        std::os::unix::fs::symlink("loop", at("real/loop")).expect("a link");
        assert!(read(&at("real/loop/x"), 0, 10).expect_err("a loop").contains("too many"));
        fs::remove_dir_all(folder).expect("removed");
    }
}
