//! Where a server is and how it is spoken to.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::FieldProblem;
use scaivault_core::target::{Trouble, TroubleKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::tls;
use crate::value::setting;

const PORT: u16 = 5432;
const DATABASE: &str = "postgres";
const FIELDS: [&str; 7] = [
    "host",
    "port",
    "database",
    "login_host",
    "login_port",
    "tls",
    "ca_pem",
];

/// A place to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
}

impl Place {
    /// Whether the name can only mean this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.is_loopback())
    }
}

/// The settings of a target.
pub(super) struct Settings<'a> {
    /// Where the manager works.
    pub(super) place: Place,
    /// Where consumers log in, unless their value says otherwise.
    login: Place,
    /// `off` or `verify`; not said: `verify` but on this machine.
    pub(super) tls: Option<&'a str>,
    pub(super) ca_pem: Option<&'a str>,
}

fn port(settings: &Map<String, Value>, field: &str) -> Option<u16> {
    let number = settings.get(field)?.as_u64()?;
    u16::try_from(number).ok().filter(|port| *port != 0)
}

/// What is wrong with settings.
pub(super) fn problems(settings: &Map<String, Value>) -> Vec<FieldProblem> {
    let mut found = Vec::new();
    let mut say = |field: &str, problem: &str| found.push((field.to_owned(), problem.to_owned()));
    if !settings.contains_key("host") {
        say("host", "is required");
    }
    for (field, value) in settings {
        let good = match field.as_str() {
            "port" | "login_port" => port(settings, field).is_some(),
            "tls" => matches!(value.as_str(), Some("off" | "verify")),
            "ca_pem" => value
                .as_str()
                .is_some_and(|pem| tls::authorities(pem).is_some()),
            _ => value
                .as_str()
                .is_some_and(|text| !text.is_empty() && text.len() <= 255 && !text.contains('\0')),
        };
        match field.as_str() {
            "password" | "username" | "user" => say(
                field,
                "credentials are not settings: name the secret with the manager's credential",
            ),
            name if !FIELDS.contains(&name) => say(field, "is not known"),
            "port" | "login_port" if !good => say(field, "is a number from 1 to 65535"),
            "tls" if !good => say(field, "is \"off\" or \"verify\""),
            "ca_pem" if !good => say(field, "is one or more certificates in PEM"),
            _ if !good => say(field, "is a text of 1 to 255 bytes"),
            _ => {}
        }
    }
    found
}

/// What of a value says where its consumer logs in.
#[derive(Deserialize, Default)]
struct Whereabouts {
    host: Option<Value>,
    port: Option<Value>,
    database: Option<Value>,
}

impl<'a> Settings<'a> {
    /// Reads validated settings.
    pub(super) fn read(settings: &'a Map<String, Value>) -> Result<Self, Trouble> {
        let host = setting(settings, "host").ok_or(TroubleKind::Settings)?;
        let place = Place {
            host: host.to_owned(),
            port: port(settings, "port").unwrap_or(PORT),
            database: setting(settings, "database").unwrap_or(DATABASE).to_owned(),
        };
        let login = Place {
            host: setting(settings, "login_host").unwrap_or(host).to_owned(),
            port: port(settings, "login_port").unwrap_or(place.port),
            database: place.database.clone(),
        };
        Ok(Self {
            place,
            login,
            tls: setting(settings, "tls"),
            ca_pem: setting(settings, "ca_pem"),
        })
    }

    /// Where the consumer of `credential` logs in.
    pub(super) fn login_place(&self, credential: &Plaintext) -> Result<Place, Trouble> {
        let said: Whereabouts =
            serde_json::from_slice(credential.expose()).map_err(|_| TroubleKind::Credential)?;
        let mut place = self.login.clone();
        if let Some(Value::String(host)) = said.host {
            place.host = host;
        }
        if let Some(Value::String(database)) = said.database {
            place.database = database;
        }
        place.port = match said.port {
            None | Some(Value::Null) => place.port,
            Some(Value::String(text)) => text.parse().map_err(|_| TroubleKind::Credential)?,
            Some(other) => other
                .as_u64()
                .and_then(|number| u16::try_from(number).ok())
                .ok_or(TroubleKind::Credential)?,
        };
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(settings: Value, fields: &[&str]) {
        let found = problems(settings.as_object().unwrap());
        let names: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(names, fields, "{settings}");
    }

    #[test]
    fn settings_are_judged_by_field() {
        check(json!({}), &["host"]);
        check(json!({"host": "db"}), &[]);
        check(
            json!({"host": "db", "port": 1, "database": "d", "tls": "off"}),
            &[],
        );
        check(json!({"host": "", "port": 0}), &["host", "port"]);
        check(json!({"host": "a\0", "tls": "require"}), &["host", "tls"]);
        check(json!({"host": "db", "port": "5432"}), &["port"]);
        check(
            json!({"host": "db", "password": "x", "sslmode": "x"}),
            &["password", "sslmode"],
        );
        check(json!({"host": "db", "ca_pem": "nonsense"}), &["ca_pem"]);
    }

    #[test]
    fn a_value_may_say_where_its_consumer_logs_in() {
        let settings = json!({"host": "db", "login_host": "pool", "login_port": 6432});
        let settings = settings.as_object().unwrap();
        let settings = Settings::read(settings).unwrap();
        let place = |text: &str| settings.login_place(&Plaintext::new(text.into()));
        let at = |host: &str, port, database: &str| {
            Ok(Place {
                host: host.into(),
                port,
                database: database.into(),
            })
        };
        assert_eq!(place("{}"), at("pool", 6432, "postgres"));
        assert_eq!(place(r#"{"port":"7"}"#), at("pool", 7, "postgres"));
        assert_eq!(
            place(r#"{"host":"h","port":9,"database":"d"}"#),
            at("h", 9, "d")
        );
        assert!(place(r#"{"port":"x"}"#).is_err());
        assert!(place(r#"{"port":70000}"#).is_err());
        assert!(place("no object").is_err());
    }
}
