//! The fence: a mark in a role's comment that says which epoch last changed it. What people wrote
//! in the comment stays.

const BEGIN: &str = "scaivault:epoch=";
const TAG: &str = " tag=";

/// A comment, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment {
    /// What people wrote.
    pub(super) text: String,
    /// The epoch of the last change.
    pub(super) epoch: Option<u64>,
}

fn is_tag(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// The epoch of a mark at the start of `text`, and how long the mark is.
fn mark(text: &str) -> Option<(u64, usize)> {
    let rest = text.strip_prefix(BEGIN)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let epoch = rest[..digits].parse().ok()?;
    let tag = rest[digits..].strip_prefix(TAG)?;
    let length = tag.find(|c| !is_tag(c)).unwrap_or(tag.len());
    Some((epoch, BEGIN.len() + digits + TAG.len() + length))
}

impl Comment {
    /// Takes a comment apart. Of several marks the highest counts. What stood before and behind a mark is
    /// kept on lines of its own: put together as it is, it could read as another mark.
    pub(super) fn read(comment: &str) -> Self {
        let mut text = String::new();
        let mut epoch = None;
        let mut rest = comment;
        while let Some(at) = rest.find(BEGIN) {
            text.push_str(&rest[..at]);
            match mark(&rest[at..]) {
                Some((found, length)) => {
                    epoch = epoch.max(Some(found));
                    rest = rest[at + length..].trim_start();
                    text.truncate(text.trim_end().len());
                    if !text.is_empty() && !rest.is_empty() {
                        text.push('\n');
                    }
                }
                None => {
                    text.push_str(BEGIN);
                    rest = &rest[at + BEGIN.len()..];
                }
            }
        }
        text.push_str(rest);
        Self {
            text: text.trim_end().to_owned(),
            epoch,
        }
    }

    /// The comment with the mark of a new change.
    pub(super) fn marked(&self, epoch: u64, tag: &str) -> String {
        let tag: String = tag.chars().filter(|c| is_tag(*c)).collect();
        let space = if self.text.is_empty() { "" } else { " " };
        format!("{}{space}{BEGIN}{epoch}{TAG}{tag}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(comment: &str, text: &str, epoch: Option<u64>) {
        let text = text.to_owned();
        assert_eq!(Comment::read(comment), Comment { text, epoch });
    }

    #[test]
    fn marks_are_told_from_what_people_wrote() {
        check("", "", None);
        check("of the shop", "of the shop", None);
        check("scaivault:epoch=7 tag=ab-c", "", Some(7));
        check(
            "of the shop scaivault:epoch=7 tag=x",
            "of the shop",
            Some(7),
        );
        check(
            "scaivault:epoch=7 tag=x scaivault:epoch=9 tag=y",
            "",
            Some(9),
        );
        check("scaivault:epoch=x tag=y", "scaivault:epoch=x tag=y", None);
        check("scaivault:epoch=7", "scaivault:epoch=7", None);
        check(
            "of scaivault:epoch=7 tag=x  the shop",
            "of\nthe shop",
            Some(7),
        );
        check(
            "scaivault:epoch=1scaivault:epoch=9 tag= tag=x",
            "scaivault:epoch=1\ntag=x",
            Some(9),
        );
    }

    proptest! {
        #[test]
        fn what_people_wrote_stays(
            written in "(\\PC|scaivault:epoch=|[0-9]| tag=){0,40}",
            epoch: u64,
            tag in "[a-z0-9-]{1,40}",
        ) {
            let before = Comment::read(&written);
            let after = Comment::read(&before.marked(epoch, &tag));
            prop_assert_eq!(&after.text, &before.text);
            prop_assert_eq!(after.epoch, Some(epoch));
            prop_assert_eq!(after.marked(epoch, &tag), before.marked(epoch, &tag));
        }
    }
}
