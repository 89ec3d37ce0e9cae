//! How often and in which order, as a variable of the environment says.

/// The number it says; one that is none fails the test.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text}: no number")))
}
