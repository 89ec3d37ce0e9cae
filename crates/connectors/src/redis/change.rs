//! Changes of users, made alike on every node, and saved.

use std::time::Duration;

use scaivault_core::ports::Effect;
use scaivault_core::target::{Trouble, TroubleKind};

use super::clients;
use super::persist::{Keeper, rehearse};
use super::quote::set_user;
use super::user::{Command, User};
use super::wire::{Fault, Wire};

/// Whose connections end with the change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End<'a> {
    /// Nobody's.
    Nobody,
    /// Every one of this user.
    All(&'a str),
    /// Those of this user that are this old or older.
    Older(&'a str, Duration),
}

impl End<'_> {
    fn takes(&self, client: &clients::Client) -> bool {
        match self {
            Self::Nobody => false,
            Self::All(user) => client.user == *user,
            Self::Older(user, than) => client.user == *user && client.age_s >= than.as_secs(),
        }
    }
}

/// Does on every node what `plan` makes of the users there. Nothing is changed anywhere before
/// every node has been looked at and has shown that it can save.
pub(crate) async fn everywhere(
    wires: &mut [Wire],
    volatile_ok: bool,
    manager: &str,
    users: &[&str],
    plan: impl Fn(&[Option<User>]) -> Result<Vec<Command>, Trouble>,
    end: End<'_>,
) -> Effect {
    let mut work = Vec::with_capacity(wires.len());
    for wire in wires.iter_mut() {
        match look(wire, volatile_ok, users, &plan).await {
            Ok(found) => work.push(found),
            Err(trouble) => return Effect::NotApplied(helped(trouble, manager)),
        }
    }
    let mut touched = false;
    for (wire, (keeper, commands)) in wires.iter_mut().zip(&work) {
        if let Err(fault) = make(wire, *keeper, commands, end, &mut touched).await {
            let certain = !touched && fault.is_refusal();
            let trouble = helped(fault.into(), manager);
            return if certain {
                Effect::NotApplied(trouble)
            } else {
                Effect::Unknown(trouble)
            };
        }
    }
    Effect::applied()
}

async fn look(
    wire: &mut Wire,
    volatile_ok: bool,
    users: &[&str],
    plan: &impl Fn(&[Option<User>]) -> Result<Vec<Command>, Trouble>,
) -> Result<(Keeper, Vec<Command>), Trouble> {
    let mut found = Vec::with_capacity(users.len());
    for user in users {
        found.push(User::read(wire, user).await?);
    }
    let commands = plan(&found)?;
    let keeper = rehearse(wire, volatile_ok).await?;
    Ok((keeper, commands))
}

/// `touched` tells whether anything may have been changed by then.
async fn make(
    wire: &mut Wire,
    keeper: Keeper,
    commands: &[Command],
    end: End<'_>,
    touched: &mut bool,
) -> Result<(), Fault> {
    for command in commands {
        if let Err(fault) = wire.ask(command).await {
            *touched |= !fault.is_refusal();
            return Err(fault);
        }
        *touched = true;
    }
    if !commands.is_empty() {
        keeper.save(wire).await?;
    }
    if matches!(end, End::Nobody) {
        return Ok(());
    }
    for client in clients::list(wire).await? {
        if end.takes(&client) {
            clients::end(wire, client.id).await?;
            *touched = true;
        }
    }
    Ok(())
}

/// What the manager needs, in the words of `ACL SETUSER`.
pub(crate) const RULES: &str = "+acl|whoami +acl|getuser +acl|setuser +acl|deluser +acl|users \
     +acl|save +acl|dryrun +client|id +client|list +client|kill +config|get +config|rewrite +info";

/// With the statement that gives the manager what it lacks.
pub(crate) fn helped(trouble: Trouble, manager: &str) -> Trouble {
    if trouble.kind == TroubleKind::Privilege {
        let statement = set_user(manager, RULES);
        return trouble.remedy(statement);
    }
    trouble
}
