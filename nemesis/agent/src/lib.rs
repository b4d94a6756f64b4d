//! The agent on a node: runs commands, keeps the target's services running, and injects faults. Each kind of injection has its
//! own verification and undo (`injections`). The undo is on disk before the injection; a lease (`serve`) and a guardian
//! (`guard`) heal the node when the control node is gone.
//!
//! Here the command line is parsed; `serve` answers the control node's requests.
//!
//! Never: decides about faults, uses the network by itself (except for pings), or touches objects that it did not make.
mod abilities;
mod accounts;
mod addresses;
mod burn;
mod cgroup;
mod claim;
mod clock;
mod commands;
mod deaths;
mod disk;
mod files;
mod follow;
mod guard;
mod injections;
mod injector;
mod journal;
mod launch;
mod limits;
mod memory;
mod memos;
mod netlink;
mod nft;
mod packet_queue;
mod ping;
mod process;
mod reach;
mod restarts;
mod run;
mod serve;
mod service;
mod state_dir;
mod sys;
mod throttle;
mod volley;

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

/// Runs the program. `args` come without the program's name. Returns the exit code.
pub fn main(args: &[String]) -> u8 {
    let arguments: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["version" | "--version"] => {
            println!(
                "dsfuzz-agent {} protocol {}",
                env!("CARGO_PKG_VERSION"),
                dsfuzz_nemesis::protocol::PROTOCOL_VERSION
            );
            Ok(0)
        }
        ["serve", "--dir", dir] => open_state_dir(dir).and_then(|dir| serve::serve(&dir, 0)),
        ["serve", "--dir", dir, "--ping-port", port] => {
            let port = port.parse().map_err(|_| format!("--ping-port {port}: not a port"));
            port.and_then(|port| serve::serve(&open_state_dir(dir)?, port))
        }
        ["heal", "--dir", dir] => open_state_dir(dir).and_then(|dir| guard::heal(&dir, false)),
        ["heal", "--dir", dir, "--take-over"] | ["heal", "--take-over", "--dir", dir] => {
            open_state_dir(dir).and_then(|dir| guard::heal(&dir, true))
        }
        // Not in the usage: the agent starts these itself. `guard` is the guardian; `witness` is a child on which `abilities` tries a
        // shifted clock and a frozen cgroup; `burn` is a busy process; the others are the two processes of a layer over a folder.
        ["guard", "--dir", dir, "--agent", agent] => open_state_dir(dir).and_then(|dir| guard::guard(&dir, agent)),
        ["disk-keeper", "--dir", dir, "--folder", folder] => {
            open_state_dir(dir).and_then(|dir| disk::keep(&dir, Path::new(folder)))
        }
        ["disk-layer", "--dir", dir, "--folder", folder] => {
            open_state_dir(dir).and_then(|dir| disk::serve(&dir, Path::new(folder)))
        }
        ["burn"] => burn::burn().map(|()| 0),
        ["witness"] => clock::witness().map(|()| 0),
        _ => {
            eprintln!("{USAGE}");
            return EXIT_USAGE;
        }
    };
    let code = outcome.unwrap_or_else(|reason| {
        eprintln!("dsfuzz-agent: {reason}");
        EXIT_CANNOT
    });
    // The code is what the process ends with.
    state_dir::end_of_writes();
    code
}

/// Opens the folder that `--dir` names.
fn open_state_dir(dir: &str) -> Result<StateDir, String> {
    if !Path::new(dir).is_absolute() {
        return Err(format!("--dir {dir}: not an absolute path"));
    }
    StateDir::open(PathBuf::from(dir))
}
