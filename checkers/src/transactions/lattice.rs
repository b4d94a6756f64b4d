//! Models of consistency and the anomalies they forbid, as data, and what found anomalies rule out.
//!
//! Sources: Adya, Liskov, O'Neil (ICDE 2000) and Adya's thesis (1999) for PL-1 to PL-3, PL-2L, PL-2+, PL-CS, PL-FCV;
//! Berenson et al. (SIGMOD 1995); Cerone, Bernardi, Gotsman (CONCUR 2015) and Cerone, Gotsman (JACM 2018) for read atomic,
//! causal, prefix, parallel snapshot isolation and snapshot isolation; Bailis et al. (VLDB 2014) for monotonic atomic view;
//! Daudjee, Salem (VLDB 2006) for strong session forms; Terry et al. (PDIS 1994) for session guarantees. A model that is
//! "possible" is one that nothing found contradicts; it is no claim that the model holds.
use std::collections::BTreeSet;

/// A model of consistency.
#[derive(Clone, Copy, Debug)]
pub struct Consistency {
    /// Its name in plans.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// Models that hold wherever this one does.
    pub implies: &'static [&'static str],
    /// Anomalies that it forbids and none of the implied models does.
    pub forbids: &'static [&'static str],
}

const fn model(
    name: &'static str,
    aliases: &'static [&'static str],
    implies: &'static [&'static str],
    forbids: &'static [&'static str],
) -> Consistency {
    Consistency { name, aliases, implies, forbids }
}

/// All models, the stronger before those they imply.
pub const MODELS: &[Consistency] = &[
    model(
        "strict-serializable",
        &["strong-serializable", "strict-1SR", "strong-1SR", "strong-strict-serializable"],
        &["strong-session-serializable", "strong-snapshot-isolation"],
        &["G2-item-realtime"],
    ),
    model(
        "strong-session-serializable",
        &["strong-session-1SR"],
        &["serializable", "strong-session-snapshot-isolation"],
        &["G2-item-process"],
    ),
    model(
        "strong-snapshot-isolation",
        &["strong-SI"],
        &["strong-session-snapshot-isolation"],
        &["G-nonadjacent-item-realtime"],
    ),
    model("serializable", &["1SR", "PL-3"], &["snapshot-isolation", "repeatable-read"], &["G2-item"]),
    model(
        "strong-session-snapshot-isolation",
        &["strong-session-SI"],
        &["snapshot-isolation", "prefix"],
        &["G-nonadjacent-item-process"],
    ),
    model(
        "snapshot-isolation",
        &["SI"],
        &["parallel-snapshot-isolation", "forward-consistent-view"],
        &["G-nonadjacent-item"],
    ),
    model("repeatable-read", &["PL-2.99"], &["consistent-view"], &["G2-item"]),
    model("prefix", &[], &["causal"], &["prefix-violation"]),
    model("parallel-snapshot-isolation", &["PSI"], &["consistent-view"], &["G-single-item", "lost-update"]),
    model("forward-consistent-view", &["PL-FCV"], &["consistent-view"], &["G-SIb"]),
    model("consistent-view", &["PL-2+"], &["monotonic-view", "read-atomic", "cursor-stability"], &["G-single-item"]),
    model(
        "causal",
        &["transactional-causal"],
        &["read-atomic", "PRAM", "writes-follow-reads"],
        &["G0-process", "G1c-process", "causal-violation"],
    ),
    model("PRAM", &["pram"], &["monotonic-reads", "monotonic-writes", "read-your-writes"], &[]),
    model("read-atomic", &["RA"], &["monotonic-atomic-view"], &["internal", "fractured-read"]),
    model("monotonic-view", &["PL-2L"], &["read-committed"], &["G-monotonic"]),
    model("monotonic-atomic-view", &["MAV"], &["read-committed"], &["non-monotonic-view"]),
    model("cursor-stability", &["PL-CS"], &["read-committed"], &["G-cursor"]),
    model(
        "read-committed",
        &["PL-2", "RC"],
        &["read-uncommitted"],
        &["G1a", "G1b", "G1c", "dirty-update", "incompatible-order", "future-read"],
    ),
    model("monotonic-reads", &["MR"], &[], &["non-monotonic-read"]),
    model("monotonic-writes", &["MW"], &[], &["non-monotonic-write"]),
    model("read-your-writes", &["RYW"], &[], &["own-write-missed"]),
    model("writes-follow-reads", &["WFR"], &[], &["write-before-read"]),
    model("read-uncommitted", &["PL-1"], &[], &["G0", "duplicate-elements", "garbage-read", "cyclic-versions"]),
];

/// What else exists where an anomaly exists.
const IMPLIED: &[(&str, &[&str])] = &[
    ("G0", &["G1c", "G0-process"]),
    ("G1c", &["G-single-item", "G1c-process"]),
    ("G-single-item", &["G-nonadjacent-item", "G-single-item-process"]),
    ("G-nonadjacent-item", &["G2-item", "G-nonadjacent-item-process"]),
    ("G2-item", &["G2-item-process"]),
    ("G0-process", &["G1c-process", "G0-realtime"]),
    ("G1c-process", &["G-single-item-process", "G1c-realtime"]),
    ("G-single-item-process", &["G-nonadjacent-item-process", "G-single-item-realtime"]),
    ("G-nonadjacent-item-process", &["G2-item-process", "G-nonadjacent-item-realtime"]),
    ("G2-item-process", &["G2-item-realtime"]),
    ("G0-realtime", &["G1c-realtime"]),
    ("G1c-realtime", &["G-single-item-realtime"]),
    ("G-single-item-realtime", &["G-nonadjacent-item-realtime"]),
    ("G-nonadjacent-item-realtime", &["G2-item-realtime"]),
    ("lost-update", &["G-single-item"]),
    ("future-read", &["G1c"]),
];

/// The model of this name.
pub fn find(name: &str) -> Option<&'static Consistency> {
    MODELS.iter().find(|model| model.name == name || model.aliases.contains(&name))
}

impl Consistency {
    /// This model and all that hold wherever it does.
    pub fn implied(&self) -> Vec<&'static Consistency> {
        let mut all: Vec<&'static Consistency> = Vec::new();
        let mut open = vec![self.name];
        while let Some(model) = open.pop().and_then(find) {
            if all.iter().all(|known| known.name != model.name) {
                all.push(model);
                open.extend(model.implies);
            }
        }
        all
    }

    /// Whether the order of transactions of different sessions counts.
    pub fn needs_realtime(&self) -> bool {
        self.forbids("G0-realtime")
    }

    /// Whether an anomaly of this kind contradicts the model.
    pub fn forbids(&self, anomaly: &str) -> bool {
        let closed = closure([anomaly]);
        self.implied().iter().any(|model| model.forbids.iter().any(|forbidden| closed.contains(forbidden)))
    }
}

/// The anomalies with all that they imply.
fn closure<'a>(found: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut all = BTreeSet::new();
    let mut open: Vec<&str> = found.into_iter().collect();
    while let Some(anomaly) = open.pop() {
        if all.insert(anomaly) {
            let implied = IMPLIED.iter().filter(|(of, _)| *of == anomaly).flat_map(|(_, implied)| implied.iter());
            open.extend(implied.copied());
        }
    }
    all
}

/// What anomalies say about models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The weakest models that are contradicted: with each, all stronger ones are.
    pub not: Vec<&'static str>,
    /// All models that are contradicted.
    pub ruled_out: Vec<&'static str>,
    /// The strongest models that are not.
    pub possible: Vec<&'static str>,
}

/// Judges all models by the anomalies found.
pub fn rule<'a>(found: impl IntoIterator<Item = &'a str>) -> Ruling {
    let closed = closure(found);
    let contradicted = |model: &Consistency| {
        model.implied().iter().any(|implied| implied.forbids.iter().any(|forbidden| closed.contains(forbidden)))
    };
    let (out, left): (Vec<&Consistency>, Vec<&Consistency>) = MODELS.iter().partition(|model| contradicted(model));
    let implies = |one: &Consistency, other: &Consistency| {
        one.name != other.name && one.implied().iter().any(|implied| implied.name == other.name)
    };
    let weakest = |model: &&&Consistency| !out.iter().any(|other| implies(model, other));
    let strongest = |model: &&&Consistency| !left.iter().any(|other| implies(other, model));
    let names = |models: Vec<&&Consistency>| models.iter().map(|model| model.name).collect();
    Ruling {
        not: names(out.iter().filter(weakest).collect()),
        ruled_out: names(out.iter().collect()),
        possible: names(left.iter().filter(strongest).collect()),
    }
}

/// The ruling in a sentence: `not serializable; strongest still possible: snapshot-isolation`.
pub fn words(ruling: &Ruling) -> String {
    if ruling.not.is_empty() {
        return format!("nothing contradicts {}", ruling.possible.join(", "));
    }
    let not = ruling.not.join(", not ");
    match ruling.possible.is_empty() {
        true => format!("not {not}; no model is left"),
        false => format!("not {not}; strongest still possible: {}", ruling.possible.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_tables_exist() {
        for model in MODELS {
            assert!(model.implies.iter().all(|implied| find(implied).is_some()), "{}", model.name);
            let later = |name: &str| MODELS.iter().position(|model| model.name == name);
            assert!(model.implies.iter().all(|implied| later(implied) > later(model.name)), "{}", model.name);
        }
        let mut names: Vec<&str> =
            MODELS.iter().flat_map(|model| model.aliases.iter().chain([&model.name])).copied().collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn anomalies_rule_models_out() {
        for (found, expected) in [
            ("", "nothing contradicts strict-serializable"),
            ("G2-item", "not repeatable-read; strongest still possible: strong-snapshot-isolation"),
            (
                "G-nonadjacent-item",
                "not snapshot-isolation, not repeatable-read; strongest still possible: prefix, parallel-snapshot-isolation, forward-consistent-view",
            ),
            (
                "G-single-item",
                "not consistent-view; strongest still possible: prefix, monotonic-view, cursor-stability",
            ),
            (
                "G-single-item-realtime",
                "not strong-snapshot-isolation; strongest still possible: strong-session-serializable",
            ),
            (
                "G2-item-realtime",
                "not strict-serializable; strongest still possible: strong-session-serializable, strong-snapshot-isolation",
            ),
            ("G1a", "not read-committed; strongest still possible: PRAM, writes-follow-reads, read-uncommitted"),
            ("G0", "not PRAM"),
        ] {
            let ruling = rule([found].into_iter().filter(|found| !found.is_empty()));
            if found == "G0" {
                assert!(ruling.ruled_out.contains(&"read-uncommitted") && !ruling.ruled_out.contains(&"PRAM"));
                continue;
            }
            assert_eq!(words(&ruling), expected, "{found}");
        }
        assert!(find("serializable").is_some_and(|model| model.forbids("G0") && !model.forbids("G0-realtime")));
    }
}
