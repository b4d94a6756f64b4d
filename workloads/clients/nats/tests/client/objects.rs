//! Each object on a real server.
use crate::PROGRAM;
use crate::program::{Opening, Program, is, kind};
use crate::server::Server;
use serde_json::{Value, json};

const NIL: Value = Value::Null;

/// A client whose object is set up.
fn open(server: &Server, object: &'static str) -> Program {
    let mut client = Opening::new(server.port, object).start(PROGRAM);
    assert_eq!(client.opened["type"], "init_ok", "{}", client.opened);
    client.ok("setup", NIL, NIL);
    client
}

#[test]
fn registers_are_read_written_and_compared() {
    let server = Server::start("");
    let mut client = open(&server, "register");
    let key = || json!(5);
    assert_eq!(client.ok("read", key(), NIL), NIL);
    assert_eq!(client.not_ok("cas", key(), json!([1, 2])), is("fail", "precondition"));
    client.ok("cas", key(), json!([null, 1]));
    assert_eq!(client.not_ok("cas", key(), json!([null, 9])), is("fail", "precondition"));
    client.ok("cas", key(), json!([1, 2]));
    assert_eq!(client.not_ok("cas", key(), json!([1, 3])), is("fail", "precondition"));
    client.ok("write", key(), json!(-7));
    assert_eq!((client.ok("read", key(), NIL), client.ok("read", json!(6), NIL)), (json!(-7), NIL));
    let own = Opening::new(server.port, "register").settings(json!({"read": "replica"}));
    let mut own = own.start(PROGRAM);
    assert_eq!((own.ok("read", key(), NIL), own.ok("read", json!(6), NIL)), (json!(-7), NIL));
    assert_eq!(own.not_ok("write", key(), json!("text")), is("fail", "malformed"));
    assert_eq!(own.not_ok("push", key(), NIL), is("fail", "not-supported"));
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
            client.send("cas", json!(key), json!([null, value]));
        }
        let answers: Vec<Value> = clients.iter_mut().map(Program::answer).collect();
        let won = answers.iter().filter(|answer| answer["type"] == "ok").count();
        assert_eq!(won, 1, "{answers:?}");
        // The server refused the revision, and not the client the value that it had found.
        let text = |answer: &Value| answer["error"]["text"].as_str().unwrap_or_default().to_owned();
        raced += answers.iter().filter(|answer| text(answer).contains("wrong last sequence")).count();
        let rest = answers.iter().filter(|answer| kind(answer) == is("fail", "precondition")).count();
        assert_eq!(rest, 3, "{answers:?}");
    }
    assert!(raced > 0, "no two compare-and-sets met");
}

#[test]
fn sets_are_read_whole_from_the_leader_and_from_the_servers_own_copy() {
    let server = Server::start("");
    let mut set = open(&server, "set");
    assert_eq!(set.ok("read", NIL, NIL), json!([]));
    for element in 0..200 {
        set.ok("add", json!(element % 2), json!(element));
    }
    let even: Vec<i64> = (0..200).step_by(2).collect();
    for from in ["leader", "replica"] {
        let mut reader = Opening::new(server.port, "set").settings(json!({"read": from})).start(PROGRAM);
        assert_eq!(reader.ok("read", json!(0), NIL), json!(even), "{from}");
        assert_eq!(reader.ok("read", json!(7), NIL), json!([]), "{from}");
    }
    // A message that is gone is absent, and no other.
    assert!(server.ask("$JS.API.STREAM.MSG.DELETE.dsfuzz-set", r#"{"seq":3}"#).unwrap().contains("true"));
    for from in ["leader", "replica"] {
        let mut reader = Opening::new(server.port, "set").settings(json!({"read": from})).start(PROGRAM);
        let read = reader.ok("read", json!(0), NIL);
        assert_eq!((read[0].clone(), read[1].clone(), read.as_array().unwrap().len()), (json!(0), json!(4), 99));
    }
    // So is a stream.
    assert!(server.ask("$JS.API.STREAM.DELETE.dsfuzz-set", "").unwrap().contains("true"));
    assert_eq!(set.not_ok("read", json!(0), NIL), is("fail", "not-found"));
    assert_eq!(set.not_ok("add", json!(0), json!(1)), is("fail", "no-responders"));
}

#[test]
fn ids_are_sequences() {
    let server = Server::start("");
    let mut ids = open(&server, "ids");
    assert_eq!((ids.ok("generate", NIL, NIL), ids.ok("generate", NIL, NIL)), (json!(1), json!(2)));
}

#[test]
fn queues_hand_out_once_and_are_drained_to_their_end() {
    let server = Server::start("");
    let settings = json!({"ack_wait_ms": "700"});
    let opening = Opening::new(server.port, "queue").params(json!({"queues": [0, 1]})).settings(settings);
    let mut queue = opening.start(PROGRAM);
    queue.ok("setup", NIL, NIL);
    assert_eq!(queue.not_ok("dequeue", json!(0), NIL), is("fail", "empty"));
    for element in 1..=6 {
        queue.ok("enqueue", json!(0), json!(element));
    }
    queue.ok("enqueue", json!(1), json!(9));
    assert_eq!(queue.ok("dequeue", json!(0), NIL), json!(1));
    // Somebody takes a message and goes: the drain waits until it is delivered again.
    let taken = server.ask("$JS.API.CONSUMER.MSG.NEXT.dsfuzz-queue.queue-0", r#"{"batch":1,"no_wait":true}"#);
    assert_eq!(taken.as_deref(), Some("2"));
    let mut drained: Vec<i64> = serde_json::from_value(queue.ok("drain", json!(0), NIL)).unwrap();
    drained.sort_unstable();
    assert_eq!(drained, [2, 3, 4, 5, 6]);
    assert_eq!(queue.ok("drain", json!(0), NIL), json!([]));
    assert_eq!(queue.ok("drain", json!(1), NIL), json!([9]));
}

#[test]
fn a_drain_that_cannot_end_says_so() {
    let server = Server::start("");
    let settings = json!({"ack_wait_ms": 60_000});
    let mut queue = Opening::new(server.port, "queue").settings(settings).deadline(1000).start(PROGRAM);
    queue.ok("setup", NIL, NIL);
    queue.ok("enqueue", NIL, json!(1));
    server.ask("$JS.API.CONSUMER.MSG.NEXT.dsfuzz-queue.all", r#"{"batch":1,"no_wait":true}"#).unwrap();
    let answer = queue.ask("drain", NIL, NIL);
    assert_eq!(kind(&answer), is("info", "timeout"), "{answer}");
    assert!(answer["error"]["text"].as_str().unwrap().contains("1 messages are held"), "{answer}");
}

#[test]
fn logs_are_polled_from_where_the_consumer_is() {
    let server = Server::start("");
    for from in ["leader", "replica"] {
        let opening = Opening::new(server.port, "log").settings(json!({"read": from, "stream": from}));
        let mut log = opening.start(PROGRAM);
        log.ok("setup", NIL, NIL);
        assert_eq!(log.not_ok("poll", NIL, json!([["poll"]])), is("fail", "not-found"));
        log.ok("assign", NIL, json!([0, 1]));
        assert_eq!(log.ok("poll", NIL, json!([["poll"]])), json!([["poll", {}]]), "{from}");
        assert_eq!(log.ok("send", NIL, json!([["send", 0, 7]])), json!([["send", 0, [1, 7]]]));
        assert_eq!(log.ok("send", NIL, json!([["send", 2, 8]])), json!([["send", 2, [2, 8]]]));
        assert_eq!(log.ok("send", NIL, json!([["send", 0, 9]])), json!([["send", 0, [3, 9]]]));
        let polled = json!([["poll", {"0": [[1, 7], [3, 9]]}]]);
        assert_eq!(log.ok("poll", NIL, json!([["poll"]])), polled, "{from}");
        assert_eq!(log.ok("poll", NIL, json!([["poll"]])), json!([["poll", {}]]), "{from}");
        log.ok("send", NIL, json!([["send", 0, 10]]));
        log.ok("assign", NIL, json!([0, 2]));
        let polled = json!([["poll", {"0": [[4, 10]], "2": [[2, 8]]}]]);
        assert_eq!(log.ok("poll", NIL, json!([["poll"]])), polled, "{from}");
        log.ok("assign", NIL, json!({"keys": [2], "seek-to-beginning?": true}));
        assert_eq!(log.ok("poll", NIL, json!([["poll"]])), json!([["poll", {"2": [[2, 8]]}]]), "{from}");
        assert_eq!(log.not_ok("crash", NIL, NIL), is("info", "crash"));
    }
}
