//! How long reading takes, by format: a table for a million operations each. Figures, not tests.
use dsfuzz_checkers::history::{Format, ReadOptions, read};
use std::fmt::Write;
use std::time::Instant;

/// Operations of each history, and the most seconds that reading ours may take.
const SIZE: usize = 1_000_000;
const AIM_S: f64 = 0.6;

/// Our own records of a register with ten clients.
fn jsonl() -> String {
    let mut text = String::from(
        "{\"type\":\"start\",\"index\":0,\"time\":0,\"version\":1,\"nodes\":[\"n1\",\"n2\",\"n3\"],\"wall\":\"\"}\n",
    );
    for call in 0..SIZE {
        let (index, worker) = (2 * call + 1, call % 10);
        let (f, value) = match call % 3 {
            0 => ("read", "null".to_owned()),
            1 => ("write", format!("{call}")),
            _ => ("cas", format!("[{},{}]", call - 1, call)),
        };
        let (time, key, node) = (index * 100_000, call % 100, call % 3 + 1);
        let _ = writeln!(
            text,
            "{{\"type\":\"invoke\",\"index\":{index},\"time\":{time},\"worker\":{worker},\"process\":{worker},\"node\":\"n{node}\",\
             \"workload\":\"register\",\"f\":\"{f}\",\"key\":{key},\"value\":{value}}}"
        );
        let reply = if f == "read" { format!("{call}") } else { "null".to_owned() };
        let _ = writeln!(
            text,
            "{{\"type\":\"ok\",\"index\":{},\"time\":{},\"process\":{worker},\"value\":{reply}}}",
            index + 1,
            time + 50_000
        );
    }
    text
}

/// Transactions of Elle's kind: an append and a read of ten elements.
fn transactions(json: bool) -> String {
    let mut text = String::new();
    for call in 0..SIZE {
        let (process, key, time) = (call % 10, call / 20, call * 1000);
        let elements: Vec<String> = (0..10).map(|at| (call + at).to_string()).collect();
        for (at, kind) in ["invoke", "ok"].into_iter().enumerate() {
            let index = 2 * call + at;
            let read = match (at, json) {
                (0, true) => "null".to_owned(),
                (0, false) => "nil".to_owned(),
                (_, true) => format!("[{}]", elements.join(",")),
                _ => format!("[{}]", elements.join(" ")),
            };
            let _ = if json {
                writeln!(
                    text,
                    "{{\"index\":{index},\"time\":{time},\"type\":\"{kind}\",\"process\":{process},\"f\":\"txn\",\
                     \"value\":[[\"append\",{key},{call}],[\"r\",{key},{read}]]}}"
                )
            } else {
                writeln!(
                    text,
                    "{{:index {index}, :time {time}, :type :{kind}, :process {process}, :f :txn, \
                     :value [[:append {key} {call}] [:r {key} {read}]]}}"
                )
            };
        }
    }
    text
}

fn sessions() -> String {
    let mut text = String::new();
    for call in 0..SIZE {
        let rule = if call % 100 == 99 { "=====" } else { "-----" };
        let _ = writeln!(text, "w {} {call}\nr {} {}\n{rule}", call % 1000, call % 999, call / 2);
    }
    text
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    println!("{:<14} {:>9} {:>8} {:>8} {:>8} {:>10}", "format", "ops", "MB", "s", "MB/s", "history MB");
    let histories = [
        (Format::Jsonl, jsonl as fn() -> String),
        (Format::JepsenJson, || transactions(true)),
        (Format::JepsenEdn, || transactions(false)),
        (Format::Plume, sessions),
    ];
    let mut ours = f64::MAX;
    for (format, made) in histories {
        let text = made();
        let mut best = f64::MAX;
        let mut held = 0;
        for _ in 0..3 {
            let start = Instant::now();
            let history = read(format, text.as_bytes(), &ReadOptions::default()).expect("a sound recording");
            best = best.min(start.elapsed().as_secs_f64());
            assert_eq!(history.ops().len(), SIZE);
            held = history.bytes();
        }
        if format == Format::Jsonl {
            ours = best;
        }
        let size = text.len() as f64 / 1e6;
        println!(
            "{:<14} {SIZE:>9} {size:>8.0} {best:>8.3} {:>8.0} {:>10}",
            format.name(),
            size / best,
            held / 1_000_000
        );
    }
    println!(
        "\nhistory.jsonl of {SIZE} operations: {ours:.3} s, aim {AIM_S} s: {}",
        if ours < AIM_S { "met" } else { "missed" }
    );
}
