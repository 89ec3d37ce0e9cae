//! The server that is copied from. It is asked by `GET` alone: nothing here can change it.

use reqwest::Method;
use serde::Deserialize;

use super::http::{Answer, Http, Repeat};
use super::trouble::Trouble;

/// Names of one page, where the server has pages.
const PAGE: usize = 1_000;

/// A server to read from.
pub(crate) struct Source(Http);

#[derive(Deserialize)]
struct Listed {
    data: Keys,
}

#[derive(Deserialize)]
struct Keys {
    keys: Option<Vec<String>>,
}

impl Source {
    pub(crate) fn new(http: Http) -> Self {
        Self(http)
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Answer, Trouble> {
        self.read_with(path, &[]).await
    }

    pub(crate) async fn read_with(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, Trouble> {
        let get = Method::GET;
        self.0.send(get, path, query, None, Repeat::Harmless).await
    }

    /// What is there, or nothing.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Answer>, Trouble> {
        match self.read(path).await {
            Ok(answer) => Ok(Some(answer)),
            Err(trouble) if trouble.is_absent() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// All names of a list that is short.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<String>, Trouble> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let (names, next) = self.page(path, after.as_deref()).await?;
            all.extend(names);
            match next {
                Some(_) => after = next,
                None => return Ok(all),
            }
        }
    }

    /// Some names of a list, and where it goes on. A server without pages answers with all of them,
    /// whatever it is asked.
    pub(crate) async fn page(
        &self,
        path: &str,
        after: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), Trouble> {
        let limit = PAGE.to_string();
        let mut query = vec![("list", "true"), ("limit", limit.as_str())];
        if let Some(after) = after {
            query.push(("after", after));
        }
        let names = match self.read_with(path, &query).await {
            Ok(answer) => answer.parse::<Listed>()?.data.keys.unwrap_or_default(),
            Err(trouble) if trouble.is_absent() => Vec::new(),
            Err(trouble) => return Err(trouble),
        };
        if after.is_some_and(|after| names.iter().any(|name| name == after)) {
            // It does not know pages, and has exactly as many names as one has: all have been seen.
            return Ok((Vec::new(), None));
        }
        let next = names.last().filter(|_| names.len() == PAGE).cloned();
        Ok((names, next))
    }
}
