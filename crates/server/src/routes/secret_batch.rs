//! `POST /v1/secrets/batch` and `POST /v1/secrets/batch/metadata`: each path answered as if asked
//! for alone.

use std::collections::{BTreeMap, HashSet};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use scaivault_api::ErrorCode;
use scaivault_api::secret_batch::{
    BatchError, BatchMetadata, BatchRead, BatchSecrets, BatchSecretsMetadata,
};
use scaivault_core::glob::PathPattern;
use scaivault_core::path::SecretPath;
use scaivault_core::time::Timestamp;
use scaivault_engine::{BATCH_PATHS_MAX, BatchRefusal, ReadSecret, VaultError};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::secret_view::details_view;
use crate::app::App;
use crate::body::{json_bytes, json_response, read};
use crate::call::Call;
use crate::cursor::{Cursors, invalid};
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// What cursors of metadata by patterns are for.
const LIST: &str = "secrets-matching";
/// Characters of a refused path that are shown.
const SHOWN_MAX: usize = 200;

/// The two routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    Values,
    Metadata,
}

impl Batch {
    /// Whether a request is one of a batch. Everything else that begins so is a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/v1/secrets/batch" => Some(Self::Values),
            "/v1/secrets/batch/metadata" => Some(Self::Metadata),
            _ => None,
        }
    }

    pub(super) async fn answer(
        self,
        app: &App,
        call: Call,
        body: Body,
    ) -> Result<Response, Problem> {
        match self {
            Self::Values => values(app, &call, body).await,
            Self::Metadata => metadata(app, &call, body).await,
        }
    }
}

/// What was asked for, each once, in the order given; and what is no path.
struct Asked<T> {
    entries: Vec<T>,
    errors: Vec<(String, Problem)>,
}

impl<T> Asked<T> {
    fn parse(
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Self, Problem> {
        if !(1..=BATCH_PATHS_MAX).contains(&texts.len()) {
            let why = format!("has 1 to {BATCH_PATHS_MAX} paths: ask for more in further calls");
            return Err(Problem::field("paths", why));
        }
        let mut seen: HashSet<&str> = HashSet::new();
        let mut asked = Self {
            entries: Vec::new(),
            errors: Vec::new(),
        };
        for text in texts.iter().filter(|text| seen.insert(text)) {
            match parse(text) {
                Ok(entry) => asked.entries.push(entry),
                Err(problem) => asked.errors.push((shown(text), problem)),
            }
        }
        Ok(asked)
    }

    /// With `fail_fast` what is no path refuses the call before anything is looked at.
    fn refuse_first(&mut self, fail_fast: bool) -> Result<(), Problem> {
        match self.errors.pop() {
            Some((_, problem)) if fail_fast => Err(problem),
            popped => {
                self.errors.extend(popped);
                Ok(())
            }
        }
    }
}

/// The key under which something that is no path is refused: never that of a path.
fn shown(text: &str) -> String {
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let mut key: String = text.chars().take(SHOWN_MAX).map(plain).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        key.push('…');
    }
    key
}

fn item(problem: Problem) -> BatchError {
    if let Some(cause) = &problem.cause {
        tracing::error!(cause, "a path of a batch failed");
    }
    BatchError {
        code: problem.code.as_str().to_owned(),
        message: problem.message,
        details: problem.details,
    }
}

/// The whole call fails at one path, which is named.
fn failed_at(path: &SecretPath, error: VaultError) -> Problem {
    let mut problem = Problem::from(error);
    let details = problem.details.get_or_insert_with(|| json!({}));
    details["path"] = path.as_str().into();
    problem
}

fn refused(refusal: BatchRefusal<Problem>) -> Problem {
    match refusal {
        BatchRefusal::Whole(error) => error.into(),
        BatchRefusal::At(path, error) => failed_at(&path, error),
        BatchRefusal::NotAdmitted(problem) => problem,
    }
}

async fn values(app: &App, call: &Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(app, Category::BatchRead).await?;
    let wire: BatchRead = read(app, body).await?;
    let options = wire.options.unwrap_or_default();
    let fail_fast = options.fail_fast.unwrap_or(false);
    if options.version.is_some_and(|n| n == 0 || n > u64::MAX >> 1) {
        return Err(Problem::field("options.version", "is a version: 1 or more"));
    }
    let mut asked = Asked::parse(&wire.paths, fields::path)?;
    asked.refuse_first(fail_fast)?;
    let batch = scaivault_engine::BatchRead {
        paths: asked.entries,
        version: options.version,
        fail_fast,
    };
    // A read each, taken before anything leaves: too few left, and nothing does.
    let admit = |reads: u32| match reads {
        0 => Ok(()),
        reads => call.spend(app, &caller, Category::Read, reads),
    };
    let outcomes = app.vault.secret_read_batch(&caller, &batch, admit).await;
    let outcomes = outcomes.map_err(refused)?;

    let metrics = app.metrics.tenant(caller.tenant().as_str());
    let with_metadata = options.include_metadata.unwrap_or(false);
    let mut bytes = b"{\"secrets\":{".to_vec();
    let mut errors: BTreeMap<String, BatchError> = BTreeMap::new();
    let mut is_first = true;
    for (path, outcome) in outcomes {
        let written = match outcome {
            Ok(secret) => {
                metrics.secret_read(secret.secret_type());
                entry(&mut bytes, &secret, is_first, with_metadata).ok_or_else(damaged)
            }
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(()) => is_first = false,
            Err(problem) => {
                errors.insert(path.as_str().to_owned(), item(problem));
            }
        }
    }
    for (key, problem) in asked.errors {
        errors.entry(key).or_insert_with(|| item(problem));
    }
    bytes.extend_from_slice(b"},\"errors\":");
    let errors = serde_json::to_vec(&errors).map_err(|_| damaged())?;
    bytes.extend_from_slice(&errors);
    bytes.push(b'}');
    Ok(json_bytes(StatusCode::OK, bytes))
}

fn damaged() -> Problem {
    Problem::new(ErrorCode::InternalError, "the stored value is damaged")
}

#[derive(Serialize)]
struct Short<'a> {
    version: u64,
    secret_type: &'a str,
    #[serde(flatten)]
    rest: Option<Rest<'a>>,
}

#[derive(Serialize)]
struct Rest<'a> {
    is_current: bool,
    metadata: &'a RawValue,
    created_at: String,
    updated_at: String,
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readable_until: Option<String>,
    rotation_policy_id: Option<&'a str>,
}

/// `"path":{…,"data":value}`, the value as it was stored; nothing is written when it is none.
fn entry(
    bytes: &mut Vec<u8>,
    secret: &ReadSecret,
    is_first: bool,
    with_metadata: bool,
) -> Option<()> {
    let value = secret.value().expose();
    // Sealed as a JSON object, and opened only if not a bit of it has changed since.
    let is_object = value.first() == Some(&b'{') && value.last() == Some(&b'}');
    std::str::from_utf8(value).ok().filter(|_| is_object)?;
    let rest = with_metadata.then(|| Rest {
        is_current: secret.is_current(),
        metadata: secret.metadata(),
        created_at: secret.created_at().to_rfc3339(),
        updated_at: secret.updated_at().to_rfc3339(),
        expires_at: secret.expires_at().map(Timestamp::to_rfc3339),
        readable_until: secret.readable_until().map(Timestamp::to_rfc3339),
        rotation_policy_id: secret.rotation_policy_id(),
    });
    let short = Short {
        version: secret.version(),
        secret_type: secret.secret_type().as_str(),
        rest,
    };
    let mut before = serde_json::to_vec(&short).ok()?;
    // The value is one more field of the same object.
    before.pop();
    let key = serde_json::to_vec(secret.path().as_str()).ok()?;
    bytes.reserve(key.len() + before.len() + value.len() + 12);
    if !is_first {
        bytes.push(b',');
    }
    bytes.extend_from_slice(&key);
    bytes.push(b':');
    bytes.extend_from_slice(&before);
    bytes.extend_from_slice(b",\"data\":");
    bytes.extend_from_slice(value);
    bytes.push(b'}');
    Some(())
}

/// One entry of batch metadata.
enum Wanted {
    Path(SecretPath),
    Pattern(PathPattern),
}

async fn metadata(app: &App, call: &Call, body: Body) -> Result<Response, Problem> {
    let caller = call.enter(app, Category::BatchMetadata).await?;
    let wire: BatchMetadata = read(app, body).await?;
    let options = wire.options.unwrap_or_default();
    let fail_fast = options.fail_fast.unwrap_or(false);
    let expand = options.expand_wildcards.unwrap_or(false);
    let limit = options.limit.map_or(Ok(BATCH_PATHS_MAX), |limit| {
        usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=BATCH_PATHS_MAX).contains(limit))
            .ok_or_else(|| Problem::field("options.limit", format!("is 1 to {BATCH_PATHS_MAX}")))
    })?;
    let mut asked = Asked::parse(&wire.paths, |text| wanted(text, expand))?;
    asked.refuse_first(fail_fast)?;
    let (mut paths, mut patterns) = (Vec::new(), Vec::new());
    for entry in asked.entries {
        match entry {
            Wanted::Path(path) => paths.push(path),
            Wanted::Pattern(pattern) => patterns.push(pattern),
        }
    }
    let cursors = Cursors::of(app, &caller, LIST);
    let cursor = options.cursor.as_ref().filter(|text| !text.is_empty());
    let after = match cursor {
        Some(_) if patterns.is_empty() => return Err(invalid()),
        Some(text) => Some(cursors.open(text)?),
        None => None,
    };
    let mut answer = BatchSecretsMetadata {
        secrets: BTreeMap::new(),
        errors: BTreeMap::new(),
        cursor: None,
        has_more: false,
    };
    // What was asked for by name was answered on the first page.
    if after.is_none() {
        let looked = app.vault.secret_details_batch(&caller, &paths, fail_fast);
        let outcomes = looked.await.map_err(|refusal| match refusal {
            BatchRefusal::Whole(error) => error.into(),
            BatchRefusal::At(path, error) => failed_at(&path, error),
            BatchRefusal::NotAdmitted(()) => damaged(),
        })?;
        for (path, outcome) in outcomes {
            let key = path.as_str().to_owned();
            match outcome {
                Ok(details) => {
                    answer.secrets.insert(key, details_view(&details));
                }
                Err(error) => {
                    answer.errors.insert(key, item(error.into()));
                }
            }
        }
        for (key, problem) in asked.errors {
            answer.errors.entry(key).or_insert_with(|| item(problem));
        }
    }
    if !patterns.is_empty() {
        let page = app
            .vault
            .secret_details_matching(&caller, &patterns, after.as_deref(), limit)
            .await?;
        for details in page.secrets {
            let key = details.head.path.as_str().to_owned();
            answer.secrets.insert(key, details_view(&details));
        }
        answer.has_more = page.next.is_some();
        answer.cursor = page.next.map(|place| cursors.at(&place)).transpose()?;
    }
    Ok(json_response(StatusCode::OK, &answer))
}

fn wanted(text: &str, expand: bool) -> Result<Wanted, Problem> {
    if !text.contains(['*', '?']) {
        return fields::path(text).map(Wanted::Path);
    }
    if expand {
        return fields::pattern(text, "paths").map(Wanted::Pattern);
    }
    Err(Problem::new(
        ErrorCode::InvalidPath,
        "a path has no '*' or '?': set options.expand_wildcards to true for patterns",
    ))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/secrets/batch",
            "readSecrets",
            "Secrets",
            "Read up to 100 values; each path is answered by itself",
        )
        .scope("secrets:read")
        .takes::<BatchRead>()
        .answers::<BatchSecrets>(200)
        .fails(&[
            "invalid_path",
            "access_denied",
            "secret_not_found",
            "version_not_found",
            "secret_expired",
        ]),
        Operation::post(
            "/v1/secrets/batch/metadata",
            "readSecretsMetadata",
            "Secrets",
            "Metadata of up to 100 secrets, or of all that patterns match",
        )
        .scope("secrets:list")
        .takes::<BatchMetadata>()
        .answers::<BatchSecretsMetadata>(200)
        .fails(&[
            "invalid_path",
            "invalid_glob",
            "invalid_cursor",
            "access_denied",
            "secret_not_found",
        ]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_routes_and_nothing_else() {
        assert_eq!(Batch::at("/v1/secrets/batch"), Some(Batch::Values));
        let metadata = Batch::at("/v1/secrets/batch/metadata");
        assert_eq!(metadata, Some(Batch::Metadata));
        assert_eq!(Batch::at("/v1/secrets/batch/rotate"), None);
        assert_eq!(Batch::at("/v1/secrets/app/batch"), None);
    }

    #[test]
    fn what_is_no_path_has_a_key_that_is_none_either() {
        for text in [
            "app/d\u{0}b",
            "äpp",
            "a\n",
            &"a".repeat(600),
            "",
            "/a",
            "A",
            "a/*",
        ] {
            let key = shown(text);
            assert!(SecretPath::parse(&key).is_err(), "{text:?} as {key:?}");
            assert!(key.chars().count() <= SHOWN_MAX + 1);
            assert!(!key.chars().any(char::is_control));
        }
    }

    #[test]
    fn each_path_counts_once_and_there_are_so_many() {
        let texts = |n: usize| vec!["a".to_owned(); n];
        assert_eq!(
            Asked::parse(&texts(100), fields::path)
                .ok()
                .unwrap()
                .entries
                .len(),
            1
        );
        for n in [0, 101] {
            let problem = Asked::parse(&texts(n), fields::path).err().unwrap();
            assert_eq!(problem.code, ErrorCode::ValidationError);
        }
    }
}
