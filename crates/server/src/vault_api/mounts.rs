//! `sys/mounts`, `sys/internal/ui/mounts`: where what is found. Command lines ask the second before
//! every `kv` command.

use scaivault_api::ErrorCode;
use scaivault_core::mount::{KvRules, Mount, MountKind};
use scaivault_engine::MountDraft;
use serde_json::{Map, Value, json};

use super::fields::{seconds, wrong};
use super::reply::Reply;
use super::request::{Asked, Verb, unsupported};
use super::{NATIVE, kv_rules};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// What is told of a mount whose times nobody chose: 32 days, as theirs.
const LEASE_S: u64 = 32 * 86_400;
/// Fields of a mount that is made.
const KNOWN: [&str; 8] = [
    "type",
    "description",
    "config",
    "options",
    "local",
    "seal_wrap",
    "external_entropy_access",
    "plugin_name",
];

/// `rest` is what stands behind `sys/mounts`, without its slash.
pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let rest = rest.trim_matches('/');
    if rest.is_empty() {
        return match asked.verb {
            Verb::Read | Verb::List => list(app, asked).await,
            _ => Err(unsupported()),
        };
    }
    if let Some(path) = rest.strip_suffix("/tune") {
        return match asked.verb {
            Verb::Read => read(app, asked, path, true).await,
            Verb::Write => tune(app, asked, path).await,
            _ => Err(unsupported()),
        };
    }
    match asked.verb {
        Verb::Read => read(app, asked, rest, false).await,
        Verb::Write => enable(app, asked, rest).await,
        Verb::Delete => disable(app, asked, rest).await,
        _ => Err(unsupported()),
    }
}

async fn list(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::List).await?;
    let mounts = app.vault.mounts_listed(&caller).await?;
    let shown = mounts.iter().map(|mount| (mount.path.clone(), view(mount)));
    let all: Map<String, Value> = shown.chain(always_there()).collect();
    Ok(Reply::data(&all)?.doubled())
}

/// What every tenant has, beside its mounts.
fn always_there() -> impl Iterator<Item = (String, Value)> {
    let kinds = [
        (
            "cubbyhole/",
            "cubbyhole",
            "per-token private secret storage",
        ),
        (
            "sys/",
            "system",
            "system endpoints used for control, policy and debugging",
        ),
    ];
    kinds.into_iter().map(|(path, kind, text)| {
        let view = json!({
            "accessor": format!("{kind}_0"),
            "config": { "default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": false },
            "description": text,
            "external_entropy_access": false,
            "local": false,
            "options": null,
            "seal_wrap": false,
            "type": kind,
            "uuid": format!("{kind}_0"),
        });
        (path.to_owned(), view)
    })
}

async fn read(app: &App, asked: &Asked, path: &str, tuning: bool) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::List).await?;
    let mounts = app.vault.mounts_listed(&caller).await?;
    let path = format!("{path}/");
    let mount = mounts.iter().find(|mount| mount.path == path);
    let mount = mount.ok_or_else(|| no_mount(&path))?;
    let reply = match tuning {
        true => Reply::data(&tuned(mount))?,
        false => Reply::data(&view(mount))?,
    };
    Ok(reply.doubled())
}

fn no_mount(path: &str) -> Problem {
    let text = format!("cannot fetch sysview for path \"{path}\": there is no mount there");
    Problem::new(ErrorCode::InvalidRequest, text)
}

async fn enable(app: &App, asked: &Asked, path: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Policy).await?;
    let fields = asked.fields(app).await?;
    let options = fields.object("options")?.unwrap_or_default();
    let config = Config::of(&fields.object("config")?.unwrap_or_default())?;
    let kind = kind(
        &fields.needed("type")?,
        text_of(&options, "version").as_deref(),
    )?;
    for flag in ["local", "seal_wrap", "external_entropy_access"] {
        if fields.flag(flag)? == Some(true) {
            return Err(wrong(flag, "is not a thing here: leave it out"));
        }
    }
    let draft = MountDraft {
        path: path.to_owned(),
        kind,
        description: fields.text("description")?.unwrap_or_default(),
        prefix: text_of(&options, "prefix"),
        rules: KvRules::default(),
        default_lease_s: config.default_s.unwrap_or(0),
        max_lease_s: config.max_s.unwrap_or(0),
    };
    crate::fields::free_text(Some(draft.description.clone()), "description")?;
    app.vault.mount_make(&caller, draft, &NATIVE).await?;
    Ok(Reply::empty().warn(fields.unknown(&KNOWN)))
}

async fn tune(app: &App, asked: &Asked, path: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Policy).await?;
    let fields = asked.fields(app).await?;
    let lease = |name: &str| match fields.text(name)?.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match lease_of(&text) {
            None => Err(wrong(name, "is a duration, or system")),
            found => Ok(found),
        },
    };
    let (default_s, max_s) = (lease("default_lease_ttl")?, lease("max_lease_ttl")?);
    let description = crate::fields::free_text(fields.text("description")?, "description")?;
    let options = fields.object("options")?.unwrap_or_default();
    let version = text_of(&options, "version");
    let wanted = match version.as_deref() {
        None => None,
        Some("1") => Some(MountKind::Kv1),
        Some("2") => Some(MountKind::Kv2),
        Some(_) => return Err(wrong("options.version", "is 1 or 2")),
    };
    let change = |mount: &mut Mount| {
        if let Some(text) = &description {
            mount.description.clone_from(text);
        }
        mount.default_lease_s = default_s.unwrap_or(mount.default_lease_s);
        mount.max_lease_s = max_s.unwrap_or(mount.max_lease_s);
        if let Some(kind) = wanted.filter(|_| mount.kind.is_kv()) {
            mount.kind = kind;
        }
    };
    let changed = app.vault.mount_change(&caller, path, &change).await?;
    changed.ok_or_else(|| no_mount(path))?;
    let known = [
        "default_lease_ttl",
        "max_lease_ttl",
        "description",
        "options",
    ];
    Ok(Reply::empty().warn(fields.unknown(&known)))
}

async fn disable(app: &App, asked: &Asked, path: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Policy).await?;
    app.vault.mount_remove(&caller, path).await?;
    Ok(Reply::empty())
}

/// `sys/internal/ui/mounts`, and one path below a mount: for whoever has a token.
pub(super) async fn internal(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::List).await?;
    if !matches!(asked.verb, Verb::Read) {
        return Err(unsupported());
    }
    let mounts = app.vault.mounts(&caller).await?;
    let rest = rest.trim_start_matches('/');
    if rest.is_empty() {
        let secret: Map<String, Value> = mounts
            .iter()
            .map(|mount| (mount.path.clone(), view(mount)))
            .collect();
        return Reply::data(&json!({ "auth": {}, "secret": secret }));
    }
    // A mount is asked for with or without its slash.
    let slashed = format!("{}/", rest.trim_end_matches('/'));
    let Some((mount, _)) = mounts.of(rest).or_else(|| mounts.of(&slashed)) else {
        return Err(Problem::new(
            ErrorCode::Forbidden,
            "preflight capability check returned 403, please ensure client's policies grant access \
             to path, and that there is a mount",
        ));
    };
    let mut shown = view(mount);
    shown["path"] = mount.path.clone().into();
    Reply::data(&shown)
}

/// `{mount}/config` of secrets with versions.
pub(super) async fn kv_config(app: &App, asked: &Asked, mount: &Mount) -> Result<Reply, Problem> {
    match asked.verb {
        Verb::Read => {
            let caller = asked.enter(app, Category::List).await?;
            app.vault.mounts_listed(&caller).await?;
            Reply::data(&json!({
                "cas_required": mount.rules.cas_required,
                "delete_version_after": kv_rules::span(mount.rules.delete_after_s),
                "max_versions": mount.rules.max_versions.unwrap_or(0),
            }))
        }
        Verb::Write => {
            let caller = asked.enter(app, Category::Policy).await?;
            let fields = asked.fields(app).await?;
            let given = kv_rules::Given::of(&fields)?;
            let change = |mount: &mut Mount| {
                let rules = &mut mount.rules;
                rules.cas_required = given.cas_required.unwrap_or(rules.cas_required);
                rules.delete_after_s = given.delete_after_s.unwrap_or(rules.delete_after_s);
                rules.max_versions = given.max_versions.unwrap_or(rules.max_versions);
            };
            let changed = app
                .vault
                .mount_change(&caller, &mount.path, &change)
                .await?;
            changed.ok_or_else(|| no_mount(&mount.path))?;
            Ok(Reply::empty().warn(fields.unknown(&kv_rules::KNOWN)))
        }
        _ => Err(unsupported()),
    }
}

/// What a new mount is for.
fn kind(word: &str, version: Option<&str>) -> Result<MountKind, Problem> {
    match (word, version) {
        ("kv" | "generic", None | Some("1")) => Ok(MountKind::Kv1),
        ("kv", Some("2")) | ("kv-v2", None | Some("2")) => Ok(MountKind::Kv2),
        ("kv-v1", None | Some("1")) => Ok(MountKind::Kv1),
        ("kv" | "kv-v1" | "kv-v2", Some(_)) => Err(wrong("options.version", "is 1 or 2")),
        ("database", _) => Ok(MountKind::Database),
        ("transit", _) => Ok(MountKind::Transit),
        ("pki", _) => Ok(MountKind::Pki),
        ("ssh", _) => Ok(MountKind::Ssh),
        _ => Err(wrong(
            "type",
            "is kv, database, transit, pki or ssh: others are not served here, see docs/vault-api.md",
        )),
    }
}

#[derive(Default)]
struct Config {
    default_s: Option<u64>,
    max_s: Option<u64>,
}

impl Config {
    fn of(map: &Map<String, Value>) -> Result<Self, Problem> {
        let lease = |name: &str| match text_of(map, name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => lease_of(&text)
                .map(Some)
                .ok_or_else(|| wrong(&format!("config.{name}"), "is a duration")),
        };
        Ok(Self {
            default_s: lease("default_lease_ttl")?,
            max_s: lease("max_lease_ttl")?,
        })
    }
}

fn lease_of(text: &str) -> Option<u64> {
    match text {
        "system" => Some(0),
        text => seconds(text),
    }
}

fn text_of(map: &Map<String, Value>, name: &str) -> Option<String> {
    match map.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn or_usual(seconds: u64) -> u64 {
    match seconds {
        0 => LEASE_S,
        chosen => chosen,
    }
}

fn options(mount: &Mount) -> Value {
    let mut options = Map::new();
    match mount.kind {
        MountKind::Kv1 => options.insert("version".into(), "1".into()),
        MountKind::Kv2 => options.insert("version".into(), "2".into()),
        _ => return Value::Null,
    };
    if mount.is_view {
        options.insert("prefix".into(), mount.prefix.clone().into());
    }
    options.into()
}

fn view(mount: &Mount) -> Value {
    json!({
        "accessor": mount.accessor,
        "config": {
            "default_lease_ttl": mount.default_lease_s,
            "max_lease_ttl": mount.max_lease_s,
            "force_no_cache": false,
        },
        "description": mount.description,
        "external_entropy_access": false,
        "local": false,
        "options": options(mount),
        "seal_wrap": false,
        "type": mount.kind.as_str(),
        "uuid": mount.accessor,
    })
}

fn tuned(mount: &Mount) -> Value {
    json!({
        "default_lease_ttl": or_usual(mount.default_lease_s),
        "max_lease_ttl": or_usual(mount.max_lease_s),
        "description": mount.description,
        "force_no_cache": false,
        "options": options(mount),
    })
}
