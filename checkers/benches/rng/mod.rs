//! Random numbers of generated histories.

/// A fixed stream of numbers (xorshift64*, Vigna 2016), so that every version judges the same histories. The state is not 0.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// The next number of the stream that is below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}
