//! Text for people: times, names, operations. Text from a target, made harmless in HTML and scripts. Never: draws.
use super::input::Source;
use crate::store::CheckRequest;
use crate::store::RunVerdict;
use dsfuzz_checkers::{Fault, History, Op, Outcome, Severity, Validity, Value, Verdict};
use std::fmt::Write as _;

pub(crate) use crate::harmless::{escape, is_hidden, plain_line};

/// The notice of a verdict that is not the run's own: its arguments, and the plan's checkers that it leaves out.
pub(super) fn other_question(asked: &CheckRequest) -> String {
    let not_asked = match asked.not_asked.is_empty() {
        true => String::new(),
        false => format!(" The plan's {} not asked here.", are(&asked.not_asked)),
    };
    let arguments = asked.arguments.join(" ");
    format!("This answers another question than the plan's ({arguments}); the run keeps its own answer.{not_asked}")
}

fn are(names: &[String]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// The note on a fault in force when a record broke off: the agents heal by themselves, unrecorded.
pub(super) const UNRECORDED: &str = "after the recording was cut off";

/// The wall clock at time 0 of the record.
pub(super) fn wall_start(history: &History) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::parse_from_rfc3339(&history.wall).ok().map(|wall| wall.to_utc())
}

/// The wall-clock time of a moment, UTC; none if the record has none.
pub(super) fn wall(history: &History, nanos: u64) -> Option<String> {
    let moment = wall_start(history)? + chrono::Duration::nanoseconds(i64::try_from(nanos).ok()?);
    Some(moment.format("%H:%M:%S%.3fZ").to_string())
}

/// A moment of the run with its wall-clock time, as HTML.
pub(super) fn moment_and_wall(history: &History, nanos: u64) -> String {
    match wall(history, nanos) {
        Some(wall) => format!("{} <small class=\"wall\">{wall}</small>", moment(nanos)),
        None => moment(nanos),
    }
}

/// JSON that is safe inside a `<script>` element: no part of it ends the element or opens a comment.
pub(super) fn json_in_script(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            hidden if is_hidden(hidden) && hidden != '\n' => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

/// A clock's offset, such as `+1m` or `-250 ms`.
pub(super) fn offset(millis: f64) -> String {
    let sign = if millis < 0.0 { "-" } else { "+" };
    format!("{sign}{}", length((millis.abs() * 1e6) as u64))
}

/// Text for a link's text fragment: all characters except letters and digits percent-encoded.
pub(super) fn fragment(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(byte)),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// Adds the column's name to each cell of tables, so that a narrow page can stack the cells of a row. Text of a target has no
/// tags, since it is escaped.
pub(crate) fn label_cells(html: &str) -> String {
    let mut out = String::with_capacity(html.len() + html.len() / 8);
    let (mut columns, mut column, mut in_head) = (Vec::new(), 0, false);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let is = |name: &str| {
            let after = tag.get(1..).and_then(|tag| tag.strip_prefix(name));
            after.is_some_and(|after| after.starts_with([' ', '>']))
        };
        let mut taken = 1;
        if is("table") {
            columns.clear();
        } else if is("thead") {
            in_head = true;
        } else if is("/thead") {
            in_head = false;
        } else if is("tr") {
            column = 0;
        } else if is("th") && in_head {
            let text = tag.split_once('>').map_or("", |(_, text)| text);
            columns.push(text.split('<').next().unwrap_or_default());
        } else if is("th") || is("td") {
            taken = 3;
            out.push_str(&tag[..3]);
            if let Some(name) = columns.get(column).filter(|_| !tag[3..].starts_with(" data-label")) {
                let _ = write!(out, " data-label=\"{name}\"");
            }
            column += 1;
        }
        if taken == 1 {
            out.push('<');
        }
        rest = &tag[taken..];
    }
    out.push_str(rest);
    out
}

/// Sentences without exact repetitions.
pub(super) fn each_once(sentences: &[String]) -> Vec<&str> {
    let mut once: Vec<&str> = Vec::new();
    for sentence in sentences.iter().take(1000) {
        if !once.contains(&sentence.as_str()) {
            once.push(sentence);
        }
    }
    once
}

/// A relative link: each part of a path percent-encoded.
pub(crate) fn link(parts: &str) -> String {
    let mut out = String::with_capacity(parts.len());
    for byte in parts.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// The first characters of a text, with an ellipsis if some were cut.
pub(super) fn shorten(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_string();
    }
    let mut short: String = text.chars().take(characters.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A moment of the run in seconds: `12.410 s`.
pub(super) fn moment(nanos: u64) -> String {
    if nanos == u64::MAX {
        return "open".to_string();
    }
    format!("{:.3} s", nanos as f64 / 1e9)
}

/// A duration in a fitting unit: `740 µs`, `12.4 ms`, `3.20 s`, `4 min 10 s`.
pub(super) fn length(nanos: u64) -> String {
    let nanos_f = nanos as f64;
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.0} µs", nanos_f / 1e3),
        1_000_000..100_000_000 => format!("{:.1} ms", nanos_f / 1e6),
        100_000_000..1_000_000_000 => format!("{:.0} ms", nanos_f / 1e6),
        1_000_000_000..60_000_000_000 => format!("{:.2} s", nanos_f / 1e9),
        _ => {
            let seconds = nanos / 1_000_000_000;
            match seconds / 3600 {
                0 => format!("{} min {} s", seconds / 60, seconds % 60),
                hours => format!("{hours} h {} min", seconds % 3600 / 60),
            }
        }
    }
}

/// A whole number with thin groups of three: `182 402`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A measured number with three decimals at most, and none if it is whole.
pub(super) fn figure(number: f64) -> String {
    if number.fract() == 0.0 && (0.0..1e15).contains(&number) {
        return count(number as u64);
    }
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The same without groups, for terminals and machines.
pub(super) fn plain_figure(number: f64) -> String {
    figure(number).replace('\u{202f}', "")
}

/// The verdict in one word.
pub(crate) fn word(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "valid",
        Validity::Unknown => "unknown",
        Validity::Invalid => "invalid",
    }
}

/// The words for violations that break no promise to clients, by checker and kind of finding; an empty kind stands for all.
const BROKEN: &[(&str, &str, &str)] = &[
    ("crashes", "crashed", "the target crashed"),
    ("crashes", "exited-in-fault", "the target ended by itself in a fault"),
    ("crashes", "did-not-come-back", "the target did not come back"),
    ("crashes", "log-alarm", "the target wrote an alarm into its log"),
    ("crashes", "out-of-memory", "the target was killed for want of memory"),
    ("crashes", "core-file", "the target left a core file"),
    ("liveness", "", "the target did not recover"),
];
const PROMISE: &str = "a promise was broken";

/// The verdict in words, and whether its record was cut off.
pub(super) fn answer(verdict: &RunVerdict, source: Source) -> String {
    match (verdict.validity, source) {
        (Validity::Valid, _) => "Valid: every promise that was checked was kept".to_owned(),
        (Validity::Unknown, Source::CutOff) => {
            "Unknown: the recording was cut off, so this run proves nothing either way".to_owned()
        }
        (Validity::Unknown, _) => "Unknown: this run proves nothing either way".to_owned(),
        (Validity::Invalid, Source::CutOff) => {
            format!("Invalid: {}; the recording was cut off later", broken(&verdict.promises))
        }
        (Validity::Invalid, _) => format!("Invalid: {}", broken(&verdict.promises)),
    }
}

/// The broken things: promises to clients first, then the first event of the target.
fn broken(promises: &[Verdict]) -> String {
    let invalid = promises.iter().filter(|promise| promise.validity == Validity::Invalid);
    let words = invalid.flat_map(|promise| {
        let of = |kind: &str| {
            let row =
                |(checker, of, _): &&(&str, &str, &str)| *checker == promise.checker && (of.is_empty() || *of == kind);
            BROKEN.iter().find(row).map_or(PROMISE, |(.., words)| *words)
        };
        let violations = promise.findings.iter().filter(|finding| finding.severity == Severity::Violation);
        let mut words: Vec<&str> = violations.map(|finding| of(&finding.kind)).collect();
        if words.is_empty() {
            words.push(of(""));
        }
        words
    });
    let words: Vec<&str> = words.collect();
    let target = words.iter().find(|words| **words != PROMISE);
    match (words.contains(&PROMISE), target) {
        (true, Some(target)) => format!("{PROMISE}, and {target}"),
        (false, Some(target)) => (*target).to_owned(),
        (_, None) => PROMISE.to_owned(),
    }
}

/// The outcome in a word.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
    }
}

/// A value for people, shortened.
pub(super) fn value(value: &Value, characters: usize) -> String {
    shorten(&value.to_string(), characters)
}

/// An operation: `write k1 = 4`, `read k1 → 3`, `cas k1 [3, 4]`.
pub(super) fn call(history: &History, op: &Op<'_>, characters: usize) -> String {
    let mut text = history.name(op.function).to_string();
    if !op.key.is_nil() {
        text.push_str(&format!(" {}", value(&op.key.to_value(), characters)));
    }
    if !op.input.is_nil() {
        let sign = if op.key.is_nil() || op.input.as_list().is_some() { "" } else { "=" };
        text.push_str(&format!(
            " {sign}{}{}",
            if sign.is_empty() { "" } else { " " },
            value(&op.input.to_value(), characters)
        ));
    }
    match op.outcome {
        Outcome::Ok if !op.output.is_nil() || op.input.is_nil() => {
            text.push_str(&format!(" → {}", value(&op.output.to_value(), characters)));
        }
        Outcome::Ok => {}
        Outcome::Fail => text.push_str(" ✗ failed"),
        Outcome::Info => text.push_str(" ? unknown"),
    }
    text
}

/// An operation in one line, for texts: `#12  n3 p4  12.410 s – 12.412 s  write k1 = 4  ok`.
pub(super) fn op_line(history: &History, op: &Op<'_>) -> String {
    let error = op.error.map(|id| format!(" ({})", shorten(history.name(id), 120))).unwrap_or_default();
    let end = if op.outcome == Outcome::Info { "open".to_string() } else { moment(op.reply_time) };
    let process = op.process;
    let node = Some(history.name(op.node)).filter(|node| !matches!(*node, "" | "?"));
    let node = node.map(|node| format!("{node} ")).unwrap_or_default();
    let what = call(history, op, 80);
    format!("#{}  {node}p{process}  {} – {end}  {what}  {}{error}", op.call, moment(op.call_time), outcome(op.outcome))
}

/// A fault in words: its id in the schedule, then as resolved, else as planned, else its kind.
pub(super) fn fault(fault: &Fault) -> String {
    let said = [&fault.what, &fault.planned, &fault.kind].into_iter().find(|text| !text.is_empty());
    let said = said.map_or("", |text| text.as_str());
    if fault.name.is_empty() { said.to_owned() } else { format!("{}: {said}", fault.name) }
}

/// Why a fault never began, in a few words.
pub(super) fn never_begun(fault: &Fault) -> &'static str {
    match (fault.not_triggered, fault.missed) {
        (true, _) => "not triggered",
        (_, true) => "missed",
        _ => "never begun",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_answer_says_what_was_broken() {
        let promise = |checker: &str, kind: &str| {
            let mut verdict = Verdict::unknown(checker, "s".to_owned());
            verdict.validity = Validity::Invalid;
            verdict.findings.push(dsfuzz_checkers::Finding::new(kind, Severity::Violation, "t".to_owned()));
            verdict
        };
        let crashed = promise("crashes", "crashed");
        assert_eq!(broken(std::slice::from_ref(&crashed)), "the target crashed");
        assert_eq!(broken(&[promise("liveness", "not-recovered")]), "the target did not recover");
        assert_eq!(broken(&[promise("set", "lost")]), "a promise was broken");
        assert_eq!(broken(&[crashed, promise("set", "lost")]), "a promise was broken, and the target crashed");
    }

    #[test]
    fn each_cell_of_a_table_names_its_column_once() {
        let table = "<p>x<table><thead><tr><th scope=\"col\">one<th scope=\"col\">two</tr></thead><tbody><tr><th \
                     scope=\"row\">a<td class=\"n\">b</tr></tbody></table><table class=\"t\"><tr><td>c</table>";
        let labelled = label_cells(table);
        let row = "<th data-label=\"one\" scope=\"row\">a<td data-label=\"two\" class=\"n\">b</tr>";
        assert!(labelled.contains(row) && labelled.ends_with("<tr><td>c</table>"), "{labelled}");
        assert_eq!(label_cells(&labelled), labelled);
    }

    #[test]
    fn hostile_text_is_made_harmless() {
        let json = json_in_script("\"</script><!--\u{2028}&\"");
        assert!(!json.contains('<') && !json.contains('\u{2028}'), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).expect("still JSON"), "</script><!--\u{2028}&");
        assert_eq!(link("nodes/n 1/a#b?.log"), "nodes/n%201/a%23b%3F.log");
    }

    #[test]
    fn times_and_numbers_read_well() {
        assert_eq!(moment(12_410_000_000), "12.410 s");
        assert_eq!(
            [999, 740_000, 12_400_000, 740_000_000, 3_200_000_000, 250_000_000_000].map(length),
            ["999 ns", "740 µs", "12.4 ms", "740 ms", "3.20 s", "4 min 10 s"]
        );
        assert_eq!(count(1_182_402), "1\u{202f}182\u{202f}402");
        assert_eq!((figure(0.25), figure(100.0), figure(-1.0)), ("0.25".into(), "100".into(), "-1".into()));
    }
}
