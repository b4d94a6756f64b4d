//! What is written is read as the same history.
use crate::history::export::{Keys, write_edn, write_jsonl};
use crate::history::{Format, History, Outcome, ReadOptions, read};
use crate::random::Rng;
use crate::testing::history;
use crate::value::Value;

/// Everything about the operations but the numbers of their records.
fn told(history: &History) -> Vec<String> {
    let ops = history.ops();
    let told = ops.iter().map(|op| {
        let name = |id| history.name(id);
        let (error, times) = (op.error.map(name), (op.call_time, op.reply_time));
        let names = (name(op.node), name(op.workload), name(op.function), op.settle);
        assert!(op.outcome == Outcome::Ok || op.output.is_nil(), "#{}", op.call);
        format!(
            "{} {names:?} {} {} {:?} {} {error:?} {times:?}",
            op.process, op.key, op.input, op.outcome, op.completion_value
        )
    });
    told.collect()
}

/// Which of calls and replies come in which order.
fn order(history: &History) -> Vec<usize> {
    let ends = history.ops().iter().flat_map(|op| [op.call, op.reply]).collect::<Vec<_>>();
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by_key(|at| ends[*at]);
    order
}

fn jsonl(history: &History) -> (String, History) {
    let mut text = Vec::new();
    write_jsonl(history, &mut text).expect("written to memory");
    let text = String::from_utf8(text).expect("text");
    let again = read(Format::Jsonl, text.as_bytes(), &ReadOptions::default());
    let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, again)
}

fn edn(history: &History, keys: Keys) -> (String, History) {
    let mut text = Vec::new();
    write_edn(history, keys, &mut text).expect("written to memory");
    let text = String::from_utf8(text).expect("text");
    let options = ReadOptions { independent: Some(keys == Keys::Pair), ..ReadOptions::default() };
    let again = read(Format::JepsenEdn, text.as_bytes(), &options);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, again)
}

/// A random history with keys, transactions, odd texts and every outcome.
fn random(seed: u64) -> History {
    let mut rng = Rng::new(seed);
    let mut lines = String::new();
    let mut free: Vec<u64> = (0..4).collect();
    let mut open: Vec<(u64, usize)> = Vec::new();
    let mut next = 4;
    let calls = [
        (r#""f":"write","key":KEY,"value":5"#, "null"),
        (r#""f":"read","key":KEY,"value":null"#, r#"[{"a":[1,null]},"b\"\\\n\u0007é"]"#),
        (r#""f":"cas","key":KEY,"value":[1,{"2":true}]"#, "null"),
        (r#""f":"txn","value":[["append",1,2],["r",1,null]]"#, r#"[["append",1,2],["r",1,[2]]]"#),
        (r#""f":"transfer","value":{"from":1,"to":2,"a b":"x"}"#, "null"),
        (r#""f":"read","value":null,"settle":true"#, "-9223372036854775808"),
    ];
    for _ in 0..rng.below(30) {
        if rng.percent(50) && !free.is_empty() {
            let process = free.swap_remove(rng.below(free.len() as u64) as usize);
            let call = rng.below(calls.len() as u64) as usize;
            let key = *rng.pick(&["1", "\"k\"", "[1,\"x\"]"]);
            let node = rng.below(3);
            lines.push_str(&format!(
                "{{\"type\":\"invoke\",\"process\":{process},\"node\":\"n{node}\",\"workload\":\"w{call}\",{}}}\n",
                calls[call].0.replace("KEY", key)
            ));
            open.push((process, call));
        } else if !open.is_empty() {
            let (process, call) = open.swap_remove(rng.below(open.len() as u64) as usize);
            // Also a call that failed or is unknown may tell something.
            let told = match rng.percent(50) && calls[call].1 != "null" {
                true => format!(",\"value\":{}", calls[call].1),
                false => String::new(),
            };
            let reply = match rng.below(4) {
                0 => {
                    free.push(process);
                    format!("\"fail\",\"error\":\"no such\\nthing\"{told}")
                }
                1 => {
                    free.push(next);
                    next += 1;
                    format!("\"info\",\"error\":\"timeout\"{told}")
                }
                _ => {
                    free.push(process);
                    format!("\"ok\",\"value\":{}", calls[call].1)
                }
            };
            lines.push_str(&format!("{{\"type\":{reply},\"process\":{process}}}\n"));
        }
    }
    history(&lines)
}

#[test]
fn random_histories_survive_both() {
    for seed in 0..300 {
        let history = random(seed);
        let (text, again) = jsonl(&history);
        assert_eq!((told(&again), order(&again)), (told(&history), order(&history)), "seed {seed}\n{text}");
        for keys in [Keys::Field, Keys::Pair] {
            let mixed =
                history.ops().iter().any(|op| op.key.is_nil()) && history.ops().iter().any(|op| !op.key.is_nil());
            if keys == Keys::Pair && (mixed || history.ops().iter().any(|op| op.key.is_nil())) {
                continue;
            }
            let (text, again) = edn(&history, keys);
            assert_eq!((told(&again), order(&again)), (told(&history), order(&history)), "seed {seed}\n{text}");
        }
    }
}

#[test]
fn keywords_stand_where_jepsen_has_them() {
    let history = history(
        r#"{"type":"invoke","process":0,"f":"txn","key":7,"value":[["append","x",1],["r","x",null]]}
           {"type":"ok","process":0,"value":[["append","x",1],["r","x",[1]]]}
           {"type":"invoke","process":0,"f":"cas","value":[1,2]}
           {"type":"ok","process":0,"value":false}"#,
    );
    let (text, _) = edn(&history, Keys::Field);
    let lines: Vec<&str> = text.lines().collect();
    let wanted = "{:index 0, :time 0, :type :invoke, :process 0, :f :txn, :key 7, :value [[:append \"x\" 1] [:r \"x\" nil]], \
                  :node \"n1\", :workload :register}";
    assert_eq!(lines[0], wanted);
    assert!(lines[1].contains(":type :ok, :process 0, :f :txn, :key 7, :value [[:append \"x\" 1] [:r \"x\" [1]]]}"));
    assert!(lines[3].contains(":type :fail, :process 0, :f :cas, :value [1 2]"), "{}", lines[3]);
    let mut pairs = Vec::new();
    write_edn(&history, Keys::Pair, &mut pairs).expect("written to memory");
    assert!(String::from_utf8(pairs).expect("text").contains(":value [7 [[:append \"x\" 1] [:r \"x\" nil]]]"));
}

#[test]
fn faults_roles_phases_and_notes_survive() {
    let before = history(
        r#"{"type":"start","nodes":["n1","n2"]}
           {"type":"fault","fault":0,"kind":"partition","step":"planned","what":"partition leader"}
           {"type":"phase","phase":"load"}
           {"type":"fault","fault":0,"kind":"partition","step":"resolved","what":"n1 | n2","nodes":["n1"],"cut":[["n1","n2"]]}
           {"type":"invoke","process":0,"f":"write","value":1}
           {"type":"fault","fault":0,"kind":"partition","step":"begun","detail":["one"]}
           {"type":"note","node":"n1","text":"hello"}
           {"type":"fault","fault":0,"kind":"partition","step":"proven"}
           {"type":"role","node":"n1","term":3}
           {"type":"ok","process":0}
           {"type":"fault","fault":0,"kind":"partition","step":"self-healed","nodes":["n1"],"ended":[3,4]}
           {"type":"fault","fault":0,"kind":"partition","step":"unhealed","detail":["two"]}
           {"type":"end"}"#,
    );
    let (text, after) = jsonl(&before);
    assert_eq!(told(&after), told(&before));
    let json = |history: &History| {
        let faults = serde_json::to_string(&history.faults).expect("JSON");
        (faults, history.roles.clone(), history.phases.clone(), history.notes.clone(), history.complete)
    };
    let (mut wanted, got) = (json(&before), json(&after));
    // Notes that say that a record was not kept stand where events of the fault stood.
    wanted.3.retain(|note| note.2 != "a record that was not kept");
    assert_eq!(got.0, wanted.0, "{text}");
    assert_eq!((got.1, got.2, got.4), (wanted.1, wanted.2, wanted.4), "{text}");
    assert!(got.3.iter().any(|note| note.2 == "hello"));
    assert_eq!(after.ops().at(0).call, before.ops().at(0).call);
    assert_eq!((after.nodes, after.wall), (before.nodes, before.wall));
}

#[test]
fn sessions_without_an_order_stay_so() {
    let before = read(Format::Plume, &b"w 0 1\n=====\nr 0 1\n"[..], &ReadOptions::default()).expect("sessions");
    let (_, after) = jsonl(&before);
    assert!(!after.realtime);
    assert_eq!(told(&after), told(&before));
}

#[test]
fn the_answer_to_a_write_of_nil_does_not_become_its_argument() {
    for function in ["write", "append", "put", "enqueue", "push"] {
        let lines = format!(
            r#"{{"type":"invoke","process":0,"f":"{function}","key":"x","value":null}}
{{"type":"ok","process":0,"value":true}}
{{"type":"invoke","process":0,"f":"read","key":"x","value":null}}
{{"type":"ok","process":0,"value":5}}
"#
        );
        let history = history(&lines);
        assert_eq!(history.ops().at(0).output.as_bool(), Some(true), "{function}");
        for keys in [Keys::Field, Keys::Pair] {
            let (text, again) = edn(&history, keys);
            let read: Vec<_> = again.ops().iter().map(|op| (op.input.to_value(), op.output.to_value())).collect();
            let (nil, five) = (Value::Nil, Value::Int(5));
            assert_eq!(read, [(nil.clone(), nil.clone()), (nil, five)], "{text}");
        }
    }
}

#[test]
fn what_processes_of_the_target_did_is_no_client_in_jepsens_form() {
    let before = history(
        r#"{"type":"process","node":"n1","step":"watched"}
{"type":"invoke","process":7,"f":"write","value":1}
{"type":"ok","process":7}
{"type":"process","node":"n1","process":"etcd","step":"ended","how":"signal ABRT"}
"#,
    );
    let (text, after) = edn(&before, Keys::Field);
    assert!(text.contains(":process :target"), "{text}");
    assert_eq!(after.ops().iter().count(), 1, "{text}");
}
