//! [`Consumer`]: a client of Maelstrom's workload `kafka`: where it is in each log, and its requests.
//!
//! A poll returns messages, and the next poll first commits them: the client has them for certain by then, so that no other one,
//! which begins after the committed offsets, passes over what nobody got.
use super::rpc::answered;
use crate::call::{Call, Outcome};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// A consumer.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// The offset that it polls next, for each log that it is assigned.
    next: BTreeMap<String, u64>,
    /// The offsets that it was given by its last poll, and has not committed.
    given: BTreeMap<String, u64>,
}

/// What is done for a call.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// The program is asked; its answer goes to [`Consumer::answer`] with this stage.
    Ask(Stage, Json),
    /// The call has ended.
    Done(Outcome),
}

/// What the program was asked for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To append a message.
    Send,
    /// For the committed offsets of the logs of an assignment.
    Committed,
    /// To commit what the last poll gave; the poll follows.
    Commit,
    /// For messages.
    Poll,
}

impl Consumer {
    /// A call of the client.
    pub(super) fn call(&mut self, call: &Call) -> Step {
        let refused = |code: &str, text: &str| Step::Done(Outcome::fail(code, text));
        match call.f.as_str() {
            "send" => {
                let [_, log, message] = &micro_operation(call)[..] else { return refused("malformed", "no send") };
                Step::Ask(Stage::Send, json!({"type": "send", "key": log.to_string(), "msg": message}))
            }
            "assign" if call.value["seek-to-beginning?"] == true => {
                self.next = logs_of(call).into_iter().map(|log| (log, 0)).collect();
                self.given.clear();
                Step::Done(Outcome::done())
            }
            "assign" => Step::Ask(Stage::Committed, json!({"type": "list_committed_offsets", "keys": logs_of(call)})),
            "poll" if self.next.is_empty() => refused("not-found", "no log is assigned"),
            "poll" if self.given.is_empty() => self.poll(),
            "poll" => Step::Ask(Stage::Commit, json!({"type": "commit_offsets", "offsets": self.given})),
            "crash" => Step::Done(Outcome::info("crash", "as it was asked to")),
            f => refused("not-supported", &format!("Maelstrom has no {f} of logs")),
        }
    }

    fn poll(&self) -> Step {
        Step::Ask(Stage::Poll, json!({"type": "poll", "offsets": self.next}))
    }

    /// The program's answer at a stage of a call.
    pub(super) fn answer(&mut self, stage: Stage, call: &Call, body: &Json) -> Step {
        let outcome = match stage {
            Stage::Send => answered("send", body, "offset").map(|offset| {
                let operation = micro_operation(call);
                json!([["send", operation[1], [offset, operation[2]]]])
            }),
            Stage::Committed => answered("list_committed_offsets", body, "offsets").map(|committed| {
                let begin = |log: &String| committed[log].as_u64().map_or(0, |offset| offset + 1);
                let place = |log: String| (log.clone(), self.next.get(&log).copied().unwrap_or_else(|| begin(&log)));
                self.next = logs_of(call).into_iter().map(place).collect();
                Json::Null
            }),
            // What is not committed is polled again by others, which is allowed.
            Stage::Commit => {
                self.given.clear();
                return self.poll();
            }
            Stage::Poll => answered("poll", body, "msgs").map(|found| self.polled(&found)),
        };
        Step::Done(outcome.map_or_else(|refused| refused, Outcome::Ok))
    }

    /// Moves on after the messages of a poll.
    fn polled(&mut self, found: &Json) -> Json {
        let mut messages = Map::new();
        for (log, pairs) in found.as_object().into_iter().flatten() {
            let offsets = pairs.as_array().into_iter().flatten().filter_map(|pair| pair[0].as_u64());
            let Some(last) = offsets.max() else { continue };
            messages.insert(log.clone(), pairs.clone());
            self.given.insert(log.clone(), last);
            if let Some(next) = self.next.get_mut(log) {
                *next = (*next).max(last + 1);
            }
        }
        json!([["poll", messages]])
    }
}

/// The one micro-operation of a call.
fn micro_operation(call: &Call) -> Vec<Json> {
    call.value[0].as_array().cloned().unwrap_or_default()
}

/// The logs of an assignment.
fn logs_of(call: &Call) -> Vec<String> {
    let keys = call.value.get("keys").unwrap_or(&call.value);
    keys.as_array().into_iter().flatten().map(Json::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rpc::tests::call;
    use super::*;

    fn of(f: &str, value: Json) -> Call {
        call("log", f, Json::Null, value, Json::Null)
    }

    #[test]
    fn a_consumer_commits_what_it_was_given_before_it_polls_on() {
        let mut consumer = Consumer::default();
        let poll = of("poll", json!([["poll"]]));
        assert!(matches!(consumer.call(&poll), Step::Done(Outcome::Fail(code, _)) if code == "not-found"));
        let assign = of("assign", json!([0, 2]));
        let ask = json!({"type": "list_committed_offsets", "keys": ["0", "2"]});
        assert_eq!(consumer.call(&assign), Step::Ask(Stage::Committed, ask));
        let committed = json!({"type": "list_committed_offsets_ok", "offsets": {"2": 4}});
        assert_eq!(consumer.answer(Stage::Committed, &assign, &committed), Step::Done(Outcome::done()));
        let ask = json!({"type": "poll", "offsets": {"0": 0, "2": 5}});
        assert_eq!(consumer.call(&poll), Step::Ask(Stage::Poll, ask));
        let found = json!({"type": "poll_ok", "msgs": {"0": [], "2": [[5, 50], [6, 60]]}});
        let reply = json!([["poll", {"2": [[5, 50], [6, 60]]}]]);
        assert_eq!(consumer.answer(Stage::Poll, &poll, &found), Step::Done(Outcome::Ok(reply)));
        let ask = json!({"type": "commit_offsets", "offsets": {"2": 6}});
        assert_eq!(consumer.call(&poll), Step::Ask(Stage::Commit, ask));
        let ask = json!({"type": "poll", "offsets": {"0": 0, "2": 7}});
        assert_eq!(
            consumer.answer(Stage::Commit, &poll, &json!({"type": "commit_offsets_ok"})),
            Step::Ask(Stage::Poll, ask)
        );
        // It keeps its place in a log that it is assigned again, and has one in a new log by what is committed.
        let assign = of("assign", json!([1, 2]));
        consumer.answer(
            Stage::Committed,
            &assign,
            &json!({"type": "list_committed_offsets_ok", "offsets": {"1": 1, "2": 4}}),
        );
        assert_eq!(consumer.call(&poll), Step::Ask(Stage::Poll, json!({"type": "poll", "offsets": {"1": 2, "2": 7}})));
        let anew = of("assign", json!({"keys": [2], "seek-to-beginning?": true}));
        assert_eq!(consumer.call(&anew), Step::Done(Outcome::done()));
        assert_eq!(consumer.call(&poll), Step::Ask(Stage::Poll, json!({"type": "poll", "offsets": {"2": 0}})));
    }

    #[test]
    fn a_message_is_sent_to_the_log_of_its_key() {
        let mut consumer = Consumer::default();
        let send = of("send", json!([["send", 0, 7]]));
        assert_eq!(consumer.call(&send), Step::Ask(Stage::Send, json!({"type": "send", "key": "0", "msg": 7})));
        let sent = consumer.answer(Stage::Send, &send, &json!({"type": "send_ok", "offset": 17}));
        assert_eq!(sent, Step::Done(Outcome::Ok(json!([["send", 0, [17, 7]]]))));
        let unsure = consumer.answer(Stage::Send, &send, &json!({"type": "error", "code": 0}));
        assert!(matches!(unsure, Step::Done(Outcome::Info(code, _)) if code == "timeout"));
        for f in ["txn", "subscribe"] {
            assert!(
                matches!(consumer.call(&of(f, json!([]))), Step::Done(Outcome::Fail(code, _)) if code == "not-supported")
            );
        }
    }
}
