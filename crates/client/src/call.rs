//! A call: a request that has not been sent, and the type of its answer.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use crate::client::Client;
use crate::error::{ClientError, DecodeProblem, InputError};
use crate::exchange::{Answer, Request};
use crate::page::{Page, Pages};
use crate::retry::Repeat;
use crate::route::Route;

/// A request that is sent when it is awaited.
///
/// An argument that cannot be sent (see [`InputError`]) is reported then, too.
#[must_use = "nothing is sent until the call is awaited"]
pub struct Call<T> {
    client: Client,
    request: Result<Request, ClientError>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Call<T> {
    pub(crate) fn get(client: &Client, route: Result<Route, ClientError>) -> Self {
        Self::new(client, Method::GET, route, Repeat::Harmless)
    }

    pub(crate) fn new(
        client: &Client,
        method: Method,
        route: Result<Route, ClientError>,
        repeat: Repeat,
    ) -> Self {
        let request = route.map(|route| Request {
            method,
            route,
            query: Vec::new(),
            body: None,
            repeat,
            answer_status: None,
            timeout: None,
        });
        Self {
            client: client.clone(),
            request,
            answer: PhantomData,
        }
    }

    pub(crate) fn from_request(client: &Client, request: Request) -> Self {
        Self {
            client: client.clone(),
            request: Ok(request),
            answer: PhantomData,
        }
    }

    /// Adds a query parameter when there is a value.
    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        if let (Ok(request), Some(value)) = (&mut self.request, value) {
            request.query.push((name, value.to_string()));
        }
        self
    }

    /// Adds a query parameter for each of the values.
    pub(crate) fn queries(mut self, name: &'static str, values: &[String]) -> Self {
        if let Ok(request) = &mut self.request {
            request
                .query
                .extend(values.iter().map(|value| (name, value.clone())));
        }
        self
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Self {
        if let Ok(request) = &mut self.request {
            match serde_json::to_vec(body) {
                Ok(bytes) => request.body = Some(Bytes::from(bytes)),
                Err(_) => {
                    let error = InputError::Value { line: 0, column: 0 };
                    self.request = Err(ClientError::Input(error));
                }
            }
        }
        self
    }

    pub(crate) fn answer_status(mut self, status: u16) -> Self {
        if let Ok(request) = &mut self.request {
            request.answer_status = Some(status);
        }
        self
    }

    /// Time for one attempt of this call, in place of the client's.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Ok(request) = &mut self.request {
            request.timeout = Some(timeout);
        }
        self
    }

    pub(crate) fn into_parts(self) -> (Client, Result<Request, ClientError>) {
        (self.client, self.request)
    }

    /// Sends the request and keeps the server's JSON as it came.
    ///
    /// # Errors
    /// As awaiting the call, except that the answer is not looked into yet.
    pub async fn json(self) -> Result<Json<T>, ClientError> {
        let request = self.request?;
        let answer = self.client.inner().exchange(&request).await?;
        Json::new(answer)
    }

    /// Sends the request; the answer's bytes as they came, for what is no JSON.
    pub(crate) async fn bytes(self) -> Result<Vec<u8>, ClientError> {
        let request = self.request?;
        Ok(self.client.inner().exchange(&request).await?.body)
    }

    /// Walks the list from page to page.
    pub fn pages(self) -> Pages<T>
    where
        T: Page,
    {
        Pages::new(self)
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Call<T> {
    type Output = Result<T, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.json().await?.parse() })
    }
}

/// An answer as the server wrote it. It may hold values, so its `Debug` shows the size only.
pub struct Json<T> {
    text: String,
    status: u16,
    request_id: Option<String>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Json<T> {
    fn new(answer: Answer) -> Result<Self, ClientError> {
        let Answer {
            status,
            request_id,
            body,
        } = answer;
        match String::from_utf8(body) {
            Ok(text) => Ok(Self {
                text,
                status,
                request_id,
                answer: PhantomData,
            }),
            Err(_) => {
                let problem = DecodeProblem::Unexpected { line: 1, column: 0 };
                Err(ClientError::decode(status, request_id, problem))
            }
        }
    }

    /// The body; empty for an answer without one.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The body, parsed.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when it is not what this client expects.
    pub fn parse(&self) -> Result<T, ClientError>
    where
        T: DeserializeOwned,
    {
        self.parse_as()
    }

    /// The body, parsed as another shape of it.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when it has not that shape.
    pub fn parse_as<U: DeserializeOwned>(&self) -> Result<U, ClientError> {
        // An answer without a body reads as null.
        let text = if self.text.is_empty() {
            "null"
        } else {
            &self.text
        };
        serde_json::from_str(text).map_err(|error| {
            let problem = DecodeProblem::Unexpected {
                line: error.line(),
                column: error.column(),
            };
            ClientError::decode(self.status, self.request_id.clone(), problem)
        })
    }
}

impl<T> std::fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Json")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// The answer of a call that only does something; whatever the server says is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done;

impl<'de> Deserialize<'de> for Done {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}
