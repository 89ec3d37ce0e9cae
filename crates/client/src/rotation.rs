//! Rotation policies, assignments, rotations.

use std::time::Duration;

use reqwest::Method;

use scaivault_api::rotation::{
    AssignBody, Assignment, DueList, RotateBody, Rotation as RotationItem, RotationList,
    RotationPolicy, RotationPolicyBody, RotationPolicyList, RotationPolicyPatch,
};

use crate::call::{Call, Done};
use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;
use crate::route::Route;

/// How long a server is asked to wait for a change, and how long its answer may take.
const WAIT_S: u64 = 20;
const WAIT_LIMIT: Duration = Duration::from_secs(40);

/// Calls below `/v1/rotation` and `/v1/rotations`.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    client: &'a Client,
}

/// What to list. Absent fields do not narrow.
#[derive(Debug, Clone, Default)]
pub struct RotationQuery {
    /// Only of this secret.
    pub path: Option<String>,
    /// Only in this phase.
    pub phase: Option<String>,
    /// Only of this policy.
    pub policy_id: Option<String>,
    /// Entries on a page.
    pub limit: Option<usize>,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// What is due.
#[derive(Debug, Clone, Default)]
pub struct DueQuery {
    /// From now; the server's default is 24.
    pub within_hours: Option<u32>,
    /// Whether what is past its time counts; the server's default is true.
    pub include_overdue: Option<bool>,
    /// Only of this policy.
    pub policy_id: Option<String>,
}

impl<'a> Rotation<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of rotation policies.
    pub fn policies(&self, active_only: bool) -> Call<RotationPolicyList> {
        Call::get(self.client, Ok(policies())).query("active_only", active_only.then_some(true))
    }

    /// A new rotation policy.
    pub fn create_policy(&self, body: &RotationPolicyBody) -> Call<RotationPolicy> {
        Call::new(self.client, Method::POST, Ok(policies()), Repeat::Harmful).body(body)
    }

    /// One rotation policy.
    pub fn policy(&self, id: &str) -> Call<RotationPolicy> {
        Call::get(self.client, policies().id(id))
    }

    /// Changes the given fields.
    pub fn update_policy(&self, id: &str, patch: &RotationPolicyPatch) -> Call<RotationPolicy> {
        Call::new(
            self.client,
            Method::PATCH,
            policies().id(id),
            Repeat::Harmless,
        )
        .body(patch)
    }

    /// Deletes a rotation policy; its secrets are detached.
    pub fn delete_policy(&self, id: &str) -> Call<Done> {
        Call::new(
            self.client,
            Method::DELETE,
            policies().id(id),
            Repeat::Harmless,
        )
    }

    /// Attaches a secret to a policy.
    pub fn assign(&self, policy_id: &str, secret_path: &str) -> Call<Assignment> {
        self.attach(policy_id, &AssignBody::new(secret_path))
    }

    /// Attaches a secret to a policy, to a target, in a group.
    pub fn attach(&self, policy_id: &str, body: &AssignBody) -> Call<Assignment> {
        let route = sub(policy_id, "/secrets");
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// Detaches a secret from a policy.
    pub fn unassign(&self, policy_id: &str, secret_path: &str) -> Call<Done> {
        let route = sub(policy_id, "/secrets").and_then(|route| route.id(secret_path));
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
    }

    /// Opens rotations now: of `secret_paths`, or of every attached secret.
    pub fn rotate(
        &self,
        policy_id: &str,
        secret_paths: Option<Vec<String>>,
    ) -> Call<Vec<RotationItem>> {
        let route = sub(policy_id, "/rotate");
        Call::new(self.client, Method::POST, route, Repeat::Harmful)
            .body(&RotateBody { secret_paths })
    }

    /// A page of rotations, newest first.
    pub fn list(&self, query: &RotationQuery) -> Call<RotationList> {
        Call::get(self.client, Ok(Route::new("/rotations")))
            .query("path", query.path.as_ref())
            .query("phase", query.phase.as_ref())
            .query("policy_id", query.policy_id.as_ref())
            .query("limit", query.limit)
            .query("cursor", query.cursor.as_ref())
    }

    /// One rotation.
    pub fn get(&self, id: &str) -> Call<RotationItem> {
        Call::get(self.client, Route::new("/rotations").id(id))
    }

    /// One rotation as soon as it is no longer at revision `after`, or in 20 s.
    pub fn changed(&self, id: &str, after: u64) -> Call<RotationItem> {
        self.get(id)
            .query("after", Some(after))
            .query("timeout", Some(WAIT_S))
            .timeout(WAIT_LIMIT)
    }

    /// A parked rotation goes on.
    pub fn resume(&self, id: &str) -> Call<RotationItem> {
        self.act(id, "/resume")
    }

    /// Readers get the old version again, the new one is retired.
    pub fn roll_back(&self, id: &str) -> Call<RotationItem> {
        self.act(id, "/rollback")
    }

    /// The old credential may be revoked.
    pub fn approve(&self, id: &str) -> Call<RotationItem> {
        self.act(id, "/approve")
    }

    fn act(&self, id: &str, act: &'static str) -> Call<RotationItem> {
        let route = Route::new("/rotations").id(id).map(|route| route.then(act));
        Call::new(self.client, Method::POST, route, Repeat::Harmful)
    }

    /// Secrets whose rotation is due, soonest first.
    pub fn due(&self, query: &DueQuery) -> Call<DueList> {
        Call::get(self.client, Ok(Route::new("/rotation/due")))
            .query("within_hours", query.within_hours)
            .query("include_overdue", query.include_overdue)
            .query("policy_id", query.policy_id.as_ref())
    }
}

fn policies() -> Route {
    Route::new("/rotation/policies")
}

fn sub(policy_id: &str, operation: &'static str) -> Result<Route, ClientError> {
    Ok(policies().id(policy_id)?.then(operation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 12]).await;
        let client = server.client();
        let rotation = client.rotation();
        drop(rotation.policies(true).json().await);
        drop(rotation.policy("rot_a").json().await);
        drop(rotation.assign("rot_a", "a/b").json().await);
        drop(rotation.unassign("rot_a", "a/b").json().await);
        drop(
            rotation
                .rotate("rot_a", Some(vec!["a/b".to_owned()]))
                .json()
                .await,
        );
        let query = RotationQuery {
            path: Some("a/b".to_owned()),
            ..RotationQuery::default()
        };
        drop(rotation.list(&query).json().await);
        drop(rotation.get("rtn_1").json().await);
        drop(rotation.changed("rtn_1", 7).json().await);
        drop(rotation.resume("rtn_1").json().await);
        drop(rotation.roll_back("rtn_1").json().await);
        drop(rotation.approve("rtn_1").json().await);
        let query = DueQuery {
            within_hours: Some(48),
            ..DueQuery::default()
        };
        drop(rotation.due(&query).json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/rotation/policies?active_only=true",
                "GET /v1/rotation/policies/rot_a",
                "POST /v1/rotation/policies/rot_a/secrets",
                "DELETE /v1/rotation/policies/rot_a/secrets/a%2Fb",
                "POST /v1/rotation/policies/rot_a/rotate",
                "GET /v1/rotations?path=a%2Fb",
                "GET /v1/rotations/rtn_1",
                "GET /v1/rotations/rtn_1?after=7&timeout=20",
                "POST /v1/rotations/rtn_1/resume",
                "POST /v1/rotations/rtn_1/rollback",
                "POST /v1/rotations/rtn_1/approve",
                "GET /v1/rotation/due?within_hours=48",
            ]
        );
        assert_eq!(server.requests()[2].body, r#"{"secret_path":"a/b"}"#);
        assert_eq!(server.requests()[4].body, r#"{"secret_paths":["a/b"]}"#);
    }
}
