//! Accounts made on request, by a role's own statements.
//!
//! A server of this family takes back no statement: each is done when it is answered. So a later
//! one that fails is followed by what takes the earlier ones back, and a look. Passwords are sent
//! as the server stores them, wherever a role says `IDENTIFIED BY '{{password}}'`.

mod create;
mod identified;
mod look;
mod pool;
mod remove;

use async_trait::async_trait;
use scaivault_core::dynamic::{Dialect, NameTemplate, Owned, Role, Statement, split};
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Effect, FieldProblem, Missing, NewAccount, OldAccount,
};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_core::time::Timestamp;

use super::MySql;
pub(super) use pool::Pool;

/// What both families have room for.
const NAME_CHARS_MAX: usize = 32;

const CREATION: &str = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'";

/// A time as people write it in statements; sessions are in UTC.
fn time(at: Timestamp) -> String {
    at.to_rfc3339().replace('T', " ").replace('Z', "")
}

fn statements(texts: &[String]) -> Result<Vec<Statement>, Trouble> {
    let read = split(texts, Dialect::Mysql);
    read.map_err(|error| Trouble::new(TroubleKind::Settings).remedy(error.to_string()))
}

fn check(role: &Role) -> Vec<FieldProblem> {
    let mut found = Vec::new();
    let fields = [
        ("creation_statements", &role.creation_statements),
        ("rollback_statements", &role.rollback_statements),
        ("renew_statements", &role.renew_statements),
        ("revocation_statements", &role.revocation.statements),
    ];
    for (field, texts) in fields {
        let mut bad = |text: &str| found.push((field.to_owned(), text.to_owned()));
        let statements = match split(texts, Dialect::Mysql) {
            Ok(statements) => statements,
            Err(error) => {
                bad(&error.to_string());
                continue;
            }
        };
        let with_password = |one: &&Statement| one.names("password");
        if field != "creation_statements" {
            if statements.iter().any(|one| one.names("password")) {
                bad("the password is known only while the account is made");
            }
            continue;
        }
        let names = |word: &str| statements.iter().any(|one| one.names(word));
        if !names("name") && !names("username") {
            bad(&format!(
                "is required, and names the account as {{{{name}}}}: {CREATION}"
            ));
        } else if !names("password") {
            bad(&format!(
                "an account without a password lets anybody in: {CREATION}"
            ));
        } else if let Some(problem) = statements
            .iter()
            .filter(with_password)
            .find_map(identified::problem)
        {
            bad(problem);
        }
    }
    if role.revocation.owned != Owned::Keep {
        let why = "is not known here: an account of MySQL and MariaDB owns nothing";
        found.push(("owned_objects".to_owned(), why.to_owned()));
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

#[async_trait]
impl Accounts for MySql {
    fn name_chars_max(&self) -> usize {
        NAME_CHARS_MAX
    }

    fn check_role(&self, role: &Role) -> Vec<FieldProblem> {
        check(role)
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
        create::create(self, call, new).await
    }

    async fn renew(
        &self,
        call: &AccountCall<'_>,
        (name, role): (&str, &Role),
        until: Timestamp,
    ) -> Effect {
        if role.renew_statements.is_empty() {
            // The server holds no end of an account.
            return Effect::applied();
        }
        create::renew(self, call, (name, role), until).await
    }

    async fn remove(&self, call: &AccountCall<'_>, accounts: &[OldAccount<'_>]) -> Vec<Effect> {
        remove::remove(self, call, accounts).await
    }

    async fn names(&self, call: &AccountCall<'_>) -> Result<Vec<String>, Trouble> {
        let mut manager = pool::take(self, call).await?;
        let names = look::names(&mut manager).await?;
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
