//! Throw-away roles, on which a rotation is tried before a real account sees one.

use scaivault_core::ports::{Call, Effect};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::session::Session;
use super::sessions::Which;
use super::transaction::{Transaction, not_applied};
use super::{check, retire, role, sql, trouble};

const PREFIX: &str = "scaivault_rehearsal_";
/// How much of a tag fits into a name beside the prefix and the ending.
const TAG_MAX: usize = 40;

/// Whether a name is that of a throw-away role.
pub(super) fn is_thrown_away(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Throw-away roles for the call.
pub(super) fn account(call: &Call<'_>) -> Option<Map<String, Value>> {
    let tag = call.tag.chars().filter(char::is_ascii_alphanumeric);
    let tag: String = tag.take(TAG_MAX).collect();
    let name = |end: &str| format!("{PREFIX}{}{end}", tag.to_ascii_lowercase());
    let account = match call.overlap {
        Overlap::TwoUsers => json!({"accounts": [name("_a"), name("_b")], "group": name("_g")}),
        Overlap::None => json!({"account": name("")}),
        Overlap::TwoPasswords | Overlap::NKeys => return None,
    };
    account.as_object().cloned()
}

/// The account again, if all its roles are throw-away ones.
pub(super) fn only_thrown_away(account: Account) -> Result<Account, Trouble> {
    let mut names = account.names().iter().map(String::as_str);
    match names.all(is_thrown_away) && account.group().is_none_or(is_thrown_away) {
        true => Ok(account),
        false => Err(TroubleKind::Settings.into()),
    }
}

/// Removes the roles.
pub(super) async fn remove(manager: Session, account: &Account) -> Result<(), Effect> {
    let done = drop_roles(&manager, account).await;
    check::advised(&manager, account, done).await
}

async fn drop_roles(manager: &Session, account: &Account) -> Result<(), Effect> {
    for name in account.names() {
        let ended = retire::end(manager, name, Which::All).await;
        ended.map_err(Effect::Unknown)?;
    }
    let transaction = Transaction::begin(manager, PREFIX).await?;
    let names = account.names().iter().map(String::as_str);
    for name in names.chain(account.group()) {
        let found = role::read(manager, name).await.map_err(not_applied)?;
        if found.is_some() {
            let statement = format!("DROP ROLE {}", sql::name(name));
            transaction.run(&statement).await?;
        }
    }
    transaction.commit().await
}

/// The throw-away roles that are there.
pub(super) async fn sweep(manager: &Session) -> Result<Vec<String>, Trouble> {
    let asked = "SELECT rolname::text FROM pg_catalog.pg_roles \
                 WHERE left(rolname::text, length($1::text)) = $1::text ORDER BY 1";
    let rows = manager.client.query(asked, &[&PREFIX]).await;
    let rows = rows.map_err(|error| trouble::statement(&error))?;
    let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    names.map_err(|_| TroubleKind::Protocol.into())
}
