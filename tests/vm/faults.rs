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
load: {clients: 1n, rate: 20/s, time: 200s, deadline: 20s}
nemesis:
  every: 40s
  for: 12s
  faults: [{partition: {shape: majority}}, {kill: {nodes: one}}, {pause: {nodes: one}}, {clock: {jump: 1h, nodes: one}}]
";

pub(crate) fn faults(machines: &mut Machines) -> Vec<String> {
    let nodes: Vec<(&str, &str)> = machines.all().iter().map(|machine| (machine.name, machine.address)).collect();
    let addresses: Vec<&str> = nodes.iter().map(|(_, address)| *address).collect();
    let path = plan("faults", &format!("{PLAN}{}", cluster(machines, &addresses)));
    for index in 0..nodes.len() {
        let watch = format!(
            "{PERL_CLOCKS} $| = 1; while (1) {{ print clock(7), q( ), offset(), chr(10); select(undef, undef, undef, 0.1) }}"
        );
        machines.ssh(
            index,
            &format!("systemd-run --quiet --unit=watch -p StandardOutput=truncate:/run/watch perl -e '{watch}'"),
        );
    }
    let said = dsfuzz(&["run", &path, "--seed", "1", "--json"]);
    let mut lines = Vec::new();
    let run = printed(&said);
    for index in 0..nodes.len() {
        machines.ssh(index, "systemctl stop watch");
        lines.push(clock_line(nodes[index].1, &machines.ssh(index, "cat /run/watch")));
    }
    let stepped = lines.iter().filter(|line| line.contains("stepped")).count();
    assert_eq!(stepped, 1, "{lines:#?}");
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for fault in &run.history.faults {
        lines.push(format!("{}: {}", fault.kind, fault.detail.join("; ")));
        assert!(fault.proven.is_some() && fault.reproven.is_some() && fault.healed.is_some(), "{}", lines.join("\n"));
        *kinds.entry(&fault.kind).or_default() += 1;
    }
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), ["clock", "kill", "partition", "pause"]);
    assert_eq!(said.code, 0, "{}\n{}", run.verdict.sentence, said.stderr);
    lines.push(format!("{} operations: {}", run.history.ops().len(), run.verdict.sentence));
    lines
}

/// What a node's clock did: samples of the boot-time clock and of the wall clock against it.
fn clock_line(node: &str, samples: &str) -> String {
    let samples: Vec<(i64, i64)> = samples
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(at, offset)| Some((at.parse().ok()?, offset.parse().ok()?)))
        .collect();
    let (Some((_, before)), Some((_, after))) = (samples.first(), samples.last()) else {
        panic!("{node}: no sample of its clocks");
    };
    let off = |offset: i64| offset - before;
    let left = off(*after);
    assert!(left.abs() <= RESTORED_NS, "{node}: the clock is off by {left} ns at the end");
    let stepped: Vec<i64> =
        samples.iter().filter(|(_, offset)| off(*offset).abs() > HOUR_NS / 2).map(|s| s.0).collect();
    let (count, left) = (samples.len(), left as f64 / 1e6);
    match (stepped.first(), stepped.last()) {
        (Some(first), Some(last)) => {
            let by = samples.iter().map(|(_, offset)| off(*offset)).max_by_key(|off| off.abs()).unwrap_or(0);
            let right = (by.abs() - HOUR_NS).abs() <= RESTORED_NS;
            assert!(right, "{node}: the clock was off by {by} ns");
            let seconds = (last - first) as f64 / 1e9;
            format!(
                "{node}: stepped by {:+.6} s for {seconds:.1} s, then off by {left:+.3} ms ({count} samples)",
                by as f64 / 1e9
            )
        }
        _ => format!("{node}: true time all along, in the end off by {left:+.3} ms ({count} samples)"),
    }
}
