//! Fields of a role, from the wire and to it.

use scaivault_api::machine as wire;
use scaivault_core::access::Cidr;
use scaivault_core::identity::{Identity, IdentityKind, Scope, ScopeSet};
use scaivault_core::machine::MachineRole;
use scaivault_core::time::Span;

use super::tokens::ranges;
use crate::fields;
use crate::problem::Problem;

/// What a request says of a role; what is `None` stays as it is.
#[derive(Default)]
pub(super) struct Parsed {
    role_id: Option<String>,
    description: Option<Option<String>>,
    identity: Option<Identity>,
    scopes: Option<ScopeSet>,
    groups: Option<Vec<Identity>>,
    bind_secret_id: Option<bool>,
    secret_id_ttl: Option<Option<Span>>,
    secret_id_num_uses: Option<Option<u64>>,
    secret_id_bound_cidrs: Option<Vec<Cidr>>,
    token_ttl: Option<Span>,
    token_max_ttl: Option<Option<Span>>,
    token_period: Option<Option<Span>>,
    token_num_uses: Option<Option<u64>>,
    token_bound_cidrs: Option<Vec<Cidr>>,
    is_active: Option<bool>,
}

impl Parsed {
    /// Of a new role: what is absent is left at its default.
    pub(super) fn of(body: wire::RoleBody) -> Result<Self, Problem> {
        parsed(wire::RolePatch {
            role_id: None,
            description: Some(body.description),
            identity_type: None,
            identity_id: None,
            scopes: None,
            groups: Some(body.groups),
            bind_secret_id: body.bind_secret_id,
            secret_id_ttl: Some(body.secret_id_ttl),
            secret_id_num_uses: Some(body.secret_id_num_uses),
            secret_id_bound_cidrs: Some(body.secret_id_bound_cidrs),
            token_ttl: body.token_ttl,
            token_max_ttl: Some(body.token_max_ttl),
            token_period: Some(body.token_period),
            token_num_uses: Some(body.token_num_uses),
            token_bound_cidrs: Some(body.token_bound_cidrs),
            is_active: body.is_active,
        })
    }

    /// Sets what is given.
    pub(super) fn apply(&self, role: &mut MachineRole) {
        fn set<T: Clone>(field: &mut T, given: Option<&T>) {
            if let Some(given) = given {
                field.clone_from(given);
            }
        }
        set(&mut role.role_id, self.role_id.as_ref());
        set(&mut role.description, self.description.as_ref());
        set(&mut role.identity, self.identity.as_ref());
        set(&mut role.scopes, self.scopes.as_ref());
        set(&mut role.groups, self.groups.as_ref());
        set(&mut role.bind_secret_id, self.bind_secret_id.as_ref());
        set(&mut role.secret_id_ttl, self.secret_id_ttl.as_ref());
        set(
            &mut role.secret_id_num_uses,
            self.secret_id_num_uses.as_ref(),
        );
        set(
            &mut role.secret_id_bound_cidrs,
            self.secret_id_bound_cidrs.as_ref(),
        );
        set(&mut role.token_ttl, self.token_ttl.as_ref());
        set(&mut role.token_max_ttl, self.token_max_ttl.as_ref());
        set(&mut role.token_period, self.token_period.as_ref());
        set(&mut role.token_num_uses, self.token_num_uses.as_ref());
        set(&mut role.token_bound_cidrs, self.token_bound_cidrs.as_ref());
        set(&mut role.is_active, self.is_active.as_ref());
    }
}

/// Reads what is given; each refusal names its field.
pub(super) fn parsed(body: wire::RolePatch) -> Result<Parsed, Problem> {
    let identity = match (body.identity_type, body.identity_id) {
        (None, None) => None,
        (Some(kind), Some(id)) => Some(fields::identity(&kind, &id, false)?),
        (None, Some(_)) => {
            return Err(Problem::field("identity_type", "is given with identity_id"));
        }
        (Some(_), None) => {
            return Err(Problem::field("identity_id", "is given with identity_type"));
        }
    };
    let description = body
        .description
        .map(|text| fields::free_text(text, "description"));
    Ok(Parsed {
        role_id: body.role_id,
        description: description.transpose()?,
        identity,
        scopes: body
            .scopes
            .map(|words| fields::scopes(&words))
            .transpose()?,
        groups: body.groups.as_deref().map(groups).transpose()?,
        bind_secret_id: body.bind_secret_id,
        secret_id_ttl: span(body.secret_id_ttl, "secret_id_ttl")?,
        secret_id_num_uses: uses(body.secret_id_num_uses, "secret_id_num_uses")?,
        secret_id_bound_cidrs: cidrs(body.secret_id_bound_cidrs, "secret_id_bound_cidrs")?,
        token_ttl: body
            .token_ttl
            .map(|text| fields::span(&text, "token_ttl"))
            .transpose()?,
        token_max_ttl: span(body.token_max_ttl, "token_max_ttl")?,
        token_period: span(body.token_period, "token_period")?,
        token_num_uses: uses(body.token_num_uses, "token_num_uses")?,
        token_bound_cidrs: cidrs(body.token_bound_cidrs, "token_bound_cidrs")?,
        is_active: body.is_active,
    })
}

fn span(given: Option<Option<String>>, field: &str) -> Result<Option<Option<Span>>, Problem> {
    let read = |text: String| fields::span(&text, field);
    given.map(|text| text.map(read).transpose()).transpose()
}

fn uses(given: Option<Option<u64>>, field: &str) -> Result<Option<Option<u64>>, Problem> {
    given.map(|uses| fields::uses(uses, field)).transpose()
}

fn cidrs(given: Option<Vec<String>>, field: &str) -> Result<Option<Vec<Cidr>>, Problem> {
    given
        .map(|texts| fields::addresses(&texts, field))
        .transpose()
}

fn groups(names: &[String]) -> Result<Vec<Identity>, Problem> {
    let group = |name: &String| {
        Identity::parse_as(IdentityKind::Group, name)
            .map_err(|_| Problem::field("groups", "are names of the form group:…"))
    };
    names.iter().map(group).collect()
}

/// A role as it is answered.
pub(super) fn view(role: &MachineRole) -> wire::Role {
    let text = |span: &Span| span.as_str().to_owned();
    let words = role.scopes.iter().map(Scope::as_str);
    wire::Role {
        name: role.name.clone(),
        role_id: role.role_id.clone(),
        description: role.description.clone(),
        identity_type: role.identity.kind().as_str().to_owned(),
        identity_id: role.identity.as_str().to_owned(),
        scopes: words.map(str::to_owned).collect(),
        groups: role
            .groups
            .iter()
            .map(|group| group.as_str().to_owned())
            .collect(),
        bind_secret_id: role.bind_secret_id,
        secret_id_ttl: role.secret_id_ttl.as_ref().map(text),
        secret_id_num_uses: role.secret_id_num_uses,
        secret_id_bound_cidrs: ranges(&role.secret_id_bound_cidrs),
        token_ttl: text(&role.token_ttl),
        token_max_ttl: role.token_max_ttl.as_ref().map(text),
        token_period: role.token_period.as_ref().map(text),
        token_num_uses: role.token_num_uses,
        token_bound_cidrs: ranges(&role.token_bound_cidrs),
        is_active: role.is_active,
        created_at: role.created_at.to_rfc3339(),
        created_by: role.created_by.as_str().to_owned(),
        updated_at: role.updated_at.to_rfc3339(),
    }
}
