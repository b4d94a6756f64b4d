//! The archive of a run for an issue report: `PLAN/TIME/..` in a tar file, without secrets, with logs of bounded length.
//!
//! Never: a file that could not be searched for secrets.
mod clean;
mod members;
mod readme;
mod unpack;

pub use unpack::{is_archive, unpack};

use crate::cluster::sha256;
use crate::secrets;
use crate::store::{InputFile, Inputs, RunDir, RunInfo, write_whole};
use anyhow::{Context as _, Result, bail};
use clean::Cleaner;
use flate2::Compression;
use flate2::write::GzEncoder;
use members::{Kind, Member};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What goes into an archive.
#[derive(Clone, Copy, Debug)]
pub struct PackOptions {
    /// Bytes of each log, at most; the middle of a longer one is left out.
    pub log_bytes: u64,
    /// Whether names and addresses of hosts are replaced.
    pub hide_hosts: bool,
}

/// An archive that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Packed {
    /// The archive.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its files.
    pub files: Vec<String>,
    /// What was left out or shortened, one sentence each.
    pub left_out: Vec<String>,
    /// Places at which a secret was taken out.
    pub redacted: u64,
}

/// Packs the run in a folder. The archive appears whole, or not at all.
pub fn pack(dir: &RunDir, to: &Path, options: PackOptions) -> Result<Packed> {
    let info = RunInfo::load(dir).with_context(|| dir.info().display().to_string())?;
    let top = top(dir, &info)?;
    let cleaner = Cleaner::of(dir, &info, options.hide_hosts)?;
    let (mut contents, mut packed) = (Vec::new(), Packed { path: to.to_owned(), ..Packed::default() });
    let mut inputs = Vec::new();
    for member in members::of(dir, &info, options.log_bytes)? {
        let Some(content) = content(&member, &cleaner, &mut packed)? else { continue };
        if let (Kind::Input, Some(path)) = (member.kind, member.name.strip_prefix("inputs/")) {
            inputs.push((path.to_owned(), content.clone()));
        }
        contents.push((member, content));
    }
    let info = stored_inputs(&info, inputs);
    for (member, content) in &mut contents {
        if member.kind == Kind::Account {
            *content = cleaner.text(&serde_json::to_string_pretty(&info)?, &mut packed.redacted).into_bytes();
        }
    }
    let readme = readme::text(&info, dir, &top, &packed);
    let readme = cleaner.text(&readme, &mut packed.redacted).into_bytes();
    contents.insert(0, (Member::of_text("README.md"), readme));
    for (member, content) in &contents {
        // The last look, at what is written.
        if secrets::changed(&String::from_utf8_lossy(content)).is_some() {
            bail!("{} would still hold a secret: nothing was packed", member.name);
        }
    }
    write(to, &top, &contents).with_context(|| format!("{} cannot be written", to.display()))?;
    packed.bytes = std::fs::metadata(to)?.len();
    packed.files = contents.into_iter().map(|(member, _)| member.name).collect();
    Ok(packed)
}

/// The folder in the archive.
fn top(dir: &RunDir, info: &RunInfo) -> Result<PathBuf> {
    let time = dir.path().file_name().with_context(|| format!("{} has no name", dir.path().display()))?;
    Ok(Path::new(&info.plan).join(time))
}

/// The cleaned content of a file; None if it is left out.
fn content(member: &Member, cleaner: &Cleaner, packed: &mut Packed) -> Result<Option<Vec<u8>>> {
    let bytes = std::fs::read(&member.path).with_context(|| member.path.display().to_string())?;
    let name = &member.name;
    if is_binary(&bytes) {
        let clean = secrets::changed(&String::from_utf8_lossy(&bytes)).is_none();
        if member.kind == Kind::Input && clean {
            return Ok(Some(bytes));
        }
        packed.left_out.push(format!("{name}: it is no text, and may hold secrets ({} bytes)", bytes.len()));
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    let clean = match member.kind {
        Kind::Log => cleaner.log(&text, &mut packed.redacted),
        Kind::Input if member.recipe => cleaner.recipe(&text, &mut packed.redacted),
        Kind::Input | Kind::Text | Kind::Account => cleaner.text(&text, &mut packed.redacted),
    };
    let Some(most) = member.bytes_max else { return Ok(Some(clean.into_bytes())) };
    let (short, cut) = clean::shortened(&clean, most);
    if cut > 0 {
        packed.left_out.push(format!("{name}: {cut} bytes of its middle"));
    }
    Ok(Some(short.into_bytes()))
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(8192)].contains(&0)
}

/// The account with the files as they are packed.
fn stored_inputs(info: &RunInfo, packed: Vec<(String, Vec<u8>)>) -> RunInfo {
    let Some(stored) = &info.inputs else { return info.clone() };
    let mut inputs = Inputs { files: Vec::new(), ..stored.clone() };
    for file in &stored.files {
        match packed.iter().find(|(path, _)| *path == file.path) {
            Some((path, content)) => {
                let fresh = InputFile { path: path.clone(), bytes: content.len() as u64, sha256: sha256(content) };
                if fresh.sha256 != file.sha256 {
                    inputs.redacted.push(path.clone());
                }
                inputs.files.push(fresh);
            }
            None => inputs.absent.push(format!("{}: it was not packed", file.path)),
        }
    }
    RunInfo { inputs: Some(inputs), ..info.clone() }
}

fn write(to: &Path, top: &Path, contents: &[(Member, Vec<u8>)]) -> Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (member, content) in contents {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(member.mode);
        header.set_mtime(member.modified);
        archive.append_data(&mut header, top.join(&member.name), &content[..])?;
    }
    let bytes = archive.into_inner()?.finish()?;
    write_whole(to, &bytes)?;
    File::open(to)?.sync_all()?;
    Ok(())
}
