//! Real clock steps are refused wherever a node shares its kernel, before the load begins, and no clock changes.
use crate::machines::Machines;
use crate::program::{cluster, dsfuzz, plan};
use std::time::{Instant, SystemTime};

const LAB: &str = "vm-refused";
const PLAN: &str = "name: refused\ntarget: etcd\nworkload: register\nload: {clients: 1n, rate: 20/s, time: 60s}\n\
                    nemesis: {faults: [{clock: {jump: 1h, nodes: all}}]}\n";

/// A network namespace with a mount of its own for the agent's folder: a container that may set the clock of its host.
const CONTAINER: &str = "\
set -e
mkdir -p /var/lib/dsfuzz
ip netns add two
ip link add two0 link eth0 type macvlan mode bridge
ip link set two0 netns two
ip -n two address add 10.78.0.11/24 dev two0
ip -n two link set lo up
ip -n two link set two0 up
systemd-run --quiet --unit=two ip netns exec two unshare --mount sh -c \
  'mount -t tmpfs two /var/lib/dsfuzz && exec /usr/sbin/sshd -D -o PidFile=none'
until ip netns exec two ss -ltn | grep -q :22; do sleep 0.2; done
";

pub(crate) fn refused(machines: &mut Machines) -> Vec<String> {
    let mut lines = Vec::new();
    let (wall, monotonic) = (SystemTime::now(), Instant::now());
    dsfuzz(&["lab", "up", "1", "--name", LAB]).exits(0);
    let text = format!("{PLAN}cluster: {{lab: {LAB}, ssh: {{own_kernel: true}}}}\n");
    let path = plan("refused-lab", &text);
    let (doctor, run) = (dsfuzz(&["doctor", &path]), dsfuzz(&["run", &path]));
    dsfuzz(&["lab", "down", LAB]).exits(0);
    let sentence = "this node shares its kernel with this machine, and a step of its real clock would reach both";
    doctor.exits(255).says(&[sentence, "these nodes cannot be tested as the plan asks"]);
    let run = run.exits(255).says(&[sentence, "clock needs step-clock: "]);
    lines.extend(run.stderr.lines().filter(|line| line.contains(sentence)).map(str::to_owned));
    let moved = wall.elapsed().map_or(f64::NEG_INFINITY, |wall| wall.as_secs_f64() - monotonic.elapsed().as_secs_f64());
    assert!(moved.abs() < 1.0, "this machine's clock moved by {moved} s");
    lines.push(format!("this machine's wall clock against its monotonic clock: {:+.3} ms", moved * 1e3));

    // A container with all capabilities on a VM: only the boot id tells that the clock is not its own.
    machines.booted(0);
    machines.ssh(0, CONTAINER);
    let before = offset_ns(machines);
    let path = plan("refused-container", &format!("{PLAN}{}", cluster(machines, &["10.78.0.1", "10.78.0.11"])));
    let (doctor, run) = (dsfuzz(&["doctor", &path]), dsfuzz(&["run", &path]));
    let after = offset_ns(machines);
    machines.ssh(0, "systemctl stop two; ip netns delete two");
    let sentences = ["this node shares its kernel with 10.78.0.11", "this node shares its kernel with 10.78.0.1,"];
    let doctor = doctor.exits(255).says(&sentences);
    let able = doctor.stdout.lines().filter(|line| line.contains("step-clock") && line.contains("yes")).count();
    assert_eq!(able, 2, "both may set the clock, so that the boot id alone refuses it:\n{}", doctor.stdout);
    let run = run.exits(255).says(&sentences);
    lines.extend(run.stderr.lines().filter(|line| line.contains(sentences[0])).map(str::to_owned));
    let moved = after - before;
    assert!(moved.abs() < 1_000_000_000, "the VM's clock moved by {moved} ns");
    lines.push(format!("the VM's wall clock against its boot-time clock: {:+.3} ms", moved as f64 / 1e6));
    lines
}

/// How far the wall clock of the first VM is ahead of its boot-time clock.
fn offset_ns(machines: &Machines) -> i64 {
    let text = machines.ssh(0, &format!("perl -e '{} print offset();'", crate::faults::PERL_CLOCKS));
    text.parse().expect("a number")
}
