//! Sagas with an orchestrator: steps at services, and compensations when a step does not succeed.
//!
//! **Promise.** A saga ends with all of its steps done, or with all that were done compensated in reverse order; nothing happens after
//! its end. After all nodes reach each other again every saga ends.
//!
//! A saga's owner is a node chosen by its number; other nodes send calls to it. The owner stores the saga, and asks the service of one
//! step after the other, again and again. A step that is refused, or not answered in time, ends the way forward: that step and those
//! before it are compensated, the last one first. A service carries a step out once and compensates it once, however often it is
//! asked; a step that was compensated before it was done is never done.
//!
//! **Mistakes.**
//! `compensation-skipped`: the orchestrator asks for a compensation once, and goes on without an answer.
//! `compensates-twice`: a service compensates whenever it is asked.
//! `step-not-idempotent`: a service carries a step out whenever it is asked.
//! `events-out-of-order`: a service forgets a compensation that came before its step.
//!
//! **Source.** Garcia-Molina and Salem, *Sagas* (SIGMOD 1987), sections 1 and 4; Richardson, *Microservices Patterns* (2018), chapter 4.
use crate::call::{Call, Outcome, Ticket};
use crate::node::{Mode, Node, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The file of sagas and of what services did.
const LOG: &str = "log";
/// The time between two questions.
const AGAIN_MS: u64 = 200;
/// How long a step may take.
const STEP_MS: u64 = 1_000;
/// How long a call waits for the owner.
const CALL_MS: u64 = 4_000;
/// Of this many steps a service refuses one: it has no stock, or the card is declined.
const REFUSED_EVERY: i64 = 7;

/// A saga: its workload and its number.
type Id = (String, i64);

/// What a service did of a step: how often it carried it out, and how often it compensated it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Effects {
    done: u64,
    undone: u64,
    /// It is compensated, and is not done any more.
    closed: bool,
}

/// What nodes send each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A client's call, for the owner.
    Call(Ticket, Call),
    /// The owner's answer.
    Answer(Ticket, Outcome),
    /// Carry a step out, or compensate it.
    Ask(Id, i64, bool),
    /// What a service has done of a step; whether this answers a compensation; whether it refuses.
    Told(Id, i64, bool, Effects, bool),
}

/// A line of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Record {
    Started(Id, Vec<i64>),
    Event(Id, Json),
    /// As the owner: the way forward has ended at this place.
    Back(Id, usize),
    /// As the owner: the next compensation is that before this place.
    Next(Id, usize),
    Service(Id, i64, Effects),
}

/// A saga at its owner.
#[derive(Default)]
struct Saga {
    steps: Vec<i64>,
    events: Vec<Json>,
    /// Steps that are done, or are left to compensate.
    place: usize,
    back: bool,
    ended: bool,
    /// What is logged of each step.
    known: BTreeMap<i64, Effects>,
    asked_ms: u64,
    since_ms: u64,
}

/// An owner and a service.
#[derive(Default)]
pub struct Sagas {
    sagas: BTreeMap<Id, Saga>,
    services: BTreeMap<(Id, i64), Effects>,
    /// Calls at the owner: it, the call, the time of the end, and of the last question.
    waiting: BTreeMap<Ticket, (usize, Call, u64, u64)>,
}

fn owner(node: &Node<Message>, saga: i64) -> usize {
    saga.rem_euclid(node.count() as i64) as usize
}

impl Mode for Sagas {
    type Message = Message;
    const OBJECTS: &'static [&'static str] = &["saga"];
    const MISTAKES: &'static [&'static str] =
        &["compensation-skipped", "compensates-twice", "step-not-idempotent", "events-out-of-order"];

    fn start(node: &mut Node<Message>) -> Sagas {
        let mut mode = Sagas::default();
        for record in node.disk.lines(LOG) {
            mode.apply(record);
        }
        mode
    }

    fn call(&mut self, node: &mut Node<Message>, ticket: Ticket, call: Call) {
        let Some(number) = call.key.as_i64() else {
            return node.reply(ticket, Outcome::fail("malformed", "a saga has a number"));
        };
        let owner = owner(node, number);
        if owner == node.me() {
            let outcome = self.answer(node, &call);
            return node.reply(ticket, outcome);
        }
        let now = node.now_ms();
        node.send(owner, Message::Call(ticket, call.clone()));
        self.waiting.insert(ticket, (owner, call, now + CALL_MS, now));
    }

    fn message(&mut self, node: &mut Node<Message>, from: usize, message: Message) {
        match message {
            Message::Call(ticket, call) => {
                let outcome = self.answer(node, &call);
                node.send(from, Message::Answer(ticket, outcome));
            }
            Message::Answer(ticket, outcome) => {
                if self.waiting.remove(&ticket).is_some() {
                    node.reply(ticket, outcome);
                }
            }
            Message::Ask(id, step, back) => self.serve(node, from, id, step, back),
            Message::Told(id, step, back, effects, refused) => self.told(node, &id, step, back, effects, refused),
        }
    }

    fn tick(&mut self, node: &mut Node<Message>) {
        let now = node.now_ms();
        self.call_again(node, now);
        let open: Vec<Id> = self.sagas.iter().filter(|(_, saga)| !saga.ended).map(|(id, _)| id.clone()).collect();
        for id in open {
            let Some(saga) = self.sagas.get_mut(&id).filter(|saga| now >= saga.asked_ms + AGAIN_MS) else { continue };
            if saga.since_ms == 0 {
                saga.since_ms = now;
            }
            let (late, place) = (now >= saga.since_ms + STEP_MS, saga.place);
            if !saga.back && late {
                // The step in doubt is compensated first.
                self.record(node, Record::Back(id.clone(), place + 1));
            } else if saga.back && saga.asked_ms >= saga.since_ms && node.mistake("compensation-skipped") {
                // MISTAKE: nobody has said that it is compensated.
                self.record(node, Record::Next(id.clone(), place - 1));
            }
            self.proceed(node, &id);
        }
    }

    fn status(&self, _: &Node<Message>) -> Status {
        Status { role: "peer", term: None, holds: String::new() }
    }
}

/// The owner.
impl Sagas {
    fn record(&mut self, node: &mut Node<Message>, record: Record) {
        node.disk.append(LOG, &record);
        let now = node.now_ms();
        if let Some(saga) = self.apply(record) {
            saga.since_ms = now;
        }
    }

    /// Carries a line out: the saga whose place it changes.
    fn apply(&mut self, record: Record) -> Option<&mut Saga> {
        match record {
            Record::Started(id, steps) => {
                let saga = self.sagas.entry(id).or_default();
                saga.steps = steps;
                return Some(saga);
            }
            Record::Event(id, event) => {
                let saga = self.sagas.get_mut(&id)?;
                let known = event[1].as_i64().map(|step| saga.known.entry(step).or_default());
                match (event[0].as_str(), known) {
                    (Some("step"), Some(known)) => known.done += 1,
                    (Some("compensate"), Some(known)) => known.undone += 1,
                    _ => saga.ended = true,
                }
                saga.events.push(event);
            }
            Record::Back(id, place) => {
                let saga = self.sagas.get_mut(&id)?;
                (saga.back, saga.place) = (true, place);
                return Some(saga);
            }
            Record::Next(id, place) => {
                let saga = self.sagas.get_mut(&id)?;
                saga.place = place;
                return Some(saga);
            }
            Record::Service(id, step, effects) => {
                self.services.insert((id, step), effects);
            }
        }
        None
    }

    fn answer(&mut self, node: &mut Node<Message>, call: &Call) -> Outcome {
        let id = (call.workload.clone(), call.key.as_i64().unwrap_or_default());
        match call.f.as_str() {
            "log" => Outcome::Ok(self.sagas.get(&id).map_or(json!([]), |saga| saga.events.clone().into())),
            "start" if self.sagas.contains_key(&id) => Outcome::done(),
            "start" => match serde_json::from_value(call.value.clone()) {
                Ok(steps) => {
                    self.record(node, Record::Started(id.clone(), steps));
                    self.proceed(node, &id);
                    Outcome::done()
                }
                Err(error) => Outcome::fail("malformed", error),
            },
            f => Outcome::fail("not-supported", format!("no function {f} of a saga")),
        }
    }

    /// Asks for the next step or compensation, or ends the saga.
    fn proceed(&mut self, node: &mut Node<Message>, id: &Id) {
        let Some(saga) = self.sagas.get_mut(id).filter(|saga| !saga.ended) else { return };
        let next = if saga.back { saga.place.checked_sub(1) } else { Some(saga.place) };
        let Some(step) = next.and_then(|place| saga.steps.get(place)).copied() else {
            let end = if saga.back { "compensated" } else { "completed" };
            return self.record(node, Record::Event(id.clone(), json!([end])));
        };
        saga.asked_ms = node.now_ms();
        let (service, back) = (owner(node, id.1 + step), saga.back);
        if service == node.me() {
            self.serve(node, service, id.clone(), step, back);
        } else {
            node.send(service, Message::Ask(id.clone(), step, back));
        }
    }

    fn told(&mut self, node: &mut Node<Message>, id: &Id, step: i64, back: bool, effects: Effects, refused: bool) {
        let Some(saga) = self.sagas.get(id) else { return };
        let known = saga.known.get(&step).copied().unwrap_or_default();
        for _ in known.done..effects.done {
            self.record(node, Record::Event(id.clone(), json!(["step", step])));
        }
        for _ in known.undone..effects.undone {
            self.record(node, Record::Event(id.clone(), json!(["compensate", step])));
        }
        let Some(saga) = self.sagas.get(id).filter(|saga| !saga.ended && saga.back == back) else { return };
        let at = if back { saga.place.checked_sub(1) } else { Some(saga.place) };
        let (place, awaited) = (saga.place, at.and_then(|at| saga.steps.get(at)) == Some(&step));
        if awaited {
            let record = match (back, refused) {
                (true, _) => Record::Next(id.clone(), place - 1),
                (false, true) => Record::Back(id.clone(), place),
                (false, false) => Record::Next(id.clone(), place + 1),
            };
            self.record(node, record);
            self.proceed(node, id);
        }
    }

    fn call_again(&mut self, node: &mut Node<Message>, now: u64) {
        let mut late = Vec::new();
        for (ticket, (owner, call, until_ms, asked_ms)) in &mut self.waiting {
            if now >= *until_ms {
                late.push(*ticket);
            } else if now >= *asked_ms + AGAIN_MS {
                *asked_ms = now;
                node.send(*owner, Message::Call(*ticket, call.clone()));
            }
        }
        for ticket in late {
            self.waiting.remove(&ticket);
            node.reply(ticket, Outcome::info("timeout", "the owner of the saga does not answer"));
        }
    }
}

/// The service.
impl Sagas {
    fn serve(&mut self, node: &mut Node<Message>, from: usize, id: Id, step: i64, back: bool) {
        let before = self.services.get(&(id.clone(), step)).copied().unwrap_or_default();
        let mut effects = before;
        let refused = !back && (id.1 + 3 * step).rem_euclid(REFUSED_EVERY) == 0;
        if back {
            // MISTAKE of compensates-twice: a question that comes again is another compensation.
            let again = effects.undone > 0 && node.mistake("compensates-twice");
            effects.undone += u64::from(effects.done > effects.undone || again);
            // MISTAKE of events-out-of-order: the step can still be under way, and comes after its compensation.
            effects.closed |= effects.done > 0 || !node.mistake("events-out-of-order");
        } else if !refused {
            // MISTAKE of step-not-idempotent: a question that comes again is another step.
            let fresh = effects.done == 0 && !effects.closed;
            effects.done += u64::from(fresh || node.mistake("step-not-idempotent"));
        }
        if (effects.done, effects.undone, effects.closed) != (before.done, before.undone, before.closed) {
            self.record(node, Record::Service(id.clone(), step, effects));
        }
        if from == node.me() {
            self.told(node, &id, step, back, effects, refused);
        } else {
            node.send(from, Message::Told(id, step, back, effects, refused));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Simulation;
    use dsfuzz_checkers::Validity;
    use dsfuzz_rng::Rng;

    /// What disturbs the nodes.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        Cuts,
        /// Messages that are late, by up to three seconds.
        Slow,
        All,
    }

    /// Sagas under faults: how many ended each way, and the verdict on all logs. A recording knows no final reads, without which the
    /// checker does not say Valid: that each saga ends is asserted here.
    fn run(mistake: &str, fault: Fault, seed: u64) -> (usize, usize, Validity) {
        let mut nodes: Simulation<Sagas> = Simulation::new(3, mistake, &[], seed);
        let mut rng = Rng::new(seed, "faults", 0);
        let mut killed = None;
        if fault == Fault::All {
            nodes.disturb(2, 5);
        }
        // A saga takes longer than the time between two, so that a cut meets some on their way.
        let quick = (1, 80);
        nodes.delays(quick.0, if fault == Fault::Slow { 3_000 } else { quick.1 });
        let sagas = 240;
        for saga in 1..=sagas {
            let node = rng.below(3) as usize;
            match saga % 40 {
                2 if fault == Fault::Cuts => nodes.cut(&[node], &[(node + 1) % 3, (node + 2) % 3]),
                10 if fault == Fault::All => match rng.below(3) {
                    0 => nodes.cut(&[node], &[(node + 1) % 3, (node + 2) % 3]),
                    1 => nodes.delays(1, 2_000),
                    _ => {
                        nodes.kill(node);
                        killed = Some(node);
                    }
                },
                38 if fault != Fault::Slow => {
                    nodes.heal();
                    nodes.delays(quick.0, quick.1);
                    killed.take().into_iter().for_each(|node| nodes.restart(node));
                }
                _ => {}
            }
            let steps: Vec<i64> = (1..=1 + saga % 5).collect();
            nodes.call(rng.below(3) as usize, "saga", "start", saga.into(), json!(steps));
            nodes.pass(60);
        }
        nodes.heal();
        nodes.disturb(0, 0);
        nodes.delays(1, 5);
        nodes.pass(20_000);
        let mut ends = [0, 0];
        for saga in 1..=sagas {
            let ticket = nodes.call(0, "saga", "log", saga.into(), Json::Null);
            nodes.pass(15);
            let Some(Outcome::Ok(log)) = nodes.answer(ticket) else { panic!("no log of saga {saga}") };
            let Some(last) = log.as_array().expect("a log").last() else { continue };
            ends[0] += usize::from(*last == json!(["completed"]));
            ends[1] += usize::from(*last == json!(["compensated"]));
            let ended = *last == json!(["completed"]) || *last == json!(["compensated"]);
            assert!(ended || mistake != "none", "saga {saga}: {log}");
        }
        (ends[0], ends[1], nodes.judge("saga", &[]).validity)
    }

    #[test]
    fn sagas_end_with_all_or_nothing_under_faults() {
        for seed in 1..=20 {
            let fault = if seed % 4 == 0 { Fault::Slow } else { Fault::All };
            let (completed, compensated, validity) = run("none", fault, seed);
            assert_ne!(validity, Validity::Invalid, "seed {seed}");
            assert!(completed + compensated > 120 && compensated > 20, "seed {seed}: {completed}, {compensated}");
        }
    }

    #[test]
    fn each_mistake_is_found_under_its_fault_alone() {
        for (mistake, fault) in [
            ("compensation-skipped", Fault::Cuts),
            ("compensates-twice", Fault::Slow),
            ("step-not-idempotent", Fault::Slow),
            ("events-out-of-order", Fault::Slow),
        ] {
            assert_eq!(run(mistake, fault, 1).2, Validity::Invalid, "{mistake}");
            assert_ne!(run(mistake, Fault::None, 1).2, Validity::Invalid, "{mistake}");
        }
    }
}
