//! Makes, finds and lists the folders of runs. Never: reads a history.
use super::{ReplayOf, RunDir, RunInfo, RunState, RunVerdict};
use crate::document::did_you_mean;
use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use dsfuzz_checkers::Validity;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Most runs that start in one second.
const SAME_SECOND_MAX: u32 = 1000;
/// The link to the newest run that has a history.
const LATEST: &str = "latest";

/// Makes the folder of a new run, `<root>/<plan>/<time>/`. `latest` in the plan's folder and in the root points at it only if
/// it points at no run with a history: see [`become_latest`]. Runs that start in one second get separate folders.
pub fn create(root: &Path, plan: &str, time: DateTime<Utc>) -> anyhow::Result<RunDir> {
    let folder = root.join(plan);
    std::fs::create_dir_all(&folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let stamp = time.format("%Y%m%dT%H%M%SZ").to_string();
    for count in 1..=SAME_SECOND_MAX {
        let name = if count == 1 { stamp.clone() } else { format!("{stamp}-{count}") };
        let path = folder.join(&name);
        match std::fs::create_dir(&path) {
            Ok(()) => {
                for (folder, to) in [(&*folder, PathBuf::from(&name)), (root, Path::new(plan).join(&name))] {
                    is_free(&folder.join(LATEST))?;
                    if !RunDir::at(folder.join(LATEST)).has_history() {
                        point(folder, &to)?;
                    }
                }
                return Ok(RunDir::at(path));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("the folder {} cannot be made", path.display()));
            }
        }
    }
    bail!("{} holds {SAME_SECOND_MAX} runs of this second already", folder.display())
}

/// Points `latest` at a run that has a history from now on. A command that was refused, or ended before its load, never
/// replaces such a run.
pub fn become_latest(run: &RunDir) -> anyhow::Result<()> {
    let mut ancestors = run.path().ancestors().skip(1);
    let (Some(folder), Some(root)) = (ancestors.next(), ancestors.next()) else { return Ok(()) };
    let to = |folder: &Path| run.path().strip_prefix(folder).map(Path::to_owned);
    point(folder, &to(folder)?)?;
    point(root, &to(root)?)
}

/// Makes a folder for the answer to another question than the run's own: `checks/<time>-<label>/`.
pub fn create_beside(run: &RunDir, label: &str, time: DateTime<Utc>) -> anyhow::Result<RunDir> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.,".contains(c) { c } else { '-' };
    let label: String = label.chars().take(80).map(plain).collect();
    let stamp = time.format("%Y%m%dT%H%M%SZ");
    for count in 1..=SAME_SECOND_MAX {
        let name = if count == 1 { format!("{stamp}-{label}") } else { format!("{stamp}-{count}-{label}") };
        let dir = run.beside(&name);
        std::fs::create_dir_all(dir.answers().parent().unwrap_or(run.path()))
            .with_context(|| format!("the folder {} cannot be made", dir.answers().display()))?;
        match std::fs::create_dir(dir.answers()) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("the folder {} cannot be made", dir.answers().display()));
            }
        }
    }
    bail!("{} has {SAME_SECOND_MAX} checks of this second already", run.path().display())
}

fn is_free(link: &Path) -> anyhow::Result<()> {
    if link.symlink_metadata().is_ok_and(|found| !found.is_symlink()) {
        bail!("{} is in the way: it should be a link that dsfuzz makes", link.display());
    }
    Ok(())
}

/// `folder/latest` -> `to`, atomically: a reader sees the old link or the new one.
fn point(folder: &Path, to: &Path) -> anyhow::Result<()> {
    let link = folder.join(LATEST);
    is_free(&link)?;
    let tag: String = to.to_string_lossy().replace('/', "-");
    let fresh = folder.join(format!(".latest-{}-{tag}", std::process::id()));
    let made = std::os::unix::fs::symlink(to, &fresh).and_then(|()| std::fs::rename(&fresh, &link));
    made.with_context(|| format!("the link {} cannot be made", link.display()))
}

/// The run that `spec` names: a path to its folder, `latest` (or nothing), `plan`, `plan/latest` or `plan/time`.
pub fn find(root: &Path, spec: &str) -> anyhow::Result<RunDir> {
    let spec = spec.trim_end_matches('/');
    let spec = if spec.is_empty() { LATEST } else { spec };
    for path in [PathBuf::from(spec), root.join(spec), root.join(spec).join(LATEST)] {
        if is_run(&path) {
            // The link may change while the run is being read.
            return Ok(RunDir::at(path.canonicalize().unwrap_or(path)));
        }
    }
    if root.join(spec).join(LATEST).is_symlink() || root.join(spec).is_symlink() {
        bail!("the run that {} pointed at is gone; `dsfuzz runs` shows the others", root.join(spec).display());
    }
    let rows = list(root)?;
    if rows.is_empty() {
        bail!("no run {spec}: {} holds none yet; `dsfuzz run PLAN` makes one", root.display());
    }
    let names: Vec<String> =
        rows.iter().flat_map(|row| [format!("{}/{}", row.plan, row.time), row.plan.clone()]).collect();
    match did_you_mean(spec, names.iter().map(String::as_str)) {
        Some(meant) => bail!("no run {spec} in {}; did you mean {meant}?", root.display()),
        None => bail!("no run {spec} in {}; the newest is {} (`dsfuzz runs` shows all)", root.display(), names[0]),
    }
}

/// The newest command that `spec` passes over because its run has no history: it was refused, ended before its load, or has
/// not reached it yet. None if `spec` names a run by its time or folder.
pub fn passed_over(root: &Path, spec: &str, found: &RunDir) -> anyhow::Result<Option<RunRow>> {
    let plan = match spec.trim_end_matches('/').trim_end_matches(LATEST).trim_end_matches('/') {
        "" => None,
        plan if root.join(plan).join(LATEST).is_symlink() => Some(plan),
        _ => return Ok(None),
    };
    let mut newer = Vec::new();
    for folder in folders(root)?.into_iter().filter(|folder| plan.is_none_or(|plan| folder.ends_with(plan))) {
        newer.extend(folders(&folder)?.into_iter().filter(|run| order_of(run) > order_of(found.path()) && is_run(run)));
    }
    newer.sort_by_key(|run| std::cmp::Reverse(order_of(run)));
    Ok(newer.iter().find(|run| !RunDir::at(run).has_history()).map(|run| row(run)))
}

fn is_run(path: &Path) -> bool {
    let run = RunDir::at(path);
    [run.info(), run.plan(), run.history(), run.journal()].iter().any(|file| file.exists())
}

/// One line of `dsfuzz runs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// The plan's name.
    pub plan: String,
    /// The folder's name.
    pub time: String,
    /// The folder.
    pub path: PathBuf,
    /// Start, RFC 3339.
    pub started: String,
    /// The target's name.
    pub target: String,
    /// The number of nodes.
    pub nodes: usize,
    /// The seed.
    pub seed: u64,
    /// Its state.
    pub state: RunState,
    /// The verdict, if there is one.
    pub validity: Option<Validity>,
    /// The verdict or the state in words.
    pub sentence: String,
    /// The exit code; none while it runs and after a kill.
    pub exit: Option<i32>,
    /// The stored run that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayOf>,
}

/// Every run below `root`, newest first. Folders without a run are skipped; a missing root is empty.
pub fn list(root: &Path) -> anyhow::Result<Vec<RunRow>> {
    let mut rows = Vec::new();
    for plan in folders(root)? {
        for run in folders(&plan)? {
            if is_run(&run) {
                rows.push(row(&run));
            }
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(order_of(&row.path)));
    Ok(rows)
}

/// Newest last: the stamp, then the number among the runs of that second.
fn order_of(run: &Path) -> (String, u32, String) {
    let (plan, time) = (name(run.parent()), name(Some(run)));
    let (stamp, count) = time.split_once('-').unwrap_or((&time, "1"));
    (stamp.to_owned(), count.parse().unwrap_or(0), plan)
}

fn name(path: Option<&Path>) -> String {
    path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Folders, not links to them.
fn folders(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries.filter_map(Result::ok).filter(is_folder).map(|entry| entry.path()).collect())
}

fn row(path: &Path) -> RunRow {
    let run = RunDir::at(path);
    let info: Result<RunInfo, String> = json(&run.info());
    let verdict: Option<RunVerdict> = json(&run.verdict()).ok();
    let state = RunState::of(&run, info.as_ref().ok(), verdict.as_ref());
    let sentence = match (&info, &verdict) {
        (_, Some(verdict)) if state == RunState::Ended || state.not_run() => verdict.sentence.clone(),
        (Err(error), _) => format!("run.json: {error}"),
        (Ok(info), _) => state.sentence(&run, info),
    };
    let info = info.unwrap_or_default();
    RunRow {
        plan: name(path.parent()),
        time: name(Some(path)),
        path: path.to_owned(),
        started: info.started,
        target: info.target,
        nodes: info.nodes.len(),
        seed: info.seed,
        validity: verdict.as_ref().map(|verdict| verdict.validity),
        state,
        sentence,
        exit: info.exit,
        replay: info.replay,
    }
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn begun(root: &Path, plan: &str, seconds: i64) -> RunDir {
        let run = create(root, plan, time(seconds)).unwrap();
        let info = RunInfo { plan: plan.into(), seed: 7, ..RunInfo::default() };
        std::fs::write(run.info(), serde_json::to_vec(&info).unwrap()).unwrap();
        std::fs::create_dir(run.journal()).unwrap();
        become_latest(&run).unwrap();
        run
    }

    /// A refused command in the form that `dsfuzz run` keeps.
    fn refused(root: &Path, plan: &str, seconds: i64) -> RunDir {
        let run = create(root, plan, time(seconds)).unwrap();
        let info = RunInfo { plan: plan.into(), exit: Some(254), ..RunInfo::default() };
        std::fs::write(run.info(), serde_json::to_vec(&info).unwrap()).unwrap();
        let verdict = RunVerdict::failed("no such key", 254);
        std::fs::write(run.verdict(), serde_json::to_vec(&verdict).unwrap()).unwrap();
        run
    }

    #[test]
    fn a_refused_command_takes_the_place_of_no_run() {
        let root = tempfile::tempdir().unwrap();
        let found = |spec: &str| find(root.path(), spec).unwrap();
        let same =
            |one: &RunDir, other: &RunDir| one.path().canonicalize().unwrap() == other.path().canonicalize().unwrap();
        // Without any run `latest` is the refused command.
        let first = refused(root.path(), "p", 1);
        assert!(same(&found("latest"), &first) && same(&found("p"), &first));
        assert_eq!(passed_over(root.path(), "latest", &found("latest")).unwrap(), None);
        let run = begun(root.path(), "p", 2);
        refused(root.path(), "p", 3);
        let other = refused(root.path(), "q", 4);
        assert!(same(&found("latest"), &run) && same(&found("p/latest"), &run) && same(&found("q"), &other));
        let over = |spec: &str| passed_over(root.path(), spec, &found(spec)).unwrap().map(|row| (row.plan, row.state));
        assert_eq!(over("latest"), Some(("q".into(), RunState::Refused)));
        assert_eq!(over("p"), Some(("p".into(), RunState::Refused)));
        assert_eq!(over("q"), None);
        assert_eq!(over("p/19700101T000002Z"), None, "a run by its time");
        let newer = begun(root.path(), "p", 5);
        assert!(same(&found(""), &newer) && same(&found("p"), &newer));
        assert_eq!(over(""), None);
        let states: Vec<RunState> = list(root.path()).unwrap().iter().map(|row| row.state).collect();
        use RunState::{Refused, Unknown};
        assert_eq!(states, [Unknown, Refused, Refused, Unknown, Refused]);
    }

    #[test]
    fn runs_of_one_second_get_folders_of_their_own_and_latest_follows() {
        let root = tempfile::tempdir().unwrap();
        let first = begun(root.path(), "p", 0);
        let second = begun(root.path(), "p", 0);
        assert!(first.path().ends_with("p/19700101T000000Z") && second.path().ends_with("p/19700101T000000Z-2"));
        let latest = |spec: &str| find(root.path(), spec).unwrap().path().canonicalize().unwrap();
        let newest = second.path().canonicalize().unwrap();
        for spec in ["", "latest", "p", "p/latest", "p/19700101T000000Z-2", newest.to_str().unwrap()] {
            assert_eq!(latest(spec), newest, "{spec}");
        }
        assert_eq!(latest("p/19700101T000000Z"), first.path().canonicalize().unwrap());
        begun(root.path(), "q", 5);
        assert_eq!(latest("p"), newest);
        assert!(latest("latest").ends_with("q/19700101T000005Z"));
    }

    #[test]
    fn the_list_is_newest_first_and_tells_states_apart() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(list(&root.path().join("absent")).unwrap(), []);
        for _ in 0..11 {
            begun(root.path(), "p", 0);
        }
        let judged = begun(root.path(), "q", 9);
        let verdict = RunVerdict {
            notes: Vec::new(),
            load: Vec::new(),
            format: 1,
            validity: Validity::Invalid,
            sentence: "a write is lost".into(),
            promises: Vec::new(),
            evidence: Vec::new(),
            harness: Vec::new(),
            errors: Vec::new(),
            exit: 1,
            ..RunVerdict::failed("", 0)
        };
        std::fs::write(judged.verdict(), serde_json::to_vec(&verdict).unwrap()).unwrap();
        let torn = begun(root.path(), "q", 10);
        std::fs::write(torn.info(), "{\"form").unwrap();
        let rows = list(root.path()).unwrap();
        assert_eq!(rows.len(), 13);
        assert!(rows[0].sentence.starts_with("run.json: "), "{:?}", rows[0]);
        assert_eq!((rows[1].validity, rows[1].sentence.as_str()), (Some(Validity::Invalid), "a write is lost"));
        assert_eq!(rows[2].time, "19700101T000000Z-11");
        assert!(rows[2].sentence.contains("running, or killed") && rows[2].exit.is_none());
    }

    #[test]
    fn a_run_that_is_not_there_is_explained() {
        let root = tempfile::tempdir().unwrap();
        let said = |spec: &str| find(root.path(), spec).unwrap_err().to_string();
        assert!(said("latest").contains("holds none yet"));
        let run = begun(root.path(), "etcd-register", 0);
        assert!(said("etcd-registre").contains("did you mean etcd-register?"));
        assert!(said("zookeeper").contains("the newest is etcd-register/19700101T000000Z"));
        std::fs::remove_dir_all(run.path()).unwrap();
        assert!(said("latest").contains("is gone"));
        std::fs::create_dir_all(root.path().join("z/latest")).unwrap();
        assert!(create(root.path(), "z", time(0)).unwrap_err().to_string().contains("in the way"));
    }
}
