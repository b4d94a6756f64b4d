//! [`NeverOk`]: functions of which no call succeeded because of the plan, the recipe or the client. Pure.
//!
//! A statement with a syntax error, or a request to a path that does not exist, fails in the same way from the first call on. That
//! says nothing about the target. Never: blames an error that a fault, an election or the state of an object can cause.
use super::errors::code_of;
use crate::store::RunInfo;
use dsfuzz_checkers::history::NameId;
use dsfuzz_checkers::{History, Outcome};
use dsfuzz_workloads::CallResult;
use dsfuzz_workloads::codes::{ABORTED, CODES, DENIED, MALFORMED, NOT_FOUND, NOT_SUPPORTED, UNKNOWN};
use std::collections::{BTreeMap, HashSet};

/// Begins the sentence about such a function.
pub const AT_FAULT: &str = "the plan, the recipe or the client is wrong: ";

/// Fewest calls of a function that are judged.
const CALLS_MIN: u64 = 3;
/// Fewest calls where only the sameness of their errors speaks.
const ALIKE_MIN: u64 = 10;
/// Errors of one function that are told apart.
const TEXTS_MAX: usize = 32;
/// Longest part of an error that is compared and quoted.
const TEXT_CHARS_MAX: usize = 200;

/// What an error says of the next call of the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    /// It fails, too: the request cannot be carried out as it is.
    Certain,
    /// It fails, too, if all errors are this one.
    IfAlike,
    /// Nothing: another node, another moment or another state of the object may be all that it needs.
    Passing,
}

/// The error of a read without the code by which a client says that a read has no effect: `aborted: unknown: status 404`.
fn bare(error: &str) -> &str {
    let inner = error.strip_prefix(ABORTED.code).and_then(|rest| rest.strip_prefix(": "));
    inner.filter(|inner| CODES.iter().any(|known| known.code == code_of(inner))).unwrap_or(error)
}

fn kind(error: &str) -> ErrorKind {
    let code = code_of(bare(error));
    if incurable(error) {
        ErrorKind::Certain
    } else if [UNKNOWN.code, NOT_FOUND.code].contains(&code) {
        ErrorKind::IfAlike
    } else {
        ErrorKind::Passing
    }
}

/// Whether no wait and no other node cures the error of a call.
pub fn incurable(error: &str) -> bool {
    let code = code_of(bare(error));
    code.starts_with(MALFORMED.code) || [NOT_SUPPORTED.code, DENIED.code].contains(&code)
}

/// The failed calls of one function.
#[derive(Clone, Debug, Default)]
struct Failures {
    calls: u64,
    /// Calls with an error that is certain to come again.
    certain: u64,
    /// Calls whose errors say nothing.
    passing: u64,
    /// Calls that had failed before any fault was in force.
    early: u64,
    /// By error without its digits: its number and an example.
    texts: BTreeMap<String, (u64, String)>,
    /// Calls with one more error than are told apart.
    others: u64,
}

impl Failures {
    fn add(&mut self, error: &str, early: bool) {
        self.calls += 1;
        self.early += u64::from(early);
        match kind(error) {
            ErrorKind::Passing => {
                self.passing += 1;
                return;
            }
            ErrorKind::Certain => self.certain += 1,
            ErrorKind::IfAlike => {}
        }
        let example: String = error.chars().take(TEXT_CHARS_MAX).collect();
        let text: String = example.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.texts.len() < TEXTS_MAX || self.texts.contains_key(&text) {
            self.texts.entry(text).or_insert((0, example)).0 += 1;
        } else {
            self.others += 1;
        }
    }

    /// Whether the target has no part in it.
    fn at_fault(&self) -> bool {
        let alike = self.texts.len() == 1 && self.passing + self.others == 0;
        self.certain >= CALLS_MIN || alike && self.calls >= ALIKE_MIN && self.early > 0
    }

    /// The error of most calls.
    fn most(&self) -> Option<&(u64, String)> {
        self.texts.values().max_by_key(|(count, _)| *count)
    }
}

/// The failed calls of functions that never succeeded, by workload and function.
#[derive(Clone, Debug, Default)]
pub struct NeverOk {
    /// None: a call of it succeeded.
    functions: BTreeMap<(String, String), Option<Failures>>,
}

impl NeverOk {
    /// Counts the end of a call; `early`: before any fault was in force.
    pub fn add(&mut self, workload: &str, f: &str, result: &CallResult, early: bool) {
        let error = match result {
            CallResult::Ok(_) => None,
            CallResult::Fail(why) | CallResult::Info(why) => Some(&**why),
        };
        self.count(workload, f, error, early);
    }

    fn count(&mut self, workload: &str, f: &str, error: Option<&str>, early: bool) {
        let key = (workload.to_owned(), f.to_owned());
        let failures = self.functions.entry(key).or_insert_with(|| Some(Failures::default()));
        match (failures, error) {
            (Some(failures), Some(error)) => failures.add(error, early),
            (failures, None) => *failures = None,
            (None, Some(_)) => {}
        }
    }

    /// The functions at fault in one sentence; none without any.
    pub fn sentence(&self) -> Option<String> {
        let at_fault = self.functions.iter().filter_map(|(name, failures)| Some((name, failures.as_ref()?)));
        let mut at_fault: Vec<_> = at_fault.filter(|(_, failures)| failures.at_fault()).collect();
        at_fault.sort_by_key(|(_, failures)| std::cmp::Reverse(failures.calls));
        let (((workload, f), failures), others) = at_fault.split_first()?;
        let (count, error) = failures.most()?;
        let calls = failures.calls;
        let most = if *count == calls { "each".to_owned() } else { format!("{count} of them") };
        let workloads: Vec<&String> = self.functions.keys().map(|(workload, _)| workload).collect();
        let of =
            if workloads.iter().all(|other| *other == workload) { String::new() } else { format!(" of {workload}") };
        let others: Vec<&str> = others.iter().map(|((_, f), _)| f.as_str()).collect();
        let others =
            if others.is_empty() { String::new() } else { format!("; nor did any call of {}", others.join(", ")) };
        Some(format!("{AT_FAULT}no call of {f}{of} succeeded, all {calls} failed, {most} with: {error}{others}"))
    }

    /// The sentence if every function that was called is at fault. `alike`: also where only the sameness of its errors says so.
    pub fn sentence_of_all(&self, alike: bool) -> Option<String> {
        let at_fault = |failures: &Failures| failures.at_fault() && (alike || failures.certain >= CALLS_MIN);
        let all = self.functions.values().all(|failures| failures.as_ref().is_some_and(at_fault));
        self.sentence().filter(|_| all)
    }
}

/// The functions of a run of which no call succeeded, and which are at fault themselves.
pub(super) fn sentence(history: &History, info: &RunInfo) -> Option<String> {
    if info.file || info.harness_failures.iter().any(|failure| failure.starts_with(AT_FAULT)) {
        return None;
    }
    let first_fault = history.faults.iter().filter_map(|fault| fault.begun.map(|mark| mark.time)).min();
    let succeeded: HashSet<(NameId, NameId)> =
        history.ops().iter().filter(|op| op.outcome == Outcome::Ok).map(|op| (op.workload, op.function)).collect();
    let mut never = NeverOk::default();
    for op in history.ops().iter().filter(|op| !succeeded.contains(&(op.workload, op.function))) {
        let early = first_fault.is_none_or(|begun| op.reply_time < begun);
        let error = op.error.map_or("", |error| history.name(error));
        never.count(history.name(op.workload), history.name(op.function), Some(error), early);
    }
    never.sentence()
}

#[cfg(test)]
mod tests {
    use super::super::{Rules, judge};
    use super::*;
    use dsfuzz_checkers::{Options, Validity};

    fn never(f: &str, errors: &[&str], times: usize, early: bool) -> NeverOk {
        let mut never = NeverOk::default();
        for error in errors.iter().cycle().take(times) {
            never.count("register", f, Some(error), early);
        }
        never
    }

    const SYNTAX: &str = "malformed: 42601: syntax error at or near \"INSRT\"";

    #[test]
    fn a_statement_that_the_server_never_accepts_is_a_mistake_of_the_plan() {
        let mut one = never("write", &[SYNTAX], 3, false);
        assert_eq!(
            one.sentence().as_deref(),
            Some(
                "the plan, the recipe or the client is wrong: no call of write succeeded, all 3 failed, each with: malformed: \
                  42601: syntax error at or near \"INSRT\""
            )
        );
        assert_eq!(never("write", &[SYNTAX], 2, true).sentence(), None, "two calls say too little");
        // Errors of faults in between change nothing.
        let mixed = never("write", &[SYNTAX, "timeout", "not connected: refused: n1"], 9, true).sentence();
        assert!(mixed.is_some_and(|said| said.contains("all 9 failed, 3 of them with: malformed: 42601")));
        one.count("register", "write", None, false);
        assert_eq!(one.sentence(), None, "one of them succeeded");
    }

    #[test]
    fn an_unknown_error_speaks_only_if_all_are_alike_and_began_before_any_fault() {
        let at = |number: u64| format!("unknown: status 404: no path for request {number}");
        let texts: Vec<String> = (0..10).map(at).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let said = never("read", &texts, 10, true).sentence().expect("at fault");
        assert!(said.contains("all 10 failed, each with: unknown: status 404: no path for request 0"), "{said}");
        assert_eq!(never("read", &texts, 9, true).sentence(), None);
        assert!(
            never("read", &["aborted: unknown: status 404"], 10, true).sentence().is_some(),
            "a read has no effect"
        );
        assert_eq!(never("read", &["aborted: timeout: no answer"], 10, true).sentence(), None);
        assert_eq!(never("read", &texts, 30, false).sentence(), None, "a fault may be the reason");
        assert_eq!(never("read", &[&at(1), "unknown: status 500: broken"], 30, true).sentence(), None);
        assert_eq!(never("read", &[&at(1), "timeout"], 30, true).sentence(), None);
    }

    #[test]
    fn what_a_state_a_fault_or_an_election_refuses_is_no_mistake() {
        for error in
            ["precondition: it was 3", "empty", "not-leader: n2 leads", "timeout", "conflict", "not-held", "crash"]
        {
            assert_eq!(never("cas", &[error], 50, true).sentence(), None, "{error}");
        }
    }

    #[test]
    fn all_are_at_fault_only_if_no_function_works() {
        let mut both = never("write", &[SYNTAX], 8, true);
        for _ in 0..4 {
            both.count("register", "read", Some("denied: 42501: permission denied"), true);
        }
        let said = both.sentence_of_all(false).expect("all");
        assert!(said.contains("no call of write succeeded") && said.ends_with("; nor did any call of read"), "{said}");
        both.count("register", "cas", Some("timeout"), true);
        assert_eq!(both.sentence_of_all(true), None, "of cas nothing is known");
        assert!(both.sentence().is_some());
        let alike = never("write", &["unknown: status 404"], 10, true);
        assert!(alike.sentence_of_all(false).is_none() && alike.sentence_of_all(true).is_some());
    }

    #[test]
    fn a_run_with_a_function_that_never_works_says_so_first() {
        let cas = |at: u64| {
            format!(
                "{{\"type\":\"invoke\",\"index\":{at},\"time\":{at},\"worker\":0,\"process\":0,\"node\":\"n1\",\"workload\":\"register\",\
                 \"f\":\"cas\",\"value\":[1,2]}}\n{{\"type\":\"fail\",\"index\":{next},\"time\":{next},\"process\":0,\
                 \"error\":\"malformed: 42601: no such column\"}}\n",
                next = at + 1
            )
        };
        let before = [
            r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#,
            r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"register","f":"write","value":1}"#,
            r#"{"type":"ok","index":2,"time":2,"process":0}"#,
            r#"{"type":"invoke","index":3,"time":3,"worker":0,"process":0,"node":"n1","workload":"register","f":"read"}"#,
            r#"{"type":"ok","index":4,"time":4,"process":0,"value":1}"#,
        ];
        let end = r#"{"type":"end","index":11,"time":11}"#;
        let lines = format!("{}\n{}{end}", before.join("\n"), [cas(5), cas(7), cas(9)].concat());
        let history = dsfuzz_checkers::history::read_jsonl(lines.as_bytes()).expect("a history");
        let rules = Rules { checkers: vec![("linearizable".into(), Options::default())], ..Rules::default() };
        let verdict = judge(&history, &rules, &RunInfo::default());
        assert_eq!((verdict.validity, verdict.exit), (Validity::Unknown, 255), "{}", verdict.sentence);
        assert_eq!(
            verdict.sentence,
            "the plan, the recipe or the client is wrong: no call of cas succeeded, all 3 failed, each with: malformed: 42601: \
             no such column"
        );
        let file = judge(&history, &rules, &RunInfo { file: true, ..RunInfo::default() });
        assert_eq!(file.validity, Validity::Valid, "a history without a run has no plan: {}", file.sentence);
    }
}
