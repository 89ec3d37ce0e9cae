//! The audit trail.

use std::time::Duration;

use reqwest::Method;

use scaivault_api::audit::{
    AuditExport, AuditExportBody, AuditExportList, AuditLogs, AuditTrail, AuditVerify,
};

use crate::call::Call;
use crate::client::Client;
use crate::retry::Repeat;
use crate::route::Route;

const VERIFY_TIMEOUT: Duration = Duration::from_secs(600);

/// Calls below `/v1/audit`.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    client: &'a Client,
}

/// What to show. Absent fields do not narrow.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Not before, RFC 3339.
    pub from: Option<String>,
    /// Before, RFC 3339.
    pub to: Option<String>,
    /// One action or several with commas.
    pub action: Option<String>,
    /// Typed name, such as `sa:reporting-service`.
    pub identity_id: Option<String>,
    /// Only paths that begin so.
    pub path_prefix: Option<String>,
    /// Only what succeeded, or only what did not.
    pub success: Option<bool>,
    /// Only from this address.
    pub source_ip: Option<String>,
    /// Only of this request.
    pub request_id: Option<String>,
    /// Entries on a page.
    pub limit: Option<usize>,
    /// Where to go on.
    pub cursor: Option<String>,
}

impl<'a> Audit<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of rows, newest first.
    pub fn logs(&self, query: &AuditQuery) -> Call<AuditLogs> {
        Call::get(self.client, Ok(Route::new("/audit/logs")))
            .query("from", query.from.as_ref())
            .query("to", query.to.as_ref())
            .query("action", query.action.as_ref())
            .query("identity_id", query.identity_id.as_ref())
            .query("path_prefix", query.path_prefix.as_ref())
            .query("success", query.success)
            .query("source_ip", query.source_ip.as_ref())
            .query("request_id", query.request_id.as_ref())
            .query("limit", query.limit)
            .query("cursor", query.cursor.as_ref())
    }

    /// One secret's rows and its last 30 days.
    pub fn secret_trail(&self, path: &str) -> Call<AuditTrail> {
        Call::get(self.client, Route::new("/audit/secrets").path(path))
    }

    /// One identity's rows and its last 30 days.
    pub fn identity_trail(&self, identity_id: &str) -> Call<AuditTrail> {
        Call::get(self.client, Route::new("/audit/identities").id(identity_id))
    }

    /// Asks the server to write rows to the place that its operator configured.
    pub fn export_create(&self, body: &AuditExportBody) -> Call<AuditExport> {
        let route = Ok(Route::new("/audit/exports"));
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// A page of exports, newest first.
    pub fn exports(&self) -> Call<AuditExportList> {
        Call::get(self.client, Ok(Route::new("/audit/exports")))
    }

    /// One export, and how far it is.
    pub fn export(&self, id: &str) -> Call<AuditExport> {
        Call::get(self.client, Route::new("/audit/exports").id(id))
    }

    /// Ends one that runs; removes the files of any.
    pub fn export_cancel(&self, id: &str) -> Call<AuditExport> {
        let route = Route::new("/audit/exports").id(id);
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
    }

    /// Checks the whole chain. A broken chain is an answer (`valid: false`), not an error.
    ///
    /// The server reads every row, so this call has [ten minutes](Call::timeout) by itself.
    pub fn verify(&self) -> Call<AuditVerify> {
        Call::get(self.client, Ok(Route::new("/audit/verify"))).timeout(VERIFY_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 8]).await;
        let client = server.client();
        let query = AuditQuery {
            from: Some("2026-01-01T00:00:00+01:00".to_owned()),
            identity_id: Some("user:a@b&c".to_owned()),
            success: Some(false),
            ..AuditQuery::default()
        };
        drop(client.audit().logs(&query).json().await);
        drop(client.audit().secret_trail("a/b").json().await);
        drop(client.audit().identity_trail("user:a@b").json().await);
        drop(client.audit().verify().json().await);
        let asked = AuditExportBody {
            format: Some("csv".to_owned()),
            ..AuditExportBody::default()
        };
        drop(client.audit().export_create(&asked).json().await);
        drop(client.audit().exports().json().await);
        drop(client.audit().export("exp_1").json().await);
        drop(client.audit().export_cancel("exp_1").json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/audit/logs?from=2026-01-01T00%3A00%3A00%2B01%3A00\
                 &identity_id=user%3Aa%40b%26c&success=false",
                "GET /v1/audit/secrets/a/b",
                "GET /v1/audit/identities/user%3Aa%40b",
                "GET /v1/audit/verify",
                "POST /v1/audit/exports",
                "GET /v1/audit/exports",
                "GET /v1/audit/exports/exp_1",
                "DELETE /v1/audit/exports/exp_1",
            ]
        );
    }
}
