//! Every object on a real instance, in both engines, and judged by the scripts of the setup.
use crate::PROGRAM;
use crate::server::Server;
use dsfuzz_client::testing::{Program, init, kind, shown};
use serde_json::{Value, json};

const ENGINES: [&str; 2] = ["memtx", "vinyl"];

/// Calls of one key, each with its answer.
fn expect(client: &mut Program, key: &Value, calls: &[(&str, Value, (&str, &str, Value))]) {
    for (f, value, expected) in calls {
        let answer = client.call(f, key.clone(), value.clone());
        assert_eq!(&shown(&answer), expected, "{f} {value}: {answer:?}");
    }
}

fn ok(value: impl Into<Value>) -> (&'static str, &'static str, Value) {
    ("ok", "", value.into())
}

fn fail(code: &'static str) -> (&'static str, &'static str, Value) {
    ("fail", code, json!(null))
}

/// Settings with which every call is the whole way of a synchronous one: this instance alone is the quorum.
fn settings(engine: &str) -> Value {
    json!({"engine": engine, "sync": "true", "reads": "commit"})
}

#[test]
fn registers_and_their_versions() {
    let server = Server::start("");
    for engine in ENGINES {
        let init = |params| {
            let mut init = init("register", server.port, settings(engine), params);
            engine.clone_into(&mut init.workload);
            init
        };
        let mut client = Program::open(PROGRAM, init(json!(null))).unwrap();
        client.ok("setup", ());
        let nil = || ok(Value::Null);
        expect(
            &mut client,
            &json!(5),
            &[
                ("read", json!(null), nil()),
                ("cas", json!([1, 2]), fail("precondition")),
                ("cas", json!([null, 1]), nil()),
                ("cas", json!([null, 9]), fail("precondition")),
                ("read", json!(null), ok(1)),
                ("cas", json!([1, 2]), nil()),
                ("cas", json!([1, 3]), fail("precondition")),
                ("write", json!(7), nil()),
                ("read", json!(null), ok(7)),
                ("write", json!("7"), fail("malformed")),
                ("cas", json!([7]), fail("malformed")),
            ],
        );
        let mut versions = Program::open(PROGRAM, init(json!({"versions": true}))).unwrap();
        expect(
            &mut versions,
            &json!(6),
            &[
                ("read", json!(null), ok(json!([0, null]))),
                ("write", json!(-4), ok(1)),
                ("cas", json!([-4, 9_007_199_254_740_993_i64]), ok(2)),
                ("read", json!(null), ok(json!([2, 9_007_199_254_740_993_i64]))),
            ],
        );
        versions.close();
    }
}

#[test]
fn sets_rows_counters_and_ids() {
    let server = Server::start("");
    let mut set = server.client("set", settings("memtx"), json!(null));
    assert_eq!(set.ok("read", ()), json!([]));
    for element in [3, 10, 1, -5, 3] {
        set.ok("add", element);
    }
    assert_eq!(set.ok("read", ()), json!([-5, 1, 3, 10]));
    assert_eq!(shown(&set.call("read", 1, ())).2, json!([]), "another key is another set");

    let mut rows = server.client("rows", settings("vinyl"), json!(null));
    assert_eq!((rows.ok("add", ()), rows.ok("add", ()), rows.ok("add", 7)), (json!(1), json!(2), json!(7)));
    assert_eq!(kind(&rows.call("add", (), 7)), ("fail", "exists"));
    let read: Vec<(i64, u64)> = serde_json::from_value(rows.ok("read", ())).unwrap();
    assert_eq!(read.iter().map(|(value, _)| *value).collect::<Vec<_>>(), [1, 2, 7]);
    assert!(read.is_sorted_by_key(|(_, time)| *time), "{read:?}");

    let mut counter = server.client("counter", settings("vinyl"), json!(null));
    assert_eq!(counter.ok("read", ()), json!(0));
    counter.ok("add", 5);
    counter.ok("add", -7);
    assert_eq!(counter.ok("read", ()), json!(-2));

    let mut ids = server.client("ids", settings("memtx"), json!(null));
    assert_eq!((ids.ok("generate", ()), ids.ok("generate", ())), (json!(1), json!(2)));
}

#[test]
fn transactions_of_lists_and_registers() {
    let server = Server::start("");
    for engine in ENGINES {
        let mut init = init("transactions", server.port, settings(engine), json!(null));
        init.workload = format!("list-append-{engine}");
        let mut client = Program::open(PROGRAM, init).unwrap();
        client.ok("setup", ());
        let append = json!([["r", 1, null], ["append", 1, 4], ["append", 1, 5], ["r", 1, null], ["append", 2, 6]]);
        let replied = json!([["r", 1, null], ["append", 1, 4], ["append", 1, 5], ["r", 1, [4, 5]], ["append", 2, 6]]);
        assert_eq!(client.ok("txn", append), replied);
        let read = json!([["r", 2, null], ["r", 9, null], ["w", 9, 3], ["r", 9, null]]);
        assert_eq!(client.ok("txn", read), json!([["r", 2, [6]], ["r", 9, null], ["w", 9, 3], ["r", 9, 3]]));
        assert_eq!(client.ok("txn", json!([["r", 9, null]])), json!([["r", 9, 3]]));
        assert_eq!(client.ok("txn", json!([])), json!([]));
        for unknown in [json!([["rp", 1, null]]), json!([["w", 1, "x"]]), json!([["w", "1", 1]])] {
            assert_eq!(kind(&client.call("txn", (), unknown.clone())), ("fail", "not-supported"), "{unknown}");
        }
        // An operation that fails undoes those before it: a register is no list.
        let broken = json!([["w", 7, 1], ["append", 9, 1]]);
        assert_eq!(kind(&client.call("txn", (), broken)), ("fail", "aborted"));
        assert_eq!(client.ok("txn", json!([["r", 7, null]])), json!([["r", 7, null]]));
    }
}

#[test]
fn banks_over_one_space_and_over_several() {
    let server = Server::start("");
    for (tables, overdrafts) in [(1, false), (3, true)] {
        let params =
            json!({"balances": {"0": 10, "1": 5, "2": 0, "11": 1}, "tables": tables, "negative_balances": overdrafts});
        let mut init = init("bank", server.port, settings("memtx"), params);
        init.workload = format!("bank-{tables}");
        let mut client = Program::open(PROGRAM, init).unwrap();
        client.ok("setup", ());
        let transfer = |from: u64, to: u64, amount: u64| json!({"from": from, "to": to, "amount": amount});
        client.ok("transfer", transfer(0, 2, 4));
        client.ok("transfer", transfer(11, 1, 1));
        // The accounts are made once.
        client.ok("setup", ());
        assert_eq!(client.ok("read", ()), json!({"0": 6, "1": 6, "2": 4, "11": 0}));
        let short = client.call("transfer", (), transfer(2, 0, 5));
        assert_eq!(kind(&short), if overdrafts { ("ok", "") } else { ("fail", "precondition") });
        assert_eq!(kind(&client.call("transfer", (), transfer(0, 8, 1))), ("fail", "not-found"));
        let total: i64 =
            client.ok("read", ()).as_object().unwrap().values().map(|balance| balance.as_i64().unwrap()).sum();
        assert_eq!(total, 16);
        server.lua(&format!(
            "for i = 0, 2 do local s = box.space['dsfuzz_bank_{tables}_' .. i] if s then s:truncate() end end"
        ));
        assert_eq!(kind(&client.call("read", (), ())), ("fail", "not-found"), "a bank without accounts is none");
    }
}

#[test]
fn predicates_and_queues() {
    let server = Server::start("");
    let mut rows = server.client("predicate", settings("memtx"), json!(null));
    assert_eq!(shown(&rows.call("insert", 1, json!([null, 4]))), ok(Value::Null));
    for (key, value, expected) in
        [(1, json!([5, null]), "fail"), (1, json!([null, 6]), "fail"), (2, json!([7, null]), "ok")]
    {
        assert_eq!(shown(&rows.call("insert", key, value.clone())).0, expected, "{key} {value}");
    }
    for engine in ENGINES {
        let mut init = init("queue", server.port, settings(engine), json!(null));
        init.workload = format!("queue-{engine}");
        let mut queue = Program::open(PROGRAM, init).unwrap();
        queue.ok("setup", ());
        assert_eq!(queue.ok("dequeue", ()), json!(null));
        for element in [7, 3, 5, 7] {
            queue.ok("enqueue", element);
        }
        assert_eq!((queue.ok("dequeue", ()), queue.ok("dequeue", ())), (json!(7), json!(3)));
        assert_eq!((queue.ok("drain", ()), queue.ok("drain", ())), (json!([5, 7]), json!([])));
    }
}

#[test]
fn spaces_are_made_as_the_settings_say_and_never_taken_over() {
    let server = Server::start("");
    server.client("set", json!({"sync": "true", "engine": "vinyl"}), json!(null)).ok("add", 1);
    assert_eq!(
        server.lua("return box.space.dsfuzz_set.engine, box.space._space.index.name:get('dsfuzz_set').flags.is_sync"),
        "---\n- vinyl\n- true"
    );
    server.client("counter", json!({}), json!(null));
    assert_eq!(
        server.lua(
            "return box.space.dsfuzz_counter.engine, box.space._space.index.name:get('dsfuzz_counter').flags.is_sync"
        ),
        "---\n- memtx\n- null"
    );
    // Another run's.
    let mut other = init("set", server.port, json!({}), json!(null));
    other.run = "another".to_owned();
    let answer = Program::open(PROGRAM, other).unwrap().call("setup", (), ());
    assert_eq!(kind(&answer), ("fail", "exists"));
    assert!(format!("{answer:?}").contains("of the run this-run"), "{answer:?}");
    // Somebody's own.
    server.lua("box.schema.space.create('dsfuzz_queue')");
    assert_eq!(kind(&server.open("queue", json!({}), json!(null)).call("setup", (), ())), ("fail", "exists"));
    assert_eq!(
        kind(&server.open("ids", json!({}), json!(null)).call("generate", (), ())),
        ("fail", "aborted"),
        "without a setup"
    );
}

/// Many clients at once, whose replies can be right in one order only if each call is one transaction.
#[test]
fn calls_of_several_clients_are_transactions() {
    let server = Server::start("");
    for engine in ENGINES {
        let opening = || {
            let mut init = init("transactions", server.port, settings(engine), json!(null));
            init.workload = format!("list-append-{engine}");
            Program::open(PROGRAM, init).unwrap()
        };
        opening().ok("setup", ());
        let committed: usize = std::thread::scope(|scope| {
            let worker = |worker: u64| {
                let mut client = opening();
                scope.spawn(move || {
                    let mut committed = 0;
                    for number in 0..50 {
                        let element = worker * 1000 + number;
                        // The same element goes to two keys.
                        let answer = client.call(
                            "txn",
                            (),
                            json!([["append", 1, element], ["append", 2, element], ["r", 1, null], ["r", 2, null]]),
                        );
                        match shown(&answer) {
                            ("ok", _, value) => {
                                assert_eq!(value[2][2], value[3][2], "{value}");
                                committed += 1;
                            }
                            ("fail", "conflict", _) => {}
                            _ => panic!("{answer:?}"),
                        }
                    }
                    committed
                })
            };
            (0..4).map(worker).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let read = opening().ok("txn", json!([["r", 1, null], ["r", 2, null]]));
        assert_eq!(read[0][2], read[1][2]);
        assert_eq!(read[0][2].as_array().unwrap().len(), committed, "every acknowledged append is there once");
        assert!(committed >= if engine == "memtx" { 200 } else { 1 }, "{committed}");
    }
}
