//! Sealed values: whatever is done to the bytes, what opens is what was sealed, or nothing.

use std::sync::OnceLock;

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

/// The values, each sealed as the version of its number: once, so that inputs kept from one run mean
/// the same in the next.
const SEALED: [&str; 3] = [
    "011e6b65795f30303030303030303030333635415a573341594b5833574b335965dc931e4d28ec45fbbc4639\
     9aa9b960f715410a9c2df691ad49a45d747bf7e7f57701c410e2e4bc1b7949151141e5fb3e7d5a3658cf4d90\
     6383bf24830f54f2223062c7888f49f6c83e1a08da528e09f693f31dda76f00a89629f400e16b4f5b895852c\
     7e54b625dc6a34a1356e7082c4c79dc810f033d0",
    "011e6b65795f30303030303030303030333635415a573341594b5833574b3359a736363520e3ffff39db1008\
     cea3c0d90cce739e5664d9513a993eac56485354f028a4d83019553314bae254214311adf3f4013ae9216edd\
     dd5e6d2d6b943c907190a8934ebf8f955b78a591df5f2b393c3bdc4a398190b792eb9e999f33993c643b37fe\
     978096983f25d6d9f5455f906fc62d4574b3c568fbe02023112875a5e51d57a34f62ab30",
    "011e6b65795f30303030303030303030333635415a573341594b5833574b335995c85fbf7bd99610bdb62f14\
     2f771d812603b8ca0d1289fc75872735de766e9d2443a5686f660302668417e6cbbe6864e23440cf144c916f\
     57022cd2833f97844620488095ad6c5e03912176b304f439a31b0a71deee420792d8e8d697e74c354844b699\
     42a71ab0894394ddb5c5c64160a8d3209df3ce24fe3407ef0f00ef8a58ee9dd66d3ad15db9e0eb900b17ed0d\
     af8c5fe0b30bad7c",
];

fn sealed() -> &'static [Vec<u8>] {
    static SEALED_BYTES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEALED_BYTES.get_or_init(|| {
        let bytes = SEALED.iter().map(|text| hex::decode(text).expect("hex"));
        bytes.collect()
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
