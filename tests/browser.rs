//! The pages in a real browser: they draw, zoom and answer clicks, and the console stays silent. Needs the packages
//! chromium and chromium-driver. Pictures land in `target/screenshots`.
#[path = "browser/runs.rs"]
mod runs;
#[path = "browser/webdriver.rs"]
mod webdriver;

use dsfuzz::report;
use dsfuzz::store::RunDir;
use runs::Run;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use webdriver::Browser;

fn drawn(run: &Run) -> (tempfile::TempDir, RunDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = RunDir::at(folder.path().join("etcd-register/2026-11-20T10-00-00"));
    for node in ["n1", "n2", "n3"] {
        fs::create_dir_all(dir.node(node)).expect("a node's folder");
        // Four seconds apart from each other and from the stale read, but for one.
        let log = "2026-11-20T10:00:01.000Z started\n\
                   {\"level\":\"info\",\"ts\":\"2026-11-20T10:00:08.900Z\",\"msg\":\"elected leader at term 5\"}\n\
                   2026-11-20T10:00:31.000Z compacted\n";
        fs::write(dir.node(node).join("etcd.log"), log).expect("a log");
    }
    fs::write(dir.node("n1").join("evil.html"), "<script>document.title = 'owned'</script>").expect("a log");
    fs::write(dir.history(), "{}\n").expect("a history");
    fs::write(dir.info(), serde_json::to_vec(&run.info).expect("JSON")).expect("run.json");
    report::write_all(&dir, &run.history, &run.info, &run.verdict).expect("a report");
    (folder, dir)
}

fn silent(browser: &Browser) {
    let said = browser.console();
    assert!(said.is_empty(), "the console says {said:?}");
}

fn view(browser: &Browser) -> (f64, f64) {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    let view = browser.run("const d = document.querySelector('#timeline').dataset; return [d.from, d.to]");
    (number(&view[0]), number(&view[1]))
}

/// Runs something that changes the view and waits until it was drawn.
fn changing(browser: &Browser, act: impl FnOnce()) -> (f64, f64) {
    let drawn = browser.run("return Number(document.querySelector('#timeline').dataset.drawn)");
    act();
    browser.wait(&format!("Number(document.querySelector('#timeline').dataset.drawn) > {drawn}"));
    view(browser)
}

/// The box of an element in the window, after it was scrolled into view and the page came to rest.
fn place(browser: &Browser, selector: &str) -> (i64, i64, i64, i64) {
    let script = format!(
        "const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'center'}}); \
         const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height].map(Math.round)"
    );
    let place = browser.run(&script);
    let number = |position: usize| place[position].as_i64().expect("a number");
    (number(0), number(1), number(2), number(3))
}

fn to(x: i64, y: i64) -> Value {
    json!({"type": "pointerMove", "duration": 0, "x": x, "y": y, "origin": "viewport"})
}

fn down() -> Value {
    json!({"type": "pointerDown", "button": 0})
}

fn up() -> Value {
    json!({"type": "pointerUp", "button": 0})
}

fn click(browser: &Browser, selector: &str) {
    let (x, y, width, height) = place(browser, selector);
    browser.mouse(&[to(x + width / 2, y + height / 2), down(), up()]);
}

/// Whether a canvas shows more than one colour.
fn has_ink(browser: &Browser, canvas: &str) -> bool {
    let script = format!(
        "const c = document.querySelector('{canvas}'); const p = new Uint32Array(c.getContext('2d').getImageData(0, 0, \
         c.width, c.height).data.buffer); return new Set(p).size"
    );
    browser.run(&script).as_u64().is_some_and(|colours| colours > 3)
}

#[test]
fn the_small_run_draws_zooms_and_answers() {
    let (_folder, dir) = drawn(&runs::stale_read());
    let browser = Browser::start();
    browser.resize(1280, 1000);
    browser.open_report(&dir.report());
    for chart in ["faults", "latency", "rate", "availability", "roles", "clocks"] {
        assert!(has_ink(&browser, &format!("#chart-{chart}")), "{chart} is empty");
    }
    browser.screenshot("small-light");
    browser.run("window.scrollTo(0, 0)");

    let whole = view(&browser);
    let (x, y, width, height) = place(&browser, "#chart-latency");
    let middle = y + height / 2;
    let zoomed = changing(&browser, || {
        browser.mouse(&[to(x + 300, middle), down(), to(x + 320, middle), to(x + 500, middle), up()]);
    });
    let span = |view: (f64, f64)| view.1 - view.0;
    assert!(span(zoomed) < span(whole) * 0.3 && zoomed.0 > whole.0, "a drag zooms: {zoomed:?} of {whole:?}");
    browser.wait("(window.rested ??= performance.now()) < performance.now() - 300");
    let closer = changing(&browser, || browser.wheel(x + width / 2, middle, -240));
    assert!(span(closer) < span(zoomed), "the wheel zooms");
    let moved = changing(&browser, || click(&browser, "[data-act=right]"));
    assert!(moved.0 > closer.0 && (span(moved) - span(closer)).abs() < 10.0, "a button moves");
    let wider = changing(&browser, || click(&browser, "[data-act=out]"));
    assert!(span(wider) > span(moved), "a button zooms out");
    browser.run("document.querySelector('#timeline').focus()");
    let keyed = changing(&browser, || browser.key("+"));
    assert!(span(keyed) < span(wider), "a key zooms");
    let (x, y, _, height) = place(&browser, "#chart-latency");
    let twice = [to(x + 400, y + height - 30), down(), up(), down(), up()];
    changing(&browser, || browser.mouse(&twice));
    browser.wait(&format!("document.querySelector('#timeline').dataset.to == '{}'", whole.1));
    assert_eq!(view(&browser), whole, "a double click shows the whole run");

    let shown = changing(&browser, || click(&browser, "[data-act=counterexample]"));
    assert!(shown.0 < 5.8e9 && shown.1 > 9.105e9 && span(shown) < 12e9, "the counterexample is in view: {shown:?}");
    browser.window("small-counterexample");
    silent(&browser);
}

#[test]
fn a_click_shows_the_whole_record() {
    let run = runs::stale_read();
    let (_folder, dir) = drawn(&run);
    let browser = Browser::start();
    browser.resize(1280, 1000);
    browser.open_report(&dir.report());
    click(&browser, "table.ops tr[data-op]:last-child");
    browser.wait("!document.querySelector('#record').hidden");
    let text = browser.run("return document.querySelector('#record').innerText").to_string();
    for wanted in ["9003", "n3", "read", "took", "partition isolate-leader: n3 | n1 n2 n4 n5"] {
        assert!(text.contains(wanted), "{wanted} is missing in {text}");
    }
    browser.window("small-record");
    click(&browser, "#record-close");
    browser.wait("document.querySelector('#record').hidden");
    click(&browser, "svg.lanes g.op:last-of-type");
    browser.wait("!document.querySelector('#record').hidden");
    click(&browser, "#record-close");

    // A point of the scatter: where the stale read must be, by its time and latency.
    changing(&browser, || click(&browser, "[data-act=counterexample]"));
    let (x, y, width, height) = place(&browser, "#chart-latency");
    let found = (0..height / 6).flat_map(|row| (0..width / 12).map(move |column| (x + 100 + column * 12, y + row * 6)));
    let mut hit = false;
    for (x, y) in found.filter(|(px, _)| *px < x + width - 20).step_by(7) {
        browser.mouse(&[to(x, y)]);
        if browser.run("return document.querySelector('#readout').textContent.startsWith('#')") == json!(true) {
            browser.mouse(&[to(x, y), down(), up()]);
            hit = true;
            break;
        }
    }
    assert!(hit, "no point was found under the pointer");
    browser.wait("!document.querySelector('#record').hidden");
    click(&browser, "#copy");
    browser.wait("['Copied', 'Selected'].includes(document.querySelector('#copy').textContent)");
    let before = browser.run("return document.querySelector('#chart-latency').toDataURL()");
    changing(&browser, || click(&browser, "[data-outcome='0']"));
    assert_ne!(before, browser.run("return document.querySelector('#chart-latency').toDataURL()"), "ok can be hidden");
    silent(&browser);
}

#[test]
fn dark_narrow_and_printed() {
    let (_folder, dir) = drawn(&runs::stale_read());
    let browser = Browser::start();
    browser.resize(1280, 1000);
    browser.scheme("dark");
    browser.open_report(&dir.report());
    let background = browser.run("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(background, json!("rgb(18, 22, 28)"));
    browser.screenshot("small-dark");
    changing(&browser, || browser.scheme("light"));
    assert_eq!(browser.run("return getComputedStyle(document.body).backgroundColor"), json!("rgb(255, 255, 255)"));
    changing(&browser, || browser.resize(600, 1000));
    let wide = browser.run("return document.documentElement.scrollWidth").as_u64().expect("a width");
    assert!(wide <= 600, "the page is {wide} px wide in a window of 600");
    browser.screenshot("small-narrow");
    let paper = browser.devtools("Page.printToPDF", json!({"printBackground": true}));
    assert!(paper["data"].as_str().is_some_and(|data| data.len() > 10_000), "it can be printed");
    silent(&browser);
}

#[test]
fn on_a_phone_every_table_is_read_without_scrolling_to_the_side() {
    let mut run = runs::stale_read();
    let summary = "the value of a_very_long_name_without_any_place_to_break_it_anywhere_in_the_middle_of_it ".repeat(4);
    run.verdict.promises[0].summary = summary;
    let (_folder, dir) = drawn(&run);
    let browser = Browser::start();
    browser.resize(390, 844);
    let cut = "return [...document.querySelectorAll('th, td, table')].filter((cell) => cell.getClientRects().length && \
               (cell.getBoundingClientRect().right > window.innerWidth || cell.scrollWidth > cell.clientWidth + 1))\
               .map((cell) => cell.outerHTML.slice(0, 200))";
    for (name, plain) in [("report", false), ("plain", true)] {
        if plain {
            browser.open_file(&dir.plain_report().join("index.html"));
        } else {
            browser.open_report(&dir.report());
        }
        browser.screenshot(&format!("phone-{name}"));
        assert_eq!(browser.run(cut), json!([]), "{name}: cells are cut");
        let wide = browser.run("return document.documentElement.scrollWidth").as_u64().expect("a width");
        assert!(wide <= 390, "{name}: the page is {wide} px wide");
        let labels = browser.run("return document.querySelectorAll('#faults td[data-label=\"proven again\"]').length");
        assert!(labels.as_u64().is_some_and(|labels| labels >= 4), "{name}: {labels}");
    }
    silent(&browser);
}

#[test]
fn a_million_operations_stay_usable() {
    let (_folder, dir) = drawn(&runs::large(1_000_000));
    let browser = Browser::start();
    browser.resize(1280, 1000);
    browser.open_report(&dir.report());
    let painted = browser.run("return document.querySelector('#timeline').dataset.painted");
    println!("first paint after {painted} ms");
    assert!(has_ink(&browser, "#chart-latency") && has_ink(&browser, "#chart-availability"));
    browser.screenshot("large-light");
    let (x, y, width, height) = place(&browser, "#chart-latency");
    let zoomed = changing(&browser, || {
        browser.mouse(&[to(x + 600, y + 50), down(), to(x + 630, y + 50), to(x + 700, y + 50), up()]);
    });
    assert!(zoomed.1 - zoomed.0 < 100e9);
    browser.mouse(&[to(x + width / 2, y + height / 2)]);
    browser.window("large-zoomed");
    browser.scheme("dark");
    changing(&browser, || click(&browser, "[data-act=reset]"));
    browser.screenshot("large-dark");
    silent(&browser);
}

#[test]
fn hostile_text_never_runs() {
    let (_folder, dir) = drawn(&runs::hostile());
    let browser = Browser::start();
    browser.resize(1280, 1000);
    browser.open_report(&dir.report());
    let title = browser.run("return document.title").to_string();
    assert!(title.contains("invalid ·") && title != "\"owned\"", "{title}");
    assert_eq!(browser.run("return document.images.length"), json!(0));
    assert_eq!(browser.run("return document.scripts.length"), json!(2));
    click(&browser, "table.ops tr[data-op]:nth-child(2)");
    browser.wait("!document.querySelector('#record').hidden");
    assert!(browser.run("return document.querySelector('#record').innerText").to_string().contains("onerror"));
    let (x, y, _, height) = place(&browser, "#chart-roles");
    browser.mouse(&[to(x + 600, y + height / 2)]);
    assert_ne!(browser.run("return document.title"), json!("owned"));
    browser.screenshot("hostile");
    silent(&browser);
}

#[test]
fn the_server_lists_runs_and_its_policies_hold() {
    let run = runs::stale_read();
    let (folder, dir) = drawn(&run);
    std::os::unix::fs::symlink("/etc/hostname", dir.node("n1").join("way-out")).expect("a link");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = runtime.block_on(dsfuzz::serve::Server::bind(folder.path(), free)).expect("a server");
    let base = format!("http://{}", server.address().expect("an address"));
    let task = runtime.spawn(server.run());
    let browser = Browser::start();
    browser.resize(1280, 800);
    browser.open(&base);
    let listed = browser.run("return document.body.innerText").to_string();
    for wanted in ["2026-11-20 09:00:00", "nvalid", "0.793 s earlier", "72 s", "12345678"] {
        assert!(listed.contains(wanted), "{wanted} is missing in {listed}");
    }
    browser.screenshot("serve-list");
    click(&browser, "table.runs a");
    browser.wait("document.querySelector('#timeline')?.dataset.painted");
    let folder = format!("{base}/runs/etcd-register/2026-11-20T10-00-00");
    silent(&browser);
    browser.open(&format!("{folder}/report/index.html"));
    browser.wait("[...document.images].every((image) => image.complete)");
    let drawn = browser.run("return [...document.images].map((image) => image.naturalWidth > 0)");
    assert_eq!(drawn, json!([true, true, true, true, true]), "pictures load under the strict policy");
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('.facts')).display"), json!("flex"));
    browser.screenshot("plain");
    silent(&browser);
    browser.open(&format!("{folder}/nodes/n1/evil.html"));
    assert_ne!(browser.run("return document.title"), json!("owned"), "a log is text, whatever its name");
    browser.open(&format!("{folder}/nodes/n1/way-out"));
    assert!(browser.run("return document.body.innerText").to_string().contains("no such file"));
    task.abort();
}

/// The facts of a page as JSON: what the script draws from.
fn meta(browser: &Browser) -> Value {
    let text = browser.run("return document.querySelector('#meta').textContent");
    serde_json::from_str(text.as_str().expect("text")).expect("JSON")
}

fn text_of(browser: &Browser, selector: &str) -> String {
    browser
        .run(&format!("return [...document.querySelectorAll('{selector}')].map((e) => e.innerText).join('\\n')"))
        .to_string()
}

/// Pictures of the first screen at the three widths that people have.
fn pictures(browser: &Browser, name: &str) {
    for width in [1400, 800, 390] {
        browser.resize(width, 900);
        browser.run("window.scrollTo(0, 0)");
        browser.window(&format!("first-{name}-{width}"));
        let wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert!(wide.as_i64().is_some_and(|wide| wide <= 1), "{name} at {width}: the page is {wide} px too wide");
    }
}

#[test]
fn an_invalid_run_says_what_broke_what_was_in_force_and_what_to_do() {
    let mut run = runs::stale_read();
    // Ten examples of one kind.
    let finding = run.verdict.promises[0].findings[0].clone();
    for key in 0..9 {
        let mut other = finding.clone();
        other.key = dsfuzz_checkers::Value::from(key);
        other.ops.remove(1);
        other.faults = if key < 3 { Vec::new() } else { vec![0] };
        other.title = format!("Stale read of key {key}");
        run.verdict.promises[0].findings.insert(0, other);
    }
    let (_folder, dir) = drawn(&run);
    let browser = Browser::start();
    browser.resize(1400, 900);
    browser.open_report(&dir.report());
    pictures(&browser, "invalid");
    let cards = text_of(&browser, ".card");
    for wanted in [
        "What broke",
        "nonlinearizable",
        "10 examples, on 9 keys, from 5.800 s on",
        "What was in force",
        "no fault in force in 3 of 10, the first before any fault began",
        "partition isolate-leader: n3",
        "in 7 of 10",
        "What to do next",
        "dsfuzz run plans/etcd-register.yaml --seed 12345678",
        "dsfuzz explain nonlinearizable",
    ] {
        assert!(cards.contains(wanted), "{wanted} is missing in {cards}");
    }
    // One block, with the first of them, and the nine others folded.
    assert_eq!(browser.run("return document.querySelectorAll('article.finding').length"), json!(1));
    assert_eq!(browser.run("return document.querySelectorAll('details.others li').length"), json!(9));
    assert!(text_of(&browser, "article.finding h3").contains("Stale read of key"), "the first is shown");
    // The wall clock beside the run's own time, and the log lines of the nodes at that time.
    assert!(text_of(&browser, "table.ops").contains("10:00:09.102Z"), "{}", text_of(&browser, "table.ops"));
    let lines = text_of(&browser, "table.loglines");
    assert!(lines.contains("elected leader at term 5") && lines.contains("10:00:08.900Z"), "{lines}");
    assert!(!lines.contains("compacted") && !lines.contains("started"), "{lines}");
    let link = browser.run("return document.querySelector('table.loglines a').getAttribute('href')").to_string();
    assert!(link.contains("nodes/n1/etcd.log#:~:text="), "{link}");
    silent(&browser);
}

#[test]
fn the_charts_show_time_waited_and_clocks_only_where_they_are_known() {
    let (_folder, dir) = drawn(&runs::stale_read());
    let browser = Browser::start();
    browser.resize(1400, 1000);
    browser.open_report(&dir.report());
    let meta = meta(&browser);
    let silences: Vec<(u64, f64, f64)> = serde_json::from_value(meta["silences"].clone()).expect("silences");
    let of = |row: u64, from: f64, to: f64| {
        let within = silences.iter().filter(|(node, since, until)| *node == row && *since >= from && *until <= to);
        within.map(|(_, since, until)| until - since).sum::<f64>()
    };
    // n3 is cut off from 6 s to 13 s and n1 is paused from 24 s to 27 s; their callers wait for all of it.
    assert!(of(2, 4e9, 17e9) > 5e9, "n3: {silences:?}");
    assert!(of(0, 22e9, 31e9) > 1.5e9, "n1: {silences:?}");
    assert!(silences.iter().all(|(row, ..)| *row != 4), "n5 answered throughout: {silences:?}");
    // The clock fault was never proven again, so nobody knows how long it held: points, and no line.
    assert_eq!(meta["clock_steps"], json!([]));
    assert!(meta["clocks"].as_array().is_some_and(|readings| readings.len() > 100));
    browser.run("document.querySelector('#chart-availability').scrollIntoView()");
    browser.window("charts-of-silence");
    silent(&browser);
}

#[test]
fn the_record_of_an_operation_lists_no_fault_that_came_later() {
    let (_folder, dir) = drawn(&runs::large(60_000));
    let browser = Browser::start();
    browser.resize(1280, 1000);
    browser.open_report(&dir.report());
    let faults = meta(&browser)["faults"].clone();
    let (x, y, width, height) = place(&browser, "#chart-latency");
    // Points whose whole record is not in the page: most of them.
    let grid =
        (0..height / 5).flat_map(|row| (0..width / 9).map(move |column| (x + 110 + column * 9, y + 4 + row * 5)));
    let mut looked_at = 0;
    for (px, py) in grid.filter(|(px, _)| *px < x + width - 20).step_by(23) {
        browser.mouse(&[to(px, py)]);
        if browser.run("return document.querySelector('#readout').textContent.startsWith('#')") != json!(true) {
            continue;
        }
        browser.mouse(&[to(px, py), down(), up()]);
        browser.wait("!document.querySelector('#record').hidden");
        let record = browser.run("return Object.fromEntries([...document.querySelectorAll('#record-fields dt')].map((dt) => [dt.textContent, dt.nextSibling.textContent]))");
        if !record["note"].as_str().is_some_and(|note| note.contains("history.jsonl")) {
            continue;
        }
        let seconds = |field: &str| record[field].as_str().and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        let (called, replied) = (seconds("called").expect("a call"), seconds("replied"));
        let during = |fault: &&Value| {
            let edge = |name: &str| fault[name].as_f64().expect("a time") / 1e9;
            edge("from") <= replied.unwrap_or(f64::MAX) && edge("to") >= called
        };
        let expected = faults.as_array().expect("faults").iter().filter(during).count();
        let said = record["faults"].as_str().expect("faults are named").to_owned();
        let listed = if said == "none was in force" { 0 } else { said.split("; ").count() };
        assert_eq!(listed, expected.min(4), "{record}");
        looked_at += 1;
        if looked_at == 12 {
            break;
        }
    }
    assert!(looked_at >= 3, "only {looked_at} points without a whole record were found");
    silent(&browser);
}

#[test]
fn a_file_a_run_that_failed_and_a_valid_run_are_told_apart() {
    let browser = Browser::start();
    let mut file = runs::stale_read();
    file.info = dsfuzz::store::RunInfo {
        plan: "histories/of-another-tool.edn".into(),
        again: "dsfuzz check histories/of-another-tool.edn".into(),
        file: true,
        ..Default::default()
    };
    file.history = dsfuzz_checkers::history::read_any(
        "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n\
         {:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value 2}\n"
            .as_bytes(),
        &Default::default(),
    )
    .expect("a history")
    .1;
    file.verdict.promises.truncate(1);
    file.verdict.evidence.clear();
    file.verdict.promises[0].findings[0].ops = vec![0, 2];
    file.verdict.promises[0].findings[0].faults.clear();
    let (_folder, dir) = drawn(&file);
    browser.open_report(&dir.report());
    pictures(&browser, "file");
    let page = text_of(&browser, "body");
    for wrong in ["cut off", "Seed", "seed", "No faults were planned", "proven", "thresholds", "Run it again"] {
        assert!(!page.contains(wrong), "{wrong}: {page}");
    }
    assert!(page.contains("Judge it again") && page.contains("The history names no faults"), "{page}");

    let info = dsfuzz::store::RunInfo { started: "2026-11-20T10:00:00+01:00".into(), ..runs::stale_read().info };
    let info =
        dsfuzz::store::RunInfo { harness_failures: vec!["n2: no route to host".into()], phases: Vec::new(), ..info };
    let verdict = dsfuzz::store::RunVerdict::failed("n2: no route to host", 255);
    let failed = Run { history: dsfuzz_checkers::History::default(), info, verdict };
    let (_folder, dir) = drawn(&failed);
    browser.open_report(&dir.report());
    pictures(&browser, "not-run");
    let page = text_of(&browser, "body");
    assert!(page.contains("the run failed before its load") && page.contains("n2: no route to host"), "{page}");
    assert!(page.contains("dsfuzz doctor PLAN") && !page.contains("cut off"), "{page}");
    let empty = browser.run("return document.querySelectorAll('canvas, #charts, #faults, #errors, #evidence').length");
    assert_eq!(empty.as_i64(), Some(0), "only what is there is shown");
    let problem = browser.run("return document.querySelector('#charts-problem') !== null");
    assert_eq!(problem.as_bool(), Some(false));
    let said = "unknown key `tme` in `load`\n --> bad.yaml:5:8\n  |\n5 | load: {tme: 3s}\n  |        ^^^\n  = did you mean `time`?";
    let info = dsfuzz::store::RunInfo {
        plan: "bad".into(),
        again: "dsfuzz run bad.yaml".into(),
        started: "2026-11-20T10:00:00+01:00".into(),
        ended: "2026-11-20T10:00:00+01:00".into(),
        harness_failures: vec![said.into()],
        ..Default::default()
    };
    let verdict = dsfuzz::store::RunVerdict::failed(said, 254);
    let bad = Run { history: dsfuzz_checkers::History::default(), info, verdict };
    let (_folder, dir) = drawn(&bad);
    browser.open_report(&dir.report());
    pictures(&browser, "bad-plan");

    let mut valid = runs::stale_read();
    valid.verdict.validity = dsfuzz_checkers::Validity::Valid;
    valid.verdict.sentence = "1000 calls kept every promise (linearizable) through 4 proven faults".into();
    valid.verdict.promises.truncate(1);
    valid.verdict.promises[0].validity = dsfuzz_checkers::Validity::Valid;
    valid.verdict.promises[0].summary = "1000 acknowledged operations on 5 keys are linearizable.".into();
    valid.verdict.promises[0].findings.clear();
    valid.verdict.evidence.retain(|evidence| evidence.enough);
    valid.verdict.harness.clear();
    let (_folder, dir) = drawn(&valid);
    browser.open_report(&dir.report());
    pictures(&browser, "valid");
    let cards = text_of(&browser, ".card");
    assert!(cards.contains("What was kept") && cards.contains("partition: 1 of 1 proven"), "{cards}");
    silent(&browser);
}
