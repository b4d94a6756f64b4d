//! Brings the nodes' logs home, and writes down the roles that nodes claimed in them.
use super::recorder::Recorder;
use crate::store::RunDir;
use crate::targets::{Deployment, LogClaim};
use dsfuzz_checkers::history::RoleRecord;

/// Fetches every node's logs into the run's folder. An error names what could not be fetched, after everything else was.
pub(super) async fn collect(
    deployment: &Deployment,
    dir: &RunDir,
    recorder: Option<&Recorder>,
    bytes_max: u64,
) -> Result<(), String> {
    let mut problems = Vec::new();
    for node in &deployment.layout().nodes {
        let name = &node.node.name;
        match deployment.fetch_logs(name, &dir.node(name), bytes_max).await {
            Ok(logs) => {
                for log in &logs {
                    match (deployment.claims(log), recorder) {
                        (Ok(claims), Some(recorder)) => claims.into_iter().for_each(|claim| note(recorder, claim)),
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
fn note(recorder: &Recorder, claim: LogClaim) {
    recorder.role(RoleRecord {
        index: 0,
        time: 0,
        sent_index: 0,
        sent_time: 0,
        node: claim.node,
        role: claim.role,
        term: claim.term,
        term_with_role: claim.term.is_some(),
        source: "log".into(),
        detail: format!("{}:{}: {}", claim.path, claim.line_number, claim.line),
    });
}
