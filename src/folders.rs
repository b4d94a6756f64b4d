//! Folders of this user that outlast a run.
use std::path::PathBuf;

/// The state folder: `$DSFUZZ_STATE`, else `$XDG_STATE_HOME/dsfuzz`, else `/var/lib/dsfuzz` for root and
/// `~/.local/state/dsfuzz` for others.
pub fn state_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("DSFUZZ_STATE") {
        return path;
    }
    if let Some(path) = set("XDG_STATE_HOME") {
        return path.join("dsfuzz");
    }
    match set("HOME") {
        Some(home) if !nix::unistd::geteuid().is_root() => home.join(".local/state/dsfuzz"),
        _ => PathBuf::from("/var/lib/dsfuzz"),
    }
}
