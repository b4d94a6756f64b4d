//! `lease`: no two processes hold one lease at the same moment, under a stated bound of clock error.
//!
//! `acquire`, `renew` and `release`, by key; the holder is the process. An acknowledged acquire or renew is a grant:
//! the server counted its time from no earlier than the call, so the process certainly holds the lease from the reply
//! until `ttl_ms` less `clock_error_ms` after the **call**, by the control node's clock, or until it calls release, or
//! until the call that retired it, or until clients may be closed because the load is over. The time to live is the
//! entry `ttl_ms` of the reply or of the argument, or else the option. A reply of false grants, or releases, nothing,
//! like a Fail. Where the arguments of acquire differ within a key in more than that, the option `named_by` says
//! whether they name leases; without it only grants with the same argument are compared, and nothing is valid. Grants
//! without a certain answer may have happened, and conflict with nothing. Grants are swept in the order of their
//! replies with the two that last longest, of two processes.
//!
//! Finding: `overlapping-leases`. Unknown: no time to live known, no grant that was still good when its answer came,
//! no process asked while another had or wanted it, or arguments of acquire that differ and may name leases.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use super::want::{Want, most_at_once};
use super::words;
use crate::calls::{Named, NamedBy, Naming, SessionEnds, at, by_key, object, part, refusal, took, workloads_with};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::schema;
use crate::value::Value;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use dsfuzz_span::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "lease",
    doc: "No two processes certainly hold one lease at the same moment, under a stated bound of clock error.",
    cost: "near-linear",
    judges: Judges::calls(&["renew"], &["acquire", "release"]),
    options: schema::<Lease>,
    build: from_options::<Lease>,
};

/// Judges leases. Its fields are the options.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LeaseOptions")]
pub(crate) struct Lease {
    /// How long a grant lasts, where neither call nor reply says so.
    ttl: Option<Span>,
    /// By how much a server's clock may run ahead within one grant.
    clock_error: Span,
    named_by: NamedBy,
}

impl Lease {
    fn ttl_ms(&self, op: &Op<'_>) -> Option<u64> {
        let said = [op.output, op.input].into_iter().find_map(|value| part(value, "ttl_ms")?.as_int());
        said.and_then(|ttl| u64::try_from(ttl).ok()).or(self.ttl.map(Span::as_millis))
    }

    /// Acknowledged grants of one lease in the order of their replies, and how many do not say how long they last; none
    /// where the time was up.
    fn grants(
        &self,
        history: &History,
        lease: &Named<'_>,
        ends: &SessionEnds,
        poll: &mut BudgetPoll<'_>,
    ) -> Option<(Vec<Grant>, usize)> {
        let mut grants: Vec<Grant> = Vec::new();
        let mut current: HashMap<u32, Vec<usize>> = HashMap::new();
        let mut endless = 0;
        for &position in &lease.group.ops {
            if poll.over(1) {
                return None;
            }
            let op = at(history, position);
            match history.name(op.function) {
                "acquire" | "renew" if took(&op) => {
                    let Some(ttl_ms) = self.ttl_ms(&op) else {
                        endless += 1;
                        continue;
                    };
                    let lasts = ttl_ms.saturating_sub(self.clock_error.as_millis()).saturating_mul(1_000_000);
                    let expires = op.call_time.saturating_add(lasts);
                    let (until, ended_by) = ends.after(history, &op);
                    current.entry(op.session).or_default().push(grants.len());
                    grants.push(Grant {
                        op: position,
                        session: op.session,
                        from: (op.reply, op.reply_time),
                        until,
                        expires,
                        ended_by,
                        ttl_ms,
                    });
                }
                "release" if took(&op) || op.outcome == Outcome::Info => {
                    for place in current.remove(&op.session).unwrap_or_default() {
                        (grants[place].until, grants[place].ended_by) = (op.call, Some(position));
                    }
                }
                _ => {}
            }
        }
        grants.retain(|grant| grant.from.1 < grant.expires);
        grants.sort_unstable_by_key(|grant| grant.from);
        Some((grants, endless))
    }

    fn sweep<'h>(
        &self,
        history: &'h History,
        lease: &Named<'h>,
        grants: &[Grant],
        poll: &mut BudgetPoll<'_>,
        report: &mut Report<'h>,
    ) {
        // Of all grants before, the one that lasts longest, and the longest of another process: by the place of the
        // first grant that comes after them.
        let mut longest: [Option<(usize, usize)>; 2] = [None, None];
        for (place, grant) in grants.iter().enumerate().take_while(|_| !poll.over(1)) {
            let others = longest.iter().flatten().filter(|(_, other)| grants[*other].session != grant.session);
            if let Some((_, other)) = others.copied().max().filter(|(end, _)| *end > place) {
                report.violation("overlapping-leases", || self.violation(history, lease, grants[other], *grant));
            }
            let end = grants.partition_point(|later| later.from.0 < grant.until && later.from.1 < grant.expires);
            let new = (end, place);
            let same =
                |slot: &Option<(usize, usize)>| slot.is_some_and(|(_, one)| grants[one].session == grant.session);
            match longest.iter().position(same) {
                Some(slot) => longest[slot] = longest[slot].max(Some(new)),
                None => {
                    let slot = usize::from(longest[0].is_some_and(|one| longest[1].is_none_or(|two| two.0 < one.0)));
                    if longest[slot].is_none_or(|(old, _)| old < end) {
                        longest[slot] = Some(new);
                    }
                }
            }
        }
    }

    fn violation<'h>(&self, history: &'h History, lease: &Named<'h>, one: Grant, two: Grant) -> Violation<'h> {
        let (first, second) = (at(history, one.op), at(history, two.op));
        let name = words::object_of("lease", lease, &second);
        let say = |grant: &Grant, op: &Op<'_>| {
            words::sentence(&format!(
                "{} certainly held {name} from the reply to #{} at {} until {}: {} ms from its call at {}, \
                 less {} ms of clock error",
                words::holder(history, op),
                op.call,
                messages::seconds(grant.from.1),
                messages::seconds(grant.expires),
                grant.ttl_ms,
                messages::seconds(op.call_time),
                self.clock_error.as_millis()
            ))
        };
        let times = |grant: &Grant, op: &Op<'_>| {
            let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
            object(&[
                ("call", number(op.call)),
                ("call_time_ns", number(op.call_time)),
                ("reply_time_ns", number(op.reply_time)),
                ("ttl_ms", number(grant.ttl_ms)),
            ])
        };
        let ends = [one.ended_by, two.ended_by].into_iter().flatten().map(|position| at(history, position));
        let mut reasons = vec![say(&one, &first), say(&two, &second)];
        let refused = |op: &Op<'h>| lease.refused(history, op, second.reply);
        let mut aside: Vec<Op<'h>> = [&first, &second].into_iter().filter_map(refused).collect();
        reasons.extend(aside.iter().map(refusal));
        for renewal in [&first, &second] {
            if let Some(meant) = lease.meant(history, renewal) {
                reasons
                    .push(format!("#{} renewed what #{} was about: nothing else was held.", renewal.call, meant.call));
                aside.push(meant);
            }
        }
        reasons.extend(
            ends.clone().map(|end| format!("Process {} gave it up no earlier than #{}.", end.process, end.call)),
        );
        reasons.push(format!("When #{} was answered, both held it.", second.call));
        let interval = |grant: &Grant, op: &Op<'_>| {
            let holder = words::holder(history, op);
            let ended = grant.ended_by.map(|position| at(history, position).call_time);
            let to = ended.map_or(grant.expires, |ended| ended.min(grant.expires));
            format!("{holder} held from {} to {}", messages::seconds(grant.from.1), messages::seconds(to))
        };
        let (one_held, two_held) = (interval(&one, &first), interval(&two, &second));
        Violation {
            title: format!("{name} had two holders at the same time: {one_held}, {two_held}"),
            ops: [first, second].into_iter().chain(ends).collect(),
            key: second.key.to_value(),
            subject: object(&[
                ("clock_error_ms", Value::Int(i64::try_from(self.clock_error.as_millis()).unwrap_or(i64::MAX))),
                ("grants", Value::list([times(&one, &first), times(&two, &second)])),
            ]),
            aside,
            reasons,
            certified: lease.certified,
            ..Violation::default()
        }
    }
}

/// A process certainly holds the lease from `from` until `until` (an index) and `expires` (a time), whichever comes
/// first.
#[derive(Clone, Copy, Debug)]
struct Grant {
    op: u32,
    session: u32,
    from: (u64, u64),
    until: u64,
    expires: u64,
    ended_by: Option<u32>,
    ttl_ms: u64,
}

/// Whether some process asked while another one may have had it or asked for it too: by time, from the call to the end of the grant
/// or to the refusal.
fn contended(history: &History, lease: &Named<'_>, grants: &[Grant], clock_error: Span) -> bool {
    // A grant ends by the clock of the server, which answered before the reply and may be slow; or at a release.
    let latest = |grant: &Grant| {
        let lasts = grant.ttl_ms.saturating_add(clock_error.as_millis()).saturating_mul(1_000_000);
        let expires = at(history, grant.op).reply_time.saturating_add(lasts);
        let released = grant.ended_by.map(|position| at(history, position));
        let released = released.filter(|op| history.name(op.function) == "release" && op.outcome != Outcome::Info);
        released.map_or(expires, |op| op.reply_time.min(expires))
    };
    let mut ends: HashMap<u32, u64> = HashMap::new();
    for grant in grants {
        let end = ends.entry(grant.op).or_default();
        *end = latest(grant).max(*end);
    }
    let positions = lease.group.ops.iter().map(|&position| (position, at(history, position)));
    let asking = positions.filter(|(_, op)| ["acquire", "renew"].contains(&history.name(op.function)));
    let wants = asking.map(|(position, op)| {
        let refused = if op.outcome == Outcome::Info { u64::MAX } else { op.reply_time };
        let to = ends.get(&position).copied().unwrap_or(refused);
        Want { session: op.session, from: op.call_time, to, permits: 1 }
    });
    most_at_once(wants, true).is_some_and(|most| most > 1)
}

impl Checker for Lease {
    fn name(&self) -> &str {
        "lease"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["acquire"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = workloads_with(history, &["acquire"]);
        let mut report = Report::new(history);
        let ends = SessionEnds::new(history);
        let (mut good, mut endless, mut contended) = (0, 0, 0);
        let mut poll = BudgetPoll::new(budget);
        let mut doubt = None;
        let naming = Naming::new(history, self.named_by, false);
        'keys: for group in by_key(history, &workloads) {
            let names = naming.apart(group);
            doubt = doubt.or(names.doubt);
            for lease in &names.locks {
                let Some((grants, unclear)) = self.grants(history, lease, &ends, &mut poll) else { break 'keys };
                contended +=
                    usize::from(!grants.is_empty() && self::contended(history, lease, &grants, self.clock_error));
                good += grants.len();
                endless += unclear;
                self.sweep(history, lease, &grants, &mut poll, &mut report);
            }
        }
        doubt.into_iter().for_each(|doubt| report.unknown(doubt));
        let unknown = |text: &str| (Validity::Unknown, text.to_owned());
        let otherwise = if endless > 0 {
            unknown("How long a grant lasts is not known: set the option ttl.")
        } else if good == 0 {
            unknown("No grant was still good when its answer came.")
        } else if contended == 0 {
            unknown("No process ever asked for a lease while another one had or wanted it, so nothing was contended.")
        } else {
            (Validity::Valid, format!("{} never certainly held by two at once.", messages::count(good, "grant")))
        };
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, [("grants", json!(good))])
    }
}
