//! The counterexample as lanes: one for each process, its operations as bars over the order of their records.
//!
//! The horizontal axis keeps the exact order and stretches time, so that an operation of two milliseconds beside a gap of
//! thirty seconds is readable. Every end carries its real time.
use super::palette::Palette;
use super::words;
use dsfuzz_checkers::{Fault, Finding, History, Op, Outcome};
use std::collections::BTreeMap;
use std::fmt::Write;

const GUTTER: f64 = 118.0;
/// Pictures are spread to this width if that does not tear them apart.
const WIDTH: f64 = 1130.0;
const LANE: f64 = 54.0;
const BAND_ROW: f64 = 20.0;
/// Most operations of a picture.
pub(super) const OPS_MAX: usize = 40;
const CHARACTER: f64 = 6.7;

/// A drawing and its size.
pub(super) struct Picture {
    pub(super) svg: String,
    /// The picture in words, for screen readers.
    pub(super) description: String,
}

struct Axis {
    /// `(index, time, x)` of every end of an operation, in the order of the records.
    ends: Vec<(u64, u64, f64)>,
    right: f64,
}

impl Axis {
    fn x(&self, index: u64) -> f64 {
        self.ends.iter().find(|end| end.0 == index).map_or(self.right, |end| end.2)
    }

    /// The position of a time between the ends around it.
    fn x_of_time(&self, time: u64) -> f64 {
        let Some(first) = self.ends.first() else { return GUTTER };
        if time <= first.1 {
            return if time == first.1 { first.2 } else { GUTTER };
        }
        for pair in self.ends.windows(2) {
            let ((_, from, left), (_, to, right)) = (pair[0], pair[1]);
            if time <= to {
                let share = if to > from { (time.saturating_sub(from)) as f64 / (to - from) as f64 } else { 1.0 };
                return left + share.clamp(0.0, 1.0) * (right - left);
            }
        }
        self.right
    }
}

/// Draws the operations of a finding. None if the history has none of them.
pub(super) fn draw(history: &History, finding: &Finding, ink: &Palette, number: usize) -> Option<Picture> {
    let mut ops: Vec<Op<'_>> = finding.ops.iter().filter_map(|call| history.op(*call)).collect();
    ops.sort_by_key(|op| op.call);
    ops.dedup_by_key(|op| op.call);
    ops.truncate(OPS_MAX);
    let (first, last) = (ops.first()?, ops.last()?);
    let lanes = lanes(history, &ops);
    let axis = axis(history, &ops, &lanes);
    let until = ops.iter().filter(|op| op.outcome != Outcome::Info).map(|op| op.reply_time).max();
    let until = until.unwrap_or(last.call_time).max(last.call_time);
    let faults: Vec<&Fault> = history.faults_within(first.call_time, until).into_iter().take(8).collect();

    let top = 8.0 + faults.len() as f64 * BAND_ROW;
    let stamps = 2.0 * 15.0 + 6.0;
    let bottom = top + stamps + lanes.len() as f64 * LANE;
    let (width, height) = (axis.right + 26.0, bottom + 8.0);
    let mut svg = String::new();
    let description = describe(history, &ops, &faults);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"lanes\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 \
         {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"lanes-{number}\" font-family=\"{font}\" font-size=\"12\">\
         <title id=\"lanes-{number}\">{}</title>",
        words::escape(&description),
        font = ink.font,
    );
    if !ink.page.is_empty() {
        let _ = write!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>", ink.page);
    }
    for (row, fault) in faults.iter().enumerate() {
        draw_fault(&mut svg, fault, &axis, ink, row, bottom);
    }
    draw_times(&mut svg, &axis, ink, top, bottom);
    for (row, (label, members)) in lanes.iter().enumerate() {
        let y = top + stamps + row as f64 * LANE;
        draw_lane(&mut svg, history, label, members, &axis, ink, y);
    }
    svg.push_str("</svg>");
    Some(Picture { svg, description })
}

/// Operations by lane: node, then process.
fn lanes<'a>(history: &History, ops: &[Op<'a>]) -> Vec<(String, Vec<Op<'a>>)> {
    let mut lanes: BTreeMap<(usize, &str, u64), Vec<Op<'a>>> = BTreeMap::new();
    for &op in ops {
        let node = history.name(op.node);
        let row = history.nodes.iter().position(|name| name == node).unwrap_or(usize::MAX);
        lanes.entry((row, node, op.process)).or_default().push(op);
    }
    let label = |(_, node, process): &(usize, &str, u64)| format!("{} · p{process}", words::shorten(node, 10));
    lanes.iter().map(|(key, members)| (label(key), members.clone())).collect()
}

/// Gives every step between two ends a width that grows slowly with its time, then widens steps to fit their texts. Widths
/// only grow, so one pass is enough.
fn axis(history: &History, ops: &[Op<'_>], lanes: &[(String, Vec<Op<'_>>)]) -> Axis {
    let mut moments: Vec<(u64, u64)> = Vec::new();
    for op in ops {
        moments.push((op.call, op.call_time));
        if op.outcome != Outcome::Info && op.reply != Op::OPEN {
            moments.push((op.reply, op.reply_time));
        }
    }
    moments.sort_unstable();
    let stretch = |nanos: u64| (26.0 + 9.0 * (1.0 + nanos as f64 / 1e5).ln()).min(150.0);
    let mut steps: Vec<f64> = moments.windows(2).map(|pair| stretch(pair[1].1.saturating_sub(pair[0].1))).collect();
    steps.push(40.0);
    let place = |index: u64| moments.iter().position(|moment| moment.0 == index);
    for (_, members) in lanes {
        for (position, op) in members.iter().enumerate() {
            let from = place(op.call).unwrap_or(0);
            let to = members.get(position + 1).and_then(|next| place(next.call)).unwrap_or(steps.len());
            let needed = text_width(&words::call(history, op, 28)) + 16.0;
            let held: f64 = steps[from..to].iter().sum();
            if held < needed && to > from {
                let more = (needed - held) / (to - from) as f64;
                steps[from..to].iter_mut().for_each(|step| *step += more);
            }
        }
    }
    let sum: f64 = steps.iter().sum();
    let wider = ((WIDTH - GUTTER) / sum).clamp(1.0, 1.8);
    let mut x = GUTTER + 16.0;
    let mut ends = Vec::with_capacity(moments.len());
    for ((index, time), step) in moments.into_iter().zip(steps) {
        ends.push((index, time, x));
        x += step * wider;
    }
    Axis { ends, right: x.max(GUTTER + 600.0) }
}

fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

fn draw_fault(svg: &mut String, fault: &Fault, axis: &Axis, ink: &Palette, row: usize, bottom: f64) {
    let Some((from, to)) = fault.possible() else { return };
    let (left, right) = (axis.x_of_time(from).max(GUTTER), axis.x_of_time(to));
    let y = 6.0 + row as f64 * BAND_ROW;
    let colour = ink.fault(&fault.kind);
    let text = format!("{} ({} – {})", words::fault(fault), words::moment(from), words::moment(to));
    let room = ((axis.right - left) / CHARACTER).max(24.0) as usize;
    let start = if text_width(&words::shorten(&text, 120)) > axis.right - left { GUTTER } else { left };
    let room = room.max(((axis.right - start) / CHARACTER) as usize);
    let _ = write!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\" fill-opacity=\"0.09\"/>\
         <rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"3\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{}\" font-size=\"11\">{}</text>",
        (right - left).max(2.0),
        bottom - y,
        (right - left).max(2.0),
        start + 4.0,
        y + 15.0,
        ink.muted,
        words::escape(&words::shorten(&text, room)),
    );
}

/// A hairline at every end, with its time; two rows, so that close ones do not collide.
fn draw_times(svg: &mut String, axis: &Axis, ink: &Palette, top: f64, bottom: f64) {
    let mut taken = [f64::MIN; 2];
    for &(_, time, x) in &axis.ends {
        let text = words::moment(time);
        let half = text_width(&text) * 0.46;
        let row = usize::from(x - half < taken[0]);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\" stroke=\"{}\" stroke-dasharray=\"2 3\"/>",
            top + 32.0,
            ink.line,
        );
        if x - half >= taken[row] {
            let y = top + 12.0 + row as f64 * 15.0;
            let _ = write!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{}\" font-size=\"11\" text-anchor=\"middle\">{text}</text>",
                ink.muted,
            );
            taken[row] = x + half + 6.0;
        }
    }
}

fn draw_lane(svg: &mut String, history: &History, label: &str, ops: &[Op<'_>], axis: &Axis, ink: &Palette, y: f64) {
    let base = y + LANE - 18.0;
    let _ = write!(
        svg,
        "<text x=\"8\" y=\"{:.1}\" fill=\"{}\" font-weight=\"600\">{}</text>\
         <line x1=\"{GUTTER}\" x2=\"{:.1}\" y1=\"{base:.1}\" y2=\"{base:.1}\" stroke=\"{}\"/>",
        base + 4.0,
        ink.text,
        words::escape(label),
        axis.right,
        ink.line,
    );
    for op in ops {
        draw_op(svg, history, op, axis, ink, base);
    }
}

fn draw_op(svg: &mut String, history: &History, op: &Op<'_>, axis: &Axis, ink: &Palette, base: f64) {
    let left = axis.x(op.call);
    let open = op.outcome == Outcome::Info || op.reply == Op::OPEN;
    let right = if open { axis.right } else { axis.x(op.reply) };
    let width = (right - left).max(4.0);
    let colour = ink.outcome(op.outcome);
    let said = words::call(history, op, 28);
    let _ = write!(
        svg,
        "<g class=\"op\" data-op=\"{}\"><title>{}</title><rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"32\" \
         fill=\"none\" pointer-events=\"all\"/><text x=\"{left:.1}\" y=\"{:.1}\" fill=\"{}\">{}</text>",
        op.call,
        words::escape(&words::op_line(history, op)),
        base - 25.0,
        width.max(text_width(&said)),
        base - 12.0,
        ink.text,
        words::escape(&said),
    );
    let (y, height) = (base - 6.0, 12.0);
    let _ = if open {
        // No right edge: it may take effect at any later moment.
        write!(
            svg,
            "<path d=\"M{right:.1} {y:.1}H{left:.1}v{height}H{right:.1}\" fill=\"{colour}\" fill-opacity=\"0.18\" \
             stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"5 3\"/><path d=\"M{:.1} {:.1}l7 6l-7 6\" \
             fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            right + 3.0,
            y,
        )
    } else {
        let opacity = if op.outcome == Outcome::Ok { "0.85" } else { "0.15" };
        write!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" rx=\"2.5\" fill=\"{colour}\" \
             fill-opacity=\"{opacity}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        )
    };
    svg.push_str("</g>");
}

fn describe(history: &History, ops: &[Op<'_>], faults: &[&Fault]) -> String {
    let mut lines: Vec<String> = ops.iter().map(|op| words::op_line(history, op)).collect();
    lines.extend(faults.iter().map(|fault| format!("meanwhile: {}", words::fault(fault))));
    lines.join("; ")
}
