//! Checks certificates without trusting what made them: it shares no code with the checkers, and knows only what the words
//! mean. A valid answer is replayed; a broken promise is looked for again by brute force in the few operations that are
//! claimed to break it, or edge by edge in a cycle.
//!
//! Never: searches a history for violations of its own.
//!
//! ```
//! use dsfuzz_verifier::{Certificate, verify};
//!
//! let text = r#"{"version":1,"claim":{"claim":"no-linearization","model":"register"},"ops":[
//!     {"call":0,"end":1,"outcome":"ok","process":0,"workload":"register","f":"write","input":1,"output":null},
//!     {"call":2,"end":3,"outcome":"ok","process":1,"workload":"register","f":"read","input":null,"output":2}]}"#;
//! let certificate = Certificate::parse(text).unwrap();
//! assert!(verify(&certificate, None).is_ok());
//! ```
#![forbid(unsafe_code)]

mod begins;
mod certificate;
mod cycle;
mod history;
mod models;
mod mops;
mod order;
mod removal;
mod rules;

pub use certificate::{Begins, Certificate, Claim, Edge, EdgeKind, Op, Outcome};
pub use history::{History, read_jsonl};
pub use rules::{RULES, Rule};

/// Why a certificate is not believed: one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Checks a certificate, by itself and, where it is given, against the history that it speaks of: its operations are
/// there as they stand, and nothing that it leaves out could have explained them.
///
/// # Errors
/// [`Refused`] says what does not hold.
pub fn verify(certificate: &Certificate, history: Option<&History>) -> Result<(), Refused> {
    certificate.sound()?;
    if let Some(history) = history {
        history.holds(certificate)?;
    }
    if !certificate.initial.is_empty() {
        let renamed = history.map(|history| history.renamed(&certificate.initial));
        return holds(&begins::read(certificate)?, renamed.as_ref());
    }
    holds(certificate, history)
}

/// Whether the claim holds of these operations, in registers that begin with nil.
fn holds(certificate: &Certificate, history: Option<&History>) -> Result<(), Refused> {
    match &certificate.claim {
        Claim::Linearization { model, order } => order::replays(certificate, model, order, history),
        Claim::NoLinearization { model, weakened } => {
            let until = order::none_fits(certificate, model, weakened, order::Respect::Intervals)?;
            history.map_or(Ok(()), |history| removal::allowed(certificate, model, weakened, until, history))
        }
        Claim::NoSequentialOrder { model } => {
            order::none_fits(certificate, model, &[], order::Respect::Processes)?;
            history.map_or(Ok(()), |history| removal::of_sessions(certificate, history))
        }
        Claim::Cycle { anomaly, edges, assumes } => cycle::holds(certificate, anomaly, edges, assumes, history),
        Claim::Rule { rule, subject } => rules::broken(certificate, rule, subject, history),
    }
}

/// A refusal.
fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}
