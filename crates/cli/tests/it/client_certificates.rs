//! Client certificates as identities, over real TLS: whom they are, who is turned away and when, and
//! what a reload changes on connections that are open.

use std::process::Command;

use rcgen::{DnType, ExtendedKeyUsagePurpose};
use reqwest::Method;
use serde_json::{Value, json};

use crate::authorization::operations;
use crate::first_integration::grant;
use crate::harness::authority::{Authority, Issued, Wanted, dns, uri};
use crate::harness::server::{SCAIVAULT, scaivault};
use crate::harness::{Api, Process, SOON, eventually};
use crate::lifecycle::{Production, Served};
use crate::tutorials::{blocks, repository};

const SHOP: &str = "spiffe://prod.example/ns/shop/sa/cart";
const SPIFFE_RULE: &str = "[[client_certificate]]\nname = \"pods\"\n\
    uri = \"spiffe://prod.example/ns/*/sa/*\"\nidentity = \"sa:{/path/2}/{/path/4}\"\n\
    groups = [\"group:pods\"]\nscopes = [\"secrets:read\", \"secrets:list\"]\nttl = \"30m\"\n";

/// A server's files, and whose clients it believes.
struct Setup {
    production: Production,
    files: tempfile::TempDir,
    servers: Authority,
    clients: Authority,
}

impl Setup {
    /// With these rules for certificates.
    fn new(rules: &str) -> Self {
        let servers = Authority::new("servers");
        let server = servers.issue(
            1,
            Wanted {
                names: vec![
                    dns("localhost"),
                    rcgen::SanType::IpAddress([127, 0, 0, 1].into()),
                ],
                usage: ExtendedKeyUsagePurpose::ServerAuth,
                ..Wanted::default()
            },
        );
        let setup = Self {
            production: Production::init(&[]),
            files: tempfile::tempdir().expect("a temporary directory"),
            servers,
            clients: Authority::new("clients"),
        };
        setup.write("server.pem", &server.certificate);
        setup.write("server.key", &server.key);
        setup.write("servers.pem", setup.servers.pem());
        setup.write("clients.pem", setup.clients.pem());
        setup.write("issuers.toml", rules);
        setup
    }

    fn file(&self, name: &str) -> String {
        let file = self.files.path().join(name);
        file.to_str().expect("a plain name").to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect("a file");
    }

    fn command(&self) -> Command {
        let mut command = self.production.server();
        command
            .env("TLS_CERT_FILE", self.file("server.pem"))
            .env("TLS_KEY_FILE", self.file("server.key"))
            .env("BASE_URL", "https://127.0.0.1")
            .env(
                "SCAIVAULT_SERVER_TLS_CLIENT_CA_FILE",
                self.file("clients.pem"),
            )
            .env("SCAIVAULT_IDENTITY_ISSUERS_FILE", self.file("issuers.toml"));
        for category in ["READ", "AUTH", "LIST", "AUDIT", "POLICY", "WRITE"] {
            command.env(format!("SCAIVAULT_RATE_LIMITS_{category}"), "1000000");
        }
        command
    }

    async fn serve(&self) -> Served {
        self.serve_by(self.command(), None).await
    }

    async fn serve_by(&self, command: Command, shown: Option<&Issued>) -> Served {
        Served::start(command, &self.production.token, self.http(shown), "https").await
    }

    /// A client with connections of its own.
    fn http(&self, shown: Option<&Issued>) -> reqwest::Client {
        let trusted = reqwest::Certificate::from_pem(self.servers.pem().as_bytes());
        let mut http =
            crate::harness::http::client().tls_certs_only([trusted.expect("a certificate")]);
        if let Some(issued) = shown {
            http = http.identity(issued.identity());
        }
        http.build().expect("a client")
    }

    /// Somebody who shows this, and sends no token.
    fn holder(&self, served: &Served, shown: &Issued) -> Api {
        Api::with_client(self.http(Some(shown)), served.api.url(), "").anonymous()
    }

    /// Refused at start; what was said.
    async fn refused(&self, command: Command) -> String {
        let mut process = Process::start("scaivault server", command);
        assert!(!process.exited(SOON).await.success());
        let told = process.stdout().join("\n") + &process.stderr();
        assert!(!told.contains("panicked"), "{told}");
        told
    }
}

async fn whoami(api: &Api) -> Value {
    api.get("/v1/auth/whoami").await.ok(200)
}

/// Whether a new connection comes about and is answered.
async fn connects(api: &Api) -> bool {
    api.attempt(Method::GET, "/v1/health", None).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_an_identity() {
    let setup = Setup::new(SPIFFE_RULE);
    let served = setup.serve().await;
    let root = &served.api;
    let body = json!({ "data": { "password": "x" } });
    root.put("/v1/secrets/app/db", body).await.ok(201);
    grant(root, "sa:shop/cart", "app/**", &["read"]).await;

    let cart = setup.clients.workload(7, SHOP);
    let holder = setup.holder(&served, &cart);
    let who = whoami(&holder).await;
    assert_eq!(who["identity_id"], "sa:shop/cart");
    assert_eq!(who["tenant_id"], "tnt_default");
    assert_eq!(who["groups"], json!(["group:pods"]));
    assert_eq!(who["scopes"], json!(["secrets:read", "secrets:list"]));
    assert_eq!(who["auth_method"], "certificate");
    assert_eq!(who["issuer"], "client_certificate");
    assert_eq!(who["certificate_fingerprint"], cart.fingerprint.as_str());
    assert!(who["token_expires_at"].is_string() && who["token_id"].is_null());
    let read = holder.get("/v1/secrets/app/db").await.ok(200);
    assert_eq!(read["data"]["password"], "x");
    let written = holder.put("/v1/secrets/app/db", json!({ "data": {} }));
    written.await.refused(403, "insufficient_scope");
    let renewed = holder.post_empty("/v1/auth/tokens/self/renew").await;
    renewed.refused(403, "forbidden");

    // The trail names identity and certificate.
    let rows = root.get("/v1/audit/logs?action=read&identity_id=sa:shop/cart");
    let rows = rows.await.ok(200);
    let row = &rows["logs"][0];
    assert_eq!(row["success"], true, "{rows}");
    assert_eq!(row["extra_data"]["issuer"], "client_certificate");
    assert_eq!(
        row["extra_data"]["certificate_fingerprint"],
        cart.fingerprint.as_str()
    );

    // A token decides where one is sent, a bad one too.
    let beside = holder.with_token(&setup.production.token);
    let who = whoami(&beside).await;
    assert_ne!(who["identity_id"], "sa:shop/cart");
    assert_eq!(who["auth_method"], "token");
    let wrong = holder.with_token("skt_nobodys_0123456789abcdef");
    let wrong = wrong.get("/v1/auth/whoami").await;
    wrong.refused(401, "token_invalid");

    // One that no rule fits is a good peer and nobody: a token helps, and what is open is open.
    for id in [
        "spiffe://prod.example/ns/shop/sa/cart/x",
        "spiffe://other.example/ns/shop/sa/cart",
    ] {
        let other = setup.holder(&served, &setup.clients.workload(8, id));
        let refused = other.get("/v1/auth/whoami").await;
        refused.refused(401, "authentication_required");
        assert_eq!(other.get("/v1/health").await.status, 200);
        whoami(&other.with_token(&setup.production.token)).await;
    }
    // Without any it is as without TLS.
    let none = served.api.anonymous().get("/v1/auth/whoami").await;
    none.refused(401, "authentication_required");
    whoami(&served.api).await;

    let figures = root.get("/v1/metrics").await.text;
    let failed = r#"scaivault_authentications_total{method="certificate",result="failed"} 2"#;
    assert!(figures.contains(failed), "{figures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_given_a_token_that_does_not_outlive_it() {
    let setup = Setup::new(SPIFFE_RULE);
    let served = setup.serve().await;
    let long = setup.clients.workload(1, SHOP);
    let short = setup.clients.issue(
        2,
        Wanted {
            names: vec![uri(SHOP)],
            valid: (-60, 600),
            ..Wanted::default()
        },
    );
    for (shown, lives) in [(&long, 1_790..=1_800), (&short, 590..=600)] {
        let holder = setup.holder(&served, shown);
        let login = holder
            .post_empty("/v1/auth/certificate/login")
            .await
            .ok(200);
        assert_eq!(login["identity_id"], "sa:shop/cart");
        assert_eq!(login["certificate_fingerprint"], shown.fingerprint.as_str());
        let expires_in = login["expires_in"].as_u64().expect("seconds");
        assert!(lives.contains(&expires_in), "{login}");
        // It needs the certificate no more, and is not renewed without it.
        let token = login["token"].as_str().expect("a token");
        let bearer = served.api.with_token(token);
        let who = whoami(&bearer).await;
        assert_eq!(who["identity_id"], "sa:shop/cart");
        assert_eq!(who["groups"], json!(["group:pods"]));
        let renewed = bearer.post_empty("/v1/auth/tokens/self/renew").await;
        renewed.refused(403, "forbidden");
        let found = served
            .api
            .post("/v1/auth/introspect", json!({ "token": token }));
        let found = found.await.ok(200);
        assert_eq!(found["issuer"], "client_certificate");
    }
    let none = served.api.post_empty("/v1/auth/certificate/login").await;
    none.refused(401, "authentication_required");
    let nobody = setup.holder(&served, &setup.clients.workload(3, "urn:x:y"));
    let nobody = nobody.post_empty("/v1/auth/certificate/login").await;
    nobody.refused(401, "authentication_required");
    let rows = served.api.get("/v1/audit/logs?action=token_exchange").await;
    let rows = rows.ok(200);
    assert_eq!(rows["logs"].as_array().map(Vec::len), Some(2), "{rows}");
    assert_eq!(rows["logs"][0]["extra_data"]["subject"], SHOP);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_to_be_believed_does_not_connect() {
    let setup = Setup::new(SPIFFE_RULE);
    let strangers = Authority::new("clients");
    let with = |serial, valid, usage| {
        let names = vec![uri(SHOP)];
        let wanted = Wanted {
            names,
            valid,
            usage,
            ..Wanted::default()
        };
        setup.clients.issue(serial, wanted)
    };
    let client = || ExtendedKeyUsagePurpose::ClientAuth;
    let revoked = with(13, (-60, 600), client());
    setup.write("clients.crl", &setup.clients.list(&[&revoked]));
    let mut command = setup.command();
    command.env(
        "SCAIVAULT_SERVER_TLS_CLIENT_CRL_FILE",
        setup.file("clients.crl"),
    );
    let served = setup.serve_by(command, None).await;

    let good = with(10, (-60, 600), client());
    assert_eq!(
        whoami(&setup.holder(&served, &good)).await["identity_id"],
        "sa:shop/cart"
    );
    for (what, shown) in [
        (
            "another authority of the same name",
            strangers.workload(10, SHOP),
        ),
        ("expired", with(11, (-600, -5), client())),
        ("not yet valid", with(12, (300, 600), client())),
        ("revoked", revoked),
        (
            "a server's",
            with(14, (-60, 600), ExtendedKeyUsagePurpose::ServerAuth),
        ),
        (
            "the server's own authority",
            setup.servers.workload(15, SHOP),
        ),
    ] {
        let holder = setup.holder(&served, &shown);
        assert!(!connects(&holder).await, "{what}");
        let beside = holder.with_token(&setup.production.token);
        assert!(!connects(&beside).await, "{what}, with a good token");
    }
    let figures = served.api.get("/v1/metrics").await.text;
    let failed = "scaivault_tls_handshakes_failed_total 12";
    assert!(figures.contains(failed), "{figures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_stops_on_open_connections_too() {
    let setup = Setup::new(SPIFFE_RULE);
    let (kept, revoked) = (
        setup.clients.workload(1, SHOP),
        setup.clients.workload(2, SHOP),
    );
    setup.write("clients.crl", &setup.clients.list(&[]));
    let mut command = setup.command();
    command.env(
        "SCAIVAULT_SERVER_TLS_CLIENT_CRL_FILE",
        setup.file("clients.crl"),
    );
    let served = setup.serve_by(command, None).await;
    let stays = setup.holder(&served, &kept);
    let (ends, other) = (
        setup.holder(&served, &revoked),
        setup.holder(&served, &revoked),
    );
    for holder in [&stays, &ends, &other] {
        whoami(holder).await;
    }
    let accepted = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with("scaivault_connections_accepted_total"));
        line.expect("the figure").to_owned()
    };
    let before = accepted(&stays.get("/v1/metrics").await.text);

    setup.write("clients.crl", &setup.clients.list(&[&revoked]));
    served.process.hang_up();
    // A new connection would not come about: this is the one that was open.
    let refused = eventually("the list is in force", SOON, async || {
        let reply = ends.get("/v1/auth/whoami").await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    refused.refused(401, "certificate_refused");
    // Nor does a token help, or what is open to everybody.
    let beside = other.with_token(&setup.production.token);
    let refused = beside.get("/v1/health").await;
    refused.refused(401, "certificate_refused");
    assert!(!connects(&setup.holder(&served, &revoked)).await);
    // Everybody else was served by the connections there were.
    assert_eq!(whoami(&stays).await["auth_method"], "certificate");
    let figures = stays.get("/v1/metrics").await.text;
    let count = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok());
    let opened = count(&accepted(&figures)).zip(count(&before));
    let (after, before) = opened.expect("two figures");
    // The one that was tried in vain, and what the client of the two refused ones opened anew.
    assert!(after - before <= 3, "{before} {after}");

    // A list that is none, or of nobody here, changes nothing.
    for wrong in ["half a list", setup.servers.pem()] {
        setup.write("clients.crl", wrong);
        let told = served
            .process
            .stderr()
            .matches("certificate not reloaded")
            .count();
        served.process.hang_up();
        eventually("the mistake is told", SOON, async || {
            let text = served.process.stderr();
            (text.matches("certificate not reloaded").count() > told).then_some(())
        })
        .await;
        assert!(!connects(&setup.holder(&served, &revoked)).await);
        whoami(&setup.holder(&served, &kept)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_ends_on_open_connections_too() {
    let setup = Setup::new(SPIFFE_RULE);
    let served = setup.serve().await;
    let wanted = Wanted {
        names: vec![uri(SHOP)],
        valid: (-60, 10),
        ..Wanted::default()
    };
    let ending = setup.clients.issue(1, wanted);
    let holder = setup.holder(&served, &ending);
    whoami(&holder).await;
    let refused = eventually("it ends", SOON, async || {
        let reply = holder.get("/v1/auth/whoami").await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    let told = refused.refused(401, "certificate_refused");
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|text| text.contains("expired")),
        "{told}"
    );
    // A handshake counts whole seconds.
    eventually("it does not connect", SOON, async || {
        let connects = connects(&setup.holder(&served, &ending)).await;
        (!connects).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_and_rules_are_replaced_under_open_connections() {
    let setup = Setup::new(SPIFFE_RULE);
    let next = Authority::new("next");
    let served = setup.serve().await;
    let (old, new) = (setup.clients.workload(1, SHOP), next.workload(1, SHOP));
    let holder = setup.holder(&served, &old);
    assert_eq!(whoami(&holder).await["identity_id"], "sa:shop/cart");
    assert!(!connects(&setup.holder(&served, &new)).await);

    // Both, and a rule that goes by the authority.
    setup.write(
        "clients.pem",
        &format!("{}{}", setup.clients.pem(), next.pem()),
    );
    let by_authority = format!(
        "[[client_certificate]]\nname = \"next\"\nissuer = \"{}\"\nuri = \"spiffe://**\"\n\
         identity = \"sa:next\"\nscopes = [\"secrets:read\"]\n{SPIFFE_RULE}",
        next.fingerprint()
    );
    setup.write("issuers.toml", &by_authority);
    served.process.hang_up();
    eventually("the other authority is believed", SOON, async || {
        connects(&setup.holder(&served, &new)).await.then_some(())
    })
    .await;
    let other = setup.holder(&served, &new);
    eventually("the rules are in force", SOON, async || {
        (whoami(&other).await["identity_id"] == "sa:next").then_some(())
    })
    .await;
    assert_eq!(whoami(&holder).await["identity_id"], "sa:shop/cart");

    // A mistake in the rules changes none of them.
    setup.write("issuers.toml", "[[client_certificate]]\nname = \"x\"\n");
    served.process.hang_up();
    eventually("the mistake is told", SOON, async || {
        served
            .process
            .stderr()
            .contains("NOT read again")
            .then_some(())
    })
    .await;
    assert_eq!(whoami(&other).await["identity_id"], "sa:next");

    // The first authority goes; so does who came by it, on the open connection.
    setup.write("clients.pem", next.pem());
    served.process.hang_up();
    let refused = eventually("the first authority is gone", SOON, async || {
        let reply = holder.get("/v1/auth/whoami").await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    refused.refused(401, "certificate_refused");
    whoami(&other).await;

    // And no rule: nobody is known by a certificate any more.
    setup.write("issuers.toml", "client_certificate = []\n");
    served.process.hang_up();
    let refused = eventually("the rules are gone", SOON, async || {
        let reply = other.get("/v1/auth/whoami").await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    refused.refused(401, "authentication_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_is_required_nobody_comes_without() {
    let setup = Setup::new(SPIFFE_RULE);
    let cart = setup.clients.workload(1, SHOP);
    let mut command = setup.command();
    command.env("SCAIVAULT_SERVER_TLS_CLIENT_AUTH", "required");
    let served = setup.serve_by(command, Some(&cart)).await;
    whoami(&served.api).await;
    assert_eq!(
        whoami(&served.api.anonymous()).await["identity_id"],
        "sa:shop/cart"
    );
    let without = Api::with_client(setup.http(None), served.api.url(), &setup.production.token);
    assert!(!connects(&without).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_configuration_are_told_at_start() {
    let setup = Setup::new(SPIFFE_RULE);
    let with = |changes: &[(&str, &str)]| {
        let mut command = setup.command();
        command.envs(changes.iter().copied());
        command
    };
    let ca = "SCAIVAULT_SERVER_TLS_CLIENT_CA_FILE";
    let crl = "SCAIVAULT_SERVER_TLS_CLIENT_CRL_FILE";
    let auth = "SCAIVAULT_SERVER_TLS_CLIENT_AUTH";
    setup.write("empty.pem", "");
    let (key, empty) = (setup.file("server.key"), setup.file("empty.pem"));
    let of_another = setup.file("other.crl");
    setup.write(
        "other.crl",
        "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
    );
    for (changes, says) in [
        (vec![(auth, "sometimes")], "expected optional or required"),
        (
            vec![(auth, "required"), (ca, "")],
            "tls_client_auth: needs tls_client_ca_file",
        ),
        (
            vec![(crl, empty.as_str()), (ca, "")],
            "tls_client_crl_file: needs tls_client_ca_file",
        ),
        (
            vec![("TLS_CERT_FILE", ""), ("TLS_KEY_FILE", "")],
            "needs tls_cert_file and tls_key_file",
        ),
        (vec![(ca, "/nowhere/ca.pem")], "cannot read /nowhere/ca.pem"),
        (
            vec![(ca, empty.as_str())],
            "holds no certificate in PEM form",
        ),
        (vec![(ca, key.as_str())], "holds no certificate in PEM form"),
        (
            vec![(crl, empty.as_str())],
            "holds no revocation list in PEM form",
        ),
        (vec![(crl, of_another.as_str())], "a revocation list in"),
        (vec![(ca, "")], "set server.tls_client_ca_file"),
    ] {
        let told = setup.refused(with(&changes)).await;
        assert!(told.contains(says), "{changes:?}: {told}");
    }
    let head = "[[client_certificate]]\nname = \"x\"\nscopes = [\"secrets:read\"]\n";
    for (rule, says) in [
        ("identity = \"sa:x\"", "expected less than everybody"),
        (
            "identity = \"sa:x\"\ncn = \"**\"",
            "expected less than everybody",
        ),
        (
            "identity = \"root\"\ncn = \"x\"",
            "identity: expected user:… or sa:…",
        ),
        (
            "identity = \"sa:{sub}\"\ncn = \"x\"",
            "identity: a certificate has no",
        ),
        ("identity = \"sa:{cn\"\ncn = \"x\"", "identity:"),
        (
            "identity = \"sa:{/path/2}-{/path/4}\"\nuri = \"spiffe://a/**\"",
            "identity: of {/path/2} and {/path/4} two certificates could come to one name",
        ),
        (
            "identity = \"sa:{cn}/{dns}\"\ndns = \"**.example.com\"",
            "identity: of {cn} and {dns} two certificates",
        ),
        (
            "identity = \"sa:x\"\ndns = \"*.Example.com\"",
            "dns: expected names of hosts",
        ),
        (
            "identity = \"sa:x\"\nuri = \"spiffe://a//b\"",
            "uri: expected URIs",
        ),
        (
            "identity = \"sa:x\"\nissuer = \"ab\"",
            "issuer: expected SHA-256",
        ),
        (
            "identity = \"sa:x\"\ncn = \"x\"\nttl = \"25h\"",
            "ttl: expected",
        ),
        (
            "identity = \"sa:x\"\ncn = \"x\"\ntenant = \"x\"",
            "tenant: expected",
        ),
        (
            "identity = \"sa:x\"\ncn = \"x\"\nroles = []",
            "unknown field",
        ),
    ] {
        setup.write("issuers.toml", &format!("{head}{rule}\n"));
        let told = setup.refused(setup.command()).await;
        assert!(told.contains(says), "{rule}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_counted_by_identity() {
    let setup = Setup::new(SPIFFE_RULE);
    let mut command = setup.command();
    command.env("SCAIVAULT_RATE_LIMITS_AUTH", "4");
    let served = setup.serve_by(command, None).await;
    // Two certificates of one identity, and one of another.
    let holders = [
        setup.holder(&served, &setup.clients.workload(1, SHOP)),
        setup.holder(&served, &setup.clients.workload(2, SHOP)),
    ];
    let mut left = Vec::new();
    for at in [0, 1, 0, 1] {
        let reply = holders[at].get("/v1/auth/whoami").await;
        left.push(reply.header("x-ratelimit-remaining").to_owned());
        reply.ok(200);
    }
    assert_eq!(left, ["3", "2", "1", "0"]);
    for holder in &holders {
        let refused = holder.get("/v1/auth/whoami").await;
        refused.refused(429, "rate_limited");
    }
    let login = holders[0].post_empty("/v1/auth/certificate/login").await;
    login.refused(429, "rate_limited");
    let other = setup
        .clients
        .workload(3, "spiffe://prod.example/ns/shop/sa/pay");
    whoami(&setup.holder(&served, &other)).await;
}

/// What a token of the same identity and scopes is refused, its certificate is refused alike.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_rights_is_refused_like_a_token() {
    let rules = SPIFFE_RULE.replace("\"secrets:read\", \"secrets:list\"", "\"pki:issue\"");
    let setup = Setup::new(&rules);
    let served = setup.serve().await;
    let root = &served.api;
    root.put("/v1/secrets/app", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    let holder = setup.holder(&served, &setup.clients.workload(1, SHOP));
    let login = holder
        .post_empty("/v1/auth/certificate/login")
        .await
        .ok(200);
    let bearer = root.with_token(login["token"].as_str().expect("a token"));
    let mut refused = 0;
    for (method, path) in operations(root).await {
        if path == "/v1/metrics" || path == "/v1/auth/certificate/login" {
            continue;
        }
        let body = (method != Method::GET && method != Method::DELETE)
            .then(|| json!({ "name": "x", "data": {} }));
        let by_certificate = holder.send(method.clone(), &path, body.clone()).await;
        let by_token = bearer.send(method.clone(), &path, body).await;
        let told =
            |reply: &crate::harness::Reply| (reply.status, reply.body["error"]["code"].clone());
        assert_eq!(told(&by_certificate), told(&by_token), "{method} {path}");
        refused += usize::from(by_certificate.status >= 400);
    }
    assert!(refused > 50, "{refused}");
    assert_eq!(root.get("/v1/secrets/app").await.ok(200)["version"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_and_other_names_are_rules_too() {
    let rules = "[[client_certificate]]\nname = \"people\"\nemail = \"*@acme.example\"\no = \"Acme, Inc.\"\n\
                 identity = \"user:{email}\"\nscopes = [\"secrets:read\"]\n\
                 [[client_certificate]]\nname = \"hosts\"\ndns = [\"*.db.acme.example\", \"*.web.acme.example\"]\n\
                 identity = \"sa:{dns}\"\nscopes = [\"secrets:read\"]\n\
                 [[client_certificate]]\nname = \"unit\"\nou = \"batch\"\ncn = \"job-*\"\n\
                 identity = \"sa:{cn}\"\nscopes = [\"secrets:read\"]\n";
    let setup = Setup::new(rules);
    let served = setup.serve().await;
    let mail = |text: &str| rcgen::SanType::Rfc822Name(text.try_into().expect("plain text"));
    let acme = (DnType::OrganizationName, "Acme, Inc.");
    let unit = (DnType::OrganizationalUnitName, "batch");
    for (names, subject, expect) in [
        (
            vec![mail("First.Last@Acme.example")],
            vec![acme.clone()],
            Some("user:first.last@acme.example"),
        ),
        (vec![mail("a@acme.example")], vec![], None),
        (vec![mail("a@acme.example.evil.example")], vec![acme], None),
        (
            vec![dns("one.DB.acme.example"), dns("one")],
            vec![],
            Some("sa:one.db.acme.example"),
        ),
        (
            vec![dns("one.db.acme.example"), dns("two.db.acme.example")],
            vec![],
            None,
        ),
        (vec![dns("a.b.db.acme.example")], vec![], None),
        (
            vec![],
            vec![unit.clone(), (DnType::CommonName, "job-7")],
            Some("sa:job-7"),
        ),
        (vec![], vec![unit, (DnType::CommonName, "job-7.x")], None),
        (vec![], vec![(DnType::CommonName, "job-7")], None),
    ] {
        let what = format!("{names:?} {subject:?}");
        let wanted = Wanted {
            names,
            subject,
            ..Wanted::default()
        };
        let holder = setup.holder(&served, &setup.clients.issue(1, wanted));
        let reply = holder.get("/v1/auth/whoami").await;
        match expect {
            Some(identity) => assert_eq!(reply.ok(200)["identity_id"], identity, "{what}"),
            None => drop(reply.refused(401, "authentication_required")),
        }
    }
    let (_, log) = (served.api, served.process.stderr());
    assert!(log.contains("a client certificate is nobody's"), "{log}");
    assert!(!log.contains("evil.example"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_a_certificate() {
    let setup = Setup::new(SPIFFE_RULE);
    let served = setup.serve().await;
    let cart = setup.clients.workload(1, SHOP);
    setup.write("cart.pem", &cart.certificate);
    setup.write("cart.key", &cart.key);
    let home = tempfile::tempdir().expect("a home");
    let run = |words: &[&str], env: &[(&str, &str)]| {
        let mut command = scaivault(home.path());
        command
            .args(words)
            .env("SCAIVAULT_URL", served.api.url())
            .env("SCAIVAULT_CA_FILE", setup.file("servers.pem"))
            .envs(env.iter().copied());
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            text + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (certificate, key) = (setup.file("cart.pem"), setup.file("cart.key"));
    let shown = ["--client-cert", &certificate, "--client-key", &key];
    let (code, text) = run(&[&["auth", "whoami"], &shown[..]].concat(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("sa:shop/cart") && text.contains("certificate"),
        "{text}"
    );
    let (code, text) = run(&["auth", "whoami"], &[]);
    assert_eq!(code, Some(2), "{text}");
    // Once kept, the token does without.
    let env = [
        ("SCAIVAULT_CLIENT_CERT", certificate.as_str()),
        ("SCAIVAULT_CLIENT_KEY", key.as_str()),
    ];
    let (code, text) = run(&["auth", "login", "--certificate"], &env);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&["auth", "whoami"], &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("sa:shop/cart"), "{text}");
    let (code, text) = run(&["auth", "login", "--certificate"], &[]);
    assert_eq!(code, Some(5), "{text}");
    let (code, text) = run(&["auth", "whoami", "--client-cert", &key], &[]);
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("are not a client certificate"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_suspended_or_not_there_serves_no_certificate() {
    let rules = SPIFFE_RULE.replace("ttl = \"30m\"", "tenant = \"tnt_shop\"");
    let setup = Setup::new(&rules);
    let served = setup.serve().await;
    let holder = setup.holder(&served, &setup.clients.workload(1, SHOP));
    let asked = holder.get("/v1/auth/whoami").await;
    asked.refused(403, "tenant_suspended");
    let root = &served.api;
    let body = json!({ "name": "Shop", "id": "tnt_shop" });
    root.post("/v1/identity/tenants", body).await.ok(201);
    let who = whoami(&holder).await;
    assert_eq!(
        (&who["tenant_id"], &who["auth_method"]),
        (&json!("tnt_shop"), &json!("certificate"))
    );
    for (status, expect) in [("SUSPENDED", 403), ("ACTIVE", 200)] {
        let body = json!({ "status": status });
        let changed = root.patch("/v1/identity/tenants/tnt_shop", body);
        changed.await.ok(200);
        let asked = holder.get("/v1/auth/whoami").await;
        assert_eq!(asked.status, expect, "{status}: {}", asked.text);
    }
    let elsewhere = holder.in_tenant("tnt_default").get("/v1/auth/whoami").await;
    elsewhere.refused(403, "tenant_access_denied");
}

/// Whatever a request says of a certificate: only what was shown in the handshake counts.
#[tokio::test(flavor = "multi_thread")]
async fn no_header_stands_for_a_certificate() {
    let setup = Setup::new(SPIFFE_RULE);
    let mut command = setup.command();
    command.env("SCAIVAULT_SERVER_TRUSTED_PROXIES", "127.0.0.1");
    let served = setup.serve_by(command, None).await;
    let cart = setup.clients.workload(1, SHOP);
    let flat = cart.certificate.replace('\n', "");
    let http = setup.http(None);
    for name in [
        "x-client-cert",
        "x-ssl-client-cert",
        "x-forwarded-client-cert",
        "client-cert",
        "x-amzn-mtls-clientcert",
    ] {
        let asked = http
            .get(format!("{}/v1/auth/whoami", served.api.url()))
            .header(name, &flat)
            .send();
        let asked = asked.await.expect("an answer");
        assert_eq!(asked.status(), 401, "{name}");
    }
}

/// The blocks of the page, in order: what is made, what is shown, what is revoked.
#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example_works() {
    let page = repository().join("docs/client-certificates.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let blocks = blocks(&page);
    let [make, show, revoke] = blocks.as_slice() else {
        panic!("{} blocks", blocks.len());
    };
    let rules = page.split("# /etc/scaivault/issuers.toml\n").nth(1);
    let pods = rules.and_then(|rules| rules.split("\n\n").next());
    let setup = Setup::new(pods.expect("a rule"));
    let run = |script: &str, url: &str| {
        let binary = std::path::Path::new(SCAIVAULT)
            .parent()
            .expect("a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-eu", "-o", "pipefail", "-c", script])
            .current_dir(setup.files.path())
            .env("PATH", format!("{}:{path}", binary.display()))
            .env("HOME", setup.files.path())
            .env("SCAIVAULT_URL", url)
            .env("SCAIVAULT_CA_FILE", setup.file("servers.pem"))
            .output();
        let output = output.expect("bash is there");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.success(),
            text + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (done, text) = run(&make.script, "");
    assert!(done, "{text}");
    let mut command = setup.command();
    command.env(
        "SCAIVAULT_SERVER_TLS_CLIENT_CRL_FILE",
        setup.file("clients.crl"),
    );
    let served = setup.serve_by(command, None).await;
    let (done, text) = run(&show.script, served.api.url());
    assert!(done, "{text}");
    assert!(!show.expect.is_empty());
    for expect in &show.expect {
        assert!(text.contains(expect), "{expect}: {text}");
    }
    let (done, text) = run(&revoke.script, "");
    assert!(done, "{text}");
    served.process.hang_up();
    eventually("it is revoked", SOON, async || {
        let (done, _) = run(&show.script, served.api.url());
        (!done).then_some(())
    })
    .await;
}
