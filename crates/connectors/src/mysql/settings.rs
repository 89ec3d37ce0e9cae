//! Settings of targets and attachments.

use std::net::IpAddr;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::FieldProblem;
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::value;

const PORT: u16 = 3306;
/// The longest account name of the family that allows more (MariaDB: 128; MySQL: 32).
const NAME_MAX: usize = 128;
const HOST_MAX: usize = 255;

/// Where a server is and how it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) ca_pem: Option<String>,
}

/// Which accounts an attachment is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accounts {
    /// One, or the two that alternate.
    pub(super) names: Vec<String>,
    /// Where accounts that are not there yet are made.
    pub(super) hosts: Vec<String>,
    /// What accounts that are not there yet are given, in place of copied grants.
    pub(super) role: Option<String>,
}

impl Place {
    /// The place the manager goes to.
    pub(super) fn of_manager(settings: &Map<String, Value>) -> Result<Self, Trouble> {
        Self::new(settings, None, None)
    }

    /// The place a consumer of `credential` goes to.
    pub(super) fn of_consumer(
        settings: &Map<String, Value>,
        credential: &Plaintext,
    ) -> Result<Self, Trouble> {
        let login_host = value::setting(settings, "login_host").map(ToOwned::to_owned);
        let host = value::text(credential, "host").map(|host| host.to_string());
        let login_port = settings.get("login_port").and_then(port_of);
        Self::new(
            settings,
            host.or(login_host),
            port_of_value(credential).or(login_port),
        )
    }

    fn new(
        settings: &Map<String, Value>,
        host: Option<String>,
        port: Option<u16>,
    ) -> Result<Self, Trouble> {
        let own = value::setting(settings, "host").map(ToOwned::to_owned);
        let host = host.or(own).ok_or(TroubleKind::Settings)?;
        let port = port.or_else(|| settings.get("port").and_then(port_of));
        let tls = match value::setting(settings, "tls") {
            Some(mode) => mode != "off",
            None => !is_loopback(&host),
        };
        Ok(Self {
            port: port.unwrap_or(PORT),
            ca_pem: value::setting(settings, "ca_pem").map(ToOwned::to_owned),
            host,
            tls,
        })
    }
}

/// Whether a host names this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

fn port_of(value: &Value) -> Option<u16> {
    let number = value.as_u64().and_then(|port| u16::try_from(port).ok());
    number
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        .filter(|port| *port != 0)
}

/// Consumers write ports as numbers or texts.
fn port_of_value(credential: &Plaintext) -> Option<u16> {
    #[derive(Deserialize)]
    struct Object {
        port: Option<Value>,
    }
    let object: Object = serde_json::from_slice(credential.expose()).ok()?;
    port_of(&object.port?)
}

impl Accounts {
    /// The accounts of an attachment.
    pub(super) fn read(account: &Map<String, Value>) -> Result<Self, Trouble> {
        let one = value::setting(account, "account").map(|name| vec![name.to_owned()]);
        let names = one.unwrap_or_else(|| texts(account.get("accounts")));
        if names.is_empty() {
            return Err(TroubleKind::Settings.into());
        }
        let hosts = texts(account.get("hosts"));
        let anywhere = || vec!["%".to_owned()];
        Ok(Self {
            names,
            hosts: if hosts.is_empty() { anywhere() } else { hosts },
            role: value::setting(account, "role").map(ToOwned::to_owned),
        })
    }

    /// The name as it stands in the settings, or trouble.
    pub(super) fn own(&self, name: &str) -> Result<(), Trouble> {
        let found = self.names.iter().any(|own| own == name);
        found.then_some(()).ok_or(TroubleKind::Settings.into())
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

/// Problems of a target's settings.
pub(super) fn check_settings(settings: &Map<String, Value>) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut problem = |field: &str, text: &str| problems.push((field.to_owned(), text.to_owned()));
    if !settings.contains_key("host") {
        problem("host", "is needed");
    }
    for (field, value) in settings {
        match field.as_str() {
            "host" | "login_host" if !is_host(value) => {
                problem(field, "must be a host name or an address");
            }
            "port" | "login_port" if !value.is_u64() || port_of(value).is_none() => {
                problem(field, "must be a number from 1 to 65535");
            }
            "tls" if !matches!(value.as_str(), Some("off" | "verify")) => {
                problem(field, "must be \"verify\" or \"off\"");
            }
            "ca_pem"
                if !value
                    .as_str()
                    .is_some_and(|pem| pem.contains("BEGIN CERTIFICATE")) =>
            {
                problem(field, "must be certificates in PEM");
            }
            "host" | "login_host" | "port" | "login_port" | "tls" | "ca_pem" => {}
            _ => problem(field, unknown(field)),
        }
    }
    problems
}

fn is_host(value: &Value) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    value
        .as_str()
        .is_some_and(|host| !host.is_empty() && host.len() <= HOST_MAX && host.chars().all(plain))
}

fn unknown(field: &str) -> &'static str {
    match field {
        "password" | "username" | "user" | "secret" | "token" => {
            "credentials are never settings: write them into a secret"
        }
        _ => "is not known",
    }
}

/// Problems of an attachment's settings.
pub(super) fn check_account(account: &Map<String, Value>, overlap: Overlap) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut problem = |field: &str, text: &str| problems.push((field.to_owned(), text.to_owned()));
    let needed = match overlap {
        Overlap::TwoUsers => "accounts",
        _ => "account",
    };
    if overlap == Overlap::NKeys {
        problem("overlap", "is not possible here");
    }
    if !account.contains_key(needed) {
        problem(needed, "is needed");
    }
    for (field, value) in account {
        match field.as_str() {
            "accounts" if needed == "accounts" => {
                let names = texts(Some(value));
                let whole = value.as_array().is_some_and(|all| all.len() == 2);
                let good = names.iter().all(|name| is_name(name, NAME_MAX));
                if !whole || names.len() != 2 || names[0] == names[1] || !good {
                    problem(field, "must be two different account names");
                }
            }
            "account" | "role" if field == "role" || needed == "account" => {
                if !value.as_str().is_some_and(|name| is_name(name, NAME_MAX)) {
                    problem(field, "must be a name of at most 128 characters");
                }
            }
            "hosts" => {
                let hosts = texts(Some(value));
                let whole = value.as_array().is_some_and(|all| all.len() == hosts.len());
                if !whole || hosts.is_empty() || !hosts.iter().all(|h| is_name(h, HOST_MAX)) {
                    problem(field, "must be a list of hosts as in 'user'@'host'");
                }
            }
            _ => problem(field, unknown(field)),
        }
    }
    problems
}

/// Names that a server stores as they are: it trims blanks and ends at NUL.
fn is_name(name: &str, max: usize) -> bool {
    !name.is_empty()
        && name.chars().count() <= max
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn problems_name_their_field() {
        let fields = |problems: Vec<FieldProblem>| -> Vec<String> {
            problems.into_iter().map(|(field, _)| field).collect()
        };
        let check = |value| fields(check_settings(&map(value)));
        assert!(check(json!({"host": "db", "port": 3306, "tls": "verify"})).is_empty());
        assert_eq!(check(json!({})), ["host"]);
        assert_eq!(
            check(json!({"host": "a b", "port": 0, "tls": "maybe", "ca_pem": "", "password": ""})),
            ["ca_pem", "host", "password", "port", "tls"]
        );
        let check = |value, overlap| fields(check_account(&map(value), overlap));
        assert!(
            check(
                json!({"accounts": ["a", "b"], "role": "r"}),
                Overlap::TwoUsers
            )
            .is_empty()
        );
        assert!(check(json!({"account": "a"}), Overlap::TwoPasswords).is_empty());
        assert_eq!(
            check(json!({"accounts": ["a", "a"]}), Overlap::TwoUsers),
            ["accounts"]
        );
        assert_eq!(check(json!({"account": "a\0"}), Overlap::None), ["account"]);
        assert_eq!(
            check(json!({"account": "a", "hosts": []}), Overlap::None),
            ["hosts"]
        );
    }

    #[test]
    fn consumers_go_where_their_value_says() {
        let settings = map(json!({"host": "db.example", "login_host": "proxy.example",
            "login_port": 6033}));
        let go = |text: &str| {
            Place::of_consumer(&settings, &Plaintext::new(text.as_bytes().to_vec())).unwrap()
        };
        let place = go("{}");
        assert_eq!(
            (place.host.as_str(), place.port, place.tls),
            ("proxy.example", 6033, true)
        );
        let place = go(r#"{"host":"127.0.0.1","port":"3307"}"#);
        assert_eq!(
            (place.host.as_str(), place.port, place.tls),
            ("127.0.0.1", 3307, false)
        );
        assert_eq!(Place::of_manager(&settings).unwrap().port, PORT);
    }
}
