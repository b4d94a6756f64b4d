//! Picks the processes of services that a [`ProcessSelection`] means, and finds them again.
use super::Context;
use crate::process;
use dsfuzz_nemesis::protocol::{PickedProcess, ProcessSelection};
use std::fs;

/// The processes of these services that the selection means.
pub(super) fn pick(
    services: &[String],
    selection: &ProcessSelection,
    context: &Context<'_>,
) -> Result<Vec<PickedProcess>, String> {
    let pattern = match selection.command.as_str() {
        "" => None,
        text => Some(regex_lite::Regex::new(text).map_err(|error| format!("match: {error}"))?),
    };
    let mut picked = Vec::new();
    for name in services {
        let first = context.services.first_process(name);
        for pid in context.services.processes(name) {
            let Some(stat) = process::stat(pid).filter(process::Stat::lives) else { continue };
            let is_first = first == Some((pid, stat.start));
            let part = selection.only.is_none_or(|only| (only == dsfuzz_nemesis::protocol::Only::First) == is_first);
            if part && pattern.as_ref().is_none_or(|pattern| pattern.is_match(&command_line(pid))) {
                picked.push(PickedProcess { service: name.clone(), pid, start: stat.start, first: is_first });
            }
        }
    }
    if selection.largest {
        picked = picked.into_iter().max_by_key(|process| resident_kib(process.pid)).into_iter().collect();
    }
    Ok(picked)
}

/// The resident memory of a process.
fn resident_kib(pid: u32) -> u64 {
    process::status_number(pid, "VmRSS").unwrap_or(0)
}

/// The reason to refuse an injection whose selection found no process of a service.
pub(super) fn nothing_picked(
    services: &[String],
    selection: &ProcessSelection,
    picked: &[PickedProcess],
    context: &Context<'_>,
) -> Option<String> {
    if selection.largest && !picked.is_empty() {
        return None;
    }
    let bare = services.iter().find(|name| picked.iter().all(|process| process.service != **name))?;
    let running = context.services.processes(bare).len();
    if running == 0 {
        return Some(format!("service {bare}: it does not run"));
    }
    let only = selection.only.map(|only| format!("`only: {}`", only.name()));
    let command = Some(&selection.command).filter(|text| !text.is_empty()).map(|text| format!("`match: {text}`"));
    let wanted: Vec<String> = only.into_iter().chain(command).collect();
    Some(format!("service {bare}: none of its {running} processes is meant by {}", wanted.join(" and ")))
}

/// The picked processes of a service.
pub(super) fn of<'a>(name: &'a str, picked: &'a [PickedProcess]) -> impl Iterator<Item = &'a PickedProcess> {
    picked.iter().filter(move |process| process.service == name)
}

/// Whether a picked process lives.
pub(super) fn lives(picked: &PickedProcess) -> bool {
    process::lives(picked.pid, picked.start)
}

/// Their process ids.
pub(super) fn pids<'a>(picked: impl Iterator<Item = &'a PickedProcess>) -> Vec<u32> {
    picked.map(|process| process.pid).collect()
}

/// The command line of a process, its arguments joined by blanks. It has the title that the process gave itself, if any.
fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    text.trim_end().to_owned()
}
