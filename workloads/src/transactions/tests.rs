use super::*;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

const KINDS: [TransactionKind; 3] = [TransactionKind::Append, TransactionKind::Write, TransactionKind::Mini];

fn default_build(kind: TransactionKind) -> Box<dyn Workload> {
    build(kind, &TransactionOptions::default())
}

/// A micro-operation: its name, key, and the value if it writes.
type MicroOperation = (String, i64, Option<i64>);

fn micro_operations(call: &Call) -> Vec<MicroOperation> {
    let micro_operation = |value: &Value| match value.as_list().expect("a list") {
        [Value::Text(name), Value::Int(key), value] => (name.to_string(), *key, value.as_int()),
        other => panic!("{other:?}"),
    };
    call.value.as_list().expect("a list").iter().map(micro_operation).collect()
}

fn next(generator: &mut dyn Generator) -> Vec<MicroOperation> {
    let Next::Call(call) = generator.next() else { panic!("a call") };
    assert_eq!((&*call.f, &call.key), ("txn", &Value::Nil));
    micro_operations(&call)
}

fn transactions(kind: TransactionKind, options: &TransactionOptions, count: usize) -> Vec<Vec<MicroOperation>> {
    let workload = build(kind, options);
    let mut generators: Vec<_> = (0..3).map(|worker| workload.generator(7, worker, 3)).collect();
    let mut take = |turn: usize| {
        let transaction = next(&mut *generators[turn % 3]);
        generators[turn % 3].taken();
        transaction
    };
    (0..count).map(&mut take).collect()
}

/// The transactions of seed 7, by slots.
fn golden(kind: TransactionKind) -> String {
    let workload = default_build(kind);
    let mut lines = String::new();
    for worker in 0..2 {
        let mut generator = workload.generator(7, worker, 2);
        for _ in 0..60 {
            write!(lines, "{worker}").expect("writing to a string");
            for (name, key, value) in next(&mut *generator) {
                let value = value.map_or(String::new(), |value| format!("={value}"));
                write!(lines, " {name} {}{value}", key % 10).expect("writing to a string");
            }
            lines.push('\n');
            generator.taken();
        }
    }
    lines
}

#[test]
fn a_seed_means_the_same_choices_in_every_version() {
    assert_eq!(golden(TransactionKind::Append), include_str!("../../golden/list-append-seed-7.txt"));
    assert_eq!(golden(TransactionKind::Mini), include_str!("../../golden/mini-transactions-seed-7.txt"));
    let registers = golden(TransactionKind::Append).replace("append", "w");
    assert_eq!(golden(TransactionKind::Write), registers, "registers get the choices of lists");
}

#[test]
fn asking_consumes_nothing_and_answers_change_nothing() {
    for kind in KINDS {
        let (first, second) = (default_build(kind), default_build(kind));
        let (mut curious, mut plain) = (first.generator(1, 0, 2), second.generator(1, 0, 2));
        for round in 0..300 {
            for _ in 0..round % 4 {
                curious.next();
            }
            let Next::Call(call) = curious.next() else { panic!("a call") };
            assert_eq!(Next::Call(call.clone()), plain.next());
            curious.observe(&call, &CallResult::Ok(call.value.clone()));
            plain.observe(&call, &CallResult::info("timeout"));
            curious.taken();
            plain.taken();
        }
    }
}

#[test]
fn lengths_shares_and_values_are_as_the_options_say() {
    let options = TransactionOptions { min_length: 2, max_length: 5, read_only: 40, ..Default::default() };
    for kind in KINDS {
        let made = transactions(kind, &options, 3000);
        let lengths: HashSet<usize> = made.iter().map(Vec::len).collect();
        assert_eq!(lengths, (2..=5).collect(), "{kind:?}");
        let read_only = made.iter().filter(|transaction| transaction.iter().all(|one| one.2.is_none())).count();
        assert!((1100..1300).contains(&read_only), "{kind:?}: {read_only}");
        let written: Vec<i64> = made.iter().flatten().filter_map(|one| one.2).collect();
        assert_eq!(written.iter().collect::<HashSet<_>>().len(), written.len(), "{kind:?}: a value came twice");
        let name = if kind == TransactionKind::Append { "append" } else { "w" };
        assert!(made.iter().flatten().all(|(f, _, value)| f == if value.is_some() { name } else { "r" }));
    }
}

#[test]
fn shares_of_none_and_all_are_kept_exactly() {
    for kind in KINDS {
        for (read_only, writing) in [(0, 500), (100, 0)] {
            let made = transactions(kind, &TransactionOptions { read_only, ..Default::default() }, 500);
            let writes = |transaction: &&Vec<MicroOperation>| transaction.iter().any(|one| one.2.is_some());
            assert_eq!(made.iter().filter(writes).count(), writing, "{kind:?}");
        }
    }
}

#[test]
fn a_mini_transaction_reads_each_key_before_it_writes_it() {
    for (min_length, max_length) in [(1, 2), (1, 4), (3, 3), (5, 9)] {
        let options = TransactionOptions { min_length, max_length, ..Default::default() };
        let made = transactions(TransactionKind::Mini, &options, 1000);
        for transaction in &made {
            let length = transaction.len() as u32;
            assert!((min_length..=max_length).contains(&length), "{transaction:?}");
            for (at, (_, key, value)) in transaction.iter().enumerate() {
                let read = transaction[..at].iter().any(|before| before.1 == *key && before.2.is_none());
                assert!(value.is_none() || read, "{transaction:?}");
            }
        }
        let two = |transaction: &&Vec<MicroOperation>| transaction.iter().filter(|one| one.2.is_some()).count() > 1;
        assert!(max_length < 4 || made.iter().any(|transaction| two(&transaction)), "never two writes");
    }
}

#[test]
fn keys_rotate_after_their_writes_and_the_recent_ones_are_read_at_the_end() {
    let options = TransactionOptions {
        keys: 2,
        writes_per_key: 5,
        max_length: 1,
        distribution: Distribution::Uniform,
        ..Default::default()
    };
    let workload = build(TransactionKind::Append, &options);
    let mut generator = workload.generator(3, 0, 1);
    let mut writes: BTreeMap<i64, u32> = BTreeMap::new();
    for _ in 0..200 {
        for (_, key, value) in next(&mut *generator) {
            *writes.entry(key).or_default() += u32::from(value.is_some());
        }
        generator.taken();
    }
    assert!(writes.values().all(|writes| *writes <= 5));
    assert!(writes.values().filter(|writes| **writes == 5).count() >= writes.len() - 2);
    let last: Vec<i64> = writes.iter().filter(|(_, writes)| **writes > 0).map(|(key, _)| *key).collect();
    let read: Vec<MicroOperation> = workload.settle().iter().flat_map(|last| micro_operations(&last.call)).collect();
    assert!(read.iter().all(|(name, _, value)| name == "r" && value.is_none()));
    let newest = last.last().expect("keys");
    assert!(last.len() > 10 && read.iter().any(|(_, key, _)| key == newest), "{read:?}, newest {newest}");
}

#[test]
fn an_old_key_whose_order_no_read_has_shown_is_read_at_the_end() {
    let options = TransactionOptions { keys: 1, writes_per_key: 4, ..Default::default() };
    let workload = build(TransactionKind::Append, &options);
    let mut generator = workload.generator(3, 0, 1);
    while workload.settle().iter().flat_map(|last| micro_operations(&last.call)).all(|(_, key, _)| key < 100) {
        next(&mut *generator);
        generator.taken();
    }
    let call = |micro_operations: Value| Call { value: micro_operations, ..workload.settle()[0].call.clone() };
    let append = |key, element| Value::list([Value::text("append"), Value::Int(key), Value::Int(element)]);
    let read = |key, list: Value| Value::list([Value::text("r"), Value::Int(key), list]);
    let mut took_effect = |micro_operations: Value| {
        generator.observe(&call(Value::Nil), &CallResult::Ok(micro_operations));
    };
    // Key 1 has one element, key 2 two that a read has shown, key 3 two of which it has shown one, key 4 two alone.
    took_effect(Value::list([append(1, 1), append(2, 1), append(2, 2), append(3, 1), append(4, 1)]));
    took_effect(Value::list([read(2, Value::list([1, 2].map(Value::Int))), read(3, Value::list([Value::Int(1)]))]));
    took_effect(Value::list([append(3, 2), append(4, 2), read(5, Value::Nil)]));
    generator.observe(&call(Value::list([append(6, 1), append(6, 2)])), &CallResult::info("lost"));
    generator.observe(&call(Value::list([append(7, 1), append(7, 2)])), &CallResult::fail("conflict"));
    let read: Vec<i64> =
        workload.settle().iter().flat_map(|last| micro_operations(&last.call)).map(|(_, key, _)| key).collect();
    assert_eq!(read[2..], [4, 6], "{read:?}");
}

#[test]
fn a_transaction_has_one_key_for_each_slot_and_distributions_differ() {
    let counted = |distribution| {
        let options = TransactionOptions { keys: 4, writes_per_key: u32::MAX, distribution, ..Default::default() };
        let made = transactions(TransactionKind::Write, &options, 4000);
        let mut counts = [0usize; 4];
        made.iter().flatten().for_each(|one| counts[one.1 as usize] += 1);
        let all: usize = counts.iter().sum();
        counts.map(|count| (count * 100 + all / 2) / all)
    };
    let near = |counts: [usize; 4], expected: [usize; 4]| {
        assert!(counts.iter().zip(expected).all(|(count, expected)| count.abs_diff(expected) <= 2), "{counts:?}");
    };
    near(counted(Distribution::Uniform), [25, 25, 25, 25]);
    near(counted(Distribution::Exponential), [50, 25, 13, 13]);
}

#[test]
fn mistakes_and_blind_loads_are_named() {
    let base = TransactionOptions::default;
    let mistakes = [
        (TransactionOptions { keys: 0, ..base() }, "keys"),
        (TransactionOptions { writes_per_key: 0, ..base() }, "writes_per_key"),
        (TransactionOptions { min_length: 0, ..base() }, "min_length"),
        (TransactionOptions { min_length: 5, ..base() }, "max_length"),
        (TransactionOptions { max_length: LENGTH_MAX + 1, ..base() }, "max_length"),
        (TransactionOptions { read_only: 101, ..base() }, "read_only"),
    ];
    for kind in KINDS {
        assert_eq!((base().mistake(kind), base().blind(kind)), (None, None));
        for (options, named) in &mistakes {
            assert_eq!(options.mistake(kind).map(|(option, _)| option), Some(*named));
        }
        assert!(TransactionOptions { read_only: 100, ..base() }.blind(kind).is_some());
    }
    let single = TransactionOptions { max_length: 1, ..base() };
    assert_eq!(single.mistake(TransactionKind::Append), None);
    assert_eq!(single.mistake(TransactionKind::Mini).map(|(option, _)| option), Some("max_length"));
    assert!(TransactionOptions { read_only: 0, ..single }.blind(TransactionKind::Append).is_some());
}
