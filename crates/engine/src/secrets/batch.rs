//! Many secrets in one call. Each path is decided on, read and audited as if it had been asked for
//! alone; but all rows of the trail are one commit, so a batch costs one sync.

use scaivault_core::access::{Grants, Permission};
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{SecretFilter, SecretReads, Unit, UnitName};
use scaivault_core::secret::SecretHead;

use super::browse::SecretDetails;
use super::list::SecretQuery;
use super::read::ReadSecret;
use crate::access::decided;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// The most paths of one batch.
pub const BATCH_PATHS_MAX: usize = 100;
/// The most bytes of values in one answer.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct BatchRead {
    /// Which secrets, each once, in the order they are looked at.
    pub paths: Vec<SecretPath>,
    /// This version of each instead of the current one.
    pub version: Option<u64>,
    /// The first failure ends the batch.
    pub fail_fast: bool,
}

/// What came of each path, in the order asked.
pub type BatchOutcomes<T> = Vec<(SecretPath, Result<T, VaultError>)>;

/// Why a batch has no answer.
#[derive(Debug)]
pub enum BatchRefusal<E> {
    /// Nothing of it could be served.
    Whole(VaultError),
    /// It ended at this path: with `fail_fast`, or because the store cannot be asked.
    At(SecretPath, VaultError),
    /// Its caller was not admitted to so many reads.
    NotAdmitted(E),
}

impl<E> From<VaultError> for BatchRefusal<E> {
    fn from(error: VaultError) -> Self {
        Self::Whole(error)
    }
}

/// Secrets without their values, and where a page of them ends.
pub struct MetadataPage {
    /// By path.
    pub secrets: Vec<SecretDetails>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// What is written on the trail for one path, and whether it is of a value that leaves.
struct Line {
    unit: Unit,
    succeeded: bool,
}

impl Vault {
    /// Reads many secrets. `admit` is asked once, before anything leaves, with the number of
    /// values that would; when it refuses, none does. The audit rows and the ledger's lines are
    /// durable, in the order of the paths, before this returns.
    ///
    /// # Errors
    /// [`BatchRefusal`]. What was refused until then is on the trail.
    pub async fn secret_read_batch<E>(
        &self,
        caller: &Caller,
        batch: &BatchRead,
        admit: impl FnOnce(u32) -> Result<(), E>,
    ) -> Result<BatchOutcomes<ReadSecret>, BatchRefusal<E>> {
        self.require(caller, Scope::SecretsRead, Action::Read)
            .await?;
        let grants = self.grants_for(caller).await?;
        let mut lines: Vec<Line> = Vec::with_capacity(batch.paths.len());
        let mut outcomes: BatchOutcomes<ReadSecret> = Vec::with_capacity(batch.paths.len());
        let mut bytes = 0;
        for path in &batch.paths {
            let room = BATCH_BYTES_MAX.saturating_sub(bytes);
            let (outcome, unit) = self
                .batch_value(caller, &grants, path, batch.version, room)
                .await?;
            let succeeded = outcome.is_ok();
            lines.push(Line { unit, succeeded });
            match outcome {
                Ok(secret) => {
                    bytes += secret.value().len();
                    outcomes.push((path.clone(), Ok(secret)));
                }
                Err(error) if batch.fail_fast || matches!(error, VaultError::Unavailable(_)) => {
                    self.commit_lines(lines, false).await?;
                    return Err(BatchRefusal::At(path.clone(), error));
                }
                Err(error) => outcomes.push((path.clone(), Err(error))),
            }
        }
        let reads = lines.iter().filter(|line| line.succeeded).count();
        if let Err(refused) = admit(u32::try_from(reads).unwrap_or(u32::MAX)) {
            self.commit_lines(lines, false).await?;
            return Err(BatchRefusal::NotAdmitted(refused));
        }
        self.commit_lines(lines, true).await?;
        Ok(outcomes)
    }

    /// One path of a batch, with what is to be written on the trail before its outcome is told.
    async fn batch_value(
        &self,
        caller: &Caller,
        grants: &Grants,
        path: &SecretPath,
        version: Option<u64>,
        room: usize,
    ) -> Result<(Result<ReadSecret, VaultError>, Unit), VaultError> {
        let (read, action) = (Permission::Read, Action::Read);
        let grant = match decided(caller, grants, read, path, self.now()) {
            Ok(grant) => grant,
            Err(reason) => {
                let error = VaultError::Denied(reason);
                let refusal = self
                    .refusal(caller, action, Some(read), Some(path), &error)
                    .await?;
                return Ok((Err(error), refusal));
            }
        };
        let opened = match self.fetch(&grant, version).await {
            Ok(entry) => self.open(&grant, entry),
            Err(error) => Err(error),
        };
        let outcome = opened.and_then(|secret| match secret.value().len() <= room {
            true => Ok(secret),
            false => Err(VaultError::BatchFull(BATCH_BYTES_MAX)),
        });
        let now = self.now();
        let unit = match &outcome {
            Ok(secret) => self.read_unit(caller, secret, now).await?,
            Err(error) => {
                let extra = AuditExtra {
                    version,
                    ..AuditExtra::default()
                };
                Unit::audit_only(caller.failed_row(action, Some(path), now, error.code(), extra))
            }
        };
        Ok((outcome, unit))
    }

    /// Metadata of many secrets, each as [`Vault::secret_details`] answers it.
    ///
    /// # Errors
    /// As [`Vault::secret_read_batch`]; nobody has to be admitted.
    pub async fn secret_details_batch(
        &self,
        caller: &Caller,
        paths: &[SecretPath],
        fail_fast: bool,
    ) -> Result<BatchOutcomes<SecretDetails>, BatchRefusal<()>> {
        self.require(caller, Scope::SecretsList, Action::List)
            .await?;
        let grants = self.grants_for(caller).await?;
        let mut lines: Vec<Line> = Vec::with_capacity(paths.len());
        let mut outcomes: BatchOutcomes<SecretDetails> = Vec::with_capacity(paths.len());
        for path in paths {
            let (outcome, unit) = self.batch_details(caller, &grants, path).await?;
            let succeeded = outcome.is_ok();
            lines.push(Line { unit, succeeded });
            match outcome {
                Err(error) if fail_fast || matches!(error, VaultError::Unavailable(_)) => {
                    self.commit_lines(lines, false).await?;
                    return Err(BatchRefusal::At(path.clone(), error));
                }
                outcome => outcomes.push((path.clone(), outcome)),
            }
        }
        self.commit_lines(lines, true).await?;
        Ok(outcomes)
    }

    async fn batch_details(
        &self,
        caller: &Caller,
        grants: &Grants,
        path: &SecretPath,
    ) -> Result<(Result<SecretDetails, VaultError>, Unit), VaultError> {
        let (list, action) = (Permission::List, Action::List);
        if let Err(reason) = decided(caller, grants, list, path, self.now()) {
            let error = VaultError::Denied(reason);
            let refusal = self
                .refusal(caller, action, Some(list), Some(path), &error)
                .await?;
            return Ok((Err(error), refusal));
        }
        let outcome = self.details_at(caller, path).await;
        let (now, extra) = (self.now(), AuditExtra::default());
        let row = match &outcome {
            Ok(_) => caller.row(action, Some(path), now, extra),
            Err(error) => caller.failed_row(action, Some(path), now, error.code(), extra),
        };
        Ok((outcome, Unit::audit_only(row)))
    }

    async fn details_at(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<SecretDetails, VaultError> {
        let head = SecretReads::secret_find(&*self.store, caller.tenant(), path)
            .await?
            .filter(|head| !head.is_deleted())
            .ok_or(VaultError::NotFound(Missing::Secret))?;
        self.details_of(head).await
    }

    /// A page of the metadata of all secrets that any of the patterns matches and the caller may
    /// list. What it may not is left out as if absent.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without the scope.
    pub async fn secret_details_matching(
        &self,
        caller: &Caller,
        patterns: &[PathPattern],
        after: Option<&str>,
        limit: usize,
    ) -> Result<MetadataPage, VaultError> {
        self.require(caller, Scope::SecretsList, Action::List)
            .await?;
        let query = SecretQuery {
            filter: SecretFilter {
                prefix: common_prefix(patterns),
                ..SecretFilter::default()
            },
            patterns: patterns.to_vec(),
            ..SecretQuery::default()
        };
        let walk = self.secret_walk(caller, &query, after, limit).await?;
        let mut secrets = Vec::with_capacity(walk.heads.len());
        for head in walk.heads {
            secrets.push(self.details_of(head).await?);
        }
        let now = self.now();
        let row = |details: &SecretDetails| {
            let head: &SecretHead = &details.head;
            caller.row(Action::List, Some(&head.path), now, AuditExtra::default())
        };
        let mut unit = Unit::new(UnitName::AuditOnly);
        unit.audit = secrets.iter().map(row).collect();
        let extra = AuditExtra {
            count: u64::try_from(secrets.len()).ok(),
            ..AuditExtra::default()
        };
        unit = unit.audited(caller.row(Action::List, None, now, extra));
        self.commit(unit).await?;
        Ok(MetadataPage {
            secrets,
            next: walk.next,
        })
    }

    /// Puts the lines on the trail in one commit; without those of what does not leave after all
    /// when `all` is false.
    async fn commit_lines(&self, lines: Vec<Line>, all: bool) -> Result<(), VaultError> {
        let unit = lines
            .into_iter()
            .filter(|line| all || !line.succeeded)
            .map(|line| line.unit)
            .fold(Unit::new(UnitName::AuditOnly), Unit::and);
        if !unit.audit.is_empty() {
            self.commit(unit).await?;
        }
        Ok(())
    }
}

/// What every path that any of the patterns matches begins with.
fn common_prefix(patterns: &[PathPattern]) -> String {
    let literal = |pattern: &PathPattern| {
        let text = pattern.as_str();
        let end = text.find(['*', '?']).unwrap_or(text.len());
        // A `.` is legal in a pattern and in no path: what stands before it is enough to go by.
        text[..end].split('.').next().unwrap_or_default().to_owned()
    };
    let mut texts = patterns.iter().map(literal);
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |common, text| {
        let same = common.bytes().zip(text.bytes());
        let length = same.take_while(|(one, other)| one == other).count();
        common[..length].to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_looked_for_where_they_begin_alike() {
        let check = |texts: &[&str], expect: &str| {
            let parse = |text: &&str| PathPattern::parse(text).unwrap();
            let patterns: Vec<_> = texts.iter().map(parse).collect();
            assert_eq!(common_prefix(&patterns), expect, "{texts:?}");
        };
        check(&["app/*"], "app/");
        check(&["app/db/*", "app/de?p/x"], "app/d");
        check(&["app/**", "other"], "");
        check(&["**/ssl/*", "app/x"], "");
        check(&["secrets/a.key"], "secrets/a");
        check(&["app/db"], "app/db");
    }
}
