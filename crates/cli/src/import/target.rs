//! The server that is copied to.

use reqwest::Method;
use serde_json::Value;
use zeroize::Zeroizing;

use super::http::{Answer, Http, Repeat};
use super::trouble::Trouble;

/// A server to write to. In a dry run it is only read.
pub(crate) struct Target {
    http: Http,
    is_dry: bool,
}

impl Target {
    pub(crate) fn new(http: Http, is_dry: bool) -> Self {
        Self { http, is_dry }
    }

    pub(crate) fn url(&self) -> &str {
        self.http.url()
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.is_dry
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Answer, Trouble> {
        let get = Method::GET;
        self.http.send(get, path, &[], None, Repeat::Harmless).await
    }

    pub(crate) async fn read_version(&self, path: &str, version: u64) -> Result<Answer, Trouble> {
        let (get, number) = (Method::GET, version.to_string());
        let query = [("version", number.as_str())];
        self.http
            .send(get, path, &query, None, Repeat::Harmless)
            .await
    }

    /// What is there, or nothing.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Answer>, Trouble> {
        match self.read(path).await {
            Ok(answer) => Ok(Some(answer)),
            Err(trouble) if trouble.is_absent() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Writes something that may be written twice.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Answer, Trouble> {
        // It may hold a password.
        let body = Zeroizing::new(body.to_string());
        self.put_raw(path, body.as_bytes()).await
    }

    /// The same with JSON as it is.
    pub(crate) async fn put_raw(&self, path: &str, body: &[u8]) -> Result<Answer, Trouble> {
        self.write(path, body, Repeat::Harmless).await
    }

    /// Writes something that would be there twice.
    pub(crate) async fn add(&self, path: &str, body: &[u8]) -> Result<Answer, Trouble> {
        self.write(path, body, Repeat::Harmful).await
    }

    async fn write(&self, path: &str, body: &[u8], repeat: Repeat) -> Result<Answer, Trouble> {
        self.may_write()?;
        let post = Method::POST;
        self.http.send(post, path, &[], Some(body), repeat).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Answer, Trouble> {
        self.may_write()?;
        let delete = Method::DELETE;
        self.http
            .send(delete, path, &[], None, Repeat::Harmless)
            .await
    }

    /// The last line of defence: who plans in a dry run asks `is_dry` before.
    fn may_write(&self) -> Result<(), Trouble> {
        match self.is_dry {
            true => Err(Trouble::Unclear("a write in a dry run".to_owned())),
            false => Ok(()),
        }
    }
}
