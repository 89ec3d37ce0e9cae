//! What the manager may do, and the statements for what it may not.

use scaivault_core::ports::{Call, Check, Effect, Missing};
use scaivault_core::target::{Trouble, TroubleKind};

use super::account::Account;
use super::session::Session;
use super::transaction::{not_applied, version};
use super::{OVERLAPS, role, sql, trouble};

/// The version from which a role is administered only with the option granted for it.
const ADMIN_PER_ROLE: i32 = 160_000;

/// Asks one yes-or-no question.
async fn ask(session: &Session, question: &str, name: &str) -> Result<bool, Trouble> {
    let row = session.client.query_one(question, &[&name]).await;
    let row = row.map_err(|error| trouble::statement(&error))?;
    let answer: Option<bool> = row.try_get(0).map_err(|_| TroubleKind::Protocol)?;
    Ok(answer.unwrap_or(false))
}

async fn is(session: &Session, attribute: &str) -> Result<bool, Trouble> {
    let question = format!("SELECT {attribute} FROM pg_catalog.pg_roles WHERE rolname = $1::text");
    ask(session, &question, &session.user).await
}

/// Whether the manager has a right on the role `name`.
async fn has(session: &Session, name: &str, right: &str) -> Result<bool, Trouble> {
    let right = sql::text(right);
    let question = format!("SELECT pg_catalog.pg_has_role(session_user, $1::text::name, {right})");
    ask(session, &question, name).await
}

/// Whether the manager may end sessions of the role `name`.
pub(super) async fn may_end_sessions(session: &Session, name: &str) -> Result<bool, Effect> {
    let may = async {
        Ok::<bool, Trouble>(
            is(session, "rolsuper").await?
                || has(session, "pg_signal_backend", "USAGE").await?
                || has(session, name, "USAGE").await?,
        )
    };
    may.await.map_err(not_applied)
}

/// `done` with the statements that cure a lack of rights.
pub(super) async fn advised<T>(
    session: &Session,
    account: &Account,
    done: Result<T, Effect>,
) -> Result<T, Effect> {
    match done {
        Err(Effect::NotApplied(mut trouble))
            if trouble.kind == TroubleKind::Privilege && trouble.remedy.is_empty() =>
        {
            let _ = session.client.batch_execute("ROLLBACK").await;
            if let Ok(all) = missing(session, Some(account)).await {
                trouble.remedy = all.into_iter().map(|missing| missing.statement).collect();
            }
            if trouble.remedy.is_empty() {
                // A role or setting that only a superuser may change.
                let user = sql::name(&session.user);
                trouble = trouble.remedy(format!("ALTER ROLE {user} SUPERUSER;"));
            }
            Err(Effect::NotApplied(trouble))
        }
        other => other,
    }
}

/// What the manager lacks.
async fn missing(session: &Session, account: Option<&Account>) -> Result<Vec<Missing>, Trouble> {
    let mut found = Vec::new();
    let mut lack = |what: &str, statement: String| {
        found.push(Missing {
            what: what.to_owned(),
            statement,
        });
    };
    let user = sql::name(&session.user);
    let strict = version(session).await? >= ADMIN_PER_ROLE;
    let superuser = is(session, "rolsuper").await?;
    if !superuser {
        if !is(session, "rolcreaterole").await? {
            let statement = format!("ALTER ROLE {user} CREATEROLE;");
            lack("change passwords of roles", statement);
        }
        for (role, what) in [
            ("pg_signal_backend", "end sessions of a retired account"),
            ("pg_read_all_stats", "see since when sessions are open"),
        ] {
            if !has(session, role, "USAGE").await? {
                lack(what, format!("GRANT {role} TO {user};"));
            }
        }
    }
    let Some(account) = account else {
        return Ok(found);
    };
    if let Some(group) = account.group() {
        let quoted = sql::name(group);
        let there = role::read(session, group).await?.is_some();
        if !there {
            let statement = format!("CREATE ROLE {quoted} NOLOGIN;");
            lack("find the group role", statement);
        }
        let right = "MEMBER WITH ADMIN OPTION";
        if !superuser && (!there || !has(session, group, right).await?) {
            let option = if strict { ", INHERIT FALSE" } else { "" };
            let statement = format!("GRANT {quoted} TO {user} WITH ADMIN OPTION{option};");
            lack("put accounts into the group", statement);
        }
    }
    for name in account.names() {
        let quoted = sql::name(name);
        let there = role::read(session, name).await?.is_some();
        if !there && matches!(account, Account::One { .. }) {
            lack("find the account", format!("CREATE ROLE {quoted} LOGIN;"));
        }
        let needs_option = strict && !superuser && there;
        if needs_option && !has(session, name, "MEMBER WITH ADMIN OPTION").await? {
            let statement = format!("GRANT {quoted} TO {user} WITH ADMIN OPTION, INHERIT FALSE;");
            lack("change an account that is there already", statement);
        }
    }
    Ok(found)
}

/// Looks.
pub(super) async fn look(session: &Session, call: &Call<'_>) -> Result<Check, Trouble> {
    let account = match call.account.is_empty() {
        true => None,
        false => Some(Account::read(call)?),
    };
    let number = version(session).await?;
    let missing = missing(session, account.as_ref()).await?;
    let mut may = vec!["log in".to_owned()];
    if is(session, "rolsuper").await? {
        may.push("everything: it is a superuser".to_owned());
    } else if is(session, "rolcreaterole").await? {
        may.push("create roles".to_owned());
    }
    for role in ["pg_signal_backend", "pg_read_all_stats"] {
        if has(session, role, "USAGE").await? {
            may.push(format!("what {role} may"));
        }
    }
    Ok(Check {
        server: format!("PostgreSQL {}.{}", number / 10_000, number % 10_000),
        manager: session.user.clone(),
        may,
        missing,
        overlaps: OVERLAPS.to_vec(),
        warnings: warnings(session, account.as_ref()).await?,
    })
}

async fn warnings(session: &Session, account: Option<&Account>) -> Result<Vec<String>, Trouble> {
    let mut found = Vec::new();
    let always = [
        (
            "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = $1::text",
            "the manager is a superuser: a role with CREATEROLE suffices",
        ),
        (
            "SELECT pg_catalog.pg_is_in_recovery() OR $1::text IS NULL",
            "this server is a standby: passwords are changed at its primary",
        ),
        (
            "SELECT current_setting('password_encryption') = 'md5' AND $1::text IS NOT NULL",
            "password_encryption is md5: passwords set here are SCRAM-SHA-256 all the same, which \
             clients older than PostgreSQL 10 do not know",
        ),
    ];
    for (question, warning) in always {
        if ask(session, question, &session.user).await? {
            found.push(warning.to_owned());
        }
    }
    if is(session, "rolsuper").await? {
        let question = "SELECT count(*) > 0 FROM pg_catalog.pg_hba_file_rules \
                        WHERE auth_method = 'trust' AND type LIKE 'host%' AND $1::text <> ''";
        if ask(session, question, &session.user).await? {
            found.push("pg_hba.conf trusts some hosts: they are let in with any password".into());
        }
    }
    let owns = "SELECT count(*) > 0 FROM pg_catalog.pg_shdepend d \
                JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid \
                WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.deptype IN ('o', 'a') \
                AND r.rolname = $1::text";
    if let Some(Account::Two { names, .. }) = account {
        for name in names {
            if ask(session, owns, name).await? {
                found.push(format!(
                    "{} owns objects or has rights of its own: give them to the group, or the \
                     other account lacks them",
                    sql::name(name)
                ));
            }
        }
    }
    Ok(found)
}
