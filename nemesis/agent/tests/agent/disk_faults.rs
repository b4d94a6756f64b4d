//! Faults of disks, on a real agent in namespaces: a program sees each of them, and none after the undo; damage to files is as it was
//! ordered.

use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{DiskCall, DiskDamage, DiskEffect, DiskError, DiskFolder, Injection, Request};

const LEASE_MS: u64 = 20_000;

/// An agent with a layer over the folder `data`, in which the service `db` does nothing.
fn begin(node: &Node) -> Channel {
    let mut agent = node.agent("r", LEASE_MS);
    std::fs::create_dir_all(node.path("data")).expect("a folder");
    std::fs::write(node.path("data/file"), "a".repeat(8192)).expect("written");
    lay(node, &mut agent);
    agent.service_in(node, "db", &["sleep", "1001"], &node.path("data"));
    agent
}

fn lay(node: &Node, agent: &mut Channel) {
    let exempt = vec![node.path("data/log")];
    agent.done(Request::DiskLayers { folders: vec![DiskFolder { path: node.path("data"), exempt, copy: true }] });
}

fn end(node: &Node, agent: &mut Channel) {
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 0 });
    agent.done(Request::DiskLayers { folders: Vec::new() });
    assert!(!node.sh("cat /proc/self/mountinfo").contains(" fuse.dsfuzz "));
}

fn disturb(effect: DiskEffect) -> Injection {
    Injection::DisturbDisk { services: vec!["db".to_owned()], effect, seed: 1 }
}

fn damage(damage: DiskDamage) -> Injection {
    Injection::DamageDisk { services: vec!["db".to_owned()], damage, seed: 1 }
}

/// Makes calls in the folder, each a line of Python; what each of them meets: `ok` or the name of the error.
fn calls(node: &Node, lines: &[&str]) -> String {
    let mut script = "import os, time, errno\nf = os.open('file', os.O_RDWR)\n".to_owned();
    for line in lines {
        script.push_str(&format!(
            "try:\n  {line}\n  print('ok', end=' ')\nexcept OSError as e: print(errno.errorcode[e.errno], end=' ')\n"
        ));
    }
    node.sh(&format!("cd {} && python3 - <<'E'\n{script}\nE", node.path("data")))
}

const APPEND: &str = "os.pwrite(f, b'x', os.fstat(f).st_size)";
const OVERWRITE: &str = "os.pwrite(f, b'a', 0)";
const READ: &str =
    "g = os.open('file', os.O_RDONLY | os.O_DIRECT); import mmap; os.preadv(g, [mmap.mmap(-1, 4096)], 0)";
const SYNC: &str = "os.fsync(f)";
const CREATE: &str = "os.close(os.open('created', os.O_CREAT | os.O_WRONLY))";
const REMOVE: &str = "os.path.exists('created') and os.remove('created')";
const RENAME: &str = "os.rename('file', 'file2'); os.rename('file2', 'file')";
const LOG: &str = "h = os.open('log', os.O_CREAT | os.O_WRONLY | os.O_APPEND); os.write(h, b'line'); os.fsync(h)";
const ALL: [&str; 8] = [APPEND, OVERWRITE, READ, SYNC, CREATE, REMOVE, RENAME, LOG];

#[test]
fn a_program_sees_each_effect_and_none_after_it() {
    let node = Node::new();
    let mut agent = begin(&node);
    let errors = |on, code| DiskEffect::Errors { on, percent: 100, code };
    let cases = [
        (DiskEffect::Full, "ENOSPC ok ok ok ENOSPC ok ok ok"),
        (DiskEffect::ReadOnly, "EROFS EROFS ok ok EROFS ok EROFS ok"),
        (errors(DiskCall::Read, DiskError::Eio), "ok ok EIO ok ok ok ok ok"),
        (errors(DiskCall::Write, DiskError::Enospc), "ENOSPC ENOSPC ok ok ok ok ok ok"),
        (errors(DiskCall::Write, DiskError::Edquot), "EDQUOT EDQUOT ok ok ok ok ok ok"),
        (errors(DiskCall::Fsync, DiskError::Eio), "ok ok ok EIO ok ok ok ok"),
    ];
    for (fault, (effect, wanted)) in (1..).zip(cases) {
        assert_eq!(calls(&node, &ALL), "ok ok ok ok ok ok ok ok", "before {effect:?}");
        agent.inject(fault, disturb(effect));
        agent.proven(fault);
        assert_eq!(calls(&node, &ALL), wanted, "{effect:?}");
        agent.proven(fault);
        agent.healed(fault);
    }
    assert_eq!(calls(&node, &ALL), "ok ok ok ok ok ok ok ok");
    end(&node, &mut agent);
}

#[test]
fn slow_calls_wait_and_others_do_not() {
    let node = Node::new();
    let mut agent = begin(&node);
    let timed = |call: &str| {
        let line = format!("b = time.monotonic(); {call}; print(int((time.monotonic() - b) * 1000), end=' ')");
        let text = calls(&node, &[&line]);
        text.split(' ').next().and_then(|ms| ms.parse::<u64>().ok()).unwrap_or_else(|| panic!("{text}"))
    };
    agent.inject(1, disturb(DiskEffect::Slow { read_ms: 0, write_ms: 300 }));
    agent.proven(1);
    assert!(timed(OVERWRITE) >= 300);
    agent.inject(2, disturb(DiskEffect::SlowSync { by_ms: 600 }));
    agent.proven(2);
    assert!(timed(SYNC) >= 600);
    agent.healed(1);
    agent.inject(3, disturb(DiskEffect::Slow { read_ms: 300, write_ms: 0 }));
    agent.proven(3);
    assert!(timed(READ) >= 300);
    agent.healed(2);
    agent.healed(3);
    end(&node, &mut agent);
}

#[test]
fn what_a_failed_sync_did_not_make_safe_stays_unsafe() {
    let node = Node::new();
    let mut agent = begin(&node);
    assert_eq!(calls(&node, &[SYNC]), "ok");
    agent.inject(1, disturb(DiskEffect::Errors { on: DiskCall::Fsync, percent: 100, code: DiskError::Eio }));
    agent.proven(1);
    let write = "os.pwrite(f, b'lost', 0); os.pwrite(f, b'kept', 4096); os.pwrite(f, b'tail', 8192)";
    assert_eq!(calls(&node, &[write, SYNC]), "ok EIO");
    agent.healed(1);
    // The next sync succeeds, and only what was written again is on the disk.
    assert_eq!(calls(&node, &["os.pwrite(f, b'kept', 4096)", SYNC]), "ok ok");
    agent.inject(2, Injection::LosePower { services: vec!["db".to_owned()], seed: 1, torn: 0 });
    agent.proven(2);
    let bytes = node.command("cat", &[&node.path("data/file")]).output().expect("cat").stdout;
    assert_eq!((&bytes[..4], &bytes[4096..4100]), (b"aaaa".as_slice(), b"kept".as_slice()));
    assert!(bytes.len() <= 8192 || bytes[8192..].iter().all(|byte| *byte == 0), "{:?}", &bytes[8192..]);
    agent.healed(2);
    end(&node, &mut agent);
}

#[test]
fn damage_is_as_ordered_and_the_program_starts_on_it() {
    let node = Node::new();
    let mut agent = begin(&node);
    let content =
        |name: &str| node.command("cat", &[&node.path(&format!("data/{name}"))]).output().expect("cat").stdout;
    let whole = "a".repeat(8192).into_bytes();
    agent.inject(1, damage(DiskDamage::BitFlip { bits: 3 }));
    agent.proven(1);
    let flipped = content("file");
    let bits: u32 = whole.iter().zip(&flipped).map(|(one, other)| (one ^ other).count_ones()).sum();
    assert_eq!((flipped.len(), bits), (8192, 3));
    agent.healed(1);
    assert_eq!(agent.pids("db").len(), 1);
    agent.inject(2, damage(DiskDamage::Truncate { bytes: 100 }));
    agent.proven(2);
    assert!((8092..8192).contains(&content("file").len()));
    agent.healed(2);
    // What was there when the layer was asked to keep a copy comes back, and what came later is gone.
    assert_eq!(calls(&node, &[CREATE, LOG, SYNC]), "ok ok ok");
    agent.inject(3, damage(DiskDamage::OldCopy));
    agent.proven(3);
    assert_eq!(content("file"), whole);
    assert_eq!(node.sh(&format!("ls {}", node.path("data"))), "file\nlog");
    agent.healed(3);
    end(&node, &mut agent);
}

#[test]
fn an_agent_that_dies_leaves_no_effect() {
    let node = Node::new();
    let mut agent = begin(&node);
    agent.inject(1, disturb(DiskEffect::ReadOnly));
    agent.proven(1);
    node.sh(&format!("kill -9 {}", agent.pids.0));
    agent.ended(&node);
    node.until("the guardian heals", || calls(&node, &ALL) == "ok ok ok ok ok ok ok ok");
    let mut next = node.agent("r", LEASE_MS);
    let (by_itself, left) = next.undone();
    assert!(left.is_empty() && by_itself.len() == 1 && by_itself[0].holds, "{by_itself:?} {left:?}");
    end(&node, &mut next);
}
