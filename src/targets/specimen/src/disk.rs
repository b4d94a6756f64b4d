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
    /// What files with changes that are not synced held before.
    #[cfg(test)]
    synced: BTreeMap<String, Synced>,
}

/// What a power loss leaves of a file.
#[cfg(test)]
#[derive(Debug)]
enum Synced {
    /// Its beginning.
    Length(u64),
    /// The file before it was replaced, if there was one.
    Whole(Option<Vec<u8>>),
}

impl Disk {
    /// The files below a folder, which is made if it is not there.
    pub fn new(folder: PathBuf) -> Disk {
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Disk {
            folder,
            open: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            syncs: true,
            #[cfg(test)]
            synced: BTreeMap::new(),
        }
    }

    /// Nothing is synced from now on.
    pub fn never_sync(&mut self) {
        self.syncs = false;
    }

    /// Appends a line.
    pub fn append(&mut self, file: &str, line: &impl Serialize) {
        let mut text = serde_json::to_string(line).expect("JSON");
        text.push('\n');
        #[cfg(test)]
        self.remember_length(file);
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
        #[cfg(test)]
        if self.syncs {
            self.synced.clear();
        }
        for file in std::mem::take(&mut self.unsynced) {
            if let Some(open) = self.open.get(&file).filter(|_| self.waits()) {
                open.sync_data().unwrap_or_else(|error| panic!("{file}: {error}"));
            }
        }
    }

    /// Whether a sync waits for the machine's disk. That of a simulation knows what is synced.
    fn waits(&self) -> bool {
        self.syncs && !cfg!(test)
    }

    fn lines_of(&mut self, file: &str) -> &mut File {
        let (path, waits) = (self.folder.join(file), self.waits());
        self.open.entry(file.to_owned()).or_insert_with(|| {
            let new = !path.exists();
            let opened = File::options().create(true).append(true).open(&path);
            // The name of a new file is lost with the power, too, unless its folder is synced.
            if new
                && waits
                && let Ok(folder) = File::open(&self.folder)
            {
                folder.sync_all().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
            opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
    }

    fn write_whole(&mut self, file: &str, text: &str) {
        #[cfg(test)]
        self.remember_whole(file);
        let (path, fresh) = (self.folder.join(file), self.folder.join(format!("{file}.new")));
        let written = File::create(&fresh).and_then(|mut new| {
            new.write_all(text.as_bytes())?;
            if self.waits() { new.sync_all() } else { Ok(()) }
        });
        let placed = written
            .and_then(|()| std::fs::rename(&fresh, &path))
            .and_then(|()| if self.waits() { File::open(&self.folder)?.sync_all() } else { Ok(()) });
        placed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.open.remove(file);
    }
}

#[cfg(test)]
impl Disk {
    /// Takes from the files what was not synced.
    pub(crate) fn lose_power(&mut self) {
        self.open.clear();
        self.unsynced.clear();
        for (file, synced) in std::mem::take(&mut self.synced) {
            let path = self.folder.join(&file);
            let left = match synced {
                Synced::Whole(None) => std::fs::remove_file(&path),
                Synced::Whole(Some(content)) => std::fs::write(&path, content),
                Synced::Length(length) => File::options().write(true).open(&path).and_then(|open| open.set_len(length)),
            };
            left.unwrap_or_else(|error| panic!("{file}: {error}"));
        }
    }

    fn remember_length(&mut self, file: &str) {
        if !self.synced.contains_key(file) {
            let length = std::fs::metadata(self.folder.join(file)).map_or(0, |found| found.len());
            self.synced.insert(file.to_owned(), Synced::Length(length));
        }
    }

    fn remember_whole(&mut self, file: &str) {
        if self.syncs {
            self.synced.remove(file);
            return;
        }
        let path = self.folder.join(file);
        let earlier = match self.synced.remove(file) {
            Some(Synced::Whole(content)) => content,
            Some(Synced::Length(length)) => std::fs::read(path).ok().map(|mut content| {
                content.truncate(usize::try_from(length).unwrap_or(usize::MAX));
                content
            }),
            None => std::fs::read(path).ok(),
        };
        self.synced.insert(file.to_owned(), Synced::Whole(earlier));
    }
}
