//! The paths of a block: a whole path, one that ends in `*` (any continuation), or one with segments
//! `+` (any one segment, the empty one included).

use std::cmp::Ordering;

use super::document::Refusal;

/// The longest path of a block.
const CHARS_MAX: usize = 512;

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// `+`
    Any,
    /// To the letter; in the last place of a prefix pattern, its beginning.
    Text(Box<str>),
}

impl Part {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Text(text) => Some(text),
        }
    }
}

/// A pattern of request paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclPattern {
    text: String,
    pub(super) parts: Vec<Part>,
    /// It ends in `*`.
    pub(super) is_prefix: bool,
}

impl AclPattern {
    /// Reads a block's path. A slash before it is passed over.
    ///
    /// # Errors
    /// [`Refusal`] with `line`.
    pub fn parse(text: &str, line: u32) -> Result<Self, Refusal> {
        let refused = |reason: &str| Refusal {
            path: Some(text.chars().take(CHARS_MAX).collect()),
            ..Refusal::at(line, reason)
        };
        let whole = text.strip_prefix('/').unwrap_or(text);
        if whole.is_empty() || whole.len() > CHARS_MAX {
            return Err(refused("a path has 1 to 512 characters"));
        }
        if whole.contains("{{") {
            return Err(refused(
                "templates are not filled in: who somebody is, is said by bindings. Write one policy \
                 for each identity, or one for a group",
            ));
        }
        if whole.chars().any(char::is_control) {
            return Err(refused("a path has no control characters"));
        }
        let is_prefix = whole.ends_with('*');
        let body = if is_prefix {
            &whole[..whole.len() - 1]
        } else {
            whole
        };
        if body.contains('*') {
            return Err(refused(
                "* stands for anything at the end of a path only; + stands for one segment",
            ));
        }
        if is_prefix && (body == "+" || body.ends_with("/+")) {
            return Err(refused(
                "+* is not a pattern: end the path with + or with /*",
            ));
        }
        let part = |part: &str| match part {
            "+" => Part::Any,
            text => Part::Text(text.into()),
        };
        Ok(Self {
            text: whole.to_owned(),
            parts: body.split('/').map(part).collect(),
            is_prefix,
        })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has segments `+`.
    pub(super) fn has_any(&self) -> bool {
        self.parts.contains(&Part::Any)
    }

    /// Whether a path matches, which a list names with a slash behind it: a whole path stands for
    /// the list of itself, too.
    pub fn matches(&self, path: &str, is_list: bool) -> bool {
        let is_exact = !self.is_prefix && !self.has_any();
        if is_exact && is_list && path.strip_suffix('/') == Some(&*self.text) {
            return true;
        }
        let given: Vec<&str> = path.split('/').collect();
        let (most, own) = (given.len(), self.parts.len());
        if most < own || (!self.is_prefix && most != own) {
            return false;
        }
        self.parts
            .iter()
            .zip(&given)
            .enumerate()
            .all(|(at, (part, given))| match part {
                Part::Any => true,
                Part::Text(text) if self.is_prefix && at + 1 == own => given.starts_with(&**text),
                Part::Text(text) => **text == **given,
            })
    }

    /// Which of two patterns that match one path decides: the greater one.
    pub(super) fn rank(&self, other: &Self) -> Ordering {
        let is_exact = |one: &Self| !one.is_prefix && !one.has_any();
        let open = |one: &Self| match one.has_any() {
            true => first_any(one),
            false => one.text.len() - usize::from(one.is_prefix),
        };
        let count = |one: &Self| one.parts.iter().filter(|part| **part == Part::Any).count();
        is_exact(self)
            .cmp(&is_exact(other))
            .then_with(|| open(self).cmp(&open(other)))
            .then_with(|| other.is_prefix.cmp(&self.is_prefix))
            .then_with(|| count(other).cmp(&count(self)))
            .then_with(|| self.text.len().cmp(&other.text.len()))
            .then_with(|| self.text.cmp(&other.text))
    }

    /// Which requests there are that both match.
    pub(super) fn meets(&self, other: &Self) -> Meeting {
        let (one, two) = (&self.parts, &other.parts);
        let shared = one.len().min(two.len());
        for at in 0..shared {
            let ends = |own: &Self| own.is_prefix && at + 1 == own.parts.len();
            let (Some(a), Some(b)) = (one[at].text(), two[at].text()) else {
                continue;
            };
            let fits = match (ends(self), ends(other)) {
                (true, true) => a.starts_with(b) || b.starts_with(a),
                (true, false) => b.starts_with(a),
                (false, true) => a.starts_with(b),
                (false, false) => a == b,
            };
            if !fits {
                return Meeting::None;
            }
        }
        // What is longer goes on where the other one ends: only a prefix lets it.
        let longer = match one.len().cmp(&two.len()) {
            Ordering::Equal => true,
            Ordering::Less => self.is_prefix,
            Ordering::Greater => other.is_prefix,
        };
        let lists = self.is_list_of(other) || other.is_list_of(self);
        match (longer, lists) {
            (true, _) if self.is_of_lists() || other.is_of_lists() => Meeting::Lists,
            (true, _) => Meeting::Any,
            (false, true) => Meeting::Lists,
            (false, false) => Meeting::None,
        }
    }

    /// Nothing but a list has a path with a slash at its end.
    fn is_of_lists(&self) -> bool {
        let last = self.parts.last().and_then(Part::text);
        !self.is_prefix && last.is_some_and(str::is_empty)
    }

    /// A whole path also stands for the list of itself.
    fn is_list_of(&self, other: &Self) -> bool {
        let empty = |part: &Part| part.text().is_none_or(str::is_empty);
        let is_exact = !self.is_prefix && !self.has_any();
        is_exact
            && other.parts.len() == self.parts.len() + 1
            && other.parts.last().is_some_and(empty)
    }

    /// Whether everything that begins with these segments and a slash matches.
    pub(super) fn is_over(&self, segments: &[&str]) -> bool {
        self.is_prefix
            && self.parts.len() <= segments.len() + 1
            && self.parts.iter().enumerate().all(|(at, part)| {
                let is_last = at + 1 == self.parts.len();
                match (part, segments.get(at)) {
                    (Part::Any, given) => given.is_some(),
                    (Part::Text(text), Some(given)) if is_last => given.starts_with(&**text),
                    (Part::Text(text), Some(given)) => **text == **given,
                    (Part::Text(text), None) => text.is_empty(),
                }
            })
    }
}

/// Which requests two patterns both match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meeting {
    None,
    /// Lists alone.
    Lists,
    Any,
}

/// Where the first segment `+` stands in the text.
fn first_any(one: &AclPattern) -> usize {
    let before = one.parts.iter().take_while(|part| **part != Part::Any);
    before.map(|part| part.text().map_or(0, str::len) + 1).sum()
}
