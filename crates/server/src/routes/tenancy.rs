//! `/v1/identity/partners…` and `/v1/identity/tenants…`

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use scaivault_api::tenancy as wire;
use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::tenancy::{Partner, Status, Tenant};
use scaivault_engine::{PartnerChange, PartnerDraft, TenantChange, TenantDraft, TenantQuery};

use super::id_in_path;
use crate::app::Shared;
use crate::body::{json_response, read};
use crate::call::Call;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::{LIMIT_DEFAULT, LIMIT_MAX, Query};
use crate::rate_limit::Category;

const PARTNERS: &str = "/v1/identity/partners";
const PARTNER: &str = "/v1/identity/partners/{id}";
const TENANTS: &str = "/v1/identity/tenants";
const TENANT: &str = "/v1/identity/tenants/{id}";
/// Pages beyond are empty.
pub(crate) const PAGE_MAX: u64 = 1_000_000;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(PARTNERS, get(partners).post(partner_create))
        .route(PARTNER, get(partner).patch(partner_change))
        .route(TENANTS, get(tenants).post(tenant_create))
        .route(TENANT, get(tenant).patch(tenant_change))
}

/// Which page, and how many rows stand before it.
struct Page {
    number: u64,
    size: usize,
}

impl Page {
    fn of(query: &Query) -> Result<Self, Problem> {
        let size = query.number("page_size", 1..=LIMIT_MAX as u64)?;
        Ok(Self {
            number: query.number("page", 1..=PAGE_MAX)?.unwrap_or(1),
            size: size
                .and_then(|size| usize::try_from(size).ok())
                .unwrap_or(LIMIT_DEFAULT),
        })
    }

    fn skip(&self) -> usize {
        let before = usize::try_from(self.number - 1).unwrap_or(usize::MAX);
        before.saturating_mul(self.size)
    }
}

fn status(text: &str) -> Result<Status, Problem> {
    Status::parse(text).ok_or_else(|| Problem::field("status", "is ACTIVE or SUSPENDED"))
}

async fn partners(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::IdentityRead).await?;
    let query = Query::parse(uri.query())?;
    let page = Page::of(&query)?;
    let status = query.text("status").map(status).transpose()?;
    let (rows, total) = app
        .vault
        .partner_list(&caller, status, page.skip(), page.size)
        .await?;
    let list = wire::PartnerList {
        partners: rows.iter().map(partner_view).collect(),
        total,
        page: page.number,
        page_size: page.size as u64,
    };
    Ok(json_response(StatusCode::OK, &list))
}

async fn partner_create(
    State(app): State<Shared>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::IdentityRead).await?;
    let body: wire::PartnerBody = read(&app, body).await?;
    let id = body.id.map(|text| {
        PartnerId::parse(&text).map_err(|_| Problem::field("id", "is an id of the form ptn_…"))
    });
    let draft = PartnerDraft {
        id: id.transpose()?,
        name: fields::name(&body.name, "name")?,
        slug: body.slug,
        region: region(body.region)?,
    };
    let made = app.vault.partner_create(&caller, draft).await?;
    Ok(json_response(StatusCode::CREATED, &partner_view(&made)))
}

async fn partner(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::IdentityRead).await?;
    let id = id_in_path!(PartnerId, id, PartnerNotFound)?;
    let found = app.vault.partner_details(&caller, &id).await?;
    Ok(json_response(StatusCode::OK, &partner_view(&found)))
}

async fn partner_change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::IdentityRead).await?;
    let id = id_in_path!(PartnerId, id, PartnerNotFound)?;
    let (name, region, status) = patch(read(&app, body).await?)?;
    let change = PartnerChange {
        name,
        region,
        status,
    };
    let changed = app.vault.partner_change(&caller, &id, &change).await?;
    Ok(json_response(StatusCode::OK, &partner_view(&changed)))
}

async fn tenants(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::IdentityRead).await?;
    let query = Query::parse(uri.query())?;
    let page = Page::of(&query)?;
    let asked = TenantQuery {
        partner: query.text("partner_id").map(partner_id).transpose()?,
        status: query.text("status").map(status).transpose()?,
    };
    let (rows, total) = app
        .vault
        .tenant_list(&caller, asked, page.skip(), page.size)
        .await?;
    let list = wire::TenantList {
        tenants: rows.iter().map(tenant_view).collect(),
        total,
        page: page.number,
        page_size: page.size as u64,
    };
    Ok(json_response(StatusCode::OK, &list))
}

async fn tenant_create(
    State(app): State<Shared>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::IdentityRead).await?;
    let body: wire::TenantBody = read(&app, body).await?;
    let id = body.id.map(|text| {
        TenantId::parse(&text).map_err(|_| Problem::field("id", "is an id of the form tnt_…"))
    });
    let draft = TenantDraft {
        id: id.transpose()?,
        partner: body.partner_id.as_deref().map(partner_id).transpose()?,
        name: fields::name(&body.name, "name")?,
        slug: body.slug,
        region: region(body.region)?,
    };
    let made = app.vault.tenant_create(&caller, draft).await?;
    Ok(json_response(StatusCode::CREATED, &tenant_view(&made)))
}

async fn tenant(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::IdentityRead).await?;
    let id = id_in_path!(TenantId, id, TenantNotFound)?;
    let found = app.vault.tenant_details(&caller, &id).await?;
    Ok(json_response(StatusCode::OK, &tenant_view(&found)))
}

async fn tenant_change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::IdentityRead).await?;
    let id = id_in_path!(TenantId, id, TenantNotFound)?;
    let (name, region, status) = patch(read(&app, body).await?)?;
    let change = TenantChange {
        name,
        region,
        status,
    };
    let changed = app.vault.tenant_change(&caller, &id, &change).await?;
    Ok(json_response(StatusCode::OK, &tenant_view(&changed)))
}

type Patch = (Option<String>, Option<Option<String>>, Option<Status>);

fn patch(body: wire::TenancyPatch) -> Result<Patch, Problem> {
    let name = body.name.map(|name| fields::name(&name, "name"));
    let region = body.region.map(region);
    let status = body.status.as_deref().map(status);
    Ok((name.transpose()?, region.transpose()?, status.transpose()?))
}

fn partner_id(text: &str) -> Result<PartnerId, Problem> {
    PartnerId::parse(text).map_err(|_| Problem::field("partner_id", "is an id of the form ptn_…"))
}

fn region(text: Option<String>) -> Result<Option<String>, Problem> {
    text.map(|text| fields::name(&text, "region")).transpose()
}

fn partner_view(row: &Partner) -> wire::Partner {
    wire::Partner {
        id: row.id.as_str().to_owned(),
        name: row.name.clone(),
        slug: row.slug.clone(),
        region: row.region.clone(),
        status: row.status.as_str().to_owned(),
        created_at: row.created_at.to_rfc3339(),
        updated_at: row.updated_at.to_rfc3339(),
        last_synced_at: row.updated_at.to_rfc3339(),
    }
}

fn tenant_view(row: &Tenant) -> wire::Tenant {
    wire::Tenant {
        id: row.id.as_str().to_owned(),
        partner_id: row.partner.as_str().to_owned(),
        name: row.name.clone(),
        slug: row.slug.clone(),
        region: row.region.clone(),
        status: row.status().as_str().to_owned(),
        created_at: row.created_at.to_rfc3339(),
        updated_at: row.updated_at.to_rfc3339(),
        last_synced_at: row.updated_at.to_rfc3339(),
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Identity";
    let paged = |operation: Operation| {
        operation
            .query("status", "string", "ACTIVE or SUSPENDED")
            .query("page", "integer", "Which page, from 1 (1)")
            .query("page_size", "integer", "Rows of a page, 1 to 1000 (100)")
    };
    vec![
        paged(Operation::get(
            PARTNERS,
            "listPartners",
            tag,
            "Partners the caller may see",
        ))
        .scope("identity:read")
        .answers::<wire::PartnerList>(200)
        .fails(&["validation_error"]),
        Operation::post(PARTNERS, "createPartner", tag, "Make a partner")
            .scope("identity:admin")
            .takes::<wire::PartnerBody>()
            .answers::<wire::Partner>(201)
            .fails(&["validation_error", "forbidden", "name_exists"]),
        Operation::get(PARTNER, "getPartner", tag, "One partner")
            .scope("identity:read")
            .answers::<wire::Partner>(200)
            .fails(&["partner_not_found"]),
        Operation::patch(
            PARTNER,
            "updatePartner",
            tag,
            "Change, suspend or activate a partner",
        )
        .scope("identity:admin")
        .takes::<wire::TenancyPatch>()
        .answers::<wire::Partner>(200)
        .fails(&["validation_error", "forbidden", "partner_not_found"]),
        paged(Operation::get(
            TENANTS,
            "listTenants",
            tag,
            "Tenants the caller may see",
        ))
        .query("partner_id", "string", "Only of this partner")
        .scope("identity:read")
        .answers::<wire::TenantList>(200)
        .fails(&["validation_error"]),
        Operation::post(TENANTS, "createTenant", tag, "Make a tenant")
            .scope("identity:admin")
            .takes::<wire::TenantBody>()
            .answers::<wire::Tenant>(201)
            .fails(&[
                "validation_error",
                "forbidden",
                "partner_not_found",
                "name_exists",
            ]),
        Operation::get(TENANT, "getTenant", tag, "One tenant")
            .scope("identity:read")
            .answers::<wire::Tenant>(200)
            .fails(&["tenant_not_found"]),
        Operation::patch(
            TENANT,
            "updateTenant",
            tag,
            "Change, suspend or activate a tenant",
        )
        .scope("identity:admin")
        .takes::<wire::TenancyPatch>()
        .answers::<wire::Tenant>(200)
        .fails(&["validation_error", "forbidden", "tenant_not_found"]),
    ]
}
