//! Settings of a target and of an attachment, checked without any I/O.

use scaivault_core::ports::FieldProblem;
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value};

use crate::tls;

/// The port when none is given.
const PORT: u16 = 6379;
/// More nodes than any set that is changed by hand has.
const NODES_MAX: usize = 64;
/// The longest name of a user.
const NAME_MAX: usize = 256;
/// Fields people write credentials into.
const CREDENTIALS: [&str; 10] = [
    "password",
    "username",
    "user",
    "auth",
    "token",
    "secret",
    "url",
    "uri",
    "dsn",
    "requirepass",
];

/// One server of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Where and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) nodes: Vec<Node>,
    /// Whether connections are encrypted and verified; `None`: all but those to loopback hosts.
    pub(crate) tls: Option<bool>,
    pub(crate) ca_pem: Option<String>,
    /// Whether users that a restart forgets are accepted.
    pub(crate) volatile_ok: bool,
}

impl Site {
    /// Reads a target's settings.
    pub(crate) fn parse(settings: &Map<String, Value>) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        let mut bad = |field: &str, problem: &str| {
            problems.push((field.to_owned(), problem.to_owned()));
        };
        let mut site = Self {
            nodes: Vec::new(),
            tls: None,
            ca_pem: None,
            volatile_ok: false,
        };
        let (mut host, mut port) = (None, None);
        for (field, value) in settings {
            match (field.as_str(), value) {
                ("host", Value::String(text)) if is_host(text) => host = Some(text.clone()),
                ("host", _) => bad(field, "is the name or address of a host"),
                ("port", value) => match port_of(value) {
                    Some(number) => port = Some(number),
                    None => bad(field, "is a number from 1 to 65535"),
                },
                ("nodes", value) => match nodes_of(value) {
                    Some(nodes) => site.nodes = nodes,
                    None => bad(field, "is a list of 1 to 64 different texts `host:port`"),
                },
                ("tls", Value::String(text)) if text == "off" => site.tls = Some(false),
                ("tls", Value::String(text)) if text == "verify" => site.tls = Some(true),
                ("tls", _) => bad(field, "is `off` or `verify`"),
                ("ca_pem", Value::String(text)) if tls::authorities(text).is_some() => {
                    site.ca_pem = Some(text.clone());
                }
                ("ca_pem", _) => bad(field, "is a certificate in PEM form"),
                ("volatile_ok", Value::Bool(yes)) => site.volatile_ok = *yes,
                ("volatile_ok", _) => bad(field, "is true or false"),
                (name, _) if CREDENTIALS.contains(&name) => {
                    bad(
                        field,
                        "credentials are never settings: they lie in the manager secret",
                    );
                }
                _ => bad(field, "is not a setting of this connector"),
            }
        }
        match (host, site.nodes.is_empty()) {
            (Some(host), true) => site.nodes.push(Node {
                host,
                port: port.unwrap_or(PORT),
            }),
            (None, true) if !settings.contains_key("host") && !settings.contains_key("nodes") => {
                bad("host", "is needed, or `nodes`");
            }
            (Some(_), false) => bad(
                "host",
                "stands alone or not at all: `nodes` names every node",
            ),
            (None, false) if port.is_some() => bad("port", "is part of each of the `nodes`"),
            _ => {}
        }
        if problems.is_empty() {
            Ok(site)
        } else {
            Err(problems)
        }
    }

    /// The same of settings that were checked before.
    pub(crate) fn of(settings: &Map<String, Value>) -> Result<Self, Trouble> {
        Self::parse(settings).map_err(|_| TroubleKind::Settings.into())
    }

    /// Whether connections to this node are encrypted.
    pub(crate) fn encrypts(&self, node: &Node) -> bool {
        self.tls.unwrap_or_else(|| !is_loopback(&node.host))
    }
}

/// The account or accounts of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// One user with several passwords.
    One(String),
    /// Two users with the same rules.
    Two([String; 2]),
}

impl Account {
    /// Reads an attachment's settings.
    pub(crate) fn parse(
        account: &Map<String, Value>,
        overlap: Overlap,
    ) -> Result<Self, Vec<FieldProblem>> {
        let problem = |field: &str, text: &str| Err(vec![(field.to_owned(), text.to_owned())]);
        let field = match overlap {
            Overlap::TwoPasswords => "account",
            Overlap::TwoUsers => "accounts",
            Overlap::NKeys | Overlap::None => {
                return problem("overlap", "is `two_passwords` or `two_users`");
            }
        };
        if let Some(other) = account.keys().find(|key| *key != field) {
            return problem(other, "is not a field of an attachment of this connector");
        }
        let Some(value) = account.get(field) else {
            return problem(field, "is needed");
        };
        match (overlap, value) {
            (Overlap::TwoPasswords, Value::String(name)) if is_name(name) => {
                Ok(Self::One(name.clone()))
            }
            (Overlap::TwoPasswords, _) => {
                problem(field, "is the name of a user, without white space")
            }
            (_, Value::Array(names)) => {
                let names: Option<Vec<_>> = names.iter().map(name_of).collect();
                match names.as_deref() {
                    Some([a, b]) if a != b => Ok(Self::Two([a.clone(), b.clone()])),
                    _ => problem(
                        field,
                        "is a list of two different users, neither of them `default`",
                    ),
                }
            }
            _ => problem(field, "is a list of two different users"),
        }
    }

    /// The same of an attachment that was checked before.
    pub(crate) fn of(account: &Map<String, Value>, overlap: Overlap) -> Result<Self, Trouble> {
        Self::parse(account, overlap).map_err(|_| TroubleKind::Settings.into())
    }

    /// The users.
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Two(names) => names,
        }
    }

    /// Whether the user is one of them.
    pub(crate) fn has(&self, user: &str) -> bool {
        self.names().iter().any(|name| name == user)
    }
}

/// `default` is what every connection is before it logs in: it is not switched off and on.
fn name_of(value: &Value) -> Option<String> {
    let name = value.as_str()?;
    (is_name(name) && name != "default").then(|| name.to_owned())
}

/// Redis takes any user name without white space and NUL.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !c.is_control();
    !text.is_empty() && text.len() <= NAME_MAX && text.chars().all(fits)
}

fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    !text.is_empty() && text.len() <= 253 && text.chars().all(fits)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn port_of(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok().filter(|port| *port > 0)
}

fn nodes_of(value: &Value) -> Option<Vec<Node>> {
    let list = value.as_array()?;
    let nodes: Vec<Node> = list.iter().map(node_of).collect::<Option<_>>()?;
    let twice = (1..nodes.len()).any(|at| nodes[..at].contains(&nodes[at]));
    ((1..=NODES_MAX).contains(&nodes.len()) && !twice).then_some(nodes)
}

fn node_of(value: &Value) -> Option<Node> {
    let (host, port) = value.as_str()?.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return None;
    }
    let host = bare.unwrap_or(host).to_owned();
    let port = port.parse().ok().filter(|port| *port > 0)?;
    is_host(&host).then_some(Node { host, port })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(settings: &Value, expect: Result<&[(&str, u16)], &str>) {
        let read = Site::parse(settings.as_object().expect("an object"));
        match (read, expect) {
            (Ok(site), Ok(nodes)) => {
                let read: Vec<_> = site
                    .nodes
                    .iter()
                    .map(|n| (n.host.as_str(), n.port))
                    .collect();
                assert_eq!(read, nodes, "{settings}");
            }
            (Err(problems), Err(field)) => {
                assert!(
                    problems.iter().any(|(name, _)| name == field),
                    "{problems:?}"
                );
            }
            (read, _) => panic!("{settings}: {read:?}"),
        }
    }

    #[test]
    fn settings_are_read_as_documented() {
        check(&json!({"host": "db"}), Ok(&[("db", 6379)]));
        check(
            &json!({"host": "db", "port": 7000, "tls": "off"}),
            Ok(&[("db", 7000)]),
        );
        let nodes = json!({"nodes": ["a:1", "[::1]:2"], "volatile_ok": true});
        check(&nodes, Ok(&[("a", 1), ("::1", 2)]));
        for (settings, field) in [
            (json!({}), "host"),
            (json!({"host": ""}), "host"),
            (json!({"host": "a/b"}), "host"),
            (json!({"host": "a", "port": 0}), "port"),
            (json!({"host": "a", "nodes": ["a:1"]}), "host"),
            (json!({"nodes": []}), "nodes"),
            (json!({"nodes": ["a:1", "a:1"]}), "nodes"),
            (json!({"nodes": ["a"]}), "nodes"),
            (json!({"nodes": ["::1:7"]}), "nodes"),
            (json!({"nodes": ["a:1"], "port": 7}), "port"),
            (json!({"host": "a", "tls": "require"}), "tls"),
            (json!({"host": "a", "ca_pem": "x"}), "ca_pem"),
            (json!({"host": "a", "volatile_ok": 1}), "volatile_ok"),
            (json!({"host": "a", "password": "x"}), "password"),
            (json!({"host": "a", "db": 1}), "db"),
        ] {
            check(&settings, Err(field));
        }
    }

    #[test]
    fn only_loopback_is_plain_by_itself() {
        let site = |settings: Value| Site::of(settings.as_object().expect("an object")).unwrap();
        for (host, encrypts) in [("localhost", false), ("127.0.0.9", false), ("::1", false)]
            .into_iter()
            .chain([("db", true), ("10.0.0.1", true), ("localhost.evil", true)])
        {
            let site = site(json!({"host": host}));
            assert_eq!(site.encrypts(&site.nodes[0]), encrypts, "{host}");
        }
        let forced = site(json!({"host": "localhost", "tls": "verify"}));
        assert!(forced.encrypts(&forced.nodes[0]));
    }

    #[test]
    fn accounts_are_read_as_documented() {
        let read = |account: Value, overlap| {
            Account::parse(account.as_object().expect("an object"), overlap)
        };
        let one = read(json!({"account": "app"}), Overlap::TwoPasswords).unwrap();
        assert_eq!(one, Account::One("app".into()));
        let two = read(json!({"accounts": ["a", "b"]}), Overlap::TwoUsers).unwrap();
        assert_eq!(two, Account::Two(["a".into(), "b".into()]));
        for (account, overlap) in [
            (json!({}), Overlap::TwoPasswords),
            (json!({"account": "a b"}), Overlap::TwoPasswords),
            (json!({"account": "a\n"}), Overlap::TwoPasswords),
            (json!({"account": "a", "more": 1}), Overlap::TwoPasswords),
            (json!({"account": "a"}), Overlap::TwoUsers),
            (json!({"accounts": ["a", "a"]}), Overlap::TwoUsers),
            (json!({"accounts": ["a"]}), Overlap::TwoUsers),
            (json!({"accounts": ["a", "default"]}), Overlap::TwoUsers),
            (json!({"account": "a"}), Overlap::None),
        ] {
            assert!(read(account.clone(), overlap).is_err(), "{account}");
        }
    }
}
