//! Collects logs, and reads the role claims and alarms in them.
use super::super::alarms::{Alarm, AlarmRules};
use super::super::error::TargetError;
use super::super::logs::{LogClaim, claims};
use super::super::node_commands;
use super::super::recipe::{Log, LogPattern};
use super::Deployment;
use crate::cluster::Remote;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Deadline of one log; the node's other logs wait for it.
const FILE_DEADLINE: Duration = Duration::from_secs(20);

/// A collected log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedLog {
    /// The node.
    pub node: Arc<str>,
    /// Its path there.
    pub path: String,
    /// Its path here.
    pub local: PathBuf,
    /// Bytes at its beginning that were not collected, because it is too long.
    pub skipped_bytes: u64,
}

impl Deployment {
    /// The logs of a node: path and size.
    pub async fn logs(&self, node: &str) -> Result<Vec<(String, u64)>, TargetError> {
        let Some((plan, remote)) = self.at(node) else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for log in &plan.logs {
            files.extend(node_commands::list(remote.as_ref(), &log.path).await?);
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Copies the last `bytes_max` bytes of each present log of a node into a folder here. An unreadable or late log becomes a
    /// sentence.
    pub async fn fetch_logs(
        &self,
        node: &str,
        folder: &Path,
        bytes_max: u64,
    ) -> Result<(Vec<FetchedLog>, Vec<String>), TargetError> {
        let Some((plan, remote)) = self.at(node) else { return Ok((Vec::new(), Vec::new())) };
        let (mut fetched, mut problems, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (path, size) in self.logs(node).await? {
            let below = path.strip_prefix(plan.dir.as_str()).unwrap_or(&path);
            let local = folder.join(name_here(below, &mut names));
            let skipped_bytes = size.saturating_sub(bytes_max);
            let fetching = fetch(remote.as_ref(), &path, (skipped_bytes, size), &local);
            match tokio::time::timeout(FILE_DEADLINE, fetching).await {
                Ok(Ok(())) => fetched.push(FetchedLog { node: plan.node.name.clone(), path, local, skipped_bytes }),
                Ok(Err(error)) => problems.push(format!("{path}: {error}")),
                Err(_) => {
                    problems.push(format!("{node}: {path} was not read within {} s", FILE_DEADLINE.as_secs()));
                }
            }
        }
        Ok((fetched, problems))
    }

    /// The alarms in a collected log, without the first `old_bytes` bytes of the node's file.
    pub fn alarms_after(&self, log: &FetchedLog, old_bytes: u64) -> Result<Vec<Alarm>, TargetError> {
        let covering = self.known(log);
        let rules = AlarmRules {
            alarms: covering.iter().flat_map(|known| known.alarms.clone()).collect(),
            ignore: covering.iter().flat_map(|known| known.ignore.clone()).collect(),
        };
        let (text, lines_before) = new_text(log, old_bytes)?;
        let mut found = rules.find(&text);
        found.iter_mut().for_each(|alarm| alarm.line_number += lines_before);
        Ok(found)
    }

    /// The process whose output the log is; none for any other log.
    pub fn process_of(&self, log: &FetchedLog) -> Option<&str> {
        let (plan, _) = self.at(&log.node)?;
        let process = plan.processes.iter().find(|process| process.service.log == log.path)?;
        Some(&process.service.name)
    }

    /// The roles that a node claimed in its logs, in order.
    pub fn claims(&self, log: &FetchedLog) -> Result<Vec<LogClaim>, TargetError> {
        self.claims_after(log, 0)
    }

    /// The same, without the first `old_bytes` bytes of the node's file. A shorter file was started again, and counts whole.
    pub fn claims_after(&self, log: &FetchedLog, old_bytes: u64) -> Result<Vec<LogClaim>, TargetError> {
        let patterns = self.patterns(log);
        if patterns.is_empty() {
            return Ok(Vec::new());
        }
        let (text, lines_before) = new_text(log, old_bytes)?;
        let mut found = claims(&patterns, &log.node, &log.path, &text);
        found.iter_mut().for_each(|claim| claim.line_number += lines_before);
        Ok(found)
    }

    /// Whether this log has rules for claims or alarms.
    pub fn reads_claims(&self, log: &FetchedLog) -> bool {
        !self.patterns(log).is_empty()
    }

    fn patterns(&self, log: &FetchedLog) -> Vec<LogPattern> {
        self.known(log).into_iter().flat_map(|known| known.patterns.iter().cloned()).collect()
    }

    /// The recipe's rules for this log.
    fn known(&self, log: &FetchedLog) -> Vec<&Log> {
        let known = self.at(&log.node).map(|(plan, _)| plan.logs.as_slice()).unwrap_or_default();
        known.iter().filter(|known| covers(&known.path, &log.path)).collect()
    }
}

/// The text of a log after its first bytes, and the number of lines in those. A shorter file was started again, and counts
/// whole.
fn new_text(log: &FetchedLog, old_bytes: u64) -> Result<(String, u64), TargetError> {
    let bytes = std::fs::read(&log.local).map_err(|source| here(&log.local, source))?;
    let old = usize::try_from(old_bytes.saturating_sub(log.skipped_bytes)).unwrap_or(usize::MAX);
    let (old, new) = bytes.split_at_checked(old).unwrap_or((&[], &bytes));
    let lines_before = old.iter().filter(|byte| **byte == b'\n').count() as u64;
    Ok((String::from_utf8_lossy(new).into_owned(), lines_before))
}

/// The local name of a log: its path with `-` between the folders, and a number if the name is taken.
fn name_here(below: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = below.trim_start_matches('/').replace('/', "-");
    // Tools do not show hidden files.
    let plain = match plain.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => plain,
    };
    let mut name = plain.clone();
    let mut number = 1;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{plain}.{number}");
    }
    name
}

/// Copies these bytes of a file, as far as it still has them.
async fn fetch(remote: &dyn Remote, path: &str, (from, to): (u64, u64), local: &Path) -> Result<(), TargetError> {
    if let Some(folder) = local.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|source| here(folder, source))?;
    }
    let mut file = tokio::fs::File::create(local).await.map_err(|source| here(local, source))?;
    let mut offset = from;
    while offset < to {
        let mut chunk = node_commands::read(remote, path, offset).await?;
        // A log that grows faster than it is read has no end.
        chunk.truncate(usize::try_from(to - offset).unwrap_or(usize::MAX));
        if chunk.is_empty() {
            break;
        }
        file.write_all(&chunk).await.map_err(|source| here(local, source))?;
        offset += chunk.len() as u64;
    }
    file.flush().await.map_err(|source| here(local, source))
}

fn here(path: &Path, source: std::io::Error) -> TargetError {
    TargetError::File { path: path.display().to_string(), source }
}

/// Whether a path fits a pattern with `*` in its last part.
fn covers(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last) && !rest.contains('/')
}

#[cfg(test)]
mod tests {
    use super::{covers, name_here};
    use std::collections::BTreeSet;

    #[test]
    fn no_two_logs_have_one_name_here() {
        let mut taken = BTreeSet::new();
        let names: Vec<String> =
            ["/a/b.log", "/a-b.log", "/.hidden.log", "/a/b.log.2"].map(|path| name_here(path, &mut taken)).into();
        assert_eq!(names, ["a-b.log", "a-b.log.2", "_hidden.log", "a-b.log.2.2"]);
    }

    #[test]
    fn patterns_cover_paths() {
        let cases = [
            ("/d/a.log", "/d/a.log", true),
            ("/d/a.log", "/d/a.log.1", false),
            ("/d/*.log", "/d/a.log", true),
            ("/d/*.log", "/d/e/a.log", false),
            ("/d/a*b*c", "/d/aXbYc", true),
            ("/d/a*b*c", "/d/aXcYb", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(covers(pattern, path), expected, "{pattern} {path}");
        }
    }
}
