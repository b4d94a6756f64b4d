//! The scripts of each object, and the spaces that they need. A script and its frame are one transaction.
use rmpv::Value;

/// What an object needs.
#[derive(Debug)]
pub(crate) struct Script {
    /// The object.
    pub(crate) object: &'static str,
    body: &'static str,
    /// The parts of the primary key of its spaces: field number and type.
    parts: &'static [(u64, &'static str)],
}

const KEY: (u64, &str) = (1, "string");

/// Every object that this client carries.
const SCRIPTS: &[Script] = &[
    Script { object: "register", body: include_str!("scripts/register.lua"), parts: &[KEY] },
    Script { object: "set", body: include_str!("scripts/set.lua"), parts: &[KEY, (2, "integer")] },
    Script { object: "rows", body: include_str!("scripts/rows.lua"), parts: &[KEY, (2, "integer")] },
    Script { object: "counter", body: include_str!("scripts/counter.lua"), parts: &[KEY] },
    Script { object: "ids", body: include_str!("scripts/counter.lua"), parts: &[KEY] },
    Script { object: "transactions", body: include_str!("scripts/transactions.lua"), parts: &[(1, "integer")] },
    Script { object: "bank", body: include_str!("scripts/bank.lua"), parts: &[(1, "integer")] },
    Script { object: "predicate", body: include_str!("scripts/predicate.lua"), parts: &[KEY, (2, "integer")] },
    Script { object: "queue", body: include_str!("scripts/queue.lua"), parts: &[KEY, (2, "unsigned")] },
];

const FRAME: &str = include_str!("scripts/frame.lua");
/// Makes spaces.
pub(crate) const SETUP_SCRIPT: &str = concat!("local call = ...\n", include_str!("scripts/setup.lua"));

impl Script {
    /// That of an object.
    pub(crate) fn of(object: &str) -> Option<&'static Script> {
        SCRIPTS.iter().find(|script| script.object == object)
    }

    /// What an instance carries out.
    pub(crate) fn text(&self) -> String {
        format!("local call = ...\nlocal function body()\n{}\nend\n{FRAME}", self.body)
    }

    /// The parts of the primary key, as `create_index` takes them.
    pub(crate) fn parts(&self) -> Value {
        self.parts.iter().flat_map(|(field, kind)| [Value::from(*field), Value::from(*kind)]).collect::<Vec<_>>().into()
    }
}
