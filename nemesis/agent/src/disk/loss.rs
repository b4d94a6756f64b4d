//! A power loss: data and names that are not synced are lost, by the seed.
use super::control::{PowerLossOrder, PowerLossRecord};
use super::tree::{PROBE, Tree};
use dsfuzz_rng::Rng;
use std::io;

/// Files that a record names.
const EXAMPLES: usize = 5;

/// Loses what is not synced. Nothing below the layer may be in use.
pub(super) fn lose(tree: &Tree, order: PowerLossOrder) -> io::Result<PowerLossRecord> {
    let torn = u64::from(order.torn.min(100));
    let mut record = PowerLossRecord { fault: order.fault, ..PowerLossRecord::default() };
    let mut draws = Rng::new(order.seed, "names", 0);
    (record.names, record.kept_names) = tree.lose_names(&mut || draws.below(100) < torn)?;
    let mut nodes = tree.nodes();
    nodes.sort_by_key(|node| node.name());
    for node in nodes.iter().filter(|node| node.is_file()) {
        let name = node.name();
        if name == std::path::Path::new(PROBE) {
            continue;
        }
        // Each file has its own draws, so that the number of files does not matter.
        let mut draws = Rng::new(order.seed, &name.to_string_lossy(), 1);
        let Some(lost) = node.lose(&mut || draws.below(100) < torn)? else { continue };
        record.bytes += lost.lost_bytes;
        record.kept_bytes += lost.kept_bytes;
        if lost.lost_bytes > 0 {
            record.files += 1;
            if record.examples.len() < EXAMPLES
                && let Ok(about) = std::fs::metadata(node.proc_path())
                && std::os::unix::fs::MetadataExt::nlink(&about) > 0
            {
                record.examples.push((name.to_string_lossy().into_owned(), about.len()));
            }
        }
    }
    Ok(record)
}
