//! Registers in which every value is written at most once: zones of clusters.
//!
//! Gibbons and Korach, "Testing shared memories", SIAM J. Comput. 26(4), 1997, section 4 (read-mapping known). A cluster
//! is a write and the reads of its value. Added here: a compare-and-set from `a` to `b` ties the cluster of `b` directly
//! behind that of `a`, so a chain of them is one block with an order inside; the rules for zones hold for blocks as they
//! do for clusters. An indeterminate write that no operation observed may be left out; one that was observed certainly
//! happened. O(n log n), never gives up.
use super::limits::{Limits, Stop};
use super::register::{NIL, RegAction, RegOp, value_count};

/// Why no order exists. Numbers are positions in the slice that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// It observed a value that no operation wrote.
    Phantom {
        /// Who observed it.
        observer: usize,
    },
    /// Two compare-and-sets replaced the same, once written, value.
    TwoReplaced {
        /// Both, in the order of their calls.
        cas: [usize; 2],
    },
    /// Compare-and-sets that need each other in a ring.
    Ring {
        /// All of them.
        cas: Vec<usize>,
    },
    /// `first` must come before `second` by the values they saw, but `second` ended before `first` began.
    Backwards {
        /// Must come first, began too late.
        first: usize,
        /// Must come second, ended too early.
        second: usize,
        /// The compare-and-sets that lead from the value of `first` to that of `second`.
        links: Vec<usize>,
    },
    /// The values of two blocks would have to hold at the same time.
    Overlap {
        /// Ended first in the block whose value holds too long, and began last in it.
        outer: [usize; 2],
        /// Ended first in the other block, and began last in it.
        inner: [usize; 2],
        /// Operations between them in their chains.
        links: Vec<usize>,
    },
}

/// Whether every value is written at most once and nothing is a mere observation of "another value".
pub(crate) fn applies(ops: &[RegOp]) -> bool {
    let mut written = vec![false; value_count(ops)];
    written[NIL as usize] = true;
    ops.iter().all(|op| match op.action {
        RegAction::Read(_) => true,
        RegAction::Differs(_) => false,
        RegAction::Write(value) | RegAction::Cas(_, value) => !std::mem::replace(&mut written[value as usize], true),
    })
}

struct Block {
    /// The value that its chain begins with.
    root: usize,
    /// The smallest end, and its operation (`None`: the initial value).
    first_end: (u64, Option<usize>),
    /// The largest call, and its operation.
    last_call: (u64, usize),
}

struct Zones<'a> {
    ops: &'a [RegOp],
    /// The writer of each value.
    writer: Vec<Option<usize>>,
    /// For each value, the compare-and-set that certainly replaced it.
    replaced_by: Vec<Option<usize>>,
    /// Reads grouped by value: `reads[starts[v]..starts[v + 1]]`.
    starts: Vec<usize>,
    reads: Vec<usize>,
    /// Whether the operation certainly happened.
    happened: Vec<bool>,
}

/// Decides a history for which [`applies`] holds, within the budget; with an order, by calls, if it is asked for.
pub(crate) fn decide(
    ops: &[RegOp],
    witness: bool,
    limits: &mut Limits<'_>,
) -> Result<Result<Option<Vec<u64>>, Conflict>, Stop> {
    // Zones need so much and no more; each part of the work takes a fraction of a second for a million operations.
    let values = 2 * size_of::<Option<usize>>() + size_of::<usize>() * 2 + size_of::<Block>();
    limits.step((ops.len() * (size_of::<RegOp>() + size_of::<usize>() + 1) + value_count(ops) * values) as u64)?;
    let zones = match Zones::new(ops) {
        Ok(zones) => zones,
        Err(conflict) => return Ok(Err(conflict)),
    };
    let blocks = match zones.blocks() {
        Ok(blocks) => blocks,
        Err(conflict) => return Ok(Err(conflict)),
    };
    limits.look()?;
    Ok(sweep(&zones, &blocks).map(|forward| witness.then(|| zones.order(&blocks, &forward))))
}

/// Decides a history for which [`applies`] holds.
pub(crate) fn check(ops: &[RegOp]) -> Result<(), Conflict> {
    let zones = Zones::new(ops)?;
    let blocks = zones.blocks()?;
    sweep(&zones, &blocks).map(|_| ())
}

impl<'a> Zones<'a> {
    fn new(ops: &'a [RegOp]) -> Result<Zones<'a>, Conflict> {
        let values = value_count(ops);
        let mut writer = vec![None; values];
        let mut starts = vec![0; values + 1];
        for (position, op) in ops.iter().enumerate() {
            if let Some(value) = op.action.writes() {
                writer[value as usize] = Some(position);
            }
            if let RegAction::Read(value) = op.action {
                starts[value as usize + 1] += 1;
            }
        }
        for value in 0..values {
            starts[value + 1] += starts[value];
        }
        let mut reads = vec![0; starts[values]];
        let mut fill = starts.clone();
        for (position, op) in ops.iter().enumerate() {
            if let RegAction::Read(value) = op.action {
                reads[fill[value as usize]] = position;
                fill[value as usize] += 1;
            }
        }
        let happened = ops.iter().map(RegOp::definite).collect();
        let mut zones = Zones { ops, writer, replaced_by: vec![None; values], starts, reads, happened };
        zones.settle()?;
        Ok(zones)
    }

    /// What was observed certainly happened, and what it needed with it.
    fn settle(&mut self) -> Result<(), Conflict> {
        let mut work: Vec<usize> = (0..self.ops.len()).filter(|&position| self.happened[position]).rev().collect();
        while let Some(position) = work.pop() {
            let Some(value) = self.ops[position].action.needs() else { continue };
            match self.writer[value as usize] {
                Some(writer) if !self.happened[writer] => {
                    self.happened[writer] = true;
                    work.push(writer);
                }
                None if value != NIL => return Err(Conflict::Phantom { observer: position }),
                _ => {}
            }
            if let RegAction::Cas(..) = self.ops[position].action
                && let Some(other) = self.replaced_by[value as usize].replace(position)
            {
                return Err(Conflict::TwoReplaced { cas: [other.min(position), other.max(position)] });
            }
        }
        Ok(())
    }

    /// All blocks, with the order inside them checked.
    fn blocks(&self) -> Result<Vec<Block>, Conflict> {
        let mut blocks = Vec::new();
        let mut visited = 0;
        for value in 0..self.writer.len() {
            let write = |writer: usize| matches!(self.ops[writer].action, RegAction::Write(_));
            if value == NIL as usize || self.writer[value].is_some_and(write) {
                visited += self.block(value, &mut blocks)?;
            }
        }
        if visited != self.replaced_by.iter().flatten().count() {
            return Err(self.ring());
        }
        Ok(blocks)
    }

    fn reads_of(&self, value: usize) -> &[usize] {
        &self.reads[self.starts[value]..self.starts[value + 1]]
    }

    /// Walks the chain that begins with this value, checks the order inside, and adds its block. Returns how many
    /// compare-and-sets the chain has.
    fn block(&self, root: usize, blocks: &mut Vec<Block>) -> Result<usize, Conflict> {
        let mut first_end = (u64::MAX, None);
        let mut last_call: Option<(u64, usize)> = None;
        if root == NIL as usize {
            first_end = (0, None);
        }
        let mut links = 0;
        let mut value = root;
        loop {
            if let Some(writer) = self.writer[value].filter(|&w| value != NIL as usize && self.happened[w]) {
                self.extend(&[writer], &mut first_end, &mut last_call)?;
            }
            self.extend(self.reads_of(value), &mut first_end, &mut last_call)?;
            let Some(cas) = self.replaced_by[value] else { break };
            links += 1;
            let Some(next) = self.ops[cas].action.writes() else { break };
            value = next as usize;
        }
        if let Some(last_call) = last_call {
            blocks.push(Block { root, first_end, last_call });
        }
        Ok(links)
    }

    /// Adds one step of a chain: operations that come after all earlier steps, in any order among themselves.
    fn extend(
        &self,
        step: &[usize],
        first_end: &mut (u64, Option<usize>),
        last_call: &mut Option<(u64, usize)>,
    ) -> Result<(), Conflict> {
        if let Some((call, _)) = *last_call
            && let Some(&second) = step.iter().find(|&&position| self.ops[position].end < call)
        {
            return Err(self.backwards(second));
        }
        for &position in step {
            let op = &self.ops[position];
            if op.end < first_end.0 {
                *first_end = (op.end, Some(position));
            }
            if last_call.is_none_or(|(call, _)| op.call > call) {
                *last_call = Some((op.call, position));
            }
        }
        Ok(())
    }

    /// The nearest operation that should have come before this one but began after it had ended.
    fn backwards(&self, second: usize) -> Conflict {
        let op = &self.ops[second];
        let too_late = |position: &usize| self.ops[*position].call > op.end;
        let mut links = Vec::new();
        let mut writer = match op.action {
            RegAction::Read(value) => self.writer[value as usize],
            _ => Some(second),
        };
        while let Some(position) = writer {
            if position != second && too_late(&position) {
                return Conflict::Backwards { first: position, second, links };
            }
            let RegAction::Cas(from, _) = self.ops[position].action else { break };
            links.push(position);
            if let Some(&first) = self.reads_of(from as usize).iter().find(|position| too_late(position)) {
                return Conflict::Backwards { first, second, links };
            }
            writer = self.writer[from as usize];
        }
        Conflict::Backwards { first: second, second, links }
    }

    /// The compare-and-sets between two operations of one chain, and the writers of both values.
    fn path(&self, one: usize, other: usize) -> Vec<usize> {
        let value = |position: usize| match self.ops[position].action {
            RegAction::Read(value) | RegAction::Differs(value) | RegAction::Write(value) | RegAction::Cas(_, value) => {
                value
            }
        };
        let walk = |from: usize, to: usize| -> Option<Vec<usize>> {
            let mut path = Vec::new();
            let mut current = value(from);
            loop {
                path.extend(self.writer[current as usize].filter(|_| current != NIL));
                if current == value(to) {
                    return Some(path);
                }
                let writer = self.writer[current as usize]?;
                let RegAction::Cas(before, _) = self.ops[writer].action else { return None };
                current = before;
            }
        };
        walk(one, other).or_else(|| walk(other, one)).unwrap_or_default()
    }

    fn ring(&self) -> Conflict {
        let mut on_chain = vec![false; self.writer.len()];
        for value in 0..self.writer.len() {
            let root = value == NIL as usize
                || self.writer[value].is_some_and(|writer| matches!(self.ops[writer].action, RegAction::Write(_)));
            let mut current = Some(value).filter(|_| root);
            while let Some(value) = current {
                on_chain[value] = true;
                current =
                    self.replaced_by[value].and_then(|cas| self.ops[cas].action.writes()).map(|next| next as usize);
            }
        }
        let start = (0..self.writer.len()).find(|&value| self.replaced_by[value].is_some() && !on_chain[value]);
        let mut cas = Vec::new();
        let mut current = start;
        // Following what was replaced from a value off every chain leads back to it, because each value has one writer.
        while let Some(position) = current.and_then(|value| self.replaced_by[value]) {
            if cas.first() == Some(&position) {
                break;
            }
            cas.push(position);
            current = self.ops[position].action.writes().map(|next| next as usize);
        }
        cas.sort_unstable();
        Conflict::Ring { cas }
    }

    fn overlap(&self, outer: &Block, inner: &Block) -> Conflict {
        let ends = |block: &Block| [block.first_end.1.unwrap_or(block.last_call.1), block.last_call.1];
        let (outer, inner) = (ends(outer), ends(inner));
        let mut links = self.path(outer[0], outer[1]);
        links.extend(self.path(inner[0], inner[1]));
        Conflict::Overlap { outer, inner, links }
    }
}

/// No two forward zones may overlap, and no backward zone may lie inside a forward one. Returns the forward blocks in
/// their order.
fn sweep<'b>(zones: &Zones<'_>, blocks: &'b [Block]) -> Result<Vec<&'b Block>, Conflict> {
    let (mut forward, backward): (Vec<&Block>, Vec<&Block>) = blocks.iter().partition(|block| block.forward());
    forward.sort_unstable_by_key(|block| (block.first_end.0, block.first_end.1.is_some()));
    let mut conflict: Option<(u64, Conflict)> = None;
    let mut propose = |time: u64, outer: &Block, inner: &Block| {
        if conflict.as_ref().is_none_or(|(best, _)| time < *best) {
            conflict = Some((time, zones.overlap(outer, inner)));
        }
    };
    for pair in forward.windows(2) {
        if pair[1].first_end.0 < pair[0].last_call.0 {
            propose(pair[1].last_call.0.min(pair[0].last_call.0), pair[0], pair[1]);
            break;
        }
    }
    for block in backward {
        if let Some(zone) = around(&forward, block)
            && block.first_end.0 < zone.last_call.0
        {
            propose(zone.last_call.0, zone, block);
        }
    }
    conflict.map_or(Ok(forward), |(_, conflict)| Err(conflict))
}

/// The last forward zone that begins before this backward one.
fn around<'b>(forward: &[&'b Block], block: &Block) -> Option<&'b Block> {
    let low = block.last_call.0;
    let after = forward.partition_point(|zone| zone.first_end.1.is_none() || zone.first_end.0 < low);
    after.checked_sub(1).map(|before| forward[before])
}

impl Block {
    fn forward(&self) -> bool {
        self.first_end.0 < self.last_call.0 || self.first_end.1.is_none()
    }
}

impl Zones<'_> {
    /// An order by calls: forward blocks where they begin, each backward block where it begins or, if that is inside a
    /// forward zone, just after that.
    fn order(&self, blocks: &[Block], forward: &[&Block]) -> Vec<u64> {
        let place = |block: &Block| match block.first_end {
            (_, None) => 0,
            (first_end, _) if block.forward() => first_end,
            _ => block.last_call.0.max(around(forward, block).map_or(0, |zone| zone.last_call.0)),
        };
        let mut places: Vec<(u64, usize)> = blocks.iter().map(|block| (place(block), block.root)).collect();
        places.sort_unstable();
        let mut order = Vec::with_capacity(self.ops.len());
        for (_, root) in places {
            let mut value = root;
            loop {
                let writer = self.writer[value].filter(|&writer| value != NIL as usize && self.happened[writer]);
                order.extend(writer.map(|writer| self.ops[writer].call));
                order.extend(self.reads_of(value).iter().map(|&read| self.ops[read].call));
                let Some(next) = self.replaced_by[value].and_then(|cas| self.ops[cas].action.writes()) else { break };
                value = next as usize;
            }
        }
        order
    }
}
