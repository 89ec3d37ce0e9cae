//! Webhooks.

use reqwest::Method;

use scaivault_api::receiver::{
    Replay, ReplayBody, Webhook, WebhookBody, WebhookList, WebhookPatch, WebhookTest,
};

use crate::call::{Call, Done};
use crate::client::Client;
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/webhooks`.
#[derive(Debug, Clone, Copy)]
pub struct Webhooks<'a> {
    client: &'a Client,
}

impl<'a> Webhooks<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// Every webhook.
    pub fn list(&self) -> Call<WebhookList> {
        Call::get(self.client, Ok(webhooks()))
    }

    /// A new webhook.
    pub fn create(&self, body: &WebhookBody) -> Call<Webhook> {
        Call::new(self.client, Method::POST, Ok(webhooks()), Repeat::Harmful).body(body)
    }

    /// One webhook with its figures.
    pub fn get(&self, id: &str) -> Call<Webhook> {
        Call::get(self.client, webhooks().id(id))
    }

    /// Changes the given fields.
    pub fn update(&self, id: &str, patch: &WebhookPatch) -> Call<Webhook> {
        let route = webhooks().id(id);
        Call::new(self.client, Method::PATCH, route, Repeat::Harmless).body(patch)
    }

    /// Deletes a webhook.
    pub fn delete(&self, id: &str) -> Call<Done> {
        Call::new(
            self.client,
            Method::DELETE,
            webhooks().id(id),
            Repeat::Harmless,
        )
    }

    /// Sends a test event and answers with what came back.
    pub fn test(&self, id: &str) -> Call<WebhookTest> {
        let route = webhooks().id(id).map(|route| route.then("/test"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless)
    }

    /// Sends dead letters, or a range of what ended, again: one call of perhaps several, see
    /// [`Replay::cursor`].
    pub fn replay(&self, id: &str, body: &ReplayBody) -> Call<Replay> {
        let route = webhooks().id(id).map(|route| route.then("/replay"));
        // What a lost answer put on its way is pending: the same call again passes it over.
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(body)
    }
}

fn webhooks() -> Route {
    Route::new("/webhooks")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 6]).await;
        let client = server.client();
        let webhooks = client.webhooks();
        drop(webhooks.list().json().await);
        drop(webhooks.get("wh_1").json().await);
        let patch = WebhookPatch {
            format: Some("slack".to_owned()),
            ..WebhookPatch::default()
        };
        drop(webhooks.update("wh_1", &patch).json().await);
        drop(webhooks.test("wh_1").json().await);
        let dead = ReplayBody::default();
        drop(webhooks.replay("wh_1", &dead).json().await);
        drop(webhooks.delete("wh_1").json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/webhooks",
                "GET /v1/webhooks/wh_1",
                "PATCH /v1/webhooks/wh_1",
                "POST /v1/webhooks/wh_1/test",
                "POST /v1/webhooks/wh_1/replay",
                "DELETE /v1/webhooks/wh_1",
            ]
        );
        assert_eq!(server.requests()[2].body, r#"{"format":"slack"}"#);
    }
}
