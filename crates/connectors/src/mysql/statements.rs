//! Which statements bring a row from what it is to what it should be. Pure: the row was read
//! before, so a call that is made again finds nothing to do. That matters most where MySQL keeps
//! a second password: retaining twice would lose the real old one.

use scaivault_core::target::{Trouble, TroubleKind};

use super::hash;
use super::quote;
use super::rows::{Method, Row};
use super::server::{Family, Server};

/// Statements about one account name.
pub(super) struct Writer<'a> {
    pub(super) server: &'a Server,
    pub(super) name: &'a str,
    /// Written beside the password where the server can hold it.
    pub(super) epoch: u64,
}

impl Writer<'_> {
    /// Makes the row accept this password and no other.
    pub(super) fn accept_alone(
        &self,
        row: &Row,
        password: &str,
        unlock: bool,
    ) -> Result<Vec<String>, Trouble> {
        supported(self, row)?;
        let passwords = row.methods.iter().filter(|method| method.is_password());
        let alone = passwords.clone().count() == 1
            && passwords.clone().all(|method| method.is(password))
            && row.second.is_none();
        if alone && !(unlock && row.locked) {
            return Ok(Vec::new());
        }
        let tail = if unlock { " ACCOUNT UNLOCK" } else { "" };
        let mut all = vec![self.alter(row, &self.identify(row, &[password])?, tail)];
        all.extend(self.discard(row));
        Ok(all)
    }

    /// Makes the row accept `candidate` beside `current`.
    pub(super) fn accept_beside(
        &self,
        row: &Row,
        candidate: &str,
        current: Option<&str>,
    ) -> Result<Vec<String>, Trouble> {
        supported(self, row)?;
        let Some(current) = current else {
            return self.accept_alone(row, candidate, false);
        };
        let both = row.accepts(candidate) && row.accepts(current);
        let first = |password| row.methods.iter().any(|method| method.is(password));
        let set = |password, retain: bool| -> Result<String, Trouble> {
            let tail = if retain {
                " RETAIN CURRENT PASSWORD"
            } else {
                ""
            };
            Ok(self.alter(row, &self.identify(row, &[password])?, tail))
        };
        Ok(match self.server.family {
            // The candidate alone is a later state: the current one was retired meanwhile, and this
            // call is late. There is no number to tell it by.
            Family::MariaDb if row.accepts(candidate) && !row.accepts(current) => Vec::new(),
            Family::MariaDb => {
                let passwords = row.methods.iter().filter(|method| method.is_password());
                if both && passwords.count() == 2 {
                    return Ok(Vec::new());
                }
                vec![self.alter(row, &self.identify(row, &[candidate, current])?, "")]
            }
            Family::MySql if both => Vec::new(),
            Family::MySql if first(current) => vec![set(candidate, true)?],
            Family::MySql if first(candidate) => vec![set(current, true)?],
            // Without RETAIN the second password stays.
            Family::MySql if row.second_is(candidate) => vec![set(current, false)?],
            Family::MySql => vec![set(current, false)?, set(candidate, true)?],
        })
    }

    /// Makes the row refuse the account of `dead`: locked, its password nobody's. `None`: the row
    /// has another password by now, so somebody was here later and nothing is to be done.
    pub(super) fn refuse_account(
        &self,
        row: &Row,
        dead: &str,
    ) -> Result<Option<Vec<String>>, Trouble> {
        if !row.accepts(dead) && supported(self, row).is_ok() {
            return Ok(row.locked.then(Vec::new));
        }
        let stored = hash::unusable(self.plugin(row))?;
        let method = Method::new(self.plugin(row), stored);
        let mut all = vec![self.alter(row, &self.identified(&[method]), " ACCOUNT LOCK")];
        all.extend(self.discard(row));
        Ok(Some(all))
    }

    /// Makes the row refuse the password `dead`; `keep` stays or becomes accepted.
    pub(super) fn refuse_password(
        &self,
        row: &Row,
        dead: &str,
        keep: Option<&str>,
    ) -> Result<Vec<String>, Trouble> {
        supported(self, row)?;
        if !row.accepts(dead) {
            return Ok(Vec::new());
        }
        let first = |password| row.methods.iter().any(|method| method.is(password));
        let mut all = Vec::new();
        match keep {
            // MySQL: what is kept is the first already, the other one goes.
            Some(keep) if self.server.family == Family::MySql && first(keep) => {}
            Some(keep) => all.push(self.alter(row, &self.identify(row, &[keep])?, "")),
            None if first(dead) => {
                let method = Method::new(self.plugin(row), hash::unusable(self.plugin(row))?);
                let others = row.methods.iter().filter(|method| !method.is_password());
                let methods: Vec<_> = [method].into_iter().chain(others.cloned()).collect();
                all.push(self.alter(row, &self.identified(&methods), ""));
            }
            None => {}
        }
        all.extend(self.discard(row));
        Ok(all)
    }

    /// A new row with nobody's password, locked, with what `tail` says of limits and TLS.
    pub(super) fn create(&self, host: &str, plugin: &str, tail: &str) -> Result<String, Trouble> {
        let clause = self.identified(&[Method::new(plugin, hash::unusable(plugin)?)]);
        let account = quote::account(self.name, host);
        let space = if tail.is_empty() { "" } else { " " };
        Ok(format!(
            "CREATE USER IF NOT EXISTS {account} {clause}{space}{tail} ACCOUNT LOCK"
        ))
    }

    /// The row exactly as it was read.
    pub(super) fn restore(&self, row: &Row) -> String {
        self.alter(row, &self.identified(&row.methods), "")
    }

    /// The plugin of the row's password.
    pub(super) fn plugin<'b>(&self, row: &'b Row) -> &'b str {
        let known =
            |method: &&Method| matches!(method.plugin.as_str(), hash::NATIVE | hash::CACHING_SHA2);
        let found = row.methods.iter().find(known);
        found.map_or(self.default_plugin(), |method| method.plugin.as_str())
    }

    /// The plugin of accounts that are not there yet.
    pub(super) fn default_plugin(&self) -> &'static str {
        match self.server.family {
            Family::MySql => hash::CACHING_SHA2,
            Family::MariaDb => hash::NATIVE,
        }
    }

    fn discard(&self, row: &Row) -> Option<String> {
        let account = quote::account(self.name, &row.host);
        row.second
            .as_ref()
            .map(|_| format!("ALTER USER {account} DISCARD OLD PASSWORD"))
    }

    /// These passwords in place of the row's; ways in that are no passwords stay.
    fn identify(&self, row: &Row, passwords: &[&str]) -> Result<String, Trouble> {
        let plugin = self.plugin(row);
        let made = passwords
            .iter()
            .map(|password| hash::stored(plugin, password).map(|form| Method::new(plugin, form)));
        let mut methods = made.collect::<Result<Vec<_>, _>>()?;
        methods.extend(row.methods.iter().filter(|m| !m.is_password()).cloned());
        Ok(self.identified(&methods))
    }

    fn identified(&self, methods: &[Method]) -> String {
        let (word, using) = match self.server.family {
            Family::MySql => ("WITH", "AS"),
            Family::MariaDb => ("VIA", "USING"),
        };
        let told = methods.iter().map(|method| {
            let plugin = quote::text(&method.plugin);
            match method.stored.as_str() {
                "" => plugin,
                stored => format!("{plugin} {using} {}", quote::text(stored)),
            }
        });
        format!(
            "IDENTIFIED {word} {}",
            told.collect::<Vec<_>>().join(" OR ")
        )
    }

    fn alter(&self, row: &Row, clause: &str, tail: &str) -> String {
        let account = quote::account(self.name, &row.host);
        let epoch = match self.server.has_attribute() {
            true => {
                let json = format!(r#"{{"scaivault": {{"epoch": {}}}}}"#, self.epoch);
                format!(" ATTRIBUTE {}", quote::text(&json))
            }
            false => String::new(),
        };
        format!("ALTER USER {account} {clause}{tail}{epoch}")
    }
}

/// Passwords under plugins whose stored form cannot be made here are left alone.
fn supported(writer: &Writer<'_>, row: &Row) -> Result<(), Trouble> {
    let known = |method: &Method| match writer.server.family {
        Family::MariaDb => !method.is_password() || method.plugin == hash::NATIVE,
        Family::MySql => matches!(method.plugin.as_str(), hash::NATIVE | hash::CACHING_SHA2),
    };
    if row.methods.iter().all(known) {
        return Ok(());
    }
    let word = match writer.server.family {
        Family::MySql => "WITH",
        Family::MariaDb => "VIA",
    };
    Err(Trouble::new(TroubleKind::Unsupported).remedy(format!(
        "ALTER USER {} IDENTIFIED {word} {}",
        quote::account(writer.name, &row.host),
        writer.default_plugin()
    )))
}

#[cfg(test)]
#[path = "statements_tests.rs"]
mod tests;
