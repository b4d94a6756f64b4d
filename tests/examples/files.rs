//! The files under `examples/`.
use std::path::{Path, PathBuf};

/// Those whose names end so.
pub(crate) fn ending(end: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), end, &mut all);
    all
}

fn below(folder: &Path, end: &str, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            below(&entry, end, all);
        } else if entry.to_string_lossy().ends_with(end) {
            all.push(entry);
        }
    }
}
