//! An access policy as HCL.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::compile::{compile, is_within};
use super::document::{Capability as C, CapabilitySet};
use super::mounts::{MountKind, MountView, Mounts};
use super::name::{escape, unescape};
use super::parse::parse;
use super::ways::{UPSERT, engines_of, managed, managed_root, opened};
use crate::access::{Conditions, Permission, Rule};
use crate::identity::{Scope, ScopeSet};

/// Whether the rules have a permission at a pattern.
type Asks<'a> = &'a dyn Fn(&str, Permission) -> bool;

/// Writes what rules and scopes say. What HCL cannot say stands in comments, so that a policy of the
/// native API is shown for what it is.
pub fn render(rules: &[Rule], scopes: ScopeSet, mounts: &Mounts) -> String {
    let plain = rendered(rules, scopes, mounts, false);
    let comes_back = |text: &str| {
        let again = parse(text).and_then(|document| compile(&document, mounts));
        again.is_ok_and(|again| again.rules == rules && again.scopes == scopes)
    };
    if comes_back(&plain) {
        return plain;
    }
    // Each permission by paths of its own, where nothing decides over another.
    let apart = rendered(rules, scopes, mounts, true);
    match comes_back(&apart) {
        true => apart,
        false => format!("{ASTRAY}{plain}"),
    }
}

/// Stands before a policy that does not come to itself when it is written back: it has parts without
/// words, or paths of which in HCL another one decides.
const ASTRAY: &str = "# Written back as it stands here, this comes to something else: see the policy \
                      in the native API.\n";

fn rendered(rules: &[Rule], scopes: ScopeSet, mounts: &Mounts, is_apart: bool) -> String {
    let mut page = Page {
        is_apart,
        ..Page::default()
    };
    let has = |pattern: &str, permission: Permission| {
        rules.iter().any(|rule| {
            rule.path_pattern.as_str() == pattern
                && rule.conditions == Conditions::default()
                && rule.permissions.allows(permission)
        })
    };
    let gives = |pattern: &str, permission: Permission| {
        let over = |rule: &&Rule| is_within(pattern, rule.path_pattern.as_str());
        let mut over = rules.iter().filter(over);
        over.any(|rule| rule.permissions.allows(permission))
    };
    for rule in rules {
        if rule.conditions != Conditions::default() {
            page.unsaid(rule, "has conditions");
            continue;
        }
        for permission in rule.permissions.iter() {
            let pattern = rule.path_pattern.as_str();
            // What a wider rule gives as well, its words say.
            let implied = |other: &Rule| {
                let wide = other.path_pattern.as_str();
                wide != pattern && is_within(pattern, wide) && has(wide, permission)
            };
            if !page.rule(pattern, permission, mounts, &has, &gives) && !rules.iter().any(implied) {
                page.unsaid_one(rule, permission);
            }
        }
    }
    for scope in scopes.iter() {
        page.scope(scope);
    }
    page.text()
}

#[derive(Default)]
struct Page {
    is_apart: bool,
    blocks: BTreeMap<String, CapabilitySet>,
    comments: Vec<String>,
}

impl Page {
    fn block(&mut self, path: String, words: &[C]) {
        let held = self.blocks.entry(path).or_default();
        *held = held.or(CapabilitySet::of(words));
    }

    fn unsaid(&mut self, rule: &Rule, why: &str) {
        let words: Vec<_> = rule.permissions.iter().map(Permission::as_str).collect();
        self.comments.push(format!(
            "# {} on {} {why}: see it in the native API",
            words.join(", "),
            rule.path_pattern
        ));
    }

    fn unsaid_one(&mut self, rule: &Rule, permission: Permission) {
        self.comments.push(format!(
            "# {} on {} has no words here: see it in the native API",
            permission.as_str(),
            rule.path_pattern
        ));
    }

    /// Whether it could be said.
    fn rule(
        &mut self,
        pattern: &str,
        permission: Permission,
        mounts: &Mounts,
        has: Asks<'_>,
        gives: Asks<'_>,
    ) -> bool {
        if pattern == "auth/token/create" && permission == Permission::Write {
            self.block(pattern.to_owned(), &[C::Update]);
            return true;
        }
        for (mount, is_done) in mounts.all().iter().flat_map(places) {
            let mount = &mount;
            if mount.kind == MountKind::Transit {
                if self.key(mount, pattern, permission, (has, gives)) {
                    return true;
                }
                continue;
            }
            if is_done && permission != Permission::Write {
                continue;
            }
            let below = match mount.kind {
                MountKind::Database => {
                    let root = format!("dynamic/{}*/creds", engines_of(mount));
                    match (below(pattern, &root), permission) {
                        (Some(rest), Permission::Read) => rest,
                        _ => continue,
                    }
                }
                MountKind::Kv1 | MountKind::Kv2 => match below(pattern, &mount.root) {
                    Some(rest) => rest,
                    None => continue,
                },
                _ => continue,
            };
            let Some(shape) = Shape::of(pattern, below, permission, (has, gives)) else {
                continue;
            };
            // In version 1 a path stands for itself and for the list of what is in it: where a wider
            // one gives that, the narrower one has it too.
            if let Shape::Entry(entry) | Shape::Level(entry, _) = &shape
                && mount.kind == MountKind::Kv1
                && gives(&format!("{pattern}/*"), Permission::List)
            {
                self.block(format!("{}/{entry}", mount.path), &[C::List]);
                if permission == Permission::List {
                    return true;
                }
            }
            if self.say((mount, is_done), permission, shape) {
                return true;
            }
        }
        false
    }

    /// A rule of a transit mount: the words there are those of ours, but for keys made by encrypting.
    fn key(
        &mut self,
        mount: &MountView,
        pattern: &str,
        permission: Permission,
        asks: (Asks<'_>, Asks<'_>),
    ) -> bool {
        let Some(rest) = below(pattern, &mount.root) else {
            return false;
        };
        let (word, named) = match rest.split_once('/') {
            Some((word, named)) => (word, Some(named)),
            None => (rest, None),
        };
        let (said, capability) = match (word, permission) {
            (UPSERT, Permission::Write) => ("encrypt", C::Create),
            (_, Permission::Write) => (word, C::Update),
            (_, Permission::Read) => (word, C::Read),
            (_, Permission::Delete) => (word, C::Delete),
            (_, Permission::List) => (word, C::List),
            _ => return false,
        };
        let path = &mount.path;
        let Some(named) = named else {
            self.block(format!("{path}/{said}"), &[capability]);
            return true;
        };
        match Shape::of(pattern, named, permission, asks) {
            Some(Shape::Said) => true,
            Some(Shape::Entry(entry) | Shape::Deep(entry)) => {
                self.block(format!("{path}/{said}/{entry}"), &[capability]);
                true
            }
            _ => false,
        }
    }

    fn say(
        &mut self,
        (mount, is_done): (&MountView, bool),
        permission: Permission,
        shape: Shape,
    ) -> bool {
        let path = &mount.path;
        let (entry, folder) = match shape {
            Shape::Said => return true,
            Shape::Entry(entry) => (Some(entry), None),
            Shape::Folder(folder) => (None, Some(folder)),
            Shape::Level(entry, folder) => (Some(entry), Some(folder)),
            Shape::Deep(prefix) => (Some(prefix.clone()), Some(prefix)),
        };
        let words: &[C] = match permission {
            Permission::Read => &[C::Read],
            Permission::Write if is_done => &[C::Update],
            Permission::Write => &[C::Create, C::Update],
            Permission::Delete if self.is_apart && mount.kind == MountKind::Kv2 => &[C::Update],
            Permission::Delete => &[C::Delete],
            Permission::List => &[C::Read],
            Permission::Rotate | Permission::Admin => return false,
        };
        let under = match (mount.kind, permission) {
            (MountKind::Kv2, Permission::List) => "metadata/",
            (MountKind::Kv2, Permission::Delete) if self.is_apart => "delete/",
            (MountKind::Kv2, _) => "data/",
            (MountKind::Database, _) => "creds/",
            _ => "",
        };
        // Version 1 reads no metadata.
        let reads = mount.kind != MountKind::Kv1 || permission != Permission::List;
        if let Some(folder) = &folder
            && permission == Permission::List
        {
            self.block(format!("{path}/{under}{folder}"), &[C::List]);
        }
        match entry {
            Some(entry) if reads => self.block(format!("{path}/{under}{entry}"), words),
            None if permission != Permission::List => return false,
            Some(_) if folder.is_none() => return false,
            _ => {}
        }
        true
    }

    fn scope(&mut self, scope: Scope) {
        let by_rules = matches!(
            scope,
            Scope::SecretsRead
                | Scope::SecretsWrite
                | Scope::SecretsDelete
                | Scope::SecretsList
                | Scope::DynamicGenerate
                | Scope::TransitUse
        );
        match opened(scope) {
            Some(lines) => {
                for (places, words) in lines {
                    let held = self.blocks.entry(format!("{}/*", places[0])).or_default();
                    *held = held.or(words);
                }
            }
            None if by_rules => {}
            None => self.comments.push(format!(
                "# the scope {} has no words here: see it in the native API",
                scope.as_str()
            )),
        }
    }

    fn text(self) -> String {
        let mut text = String::new();
        for comment in self.comments {
            let _ = writeln!(text, "{comment}");
        }
        for (path, held) in self.blocks {
            if !text.is_empty() {
                text.push('\n');
            }
            let words: Vec<String> = held
                .iter()
                .map(|one| format!("\"{}\"", one.as_str()))
                .collect();
            let _ = write!(
                text,
                "path \"{}\" {{\n  capabilities = [{}]\n}}\n",
                quoted(&path),
                words.join(", ")
            );
        }
        text
    }
}

/// A mount, and what is administered at it: places of which each is read, written, deleted and listed
/// by one path, as in version 1; and whether something is only done there.
fn places(mount: &MountView) -> Vec<(MountView, bool)> {
    let place = |(way, is_done): (&super::ways::Way, bool)| {
        let view = MountView {
            path: format!("{}/{}", mount.path, way.under.join("/")),
            kind: MountKind::Kv1,
            root: managed_root(mount, way.under),
        };
        (view, is_done)
    };
    let own = std::iter::once((mount.clone(), false));
    managed(mount).map(place).chain(own).collect()
}

/// How a pattern of ours is said.
enum Shape {
    /// By another one.
    Said,
    /// Things.
    Entry(String),
    /// What is in folders.
    Folder(String),
    /// One level: things, or what is in its folder.
    Level(String, String),
    /// All below.
    Deep(String),
}

impl Shape {
    fn of(
        pattern: &str,
        below: &str,
        permission: Permission,
        (has, gives): (Asks<'_>, Asks<'_>),
    ) -> Option<Self> {
        let (before, last) = match below.rsplit_once('/') {
            Some((before, last)) => (Some(before), last),
            None => (None, below),
        };
        let in_folder = |folder: Option<&str>, name: &str| -> Option<String> {
            Some(match folder {
                Some(folder) => format!("{}/{name}", said(folder)?),
                None => name.to_owned(),
            })
        };
        if is_spelled_out(pattern, permission, has) {
            return Some(Self::Said);
        }
        match last {
            "*" if permission == Permission::List => {
                Some(Self::Level(in_folder(before, "+")?, in_folder(before, "")?))
            }
            "*" => in_folder(before, "+").map(Self::Entry),
            "**" => {
                // Behind a beginning, `x*/**` goes with `x*`.
                let open = before.map(|all| all.rsplit('/').next().unwrap_or(all));
                if let Some(open) = open.filter(|open| open.len() > 1 && open.ends_with('*')) {
                    let above = before.and_then(|all| all.strip_suffix(open));
                    let above = above
                        .map(|all| all.trim_end_matches('/'))
                        .filter(|all| !all.is_empty());
                    let prefix =
                        in_folder(above, &format!("{}*", unescaped(&open[..open.len() - 1])?))?;
                    let one = pattern.strip_suffix("/**").unwrap_or(pattern);
                    return match gives(one, permission) {
                        true => Some(Self::Deep(prefix)),
                        false => Some(Self::Folder(prefix)),
                    };
                }
                in_folder(before, "*").map(Self::Deep)
            }
            _ if last.len() > 1 && last.ends_with('*') => {
                has(&format!("{pattern}/**"), permission).then_some(Self::Said)
            }
            name => in_folder(before, &unescaped(name)?).map(Self::Entry),
        }
    }
}

/// Whether a pattern is one of those that a beginning with `_` at its end was spelled out to, or the
/// name of an operation that a beginning has: then that beginning says it.
fn is_spelled_out(pattern: &str, permission: Permission, has: Asks<'_>) -> bool {
    let (body, below) = match pattern.strip_suffix("/**") {
        Some(body) => (body, "/**"),
        None => (pattern, ""),
    };
    let at = body.rfind('/').map_or(0, |slash| slash + 1);
    let (above, name) = body.split_at(at);
    let open = name.strip_suffix('*');
    let stem = match open {
        // One letter behind the underscore.
        Some(open) if open.is_char_boundary(open.len().saturating_sub(1)) => {
            open.get(..open.len().saturating_sub(1)).unwrap_or_default()
        }
        _ => name,
    };
    if let Some(stem) = stem.strip_suffix('_')
        && has(&format!("{above}{stem}__5f*{below}"), permission)
    {
        return true;
    }
    let word = unescape(name);
    below.is_empty()
        && open.is_none()
        && word != name
        && (1..=word.len())
            .filter_map(|end| word.get(..end))
            .any(|begin| has(&format!("{above}{begin}*"), permission))
        && escape(&word, true) == name
        && escape(&word, false) == word
}

/// A folder of ours in the words of there.
fn said(folder: &str) -> Option<String> {
    let segments = folder.split('/').map(|segment| match segment {
        "*" => Some("+".to_owned()),
        text => unescaped(text),
    });
    Some(segments.collect::<Option<Vec<_>>>()?.join("/"))
}

/// `None` for what has a wildcard, or would be one there.
fn unescaped(segment: &str) -> Option<String> {
    let name = unescape(segment);
    let wild = segment.contains(['*', '?']) || name == "+" || name.contains(['*', '/']);
    let hidden = name.contains("{{") || name.chars().any(char::is_control);
    (!wild && !hidden).then_some(name)
}

fn below<'a>(pattern: &'a str, root: &str) -> Option<&'a str> {
    match root.is_empty() {
        true => Some(pattern),
        false => pattern.strip_prefix(root)?.strip_prefix('/'),
    }
}

fn quoted(path: &str) -> String {
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    path.replace("${", "$\\u007b")
}
