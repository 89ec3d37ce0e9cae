//! Local tokens and who one is.

use reqwest::Method;

use scaivault_api::token::{
    CertificateLogin, NewToken, RenewedToken, TokenBody, TokenList, WhoAmI,
};

use crate::call::{Call, Done};
use crate::client::Client;
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/auth`.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    client: &'a Client,
}

/// Which page of the tokens.
#[derive(Debug, Clone, Default)]
pub struct TokenQuery {
    /// Entries on a page.
    pub limit: Option<usize>,
    /// Where to go on.
    pub cursor: Option<String>,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// Who this client's token speaks for.
    pub fn whoami(&self) -> Call<WhoAmI> {
        Call::get(self.client, Ok(Route::new("/auth/whoami")))
    }

    /// A token for the client certificate that this client shows.
    pub fn certificate_login(&self) -> Call<CertificateLogin> {
        let route = Ok(Route::new("/auth/certificate/login"));
        Call::new(self.client, Method::POST, route, Repeat::Harmful)
    }

    /// A new token. The answer is the only time it is shown.
    pub fn create(&self, body: &TokenBody) -> Call<NewToken> {
        let route = Ok(Route::new("/auth/tokens"));
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// A page of tokens, without the tokens themselves.
    pub fn list(&self, query: &TokenQuery) -> Call<TokenList> {
        Call::get(self.client, Ok(Route::new("/auth/tokens")))
            .query("limit", query.limit)
            .query("cursor", query.cursor.as_ref())
    }

    /// Ends a token. `id` is its `tok_…`, not the token.
    pub fn revoke(&self, id: &str) -> Call<Done> {
        let route = Route::new("/auth/tokens").id(id);
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
    }

    /// Gives this client's own token its full lifetime again.
    pub fn renew_self(&self) -> Call<RenewedToken> {
        let route = Ok(Route::new("/auth/tokens/self/renew"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 5]).await;
        let client = server.client();
        let tokens = client.tokens();
        drop(tokens.whoami().json().await);
        let body = TokenBody {
            roles: Vec::new(),
            identity_type: "service_account".to_owned(),
            identity_id: "sa:x".to_owned(),
            scopes: vec!["secrets:read".to_owned()],
            ttl: None,
            description: None,
            uses: None,
            allowed_addresses: Vec::new(),
            no_parent: false,
        };
        drop(tokens.create(&body).json().await);
        drop(tokens.list(&TokenQuery::default()).json().await);
        drop(tokens.revoke("tok_1/../..").json().await);
        drop(tokens.renew_self().json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/auth/whoami",
                "POST /v1/auth/tokens",
                "GET /v1/auth/tokens",
                "DELETE /v1/auth/tokens/tok_1%2F..%2F..",
                "POST /v1/auth/tokens/self/renew",
            ]
        );
        assert_eq!(
            server.requests()[1].body,
            r#"{"identity_type":"service_account","identity_id":"sa:x","scopes":["secrets:read"]}"#
        );
    }

    #[tokio::test]
    async fn an_answer_without_a_body_is_done() {
        let server = Responder::start(vec![Script::empty(204), Script::json(200, "{\"id\":1}")]);
        let server = server.await;
        let client = server.client();
        assert_eq!(client.tokens().revoke("tok_1").await.expect("done"), Done);
        assert_eq!(client.tokens().revoke("tok_1").await.expect("done"), Done);
    }
}
