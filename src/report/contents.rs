//! The sections of a report, in their order: one list for `report.html` and `report/`.
use super::input::{ReportInput, part};
use super::sections::{self, Page};
use super::{charts, tables, theory, timeline};

/// Draws a section; empty if the run has nothing to show in it.
type Draw = fn(&ReportInput<'_>, &Page) -> anyhow::Result<String>;

/// The sections below the banner. The name stands in the notice that replaces a section which cannot be drawn.
const SECTIONS: &[(&str, Draw)] = &[
    ("The counterexample", sections::counterexamples),
    ("The promises", |input, _| sections::promises(input)),
    ("The charts", run),
    ("The measured theory", |input, _| theory::cards(input)),
    ("The faults", |input, _| tables::faults(input)),
    ("The evidence", |input, _| tables::evidence(input)),
    ("The errors", |input, _| tables::errors(input)),
    ("The harness's health", |input, _| tables::health(input)),
    ("The phases", |input, _| tables::phases(input)),
    ("The set-up", tables::setup),
    ("The files", tables::files),
];

/// The sections of a page. Never: a section that cannot be drawn hides the others.
pub(super) fn draw(input: &ReportInput<'_>, page: &Page) -> String {
    SECTIONS.iter().map(|(name, draw)| part(name, || draw(input, page))).collect()
}

/// The run over time: interactive where scripts may run, else one still picture for each chart.
fn run(input: &ReportInput<'_>, page: &Page) -> anyhow::Result<String> {
    Ok(match page {
        Page::Scripted => timeline::draw(input),
        Page::Plain(files) => charts::stills(input, files),
    })
}
