//! The same partition by the ssh client: what a nemesis takes that runs a command on each node.
use anyhow::{Context as _, Result, ensure};
use dsfuzz::cluster::SshTarget;
use dsfuzz::lab::Lab;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How the nodes are reached.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// One node after the other, a connection each.
    OneByOne,
    /// All nodes side by side, over connections that are open already (`ControlMaster`).
    Multiplexed,
}

/// Cuts n1 and n2 from n3, n4 and n5 by packet filters on every node, and heals; the times of the cuts, without any proof.
pub(crate) fn partitions(lab: &Lab, way: Way, rounds: usize) -> Result<Vec<Duration>> {
    let folder = tempfile::tempdir()?;
    let nodes = lab.nodes();
    let (minority, majority) = nodes.split_at(nodes.len() / 2);
    let cut = |(node, _): &(dsfuzz::cluster::Node, SshTarget)| {
        let within = minority.iter().any(|(other, _)| other.name == node.name);
        let others = if within { majority } else { minority };
        let others: Vec<String> = others.iter().map(|(other, _)| other.address.to_string()).collect();
        format!(
            "table ip dsfuzz_bench {{ chain in {{ type filter hook input priority -5; ip saddr {{ {} }} drop; }}; }}\n",
            others.join(", ")
        )
    };
    let cuts: Vec<(SshTarget, String)> = nodes.iter().map(|node| (node.1.clone(), cut(node))).collect();
    let heals: Vec<(SshTarget, String)> =
        nodes.iter().map(|node| (node.1.clone(), "delete table ip dsfuzz_bench\n".to_owned())).collect();
    let sockets = matches!(way, Way::Multiplexed).then(|| folder.path());
    let mut masters = Vec::new();
    if let Some(sockets) = sockets {
        for (_, target) in &nodes {
            masters.push(Master::open(lab, target, sockets)?);
        }
    }
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        on_all(lab, way, sockets, &cuts)?;
        times.push(begun.elapsed());
        on_all(lab, way, sockets, &heals)?;
    }
    Ok(times)
}

/// Gives every node its rules.
fn on_all(lab: &Lab, way: Way, sockets: Option<&Path>, rules: &[(SshTarget, String)]) -> Result<()> {
    match way {
        Way::OneByOne => rules.iter().try_for_each(|(target, text)| ended(start(lab, target, sockets, text)?)),
        Way::Multiplexed => {
            let started: Vec<Child> =
                rules.iter().map(|(target, text)| start(lab, target, sockets, text)).collect::<Result<_>>()?;
            started.into_iter().try_for_each(ended)
        }
    }
}

fn start(lab: &Lab, target: &SshTarget, sockets: Option<&Path>, rules: &str) -> Result<Child> {
    let mut ssh = ssh(lab, target, sockets)?;
    ssh.args(["nft", "-f", "-"]).stdin(Stdio::piped());
    let mut child = ssh.spawn()?;
    child.stdin.take().context("a pipe")?.write_all(rules.as_bytes())?;
    Ok(child)
}

fn ended(mut child: Child) -> Result<()> {
    let status = child.wait()?;
    ensure!(status.success(), "nft by ssh ended with {status}");
    Ok(())
}

fn ssh(lab: &Lab, target: &SshTarget, sockets: Option<&Path>) -> Result<std::process::Command> {
    let mut ssh = lab.command("ssh")?;
    ssh.args(["-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o"]);
    ssh.arg(format!("UserKnownHostsFile={}", target.known_hosts.display()));
    ssh.arg("-i").arg(target.key.as_ref().context("a lab's node without a key")?);
    if let Some(sockets) = sockets {
        ssh.arg("-o").arg(format!("ControlPath={}/%h", sockets.display()));
    }
    ssh.arg(format!("root@{}", target.host));
    Ok(ssh)
}

/// An open connection that others share; it ends with this value.
struct Master(Child);

impl Master {
    fn open(lab: &Lab, target: &SshTarget, sockets: &Path) -> Result<Master> {
        let mut command = ssh(lab, target, Some(sockets))?;
        command.args(["-N", "-o", "ControlMaster=yes"]).stdin(Stdio::null());
        let master = Master(command.spawn()?);
        let end = Instant::now() + Duration::from_secs(30);
        let open = || -> Result<bool> {
            let mut check = ssh(lab, target, Some(sockets))?;
            check.args(["-O", "check"]).stderr(Stdio::null());
            Ok(check.status()?.success())
        };
        while !open()? {
            ensure!(Instant::now() < end, "no connection to {} is open after 30 s", target.host);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(master)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
