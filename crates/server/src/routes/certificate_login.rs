//! `POST /v1/auth/certificate/login`: a token of ours for a client certificate, for programs that keep
//! tokens. The certificate of the connection is the credential, so nothing else is asked for.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use scaivault_api::ErrorCode;
use scaivault_api::token as wire;
use scaivault_core::identity::Scope;
use scaivault_core::time::Timestamp;

use crate::app::{App, Shared};
use crate::body::json_response;
use crate::call::Call;
use crate::cross_site::refuse_foreign_page;
use crate::metrics::{AuthMethod, LoginMethod, LoginResult};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/auth/certificate/login", post(login))
}

async fn login(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let done = attempted(&app, &call).await;
    let result = match &done {
        Ok(_) => LoginResult::Success,
        Err(problem) => LoginResult::of(problem.code),
    };
    app.metrics.logins.ended(LoginMethod::Certificate, result);
    done
}

async fn attempted(app: &App, call: &Call) -> Result<Response, Problem> {
    let Some(certificate) = &call.passage.certificate else {
        return Err(Problem::new(
            ErrorCode::AuthenticationRequired,
            "connect with a client certificate: this connection showed none",
        ));
    };
    refuse_foreign_page(&call.headers)?;
    let shown = certificate.shown(app.vault.now())?;
    let offer = app
        .vault
        .certificate_offer(
            &shown,
            call.passage.request_id.clone(),
            call.source_ip(&app.settings.trusted_proxies),
            call.user_agent(),
            call.passage.started_at,
        )
        .await;
    app.metrics
        .authenticated(AuthMethod::Certificate, offer.is_ok());
    let offer = offer?;
    call.spend(app, offer.caller(), Category::Auth, 1)?;
    let minted = app.vault.exchange_take(offer).await;
    let minted = minted.map_err(Problem::for_strangers)?;
    let token = &minted.token;
    let words = token.scopes.iter().map(Scope::as_str);
    let view = wire::CertificateLogin {
        token: minted.text.expose().to_owned(),
        token_id: token.id.as_str().to_owned(),
        identity_id: token.identity.as_str().to_owned(),
        scopes: words.map(str::to_owned).collect(),
        expires_in: token.ttl_s.unwrap_or_default(),
        expires_at: token.expires_at.map(Timestamp::to_rfc3339),
        certificate_fingerprint: shown.fingerprint.to_string(),
    };
    Ok(json_response(StatusCode::OK, &view))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/auth/certificate/login",
            "logInWithCertificate",
            "Identity",
            "A token for the client certificate of the connection",
        )
        .open()
        .answers::<wire::CertificateLogin>(200)
        .fails(&[
            "authentication_required",
            "certificate_refused",
            "rate_limited",
            "tenant_suspended",
        ]),
    ]
}
