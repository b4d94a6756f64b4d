//! Speaks to the kernel's packet filter through `nft`, and only about our own table. Each script is one transaction.
use crate::{launch, run, sys};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Our table. Everything in it is ours, nothing else is.
pub(crate) const TABLE: &str = "inet dsfuzz";
const DEADLINE: Duration = Duration::from_secs(5);

fn nft(arguments: &[&str], script: &str) -> Result<Vec<u8>, String> {
    let mut command = Command::new("nft");
    command.env("PATH", launch::PATH).env("LANG", "C").args(arguments);
    // A killed agent must not leave a child that changes rules after the guardian has healed.
    sys::set_up(&mut command, sys::ChildSetup { dies_with_parent: true, ..sys::ChildSetup::default() });
    let finished = run::finish(command, script.as_bytes(), DEADLINE).map_err(|error| {
        format!("nft: {error}; partitions need nftables on this node (Debian: apt install nftables)")
    })?;
    match finished.status {
        Some(status) if status.success() => Ok(finished.stdout),
        _ => Err(String::from_utf8_lossy(&finished.stderr).lines().next().unwrap_or("nft did not end").to_owned()),
    }
}

/// Runs a script as one transaction.
pub(crate) fn script(text: &str) -> Result<(), String> {
    nft(&["-f", "-"], text).map(drop).map_err(|reason| format!("nft: {reason}"))
}

/// The content of a table; none if it does not exist.
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
        Err(reason) if reason.contains("No such file or directory") && reason.contains("Error") => Ok(None),
        Err(reason) => Err(format!("nft: {reason}")),
    }
}
