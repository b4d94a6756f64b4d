//! Results that are kept, so that a stopped proof goes on where it was.
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tabled::builder::Builder;
use tabled::settings::Style;

/// One thing to show.
pub(crate) struct Case {
    /// Its name within its line, e.g. `seed-3`.
    pub(crate) name: String,
    /// Shows it.
    pub(crate) show: Box<dyn FnOnce() -> CaseResult + Send>,
}

/// The cases that are asked for: those whose names contain one of these texts; without any, all.
pub(crate) struct Only(pub(crate) Vec<String>);

impl Only {
    /// The texts between commas.
    pub(crate) fn parse(texts: &str) -> Only {
        Only(texts.split(',').filter(|text| !text.is_empty()).map(String::from).collect())
    }

    /// Whether a case of this name is asked for.
    pub(crate) fn chooses(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|text| name.contains(text))
    }
}

/// What came out.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct CaseResult {
    /// Whether it is as claimed.
    pub(crate) as_claimed: bool,
    /// What was seen, in a sentence.
    pub(crate) seen: String,
}

/// The kept results.
pub(crate) struct StoredResults {
    folder: PathBuf,
    again: bool,
    shown: BTreeMap<(usize, String, String), (CaseResult, u64)>,
    order: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    shown: CaseResult,
    took_ms: u64,
}

impl StoredResults {
    /// Results in this folder; with `again`, old ones are not used.
    pub(crate) fn open(folder: &str, again: bool) -> StoredResults {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
        StoredResults { folder, again, shown: BTreeMap::new(), order: Vec::new() }
    }

    /// Shows the cases, `jobs` at a time, unless their results are kept.
    pub(crate) fn show(&mut self, line: &str, cases: Vec<Case>, jobs: usize) {
        if !self.order.iter().any(|known| known == line) {
            self.order.push(line.to_string());
        }
        let position = self.order.iter().position(|known| known == line).unwrap_or(0);
        let (all, began, mut ended) = (cases.len(), Instant::now(), 0);
        let waiting = Mutex::new(VecDeque::from(cases));
        let (done, shown) = std::sync::mpsc::channel();
        let (folder, again) = (self.folder.join(line), self.again);
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                let (waiting, folder, done) = (&waiting, &folder, done.clone());
                scope.spawn(move || {
                    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    while let Some(case) = next() {
                        let name = case.name.clone();
                        let file = show_one(folder, case, again);
                        done.send((name, file)).expect("the results are taken");
                    }
                });
            }
            drop(done);
            for (name, file) in shown {
                let mark = if file.shown.as_claimed { "as claimed" } else { "NOT AS CLAIMED" };
                ended += 1;
                let done = format!("{ended} of {all} after {:.0} s", began.elapsed().as_secs_f64());
                eprintln!("{done}: {line} {name}: {mark}: {} ({:.1} s)", file.shown.seen, file.took_ms as f64 / 1e3);
                self.shown.insert((position, line.to_string(), name), (file.shown, file.took_ms));
            }
        });
    }

    /// Every case in a table, then the sums.
    pub(crate) fn table(&self) -> String {
        let mut rows = Builder::new();
        rows.push_record(["line", "case", "as claimed", "s", "seen"]);
        let mut sums: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for ((position, line, name), (shown, took_ms)) in &self.shown {
            let claimed = if shown.as_claimed { "yes" } else { "NO" };
            rows.push_record([line, name, claimed, &format!("{:.1}", *took_ms as f64 / 1e3), &shown.seen]);
            let sum = sums.entry(*position).or_default();
            sum.0 += usize::from(shown.as_claimed);
            sum.1 += 1;
        }
        let mut text = rows.build().with(Style::psql()).to_string();
        for (position, (good, all)) in sums {
            text.push_str(&format!("\n{}: {good} of {all} as claimed", self.order[position]));
        }
        text
    }

    /// The results of a line whose case's name begins so: whether as claimed, what was seen, how long it took.
    pub(crate) fn of(&self, line: &str, beginning: &str) -> Vec<(bool, String, u64)> {
        let of = self.shown.iter().filter(|((_, known, name), _)| known == line && name.starts_with(beginning));
        of.map(|(_, (shown, took_ms))| (shown.as_claimed, shown.seen.clone(), *took_ms)).collect()
    }

    /// Every result of a line that is kept, also of other commands, by the name of its case.
    pub(crate) fn kept(&self, line: &str) -> BTreeMap<String, CaseResult> {
        let files = std::fs::read_dir(self.folder.join(line)).into_iter().flatten().flatten();
        let read = |path: PathBuf| {
            let file = serde_json::from_slice::<StoredFile>(&std::fs::read(&path).ok()?).ok()?;
            Some((path.file_stem()?.to_str()?.to_owned(), file.shown))
        };
        files.filter_map(|file| read(file.path())).collect()
    }

    /// Whether everything shown is as claimed.
    pub(crate) fn all_as_claimed(&self) -> bool {
        self.shown.values().all(|(shown, _)| shown.as_claimed)
    }
}

/// The result of a case: the one that is kept in the folder, or a new one, which is kept there.
fn show_one(folder: &Path, case: Case, again: bool) -> StoredFile {
    let path = folder.join(format!("{}.json", case.name));
    let old = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<StoredFile>(&bytes).ok());
    if let Some(file) = old.filter(|_| !again) {
        return file;
    }
    let began = Instant::now();
    let shown = (case.show)();
    let file = StoredFile { shown, took_ms: began.elapsed().as_millis() as u64 };
    std::fs::create_dir_all(folder).expect("results/ can be written");
    std::fs::write(&path, serde_json::to_vec_pretty(&file).expect("JSON")).expect("results/ can be written");
    file
}
