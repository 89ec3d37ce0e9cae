//! The mounts of the caller's tenant, as policies see them.

use scaivault_core::acl::{MountKind, MountView, Mounts};
use scaivault_core::mount::{Mount, MountKind as Stored};
use scaivault_core::vault_path::escaped;
use scaivault_engine::Caller;

use crate::app::App;
use crate::problem::Problem;

/// The mounts of the caller's tenant.
pub(super) async fn mounts(app: &App, caller: &Caller) -> Result<Mounts, Problem> {
    let found = app.vault.mounts(caller).await?;
    Ok(Mounts::new(found.iter().map(view).collect()))
}

fn view(mount: &Mount) -> MountView {
    MountView {
        path: mount.path.trim_end_matches('/').to_owned(),
        kind: match mount.kind {
            Stored::Kv1 => MountKind::Kv1,
            Stored::Kv2 => MountKind::Kv2,
            Stored::Database => MountKind::Database,
            Stored::Transit => MountKind::Transit,
            Stored::Pki | Stored::Ssh => MountKind::Other,
        },
        root: match mount.kind {
            Stored::Transit => format!("transit/{}", escaped(mount.path.trim_end_matches('/'))),
            _ => mount.prefix.trim_end_matches('/').to_owned(),
        },
    }
}
