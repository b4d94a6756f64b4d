//! A cycle of dependencies as a ladder: one box for each operation, top to bottom in the order of the edges, each edge
//! an arrow with its reason beside it, and the last one leading back up along the side.
use super::lanes::Picture;
use super::palette::Palette;
use super::words;
use dsfuzz_checkers::{Edge, EdgeKind, Finding, History, Op};
use std::fmt::Write;

const LEFT: f64 = 14.0;
const BOX: f64 = 640.0;
/// Room for the back edge.
const BACK: f64 = 300.0;
const LINE: f64 = 17.0;
const GAP: f64 = 46.0;
/// Lines of steps that a box shows.
const STEPS_MAX: usize = 6;
/// Most operations of a picture.
const OPS_MAX: usize = 24;
const CHARACTERS: usize = 92;

/// The box of an operation: its text, top and height.
struct CycleBox {
    call: u64,
    title: String,
    steps: Vec<String>,
    top: f64,
    height: f64,
}

/// Draws the cycle of a finding. None if it has no cycle, or one too long for a picture.
pub(super) fn draw(history: &History, finding: &Finding, ink: &Palette, number: usize) -> Option<Picture> {
    let edges = &finding.cycle;
    if edges.is_empty() || edges.len() > OPS_MAX {
        return None;
    }
    let mut top = 10.0;
    let mut places = Vec::with_capacity(edges.len());
    for (at, edge) in edges.iter().enumerate() {
        let op = history.op(edge.from)?;
        let place = place(history, &op, at, top, finding);
        top += place.height + GAP;
        places.push(place);
    }
    let height = top - GAP + 12.0;
    let width = LEFT + BOX + BACK;
    let description = describe(&places, edges);
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cycle\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 \
         {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"cycle-{number}\" font-family=\"{font}\" font-size=\"12\">\
         <title id=\"cycle-{number}\">{}</title>",
        words::escape(&description),
        font = ink.font,
    );
    if !ink.page.is_empty() {
        let _ = write!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>", ink.page);
    }
    for place in &places {
        draw_box(&mut svg, place, ink);
    }
    for (at, edge) in edges.iter().enumerate() {
        match places.get(at + 1) {
            Some(next) => draw_down(&mut svg, edge, &places[at], next, ink),
            None => draw_back(&mut svg, edge, &places[at], &places[0], ink),
        }
    }
    svg.push_str("</svg>");
    Some(Picture { svg, description })
}

fn place(history: &History, op: &Op<'_>, at: usize, top: f64, finding: &Finding) -> CycleBox {
    // Histories of other programs have no nodes.
    let node = Some(history.name(op.node)).filter(|node| !matches!(*node, "" | "?"));
    let title = format!(
        "T{} = #{} · process {}{} · called {}",
        at + 1,
        op.call,
        op.process,
        node.map(|node| format!(" on {node}")).unwrap_or_default(),
        words::moment(op.call_time)
    );
    let shown = if op.output.is_nil() { op.input } else { op.output };
    let mut steps: Vec<String> = match shown.as_list().filter(|list| list.iter().all(|step| step.as_list().is_some())) {
        Some(list) => list.iter().map(|step| words::shorten(&step.to_string(), CHARACTERS)).collect(),
        None => vec![words::call(history, op, CHARACTERS)],
    };
    // Steps on keys of the cycle first: the other steps matter less.
    let keys: Vec<String> = finding.cycle.iter().map(|edge| edge.key.to_string()).collect();
    let matters = |step: &String| keys.iter().any(|key| step.contains(&format!(", {key},")));
    if steps.len() > STEPS_MAX {
        let more = steps.len() - STEPS_MAX;
        steps.sort_by_key(|step| !matters(step));
        steps.truncate(STEPS_MAX);
        steps.push(format!("and {more} more steps"));
    }
    let height = 26.0 + steps.len() as f64 * LINE;
    CycleBox { call: op.call, title, steps, top, height }
}

fn draw_box(svg: &mut String, place: &CycleBox, ink: &Palette) {
    let CycleBox { call, title, steps, top, height } = place;
    let _ = write!(
        svg,
        "<g class=\"op\" data-op=\"{call}\"><rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{BOX}\" height=\"{height:.1}\" rx=\"4\" \
         fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" pointer-events=\"all\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"{}\" \
         font-weight=\"600\">{}</text>",
        ink.muted,
        LEFT + 10.0,
        top + 17.0,
        ink.text,
        words::escape(title),
    );
    for (row, step) in steps.iter().enumerate() {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{}\" font-family=\"ui-monospace, monospace\" font-size=\"11\">{}</text>",
            LEFT + 10.0,
            top + 17.0 + LINE * (row + 1) as f64,
            ink.text,
            words::escape(step),
        );
    }
    svg.push_str("</g>");
}

/// The dash pattern of an edge, so that kinds differ without colour.
fn dashes(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Ww | EdgeKind::Wr => "",
        EdgeKind::Rw => " stroke-dasharray=\"7 4\"",
        EdgeKind::Process => " stroke-dasharray=\"2 4\"",
        EdgeKind::Realtime => " stroke-dasharray=\"9 3 2 3\"",
    }
}

fn colour(kind: EdgeKind, ink: &Palette) -> &'static str {
    match kind {
        EdgeKind::Rw => ink.outcome(dsfuzz_checkers::Outcome::Fail),
        EdgeKind::Ww | EdgeKind::Wr => ink.outcome(dsfuzz_checkers::Outcome::Ok),
        EdgeKind::Process | EdgeKind::Realtime => ink.muted,
    }
}

fn draw_down(svg: &mut String, edge: &Edge, from: &CycleBox, to: &CycleBox, ink: &Palette) {
    let (x, y, end) = (LEFT + 40.0, from.top + from.height, to.top);
    let colour = colour(edge.kind, ink);
    let _ = write!(
        svg,
        "<path d=\"M{x} {y:.1}V{:.1}\" stroke=\"{colour}\" stroke-width=\"1.8\" fill=\"none\"{}/>\
         <path d=\"M{:.1} {:.1}L{x} {end:.1}L{:.1} {:.1}Z\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{}\">{}</text>",
        end - 7.0,
        dashes(edge.kind),
        x - 5.0,
        end - 9.0,
        x + 5.0,
        end - 9.0,
        x + 14.0,
        (y + end) / 2.0 + 4.0,
        ink.text,
        words::escape(&reason(edge)),
    );
}

fn draw_back(svg: &mut String, edge: &Edge, from: &CycleBox, to: &CycleBox, ink: &Palette) {
    let right = LEFT + BOX;
    let (start, end) = (from.top + from.height / 2.0, to.top + to.height / 2.0);
    let bend = right + 26.0;
    let colour = colour(edge.kind, ink);
    let _ = write!(
        svg,
        "<path d=\"M{right} {start:.1}H{bend}V{end:.1}H{:.1}\" stroke=\"{colour}\" stroke-width=\"1.8\" fill=\"none\"{}/>\
         <path d=\"M{:.1} {:.1}L{right} {end:.1}L{:.1} {:.1}Z\" fill=\"{colour}\"/>",
        right + 7.0,
        dashes(edge.kind),
        right + 9.0,
        end - 5.0,
        right + 9.0,
        end + 5.0,
    );
    // Beside the line, broken into short rows.
    let middle = (start + end) / 2.0;
    let rows = wrapped(&reason(edge), 38);
    for (row, text) in rows.iter().enumerate() {
        let y = middle + (row as f64 - (rows.len() as f64 - 1.0) / 2.0) * LINE + 4.0;
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{y:.1}\" fill=\"{}\">{}</text>",
            bend + 10.0,
            ink.text,
            words::escape(text)
        );
    }
}

fn wrapped(text: &str, characters: usize) -> Vec<String> {
    let mut rows: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let row = rows.len() - 1;
        let full = !rows[row].is_empty() && rows[row].chars().count() + word.chars().count() >= characters;
        if full {
            rows.push(word.to_owned());
        } else {
            let space = if rows[row].is_empty() { "" } else { " " };
            rows[row] = format!("{}{space}{word}", rows[row]);
        }
    }
    rows
}

/// The label of an edge.
fn reason(edge: &Edge) -> String {
    let version = |value: &dsfuzz_checkers::Value| words::shorten(&value.to_string(), 24);
    let (key, before, after) = (version(&edge.key), version(&edge.before), version(&edge.after));
    match edge.kind {
        EdgeKind::Ww => format!("ww: key {key}: wrote {before}, then {after} followed"),
        EdgeKind::Wr => format!("wr: key {key}: wrote {before}, which was read"),
        EdgeKind::Rw if edge.before.is_nil() => format!("rw: key {key}: read nothing, then {after} was written"),
        EdgeKind::Rw => format!("rw: key {key}: read {before}, then {after} was written"),
        EdgeKind::Process => "process: the same process, later".to_owned(),
        EdgeKind::Realtime => "realtime: ended before the next was called".to_owned(),
    }
}

fn describe(places: &[CycleBox], edges: &[Edge]) -> String {
    let mut lines: Vec<String> = places.iter().map(|place| place.title.clone()).collect();
    lines.extend(edges.iter().map(|edge| format!("#{} before #{}: {}", edge.from, edge.to, reason(edge))));
    lines.join("; ")
}
