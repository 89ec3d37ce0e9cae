//! Accounts made on request: login roles, made and removed by a role's own statements or in the
//! connector's way.
//!
//! Making one is one transaction in one message, its password a verifier. Removing some is three
//! steps for all of them together: shut out, end their sessions, drop.

mod create;
mod look;
mod pool;
mod remove;

use async_trait::async_trait;
use scaivault_core::dynamic::{Dialect, NameTemplate, Role, Statement, split};
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Effect, FieldProblem, Missing, NewAccount, OldAccount,
};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_core::time::Timestamp;

use super::Postgresql;
use super::transaction::not_applied;
pub(super) use pool::Pool;

/// What a name in the catalogue has room for.
const NAME_CHARS_MAX: usize = 63;
/// Words that would end the one transaction everything is done in.
const TRANSACTION_WORDS: [&str; 8] = [
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
];

/// A time as people write it in statements.
fn time(at: Timestamp) -> String {
    let text = at.to_rfc3339().replace('T', " ");
    match text.strip_suffix('Z') {
        Some(text) => format!("{text}+0000"),
        None => text,
    }
}

fn statements(texts: &[String]) -> Result<Vec<Statement>, Trouble> {
    let read = split(texts, Dialect::Postgresql);
    read.map_err(|error| Trouble::new(TroubleKind::Settings).remedy(error.to_string()))
}

fn check(role: &Role) -> Vec<FieldProblem> {
    let mut found = Vec::new();
    let fields = [
        ("creation_statements", &role.creation_statements),
        ("renew_statements", &role.renew_statements),
        ("revocation_statements", &role.revocation.statements),
    ];
    for (field, texts) in fields {
        match split(texts, Dialect::Postgresql) {
            Err(error) => found.push((field.to_owned(), error.to_string())),
            Ok(statements) if statements.iter().any(is_transaction) => found.push((
                field.to_owned(),
                "BEGIN, COMMIT and the like: all statements are one transaction already".to_owned(),
            )),
            Ok(statements) if field == "creation_statements" => {
                let names = |word: &str| statements.iter().any(|one| one.names(word));
                if !names("name") && !names("username") {
                    let why = "is required, and names the account as {{name}}: \
                               CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' \
                               VALID UNTIL '{{expiration}}'";
                    found.push((field.to_owned(), why.to_owned()));
                }
            }
            Ok(_) => {}
        }
    }
    if !role.rollback_statements.is_empty() {
        found.push((
            "rollback_statements".to_owned(),
            "are not needed: PostgreSQL takes back a transaction that failed".to_owned(),
        ));
    }
    if let Some(template) = &role.username_template
        && let Err(error) = NameTemplate::parse(template)
    {
        found.push(("username_template".to_owned(), error.to_string()));
    }
    for field in role.settings.keys() {
        found.push((format!("settings.{field}"), "is not known".to_owned()));
    }
    found
}

fn is_transaction(statement: &Statement) -> bool {
    let first = statement.text().split_whitespace().next().unwrap_or("");
    TRANSACTION_WORDS.contains(&first.to_ascii_lowercase().as_str())
}

#[async_trait]
impl Accounts for Postgresql {
    fn name_chars_max(&self) -> usize {
        NAME_CHARS_MAX
    }

    /// It may end sessions of roles it has made, and sees nothing of others here.
    fn needs(&self, missing: &Missing) -> bool {
        missing.statement.contains("CREATEROLE")
    }

    fn check_role(&self, role: &Role) -> Vec<FieldProblem> {
        check(role)
    }

    fn check_request(&self, _role: &Role, request: &AccountRequest<'_>) -> Vec<FieldProblem> {
        request.takes_nothing()
    }

    fn ends_by_itself(&self) -> bool {
        false
    }

    async fn create(&self, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Effect {
        let text = match create::text(new) {
            Ok(text) => text,
            Err(trouble) => return not_applied(trouble),
        };
        create::told(create::run(self, call, &text, &new.role.creation_statements).await)
    }

    async fn renew(
        &self,
        call: &AccountCall<'_>,
        (name, role): (&str, &Role),
        until: Timestamp,
    ) -> Effect {
        match create::renewal(name, role, until) {
            Ok(text) => create::run(self, call, &text, &role.renew_statements).await,
            Err(trouble) => not_applied(trouble),
        }
    }

    async fn remove(&self, call: &AccountCall<'_>, accounts: &[OldAccount<'_>]) -> Vec<Effect> {
        remove::remove(self, call, accounts).await
    }

    async fn names(&self, call: &AccountCall<'_>) -> Result<Vec<String>, Trouble> {
        let manager = pool::take(self, call).await?;
        let names = look::names(&manager).await?;
        self.pool.give_back(manager);
        Ok(names)
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
