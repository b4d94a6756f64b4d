//! The tests that every SQL client passes against a real server: each object, setup, errors. Included by the tests of the programs.
use dsfuzz_client::testing::{DEADLINE_MS, Proxy, free_port};
use dsfuzz_client::{Call, CallError, Client, Init, Reply};
use dsfuzz_client_sql::{Driver, SqlClient};
use serde_json::{Value, json};

/// A server of the test.
pub(crate) trait Server {
    /// Its port on loopback.
    fn port(&self) -> u16;
    /// What the clients' settings begin with.
    fn settings(&self) -> Value;
}

/// The first line for a client of this object.
pub(crate) fn init(server: &impl Server, object: &str, workload: &str, more: Value) -> Init {
    let mut settings = server.settings();
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    let params = match object {
        "bank" => json!({"accounts": [0, 1, 2], "balances": {"0": 10, "1": 5, "2": 0}, "total": 15, "tables": 1}),
        _ => Value::Null,
    };
    let ports = json!({"client": server.port()});
    let node = |name, address| json!({"name": name, "address": address, "ports": ports});
    let init = json!({"version": 1, "node": "n1", "address": "127.0.0.1", "ports": ports, "process": 0, "workload": workload,
        "object": object, "settings": settings, "params": params, "run": "r1", "deadline_ms": DEADLINE_MS,
        "nodes": [node("n1", "127.0.0.1"), node("n2", "127.0.0.2")]});
    serde_json::from_value(init).unwrap()
}

pub(crate) async fn open<D: Driver>(init: Init) -> SqlClient<D> {
    SqlClient::<D>::open(init).await.unwrap()
}

/// A client whose object is prepared.
pub(crate) async fn prepared<D: Driver>(server: &impl Server, object: &str, workload: &str) -> SqlClient<D> {
    let mut client = open::<D>(init(server, object, workload, json!({}))).await;
    assert_eq!(call(&mut client, "setup", Value::Null, Value::Null).await.unwrap(), Value::Null);
    client
}

pub(crate) async fn reply<D: Driver>(
    client: &mut SqlClient<D>,
    f: &str,
    key: Value,
    value: Value,
) -> Result<Reply, CallError> {
    client.call(&Call { id: 1, f: f.to_owned(), key, value, deadline_ms: DEADLINE_MS, is_final: false }).await
}

pub(crate) async fn call<D: Driver>(
    client: &mut SqlClient<D>,
    f: &str,
    key: Value,
    value: Value,
) -> Result<Value, CallError> {
    reply(client, f, key, value).await.map(|reply| reply.value)
}

/// The steps of one client: function, key, argument, and the reply or the code of the certain failure.
async fn steps<D: Driver>(client: &mut SqlClient<D>, steps: &[(&str, Value, Value, Result<Value, &str>)]) {
    for (f, key, value, expected) in steps {
        let end = call(client, f, key.clone(), value.clone()).await;
        let got = end.clone().map_err(|error| {
            assert!(error.certain, "{f} {value}: {error:?}");
            error.code
        });
        assert_eq!(got, *expected, "{f} {key} {value}: {end:?}");
    }
}

/// Registers, sets, counters, ids, rows.
pub(crate) async fn values<D: Driver>(server: &impl Server) {
    let nothing = || Ok(Value::Null);
    let (k, null) = (|| json!(7), || Value::Null);
    let mut registers = prepared::<D>(server, "register", "register").await;
    let calls = [
        ("read", k(), null(), nothing()),
        ("cas", k(), json!([1, 2]), Err("precondition")),
        ("cas", k(), json!([null, 1]), nothing()),
        ("cas", k(), json!([null, 9]), Err("precondition")),
        ("read", k(), null(), Ok(json!(1))),
        ("cas", k(), json!([1, 2]), nothing()),
        ("cas", k(), json!([2, 2]), nothing()),
        ("cas", k(), json!([1, 3]), Err("precondition")),
        ("write", k(), json!(8), nothing()),
        ("write", json!(8), json!(9), nothing()),
        ("read", k(), null(), Ok(json!(8))),
        ("write", k(), json!("x"), Err("malformed")),
        ("pop", k(), null(), Err("not-supported")),
    ];
    steps(&mut registers, &calls).await;

    let mut versions = open::<D>(init(server, "register", "versions", json!({"versions": "true"}))).await;
    let calls = [
        ("setup", null(), null(), nothing()),
        ("read", k(), null(), Ok(json!([0, null]))),
        ("write", k(), json!(5), Ok(json!(1))),
        ("write", k(), json!(6), Ok(json!(2))),
        ("cas", k(), json!([[2, 6], 7]), Ok(json!(3))),
        ("cas", k(), json!([6, 8]), Err("precondition")),
        ("read", k(), null(), Ok(json!([3, 7]))),
    ];
    steps(&mut versions, &calls).await;
    // A workload may ask for them too.
    let mut asked = init(server, "register", "versions", json!({}));
    asked.params = json!({"versions": true});
    let mut versions = open::<D>(asked).await;
    steps(&mut versions, &[("write", k(), json!(8), Ok(json!(4))), ("read", k(), null(), Ok(json!([4, 8])))]).await;

    let mut sets = prepared::<D>(server, "set", "set").await;
    let calls = [
        ("read", null(), null(), Ok(json!([]))),
        ("add", null(), json!(3), nothing()),
        ("add", null(), json!(3), nothing()),
        ("add", json!(1), json!(4), nothing()),
        ("read", null(), null(), Ok(json!([3, 3]))),
    ];
    steps(&mut sets, &calls).await;

    let mut counter = prepared::<D>(server, "counter", "counter").await;
    let calls = [
        ("read", null(), null(), Ok(json!(0))),
        ("add", null(), json!(3), nothing()),
        ("add", null(), json!(4), nothing()),
        ("read", null(), null(), Ok(json!(7))),
    ];
    steps(&mut counter, &calls).await;

    let mut ids = prepared::<D>(server, "ids", "unique-ids").await;
    let first = call(&mut ids, "generate", null(), null()).await.unwrap();
    let second = call(&mut ids, "generate", null(), null()).await.unwrap();
    assert!(first.is_i64() && second.is_i64() && first != second, "{first} {second}");

    let mut rows = prepared::<D>(server, "rows", "monotonic").await;
    let calls = [("add", null(), json!(40), Ok(json!(40))), ("add", null(), null(), Ok(json!(41)))];
    steps(&mut rows, &calls).await;
    let read = call(&mut rows, "read", null(), null()).await.unwrap();
    let mut read: Vec<[i64; 2]> = serde_json::from_value(read).unwrap();
    read.sort_unstable();
    assert!(read[0][0] == 40 && read[1][0] == 41 && read[0][1] < read[1][1], "{read:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((now - read[1][1]).abs() < 60_000_000, "microseconds of today: {read:?}");
}

/// Transactions, tables with predicates, banks, guarded inserts.
pub(crate) async fn transactions<D: Driver>(server: &impl Server) {
    let null = || Value::Null;
    for lists in ["concat", "rewrite"] {
        let workload = format!("list-append-{lists}");
        let mut client = open::<D>(init(server, "transactions", &workload, json!({"lists": lists}))).await;
        let echo = |value: Value| ("txn", null(), value.clone(), Ok(value));
        let calls = [
            ("setup", null(), null(), Ok(null())),
            ("txn", null(), json!([["r", 1, null]]), Ok(json!([["r", 1, null]]))),
            echo(json!([["append", 1, 5]])),
            ("txn", null(), json!([["append", 1, 6], ["r", 1, null]]), Ok(json!([["append", 1, 6], ["r", 1, [5, 6]]]))),
            ("txn", null(), json!([["append", 1, 9], ["pop", 1, null]]), Err("malformed")),
            ("txn", null(), json!([["r", 1, null], ["r", 2, null]]), Ok(json!([["r", 1, [5, 6]], ["r", 2, null]]))),
            echo(json!([["w", 2, 7], ["w", 2, 8]])),
            ("txn", null(), json!([["r", 2, null]]), Ok(json!([["r", 2, 8]]))),
        ];
        steps(&mut client, &calls).await;
    }
    let mut table = prepared::<D>(server, "table", "closed-predicate").await;
    let calls = [
        ("init", null(), json!({"1": 0, "2": 0, "3": 1}), Ok(null())),
        ("txn", null(), json!([["rp", ["=", 0], null]]), Ok(json!([["rp", ["=", 0], {"1": 0, "2": 0}]]))),
        ("txn", null(), json!([["rp", ["mod", 2, 1], null]]), Ok(json!([["rp", ["mod", 2, 1], {"3": 1}]]))),
        (
            "txn",
            null(),
            json!([["insert", 4, 1], ["delete", 3, null], ["rp", true, null], ["r", 3, null]]),
            Ok(json!([["insert", 4, 1], ["delete", 3, null], ["rp", true, {"1": 0, "2": 0, "4": 1}], ["r", 3, null]])),
        ),
        ("txn", null(), json!([["w", 1, 9], ["insert", 4, 1]]), Err("exists")),
        ("txn", null(), json!([["r", 1, null]]), Ok(json!([["r", 1, 0]]))),
    ];
    steps(&mut table, &calls).await;

    let mut bank = prepared::<D>(server, "bank", "bank").await;
    let transfer = |from, to, amount| json!({"from": from, "to": to, "amount": amount});
    let calls = [
        ("read", null(), null(), Ok(json!({"0": 10, "1": 5, "2": 0}))),
        ("transfer", null(), transfer(0, 2, 4), Ok(null())),
        ("transfer", null(), transfer(1, 2, 6), Err("precondition")),
        ("transfer", null(), transfer(1, 9, 1), Err("not-found")),
        ("setup", null(), null(), Ok(null())),
        ("read", null(), null(), Ok(json!({"0": 6, "1": 5, "2": 4}))),
    ];
    steps(&mut bank, &calls).await;
    // A replica may have the table before the accounts.
    let mut early = init(server, "bank", "bank-early", json!({}));
    early.params["balances"] = json!({});
    let mut early = open::<D>(early).await;
    steps(&mut early, &[("setup", null(), null(), Ok(null())), ("read", null(), null(), Err("not-found"))]).await;
    let mut spread = init(server, "bank", "bank-spread", json!({"lock_reads": "for update"}));
    spread.params["tables"] = json!(2);
    let mut spread = open::<D>(spread).await;
    let calls = [
        ("setup", null(), null(), Ok(null())),
        ("transfer", null(), transfer(0, 1, 1), Ok(null())),
        ("read", null(), null(), Ok(json!({"0": 9, "1": 6, "2": 0}))),
    ];
    steps(&mut spread, &calls).await;

    let mut predicate = prepared::<D>(server, "predicate", "g2").await;
    let calls = [
        ("insert", json!(1), json!([1, null]), Ok(null())),
        ("insert", json!(1), json!([null, 2]), Err("exists")),
        ("insert", json!(2), json!([null, 2]), Ok(null())),
        ("insert", json!(3), json!([null, 2]), Err("exists")),
    ];
    steps(&mut predicate, &calls).await;
}

/// Queues: what another transaction is taking is passed over, and drained when it lets go.
pub(crate) async fn queues<D: Driver>(server: &impl Server) {
    let null = || Value::Null;
    let mut queue = prepared::<D>(server, "queue", "queue").await;
    let calls = [
        ("dequeue", null(), null(), Ok(null())),
        ("enqueue", null(), json!(1), Ok(null())),
        ("enqueue", null(), json!(2), Ok(null())),
        ("enqueue", null(), json!(3), Ok(null())),
        ("enqueue", json!(5), json!(4), Ok(null())),
        ("dequeue", null(), null(), Ok(json!(1))),
        ("drain", null(), null(), Ok(json!([2, 3]))),
        ("drain", null(), null(), Ok(json!([]))),
        ("drain", json!(5), null(), Ok(json!([4]))),
    ];
    steps(&mut queue, &calls).await;
}

/// Participants decide the same, and a saga ends, also one that was left.
pub(crate) async fn decisions<D: Driver>(server: &impl Server) {
    let null = || Value::Null;
    let mut three = init(server, "commit", "atomic-commit", json!({}));
    three.params = json!({"participants": [0, 1, 2]});
    let mut three = open::<D>(three).await;
    let calls = [
        ("setup", null(), null(), Ok(null())),
        ("commit", json!(1), null(), Ok(json!("committed"))),
        ("status", json!(1), json!(2), Ok(json!("committed"))),
        // A participant that was asked before the commit has aborted.
        ("status", json!(2), json!(1), Ok(json!("aborted"))),
        ("commit", json!(2), null(), Ok(json!("aborted"))),
        ("status", json!(2), json!(0), Ok(json!("aborted"))),
        ("status", null(), json!(0), Ok(json!({"1": "committed", "2": "aborted"}))),
        ("status", null(), json!(2), Ok(json!({"1": "committed"}))),
    ];
    steps(&mut three, &calls).await;
    let mut one = prepared::<D>(server, "commit", "one-participant").await;
    let calls = [
        ("commit", json!(1), null(), Ok(json!("committed"))),
        ("status", json!(1), null(), Ok(json!("committed"))),
        ("status", null(), null(), Ok(json!({"1": "committed"}))),
    ];
    steps(&mut one, &calls).await;

    let mut saga = prepared::<D>(server, "saga", "saga").await;
    let compensated = || json!([["step", 1], ["step", 2], ["compensate", 2], ["compensate", 1], "compensated"]);
    let calls = [
        ("log", json!(1), null(), Ok(json!([]))),
        ("start", json!(1), json!([1, 2]), Ok(json!("completed"))),
        ("log", json!(1), null(), Ok(json!([["step", 1], ["step", 2], "completed"]))),
        ("start", json!(4), json!([1, 2, 3]), Ok(json!("compensated"))),
        ("log", json!(4), null(), Ok(compensated())),
        ("start", json!(1), json!([1]), Err("exists")),
    ];
    steps(&mut saga, &calls).await;
    // One whose client is gone after two of its steps.
    let left = json!([
        "insert into dsfuzz_saga values (5, 2)",
        "insert into dsfuzz_saga_log values (5, 1, 'step', 1), (5, 2, 'step', 2)",
    ]);
    let more = init(server, "saga", "saga", json!({"each": left}));
    let mut more = open::<D>(more).await;
    steps(&mut more, &[("log", json!(5), null(), Ok(json!([["step", 1], ["step", 2]])))]).await;
    let last =
        Call { id: 1, f: "log".to_owned(), key: json!(5), value: null(), deadline_ms: DEADLINE_MS, is_final: true };
    assert_eq!(saga.call(&last).await.map(|reply| reply.value), Ok(compensated()));
    assert_eq!(call(&mut more, "log", json!(5), null()).await, Ok(compensated()));
}

/// Locks end with their session; what they guard is written back whole.
pub(crate) async fn locks<D: Driver>(server: &impl Server) {
    let null = || Value::Null;
    let (k, no) = (|| json!(3), || Ok(json!(false)));
    let new = || init(server, "lock", "lock", json!({}));
    let (mut first, mut second) = (open::<D>(new()).await, open::<D>(new()).await);
    steps(&mut first, &[("acquire", k(), null(), Ok(null()))]).await;
    let calls = [
        ("acquire", k(), null(), no()),
        ("acquire", json!(4), null(), Ok(null())),
        ("release", k(), null(), Err("not-held")),
    ];
    steps(&mut second, &calls).await;
    steps(&mut first, &[("release", k(), null(), Ok(null())), ("release", k(), null(), Err("not-held"))]).await;
    steps(&mut second, &[("acquire", k(), null(), Ok(null()))]).await;
    second.close().await;
    // The server may take a moment to see that the session is over.
    let mut end = call(&mut first, "acquire", k(), null()).await;
    for _ in 0..1000 {
        if end == Ok(null()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        end = call(&mut first, "acquire", k(), null()).await;
    }
    assert_eq!(end, Ok(null()));

    let mut guarded = prepared::<D>(server, "guarded", "lock-set").await;
    let calls = [
        ("add", k(), json!(1), Err("not-held")),
        ("acquire", k(), null(), Ok(null())),
        ("add", k(), json!(1), Ok(null())),
        ("add", k(), json!(2), Ok(null())),
        ("release", k(), null(), Ok(null())),
        ("read", k(), null(), Ok(json!([1, 2]))),
        ("acquire", k(), null(), Ok(null())),
        ("add", k(), json!(3), Ok(null())),
        ("read", k(), null(), Ok(json!([1, 2, 3]))),
        ("release", k(), null(), Ok(null())),
    ];
    steps(&mut guarded, &calls).await;
    let mut fenced = init(server, "guarded", "lock-set-tokens", json!({}));
    fenced.params = json!({"tokens": true});
    let mut fenced = open::<D>(fenced).await;
    let write = |token, value| json!({"token": token, "value": value});
    let calls = [
        ("setup", null(), null(), Ok(null())),
        ("acquire", k(), null(), Ok(json!(1))),
        ("write", k(), write(1, 5), Ok(null())),
        ("release", k(), null(), Ok(null())),
        ("acquire", k(), null(), Ok(json!(2))),
        ("write", k(), write(2, 6), Ok(null())),
        ("write", k(), write(1, 7), Err("fenced")),
        ("log", k(), null(), Ok(json!([[1, 5], [2, 6]]))),
    ];
    steps(&mut fenced, &calls).await;
}

/// A second setup of the run is fine; a table of another one is left alone.
pub(crate) async fn setups<D: Driver>(server: &impl Server) {
    let mut client = prepared::<D>(server, "set", "ours").await;
    steps(&mut client, &[("add", Value::Null, json!(1), Ok(Value::Null))]).await;
    steps(&mut client, &[("setup", Value::Null, Value::Null, Ok(Value::Null))]).await;
    steps(&mut client, &[("read", Value::Null, Value::Null, Ok(json!([1])))]).await;
    let mut other = init(server, "set", "ours", json!({}));
    other.run = "r2".to_owned();
    let mut other = open::<D>(other).await;
    let refused = call(&mut other, "setup", Value::Null, Value::Null).await.unwrap_err();
    assert!(refused.certain && refused.code == "exists", "{refused:?}");
    assert!(refused.text.contains("dsfuzz_ours") && refused.text.contains("dsfuzz run r1"), "{refused:?}");
    let mut after =
        open::<D>(init(server, "set", "after", json!({"after_setup": ["insert into :table (k, v) values (0, 9)"]})))
            .await;
    steps(&mut after, &[("setup", Value::Null, Value::Null, Ok(Value::Null))]).await;
    steps(&mut after, &[("read", Value::Null, Value::Null, Ok(json!([9])))]).await;
}

/// What a recipe may say: statements of its own, read-only nodes, the dialect, the level of isolation.
pub(crate) async fn settings<D: Driver>(server: &impl Server) {
    let null = || Value::Null;
    let mut own = prepared::<D>(server, "register", "own").await;
    steps(&mut own, &[("write", json!(1), json!(5), Ok(null()))]).await;
    let open_with = |more| open::<D>(init(server, "register", "own", more));
    let mut replaced = open_with(json!({"sql": {"read": "select v + 100 from :table where k = :key"}})).await;
    steps(&mut replaced, &[("read", json!(1), null(), Ok(json!(105)))]).await;
    let mut standby = open_with(json!({"read_only_when": "select 1 = 1"})).await;
    let calls = [("write", json!(1), json!(6), Err("read-only")), ("read", json!(1), null(), Ok(json!(5)))];
    steps(&mut standby, &calls).await;
    steps(&mut standby, &[("setup", null(), null(), Err("read-only"))]).await;
    let mut refusing = open_with(json!({"refuse_when": "select 1 = 1"})).await;
    steps(&mut refusing, &[("read", json!(1), null(), Err("read-only"))]).await;
    let mut absent = open::<D>(init(server, "register", "nowhere", json!({}))).await;
    let calls = [("read", json!(1), null(), Err("not-found")), ("write", json!(1), json!(6), Err("not-found"))];
    steps(&mut absent, &calls).await;
    let mut named = open_with(json!({"answered_by": "select '127.0.0.2'"})).await;
    assert_eq!(reply(&mut named, "read", json!(1), null()).await.unwrap().node.as_deref(), Some("n2"));
    assert_eq!(reply(&mut replaced, "read", json!(1), null()).await.unwrap().node, None);

    let refused = |more| SqlClient::<D>::open(init(server, "register", "own", more));
    for (more, code, text) in [
        (json!({"password": "wrong", "user": "secured"}), "denied", "secured"),
        (json!({"isolation": "weak"}), "malformed", "`weak`"),
        (json!({"dialect": "tidb"}), "not-supported", "tidb"),
        (json!({"dialect": "cockroachdb"}), "not-supported", "cockroachdb"),
        (json!({"database": "nowhere"}), "not-found", "nowhere"),
        (json!({"each": ["no statement"]}), "malformed", "no"),
        (json!({"sql": {"raed": "x"}}), "malformed", "raed"),
    ] {
        let error = refused(more.clone()).await.err().unwrap();
        assert!(error.certain && error.code == code && error.text.contains(text), "{more}: {error:?}");
    }
    let mut nowhere = init(server, "register", "own", json!({}));
    nowhere.ports.insert("client".to_owned(), free_port());
    assert_eq!(SqlClient::<D>::open(nowhere).await.err().unwrap().code, "refused");
}

/// A final read has the strongest level of isolation.
pub(crate) async fn final_reads<D: Driver>(server: &impl Server, level: &str) {
    let mut client = prepared::<D>(server, "set", "finals").await;
    let asks = json!({"isolation": "read committed", "sql": {"read": level}, "final_each": ["select 1"]});
    let mut asking = open::<D>(init(server, "set", "finals", asks)).await;
    steps(&mut client, &[("add", Value::Null, json!(1), Ok(Value::Null))]).await;
    let mut ask = Call {
        id: 1,
        f: "read".to_owned(),
        key: Value::Null,
        value: Value::Null,
        deadline_ms: DEADLINE_MS,
        is_final: false,
    };
    assert_eq!(asking.call(&ask).await.unwrap().value, json!([0]));
    ask.is_final = true;
    assert_eq!(asking.call(&ask).await.unwrap().value, json!([1]));
}

/// Two clients that read what the other is about to write: the second commit is refused for certain, and its client goes on.
pub(crate) async fn conflicts<D: Driver + 'static>(server: &impl Server, more: Value) {
    let bank = init(server, "bank", "conflicts", more);
    let mut first = open::<D>(bank.clone()).await;
    steps(&mut first, &[("setup", Value::Null, Value::Null, Ok(Value::Null))]).await;
    let mut clients = vec![first];
    for _ in 0..3 {
        clients.push(open::<D>(bank.clone()).await);
    }
    let set = tokio::task::LocalSet::new();
    let transfers = clients.into_iter().enumerate().map(|(number, mut client)| {
        set.spawn_local(async move {
            let (from, to) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
            let mut codes = Vec::new();
            for _ in 0..50 {
                let transfer = json!({"from": from, "to": to, "amount": 1});
                match call(&mut client, "transfer", Value::Null, transfer).await {
                    Ok(_) => codes.push("ok"),
                    Err(error) => {
                        assert!(error.certain, "{error:?}");
                        codes.push(error.code);
                    }
                }
            }
            (client, codes)
        })
    });
    let transfers: Vec<_> = transfers.collect();
    let mut codes = Vec::new();
    let mut last = None;
    set.run_until(async {
        for transfer in transfers {
            let (client, more) = transfer.await.unwrap();
            codes.extend(more);
            last = Some(client);
        }
    })
    .await;
    let count = |code: &str| codes.iter().filter(|known| **known == code).count();
    assert!(count("conflict") > 0 && count("ok") > 20, "{codes:?}");
    assert_eq!(count("conflict") + count("ok") + count("precondition"), 200, "{codes:?}");
    let read = call(&mut last.unwrap(), "read", Value::Null, Value::Null).await.unwrap();
    let total: i64 = read.as_object().unwrap().values().filter_map(Value::as_i64).sum();
    assert_eq!(total, 15, "{read}");
}

/// What a read answers at last, if it takes the server a moment to get there.
async fn settled<D: Driver>(client: &mut SqlClient<D>, expected: Value) -> Value {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let read = call(client, "read", Value::Null, Value::Null).await.unwrap();
        if read == expected || std::time::Instant::now() > end {
            return read;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A connection that breaks: a change by itself and a commit are unknown, what was not committed has failed, and nothing is sent twice.
pub(crate) async fn broken_connections<D: Driver>(server: &impl Server) {
    let mut honest = prepared::<D>(server, "set", "broken").await;
    let mut honest_bank = prepared::<D>(server, "bank", "broken-bank").await;
    let proxy = Proxy::before(server.port(), b"insert into");
    let through = |object, workload| {
        let mut init = init(server, object, workload, json!({}));
        init.ports.insert("client".to_owned(), proxy.port);
        init
    };
    let mut set = open::<D>(through("set", "broken")).await;
    assert_eq!(proxy.connections(), 1);
    proxy.cut_after_next();
    let lost = call(&mut set, "add", Value::Null, json!(1)).await.unwrap_err();
    assert!(!lost.certain && lost.code == "lost", "{lost:?}");
    assert_eq!(settled(&mut honest, json!([1])).await, json!([1]), "it took effect, once");
    assert_eq!(proxy.seen(), 1, "it was sent once");
    assert_eq!(call(&mut set, "read", Value::Null, Value::Null).await.unwrap(), json!([1]));
    assert_eq!(proxy.connections(), 2, "one connection at a time");

    let transfer = || json!({"from": 0, "to": 1, "amount": 1});
    let mut bank = open::<D>(through("bank", "broken-bank")).await;
    proxy.look_for(b"update ");
    proxy.cut_after_next();
    let undone = call(&mut bank, "transfer", Value::Null, transfer()).await.unwrap_err();
    assert!(undone.certain && undone.code == "aborted", "{undone:?}");
    proxy.look_for(b"commit");
    proxy.cut_before_next();
    let doubtful = call(&mut bank, "transfer", Value::Null, transfer()).await.unwrap_err();
    assert!(!doubtful.certain && doubtful.code == "lost", "{doubtful:?}");
    let balances = call(&mut honest_bank, "read", Value::Null, Value::Null).await.unwrap();
    assert_eq!(balances, json!({"0": 10, "1": 5, "2": 0}));
    proxy.look_for(b"commit");
    proxy.cut_after_next();
    let doubtful = call(&mut bank, "transfer", Value::Null, transfer()).await.unwrap_err();
    assert!(!doubtful.certain, "{doubtful:?}");
    let moved = json!({"0": 9, "1": 6, "2": 0});
    assert_eq!(settled(&mut honest_bank, moved.clone()).await, moved, "once");
}
