//! `junit.xml`: a test case for each promise, one for the evidence, one for the harness.
use super::input::ReportInput;
use super::sections::checker;
use super::words;
use anyhow::Context;
use dsfuzz_checkers::{Finding, Severity, Validity, Verdict};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// Findings in full.
const FINDINGS_MAX: usize = 5;

/// The file's text.
pub(super) fn draw(input: &ReportInput<'_>) -> anyhow::Result<String> {
    let (info, verdict) = (input.info, input.verdict);
    let mut suite = TestSuite::new(info.plan.as_str());
    suite.set_time(Duration::from_millis(info.phases.iter().map(|phase| phase.took_ms).sum()));
    if let Ok(started) = chrono::DateTime::parse_from_rfc3339(&info.started) {
        suite.set_timestamp(started);
    }
    let report = input.dir.report().to_string_lossy().into_owned();
    suite.add_properties([
        Property::new("seed", info.seed.to_string()),
        Property::new("report", report),
        Property::new("verdict", words::word(verdict.validity)),
        Property::new("again", info.again.as_str()),
        Property::new("dsfuzz", info.dsfuzz.as_str()),
    ]);
    for promise in &verdict.promises {
        suite.add_test_case(case(input, promise));
    }
    suite.add_test_case(evidence(input));
    suite.add_test_case(harness(input));
    let mut report = Report::new("dsfuzz");
    report.add_test_suite(suite);
    report.to_string().context("cannot write junit.xml")
}

fn case(input: &ReportInput<'_>, promise: &Verdict) -> TestCase {
    let violations: Vec<&Finding> =
        promise.findings.iter().filter(|finding| finding.severity == Severity::Violation).collect();
    let status = match promise.validity {
        Validity::Valid => TestCaseStatus::success(),
        Validity::Unknown => problem(NonSuccessKind::Error, "unknown", &promise.summary, &promise.summary),
        Validity::Invalid => {
            let kind = violations.first().map_or("invalid", |finding| finding.kind.as_str());
            let texts: Vec<String> =
                violations.iter().take(FINDINGS_MAX).map(|finding| describe(input, finding)).collect();
            problem(NonSuccessKind::Failure, kind, &promise.summary, &texts.join("\n\n"))
        }
    };
    let mut case = TestCase::new(checker(promise), status);
    case.set_classname(classname(input, &promise.workload));
    case
}

/// A finding with its operations and its reason, as text.
pub(super) fn describe(input: &ReportInput<'_>, finding: &Finding) -> String {
    let mut lines = vec![finding.title.clone()];
    let ops = finding.ops.iter().take(40).filter_map(|call| input.history.op(*call));
    lines.extend(ops.map(|op| format!("  {}", words::op_line(input.history, &op))));
    for id in finding.faults.iter().take(10) {
        if let Some(fault) = input.history.faults.iter().find(|fault| fault.id == *id) {
            lines.push(format!("  during {}", words::fault(fault)));
        }
    }
    lines.extend(words::each_once(&finding.sentences).into_iter().take(60).map(|sentence| format!("  {sentence}")));
    lines.join("\n")
}

fn classname(input: &ReportInput<'_>, workload: &str) -> String {
    let target = if input.info.target.is_empty() { "target" } else { &input.info.target };
    let workload = if workload.is_empty() { "run" } else { workload };
    format!("{target}.{workload}")
}

fn problem(kind: NonSuccessKind, name: &str, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(name).set_message(words::shorten(&words::plain_line(message), 400)).set_description(text);
    status
}

fn evidence(input: &ReportInput<'_>) -> TestCase {
    let thin: Vec<String> = input.verdict.evidence.iter().filter(|one| !one.enough).map(thin_sentence).collect();
    let status = if thin.is_empty() {
        TestCaseStatus::success()
    } else {
        problem(NonSuccessKind::Error, "unknown", "the evidence is too thin", &thin.join("\n"))
    };
    let mut case = TestCase::new("evidence", status);
    case.set_classname(classname(input, ""));
    case
}

/// The shortfalls in words.
pub(super) fn thin_sentence(evidence: &crate::store::Evidence) -> String {
    format!("{}: {}", evidence.name, evidence.missing())
}

fn harness(input: &ReportInput<'_>) -> TestCase {
    let failures = input.harness();
    let status = match failures.first() {
        None => TestCaseStatus::success(),
        Some(first) => problem(NonSuccessKind::Error, "harness", first, &failures.join("\n")),
    };
    let mut case = TestCase::new("harness", status);
    case.set_classname(classname(input, ""));
    case
}
