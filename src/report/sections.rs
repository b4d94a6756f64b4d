//! Sections of a report, as HTML for both pages: the banner, the counterexamples, the promises.
use super::cycle;
use super::first;
use super::groups;
use super::input::{ReportInput, Source, part};
use super::lanes;
use super::logs;
use super::palette::{self, Palette};
use super::tables;
use super::words::{self, escape};
use crate::targets::lessons;
use dsfuzz_checkers::{Finding, Validity, Verdict};
use std::fmt::Write;

/// Counterexamples with a picture.
pub(super) const PICTURES_MAX: usize = 4;
const FINDINGS_MAX: usize = 50;
const GROUPS_MAX: usize = 20;

/// One of the two pages.
pub(super) enum Page {
    /// `report.html`.
    Scripted,
    /// `report/index.html`; pictures become files of their own, collected here as name and content.
    Plain(std::cell::RefCell<Vec<(String, String)>>),
}

impl Page {
    /// The relative path from the page to the folder of the verdict.
    fn up(&self) -> &'static str {
        match self {
            Page::Scripted => "",
            Page::Plain(_) => "../",
        }
    }

    /// The relative path from the page to the run's folder.
    pub(super) fn base(&self, input: &ReportInput<'_>) -> String {
        format!("{}{}", self.up(), input.dir.way_back())
    }

    pub(super) fn ink(&self) -> &'static Palette {
        match self {
            Page::Scripted => &palette::PAGE,
            Page::Plain(_) => &palette::FILE,
        }
    }

    /// Puts a picture on the page: in place, or as a file.
    pub(super) fn picture(&self, file: &str, svg: String, description: &str) -> String {
        match self {
            Page::Scripted => format!("<div class=\"scroll\" tabindex=\"0\">{svg}</div>"),
            Page::Plain(files) => {
                files.borrow_mut().push((file.to_string(), svg));
                let alt = escape(&words::shorten(description, 600));
                format!("<div class=\"scroll\"><img src=\"{}\" alt=\"{alt}\"></div>", words::link(file))
            }
        }
    }
}

/// The verdict in words, the cards, and the facts of the run.
pub(super) fn banner(input: &ReportInput<'_>, page: &Page) -> anyhow::Result<String> {
    let (info, verdict) = (input.info, input.verdict);
    let file = input.source == Source::File;
    let mut facts = vec![if file { ("file", escape(&info.plan)) } else { ("plan", escape(&info.plan)) }];
    facts.push(("target", escape(&target(input))));
    // No seed was drawn for an unreadable plan.
    if !(file || input.bad_plan() && info.seed == 0) {
        facts.push(("seed", format!("<code>{}</code>", info.seed)));
    }
    let named = input.summary.nodes.iter().filter(|node| *node != "?" && !node.is_empty()).count();
    facts.push(("nodes", if named == 0 { String::new() } else { named.to_string() }));
    if input.source != Source::NoLoad {
        facts.push(("operations", tally(input)));
    }
    if !(matches!(input.source, Source::File | Source::NoLoad) && input.history.faults.is_empty()) {
        facts.push(("faults", input.history.faults.len().to_string()));
    }
    facts.push(("started", escape(info.started.get(..19).unwrap_or(&info.started))));
    facts.push(("dsfuzz", escape(&info.dsfuzz)));
    if let Some(replay) = &info.replay {
        facts.push(("replay of", tables::repeated(input, page, replay)));
    }
    if let Some(signal) = &info.stopped_by {
        facts.push(("stopped by", escape(signal)));
    }
    facts.push(("exit", verdict.exit.to_string()));
    let failed = verdict.validity != Validity::Invalid && !input.harness().is_empty();
    let (word, class, answer) = match input.source {
        Source::NoLoad if input.bad_plan() => {
            ("not run", "failed", "the plan or its arguments are wrong, so no node was touched".to_owned())
        }
        Source::NoLoad => ("not run", "failed", "the run failed before its load, so nothing was tested".to_owned()),
        _ if failed && !info.harness_failures.is_empty() => {
            ("failed", "failed", "the harness or the cluster failed".to_owned())
        }
        _ => {
            let answer = words::answer(verdict, input.source);
            let answer = answer.split_once(": ").map_or("", |(_, rest)| rest).to_owned();
            (words::word(verdict.validity), words::word(verdict.validity), answer)
        }
    };
    let sentence = match groups::groups(input).first() {
        Some(group) if group.findings.len() > 1 => {
            format!("{}: {}. For example: {}", group.kind(), group.extent(input), input.sentence())
        }
        _ => input.sentence().to_owned(),
    };
    let mut html = format!(
        "<header class=\"banner {class}\"><p class=\"kicker\">dsfuzz report</p><h1><span class=\"mark\">{word}</span> \
         {answer}</h1>\n<p class=\"sentence{}\">{}</p>\n",
        if sentence.contains('\n') { " lines" } else { "" },
        escape(&sentence),
    );
    if let Some(asked) = &verdict.asked {
        let _ = writeln!(html, "<p class=\"notice\">{}</p>", escape(&words::other_question(asked)));
    }
    if input.source == Source::CutOff {
        html.push_str(
            "<p class=\"notice\">The record was cut off: the run did not end in order. What was recorded until then is \
             judged; calls in flight count as unknown.</p>\n",
        );
    }
    html.push_str(&part("What to look at first", || Ok(first::cards(input, page))));
    html.push_str("<dl class=\"facts\">");
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    html.push_str("</dl>\n</header>\n");
    Ok(html)
}

fn tally(input: &ReportInput<'_>) -> String {
    let total = &input.summary.total;
    let count = words::count;
    format!(
        "{} <small>({} ok, {} fail, {} info)</small>",
        count(total.all()),
        count(total.ok),
        count(total.fail),
        count(total.info)
    )
}

/// The target with its versions, each once.
fn target(input: &ReportInput<'_>) -> String {
    let mut versions: Vec<&str> = input.info.target_versions.values().map(String::as_str).collect();
    versions.sort_unstable();
    versions.dedup();
    format!("{} {}", input.info.target, versions.join(", ")).trim().to_string()
}

/// The violations: pictures and sentences, one block for each kind.
pub(super) fn counterexamples(input: &ReportInput<'_>, page: &Page) -> anyhow::Result<String> {
    let groups = groups::groups(input);
    let Some(first) = groups.first() else { return Ok(String::new()) };
    let title = match (groups.len(), first.findings.len()) {
        (1, 1) => "The counterexample",
        _ => "The counterexamples",
    };
    let mut html = format!("<section id=\"counterexample\"><h2>{title}</h2>\n");
    let mut captions = Captions::default();
    for (number, group) in groups.iter().take(GROUPS_MAX).enumerate() {
        let Some(first) = group.findings.first() else { continue };
        let captions = &mut captions;
        html.push_str(&part("A counterexample", || Ok(one(input, page, (group.verdict, first), number + 1, captions))));
        html.push_str(&others(input, page, group));
    }
    if groups.len() > GROUPS_MAX {
        let more = groups.len() - GROUPS_MAX;
        let _ =
            writeln!(html, "<p>{more} more kinds stand in <a href=\"{}verdict.json\">verdict.json</a>.</p>", page.up());
    }
    html.push_str("</section>\n");
    Ok(html)
}

/// The further examples of a kind: their number, first time and faults, and each in a line.
fn others(input: &ReportInput<'_>, page: &Page, group: &groups::Group<'_>) -> String {
    if group.findings.len() < 2 {
        return String::new();
    }
    let mut facts = vec![group.extent(input)];
    facts.extend(group.faults(input));
    let mut html = format!(
        "<details class=\"others\"><summary>{} of <code>{}</code>: {}</summary><ol>",
        if group.findings.len() == 2 {
            "1 more example".into()
        } else {
            format!("{} more examples", group.findings.len() - 1)
        },
        escape(group.kind()),
        escape(&facts.join("; ")),
    );
    for finding in group.findings.iter().skip(1).take(FINDINGS_MAX) {
        let ops: Vec<String> = finding
            .ops
            .iter()
            .take(6)
            .map(|call| format!("<a href=\"#charts\" data-op=\"{call}\">#{call}</a>"))
            .collect();
        let _ = write!(html, "<li>{} <small>{}</small></li>", escape(&finding.title), ops.join(" "));
    }
    html.push_str("</ol>");
    if group.findings.len() - 1 > FINDINGS_MAX {
        let more = group.findings.len() - 1 - FINDINGS_MAX;
        let _ = write!(
            html,
            "<p>{more} more examples stand in <a href=\"{}verdict.json\">verdict.json</a>.</p>",
            page.up()
        );
    }
    html.push_str("</details>\n");
    html
}

/// Captions that explain a kind of picture. Each stands below the first picture of its kind.
#[derive(Default)]
struct Captions {
    cycle: bool,
    lanes: bool,
}

fn what_is_this(kind: &str) -> String {
    let Some(about) = lessons::about(kind) else { return String::new() };
    format!(
        "<details class=\"what\"><summary>What is this?</summary><p>{} <code>dsfuzz explain {}</code> says more.</p></details>\n",
        escape(&about),
        escape(kind),
    )
}

fn one(
    input: &ReportInput<'_>,
    page: &Page,
    (verdict, finding): (&Verdict, &Finding),
    number: usize,
    said: &mut Captions,
) -> String {
    let mut html = format!(
        "<article class=\"finding\"><h3>{}</h3>\n<p class=\"tags\"><code>{}</code> <span>found by {}</span>",
        escape(&finding.title),
        escape(&finding.kind),
        escape(&checker(verdict)),
    );
    if !finding.key.is_nil() {
        let _ = write!(html, " <span>key <code>{}</code></span>", escape(&words::value(&finding.key, 80)));
    }
    for node in finding.nodes.iter().take(20) {
        let _ = write!(html, " <span>node <code>{}</code></span>", escape(&words::shorten(node, 60)));
    }
    for id in finding.faults.iter().take(20) {
        let known = input.history.faults.iter().find(|fault| fault.id == *id);
        let said = known.map_or_else(|| format!("fault {id}"), words::fault);
        let _ = write!(html, " <a href=\"#fault-{id}\">during {}</a>", escape(&words::shorten(&said, 80)));
    }
    html.push_str("</p>\n");
    html.push_str(&what_is_this(&finding.kind));
    let pictured = number <= PICTURES_MAX;
    if let Some(picture) = pictured.then(|| cycle::draw(input.history, finding, page.ink(), number)).flatten() {
        html.push_str(&page.picture(&format!("cycle-{number}.svg"), picture.svg, &picture.description));
        if !std::mem::replace(&mut said.cycle, true) {
            html.push_str(
                "\n<p class=\"caption\">Each arrow gives the reason why one operation must come before the next. They form \
                 a cycle, so no order can exist.</p>\n",
            );
        }
    }
    if let Some(picture) = pictured.then(|| lanes::draw(input.history, finding, page.ink(), number)).flatten() {
        html.push_str(&page.picture(&format!("counterexample-{number}.svg"), picture.svg, &picture.description));
        if !std::mem::replace(&mut said.lanes, true) {
            html.push_str(
                "\n<p class=\"caption\">One lane for each process. Left to right is the exact order; lengths are stretched, \
                 the times above are real. A dashed bar without an end is an operation whose outcome is unknown: it may \
                 take effect at any later moment.</p>\n",
            );
        }
        if finding.ops.len() > lanes::OPS_MAX {
            let _ = writeln!(
                html,
                "<p class=\"caption\">The first {} of {} operations are drawn.</p>",
                lanes::OPS_MAX,
                finding.ops.len()
            );
        }
    }
    if !finding.sentences.is_empty() {
        html.push_str("<ol class=\"reason\">");
        for sentence in words::each_once(&finding.sentences).into_iter().take(60) {
            let _ = write!(html, "<li>{}</li>", escape(&words::shorten(sentence, 1000)));
        }
        html.push_str("</ol>\n");
    }
    html.push_str(&op_table(input, finding));
    html.push_str(&part("The log lines", || Ok(log_lines(input, page, finding))));
    html.push_str("</article>\n");
    html
}

fn op_table(input: &ReportInput<'_>, finding: &Finding) -> String {
    let history = input.history;
    let ops: Vec<_> = finding.ops.iter().take(lanes::OPS_MAX).filter_map(|call| history.op(*call)).collect();
    if ops.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<div class=\"scroll\"><table class=\"ops\"><thead><tr><th scope=\"col\">op<th scope=\"col\">node<th \
         scope=\"col\">process<th scope=\"col\">called<th scope=\"col\">replied<th scope=\"col\">wall clock<th scope=\"col\">what<th \
         scope=\"col\">outcome</tr></thead><tbody>",
    );
    for op in ops {
        let error = op.error.map(|id| format!(" · {}", words::shorten(history.name(id), 160))).unwrap_or_default();
        let _ = write!(
            html,
            "<tr data-op=\"{call}\"><th scope=\"row\">#{call}<td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>{}<td \
             class=\"{outcome}\">{outcome}{}</tr>",
            escape(history.name(op.node)),
            op.process,
            words::moment(op.call_time),
            words::moment(op.reply_time),
            words::wall(history, op.call_time).unwrap_or_else(|| "–".into()),
            escape(&words::call(history, &op, 80)),
            escape(&error),
            call = op.call,
            outcome = words::outcome(op.outcome),
        );
    }
    html.push_str("</tbody></table></div>\n");
    html
}

/// The log lines of the finding's nodes around its operations.
fn log_lines(input: &ReportInput<'_>, page: &Page, finding: &Finding) -> String {
    let ops: Vec<_> = finding.ops.iter().take(lanes::OPS_MAX).filter_map(|call| input.history.op(*call)).collect();
    let mut nodes: Vec<&str> = ops.iter().map(|op| input.history.name(op.node)).collect();
    nodes.extend(finding.nodes.iter().map(String::as_str));
    nodes.sort_unstable();
    nodes.dedup();
    let moments: Vec<u64> =
        ops.iter().flat_map(|op| [op.call_time, op.reply_time.min(input.history.end_time)]).collect();
    if moments.is_empty() || nodes.is_empty() || !nodes.iter().any(|node| input.dir.node(node).is_dir()) {
        return String::new();
    }
    let lines = logs::around(input, &nodes, &moments);
    if lines.is_empty() {
        return format!(
            "<p class=\"caption\">The logs of {} say nothing within 2 s of it.</p>\n",
            escape(&nodes.join(", "))
        );
    }
    let mut html = format!(
        "<details class=\"logs\" open><summary>{} of {} within 2 s of it</summary><div class=\"scroll\"><table \
         class=\"loglines\"><tbody>",
        if lines.len() == 1 { "1 log line".into() } else { format!("{} log lines", lines.len()) },
        escape(&nodes.join(", "))
    );
    for line in &lines {
        let file = line.file.to_string_lossy();
        // Browsers with text fragments jump to the line; the number serves the others.
        let fragment: String = line.text.chars().take(80).collect();
        let corrected = line.corrected.map_or(String::new(), |offset| {
            format!(" <span class=\"warn\">its clock was {} off, corrected</span>", words::offset(offset))
        });
        let _ = write!(
            html,
            "<tr{}><th scope=\"row\">{}<td class=\"n\">{}<td><a href=\"{}{}#:~:text={}\">{}:{}</a><td><code>{}</code>{corrected}</tr>",
            if line.stands_out() { " class=\"stands-out\"" } else { "" },
            escape(&line.node),
            words::moment_and_wall(input.history, line.time),
            page.base(input),
            words::link(&file),
            words::fragment(&fragment),
            escape(&file),
            line.number,
            escape(&words::shorten(&line.text, 240)),
        );
    }
    html.push_str("</tbody></table></div></details>\n");
    html
}

pub(super) fn checker(verdict: &Verdict) -> String {
    if verdict.workload.is_empty() {
        verdict.checker.clone()
    } else {
        format!("{} of {}", verdict.checker, verdict.workload)
    }
}

/// One row for each promise.
pub(super) fn promises(input: &ReportInput<'_>) -> anyhow::Result<String> {
    if input.verdict.promises.is_empty() && input.source == Source::NoLoad {
        return Ok(String::new());
    }
    let mut html = String::from("<section id=\"promises\"><h2>Promises</h2>\n");
    if input.verdict.promises.is_empty() {
        html.push_str("<p class=\"notice\">No promise was judged.</p>\n");
    } else {
        html.push_str(
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">promise<th scope=\"col\">verdict<th \
             scope=\"col\">result<th scope=\"col\">numbers</tr></thead><tbody>",
        );
        for verdict in &input.verdict.promises {
            let numbers = verdict.numbers.iter().take(12);
            let numbers: Vec<String> = numbers
                .map(|(name, value)| {
                    let value = words::shorten(&value.to_string(), 60);
                    format!("<span>{} <b>{}</b></span>", escape(name), escape(&value))
                })
                .collect();
            let word = words::word(verdict.validity);
            let _ = write!(
                html,
                "<tr><th scope=\"row\">{}<td><span class=\"mark {word}\">{word}</span><td>{}<td class=\"numbers\">{}</tr>",
                escape(&checker(verdict)),
                escape(&words::shorten(&verdict.summary, 600)),
                numbers.join(" ")
            );
        }
        html.push_str("</tbody></table></div>\n");
    }
    if input.verdict.promises.iter().any(|verdict| verdict.validity == Validity::Unknown) {
        html.push_str("<p class=\"caption\">Unknown is not a pass: too little was seen, or a budget ran out.</p>\n");
    }
    html.push_str(&remarks(input));
    html.push_str("</section>\n");
    Ok(html)
}

/// Findings that break no promise but are worth showing.
fn remarks(input: &ReportInput<'_>) -> String {
    let remarks = input.remarks();
    if remarks.is_empty() {
        return String::new();
    }
    let mut html = format!(
        "<details><summary>{} more found, which break no promise</summary><ul>",
        words::count(remarks.len() as u64)
    );
    // A shared reason stands at its first finding.
    let mut reasons = std::collections::BTreeSet::new();
    for (verdict, finding) in remarks.iter().take(FINDINGS_MAX) {
        let mut reason = words::shorten(&words::each_once(&finding.sentences).join(" "), 600);
        if !reasons.insert(reason.clone()) {
            reason.clear();
        }
        let _ = write!(
            html,
            "<li><b>{}</b> <small>({}, {})</small> {}</li>",
            escape(&finding.title),
            escape(&finding.kind),
            escape(&checker(verdict)),
            escape(&reason)
        );
    }
    html.push_str("</ul></details>\n");
    html
}
