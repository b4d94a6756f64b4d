//! Programs that serve several clients each.
use super::*;
use dsfuzz::targets::exec::Programs;
use std::collections::BTreeSet;

/// With the loop of the examples. Each program leaves a file with its number; calls do by the added value what stands beside it.
const SEVERAL: &str = r#"
import os, sys, time
sys.path.insert(0, sys.argv[2])
from dsfuzz_client import info, not_supported, ok, serve
open(f"{sys.argv[1]}/program-{os.getpid()}", "w").close()

def connect(init):
    if init["options"]["mode"] == "refused":
        raise OSError("no server here")
    return []

def carry_out(elements, call):
    value = call["value"]
    if call["f"] == "read":
        return ok(elements)
    if value == 100:
        time.sleep(3600)                                  # hangs
    elif value == 101:
        os._exit(3)                                       # crashes
    elif value == 102:
        print("Traceback: oh no", flush=True)             # garbage
    elif value == 103:
        raise RuntimeError("a mistake of the client")
    elif value == 104:
        return info("lost", "connection reset")
    elements.append(value)
    return ok()

serve(connect, carry_out)
"#;

/// Clients of programs with this number of seats.
fn several(bench: &Bench, seats: u32) -> ExecConnect {
    std::fs::write(bench.path().join("several.py"), SEVERAL).unwrap();
    let own = bench.path().display().to_string();
    let helper = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/client").to_owned();
    ExecConnect {
        argv: vec!["python3".into(), "several.py".into(), own, helper],
        programs: Some(Arc::new(Programs::with_seats(seats))),
        ..bench.connect()
    }
}

/// The numbers of all programs that were started.
fn programs(bench: &Bench) -> BTreeSet<String> {
    let files = std::fs::read_dir(bench.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_prefix("program-").map(str::to_owned)).collect()
}

async fn open_all(bench: &Bench, connect: &ExecConnect, count: usize) -> Vec<Box<dyn Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(bench.open(connect, "good").await.unwrap());
    }
    clients
}

fn info_of(result: CallResult) -> String {
    match result {
        CallResult::Info(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_client_has_its_own_connection_and_none_waits_for_another() {
    let bench = Bench::new();
    let connect = several(&bench, 3);
    let mut clients = open_all(&bench, &connect, 4).await;
    assert_eq!(programs(&bench).len(), 2, "three in the first, and one in the second");
    let mut fourth = clients.pop().unwrap();
    let [one, two, three] = &mut clients[..] else { panic!("three") };
    let hanging = add(100);
    let hangs = one.call(&hanging, TERMS);
    let others = async {
        for value in 1..50 {
            let (call, other) = (add(value), add(-value));
            let (here, there) = tokio::join!(two.call(&call, TERMS), three.call(&other, TERMS));
            assert_eq!((here.result, there.result), (CallResult::Ok(Value::Nil), CallResult::Ok(Value::Nil)));
        }
        (two.call(&read(), TERMS).await.result, three.call(&read(), TERMS).await.result)
    };
    let (mine, others) = tokio::select! {
        _ = hangs => panic!("it hangs"),
        all = others => all,
    };
    let numbers = |sign: i64| CallResult::Ok(Value::list((1..50).map(|value| Value::Int(sign * value))));
    assert_eq!((mine, others), (numbers(1), numbers(-1)));
    assert_eq!(fourth.call(&read(), TERMS).await.result, CallResult::Ok(Value::list([])));
}

#[tokio::test]
async fn a_program_that_crashes_crashes_all_its_clients() {
    for (value, says) in [(101, "crash: "), (102, "malformed: "), (103, "crash: ")] {
        let bench = Bench::new();
        let connect = several(&bench, 3);
        let mut clients = open_all(&bench, &connect, 3).await;
        let [one, two, three] = &mut clients[..] else { panic!("three") };
        let (crash, hang) = (add(value), add(100));
        let (crashed, hung) = tokio::join!(one.call(&crash, TERMS), two.call(&hang, TERMS));
        let (crashed, hung) = (info_of(crashed.result), info_of(hung.result));
        assert!(crashed.starts_with(says) && hung.starts_with(says), "{value}: {crashed}; {hung}");
        if value == 101 {
            assert!(hung.contains("exit status 3"), "{hung}");
        }
        if value == 103 {
            assert!(hung.contains("a mistake of the client"), "{hung}");
        }
        assert!(info_of(three.call(&add(1), TERMS).await.result).starts_with("crash: "));
        let pid = programs(&bench).into_iter().next().unwrap();
        until("the program ends", || !alive(&pid)).await;
        // The next client gets a new one.
        assert!(
            bench.open(&connect, "good").await.unwrap().call(&add(1), TERMS).await.result == CallResult::Ok(Value::Nil)
        );
        assert_eq!(programs(&bench).len(), 2);
    }
}

#[tokio::test]
async fn a_program_in_which_a_client_was_given_up_gets_no_other_and_ends_with_its_last() {
    let bench = Bench::new();
    let connect = several(&bench, 3);
    let mut clients = open_all(&bench, &connect, 2).await;
    let first = programs(&bench).into_iter().next().unwrap();
    let (mut stays, mut hangs) = (clients.pop().unwrap(), clients.pop().unwrap());
    let call = add(100);
    assert!(tokio::time::timeout(Duration::from_millis(300), hangs.call(&call, TERMS)).await.is_err());
    drop(hangs);
    let mut next = bench.open(&connect, "good").await.unwrap();
    assert_eq!(programs(&bench).len(), 2, "the hanging call may hold up what comes after it");
    assert_eq!(stays.call(&add(1), TERMS).await.result, CallResult::Ok(Value::Nil), "the other client goes on");
    assert!(alive(&first));
    stays.close().await;
    until("the program with the hanging call is killed", || !alive(&first)).await;
    // A call that was answered in doubt leaves its program as it is: the next client takes the free place.
    assert!(info_of(next.call(&add(104), TERMS).await.result).starts_with("lost"));
    let mut beside = bench.open(&connect, "good").await.unwrap();
    drop(next);
    let mut third = bench.open(&connect, "good").await.unwrap();
    assert_eq!(programs(&bench).len(), 2);
    assert_eq!(third.call(&read(), TERMS).await.result, CallResult::Ok(Value::list([])), "its own connection");
    assert_eq!(beside.call(&add(2), TERMS).await.result, CallResult::Ok(Value::Nil));
    let all = programs(&bench);
    beside.close().await;
    third.close().await;
    for pid in all {
        until("the programs end with their last clients", || !alive(&pid)).await;
    }
}

#[tokio::test]
async fn a_client_that_is_refused_leaves_the_others_alone_and_a_program_for_one_says_so() {
    let bench = Bench::new();
    let connect = several(&bench, 3);
    let mut good = bench.open(&connect, "good").await.unwrap();
    let refused = bench.open(&connect, "refused").await.err().unwrap();
    assert!(refused.contains("refused: no server here"), "{refused}");
    assert_eq!(good.call(&add(1), TERMS).await.result, CallResult::Ok(Value::Nil));
    assert_eq!(programs(&bench).len(), 1);
    // A client from before the field.
    let old = ExecConnect { programs: Some(Arc::new(Programs::with_seats(2))), ..bench.connect() };
    let (one, two) = tokio::join!(bench.open(&old, "good"), bench.open(&old, "good"));
    for refused in [one, two].map(|opened| opened.err().unwrap()) {
        assert!(
            refused.contains("clients_per_program: 1") || refused.contains("ended before it answered"),
            "{refused}"
        );
    }
}
