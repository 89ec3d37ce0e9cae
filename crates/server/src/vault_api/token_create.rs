//! `auth/token/create` and `auth/token/create-orphan`.

use std::collections::BTreeMap;
use std::time::Duration;

use scaivault_api::ErrorCode;
use scaivault_core::access::Cidr;
use scaivault_engine::ChildDraft;

use super::fields::{Fields, wrong};
use super::reply::Reply;
use super::request::Asked;
use super::token::{OURS, auth_of};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

const KNOWN: [&str; 15] = [
    "id",
    "policies",
    "meta",
    "no_parent",
    "no_default_policy",
    "renewable",
    "lease",
    "ttl",
    "type",
    "explicit_max_ttl",
    "display_name",
    "num_uses",
    "period",
    "entity_alias",
    "bound_cidrs",
];
const META_MAX: usize = 50;
const META_CHARS_MAX: usize = 512;
/// The longest time of a token, as of those of the native API.
const TIME_MAX: u64 = 10 * 366 * 86_400;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let fields = asked.fields(app).await?;
    let mut draft = draft(&fields)?;
    draft.no_parent |= rest == "create-orphan";
    let (minted, missing) = app.vault.token_child(&caller, draft).await?;
    let mut warnings = fields.unknown(&KNOWN);
    warnings.extend(
        missing
            .iter()
            .map(|name| format!("Policy {name:?} does not exist")),
    );
    let auth = auth_of(&minted.token, minted.text.expose(), app.vault.now());
    Ok(Reply::auth(&auth)?.warn(warnings))
}

fn draft(fields: &Fields) -> Result<ChildDraft, Problem> {
    let refuse = |name: &str, why: &str| Err(wrong(name, why));
    if fields.text("id")?.is_some_and(|id| !id.is_empty()) {
        return refuse("id", "cannot be chosen: tokens are random");
    }
    if fields
        .text("entity_alias")?
        .is_some_and(|alias| !alias.is_empty())
    {
        return refuse("entity_alias", "is not there: there are no entities");
    }
    if fields.flag("no_default_policy")? == Some(true) {
        return refuse(
            "no_default_policy",
            "cannot be had: what default gives, every token has",
        );
    }
    match fields.text("type")?.as_deref() {
        None | Some("" | "service") => {}
        Some(_) => return refuse("type", "is service: there are no batch tokens"),
    }
    let seconds = |name: &str| -> Result<Option<Duration>, Problem> {
        match fields.seconds(name)?.filter(|seconds| *seconds > 0) {
            Some(seconds) if seconds > TIME_MAX => Err(wrong(name, "is at most 10 years")),
            seconds => Ok(seconds.map(Duration::from_secs)),
        }
    };
    let policies = fields.texts("policies")?.unwrap_or_default();
    Ok(ChildDraft {
        policies: names(policies),
        ttl: seconds("ttl")?.or(seconds("lease")?),
        max_ttl: seconds("explicit_max_ttl")?,
        period: seconds("period")?,
        uses: fields.number("num_uses")?.filter(|uses| *uses > 0),
        no_parent: fields.flag("no_parent")? == Some(true),
        is_fixed: fields.flag("renewable")? == Some(false),
        display_name: fields.text("display_name")?,
        meta: meta(fields)?,
        allowed_addresses: cidrs(fields, "bound_cidrs")?.unwrap_or_default(),
    })
}

/// Names of policies without `default`, which every token has.
pub(super) fn names(policies: Vec<String>) -> Vec<String> {
    let lower = policies.into_iter().map(|name| name.trim().to_lowercase());
    lower
        .filter(|name| name != "default" && !name.is_empty())
        .collect()
}

/// Ranges of addresses.
pub(super) fn cidrs(fields: &Fields, name: &str) -> Result<Option<Vec<Cidr>>, Problem> {
    let Some(texts) = fields.texts(name)? else {
        return Ok(None);
    };
    let ranges: Option<Vec<Cidr>> = texts.iter().map(|text| Cidr::parse(text)).collect();
    ranges.map(Some).ok_or_else(|| {
        wrong(
            name,
            "are networks such as 10.0.0.0/8, whose bits behind the prefix are 0",
        )
    })
}

/// Notes: texts by name.
pub(super) fn meta(fields: &Fields) -> Result<BTreeMap<String, String>, Problem> {
    let Some(given) = fields.object("meta")? else {
        return Ok(BTreeMap::new());
    };
    if given.keys().any(|name| OURS.contains(&name.as_str())) {
        return Err(wrong(
            "meta",
            "has no identity and no role_name: these are said of every token by the server",
        ));
    }
    let all: Option<BTreeMap<String, String>> = given
        .into_iter()
        .map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect();
    let fits = |(name, text): (&String, &String)| {
        (1..=META_CHARS_MAX).contains(&name.chars().count())
            && text.chars().count() <= META_CHARS_MAX
    };
    all.filter(|all| all.len() <= META_MAX && all.iter().all(fits))
        .ok_or_else(|| {
            Problem::new(
                ErrorCode::InvalidRequest,
                "meta has at most 50 texts of at most 512 characters",
            )
        })
}
