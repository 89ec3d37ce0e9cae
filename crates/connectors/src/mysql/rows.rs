//! Accounts as the server stores them: a name may have several rows, one per host.

use serde_json::Value;

use scaivault_core::target::{Trouble, TroubleKind};

use super::hash;
use super::quote;
use super::server::{Family, Server};
use super::session::Session;

/// One way to prove an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) plugin: String,
    /// The password's stored form; empty where the plugin has none.
    pub(super) stored: String,
}

/// One `'name'@'host'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) host: String,
    /// MariaDB: any of them suffices. MySQL: one.
    pub(super) methods: Vec<Method>,
    /// MySQL: the password kept beside the first.
    pub(super) second: Option<String>,
    pub(super) locked: bool,
    /// MySQL: our number.
    pub(super) epoch: Option<u64>,
}

impl Method {
    pub(super) fn new(plugin: &str, stored: String) -> Self {
        Self {
            plugin: plugin.to_owned(),
            stored,
        }
    }

    /// Whether it is a password that the server itself keeps.
    pub(super) fn is_password(&self) -> bool {
        ["password", "ed25519", "parsec"]
            .iter()
            .any(|word| self.plugin.contains(word))
    }

    /// Whether this password satisfies it.
    pub(super) fn is(&self, password: &str) -> bool {
        hash::matches(&self.plugin, &self.stored, password)
    }
}

impl Row {
    /// Whether the server accepts this password here, the lock aside.
    pub(super) fn accepts(&self, password: &str) -> bool {
        self.methods.iter().any(|method| method.is(password)) || self.second_is(password)
    }

    /// Whether this is the password kept beside the first.
    pub(super) fn second_is(&self, password: &str) -> bool {
        let plugin = self.methods.first().map(|method| method.plugin.as_str());
        let second = plugin.zip(self.second.as_deref());
        second.is_some_and(|(plugin, stored)| hash::matches(plugin, stored, password))
    }
}

/// The rows of a name, by host.
pub(super) async fn of(
    session: &mut Session,
    server: &Server,
    name: &str,
) -> Result<Vec<Row>, Trouble> {
    let literal = quote::text(name);
    let mut rows = Vec::new();
    match server.family {
        Family::MariaDb => {
            let sql = format!(
                "SELECT CAST(User AS CHAR), CAST(Host AS CHAR), CAST(Priv AS CHAR) \
                 FROM mysql.global_priv WHERE User = {literal}"
            );
            for (user, host, privs) in session.rows::<(String, String, String)>(&sql).await? {
                if user == name {
                    rows.extend(of_json(host, &privs)?);
                }
            }
        }
        Family::MySql => {
            let sql = format!(
                "SELECT User, Host, plugin, CAST(authentication_string AS CHAR), \
                 CAST(account_locked AS CHAR), CAST(User_attributes AS CHAR) \
                 FROM mysql.user WHERE User = {literal}"
            );
            type Stored = (
                String,
                String,
                String,
                Option<String>,
                String,
                Option<String>,
            );
            for (user, host, plugin, stored, locked, attributes) in
                session.rows::<Stored>(&sql).await?
            {
                if user == name {
                    let method = Method {
                        plugin,
                        stored: stored.unwrap_or_default(),
                    };
                    rows.push(of_columns(host, method, &locked, attributes.as_deref())?);
                }
            }
        }
    }
    rows.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(rows)
}

/// A row of MariaDB; `None` for roles.
fn of_json(host: String, privs: &str) -> Result<Option<Row>, Trouble> {
    let privs: Value = serde_json::from_str(privs).map_err(|_| TroubleKind::Protocol)?;
    if privs.get("is_role").and_then(Value::as_bool) == Some(true) {
        return Ok(None);
    }
    let method = |value: &Value| {
        let text = |field| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let plugin = match text("plugin") {
            "" => hash::NATIVE,
            named => named,
        };
        Method::new(plugin, text("authentication_string").to_owned())
    };
    // An empty object in the list stands for the fields of the row itself.
    let methods = match privs.get("auth_or").and_then(Value::as_array) {
        Some(all) => all
            .iter()
            .map(|one| match one.get("plugin") {
                Some(_) => method(one),
                None => method(&privs),
            })
            .collect(),
        None => vec![method(&privs)],
    };
    Ok(Some(Row {
        host,
        methods,
        second: None,
        locked: privs.get("account_locked").and_then(Value::as_bool) == Some(true),
        epoch: None,
    }))
}

/// A row of MySQL.
fn of_columns(
    host: String,
    method: Method,
    locked: &str,
    attributes: Option<&str>,
) -> Result<Row, Trouble> {
    let attributes: Value = match attributes {
        Some(text) => serde_json::from_str(text).map_err(|_| TroubleKind::Protocol)?,
        None => Value::Null,
    };
    let second = attributes
        .get("additional_password")
        .and_then(Value::as_str);
    let epoch = attributes.pointer("/metadata/scaivault/epoch");
    Ok(Row {
        host,
        methods: vec![method],
        second: second
            .filter(|text| !text.is_empty())
            .map(ToOwned::to_owned),
        locked: locked == "Y",
        epoch: epoch.and_then(Value::as_u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_families_are_read() {
        let row = of_json(
            "%".into(),
            r#"{"plugin":"mysql_native_password","authentication_string":"*A","account_locked":true,
                "auth_or":[{"plugin":"unix_socket"},{},
                {"plugin":"mysql_native_password","authentication_string":"*B"}]}"#,
        );
        let row = row.unwrap().unwrap();
        let told: Vec<_> = row
            .methods
            .iter()
            .map(|m| (m.plugin.as_str(), m.stored.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("unix_socket", ""),
                (hash::NATIVE, "*A"),
                (hash::NATIVE, "*B")
            ]
        );
        assert!(row.locked && !row.methods[0].is_password() && row.methods[1].is_password());
        assert_eq!(of_json("".into(), r#"{"is_role":true}"#).unwrap(), None);

        let form = hash::stored(hash::CACHING_SHA2, "old").unwrap();
        let attributes = serde_json::json!({"additional_password": form,
            "metadata": {"scaivault": {"epoch": 7}, "other": 1}});
        let method = Method::new(
            hash::CACHING_SHA2,
            hash::stored(hash::CACHING_SHA2, "new").unwrap(),
        );
        let row = of_columns("h".into(), method, "N", Some(&attributes.to_string())).unwrap();
        assert!(row.accepts("old") && row.accepts("new") && !row.accepts("other"));
        assert!(row.second_is("old") && !row.second_is("new"));
        assert_eq!((row.locked, row.epoch), (false, Some(7)));
    }
}
