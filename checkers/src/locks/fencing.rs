//! `fencing`: later grants of a lock carry larger tokens, and what it protects never accepts an older token after a
//! newer.
//!
//! Grants are `acquire` with the token, an integer, as reply (or as the entry `token` of an object). Guarded writes are
//! `write` with `{"token": t, ...}` or `[t, value]` as argument; acknowledged, they were accepted. The resource's own
//! log is `log`, a list of `[t, value]` in the order in which it accepted them. One call is later than another when it
//! began after the other had ended; calls at the same time may have happened in either order. By key: of the lock for
//! grants, of the resource for writes. Leaders of terms (`elect`, `resign`) write with their term as the token. A process that acquires again without having released may get its own token
//! again, and a reply of false grants, and accepts, nothing. Where the arguments of acquire differ within a key, the
//! option `named_by` says whether they name locks; without it only grants with the same argument are compared, and
//! nothing is valid.
//!
//! Findings: `token-not-increasing`, `token-granted-twice`, `stale-token-accepted`, `stale-token-in-log`. Unknown:
//! neither two grants with tokens nor two accepted writes, or a grant or write that names no token, arguments of
//! acquire that differ and may name locks.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{
    Group, Named, NamedBy, Naming, at, by_key, largest_before, part, took, workloads_where, workloads_with,
};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op};
use crate::options::schema;
use crate::value::{Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "fencing",
    doc: "Later grants carry larger tokens, and what they guard never accepts an older token after a newer.",
    cost: "near-linear",
    judges: Judges::calls(&["acquire", "elect"], &["release", "resign", "leader", "write", "log"]),
    options: schema::<Fencing>,
    build: from_options::<Fencing>,
};

/// Judges fencing tokens. Its fields are the options.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "FencingOptions")]
pub(crate) struct Fencing {
    named_by: NamedBy,
}

/// The token of a grant's reply, of a write's argument or of an entry of a log.
fn token(value: ValueRef<'_>) -> Option<i64> {
    let first = || value.as_list().and_then(|list| list.get(0));
    value.as_int().or_else(|| part(value, "token").or_else(first)?.as_int())
}

/// What was counted.
#[derive(Default)]
struct Seen {
    grants: usize,
    accepted: usize,
    logged: usize,
    nameless: usize,
}

fn grants<'h>(
    history: &'h History,
    lock: &Named<'h>,
    poll: &mut BudgetPoll<'_>,
    seen: &mut Seen,
    report: &mut Report<'h>,
) {
    let group = &lock.group;
    let mut grants: Vec<(u32, i64)> = Vec::new();
    // Of each process the token that it got and did not try to release.
    let mut held: HashMap<u32, i64> = HashMap::new();
    for op in group.ops(history).take_while(|_| !poll.over(1)) {
        match (history.name(op.function), took(&op)) {
            ("acquire", true) => match token(op.output) {
                Some(token) => {
                    if held.insert(op.session, token) != Some(token) {
                        grants.push((op.position, token));
                    }
                }
                None => seen.nameless += 1,
            },
            ("release", true) if !lock.loose(op.position) => drop(held.remove(&op.session)),
            _ => {}
        }
    }
    seen.grants += grants.len();
    for (&(position, token), before) in grants.iter().zip(largest_before(history, &grants)) {
        if let Some((larger, other)) = before.filter(|(larger, _)| *larger >= token) {
            let (earlier, op) = (at(history, other), at(history, position));
            report.violation("token-not-increasing", || Violation {
                title: format!(
                    "#{} was granted token {token} after #{} had been granted {larger}",
                    op.call, earlier.call
                ),
                reasons: vec![format!(
                    "#{} was answered before #{} was called, so the later grant needs a token above {larger}.",
                    earlier.call, op.call
                )],
                ..grant_pair(history, group, earlier, op, token)
            });
        }
    }
    let mut by_token: HashMap<i64, u32> = HashMap::new();
    for (position, token) in grants {
        let first = *by_token.entry(token).or_insert(position);
        if first != position {
            let (earlier, op) = (at(history, first), at(history, position));
            report.violation("token-granted-twice", || Violation {
                title: format!("#{} and #{} were both granted token {token}", earlier.call, op.call),
                reasons: vec!["A token stands for one grant only, so two of them cannot be told apart.".to_owned()],
                ..grant_pair(history, group, earlier, op, token)
            });
        }
    }
}

fn pair<'h>(earlier: Op<'h>, later: Op<'h>, token: i64) -> Violation<'h> {
    Violation {
        ops: vec![earlier, later],
        key: later.key.to_value(),
        subject: Value::Int(token),
        ..Violation::default()
    }
}

/// Two grants. If one process got one token twice, also its call before the later grant: without that call it would only have
/// received its token again.
fn grant_pair<'h>(
    history: &'h History,
    group: &Group<'h>,
    earlier: Op<'h>,
    later: Op<'h>,
    token: i64,
) -> Violation<'h> {
    let mut violation = pair(earlier, later, token);
    if earlier.session == later.session {
        let own = group.ops.iter().rev().map(|&position| at(history, position));
        let before = own.filter(|op| op.session == later.session && op.call < later.call);
        let mut telling = before.filter(|op| match history.name(op.function) {
            "acquire" | "release" => took(op),
            _ => false,
        });
        violation.ops.extend(telling.next());
    }
    violation
}

fn writes<'h>(
    history: &'h History,
    group: &Group<'h>,
    poll: &mut BudgetPoll<'_>,
    seen: &mut Seen,
    report: &mut Report<'h>,
) {
    let mut accepted: Vec<(u32, i64)> = Vec::new();
    for op in group.ops(history).take_while(|_| !poll.over(1)) {
        match (history.name(op.function), took(&op)) {
            ("write", true) => match token(op.input) {
                Some(token) => accepted.push((op.position, token)),
                None => seen.nameless += 1,
            },
            ("log", true) => log(history, op, seen, report),
            _ => {}
        }
    }
    seen.accepted += accepted.len();
    for (&(position, token), before) in accepted.iter().zip(largest_before(history, &accepted)) {
        if let Some((larger, other)) = before.filter(|(larger, _)| *larger > token) {
            let (earlier, op) = (at(history, other), at(history, position));
            report.violation("stale-token-accepted", || Violation {
                title: format!("#{} was accepted with token {token} after #{} with {larger}", op.call, earlier.call),
                reasons: vec![
                    format!("#{} with token {larger} was acknowledged before #{} was called.", earlier.call, op.call),
                    format!("From then on token {token} is of a lock that was lost, and must be refused."),
                ],
                ..pair(earlier, op, token)
            });
        }
    }
}

/// The first entry of a log that comes after a larger one.
fn log<'h>(history: &'h History, op: Op<'h>, seen: &mut Seen, report: &mut Report<'h>) {
    let mut largest: Option<i64> = None;
    for entry in op.output.as_list().unwrap_or_default().iter() {
        let Some(token) = token(entry) else {
            seen.nameless += 1;
            continue;
        };
        seen.logged += 1;
        if let Some(larger) = largest.filter(|larger| *larger > token) {
            report.violation("stale-token-in-log", || Violation {
                title: format!(
                    "the log that #{} read{} has token {token} after {larger}",
                    op.call,
                    messages::on(history, &op)
                ),
                ops: vec![op],
                key: op.key.to_value(),
                subject: Value::Int(token),
                reasons: vec![format!("What accepted token {larger} must refuse {token} from then on.")],
                ..Violation::default()
            });
            return;
        }
        largest = largest.max(Some(token));
    }
}

impl Checker for Fencing {
    fn name(&self) -> &str {
        "fencing"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        // A register is written without tokens: writes belong here where they carry one, or beside a lock.
        let mut workloads = workloads_with(history, &["acquire"]);
        let first = |op: &Op<'_>| op.output.as_list().and_then(|list| list.get(0)).and_then(token);
        let guarded = |op: &Op<'_>| match history.name(op.function) {
            "write" => part(op.input, "token").is_some(),
            "log" => first(op).is_some(),
            _ => false,
        };
        let others = workloads_where(history, guarded);
        workloads.extend(others.iter().filter(|other| !workloads.contains(other)).collect::<Vec<_>>());
        workloads
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = self.workloads(history);
        let mut report = Report::new(history);
        let mut seen = Seen::default();
        let mut doubt = None;
        let mut poll = BudgetPoll::new(budget);
        let mut telling = false;
        let naming = Naming::new(history, self.named_by, false);
        for group in by_key(history, &workloads) {
            let before = (seen.accepted, seen.logged);
            writes(history, &group, &mut poll, &mut seen, &mut report);
            let names = naming.apart(group);
            doubt = doubt.or(names.doubt);
            telling |= seen.accepted > before.0 + 1 || seen.logged > before.1 + 1;
            for lock in &names.locks {
                let before = seen.grants;
                grants(history, lock, &mut poll, &mut seen, &mut report);
                telling |= seen.grants > before + 1;
            }
        }
        doubt.into_iter().for_each(|doubt| report.unknown(doubt));
        let Seen { grants, accepted, logged, nameless } = seen;
        let otherwise = if nameless > 0 {
            let name = if nameless == 1 { "names" } else { "name" };
            let operations = messages::count(nameless, "operation");
            let text = format!("{operations} {name} no token, so their order cannot be judged.");
            (Validity::Unknown, text)
        } else if !telling {
            let text = "Of no lock were two grants acknowledged, and of nothing that it guards two writes: there is \
                        nothing to compare.";
            (Validity::Unknown, text.to_owned())
        } else {
            let text = format!(
                "Tokens only grew over {}, {} and {logged} {} of logs.",
                messages::count(grants, "grant"),
                messages::count(accepted, "accepted write"),
                if logged == 1 { "entry" } else { "entries" }
            );
            (Validity::Valid, text)
        };
        let numbers = [("grants", json!(grants)), ("accepted_writes", json!(accepted)), ("logged", json!(logged))];
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, numbers)
    }
}
