//! `/v1/audit/…`

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use scaivault_api::ErrorCode;
use scaivault_api::audit as wire;
use scaivault_core::audit::{Action, AuditFilter, StoredAuditRow};
use scaivault_core::audit_anchor::RemovedRows;
use scaivault_core::ports::AuditSummary;
use scaivault_core::time::Timestamp;
use scaivault_engine::Caller;

use crate::app::{App, Shared};
use crate::body::json_response;
use crate::call::Call;
use crate::cursor::{self, Cursors};
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::{Query, SHORT_CHARS_MAX};
use crate::rate_limit::Category;

const LIST: &str = "audit";
const TRAIL_SUMMARY: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/audit/logs", get(logs))
        .route("/v1/audit/secrets/{*path}", get(of_secret))
        .route("/v1/audit/identities/{identity_id}", get(of_identity))
        .route("/v1/audit/summary", get(summary))
        .route("/v1/audit/verify", get(verify))
}

async fn logs(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Audit).await?;
    let query = Query::parse(uri.query())?;
    let filter = filter(&query)?;
    let (logs, cursor) = rows(&app, &caller, &query, filter).await?;
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::AuditLogs {
            logs,
            cursor,
            has_more,
        },
    ))
}

async fn of_secret(
    State(app): State<Shared>,
    Path(path): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Audit).await?;
    let query = Query::parse(uri.query())?;
    let filter = AuditFilter {
        path: Some(fields::path(&path)?),
        ..filter(&query)?
    };
    trail(&app, &caller, &query, filter).await
}

async fn of_identity(
    State(app): State<Shared>,
    Path(identity_id): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Audit).await?;
    if identity_id.chars().count() > SHORT_CHARS_MAX {
        let text = format!("an identity has at most {SHORT_CHARS_MAX} characters");
        return Err(Problem::new(ErrorCode::InvalidRequest, text));
    }
    let query = Query::parse(uri.query())?;
    let filter = AuditFilter {
        identity_id: Some(identity_id),
        ..filter(&query)?
    };
    trail(&app, &caller, &query, filter).await
}

async fn trail(
    app: &App,
    caller: &Caller,
    query: &Query,
    filter: AuditFilter,
) -> Result<Response, Problem> {
    let now = app.vault.now();
    let recent = AuditFilter {
        from: Some(now.minus(TRAIL_SUMMARY)),
        to: None,
        ..filter.clone()
    };
    let counts = app.vault.audit_counts(caller, recent.clone()).await?;
    let (logs, cursor) = rows(app, caller, query, filter).await?;
    let has_more = cursor.is_some();
    let summary = summary_view(counts, recent.from, Some(now));
    Ok(json_response(
        StatusCode::OK,
        &wire::AuditTrail {
            logs,
            summary,
            cursor,
            has_more,
        },
    ))
}

async fn summary(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Audit).await?;
    let query = Query::parse(uri.query())?;
    let filter = filter(&query)?;
    let (from, to) = (filter.from, filter.to);
    let counts = app.vault.audit_counts(&caller, filter).await?;
    Ok(json_response(
        StatusCode::OK,
        &summary_view(counts, from, to),
    ))
}

async fn verify(State(app): State<Shared>, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Audit).await?;
    let report = app.vault.audit_verify(&caller).await?;
    let view = wire::AuditVerify {
        valid: report.first_bad.is_none(),
        rows: report.rows,
        head: report.head,
        first_bad: report.first_bad.map(|bad| wire::BadRow {
            id: bad.id,
            reason: bad.reason,
        }),
        removed: report.removed.into_iter().map(removed_view).collect(),
    };
    Ok(json_response(StatusCode::OK, &view))
}

fn removed_view(removed: RemovedRows) -> wire::RemovedRows {
    wire::RemovedRows {
        last_id: removed.last_id,
        rows: removed.rows,
        removed_at: removed.at.to_rfc3339_micros(),
        head: removed.head,
    }
}

async fn rows(
    app: &App,
    caller: &Caller,
    query: &Query,
    filter: AuditFilter,
) -> Result<(Vec<wire::AuditRow>, Option<String>), Problem> {
    let limit = query.limit()?;
    let cursors = Cursors::of(app, caller, LIST);
    let below = cursors
        .after(query)?
        .map(|place| place.parse().map_err(|_| cursor::invalid()))
        .transpose()?;
    let page = app.vault.audit_logs(caller, filter, below, limit).await?;
    let next = page.next.map(|place| cursors.at(&place.to_string()));
    let rows = page.rows.into_iter().map(row_view).collect();
    Ok((rows, next.transpose()?))
}

fn filter(query: &Query) -> Result<AuditFilter, Problem> {
    let action = |word: &str| {
        Action::parse(word).ok_or_else(|| {
            Problem::new(
                ErrorCode::InvalidRequest,
                "query parameter 'action' has an unknown action",
            )
        })
    };
    Ok(AuditFilter {
        tenant: None,
        from: query.time("from")?,
        to: query.time("to")?,
        actions: match query.text("action") {
            None => Vec::new(),
            Some(words) => words.split(',').map(action).collect::<Result<_, _>>()?,
        },
        identity_id: query.short("identity_id")?,
        identity_type: match query.text("identity_type") {
            None => None,
            Some(kind @ ("user" | "service_account" | "group" | "system")) => Some(kind.to_owned()),
            Some(_) => {
                return Err(Problem::new(
                    ErrorCode::InvalidRequest,
                    "query parameter 'identity_type' is user, service_account, group or system",
                ));
            }
        },
        path: None,
        path_prefix: query
            .text("path_prefix")
            .map(fields::path_prefix)
            .transpose()?,
        success: query.flag("success")?,
        source_ip: query.short("source_ip")?,
        request_id: query.short("request_id")?,
    })
}

fn row_view(stored: StoredAuditRow) -> wire::AuditRow {
    let row = stored.row;
    wire::AuditRow {
        id: stored.id,
        timestamp: row.timestamp.to_rfc3339_micros(),
        action: row.action.as_str().to_owned(),
        identity_type: row.identity_type.into_owned(),
        identity_id: row.identity_id,
        secret_path: row.secret_path.map(|path| path.as_str().to_owned()),
        source_ip: row.source_ip,
        user_agent: row.user_agent,
        success: row.success,
        duration_ms: row.duration_ms,
        request_id: row.request_id.map(|id| id.as_str().to_owned()),
        extra_data: serde_json::to_value(&row.extra_data).unwrap_or_default(),
    }
}

fn summary_view(
    counts: AuditSummary,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> wire::AuditSummary {
    wire::AuditSummary {
        from: from.map(Timestamp::to_rfc3339_micros),
        to: to.map(Timestamp::to_rfc3339_micros),
        total_events: counts.total,
        successful_events: counts.succeeded,
        failed_events: counts.total - counts.succeeded,
        by_action: counts.by_action,
        by_identity: counts.by_identity,
        first_event_at: counts.first_at.map(Timestamp::to_rfc3339_micros),
        last_event_at: counts.last_at.map(Timestamp::to_rfc3339_micros),
    }
}

fn filtered(operation: Operation) -> Operation {
    operation
        .query("from", "string", "From this time on (RFC 3339)")
        .query("to", "string", "Before this time")
        .query("action", "string", "Any of these actions, comma-separated")
        .query("identity_id", "string", "Typed name")
        .query(
            "identity_type",
            "string",
            "user, service_account, group or system",
        )
        .query("path_prefix", "string", "Text prefix of the path")
        .query("success", "boolean", "Whether it was allowed and done")
        .query("source_ip", "string", "Client address")
        .query("request_id", "string", "One request")
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Audit";
    vec![
        filtered(Operation::get(
            "/v1/audit/logs",
            "listAuditLogs",
            tag,
            "Rows, newest first",
        ))
        .scope("audit:read")
        .paged()
        .answers::<wire::AuditLogs>(200)
        .fails(&["invalid_cursor", "invalid_path"]),
        filtered(Operation::get(
            "/v1/audit/secrets/{path}",
            "auditOfSecret",
            tag,
            "One secret's trail and its last 30 days in figures",
        ))
        .scope("audit:read")
        .paged()
        .answers::<wire::AuditTrail>(200)
        .fails(&["invalid_cursor", "invalid_path"]),
        filtered(Operation::get(
            "/v1/audit/identities/{identity_id}",
            "auditOfIdentity",
            tag,
            "One identity's trail and its last 30 days in figures",
        ))
        .scope("audit:read")
        .paged()
        .answers::<wire::AuditTrail>(200)
        .fails(&["invalid_cursor"]),
        filtered(Operation::get(
            "/v1/audit/summary",
            "auditSummary",
            tag,
            "Figures over a time",
        ))
        .scope("audit:read")
        .answers::<wire::AuditSummary>(200),
        Operation::get(
            "/v1/audit/verify",
            "verifyAudit",
            tag,
            "Walk the whole chain and name the first bad row",
        )
        .scope("audit:read")
        .answers::<wire::AuditVerify>(200),
    ]
}
