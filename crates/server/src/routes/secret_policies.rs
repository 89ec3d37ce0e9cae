//! `/v1/secret-policies…`: recipes for values, and samples of what they make.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use scaivault_api::secret_policy as wire;
use scaivault_core::ids::SecretPolicyId;
use scaivault_core::recipe::{PolicyType, RawField, RecipeField, SecretPolicy};
use scaivault_engine::{Preview, PreviewField, SecretPolicyChange, SecretPolicyDraft};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::app::Shared;
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const ROOT: &str = "/v1/secret-policies";
const ONE: &str = "/v1/secret-policies/{id}";
const PREVIEW: &str = "/v1/secret-policies/{id}/preview";
const TRY: &str = "/v1/secret-policies/preview";
const LIST: &str = "secret_policies";
/// A recipe's name that would be no recipe's URL.
const NAME_OF_ROUTE: &str = "preview";

const NOTICE: &str = "a sample: it is stored nowhere; do not use it as a credential";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(ROOT, get(list).post(create))
        .route(TRY, post(try_out))
        .route(ONE, get(show).put(replace).patch(change).delete(remove))
        .route(PREVIEW, post(preview))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, LIST);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let active_only = query.flag("active_only")?.unwrap_or(false);
    let rows = app
        .vault
        .secret_policy_list(&caller, active_only, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |row| row.id.as_str())?;
    let has_more = cursor.is_some();
    let secret_policies = rows.iter().map(view).collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::SecretPolicyList {
            secret_policies,
            cursor,
            has_more,
        },
    ))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::SecretPolicyBody = read(&app, body).await?;
    let draft = SecretPolicyDraft {
        name: name(&body.name)?,
        description: fields::free_text(body.description, "description")?,
        policy_type: policy_type(body.policy_type.as_deref())?.unwrap_or_default(),
        fields: raw(body.fields),
        is_active: body.is_active.unwrap_or(true),
    };
    let policy = app.vault.secret_policy_create(&caller, draft).await?;
    Ok(json_response(StatusCode::CREATED, &view(&policy)))
}

async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let policy = app.vault.secret_policy_show(&caller, &id).await?;
    Ok(json_response(StatusCode::OK, &view(&policy)))
}

async fn replace(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::SecretPolicyBody = read(&app, body).await?;
    let change = SecretPolicyChange {
        name: Some(name(&body.name)?),
        description: Some(fields::free_text(body.description, "description")?),
        policy_type: Some(policy_type(body.policy_type.as_deref())?.unwrap_or_default()),
        fields: Some(raw(body.fields)),
        is_active: Some(body.is_active.unwrap_or(true)),
    };
    let policy = app.vault.secret_policy_change(&caller, &id, change).await?;
    Ok(json_response(StatusCode::OK, &view(&policy)))
}

async fn change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::SecretPolicyPatch = read(&app, body).await?;
    let description = body
        .description
        .map(|text| fields::free_text(text, "description"));
    let change = SecretPolicyChange {
        name: body.name.as_deref().map(name).transpose()?,
        description: description.transpose()?,
        policy_type: policy_type(body.policy_type.as_deref())?,
        fields: body.fields.map(raw),
        is_active: body.is_active,
    };
    let policy = app.vault.secret_policy_change(&caller, &id, change).await?;
    Ok(json_response(StatusCode::OK, &view(&policy)))
}

async fn remove(
    State(app): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let force = Query::parse(uri.query())?.flag("force")?.unwrap_or(false);
    app.vault.secret_policy_delete(&caller, &id, force).await?;
    Ok(no_content())
}

async fn preview(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let preview = app.vault.secret_policy_preview(&caller, &id).await?;
    Ok(json_response(StatusCode::OK, &Sample::of(&preview)))
}

async fn try_out(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Rotation).await?;
    let body: wire::SecretPolicyTry = read(&app, body).await?;
    let preview = app
        .vault
        .secret_policy_try(&caller, &raw(body.fields))
        .await?;
    Ok(json_response(StatusCode::OK, &Sample::of(&preview)))
}

fn name(text: &str) -> Result<String, Problem> {
    if text == NAME_OF_ROUTE {
        return Err(Problem::field(
            "name",
            "is not preview: that is an operation",
        ));
    }
    fields::name(text, "name")
}

fn policy_type(word: Option<&str>) -> Result<Option<PolicyType>, Problem> {
    word.map(|word| {
        PolicyType::parse(word).ok_or_else(|| {
            let known = PolicyType::ALL.map(PolicyType::as_str).join(", ");
            Problem::field("policy_type", format!("is one of: {known}"))
        })
    })
    .transpose()
}

fn raw(fields: Vec<wire::RecipeField>) -> Vec<RawField> {
    let raw = fields.into_iter().map(|field| RawField {
        name: field.name,
        generator: field.generator,
        config: field.config,
    });
    raw.collect()
}

/// A secret policy's id in a body, of a recipe that rotations or writes refer to.
pub(super) fn recipe_id(text: &str) -> Result<SecretPolicyId, Problem> {
    super::id_in_path!(SecretPolicyId, text, SecretPolicyNotFound)
}

/// Rounded down to a tenth: rather too little is promised than too much.
fn bits(field: &RecipeField) -> f64 {
    (field.generator.bits() * 10.0).floor() / 10.0
}

fn view(policy: &SecretPolicy) -> wire::SecretPolicy {
    let entropy_bits = policy.fields.iter();
    wire::SecretPolicy {
        id: policy.id.as_str().to_owned(),
        name: policy.name.clone(),
        description: policy.description.clone(),
        policy_type: policy.policy_type.as_str().to_owned(),
        fields: policy.fields.iter().map(field_view).collect(),
        keys: policy.keys(),
        entropy_bits: entropy_bits
            .map(|field| (field.name.clone(), bits(field)))
            .collect(),
        is_active: policy.is_active,
        created_at: policy.created_at.to_rfc3339(),
        updated_at: policy.updated_at.to_rfc3339(),
    }
}

fn field_view(field: &RecipeField) -> wire::RecipeField {
    let config = match serde_json::to_value(&field.generator) {
        Ok(Value::Object(mut generator)) => generator.remove("config"),
        _ => None,
    };
    wire::RecipeField {
        name: field.name.clone(),
        generator: field.generator.as_str().to_owned(),
        config: match config {
            Some(Value::Object(config)) => config,
            _ => serde_json::Map::new(),
        },
    }
}

/// [`wire::SecretPolicyPreview`], written around the values where they are.
#[derive(serde::Serialize)]
struct Sample<'a> {
    secret_policy_id: Option<&'a str>,
    notice: &'static str,
    data: Data<'a>,
    entropy_bits: BTreeMap<&'a str, f64>,
}

struct Data<'a>(&'a [PreviewField]);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter().flat_map(|field| &field.made) {
            let text = std::str::from_utf8(value.expose()).map_err(serde::ser::Error::custom)?;
            map.serialize_entry(key, text)?;
        }
        map.end()
    }
}

impl<'a> Sample<'a> {
    fn of(preview: &'a Preview) -> Self {
        let fields = preview.fields.iter().map(|part| &part.field);
        Self {
            secret_policy_id: preview.id.as_ref().map(SecretPolicyId::as_str),
            notice: NOTICE,
            data: Data(&preview.fields),
            entropy_bits: fields
                .map(|field| (field.name.as_str(), bits(field)))
                .collect(),
        }
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Generation policies";
    vec![
        Operation::get(ROOT, "listSecretPolicies", tag, "Recipes for values")
            .scope("secrets:write")
            .query("active_only", "boolean", "Only active ones")
            .paged()
            .answers::<wire::SecretPolicyList>(200)
            .fails(&["invalid_cursor"]),
        Operation::post(ROOT, "createSecretPolicy", tag, "Create a recipe")
            .scope("admin")
            .takes::<wire::SecretPolicyBody>()
            .answers::<wire::SecretPolicy>(201)
            .fails(&["validation_error", "name_exists"]),
        Operation::post(
            TRY,
            "trySecretPolicy",
            tag,
            "A sample of what a recipe would make, without storing either",
        )
        .scope("secrets:write")
        .takes::<wire::SecretPolicyTry>()
        .answers::<wire::SecretPolicyPreview>(200)
        .fails(&["validation_error"]),
        Operation::get(ONE, "readSecretPolicy", tag, "One recipe, by id or name")
            .scope("secrets:write")
            .answers::<wire::SecretPolicy>(200)
            .fails(&["secret_policy_not_found"]),
        Operation::put(ONE, "replaceSecretPolicy", tag, "Replace a recipe")
            .scope("admin")
            .takes::<wire::SecretPolicyBody>()
            .answers::<wire::SecretPolicy>(200)
            .fails(&["secret_policy_not_found", "validation_error", "name_exists"]),
        Operation::patch(ONE, "updateSecretPolicy", tag, "Change only given fields")
            .scope("admin")
            .takes::<wire::SecretPolicyPatch>()
            .answers::<wire::SecretPolicy>(200)
            .fails(&["secret_policy_not_found", "validation_error", "name_exists"]),
        Operation::delete(ONE, "deleteSecretPolicy", tag, "Delete a recipe")
            .scope("admin")
            .query("force", "boolean", "Also one that is referred to")
            .empty(204)
            .fails(&["secret_policy_not_found", "policy_in_use"]),
        Operation::post(
            PREVIEW,
            "previewSecretPolicy",
            tag,
            "A sample of what a recipe makes; never stored",
        )
        .scope("secrets:write")
        .answers::<wire::SecretPolicyPreview>(200)
        .fails(&["secret_policy_not_found"]),
    ]
}
