//! The manager's own password, changed through its open sessions.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{self, Call, Effect};
use scaivault_core::target::{Trouble, TroubleKind};

use super::change::{self, End};
use super::link::{self, Login};
use super::plan::{beside, without};
use super::settings::Site;
use super::user::{User, hash};
use super::{Redis, another_user};

/// Adds the candidate beside the manager's password and logs in with it everywhere; takes it away
/// again when that does not work. The old password stays until it is retired.
pub(crate) async fn apply(
    redis: &Redis,
    call: &Call<'_>,
    candidate: &Plaintext,
) -> Result<Effect, Trouble> {
    let site = Site::of(call.settings)?;
    let manager = Login::manager(call)?;
    let login = Login::of(candidate)?;
    if login.username != manager.username {
        return Err(another_user());
    }
    let name = manager.username.as_str();
    let new = hash(&login.password);
    let mut wires = link::manage(&*redis.reach, call).await?;
    let plan = |found: &[Option<User>]| beside(&found[0], name, &new, false);
    let volatile_ok = site.volatile_ok;
    let added = change::everywhere(&mut wires, volatile_ok, name, &[name], plan, End::Nobody).await;
    if !matches!(added, Effect::Applied(_)) {
        return Ok(added);
    }
    let trouble = match redis.login_everywhere(call, candidate).await {
        ports::Login::Accepted => return Ok(added),
        ports::Login::Refused(_) => TroubleKind::ManagerRefused.into(),
        ports::Login::Unknown(trouble) => trouble,
    };
    if new == hash(&manager.password) {
        return Ok(Effect::NotApplied(trouble));
    }
    let plan = |found: &[Option<User>]| without(&found[0], name, &new, false);
    let undone =
        change::everywhere(&mut wires, volatile_ok, name, &[name], plan, End::Nobody).await;
    Ok(match undone {
        Effect::Applied(_) => Effect::NotApplied(trouble),
        Effect::NotApplied(_) | Effect::Unknown(_) => Effect::Unknown(trouble),
    })
}
