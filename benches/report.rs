//! How long the report of 1,000,000 operations takes, how large it is, and when a browser has painted it.
//!
//! `cargo bench --bench report`; a number after `--` is another count of operations.
#[path = "../tests/browser/runs.rs"]
#[expect(dead_code, reason = "the tests draw other runs too")]
mod runs;
#[path = "../tests/browser/webdriver.rs"]
#[expect(dead_code, reason = "the tests do more with a browser")]
mod webdriver;

use dsfuzz::report;
use dsfuzz::store::RunDir;
use std::time::Instant;

const PAINTS: usize = 3;

fn main() -> anyhow::Result<()> {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let run = runs::large(count);
    let folder = tempfile::tempdir()?;
    let dir = RunDir::at(folder.path());
    let begun = Instant::now();
    report::write_all(&dir, &run.history, &run.info, &run.verdict)?;
    let took = begun.elapsed();
    let size = std::fs::metadata(dir.report())?.len();
    println!("report of {} operations", run.history.ops.len());
    println!("  written in    {:.2} s (aim: below 5 s)", took.as_secs_f64());
    println!("  report.html   {:.2} MB (aim: below 15 MB)", size as f64 / 1e6);
    let browser = match webdriver::Browser::try_start() {
        Ok(browser) => browser,
        Err(problem) => {
            println!("  first paint   not measured: {problem}");
            return Ok(());
        }
    };
    browser.resize(1280, 1000);
    let mut painted = Vec::new();
    for _ in 0..PAINTS {
        browser.open_report(&dir.report());
        let at = browser.run("return Number(document.querySelector('#strips').dataset.painted)");
        painted.push(at.as_f64().unwrap_or(f64::NAN) / 1e3);
    }
    painted.sort_by(f64::total_cmp);
    println!(
        "  first paint   {:.2} s, worst of {PAINTS} {:.2} s (aim: below 3 s)",
        painted[PAINTS / 2],
        painted[PAINTS - 1]
    );
    let zoom = "const b = [...document.querySelectorAll('[data-act=in]')][0]; const t = performance.now(); b.click(); \
                return new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now() - t))))";
    println!("  one zoom      {:.0} ms", browser.run(zoom).as_f64().unwrap_or(f64::NAN));
    Ok(())
}
