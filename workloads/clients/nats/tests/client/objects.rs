//! Each object on a real server.
use crate::server::Server;
use crate::{plain, start};
use dsfuzz_client::lines::Answer;
use dsfuzz_client::testing::{Program, init, kind, text};
use serde_json::{Value, json};

const NIL: Value = Value::Null;

/// A client whose object is set up.
fn open(server: &Server, object: &str) -> Program {
    let mut client = start(plain(object, server.port));
    client.ok("setup", ());
    client
}

#[test]
fn registers_are_read_written_and_compared() {
    let server = Server::start("");
    let mut client = open(&server, "register");
    let key = || json!(5);
    assert_eq!(client.ok_at("read", key(), ()), NIL);
    assert_eq!(kind(&client.call("cas", key(), json!([1, 2]))), ("fail", "precondition"));
    client.ok_at("cas", key(), json!([null, 1]));
    assert_eq!(kind(&client.call("cas", key(), json!([null, 9]))), ("fail", "precondition"));
    client.ok_at("cas", key(), json!([1, 2]));
    assert_eq!(kind(&client.call("cas", key(), json!([1, 3]))), ("fail", "precondition"));
    client.ok_at("write", key(), -7);
    assert_eq!((client.ok_at("read", key(), ()), client.ok_at("read", 6, ())), (json!(-7), NIL));
    let mut own = start(init("register", server.port, json!({"read": "replica"}), NIL));
    assert_eq!((own.ok_at("read", key(), ()), own.ok_at("read", 6, ())), (json!(-7), NIL));
    assert_eq!(kind(&own.call("write", key(), "text")), ("fail", "malformed"));
    assert_eq!(kind(&own.call("push", key(), ())), ("fail", "not-supported"));
    let config = server.ask("$JS.API.STREAM.INFO.KV_dsfuzz-register", "").unwrap();
    assert!(config.contains(r#""max_msgs_per_subject":1,"#), "a bucket with the last entry of each key: {config}");
}

#[test]
fn one_of_several_compare_and_sets_at_a_time_wins() {
    let server = Server::start("");
    let mut clients: Vec<Program> = (0..4).map(|_| open(&server, "register")).collect();
    let mut raced = 0;
    for key in 0..100 {
        for (client, value) in clients.iter_mut().zip(1..) {
            client.send("cas", key, json!([null, value]));
        }
        let answers: Vec<Answer> = clients.iter_mut().map(Program::answer).collect();
        let won = answers.iter().filter(|answer| kind(answer).0 == "ok").count();
        assert_eq!(won, 1, "{answers:?}");
        // The server refused the revision, and not the client the value that it had found.
        raced += answers.iter().filter(|answer| text(answer).contains("wrong last sequence")).count();
        let rest = answers.iter().filter(|answer| kind(answer) == ("fail", "precondition")).count();
        assert_eq!(rest, 3, "{answers:?}");
    }
    assert!(raced > 0, "no two compare-and-sets met");
}

#[test]
fn sets_are_read_whole_from_the_leader_and_from_the_servers_own_copy() {
    let server = Server::start("");
    let mut set = open(&server, "set");
    assert_eq!(set.ok("read", ()), json!([]));
    for element in 0..200 {
        set.ok_at("add", json!(element % 2), element);
    }
    let even: Vec<i64> = (0..200).step_by(2).collect();
    for from in ["leader", "replica"] {
        let mut reader = start(init("set", server.port, json!({"read": from}), NIL));
        assert_eq!(reader.ok_at("read", 0, ()), json!(even), "{from}");
        assert_eq!(reader.ok_at("read", 7, ()), json!([]), "{from}");
    }
    // A message that is gone is absent, and no other.
    assert!(server.ask("$JS.API.STREAM.MSG.DELETE.dsfuzz-set", r#"{"seq":3}"#).unwrap().contains("true"));
    for from in ["leader", "replica"] {
        let mut reader = start(init("set", server.port, json!({"read": from}), NIL));
        let read = reader.ok_at("read", 0, ());
        assert_eq!((read[0].clone(), read[1].clone(), read.as_array().unwrap().len()), (json!(0), json!(4), 99));
    }
    // So is a stream.
    assert!(server.ask("$JS.API.STREAM.DELETE.dsfuzz-set", "").unwrap().contains("true"));
    assert_eq!(kind(&set.call("read", 0, ())), ("fail", "not-found"));
    assert_eq!(kind(&set.call("add", 0, 1)), ("fail", "no-responders"));
}

#[test]
fn ids_are_sequences() {
    let server = Server::start("");
    let mut ids = open(&server, "ids");
    assert_eq!((ids.ok("generate", ()), ids.ok("generate", ())), (json!(1), json!(2)));
}

#[test]
fn queues_hand_out_once_and_are_drained_to_their_end() {
    let server = Server::start("");
    // Long enough for a client on a busy machine to acknowledge what it was given.
    let settings = json!({"ack_wait_ms": "3000"});
    let mut queue = start(init("queue", server.port, settings, json!({"queues": [0, 1]})));
    queue.deadline_ms = 20_000;
    queue.ok("setup", ());
    assert_eq!(kind(&queue.call("dequeue", 0, ())), ("fail", "empty"));
    for element in 1..=6 {
        queue.ok_at("enqueue", 0, element);
    }
    queue.ok_at("enqueue", 1, 9);
    assert_eq!(queue.ok_at("dequeue", 0, ()), json!(1));
    // Somebody takes a message and goes: the drain waits until it is delivered again.
    let taken = server.ask("$JS.API.CONSUMER.MSG.NEXT.dsfuzz-queue.queue-0", r#"{"batch":1,"no_wait":true}"#);
    assert_eq!(taken.as_deref(), Some("2"));
    let mut drained: Vec<i64> = serde_json::from_value(queue.ok_at("drain", 0, ())).unwrap();
    drained.sort_unstable();
    assert_eq!(drained, [2, 3, 4, 5, 6]);
    assert_eq!(queue.ok_at("drain", 0, ()), json!([]));
    assert_eq!(queue.ok_at("drain", 1, ()), json!([9]));
}

#[test]
fn a_drain_that_cannot_end_says_so() {
    let server = Server::start("");
    let settings = json!({"ack_wait_ms": 60_000});
    let mut queue = start(init("queue", server.port, settings, NIL));
    queue.ok("setup", ());
    queue.ok("enqueue", 1);
    server.ask("$JS.API.CONSUMER.MSG.NEXT.dsfuzz-queue.all", r#"{"batch":1,"no_wait":true}"#).unwrap();
    queue.deadline_ms = 1000;
    let answer = queue.call("drain", (), ());
    assert_eq!(kind(&answer), ("info", "timeout"), "{answer:?}");
    assert!(text(&answer).contains("1 messages are held"), "{answer:?}");
}

#[test]
fn logs_are_polled_from_where_the_consumer_is() {
    let server = Server::start("");
    for from in ["leader", "replica"] {
        let mut log = start(init("log", server.port, json!({"read": from, "stream": from}), NIL));
        log.ok("setup", ());
        assert_eq!(kind(&log.call("poll", (), json!([["poll"]]))), ("fail", "not-found"));
        log.ok("assign", json!([0, 1]));
        assert_eq!(log.ok("poll", json!([["poll"]])), json!([["poll", {}]]), "{from}");
        assert_eq!(log.ok("send", json!([["send", 0, 7]])), json!([["send", 0, [1, 7]]]));
        assert_eq!(log.ok("send", json!([["send", 2, 8]])), json!([["send", 2, [2, 8]]]));
        assert_eq!(log.ok("send", json!([["send", 0, 9]])), json!([["send", 0, [3, 9]]]));
        let polled = json!([["poll", {"0": [[1, 7], [3, 9]]}]]);
        assert_eq!(log.ok("poll", json!([["poll"]])), polled, "{from}");
        assert_eq!(log.ok("poll", json!([["poll"]])), json!([["poll", {}]]), "{from}");
        log.ok("send", json!([["send", 0, 10]]));
        log.ok("assign", json!([0, 2]));
        let polled = json!([["poll", {"0": [[4, 10]], "2": [[2, 8]]}]]);
        assert_eq!(log.ok("poll", json!([["poll"]])), polled, "{from}");
        log.ok("assign", json!({"keys": [2], "seek-to-beginning?": true}));
        assert_eq!(log.ok("poll", json!([["poll"]])), json!([["poll", {"2": [[2, 8]]}]]), "{from}");
        assert_eq!(kind(&log.call("crash", (), ())), ("info", "crash"));
    }
}
