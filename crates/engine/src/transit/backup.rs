//! A key as one text, in the clear, and back. The form is our own: what another server backed up cannot
//! be brought back here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Record, TransitReads, Unit, UnitName};
use scaivault_core::time::Timestamp;
use scaivault_core::transit::{
    TRANSIT_VERSIONS_MAX, TransitConfig, TransitKey, TransitRefusal, TransitVersion,
};
use scaivault_crypto::transit::Material;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::keys::{TransitDraft, check_name, wrong};
use super::{TransitAt, path_of};
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// The form that is written, and the only one that is read.
const FORMAT: &str = "scaivault transit key 1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    format: String,
    /// Without its versions.
    key: TransitKey,
    versions: Vec<InTheClear>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InTheClear {
    number: u32,
    created_at: Timestamp,
    material: String,
}

impl Drop for InTheClear {
    fn drop(&mut self) {
        self.material.zeroize();
    }
}

impl Vault {
    /// All of a key as one text, in the clear.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *read* on `transit/{mount}/backup/{name}`; [`VaultError::Transit`]
    /// where the key may not leave.
    pub async fn transit_backup(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
    ) -> Result<Zeroizing<String>, VaultError> {
        let at = TransitAt {
            mount,
            name,
            tail: None,
        };
        let (path, action) = (at.path("backup")?, Action::TransitKeyExport);
        self.transit_allowed(caller, &path, Permission::Read, action)
            .await?;
        let written = async {
            let key = self.transit_find(caller, mount, name).await?;
            let key = key.ok_or(VaultError::NotFound(Missing::TransitKey))?;
            if !key.exportable || !key.plaintext_backup {
                return Err(TransitRefusal::NoBackup.into());
            }
            let mut versions = Vec::with_capacity(key.versions.len());
            for version in &key.versions {
                let material = self.transit_material(&key, version)?;
                versions.push(InTheClear {
                    number: version.number,
                    created_at: version.created_at,
                    material: STANDARD.encode(material.whole()),
                });
            }
            let backup = Backup {
                format: FORMAT.to_owned(),
                key: TransitKey {
                    versions: Vec::new(),
                    ..(*key).clone()
                },
                versions,
            };
            let text = serde_json::to_vec(&backup);
            let text = text.map_err(|error| VaultError::Internal(error.to_string()))?;
            Ok(Zeroizing::new(STANDARD.encode(Zeroizing::new(text))))
        };
        let written = written.await;
        let written = self.on_trail(caller, action, &path, written).await?;
        let row = caller.row(action, Some(&path), self.now(), AuditExtra::default());
        self.commit(Unit::audit_only(row)).await?;
        Ok(written)
    }

    /// Brings a key back from its text, under its own name or another one; over one that is there only
    /// when that is forced.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `transit/{mount}/restore/{name}`;
    /// [`VaultError::Validation`] for what is no backup.
    pub async fn transit_restore(
        &self,
        caller: &Caller,
        mount: &str,
        name: Option<&str>,
        backup: &str,
        is_forced: bool,
    ) -> Result<(), VaultError> {
        let rest = name.map_or_else(|| "restore".to_owned(), |name| format!("restore/{name}"));
        let (path, action) = (path_of(mount, &rest)?, Action::TransitKeyCreate);
        self.transit_allowed(caller, &path, Permission::Write, action)
            .await?;
        let restored = async {
            let backup = read(backup)?;
            let name = name.unwrap_or(&backup.key.name).to_owned();
            check_name(&name)?;
            let tenant = caller.tenant();
            let found = TransitReads::transit_find(&*self.store, tenant, mount, &name).await?;
            if found.is_some() && !is_forced {
                return wrong("name", "is that of a key that is there: say force=true");
            }
            let key = TransitKey {
                tenant: tenant.clone(),
                mount: mount.to_owned(),
                name,
                revision: found.map_or(0, |key| key.revision) + 1,
                ..backup.key.clone()
            };
            let key = self.transit_resealed(key, &backup.versions)?;
            let extra = AuditExtra {
                version: Some(u64::from(key.latest)),
                subject: Some(key.name.clone()),
                ..AuditExtra::default()
            };
            let row = caller.row(action, Some(&path), self.now(), extra);
            let unit = Unit::new(UnitName::TransitWrite)
                .put(Record::Transit(key))
                .audited(row);
            self.commit(unit).await?;
            Ok(())
        };
        let restored = restored.await;
        self.on_trail(caller, action, &path, restored).await
    }

    /// The key with its versions, as if it had been made and set here.
    fn transit_resealed(
        &self,
        from: TransitKey,
        versions: &[InTheClear],
    ) -> Result<TransitKey, VaultError> {
        let draft = TransitDraft {
            kind: from.kind,
            derived: from.derived,
            convergent: from.convergent,
            exportable: from.exportable,
            plaintext_backup: from.plaintext_backup,
            auto_rotate_s: from.auto_rotate_s,
            key_bytes: match from.key_bytes {
                0 => None,
                bytes => usize::try_from(bytes).ok(),
            },
        };
        draft.check()?;
        let first = from.min_available.max(1);
        let expected = first..=from.latest;
        if versions.len() > TRANSIT_VERSIONS_MAX
            || versions.is_empty()
            || !versions.iter().map(|version| version.number).eq(expected)
        {
            return not_a_backup();
        }
        let config = TransitConfig {
            min_decryption: Some(from.min_decryption),
            min_encryption: Some(from.min_encryption),
            ..TransitConfig::default()
        };
        let mut key = TransitKey {
            versions: Vec::new(),
            ..from
        };
        for version in versions {
            let bytes = STANDARD.decode(&version.material);
            let bytes = bytes.or_else(|_| not_a_backup())?;
            let material = Material::checked(key.kind, Plaintext::new(bytes));
            let material = material.or_else(|_| not_a_backup())?;
            let public = material.public()?;
            let whole = Plaintext::new(material.whole().to_vec());
            let material = self.transit_sealed(&key, version.number, &whole)?;
            key.versions.push(TransitVersion {
                number: version.number,
                created_at: version.created_at.min(self.now()),
                material,
                public,
            });
        }
        key.configure(&config)?;
        key.schedule();
        Ok(key)
    }
}

fn not_a_backup<T>() -> Result<T, VaultError> {
    wrong("backup", "is not one that this server's backup/ wrote")
}

fn read(text: &str) -> Result<Backup, VaultError> {
    let bytes = Zeroizing::new(STANDARD.decode(text).or_else(|_| not_a_backup())?);
    let backup: Backup = serde_json::from_slice(&bytes).or_else(|_| not_a_backup())?;
    match backup.format == FORMAT {
        true => Ok(backup),
        false => not_a_backup(),
    }
}
