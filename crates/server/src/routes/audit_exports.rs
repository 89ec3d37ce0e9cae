//! `/v1/audit/exports…`: the trail written to a place that the operator configured.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use scaivault_api::audit as wire;
use scaivault_core::audit::Action;
use scaivault_core::audit_export::{AuditExport, ExportFormat, ExportState};
use scaivault_core::ids::ExportId;
use scaivault_core::time::Timestamp;
use scaivault_engine::ExportDraft;

use super::id_in_path;
use crate::app::{App, Shared};
use crate::body::{json_response, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::exports;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const EXPORTS: &str = "audit_exports";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/audit/exports", get(list).post(create))
        .route("/v1/audit/exports/{id}", get(show).delete(cancel))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::AuditExport).await?;
    let body: wire::AuditExportBody = read(&app, body).await?;
    let draft = draft(body, exports::word(&app.settings.audit))?;
    if app.settings.audit.export_directory.is_none() {
        let why = "none is configured at this server: its operator sets audit.export_directory";
        return Err(Problem::field("destination", why));
    }
    let export = app.vault.export_create(&caller, draft).await?;
    Ok(json_response(StatusCode::CREATED, &view(&app, export)))
}

fn draft(body: wire::AuditExportBody, destination: &str) -> Result<ExportDraft, Problem> {
    if body.destination.is_some_and(|word| word != destination) {
        let why = format!("is {destination}: the one that the operator configured");
        return Err(Problem::field("destination", why));
    }
    let time = |text: Option<String>, field: &str| match text {
        None => Ok(None),
        Some(text) => Timestamp::parse_rfc3339(&text)
            .map(Some)
            .ok_or_else(|| Problem::field(field, "is a moment such as 2026-04-23T14:00:00Z")),
    };
    let (from, to) = (time(body.from, "from")?, time(body.to, "to")?);
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::field("to", "is later than from"));
    }
    let words = body.actions.unwrap_or_default();
    if words.len() > Action::ALL.len() {
        return Err(Problem::field("actions", "names each action once"));
    }
    let action = |word: &String| {
        Action::parse(word).ok_or_else(|| Problem::field("actions", "has an unknown action"))
    };
    let format = body.format.as_deref().unwrap_or("jsonl");
    Ok(ExportDraft {
        from,
        to,
        actions: words.iter().map(action).collect::<Result<_, _>>()?,
        format: ExportFormat::parse(format)
            .ok_or_else(|| Problem::field("format", "is jsonl or csv"))?,
        all_tenants: body.all_tenants.unwrap_or(false),
    })
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Audit).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, EXPORTS);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    // One more than asked for tells whether there are more.
    let found = app
        .vault
        .export_list(&caller, after.as_deref(), limit.saturating_add(1));
    let mut rows = found.await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more);
    let cursor = last.map(|row| cursors.at(row.id.as_str())).transpose()?;
    Ok(json_response(
        StatusCode::OK,
        &wire::AuditExportList {
            exports: rows.into_iter().map(|row| view(&app, row)).collect(),
            cursor,
            has_more,
        },
    ))
}

async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Audit).await?;
    let id = id_in_path!(ExportId, id, ExportNotFound)?;
    let export = app.vault.export_find(&caller, &id).await?;
    Ok(json_response(StatusCode::OK, &view(&app, export)))
}

async fn cancel(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::AuditExport).await?;
    let id = id_in_path!(ExportId, id, ExportNotFound)?;
    let sink = app.settings.export_sink.as_deref();
    let export = app.vault.export_cancel(&caller, &id, sink).await?;
    Ok(json_response(StatusCode::OK, &view(&app, export)))
}

fn view(app: &App, export: AuditExport) -> wire::AuditExport {
    // Places are those of all chains together.
    let all: u64 = export.heads.iter().map(|head| head.last_seq).sum();
    let left = export.below.saturating_sub(1).min(all);
    let progress = match export.state {
        ExportState::Completed => 100,
        _ => ((all - left) * 100).checked_div(all).unwrap_or(0).min(99),
    };
    wire::AuditExport {
        status: export.state.as_str().to_owned(),
        format: export.format.as_str().to_owned(),
        destination: exports::word(&app.settings.audit).to_owned(),
        from: export.from.map(Timestamp::to_rfc3339_micros),
        to: export.to.map(Timestamp::to_rfc3339_micros),
        actions: export
            .actions
            .iter()
            .map(|action| action.as_str().to_owned())
            .collect(),
        all_tenants: export.all_tenants,
        created_at: export.created_at.to_rfc3339_micros(),
        ended_at: export
            .ended_at
            .filter(|_| export.state != ExportState::Running)
            .map(Timestamp::to_rfc3339_micros),
        rows: export.rows(),
        bytes: export.bytes(),
        progress,
        files: export
            .parts
            .into_iter()
            .map(|part| wire::AuditExportFile {
                name: part.name,
                rows: part.rows,
                bytes: part.bytes,
                sha256: part.sha256,
            })
            .collect(),
        chains: export
            .heads
            .into_iter()
            .map(|head| wire::AuditExportHead {
                chain: head.chain,
                last_seq: head.last_seq,
                head: head.head,
            })
            .collect(),
        error: export.error,
        requested_by: export.requested_by,
        id: export.id.as_str().to_owned(),
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Audit";
    let (all, one) = ("/v1/audit/exports", "/v1/audit/exports/{id}");
    vec![
        Operation::post(
            all,
            "createAuditExport",
            tag,
            "Write the rows there are now to the place that the operator configured",
        )
        .scope("audit:export")
        .takes::<wire::AuditExportBody>()
        .answers::<wire::AuditExport>(201)
        .fails(&["forbidden"]),
        Operation::get(all, "listAuditExports", tag, "Exports, newest first")
            .scope("audit:export")
            .paged()
            .answers::<wire::AuditExportList>(200)
            .fails(&["invalid_cursor"]),
        Operation::get(one, "readAuditExport", tag, "One export and how far it is")
            .scope("audit:export")
            .answers::<wire::AuditExport>(200)
            .fails(&["export_not_found"]),
        Operation::delete(
            one,
            "cancelAuditExport",
            tag,
            "End an export that runs, and remove the files of any",
        )
        .scope("audit:export")
        .answers::<wire::AuditExport>(200)
        .fails(&["export_not_found"]),
    ]
}
