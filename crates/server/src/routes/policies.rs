//! `/v1/policies…`

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use scaivault_api::ErrorCode;
use scaivault_api::policy as wire;
use scaivault_core::access::{AccessPolicy, Binding, Conditions, Permission, PolicyScope, Rule};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{BindingId, PolicyId};
use scaivault_core::time::Timestamp;
use scaivault_engine::{BindingDraft, PolicyDraft, PolicyTestOutcome, PolicyTestQuery};
use serde::Deserialize as _;

use super::id_in_path;
use crate::app::Shared;
use crate::body::{json_response, no_content, read};
use crate::call::Call;
use crate::cursor::Cursors;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;
use crate::strict::Strict;

const LIST: &str = "policies";
pub(crate) const RULES_MAX: usize = 200;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/policies", get(list).post(create))
        .route("/v1/policies/test", post(test))
        .route(
            "/v1/policies/{id}",
            get(show).put(replace).patch(change).delete(remove),
        )
        .route("/v1/policies/{id}/bindings", get(bindings).post(bind))
        .route("/v1/policies/{id}/bindings/{binding_id}", delete(unbind))
}

async fn list(State(app): State<Shared>, uri: Uri, call: Call) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let query = Query::parse(uri.query())?;
    let cursors = Cursors::of(&app, &caller, LIST);
    let (limit, after) = (query.limit()?, cursors.after(&query)?);
    let scope = scope(query.text("scope"))?;
    let inactive = query.flag("include_inactive")?.unwrap_or(false);
    let rows = app
        .vault
        .policy_list(&caller, scope, inactive, after.as_deref(), limit + 1)
        .await?;
    let (rows, cursor) = cursors.page(rows, limit, |(policy, _)| policy.id.as_str())?;
    let policies = rows
        .iter()
        .map(|(policy, bindings)| item_view(policy, *bindings))
        .collect();
    let has_more = cursor.is_some();
    Ok(json_response(
        StatusCode::OK,
        &wire::PolicyList {
            policies,
            cursor,
            has_more,
        },
    ))
}

async fn create(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let draft = draft(read(&app, body).await?)?;
    let policy = app.vault.policy_create(&caller, draft).await?;
    Ok(json_response(
        StatusCode::CREATED,
        &policy_view(&policy, &[]),
    ))
}

async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let id = id_in_path!(PolicyId, id, PolicyNotFound)?;
    let (policy, bindings) = app.vault.policy_details(&caller, &id).await?;
    Ok(json_response(
        StatusCode::OK,
        &policy_view(&policy, &bindings),
    ))
}

async fn replace(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let id = id_in_path!(PolicyId, id, PolicyNotFound)?;
    let draft = draft(read(&app, body).await?)?;
    let (policy, bindings) = app.vault.policy_change(&caller, &id, draft).await?;
    Ok(json_response(
        StatusCode::OK,
        &policy_view(&policy, &bindings),
    ))
}

async fn change(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let id = id_in_path!(PolicyId, id, PolicyNotFound)?;
    let patch: wire::PolicyPatch = read(&app, body).await?;
    let draft = PolicyDraft {
        name: patch
            .name
            .map(|name| fields::name(&name, "name"))
            .transpose()?,
        description: fields::free_text(patch.description, "description")?.map(Some),
        rules: patch.rules.map(rules).transpose()?,
        is_active: patch.is_active,
        scope: None,
    };
    let (policy, bindings) = app.vault.policy_change(&caller, &id, draft).await?;
    Ok(json_response(
        StatusCode::OK,
        &policy_view(&policy, &bindings),
    ))
}

async fn remove(
    State(app): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let id = id_in_path!(PolicyId, id, PolicyNotFound)?;
    let force = Query::parse(uri.query())?.flag("force")?.unwrap_or(false);
    app.vault.policy_delete(&caller, &id, force).await?;
    Ok(no_content())
}

async fn bindings(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let id = id_in_path!(PolicyId, id, PolicyNotFound)?;
    let (_, bindings) = app.vault.policy_details(&caller, &id).await?;
    let bindings = bindings.iter().map(binding_view).collect();
    Ok(json_response(
        StatusCode::OK,
        &wire::BindingList { bindings },
    ))
}

async fn bind(
    State(app): State<Shared>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let id = id_in_path!(PolicyId, id, PolicyNotFound)?;
    let body: wire::BindingBody = read(&app, body).await?;
    let draft = BindingDraft {
        identity: fields::identity(&body.identity_type, &body.identity_id, true)?,
        expires_at: body
            .expires_at
            .map(|text| fields::time(&text, "expires_at"))
            .transpose()?,
    };
    let binding = app.vault.binding_create(&caller, &id, draft).await?;
    Ok(json_response(StatusCode::CREATED, &binding_view(&binding)))
}

async fn unbind(
    State(app): State<Shared>,
    Path((id, binding_id)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::Policy).await?;
    let id = id_in_path!(PolicyId, id, PolicyNotFound)?;
    let binding_id = id_in_path!(BindingId, binding_id, BindingNotFound)?;
    app.vault.binding_delete(&caller, &id, &binding_id).await?;
    Ok(no_content())
}

async fn test(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(&app, Category::PolicyTest).await?;
    let body: wire::PolicyTest = read(&app, body).await?;
    let identity = |text: &str, field: &str| {
        Identity::parse(text).map_err(|error| Problem::field(field, error.to_string()))
    };
    let context = body.context.unwrap_or_default();
    let query = PolicyTestQuery {
        identity: identity(&body.identity_id, "identity_id")?,
        groups: context
            .groups
            .unwrap_or_default()
            .iter()
            .map(|group| identity(group, "context.groups"))
            .collect::<Result<_, _>>()?,
        path: fields::path(&body.path)?,
        permission: permission(&body.permission, "permission")?,
        source_ip: context
            .source_ip
            .map(|text| {
                text.parse()
                    .map_err(|_| Problem::field("context.source_ip", "is an address"))
            })
            .transpose()?,
        mfa_verified: context.mfa_verified.unwrap_or(false),
        at: context
            .timestamp
            .map(|text| fields::time(&text, "context.timestamp"))
            .transpose()?,
    };
    let outcome = app.vault.policy_test(&caller, &query).await?;
    Ok(json_response(StatusCode::OK, &test_view(outcome)))
}

fn draft(body: wire::PolicyBody) -> Result<PolicyDraft, Problem> {
    Ok(PolicyDraft {
        scope: scope(body.scope.as_deref())?,
        name: Some(fields::name(&body.name, "name")?),
        description: Some(fields::free_text(body.description, "description")?),
        rules: Some(rules(body.rules)?),
        is_active: body.is_active,
    })
}

fn scope(word: Option<&str>) -> Result<Option<PolicyScope>, Problem> {
    match word {
        None => Ok(None),
        Some("tenant") => Ok(Some(PolicyScope::Tenant)),
        Some("partner") => Ok(Some(PolicyScope::Partner)),
        Some(_) => Err(Problem::new(
            ErrorCode::InvalidPolicy,
            "scope is 'tenant' or 'partner'",
        )),
    }
}

fn rules(wire: Vec<wire::Rule>) -> Result<Vec<Rule>, Problem> {
    if wire.is_empty() || wire.len() > RULES_MAX {
        let text = format!("a policy has 1 to {RULES_MAX} rules");
        return Err(Problem::new(ErrorCode::InvalidPolicy, text));
    }
    wire.into_iter()
        .enumerate()
        .map(|(index, rule)| one_rule(index, rule))
        .collect()
}

fn one_rule(index: usize, rule: wire::Rule) -> Result<Rule, Problem> {
    let at = |field: &str| format!("rules[{index}].{field}");
    let path_pattern = fields::pattern(&rule.path_pattern, &at("path_pattern"))?;
    if rule.permissions.is_empty() {
        let text = format!("{} has at least one permission", at("permissions"));
        return Err(Problem::new(ErrorCode::InvalidPolicy, text));
    }
    let permissions = rule
        .permissions
        .iter()
        .map(|word| permission(word, &at("permissions")))
        .collect::<Result<_, _>>()
        .map_err(|problem| Problem {
            code: ErrorCode::InvalidPolicy,
            ..problem
        })?;
    let conditions = match rule.conditions {
        None => Conditions::default(),
        Some(value) => Conditions::deserialize(Strict(value)).map_err(|_| {
            let text = format!(
                "{} may hold ip_ranges (CIDR list), require_mfa (bool), mfa_max_age (duration) \
                 and time_window {{days, start, end, timezone}}",
                at("conditions")
            );
            Problem::new(ErrorCode::InvalidPolicy, text)
        })?,
    };
    Ok(Rule {
        path_pattern,
        permissions,
        conditions,
    })
}

fn permission(text: &str, field: &str) -> Result<Permission, Problem> {
    Permission::parse(text).ok_or_else(|| {
        Problem::field(
            field,
            "permissions are read, write, delete, list, rotate, admin",
        )
    })
}

fn scope_word(scope: PolicyScope) -> &'static str {
    match scope {
        PolicyScope::Tenant => "tenant",
        PolicyScope::Partner => "partner",
    }
}

fn policy_view(policy: &AccessPolicy, bindings: &[Binding]) -> wire::Policy {
    wire::Policy {
        id: policy.id.as_str().to_owned(),
        name: policy.name.clone(),
        description: policy.description.clone(),
        rules: policy.rules.iter().map(rule_view).collect(),
        scopes: policy.scopes.map(|all| {
            let words = all.iter().map(|scope| scope.as_str().to_owned());
            words.collect()
        }),
        bindings: bindings.iter().map(binding_view).collect(),
        scope: scope_word(policy.scope).to_owned(),
        is_active: policy.is_active,
        created_at: policy.created_at.to_rfc3339(),
        updated_at: policy.updated_at.to_rfc3339(),
    }
}

fn rule_view(rule: &Rule) -> wire::Rule {
    let conditions = (rule.conditions != Conditions::default())
        .then(|| serde_json::to_value(&rule.conditions).ok())
        .flatten();
    wire::Rule {
        path_pattern: rule.path_pattern.as_str().to_owned(),
        permissions: rule
            .permissions
            .iter()
            .map(|p| p.as_str().to_owned())
            .collect(),
        conditions,
    }
}

fn item_view(policy: &AccessPolicy, bindings: usize) -> wire::PolicyItem {
    wire::PolicyItem {
        id: policy.id.as_str().to_owned(),
        name: policy.name.clone(),
        description: policy.description.clone(),
        rule_count: policy.rules.len() as u64,
        binding_count: bindings as u64,
        scope: scope_word(policy.scope).to_owned(),
        is_active: policy.is_active,
        created_at: policy.created_at.to_rfc3339(),
        updated_at: policy.updated_at.to_rfc3339(),
    }
}

fn binding_view(binding: &Binding) -> wire::Binding {
    wire::Binding {
        id: binding.id.as_str().to_owned(),
        policy_id: binding.policy_id.as_str().to_owned(),
        identity_type: binding.identity.kind().as_str().to_owned(),
        identity_id: binding.identity.as_str().to_owned(),
        expires_at: binding.expires_at.map(Timestamp::to_rfc3339),
        created_at: binding.created_at.to_rfc3339(),
    }
}

fn test_view(outcome: PolicyTestOutcome) -> wire::PolicyTestResult {
    let allowed = outcome.matched.is_some();
    let reason = match (
        allowed,
        outcome.failed_condition,
        outcome.evaluated.is_empty(),
    ) {
        (true, ..) => "a rule allows it".to_owned(),
        (false, Some(condition), _) => {
            format!(
                "a rule matches, but its condition {} does not hold",
                condition.as_str()
            )
        }
        (false, None, true) => "no policy is bound to this identity".to_owned(),
        (false, None, false) => "no rule of the bound policies matches".to_owned(),
    };
    wire::PolicyTestResult {
        allowed,
        reason,
        matched: outcome.matched.map(|matched| wire::MatchedRule {
            policy_id: matched.policy_id.as_str().to_owned(),
            rule_index: matched.rule_index as u64,
        }),
        evaluated: outcome
            .evaluated
            .into_iter()
            .map(|verdict| wire::EvaluatedPolicy {
                policy_id: verdict.policy_id.as_str().to_owned(),
                name: verdict.name,
                result: verdict.result.to_owned(),
            })
            .collect(),
        failed_condition: outcome.failed_condition.map(|c| c.as_str().to_owned()),
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let tag = "Policies";
    vec![
        Operation::get(
            "/v1/policies",
            "listPolicies",
            tag,
            "Policies without rules and bindings",
        )
        .scope("policies:read")
        .query("scope", "string", "tenant or partner; both when absent")
        .query("include_inactive", "boolean", "Inactive ones too")
        .paged()
        .answers::<wire::PolicyList>(200)
        .fails(&["invalid_cursor"]),
        Operation::post("/v1/policies", "createPolicy", tag, "Create a policy")
            .scope("policies:write")
            .takes::<wire::PolicyBody>()
            .answers::<wire::Policy>(201)
            .fails(&[
                "invalid_policy",
                "invalid_glob",
                "validation_error",
                "name_exists",
            ]),
        Operation::post(
            "/v1/policies/test",
            "testPolicy",
            tag,
            "What the decision would be; leaves no audit row",
        )
        .scope("policies:read")
        .takes::<wire::PolicyTest>()
        .answers::<wire::PolicyTestResult>(200)
        .fails(&["invalid_path", "validation_error"]),
        Operation::get(
            "/v1/policies/{id}",
            "readPolicy",
            tag,
            "One policy with rules and bindings",
        )
        .scope("policies:read")
        .answers::<wire::Policy>(200)
        .fails(&["policy_not_found"]),
        Operation::put(
            "/v1/policies/{id}",
            "replacePolicy",
            tag,
            "Replace rules and description; bindings stay",
        )
        .scope("policies:write")
        .takes::<wire::PolicyBody>()
        .answers::<wire::Policy>(200)
        .fails(&[
            "policy_not_found",
            "invalid_policy",
            "invalid_glob",
            "validation_error",
            "name_exists",
        ]),
        Operation::patch(
            "/v1/policies/{id}",
            "updatePolicy",
            tag,
            "Change only given fields",
        )
        .scope("policies:write")
        .takes::<wire::PolicyPatch>()
        .answers::<wire::Policy>(200)
        .fails(&[
            "policy_not_found",
            "invalid_policy",
            "invalid_glob",
            "validation_error",
            "name_exists",
        ]),
        Operation::delete("/v1/policies/{id}", "deletePolicy", tag, "Delete a policy")
            .scope("policies:write")
            .query("force", "boolean", "Its bindings too")
            .empty(204)
            .fails(&["policy_not_found", "policy_in_use"]),
        Operation::get(
            "/v1/policies/{id}/bindings",
            "listBindings",
            tag,
            "Bindings of a policy",
        )
        .scope("policies:read")
        .answers::<wire::BindingList>(200)
        .fails(&["policy_not_found"]),
        Operation::post(
            "/v1/policies/{id}/bindings",
            "createBinding",
            tag,
            "Bind a policy to an identity",
        )
        .scope("policies:write")
        .takes::<wire::BindingBody>()
        .answers::<wire::Binding>(201)
        .fails(&["policy_not_found", "validation_error"]),
        Operation::delete(
            "/v1/policies/{id}/bindings/{binding_id}",
            "deleteBinding",
            tag,
            "Remove a binding",
        )
        .scope("policies:write")
        .empty(204)
        .fails(&["policy_not_found", "binding_not_found"]),
    ]
}
