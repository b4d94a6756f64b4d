//! Kills all processes of some services and loses what is not synced in the folders under layers. The undo starts them again.
use super::{Context, Inject, kill};
use crate::disk::{LayerStatus, PowerLossOrder, PowerLossRecord};
use crate::journal::UndoEntry;
use dsfuzz_nemesis::protocol::Proof;
use std::path::Path;

/// Loses the power of these services.
pub(super) struct LosePower<'a> {
    pub(super) services: &'a [String],
    pub(super) seed: u64,
    /// In percent.
    pub(super) torn: u8,
}

impl Inject for LosePower<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        kill::no_layer(context, "no data can be lost").or_else(|| kill::in_use(self.services, context))
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let mut detail = kill::kill(self.services, context)?;
        let order = PowerLossOrder { fault: entry.fault, seed: self.seed, torn: self.torn };
        for (folder, status) in context.services.disks().lose_power(order)? {
            let loss = status.losses.iter().find(|loss| loss.fault == entry.fault);
            detail.push(format!("folder {}: {}", folder.display(), loss.map_or("no loss".to_owned(), words)));
        }
        Ok(detail)
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        kill::prove_with_layers(self.services, context, |folder, status| lost(entry.fault, folder, status))
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        kill::undo(self.services, context)
    }
}

/// Whether a folder has lost what was not synced: the layer says so, and the files have their sizes of then.
fn lost(fault: u64, folder: &Path, status: &LayerStatus) -> (bool, String) {
    let Some(loss) = status.losses.iter().find(|loss| loss.fault == fault) else {
        return (false, "it lost nothing for this fault".to_owned());
    };
    let other = loss.examples.iter().find_map(|(name, size)| {
        let seen = std::fs::metadata(folder.join(name))
            .map_or_else(|error| error.to_string(), |about| about.len().to_string());
        (seen != size.to_string()).then(|| format!("; {name} should have {size} bytes, and it has {seen}"))
    });
    (other.is_none(), format!("{}{}", words(loss), other.unwrap_or_default()))
}

fn words(loss: &PowerLossRecord) -> String {
    let mut words = format!("{} bytes of {} files and {} changes of names lost", loss.bytes, loss.files, loss.names);
    if loss.kept_bytes > 0 || loss.kept_names > 0 {
        words.push_str(&format!(", {} bytes and {} changes of names survived", loss.kept_bytes, loss.kept_names));
    }
    if !loss.examples.is_empty() {
        let names: Vec<&str> = loss.examples.iter().map(|(name, _)| name.as_str()).collect();
        words.push_str(&format!(" ({})", names.join(", ")));
    }
    words
}
