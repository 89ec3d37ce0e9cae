//! What else of `sys/` is answered: where the trail is, figures, the own host.

use axum::http::header;
use scaivault_api::ErrorCode;
use scaivault_core::identity::Scope;
use serde_json::json;

use super::reply::{Reply, nothing_there};
use super::request::{Asked, Verb, unsupported};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    match (rest, asked.verb) {
        ("audit", Verb::Read | Verb::List) => audit(app, asked).await,
        ("metrics", Verb::Read) => metrics(app, asked).await,
        ("audit" | "metrics", _) => {
            asked.enter(app, Category::Read).await?;
            Err(unsupported())
        }
        ("remount", _) => {
            let why = "mounts do not move: make one with options.prefix, which shows what is at the other path";
            refused(app, asked, why).await
        }
        _ if rest.starts_with("audit/") => {
            let why =
                "the trail of this server is always on: there is nothing to enable or disable";
            refused(app, asked, why).await
        }
        _ => nothing_there(app, asked).await,
    }
}

async fn refused(app: &App, asked: &Asked, why: &str) -> Result<Reply, Problem> {
    asked.enter(app, Category::Read).await?;
    Err(Problem::new(ErrorCode::InvalidRequest, why))
}

/// The one trail there is: always on, and not to be switched off.
async fn audit(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Audit).await?;
    app.vault.audit_device_seen(&caller).await?;
    Ok(Reply::data(&json!({
        "scaivault/": {
            "description": "the audit trail of this server: GET /v1/audit/logs",
            "local": false,
            "options": { "format": "json" },
            "path": "scaivault/",
            "type": "scaivault",
        },
    }))?
    .doubled())
}

/// The figures of `/v1/metrics`, for those who may see them there.
async fn metrics(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let settings = &app.settings;
    let caller = asked.enter(app, Category::Auth).await?;
    if !settings.metrics_enabled {
        return Err(super::reply::not_found());
    }
    if !caller.principal.scopes.contains(Scope::Admin) || !app.vault.is_operator(&caller) {
        return Err(Problem::new(
            ErrorCode::Forbidden,
            "metrics tell of all tenants: they need the scope admin, and a token of the default tenant",
        ));
    }
    app.refresh_gauges().await;
    let text = app.metrics.render();
    let accept = asked.call.headers.get(header::ACCEPT);
    let accept = accept
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let as_text = asked.query.text("format") == Some("prometheus")
        || accept.contains("openmetrics")
        || accept.contains("prometheus")
        || accept.contains("text/plain");
    match as_text {
        true => Ok(Reply::text(crate::metrics::CONTENT_TYPE, text)),
        false => Ok(Reply::bare(200, figures(&text))),
    }
}

/// The same as JSON: counters and gauges by name, with their labels.
fn figures(text: &str) -> serde_json::Value {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let value: f64 = value.parse().ok()?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}');
        let labels: serde_json::Map<String, serde_json::Value> = labels
            .split("\",")
            .filter_map(|label| label.split_once("=\""))
            .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').into()))
            .collect();
        Some(json!({ "Name": name, "Value": value, "Labels": labels }))
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let all: Vec<serde_json::Value> = lines.filter_map(sample).collect();
    let (counters, gauges): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| {
        let name = one["Name"].as_str().unwrap_or_default();
        ["_total", "_count", "_sum", "_bucket"]
            .iter()
            .any(|end| name.ends_with(end))
    });
    json!({ "Counters": counters, "Gauges": gauges, "Points": [], "Samples": [] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_as_json() {
        let text = "# HELP a x\na_total{method=\"GET\",path=\"b\"} 3\nc 1.5\n# EOF\n";
        let found = figures(text);
        assert_eq!(
            found["Counters"],
            json!([{ "Name": "a_total", "Value": 3.0, "Labels": { "method": "GET", "path": "b" } }])
        );
        assert_eq!(found["Gauges"][0]["Name"], "c");
    }
}
