//! The root of a node in a lab without root. A user namespace does not allow an overlay over `/`, so the root is an overlay
//! over a small base, with the machine's folders of programs laid over it one by one.
//!
//! Never: a way for a node to write the machine's own folders.
use super::sys;
use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

/// Folders of the machine that a node has afresh.
const FRESH: [&str; 11] = ["proc", "sys", "dev", "run", "tmp", "root", "var", "etc", "boot", "lost+found", "media"];
/// Folders whose content only root of a node adds to.
const ADDED_TO: [&str; 5] = ["usr/local", "usr/local/bin", "usr/local/sbin", "usr/local/lib", "opt"];
/// Links within `/etc` lead nowhere deeper than this.
const DEPTH_MAX: usize = 16;

/// The base of all nodes of a lab: a copy of what can be read of `/etc`, and empty folders.
pub(super) fn make(base: &Path, single: bool) -> Result<()> {
    let make = |folder: &str, mode: u32| -> Result<()> {
        let path = base.join(folder);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    };
    make("", 0o755)?;
    for entry in fs::read_dir("/").context("reading /")?.flatten() {
        let name = entry.file_name();
        match entry.file_type()? {
            kind if kind.is_symlink() => symlink(fs::read_link(entry.path())?, base.join(&name))?,
            kind if kind.is_dir() => make(&name.to_string_lossy(), 0o755)?,
            _ => {}
        }
    }
    for folder in
        ["proc", "sys", "dev", "run", "etc", "var/lib/dsfuzz", "var/lib/dpkg", "var/log", "var/cache", "var/spool"]
    {
        make(folder, 0o755)?;
    }
    make("tmp", 0o1777)?;
    make("var/tmp", 0o1777)?;
    make("root", 0o700)?;
    symlink("../run", base.join("var/run"))?;
    symlink("../run/lock", base.join("var/lock"))?;
    copy_readable(Path::new("/etc"), &base.join("etc"), 0)?;
    accounts(base, single)
}

/// Copies folders, files and links that this user can read. What cannot be read stays away.
fn copy_readable(from: &Path, to: &Path, depth: usize) -> Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten() {
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            symlink(fs::read_link(&path)?, &copy).with_context(|| format!("making {}", copy.display()))?;
        } else if kind.is_dir() && depth < DEPTH_MAX {
            fs::create_dir_all(&copy).with_context(|| format!("making {}", copy.display()))?;
            copy_readable(&path, &copy, depth + 1)?;
        } else if kind.is_file()
            && let Ok(text) = fs::read(&path)
        {
            fs::write(&copy, text).with_context(|| format!("writing {}", copy.display()))?;
            fs::set_permissions(&copy, entry.metadata()?.permissions())?;
        }
    }
    Ok(())
}

/// The accounts of the machine, and the homes of those that have one in `/var/lib`.
fn accounts(base: &Path, single: bool) -> Result<()> {
    let passwd = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, uid, gid, _, home, ..] = fields[..] else { continue };
        let Some(home) = Path::new(home).strip_prefix("/var/lib").ok().filter(|home| home.iter().count() == 1) else {
            continue;
        };
        let folder = base.join("var/lib").join(home);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        // A user that the lab does not have owns nothing.
        let _ = chown(&folder, uid.parse().ok(), gid.parse().ok());
    }
    let path = base.join("etc/passwd");
    fs::write(&path, if single { with_sshd_as_root(&passwd) } else { passwd })
        .with_context(|| format!("writing {}", path.display()))
}

/// sshd drops to its own user, which a lab with one user does not have.
fn with_sshd_as_root(passwd: &str) -> String {
    let others: String =
        passwd.lines().filter(|line| !line.starts_with("sshd:")).map(|line| format!("{line}\n")).collect();
    format!("{others}sshd:x:0:0::/run/sshd:/usr/sbin/nologin\n")
}

/// Lays the root of a node: the base, and over it the machine's folders. `hidden` is a folder that no node may see.
pub(super) fn mount_root(lab: &Path, node: &Path, hidden: &Path) -> Result<()> {
    let root = node.join("root");
    overlay(&lab.join("base"), &node.join("upper"), &node.join("work"), &root).context("laying the node's root")?;
    for entry in fs::read_dir("/").context("reading /")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && !FRESH.contains(&name.as_str()) {
            layer(node, &name, hidden)?;
        }
    }
    layer(node, "var/lib/dpkg", hidden)
}

/// Lays a folder of the machine over the node's. A folder with mounts below it cannot be laid; it is then only read.
fn layer(node: &Path, name: &str, hidden: &Path) -> Result<()> {
    let (below, at) = (Path::new("/").join(name), node.join("root").join(name));
    if !below.is_dir() || !at.is_dir() {
        return Ok(());
    }
    let own = node.join("layers").join(name.replace('/', "_"));
    let (upper, work) = (own.join("upper"), own.join("work"));
    for folder in [&upper, &work] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    for added in ADDED_TO.iter().filter_map(|path| Path::new(path).strip_prefix(name).ok()) {
        if below.join(added).is_dir() {
            fs::create_dir_all(upper.join(added))?;
        }
    }
    if let Ok(inside) = hidden.strip_prefix(&below) {
        let folder = upper.join(inside);
        fs::create_dir_all(&folder)?;
        sys::set_opaque(&folder, c"user.overlay.opaque").with_context(|| format!("hiding {}", hidden.display()))?;
    }
    if let Err(error) = overlay(&below, &upper, &work, &at) {
        eprintln!("/{name} is read-only in this node: {error:#}");
        let nothing: Option<&str> = None;
        mount(Some(&below), &at, nothing, MsFlags::MS_BIND | MsFlags::MS_REC, nothing)
            .and_then(|()| sys::read_only_tree(&at).map_err(|_| nix::errno::Errno::last()))
            .with_context(|| format!("laying /{name} into the node"))?;
    }
    Ok(())
}

fn overlay(lower: &Path, upper: &Path, work: &Path, at: &PathBuf) -> Result<()> {
    let layers =
        format!("lowerdir={},upperdir={},workdir={},userxattr", lower.display(), upper.display(), work.display());
    mount(Some("overlay"), at, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
        .with_context(|| format!("laying {} over {}", upper.display(), lower.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sshd_is_root_where_there_is_no_other_user() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nsshd:x:104:65534::/run/sshd:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let made = with_sshd_as_root(passwd);
        assert_eq!(made.lines().filter(|line| line.starts_with("sshd:")).count(), 1, "{made}");
        assert!(made.ends_with("sshd:x:0:0::/run/sshd:/usr/sbin/nologin\n") && made.contains("ann:x:1000"), "{made}");
    }
}
