//! Random choices that come again with their seed.

/// xorshift64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed | 1);
        // Small seeds begin alike.
        for _ in 0..8 {
            random.next();
        }
        random
    }

    /// Another one, that does not depend on how often this one is asked.
    pub(crate) fn fork(&self, number: u64) -> Self {
        Self::new(self.0 ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these.
    pub(crate) fn of<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        let count = u64::try_from(some.len()).expect("few");
        &some[usize::try_from(self.below(count)).expect("few")]
    }

    pub(crate) fn shuffle<T>(&mut self, some: &mut [T]) {
        for at in (1..some.len()).rev() {
            let end = u64::try_from(at).expect("few") + 1;
            some.swap(at, usize::try_from(self.below(end)).expect("few"));
        }
    }
}
