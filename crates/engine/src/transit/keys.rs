//! Making, showing, changing, rotating and removing keys.

use std::sync::Arc;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, Op, Record, TransitReads, Unit, UnitName};
use scaivault_core::transit::{
    TransitConfig, TransitKey, TransitKind, TransitRefusal, TransitVersion, check_period,
    is_transit_name,
};
use scaivault_crypto::transit::{HMAC_KEY_MAX, HMAC_KEY_MIN, public_of};

use super::{TransitAt, path_of};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Names that one list looks at in one go.
const LIST_STEP: usize = 100;

/// A key to make.
#[derive(Debug, Clone)]
pub struct TransitDraft {
    /// What it is.
    pub kind: TransitKind,
    /// Each use has a context.
    pub derived: bool,
    /// The same plaintext is the same ciphertext.
    pub convergent: bool,
    /// Its secret part may be read.
    pub exportable: bool,
    /// It may be backed up in the clear.
    pub plaintext_backup: bool,
    /// Seconds after which it rotates by itself.
    pub auto_rotate_s: u64,
    /// Bytes of the key of an HMAC.
    pub key_bytes: Option<usize>,
}

impl Default for TransitDraft {
    fn default() -> Self {
        Self {
            kind: TransitKind::Aes256Gcm,
            derived: false,
            convergent: false,
            exportable: false,
            plaintext_backup: false,
            auto_rotate_s: 0,
            key_bytes: None,
        }
    }
}

/// Names of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitPage {
    /// In order.
    pub names: Vec<String>,
}

pub(super) fn wrong<T>(field: &str, why: &str) -> Result<T, VaultError> {
    let fields = vec![(field.to_owned(), why.to_owned())];
    Err(VaultError::Validation(fields))
}

pub(super) fn check_name(name: &str) -> Result<(), VaultError> {
    match is_transit_name(name) {
        true => Ok(()),
        false => wrong(
            "name",
            "has letters, digits, '_', '-' and '.', a letter, digit or '_' at both ends, and at most \
             128 characters",
        ),
    }
}

impl TransitDraft {
    pub(super) fn check(&self) -> Result<(), VaultError> {
        let kind = self.kind;
        if self.convergent && (!self.derived || kind.symmetric_bytes().is_none()) {
            return Err(TransitRefusal::NoConvergence.into());
        }
        if self.derived && !kind.derives() {
            return Err(TransitRefusal::NoDerivation(kind).into());
        }
        check_period(self.auto_rotate_s)?;
        match self.key_bytes {
            None => Ok(()),
            Some(_) if kind != TransitKind::Hmac => {
                wrong("key_size", "is chosen for keys of the type hmac alone")
            }
            Some(bytes) if (HMAC_KEY_MIN..=HMAC_KEY_MAX).contains(&bytes) => Ok(()),
            Some(_) => wrong("key_size", "is 32 to 512 bytes"),
        }
    }
}

fn number_of(key: &TransitKey) -> AuditExtra {
    AuditExtra {
        version: Some(u64::from(key.latest)),
        ..AuditExtra::default()
    }
}

impl Vault {
    /// Makes a key, or says how the one is that is there already: whether it was made stands beside it.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/keys/{name}`;
    /// [`VaultError::Validation`], [`VaultError::Transit`] for one that cannot be.
    pub async fn transit_create(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
        draft: &TransitDraft,
    ) -> Result<(Arc<TransitKey>, bool), VaultError> {
        let path = path_of(mount, &format!("keys/{name}"))?;
        let action = Action::TransitKeyCreate;
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let made = self
            .transit_create_allowed(caller, mount, name, draft, &path)
            .await;
        self.on_trail(caller, action, &path, made).await
    }

    pub(super) async fn transit_create_allowed(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
        draft: &TransitDraft,
        path: &SecretPath,
    ) -> Result<(Arc<TransitKey>, bool), VaultError> {
        check_name(name)?;
        draft.check()?;
        if let Some(found) = self.transit_find(caller, mount, name).await? {
            let row = caller.row(Action::List, Some(path), self.now(), number_of(&found));
            self.commit(Unit::audit_only(row)).await?;
            return Ok((found, false));
        }
        let now = self.now();
        let mut key = TransitKey {
            tenant: caller.tenant().clone(),
            mount: mount.to_owned(),
            name: name.to_owned(),
            kind: draft.kind,
            derived: draft.derived,
            convergent: draft.convergent,
            exportable: draft.exportable,
            plaintext_backup: draft.plaintext_backup,
            deletion_allowed: false,
            key_bytes: u32::try_from(draft.key_bytes.unwrap_or(0)).unwrap_or(0),
            auto_rotate_s: draft.auto_rotate_s,
            latest: 0,
            min_available: 0,
            min_decryption: 1,
            min_encryption: 0,
            versions: Vec::new(),
            wake_at: None,
            created_at: now,
            revision: 1,
        };
        self.transit_next_version(&mut key).await?;
        let row = caller.row(Action::TransitKeyCreate, Some(path), now, number_of(&key));
        let unit = Unit::new(UnitName::TransitWrite)
            .put(Record::Transit(key.clone()))
            .audited(row);
        match self.commit(unit).await {
            Ok(_) => Ok((Arc::new(key), true)),
            // Somebody else made it first: that one is the key.
            Err(CommitError::Conflict(_)) => match self.transit_find(caller, mount, name).await? {
                Some(found) => Ok((found, false)),
                None => Err(changes_too_quickly()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Makes and takes in the next version.
    pub(super) async fn transit_next_version(
        &self,
        key: &mut TransitKey,
    ) -> Result<(), VaultError> {
        let bytes = match key.key_bytes {
            0 => HMAC_KEY_MIN,
            bytes => usize::try_from(bytes).unwrap_or(HMAC_KEY_MIN),
        };
        let made = self.transit_generated(key.kind, bytes).await?;
        let number = key.latest + 1;
        let version = TransitVersion {
            number,
            created_at: self.now(),
            material: self.transit_sealed(key, number, &made.material)?,
            public: made.public,
        };
        key.push(version)?;
        Ok(())
    }

    /// How a key is.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *read* on `transit/{mount}/keys/{name}`; [`VaultError::NotFound`].
    pub async fn transit_show(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
    ) -> Result<Arc<TransitKey>, VaultError> {
        let path = path_of(mount, &format!("keys/{name}"))?;
        self.transit_allowed(caller, &path, Permission::Read, Action::List)
            .await?;
        let found = self.transit_find(caller, mount, name).await?;
        let found = found.ok_or(VaultError::NotFound(Missing::TransitKey));
        let found = self.on_trail(caller, Action::List, &path, found).await?;
        let row = caller.row(Action::List, Some(&path), self.now(), number_of(&found));
        self.commit(Unit::audit_only(row)).await?;
        Ok(found)
    }

    /// The public halves that a context makes of the versions of a derived key that was just shown.
    ///
    /// # Errors
    /// [`VaultError::Transit`] without a context.
    pub fn transit_publics(
        &self,
        key: &TransitKey,
        context: &[u8],
    ) -> Result<Vec<(u32, String)>, VaultError> {
        let public = |version: &TransitVersion| {
            let material = self.transit_material(key, version)?;
            Ok((version.number, public_of(&material, context)?))
        };
        key.usable().map(public).collect()
    }

    /// The names of the keys of a mount, behind `after`, at most so many.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *list* on `transit/{mount}/keys`.
    pub async fn transit_names(
        &self,
        caller: &Caller,
        mount: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<TransitPage, VaultError> {
        let path = path_of(mount, "keys")?;
        self.transit_allowed(caller, &path, Permission::List, Action::List)
            .await?;
        let mut names: Vec<String> = Vec::new();
        let mut after = after.map(str::to_owned);
        while names.len() < limit {
            let step = LIST_STEP.min(limit - names.len());
            let (tenant, from) = (caller.tenant(), after.as_deref());
            let rows = TransitReads::transit_list(&*self.store, tenant, mount, from, step).await?;
            let is_last = rows.len() < step;
            names.extend(rows.into_iter().map(|key| key.name));
            after = names.last().cloned();
            if is_last {
                break;
            }
        }
        let row = caller.row(Action::List, Some(&path), self.now(), AuditExtra::default());
        self.commit(Unit::audit_only(row)).await?;
        Ok(TransitPage { names })
    }

    /// Whether a mount has keys.
    pub(crate) async fn transit_has_keys(
        &self,
        caller: &Caller,
        mount: &str,
    ) -> Result<bool, VaultError> {
        let tenant = caller.tenant();
        let found = TransitReads::transit_list(&*self.store, tenant, mount, None, 1).await?;
        Ok(!found.is_empty())
    }

    /// Changes a key's settings.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/keys/{name}/config`;
    /// [`VaultError::Transit`] where they cannot be so.
    pub async fn transit_configure(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
        config: &TransitConfig,
    ) -> Result<Arc<TransitKey>, VaultError> {
        let path = path_of(mount, &format!("keys/{name}/config"))?;
        let change = |key: &mut TransitKey| key.configure(config);
        self.transit_changed(caller, (mount, name), &path, &change)
            .await
    }

    /// Removes old versions for good.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/keys/{name}/trim`;
    /// [`VaultError::Transit`] while they may still be used.
    pub async fn transit_trim(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
        least: u32,
    ) -> Result<Arc<TransitKey>, VaultError> {
        let path = path_of(mount, &format!("keys/{name}/trim"))?;
        let change = |key: &mut TransitKey| key.trim(least);
        self.transit_changed(caller, (mount, name), &path, &change)
            .await
    }

    async fn transit_changed(
        &self,
        caller: &Caller,
        (mount, name): (&str, &str),
        path: &SecretPath,
        change: &(dyn Fn(&mut TransitKey) -> Result<(), TransitRefusal> + Send + Sync),
    ) -> Result<Arc<TransitKey>, VaultError> {
        let action = Action::TransitKeyUpdate;
        self.transit_allowed(caller, path, Permission::Write, action)
            .await?;
        let changed = async {
            for _ in 0..RACES_MAX {
                let mut key = self.transit_stored(caller, mount, name).await?;
                change(&mut key)?;
                key.revision += 1;
                let row = caller.row(action, Some(path), self.now(), number_of(&key));
                let unit = Unit::new(UnitName::TransitWrite)
                    .put(Record::Transit(key.clone()))
                    .audited(row);
                match self.commit(unit).await {
                    Ok(_) => return Ok(Arc::new(key)),
                    Err(CommitError::Conflict(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(changes_too_quickly())
        };
        let changed = changed.await;
        self.on_trail(caller, action, path, changed).await
    }

    /// As the store has it.
    pub(super) async fn transit_stored(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
    ) -> Result<TransitKey, VaultError> {
        let tenant = caller.tenant();
        let found = TransitReads::transit_find(&*self.store, tenant, mount, name).await?;
        found.ok_or(VaultError::Transit(TransitRefusal::NoKey))
    }

    /// Gives a key its next version.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/keys/{name}/rotate`.
    pub async fn transit_rotate(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
    ) -> Result<Arc<TransitKey>, VaultError> {
        let at = TransitAt {
            mount,
            name,
            tail: Some("rotate"),
        };
        let (path, action) = (at.path("keys")?, Action::TransitKeyRotate);
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let rotated = async {
            for _ in 0..RACES_MAX {
                let mut key = self.transit_stored(caller, mount, name).await?;
                self.transit_next_version(&mut key).await?;
                match self
                    .commit(self.transit_rotation(caller, &path, &mut key))
                    .await
                {
                    Ok(_) => return Ok(Arc::new(key)),
                    Err(CommitError::Conflict(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(changes_too_quickly())
        };
        let rotated = rotated.await;
        self.on_trail(caller, action, &path, rotated).await
    }

    /// The commit of a key that has its next version.
    pub(super) fn transit_rotation(
        &self,
        caller: &Caller,
        path: &SecretPath,
        key: &mut TransitKey,
    ) -> Unit {
        key.revision += 1;
        let extra = AuditExtra {
            old_version: key.latest.checked_sub(1).map(u64::from),
            ..number_of(key)
        };
        let row = caller.row(Action::TransitKeyRotate, Some(path), self.now(), extra);
        Unit::new(UnitName::TransitWrite)
            .put(Record::Transit(key.clone()))
            .audited(row)
    }

    /// Removes a key for good, and with it all that it encrypted.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *delete* on `transit/{mount}/keys/{name}`;
    /// [`VaultError::Transit`] while it may not be deleted.
    pub async fn transit_delete(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
    ) -> Result<(), VaultError> {
        let path = path_of(mount, &format!("keys/{name}"))?;
        let action = Action::TransitKeyDelete;
        self.transit_allowed(caller, &path, Permission::Delete, action)
            .await?;
        let deleted = async {
            let key = self.transit_stored(caller, mount, name).await?;
            if !key.deletion_allowed {
                return Err(TransitRefusal::NotDeletable.into());
            }
            let row = caller.row(action, Some(&path), self.now(), number_of(&key));
            let unit = Unit::new(UnitName::TransitDelete)
                .op(Op::Delete(Record::Transit(key)))
                .audited(row);
            self.commit(unit).await?;
            Ok(())
        };
        let deleted = deleted.await;
        self.on_trail(caller, action, &path, deleted).await
    }
}

fn changes_too_quickly() -> VaultError {
    VaultError::Unavailable("the key changes too quickly: try again".into())
}
