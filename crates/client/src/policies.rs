//! Access policies and bindings.

use reqwest::Method;

use scaivault_api::policy::{
    Binding, BindingBody, BindingList, Policy, PolicyBody, PolicyList, PolicyPatch, PolicyTest,
    PolicyTestResult,
};

use crate::call::{Call, Done};
use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/policies`.
#[derive(Debug, Clone, Copy)]
pub struct Policies<'a> {
    client: &'a Client,
}

/// What to list. Absent fields do not narrow.
#[derive(Debug, Clone, Default)]
pub struct PolicyQuery {
    /// `tenant` or `partner`.
    pub scope: Option<String>,
    /// Inactive ones too.
    pub include_inactive: bool,
    /// Entries on a page.
    pub limit: Option<usize>,
    /// Where to go on.
    pub cursor: Option<String>,
}

impl<'a> Policies<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of policies, with counts in place of rules and bindings.
    pub fn list(&self, query: &PolicyQuery) -> Call<PolicyList> {
        Call::get(self.client, Ok(Route::new("/policies")))
            .query("scope", query.scope.as_ref())
            .query("include_inactive", query.include_inactive.then_some(true))
            .query("limit", query.limit)
            .query("cursor", query.cursor.as_ref())
    }

    /// A new policy.
    pub fn create(&self, body: &PolicyBody) -> Call<Policy> {
        let route = Ok(Route::new("/policies"));
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// One policy with its rules and bindings.
    pub fn get(&self, id: &str) -> Call<Policy> {
        Call::get(self.client, one(id))
    }

    /// Replaces everything but the bindings.
    pub fn replace(&self, id: &str, body: &PolicyBody) -> Call<Policy> {
        Call::new(self.client, Method::PUT, one(id), Repeat::Harmless).body(body)
    }

    /// Changes the given fields.
    pub fn update(&self, id: &str, patch: &PolicyPatch) -> Call<Policy> {
        Call::new(self.client, Method::PATCH, one(id), Repeat::Harmless).body(patch)
    }

    /// Deletes a policy; one with bindings only by `force`, which drops them too.
    pub fn delete(&self, id: &str, force: bool) -> Call<Done> {
        Call::new(self.client, Method::DELETE, one(id), Repeat::Harmless)
            .query("force", force.then_some(true))
    }

    /// Who a policy is bound to.
    pub fn bindings(&self, id: &str) -> Call<BindingList> {
        Call::get(self.client, bindings(id))
    }

    /// Binds a policy to an identity.
    pub fn bind(&self, id: &str, body: &BindingBody) -> Call<Binding> {
        Call::new(self.client, Method::POST, bindings(id), Repeat::Harmful).body(body)
    }

    /// Ends a binding.
    pub fn unbind(&self, id: &str, binding_id: &str) -> Call<Done> {
        let route = bindings(id).and_then(|route| route.id(binding_id));
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
    }

    /// Asks what would be decided. Nothing is audited.
    pub fn test(&self, body: &PolicyTest) -> Call<PolicyTestResult> {
        let route = Ok(Route::new("/policies/test"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(body)
    }
}

fn one(id: &str) -> Result<Route, ClientError> {
    Route::new("/policies").id(id)
}

fn bindings(id: &str) -> Result<Route, ClientError> {
    Ok(one(id)?.then("/bindings"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 7]).await;
        let client = server.client();
        let policies = client.policies();
        let query = PolicyQuery {
            include_inactive: true,
            ..PolicyQuery::default()
        };
        drop(policies.list(&query).json().await);
        drop(policies.get("pol_1").json().await);
        drop(policies.delete("pol_1", false).json().await);
        drop(policies.delete("pol_1", true).json().await);
        drop(policies.bindings("pol_1").json().await);
        let body = BindingBody {
            identity_type: "group".to_owned(),
            identity_id: "group:sre".to_owned(),
            expires_at: None,
        };
        drop(policies.bind("pol_1", &body).json().await);
        drop(policies.unbind("pol_1", "bnd_1").json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/policies?include_inactive=true",
                "GET /v1/policies/pol_1",
                "DELETE /v1/policies/pol_1",
                "DELETE /v1/policies/pol_1?force=true",
                "GET /v1/policies/pol_1/bindings",
                "POST /v1/policies/pol_1/bindings",
                "DELETE /v1/policies/pol_1/bindings/bnd_1",
            ]
        );
    }

    #[tokio::test]
    async fn an_id_that_would_change_the_url_is_not_sent() {
        let server = Responder::start(Vec::new()).await;
        let client = server.client();
        for id in ["", ".", ".."] {
            let error = client
                .policies()
                .delete(id, true)
                .await
                .expect_err("refused");
            assert!(matches!(error, ClientError::Input(_)));
        }
        assert!(server.lines().is_empty());
    }
}
