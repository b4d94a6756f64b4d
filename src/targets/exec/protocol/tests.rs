//! Lines of clients and what is made of them.
use super::*;

fn call(workload: &str, f: &str) -> Call {
    Call { workload: workload.into(), f: f.into(), key: Value::Nil, value: Value::Int(5) }
}

fn meaning(errors: BTreeMap<String, Certainty>) -> ReplyContext {
    ReplyContext { errors, node: "n1".into(), nodes: ["n1", "n2", "n3"].map(Arc::from).to_vec(), versions: false }
}

fn answer(answer: CallResult) -> ClientLine {
    ClientLine::Response(answer.into())
}

#[test]
fn an_answer_may_name_the_node_that_gave_it() {
    let read = |line: &str| reply(line, 7, &call("register", "read"), &meaning(BTreeMap::new()));
    let from = |node: Option<&str>| {
        ClientLine::Response(CallResponse { node: node.map(Arc::from), ..CallResult::Ok(Value::Int(3)).into() })
    };
    assert_eq!(read(r#"{"id":7,"type":"ok","value":3,"node":"n2"}"#), from(Some("n2")));
    assert_eq!(read(r#"{"id":7,"type":"ok","value":3,"node":"n1"}"#), from(None), "its own node");
    assert_eq!(read(r#"{"id":7,"type":"ok","value":3,"node":null}"#), from(None));
    for line in [r#"{"id":7,"type":"ok","value":3,"node":"n9"}"#, r#"{"id":7,"type":"fail","node":2}"#] {
        match read(line) {
            ClientLine::Malformed(why) => {
                assert!(why.contains("one of the plan's nodes as \"node\": n1, n2, n3"), "{why}")
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    let info = r#"{"id":7,"type":"info","node":"n3","error":{"code":"timeout"}}"#;
    assert_eq!(
        read(info),
        ClientLine::Response(CallResponse { node: Some("n3".into()), ..CallResult::info("timeout").into() })
    );
}

fn value(workload: &str, json: &str) -> ClientLine {
    let line = format!(r#"{{"id":7,"type":"ok","value":{json}}}"#);
    reply(&line, 7, &call(workload, "read"), &meaning(BTreeMap::new()))
}

#[test]
fn a_value_of_another_type_than_was_written_is_not_believed() {
    let int = Value::Int;
    let believed = [
        ("register", "2", int(2)),
        ("register", "2.0", int(2)),
        ("register", "-2e0", int(-2)),
        ("register", "null", Value::Nil),
        ("register", "[2,7]", Value::list([int(2), int(7)])),
        ("register", "[0,null]", Value::list([int(0), Value::Nil])),
        ("register", "[null,0]", Value::list([Value::Nil, int(0)])),
        ("set", "[]", Value::list([])),
        ("set", "[1,2.0]", Value::list([int(1), int(2)])),
        ("counter", "7.0", int(7)),
        ("monotonic", r#"[[2,"1.5"]]"#, Value::list([Value::list([int(2), Value::text("1.5")])])),
        ("bank", r#"{"0":-2.0,"1":null}"#, Value::Map([("0".into(), int(-2)), ("1".into(), Value::Nil)].into())),
    ];
    for (workload, json, expected) in believed {
        assert_eq!(value(workload, json), answer(CallResult::Ok(expected)), "{workload} {json}");
    }
    let unbelieved = [
        ("register", r#""2""#, "a read returned \"2\", a text, and only integers were written"),
        ("register", "2.5", "2.5, a number with a fraction, and only integers were written"),
        ("register", "9007199254740994.0", "written"),
        ("register", "18446744073709551615", "written"),
        ("register", "true", "true, a boolean"),
        ("register", r#"{"v":2}"#, "an object"),
        ("register", r#"[7,"2"]"#, "a text"),
        ("register", r#"["7",2]"#, "a list"),
        ("register", "[1,2,3]", "a list"),
        ("set", r#"["1","2"]"#, "a read of a set returned the element \"1\", a text, and only integers were added"),
        ("set", "[1,null]", "null"),
        ("set", "[[1]]", "a list"),
        ("bank", r#"{"0":1,"7":"2"}"#, "a read of a bank returned for account 7 \"2\", a text, and only integers"),
        ("bank", r#"{"0":1.5}"#, "transferred"),
        ("counter", r#""7""#, "a read of a counter returned \"7\", a text, and only integers were added"),
        ("counter", "null", "nothing"),
    ];
    for (workload, json, expected) in unbelieved {
        match value(workload, json) {
            ClientLine::Unbelieved(why) => assert!(why.contains(expected), "{json}: {why}"),
            other => panic!("{workload} {json}: {other:?}"),
        }
    }
}

#[test]
fn what_came_out_of_a_queue_is_said_and_was_put_in() {
    let told = |f: &str, json: &str| {
        let line = format!(r#"{{"id":7,"type":"ok"{json}}}"#);
        reply(&line, 7, &call("queue", f), &meaning(BTreeMap::new()))
    };
    for (f, json, value) in [
        ("dequeue", r#","value":5"#, Value::Int(5)),
        ("dequeue", r#","value":null"#, Value::Nil),
        ("drain", r#","value":[]"#, Value::list([])),
        ("drain", r#","value":[5,6]"#, Value::list([Value::Int(5), Value::Int(6)])),
        ("enqueue", "", Value::Nil),
    ] {
        assert_eq!(told(f, json), answer(CallResult::Ok(value)), "{f} {json}");
    }
    for (f, json) in [("dequeue", ""), ("drain", ""), ("drain", r#","value":null"#), ("drain", r#","value":5"#)] {
        assert!(matches!(told(f, json), ClientLine::Malformed(_)), "{f} {json}");
    }
    for (f, json) in [("dequeue", r#","value":"5""#), ("dequeue", r#","value":[5]"#), ("drain", r#","value":["5"]"#)] {
        match told(f, json) {
            ClientLine::Unbelieved(why) => assert!(why.contains("only integers were enqueued"), "{why}"),
            other => panic!("{f} {json}: {other:?}"),
        }
    }
    let line = r#"{"id":7,"type":"error","error":{"code":"empty"}}"#;
    assert_eq!(reply(line, 7, &call("queue", "dequeue"), &meaning(BTreeMap::new())), answer(CallResult::fail("empty")));
}

#[test]
fn a_workload_with_versions_is_answered_with_them() {
    let meaning = ReplyContext { versions: true, ..meaning(BTreeMap::new()) };
    let asked =
        |f: &str, json: &str| reply(&format!(r#"{{"id":7,"type":"ok"{json}}}"#), 7, &call("sessions", f), &meaning);
    let int = Value::Int;
    assert_eq!(asked("write", r#","value":3"#), answer(CallResult::Ok(int(3))));
    assert_eq!(asked("read", r#","value":[3,5]"#), answer(CallResult::Ok(Value::list([int(3), int(5)]))));
    assert_eq!(asked("read", r#","value":[0,null]"#), answer(CallResult::Ok(Value::list([int(0), Value::Nil]))));
    for (f, json, expected) in [
        ("write", "", "its version, an integer"),
        ("write", r#","value":[3,5]"#, "its version, an integer"),
        ("read", r#","value":5"#, "[version, value]"),
        ("read", r#","value":[null,5]"#, "[version, value]"),
        ("read", r#","value":null"#, "[version, value]"),
    ] {
        let got = asked(f, json);
        assert!(matches!(&got, ClientLine::Unbelieved(why) if why.contains(expected)), "{f} {json}: {got:?}");
    }
    assert!(
        asks_for_versions(&Value::Map([("versions".into(), Value::Bool(true))].into()))
            && !asks_for_versions(&Value::Nil)
    );
}

#[test]
fn a_transaction_is_answered_as_a_whole() {
    let micro_operations = |json: &str| serde_json::from_str::<Value>(json).expect("a value");
    let read = Call { value: micro_operations(r#"[["r",1,null]]"#), ..call("list-append", "txn") };
    let said = |line: &str, call: &Call| reply(line, 7, call, &meaning(BTreeMap::new()));
    let filled = answer(CallResult::Ok(micro_operations(r#"[["r",1,[2]]]"#)));
    assert_eq!(said(r#"{"id":7,"type":"ok","value":[["r",1,[2.0]]]}"#, &read), filled);
    assert!(matches!(said(r#"{"id":7,"type":"ok"}"#, &read), ClientLine::Malformed(_)));
    assert!(matches!(said(r#"{"id":7,"type":"ok","value":[["r",1,["2"]]]}"#, &read), ClientLine::Unbelieved(_)));
    let append = Call { value: micro_operations(r#"[["append",1,2]]"#), ..read };
    assert_eq!(said(r#"{"id":7,"type":"ok"}"#, &append), answer(CallResult::Ok(append.value.clone())));
}

#[test]
fn what_a_client_knows_all_the_same_is_kept() {
    let meaning = meaning(BTreeMap::new());
    let line = r#"{"id":7,"type":"info","error":{"code":"timeout"},"value":[5,3]}"#;
    let known = Value::list([Value::Int(5), Value::Int(3)]);
    let expected = CallResponse { reply: known, ..CallResult::info("timeout").into() };
    assert_eq!(reply(line, 7, &call("set", "add"), &meaning), ClientLine::Response(expected));
    let line = r#"{"id":7,"type":"fail","error":{"code":"aborted"},"value":"2"}"#;
    assert!(matches!(reply(line, 7, &call("register", "read"), &meaning), ClientLine::Unbelieved(_)));
}

#[test]
fn a_clients_own_word_absent_is_no_declaration() {
    let undeclared = meaning(BTreeMap::new());
    for (error, expected) in [
        (r#"{"code":"absent","text":"no stream"}"#, "undeclared absent: no stream"),
        (r#"{"code":"absent"}"#, "undeclared absent"),
        (r#"{"text":"absent: no stream"}"#, "undeclared absent: no stream"),
        (r#"{"code":" absent : x","text":"y"}"#, "undeclared absent : x: y"),
    ] {
        let line = format!(r#"{{"id":7,"type":"fail","error":{error}}}"#);
        let expected = answer(CallResult::fail(expected));
        assert_eq!(reply(&line, 7, &call("set", "read"), &undeclared), expected, "{error}");
    }
    let declared = meaning(BTreeMap::from([("absent".to_owned(), Certainty::Absent)]));
    let line = r#"{"id":7,"type":"fail","error":{"code":"absent","text":"no stream"}}"#;
    let expected = answer(CallResult::fail("absent: absent: no stream"));
    assert_eq!(reply(line, 7, &call("set", "read"), &declared), expected);
    let other = answer(CallResult::fail("undeclared absent: no stream"));
    assert_eq!(reply(line, 7, &call("set", "add"), &declared), other, "an add finds nothing");
}

#[test]
fn a_code_may_say_that_the_object_is_certainly_absent() {
    let meaning = meaning(BTreeMap::from([("js10059".to_owned(), Certainty::Absent)]));
    let error = r#""error":{"code":"js10059","text":"stream not found"}"#;
    for kind in ["fail", "error"] {
        let line = format!(r#"{{"id":7,"type":"{kind}",{error}}}"#);
        let expected = answer(CallResult::fail("absent: js10059: stream not found"));
        assert_eq!(reply(&line, 7, &call("set", "read"), &meaning), expected);
    }
    let line = format!(r#"{{"id":7,"type":"info",{error}}}"#);
    let unknown = answer(CallResult::info("js10059: stream not found"));
    assert_eq!(reply(&line, 7, &call("set", "read"), &meaning), unknown, "the client does not know");
    let line = format!(r#"{{"id":7,"type":"error",{error}}}"#);
    assert_eq!(reply(&line, 7, &call("set", "add"), &meaning), unknown, "an add finds nothing");
}

#[test]
fn answers_mean_what_the_table_says() {
    let own = BTreeMap::from([("READONLY".to_owned(), Certainty::Fail), ("aborted".to_owned(), Certainty::Info)]);
    let own = meaning(own);
    let cases = [
        (r#"{"id":7,"type":"ok"}"#, CallResult::Ok(Value::Nil)),
        (r#"{"id":7,"type":"ok","value":9}"#, CallResult::Ok(Value::Int(9))),
        (r#"{"id":7,"type":"ok","value":[5,17]}"#, CallResult::Ok(Value::list([Value::Int(5), Value::Int(17)]))),
        (r#"{"id":7,"type":"ok","value":null}"#, CallResult::Ok(Value::Nil)),
        (r#"{"id":7,"type":"fail"}"#, CallResult::fail("no error given")),
        (r#"{"id":7,"type":"fail","error":{"code":"odd"}}"#, CallResult::fail("odd")),
        (r#"{"id":7,"type":"fail","error":{"code":"timeout","text":"2 s"}}"#, CallResult::info("timeout: 2 s")),
        (r#"{"id":7,"type":"info","error":{"code":"refused"}}"#, CallResult::info("refused")),
        (r#"{"id":7,"type":"error","error":{"code":"refused"}}"#, CallResult::fail("refused")),
        (r#"{"id":7,"type":"error","error":{"code":"odd"}}"#, CallResult::info("odd")),
        (r#"{"id":7,"type":"error"}"#, CallResult::info("no error given")),
        (r#"{"id":7,"type":"error","error":{"code":"READONLY"}}"#, CallResult::fail("READONLY")),
        (r#"{"id":7,"type":"error","error":{"code":"unavailable"}}"#, CallResult::info("unavailable")),
        (r#"{"id":7,"type":"fail","error":{"code":"unavailable"}}"#, CallResult::info("unavailable")),
        (r#"{"id":7,"type":"fail","error":{"code":"aborted"}}"#, CallResult::info("aborted")),
    ];
    for (line, expected) in cases {
        assert_eq!(reply(line, 7, &call("set", "add"), &own), answer(expected), "{line}");
    }
}

#[test]
fn what_means_nothing_is_malformed_and_says_what_was_expected() {
    let cases = [
        ("Traceback", "not JSON"),
        ("7", "\"id\":7"),
        (r#"{"type":"ok"}"#, "\"id\":7"),
        (r#"{"id":"7","type":"ok"}"#, "\"id\":7"),
        (r#"{"id":8,"type":"ok"}"#, "\"id\":7"),
        (r#"{"id":7,"type":"okay"}"#, "ok, fail, info or error"),
        (r#"{"id":7}"#, "ok, fail, info or error"),
        (r#"{"id":7,"type":"fail","error":"x"}"#, "\"code\""),
        (r#"{"id":7,"type":"ok"}"#, "expected \"value\""),
        (r#"{"id":7,"type":"ok","value":"1,2"}"#, "expected a list"),
    ];
    for (line, expected) in cases {
        match reply(line, 7, &call("set", "read"), &meaning(BTreeMap::new())) {
            ClientLine::Malformed(why) => assert!(why.contains(expected), "{line}: {why}"),
            other => panic!("{line}: {other:?}"),
        }
    }
    for line in [r#"{"id":7,"type":"ok"}"#, r#"{"id":7,"type":"ok","value":null}"#] {
        match reply(line, 7, &call("unique-ids", "generate"), &meaning(BTreeMap::new())) {
            ClientLine::Malformed(why) => assert!(why.contains("expected the id as \"value\""), "{why}"),
            other => panic!("{line}: {other:?}"),
        }
    }
    for rows in ["null", "[7]", "[[7]]", r#"[["7",1]]"#, "[[7,null]]"] {
        match value("monotonic", rows) {
            ClientLine::Malformed(why) => assert!(why.contains("expected a list of rows"), "{why}"),
            other => panic!("{rows}: {other:?}"),
        }
    }
    match value("bank", "[1,2]") {
        ClientLine::Malformed(why) => assert!(why.contains("expected an object of all balances"), "{why}"),
        other => panic!("{other:?}"),
    }
    for f in ["write", "add"] {
        match reply(r#"{"id":7,"type":"ok","value":false}"#, 7, &call("set", f), &meaning(BTreeMap::new())) {
            ClientLine::Malformed(why) => assert!(why.contains("expected \"fail\""), "{why}"),
            other => panic!("{f}: {other:?}"),
        }
    }
    match reply(r#"{"id":7,"type":"ok","value":false}"#, 7, &call("register", "cas"), &meaning(BTreeMap::new())) {
        ClientLine::Malformed(why) => assert!(why.contains("precondition"), "{why}"),
        other => panic!("a compare-and-set that may not have happened: {other:?}"),
    }
    assert_eq!(reply(r#"{"id":6,"type":"ok"}"#, 7, &call("set", "read"), &meaning(BTreeMap::new())), ClientLine::Late);
}

#[test]
fn a_replica_shows_a_number_a_value_or_elements_alone_or_with_a_clock() {
    for held in ["null", "7", "[]", "[1,2]", r#"{"value":[1,2],"clock":[3,4]}"#, r#"{"value":null,"clock":"x"}"#] {
        let held_value: Value = serde_json::from_str(held).expect("a value");
        assert_eq!(value("crdt", held), answer(CallResult::Ok(held_value)), "{held}");
    }
    for held in [r#"{"value":1}"#, r#"{"a":1}"#] {
        match value("crdt", held) {
            ClientLine::Malformed(why) => assert!(why.contains("what the replica holds"), "{why}"),
            other => panic!("{held}: {other:?}"),
        }
    }
    for held in [r#""7""#, r#"[1,"2"]"#, r#"{"value":[null],"clock":1}"#] {
        match value("crdt", held) {
            ClientLine::Unbelieved(why) => assert!(why.contains("a read of a replica returned"), "{why}"),
            other => panic!("{held}: {other:?}"),
        }
    }
}

#[test]
fn init_must_be_answered_in_form() {
    let wanted: [Arc<str>; 2] = ["add".into(), "read".into()];
    assert_eq!(check_init_ok(r#"{"type":"init_ok","version":1,"functions":["read","add","x"]}"#, &wanted), Ok(false));
    let setup = r#"{"type":"init_ok","version":1,"functions":["read","add","setup"]}"#;
    assert_eq!(check_init_ok(setup, &wanted), Ok(true), "it wants to prepare the target");
    let cases = [
        ("hello", "not JSON"),
        (r#"{"type":"init_ok","version":2,"functions":[]}"#, "version 2"),
        (r#"{"type":"init_ok","version":1}"#, "names no functions"),
        (r#"{"type":"init_ok","version":1,"functions":["add"]}"#, "does not support read"),
        (r#"{"type":"error","error":{"code":"refused","text":"no server"}}"#, "refused: no server"),
        ("{}", "expected"),
    ];
    for (line, expected) in cases {
        let why = match check_init_ok(line, &wanted).unwrap_err() {
            InitRefusal::Answered(why) | InitRefusal::Malformed(why) => why,
        };
        assert!(why.contains(expected), "{line}: {why}");
    }
}
