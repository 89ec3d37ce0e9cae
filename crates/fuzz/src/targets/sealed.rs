//! Sealed values: whatever is done to the bytes, what opens is what was sealed, or nothing.

use std::sync::OnceLock;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::seal::{Place, SealError, Sealed, Sealer as _};

use super::fixture::{keyring, tenant};
use crate::target::Target;

pub(crate) const TARGET: Target = Target {
    name: "sealed",
    seeds: || sealed().to_vec(),
    words: &["key_", "\x01", "\0"],
    run,
};

const VALUES: [&str; 3] = [
    "",
    "{\"password\":\"p\"}",
    "0123456789abcdef0123456789abcdef",
];

fn place(owner: &scaivault_core::ids::TenantId, version: usize) -> Place<'_> {
    Place {
        tenant: owner,
        kind: "secret",
        path: "app/db",
        version: u64::try_from(version).unwrap_or(0),
        field: "data",
    }
}

/// The values, each as the version of its number.
fn sealed() -> &'static [Vec<u8>] {
    static SEALED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEALED.get_or_init(|| {
        let owner = tenant();
        let seal = |(version, value): (usize, &&str)| {
            let value = Plaintext::new(value.as_bytes().to_vec());
            keyring()
                .seal(place(&owner, version), &value)
                .expect("a seal")
                .0
        };
        VALUES.iter().enumerate().map(seal).collect()
    })
}

fn run(data: &[u8]) {
    let owner = tenant();
    for (version, value) in VALUES.iter().enumerate() {
        let opened = keyring().open(place(&owner, version), &Sealed(data.to_vec()));
        match opened {
            Ok(opened) => {
                assert_eq!(data, sealed()[version], "opened, though altered or moved");
                assert_eq!(opened.expose(), value.as_bytes());
            }
            Err(SealError::Provider(what)) => panic!("{what}"),
            Err(_) => assert_ne!(data, sealed()[version], "refused, though as it was"),
        }
    }
}
