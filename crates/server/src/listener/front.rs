//! What a listener serves.

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service as _;

use super::client::Peer;

/// Answers requests. Cheap to clone: each request takes one.
pub trait Front: Clone + Send + Sync + 'static {
    /// The answer, whatever the request. The future owns what it needs; it is dropped when the
    /// client goes away.
    fn answer(
        self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send + 'static;
}

/// Handlers find the other side of the socket as an extension.
impl Front for Router {
    fn answer(
        mut self,
        mut request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send + 'static {
        request.extensions_mut().insert(peer.address);
        let answer = self.call(request);
        async move {
            match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    }
}
