//! `counter`: every read lies within what the additions around it allow.
//!
//! Functions: `add` with an integer, `increment` and `decrement` (or `inc` and `dec`) with an integer or nil (for 1); `read` with the value as
//! reply. The counter begins at 0, or at the option `initial` ([`crate::Initial`]).
//!
//! **Definite.** An addition that was acknowledged before a read was called is counted in it; one that was called before
//! the read's reply, and not refused, may be. So a read is at least the first ones that are positive and all of the
//! second ones that are negative, and at most the first ones that are negative and all of the second ones that are
//! positive (Jepsen's `counter`, with decrements). **Not definite**: whether a sum between the bounds can be reached,
//! and whether later reads agree with earlier ones; neither is judged.
//!
//! Findings: the title says whether acknowledged additions are lost or the read was stale, as far as later reads tell. Where a read
//! before every addition shows a beginning that is not the default, what is lost with that beginning is told first. `read-below-bound`, with the acknowledged positive additions that exceed the read and *every* negative one
//! that may have happened by its reply; `read-above-bound`, with *every* positive addition that may have happened by its
//! reply and those acknowledged negative ones that are needed. The certificate is about these operations: a verifier
//! computes the bound from them alone, and the claim about the rest of the history is that no further addition of the
//! kind marked *every* was called before the read's reply. Where they are too many there is no certificate.
//!
//! Unknown where no addition was acknowledged, or no read that was called after one.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{Group, objects};
use crate::checker::{CheckerDoc, Judges, Reads};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::InitialOptions;
use crate::initial::bounds::{Addition, Bounds};
use crate::initial::counters::{self, NumberSeen};
use crate::initial::{Basis, Beginnings, FromInitial, Initial, Trace, WithInitial, of_key, shown};
use crate::objects::judgeable;
use crate::options::schema;
use crate::value::Value;
use crate::verdict::Violation;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Finding, Verdict};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;

/// A counterexample of more operations has no certificate.
const CERTIFIED_MAX: usize = 100;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "counter",
    doc: "Every read lies between the sums that the additions before and beside it allow.",
    cost: "near-linear",
    judges: Judges::calls(&["add", "increment", "decrement"], &["read"]).reading(Reads::Number),
    options: schema::<InitialOptions>,
    build: |given| {
        let InitialOptions { initial } = given.read()?;
        initial.integers()?;
        Ok(Box::new(WithInitial::new(Counter::default(), initial)))
    },
};

/// Judges workloads that count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    initial: i64,
}

const ADDS: [&str; 5] = ["add", "increment", "decrement", "inc", "dec"];
const TAKES: [&str; 6] = ["add", "increment", "decrement", "inc", "dec", "read"];

const SHAPE: &str = "additions take an integer, a read replies with one";

/// What an addition adds, if it can be understood.
fn amount(history: &History, op: &Op<'_>) -> Option<i128> {
    let number = op.input.as_int().map(i128::from);
    let one = || number.or(op.input.is_nil().then_some(1));
    match history.name(op.function) {
        "add" => number,
        "decrement" | "dec" => one().map(|amount| -amount),
        _ => one(),
    }
}

/// What the reads of a counter after one out of bounds say.
#[derive(Clone, Copy)]
enum Later {
    /// All are out of bounds on the same side.
    Wrong,
    /// This one lies within its bounds.
    Right(u64),
    /// There is none, or it is out of bounds on the other side.
    Unclear,
}

/// What the reads say that were called after the reply of the first of these wrong ones.
fn later(reads: &[(Op<'_>, i64)], wrong: &[(Op<'_>, i64, i128)], otherwise_wrong: &[(Op<'_>, i64, i128)]) -> Later {
    let Some((first, ..)) = wrong.first() else { return Later::Unclear };
    let same: HashSet<u64> = wrong.iter().map(|(read, ..)| read.call).collect();
    let other: HashSet<u64> = otherwise_wrong.iter().map(|(read, ..)| read.call).collect();
    let after = || reads.iter().map(|(op, _)| op.call).filter(|&call| call > first.reply);
    let right = after().find(|call| !same.contains(call) && !other.contains(call));
    let all = after().count() > 0 && after().all(|call| same.contains(&call));
    right.map_or(if all { Later::Wrong } else { Later::Unclear }, Later::Right)
}

/// A read out of bounds.
struct OutOfBounds<'h> {
    read: Op<'h>,
    value: i128,
    bound: i128,
    later: Later,
    /// Refused additions that would explain it if they had taken effect all the same.
    in_vain: Vec<Op<'h>>,
}

impl OutOfBounds<'_> {
    /// The title with what is wrong: acknowledged additions that it lacks, or a sum that no additions give.
    fn named(&self, title: String, nothing_acknowledged: bool, below: bool) -> String {
        if nothing_acknowledged {
            let more = if below { "took away" } else { "added" };
            let (was, but) = match &self.in_vain[..] {
                [] => return format!("{title}: no call {more} as much"),
                [one] => ("was", format!("#{}", one.call)),
                [one, rest @ ..] => {
                    ("were", format!("#{} and {}", one.call, messages::count(rest.len(), "other call")))
                }
            };
            return format!("{title}: no call {more} as much without {but}, which {was} refused");
        }
        let additions = if below { "additions" } else { "decrements" };
        let lacks = (self.bound - self.value).abs();
        match self.later {
            Later::Wrong => {
                format!("{title}: acknowledged {additions} of {lacks} are missing in it and in every later read")
            }
            Later::Right(_) => {
                format!("{title}: it lacks acknowledged {additions} of {lacks}, and a later read is within its bounds")
            }
            Later::Unclear => format!("{title}: acknowledged {additions} of {lacks} are lost, or the read is stale"),
        }
    }

    /// That refused additions may have taken effect.
    fn perhaps_in_vain(&self) -> Option<String> {
        let calls: Vec<String> = self.in_vain.iter().take(4).map(|op| format!("#{}", op.call)).collect();
        let (was, it) = if self.in_vain.len() == 1 { ("was", "it") } else { ("were", "they") };
        let more = if self.in_vain.len() > calls.len() { ", .." } else { "" };
        let calls = calls.join(", ");
        (!calls.is_empty()).then(|| {
            format!("{calls}{more} {was} refused: the read agrees with the additions if {it} took effect all the same.")
        })
    }

    /// Whether it was stale, as far as later reads tell.
    fn stale_or_lost(&self) -> Option<String> {
        match self.later {
            Later::Wrong => Some("Every read that was called after its reply is out of bounds, too.".to_owned()),
            Later::Right(call) => Some(format!(
                "#{call}, called after its reply, is within its bounds: the read was stale, or other additions make up for a loss."
            )),
            Later::Unclear => None,
        }
    }
}

/// Additions that may have happened and acknowledged reads, with their values.
fn collect<'h>(
    history: &'h History,
    object: &Group<'h>,
    malformed: &mut Vec<u64>,
) -> (Vec<Addition<'h>>, Vec<(Op<'h>, i64)>) {
    let (mut additions, mut reads) = (Vec::new(), Vec::new());
    for op in object.ops(history) {
        if history.name(op.function) == "read" {
            match (op.outcome, op.output.as_int()) {
                (Outcome::Ok, Some(value)) => reads.push((op, value)),
                (Outcome::Ok, None) => malformed.push(op.call),
                _ => {}
            }
            continue;
        }
        match amount(history, &op) {
            _ if op.outcome == Outcome::Fail => {}
            Some(amount) => additions.push(Addition { op, amount }),
            None => malformed.push(op.call),
        }
    }
    (additions, reads)
}

/// Refused additions called before the reply of this read that together would have added what it has too much, or too little:
/// one of them where one is enough.
fn in_vain<'h>(history: &'h History, object: &Group<'h>, read: &Op<'h>, lacking: i128) -> Vec<Op<'h>> {
    let refused = object.ops(history).filter(|op| op.outcome == Outcome::Fail && op.call < read.reply);
    let additions = refused.filter(|op| history.name(op.function) != "read");
    let amounts = additions.filter_map(|op| Some((op, amount(history, &op)?)));
    let toward: Vec<(Op<'h>, i128)> = amounts.filter(|(_, amount)| amount.signum() == lacking.signum()).collect();
    let enough = |sum: i128| sum.abs() >= lacking.abs();
    if let Some((op, _)) = toward.iter().find(|(_, amount)| enough(*amount)) {
        return vec![*op];
    }
    match enough(toward.iter().map(|(_, amount)| amount).sum()) {
        true => toward.into_iter().map(|(op, _)| op).collect(),
        false => Vec::new(),
    }
}

impl FromInitial for Counter {
    const CERTIFIES: bool = false;

    fn name(&self) -> &str {
        "counter"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        let mut workloads: Vec<NameId> = Vec::new();
        for object in self.objects(history) {
            if !workloads.contains(&object.workload) {
                workloads.push(object.workload);
            }
        }
        workloads
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        let (mut report, objects) = judgeable(history, self.objects(history), &TAKES, "counter");
        let (mut acknowledged, mut judged, mut telling, mut low, mut high, mut widest) = (0, 0, 0, 0, 0, 0);
        let mut malformed = Vec::new();
        let mut poll = BudgetPoll::new(budget);
        for object in objects.iter().take_while(|object| !poll.over(object.ops.len())) {
            let before = malformed.len();
            let (additions, reads) = collect(history, object, &mut malformed);
            if malformed.len() > before {
                continue; // An addition of unknown size allows every read.
            }
            acknowledged += additions.iter().filter(|addition| addition.op.outcome == Outcome::Ok).count() as u64;
            judged += reads.len() as u64;
            let ok = |addition: &&Addition<'_>| addition.op.outcome == Outcome::Ok;
            let first = additions.iter().filter(ok).map(|addition| addition.op.reply).min().unwrap_or(Op::OPEN);
            telling += reads.iter().filter(|(read, _)| read.call > first).count();
            let begins = of_key(initial, object.key).and_then(|begins| begins.as_int()).unwrap_or(self.initial);
            let bounds = Bounds::new(i128::from(begins), additions);
            let (mut below, mut above) = (Vec::new(), Vec::new());
            for &(read, value) in &reads {
                let (least, most) = bounds.of(&read);
                widest = widest.max(most - least);
                if i128::from(value) < least {
                    below.push((read, value, least));
                } else if i128::from(value) > most {
                    above.push((read, value, most));
                }
            }
            low += below.len() as u64;
            high += above.len() as u64;
            for (all, other, is_below) in [(&below, &above, true), (&above, &below, false)] {
                if let Some(&(read, value, bound)) = all.first() {
                    let counter = Counter { initial: begins };
                    let (value, later) = (i128::from(value), later(&reads, all, other));
                    let in_vain = in_vain(history, object, &read, value - bound);
                    let wrong = OutOfBounds { read, value, bound, later, in_vain };
                    let violation = counter.violation(history, &bounds, &wrong, is_below);
                    report.record(violation.on(object.key).times(all.len()));
                }
            }
        }
        if acknowledged == 0 {
            report.unseen("No addition was acknowledged, so nothing can be said.");
        }
        if judged == 0 {
            report.unseen("No read was acknowledged, so nothing can be said.");
        }
        if acknowledged > 0 && judged > 0 && telling == 0 {
            let reads = messages::count(judged as usize, "read");
            report.unknown(format!(
                "None of {reads} was called after an addition was acknowledged: read again at the end."
            ));
        }
        malformed.sort_unstable();
        report.malformed(SHAPE, &malformed);
        report.numbers([("acknowledged", acknowledged), ("reads", judged), ("below", low), ("above", high)]);
        report.number("widest_bounds", json!(widest.to_string()));
        report.late(&poll, history.ops().len(), "operations");
        report.verdict(self.name(), format!("All {judged} reads are within their bounds."))
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        let objects = self.objects(history);
        let of = |object: &Group<'_>| {
            let read = before_all(history, object);
            let basis = if read.is_empty() { Basis::Counted } else { Basis::Read };
            let first = read.into_iter().chain(Counter::above(history, object));
            first.map(|value| (object.key.to_value(), Value::Int(value), basis)).collect::<Vec<_>>()
        };
        let certain = objects.iter().flat_map(of).filter(|(_, value, _)| *value != Value::Int(self.initial)).collect();
        Beginnings { certain, ..Beginnings::default() }
    }

    fn default_value(&self) -> Value {
        Value::Int(self.initial)
    }

    /// Acknowledged additions that are lost with the beginning that was read; with 0 that read alone is wrong.
    fn prefers(&self, finding: &Finding) -> bool {
        finding.ops.len() > 1
    }
}

/// Values that were read before anything was added.
fn before_all(history: &History, object: &Group<'_>) -> Vec<i64> {
    let traces = object.ops(history).filter_map(|op| match (history.name(op.function), op.outcome) {
        ("read", Outcome::Ok) => Some(Trace::Seen((), op.output.as_int()?, op.reply)),
        ("read", _) => None,
        _ => Some(Trace::LeftAny((), op.call)),
    });
    shown(traces).into_iter().map(|(_, value)| value).collect()
}

impl Counter {
    /// The least number above 0 with which every read agrees, where they agree with no smaller one.
    fn above(history: &History, object: &Group<'_>) -> Option<i64> {
        let mut malformed = Vec::new();
        let (mut additions, reads) = collect(history, object, &mut malformed);
        let refused =
            object.ops(history).filter(|op| op.outcome == Outcome::Fail && history.name(op.function) != "read");
        additions.extend(refused.filter_map(|op| Some(Addition { op, amount: amount(history, &op)? })));
        let shows: Vec<NumberSeen<'_>> =
            reads.into_iter().map(|(op, value)| NumberSeen { op, before: i128::from(value), by: 0 }).collect();
        let (least, _) = counters::beginnings(additions, &shows).filter(|_| malformed.is_empty())?;
        Some(least)
    }

    /// Reads alone are those of a counter where there is nothing else.
    fn objects<'h>(&self, history: &'h History) -> Vec<Group<'h>> {
        let found = objects(history, &ADDS, &TAKES);
        match found.is_empty() && history.workloads().len() == 1 {
            true => objects(history, &["read"], &TAKES),
            false => found,
        }
    }

    fn violation<'h>(
        &self,
        history: &History,
        bounds: &Bounds<'h>,
        wrong: &OutOfBounds<'h>,
        below: bool,
    ) -> Violation<'h> {
        let &OutOfBounds { read, value, bound, .. } = wrong;
        let (certain, possible) = bounds.reasons(&read, value, below);
        let (kind, word) = if below { ("read-below-bound", "at least") } else { ("read-above-bound", "at most") };
        let began = if self.initial == 0 { String::new() } else { format!(", as it began with {}", self.initial) };
        let title = format!("#{} read {value}, but it had to be {word} {bound}{began}", read.call);
        let title = wrong.named(title, certain.is_empty(), below);
        let (sign, other) = if below { ("positive", "negative") } else { ("negative", "positive") };
        let all = match possible.len() {
            1 => "the one".to_owned(),
            many => format!("all {many}"),
        };
        let plural = if possible.len() == 1 { "" } else { "s" };
        let certainly = (!certain.is_empty()).then(|| {
            format!("{} acknowledged before it was called", messages::count(certain.len(), &format!("{sign} addition")))
        });
        let perhaps = (!possible.is_empty())
            .then(|| format!("{all} {other} addition{plural} that may have happened by its reply"));
        let with: Vec<String> = certainly.into_iter().chain(perhaps).collect();
        let began = format!("the counter began at {}", self.initial);
        let why = match with.is_empty() {
            true => format!("Nothing that may have happened by its reply leads to {value}; {began}."),
            false => format!("With {} there is no way to {value}; {began}.", with.join(" and ")),
        };
        let mut ops: Vec<Op<'_>> = vec![read];
        ops.extend(certain.iter().chain(&possible));
        let number = |number: i128| i64::try_from(number).map_or_else(|_| Value::text(&number.to_string()), Value::Int);
        // The bound that the operations shown lead to by themselves.
        let amounts = certain.iter().chain(&possible).filter_map(|op| amount(history, op));
        let shown = i128::from(self.initial) + amounts.sum::<i128>();
        let fields = [("initial", Value::Int(self.initial)), ("bound", number(shown))];
        let subject = Value::Map(fields.map(|(name, value)| (Arc::from(name), value)).into());
        let whole = ops.len() <= CERTIFIED_MAX;
        ops.truncate(CERTIFIED_MAX);
        let mut violation = Violation::new(kind, title, subject, ops).why(why);
        violation.reasons.extend(wrong.stale_or_lost().filter(|_| !certain.is_empty()));
        violation.reasons.extend(wrong.perhaps_in_vain());
        violation.aside.extend(wrong.in_vain.iter().take(4));
        violation.certified = whole;
        violation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::random_history::agrees;
    use crate::testing::history;
    use crate::verdict::Checker;
    use crate::verdict::Validity;

    fn judge(lines: &str) -> Verdict {
        Counter::default().check(&history(lines), &Budget::unlimited())
    }

    fn read(value: i64) -> String {
        format!("9 read -> ok {value}\n")
    }

    const ADDED: &str = "
        0 add null 5 -> ok
        0 decrement -> info
        1 increment null 2 -> fail
        1 add null 3 ...
        ";

    #[test]
    fn all_that_doubt_allows_is_valid() {
        for value in 4..=8 {
            assert_eq!(judge(&format!("{ADDED}{}", read(value))).validity, Validity::Valid, "{value}");
        }
    }

    #[test]
    fn a_read_out_of_bounds_is_told_with_its_reasons() {
        let verdict = judge(&format!("{ADDED}{}", read(3)));
        let finding = &verdict.findings[0];
        assert_eq!((verdict.validity, finding.kind.as_str()), (Validity::Invalid, "read-below-bound"));
        let lost = "acknowledged additions of 1 are lost, or the read is stale";
        assert_eq!(finding.title, format!("Read below bound: #7 read 3, but it had to be at least 4: {lost}"));
        assert_eq!(finding.ops, [0, 2, 7]);
        let verdict = judge(&format!("{ADDED}{}", read(9)));
        assert_eq!(
            (verdict.findings[0].kind.as_str(), &verdict.findings[0].ops[..]),
            ("read-above-bound", &[0, 4, 6, 7][..])
        );
    }

    #[test]
    fn what_was_set_aside_is_not_said_to_be_missing() {
        let verdict = judge(&format!("{}{ADDED}9 read -> ok", read(5)));
        assert_eq!(verdict.validity, Validity::Unknown);
        assert!(verdict.summary.starts_with("1 call could not be understood"), "{}", verdict.summary);
    }

    #[test]
    fn a_lost_addition_is_told_from_a_stale_read_by_later_reads() {
        let title = |lines: String| judge(&lines).findings[0].title.clone();
        let lost = title(format!("{ADDED}{}{}", read(3), read(3)));
        assert_eq!(
            lost,
            "Read below bound: #7 read 3, but it had to be at least 4: acknowledged additions of 1 are missing in it and in every later read"
        );
        let stale = title(format!("{ADDED}{}{}", read(3), read(5)));
        let lacks = "it lacks acknowledged additions of 1, and a later read is within its bounds";
        assert_eq!(stale, format!("Read below bound: #7 read 3, but it had to be at least 4: {lacks}"));
        let more = title(format!("{ADDED}{}", read(9)));
        assert_eq!(
            more,
            "Read above bound: #7 read 9, but it had to be at most 8: no call added as much without #4, which was refused"
        );
    }

    #[test]
    fn a_lost_addition_is_no_read_of_a_wrong_beginning() {
        let add = "0 add null 1 -> ok\n";
        let checker = DOC.checker(&Default::default()).unwrap();
        let lines = format!("{}{add}{}", read(1), read(1));
        let verdict = checker.check(&history(&lines), &Budget::unlimited());
        let finding = &verdict.findings[0];
        assert_eq!((verdict.validity, finding.kind.as_str()), (Validity::Invalid, "read-below-bound"));
        assert!(
            finding.title.starts_with("Read below bound: #4 read 1, but it had to be at least 2, as it began with 1: "),
            "{}",
            finding.title
        );
        assert!(finding.title.contains("acknowledged additions of 1 are "), "{}", finding.title);
        let or = "Or it began with 0, and another read is wrong: Read above bound: #0 read 1, but it had to be at most 0: no call added as much.";
        assert!(finding.sentences.iter().any(|sentence| sentence == or), "{:?}", finding.sentences);
    }

    #[test]
    fn without_reads_or_additions_nothing_is_known() {
        assert_eq!(judge(ADDED).validity, Validity::Unknown);
        assert_eq!(judge(&read(0)).validity, Validity::Unknown);
        let text = ADDED.replace("add null 5", "add null [5]");
        assert_eq!(judge(&format!("{text}{}", read(0))).validity, Validity::Unknown);
    }

    #[test]
    fn agrees_with_the_definition() {
        agrees(fuzz::differ);
    }
}
