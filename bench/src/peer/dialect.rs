//! The same work in the words of each server.

use serde_json::json;

use crate::seed;
use crate::wire::request;

/// What one server is asked for a piece of work.
pub(crate) trait Dialect {
    /// The current value of a secret.
    fn read(&self, path: &str) -> Vec<u8>;
    /// A value of ordinary size for a secret, new or not.
    fn write(&self, path: &str, number: usize) -> Vec<u8>;
    /// What is directly below a prefix of [`LISTED`] secrets.
    fn list(&self, prefix: &str) -> Vec<u8>;
    /// One more token.
    fn issue_token(&self) -> Vec<u8>;
}

/// Secrets below each prefix that is listed.
pub(crate) const LISTED: usize = 100;

/// The product: `reader` is an identity with a policy and a binding, `root` issues tokens.
pub(crate) struct Scaivault {
    pub(crate) root: String,
    pub(crate) reader: String,
}

impl Dialect for Scaivault {
    fn read(&self, path: &str) -> Vec<u8> {
        request("GET", &format!("/v1/secrets/{path}"), &self.reader, "")
    }

    fn write(&self, path: &str, number: usize) -> Vec<u8> {
        let body = json!({ "data": seed::data(number), "secret_type": "json" }).to_string();
        request("PUT", &format!("/v1/secrets/{path}"), &self.reader, &body)
    }

    fn list(&self, prefix: &str) -> Vec<u8> {
        let path = format!("/v1/secrets?prefix={prefix}&recursive=false&limit={LISTED}");
        request("GET", &path, &self.reader, "")
    }

    fn issue_token(&self) -> Vec<u8> {
        let body = json!({
            "identity_type": "service_account", "identity_id": "sa:issued",
            "scopes": ["secrets:read"], "ttl": "1h",
        });
        request("POST", "/v1/auth/tokens", &self.root, &body.to_string())
    }
}

/// OpenBao: `reader` is a token that is not root and has a policy, `root` issues tokens.
pub(crate) struct OpenBao {
    pub(crate) root: String,
    pub(crate) reader: String,
}

impl Dialect for OpenBao {
    fn read(&self, path: &str) -> Vec<u8> {
        request("GET", &format!("/v1/secret/data/{path}"), &self.reader, "")
    }

    fn write(&self, path: &str, number: usize) -> Vec<u8> {
        let body = json!({ "data": seed::data(number) }).to_string();
        let path = format!("/v1/secret/data/{path}");
        request("POST", &path, &self.reader, &body)
    }

    fn list(&self, prefix: &str) -> Vec<u8> {
        let path = format!("/v1/secret/metadata/{prefix}");
        request("LIST", &path, &self.reader, "")
    }

    fn issue_token(&self) -> Vec<u8> {
        let body = json!({ "ttl": "1h", "policies": ["default"] }).to_string();
        request("POST", "/v1/auth/token/create", &self.root, &body)
    }
}
