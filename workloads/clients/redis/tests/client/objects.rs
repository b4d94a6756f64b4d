//! Each object on a real server.
use crate::server::Server;
use crate::{plain, refused, start};
use dsfuzz_client::lines::Init;
use dsfuzz_client::testing::{Program, init, kind, text};
use serde_json::{Value, json};

fn open(server: &Server, object: &str) -> Program {
    start(plain(object, server.port))
}

const NIL: Value = Value::Null;

#[test]
fn registers_are_read_written_and_compared() {
    let server = Server::start(&[]);
    let mut client = open(&server, "register");
    let key = || json!(5);
    assert_eq!(client.functions, ["read", "write", "cas", "setup"]);
    assert_eq!(client.ok("setup", ()), NIL);
    assert_eq!(client.ok_at("read", key(), ()), NIL);
    assert_eq!(kind(&client.call("cas", key(), json!([1, 2]))), ("fail", "precondition"));
    assert_eq!(client.ok_at("cas", key(), json!([null, 1])), NIL);
    assert_eq!(kind(&client.call("cas", key(), json!([null, 9]))), ("fail", "precondition"));
    client.ok_at("cas", key(), json!([1, 2]));
    assert_eq!(kind(&client.call("cas", key(), json!([1, 3]))), ("fail", "precondition"));
    assert_eq!(client.ok_at("read", key(), ()), json!(2));
    client.ok_at("write", key(), 7);
    assert_eq!((client.ok_at("read", key(), ()), client.ok_at("read", 6, ())), (json!(7), NIL));
    assert_eq!(kind(&client.call("write", key(), "text")), ("fail", "malformed"));
    assert_eq!(kind(&client.call("push", key(), ())), ("fail", "not-supported"));
}

#[test]
fn sets_counters_and_ids_are_integers() {
    let server = Server::start(&[]);
    let mut set = open(&server, "set");
    assert_eq!(set.ok("read", ()), json!([]));
    for element in [3, 10, 1] {
        set.ok("add", element);
    }
    set.ok_at("add", 1, 99);
    let mut elements: Vec<i64> = serde_json::from_value(set.ok("read", ())).unwrap();
    elements.sort_unstable();
    assert_eq!(elements, [1, 3, 10]);

    let mut counter = open(&server, "counter");
    assert_eq!(counter.ok_at("read", 0, ()), json!(0));
    for number in [5, -2] {
        counter.ok_at("add", 0, number);
    }
    assert_eq!(counter.ok_at("read", 0, ()), json!(3));

    let mut ids = open(&server, "ids");
    assert_ne!(ids.ok("generate", ()), ids.ok("generate", ()));
}

#[test]
fn another_run_and_another_workload_are_not_met() {
    let server = Server::start(&[]);
    open(&server, "set").ok("add", 1);
    let run = Init { run: "run-2".to_owned(), ..plain("set", server.port) };
    assert_eq!(start(run).ok("read", ()), json!([]));
    let other = Init { workload: "set-2".to_owned(), ..plain("set", server.port) };
    assert_eq!(start(other).ok("read", ()), json!([]));
}

#[test]
fn rows_have_the_servers_time_in_microseconds() {
    let server = Server::start(&[]);
    let mut rows = open(&server, "rows");
    rows.ok("setup", ());
    assert_eq!(rows.ok("add", 7), json!(7));
    assert_eq!(rows.ok("add", ()), json!(8));
    assert_eq!(rows.ok("add", 3), json!(3));
    let read: Vec<(i64, i64)> = serde_json::from_value(rows.ok("read", ())).unwrap();
    let time = |value: i64| read.iter().find(|(row, _)| *row == value).unwrap().1;
    assert!(read.len() == 3 && time(7) < time(8) && time(8) < time(3), "{read:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((now - 60_000_000..=now).contains(&time(3)), "{read:?}, and it is {now}");
}

#[test]
fn transactions_on_lists_and_on_registers() {
    let server = Server::start(&[]);
    let lists = Init { workload: "list-append".to_owned(), ..plain("transactions", server.port) };
    let mut lists = start(lists);
    let first = json!([["r", 1, null], ["append", 1, 3], ["append", 2, 4], ["r", 1, null]]);
    assert_eq!(lists.ok("txn", first), json!([["r", 1, []], ["append", 1, 3], ["append", 2, 4], ["r", 1, [3]]]));
    assert_eq!(lists.ok("txn", json!([["append", 1, 5]])), json!([["append", 1, 5]]));
    assert_eq!(lists.ok("txn", json!([["r", 1, null]])), json!([["r", 1, [3, 5]]]));

    let registers = Init { workload: "rw-register".to_owned(), ..plain("transactions", server.port) };
    let mut registers = start(registers);
    let first = json!([["w", 1, 8], ["r", 1, null], ["r", 2, null]]);
    assert_eq!(registers.ok("txn", first), json!([["w", 1, 8], ["r", 1, 8], ["r", 2, null]]));
    assert_eq!(registers.ok("txn", json!([["r", 1, null]])), json!([["r", 1, 8]]));
    assert_eq!(kind(&registers.call("txn", (), json!([["send", 1, 8]]))), ("fail", "not-supported"));
}

#[test]
fn money_is_transferred_by_script_and_by_watch() {
    let server = Server::start(&[]);
    for method in ["script", "watch"] {
        let params = json!({"balances": {"0": 10, "1": 5}, "negative_balances": false});
        let opening = init("bank", server.port, json!({"bank": method}), params);
        let opening = Init { run: method.to_owned(), ..opening };
        let mut bank = start(opening.clone());
        assert_eq!(
            kind(&bank.call("transfer", (), json!({"from": 0, "to": 1, "amount": 1}))),
            ("fail", "not-found"),
            "{method}: nobody has made the accounts"
        );
        assert_eq!(kind(&bank.call("read", (), ())), ("fail", "not-found"), "{method}: nor seen any");
        bank.ok("setup", ());
        bank.ok("transfer", json!({"from": 0, "to": 1, "amount": 4}));
        bank.ok("setup", ());
        assert_eq!(bank.ok("read", ()), json!({"0": 6, "1": 9}), "{method}");
        let too_much = json!({"from": 0, "to": 1, "amount": 7});
        assert_eq!(kind(&bank.call("transfer", (), too_much.clone())), ("fail", "precondition"), "{method}");
        let overdrawn = Init { params: json!({"balances": {}, "negative_balances": true}), ..opening };
        start(overdrawn).ok("transfer", too_much);
        assert_eq!(bank.ok("read", ()), json!({"0": -1, "1": 16}), "{method}");
    }
}

#[test]
fn queues_hand_out_in_order_and_are_drained() {
    let server = Server::start(&[]);
    for method in ["pop", "move"] {
        let opening = init("queue", server.port, json!({"queue": method}), NIL);
        let mut queue = start(Init { run: method.to_owned(), ..opening });
        assert_eq!(kind(&queue.call("dequeue", (), ())), ("fail", "empty"), "{method}");
        for element in 1..=4 {
            queue.ok("enqueue", element);
        }
        queue.ok_at("enqueue", 1, 9);
        assert_eq!(queue.ok("dequeue", ()), json!(1), "{method}");
        assert_eq!(queue.ok("drain", ()), json!([2, 3, 4]), "{method}");
        assert_eq!(queue.ok("drain", ()), json!([]), "{method}");
        assert_eq!(queue.ok_at("drain", 1, ()), json!([9]), "{method}");
    }
    // What a client took that died before it removed it.
    server.raw(&["LPUSH", "dsfuzz:move:{queue:null}:taken", "77"]);
    let opening = init("queue", server.port, json!({"queue": "move"}), NIL);
    let mut queue = start(Init { run: "move".to_owned(), ..opening });
    assert_eq!(queue.ok("drain", ()), json!([77]));
}

/// Ends what lives for a while now, however long it was to live.
fn end(server: &Server, key: &str) {
    assert_eq!(server.raw(&["PEXPIRE", key, "1"]).as_deref(), Some(":1\r\n"), "{key} lives for a while");
    server.until(&["EXISTS", key], ":0");
}

/// How many milliseconds a key still lives.
fn left(server: &Server, key: &str) -> i64 {
    server.raw(&["PTTL", key]).unwrap().trim_start_matches(':').trim_end().parse().unwrap()
}

#[test]
fn locks_exclude_and_end_by_themselves() {
    let server = Server::start(&[]);
    let lock = |process| {
        let settings = json!({"fencing": true, "lock_ttl_ms": "600000"});
        start(Init { process, ..init("lock", server.port, settings, NIL) })
    };
    let (mut one, mut two) = (lock(1), lock(2));
    assert_eq!(kind(&two.call("release", (), ())), ("fail", "not-held"));
    let first = one.ok("acquire", ()).as_i64().unwrap();
    assert_eq!(two.ok("acquire", ()), json!(false));
    assert_ne!(two.ok_at("acquire", 1, ()), json!(false));
    one.ok("release", ());
    assert!(two.ok("acquire", ()).as_i64().unwrap() > first);
    let key = "dsfuzz:this-run:{lock:null}";
    assert!((1..=600_000).contains(&left(&server, key)));
    end(&server, key);
    assert_ne!(one.ok("acquire", ()), json!(false));
    assert_eq!(kind(&two.call("release", (), ())), ("fail", "not-held"));
    one.ok("release", ());
}

#[test]
fn a_lock_or_a_permit_has_no_end_unless_the_settings_say_so() {
    let server = Server::start(&[]);
    start(plain("lock", server.port)).ok("acquire", ());
    assert_eq!(server.raw(&["PTTL", "dsfuzz:this-run:{lock:null}"]).as_deref(), Some(":-1\r\n"));
    let semaphore = init("semaphore", server.port, json!({}), json!({"permits": 1}));
    start(semaphore).ok("acquire", ());
    let end = server.raw(&["ZREVRANGE", "dsfuzz:this-run:{semaphore:null}", "0", "0", "WITHSCORES"]).unwrap();
    assert!(end.contains("inf"), "{end}");
}

#[test]
fn leases_live_as_long_as_they_are_renewed() {
    let server = Server::start(&[]);
    let lease = |process| start(Init { process, ..plain("lease", server.port) });
    let (mut one, mut two) = (lease(1), lease(2));
    let (key, ttl) = ("dsfuzz:this-run:{lease:null}", || json!({"ttl_ms": 600_000}));
    assert_eq!(one.ok("acquire", ttl()), NIL);
    assert!((1..=600_000).contains(&left(&server, key)));
    // A part of its time is over.
    server.raw(&["PEXPIRE", key, "100000"]);
    one.ok("renew", ttl());
    assert!(left(&server, key) > 100_000);
    assert_eq!(two.ok("acquire", ttl()), json!(false));
    end(&server, key);
    assert_eq!(kind(&one.call("renew", (), ttl())), ("fail", "not-held"));
    assert_eq!(two.ok("acquire", ttl()), NIL);
    two.ok("release", ());
}

#[test]
fn permits_are_as_many_as_the_parameters_say() {
    let server = Server::start(&[]);
    let semaphore = |process| {
        let settings = json!({"lock_ttl_ms": 600_000});
        start(Init { process, ..init("semaphore", server.port, settings, json!({"permits": 2})) })
    };
    let mut clients: Vec<Program> = (0..3).map(semaphore).collect();
    assert_eq!((clients[0].ok("acquire", ()), clients[1].ok("acquire", ())), (NIL, NIL));
    assert_eq!(clients[2].ok("acquire", ()), json!(false));
    clients[0].ok("release", ());
    assert_eq!(kind(&clients[0].call("release", (), ())), ("fail", "not-held"));
    assert_eq!(clients[2].ok("acquire", ()), NIL);
    assert_eq!(clients[0].ok("acquire", ()), json!(false), "the time of neither permit is over");
    // The time of each permit is its score: now that of each is over.
    let age = "for _, permit in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 1, permit) end return 1";
    assert_eq!(server.raw(&["EVAL", age, "1", "dsfuzz:this-run:{semaphore:null}"]).as_deref(), Some(":1\r\n"));
    assert_eq!(clients[0].ok("acquire", ()), NIL);
    assert_eq!(kind(&clients[1].call("release", (), ())), ("fail", "not-held"));
}

#[test]
fn a_workload_that_needs_versions_is_refused() {
    let server = Server::start(&[]);
    let answer = refused(init("register", server.port, json!({}), json!({"versions": true})));
    assert_eq!(kind(&answer), ("error", "not-supported"), "{answer:?}");
    assert!(text(&answer).contains("leave its option `versions` out"), "{answer:?}");
}
