//! Jepsen, Porcupine, Plume: what their files mean.
use crate::history::{Format, History, HistoryError, Outcome, ReadOptions, read};
use crate::value::Value;

pub(super) fn with(format: Format, text: &str, options: &ReadOptions) -> Result<History, HistoryError> {
    read(format, text.as_bytes(), options)
}

pub(super) fn history(format: Format, text: &str) -> History {
    with(format, text, &ReadOptions::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(super) fn error(format: Format, text: &str) -> String {
    with(format, text, &ReadOptions::default()).expect_err(text).to_string()
}

/// The operations in words: process, function, key (where there is one), argument, outcome, reply.
pub(super) fn told(history: &History) -> Vec<String> {
    let told = history.ops().iter().map(|op| {
        let key = if op.key.is_nil() { String::new() } else { format!(" {}", op.key) };
        let f = history.name(op.function);
        let reply = if op.outcome == Outcome::Ok { format!(" {}", op.output) } else { String::new() };
        format!("{} {f}{key} {} {:?}{reply}", op.process, op.input, op.outcome)
    });
    told.collect()
}

const EDN: &str = r#"
; a comment
{:type :invoke, :f :write, :value 1, :process 0, :time 10, :index 0}
#jepsen.history.Op{:index 1, :time 5, :type :invoke, :process 1, :f :read, :value nil}
{:type :info, :f :start-partition, :value {"n1" #{"n2"}}, :process :nemesis, :time 12}
{:type :ok, :f :write, :value 1, :process 0, :time 20 :exception {:via [1 2 {3 4}]}}
{:type :ok, :f :read, :value 1, :process 1, :time 21, :node "n2", :final? true}
{:type :invoke :f :cas :value [1 2] :process 0}
#_ {:type :invoke :f :never}
{:type :fail :f :cas :value [1 2] :process 0 :error [:mismatch 1]}
{:type :invoke :f :write :value 3 :process 0}
{:type :info :f :write :value 3 :process 0 :error :timeout}
{:type :invoke :f :read :value nil :process 1 :node "n2" :final? true}
"#;

#[test]
fn jepsens_operations() {
    let history = history(Format::JepsenEdn, EDN);
    let wanted = ["0 write 1 Ok nil", "1 read nil Ok 1", "0 cas [1, 2] Fail", "0 write 3 Info", "1 read nil Info"];
    assert_eq!(told(&history), wanted);
    let ops: Vec<_> = history.ops().iter().collect();
    assert_eq!(ops.iter().map(|op| op.call).collect::<Vec<_>>(), [0, 1, 5, 7, 9]);
    assert_eq!((ops[0].reply, ops[1].reply, ops[1].call_time, ops[1].reply_time), (3, 4, 10, 21));
    assert_eq!(ops[2].error.map(|id| history.name(id)), Some("[\"mismatch\", 1]"));
    assert!(ops[4].settle && !ops[0].settle);
    assert_eq!(history.nodes, ["n2"]);
    assert_eq!(history.name(ops[0].workload), "register");
    assert_eq!(history.notes, [(12, String::new(), "nemesis: start-partition {n1: [\"n2\"]}".to_owned())]);
}

#[test]
fn lists_and_json_say_the_same() {
    let lines = history(Format::JepsenEdn, EDN);
    for (open, close) in [("[", "]"), ("(", ")"), ("#history [", "]")] {
        let text = format!("{open}{EDN}{close} ; the end\n");
        assert_eq!(told(&history(Format::JepsenEdn, &text)), told(&lines));
    }
    let json = [
        r#"{"type":"invoke","f":"write","value":1,"process":0,"time":10,"index":0}"#,
        r#"{"index":1,"time":5,"type":"invoke","process":1,"f":"read","value":null}"#,
        r#"{"type":"info","f":"start","value":null,"process":"nemesis"}"#,
        r#"{"type":"ok","f":"write","value":1,"process":0,"\u0074ime":20,"more":{"a":[{}]}}"#,
        r#"{"type":"ok","f":"read","value":1,"process":1}"#,
        r#"{"type":"invoke","f":"cas","value":[1,2],"process":0}"#,
        r#"{"type":"fail","f":"cas","value":[1,2],"process":0}"#,
        r#"{"type":"invoke","f":"write","value":3,"process":0}"#,
        r#"{"type":"info","f":"write","value":3,"process":0}"#,
        r#"{"type":"invoke","f":"read","value":null,"process":1}"#,
    ];
    assert_eq!(told(&history(Format::JepsenJson, &json.join("\n"))), told(&lines));
    assert_eq!(told(&history(Format::JepsenJson, &format!("[{}\n]\n", json.join(",\n")))), told(&lines));
}

#[test]
fn keys_by_field_by_pair_and_by_tag() {
    let pairs = r#"{:type :invoke :f :read :value [7 nil] :process 0}
{:type :ok :f :read :value [7 5] :process 0}
{:type :invoke :f :write :value [8 1] :process 0}
{:type :ok :f :write :value [8 1] :process 0}"#;
    let wanted = ["0 read 7 nil Ok 5", "0 write 8 1 Ok nil"];
    let options = ReadOptions { independent: Some(true), ..ReadOptions::default() };
    assert_eq!(told(&with(Format::JepsenEdn, pairs, &options).expect("pairs")), wanted);
    let tagged = pairs.replace(":value [", ":value #clojure.lang.MapEntry [");
    assert_eq!(told(&history(Format::JepsenEdn, &tagged)), wanted);
    let fields = pairs.replace(":value [7 ", ":key 7 :value ").replace(":value [8 ", ":key 8 :value ").replace(']', "");
    assert_eq!(told(&history(Format::JepsenEdn, &fields)), wanted);
    let other = pairs.replace(":ok :f :read :value [7", ":ok :f :read :value [9");
    let error = with(Format::JepsenEdn, &other, &options).expect_err("another key").to_string();
    assert!(error.contains("line 2") && error.contains("another key"), "{error}");
}

#[test]
fn replies_are_not_arguments() {
    let text = r#"{:type :invoke :f :txn :value [[:w 1 2] [:r 1 nil]] :process 0}
{:type :ok :f :txn :value [[:w 1 2] [:r 1 2]] :process 0}
{:type :invoke :f :txn :value [[:w 1 3]] :process 0}
{:type :ok :f :txn :value [[:w 1 3]] :process 0}
{:type :invoke :f :enqueue :process 0}
{:type :ok :f :enqueue :value 9 :process 0}
{:type :invoke :f :dequeue :process 0}
{:type :ok :f :dequeue :value 9 :process 0}
{:type :invoke :f :acquire :process 0}
{:type :ok :f :acquire :value 33 :process 0}
{:type :invoke :f :write :process 0}
{:type :info :f :write :value 4 :process 0}"#;
    let wanted = [
        "0 txn [[\"w\", 1, 2], [\"r\", 1, nil]] Ok [[\"w\", 1, 2], [\"r\", 1, 2]]",
        "0 txn [[\"w\", 1, 3]] Ok [[\"w\", 1, 3]]",
        "0 enqueue 9 Ok nil",
        "0 dequeue nil Ok 9",
        "0 acquire nil Ok 33",
        "0 write 4 Info",
    ];
    let history = history(Format::JepsenEdn, text);
    assert_eq!(told(&history), wanted);
    // Calls of many kinds mean nothing together.
    assert_eq!(history.name(history.ops().at(0).workload), "calls");
}

#[test]
fn calls_without_a_workload_are_named_as_they_are_judged() {
    let cases = [
        ("[[:w 1 2]]", ":txn", "rw-register"),
        ("[[:append 1 2]]", ":txn", "list-append"),
        ("1", ":push", "stack"),
        ("nil", ":extract", "priority-queue"),
        ("nil", ":acquire", "lock"),
        ("1", ":write", "register"),
        ("nil", ":read", "register"),
        ("1", ":receive", "calls"),
    ];
    for (value, f, wanted) in cases {
        let text = format!("{{:type :invoke :f {f} :value {value} :process 0}}\n{{:type :ok :f {f} :process 0}}");
        let history = history(Format::JepsenEdn, &text);
        let fits = crate::inference::infer(&history, None);
        assert_eq!((fits.len(), fits[0].workload), (1, wanted), "{f}");
        assert_eq!(fits[0].candidates.len() == 1, wanted != "calls" && f != ":read", "{fits:?}");
    }
}

#[test]
fn a_process_after_an_info_is_a_new_one() {
    let text = "{:type :invoke :f :write :value 1 :process 3}\n{:type :info :f :write :value 1 :process 3}
{:type :invoke :f :read :process 3}\n{:type :ok :f :read :value 1 :process 3}";
    let history = history(Format::JepsenEdn, text);
    assert_eq!(told(&history), ["3 write 1 Info", "4294967296 read nil Ok 1"]);
    assert_eq!((history.sessions(), history.notes.len()), (2, 1));
    let options = ReadOptions { strict: true, ..ReadOptions::default() };
    let error = with(Format::JepsenEdn, text, &options).expect_err("strict").to_string();
    assert!(error.starts_with("line 3, column 1: the recording is broken at record 2"), "{error}");
}

#[test]
fn broken_recordings_have_a_place() {
    let invoke = "{:type :invoke :f :read :process 0}\n";
    let cases = [
        (format!("{invoke}  {invoke}"), "line 2, column 3: the recording is broken at record 1: process 0 calls while"),
        (
            "{:type :ok :f :read :process 0}".to_owned(),
            "line 1, column 1: the recording is broken at record 0: process 0 completes a call it never",
        ),
        (format!("{invoke}{{:type :ok :f :write :process 0}}"), "called read and completes write"),
        (
            format!("{invoke}{{:type nil}}"),
            "line 2, column 8 of the history is not a record: expected one of the types",
        ),
        (format!("{invoke}{{:f :read}}"), "line 2, column 1 of the history is not a record: expected an operation"),
        (format!("{invoke}{{:type :ok"), "line 2, column 11"),
        ("[{:type :invoke :f :read :process 0}".to_owned(), "expected the rest of the list"),
        (
            "[{:type :invoke :f :read :process 0}] 5".to_owned(),
            "column 39 of the history is not a record: expected the end",
        ),
        ("{:type :invoke :f :read :process -1}".to_owned(), "a process is 0 or more, not -1"),
        ("7".to_owned(), "expected an operation: a map with type"),
    ];
    for (text, wanted) in cases {
        let error = error(Format::JepsenEdn, &text);
        assert!(error.contains(wanted), "{text}\n{error}");
    }
    assert!(error(Format::JepsenJson, "[{\"type\":\"invoke\"} {\"type\":\"ok\"}]").contains("a comma or ]"));
}

#[test]
fn etcds_log() {
    let text = "WARN  something else\nINFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 1\t:invoke\t:write\t4
INFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\nINFO  jepsen.util - 1\t:info\t:write\t:timed-out\nINFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 0\t:fail\t:read\t:timed-out\n";
    let log = history(Format::PorcupineEtcd, text);
    assert_eq!(told(&log), ["0 cas [1, 2] Ok false", "1 write 4 Info", "0 read nil Fail"]);
    let wrong = error(Format::PorcupineEtcd, "INFO  jepsen.util - 0\t:invoke\t:pop\tnil");
    assert!(wrong.contains("line 1, column 31") && wrong.contains(":read, :write or :cas"), "{wrong}");
}

#[test]
fn sessions_of_transactions() {
    let text = "w 0 1\nr 1 nil\n-----\nR(0, 1)\n=====\nr 0 1\n\n";
    let wanted = [
        "0 txn [[\"w\", 0, 1], [\"r\", 1, nil]] Ok [[\"w\", 0, 1], [\"r\", 1, nil]]",
        "0 txn [[\"r\", 0, nil]] Ok [[\"r\", 0, 1]]",
        "1 txn [[\"r\", 0, nil]] Ok [[\"r\", 0, 1]]",
    ];
    let sessions = history(Format::Plume, text);
    assert_eq!(told(&sessions), wanted);
    assert!(!sessions.realtime);
    assert_eq!(sessions.ops().at(0).call, 1);
    let lines = "w(0,1,5,0)\nr(1,0,5,0)\nr(0,1,6,2)\nr(0,1,5,1)\nw(9,9,5,-1)\nw(3,0,5,1)\nr(3,0,6,2)\n";
    let wanted = [
        "5 txn [[\"w\", 0, 1], [\"r\", 1, nil]] Ok [[\"w\", 0, 1], [\"r\", 1, nil]]",
        "6 txn [[\"r\", 0, nil], [\"r\", 3, nil]] Ok [[\"r\", 0, 1], [\"r\", 3, 0]]",
        "5 txn [[\"r\", 0, nil], [\"w\", 3, 0]] Ok [[\"r\", 0, 1], [\"w\", 3, 0]]",
        "5 txn [[\"w\", 9, 9]] Fail",
    ];
    assert_eq!(told(&history(Format::Plume, lines)), wanted);
    for text in ["x 1 2", "w 1", "w 1 2 3", "w(1,2", "w(1,2,a,3)", "w(1,2,3)", "==-"] {
        assert!(error(Format::Plume, text).contains("line 1, column"), "{text}");
    }
}

#[test]
fn formats_are_told_apart() {
    let cases = [
        ("", Some(Format::Jsonl)),
        (r#"{"type":"start","index":0,"time":0,"version":1,"nodes":[],"wall":""}"#, Some(Format::Jsonl)),
        (
            r#"{"type":"invoke","index":0,"time":0,"worker":0,"process":0,"node":"n1","workload":"register","f":"read"}"#,
            Some(Format::Jsonl),
        ),
        (r#"{"type": "phase", "index": 0}"#, Some(Format::Jsonl)),
        (r#"{"workload":"w", "worker": 0, "type":"invoke"}"#, Some(Format::Jsonl)),
        (r#"[{"type":"invoke","f":"read"}]"#, Some(Format::JepsenJson)),
        (r#"{"type":"invoke","f":"read","value":null,"process":0}"#, Some(Format::JepsenJson)),
        (EDN, Some(Format::JepsenEdn)),
        ("[{:type :invoke}]", Some(Format::JepsenEdn)),
        ("{:process 0, :type :invoke, :f :get, :key \"1\", :value nil}", Some(Format::PorcupineKv)),
        ("{:f :txn :value [[:append 1 2]] :key 1}", Some(Format::JepsenEdn)),
        ("INFO  jepsen.util - 0\t:invoke\t:read\tnil", Some(Format::PorcupineEtcd)),
        ("w 1 2\n", Some(Format::Plume)),
        ("r(1,2,3,4)", Some(Format::Plume)),
        ("=====\n", Some(Format::Plume)),
        ("hello", None),
        ("<xml>", None),
    ];
    for (text, format) in cases {
        assert_eq!(Format::detect(text.as_bytes()), format, "{text}");
    }
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    assert!("edn".parse::<Format>().is_err());
}

/// What each completion carried, and what of it a checker may believe as a reply.
fn carried(history: &History) -> Vec<String> {
    let ops = history.ops().iter();
    ops.map(|op| format!("{:?} {} {}", op.outcome, op.completion_value, op.output)).collect()
}

#[test]
fn completions_keep_what_they_carry_and_only_ok_is_a_reply() {
    let edn = r#"
        {:type :invoke, :process 0, :f :txn, :value [[:send 1 "a"] [:poll]]}
        {:type :info, :process 0, :f :txn, :value [[:send 1 [4 "a"]] [:poll]], :error :timeout}
        {:type :invoke, :process 1, :f :poll, :value [[:poll]]}
        {:type :fail, :process 1, :f :poll, :value [[:poll {1 [[4 "a"]]}]]}
        {:type :invoke, :process 1, :f :read, :value nil}
        {:type :fail, :process 1, :f :read, :value 7}
        {:type :invoke, :process 1, :f :poll, :value [[:poll]]}
        {:type :info, :process 1, :f :poll, :value [[:poll]]}
        {:type :invoke, :process 2, :f :write, :value nil}
        {:type :info, :process 2, :f :write, :value 3}"#;
    let history = history(Format::JepsenEdn, edn);
    let wanted = [
        r#"Info [["send", 1, [4, "a"]], ["poll"]] nil"#,
        r#"Fail [["poll", {1: [[4, "a"]]}]] nil"#,
        "Fail 7 nil",
        // A repeated argument is no news.
        "Info nil nil",
        // Here the completion tells the argument.
        "Info nil nil",
    ];
    assert_eq!(carried(&history), wanted);
    assert_eq!(history.ops().at(4).input, Value::Int(3));
    let json = r#"[{"type":"invoke","process":0,"f":"dequeue","value":null},{"type":"info","process":0,"f":"dequeue","value":5},
        {"type":"invoke","process":1,"f":"add","key":"k","value":1},{"type":"fail","process":1,"f":"add","key":"k","value":[1,2]}]"#;
    assert_eq!(carried(&self::history(Format::JepsenJson, json)), ["Info 5 nil", "Fail [1, 2] nil"]);
    // Behind a key, too.
    let independent =
        r#"{:type :invoke, :process 0, :f :read, :value [9 nil]} {:type :fail, :process 0, :f :read, :value [9 5]}"#;
    let options = ReadOptions { independent: Some(true), ..ReadOptions::default() };
    let history = with(Format::JepsenEdn, independent, &options).expect("read");
    assert_eq!(carried(&history), ["Fail 5 nil"]);
}

#[test]
fn a_flag_beside_the_keys_of_an_assign_is_part_of_its_argument() {
    let edn = r#"
        {:type :invoke, :process 0, :f :assign, :value [1 2], :seek-to-beginning? true}
        {:type :ok, :process 0, :f :assign, :value [1 2], :seek-to-beginning? true}
        {:type :invoke, :process 0, :f :assign, :value [1 2], :seek-to-beginning? false}"#;
    let inputs: Vec<String> = history(Format::JepsenEdn, edn).ops().iter().map(|op| op.input.to_string()).collect();
    assert_eq!(inputs, [r#"{keys: [1, 2], seek-to-beginning?: true}"#, "[1, 2]"]);
}
