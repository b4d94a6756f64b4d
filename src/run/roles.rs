//! The role prober: asks every node for its role repeatedly, records each claim with its interval, and knows the leader.
//!
//! One question at a time for each node, each with a deadline, so that a paused node does not delay the others. Never: judges
//! about two leaders.
use dsfuzz_checkers::history::{Mark, RoleClaim, leads_by_name};
use dsfuzz_workloads::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

pub use crate::targets::RoleAnswer;

/// Asks a node for its role.
pub type AskRole = Arc<dyn Fn(&str) -> BoxFuture<'static, Result<RoleAnswer, String>> + Send + Sync>;
/// The journal's next index and the time, taken just before a question leaves. It must not consume the index, since a
/// cancelled question leaves no record.
pub type TakeMark = Arc<dyn Fn() -> Mark + Send + Sync>;
/// Writes a claim into the journal, fills in its index and time, and returns its mark.
pub type RecordRole = Arc<dyn Fn(RoleClaim) -> Mark + Send + Sync>;

/// Asks every node for its role.
#[derive(Clone)]
pub struct Prober {
    /// The question.
    pub ask: AskRole,
    /// Called just before a question leaves.
    pub mark: TakeMark,
    /// Called just after the answer came.
    pub record: RecordRole,
    /// Time between two questions to a node.
    pub every: Duration,
    /// Deadline of a question.
    pub deadline: Duration,
    /// Several nodes may lead at once by the target's design.
    pub several: bool,
}

/// The nodes that lead, and those that led before, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leaders of the present; several only where the target has shards.
    pub now: Vec<String>,
    /// The nodes that led before and do not lead now, the latest first.
    pub former: Vec<String>,
}

impl Leadership {
    /// Sets the leaders; returns whether they changed.
    fn set(&mut self, now: Vec<String>) -> bool {
        if self.now == now {
            return false;
        }
        for before in std::mem::replace(&mut self.now, now) {
            self.former.retain(|former| *former != before);
            self.former.insert(0, before);
        }
        self.former.retain(|former| !self.now.contains(former));
        true
    }
}

impl From<Vec<String>> for Leadership {
    /// These leaders, before whom none led.
    fn from(now: Vec<String>) -> Leadership {
        Leadership { now, former: Vec::new() }
    }
}

/// The leadership of the present.
pub type Leaders = watch::Receiver<Leadership>;

/// A node's last claim.
#[derive(Clone, Debug)]
struct LastClaim {
    leads: bool,
    /// Only a term that was read together with the role.
    term: Option<i64>,
    heard: Instant,
}

/// A claim older than this number of questions is stale.
const STALE_AFTER: u32 = 6;

impl Prober {
    /// Asks until `stop` turns true. `leaders` holds the leaders by the claims.
    pub async fn run(self, nodes: Vec<String>, leaders: watch::Sender<Leadership>, stop: watch::Receiver<bool>) {
        let claims: Arc<Mutex<BTreeMap<String, LastClaim>>> = Arc::default();
        let leaders = Arc::new(leaders);
        let mut tasks = JoinSet::new();
        for node in nodes {
            tasks.spawn(self.clone().probe(node, claims.clone(), leaders.clone(), stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn probe(
        self,
        node: String,
        claims: Arc<Mutex<BTreeMap<String, LastClaim>>>,
        leaders: Arc<watch::Sender<Leadership>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut ticks = tokio::time::interval(self.every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                _ = ticks.tick() => {}
            }
            let claim = tokio::select! {
                biased;
                // A cancelled question has no record: nothing was claimed.
                () = stopped(&mut stop) => return,
                claim = self.question(&node) => claim,
            };
            let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(claim) = claim {
                claims.insert(node.clone(), claim);
            }
            let stale = (self.every * STALE_AFTER).max(self.deadline);
            let now = current_leaders(&claims, Instant::now(), stale, self.several);
            leaders.send_if_modified(|leadership| leadership.set(now));
        }
    }

    /// One question and its record. None without an answer: the node's older claim stands until it is stale.
    async fn question(&self, node: &str) -> Option<LastClaim> {
        let sent = (self.mark)();
        let answer = match tokio::time::timeout(self.deadline, (self.ask)(node)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", self.deadline.as_millis())),
        };
        let claim = answer.as_ref().ok().map(|answer| LastClaim {
            leads: answer.leads,
            term: answer.term.filter(|_| answer.term_with_role),
            heard: Instant::now(),
        });
        let answer = answer.unwrap_or_else(|detail| RoleAnswer { detail, ..RoleAnswer::default() });
        (self.record)(RoleClaim {
            index: 0,
            time: 0,
            sent_index: sent.index,
            sent_time: sent.time,
            node: node.into(),
            leads: (answer.leads != leads_by_name(&answer.role)).then_some(answer.leads),
            role: answer.role.as_str().into(),
            term: answer.term,
            term_with_role: answer.term_with_role,
            source: "probe".into(),
            detail: answer.detail,
        });
        claim
    }
}

/// The leader: of the fresh claims to lead, the one with the highest trustworthy term, then the most recent. A claim whose
/// term is lower than any node's known term does not count. Where `several` nodes may lead at once: all with a fresh claim.
fn current_leaders(claims: &BTreeMap<String, LastClaim>, now: Instant, stale: Duration, several: bool) -> Vec<String> {
    let fresh = || claims.iter().filter(move |(_, claim)| now.saturating_duration_since(claim.heard) <= stale);
    if several {
        return fresh().filter(|(_, claim)| claim.leads).map(|(node, _)| node.clone()).collect();
    }
    let newest_term = fresh().filter_map(|(_, claim)| claim.term).max();
    let leader = fresh()
        .filter(|(_, claim)| claim.leads && (claim.term.is_none() || claim.term >= newest_term))
        .max_by_key(|(_, claim)| (claim.term, claim.heard));
    leader.map(|(node, _)| node.clone()).into_iter().collect()
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(of: &[(&str, bool, Option<i64>, u64)], start: Instant) -> BTreeMap<String, LastClaim> {
        let claim = |leads: &bool, term: &Option<i64>, at: &u64| LastClaim {
            leads: *leads,
            term: *term,
            heard: start + Duration::from_millis(*at),
        };
        of.iter().map(|(node, leads, term, at)| ((*node).to_owned(), claim(leads, term, at))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_highest_trustworthy_term_leads_then_the_most_recent_claim() {
        let start = Instant::now();
        let now = start + Duration::from_millis(1000);
        let stale = Duration::from_millis(900);
        for (of, expected) in [
            (&[("n1", true, Some(4), 900), ("n2", true, Some(5), 800)][..], Some("n2")),
            (&[("n1", true, None, 900), ("n2", true, None, 800)][..], Some("n1")),
            (&[("n1", true, Some(4), 900), ("n2", false, Some(5), 800)][..], None),
            (&[("n1", true, Some(5), 900), ("n2", false, Some(4), 950)][..], Some("n1")),
            (&[("n1", true, Some(5), 50), ("n2", false, Some(4), 950)][..], None),
            (&[("n1", false, None, 900)][..], None),
        ] {
            assert_eq!(
                current_leaders(&claims(of, start), now, stale, false).first().map(String::as_str),
                expected,
                "{of:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_leaders_each_fresh_claim_counts_whatever_its_term() {
        let start = Instant::now();
        let (now, stale) = (start + Duration::from_millis(1000), Duration::from_millis(900));
        let of = [("n1", true, Some(4), 900), ("n2", true, Some(5), 800), ("n3", false, Some(7), 950)];
        assert_eq!(current_leaders(&claims(&of, start), now, stale, true), ["n1", "n2"]);
        let of = [("n1", true, Some(4), 50), ("n2", true, None, 800)];
        assert_eq!(current_leaders(&claims(&of, start), now, stale, true), ["n2"], "the claim of n1 is stale");
    }

    #[test]
    fn a_former_leader_is_one_that_led_and_does_not_lead_now() {
        let mut leadership = Leadership::default();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (now, former) in [
            (&["n1"][..], &[][..]),
            (&[], &["n1"]),
            (&["n1"], &[]),
            (&["n2"], &["n1"]),
            (&["n3"], &["n2", "n1"]),
            (&["n1"], &["n3", "n2"]),
            (&["n1", "n2"], &["n3"]),
        ] {
            assert!(leadership.set(names(now)));
            assert!(!leadership.set(names(now)), "nothing changed");
            assert_eq!(leadership, Leadership { now: names(now), former: names(former) });
        }
    }

    /// Records of a prober that ran for this time on these answers.
    async fn probe(ask: AskRole, lasts: Duration) -> (Vec<RoleClaim>, Option<String>) {
        let records: Arc<Mutex<Vec<RoleClaim>>> = Arc::default();
        let counter = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let start = Instant::now();
        let mark: TakeMark = {
            let counter = counter.clone();
            Arc::new(move || Mark {
                index: counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
                time: u64::try_from(start.elapsed().as_nanos()).expect("a short test"),
            })
        };
        let record: RecordRole = {
            let (records, mark) = (records.clone(), mark.clone());
            Arc::new(move |mut record: RoleClaim| {
                let now = mark();
                (record.index, record.time) = (now.index, now.time);
                records.lock().expect("records").push(record);
                now
            })
        };
        let prober = Prober {
            ask,
            mark,
            record,
            every: Duration::from_millis(200),
            deadline: Duration::from_millis(500),
            several: false,
        };
        let (leader, leader_now) = watch::channel(Leadership::default());
        let (stop, stopped) = watch::channel(false);
        let nodes = vec!["n1".to_owned(), "n2".to_owned()];
        let running = tokio::spawn(prober.run(nodes, leader, stopped));
        tokio::time::sleep(lasts).await;
        let leads = leader_now.borrow().now.first().cloned();
        stop.send_replace(true);
        running.await.expect("the prober ends");
        let records = records.lock().expect("records").clone();
        (records, leads)
    }

    fn says(role: &str) -> Result<RoleAnswer, String> {
        let leads = leads_by_name(role);
        Ok(RoleAnswer { role: role.to_owned(), leads, term: Some(3), term_with_role: true, detail: role.to_owned() })
    }

    #[tokio::test(start_paused = true)]
    async fn claims_are_recorded_with_the_interval_in_which_they_held() {
        let ask: AskRole = Arc::new(|node| {
            let leads = node == "n2";
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                says(if leads { "primary" } else { "follower" })
            })
        });
        let (records, leader) = probe(ask, Duration::from_millis(1100)).await;
        assert_eq!(leader.as_deref(), Some("n2"));
        assert_eq!(records.len(), 12);
        for record in records {
            assert!(record.sent_index < record.index && record.time - record.sent_time >= 5_000_000, "{record:?}");
            assert_eq!(&*record.role, if &*record.node == "n2" { "primary" } else { "follower" });
            assert_eq!((record.term, record.term_with_role, &*record.source), (Some(3), true, "probe"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_answer_holds_up_nobody() {
        let ask: AskRole = Arc::new(|node| {
            let hangs = node == "n1";
            Box::pin(async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                says("leader")
            })
        });
        let (records, leader) = probe(ask, Duration::from_millis(2050)).await;
        assert_eq!(leader.as_deref(), Some("n2"));
        let (mute, answering): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| &*record.node == "n1");
        assert_eq!((mute.len(), answering.len()), (4, 11), "one question in flight for each node");
        assert!(mute.iter().all(|record| record.role.is_empty() && record.detail == "no answer within 500 ms"));
    }
}
