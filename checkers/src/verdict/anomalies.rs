//! [`ANOMALIES`]: every kind of finding that a checker of this crate reports, in a sentence each. A kind that several
//! checkers report has one sentence that is true of all of them. The list judges nothing; a checker's own documentation says
//! when it reports what.

/// The sentence for a kind of finding, if the kind is one of ours. Kinds are told apart by case: `G2`, not `g2`.
pub fn anomaly(kind: &str) -> Option<&'static str> {
    ANOMALIES.iter().find(|(known, _)| *known == kind).map(|(_, sentence)| *sentence)
}

/// Kinds ([`crate::Finding::kind`]) with their sentences, in groups: objects that are judged by a model, sets, queues and
/// logs, transactions, weaker promises, single workloads, the run as a whole.
pub const ANOMALIES: &[(&str, &str)] = &[
    // linearizable: registers.
    (
        "nonlinearizable",
        "No order of the calls, each at an instant between its call and its reply, explains all replies, and no \
         simpler reason was found.",
    ),
    (
        "stale-read",
        "A read returned an old value although a newer one had certainly taken effect before the read was called; \
         typical of replicas that answer reads without asking the others.",
    ),
    ("future-read", "A read returned what was only written after the read had ended, or later in its own transaction."),
    ("phantom-read", "A read returned a value that no call wrote, or only a call that certainly had no effect."),
    ("lost-update", "A call replaced a version that another had already replaced: one of the two updates is lost."),
    // linearizable: containers and sets that only grow.
    ("phantom-value", "A value was taken out that no call had put in."),
    ("duplicate-value", "A value came out more often than it was put in."),
    ("future-value", "A value was taken out by a call that had ended before the put of it was called."),
    ("lost-value", "A value that was put in and acknowledged was never taken, although it had to be."),
    ("fifo-violation", "A value came out certainly before another that was certainly put earlier: no queue does that."),
    ("lifo-violation", "Values came out in an order that no stack gives: last in, first out."),
    ("priority-violation", "A value came out while one that comes before it was certainly inside."),
    ("false-empty", "A take found nothing although at every instant of it some value was certainly inside."),
    ("duplicate-element", "One read of a set holds an element twice."),
    ("incompatible-reads", "Two reads of a set that only grows each hold an element that the other lacks."),
    // set, set-full, replicas-agree, crdt.
    (
        "lost-write",
        "A write, or an added element or message, was acknowledged and is not in what was read later, though it must be.",
    ),
    (
        "lost-element",
        "An element that was acknowledged, or had been read, is absent from the last reads, of all nodes or of one, though it \
         must be there.",
    ),
    ("unexpected-element", "A read holds an element that no call can have added by then."),
    ("duplicated-element", "One read holds twice an element that can be there only once."),
    (
        "missing-element",
        "An acknowledged element is in no final read that came, but a node never answered one, or was not asked: it may be there.",
    ),
    ("vanished-element", "An element that was never acknowledged was seen during the run and is gone at the end."),
    ("stale-element", "A read lacks an element that was known before the read began and is there at the end."),
    (
        "replica-lags",
        "At the end a node lacked what others had, and it is not known that the replicas had converged: it may be behind, or \
         have stopped there.",
    ),
    (
        "replicas-differ",
        "The final reads of two nodes differ; a replica may lag, or an update in doubt may be the reason.",
    ),
    // queue, total-queue, kafka.
    ("unexpected-message", "A message came out that no call can have put in by then."),
    ("duplicated-message", "A message came out more often than it was put in."),
    ("lost-message", "A message was put in and acknowledged, and did not come out although everything was drained."),
    ("inconsistent-offsets", "Two different messages were seen at one offset of a log."),
    ("precommitted-read", "A transaction polled a message that it had sent itself and not yet committed."),
    ("duplicate", "A message stands at more offsets of its log than there were sends of it."),
    ("poll-skip", "Between two polls of one process lies a message that it was never given."),
    ("int-poll-skip", "Within one call of poll a message was skipped."),
    ("nonmonotonic-poll", "A process polled an offset that is not above what it had polled before."),
    ("int-nonmonotonic-poll", "Within one call of poll the offsets do not go up."),
    ("nonmonotonic-send", "The offsets of one process' successive sends to one log do not go up."),
    ("int-nonmonotonic-send", "Within one call the offsets of sends to one log do not go up."),
    // Transactions: cycles, by Adya's names.
    ("G0", "Dirty write: transactions overwrote each other's writes in a cycle."),
    ("G0-process", "The same as G0, where the cycle also needs the order within a process."),
    ("G0-realtime", "The same as G0, where the cycle also needs the order in real time."),
    ("G1a", "Aborted read: a transaction read a write of a transaction that certainly did not take effect."),
    (
        "G1b",
        "Intermediate read: a transaction read a version that its writer had overwritten itself before it committed.",
    ),
    ("G1c", "Circular information flow: transactions read from and overwrote each other in a cycle."),
    ("G1c-process", "The same as G1c, where the cycle also needs the order within a process."),
    ("G1c-realtime", "The same as G1c, where the cycle also needs the order in real time."),
    (
        "G-single",
        "Read skew through a predicate: a cycle of dependencies in which exactly one transaction missed another's write.",
    ),
    (
        "G-single-item",
        "Read skew: a cycle of dependencies in which exactly one transaction read a version that the next one overwrote.",
    ),
    ("G-single-item-process", "The same as G-single-item, where the cycle also needs the order within a process."),
    ("G-single-item-realtime", "The same as G-single-item, where the cycle also needs the order in real time."),
    (
        "G-nonadjacent-item",
        "A cycle of dependencies with several reads of overwritten versions, no two of them in a row: snapshot \
         isolation forbids it.",
    ),
    (
        "G-nonadjacent-item-process",
        "The same as G-nonadjacent-item, where the cycle also needs the order within a process.",
    ),
    (
        "G-nonadjacent-item-realtime",
        "The same as G-nonadjacent-item, where the cycle also needs the order in real time.",
    ),
    (
        "G2",
        "Write skew through a predicate: transactions that each missed what the next one wrote, in a cycle; no serial order \
         allows it.",
    ),
    (
        "G2-item",
        "Write skew: transactions that each read a version which the next one overwrote, in a cycle; no serial order \
         allows it.",
    ),
    ("G2-item-process", "The same as G2-item, where the cycle also needs the order within a process."),
    ("G2-item-realtime", "The same as G2-item, where the cycle also needs the order in real time."),
    // Transactions: flaws of single reads and versions.
    ("internal", "A read does not agree with what its own transaction had read or written before it."),
    ("dirty-update", "A transaction that took effect built on a write of one that certainly did not."),
    (
        "incompatible-order",
        "A list was read in an order that does not agree with another read of it, or with the appends of one transaction.",
    ),
    ("duplicate-elements", "A list holds an element twice that was appended once."),
    (
        "garbage-read",
        "A read returned a value that no transaction wrote, or only one that certainly did not take effect.",
    ),
    ("cyclic-versions", "The inferred orders of a key's versions contradict each other."),
    ("predicate-read-miss", "A predicate read lacks a key although every version of it that it can have seen matches."),
    ("predicate-mismatch", "A predicate read returned a value that does not match its predicate."),
    (
        "non-monotonic-view",
        "A transaction saw one write of another transaction, and then read a version older than another write of it.",
    ),
    ("fractured-read", "A transaction saw one write of another transaction and missed another of the same."),
    ("causal-violation", "A transaction read something older than what its causal past contains."),
    // Weaker promises on registers.
    ("thin-air-read", "A read returned a value that no call wrote."),
    ("nonsequential", "No order that keeps the order of each process explains all reads."),
    ("cyclic-co", "The causal order contradicts itself: an operation comes before itself by sessions and reads."),
    ("write-co-init-read", "A read found nothing although a write of its key is before it in the causal order."),
    ("write-co-read", "A read returned a value although a newer one, by the causal order, is before the read, too."),
    (
        "cyclic-cf",
        "Reads show concurrent writes in orders that no single order of all writes can contain (causal convergence).",
    ),
    (
        "write-hb-init-read",
        "A read found nothing although, by all that its process had seen and done, a write of its key was before it.",
    ),
    ("cyclic-hb", "No single order explains the reads of one process, not even one for this process alone."),
    ("stale-own-write", "A read returned something older than what its own process had written to the key."),
    ("non-monotonic-read", "A read returned something older than what its own process had read of the key before."),
    (
        "non-monotonic-write",
        "Two writes of one process to a key were seen in the reverse of the order in which it made them.",
    ),
    ("write-before-read", "A write was seen to be older than what its process had read of the key before it."),
    (
        "writes-seen-reversed",
        "Writes were seen in reverse, which may also be the reader's own going back: evidence, not a violation.",
    ),
    ("diverged-replicas", "Nodes show different values of one key although they had the time to agree."),
    ("superseded-value", "All nodes settled on a value that had certainly been overwritten."),
    ("not-k-atomic", "A read returned none of the latest k values, with the k that is allowed."),
    ("not-delta-atomic", "A read was staler, in time, than is allowed."),
    // crdt.
    ("diverged", "Replicas differ after quiescence, and no update in doubt can be the reason."),
    (
        "same-clock-different-value",
        "Two reads with the same clock, so with the same updates delivered, show different values.",
    ),
    ("value-out-of-bounds", "A counter shows what no selection of the updates that may have happened adds up to."),
    ("resurrected-element", "An element is there although every node removed it after it had been added there."),
    ("unexpected-value", "A register shows a value that no call can have written by then."),
    ("shrunk", "An object that only grows shows less than an earlier read on the same node."),
    // counter, unique-ids, monotonic, bank, long-fork, causal-reverse.
    ("read-below-bound", "A counter's read is less than the least that the additions before and beside it allow."),
    ("read-above-bound", "A counter's read is more than the most that the additions before and beside it allow."),
    ("duplicate-id", "Two calls were given the same id."),
    ("out-of-order", "A row that was added later has an earlier timestamp."),
    ("out-of-order-process", "A row that the same process added later has an earlier timestamp."),
    ("lost-row", "A row that was acknowledged is in none of the last reads."),
    ("duplicate-row", "One read holds a row twice."),
    ("unexpected-row", "A read holds a row that no call can have added by then."),
    ("wrong-total", "A read's balances do not add up to the sum that transfers must preserve."),
    ("negative-value", "A read shows an account below zero."),
    ("unexpected-key", "A read names an account that does not exist."),
    ("nil-balance", "A read shows an account without a balance."),
    ("long-fork", "Two reads saw two writes in opposite orders: each saw one of them and missed the other."),
    ("causal-reverse", "A read saw a write and missed another that had been acknowledged before that one was called."),
    // lock, semaphore, lease, fencing.
    ("double-hold", "Two processes certainly held one lock at the same moment."),
    ("too-many-holders", "More permits were certainly held at one moment than there are."),
    ("release-by-non-holder", "A release was acknowledged to a process that did not hold the lock."),
    (
        "acquired-while-held",
        "A process acquired a lock that it held already: right for a reentrant lock, evidence otherwise.",
    ),
    (
        "overlapping-leases",
        "Two processes certainly held one lease at the same moment, even by the worst clock allowed.",
    ),
    ("token-not-increasing", "A later grant carries a fencing token that is not larger."),
    ("token-granted-twice", "Two grants carry the same fencing token."),
    ("stale-token-accepted", "A write with an older fencing token was accepted after one with a newer token."),
    ("stale-token-in-log", "The resource's own log shows an older fencing token behind a newer one."),
    // watch.
    ("watch-unordered", "A watch delivered an event after one of a later revision."),
    ("watch-duplicate", "A watch delivered one revision of one key twice."),
    ("watch-not-atomic", "A watch delivered the changes of one revision in several responses, or only some of them."),
    ("watch-not-reliable", "A watch left out a change that lies between two revisions which it delivered."),
    (
        "watch-not-resumable",
        "A watch left out a change between the revision that it was started from and the first delivered.",
    ),
    ("watch-not-bookmarkable", "A watch promised by a bookmark to have delivered everything so far, and had not."),
    ("watch-filter", "A watch delivered a key that it had not asked for."),
    ("watch-before-start", "A watch delivered a revision older than the one that it was started from."),
    (
        "watch-wrong-event",
        "A watch delivered an event that differs from the change that was made, or from what another watch delivered.",
    ),
    ("watch-unexpected-event", "A watch delivered a put that no call can have made by then."),
    // atomic-commit, saga.
    ("mixed-decision", "One participant committed a transaction and another aborted it."),
    ("decision-flipped", "One participant took a decision back."),
    (
        "acknowledged-commit-aborted",
        "The reply to the client says that its transaction committed, and a participant aborted it.",
    ),
    (
        "acknowledged-abort-committed",
        "The reply to the client says that its transaction aborted, and a participant committed it.",
    ),
    ("conflicting-answers", "Replies to clients say that a transaction committed, and that it aborted."),
    ("refused-commit-committed", "Every call to commit a transaction was refused, and a participant committed it."),
    ("undecided", "A participant had not decided a transaction at the end of the run."),
    ("compensated-without-step", "A saga compensated a step that had not been done."),
    ("compensated-out-of-order", "A saga compensated its steps in another order than the reverse one."),
    ("compensated-after-success", "A saga compensated a step after all of its steps had been done."),
    ("step-after-compensation", "A saga went on with a step after it had begun to compensate."),
    ("event-after-end", "Something happened in a saga after its end."),
    ("completed-after-compensation", "A saga that had compensated a step ended as completed."),
    ("completed-with-steps-missing", "A saga ended as completed though not all of its steps had been done."),
    ("incomplete-compensation", "A saga ended as compensated though a step that had been done was not compensated."),
    ("conflicting-logs", "Two logs of one saga contradict each other: neither continues the other."),
    ("acknowledged-otherwise", "The reply to the caller says another end of a saga than its log."),
    ("refused-saga-ran", "Every start of a saga was refused, and it ran."),
    ("unfinished", "A saga had not ended at the end of the run."),
    // split-brain, leadership, liveness, membership, availability.
    ("two-leaders-in-one-term", "Two nodes led the same term, which a consensus protocol rules out."),
    (
        "both-sides-acknowledged",
        "While a cut was certainly in force, nodes on both of its sides acknowledged writes to the same key.",
    ),
    (
        "leaking-cut",
        "While a cut was in force, a value that was first written on one of its sides was seen on the other: the cut did not hold.",
    ),
    (
        "both-sides-acknowledged-different-keys",
        "Both sides of a cut acknowledged writes, though never to the same key; a system of several shards may do that rightly.",
    ),
    (
        "overlapping-leaders",
        "Two nodes claimed to lead at once, in different terms; a deposed leader may not know it yet.",
    ),
    ("not-recovered", "A node acknowledged nothing, or no write, in the time it had after the last heal."),
    ("not-healed", "It was never verified that a fault is gone."),
    (
        "recovery-not-judged",
        "Nodes were not judged after a heal: they were not called in time, or another fault or the end of the load came first.",
    ),
    ("ghost-member", "A node took another one for a member that had been dead for longer than it may take to notice."),
    ("false-death", "A node took another one for dead that lived, long after any fault could have disturbed the two."),
    ("crashed", "A process of the target ended, and neither a planned fault nor the harness ended it."),
    (
        "start-failed",
        "A process that was started again after a fault ended with an exit status before long; it may wait for others.",
    ),
    (
        "exited-in-fault",
        "A process ended with an exit status while a fault that can make a server end itself may have been in force, or shortly after it.",
    ),
    ("exited-as-declared", "A process ended with an exit status that its recipe or the plan expects."),
    (
        "log-corruption",
        "A log says that stored data is corrupt, on a node where a process was killed before: it may be a file's torn end.",
    ),
    (
        "alarm-of-failed-disk",
        "A server wrote an alarm on a node whose disk had failed or lost data by a fault, as a sound server does.",
    ),
    (
        "did-not-come-back",
        "A process that had served before did not serve again after the last heal, in the time that the plan gives it.",
    ),
    (
        "log-alarm",
        "The target wrote into its log what only a bug makes it write: a panic, a failed assertion, corruption, a race.",
    ),
    ("out-of-memory", "The kernel killed a process of the target for want of memory."),
    ("core-file", "A process of the target left a core file."),
    ("longest-gap", "The longest interval of the load without an acknowledgement."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::FUNCTIONS;
    use crate::history::Format;
    use crate::transactions::lattice;
    use crate::{CHECKERS, MODELS};
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    /// Words with a hyphen, or of Adya's, that are no kinds of findings: functions, values of options, anomalies that a
    /// model of consistency forbids and nothing here looks for.
    const OTHER_WORDS: &[&str] = &[
        "power-loss",
        "not-held",
        "not-leader",
        "read-only",
        "G-SIb",
        "G-cursor",
        "G-monotonic",
        "any-node",
        "each-node",
        "g-counter",
        "g-set",
        "kebab-case",
        "linearizable-keys",
        "logs-read",
        "lww-register",
        "or-set",
        "own-write-missed",
        "sequential-keys",
        "pn-counter",
        "prefix-violation",
        "sequential-keys",
        "timed-out",
        "until-empty",
    ];

    /// Whether a literal looks like the name of a kind.
    fn looks_like_a_kind(word: &str) -> bool {
        let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
        let adya =
            word.strip_prefix('G').is_some_and(|rest| rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()));
        let kebab = word.contains('-') && word.starts_with(|c: char| c.is_ascii_lowercase());
        (adya || kebab) && word.trim_start_matches("G-").split('-').all(part)
    }

    /// String literals of one line of code.
    fn literals(line: &str) -> impl Iterator<Item = &str> {
        line.split('"').skip(1).step_by(2)
    }

    /// Every literal of the crate outside tests and oracles, with the file that it stands in.
    fn literals_of_the_crate() -> BTreeMap<String, String> {
        const APART: [&str; 10] =
            ["tests", "fuzz", "testing", "brute", "small", "oracle", "oracles", "simulate", "stories", "anomalies"];
        let mut found = BTreeMap::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let stem = path.file_stem().unwrap().to_str().unwrap();
                if APART.contains(&stem) {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("\nmod tests {").next().unwrap_or_default();
                for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                    found.extend(literals(line).map(|word| (word.to_owned(), path.display().to_string())));
                }
            }
        }
        found
    }

    #[test]
    fn every_kind_in_the_sources_is_in_the_list() {
        let mut known: BTreeSet<&str> = OTHER_WORDS.iter().copied().collect();
        known.extend(ANOMALIES.iter().map(|(kind, _)| *kind));
        let options: Vec<_> = CHECKERS.iter().flat_map(|doc| doc.option_docs()).collect();
        known.extend(CHECKERS.iter().flat_map(|doc| [doc.name, doc.cost]));
        known.extend(options.iter().map(|option| option.name.as_str()));
        known.extend(MODELS.iter().map(|doc| doc.name));
        known.extend(FUNCTIONS.iter().map(|function| function.name));
        known.extend(lattice::MODELS.iter().flat_map(|model| model.aliases.iter().copied().chain([model.name])));
        known.extend(Format::ALL.iter().map(|format| format.name()));
        for (word, file) in literals_of_the_crate() {
            assert!(
                !looks_like_a_kind(&word) || known.contains(word.as_str()),
                "{word} ({file}): a kind of findings belongs into ANOMALIES, any other word into OTHER_WORDS"
            );
        }
    }

    #[test]
    fn every_kind_in_the_list_is_in_the_sources_and_is_told_in_a_sentence() {
        let sources = literals_of_the_crate();
        let mut seen = BTreeSet::new();
        for (kind, sentence) in ANOMALIES {
            assert!(seen.insert(kind), "{kind} is listed twice");
            assert!(sources.contains_key(*kind), "nothing reports {kind}");
            assert!(sentence.ends_with('.') && sentence.len() > 20, "{kind}: {sentence}");
        }
        assert_eq!(anomaly("G2-item").map(|sentence| sentence.starts_with("Write skew")), Some(true));
        assert_eq!(anomaly("g2-item"), None);
    }
}
