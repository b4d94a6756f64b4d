//! What never refuses a history: fields that no checker reads, records of other types, remarks of clients; and files that
//! are no histories, which are named.
use super::foreign::{error, history, told, with};
use crate::history::{Format, ReadOptions, read_any};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

const CALLS: &str = r#"{:type :invoke, :f :write, :value 1, :process 0}
{:type :ok, :f :write, :value 1, :process 0}
"#;

fn detected(text: &[u8]) -> Result<(Format, Vec<String>), String> {
    let read = read_any(text, &ReadOptions::default()).map_err(|error| error.to_string());
    read.map(|(format, history)| (format, told(&history)))
}

#[test]
fn fields_that_nobody_reads() {
    let wanted = told(&history(Format::JepsenEdn, CALLS));
    for field in [
        ":client #object[foo.bar.Baz 0x4f2a1 \"foo.bar.Baz@4f2a1\"]",
        ":pattern #\"a.*\\d\"",
        ":var #'user/foo",
        ":old #<Object java.lang.Object@4f2a1>",
        ":number 012",
        ":error #<Exception \"it's ]\">",
        ":exception {:via [{:at [a.b/c \"d.clj\" 3] :type java.net.SocketException}] :cause \"x\\q\"}",
    ] {
        let text = CALLS.replace(", :process", &format!(", {field}, :process"));
        assert_eq!(told(&history(Format::JepsenEdn, &text)), wanted, "{field}");
    }
    let json = r#"{"type":"invoke","f":"write","value":1,"process":0,"load":NaN,"more":[{"a":-Infinity,"b":"\x"}]}
{"type":"ok","f":"write","value":1,"process":0}"#;
    assert_eq!(told(&history(Format::JepsenJson, json)), wanted);
    // A value of the nemesis is no client's, and may be anything; a client's may not.
    let remark = "{:type :info :f :start :process :nemesis :value #<Node n1>}\n";
    assert_eq!(told(&history(Format::JepsenEdn, &format!("{remark}{CALLS}"))), wanted);
    assert!(error(Format::JepsenEdn, &remark.replace(":nemesis", "7")).contains("line 1"));
}

#[test]
fn records_of_other_types_and_remarks_are_counted() {
    let wanted = told(&history(Format::JepsenEdn, CALLS));
    let others = "{:type :log :process :nemesis :value \"waiting\"}\n{:type :sleep :value #<x>}\n{:type :log}\n";
    let read = history(Format::JepsenEdn, &format!("{others}{CALLS}"));
    assert_eq!(told(&read), wanted);
    assert_eq!(read.remarks, ["3 records of other types passed over: log (2), sleep (1)"]);
    let lone = "{:type :info :f :log :process 5 :value \"started\"}\n";
    let read = history(Format::JepsenEdn, &format!("{lone}{CALLS}{lone}"));
    assert_eq!(
        (told(&read), &*read.remarks),
        (wanted, &["2 infos that complete no call passed over: log".to_owned()][..])
    );
    // A write may have happened although its call is missing.
    let missing = format!("{CALLS}{{:type :info :f :write :process 5 :value 3}}\n");
    assert!(error(Format::JepsenEdn, &missing).starts_with("line 3, column 1: the recording is broken at record 2"));
    let without_process = "{:type :ok :f :read :value 1}";
    assert!(
        error(Format::JepsenEdn, without_process)
            .contains("a record without a process completes a call that was never made")
    );
}

#[test]
fn a_whole_fraction_is_the_integer() {
    for (format, text) in [
        (
            Format::JepsenJson,
            r#"{"type":"invoke","f":"read","process":0}{"type":"ok","f":"read","value":[1.0,1e3],"process":0}"#,
        ),
        (Format::JepsenEdn, "{:type :invoke :f :read :process 0}{:type :ok :f :read :value [1.0 1e3] :process 0}"),
    ] {
        assert_eq!(told(&history(format, text)), ["0 read nil Ok [1, 1000]"]);
    }
}

#[test]
fn a_map_may_hold_the_records() {
    let wanted = told(&history(Format::JepsenEdn, CALLS));
    let json =
        r#"[{"type":"invoke","f":"write","value":1,"process":0},{"type":"ok","f":"write","value":1,"process":0}]"#;
    for text in [
        format!("{{\"history\": {json}}}"),
        format!("{{\"name\":\"x\",\"history\":{json},\"valid\":true}}\n"),
        format!("{{:history [{CALLS}]}}"),
        format!("{{:name \"x\" :history #history ({CALLS}) :valid? #<y>}}"),
    ] {
        assert_eq!(detected(text.as_bytes()).map(|(_, told)| told), Ok(wanted.clone()), "{text}");
    }
    assert!(detected(b"{\"results\": {\"valid\": true}}").expect_err("no records").contains("no type"));
}

#[test]
fn names_of_fields_may_be_texts() {
    let text = CALLS.replace(":type", "\"type\"").replace(":f ", "\"f\" ").replace(":value", "\"value\"");
    let wanted = (Format::JepsenEdn, told(&history(Format::JepsenEdn, CALLS)));
    assert_eq!(detected(text.as_bytes()), Ok(wanted.clone()));
    assert_eq!(detected(text.replace("{\"type\" :", "{\"type\":").as_bytes()), Ok(wanted));
}

#[test]
fn a_compare_and_set_may_have_its_key_and_both_values_in_one_list() {
    let text = r#"{:type :invoke :f :cas :value ["k" 1 2] :process 0}
{:type :ok :f :cas :value ["k" 1 2] :process 0}
{:type :invoke :f :cas :value ["k" [2 3]] :process 0}
{:type :fail :f :cas :value ["k" [2 3]] :process 0}"#;
    let options = ReadOptions { independent: Some(true), ..ReadOptions::default() };
    let read = with(Format::JepsenEdn, text, &options).expect("keys");
    assert_eq!(told(&read), ["0 cas \"k\" [1, 2] Ok nil", "0 cas \"k\" [2, 3] Fail"]);
    let tagged = CALLS.replace(":value 1", ":value #jepsen.independent/tuple [5 1]");
    assert_eq!(told(&history(Format::JepsenEdn, &tagged)), ["0 write 5 1 Ok nil"]);
}

#[test]
fn gzip_is_read_in_every_format() {
    let zipped = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    };
    let wanted = told(&history(Format::JepsenEdn, CALLS));
    let bytes = zipped(CALLS);
    assert_eq!(detected(&bytes), Ok((Format::JepsenEdn, wanted.clone())));
    let named = crate::history::read(Format::JepsenEdn, &bytes[..], &ReadOptions::default()).expect("readable");
    assert_eq!(told(&named), wanted);
    let half = detected(&bytes[..bytes.len() / 2]).expect_err("cut off");
    assert!(half.contains("cannot read the history"), "{half}");
}

#[test]
fn files_that_are_no_histories_are_named() {
    let utf16: Vec<u8> = CALLS.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &str); 8] = [
        (b"\x28\xB5\x2F\xFDabc", "zstd"),
        (b"\xFD7zXZ\0abc", "xz"),
        (b"BZh91AY", "bzip2"),
        (b"PK\x03\x04abc", "zip archive"),
        (b"JEPSEN\0\0\0\x01", "name the history.edn"),
        (b"0\t:invoke\t:read\tnil\n", "history.txt"),
        (b"2026-11-29 12:00:00,123{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:invoke\t:read\tnil\n", "jepsen.log"),
        (&utf16, "UTF-16"),
    ];
    for (bytes, wanted) in cases {
        let error = detected(bytes).expect_err(wanted);
        assert!(error.contains(wanted), "{error}");
    }
}
