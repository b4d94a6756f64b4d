//! Unpacks the archive of a run. It may come from anyone: no entry leads out of its folder, and none is more than a file.
use crate::store::{RunDir, RunInfo};
use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;
use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// Most bytes of all files.
const BYTES_MAX: u64 = 8 << 30;
const FILES_MAX: usize = 100_000;
/// The first bytes of gzip.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether a file is compressed as archives of runs are.
pub fn is_archive(path: &Path) -> bool {
    let mut magic = [0; 2];
    path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == MAGIC
}

/// Unpacks an archive to `PLAN/TIME` below this folder, if that run is not there yet.
pub fn unpack(archive: &Path, root: &Path) -> Result<RunDir> {
    let what = || format!("{} is no archive of a run", archive.display());
    let beside = root.join(format!(".unpacking-{}", std::process::id()));
    let unpacked = entries(archive, &beside).with_context(what).and_then(|top| place(&beside, root, &top));
    // Only what was made here.
    let _ = std::fs::remove_dir_all(&beside);
    unpacked
}

/// Writes the entries below `into`; the folder that holds them all.
fn entries(archive: &Path, into: &Path) -> Result<PathBuf> {
    let mut tar = tar::Archive::new(GzDecoder::new(File::open(archive)?).take(BYTES_MAX));
    let (mut top, mut room) = (None, BYTES_MAX);
    for (count, entry) in tar.entries()?.enumerate() {
        let mut entry = entry?;
        let (path, kind) = (entry.path()?.into_owned(), entry.header().entry_type());
        let parts: Vec<Component<'_>> = path.components().collect();
        let [Component::Normal(plan), Component::Normal(time), rest @ ..] = &parts[..] else {
            bail!("{} is not in a folder PLAN/TIME", path.display());
        };
        if !rest.iter().all(|part| matches!(part, Component::Normal(_))) {
            bail!("{} leads out of its folder", path.display());
        }
        let within = Path::new(plan).join(time);
        if *top.get_or_insert_with(|| within.clone()) != within {
            bail!("it holds several runs");
        }
        if kind.is_dir() {
            continue;
        }
        if !kind.is_file() || rest.is_empty() {
            bail!("{} is neither a file nor a folder", path.display());
        }
        if entry.size() > room || count >= FILES_MAX {
            bail!("it is larger than a run should be");
        }
        room -= entry.size();
        let to = into.join(&path);
        std::fs::create_dir_all(to.parent().unwrap_or(into))?;
        std::io::copy(&mut entry, &mut File::create(&to)?)?;
        let mode = if entry.header().mode()? & 0o100 != 0 { 0o755 } else { 0o644 };
        std::fs::set_permissions(&to, Permissions::from_mode(mode))?;
    }
    top.context("it is empty")
}

/// Moves the run to its place. The same run may be there already.
fn place(beside: &Path, root: &Path, top: &Path) -> Result<RunDir> {
    let (fresh, there) = (RunDir::at(beside.join(top)), RunDir::at(root.join(top)));
    let info = RunInfo::load(&fresh).context("its run.json cannot be read")?;
    if there.path().exists() {
        let known = RunInfo::load(&there).with_context(|| there.info().display().to_string())?;
        if known.started != info.started {
            bail!("{} is another run: move it away, or name another folder with --results", there.path().display());
        }
        return Ok(there);
    }
    std::fs::create_dir_all(there.path().parent().unwrap_or(root))?;
    std::fs::rename(fresh.path(), there.path())
        .with_context(|| format!("{} cannot be made", there.path().display()))?;
    Ok(there)
}
