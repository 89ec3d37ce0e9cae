//! `POST /v1/auth/exchange`: a foreign workload's token for one of ours (RFC 8693). The foreign token
//! is the credential, so nothing else is asked for. Requests and refusals have OAuth's form, because
//! that is what OAuth clients read; what is not about the exchange itself (a limit, a body too large,
//! a store that does not serve) is answered like everywhere.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use scaivault_api::ErrorCode;
use scaivault_api::token as wire;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::time::Timestamp;
use scaivault_engine::{ExchangeError, ExchangeRequest, MintedToken};

use crate::app::{App, Shared};
use crate::body::{json_response, parse, read_bytes};
use crate::call::Call;
use crate::metrics::{LoginMethod, LoginResult};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(crate) const SUBJECT_TYPES: [&str; 3] = [
    ACCESS_TOKEN,
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
];
const PRAGMA: HeaderName = header::PRAGMA;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/auth/exchange", post(exchange))
}

/// A refusal in OAuth's words, or one like everywhere.
enum Refusal {
    OAuth(&'static str, ErrorCode, String),
    Plain(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        match problem.code {
            ErrorCode::InvalidRequest | ErrorCode::ValidationError => {
                Self::OAuth("invalid_request", problem.code, problem.message)
            }
            ErrorCode::TokenInvalid | ErrorCode::TokenExpired => {
                let text = format!("the subject token was refused: {}", problem.message);
                Self::OAuth("invalid_request", problem.code, text)
            }
            _ => Self::Plain(problem),
        }
    }
}

impl From<ExchangeError> for Refusal {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Auth(error) => Problem::from(error).into(),
            ExchangeError::Vault(error) => Problem::for_strangers(error).into(),
            ExchangeError::NoRule(_) => no_rule(),
            ExchangeError::Scope => Self::OAuth(
                "invalid_scope",
                ErrorCode::InsufficientScope,
                "the rule does not give all of these scopes".to_owned(),
            ),
        }
    }
}

fn no_rule() -> Refusal {
    let text = "the subject token is valid, but no rule of exchange fits its subject and claims";
    Refusal::OAuth("invalid_request", ErrorCode::AccessDenied, text.to_owned())
}

async fn exchange(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let done = exchanged(&app, &call, body).await;
    let result = match &done {
        Ok(_) => LoginResult::Success,
        Err(Refusal::Plain(problem)) => LoginResult::of(problem.code),
        Err(Refusal::OAuth(_, code, _)) => LoginResult::of(*code),
    };
    app.metrics.logins.ended(LoginMethod::Exchange, result);
    match done {
        Ok(response) => Ok(response),
        Err(Refusal::Plain(problem)) => Err(problem),
        Err(Refusal::OAuth(error, code, text)) => {
            let refusal = wire::ExchangeRefusal {
                error: error.to_owned(),
                error_description: text,
                code: code.as_str().to_owned(),
                request_id: call.passage.request_id.as_str().to_owned(),
            };
            Ok(unkept(json_response(StatusCode::BAD_REQUEST, &refusal)))
        }
    }
}

async fn exchanged(app: &App, call: &Call, body: Body) -> Result<Response, Refusal> {
    let bytes = read_bytes(app, body).await?;
    let body = match is_form(&call.headers) {
        true => form(&bytes)?,
        false => parse::<wire::ExchangeBody>(&bytes)?,
    };
    let scopes = checked(&body)?;
    let minted = taken(app, call, (body.subject_token, scopes, body.rule)).await?;
    let token = &minted.token;
    let words: Vec<&str> = token.scopes.iter().map(Scope::as_str).collect();
    let view = wire::ExchangedToken {
        access_token: minted.text.expose().to_owned(),
        issued_token_type: ACCESS_TOKEN.to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: token.ttl_s.unwrap_or_default(),
        scope: words.join(" "),
        token_id: token.id.as_str().to_owned(),
        identity_id: token.identity.as_str().to_owned(),
        expires_at: token.expires_at.map(Timestamp::to_rfc3339),
    };
    Ok(unkept(json_response(StatusCode::OK, &view)))
}

/// A foreign token for one of ours by the rule of this name alone.
pub(crate) async fn by_rule(
    app: &App,
    call: &Call,
    subject_token: String,
    rule: String,
) -> Result<MintedToken, Problem> {
    let taken = taken(app, call, (subject_token, None, Some(rule))).await;
    taken.map_err(|refusal| match refusal {
        Refusal::Plain(problem) => problem,
        Refusal::OAuth(_, code, text) => Problem::new(code, text),
    })
}

async fn taken(
    app: &App,
    call: &Call,
    (subject_token, scopes, rule): (String, Option<ScopeSet>, Option<String>),
) -> Result<MintedToken, Refusal> {
    let offered = app
        .vault
        .exchange_offer(ExchangeRequest {
            subject_token,
            scopes,
            rule,
            request_id: call.passage.request_id.clone(),
            source_ip: call.source_ip(&app.settings.trusted_proxies),
            user_agent: call.user_agent(),
            started_at: call.passage.started_at,
        })
        .await;
    let offer = match offered {
        Err(ExchangeError::NoRule(refused)) => {
            call.spend(app, refused.caller(), Category::Auth, 1)?;
            let trail = app.vault.exchange_refused(*refused).await;
            trail.map_err(Problem::from)?;
            return Err(no_rule());
        }
        offered => offered?,
    };
    call.spend(app, offer.caller(), Category::Auth, 1)?;
    let taken = app.vault.exchange_take(offer).await;
    Ok(taken.map_err(Problem::from)?)
}

/// What of the request is ours to judge before the token is; answers the scopes asked for.
fn checked(body: &wire::ExchangeBody) -> Result<Option<ScopeSet>, Refusal> {
    let refuse = |error, text: &str| {
        Err(Refusal::OAuth(
            error,
            ErrorCode::InvalidRequest,
            text.to_owned(),
        ))
    };
    if body
        .grant_type
        .as_deref()
        .is_some_and(|word| word != GRANT_TYPE)
    {
        return refuse(
            "unsupported_grant_type",
            &format!("grant_type is {GRANT_TYPE}"),
        );
    }
    let subject_type = body.subject_token_type.as_deref();
    if subject_type.is_some_and(|word| !SUBJECT_TYPES.contains(&word)) {
        return refuse(
            "invalid_request",
            "subject_token_type is that of a JWT: …:token-type:jwt",
        );
    }
    if body
        .requested_token_type
        .as_deref()
        .is_some_and(|word| word != ACCESS_TOKEN)
    {
        return refuse(
            "invalid_request",
            &format!("requested_token_type is {ACCESS_TOKEN}"),
        );
    }
    if body.actor_token.is_some() {
        return refuse(
            "invalid_request",
            "actor_token: nobody acts for another here",
        );
    }
    if body.subject_token.is_empty() {
        return refuse("invalid_request", "subject_token is empty");
    }
    let words = body
        .scope
        .as_deref()
        .map(|scope| scope.split(' ').filter(|word| !word.is_empty()));
    match words.map(|words| words.map(Scope::parse).collect::<Option<ScopeSet>>()) {
        Some(None) => refuse("invalid_scope", "scope holds a word that is no scope"),
        Some(Some(scopes)) if scopes == ScopeSet::EMPTY => Ok(None),
        Some(scopes) => Ok(scopes),
        None => Ok(None),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// A form's fields; none of those that count may be there twice (RFC 6749, 3.2).
fn form(bytes: &[u8]) -> Result<wire::ExchangeBody, Problem> {
    let mut body = wire::ExchangeBody::default();
    let mut subject_token = None;
    for (name, value) in url::form_urlencoded::parse(bytes) {
        let slot = match &*name {
            "grant_type" => &mut body.grant_type,
            "subject_token" => &mut subject_token,
            "subject_token_type" => &mut body.subject_token_type,
            "requested_token_type" => &mut body.requested_token_type,
            "scope" => &mut body.scope,
            "rule" => &mut body.rule,
            "actor_token" => &mut body.actor_token,
            _ => continue,
        };
        if slot.replace(value.into_owned()).is_some() {
            let text = "a field of the form is given twice";
            return Err(Problem::new(ErrorCode::InvalidRequest, text));
        }
    }
    body.subject_token =
        subject_token.ok_or_else(|| Problem::field("subject_token", "is required"))?;
    Ok(body)
}

/// No cache keeps it: `Cache-Control` is there already.
fn unkept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/auth/exchange",
            "exchangeToken",
            "Identity",
            "A foreign workload's token for one of ours (RFC 8693)",
        )
        .open()
        .takes::<wire::ExchangeBody>()
        .or_form()
        .answers::<wire::ExchangedToken>(200)
        .answers::<wire::ExchangeRefusal>(400)
        .fails(&["rate_limited"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_oauth_says() {
        let read = |text: &str| form(text.as_bytes());
        let body = read("subject_token=a.b%2Bc&scope=x+y&audience=other&grant_type=g").unwrap();
        assert_eq!(body.subject_token, "a.b+c");
        assert_eq!(body.scope.as_deref(), Some("x y"));
        assert_eq!(body.grant_type.as_deref(), Some("g"));
        assert!(read("subject_token=a&subject_token=b").is_err());
        assert!(read("scope=x").is_err());
        assert!(read("subject_token=a&other=1&other=2").is_ok());
    }

    #[test]
    fn a_request_is_judged_before_its_token() {
        let body = |change: fn(&mut wire::ExchangeBody)| {
            let mut body = wire::ExchangeBody {
                subject_token: "t".to_owned(),
                ..wire::ExchangeBody::default()
            };
            change(&mut body);
            match checked(&body) {
                Ok(scopes) => Ok(scopes),
                Err(Refusal::OAuth(error, ..)) => Err(error),
                Err(Refusal::Plain(_)) => Err("plain"),
            }
        };
        assert_eq!(body(|_| ()), Ok(None));
        assert_eq!(body(|body| body.scope = Some(String::new())), Ok(None));
        let read = [Scope::SecretsRead].into_iter().collect();
        assert_eq!(
            body(|body| body.scope = Some("secrets:read".into())),
            Ok(Some(read))
        );
        assert_eq!(
            body(|body| body.scope = Some("openid".into())),
            Err("invalid_scope")
        );
        let other = body(|body| body.grant_type = Some("password".into()));
        assert_eq!(other, Err("unsupported_grant_type"));
        assert_eq!(
            body(|body| body.subject_token.clear()),
            Err("invalid_request")
        );
        let other = body(|body| body.subject_token_type = Some("urn:saml2".into()));
        assert_eq!(other, Err("invalid_request"));
        assert_eq!(
            body(|body| body.actor_token = Some("x".into())),
            Err("invalid_request")
        );
        let other = body(|body| body.requested_token_type = Some("x".into()));
        assert_eq!(other, Err("invalid_request"));
    }
}
