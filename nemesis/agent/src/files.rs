//! Files in chunks: writing, reading, listing.
use crate::accounts::account;
use dsfuzz_nemesis::protocol::{BLOB_BYTES_MAX, Told};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::Path;

fn absolute(path: &str) -> Result<&Path, String> {
    let path = Path::new(path);
    if path.is_absolute() { Ok(path) } else { Err(format!("path {}: name it from the root", path.display())) }
}

/// Writes a chunk; offset 0 begins the file anew, with folders, permission bits and owner.
pub(crate) fn write(path: &str, offset: u64, mode: u32, owner: Option<&str>, chunk: &[u8]) -> Result<(), String> {
    let path = absolute(path)?;
    let say = |error| format!("writing {}: {error}", path.display());
    if offset == 0
        && let Some(folder) = path.parent()
    {
        fs::create_dir_all(folder).map_err(say)?;
    }
    let file = OpenOptions::new().write(true).create(offset == 0).truncate(offset == 0).open(path).map_err(say)?;
    if offset == 0 {
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777)).map_err(say)?;
        if let Some(owner) = owner {
            let ids = account(owner)?.ids;
            chown(path, Some(ids.uid), Some(ids.gid)).map_err(say)?;
        }
    }
    file.write_all_at(chunk, offset).map_err(say)
}

/// Reads a chunk, and the file's size.
pub(crate) fn read(path: &str, offset: u64, bytes: u32) -> Result<(u64, Vec<u8>), String> {
    let path = absolute(path)?;
    let say = |error| format!("reading {}: {error}", path.display());
    let file = fs::File::open(path).map_err(say)?;
    let about = file.metadata().map_err(say)?;
    if about.is_dir() {
        return Err(format!("reading {}: it is a folder", path.display()));
    }
    let mut chunk = vec![0; (bytes as usize).min(BLOB_BYTES_MAX)];
    let mut got = 0;
    while got < chunk.len() {
        match file.read_at(&mut chunk[got..], offset + got as u64).map_err(say)? {
            0 => break,
            more => got += more,
        }
    }
    chunk.truncate(got);
    Ok((about.len(), chunk))
}

/// Files that match a path with `*` in its last part, sorted. No folder: no files.
pub(crate) fn list(pattern: &str) -> Result<Told, String> {
    let path = absolute(pattern)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(format!("pattern {pattern}: no file name in it"));
    };
    if folder.to_string_lossy().contains('*') {
        return Err(format!("pattern {pattern}: * in its last part only"));
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let matches_name = entry.file_name().to_str().is_some_and(|candidate| matches(name, candidate));
        if matches_name
            && let Ok(about) = fs::metadata(entry.path())
            && about.is_file()
        {
            found.push((entry.path().to_string_lossy().into_owned(), about.len()));
        }
    }
    found.sort();
    Ok(Told::Files(found))
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
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
}
