//! Signals to the programs of a test.
use std::process::Command;
use std::time::Duration;

/// Sends a signal, as `kill` names it, to a process. After `-STOP` the process stands still.
///
/// # Panics
/// If the process is gone.
pub fn signal(process: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {signal} {process}");
    // A stop takes hold of each thread when it gets to it.
    let stopped = |thread: std::fs::DirEntry| {
        let state = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        state.rsplit(") ").next().is_some_and(|state| state.starts_with(['T', 't']))
    };
    let threads = || std::fs::read_dir(format!("/proc/{process}/task")).expect("a process").flatten();
    while signal == "-STOP" && !threads().all(stopped) {
        std::thread::sleep(Duration::from_millis(5));
    }
}
