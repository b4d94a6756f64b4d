//! What is left of a fault when a part of the harness ends at a random moment of it: the control node, its network, the agents,
//! or the nodes' SSH servers.
//!
//! Each case has a lab of its own that outlives the run. Its nodes are looked at from inside, without the agent: a node is clean
//! when it looks as it did before the fault.
use crate::results::{Case, CaseResult};
use crate::runs::dsfuzz;
use crate::variants::VARIANTS;
use dsfuzz::run::journal;
use dsfuzz_checkers::History;
use dsfuzz_rng::Rng;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NODES: u16 = 3;
/// Within which every node must be clean. The lease is 3 s; a loaded machine gets as much again, and the starts of targets.
const CLEAN_WITHIN: Duration = Duration::from_secs(15);
/// The end comes within this time after the fault's begin.
const MOMENTS: Duration = Duration::from_millis(2_000);
/// From this moment on the fault must be seen on some node before the end.
const SEEN_FROM: Duration = Duration::from_millis(700);

/// A part that ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The run is killed with SIGKILL.
    Control,
    /// Packets between the control node and the nodes are dropped.
    Network,
    /// Every agent is killed with SIGKILL; its guardian and the control node are left.
    Agents,
    /// Every agent is killed with SIGKILL while the control node stands still; then that is killed too.
    AgentsAndControl,
    /// Every process of every node's SSH server is killed with SIGKILL.
    Sshd,
    /// Ctrl-C twice.
    Interrupts,
}

/// Every end with its name.
pub(crate) const ENDS: [(&str, End); 6] = [
    ("control-killed", End::Control),
    ("network-cut", End::Network),
    ("agents-killed", End::Agents),
    ("agents-and-control-killed", End::AgentsAndControl),
    ("sshd-killed", End::Sshd),
    ("interrupted-twice", End::Interrupts),
];

/// `repeat` cases for each form of a fault and each end, in which both names contain `only`.
pub(crate) fn cases(repeat: u64, only: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, nemesis) in nemeses() {
        for (end_name, end) in ENDS {
            for round in 1..=repeat {
                let case = format!("{name}.{end_name}-{round:02}");
                if case.contains(only) {
                    let (nemesis, name) = (nemesis.clone(), case.clone());
                    let show = move || {
                        show(&nemesis, end, &name).unwrap_or_else(|seen| CaseResult { as_claimed: false, seen })
                    };
                    cases.push(Case { name: case, show: Box::new(show) });
                }
            }
        }
    }
    cases
}

/// Three faults at the same time.
const OVERLAPPING: (&str, &str) = (
    "three-overlapping",
    "{quiet_end: 5s, schedule: [{id: cut, at: 4s, for: 80s, partition: {shape: isolate-one}}, \
     {id: clock, at: 4100ms, for: 80s, clock: {jump: 60s, nodes: n2}}, \
     {id: stop, at: 4200ms, for: 80s, pause: {nodes: n3}}]}",
);

/// The `nemesis` of a plan for each form of a fault, and for faults that overlap, each with its name.
fn nemeses() -> Vec<(&'static str, String)> {
    let one = |variant: &crate::variants::Variant| {
        let fault = format!("{{{}: {}}}", variant.kind, variant.options);
        (variant.name, format!("{{every: 82s, for: 80s, quiet_start: 4s, quiet_end: 5s, faults: [{fault}]}}"))
    };
    VARIANTS.iter().map(one).chain([(OVERLAPPING.0, OVERLAPPING.1.to_owned())]).collect()
}

/// The matrix of all results as a page: for each fault and end the cases, and the time until the nodes were clean.
pub(crate) fn page(results: &crate::results::StoredResults) -> String {
    let mut page = String::from(
        "# What survives\n\n\
         Each fault, and what ends at a random moment of it. A cell has the cases after which every node was as before the fault, \
         and the longest time until then; the look itself counts. This page is written by \
         `make prove ARGS=\"--lines survival --write docs/survival.md\"` from the cases that it keeps under \
         `results/prove/survival/`.\n\n| fault |",
    );
    for (end, _) in ENDS {
        page.push_str(&format!(" {} |", end.replace('-', " ")));
    }
    page.push_str(&format!("\n|---|{}\n", "---|".repeat(ENDS.len())));
    for (name, _) in nemeses() {
        let form = VARIANTS.iter().find(|variant| variant.name == name);
        let fault = form.map(|variant| format!("`{}: {}`", variant.kind, variant.options.replace('|', "\\|")));
        page.push_str(&format!("| {} |", fault.unwrap_or_else(|| name.replace('-', " "))));
        for (end, _) in ENDS {
            let seen = results.of("survival", &format!("{name}.{end}-"));
            let good = seen.iter().filter(|(as_claimed, ..)| *as_claimed).count();
            let longest = seen.iter().filter_map(|(_, words, _)| clean_after(words)).fold(0.0, f64::max);
            match seen.len() {
                0 => page.push_str(" not run |"),
                all => page.push_str(&format!(" {good} of {all}, {longest:.1} s |")),
            }
        }
        page.push('\n');
    }
    page
}

/// The seconds in the sentence of a case.
fn clean_after(seen: &str) -> Option<f64> {
    seen.strip_prefix("clean after ")?.split(' ').next()?.parse().ok()
}

/// A lab that goes down with the case.
struct Lab(String);

/// Numbers the labs of this process.
static LABS: AtomicU64 = AtomicU64::new(0);

impl Lab {
    fn up() -> Result<Lab, String> {
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let lab = Lab(format!("prove-{}-{number}", std::process::id()));
        let up = dsfuzz().args(["lab", "up", &NODES.to_string(), "--name", &lab.0]).output();
        let up = up.map_err(|error| error.to_string())?;
        if up.status.success() { Ok(lab) } else { Err(format!("lab up: {}", String::from_utf8_lossy(&up.stderr))) }
    }

    /// The output of a script inside a node.
    fn ask(&self, node: u16, script: &str) -> String {
        let node = format!("n{node}");
        let output = dsfuzz().args(["lab", "exec", "--name", &self.0, &node, "--", "bash", "-c", script]).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    fn ask_all(&self, script: &str) -> Vec<String> {
        std::thread::scope(|scope| {
            let asked: Vec<_> = (1..=NODES).map(|node| scope.spawn(move || self.ask(node, script))).collect();
            asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
        })
    }

    /// How the nodes look.
    fn look(&self) -> Vec<Look> {
        self.ask_all(LOOK).iter().map(|text| Look::of(text)).collect()
    }

    /// Loads nftables rules into the lab's control namespace.
    fn control(&self, rules: &str) -> Result<(), String> {
        let args = ["lab", "exec", "--name", &self.0, "control", "--", "nft", rules];
        let output = dsfuzz().args(args).output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The case is over; a lab that does not go down is swept by the next lab command.
        let _ = dsfuzz().args(["lab", "down", &self.0]).output();
    }
}

/// Prints what a fault may change on a node, a line each. Numbers that change by themselves are left out: ids, counters.
const LOOK: &str = r#"
exec 2>/dev/null
nft list ruleset | sed 's/^/nft /'
iptables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//; s/^/iptables /'
ip6tables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//; s/^/ip6tables /'
tc qdisc show | sed 's/^/tc /'
ip route show table all | sed 's/^/route /'
cut -d ' ' -f 4- /proc/self/mountinfo | sed 's/^/mount /' | sort
find /sys/fs/cgroup -type d | sed 's/^/cgroup /' | sort
for f in $(find /sys/fs/cgroup -name cgroup.freeze -o -name freezer.self_freezing -o -name cpu.max -o -name memory.max -o -name cpu.cfs_quota_us -o -name memory.limit_in_bytes | sort); do echo "limit $f $(cat $f)"; done
for p in /proc/[0-9]*; do
    case "$(cat $p/comm)" in redis-server)
        set -- $(sed 's/.*) //' $p/stat)
        case "$1" in T|t) echo "redis is stopped";; esac
        echo "redis $(grep -c . $p/cgroup) $(grep -e 'open files' -e 'data size' $p/limits | tr -s ' \n' ' ') $(nsenter -t ${p#/proc/} -m stat -c '%n %a' .)"
    esac
    tr '\0' ' ' <$p/cmdline | grep -q '^[^ ]*dsfuzz-agent' && echo "agent"
    tr '\0' ' ' <$p/cmdline | grep -q '^/proc/self/exe burn ' && echo "a busy process"
done
# A busy machine is slow at times, a slow disk always: the best of several writes counts.
for layer in $(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - fuse.* .*/\1/p' /proc/self/mountinfo); do
    best=
    for try in 1 2 3 4 5; do
        begun=$(date +%s%N)
        { echo look >$layer/.look && sync $layer/.look; } || { echo "disk refuses"; break; }
        took=$(( ($(date +%s%N) - begun) / 1000000 ))
        [ -n "$best" ] && [ $best -le $took ] || best=$took
        [ $best -ge 150 ] || break
    done
    [ -z "$best" ] || [ $best -lt 150 ] || echo "disk is slow"
    rm -f $layer/.look
done
address=$(hostname -I | cut -d ' ' -f 1)
# A clock that flips is true half of the time, one that stands still is true at its begin, and processes that are stopped in turns run
# in between: so several looks.
for look in 1 2 3 4 5 6 7 8 9 10 11 12; do
    said=$(exec 3<>/dev/tcp/$address/6379 && printf 'TIME\r\n' >&3 && read -t 1 -r _ <&3 && read -t 1 -r _ <&3 && read -t 1 -r t <&3 && echo ${t%?})
    [ -n "$said" ] || { echo "redis does not answer"; break; }
    off=$(( said - $(date +%s) ))
    [ $off -ge -1 ] && [ $off -le 1 ] || { echo "clock of redis is off"; break; }
    grep -qx 1 $(find /sys/fs/cgroup -name cgroup.freeze) && { echo "a cgroup is frozen"; break; }
    sleep 0.013
done
find /tmp /var/tmp /var/lib/dsfuzz ! -name '*.aof' ! -path '/var/lib/dsfuzz/agent*' -printf 'file %p\n' | sort
echo seen
"#;

/// Lines that no node has without a fault.
const UNFIT: [&str; 5] =
    ["redis is stopped", "redis does not answer", "clock of redis is off", "disk refuses", "disk is slow"];

/// A node as a look shows it.
#[derive(Clone, PartialEq, Eq)]
struct Look {
    /// The lines, without those of agents.
    lines: Vec<String>,
    /// An agent runs.
    agent: bool,
    /// The look came to its end.
    whole: bool,
}

impl Look {
    fn of(text: &str) -> Look {
        let lines = || text.lines().map(str::to_owned);
        Look {
            lines: lines().filter(|line| line != "agent" && line != "seen").collect(),
            agent: lines().any(|line| line == "agent"),
            whole: text.ends_with("seen\n"),
        }
    }

    /// Why it cannot be what a node should look like.
    fn unfit(&self) -> Option<&str> {
        let wrong = self.lines.iter().map(String::as_str).find(|line| UNFIT.contains(line));
        wrong.or_else(|| (!self.whole).then_some("a node cannot be looked at"))
    }

    /// What differs from an earlier look, in words.
    fn differences(&self, before: &Look) -> Vec<String> {
        let added = self.lines.iter().filter(|line| !before.lines.contains(line)).map(|line| format!("new: {line}"));
        let gone = before.lines.iter().filter(|line| !self.lines.contains(line)).map(|line| format!("gone: {line}"));
        let broken = (!self.whole).then(|| "cannot be looked at".to_owned());
        added.chain(gone).chain(broken).collect()
    }
}

/// The differences of all nodes, each with its node's name. With `agents_gone`, an agent that runs is one.
fn differences(now: &[Look], before: &[Look], agents_gone: bool) -> Vec<String> {
    let each = now.iter().zip(before).zip(1..);
    each.flat_map(|((now, before), node)| {
        let agent = (agents_gone && now.agent).then(|| "an agent runs".to_owned());
        let all = now.differences(before).into_iter().chain(agent);
        all.map(move |line| format!("n{node}: {line}")).collect::<Vec<_>>()
    })
    .collect()
}

/// Kills the agents with SIGKILL, and not their guardians.
const KILL_AGENTS: &str = r#"
    for p in /proc/[0-9]*; do
        tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^[^ ]*dsfuzz-agent[^ ]* serve ' && kill -9 ${p#/proc/}
    done
"#;

/// Kills every process of the node's SSH server.
const KILL_SSHD: &str = r#"
    for p in /proc/[0-9]*; do
        case "$(cat $p/comm 2>/dev/null)" in sshd*) kill -9 ${p#/proc/};; esac
    done
"#;

/// The exit code of a run that SIGINT stopped, and of the check of its history.
const INTERRUPTED: i32 = 130;

/// Forms whose effect is over before their heal: a look may come too late, and the run's own proof counts.
const PASSING: [&str; 2] = ["restart-rolling", "own-rolling"];

/// Times that a case starts again because a busy machine looked at the nodes too late.
const STARTS: u64 = 4;

fn show(nemesis: &str, end: End, name: &str) -> Result<CaseResult, String> {
    for start in 0..STARTS {
        if let Some(result) = try_show(nemesis, end, name, Rng::new(1, name, start))? {
            return Ok(result);
        }
    }
    Err(format!("the fault began before the nodes had been looked at, {STARTS} times"))
}

/// The case; nothing if its fault began before the look that it is compared with had ended.
fn try_show(nemesis: &str, end: End, name: &str, mut rng: Rng) -> Result<Option<CaseResult>, String> {
    let lab = Lab::up()?;
    let results = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = results.path().join("plan.yaml");
    std::fs::write(&path, plan(&lab.0, nemesis)).map_err(|error| error.to_string())?;
    let mut run = Run::start(&path, results.path(), rng.below(1 << 32))?;
    let dir = run.await_history(results.path(), "the load", |history| !history.ops().is_empty())?;
    let history = || journal::read(&dir.join("journal")).map_err(|error| error.to_string());
    let before = loop {
        let looked = lab.look();
        if history()?.faults.iter().any(|fault| fault.begun.is_some()) {
            return Ok(None);
        }
        if looked.iter().all(|look| look.unfit().is_none()) {
            break looked;
        }
    };
    run.await_history(results.path(), "a fault's begin", |history| {
        history.faults.iter().any(|fault| fault.begun.is_some())
    })?;
    let passes = PASSING.iter().any(|form| name.starts_with(form));
    let moment = Duration::from_millis(rng.below(u64::try_from(MOMENTS.as_millis()).unwrap_or(u64::MAX)));
    let begun = Instant::now();
    let mut seen = String::new();
    if moment >= SEEN_FROM {
        // An effect that no look shows would not be missed either.
        while begun.elapsed() < moment || seen.is_empty() {
            let dirt = differences(&lab.look(), &before, false);
            seen = dirt.first().cloned().unwrap_or_default();
            if seen.is_empty() && passes && history()?.faults.iter().any(|fault| fault.proven.is_some()) {
                seen = "proven by the run".to_owned();
            }
            if begun.elapsed() > MOMENTS * 5 {
                return Err("the fault is seen on no node, so that its end would show nothing".into());
            }
        }
    } else {
        std::thread::sleep(moment);
    }
    let moment = begun.elapsed();
    let ended = Instant::now();
    carry_out(end, &lab, &mut run)?;
    let agents_gone = matches!(end, End::Control | End::AgentsAndControl | End::Interrupts);
    // An interrupted run stops its target too: only what is new is dirt then.
    let stopped = |line: &String| line.contains(": gone: ") || line.ends_with(": new: redis does not answer");
    let dirt = || {
        let all = differences(&lab.look(), &before, agents_gone);
        all.into_iter().filter(|line| end != End::Interrupts || !stopped(line)).collect()
    };
    let took = clean(dirt, ended)?;
    if end == End::Interrupts {
        run.await_exit()?;
    }
    run.kill();
    let (history, judged) = judge(&dir)?;
    Ok(Some(CaseResult {
        as_claimed: (0..=2).contains(&judged) || (end == End::Interrupts && judged == INTERRUPTED),
        seen: format!(
            "clean after {:.1} s; ended {:.2} s after the fault's begin, {} ops recorded, check exits {judged}{}",
            took.as_secs_f64(),
            moment.as_secs_f64(),
            history.ops().len(),
            if seen.is_empty() { String::new() } else { format!(", seen before: {seen}") }
        ),
    }))
}

fn carry_out(end: End, lab: &Lab, run: &mut Run) -> Result<(), String> {
    match end {
        End::Control => run.kill(),
        End::Network => lab.control(
            "table inet prove {\nchain in {\ntype filter hook input priority 0;\ntcp sport 22 drop;\n}\n\
             chain out {\ntype filter hook output priority 0;\ntcp dport 22 drop;\n}\n}\n",
        )?,
        End::Agents => drop(lab.ask_all(KILL_AGENTS)),
        End::AgentsAndControl => {
            // It starts no other agents.
            run.signal("STOP");
            lab.ask_all(KILL_AGENTS);
            run.kill();
        }
        End::Sshd => drop(lab.ask_all(KILL_SSHD)),
        End::Interrupts => {
            run.signal("INT");
            std::thread::sleep(Duration::from_millis(50));
            run.signal("INT");
        }
    }
    Ok(())
}

/// Waits until nothing differs; the time that it took, or what differs.
fn clean(dirt: impl Fn() -> Vec<String>, ended: Instant) -> Result<Duration, String> {
    loop {
        let dirt = dirt();
        let took = ended.elapsed();
        if dirt.is_empty() {
            return Ok(took);
        }
        if took > CLEAN_WITHIN {
            return Err(format!(
                "after {:.1} s: {}",
                took.as_secs_f64(),
                dirt.iter().take(8).cloned().collect::<Vec<_>>().join("; ")
            ));
        }
    }
}

fn plan(lab: &str, nemesis: &str) -> String {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prove/lone-redis");
    format!(
        "name: survival\ncluster: {{lab: {lab}}}\ntarget: {}\nworkload: {{set: {{}}}}\n\
         load: {{clients: 3, rate: 60/s, time: 100s}}\n\
         nemesis: {nemesis}\n",
        target.display()
    )
}

/// `dsfuzz run`, killed with the case.
struct Run(Child);

impl Run {
    fn start(plan: &Path, results: &Path, seed: u64) -> Result<Run, String> {
        let mut command = dsfuzz();
        command.arg("run").arg(plan).args(["--seed", &seed.to_string()]).env("DSFUZZ_RESULTS", results);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Run).map_err(|error| error.to_string())
    }

    fn signal(&self, signal: &str) {
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &self.0.id().to_string()]).status();
        sent.expect("kill starts");
    }

    fn kill(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits until it ends by itself.
    fn await_exit(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.0.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > deadline {
                return Err("the run goes on 60 s after two interrupts".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until the run's history is like that; its folder.
    fn await_history(
        &mut self,
        results: &Path,
        what: &str,
        holds: impl Fn(&History) -> bool,
    ) -> Result<PathBuf, String> {
        let deadline = Instant::now() + Duration::from_secs(90);
        while Instant::now() < deadline {
            if let Some(dir) = run_folder(results)
                && let Ok(history) = journal::read(&dir.join("journal"))
                && holds(&history)
            {
                return Ok(dir);
            }
            if let Ok(Some(status)) = self.0.try_wait() {
                return Err(format!("the run ended before {what}: {status}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("no {what} within 90 s"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder of the only run with this results folder.
fn run_folder(results: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(results.join("survival")).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| path.is_dir() && !path.is_symlink())
}

fn judge(dir: &Path) -> Result<(History, i32), String> {
    let history = journal::read(&dir.join("journal")).map_err(|error| format!("no history: {error}"))?;
    let output = dsfuzz().arg("check").arg(dir).output().map_err(|error| error.to_string())?;
    Ok((history, output.status.code().unwrap_or(-1)))
}
