//! Folders of this user that outlast a run, and the folders of the programs that belong to this one.
use std::path::PathBuf;
use std::sync::OnceLock;

/// The file of a program beside this one, such as a client, or what to do about its absence. Tests of cargo live one folder below the
/// programs they test.
pub fn beside(program: &str) -> Result<PathBuf, String> {
    let missing =
        || format!("the program {program} is not beside dsfuzz: `make build` builds it, or `cargo build -p {program}`");
    program_folders().into_iter().map(|folder| folder.join(program)).find(|path| path.is_file()).ok_or_else(missing)
}

/// The folders in which programs that belong to this one are looked for.
pub fn program_folders() -> Vec<PathBuf> {
    let own = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_path_buf()));
    let above = own.clone().filter(|folder| folder.ends_with("deps")).and_then(|f| Some(f.parent()?.to_path_buf()));
    own.into_iter().chain(above).collect()
}

/// Whether root started this process. A process that enters a lab without root is root there, and its folders stay those of its user.
pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| nix::unistd::geteuid().is_root())
}

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
        Some(home) if !is_root() => home.join(".local/state/dsfuzz"),
        _ => PathBuf::from("/var/lib/dsfuzz"),
    }
}
