use super::*;
use crate::history::read_jsonl;
use crate::{Options, checker_with};
use serde_json::json;

const START: &str = r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"w"}"#;
const WATCHED: &str = r#"{"type":"process","index":0,"time":1,"node":"n1","step":"watched"}"#;
const ABORTED: &str = r#"{"type":"process","index":0,"time":1,"node":"n1","process":"etcd","step":"ended",
    "how":"signal 6 (SIGABRT)","between":[5000000000,5100000000],"ran_ms":4000,"detail":["panic: oh no"]}"#;
const EXITED_AGAIN: &str = r#"{"type":"process","index":0,"time":1,"node":"n1","process":"etcd","step":"ended",
    "how":"exit 3","again":true,"ran_ms":40,"between":[5000000000,5100000000]}"#;
const GONE: &str = r#"{"type":"process","index":0,"time":1,"node":"n1","process":"etcd","step":"did-not-come-back",
    "how":"it has ended (exit 3)"}"#;

/// A kill of n1 that may be in force from 1 s to 6 s, healed or not.
fn kill(healed: bool) -> [String; 2] {
    let step = |step: &str, time: u64| {
        format!(
            r#"{{"type":"fault","index":0,"time":{time},"fault":0,"kind":"kill","step":"{step}","what":"kill: n1","nodes":["n1"]}}"#
        )
    };
    [step("begun", 1_000_000_000), step(if healed { "healed" } else { "unhealed" }, 6_000_000_000)]
}

/// A fault of n1 of this kind that may have been in force from 1 s to 4.9 s.
fn fault(kind: &str) -> [String; 2] {
    kill(true).map(|line| line.replace("\"kill\"", &format!("{kind:?}")).replace("6000000000", "4900000000"))
}

fn ended(how: &str) -> String {
    ABORTED.replace("signal 6 (SIGABRT)", how)
}

fn corrupt(from: u64) -> String {
    format!(
        r#"{{"type":"process","index":0,"time":1,"node":"n1","process":"etcd","step":"log-corruption",
        "how":"Corruption: block checksum mismatch","between":[{from},{from}]}}"#
    )
}

fn history(records: &[&str]) -> History {
    let lines: Vec<String> = std::iter::once(&START)
        .chain(records)
        .enumerate()
        .map(|(index, record)| {
            let line = record.replace('\n', " ");
            let time =
                line.split("\"time\":").nth(1).and_then(|rest| rest.split(',').next()).expect("a time").to_owned();
            // Faults keep their times, all else comes at the end.
            let time = if line.contains("\"fault\"") || index == 0 { time } else { "9000000000".to_owned() };
            line.replacen("\"index\":0", &format!("\"index\":{index}"), 1).replacen(
                &format!(
                    "\"time\":{}",
                    line.split("\"time\":").nth(1).and_then(|rest| rest.split(',').next()).expect("a time")
                ),
                &format!("\"time\":{time}"),
                1,
            )
        })
        .collect();
    read_jsonl(lines.join("\n").as_bytes()).expect("a history")
}

fn judge(records: &[&str], options: &[(&str, &str)]) -> Verdict {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    let checker = checker_with(CRASHES, &Options(options)).expect("made");
    checker.check(&history(records), &Budget::unlimited())
}

fn kinds(verdict: &Verdict) -> Vec<&str> {
    verdict.findings.iter().map(|finding| finding.kind.as_str()).collect()
}

#[test]
fn a_death_that_nobody_asked_for_is_a_violation_with_its_last_words() {
    let verdict = judge(&[WATCHED, ABORTED], &[]);
    assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Invalid, vec!["crashed"]));
    assert_eq!(verdict.summary, "Crashed: etcd on n1 ended by itself (signal 6 (SIGABRT)).");
    let told = verdict.findings[0].sentences.join(" ");
    for part in ["had run for 4", "between 5.000 s and 5.100 s", "No fault was in force.", "panic: oh no"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn a_fault_of_another_time_or_kind_is_named_and_explains_nothing() {
    let [begun, healed] = kill(true);
    let verdict = judge(&[&begun, &healed, WATCHED, ABORTED], &[]);
    assert_eq!((verdict.validity, verdict.findings[0].faults.clone()), (Validity::Invalid, vec![0]));
    assert!(verdict.findings[0].sentences.iter().any(|sentence| sentence.contains("kill")), "{verdict:?}");
}

#[test]
fn crash_loops_are_counted_and_kinds_can_be_switched() {
    let verdict = judge(&[WATCHED, ABORTED, ABORTED, ABORTED], &[]);
    assert_eq!((verdict.findings.len(), verdict.numbers["crashed"].clone()), (1, json!(3)));
    assert!(verdict.summary.contains("3 times"), "{}", verdict.summary);
    let off = judge(&[WATCHED, ABORTED], &[("crashed", "off")]);
    assert_eq!((off.validity, off.findings.len()), (Validity::Valid, 0));
    let evidence = judge(&[WATCHED, ABORTED], &[("crashed", "evidence")]);
    assert_eq!((evidence.validity, kinds(&evidence)), (Validity::Valid, vec!["crashed"]));
    assert!(checker_with(CRASHES, &Options([("crashed".to_owned(), Value::from("maybe"))].into())).is_err());
}

#[test]
fn a_start_that_fails_is_evidence_and_one_that_never_succeeds_is_a_violation() {
    let [begun, healed] = kill(true);
    let verdict = judge(&[&begun, &healed, WATCHED, EXITED_AGAIN], &[]);
    assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Valid, vec!["start-failed"]));
    let verdict = judge(&[&begun, &healed, WATCHED, EXITED_AGAIN, GONE], &[]);
    assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Invalid, vec!["did-not-come-back", "start-failed"]));
    // A fault that was not shown to be gone may be what keeps it away.
    let [begun, unhealed] = kill(false);
    let verdict = judge(&[&begun, &unhealed, WATCHED, GONE], &[]);
    assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Valid, vec!["did-not-come-back"]));
}

#[test]
fn where_nobody_watched_nothing_is_said() {
    assert_eq!(judge(&[], &[]).validity, Validity::Unknown);
    let verdict = judge(&[WATCHED], &[]);
    assert_eq!(verdict.validity, Validity::Valid);
    assert!(verdict.summary.contains("its logs were not read"), "{}", verdict.summary);
}

#[test]
fn an_exit_in_a_fault_that_can_provoke_it_is_evidence_and_a_fatal_signal_is_not() {
    for kind in ["clock", "partition", "pause"] {
        let [begun, healed] = fault(kind);
        for (how, expected) in [
            ("exit 1", (Validity::Valid, "exited-in-fault")),
            ("", (Validity::Valid, "exited-in-fault")),
            ("exit 134", (Validity::Invalid, "crashed")),
            ("signal 6 (SIGABRT)", (Validity::Invalid, "crashed")),
            ("signal 11 (SIGSEGV)", (Validity::Invalid, "crashed")),
        ] {
            let verdict = judge(&[&begun, &healed, WATCHED, &ended(how)], &[]);
            assert_eq!((verdict.validity, kinds(&verdict)), (expected.0, vec![expected.1]), "{kind} {how}");
            assert!(!verdict.summary.contains("No process of the target ended"), "{}", verdict.summary);
        }
        let declared = judge(&[&begun, &healed, WATCHED, &ended("exit 1")], &[("exits_in_faults", "violation")]);
        assert_eq!(declared.validity, Validity::Invalid);
    }
    // Without a fault, and long after it, nothing provoked it.
    assert_eq!(judge(&[WATCHED, &ended("exit 1")], &[]).validity, Validity::Invalid);
    let [begun, healed] = fault("pause");
    let late = ended("exit 1").replace("[5000000000,5100000000]", "[15000000000,15100000000]");
    assert_eq!(judge(&[&begun, &healed, WATCHED, &late], &[]).validity, Validity::Invalid);
}

#[test]
fn a_node_whose_disk_failed_may_end_stay_away_and_say_so() {
    let [begun, healed] = fault("disk");
    let corrupt = corrupt(7_000_000_000);
    for ends in ["exit 1", "exit 101", "signal 6 (SIGABRT)"] {
        for options in [&[][..], &[("exits_in_faults", "violation")]] {
            let verdict = judge(&[&begun, &healed, WATCHED, &ended(ends), &corrupt, GONE], options);
            let expected = vec!["exited-in-fault", "alarm-of-failed-disk", "did-not-come-back"];
            assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Valid, expected), "{ends}");
        }
    }
    // The disk of another node explains nothing, nor does one that failed later; no server sends itself SIGKILL.
    let other = begun.replace("\"nodes\":[\"n1\"]", "\"nodes\":[\"n2\"]");
    assert_ne!(other, begun);
    assert_eq!(judge(&[&other, WATCHED, &ended("signal 6 (SIGABRT)")], &[]).validity, Validity::Invalid);
    let early = ended("signal 6 (SIGABRT)").replace("[5000000000,5100000000]", "[1,2]");
    assert_eq!(judge(&[&begun, &healed, WATCHED, &early], &[]).validity, Validity::Invalid);
    assert_eq!(judge(&[&begun, &healed, WATCHED, &ended("signal 9 (SIGKILL)")], &[]).validity, Validity::Invalid);
}

#[test]
fn a_status_that_the_recipe_declares_is_in_order_at_any_time() {
    let options = Options([("ok_exits".to_owned(), Value::list([Value::Int(75)]))].into());
    let checker = checker_with(CRASHES, &options).expect("made");
    let judge = |how: &str| checker.check(&history(&[WATCHED, &ended(how)]), &Budget::unlimited());
    assert_eq!(kinds(&judge("exit 75")), ["exited-as-declared"]);
    assert_eq!((judge("exit 75").validity, judge("exit 7").validity), (Validity::Valid, Validity::Invalid));
    let wrong = Options([("ok_exits".to_owned(), Value::from("x"))].into());
    assert!(checker_with(CRASHES, &wrong).err().is_some_and(|error| error.contains("from 0 to 255")));
}

#[test]
fn corrupt_data_in_a_log_is_a_violation_only_where_nothing_was_killed_before() {
    let [begun, healed] = kill(true);
    let after = judge(&[&begun, &healed, WATCHED, &corrupt(7_000_000_000)], &[]);
    assert_eq!((after.validity, kinds(&after)), (Validity::Valid, vec!["log-corruption"]));
    assert!(after.findings[0].sentences.iter().any(|sentence| sentence.contains("half written")), "{after:?}");
    let before = judge(&[&begun, &healed, WATCHED, &corrupt(500_000_000)], &[]);
    assert_eq!((before.validity, kinds(&before)), (Validity::Invalid, vec!["log-alarm"]));
    let [begun, healed] = fault("pause");
    assert_eq!(judge(&[&begun, &healed, WATCHED, &corrupt(7_000_000_000)], &[]).validity, Validity::Invalid);
}

#[test]
fn corruption_that_ends_its_own_process_is_no_torn_end() {
    // The line is 0.2 s before the exit, of which only an interval is known.
    let [begun, healed] = fault("partition");
    let exit = ended("exit 1").replace("[5000000000,5100000000]", "[4000000000,4900000000]");
    let verdict = judge(&[&begun, &healed, WATCHED, &exit, &corrupt(4_700_000_000)], &[]);
    assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Invalid, vec!["log-alarm", "exited-in-fault"]));
    // Certainly after the end.
    let verdict = judge(&[&begun, &healed, WATCHED, &exit, &corrupt(4_900_000_000)], &[]);
    assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Valid, vec!["exited-in-fault", "log-corruption"]));
    // Without a time it may be what ended the process, unless the harness started a process again.
    let undated = corrupt(0).replace(",\"between\":[0,0]", "").replace("\"between\":[0,0]", "\"times\":1");
    assert_eq!(judge(&[&begun, &healed, WATCHED, &exit, &undated], &[]).validity, Validity::Invalid);
    let restarted = GONE.replace("did-not-come-back", "restarted");
    assert_eq!(judge(&[&begun, &healed, WATCHED, &exit, &restarted, &undated], &[]).validity, Validity::Valid);
    let [begun, healed] = kill(true);
    assert_eq!(judge(&[&begun, &healed, WATCHED, &undated], &[]).validity, Validity::Valid);
}

#[test]
fn a_kill_excuses_corrupt_data_only_until_its_recovery_is_over() {
    let [begun, healed] = kill(true);
    let at = |line: &str| judge(&[&begun, &healed, WATCHED, line], &[]).validity;
    let later = |last: u64| corrupt(7_000_000_000).replace("7000000000]", &format!("{last}]"));
    assert_eq!((at(&corrupt(36_000_000_000)), at(&corrupt(36_000_000_001))), (Validity::Valid, Validity::Invalid));
    assert_eq!((at(&later(36_000_000_000)), at(&later(50_000_000_000))), (Validity::Valid, Validity::Invalid));
    // A kill that was never shown to be healed may still be recovered from.
    let [begun, unhealed] = kill(false);
    assert_eq!(judge(&[&begun, &unhealed, WATCHED, &corrupt(50_000_000_000)], &[]).validity, Validity::Valid);
    // The clock of the node jumped in the recovery: what the line says of its time proves nothing.
    let jump = |line: &str| line.replace("\"fault\":0", "\"fault\":1").replace("\"kill\"", "\"clock\"");
    let [begun, healed] = kill(true);
    let [jumped, back] = kill(true).map(|line| jump(&line));
    let verdict = judge(&[&begun, &jumped, &healed, &back, WATCHED, &corrupt(50_000_000_000)], &[]);
    assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Valid, vec!["log-corruption"]));
}

#[test]
fn of_two_options_for_an_exit_in_a_fault_the_weaker_counts() {
    let [begun, healed] = fault("pause");
    let exit = ended("exit 1");
    let judge = |crashed, in_faults| {
        let options = [("crashed", crashed), ("exits_in_faults", in_faults)];
        let verdict = judge(&[&begun, &healed, WATCHED, &exit], &options);
        (verdict.validity, verdict.findings.len())
    };
    assert_eq!(judge("evidence", "violation"), (Validity::Valid, 1));
    assert_eq!(judge("violation", "evidence"), (Validity::Valid, 1));
    assert_eq!(judge("violation", "violation"), (Validity::Invalid, 1));
    assert_eq!((judge("off", "violation"), judge("violation", "off")), ((Validity::Valid, 0), (Validity::Valid, 0)));
}

#[test]
fn a_panic_or_an_exception_that_nothing_caught_is_a_crash_in_a_fault_too() {
    let [begun, healed] = fault("pause");
    let kind = |how: &str, lines: &[&str]| {
        let exit = ended(how).replace("[\"panic: oh no\"]", &json!(lines).to_string());
        kinds(&judge(&[&begun, &healed, WATCHED, &exit], &[]))[0].to_owned()
    };
    assert_eq!((kind("exit 101", &[]), kind("exit 1", &[])), ("crashed".to_owned(), "exited-in-fault".to_owned()));
    let traceback = ["Traceback (most recent call last):", "  File \"db.py\", line 7, in main", "    x[9]"];
    let died = [&traceback[..], &["IndexError: list index out of range"]].concat();
    let caught = [&died[..], &["2026-11-29 16:00:00 lost the lease, ending"]].concat();
    assert_eq!((kind("exit 1", &died), kind("exit 1", &caught)), ("crashed".to_owned(), "exited-in-fault".to_owned()));
    assert_eq!(kind("exit 1", &["Exception in thread \"main\" java.lang.X: y", "\tat a.B.c(B.java:7)"]), "crashed");
    assert_eq!(kind("exit 1", &["Unhandled exception. System.X: y", "   at A.B()", "ending"]), "exited-in-fault");
}

#[test]
fn no_alarm_is_said_only_where_every_node_has_a_log_that_was_read_whole() {
    let read = |how: &str, detail: &str| {
        format!(
            r#"{{"type":"process","index":0,"time":1,"node":"n1","step":"logs-read","how":"{how}","detail":[{detail}]}}"#
        )
    };
    let told = |how: &str, detail: &str| judge(&[WATCHED, &read(how, detail)], &[]).summary;
    assert!(told("1 log", "").ends_with("and no alarm is in its logs."), "{}", told("1 log", ""));
    assert!(told("0 logs", "").ends_with("and its logs were not read."), "{}", told("0 logs", ""));
    let part = told("2 logs", "\"the first 7 bytes of a.log were not searched\"");
    assert!(part.ends_with("no alarm is in what was read of its logs: the first 7 bytes of a.log were not searched."));
}

#[test]
fn a_kill_of_which_nobody_knows_is_said_to_be_one_and_memory_is_told_once() {
    let verdict = judge(&[WATCHED, &ended("signal 9 (SIGKILL)")], &[]);
    assert_eq!(verdict.summary, "Crashed: etcd on n1 was killed by SIGKILL, by whom is not known.");
    let counted = r#"{"type":"process","index":0,"time":1,"node":"n1","process":"etcd","step":"out-of-memory"}"#;
    let killed = ended("signal 9 (SIGKILL)").replace("\"ended\"", "\"out-of-memory\",\"times\":0");
    let verdict = judge(&[WATCHED, counted, &killed], &[]);
    assert_eq!((verdict.findings.len(), verdict.numbers["out_of_memory"].clone()), (1, json!(1)));
    assert_eq!(verdict.summary, "Out of memory: etcd on n1 was killed for want of memory.");
    assert!(verdict.findings[0].sentences.contains(&"panic: oh no".to_owned()), "with its last words");
}

#[test]
fn records_of_processes_survive_their_export() {
    let [begun, healed] = kill(true);
    let thrice = EXITED_AGAIN.replace("\"again\"", "\"times\":3,\"again\"");
    let history = history(&[&begun, &healed, WATCHED, ABORTED, &thrice, GONE]);
    let mut lines = Vec::new();
    crate::history::export::write_jsonl(&history, &mut lines).expect("written");
    let read = read_jsonl(lines.as_slice()).expect("read");
    assert_eq!((read.processes, read.remarks), (history.processes, Vec::new()));
}

#[test]
fn a_node_without_memory_or_descriptors_may_end_in_any_way_while_the_fault_is_near() {
    const KILLED: &str = r#"{"type":"process","index":0,"time":1,"node":"n1","process":"etcd","step":"out-of-memory",
        "how":"the kernel killed it","between":[5000000000,5100000000]}"#;
    const ALARM: &str = r#"{"type":"process","index":0,"time":1,"node":"n1","process":"etcd","step":"log-alarm",
        "how":"panic: no memory","between":[5000000000,5100000000]}"#;
    for kind in ["memory", "descriptors"] {
        let [begun, healed] = fault(kind);
        for how in ["signal 6 (SIGABRT)", "signal 9 (SIGKILL)", "exit 2"] {
            let verdict = judge(&[&begun, &healed, WATCHED, &ended(how), KILLED, ALARM], &[]);
            let expected = vec!["exited-in-fault", "out-of-memory", "log-alarm"];
            assert_eq!((verdict.validity, kinds(&verdict)), (Validity::Valid, expected), "{kind} {how}");
        }
        // The fault of another node explains nothing, nor one that was over long before.
        let elsewhere = [&begun, &healed].map(|line| line.replace("\"nodes\":[\"n1\"]", "\"nodes\":[\"n2\"]"));
        let early = [&begun, &healed].map(|line| line.replace("\"fault\":0", "\"fault\":1"));
        assert_eq!(judge(&[&elsewhere[0], &elsewhere[1], WATCHED, ABORTED], &[]).validity, Validity::Invalid, "{kind}");
        let later = ABORTED.replace("[5000000000,5100000000]", "[15000000000,15100000000]");
        assert_eq!(judge(&[&early[0], &early[1], WATCHED, &later], &[]).validity, Validity::Invalid, "{kind}");
    }
}
