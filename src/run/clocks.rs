//! Watches the services' wall clocks in runs with clock faults. Each change becomes a note, from which the report draws the
//! clocks' offsets.
use super::nemesis::Remotes;
use super::recorder::Recorder;
use dsfuzz_nemesis::protocol::{Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(1);

/// Reads every node's clocks once a second, until aborted. Notes the first reading and every change.
pub(super) async fn watch(remotes: Arc<dyn Remotes>, recorder: Arc<Recorder>) {
    let mut noted: BTreeMap<String, i64> = BTreeMap::new();
    loop {
        for node in remotes.names() {
            let Some(remote) = remotes.get(&node) else { continue };
            // A silent node has no reading.
            let Ok((Response::Clocks { shifts_ns, .. }, _)) = remote.ask(Request::Clocks, Vec::new(), DEADLINE).await
            else {
                continue;
            };
            let furthest = shifts_ns.values().copied().max_by_key(|shift| shift.unsigned_abs()).unwrap_or(0);
            let shift_ms = furthest / 1_000_000;
            if noted.insert(node.clone(), shift_ms) != Some(shift_ms) {
                recorder.note(&node, &format!("clock offset {shift_ms} ms"));
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
