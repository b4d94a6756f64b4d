//! Every history with a known verdict is read, where they are present.
use crate::history::{Format, HistoryError, ReadOptions, read, read_any};
use crate::testing::corpora;
use std::fs::File;
use std::path::Path;

/// What a file of this folder is.
fn wanted(name: &str) -> Format {
    let folder = name.split('/').next().unwrap_or_default();
    match folder {
        "etcd-logs" => Format::PorcupineEtcd,
        "porcupine-kv" => Format::PorcupineKv,
        "awdit" => Format::Plume,
        _ if name.ends_with(".edn") => Format::JepsenEdn,
        _ => Format::JepsenJson,
    }
}

/// Files whose values are keys with their values: adds of `[0 x]`, reads of `[0 nil]`.
const KEYS: &[&str] = &["elle-cli/jepsen/set_full.json"];

#[test]
fn every_file_is_recognised_and_read() {
    let Some(folder) = corpora() else { return };
    let expected = std::fs::read_to_string(folder.join("expected.tsv")).expect("expected.tsv");
    let mut files = 0;
    for name in expected.lines().skip(1).filter_map(|line| line.split('\t').next()) {
        let open = || File::open(Path::new(&folder).join(name)).expect(name);
        if open().metadata().expect("metadata").len() > 3_000_000 && cfg!(debug_assertions) {
            // The large ones of registers are read in the tests of their checker.
            continue;
        }
        let mut options = ReadOptions { strict: true, ..ReadOptions::default() };
        if KEYS.contains(&name) {
            let refused = read_any(open(), &options).expect_err(name);
            assert!(matches!(refused, HistoryError::AmbiguousKeys { line: 587, column: 1, .. }), "{name}: {refused}");
            options.independent = Some(false);
        }
        let (format, history) = read_any(open(), &options).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(format, wanted(name), "{name}");
        assert!(!history.ops().is_empty(), "{name}");
        let again = read(format, open(), &options).expect("the same");
        assert_eq!(again.ops().len(), history.ops().len());
        assert_eq!(history.realtime, format != Format::Plume);
        files += 1;
    }
    println!("{files} files read");
    assert!(files >= 150, "only {files} files");
}
