//! Machines that log in by a role id and a secret id.

use reqwest::Method;

use scaivault_api::machine::{
    Login, LoginBody, NewSecretId, Role, RoleBody, RoleList, RolePatch, SecretIdBody, SecretIdItem,
    SecretIdList, SecretIdLookup,
};

use crate::call::{Call, Done};
use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/auth/roles`, and the login. A role is named by its name.
#[derive(Debug, Clone, Copy)]
pub struct Machines<'a> {
    client: &'a Client,
}

impl<'a> Machines<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A token for a role id and a secret id. It needs no token.
    pub fn login(&self, body: &LoginBody) -> Call<Login> {
        let route = Ok(Route::new("/auth/login"));
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// A page of roles.
    pub fn list(&self) -> Call<RoleList> {
        Call::get(self.client, Ok(all()))
    }

    /// A new role.
    pub fn create(&self, body: &RoleBody) -> Call<Role> {
        Call::new(self.client, Method::POST, Ok(all()), Repeat::Harmful).body(body)
    }

    /// One role.
    pub fn get(&self, role: &str) -> Call<Role> {
        Call::get(self.client, all().id(role))
    }

    /// Changes the given fields.
    pub fn update(&self, role: &str, patch: &RolePatch) -> Call<Role> {
        let route = all().id(role);
        Call::new(self.client, Method::PATCH, route, Repeat::Harmless).body(patch)
    }

    /// Removes a role and its secret ids.
    pub fn delete(&self, role: &str) -> Call<Done> {
        let route = all().id(role);
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
    }

    /// A new secret id. The answer is the only time it is shown.
    pub fn create_secret_id(&self, role: &str, body: &SecretIdBody) -> Call<NewSecretId> {
        let route = secret_ids(role);
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// A page of a role's secret ids, without the secret ids themselves.
    pub fn secret_ids(&self, role: &str) -> Call<SecretIdList> {
        Call::get(self.client, secret_ids(role))
    }

    /// The record of a secret id that somebody has.
    pub fn look_up_secret_id(&self, role: &str, body: &SecretIdLookup) -> Call<SecretIdItem> {
        let route = secret_ids(role).map(|route| route.then("/lookup"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(body)
    }

    /// One secret id's record. `accessor` is its `sia_…`, not the secret id.
    pub fn secret_id(&self, role: &str, accessor: &str) -> Call<SecretIdItem> {
        Call::get(self.client, secret_id(role, accessor))
    }

    /// Ends a secret id.
    pub fn revoke_secret_id(&self, role: &str, accessor: &str) -> Call<Done> {
        let route = secret_id(role, accessor);
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
    }
}

fn all() -> Route {
    Route::new("/auth/roles")
}

fn secret_ids(role: &str) -> Result<Route, ClientError> {
    all().id(role).map(|route| route.then("/secret-ids"))
}

fn secret_id(role: &str, accessor: &str) -> Result<Route, ClientError> {
    secret_ids(role)?.id(accessor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 11]).await;
        let client = server.client();
        let machines = client.machines();
        let login = LoginBody {
            role_id: "rol_1".to_owned(),
            secret_id: Some("sks_1".to_owned()),
        };
        drop(machines.login(&login).json().await);
        drop(machines.list().json().await);
        drop(machines.create(&RoleBody::default()).json().await);
        drop(machines.get("a").json().await);
        drop(machines.update("a", &RolePatch::default()).json().await);
        drop(machines.delete("a/b").json().await);
        let body = SecretIdBody::default();
        drop(machines.create_secret_id("a", &body).json().await);
        drop(machines.secret_ids("a").json().await);
        let lookup = SecretIdLookup {
            secret_id: "sks_1".to_owned(),
        };
        drop(machines.look_up_secret_id("a", &lookup).json().await);
        drop(machines.secret_id("a", "sia_1").json().await);
        drop(machines.revoke_secret_id("a", "sia_1").json().await);
        assert_eq!(
            server.lines(),
            [
                "POST /v1/auth/login",
                "GET /v1/auth/roles",
                "POST /v1/auth/roles",
                "GET /v1/auth/roles/a",
                "PATCH /v1/auth/roles/a",
                "DELETE /v1/auth/roles/a%2Fb",
                "POST /v1/auth/roles/a/secret-ids",
                "GET /v1/auth/roles/a/secret-ids",
                "POST /v1/auth/roles/a/secret-ids/lookup",
                "GET /v1/auth/roles/a/secret-ids/sia_1",
                "DELETE /v1/auth/roles/a/secret-ids/sia_1",
            ]
        );
        assert_eq!(
            server.requests()[0].body,
            r#"{"role_id":"rol_1","secret_id":"sks_1"}"#
        );
    }
}
