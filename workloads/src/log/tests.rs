use super::*;
use std::collections::HashSet;

fn made(generator: &mut dyn Generator, reply: &dyn Fn(&Call) -> CallResult) -> Call {
    let next = generator.next();
    assert_eq!(generator.next(), next, "asking consumes nothing");
    generator.taken();
    let Next::Call(call) = next else { panic!("{next:?}") };
    generator.observe(&call, &reply(&call));
    call
}

fn calls(options: &LogOptions, worker: u32, count: usize, reply: &dyn Fn(&Call) -> CallResult) -> Vec<Call> {
    let mut generator = options.build().generator(7, worker, 3);
    (0..count).map(|_| made(&mut *generator, reply)).collect()
}

fn done(_: &Call) -> CallResult {
    CallResult::Ok(Value::Nil)
}

fn said(calls: &[Call]) -> Vec<String> {
    calls.iter().map(|call| format!("{} {}", call.f, call.value)).collect()
}

#[test]
fn a_seed_means_the_same_choices_in_every_version() {
    assert_eq!(said(&calls(&LogOptions::default(), 1, 8, &done)), GOLDEN);
    let txn = LogOptions { txn: true, sub_via: SubVia::Subscribe, ..LogOptions::default() };
    assert_eq!(said(&calls(&txn, 1, 4, &done)), TRANSACTIONS);
}

#[test]
fn no_value_is_sent_twice() {
    for txn in [false, true] {
        let options = LogOptions { txn, ..LogOptions::default() };
        let mut sent = HashSet::new();
        for call in (0..3).flat_map(|worker| calls(&options, worker, 300, &done)) {
            for one in call.value.as_list().unwrap_or_default() {
                if let Some([Value::Text(_), log, message]) = one.as_list() {
                    assert!(sent.insert((log.clone(), message.clone())), "{call:?}");
                }
            }
        }
        assert!(sent.len() > 300, "{}", sent.len());
    }
}

#[test]
fn a_consumer_is_assigned_its_logs_before_it_polls() {
    let options = LogOptions { crash: 50, ..LogOptions::default() };
    let reply = |call: &Call| if &*call.f == "crash" { CallResult::info("crash") } else { done(call) };
    let mut assigned = false;
    let mut crashes = 0;
    for call in calls(&options, 0, 2000, &reply) {
        match &*call.f {
            "assign" => assigned = true,
            "crash" => (assigned, crashes) = (false, crashes + 1),
            "poll" => assert!(assigned),
            _ => {}
        }
    }
    assert!((50..200).contains(&crashes), "{crashes}");
}

#[test]
fn a_consumer_begins_anew_where_its_client_may_be_another_one() {
    let polls = LogOptions { mix: LogMix { send: 1, poll: 5 }, crash: 0, ..LogOptions::default() };
    let anew = |why: &'static str| {
        let mut generator = polls.build().generator(7, 0, 3);
        while &*made(&mut *generator, &done).f != "poll" {}
        while &*made(&mut *generator, &|_| CallResult::fail(why)).f != "poll" {}
        let assign = (0..60).map(|_| made(&mut *generator, &done)).find(|call| call.f == Arc::from("assign"));
        assign.is_some_and(|call| call.value.to_string().contains("seek-to-beginning?"))
    };
    assert!(anew("not connected: refused"));
    let mut generator = polls.build().generator(7, 0, 3);
    while &*made(&mut *generator, &done).f != "poll" {}
    let aborted = |_: &Call| CallResult::fail("conflict: another transaction");
    let after: Vec<Call> = (0..10).map(|_| made(&mut *generator, &aborted)).collect();
    assert!(after.iter().all(|call| !call.value.to_string().contains("seek")), "{after:?}");
    let after: Vec<Call> = (0..20).map(|_| made(&mut *generator, &aborted)).collect();
    assert!(after.iter().any(|call| call.value.to_string().contains("seek")), "{after:?}");
}

#[test]
fn every_log_is_polled_from_its_beginning_to_its_end() {
    let workload = LogOptions { keys: 2, ..LogOptions::default() }.build();
    let last = workload.settle().remove(0);
    assert_eq!((last.call.value.to_string().as_str(), last.mode), ("[[\"poll\"]]", Some(FinalReads::UntilEmpty)));
    let before = last.before.expect("an assignment");
    assert_eq!(format!("{} {}", before.f, before.value), "assign {keys: [0, 1], seek-to-beginning?: true}");
    assert_eq!(workload.functions(), ["send", "poll", "assign", "crash"].map(Arc::from));
    let txn = LogOptions { txn: true, crash: 0, sub_via: SubVia::Subscribe, ..LogOptions::default() }.build();
    assert_eq!(txn.functions(), ["txn", "poll", "subscribe"].map(Arc::from));
}

#[test]
fn loads_that_show_nothing_are_mistakes() {
    let option = |options: LogOptions| options.mistake().map(|(option, _)| option);
    let options = LogOptions::default;
    assert_eq!(option(LogOptions { mix: LogMix { send: 0, poll: 1 }, ..options() }), Some("mix"));
    assert_eq!(option(LogOptions { max_length: 0, ..options() }), Some("max_length"));
    assert_eq!(option(LogOptions { max_length: 1001, ..options() }), Some("max_length"));
    assert_eq!(option(LogOptions { crash: 501, ..options() }), Some("crash"));
    assert_eq!(option(LogOptions { keys: 0, ..options() }), Some("keys"));
    assert_eq!(option(options()), None);
}

const GOLDEN: [&str; 8] = [
    "assign {keys: [1, 2], seek-to-beginning?: true}",
    "poll [[\"poll\"]]",
    "send [[\"send\", 1, 2]]",
    "send [[\"send\", 1, 5]]",
    "send [[\"send\", 2, 8]]",
    "poll [[\"poll\"]]",
    "send [[\"send\", 3, 11]]",
    "poll [[\"poll\"]]",
];
const TRANSACTIONS: [&str; 4] = [
    "subscribe {keys: [1, 2], seek-to-beginning?: true}",
    "txn [[\"send\", 3, 2], [\"send\", 1, 5], [\"poll\"]]",
    "txn [[\"send\", 3, 8], [\"send\", 2, 11]]",
    "txn [[\"send\", 1, 14], [\"send\", 3, 17], [\"send\", 1, 20], [\"poll\"]]",
];
