//! Small histories with known answers: those of `checkers/tests/cases`, each of which stands for a kind of mistake, and
//! those transcribed from the tests of Elle, Jepsen and others, where they are present (`DSFUZZ_CORPORA`, or a folder
//! beside the project). Each row of an `expected.tsv` names a file, the arguments of `dsfuzz check`, and what must come
//! out: a verdict, and words of the output.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rows of the peers whose label says something else than we do, with our answer and the reason.
const ARGUED: &[(&str, &str, &str, &str)] = &[
    (
        "elle-la/int-nil-then.edn",
        "--as list-append --model read-committed",
        "unknown",
        "a list that differs within one transaction: whether read-committed forbids it is not known",
    ),
    (
        "elle-la/lost-update.edn",
        "--as list-append --model cursor-stability",
        "refused",
        "the model is not decided, and the error names those that are; snapshot-isolation finds the lost update",
    ),
    (
        "elle-la/rr-g2.edn",
        "--as list-append --model read-committed",
        "unknown",
        "no transaction read what another had written, so nothing could contradict the model",
    ),
    (
        "elle-la/rr-gsingle.edn",
        "--as list-append --model read-atomic",
        "invalid non-monotonic-view",
        "the same two operations under the name of the weakest model that they break",
    ),
    (
        "elle-la/unobserved-write.edn",
        "--as list-append --model serializable",
        "invalid G0",
        "the cycle of writes alone is reported; what it implies is not reported again",
    ),
    (
        "elle-rw/g2-hidden.edn",
        "--as rw-register --model serializable",
        "unknown",
        "the order of the versions is not known of any key, and the answer says what to record",
    ),
    (
        "jepsen/bank-unexp.edn",
        "--as bank --set total=20",
        "valid",
        "accounts are those of the first read and of the transfers: the history does not say that there are only two",
    ),
    (
        "kafka/abort-noroll.edn",
        "--as kafka",
        "unknown poll-skip",
        "rewinding after an abort is the client's work: evidence, and no accusation of the log",
    ),
    (
        "issues/initial-0-ryw.edn",
        "--as monotonic-reads",
        "unknown initial=0",
        "what registers begin with is not given: a question that names the option, with which it is valid",
    ),
    (
        "issues/initial-0-seq.edn",
        "--as sequential",
        "unknown initial=0",
        "what registers begin with is not given: a question that names the option, with which it is valid",
    ),
    (
        "issues/initial-0.edn",
        "",
        "unknown initial=0",
        "what registers begin with is not given: a question that names the option, with which it is valid",
    ),
    (
        "issues/initial-mr.edn",
        "--as linearizable --model multi-register",
        "unknown initial=0",
        "what registers begin with is not given: a question that names the option, with which it is valid",
    ),
    (
        "elle-rw/never-written.edn",
        "--as rw-register --model read-committed",
        "unknown initial=",
        "a register may have begun with a value that no call wrote: a question that names the option",
    ),
    (
        "elle-rw/never-written.edn",
        "--as rw-register --model serializable",
        "unknown initial=",
        "a register may have begun with a value that no call wrote: a question that names the option",
    ),
    (
        "elle-rw/types.edn",
        "--as rw-register --model serializable",
        "unknown initial=",
        "a register may have begun with a value that no call wrote: a question that names the option",
    ),
    (
        "jepsen/ctr-invalid.edn",
        "--as counter",
        "unknown initial=",
        "a register may have begun with a value that no call wrote: a question that names the option",
    ),
];

/// Rows of the peers that are not right yet, with what is wrong. Each is said.
const MISSING: &[(&str, &str, &str)] = &[(
    "elle-rw/scc-sort-w.edn",
    "--as rw-register --model strict-serializable --set linearizable_keys=true",
    "invalid, but by a read of nil that is called garbage; with initial=null the answer is cyclic-versions",
)];

fn answer(file: &Path, arguments: &str) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DSFUZZ_")) {
        command.env_remove(name);
    }
    let folder = tempfile::tempdir().unwrap();
    command.current_dir(folder.path()).env("NO_COLOR", "1").arg("check").arg(file).args(arguments.split_whitespace());
    let output = command.args(["--budget", "60s"]).output().unwrap();
    let verdict = match output.status.code() {
        Some(0) => "valid".to_owned(),
        Some(1) => "invalid".to_owned(),
        Some(2) => "unknown".to_owned(),
        Some(254) => "refused".to_owned(),
        other => format!("exit {other:?}"),
    };
    (verdict, format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Whether this answer is what the row wants: the verdict, and each of the words.
fn fits(wanted: &str, verdict: &str, output: &str) -> bool {
    let (wanted, words) = wanted.split_once(' ').unwrap_or((wanted, ""));
    wanted == verdict && words.split(',').map(str::trim).all(|word| output.contains(word))
}

/// Prints each row and returns those that are different.
fn rows(folder: &Path) -> (usize, Vec<String>) {
    let table = std::fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let (mut count, mut different) = (0, Vec::new());
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [file, arguments, wanted, ..] = fields[..] else { panic!("{line:?} has too few fields") };
        let (verdict, output) = answer(&folder.join(file), arguments);
        let argued = ARGUED.iter().find(|(argued, given, ..)| (*argued, *given) == (file, arguments));
        let missing = MISSING.iter().find(|(missing, given, _)| (*missing, *given) == (file, arguments));
        count += 1;
        let row = format!("{file} {arguments}");
        if fits(wanted, &verdict, &output) {
            println!("{row}: {wanted}, as expected");
        } else if let Some((_, _, _, why)) = argued.filter(|(_, _, ours, _)| fits(ours, &verdict, &output)) {
            println!("{row}: {verdict}, ARGUED, where the label says {wanted}: {why}");
        } else if let Some((.., what)) = missing {
            println!("{row}: {verdict}, NOT YET {wanted}: {what}");
        } else {
            println!("{row}: {verdict}, DIFFERENT from {wanted}:\n{output}");
            different.push(format!("{row}: {verdict}, not {wanted}"));
        }
    }
    (count, different)
}

#[test]
fn every_small_case_comes_out_as_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkers/tests/cases");
    let (count, different) = rows(&folder);
    assert!(different.is_empty(), "{different:#?}");
    let files = std::fs::read_dir(&folder).unwrap().count() - 1;
    assert!(count >= files, "{count} rows of {files} files");
}

#[test]
fn what_the_tests_of_peers_say() {
    let corpora = std::env::var_os("DSFUZZ_CORPORA").map(PathBuf::from);
    let corpora = corpora.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"));
    let folder = corpora.join("peers");
    if !folder.join("expected.tsv").is_file() {
        println!("NOT RUN: there are no histories in {} (DSFUZZ_CORPORA names another folder)", folder.display());
        return;
    }
    let (count, different) = rows(&folder);
    assert!(different.is_empty(), "{different:#?}");
    assert!(count >= 200, "only {count} rows");
}
