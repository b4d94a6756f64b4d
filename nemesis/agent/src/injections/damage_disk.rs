//! Kills all processes of some services and damages files in the folders under layers. The undo starts them again; the damage stays.
use super::{Context, Inject, kill};
use crate::disk::{DamageOrder, LayerStatus};
use crate::journal::UndoEntry;
use dsfuzz_nemesis::protocol::{DiskDamage, Proof};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Damages the files of these services.
pub(super) struct DamageDisk<'a> {
    pub(super) services: &'a [String],
    pub(super) damage: DiskDamage,
    pub(super) seed: u64,
}

impl Inject for DamageDisk<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        kill::no_layer(context, "no file can be damaged").or_else(|| kill::in_use(self.services, context))
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let mut detail = kill::kill(self.services, context)?;
        let order = DamageOrder { fault: entry.fault, seed: self.seed, damage: self.damage };
        for (folder, status) in context.services.disks().damage(order)? {
            let damage = status.damages.iter().find(|damage| damage.fault == entry.fault);
            let words = damage.map_or("no damage", |damage| damage.detail.as_str());
            detail.push(format!("folder {}: {words}", folder.display()));
        }
        Ok(detail)
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        kill::prove_with_layers(self.services, context, |folder, status| shows(entry.fault, folder, status))
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        kill::undo(self.services, context)
    }
}

/// Whether the files of a folder, as the target will see them, are damaged so.
fn shows(fault: u64, folder: &Path, status: &LayerStatus) -> (bool, String) {
    let Some(damage) = status.damages.iter().find(|damage| damage.fault == fault) else {
        return (false, "no file was damaged for this fault".to_owned());
    };
    for check in &damage.checks {
        let seen = File::open(folder.join(&check.name)).and_then(|file| {
            let mut byte = [0];
            if let Some((offset, _)) = check.byte {
                file.read_exact_at(&mut byte, offset)?;
            }
            Ok((file.metadata()?.len(), byte[0]))
        });
        let wanted = (check.size, check.byte.map_or(0, |(_, byte)| byte));
        if !seen.as_ref().is_ok_and(|seen| *seen == wanted) {
            let seen = seen.map_or_else(|error| error.to_string(), |(size, byte)| format!("{size} bytes, byte {byte}"));
            return (false, format!("{} does not show the damage: {seen}", check.name));
        }
    }
    (true, damage.detail.clone())
}
