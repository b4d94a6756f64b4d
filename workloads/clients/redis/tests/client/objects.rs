//! Each object on a real server.
use crate::PROGRAM;
use crate::program::{Opening, Program, is, kind};
use crate::server::Server;
use serde_json::{Value, json};
use std::time::Duration;

fn open(server: &Server, object: &'static str) -> Program {
    Opening::new(server.port, object).start(PROGRAM)
}

const NIL: Value = Value::Null;

#[test]
fn registers_are_read_written_and_compared() {
    let server = Server::start(&[]);
    let mut client = open(&server, "register");
    let key = || json!(5);
    assert_eq!(client.opened["functions"], json!(["read", "write", "cas", "setup"]));
    assert_eq!(client.ok("setup", NIL, NIL), NIL);
    assert_eq!(client.ok("read", key(), NIL), NIL);
    assert_eq!(client.not_ok("cas", key(), json!([1, 2])), is("fail", "precondition"));
    assert_eq!(client.ok("cas", key(), json!([null, 1])), NIL);
    assert_eq!(client.not_ok("cas", key(), json!([null, 9])), is("fail", "precondition"));
    client.ok("cas", key(), json!([1, 2]));
    assert_eq!(client.not_ok("cas", key(), json!([1, 3])), is("fail", "precondition"));
    assert_eq!(client.ok("read", key(), NIL), json!(2));
    client.ok("write", key(), json!(7));
    assert_eq!((client.ok("read", key(), NIL), client.ok("read", json!(6), NIL)), (json!(7), NIL));
    assert_eq!(client.not_ok("write", key(), json!("text")), is("fail", "malformed"));
    assert_eq!(client.not_ok("push", key(), NIL), is("fail", "not-supported"));
}

#[test]
fn sets_counters_and_ids_are_integers() {
    let server = Server::start(&[]);
    let mut set = open(&server, "set");
    assert_eq!(set.ok("read", NIL, NIL), json!([]));
    for element in [3, 10, 1] {
        set.ok("add", NIL, json!(element));
    }
    set.ok("add", json!(1), json!(99));
    let mut elements: Vec<i64> = serde_json::from_value(set.ok("read", NIL, NIL)).unwrap();
    elements.sort_unstable();
    assert_eq!(elements, [1, 3, 10]);

    let mut counter = open(&server, "counter");
    assert_eq!(counter.ok("read", json!(0), NIL), json!(0));
    for number in [5, -2] {
        counter.ok("add", json!(0), json!(number));
    }
    assert_eq!(counter.ok("read", json!(0), NIL), json!(3));

    let mut ids = open(&server, "ids");
    assert_ne!(ids.ok("generate", NIL, NIL), ids.ok("generate", NIL, NIL));
}

#[test]
fn another_run_and_another_workload_are_not_met() {
    let server = Server::start(&[]);
    open(&server, "set").ok("add", NIL, json!(1));
    let run = Opening { run: "run-2".to_owned(), ..Opening::new(server.port, "set") };
    assert_eq!(run.start(PROGRAM).ok("read", NIL, NIL), json!([]));
    let other = Opening { workload: "set-2", ..Opening::new(server.port, "set") };
    assert_eq!(other.start(PROGRAM).ok("read", NIL, NIL), json!([]));
}

#[test]
fn rows_have_the_servers_time_in_microseconds() {
    let server = Server::start(&[]);
    let mut rows = open(&server, "rows");
    rows.ok("setup", NIL, NIL);
    assert_eq!(rows.ok("add", NIL, json!(7)), json!(7));
    assert_eq!(rows.ok("add", NIL, NIL), json!(8));
    assert_eq!(rows.ok("add", NIL, json!(3)), json!(3));
    let read: Vec<(i64, i64)> = serde_json::from_value(rows.ok("read", NIL, NIL)).unwrap();
    let time = |value: i64| read.iter().find(|(row, _)| *row == value).unwrap().1;
    assert!(read.len() == 3 && time(7) < time(8) && time(8) < time(3), "{read:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((now - 60_000_000..=now).contains(&time(3)), "{read:?}, and it is {now}");
}

#[test]
fn transactions_on_lists_and_on_registers() {
    let server = Server::start(&[]);
    let lists = Opening { workload: "list-append", ..Opening::new(server.port, "transactions") };
    let mut lists = lists.start(PROGRAM);
    let first = json!([["r", 1, null], ["append", 1, 3], ["append", 2, 4], ["r", 1, null]]);
    assert_eq!(lists.ok("txn", NIL, first), json!([["r", 1, []], ["append", 1, 3], ["append", 2, 4], ["r", 1, [3]]]));
    assert_eq!(lists.ok("txn", NIL, json!([["append", 1, 5]])), json!([["append", 1, 5]]));
    assert_eq!(lists.ok("txn", NIL, json!([["r", 1, null]])), json!([["r", 1, [3, 5]]]));

    let registers = Opening { workload: "rw-register", ..Opening::new(server.port, "transactions") };
    let mut registers = registers.start(PROGRAM);
    let first = json!([["w", 1, 8], ["r", 1, null], ["r", 2, null]]);
    assert_eq!(registers.ok("txn", NIL, first), json!([["w", 1, 8], ["r", 1, 8], ["r", 2, null]]));
    assert_eq!(registers.ok("txn", NIL, json!([["r", 1, null]])), json!([["r", 1, 8]]));
    assert_eq!(registers.not_ok("txn", NIL, json!([["send", 1, 8]])), is("fail", "not-supported"));
}

#[test]
fn money_is_transferred_by_script_and_by_watch() {
    let server = Server::start(&[]);
    for method in ["script", "watch"] {
        let params = json!({"balances": {"0": 10, "1": 5}, "negative_balances": false});
        let opening = Opening::new(server.port, "bank").params(params).settings(json!({"bank": method}));
        let opening = Opening { run: method.to_owned(), ..opening };
        let mut bank = opening.start(PROGRAM);
        assert_eq!(
            bank.not_ok("transfer", NIL, json!({"from": 0, "to": 1, "amount": 1})),
            is("fail", "not-found"),
            "{method}: nobody has made the accounts"
        );
        assert_eq!(bank.not_ok("read", NIL, NIL), is("fail", "not-found"), "{method}: nor seen any");
        bank.ok("setup", NIL, NIL);
        bank.ok("transfer", NIL, json!({"from": 0, "to": 1, "amount": 4}));
        bank.ok("setup", NIL, NIL);
        assert_eq!(bank.ok("read", NIL, NIL), json!({"0": 6, "1": 9}), "{method}");
        let too_much = json!({"from": 0, "to": 1, "amount": 7});
        assert_eq!(bank.not_ok("transfer", NIL, too_much.clone()), is("fail", "precondition"), "{method}");
        let overdrawn = opening.params(json!({"balances": {}, "negative_balances": true}));
        overdrawn.start(PROGRAM).ok("transfer", NIL, too_much);
        assert_eq!(bank.ok("read", NIL, NIL), json!({"0": -1, "1": 16}), "{method}");
    }
}

#[test]
fn queues_hand_out_in_order_and_are_drained() {
    let server = Server::start(&[]);
    for method in ["pop", "move"] {
        let opening = Opening::new(server.port, "queue").settings(json!({"queue": method}));
        let mut queue = Opening { run: method.to_owned(), ..opening }.start(PROGRAM);
        assert_eq!(queue.not_ok("dequeue", NIL, NIL), is("fail", "empty"), "{method}");
        for element in 1..=4 {
            queue.ok("enqueue", NIL, json!(element));
        }
        queue.ok("enqueue", json!(1), json!(9));
        assert_eq!(queue.ok("dequeue", NIL, NIL), json!(1), "{method}");
        assert_eq!(queue.ok("drain", NIL, NIL), json!([2, 3, 4]), "{method}");
        assert_eq!(queue.ok("drain", NIL, NIL), json!([]), "{method}");
        assert_eq!(queue.ok("drain", json!(1), NIL), json!([9]), "{method}");
    }
    // What a client took that died before it removed it.
    server.raw(&["LPUSH", "dsfuzz:move:{queue:null}:taken", "77"]);
    let opening = Opening::new(server.port, "queue").settings(json!({"queue": "move"}));
    let mut queue = Opening { run: "move".to_owned(), ..opening }.start(PROGRAM);
    assert_eq!(queue.ok("drain", NIL, NIL), json!([77]));
}

#[test]
fn locks_exclude_and_end_by_themselves() {
    let server = Server::start(&[]);
    let lock = |process| {
        let settings = json!({"fencing": true, "lock_ttl_ms": "300"});
        Opening { process, ..Opening::new(server.port, "lock").settings(settings) }.start(PROGRAM)
    };
    let (mut one, mut two) = (lock(1), lock(2));
    assert_eq!(two.not_ok("release", NIL, NIL), is("fail", "not-held"));
    let first = one.ok("acquire", NIL, NIL).as_i64().unwrap();
    assert_eq!(two.ok("acquire", NIL, NIL), json!(false));
    assert_ne!(two.ok("acquire", json!(1), NIL), json!(false));
    one.ok("release", NIL, NIL);
    assert!(two.ok("acquire", NIL, NIL).as_i64().unwrap() > first);
    std::thread::sleep(Duration::from_millis(400));
    assert_ne!(one.ok("acquire", NIL, NIL), json!(false));
    assert_eq!(two.not_ok("release", NIL, NIL), is("fail", "not-held"));
    one.ok("release", NIL, NIL);
}

#[test]
fn a_lock_or_a_permit_has_no_end_unless_the_settings_say_so() {
    let server = Server::start(&[]);
    Opening::new(server.port, "lock").start(PROGRAM).ok("acquire", NIL, NIL);
    assert_eq!(server.raw(&["PTTL", "dsfuzz:run-1:{lock:null}"]).as_deref(), Some(":-1\r\n"));
    let semaphore = Opening::new(server.port, "semaphore").params(json!({"permits": 1}));
    semaphore.start(PROGRAM).ok("acquire", NIL, NIL);
    let end = server.raw(&["ZREVRANGE", "dsfuzz:run-1:{semaphore:null}", "0", "0", "WITHSCORES"]).unwrap();
    assert!(end.contains("inf"), "{end}");
}

#[test]
fn leases_live_as_long_as_they_are_renewed() {
    let server = Server::start(&[]);
    let lease = |process| Opening { process, ..Opening::new(server.port, "lease") }.start(PROGRAM);
    let (mut one, mut two) = (lease(1), lease(2));
    let ttl = || json!({"ttl_ms": 400});
    assert_eq!(one.ok("acquire", NIL, ttl()), NIL);
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(200));
        one.ok("renew", NIL, ttl());
        assert_eq!(two.ok("acquire", NIL, ttl()), json!(false));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(one.not_ok("renew", NIL, ttl()), is("fail", "not-held"));
    assert_eq!(two.ok("acquire", NIL, ttl()), NIL);
    two.ok("release", NIL, NIL);
}

#[test]
fn permits_are_as_many_as_the_parameters_say() {
    let server = Server::start(&[]);
    let semaphore = |process| {
        let settings = json!({"lock_ttl_ms": 500});
        let opening = Opening { process, ..Opening::new(server.port, "semaphore").settings(settings) };
        opening.params(json!({"permits": 2})).start(PROGRAM)
    };
    let mut clients: Vec<Program> = (0..3).map(semaphore).collect();
    assert_eq!((clients[0].ok("acquire", NIL, NIL), clients[1].ok("acquire", NIL, NIL)), (NIL, NIL));
    assert_eq!(clients[2].ok("acquire", NIL, NIL), json!(false));
    clients[0].ok("release", NIL, NIL);
    assert_eq!(clients[0].not_ok("release", NIL, NIL), is("fail", "not-held"));
    assert_eq!(clients[2].ok("acquire", NIL, NIL), NIL);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(clients[0].ok("acquire", NIL, NIL), NIL);
    assert_eq!(clients[1].not_ok("release", NIL, NIL), is("fail", "not-held"));
}

#[test]
fn a_workload_that_needs_versions_is_refused() {
    let server = Server::start(&[]);
    let client = Opening::new(server.port, "register").params(json!({"versions": true})).start(PROGRAM);
    assert_eq!(kind(&client.opened), is("error", "not-supported"), "{}", client.opened);
    assert!(client.opened["error"]["text"].as_str().unwrap().contains("leave its option `versions` out"));
}
