//! For the targets of `crates/fuzz`.

use super::wire::{Reply, Wire};

/// A word of a command that a person is told to run.
pub fn word(text: &str) -> String {
    super::quote::word(text)
}

/// Reads one reply; how many values and bytes are in it.
///
/// # Errors
/// When it is none, or a refusal.
pub async fn reply(bytes: &[u8]) -> Result<(usize, usize), String> {
    use tokio::io::AsyncWriteExt as _;
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let sent = theirs.write_all(bytes).await;
    sent.and(theirs.shutdown().await)
        .map_err(|error| error.to_string())?;
    let mut wire = Wire::new(Box::new(ours));
    let asked = wire.ask(&["PING"]).await;
    drop(theirs);
    asked
        .map(|reply| size(&reply))
        .map_err(|fault| format!("{fault:?}"))
}

fn size(reply: &Reply) -> (usize, usize) {
    match reply {
        Reply::Text(text) => (1, text.len()),
        Reply::Number(_) | Reply::Nil => (1, 0),
        Reply::List(all) => all
            .iter()
            .map(size)
            .fold((1, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)),
    }
}
