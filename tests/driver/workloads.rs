//! Every workload, driven against the store in memory: an honest store keeps the promise that its first checker judges, and each
//! lie of a store is found as what it is. A new workload has its cases here.
use super::*;
use dsfuzz_checkers::{Budget, Validity, Verdict, checker_with};
use dsfuzz_workloads::{WORKLOADS, WorkloadDoc};
use serde_json::json;

/// A workload as a plan writes it, a lie of the store, and how the kind of the finding that shows it begins.
struct Lie {
    workload: serde_json::Value,
    faults: StoreFaults,
    kind: &'static str,
}

const HONEST: StoreFaults = StoreFaults {
    lost_every: 0,
    stale_every: 0,
    fail_done_every: 0,
    twice_every: 0,
    unchecked_every: 0,
    shared_every: 0,
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
    let lie = |workload, faults, kind| Lie { workload, faults, kind };
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
        lie(json!({"set": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-write"),
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
        lie(json!({"lock-set": {}}), StoreFaults { shared_every: 5, ..HONEST }, "lost-element"),
        lie(json!({"lock-set": {}}), StoreFaults { shared_every: 5, ..HONEST }, "double-hold"),
        lie(
            json!({"lock-set": {"keys": 2, "read": 0, "hold": 0}}),
            StoreFaults { lost_every: 10, ..HONEST },
            "lost-element",
        ),
        lie(
            json!({"lock-set": {"tokens": true}}),
            StoreFaults { shared_every: 2, unchecked_every: 1, ..HONEST },
            "stale-token-accepted",
        ),
        lie(json!({"election": {}}), StoreFaults { shared_every: 10, ..HONEST }, "two-leaders-in-one-term"),
        lie(
            json!({"election": {"keys": 2, "hold": 0}}),
            StoreFaults { lost_every: 10, ..HONEST },
            "two-leaders-in-one-term",
        ),
        lie(json!({"log": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-write"),
        lie(json!({"log": {}}), StoreFaults { twice_every: 10, ..HONEST }, "duplicate"),
        lie(json!({"log": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "G1a"),
        lie(json!({"log": {"txn": true}}), StoreFaults { stale_every: 10, ..HONEST }, "int-poll-skip"),
        lie(json!({"watch": {}}), StoreFaults { lost_every: 10, ..HONEST }, "watch-not-"),
        lie(json!({"watch": {}}), StoreFaults { stale_every: 5, ..HONEST }, "watch-not-reliable"),
        lie(json!({"watch": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "watch-unexpected-event"),
        lie(json!({"atomic-commit": {}}), StoreFaults { lost_every: 10, ..HONEST }, "acknowledged-commit-aborted"),
        lie(json!({"atomic-commit": {}}), StoreFaults { unchecked_every: 10, ..HONEST }, "mixed-decision"),
        lie(
            json!({"atomic-commit": {"participants": 3}}),
            StoreFaults { fail_done_every: 10, ..HONEST },
            "refused-commit-committed",
        ),
        lie(plain("declared"), StoreFaults { stale_every: 10, ..HONEST }, "stale-read"),
        lie(json!({"saga": {}}), StoreFaults { lost_every: 10, ..HONEST }, "incomplete-compensation"),
        lie(json!({"saga": {}}), StoreFaults { unchecked_every: 10, ..HONEST }, "completed-with-steps-missing"),
        lie(json!({"saga": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "refused-saga-ran"),
    ]
}

/// A workload with its defaults. A declared one has none.
fn plain(name: &str) -> serde_json::Value {
    if name != "declared" {
        return json!({ name: {} });
    }
    json!({"declared": {
        "object": "register", "keys": 3, "reads": "value", "checkers": ["linearizable"],
        "functions": {"write": {"value": "unique"}, "read": {"weight": 2}},
        "final": [{"f": "read"}],
    }})
}

/// What the workload's checkers say of a load and its final reads against this store.
async fn judged(workload: &serde_json::Value, faults: StoreFaults) -> Vec<Verdict> {
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
    let verdict = |name: &str| {
        let asked = checker_with(name, &workload.checker_options(name)).expect("a checker with the workload's options");
        asked.check(&history, &Budget::unlimited())
    };
    workload.checkers().into_iter().map(verdict).collect()
}

/// The first checker calls it valid, and no other finds anything. What judges the run as a whole finds nothing to judge here.
async fn assert_kept(workload: &serde_json::Value, faults: StoreFaults) {
    let verdicts = judged(workload, faults).await;
    assert_eq!(
        verdicts[0].validity,
        Validity::Valid,
        "{workload}: {}: {:?}",
        verdicts[0].summary,
        verdicts[0].findings
    );
    for verdict in verdicts {
        assert_ne!(verdict.validity, Validity::Invalid, "{workload}: {}: {:?}", verdict.summary, verdict.findings);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_store_keeps_every_promise() {
    let kept = |doc: &'static WorkloadDoc| async { assert_kept(&plain(doc.name), honest(doc.name)).await };
    side_by_side(WORKLOADS.iter().map(kept)).await;
}

/// What an option allows is no finding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_store_keeps_what_options_promise() {
    for workload in [
        json!({"bank": {"negative_balances": true, "total": 0}}),
        json!({"counter": {"keys": 3, "max_add": 1}}),
        json!({"lock-set": {"keys": 2, "tokens": true}}),
        json!({"log": {"txn": true, "sub_via": "subscribe", "crash": 20}}),
        json!({"watch": {"watchers": 2, "delete": 0}}),
        json!({"atomic-commit": {"participants": 3}}),
    ] {
        assert_kept(&workload, HONEST).await;
    }
    // A lock that is granted twice harms nothing that looks at tokens.
    let shared = StoreFaults { shared_every: 2, ..HONEST };
    assert_kept(&json!({"lock-set": {"tokens": true}}), shared).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lie_is_found_as_what_it_is() {
    let found = |Lie { workload, faults, kind }: Lie| async move {
        let verdicts = judged(&workload, faults).await;
        let found = |verdict: &Verdict| {
            let shows = verdict.findings.iter().any(|finding| finding.kind.starts_with(kind));
            verdict.validity == Validity::Invalid && shows
        };
        let all = || verdicts.iter().map(|verdict| &verdict.summary).collect::<Vec<_>>();
        assert!(verdicts.iter().any(found), "{workload}, {kind}: {:?}", all());
    };
    side_by_side(lies().into_iter().map(found)).await;
}

/// Loads spend their time in the pauses after failures, so that many of them fit into the time of one.
async fn side_by_side(loads: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut tasks: tokio::task::JoinSet<()> = loads.into_iter().collect();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

#[test]
fn every_workload_has_a_lie_that_is_found() {
    let lies = lies();
    for doc in WORKLOADS {
        assert!(lies.iter().any(|lie| lie.workload.get(doc.name).is_some()), "{} has no case here", doc.name);
    }
}
