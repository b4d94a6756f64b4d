//! Every workload, driven against the store in memory: an honest store keeps every promise that the workload's checkers judge, and
//! each lie of a store is found as what it is. A new workload has its cases here.
use super::*;
use dsfuzz_checkers::{Budget, CHECKERS, Options, Validity, Value, Verdict, checker_with};
use dsfuzz_workloads::{WORKLOADS, WorkloadDoc};
use serde_json::json;
use std::collections::BTreeSet;
use tokio::task::JoinSet;

/// A workload as a plan writes it, a lie of the store, and how the kind of the finding that shows it begins: in one of
/// these ways, with `|` between them.
struct Lie {
    workload: serde_json::Value,
    faults: StoreFaults,
    kind: &'static str,
    /// The checker that finds it; left out: one of the workload's own.
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
    lies_of_single_objects().into_iter().chain(lies_of_the_others()).collect()
}

/// Lies about single objects, and about their replicas.
fn lies_of_single_objects() -> Vec<Lie> {
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
        lie(json!({"lock": {"keys": 2}}), StoreFaults { lost_every: 3, ..HONEST }, "double-hold"),
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
        // Of two writes in a row every second one would be replicated, and a group of two keys never be forked.
        lie(json!({"long-fork": {}}), apart(1), "long-fork"),
        lie(json!({"long-fork": {"group_size": 5}}), apart(1), "long-fork"),
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
    ]
}

/// Lies about transactions, accounts, locks, logs and decisions.
fn lies_of_the_others() -> Vec<Lie> {
    let lie = |workload, faults, kind| Lie { workload, faults, kind, checker: None };
    vec![
        lie(json!({"bank": {}}), StoreFaults { stale_every: 10, ..HONEST }, "wrong-total"),
        lie(json!({"bank": {}}), StoreFaults { lost_every: 10, ..HONEST }, "wrong-total"),
        lie(json!({"bank": {"total": 20}}), StoreFaults { unchecked_every: 2, ..HONEST }, "negative-value"),
        lie(json!({"list-append": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "G1a"),
        lie(json!({"list-append": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-update"),
        lie(json!({"list-append": {}}), StoreFaults { stale_every: 10, ..HONEST }, "G-single-item"),
        lie(json!({"rw-register": {}}), StoreFaults { fail_done_every: 10, ..HONEST }, "G1a"),
        // Where no two transactions read the same value before they write, a lost write shows by the order of what is read.
        lie(json!({"rw-register": {}}), StoreFaults { lost_every: 10, ..HONEST }, "lost-update|cyclic-versions"),
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

/// The clock of a load. Final reads have the real one, because checkers measure how long replicas differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LoadClock {
    Real,
    /// It moves on when all wait.
    Simulated,
}

/// Clients whose calls last a moment, so that those of different clients mix, and a pause is as long as some calls.
struct Distant(Memory);

struct DistantClient(Box<dyn Client>);

impl Connect for Distant {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        Box::pin(async {
            let client = self.0.open(endpoint).await?;
            Ok(Box::new(DistantClient(client)) as Box<dyn Client>)
        })
    }
}

impl Client for DistantClient {
    fn call<'a>(&'a mut self, call: &'a Call, terms: Terms) -> BoxFuture<'a, CallResponse> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.0.call(call, terms).await
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.0.close()
    }
}

/// What checkers say of a load whose calls come in one order for ever, so that a lie that is found once is found always: one thread
/// makes them, and no pause lasts longer on a busy machine.
fn judged_in_one_order(workload: &serde_json::Value, faults: StoreFaults, checkers: &[&str]) -> Vec<Verdict> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(judged(workload, faults, checkers, LoadClock::Simulated))
}

/// What each of these checkers says of a load and its final reads against this store.
async fn judged(
    workload: &serde_json::Value,
    faults: StoreFaults,
    checkers: &[&str],
    clock: LoadClock,
) -> Vec<Verdict> {
    let options: WorkloadOptions = serde_json::from_value(workload.clone()).expect("a workload of a plan");
    let workload: Arc<dyn Workload> = Arc::from(options.build());
    let (bench, memory) = (Bench::new(), Memory::faulty(faults));
    memory.set_up(&*workload);
    let workloads = [workload.clone()];
    let limits = DriverOptions { ops_max: Some(1500), ..super::options(5) };
    let loaded = match clock {
        LoadClock::Real => bench.load(memory.clone(), workloads.to_vec(), limits).await,
        LoadClock::Simulated => {
            let loaded = bench.load(Distant(memory.clone()), workloads.to_vec(), limits).await;
            tokio::time::resume();
            loaded
        }
    };
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

/// Workloads with options, and checkers that a plan may name besides. What an option adds to a promise is kept by an honest store, and
/// what it allows is no finding.
fn kept() -> Vec<(serde_json::Value, Vec<&'static str>)> {
    let mut kept: Vec<(serde_json::Value, Vec<&str>)> =
        WORKLOADS.iter().map(|doc| (plain(doc.name), Vec::new())).collect();
    kept.push((json!({"rw-register": {}}), vec!["read-committed", "read-atomic", "causal-transactions"]));
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
        json!({"lock-set": {"keys": 2, "tokens": true}}),
        json!({"log": {"txn": true, "sub_via": "subscribe", "crash": 20}}),
        json!({"watch": {"watchers": 2, "delete": 0}}),
        json!({"atomic-commit": {"participants": 3}}),
    ];
    kept.extend(with_options.map(|workload| (workload, Vec::new())));
    kept
}

/// The workload's entry and the checkers that it chooses with these options.
fn chosen(workload: &serde_json::Value) -> (&'static WorkloadDoc, Vec<&'static str>) {
    let options: WorkloadOptions = serde_json::from_value(workload.clone()).expect("a workload of a plan");
    (options.doc(), options.build().checkers())
}

/// Whether it judges workloads. One of runs finds nothing to judge here.
fn judges_calls(checker: &str) -> bool {
    CHECKERS.iter().any(|doc| doc.name == checker && !doc.judges.runs)
}

/// The checkers that workloads drive.
fn driven() -> BTreeSet<&'static str> {
    WORKLOADS.iter().flat_map(|doc| doc.checkers).copied().filter(|name| judges_calls(name)).collect()
}

/// What the cases say, together. Loads spend their time in the pauses after failures, so that many of them fit into the time of one.
async fn side_by_side(mut cases: JoinSet<Vec<&'static str>>) -> BTreeSet<&'static str> {
    let (mut said, mut failed) = (BTreeSet::new(), 0);
    while let Some(case) = cases.join_next().await {
        match case {
            Ok(names) => said.extend(names),
            Err(_) => failed += 1,
        }
    }
    assert_eq!(failed, 0, "cases failed: what they said is above");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_store_keeps_every_promise_that_a_workload_drives() {
    let mut cases = JoinSet::new();
    for (workload, besides) in kept() {
        let (doc, mut checkers) = chosen(&workload);
        checkers.extend(besides);
        cases.spawn(async move {
            for verdict in judged(&workload, honest(doc.name), &checkers, LoadClock::Real).await {
                let Verdict { checker, validity, summary, findings, .. } = verdict;
                let kept = validity == Validity::Valid || validity == Validity::Unknown && !judges_calls(&checker);
                assert!(kept, "{workload}, {checker}: {validity:?}: {summary}: {findings:?}");
            }
            checkers
        });
    }
    // A lock that is granted twice harms nothing that looks at tokens.
    let tokens = json!({"lock-set": {"tokens": true}});
    cases.spawn(async move {
        let verdicts = judged(&tokens, StoreFaults { shared_every: 2, ..HONEST }, &["fencing"], LoadClock::Real).await;
        assert_eq!(verdicts[0].validity, Validity::Valid, "{}", verdicts[0].summary);
        vec!["fencing"]
    });
    let valid = side_by_side(cases).await;
    let missing: Vec<_> = driven().into_iter().filter(|name| !valid.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} judged no honest store here");
}

#[test]
fn each_lie_is_found_as_what_it_is_and_every_checker_finds_one() {
    let lies = Mutex::new(lies().into_iter());
    let next = || lies.lock().expect("no panic inside").next();
    let work = || std::iter::from_fn(next).map(|lie| finders(&lie)).collect::<Vec<_>>();
    let found: Vec<Result<Vec<&str>, String>> = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(work));
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let missed: Vec<&String> = found.iter().filter_map(|found| found.as_ref().err()).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let finders: BTreeSet<&str> = found.into_iter().flatten().flatten().collect();
    let blind: Vec<_> = driven().into_iter().filter(|name| !finders.contains(name)).collect();
    assert!(blind.is_empty(), "{blind:?} found no lie here");
}

/// The checkers that find the lie as what it is. If none does, the error has what they say.
fn finders(Lie { workload, faults, kind, checker }: &Lie) -> Result<Vec<&'static str>, String> {
    let (doc, own) = chosen(workload);
    let checkers = checker.map_or(own, |checker| vec![checker]);
    // A declared workload names its checkers itself.
    let drives = |name: &&str| doc.checkers.contains(name) || doc.checkers.is_empty();
    assert!(checkers.iter().all(drives), "{} does not drive {checkers:?}", doc.name);
    let verdicts = judged_in_one_order(workload, *faults, &checkers);
    let is_it = |found: &str| kind.split('|').any(|kind| found.starts_with(kind));
    let shows = |verdict: &Verdict| {
        verdict.validity == Validity::Invalid && verdict.findings.iter().any(|finding| is_it(&finding.kind))
    };
    let finders = checkers.iter().zip(&verdicts).filter(|(_, verdict)| shows(verdict));
    let finders: Vec<&str> = finders.map(|(name, _)| *name).collect();
    let said =
        || verdicts.iter().map(|verdict| format!("{} {:?}", verdict.summary, kinds(verdict))).collect::<Vec<_>>();
    if finders.is_empty() { Err(format!("{workload}, {checkers:?}, {kind}: {:?}", said())) } else { Ok(finders) }
}

fn kinds(verdict: &Verdict) -> BTreeSet<&str> {
    verdict.findings.iter().map(|finding| finding.kind.as_str()).collect()
}

#[test]
fn every_workload_has_a_lie_that_is_found() {
    let lies = lies();
    for doc in WORKLOADS {
        assert!(lies.iter().any(|lie| lie.workload.get(doc.name).is_some()), "{} has no case here", doc.name);
    }
}
