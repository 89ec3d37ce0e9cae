//! Random policies against random requests.

use std::collections::BTreeMap;

use super::super::document::{Capability as C, CapabilitySet};
use super::super::*;
use super::meaning::{Said, allows};
use super::mounts;
use crate::access::{AccessPolicy, Attempt, Binding, Grants, Permission, decide};
use crate::identity::{Identity, Principal, Scope, ScopeSet};
use crate::ids::{BindingId, PolicyId, TenantId};
use crate::tenancy::Seat;
use crate::time::Timestamp;

/// Policies; each is asked [`REQUESTS`] times.
const POLICIES: usize = 12_000;
const REQUESTS: usize = 40;

struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap_or(0) % most
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const NAMES: [&str; 7] = ["a", "b", "ab", "a_", "A", "metadata", "a_b"];
const FAMILIES: [&str; 6] = [
    "data", "metadata", "delete", "undelete", "destroy", "subkeys",
];
/// What is administered at databases, and only done there.
const KEPT: [&str; 3] = ["config", "roles", "static-roles"];
const DONE: [&str; 3] = ["rotate-root", "rotate-role", "reset"];
const LEASES: [&str; 2] = ["lookup", "revoke-prefix"];
const SETS: [&[C]; 16] = [
    &[C::Read],
    &[C::Read, C::List],
    &[C::List],
    &[C::Create, C::Update],
    &[C::Create, C::Update, C::Read],
    &[C::Create, C::Read, C::Update, C::Delete, C::List],
    &[
        C::Create,
        C::Read,
        C::Update,
        C::Patch,
        C::Delete,
        C::List,
        C::Sudo,
    ],
    &[C::Delete],
    &[C::Read, C::Delete],
    &[C::Update],
    &[C::Create],
    &[C::Patch],
    &[C::Create, C::Read, C::Update, C::Delete, C::List],
    &[C::Read, C::List],
    &[C::Read],
    &[C::Deny],
];

/// `…/a/b`, `…/a/+`, `…/a*`, `…/a/*`
fn tail(chance: &mut Chance) -> String {
    let mut parts: Vec<String> = (0..chance.below(3))
        .map(|_| match chance.below(5) {
            0 => "+".to_owned(),
            _ => chance.one(&NAMES).to_owned(),
        })
        .collect();
    parts.push(match chance.below(7) {
        0..=2 => chance.one(&NAMES).to_owned(),
        3 => format!("{}*", chance.one(&NAMES[..6])),
        4 => "+".to_owned(),
        5 if !parts.is_empty() => String::new(),
        _ => "*".to_owned(),
    });
    parts.join("/")
}

fn block(chance: &mut Chance) -> Said {
    let path = match chance.below(28) {
        24 => format!("database/{}/{}", chance.one(&KEPT), tail(chance)),
        25 => "database/*".to_owned(),
        26 => format!("database/{}/{}", chance.one(&DONE), tail(chance)),
        27 => format!("sys/leases/{}/{}", chance.one(&LEASES), tail(chance)),
        0 => "secret/*".to_owned(),
        1 => "kv1/*".to_owned(),
        2 => "*".to_owned(),
        3 => "+/data/*".to_owned(),
        4 => "secret/meta*".to_owned(),
        5 => "secret/+/a".to_owned(),
        6..=8 => format!("kv1/{}", tail(chance)),
        9 => format!("team/kv/data/{}", tail(chance)),
        10 => "database/creds/*".to_owned(),
        11 => "auth/token/create".to_owned(),
        12..=17 => format!("secret/data/{}", tail(chance)),
        18..=20 => format!("secret/metadata/{}", tail(chance)),
        _ => format!("secret/{}/{}", chance.one(&FAMILIES), tail(chance)),
    };
    // What fits the place more often than not, so that not nearly everything is refused.
    let held = match chance.below(4) {
        0 => CapabilitySet::of(chance.one(&SETS)),
        _ if path.contains("/meta") => CapabilitySet::of(chance.one::<&[C]>(&[
            &[C::Read, C::List],
            &[C::List],
            &[C::Read],
            &[C::Delete, C::Read],
        ])),
        _ if path.starts_with("sys/leases/lookup") => CapabilitySet::of(&[C::List]),
        _ if DONE.iter().any(|done| path.contains(done)) || path.contains("revoke-") => {
            CapabilitySet::of(&[C::Update])
        }
        _ if path.contains("delete/") || path.contains("destroy/") || path.ends_with("create") => {
            CapabilitySet::of(&[C::Update])
        }
        _ => CapabilitySet::of(chance.one(&SETS[..7])),
    };
    (path, held)
}

fn written(policy: &[Said]) -> String {
    let line = |(path, held): &Said| {
        let words: Vec<String> = held
            .iter()
            .map(|one| format!("\"{}\"", one.as_str()))
            .collect();
        format!(
            "path \"{path}\" {{ capabilities = [{}] }}\n",
            words.join(", ")
        )
    };
    policy.iter().map(line).collect()
}

/// Decides as the engine does: scope and rule.
struct Here {
    principal: Principal,
    grants: Grants,
    mounts: Mounts,
}

impl Here {
    fn new(compiled: &Compiled, mounts: &Mounts) -> Self {
        let tenant = TenantId::parse("tnt_a").unwrap();
        let group = Identity::parse("group:acl/p").unwrap();
        let at = Timestamp::from_secs(0);
        let policy = AccessPolicy {
            id: PolicyId::parse("pol_1").unwrap(),
            tenant: tenant.clone(),
            name: "p".into(),
            description: None,
            rules: compiled.rules.clone(),
            scopes: Some(compiled.scopes),
            scope: Default::default(),
            is_active: true,
            created_at: at,
            updated_at: at,
            revision: 1,
        };
        let binding = Binding {
            id: BindingId::parse("bnd_1").unwrap(),
            tenant: tenant.clone(),
            policy_id: policy.id.clone(),
            identity: group.clone(),
            expires_at: None,
            created_at: at,
            revision: 1,
        };
        Self {
            principal: Principal {
                tenant,
                seat: Seat::default(),
                identity: Identity::parse("sa:acl/x").unwrap(),
                scopes: compiled.scopes,
                groups: vec![group],
                token_id: None,
                is_root: false,
                mfa_at: None,
                expires_at: None,
                foreign: None,
                limited_as: None,
            },
            grants: Grants::new(vec![(policy, binding)]),
            mounts: mounts.clone(),
        }
    }

    fn allows(&self, path: &str, capability: C) -> bool {
        let has = |scope: Scope| self.principal.scopes.contains(scope);
        match needs(&self.mounts, path, capability) {
            Need::Everyone => true,
            Need::Nobody => false,
            Need::Scope(scope) => has(scope),
            Need::Both(_) => self.allows(path, C::Read) && self.allows(path, C::Update),
            Need::Below(scope, folder) => {
                let rules = self
                    .grants
                    .entries()
                    .iter()
                    .flat_map(|(policy, _)| &policy.rules);
                has(scope)
                    && rules
                        .filter(|rule| rule.permissions.allows(Permission::List))
                        .any(|rule| rule.path_pattern.reaches_below(&folder))
            }
            Need::Rule(scope, permission, path) => {
                let attempt = Attempt {
                    permission,
                    path: &path,
                    source_ip: None,
                    mfa_at: None,
                    now: Timestamp::from_secs(0),
                };
                scope.is_none_or(has) && decide(&self.principal, &self.grants, &attempt).is_ok()
            }
        }
    }
}

fn parent(path: &str) -> &str {
    let end = path.trim_end_matches('/').rfind('/').map_or(0, |at| at + 1);
    &path[..end]
}

/// What the meaning comes to with what [`WIDER`] adds.
fn widened(policy: &[Said], path: &str, capability: C) -> bool {
    if allows(policy, path, capability) {
        return true;
    }
    for mount in ["secret", "team/kv"] {
        let Some((family, rest)) = path
            .strip_prefix(mount)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let at = |family: &str, capability| {
            allows(policy, &format!("{mount}/{family}/{rest}"), capability)
        };
        return match (family, capability) {
            ("data", C::Patch) => at("data", C::Create) && at("data", C::Read),
            ("metadata", C::Create | C::Update | C::Patch) => at("data", C::Create),
            ("subkeys", C::Read) => at("data", C::Read),
            ("data" | "metadata", C::Delete) | ("delete" | "undelete" | "destroy", C::Update) => {
                at("data", C::Delete)
                    || at("metadata", C::Delete)
                    || ["delete", "undelete", "destroy"]
                        .iter()
                        .any(|one| at(one, C::Update))
            }
            ("metadata", C::Read) => allows(policy, parent(path), C::List),
            ("metadata", C::List) => below(path).iter().any(|path| {
                let named = path.trim_end_matches('/');
                allows(policy, path, C::List) || allows(policy, named, C::Read)
            }),
            _ => false,
        };
    }
    let lists = KEPT.map(|kept| format!("database/{kept}/"));
    let mut lists = lists.iter().map(String::as_str);
    let lists_below = path.starts_with("kv1/")
        || path.starts_with("sys/leases/lookup/")
        || lists.any(|list| path.starts_with(list));
    lists_below && capability == C::List && {
        below(path).iter().any(|path| allows(policy, path, C::List))
    }
}

/// Folders below one, as deep as any pattern here goes.
fn below(folder: &str) -> Vec<String> {
    let names = [
        "data",
        "a",
        "b",
        "ab",
        "a_",
        "A",
        "metadata",
        "a_b",
        "q",
        "a_c",
        "ac",
        "bc",
        "Ac",
        "a_bc",
        "metadatac",
    ];
    let mut all = Vec::new();
    let mut level = vec![folder.to_owned()];
    for _ in 0..4 {
        level = level
            .iter()
            .flat_map(|above| names.map(|name| format!("{above}{name}/")))
            .collect();
        all.extend(level.iter().cloned());
        if level.len() > 2_000 {
            break;
        }
    }
    all
}

fn request(chance: &mut Chance) -> (String, C) {
    let capability = chance.one(&C::ALL[..6]);
    let mut rest: Vec<&str> = (0..=chance.below(3)).map(|_| chance.one(&NAMES)).collect();
    if chance.below(6) == 0 {
        rest.push("q");
    }
    let mut path = rest.join("/");
    let is_list = capability == C::List;
    if is_list {
        path.push('/');
        if chance.below(5) == 0 {
            path.clear();
        }
    }
    let path = match chance.below(16) {
        12 => format!("database/{}/{path}", chance.one(&KEPT)),
        13 => format!("database/{}/{path}", chance.one(&DONE)),
        14 => format!("sys/leases/{}/{path}", chance.one(&LEASES)),
        0..=2 => format!("kv1/{path}"),
        3 => format!("team/kv/data/{path}"),
        4 if !is_list => "auth/token/create".to_owned(),
        5 if !is_list => format!("database/creds/{}", rest[0]),
        6..=8 => format!("secret/data/{path}"),
        9 => format!("secret/metadata/{path}"),
        _ => format!("secret/{}/{path}", chance.one(&FAMILIES)),
    };
    (path, capability)
}

#[test]
fn decides_as_the_meaning_says_but_for_what_is_listed() {
    let mounts = mounts();
    let (mut chance, mut refused, mut asked) = (Chance(0x5eed_1234), BTreeMap::new(), 0_usize);
    let (mut taken, mut yes, mut beside, mut wrong) = (0_usize, 0_usize, 0_usize, Vec::new());
    let mut astray = 0_usize;
    for _ in 0..POLICIES {
        let policy: Vec<Said> = (0..=chance.below(4)).map(|_| block(&mut chance)).collect();
        let text = written(&policy);
        let document = parse(&text).unwrap_or_else(|why| panic!("{text}{why:?}"));
        let compiled = match compile(&document, &mounts) {
            Ok(compiled) => compiled,
            Err(why) => {
                let key: String = why[0].reason.chars().take(30).collect();
                *refused.entry(key).or_insert(0_usize) += 1;
                continue;
            }
        };
        taken += 1;
        match back_again(&text, &compiled, &mounts) {
            // Told by a comment: a path with + may stand over one that was written otherwise.
            Some(told) if told.contains("# Written back") => astray += 1,
            told => wrong.extend(told),
        }
        let here = Here::new(&compiled, &mounts);
        for _ in 0..REQUESTS {
            let (path, capability) = request(&mut chance);
            let (there, own) = (
                allows(&policy, &path, capability),
                here.allows(&path, capability),
            );
            asked += 1;
            yes += usize::from(there);
            if there == own {
                continue;
            }
            // What is served nowhere is allowed by nobody here.
            let nowhere = needs(&mounts, &path, capability) == Need::Nobody;
            let listed = widened(&policy, &path, capability);
            // What is patched is read.
            let unread = capability == C::Patch && !here.allows(&path, C::Read);
            if !((own && listed) || (there && (nowhere || unread))) {
                wrong.push(format!(
                    "{text}{capability:?} {path}: there {there}, here {own}; {:?}",
                    compiled.rules
                ));
            }
            beside += usize::from(own);
        }
    }
    println!(
        "{astray} astray, {taken} taken, {asked} asked, {yes} allowed, {beside} by what is wider; refused: {refused:?}"
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.iter().take(6).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(astray * 50 < taken, "{astray} of {taken} do not come back");
    assert!(taken * 3 > POLICIES, "{refused:?}");
    assert!(asked > 200_000, "{asked}");
    assert!(yes * 15 > asked, "{yes} of {asked}");
    // The list of what is wider is not more than what is met.
    assert!(beside > 100 && beside * 10 < asked, "{beside}");
}

/// Written back and read again it is the same.
fn back_again(text: &str, compiled: &Compiled, mounts: &Mounts) -> Option<String> {
    if compiled.rules.is_empty() && compiled.scopes == ScopeSet::EMPTY {
        return None;
    }
    let again = render(&compiled.rules, compiled.scopes, mounts);
    let second = parse(&again).and_then(|document| compile(&document, mounts));
    let same = |second: &Compiled| {
        second.rules == compiled.rules && second.scopes == compiled.scopes && !again.contains('#')
    };
    match &second {
        Ok(second) if same(second) => None,
        other => Some(format!(
            "{text}came back as\n{again}{other:?}\nof {:?}",
            compiled.rules
        )),
    }
}

#[test]
fn names_are_told_apart_and_come_back() {
    let mut chance = Chance(7);
    let letters = ['a', 'z', '0', '-', '_', '_', 'A', '.', ' ', 'ä', '%'];
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..50_000 {
        let name: String = (0..=chance.below(7))
            .map(|_| chance.one(&letters))
            .collect();
        for is_last in [false, true] {
            let here = escape(&name, is_last);
            assert_eq!(unescape(&here), name, "{here}");
            let whole = crate::vault_path::secret_path("x/", &name).unwrap();
            assert!(!is_last || whole.as_str() == format!("x/{here}"), "{whole}");
            let path = format!("x/{here}/{}", if is_last { "" } else { "y" });
            assert!(
                crate::path::SecretPath::parse(path.trim_end_matches('/')).is_ok(),
                "{path}"
            );
            let other = seen.entry(here.clone()).or_insert_with(|| name.clone());
            assert_eq!(*other, name, "{here}");
        }
    }
}
