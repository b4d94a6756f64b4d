//! Skews the wall clock of some services: by an offset, always or in turns, by a wrong rate, or to a standstill. The last injection
//! in force decides.
use super::{Context, Inject, new_proof, note, services_of, shift};
use crate::clock::{ClockKeeper, PatchedProcess, Shift};
use crate::journal::UndoEntry;
use crate::service::Services;
use crate::{process, sys};
use dsfuzz_nemesis::protocol::Proof;
use std::collections::BTreeSet;
use std::time::Duration;

/// The shift in force for a service.
pub(crate) fn shift_of(name: &str, entries: &[UndoEntry]) -> Option<Shift> {
    entries
        .iter()
        .rev()
        .filter(|entry| services_of(&entry.injection).iter().any(|service| service == name))
        .find_map(shift)
}

/// Brings every process of every service to the shift in force: `fresh` renews all, else only new ones are patched.
pub(crate) fn refresh(
    entries: &[UndoEntry],
    services: &Services,
    keeper: &mut ClockKeeper,
    hold_ns: u64,
    fresh: bool,
) -> Vec<String> {
    let clocks = entries.iter().filter(|entry| shift(entry).is_some());
    let names: BTreeSet<&String> = clocks.flat_map(|entry| services_of(&entry.injection)).collect();
    let mut failed = Vec::new();
    for name in names {
        if let Some(shift) = shift_of(name, entries) {
            failed.extend(keeper.keep(&services.processes(name), shift, hold_ns, fresh));
        }
    }
    keeper.sweep();
    failed
}

/// Skews the wall clock of these services.
pub(super) struct Clock<'a> {
    pub(super) services: &'a [String],
    pub(super) skew: Skew,
}

/// How a clock is wrong.
#[derive(Clone, Copy)]
pub(super) enum Skew {
    /// By an offset.
    Offset { offset_ns: i64 },
    /// By an offset and right in turn.
    Strobe { offset_ns: i64, period_ms: u64 },
    /// By its rate; -1 000 000 stands still.
    Drift { rate_ppm: i64 },
}

impl Inject for Clock<'_> {
    fn shift(&self, entry: &UndoEntry) -> Option<Shift> {
        let base_ns = entry.real_ns;
        Some(match self.skew {
            Skew::Offset { offset_ns } => Shift { offset_ns, base_ns, ..Shift::default() },
            Skew::Strobe { offset_ns, period_ms } => {
                Shift { offset_ns, base_ns, period_ns: period_ms.saturating_mul(1_000_000), rate_q32: 0 }
            }
            Skew::Drift { rate_ppm } => Shift::drift(rate_ppm, base_ns),
        })
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let wanted = shift(entry).ok_or("no clock injection")?;
        wanted.sane()?;
        if matches!(self.skew, Skew::Strobe { period_ms: 0, .. }) {
            return Err("a strobe needs a period of at least 1 ms".to_owned());
        }
        let mut detail = Vec::new();
        for name in services_of(&entry.injection) {
            let pids = context.services.processes(name);
            let failed = context.keeper.keep(&pids, wanted, context.hold_ns, true);
            if !failed.is_empty() {
                return Err(format!("service {name}: {}", failed.join("; ")));
            }
            detail.push(format!("service {name}: the clock of processes {pids:?} {}", wanted.words()));
        }
        Ok(detail)
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = look(entry, context);
        sys::await_true(CATCHING, || {
            if !proof.holds {
                // The keeper waits for its turn while this looks, so its work is done here.
                let mut all = context.others.to_vec();
                all.push(entry.clone());
                all.sort_by_key(|entry| entry.seq);
                refresh(&all, context.services, context.keeper, context.hold_ns, false);
                proof = look(entry, context);
            }
            proof.holds
        });
        proof
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        for name in self.services {
            let pids = context.services.processes(name);
            if let Some(shift) = shift_of(name, context.others) {
                let failed = context.keeper.keep(&pids, shift, context.hold_ns, true);
                note(
                    &mut proof,
                    failed.is_empty(),
                    format!("service {name}: by another fault its clock {}", shift.words()),
                );
                continue;
            }
            for pid in pids {
                let gone = PatchedProcess::open(pid).and_then(|mut target| {
                    target.remove()?;
                    if target.removed() { Ok(()) } else { Err("its vDSO is still patched".to_owned()) }
                });
                match gone {
                    Ok(()) => note(&mut proof, true, format!("process {pid}: its vDSO is as the kernel made it")),
                    Err(_) if process::stat(pid).is_none_or(|stat| !stat.lives()) => {}
                    Err(reason) => note(&mut proof, false, format!("process {pid}: {reason}")),
                }
            }
        }
        proof
    }
}

/// How long a process may be without its shift after an exec.
const CATCHING: Duration = Duration::from_millis(200);

fn look(entry: &UndoEntry, context: &Context<'_>) -> Proof {
    let mut proof = new_proof();
    for name in services_of(&entry.injection) {
        // A later injection may decide; then its shift is expected.
        let all: Vec<UndoEntry> = {
            let mut all = context.others.to_vec();
            all.push(entry.clone());
            all.sort_by_key(|entry| entry.seq);
            all
        };
        let wanted = shift_of(name, &all);
        let pids = context.services.processes(name);
        note(&mut proof, !pids.is_empty(), format!("service {name}: processes {pids:?}"));
        for pid in pids {
            let seen = PatchedProcess::open(pid).map(|target| target.shift(sys::realtime_ns()));
            match seen {
                Ok(seen) => {
                    let words = seen.map_or("is right".to_owned(), |shift| shift.words());
                    let detail = format!("process {pid}: its clock {words}");
                    note(&mut proof, seen == wanted && seen.is_some(), detail);
                }
                Err(_) if process::stat(pid).is_none_or(|stat| !stat.lives()) => {}
                Err(reason) => note(&mut proof, false, format!("process {pid}: {reason}")),
            }
        }
    }
    proof
}
