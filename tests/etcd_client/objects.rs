//! Every object of the client on a real etcd: what each function does, and what becomes of it when a lease is over.
use super::*;
use dsfuzz_workloads::workload::Workload;
use dsfuzz_workloads::{WORKLOADS, WorkloadOptions};
use serde_json::json;
use std::sync::Arc;

/// One client of a workload.
struct Tried {
    workload: Arc<dyn Workload>,
    client: Box<dyn Client>,
}

impl Tried {
    async fn open(etcd: &Etcd, process: u64, workload: serde_json::Value, options: &[(&str, &str)]) -> Tried {
        let plan: WorkloadOptions = serde_json::from_value(workload).unwrap();
        let workload: Arc<dyn Workload> = Arc::from(plan.build());
        let client = open_for(&ClientWorkload::of(&*workload), etcd.port, process, options).await.unwrap();
        Tried { workload, client }
    }

    async fn call(&mut self, f: &str, key: Value, value: serde_json::Value) -> CallResult {
        let value: Value = serde_json::from_value(value).unwrap();
        let call = Call { workload: self.workload.name(), f: f.into(), key, value };
        self.client.call(&call, TERMS).await.result
    }

    /// The reply of a call that succeeds, as JSON text.
    async fn ok(&mut self, f: &str, value: serde_json::Value) -> String {
        match self.call(f, Value::Nil, value).await {
            CallResult::Ok(reply) => serde_json::to_string(&reply).unwrap(),
            other => panic!("{f}: {other:?}"),
        }
    }

    /// The error of a call that certainly had no effect.
    async fn fails(&mut self, f: &str, value: serde_json::Value) -> String {
        match self.call(f, Value::Nil, value).await {
            CallResult::Fail(why) => why.to_string(),
            other => panic!("{f}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_client_carries_every_workload_whose_object_it_names() {
    let etcd = Etcd::start().await;
    let carried: Vec<&str> = WORKLOADS
        .iter()
        .filter(|doc| dsfuzz::targets::etcd::OBJECTS.contains(&doc.object))
        .map(|doc| doc.name)
        .collect();
    assert!(carried.len() > 15, "{carried:?}");
    for name in carried {
        let mut tried = Tried::open(&etcd, 0, json!({ name: {} }), &[]).await;
        if let Some(prepared) = tried.client.setup(TERMS).await {
            assert!(matches!(prepared, CallResult::Ok(_)), "{name}: {prepared:?}");
        }
        // The first calls of a load: each is answered, none is unknown to the client.
        let mut generator = tried.workload.generator(7, 0, 1);
        for _ in 0..25 {
            let dsfuzz_workloads::Next::Call(call) = generator.next() else { continue };
            generator.taken();
            let answer = tried.client.call(&call, TERMS).await.result;
            let says = format!("{name}: {} {} {}: {answer:?}", call.f, call.key, call.value);
            match &answer {
                CallResult::Ok(_) => {}
                CallResult::Fail(why) => {
                    assert!(["precondition", "exists"].iter().any(|code| why.starts_with(code)), "{says}");
                }
                CallResult::Info(_) => assert_eq!(&*call.f, "crash", "{says}"),
            }
            generator.observe(&call, &answer);
        }
        for last in tried.workload.settle() {
            for call in last.before.iter().chain([&last.call]) {
                let answer = tried.client.call(call, TERMS).await.result;
                assert!(matches!(answer, CallResult::Ok(_)), "{name}: {call:?}: {answer:?}");
            }
        }
        tried.client.close().await;
    }
}

#[tokio::test]
async fn a_lock_is_held_by_one_until_it_is_released_closed_or_its_lease_is_over() {
    let etcd = Etcd::start().await;
    let lock = || json!({"lock": {}});
    let mut one = Tried::open(&etcd, 1, lock(), &[("session_ttl", "4")]).await;
    let mut two = Tried::open(&etcd, 2, lock(), &[]).await;
    let first: i64 = one.ok("acquire", json!(null)).await.parse().unwrap();
    assert_eq!(two.ok("acquire", json!(null)).await, "false");
    assert_eq!(two.fails("release", json!(null)).await, "not-held");
    // It is kept alive beyond its time of 4 s: the server has given it that much again, several times.
    for _ in 0..4 {
        let left = left(&etcd);
        until(|| self::left(&etcd) < left).await;
        let less = self::left(&etcd);
        until(|| self::left(&etcd) > less).await;
    }
    assert_eq!(two.ok("acquire", json!(null)).await, "false");
    one.ok("release", json!(null)).await;
    let second: i64 = two.ok("acquire", json!(null)).await.parse().unwrap();
    assert!(second > first, "tokens grow: {first}, {second}");
    assert_eq!(one.ok("acquire", json!(null)).await, "false");
    two.client.close().await;
    let third: i64 = one.ok("acquire", json!(null)).await.parse().unwrap();
    assert!(third > second);
    // A client that is dropped renews no more.
    drop(one);
    let mut three = Tried::open(&etcd, 3, lock(), &[]).await;
    let end = Instant::now() + Duration::from_secs(60);
    while three.ok("acquire", json!(null)).await == "false" {
        assert!(Instant::now() < end, "the lease of a dropped client does not lapse");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_semaphore_has_as_many_permits_as_the_workload_says() {
    let etcd = Etcd::start().await;
    let mut clients = Vec::new();
    for process in 0..3 {
        clients.push(Tried::open(&etcd, process, json!({"semaphore": {"permits": 2}}), &[]).await);
    }
    let mut replies = Vec::new();
    for client in &mut clients {
        replies.push(client.ok("acquire", json!(null)).await != "false");
    }
    assert_eq!(replies, [true, true, false]);
    clients[0].ok("release", json!(null)).await;
    assert_ne!(clients[2].ok("acquire", json!(null)).await, "false");
}

#[tokio::test]
async fn a_lease_lasts_as_long_as_it_is_renewed() {
    let etcd = Etcd::start().await;
    let lease = || json!({"lease": {"ttl_ms": 6000}});
    let (mut one, mut two) = (Tried::open(&etcd, 1, lease(), &[]).await, Tried::open(&etcd, 2, lease(), &[]).await);
    let time = || json!({"ttl_ms": 6000});
    assert_eq!(one.ok("acquire", time()).await, r#"{"ttl_ms":6000}"#);
    // Three times more than 2 s: longer than it lasts.
    for _ in 0..4 {
        until(|| left(&etcd) <= 4).await;
        assert_eq!(one.ok("renew", time()).await, r#"{"ttl_ms":6000}"#);
        assert_eq!(two.ok("acquire", time()).await, "false");
    }
    let end = Instant::now() + Duration::from_secs(60);
    while two.ok("acquire", time()).await == "false" {
        assert!(Instant::now() < end, "a lease that is not renewed does not lapse");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(one.fails("renew", time()).await.starts_with("not-held"));
    assert!(one.fails("release", json!(null)).await.starts_with("not-held"));
}

/// The seconds that the lease has left, as the server says.
fn left(etcd: &Etcd) -> i64 {
    let leases = post(etcd, "/v3/lease/leases", "{}");
    let ids = leases["leases"].as_array().expect("leases").iter().map(|lease| &lease["ID"]);
    let asked = ids.map(|id| post(etcd, "/v3/lease/timetolive", &json!({"ID": id, "keys": true}).to_string()));
    let held = asked.into_iter().find(|lease| lease["keys"].is_array()).expect("a lease with a key");
    held["TTL"].as_str().expect("seconds").parse().expect("a number")
}

async fn until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "not within 60 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Ends the lease of the client's lock or office behind its back.
fn lose(etcd: &Etcd) {
    let leases = post(etcd, "/v3/lease/leases", "{}");
    let lease = leases["leases"][0]["ID"].as_str().expect("a lease");
    post(etcd, "/v3/lease/revoke", &json!({ "ID": lease }).to_string());
}

/// Asks the gateway without the client.
fn post(etcd: &Etcd, path: &str, body: &str) -> serde_json::Value {
    let mut stream = TcpStream::connect(("127.0.0.1", etcd.port)).unwrap();
    let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").expect("a reply");
    assert!(head.contains(" 200 "), "{reply}");
    serde_json::from_str(body.trim()).expect("JSON")
}

#[tokio::test]
async fn a_set_is_written_back_whole_and_guarded_only_by_who_still_holds_its_lock() {
    for (guarded, shown) in [("true", "[1,3]"), ("false", "[1,2]")] {
        let etcd = Etcd::start().await;
        let set = || json!({"lock-set": {}});
        let options = [("guarded", guarded), ("session_ttl", "60")];
        let mut one = Tried::open(&etcd, 1, set(), &options).await;
        one.ok("acquire", json!(null)).await;
        one.ok("add", json!(1)).await;
        lose(&etcd);
        let mut two = Tried::open(&etcd, 2, set(), &options).await;
        assert_ne!(two.ok("acquire", json!(null)).await, "false", "the lock was lost");
        two.ok("add", json!(3)).await;
        match guarded {
            "true" => assert!(one.fails("add", json!(2)).await.starts_with("not-held")),
            _ => drop(one.ok("add", json!(2)).await),
        }
        let read = two.ok("read", json!(null)).await;
        assert_eq!(read, shown, "3 is lost if no look finds it");
    }
}

#[tokio::test]
async fn writes_with_tokens_are_refused_once_the_lock_is_lost() {
    let etcd = Etcd::start().await;
    let set = || json!({"lock-set": {"tokens": true}});
    let mut one = Tried::open(&etcd, 1, set(), &[("session_ttl", "60")]).await;
    let old: i64 = one.ok("acquire", json!(null)).await.parse().unwrap();
    one.ok("write", json!({"token": old, "value": 5})).await;
    lose(&etcd);
    let mut two = Tried::open(&etcd, 2, set(), &[]).await;
    let new: i64 = two.ok("acquire", json!(null)).await.parse().unwrap();
    two.ok("write", json!({"token": new, "value": 6})).await;
    assert!(one.fails("write", json!({"token": old, "value": 7})).await.starts_with("fenced"));
    assert!(two.fails("write", json!({"token": old, "value": 7})).await.starts_with("not-held"));
    assert_eq!(two.ok("log", json!(null)).await, format!("[[{old},5],[{new},6]]"));
}

#[tokio::test]
async fn an_office_has_one_leader_in_a_term() {
    let etcd = Etcd::start().await;
    let election = || json!({"election": {}});
    let (mut one, mut two) =
        (Tried::open(&etcd, 1, election(), &[]).await, Tried::open(&etcd, 2, election(), &[]).await);
    assert_eq!(one.ok("leader", json!(null)).await, "null");
    let elected = one.ok("elect", json!(11)).await;
    assert!(elected.starts_with(r#"{"leader":11,"term":"#), "{elected}");
    assert_eq!(two.ok("elect", json!(12)).await, elected, "another leads");
    assert_eq!(two.ok("leader", json!(null)).await, elected);
    let term: i64 = elected.trim_end_matches('}').rsplit(':').next().unwrap().parse().unwrap();
    one.ok("write", json!({"token": term, "value": 5})).await;
    assert!(two.fails("write", json!({"token": term, "value": 6})).await.starts_with("not-held"));
    one.ok("resign", json!(term)).await;
    let next = two.ok("elect", json!(12)).await;
    assert!(next.starts_with(r#"{"leader":12,"term":"#) && next != elected, "{next}");
    assert_eq!(one.ok("log", json!(null)).await, format!("[[{term},5]]"));
}

#[tokio::test]
async fn a_watch_delivers_every_change_from_its_revision_on() {
    let etcd = Etcd::start().await;
    let mut tried = Tried::open(&etcd, 0, json!({"watch": {}}), &[]).await;
    let key = || Value::text("0/1");
    let revision = |reply: CallResult| match reply {
        CallResult::Ok(Value::Int(revision)) => revision,
        other => panic!("{other:?}"),
    };
    let put = revision(tried.call("put", key(), json!(5)).await);
    let other = revision(tried.call("put", Value::text("1/1"), json!(6)).await);
    let deleted = revision(tried.call("delete", key(), json!(null)).await);
    assert_eq!((other, deleted), (put + 1, put + 2));
    assert_eq!(tried.call("delete", key(), json!(null)).await, CallResult::Ok(Value::Nil));
    assert_eq!(tried.call("get", Value::text("1/1"), json!(null)).await, CallResult::Ok(Value::Int(6)));
    let first = format!(r#"[{{"revision":{put},"type":"put","key":"0/1","value":5}}]"#);
    let second = format!(r#"[{{"revision":{other},"type":"put","key":"1/1","value":6}}]"#);
    let third = format!(r#"[{{"revision":{deleted},"type":"delete","key":"0/1"}}]"#);
    let from = |revision: i64| json!({"revision": revision, "for_ms": 300});
    assert_eq!(tried.ok("watch", from(1)).await, format!("[{first},{second},{third}]"));
    assert_eq!(tried.ok("watch", from(deleted)).await, format!("[{third}]"));
    assert_eq!(tried.ok("watch", from(deleted + 1)).await, "[]");
    let prefix = json!({"prefix": "1/", "revision": 1, "for_ms": 300});
    assert_eq!(tried.ok("watch", prefix).await, format!("[{second}]"));
    let one = json!({"key": "0/1", "revision": 1, "for_ms": 300});
    assert_eq!(tried.ok("watch", one).await, format!("[{first},{third}]"));
    post(&etcd, "/v3/kv/compaction", &json!({"revision": deleted.to_string(), "physical": true}).to_string());
    assert!(tried.fails("watch", from(1)).await.starts_with("gone: "), "compacted");
}

#[tokio::test]
async fn logs_give_offsets_and_consumers_keep_their_places() {
    let etcd = Etcd::start().await;
    let mut tried = Tried::open(&etcd, 0, json!({"log": {}}), &[]).await;
    assert!(tried.fails("poll", json!([["poll"]])).await.starts_with("not-found"));
    assert_eq!(tried.ok("send", json!([["send", 0, 7]])).await, r#"[["send",0,[0,7]]]"#);
    tried.ok("assign", json!({"keys": [0, 1], "seek-to-beginning?": true})).await;
    assert_eq!(tried.ok("poll", json!([["poll"]])).await, r#"[["poll",{"0":[[0,7]],"1":[]}]]"#);
    let both = json!([["send", 0, 8], ["poll"], ["send", 1, 9], ["send", 0, 10]]);
    let reply = tried.ok("txn", both).await;
    assert_eq!(reply, r#"[["send",0,[1,8]],["poll",{"0":[],"1":[]}],["send",1,[0,9]],["send",0,[2,10]]]"#);
    tried.ok("assign", json!([0])).await;
    assert_eq!(tried.ok("poll", json!([["poll"]])).await, r#"[["poll",{"0":[[1,8],[2,10]]}]]"#);
    tried.ok("assign", json!({"keys": [0], "seek-to-beginning?": true})).await;
    assert_eq!(tried.ok("poll", json!([["poll"]])).await, r#"[["poll",{"0":[[0,7],[1,8],[2,10]]}]]"#);
}

#[tokio::test]
async fn money_moves_and_predicates_hold() {
    let etcd = Etcd::start().await;
    let mut bank = Tried::open(&etcd, 0, json!({"bank": {"accounts": 2, "total": 10}}), &[]).await;
    for _ in 0..2 {
        assert_eq!(bank.client.setup(TERMS).await, Some(CallResult::Ok(Value::Nil)));
    }
    bank.ok("transfer", json!({"from": 0, "to": 1, "amount": 3})).await;
    assert_eq!(bank.ok("read", json!(null)).await, r#"{"0":2,"1":8}"#);
    assert_eq!(bank.client.setup(TERMS).await, Some(CallResult::Ok(Value::Nil)));
    assert!(bank.fails("transfer", json!({"from": 0, "to": 1, "amount": 3})).await.starts_with("precondition"));
    assert_eq!(bank.ok("read", json!(null)).await, r#"{"0":2,"1":8}"#);

    let mut g2 = Tried::open(&etcd, 0, json!({"g2": {}}), &[]).await;
    g2.ok("insert", json!([1, null])).await;
    assert_eq!(g2.fails("insert", json!([null, 2])).await, "exists");

    let mut rows = Tried::open(&etcd, 0, json!({"monotonic": {}}), &[]).await;
    assert_eq!(rows.ok("add", json!(5)).await, "5");
    assert_eq!(rows.ok("add", json!(null)).await, "6");
    let read = rows.ok("read", json!(null)).await;
    assert!(read.starts_with("[[5,") && read.contains(",[6,"), "{read}");
}
