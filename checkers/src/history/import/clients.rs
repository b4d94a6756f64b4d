//! [`Clients`]: the processes of a foreign history and their numbers. Jepsen numbers its clients; other recorders name them
//! (`client-1`). Names are numbered in the order in which they come. A file that does both is refused: a name and a number
//! may mean the same client, and checkers rest on the client of each call.
use super::foreign::Caller;
use std::collections::HashMap;

/// Names that are no clients': Jepsen's for its nemesis, and ours for what an exported history has beside the faults.
pub(super) const BESIDE: [&str; 4] = ["nemesis", "roles", "phases", "target"];

/// Names that a note shows, at most.
const NAMES_MAX: usize = 20;

/// What identifies the clients of a file: that of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Numbers,
    Names,
    /// Records without a process: one client.
    Nothing,
}

impl Identity {
    fn describe(self) -> &'static str {
        match self {
            Identity::Numbers => "numbers",
            Identity::Names => "names",
            Identity::Nothing => "nothing",
        }
    }
}

/// The clients so far.
#[derive(Debug, Default)]
pub(super) struct Clients {
    identity: Option<Identity>,
    names: Vec<String>,
    numbers: HashMap<String, u64>,
}

/// The caller of this name. JSON made from EDN may have kept the colon of a keyword. A number is one only as it is written:
/// `01` and `+1` are names, other clients than `1`.
pub(super) fn named(name: &str) -> Caller {
    let bare = name.strip_prefix(':').unwrap_or(name);
    match BESIDE.into_iter().find(|beside| *beside == bare) {
        Some(beside) => Caller::Other(beside),
        None => match name.parse::<u64>() {
            Ok(number) if number.to_string() == name => Caller::Client(number),
            _ => Caller::Named(name.to_owned()),
        },
    }
}

impl Clients {
    /// The number of a client. The error says how to name them.
    pub(super) fn number(&mut self, caller: &Caller) -> Result<u64, String> {
        let identity = match caller {
            Caller::Client(_) => Identity::Numbers,
            Caller::Named(_) => Identity::Names,
            Caller::Unnamed | Caller::Other(_) => Identity::Nothing,
        };
        let first = *self.identity.get_or_insert(identity);
        if first != identity {
            let own = match caller {
                Caller::Client(number) => format!("its process is {number}"),
                Caller::Named(name) => format!("its process is {name:?}"),
                Caller::Unnamed | Caller::Other(_) => "it has no process".to_owned(),
            };
            let before = match first {
                Identity::Nothing => "those before it have none".to_owned(),
                Identity::Numbers | Identity::Names => format!("those before it are {}", first.describe()),
            };
            return Err(format!(
                "{own}, {before}: name all clients by numbers or all by names (what is no client is called nemesis)"
            ));
        }
        Ok(match caller {
            Caller::Client(number) => *number,
            Caller::Unnamed | Caller::Other(_) => 0,
            Caller::Named(name) => match self.numbers.get(name) {
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
        if self.identity == Some(Identity::Nothing) {
            return "a record without a process completes a call that was never made".to_owned();
        }
        let hint = if self.names.is_empty() { "" } else { " (what is no client has the process nemesis)" };
        format!("process {} completes a call it never made{hint}", self.name(number))
    }

    /// A note that says which number stands for which name.
    pub(super) fn note(&self) -> Option<String> {
        if self.names.is_empty() {
            return None;
        }
        let shown: Vec<String> =
            self.names.iter().take(NAMES_MAX).enumerate().map(|(number, name)| format!("{name} is {number}")).collect();
        let more = match self.names.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            more => format!(", and {more} more in the order in which they came"),
        };
        Some(format!("processes have names, and are numbered here: {}{more}", shown.join(", ")))
    }
}
