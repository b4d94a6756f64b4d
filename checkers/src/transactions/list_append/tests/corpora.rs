//! Histories with known verdicts, where they are present: `DSFUZZ_CORPORA`, by default `../shared/corpora` beside the workspace.
use super::{jepsen, judge};
use crate::history::History;
use crate::verdict::Validity;
use std::path::PathBuf;

fn corpora() -> Option<PathBuf> {
    let fallback = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let folder = std::env::var_os("DSFUZZ_CORPORA").map_or(fallback, PathBuf::from);
    if folder.join("expected.tsv").is_file() {
        return Some(folder);
    }
    eprintln!("NOT RUN: no histories with known verdicts in {}; name their folder in DSFUZZ_CORPORA", folder.display());
    None
}

/// One operation on each line, or a vector of them.
fn read(path: &PathBuf) -> History {
    let text = std::fs::read_to_string(path).expect("readable");
    match text.trim_start().starts_with('[') {
        true => jepsen(&serde_json::from_str::<Vec<_>>(&text).expect("operations")),
        false => {
            jepsen(&text.lines().map(|line| serde_json::from_str(line).expect("an operation")).collect::<Vec<_>>())
        }
    }
}

#[test]
fn known_verdicts_come_out() {
    let Some(folder) = corpora() else { return };
    let all: [&str; 6] = [
        "strict-serializable",
        "serializable",
        "strong-snapshot-isolation",
        "snapshot-isolation",
        "read-committed",
        "causal",
    ];
    let prefix = ["G-single-item", "G0", "incompatible-order", "lost-update"];
    for (file, holds, anomalies) in [
        ("list-append/la-ssi-1000.json", &all[..], &[][..]),
        ("list-append/la-ssi-10000.json", &all[..], &[]),
        ("list-append/la-si-1000.json", &all[2..], &["G2-item"]),
        ("list-append/la-si-10000.json", &all[2..], &["G2-item"]),
        ("list-append/la-prefix-1000.json", &[], &prefix),
        ("list-append/la-prefix-10000.json", &[], &prefix),
        ("list-append/la-brat-1000.json", &[], &[]),
        ("elle-cli/elle/paper-example.json", &[], &[]),
    ] {
        let history = read(&folder.join(file));
        for model in all {
            let verdict = judge(&history, model);
            if model == all[0] {
                eprintln!("{file}: {}", verdict.summary);
                for finding in &verdict.findings {
                    eprintln!(
                        "   {} {:?}\n      {}",
                        finding.kind,
                        finding.severity,
                        finding.sentences.join("\n      ")
                    );
                    eprintln!("      {:?}", finding.ops);
                }
                eprintln!("{:?}", verdict.numbers);
            }
            let expected = if holds.contains(&model) { Validity::Valid } else { Validity::Invalid };
            if file.contains("paper") && model != all[0] {
                continue;
            }
            assert_eq!(verdict.validity, expected, "{file} as {model}: {}", verdict.summary);
            for anomaly in anomalies {
                let found = verdict.numbers.keys().any(|name| *name == format!("{anomaly}_found"));
                assert!(found, "{file}: no {anomaly} in {:?}", verdict.numbers);
            }
        }
    }
}
