//! [`Bag`]: draws without replacement, so that every item comes before any comes again.
use dsfuzz_rng::Rng;

/// A shuffled bag that refills itself when it is empty.
#[derive(Clone, Debug)]
pub(crate) struct Bag<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Clone> Bag<T> {
    /// A bag of these.
    pub(crate) fn of(all: Vec<T>) -> Bag<T> {
        Bag { all, left: Vec::new() }
    }

    /// The next one; none of an empty bag.
    pub(crate) fn draw(&mut self, rng: &mut Rng) -> Option<T> {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
            rng.shuffle(&mut self.left);
        }
        self.left.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_before_anything_comes_again() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed, "bag", 0);
            let mut bag = Bag::of(vec![1, 2, 3, 4, 5]);
            let drawn: Vec<i32> = (0..50).filter_map(|_| bag.draw(&mut rng)).collect();
            for round in drawn.chunks(5) {
                let mut round = round.to_vec();
                round.sort_unstable();
                assert_eq!(round, [1, 2, 3, 4, 5], "seed {seed}");
            }
        }
        assert_eq!(Bag::<i32>::of(Vec::new()).draw(&mut Rng::new(1, "bag", 0)), None);
    }
}
