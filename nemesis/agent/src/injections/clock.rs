//! Shifts the wall clock of some services, or flips it between true and shifted. The last injection in force decides.
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

/// Shifts the wall clock of these services, always or (with a period) back and forth.
pub(super) struct Clock<'a> {
    pub(super) services: &'a [String],
    pub(super) offset_ns: i64,
    /// None: always shifted.
    pub(super) period_ms: Option<u64>,
}

impl Inject for Clock<'_> {
    fn shift(&self, entry: &UndoEntry) -> Option<Shift> {
        let period_ns = self.period_ms.map_or(0, |period_ms| period_ms.saturating_mul(1_000_000));
        Some(Shift { offset_ns: self.offset_ns, period_ns, base_ns: entry.real_ns })
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let wanted = shift(entry).ok_or("no clock injection")?;
        wanted.sane()?;
        if self.period_ms == Some(0) {
            return Err("a strobe needs a period of at least 1 ms".to_owned());
        }
        let mut detail = Vec::new();
        for name in services_of(&entry.injection) {
            let pids = context.services.processes(name);
            let failed = context.keeper.keep(&pids, wanted, context.hold_ns, true);
            if !failed.is_empty() {
                return Err(format!("service {name}: {}", failed.join("; ")));
            }
            detail.push(format!("service {name}: the clock of processes {pids:?} is off by {} ns", wanted.offset_ns));
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
                    format!("service {name}: another fault shifts it by {} ns", shift.offset_ns),
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
                    let shown = seen.map_or(0, |shift| shift.offset_ns);
                    note(
                        &mut proof,
                        seen == wanted && seen.is_some(),
                        format!("process {pid}: its vDSO adds {shown} ns"),
                    );
                }
                Err(_) if process::stat(pid).is_none_or(|stat| !stat.lives()) => {}
                Err(reason) => note(&mut proof, false, format!("process {pid}: {reason}")),
            }
        }
    }
    proof
}
