//! A run in a job on GitHub: the step summary (Markdown) and error annotations.
use super::input::ReportInput;
use super::junit::{describe, thin_sentence};
use super::sections::checker;
use super::words;
use crate::store::{RunDir, RunInfo, RunVerdict};
use dsfuzz_checkers::{History, Validity};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// GitHub takes a mebibyte; people read less.
const BYTES_MAX: usize = 60_000;
/// GitHub shows ten annotations of a step.
const ANNOTATIONS_MAX: usize = 9;

/// Appends the step summary to the file that `GITHUB_STEP_SUMMARY` names, and returns the annotations to print if
/// `GITHUB_ACTIONS` is set. `environment` looks up a variable.
pub fn publish(
    dir: &RunDir,
    history: &History,
    info: &RunInfo,
    verdict: &RunVerdict,
    environment: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Vec<String>> {
    if let Some(path) = environment("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(Path::new(&path))
            .map_err(|error| anyhow::anyhow!("cannot open the step summary {path}: {error}"))?;
        file.write_all(step_summary(dir, history, info, verdict).as_bytes())
            .map_err(|error| anyhow::anyhow!("cannot write the step summary {path}: {error}"))?;
    }
    let on_github = environment("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    Ok(if on_github { annotations(info, verdict) } else { Vec::new() })
}

/// The summary of a run as Markdown, below 64 kB.
pub fn step_summary(dir: &RunDir, history: &History, info: &RunInfo, verdict: &RunVerdict) -> String {
    let input = ReportInput::new(dir, history, info, verdict);
    let mut out = format!(
        "## {}: {}\n\n{}\n\n",
        markdown(&info.plan),
        markdown(&words::answer(verdict, input.source)),
        markdown(input.sentence())
    );
    let total = &input.summary.total;
    let _ = writeln!(
        out,
        "Target {}, seed `{}`, {} operations ({} ok, {} fail, {} info), {} faults.\n",
        markdown(&info.target),
        info.seed,
        total.all(),
        total.ok,
        total.fail,
        total.info,
        history.faults.len()
    );
    if !verdict.promises.is_empty() {
        out.push_str("| promise | verdict | result |\n|---|---|---|\n");
        for promise in verdict.promises.iter().take(50) {
            let cells = [&checker(promise), words::word(promise.validity), &words::shorten(&promise.summary, 300)];
            let _ = writeln!(out, "| {} |", cells.map(markdown).join(" | "));
        }
        out.push('\n');
    }
    let groups = super::groups::groups(&input);
    for finding in groups.iter().filter_map(|group| group.findings.first()).take(3) {
        let _ = writeln!(out, "### {}\n\n{}\n", markdown(&finding.title), fenced(&describe(&input, finding)));
    }
    let thin: Vec<_> = verdict.evidence.iter().filter(|one| !one.enough).take(30).collect();
    if !thin.is_empty() {
        out.push_str("### Evidence that is too thin\n\n");
        thin.iter().for_each(|one| {
            let _ = writeln!(out, "- {}", markdown(&thin_sentence(one)));
        });
        out.push('\n');
    }
    for failure in input.harness().iter().take(20) {
        let _ = writeln!(out, "- The harness: {}", markdown(&words::shorten(failure, 500)));
    }
    let end = format!(
        "\nRun it again:\n\n{}\n\nReport: `{}`\n",
        fenced(&info.again),
        markdown_code(&dir.report().to_string_lossy())
    );
    cut(&mut out, BYTES_MAX.saturating_sub(end.len().min(8000)));
    out.push_str(&end);
    out
}

/// Shortens at a line's end, never inside a fence.
fn cut(out: &mut String, bytes: usize) {
    if out.len() <= bytes {
        return;
    }
    let mut at = bytes;
    while !out.is_char_boundary(at) {
        at -= 1;
    }
    out.truncate(out[..at].rfind('\n').unwrap_or(0));
    if out.lines().filter(|line| line.starts_with("````")).count() % 2 == 1 {
        out.push_str("\n````\n");
    }
    out.push_str("\n\n(shortened; the report has all of it)\n");
}

/// Text that Markdown and HTML show unchanged.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in words::plain_line(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // An entity, so that no name in a target's text notifies a user.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                out.push('\\');
                out.push(character);
            }
            plain => out.push(plain),
        }
    }
    out
}

fn markdown_code(text: &str) -> String {
    words::plain_line(text).replace('`', "'")
}

/// A block of code whose lines never begin with the fence, so that no text ends it.
fn fenced(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| words::plain_line(line).replace("````", "'''`")).collect();
    format!("````text\n{}\n````", lines.join("\n"))
}

/// One `::error` or `::warning` line for each problem.
pub fn annotations(info: &RunInfo, verdict: &RunVerdict) -> Vec<String> {
    let mut lines = Vec::new();
    for promise in verdict.promises.iter().filter(|promise| promise.validity != Validity::Valid) {
        let level = if promise.validity == Validity::Invalid { "error" } else { "warning" };
        let title = format!("{}: {} is {}", info.plan, checker(promise), words::word(promise.validity));
        lines.push(annotation(level, &title, &promise.summary));
    }
    for failure in &verdict.harness {
        lines.push(annotation("error", &format!("{}: the harness failed", info.plan), failure));
    }
    for thin in verdict.evidence.iter().filter(|one| !one.enough) {
        lines.push(annotation("warning", &format!("{}: thin evidence", info.plan), &thin_sentence(thin)));
    }
    lines.truncate(ANNOTATIONS_MAX);
    lines
}

/// A workflow command. Its data escapes `%` and line ends, its properties also `:` and `,`.
fn annotation(level: &str, title: &str, message: &str) -> String {
    let data = |text: &str| words::plain_line(&words::shorten(text, 1000)).replace('%', "%25");
    let title = data(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}", data(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_cannot_write_markdown_or_commands() {
        assert_eq!(markdown("<img> @me `x` |"), "&lt;img&gt; &#64;me \\`x\\` \\|");
        assert_eq!(annotation("error", "a:b,c", "x\n::set-env 5%"), "::error title=a%3Ab%2Cc::x ::set-env 5%25");
        assert!(fenced("````\n# out").lines().filter(|line| line.starts_with("````")).count() == 2);
    }

    #[test]
    fn a_cut_closes_its_fence() {
        let mut text = format!("head\n````text\n{}````\n", "line\n".repeat(50));
        cut(&mut text, 60);
        assert_eq!(text.lines().filter(|line| line.starts_with("````")).count(), 2, "{text}");
    }
}
