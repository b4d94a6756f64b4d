//! The report: drawn from files alone, for browsers, terminals and CI.
//!
//! It reads the run's folder only, and never judges. It is always drawn: a failed part becomes a notice. Text from a target is
//! always escaped.
mod charts;
mod contents;
mod cycle;
mod data;
mod first;
mod github;
mod groups;
mod input;
mod junit;
mod lanes;
mod logs;
mod page;
mod palette;
mod plain;
mod sections;
mod summary;
mod tables;
mod terminal;
mod theory;
mod timeline;
mod words;

pub use github::{annotations, publish as publish_to_github, step_summary};
pub use terminal::terminal;

use crate::store::{self, RunDir, RunInfo, RunVerdict};
use anyhow::Context;
use dsfuzz_checkers::History;
use input::ReportInput;
use std::fs;
use std::path::Path;

/// The JSON Schema of `verdict.json`; its fields in words are in `docs/verdict-schema.md`.
pub const VERDICT_SCHEMA: &str = include_str!("../../docs/verdict.schema.json");

pub(crate) use page::STYLE;
pub(crate) use words::{label_cells, link, word};

/// Writes the verdict and report of a run: `verdict.json`, `junit.xml`, `report.html` and `report/`.
///
/// Each file replaces its predecessor atomically. If one cannot be written, the others are still tried, and the first
/// problem is the error.
pub fn write_all(dir: &RunDir, history: &History, info: &RunInfo, verdict: &RunVerdict) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let mut keep = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            tracing::error!(error = %format!("{error:#}"), "a file of the report could not be written");
            problems.push(error);
        }
    };
    keep(fs::create_dir_all(dir.answers()).with_context(|| format!("cannot make {}", dir.answers().display())));
    keep(write_verdict(dir, verdict));
    let input = ReportInput::new(dir, history, info, verdict);
    keep(junit::draw(&input).and_then(|xml| replace(&dir.junit(), xml.as_bytes())));
    keep(write_plain(dir, &input));
    keep(replace(&dir.report(), page::draw(&input).as_bytes()));
    problems.into_iter().next().map_or(Ok(()), Err)
}

/// Writes `verdict.json` alone.
pub fn write_verdict(dir: &RunDir, verdict: &RunVerdict) -> anyhow::Result<()> {
    let mut json = serde_json::to_string_pretty(verdict).context("cannot write the verdict as JSON")?;
    json.push('\n');
    replace(&dir.verdict(), json.as_bytes())
}

fn write_plain(dir: &RunDir, input: &ReportInput<'_>) -> anyhow::Result<()> {
    let folder = dir.plain_report();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, content) in plain::draw(input) {
        replace(&folder.join(name), content.as_bytes())?;
    }
    Ok(())
}

fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    store::write_whole(path, content).with_context(|| format!("cannot write {} (is the disk full?)", path.display()))
}
