//! [`Theory`]: one group of measured figures in `verdict.json`.
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Figures on one question of theory, measured from the record of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Theory {
    /// `cap`, `pacelc`, `convergence`, `detection` or `recovery`.
    pub name: String,
    /// The question in a few words.
    pub title: String,
    /// The answer: one sentence for each figure, with its count.
    pub lines: Vec<String>,
    /// The figures by name, with the unit last in the name.
    pub numbers: BTreeMap<String, Value>,
}
