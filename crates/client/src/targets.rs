//! Targets, looks at them, connectors.

use reqwest::Method;

use scaivault_api::target::{
    ConnectorList, Target, TargetBody, TargetCheck, TargetCheckBody, TargetList, TargetPatch,
};

use crate::call::{Call, Done};
use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/rotation/targets`, and `/v1/rotation/connectors`. A target is named by its id
/// or its name.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    client: &'a Client,
}

impl<'a> Targets<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of targets.
    pub fn list(&self) -> Call<TargetList> {
        Call::get(self.client, Ok(targets()))
    }

    /// A new target.
    pub fn create(&self, body: &TargetBody) -> Call<Target> {
        Call::new(self.client, Method::POST, Ok(targets()), Repeat::Harmful).body(body)
    }

    /// One target.
    pub fn get(&self, target: &str) -> Call<Target> {
        Call::get(self.client, one(target))
    }

    /// Changes the given fields and settings.
    pub fn update(&self, target: &str, patch: &TargetPatch) -> Call<Target> {
        let route = one(target);
        Call::new(self.client, Method::PATCH, route, Repeat::Harmless).body(patch)
    }

    /// Forgets a target; nothing is changed at it.
    pub fn delete(&self, target: &str) -> Call<Done> {
        let route = one(target);
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
    }

    /// Logs in at a target and tells what its manager may do. Changes nothing there.
    pub fn check(&self, target: &str, body: &TargetCheckBody) -> Call<TargetCheck> {
        let route = one(target).map(|route| route.then("/check"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(body)
    }

    /// What can be spoken to.
    pub fn connectors(&self) -> Call<ConnectorList> {
        Call::get(self.client, Ok(Route::new("/rotation/connectors")))
    }
}

fn targets() -> Route {
    Route::new("/rotation/targets")
}

fn one(target: &str) -> Result<Route, ClientError> {
    targets().id(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 7]).await;
        let client = server.client();
        let targets = client.targets();
        let body: TargetBody =
            serde_json::from_value(serde_json::json!({ "name": "n", "connector": "redis" }))
                .expect("a body");
        drop(targets.list().json().await);
        drop(targets.create(&body).json().await);
        drop(targets.get("orders db").json().await);
        drop(
            targets
                .update("tgt_1", &TargetPatch::default())
                .json()
                .await,
        );
        drop(targets.delete("tgt_1").json().await);
        let check = TargetCheckBody {
            account: serde_json::json!({ "account": "app" }).as_object().cloned(),
            overlap: Some("none".to_owned()),
        };
        drop(targets.check("a/b", &check).json().await);
        drop(targets.connectors().json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/rotation/targets",
                "POST /v1/rotation/targets",
                "GET /v1/rotation/targets/orders%20db",
                "PATCH /v1/rotation/targets/tgt_1",
                "DELETE /v1/rotation/targets/tgt_1",
                "POST /v1/rotation/targets/a%2Fb/check",
                "GET /v1/rotation/connectors",
            ]
        );
        let bodies: Vec<String> = server.requests().into_iter().map(|one| one.body).collect();
        assert_eq!(
            bodies[1],
            r#"{"name":"n","connector":"redis","settings":{}}"#
        );
        assert_eq!(
            bodies[5],
            r#"{"account":{"account":"app"},"overlap":"none"}"#
        );
    }
}
