//! [`PossibleWrites`]: no promise about a workload is valid that an unknown function may have broken, and none is broken where an
//! unknown function may explain what was seen.
use crate::functions::{self, FunctionKind};
use crate::history::{History, NameId, Op, Outcome};
use crate::value::ValueRef;
use crate::verdict::{Budget, Checker, Finding, Validity, Verdict, as_inner_checker};
use std::collections::HashSet;

/// A checker of workloads. Its answer is unknown where it rests on the absence of other writes, and a call that may have taken
/// effect has a function that the table of functions does not know.
pub(crate) struct PossibleWrites {
    checker: Box<dyn Checker>,
    /// Functions of the workloads that it judges, reads apart; none where it judges the run as a whole.
    functions: Vec<&'static str>,
}

impl PossibleWrites {
    /// This checker, which judges workloads of these functions.
    pub(crate) fn guard(mut functions: Vec<&'static str>, checker: Box<dyn Checker>) -> PossibleWrites {
        functions.retain(|name| functions::function(name).kind != FunctionKind::Read);
        PossibleWrites { checker, functions }
    }

    /// Calls that may have changed anything in the workloads that this verdict is about: the first on each key.
    fn possible_writes<'h>(&self, history: &'h History, verdict: &Verdict) -> Vec<Op<'h>> {
        let called = history.functions_called();
        let judges = |name: &str| self.functions.contains(&name);
        let of_locks = self.functions.iter().any(|name| functions::function(name).kind == FunctionKind::Acquire);
        // Who judges `acquire` and `release` does not see what another function takes or gives back.
        let foreign = |function: NameId| match history.function(function).kind {
            FunctionKind::Unknown => true,
            FunctionKind::Transaction => !judges(history.name(function)),
            FunctionKind::Acquire | FunctionKind::Release => of_locks && !judges(history.name(function)),
            _ => false,
        };
        if self.functions.is_empty() || !called.iter().any(|(_, function)| foreign(*function)) {
            return Vec::new();
        }
        let judged = |workload| called.iter().any(|(of, function)| *of == workload && judges(history.name(*function)));
        let named = verdict.workload.as_str();
        let about = |workload: NameId| match history.name(workload) {
            _ if named.is_empty() => judged(workload),
            name => name == named || named.split(", ").any(|one| one == name),
        };
        // A list of micro-operations is a transaction, whatever its function is called.
        let transacts = |op: &Op<'_>| functions::kind(history, op) == FunctionKind::Transaction;
        let write = |op: &Op<'_>| {
            foreign(op.function)
                && op.outcome != Outcome::Fail
                && !(transacts(op) && (judges("txn") || !functions::may_change(history, op)))
                && about(op.workload)
        };
        let mut seen: HashSet<(NameId, ValueRef<'_>)> = HashSet::new();
        history.ops().iter().filter(write).filter(|op| seen.insert((op.workload, op.key))).collect()
    }

    /// The verdict without the violations that one of these calls may explain: it may have taken effect before the last
    /// operation of the counterexample had ended, on the same key or on all of them. They stay as evidence.
    fn without_doubtful(history: &History, writes: &[Op<'_>], verdict: Verdict) -> Verdict {
        let explains = |finding: &Finding| {
            let ops = finding.ops.iter().filter_map(|call| history.op(*call));
            let complete =
                ops.map(|op| if op.reply == Op::OPEN { op.call } else { op.reply }).max().unwrap_or(Op::OPEN);
            let on = |op: &Op<'_>| op.key.is_nil() || finding.key.is_nil() || op.key == finding.key;
            let write = writes.iter().find(|op| op.call < complete && on(op))?;
            Some(format!(
                "#{} called {}, a function that this checker does not know: it may explain this.",
                write.call,
                history.name(write.function)
            ))
        };
        verdict.without_explained(explains)
    }
}

impl Checker for PossibleWrites {
    as_inner_checker!();

    fn workloads(&self, history: &History) -> Vec<NameId> {
        self.checker.workloads(history)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let verdict = self.checker.judge_workload(history, budget);
        let writes = match verdict.validity {
            Validity::Unknown => Vec::new(),
            _ => self.possible_writes(history, &verdict),
        };
        match (writes.first(), verdict.validity) {
            (None, _) => verdict,
            (Some(_), Validity::Invalid) => PossibleWrites::without_doubtful(history, &writes, verdict),
            (Some(op), _) => verdict.doubted(format!(
                "#{} called {}, a function that this checker does not know: it may have changed what the object holds.",
                op.call,
                history.name(op.function)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::history;
    use crate::value::Value;
    use crate::verdict::{Budget, Severity, Validity, Verdict};
    use crate::{Options, checker_with};

    fn judge(checker: &str, lines: &str) -> Verdict {
        let options = match checker {
            "semaphore" => Options([("permits".to_owned(), Value::Int(1))].into()),
            "lease" => Options([("ttl".to_owned(), Value::text("10s"))].into()),
            _ => Options::default(),
        };
        checker_with(checker, &options).expect("a checker").check(&history(lines), &Budget::unlimited())
    }

    /// Of each checker a broken history, in which the line `?` may be a call.
    const BROKEN: [(&str, &str); 9] = [
        ("linearizable", "0 write k 5 -> ok\n 1 read k -> ok 5\n ?\n 1 read k -> ok null"),
        ("lock", "0 acquire k -> ok\n ?\n 1 acquire k -> ok"),
        ("semaphore", "0 acquire k -> ok\n ?\n 1 acquire k -> ok"),
        ("lease", "0 acquire k -> ok\n 0 renew k -> ok\n ?\n 1 acquire k -> ok"),
        ("g2", "0 insert k [1,null] -> ok\n ?\n 1 insert k [null,2] -> ok"),
        (
            "bank",
            "0 transfer k {\"from\":0,\"to\":1,\"amount\":1} -> ok\n 0 read k -> ok [5,5]\n ?\n 0 read k -> ok [5,6]",
        ),
        ("causal-reverse", "0 write k 1 -> ok\n ?\n 0 write k 2 -> ok\n 1 read k -> ok [2]"),
        ("unique-ids", "0 generate -> ok 7\n ?\n 1 generate -> ok 7"),
        ("queue", "0 enqueue k 5 -> ok\n 1 dequeue k -> ok 5\n ?\n 1 dequeue k -> ok 5"),
    ];

    #[test]
    fn what_an_unknown_function_may_explain_is_unknown() {
        for (checker, lines) in BROKEN {
            let with = |call: &str| judge(checker, &lines.replace('?', call));
            let plain = with("# nothing");
            assert_eq!(plain.validity, Validity::Invalid, "{checker}: {}", plain.summary);
            for call in ["2 frobnicate -> ok", "2 frobnicate k 3 -> ok", "2 frobnicate -> info", "2 frobnicate ..."] {
                let verdict = with(call);
                assert_eq!(verdict.validity, Validity::Unknown, "{checker}, {call}: {}", verdict.summary);
                assert!(verdict.summary.contains("frobnicate"), "{checker}, {call}: {}", verdict.summary);
                assert!(verdict.findings.iter().all(|finding| finding.severity == Severity::Evidence), "{checker}");
            }
            let refused = with("2 frobnicate -> fail");
            assert_eq!(refused.validity, Validity::Invalid, "{checker}: {}", refused.summary);
        }
    }

    #[test]
    fn a_lock_that_another_function_gives_back_is_unknown() {
        for name in ["unlock", "txn"] {
            let input = if name == "txn" { r#"[["w","k",null]]"# } else { "null" };
            let held = format!("0 acquire k -> ok\n 2 {name} k {input} -> ok\n 1 acquire k -> ok");
            let verdict = judge("lock", &held);
            assert_eq!(verdict.validity, Validity::Unknown, "{name}: {}", verdict.summary);
        }
        // Of another lock it says nothing.
        let other = "0 acquire k -> ok\n 2 unlock j -> ok\n 1 acquire k -> ok";
        assert_eq!(judge("lock", other).validity, Validity::Invalid);
    }

    #[test]
    fn what_was_complete_before_an_unknown_call_stays_broken() {
        for (checker, lines) in
            BROKEN.iter().filter(|(checker, _)| ["linearizable", "lock", "g2", "unique-ids"].contains(checker))
        {
            let lines = format!("{}\n 2 frobnicate k -> ok", lines.replace('?', "# nothing"));
            let verdict = judge(checker, &lines);
            assert_eq!(verdict.validity, Validity::Invalid, "{checker}: {}", verdict.summary);
        }
        let two =
            "0 acquire k -> ok\n 1 acquire k -> ok\n 0 acquire j -> ok\n 2 frobnicate j -> ok\n 1 acquire j -> ok";
        let verdict = judge("lock", two);
        let severities: Vec<Severity> = verdict.findings.iter().map(|finding| finding.severity).collect();
        assert_eq!((verdict.validity, severities), (Validity::Invalid, vec![Severity::Violation, Severity::Evidence]));
        assert!(verdict.summary.contains("of k") || verdict.summary.contains("\"k\""), "{}", verdict.summary);
    }
}
