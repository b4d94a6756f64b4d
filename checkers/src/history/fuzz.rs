//! Damaged histories: whatever the readers are given, they answer with a history or with an error, use memory in
//! proportion to the text, and what they accept can be written and read again. No checker uses it. The texts that are
//! damaged lie in `seeds/`; the targets of `checkers/fuzz` begin with them, too.
use super::export::{Keys, write_edn, write_jsonl};
use super::{Format, History, ReadOptions, read, read_any};
use crate::random::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many texts were tried and how many of them were histories: where none is, nothing was tested behind the scanner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutations {
    /// Texts.
    pub inputs: u64,
    /// Of these, histories.
    pub accepted: u64,
    /// Bytes of all texts.
    pub bytes: u64,
}

const JSONL: &[&str] = &[include_str!("fuzz/seeds/jsonl/calls.jsonl"), include_str!("fuzz/seeds/jsonl/others.jsonl")];
const EDN: &[&str] = &[
    include_str!("fuzz/seeds/jepsen-edn/records.edn"),
    include_str!("fuzz/seeds/jepsen-edn/vector.edn"),
    include_str!("fuzz/seeds/jepsen-edn/list.edn"),
    include_str!("fuzz/seeds/jepsen-edn/names.edn"),
    include_str!("fuzz/seeds/jepsen-edn/pairs.edn"),
];
const JSON: &[&str] = &[
    include_str!("fuzz/seeds/jepsen-json/objects.json"),
    include_str!("fuzz/seeds/jepsen-json/array.json"),
    include_str!("fuzz/seeds/jepsen-json/pairs.json"),
];
const ETCD: &[&str] = &[include_str!("fuzz/seeds/porcupine-etcd/log.log")];
const KV: &[&str] = &[include_str!("fuzz/seeds/porcupine-kv/keys.edn")];
const PLUME: &[&str] = &[include_str!("fuzz/seeds/plume/sessions.txt"), include_str!("fuzz/seeds/plume/lines.txt")];

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
    "[1 nil]",
    "[1,null]",
    ":process :a",
    "\"a\"",
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

/// Reads `count` damaged texts of the format. The error shows the first that is not answered as it should be.
pub fn mutate_read(format: Format, seed: u64, count: u64) -> Result<Mutations, String> {
    let mut mutations = Mutations::default();
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let mut text = rng.pick(seeds(format)).as_bytes().to_vec();
        for _ in 0..rng.below(4) {
            damage(&mut text, &mut rng);
        }
        mutations.inputs += 1;
        mutations.bytes += text.len() as u64;
        mutations.accepted += u64::from(check_reader(format, &text)?);
    }
    Ok(mutations)
}

/// Reads one text as every caller may. Whether it is a history.
///
/// # Errors
/// When a reader panics, takes more memory than the text accounts for, or gives a history that cannot be written and
/// read again.
pub fn check_reader(format: Format, text: &[u8]) -> Result<bool, String> {
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

fn damage(text: &mut Vec<u8>, rng: &mut Rng) {
    let length = text.len() as u64;
    let place = |rng: &mut Rng| rng.below(length + 1) as usize;
    match rng.below(9) {
        0 if length > 0 => {
            let at = rng.below(length) as usize;
            text[at] ^= 1 << rng.below(8);
        }
        1 if length > 0 => {
            let at = rng.below(length) as usize;
            text[at] = rng.below(256) as u8;
        }
        2 => text.truncate(place(rng)),
        3 => {
            let (at, token) = (place(rng), rng.pick(TOKENS).as_bytes().to_vec());
            text.splice(at..at, token);
        }
        4 => {
            // Rarely very deep or very long.
            let times = if rng.percent(2) { rng.below(20_000) } else { rng.below(200) } as usize;
            let (at, token) = (place(rng), rng.pick(TOKENS).as_bytes().repeat(times));
            text.splice(at..at, token);
        }
        5 => {
            // A stretch once more, somewhere else.
            let (one, two, at) = (place(rng), place(rng), place(rng));
            let stretch = text[one.min(two)..one.max(two)].to_vec();
            text.splice(at..at, stretch);
        }
        6 => {
            let (one, two) = (place(rng), place(rng));
            text.drain(one.min(two)..one.max(two));
        }
        7 => line_damage(text, rng),
        _ => {
            // One token for another.
            let (from, to) = (*rng.pick(TOKENS), *rng.pick(TOKENS));
            let found = text.windows(from.len()).position(|window| window == from.as_bytes());
            if let Some(at) = found {
                text.splice(at..at + from.len(), to.bytes());
            }
        }
    }
}

/// A line twice, gone, or in another place.
fn line_damage(text: &mut Vec<u8>, rng: &mut Rng) {
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let count = lines.len() as u64;
    let (one, two) = (rng.below(count) as usize, rng.below(count) as usize);
    match rng.below(3) {
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
            let mutations = mutate_read(format, 1, count).unwrap_or_else(|message| panic!("{message}"));
            println!("{format}: {mutations:?} {:?}", start.elapsed());
            assert!(mutations.accepted > count / 20 && mutations.accepted < count, "{format}: {mutations:?}");
        }
    }
}
