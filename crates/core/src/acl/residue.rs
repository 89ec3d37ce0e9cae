//! What of a pattern is left below a mount's prefix, and the patterns of ours that say the same.

use super::name::{beginnings, escape, escape_alone};
use super::pattern::{AclPattern, Part};

/// The rest of a pattern behind some segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Residue {
    parts: Vec<Part>,
    is_prefix: bool,
    /// The pattern is a whole path: it stands for the list of itself as well.
    is_exact: bool,
}

impl Residue {
    /// What is left of it behind these segments; `None` when nothing behind them matches.
    pub(super) fn of(pattern: &AclPattern, segments: &[&str]) -> Option<Self> {
        let is_exact = !pattern.is_prefix && !pattern.has_any();
        for (at, segment) in segments.iter().enumerate() {
            let part = pattern.parts.get(at)?;
            let is_end = pattern.is_prefix && at + 1 == pattern.parts.len();
            match part {
                Part::Any => {}
                Part::Text(text) if is_end => {
                    return segment.starts_with(&**text).then(Self::everything);
                }
                Part::Text(text) if **text == **segment => {}
                Part::Text(_) => return None,
            }
        }
        let parts = pattern.parts[segments.len()..].to_vec();
        (!parts.is_empty()).then_some(Self {
            parts,
            is_prefix: pattern.is_prefix,
            is_exact,
        })
    }

    /// The list of the segments themselves.
    pub(super) fn top() -> Self {
        Self {
            parts: vec![Part::Text("".into())],
            is_prefix: false,
            is_exact: false,
        }
    }

    fn everything() -> Self {
        Self {
            parts: vec![Part::Text("".into())],
            is_prefix: true,
            is_exact: false,
        }
    }

    /// Whether it matches whatever the other one does.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let (own, others) = (self.parts.len(), other.parts.len());
        let fits = match self.is_prefix {
            true => own <= others,
            false => own == others && !other.is_prefix,
        };
        fits && self
            .parts
            .iter()
            .zip(&other.parts)
            .enumerate()
            .all(|(at, (a, b))| {
                let is_end = self.is_prefix && at + 1 == own;
                match (a, b) {
                    (Part::Any, Part::Any) => true,
                    (Part::Any, Part::Text(_)) => !(other.is_prefix && at + 1 == others),
                    (Part::Text(a), Part::Text(b)) if is_end => b.starts_with(&**a),
                    (Part::Text(a), Part::Text(b)) => {
                        a == b && !(other.is_prefix && at + 1 == others)
                    }
                    (Part::Text(a), Part::Any) => is_end && a.is_empty(),
                }
            })
    }

    /// The patterns of ours for what is named itself.
    pub(super) fn entries(&self, root: &str) -> Vec<String> {
        let Some((last, before)) = self.parts.split_last() else {
            return Vec::new();
        };
        let Some(folder) = folder(root, before) else {
            return Vec::new();
        };
        let at = |name: &str| join(&folder, name);
        match (last, self.is_prefix) {
            (Part::Any, _) => vec![at("*")],
            (Part::Text(text), true) if text.is_empty() => vec![at("**")],
            (Part::Text(text), true) => {
                let found = beginnings(text, folder.is_empty());
                let open = found.open.iter();
                let open = open.flat_map(|name| [format!("{name}*"), format!("{name}*/**")]);
                let whole = found.whole.iter();
                let whole = whole.flat_map(|name| [name.clone(), format!("{name}/**")]);
                let all = open.chain(whole).chain(found.words);
                all.map(|name| at(&name)).collect()
            }
            (Part::Text(text), false) if text.is_empty() => Vec::new(),
            (Part::Text(text), false) => match folder.is_empty() {
                true => vec![escape_alone(text)],
                false => vec![at(&escape(text, true))],
            },
        }
    }

    /// The patterns of ours for what stands in the folders that are named.
    pub(super) fn contents(&self, root: &str) -> Vec<String> {
        let Some((last, before)) = self.parts.split_last() else {
            return Vec::new();
        };
        let Some(above) = folder(root, before) else {
            return Vec::new();
        };
        let at = |name: &str| join(&above, name);
        match (last, self.is_prefix) {
            (Part::Any, _) => vec![at("*")],
            (Part::Text(text), true) if text.is_empty() => vec![at("**")],
            (Part::Text(text), true) => {
                let found = beginnings(text, false);
                let open = found.open.iter().map(|name| at(&format!("{name}*/**")));
                let whole = found.whole.iter().map(|name| at(&format!("{name}/**")));
                open.chain(whole).collect()
            }
            (Part::Text(text), false) if text.is_empty() => vec![at("*")],
            (Part::Text(text), false) if self.is_exact => {
                vec![at(&format!("{}/*", escape(text, false)))]
            }
            (Part::Text(_), false) => Vec::new(),
        }
    }
}

/// A folder of ours; `None` for one with an empty segment, where nothing is.
fn folder(root: &str, parts: &[Part]) -> Option<String> {
    let mut path = root.to_owned();
    for part in parts {
        path = match part {
            Part::Any => join(&path, "*"),
            Part::Text(text) if text.is_empty() => return None,
            Part::Text(text) => join(&path, &escape(text, false)),
        };
    }
    Some(path)
}

fn join(folder: &str, name: &str) -> String {
    match folder.is_empty() {
        true => name.to_owned(),
        false => format!("{folder}/{name}"),
    }
}
