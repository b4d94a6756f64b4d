//! The agent on a node: runs commands, keeps services, and injects faults by a few injections, each with its proof and its undo.
//! The undo is on disk before the injection; a lease and a guardian heal when the control node is gone.
//!
//! Never: decides about faults, uses the network by itself (except for pings), or touches objects that it did not make.
mod abilities;
mod accounts;
mod addresses;
mod cgroup;
mod claim;
mod clock;
mod deaths;
mod files;
mod guard;
mod injections;
mod injector;
mod journal;
mod launch;
mod nft;
mod ping;
mod process;
mod reach;
mod run;
mod serve;
mod service;
mod state_dir;
mod sys;

use state_dir::StateDir;
use std::path::{Path, PathBuf};

const USAGE: &str =
    "usage: dsfuzz-agent serve --dir DIR [--ping-port N]   speak the protocol on standard input and output
       dsfuzz-agent heal --dir DIR [--take-over]
                                      undo everything left in DIR's journal; prints what was undone as JSON;
                                      refused while a run has the node, unless --take-over ends it
       dsfuzz-agent version
exit codes: 0 done, 1 something could not be undone, 2 bad arguments, 3 cannot run here";

/// Exit code of bad arguments.
const EXIT_USAGE: u8 = 2;
/// Exit code when the agent cannot run here.
const EXIT_CANNOT: u8 = 3;

/// The whole program; `args` without the program's name. Gives the exit code.
pub fn main(args: &[String]) -> u8 {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["version" | "--version"] => {
            println!(
                "dsfuzz-agent {} protocol {}",
                env!("CARGO_PKG_VERSION"),
                dsfuzz_nemesis::protocol::PROTOCOL_VERSION
            );
            Ok(0)
        }
        ["serve", "--dir", dir] => folder(dir).and_then(|dir| serve::serve(&dir, 0)),
        ["serve", "--dir", dir, "--ping-port", port] => {
            let port = port.parse().map_err(|_| format!("--ping-port {port}: not a port"));
            port.and_then(|port| serve::serve(&folder(dir)?, port))
        }
        ["heal", "--dir", dir] => folder(dir).and_then(|dir| guard::heal(&dir, false)),
        ["heal", "--dir", dir, "--take-over"] | ["heal", "--take-over", "--dir", dir] => {
            folder(dir).and_then(|dir| guard::heal(&dir, true))
        }
        ["guard", "--dir", dir, "--agent", agent] => folder(dir).and_then(|dir| guard::guard(&dir, agent)),
        ["witness"] => clock::witness().map(|()| 0),
        _ => {
            eprintln!("{USAGE}");
            return EXIT_USAGE;
        }
    };
    outcome.unwrap_or_else(|reason| {
        eprintln!("dsfuzz-agent: {reason}");
        EXIT_CANNOT
    })
}

fn folder(dir: &str) -> Result<StateDir, String> {
    if !Path::new(dir).is_absolute() {
        return Err(format!("--dir {dir}: name it from the root"));
    }
    StateDir::open(PathBuf::from(dir))
}
