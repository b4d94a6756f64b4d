//! The wall clock of single processes: their copy of the vDSO is patched. Never: touches the machine's clock.
//!
//! A patch does not change raw system calls, the kernel's absolute deadlines and file times.
mod image;
mod patch;
mod vdso;

use crate::sys;
pub(crate) use patch::{PatchedProcess, follow_start};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Largest shift: beyond it 64-bit nanoseconds or the target's own arithmetic could overflow.
const OFFSET_NS_MAX: u64 = 20 * 365 * 86_400 * 1_000_000_000;

/// 1 as the rate of a [`Shift`].
const RATE_ONE: i64 = 1 << 32;

/// The shift of a clock; the default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shift {
    /// By how much, negative for the past.
    pub(crate) offset_ns: i64,
    /// 0: always. Else shifted and true in turn, each for this long.
    pub(crate) period_ns: u64,
    /// Wall clock at which the first turn or the drift began.
    pub(crate) base_ns: i64,
    /// What the offset gains in a unit of time since then, as a 32.32 fixed-point number: -1 stands still.
    pub(crate) rate_q32: i64,
}

impl Shift {
    /// A drift by this many parts per million since this moment; -1 000 000 stands still.
    pub(crate) fn drift(rate_ppm: i64, base_ns: i64) -> Shift {
        let rate = i128::from(rate_ppm) * i128::from(RATE_ONE) / 1_000_000;
        Shift { base_ns, rate_q32: i64::try_from(rate).unwrap_or(i64::MAX), ..Shift::default() }
    }

    /// The offset at a moment of the true wall clock.
    pub(crate) fn at(&self, real_ns: i64) -> i64 {
        let turn = match self.period_ns {
            0 => 0,
            period => real_ns.wrapping_sub(self.base_ns).cast_unsigned() / period,
        };
        let since_ns = i128::from(real_ns.wrapping_sub(self.base_ns));
        let gained_ns = i64::try_from((since_ns * i128::from(self.rate_q32)) >> 32).unwrap_or(0);
        if turn % 2 == 0 { self.offset_ns.saturating_add(gained_ns) } else { 0 }
    }

    /// In words, for a sentence about a clock.
    pub(crate) fn words(&self) -> String {
        match (self.rate_q32, self.period_ns) {
            (0, 0) => format!("is off by {} ns", self.offset_ns),
            (0, period_ns) => format!("is off by {} ns and right in turn, each for {period_ns} ns", self.offset_ns),
            (rate, _) if rate == -RATE_ONE => "stands still".to_owned(),
            (rate, _) => {
                let ppm = (i128::from(rate) * 1_000_000 + i128::from(RATE_ONE / 2)) >> 32;
                format!("runs {} ppm too {}", ppm.unsigned_abs(), if ppm < 0 { "slow" } else { "fast" })
            }
        }
    }

    /// Refuses shifts that programs would not understand or that overflow in the image.
    pub(crate) fn sane(&self) -> Result<(), String> {
        if self.offset_ns.unsigned_abs() > OFFSET_NS_MAX {
            return Err(format!("a clock shift of {} s is more than 20 years", self.offset_ns / 1_000_000_000));
        }
        if !(-RATE_ONE..RATE_ONE).contains(&self.rate_q32) {
            return Err("a clock cannot run back, nor twice as fast or faster".to_owned());
        }
        Ok(())
    }
}

/// Keeps shifts in force: finds processes that are new or have called exec, and renews before the patches expire.
#[derive(Default)]
pub(crate) struct ClockKeeper {
    targets: BTreeMap<u32, PatchedProcess>,
}

impl ClockKeeper {
    /// Shifts the clock of these processes until `hold_ns` from now. `fresh` also rewrites known processes. Returns the
    /// failures.
    pub(crate) fn keep(&mut self, pids: &[u32], shift: Shift, hold_ns: u64, fresh: bool) -> Vec<String> {
        let mut failed = Vec::new();
        for &pid in pids {
            let known = self.targets.get(&pid).is_some_and(|target| target.still_there() && target.installed());
            if known && !fresh {
                continue;
            }
            if !known {
                match PatchedProcess::open(pid).and_then(|mut target| target.install().map(|()| target)) {
                    Ok(target) => self.targets.insert(pid, target),
                    Err(reason) => {
                        self.targets.remove(&pid);
                        if crate::process::stat(pid).is_some_and(|stat| stat.lives()) {
                            failed.push(format!("process {pid}: {reason}"));
                        }
                        continue;
                    }
                };
            }
            if let Some(target) = self.targets.get(&pid)
                && let Err(reason) = target.set(shift, sys::realtime_ns().saturating_add_unsigned(hold_ns))
            {
                self.targets.remove(&pid);
                failed.push(format!("process {pid}: {reason}"));
            }
        }
        failed
    }

    /// Forgets ended processes.
    pub(crate) fn sweep(&mut self) {
        self.targets.retain(|_, target| target.still_there());
    }
}

/// The request for the cost of a call of the clock.
const COST: &str = "cost";
/// Calls whose mean is the cost.
const COST_CALLS: u32 = 20_000;

/// The process that `abilities` shifts and asks for the time: one line in, the wall clock or the cost of a call in nanoseconds
/// out.
pub(crate) fn witness() -> Result<(), String> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        println!("{}", if line == COST { call_cost_ns() } else { sys::realtime_ns() });
        std::io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The mean cost of a call of the wall clock in this process.
fn call_cost_ns() -> i64 {
    let begun = Instant::now();
    for _ in 0..COST_CALLS {
        std::hint::black_box(sys::realtime_ns());
    }
    i64::try_from((begun.elapsed() / COST_CALLS).as_nanos()).unwrap_or(i64::MAX)
}

/// Shifts the clock of a child by an hour, asks it for the time, and undoes the shift.
pub(crate) fn rehearse() -> Result<String, String> {
    let say = |error: std::io::Error| format!("a child to test with: {error}");
    let mut child = Command::new("/proc/self/exe")
        .arg("witness")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(say)?;
    let outcome = rehearse_with(&mut child);
    drop(child.stdin.take());
    drop(child.kill());
    child.wait().map_err(say)?;
    outcome
}

fn rehearse_with(child: &mut std::process::Child) -> Result<String, String> {
    let (Some(mut ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("a child without pipes".to_owned());
    };
    let mut answers = std::io::BufReader::new(answers);
    let mut number = |request: &str| -> Result<i64, String> {
        writeln!(ask, "{request}").map_err(|error| error.to_string())?;
        let mut line = String::new();
        answers.read_line(&mut line).map_err(|error| error.to_string())?;
        line.trim().parse().map_err(|_| "the child did not answer".to_owned())
    };
    let mut off_by = || number("time").map(|shown| (shown - sys::realtime_ns()) / 1_000_000_000);
    off_by()?;
    let shift = Shift { offset_ns: 3600 * 1_000_000_000, ..Shift::default() };
    let mut target = PatchedProcess::open(child.id())?;
    target.install()?;
    target.set(shift, sys::realtime_ns() + 10_000_000_000)?;
    let shifted = off_by()?;
    let patched_ns = number(COST)?;
    target.remove()?;
    let healed = (number("time")? - sys::realtime_ns()) / 1_000_000_000;
    let plain_ns = number(COST)?;
    if (3500..=3600).contains(&shifted) && healed.abs() < 100 {
        Ok(format!(
            "a child's clock was shifted by an hour and put right; a call of the clock took it {patched_ns} ns while shifted, \
             {plain_ns} ns else"
        ))
    } else {
        Err(format!("a child's clock showed {shifted} s instead of 3600, then {healed} s instead of 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strobe_takes_turns() {
        let strobe = Shift { offset_ns: 60, period_ns: 10, base_ns: 1000, rate_q32: 0 };
        assert_eq!([1000, 1009, 1010, 1019, 1020].map(|now| strobe.at(now)), [60, 60, 0, 0, 60]);
        let jump = Shift { offset_ns: -5, base_ns: 1000, ..Shift::default() };
        assert_eq!(jump.at(1015), -5);
    }

    #[test]
    fn a_drift_grows_and_a_standstill_takes_all_time_back() {
        const HOUR_NS: i64 = 3_600_000_000_000;
        let base = 1_800_000_000_000_000_000;
        let off = |rate_ppm, passed| Shift::drift(rate_ppm, base).at(base + passed);
        assert_eq!(off(250_000, 0), 0);
        assert_eq!(off(250_000, HOUR_NS), HOUR_NS / 4);
        assert_eq!(off(-250_000, HOUR_NS), -HOUR_NS / 4);
        assert!((off(50_000, HOUR_NS) - HOUR_NS / 20).abs() < 2_000, "{}", off(50_000, HOUR_NS));
        assert_eq!(off(-1_000_000, HOUR_NS + 7), -HOUR_NS - 7);
        assert_eq!(Shift::drift(-1_000_000, base).words(), "stands still");
        assert_eq!(Shift::drift(-200, base).words(), "runs 200 ppm too slow");
    }

    #[test]
    fn absurd_shifts_are_refused() {
        let shift = |offset_ns| Shift { offset_ns, ..Shift::default() };
        assert!(shift(i64::MIN).sane().is_err());
        assert!(shift(-86_400_000_000_000).sane().is_ok());
        assert!(Shift::drift(-1_000_000, 0).sane().is_ok());
        assert!(Shift::drift(-1_000_001, 0).sane().is_err());
        assert!(Shift::drift(i64::MAX, 0).sane().is_err());
    }
}
