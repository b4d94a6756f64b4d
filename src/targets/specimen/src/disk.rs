//! [`Disk`]: the files of a node.
//!
//! A file of lines grows by [`Disk::append`]; a file with one value is replaced as a whole. What is appended is synced before
//! anything leaves the node ([`Disk::sync`]), unless [`Disk::never_sync`] was called.
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

/// The files of a node.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    open: BTreeMap<String, File>,
    /// Files with lines that are not synced.
    unsynced: BTreeSet<String>,
    syncs: bool,
}

impl Disk {
    /// The files below a folder, which is made if it is not there.
    pub fn new(folder: PathBuf) -> Disk {
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Disk { folder, open: BTreeMap::new(), unsynced: BTreeSet::new(), syncs: true }
    }

    /// Nothing is synced from now on.
    pub fn never_sync(&mut self) {
        self.syncs = false;
    }

    /// Appends a line.
    pub fn append(&mut self, file: &str, line: &impl Serialize) {
        let mut text = serde_json::to_string(line).expect("JSON");
        text.push('\n');
        self.lines_of(file).write_all(text.as_bytes()).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.unsynced.insert(file.to_owned());
    }

    /// All whole lines of a file. A torn line at its end was never acknowledged, and is cut off.
    pub fn lines<T: DeserializeOwned>(&mut self, file: &str) -> Vec<T> {
        let Ok(stored) = File::open(self.folder.join(file)) else { return Vec::new() };
        let mut reader = BufReader::new(stored);
        let (mut lines, mut whole, mut line) = (Vec::new(), 0, String::new());
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            match serde_json::from_str(&line) {
                Ok(entry) if line.ends_with('\n') => lines.push(entry),
                _ => break,
            }
            whole += line.len() as u64;
            line.clear();
        }
        self.lines_of(file).set_len(whole).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.unsynced.insert(file.to_owned());
        lines
    }

    /// Replaces all lines of a file at once.
    pub fn replace_lines<T: Serialize>(&mut self, file: &str, lines: impl IntoIterator<Item = T>) {
        let texts = lines.into_iter().map(|line| serde_json::to_string(&line).expect("JSON") + "\n");
        self.write_whole(file, &texts.collect::<String>());
    }

    /// Replaces the value of a file.
    pub fn store(&mut self, file: &str, value: &impl Serialize) {
        let text = serde_json::to_string(value).expect("JSON");
        self.write_whole(file, &text);
    }

    /// The value of a file, if it was ever stored.
    pub fn load<T: DeserializeOwned>(&self, file: &str) -> Option<T> {
        serde_json::from_str(&std::fs::read_to_string(self.folder.join(file)).ok()?).ok()
    }

    /// Syncs what was appended.
    pub fn sync(&mut self) {
        for file in std::mem::take(&mut self.unsynced) {
            if let Some(open) = self.open.get(&file).filter(|_| self.syncs) {
                open.sync_data().unwrap_or_else(|error| panic!("{file}: {error}"));
            }
        }
    }

    fn lines_of(&mut self, file: &str) -> &mut File {
        let path = self.folder.join(file);
        self.open.entry(file.to_owned()).or_insert_with(|| {
            let new = !path.exists();
            let opened = File::options().create(true).append(true).open(&path);
            // The name of a new file is lost with the power, too, unless its folder is synced.
            if new
                && self.syncs
                && let Ok(folder) = File::open(&self.folder)
            {
                folder.sync_all().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
            opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
    }

    fn write_whole(&mut self, file: &str, text: &str) {
        let (path, fresh) = (self.folder.join(file), self.folder.join(format!("{file}.new")));
        let written = File::create(&fresh).and_then(|mut new| {
            new.write_all(text.as_bytes())?;
            if self.syncs { new.sync_all() } else { Ok(()) }
        });
        let placed = written
            .and_then(|()| std::fs::rename(&fresh, &path))
            .and_then(|()| if self.syncs { File::open(&self.folder)?.sync_all() } else { Ok(()) });
        placed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.open.remove(file);
    }
}
