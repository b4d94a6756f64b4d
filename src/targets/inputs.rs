//! [`InputFiles`]: the files of the control node that a target is made from: its recipe, files for nodes, programs of clients.
//!
//! Never: copies one.
use super::{Target, builtin_yaml, exec};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Folders between the recipe's folder and the one that holds all files, at most: a file farther away is not stored.
const ABOVE_MAX: usize = 3;
/// Files of a script's kind beside it, at most.
const BESIDE_MAX: usize = 64;

/// The files of a target, each with its path below one folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputFiles {
    /// The name of the built-in recipe, if it is one.
    pub builtin: Option<String>,
    /// The recipe's path below that folder.
    pub recipe: PathBuf,
    /// The recipe as it was read.
    pub text: String,
    /// The other files: the path below that folder, and where the file is.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Files that the target needs and that are not among these, one sentence each.
    pub absent: Vec<String>,
}

impl Target {
    /// The files of this machine that it is made from.
    pub fn input_files(&self) -> InputFiles {
        let text = self.text.clone();
        let Some(file) = &self.file else {
            let recipe = PathBuf::from(format!("{}.yaml", self.name()));
            return InputFiles { builtin: Some(self.name().to_owned()), recipe, text, ..InputFiles::default() };
        };
        let file = file.canonicalize().unwrap_or_else(|_| file.clone());
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let mut found = Found { folder: folder.clone(), files: BTreeSet::new(), absent: Vec::new() };
        self.recipe.files.iter().filter_map(|file| file.from.as_deref()).for_each(|from| found.add(from));
        for client in &self.recipe.clients {
            client.files.iter().for_each(|file| found.add(file));
            if let Some(argv) = &client.command {
                let words = match &*argv.0 {
                    [script] => exec::plain_words(script).unwrap_or_default(),
                    words => words.iter().map(String::as_str).collect(),
                };
                found.command(&words);
            }
        }
        let top = found.top(&folder);
        let below = |file: &Path| file.strip_prefix(&top).map_or_else(|_| file.to_owned(), Path::to_owned);
        let files = found.files.iter().filter(|other| **other != file && other.starts_with(&top));
        let files = files.map(|file| (below(file), file.clone())).collect();
        let far = found.files.iter().filter(|file| !file.starts_with(&top));
        let far = far.map(|file| format!("{} is too far from the recipe's folder", file.display()));
        let absent = found.absent.iter().cloned().chain(far).collect();
        InputFiles { builtin: None, recipe: below(&file), text, files, absent }
    }

    /// The text of a file in the recipe's folder, or the reason why there is none.
    pub(super) fn file(&self, path: &str) -> Result<String, String> {
        let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return Err(format!("{path:?} must be a path inside the recipe's folder"));
        }
        let path = self.folder.join(path);
        let bytes = crate::document::read_regular(&path);
        bytes.map_err(|error| format!("{} cannot be read: {error}", path.display()))
    }

    /// Whether this is the built-in recipe of that name, as this dsfuzz has it.
    pub fn is_builtin(name: &str, text: &str) -> bool {
        builtin_yaml(name) == Some(text)
    }
}

/// The files found so far, by their absolute paths.
struct Found {
    folder: PathBuf,
    files: BTreeSet<PathBuf>,
    absent: Vec<String>,
}

impl Found {
    /// A file that the recipe names, or all files of a folder.
    fn add(&mut self, name: &str) {
        let path = plain(&self.folder.join(name));
        if Path::new(name).is_absolute() {
            self.absent.push(format!("{name} is named by an absolute path"));
        } else if path.is_dir() {
            let files = in_folder(&path);
            self.files.extend(files.into_iter().take(BESIDE_MAX));
        } else if path.is_file() {
            self.files.insert(path);
        } else {
            self.absent.push(format!("{name} is not there"));
        }
    }

    /// The files among the words of a command, and the files of a script's kind beside it, which it may load.
    fn command(&mut self, words: &[&str]) {
        for (position, word) in words.iter().enumerate() {
            let path = plain(&self.folder.join(word));
            let system = ["/usr/", "/bin/", "/sbin/"].iter().any(|system| word.starts_with(system));
            // A program without a folder is one of PATH.
            if system || (position == 0 && !word.contains('/')) || !path.is_file() {
                continue;
            }
            if Path::new(word).is_absolute() && !path.starts_with(&self.folder) {
                self.absent.push(format!("{word} of a client's command is named by an absolute path"));
                continue;
            }
            if let (Some(kind), Some(folder)) = (path.extension(), path.parent()) {
                let beside = in_folder(folder).into_iter().filter(|other| other.extension() == Some(kind));
                self.files.extend(beside.take(BESIDE_MAX));
            }
            self.files.insert(path);
        }
    }

    /// The folder that holds the recipe and every file that is near enough.
    fn top(&self, folder: &Path) -> PathBuf {
        let holds = |top: &Path, file: &Path| file.starts_with(top);
        let near: Vec<&Path> = folder.ancestors().take(ABOVE_MAX + 1).filter(|top| top.parent().is_some()).collect();
        let farthest = near.last().copied().unwrap_or(folder);
        let meant: Vec<&PathBuf> = self.files.iter().filter(|file| holds(farthest, file)).collect();
        let top = near.iter().find(|top| meant.iter().all(|file| holds(top, file)));
        top.copied().unwrap_or(folder).to_owned()
    }
}

/// The regular files of a folder, by name, without hidden ones.
fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let visible = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let mut files: Vec<PathBuf> = visible.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// The path without `.` and `..`, by its words alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const RECIPE: &str = "schema: 1\nname: mine\ndoc: d\nprocesses: [{name: p, start: [\"true\"], ports: {client: 1}}]\n\
        files: [{path: /etc/x, from: x.conf}]\n\
        clients: [{interface: x, workloads: [set], command: [python3, client.py], files: [../lib/loop.py, gone.txt]}]\n";

    #[test]
    fn the_files_of_a_recipe_keep_their_places_to_each_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("t/recipe.yaml", RECIPE);
        for path in
            ["t/x.conf", "t/client.py", "t/helper.py", "t/.hidden.py", "t/unnamed.txt", "lib/loop.py", "lib/other.py"]
        {
            write(path, "#");
        }
        let target = super::super::load("t", folder.path(), &BTreeMap::new()).expect("a target");
        let inputs = target.input_files();
        let names: Vec<String> = inputs.files.iter().map(|(name, _)| name.display().to_string()).collect();
        assert_eq!(names, ["lib/loop.py", "t/client.py", "t/helper.py", "t/x.conf"]);
        assert_eq!((inputs.recipe.as_path(), &*inputs.text), (Path::new("t/recipe.yaml"), RECIPE));
        assert_eq!((inputs.builtin, inputs.absent), (None, vec!["gone.txt is not there".to_owned()]));
    }

    #[test]
    fn a_built_in_recipe_is_known_by_its_text() {
        let target = super::super::load("etcd", Path::new(""), &BTreeMap::new()).expect("a target");
        let inputs = target.input_files();
        assert_eq!((inputs.builtin.as_deref(), inputs.files.len()), (Some("etcd"), 0));
        assert!(Target::is_builtin("etcd", &inputs.text) && !Target::is_builtin("etcd", "schema: 1"));
    }
}
