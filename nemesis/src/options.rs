//! [`NemesisOptions`]: the `nemesis:` part of a plan, and [`FaultOptions`], the one list of faults.
use crate::span::Span;
use serde::{Deserialize, Serialize};

/// The `nemesis:` part of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NemesisOptions {
    /// Mean time from the begin of one fault to the begin of the next.
    pub every: Span,
    /// How long a fault lasts, where the fault itself does not say.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// No fault before this much load.
    pub quiet_start: Span,
    /// No fault in force during this much load at the end. Left out: what the target needs after a heal.
    pub quiet_end: Option<Span>,
    /// Which faults.
    pub faults: Vec<FaultOptions>,
}

impl Default for NemesisOptions {
    fn default() -> NemesisOptions {
        NemesisOptions {
            every: Span::seconds(10),
            lasts: Span::seconds(6),
            quiet_start: Span::seconds(5),
            quiet_end: None,
            faults: Vec::new(),
        }
    }
}

/// A fault as a plan writes it: its name with its options, e.g. `kill: {nodes: minority}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultOptions {}
