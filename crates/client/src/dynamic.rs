//! Credentials on request: engines, their roles, credentials, and leases.

use std::time::Duration;

use reqwest::Method;

use scaivault_api::dynamic::{
    Credential, CredentialBody, Engine, EngineBody, EngineHealth, EngineList, EnginePatch,
    EngineRole, EngineRoleBody, EngineRoleList, EngineSwept, Lease, LeaseList, LeasesRevoked,
    RenewLeaseBody, RotateRootBody,
};
use scaivault_api::rotation::Rotation as RotationItem;

use crate::call::{Call, Done};
use crate::client::Client;
use crate::error::{ClientError, DecodeProblem};
use crate::retry::Repeat;
use crate::route::Route;

/// Where the server itself waits for a target.
const TARGET_TIMEOUT: Duration = Duration::from_secs(90);

/// Calls below `/v1/dynamic`. An engine is named by its name or its id, a role by its name.
#[derive(Debug, Clone, Copy)]
pub struct Dynamic<'a> {
    client: &'a Client,
}

/// Which leases.
#[derive(Debug, Clone, Default)]
pub struct LeaseQuery {
    /// Of this engine.
    pub engine: Option<String>,
    /// Of this role.
    pub role: Option<String>,
    /// In these states: `creating`, `active`, `revoking`, `revoked`. Empty: all.
    pub status: Vec<String>,
    /// Of this holder, such as `sa:shop`.
    pub identity_id: Option<String>,
    /// Whether only those whose accounts could not be removed so far.
    pub failing: bool,
}

impl<'a> Dynamic<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of engines.
    pub fn engines(&self) -> Call<EngineList> {
        Call::get(self.client, Ok(engines()))
    }

    /// A new engine, after a look at its target.
    pub fn create_engine(&self, body: &EngineBody) -> Call<Engine> {
        Call::new(self.client, Method::POST, Ok(engines()), Repeat::Harmful)
            .body(body)
            .timeout(TARGET_TIMEOUT)
    }

    /// One engine.
    pub fn engine(&self, engine: &str) -> Call<Engine> {
        Call::get(self.client, one(engine))
    }

    /// Changes the given fields.
    pub fn update_engine(&self, engine: &str, patch: &EnginePatch) -> Call<Engine> {
        Call::new(self.client, Method::PATCH, one(engine), Repeat::Harmless)
            .body(patch)
            .timeout(TARGET_TIMEOUT)
    }

    /// Forgets an engine without leases.
    pub fn delete_engine(&self, engine: &str) -> Call<Done> {
        Call::new(self.client, Method::DELETE, one(engine), Repeat::Harmless)
    }

    /// Logs in at an engine's target and looks. Changes nothing there.
    pub fn health(&self, engine: &str) -> Call<EngineHealth> {
        Call::get(self.client, below(engine, "/health")).timeout(TARGET_TIMEOUT)
    }

    /// Ends all leases of an engine, or of one of its roles.
    pub fn revoke_all(&self, engine: &str, role: Option<&str>) -> Call<LeasesRevoked> {
        let route = below(engine, "/revoke-all");
        Call::new(self.client, Method::POST, route, Repeat::Harmless).query("role", role)
    }

    /// Rotates the credential that makes the others. The first time it is attached to a rotation
    /// policy: this one, or `engine-roots`.
    pub fn rotate_root(
        &self,
        engine: &str,
        rotation_policy_id: Option<&str>,
    ) -> Call<RotationItem> {
        let body = RotateRootBody {
            rotation_policy_id: rotation_policy_id.map(str::to_owned),
        };
        let route = below(engine, "/rotate-root");
        Call::new(self.client, Method::POST, route, Repeat::Harmful)
            .body(&body)
            .timeout(TARGET_TIMEOUT)
    }

    /// The key that signs certificates, as a line for `TrustedUserCAKeys` (`ssh`).
    ///
    /// # Errors
    /// As any call.
    pub async fn public_key(&self, engine: &str) -> Result<String, ClientError> {
        let route = below(engine, "/public-key");
        let bytes = Call::<Done>::get(self.client, route).bytes().await?;
        String::from_utf8(bytes).map_err(|_| {
            let problem = DecodeProblem::Unexpected { line: 1, column: 0 };
            ClientError::decode(200, None, problem)
        })
    }

    /// Certificates that were revoked, as a file for `RevokedKeys` (`ssh`).
    ///
    /// # Errors
    /// As any call.
    pub async fn revocation_list(&self, engine: &str) -> Result<Vec<u8>, ClientError> {
        let route = below(engine, "/revocation-list");
        Call::<Done>::get(self.client, route).bytes().await
    }

    /// Compares what is at an engine's target with its leases.
    pub fn sweep(&self, engine: &str) -> Call<EngineSwept> {
        let route = below(engine, "/sweep");
        Call::new(self.client, Method::POST, route, Repeat::Harmless).timeout(TARGET_TIMEOUT)
    }

    /// A page of an engine's roles.
    pub fn roles(&self, engine: &str) -> Call<EngineRoleList> {
        Call::get(self.client, below(engine, "/roles"))
    }

    /// A new role; the body names it.
    pub fn create_role(&self, engine: &str, body: &EngineRoleBody) -> Call<EngineRole> {
        let route = below(engine, "/roles");
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// One role.
    pub fn role(&self, engine: &str, role: &str) -> Call<EngineRole> {
        Call::get(self.client, role_route(engine, role))
    }

    /// Makes a role, or changes the given fields of one that is there.
    pub fn put_role(&self, engine: &str, role: &str, body: &EngineRoleBody) -> Call<EngineRole> {
        let route = role_route(engine, role);
        Call::new(self.client, Method::PUT, route, Repeat::Harmless).body(body)
    }

    /// Changes the given fields of a role.
    pub fn update_role(&self, engine: &str, role: &str, body: &EngineRoleBody) -> Call<EngineRole> {
        let route = role_route(engine, role);
        Call::new(self.client, Method::PATCH, route, Repeat::Harmless).body(body)
    }

    /// Forgets a role; its leases end as they would have.
    pub fn delete_role(&self, engine: &str, role: &str) -> Call<Done> {
        let route = role_route(engine, role);
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
    }

    /// A credential of a role. The answer is the only time it is shown.
    pub fn generate(&self, engine: &str, role: &str, body: &CredentialBody) -> Call<Credential> {
        let route = below(engine, "/creds").and_then(|route| route.id(role));
        Call::new(self.client, Method::POST, route, Repeat::Harmful)
            .body(body)
            .timeout(TARGET_TIMEOUT)
    }

    /// A page of leases, newest first: all with `dynamic:read`, otherwise the caller's own.
    pub fn leases(&self, query: &LeaseQuery) -> Call<LeaseList> {
        let status = (!query.status.is_empty()).then(|| query.status.join(","));
        Call::get(self.client, Ok(leases()))
            .query("engine", query.engine.as_ref())
            .query("role", query.role.as_ref())
            .query("status", status)
            .query("identity_id", query.identity_id.as_ref())
            .query("failing", query.failing.then_some(true))
    }

    /// One lease. The credential itself is stored nowhere.
    pub fn lease(&self, id: &str) -> Call<Lease> {
        Call::get(self.client, leases().id(id))
    }

    /// Moves a lease's end: so long from now, or without `increment` as long as a new one.
    pub fn renew(&self, id: &str, increment: Option<&str>) -> Call<Lease> {
        let body = RenewLeaseBody {
            increment: increment.map(str::to_owned),
        };
        let route = leases().id(id).map(|route| route.then("/renew"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless)
            .body(&body)
            .timeout(TARGET_TIMEOUT)
    }

    /// Ends a lease. Its account is removed right after the answer.
    pub fn revoke(&self, id: &str) -> Call<Lease> {
        let route = leases().id(id).map(|route| route.then("/revoke"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless)
    }
}

fn engines() -> Route {
    Route::new("/dynamic/engines")
}

fn leases() -> Route {
    Route::new("/dynamic/leases")
}

fn one(engine: &str) -> Result<Route, ClientError> {
    engines().id(engine)
}

fn below(engine: &str, literal: &'static str) -> Result<Route, ClientError> {
    one(engine).map(|route| route.then(literal))
}

fn role_route(engine: &str, role: &str) -> Result<Route, ClientError> {
    below(engine, "/roles")?.id(role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 19]).await;
        let client = server.client();
        let dynamic = client.dynamic();
        let body = EngineBody {
            name: "orders".to_owned(),
            kind: "database".to_owned(),
            description: None,
            config: scaivault_api::dynamic::EngineConfig::default(),
            default_ttl: Some("1h".to_owned()),
            max_ttl: None,
        };
        let role = EngineRoleBody::default();
        drop(dynamic.engines().json().await);
        drop(dynamic.create_engine(&body).json().await);
        drop(dynamic.engine("o").json().await);
        let patch = EnginePatch::default();
        drop(dynamic.update_engine("o", &patch).json().await);
        drop(dynamic.delete_engine("a/b").json().await);
        drop(dynamic.health("o").json().await);
        drop(dynamic.revoke_all("o", Some("r")).json().await);
        drop(dynamic.sweep("o").json().await);
        drop(dynamic.roles("o").json().await);
        drop(dynamic.create_role("o", &role).json().await);
        drop(dynamic.role("o", "r").json().await);
        drop(dynamic.put_role("o", "r", &role).json().await);
        drop(dynamic.update_role("o", "r", &role).json().await);
        drop(dynamic.delete_role("o", "r").json().await);
        let credential = CredentialBody::default();
        drop(dynamic.generate("o", "r", &credential).json().await);
        let query = LeaseQuery {
            engine: Some("o".to_owned()),
            status: vec!["active".to_owned(), "revoking".to_owned()],
            failing: true,
            ..LeaseQuery::default()
        };
        drop(dynamic.leases(&query).json().await);
        drop(dynamic.lease("lse_1").json().await);
        drop(dynamic.renew("lse_1", Some("30m")).json().await);
        drop(dynamic.revoke("lse_1").json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/dynamic/engines",
                "POST /v1/dynamic/engines",
                "GET /v1/dynamic/engines/o",
                "PATCH /v1/dynamic/engines/o",
                "DELETE /v1/dynamic/engines/a%2Fb",
                "GET /v1/dynamic/engines/o/health",
                "POST /v1/dynamic/engines/o/revoke-all?role=r",
                "POST /v1/dynamic/engines/o/sweep",
                "GET /v1/dynamic/engines/o/roles",
                "POST /v1/dynamic/engines/o/roles",
                "GET /v1/dynamic/engines/o/roles/r",
                "PUT /v1/dynamic/engines/o/roles/r",
                "PATCH /v1/dynamic/engines/o/roles/r",
                "DELETE /v1/dynamic/engines/o/roles/r",
                "POST /v1/dynamic/engines/o/creds/r",
                "GET /v1/dynamic/leases?engine=o&status=active%2Crevoking&failing=true",
                "GET /v1/dynamic/leases/lse_1",
                "POST /v1/dynamic/leases/lse_1/renew",
                "POST /v1/dynamic/leases/lse_1/revoke",
            ]
        );
        let requests = server.requests();
        assert!(requests[1].body.contains(r#""type":"database""#));
        assert_eq!(requests[17].body, r#"{"increment":"30m"}"#);
    }

    #[tokio::test]
    async fn what_is_no_json() {
        let answers = vec![
            Script::with(200, &[], "ssh-ed25519 AAAA x\n"),
            Script::with(200, &[], "SSHKRL\n\0"),
            Script::error(404, "engine_not_found", &[]),
            Script::json(202, "{}"),
        ];
        let server = Responder::start(answers).await;
        let client = server.client();
        let dynamic = client.dynamic();
        let key = dynamic.public_key("b").await.expect("a key");
        assert_eq!(key, "ssh-ed25519 AAAA x\n");
        let list = dynamic.revocation_list("b").await.expect("a list");
        assert_eq!(list, b"SSHKRL\n\0");
        let missing = dynamic.revocation_list("n").await.expect_err("missing");
        assert_eq!(missing.code(), Some("engine_not_found"));
        drop(dynamic.rotate_root("b", Some("rot_1")).json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/dynamic/engines/b/public-key",
                "GET /v1/dynamic/engines/b/revocation-list",
                "GET /v1/dynamic/engines/n/revocation-list",
                "POST /v1/dynamic/engines/b/rotate-root",
            ]
        );
        assert_eq!(
            server.requests()[3].body,
            r#"{"rotation_policy_id":"rot_1"}"#
        );
    }

    #[tokio::test]
    async fn a_lost_answer_makes_no_second_account() {
        let server = Responder::start(vec![Script::hang_up()]).await;
        let client = server.client();
        let asked = client
            .dynamic()
            .generate("o", "r", &CredentialBody::default());
        assert!(asked.await.is_err());
        assert_eq!(server.lines(), ["POST /v1/dynamic/engines/o/creds/r"]);
    }
}
