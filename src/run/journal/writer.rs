//! Writes a journal. One lock gives a record its index, time and offset. A thread syncs every second and prepares the next
//! segment. After a failed record nothing more is written, so that the file is always a prefix of the events.
use super::segment::Segment;
use super::{FRAME_HEAD_BYTES, SEGMENT_HEAD_BYTES, body_checksum, frame_bytes, with_stamp};
use dsfuzz_checkers::Mark;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The journal being written.
pub(in crate::run) struct Journal {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    dir: PathBuf,
    segment_bytes: usize,
    start: Instant,
    state: Mutex<WriterState>,
    changed: Condvar,
    failure: OnceLock<String>,
}

struct WriterState {
    segment: Arc<Segment>,
    number: u32,
    at: usize,
    synced: usize,
    /// Full segments that are not synced yet, with the range that is not.
    full: Vec<(Arc<Segment>, usize, usize)>,
    spare: Option<Segment>,
    /// The keeper is making the spare segment.
    making: bool,
    next_index: u64,
    closed: bool,
}

impl Journal {
    /// Makes the folder, its first segment and the keeper thread. Refuses a folder that holds a journal.
    pub(in crate::run) fn create(dir: &Path, segment_bytes: usize) -> io::Result<Journal> {
        std::fs::create_dir_all(dir)?;
        let segment = Segment::create(dir, 0, segment_bytes.max(SEGMENT_HEAD_BYTES + FRAME_HEAD_BYTES))?;
        let state = WriterState {
            segment: Arc::new(segment),
            number: 0,
            at: SEGMENT_HEAD_BYTES,
            synced: 0,
            full: Vec::new(),
            spare: None,
            making: false,
            next_index: 0,
            closed: false,
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            segment_bytes,
            start: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            failure: OnceLock::new(),
        });
        let keeper = std::thread::Builder::new().name("journal".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.keep()
        })?;
        Ok(Journal { shared, keeper: Mutex::new(Some(keeper)) })
    }

    /// Nanoseconds since the start.
    pub(in crate::run) fn now(&self) -> u64 {
        self.shared.now()
    }

    /// The last record written (index 0 before the first), and the time now.
    pub(in crate::run) fn mark(&self) -> Mark {
        let state = self.shared.lock();
        Mark { index: state.next_index.saturating_sub(1), time: self.shared.now() }
    }

    /// Writes a record; `count` runs before any later record is numbered. None: neither this nor any later record is written.
    pub(in crate::run) fn append(&self, body: &[u8], count: impl FnOnce()) -> Option<Mark> {
        let checksum = body_checksum(body);
        let length = u32::try_from(body.len()).ok().filter(|length| *length > 0)?;
        let need = frame_bytes(body.len());
        let mut state = self.shared.lock();
        if state.closed {
            return None;
        }
        if state.segment.bytes() - state.at < need {
            state = self.shared.turn_over(state, need)?;
        }
        let index = state.next_index;
        let time = if index == 0 { 0 } else { self.shared.now() };
        let mut stamp = [0u8; 16];
        stamp[..8].copy_from_slice(&index.to_le_bytes());
        stamp[8..].copy_from_slice(&time.to_le_bytes());
        state.segment.put(state.at + 8, &stamp);
        state.segment.put(state.at + FRAME_HEAD_BYTES, body);
        let checksum = with_stamp(checksum, index, time);
        state.segment.commit(state.at, u64::from(length) | u64::from(checksum) << 32);
        state.at += need;
        state.next_index += 1;
        count();
        Some(Mark { index, time })
    }

    /// The reason why journalling failed, if it has.
    pub(in crate::run) fn failure(&self) -> Option<&str> {
        self.shared.failure.get().map(String::as_str)
    }

    /// Declares journalling failed for a reason of the caller's; nothing more is written.
    pub(in crate::run) fn fail(&self, why: String) {
        let _ = self.shared.failure.set(why);
        self.shared.lock().closed = true;
    }

    /// Syncs all records, releases unused space and stops. Nothing is written afterwards. Safe to repeat.
    pub(in crate::run) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper
            && keeper.join().is_err()
        {
            let _ = self.shared.failure.set("the journal's sync thread panicked".to_owned());
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, WriterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn failed(&self, what: &str, error: &io::Error) {
        let dir = self.dir.display();
        let advice = "make room on that file system, or give another results folder";
        let _ = self.failure.set(format!("cannot {what} in the journal {dir}: {error}; {advice}"));
    }

    /// Switches to a segment with room for `need` bytes. Without one, closes the journal and returns None.
    fn turn_over<'a>(
        &'a self,
        mut state: MutexGuard<'a, WriterState>,
        need: usize,
    ) -> Option<MutexGuard<'a, WriterState>> {
        while state.making {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return None;
        }
        if state.segment.bytes() - state.at >= need {
            return Some(state); // Another writer turned over while this one waited.
        }
        let bytes = self.segment_bytes.max(need + SEGMENT_HEAD_BYTES);
        let number = state.number + 1;
        let next = match state.spare.take() {
            Some(spare) if spare.bytes() >= bytes => Ok(spare),
            Some(small) => small.discard().and_then(|()| Segment::create(&self.dir, number, bytes)),
            None => Segment::create(&self.dir, number, bytes),
        };
        match next {
            Ok(next) => {
                let last = (state.segment.clone(), state.synced, state.at);
                state.full.push(last);
                state.segment = Arc::new(next);
                (state.number, state.at, state.synced) = (number, SEGMENT_HEAD_BYTES, 0);
                self.changed.notify_all();
                Some(state)
            }
            Err(error) => {
                self.failed(&format!("reserve {bytes} bytes"), &error);
                state.closed = true;
                None
            }
        }
    }

    /// The keeper thread.
    fn keep(&self) {
        let mut sync_at = Instant::now() + SYNC_EVERY;
        loop {
            self.make_spare();
            let mut state = self.lock();
            while !state.closed && (state.spare.is_some() || self.failure.get().is_some()) {
                let left = sync_at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            let closed = state.closed;
            drop(state);
            if closed || Instant::now() >= sync_at {
                self.sync();
                sync_at = Instant::now() + SYNC_EVERY;
            }
            if closed {
                return self.tidy();
            }
        }
    }

    /// Reserves the next segment ahead. If that fails, the run must stop, but the room left in the present segment still takes
    /// the replies of the calls in flight.
    fn make_spare(&self) {
        let mut state = self.lock();
        if state.closed || state.spare.is_some() || self.failure.get().is_some() {
            return;
        }
        state.making = true;
        let number = state.number + 1;
        drop(state);
        let made = Segment::create(&self.dir, number, self.segment_bytes);
        let mut state = self.lock();
        state.making = false;
        match made {
            Ok(spare) => state.spare = Some(spare),
            Err(error) => self.failed(&format!("reserve {} bytes", self.segment_bytes), &error),
        }
        self.changed.notify_all();
    }

    fn sync(&self) {
        let mut state = self.lock();
        let mut ranges = std::mem::take(&mut state.full);
        ranges.push((state.segment.clone(), state.synced, state.at));
        state.synced = state.at;
        drop(state);
        for (segment, from, to) in ranges {
            if let Err(error) = segment.sync(from, to) {
                self.failed("sync", &error);
            }
        }
    }

    fn tidy(&self) {
        let mut state = self.lock();
        let spare = state.spare.take();
        let tidied = spare.map_or(Ok(()), Segment::discard).and_then(|()| state.segment.trim(state.at));
        if let Err(error) = tidied {
            self.failed("tidy up", &error);
        }
    }
}
