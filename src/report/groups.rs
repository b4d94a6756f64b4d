//! Findings of one kind as one block: the first example, their number, the first time, and the faults in force.
use super::input::ReportInput;
use super::words;
use dsfuzz_checkers::{Finding, History, Verdict};
use std::collections::BTreeMap;

/// The violations of one kind from one checker.
pub(super) struct Group<'a> {
    pub(super) verdict: &'a Verdict,
    /// In the verdict's order.
    pub(super) findings: Vec<&'a Finding>,
}

/// The violations by checker, workload and kind, in the verdict's order.
pub(super) fn groups<'a>(input: &ReportInput<'a>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (verdict, finding) in input.violations() {
        let same = |group: &&mut Group<'a>| {
            std::ptr::eq(group.verdict, verdict) && group.findings.iter().all(|one| one.kind == finding.kind)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.findings.push(finding),
            None => groups.push(Group { verdict, findings: vec![finding] }),
        }
    }
    groups
}

/// The call time of a finding's first operation.
fn began(history: &History, finding: &Finding) -> Option<u64> {
    finding.ops.iter().filter_map(|call| history.op(*call)).map(|op| op.call_time).min()
}

impl Group<'_> {
    /// The kind of the findings.
    pub(super) fn kind(&self) -> &str {
        self.findings.first().map_or("", |finding| &finding.kind)
    }

    /// When the first example began.
    pub(super) fn since(&self, input: &ReportInput<'_>) -> Option<u64> {
        self.findings.iter().filter_map(|finding| began(input.history, finding)).min()
    }

    /// The extent in words: examples, keys, first time.
    pub(super) fn extent(&self, input: &ReportInput<'_>) -> String {
        let count = self.findings.len();
        let with_key = self.findings.iter().filter(|finding| !finding.key.is_nil());
        // A key of one workload is another than that of a second.
        let mut keys: Vec<(&str, String)> =
            with_key.map(|finding| (finding.workload.as_str(), words::value(&finding.key, 40))).collect();
        keys.sort();
        keys.dedup();
        let mut parts = vec![if count == 1 { "1 example".to_string() } else { format!("{count} examples") }];
        match keys.len() {
            0 => {}
            1 => parts.push(format!("on key {}", keys[0].1)),
            many => parts.push(format!("on {many} keys")),
        }
        if let Some(since) = self.since(input) {
            parts.push(format!("from {} on", words::moment(since)));
        }
        parts.join(", ")
    }

    /// The faults that may have been in force, each with its number of examples, and the number of examples without a fault.
    pub(super) fn faults(&self, input: &ReportInput<'_>) -> Vec<String> {
        let mut by_fault: BTreeMap<u64, usize> = BTreeMap::new();
        let mut without = 0;
        for finding in &self.findings {
            if finding.faults.is_empty() {
                without += 1;
            }
            finding.faults.iter().for_each(|id| *by_fault.entry(*id).or_default() += 1);
        }
        let count = self.findings.len();
        let mut lines = Vec::new();
        if without > 0 {
            let when =
                match input.history.faults.iter().filter_map(|fault| fault.possible()).map(|(from, _)| from).min() {
                    Some(first) if self.since(input).is_some_and(|since| since < first) => {
                        ", the first before any fault began"
                    }
                    _ => "",
                };
            lines.push(format!("no fault in force in {without} of {count}{when}"));
        }
        let mut by_fault: Vec<(u64, usize)> = by_fault.into_iter().collect();
        by_fault.sort_by_key(|(id, examples)| (std::cmp::Reverse(*examples), *id));
        for (id, examples) in by_fault.iter().take(4) {
            let fault = input.history.faults.iter().find(|fault| fault.id == *id);
            let what = fault.map_or_else(|| format!("fault {id}"), words::fault);
            lines.push(format!("{} in {examples} of {count}", words::shorten(&what, 80)));
        }
        if by_fault.len() > 4 {
            lines.push(format!("{} more faults", by_fault.len() - 4));
        }
        lines
    }
}
