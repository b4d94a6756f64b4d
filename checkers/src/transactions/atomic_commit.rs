//! `atomic-commit`: all participants of a transaction decide the same, the reply to the client is what they decided,
//! and no decision is ever taken back.
//!
//! The key is the transaction. `commit` asks for it: acknowledged with nil, true, `commit` or `committed` it is
//! committed, with false, `abort` or `aborted` it is aborted; refused (Fail), that call committed nothing. `status`
//! asks one participant, named by the argument or else the node, with one of the four words as reply; anything else,
//! `prepared` or nil, is undecided. Where there is neither, the client stands for the participant that it asked. A
//! `status` without a key replies with an object, transaction -> word, for all that the participant knows. Decisions
//! are final, so two different ones contradict each other whenever they were seen; an Info says nothing.
//!
//! Findings: `mixed-decision` (two participants), `decision-flipped` (one participant), `acknowledged-commit-aborted`,
//! `acknowledged-abort-committed` (also two different answers to clients: `conflicting-answers`),
//! `refused-commit-committed` (every commit call was refused). What a participant's last status of the settle phase
//! leaves undecided is blocked: `undecided`, evidence and Unknown, or with the option `must_decide` a violation, unless
//! clients alone are known and one was told a decision later: it may have asked the same participant. Unknown: of no
//! transaction were the decisions of two participants seen.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{at, name_of, object, workloads_with};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::schema;
use crate::value::{Kind, Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "atomic-commit",
    doc: "All participants of a transaction decide the same, for ever, and as the client was told.",
    cost: "near-linear",
    judges: Judges::calls(&["commit"], &["status"]),
    options: schema::<AtomicCommit>,
    build: from_options::<AtomicCommit>,
};

/// Judges transactions over several participants. Its fields are the options.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "AtomicCommitOptions")]
pub(crate) struct AtomicCommit {
    /// A transaction that is undecided at the end of the run breaks the promise.
    must_decide: bool,
}

/// A decision, if it is one: true to commit.
fn decision(word: ValueRef<'_>) -> Option<bool> {
    match word.kind() {
        Kind::Bool(committed) => Some(committed),
        Kind::Text("commit" | "committed") => Some(true),
        Kind::Text("abort" | "aborted") => Some(false),
        _ => None,
    }
}

/// What is known of one transaction. Operations by position; of a pair the abort comes first.
#[derive(Default)]
struct Transaction {
    /// The participants, each with the first status that said abort or commit.
    participants: Vec<Participant>,
    /// The first acknowledged answer to a client that said abort or commit.
    told: [Option<u32>; 2],
    /// Commit calls that were refused, the first few, and whether there are others.
    refused: Vec<u32>,
    other_calls: bool,
    /// The last status with a decision that names no participant.
    nameless: Option<u32>,
}

struct Participant {
    name: String,
    /// Only the client is known, and stands for it.
    nameless: bool,
    said: [Option<u32>; 2],
    /// The last status of the settle phase, if it was undecided.
    undecided: Option<u32>,
}

type Transactions = Vec<(Value, Transaction)>;

fn survey<'h>(history: &'h History, workloads: &[NameId]) -> Transactions {
    let mut transactions: Transactions = Vec::new();
    let mut places: HashMap<(NameId, Cow<'h, str>), usize> = HashMap::new();
    let mut place_of = |workload: NameId, name: Cow<'h, str>, id: Value, all: &mut Transactions| {
        *places.entry((workload, name)).or_insert_with(|| {
            all.push((id, Transaction::default()));
            all.len() - 1
        })
    };
    for op in history.ops().iter().filter(|op| workloads.contains(&op.workload)) {
        match (history.name(op.function), op.outcome) {
            ("commit", outcome) => {
                let place = place_of(op.workload, name_of(op.key), op.key.to_value(), &mut transactions);
                let transaction = &mut transactions[place].1;
                if outcome == Outcome::Fail {
                    transaction.refused.push(op.position);
                    continue;
                }
                transaction.other_calls = true;
                let committed = if op.output.is_nil() { Some(true) } else { decision(op.output) };
                if let Some(committed) = committed.filter(|_| outcome == Outcome::Ok) {
                    transaction.told[usize::from(committed)].get_or_insert(op.position);
                }
            }
            ("status", Outcome::Ok) => {
                let nameless = op.input.is_nil() && !messages::placed(history, &op);
                let participant = match op.input.is_nil() {
                    true if nameless => {
                        Cow::Owned(format!("the participant of process {}", history.client(op.process)))
                    }
                    true => Cow::Borrowed(history.name(op.node)),
                    false => name_of(op.input),
                };
                let mut say = |name: Cow<'h, str>, id: Value, word: ValueRef<'h>| {
                    let place = place_of(op.workload, name, id, &mut transactions);
                    // False could as well mean "not yet".
                    let decided = decision(word).filter(|_| word.as_text().is_some());
                    transactions[place].1.say((&participant, nameless), decided, op);
                };
                match op.output.as_map().filter(|_| op.key.is_nil()) {
                    Some(map) => map.iter().for_each(|(id, word)| say(Cow::Borrowed(id), Value::text(id), word)),
                    None => say(name_of(op.key), op.key.to_value(), op.output),
                }
            }
            _ => {}
        }
    }
    transactions
}

impl Transaction {
    fn say(&mut self, (name, nameless): (&str, bool), decided: Option<bool>, op: Op<'_>) {
        if nameless && decided.is_some() {
            self.nameless = Some(op.position);
        }
        let known = self.participants.iter().position(|one| one.name == name);
        let place = known.unwrap_or_else(|| {
            self.participants.push(Participant {
                name: name.to_owned(),
                nameless,
                said: [None, None],
                undecided: None,
            });
            self.participants.len() - 1
        });
        let participant = &mut self.participants[place];
        match decided {
            Some(committed) => {
                participant.said[usize::from(committed)].get_or_insert(op.position);
            }
            None if op.settle => {}
            None => return,
        }
        if op.settle {
            participant.undecided = decided.is_none().then_some(op.position);
        }
    }

    fn first(&self, committed: bool) -> Option<(u32, &Participant)> {
        let all = self.participants.iter().filter_map(|one| Some((one.said[usize::from(committed)]?, one)));
        all.min_by_key(|(position, _)| *position)
    }

    /// A participant that aborted and another that committed.
    fn mixed(&self) -> Option<(&Participant, &Participant)> {
        let (_, aborted) = self.first(false)?;
        let (_, committed) = self.first(true)?;
        let other = |one: &Participant, place: usize| {
            self.participants.iter().position(|other| other.said[place].is_some() && other.name != one.name)
        };
        if aborted.name != committed.name {
            return Some((aborted, committed));
        }
        let by_other = other(aborted, 1).map(|place| (aborted, &self.participants[place]));
        by_other.or_else(|| Some((&self.participants[other(committed, 0)?], committed)))
    }
}

fn judge<'h>(history: &'h History, id: &Value, one: &Transaction, report: &mut Report<'h>) {
    let violation = |calls: &[u32], title: String, reason: &str| Violation {
        title,
        ops: calls.iter().map(|&position| at(history, position)).collect(),
        key: id.clone(),
        subject: id.clone(),
        reasons: vec![reason.to_owned()],
        ..Violation::default()
    };
    if let Some((aborted, committed)) = one.mixed()
        && let (Some(abort), Some(commit)) = (aborted.said[0], committed.said[1])
    {
        report.violation("mixed-decision", || {
            let title = format!("{} committed transaction {id}, {} aborted it", committed.name, aborted.name);
            violation(
                &[abort, commit],
                title,
                "A transaction is committed everywhere or nowhere, and a decision is final.",
            )
        });
    }
    for participant in &one.participants {
        if let [Some(abort), Some(commit)] = participant.said {
            report.violation("decision-flipped", || {
                let title = format!("{} both committed and aborted transaction {id}", participant.name);
                violation(&[abort, commit], title, "A decision is final: one participant cannot have had both.")
            });
        }
    }
    let (aborted, committed) = (one.first(false), one.first(true));
    if let (Some(told), Some((abort, participant))) = (one.told[1], aborted) {
        report.violation("acknowledged-commit-aborted", || {
            let title =
                format!("the client was told that transaction {id} is committed; {} aborted it", participant.name);
            violation(&[told, abort], title, "What was acknowledged as committed is committed by every participant.")
        });
    }
    if let (Some(told), Some((commit, participant))) = (one.told[0], committed) {
        report.violation("acknowledged-abort-committed", || {
            let title =
                format!("the client was told that transaction {id} is aborted; {} committed it", participant.name);
            violation(&[told, commit], title, "What was acknowledged as aborted is committed by no participant.")
        });
    }
    if let [Some(abort), Some(commit)] = one.told {
        report.violation("conflicting-answers", || {
            let title = format!("clients were told that transaction {id} is committed, and that it is aborted");
            violation(&[abort, commit], title, "A decision is final, so both answers cannot be true.")
        });
    }
    if let (Some((commit, participant)), false, false) = (committed, one.other_calls, one.refused.is_empty()) {
        report.violation("refused-commit-committed", || {
            let title = format!("{} committed transaction {id}, which was refused", participant.name);
            let calls: Vec<u32> = one.refused.iter().copied().chain([commit]).collect();
            violation(&calls, title, "Every call to commit it certainly had no effect.")
        });
    }
}

impl AtomicCommit {
    fn undecided<'h>(&self, history: &'h History, all: &Transactions, report: &mut Report<'h>) {
        for (id, one) in all {
            let certain = |position: u32, who: &Participant| !who.nameless || one.nameless < Some(position);
            let left = one.participants.iter().filter_map(|who| Some((who.undecided?, who)));
            let Some((position, participant)) = left.max_by_key(|(position, who)| certain(*position, who)) else {
                continue;
            };
            let must = self.must_decide && certain(position, participant);
            let participant = &participant.name;
            let tell = || Violation {
                title: format!("{participant} had not decided transaction {id} at the end"),
                ops: vec![at(history, position)],
                key: id.clone(),
                subject: object(&[("transaction", id.clone()), ("must_decide", Value::Bool(must))]),
                reasons: vec!["It was asked after everything was healed, so the transaction is blocked.".to_owned()],
                certified: false,
                ..Violation::default()
            };
            if must {
                report.violation("undecided", tell);
            } else {
                report.evidence("undecided", tell);
            }
        }
    }
}

impl Checker for AtomicCommit {
    fn name(&self) -> &str {
        "atomic-commit"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["commit", "status"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = workloads_with(history, &["commit", "status"]);
        let transactions = survey(history, &workloads);
        let mut report = Report::new(history);
        let mut poll = BudgetPoll::new(budget);
        for (id, transaction) in transactions.iter().take_while(|_| !poll.over(1)) {
            judge(history, id, transaction, &mut report);
        }
        self.undecided(history, &transactions, &mut report);
        let decided = |(_, one): &&(Value, Transaction)| one.participants.iter().any(|one| one.said != [None, None]);
        let seen = transactions.iter().filter(decided).count();
        let several = |(_, one): &&(Value, Transaction)| {
            one.participants.iter().filter(|one| one.said != [None, None]).count() > 1
        };
        let compared = transactions.iter().filter(several).count();
        let blocked = report.count("undecided");
        let unasked = |(_, one): &&(Value, Transaction)| one.told[1].is_some() && one.participants.is_empty();
        let unasked = transactions.iter().filter(unasked).count();
        let otherwise = if seen == 0 {
            (Validity::Unknown, "No participant named a decision.".to_owned())
        } else if blocked > 0 {
            (Validity::Unknown, format!("{} undecided at the end.", messages::count(blocked, "transaction")))
        } else if unasked > 0 {
            let text = format!("No participant was asked about {}.", messages::count(unasked, "committed transaction"));
            (Validity::Unknown, text)
        } else if compared == 0 {
            let text = "Of no transaction did two participants name a decision, so there was nothing to agree on: ask \
                        every participant for its status.";
            (Validity::Unknown, text.to_owned())
        } else {
            (Validity::Valid, format!("{} decided alike by all that answered.", messages::count(seen, "transaction")))
        };
        let numbers = [("transactions", json!(transactions.len())), ("decided", json!(seen))];
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, numbers)
    }
}
