//! What to tell a node so that a user takes a password, or takes it no more: pure functions of what
//! the node said.

use scaivault_core::target::{Trouble, TroubleKind};

use super::quote;
use super::rehearsal;
use super::user::{Command, User, command, takes_any_password};

/// The idle user gets the rules of the one in use and takes the new password alone.
pub(crate) fn like(found: &[Option<User>], name: &str, new: &str) -> Result<Vec<Command>, Trouble> {
    let [idle, Some(model)] = found else {
        return Err(no_account());
    };
    if idle.is_none() && !rehearsal::is_rehearsal(name) {
        return Err(no_account());
    }
    let same =
        |idle: &User| idle.on && !idle.nopass && idle.same_rules(model) && only_hash(idle, new);
    if idle.as_ref().is_some_and(same) {
        return Ok(Vec::new());
    }
    Ok(vec![model.copy_to(name, new)])
}

/// A user takes a new password beside the others, or (`only`) in their place.
pub(crate) fn beside(
    found: &Option<User>,
    name: &str,
    new: &str,
    only: bool,
) -> Result<Vec<Command>, Trouble> {
    let rule = format!("#{new}");
    match found {
        None if rehearsal::is_rehearsal(name) => Ok(vec![rehearsal::create(name, &rule)]),
        None => Err(no_account()),
        Some(user) if user.nopass && !only => Err(takes_any_password()),
        Some(user) if user.on && only_hash(user, new) && !user.nopass => Ok(Vec::new()),
        Some(user) if user.on && user.hashes.contains(new) && !only => Ok(Vec::new()),
        Some(_) if only => Ok(vec![command([
            "ACL",
            "SETUSER",
            name,
            "resetpass",
            "on",
            &rule,
        ])]),
        // A user that was switched off on purpose stays so.
        Some(user) if !user.on && !user.hashes.is_empty() => {
            Err(Trouble::new(TroubleKind::Settings)
                .code("off")
                .remedy(quote::set_user(name, "on")))
        }
        Some(_) => Ok(vec![command(["ACL", "SETUSER", name, "on", &rule])]),
    }
}

/// A user takes the old password no more, or (`whole`) lets nobody in.
pub(crate) fn without(
    found: &Option<User>,
    name: &str,
    old: &str,
    whole: bool,
) -> Result<Vec<Command>, Trouble> {
    let rule = format!("!{old}");
    match found {
        None => Ok(Vec::new()),
        Some(user) if whole && (user.on || user.nopass || !user.hashes.is_empty()) => {
            Ok(vec![command(["ACL", "SETUSER", name, "off", "resetpass"])])
        }
        Some(_) if whole => Ok(Vec::new()),
        Some(user) if user.nopass => Err(takes_any_password()),
        Some(user) if user.hashes.contains(old) => {
            Ok(vec![command(["ACL", "SETUSER", name, &rule])])
        }
        Some(_) => Ok(Vec::new()),
    }
}

fn only_hash(user: &User, hash: &str) -> bool {
    user.hashes.len() == 1 && user.hashes.contains(hash)
}

pub(crate) fn no_account() -> Trouble {
    TroubleKind::NoAccount.into()
}
