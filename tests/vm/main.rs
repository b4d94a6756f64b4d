//! Faults on real kernels: three Debian VMs under qemu, hosts like any other, reached by SSH.
//!
//! ```text
//! make test-vm ARGS="--only doctor,faults"
//! ```
//!
//! The whole program runs in namespaces of its own: its bridge is in no network of the machine, and no VM outlives it.
mod catalogue;
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

const USAGE: &str =
    "options: --only NAME,NAME (checks, in their order) | --forms TEXT,TEXT (forms of faults for catalogue)";

/// A check: panics where something is not as it must be, and returns what it measured, one line each.
type Check = fn(&mut Machines) -> Vec<String>;

/// Every check, in the order in which they run.
const CHECKS: [(&str, Check); 6] = [
    ("refused", refused::refused),
    ("power", power::power),
    ("netem", netem::netem),
    ("doctor", doctor::doctor),
    ("faults", faults::faults),
    (CATALOGUE, catalogue::catalogue),
];

/// The check that takes longer than all others together: only where it is named.
const CATALOGUE: &str = "catalogue";

/// What the arguments ask for.
struct Options {
    checks: Vec<(&'static str, Check)>,
    /// The forms of faults that the catalogue measures; all without any.
    forms: String,
}

/// The argument by which the program starts itself again inside its namespaces.
const INSIDE: &str = "--inside";

/// The folder of images, disks and results.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let inside = arguments.first().is_some_and(|first| first == INSIDE);
    let options = match parse(&arguments[usize::from(inside)..]) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("vm: {message}\n{USAGE}");
            return ExitCode::from(254);
        }
    };
    assert!(nix::unistd::geteuid().is_root(), "these tests need root, for namespaces");
    if inside { run(&options) } else { enter(&arguments) }
}

/// The checks that the arguments name; without any, all that are short.
fn parse(arguments: &[String]) -> Result<Options, String> {
    let short = CHECKS.into_iter().filter(|(name, _)| *name != CATALOGUE);
    let mut options = Options { checks: short.collect(), forms: String::new() };
    for pair in arguments.chunks(2) {
        match pair {
            [option, names] if option == "--only" => options.checks = chosen(names)?,
            [option, forms] if option == "--forms" => options.forms.clone_from(forms),
            _ => return Err(format!("'{}' is not understood", pair.join(" "))),
        }
    }
    Ok(options)
}

fn chosen(names: &str) -> Result<Vec<(&'static str, Check)>, String> {
    let names: Vec<&str> = names.split(',').collect();
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

fn run(options: &Options) -> ExitCode {
    let checks = &options.checks;
    let begun = Instant::now();
    let mut machines = Machines::new(image::made(), options.forms.clone());
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
