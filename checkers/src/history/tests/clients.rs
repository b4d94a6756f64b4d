//! Processes that are no numbers: clients with names, the nemesis, and what cannot be told.
use super::foreign::{error, history, told};
use crate::history::{Format, ReadOptions, read};
use crate::linearizability::Linearizable;
use crate::registry::checker;
use crate::verdict::{Budget, Checker, Validity};

/// Two processes and the nemesis: one record a line.
const LINES: [(&str, &str, &str, &str); 6] = [
    ("A", "invoke", "write", "1"),
    ("B", "invoke", "read", "nil"),
    ("nemesis", "info", "kill", "nil"),
    ("A", "ok", "write", "1"),
    ("B", "ok", "read", "1"),
    ("A", "invoke", "read", "nil"),
];

fn edn(lines: &[(&str, &str, &str, &str)], name: impl Fn(&str) -> String) -> String {
    let told = lines.iter().map(|(process, kind, f, value)| {
        format!("{{:type :{kind}, :f :{f}, :value {value}, :process {}}}\n", name(process))
    });
    told.collect()
}

fn json(lines: &[(&str, &str, &str, &str)], name: impl Fn(&str) -> String) -> String {
    let told = lines.iter().map(|(process, kind, f, value)| {
        let (value, process) = (value.replace("nil", "null"), name(process));
        format!("{{\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value},\"process\":\"{process}\"}}\n")
    });
    told.collect()
}

#[test]
fn clients_with_names_are_clients() {
    let wanted = ["0 write 1 Ok nil", "1 read nil Ok 1", "0 read nil Info"];
    let name = |name: &str| if name == "nemesis" { name.to_owned() } else { format!("client-{name}") };
    let texts = [
        (Format::JepsenEdn, edn(&LINES, |process| format!(":{}", name(process)))),
        (Format::JepsenEdn, edn(&LINES, |process| format!("{:?}", name(process)))),
        (Format::JepsenEdn, edn(&LINES, name)),
        (Format::JepsenJson, json(&LINES, name)),
        (Format::JepsenJson, json(&LINES, |process| name(process).replace("nemesis", ":nemesis"))),
    ];
    for (format, text) in texts {
        let history = history(format, &text);
        assert_eq!(told(&history), wanted, "{text}");
        assert_eq!(history.sessions(), 2);
        let notes: Vec<&str> = history.notes.iter().map(|note| note.2.as_str()).collect();
        let named = "processes have names, and are numbered here: client-A is 0, client-B is 1";
        assert_eq!(notes, ["nemesis: kill", named], "{text}");
    }
    // Numbers as texts are numbers.
    let numbers = json(&LINES, |name| name.replace('A', "5").replace('B', "3"));
    assert_eq!(
        told(&history(Format::JepsenJson, &numbers)),
        ["5 write 1 Ok nil", "3 read nil Ok 1", "5 read nil Info"]
    );
}

#[test]
fn their_calls_count_for_every_verdict() {
    let judge =
        |checker: &dyn Checker, text: &str| checker.check(&history(Format::JepsenEdn, text), &Budget::unlimited());
    let name = |name: &str| format!("\"client-{name}\"");
    let stale = [LINES[0], LINES[3], ("B", "invoke", "read", "nil"), ("B", "ok", "read", "nil")];
    assert_eq!(judge(&Linearizable::registers(), &edn(&stale, name)).validity, Validity::Invalid);
    // Who holds is who acquired, also after an info.
    let lock = |second: &str| {
        edn(&[("A", "invoke", "acquire", "nil"), ("A", "ok", "acquire", "nil")], name)
            + &edn(&[(second, "invoke", "release", "nil"), (second, "ok", "release", "nil")], name)
    };
    let locks = checker("lock").expect("it is listed");
    assert_eq!(judge(&*locks, &lock("A")).validity, judge(&*locks, &lock("A").replace("\"client-A\"", "0")).validity);
    assert_eq!(judge(&*locks, &lock("B")).validity, Validity::Invalid);
}

#[test]
fn names_and_numbers_together_are_refused() {
    let call = |process: &str| format!("{{:type :invoke :f :read {process}}}\n{{:type :ok :f :read {process}}}\n");
    let (named, numbered, none) = (":process \"client-1\"", ":process 1", "");
    for (first, second, wanted) in [
        (numbered, named, "its process is \"client-1\", those before it are numbers"),
        (named, numbered, "its process is 1, those before it are names"),
        (numbered, none, "it has no process, those before it are numbers"),
        (none, named, "its process is \"client-1\", those before it have none"),
    ] {
        let error = error(Format::JepsenEdn, &format!("{} {}", call(first), call(second)));
        let place = "line 3, column 2: the recording is broken at record 2: ";
        assert!(error.starts_with(&format!("{place}{wanted}")), "{error}");
        assert!(error.ends_with("name all clients by numbers or all by names (what is no client is called nemesis)"));
    }
}

#[test]
fn a_number_is_one_only_as_it_is_written() {
    // As one client's calls these would break the rules of recording, or hide who holds what.
    let text = r#"{"type":"invoke","f":"read","process":"01"}
{"type":"invoke","f":"read","process":"+1"}
"#;
    let read = history(Format::JepsenJson, text);
    assert_eq!((read.sessions(), read.ops().len()), (2, 2));
    let mixed = error(Format::JepsenJson, &text.replace("+1", "1"));
    assert!(mixed.contains("its process is 1, those before it are names"), "{mixed}");
}

#[test]
fn what_is_no_client_says_so() {
    let text = "{:type :invoke :f :read :process :a}\n{:type :ok :f :kill :process :chaos}";
    let error_of = |text: &str| error(Format::JepsenEdn, text);
    let wanted = "process chaos completes a call it never made (what is no client has the process nemesis)";
    assert!(error_of(text).contains(wanted), "{}", error_of(text));
    let twice = "{:type :invoke :f :read :process :a}\n{:type :invoke :f :read :process :a}";
    assert!(error_of(twice).contains("line 2, column 1") && error_of(twice).contains("process a calls while"));
    assert!(error_of("{:type :invoke :f :read :process [1]}").contains("line 1, column 34"));
}

#[test]
fn our_own_lines_have_numbers_only() {
    let text = r#"{"type":"invoke","index":0,"time":0,"worker":0,"process":"client-1","node":"n1","workload":"w","f":"read"}
"#;
    let error = read(Format::Jsonl, text.as_bytes(), &ReadOptions::default()).expect_err("a name").to_string();
    assert!(error.starts_with("line 1, column 67 ") && error.contains("client-1"), "{error}");
}
