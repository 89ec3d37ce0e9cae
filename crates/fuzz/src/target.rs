//! What a target is.

/// Something that reads foreign bytes, and what must be true of it.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of its file, its regressions and its test.
    pub name: &'static str,
    /// Inputs that get deep into it.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that mean something there.
    pub words: &'static [&'static str],
    /// Reads one input; panics when a promise does not hold.
    pub run: fn(&[u8]),
}

/// The input as text, where the target reads texts: other inputs say nothing.
pub fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Seeds that are texts.
pub(crate) fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}
