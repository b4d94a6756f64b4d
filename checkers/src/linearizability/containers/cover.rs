//! Numbers along a line: added to over a stretch, and asked for the least over a stretch.

/// A segment tree with addition over ranges.
#[derive(Debug)]
pub(super) struct Cover {
    size: usize,
    least: Vec<i64>,
    added: Vec<i64>,
}

impl Cover {
    /// Zeroes at this many places.
    pub(super) fn new(places: usize) -> Cover {
        let size = places.max(1).next_power_of_two();
        Cover { size, least: vec![0; 2 * size], added: vec![0; 2 * size] }
    }

    /// Adds to the places `from..to`.
    pub(super) fn add(&mut self, from: usize, to: usize, number: i64) {
        if from < to {
            self.add_in(1, 0, self.size, from, to, number);
        }
    }

    fn add_in(&mut self, node: usize, left: usize, right: usize, from: usize, to: usize, number: i64) {
        if to <= left || right <= from {
            return;
        }
        if from <= left && right <= to {
            self.least[node] += number;
            self.added[node] += number;
            return;
        }
        let middle = left.midpoint(right);
        self.add_in(2 * node, left, middle, from, to, number);
        self.add_in(2 * node + 1, middle, right, from, to, number);
        self.least[node] = self.least[2 * node].min(self.least[2 * node + 1]) + self.added[node];
    }

    /// The least of the places `from..to`; the largest number there is where there are none.
    pub(super) fn least(&self, from: usize, to: usize) -> i64 {
        self.least_in(1, 0, self.size, from, to)
    }

    fn least_in(&self, node: usize, left: usize, right: usize, from: usize, to: usize) -> i64 {
        if to <= left || right <= from {
            return i64::MAX;
        }
        if from <= left && right <= to {
            return self.least[node];
        }
        let middle = left.midpoint(right);
        let below =
            self.least_in(2 * node, left, middle, from, to).min(self.least_in(2 * node + 1, middle, right, from, to));
        if below == i64::MAX { below } else { below + self.added[node] }
    }

    /// The first of the places `from..to` at which the number is at most this.
    pub(super) fn first_at_most(&self, from: usize, to: usize, number: i64) -> Option<usize> {
        self.first_in(1, 0, self.size, from, to, number)
    }

    fn first_in(&self, node: usize, left: usize, right: usize, from: usize, to: usize, number: i64) -> Option<usize> {
        if to <= left || right <= from || self.least[node] > number {
            return None;
        }
        if right - left == 1 {
            return Some(left);
        }
        let middle = left.midpoint(right);
        let rest = number - self.added[node];
        self.first_in(2 * node, left, middle, from, to, rest)
            .or_else(|| self.first_in(2 * node + 1, middle, right, from, to, rest))
    }
}
