//! What targets need of the rest of the product, made once.

use std::sync::{Arc, OnceLock};

use scaivault_core::identity::{Identity, Principal, ScopeSet};
use scaivault_core::ids::TenantId;
use scaivault_core::tenancy::{Roles, Seat, default_partner};
use scaivault_core::time::Timestamp;
use scaivault_crypto::{Keyring, RootKey};
use scaivault_testkit::SeededEntropy;
use zeroize::Zeroizing;

/// The one tenant.
pub(crate) fn tenant() -> TenantId {
    TenantId::parse("tnt_a").expect("an id")
}

/// Somebody without rights of its own.
pub(crate) fn principal() -> Principal {
    Principal {
        tenant: tenant(),
        seat: Seat {
            partner: default_partner(),
            roles: Roles::default(),
            home: None,
            asking: None,
        },
        identity: Identity::parse("sa:app").expect("an identity"),
        scopes: ScopeSet::all(),
        groups: Vec::new(),
        token_id: None,
        is_root: false,
        mfa_at: None,
        expires_at: None,
        foreign: None,
        limited_as: None,
    }
}

/// A keyring with a key of [`tenant`]; the same in every run.
pub(crate) fn keyring() -> &'static Arc<Keyring> {
    static KEYRING: OnceLock<Arc<Keyring>> = OnceLock::new();
    KEYRING.get_or_init(|| {
        let entropy = SeededEntropy::new(7);
        let root = RootKey::from_bytes(Zeroizing::new([7; 32]));
        let now = Timestamp::from_secs(1_800_000_000);
        let records = Keyring::first_records(&root, now, &entropy);
        let keyring = Keyring::unlock(&root, &records).expect("its own records");
        let key = keyring
            .first_key_of(&tenant(), now, &entropy)
            .expect("a key");
        keyring.add(&key).expect("its own key");
        Arc::new(keyring)
    })
}
