//! What recipes can say: steps on the leader, recovery by positions, order of processes, environment, files, probes, packages.
use super::stage::{Stage, fine};
use dsfuzz::targets::{Convergence, Target, load};
use dsfuzz_nemesis::protocol::ServiceState;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const THREE: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const SOON: Duration = Duration::from_secs(60);

/// A recipe of one process, with more keys.
fn target(keys: &str) -> Target {
    recipe(&format!(
        "schema: 1\nname: t\ndoc: d\nclients: []\n{keys}\nprocesses:\n- {{name: p, start: [p], ready: {{ask: {{command: [look]}}}}}}\n"
    ))
}

fn recipe(yaml: &str) -> Target {
    load_with(yaml, &BTreeMap::new()).unwrap()
}

fn load_with(yaml: &str, options: &BTreeMap<String, BTreeMap<String, serde_json::Value>>) -> Result<Target, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.yaml"), yaml).unwrap();
    load("r.yaml", folder.path(), options).map_err(|error| error.to_string())
}

fn transcript(stage: &Stage) -> Vec<String> {
    std::mem::take(&mut *stage.transcript.lock().unwrap())
}

fn dead(stage: &Stage, names: &[&str]) {
    for node in &stage.nodes {
        let state = |name: &&str| ServiceState {
            name: (*name).into(),
            pids: Vec::new(),
            paused: false,
            ended: "signal 9".into(),
        };
        *node.services.lock().unwrap() = names.iter().map(state).collect();
    }
}

#[tokio::test]
async fn a_step_on_the_leader_follows_it_and_steps_come_in_order() {
    let target = target(
        "role: {ask: {command: [who]}, roles: [{name: chief, leads: true, where: [{contains: me}]}, {name: other}]}\n\
         form: [{run: [first]}, {run: [grant], on: leader, deadline: 5s}, {run: [last], on: first}]",
    );
    // n1 leads, but refuses; then n3 leads.
    let asked = AtomicUsize::new(0);
    let stage = Stage::new(&target, &THREE, move |node, words| match words {
        "who" => {
            let leader = if asked.fetch_add(1, Ordering::Relaxed) < 3 { "n1" } else { "n3" };
            (0, (if node == leader { "me" } else { "" }).to_owned(), String::new())
        }
        "grant" if node == "n1" => (1, String::new(), "read-only".into()),
        _ => fine(node, words),
    });
    stage.deployment.start(SOON).await.unwrap();
    let steps: Vec<String> = transcript(&stage).into_iter().filter(|line| !line.contains("who")).collect();
    let expected = [
        "n1 start p",
        "n2 start p",
        "n3 start p",
        "n1 run first",
        "n2 run first",
        "n3 run first",
        "n1 run grant",
        "n3 run grant",
        "n1 run last",
    ];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn without_a_leader_a_step_on_it_says_so() {
    let target = target(
        "role: {ask: {command: [who]}, roles: [{name: leader, where: [{contains: me}]}, {name: other}]}\n\
         form: [{run: [grant], on: leader, deadline: 200ms}]",
    );
    let stage = Stage::new(&target, &THREE, fine);
    let error = stage.deployment.start(SOON).await.unwrap_err().to_string();
    assert_eq!(error, "form[0] is for the leader, and no node said within 200ms that it leads");
}

#[tokio::test]
async fn recovery_gathers_all_positions_and_acts_on_the_node_that_is_farthest() {
    let target = target(
        "recovery:\n- {gather: [position]}\n- {run: [found, 'of {{ gathered.n1 }} {{ gathered.n2 }} {{ gathered.n3 }}'], \
         on: {max: gathered}}\n- {run: [join, '{{ gathered[node.name] }}'], on: others}",
    );
    let positions = Arc::new(Mutex::new(["9", "10", "10"]));
    let shell = positions.clone();
    let stage = Stage::new(&target, &THREE, move |node, words| match words {
        "position" => {
            let node: usize = node[1..].parse().unwrap();
            (0, format!("{}\nmore\n", shell.lock().unwrap()[node - 1]), String::new())
        }
        _ => fine(node, words),
    });
    dead(&stage, &["p"]);
    stage.deployment.restart_dead().await.unwrap();
    // As text "9" would be greater than "10"; of equals the first counts.
    let expected = [
        "n1 run position",
        "n2 run position",
        "n3 run position",
        "n2 run found of 9 10 10",
        "n2 run join 10",
        "n3 run join 10",
        "n1 start p again",
        "n2 start p again",
        "n3 start p again",
    ];
    assert_eq!(transcript(&stage), expected);
    positions.lock().unwrap()[1] = "unknown";
    let error = stage.deployment.restart_dead().await.unwrap_err().to_string();
    assert!(error.contains("n2: ") && error.contains("printed \"unknown\" first"), "{error}");
    assert!(!transcript(&stage).iter().any(|line| line.contains("start")), "nothing is started on a guess");
}

const AFTER: &str = "schema: 1\nname: t\ndoc: d\nclients: []\nprocesses:\n\
    - {name: store, start: [store], ready: {ask: {command: [look, store]}}}\n\
    - {name: server, start: [server], after: [store], ready: {ask: {command: [look, server]}}}\n";

#[tokio::test]
async fn a_process_waits_for_those_before_it_at_the_start_and_again() {
    let looks = AtomicUsize::new(0);
    let stage = Stage::new(&recipe(AFTER), &["10.0.0.1"], move |node, words| match words {
        "look store" if looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => (1, String::new(), "later".into()),
        _ => fine(node, words),
    });
    stage.deployment.start(SOON).await.unwrap();
    let waits = ["n1 run look store", "n1 run look store"];
    assert_eq!(transcript(&stage), [["n1 start store"].as_slice(), &waits, &["n1 start server"]].concat());
    *stage.nodes[0].services.lock().unwrap() = Vec::new();
    stage.deployment.restart_dead().await.unwrap();
    assert_eq!(transcript(&stage), [["n1 start store again"].as_slice(), &waits, &["n1 start server again"]].concat());
}

#[tokio::test]
async fn the_environment_reaches_every_command() {
    let target = target(
        "env: {HOME: '{{ dir }}'}\nprepare: [{run: [make]}]\nrecovery: [{gather: [seek]}]\nversion: [p, -V]\n\
         role: {ask: {command: [who]}, roles: [{name: leader}]}",
    );
    let stage = Stage::new(&target, &["10.0.0.1"], |node, words| match words {
        "p -V" => (0, "1".into(), String::new()),
        _ => fine(node, words),
    });
    stage.deployment.start(SOON).await.unwrap();
    stage.deployment.await_ready(SOON).await.unwrap();
    stage.deployment.role("n1", SOON).await;
    stage.deployment.versions().await.unwrap();
    dead(&stage, &["p"]);
    stage.deployment.restart_dead().await.unwrap();
    let runs: Vec<String> = transcript(&stage).into_iter().filter(|line| line.contains(" run ")).collect();
    let home = "HOME=/var/lib/dsfuzz/t";
    let expected = ["make", "look", "who", "p -V", "seek"].map(|words| format!("n1 run {home} {words}"));
    assert_eq!(runs, expected);
    assert_eq!(stage.deployment.services("n1")[0].env["HOME"], "/var/lib/dsfuzz/t");
}

#[tokio::test]
async fn files_of_the_recipes_folder_are_copied_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = |from: &str| {
        let text = format!(
            "schema: 1\nname: t\ndoc: d\nclients: []\nfiles: [{{path: /etc/t/helper, from: {from}, mode: \"0755\"}}]\n\
             processes: [{{name: p, start: [p], ports: {{client: 1}}}}]\n"
        );
        std::fs::write(folder.path().join("recipe.yaml"), text).unwrap();
        load(".", folder.path(), &BTreeMap::new()).unwrap()
    };
    std::fs::create_dir(folder.path().join("files")).unwrap();
    std::fs::write(folder.path().join("files/helper"), "echo {{ not.a.name }}\n").unwrap();
    let stage = Stage::new(&recipe("files/helper"), &["10.0.0.1"], fine);
    stage.deployment.configure().await.unwrap();
    assert_eq!(stage.nodes[0].files.lock().unwrap()["/etc/t/helper"], b"echo {{ not.a.name }}\n");
    for (from, says) in [("files/none", "files[0].from"), ("../helper", "inside the recipe's folder")] {
        let target = recipe(from);
        let error = target.layout(&[], "/x").map(drop);
        assert!(error.is_ok(), "no node, no file");
        let node = dsfuzz::cluster::Node { name: Arc::from("n1"), address: [10, 0, 0, 1].into() };
        let error = target.layout(&[node], "/x").unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// A server that answers each connection with what it was sent, and closes.
fn echo(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0u8; 4096];
            let length = stream.read(&mut buffer).unwrap_or(0);
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&buffer[..length])).as_bytes());
        }
    });
    port
}

#[tokio::test]
async fn a_probe_may_send_text_and_numbers_are_compared_as_numbers() {
    let port = echo(|sent| format!("sent {sent}\nlag: 10\nZxid: 0x200000005\n"));
    let keys = |most: &str| {
        format!(
            "schema: 1\nname: t\ndoc: d\nclients: []\nprocesses: [{{name: p, start: [p], ports: {{client: {port}}}}}]\n\
             options: {{lag: {{default: {most}, doc: d}}}}\n\
             role:\n  ask: {{tcp: {{port: client, send: \"stat {{{{ node.name }}}}\"}}}}\n  \
             roles: [{{name: leader, where: [{{matches: '^sent stat n1$'}}]}}]\n  \
             term: {{hex: '^Zxid: 0x([0-9a-f]+)[0-9a-f]{{8}}$'}}\n\
             converged: {{ask: {{tcp: {{port: client, send: x}}}}, where: [{{at-most: {{of: {{after: 'lag:'}}, value: \
             '{{{{ options.lag }}}}'}}}}], every: 10ms}}\n"
        )
    };
    let stage = Stage::new(&recipe(&keys("10")), &["127.0.0.1"], fine);
    let answer = stage.deployment.role("n1", SOON).await;
    assert_eq!((answer.role.as_str(), answer.term), ("leader", Some(2)), "{answer:?}");
    assert_eq!(stage.deployment.converged().await, Convergence::Converged);
    let stage = Stage::new(&recipe(&keys("9")), &["127.0.0.1"], fine);
    let Convergence::NotYet(reasons) = stage.deployment.converged().await else { panic!("10 is more than 9") };
    assert_eq!(reasons, ["n1: not so that what follows \"lag:\" is at most 9"]);
}

#[tokio::test]
async fn replicas_have_converged_if_other_rules_hold() {
    let zxid = Arc::new(Mutex::new("5"));
    let synced = Arc::new(Mutex::new("1"));
    let shown = (zxid.clone(), synced.clone());
    let port = echo(move |sent| match sent {
        "n1 srvr" => format!("zxid {}\n", shown.0.lock().unwrap()),
        "n2 srvr" => "zxid 5\n".to_owned(),
        "n1 mntr" => format!("state leader\nsynced {}\n", shown.1.lock().unwrap()),
        _ => "state follower\n".to_owned(),
    });
    let keys = format!(
        "schema: 1\nname: t\ndoc: d\nclients: []\nprocesses: [{{name: p, start: [p], ports: {{client: {port}}}}}]\n\
         converged:\n  ask: {{tcp: {{port: client, send: '{{{{ node.name }}}} srvr'}}}}\n  agree: [{{after: 'zxid '}}]\n  or:\n    \
         ask: {{tcp: {{port: client, send: '{{{{ node.name }}}} mntr'}}}}\n    \
         one: [{{is: {{of: {{after: 'state '}}, value: leader}}}}, {{is: {{of: {{after: 'synced '}}, \
         value: '{{{{ nodes | length - 1 }}}}'}}}}]\n"
    );
    let stage = Stage::new(&recipe(&keys), &["127.0.0.1", "127.0.0.1"], fine);
    assert_eq!(stage.deployment.converged().await, Convergence::Converged, "both say 5");
    *zxid.lock().unwrap() = "6";
    assert_eq!(stage.deployment.converged().await, Convergence::Converged, "the leader has all followers");
    *synced.lock().unwrap() = "0";
    let Convergence::NotYet(reasons) = stage.deployment.converged().await else { panic!("neither holds") };
    assert_eq!(reasons[0], "what follows \"zxid \" differs: n1: 6, n2: 5");
    assert!(reasons[1].starts_with("by other rules: exactly one node must fit its rule; there are 0"), "{reasons:?}");
}

#[test]
fn names_of_nodes_may_have_hyphens() {
    let options = BTreeMap::from([("postgres".to_owned(), BTreeMap::from([("sync".to_owned(), true.into())]))]);
    let postgres = load("postgres", std::path::Path::new("."), &options).unwrap();
    let node = |name: &str| dsfuzz::cluster::Node { name: Arc::from(name), address: [10, 0, 0, 1].into() };
    let layout = postgres.layout(&["db-1", "db-2", "db-3"].map(node), "/var/lib/dsfuzz").unwrap();
    // PostgreSQL takes small letters, digits and underscores for a slot, and names with hyphens in double quotes.
    let copies = layout.nodes[1].prepare[0].argv.join(" ");
    let (_, slot) = copies.split_once(" -S ").unwrap();
    let slot = slot.split_whitespace().next().unwrap();
    assert!(slot.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{slot}");
    let waits = |file: &dsfuzz::targets::layout::PlannedFile| file.content.contains(r#"= '2 ("db-2", "db-3")'"#);
    assert!(layout.nodes[0].files.iter().any(waits), "{:?}", layout.nodes[0].files);
}

#[tokio::test]
async fn an_http_probe_may_log_in() {
    // "guest:s e", as RFC 7617 has it.
    let port = echo(|sent| {
        let known = sent.contains("authorization: Basic Z3Vlc3Q6cyBl\r\n") && sent.contains("x-one: 1\r\n");
        let (status, body) = if known { ("200 OK", "in") } else { ("401 Unauthorized", "out") };
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    });
    let yaml = |login: &str| {
        format!(
            "schema: 1\nname: t\ndoc: d\nclients: []\nprocesses: [{{name: p, start: [p], ports: {{client: {port}}}}}]\n\
             role: {{ask: {{http: {{port: client, path: /x{login}}}}}, roles: [{{name: leader}}]}}\n"
        )
    };
    let login = ", user: guest, password: \"s e\", headers: {x-one: \"{{ node.index }}\"}";
    let stage = Stage::new(&recipe(&yaml(login)), &["127.0.0.1"], fine);
    assert_eq!(stage.deployment.role("n1", SOON).await.detail, "in");
    let stage = Stage::new(&recipe(&yaml("")), &["127.0.0.1"], fine);
    let refused = stage.deployment.role("n1", SOON).await.detail;
    assert!(refused.contains("status 401"), "{refused}");
}

#[tokio::test]
async fn packages_depend_on_options() {
    let yaml = "schema: 1\nname: t\ndoc: d\nclients: []\noptions: {version: {default: debian, doc: d}}\n\
        packages:\n- {name: t-server, provides: [t], when: \"{{ options.version == 'debian' }}\"}\n\
        - {pypi: t-bin, version: \"{{ options.version }}\", provides: [bin/t], when: \"{{ options.version != 'debian' }}\"}\n\
        processes:\n- {name: p, ports: {client: 1}, start: [\"{% if options.version == 'debian' %}t{% else %}{{ package['t-bin'] }}/bin/t{% endif %}\"]}\n";
    let node = dsfuzz::cluster::Node { name: Arc::from("n1"), address: [10, 0, 0, 1].into() };
    let layout = |version: &str| {
        let options = BTreeMap::from([("t".to_owned(), BTreeMap::from([("version".to_owned(), json!(version))]))]);
        let layout = load_with(yaml, &options).unwrap().layout(std::slice::from_ref(&node), "/x").unwrap();
        let packages: Vec<String> = layout.packages.iter().map(ToString::to_string).collect();
        (packages, layout.nodes[0].processes[0].service.argv[0].clone())
    };
    assert_eq!(layout("debian"), (vec!["t-server".to_owned()], "t".to_owned()));
    let newer =
        (vec!["t-bin 1.2 of the Python Package Index".to_owned()], "/var/cache/dsfuzz/packages/t-bin-1.2/bin/t");
    assert_eq!(layout("1.2"), (newer.0, newer.1.to_owned()));
    // On a node that has it nothing is fetched.
    let options = BTreeMap::from([("t".to_owned(), BTreeMap::from([("version".to_owned(), json!("1.2"))]))]);
    let stage = Stage::new(&load_with(yaml, &options).unwrap(), &["10.0.0.1"], fine);
    stage.deployment.install().await.unwrap();
    let asked = transcript(&stage);
    assert!(asked.len() == 1 && asked[0].contains("[ -x '/var/cache/dsfuzz/packages/t-bin-1.2/bin/t' ]"), "{asked:?}");
}

#[test]
fn mistakes_are_named_with_their_key() {
    let process = "processes: [{name: p, start: [p], ports: {client: 1}}]";
    let leads = "role: {ask: {tcp: client}, roles: [{name: leader}]}";
    for (keys, says) in [
        (format!("form: [{{run: [x], on: leader}}]\n{process}"), "form[0].on: leader: no role of the recipe leads"),
        (
            format!("prepare: [{{run: [x], on: leader}}]\n{leads}\n{process}"),
            "prepare[0]: `on: leader` is for steps of `form`",
        ),
        (
            format!("recovery: [{{run: [x], on: {{max: gathered}}}}]\n{process}"),
            "recovery[0]: `on: {max: gathered}` needs",
        ),
        (format!("form: [{{gather: [x]}}]\n{process}"), "form[0]: `gather` is a step of `recovery`"),
        (format!("form: [{{run: [x], gather: [x]}}]\n{process}"), "form[0]: give exactly one of `run` and `gather`"),
        (
            format!("role: {{ask: {{tcp: client}}, roles: [{{name: up}}], leaders: several}}\n{process}"),
            "role.leaders: several: no role of the recipe leads",
        ),
        (
            format!(
                "role: {{ask: {{tcp: client}}, roles: [{{name: leader}}], leaders: several, term: {{after: x}}, \
                 term_with_role: true}}\n{process}"
            ),
            "role.term_with_role: with `role.leaders: several` the terms of two nodes cannot be compared",
        ),
        (
            format!(
                "role: {{ask: {{tcp: client}}, roles: [{{name: leader}}], leaders: several}}\nfinal_reads: leader\n{process}"
            ),
            "final_reads: leader: with `role.leaders: several` no leader holds all data",
        ),
        (format!("files: [{{path: /x/y}}]\n{process}"), "files[0]: give exactly one of `content` and `from`"),
        (format!("packages: [{{pypi: x, provides: [y]}}]\n{process}"), "packages[0].version: name one"),
        (format!("packages: [{{name: x, pypi: x}}]\n{process}"), "packages[0]: give exactly one of `name`"),
        (
            "processes: [{name: p, start: [p], after: [q], ports: {client: 1}}]".into(),
            "processes[0].after: \"q\" is no process",
        ),
    ] {
        let error = load_with(&format!("schema: 1\nname: t\ndoc: d\nclients: []\n{keys}\n"), &BTreeMap::new());
        let error = error.unwrap_err();
        assert!(error.contains(says), "{keys}: {error}");
    }
    let node = dsfuzz::cluster::Node { name: Arc::from("n1"), address: [10, 0, 0, 1].into() };
    for (keys, says) in [
        (
            format!("role: {{ask: {{tcp: client}}, roles: [{{name: x, where: [{{matches: '('}}]}}]}}\n{process}"),
            "no regular expression",
        ),
        (
            format!(
                "converged: {{ask: {{tcp: client}}, where: [{{at-least: {{of: {{line: 1}}, value: few}}}}]}}\n{process}"
            ),
            "\"few\" is no number",
        ),
        (format!("recovery: [{{run: [x, '{{{{ gathered.n1 }}}}']}}]\n{process}"), "recovery[0].run[1]"),
        (
            format!("role: {{ask: {{tcp: {{port: other, send: x}}}}, roles: []}}\n{process}"),
            "no port has the role \"other\"",
        ),
    ] {
        let target =
            load_with(&format!("schema: 1\nname: t\ndoc: d\nclients: []\n{keys}\n"), &BTreeMap::new()).unwrap();
        let error = target.layout(std::slice::from_ref(&node), "/x").unwrap_err().to_string();
        assert!(error.contains(says), "{keys}: {error}");
    }
}
