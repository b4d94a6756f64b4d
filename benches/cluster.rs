//! How fast a cluster is reached, broken and healed: five real nodes of a lab of its own, real agents, the real nemesis.
//!
//! Needs root. The lab ends with this program, however that ends.
mod by_ssh;
mod table;

use anyhow::{Context, Result, bail, ensure};
use by_ssh::Way;
use dsfuzz::lab::{self, Lab, Owner};
use dsfuzz::run::hosts::Hosts;
use dsfuzz::run::nemesis::{Executor, FaultOutcome};
use dsfuzz::run::recorder::Recorder;
use dsfuzz_nemesis::protocol::{Request, Service};
use dsfuzz_nemesis::{ClusterShape, ClusterView, FaultOptions, NemesisOptions, NodeView, Span, Timetable, timetable};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::Table;
use tokio::sync::watch;

const NODES: u16 = 5;
const LABS: usize = 5;
const ROUND_TRIPS: usize = 2_000;
const EXECS: usize = 20;
const SSH_PARTITIONS: usize = 12;
/// Every shape of partition comes at least three times.
const PARTITIONS: usize = 24;
const OTHER_HARMS: usize = 10;
const PARTITION_AIM: Duration = Duration::from_millis(100);
/// How long each fault is in force.
const IN_FORCE: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_secs(10);
const SERVICE: &str = "bench";
const RUN: &str = "bench";

fn main() -> Result<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(()); // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    ensure!(nix::unistd::geteuid().is_root(), "this bench needs root, for a lab");
    lab::use_program(env!("CARGO_BIN_EXE_dsfuzz"));
    let mut table = Table::new("a cluster of 5 nodes");
    labs(&mut table)?;
    let lab = Lab::up(&lab_name(LABS), NODES, Owner::ThisProcess)?;
    let measured = in_lab(&lab, &mut table);
    let down = lab.down();
    table.print();
    measured.and(down)
}

fn lab_name(round: usize) -> String {
    format!("bench-{}-{round}", std::process::id())
}

/// How long a lab takes to come and to go.
fn labs(table: &mut Table) -> Result<()> {
    let (mut ups, mut downs) = (Vec::new(), Vec::new());
    for round in 0..LABS {
        let (lab, up) = timed(|| Lab::up(&lab_name(round), NODES, Owner::ThisProcess))?;
        let ((), down) = timed(|| lab.down())?;
        ups.push(up);
        downs.push(down);
    }
    for (what, times) in [("lab up", &mut ups), ("lab down", &mut downs)] {
        times.sort();
        let (median, worst) = (quantile(times, 50), quantile(times, 100));
        let figure = format!("median {}, worst {}", ms(median), ms(worst));
        table.aimed(format!("{what}, {LABS} rounds"), figure, "< 2 s", worst < Duration::from_secs(2));
    }
    Ok(())
}

fn timed<T>(act: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let begun = Instant::now();
    let done = act()?;
    Ok((done, begun.elapsed()))
}

fn in_lab(lab: &Lab, table: &mut Table) -> Result<()> {
    // Before there are threads, so that all of them are in the lab's network.
    lab.enter()?;
    ssh_client(lab, table)?;
    ssh_channel(lab, table)?;
    partitions_by_ssh(lab, table)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let hosts = Hosts::connect(lab.nodes(), RUN.to_owned(), false).await?;
        table.row("5 agents put in place and greeted, side by side", ms(begun.elapsed()));
        let outcome = with_agents(lab, &hosts, table).await;
        hosts.bye(true).await;
        outcome
    })
}

/// One command by the system's client: a connection each.
fn ssh_client(lab: &Lab, table: &mut Table) -> Result<()> {
    let (_, target) = lab.nodes().swap_remove(0);
    let known = format!("UserKnownHostsFile={}", target.known_hosts.display());
    let key = target.key.context("a lab's node without a key")?;
    let mut times = Vec::new();
    for _ in 0..EXECS {
        let mut ssh = lab.command("ssh")?;
        ssh.args(["-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o"]);
        ssh.arg(&known).arg("-i").arg(&key).arg(format!("root@{}", target.host)).arg("true");
        let (status, took) = timed(|| Ok(ssh.status()?))?;
        ensure!(status.success(), "ssh ended with {status}");
        times.push(took);
    }
    table.row(format!("`true` by the ssh client, {EXECS} times"), spread(times));
    Ok(())
}

/// One command on a connection that is open already: a channel each.
fn ssh_channel(lab: &Lab, table: &mut Table) -> Result<()> {
    let (node, target) = lab.nodes().swap_remove(0);
    let mut session = ssh2::Session::new()?;
    session.set_tcp_stream(TcpStream::connect((node.address, 22))?);
    session.handshake()?;
    session.userauth_pubkey_file("root", None, &target.key.context("a lab's node without a key")?, None)?;
    let mut times = Vec::new();
    for _ in 0..EXECS {
        let (status, took) = timed(|| {
            let mut channel = session.channel_session()?;
            channel.exec("true")?;
            channel.send_eof()?;
            channel.wait_eof()?;
            channel.close()?;
            channel.wait_close()?;
            Ok(channel.exit_status()?)
        })?;
        ensure!(status == 0, "`true` ended with {status}");
        times.push(took);
    }
    table.row(format!("`true` by libssh2 on an open connection, {EXECS} times"), spread(times));
    Ok(())
}

/// A cut of every node from the other side by packet filters, as a tool does it that runs a command on each node; nothing is
/// proven.
fn partitions_by_ssh(lab: &Lab, table: &mut Table) -> Result<()> {
    for (how, way) in [
        ("one node after the other", Way::OneByOne),
        ("all nodes side by side over open connections (ControlMaster)", Way::Multiplexed),
    ] {
        let times = by_ssh::partitions(lab, way, SSH_PARTITIONS)?;
        table.row(format!("partition by the ssh client, {how}, {SSH_PARTITIONS} times, without proof"), spread(times));
    }
    Ok(())
}

async fn with_agents(lab: &Lab, hosts: &Arc<Hosts>, table: &mut Table) -> Result<()> {
    round_trips(hosts, table).await?;
    let folder = tempfile::tempdir()?;
    let names: Vec<String> = lab.nodes().iter().map(|(node, _)| node.name.to_string()).collect();
    let recorder = Recorder::create(&folder.path().join("journal"), &names, String::new())?;
    let executor = executor(lab, hosts, &recorder);
    let outcome = faults(hosts, &executor, table).await;
    let left: Vec<String> = executor
        .heal_all(tokio::sync::watch::channel(false).1)
        .await
        .into_iter()
        .filter(|heal| !heal.healed)
        .map(|heal| heal.node)
        .collect();
    recorder.end();
    ensure!(left.is_empty(), "not healed: {}", left.join(", "));
    outcome
}

async fn round_trips(hosts: &Hosts, table: &mut Table) -> Result<()> {
    let remote = hosts.remotes().swap_remove(0);
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        remote.ask(Request::Heartbeat, Vec::new(), DEADLINE).await?;
        times.push(begun.elapsed());
    }
    times.sort();
    let (median, late) = (quantile(&times, 50), quantile(&times, 99));
    let figure = format!("median {}, p99 {}, worst {}", ms(median), ms(late), ms(quantile(&times, 100)));
    let what = format!("agent round trip, {ROUND_TRIPS} requests");
    table.aimed(what, figure, "median < 1 ms", median < Duration::from_millis(1));
    Ok(())
}

fn executor(lab: &Lab, hosts: &Arc<Hosts>, recorder: &Arc<Recorder>) -> Executor {
    let nodes = lab.nodes().into_iter().map(|(node, _)| NodeView {
        name: node.name.to_string(),
        address: node.address,
        others: Vec::new(),
        ports: Vec::new(),
        port_roles: std::collections::BTreeMap::new(),
        services: vec![SERVICE.to_owned()],
        own_kernel: false,
    });
    let view = ClusterView { nodes: nodes.collect(), leaders: vec!["n3".to_owned()], ..ClusterView::default() };
    let (log, now) = (Arc::clone(recorder), Arc::clone(recorder));
    Executor::new(
        Arc::clone(hosts) as Arc<_>,
        hosts.run_name(),
        Arc::new(move |event| log.fault(event)),
        Arc::new(move |_| {
            let view = view.clone();
            Box::pin(async move { view })
        }),
        Arc::new(move || now.now()),
    )
}

async fn faults(hosts: &Hosts, executor: &Executor, table: &mut Table) -> Result<()> {
    let reports = play(executor, "partition", PARTITIONS).await?;
    let cold = reports.first().and_then(|report| report.prove_ms).context("no partition")?;
    let (proven, healed) = (sorted(&reports, |report| report.prove_ms), sorted(&reports, |report| report.heal_ms));
    let median = quantile(&proven, 50);
    let figure = format!("median {}, worst {}, the first {cold} ms", ms(median), ms(quantile(&proven, 100)));
    let what = format!("partition, decision to proof, {PARTITIONS} of every shape");
    table.aimed(what, figure, "worst < 100 ms", quantile(&proven, 100) < PARTITION_AIM);
    let fast = proven.iter().filter(|took| **took < PARTITION_AIM).count();
    table.row("partitions proven within 100 ms", format!("{fast} of {}", proven.len()));
    let figure = format!("median {}, worst {}", ms(quantile(&healed, 50)), ms(quantile(&healed, 100)));
    table.row("partition, heal to its proof", figure);
    serve(hosts).await?;
    for kind in ["kill", "pause", "clock"] {
        let reports = play(executor, kind, OTHER_HARMS).await?;
        let (proven, healed) = (sorted(&reports, |report| report.prove_ms), sorted(&reports, |report| report.heal_ms));
        let figure = format!("median {}, worst {}", ms(quantile(&proven, 50)), ms(quantile(&proven, 100)));
        table.row(format!("{kind}, decision to proof, {OTHER_HARMS} times"), figure);
        let figure = format!("median {}, worst {}", ms(quantile(&healed, 50)), ms(quantile(&healed, 100)));
        table.row(format!("{kind}, heal to its proof"), figure);
    }
    Ok(())
}

/// Something on each node that can be killed, stopped and lied to.
async fn serve(hosts: &Hosts) -> Result<()> {
    let argv = ["python3", "-c", "import time\nwhile True: time.sleep(0.01)"].map(str::to_owned).to_vec();
    let service =
        Service { name: SERVICE.to_owned(), argv, log: "/var/lib/dsfuzz/bench.log".to_owned(), ..Service::default() };
    for remote in hosts.remotes() {
        remote.ask(Request::Define(service.clone()), Vec::new(), DEADLINE).await?;
        remote.ask(Request::Start { service: SERVICE.to_owned(), again: false }, Vec::new(), DEADLINE).await?;
    }
    Ok(())
}

/// `count` faults of a kind, as a plan would draw them but one right after the other. All must be proven and healed.
async fn play(executor: &Executor, kind: &str, count: usize) -> Result<Vec<FaultOutcome>> {
    let fault: FaultOptions = serde_json::from_value(serde_json::json!({kind: {}}))?;
    let options = NemesisOptions { faults: vec![fault], ..NemesisOptions::default() };
    let load = Duration::from_secs(20 * count as u64);
    let drawn = timetable(
        7,
        &options,
        ClusterShape { nodes: NODES.into(), leads: true, quiet_end: Duration::ZERO, election: Duration::ZERO },
        load,
    );
    let mut faults = drawn.faults;
    ensure!(faults.len() >= count, "{} faults were drawn", faults.len());
    faults.truncate(count);
    for fault in &mut faults {
        (fault.at, fault.lasts) = (Span(Duration::ZERO), Span(IN_FORCE));
    }
    let table = Timetable { faults, ..drawn };
    let (_going, stop) = watch::channel(false);
    let reports = executor.run(&table, tokio::time::Instant::now(), stop).await;
    match reports.iter().find(|report| !(report.proven.is_some() && report.reproven.is_some() && report.healed)) {
        Some(bad) => bail!("{}: {}", bad.what, bad.problems.join("; ")),
        None => Ok(reports),
    }
}

fn sorted(reports: &[FaultOutcome], of: impl Fn(&FaultOutcome) -> Option<u64>) -> Vec<Duration> {
    let mut times: Vec<Duration> = reports.iter().filter_map(of).map(Duration::from_millis).collect();
    times.sort();
    times
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("median {}, worst {}", ms(quantile(&times, 50)), ms(quantile(&times, 100)))
}

/// Of sorted times; 100 is the last.
fn quantile(times: &[Duration], percent: usize) -> Duration {
    let last = times.len().saturating_sub(1);
    times.get((times.len() * percent / 100).min(last)).copied().unwrap_or_default()
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}
