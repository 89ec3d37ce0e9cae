//! Health and version. These need no token.

use scaivault_api::system::{Health, Ready, Version};

use crate::call::Call;
use crate::client::Client;
use crate::route::Route;

/// Calls to `/v1/health` and `/v1/version`.
#[derive(Debug, Clone, Copy)]
pub struct System<'a> {
    client: &'a Client,
}

impl<'a> System<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// Whether the process answers.
    pub fn health(&self) -> Call<Health> {
        Call::get(self.client, Ok(Route::new("/health")))
    }

    /// Whether it can serve. `not_ready` is an answer, too, and is not retried.
    pub fn ready(&self) -> Call<Ready> {
        Call::get(self.client, Ok(Route::new("/health/ready"))).answer_status(503)
    }

    /// Of the server and of its API.
    pub fn version(&self) -> Call<Version> {
        Call::get(self.client, Ok(Route::new("/version")))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn not_ready_is_an_answer() {
        let body = r#"{"status":"not_ready","checks":{"database":"error"},
                       "errors":{"database":"disk full"}}"#;
        let server = Responder::start(vec![Script::json(503, body)]).await;
        let ready = server.client().system().ready().await.expect("answer");
        assert_eq!(ready.status, "not_ready");
        assert_eq!(ready.errors["database"], "disk full");
        assert_eq!(server.lines(), ["GET /v1/health/ready"]);
    }
}
