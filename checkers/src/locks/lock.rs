//! `lock` and `semaphore`: never more holders than permits at one moment.
//!
//! `acquire` and `release`, by key; the holder is the process. A reply of false, like a Fail, means that it did not
//! get, or give, it: nothing happened. Of a semaphore both may name a number of permits (input, default 1). A hold is
//! definite from the reply of an acknowledged acquire until the same process calls a release that was not refused:
//! nothing before or after is certain. A release that fails with the code `not-held` tells the holder that it had lost what it
//! held: the hold ends at that call. A process that was retired by an Info, or a client that may have been closed
//! because the load was over, may have lost its session, so a hold that was never released ends there. Where the
//! arguments of acquire differ within a key, the option `named_by` says whether they name locks; without it only two
//! holds with the same argument are compared, and nothing is valid. An acquire without a certain answer may hold for
//! ever, or never, and conflicts with nothing. For complete intervals this is exact: put every acquire at its reply and
//! every release at its call, and the holds are as short as they can be all at once. One sweep over the holds in order
//! of their beginning.
//!
//! Findings: `double-hold` (lock), `too-many-holders` (semaphore), `release-by-non-holder` (lock: an acknowledged
//! release by a process that released as often as it acquired; option `idempotent_release` allows it), and as evidence
//! `acquired-while-held` (the holder itself acquired again: a lock may be reentrant). Unknown: nothing acquired, no more ever held or
//! wanted at once than there is, or arguments of acquire that differ and may name locks.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use super::want::{Want, most_at_once};
use super::words;
pub(crate) use crate::calls::names::NamedBy;
use crate::calls::{Named, Naming, SessionEnds, at, by_key, object, refusal, took, was_lost, workloads_with};
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::schema;
use crate::value::{Kind, Value};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::num::NonZeroU64;

/// Options of `lock`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LockOptions {
    /// Releasing a lock that the process does not hold may be acknowledged.
    idempotent_release: bool,
    named_by: NamedBy,
}

/// Options of `semaphore`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SemaphoreOptions {
    /// How many permits there are. Left out: nothing can be said.
    permits: Option<NonZeroU64>,
    named_by: NamedBy,
}

/// The lock's entry in the list of checkers.
pub(crate) const LOCK: CheckerDoc = CheckerDoc {
    name: "lock",
    doc: "Never two processes certainly hold one lock at the same moment, and only its holder releases it.",
    cost: "near-linear",
    judges: Judges::calls(&["acquire", "release"], &["add", "read", "write", "log"]),
    options: schema::<LockOptions>,
    build: |given| {
        let LockOptions { idempotent_release, named_by } = given.read()?;
        Ok(Box::new(Lock { idempotent_release, named_by, ..Lock::MUTEX }))
    },
};

/// The semaphore's entry in the list of checkers.
pub(crate) const SEMAPHORE: CheckerDoc = CheckerDoc {
    name: "semaphore",
    doc: "Never more permits are certainly held at one moment than there are.",
    cost: "near-linear",
    judges: Judges::calls(&["acquire"], &["release"]),
    options: schema::<SemaphoreOptions>,
    build: |given| {
        let SemaphoreOptions { permits, named_by } = given.read()?;
        Ok(Box::new(Lock { permits: permits.map(NonZeroU64::get), named_by, ..Lock::SEMAPHORE }))
    },
};

/// Judges locks and semaphores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lock {
    /// How many there are; None: unknown, and so is the verdict.
    permits: Option<u64>,
    exclusive: bool,
    /// Whether a release by a process that holds nothing may be acknowledged.
    idempotent_release: bool,
    named_by: NamedBy,
}

impl Lock {
    /// One holder at a time.
    const MUTEX: Lock =
        Lock { permits: Some(1), exclusive: true, idempotent_release: false, named_by: NamedBy::Unsaid };

    /// As many permits may be out at a time as `permits` says.
    const SEMAPHORE: Lock = Lock { exclusive: false, idempotent_release: true, ..Lock::MUTEX };
}

/// A process certainly holds permits between two indices.
#[derive(Clone, Copy, Debug)]
struct Hold {
    from: u64,
    /// The first index at which it may be over.
    to: u64,
    permits: u64,
    acquire: u32,
    /// The operation that may end it.
    ended_by: Option<u32>,
}

/// Acknowledged holds of one process that it has not tried to release.
#[derive(Default)]
struct Holder {
    open: VecDeque<Hold>,
    /// Acquires that may have taken effect, less acknowledged releases.
    balance: i64,
}

/// How many permits the argument asks for, or gives back; a name stands for one of its own. None: it is neither.
fn permits(op: &Op<'_>) -> Option<u64> {
    match op.input.kind() {
        Kind::Int(count) => u64::try_from(count).ok(),
        Kind::Nil | Kind::Text(_) => Some(1),
        _ => None,
    }
}

/// What is known of one lock.
struct Known {
    holds: Vec<Hold>,
    /// Acquisitions of a number of permits that is not understood.
    malformed: Vec<u64>,
}

impl Lock {
    /// The certain holds in the order of their beginning; none where the time was up.
    fn holds<'h>(
        &self,
        history: &'h History,
        lock: &Named<'h>,
        ends: &SessionEnds,
        poll: &mut BudgetPoll<'_>,
        report: &mut Report<'h>,
    ) -> Option<Known> {
        let mut done: Vec<Hold> = Vec::new();
        let mut malformed: Vec<u64> = Vec::new();
        let mut holders: HashMap<u32, Holder> = HashMap::new();
        for &position in &lock.group.ops {
            if poll.over(1) {
                return None;
            }
            let op = at(history, position);
            let holder = holders.entry(op.session).or_default();
            match history.name(op.function) {
                "acquire" if took(&op) => {
                    holder.balance += 1;
                    if let Some(held) = holder.open.front().filter(|_| self.exclusive) {
                        let first = at(history, held.acquire);
                        report.evidence("acquired-while-held", || again(first, op));
                        continue;
                    }
                    let permits = if self.exclusive { Some(1) } else { permits(&op) };
                    let Some(permits) = permits else {
                        malformed.push(op.call);
                        continue;
                    };
                    let hold = Hold { from: op.reply, to: Op::OPEN, permits, acquire: position, ended_by: None };
                    holder.open.push_back(hold);
                }
                "release" if took(&op) || op.outcome == Outcome::Info || was_lost(history, &op) => {
                    let loose = lock.loose(position);
                    let all = self.exclusive || loose;
                    let mut given = Some(&op).filter(|_| !all).and_then(permits).unwrap_or(u64::MAX);
                    while let Some(hold) = holder.open.front_mut().filter(|_| given > 0) {
                        let part = hold.permits.min(given);
                        done.push(Hold { permits: part, to: op.call, ended_by: Some(position), ..*hold });
                        (hold.permits, given) = (hold.permits - part, given - part);
                        if hold.permits == 0 {
                            holder.open.pop_front();
                        }
                    }
                    if took(&op) && !loose {
                        // Who called again after an info may hold what it acquired before.
                        let anew = history.client(op.process) != op.process;
                        if self.exclusive && !self.idempotent_release && holder.balance <= 0 && !anew {
                            report.violation("release-by-non-holder", || foreign_release(history, lock, op));
                        }
                        holder.balance = (holder.balance - 1).max(0);
                    }
                }
                _ => {}
            }
        }
        let mut open: Vec<Hold> = holders.into_values().flat_map(|holder| holder.open).collect();
        for hold in &mut open {
            (hold.to, hold.ended_by) = ends.after(history, &at(history, hold.acquire));
        }
        done.extend(open);
        done.sort_unstable_by_key(|hold| (hold.from, hold.acquire, hold.to));
        Some(Known { holds: done, malformed })
    }

    /// Whether several processes may have wanted more than there is at one moment: each from its call of acquire on, until its hold
    /// is certainly over, or until it was refused.
    fn contended(&self, history: &History, lock: &Named<'_>, holds: &[Hold]) -> bool {
        let over = |op: Op<'_>| if op.outcome == Outcome::Info { u64::MAX } else { op.reply };
        let mut ends: HashMap<u32, u64> = HashMap::new();
        for hold in holds {
            let released = hold.ended_by.map(|position| at(history, position));
            let released = released
                .filter(|op| history.name(op.function) == "release" && op.session == at(history, hold.acquire).session);
            let end = ends.entry(hold.acquire).or_default();
            *end = released.map_or(u64::MAX, over).max(*end);
        }
        let positions = lock.group.ops.iter().map(|&position| (position, at(history, position)));
        let acquires = positions.filter(|(_, op)| history.name(op.function) == "acquire");
        let wants = acquires.map(|(position, op)| Want {
            session: op.session,
            from: op.call,
            to: ends.get(&position).copied().unwrap_or_else(|| over(op)),
            permits: permits(&op).unwrap_or(1),
        });
        most_at_once(wants, self.exclusive).is_some_and(|most| most > self.permits.unwrap_or(u64::MAX))
    }

    /// Counts what is certainly held at the beginning of every hold.
    fn sweep<'h>(
        &self,
        history: &'h History,
        lock: &Named<'h>,
        holds: &[Hold],
        poll: &mut BudgetPoll<'_>,
        report: &mut Report<'h>,
    ) -> u64 {
        let limit = self.permits.unwrap_or(u64::MAX);
        let (mut active, mut held, mut most) = (BinaryHeap::new(), 0, 0);
        for (place, hold) in holds.iter().enumerate().take_while(|_| !poll.over(1)) {
            while let Some(&Reverse((to, other))) = active.peek() {
                let over: &Hold = &holds[other];
                if to > hold.from {
                    break;
                }
                held -= over.permits;
                active.pop();
            }
            if hold.to <= hold.from {
                continue;
            }
            active.push(Reverse((hold.to, place)));
            held += hold.permits;
            most = most.max(held);
            if held > limit {
                let kind = if self.exclusive { "double-hold" } else { "too-many-holders" };
                report.violation(kind, || {
                    let mut others: Vec<Hold> = active.iter().map(|Reverse((_, other))| holds[*other]).collect();
                    others.sort_by_key(|other| (Reverse(other.permits), other.from));
                    self.too_many(history, lock, limit, *hold, &others, holds)
                });
            }
        }
        most
    }

    fn too_many<'h>(
        &self,
        history: &'h History,
        lock: &Named<'h>,
        limit: u64,
        hold: Hold,
        others: &[Hold],
        holds: &[Hold],
    ) -> Violation<'h> {
        let mut chosen = vec![hold];
        for other in others.iter().filter(|other| other.acquire != hold.acquire || other.to != hold.to) {
            if chosen.iter().map(|hold| hold.permits).sum::<u64>() > limit {
                break;
            }
            chosen.push(*other);
        }
        let acquire = |hold: &Hold| at(history, hold.acquire);
        let mut shown = chosen.clone();
        if !self.exclusive {
            add_released(history, &mut shown, holds, acquire(&hold).reply);
        }
        let newest = acquire(&hold);
        let refused = |hold: &Hold| lock.refused(history, &acquire(hold), newest.reply);
        let aside: Vec<Op<'h>> = chosen.iter().filter_map(refused).collect();
        let noun = if self.exclusive { "lock" } else { "semaphore" };
        let name = words::object_of(noun, lock, &newest);
        let held = |hold: &Hold| {
            if self.exclusive {
                name.clone()
            } else {
                format!("{} of {name}", messages::count(hold.permits as usize, "permit"))
            }
        };
        chosen.sort_by_key(|hold| hold.from);
        let say = |hold: &Hold| {
            let op = acquire(hold);
            let (holder, since) = (words::holder(history, &op), messages::seconds(op.reply_time));
            let until = words::until(history, hold.to, hold.ended_by);
            let text =
                format!("{holder} certainly held {} from the reply to #{} at {since} {until}", held(hold), op.call);
            words::sentence(&text)
        };
        let sentences = |hold: &Hold| [Some(say(hold)), refused(hold).as_ref().map(refusal)];
        let mut reasons: Vec<String> = chosen.iter().flat_map(sentences).flatten().collect();
        let together: u64 = chosen.iter().map(|hold| hold.permits).sum();
        reasons.push(match self.exclusive {
            true => format!("When #{} was answered, both held it; at most one may.", newest.call),
            false => format!("When #{} was answered, {together} permits were held; there are {limit}.", newest.call),
        });
        let earlier = chosen.iter().filter(|other| other.acquire != hold.acquire);
        let ended: Vec<Op<'h>> = earlier.filter_map(|other| Some(at(history, other.ended_by?))).collect();
        let lapsed = words::lapsed(history, &ended);
        reasons.extend(lapsed.iter().flat_map(|lapsed| [words::sentence(lapsed), words::FENCING.to_owned()]));
        let interval = |hold: &Hold| {
            let op = acquire(hold);
            let (holder, from) = (words::holder(history, &op), messages::seconds(op.reply_time));
            let to = words::end_time(history, hold.to, hold.ended_by);
            let count = if self.exclusive { String::new() } else { format!(" {}", hold.permits) };
            format!("{holder} held{count} from {from} to {to}")
        };
        let intervals = chosen.iter().map(interval).collect::<Vec<String>>().join(", ");
        let excess = match self.exclusive {
            true => format!("{name} had two holders at the same time"),
            false => format!("more than {limit} permits of {name} were held at the same time"),
        };
        let caveat = lapsed.map_or(String::new(), |lapsed| format!("; {lapsed}"));
        Violation {
            title: format!("{excess}: {intervals}{caveat}"),
            ops: shown
                .iter()
                .flat_map(|hold| [Some(hold.acquire), hold.ended_by])
                .flatten()
                .map(|one| at(history, one))
                .collect(),
            key: newest.key.to_value(),
            subject: object(&[("permits", Value::Int(limit as i64))]),
            aside,
            reasons,
            certified: lock.certified,
            ..Violation::default()
        }
    }
}

/// Adds the holds that a process of the shown ones gave back meanwhile: without them their releases would count against those
/// that are shown.
fn add_released(history: &History, shown: &mut Vec<Hold>, holds: &[Hold], moment: u64) {
    // By session: the call from which on its releases are looked at.
    let mut since: HashMap<u32, u64> = HashMap::new();
    for hold in shown.iter() {
        let acquire = at(history, hold.acquire);
        let first = since.entry(acquire.session).or_insert(acquire.call);
        *first = acquire.call.min(*first);
    }
    let known: HashSet<(u32, Option<u32>)> = shown.iter().map(|hold| (hold.acquire, hold.ended_by)).collect();
    let released = |hold: &Hold| {
        let end = hold.ended_by.map(|position| at(history, position)).filter(|end| end.call < moment)?;
        since.contains_key(&at(history, hold.acquire).session).then_some((end.call, *hold))
    };
    let mut released: Vec<(u64, Hold)> = holds.iter().filter_map(released).collect();
    released.sort_by_key(|(end, _)| Reverse(*end));
    // Backwards in time: an acquire that was given back meanwhile may be older than those before it.
    for (end, hold) in released {
        let acquire = at(history, hold.acquire);
        let Some(first) = since.get_mut(&acquire.session).filter(|first| end > **first) else { continue };
        *first = acquire.call.min(*first);
        if !known.contains(&(hold.acquire, hold.ended_by)) {
            shown.push(hold);
        }
    }
}

fn again<'h>(first: Op<'h>, op: Op<'h>) -> Violation<'h> {
    Violation {
        title: format!("process {} acquired again (#{}) what it held since #{}", op.process, op.call, first.call),
        ops: vec![first, op],
        key: op.key.to_value(),
        reasons: vec!["A reentrant lock allows this.".to_owned()],
        ..Violation::default()
    }
}

/// An acknowledged release of what the process did not hold, with its own last acquire and release.
fn foreign_release<'h>(history: &'h History, lock: &Named<'h>, op: Op<'h>) -> Violation<'h> {
    let mine = |other: &Op<'_>| {
        other.session == op.session && other.call < op.call && (took(other) || other.outcome == Outcome::Info)
    };
    let own: Vec<Op<'h>> = lock.group.ops.iter().map(|&position| at(history, position)).filter(mine).collect();
    let acquires = own.iter().filter(|op| history.name(op.function) == "acquire").count();
    let reason = format!(
        "Process {} had acquired it {} and each time released it before #{}, so it held nothing then.",
        op.process,
        messages::count(acquires, "time"),
        op.call
    );
    Violation {
        title: format!("process {} released (#{}) what it did not hold, and was told that it had", op.process, op.call),
        ops: own.into_iter().chain([op]).collect(),
        key: op.key.to_value(),
        reasons: vec![reason],
        certified: lock.whole,
        ..Violation::default()
    }
}

impl Checker for Lock {
    fn name(&self) -> &str {
        if self.exclusive { "lock" } else { "semaphore" }
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["acquire", "release"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = workloads_with(history, &["acquire", "release"]);
        let mut report = Report::new(history);
        let ends = SessionEnds::new(history);
        let (mut held, mut contended, mut most) = (0, 0, 0);
        let mut poll = BudgetPoll::new(budget);
        let (mut doubt, mut malformed) = (None, Vec::new());
        let naming = Naming::new(history, self.named_by, !self.exclusive);
        'keys: for group in by_key(history, &workloads) {
            let names = naming.apart(group);
            doubt = doubt.or(names.doubt);
            for lock in &names.locks {
                let Some(known) = self.holds(history, lock, &ends, &mut poll, &mut report) else { break 'keys };
                held += known.holds.len();
                contended += usize::from(!known.holds.is_empty() && self.contended(history, lock, &known.holds));
                malformed.extend(known.malformed);
                most = most.max(self.sweep(history, lock, &known.holds, &mut poll, &mut report));
            }
        }
        doubt.into_iter().for_each(|doubt| report.unknown(doubt));
        report.malformed("acquire takes a number of permits", &malformed);
        let unknown = |text: String| (Validity::Unknown, text);
        let otherwise = match self.permits {
            None => unknown("How many permits there are is not known: set the option permits.".to_owned()),
            Some(_) if held == 0 => unknown("Nothing was ever acquired.".to_owned()),
            Some(_) if contended == 0 && self.exclusive => unknown(
                "No process ever asked for a lock while another one had or wanted it, so nothing was contended."
                    .to_owned(),
            ),
            Some(permits) if contended == 0 => unknown(format!(
                "Of no semaphore were more than {permits} permits ever held or wanted at once, so nothing was contended."
            )),
            Some(permits) => {
                let text =
                    format!("In {} never more than {permits} certainly held at once.", messages::count(held, "hold"));
                (Validity::Valid, text)
            }
        };
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, [("holds", json!(held)), ("held_at_once_max", json!(most))])
    }
}
