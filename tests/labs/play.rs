//! One fault played on a lab: real agents, the executor of a run, its events.
use dsfuzz::lab::Lab;
use dsfuzz::run::hosts::Hosts;
use dsfuzz::run::nemesis::{Executor, FaultOutcome};
use dsfuzz_checkers::history::{FaultEvent, FaultStep, Mark};
use dsfuzz_nemesis::{ClusterShape, ClusterView, FaultOptions, NemesisOptions, NodeView, Span, Timetable, timetable};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);

/// An executor whose events are kept, and those events.
fn executor(lab: &Lab, hosts: &Arc<Hosts>) -> (Executor, Arc<Mutex<Vec<FaultEvent>>>) {
    let output: Arc<Mutex<Vec<FaultEvent>>> = Arc::default();
    let nodes = lab.nodes().into_iter().map(|(node, _)| NodeView {
        name: node.name.to_string(),
        address: node.address,
        others: Vec::new(),
        ports: vec![5005],
        port_roles: [("peer".to_owned(), 5005), ("client".to_owned(), 5006)].into(),
        services: Vec::new(),
        own_kernel: false,
    });
    let view = ClusterView { nodes: nodes.collect(), leaders: vec!["n1".to_owned()], ..ClusterView::default() };
    let log = Arc::clone(&output);
    let born = Instant::now();
    let now = move || u64::try_from(born.elapsed().as_nanos()).expect("a short test");
    let executor = Executor::new(
        Arc::clone(hosts) as Arc<_>,
        hosts.run_name(),
        Arc::new(move |event| {
            let mut log = log.lock().expect("events");
            log.push(event);
            Mark { index: log.len() as u64, time: now() }
        }),
        Arc::new(move |_| {
            let view = view.clone();
            Box::pin(async move { view })
        }),
        Arc::new(now),
    );
    (executor, output)
}

fn one(fault: serde_json::Value, nodes: usize, lasts: Duration) -> Timetable {
    let fault: FaultOptions = serde_json::from_value(fault).expect("options");
    let options = NemesisOptions { faults: vec![fault], ..NemesisOptions::default() };
    let mut drawn = timetable(
        7,
        &options,
        ClusterShape { nodes, leads: true, quiet_end: Duration::ZERO, election: Duration::ZERO },
        Duration::from_secs(60),
    );
    drawn.faults.truncate(1);
    (drawn.faults[0].at, drawn.faults[0].lasts) = (Span(Duration::ZERO), Span(lasts));
    drawn
}

/// Plays one fault on the lab, as a plan writes it; `during` runs once it is proven or cannot be.
pub(crate) fn play(
    lab: &Lab,
    fault: serde_json::Value,
    during: impl FnOnce() + Send,
) -> (FaultOutcome, Vec<FaultEvent>) {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            lab.enter_thread().expect("entered");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let hosts = Hosts::connect(lab.nodes(), "partitions".into(), false).await.expect("connected");
                let (executor, output) = executor(lab, &hosts);
                let (stop, stopped) = watch::channel(false);
                let table = one(fault, lab.nodes().len(), 60 * SECOND);
                let running = executor.run(&table, tokio::time::Instant::now(), stopped);
                let ready = Arc::clone(&output);
                let meanwhile = async {
                    let settled = |event: &FaultEvent| matches!(event.step, FaultStep::Proven | FaultStep::Unproven);
                    while !ready.lock().expect("events").iter().any(settled) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    std::thread::scope(|scope| scope.spawn(during).join()).expect("looked");
                    stop.send_replace(true);
                };
                let (mut reports, ()) = tokio::join!(running, meanwhile);
                for remote in hosts.remotes() {
                    let undone = remote.ask(dsfuzz_nemesis::protocol::Request::UndoAll, Vec::new(), 10 * SECOND).await;
                    undone.expect("nothing is left");
                }
                hosts.bye(false).await;
                let output = output.lock().expect("events").clone();
                (reports.remove(0), output)
            })
        });
        inside.join().expect("joined")
    })
}

/// The details of the first event of this step.
pub(crate) fn detail(output: &[FaultEvent], step: FaultStep) -> String {
    let event = output.iter().find(|event| event.step == step).unwrap_or_else(|| panic!("no {step:?} in {output:?}"));
    event.detail.join(" | ")
}
