//! [`TimeDaemons`]: the programs that keep a node's clock right. They are stopped before the real clock is changed and started again
//! after the undo. Never: stops a program that is not a unit of systemd with one of these names.
use crate::{launch, run};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The units that set or slew the clock.
const UNITS: [&str; 7] = [
    "systemd-timesyncd.service",
    "chrony.service",
    "chronyd.service",
    "ntp.service",
    "ntpd.service",
    "ntpsec.service",
    "openntpd.service",
];
/// There where systemd runs.
const SYSTEMD: &str = "/run/systemd/system";
const DEADLINE: Duration = Duration::from_secs(4);

/// The time daemons of a node.
pub(super) trait TimeDaemons {
    /// Those that run.
    fn running(&self) -> Result<Vec<String>, String>;

    /// Stops one.
    fn stop(&self, unit: &str) -> Result<(), String>;

    /// Starts one; one that runs is left alone.
    fn start(&self, unit: &str) -> Result<(), String>;
}

/// Units of systemd; none where systemd does not run.
pub(super) struct Systemd;

impl TimeDaemons for Systemd {
    fn running(&self) -> Result<Vec<String>, String> {
        if !Path::new(SYSTEMD).is_dir() {
            return Ok(Vec::new());
        }
        // Its exit status says only whether all of them are active.
        let states = systemctl(&[&["is-active"], &UNITS[..]].concat())?.1;
        let active = UNITS.iter().zip(states.lines()).filter(|(_, state)| *state == "active");
        Ok(active.map(|(unit, _)| (*unit).to_owned()).collect())
    }

    fn stop(&self, unit: &str) -> Result<(), String> {
        succeed(&["stop", unit])
    }

    fn start(&self, unit: &str) -> Result<(), String> {
        succeed(&["start", unit])
    }
}

fn succeed(arguments: &[&str]) -> Result<(), String> {
    let (good, text) = systemctl(arguments)?;
    if good { Ok(()) } else { Err(format!("systemctl {}: {}", arguments.join(" "), text.trim())) }
}

/// Runs `systemctl`; whether it succeeded, and its output.
fn systemctl(arguments: &[&str]) -> Result<(bool, String), String> {
    let argv: Vec<String> = ["systemctl"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    let (command, _) = launch::command(&argv, &BTreeMap::new(), "", "")?;
    let ended = run::finish(command, &[], DEADLINE).map_err(|error| format!("systemctl: {error}"))?;
    if ended.late {
        return Err(format!("systemctl {}: no end within {} s", arguments.join(" "), DEADLINE.as_secs()));
    }
    let output = [ended.stdout, ended.stderr].concat();
    Ok((ended.status.is_some_and(|status| status.success()), String::from_utf8_lossy(&output).into_owned()))
}
