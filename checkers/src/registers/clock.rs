//! [`Clocks`]: vector clocks that share what they have in common. A clock is a tree of blocks of sixteen; blocks never
//! change, so what nothing happened to is shared, and comparing two clocks visits only where they differ. Histories have many
//! sessions that ended long ago: flat vectors would cost each operation as much as there are of them.

/// A clock: a number within its [`Clocks`]. 0 is the clock of nothing.
pub(crate) type Clock = u32;

const BITS: u32 = 4;
const WIDTH: usize = 1 << BITS;
type Block = [u32; WIDTH];

/// The blocks of all clocks.
#[derive(Debug)]
pub(crate) struct Clocks {
    /// Of each level, leaves first. Block 0 of each is zero.
    levels: Vec<Vec<Block>>,
}

impl Clocks {
    /// For this number of sessions.
    pub(crate) fn new(sessions: usize) -> Clocks {
        let mut levels = vec![vec![[0; WIDTH]]];
        while (sessions.max(1) - 1) >> (BITS as usize * levels.len()) > 0 {
            levels.push(vec![[0; WIDTH]]);
        }
        Clocks { levels }
    }

    /// How many bytes they take.
    pub(crate) fn bytes(&self) -> usize {
        self.levels.iter().map(|blocks| blocks.len() * size_of::<Block>()).sum()
    }

    fn slot(session: u32, level: usize) -> usize {
        (session >> (BITS as usize * level)) as usize & (WIDTH - 1)
    }

    /// How many accesses of this session the clock holds.
    pub(crate) fn get(&self, clock: Clock, session: u32) -> u32 {
        let mut at = clock;
        for level in (0..self.levels.len()).rev() {
            at = self.levels[level][at as usize][Clocks::slot(session, level)];
        }
        at
    }

    /// The clock with at least this number of accesses of this session.
    pub(crate) fn raise(&mut self, clock: Clock, session: u32, place: u32) -> Clock {
        if self.get(clock, session) >= place {
            return clock;
        }
        let mut path = [0; 8];
        let mut at = clock;
        for level in (0..self.levels.len()).rev() {
            path[level] = at;
            at = self.levels[level][at as usize][Clocks::slot(session, level)];
        }
        let mut value = place;
        for (level, blocks) in self.levels.iter_mut().enumerate() {
            let mut block = blocks[path[level] as usize];
            block[Clocks::slot(session, level)] = value;
            blocks.push(block);
            value = (blocks.len() - 1) as u32;
        }
        value
    }

    /// Both together.
    pub(crate) fn join(&mut self, one: Clock, two: Clock) -> Clock {
        let top = self.levels.len() - 1;
        self.join_at(top, one, two)
    }

    // As deep as the tree: eight levels hold more sessions than there are numbers for them.
    fn join_at(&mut self, level: usize, one: u32, two: u32) -> u32 {
        if one == two || two == 0 {
            return one;
        }
        if one == 0 {
            return two;
        }
        let (left, right) = (self.levels[level][one as usize], self.levels[level][two as usize]);
        let mut both = left;
        for slot in 0..WIDTH {
            both[slot] = match level {
                0 => left[slot].max(right[slot]),
                _ => self.join_at(level - 1, left[slot], right[slot]),
            };
        }
        match (both == left, both == right) {
            // Of two equal blocks the older one stays, so that clocks come to share it.
            (true, true) => one.min(two),
            (true, false) => one,
            (false, true) => two,
            (false, false) => {
                self.levels[level].push(both);
                (self.levels[level].len() - 1) as u32
            }
        }
    }

    /// Tells every session of which the first clock holds more than the second: session, more, less.
    pub(crate) fn diff(&self, one: Clock, two: Clock, tell: &mut impl FnMut(u32, u32, u32)) {
        self.diff_at(self.levels.len() - 1, one, two, 0, tell);
    }

    fn diff_at(&self, level: usize, one: u32, two: u32, base: u32, tell: &mut impl FnMut(u32, u32, u32)) {
        if one == two || one == 0 {
            return;
        }
        let (left, right) = (&self.levels[level][one as usize], &self.levels[level][two as usize]);
        for slot in 0..WIDTH {
            let at = base | (slot as u32) << (BITS as usize * level);
            if level > 0 {
                self.diff_at(level - 1, left[slot], right[slot], at, tell);
            } else if left[slot] > right[slot] {
                tell(at, left[slot], right[slot]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    #[test]
    fn clocks_are_vectors() {
        for sessions in [1, 16, 17, 300, 5000] {
            let mut rng = Rng::new(sessions);
            let mut clocks = Clocks::new(sessions as usize);
            let mut known: Vec<(Clock, Vec<u32>)> = vec![(0, vec![0; sessions as usize])];
            for _ in 0..300 {
                let (one, two) = (rng.pick(&known).clone(), rng.pick(&known).clone());
                let (session, place) = (rng.below(sessions) as u32, rng.below(9) as u32);
                let mut next = one.1.clone();
                let clock = if rng.percent(50) {
                    next.iter_mut().zip(&two.1).for_each(|(here, there)| *here = (*here).max(*there));
                    clocks.join(one.0, two.0)
                } else {
                    next[session as usize] = next[session as usize].max(place);
                    clocks.raise(one.0, session, place)
                };
                assert!(next.iter().enumerate().all(|(at, value)| clocks.get(clock, at as u32) == *value));
                let mut told = Vec::new();
                clocks.diff(clock, two.0, &mut |at, more, less| told.push((at, more, less)));
                let differ = next.iter().zip(&two.1).enumerate().filter(|(_, (more, less))| more > less);
                assert_eq!(told, differ.map(|(at, (more, less))| (at as u32, *more, *less)).collect::<Vec<_>>());
                known.push((clock, next));
            }
        }
    }
}
