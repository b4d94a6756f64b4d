//! How long the report of 1,000,000 operations takes, how large it is, and when a browser has painted it.
//!
//! `cargo bench --bench report`; a number after `--` is another count of operations.
mod table;

#[path = "../tests/browser/runs.rs"]
#[expect(dead_code, reason = "the tests draw other runs too")]
mod runs;
#[path = "../tests/browser/webdriver.rs"]
#[expect(dead_code, reason = "the tests do more with a browser")]
mod webdriver;

use dsfuzz::report;
use dsfuzz::store::RunDir;
use std::time::Instant;
use table::Table;

const PAINTS: usize = 3;

fn main() -> anyhow::Result<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(()); // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let run = runs::large(count);
    let folder = tempfile::tempdir()?;
    let dir = RunDir::at(folder.path());
    let begun = Instant::now();
    report::write_all(&dir, &run.history, &run.info, &run.verdict)?;
    let took = begun.elapsed();
    let size = std::fs::metadata(dir.report())?.len();
    let mut table = Table::new("report");
    table.row("operations", run.history.ops().len().to_string());
    let took = took.as_secs_f64();
    table.aimed("report.html, report/, junit.xml written", format!("{took:.2} s"), "< 5 s", took < 5.0);
    let megabytes = size as f64 / 1e6;
    table.aimed("report.html", format!("{megabytes:.2} MB"), "< 15 MB", megabytes < 15.0);
    let painted = paint(&dir, &mut table);
    table.print();
    painted
}

/// When a browser has painted it.
fn paint(dir: &RunDir, table: &mut Table) -> anyhow::Result<()> {
    let browser = match webdriver::Browser::try_start() {
        Ok(browser) => browser,
        Err(problem) => {
            table.row("first paint", format!("not measured: {problem}"));
            return Ok(());
        }
    };
    browser.resize(1280, 1000);
    let mut painted = Vec::new();
    for _ in 0..PAINTS {
        browser.open_report(&dir.report());
        let at = browser.run("return Number(document.querySelector('#timeline').dataset.painted)");
        painted.push(at.as_f64().unwrap_or(f64::NAN) / 1e3);
    }
    painted.sort_by(f64::total_cmp);
    let (median, worst) = (painted[PAINTS / 2], painted[PAINTS - 1]);
    let figure = format!("{median:.2} s, worst of {PAINTS} {worst:.2} s");
    table.aimed("first paint", figure, "< 3 s", median < 3.0);
    let zoom = "const b = [...document.querySelectorAll('[data-act=in]')][0]; const t = performance.now(); b.click(); \
                return new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now() - t))))";
    table.row("one zoom", format!("{:.0} ms", browser.run(zoom).as_f64().unwrap_or(f64::NAN)));
    Ok(())
}
