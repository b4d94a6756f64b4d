//! [`fingerprint`]: a folder of the control node that goes to every node as a package.
use crate::cluster::sha256;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The largest folder, in bytes. It travels in one piece.
const BYTES_MAX: u64 = 64 << 20;

/// The hash of all that a folder holds: names, permissions, contents. `provides` must be programs in it.
pub(super) fn fingerprint(folder: &Path, provides: &[String]) -> Result<String, String> {
    let here = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).map_err(|error| here(&next, error))? {
            let path = entry.map_err(|error| here(&next, error))?.path();
            let kind = path.symlink_metadata().map_err(|error| here(&path, error))?;
            if kind.is_dir() { folders.push(path) } else { files.push((path, kind)) }
        }
    }
    let bytes: u64 = files.iter().map(|(_, kind)| kind.len()).sum();
    if bytes > BYTES_MAX {
        let (has, most) = (bytes >> 20, BYTES_MAX >> 20);
        return Err(format!(
            "{} has {has} MiB, at most {most}: name a folder with the program alone",
            folder.display()
        ));
    }
    for program in provides {
        let file = files.iter().find(|(path, _)| *path == folder.join(program));
        let (path, kind) = file.ok_or_else(|| format!("{program} is not in {}", folder.display()))?;
        if kind.is_file() && kind.permissions().mode() & 0o111 == 0 {
            return Err(format!("{} cannot be executed: `chmod +x` it", path.display()));
        }
    }
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut all = String::new();
    for (path, kind) in files {
        let held = match kind.is_file() {
            true => std::fs::read(&path).map_err(|error| here(&path, error))?,
            false => std::fs::read_link(&path).unwrap_or_else(|_| PathBuf::new()).into_os_string().into_encoded_bytes(),
        };
        let name = path.strip_prefix(folder).unwrap_or(&path);
        all.push_str(&format!("{name:?} {:o} {}\n", kind.permissions().mode(), sha256(&held)));
    }
    Ok(sha256(all.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_content_name_or_permission_is_another_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        let provides = ["lib/node".to_owned()];
        let hash = || fingerprint(folder.path(), &provides);
        assert!(hash().expect_err("nothing is in it").contains("lib/node is not in"));
        std::fs::create_dir(file("lib")).expect("made");
        std::fs::write(file("lib/node"), "1").expect("written");
        assert!(hash().expect_err("no program").contains("chmod +x"));
        let mode =
            |mode| std::fs::set_permissions(file("lib/node"), std::fs::Permissions::from_mode(mode)).expect("set");
        mode(0o755);
        let mut seen = vec![hash().expect("a hash")];
        assert_eq!(hash().as_ref(), Ok(&seen[0]));
        let mut changed = |what: &str| {
            let now = hash().expect("a hash");
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        mode(0o700);
        changed("a permission");
        std::fs::write(file("lib/node"), "2").expect("written");
        changed("a content");
        std::fs::write(file("other"), "").expect("written");
        changed("a file");
        std::fs::rename(file("other"), file("another")).expect("renamed");
        changed("a name");
        std::os::unix::fs::symlink("lib/node", file("link")).expect("linked");
        changed("a link");
        std::fs::File::create(file("large")).and_then(|large| large.set_len(BYTES_MAX + 1)).expect("written");
        assert!(hash().expect_err("too large").contains("at most 64"));
    }
}
