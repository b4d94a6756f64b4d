//! [`Inputs`]: the files that a run was made from, stored in its folder, so that it can be run again on another machine.
use super::{RunDir, write_whole};
use crate::cluster::sha256;
use crate::secrets;
use crate::targets::{InputFiles, Target};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};

/// Largest file that is stored.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Most bytes of all files together.
const BYTES_MAX: u64 = 64 << 20;

/// What `inputs/` of a run's folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The name of the built-in recipe; empty for a user's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub builtin: String,
    /// The recipe's path in `inputs/`.
    pub recipe: String,
    /// Every file, the recipe first.
    pub files: Vec<InputFile>,
    /// Files that are not stored, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Files without the secrets that stood in them, which therefore are not as they ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
}

/// A file of `inputs/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Its path in `inputs/`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// The content of a file, and its permission bits.
type Content = (String, Vec<u8>, u32);

impl Inputs {
    /// What [`Inputs::keep`] would store.
    pub fn of(target: &Target) -> Inputs {
        read(&target.input_files()).0
    }

    /// Stores the files of a target in the folder of a run.
    pub fn keep(dir: &RunDir, target: &Target) -> Result<Inputs> {
        let (inputs, contents) = read(&target.input_files());
        for (name, bytes, mode) in contents {
            let path = dir.inputs().join(name);
            let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            let written = written.and_then(|()| write_whole(&path, &bytes));
            let written = written.and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(mode)));
            written.with_context(|| format!("{} cannot be stored", path.display()))?;
        }
        Ok(inputs)
    }

    /// The first stored file that is missing or has changed, in a sentence.
    pub fn damage(&self, dir: &RunDir) -> Option<String> {
        self.files.iter().find_map(|file| {
            let path = dir.inputs().join(&file.path);
            // A name in a run's folder never leads out of it.
            let inside = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
            match std::fs::read(&path) {
                _ if !inside => Some(format!("{} names a path outside of {}", file.path, dir.inputs().display())),
                Err(error) => Some(format!("{}: {error}", path.display())),
                Ok(bytes) if sha256(&bytes) != file.sha256 => {
                    Some(format!("{} is not as it was stored", path.display()))
                }
                Ok(_) => None,
            }
        })
    }
}

fn read(found: &InputFiles) -> (Inputs, Vec<Content>) {
    let mut absent = found.absent.clone();
    let mut contents = vec![(name(&found.recipe), found.text.clone().into_bytes(), 0o644)];
    let mut room = BYTES_MAX;
    for (path, source) in &found.files {
        let path = name(path);
        let meta = std::fs::metadata(source);
        match meta.map(|meta| (meta.len(), meta.permissions().mode() & 0o777)) {
            Ok((bytes, _)) if bytes > FILE_BYTES_MAX.min(room) => {
                absent.push(format!("{path} has {bytes} bytes, more than are stored"));
            }
            Ok((bytes, mode)) => match std::fs::read(source) {
                Ok(content) => {
                    room -= bytes;
                    contents.push((path, content, mode));
                }
                Err(error) => absent.push(format!("{path} cannot be read: {error}")),
            },
            Err(error) => absent.push(format!("{path} cannot be read: {error}")),
        }
    }
    let mut redacted = Vec::new();
    for (name, content, _) in &mut contents {
        let clean = std::str::from_utf8(content).ok().and_then(secrets::changed);
        if let Some(clean) = clean {
            redacted.push(name.clone());
            *content = clean.into_bytes();
        }
    }
    let file = |(path, content, _): &Content| InputFile {
        path: path.clone(),
        bytes: content.len() as u64,
        sha256: sha256(content),
    };
    let inputs = Inputs {
        builtin: found.builtin.clone().unwrap_or_default(),
        recipe: name(&found.recipe),
        files: contents.iter().map(file).collect(),
        absent,
        redacted,
    };
    (inputs, contents)
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
