//! How a command ends: [`Exit`] with its code, [`Failure`] with its message. Never: exits; only `main` does.
use crate::document::DocumentError;
use dsfuzz_checkers::Validity;
use std::fmt;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every promise was kept, or the command did what it was asked.
    Valid,
    /// A promise is broken. Beats everything, a signal too.
    Invalid,
    /// Not decided: gave up, or too little evidence.
    Unknown,
    /// Bad arguments, a bad plan or a bad input file; nothing was touched, and nothing judged.
    Usage,
    /// The harness or the cluster failed, or what a run left of itself is damaged.
    Harness,
    /// Stopped by this signal, after healing, with nothing found.
    Signal(i32),
    /// The exit code of a command that was run for the user (`lab exec`, `lab ssh`), passed on as it is.
    Passed(u8),
}

impl Exit {
    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Exit::Valid => 0,
            Exit::Invalid => 1,
            Exit::Unknown => 2,
            Exit::Usage => 254,
            Exit::Harness => 255,
            Exit::Passed(code) => code,
            Exit::Signal(signal) => u8::try_from(128 + signal.clamp(1, 100)).unwrap_or(255),
        }
    }

    /// The exit of a run: a broken promise beats a signal, a signal beats a failure, a failure beats all others.
    pub fn of_run(validity: Validity, harness_failed: bool, signal: Option<i32>) -> Exit {
        match (validity, signal) {
            (Validity::Invalid, _) => Exit::Invalid,
            (_, Some(signal)) => Exit::Signal(signal),
            _ if harness_failed => Exit::Harness,
            (Validity::Unknown, _) => Exit::Unknown,
            (Validity::Valid, _) => Exit::Valid,
        }
    }

    /// The exit with a code that was stored with a run.
    pub fn of_code(code: i32) -> Exit {
        match code {
            0 => Exit::Valid,
            1 => Exit::Invalid,
            2 => Exit::Unknown,
            254 => Exit::Usage,
            129..=228 => Exit::Signal(code - 128),
            _ => Exit::Harness,
        }
    }

    /// Of several runs the one that counts: invalid, then stopped or failed, then unknown, then valid.
    pub fn worst(exits: impl IntoIterator<Item = Exit>) -> Exit {
        let rank = |exit: &Exit| match exit {
            Exit::Valid => 0,
            Exit::Unknown => 1,
            Exit::Usage | Exit::Passed(_) => 2,
            Exit::Harness => 3,
            Exit::Signal(_) => 4,
            Exit::Invalid => 5,
        };
        exits.into_iter().max_by_key(rank).unwrap_or(Exit::Valid)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self {
            Exit::Valid => "valid",
            Exit::Invalid => "invalid: a promise is broken",
            Exit::Unknown => "unknown: not decided",
            Exit::Usage => "bad arguments, plan or input file",
            Exit::Harness => "the harness or the cluster failed",
            Exit::Signal(_) => "stopped by a signal",
            Exit::Passed(_) => "ended",
        };
        write!(f, "{meaning} (exit {})", self.code())
    }
}

/// A run that a third signal ended before it healed; its agents heal by themselves.
#[derive(Debug, thiserror::Error)]
#[error("left at once: the agents undo the faults by themselves ({cure}); `dsfuzz check {dir}` judges what there is")]
pub struct LeftAtOnce {
    /// The first signal.
    pub signal: i32,
    /// The run's folder.
    pub dir: String,
    /// What undoes faults that are left all the same.
    pub cure: String,
}

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments are wrong.
    #[error("{0}")]
    Usage(String),
    /// The plan is wrong.
    #[error(transparent)]
    Plan(#[from] DocumentError),
    /// The harness or the cluster failed; with its causes.
    #[error("{0:#}")]
    Harness(#[from] anyhow::Error),
}

impl Failure {
    /// A failure of the harness in one sentence.
    pub fn harness(message: impl fmt::Display) -> Failure {
        Failure::Harness(anyhow::anyhow!("{message}"))
    }

    /// The exit it leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Usage(_) | Failure::Plan(_) => Exit::Usage,
            Failure::Harness(error) => {
                error.downcast_ref::<LeftAtOnce>().map_or(Exit::Harness, |left| Exit::Signal(left.signal))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_beats_everything() {
        assert_eq!(Exit::of_run(Validity::Invalid, true, Some(2)), Exit::Invalid);
        assert_eq!(Exit::of_run(Validity::Unknown, true, Some(15)).code(), 143);
        assert_eq!(Exit::of_run(Validity::Valid, false, Some(2)).code(), 130);
        assert_eq!(Exit::of_run(Validity::Valid, true, None), Exit::Harness);
        assert_eq!(Exit::worst([Exit::Valid, Exit::Unknown, Exit::Harness]), Exit::Harness);
        assert_eq!(Exit::worst([Exit::Harness, Exit::Invalid, Exit::Unknown]), Exit::Invalid);
        assert_eq!(Exit::worst([]), Exit::Valid);
    }

    #[test]
    fn a_run_that_was_left_ends_as_one_that_was_stopped() {
        let left = anyhow::Error::from(LeftAtOnce {
            signal: 2,
            dir: "results/p/1".to_owned(),
            cure: "`dsfuzz heal p.yaml` undoes what is left".to_owned(),
        });
        assert_eq!(Failure::from(left).exit().code(), 130);
        assert_eq!(Failure::harness("left at once").exit(), Exit::Harness);
    }
}
