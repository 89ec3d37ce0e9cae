//! The fields of `{mount}/config/{name}`: what they come to here, which of them are refused because
//! leaving them out would mean something else, and which are taken though they change nothing.

use scaivault_api::ErrorCode;
use scaivault_core::dynamic::{
    Connection, Engine, NameTemplate, is_usual_rotation, settings_of, without_credential,
};
use scaivault_core::plaintext::Plaintext;
use serde_json::{Map, Value};

use super::fields::{Fields, wrong};
use super::statements::statements;
use crate::problem::Problem;

/// Their plugins, by ours. The first one of each is told of engines that were made by our own API.
const PLUGINS: [(&str, &str); 9] = [
    ("postgresql", "postgresql-database-plugin"),
    ("mysql", "mysql-database-plugin"),
    ("mysql", "mysql-aurora-database-plugin"),
    ("mysql", "mysql-rds-database-plugin"),
    ("mysql", "mysql-legacy-database-plugin"),
    ("mysql", "mariadb-database-plugin"),
    ("redis", "redis-database-plugin"),
    ("redis", "valkey-database-plugin"),
    ("postgresql", "postgres-database-plugin"),
];
/// Settings of ours that a URL, or a host and port, stand for.
const PLACE: [&str; 4] = ["host", "port", "database", "tls"];
/// Taken, kept to be shown, and without any effect here.
const HARMLESS: [(&str, &str); 6] = [
    (
        "max_open_connections",
        "is not heeded: twelve sessions of the account at a time, for each node",
    ),
    (
        "max_idle_connections",
        "is not heeded: few sessions are kept, and not for long",
    ),
    (
        "max_connection_lifetime",
        "is not heeded: sessions are closed soon",
    ),
    (
        "plugin_version",
        "is not heeded: there is one, of this server",
    ),
    (
        "password_authentication",
        "is not heeded: passwords are always sent as verifiers",
    ),
    (
        "disable_escaping",
        "is not heeded: nothing that is filled in needs escaping",
    ),
];
/// What would be something else without it.
const REFUSED: [(&str, &str); 16] = [
    (
        "password_policy",
        "is not known here: passwords are made here, of 256 random bits or as a secret policy says",
    ),
    ("auth_type", "is not known here: username and password are"),
    ("service_account_json", "is not known here"),
    (
        "tls_certificate",
        "is not known here: username and password are",
    ),
    (
        "tls_certificate_key",
        "is not known here: username and password are",
    ),
    (
        "private_key",
        "is not known here: username and password are",
    ),
    (
        "tls_server_name",
        "is not known here: connect by the name in the certificate",
    ),
    (
        "tls_skip_verify",
        "is not done here: give the authority as tls_ca",
    ),
    (
        "insecure_tls",
        "is not done here: give the authority as ca_cert",
    ),
    (
        "self_managed",
        "is not known here: static roles are changed by the connection's account",
    ),
    ("use_private_ip", "is not known here"),
    ("use_psc", "is not known here"),
    (
        "skip_static_role_import_rotation",
        "is not done here: a static role's password is rotated when it is made, for nobody else is to \
         know it",
    ),
    (
        "rotation_period",
        "is a rotation policy here: rotate once by rotate-root, then change the policy engine-roots",
    ),
    (
        "rotation_schedule",
        "is a rotation policy here: rotate once by rotate-root, then change the policy engine-roots",
    ),
    (
        "rotation_window",
        "is a rotation policy here: rotate once by rotate-root, then change the policy engine-roots",
    ),
];
const KNOWN: [&str; 15] = [
    "plugin_name",
    "connection_url",
    "username",
    "password",
    "allowed_roles",
    "verify_connection",
    "root_rotation_statements",
    "root_credentials_rotate_statements",
    "username_template",
    "host",
    "port",
    "tls",
    "tls_ca",
    "ca_cert",
    "disable_automated_rotation",
];

/// What a plugin of ours is called there.
pub(super) fn plugin_name(plugin: &str) -> &str {
    let found = PLUGINS.iter().find(|(own, _)| *own == plugin);
    found.map_or(plugin, |(_, name)| name)
}

/// What a request says of a connection, laid over the one that is there.
pub(super) struct Given {
    pub(super) plugin: String,
    pub(super) settings: Map<String, Value>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Plaintext>,
    pub(super) connection: Connection,
    pub(super) verify: bool,
    pub(super) warnings: Vec<String>,
}

impl Given {
    pub(super) fn of(fields: &Fields, stored: Option<&Engine>) -> Result<Self, Problem> {
        for (field, why) in REFUSED {
            let text = fields.text(field)?;
            if !matches!(text.as_deref(), None | Some("" | "0" | "false")) {
                return Err(wrong(field, why));
            }
        }
        let (mut connection, is_new) = match stored {
            Some(engine) => (engine.connection.clone(), false),
            None => (None, true),
        };
        let native = || Connection {
            allowed_roles: vec!["*".to_owned()],
            ..Connection::default()
        };
        if !is_new {
            connection = connection.or_else(|| Some(native()));
        }
        let mut connection = connection.unwrap_or_default();
        let plugin = plugin(fields, stored, &mut connection)?;
        let mut given = Self {
            plugin,
            settings: Map::new(),
            username: fields.text("username")?.filter(|text| !text.is_empty()),
            password: fields
                .text("password")?
                .filter(|text| !text.is_empty())
                .map(|text| Plaintext::new(text.into_bytes())),
            connection,
            verify: fields.flag("verify_connection")?.unwrap_or(true),
            warnings: Vec::new(),
        };
        given.place(fields, is_new)?;
        given.terms(fields)?;
        let harmless = HARMLESS.iter().map(|(field, _)| *field);
        let refused = REFUSED.iter().map(|(field, _)| *field);
        let known: Vec<&str> = KNOWN.into_iter().chain(harmless).chain(refused).collect();
        given.warnings.extend(fields.unknown(&known));
        Ok(given)
    }

    /// Where it is.
    fn place(&mut self, fields: &Fields, is_new: bool) -> Result<(), Problem> {
        let url = fields.text("connection_url")?.filter(|url| !url.is_empty());
        let settings = match (&url, fields.text("host")?) {
            (Some(url), _) => {
                let (clean, username, password) = without_credential(url);
                let settings = settings_of(&self.plugin, &clean)
                    .map_err(|error| wrong("connection_url", &error.to_string()))?;
                if username.is_some() || password.is_some() {
                    self.warnings.push(
                        "connection_url holds a credential: it was taken out of it, and is kept \
                         sealed. Write {{username}} and {{password}} there"
                            .to_owned(),
                    );
                }
                self.username = username.or(self.username.take());
                self.password = password
                    .map(|text| Plaintext::new(text.into_bytes()))
                    .or(self.password.take());
                self.show("connection_url", clean.into());
                Some(settings)
            }
            (None, Some(host)) if self.plugin == "redis" => {
                let mut settings = Map::new();
                settings.insert("host".to_owned(), host.clone().into());
                self.show("host", host.into());
                if let Some(port) = fields.number("port")? {
                    settings.insert("port".to_owned(), port.into());
                    self.show("port", port.into());
                }
                let tls = fields.flag("tls")?.unwrap_or(false);
                self.show("tls", tls.into());
                let word = if tls { "verify" } else { "off" };
                settings.insert("tls".to_owned(), word.into());
                Some(settings)
            }
            (None, _) if is_new => {
                let field = match self.plugin.as_str() {
                    "redis" => "host",
                    _ => "connection_url",
                };
                return Err(wrong(field, "is needed"));
            }
            (None, _) => None,
        };
        if let Some(settings) = settings {
            // What the one before said and this one does not say is gone.
            if !is_new {
                for field in PLACE {
                    self.settings.insert(field.to_owned(), Value::Null);
                }
            }
            self.settings.extend(settings);
        }
        for field in ["tls_ca", "ca_cert"] {
            if let Some(pem) = fields.text(field)?.filter(|pem| !pem.is_empty()) {
                self.settings
                    .insert("ca_pem".to_owned(), pem.clone().into());
                self.show(field, pem.into());
            }
        }
        if let Some(username) = self.username.clone() {
            self.show("username", username.into());
        }
        Ok(())
    }

    /// Who may use it, and how.
    fn terms(&mut self, fields: &Fields) -> Result<(), Problem> {
        if let Some(roles) = fields.texts("allowed_roles")? {
            self.connection.allowed_roles = roles;
        }
        for field in [
            "root_rotation_statements",
            "root_credentials_rotate_statements",
        ] {
            let Some(texts) = statements(fields, field)? else {
                continue;
            };
            if !texts.iter().all(|text| is_usual_rotation(text)) {
                return Err(wrong(
                    field,
                    "are not run here: the account's password is changed by the connector, tried, \
                     and put back when it is not let in. Leave them out",
                ));
            }
            self.show("root_rotation_statements", texts.into());
        }
        if let Some(template) = fields.text("username_template")? {
            let template = Some(template).filter(|text| !text.is_empty());
            if let Some(text) = &template {
                NameTemplate::parse(text)
                    .map_err(|error| wrong("username_template", &format!("is refused: {error}")))?;
            }
            self.connection.username_template = template;
        }
        for (field, why) in HARMLESS {
            if let Some(value) = fields.value(field)? {
                let is_empty = matches!(&value, Value::String(text) if text.is_empty());
                if value.is_object() || value.is_array() {
                    return Err(wrong(field, "is a number or a text"));
                }
                self.show(field, value);
                if !is_empty {
                    self.warnings.push(format!("{field} {why}"));
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, field: &str, value: Value) {
        self.connection.shown.insert(field.to_owned(), value);
    }
}

fn plugin(
    fields: &Fields,
    stored: Option<&Engine>,
    connection: &mut Connection,
) -> Result<String, Problem> {
    let Some(name) = fields.text("plugin_name")?.filter(|name| !name.is_empty()) else {
        let stored = stored.map(|engine| engine.plugin.clone());
        return stored.ok_or_else(|| wrong("plugin_name", "is needed"));
    };
    let found = PLUGINS.iter().find(|(_, theirs)| *theirs == name);
    let Some((plugin, _)) = found else {
        return Err(Problem::new(
            ErrorCode::InvalidRequest,
            "plugin_name is one of postgresql-database-plugin, mysql-database-plugin (or -aurora-, \
             -rds-, -legacy-), mariadb-database-plugin and redis-database-plugin: others are not \
             served here",
        ));
    };
    connection
        .shown
        .insert("plugin_name".to_owned(), name.into());
    Ok((*plugin).to_owned())
}
