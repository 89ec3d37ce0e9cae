//! Serving until told to stop, and stopping in order: no new connections, requests in flight
//! finish, workers finish the step in hand, the store writes what waits and closes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use scaivault_engine::Vault;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::app::Shared;
use crate::assembly::{IssuersFile, Opened};
use crate::entrance::Entrance;
use crate::forwarding::Trail;
use crate::listener::{self, ListenerLimits, Tls};
use crate::loops;

/// SIGXFSZ: a write past a file-size limit. Its default would end the process; handled, the
/// write fails and the store says so.
const SIGXFSZ: i32 = 25;

/// How long workers have for the step in hand. The service's unit kills what has not stopped 4 seconds
/// later.
const WORKERS_MAX: Duration = Duration::from_secs(36);

pub(super) struct Serving {
    pub(super) opened: Opened,
    pub(super) app: Shared,
    pub(super) front: Entrance,
    pub(super) listener: TcpListener,
    pub(super) tls: Option<Tls>,
    pub(super) issuers: IssuersFile,
    pub(super) limits: ListenerLimits,
    pub(super) deliveries_max: usize,
    pub(super) trail: Trail,
}

/// Runs until SIGTERM or SIGINT.
pub(super) async fn run(serving: Serving) -> Result<()> {
    let stop = serving.app.stopping.clone();
    let stopped = stop.subscribe();
    let mut workers = loops::start(
        &serving.opened.vault,
        serving.deliveries_max,
        serving.app.settings.targets_max,
        serving.app.settings.streams.unread_ttl,
        &serving.app.settings.audit,
        serving.app.settings.export_sink.as_ref(),
        &stopped,
    );
    crate::forwarding::start(
        &mut workers,
        &serving.opened.vault,
        &serving.trail,
        &serving.app.settings.audit,
        &serving.app.metrics.forwards,
        &stopped,
    )?;
    workers.spawn(crate::exports::look(serving.app.settings.audit.clone()));
    let vault = serving.opened.vault.clone();
    let signals = tokio::spawn(watch_signals(
        stop,
        serving.tls.clone(),
        serving.issuers,
        vault,
    )?);
    let late = tokio::spawn(after_stop(stopped.clone()));
    listener::serve(
        serving.listener,
        serving.tls,
        serving.front,
        serving.limits,
        stopped,
        serving.app.metrics.connections.clone(),
    )
    .await
    .context("the listener failed")?;
    let ending = async {
        while let Some(ended) = workers.join_next().await {
            ended.context("a worker ended abnormally")?;
        }
        anyhow::Ok(())
    };
    let ended = tokio::select! {
        ended = ending => Some(ended),
        _ = late => None,
    };
    match ended {
        Some(ended) => ended?,
        None => {
            // As a crash would: each goes on from what it stored.
            tracing::warn!(
                left = workers.len(),
                "workers did not end in time and are cut off"
            );
            workers.shutdown().await;
        }
    }
    signals.abort();
    let _ = signals.await;
    drop(serving.app);
    // Dropping the last handle writes what waits and closes the store.
    let Opened { vault, storage } = serving.opened;
    drop(vault);
    tokio::task::spawn_blocking(move || storage.close()).await?;
    Ok(())
}

/// When the workers have had their time since the server was told to stop.
async fn after_stop(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
    tokio::time::sleep(WORKERS_MAX).await;
}

/// SIGTERM and SIGINT stop; SIGHUP reads certificates and issuers again.
fn watch_signals(
    stop: watch::Sender<bool>,
    tls: Option<Tls>,
    issuers: IssuersFile,
    vault: Arc<Vault>,
) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut file_size: Signal = signal(SignalKind::from_raw(SIGXFSZ))?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    match tls.as_ref().map(Tls::reload) {
                        Some(Ok(())) => tracing::info!("certificate reloaded"),
                        Some(Err(error)) => tracing::error!(
                            error = %format!("{:#}", anyhow::Error::from(error)),
                            "certificate not reloaded"
                        ),
                        None => {}
                    }
                    issuers.reload(&vault);
                }
                _ = file_size.recv() => {
                    tracing::error!("a file-size limit was hit: writes fail until it is raised");
                }
            }
        }
        tracing::info!("stopping: requests in flight are finished");
        stop.send_replace(true);
    })
}
