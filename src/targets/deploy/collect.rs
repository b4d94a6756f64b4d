//! Bringing logs home, and reading the claims in them.
use super::super::error::TargetError;
use super::super::hands;
use super::super::logs::{LogClaim, claims};
use super::super::recipe::LogPattern;
use super::Deployment;
use crate::cluster::Remote;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// A log that was brought home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedLog {
    /// The node.
    pub node: Arc<str>,
    /// Its path there.
    pub path: String,
    /// Its path here.
    pub local: PathBuf,
    /// Bytes at its beginning that were left behind, because it is longer than allowed.
    pub skipped_bytes: u64,
}

impl Deployment {
    /// The logs of a node: path and size.
    pub async fn logs(&self, node: &str) -> Result<Vec<(String, u64)>, TargetError> {
        let Some((plan, remote)) = self.at(node) else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for log in &plan.logs {
            files.extend(hands::list(remote.as_ref(), &log.path).await?);
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Brings the logs of a node into a folder here, of each the last `bytes_max` bytes.
    pub async fn fetch_logs(&self, node: &str, folder: &Path, bytes_max: u64) -> Result<Vec<FetchedLog>, TargetError> {
        let Some((plan, remote)) = self.at(node) else { return Ok(Vec::new()) };
        let mut fetched = Vec::new();
        for (path, size) in self.logs(node).await? {
            let below = path.strip_prefix(self.layout.dir.as_str()).unwrap_or(&path);
            let local = folder.join(below.trim_start_matches('/').replace('/', "-"));
            let skipped_bytes = size.saturating_sub(bytes_max);
            fetch(remote.as_ref(), &path, skipped_bytes, &local).await?;
            fetched.push(FetchedLog { node: plan.node.name.clone(), path, local, skipped_bytes });
        }
        Ok(fetched)
    }

    /// The roles that a node claimed in its logs, in order.
    pub fn claims(&self, log: &FetchedLog) -> Result<Vec<LogClaim>, TargetError> {
        self.claims_after(log, 0)
    }

    /// The same, without what stands in the first `old_bytes` bytes of the node's file. A file that is shorter than that
    /// was begun anew, and counts whole.
    pub fn claims_after(&self, log: &FetchedLog, old_bytes: u64) -> Result<Vec<LogClaim>, TargetError> {
        let patterns = self.patterns(log);
        if patterns.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = std::fs::read(&log.local).map_err(|source| here(&log.local, source))?;
        let old = usize::try_from(old_bytes.saturating_sub(log.skipped_bytes)).unwrap_or(usize::MAX);
        let (old, new) = bytes.split_at_checked(old).unwrap_or((&[], &bytes));
        let lines_before = old.iter().filter(|byte| **byte == b'\n').count() as u64;
        let mut found = claims(&patterns, &log.node, &log.path, &String::from_utf8_lossy(new));
        found.iter_mut().for_each(|claim| claim.line_number += lines_before);
        Ok(found)
    }

    /// Whether anything is read from this log.
    pub fn reads_claims(&self, log: &FetchedLog) -> bool {
        !self.patterns(log).is_empty()
    }

    fn patterns(&self, log: &FetchedLog) -> Vec<LogPattern> {
        let known = self.at(&log.node).map(|(plan, _)| plan.logs.as_slice()).unwrap_or_default();
        let covering = known.iter().filter(|known| covers(&known.path, &log.path));
        covering.flat_map(|known| known.patterns.iter().cloned()).collect()
    }
}

async fn fetch(remote: &dyn Remote, path: &str, from: u64, local: &Path) -> Result<(), TargetError> {
    if let Some(folder) = local.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|source| here(folder, source))?;
    }
    let mut file = tokio::fs::File::create(local).await.map_err(|source| here(local, source))?;
    let mut offset = from;
    loop {
        let chunk = hands::read(remote, path, offset).await?;
        if chunk.is_empty() {
            return file.flush().await.map_err(|source| here(local, source));
        }
        file.write_all(&chunk).await.map_err(|source| here(local, source))?;
        offset += chunk.len() as u64;
    }
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
    use super::covers;

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
