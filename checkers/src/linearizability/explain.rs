//! From a small contradiction to a finding that a reader can check: the operations with their times, and why no order fits.
use super::decide;
use super::register::{NIL, RegAction, RegOp};
use super::zones::Conflict;
use crate::functions::brought;
use crate::history::{History, Op, Outcome};
use crate::models::Model;
use crate::value::likeness;
use crate::value::{Value, ValueRef};
use crate::verdict::messages;
use crate::verdict::{Severity, Violation};

/// A contradiction among the operations of one register, in the order of their calls.
pub(crate) struct Contradicting {
    /// The operations; their value [`NIL`] is the one that the register began with.
    pub(crate) small: Vec<RegOp>,
    /// The value that the register began with.
    pub(crate) begins: Value,
}

impl Contradicting {
    /// An observer of the initial value that ended before any of all the register's operations wrote that value.
    pub(crate) fn unwritten(&self, all: &[RegOp]) -> Option<usize> {
        self.small.iter().rposition(|op| {
            let writes = |other: &RegOp| other.action.writes() == Some(NIL) && other.call < op.end;
            observes_initial(op) && !all.iter().any(writes)
        })
    }
}

/// Whether the operation certainly observed the initial value.
pub(crate) fn observes_initial(op: &RegOp) -> bool {
    op.definite() && op.action.needs() == Some(NIL) && !op.weakened
}

/// The violation of one key. `supposed` has the same operations of a register that began with another value, which contradict
/// each other as well, and the place of one that observed that value before it was written, if there is one.
pub(crate) fn violation<'h>(
    history: &'h History,
    workload: &str,
    key: &Value,
    plain: &Contradicting,
    supposed: Option<(&Contradicting, Option<usize>)>,
) -> Violation<'h> {
    let small = &plain.small[..];
    let ops: Vec<Op<'_>> = small.iter().filter_map(|op| history.op(op.call)).collect();
    let story = Story { history, small, ops: &ops, begins: &plain.begins };
    let (mut kind, mut title, mut why) = story.contradiction(workload, key);
    if let Some((supposed, unwritten)) = supposed {
        let story = Story { history, small: &supposed.small, ops: &ops, begins: &supposed.begins };
        match unwritten {
            // An observation of a value that was not written yet contradicts every beginning but that value.
            Some(observer) => {
                (kind, title, why) = story.phantom(observer, workload, key);
                why.push(format!("Nor can the register have begun with {}.", supposed.begins));
                why.extend(story.contradiction(workload, key).2);
            }
            None => why.push(format!(
                "That holds also if it began with {}, which was read before anything was written.",
                supposed.begins
            )),
        }
    }
    let mut sentences: Vec<String> = Vec::new();
    for (op, original) in small.iter().zip(&ops) {
        let mut sentence = messages::operation(history, original);
        if op.weakened {
            sentence.push_str(" (Here it counts as a write only: the value that it replaced does not matter.)");
        }
        sentences.push(sentence);
    }
    sentences.extend(why);
    about_key(key, (kind, &title), sentences, ops)
}

/// A sentence about an operation, in the words of the model if it has some for the action.
pub(super) fn operation<M: Model>(model: &M, history: &History, op: &Op<'_>, action: Option<&M::Action>) -> String {
    match action.and_then(|action| model.describe(action, op.outcome != Outcome::Info)) {
        Some(words) => messages::operation_as(history, op, &words),
        None => messages::operation(history, op),
    }
}

/// A violation of these operations on one key, without a certificate yet.
pub(super) fn about_key<'h>(
    key: &Value,
    (kind, title): (&'static str, &str),
    sentences: Vec<String>,
    ops: Vec<Op<'h>>,
) -> Violation<'h> {
    let violation = Violation::explained((kind, Severity::Violation), title.to_owned(), sentences, ops);
    Violation { key: key.clone(), key_in_title: true, ..violation }
}

/// The value at this place of the argument of a compare-and-set.
fn part_of(op: Op<'_>, at: usize) -> Value {
    op.input.as_list().and_then(|pair| pair.get(at)).map(ValueRef::to_value).unwrap_or_default()
}

struct Story<'a> {
    history: &'a History,
    small: &'a [RegOp],
    ops: &'a [Op<'a>],
    begins: &'a Value,
}

/// Kind and title of a finding, and its reasons.
type Told = (&'static str, String, Vec<String>);

impl Story<'_> {
    /// Why no order explains the operations.
    fn contradiction(&self, workload: &str, key: &Value) -> Told {
        match decide::conflict(self.small) {
            Some(conflict) => self.tell(&conflict, workload, key),
            None => self.no_order(),
        }
    }

    fn name(&self, at: usize) -> String {
        format!("#{}", self.small[at].call)
    }

    /// The value that the operation saw or, if it saw none, left.
    fn value(&self, at: usize) -> Value {
        let op = self.ops[at];
        match self.small[at].action {
            RegAction::Read(_) if self.history.name(op.function) != "cas" => op.output.to_value(),
            RegAction::Write(_) if !self.small[at].weakened => op.input.to_value(),
            _ => part_of(op, 1),
        }
    }

    /// Where it was called, as ` on n1`.
    fn on(&self, at: usize) -> String {
        messages::on(self.history, &self.ops[at])
    }

    fn tell(&self, conflict: &Conflict, workload: &str, key: &Value) -> Told {
        match conflict {
            Conflict::Phantom { observer } => self.phantom(*observer, workload, key),
            Conflict::TwoReplaced { cas } => {
                let [one, two] = cas.map(|at| self.name(at));
                let from = part_of(self.ops[cas[0]], 0);
                let why = format!(
                    "Only one write can have brought the {from} that {one} and {two} replaced: whichever came first had \
                     taken it away from the other, a contradiction."
                );
                ("lost-update", format!("two compare-and-sets both replaced {from}"), vec![why])
            }
            Conflict::Ring { cas } => {
                let names: Vec<String> = cas.iter().map(|&at| self.name(at)).collect();
                let why =
                    format!("Each of {} needs the value of another of them first, a contradiction.", names.join(", "));
                ("nonlinearizable", "compare-and-sets depend on each other in a ring".to_owned(), vec![why])
            }
            Conflict::Backwards { first, second, .. } => self.backwards(*first, *second),
            Conflict::Overlap { outer, inner, .. } => self.overlap(*outer, *inner),
        }
    }

    fn phantom(&self, observer: usize, workload: &str, key: &Value) -> Told {
        let op = self.ops[observer];
        let replaced = self.small[observer].action.writes().is_some();
        let seen = if replaced { part_of(op, 0) } else { self.value(observer) };
        let history = self.history;
        let about = |other: &Op<'_>| other.key == *key && history.name(other.workload) == workload;
        let writes = |other: &Op<'_>| brought(history, other).is_some_and(|written| written == seen) && about(other);
        let operation = if replaced { "replaced" } else { "returned" };
        let name = self.name(observer);
        let writers: Vec<Op<'_>> = history.ops().iter().filter(writes).collect();
        if let Some(later) = writers.iter().find(|writer| writer.outcome != Outcome::Fail) {
            let title = format!("{name}{} {operation} {seen} before it was written", self.on(observer));
            let why = format!(
                "{seen} was first written by an operation that began (index {}) after {name} had ended (index {}): {} A \
                 contradiction.",
                later.call,
                self.small[observer].end,
                messages::operation(history, later)
            );
            return ("future-read", title, vec![why]);
        }
        let why = match writers.first() {
            Some(failed) => format!(
                "The only operation that would have written {seen} certainly failed: {} Still {name} {operation} it, a contradiction.",
                messages::operation(history, failed),
            ),
            None => format!("No operation ever wrote {seen}, yet {name} {operation} it, a contradiction."),
        };
        let written = match &writers[..] {
            [] => "which was never written".to_owned(),
            refused => messages::not_done(refused, "written"),
        };
        let title = format!("{}{} {operation} {seen}, {written}", self.name(observer), self.on(observer));
        let mut reasons = vec![why];
        // It may be the client's mistake, or the recorder's.
        let like = |other: Op<'_>| {
            let written = brought(history, &other).filter(|_| about(&other))?;
            likeness(&written.to_value(), &seen)
        };
        reasons.extend(history.ops().iter().find_map(like));
        ("phantom-read", title, reasons)
    }

    fn backwards(&self, first: usize, second: usize) -> Told {
        let (one, two) = (self.name(first), self.name(second));
        let (early, late) = (self.value(first), self.value(second));
        let gap = format!(
            "{two} had ended (index {}) before {one} began (index {}).",
            self.small[second].end, self.small[first].call
        );
        if early == late {
            let title = format!("{two}{} returned {late} before it was written", self.on(second));
            let why = format!("{one} alone wrote {late}, so {two} must come after it, a contradiction.");
            return ("future-read", title, vec![gap, why]);
        }
        let why = format!(
            "{late} came after {early}, by compare-and-set; {two} shows {late}, and {one}, later, shows {early} again, a \
             contradiction."
        );
        if self.small[first].action.writes().is_some() {
            let title = format!("{two}{} saw {late} before {early}, which it replaced, was there", self.on(second));
            return ("future-read", title, vec![gap, why]);
        }
        let title = format!("{one}{} returned {early} after {late} had replaced it", self.on(first));
        ("stale-read", title, vec![gap, why])
    }

    fn overlap(&self, outer: [usize; 2], inner: [usize; 2]) -> Told {
        let initial = self.small[outer[0]].action.needs() == Some(NIL) || self.reads_nil(outer[1]);
        let last = outer[1];
        let mut why = Vec::new();
        if initial && outer[0] == outer[1] {
            why.push(match self.begins {
                Value::Nil => {
                    format!("The register was empty at the beginning, and empty again for {}.", self.name(last))
                }
                value => format!("The register held {value} at the beginning, and again for {}.", self.name(last)),
            });
        } else {
            why.push(format!(
                "Between the end of {} (index {}) and the beginning of {} (index {}) nothing but {} and what a \
                 compare-and-set made of it can have been there.",
                self.name(outer[0]),
                self.small[outer[0]].end,
                self.name(last),
                self.small[last].call,
                self.value(outer[0])
            ));
        }
        let between = if inner[0] == inner[1] {
            format!(
                "{} with {} lies wholly in that time (index {} to {})",
                self.name(inner[0]),
                self.value(inner[0]),
                self.small[inner[0]].call,
                self.small[inner[0]].end
            )
        } else {
            format!(
                "{} must have been there between index {} and index {}, which overlaps that time ({} and {})",
                self.value(inner[0]),
                self.small[inner[0]].end.min(self.small[inner[1]].call),
                self.small[inner[0]].end.max(self.small[inner[1]].call),
                self.name(inner[0]),
                self.name(inner[1])
            )
        };
        why.push(format!(
            "{between}, and no other write can have brought back what {} saw: a contradiction.",
            self.name(last)
        ));
        let old = if self.reads_nil(last) { self.begins.clone() } else { self.value(last) };
        let newer = self.value(inner[0]);
        if self.small[last].action.writes().is_none() {
            let title = format!("{}{} returned {old} after {newer} had been there", self.name(last), self.on(last));
            return ("stale-read", title, why);
        }
        let title = format!("{}{} replaced a value that {newer} had overwritten", self.name(last), self.on(last));
        ("lost-update", title, why)
    }

    fn reads_nil(&self, at: usize) -> bool {
        self.small[at].action == RegAction::Read(NIL)
    }

    fn no_order(&self) -> Told {
        let definite = self.ops.iter().filter(|op| op.outcome != Outcome::Info).count();
        let last = (0..self.small.len()).filter(|&at| self.small[at].definite()).max_by_key(|&at| self.small[at].end);
        let name = last.map(|at| self.name(at)).unwrap_or_default();
        let observes = last.is_some_and(|at| self.small[at].action.writes().is_none());
        let why = format!(
            "An order would have to place each of these {definite} acknowledged operations between its call and its answer; \
             every such order lets one of them see a value that is not there."
        );
        let title = match last {
            Some(at) if observes => {
                let reply = match self.small[at].action {
                    RegAction::Read(_) => self.value(at),
                    // It observes by what it refuses to replace.
                    _ => self.ops[at].output.to_value(),
                };
                format!("{name}{} returned {reply}, which no order explains", self.on(at))
            }
            _ => format!("no order of {} explains all replies", messages::count(self.small.len(), "operation")),
        };
        ("nonlinearizable", title, vec![why])
    }
}
