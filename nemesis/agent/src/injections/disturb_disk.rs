//! Makes the calls of the target to its files fail or wait, in the layers over its folders. The proof makes such calls itself, on a
//! file that only the agent knows.
use super::{Context, Inject, kill, new_proof, note};
use crate::disk::PROBE;
use crate::journal::UndoEntry;
use dsfuzz_nemesis::protocol::{DiskCall, DiskEffect, Proof};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// A call that waits longer is not waited for.
const PATIENCE: Duration = Duration::from_millis(400);
/// The chance that a fault by chance is in force and not seen, as a power of e.
const DOUBT: u64 = 20;

/// Disturbs the disk of these services.
pub(super) struct DisturbDisk<'a> {
    pub(super) services: &'a [String],
    pub(super) effect: DiskEffect,
    pub(super) seed: u64,
}

impl Inject for DisturbDisk<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        kill::no_layer(context, "its disk cannot be disturbed").or_else(|| kill::idle(self.services, context))
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        context.services.disks().disturb(entry.fault, self.effect, self.seed)?;
        Ok(vec![format!("calls to files meet {:?}", self.effect)])
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        kill::prove_layers(context, &mut proof, |folder, status| {
            if !status.effects.contains(&entry.fault) {
                return (false, "calls do not meet it".to_owned());
            }
            let seen = see(folder, self.effect);
            (seen.is_ok(), seen.unwrap_or_else(|reason| reason))
        });
        proof
    }

    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        if let Err(reason) = context.services.disks().calm(entry.fault) {
            note(&mut proof, false, reason);
            return proof;
        }
        match context.services.disks().status() {
            Err(reason) => note(&mut proof, false, reason),
            Ok(layers) => {
                for (folder, status) in layers {
                    let over = !status.effects.contains(&entry.fault);
                    note(&mut proof, over, format!("folder {}: calls meet {:?}", folder.display(), status.effects));
                    // Others may still disturb it.
                    if over && status.effects.is_empty() {
                        let works = works(&folder);
                        let holds = works.is_ok();
                        let detail = works.map_or_else(
                            |error| error.to_string(),
                            |()| "a file is written, synced and read".to_owned(),
                        );
                        note(&mut proof, holds, format!("folder {}: {detail}", folder.display()));
                    }
                }
            }
        }
        proof
    }
}

fn probe(folder: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(folder.join(PROBE))
}

/// Whether calls work as they should.
fn works(folder: &Path) -> io::Result<()> {
    let file = probe(folder)?;
    file.write_all_at(&[2], 0)?;
    file.sync_all()?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0)?;
    if byte == [2] { Ok(()) } else { Err(io::Error::other("a byte was written and another one read")) }
}

/// Makes calls until the effect is seen. The error says what was seen instead.
fn see(folder: &Path, effect: DiskEffect) -> Result<String, String> {
    let file = probe(folder).map_err(|error| error.to_string())?;
    match effect {
        DiskEffect::Full => {
            let end = file.metadata().map_err(|error| error.to_string())?.len();
            fails("a write behind the end of a file", file.write_all_at(&[1], end), libc::ENOSPC)
        }
        DiskEffect::ReadOnly => fails("a write", file.write_all_at(&[1], 0), libc::EROFS),
        DiskEffect::Slow { read_ms, write_ms } => {
            let mut seen = Vec::new();
            if read_ms > 0 {
                let file = file.try_clone().map_err(|error| error.to_string())?;
                seen.push(waits("a read", read_ms, move || file.read_exact_at(&mut [0], 0))?);
            }
            if write_ms > 0 {
                seen.push(waits("a write", write_ms, move || file.write_all_at(&[1], 0))?);
            }
            Ok(seen.join(", "))
        }
        DiskEffect::SlowSync { by_ms } => waits("a sync", by_ms, move || file.sync_all()),
        DiskEffect::Errors { on, percent, code } => {
            let attempts = DOUBT * 100 / u64::from(percent.max(1)) + 1;
            let mut made = 0;
            let failed = (0..attempts).find_map(|_| {
                made += 1;
                let done = match on {
                    DiskCall::Read => file.read_exact_at(&mut [0], 0),
                    DiskCall::Write => file.write_all_at(&[1], 0),
                    DiskCall::Fsync => file.sync_all(),
                };
                done.err()
            });
            match failed {
                Some(error) => fails(&format!("{} number {made}", on.name()), Err(error), code.number()),
                None => Err(format!("none of {attempts} calls of {} failed", on.name())),
            }
        }
    }
}

fn fails(what: &str, done: io::Result<()>, wanted: i32) -> Result<String, String> {
    match done {
        Err(error) if error.raw_os_error() == Some(wanted) => Ok(format!("{what} fails: {error}")),
        Err(error) => Err(format!("{what} fails with another error: {error}")),
        Ok(()) => Err(format!("{what} succeeds")),
    }
}

/// Whether a call takes so long, or has not come back after a while.
fn waits(what: &str, ms: u64, call: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<String, String> {
    let begin = Instant::now();
    let (sender, receiver) = channel();
    std::thread::spawn(move || drop(sender.send(call())));
    let wanted = Duration::from_millis(ms);
    match receiver.recv_timeout(PATIENCE) {
        Err(_) if begin.elapsed() < wanted => Ok(format!("{what} has not come back after {} ms", PATIENCE.as_millis())),
        _ if begin.elapsed() >= wanted => Ok(format!("{what} takes {ms} ms or longer")),
        _ => Err(format!("{what} takes {} ms", begin.elapsed().as_millis())),
    }
}
