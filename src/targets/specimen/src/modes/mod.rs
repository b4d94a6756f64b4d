//! The modes: one file each. A new mode is its file and its line in `modes!`.
use crate::node::{Mode, Settings};
use crate::serve::{Addresses, serve as serve_mode};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

macro_rules! modes {
    ($($name:literal $file:ident $mode:ident,)*) => {
        $(pub mod $file;)*

        /// Serves a mode until the process is killed.
        pub fn serve(mode: &str, settings: Settings, addresses: &Addresses, data: PathBuf) -> Result<(), String> {
            let known = [$($name),*];
            match mode {
                $($name => {
                    let mistakes = $file::$mode::MISTAKES;
                    if settings.mistake != "none" && !mistakes.contains(&settings.mistake.as_str()) {
                        return Err(format!("mode {mode} has no mistake `{}`; it has none, {}", settings.mistake, mistakes.join(", ")));
                    }
                    serve_mode::<$file::$mode>(settings, addresses, data).map_err(|error| error.to_string())
                })*
                _ => Err(format!("unknown mode `{mode}`; there are {}", known.join(", "))),
            }
        }

        /// Every mode with its objects and mistakes.
        pub fn listed() -> Json {
            json!([$({"mode": $name, "objects": $file::$mode::OBJECTS, "mistakes": $file::$mode::MISTAKES}),*])
        }
    };
}

modes! {
    "crdt" crdt Crdt,
    "gossip" gossip Gossip,
    "ids" ids Ids,
    "raft" raft Raft,
    "saga" saga Sagas,
    "two-phase" two_phase TwoPhase,
}
