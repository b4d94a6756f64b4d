//! [`Journal`]: the undo journal of an agent. It keeps two kinds of records ([`JournalRecord`]): injections that are to be undone,
//! and self-heals that are to be reported to the control node. `injector.rs` owns it, in the agent and in its guardian.
//!
//! The file is preallocated and has slots of fixed size, so that a full disk cannot stop an entry. An entry is on disk before its
//! injection begins, so a torn slot is an injection that never began. A whole slot that this release does not understand is an
//! injection of another release: it stays, and is reported.
//!
//! A slot is the magic, the length of the JSON and its CRC-32 (both little-endian, 4 bytes), and the JSON. A free slot begins with
//! zeros.
use crate::process::BootId;
use dsfuzz_nemesis::protocol::{Injection, LEFT_BEHIND, SelfHeal};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"DSFUNDO1";
/// Magic, length and CRC-32.
const HEAD_BYTES: usize = 16;
const SLOT_BYTES: usize = 16 << 10;
const SLOTS: usize = 64;

/// One injection that is, or may be, in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(PartialEq))]
pub(crate) struct UndoEntry {
    /// Orders the injections in force: higher is later.
    pub(crate) seq: u64,
    /// The run that asked for it.
    pub(crate) run: String,
    /// The fault it belongs to.
    pub(crate) fault: u64,
    /// The node's boot id when it began.
    pub(crate) boot_id: BootId,
    /// Boot-time clock when the entry was made.
    pub(crate) boot_ns: u64,
    /// Wall clock at the same moment: the reference for undoing a step, and the phase of a strobe.
    pub(crate) real_ns: i64,
    /// The injection; `act` on disk, where agents of earlier releases may have left it.
    #[serde(rename = "act")]
    pub(crate) injection: Injection,
    /// What ran on the node, was stopped by the injection, and runs again after the undo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stopped: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(PartialEq))]
enum JournalRecord {
    /// An injection that may be in force.
    Live(UndoEntry),
    /// A fault that the node undid by itself.
    Healed(SelfHeal),
    /// An injection of another release, in the form in which it is reported.
    #[serde(skip)]
    Foreign(SelfHeal),
}

/// The undo journal in one file. `slots` mirrors the file.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    slots: Vec<Option<JournalRecord>>,
    torn: usize,
}

impl Journal {
    /// Opens the journal; makes and preallocates a missing one.
    pub(crate) fn open(path: &Path) -> Result<Journal, String> {
        let failed = |error: std::io::Error| format!("undo journal {}: {error}", path.display());
        let mut file =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let whole = (SLOT_BYTES * SLOTS) as u64;
        if size < whole {
            file.write_all_at(&vec![0; (whole - size) as usize], size).map_err(failed)?;
            file.flush().and_then(|()| file.sync_all()).map_err(failed)?;
            if let Some(folder) = path.parent() {
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
            }
        }
        let mut journal = Journal { path: path.to_owned(), file, slots: Vec::new(), torn: 0 };
        for slot in 0..SLOTS {
            let mut bytes = vec![0; SLOT_BYTES];
            journal.file.read_exact_at(&mut bytes, (slot * SLOT_BYTES) as u64).map_err(failed)?;
            let record = parse(&bytes);
            journal.torn += usize::from(record.is_none() && bytes.starts_with(MAGIC));
            journal.slots.push(record);
        }
        Ok(journal)
    }

    /// The number of torn slots at the time of opening.
    pub(crate) fn torn(&self) -> usize {
        self.torn
    }

    /// Injections that may be in force, oldest first.
    pub(crate) fn live(&self) -> Vec<UndoEntry> {
        let mut entries: Vec<UndoEntry> = self
            .slots
            .iter()
            .filter_map(|slot| match slot {
                Some(JournalRecord::Live(entry)) => Some(entry.clone()),
                _ => None,
            })
            .collect();
        entries.sort_by_key(|entry| entry.seq);
        entries
    }

    /// Injections of other releases, as self-heals that did not hold.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &SelfHeal> {
        self.slots.iter().filter_map(|slot| match slot {
            Some(JournalRecord::Foreign(heal)) => Some(heal),
            _ => None,
        })
    }

    /// The self-heals, earliest first.
    pub(crate) fn healed(&self) -> Vec<SelfHeal> {
        let mut healed: Vec<SelfHeal> = self
            .slots
            .iter()
            .filter_map(|slot| match slot {
                Some(JournalRecord::Healed(heal)) => Some(heal.clone()),
                _ => None,
            })
            .collect();
        healed.sort_by_key(|heal| (heal.latest_ns, heal.fault));
        healed
    }

    /// Puts an entry on disk, and returns it with its `seq`, which is chosen here. The injection may begin after that.
    pub(crate) fn begin(&mut self, mut entry: UndoEntry) -> Result<UndoEntry, String> {
        entry.seq = 1 + self.live().last().map_or(0, |last| last.seq);
        self.put(JournalRecord::Live(entry.clone()))?;
        Ok(entry)
    }

    /// Removes the entry of an injection that is proven undone.
    pub(crate) fn done(&mut self, seq: u64) -> Result<(), String> {
        self.clear(|record| matches!(record, JournalRecord::Live(entry) if entry.seq == seq))
    }

    /// Keeps a self-heal; a later one of the same fault replaces it.
    pub(crate) fn remember(&mut self, heal: SelfHeal) -> Result<(), String> {
        self.forget(|known| known.run == heal.run && known.fault == heal.fault)?;
        self.put(JournalRecord::Healed(heal))
    }

    /// Removes the self-heals that `which` selects.
    pub(crate) fn forget(&mut self, which: impl Fn(&SelfHeal) -> bool) -> Result<(), String> {
        self.clear(|record| matches!(record, JournalRecord::Healed(heal) if which(heal)))
    }

    /// Writes a record to a free slot. A full journal gives up its oldest self-heal.
    fn put(&mut self, record: JournalRecord) -> Result<(), String> {
        let mut slot = self.slots.iter().position(Option::is_none);
        if slot.is_none() {
            // The loss of a self-heal's report is less bad than an injection without an undo.
            let oldest = self.healed().into_iter().next();
            if let Some(oldest) = oldest {
                self.forget(|heal| *heal == oldest)?;
                slot = self.slots.iter().position(Option::is_none);
            }
        }
        let Some(slot) = slot else {
            return Err(format!("undo journal {}: {SLOTS} injections are in force already", self.path.display()));
        };
        let json = serde_json::to_vec(&record).map_err(|error| format!("undo journal: {error}"))?;
        if json.len() > SLOT_BYTES - HEAD_BYTES {
            return Err(format!(
                "an injection of {} bytes does not fit into the undo journal ({} bytes each): split it",
                json.len(),
                SLOT_BYTES - HEAD_BYTES
            ));
        }
        self.write(slot, &frame(&json))?;
        self.slots[slot] = Some(record);
        Ok(())
    }

    /// Frees slots; zeros in place of the magic are enough.
    fn clear(&mut self, which: impl Fn(&JournalRecord) -> bool) -> Result<(), String> {
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(&which) {
                self.write(slot, &[0; HEAD_BYTES])?;
                self.slots[slot] = None;
            }
        }
        Ok(())
    }

    fn write(&self, slot: usize, bytes: &[u8]) -> Result<(), String> {
        self.file
            .write_all_at(bytes, (slot * SLOT_BYTES) as u64)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| format!("undo journal {}: {error}", self.path.display()))
    }
}

/// The bytes of a slot.
fn frame(json: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(json.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32(json).to_le_bytes());
    bytes.extend_from_slice(json);
    bytes
}

/// The record of a slot; none if it is free or torn.
fn parse(bytes: &[u8]) -> Option<JournalRecord> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let length = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    let sum = u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?);
    let json = rest.get(8..8 + length)?;
    if crc32(json) != sum {
        return None;
    }
    serde_json::from_slice(json).ok().or_else(|| foreign(json))
}

/// The injection of another release; none if it is another record, of which nothing has to be undone.
fn foreign(json: &[u8]) -> Option<JournalRecord> {
    let record: serde_json::Value = serde_json::from_slice(json).ok()?;
    let entry = record.get("Live")?;
    let run = entry["run"].as_str().unwrap_or("an unknown run").to_owned();
    let fault = entry["fault"].as_u64().unwrap_or(0);
    let why = format!(
        "{LEFT_BEHIND}: fault {fault} of {run} was injected by another release of dsfuzz; `dsfuzz heal` of that release undoes it"
    );
    Some(JournalRecord::Foreign(SelfHeal { fault, run, why, earliest_ns: 0, latest_ns: 0, holds: false }))
}

/// CRC-32 (IEEE 802.3), bit by bit: a slot is small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fault: u64) -> UndoEntry {
        let injection = Injection::Kill { services: vec!["db".to_owned()] };
        UndoEntry {
            seq: 0,
            run: "r".to_owned(),
            fault,
            boot_id: BootId("b".to_owned()),
            boot_ns: 1,
            real_ns: 2,
            injection,
            stopped: Vec::new(),
        }
    }

    fn heal(fault: u64, latest_ns: u64) -> SelfHeal {
        let (run, why) = ("r".to_owned(), "agent died".to_owned());
        SelfHeal { fault, run, why, earliest_ns: 1, latest_ns, holds: true }
    }

    fn fresh(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("dsfuzz-journal-{}-{name}", std::process::id()));
        drop(std::fs::remove_file(&path));
        path
    }

    #[test]
    fn entries_survive_and_end() {
        let path = fresh("survive");
        let mut journal = Journal::open(&path).expect("made");
        let first = journal.begin(entry(1)).expect("written");
        let second = journal.begin(entry(2)).expect("written");
        assert!(second.seq > first.seq);
        journal.done(first.seq).expect("cleared");
        journal.remember(heal(1, 5)).expect("written");
        journal.remember(heal(1, 9)).expect("written");
        let again = Journal::open(&path).expect("read");
        assert_eq!(again.live(), vec![second]);
        assert_eq!(again.healed(), vec![heal(1, 9)]);
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn a_torn_slot_is_no_entry() {
        let path = fresh("torn");
        let mut journal = Journal::open(&path).expect("made");
        journal.begin(entry(1)).expect("written");
        journal.begin(entry(2)).expect("written");
        let file = OpenOptions::new().write(true).open(&path).expect("opened");
        file.write_all_at(b"\0\0\0", (SLOT_BYTES + HEAD_BYTES + 20) as u64).expect("torn");
        let again = Journal::open(&path).expect("read");
        assert_eq!(again.live().iter().map(|entry| entry.fault).collect::<Vec<_>>(), vec![1]);
        assert_eq!(again.torn(), 1);
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn an_injection_of_another_release_stays_and_is_reported() {
        let path = fresh("foreign");
        let mut journal = Journal::open(&path).expect("made");
        journal.begin(entry(1)).expect("written");
        let json = br#"{"Live":{"seq":2,"run":"later/1","fault":7,"act":{"freeze-dns":{}}}}"#;
        journal.write(1, &frame(json)).expect("written");
        let mut again = Journal::open(&path).expect("read");
        assert_eq!((again.torn(), again.live().len()), (0, 1));
        for _ in 0..2 {
            let told: Vec<SelfHeal> = again.foreign().cloned().collect();
            assert_eq!((told.len(), told[0].fault, told[0].holds), (1, 7, false));
            assert!(told[0].why.contains("fault 7 of later/1 was injected by another release"), "{}", told[0].why);
            again.forget(|_| true).expect("nothing to forget");
        }
        again.begin(entry(3)).expect("written");
        assert_eq!(Journal::open(&path).expect("read").foreign().count(), 1, "its slot is not used again");
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn self_heals_give_way_to_injections_and_injections_are_bounded() {
        let path = fresh("full");
        let mut journal = Journal::open(&path).expect("made");
        for fault in 0..SLOTS as u64 {
            journal.remember(heal(fault, fault)).expect("written");
        }
        for fault in 0..SLOTS as u64 {
            journal.begin(entry(fault)).expect("a heal gives way");
        }
        assert!(journal.healed().is_empty());
        assert!(journal.begin(entry(99)).is_err());
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn crc_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
