//! Clients that follow the leader: they are opened on the new one, as new processes, when leadership moves.
use super::*;
use dsfuzz_workloads::lock::LockOptions;
use std::collections::BTreeMap;

/// Answers Ok after a moment; at the call of each of these numbers the leaders become those beside it.
fn led(moves: Vec<(u64, &'static [&'static str])>) -> (Scripted, watch::Receiver<Leadership>) {
    let names = |nodes: &[&str]| nodes.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (sender, leaders) = watch::channel(Leadership::default());
    let scripted = Scripted::new(move |number, call| {
        for (_, nodes) in moves.iter().filter(|(at, _)| *at == number) {
            sender.send_replace(names(nodes).into());
        }
        let reply = if &*call.f == "acquire" { Value::Nil } else { Value::Bool(true) };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            CallResult::Ok(reply)
        })
    });
    (scripted, leaders)
}

fn following(clients: u32, of: u32, leaders: watch::Receiver<Leadership>, ops_max: u64) -> DriverOptions {
    DriverOptions { on_leader: OnLeader { clients, leaders }, ops_max: Some(ops_max), ..options(of) }
}

/// The nodes that each worker called, in order, each with the process that called it.
fn stays(history: &History) -> BTreeMap<u32, Vec<(String, u64)>> {
    let mut stays: BTreeMap<u32, Vec<(String, u64)>> = BTreeMap::new();
    for op in history.ops().iter() {
        let (stay, known) = ((history.name(op.node).to_owned(), op.process), stays.entry(op.worker).or_default());
        if known.last() != Some(&stay) {
            known.push(stay);
        }
    }
    stays
}

fn stay(node: &str, process: u64) -> (String, u64) {
    (node.to_owned(), process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_follow_the_leader_as_new_processes_and_stay_while_none_is_known() {
    let bench = Bench::new();
    let (scripted, leaders) = led(vec![(200, &["n2"]), (400, &[]), (600, &["n3"])]);
    let summary = bench.load(scripted.clone(), vec![register()], following(2, 6, leaders, 800)).await;
    assert_eq!(summary.stopped, StopReason::OpsMax);
    let history = bench.history();
    let expected = BTreeMap::from([
        (0, vec![stay("n1", 0)]),
        (1, vec![stay("n2", 1)]),
        (2, vec![stay("n3", 2)]),
        (3, vec![stay("n1", 3)]),
        // On its home until a leader is known, which happens to be that; then where leadership went.
        (4, vec![stay("n2", 4), stay("n3", 10)]),
        (5, vec![stay("n3", 5), stay("n2", 11), stay("n3", 17)]),
    ]);
    assert_eq!(stays(&history), expected);
    assert_eq!(summary.next_process, 18);
    let opened = scripted.opened().len() as u64;
    assert_eq!((opened, scripted.dropped.load(Ordering::SeqCst)), (9, 9), "one for each stay, and none is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_known_at_the_begin_is_called_first_by_the_first_process() {
    let bench = Bench::new();
    let (scripted, _leaders) = led(Vec::new());
    let leaders = watch::Sender::new(Leadership::from(vec!["n3".to_owned()])).subscribe();
    bench.load(scripted, vec![register()], following(4, 4, leaders, 200)).await;
    let all_on_n3: BTreeMap<u32, _> = (0..4).map(|worker| (worker, vec![stay("n3", u64::from(worker))])).collect();
    assert_eq!(stays(&bench.history()), all_on_n3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_spread_over_several_leaders_and_each_stays_while_its_own_leads() {
    let bench = Bench::new();
    let (scripted, leaders) = led(vec![(0, &["n1", "n2", "n3"]), (300, &["n1", "n3"])]);
    bench.load(scripted, vec![register()], following(6, 6, leaders, 600)).await;
    let stays = stays(&bench.history());
    for (worker, stays) in &stays {
        let expected = match worker % 3 {
            0 => vec![stay("n1", u64::from(*worker))],
            1 => vec![stay("n2", u64::from(*worker)), stay("n3", u64::from(worker + 6))],
            _ => vec![stay("n3", u64::from(*worker))],
        };
        assert_eq!(*stays, expected, "worker {worker}");
    }
    assert_eq!(stays.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_holds_a_lock_follows_after_its_release() {
    let bench = Bench::new();
    let moves: Vec<(u64, &[&str])> =
        (1..20).map(|turn| (turn * 20, if turn % 2 == 0 { &["n1"][..] } else { &["n2"][..] })).collect();
    let (scripted, leaders) = led(moves);
    let lock: Arc<dyn Workload> = Arc::from(WorkloadOptions::Lock(LockOptions::default()).build());
    bench.load(scripted, vec![lock], following(3, 3, leaders, 400)).await;
    let history = bench.history();
    let mut held: BTreeMap<u64, i32> = BTreeMap::new();
    for op in history.ops().iter().filter(|op| op.outcome == Outcome::Ok) {
        *held.entry(op.process).or_default() += if history.name(op.function) == "acquire" { 1 } else { -1 };
    }
    assert!(held.len() > 10, "leadership moved often: {held:?}");
    let last = history.ops().iter().map(|op| (op.worker, op.process)).collect::<BTreeMap<u32, u64>>();
    for (process, holds) in held.into_iter().filter(|(process, _)| !last.values().any(|last| last == process)) {
        assert_eq!(holds, 0, "process {process} was replaced while it held a lock");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_followed_the_leader_is_assigned_its_logs_again() {
    let bench = Bench::new();
    let moves: Vec<(u64, &[&str])> =
        (1..20).map(|turn| (turn * 20, if turn % 2 == 0 { &["n1"][..] } else { &["n2"][..] })).collect();
    let (scripted, leaders) = led(moves);
    let log: Arc<dyn Workload> = Arc::from(WorkloadOptions::Log(LogOptions::default()).build());
    bench.load(scripted, vec![log], following(3, 3, leaders, 600)).await;
    let history = bench.history();
    let (mut assigned, mut polls) = (HashSet::new(), 0);
    for op in history.ops().iter() {
        match history.name(op.function) {
            "assign" => drop(assigned.insert(op.process)),
            "poll" => {
                polls += 1;
                assert!(assigned.contains(&op.process), "process {} polls and is assigned nothing", op.process);
            }
            _ => {}
        }
    }
    assert!(polls > 50 && assigned.len() > 10, "{polls} polls by {} consumers", assigned.len());
}
