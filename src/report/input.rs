//! The input of a report, and [`part`], which keeps a failed section from hiding the others.
use super::summary::HistorySummary;
use super::words;
use crate::judge::never_ok::AT_FAULT;
use crate::store::{RunDir, RunInfo, RunVerdict};
use dsfuzz_checkers::{Finding, History, Phase, Severity, Verdict};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The input of a report.
pub(super) struct ReportInput<'a> {
    pub(super) dir: &'a RunDir,
    pub(super) history: &'a History,
    pub(super) info: &'a RunInfo,
    pub(super) verdict: &'a RunVerdict,
    pub(super) summary: HistorySummary,
    pub(super) source: Source,
}

/// The source of the history, which decides on the sections of its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A run with a proper end.
    Run,
    /// A run with a record that breaks off.
    CutOff,
    /// A run that failed before its load.
    NoLoad,
    /// A history without a run.
    File,
}

impl Source {
    fn of(history: &History, info: &RunInfo) -> Source {
        let empty = history.wall.is_empty() && history.ops().is_empty();
        let loaded = history.phases.iter().any(|(phase, _)| *phase == Phase::Load);
        match (info.file, empty || history.complete && !loaded && !info.harness_failures.is_empty()) {
            (true, _) => Source::File,
            (false, true) => Source::NoLoad,
            (false, false) if history.complete => Source::Run,
            (false, false) => Source::CutOff,
        }
    }
}

impl<'a> ReportInput<'a> {
    /// Whether a run ended before its load because of its plan or its arguments.
    pub(super) fn bad_plan(&self) -> bool {
        self.source == Source::NoLoad && self.verdict.exit == 254
    }

    /// Whether the plan, the recipe or the client was wrong, so that some function never worked.
    pub(super) fn at_fault(&self) -> bool {
        self.verdict.sentence.starts_with(AT_FAULT)
    }

    /// Whether the verdict's sentence has every failure of a run that failed before its load.
    pub(super) fn said_at_once(&self) -> bool {
        self.source == Source::NoLoad && self.harness().iter().all(|failure| *failure == self.verdict.sentence)
    }

    pub(super) fn new(
        dir: &'a RunDir,
        history: &'a History,
        info: &'a RunInfo,
        verdict: &'a RunVerdict,
    ) -> ReportInput<'a> {
        ReportInput {
            dir,
            history,
            info,
            verdict,
            summary: HistorySummary::of(history),
            source: Source::of(history, info),
        }
    }

    /// The verdict's sentence. A sentence about a counterexample is about the first one shown, also in verdicts of earlier
    /// versions.
    pub(super) fn sentence(&self) -> &'a str {
        let stored = self.verdict.sentence.as_str();
        let tells = self.violations().iter().any(|(_, finding)| finding.title == stored);
        let groups = if tells { super::groups::groups(self) } else { Vec::new() };
        groups.first().and_then(|group| group.findings.first()).map_or(stored, |finding| &finding.title)
    }

    /// Sentences for a record without faults: no fault was planned, or why none came.
    pub(super) fn no_fault(&self) -> Vec<String> {
        match self.source {
            Source::File => return vec!["The history names no faults.".into()],
            Source::NoLoad => return vec!["No fault was begun.".into()],
            Source::Run | Source::CutOff => {}
        }
        let Some(planned) = &self.info.planned else {
            // A run of an earlier version: its evidence names the plan's kinds.
            let asked = |one: &&crate::store::Evidence| one.name.starts_with("proven_") && !one.enough;
            let asked: Vec<String> = self.verdict.evidence.iter().filter(asked).map(|one| one.missing()).collect();
            return if asked.is_empty() { vec!["No fault was asked for.".into()] } else { asked };
        };
        let kinds = planned.kinds.join(", ");
        if planned.kinds.is_empty() {
            return vec!["No fault was asked for.".into()];
        }
        let mut lines = vec![match planned.fitted {
            0 => format!("Faults were planned ({kinds}), and none fitted into the load."),
            1 => format!("1 fault was planned ({kinds}), and it never began: the load ended before."),
            fitted => format!("{fitted} faults were planned ({kinds}), and none began: the load ended before."),
        }];
        lines.extend(self.kinds_left_out().iter().cloned());
        lines
    }

    /// The kinds of fault without room in the load, and a load that has room.
    pub(super) fn kinds_left_out(&self) -> &[String] {
        self.info.planned.as_ref().map_or(&[], |planned| &planned.warnings)
    }

    /// The violations in the order of the promises, each with its verdict.
    pub(super) fn violations(&self) -> Vec<(&'a Verdict, &'a Finding)> {
        self.findings(Severity::Violation)
    }

    /// Findings that break no promise but are worth showing.
    pub(super) fn remarks(&self) -> Vec<(&'a Verdict, &'a Finding)> {
        self.findings(Severity::Evidence)
    }

    fn findings(&self, severity: Severity) -> Vec<(&'a Verdict, &'a Finding)> {
        let of = |verdict: &'a Verdict| {
            let matching = verdict.findings.iter().filter(move |finding| finding.severity == severity);
            matching.map(move |finding| (verdict, finding))
        };
        self.verdict.promises.iter().flat_map(of).collect()
    }

    /// Operations of all counterexamples.
    pub(super) fn marked(&self) -> BTreeSet<u64> {
        let findings = self.violations();
        findings.iter().flat_map(|(_, finding)| finding.ops.iter().copied().take(200)).take(1000).collect()
    }

    /// Failures of the harness, from the verdict and from the run, each once.
    pub(super) fn harness(&self) -> Vec<&'a str> {
        let mut failures: Vec<&str> = Vec::new();
        for failure in self.verdict.harness.iter().chain(&self.info.harness_failures) {
            if !failures.contains(&failure.as_str()) {
                failures.push(failure);
            }
        }
        failures
    }
}

/// Draws one part; an error or a panic becomes a visible notice.
pub(super) fn part(name: &str, draw: impl FnOnce() -> anyhow::Result<String>) -> String {
    let problem = match catch_unwind(AssertUnwindSafe(draw)) {
        Ok(Ok(html)) => return words::label_cells(&html),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a bug".to_string())
        }
    };
    tracing::error!(part = name, %problem, "a part of the report could not be drawn");
    format!(
        "<p class=\"notice\" role=\"note\"><strong>{} could not be drawn:</strong> {}. The files of the run are complete; \
         <code>dsfuzz report</code> draws it again.</p>\n",
        words::escape(name),
        words::escape(&problem)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_fails_becomes_a_notice() {
        assert_eq!(part("x", || Ok("<p>".to_string())), "<p>");
        let notice = part("The faults", || anyhow::bail!("<no> table"));
        assert!(notice.contains("The faults could not be drawn") && notice.contains("&lt;no&gt; table"), "{notice}");
        let notice = part("The faults", || panic!("out of {}", "ink"));
        assert!(notice.contains("out of ink"), "{notice}");
    }
}
