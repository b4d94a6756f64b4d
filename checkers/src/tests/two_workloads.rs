//! Two workloads of one kind in a history, one right and one wrong: every checker judges each by itself, and says which is
//! wrong.
use super::stories;
use crate::oracles::{CASES, CaseOptions, case_options};
use crate::registry::CHECKERS;
use crate::verdict::{Severity, Validity};

/// The story as that of this workload, its processes counted from the first.
fn lines(workload: &str, first: u64, story: &str) -> String {
    format!("workload {workload} from {first}\n{story}\n")
}

#[test]
fn each_is_judged_by_itself_and_the_wrong_one_is_named() {
    let mut amiss: Vec<String> = Vec::new();
    for (checker, cases) in CASES {
        for &(given, right, wrong) in cases.right_and_wrong.into_iter().flatten() {
            judge_together(checker, given, (right, wrong), &mut amiss);
        }
    }
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
}

/// Judges both alone and together, and says what is amiss.
fn judge_together(checker: &str, given: CaseOptions, (right, wrong): (&str, &str), amiss: &mut Vec<String>) {
    let options = case_options(given);
    let judge = |text: &str| stories::judge_with(checker, &options, text);
    let (kept, broken) = (judge(&lines("right", 0, right)), judge(&lines("wrong", 10, wrong)));
    let mut expect = |holds: bool, what: &str, summary: &str| {
        if !holds {
            amiss.push(format!("{checker} {given:?}: {what}: {summary}"));
        }
    };
    expect(kept.validity == Validity::Valid && kept.workload == "right", "the right one alone", &kept.summary);
    expect(broken.validity == Validity::Invalid && broken.workload == "wrong", "the wrong one alone", &broken.summary);
    for order in [
        [lines("right", 0, right), lines("wrong", 10, wrong)].concat(),
        [lines("wrong", 10, wrong), lines("right", 0, right)].concat(),
    ] {
        let both = judge(&order);
        expect(both.validity == Validity::Invalid, "both", &both.summary);
        expect(both.summary.contains("right: ") && both.summary.contains("wrong: "), "names", &both.summary);
        let violations: Vec<_> =
            both.findings.iter().filter(|finding| finding.severity == Severity::Violation).collect();
        let named = |workload: &str, title: &str| workload == "wrong" && title.starts_with("wrong: ");
        expect(
            !violations.is_empty() && violations.iter().all(|one| named(&one.workload, &one.title)),
            "the findings name the wrong one",
            &both.summary,
        );
        let kinds = |findings: &[crate::Finding]| -> Vec<String> {
            let about = findings.iter().filter(|finding| finding.severity == Severity::Violation);
            about.map(|finding| finding.kind.clone()).collect()
        };
        expect(kinds(&both.findings) == kinds(&broken.findings), "the same findings as alone", &both.summary);
        let numbers = both.numbers.keys().all(|name| name.starts_with("right_") || name.starts_with("wrong_"));
        expect(numbers, "numbers by workload", &both.summary);
    }
    let twice = judge(&[lines("right", 0, right), lines("another", 10, right)].concat());
    expect(twice.validity == Validity::Valid, "two right ones", &twice.summary);
    expect(twice.workload.split(", ").count() == 2, "both are named", &twice.workload);
}

#[test]
fn every_checker_has_a_case_or_judges_the_run_as_a_whole() {
    for (doc, (name, cases)) in CHECKERS.iter().zip(CASES) {
        assert_eq!(cases.right_and_wrong.is_err(), doc.judges.runs, "{name}: right_and_wrong");
    }
}
