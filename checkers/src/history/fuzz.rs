//! Damaged histories: whatever the readers are given, they answer with a history or with an error, use memory in
//! proportion to the text, and what they accept can be written and read again. No checker uses it.
use super::export::{Keys, write_edn, write_jsonl};
use super::{Format, History, ReadOptions, read, read_any};
use crate::fuzz::Draw;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many texts were tried and how many of them were histories: where none is, nothing was tested behind the scanner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Texts.
    pub inputs: u64,
    /// Of these, histories.
    pub accepted: u64,
    /// Bytes of all texts.
    pub bytes: u64,
}

const JSONL: &[&str] = &[
    r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1","n2"],"wall":"2026-01-01T00:00:00Z"}
{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"register","f":"write","key":1,"value":5}
{"type":"invoke","index":2,"time":2,"worker":1,"process":1,"node":"n2","workload":"register","f":"cas","value":[1,{"a":"b\n"}]}
{"type":"ok","index":3,"time":3,"process":0,"value":null}
{"type":"info","index":4,"time":3,"process":1,"value":null,"error":"timeout"}
{"type":"end","index":5,"time":9}
"#,
    r#"{"type":"fault","index":0,"time":0,"fault":0,"kind":"kill","step":"begun","nodes":["n1"],"cut":[["a","b"]],"detail":["x"]}
{"type":"note","index":1,"time":1,"text":"é"}
{"type":"role","index":2,"time":2,"sent_index":1,"sent_time":1,"node":"n1","role":"leader","term":3,"source":"probe"}
{"type":"phase","index":3,"time":2,"phase":"load"}
{"index":4,"type":"invoke","time":3,"worker":0,"process":0,"node":"n1","workload":"w","f":"read","value":1.5,"settle":true}
"#,
];
const EDN: &[&str] = &[
    r#"{:type :invoke, :f :write, :value 1, :process 0, :time 10, :index 0}
#jepsen.history.Op{:index 1, :time 5, :type :invoke, :process 1, :f :read, :value nil}
{:type :info, :f :start, :value {"n1" #{"n2"} 3 [1/3 ##NaN]}, :process :nemesis}
{:type :ok, :f :write, :value 1, :process 0 :error [:a "b\u00e9"] ; comment
 :final? true}
"#,
    r#"[{:type :invoke :f :txn :value [[:append 1 2] [:r 1 nil]] :process 0} #_ 5
{:type :ok :f :txn :value ^:m [[:append 1 2N] [:r 1 [2 -1.5M \a \newline #inst "x"]]] :process 0}]"#,
    r#"({:type :invoke :f :read :value #clojure.lang.MapEntry [1 nil] :process 0} {:type :fail :process 0})"#,
];
const JSON: &[&str] = &[
    r#"{"type":"invoke","f":"write","value":1,"process":0,"time":10,"index":0}
{"type":"info","f":"start","value":{"a":[null,true,"\ud83d\ude00"]},"process":"nemesis"}
{"type":"ok","f":"write","value":1,"process":0,"error":["x",1.5e3]}
"#,
    r#"[{"type":"invoke","f":"txn","value":[["w","x",2],["r","x",null]],"process":0,"key":3},
{"type":"ok","f":"txn","value":[["w","x",2],["r","x",9223372036854775807]],"process":0,"final?":true}]"#,
];
const ETCD: &[&str] = &["INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nsomething else\nINFO  jepsen.util - 1\t:invoke\t:write\t4
INFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\nINFO  jepsen.util - 1\t:info\t:write\t:timed-out\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\n"];
const KV: &[&str] = &[r#"{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}
{:process 4, :type :invoke, :f :get, :key "1", :value nil}
{:process 9, :type :ok, :f :append, :key "0", :value "x 9 0 y"}
{:process 4, :type :ok, :f :get, :key "1", :value ""}
"#];
const PLUME: &[&str] =
    &["w 0 1\nr 1 nil\n-----\nR(0, 1)\n=====\nr 0 1\n", "w(0,1,5,0)\nr(1,0,5,0)\nr(0,1,6,2)\nw(9,9,5,-1)\n"];

/// What is put in between: openings without an end, numbers of every size, words of the formats.
const TOKENS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "#{",
    "#_",
    "^",
    "#a ",
    "\"",
    "\\",
    ":",
    ",",
    "\n",
    "\0",
    "\u{feff}",
    "\r\n",
    "nil",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "-9223372036854775808",
    "99999999999999999999999999N",
    "1/0",
    "##Inf",
    "\\ud800",
    "\\u0000",
    ":invoke",
    "\"ok\"",
    ":process",
    "\"process\":",
    ":value",
    "4294967295",
    "[:w 1 2]",
    "=====",
    "-----",
    "{\"a\":1}",
    "é",
    ";",
    "#jepsen.history.Op",
    "[1 2]",
    "[1,2]",
];

fn seeds(format: Format) -> &'static [&'static str] {
    match format {
        Format::Jsonl => JSONL,
        Format::JepsenEdn => EDN,
        Format::JepsenJson => JSON,
        Format::PorcupineEtcd => ETCD,
        Format::PorcupineKv => KV,
        Format::Plume => PLUME,
    }
}

/// Reads so many damaged texts of the format. The error shows the first that is not answered as it should be.
pub fn mutate_read(format: Format, seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    let mut draw = Draw::new(seed);
    for _ in 0..count {
        let mut text = draw.pick(seeds(format)).as_bytes().to_vec();
        for _ in 0..draw.below(4) {
            damage(&mut text, &mut draw);
        }
        stats.inputs += 1;
        stats.bytes += text.len() as u64;
        stats.accepted += u64::from(tried(format, &text)?);
    }
    Ok(stats)
}

/// Reads one text as every caller may. Whether it is a history.
///
/// # Errors
/// When a reader panics, takes more memory than the text accounts for, or gives a history that cannot be written and
/// read again.
pub fn tried(format: Format, text: &[u8]) -> Result<bool, String> {
    let told = |what: &str| format!("{format}: {what}:\n{}", String::from_utf8_lossy(text));
    let independent = [Some(true), None, Some(false)][text.len() % 3];
    let options = ReadOptions { independent, ..ReadOptions::default() };
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let _ = read_any(text, &options);
        read(format, text, &options).map_err(|error| error.to_string())
    }));
    let history = match answer {
        Err(_) => return Err(told("the reader panicked")),
        Ok(Err(_)) => return Ok(false),
        Ok(Ok(history)) => history,
    };
    // A text keeps at most its own bytes and those of the names around it, once for each level.
    let most = (1 << 16) + 256 * text.len();
    if history.bytes() > most {
        return Err(told(&format!("{} bytes are held where {most} would be many", history.bytes())));
    }
    match catch_unwind(AssertUnwindSafe(|| again(&history))) {
        Err(_) => Err(told("writing panicked")),
        Ok(Err(message)) => Err(told(&message)),
        Ok(Ok(())) => Ok(true),
    }
}

/// Written and read again it is the same.
fn again(history: &History) -> Result<(), String> {
    let written = |history: &History| {
        let mut text = Vec::new();
        write_jsonl(history, &mut text).map(|()| text).map_err(|error| error.to_string())
    };
    let text = written(history)?;
    let shown = || String::from_utf8_lossy(&text).into_owned();
    let read_again = read(Format::Jsonl, &text[..], &ReadOptions::default());
    let read_again = read_again.map_err(|error| format!("what was written is refused: {error}\n{}", shown()))?;
    let twice = written(&read_again)?;
    if twice != text {
        return Err(format!("what was written is read as another history:\n{}", shown()));
    }
    let mut text = Vec::new();
    write_edn(history, Keys::Field, &mut text).map_err(|error| error.to_string())?;
    // Values are as they are there: keys have their own field.
    let options = ReadOptions { independent: Some(false), ..ReadOptions::default() };
    let read_again = read(Format::JepsenEdn, &text[..], &options);
    let shown = || String::from_utf8_lossy(&text).into_owned();
    let read_again = read_again.map_err(|error| format!("the EDN is refused: {error}\n{}", shown()))?;
    let same = |(one, two): (super::Op<'_>, super::Op<'_>)| {
        one.process == two.process && one.input == two.input && one.key == two.key && one.settle == two.settle
    };
    let ops = read_again.ops();
    if ops.len() != history.ops().len() || !history.ops().iter().zip(ops.iter()).all(same) {
        return Err(format!("the EDN is read as another history:\n{}", shown()));
    }
    Ok(())
}

fn damage(text: &mut Vec<u8>, draw: &mut Draw) {
    let length = text.len() as u64;
    let place = |draw: &mut Draw| draw.below(length + 1) as usize;
    match draw.below(9) {
        0 if length > 0 => {
            let at = draw.below(length) as usize;
            text[at] ^= 1 << draw.below(8);
        }
        1 if length > 0 => {
            let at = draw.below(length) as usize;
            text[at] = draw.below(256) as u8;
        }
        2 => text.truncate(place(draw)),
        3 => {
            let (at, token) = (place(draw), draw.pick(TOKENS).as_bytes().to_vec());
            text.splice(at..at, token);
        }
        4 => {
            // Rarely very deep or very long.
            let times = if draw.percent(2) { draw.below(20_000) } else { draw.below(200) } as usize;
            let (at, token) = (place(draw), draw.pick(TOKENS).as_bytes().repeat(times));
            text.splice(at..at, token);
        }
        5 => {
            // A stretch once more, somewhere else.
            let (one, two, at) = (place(draw), place(draw), place(draw));
            let stretch = text[one.min(two)..one.max(two)].to_vec();
            text.splice(at..at, stretch);
        }
        6 => {
            let (one, two) = (place(draw), place(draw));
            text.drain(one.min(two)..one.max(two));
        }
        7 => line_damage(text, draw),
        _ => {
            // One token for another.
            let (from, to) = (*draw.pick(TOKENS), *draw.pick(TOKENS));
            let found = text.windows(from.len()).position(|window| window == from.as_bytes());
            if let Some(at) = found {
                text.splice(at..at + from.len(), to.bytes());
            }
        }
    }
}

/// A line twice, gone, or in another place.
fn line_damage(text: &mut Vec<u8>, draw: &mut Draw) {
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let count = lines.len() as u64;
    let (one, two) = (draw.below(count) as usize, draw.below(count) as usize);
    match draw.below(3) {
        0 => lines.insert(one, lines[two].clone()),
        1 => drop(lines.remove(one)),
        _ => lines.swap(one, two),
    }
    *text = lines.concat();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few of each format; more with `DSFUZZ_MUTATIONS`.
    #[test]
    fn damaged_texts_are_answered() {
        let count = std::env::var("DSFUZZ_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
        for format in Format::ALL {
            let start = std::time::Instant::now();
            let stats = mutate_read(format, 1, count).unwrap_or_else(|message| panic!("{message}"));
            println!("{format}: {stats:?} {:?}", start.elapsed());
            assert!(stats.accepted > count / 20 && stats.accepted < count, "{format}: {stats:?}");
        }
    }
}
