//! The first screen: the broken promise or the missing evidence, the faults in force, and the next step.
use super::groups::{self, Group};
use super::input::{ReportInput, Source};
use super::sections::{Page, checker};
use super::words::{self, escape};
use dsfuzz_checkers::Validity;
use std::fmt::Write;

const LINES_MAX: usize = 6;

/// Three cards below the verdict.
pub(super) fn cards(input: &ReportInput<'_>, page: &Page) -> String {
    let groups = groups::groups(input);
    let cards = match input.verdict.validity {
        Validity::Invalid => [("What broke", broke(input, &groups)), ("What was in force", in_force(input, &groups))],
        Validity::Valid => [("What was kept", promises(input)), ("What was in force", faults(input))],
        Validity::Unknown => [("What is missing", missing(input)), ("What was in force", faults(input))],
    };
    let mut html = String::from("<div class=\"cards\">");
    // For a run without a load the sentence above says it all, unless several things failed.
    let shown = |title: &str| input.source != Source::NoLoad || (title == "What is missing" && !input.said_at_once());
    for (title, lines) in cards.into_iter().filter(|(title, _)| shown(title)) {
        card(&mut html, title, &lines);
    }
    card(&mut html, "What to do next", &next(input, &groups, page));
    html.push_str("</div>\n");
    html
}

fn card(html: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = write!(html, "<section class=\"card\"><h2>{title}</h2><ul>");
    lines.iter().take(LINES_MAX).for_each(|line| {
        let _ = write!(html, "<li>{line}</li>");
    });
    if lines.len() > LINES_MAX {
        let _ = write!(
            html,
            "<li>{} more {} below</li>",
            lines.len() - LINES_MAX,
            if lines.len() - LINES_MAX == 1 { "line is" } else { "lines are" }
        );
    }
    html.push_str("</ul></section>");
}

fn broke(input: &ReportInput<'_>, groups: &[Group<'_>]) -> Vec<String> {
    let mut lines: Vec<String> = groups
        .iter()
        .map(|group| {
            format!(
                "<b>{}</b> ({}): {}",
                escape(group.kind()),
                escape(&checker(group.verdict)),
                escape(&group.extent(input))
            )
        })
        .collect();
    let others = input.verdict.promises.iter().filter(|promise| promise.validity != Validity::Invalid);
    lines.extend(others.map(promise));
    lines
}

fn promise(promise: &dsfuzz_checkers::Verdict) -> String {
    let word = words::word(promise.validity);
    format!(
        "<span class=\"mark {word}\">{word}</span> {}: {}",
        escape(&checker(promise)),
        escape(&words::shorten(&promise.summary, 160))
    )
}

fn promises(input: &ReportInput<'_>) -> Vec<String> {
    input.verdict.promises.iter().map(promise).collect()
}

fn in_force(input: &ReportInput<'_>, groups: &[Group<'_>]) -> Vec<String> {
    if input.history.faults.is_empty() {
        return faults(input);
    }
    let lines = groups.iter().flat_map(|group| {
        let of = if groups.len() > 1 { format!("{}: ", group.kind()) } else { String::new() };
        group.faults(input).into_iter().map(move |line| format!("{of}{line}"))
    });
    let lines: Vec<String> = lines.map(|line| escape(&line)).collect();
    if lines.is_empty() { faults(input) } else { lines }
}

/// The faults by kind, if there were any.
fn faults(input: &ReportInput<'_>) -> Vec<String> {
    let all = &input.history.faults;
    if all.is_empty() {
        return input.no_fault().iter().map(|line| escape(line)).collect();
    }
    let mut kinds: Vec<&str> = all.iter().map(|fault| fault.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let line = |kind: &str| {
        let of: Vec<_> = all.iter().filter(|fault| fault.kind == kind).collect();
        let proven = of.iter().filter(|fault| fault.certain().is_some()).count();
        format!("{}: {proven} of {} proven", escape(kind), of.len())
    };
    let left_out = input.kinds_left_out().iter().map(|line| escape(line));
    kinds.into_iter().map(line).chain(left_out).collect()
}

/// The reasons for an unknown verdict.
fn missing(input: &ReportInput<'_>) -> Vec<String> {
    let mut lines: Vec<String> =
        input.harness().into_iter().map(|failure| escape(&words::shorten(failure, 300))).collect();
    let unknown = input.verdict.promises.iter().filter(|promise| promise.validity == Validity::Unknown);
    let thin = input.verdict.evidence.iter().filter(|evidence| !evidence.enough && !input.at_fault());
    if input.source != Source::NoLoad {
        lines.extend(unknown.map(promise));
        lines.extend(input.info.unseen.iter().map(|unseen| escape(&words::shorten(unseen, 300))));
        lines.extend(thin.map(|one| escape(&words::shorten(&one.missing(), 700))));
    }
    lines
}

fn next(input: &ReportInput<'_>, groups: &[Group<'_>], page: &Page) -> Vec<String> {
    let mut lines = Vec::new();
    let again = &input.info.again;
    if !again.is_empty() {
        let copy = match page {
            Page::Scripted => " <button type=\"button\" data-copies=\"again-first\">Copy</button>",
            Page::Plain(_) => "",
        };
        let what = if input.source == Source::File { "Judge it again" } else { "Run it again" };
        lines.push(format!("{what}: <code id=\"again-first\">{}</code>{copy}", escape(again)));
    }
    if let Some(group) = groups.first() {
        lines.push("<a href=\"#counterexample\">Read the counterexample</a>".into());
        lines.push(format!("<code>dsfuzz explain {}</code> explains the finding", escape(group.kind())));
    }
    match (input.verdict.validity, input.source) {
        (Validity::Unknown, Source::NoLoad) if input.bad_plan() => {
            lines.push("Mend the plan, look at it with <code>dsfuzz plan PLAN</code>, and run it again".into());
        }
        (Validity::Unknown, Source::NoLoad) => {
            lines.push("Mend what failed, look with <code>dsfuzz doctor PLAN</code>, and run it again".into());
        }
        (Validity::Unknown, _) if !input.harness().is_empty() => {
            lines.push("<a href=\"#harness\">Read what failed</a>: nothing is judged valid in such a run".into());
        }
        (Validity::Unknown, Source::CutOff) => {
            lines.push(
                "Run it again: the recording was cut off; <a href=\"#evidence\">the evidence</a> says what it holds"
                    .into(),
            );
        }
        (Validity::Unknown, Source::Run) => {
            lines.push(
                "<a href=\"#evidence\">Read the evidence</a>: more time, more load or longer faults make it enough"
                    .into(),
            );
        }
        (Validity::Unknown, Source::File) => {
            lines.push("Name the workload with <code>--as</code>, or record what is missing".into());
        }
        (Validity::Valid, Source::Run | Source::CutOff) => {
            lines.push("Another seed draws other faults: leave <code>--seed</code> out".into());
        }
        _ => {}
    }
    lines
}
