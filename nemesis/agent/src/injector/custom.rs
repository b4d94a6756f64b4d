//! Custom faults in an agent: their commands run beside the injector, so that other faults are injected, renewed and healed meanwhile.
use super::{Injector, UndoEntry, merge};
use crate::injections::{self, Context, NodeAccess, Own};
use crate::sys;
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time between two looks whether the commands of a fault have ended.
const LOOK: Duration = Duration::from_millis(10);

/// The injector between two steps of a custom fault.
struct Beside<'a> {
    injector: &'a Mutex<Injector>,
    fault: u64,
    /// The injection's number in the journal, once it is there.
    seq: Option<u64>,
}

fn lock(injector: &Mutex<Injector>) -> MutexGuard<'_, Injector> {
    injector.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NodeAccess for Beside<'_> {
    fn with<T>(&mut self, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let mut injector = lock(self.injector);
        let live = injector.journal.live().into_iter();
        let others: Vec<UndoEntry> = live.filter(|other| Some(other.seq) != self.seq).collect();
        injector.with_context(&others, act)
    }

    fn meanwhile(&mut self) {}

    fn undo_is_asked(&mut self) -> bool {
        lock(self.injector).undo_asked.contains(&self.fault)
    }

    fn ends(&mut self) -> Option<String> {
        lock(self.injector).healing.then(|| "the agent is ending".to_owned())
    }
}

/// The commands of one fault: one step at a time.
struct Commands<'a> {
    injector: &'a Mutex<Injector>,
    fault: u64,
}

impl<'a> Commands<'a> {
    /// Waits until no other step of the fault runs. None: the node is being healed.
    fn of(injector: &'a Mutex<Injector>, fault: u64) -> Option<Commands<'a>> {
        loop {
            {
                let mut injector = lock(injector);
                if injector.healing {
                    return None;
                }
                if injector.commands_of.insert(fault) {
                    break;
                }
            }
            std::thread::sleep(LOOK);
        }
        Some(Commands { injector, fault })
    }
}

impl Drop for Commands<'_> {
    fn drop(&mut self) {
        lock(self.injector).commands_of.remove(&self.fault);
    }
}

impl Injector {
    /// Injects one fault on this node. The commands of a custom fault run without the lock.
    pub(crate) fn inject_beside(
        this: &Mutex<Injector>,
        fault: u64,
        injection: Injection,
    ) -> Result<Vec<String>, String> {
        let Some(own) = Own::of(&injection) else { return lock(this).inject(fault, injection) };
        let ending = || "the agent is ending".to_owned();
        let _commands = Commands::of(this, fault).ok_or_else(ending)?;
        {
            let injector = lock(this);
            if injector.ending {
                return Err(ending());
            }
            if let Some(reason) = injections::undefined(&injection, &injector.services) {
                return Err(reason);
            }
        }
        let mut node = Beside { injector: this, fault, seq: None };
        if let Some(reason) = own.refused(&mut node) {
            return Err(reason);
        }
        let entry = {
            let mut injector = lock(this);
            if injector.ending || injector.healing {
                return Err(ending());
            }
            if injector.undo_asked.contains(&fault) {
                return Err(super::undone_before(fault));
            }
            // Another of this name may have begun meanwhile.
            if let Some(reason) = own.in_force_in(&injector.journal.live()) {
                return Err(reason);
            }
            injector.journalled(fault, injection.clone())?
        };
        node.seq = Some(entry.seq);
        let outcome = own.begin(&mut node);
        if let Err(reason) = outcome {
            let proof = own.undone(&mut node);
            if proof.holds {
                lock(this).journal.done(entry.seq)?;
                return Err(reason);
            }
            return Err(format!("{reason}; the half-done injection is not proven undone: {}", proof.detail.join("; ")));
        }
        outcome
    }

    /// Proves that a fault is in force. The commands of a custom fault run without the lock.
    pub(crate) fn prove_beside(this: &Mutex<Injector>, fault: u64) -> Proof {
        let of_fault = |entry: &UndoEntry| entry.fault == fault;
        let is_custom = {
            let injector = lock(this);
            injector.journal.live().iter().any(|entry| of_fault(entry) && Own::of(&entry.injection).is_some())
        };
        if !is_custom {
            return lock(this).prove(fault);
        }
        let Some(_commands) = Commands::of(this, fault) else {
            let mut proof = injections::new_proof();
            injections::note(&mut proof, false, format!("fault {fault}: the agent is ending"));
            return proof;
        };
        let live = lock(this).journal.live();
        let mut whole = injections::new_proof();
        let mut node = Beside { injector: this, fault, seq: None };
        for entry in live.iter().filter(|entry| of_fault(entry)) {
            node.seq = Some(entry.seq);
            merge(
                &mut whole,
                match Own::of(&entry.injection) {
                    Some(own) => own.proven(&mut node),
                    None => node.with(|context| injections::prove(entry, context)),
                },
            );
        }
        if whole.detail.is_empty() { lock(this).prove(fault) } else { whole }
    }

    /// Undoes a fault, or all. The commands of custom faults run last, and without the lock.
    pub(crate) fn undo_beside(this: &Mutex<Injector>, fault: Option<u64>) -> Proof {
        let chosen = |other: u64| fault.is_none_or(|fault| other == fault);
        let (mut whole, custom) = {
            let mut injector = lock(this);
            let live = injector.journal.live().into_iter().filter(|entry| chosen(entry.fault));
            let (custom, others): (Vec<UndoEntry>, Vec<UndoEntry>) =
                live.partition(|entry| injector.runs_beside(entry));
            // One that is about to begin is not in the journal yet.
            let begins = injector.commands_of.iter().copied().filter(|fault| chosen(*fault));
            let custom: BTreeSet<u64> = custom.iter().map(|entry| entry.fault).chain(begins).collect();
            injector.undo_asked.extend(&custom);
            (injector.undo_entries(others), custom)
        };
        for fault in custom.into_iter().rev() {
            merge(&mut whole, undo_custom(this, fault));
            lock(this).undo_asked.remove(&fault);
        }
        if let (true, Some(fault)) = (whole.detail.is_empty(), fault) {
            // Its injection may still be on its way.
            lock(this).undo_asked.insert(fault);
            whole.detail.push(format!("fault {fault}: nothing of it is in the journal"));
        }
        whole
    }

    /// Whether the commands of this injection run without the lock. A leftover of another run has its own rules.
    fn runs_beside(&self, entry: &UndoEntry) -> bool {
        Own::of(&entry.injection).is_some() && entry.run == self.run
    }

    /// Kills the commands of custom faults that run, and waits for their ends, at most this long; no further one begins.
    pub(crate) fn quiet(this: &Mutex<Injector>, deadline: Duration) -> bool {
        sys::await_true(deadline, || {
            let free = match this.try_lock() {
                Ok(free) => Some(free),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(std::sync::TryLockError::WouldBlock) => None,
            };
            free.is_some_and(|mut injector| {
                (injector.ending, injector.healing) = (true, true);
                injector.services.kill_commands();
                injector.commands_of.is_empty()
            })
        })
    }
}

/// Undoes a custom fault, once its commands that run have ended.
fn undo_custom(injector: &Mutex<Injector>, fault: u64) -> Proof {
    let mut whole = injections::new_proof();
    let Some(_commands) = Commands::of(injector, fault) else {
        injections::note(&mut whole, false, format!("fault {fault}: the agent is ending, and heals it"));
        return whole;
    };
    let mut live = {
        let injector = lock(injector);
        let live = injector.journal.live().into_iter();
        live.filter(|entry| entry.fault == fault && injector.runs_beside(entry)).collect::<Vec<_>>()
    };
    live.reverse();
    for entry in live {
        let Some(own) = Own::of(&entry.injection) else { continue };
        let proof = own.undone(&mut Beside { injector, fault, seq: Some(entry.seq) });
        let holds = proof.holds;
        merge(&mut whole, proof);
        if holds && let Err(reason) = lock(injector).journal.done(entry.seq) {
            injections::note(&mut whole, false, reason);
        }
    }
    whole
}
