//! Values that are keys with their values although the file does not say so: refused, and near misses are not.
use super::foreign::{error, history, told, with};
use crate::history::{Format, HistoryError, ReadOptions};

/// Calls of their own processes, one after the other: outcome, function, argument, reply; as EDN and as JSON.
fn texts(lines: &[(&str, &str, &str, &str)]) -> [(Format, String); 2] {
    let (mut edn, mut json) = (String::new(), String::new());
    for (process, (outcome, function, input, output)) in lines.iter().enumerate() {
        for (kind, value) in [("invoke", input), (outcome, output)] {
            edn += &format!("{{:type :{kind}, :process {process}, :f :{function}, :value {value}}}\n");
            let value = value.replace(':', "").replace("nil", "null").replace(' ', ",");
            let value = ["r", "w", "append"]
                .iter()
                .fold(value, |text, f| text.replace(&format!("[{f},"), &format!("[\"{f}\",")));
            json += &format!("{{\"type\":\"{kind}\",\"process\":{process},\"f\":\"{function}\",\"value\":{value}}}\n");
        }
    }
    [(Format::JepsenEdn, edn), (Format::JepsenJson, json)]
}

/// Refused at this line, and read in either meaning once it is told.
fn refused(lines: &[(&str, &str, &str, &str)], line: u64, wanted: &str) {
    for (format, text) in texts(lines) {
        let Err(error) = with(format, &text, &ReadOptions::default()) else { panic!("{format}: {text}") };
        let HistoryError::AmbiguousKeys { line: own, column: 1, seen } = &error else {
            panic!("{format}: {error}\n{text}")
        };
        assert!(*own == line && seen.contains(wanted), "{format}: {error}\n{text}");
        assert!(error.to_string().contains("jepsen.independent"), "{error}");
        for independent in [true, false] {
            let options = ReadOptions { independent: Some(independent), ..ReadOptions::default() };
            let history = with(format, &text, &options).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(history.ops().iter().all(|op| op.key.is_nil()), !independent, "{text}");
        }
    }
}

fn plain(lines: &[(&str, &str, &str, &str)]) {
    for (format, text) in texts(lines) {
        let history = history(format, &text);
        assert!(history.ops().len() == lines.len() && history.ops().iter().all(|op| op.key.is_nil()), "{text}");
    }
}

const WRITE: (&str, &str, &str, &str) = ("ok", "write", "[7 1]", "[7 1]");
const CAS: (&str, &str, &str, &str) = ("ok", "cas", "[7 [1 2]]", "[7 [1 2]]");

#[test]
fn an_answered_read_that_carries_its_key_is_certain() {
    refused(&[("ok", "read", "[7 nil]", "[7 5]")], 2, "process 0 called read with [7, nil] and was answered [7, 5]");
    refused(&[WRITE, WRITE, ("ok", "read", "[7 nil]", "[7 nil]")], 6, "process 2 called read");
    // Late, and beside calls that carry no key.
    let mut late = vec![WRITE; 300];
    late.extend([
        ("ok", "compact", "9", "9"),
        ("fail", "read", "[8 nil]", "[8 nil]"),
        ("ok", "read", "[7 nil]", "[7 1]"),
    ]);
    for (format, text) in texts(&late) {
        assert!(error(format, &text).starts_with("line 606, column 1: process 302 called read"), "{format}");
    }
    refused(&[("ok", "generate", "[7 nil]", "[7 1]")], 2, "called generate");
    refused(&[("ok", "enqueue", "[7 nil]", "[7 1]")], 2, "was answered [7, 1]");
    refused(&[("ok", "acquire", "[7 nil]", "[7 33]")], 2, "was answered [7, 33]");
    refused(&[("ok", "drain", "[7 nil]", "[7 [1 2 3]]")], 2, "called drain");
}

#[test]
fn a_transaction_behind_a_key_is_certain() {
    refused(&[("info", "txn", "[7 [[:r 1 nil]]]", "nil")], 1, "called txn with [7, [[\"r\", 1, nil]]]");
}

#[test]
fn all_calls_together_say_it() {
    let all = "the value of every other call is a list of two as well";
    // Answers without the key.
    refused(&[WRITE, ("ok", "read", "[7 nil]", "1")], 3, "called read with [7, nil], and");
    refused(&[WRITE, ("ok", "read", "[7 nil]", "[7 1 2 3]"), WRITE], 3, all);
    // Before the first answer that would tell.
    refused(&[WRITE, CAS, WRITE], 3, "called cas with [7, [1, 2]], and");
    refused(&[("ok", "acquire", "[7 nil]", "[7 nil]"), ("ok", "acquire", "[8 nil]", "[8 nil]")], 1, "called acquire");
    refused(&[("ok", "inc", "[7 nil]", "[7 nil]")], 1, all);
}

#[test]
fn near_misses_are_read_as_they_are() {
    // Writes alone are kept in either meaning; [from to]; lists as values.
    plain(&[WRITE, WRITE]);
    plain(&[("ok", "cas", "[1 2]", "[1 2]"), ("ok", "cas", "[2 3]", "[2 3]")]);
    plain(&[("ok", "cas", "[1 nil]", "[1 nil]")]);
    plain(&[WRITE, ("ok", "read", "nil", "[7 1]"), ("ok", "cas", "[[7 1] [7 2]]", "[[7 1] [7 2]]")]);
    plain(&[("ok", "cas", "[nil [7 2]]", "[nil [7 2]]"), ("ok", "read", "nil", "[7 2]")]);
    plain(&[("ok", "cas", "[7 [1 2]]", "[7 [1 2]]"), ("ok", "read", "nil", "[1 2]")]);
    // Micro-operations, registers of which several are read, an offset with no end.
    plain(&[("ok", "txn", "[[:r 1 nil] [:w 2 3]]", "[[:r 1 5] [:w 2 3]]")]);
    plain(&[("ok", "read", "[[:r 1 nil] [:r 2 nil]]", "[[:r 1 5] [:r 2 nil]]")]);
    plain(&[("ok", "txn", "[]", "[]"), ("ok", "txn", "[[:append 7 1]]", "[[:append 7 1]]")]);
    plain(&[("ok", "read", "[1 2]", "[1 6]"), ("ok", "read", "[1 2]", "[5 6]")]);
    plain(&[("ok", "read", "[1 nil]", "[9 5]"), ("ok", "write", "5", "5")]);
    // Rows behind predicates: one of two ids.
    plain(&[("ok", "insert", "[5 nil]", "[5 nil]"), ("ok", "insert", "[nil 6]", "[nil 6]")]);
    plain(&[("ok", "acquire", "[7 3]", "[7 3]"), ("ok", "release", "nil", "nil")]);
    plain(&[("ok", "send", "[7 1]", "[7 [0 1]]"), ("ok", "add", "[7 1]", "[7 1]")]);
    plain(&[("ok", "transfer", "[1 2]", "[1 2]"), ("ok", "read", "nil", "[1 2]")]);
}

#[test]
fn calls_with_a_key_of_their_own_carry_no_other() {
    let text = "{:type :invoke :f :read :key 3 :value [7 nil] :process 0}\n{:type :ok :f :read :key 3 :value [7 1] :process 0}";
    assert_eq!(told(&history(Format::JepsenEdn, text)), ["0 read 3 [7, nil] Ok [7, 1]"]);
}

#[test]
fn a_tag_of_the_call_holds_for_its_answer() {
    let text = "{:type :invoke :f :read :value #jepsen.independent.Tuple [7 nil] :process 0}
{:type :ok :f :read :value [7 1] :process 0}
{:type :invoke :f :write :value #jepsen.independent.Tuple [7 2] :process 0}
{:type :ok :f :write :value [7 2] :process 0}";
    assert_eq!(told(&history(Format::JepsenEdn, text)), ["0 read 7 nil Ok 1", "0 write 7 2 Ok nil"]);
    let other = text.replace(":ok :f :read :value [7", ":ok :f :read :value [8");
    assert!(error(Format::JepsenEdn, &other).contains("line 2, column 1: the recording is broken"), "{other}");
}

#[test]
fn a_log_of_one_register_has_no_keys() {
    let line = |kind: &str| format!("INFO  jepsen.util - 0\t:{kind}\t:cas\t[1 [2 3]]\n");
    let text = line("invoke") + &line("ok");
    assert_eq!(told(&history(Format::PorcupineEtcd, &text)), ["0 cas [1, [2, 3]] Ok nil"]);
}
