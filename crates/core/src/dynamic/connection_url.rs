//! Where an engine connects to, as people write it: `postgresql://{{username}}:{{password}}@host:5432/db`,
//! `{{username}}:{{password}}@tcp(host:3306)/`, `redis://host:6379`. What comes of it are settings of
//! a target. Credentials have no place in it: they lie in the secret that the engine names.

use serde_json::{Map, Value};

/// Why a URL was refused. Repeats nothing of it: people put passwords into URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionUrlError {
    /// Not a URL of this kind.
    #[error("is not a connection URL such as {0}")]
    Malformed(&'static str),
    /// With a user or password of its own.
    #[error(
        "holds a credential: write {{{{username}}}} and {{{{password}}}} there, and put the credential into the secret at root_credentials_path"
    )]
    Credential,
    /// With several hosts.
    #[error("names several hosts: name one, or a name that stands for them")]
    Hosts,
    /// With a parameter that means nothing here.
    #[error(
        "has a parameter that is not known here: sslmode, tls and ssl are; what else the target takes is a setting"
    )]
    Parameter,
}

/// The settings that a URL stands for.
///
/// # Errors
/// [`ConnectionUrlError`].
pub fn settings_of(plugin: &str, url: &str) -> Result<Map<String, Value>, ConnectionUrlError> {
    let example = example_of(plugin);
    let malformed = ConnectionUrlError::Malformed(example);
    let url = url.trim();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    let known: &[&str] = match plugin {
        "postgresql" => &["postgresql", "postgres"],
        "mysql" => &["mysql", "mariadb"],
        "redis" => &["redis", "rediss"],
        _ => &["https", "http"],
    };
    if scheme.is_some_and(|scheme| !known.contains(&scheme))
        || scheme.is_none() && plugin != "mysql"
    {
        return Err(malformed);
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (user, place),
        None => ("", rest),
    };
    if ![
        "",
        "{{username}}",
        "{{username}}:{{password}}",
        "{{username}}:{{password}}@",
    ]
    .contains(&user)
    {
        return Err(ConnectionUrlError::Credential);
    }
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    // Go programs write mysql's so.
    let authority = match authority.strip_prefix("tcp(") {
        Some(inner) => inner.strip_suffix(')').ok_or(malformed)?,
        None => authority,
    };
    if authority.contains(',') {
        return Err(ConnectionUrlError::Hosts);
    }
    let (host, port) = host_and_port(authority).ok_or(malformed)?;
    let mut settings = Map::new();
    settings.insert("host".to_owned(), Value::from(host));
    if let Some(port) = port {
        settings.insert("port".to_owned(), Value::from(port));
    }
    if !database.is_empty() && plugin == "postgresql" {
        settings.insert("database".to_owned(), Value::from(database));
    }
    if scheme == Some("rediss") {
        settings.insert("tls".to_owned(), Value::from("verify"));
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let tls = match (name, value) {
            ("sslmode" | "ssl-mode", "disable" | "DISABLED") => Some("off"),
            ("sslmode" | "ssl-mode", "allow" | "prefer" | "PREFERRED") => None,
            ("sslmode" | "ssl-mode", "require" | "verify-ca" | "verify-full")
            | ("ssl-mode", "REQUIRED" | "VERIFY_CA" | "VERIFY_IDENTITY")
            | ("tls" | "ssl", "true" | "preferred" | "custom") => Some("verify"),
            ("tls" | "ssl", "false") => Some("off"),
            _ => return Err(ConnectionUrlError::Parameter),
        };
        if let Some(tls) = tls {
            settings.insert("tls".to_owned(), Value::from(tls));
        }
    }
    Ok(settings)
}

fn example_of(plugin: &str) -> &'static str {
    match plugin {
        "postgresql" => "postgresql://{{username}}:{{password}}@db.example.com:5432/postgres",
        "mysql" => "{{username}}:{{password}}@tcp(db.example.com:3306)/",
        "redis" => "rediss://cache.example.com:6379",
        _ => "https://api.example.com",
    }
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inside, behind) = rest.split_once(']')?;
            (inside, behind.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 255 || !host.chars().all(sound) {
        return None;
    }
    match port {
        Some(port) => Some((host, Some(port.parse().ok().filter(|port| *port != 0)?))),
        None => Some((host, None)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(plugin: &str, url: &str) -> Value {
        Value::Object(settings_of(plugin, url).unwrap())
    }

    #[test]
    fn urls_become_settings() {
        let url = "postgresql://{{username}}:{{password}}@db:6432/orders?sslmode=verify-full";
        let expect = json!({"host": "db", "port": 6432, "database": "orders", "tls": "verify"});
        assert_eq!(read("postgresql", url), expect);
        let url = "postgres://{{username}}:{{password}}@[::1]:5432/?sslmode=disable";
        assert_eq!(
            read("postgresql", url),
            json!({"host": "::1", "port": 5432, "tls": "off"})
        );
        let url = "{{username}}:{{password}}@tcp(127.0.0.1:3306)/?tls=true";
        assert_eq!(
            read("mysql", url),
            json!({"host": "127.0.0.1", "port": 3306, "tls": "verify"})
        );
        assert_eq!(
            read("redis", "rediss://cache"),
            json!({"host": "cache", "tls": "verify"})
        );
        assert_eq!(
            read("postgresql", "postgresql://db/x?sslmode=prefer"),
            json!({"host": "db", "database": "x"})
        );
    }

    #[test]
    fn what_is_no_such_url_is_refused_without_being_repeated() {
        for (plugin, url) in [
            ("postgresql", "postgresql://admin:hunter2@db/x"),
            ("postgresql", "postgresql://admin@db/x"),
            ("mysql", "root:hunter2@tcp(db:3306)/"),
        ] {
            let error = settings_of(plugin, url).unwrap_err();
            assert_eq!(error, ConnectionUrlError::Credential);
            assert!(!error.to_string().contains("hunter2"));
        }
        let hosts = settings_of("postgresql", "postgresql://a,b/x");
        assert_eq!(hosts, Err(ConnectionUrlError::Hosts));
        let odd = settings_of("postgresql", "postgresql://a/x?options=-c");
        assert_eq!(odd, Err(ConnectionUrlError::Parameter));
        for (plugin, url) in [
            ("postgresql", "db:5432"),
            ("postgresql", "mysql://db"),
            ("postgresql", "postgresql://"),
            ("postgresql", "postgresql://db:0/x"),
            ("postgresql", "postgresql://db:99999/x"),
            ("postgresql", "postgresql://d b/x"),
            ("mysql", "@tcp(db:3306/"),
            ("redis", "[::1"),
        ] {
            let error = settings_of(plugin, url).unwrap_err();
            assert!(
                matches!(error, ConnectionUrlError::Malformed(_)),
                "{url}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_settings_or_refused(url in "[a-z:/@?=&(){}\\[\\]%0-9.,-]{0,60}") {
            for plugin in ["postgresql", "mysql", "redis", "http_key"] {
                if let Ok(settings) = settings_of(plugin, &url) {
                    prop_assert!(settings.contains_key("host"));
                }
            }
        }
    }
}
