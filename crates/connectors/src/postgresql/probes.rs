//! For the targets of `crates/fuzz`.

use super::mark::Comment;

/// A name in a statement.
pub fn name(text: &str) -> String {
    super::sql::name(text)
}

/// A text in a statement.
pub fn text(text: &str) -> String {
    super::sql::text(text)
}

/// A comment with the mark of a change: what people wrote before and after, and the epoch read back.
pub fn marked(comment: &str, epoch: u64, tag: &str) -> (String, String, Option<u64>) {
    let before = Comment::read(comment);
    let after = Comment::read(&before.marked(epoch, tag));
    (before.text, after.text, after.epoch)
}
