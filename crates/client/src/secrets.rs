//! Secrets, versions, consumers.

use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use scaivault_api::rotation::Rotation;
use scaivault_api::secret::{
    ConsumerList, DeletedSecret, PatchMetadata, PutOptions, Secret, SecretAck, SecretAcked,
    SecretList, SecretMetadata, SecretValue, VersionList,
};
use scaivault_api::secret_batch::{BatchMetadata, BatchRead, BatchSecrets, BatchSecretsMetadata};

use crate::call::Call;
use crate::client::Client;
use crate::error::{ClientError, InputError};
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/secrets`.
#[derive(Debug, Clone, Copy)]
pub struct Secrets<'a> {
    client: &'a Client,
}

/// What to list. Absent fields do not narrow.
#[derive(Debug, Clone, Default)]
pub struct SecretQuery {
    /// Only paths that begin so.
    pub prefix: Option<String>,
    /// Only secrets with all of these tags.
    pub tags: Vec<String>,
    /// Only secrets with this text in path, description, tags or owner.
    pub text: Option<String>,
    /// `/`: one level; what lies deeper is answered as prefixes.
    pub delimiter: Option<String>,
    /// Only secrets of this type.
    pub secret_type: Option<String>,
    /// False: one level below the prefix. Default: every level.
    pub recursive: Option<bool>,
    /// Entries on a page.
    pub limit: Option<usize>,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// A write. It holds the value: no `Debug`.
#[derive(Clone, Serialize)]
#[must_use]
pub struct WriteSecret {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<SecretMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<PutOptions>,
}

impl WriteSecret {
    /// A write of `value`, which becomes a JSON object.
    ///
    /// # Errors
    /// [`InputError::Value`] when it does not become JSON at all; that it is an object is left
    /// to the server.
    pub fn new(value: &impl Serialize) -> Result<Self, ClientError> {
        let data = serde_json::value::to_raw_value(value);
        Ok(Self::of(data.map_err(|error| value_error(&error))?))
    }

    /// A write of JSON text, which is kept byte for byte.
    ///
    /// # Errors
    /// [`InputError::Value`] with the place where it stops being JSON.
    pub fn from_json(text: &str) -> Result<Self, ClientError> {
        Ok(Self::of(
            serde_json::from_str(text).map_err(|error| value_error(&error))?,
        ))
    }

    fn of(data: Box<RawValue>) -> Self {
        Self {
            data: Some(data),
            secret_type: None,
            metadata: None,
            options: None,
        }
    }

    /// A write whose value the server makes by a secret policy, by id or name. It is not answered.
    pub fn generated(secret_policy: impl Into<String>) -> Self {
        Self {
            data: None,
            secret_type: None,
            metadata: None,
            options: Some(PutOptions {
                generate_from: Some(secret_policy.into()),
                ..PutOptions::default()
            }),
        }
    }

    /// `kv`, `json`, `certificate`, `ssh_key` or `api_key`.
    pub fn secret_type(mut self, secret_type: impl Into<String>) -> Self {
        self.secret_type = Some(secret_type.into());
        self
    }

    /// Replaces all metadata. Without it metadata stays as it is.
    pub fn metadata(mut self, metadata: SecretMetadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// How to write. Only a write with `cas` or `rotation_id` is retried after an uncertain
    /// outcome, because any other would append a second version.
    pub fn options(mut self, options: PutOptions) -> Self {
        let generate_from = self.options.and_then(|options| options.generate_from);
        self.options = Some(PutOptions {
            generate_from: options.generate_from.or(generate_from),
            ..options
        });
        self
    }

    fn repeat(&self) -> Repeat {
        let guarded = self
            .options
            .as_ref()
            .is_some_and(|options| options.cas.is_some() || options.rotation_id.is_some());
        if guarded {
            Repeat::Harmless
        } else {
            Repeat::Harmful
        }
    }
}

impl<'a> Secrets<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// The current value.
    pub fn read(&self, path: &str) -> Call<SecretValue> {
        Call::get(self.client, route(path))
    }

    /// The value of one version. A version whose grace is over answers `secret_expired`.
    pub fn read_version(&self, path: &str, version: u64) -> Call<SecretValue> {
        self.read(path).query("version", Some(version))
    }

    /// Up to 100 values; each path is answered by itself.
    pub fn read_batch(&self, batch: &BatchRead) -> Call<BatchSecrets> {
        let route = Ok(Route::new("/secrets/batch"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(batch)
    }

    /// Metadata of up to 100 secrets, or of what patterns match.
    pub fn metadata_batch(&self, batch: &BatchMetadata) -> Call<BatchSecretsMetadata> {
        let route = Ok(Route::new("/secrets/batch/metadata"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(batch)
    }

    /// Appends a version; the first write creates the secret. Answers without the value.
    pub fn write(&self, path: &str, secret: &WriteSecret) -> Call<Secret> {
        Call::new(self.client, Method::PUT, route(path), secret.repeat()).body(secret)
    }

    /// A page of secrets by path, without values.
    pub fn list(&self, query: &SecretQuery) -> Call<SecretList> {
        Call::get(self.client, Ok(Route::new("/secrets")))
            .query("prefix", query.prefix.as_ref())
            .queries("tag", &query.tags)
            .query("q", query.text.as_ref())
            .query("delimiter", query.delimiter.as_ref())
            .query("secret_type", query.secret_type.as_ref())
            .query("recursive", query.recursive)
            .query("limit", query.limit)
            .query("cursor", query.cursor.as_ref())
    }

    /// Secrets whose end is within `days`, without values.
    pub fn expiring(&self, days: u32, prefix: Option<&str>) -> Call<SecretList> {
        Call::get(self.client, Ok(Route::new("/secrets/expiring")))
            .query("days", Some(days))
            .query("prefix", prefix)
    }

    /// Everything but the value.
    pub fn metadata(&self, path: &str) -> Call<Secret> {
        Call::get(self.client, sub(path, "/metadata"))
    }

    /// Changes metadata without a new version.
    pub fn update_metadata(&self, path: &str, patch: &PatchMetadata) -> Call<Secret> {
        let route = sub(path, "/metadata");
        Call::new(self.client, Method::PATCH, route, Repeat::Harmless).body(patch)
    }

    /// Deletes: `permanent` for good, otherwise so that [`Secrets::undelete`] brings it back.
    pub fn delete(&self, path: &str, permanent: bool) -> Call<DeletedSecret> {
        Call::new(self.client, Method::DELETE, route(path), Repeat::Harmless)
            .query("permanent", permanent.then_some(true))
    }

    /// Brings a deleted secret back.
    pub fn undelete(&self, path: &str) -> Call<Secret> {
        self.post(sub(path, "/undelete"))
    }

    /// Versions, newest first.
    pub fn versions(&self, path: &str) -> Call<VersionList> {
        Call::get(self.client, sub(path, "/versions"))
    }

    /// Opens a rotation now.
    pub fn rotate(&self, path: &str) -> Call<Rotation> {
        self.post(sub(path, "/rotate"))
    }

    /// Who holds which version.
    pub fn consumers(&self, path: &str) -> Call<ConsumerList> {
        Call::get(self.client, sub(path, "/consumers"))
    }

    /// Says that this consumer works with a version, or fails with it.
    pub fn acknowledge(&self, path: &str, ack: &SecretAck) -> Call<SecretAcked> {
        let route = sub(path, "/ack");
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(ack)
    }

    fn post<T>(&self, route: Result<Route, ClientError>) -> Call<T> {
        Call::new(self.client, Method::POST, route, Repeat::Harmful)
    }
}

fn route(path: &str) -> Result<Route, ClientError> {
    Route::new("/secrets").path(path)
}

fn sub(path: &str, operation: &'static str) -> Result<Route, ClientError> {
    Ok(route(path)?.then(operation))
}

fn value_error(error: &serde_json::Error) -> ClientError {
    ClientError::Input(InputError::Value {
        line: error.line(),
        column: error.column(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Responder, Script};

    #[tokio::test]
    async fn routes() {
        let server = Responder::start(vec![Script::json(200, "{}"); 14]).await;
        let client = server.client();
        let secrets = client.secrets();
        drop(secrets.read_version("a/b", 3).json().await);
        drop(secrets.metadata("a/b").json().await);
        drop(secrets.delete("a/b", false).json().await);
        drop(secrets.delete("a/b", true).json().await);
        drop(secrets.undelete("a/b").json().await);
        drop(secrets.versions("a/b").json().await);
        drop(secrets.rotate("a/b").json().await);
        drop(secrets.consumers("a/b").json().await);
        let ack = SecretAck {
            version: 3,
            status: "applied".to_owned(),
            detail: None,
        };
        drop(secrets.acknowledge("a/b", &ack).json().await);
        drop(secrets.expiring(30, Some("a/")).json().await);
        drop(secrets.read("A b?x").json().await);
        drop(secrets.read_batch(&BatchRead::default()).json().await);
        let metadata = BatchMetadata::default();
        drop(secrets.metadata_batch(&metadata).json().await);
        let query = SecretQuery {
            tags: vec!["a".to_owned(), "b c".to_owned()],
            delimiter: Some("/".to_owned()),
            ..SecretQuery::default()
        };
        drop(secrets.list(&query).json().await);
        assert_eq!(
            server.lines(),
            [
                "GET /v1/secrets/a/b?version=3",
                "GET /v1/secrets/a/b/metadata",
                "DELETE /v1/secrets/a/b",
                "DELETE /v1/secrets/a/b?permanent=true",
                "POST /v1/secrets/a/b/undelete",
                "GET /v1/secrets/a/b/versions",
                "POST /v1/secrets/a/b/rotate",
                "GET /v1/secrets/a/b/consumers",
                "POST /v1/secrets/a/b/ack",
                "GET /v1/secrets/expiring?days=30&prefix=a%2F",
                "GET /v1/secrets/A%20b%3Fx",
                "POST /v1/secrets/batch",
                "POST /v1/secrets/batch/metadata",
                "GET /v1/secrets?tag=a&tag=b+c&delimiter=%2F",
            ]
        );
    }

    #[tokio::test]
    async fn a_value_is_sent_byte_for_byte() {
        let server = Responder::start(vec![Script::json(200, "{}"); 2]).await;
        let client = server.client();
        let text = r#"{"z": 1.50, "a":  12345678901234567890123}"#;
        let write = WriteSecret::from_json(text).expect("json");
        drop(client.secrets().write("p", &write).json().await);
        let options = PutOptions {
            cas: Some(0),
            ..PutOptions::default()
        };
        let write = WriteSecret::new(&serde_json::json!({"k": "v"})).expect("json");
        let write = write.secret_type("kv").options(options);
        drop(client.secrets().write("p", &write).json().await);
        let requests = server.requests();
        assert_eq!(requests[0].body, format!(r#"{{"data":{text}}}"#));
        assert_eq!(
            requests[1].body,
            r#"{"data":{"k":"v"},"secret_type":"kv","options":{"cas":0}}"#
        );
        assert!(requests[1].head.contains("content-type: application/json"));
    }

    #[test]
    fn bad_json_is_placed_but_not_quoted() {
        let error = WriteSecret::from_json("{\"password\": hunter2}")
            .err()
            .expect("refused");
        assert_eq!(
            error.to_string(),
            "the value is not a JSON object (line 1, column 14)"
        );
    }
}
