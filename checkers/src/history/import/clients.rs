//! [`Clients`]: who is who among the processes of a foreign history. Jepsen numbers its clients; other recorders name
//! them (`client-1`). Names are numbered in the order in which they come. A file that does both is refused: whether a
//! name and a number are the same client is not known, and checkers rest on who did what.
use super::foreign::Who;
use std::collections::HashMap;

/// Names that are no clients': Jepsen's for its nemesis, and ours for what an exported history has beside the faults.
pub(super) const BESIDE: [&str; 4] = ["nemesis", "roles", "phases", "target"];

/// How many names a note tells.
const TOLD_MAX: usize = 20;

/// How the first client was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Numbers,
    Names,
    /// Records without a process: one client.
    Nothing,
}

impl Manner {
    fn told(self) -> &'static str {
        match self {
            Manner::Numbers => "numbers",
            Manner::Names => "names",
            Manner::Nothing => "nothing",
        }
    }
}

/// The clients that were seen.
#[derive(Debug, Default)]
pub(super) struct Clients {
    manner: Option<Manner>,
    names: Vec<String>,
    numbers: HashMap<String, u64>,
}

/// Who has this name. JSON made from EDN may have kept the colon of a keyword. A number is one only as it is written:
/// `01` and `+1` are names, other clients than `1`.
pub(super) fn named(name: &str) -> Who {
    let bare = name.strip_prefix(':').unwrap_or(name);
    match BESIDE.into_iter().find(|beside| *beside == bare) {
        Some(beside) => Who::Beside(beside),
        None => match name.parse::<u64>() {
            Ok(number) if number.to_string() == name => Who::Client(number),
            _ => Who::Named(name.to_owned()),
        },
    }
}

impl Clients {
    /// The number of a client. The error says how to name them.
    pub(super) fn number(&mut self, who: &Who) -> Result<u64, String> {
        let manner = match who {
            Who::Client(_) => Manner::Numbers,
            Who::Named(_) => Manner::Names,
            Who::Nobody | Who::Beside(_) => Manner::Nothing,
        };
        let first = *self.manner.get_or_insert(manner);
        if first != manner {
            let own = match who {
                Who::Client(number) => format!("its process is {number}"),
                Who::Named(name) => format!("its process is {name:?}"),
                Who::Nobody | Who::Beside(_) => "it has no process".to_owned(),
            };
            let before = match first {
                Manner::Nothing => "those before it have none".to_owned(),
                Manner::Numbers | Manner::Names => format!("those before it are {}", first.told()),
            };
            return Err(format!(
                "{own}, {before}: name all clients by numbers or all by names (what is no client is called nemesis)"
            ));
        }
        Ok(match who {
            Who::Client(number) => *number,
            Who::Nobody | Who::Beside(_) => 0,
            Who::Named(name) => match self.numbers.get(name) {
                Some(number) => *number,
                None => {
                    let number = self.names.len() as u64;
                    self.names.push(name.clone());
                    self.numbers.insert(name.clone(), number);
                    number
                }
            },
        })
    }

    /// What the file calls the client of this number.
    pub(super) fn name(&self, number: u64) -> String {
        let name = usize::try_from(number).ok().and_then(|at| self.names.get(at));
        name.cloned().unwrap_or_else(|| number.to_string())
    }

    /// That the client of this number completes a call that it never made, with what to do where a name was taken for
    /// a client's.
    pub(super) fn uncalled(&self, number: u64) -> String {
        if self.manner == Some(Manner::Nothing) {
            return "a record without a process completes a call that was never made".to_owned();
        }
        let hint = if self.names.is_empty() { "" } else { " (what is no client has the process nemesis)" };
        format!("process {} completes a call it never made{hint}", self.name(number))
    }

    /// Which number stands for which name.
    pub(super) fn told(&self) -> Option<String> {
        if self.names.is_empty() {
            return None;
        }
        let told: Vec<String> =
            self.names.iter().take(TOLD_MAX).enumerate().map(|(number, name)| format!("{name} is {number}")).collect();
        let more = match self.names.len().saturating_sub(TOLD_MAX) {
            0 => String::new(),
            more => format!(", and {more} more in the order in which they came"),
        };
        Some(format!("processes have names, and are numbered here: {}{more}", told.join(", ")))
    }
}
