//! Every workload, driven against the store in memory: an honest store keeps every promise that the workload's checkers judge, and
//! each lie of a store is found as what it is. A new workload has its cases here.
use super::*;
use dsfuzz_checkers::{Budget, CHECKERS, Options, Validity, Value, Verdict, checker_with};
use dsfuzz_workloads::WORKLOADS;
use serde_json::json;
use tokio::task::JoinSet;

/// A workload as a plan writes it, a lie of the store, and how the kind of the finding that shows it begins.
struct Lie {
    workload: serde_json::Value,
    faults: StoreFaults,
    kind: &'static str,
    /// The checker that finds it; left out: the workload's first.
    checker: Option<&'static str>,
}

const HONEST: StoreFaults = StoreFaults {
    lost_every: 0,
    stale_every: 0,
    fail_done_every: 0,
    twice_every: 0,
    unchecked_every: 0,
    shared_every: 0,
    unreplicated_every: 0,
    info_done_every: 7,
    info_undone_every: 11,
    refuse_every: 5,
};

/// An honest store for this workload. What several transactions without an answer overwrote is unknown to `mini-transactions`:
/// its transactions without an answer had no effect.
fn honest(workload: &str) -> StoreFaults {
    let info_done_every = if workload == "mini-transactions" { 0 } else { HONEST.info_done_every };
    StoreFaults { info_done_every, ..HONEST }
}

fn lies() -> Vec<Lie> {
    let lie = |workload, faults, kind| Lie { workload, faults, kind, checker: None };
    let to = |checker, workload, faults, kind| Lie { workload, faults, kind, checker: Some(checker) };
    let (stale, lost) = (StoreFaults { stale_every: 10, ..HONEST }, StoreFaults { lost_every: 10, ..HONEST });
    let apart = |unreplicated_every| StoreFaults { unreplicated_every, ..HONEST };
    let certain = StoreFaults { unreplicated_every: 1, ..StoreFaults::default() };
    let far = StoreFaults { unreplicated_every: 3, ..StoreFaults::default() };
    let moving = || json!({"sessions": {"move_every": 5}});
    let versions = || json!({"sessions": {"move_every": 5, "versions": true}});
    let table = || StoreFaults { stale_every: 10, ..honest("closed-predicate") };
    vec![
        lie(json!({"register": {}}), StoreFaults { stale_every: 10, ..HONEST }, "stale-read"),
        lie(json!({"register": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-update"),
        lie(json!({"lease": {}}), StoreFaults { shared_every: 10, ..HONEST }, "overlapping-leases"),
        lie(json!({"lock": {}}), StoreFaults { shared_every: 10, ..HONEST }, "double-hold"),
        lie(json!({"lock": {"keys": 2}}), StoreFaults { lost_every: 2, ..HONEST }, "double-hold"),
        lie(json!({"semaphore": {}}), StoreFaults { shared_every: 10, ..HONEST }, "too-many-holders"),
        lie(json!({"queue": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-message"),
        lie(json!({"queue": {"keys": 3}}), StoreFaults { fail_done_every: 10, ..HONEST }, "unexpected-message"),
        lie(json!({"queue": {"exactly_once": true}}), StoreFaults { twice_every: 10, ..HONEST }, "duplicated-message"),
        to("queue", json!({"queue": {"exactly_once": true}}), StoreFaults { twice_every: 10, ..HONEST }, "duplicated"),
        to("read-committed", json!({"rw-register": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "G1a"),
        to("read-atomic", json!({"rw-register": {}}), stale, "fractured-read"),
        to("causal-transactions", json!({"rw-register": {}}), stale, "fractured-read"),
        lie(json!({"set": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-write"),
        to("set-full", json!({"set": {"mix": {"read": 1}}}), lost, "lost-element"),
        to("replicas-agree", json!({"set": {}}), apart(1), "diverged"),
        lie(json!({"causal-reverse": {}}), lost, "causal-reverse"),
        lie(json!({"sequential": {}}), stale, "nonsequential"),
        to("causal", json!({"sequential": {}}), stale, "write-co-init-read"),
        to("pram", json!({"sequential": {}}), stale, "write-hb-init-read"),
        to("read-your-writes", json!({"sessions": {}}), stale, "stale-own-write"),
        to("monotonic-reads", json!({"sessions": {}}), stale, "non-monotonic-read"),
        to("read-your-writes", moving(), far, "stale-own-write"),
        to("monotonic-reads", moving(), far, "non-monotonic-read"),
        to("monotonic-writes", versions(), far, "non-monotonic-write"),
        to("writes-follow-reads", versions(), far, "write-before-read"),
        to("causal", moving(), far, "write-co"),
        to("pram", moving(), far, "cyclic-hb"),
        to("sequential", moving(), far, "nonsequential"),
        to("eventual-convergence", json!({"sessions": {}}), apart(1), "diverged-replicas"),
        lie(json!({"convergence": {}}), apart(1), "diverged-replicas"),
        lie(json!({"convergence": {}}), StoreFaults { lost_every: 1, ..StoreFaults::default() }, "lost-write"),
        to("staleness", json!({"convergence": {}}), stale, "not-k-atomic"),
        lie(json!({"long-fork": {}}), apart(2), "long-fork"),
        lie(json!({"long-fork": {"group_size": 5}}), apart(2), "long-fork"),
        lie(json!({"closed-predicate": {}}), table(), "G"),
        lie(json!({"closed-predicate": {"rows": 0}}), table(), "G2"),
        lie(json!({"crdt": {}}), apart(1), "diverged"),
        lie(json!({"crdt": {"type": "or-set"}}), apart(1), "diverged"),
        lie(json!({"crdt": {"type": "pn-counter", "keys": 2}}), certain, "diverged"),
        lie(json!({"crdt": {"type": "lww-register", "keys": 9}}), certain, "diverged"),
        lie(json!({"crdt": {}}), StoreFaults { lost_every: 10, ..StoreFaults::default() }, "lost-element"),
        lie(
            json!({"crdt": {"type": "g-counter"}}),
            StoreFaults { lost_every: 10, ..StoreFaults::default() },
            "value-out",
        ),
        lie(json!({"crdt": {"type": "g-set"}}), stale, "shrunk"),
        lie(json!({"counter": {}}), StoreFaults { stale_every: 10, ..StoreFaults::default() }, "read-below-bound"),
        lie(
            json!({"counter": {"keys": 2}}),
            StoreFaults { lost_every: 10, ..StoreFaults::default() },
            "read-below-bound",
        ),
        lie(json!({"counter": {}}), StoreFaults { fail_done_every: 10, ..StoreFaults::default() }, "read-above-bound"),
        lie(json!({"unique-ids": {}}), StoreFaults { lost_every: 10, ..HONEST }, "duplicate-id"),
        lie(json!({"g2": {}}), StoreFaults { unchecked_every: 10, ..HONEST }, "G2"),
        lie(json!({"monotonic": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-row"),
        lie(json!({"monotonic": {}}), StoreFaults { stale_every: 10, ..HONEST }, "out-of-order"),
        lie(json!({"bank": {}}), StoreFaults { stale_every: 10, ..HONEST }, "wrong-total"),
        lie(json!({"bank": {}}), StoreFaults { lost_every: 10, ..HONEST }, "wrong-total"),
        lie(json!({"bank": {"total": 20}}), StoreFaults { unchecked_every: 2, ..HONEST }, "negative-value"),
        lie(json!({"list-append": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "G1a"),
        lie(json!({"list-append": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-update"),
        lie(json!({"list-append": {}}), StoreFaults { stale_every: 10, ..HONEST }, "G-single-item"),
        lie(json!({"rw-register": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "G1a"),
        lie(json!({"rw-register": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-update"),
        lie(json!({"rw-register": {}}), StoreFaults { stale_every: 10, ..HONEST }, "cyclic-versions"),
        lie(json!({"mini-transactions": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "G1a"),
        lie(json!({"mini-transactions": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-update"),
        lie(json!({"mini-transactions": {}}), StoreFaults { stale_every: 10, ..HONEST }, "G-single-item"),
    ]
}

/// What a plan would say to these checkers: a limit, and how soon replicas must be equal, so that a test need not wait long until
/// different ones count.
fn given(checker: &str, faults: StoreFaults) -> Vec<(String, Value)> {
    match checker {
        "eventual-convergence" if faults.unreplicated_every > 0 => vec![("wait".to_owned(), Value::text("100ms"))],
        "eventual-convergence" if faults.lost_every > 0 => vec![("wait".to_owned(), Value::text("0s"))],
        "replicas-agree" if faults.unreplicated_every > 0 => vec![("standstill".to_owned(), Value::text("100ms"))],
        "crdt" if faults.unreplicated_every > 0 => {
            vec![("quiesce".to_owned(), Value::text("100ms"))]
        }
        "staleness" => vec![("k_max".to_owned(), Value::Int(1))],
        _ => Vec::new(),
    }
}

/// What each of these checkers says of a load and its final reads against this store.
async fn judged(workload: &serde_json::Value, faults: StoreFaults, checkers: &[&str]) -> Vec<Verdict> {
    let options: WorkloadOptions = serde_json::from_value(workload.clone()).expect("a workload of a plan");
    let workload: Arc<dyn Workload> = Arc::from(options.build());
    let (bench, memory) = (Bench::new(), Memory::faulty(faults));
    memory.set_up(&*workload);
    let workloads = [workload.clone()];
    let limits = DriverOptions { ops_max: Some(1500), ..super::options(5) };
    let loaded = bench.load(memory.clone(), workloads.to_vec(), limits).await;
    let settling = SettleOptions { time: LONG, ..final_reads::settle_options(loaded.next_process) };
    settle(bench.recorder.clone(), Arc::new(memory), &workloads, settling, bench.stop.subscribe()).await;
    let history = bench.history();
    let verdict = |name: &&str| {
        let Options(mut options) = workload.checker_options(name);
        options.extend(given(name, faults));
        let asked = checker_with(name, &Options(options)).expect("a checker with the workload's options");
        asked.check(&history, &Budget::unlimited())
    };
    checkers.iter().map(verdict).collect()
}

/// Those of these checkers that judge workloads; those of runs need nodes and faults.
fn judging(checkers: &[&'static str]) -> Vec<&'static str> {
    let of_calls = |name: &&str| CHECKERS.iter().any(|checker| checker.name == *name && !checker.judges.runs);
    checkers.iter().copied().filter(of_calls).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_store_keeps_every_promise() {
    let plain = WORKLOADS.iter().map(|doc| (doc, json!({ doc.name: {} })));
    // What an option adds to a promise is kept, and what it allows is no finding.
    let with_options = [
        json!({"bank": {"negative_balances": true, "total": 0, "tables": 8}}),
        json!({"counter": {"keys": 3, "max_add": 1}}),
        json!({"set": {"mix": {"add": 2, "read": 1}, "keys": 3}}),
        json!({"sessions": {"move_every": 7}}),
        json!({"sessions": {"move_every": 7, "versions": true}}),
        json!({"long-fork": {"group_size": 4}}),
        json!({"closed-predicate": {"rows": 0, "group_size": 3}}),
        json!({"crdt": {"type": "or-set", "keys": 2}}),
        json!({"crdt": {"type": "g-counter"}}),
        json!({"crdt": {"type": "pn-counter"}}),
        json!({"crdt": {"type": "lww-register"}}),
    ];
    let plain = plain.map(|(doc, workload)| (doc, workload, judging(doc.checkers)));
    let with_options = with_options.into_iter().map(|workload| {
        let options: WorkloadOptions = serde_json::from_value(workload.clone()).expect("a workload of a plan");
        (options.doc(), workload, judging(&options.build().checkers()))
    });
    let mut judging = JoinSet::new();
    for (doc, workload, checkers) in plain.chain(with_options) {
        judging.spawn(async move {
            for verdict in judged(&workload, honest(doc.name), &checkers).await {
                let Verdict { checker, validity, summary, findings, .. } = verdict;
                assert_eq!(validity, Validity::Valid, "{workload}, {checker}: {summary}: {findings:?}");
            }
        });
    }
    all_hold(judging).await;
}

/// Waits for all; fails where one failed. They wait for refused clients most of the time.
async fn all_hold(mut cases: JoinSet<()>) {
    let mut failed = 0;
    while let Some(case) = cases.join_next().await {
        failed += usize::from(case.is_err());
    }
    assert_eq!(failed, 0, "cases failed: what they said is above");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lie_is_found_as_what_it_is() {
    let mut finding = JoinSet::new();
    for Lie { workload, faults, kind, checker } in lies() {
        let doc = WORKLOADS.iter().find(|doc| workload.get(doc.name).is_some()).expect("a workload");
        let checker = checker.unwrap_or(doc.checkers[0]);
        assert!(doc.checkers.contains(&checker), "{} does not drive {checker}", doc.name);
        finding.spawn(async move {
            let verdict = &judged(&workload, faults, &[checker]).await[0];
            let kinds: Vec<&str> = verdict.findings.iter().map(|finding| finding.kind.as_str()).collect();
            assert!(
                verdict.validity == Validity::Invalid && kinds.iter().any(|found| found.starts_with(kind)),
                "{workload}, {checker}, {kind}: {}: {kinds:?}",
                verdict.summary
            );
        });
    }
    all_hold(finding).await;
}

/// A checker that a workload drives finds something when a store lies.
#[test]
fn every_checker_of_a_workload_has_a_lie_that_it_finds() {
    let lies = lies();
    for doc in WORKLOADS {
        assert!(lies.iter().any(|lie| lie.workload.get(doc.name).is_some()), "{} has no case here", doc.name);
    }
    let driven: HashSet<&str> = WORKLOADS.iter().flat_map(|doc| judging(doc.checkers)).collect();
    let found = |lie: &Lie| {
        let doc = WORKLOADS.iter().find(|doc| lie.workload.get(doc.name).is_some()).expect("a workload");
        lie.checker.unwrap_or(doc.checkers[0])
    };
    let found: HashSet<&str> = lies.iter().map(found).collect();
    let missing: Vec<&&str> = driven.difference(&found).collect();
    assert!(missing.is_empty(), "no lie here is found by {missing:?}");
}
