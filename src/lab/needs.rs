//! The requirements of a lab on this machine, and the message that lists the missing ones.
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Programs, each with its Debian package.
const PROGRAMS: [(&str, &str); 7] = [
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
];
/// Folders of administrators' programs, which PATH may lack.
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The path of a program.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = find(name, &format!("{path}:{FOLDERS}"));
    match found {
        Some(found) => Ok(found),
        None => {
            let package = PROGRAMS.iter().find(|(program, _)| *program == name).map_or(name, |(_, package)| package);
            bail!(
                "a lab needs the program {name}, which is not installed; on Debian and Ubuntu: apt-get install {package}"
            )
        }
    }
}

fn find(name: &str, folders: &str) -> Option<PathBuf> {
    folders
        .split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(name))
        .find(|p| p.is_file())
}

/// Whether a lab can be made here; if not, all missing requirements in one sentence.
pub(super) fn check(root: bool) -> Result<()> {
    // Without root there is no file system in a file.
    let needed = PROGRAMS.iter().filter(|(name, _)| root || *name != "mkfs.ext4");
    let missing: Vec<_> = needed.filter(|(name, _)| program(name).is_err()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    bail!(
        "a lab needs {}, which this machine lacks; on Debian and Ubuntu: apt-get install {}",
        names.join(", "),
        packages.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        assert_eq!(find("sshd", "/nonexistent:"), None);
        let message = program("no-such-program-here").unwrap_err().to_string();
        assert!(message.contains("no-such-program-here") && message.contains("apt-get install"), "{message}");
    }
}
