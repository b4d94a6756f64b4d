//! What commands and services have in common: program or script, a clean environment, a working folder, a user.
use crate::accounts::{Account, account};
use crate::sys::{self, Ids};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where programs are looked for, whatever the login shell said.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command without its output, and the user it shall become.
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

/// Names what could not be started.
pub(crate) fn name(argv: &[String]) -> String {
    argv.first().map_or_else(String::new, |first| first.chars().take(80).collect())
}
