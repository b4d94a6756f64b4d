//! The page in an archive that says what it holds, and how to run it again.
use super::Packed;
use crate::store::{RunDir, RunInfo, RunVerdict};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn text(info: &RunInfo, dir: &RunDir, top: &Path, packed: &Packed) -> String {
    let top = top.display();
    let verdict = RunVerdict::load(dir);
    let versions: BTreeSet<&str> = info.target_versions.values().map(String::as_str).collect();
    let versions = versions.into_iter().collect::<Vec<_>>().join(", ");
    let kernels: BTreeSet<&str> = info.nodes.iter().map(|node| node.kernel.as_str()).collect();
    let kernels = kernels.into_iter().collect::<Vec<_>>().join(", ");
    let revision = if info.revision.is_empty() { String::new() } else { format!(" ({})", info.revision) };
    let mut text = format!("# A run of dsfuzz: {top}\n\n");
    if let Ok(verdict) = &verdict {
        let _ = writeln!(text, "**{:?}**: {}\n", verdict.validity, verdict.sentence);
    }
    let _ = writeln!(text, "| | |\n|---|---|\n| target | {} {versions} |", info.target);
    let _ = writeln!(text, "| nodes | {}, kernel {kernels} |", info.nodes.len());
    let _ = writeln!(text, "| seed | {} |\n| started | {} |", info.seed, info.started);
    let _ = writeln!(text, "| dsfuzz | {}{revision} |\n", info.dsfuzz);
    let _ = writeln!(
        text,
        "## Run it again\n\n```\ndsfuzz run ARCHIVE              # once, in a new lab; --nodes a,b,c takes hosts\ndsfuzz replay ARCHIVE -n 10     # how often it comes \
         back, with faults and without\n```\n\nThis runs the recipe's commands on the nodes and the client's program on this machine: look at `inputs/` \
         before you run an archive of someone else.\nThe nodes need the target's packages (`dsfuzz doctor` says which).\n\n## Look at it\n\n```\ntar -xzf ARCHIVE -C results\ndsfuzz \
         check {top}     # judges the history again\ndsfuzz report {top}    # draws the report again\n```\n"
    );
    if let Some(inputs) = info.inputs.as_ref().filter(|inputs| !inputs.redacted.is_empty()) {
        let _ = writeln!(
            text,
            "Secrets were taken out of {}: to run it again, name the recipe with `--set target=PATH`.\n",
            inputs.redacted.join(", ")
        );
    }
    text.push_str("## Left out\n\n");
    text.push_str("- the journal, which `history.jsonl` replaces, and the report without scripts\n");
    let absent = info.inputs.iter().flat_map(|inputs| &inputs.absent);
    for sentence in packed.left_out.iter().chain(absent) {
        let _ = writeln!(text, "- {sentence}");
    }
    let _ = writeln!(text, "- secrets, at {} places", packed.redacted);
    text
}
