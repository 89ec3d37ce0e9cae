//! Identities from outside: tokens of an issuer as bearer tokens, its keys over time, and the exchange
//! of a workload's token for one of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::issuer::{Signer, b64, now_s};
use crate::harness::{Api, Issuer, Reply, SOON, Server, eventually};

/// The file of this issuer, with further settings of it and what follows them.
fn issuers_file(issuer: &Issuer, more: &str) -> (String, tempfile::TempDir) {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("issuers.toml");
    let text = format!(
        "[[issuer]]\nname = \"test\"\nurl = \"{}\"\naudiences = [\"scaivault\"]\n\
         scopes_default = [\"secrets:read\"]\nrefresh_pause = \"1s\"\n{more}",
        issuer.url()
    );
    std::fs::write(&file, text).expect("a file");
    (file.to_str().expect("a plain name").to_owned(), home)
}

/// A server that believes this issuer.
async fn believing(issuer: &Issuer, more: &str) -> (Server, tempfile::TempDir) {
    let (file, home) = issuers_file(issuer, more);
    let server = Server::dev().env("SCAIVAULT_IDENTITY_ISSUERS_FILE", &file);
    (server.start().await, home)
}

async fn whoami(api: &Api, token: &str) -> Reply {
    api.with_token(token).get("/v1/auth/whoami").await
}

async fn policy(root: &Api, group: &str, rule: Value) {
    let body = json!({ "name": group, "rules": [rule] });
    let policy = root.post("/v1/policies", body).await.ok(201);
    let id = policy["id"].as_str().expect("an id");
    let body = json!({ "identity_type": "group", "identity_id": group });
    let at = format!("/v1/policies/{id}/bindings");
    let bound = root.post(&at, body);
    bound.await.ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_issuer_is_a_login() {
    let issuer = Issuer::start().await;
    let (server, _home) = believing(&issuer, "roles_allowed = [\"tenant_admin\"]\n").await;
    let root = server.root();
    root.put("/v1/secrets/app/db", json!({ "data": { "password": "x" } }))
        .await
        .ok(201);
    let rule = json!({
        "path_pattern": "app/**", "permissions": ["read"],
        "conditions": { "mfa_max_age": "15m" },
    });
    policy(root, "group:sre", rule).await;

    let ends = now_s() + 600;
    let claims = json!({
        "groups": ["sre", "oncall"], "roles": ["partner_admin", "tenant_admin"], "name": "Alice",
        "amr": ["pwd", "otp"], "auth_time": now_s() - 60, "exp": ends,
        "scope": "openid secrets:read secrets:list admin",
        "tenant_id": "tnt_default", "partner_id": "ptn_default",
    });
    let token = issuer.token(&claims);
    let alice = root.with_token(&token);
    let who = alice.get("/v1/auth/whoami").await.ok(200);
    assert_eq!(who["identity_id"], "user:alice@acme.example");
    assert_eq!(who["identity_type"], "user");
    assert_eq!(who["display_name"], "Alice");
    assert_eq!(who["tenant_id"], "tnt_default");
    assert_eq!(who["scopes"], json!(["secrets:read", "secrets:list"]));
    assert_eq!(who["groups"], json!(["group:oncall", "group:sre"]));
    assert_eq!(who["roles"], json!(["tenant_admin"]));
    assert_eq!(who["issuer"], issuer.url());
    assert!(who["mfa_verified_at"].is_string() && who["token_expires_at"].is_string());

    // The group's policy lets her read, with a second factor that is fresh.
    let read = alice.get("/v1/secrets/app/db").await.ok(200);
    assert_eq!(read["data"]["password"], "x");
    let stale = json!({ "groups": ["sre"], "amr": ["otp"], "auth_time": now_s() - 3_600 });
    let stale = root.with_token(&issuer.token(&stale));
    stale
        .get("/v1/secrets/app/db")
        .await
        .refused(403, "mfa_required");
    let other = root.with_token(&issuer.token(&json!({ "groups": ["dev"] })));
    other
        .get("/v1/secrets/app/db")
        .await
        .refused(403, "access_denied");
    alice
        .put("/v1/secrets/app/db", json!({ "data": {} }))
        .await
        .refused(403, "insufficient_scope");

    // The trail says who, and who vouched.
    let rows = root
        .get("/v1/audit/logs?action=read&success=true")
        .await
        .ok(200);
    let row = &rows["logs"][0];
    assert_eq!(row["identity_id"], "user:alice@acme.example");
    assert_eq!(row["extra_data"]["issuer"], issuer.url());

    // Another looks at it; a token issued elsewhere is not renewed here.
    let body = json!({ "token": token });
    let found = root.post("/v1/auth/introspect", body).await.ok(200);
    assert_eq!(
        (&found["active"], &found["identity_id"]),
        (&json!(true), &who["identity_id"])
    );
    assert_eq!(found["expires_at"], who["token_expires_at"]);
    assert_eq!(found["issuer"], issuer.url());
    let renewed = alice.post_empty("/v1/auth/tokens/self/renew").await;
    renewed.refused(403, "forbidden");
    assert_eq!(issuer.looks(), 1, "its keys were looked at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_borrowed_tokens_are_refused_alike() {
    let issuer = Issuer::start().await;
    let (server, _home) = believing(&issuer, "clock_skew = \"30s\"").await;
    let root = server.root();
    let (ours, theirs) = (issuer.signer(), Signer::new(&issuer.signer().id));
    let good = issuer.claims(&json!({}));
    let claims = good.to_string();
    let header = |more: Value| {
        let mut header = json!({ "alg": "ES256", "kid": ours.id });
        let fields = header.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        header.to_string()
    };
    whoami(root, &ours.sign(&good)).await.ok(200);

    let unsigned = |algorithm: &str| {
        let header = b64(header(json!({ "alg": algorithm })));
        format!("{header}.{}.", b64(&claims))
    };
    let with_public_key_as_secret = {
        let signed = format!(
            "{}.{}",
            b64(header(json!({ "alg": "HS256" }))),
            b64(&claims)
        );
        let secret = ours.jwk().to_string();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        format!(
            "{signed}.{}",
            b64(aws_lc_rs::hmac::sign(&key, signed.as_bytes()))
        )
    };
    let evil = "https://evil.example/keys";
    let signed = |changes: Value| ours.sign(&issuer.claims(&changes));
    let twice = claims.replacen('{', r#"{"sub":"user:bob","#, 1);
    let (head, tail) = claims.split_at(claims.len() - 1);
    let long = format!("{head},\"pad\":\"{}\"{tail}", "x".repeat(13_000));
    let refused = [
        ("none", unsigned("none")),
        ("NONE", unsigned("NONE")),
        ("unsigned", unsigned("ES256")),
        ("shared secret", with_public_key_as_secret),
        ("another's key of the same id", theirs.sign(&good)),
        (
            "jwk",
            theirs.sign_raw(&header(json!({ "jwk": theirs.jwk() })), &claims),
        ),
        (
            "jku",
            theirs.sign_raw(&header(json!({ "jku": evil, "x5u": evil })), &claims),
        ),
        (
            "x5c",
            theirs.sign_raw(&header(json!({ "x5c": ["MIIB"] })), &claims),
        ),
        (
            "crit",
            ours.sign_raw(&header(json!({ "crit": ["exp"] })), &claims),
        ),
        (
            "typ",
            ours.sign_raw(&header(json!({ "typ": "logout+jwt" })), &claims),
        ),
        (
            "algorithm of another key",
            ours.sign_raw(&header(json!({ "alg": "RS256" })), &claims),
        ),
        ("a name twice", ours.sign_raw(&header(json!({})), &twice)),
        ("aud", signed(json!({ "aud": "another" }))),
        ("no aud", signed(json!({ "aud": null }))),
        ("iss", signed(json!({ "iss": "https://issuer.example" }))),
        (
            "iss with a slash",
            signed(json!({ "iss": format!("{}/", issuer.url()) })),
        ),
        ("no exp", signed(json!({ "exp": null }))),
        (
            "exp as text",
            signed(json!({ "exp": (now_s() + 600).to_string() })),
        ),
        ("nbf", signed(json!({ "nbf": now_s() + 90 }))),
        ("iat", signed(json!({ "iat": now_s() + 90 }))),
        ("tenant", signed(json!({ "tenant_id": "tnt_other" }))),
        ("partner", signed(json!({ "partner_id": "ptn_other" }))),
        ("nobody", signed(json!({ "sub": null }))),
        ("untyped", signed(json!({ "sub": "alice" }))),
        ("root", signed(json!({ "sub": "user:root" }))),
        (
            "our own worker",
            signed(json!({ "sub": "system:rotation-scheduler" })),
        ),
        ("cut", ours.sign(&good)[..200].to_owned()),
    ];
    let mut answers = Vec::new();
    for (what, token) in &refused {
        let answer = whoami(root, token).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        let mut error = answer.refused(401, "token_invalid");
        error["request_id"] = Value::Null;
        answers.push(error);
    }
    answers.dedup();
    assert_eq!(
        answers.len(),
        1,
        "who is refused is not told why: {answers:?}"
    );
    let ended = signed(json!({ "exp": now_s() - 31 }));
    let ended = whoami(root, &ended).await;
    ended.refused(401, "token_expired");
    // One that ended for nobody's key is not told to have ended.
    let ended = theirs.sign(&issuer.claims(&json!({ "exp": now_s() - 31 })));
    let ended = whoami(root, &ended).await;
    ended.refused(401, "token_invalid");
    for within in [
        json!({ "exp": now_s() - 15 }),
        json!({ "nbf": now_s() + 15, "iat": now_s() + 15 }),
        json!({ "aud": ["x", "scaivault"] }),
    ] {
        whoami(root, &signed(within)).await.ok(200);
    }
    // A long one counts; one that is longer than any may be is not looked at.
    let token = ours.sign_raw(&header(json!({})), &long);
    assert!(token.len() > 16_384);
    let answer = whoami(root, &token).await;
    answer.refused(401, "authentication_required");
    let groups: Vec<String> = (0..250)
        .map(|number| format!("a-rather-long-name-{number}"))
        .collect();
    let token = signed(json!({ "groups": groups }));
    assert!(token.len() > 6_000 && token.len() < 16_384);
    let who = whoami(root, &token).await.ok(200);
    assert_eq!(who["groups"].as_array().map(Vec::len), Some(250));

    // The log says why, in its own words.
    let (log, _) = server.stop().await;
    assert!(log.contains("its signature does not hold"), "{log}");
    assert!(log.contains("'aud' names none of the audiences"), "{log}");
    for part in ["user:bob", "evil.example", "eyJ", "logout+jwt"] {
        assert!(!log.contains(part), "{part} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_under_load_and_no_valid_token_is_refused() {
    const ROTATIONS: usize = 8;
    const CLIENTS: usize = 6;
    let issuer = Arc::new(Issuer::start().await);
    let (server, _home) = believing(&issuer, "").await;
    let stop = Arc::new(AtomicBool::new(false));
    let counts: Arc<Vec<AtomicUsize>> =
        Arc::new((0..CLIENTS).map(|_| AtomicUsize::new(0)).collect());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (issuer, stop, counts) = (issuer.clone(), stop.clone(), counts.clone());
            let api = server.root().clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let number = counts[client].load(Ordering::SeqCst);
                    let name = format!("sa:client-{client}-{number}");
                    let token = issuer.token(&json!({ "sub": name }));
                    let who = whoami(&api, &token).await.ok(200);
                    assert_eq!(who["identity_id"], name);
                    counts[client].fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..ROTATIONS {
        // Everybody was served with the key there is, then it is replaced. The one before stays
        // published, as tokens signed by it are under way.
        let before: Vec<usize> = counts
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .collect();
        eventually(
            "every client is served by the newest key",
            SOON,
            async || {
                let mut served = counts.iter().zip(&before);
                let all = served.all(|(now, before)| now.load(Ordering::SeqCst) >= before + 2);
                assert!(
                    !clients.iter().any(tokio::task::JoinHandle::is_finished),
                    "one was refused"
                );
                all.then_some(())
            },
        )
        .await;
        issuer.rotate(2);
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("no valid token was refused");
    }
    let looks = issuer.looks();
    assert!(looks <= ROTATIONS + 2, "{looks} looks for {ROTATIONS} keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_unknown_keys_costs_a_bounded_number_of_looks() {
    let issuer = Arc::new(Issuer::start().await);
    let (server, _home) = believing(&issuer, "").await;
    let valid = issuer.token(&json!({}));
    let valid = server.root().with_token(&valid);
    valid.get("/v1/auth/whoami").await.ok(200);
    let (began, before) = (Instant::now(), issuer.looks());
    let storm: Vec<_> = (0..40)
        .map(|attacker| {
            let (issuer, api) = (issuer.clone(), server.root().clone());
            tokio::spawn(async move {
                let mut last = String::new();
                for number in 0..3 {
                    let signer = Signer::new(&format!("guess-{attacker}-{number}"));
                    last = signer.sign(&issuer.claims(&json!({})));
                    let answer = whoami(&api, &last).await;
                    answer.refused(401, "token_invalid");
                }
                last
            })
        })
        .collect();
    // Whoever has a valid token is served meanwhile.
    let mut served = 0;
    while storm.iter().any(|attacker| !attacker.is_finished()) {
        valid.get("/v1/auth/whoami").await.ok(200);
        served += 1;
    }
    assert!(served > 10, "{served}");
    let mut last = String::new();
    for attacker in storm {
        last = attacker.await.expect("every forged token is refused");
    }
    let (looks, seconds) = (issuer.looks() - before, began.elapsed().as_secs_f64());
    assert!(looks >= 1, "somebody looked");
    let most = seconds.ceil() + 1.0;
    assert!(
        (looks as f64) <= most,
        "{looks} looks in {seconds} s, 120 tokens"
    );
    // The same dead token again is refused without another look.
    let looks = issuer.looks();
    for _ in 0..20 {
        let answer = whoami(server.root(), &last).await;
        answer.refused(401, "token_invalid");
    }
    assert_eq!(issuer.looks(), looks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_withdrawn_stops_counting() {
    let issuer = Issuer::start().await;
    let (server, _home) = believing(&issuer, "refresh_every = \"1s\"").await;
    let token = issuer.token(&json!({}));
    let api = server.root().with_token(&token);
    api.get("/v1/auth/whoami").await.ok(200);
    issuer.rotate(1);
    eventually("its tokens are refused", SOON, async || {
        let answer = api.get("/v1/auth/whoami").await;
        (answer.status == 401).then(|| answer.refused(401, "token_invalid"))
    })
    .await;
    let fresh = issuer.token(&json!({}));
    whoami(server.root(), &fresh).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_cannot_be_reached_is_believed_for_a_while() {
    let issuer = Issuer::start().await;
    let more = "refresh_every = \"1s\"\nkeys_max_age = \"8s\"";
    let (server, _home) = believing(&issuer, more).await;
    let fresh = |number: usize| {
        let token = issuer.token(&json!({ "sub": format!("sa:client-{number}") }));
        server.root().with_token(&token)
    };
    fresh(0).get("/v1/auth/whoami").await.ok(200);
    issuer.down(true);
    let (failed, mut number) = (issuer.looks(), 1);
    eventually("a look fails", SOON, async || {
        (issuer.looks() > failed).then_some(())
    })
    .await;
    fresh(number).get("/v1/auth/whoami").await.ok(200);
    eventually("its keys are too old", SOON, async || {
        number += 1;
        let answer = fresh(number).get("/v1/auth/whoami").await;
        match answer.status {
            200 => None,
            _ => Some(answer.refused(503, "service_unavailable")),
        }
    })
    .await;
    issuer.down(false);
    eventually("it is believed again", SOON, async || {
        number += 1;
        let answer = fresh(number).get("/v1/auth/whoami").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_issuers_a_foreign_token_is_nobodys() {
    let issuer = Issuer::start().await;
    let server = Server::dev().start().await;
    let token = issuer.token(&json!({}));
    let answer = whoami(server.root(), &token).await;
    answer.refused(401, "token_invalid");
    let body = json!({ "subject_token": token });
    let answer = server
        .root()
        .anonymous()
        .post("/v1/auth/exchange", body)
        .await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (400, &json!("token_invalid"))
    );
    assert_eq!(issuer.looks(), 0);
}

const RULES: &str = r#"
    login = false
    [[exchange]]
    name = "deploy"
    issuer = "test"
    subject = "repo:acme/shop:ref:refs/heads/*"
    claims = { environment = ["prod", "stage"] }
    identity = "sa:gha-{repository}"
    groups = ["group:builders"]
    scopes = ["secrets:read", "secrets:list"]
    ttl = "20m"
    [[exchange]]
    name = "pods"
    issuer = "test"
    subject = "system:serviceaccount:prod:*"
    identity = "sa:{/kubernetes.io/serviceaccount/name}"
    scopes = ["secrets:read"]
"#;

async fn exchange(api: &Api, fields: &[(&str, &str)]) -> Reply {
    let query = reqwest::Url::parse_with_params("http://form", fields).expect("a form");
    let response = crate::harness::http::client()
        .build()
        .expect("a client")
        .post(format!("{}/v1/auth/exchange", api.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(query.query().unwrap_or_default().to_owned())
        .send()
        .await
        .expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("a body");
    Reply::new("exchange".to_owned(), status, headers, text)
}

/// Fields of a form; what it is refused with: OAuth's word and ours.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

#[tokio::test(flavor = "multi_thread")]
async fn a_workloads_token_is_exchanged_for_one_of_ours() {
    let issuer = Issuer::start().await;
    let (server, _home) = believing(&issuer, RULES).await;
    let root = server.root();
    root.put("/v1/secrets/app/db", json!({ "data": { "password": "x" } }))
        .await
        .ok(201);
    let rule = json!({ "path_pattern": "app/**", "permissions": ["read"] });
    policy(root, "group:builders", rule).await;
    let job = json!({
        "sub": "repo:acme/shop:ref:refs/heads/main", "environment": "prod",
        "repository": "acme/shop",
    });
    let subject = issuer.token(&job);
    // It is a credential for the exchange alone.
    let bearer = whoami(root, &subject).await;
    bearer.refused(401, "token_invalid");

    let fields = [
        ("grant_type", GRANT),
        ("subject_token", &subject),
        ("subject_token_type", JWT),
        ("audience", "scaivault"),
    ];
    let answer = exchange(root, &fields).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    let given = answer.ok(200);
    assert_eq!(given["token_type"], "Bearer");
    assert_eq!(
        given["issued_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
    assert_eq!(
        (&given["expires_in"], &given["scope"]),
        (&json!(1_200), &json!("secrets:read secrets:list"))
    );
    assert_eq!(given["identity_id"], "sa:gha-acme/shop");
    let token = given["access_token"].as_str().expect("a token");
    let job_api = root.with_token(token);
    let who = job_api.get("/v1/auth/whoami").await.ok(200);
    assert_eq!(who["groups"], json!(["group:builders"]));
    assert_eq!(who["issuer"], issuer.url());
    job_api.get("/v1/secrets/app/db").await.ok(200);
    let renewed = job_api.post_empty("/v1/auth/tokens/self/renew").await;
    renewed.refused(403, "forbidden");

    // JSON, fewer scopes, a rule by name.
    let body = json!({ "subject_token": subject, "scope": "secrets:list", "rule": "deploy" });
    let fewer = root
        .anonymous()
        .post("/v1/auth/exchange", body)
        .await
        .ok(200);
    assert_eq!(fewer["scope"], "secrets:list");
    let pod = json!({
        "sub": "system:serviceaccount:prod:checkout",
        "kubernetes.io": { "serviceaccount": { "name": "checkout" } },
    });
    let body = json!({ "subject_token": issuer.token(&pod) });
    let pod = root
        .anonymous()
        .post("/v1/auth/exchange", body)
        .await
        .ok(200);
    assert_eq!(
        (&pod["identity_id"], &pod["expires_in"]),
        (&json!("sa:checkout"), &json!(3_600))
    );

    // It is revoked like any other.
    let id = given["token_id"].as_str().expect("an id");
    root.delete(&format!("/v1/auth/tokens/{id}")).await.ok(204);
    job_api
        .get("/v1/auth/whoami")
        .await
        .refused(401, "token_revoked");

    // The trail: whom, for which subject, by whose word.
    let rows = root
        .get("/v1/audit/logs?action=token_exchange")
        .await
        .ok(200);
    let rows = rows["logs"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), 3);
    let of_job = rows
        .iter()
        .find(|row| row["extra_data"]["token_id"] == given["token_id"]);
    let of_job = of_job.expect("a row of the first");
    assert_eq!(of_job["identity_id"], "sa:gha-acme/shop");
    assert_eq!(
        of_job["extra_data"]["subject"],
        "repo:acme/shop:ref:refs/heads/main"
    );
    assert_eq!(of_job["extra_data"]["issuer"], issuer.url());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_refused_in_the_words_of_oauth() {
    let issuer = Issuer::start().await;
    let (server, _home) = believing(&issuer, RULES).await;
    let root = server.root();
    let job = |changes: Value| {
        let mut claims = json!({
            "sub": "repo:acme/shop:ref:refs/heads/main", "environment": "prod",
            "repository": "acme/shop",
        });
        let claimed = claims.as_object_mut().expect("an object");
        claimed.extend(changes.as_object().expect("an object").clone());
        issuer.token(&claims)
    };
    let good = job(json!({}));
    let pull = job(json!({ "sub": "repo:acme/shop:pull_request" }));
    let fork = job(json!({ "sub": "repo:evil/shop:ref:refs/heads/main" }));
    let branch = job(json!({ "environment": "dev" }));
    let named = job(json!({ "repository": "acme shop" }));
    let ended = job(json!({ "exp": now_s() - 600 }));
    let other = job(json!({ "aud": "another" }));
    let forged = Signer::new(&issuer.signer().id).sign(&issuer.claims(&json!({})));
    fn token(token: &str) -> (&str, &str) {
        ("subject_token", token)
    }
    let cases: &[Case<'_>] = &[
        (&[token(&pull)], "invalid_request", "access_denied"),
        (&[token(&fork)], "invalid_request", "access_denied"),
        (&[token(&branch)], "invalid_request", "access_denied"),
        (&[token(&named)], "invalid_request", "access_denied"),
        (
            &[token(&good), ("rule", "pods")],
            "invalid_request",
            "access_denied",
        ),
        (&[token(&ended)], "invalid_request", "token_expired"),
        (&[token(&other)], "invalid_request", "token_invalid"),
        (&[token(&forged)], "invalid_request", "token_invalid"),
        (&[token("skt_x")], "invalid_request", "token_invalid"),
        (&[token("")], "invalid_request", "invalid_request"),
        (&[], "invalid_request", "validation_error"),
        (
            &[token(&good), token(&good)],
            "invalid_request",
            "invalid_request",
        ),
        (
            &[token(&good), ("grant_type", "password")],
            "unsupported_grant_type",
            "invalid_request",
        ),
        (
            &[token(&good), ("subject_token_type", "x")],
            "invalid_request",
            "invalid_request",
        ),
        (
            &[token(&good), ("scope", "openid")],
            "invalid_scope",
            "invalid_request",
        ),
        (
            &[token(&good), ("scope", "secrets:write")],
            "invalid_scope",
            "insufficient_scope",
        ),
    ];
    for (fields, error, code) in cases {
        let answer = exchange(root, fields).await;
        let found = (
            answer.status,
            answer.body["error"].as_str(),
            answer.body["code"].as_str(),
        );
        assert_eq!(found, (400, Some(*error), Some(*code)), "{}", answer.text);
        assert!(answer.body["error_description"].is_string());
        assert_eq!(
            answer.body["request_id"].as_str(),
            Some(answer.header("x-request-id"))
        );
        assert!(!answer.text.contains("eyJ"), "{}", answer.text);
    }
    exchange(root, &[token(&good)]).await.ok(200);

    // Good tokens without a rule are on the trail; what nobody signed is not.
    let rows = root
        .get("/v1/audit/logs?action=token_exchange&success=false")
        .await
        .ok(200);
    let rows = rows["logs"].as_array().expect("rows").clone();
    let subjects: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["extra_data"]["subject"].as_str())
        .collect();
    assert_eq!(subjects.len(), 5, "{rows:?}");
    assert!(subjects.contains(&"repo:evil/shop:ref:refs/heads/main"));
    assert!(
        rows.iter()
            .all(|row| row["identity_id"] == "system:token-exchange")
    );
}

/// Anybody has an account at a public issuer, and as many subjects as he likes.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_without_a_rule_do_not_write_the_trail_full() {
    let issuer = Issuer::start().await;
    let (file, _home) = issuers_file(&issuer, RULES);
    let server = Server::dev().rate_limited();
    let server = server.env("SCAIVAULT_IDENTITY_ISSUERS_FILE", &file);
    let server = server.env("SCAIVAULT_RATE_LIMITS_AUTH", "5").start().await;
    let root = server.root();
    let mut limited = 0;
    for number in 0..30 {
        let claims = json!({ "sub": format!("repo:evil-{number}/x:ref:refs/heads/main") });
        let answer = exchange(root, &[("subject_token", &issuer.token(&claims))]).await;
        match answer.status {
            429 => limited += 1,
            _ => assert_eq!(answer.body["code"], "access_denied", "{}", answer.text),
        }
    }
    // Who has a rule has a limit of his own.
    let job = json!({
        "sub": "system:serviceaccount:prod:checkout",
        "kubernetes.io": { "serviceaccount": { "name": "checkout" } },
    });
    let job = exchange(root, &[("subject_token", &issuer.token(&job))]).await;
    job.ok(200);
    let rows = root.get("/v1/audit/logs?action=token_exchange&success=false");
    let rows = rows.await.ok(200);
    let rows = rows["logs"].as_array().map(Vec::len);
    assert_eq!(
        rows,
        Some(30 - limited),
        "{limited} were refused by the limit"
    );
    assert!(limited >= 15, "{limited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_be_given_in_a_file_and_nothing_is_fetched() {
    let issuer = Issuer::start().await;
    let home = tempfile::tempdir().expect("a directory");
    let keys = home.path().join("keys.json");
    let set = json!({ "keys": [issuer.signer().jwk()] });
    std::fs::write(&keys, set.to_string()).expect("a file");
    let more = format!("jwks_file = \"{}\"", keys.display());
    let (server, _home) = believing(&issuer, &more).await;
    let good = issuer.token(&json!({}));
    whoami(server.root(), &good).await.ok(200);
    issuer.rotate(2);
    let unknown = issuer.token(&json!({}));
    let answer = whoami(server.root(), &unknown).await;
    answer.refused(401, "token_invalid");
    assert_eq!(issuer.looks(), 0);
}

/// What the file says holds from the signal on; a file with a mistake changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_read_again_on_a_signal_and_a_mistake_changes_nothing() {
    let issuer = Issuer::start().await;
    let (file, _home) = issuers_file(&issuer, "");
    let server = Server::dev().env("SCAIVAULT_IDENTITY_ISSUERS_FILE", &file);
    let server = server.start().await;
    let root = server.root();
    let token = issuer.token(&json!({}));
    whoami(root, &token).await.ok(200);
    let first = std::fs::read_to_string(&file).expect("the file");
    let reads = |text: String| {
        std::fs::write(&file, text).expect("the file");
        server.process().hang_up();
    };

    // The issuer cannot be reached; its keys are still known.
    issuer.down(true);
    reads(first.replace("secrets:read", "secrets:list"));
    eventually("another scope", SOON, async || {
        let who = whoami(root, &token).await.ok(200);
        (who["scopes"] == json!(["secrets:list"])).then_some(())
    })
    .await;
    reads(format!("{first}no_such_field = 1\n"));
    eventually("it is said", SOON, async || {
        let said = server.process().stderr();
        (said.contains("NOT read again") && said.contains("no_such_field")).then_some(())
    })
    .await;
    let who = whoami(root, &token).await.ok(200);
    assert_eq!(who["scopes"], json!(["secrets:list"]), "as before");
    reads(first);
    eventually("the first one again", SOON, async || {
        let who = whoami(root, &token).await.ok(200);
        (who["scopes"] == json!(["secrets:read"])).then_some(())
    })
    .await;
    // A file that was cut short is none; one that says so believes nobody.
    reads(String::new());
    eventually("it is said", SOON, async || {
        server
            .process()
            .stderr()
            .contains("the file is empty")
            .then_some(())
    })
    .await;
    whoami(root, &token).await.ok(200);
    reads("issuer = []\n".to_owned());
    eventually("nobody is believed", SOON, async || {
        (whoami(root, &token).await.status == 401).then_some(())
    })
    .await;
}
