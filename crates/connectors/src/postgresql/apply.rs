//! Makes the server accept a credential.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Effect};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_crypto::SystemEntropy;

use super::account::{self, Account};
use super::rehearsal::is_thrown_away;
use super::role::{self, Role, Statement};
use super::session::Session;
use super::transaction::{Transaction, not_applied};
use super::verifier::verifier;
use super::{check, sql};

/// The version from which the creator of a role may administer it without being told so.
const CREATOR_ADMINISTERS: i32 = 160_000;

/// The version from which the right to set a setting can be granted.
const SETTINGS_ARE_GRANTED: i32 = 150_000;

/// What is to be done.
struct Plan<'a> {
    account: &'a Account,
    /// The role that gets the password.
    name: &'a str,
    /// The verifier, as a literal.
    verifier: String,
    /// The role whose limits and settings it shall have.
    model: Option<&'a str>,
}

fn plan<'a>(
    manager: &Session,
    account: &'a Account,
    candidate: Option<&Plaintext>,
    current: Option<&Plaintext>,
) -> Result<Plan<'a>, Trouble> {
    let candidate = candidate.ok_or(TroubleKind::Credential)?;
    let name = account.role_of(candidate)?;
    not_the_manager(manager, name)?;
    let password = account::password(candidate)?;
    let current_role = current.and_then(|current| account.role_of(current).ok());
    if let (Account::Two { .. }, Some(current)) = (account, current)
        && current_role == Some(name)
        && *account::password(current)? != *password
    {
        // The password of the account in use would be replaced under its consumers.
        return Err(TroubleKind::Settings.into());
    }
    Ok(Plan {
        account,
        name,
        verifier: sql::text(&verifier(&password, &SystemEntropy)?),
        model: current_role.filter(|current| *current != name),
    })
}

/// The manager's own password is changed through its open session only.
pub(super) fn not_the_manager(manager: &Session, name: &str) -> Result<(), Trouble> {
    match manager.user == name {
        true => Err(Trouble::new(TroubleKind::Settings)
            .remedy("let the manager be a role of its own, not an account of the attachment")),
        false => Ok(()),
    }
}

/// Applies a candidate.
pub(super) async fn apply(
    manager: Session,
    call: &Call<'_>,
    candidate: Option<&Plaintext>,
    current: Option<&Plaintext>,
) -> Result<(), Effect> {
    let account = Account::read(call).map_err(not_applied)?;
    let plan = plan(&manager, &account, candidate, current).map_err(not_applied)?;
    let done = change(&manager, call, &plan).await;
    check::advised(&manager, &account, done).await
}

async fn change(manager: &Session, call: &Call<'_>, plan: &Plan<'_>) -> Result<(), Effect> {
    let transaction = Transaction::begin(manager, plan.name).await?;
    let found = transaction.fenced(call, plan.name).await?;
    let role = set_password(&transaction, plan, found).await?;
    if let Some(group) = plan.account.group() {
        join(&transaction, plan, &role, group).await?;
    }
    mark(&transaction, call, plan.name, &role).await?;
    transaction.commit().await
}

/// Notes the epoch at the role.
pub(super) async fn mark(
    transaction: &Transaction<'_>,
    call: &Call<'_>,
    name: &str,
    role: &Role,
) -> Result<(), Effect> {
    let comment = role.comment.marked(call.epoch, call.tag);
    let (name, comment) = (sql::name(name), sql::text(&comment));
    transaction
        .run(&format!("COMMENT ON ROLE {name} IS {comment}"))
        .await
}

async fn set_password(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
    found: Option<Role>,
) -> Result<Role, Effect> {
    let (name, verifier) = (sql::name(plan.name), &plan.verifier);
    // A role that stands alone may have been locked by somebody: that stays. The roles of a pair
    // are locked and unlocked by their rotations.
    let login = match plan.account {
        Account::Two { .. } => "LOGIN INHERIT ",
        Account::One { .. } => "",
    };
    if let Some(found) = found {
        let statement = format!("ALTER ROLE {name} {login}PASSWORD {verifier}");
        transaction.run(&statement).await?;
        return Ok(found);
    }
    if matches!(plan.account, Account::One { .. }) && !is_thrown_away(plan.name) {
        let remedy = format!("CREATE ROLE {name} LOGIN;");
        let trouble = Trouble::new(TroubleKind::NoAccount).remedy(remedy);
        return Err(not_applied(trouble));
    }
    let statement = format!("CREATE ROLE {name} LOGIN INHERIT PASSWORD {verifier}");
    transaction.run(&statement).await?;
    read(transaction, plan.name).await
}

async fn read(transaction: &Transaction<'_>, name: &str) -> Result<Role, Effect> {
    let found = role::read(transaction.session, name).await;
    let found = found.and_then(|role| role.ok_or(TroubleKind::NoAccount.into()));
    found.map_err(not_applied)
}

/// Puts the role into its group and makes it like the other one.
async fn join(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
    role: &Role,
    group_name: &str,
) -> Result<(), Effect> {
    let session = transaction.session;
    let quoted = sql::name(group_name);
    let found = role::read(session, group_name).await.map_err(not_applied)?;
    let group = match found {
        Some(group) => group,
        None if is_thrown_away(group_name) => {
            let admin = match transaction.version < CREATOR_ADMINISTERS {
                true => format!(" ADMIN {}", sql::name(&session.user)),
                false => String::new(),
            };
            let statement = format!("CREATE ROLE {quoted} NOLOGIN{admin}");
            transaction.run(&statement).await?;
            read(transaction, group_name).await?
        }
        None => {
            let remedy = format!("CREATE ROLE {quoted} NOLOGIN;");
            let trouble = Trouble::new(TroubleKind::NoAccount).remedy(remedy);
            return Err(not_applied(trouble));
        }
    };
    let member = role::is_member(session, role, &group).await;
    if !member.map_err(not_applied)? {
        let statement = format!("GRANT {quoted} TO {}", sql::name(plan.name));
        transaction.run(&statement).await?;
    }
    let model = match plan.model {
        Some(model) => role::read(session, model).await.map_err(not_applied)?,
        None => None,
    };
    let statements = role::alike(session, (plan.name, role), model.as_ref(), group_name).await;
    for statement in statements.map_err(not_applied)? {
        let done = transaction.run(&statement.sql).await;
        done.map_err(|effect| with_grant(effect, &statement, transaction))?;
    }
    Ok(())
}

/// Settings that only a superuser may set can be granted one by one.
fn with_grant(effect: Effect, statement: &Statement, transaction: &Transaction<'_>) -> Effect {
    match (effect, &statement.setting) {
        (Effect::NotApplied(trouble), Some(setting))
            if trouble.kind == TroubleKind::Privilege
                && transaction.version >= SETTINGS_ARE_GRANTED =>
        {
            let user = sql::name(&transaction.session.user);
            let remedy = format!("GRANT SET ON PARAMETER {setting} TO {user};");
            not_applied(trouble.remedy(remedy))
        }
        (effect, _) => effect,
    }
}
