//! A delay of 50 ms ± 10 by a fault, beside that of netem, which the kernel of a VM has as users' kernels have.
use crate::folder;
use crate::machines::{Machines, eventually};
use crate::program::{cluster, command, plan};
use std::fs;
use std::path::Path;
use std::time::Duration;

const PINGS: usize = 60;
/// What a median may be off.
const OFF_MS: f64 = 10.0;

/// Round trips from the first VM in milliseconds, sorted.
struct RoundTrips(Vec<f64>);

impl RoundTrips {
    fn to(machines: &Machines, address: &str) -> RoundTrips {
        let said = machines.ssh(0, &format!("ping -c {PINGS} -i 0.1 {address}"));
        let time = |line: &str| line.split_once("time=")?.1.split(' ').next()?.parse().ok();
        let mut times: Vec<f64> = said.lines().filter_map(time).collect();
        assert_eq!(times.len(), PINGS, "{said}");
        times.sort_by(f64::total_cmp);
        RoundTrips(times)
    }

    fn at(&self, percent: usize) -> f64 {
        self.0[(self.0.len() - 1) * percent / 100]
    }

    fn median(&self) -> f64 {
        self.at(50)
    }

    fn words(&self) -> String {
        let [least, quarter, median, more, most] = [0, 25, 50, 75, 100].map(|percent| self.at(percent));
        format!("median {median:.1} ms, half of them {quarter:.1} to {more:.1}, all {least:.1} to {most:.1}")
    }
}

pub(crate) fn netem(machines: &mut Machines) -> Vec<String> {
    machines.ready_for_faults();
    let (to, other) = ("10.78.0.2", "10.78.0.3");
    let (before, before_other) = (RoundTrips::to(machines, to), RoundTrips::to(machines, other));
    machines.ssh(0, "tc qdisc replace dev eth0 root netem delay 50ms 10ms");
    let by_netem = RoundTrips::to(machines, to);
    machines.ssh(0, "tc qdisc delete dev eth0 root");
    let ([by_fault, of_other], detail) = under_fault(machines, [to, other]);
    let after = RoundTrips::to(machines, to);
    let lines = vec![
        format!("n1 to n2 without a fault: {}", before.words()),
        format!("n1 to n2, `netem delay 50ms 10ms`: {}", by_netem.words()),
        format!(
            "n1 to n2, `packet: {{delay: {{mean: 50ms, jitter: 10ms}}, link: {{from: n1, to: n2}}}}`: {}",
            by_fault.words()
        ),
        format!("n1 to n3 meanwhile: {}, without a fault: {}", of_other.words(), before_other.words()),
        format!("n1 to n2 afterwards: {}", after.words()),
        detail,
    ];
    let all = lines.join("\n");
    for delayed in [&by_netem, &by_fault] {
        let added = delayed.median() - before.median();
        assert!((added - 50.0).abs() <= OFF_MS, "{added:.1} ms are added, not 50 ± {OFF_MS}\n{all}");
        // A busy machine only adds to a delay.
        assert!(delayed.at(0) >= 40.0, "{all}");
    }
    assert!((of_other.median() - before_other.median()).abs() <= OFF_MS, "another link is delayed\n{all}");
    assert!((after.median() - before.median()).abs() <= OFF_MS, "the delay is left\n{all}");
    lines
}

/// The round trips to these addresses while the fault is in force, and what the run says of it.
fn under_fault(machines: &Machines, to: [&str; 2]) -> ([RoundTrips; 2], String) {
    let names = machines.names_resolve();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prove/lone-redis");
    let text = format!(
        "name: delay\ntarget: {}\nworkload: {{set: {{}}}}\nload: {{clients: 3, rate: 3/s, time: 60s}}\n{}\
         nemesis: {{quiet_end: 1s, schedule: [{{id: slow, at: 2s, for: 50s, \
         packet: {{delay: {{mean: 50ms, jitter: 10ms}}, link: {{from: n1, to: n2}}}}}}]}}\n",
        target.display(),
        cluster(machines, &names)
    );
    let folder = folder().join("disks/results/delay");
    if folder.is_dir() {
        fs::remove_dir_all(&folder).expect("results of an earlier check");
    }
    let mut run = command(&["run", &plan("delay", &text), "--seed", "1"]);
    let mut run = run.stdout(std::process::Stdio::null()).spawn().expect("the program runs");
    let folders = || fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path().join("dsfuzz.log"));
    let log = || folders().find_map(|log| fs::read_to_string(log).ok()).unwrap_or_default();
    let step = |name: &str| log().lines().find(|line| line.contains(name)).map(str::to_owned);
    let proven = eventually("the fault is proven", Duration::from_secs(300), || {
        assert!(run.try_wait().expect("asked").is_none(), "the run ended: {}", log());
        step("step=proven")
    });
    let measured = to.map(|address| RoundTrips::to(machines, address));
    assert!(
        step("step=\"heal begun\"").or(step("step=heal begun")).is_none(),
        "the fault was healed too early: {}",
        log()
    );
    run.wait().expect("waited");
    assert!(step("step=healed").is_some(), "{}", log());
    let detail = proven.split_once("detail=").map_or("", |(_, detail)| detail).to_owned();
    (measured, format!("the fault's proof: {detail}"))
}
