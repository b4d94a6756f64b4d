//! Histories with known verdicts, where they are present: `DSFUZZ_CORPORA`, by default `../shared/corpora` beside the workspace.
use crate::history::{Format, Outcome, ReadOptions, read};
use crate::linearizability::Linearizable;
use crate::testing::corpora;
use crate::verdict::{Budget, Checker, Validity};

fn compare(prefix: &str, format: Format, at_least: usize) {
    let Some(folder) = corpora() else { return };
    let expected = std::fs::read_to_string(folder.join("expected.tsv")).expect("expected.tsv");
    let mut judged = 0;
    for line in expected.lines().filter(|line| line.starts_with(prefix)) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, kind, verdict] = fields[..] else { panic!("{line}") };
        if !kind.starts_with("cas-register") {
            continue;
        }
        let file = std::fs::File::open(folder.join(name)).expect(name);
        let history = read(format, file, &ReadOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let start = std::time::Instant::now();
        let deadline = start + std::time::Duration::from_secs(120);
        let budget = Budget {
            expired: std::sync::Arc::new(move || std::time::Instant::now() > deadline),
            memory_bytes: 1 << 30,
            ..Budget::unlimited()
        };
        let answer = Linearizable::registers().check(&history, &budget);
        let size = answer.findings.iter().map(|finding| finding.ops.len()).max().unwrap_or(0);
        println!("{name}: {:?} {size} {:?}", answer.validity, start.elapsed());
        let wanted = match verdict {
            // Two of them acknowledge nothing at all: no order is wrong, but for us that is not a pass.
            "valid" if history.ops().iter().all(|op| op.outcome != Outcome::Ok) => Validity::Unknown,
            "valid" => Validity::Valid,
            _ => Validity::Invalid,
        };
        assert!(size <= 8, "{name}: a counterexample of {size} operations");
        assert_eq!(answer.validity, wanted, "{name}: {}", answer.summary);
        judged += 1;
    }
    println!("{judged} histories of {prefix} agree");
    assert!(judged >= at_least, "only {judged} histories of {prefix}");
}

#[test]
fn generated_registers() {
    compare("registers/reg-n1000-", Format::JepsenJson, 12);
    compare("registers/reg-n10000-", Format::JepsenJson, 12);
    compare("registers/uniq-", Format::JepsenJson, 4);
    compare("registers/kv-", Format::JepsenJson, 2);
}

#[test]
fn jepsens_etcd_logs() {
    compare("etcd-logs/", Format::PorcupineEtcd, 40);
}

#[test]
fn knossos_registers() {
    compare("knossos/", Format::JepsenEdn, 40);
}
