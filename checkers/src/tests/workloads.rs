//! Several workloads of one kind in a history: each is judged by itself, the worst answer counts, and each is named.
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history;
use crate::{Budget, Validity, Value, Verdict};

/// Those that judge transactions, with a write in their words.
const CHECKERS: &[(&str, &str)] = &[
    ("list-append", "append"),
    ("rw-register", "w"),
    ("mini-transactions", "w"),
    ("read-committed", "w"),
    ("read-committed", "append"),
    ("read-atomic", "append"),
    ("causal-transactions", "w"),
];

fn judge(checker: &str, lines: &str) -> Verdict {
    let mut options = Options::default();
    let model = match checker {
        "list-append" | "rw-register" => Some("read-committed"),
        "mini-transactions" => Some("serializable"),
        _ => None,
    };
    options.0.extend(model.map(|model| ("model".to_owned(), Value::text(model))));
    checker_with(checker, &options).expect("in the list").check(&history(lines), &Budget::unlimited())
}

/// A transaction of this workload that reads key 1 and writes it, and one that reads it.
fn update(workload: &str, writes: &str, outcome: &str, seen: &str) -> String {
    let seen = if writes == "append" { format!("[{seen}]") } else { seen.to_owned() };
    let none = if writes == "append" { "[]" } else { "null" };
    let reply = if outcome == "ok" { format!(r#"[["r",1,{none}],["{writes}",1,7]]"#) } else { "null".to_owned() };
    format!(
        r#"{{"type":"invoke","process":0,"workload":"{workload}","f":"txn","value":[["r",1,null],["{writes}",1,7]]}}
           {{"type":"{outcome}","process":0,"value":{reply}}}
           {{"type":"invoke","process":1,"workload":"{workload}","f":"txn","value":[["r",1,null]]}}
           {{"type":"ok","process":1,"value":[["r",1,{seen}]]}}
        "#
    )
}

#[test]
fn each_is_judged_by_itself_and_the_worst_answer_counts() {
    for (checker, writes) in CHECKERS {
        let (kept, broken) = (|name| update(name, writes, "ok", "7"), update("b", writes, "fail", "7"));
        let both = judge(checker, &(kept("a") + &kept("b")));
        assert_eq!((both.validity, both.workload.as_str()), (Validity::Valid, "a, b"), "{checker}: {}", both.summary);
        let worst = judge(checker, &(kept("a") + &broken));
        assert_eq!(worst.validity, Validity::Invalid, "{checker}: {}", worst.summary);
        assert!(worst.summary.starts_with("a: ") && worst.summary.contains(" b: "), "{checker}: {}", worst.summary);
        let alone = judge(checker, &broken);
        assert_eq!(worst.findings.len(), alone.findings.len(), "{checker}: {}", worst.summary);
    }
}

#[test]
fn what_registers_of_one_began_with_says_nothing_of_the_others() {
    let first = r#"{"type":"invoke","process":3,"workload":"a","f":"txn","value":[["r",1,null]]}
                   {"type":"ok","process":3,"value":[["r",1,5]]}
                  "#;
    let thin_air = update("b", "w", "ok", "5");
    for checker in ["rw-register", "read-committed"] {
        let asked = judge(
            checker,
            &(first.to_owned()
                + &update("a", "w", "ok", "7").replace(r#"[["r",1,null],["w",1,7]]}"#, r#"[["r",1,5],["w",1,7]]}"#)),
        );
        assert_eq!(asked.validity, Validity::Unknown, "{checker}: {}", asked.summary);
        let verdict = judge(checker, &(first.to_owned() + &thin_air));
        assert_eq!(verdict.validity, Validity::Invalid, "{checker}: {}", verdict.summary);
    }
}
