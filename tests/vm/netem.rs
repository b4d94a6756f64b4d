//! The kernel of a VM has netem, as users' kernels have: the reference for faults that delay packets.
use crate::machines::Machines;

/// Round trips in milliseconds: least, mean, most, deviation.
fn round_trips(machines: &Machines) -> [f64; 4] {
    let said = machines.ssh(0, "ping -q -c 60 -i 0.1 10.78.0.2");
    let (_, values) = said.rsplit_once(" = ").expect("round trips");
    let values: Vec<f64> =
        values.trim_end_matches(" ms").split('/').map(|value| value.parse().expect("a number")).collect();
    values.try_into().expect("four values")
}

fn words([least, mean, most, deviation]: [f64; 4]) -> String {
    format!("least {least:.1}, mean {mean:.1}, most {most:.1}, deviation {deviation:.1} ms")
}

pub(crate) fn netem(machines: &mut Machines) -> Vec<String> {
    machines.booted(1);
    machines.booted(0);
    let before = round_trips(machines);
    machines.ssh(0, "tc qdisc replace dev eth0 root netem delay 50ms 10ms");
    let delayed = round_trips(machines);
    machines.ssh(0, "tc qdisc delete dev eth0 root");
    let after = round_trips(machines);
    // A busy machine only adds to a delay.
    assert!(delayed[0] >= 40.0 && before[0] < 40.0 && after[0] < 40.0, "{before:?} {delayed:?} {after:?}");
    vec![
        format!("without: {}", words(before)),
        format!("`netem delay 50ms 10ms`: {}", words(delayed)),
        format!("removed: {}", words(after)),
    ]
}
