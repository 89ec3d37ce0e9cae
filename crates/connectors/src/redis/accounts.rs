//! Accounts made on request: users with the rules of a role, made by one command at each node and
//! deleted by name.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::dynamic::Role;
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Effect, FieldProblem, Missing, NewAccount, OldAccount,
};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_core::time::Timestamp;

use super::change::helped;
use super::link::{self, Login};
use super::persist::{self, Keeper};
use super::rules;
use super::settings::Site;
use super::user::{Command, User, command, hash};
use super::wire::{Fault, Wire};
use super::{Redis, clients};
use crate::begun::Begun;

/// As long as in the other connectors that make accounts, so that roles can be carried over.
const NAME_CHARS_MAX: usize = 63;
/// The shortest name that can be one of ours.
const NAME_CHARS_MIN: usize = 20;
/// How often ended sessions are looked for until they are gone, and how long in between.
const ROUNDS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(50);

#[async_trait]
impl Accounts for Redis {
    fn name_chars_max(&self) -> usize {
        NAME_CHARS_MAX
    }

    fn check_role(&self, role: &Role) -> Vec<FieldProblem> {
        rules::problems(role)
    }

    fn needs(&self, _missing: &Missing) -> bool {
        true
    }

    fn check_request(&self, _role: &Role, request: &AccountRequest<'_>) -> Vec<FieldProblem> {
        request.takes_nothing()
    }

    fn ends_by_itself(&self) -> bool {
        false
    }

    async fn create(&self, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Effect {
        let made = create(self, call, new).await;
        made.unwrap_or_else(Effect::NotApplied)
    }

    async fn renew(
        &self,
        _call: &AccountCall<'_>,
        _of: (&str, &Role),
        _until: Timestamp,
    ) -> Effect {
        // The server holds no end of a user.
        Effect::applied()
    }

    async fn remove(&self, call: &AccountCall<'_>, accounts: &[OldAccount<'_>]) -> Vec<Effect> {
        let names: Vec<&str> = accounts.iter().map(|account| account.name).collect();
        let removed = remove(self, call, &names).await;
        let each = accounts.iter().map(|_| match &removed {
            Ok(()) => Effect::applied(),
            Err((true, trouble)) => Effect::Unknown(trouble.clone()),
            Err((false, trouble)) => Effect::NotApplied(trouble.clone()),
        });
        each.collect()
    }

    async fn names(&self, call: &AccountCall<'_>) -> Result<Vec<String>, Trouble> {
        let mut found = BTreeSet::new();
        for wire in &mut link::manage_of(&*self.reach, call.settings, call.manager).await? {
            let reply = wire.ask(&["ACL", "USERS"]).await?;
            let list = reply.list().ok_or(TroubleKind::Protocol)?;
            let names = list.iter().filter_map(|name| name.text());
            let long = names.filter(|name| name.len() >= NAME_CHARS_MIN);
            found.extend(long.map(str::to_owned));
        }
        Ok(found.into_iter().collect())
    }

    fn revocation_list(
        &self,
        _call: &AccountCall<'_>,
        _names: &[&str],
        _now: Timestamp,
    ) -> Result<Vec<u8>, Trouble> {
        Err(TroubleKind::Unsupported.into())
    }
}

/// Makes the user at every node. Nothing is made anywhere before every node was looked at.
async fn create(
    at: &Redis,
    call: &AccountCall<'_>,
    new: &NewAccount<'_>,
) -> Result<Effect, Trouble> {
    let site = Site::of(call.settings)?;
    let manager = Login::manager_of(call.manager)?;
    let manager = manager.username.as_str();
    let password = std::str::from_utf8(new.password.expose());
    let hash = hash(password.map_err(|_| TroubleKind::Credential)?);
    let making = making(new, &hash)?;
    let begun = Begun::now();
    let mut wires = link::manage_of(&*at.reach, call.settings, call.manager).await?;
    let mut work = Vec::with_capacity(wires.len());
    for wire in &mut wires {
        let looked = look(wire, &site, new.name, &hash).await;
        work.push(looked.map_err(|trouble| helped(trouble, manager))?);
    }
    begun.in_time()?;
    let mut touched = false;
    for (wire, (keeper, is_there)) in wires.iter_mut().zip(work) {
        let made = match is_there {
            true => Ok(()),
            false => wire.ask(&making).await.map(drop),
        };
        touched |= made.as_ref().is_ok_and(|()| !is_there);
        if let Err(fault) = made {
            let certain = !touched && fault.is_refusal();
            let trouble = helped(refused(fault), manager);
            return Ok(match certain {
                true => Effect::NotApplied(trouble),
                false => Effect::Unknown(trouble),
            });
        }
        if let Err(fault) = keeper.save(wire).await {
            return Ok(Effect::Unknown(helped(fault.into(), manager)));
        }
    }
    Ok(Effect::applied())
}

fn making(new: &NewAccount<'_>, hash: &str) -> Result<Command, Trouble> {
    let rules = rules::read(&new.role.creation_statements).map_err(|problem| {
        Trouble::new(TroubleKind::Settings).remedy(format!("creation_statements: {problem}"))
    })?;
    // From the begin, so that what a node knows already is no part of it.
    let mut making = command(["ACL", "SETUSER", new.name, "reset"]);
    making.extend(
        rules
            .into_iter()
            .map(|rule| rules::named(&rule, new.name).into_bytes()),
    );
    making.extend([b"on".to_vec(), format!("#{hash}").into_bytes()]);
    Ok(making)
}

/// A rule that the server does not know.
fn refused(fault: Fault) -> Trouble {
    match fault {
        Fault::Refused(code) if code == "ERR" => Trouble::new(TroubleKind::Settings)
            .code(code)
            .remedy("let the role's creation_statements hold rules that this server knows"),
        fault => fault.into(),
    }
}

/// What keeps the users of a node, and whether this very user is there already.
async fn look(
    wire: &mut Wire,
    site: &Site,
    name: &str,
    hash: &str,
) -> Result<(Keeper, bool), Trouble> {
    let is_there = match User::read(wire, name).await? {
        None => false,
        Some(user) if user.on && !user.nopass && user.hashes.contains(hash) => true,
        Some(_) => return Err(Trouble::new(TroubleKind::Settings).code("exists")),
    };
    let keeper = persist::find(wire, site.volatile_ok).await?;
    Ok((keeper, is_there))
}

/// Deletes them at every node that can be reached; the first trouble, and whether anything was
/// changed.
async fn remove(at: &Redis, call: &AccountCall<'_>, names: &[&str]) -> Result<(), (bool, Trouble)> {
    let before = |trouble| (false, trouble);
    if names.is_empty() {
        return Ok(());
    }
    let site = Site::of(call.settings).map_err(before)?;
    let login = Login::manager_of(call.manager).map_err(before)?;
    let manager = login.username.as_str();
    if names.contains(&manager) {
        return Err((false, Trouble::new(TroubleKind::Settings).code("manager")));
    }
    let mut touched = false;
    let mut first = None;
    for node in &site.nodes {
        let removed = match link::log_in(&*at.reach, &site, node, &login).await {
            Ok(mut wire) => remove_at(&mut wire, &site, names, &mut touched).await,
            Err(denied) => Err(link::manager_denied(denied)),
        };
        if let Err(trouble) = removed {
            first.get_or_insert(helped(trouble, manager));
        }
    }
    first.map_or(Ok(()), |trouble| Err((touched, trouble)))
}

async fn remove_at(
    wire: &mut Wire,
    site: &Site,
    names: &[&str],
    touched: &mut bool,
) -> Result<(), Trouble> {
    // Where nothing keeps users, nothing brings one back.
    let keeper = persist::any(wire, site.volatile_ok).await?;
    let mut delete = command(["ACL", "DELUSER"]);
    delete.extend(names.iter().map(|name| name.as_bytes().to_vec()));
    let deleted = wire.ask(&delete).await;
    *touched |= deleted
        .as_ref()
        .err()
        .is_none_or(|fault| !fault.is_refusal());
    deleted?;
    // A user whose login was answered already is in the list.
    let mut clear = 0;
    for _ in 0..ROUNDS {
        let mut open = clients::list(wire).await?;
        open.retain(|client| names.contains(&client.user.as_str()));
        if open.is_empty() {
            clear += 1;
            if clear == 2 {
                // Whatever was deleted now or by a call whose answer was lost: a restart must not
                // bring it back.
                return keeper.save(wire).await.map_err(Trouble::from);
            }
            continue;
        }
        clear = 0;
        for client in open {
            clients::end(wire, client.id).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(TroubleKind::TimedOut.into())
}
