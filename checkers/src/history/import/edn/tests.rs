//! What EDN texts mean, and what is refused, with its place.
use super::super::window::Window;
use super::*;
use crate::history::HistoryError;
use crate::value::Value;
use std::io::Read;

/// Forms of a text, one after the other.
#[derive(Debug)]
struct Forms<R> {
    window: Window<R>,
    arena: Arena,
    scratch: Scratch,
}

impl<R: Read> Forms<R> {
    /// The forms of this text. It is read as they are asked for.
    fn new(reader: R) -> Forms<R> {
        Forms { window: Window::new(reader), arena: Arena::default(), scratch: Scratch::default() }
    }
}

impl<R: Read> Iterator for Forms<R> {
    type Item = Result<Value, HistoryError>;

    /// The next form. After an error there is nothing sensible to go on with.
    fn next(&mut self) -> Option<Result<Value, HistoryError>> {
        self.arena = Arena::default();
        let (arena, scratch) = (&mut self.arena, &mut self.scratch);
        let word = self.window.scan(|scan| form(scan, arena, scratch)).transpose()?;
        Some(word.map(|word| self.arena.get(word).to_value()))
    }
}

fn all(text: &str) -> Result<Vec<Value>, HistoryError> {
    Forms::new(text.as_bytes()).collect()
}

fn one(text: &str) -> Value {
    let mut forms = all(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(forms.len(), 1, "{text}");
    forms.remove(0)
}

fn wrong(text: &str) -> (u64, u64, String) {
    match all(text) {
        Err(HistoryError::Malformed { line, column, message }) => (line, column, message),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_kind_of_form_has_its_value() {
    let texts = [
        ("nil", "null"),
        ("true", "true"),
        ("-17", "-17"),
        ("+3", "3"),
        ("17N", "17"),
        ("123456789012345678901234567890N", "\"123456789012345678901234567890\""),
        ("1/3", "\"1/3\""),
        ("1.5", "\"1.5\""),
        ("1.50M", "\"1.50\""),
        ("2e3", "2000"),
        ("-1.0", "-1"),
        ("15.00M", "15"),
        ("0x4f2a1", "\"0x4f2a1\""),
        ("#'user/foo", "\"user/foo\""),
        ("#\"a.*\\d\\\"\"", "\"a.*\\\\d\\\\\\\"\""),
        ("#object[foo.Bar 0x4f \"foo.Bar@4f\"]", "[\"foo.Bar\",\"0x4f\",\"foo.Bar@4f\"]"),
        ("[@a `b ~c]", "[\"a\",\"b\",\"c\"]"),
        ("\\nothing", "\"nothing\""),
        ("##NaN", "\"NaN\""),
        ("##-Inf", "\"-Infinity\""),
        (":invoke", "\"invoke\""),
        (":db.part/user", "\"db.part/user\""),
        ("foo.bar/baz!", "\"foo.bar/baz!\""),
        ("-", "\"-\""),
        ("\"a\\n\\\"b\\u00e9\"", "\"a\\n\\\"bé\""),
        ("\"two\nlines\"", "\"two\\nlines\""),
        ("\\a", "\"a\""),
        ("\\newline", "\"\\n\""),
        ("\\u00e9", "\"é\""),
        ("\\(", "\"(\""),
        ("[\\a]", "[\"a\"]"),
        ("[1 2, 3]", "[1,2,3]"),
        ("(1 (2))", "[1,[2]]"),
        ("#{3 1 2}", "[1,2,3]"),
        ("{:a 1, \"b\" [2] 3 nil [4] 5}", "{\"a\":1,\"b\":[2],\"3\":null,\"[4]\":5}"),
        ("#inst \"2026-01-01\"", "\"2026-01-01\""),
        ("#jepsen.history.Op{:index 0}", "{\"index\":0}"),
        ("[#foo/bar #baz 1]", "[1]"),
        ("[1 #_ 2 3]", "[1,3]"),
        ("[#_ #_ 1 2 3]", "[3]"),
        ("[1 #_ [2 {3 4}]]", "[1]"),
        ("^{:line 3} [1]", "[1]"),
        ("[^:fast 1 ; a comment ]\n 2]", "[1,2]"),
        ("#\"a.b\"", "\"a.b\""),
        ("[]{}", "[]"),
    ];
    for (text, json) in texts {
        let wanted: Value = serde_json::from_str(json).expect("valid JSON");
        if text == "[]{}" {
            assert_eq!(all(text).expect("two forms").len(), 2);
            continue;
        }
        assert_eq!(one(text), wanted, "{text}");
    }
    assert_eq!(all("; nothing\n #_ x ").expect("no form"), []);
}

#[test]
fn what_is_wrong_has_a_place() {
    assert_eq!(wrong("[1\n 2"), (2, 3, "expected the rest of a form, found the end".to_owned()));
    assert_eq!(wrong("[1\n )"), (2, 2, "expected a form or ], found \")\"".to_owned()));
    assert_eq!(wrong("{:a}").1, 4);
    for text in ["]", "{:a 1 :b}", "[#_]", "#", "#inst", "[#inst]", "\"a", "\\", ":", "##x", "#5", "@", "#\"a"] {
        assert!(all(text).is_err(), "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    for open in ["[", "{", "(", "#{", "#_", "^", "#a "] {
        let (_, column, message) = wrong(&open.repeat(1_000_000));
        assert!(message.contains("deep"), "{open} {message}");
        assert!(column <= 128 * open.len() as u64 + open.len() as u64 + 1, "{open} {column}");
    }
    let fine = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert!(all(&fine).is_ok());
}

#[test]
fn what_is_passed_over_needs_brackets_and_quotes_alone() {
    let skipped = |text: &str| {
        let whole = format!("{text} :next");
        let mut scan = Scan::of(whole.as_bytes());
        skip(&mut scan).map(|()| scan.at)
    };
    for text in [
        "1",
        "[1 {2 (3)} #{4}]",
        "#object[foo.bar.Baz 0x4f2a1 \"foo.bar.Baz@4f2a1 ]\"]",
        "#\"a.*\\d\\\"]\"",
        "#'user/foo",
        "#<Object java.lang.Object@4f2a1 <b> ]>",
        "\"a\\q ] \"",
        "[\\] \\[ \\newline]",
        "#_ [1 2] 3",
        "^{:line 3} [1]",
        "#inst \"2026\"",
        "#(inc %)",
        "##NaN",
        "[`(a ~b ~@c) @d]",
        "012",
        "[1 ; ]\n 2]",
    ] {
        assert_eq!(skipped(text).ok(), Some(text.len()), "{text}");
    }
    for text in ["[1", "[1)", "]", "\"a", "#<a", "[\"a]"] {
        assert!(skipped(text).is_err(), "{text}");
    }
}
