//! Mounts: where clients of HashiCorp Vault's API find what. A mount holds nothing itself; it says
//! which secrets of ours appear below a path of theirs, and in which form.

use serde::{Deserialize, Serialize};

use crate::ids::TenantId;
use crate::time::Timestamp;

/// The mount that every tenant has until somebody takes it away.
pub const DEFAULT_MOUNT: &str = "secret/";
/// The longest path of a mount, in characters.
pub const MOUNT_CHARS_MAX: usize = 128;

/// What a mount serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// Secrets, without versions.
    Kv1,
    /// Secrets with versions.
    Kv2,
    /// Credentials of databases, on request.
    Database,
    /// Keys that never leave.
    Transit,
    /// Certificates.
    Pki,
    /// SSH certificates.
    Ssh,
}

impl MountKind {
    /// The word that API has for its type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kv1 | Self::Kv2 => "kv",
            Self::Database => "database",
            Self::Transit => "transit",
            Self::Pki => "pki",
            Self::Ssh => "ssh",
        }
    }

    /// Whether secrets are below it.
    pub fn is_kv(self) -> bool {
        matches!(self, Self::Kv1 | Self::Kv2)
    }
}

/// How the secrets below a mount keep their versions, where they do not say themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KvRules {
    /// Versions kept by new secrets.
    pub max_versions: Option<u32>,
    /// Writes name the version they replace.
    pub cas_required: bool,
    /// How long a version can be read.
    pub delete_after_s: Option<u64>,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Owner.
    pub tenant: TenantId,
    /// Where, with its slash behind. Together with the tenant it is the key.
    pub path: String,
    /// What it serves.
    pub kind: MountKind,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Its name for those who look for it by that.
    pub accessor: String,
    /// Under which path of ours its secrets are; empty for all there are.
    pub prefix: String,
    /// Whether that was chosen: then the secrets are not the mount's own.
    #[serde(default)]
    pub is_view: bool,
    /// How versions are kept.
    #[serde(default)]
    pub rules: KvRules,
    /// Seconds a credential lives when nobody says.
    #[serde(default)]
    pub default_lease_s: u64,
    /// Seconds a credential lives at most; 0 for no bound.
    #[serde(default)]
    pub max_lease_s: u64,
    /// It was taken away, and would be there by itself otherwise.
    #[serde(default)]
    pub is_off: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

impl Mount {
    /// The one that is there by itself. Revision 0: no row.
    pub fn default_of(tenant: &TenantId) -> Self {
        Self {
            tenant: tenant.clone(),
            path: DEFAULT_MOUNT.to_owned(),
            kind: MountKind::Kv2,
            description: "key/value secret storage".to_owned(),
            accessor: "kv_secret".to_owned(),
            prefix: DEFAULT_MOUNT.to_owned(),
            is_view: false,
            rules: KvRules::default(),
            default_lease_s: 0,
            max_lease_s: 0,
            is_off: false,
            created_at: Timestamp::from_secs(0),
            revision: 0,
        }
    }

    /// What stands below the mount in a path of theirs.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.path.as_str())
    }
}

/// The mounts of a tenant, found by path.
#[derive(Debug, Clone, Default)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Of its rows.
    pub fn new(tenant: &TenantId, mut rows: Vec<Mount>) -> Self {
        if !rows.iter().any(|row| row.path == DEFAULT_MOUNT) {
            rows.push(Mount::default_of(tenant));
        }
        rows.sort_by(|one, other| one.path.cmp(&other.path));
        Self(rows)
    }

    /// Those that are there, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(|mount| !mount.is_off)
    }

    /// The one a path is below, and the rest of that path. No mount is below another.
    pub fn of<'a, 'b>(&'a self, path: &'b str) -> Option<(&'a Mount, &'b str)> {
        self.iter()
            .find_map(|mount| mount.below(path).map(|rest| (mount, rest)))
    }

    /// The row at this very path, there or taken away.
    pub fn row(&self, path: &str) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.path == path)
    }

    /// One that this path is below of, or that is below this path.
    pub fn in_the_way(&self, path: &str) -> Option<&Mount> {
        self.iter()
            .find(|mount| mount.path.starts_with(path) || path.starts_with(&mount.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::parse("tnt_a").unwrap()
    }

    fn at(path: &str) -> Mount {
        Mount {
            path: path.to_owned(),
            prefix: path.to_owned(),
            revision: 1,
            ..Mount::default_of(&tenant())
        }
    }

    #[test]
    fn the_default_is_there_until_it_is_taken_away() {
        let mounts = Mounts::new(&tenant(), vec![at("kv/team/")]);
        let found = |mounts: &Mounts, path: &str| {
            mounts
                .of(path)
                .map(|(mount, rest)| (mount.path.clone(), rest.to_owned()))
        };
        let expect = |mount: &str, rest: &str| Some((mount.to_owned(), rest.to_owned()));
        assert_eq!(found(&mounts, "secret/data/a"), expect("secret/", "data/a"));
        assert_eq!(found(&mounts, "kv/team/a"), expect("kv/team/", "a"));
        assert_eq!(found(&mounts, "kv/teams/a"), None);
        assert_eq!(found(&mounts, "secrets/data/a"), None);
        let off = Mount {
            is_off: true,
            ..at(DEFAULT_MOUNT)
        };
        let mounts = Mounts::new(&tenant(), vec![off]);
        assert_eq!(found(&mounts, "secret/data/a"), None);
        assert!(mounts.row(DEFAULT_MOUNT).is_some());
    }

    #[test]
    fn no_mount_is_below_another() {
        let mounts = Mounts::new(&tenant(), vec![at("kv/team/")]);
        for taken in ["kv/team/", "kv/", "kv/team/a/", "secret/x/"] {
            assert!(mounts.in_the_way(taken).is_some(), "{taken}");
        }
        for free in ["kv2/", "kv/tea/", "secre/"] {
            assert!(mounts.in_the_way(free).is_none(), "{free}");
        }
    }
}
