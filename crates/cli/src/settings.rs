//! Which server and which token: flags, then environment, then the config file, then defaults.

use std::path::PathBuf;

use crate::args::Flags;
use crate::config::ConfigFile;
use crate::token::Token;

pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8200";

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    File,
    Default,
}

impl Source {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "config file",
            Self::Default => "default",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) url: Setting<String>,
    pub(crate) token: Option<Setting<Token>>,
    pub(crate) tenant_id: Option<Setting<String>>,
    pub(crate) partner_id: Option<Setting<String>>,
    pub(crate) ca_file: Option<Setting<PathBuf>>,
    pub(crate) client_cert: Option<Setting<PathBuf>>,
    pub(crate) client_key: Option<Setting<PathBuf>>,
    pub(crate) debug: bool,
}

impl Settings {
    /// `variable` looks a name up in the environment. An empty value counts as none, so that a
    /// script can unset one by emptying it.
    pub(crate) fn resolve(
        flags: &Flags,
        variable: impl Fn(&str) -> Option<String>,
        file: &ConfigFile,
    ) -> Self {
        let text = |flag: &Option<String>, name: &str, file: &Option<String>| {
            first(flag.clone(), variable(name), file.clone())
        };
        let token = first(
            flags.token.as_ref().map(|token| token.expose().to_owned()),
            variable("SCAIVAULT_TOKEN"),
            file.token.as_ref().map(|token| token.expose().to_owned()),
        );
        let path = |flag: &Option<PathBuf>, name: &str, file: &Option<PathBuf>| {
            let text = |path: &PathBuf| path.to_string_lossy().into_owned();
            let found = first(
                flag.as_ref().map(text),
                variable(name),
                file.as_ref().map(text),
            );
            found.map(|path| map(path, PathBuf::from))
        };
        Self {
            url: text(&flags.url, "SCAIVAULT_URL", &file.base_url).unwrap_or_else(|| Setting {
                value: DEFAULT_URL.to_owned(),
                source: Source::Default,
            }),
            token: token.map(|token| map(token, Token::new)),
            tenant_id: text(&flags.tenant_id, "SCAIVAULT_TENANT_ID", &file.tenant_id),
            partner_id: text(&flags.partner_id, "SCAIVAULT_PARTNER_ID", &file.partner_id),
            ca_file: path(&flags.ca_file, "SCAIVAULT_CA_FILE", &file.ca_file),
            client_cert: path(
                &flags.client_cert,
                "SCAIVAULT_CLIENT_CERT",
                &file.client_cert,
            ),
            client_key: path(&flags.client_key, "SCAIVAULT_CLIENT_KEY", &file.client_key),
            debug: flags.debug || variable("SCAIVAULT_DEBUG").is_some_and(|text| is_on(&text)),
        }
    }
}

fn first(
    flag: Option<String>,
    environment: Option<String>,
    file: Option<String>,
) -> Option<Setting<String>> {
    [
        (flag, Source::Flag),
        (environment, Source::Environment),
        (file, Source::File),
    ]
    .into_iter()
    .find_map(|(value, source)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some(Setting { value, source })
    })
}

fn map<T>(setting: Setting<String>, convert: impl Fn(String) -> T) -> Setting<T> {
    Setting {
        value: convert(setting.value),
        source: setting.source,
    }
}

fn is_on(text: &str) -> bool {
    !matches!(
        text.to_ascii_lowercase().as_str(),
        "" | "0" | "false" | "no" | "off"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "SCAIVAULT_URL" => Some("http://environment".to_owned()),
            "SCAIVAULT_TOKEN" => Some("environment".to_owned()),
            "SCAIVAULT_DEBUG" => Some("1".to_owned()),
            "SCAIVAULT_TENANT_ID" => Some(String::new()),
            _ => None,
        }
    }

    fn file() -> ConfigFile {
        ConfigFile {
            base_url: Some("http://file".to_owned()),
            token: Some(Token::new("file")),
            tenant_id: Some("tnt_file".to_owned()),
            ..ConfigFile::default()
        }
    }

    #[test]
    fn a_flag_comes_first() {
        let flags = Flags {
            url: Some("http://flag".to_owned()),
            token: Some(Token::new("flag")),
            ..Flags::default()
        };
        let settings = Settings::resolve(&flags, variable, &file());
        assert_eq!(
            (settings.url.value.as_str(), settings.url.source),
            ("http://flag", Source::Flag)
        );
        assert_eq!(
            settings.token.map(|token| token.value),
            Some(Token::new("flag"))
        );
    }

    #[test]
    fn then_the_environment_unless_it_is_empty() {
        let settings = Settings::resolve(&Flags::default(), variable, &file());
        assert_eq!(settings.url.value, "http://environment");
        assert_eq!(
            settings.token.map(|token| token.source),
            Some(Source::Environment)
        );
        let tenant = settings.tenant_id.expect("tenant");
        assert_eq!(
            (tenant.value.as_str(), tenant.source),
            ("tnt_file", Source::File)
        );
        assert!(settings.debug);
    }

    #[test]
    fn then_the_file_then_the_default() {
        let settings = Settings::resolve(&Flags::default(), |_| None, &file());
        assert_eq!(
            (settings.url.value.as_str(), settings.url.source),
            ("http://file", Source::File)
        );
        let settings = Settings::resolve(&Flags::default(), |_| None, &ConfigFile::default());
        assert_eq!(
            (settings.url.value.as_str(), settings.url.source),
            (DEFAULT_URL, Source::Default)
        );
        assert_eq!(settings.token, None);
        assert!(!settings.debug);
    }

    #[test]
    fn words_for_off() {
        for off in ["", "0", "false", "OFF", "no"] {
            assert!(!is_on(off), "{off}");
        }
        assert!(is_on("1") && is_on("true"));
    }
}
