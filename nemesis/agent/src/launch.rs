//! The shared start of commands and services: program or script, clean environment, working folder, user.
use crate::accounts::{Account, account};
use crate::sys::{self, Ids};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// The PATH, independent of the login shell's.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command without its output, and its user.
pub(crate) fn command(
    argv: &[String],
    env: &BTreeMap<String, String>,
    cwd: &str,
    user: &str,
) -> Result<(Command, Option<Ids>), String> {
    let mut command = match argv {
        [] => return Err("a command without a program".to_owned()),
        [script] => {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(script);
            shell
        }
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
    };
    let becomes = if user.is_empty() { None } else { Some(account(user)?) };
    let me =
        Account { name: "root".to_owned(), ids: Ids { uid: 0, gid: 0, groups: Vec::new() }, home: "/root".to_owned() };
    let who = becomes.as_ref().unwrap_or(&me);
    command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").env("SHELL", "/bin/sh");
    command.env("HOME", &who.home).env("USER", &who.name).env("LOGNAME", &who.name).envs(env);
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    if !Path::new(cwd).is_dir() {
        return Err(format!("working folder {cwd}: there is none"));
    }
    command.current_dir(cwd).stdin(Stdio::null());
    sys::unblock_signals(&mut command);
    Ok((command, becomes.map(|account| account.ids)))
}

/// The error of a failed start.
pub(crate) fn name(argv: &[String]) -> String {
    argv.first().map_or_else(String::new, |first| first.chars().take(80).collect())
}
