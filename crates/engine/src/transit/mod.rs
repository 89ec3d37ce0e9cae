//! Keys that stay here while others use them: made, rotated, used, and seldom shown.
//!
//! Every request is decided on a path of ours: `transit/{mount}/` and what stands behind the mount in a
//! path of the other API (`transit/transit/encrypt/k`), with the scope `transit:use`. Two requests have
//! places of their own: making a key by encrypting asks for *write* on `…/upsert/k`, and listing keys
//! for *list* on `…/keys`.
//!
//! A use changes nothing that is stored but the trail: its row is durable before the answer leaves.
//! Rows of keys are cached, sealed; a change is known at once on the node that made it, and on others
//! after the next look (`neighbours`), without which no cached row is used.

mod asides;
mod backup;
mod export;
mod keys;
mod signing;
mod uses;
mod worker;

pub use export::TransitExport;
pub use keys::{TransitDraft, TransitPage};
pub use signing::{TransitCheck, TransitInput, TransitSigned};
pub use uses::{TransitDataKey, TransitEncrypt, TransitOpen, TransitSeal};

use std::collections::HashMap;
use std::sync::Arc;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{TransitReads, Unit};
use scaivault_core::seal::{Place, Sealed};
use scaivault_core::transit::{TransitKey, TransitRefusal, TransitVersion};
use scaivault_core::vault_path::{escaped, secret_path};
use scaivault_crypto::transit::Material;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// The sealing place of their material.
const PLACE_KIND: &str = "transit";
/// What a cached version weighs beside its material.
const VERSION_BYTES: usize = 128;

/// Which key is asked for.
#[derive(Debug, Clone, Copy)]
pub struct TransitAt<'a> {
    /// The mount, without its slash.
    pub mount: &'a str,
    /// The key's name.
    pub name: &'a str,
    /// What stands behind it in the request's path.
    pub tail: Option<&'a str>,
}

/// What an item of a request came to.
pub type TransitOutcome<T> = Result<T, TransitRefusal>;

impl TransitAt<'_> {
    /// The path of ours that a request is decided on.
    fn path(&self, operation: &str) -> Result<SecretPath, VaultError> {
        let rest = match self.tail {
            None => format!("{operation}/{}", self.name),
            Some(tail) => format!("{operation}/{}/{tail}", self.name),
        };
        path_of(self.mount, &rest)
    }
}

fn path_of(mount: &str, rest: &str) -> Result<SecretPath, VaultError> {
    let root = format!("transit/{}/", escaped(mount));
    Ok(secret_path(&root, rest)?)
}

/// The row's name where it is sealed.
fn place_path(key: &TransitKey) -> String {
    format!("{}/{}", key.mount, key.name)
}

impl Vault {
    /// Decides one request.
    async fn transit_allowed(
        &self,
        caller: &Caller,
        path: &SecretPath,
        permission: Permission,
        action: Action,
    ) -> Result<(), VaultError> {
        self.authorize(caller, Scope::TransitUse, permission, path, action)
            .await?;
        Ok(())
    }

    /// The key, from memory where it did not change.
    async fn transit_find(
        &self,
        caller: &Caller,
        mount: &str,
        name: &str,
    ) -> Result<Option<Arc<TransitKey>>, VaultError> {
        let id = (caller.tenant().clone(), mount.to_owned(), name.to_owned());
        let settled = self.caches_settled();
        let ticket = match self.caches.transit.get(&id) {
            Ok(key) if settled => return Ok(Some(key)),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let found = TransitReads::transit_find(&*self.store, caller.tenant(), mount, name).await?;
        let found = found.map(Arc::new);
        if let (Some(ticket), Some(key)) = (ticket, &found) {
            self.caches
                .transit
                .insert(ticket, id, key.clone(), weight(key));
        }
        Ok(found)
    }

    /// The key of a use, which has to be there.
    async fn transit_used(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
    ) -> Result<Arc<TransitKey>, VaultError> {
        let found = self.transit_find(caller, at.mount, at.name).await?;
        found.ok_or(VaultError::Transit(TransitRefusal::NoKey))
    }

    /// Seals the material of a version for its place.
    fn transit_sealed(
        &self,
        key: &TransitKey,
        number: u32,
        material: &Plaintext,
    ) -> Result<Sealed, VaultError> {
        let path = place_path(key);
        Ok(self.sealer().seal(place(key, &path, number), material)?)
    }

    fn transit_material(
        &self,
        key: &TransitKey,
        version: &TransitVersion,
    ) -> Result<Material, VaultError> {
        let path = place_path(key);
        let place = place(key, &path, version.number);
        let opened = self.sealer().open(place, &version.material)?;
        Ok(Material::read(key.kind, opened)?)
    }

    /// Puts a use on the trail, before its answer leaves: how many things were asked for, and whether
    /// anything was done.
    async fn transit_told<T>(
        &self,
        caller: &Caller,
        path: &SecretPath,
        outcomes: Vec<TransitOutcome<T>>,
    ) -> Result<Vec<TransitOutcome<T>>, VaultError> {
        let extra = AuditExtra {
            count: u64::try_from(outcomes.len()).ok(),
            ..AuditExtra::default()
        };
        let (action, now) = (Action::TransitUse, self.now());
        let refused = outcomes.iter().all(Result::is_err).then(|| {
            let first = outcomes.iter().find_map(|outcome| outcome.as_ref().err());
            first.map_or("invalid_request", |refusal| {
                VaultError::from(refusal.clone()).code()
            })
        });
        let row = match refused {
            None => caller.row(action, Some(path), now, extra),
            Some(code) => caller.failed_row(action, Some(path), now, code, extra),
        };
        self.commit(Unit::audit_only(row)).await?;
        Ok(outcomes)
    }
}

fn place<'a>(key: &'a TransitKey, path: &'a str, number: u32) -> Place<'a> {
    Place {
        tenant: &key.tenant,
        kind: PLACE_KIND,
        path,
        version: u64::from(number),
        field: "material",
    }
}

fn weight(key: &TransitKey) -> usize {
    let versions = key.versions.iter();
    let sealed = versions.map(|version| {
        let public = version.public.as_ref().map_or(0, String::len);
        version.material.0.len() + public + VERSION_BYTES
    });
    VERSION_BYTES + sealed.sum::<usize>()
}

/// The materials that one request needs, each opened once.
struct Opened<'a> {
    vault: &'a Vault,
    key: &'a TransitKey,
    found: HashMap<u32, Arc<Material>>,
}

impl<'a> Opened<'a> {
    fn new(vault: &'a Vault, key: &'a TransitKey) -> Self {
        Self {
            vault,
            key,
            found: HashMap::new(),
        }
    }

    fn of(&mut self, version: &TransitVersion) -> Result<Arc<Material>, VaultError> {
        if let Some(found) = self.found.get(&version.number) {
            return Ok(found.clone());
        }
        let opened = Arc::new(self.vault.transit_material(self.key, version)?);
        self.found.insert(version.number, opened.clone());
        Ok(opened)
    }
}
