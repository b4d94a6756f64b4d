//! [`NeverOk`]: functions of which no call was Ok. Pure.
//!
//! Where most calls failed by permanent errors, such as a statement with a syntax error, the plan, the recipe or the client is
//! wrong, and the run says nothing about the target. Never: blames an error that a fault, an election or the state of an object
//! can cause; of those a note names the most frequent one.
use crate::store::RunInfo;
use dsfuzz_checkers::history::NameId;
use dsfuzz_checkers::{History, Outcome};
use dsfuzz_workloads::codes::{DENIED, NOT_FOUND, UNKNOWN, code_of, is_permanent};
use dsfuzz_workloads::{Call, CallResult};
use std::collections::{BTreeMap, HashSet};

/// Begins the sentence about such a function.
pub const AT_FAULT: &str = "the plan, the recipe or the client is wrong: ";

/// Fewest calls of a function that are judged.
const CALLS_MIN: u64 = 3;
/// Fewest failed calls of a function for a note.
const NOTED_MIN: u64 = 10;
/// Most different errors of one function that are counted.
const ERRORS_MAX: usize = 32;
/// Longest part of an error that is compared and quoted.
const ERROR_CHARS_MAX: usize = 200;

/// The failed calls of one function.
#[derive(Clone, Debug, Default)]
struct Failures {
    calls: u64,
    /// Calls with a permanent error.
    permanent: u64,
    /// By error: its number and an example.
    errors: BTreeMap<String, (u64, String)>,
}

impl Failures {
    fn add(&mut self, error: &str) {
        self.calls += 1;
        self.permanent += u64::from(is_permanent(error));
        let example: String = error.chars().take(ERROR_CHARS_MAX).collect();
        let kind = without_values(&example);
        if self.errors.len() < ERRORS_MAX || self.errors.contains_key(&kind) {
            self.errors.entry(kind).or_insert((0, example)).0 += 1;
        }
    }

    /// Whether the target has no part in it.
    fn at_fault(&self) -> bool {
        self.permanent >= CALLS_MIN && self.permanent * 2 > self.calls
    }

    /// Whether the most frequent error may be a mistake of the plan.
    fn is_doubtful(&self) -> bool {
        let codes = [UNKNOWN.code, NOT_FOUND.code, DENIED.code];
        let doubtful = |(count, error): &(u64, String)| count * 2 > self.calls && codes.contains(&code_of(error));
        self.calls >= NOTED_MIN && self.most_frequent().is_some_and(doubtful)
    }

    fn most_frequent(&self) -> Option<&(u64, String)> {
        self.errors.values().max_by_key(|(count, _)| *count)
    }

    /// `no call of read was Ok: all 6 failed, each with: malformed: syntax error`.
    fn describe(&self, f: &str, of: &str) -> Option<String> {
        let (count, error) = self.most_frequent()?;
        let calls = self.calls;
        let most = if *count == calls { "each".to_owned() } else { format!("{count} of them") };
        Some(format!("no call of {f}{of} was Ok: all {calls} failed, {most} with: {error}"))
    }
}

/// An error without the values in it: its first number, which is often a status, and its words.
fn without_values(error: &str) -> String {
    let digit = |c: char| c.is_ascii_digit();
    let from = error.find(digit).unwrap_or(error.len());
    let (before, rest) = error.split_at(from);
    let (status, rest) = rest.split_at(rest.find(|c| !digit(c)).unwrap_or(rest.len()));
    let words: String = rest.chars().filter(|c| !c.is_ascii_digit()).collect();
    format!("{before}{status}{words}")
}

/// The calls of functions that were never Ok, by workload and function.
#[derive(Clone, Debug, Default)]
pub struct NeverOk {
    /// None: a call of it was Ok.
    functions: BTreeMap<(String, String), Option<Failures>>,
}

impl NeverOk {
    /// Notes that a call begins: while it is open, nothing is said of its function.
    pub fn begin(&mut self, call: &Call) {
        let key = (call.workload.to_string(), call.f.to_string());
        self.functions.entry(key).or_insert_with(|| Some(Failures::default()));
    }

    /// Counts the end of a call.
    pub fn end(&mut self, call: &Call, result: &CallResult) {
        let error = match result {
            CallResult::Ok(_) => None,
            CallResult::Fail(why) | CallResult::Info(why) => Some(&**why),
        };
        self.count(&call.workload, &call.f, error);
    }

    fn count(&mut self, workload: &str, f: &str, error: Option<&str>) {
        let key = (workload.to_owned(), f.to_owned());
        let failures = self.functions.entry(key).or_insert_with(|| Some(Failures::default()));
        match (failures, error) {
            (Some(failures), Some(error)) => failures.add(error),
            (failures, None) => *failures = None,
            (None, Some(_)) => {}
        }
    }

    /// ` of WORKLOAD`, if there are several.
    fn of(&self, workload: &String) -> String {
        let several = self.functions.keys().any(|(other, _)| other != workload);
        if several { format!(" of {workload}") } else { String::new() }
    }

    fn failures(&self) -> impl Iterator<Item = (&(String, String), &Failures)> {
        self.functions.iter().filter_map(|(name, failures)| Some((name, failures.as_ref()?)))
    }

    /// The functions at fault in one sentence; none without any.
    pub fn sentence(&self) -> Option<String> {
        let mut at_fault: Vec<_> = self.failures().filter(|(_, failures)| failures.at_fault()).collect();
        at_fault.sort_by_key(|(_, failures)| std::cmp::Reverse(failures.calls));
        let (((workload, f), failures), others) = at_fault.split_first()?;
        let first = failures.describe(f, &self.of(workload))?;
        let others: Vec<&str> = others.iter().map(|((_, f), _)| f.as_str()).collect();
        let others =
            if others.is_empty() { String::new() } else { format!("; nor was any call of {}", others.join(", ")) };
        Some(format!("{AT_FAULT}{first}{others}"))
    }

    /// The sentence if every function that was called is at fault.
    pub fn sentence_of_all(&self) -> Option<String> {
        let all = self.functions.values().all(|failures| failures.as_ref().is_some_and(Failures::at_fault));
        self.sentence().filter(|_| all)
    }

    /// One sentence for each function that may be asked wrongly.
    pub(super) fn notes(&self) -> Vec<String> {
        let doubtful = self.failures().filter(|(_, failures)| failures.is_doubtful() && !failures.at_fault());
        doubtful.filter_map(|((workload, f), failures)| failures.describe(f, &self.of(workload))).collect()
    }
}

/// The functions of a run that were never Ok; of a file none, which has no plan.
pub(super) fn of(history: &History, info: &RunInfo) -> NeverOk {
    if info.file {
        return NeverOk::default();
    }
    let succeeded: HashSet<(NameId, NameId)> =
        history.ops().iter().filter(|op| op.outcome == Outcome::Ok).map(|op| (op.workload, op.function)).collect();
    let mut never = NeverOk::default();
    for op in history.ops().iter().filter(|op| !succeeded.contains(&(op.workload, op.function))) {
        let error = op.error.map_or("", |error| history.name(error));
        never.count(history.name(op.workload), history.name(op.function), Some(error));
    }
    never
}

#[cfg(test)]
mod tests;
