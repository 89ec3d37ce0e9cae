//! The layers together: defaults, precedence, names, refusals.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::environment::{DOCUMENTED, long_name};
use super::layers::Layers;
use super::*;
use crate::listener::TlsFiles;
use crate::logging::{LogFormat, LogLevel};
use crate::place::Place;
use crate::rate_limit::Category;

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = variables.iter().copied().collect();
    Config::from_text(Some((Path::new("/etc/x.toml"), file)), &environment)
}

fn refused(file: &str, variables: &[(&str, &str)], expect: &str) {
    let error = load(file, variables).unwrap_err().to_string();
    assert_eq!(error, expect);
}

#[test]
fn the_default_file_is_a_configuration() {
    let config = Config::load(None, &Environment::default()).unwrap();
    assert_eq!(config.server.bind_address, "0.0.0.0:8443".parse().unwrap());
    assert_eq!(
        (config.server.base_url, config.server.tls.is_none()),
        (None, true)
    );
    assert_eq!(config.server.max_body_bytes, 1 << 20);
    assert_eq!(
        config.store.database,
        Place::File(PathBuf::from("/var/lib/scaivault/scaivault.db"))
    );
    assert_eq!(config.store.max_bytes, None);
    assert_eq!(
        (config.log.level, config.log.format),
        (LogLevel::Info, LogFormat::Json)
    );
    assert_eq!(config.webhooks.timeout, Duration::from_secs(10));
    assert_eq!(config.targets.max_concurrent, 8);
    assert!(config.targets.allow.is_empty() && config.targets.deny.is_empty());
    assert_eq!(config.rate_limits.of(Category::Read), 1_000);
    assert_eq!(config.rate_limits.of(Category::Poll), 240);
    assert!(config.metrics.enabled && !config.metrics.require_token);
}

/// Every field there is: the default file's.
fn every_field() -> Vec<(String, String, Value)> {
    let layers = Layers::defaults(DEFAULT_FILE).unwrap();
    let sections = layers.sections().iter().flat_map(|(section, fields)| {
        fields
            .iter()
            .map(|(field, (value, _))| (section.clone(), field.clone(), value.clone()))
    });
    sections.collect()
}

#[test]
fn every_field_of_the_default_file_is_read_and_every_field_read_is_in_it() {
    assert!(every_field().len() > 35);
    for (section, field, _) in every_field() {
        let mut layers = Layers::defaults(DEFAULT_FILE).unwrap();
        layers.remove(&section, &field);
        let error = Config::read(&layers).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("built-in defaults: [{section}] {field}: has no default")
        );
    }
}

#[test]
fn every_field_is_set_by_its_long_name() {
    for (section, field, default) in every_field() {
        // What no field accepts as it stands; the error proves that it was looked at.
        let wrong = if matches!(default, Value::String(_)) {
            "\u{0}/"
        } else {
            "wrong"
        };
        let name = long_name(&section, &field);
        match load("", &[(&name, wrong)]) {
            Err(error) => assert!(
                error
                    .to_string()
                    .starts_with(&format!("environment variable {name}: [{section}] {field}")),
                "{error}"
            ),
            // Files may have any name.
            Ok(_) => assert!(
                matches!(
                    field.as_str(),
                    "key_file"
                        | "passphrase_file"
                        | "password_file"
                        | "issuers_file"
                        | "s3_access_key_file"
                        | "s3_secret_key_file"
                        | "s3_session_token_file"
                        | "s3_ca_file"
                        | "database_url"
                        | "node_name"
                ),
                "{field}"
            ),
        }
    }
}

#[test]
fn every_documented_name_takes_effect() {
    let config = load(
        "",
        &[
            ("BIND_ADDRESS", "[::1]:9000"),
            ("BASE_URL", "https://vault.example/"),
            ("TLS_CERT_FILE", "/c.pem"),
            ("TLS_KEY_FILE", "/k.pem"),
            ("DATABASE_URL", "sqlite:v.db"),
            ("SCAIVAULT_NODE_NAME", "eu-1"),
            ("KMS_PROVIDER", "passphrase"),
            ("SCAIVAULT_SEAL_PASSPHRASE_FILE", "/run/pass"),
            ("LOG_LEVEL", "debug"),
            ("LOG_FORMAT", "text"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.bind_address, "[::1]:9000".parse().unwrap());
    assert_eq!(
        config.server.base_url.as_deref(),
        Some("https://vault.example")
    );
    let tls = TlsFiles {
        clients: None,
        cert: "/c.pem".into(),
        key: "/k.pem".into(),
    };
    assert_eq!(config.server.tls, Some(tls));
    let database = Place::File(PathBuf::from("v.db"));
    assert_eq!(config.store.database, database);
    assert_eq!(config.store.node_name, "eu-1");
    let provider = KmsProvider::Passphrase {
        passphrase_file: "/run/pass".into(),
    };
    assert_eq!(config.seal.kms_provider, provider);
    assert_eq!(
        (config.log.level, config.log.format),
        (LogLevel::Debug, LogFormat::Text)
    );
    assert_eq!(DOCUMENTED.len(), 9, "each is tested above");
}

#[test]
fn the_environment_wins_over_the_file_and_the_long_name_over_the_short() {
    let file = "[log]\nlevel = \"warn\"\nformat = \"text\"\n[rate_limits]\nread = 0";
    let config = load(file, &[("LOG_LEVEL", "error")]).unwrap();
    assert_eq!(
        (config.log.level, config.log.format),
        (LogLevel::Error, LogFormat::Text)
    );
    assert_eq!(
        (
            config.rate_limits.of(Category::Read),
            config.rate_limits.of(Category::Write)
        ),
        (0, 100)
    );
    let both = [
        ("LOG_LEVEL", "error"),
        ("SCAIVAULT_LOG_LEVEL", "trace"),
        ("LOG_FORMAT", ""),
    ];
    let config = load(file, &both).unwrap();
    assert_eq!(
        (config.log.level, config.log.format),
        (LogLevel::Trace, LogFormat::Text)
    );
}

#[test]
fn variables_are_read_as_what_the_field_is() {
    let config = load(
        "",
        &[
            ("SCAIVAULT_SERVER_TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("SCAIVAULT_STORE_MAX_BYTES", "1000000"),
            ("SCAIVAULT_WEBHOOKS_ALLOW_HTTP", "true"),
            ("SCAIVAULT_RATE_LIMITS_BATCH_READ", "7"),
            ("SCAIVAULT_SERVER_DRAIN_TIMEOUT", "1m"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.store.max_bytes, Some(1_000_000));
    assert!(config.webhooks.egress_policy().allow_http);
    assert_eq!(config.rate_limits.of(Category::BatchRead), 7);
    assert_eq!(
        config.server.listener_limits().drain,
        Duration::from_secs(60)
    );
}

#[test]
fn what_does_not_exist_is_refused_by_name() {
    refused(
        "[serverr]\n",
        &[],
        "/etc/x.toml: there is no section [serverr]",
    );
    refused(
        "bind_address = \"x\"",
        &[],
        "/etc/x.toml: there is no section [bind_address]",
    );
    refused(
        "server = 1",
        &[],
        "/etc/x.toml: there is no section [server]",
    );
    refused(
        "[log]\nlevle = \"x\"",
        &[],
        "/etc/x.toml: section [log] has no field levle",
    );
    refused(
        "",
        &[("SCAIVAULT_LOG_LEVLE", "x")],
        "environment variable SCAIVAULT_LOG_LEVLE: section [log] has no field levle",
    );
    let foreign = [
        ("SCAIVAULT_TOKEN", "x"),
        ("SCAIVAULT_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("SCAIVAULT_SERVER_PORT_8443_TCP_ADDR", "10.0.0.1"),
    ];
    assert!(load("", &foreign).is_ok());
}

#[test]
fn wrong_values_are_refused_with_what_is_expected() {
    let file = |section: &str, line: &str, problem: &str| {
        let field = line.split(' ').next().unwrap();
        let expect = format!("/etc/x.toml: [{section}] {field}: {problem}");
        refused(&format!("[{section}]\n{line}"), &[], &expect);
    };
    file("server", "bind_address = 8443", "expected a text");
    file(
        "server",
        "max_body_bytes = \"1 MiB\"",
        "expected a whole number, not negative",
    );
    file(
        "server",
        "max_body_bytes = 1",
        "expected a number from 1024 to 67108864",
    );
    file(
        "server",
        "tls_key_file = \"/k\"",
        "needs tls_cert_file beside it",
    );
    file(
        "server",
        "request_timeout = \"30\"",
        "expected a duration such as 10s, 5m or 1h30m",
    );
    file("webhooks", "timeout = \"2m\"", "expected at most 60s");
    file("webhooks", "allow_http = \"yes\"", "expected true or false");
    file(
        "seal",
        "kms_provider = \"aws\"",
        "this version supports local and passphrase",
    );
    file("seal", "key_file = \"\"", "expected a file");
    file(
        "rate_limits",
        "read = -1",
        "expected a whole number, not negative",
    );
    file("metrics", "enabled = 1", "expected true or false");
    refused(
        "[log]\n\nlevel = = 1",
        &[],
        "/etc/x.toml: line 3: not valid TOML",
    );
    let provider = [("KMS_PROVIDER", "passphrase")];
    refused(
        "",
        &provider,
        "built-in defaults: [seal] passphrase_file: needed with kms_provider = \"passphrase\"",
    );
}

#[test]
fn no_error_repeats_a_value() {
    const SECRET: &str = "hunter2";
    for (section, field, _) in every_field() {
        for value in [
            format!("\"x://u:{SECRET}@h\""),
            format!("[\"{SECRET}\"]"),
            format!("\"{SECRET}"),
        ] {
            let file = format!("[{section}]\n{field} = {value}");
            if let Err(error) = load(&file, &[]) {
                assert!(!error.to_string().contains(SECRET), "{error}");
                assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
            }
        }
    }
    let environment: Environment = [("PASSWORD", SECRET)].into_iter().collect();
    assert!(!format!("{environment:?}").contains(SECRET));
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Some(Path::new("/no/such.toml")), &Environment::default());
    assert!(error.unwrap_err().to_string().contains("/no/such.toml"));
}

#[test]
fn targets_are_opened_and_closed_by_range() {
    let config = load(
        "[targets]\nallow = [\"10.20.0.0/16\"]\ndeny = [\"0.0.0.0/0\", \"::/0\"]",
        &[("SCAIVAULT_TARGETS_MAX_CONCURRENT", "3")],
    )
    .unwrap();
    assert_eq!(config.targets.max_concurrent, 3);
    let policy = config.targets.policy();
    assert!(policy.permits("10.20.1.1".parse().unwrap()));
    assert!(!policy.permits("10.21.1.1".parse().unwrap()));
    let config = load("", &[("SCAIVAULT_TARGETS_ALLOW", "127.0.0.1, ::1")]).unwrap();
    let policy = config.targets.policy();
    assert!(policy.permits("127.0.0.1".parse().unwrap()));
    assert!(!policy.permits("127.0.0.2".parse().unwrap()));
    refused(
        "[targets]\nmax_concurrent = 0",
        &[],
        "/etc/x.toml: [targets] max_concurrent: expected a number from 1 to 256",
    );
}
