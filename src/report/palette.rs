//! The colours of the drawings. Blue, vermilion and amber (after Okabe and Ito) stay apart for colour-blind people, and
//! no drawing relies on colour alone.
use dsfuzz_checkers::Outcome;
use dsfuzz_nemesis::facts;
use dsfuzz_nemesis::facts::ColourFamily::{Clocks, Devices, Links, Processes, Stalls, Unknown};

/// Colours in SVG syntax.
pub(super) struct Palette {
    /// Background; empty: transparent.
    pub(super) page: &'static str,
    pub(super) text: &'static str,
    pub(super) muted: &'static str,
    pub(super) line: &'static str,
    pub(super) font: &'static str,
    ok: &'static str,
    fail: &'static str,
    info: &'static str,
    faults: [&'static str; 6],
}

/// For drawings inside the page: its style sheet has the colours for light and dark.
pub(super) const PAGE: Palette = Palette {
    page: "",
    text: "var(--text)",
    muted: "var(--muted)",
    line: "var(--line)",
    font: "inherit",
    ok: "var(--ok)",
    fail: "var(--fail)",
    info: "var(--info)",
    faults: [
        "var(--fault-0)",
        "var(--fault-1)",
        "var(--fault-2)",
        "var(--fault-3)",
        "var(--fault-4)",
        "var(--fault-5)",
    ],
};

/// For separate files: no style sheet.
pub(super) const FILE: Palette = Palette {
    page: "#ffffff",
    text: "#1c2430",
    muted: "#5b6573",
    line: "#d5dae1",
    font: "system-ui, 'DejaVu Sans', sans-serif",
    ok: "#0072b2",
    fail: "#d55e00",
    info: "#b87a00",
    faults: ["#7a4f9e", "#b0413e", "#2f7d5b", "#9a6b1f", "#47618f", "#666e7a"],
};

impl Palette {
    pub(super) fn outcome(&self, outcome: Outcome) -> &'static str {
        match outcome {
            Outcome::Ok => self.ok,
            Outcome::Fail => self.fail,
            Outcome::Info => self.info,
        }
    }

    /// The colour of a kind of fault; unknown kinds share the last.
    pub(super) fn fault(&self, kind: &str) -> &'static str {
        self.faults[fault_colour(kind)]
    }
}

/// The index of a fault kind's colour among the six. Histories of other programs may have unknown kinds.
pub(super) fn fault_colour(kind: &str) -> usize {
    let by_name = if kind.starts_with("disk") || kind.starts_with("net") { Devices } else { Unknown };
    match facts(kind).map_or(by_name, |facts| facts.colour) {
        Links => 0,
        Processes => 1,
        Stalls => 2,
        Clocks => 3,
        Devices => 4,
        Unknown => 5,
    }
}
