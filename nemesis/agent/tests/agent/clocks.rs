//! Skewed clocks of real servers: etcd (Go), Redis (C), ZooKeeper (Java) and PostgreSQL, which forks. One more Redis has no fault.
//! Nothing here changes the machine's clock.
use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{Injection, Request, Response};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

/// Longer than the test: nothing is asked of the agent while the servers are watched.
const LEASE_MS: u64 = 300_000;
const SKEWED: [&str; 4] = ["etcd", "redis", "zookeeper", "postgres"];
const OTHER: &str = "other";
/// Prints, for each server, its name and its wall clock in seconds.
const ASK: &str = r#"
import sys, socket, re, subprocess, email.utils, urllib.request, datetime
dir = sys.argv[1]
def tcp(port, line):
    s = socket.create_connection(("127.0.0.1", port), 5); s.sendall(line); return s.recv(4096)
def redis(port):
    words = tcp(port, b"TIME\r\n").split(); return int(words[2]) + int(words[4]) / 1e6
def etcd():
    date = urllib.request.urlopen("http://127.0.0.1:2379/version", timeout=5).headers["Date"]
    return email.utils.parsedate_to_datetime(date).timestamp()
def zookeeper():
    s = socket.create_connection(("127.0.0.1", 2181), 5); s.sendall(b"srvr")
    answer = b"".join(iter(lambda: s.recv(4096), b""))
    assert b"Mode: standalone" in answer, answer
    lines = [line for line in open(dir + "/zookeeper.out") if "srvr command" in line]
    return datetime.datetime.fromisoformat(re.search(r"\S+T\S+", lines[-1])[0]).timestamp()
def postgres():
    return float(subprocess.check_output(["psql", "-h", "127.0.0.1", "-U", "postgres", "-tAc",
        "select extract(epoch from clock_timestamp())"], timeout=20))
for name, ask in dict(etcd=etcd, redis=lambda: redis(6379), zookeeper=zookeeper, postgres=postgres,
        other=lambda: redis(6380)).items():
    print(name, ask())
"#;

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

fn real_s() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// How far each server's clock is off, in seconds: not less and not more than these.
type Offsets = BTreeMap<String, (f64, f64)>;

/// Asks all servers once; none while one of them does not answer.
fn offsets(node: &Node) -> Option<Offsets> {
    let before = real_s();
    let text = node.sh(&format!("python3 {} {}", node.path("ask.py"), node.path("")));
    let after = real_s();
    let line = |line: &str| {
        let (name, shown) = line.split_once(' ')?;
        let shown: f64 = shown.parse().ok()?;
        // Some of them show whole seconds.
        Some((name.to_owned(), (shown - after, shown + 1.0 - before)))
    };
    let all: Offsets = text.lines().filter_map(line).collect();
    if all.len() == SKEWED.len() + 1 {
        return Some(all);
    }
    println!("not all answer: {}", text.lines().last().unwrap_or_default());
    None
}

fn servers(agent: &mut Channel, node: &Node) {
    let dir = node.path("");
    std::fs::write(node.path("ask.py"), ASK).expect("written");
    std::fs::write(
        node.path("zoo.cfg"),
        format!(
            "dataDir={dir}/zk\nclientPort=2181\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             4lw.commands.whitelist=srvr\n"
        ),
    )
    .expect("written");
    agent.service(
        node,
        "etcd",
        &[
            "etcd",
            "--data-dir",
            &format!("{dir}/etcd"),
            "--listen-client-urls",
            "http://127.0.0.1:2379",
            "--advertise-client-urls",
            "http://127.0.0.1:2379",
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
        ],
    );
    for (name, port) in [("redis", "6379"), (OTHER, "6380")] {
        agent.service(node, name, &["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""]);
    }
    let paths = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar";
    let format = "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX";
    let main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
    agent.service(
        node,
        "zookeeper",
        &[
            "java",
            "-Xmx128m",
            "-XX:-UsePerfData",
            "-XX:-UseContainerSupport",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            format,
            "-cp",
            paths,
            main,
            &node.path("zoo.cfg"),
        ],
    );
    let script = format!(
        "set -e; bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1); install -d -o postgres {dir}/pg; \
         chmod o+x {dir}; as='setpriv --reuid postgres --regid postgres --init-groups'; \
         $as $bin/initdb -D {dir}/pg -A trust --no-sync >/dev/null; \
         exec $as $bin/postgres -D {dir}/pg -h 127.0.0.1 -k {dir}/pg -c fsync=off"
    );
    agent.service(node, "postgres", &[&script]);
}

#[test]
fn servers_in_go_c_and_java_see_each_skew_and_only_they() {
    let (began, wall) = (Instant::now(), real_s());
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    servers(&mut agent, &node);
    let right = |(least, most): (f64, f64)| least <= 0.0 && most >= 0.0;
    node.until("all servers answer", || offsets(&node).is_some_and(|all| all.values().all(|off| right(*off))));

    // Waits until the skewed servers' clocks are as they should be; the other's is right all the time.
    let sees = |what: &str, holds: &dyn Fn(&str, (f64, f64)) -> bool| {
        let mut last = None;
        node.until(what, || {
            let Some(all) = offsets(&node) else { return false };
            assert!(right(all[OTHER]), "{what}: {all:?}");
            last = Some(all);
            let all = last.as_ref().expect("just set");
            SKEWED.iter().all(|name| holds(name, all[*name]))
        });
        println!("{what}: {last:.1?}");
    };
    let near = |wanted: f64| move |_: &str, (least, most): (f64, f64)| least <= wanted && wanted <= most;

    let hour_ns = 3_600_000_000_000;
    let services = || names(&SKEWED);
    agent.inject(1, Injection::ShiftClock { services: services(), offset_ns: hour_ns });
    agent.proven(1);
    sees("a jump by an hour", &near(3600.0));
    // Started again, they keep it.
    for name in ["etcd", "redis"] {
        let before = agent.pids(name);
        agent.done(Request::Stop { service: name.to_owned(), signal: 9, grace_ms: 0 });
        agent.start(name, true);
        assert_ne!(agent.pids(name), before);
    }
    sees("a jump by an hour, two servers started again", &near(3600.0));
    agent.healed(1);
    sees("after the jump", &near(0.0));

    agent.inject(2, Injection::StrobeClock { services: services(), offset_ns: -hour_ns, period_ms: 300 });
    agent.proven(2);
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    sees("both turns of a strobe", &|name, off| {
        let turn = [0.0, -3600.0].into_iter().position(|wanted| near(wanted)(name, off));
        seen.borrow_mut().insert((name.to_owned(), turn.expect("one of the two")));
        (0..2).all(|turn| seen.borrow().contains(&(name.to_owned(), turn)))
    });
    agent.healed(2);
    sees("after the strobe", &near(0.0));

    for (fault, rate_ppm) in [(3, 900_000), (4, -500_000)] {
        let begun = Instant::now();
        agent.inject(fault, Injection::DriftClock { services: services(), rate_ppm });
        let injected = Instant::now();
        agent.proven(fault);
        sees(&format!("a drift of {rate_ppm} ppm"), &|name, (least, most)| {
            let rate = rate_ppm as f64 / 1e6;
            let gains = [begun.elapsed(), injected.elapsed()].map(|passed| passed.as_secs_f64() * rate);
            // The servers were asked up to some time ago.
            let (low, high) = (gains[0].min(gains[1]).min(0.0), gains[0].max(gains[1]).max(0.0));
            assert!(most >= low && least <= high, "{name}: {least} to {most}, not {low} to {high}");
            if rate > 0.0 { least >= 3.0 } else { most <= -3.0 }
        });
        agent.healed(fault);
        sees("after the drift", &near(0.0));
    }

    agent.inject(5, Injection::FreezeClock { services: services() });
    agent.proven(5);
    sees("a standstill", &|_, (_, most)| most <= -3.0);
    agent.done(Request::Stop { service: "redis".to_owned(), signal: 9, grace_ms: 0 });
    agent.start("redis", true);
    sees("a standstill, one server started again", &|_, (_, most)| most <= -4.0);
    agent.healed(5);
    sees("after the standstill", &near(0.0));

    // The host's clock went on with its monotonic clock.
    let gone = real_s() - wall - began.elapsed().as_secs_f64();
    println!("the host's wall clock against its monotonic clock: {gone:.6} s");
    assert!(gone.abs() < 0.5, "{gone}");
}

#[test]
fn the_cost_of_a_call_is_reported() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let response = agent.ask(Request::Abilities);
    let Response::Abilities(abilities) = response else { panic!("{response:?}") };
    let clock = abilities.iter().find(|ability| ability.name == "vdso-clock").expect("tested");
    println!("{}", clock.detail);
    assert!(clock.able, "{clock:?}");
    let costs: Vec<u64> = clock
        .detail
        .split_whitespace()
        .zip(clock.detail.split_whitespace().skip(1))
        .filter(|(_, unit)| *unit == "ns")
        .map(|(number, _)| number.parse().expect("a number"))
        .collect();
    let [shifted, plain] = costs[..] else { panic!("{clock:?}") };
    let second = u64::try_from(Duration::from_secs(1).as_nanos()).expect("fits");
    assert!(plain > 0 && shifted > 0 && shifted < second, "{clock:?}");
}
