//! Layers over folders, on a real agent in namespaces: what a program synced survives a power loss and what it did not sync is lost;
//! the data outlive the layer and the agent; nothing stays mounted.

use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{DiskFolder, Injection, Request, Response, ability};

const LEASE_MS: u64 = 20_000;

/// Whether a layer is over any folder of the node.
fn is_mounted(node: &Node) -> bool {
    node.sh("cat /proc/self/mountinfo").contains(" fuse.dsfuzz ")
}

/// Lays layers over these folders of the node's, which are made.
fn lay(node: &Node, agent: &mut Channel, names: &[&str]) {
    let folders = names.iter().map(|name| {
        std::fs::create_dir_all(node.path(name)).expect("a folder");
        DiskFolder { path: node.path(name), exempt: vec![node.path(&format!("{name}/log*"))], copy: false }
    });
    agent.done(Request::DiskLayers { folders: folders.collect() });
}

/// Takes all layers away; none is left.
fn take_away(node: &Node, agent: &mut Channel) {
    agent.done(Request::DiskLayers { folders: Vec::new() });
    assert!(!is_mounted(node), "{}", node.sh("cat /proc/self/mountinfo"));
}

/// Runs a Python program as the service `db` in a folder until it says `ready`; it then waits.
fn run_program(node: &Node, agent: &mut Channel, folder: &str, program: &str) {
    let program = format!("import os, mmap, time\n{program}\nprint('ready', flush=True)\ntime.sleep(1000)\n");
    drop(std::fs::remove_file(node.path("db.out")));
    agent.service_in(node, "db", &["/usr/bin/env", "python3", "-c", &program], &node.path(folder));
    node.until("the program has written", || {
        std::fs::read_to_string(node.path("db.out")).is_ok_and(|text| {
            assert!(!text.contains("Error"), "{text}");
            text.contains("ready")
        })
    });
}

/// A program writes to a folder under a layer.
fn writing() -> (Node, Channel) {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    lay(&node, &mut agent, &["data"]);
    run_program(&node, &mut agent, "data", APPEND);
    node.until("it writes", || acknowledged(&node) > 20);
    (node, agent)
}

/// The program writes, or writes again.
fn writes_on(node: &Node) {
    let then = acknowledged(node);
    node.until("it writes on", || acknowledged(node) > then + 20);
}

fn lose_power(torn: u8, seed: u64) -> Injection {
    Injection::LosePower { services: vec!["db".to_owned()], seed, torn }
}

/// Content of a file in the node; none if it is not there.
fn content(node: &Node, path: &str) -> String {
    let path = node.path(path);
    node.sh(&format!("test -e {path} && cat {path} || echo none"))
}

/// A file written and synced, before and after the first line; then what is not synced.
const PATTERNS: &str = "
def put(name, text, sync=True, flags=os.O_CREAT|os.O_WRONLY):
    f = os.open(name, flags, 0o644); os.write(f, text)
    if sync: os.fsync(f)
    os.close(f)
def sync_folder():
    f = os.open('.', os.O_RDONLY); os.fsync(f); os.close(f)
for name in ['overwritten', 'appended', 'renamed', 'replaced', 'removed', 'truncated', 'cut-and-grown', 'punched']: put(name, b'old '*3000)
put('synced', b'synced')
put('dsync', b'dsync', False, os.O_CREAT|os.O_WRONLY|os.O_DSYNC)
f = os.open('fdatasync', os.O_CREAT|os.O_WRONLY); os.write(f, b'fdatasync'); os.fdatasync(f); os.close(f)
put('mapped', b'-'*8192); put('mapped-unsynced', b'-'*8192)
f = os.open('mapped', os.O_RDWR); m = mmap.mmap(f, 8192); m[0:6] = b'mapped'; m.flush(); os.close(f)
put('new', b'new'); os.rename('new', 'replaced'); sync_folder()
os.mkdir('deep'); put('deep/file', b'deep')
os.mkdir('first'); put('first/file', b'old '*3000); os.rename('first', 'second'); sync_folder()
put('gone', b'gone'); os.remove('gone'); sync_folder()
# From here on nothing is synced.
put('overwritten', b'new', False)
put('second/file', b'new', False)
put('appended', b'more', False, os.O_APPEND|os.O_WRONLY)
os.truncate('truncated', 5)
os.truncate('cut-and-grown', 5); os.truncate('cut-and-grown', 9000)
os.rename('renamed', 'other')
os.remove('removed')
put('created', b'created', False)
os.mkdir('folder'); put('folder/inside', b'inside', False)
os.symlink('synced', 'symlink'); os.link('synced', 'hardlink')
f = os.open('mapped-unsynced', os.O_RDWR); m2 = mmap.mmap(f, 8192); m2[0:6] = b'mapped'; os.close(f)
put('log.txt', b'a line', False)
";

#[test]
fn a_power_loss_takes_what_is_not_synced_and_nothing_else() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    lay(&node, &mut agent, &["data"]);
    run_program(&node, &mut agent, "data", PATTERNS);
    agent.inject(1, lose_power(0, 1));
    let proof = agent.proven(1);
    assert!(proof.detail.iter().any(|line| line.contains("bytes of ")), "{proof:?}");
    let old = "old ".repeat(3000).trim_end().to_owned();
    for name in ["second/file", "overwritten", "appended", "renamed", "removed", "truncated", "cut-and-grown"] {
        assert_eq!(content(&node, &format!("data/{name}")).trim_end(), old, "{name}");
    }
    let kept = [
        ("synced", "synced"),
        ("dsync", "dsync"),
        ("fdatasync", "fdatasync"),
        ("replaced", "new"),
        ("deep/file", "deep"),
    ];
    for (name, text) in kept {
        assert_eq!(content(&node, &format!("data/{name}")), text, "{name}");
    }
    assert!(content(&node, "data/mapped").starts_with("mapped--"));
    assert!(content(&node, "data/mapped-unsynced").starts_with("--------"));
    for name in ["first", "other", "created", "folder", "gone", "new", "symlink", "hardlink"] {
        assert_eq!(content(&node, &format!("data/{name}")), "none", "{name}");
    }
    assert_eq!(content(&node, "data/log.txt"), "a line");
    agent.healed(1);
    // Everything below is as it was seen above.
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 0 });
    let before = node.sh(&format!("cd {} && find . -type f | sort | xargs md5sum", node.path("data")));
    take_away(&node, &mut agent);
    assert_eq!(node.sh(&format!("cd {} && find . -type f | sort | xargs md5sum", node.path("data"))), before);
    assert!(!std::path::Path::new(&node.path("data/.dsfuzz-disk")).exists());
}

/// Names, kinds and contents below a folder.
fn tree(node: &Node, folder: &str) -> String {
    let names = "find . -mindepth 1 -name lost+found -prune -o -name log.txt -o -mindepth 1 -printf '%y %p\n'";
    let contents = "find . -type f ! -name log.txt -print0 | xargs -0 md5sum";
    node.sh(&format!("cd {folder} && {{ {names}; {contents}; }} | sort"))
}

/// Runs a program on an ext4 in a file until it kills itself, and mounts a copy of the file of that moment. Both mounts and their loop
/// devices end with the node at the latest. The journal and the data are not written back by age meanwhile.
const IN_A_FILE: &str = "set -e; cd \"$1\"; mkdir ext4; truncate -s 64M plain; mkfs.ext4 -q -F plain
mount -o loop,noatime,commit=600 plain ext4
(cd ext4; exec python3 -c \"$2\") 2>killed || true
cp --sparse=always plain copy; umount -l ext4; mount -o loop copy ext4; echo lost";

#[test]
fn a_layer_loses_what_ext4_loses() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    lay(&node, &mut agent, &["data"]);
    run_program(&node, &mut agent, "data", PATTERNS);
    agent.inject(1, lose_power(0, 1));
    agent.proven(1);
    let of_layer = tree(&node, &node.path("data"));
    let program = format!("import os, mmap\n{PATTERNS}\nos.kill(os.getpid(), 9)");
    let done = node.command("bash", &["-c", IN_A_FILE, "bash", &node.path(""), &program]).output().expect("bash");
    let problem = String::from_utf8_lossy(&done.stderr);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "lost\n", "an ext4 in a file (loop device): {problem}");
    assert_eq!(tree(&node, &node.path("ext4")), of_layer);
    assert!(of_layer.contains("./cut-and-grown") && !of_layer.contains("./created"), "{of_layer}");
    node.sh(&format!("umount {}", node.path("ext4")));
    agent.healed(1);
    take_away(&node, &mut agent);
}

/// What a program cannot know whether it is safe: data that is not synced, in place and at the end.
const TORN: &str = "
f = os.open('file', os.O_CREAT|os.O_RDWR); os.write(f, b'a'*65536); os.fsync(f)
os.pwrite(f, b'b'*131072, 0)
";

#[test]
fn a_torn_loss_keeps_sectors_by_its_seed() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let mut seen = Vec::new();
    for (fault, seed) in [(1, 7), (2, 7), (3, 8)] {
        let folder = format!("data{fault}");
        lay(&node, &mut agent, &[&folder]);
        run_program(&node, &mut agent, &folder, TORN);
        agent.inject(fault, lose_power(60, seed));
        agent.proven(fault);
        let bytes = node.command("cat", &[&node.path(&format!("{folder}/file"))]).output().expect("cat").stdout;
        assert!(bytes.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])), "a sector is whole");
        let kept = bytes[..65536].chunks(512).filter(|sector| sector[0] == b'b').count();
        assert!((40..=115).contains(&kept), "{kept} of 128");
        // Behind the synced size there is no hole.
        assert!(bytes[65536..].iter().all(|byte| *byte == b'b') && bytes.len() < 131_072, "{}", bytes.len());
        seen.push(bytes);
        agent.healed(fault);
        agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 0 });
    }
    assert!(seen[0] == seen[1] && seen[0] != seen[2]);
    take_away(&node, &mut agent);
}

#[test]
fn what_is_there_when_a_layer_is_laid_or_asked_again_is_safe() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    std::fs::create_dir_all(node.path("data")).expect("a folder");
    std::fs::write(node.path("data/before"), "before").expect("written");
    let reason = agent.fails(Request::Inject { fault: 9, injection: lose_power(0, 1) });
    assert!(reason.contains("db: not defined"), "{reason}");
    run_program(&node, &mut agent, "data", "");
    let reason = agent.fails(Request::Inject { fault: 9, injection: lose_power(0, 1) });
    assert!(reason.contains("no folder of this node is under a layer"), "{reason}");
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 0 });
    lay(&node, &mut agent, &["data"]);
    run_program(&node, &mut agent, "data", "open('prepared', 'w').write('prepared')");
    lay(&node, &mut agent, &["data"]);
    node.sh(&format!("echo late >{}", node.path("data/late")));
    agent.inject(1, lose_power(0, 1));
    agent.proven(1);
    for (name, text) in [("before", "before"), ("prepared", "prepared"), ("late", "none")] {
        assert_eq!(content(&node, &format!("data/{name}")), text, "{name}");
    }
    agent.healed(1);
    let reason = agent.fails(Request::DiskLayers {
        folders: vec![DiskFolder { path: node.path("no-such"), exempt: Vec::new(), copy: false }],
    });
    assert!(reason.contains("there is none to lay a layer over"), "{reason}");
    let own = DiskFolder { path: node.dir.to_str().expect("text").to_owned(), exempt: Vec::new(), copy: false };
    let reason = agent.fails(Request::DiskLayers { folders: vec![own] });
    assert!(reason.contains("the agent's own folder"), "{reason}");
    take_away(&node, &mut agent);
}

/// Appends numbers to a file, each synced, and writes each to its output after the sync.
const APPEND: &str = "
f = os.open('numbers', os.O_CREAT|os.O_WRONLY|os.O_APPEND)
print('ready', flush=True)
n = os.path.getsize('numbers')
while True:
    os.write(f, b'x'); os.fsync(f); n += 1
    print(n, flush=True)
";

/// The last number that a service has written to its output.
fn acknowledged(node: &Node) -> u64 {
    let text = std::fs::read_to_string(node.path("db.out")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| line.parse().ok()).max().unwrap_or(0)
}

fn size(node: &Node, path: &str) -> u64 {
    node.sh(&format!("stat -c %s {}", node.path(path))).parse().expect("a size")
}

#[test]
fn a_layer_that_is_killed_is_laid_again_and_nothing_is_lost() {
    let (node, mut agent) = writing();
    let before = agent.pids("db");
    let layer = node.sh("pgrep -f 'disk-laye[r] --dir'");
    node.sh(&format!("kill -9 {layer}"));
    node.until("it runs again", || {
        let now = agent.pids("db");
        !now.is_empty() && now != before
    });
    writes_on(&node);
    assert!(is_mounted(&node));
    agent.inject(1, lose_power(0, 1));
    agent.proven(1);
    let acknowledged = acknowledged(&node);
    assert!(size(&node, "data/numbers") >= acknowledged, "{acknowledged}");
    agent.healed(1);
    let response = agent.ask(Request::Deaths { cores: false });
    let Response::Deaths { deaths, .. } = response else { panic!("{response:?}") };
    assert!(deaths.is_empty(), "the harness ended it: {deaths:?}");
    take_away(&node, &mut agent);
}

/// The process of a layer, or its keeper.
fn process(node: &Node, part: &str) -> String {
    node.sh(&format!("pgrep -f 'disk-{}[{}] --dir'", &part[..part.len() - 1], &part[part.len() - 1..]))
}

#[test]
fn the_keeper_of_a_dead_layer_leaves_the_next_layer_of_its_folder_alone() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    lay(&node, &mut agent, &["data"]);
    drop(agent);
    let keeper = process(&node, "keeper");
    node.sh(&format!("kill -9 {}", process(&node, "layer")));
    // The next layer comes without the agent's help, as after a keeper that a busy machine held up.
    node.sh(&format!("umount -l {}; rm {}*", node.path("data"), node.path("disk/")));
    let mut agent = node.agent("r", LEASE_MS);
    lay(&node, &mut agent, &["data"]);
    let layer = process(&node, "layer");
    node.until("the first keeper has ended", || node.sh(&format!("test -e /proc/{keeper} && echo there")).is_empty());
    assert!(is_mounted(&node) && process(&node, "layer") == layer, "{}", node.log());
    take_away(&node, &mut agent);
}

#[test]
fn a_layer_whose_connection_is_aborted_ends_in_order() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    lay(&node, &mut agent, &["data"]);
    drop(agent);
    node.sh("mkdir /run/fuse && mount -t fusectl none /run/fuse");
    let folder = node.path("data");
    let number = node.sh("sed -n 's/.* 0:\\([0-9]*\\) .* fuse.dsfuzz .*/\\1/p' /proc/self/mountinfo");
    assert_eq!(node.sh(&format!("echo 1 > /run/fuse/{number}/abort")), "");
    node.until("its processes have ended", || {
        process(&node, "layer").is_empty() && process(&node, "keeper").is_empty()
    });
    assert!(!is_mounted(&node) && node.sh(&format!("ls -A {folder}")).is_empty(), "{}", node.log());
    assert!(!node.log().contains("ended:"), "{}", node.log());
    let mut agent = node.agent("r", LEASE_MS);
    node.until("it is laid again", || is_mounted(&node));
    take_away(&node, &mut agent);
}

#[test]
fn a_layer_that_is_unmounted_under_its_service_comes_back() {
    let (node, mut agent) = writing();
    let before = agent.pids("db");
    node.sh(&format!("umount -l {}", node.path("data")));
    node.until("it runs again", || {
        let now = agent.pids("db");
        !now.is_empty() && now != before
    });
    assert!(is_mounted(&node));
    writes_on(&node);
    let acknowledged = acknowledged(&node);
    assert!(size(&node, "data/numbers") >= acknowledged, "{acknowledged}");
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 0 });
    take_away(&node, &mut agent);
}

#[test]
fn the_next_agent_starts_what_one_had_killed_for_a_dead_layer() {
    let (node, mut agent) = writing();
    // The agent dies while no process of the service runs.
    let without_service = "while grep -q . \"$1\"; do :; done; kill -9 $0";
    let group = node.path("cg/dsfuzz/*/db/cgroup.procs");
    let mut watch = node.command("sh", &["-c", &without_service.replace("\"$1\"", &group), &agent.pids.0.to_string()]);
    let mut watch = watch.spawn().expect("sh");
    node.sh(&format!("kill -9 {}", process(&node, "layer")));
    assert!(watch.wait().expect("ended").success());
    agent.ended(&node);
    drop(agent);
    let mut next = node.agent("r", LEASE_MS);
    node.until("it runs again", || !next.pids("db").is_empty());
    assert!(is_mounted(&node), "{}", node.log());
    writes_on(&node);
    next.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 0 });
    take_away(&node, &mut next);
}

#[test]
fn a_layer_that_cannot_be_laid_again_at_once_is_laid_later() {
    let (node, mut agent) = writing();
    // No device for a while.
    node.sh("mkdir /run/dev && cp -a /dev/null /dev/urandom /run/dev && mount --bind /run/dev /dev");
    node.sh(&format!("kill -9 {}", process(&node, "layer")));
    node.until("it fails", || node.log().contains("layers are not put right"));
    node.sh("umount -l /dev");
    node.until("it is laid again", || is_mounted(&node));
    writes_on(&node);
    agent.inject(1, lose_power(0, 1));
    agent.proven(1);
    let acknowledged = acknowledged(&node);
    assert!(size(&node, "data/numbers") >= acknowledged, "{acknowledged}");
    agent.healed(1);
    take_away(&node, &mut agent);
}

#[test]
fn a_layer_outlives_its_agent_and_the_next_one_takes_it_away() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    lay(&node, &mut agent, &["data"]);
    run_program(&node, &mut agent, "data", APPEND);
    agent.inject(1, lose_power(0, 1));
    node.sh(&format!("kill -9 {}", agent.pids.0));
    agent.ended(&node);
    node.until("the guardian started it again", || {
        let then = acknowledged(&node);
        node.sh("sleep 0.05");
        acknowledged(&node) > then
    });
    assert!(is_mounted(&node));
    let mut next = node.agent("r", LEASE_MS);
    let (by_itself, left) = next.undone();
    assert!(left.is_empty() && by_itself.len() == 1 && by_itself[0].holds, "{by_itself:?} {left:?}");
    next.inject(2, lose_power(0, 2));
    next.proven(2);
    next.healed(2);
    // Also while it is in use: the program goes on, and no data are lost.
    drop(next);
    let (code, _) = node.heal();
    assert_eq!(code, Some(0), "{}", node.log());
    assert!(!is_mounted(&node));
    writes_on(&node);
    let numbers = acknowledged(&node);
    assert!(size(&node, "data/numbers") >= numbers);
}

#[test]
fn the_ability_is_tested_and_leaves_nothing() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let Response::Abilities(abilities) = agent.ask(Request::Abilities) else { panic!("abilities were asked for") };
    let layer = abilities.iter().find(|ability| ability.name == ability::DISK_LAYER).expect("tested");
    assert!(layer.able, "{layer:?}");
    assert!(!is_mounted(&node));
    assert_eq!(node.sh(&format!("ls -A {}", node.path("disk"))), "");
    // Nor does an agent that was killed while it tested it, once the next layers are laid.
    node.sh(&format!("mkdir {0} && echo > {0}/synced", node.path("disk/probe-1")));
    agent.done(Request::DiskLayers { folders: Vec::new() });
    assert_eq!(node.sh(&format!("ls -A {}", node.path("disk"))), "");
    // A node that has no device.
    node.sh("mkdir /run/dev && cp -a /dev/null /dev/urandom /run/dev && mount --bind /run/dev /dev");
    let Response::Abilities(abilities) = agent.ask(Request::Abilities) else { panic!("abilities were asked for") };
    let layer = abilities.iter().find(|ability| ability.name == ability::DISK_LAYER).expect("tested");
    assert!(!layer.able && layer.detail.contains("/dev/fuse"), "{layer:?}");
}
