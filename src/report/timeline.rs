//! The interactive charts of `report.html`: their frame, captions and controls. `painters.js` draws them.
use super::input::ReportInput;
use super::words::{escape, length};
use std::fmt::Write;

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

/// The charts of one run above each other; a chart without data is left out.
pub(super) fn draw(input: &ReportInput<'_>) -> String {
    let summary = &input.summary;
    let called = !summary.order.is_empty();
    if !called && input.history.faults.is_empty() && summary.roles.is_empty() && summary.clocks.is_empty() {
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
    html.push_str("<div id=\"timeline\" tabindex=\"0\" role=\"group\" aria-label=\"Charts over time. Arrow keys move, plus and minus zoom, 0 shows the whole run.\">\n");
    let total = &summary.total;
    let quantiles = summary.latency_quantiles(input.history, &[0.5, 0.99]);
    let latency = match quantiles[..] {
        [median, tail] => {
            format!("median {}, 99th percentile {}", length(median), length(tail))
        }
        _ => "no call was ok".to_string(),
    };
    let charts: [(bool, &str, String); 6] = [
        (
            !input.history.faults.is_empty(),
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
            called && !summary.nodes.is_empty(),
            "availability",
            "Outcomes by node: share of its calls that were ok, info, fail (from below); grey: callers waited, and the node \
             answered nothing"
                .into(),
        ),
        (!summary.roles.is_empty(), "roles", "Who claimed leadership, with its term; thin line: other roles".into()),
        (!summary.clocks.is_empty(), "clocks", "Clock offset by node: readings as points; a line while a fault is proven to hold the clock".into()),
    ];
    for (has, name, caption) in charts {
        if has {
            let label = escape(&caption);
            let _ = writeln!(
                html,
                "<figure><figcaption>{label}</figcaption><canvas id=\"chart-{name}\" role=\"img\" aria-label=\"{label}\"></canvas></figure>"
            );
        }
    }
    html.push_str("</div></section>\n");
    html
}
