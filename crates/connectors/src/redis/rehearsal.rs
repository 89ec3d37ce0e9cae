//! Throw-away users of rehearsals.

use std::collections::BTreeSet;

use scaivault_core::ports::{Call, Effect};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value, json};

use super::Redis;
use super::change::End;
use super::link;
use super::settings::{Account, is_name};
use super::user::{Command, User, command};

/// What their names begin with.
const PREFIX: &str = "scaivault_rehearsal_";
/// How much of the rotation's id is in a name: its end, which is the random part.
const TAG_CHARS: usize = 16;
/// The most names that one look gives.
const SWEEP_MAX: usize = 1_000;

/// Whether a name is of a throw-away user: those alone are created and removed.
pub(crate) fn is_rehearsal(name: &str) -> bool {
    name.len() > PREFIX.len() && name.starts_with(PREFIX)
}

/// Creates one that may do nothing but log in.
pub(crate) fn create(name: &str, password_rule: &str) -> Command {
    command([
        "ACL",
        "SETUSER",
        name,
        "reset",
        "on",
        password_rule,
        "+acl|whoami",
    ])
}

/// The settings of the rehearsal of `call`.
pub(crate) fn account(call: &Call<'_>) -> Option<Map<String, Value>> {
    let plain: Vec<char> = call
        .tag
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let end = &plain[plain.len().saturating_sub(TAG_CHARS)..];
    let tag: String = end.iter().map(char::to_ascii_lowercase).collect();
    let settings = match call.overlap {
        Overlap::TwoPasswords => json!({"account": format!("{PREFIX}{tag}")}),
        Overlap::TwoUsers => {
            json!({"accounts": [format!("{PREFIX}{tag}_a"), format!("{PREFIX}{tag}_b")]})
        }
        Overlap::NKeys | Overlap::None => return None,
    };
    settings.as_object().filter(|_| !tag.is_empty()).cloned()
}

/// Removes the users of `call.account`; the server ends their sessions by itself.
pub(crate) async fn remove(redis: &Redis, call: &Call<'_>) -> Result<Effect, Trouble> {
    let account = Account::of(call.account, call.overlap)?;
    let names: Vec<&str> = account.names().iter().map(String::as_str).collect();
    if !names.iter().all(|name| is_rehearsal(name)) {
        return Err(TroubleKind::Settings.into());
    }
    let plan = |found: &[Option<User>]| {
        let there = names.iter().zip(found).filter(|(_, user)| user.is_some());
        Ok(there
            .map(|(name, _)| command(["ACL", "DELUSER", name]))
            .collect())
    };
    redis.changed(call, &names, plan, End::Nobody).await
}

/// The throw-away users there are, at any node.
pub(crate) async fn sweep(redis: &Redis, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
    let mut found = BTreeSet::new();
    for wire in &mut link::manage(&*redis.reach, call).await? {
        let reply = wire.ask(&["ACL", "USERS"]).await?;
        let list = reply.list().ok_or(TroubleKind::Protocol)?;
        let names = list.iter().filter_map(|name| name.text());
        found.extend(
            names
                .filter(|name| is_rehearsal(name) && is_name(name))
                .map(str::to_owned),
        );
    }
    Ok(found.into_iter().take(SWEEP_MAX).collect())
}
