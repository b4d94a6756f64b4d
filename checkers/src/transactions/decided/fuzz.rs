//! Every model that `list-append` and `rw-register` accept against its definition, on random small histories.
use super::{DecidedBy, by, of_lists, of_registers};
use crate::history::Outcome;
use crate::random::{Rng, Stats};
use crate::transactions::lattice;
use crate::transactions::list_append::ListAppend;
use crate::transactions::oracle::{self, Order};
use crate::transactions::rw_register::{RwRegister, RwRegisterOptions};
use crate::transactions::weak::brute::{Definition, holds};
use crate::transactions::weak::fuzz::closed;
use crate::transactions::weak::small::{Shape, Small, SmallMop, SmallTxn};
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};

/// Judges random small histories by every accepted model: what is Valid must hold, what is Invalid must not. Of registers
/// only models that are decided exactly are held to Valid.
///
/// # Errors
/// The first difference, with its history, or too many answers that are Unknown.
pub(crate) fn differ_models(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let (mut stats, mut unknown) = (Stats::default(), 0);
    for _ in 0..count {
        let lists = rng.percent(75);
        let (txns, sessions, keys) = (2 + rng.below(4), 1 + rng.below(4), 1 + rng.below(2));
        let mut small = Small::draw(&mut rng, Shape { lists, txns, sessions, keys, mops: 4, read_first: false });
        small.aside = true;
        stats.histories += 1;
        let (invalid, open) = judged_alike(&small)?;
        stats.invalid += u64::from(invalid);
        unknown += open;
    }
    // One answer in a hundred may be that the order of appends that nobody read decides; few histories may have many.
    let answers = count * of_registers().len() as u64;
    if unknown * 100 > answers + 2_000 {
        return Err(format!("{unknown} answers to {count} histories are Unknown"));
    }
    Ok(stats)
}

fn of_model(model: &str) -> RwRegisterOptions {
    RwRegisterOptions { model: model.to_owned(), ..RwRegisterOptions::default() }
}

/// Whether some model does not hold, and how many answers are Unknown though something was read.
fn judged_alike(small: &Small) -> Result<(bool, u64), String> {
    let history = small.history();
    let models = if small.lists { of_lists() } else { of_registers() };
    let (mut invalid, mut unknown) = (false, 0);
    for model in models {
        let verdict = if small.lists {
            ListAppend::new(model)?.check(&history, &Budget::unlimited())
        } else {
            RwRegister::of(&of_model(model))?.check(&history, &Budget::unlimited())
        };
        let expected = expected(small, model).ok_or_else(|| format!("{model} has no definition"))?;
        invalid |= !expected;
        let exact = small.lists
            || lattice::find(model).and_then(by).is_some_and(|by| matches!(by, DecidedBy::Level(..)))
            || verdict.validity != Validity::Valid;
        let agrees = match verdict.validity {
            Validity::Valid => expected || !exact,
            Validity::Invalid => !expected,
            // Where nothing was read there is nothing that could contradict a model.
            Validity::Unknown if verdict.summary.starts_with("No ") => expected,
            // Registers of which no order of versions is known.
            Validity::Unknown if !small.lists && verdict.summary.contains("nothing known contradicts") => true,
            Validity::Unknown => {
                unknown += 1;
                true
            }
        };
        if !agrees || !sound(&verdict) {
            return Err(format!(
                "{model}: by definition {expected}, but {:?}: {} {:#?}\n{}",
                verdict.validity,
                verdict.summary,
                verdict.findings.iter().map(|finding| (&finding.kind, &finding.sentences)).collect::<Vec<_>>(),
                small.show()
            ));
        }
        if small.lists {
            told(small, &verdict).map_err(|what| format!("{model}: {what}: {}\n{}", verdict.summary, small.show()))?;
        }
    }
    Ok((invalid, unknown))
}

/// Whether what the summary says of other models is true.
fn told(small: &Small, verdict: &Verdict) -> Result<(), String> {
    let claims = |after: &str| -> Vec<String> {
        let Some((_, rest)) = verdict.summary.split_once(after) else { return Vec::new() };
        let end = rest.find(['.', ';']).unwrap_or(rest.len());
        rest[..end].split(", ").map(|name| name.trim_start_matches("not ").to_owned()).collect()
    };
    for (after, truth) in [("strongest that holds: ", true), ("In all: not ", false)] {
        for model in claims(after) {
            if expected(small, &model) != Some(truth) {
                return Err(format!("it says wrongly of {model} whether it holds"));
            }
        }
    }
    Ok(())
}

/// Whether the model holds by definition. Strong snapshot isolation has none for registers: what is strictly serializable
/// is all that surely has it.
fn expected(small: &Small, model: &str) -> Option<bool> {
    let alone = small.without_sessions();
    Some(match model {
        "strict-serializable" => holds(small, Definition::Strict),
        "strong-session-serializable" => holds(small, Definition::Serial),
        "strong-snapshot-isolation" if small.lists => {
            oracle::snapshot_isolated(&oracle::transactions(&small.history()), Order::Realtime)
        }
        "strong-snapshot-isolation" => holds(small, Definition::Strict),
        "serializable" | "repeatable-read" => holds(&alone, Definition::Serial),
        "strong-session-snapshot-isolation" => holds(small, Definition::Snapshot),
        "snapshot-isolation" => holds(&alone, Definition::Snapshot),
        "prefix" => holds(small, Definition::Prefix),
        "parallel-snapshot-isolation" | "consistent-view" => holds(&alone, Definition::Parallel),
        "causal" => holds(small, Definition::Causal),
        "read-atomic" => holds(&alone, Definition::ReadAtomic) && repeatable(small),
        "monotonic-atomic-view" => holds(&alone, Definition::ReadCommitted),
        "read-committed" => holds(&alone, Definition::Committed),
        _ => return None,
    })
}

/// Whether each acknowledged transaction reads of a key what it read before, with its own writes since (Cerone, Bernardi
/// and Gotsman, CONCUR 2015: INT).
fn repeatable(small: &Small) -> bool {
    small.txns.iter().filter(|txn| txn.outcome == Outcome::Ok).all(|txn| (0..4).all(|key| same(small, txn, key)))
}

fn same(small: &Small, txn: &SmallTxn, key: i64) -> bool {
    let mut state: Option<Vec<i64>> = None;
    let mut own: Vec<i64> = Vec::new();
    txn.mops.iter().all(|mop| match mop {
        SmallMop::Write(at, value) if *at == key => {
            own.push(*value);
            if let Some(state) = &mut state {
                state.push(*value);
            }
            true
        }
        SmallMop::Read(at, read) if *at == key => {
            let fits = match &state {
                Some(state) if small.lists => state == read,
                Some(state) => state.last() == read.last(),
                None if small.lists => read.ends_with(&own),
                None => own.is_empty() || own.last() == read.last(),
            };
            state = Some(read.clone());
            fits
        }
        _ => true,
    })
}

/// Invalid and violations go together, and each finding has its transactions and a cycle that is one.
fn sound(verdict: &Verdict) -> bool {
    let violation = verdict.findings.iter().any(|finding| finding.severity == Severity::Violation);
    let explained = verdict.findings.iter().all(|finding| !finding.ops.is_empty() && closed(finding));
    explained && (verdict.validity == Validity::Invalid) == violation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_model_is_judged_as_defined() {
        let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let stats = differ_models(setting("DSFUZZ_SEED").unwrap_or(3), setting("DSFUZZ_FUZZ").unwrap_or(150))
            .unwrap_or_else(|difference| panic!("{difference}"));
        assert!(stats.invalid > stats.histories / 10 && stats.invalid < stats.histories, "{stats:?}");
    }

    #[test]
    fn every_accepted_model_has_a_definition_and_others_are_refused() {
        for model in lattice::MODELS {
            assert_eq!(ListAppend::new(model.name).is_ok(), by(model).is_some(), "{}", model.name);
            assert_eq!(
                RwRegister::of(&of_model(model.name)).is_ok(),
                of_registers().contains(&model.name),
                "{}",
                model.name
            );
        }
        let refused = ListAppend::new("cursor-stability").map(|_| ()).unwrap_err();
        assert!(
            refused.message.contains("nothing decides") && refused.message.contains("parallel-snapshot-isolation"),
            "{refused}"
        );
        assert!(ListAppend::new("PL-2").is_ok() && ListAppend::new("sirealizable").is_err());
    }
}
