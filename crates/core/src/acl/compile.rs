//! Blocks to rules and scopes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::document::{Block, Capability, CapabilitySet, Document, Refusal};
use super::mounts::{MountKind, MountView, Mounts};
use super::name::escape;
use super::other_places::OtherPlace;
use super::pattern::Meeting;
use super::residue::Residue;
use super::ways::{Ask, WRITE, Way, engines_of, managed_root, opened, ways};
use crate::access::{Conditions, Permission, PermissionSet, Rule};
use crate::glob::PathPattern;
use crate::identity::{Scope, ScopeSet};

/// The most rules of a policy.
pub const RULES_MAX: usize = 200;
/// The most things said of one policy.
const REFUSALS_MAX: usize = 20;
/// The most requests that the blocks of a policy reach: comparing them takes their square.
const TOUCHES_MAX: usize = 5_000;
/// The most patterns of ours that a policy's rules are made from, for the same reason.
const PATTERNS_MAX: usize = 2_000;

/// What a policy came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Its rules, by their patterns.
    pub rules: Vec<Rule>,
    /// What its holders may ask for.
    pub scopes: ScopeSet,
    /// What it gives less of than it says, in sentences.
    pub notes: Vec<String>,
}

/// A block at a way it reaches.
struct Touch {
    block: usize,
    mount: usize,
    way: &'static Way,
    residue: Option<Residue>,
}

struct Work<'a> {
    mounts: &'a Mounts,
    blocks: Vec<Block>,
    touches: Vec<Touch>,
    rules: BTreeMap<String, Vec<Permission>>,
    /// What stands for something else than secrets, and is given by its own requests.
    others: Vec<String>,
    /// Blocks whose patterns for secrets also match such places.
    beyond: Vec<(usize, String, &'static OtherPlace)>,
    scopes: Vec<Scope>,
    refusals: Vec<Refusal>,
    notes: Vec<String>,
}

/// Compiles a policy against the mounts as they are now.
///
/// # Errors
/// What cannot be said here, each with its line and reason.
pub fn compile(document: &Document, mounts: &Mounts) -> Result<Compiled, Vec<Refusal>> {
    let mut work = Work {
        mounts,
        blocks: merged(document),
        touches: Vec::new(),
        rules: BTreeMap::new(),
        others: Vec::new(),
        beyond: Vec::new(),
        scopes: Vec::new(),
        refusals: Vec::new(),
        notes: Vec::new(),
    };
    if let Err(refusal) = work.touch() {
        return Err(vec![refusal]);
    }
    work.give_scopes();
    for at in 0..work.blocks.len() {
        work.one(at);
        if work.rules.len() > PATTERNS_MAX {
            let why = format!(
                "with this block the policy comes to more than {PATTERNS_MAX} patterns here (what \
                 follows an underscore before * is spelled out): write several policies, or broader \
                 blocks"
            );
            return Err(vec![Refusal::of(&work.blocks[at], why)]);
        }
    }
    work.only_what_is_said();
    work.priorities();
    let rules = match work.refusals.is_empty() {
        true => work.rules(),
        false => Vec::new(),
    };
    if !work.refusals.is_empty() {
        work.refusals.sort_by_key(|refusal| refusal.line);
        work.refusals.truncate(REFUSALS_MAX);
        return Err(work.refusals);
    }
    Ok(Compiled {
        rules,
        scopes: work.scopes.into_iter().collect(),
        notes: work.notes,
    })
}

/// What a pattern gives, the narrower ones in it give as well: written out, so that a policy has one
/// form, and no narrower block of it looks as if it took something away. What is given no more than
/// a wider one gives is left out.
fn closed(rules: &BTreeMap<String, Vec<Permission>>) -> BTreeMap<String, Vec<Permission>> {
    let given = |pattern: &str| {
        let over = rules.iter().filter(|(other, _)| is_within(pattern, other));
        let mut all: Vec<Permission> = over.flat_map(|(_, given)| given.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let all: BTreeMap<String, Vec<Permission>> = rules
        .keys()
        .map(|pattern| (pattern.clone(), given(pattern)))
        .collect();
    let is_more = |pattern: &String, permissions: &Vec<Permission>| {
        !all.iter().any(|(other, given)| {
            other != pattern && is_within(pattern, other) && given == permissions
        })
    };
    let kept = all
        .iter()
        .filter(|(pattern, given)| is_more(pattern, given));
    kept.map(|(pattern, given)| (pattern.clone(), given.clone()))
        .collect()
}

/// Whether everything that one of our patterns matches the other one does, for the forms made here.
pub(super) fn is_within(pattern: &str, other: &str) -> bool {
    let (own, wide): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), other.split('/').collect());
    let segment = |(own, wide): (&&str, &&str)| match wide.strip_suffix('*') {
        _ if *own == "**" => false,
        Some(begin) => own.starts_with(begin),
        None => own == wide,
    };
    match wide.split_last() {
        Some((&"**", base)) => {
            let open = own.last() == Some(&"**");
            let fixed = own.len() - usize::from(open);
            (own.len() > base.len() && fixed >= base.len()) && own.iter().zip(base).all(segment)
        }
        _ => own.len() == wide.len() && own.iter().zip(&wide).all(segment),
    }
}

/// Blocks of one path are one block.
fn merged(document: &Document) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut at = std::collections::HashMap::new();
    for block in &document.blocks {
        match at.get(block.pattern.as_str()) {
            None => {
                at.insert(block.pattern.as_str(), blocks.len());
                blocks.push(block.clone());
            }
            Some(found) => {
                let found: &mut Block = &mut blocks[*found];
                found.capabilities = found.capabilities.or(block.capabilities);
            }
        }
    }
    blocks
}

/// Whether the first of a mount's ways that fits a request is this one, and not an earlier one.
fn is_shadowed(kind: MountKind, way: &Way, block: &Block, mount: &MountView) -> bool {
    let is_same = |other: &&Way| std::ptr::eq(*other, way);
    let is_whole = !block.pattern.is_prefix && !block.pattern.has_any();
    let before = ways(kind).iter().take_while(|other| !is_same(other));
    is_whole
        && before
            .filter(|other| !other.open)
            .any(|other| block.pattern.as_str() == path(mount, other))
}

fn path(mount: &MountView, way: &Way) -> String {
    let segments = std::iter::once(mount.path.as_str()).chain(way.under.iter().copied());
    segments.collect::<Vec<_>>().join("/")
}

impl Work<'_> {
    /// Which requests each block reaches.
    ///
    /// # Errors
    /// When they are too many.
    fn touch(&mut self) -> Result<(), Refusal> {
        for (at, block) in self.blocks.iter().enumerate() {
            for (mount_at, mount) in self.mounts.all().iter().enumerate() {
                for way in ways(mount.kind) {
                    let whole = path(mount, way);
                    let residue = match way.open {
                        false => None,
                        true => {
                            let segments: Vec<&str> = whole.split('/').collect();
                            Residue::of(&block.pattern, &segments)
                        }
                    };
                    // The list of a whole path is asked with a slash behind it.
                    let lists = way.open && block.pattern.matches(&format!("{whole}/"), true);
                    let fits = match way.open {
                        false => block.pattern.matches(&whole, false),
                        true => residue.is_some() || lists,
                    };
                    if fits && !is_shadowed(mount.kind, way, block, mount) {
                        let residue = residue.or_else(|| lists.then(Residue::top));
                        self.touches.push(Touch {
                            block: at,
                            mount: mount_at,
                            way,
                            residue,
                        });
                    }
                }
            }
            if self.touches.len() > TOUCHES_MAX {
                let why = format!(
                    "with this block the policy reaches more than {TOUCHES_MAX} kinds of requests of \
                     all mounts together: write several policies, or blocks for fewer mounts"
                );
                return Err(Refusal::of(block, why));
            }
        }
        Ok(())
    }

    /// A scope opens the same everywhere: it is given to who may all of that by some block each.
    fn give_scopes(&mut self) {
        for scope in Scope::ALL {
            let Some(lines) = opened(*scope) else {
                continue;
            };
            let has = |place: &String, wanted: CapabilitySet| {
                let segments: Vec<&str> = place.split('/').collect();
                let over = self
                    .blocks
                    .iter()
                    .filter(|block| block.pattern.is_over(&segments));
                let held = over.map(|block| block.capabilities);
                held.fold(CapabilitySet::default(), CapabilitySet::or)
                    .covers(wanted)
            };
            let all = lines
                .iter()
                .all(|(places, wanted)| places.iter().any(|place| has(place, *wanted)));
            if all {
                self.scopes.push(*scope);
            }
        }
    }

    fn one(&mut self, at: usize) {
        let block = self.blocks[at].clone();
        if block.capabilities.contains(Capability::Deny) {
            let why = "deny takes away what other policies give, and policies here only ever add. \
                       What no policy allows is denied already: leave the block out, and narrow the \
                       policies that give it";
            self.refusals.push(Refusal::of(&block, why));
            return;
        }
        let touches: Vec<usize> = (0..self.touches.len())
            .filter(|touch| self.touches[*touch].block == at)
            .collect();
        if touches.is_empty() {
            let why = "nothing that is served here has such a path: no mount, or no operation. Mount \
                       it first, or leave the block out";
            self.refusals.push(Refusal::of(&block, why));
            return;
        }
        let (mut gave, mut missed) = (false, Vec::new());
        for touch in touches {
            let (way, mount) = (self.touches[touch].way, self.touches[touch].mount);
            for (on, ask) in way.asks {
                let held = block.capabilities.and(*on);
                if held.is_empty() {
                    continue;
                }
                match self.ask(touch, *ask, held) {
                    Ok(given) => gave |= given,
                    Err(Left::Refused(why)) => {
                        self.refusals.push(Refusal::of(&block, why));
                        return;
                    }
                    Err(Left::Scope(scope)) => {
                        missed.push((path(&self.mounts.all()[mount], way), scope));
                    }
                }
            }
        }
        if let (Some((_, scope)), false) = (missed.first(), gave) {
            let why = self.wanted(*scope);
            self.refusals.push(Refusal::of(&block, why));
        } else if !gave {
            let why = format!(
                "{} gives nothing here: no request to it asks for that",
                block.capabilities.words()
            );
            self.refusals.push(Refusal::of(&block, why));
        } else if !missed.is_empty() {
            let mut places: Vec<String> = missed.into_iter().map(|(place, _)| place).collect();
            places.dedup();
            self.notes.push(format!(
                "{:?} gives nothing at {}: rights there go together, and it has not all of them",
                block.pattern.as_str(),
                places.join(", ")
            ));
        }
    }

    fn wanted(&self, scope: Scope) -> String {
        let Some(lines) = opened(scope) else {
            return format!(
                "this needs the scope {}, which opens more than this path: give it to a token of the \
                 native API",
                scope.as_str()
            );
        };
        let line = |(places, wanted): &(Vec<String>, CapabilitySet)| {
            format!("{}/* [{}]", places[0], wanted.words())
        };
        let lines: Vec<String> = lines.iter().map(line).collect();
        format!(
            "rights there go together (scope {}): a policy has all of {}, or none",
            scope.as_str(),
            lines.join(", ")
        )
    }

    fn ask(&mut self, touch: usize, ask: Ask, held: CapabilitySet) -> Result<bool, Left> {
        let mount = &self.mounts.all()[self.touches[touch].mount];
        let residue = self.touches[touch].residue.clone();
        let (scope, permission, patterns) = match ask {
            Ask::Everyone => return Ok(true),
            Ask::Scope(scope) => {
                return match self.scopes.contains(&scope) {
                    true => Ok(true),
                    false => Err(Left::Scope(scope)),
                };
            }
            Ask::Sight(scope) => {
                if !self.scopes.contains(&scope) {
                    self.scopes.push(scope);
                }
                return Ok(true);
            }
            // Part of writing; alone it would be refused there.
            Ask::Part
                if self.blocks[self.touches[touch].block]
                    .capabilities
                    .covers(WRITE) =>
            {
                return Ok(true);
            }
            Ask::Part => return Err(Left::Refused(TOGETHER.to_owned())),
            Ask::Operation(place) => (None, Permission::Write, vec![place.to_owned()]),
            Ask::Entry(scope, permission) | Ask::Within(scope, permission, _) => {
                let found = residue.as_ref().map(|residue| residue.entries(&mount.root));
                if permission == Permission::Write
                    && matches!(ask, Ask::Entry(..))
                    && !held.covers(WRITE)
                {
                    return Err(Left::Refused(TOGETHER.to_owned()));
                }
                if let Ask::Within(_, _, why) = ask
                    && !self.is_within(touch, permission)
                {
                    return Err(Left::Refused(why.to_owned()));
                }
                (Some(scope), permission, found.unwrap_or_default())
            }
            Ask::Contents => {
                let found = residue
                    .as_ref()
                    .map(|residue| residue.contents(&mount.root));
                let scope = Some(Scope::SecretsList);
                (scope, Permission::List, found.unwrap_or_default())
            }
            Ask::Key(word, permission) => {
                let found = match self.touches[touch].way.open {
                    true => {
                        let root = format!("{}/{word}", mount.root);
                        residue
                            .map(|residue| residue.entries(&root))
                            .unwrap_or_default()
                    }
                    false => vec![format!("{}/{}", mount.root, escape(word, true))],
                };
                (Some(Scope::TransitUse), permission, found)
            }
            Ask::Keys(word) => {
                let whole = format!("{}/", path(mount, self.touches[touch].way));
                let block = &self.blocks[self.touches[touch].block];
                let lists = block.pattern.matches(&whole, true);
                let found = lists.then(|| format!("{}/{}", mount.root, escape(word, true)));
                let scope = Some(Scope::TransitUse);
                (scope, Permission::List, found.into_iter().collect())
            }
            Ask::Managed(permission) => {
                if permission == Permission::Write
                    && self.touches[touch].way.asks.len() > 1
                    && !held.covers(WRITE)
                {
                    return Err(Left::Refused(TOGETHER.to_owned()));
                }
                let root = managed_root(mount, self.touches[touch].way.under);
                let found = residue.as_ref().map(|residue| residue.entries(&root));
                let scope = Some(Scope::DynamicGenerate);
                (scope, permission, found.unwrap_or_default())
            }
            Ask::ManagedContents => {
                let root = managed_root(mount, self.touches[touch].way.under);
                let found = residue.as_ref().map(|residue| residue.contents(&root));
                let scope = Some(Scope::DynamicGenerate);
                (scope, Permission::List, found.unwrap_or_default())
            }
            Ask::Creds => {
                let root = format!("dynamic/{}*/creds", engines_of(mount));
                let found = residue.as_ref().map(|residue| residue.entries(&root));
                let scope = Some(Scope::DynamicGenerate);
                (scope, Permission::Read, found.unwrap_or_default())
            }
        };
        if patterns.is_empty() {
            return Ok(false);
        }
        if let Some(scope) = scope
            && !self.scopes.contains(&scope)
        {
            self.scopes.push(scope);
        }
        let block = self.touches[touch].block;
        for pattern in patterns {
            match ask {
                Ask::Operation(_)
                | Ask::Creds
                | Ask::Managed(_)
                | Ask::ManagedContents
                | Ask::Key(..)
                | Ask::Keys(_) => self.others.push(pattern.clone()),
                _ => {
                    let met = OtherPlace::met_by(&pattern, permission);
                    self.beyond
                        .extend(met.map(|place| (block, pattern.clone(), place)));
                }
            }
            let given = self.rules.entry(pattern).or_default();
            if !given.contains(&permission) {
                given.push(permission);
            }
        }
        Ok(true)
    }

    /// Whether the same mount gives the permission at all these places by a request of its own.
    fn is_within(&self, touch: usize, permission: Permission) -> bool {
        let Some(wanted) = &self.touches[touch].residue else {
            return false;
        };
        let mount = self.touches[touch].mount;
        self.touches.iter().any(|other| {
            let held = self.blocks[other.block].capabilities;
            let gives = other.way.asks.iter().any(|(on, ask)| {
                let full = match permission {
                    Permission::Write => held.covers(WRITE),
                    _ => !held.and(*on).is_empty(),
                };
                matches!(ask, Ask::Entry(_, given) if *given == permission) && full
            });
            let over = other
                .residue
                .as_ref()
                .is_some_and(|residue| residue.covers(wanted));
            other.mount == mount && gives && over
        })
    }

    /// A view may show all of our tree, and with it places that stand for something else than secrets.
    /// A pattern for secrets that matches these would give that: it is given by its own paths only.
    fn only_what_is_said(&mut self) {
        for (block, pattern, place) in std::mem::take(&mut self.beyond) {
            let block = &self.blocks[block];
            let is_said = self.others.iter().any(|other| is_within(&pattern, other))
                || (place.is_one() && self.others.iter().any(|other| other == place.path))
                || (!place.is_one() && block.pattern.as_str() == "*");
            if is_said {
                continue;
            }
            let refusal = Refusal::of(block, place.why.to_owned());
            if !self.refusals.contains(&refusal) && self.refusals.len() <= REFUSALS_MAX {
                self.refusals.push(refusal);
            }
        }
    }

    /// Of two blocks that match one path the more specific one decides there. What the other one gives
    /// would stay here.
    fn priorities(&mut self) {
        for (at, one) in self.touches.iter().enumerate() {
            for other in &self.touches[at + 1..] {
                if one.block == other.block
                    || one.mount != other.mount
                    || !std::ptr::eq(one.way, other.way)
                {
                    continue;
                }
                let (a, b) = (&self.blocks[one.block], &self.blocks[other.block]);
                let wanted = match a.pattern.meets(&b.pattern) {
                    Meeting::None => continue,
                    Meeting::Lists => CapabilitySet::of(&[Capability::List]),
                    Meeting::Any => CapabilitySet::of(&Capability::ALL),
                };
                let (high, low) = match a.pattern.rank(&b.pattern) {
                    Ordering::Less => (b, a),
                    _ => (a, b),
                };
                if let Some(lost) = lost(one.way, high, low, wanted) {
                    let why = format!(
                        "this block decides over {:?} (line {}) where both match, and would take away \
                         {}; policies here only ever add: give it here as well, or narrow the other \
                         block",
                        low.pattern.as_str(),
                        low.line,
                        lost.words(),
                    );
                    let refusal = Refusal::of(high, why);
                    if !self.refusals.contains(&refusal) {
                        self.refusals.push(refusal);
                    }
                    if self.refusals.len() > REFUSALS_MAX {
                        return;
                    }
                }
            }
        }
    }

    fn rules(&mut self) -> Vec<Rule> {
        let all = closed(&self.rules);
        if all.len() > RULES_MAX {
            let why = format!(
                "it comes to {} rules, and a policy has at most {RULES_MAX}: write two policies",
                all.len()
            );
            self.refusals.push(Refusal::at(1, why));
            return Vec::new();
        }
        let mut rules = Vec::with_capacity(all.len());
        for (pattern, permissions) in &all {
            match PathPattern::parse(pattern) {
                Ok(path_pattern) => rules.push(Rule {
                    path_pattern,
                    permissions: permissions.iter().copied().collect::<PermissionSet>(),
                    conditions: Conditions::default(),
                }),
                Err(error) => {
                    let why = format!("its path cannot be one here: {error}");
                    self.refusals.push(Refusal::at(1, why));
                }
            }
        }
        rules
    }
}

const TOGETHER: &str =
    "create and update are one right here: give both, or neither (patch is part of them)";

/// Why a right was not given.
enum Left {
    Refused(String),
    Scope(Scope),
}

/// What the lower block gives by this way and the higher one would take away.
fn lost(way: &Way, high: &Block, low: &Block, wanted: CapabilitySet) -> Option<CapabilitySet> {
    let rights = |block: &Block| {
        let held = block.capabilities.and(wanted);
        let asks = way
            .asks
            .iter()
            .filter(move |(on, _)| !held.and(*on).is_empty());
        asks.filter_map(|(_, ask)| ask.right()).collect::<Vec<_>>()
    };
    let kept = rights(high);
    let gone: CapabilitySet = way
        .asks
        .iter()
        .filter(|(_, ask)| ask.right().is_some_and(|right| !kept.contains(&right)))
        .fold(CapabilitySet::default(), |all, (on, _)| {
            all.or(low.capabilities.and(*on).and(wanted))
        });
    (!gone.is_empty()).then_some(gone)
}
