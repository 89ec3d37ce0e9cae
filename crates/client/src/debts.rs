//! Rehearsals, debts, sweeps, and what a restore leaves to be learned.

use std::time::Duration;

use reqwest::Method;

use scaivault_api::debt::{Debt, DebtList, Rehearsal, RehearseBody, Sweep, WriteOffBody};
use scaivault_api::reconcile::{Reconciliation, ResumeBody};
use scaivault_api::rotation::{AbandonBody, Rotation as RotationItem};

use crate::call::{Call, Done};
use crate::client::Client;
use crate::retry::Repeat;
use crate::route::Route;

/// The server ends a rehearsal within a minute.
const REHEARSAL_TIMEOUT: Duration = Duration::from_secs(90);

/// Calls about what is left at targets, and rehearsals, which leave nothing.
#[derive(Debug, Clone, Copy)]
pub struct Debts<'a> {
    client: &'a Client,
}

impl<'a> Debts<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of debts, oldest first.
    pub fn list(&self) -> Call<DebtList> {
        Call::get(self.client, Ok(Route::new("/rotation/debts")))
    }

    /// Tries a debt again now.
    pub fn retry(&self, id: &str) -> Call<Debt> {
        let route = Route::new("/rotation/debts").id(id);
        let route = route.map(|route| route.then("/retry"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless)
    }

    /// Writes a debt off: nothing is tried any more.
    pub fn write_off(&self, id: &str, reason: &str) -> Call<Done> {
        let body = WriteOffBody {
            reason: reason.to_owned(),
        };
        let route = Route::new("/rotation/debts").id(id);
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless).body(&body)
    }

    /// After a restore: what the targets accept of what is stored.
    pub fn reconciliation(&self) -> Call<Reconciliation> {
        Call::get(self.client, Ok(Route::new("/rotation/reconcile")))
    }

    /// After a restore: lets rotations, campaigns and debts go on.
    pub fn resume_store(&self, body: &ResumeBody) -> Call<Reconciliation> {
        let route = Ok(Route::new("/rotation/reconcile/resume"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(body)
    }

    /// Rehearses a rotation at a target. By itself this call waits [longer](Call::timeout) than
    /// others.
    pub fn rehearse(&self, target: &str, body: &RehearseBody) -> Call<Rehearsal> {
        let route = Route::new("/rotation/targets").id(target);
        let route = route.map(|route| route.then("/rehearse"));
        Call::new(self.client, Method::POST, route, Repeat::Harmful)
            .body(body)
            .timeout(REHEARSAL_TIMEOUT)
    }

    /// Rehearses the rotation of an attached secret.
    pub fn rehearse_secret(&self, policy_id: &str, secret_path: &str) -> Call<Rehearsal> {
        let route = Route::new("/rotation/policies").id(policy_id);
        let route = route.and_then(|route| route.then("/secrets").id(secret_path));
        let route = route.map(|route| route.then("/rehearse"));
        Call::new(self.client, Method::POST, route, Repeat::Harmful).timeout(REHEARSAL_TIMEOUT)
    }

    /// Looks for what lies at a target and belongs to nothing.
    pub fn sweep(&self, target: &str) -> Call<Sweep> {
        let route = Route::new("/rotation/targets").id(target);
        let route = route.map(|route| route.then("/sweep"));
        Call::new(self.client, Method::POST, route, Repeat::Harmful)
    }

    /// Ends a rotation here; what its target may still accept becomes a debt. `force`: also where
    /// consumers may still use the old credential.
    pub fn abandon(&self, rotation_id: &str, force: bool) -> Call<RotationItem> {
        let route = Route::new("/rotations").id(rotation_id);
        let route = route.map(|route| route.then("/abandon"));
        let call = Call::new(self.client, Method::POST, route, Repeat::Harmful);
        match force {
            true => call.body(&AbandonBody { force }),
            false => call,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 7]).await;
        let client = server.client();
        let debts = client.debts();
        drop(debts.list().json().await);
        drop(debts.retry("dbt_1").json().await);
        drop(debts.write_off("dbt_1", "scrapped").json().await);
        drop(
            debts
                .rehearse("orders", &RehearseBody::default())
                .json()
                .await,
        );
        drop(debts.rehearse_secret("rot_1", "a/b").json().await);
        drop(debts.sweep("orders").json().await);
        drop(debts.abandon("rtn_1", true).json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/rotation/debts",
                "POST /v1/rotation/debts/dbt_1/retry",
                "DELETE /v1/rotation/debts/dbt_1",
                "POST /v1/rotation/targets/orders/rehearse",
                "POST /v1/rotation/policies/rot_1/secrets/a%2Fb/rehearse",
                "POST /v1/rotation/targets/orders/sweep",
                "POST /v1/rotations/rtn_1/abandon",
            ]
        );
        assert_eq!(server.requests()[2].body, r#"{"reason":"scrapped"}"#);
        assert_eq!(server.requests()[6].body, r#"{"force":true}"#);
    }
}
