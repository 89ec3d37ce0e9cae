//! Randomness.

/// Fills buffers with random bytes fit for keys. Tests give a seeded one.
pub trait Entropy: Send + Sync {
    /// Fills the whole buffer. Does not fail: a source that cannot give randomness stops the
    /// process instead of giving less.
    fn fill(&self, buffer: &mut [u8]);

    /// The same for what is no secret: ids. A source may draw for many of them at once.
    fn fill_public(&self, buffer: &mut [u8]) {
        self.fill(buffer);
    }
}
