//! The page of the matrix, in Markdown.
use super::Summary;
use std::fmt::Write as _;

/// The facts of a matrix beside its rows.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Version and revision of dsfuzz.
    pub program: String,
    /// The seeds, as they were asked for.
    pub seeds: String,
    /// Runs that were asked for and have not been made.
    pub missing: usize,
}

/// The whole page.
pub fn page(facts: &Facts, summaries: &[Summary]) -> String {
    let mut page = format!(
        "# Detection\n\nWhat `dsfuzz matrix` found in the [specimens](specimens.md), with {} and the seeds {}. A row is a mode with a \
         mistake, under the plan that brings it out (`src/matrix/rows`).\n\n",
        facts.program, facts.seeds
    );
    if facts.missing > 0 {
        let _ = writeln!(page, "Runs that were asked for and are missing: {}.\n", facts.missing);
    }
    page += "## Mistakes\n\nTimes are from the begin of the record to the end of the operations that show the first violation. Operations are \
             those of the smallest counterexample.\n\n";
    page += "| row | found | median time | by | faults in force | operations | without its fault | shows |\n|---|---|---|---|---|---|---|---|\n";
    for summary in summaries.iter().filter(|summary| summary.mistake) {
        let _ = writeln!(page, "| {} |", mistake(summary).join(" | "));
    }
    page += "\n## Without a mistake\n\nUnknown means too little evidence, or a budget that ran out.\n\n";
    page += "| row | valid | unknown | false alarms |\n|---|---|---|---|\n";
    for summary in summaries.iter().filter(|summary| !summary.mistake) {
        let alarms = summary.runs - summary.valid - summary.unknown;
        let _ = writeln!(
            page,
            "| `{}` | {} of {} | {} | {alarms} |",
            summary.row, summary.valid, summary.runs, summary.unknown
        );
    }
    page += "\n## Not as expected\n\n";
    let reasons: Vec<String> = reasons(summaries).collect();
    page += &if reasons.is_empty() { "None.".to_owned() } else { reasons.join("\n") };
    page.push('\n');
    page
}

/// The cells of a mistake's row.
fn mistake(summary: &Summary) -> Vec<String> {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let by = summary.by.iter().map(|(by, runs)| format!("`{by}` {runs}")).collect::<Vec<_>>().join(", ");
    let without = match (&summary.fault, summary.without_runs) {
        (None, _) => "needs none".to_owned(),
        (_, 0) => "-".to_owned(),
        (_, runs) => format!("{} of {runs}", summary.without_invalid),
    };
    vec![
        format!("`{}`", summary.row),
        format!("{} of {}", summary.found, summary.runs),
        summary.median_s.map_or_else(|| "-".to_owned(), |time| format!("{time:.1} s")),
        or_dash(by),
        or_dash(summary.faults.join(", ")),
        summary.ops.map_or_else(|| "-".to_owned(), |ops| ops.to_string()),
        without,
        summary.shows.replace('|', "\\|"),
    ]
}

/// A line for each reason why a row is not as expected, or not decided.
pub fn reasons(summaries: &[Summary]) -> impl Iterator<Item = String> {
    summaries.iter().flat_map(|summary| {
        let reasons = summary.unexpected.iter().chain(&summary.undecided);
        reasons.map(|reason| format!("- `{}`: {}", summary.row, reason.replace('\n', " ")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cell, row};
    use super::super::{of, rows};
    use super::*;
    use dsfuzz_checkers::Validity;

    #[test]
    fn the_page_has_each_row_in_its_table_and_the_reasons() {
        let (found, none) = (row("ids/clock-steps-back"), row("ids/none"));
        let cells = [
            cell(&found, 1, Validity::Invalid, &[("unique-ids", Some(4.04), 2)]),
            cell(&none, 1, Validity::Valid, &[]),
            cell(&none, 2, Validity::Invalid, &[("unique-ids", None, 2)]),
        ];
        let summaries = [of(&found, &cells), of(&none, &cells)];
        let facts = Facts { program: "dsfuzz 1".into(), seeds: "1-2".into(), missing: 1 };
        let page = page(&facts, &summaries);
        let line = "| `ids/clock-steps-back` | 1 of 1 | 4.0 s | `unique-ids/duplicate-id` 1 | clock | 2 | - | An id is given twice";
        assert!(page.contains(line), "{page}");
        assert!(page.contains("| `ids/none` | 1 of 2 | 0 | 1 |"), "{page}");
        assert!(page.contains("- `ids/none`: false alarm with seed 2: said."), "{page}");
        assert!(page.contains("Runs that were asked for and are missing: 1."), "{page}");
    }

    #[test]
    fn a_page_without_runs_has_every_row_and_no_reason() {
        let rows = rows().unwrap();
        let summaries: Vec<_> = rows.iter().map(|row| of(row, &[])).collect();
        let page = page(&Facts::default(), &summaries);
        assert!(rows.iter().all(|row| page.contains(&format!("| `{}` |", row.name))), "{page}");
        assert!(page.ends_with("## Not as expected\n\nNone.\n"), "{page}");
    }
}
