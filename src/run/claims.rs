//! Collects the nodes' logs, and records the role claims and alarms in them.
use super::deaths::event;
use super::recorder::Recorder;
use crate::store::RunDir;
use crate::targets::{Alarm, Deployment, FetchedLog, LogClaim, TargetError};
use chrono::{DateTime, Utc};
use dsfuzz_checkers::history::{ProcessEvent, ProcessStep, RoleClaim};
use std::collections::BTreeMap;

/// Lengths of logs by node and path.
pub(super) type LogLengths = BTreeMap<(String, String), u64>;

/// The present lengths of the logs. Asked before the target starts: a wipe may leave a log, whose claims then belong to an
/// earlier life with other terms.
pub(super) async fn lengths(deployment: &Deployment) -> Result<LogLengths, TargetError> {
    let mut lengths = LogLengths::new();
    for node in &deployment.layout().nodes {
        let name = &node.node.name;
        let logs = deployment.logs(name).await?;
        lengths.extend(logs.into_iter().map(|(path, bytes)| ((name.to_string(), path), bytes)));
    }
    Ok(lengths)
}

/// Lengths of the logs before this run and before its load.
#[derive(Default)]
pub(super) struct EarlierLogs {
    /// Before the target was started. Claims up to here belong to an earlier life.
    pub(super) start: LogLengths,
    /// At the begin of the load. Lines of the deployment are no alarms.
    pub(super) load: LogLengths,
    /// The wall-clock time at the start of the record.
    pub(super) wall: Option<DateTime<Utc>>,
}

/// Fetches every node's logs into the run's folder. An error names the logs that could not be fetched, after all others
/// were. `unsearched` gets a sentence for each part of a log that was written under load and not searched for alarms.
pub(super) async fn collect(
    deployment: &Deployment,
    dir: &RunDir,
    recorder: Option<&Recorder>,
    bytes_max: u64,
    old: &EarlierLogs,
    unsearched: &mut Vec<String>,
) -> Result<(), String> {
    let mut problems = Vec::new();
    for node in &deployment.layout().nodes {
        let name = &node.node.name;
        match deployment.fetch_logs(name, &dir.node(name), bytes_max).await {
            Ok((logs, failed)) => {
                let (mut read, mut left_out) = (0, failed.clone());
                for log in &logs {
                    let key = (name.to_string(), log.path.clone());
                    let before = old.start.get(&key).copied().unwrap_or(0);
                    if log.skipped_bytes > before && deployment.reads_claims(log) {
                        problems.push(format!("{name}: {} bytes of {} were left behind", log.skipped_bytes, log.path));
                    }
                    let Some(recorder) = recorder else { continue };
                    match deployment.claims_after(log, before) {
                        Ok(claims) => claims.into_iter().for_each(|claim| note(recorder, claim, deployment)),
                        Err(error) => problems.push(error.to_string()),
                    }
                    let before = old.load.get(&key).copied().unwrap_or(before);
                    if let Some(sentence) = skipped(log, before) {
                        left_out.push(sentence.clone());
                        unsearched.push(sentence);
                    }
                    match deployment.alarms_after(log, before) {
                        Ok(alarms) => {
                            read += 1;
                            alarms.into_iter().for_each(|alarm| warn(recorder, old, deployment, log, alarm));
                        }
                        Err(error) => {
                            left_out.push(error.to_string());
                            problems.push(error.to_string());
                        }
                    }
                }
                if let Some(recorder) = recorder {
                    let how = format!("{read} {}", if read == 1 { "log" } else { "logs" });
                    recorder.process(ProcessEvent { how, detail: left_out, ..event(name, "", ProcessStep::LogsRead) });
                }
                problems.extend(failed);
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// The sentence for bytes of a log that were written under load, but neither collected nor searched. `before`: its length at
/// the begin of the load.
fn skipped(log: &FetchedLog, before: u64) -> Option<String> {
    let bytes = log.skipped_bytes.saturating_sub(before);
    (bytes > 0).then(|| {
        format!("the first {bytes} bytes that {} wrote into {} under load were not searched", log.node, log.path)
    })
}

/// An alarm in a log. Its line gives the time by the node's clock; a time outside the record is ignored.
fn warn(recorder: &Recorder, old: &EarlierLogs, deployment: &Deployment, log: &FetchedLog, alarm: Alarm) {
    let on_record = |time: DateTime<Utc>| {
        let since = (time - old.wall?).num_nanoseconds()?;
        u64::try_from(since).ok().filter(|time| *time <= recorder.now())
    };
    let between = alarm.between.and_then(|(first, last)| on_record(first).zip(on_record(last)));
    let process = deployment.process_of(log).unwrap_or_default();
    let place = format!("{}:{}", log.path, alarm.line_number);
    let step = if alarm.corruption { ProcessStep::LogCorruption } else { ProcessStep::LogAlarm };
    recorder.process(ProcessEvent {
        how: alarm.line,
        times: alarm.times,
        between,
        detail: std::iter::once(place).chain(alarm.around).collect(),
        ..event(&log.node, process, step)
    });
}

/// A claim from a log held at some instant of the run; its term stands in the same line.
fn note(recorder: &Recorder, claim: LogClaim, deployment: &Deployment) {
    recorder.role(RoleClaim {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_of_a_log_was_not_searched_is_told() {
        let log = |skipped_bytes| FetchedLog {
            node: "n1".into(),
            path: "/d/db.log".into(),
            local: "db.log".into(),
            skipped_bytes,
        };
        assert_eq!(skipped(&log(0), 0), None);
        assert_eq!(skipped(&log(7), 7), None, "that was written before the load");
        let expected = "the first 5 bytes that n1 wrote into /d/db.log under load were not searched";
        assert_eq!(skipped(&log(12), 7).as_deref(), Some(expected));
    }
}
