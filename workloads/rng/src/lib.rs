//! Random numbers of a run, all from one seed.
//!
//! Each worker and the nemesis have one [`Rng`], derived from (seed, name, index), so that adding one does not shift the
//! others. The stream is ChaCha8, which its definition fixes, and the sampling is our own, so that a seed gives the same run in
//! every version.
#![forbid(unsafe_code)]
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// A random number generator.
#[derive(Clone, Debug)]
pub struct Rng {
    stream: ChaCha8Rng,
}

impl Rng {
    /// The stream called `name`, `index` of the run with this seed.
    pub fn new(seed: u64, name: &str, index: u64) -> Rng {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&index.to_le_bytes());
        key[16..24].copy_from_slice(&fnv1a(name.as_bytes(), 0xcbf2_9ce4_8422_2325).to_le_bytes());
        key[24..].copy_from_slice(&fnv1a(name.as_bytes(), 0x9e37_79b9_7f4a_7c15).to_le_bytes());
        Rng { stream: ChaCha8Rng::from_seed(key) }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A number below `bound` (0 if the bound is 0), each equally likely (Lemire's multiplication with rejection,
    /// "Fast Random Integer Generation in an Interval", 2019).
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.bits()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below((to.max(from) - from).saturating_add(1))
    }

    /// A fraction from 0 (included) to 1 (excluded), with 53 bits.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of the items; none of an empty slice.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let position = self.below(items.len() as u64) as usize;
        items.get(position)
    }

    /// The position of one of the weights, drawn in proportion to its weight; none if all are 0.
    pub fn weighted(&mut self, weights: &[u64]) -> Option<usize> {
        let total: u64 = weights.iter().sum();
        if total == 0 {
            return None;
        }
        let mut left = self.below(total);
        for (position, weight) in weights.iter().enumerate() {
            if left < *weight {
                return Some(position);
            }
            left -= weight;
        }
        None
    }

    /// Puts the items in a random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

fn fnv1a(bytes: &[u8], start: u64) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_in_every_version() {
        let mut rng = Rng::new(7, "worker", 3);
        let bits: Vec<u64> = (0..1000).map(|_| rng.bits()).collect();
        let digest = bits.iter().fold(0u64, |sum, value| sum.rotate_left(5) ^ value);
        let sample: Vec<u64> = (0..8).map(|_| rng.below(100)).collect();
        assert_eq!((digest, sample), (2_851_003_227_694_850_808, vec![3, 32, 64, 41, 53, 10, 66, 36]));
    }

    #[test]
    fn streams_differ_by_seed_name_and_index() {
        let first = |seed, name, index| Rng::new(seed, name, index).bits();
        let all = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        for (position, value) in all.iter().enumerate() {
            assert!(!all[position + 1..].contains(value));
        }
    }

    #[test]
    fn below_and_weighted_stay_in_range_and_reach_everything() {
        let mut rng = Rng::new(1, "range", 0);
        let mut seen = [0u32; 5];
        for _ in 0..1000 {
            seen[rng.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
        let picked: Vec<_> = (0..100).filter_map(|_| rng.weighted(&[0, 3, 0, 1])).collect();
        assert!(picked.contains(&1) && picked.contains(&3) && !picked.contains(&0) && !picked.contains(&2));
        assert_eq!(rng.weighted(&[0, 0]), None);
    }
}
