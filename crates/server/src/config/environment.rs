//! The environment as an argument, and which variable sets which field.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// What every long name begins with.
const PREFIX: &str = "SCAIVAULT_";

/// Names of the product's documentation, beside the long ones.
pub(super) const DOCUMENTED: &[(&str, &str, &str)] = &[
    ("BIND_ADDRESS", "server", "bind_address"),
    ("BASE_URL", "server", "base_url"),
    ("TLS_CERT_FILE", "server", "tls_cert_file"),
    ("TLS_KEY_FILE", "server", "tls_key_file"),
    ("DATABASE_URL", "store", "database_url"),
    ("SCAIVAULT_NODE_NAME", "store", "node_name"),
    ("KMS_PROVIDER", "seal", "kms_provider"),
    ("LOG_LEVEL", "log", "level"),
    ("LOG_FORMAT", "log", "format"),
];

/// Variables by name. Made once by whoever may read the process environment.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// From `std::env::vars_os()`. Variables that are not UTF-8 are left out.
    pub(crate) fn from_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(variables.into_iter().filter_map(text).collect())
    }

    /// The value for a field and the name it came by. Empty counts as not set.
    pub(super) fn of_field(&self, section: &str, field: &str) -> Option<(String, &str)> {
        let documented = DOCUMENTED
            .iter()
            .filter(|entry| (entry.1, entry.2) == (section, field));
        std::iter::once(long_name(section, field))
            .chain(documented.map(|entry| entry.0.to_owned()))
            .find_map(|name| {
                let value = self.0.get(&name).filter(|value| !value.is_empty())?;
                Some((name, value.as_str()))
            })
    }

    /// Names that look like a field of this section.
    pub(super) fn names_of_section<'a>(
        &'a self,
        section: &str,
    ) -> impl Iterator<Item = (&'a str, String)> {
        let prefix = long_name(section, "");
        self.0.keys().filter_map(move |name| {
            let rest = name.strip_prefix(&prefix)?;
            // Kubernetes sets SCAIVAULT_SERVER_SERVICE_HOST, SCAIVAULT_SERVER_PORT_8443_TCP and
            // more for a service called scaivault-server. They are nobody's typing error.
            let link = rest.starts_with("SERVICE_") || rest.starts_with("PORT");
            (!link).then(|| (name.as_str(), rest.to_ascii_lowercase()))
        })
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// Names only: the process environment is full of other programs' secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// `SCAIVAULT_<SECTION>_<FIELD>`.
pub(super) fn long_name(section: &str, field: &str) -> String {
    format!(
        "{PREFIX}{}_{}",
        section.to_ascii_uppercase(),
        field.to_ascii_uppercase()
    )
}
