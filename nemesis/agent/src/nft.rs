//! Runs the program `nft`, which changes and lists tables of the kernel's packet filter. Injections build their rules
//! here, and `abilities` tries out a scratch table. Never: touches a table that dsfuzz did not make.
use crate::{launch, run, sys};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// The table of cuts and packet faults. dsfuzz made everything in it, so it may delete the whole table.
pub(crate) const TABLE: &str = "inet dsfuzz";
/// How long one run of `nft` may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The standard output of `nft`, given a script on its standard input. The error is its first line, without a prefix.
fn nft(arguments: &[&str], script: &str) -> Result<Vec<u8>, String> {
    let mut command = Command::new("nft");
    command.env("PATH", launch::PATH).env("LANG", "C").args(arguments);
    // A killed agent must not leave a child that changes rules after the guardian has healed.
    sys::set_up(&mut command, sys::ChildSetup { dies_with_parent: true, ..sys::ChildSetup::default() });
    let finished = run::finish(command, script.as_bytes(), DEADLINE).map_err(|error| {
        format!("{error}; cuts and packet faults need nftables on this node (Debian: apt install nftables)")
    })?;
    match finished.status {
        Some(status) if status.success() => Ok(finished.stdout),
        _ => Err(String::from_utf8_lossy(&finished.stderr).lines().next().unwrap_or("nft did not end").to_owned()),
    }
}

/// Runs a script as one transaction: all of its lines take effect, or none.
pub(crate) fn script(text: &str) -> Result<(), String> {
    nft(&["-f", "-"], text).map(drop).map_err(|reason| format!("nft: {reason}"))
}

/// The objects of a table (sets, chains, rules) as `nft -j` prints them; `None` if the table does not exist.
pub(crate) fn list(table: &str) -> Result<Option<Vec<Value>>, String> {
    let mut arguments = vec!["-j", "list", "table"];
    arguments.extend(table.split(' '));
    match nft(&arguments, "") {
        Ok(json) => {
            let mut whole: Value = serde_json::from_slice(&json).map_err(|error| format!("nft -j: {error}"))?;
            match whole.get_mut("nftables").map(Value::take) {
                Some(Value::Array(items)) => Ok(Some(items)),
                _ => Err("nft -j: an answer without `nftables`".to_owned()),
            }
        }
        // `nft` says `Error: No such file or directory` of a missing table. A missing `nft` says `(os error 2)`, and is an error.
        Err(reason) if reason.contains("No such file or directory") && reason.contains("Error") => Ok(None),
        Err(reason) => Err(format!("nft: {reason}")),
    }
}
