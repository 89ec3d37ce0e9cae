//! What the server is compared with: the same listener, the same axum, and an answer of the same
//! size that was ready beforehand. No token, no decision, no audit row.
//!
//! The listener is the server's own.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use scaivault_server::listener::{ConnectionCounters, ListenerLimits, serve};

#[derive(Args)]
pub(crate) struct ConstantArgs {
    /// Bytes of the answer's body.
    #[arg(long)]
    body_bytes: usize,
}

/// Says where it listens, and serves until SIGTERM.
pub(crate) fn run(args: ConstantArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        println!("constant server: http://{}", listener.local_addr()?);
        let body = body(args.body_bytes);
        let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
        let router = Router::new().route("/v1/secrets/{*path}", get(answer));
        let (stop, stopped) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            terminate.recv().await;
            let _ = stop.send(true);
        });
        let (limits, counters) = (ListenerLimits::default(), ConnectionCounters::default());
        serve(listener, None, router, limits, stopped, counters).await?;
        Ok(())
    })
}

fn body(bytes: usize) -> Bytes {
    let frame = r#"{"data":""}"#.len();
    let padding = "x".repeat(bytes.saturating_sub(frame));
    format!(r#"{{"data":"{padding}"}}"#).into()
}
