//! The accept loop and its end.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::{Shared, run, stopped};
use super::front::Front;
use super::limits::{ConnectionCounters, ListenerLimits};
use super::tls::Tls;

/// Pause after the system refused to hand over a connection: out of file descriptors or memory,
/// both of which only time and closing connections mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `front` on `listener` until `shutdown` turns true (or its sender is gone), then waits
/// for requests in flight, at most `limits.drain`. With `tls`, nothing but TLS is spoken.
///
/// # Errors
/// When the listener's socket itself is unusable.
pub async fn serve<F: Front>(
    listener: TcpListener,
    tls: Option<Tls>,
    front: F,
    limits: ListenerLimits,
    mut shutdown: watch::Receiver<bool>,
    counters: ConnectionCounters,
) -> io::Result<()> {
    // Told before anything is accepted, so that a closed socket is an error and not a busy loop.
    let address = listener.local_addr()?;
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let drain = limits.drain;
    let shared = Arc::new(Shared {
        front,
        tls,
        limits,
        counters,
    });
    let mut connections = JoinSet::new();
    let stop = shutdown.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut shutdown) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_clients_fault(&error) => continue,
            Err(error) => {
                tracing::error!(%address, %error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            shared.counters.refused.inc();
            continue;
        };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        connections.spawn(async move {
            let open = Open::new(&shared.counters);
            run(Arc::clone(&shared), stream, peer, stop).await;
            drop(open);
            drop(place);
        });
    }
    // From here on new connections are refused by the system.
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, drained).await.is_err() {
        tracing::warn!(%address, open = connections.len(), "drain deadline passed; cutting connections");
        connections.shutdown().await;
    }
    Ok(())
}

fn is_clients_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

/// Counts a connection for as long as it lives, also when its task panics or is cut.
struct Open(ConnectionCounters);

impl Open {
    fn new(counters: &ConnectionCounters) -> Self {
        counters.accepted.inc();
        counters.open.inc();
        Self(counters.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}
