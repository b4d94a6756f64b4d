//! Packages on a node. A package is not installed if its commands exist already. It never starts a daemon: `policy-rc.d`
//! forbids that while apt runs, and is removed afterwards if it is ours.
use super::super::error::TargetError;
use super::super::node_commands;
use super::super::recipe::Package;
use super::registry;
use crate::cluster::{Remote, quoted};
use dsfuzz_nemesis::protocol::Command;
use std::time::Duration;

/// The mark of our `policy-rc.d`.
const MARK: &str = "written by dsfuzz";
const INSTALL: Duration = Duration::from_secs(600);
const UPDATE: Duration = Duration::from_secs(180);

/// Packages missing on the node.
pub(super) async fn missing(remote: &dyn Remote, packages: &[Package]) -> Result<Vec<String>, TargetError> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let checks: Vec<String> = packages
        .iter()
        .map(|package| {
            let name = quoted(package.title());
            let there = if package.is_brought() {
                let folder = package.folder();
                let each =
                    package.provides.iter().map(|path| format!("[ -x {} ]", quoted(&format!("{folder}/{path}"))));
                each.collect::<Vec<_>>().join(" && ")
            } else if package.provides.is_empty() {
                format!("dpkg-query -W -f '${{Status}}' {name} 2>/dev/null | grep -q 'ok installed'")
            } else {
                let each: Vec<String> = package
                    .provides
                    .iter()
                    .map(|command| format!("command -v {} >/dev/null", quoted(command)))
                    .collect();
                each.join(" && ")
            };
            format!("{{ {there}; }} || echo {name}")
        })
        .collect();
    let script = format!("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n{}", checks.join("\n"));
    let printed = node_commands::run(remote, "look for packages", shell(script, Duration::from_secs(20))).await?;
    Ok(printed.lines().map(str::to_owned).collect())
}

/// Those of the missing packages that are Debian's.
pub(super) fn debian(packages: &[Package], missing: &[String]) -> Vec<String> {
    let is_debian = |name: &&String| packages.iter().any(|package| package.name == **name);
    missing.iter().filter(is_debian).cloned().collect()
}

/// Whether the node belongs to a lab: it then uses this machine's programs and reaches no package source.
pub(super) async fn in_a_lab(remote: &dyn Remote) -> Result<bool, TargetError> {
    let look = shell("test -d /etc/dsfuzz-lab && echo lab || true".to_owned(), Duration::from_secs(20));
    Ok(node_commands::run(remote, "look whether it is a lab", look).await?.trim() == "lab")
}

/// The advice for packages missing in a lab.
pub(super) fn for_a_lab(packages: &[String]) -> String {
    format!(
        "a lab's nodes use this machine's programs: `apt-get install -y --no-install-recommends {}` on this machine, as \
         root (no daemon of them has to run)",
        packages.join(" ")
    )
}

/// Installs the missing packages.
pub(super) async fn install(remote: &dyn Remote, packages: &[Package]) -> Result<(), TargetError> {
    let lacking = missing(remote, packages).await?;
    let brought = packages.iter().filter(|package| package.is_brought());
    for package in brought.filter(|package| lacking.iter().any(|name| name == package.title())) {
        registry::bring(remote, package).await?;
    }
    let wanted = debian(packages, &lacking);
    if wanted.is_empty() {
        return Ok(());
    }
    if in_a_lab(remote).await? {
        let node = remote.node().name.clone();
        return Err(TargetError::Package { node, package: wanted.join(" "), message: for_a_lab(&wanted) });
    }
    let mut outcome = apt_install(remote, &wanted).await;
    if outcome.as_ref().is_err_and(|error| not_found(&error.to_string())) {
        let update = "export DEBIAN_FRONTEND=noninteractive\nexec apt-get update -q -o DPkg::Lock::Timeout=120";
        // A failed update is no reason to stop: the install reports missing packages.
        let _ = node_commands::run(remote, "apt-get update", shell(update.to_owned(), UPDATE)).await;
        outcome = apt_install(remote, &wanted).await;
    }
    let node = remote.node().name.clone();
    if let Err(error) = outcome {
        let TargetError::Command { ended, output, .. } = error else { return Err(error) };
        let text = format!("apt-get ended with {ended}{output}");
        let package =
            wanted.iter().find(|name| text.contains(name.as_str())).cloned().unwrap_or_else(|| wanted.join(" "));
        let hint = if not_found(&text) {
            "apt knows no such package, also after apt-get update: add a source for it, or install by hand a program that provides its commands"
        } else {
            "see what apt said, mend it on the node, and run again"
        };
        return Err(TargetError::Package { node, package, message: format!("{hint}; {text}") });
    }
    match missing(remote, packages).await?.first() {
        None => Ok(()),
        Some(package) => {
            let provides =
                packages.iter().find(|known| known.title() == *package).map(|known| known.provides.join(", "));
            let message = format!(
                "apt installed it, but {} is still not there; mend `packages:` of the recipe",
                provides.unwrap_or_default()
            );
            Err(TargetError::Package { node, package: package.clone(), message })
        }
    }
}

async fn apt_install(remote: &dyn Remote, packages: &[String]) -> Result<(), TargetError> {
    let names: Vec<String> = packages.iter().map(|name| quoted(name)).collect();
    let script = format!(
        "policy=/usr/sbin/policy-rc.d\n\
         [ -e $policy ] || {{ printf '#!/bin/sh\\n# {MARK}\\nexit 101\\n' > $policy && chmod 755 $policy; }}\n\
         export DEBIAN_FRONTEND=noninteractive\n\
         exec apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 {}",
        names.join(" ")
    );
    let outcome = node_commands::run(remote, "apt-get install", shell(script, INSTALL)).await;
    // A separate command, so that it is removed even if apt was killed at its deadline.
    let tidy = format!("policy=/usr/sbin/policy-rc.d\nif grep -qs '{MARK}' $policy; then rm -f $policy; fi");
    let tidied = node_commands::run(remote, "remove policy-rc.d", shell(tidy, Duration::from_secs(10))).await;
    outcome.and(tidied).map(drop)
}

fn not_found(said: &str) -> bool {
    ["Unable to locate package", "has no installation candidate", "404  Not Found"]
        .iter()
        .any(|words| said.contains(words))
}

pub(super) fn shell(script: String, deadline: Duration) -> Command {
    let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    Command { argv: vec![script], deadline_ms, ..Command::default() }
}
