//! `transit`: keys that stay here while others use them. Their keys are rows of ours, their requests
//! operations of the engine; what differs is in docs/vault-api.md.

use scaivault_api::ErrorCode;
use scaivault_core::mount::Mount;
use scaivault_core::transit::{TransitConfig, TransitKey, TransitKind};
use scaivault_engine::{Caller, TransitAt, TransitDraft, TransitExport};
use serde_json::{Map, Value, json};

use super::fields::{Fields, wrong};
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use super::transit_items::base64_of;
use super::{transit_sign, transit_uses};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// Names of one list; who has more goes on behind the last one.
const KEYS_MAX: usize = 10_000;

/// Fields of a key that is made.
const CREATES: [&str; 11] = [
    "type",
    "derived",
    "convergent_encryption",
    "exportable",
    "allow_plaintext_backup",
    "auto_rotate_period",
    "key_size",
    "name",
    "context",
    "managed_key_name",
    "managed_key_id",
];
const CONFIGURES: [&str; 7] = [
    "name",
    "min_decryption_version",
    "min_encryption_version",
    "deletion_allowed",
    "exportable",
    "allow_plaintext_backup",
    "auto_rotate_period",
];

/// One request, taken apart.
pub(super) struct Call<'a> {
    pub(super) app: &'a App,
    pub(super) asked: &'a Asked,
    pub(super) caller: Caller,
    /// The mount, without its slash.
    pub(super) mount: &'a str,
}

impl<'a> Call<'a> {
    pub(super) fn at(&self, name: &'a str, tail: Option<&'a str>) -> TransitAt<'a> {
        TransitAt {
            mount: self.mount,
            name,
            tail,
        }
    }
}

/// `rest` is what stands behind the mount.
pub(super) async fn answer(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    rest: &str,
) -> Result<Reply, Problem> {
    let call = Call {
        app,
        asked,
        caller: asked.enter(app, Category::Read).await?,
        mount: mount.path.trim_end_matches('/'),
    };
    let rest = rest.trim_end_matches('/');
    let parts: Vec<&str> = rest.split('/').collect();
    match (parts.as_slice(), asked.verb) {
        (["keys"], Verb::List) => list(&call).await,
        (["keys", name], Verb::Read) => show(&call, name).await,
        (["keys", name], Verb::Write) => create(&call, name).await,
        (["keys", name], Verb::Delete) => {
            app.vault
                .transit_delete(&call.caller, call.mount, name)
                .await?;
            Ok(Reply::empty())
        }
        (["keys", name, "config"], Verb::Write) => configure(&call, name).await,
        (["keys", name, "rotate"], Verb::Write) => rotate(&call, name).await,
        (["keys", name, "trim"], Verb::Write) => trim(&call, name).await,
        (["export", what, name], Verb::Read) => export(&call, what, name, None).await,
        (["export", what, name, version], Verb::Read) => {
            export(&call, what, name, Some(version)).await
        }
        (["backup", name], Verb::Read) => backup(&call, name).await,
        (["restore"], Verb::Write) => restore(&call, None).await,
        (["restore", name], Verb::Write) => restore(&call, Some(name)).await,
        (["encrypt", name], Verb::Write) => transit_uses::encrypt(&call, name).await,
        (["decrypt", name], Verb::Write) => transit_uses::decrypt(&call, name).await,
        (["rewrap", name], Verb::Write) => transit_uses::rewrap(&call, name).await,
        (["datakey", form, name], Verb::Write) => transit_uses::data_key(&call, form, name).await,
        (["sign", name], Verb::Write) => transit_sign::sign(&call, name, None).await,
        (["sign", name, hash], Verb::Write) => transit_sign::sign(&call, name, Some(hash)).await,
        (["verify", name], Verb::Write) => transit_sign::verify(&call, name, None).await,
        (["verify", name, hash], Verb::Write) => {
            transit_sign::verify(&call, name, Some(hash)).await
        }
        (["hmac", name], Verb::Write) => transit_sign::hmac(&call, name, None).await,
        (["hmac", name, hash], Verb::Write) => transit_sign::hmac(&call, name, Some(hash)).await,
        (["random", given @ ..], Verb::Write) if given.len() <= 2 => {
            transit_uses::random(&call, rest, given).await
        }
        (["hash", given @ ..], Verb::Write) if given.len() <= 1 => {
            transit_uses::hash(&call, rest, given.first().copied()).await
        }
        (parts, _) => Err(refused(parts)),
    }
}

/// What is not done here, and why.
fn refused(parts: &[&str]) -> Problem {
    let why = match parts {
        ["wrapping_key"] | ["keys", _, "import" | "import_version"] | ["byok-export", ..] => {
            "keys of others are not imported, nor keys wrapped for others: make a key here, or bring back \
             one with restore/ that this server backed up"
        }
        ["cache-config"] => "nothing is to be set: what is cached is what is stored, on every node",
        ["config", "keys"] => "upserting is a right here: who has no create on encrypt/ cannot",
        ["keys", _, "soft-delete" | "soft-delete-restore"] => {
            "keys are deleted for good or not at all: see deletion_allowed"
        }
        ["keys", _, "csr" | "set-certificate"] => "certificates are not made of these keys",
        ["keys" | "restore" | "random" | "hash"]
        | ["keys", _]
        | ["keys", _, "config" | "rotate" | "trim"]
        | ["encrypt" | "decrypt" | "rewrap" | "backup" | "restore", _]
        | ["sign" | "verify" | "hmac", _]
        | ["sign" | "verify" | "hmac", _, _]
        | ["datakey" | "export", _, _]
        | ["export", _, _, _]
        | ["random" | "hash", ..] => return unsupported(),
        _ => return not_found(),
    };
    Problem::new(ErrorCode::InvalidRequest, why)
}

async fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let query = &call.asked.query;
    let limit = query.number("limit", 0..=u64::MAX >> 1)?;
    let limit = limit
        .filter(|limit| *limit > 0)
        .and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(KEYS_MAX).min(KEYS_MAX);
    let page = call
        .app
        .vault
        .transit_names(&call.caller, call.mount, query.text("after"), limit)
        .await?;
    match page.names.is_empty() {
        true => Err(not_found()),
        false => Reply::data(&json!({ "keys": page.names })),
    }
}

async fn show(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let context = base64_of(call.asked.query.text("context").unwrap_or_default())
        .ok_or_else(|| wrong("context", "is base64"))?;
    let key = call
        .app
        .vault
        .transit_show(&call.caller, call.mount, name)
        .await?;
    let mut shown = view(&key);
    if key.derived && key.kind.signs() && !context.is_empty() {
        for (number, public) in call.app.vault.transit_publics(&key, &context)? {
            shown["keys"][number.to_string()]["public_key"] = public.into();
        }
    }
    Reply::data(&shown)
}

/// What a request says of a key that is to be made.
pub(super) fn draft(fields: &Fields) -> Result<TransitDraft, Problem> {
    for name in ["managed_key_name", "managed_key_id"] {
        if fields.text(name)?.is_some_and(|text| !text.is_empty()) {
            return Err(wrong(
                name,
                "is of keys that others hold, which are not served",
            ));
        }
    }
    let kind = match fields.text("type")?.filter(|text| !text.is_empty()) {
        None => TransitKind::Aes256Gcm,
        Some(word) => TransitKind::parse(&word).ok_or_else(|| {
            let known: Vec<&str> = TransitKind::ALL.iter().map(|kind| kind.as_str()).collect();
            wrong("type", &format!("is one of {}", known.join(", ")))
        })?,
    };
    let flag = |name: &str| fields.flag(name).map(|flag| flag.unwrap_or(false));
    let key_size = fields.number("key_size")?.filter(|size| *size > 0);
    Ok(TransitDraft {
        kind,
        derived: flag("derived")?,
        convergent: flag("convergent_encryption")?,
        exportable: flag("exportable")?,
        plaintext_backup: flag("allow_plaintext_backup")?,
        auto_rotate_s: fields.seconds("auto_rotate_period")?.unwrap_or(0),
        key_bytes: key_size.map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
    })
}

async fn create(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let draft = draft(&fields)?;
    let (key, made) = call
        .app
        .vault
        .transit_create(&call.caller, call.mount, name, &draft)
        .await?;
    let reply = Reply::data(&view(&key))?.warn(fields.unknown(&CREATES));
    Ok(match made {
        true => reply,
        false => reply.warn(vec![format!("key {name} already existed")]),
    })
}

/// A version's number.
pub(super) fn number(fields: &Fields, name: &str) -> Result<Option<u32>, Problem> {
    let number = fields.number(name)?;
    let number = number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    Ok(number)
}

async fn configure(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let config = TransitConfig {
        min_decryption: number(&fields, "min_decryption_version")?,
        min_encryption: number(&fields, "min_encryption_version")?,
        deletion_allowed: fields.flag("deletion_allowed")?,
        exportable: fields.flag("exportable")?,
        plaintext_backup: fields.flag("allow_plaintext_backup")?,
        auto_rotate_s: fields.seconds("auto_rotate_period")?,
    };
    let key = call
        .app
        .vault
        .transit_configure(&call.caller, call.mount, name, &config)
        .await?;
    let mut told = fields.unknown(&CONFIGURES);
    let kept = [
        ("exportable", config.exportable, key.exportable),
        (
            "allow_plaintext_backup",
            config.plaintext_backup,
            key.plaintext_backup,
        ),
    ];
    for (field, wanted, is) in kept {
        if wanted == Some(false) && is {
            told.push(format!("{field} stays true: it is never taken back"));
        }
    }
    Ok(Reply::data(&view(&key))?.warn(told))
}

async fn rotate(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let key = call
        .app
        .vault
        .transit_rotate(&call.caller, call.mount, name)
        .await?;
    Reply::data(&view(&key))
}

async fn trim(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let least = number(&fields, "min_available_version")?
        .ok_or_else(|| wrong("min_available_version", "is needed"))?;
    let key = call
        .app
        .vault
        .transit_trim(&call.caller, call.mount, name, least)
        .await?;
    Reply::data(&view(&key))
}

async fn export(
    call: &Call<'_>,
    what: &str,
    name: &str,
    version: Option<&str>,
) -> Result<Reply, Problem> {
    let what = TransitExport::parse(what).ok_or_else(|| {
        wrong(
            "type",
            "is encryption-key, signing-key, hmac-key or public-key: others are not served",
        )
    })?;
    let at = call.at(name, version);
    let (kind, shown) = call
        .app
        .vault
        .transit_export(&call.caller, at, what)
        .await?;
    let keys = shown
        .iter()
        .map(|(number, text)| (number.to_string(), Value::from(text.as_str())));
    let keys: Map<String, Value> = keys.collect();
    Reply::data(&json!({ "name": name, "type": kind.as_str(), "keys": keys }))
}

async fn backup(call: &Call<'_>, name: &str) -> Result<Reply, Problem> {
    let text = call
        .app
        .vault
        .transit_backup(&call.caller, call.mount, name)
        .await?;
    Reply::data(&json!({ "backup": text.as_str() }))
}

async fn restore(call: &Call<'_>, name: Option<&str>) -> Result<Reply, Problem> {
    let fields = call.asked.fields(call.app).await?;
    let backup = fields.needed("backup")?;
    let is_forced = fields.flag("force")?.unwrap_or(false);
    call.app
        .vault
        .transit_restore(&call.caller, call.mount, name, &backup, is_forced)
        .await?;
    Ok(Reply::empty().warn(fields.unknown(&["backup", "force", "name"])))
}

/// How a key is shown.
fn view(key: &TransitKey) -> Value {
    let kind = key.kind;
    let mut shown = json!({
        "name": key.name,
        "type": kind.as_str(),
        "derived": key.derived,
        "deletion_allowed": key.deletion_allowed,
        "min_available_version": key.min_available,
        "min_decryption_version": key.min_decryption,
        "min_encryption_version": key.min_encryption,
        "latest_version": key.latest,
        "exportable": key.exportable,
        "allow_plaintext_backup": key.plaintext_backup,
        "supports_encryption": kind.encrypts(),
        "supports_decryption": kind.encrypts(),
        "supports_signing": kind.signs(),
        "supports_derivation": kind.derives(),
        "auto_rotate_period": key.auto_rotate_s,
        "imported_key": false,
        "keys": key.usable().map(|version| (version.number.to_string(), part(key, version))).collect::<Map<_, _>>(),
    });
    if key.key_bytes > 0 {
        shown["key_size"] = key.key_bytes.into();
    }
    if key.derived {
        shown["kdf"] = "hkdf_sha256".into();
        shown["convergent_encryption"] = key.convergent.into();
        if key.convergent {
            // As theirs tell keys whose versions know it themselves.
            shown["convergent_encryption_version"] = (-1).into();
        }
    }
    shown
}

fn part(key: &TransitKey, version: &scaivault_core::transit::TransitVersion) -> Value {
    let Some(public) = &version.public else {
        return version.created_at.as_micros().div_euclid(1_000_000).into();
    };
    let name = match key.kind {
        TransitKind::EcdsaP256 => "P-256",
        TransitKind::EcdsaP384 => "P-384",
        TransitKind::EcdsaP521 => "P-521",
        kind => kind.as_str(),
    };
    // That of a derived key follows from a context.
    let public = match key.derived {
        true => "",
        false => public,
    };
    json!({
        "name": name,
        "public_key": public,
        "creation_time": version.created_at.to_rfc3339_micros(),
        "certificate_chain": "",
    })
}
