//! The charts as still pictures (SVG files) over the whole run: latency, rate, outcomes by node, leaders.
use super::input::{ReportInput, part};
use super::palette::FILE;
use super::summary::OutcomeCounts;
use super::words::{self, escape};
use dsfuzz_checkers::{Op, Outcome};
use std::cell::RefCell;
use std::fmt::Write;

const WIDTH: f64 = 1160.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = WIDTH - 14.0;
const ROW: f64 = 22.0;
const FOOT: f64 = 22.0;
/// Points of the scatter: calls that are not Ok up to half of it, and a sample of the Ok calls.
const POINTS_MAX: usize = 6000;

/// One still picture.
struct Chart {
    file: &'static str,
    title: &'static str,
    caption: &'static str,
    /// Draws it; none if the run has no data for it.
    draw: fn(&ReportInput<'_>) -> Option<String>,
}

/// All charts, in the order of the page.
const ALL: [Chart; 4] = [
    Chart {
        file: "latency.svg",
        title: "Latency by time of call, logarithmic",
        caption: "Dots ok, crosses fail, triangles info (unknown); in large runs a sample of each outcome. Shaded: faults.",
        draw: latency,
    },
    Chart {
        file: "rate.svg",
        title: "Calls a second by outcome",
        caption: "Solid ok, dashed fail, dotted info.",
        draw: rate,
    },
    Chart {
        file: "availability.svg",
        title: "Outcomes by node",
        caption: "The share of each node's calls that were ok, info and fail, from below. Grey: callers waited, and the node answered nothing for more than half a second.",
        draw: availability,
    },
    Chart {
        file: "leaders.svg",
        title: "Who claimed leadership",
        caption: "Filled, with its term: a leader. Thin line: other roles.",
        draw: leaders,
    },
];

/// The charts as still pictures, each a file of its own. A chart without data is left out.
pub(super) fn stills(input: &ReportInput<'_>, files: &RefCell<Vec<(String, String)>>) -> String {
    let figure = |chart: &Chart| {
        part(chart.title, || {
            let Some(svg) = (chart.draw)(input) else { return Ok(String::new()) };
            files.borrow_mut().push((chart.file.to_string(), svg));
            Ok(format!(
                "<figure><figcaption>{title}. {caption}</figcaption><img src=\"{}\" alt=\"{title}\"></figure>\n",
                chart.file,
                title = escape(chart.title),
                caption = escape(chart.caption),
            ))
        })
    };
    let figures: String = ALL.iter().map(figure).collect();
    if figures.is_empty() {
        return figures;
    }
    format!("<section id=\"charts\"><h2>The run</h2>\n{figures}</section>\n")
}

struct Canvas<'a> {
    svg: String,
    input: &'a ReportInput<'a>,
    height: f64,
}

impl<'a> Canvas<'a> {
    fn new(input: &'a ReportInput<'a>, title: &str, height: f64) -> Canvas<'a> {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{all}\" viewBox=\"0 0 {WIDTH} {all}\" \
             font-family=\"{}\" font-size=\"11\"><title>{title}</title><rect width=\"100%\" height=\"100%\" fill=\"{}\"/>",
            FILE.font,
            FILE.page,
            all = height + FOOT,
        );
        let sheet_x = |nanos: u64| LEFT + nanos as f64 / input.summary.end as f64 * (RIGHT - LEFT);
        for fault in input.history.faults.iter().take(1000) {
            let Some((from, to)) = fault.possible() else { continue };
            let (left, right) = (sheet_x(from), sheet_x(to.min(input.summary.end)));
            let _ = write!(
                svg,
                "<rect x=\"{left:.1}\" y=\"0\" width=\"{:.1}\" height=\"{height}\" fill=\"{}\" fill-opacity=\"0.12\"><title>{}\
                 </title></rect>",
                (right - left).max(1.0),
                FILE.fault(&fault.kind),
                escape(&words::shorten(&words::fault(fault), 200)),
            );
        }
        Canvas { svg, input, height }
    }

    fn x(&self, nanos: u64) -> f64 {
        LEFT + nanos as f64 / self.input.summary.end as f64 * (RIGHT - LEFT)
    }

    fn label(&mut self, text: &str, y: f64) {
        let text = escape(&words::shorten(text, 14));
        let _ = write!(
            self.svg,
            "<text x=\"{}\" y=\"{:.1}\" fill=\"{}\" text-anchor=\"end\">{text}</text>",
            LEFT - 8.0,
            y + 4.0,
            FILE.muted
        );
    }

    fn line(&mut self, y: f64) {
        let _ = write!(
            self.svg,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{}\"/>",
            FILE.line
        );
    }

    /// The time axis, and the end of the picture.
    fn finish(mut self) -> String {
        let seconds = self.input.summary.end as f64 / 1e9;
        let step = nice_step(seconds / 10.0);
        let mut tick = 0.0;
        while tick <= seconds {
            let x = LEFT + tick / seconds * (RIGHT - LEFT);
            let text = format!("{} s", (tick * 1e6).round() / 1e6);
            let _ = write!(
                self.svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{h}\" y2=\"{}\" stroke=\"{}\"/><text x=\"{x:.1}\" y=\"{}\" fill=\"{}\" \
                 text-anchor=\"middle\">{text}</text>",
                self.height + 4.0,
                FILE.muted,
                self.height + 16.0,
                FILE.muted,
                h = self.height,
            );
            tick += step;
        }
        self.line(self.height);
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// The least of 1, 2, 5 times a power of ten that is not below.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-12).log10().floor());
    let fits = [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= least * 0.999_999);
    fits.unwrap_or(10.0 * power)
}

fn latency(input: &ReportInput<'_>) -> Option<String> {
    let (history, summary) = (input.history, &input.summary);
    let log = |nanos: u64| ((nanos + 1) as f64).log10();
    let logs = history.ops().iter().map(|op| log(summary.latency(&op)));
    let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), log| (low.min(log), high.max(log)));
    if low > high {
        return None;
    }
    let (low, high) = (low - 0.2, high + 0.3);
    let height = 280.0;
    let mut sheet = Canvas::new(input, "Latency by time of call", height);
    let y = |log: f64| 8.0 + (height - 8.0) * (1.0 - (log - low) / (high - low));
    for power in 2..=12u32 {
        if (low..=high).contains(&f64::from(power)) {
            let text = words::length(10u64.pow(power)).replace(".00", "").replace(".0", "");
            sheet.line(y(f64::from(power)));
            sheet.label(&text, y(f64::from(power)));
        }
    }
    for op in sample(input) {
        let (x, y) = (sheet.x(op.call_time), y(log(summary.latency(&op))));
        let colour = FILE.outcome(op.outcome);
        let _ = match op.outcome {
            Outcome::Ok => write!(
                sheet.svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.3\" fill=\"{colour}\" fill-opacity=\"0.55\"/>"
            ),
            Outcome::Fail => write!(
                sheet.svg,
                "<path d=\"M{:.1} {:.1}l6 6m0-6l-6 6\" stroke=\"{colour}\" stroke-width=\"1.4\"/>",
                x - 3.0,
                y - 3.0
            ),
            Outcome::Info => {
                write!(
                    sheet.svg,
                    "<path d=\"M{x:.1} {:.1}l3.5 6.5h-7z\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"/>",
                    y - 3.5
                )
            }
        };
    }
    Some(sheet.finish())
}

/// The calls to draw: an even sample of each outcome in a large run.
fn sample<'a>(input: &'a ReportInput<'_>) -> Vec<Op<'a>> {
    let total = &input.summary.total;
    let share = |of: u64, most: usize| (of as usize).div_ceil(most).max(1);
    let bad = POINTS_MAX / 4;
    let good = POINTS_MAX - (total.fail as usize).min(bad) - (total.info as usize).min(bad);
    let steps = [share(total.ok, good), share(total.fail, bad), share(total.info, bad)];
    let mut seen = [0usize; 3];
    let chosen = |op: &Op<'_>| {
        let kind = op.outcome as usize;
        seen[kind] += 1;
        (seen[kind] - 1).is_multiple_of(steps[kind])
    };
    let mut ops: Vec<Op<'_>> = input.history.ops().iter().filter(chosen).collect();
    ops.sort_by_key(|op| op.outcome as usize);
    ops
}

/// Bins over the whole run: their number and length.
fn bins(input: &ReportInput<'_>, most: f64) -> (usize, u64) {
    let end = input.summary.end;
    let width = (nice_step(end as f64 / most / 1e9) * 1e9).max(1.0) as u64;
    (usize::try_from(end.div_ceil(width)).unwrap_or(1).max(1), width)
}

fn rate(input: &ReportInput<'_>) -> Option<String> {
    let summary = &input.summary;
    if summary.order.is_empty() {
        return None;
    }
    let (count, width) = bins(input, 250.0);
    let tallies: Vec<(OutcomeCounts, f64)> = (0..count as u64)
        .map(|bin| {
            let (from, to) = (bin * width, ((bin + 1) * width).min(summary.end + 1));
            (summary.tally(from, to), (to - from).max(width / 4) as f64 / 1e9)
        })
        .collect();
    let rates = |pick: fn(&OutcomeCounts) -> u64| {
        tallies.iter().map(move |(tally, seconds)| pick(tally) as f64 / seconds).collect::<Vec<f64>>()
    };
    let lines = [
        (rates(|tally| tally.ok), Outcome::Ok, ""),
        (rates(|tally| tally.info), Outcome::Info, "1.5 2"),
        (rates(|tally| tally.fail), Outcome::Fail, "5 2"),
    ];
    let most = lines.iter().flat_map(|(rates, _, _)| rates).fold(1.0f64, |most, rate| most.max(*rate));
    let height = 110.0;
    let mut sheet = Canvas::new(input, "Calls a second by outcome", height);
    let y = |rate: f64| 8.0 + (height - 8.0) * (1.0 - rate / (most * 1.05));
    let step = nice_step(most / 3.0);
    let mut value = step;
    while value <= most {
        sheet.line(y(value));
        sheet.label(&format!("{}/s", words::figure(value)), y(value));
        value += step;
    }
    for (rates, outcome, dashes) in &lines {
        let mut path = String::new();
        for (bin, rate) in rates.iter().enumerate() {
            let (left, right) =
                (sheet.x(bin as u64 * width), sheet.x(((bin + 1) as u64 * width).min(input.summary.end)));
            let verb = if bin == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{left:.1} {:.1}H{right:.1}", y(*rate));
        }
        let _ = write!(
            sheet.svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" stroke-dasharray=\"{dashes}\"/>",
            FILE.outcome(*outcome)
        );
    }
    Some(sheet.finish())
}

fn availability(input: &ReportInput<'_>) -> Option<String> {
    let (history, summary) = (input.history, &input.summary);
    if summary.order.is_empty() || summary.nodes.is_empty() {
        return None;
    }
    let (count, width) = bins(input, 180.0);
    let mut tallies = vec![OutcomeCounts::default(); count * summary.nodes.len()];
    let mut rows = std::collections::HashMap::new();
    for op in history.ops().iter() {
        let row = *rows.entry(op.node).or_insert_with(|| summary.node_row(history.name(op.node)));
        let bin = usize::try_from(op.call_time / width).unwrap_or(0).min(count - 1);
        if let Some(row) = row {
            tallies[row * count + bin].add(op.outcome);
        }
    }
    let mut sheet = Canvas::new(input, "Outcomes by node", summary.nodes.len() as f64 * ROW);
    for (row, node) in summary.nodes.iter().enumerate() {
        sheet.label(node, row as f64 * ROW + ROW / 2.0);
        for bin in 0..count {
            let tally = tallies[row * count + bin];
            let (left, right) = (sheet.x(bin as u64 * width), sheet.x(((bin + 1) as u64 * width).min(summary.end)));
            let mut y = (row + 1) as f64 * ROW - 3.0;
            for (number, outcome) in [(tally.ok, Outcome::Ok), (tally.info, Outcome::Info), (tally.fail, Outcome::Fail)]
            {
                if number == 0 {
                    continue;
                }
                let tall = (ROW - 6.0) * number as f64 / tally.all() as f64;
                y -= tall;
                let _ = write!(
                    sheet.svg,
                    "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{}\"/>",
                    (right - left - 0.5).max(0.5),
                    FILE.outcome(outcome)
                );
            }
        }
    }
    for &(row, since, until) in &summary.silences {
        let (left, right, y) = (sheet.x(since), sheet.x(until.min(summary.end)), row as f64 * ROW + 3.0);
        let _ = write!(
            sheet.svg,
            "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            (right - left).max(0.5),
            ROW - 6.0,
            SILENT
        );
    }
    Some(sheet.finish())
}

/// The colour of silence of a node.
const SILENT: &str = "#b9bfc8";

fn leaders(input: &ReportInput<'_>) -> Option<String> {
    let summary = &input.summary;
    if summary.roles.is_empty() {
        return None;
    }
    let mut sheet = Canvas::new(input, "Who claimed leadership", summary.nodes.len() as f64 * ROW);
    for (row, node) in summary.nodes.iter().enumerate() {
        sheet.label(node, row as f64 * ROW + ROW / 2.0);
        sheet.line((row + 1) as f64 * ROW);
    }
    for said in summary.roles.iter().take(20_000) {
        let Some(row) = summary.node_row(&said.node) else { continue };
        let (left, right) = (sheet.x(said.from), sheet.x(said.to));
        let (y, width) = (row as f64 * ROW, (right - left).max(1.5));
        if !matches!(&*said.role, "leader" | "primary" | "master") {
            let _ = write!(
                sheet.svg,
                "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"2\" fill=\"{}\"/>",
                y + ROW / 2.0 - 1.0,
                FILE.muted
            );
            continue;
        }
        let _ = write!(
            sheet.svg,
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"#33415c\"/>",
            y + 3.0,
            ROW - 6.0
        );
        let text = said.term.map_or_else(|| said.role.clone(), |term| format!("term {term}"));
        if text.chars().count() as f64 * 6.5 + 8.0 < width {
            let _ = write!(
                sheet.svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#ffffff\">{}</text>",
                left + 5.0,
                y + ROW / 2.0 + 4.0,
                escape(&text)
            );
        }
    }
    Some(sheet.finish())
}
