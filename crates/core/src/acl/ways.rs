//! Which request asks what of us.

use super::document::{Capability as C, CapabilitySet};
use super::mounts::{MountKind, MountView, Mounts};
use super::name::{escape, escape_alone};
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
    /// Write at this place of ours, which stands for an operation.
    Operation(&'static str),
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
            Self::Operation(_) => (2, 0),
            Self::Scope(scope) => (3, scope as u8),
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
const ENGINES: &[(CapabilitySet, Ask)] = &[
    (LOOKS, Ask::Scope(Scope::DynamicRead)),
    (CHANGES, Ask::Scope(Scope::DynamicManage)),
];

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
    below(&["config"], ENGINES),
    below(&["roles"], ENGINES),
    below(&["static-roles"], ENGINES),
    below(&["rotate-root"], ENGINES),
    below(&["rotate-role"], ENGINES),
    below(&["reset"], ENGINES),
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
    below(
        &["leases", "lookup"],
        &[(LOOKS, Ask::Scope(Scope::DynamicRead))],
    ),
    below(
        &["leases", "revoke-prefix"],
        &[(CHANGES, Ask::Scope(Scope::DynamicManage))],
    ),
    below(
        &["leases", "revoke-force"],
        &[(CHANGES, Ask::Scope(Scope::DynamicManage))],
    ),
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
        MountKind::Cubbyhole => CUBBYHOLE,
        MountKind::System => SYSTEM,
        MountKind::Auth => AUTH,
        MountKind::Other => &[],
    }
}

/// What a scope opens, so that a policy gives it only when it gives all of this: one of the places in
/// each line, with these capabilities.
pub(super) fn opened(scope: Scope, mounts: &Mounts) -> Option<Vec<(Vec<String>, CapabilitySet)>> {
    let all = ALL.without(CapabilitySet::of(&[C::Patch]));
    let changes = CHANGES.without(CapabilitySet::of(&[C::Patch]));
    let policies = || vec!["sys/policies/acl".to_owned(), "sys/policy".to_owned()];
    let one = |path: &str| vec![path.to_owned()];
    let engines = |capabilities| {
        let found = mounts
            .all()
            .iter()
            .filter(|mount| mount.kind == MountKind::Database);
        let places = found
            .flat_map(|mount| ["config", "roles"].map(|part| format!("{}/{part}", mount.path)));
        let lines: Vec<_> = places.map(|place| (vec![place], capabilities)).collect();
        (!lines.is_empty()).then_some(lines)
    };
    match scope {
        Scope::PoliciesRead => Some(vec![(policies(), LOOKS)]),
        Scope::PoliciesWrite => Some(vec![(policies(), changes)]),
        Scope::DynamicRead => engines(LOOKS),
        Scope::DynamicManage => engines(changes),
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
    need(mount, *ask, named).unwrap_or(Need::Nobody)
}

fn need(mount: &MountView, ask: Ask, named: &str) -> Option<Need> {
    Some(match ask {
        Ask::Everyone => Need::Everyone,
        Ask::Scope(scope) | Ask::Sight(scope) => Need::Scope(scope),
        Ask::Part => Need::Both(SecretPath::parse(&place(mount, named, true)?).ok()?),
        Ask::Operation(place) => {
            Need::Rule(None, Permission::Write, SecretPath::parse(place).ok()?)
        }
        Ask::Entry(scope, permission) | Ask::Within(scope, permission, _) => {
            let path = SecretPath::parse(&place(mount, named, true)?).ok()?;
            Need::Rule(Some(scope), permission, path)
        }
        Ask::Contents => {
            let folder = named.strip_suffix('/').unwrap_or(named);
            Need::Below(Scope::SecretsList, place(mount, folder, false)?)
        }
        Ask::Creds => {
            let role = escape(named, true);
            let path = format!("dynamic/{}any/creds/{role}", engines_of(mount));
            let path = SecretPath::parse(&path).ok()?;
            Need::Rule(Some(Scope::DynamicGenerate), Permission::Read, path)
        }
    })
}

/// What the names of the engines begin with that stand for the connections of a mount.
pub(super) fn engines_of(mount: &MountView) -> String {
    format!("{}-", escape(&mount.path.replace('/', "-"), false))
}

/// A place in our tree; `None` where it has an empty segment.
fn place(mount: &MountView, named: &str, is_entry: bool) -> Option<String> {
    let mut path = mount.root.clone();
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
