//! Brute force beside every fast checker, and the random histories that both judge: for tests, benches and fuzzing.
//!
//! Only the feature `oracles` compiles this; no checker uses it. Each oracle stands in a `fuzz.rs` beside its checker,
//! because it compares single engines, too, and with it what the tests of all checkers ask of this one ([`CASES`]).
//! [`differences`] lists the comparisons.
pub(crate) mod cases;

pub use crate::history::fuzz::{Mutations, check_reader, mutate_read};
pub use crate::random::{Differ, Rng, Stats, Watch, watch};
pub use crate::testing::complete;
pub use crate::transactions::simulate::{Isolation, Shape, simulate};
pub use crate::transactions::weak::load::{LoadIsolation, LoadKind, load};
pub use cases::{Call, CaseOptions, CheckerCases, Long, OrReason, case_options};

use crate::linearizability::containers;
use crate::models::{self, MODELS};

macro_rules! cases {
    ($($($module:ident)::+: $entry:ident;)*) => {
        /// The cases of every checker, by its name, in the order of [`crate::CHECKERS`]. A checker without them does not compile.
        pub const CASES: &[(&str, CheckerCases)] =
            &[$((crate::$($module)::+::$entry.name, crate::$($module)::+::fuzz::$entry)),*];
    };
}
crate::registry::each_checker!(cases);

/// A comparison of fast checkers with brute force.
pub struct Difference {
    /// Its name, by which `make fuzz-checkers` chooses: checkers, or what is compared below them.
    pub name: String,
    /// Judges this number of random histories twice, from a seed. The error is the first difference.
    pub differ: Box<dyn Fn(u64, u64) -> Result<Stats, String> + Send + Sync>,
}

/// All comparisons, each once: those of the checkers' cases, one of each model, and one of each container.
pub fn differences() -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    let of_checkers = CASES.iter().filter_map(|(_, cases)| cases.comparisons.ok()).flatten();
    for &(name, differ) in of_checkers {
        if found.iter().all(|known| known.name != name) {
            found.push(Difference { name: name.to_owned(), differ: Box::new(differ) });
        }
    }
    let model = |doc: &'static models::ModelDoc| Difference {
        name: format!("model {}", doc.name),
        differ: Box::new(|seed, count| models::fuzz::differ(doc.name, seed, count)),
    };
    let container = |name: &'static &str| Difference {
        name: format!("container {name}"),
        differ: Box::new(|seed, count| containers::fuzz::differ(name, seed, count)),
    };
    found.extend(MODELS.iter().map(model));
    found.extend(containers::fuzz::NAMES.iter().map(container));
    found
}
