//! What stands around a value in an answer. It is the same for every read of one version, holds
//! nothing of the value, and so is made once and kept with the sealed row in the cache.

/// An answer without its value.
#[derive(Debug)]
pub struct Frame {
    /// Everything up to the value.
    pub before: Box<[u8]>,
    /// Everything behind it.
    pub after: Box<[u8]>,
}
