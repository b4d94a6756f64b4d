//! What is left of a fault when control is gone: killed with -9, cut off, or killed together with the agent.
//!
//! The lab is started separately, so that it outlives the run; its nodes are looked at from inside, without the agent.
use crate::results::{Case, CaseResult};
use crate::runs::dsfuzz;
use dsfuzz::run::journal;
use dsfuzz_checkers::{History, Outcome};
use dsfuzz_rng::Rng;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Each kind of fault, as a plan writes it.
const FAULTS: &[(&str, &str)] = &[
    ("partition", "partition: {shape: [majority, one-way, bridge, ring, isolate-leader]}"),
    ("kill", "kill: {nodes: minority}"),
    ("pause", "pause: {nodes: majority}"),
    ("clock-jump", "clock: {jump: 60s, nodes: majority}"),
    ("clock-strobe", "clock: {strobe: {by: 20s, period: 50ms}, nodes: majority}"),
    ("clock-drift", "clock: {drift: 20%, freeze: true, per_node: true, nodes: majority}"),
];
const NODES: u16 = 5;
/// Within which every node must be clean after control was killed.
const CLEAN_AFTER_KILL: Duration = Duration::from_secs(5);
/// The lease, and as much again for a loaded machine to notice.
const CLEAN_AFTER_CUT: Duration = Duration::from_secs(6);

/// Kills the agent, and not its guardian.
const KILL_AGENT: &str = r#"
    for p in /proc/[0-9]*; do
        tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^[^ ]*dsfuzz-agent[^ ]* serve ' && kill -9 ${p#/proc/}
    done
"#;

/// `repeat` cases for each kind of fault.
pub(crate) fn cases(line: &str, repeat: u64) -> Vec<Case> {
    let line = line.to_string();
    let mut cases = Vec::new();
    for (name, fault) in FAULTS {
        for round in 1..=repeat {
            let line = line.clone();
            let show =
                move || show(&line, name, fault, round).unwrap_or_else(|seen| CaseResult { as_claimed: false, seen });
            cases.push(Case { name: format!("{name}-{round:02}"), show: Box::new(show) });
        }
    }
    cases
}

/// A lab that goes down with the case.
struct Lab(String);

impl Lab {
    fn up(name: &str) -> Result<Lab, String> {
        let up =
            dsfuzz().args(["lab", "up", &NODES.to_string(), "--name", name]).output().map_err(|e| e.to_string())?;
        let lab = Lab(name.to_string());
        if up.status.success() { Ok(lab) } else { Err(format!("lab up: {}", String::from_utf8_lossy(&up.stderr))) }
    }

    /// What a script says inside a node.
    fn ask(&self, node: u16, script: &str) -> String {
        let node = format!("n{node}");
        let output = dsfuzz().args(["lab", "exec", "--name", &self.0, &node, "--", "sh", "-c", script]).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// What is still wrong, in words; empty when every node is clean.
    fn dirt(&self) -> Vec<String> {
        let script = r#"
            nft list tables 2>/dev/null | grep -q dsfuzz && echo "a rule is left"
            for f in $(find /sys/fs/cgroup -name cgroup.freeze 2>/dev/null); do [ "$(cat $f)" = 1 ] && echo "$f is frozen"; done
            for s in /proc/[0-9]*/stat; do case "$(sed 's/.*) //' $s 2>/dev/null)" in T*|t*) echo "$s is stopped";; esac; done
            # A strobing clock is true half of the time, so one look at it would show nothing.
            for look in 1 2 3 4 5 6 7 8 9 10 11 12; do
                date=$(exec 3<>/dev/tcp/$(hostname)/2379 && printf 'GET /version HTTP/1.0\r\n\r\n' >&3 && tr -d '\r' <&3 | sed -n 's/^Date: //p')
                [ -n "$date" ] || { echo "etcd does not answer"; break; }
                off=$(( $(date -d "$date" +%s) - $(date +%s) ))
                [ $off -ge -2 ] && [ $off -le 2 ] || { echo "the clock of etcd is off by $off s"; break; }
                sleep 0.013
            done
            echo seen
        "#;
        let script = format!("timeout 5 bash -c '{}'", script.replace('\'', r"'\''"));
        let look = &|node: u16| match self.ask(node, &script) {
            seen if seen.ends_with("seen\n") => seen.trim_end_matches("seen\n").to_string(),
            other => format!("{other}cannot be looked at"),
        };
        std::thread::scope(|scope| {
            let looking: Vec<_> = (1..=NODES).map(|node| (node, scope.spawn(move || look(node)))).collect();
            let seen = looking.into_iter().map(|(node, look)| (node, look.join().expect("looking does not panic")));
            seen.flat_map(|(node, dirt)| dirt.lines().map(|line| format!("n{node}: {line}")).collect::<Vec<_>>())
                .collect()
        })
    }

    /// Waits until no node is dirty; how long it took, or what is left.
    fn clean_within(&self, began: Instant, limit: Duration) -> Result<Duration, String> {
        loop {
            let dirt = self.dirt();
            // The time of the look itself counts, so what is told is too long and never too short.
            let took = began.elapsed();
            if dirt.is_empty() && took <= limit {
                return Ok(took);
            }
            if took > limit {
                return Err(format!("after {:.1} s: {}", took.as_secs_f64(), dirt.join("; ")));
            }
        }
    }

    /// Process ids of etcd, node by node.
    fn etcds(&self) -> Vec<String> {
        let script = r#"for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = etcd ] && echo ${p#/proc/}; done"#;
        (1..=NODES).map(|node| self.ask(node, script).trim().to_string()).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The proof is over; a lab that does not go down is swept by the next lab command.
        let _ = dsfuzz().args(["lab", "down", &self.0]).output();
    }
}

fn show(line: &str, name: &str, fault: &str, round: u64) -> Result<CaseResult, String> {
    let lab = Lab::up(&format!("prove-{}", std::process::id()))?;
    let mut rng = Rng::new(round, &format!("{line}-{name}"), 0);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results").join(format!("prove-{line}-{name}"));
    let plan = plan(&lab.0, name, fault);
    let path = std::env::temp_dir().join(format!("{}.yaml", lab.0));
    std::fs::write(&path, plan).map_err(|error| error.to_string())?;
    let before = latest(&folder);
    let mut run = Run::start(&path, line, name, round)?;
    let dir = await_fault(&folder, before, &mut run)?;
    std::thread::sleep(Duration::from_millis(rng.below(2_500)));
    // What cannot be seen while it is there would not be missed either.
    if lab.dirt().is_empty() {
        return Err("the fault cannot be seen on any node, so its end would show nothing".into());
    }
    let alive = lab.etcds();
    let began = Instant::now();
    let limit = match line {
        "cut" => {
            control(
                &lab,
                "table inet prove { chain cut { type filter hook output priority 0; tcp dport 22 drop; }; }",
            )?;
            CLEAN_AFTER_CUT
        }
        "agent" => {
            // Control is gone for the agents, and does not start others; their guardians are what is left.
            run.stop();
            std::thread::scope(|scope| {
                for node in 1..=NODES {
                    let lab = &lab;
                    scope.spawn(move || lab.ask(node, KILL_AGENT));
                }
            });
            run.kill();
            CLEAN_AFTER_KILL
        }
        _ => {
            run.kill();
            CLEAN_AFTER_KILL
        }
    };
    let took = lab.clean_within(began, limit)?;
    run.kill();
    let still = lab.etcds();
    let targets_alive = still.iter().all(|pid| !pid.is_empty()) && (name == "kill" || still == alive);
    let (history, judged) = judge(&dir)?;
    let in_flight = history.ops().iter().filter(|op| op.outcome == Outcome::Info && op.reply == u64::MAX).count();
    Ok(CaseResult {
        as_claimed: targets_alive && in_flight <= 2 * usize::from(NODES) && (0..=2).contains(&judged),
        seen: format!(
            "clean after {:.1} s, targets {}, {} ops recorded, {in_flight} in flight, check exits {judged}",
            took.as_secs_f64(),
            if targets_alive { "alive" } else { "NOT alive" },
            history.ops().len()
        ),
    })
}

fn plan(lab: &str, name: &str, fault: &str) -> String {
    let nemesis = "nemesis:\n  every: 30s\n  for: 25s\n  quiet_start: 2s\n  quiet_end: 5s\n  faults:\n    - ";
    let load = "load: {rate: 200/s, time: 90s}\n";
    format!(
        "name: {name}\ncluster: {{lab: {lab}}}\ntarget: etcd\nworkload: {{register: {{}}}}\n{load}{nemesis}{fault}\n"
    )
}

/// `dsfuzz run`, killed with the case.
struct Run(Child);

impl Run {
    fn start(plan: &Path, line: &str, name: &str, seed: u64) -> Result<Run, String> {
        let mut command = dsfuzz();
        command.arg("run").arg(plan).args(["--seed", &seed.to_string(), "--set", &format!("name=prove-{line}-{name}")]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Run).map_err(|error| error.to_string())
    }

    fn stop(&self) {
        let stopped = std::process::Command::new("kill").args(["-STOP", &self.0.id().to_string()]).status();
        stopped.expect("kill starts");
    }

    fn kill(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kill();
    }
}

fn latest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).max()
}

/// Waits until the new run has a fault that is proven to be in force.
fn await_fault(folder: &Path, before: Option<PathBuf>, run: &mut Run) -> Result<PathBuf, String> {
    let deadline = Instant::now() + Duration::from_secs(90);
    while Instant::now() < deadline {
        if let Some(dir) = latest(folder).filter(|dir| Some(dir) != before.as_ref())
            && let Ok(history) = journal::read(&dir.join("journal"))
            && history.faults.iter().any(|fault| fault.proven.is_some() && fault.heal_begun.is_none())
        {
            return Ok(dir);
        }
        if let Ok(Some(status)) = run.0.try_wait() {
            return Err(format!("the run ended before a fault was in force: {status}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("no fault was proven within 90 s".into())
}

/// Loads nftables rules into the lab's control namespace.
fn control(lab: &Lab, rules: &str) -> Result<(), String> {
    let rules = rules.replace("; ", ";\n").replace("{ ", "{\n");
    let args = ["lab", "exec", "--name", &lab.0, "control", "--", "nft", &rules];
    let output = dsfuzz().args(args).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn judge(dir: &Path) -> Result<(History, i32), String> {
    let history = journal::read(&dir.join("journal")).map_err(|error| format!("no history: {error}"))?;
    let output = dsfuzz().arg("check").arg(dir).output().map_err(|error| error.to_string())?;
    Ok((history, output.status.code().unwrap_or(-1)))
}
