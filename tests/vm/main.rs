//! Faults on real kernels: three Debian VMs under qemu, hosts like any other, reached by SSH.
//!
//! ```text
//! make test-vm ARGS="--only doctor,faults"
//! ```
//!
//! The whole program runs in namespaces of its own: its bridge is in no network of the machine, and no VM outlives it.
mod doctor;
mod faults;
mod image;
mod machines;
mod netem;
mod power;
mod program;
mod refused;

use machines::Machines;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const USAGE: &str = "options: --only NAME,NAME (checks, in their order)";

/// A check: panics where something is not as it must be, and returns what it measured, one line each.
type Check = fn(&mut Machines) -> Vec<String>;

/// Every check, in the order in which they run.
const CHECKS: [(&str, Check); 5] = [
    ("refused", refused::refused),
    ("power", power::power),
    ("netem", netem::netem),
    ("doctor", doctor::doctor),
    ("faults", faults::faults),
];

/// The argument by which the program starts itself again inside its namespaces.
const INSIDE: &str = "--inside";

/// The folder of images, disks and results.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let inside = arguments.first().is_some_and(|first| first == INSIDE);
    let checks = match parse(&arguments[usize::from(inside)..]) {
        Ok(checks) => checks,
        Err(message) => {
            eprintln!("vm: {message}\n{USAGE}");
            return ExitCode::from(254);
        }
    };
    assert!(nix::unistd::geteuid().is_root(), "these tests need root, for namespaces");
    if inside { run(&checks) } else { enter(&arguments) }
}

/// The checks that the arguments name; without any, all of them.
fn parse(arguments: &[String]) -> Result<Vec<(&'static str, Check)>, String> {
    let names: Vec<&str> = match arguments {
        [] => return Ok(CHECKS.to_vec()),
        [option, names] if option == "--only" => names.split(',').collect(),
        _ => return Err(format!("'{}' is not understood", arguments.join(" "))),
    };
    if let Some(name) = names.iter().find(|name| !CHECKS.iter().any(|(check, _)| check == *name)) {
        let all: Vec<&str> = CHECKS.iter().map(|(check, _)| *check).collect();
        return Err(format!("no check '{name}' ({})", all.join(", ")));
    }
    Ok(CHECKS.into_iter().filter(|(check, _)| names.contains(check)).collect())
}

/// Makes the image, which needs the network, and becomes the same program inside its namespaces. All in them ends with it, and
/// it ends with the one that started it.
fn enter(arguments: &[String]) -> ExitCode {
    image::made();
    let program = std::env::current_exe().expect("this program");
    let failed = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL"])
        .arg("--mount-proc")
        .arg(program)
        .arg(INSIDE)
        .args(arguments)
        .exec();
    panic!("setpriv and unshare: {failed}");
}

fn run(checks: &[(&str, Check)]) -> ExitCode {
    let begun = Instant::now();
    let mut machines = Machines::new(image::made());
    let mut failed = Vec::new();
    for (name, check) in checks {
        let begun = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| check(&mut machines))) {
            Ok(lines) => {
                say(&format!("{name}: as it must be ({:.0} s)", begun.elapsed().as_secs_f64()));
                lines.iter().for_each(|line| say(&format!("  {line}")));
            }
            Err(_) => {
                say(&format!("{name}: FAILED ({:.0} s)", begun.elapsed().as_secs_f64()));
                failed.push(*name);
            }
        }
    }
    say(&format!("{} of {} checks failed ({:.0} s)", failed.len(), checks.len(), begun.elapsed().as_secs_f64()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line of the result, at once.
fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
