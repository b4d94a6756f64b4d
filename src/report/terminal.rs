//! The summary for a terminal. Its last lines are always the verdict in words, the reason in a sentence, the report's path and
//! the command that repeats the run.
use super::groups;
use super::input::{ReportInput, Source};
use super::junit::describe;
use super::sections::checker;
use super::theory;
use super::words;
use crate::store::{ErrorRow, RunDir, RunInfo, RunVerdict};
use dsfuzz_checkers::{Fault, History, Validity};
use std::fmt::Write;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Modify, Padding, Style, Width};

const FAULTS_MAX: usize = 12;
const FINDINGS_MAX: usize = 3;
const ERRORS_MAX: usize = 3;
const REMARKS_MAX: usize = 8;

/// The whole summary. `color`: use colours. The caller heeds NO_COLOR.
pub fn terminal(info: &RunInfo, verdict: &RunVerdict, history: &History, dir: &RunDir, color: bool) -> String {
    let input = ReportInput::new(dir, history, info, verdict);
    let mut out = String::new();
    // A run that did not begin has one sentence only.
    if matches!(input.source, Source::NoLoad) {
        harness(&mut out, &input);
        last_lines(&mut out, &input, color);
        return out;
    }
    promises(&mut out, &input);
    for group in groups::groups(&input).iter().take(FINDINGS_MAX) {
        let (promise, Some(finding)) = (group.verdict, group.findings.first()) else { continue };
        let text: Vec<String> = describe(&input, finding).lines().map(words::plain_line).collect();
        let _ = writeln!(
            out,
            "{} ({}): {}\n",
            words::plain_line(&finding.kind),
            words::plain_line(&checker(promise)),
            text.join("\n")
        );
        if group.findings.len() > 1 {
            let mut facts = vec![group.extent(&input)];
            facts.extend(group.faults(&input));
            let _ = writeln!(
                out,
                "examples of {}: {}\n",
                words::plain_line(group.kind()),
                words::plain_line(&facts.join("; "))
            );
        }
    }
    remarks(&mut out, &input);
    faults(&mut out, &input);
    evidence(&mut out, &input);
    for line in theory::lines(&input) {
        let _ = writeln!(out, "theory: {line}");
    }
    errors(&mut out, &input);
    for note in &input.verdict.notes {
        let _ = writeln!(out, "note: {}", words::plain_line(note));
    }
    harness(&mut out, &input);
    last_lines(&mut out, &input, color);
    out
}

/// The failures after the first one, which the sentence has already.
fn harness(out: &mut String, input: &ReportInput<'_>) {
    for failure in input.harness().into_iter().filter(|failure| !input.verdict.sentence.contains(failure)) {
        let _ = writeln!(out, "harness: {}", words::plain_line(failure));
    }
}

/// The most frequent errors, if the verdict is not valid: they often show the cause.
fn errors(out: &mut String, input: &ReportInput<'_>) {
    let errors = &input.verdict.errors;
    if errors.is_empty() || input.verdict.validity == Validity::Valid {
        return;
    }
    let row = |row: &ErrorRow| {
        let calls = match (row.final_read, row.count) {
            (true, 1) => "final read",
            (true, _) => "final reads",
            (false, 1) => "call",
            (false, _) => "calls",
        };
        vec![
            row.code.clone(),
            format!("{} {calls} {}", row.count, row.outcome),
            row.nodes.join(" "),
            words::shorten(&row.example, 200),
        ]
    };
    out.push_str(&table(&["error", "how often", "on", "the first"], errors.iter().take(ERRORS_MAX).map(row).collect()));
    if errors.len() > ERRORS_MAX {
        let _ =
            writeln!(out, "{} more codes of errors are in verdict.json and the report\n", errors.len() - ERRORS_MAX);
    }
}

/// Findings that break no promise: a line for each kind of a promise, with its first finding.
fn remarks(out: &mut String, input: &ReportInput<'_>) {
    let kinds = |promise| -> Vec<_> {
        let promise: &dsfuzz_checkers::Verdict = promise;
        promise.evidence().into_iter().map(|(first, count)| (promise, first, count)).collect()
    };
    let all: Vec<_> = input.verdict.promises.iter().flat_map(kinds).collect();
    for (promise, first, count) in all.iter().take(REMARKS_MAX) {
        let more = match count {
            1 => String::new(),
            2 => " (and 1 more of this kind)".to_owned(),
            count => format!(" (and {} more of this kind)", count - 1),
        };
        let title = words::plain_line(&words::shorten(&first.title, 200));
        let kind = words::plain_line(&first.kind);
        let _ = writeln!(out, "evidence: {kind} ({}): {title}{more}", words::plain_line(&checker(promise)));
    }
    if all.len() > REMARKS_MAX {
        let _ = writeln!(out, "{} more kinds of evidence are in the report", all.len() - REMARKS_MAX);
    }
    if !all.is_empty() {
        out.push('\n');
    }
}

fn last_lines(out: &mut String, input: &ReportInput<'_>, color: bool) {
    let validity = input.verdict.validity;
    let code = match validity {
        Validity::Valid => "1;32",
        Validity::Unknown => "1;33",
        Validity::Invalid => "1;31",
    };
    let answer = match input.source {
        Source::NoLoad => "Not run: it failed before its load".to_owned(),
        _ => words::answer(input.verdict, input.source),
    };
    let answer = if color { format!("\u{1b}[{code}m{answer}\u{1b}[0m") } else { answer };
    let _ = writeln!(out, "{answer}");
    let _ = writeln!(out, "{}", words::plain_line(input.sentence()));
    if let Some(asked) = &input.verdict.asked {
        let _ = writeln!(out, "{}", words::plain_line(&words::other_question(asked)));
    }
    // A history without a run has a report only with `--report`.
    if !input.dir.path().is_file() {
        let _ = writeln!(out, "report: {}", words::plain_line(&input.dir.report().to_string_lossy()));
    }
    let _ = writeln!(out, "again:  {}", words::plain_line(&input.info.again));
}

/// A table without frames, so that it can be cut with other tools; the last column is wrapped.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let last = header.len() - 1;
    let mut builder = Builder::default();
    builder.push_record(header.iter().copied());
    for row in rows {
        builder.push_record(row.iter().map(|cell| words::plain_line(cell)));
    }
    let mut table = builder.build();
    table.with(Style::blank()).with(Padding::new(0, 1, 0, 0));
    table.with(Modify::new(Columns::one(last)).with(Width::wrap(72).keep_words(true)));
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n\n", lines.join("\n"))
}

fn promises(out: &mut String, input: &ReportInput<'_>) {
    let promises = &input.verdict.promises;
    if promises.is_empty() {
        return;
    }
    let row = |verdict: &dsfuzz_checkers::Verdict| {
        vec![checker(verdict), words::word(verdict.validity).to_string(), words::shorten(&verdict.summary, 300)]
    };
    out.push_str(&table(&["promise", "verdict", "result"], promises.iter().map(row).collect()));
}

fn faults(out: &mut String, input: &ReportInput<'_>) {
    let faults = &input.history.faults;
    if faults.is_empty() {
        return;
    }
    let shown = faults.iter().take(FAULTS_MAX).map(|fault| fault_row(input, fault)).collect();
    out.push_str(&table(
        &["fault", "from", "to", "proven", "ok/s before, during, after", "asked/ok least", "fault in words"],
        shown,
    ));
    if faults.len() > FAULTS_MAX {
        let _ = writeln!(out, "{} more faults are in the report\n", faults.len() - FAULTS_MAX);
    }
}

fn fault_row(input: &ReportInput<'_>, fault: &Fault) -> Vec<String> {
    let (from, to) = fault.possible().map_or((words::never_begun(fault).to_string(), String::new()), |(from, to)| {
        let open = if input.source == Source::CutOff { words::UNRECORDED } else { "not healed" };
        (words::moment(from), if to == u64::MAX { open.to_string() } else { words::moment(to) })
    });
    let to = if fault.self_healed.is_some() { format!("{to} by itself") } else { to };
    let proven = match (fault.proven, fault.reproven) {
        (Some(_), Some(_)) => "twice",
        (Some(_), None) => "once",
        _ => "no",
    };
    let rate = |(tally, nanos): (super::summary::OutcomeCounts, u64)| match nanos {
        0 => "-".to_string(),
        nanos => format!("{:.0}", tally.ok as f64 * 1e9 / nanos as f64),
    };
    let effect = input.summary.effect(fault).map_or(String::new(), |effect| {
        format!("{}, {}, {}", rate(effect.before), rate(effect.during), rate(effect.after))
    });
    let load = input.verdict.load.iter().find(|load| load.fault == fault.id);
    let least =
        load.and_then(|load| load.nodes.iter().min_by(|one, other| one.during.asked.total_cmp(&other.during.asked)));
    let least =
        least.map_or(String::new(), |node| format!("{} {:.0}/{:.0}", node.node, node.during.asked, node.during.ok));
    vec![
        format!("{} {}", fault.id, fault.kind),
        from,
        to,
        proven.to_string(),
        effect,
        least,
        words::shorten(&words::fault(fault), 140),
    ]
}

fn evidence(out: &mut String, input: &ReportInput<'_>) {
    let evidence = &input.verdict.evidence;
    if evidence.is_empty() {
        return;
    }
    let row = |one: &crate::store::Evidence| {
        let enough = if one.enough { "enough" } else { "TOO THIN" };
        vec![
            one.name.clone(),
            words::plain_figure(one.measured),
            words::plain_figure(one.at_least),
            enough.to_string(),
            one.doc.clone(),
        ]
    };
    out.push_str(&table(&["evidence", "measured", "at least", "", "meaning"], evidence.iter().map(row).collect()));
    // More load helps no run whose plan or client is wrong.
    for one in evidence.iter().filter(|one| !one.enough && !input.at_fault()) {
        let _ = writeln!(out, "too thin: {}", words::plain_line(&one.missing()));
    }
}
