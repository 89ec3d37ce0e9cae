//! From settings to a client.

use scaivault_client::{BuildError, Client, Exchange};

use crate::output::note;
use crate::settings::Settings;
use crate::token::Token;

const USER_AGENT: &str = concat!("scaivault-cli/", env!("CARGO_PKG_VERSION"));

/// A client for these settings. Opens no connection.
pub(crate) fn client(settings: &Settings) -> Result<Client, BuildError> {
    with_token(settings, settings.token.as_ref().map(|token| &token.value))
}

/// A client for these settings, but for this token.
pub(crate) fn with_token(settings: &Settings, token: Option<&Token>) -> Result<Client, BuildError> {
    let mut builder = Client::builder(&settings.url.value).user_agent(USER_AGENT);
    if let Some(token) = token {
        builder = builder.token(token.expose());
    }
    if let Some(tenant_id) = &settings.tenant_id {
        builder = builder.tenant(&tenant_id.value);
    }
    if let Some(partner_id) = &settings.partner_id {
        builder = builder.partner(&partner_id.value);
    }
    if let Some(ca_file) = &settings.ca_file {
        builder = builder.ca_file(&ca_file.value);
    }
    if let Some(certificate) = &settings.client_cert {
        let key = settings.client_key.as_ref().unwrap_or(certificate);
        builder = builder.client_certificate(&certificate.value, &key.value);
    }
    if settings.debug {
        builder = builder.observer(|exchange| note(&line(exchange)));
    }
    builder.build()
}

fn line(exchange: &Exchange<'_>) -> String {
    let status = exchange
        .status
        .map_or("no answer".to_owned(), |status| status.to_string());
    let request_id = exchange.request_id.unwrap_or("-");
    format!(
        "debug: {} {} -> {status} in {} ms (attempt {}, request {request_id})",
        exchange.method,
        exchange.url,
        exchange.elapsed.as_millis(),
        exchange.attempt,
    )
}
