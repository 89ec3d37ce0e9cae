//! One connection, from the accepted socket to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::client::{ClientCertificate, Peer};
use super::front::Front;
use super::limits::{ConnectionCounters, ListenerLimits};
use super::patience::{Patient, Progress, Protocol};
use super::tls::Tls;

/// Requests one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;

/// Bytes of one HTTP/2 request's headers, as the protocol counts them.
const HEADER_LIST_MAX: u32 = 32 * 1_024;

/// The other side of the socket, in every request's extensions. IPv4 is always written as IPv4,
/// also when it came in over a socket of both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// What all connections of a listener share.
pub(super) struct Shared<F> {
    pub(super) front: F,
    pub(super) tls: Option<Tls>,
    pub(super) limits: ListenerLimits,
    pub(super) counters: ConnectionCounters,
}

/// Serves until either side ends it. After `stop`, the request in flight is the last.
pub(super) async fn run<F: Front>(
    shared: Arc<Shared<F>>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let mut peer = Peer::plain(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    // Answers are written whole; waiting to fill a segment would only delay them. A socket that
    // refuses the option still works.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &shared.tls else {
        return speak(&shared, stream, peer, Protocol::Http1, stop).await;
    };
    let handshake = tokio::time::timeout(shared.limits.handshake, tls.acceptor().accept(stream));
    match handshake.await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            peer.certificate = shown.map(|chain| Arc::new(ClientCertificate::new(chain, tls)));
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let protocol = if h2 { Protocol::Http2 } else { Protocol::Http1 };
            speak(&shared, stream, peer, protocol, stop).await;
        }
        Ok(Err(error)) => {
            shared.counters.handshakes_failed.inc();
            tracing::debug!(peer = %peer.address.0, %error, "TLS handshake failed");
        }
        Err(_) => {
            shared.counters.handshakes_failed.inc();
            tracing::debug!(peer = %peer.address.0, "TLS handshake took too long");
        }
    }
}

async fn speak<F, S>(
    shared: &Shared<F>,
    stream: S,
    peer: Peer,
    protocol: Protocol,
    stop: watch::Receiver<bool>,
) where
    F: Front,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shared.limits;
    let progress = Arc::new(Progress::default());
    let stream = Patient::new(
        stream,
        protocol,
        limits.head,
        limits.idle,
        Arc::clone(&progress),
    );
    let service = service(shared.front.clone(), peer.clone(), progress);
    let io = TokioIo::new(stream);
    let ended = match protocol {
        Protocol::Http1 => speak_http1(io, service, limits, stop).await,
        Protocol::Http2 => speak_http2(io, service, stop).await,
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.address.0, %error, "connection ended early");
    }
}

async fn speak_http1<I, S>(
    io: I,
    service: S,
    limits: &ListenerLimits,
    mut stop: watch::Receiver<bool>,
) -> Result<(), hyper::Error>
where
    I: Read + Write + Unpin + Send,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send,
{
    let mut connection = pin!(
        http1::Builder::new()
            // `Patient` keeps the time; see there.
            .header_read_timeout(None)
            // Not `pipeline_flush`: it holds a finished answer, a refusal too, back while the
            // beginning of a further request is buffered, and a client may wait for just that.
            .max_header_size(limits.head_bytes_max)
            .max_buf_size(limits.head_bytes_max)
            .serve_connection(io, service)
    );
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stopped(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn speak_http2<I, S>(
    io: I,
    service: S,
    mut stop: watch::Receiver<bool>,
) -> Result<(), hyper::Error>
where
    I: Read + Write + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send + 'static,
{
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_LIST_MAX)
            .serve_connection(io, service)
    );
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stopped(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Ends when told to stop, or when nobody is left who could tell.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn service(
    front: impl Front,
    peer: Peer,
    progress: Arc<Progress>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
> + Send {
    service_fn(move |request: Request<Incoming>| {
        let serving = progress.begin();
        let answer = front.clone().answer(request, peer.clone());
        async move {
            let answer = answer.await;
            drop(serving);
            Ok(answer)
        }
    })
}
