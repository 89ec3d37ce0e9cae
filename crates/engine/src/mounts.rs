//! Mounts of HashiCorp Vault's API: which of our secrets appear below which path there.

use std::sync::Arc;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::mount::{DEFAULT_MOUNT, KvRules, MOUNT_CHARS_MAX, Mount, MountKind, Mounts};
use scaivault_core::ports::{
    CommitError, MountReads, Op, Record, SecretFilter, SecretReads, Unit, UnitName,
};
use scaivault_core::vault_path::escaped;

use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::vault::Vault;

/// The most mounts of a tenant.
const MOUNTS_MAX: usize = 500;
/// First segments that mean something else.
const TAKEN: [&str; 4] = ["sys", "auth", "cubbyhole", "identity"];

/// A mount to make.
#[derive(Debug, Clone)]
pub struct MountDraft {
    /// Where, with or without its slash.
    pub path: String,
    /// What it serves.
    pub kind: MountKind,
    /// Free text.
    pub description: String,
    /// Where its secrets are; at its own path when not given.
    pub prefix: Option<String>,
    /// How versions are kept.
    pub rules: KvRules,
    /// Seconds a credential lives when nobody says.
    pub default_lease_s: u64,
    /// Seconds a credential lives at most.
    pub max_lease_s: u64,
}

/// What is done with what has changed of a mount.
pub type MountChange<'a> = &'a (dyn Fn(&mut Mount) + Send + Sync);

fn wrong<T>(field: &str, why: &str) -> Result<T, VaultError> {
    Err(VaultError::Validation(vec![(
        field.to_owned(),
        why.to_owned(),
    )]))
}

/// The path with its slash.
fn slashed(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

impl Vault {
    /// The mounts of the tenant the caller acts in: what paths mean, which is no secret of theirs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn mounts(&self, caller: &Caller) -> Result<Arc<Mounts>, VaultError> {
        let tenant = caller.tenant();
        let settled = self.caches_settled();
        let ticket = match self.caches.mounts.get(tenant) {
            Ok(mounts) if settled => return Ok(mounts),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let rows = MountReads::mount_list(&*self.store, tenant).await?;
        let mounts = Arc::new(Mounts::new(tenant, rows));
        if let Some(ticket) = ticket {
            self.caches
                .mounts
                .insert(ticket, tenant.clone(), mounts.clone(), 1);
        }
        Ok(mounts)
    }

    /// The same for whoever asks what there is: with its row on the trail.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin` and `secrets:list`.
    pub async fn mounts_listed(&self, caller: &Caller) -> Result<Arc<Mounts>, VaultError> {
        let scope = match caller.principal.scopes.contains(Scope::Admin) {
            true => Scope::Admin,
            false => Scope::SecretsList,
        };
        self.require_list(caller, scope).await?;
        self.mounts(caller).await
    }

    /// Makes a mount. No path may be below two, and what is below it must not be another's.
    /// `native` are first segments that the server serves otherwise.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`; [`VaultError::Validation`] for a path or prefix that
    /// cannot be.
    pub async fn mount_make(
        &self,
        caller: &Caller,
        draft: MountDraft,
        native: &[&str],
    ) -> Result<Mount, VaultError> {
        self.require(caller, Scope::Admin, Action::MountWrite)
            .await?;
        let path = slashed(&draft.path);
        check_path(&path, native)?;
        let own = escaped(&path);
        let (prefix, is_view) = match &draft.prefix {
            None => (own, false),
            Some(prefix) if prefix.trim_matches('/').is_empty() => (String::new(), true),
            Some(prefix) => {
                let prefix = slashed(prefix);
                (prefix.clone(), prefix != own)
            }
        };
        if scaivault_core::path::check_prefix(&prefix).is_err() {
            return wrong(
                "options.prefix",
                "is the beginning of paths of secrets: a-z, 0-9, '-', '_' and '/'",
            );
        }
        let mounts = self.mounts_now(caller).await?;
        if let Some(other) = mounts.in_the_way(&path) {
            return wrong("path", &format!("is already in use at {}", other.path));
        }
        if mounts.iter().count() >= MOUNTS_MAX {
            return wrong(
                "path",
                &format!("is one too many: {MOUNTS_MAX} mounts are the most"),
            );
        }
        let now = self.now();
        let mut bytes = [0; 4];
        self.entropy.fill_public(&mut bytes);
        let mount = Mount {
            tenant: caller.tenant().clone(),
            accessor: format!("{}_{:08x}", draft.kind.as_str(), u32::from_be_bytes(bytes)),
            path: path.clone(),
            kind: draft.kind,
            description: draft.description,
            prefix,
            is_view,
            rules: draft.rules,
            default_lease_s: draft.default_lease_s,
            max_lease_s: draft.max_lease_s,
            is_off: false,
            created_at: now,
            revision: mounts.row(&path).map_or(0, |row| row.revision) + 1,
        };
        let unit = Unit::new(UnitName::MountWrite)
            .put(Record::Mount(mount.clone()))
            .audited(caller.row(Action::MountWrite, None, now, of_mount(&path)));
        match self.commit(unit).await {
            Ok(_) => Ok(mount),
            Err(CommitError::Conflict(_)) => wrong("path", "was taken at the same time"),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a mount; `None` when there is none.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn mount_change(
        &self,
        caller: &Caller,
        path: &str,
        change: MountChange<'_>,
    ) -> Result<Option<Mount>, VaultError> {
        self.require(caller, Scope::Admin, Action::MountWrite)
            .await?;
        let path = slashed(path);
        for _ in 0..RACES_MAX {
            let mounts = self.mounts_now(caller).await?;
            let Some(found) = mounts.iter().find(|mount| mount.path == path) else {
                return Ok(None);
            };
            let mut mount = found.clone();
            change(&mut mount);
            let now = self.now();
            let mount = Mount {
                // What identifies it stays.
                tenant: found.tenant.clone(),
                path: found.path.clone(),
                prefix: found.prefix.clone(),
                is_view: found.is_view,
                revision: found.revision + 1,
                ..mount
            };
            let unit = Unit::new(UnitName::MountWrite)
                .put(Record::Mount(mount.clone()))
                .audited(caller.row(Action::MountWrite, None, now, of_mount(&path)));
            match self.commit(unit).await {
                Ok(_) => return Ok(Some(mount)),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the mount changes too quickly: try again".into(),
        ))
    }

    /// Takes a mount away; `false` when there is none. Secrets are never deleted with it: one with
    /// secrets of its own stays.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`; [`VaultError::Validation`] while it holds secrets.
    pub async fn mount_remove(&self, caller: &Caller, path: &str) -> Result<bool, VaultError> {
        self.require(caller, Scope::Admin, Action::MountDelete)
            .await?;
        let path = slashed(path);
        let mounts = self.mounts_now(caller).await?;
        let Some(mount) = mounts.iter().find(|mount| mount.path == path) else {
            return Ok(false);
        };
        if mount.kind.is_kv() && !mount.is_view && self.has_secrets(mount).await? {
            return wrong(
                "path",
                "holds secrets, deleted ones that can be brought back among them: delete them for \
                 good first (a mount made with options.prefix is only a view, and can be taken away)",
            );
        }
        let keys_of = path.trim_end_matches('/');
        if mount.kind == MountKind::Transit && self.transit_has_keys(caller, keys_of).await? {
            return wrong(
                "path",
                "holds keys: delete them first, and with them what they encrypted",
            );
        }
        let begin = format!("{}-", scaivault_core::acl::mount_word(&mount.path));
        if mount.kind == MountKind::Database
            && !self.engines_beginning(caller, &begin).await?.is_empty()
        {
            return wrong(
                "path",
                "holds connections: revoke what was made by them, and delete them first",
            );
        }
        let now = self.now();
        let unit = Unit::new(UnitName::MountWrite).audited(caller.row(
            Action::MountDelete,
            None,
            now,
            of_mount(&path),
        ));
        let unit = match path == DEFAULT_MOUNT {
            // It would be there again.
            true => unit.put(Record::Mount(Mount {
                is_off: true,
                revision: mount.revision + 1,
                ..mount.clone()
            })),
            false => unit.op(Op::Delete(Record::Mount(mount.clone()))),
        };
        self.commit(unit).await?;
        Ok(true)
    }

    /// As the store has them.
    async fn mounts_now(&self, caller: &Caller) -> Result<Mounts, VaultError> {
        let rows = MountReads::mount_list(&*self.store, caller.tenant()).await?;
        Ok(Mounts::new(caller.tenant(), rows))
    }

    async fn has_secrets(&self, mount: &Mount) -> Result<bool, VaultError> {
        let filter = SecretFilter {
            prefix: mount.prefix.clone(),
            include_deleted: true,
            ..SecretFilter::default()
        };
        let found = SecretReads::secret_list(&*self.store, &mount.tenant, &filter, None, 1).await?;
        Ok(!found.is_empty())
    }
}

fn of_mount(path: &str) -> AuditExtra {
    AuditExtra {
        subject: Some(path.to_owned()),
        ..AuditExtra::default()
    }
}

fn check_path(path: &str, native: &[&str]) -> Result<(), VaultError> {
    let first = path.split('/').next().unwrap_or_default();
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let bad_segment = |segment: &str| segment.is_empty() || segment.starts_with('.');
    let segments = path.strip_suffix('/').unwrap_or(path);
    if path.len() > MOUNT_CHARS_MAX
        || !path.bytes().all(plain)
        || segments.split('/').any(bad_segment)
    {
        return wrong(
            "path",
            "has letters, digits, '-', '_', '.' and '/', no empty segment, and at most 128 characters",
        );
    }
    if native.contains(&first) || TAKEN.contains(&first) {
        return wrong("path", "begins with a word that means something else here");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_mounts() {
        let ok = |path: &str| check_path(&slashed(path), &["secrets"]).is_ok();
        for good in ["kv", "kv/", "/kv/team/", "My.KV_2"] {
            assert!(ok(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "a//b",
            "../x",
            "a/.b",
            "a b",
            "secrets",
            "secrets/x",
            "sys/x",
            "cubbyhole",
            "é",
        ] {
            assert!(!ok(bad), "{bad}");
        }
        assert!(!ok(&"a".repeat(MOUNT_CHARS_MAX)));
    }
}
