//! Encrypted connections: to a server that an authority of ours vouches for, under its own name.

use std::path::Path;

use scaivault_core::ports::Store;
use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use scaivault_peers::{program, run};
use scaivault_store_postgres::{OpenError, PostgresOptions, PostgresStore};
use scaivault_testkit::SeededEntropy;

use crate::database::{Database, RUNTIME};

/// A certificate for `localhost`, and the authority it is from.
fn certificates(dir: &Path) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let openssl = |args: &[&str]| drop(run(&program("openssl", &[]), args.iter().copied()));
    let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
    let (cert, key, request) = (file("server.pem"), file("server.key"), file("server.csr"));
    let names = file("names");
    std::fs::write(&names, "subjectAltName=DNS:localhost\n").unwrap();
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test ca",
        "-keyout",
        &ca_key,
        "-out",
        &ca,
    ]);
    openssl(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        &key,
        "-out",
        &request,
    ]);
    openssl(&[
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
        "-extfile",
        &names,
        "-out",
        &cert,
    ]);
    vec![
        "ssl=on".to_owned(),
        format!("ssl_cert_file={cert}"),
        format!("ssl_key_file={key}"),
    ]
}

#[test]
fn the_server_is_verified_for_its_name() {
    let server = Postgresql::start_with(certificates);
    let ca = server.server().dir().join("ca.pem").display().to_string();
    let url = |host: &str, rest: &str| {
        let port = server.port();
        let url = format!("postgresql://{SUPERUSER}:{PASSWORD}@{host}:{port}/postgres?{rest}");
        PostgresOptions::new(url, "node-1")
    };
    let trusted = format!("sslmode=verify-full&sslrootcert={ca}");
    RUNTIME.block_on(async {
        let store = Database::open_with(url("localhost", &trusted)).await;
        assert_eq!(store.health().await.trouble, None);
        let encrypted = server.sql(
            "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
             WHERE a.application_name = 'scaivault'",
        );
        assert_eq!(encrypted, "t");
        // Under another name, or from an authority that is not trusted, nothing is sent.
        let entropy = SeededEntropy::new(1);
        for (host, rest) in [
            ("127.0.0.1", trusted.as_str()),
            ("localhost", "sslmode=require"),
        ] {
            let refused = PostgresStore::open(url(host, rest), &entropy).await;
            assert!(
                matches!(
                    refused,
                    Err(OpenError::Unavailable(_) | OpenError::NoAuthorities)
                ),
                "{host}: {refused:?}"
            );
        }
        let wrong = url("localhost", "sslmode=verify-full&sslrootcert=/dev/null");
        let refused = PostgresStore::open(wrong, &entropy).await;
        assert!(
            matches!(refused, Err(OpenError::Authorities)),
            "{refused:?}"
        );
    });
}
