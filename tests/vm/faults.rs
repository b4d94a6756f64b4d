//! A whole run on VMs: partition, kill, pause, and the real clock stepped and put right.
use crate::machines::Machines;
use crate::program::{cluster, dsfuzz, plan, printed};
use std::collections::BTreeMap;

/// Clocks by system calls of their own: no fault on processes reaches them. `offset` is the wall clock minus the boot-time clock,
/// from the narrowest of several readings.
pub(crate) const PERL_CLOCKS: &str = "\
my $b = chr(0) x 16; \
sub clock { syscall(228, $_[0] + 0, $b); my ($s, $n) = unpack(q(q2), $b); $s * 1000000000 + $n } \
sub offset { my ($best, $off) = (1e18, 0); for (1..5) { my $a = clock(7); my $w = clock(0); my $z = clock(7); \
if ($z - $a < $best) { $best = $z - $a; $off = $w - int(($a + $z) / 2) } } $off }";

/// The largest difference from the true time that a restored clock may have.
const RESTORED_NS: i64 = 50_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;

const PLAN: &str = "\
name: faults
target: etcd
options: {etcd: {heartbeat_ms: 500, election_ms: 5000}}
workload: {register: {keys: 4}}
check: [linearizable]
load: {clients: 1n, rate: 20/s, time: 230s, deadline: 20s}
nemesis:
  every: 40s
  for: 12s
  faults:
    - {partition: {shape: majority}}
    - {kill: {nodes: one}}
    - {pause: {nodes: one}}
    - {clock: {jump: 1h, nodes: one}}
    - {clock: {drift: 5%, nodes: one}}
";

/// What an administrator may have set up: a queueing discipline and a firewall.
const FOREIGN: &str = "\
set -e
tc qdisc replace dev eth0 root netem delay 2ms 1ms
nft add table inet own
nft 'add set inet own banned { type ipv4_addr; flags timeout; elements = { 192.0.2.7 } }'
nft 'add chain inet own input { type filter hook input priority 0; policy accept; }'
nft 'add rule inet own input ip saddr @banned drop'
";

/// The parts of a host that faults might change.
const SET_UP: &str = "\
tc qdisc show; nft list ruleset; ip rule; ip route; mount
systemctl list-units --type=service,timer --state=active --plain --no-legend | cut -d' ' -f1 | grep -v ^watch | sort
";

pub(crate) fn faults(machines: &mut Machines) -> Vec<String> {
    let addresses: Vec<&str> = machines.all().iter().map(|machine| machine.address).collect();
    let path = plan("faults", &format!("{PLAN}{}", cluster(machines, &addresses)));
    let watch = format!(
        "{PERL_CLOCKS} $| = 1; while (1) {{ print clock(7), q( ), offset(), chr(10); select(undef, undef, undef, 0.1) }}"
    );
    let watch = format!("systemd-run --quiet --unit=watch -p StandardOutput=truncate:/run/watch perl -e '{watch}'");
    let mut set_up = Vec::new();
    for index in 0..addresses.len() {
        machines.ssh(index, &watch);
        machines.ssh(index, FOREIGN);
        set_up.push(machines.ssh(index, SET_UP));
    }
    let said = dsfuzz(&["run", &path, "--seed", "1", "--json"]);
    let run = printed(&said);
    let (mut lines, mut changes, mut all_stops) = (Vec::new(), Vec::new(), 0);
    for (index, node) in addresses.iter().enumerate() {
        machines.ssh(index, "systemctl stop watch");
        let (found, line) = clock_changes(&machines.ssh(index, "cat /run/watch"));
        lines.push(format!("{node}: {line}"));
        changes.extend(found);
        let daemon = machines
            .ssh(index, "systemctl is-active systemd-timesyncd; journalctl -b -u systemd-timesyncd -o cat --no-pager");
        let stops = daemon.lines().filter(|line| line.starts_with("Stopped ")).count();
        all_stops += stops;
        lines.push(format!(
            "{node}: systemd-timesyncd is {}, was stopped {stops} times",
            daemon.lines().next().unwrap_or("")
        ));
        assert!(daemon.starts_with("active\n"), "{node}: {daemon}");
    }
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for fault in &run.history.faults {
        lines.push(format!("{}: {}", fault.kind, fault.detail.join("; ")));
        *kinds.entry(&fault.kind).or_default() += 1;
    }
    let all = lines.join("\n");
    for fault in &run.history.faults {
        assert!(fault.proven.is_some() && fault.reproven.is_some() && fault.healed.is_some(), "{}\n{all}", fault.kind);
    }
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), ["clock", "kill", "partition", "pause"], "{all}");
    let jumps = changes.iter().filter(|by| (by.abs() - HOUR_NS).abs() <= RESTORED_NS).count();
    let drifts = changes.iter().filter(|by| (200_000_000..1_500_000_000).contains(&by.abs())).count();
    assert!(jumps >= 1 && drifts >= 1 && jumps + drifts == changes.len(), "{changes:?}\n{all}");
    assert_eq!(all_stops, changes.len(), "the time daemon was not stopped for each real clock:\n{all}");
    for (index, node) in addresses.iter().enumerate() {
        assert_eq!(machines.ssh(index, SET_UP), set_up[index], "{node}: its set-up has changed");
    }
    lines.push("queueing disciplines, nftables, routes, mounts and services of each host: as before".to_owned());
    assert_eq!(said.code, 0, "{}\n{}\n{all}", run.verdict.sentence, said.stderr);
    lines.push(format!("{} operations: {}", run.history.ops().len(), run.verdict.sentence));
    lines
}

/// The changes of a node's clock, each by the most that it was off, and what it did in words. `samples` has the boot-time clock and
/// the wall clock against it.
fn clock_changes(samples: &str) -> (Vec<i64>, String) {
    let samples: Vec<(i64, i64)> = samples
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(at, offset)| Some((at.parse().ok()?, offset.parse().ok()?)))
        .collect();
    let (before, after) = (samples.first().expect("a sample").1, samples.last().expect("a sample").1);
    let mut changes: Vec<(i64, i64, i64)> = Vec::new();
    let mut wrong = false;
    for (at, offset) in &samples {
        let off = offset - before;
        let was_wrong = std::mem::replace(&mut wrong, off.abs() > RESTORED_NS);
        match changes.last_mut() {
            Some((_, end, by)) if wrong && was_wrong => {
                (*end, *by) = (*at, if off.abs() > by.abs() { off } else { *by });
            }
            _ if wrong => changes.push((*at, *at, off)),
            _ => {}
        }
    }
    let left = after - before;
    assert!(left.abs() <= RESTORED_NS, "the clock is off by {left} ns at the end");
    let mut words: Vec<String> = changes
        .iter()
        .map(|(begin, end, by)| {
            format!("off by {:+.6} s at most, for {:.1} s", *by as f64 / 1e9, (end - begin) as f64 / 1e9)
        })
        .collect();
    words.push(format!("in the end off by {:+.3} ms ({} samples)", left as f64 / 1e6, samples.len()));
    (changes.into_iter().map(|(_, _, by)| by).collect(), words.join("; "))
}
