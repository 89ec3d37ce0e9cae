//! `sys/health`, `sys/seal-status`, `sys/leader`, `sys/init`: open to everybody, and told of nothing
//! but this node.

use serde_json::json;

use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use crate::app::App;
use crate::problem::Problem;

/// The release of their API that ours answers as, and our own behind it: clients choose what they
/// ask for by the number before the plus.
pub(super) const VERSION: &str = concat!("1.15.0+scaivault.", env!("CARGO_PKG_VERSION"));
const CLUSTER: &str = "scaivault";

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    if asked.verb != Verb::Read {
        return Err(unsupported());
    }
    match rest {
        "health" => health(app, asked).await,
        "seal-status" => Ok(seal_status()),
        "leader" => Ok(leader()),
        "init" => Ok(Reply::bare(200, json!({ "initialized": true }))),
        _ => Err(not_found()),
    }
}

/// 200 where values can be served. Every node serves: none is a standby. Where the store does not
/// serve, the status is the one of a sealed server, since load balancers know it.
async fn health(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let code = |name: &str, usual: u16| {
        let given = asked.query.number(name, 200..=599);
        given.map(|given| {
            given
                .and_then(|code| u16::try_from(code).ok())
                .unwrap_or(usual)
        })
    };
    let (active, sealed) = (code("activecode", 200)?, code("sealedcode", 503)?);
    let status = match app.store_trouble().await {
        None => active,
        Some(_) => sealed,
    };
    let body = json!({
        "initialized": true,
        "sealed": false,
        "standby": false,
        "performance_standby": false,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": app.vault.now().as_secs(),
        "version": VERSION,
        "cluster_name": CLUSTER,
        "cluster_id": CLUSTER,
    });
    Ok(Reply::bare(status, body))
}

fn seal_status() -> Reply {
    let body = json!({
        "type": "shamir",
        "initialized": true,
        "sealed": false,
        "t": 1,
        "n": 1,
        "progress": 0,
        "nonce": "",
        "version": VERSION,
        "build_date": "",
        "migration": false,
        "cluster_name": CLUSTER,
        "cluster_id": CLUSTER,
        "recovery_seal": false,
        "storage_type": "scaivault",
    });
    Reply::bare(200, body)
}

fn leader() -> Reply {
    let body = json!({
        "ha_enabled": false,
        "is_self": false,
        "leader_address": "",
        "leader_cluster_address": "",
        "performance_standby": false,
        "performance_standby_last_remote_wal": 0,
    });
    Reply::bare(200, body)
}
