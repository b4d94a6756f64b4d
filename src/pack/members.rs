//! [`Member`]: a file of a run's folder that goes into its archive.
use crate::store::{RunDir, RunInfo};
use anyhow::{Context as _, Result};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Files of a run beside its logs, in the order in which they are read.
const FILES: [&str; 7] =
    ["plan.yaml", "schedule.yaml", "verdict.json", "history.jsonl", "report.html", "junit.xml", "run.json"];
/// Logs: files, and folders of files.
const LOGS: [&str; 3] = ["dsfuzz.log", "clients", "nodes"];
/// Never packed: what clients keep for themselves.
const SCRATCH: &str = "scratch";
const LOGS_MAX: usize = 2000;
const DEPTH_MAX: usize = 8;

/// How a file is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Written by dsfuzz, whose texts are redacted already.
    Text,
    /// `run.json`.
    Account,
    /// A log of a node, a client or dsfuzz.
    Log,
    /// A file of `inputs/`.
    Input,
}

/// A file of an archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its path below the run's folder.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Whether it is a recipe that is not built in.
    pub(super) recipe: bool,
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: u64,
    pub(super) bytes_max: Option<u64>,
}

impl Member {
    /// A text that is in no folder.
    pub(super) fn of_text(name: &str) -> Member {
        Member {
            name: name.to_owned(),
            path: PathBuf::new(),
            kind: Kind::Text,
            recipe: false,
            mode: 0o644,
            modified: 0,
            bytes_max: None,
        }
    }
}

/// The files of a run that are packed. The journal is left out: `history.jsonl` holds the same.
pub(super) fn of(dir: &RunDir, info: &RunInfo, log_bytes: u64) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    for name in FILES {
        let kind = if name == "run.json" { Kind::Account } else { Kind::Text };
        members.extend(member(dir, name, kind)?);
    }
    if let Some(inputs) = &info.inputs {
        for file in &inputs.files {
            let name = format!("inputs/{}", file.path);
            let recipe = file.path == inputs.recipe && inputs.builtin.is_empty();
            members.extend(member(dir, &name, Kind::Input)?.map(|member| Member { recipe, ..member }));
        }
    }
    let mut logs = Vec::new();
    for name in LOGS {
        collect(&dir.path().join(name), &mut logs, 0);
    }
    for path in logs {
        if let Ok(name) = path.strip_prefix(dir.path()) {
            let found = member(dir, &name.to_string_lossy(), Kind::Log)?;
            members.extend(found.map(|member| Member { bytes_max: Some(log_bytes), ..member }));
        }
    }
    Ok(members)
}

fn member(dir: &RunDir, name: &str, kind: Kind) -> Result<Option<Member>> {
    let path = dir.path().join(name);
    // Links may lead out of the folder.
    let meta = match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => meta,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let executable = kind == Kind::Input && meta.permissions().mode() & 0o100 != 0;
    Ok(Some(Member {
        kind,
        path,
        mode: if executable { 0o755 } else { 0o644 },
        modified: modified.map_or(0, |time| time.as_secs()),
        ..Member::of_text(name)
    }))
}

/// The regular files below a path, by name.
fn collect(path: &Path, found: &mut Vec<PathBuf>, depth: usize) {
    let Ok(meta) = path.symlink_metadata() else { return };
    if meta.is_file() && found.len() < LOGS_MAX {
        found.push(path.to_owned());
    } else if meta.is_dir() && depth < DEPTH_MAX && path.file_name().is_none_or(|name| name != SCRATCH) {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| collect(entry, found, depth + 1));
    }
}
