//! Where a list goes on, as clients carry it: sealed, because the place can be the path of a
//! secret that its holder may not list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scaivault_core::ids::TenantId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::seal::{Place, Sealed, Sealer};

use crate::error::VaultError;
use crate::vault::Vault;

/// Characters of a cursor: the longest place, sealed, with room to spare.
pub const TEXT_CHARS_MAX: usize = 2_048;

impl Vault {
    /// The cursor that goes on after `place` in `list`. It opens on every server that has the
    /// tenant's keys, for that list and tenant only, and does not end.
    ///
    /// # Errors
    /// [`VaultError::Internal`] when the tenant has no active key.
    pub fn cursor_seal(
        &self,
        tenant: &TenantId,
        list: &'static str,
        place: &str,
    ) -> Result<String, VaultError> {
        let value = Plaintext::new(place.as_bytes().to_vec());
        let sealed = Sealer::seal(self.sealer(), bound_to(tenant, list), &value)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed.0))
    }

    /// The place in a cursor; `None` for one of another list or tenant, and for anything that
    /// [`Vault::cursor_seal`] did not make.
    pub fn cursor_open(&self, tenant: &TenantId, list: &'static str, text: &str) -> Option<String> {
        if text.len() > TEXT_CHARS_MAX {
            return None;
        }
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(text).ok()?);
        let place = Sealer::open(self.sealer(), bound_to(tenant, list), &sealed).ok()?;
        std::str::from_utf8(place.expose()).ok().map(str::to_owned)
    }
}

fn bound_to<'a>(tenant: &'a TenantId, list: &'static str) -> Place<'a> {
    Place {
        tenant,
        kind: "cursor",
        path: "",
        version: 0,
        field: list,
    }
}
