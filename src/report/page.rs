//! `report.html`: one file with everything in it, which needs no network and asks for none.
//!
//! Its policy lets exactly its own script run, named by its hash: text that slipped through unescaped would still not run.
use super::data;
use super::sections::{self, Page};
use super::subject::{Subject, part};
use super::tables;
use super::words::{escape, word};
use base64::Engine;
use sha2::{Digest, Sha256};
use std::fmt::Write;

pub(super) const STYLE: &str = include_str!("style.css");
const SCRIPTS: [&str; 4] =
    [include_str!("data.js"), include_str!("strips.js"), include_str!("painters.js"), include_str!("page.js")];

/// The whole page.
pub(super) fn draw(subject: &Subject<'_>) -> String {
    let page = Page::Scripted;
    let script = format!("\n(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.join("\n"));
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script.as_bytes()));
    let (packed, meta) = match columns(subject) {
        Ok(columns) => columns,
        Err(error) => {
            tracing::error!(%error, "the operations could not be packed for the report");
            (String::new(), "{}".to_string())
        }
    };
    let mut html = String::with_capacity(packed.len() + meta.len() + 400_000);
    let _ = write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action \
         'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" \
         content=\"no-referrer\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{} · {} · dsfuzz</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n",
        word(subject.verdict.validity),
        escape(&subject.info.plan),
    );
    html.push_str(&part("The verdict", || sections::banner(subject, &page)));
    html.push_str("<main>\n");
    html.push_str(&part("The counterexample", || sections::counterexamples(subject, &page)));
    html.push_str(&part("The promises", || sections::promises(subject)));
    html.push_str(&charts(subject));
    html.push_str(&part("The faults", || tables::faults(subject)));
    html.push_str(&part("The evidence", || tables::evidence(subject)));
    html.push_str(&part("The errors", || tables::errors(subject)));
    html.push_str(&part("The harness's health", || tables::health(subject)));
    html.push_str(&part("The phases", || tables::phases(subject)));
    html.push_str(&part("The set-up", || tables::setup(subject, &page)));
    html.push_str(&part("The files", || tables::files(subject, &page)));
    html.push_str("</main>\n");
    html.push_str(RECORD);
    html.push_str("<script type=\"application/json\" id=\"meta\">");
    html.push_str(&meta);
    html.push_str("</script>\n<script type=\"application/octet-stream\" id=\"ops\">");
    html.push_str(&packed);
    html.push_str("</script>\n<script>");
    html.push_str(&script);
    html.push_str("</script>\n</body>\n</html>\n");
    html
}

fn columns(subject: &Subject<'_>) -> anyhow::Result<(String, String)> {
    let packed = data::pack(subject.history, &subject.digest);
    let meta = data::meta(subject.history, &subject.digest, &packed, &subject.marked())?;
    Ok((packed.base64, meta))
}

const RECORD: &str = "<aside id=\"record\" aria-live=\"polite\" aria-labelledby=\"record-title\" hidden>\
    <button type=\"button\" id=\"record-close\" aria-label=\"Close the record\">Close</button>\
    <h3 id=\"record-title\">Operation</h3><dl id=\"record-fields\"></dl></aside>\n";

const TOOLS: &str = "<div class=\"tools\"><span class=\"group\">\
    <button type=\"button\" data-act=\"in\" aria-label=\"Zoom in\">+</button>\
    <button type=\"button\" data-act=\"out\" aria-label=\"Zoom out\">−</button>\
    <button type=\"button\" data-act=\"left\" aria-label=\"Earlier\">←</button>\
    <button type=\"button\" data-act=\"right\" aria-label=\"Later\">→</button>\
    <button type=\"button\" data-act=\"reset\">Whole run</button>\
    <button type=\"button\" data-act=\"counterexample\" hidden>Counterexample</button></span>\
    <span class=\"group\">\
    <label class=\"key\"><input type=\"checkbox\" data-outcome=\"0\" checked><svg viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
    <circle cx=\"6\" cy=\"6\" r=\"3.2\" fill=\"var(--ok)\"/></svg>ok</label>\
    <label class=\"key\"><input type=\"checkbox\" data-outcome=\"1\" checked><svg viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
    <path d=\"M2 2l8 8M10 2l-8 8\" stroke=\"var(--fail)\" stroke-width=\"2\"/></svg>fail</label>\
    <label class=\"key\"><input type=\"checkbox\" data-outcome=\"2\" checked><svg viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
    <path d=\"M6 2l4.5 8h-9z\" fill=\"none\" stroke=\"var(--info)\" stroke-width=\"1.6\"/></svg>info (unknown)</label></span>\
    <label>node <select id=\"node\"><option value=\"-1\">all</option></select></label></div>\n";

/// The strips; what the run has nothing of is left out.
fn charts(subject: &Subject<'_>) -> String {
    let digest = &subject.digest;
    let called = !digest.order.is_empty();
    if !called && subject.history.faults.is_empty() && digest.roles.is_empty() && digest.clocks.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section id=\"charts\"><h2>The run</h2>\n<noscript><p class=\"notice\">These charts need their script; \
         <a href=\"report/index.html\">report/index.html</a> has drawings without one.</p></noscript>\n\
         <p id=\"charts-problem\" class=\"notice\" hidden></p>\n",
    );
    if !called {
        html.push_str("<p class=\"notice\">No operation was recorded.</p>\n");
    }
    html.push_str(
        "<p class=\"caption\">Drag across a stretch to zoom, double-click for the whole run, wheel to zoom at the pointer, \
         Shift-drag to move; with the charts focused, arrows, + and − and 0. Click a point for its record. Shaded: faults, \
         pale where they may have been in force, stronger from their proof to their last proof.</p>\n",
    );
    html.push_str(TOOLS);
    html.push_str("<output id=\"readout\">Point at a chart.</output>\n");
    html.push_str("<div id=\"strips\" tabindex=\"0\" role=\"group\" aria-label=\"Charts over time. Arrow keys move, plus and minus zoom, 0 shows the whole run.\">\n");
    let total = &digest.total;
    let quantiles = digest.latency_quantiles(subject.history, &[0.5, 0.99]);
    let latency = match quantiles[..] {
        [median, tail] => {
            format!("median {}, 99th percentile {}", super::words::length(median), super::words::length(tail))
        }
        _ => "no call was ok".to_string(),
    };
    let strips: [(bool, &str, String); 6] = [
        (
            !subject.history.faults.is_empty(),
            "faults",
            "Faults: pale bar, may have been active; thick edge, proven active".into(),
        ),
        (called, "latency", format!("Latency by time of call, logarithmic; of ok calls {latency}")),
        (
            called,
            "rate",
            format!(
                "Calls a second by outcome: {} ok (solid), {} fail (dashed), {} info (dotted)",
                total.ok, total.fail, total.info
            ),
        ),
        (
            called && !digest.nodes.is_empty(),
            "availability",
            "Outcomes by node: share of its calls that were ok, info, fail (from below); grey: callers waited, and the node \
             answered nothing"
                .into(),
        ),
        (!digest.roles.is_empty(), "roles", "Who claimed leadership, with its term; thin line: other roles".into()),
        (!digest.clocks.is_empty(), "clocks", "Clock offset by node: readings as points; a line while a fault is proven to hold the clock".into()),
    ];
    for (has, name, caption) in strips {
        if has {
            let label = escape(&caption);
            let _ = writeln!(
                html,
                "<figure><figcaption>{label}</figcaption><canvas id=\"strip-{name}\" role=\"img\" aria-label=\"{label}\"></canvas></figure>"
            );
        }
    }
    html.push_str("</div></section>\n");
    html
}
