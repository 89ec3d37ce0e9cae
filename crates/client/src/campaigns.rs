//! Campaigns: many secrets rotated in order.

use reqwest::Method;

use scaivault_api::campaign::{Campaign, CampaignBody, CampaignList};

use crate::call::Call;
use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/rotation/campaigns`.
#[derive(Debug, Clone, Copy)]
pub struct Campaigns<'a> {
    client: &'a Client,
}

impl<'a> Campaigns<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// Begins a campaign, or answers its plan (`dry_run`).
    pub fn start(&self, body: &CampaignBody) -> Call<Campaign> {
        Call::new(self.client, Method::POST, Ok(campaigns()), Repeat::Harmful).body(body)
    }

    /// A page of campaigns, newest first.
    pub fn list(&self, limit: Option<usize>) -> Call<CampaignList> {
        Call::get(self.client, Ok(campaigns())).query("limit", limit)
    }

    /// One campaign: progress, and the report at its end.
    pub fn get(&self, id: &str) -> Call<Campaign> {
        Call::get(self.client, campaigns().id(id))
    }

    /// Begins nothing more.
    pub fn pause(&self, id: &str) -> Call<Campaign> {
        self.act(id, "/pause")
    }

    /// Goes on.
    pub fn resume(&self, id: &str) -> Call<Campaign> {
        self.act(id, "/resume")
    }

    /// Ends it here; rotations under way go on by themselves.
    pub fn end(&self, id: &str) -> Call<Campaign> {
        self.act(id, "/end")
    }

    fn act(&self, id: &str, act: &'static str) -> Call<Campaign> {
        let route: Result<Route, ClientError> = campaigns().id(id).map(|route| route.then(act));
        Call::new(self.client, Method::POST, route, Repeat::Harmless)
    }
}

fn campaigns() -> Route {
    Route::new("/rotation/campaigns")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 6]).await;
        let client = server.client();
        let campaigns = client.campaigns();
        let body = CampaignBody {
            identity: Some("sa:x".to_owned()),
            ..CampaignBody::default()
        };
        drop(campaigns.start(&body).json().await);
        drop(campaigns.list(Some(5)).json().await);
        drop(campaigns.get("cmp_1").json().await);
        drop(campaigns.pause("cmp_1").json().await);
        drop(campaigns.resume("cmp_1").json().await);
        drop(campaigns.end("cmp_1").json().await);
        assert_eq!(
            server.lines(),
            [
                "POST /v1/rotation/campaigns",
                "GET /v1/rotation/campaigns?limit=5",
                "GET /v1/rotation/campaigns/cmp_1",
                "POST /v1/rotation/campaigns/cmp_1/pause",
                "POST /v1/rotation/campaigns/cmp_1/resume",
                "POST /v1/rotation/campaigns/cmp_1/end",
            ]
        );
        assert_eq!(server.requests()[0].body, r#"{"identity":"sa:x"}"#);
    }
}
