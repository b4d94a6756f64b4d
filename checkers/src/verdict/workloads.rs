//! One answer about several workloads of one kind: each is judged by itself, and their verdicts are joined. The worst counts, and
//! every summary, finding and number names its workload.
use super::order::in_order;
use super::{Budget, Checker, Validity, Verdict};
use crate::history::History;

/// Judges each workload of the checker's kind by itself.
pub(super) fn each<C: Checker + ?Sized>(checker: &C, history: &History, budget: &Budget) -> Verdict {
    match checker.workloads(history)[..] {
        [] => checker.judge_workload(history, budget),
        [one] => named(checker.judge_workload(history, budget), history.name(one)),
        ref several => {
            let alone = |name| named(checker.judge_workload(&history.only(name), budget), name);
            joined(checker.name(), several.iter().map(|&id| alone(history.name(id))).collect())
        }
    }
}

/// The verdict, as one about this workload.
fn named(mut verdict: Verdict, workload: &str) -> Verdict {
    workload.clone_into(&mut verdict.workload);
    verdict
}

/// The verdicts about several workloads as one. What does not apply to one of them ([`Verdict::not_asked`]) does not count.
fn joined(checker: &str, judged: Vec<Verdict>) -> Verdict {
    let names: Vec<&str> = judged.iter().map(|one| one.workload.as_str()).collect();
    let summaries: Vec<String> = judged.iter().map(|one| format!("{}: {}", one.workload, one.summary)).collect();
    let asked = judged.iter().filter(|one| !one.not_asked()).map(|one| one.validity).max();
    let mut whole =
        Verdict::new(checker, asked.unwrap_or(Validity::Unknown), summaries.join(" ")).on(&names.join(", "));
    if asked.is_none() {
        whole = whole.not_asked_at_all();
    }
    for one in judged {
        for mut finding in one.findings {
            finding.workload.clone_from(&one.workload);
            finding.title = format!("{}: {}", one.workload, finding.title);
            whole.findings.push(finding);
        }
        whole.certificates.extend(one.certificates);
        whole
            .numbers
            .extend(one.numbers.into_iter().map(|(name, number)| (format!("{}_{name}", one.workload), number)));
    }
    in_order(&mut whole.findings);
    whole
}
