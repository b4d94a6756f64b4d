//! The files of a report: what stands in them, that nothing a target wrote acts in them, and that they are always drawn.
#[path = "browser/runs.rs"]
mod runs;

use dsfuzz::report;
use dsfuzz::store::{RunDir, RunInfo, RunVerdict};
use dsfuzz_checkers::{Edge, EdgeKind, History, Outcome, Validity, Value};
use runs::Run;
use std::fs;

/// A run's folder with its report drawn.
fn drawn(run: &Run) -> (tempfile::TempDir, RunDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = RunDir::at(folder.path().join("etcd-register/2026-11-20T10-00-00"));
    fs::create_dir_all(dir.node("n1")).expect("a node's folder");
    fs::write(dir.node("n1").join("etcd 1.log"), "elected\n").expect("a log");
    fs::write(dir.history(), "{}\n").expect("a history");
    report::write_all(&dir, &run.history, &run.info, &run.verdict).expect("a report");
    (folder, dir)
}

fn read(path: impl AsRef<std::path::Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

#[test]
fn the_page_holds_what_people_look_for_in_order() {
    let (_folder, dir) = drawn(&runs::stale_read());
    let page = read(dir.report());
    let mut from = 0;
    for wanted in [
        "<html lang=\"en\">",
        "class=\"banner invalid\"",
        "although the write of 4 had finished 0.793 s earlier",
        "12345678",
        "The counterexample",
        "<svg xmlns",
        "class=\"reason\"",
        "<h2>Promises",
        "chart-faults",
        "chart-latency",
        "chart-rate",
        "chart-availability",
        "chart-roles",
        "chart-clocks",
        "<h2>Measured theory",
        "writes were acknowledged on several sides in 2 of 2 partitions",
        "<h2>Faults",
        "by itself, 33.000 s – 34.000 s",
        "<h2>Evidence",
        "too thin",
        "<h2>The harness",
        "<h2>Phases",
        "<h2>Set-up",
        "dsfuzz run plans/etcd-register.yaml --seed 12345678",
        "href=\"nodes/n1/etcd%201.log\"",
        "id=\"meta\"",
        "id=\"ops\"",
    ] {
        let at = page[from..].find(wanted).unwrap_or_else(|| panic!("{wanted} is missing or stands too early"));
        from += at;
    }
    assert!(!page.contains("could not be drawn:</strong>"), "a part failed");
}

#[test]
fn nothing_in_the_page_comes_from_elsewhere() {
    let (_folder, dir) = drawn(&runs::stale_read());
    let page = read(dir.report()).replace("http://www.w3.org/2000/svg", "");
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src=\""), "an outside address");
    for (name, text) in plain_files(&dir) {
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http"), "{name} names an outside address");
    }
}

fn plain_files(dir: &RunDir) -> Vec<(String, String)> {
    let entries = fs::read_dir(dir.plain_report()).expect("report/");
    let files = entries.map(|entry| entry.expect("an entry").path());
    files.map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), read(path))).collect()
}

#[test]
fn the_plain_report_needs_no_script_and_no_inline_style() {
    let (_folder, dir) = drawn(&runs::stale_read());
    let files = plain_files(&dir);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for wanted in [
        "index.html",
        "style.css",
        "latency.svg",
        "rate.svg",
        "availability.svg",
        "leaders.svg",
        "counterexample-1.svg",
    ] {
        assert!(names.contains(&wanted), "{wanted} is missing from {names:?}");
    }
    for (name, text) in &files {
        for forbidden in ["<script", " style=", "<style", "javascript:", " onclick"] {
            assert!(!text.contains(forbidden), "{name} has {forbidden}");
        }
    }
    let index = &files.iter().find(|(name, _)| name == "index.html").expect("index.html").1;
    for wanted in ["latency.svg", "counterexample-1.svg", "href=\"../nodes/n1/etcd%201.log\"", "<h2>Evidence"] {
        assert!(index.contains(wanted), "{wanted}");
    }
}

#[test]
fn what_a_target_writes_stays_text() {
    let (_folder, dir) = drawn(&runs::hostile());
    let page = read(dir.report());
    assert_eq!(page.matches("<script").count(), 3, "meta, operations and the page's own script");
    assert_eq!(page.matches("</script").count(), 3);
    for (name, text) in plain_files(&dir).into_iter().chain([("report.html".to_string(), page)]) {
        let comments = text.matches("<!--").count();
        assert_eq!(comments, 0, "{name} opens a comment");
        for forbidden in ["<img src=x", "onerror=\"doc", "\u{1b}", "\u{0}", "\u{202e}"] {
            assert!(!text.contains(forbidden), "{name} has {forbidden:?}");
        }
    }
    let junit = read(dir.junit());
    assert!(!junit.contains("<script") && !junit.contains('\u{1b}') && !junit.contains('\u{0}'), "junit.xml");
}

#[test]
fn pictures_are_well_formed_xml() {
    for run in [runs::stale_read(), runs::hostile()] {
        let (_folder, dir) = drawn(&run);
        for (name, text) in plain_files(&dir).into_iter().filter(|(name, _)| name.ends_with(".svg")) {
            well_formed(&name, &text);
        }
        well_formed("junit.xml", read(dir.junit()).split_once("?>").expect("a declaration").1);
    }
}

/// Tags balance, and no bare `<` or `&` stands in text.
fn well_formed(name: &str, text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').unwrap_or_else(|| panic!("{name}: a tag does not end")) + at;
        let tag = &rest[at + 1..end];
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed.trim()), "{name}: tags cross");
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().expect("a name"));
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{name}: {open:?} stay open");
    for piece in text.split('&').skip(1) {
        assert!(piece.chars().take(8).any(|character| character == ';'), "{name}: a bare & before {piece:.20}");
    }
}

#[test]
fn a_million_operations_make_a_page_below_fifteen_megabytes() {
    let run = runs::large(1_000_000);
    assert_eq!(run.history.ops().len(), 1_000_000);
    let (_folder, dir) = drawn(&run);
    let size = fs::metadata(dir.report()).expect("a page").len();
    assert!(size < 15_000_000, "{size} bytes");
    let size = fs::metadata(dir.plain_report().join("latency.svg")).expect("a picture").len();
    assert!(size < 2_000_000, "{size} bytes");
}

#[test]
fn a_run_in_which_nothing_happened_is_drawn_too() {
    let verdict = RunVerdict {
        notes: Vec::new(),
        load: Vec::new(),
        format: 1,
        validity: Validity::Unknown,
        sentence: "Nothing was recorded.".into(),
        promises: Vec::new(),
        evidence: Vec::new(),
        harness: vec!["n1: no answer".into()],
        exit: 255,
        ..RunVerdict::failed("", 0)
    };
    let run = Run { history: History::default(), info: RunInfo::default(), verdict };
    let (_folder, dir) = drawn(&run);
    let page = read(dir.report());
    assert!(page.contains("n1: no answer"));
    // Only what is there: no empty charts, tables or sentences about calls that were never made.
    let plain = read(dir.path().join("report/index.html"));
    for empty in [
        "id=\"charts\"",
        "<canvas",
        "id=\"faults\"",
        "id=\"errors\"",
        "id=\"evidence\"",
        "id=\"promises\"",
        "id=\"theory\"",
    ] {
        assert!(!page.contains(empty) && !plain.contains(empty), "{empty}");
    }
    // It never began, so nothing of it was cut off and no evidence is thin.
    assert!(page.contains("the run failed before its load") && page.contains("class=\"banner failed\""));
    assert!(!page.contains("The record was cut off"));
}

#[test]
fn a_load_without_room_for_its_faults_is_told_with_the_one_that_will_do() {
    use dsfuzz::store::PlannedFaults;
    let mut run = runs::stale_read();
    run.history.faults.clear();
    let why = "kill, pause cannot come: a load of 20s has room for none of 2 faults; a load of 45s holds one of each (`--time`)";
    let planned = |fitted, warnings: &[&str]| PlannedFaults {
        kinds: vec!["kill".into(), "pause".into()],
        fitted,
        warnings: warnings.iter().map(|line| (*line).to_owned()).collect(),
        ..PlannedFaults::default()
    };
    for (planned, wanted) in [
        (
            Some(planned(0, &[why])),
            vec!["Faults were planned (kill, pause), and none fitted into the load.", "a load of 45s"],
        ),
        (Some(planned(3, &[])), vec!["3 faults were planned (kill, pause), and none began"]),
        (Some(PlannedFaults::default()), vec!["No fault was asked for."]),
    ] {
        run.info.planned = planned;
        let (_folder, dir) = drawn(&run);
        for page in [read(dir.report()), read(dir.plain_report().join("index.html"))] {
            assert!(wanted.iter().all(|part| page.contains(part)), "{wanted:?}");
            assert!(wanted[0].contains("asked for") || !page.contains("No fault was asked for"), "{wanted:?}");
        }
    }
}

#[test]
fn the_report_of_a_bad_plan_says_what_is_wrong_once() {
    let said = "unknown key `tme` in `load`\n --> bad.yaml:5:8\n  = did you mean `time`?";
    let verdict = RunVerdict::failed(said, 254);
    let info = RunInfo { plan: "bad".into(), harness_failures: vec![said.into()], ..RunInfo::default() };
    let (_folder, dir) = drawn(&Run { history: History::default(), info, verdict });
    for page in [read(dir.report()), read(dir.path().join("report/index.html"))] {
        let text = page.split("<script").next().expect("a page");
        assert!(text.contains("the plan or its arguments are wrong, so no node was touched"), "{text}");
        assert_eq!(text.matches("did you mean `time`?").count(), 1, "{text}");
        assert!(text.contains("class=\"sentence lines\"") && text.contains("dsfuzz plan PLAN"), "{text}");
        for absent in ["id=\"harness\"", "What was in force", "What is missing", "Seed <code>0", "<dt>seed", "doctor"] {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
    }
}

#[test]
fn nothing_is_said_twice_in_the_findings_and_the_headline_tells_of_the_first() {
    let mut run = runs::stale_read();
    let promise = &mut run.verdict.promises[0];
    let first = promise.findings[0].clone();
    let again = first.sentences[3].clone();
    promise.findings[0].sentences.push(again.clone());
    // Another example of the same kind in front, and another kind with a picture of its own.
    let mut earlier = first.clone();
    earlier.ops.remove(1);
    earlier.title = "Stale read of key 8".into();
    let mut other = first.clone();
    other.kind = "lost-update".into();
    promise.findings.insert(0, earlier);
    promise.findings.push(other);
    let mut remark = run.verdict.promises[1].findings[0].clone();
    remark.title = "n5 and n1 both said to lead".into();
    run.verdict.promises[1].findings.push(remark);
    run.verdict.sentence = first.title.clone();
    let (_folder, dir) = drawn(&run);
    let page = read(dir.report());
    let section = |id: &str| {
        let from = page.find(&format!("<section id=\"{id}\"")).expect("a section");
        page[from..].split("</section>").next().expect("its end").to_owned()
    };
    let findings = section("counterexample");
    assert_eq!(findings.matches("<h3>Stale read of key 8").count(), 1);
    assert_eq!(findings.matches("One lane for each process").count(), 1);
    assert_eq!(findings.matches(again.as_str()).count(), 2, "once in each block: {findings}");
    assert_eq!(section("promises").matches("Their terms differ (4, 5)").count(), 1);
    let headline = page.split("<p class=\"sentence\">").nth(1).and_then(|rest| rest.split("</p>").next());
    assert!(headline.is_some_and(|line| line.ends_with("For example: Stale read of key 8")), "{headline:?}");
    let terminal = report::terminal(&run.info, &run.verdict, &run.history, &dir, false);
    assert_eq!(terminal.lines().rev().nth(2), Some("Stale read of key 8"), "{terminal}");
}

#[test]
fn a_finding_that_names_unknown_operations_is_told_without_a_picture() {
    let mut run = runs::stale_read();
    run.verdict.promises[0].findings[0].ops = vec![u64::MAX, 0];
    let (_folder, dir) = drawn(&run);
    let page = read(dir.report());
    assert!(page.contains("<h3>A read of key 7") && !page.contains("class=\"lanes\""));
}

#[test]
fn a_cycle_is_drawn_with_the_reason_of_each_edge() {
    let mut run = runs::stale_read();
    let finding = &mut run.verdict.promises[0].findings[0];
    let edge = |from: u64, to: u64, kind: EdgeKind, after: i64| Edge {
        from,
        to,
        kind,
        key: Value::Int(7),
        before: Value::Nil,
        after: Value::Int(after),
    };
    let (one, two) = (finding.ops[0], finding.ops[1]);
    finding.cycle = vec![edge(one, two, EdgeKind::Rw, 4), edge(two, one, EdgeKind::Ww, 3)];
    let (_folder, dir) = drawn(&run);
    let page = read(dir.report());
    assert!(
        page.contains("class=\"cycle\"") && page.contains("rw: key 7: read nothing, then 4 was written"),
        "{page:.200}"
    );
    let picture = read(dir.plain_report().join("cycle-1.svg"));
    assert!(picture.contains("T1 = #") && picture.contains("T2 = #"), "{picture}");
    // A cycle through operations that the history does not have is told without a picture.
    run.verdict.promises[0].findings[0].cycle[0].from = u64::MAX;
    let (_folder, dir) = drawn(&run);
    assert!(!read(dir.report()).contains("class=\"cycle\""));
}

#[test]
fn verdict_json_is_what_its_schema_says() {
    let run = runs::stale_read();
    let (_folder, dir) = drawn(&run);
    let written: serde_json::Value = serde_json::from_str(&read(dir.verdict())).expect("JSON");
    let schema: serde_json::Value = serde_json::from_str(report::VERDICT_SCHEMA).expect("JSON");
    conforms(&written, &schema, &schema, "verdict");
    let again: RunVerdict = serde_json::from_value(written).expect("a verdict");
    assert_eq!(again, run.verdict);
    let doc = include_str!("../docs/verdict-schema.md");
    let of = |name: &str| &schema["$defs"][name]["properties"];
    for fields in [&schema["properties"], of("promise"), of("finding"), of("evidence"), of("theory")] {
        for field in fields.as_object().expect("fields").keys() {
            assert!(doc.contains(&format!("| `{field}` |")), "{field} is not documented");
        }
    }
}

/// The part of JSON Schema that the schema uses; unknown fields are refused, so that none goes undocumented.
fn conforms(value: &serde_json::Value, schema: &serde_json::Value, root: &serde_json::Value, at: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(place) => root.pointer(place.trim_start_matches('#')).expect("a definition"),
        None => schema,
    };
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    assert!(fits, "{at}: {value}");
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(required.as_str().expect("a name")).is_some(), "{at} lacks {required}");
    }
    if let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, field) in fields {
            let schema = known.get(name).unwrap_or_else(|| panic!("{at}.{name} is not in the schema"));
            conforms(field, schema, root, &format!("{at}.{name}"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        conforms(item, &schema["items"], root, at);
    }
}

#[test]
fn junit_tells_failures_from_errors() {
    let (_folder, dir) = drawn(&runs::stale_read());
    let junit = read(dir.junit());
    for wanted in [
        "failures=\"1\" errors=\"2\"",
        "<property name=\"seed\" value=\"12345678\"/>",
        "classname=\"etcd.register\"",
        "<failure",
        "type=\"nonlinearizable\"",
        "read 7 → 3",
        "type=\"unknown\"",
        "name=\"evidence\"",
        "name=\"harness\"",
    ] {
        assert!(junit.contains(wanted), "{wanted} is missing:\n{junit}");
    }
}

#[test]
fn the_terminal_ends_with_verdict_reason_report_and_command() {
    let run = runs::stale_read();
    let dir = RunDir::at("results/etcd-register/now");
    let text = report::terminal(&run.info, &run.verdict, &run.history, &dir, false);
    assert!(!text.contains('\u{1b}'));
    let lines: Vec<&str> = text.lines().rev().take(4).collect();
    assert_eq!(
        lines,
        [
            "again:  dsfuzz run plans/etcd-register.yaml --seed 12345678",
            "report: results/etcd-register/now/report.html",
            run.verdict.sentence.as_str(),
            "Invalid: a promise was broken",
        ]
    );
    for wanted in [
        "linearizable of register",
        "TOO THIN",
        "partition isolate-leader: n3 | n1 n2 n4 n5",
        "twice",
        "evidence: overlapping-leaders (split-brain): ",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing:\n{text}");
    }
    assert!(report::terminal(&run.info, &run.verdict, &run.history, &dir, true).contains("\u{1b}[1;31mInvalid"));
    let run = runs::hostile();
    let text = report::terminal(&run.info, &run.verdict, &run.history, &dir, false);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "an escape sequence of the target came through");
}

#[test]
fn github_gets_a_summary_and_annotations_only_there() {
    let run = runs::stale_read();
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, path) = (RunDir::at(folder.path()), folder.path().join("summary.md"));
    let nothing = report::publish_to_github(&dir, &run.history, &run.info, &run.verdict, |_| None);
    assert!(nothing.expect("nothing to do").is_empty() && !path.exists());
    let there = |name: &str| match name {
        "GITHUB_STEP_SUMMARY" => Some(path.to_string_lossy().into_owned()),
        "GITHUB_ACTIONS" => Some("true".to_string()),
        _ => None,
    };
    let lines = report::publish_to_github(&dir, &run.history, &run.info, &run.verdict, there).expect("published");
    assert!(
        lines[0].starts_with("::error title=etcd-register%3A linearizable of register is invalid::A read"),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| !line.contains('\n')));
    let summary = read(&path);
    assert!(summary.contains("read 7 → 3") && summary.contains("--seed 12345678"), "{summary}");
    let mut run = runs::hostile();
    run.verdict.promises[0].findings[0].sentences = vec![runs::HOSTILE.repeat(20); 2000];
    run.verdict.promises = vec![run.verdict.promises[0].clone(); 60];
    let summary = report::step_summary(&dir, &run.history, &run.info, &run.verdict);
    assert!(summary.len() < 64_000, "{} bytes", summary.len());
    let outside: String = summary.split("````").step_by(2).collect();
    assert!(!outside.contains("<img"), "HTML of the target came through");
}

#[test]
fn a_million_operations_are_counted_right() {
    let run = runs::large(10_000);
    let (_folder, dir) = drawn(&run);
    let page = read(dir.report());
    let fails = run.history.ops().iter().filter(|op| op.outcome == Outcome::Fail).count();
    assert!(page.contains(&format!("{fails} fail (dashed)")), "{fails} fails are not told");
}
