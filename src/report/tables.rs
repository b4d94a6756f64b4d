//! Sections with tables, as HTML for both pages: faults, evidence, errors, health, phases, set-up, files.
use super::input::{ReportInput, Source};
use super::sections::Page;
use super::summary::OutcomeCounts;
use super::words::{self, escape};
use crate::store::{ReplayFaults, ReplayOf};
use dsfuzz_checkers::{Fault, Mark};
use std::fmt::Write;
use std::path::Path;

const FAULTS_MAX: usize = 1000;
const FILES_MAX: usize = 500;

/// Every fault: its plan, its verification, its effect.
pub(super) fn faults(input: &ReportInput<'_>) -> anyhow::Result<String> {
    let mut html = String::from("<section id=\"faults\"><h2>Faults</h2>\n");
    let faults = &input.history.faults;
    if faults.is_empty() {
        if matches!(input.source, Source::File | Source::NoLoad) {
            return Ok(String::new());
        }
        input.no_fault().iter().for_each(|line| {
            let _ = write!(html, "<p>{}</p>", escape(line));
        });
        html.push_str("</section>\n");
        return Ok(html);
    }
    input.kinds_left_out().iter().for_each(|line| {
        let _ = writeln!(html, "<p class=\"notice\">{}</p>", escape(line));
    });
    html.push_str(
        "<div class=\"scroll\"><table class=\"faults\"><thead><tr><th scope=\"col\">fault<th scope=\"col\">planned<th \
         scope=\"col\">resolved<th scope=\"col\">begun<th scope=\"col\">proven<th scope=\"col\">proven again<th \
         scope=\"col\">healed<th scope=\"col\">ok before → during → after<th scope=\"col\">fail, info \
         during</tr></thead><tbody>",
    );
    for fault in faults.iter().take(FAULTS_MAX) {
        row(&mut html, input, fault);
    }
    html.push_str("</tbody></table></div>\n");
    if faults.len() > FAULTS_MAX {
        let _ = writeln!(html, "<p>{} more faults are in the history.</p>", faults.len() - FAULTS_MAX);
    }
    html.push_str(
        "<p class=\"caption\">Proven: shown to be in force on every target, and again just before the heal. Before and \
         after are as long as the fault, at most five seconds; rates are acknowledged calls a second.</p></section>\n",
    );
    Ok(html)
}

fn row(html: &mut String, input: &ReportInput<'_>, fault: &Fault) {
    let stamp =
        |mark: Option<Mark>| mark.map_or("–".to_string(), |mark| words::moment_and_wall(input.history, mark.time));
    let missing = |mark: Option<Mark>, word: &str| match (mark, fault.begun) {
        (None, Some(_)) => format!("<span class=\"warn\">{word}</span>"),
        _ => stamp(mark),
    };
    let healed = match (fault.self_healed, fault.healed) {
        (Some((from, to)), _) => {
            format!("<span class=\"warn\">by itself, {} – {}</span>", words::moment(from), words::moment(to))
        }
        (None, None) if input.source == Source::CutOff => words::UNRECORDED.to_string(),
        (None, None) if fault.unhealed => "<span class=\"bad\">not healed</span>".to_string(),
        (None, healed) => missing(healed, "never"),
    };
    let (rates, losses) = effect(input, fault);
    let what = if fault.what.is_empty() { &fault.planned } else { &fault.what };
    let _ = write!(
        html,
        "<tr id=\"fault-{id}\" data-fault=\"{id}\"><th scope=\"row\"><i class=\"swatch fault-{colour}\"></i>{kind} \
         <small>{id}{name}</small><td>{planned}<td>{what}{detail}<td class=\"n\">{begun}<td class=\"n\">{proven}<td \
         class=\"n\">{again}<td class=\"n\">{healed}<td class=\"n\">{rates}<td class=\"n\">{losses}</tr>",
        id = fault.id,
        colour = super::palette::fault_colour(&fault.kind),
        kind = escape(&fault.kind),
        name = if fault.name.is_empty() { String::new() } else { format!(" {}", escape(&fault.name)) },
        planned = escape(&words::shorten(&fault.planned, 160)),
        what = escape(&words::shorten(what, 300)),
        detail = detail(fault),
        begun = match fault.begun {
            None if fault.missed || fault.not_triggered => {
                format!("<span class=\"warn\">{}</span>", words::never_begun(fault))
            }
            begun => missing(begun, "–"),
        },
        proven = missing(fault.proven, "not proven"),
        again = missing(fault.reproven, "no"),
    );
}

fn detail(fault: &Fault) -> String {
    if fault.detail.is_empty() {
        return String::new();
    }
    let lines = fault.detail.iter().take(40).map(|line| format!("<li>{}</li>", escape(&words::shorten(line, 400))));
    format!("<details><summary>proofs</summary><ul>{}</ul></details>", lines.collect::<String>())
}

fn effect(input: &ReportInput<'_>, fault: &Fault) -> (String, String) {
    let Some(effect) = input.summary.effect(fault) else {
        return ("never begun".to_string(), "–".to_string());
    };
    let rate = |(tally, nanos): (OutcomeCounts, u64)| match nanos {
        0 => "–".to_string(),
        nanos => words::figure((tally.ok as f64 * 1e9 / nanos as f64).round()),
    };
    let rates = format!("{} → <b>{}</b> → {}/s", rate(effect.before), rate(effect.during), rate(effect.after));
    let during = effect.during.0;
    let rates = format!("{rates}{}", by_node(input, fault));
    (rates, format!("{}, {}", words::count(during.fail), words::count(during.info)))
}

/// The fall of each node's load.
fn by_node(input: &ReportInput<'_>, fault: &Fault) -> String {
    let Some(load) = input.verdict.load.iter().find(|load| load.fault == fault.id) else { return String::new() };
    let rates = |rates: &crate::store::Rates| format!("{:.0}/{:.0}", rates.asked, rates.ok);
    let node = |node: &crate::store::NodeLoad| {
        let (before, during, after) = (rates(&node.before), rates(&node.during), rates(&node.after));
        format!("<li>{}: {before} → <b>{during}</b> → {after}</li>", escape(&node.node))
    };
    let nodes: String = load.nodes.iter().map(node).collect();
    format!("<details><summary>asked/ok by node</summary><ul>{nodes}</ul></details>")
}

/// Evidence against its thresholds.
pub(super) fn evidence(input: &ReportInput<'_>) -> anyhow::Result<String> {
    let mut html = String::from("<section id=\"evidence\"><h2>Evidence</h2>\n");
    if input.verdict.evidence.is_empty() {
        if matches!(input.source, Source::File | Source::NoLoad) {
            return Ok(String::new());
        }
        html.push_str("<p>No thresholds were set for this run.</p></section>\n");
        return Ok(html);
    }
    html.push_str(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">count<th scope=\"col\">meaning<th \
         scope=\"col\">measured<th scope=\"col\">at least<th scope=\"col\">enough</tr></thead><tbody>",
    );
    for evidence in &input.verdict.evidence {
        let enough = if evidence.enough { "yes" } else { "<span class=\"warn\">too thin</span>" };
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><code>{}</code><td>{}<td class=\"n\">{}<td class=\"n\">{}<td>{enough}</tr>",
            escape(&evidence.name),
            described(evidence),
            words::figure(evidence.measured),
            words::figure(evidence.at_least),
        );
    }
    html.push_str("</tbody></table></div></section>\n");
    Ok(html)
}

/// The meaning of a number, and its shortfall if it is below its threshold.
fn described(evidence: &crate::store::Evidence) -> String {
    let missing = match evidence.enough {
        true => String::new(),
        false => format!("<p class=\"warn\">{}</p>", escape(&evidence.missing())),
    };
    format!("{}{missing}", escape(&evidence.doc))
}

/// Fail and Info calls by the code of their error.
pub(super) fn errors(input: &ReportInput<'_>) -> anyhow::Result<String> {
    let mut html = String::from("<section id=\"errors\"><h2>Errors by code</h2>\n");
    if input.history.ops().is_empty() {
        return Ok(String::new());
    }
    if input.verdict.errors.is_empty() {
        html.push_str("<p>Every call was Ok.</p></section>\n");
        return Ok(html);
    }
    html.push_str(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">code<th scope=\"col\">outcome<th scope=\"col\">calls<th \
         scope=\"col\">nodes<th scope=\"col\">the first</tr></thead><tbody>",
    );
    for row in &input.verdict.errors {
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><code>{}</code><td>{}{}<td class=\"n\">{}<td>{}<td>#{}: {}</tr>",
            escape(&row.code),
            escape(&row.outcome),
            if row.final_read { ", final reads" } else { "" },
            row.count,
            escape(&row.nodes.join(" ")),
            row.first,
            escape(&row.example),
        );
    }
    html.push_str("</tbody></table></div></section>\n");
    Ok(html)
}

/// The health of the harness.
pub(super) fn health(input: &ReportInput<'_>) -> anyhow::Result<String> {
    let failures = input.harness();
    let said = input.source == Source::File && failures.is_empty() || input.said_at_once();
    if said && input.history.notes.is_empty() {
        return Ok(String::new());
    }
    let mut html = String::from("<section id=\"harness\"><h2>The harness</h2>\n");
    if failures.is_empty() {
        html.push_str("<p>The harness reports no failure of its own.</p>\n");
    } else {
        html.push_str("<ul class=\"bad-list\">");
        for failure in failures.iter().take(100) {
            let _ = write!(html, "<li>{}</li>", escape(&words::shorten(failure, 1000)));
        }
        html.push_str("</ul>\n");
    }
    let notes = &input.history.notes;
    if !notes.is_empty() {
        let _ = write!(html, "<details><summary>{} notes</summary><ul>", words::count(notes.len() as u64));
        for (time, node, text) in notes.iter().take(200) {
            let node = if node.is_empty() { String::new() } else { format!(" {}", escape(node)) };
            let text = escape(&words::shorten(text, 400));
            let moment = words::moment_and_wall(input.history, *time);
            let _ = write!(html, "<li><span class=\"n\">{moment}</span>{node}: {text}</li>");
        }
        html.push_str("</ul></details>\n");
    }
    html.push_str("</section>\n");
    Ok(html)
}

/// The duration of each phase.
pub(super) fn phases(input: &ReportInput<'_>) -> anyhow::Result<String> {
    if input.info.phases.is_empty() {
        return Ok(String::new());
    }
    let mut html = String::from(
        "<section id=\"phases\"><h2>Phases</h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">phase<th \
         scope=\"col\">took<th scope=\"col\">problem</tr></thead><tbody>",
    );
    for phase in &input.info.phases {
        let problem = if phase.problem.is_empty() {
            "none".to_string()
        } else {
            format!("<span class=\"bad\">{}</span>", escape(&words::shorten(&phase.problem, 600)))
        };
        let took = words::length(phase.took_ms.saturating_mul(1_000_000));
        let _ = write!(html, "<tr><th scope=\"row\">{}<td class=\"n\">{took}<td>{problem}</tr>", escape(&phase.name));
    }
    html.push_str("</tbody></table></div></section>\n");
    Ok(html)
}

/// Versions, nodes, seed and the command that repeats the run.
pub(super) fn setup(input: &ReportInput<'_>, page: &Page) -> anyhow::Result<String> {
    let info = input.info;
    let mut html = String::from("<section id=\"setup\"><h2>Set-up</h2>\n");
    let copy = match page {
        Page::Scripted if !info.again.is_empty() => {
            " <button type=\"button\" id=\"copy\" data-copies=\"again\">Copy</button>"
        }
        _ => "",
    };
    if !info.again.is_empty() {
        let _ = writeln!(
            html,
            "<p>{}:{copy}</p><pre id=\"again\" tabindex=\"0\">{}</pre>",
            if input.source == Source::File { "Judge it again" } else { "Run it again" },
            escape(&info.again)
        );
    }
    if input.source == Source::File {
        html.push_str("</section>\n");
        return Ok(html);
    }
    let seed =
        if input.bad_plan() && info.seed == 0 { String::new() } else { format!("Seed <code>{}</code>, ", info.seed) };
    let _ = writeln!(
        html,
        "<p>{seed}dsfuzz {}, started {}, ended {}.</p>",
        escape(&info.dsfuzz),
        escape(&info.started),
        if info.ended.is_empty() { "never: it was cut off".to_string() } else { escape(&info.ended) },
    );
    if !info.nodes.is_empty() {
        html.push_str(
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">node<th scope=\"col\">address<th \
             scope=\"col\">target version<th scope=\"col\">kernel<th scope=\"col\">boot id</tr></thead><tbody>",
        );
        for node in &info.nodes {
            let version = info.target_versions.get(&node.name).map_or("–", String::as_str);
            let cells = [&node.address, version, &node.kernel, &node.boot_id].map(escape).join("<td>");
            let _ = write!(html, "<tr><th scope=\"row\">{}<td>{cells}</tr>", escape(&node.name));
        }
        html.push_str("</tbody></table></div>\n");
    }
    html.push_str("</section>\n");
    Ok(html)
}

/// The run that this one repeats, as a link where its report is in the same results.
pub(super) fn repeated(input: &ReportInput<'_>, page: &Page, replay: &ReplayOf) -> String {
    let report = format!("../../{}/report.html", replay.run);
    let how = match replay.faults {
        ReplayFaults::Drawn => "",
        ReplayFaults::Measured => ", with its measured faults",
        ReplayFaults::None => ", without faults",
    };
    let name = escape(&replay.run);
    // The name comes from a file that may be another user's.
    let inside = Path::new(&replay.run).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    match inside && input.dir.path().join(&report).is_file() {
        true => format!("<a href=\"{}{}\">{name}</a>{how}", page.base(input), words::link(&report)),
        false => format!("{name}{how}"),
    }
}

/// Links to the files beside the report.
pub(super) fn files(input: &ReportInput<'_>, page: &Page) -> anyhow::Result<String> {
    let root = input.dir.path();
    let mut html = String::from("<section id=\"files\"><h2>Files</h2>\n<ul class=\"files\">");
    let known = [
        (input.dir.history(), "every record of the run"),
        (input.dir.plan(), "the effective plan"),
        (input.dir.info(), "what ran"),
        (input.dir.verdict(), "the answer, for machines"),
        (input.dir.junit(), "the answer, for CI"),
        (input.dir.log(), "what dsfuzz itself said"),
    ];
    for (path, doc) in &known {
        if let (Ok(meta), Ok(name)) = (path.metadata(), path.strip_prefix(root)) {
            file(&mut html, input, page, &name.to_string_lossy(), meta.len(), doc);
        }
    }
    html.push_str("</ul>\n");
    let mut logs = Vec::new();
    collect(&root.join("nodes"), &mut logs, 0);
    logs.sort();
    if !logs.is_empty() {
        html.push_str("<h3>From the nodes</h3><ul class=\"files\">");
        for (path, size) in logs.iter().take(FILES_MAX) {
            if let Ok(name) = path.strip_prefix(root) {
                file(&mut html, input, page, &name.to_string_lossy(), *size, "");
            }
        }
        html.push_str("</ul>\n");
        if logs.len() > FILES_MAX {
            let _ = writeln!(html, "<p>{} more files lie in <code>nodes/</code>.</p>", logs.len() - FILES_MAX);
        }
    }
    html.push_str("</section>\n");
    Ok(html)
}

fn file(html: &mut String, input: &ReportInput<'_>, page: &Page, name: &str, size: u64, doc: &str) {
    let size = match size {
        0..10_000 => format!("{} B", words::count(size)),
        10_000..10_000_000 => format!("{} kB", words::count(size / 1000)),
        _ => format!("{} MB", words::count(size / 1_000_000)),
    };
    let _ = write!(
        html,
        "<li><a href=\"{}{}\">{}</a> <small>{size}</small> {doc}</li>",
        page.base(input),
        words::link(name),
        escape(name)
    );
}

/// Files below a folder, without following links out of it.
fn collect(folder: &Path, found: &mut Vec<(std::path::PathBuf, u64)>, depth: usize) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth < 8 && found.len() < FILES_MAX * 4 {
            collect(&entry.path(), found, depth + 1);
        } else if kind.is_file() {
            found.push((entry.path(), entry.metadata().map_or(0, |meta| meta.len())));
        }
    }
}
