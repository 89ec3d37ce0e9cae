//! Which request asks what of us.

use super::document::{Capability as C, CapabilitySet};
use super::mounts::{MountKind, MountView, Mounts};
use super::name::{escape, escape_alone, mount_word};
use crate::access::Permission;
use crate::identity::Scope;
use crate::path::SecretPath;

/// What a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Any token may.
    Everyone,
    /// The permission at the path, and the scope where there is one.
    Rule(Option<Scope>, Permission, SecretPath),
    /// To read and to write there.
    Both(SecretPath),
    /// To see at least one thing below the folder; the empty one is all.
    Below(Scope, String),
    /// The scope.
    Scope(Scope),
    /// There is nothing to be done there, or nobody may.
    Nobody,
}

/// What one kind of request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The permission at what is named.
    Entry(Scope, Permission),
    /// To change a part of what is named, which is read for it.
    Part,
    /// The same, which a policy cannot give by this request alone: somebody who may this may more.
    Within(Scope, Permission, &'static str),
    /// To see what is in the folder that is named.
    Contents,
    /// A credential of the role that is named.
    Creds,
    /// The permission at the place that stands for what is administered there.
    Managed(Permission),
    /// To see what is in the folder of such places.
    ManagedContents,
    /// Write at this place of ours, which stands for an operation.
    Operation(&'static str),
    /// The permission at what is named below this word of a transit mount.
    Key(&'static str, Permission),
    /// To list what is in this folder of a transit mount.
    Keys(&'static str),
    /// A scope, which a policy gives only when it covers all that the scope opens.
    Scope(Scope),
    /// A scope that shows nothing by itself.
    Sight(Scope),
    /// Any token may.
    Everyone,
}

impl Ask {
    /// What it comes to, to compare two requests at one path by.
    pub(super) fn right(self) -> Option<(u8, u8)> {
        Some(match self {
            Self::Entry(_, permission) | Self::Within(_, permission, _) => (0, permission as u8),
            Self::Part => (0, Permission::Write as u8),
            Self::Contents => (0, Permission::List as u8),
            Self::Creds => (1, 0),
            Self::Managed(permission) => (4, permission as u8),
            Self::ManagedContents => (4, Permission::List as u8),
            Self::Operation(_) => (2, 0),
            Self::Scope(scope) => (3, scope as u8),
            // Encrypting and making a key by it are two rights of one way.
            Self::Key(UPSERT, _) => (5, 0),
            Self::Key(_, permission) => (7, permission as u8),
            Self::Keys(_) => (6, 0),
            Self::Everyone | Self::Sight(_) => return None,
        })
    }
}

/// Requests below a mount.
pub(super) struct Way {
    /// The segments behind the mount.
    pub(super) under: &'static [&'static str],
    /// Whether more follows.
    pub(super) open: bool,
    /// By capability.
    pub(super) asks: &'static [(CapabilitySet, Ask)],
}

/// Create and update: one right here, so a policy has both or neither.
pub(super) const WRITE: CapabilitySet = CapabilitySet::of(&[C::Create, C::Update]);
const WRITES: CapabilitySet = CapabilitySet::of(&[C::Create, C::Update, C::Patch]);
const CHANGES: CapabilitySet = CapabilitySet::of(&[C::Create, C::Update, C::Patch, C::Delete]);
const PATCH: CapabilitySet = CapabilitySet::of(&[C::Patch]);
const READ: CapabilitySet = CapabilitySet::of(&[C::Read]);
const LIST: CapabilitySet = CapabilitySet::of(&[C::List]);
const LOOKS: CapabilitySet = CapabilitySet::of(&[C::Read, C::List]);
const DELETE: CapabilitySet = CapabilitySet::of(&[C::Delete]);
const UPDATE: CapabilitySet = CapabilitySet::of(&[C::Update]);
const ALL: CapabilitySet =
    CapabilitySet::of(&[C::Create, C::Read, C::Update, C::Patch, C::Delete, C::List]);

const READS: Ask = Ask::Entry(Scope::SecretsRead, Permission::Read);
const WRITE_ENTRY: Ask = Ask::Entry(Scope::SecretsWrite, Permission::Write);
const DELETE_ENTRY: Ask = Ask::Entry(Scope::SecretsDelete, Permission::Delete);
const SEES: Ask = Ask::Entry(Scope::SecretsList, Permission::List);
const WRITE_META: Ask = Ask::Within(
    Scope::SecretsWrite,
    Permission::Write,
    "who may change metadata may write values here: give create and update on data/ for the same \
     paths, or leave it out",
);
const READ_KEYS: Ask = Ask::Within(
    Scope::SecretsRead,
    Permission::Read,
    "the names of fields are part of the value here: give read on data/ for the same paths, or leave \
     it out",
);

const fn below(under: &'static [&'static str], asks: &'static [(CapabilitySet, Ask)]) -> Way {
    let open = true;
    Way { under, open, asks }
}

const fn just(under: &'static [&'static str], asks: &'static [(CapabilitySet, Ask)]) -> Way {
    let open = false;
    Way { under, open, asks }
}

const ADMIN: &[(CapabilitySet, Ask)] = &[(ALL, Ask::Scope(Scope::Admin))];
const MOUNTS: &[(CapabilitySet, Ask)] = &[
    (LOOKS, Ask::Sight(Scope::SecretsList)),
    (CHANGES, Ask::Scope(Scope::Admin)),
];
const OPEN: &[(CapabilitySet, Ask)] = &[(ALL, Ask::Everyone)];
const POLICIES: &[(CapabilitySet, Ask)] = &[
    (LOOKS, Ask::Scope(Scope::PoliciesRead)),
    (CHANGES, Ask::Scope(Scope::PoliciesWrite)),
];
/// Connections and roles of databases.
const KEPT: &[(CapabilitySet, Ask)] = &[
    (READ, Ask::Managed(Permission::Read)),
    (WRITE, Ask::Managed(Permission::Write)),
    (DELETE, Ask::Managed(Permission::Delete)),
    (LIST, Ask::ManagedContents),
];
/// What is only asked to be done.
const DONE: &[(CapabilitySet, Ask)] = &[(UPDATE, Ask::Managed(Permission::Write))];

const KV1: &[Way] = &[below(
    &[],
    &[
        (READ, READS),
        (WRITE, WRITE_ENTRY),
        (DELETE, DELETE_ENTRY),
        (LIST, Ask::Contents),
    ],
)];

const KV2: &[Way] = &[
    below(
        &["data"],
        &[
            (READ, READS),
            (WRITE, WRITE_ENTRY),
            (PATCH, Ask::Part),
            (DELETE, DELETE_ENTRY),
        ],
    ),
    below(
        &["metadata"],
        &[
            (READ, SEES),
            (LIST, Ask::Contents),
            (WRITES, WRITE_META),
            (DELETE, DELETE_ENTRY),
        ],
    ),
    below(&["subkeys"], &[(READ, READ_KEYS)]),
    below(&["delete"], &[(UPDATE, DELETE_ENTRY)]),
    below(&["undelete"], &[(UPDATE, DELETE_ENTRY)]),
    below(&["destroy"], &[(UPDATE, DELETE_ENTRY)]),
    just(&["config"], ADMIN),
];

const DATABASE: &[Way] = &[
    below(&["creds"], &[(READ, Ask::Creds)]),
    below(&["static-creds"], &[(READ, Ask::Managed(Permission::Read))]),
    below(&["config"], KEPT),
    below(&["roles"], KEPT),
    below(&["static-roles"], KEPT),
    below(&["rotate-root"], DONE),
    below(&["rotate-role"], DONE),
    below(&["reset"], DONE),
];

/// Where making a key by encrypting with it is decided.
pub(super) const UPSERT: &str = "upsert";
const CREATE: CapabilitySet = CapabilitySet::of(&[C::Create]);

const TRANSIT: &[Way] = &[
    below(
        &["encrypt"],
        &[
            (UPDATE, Ask::Key("encrypt", Permission::Write)),
            (CREATE, Ask::Key(UPSERT, Permission::Write)),
        ],
    ),
    below(
        &["keys"],
        &[
            (READ, Ask::Key("keys", Permission::Read)),
            (UPDATE, Ask::Key("keys", Permission::Write)),
            (DELETE, Ask::Key("keys", Permission::Delete)),
            (LIST, Ask::Keys("keys")),
        ],
    ),
    below(
        &["decrypt"],
        &[(UPDATE, Ask::Key("decrypt", Permission::Write))],
    ),
    below(
        &["rewrap"],
        &[(UPDATE, Ask::Key("rewrap", Permission::Write))],
    ),
    below(
        &["datakey"],
        &[(UPDATE, Ask::Key("datakey", Permission::Write))],
    ),
    below(&["sign"], &[(UPDATE, Ask::Key("sign", Permission::Write))]),
    below(
        &["verify"],
        &[(UPDATE, Ask::Key("verify", Permission::Write))],
    ),
    below(&["hmac"], &[(UPDATE, Ask::Key("hmac", Permission::Write))]),
    just(
        &["random"],
        &[(UPDATE, Ask::Key("random", Permission::Write))],
    ),
    below(
        &["random"],
        &[(UPDATE, Ask::Key("random", Permission::Write))],
    ),
    just(&["hash"], &[(UPDATE, Ask::Key("hash", Permission::Write))]),
    below(&["hash"], &[(UPDATE, Ask::Key("hash", Permission::Write))]),
    below(&["export"], &[(READ, Ask::Key("export", Permission::Read))]),
    below(&["backup"], &[(READ, Ask::Key("backup", Permission::Read))]),
    just(
        &["restore"],
        &[(UPDATE, Ask::Key("restore", Permission::Write))],
    ),
    below(
        &["restore"],
        &[(UPDATE, Ask::Key("restore", Permission::Write))],
    ),
];

const SYSTEM: &[Way] = &[
    just(&["health"], OPEN),
    just(&["seal-status"], OPEN),
    just(&["leader"], OPEN),
    just(&["ha-status"], OPEN),
    just(&["host-info"], OPEN),
    just(&["capabilities-self"], OPEN),
    below(&["internal"], OPEN),
    below(&["wrapping"], OPEN),
    just(&["renew"], OPEN),
    below(&["renew"], OPEN),
    just(&["revoke"], OPEN),
    below(&["revoke"], OPEN),
    just(&["leases", "renew"], OPEN),
    below(&["leases", "renew"], OPEN),
    just(&["leases", "revoke"], OPEN),
    below(&["leases", "revoke"], OPEN),
    just(&["leases", "lookup"], &[(WRITE, Ask::Everyone)]),
    below(&["leases", "lookup"], &[(LIST, Ask::ManagedContents)]),
    below(&["leases", "revoke-prefix"], DONE),
    below(&["leases", "revoke-force"], DONE),
    below(&["revoke-prefix"], DONE),
    below(&["revoke-force"], DONE),
    just(
        &["leases", "count"],
        &[(READ, Ask::Scope(Scope::DynamicRead))],
    ),
    just(&["leases", "tidy"], &[(UPDATE, Ask::Everyone)]),
    below(&["policies", "acl"], POLICIES),
    below(&["policy"], POLICIES),
    just(&["policy"], &[(READ, Ask::Scope(Scope::PoliciesRead))]),
    just(&["capabilities"], ADMIN),
    just(&["capabilities-accessor"], ADMIN),
    just(&["mounts"], MOUNTS),
    below(&["mounts"], MOUNTS),
    just(&["remount"], ADMIN),
    just(&["auth"], ADMIN),
    below(&["auth"], ADMIN),
    just(&["audit"], &[(ALL, Ask::Scope(Scope::AuditRead))]),
    just(&["metrics"], ADMIN),
];

const AUTH: &[Way] = &[
    just(&["token", "lookup-self"], OPEN),
    just(&["token", "renew-self"], OPEN),
    just(&["token", "revoke-self"], OPEN),
    just(
        &["token", "create"],
        &[(UPDATE, Ask::Operation("auth/token/create"))],
    ),
    below(&["token"], ADMIN),
    below(&["approle"], ADMIN),
    below(&["userpass"], ADMIN),
    below(&["jwt"], ADMIN),
    below(&["kubernetes"], ADMIN),
];

const CUBBYHOLE: &[Way] = &[below(&[], OPEN)];

/// What there is below a mount of this kind. Of two that fit, the earlier one is meant.
pub(super) fn ways(kind: MountKind) -> &'static [Way] {
    match kind {
        MountKind::Kv1 => KV1,
        MountKind::Kv2 => KV2,
        MountKind::Database => DATABASE,
        MountKind::Transit => TRANSIT,
        MountKind::Cubbyhole => CUBBYHOLE,
        MountKind::System => SYSTEM,
        MountKind::Auth => AUTH,
        MountKind::Other => &[],
    }
}

/// What a scope opens, so that a policy gives it only when it gives all of this: one of the places in
/// each line, with these capabilities.
pub(super) fn opened(scope: Scope) -> Option<Vec<(Vec<String>, CapabilitySet)>> {
    let all = ALL.without(CapabilitySet::of(&[C::Patch]));
    let changes = CHANGES.without(CapabilitySet::of(&[C::Patch]));
    let policies = || vec!["sys/policies/acl".to_owned(), "sys/policy".to_owned()];
    let one = |path: &str| vec![path.to_owned()];
    match scope {
        Scope::PoliciesRead => Some(vec![(policies(), LOOKS)]),
        Scope::PoliciesWrite => Some(vec![(policies(), changes)]),
        Scope::Admin => Some(vec![
            (one("auth/token"), WRITE.or(LIST)),
            (one("auth/approle"), all),
            (one("auth/userpass"), all),
            (one("sys/mounts"), changes),
        ]),
        _ => None,
    }
}

/// The way of a path below its mount, and what is named there.
pub(super) fn way_of(kind: MountKind, rest: &str) -> Option<(&'static Way, &str)> {
    ways(kind).iter().find_map(|way| {
        let mut left = rest;
        for (at, segment) in way.under.iter().enumerate() {
            left = left.strip_prefix(segment)?;
            if at + 1 < way.under.len() {
                left = left.strip_prefix('/')?;
            }
        }
        match (way.open, way.under.is_empty()) {
            (false, _) => left.is_empty().then_some((way, "")),
            (true, true) => Some((way, left)),
            (true, false) => left.strip_prefix('/').map(|left| (way, left)),
        }
    })
}

/// What the request that this capability is asked for needs.
pub fn needs(mounts: &Mounts, path: &str, capability: C) -> Need {
    let slashed;
    let path = match capability == C::List && !path.ends_with('/') {
        true => {
            slashed = format!("{path}/");
            &slashed
        }
        false => path,
    };
    let Some((mount, rest)) = mounts.of(path) else {
        return Need::Nobody;
    };
    let Some((way, named)) = way_of(mount.kind, rest) else {
        return Need::Nobody;
    };
    // Whoever may see the mounts may see what is chosen for them.
    if mount.kind == MountKind::Kv2 && way.under == ["config"] && capability == C::Read {
        return Need::Scope(Scope::SecretsList);
    }
    let found = way.asks.iter().find(|(on, _)| on.contains(capability));
    let Some((_, ask)) = found else {
        return Need::Nobody;
    };
    need(mount, (way, *ask), named).unwrap_or(Need::Nobody)
}

fn need(mount: &MountView, (way, ask): (&Way, Ask), named: &str) -> Option<Need> {
    let scope = Some(Scope::DynamicGenerate);
    Some(match ask {
        Ask::Everyone => Need::Everyone,
        Ask::Scope(scope) | Ask::Sight(scope) => Need::Scope(scope),
        Ask::Part => Need::Both(SecretPath::parse(&place(&mount.root, named, true)?).ok()?),
        Ask::Operation(place) => {
            Need::Rule(None, Permission::Write, SecretPath::parse(place).ok()?)
        }
        Ask::Entry(scope, permission) | Ask::Within(scope, permission, _) => {
            let path = SecretPath::parse(&place(&mount.root, named, true)?).ok()?;
            Need::Rule(Some(scope), permission, path)
        }
        Ask::Contents => {
            let folder = named.strip_suffix('/').unwrap_or(named);
            Need::Below(Scope::SecretsList, place(&mount.root, folder, false)?)
        }
        Ask::Managed(permission) => {
            let path = place(&managed_root(mount, way.under), named, true)?;
            Need::Rule(scope, permission, SecretPath::parse(&path).ok()?)
        }
        Ask::ManagedContents => {
            let folder = named.strip_suffix('/').unwrap_or(named);
            let folder = place(&managed_root(mount, way.under), folder, false)?;
            Need::Below(Scope::DynamicGenerate, folder)
        }
        Ask::Key(word, permission) => {
            let path = match way.open {
                true => place(&format!("{}/{word}", mount.root), named, true)?,
                false => place(&mount.root, word, true)?,
            };
            let path = SecretPath::parse(&path).ok()?;
            Need::Rule(Some(Scope::TransitUse), permission, path)
        }
        // What stands in a key is no list.
        Ask::Keys(_) if !named.is_empty() => return None,
        Ask::Keys(word) => {
            let path = SecretPath::parse(&place(&mount.root, word, true)?).ok()?;
            Need::Rule(Some(Scope::TransitUse), Permission::List, path)
        }
        Ask::Creds => {
            let role = escape(named, true);
            let path = format!("dynamic/{}any/creds/{role}", engines_of(mount));
            let path = SecretPath::parse(&path).ok()?;
            Need::Rule(scope, Permission::Read, path)
        }
    })
}

/// What the names of the engines begin with that stand for the connections of a mount.
pub(super) fn engines_of(mount: &MountView) -> String {
    format!("{}-", mount_word(&mount.path))
}

/// Under which path policies decide who administers what is below these segments of a mount.
pub(super) fn managed_root(mount: &MountView, under: &[&str]) -> String {
    let under = under.join("/");
    match mount.kind {
        MountKind::Database => format!("dynamic/{}/{under}", mount_word(&mount.path)),
        // What is older goes by another name and is the same thing.
        _ if under.starts_with("revoke-") => format!("dynamic/leases/{under}"),
        _ => format!("dynamic/{under}"),
    }
}

/// The ways of administering, for whoever writes down what rules say.
pub(super) fn managed(mount: &MountView) -> impl Iterator<Item = (&'static Way, bool)> {
    ways(mount.kind).iter().filter_map(|way| {
        let mut asks = way.asks.iter().map(|(_, ask)| *ask);
        let is_managed = asks.any(|ask| matches!(ask, Ask::Managed(_) | Ask::ManagedContents));
        let is_done = way.asks.len() == DONE.len() && way.asks[0].0 == UPDATE;
        let first = way.under.first();
        let is_older = first.is_some_and(|first| first.starts_with("revoke-"));
        (is_managed && !is_older).then_some((way, is_done))
    })
}

/// A place in our tree; `None` where it has an empty segment.
fn place(root: &str, named: &str, is_entry: bool) -> Option<String> {
    let mut path = root.to_owned();
    if named.is_empty() {
        return (!is_entry).then_some(path);
    }
    let segments: Vec<&str> = named.split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        if segment.is_empty() {
            return None;
        }
        let is_last = is_entry && at + 1 == segments.len();
        match path.is_empty() {
            true if is_last => path.push_str(&escape_alone(segment)),
            true => path.push_str(&escape(segment, false)),
            false => {
                path.push('/');
                path.push_str(&escape(segment, is_last));
            }
        }
    }
    Some(path)
}
