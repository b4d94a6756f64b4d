//! Watches the wall clocks that services see, while clock faults are about: a note for each change, so that the report can
//! draw how far each node's clock was off.
use super::nemesis::Remotes;
use super::recorder::Recorder;
use dsfuzz_nemesis::protocol::{Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(1);

/// Looks at every node's clocks once a second, until aborted. The first look is noted, then every change.
pub(super) async fn watch(remotes: Arc<dyn Remotes>, recorder: Arc<Recorder>) {
    let mut noted: BTreeMap<String, i64> = BTreeMap::new();
    loop {
        for node in remotes.names() {
            let Some(remote) = remotes.get(&node) else { continue };
            // A node that does not answer now has nothing to note.
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
