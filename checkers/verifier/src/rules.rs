//! Rules that a few operations can break, each said once in the plainest way.
use crate::certificate::Certificate;
use crate::history::History;
use crate::{Refused, refuse};
use serde_json::Value;

/// A rule: whether the operations break it.
type Broken = fn(&Certificate, &Value, Option<&History>) -> Result<bool, Refused>;

/// All rules by name, with what breaking one means.
pub const RULES: &[(&str, &str)] = &[];

fn rule(name: &str) -> Option<Broken> {
    match name {
        _ => None,
    }
}

/// Whether the operations break the rule.
pub(crate) fn broken(
    certificate: &Certificate,
    name: &str,
    subject: &Value,
    history: Option<&History>,
) -> Result<(), Refused> {
    let Some(rule) = rule(name) else { return refuse(format!("no rule is called {name}")) };
    if rule(certificate, subject, history)? {
        return Ok(());
    }
    refuse(format!("these operations do not break {name}"))
}
