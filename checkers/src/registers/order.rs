//! [`Causal`]: the causal order of a run (program order and reads-from, transitively), as one vector clock for each access;
//! and [`KeyWrites`], where the writes of a key are found by session. They answer questions and judge nothing.
use super::accesses::{NONE, Run};
use super::clock::{Clock, Clocks};
use super::patterns::Stop;
use crate::verdict::Budget;

/// A step from one access to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The same session called the second later.
    Process,
    /// The second saw what the first wrote.
    Wr,
    /// The first saw a value that the second replaced later.
    Rw,
    /// The first wrote a value that the second replaced later.
    Ww,
    /// The first had ended before the second was called.
    Realtime,
}

/// A path or a cycle: from, to, why.
pub(crate) type Path = Vec<(u32, u32, Step)>;

/// The causal order.
#[derive(Debug)]
pub(crate) struct Causal {
    /// The blocks of the clocks.
    pub(crate) clocks: Clocks,
    /// For each access what is causally before it, its own session excepted: of that, everything earlier is.
    pub(crate) clock: Vec<Clock>,
}

impl Causal {
    /// The order, or a cycle in it. O(n·k) for k sessions at worst, near O(n) when old sessions are known to all.
    pub(crate) fn new(run: &Run, budget: &Budget) -> Result<Result<Causal, Path>, Stop> {
        let mut clocks = Clocks::new(run.sessions.len());
        let mut clock: Vec<Clock> = vec![0; run.len()];
        // What a reader of this access takes over: its clock and its own place.
        let mut released: Vec<Clock> = vec![NONE; run.len()];
        let mut steps = 0;
        let done = walk(run, |at| {
            Stop::unless(steps, || clocks.bytes() + 8 * run.len(), budget)?;
            steps += 1;
            let source = run.source(at);
            let place = run.place[at as usize];
            let session = run.at(at).session;
            let mut now =
                if place == 1 { 0 } else { clock[run.sessions[session as usize][place as usize - 2] as usize] };
            if source != NONE && run.at(source).session != session {
                let source = source as usize;
                if released[source] == NONE {
                    released[source] = clocks.raise(clock[source], run.accesses[source].session, run.place[source]);
                }
                now = clocks.join(now, released[source]);
            }
            clock[at as usize] = now;
            Ok(())
        })?;
        Ok(match done {
            Ok(()) => Ok(Causal { clocks, clock }),
            Err(stuck) => Err(cycle(run, &stuck)),
        })
    }

    /// Whether the first is causally before the second.
    pub(crate) fn before(&self, run: &Run, first: u32, second: u32) -> bool {
        let (one, two) = (run.at(first), run.at(second));
        let place = run.place[first as usize];
        if one.session == two.session {
            return place < run.place[second as usize];
        }
        self.clocks.get(self.clock[second as usize], one.session) >= place
    }

    /// Why the first is causally before the second: a path with few steps, going back from the second by the earliest access
    /// of its session that knows the first.
    pub(crate) fn path(&self, run: &Run, first: u32, second: u32) -> Path {
        let mut path = Path::new();
        let mut at = second;
        while at != first {
            let session = run.at(at).session;
            if session == run.at(first).session {
                path.push((first, at, Step::Process));
                break;
            }
            let own = &run.sessions[session as usize][..run.place[at as usize] as usize];
            let knows = own.partition_point(|&earlier| !self.before(run, first, earlier));
            let Some(&reader) = own.get(knows) else { break };
            if reader != at {
                path.push((reader, at, Step::Process));
            }
            let source = run.source(reader);
            if source == NONE {
                break;
            }
            path.push((source, reader, Step::Wr));
            at = source;
        }
        path.reverse();
        path
    }
}

/// Visits every access after those before it in its session and after the one it read from. The error: how many of each
/// session could be visited.
fn walk(run: &Run, mut visit: impl FnMut(u32) -> Result<(), Stop>) -> Result<Result<(), Vec<u32>>, Stop> {
    let mut done: Vec<u32> = vec![0; run.sessions.len()];
    let mut waiting: Vec<Vec<u32>> = Vec::new();
    let mut waits_at: Vec<u32> = vec![NONE; run.len()];
    let mut visited = 0;
    // In the order of calls first, so that most clocks are made when their neighbours in time are.
    let mut ready: Vec<u32> = Vec::new();
    for start in 0..run.len() as u32 {
        ready.push(start);
        while let Some(at) = ready.pop() {
            let session = run.at(at).session as usize;
            if done[session] + 1 != run.place[at as usize] {
                continue;
            }
            let source = run.source(at);
            let unseen = |other: u32| done[run.at(other).session as usize] < run.place[other as usize];
            if source != NONE && unseen(source) {
                if waits_at[source as usize] == NONE {
                    waits_at[source as usize] = waiting.len() as u32;
                    waiting.push(Vec::new());
                }
                waiting[waits_at[source as usize] as usize].push(at);
                continue;
            }
            visit(at)?;
            visited += 1;
            done[session] += 1;
            if let Some(&next) = run.sessions[session].get(done[session] as usize)
                && next <= start
            {
                ready.push(next);
            }
            if waits_at[at as usize] != NONE {
                ready.append(&mut waiting[waits_at[at as usize] as usize]);
            }
        }
    }
    Ok(if visited == run.len() { Ok(()) } else { Err(done) })
}

/// A cycle among what could not be visited: each stuck session waits for a write in a stuck session.
fn cycle(run: &Run, done: &[u32]) -> Path {
    let stuck = |session: usize| run.sessions[session][done[session] as usize];
    let Some(mut session) = (0..done.len()).find(|&session| (done[session] as usize) < run.sessions[session].len())
    else {
        return Path::new();
    };
    let mut seen: Vec<usize> = Vec::new();
    while !seen.contains(&session) {
        seen.push(session);
        session = run.at(run.source(stuck(session))).session as usize;
    }
    let from = seen.iter().position(|&one| one == session).unwrap_or(0);
    let mut path = Path::new();
    for &session in &seen[from..] {
        let reader = stuck(session);
        let source = run.source(reader);
        path.push((source, reader, Step::Wr));
        let earlier = stuck(run.at(source).session as usize);
        if earlier != source {
            path.push((earlier, source, Step::Process));
        }
    }
    path.reverse();
    path
}

/// The writes of each key, by session.
#[derive(Debug)]
pub(crate) struct KeyWrites {
    /// Writes by key, session and place.
    writes: Vec<(u32, u32, u32)>,
    /// For each key, where its writes begin.
    starts: Vec<u32>,
    /// For each key, its sessions: session, and the place of its first write.
    sessions: Vec<Vec<(u32, u32)>>,
}

impl KeyWrites {
    /// Of a run.
    pub(crate) fn new(run: &Run) -> KeyWrites {
        let keys = run.keys as usize;
        let mut starts = vec![0; keys + 1];
        let writes = || run.accesses.iter().enumerate().filter(|(_, access)| access.writes != NONE);
        for (_, access) in writes() {
            starts[access.key as usize + 1] += 1;
        }
        for key in 0..keys {
            starts[key + 1] += starts[key];
        }
        let mut found = vec![(0, 0, 0); starts[keys] as usize];
        let mut fill = starts.clone();
        for (at, access) in writes() {
            let slot = &mut fill[access.key as usize];
            found[*slot as usize] = (access.session, run.place[at], at as u32);
            *slot += 1;
        }
        let mut sessions = vec![Vec::new(); keys];
        for key in 0..keys {
            let own = &mut found[starts[key] as usize..starts[key + 1] as usize];
            own.sort_unstable();
            let list: &mut Vec<(u32, u32)> = &mut sessions[key];
            for (session, place, _) in own.iter() {
                if list.last().is_none_or(|(last, _)| last != session) {
                    list.push((*session, *place));
                }
            }
        }
        KeyWrites { writes: found, starts, sessions }
    }

    /// The last write of the key by this session up to this place.
    pub(crate) fn last(&self, key: u32, session: u32, place: u32) -> Option<u32> {
        let own = &self.writes[self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize];
        let after = own.partition_point(|&(one, at, _)| (one, at) <= (session, place));
        let (found, _, write) = *own.get(after.checked_sub(1)?)?;
        (found == session).then_some(write)
    }

    /// Sessions that write the key, with the place of their first write of it.
    pub(crate) fn sessions(&self, key: u32) -> &[(u32, u32)] {
        &self.sessions[key as usize]
    }
}

/// From how many writing sessions on, the difference of two clocks is looked at rather than each of them.
const FEW: usize = 24;

/// Every write of the key that is in the past of `reader` (clock `past`, and what its own session did before) but not
/// causally before `source`, nor `source` itself: of each session the last one.
pub(crate) fn newer(
    run: &Run,
    writes: &KeyWrites,
    clocks: &Clocks,
    (reader, past): (u32, Clock),
    (source, source_past): (u32, Clock),
    tell: &mut impl FnMut(u32),
) {
    let key = run.at(reader).key;
    let (own, from) = (run.at(reader).session, run.at(source).session);
    let mut look = |session: u32, upto: u32, known: u32| {
        let known = if session == from { run.place[source as usize] } else { known };
        if upto > known
            && let Some(write) = writes.last(key, session, upto)
            && run.place[write as usize] > known
        {
            tell(write);
        }
    };
    if writes.sessions(key).len() <= FEW {
        for &(session, first) in writes.sessions(key) {
            let upto = if session == own { run.place[reader as usize] - 1 } else { clocks.get(past, session) };
            if upto >= first {
                look(session, upto, clocks.get(source_past, session));
            }
        }
        return;
    }
    clocks.diff(past, source_past, &mut |session, upto, known| {
        if session != own {
            look(session, upto, known);
        }
    });
    look(own, run.place[reader as usize] - 1, clocks.get(source_past, own));
}
