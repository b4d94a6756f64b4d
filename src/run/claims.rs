//! Brings the nodes' logs home, and writes down the roles that nodes claimed in them.
use super::recorder::Recorder;
use crate::store::RunDir;
use crate::targets::{Deployment, LogClaim, TargetError};
use dsfuzz_checkers::history::RoleRecord;
use std::collections::BTreeMap;

/// How long logs were, by node and path.
pub(super) type Lengths = BTreeMap<(String, String), u64>;

/// How long the logs are now. Asked before the target starts: a wipe need not remove a log that lies elsewhere, and what
/// stands in it then was claimed in an earlier life, in which terms were counted anew.
pub(super) async fn lengths(deployment: &Deployment) -> Result<Lengths, TargetError> {
    let mut lengths = Lengths::new();
    for node in &deployment.layout().nodes {
        let name = &node.node.name;
        let logs = deployment.logs(name).await?;
        lengths.extend(logs.into_iter().map(|(path, bytes)| ((name.to_string(), path), bytes)));
    }
    Ok(lengths)
}

/// Fetches every node's logs into the run's folder. An error names what could not be fetched, after everything else was.
pub(super) async fn collect(
    deployment: &Deployment,
    dir: &RunDir,
    recorder: Option<&Recorder>,
    bytes_max: u64,
    old: &Lengths,
) -> Result<(), String> {
    let mut problems = Vec::new();
    for node in &deployment.layout().nodes {
        let name = &node.node.name;
        match deployment.fetch_logs(name, &dir.node(name), bytes_max).await {
            Ok(logs) => {
                for log in &logs {
                    let old = old.get(&(name.to_string(), log.path.clone())).copied().unwrap_or(0);
                    if log.skipped_bytes > old && deployment.reads_claims(log) {
                        problems.push(format!("{name}: {} bytes of {} were left behind", log.skipped_bytes, log.path));
                    }
                    match (deployment.claims_after(log, old), recorder) {
                        (Ok(claims), Some(recorder)) => {
                            claims.into_iter().for_each(|claim| note(recorder, claim, deployment))
                        }
                        (Ok(_), None) => {}
                        (Err(error), _) => problems.push(error.to_string()),
                    }
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// A claim from a log held at some instant of the run; its term stands in the same line.
fn note(recorder: &Recorder, claim: LogClaim, deployment: &Deployment) {
    recorder.role(RoleRecord {
        index: 0,
        time: 0,
        sent_index: 0,
        sent_time: 0,
        node: claim.node,
        leads: deployment.leads(&claim.role),
        role: claim.role,
        term: claim.term,
        term_with_role: claim.term.is_some(),
        source: "log".into(),
        detail: format!("{}:{}: {}", claim.path, claim.line_number, claim.line),
    });
}
