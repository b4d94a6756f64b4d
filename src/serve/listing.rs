//! The list of runs as a page without scripts.
use crate::harmless::escape;
use crate::report::{label_cells, link, word};
use crate::store::{RunDir, RunInfo, RunState, RunVerdict};
use chrono::DateTime;
use std::fmt::Write;
use std::path::Path;

const RUNS_MAX: usize = 2000;

struct Row {
    started: String,
    plan: String,
    time: String,
    info: Option<RunInfo>,
    verdict: Option<RunVerdict>,
    has_report: bool,
    state: RunState,
    /// The cell of a run without a verdict.
    sentence: String,
}

/// The page.
pub(super) fn page(root: &Path) -> String {
    let mut rows = rows(root);
    rows.sort_by(|one, other| other.started.cmp(&one.started).then_with(|| other.time.cmp(&one.time)));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>Runs · dsfuzz</title>\n<link rel=\"stylesheet\" \
         href=\"/style.css\">\n</head>\n<body>\n<header><p class=\"kicker\">dsfuzz</p><h1>Runs</h1>\n<p class=\"caption\">{}, \
         newest first.</p></header>\n<main>\n",
        escape(&root.to_string_lossy())
    );
    if rows.is_empty() {
        html.push_str("<p class=\"notice\">There are no runs here yet. <code>dsfuzz run PLAN</code> makes one.</p>\n");
    } else {
        html.push_str(
            "<div class=\"scroll\"><table class=\"runs\"><thead><tr><th scope=\"col\">started<th scope=\"col\">plan<th \
             scope=\"col\">verdict<th scope=\"col\">reason<th scope=\"col\">took<th scope=\"col\">target<th \
             scope=\"col\">seed</tr></thead><tbody>\n",
        );
        for row in rows.iter().take(RUNS_MAX) {
            write_row(&mut html, row);
        }
        html.push_str("</tbody></table></div>\n");
        if rows.len() > RUNS_MAX {
            let _ = writeln!(html, "<p>{} older runs are not listed.</p>", rows.len() - RUNS_MAX);
        }
    }
    html.push_str("</main>\n</body>\n</html>\n");
    label_cells(&html)
}

/// Every folder two levels down with a `run.json`. Links such as `latest` are skipped.
fn rows(root: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for (plan, folder) in folders(root) {
        for (time, folder) in folders(&folder) {
            let dir = RunDir::at(folder);
            let read = |path| std::fs::read(path).ok();
            let Some(bytes) = read(dir.info()) else { continue };
            let info: Option<RunInfo> = serde_json::from_slice(&bytes).ok();
            let verdict = read(dir.verdict()).and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let state = RunState::of(&dir, info.as_ref(), verdict.as_ref());
            let sentence = info.as_ref().map(|info| state.sentence(&dir, info)).unwrap_or_default();
            let started = info.as_ref().map(|info| moment(&info.started)).filter(|started| !started.is_empty());
            rows.push(Row {
                started: started.unwrap_or_else(|| time.clone()),
                plan: plan.clone(),
                time,
                info,
                verdict,
                has_report: dir.report().is_file(),
                state,
                sentence,
            });
        }
    }
    rows
}

/// A time in UTC, so that runs from different zones sort correctly.
fn moment(written: &str) -> String {
    DateTime::parse_from_rfc3339(written)
        .map_or_else(|_| written.to_string(), |time| time.to_utc().format("%Y-%m-%d %H:%M:%S").to_string())
}

fn folders(path: &Path) -> Vec<(String, std::path::PathBuf)> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}

fn write_row(html: &mut String, row: &Row) {
    let folder = format!("/runs/{}/{}", link(&row.plan), link(&row.time));
    let name = if row.has_report {
        format!("<a href=\"{folder}/report.html\">{}</a>", escape(&row.plan))
    } else {
        format!("{} <small><a href=\"{folder}/run.json\">run.json</a></small>", escape(&row.plan))
    };
    let (mark, sentence) = match (&row.verdict, &row.info) {
        (Some(verdict), _) if row.state.not_run() => {
            let word = if row.state == RunState::Refused { "refused" } else { "not run" };
            (format!("<span class=\"mark\">{word}</span>"), escape(&verdict.sentence))
        }
        (Some(verdict), _) if row.state != RunState::UnderWay => {
            let word = word(verdict.validity);
            let replay = row.info.as_ref().and_then(|info| info.replay.as_ref());
            let replay = replay.map(|replay| format!("{replay}: ")).unwrap_or_default();
            (format!("<span class=\"mark {word}\">{word}</span>"), escape(&format!("{replay}{}", verdict.sentence)))
        }
        (_, None) => ("none".to_string(), "run.json cannot be read".to_string()),
        (_, Some(info)) if info.ended.is_empty() => ("none".to_string(), escape(&row.sentence)),
        (_, Some(_)) => ("none".to_string(), "not judged yet".to_string()),
    };
    let info = row.info.clone().unwrap_or_default();
    // A refused command may have none.
    let none = row.state.not_run() && info.seed == 0;
    let seed = if none { "–".to_string() } else { format!("<code>{}</code>", info.seed) };
    let _ = writeln!(
        html,
        "<tr><td class=\"n\">{}<th scope=\"row\">{name}<td>{mark}<td>{sentence}<td class=\"n\">{}<td>{}<td \
         class=\"n\">{seed}</tr>",
        escape(&row.started),
        took(&info),
        escape(&info.target),
    );
}

fn took(info: &RunInfo) -> String {
    let parse = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let (Some(from), Some(to)) = (parse(&info.started), parse(&info.ended)) else { return "–".to_string() };
    let seconds = (to - from).num_seconds().max(0);
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}
