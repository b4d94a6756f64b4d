//! Nodes with a firewall, queueing disciplines, routes and control groups of their own: random faults leave them as they are, byte
//! for byte. `make foreign` runs more faults.
use crate::nodes::Lab;
use crate::stage::{Stage, history};
use dsfuzz_nemesis::FAULTS;
use std::collections::BTreeMap;

/// Faults in the ordinary tests.
const FEW: u64 = 8;

/// What a host may have: nftables, iptables of both families, traffic control, rules of routing, control groups with a process.
const SET_UP: &str = r#"set -e
nft -f - <<E
table inet shop {
  set allowed { type ipv4_addr; flags interval; elements = { 10.77.0.0/24, 192.0.2.0/24 }; }
  chain in { type filter hook input priority 0; policy accept; ip saddr @allowed accept; tcp dport 25 drop; }
  chain out { type filter hook output priority -300; policy accept; ip daddr 203.0.113.7 drop; }
}
table ip6 shop6 { chain in { type filter hook input priority 10; policy accept; udp dport 9 drop; }; }
E
for iptables in iptables ip6tables; do
  $iptables -N SHOP
  $iptables -A INPUT -p tcp --dport 2525 -j DROP
  $iptables -A INPUT -j SHOP
  $iptables -t mangle -A POSTROUTING -p tcp --dport 2526 -j MARK --set-mark 7
done
tc qdisc add dev eth0 root handle 1: htb default 10
tc class add dev eth0 parent 1: classid 1:10 htb rate 900mbit quantum 60000
tc class add dev eth0 parent 1: classid 1:20 htb rate 1mbit quantum 1514
tc filter add dev eth0 parent 1: protocol ip prio 5 u32 match ip dport 2527 0xffff flowid 1:20
tc qdisc add dev lo root handle 2: tbf rate 4gbit burst 1m latency 50ms
ip rule add from 198.51.100.0/24 table 77
ip route add 198.51.100.0/24 dev eth0 table 77
ip route add blackhole 203.0.113.0/24
mkdir -p /sys/fs/cgroup/shop/worker
setsid sh -c 'echo $$ > /sys/fs/cgroup/shop/worker/cgroup.procs; exec sleep 100000' >/dev/null 2>&1 </dev/null &
until [ -n "$(cat /sys/fs/cgroup/shop/worker/cgroup.procs)" ]; do sleep 0.05; done
# Addresses that are not confirmed yet would appear later.
until [ -z "$(ip -6 addr show tentative)" ]; do sleep 0.05; done
echo made"#;

/// The set-up as the node's own tools show it.
const DUMP: &str = r#"
# Without counters, which count the traffic.
nft -s -a list ruleset 2>/dev/null
for save in iptables-save ip6tables-save; do $save 2>/dev/null | grep -v '^#' | sed 's/ \[[0-9:]*\]$//'; done
for dev in eth0 lo; do
  for kind in qdisc class filter; do echo "$kind of $dev"; tc $kind show dev $dev; done
  tc filter show dev $dev parent 1: 2>/dev/null; tc qdisc show dev $dev clsact
done
ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; ip -o link | sed 's/ qlen.*//'
find /sys/fs/cgroup -type d | sort
for file in shop/cgroup.freeze shop/worker/cgroup.freeze shop/worker/cgroup.procs; do echo "$file: $(cat /sys/fs/cgroup/$file)"; done
for pid in $(cat /sys/fs/cgroup/shop/worker/cgroup.procs); do sed 's/^[0-9]* (.*) \(.\).*/state \1/' /proc/$pid/stat; prlimit --pid $pid; done
ls -A /etc/cron.d /run 2>/dev/null | grep -v '^dsfuzz$'
"#;

/// A custom fault is what a recipe or a plan defines.
const OWN: &str = "{own: {name: mark, nodes: minority, begin: 'touch {{ dir }}/mark', prove: 'test -e {{ dir }}/mark', \
                   heal: 'rm -f {{ dir }}/mark', healed: 'test ! -e {{ dir }}/mark'}}";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(default, |text| text.parse().expect(name))
}

#[test]
fn random_faults_leave_a_foreign_set_up_as_it_was() {
    let (faults, seed) = (number("DSFUZZ_TEST_FAULTS", FEW), number("DSFUZZ_TEST_SEED", 1));
    let stage = Stage::new();
    let lab = Lab::up(&stage, 3);
    let nodes = ["n1", "n2", "n3"];
    for node in nodes {
        assert_eq!(lab.ask(node, SET_UP), "made");
    }
    let dumps = || nodes.map(|node| lab.ask(node, DUMP));
    let before = dumps();
    for part in [
        "table inet shop",
        "table ip6 shop6",
        "--dport 2525",
        "htb 1:",
        "htb 1:20",
        "tbf 2:",
        "blackhole",
        "shop/worker",
        "state S",
    ] {
        assert!(before.iter().all(|dump| dump.contains(part)), "{part}: {}", before[0]);
    }
    let kind = |name: &'static str| match name {
        // A loop of restarts needs more than one in a fault.
        "restart" => "{restart: {every: 300ms}}",
        "cpu" => "{cpu: {limit: 50%}}, {cpu: {burn: 1}}",
        "memory" => "{memory: {headroom: 32MB}}, {memory: {oom: true}}",
        "own" => OWN,
        name => name,
    };
    let kinds: Vec<&str> = FAULTS.iter().map(|facts| kind(facts.name)).collect();
    // Each takes 2 s and some time to be verified.
    let plan = format!(
        "name: foreign\ncluster: {{lab: {}}}\ntarget: etcd\noptions: {{etcd: {{heartbeat_ms: 50, election_ms: 500}}}}\n\
         workload: {{register: {{keys: 4}}}}\nevidence: {{ok_min: 1}}\n\
         load: {{clients: 1n, rate: 20/s, time: {}s, deadline: 500ms}}\n\
         nemesis: {{every: 2500ms, for: 800ms, quiet_start: 1s, quiet_end: 4s, skip_unable: true, faults: [{}]}}\n",
        lab.name,
        faults * 3 + 5,
        kinds.join(", ")
    );
    let plan = stage.write("plan.yaml", &plan);
    let output = stage.run(&["run", &plan, "--seed", &seed.to_string()]);
    assert!([0, 2].contains(&output.code), "{output}");
    let history = history(&stage.latest("foreign"));
    let mut came: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in history.faults.iter().filter(|fault| fault.begun.is_some()) {
        *came.entry(&fault.kind).or_default() += 1;
        assert!(!fault.unhealed, "{fault:?}");
    }
    println!("{} faults began (seed {seed}): {came:?}", came.values().sum::<usize>());
    assert!(came.values().sum::<usize>() as u64 >= faults, "{came:?}\n{output}");
    for (node, (before, after)) in nodes.iter().zip(before.iter().zip(dumps())) {
        let changed = |one: &str, other: &str| {
            one.lines().filter(|line| !other.lines().any(|same| same == *line)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(*before == after, "{node}: gone {:#?}, new {:#?}", changed(before, &after), changed(&after, before));
        println!("{node}: {} bytes of dumps are as before", after.len());
    }
}
