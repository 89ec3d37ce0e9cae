//! Cursors of lists, as clients send them back: read as the server reads them, they lead to a place
//! that a list gave out, or nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scaivault_core::seal::{Place, Sealed, Sealer as _};
use scaivault_server::probes;

use super::fixture::{keyring, tenant};
use crate::target::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "cursors",
    seeds: || vec![format!("limit=5&cursor={}", GIVEN).into_bytes()],
    words: &[
        "cursor=", "&", "%", "%41", "+", "=", "-", "_", "limit=", "==",
    ],
    run,
};

const AT: &str = "app/hidden";

fn bound_to(owner: &scaivault_core::ids::TenantId) -> Place<'_> {
    Place {
        tenant: owner,
        kind: "cursor",
        path: "",
        version: 0,
        field: "secrets",
    }
}

/// [`AT`], as a server gave it out once.
const GIVEN: &str = "AR5rZXlfMDAwMDAwMDAwMDM2NUFaVzNBWUtYM1dLM1mm0UGEynGku-s4PVhuH5AIxv6cACWW82xJK3jkoggLgKEF\
     QrdmH5Qfy50T4q44NORPju2QUWtEHqSKiWDhobXZTLi_OUtGq6DrnnPClXa9Mr65qI1WgEmFcMOHTMSEKFHUkLi-\
     HTGSRnYk_RzWWqxYQAfT5rMJwbVq0JjK5DS6LOOQ";

fn run(data: &[u8]) {
    let Some(pairs) = text(data).and_then(probes::query) else {
        return;
    };
    for (_, value) in pairs {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(&value) else {
            continue;
        };
        if let Ok(opened) = keyring().open(bound_to(&tenant()), &Sealed(bytes)) {
            assert_eq!((opened.expose(), value.as_str()), (AT.as_bytes(), GIVEN));
        }
    }
}
