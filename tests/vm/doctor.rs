//! What `doctor` says of hosts that own their kernels.
use crate::machines::Machines;
use crate::program::{cluster, dsfuzz, plan};

/// Each VM boots with systemd and can do all that its faults need, the real clock included.
pub(crate) fn doctor(machines: &mut Machines) -> Vec<String> {
    let addresses: Vec<&str> = machines.all().iter().map(|machine| machine.address).collect();
    let text = format!(
        "name: doctor\ntarget: etcd\nworkload: register\nload: {{clients: 1n, rate: 20/s, time: 120s}}\n{}\
         nemesis: {{faults: [partition, kill, pause, clock]}}\n",
        cluster(machines, &addresses)
    );
    let said = dsfuzz(&["doctor", &plan("doctor", &text)]).exits(0);
    let said = said.says(&["no other node has its boot id", "step-clock", "these nodes can be tested"]);
    let mut lines: Vec<String> = said.stdout.lines().map(str::to_owned).collect();
    for (index, address) in addresses.iter().enumerate() {
        let first = machines
            .ssh(index, "cat /proc/1/comm; uname -r; systemctl is-system-running || true; stat -fc %T /sys/fs/cgroup");
        lines.push(format!("{address}: {}", first.replace('\n', ", ")));
        assert!(first.starts_with("systemd\n") && first.ends_with("cgroup2fs"), "{first}");
    }
    lines
}
