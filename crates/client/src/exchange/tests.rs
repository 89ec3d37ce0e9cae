use std::sync::{Arc, Mutex};
use std::time::Duration;

use scaivault_api::secret::PutOptions;

use crate::testing::{Responder, Script};
use crate::{
    Client, ClientError, DecodeProblem, RetryPolicy, SecretQuery, TransportKind, WriteSecret,
};

const SECRET: &str = r#"{"path":"a","secret_type":"json","version":2,"is_current":true,
    "data":{"password":"hunter2"},"metadata":{},"created_at":"","updated_at":"",
    "expires_at":null,"rotation_policy_id":null}"#;

fn value() -> WriteSecret {
    WriteSecret::new(&serde_json::json!({"password": "hunter2"})).expect("json")
}

#[tokio::test]
async fn sends_token_tenant_and_name() {
    let server = Responder::start(vec![Script::json(200, SECRET)]).await;
    let client = server
        .builder()
        .tenant("tnt_1")
        .partner("ptn_1")
        .user_agent("me/1");
    let secret = client
        .build()
        .expect("client")
        .secrets()
        .read("a")
        .await
        .expect("secret");
    assert_eq!(secret.version, 2);
    assert_eq!(secret.data.get(), r#"{"password":"hunter2"}"#);
    let head = &server.requests()[0].head;
    for line in [
        "authorization: Bearer skt_hidden",
        "x-tenant-id: tnt_1",
        "x-partner-id: ptn_1",
        "user-agent: me/1",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
}

#[tokio::test]
async fn keeps_the_prefix_of_the_base_url() {
    let server = Responder::start(vec![Script::json(200, SECRET)]).await;
    let base = format!("http://{}/vault/", server.address);
    let client = Client::builder(&base).build().expect("client");
    client.secrets().read("a").await.expect("secret");
    assert_eq!(server.lines(), ["GET /vault/v1/secrets/a"]);
    assert!(!server.requests()[0].head.contains("authorization"));
}

#[tokio::test]
async fn waits_as_long_as_the_server_says() {
    let limited = Script::error(429, "rate_limited", &[("Retry-After", "7")]);
    let server = Responder::start(vec![limited.clone(), limited, Script::json(200, "{}")]).await;
    // Even a write that may not happen twice: a refused request did nothing.
    server
        .client()
        .secrets()
        .write("a", &value())
        .json()
        .await
        .expect("answer");
    let pauses = server.pauses();
    assert_eq!(pauses.len(), 2);
    for pause in pauses {
        assert!(
            (Duration::from_secs(7)..Duration::from_secs(8)).contains(&pause),
            "{pause:?}"
        );
    }
}

#[tokio::test]
async fn gives_up_after_the_last_attempt() {
    let away = Script::error(503, "service_unavailable", &[("Retry-After", "1")]);
    let server = Responder::start(vec![away; 4]).await;
    let error = server
        .client()
        .secrets()
        .read("a")
        .await
        .err()
        .expect("error");
    let ClientError::Api(api) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (api.status, api.code.as_str()),
        (503, "service_unavailable")
    );
    assert_eq!(api.retry_after, Some(Duration::from_secs(1)));
    assert_eq!(server.lines().len(), 4);
}

#[tokio::test]
async fn a_long_wait_is_the_callers_decision() {
    let limited = Script::error(429, "rate_limited", &[("Retry-After", "3600")]);
    let server = Responder::start(vec![limited]).await;
    let error = server
        .client()
        .secrets()
        .read("a")
        .await
        .err()
        .expect("error");
    let ClientError::Api(api) = error else {
        panic!("{error:?}")
    };
    assert_eq!(api.retry_after, Some(Duration::from_secs(3600)));
    assert!(server.pauses().is_empty());
}

#[tokio::test]
async fn a_write_is_not_repeated_after_an_uncertain_outcome() {
    for (status, code) in [(503, "service_unavailable"), (500, "internal_error")] {
        let server = Responder::start(vec![Script::error(status, code, &[]); 2]).await;
        let error = server
            .client()
            .secrets()
            .write("a", &value())
            .await
            .expect_err("error");
        assert_eq!(error.code(), Some(code));
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn a_guarded_write_is_repeated() {
    let away = Script::error(503, "service_unavailable", &[]);
    let server = Responder::start(vec![away, Script::json(200, "{}")]).await;
    let options = PutOptions {
        cas: Some(1),
        ..PutOptions::default()
    };
    let write = value().options(options);
    server
        .client()
        .secrets()
        .write("a", &write)
        .json()
        .await
        .expect("answer");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn an_internal_error_is_tried_once_more() {
    let fault = Script::error(500, "internal_error", &[]);
    let server = Responder::start(vec![fault; 3]).await;
    let error = server
        .client()
        .secrets()
        .read("a")
        .await
        .err()
        .expect("error");
    assert_eq!(error.status(), Some(500));
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn everything_else_is_final() {
    for (status, code) in [
        (401, "token_expired"),
        (404, "secret_not_found"),
        (409, "version_conflict"),
    ] {
        let server = Responder::start(vec![Script::error(status, code, &[])]).await;
        let error = server
            .client()
            .secrets()
            .read("a")
            .await
            .err()
            .expect("error");
        assert_eq!((error.status(), error.code()), (Some(status), Some(code)));
        assert_eq!(error.request_id(), Some("req_body"));
        assert!(server.pauses().is_empty());
    }
}

#[tokio::test]
async fn a_proxy_speaks_for_a_server_that_is_away() {
    let proxy = Script::with(
        502,
        &[("content-type", "text/html")],
        "<h1>Bad Gateway</h1>",
    );
    let server = Responder::start(vec![proxy.clone(), Script::json(200, SECRET)]).await;
    server.client().secrets().read("a").await.expect("secret");
    let server = Responder::start(vec![proxy]).await;
    let client = server
        .builder()
        .retry(RetryPolicy::never())
        .build()
        .expect("client");
    let error = client.secrets().read("a").await.err().expect("error");
    let ClientError::Decode(decode) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (decode.status, decode.problem),
        (502, DecodeProblem::NotAnApiError)
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let away = Script::with(302, &[("location", "http://127.0.0.1:1/")], "");
    let server = Responder::start(vec![away]).await;
    let error = server
        .client()
        .secrets()
        .read("a")
        .await
        .err()
        .expect("error");
    assert_eq!(error.status(), Some(302));
}

#[tokio::test]
async fn an_unexpected_body_is_placed_but_not_quoted() {
    let headers = [("X-Request-ID", "req_head")];
    let body = r#"{"path":"a","secret_type":"json","version":"hunter2"}"#;
    let server = Responder::start(vec![Script::with(200, &headers, body)]).await;
    let error = server
        .client()
        .secrets()
        .read("a")
        .await
        .err()
        .expect("error");
    assert_eq!(error.request_id(), Some("req_head"));
    let text = format!("{error} {error:?}");
    assert!(text.contains("column"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn nothing_printed_holds_token_or_value() {
    let server = Responder::start(vec![Script::json(200, SECRET), Script::hang_up()]).await;
    let client = server.client();
    let json = client.secrets().read("a").json().await.expect("answer");
    let error = client
        .secrets()
        .write("a", &value())
        .await
        .expect_err("hung up");
    let ClientError::Transport(transport) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(transport.kind, TransportKind::Broken);
    let text = format!(
        "{client:?} {:?} {json:?} {error:?} {error}",
        client.secrets()
    );
    for hidden in ["skt_hidden", "hunter2", "/v1/secrets"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
}

#[tokio::test]
async fn no_server_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    drop(listener);
    let client = Client::builder(&base).build().expect("client");
    let error = client.secrets().read("a").await.err().expect("error");
    let ClientError::Transport(transport) = error else {
        panic!("{error:?}")
    };
    assert_eq!(transport.kind, TransportKind::Connect);
}

#[tokio::test]
async fn a_silent_server_runs_into_the_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    let client = Client::builder(&base)
        .timeout(Duration::from_millis(50))
        .build();
    let error = client
        .expect("client")
        .secrets()
        .read("a")
        .await
        .err()
        .expect("error");
    let ClientError::Transport(transport) = error else {
        panic!("{error:?}")
    };
    assert_eq!(transport.kind, TransportKind::Timeout);
}

#[tokio::test]
async fn a_call_may_have_its_own_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    let client = Client::builder(&base).build().expect("client");
    let call = client
        .secrets()
        .read("a")
        .timeout(Duration::from_millis(50));
    let error = call.await.err().expect("error");
    assert!(matches!(error, ClientError::Transport(error) if error.kind == TransportKind::Timeout));
}

#[tokio::test]
async fn every_attempt_is_observed() {
    let away = Script::error(503, "service_unavailable", &[]);
    let server = Responder::start(vec![away, Script::json(200, "{}")]).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let client = server.builder().observer(move |exchange| {
        let line = (exchange.attempt, exchange.status, exchange.url.to_owned());
        kept.lock().expect("lock").push(line);
    });
    let client = client.build().expect("client");
    client
        .secrets()
        .list(&SecretQuery::default())
        .json()
        .await
        .expect("answer");
    let url = format!("http://{}/v1/secrets", server.address);
    let seen = seen.lock().expect("lock");
    assert_eq!(*seen, [(1, Some(503), url.clone()), (2, Some(200), url)]);
}
