//! Showing what a key is made of, where it may be shown.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::ports::Unit;
use scaivault_core::transit::{TransitKey, TransitKind, TransitRefusal, TransitVersion};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::TransitAt;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// What of a key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitExport {
    /// What encrypts.
    Encryption,
    /// What signs.
    Signing,
    /// The key of its HMAC.
    Hmac,
    /// The half that everybody may know.
    Public,
}

impl TransitExport {
    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "encryption-key" => Self::Encryption,
            "signing-key" => Self::Signing,
            "hmac-key" => Self::Hmac,
            "public-key" => Self::Public,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Encryption => "encryption-key",
            Self::Signing => "signing-key",
            Self::Hmac => "hmac-key",
            Self::Public => "public-key",
        }
    }

    fn fits(self, kind: TransitKind) -> bool {
        match self {
            Self::Encryption => kind.encrypts(),
            Self::Signing => kind.signs(),
            Self::Hmac => true,
            Self::Public => kind.signs() || kind.rsa_bits().is_some(),
        }
    }
}

impl Vault {
    /// Shows versions of a key: the one that the tail names, `latest`, or all that may be used.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *read* on `transit/{mount}/export/{what}/{name}[/{version}]`;
    /// [`VaultError::Transit`] where the key may not be shown; [`VaultError::NotFound`].
    pub async fn transit_export(
        &self,
        caller: &Caller,
        at: TransitAt<'_>,
        what: TransitExport,
    ) -> Result<(TransitKind, Vec<(u32, Zeroizing<String>)>), VaultError> {
        let path = at.path(&format!("export/{}", what.as_str()))?;
        let action = Action::TransitKeyExport;
        self.transit_allowed(caller, &path, Permission::Read, action)
            .await?;
        let shown = async {
            let key = self.transit_find(caller, at.mount, at.name).await?;
            let key = key.ok_or(VaultError::NotFound(Missing::TransitKey))?;
            if !key.exportable && what != TransitExport::Public {
                return Err(TransitRefusal::NotExportable.into());
            }
            if !what.fits(key.kind) {
                return Err(TransitRefusal::NoSuchPart(key.kind).into());
            }
            let shown = meant(&key, at.tail)?
                .into_iter()
                .map(|version| Ok((version.number, self.transit_part(&key, version, what)?)));
            let shown = shown.collect::<Result<Vec<_>, VaultError>>()?;
            Ok((key.kind, shown))
        };
        let shown = shown.await;
        let shown = self.on_trail(caller, action, &path, shown).await?;
        let extra = AuditExtra {
            count: u64::try_from(shown.1.len()).ok(),
            ..AuditExtra::default()
        };
        let row = caller.row(action, Some(&path), self.now(), extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(shown)
    }

    fn transit_part(
        &self,
        key: &TransitKey,
        version: &TransitVersion,
        what: TransitExport,
    ) -> Result<Zeroizing<String>, VaultError> {
        if what == TransitExport::Public {
            return Ok(Zeroizing::new(version.public.clone().unwrap_or_default()));
        }
        let material = self.transit_material(key, version)?;
        Ok(match what {
            TransitExport::Hmac => Zeroizing::new(STANDARD.encode(material.hmac_key())),
            _ => material.exported()?,
        })
    }
}

fn meant<'a>(
    key: &'a TransitKey,
    named: Option<&str>,
) -> Result<Vec<&'a TransitVersion>, TransitRefusal> {
    let number = match named {
        None => return Ok(key.usable().collect()),
        Some("latest") => key.latest,
        Some(text) => text
            .trim_start_matches('v')
            .parse()
            .map_err(|_| TransitRefusal::Number)?,
    };
    Ok(vec![key.to_open(number)?])
}
