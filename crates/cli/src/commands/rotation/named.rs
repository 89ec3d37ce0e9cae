//! Rotations and rotation policies as people name them.

use scaivault_client::RotationQuery;

use crate::commands::Session;
use crate::exit::CliError;

/// The id itself, or the newest rotation of a secret's path.
pub(super) async fn rotation_id(session: &Session, given: String) -> anyhow::Result<String> {
    if given.starts_with("rtn_") {
        return Ok(given);
    }
    let query = RotationQuery {
        path: Some(given.clone()),
        limit: Some(1),
        ..RotationQuery::default()
    };
    let newest = session.client.rotation().list(&query).json().await?;
    let newest = newest.parse()?.data.into_iter().next();
    Ok(newest.ok_or(CliError::NoRotation(given))?.id)
}

/// The id itself, or that of the rotation policy of this name.
pub(crate) async fn policy_id(session: &Session, given: String) -> anyhow::Result<String> {
    if given.starts_with("rot_") {
        return Ok(given);
    }
    let mut pages = session.client.rotation().policies(false).pages();
    while let Some((page, _)) = pages.next().await? {
        if let Some(found) = page.data.into_iter().find(|policy| policy.name == given) {
            return Ok(found.id);
        }
    }
    Err(CliError::NoRotationPolicy(given).into())
}
