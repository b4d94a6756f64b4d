//! The pages of the documentation: links lead somewhere, and the files that the map and the recipes of CONTRIBUTING name exist.
use std::fs;
use std::path::{Path, PathBuf};

const PAGES_MIN: usize = 15;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Pages in a folder; `deep`: also in the folders of that folder.
fn pages_in(folder: &Path, deep: bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().filter(|_| deep).flat_map(|folder| pages_in(folder, false));
    let pages = files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages.chain(below).collect()
}

fn pages() -> Vec<PathBuf> {
    let mut pages = pages_in(root(), false);
    pages.extend(pages_in(&root().join("docs"), false));
    pages.extend(pages_in(&root().join("examples"), true));
    pages.push(root().join("checkers/README.md"));
    pages
}

/// The text outside of blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The anchor that a heading gets on GitHub.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn anchors(page: &Path) -> Vec<String> {
    let text = prose(&text(page));
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let pages = pages();
    assert!(pages.len() >= PAGES_MIN, "only {} pages were found", pages.len());
    let mut wrong = Vec::new();
    let mut links = 0;
    for page in &pages {
        let text = prose(&text(page));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            let there = target.exists() && (heading.is_empty() || anchors(&target).iter().any(|one| one == heading));
            if !there {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links > 50, "only {links} links were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_the_map_and_the_recipes_name_exist() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for page in ["docs/architecture.md", "CONTRIBUTING.md"] {
        let text = prose(&text(&root().join(page)));
        let words = text.split('`').skip(1).step_by(2);
        let tops = ["src/", "checkers/", "workloads/", "nemesis/", "tests/", "docs/", "examples/"];
        for path in words.filter(|word| tops.iter().any(|top| word.starts_with(top)) && !word.contains([' ', '<', '*']))
        {
            named += 1;
            if !root().join(path).exists() {
                wrong.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(named > 50, "only {named} files are named");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
