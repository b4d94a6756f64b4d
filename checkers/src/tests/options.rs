//! Options of every checker: each set once right, once of a wrong type, once unknown; and what the list and the schema say of
//! them. What an option takes is read from the list, so that a new checker is covered as it is.
use crate::options::{OptionDoc, Options};
use crate::value::Value;
use crate::{CHECKERS, CheckerDoc, OptionError};

fn set(doc: &CheckerDoc, option: &str, value: Value) -> Option<OptionError> {
    doc.checker(&Options([(option.to_owned(), value)].into())).err()
}

/// A value that this option takes, and one that it does not take; none where it takes every value.
fn examples(option: &OptionDoc) -> (Value, Option<Value>) {
    let no_name = Some(Value::text("no-such-name"));
    match option.takes.as_str() {
        "true or false" => (Value::Bool(true), Some(Value::text("yes"))),
        "a text" => (Value::text("a"), Some(Value::Int(7))),
        "a value, or an object of keys and values" => (Value::Int(3), None),
        "an exit status from 0 to 255, or a list of them" => (Value::list([Value::Int(75)]), Some(Value::Int(256))),
        takes if takes.starts_with("a duration") => (Value::text("5s"), Some(Value::text("soon"))),
        takes if takes.starts_with("a whole number") => (Value::Int(3), Some(Value::text("three"))),
        names => {
            let first = names.split(" or ").next().and_then(|names| names.split(", ").next()).expect("a name");
            (Value::text(first), no_name)
        }
    }
}

/// Options that are only for one model of `linearizable`.
fn other_options(doc: &CheckerDoc, option: &str) -> Vec<(String, Value)> {
    let model = match (doc.name, option) {
        ("linearizable", "permits") => "semaphore",
        ("linearizable", "order") => "priority-queue",
        _ => return Vec::new(),
    };
    vec![("model".to_owned(), Value::text(model))]
}

#[test]
fn each_option_takes_what_the_list_says_and_refuses_the_rest_by_name_and_value() {
    let mut tried = 0;
    for doc in CHECKERS {
        for option in doc.option_docs() {
            let name = &option.name;
            let (right, wrong) = examples(&option);
            let mut options = other_options(doc, name);
            options.push((name.clone(), right.clone()));
            let made = doc.checker(&Options(options.into_iter().collect()));
            assert!(made.is_ok(), "{} {name}={right}: {:?}", doc.name, made.err());
            let Some(wrong) = wrong else { continue };
            let error = set(doc, name, wrong.clone()).unwrap_or_else(|| panic!("{} takes {name}={wrong}", doc.name));
            assert_eq!((&error.option, &error.known), (name, &None), "{error}");
            let written = wrong.to_string();
            assert!(error.message.contains(name.as_str()), "{}: {error}", doc.name);
            assert!(error.message.contains(written.trim_matches('"')), "{} {name}: {error}", doc.name);
            // A model that is none is told with those that there are.
            let first = option.takes.split([',', ' ']).next().unwrap_or_default();
            assert!(error.message.contains(first), "{} {name} takes {}: {error}", doc.name, option.takes);
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn an_unknown_option_is_refused_with_those_that_there_are() {
    for doc in CHECKERS {
        let error = set(doc, "no_such_option", Value::Int(1)).expect("it is refused");
        let known: Vec<String> = doc.option_docs().into_iter().map(|option| option.name).collect();
        assert!(known.contains(&"workload".to_owned()), "{}", doc.name);
        let said = format!("{} has no option no_such_option (it has: {})", doc.name, known.join(", "));
        assert_eq!((error.message, error.known), (said, Some(known)));
    }
}

#[test]
fn every_option_has_a_sentence_and_a_type_and_its_checker_has_a_schema_that_refuses_others() {
    for doc in CHECKERS {
        for option in doc.option_docs() {
            let OptionDoc { name, takes, doc: sentence, .. } = &option;
            assert!(sentence.ends_with('.') && sentence.len() > 15, "{} {name}: {sentence}", doc.name);
            assert!(!takes.is_empty() && takes != "any value", "{} {name}", doc.name);
        }
        let mut generator = schemars::SchemaGenerator::default();
        (doc.options)(&mut generator);
        let open =
            |schema: &&serde_json::Value| schema.get("properties").is_some_and(|all| all.get("workload").is_some());
        let own: Vec<_> = generator.definitions().values().filter(open).collect();
        assert_eq!(own.len(), 1, "{}", doc.name);
        assert_eq!(own[0]["additionalProperties"], false, "{}", doc.name);
    }
}

/// What an option says that has more to say than its type.
#[test]
fn options_say_what_they_take_in_their_own_words() {
    for (checker, option, value, says) in [
        ("linearizable", "model", Value::text("deque"), "no model deque (there are: register, cas-register"),
        ("linearizable", "permits", Value::Int(0), "permits takes a whole number from 1 up, not 0"),
        ("linearizable", "order", Value::text("largest"), "model cas-register has no option order"),
        ("list-append", "model", Value::text("perfect"), "no model perfect (there are: strict-serializable"),
        ("rw-register", "model", Value::text("prefix"), "nothing decides the model prefix"),
        (
            "counter",
            "initial",
            Value::text("x"),
            "initial takes an integer, or an object of keys and integers, not \"x\"",
        ),
        ("bank", "total", Value::text("100"), "total takes a whole number, not \"100\""),
        ("staleness", "k_max", Value::Int(0), "k_max takes a whole number from 1 up, not 0"),
        ("crashes", "crashed", Value::text("maybe"), "crashed takes violation, evidence or off, not \"maybe\""),
        ("lock", "named_by", Value::text("f"), "named_by takes key or argument, not \"f\""),
        ("liveness", "recover", Value::text("x"), "recover takes a duration such as 500ms, 5s or 1h30m, not \"x\""),
        ("bank", "workload", Value::Int(1), "workload takes a text, not 1"),
    ] {
        let doc = crate::registry::doc(checker).expect("in the list");
        let error = set(doc, option, value).unwrap_or_else(|| panic!("{checker} takes {option}"));
        assert!(error.message.contains(says), "{checker} {option}: {error}");
    }
    assert!(set(crate::registry::doc("crashes").expect("in the list"), "core_file", Value::Bool(false)).is_none());
}

#[test]
fn a_duration_that_was_an_integer_of_milliseconds_keeps_its_old_name() {
    for (checker, old, new) in [
        ("liveness", "recover_ms", "recover"),
        ("lease", "ttl_ms", "ttl"),
        ("lease", "clock_error_ms", "clock_error"),
        ("crdt", "quiesce_ms", "quiesce"),
        ("replicas-agree", "quiesce_ms", "quiesce"),
        ("replicas-agree", "standstill_ms", "standstill"),
        ("eventual-convergence", "wait_ms", "wait"),
        ("staleness", "delta_ms_max", "delta_max"),
    ] {
        let doc = crate::registry::doc(checker).expect("in the list");
        assert!(doc.takes(old) && doc.takes(new) && !doc.takes("no_such_ms"), "{checker}");
        assert_eq!(set(doc, old, Value::Int(1500)), None, "{checker} {old}");
        let error = set(doc, old, Value::text("soon")).expect("no duration");
        assert!(error.message.starts_with(&format!("{new} takes a duration")), "{error}");
        let twice = Options([(old.to_owned(), Value::Int(1)), (new.to_owned(), Value::text("1ms"))].into());
        assert!(doc.checker(&twice).err().is_some_and(|error| error.message.contains("set twice")), "{checker} {old}");
    }
    let millis = Options([("standstill_ms".to_owned(), Value::Int(1500))].into());
    let span = Options([("standstill".to_owned(), Value::text("1500ms"))].into());
    let standstill = |options| crate::objects::standstill("replicas-agree", options).map(|time| time.as_millis());
    assert_eq!((standstill(&millis), standstill(&span)), (Some(1500), Some(1500)));
    assert_eq!((standstill(&Options::default()), crate::objects::standstill("set", &span)), (Some(10_000), None));
}

#[test]
fn an_option_whose_name_had_hyphens_keeps_its_old_name() {
    for (checker, old, new) in
        [("monotonic", "per-process", "per_process"), ("total-queue", "exactly-once", "exactly_once")]
    {
        let doc = crate::registry::doc(checker).expect("in the list");
        assert!(doc.takes(old) && doc.takes(new), "{checker}");
        assert_eq!((set(doc, old, Value::Bool(true)), set(doc, new, Value::Bool(true))), (None, None), "{checker}");
        let twice = Options([(old.to_owned(), Value::Bool(true)), (new.to_owned(), Value::Bool(true))].into());
        assert!(doc.checker(&twice).err().is_some_and(|error| error.message.contains("set twice")), "{checker}");
    }
    let listed = CHECKERS.iter().flat_map(CheckerDoc::option_docs);
    assert_eq!(listed.filter(|option| option.name.contains('-')).count(), 0);
}
