//! [`Palette`]: the colours of the report's drawings, by outcome and by kind of fault. Blue, vermilion and amber (after Okabe and
//! Ito) stay apart for colour-blind people, and no drawing relies on colour alone.
//!
//! The facts of a kind of fault name its colour family. A new family needs a number in [`fault_colour`], a colour in both
//! palettes, and `--fault-N` for dark and `.fault-N` in `style.css`.
use dsfuzz_checkers::Outcome;
use dsfuzz_nemesis::facts;
use dsfuzz_nemesis::facts::ColourFamily::{Clocks, Devices, Links, Processes, Stalls, Unknown};

/// Colours and font of a drawing, in SVG syntax.
pub(super) struct Palette {
    /// Background. Empty: transparent.
    pub(super) page: &'static str,
    pub(super) text: &'static str,
    pub(super) muted: &'static str,
    pub(super) line: &'static str,
    pub(super) font: &'static str,
    ok: &'static str,
    fail: &'static str,
    info: &'static str,
    /// By [`fault_colour`].
    faults: [&'static str; 6],
}

/// For drawings inside `report.html`: the style sheet of pages defines the variables, for light and dark.
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

/// For drawings that are files of their own, where no style sheet holds: the charts and the pictures of `report/index.html`. The
/// pages have the same colours by light ([`Palette::variables`]).
pub(super) const FILE: Palette = Palette {
    page: "#ffffff",
    text: "#1c2430",
    muted: "#5b6573",
    line: "#dfe3e8",
    font: "system-ui, 'DejaVu Sans', sans-serif",
    ok: "#0072b2",
    fail: "#d55e00",
    info: "#b87a00",
    faults: ["#7a4f9e", "#b0413e", "#2f7d5b", "#9a6b1f", "#47618f", "#666e7a"],
};

impl Palette {
    /// The colours as variables of a style sheet: `--ok: #0072b2;`.
    pub(super) fn variables(&self) -> String {
        let named = [("page", self.page), ("text", self.text), ("muted", self.muted), ("line", self.line)];
        let outcomes = [("ok", self.ok), ("fail", self.fail), ("info", self.info)];
        let named = named.iter().chain(&outcomes).map(|(name, colour)| format!("--{name}: {colour};"));
        let faults = self.faults.iter().enumerate().map(|(number, colour)| format!("--fault-{number}: {colour};"));
        named.chain(faults).collect::<Vec<_>>().join(" ")
    }

    /// The colour of an outcome.
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

/// The number of the colour of a kind of fault, for [`Palette::fault`] and the classes `fault-N`. Histories of other programs may
/// have kinds that no facts describe: their names decide.
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
