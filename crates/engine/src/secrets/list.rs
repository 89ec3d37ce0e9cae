//! Lists of secrets: one walk over the paths in order, which leaves out what the caller may not
//! list as if it were absent, and folds what lies below a folder into one line when asked to.

use std::collections::HashMap;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AssignmentReads, SecretFilter, SecretReads, Unit};
use scaivault_core::rotation::Assignment;
use scaivault_core::secret::SecretHead;

use crate::access::decided;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Rows looked at for one page of a list: visible ones may be sparse.
const SCAN_MAX: usize = 10_000;
const SCAN_STEP: usize = 500;
/// Behind every character of a path: a folder with it is behind everything in the folder.
const BEHIND: char = '~';

/// What to list. Everything asked for must hold.
#[derive(Debug, Clone, Default)]
pub struct SecretQuery {
    /// What the store can look for.
    pub filter: SecretFilter,
    /// All of these tags.
    pub tags: Vec<String>,
    /// Text somewhere in path, description, tags or owner, whatever its case.
    pub text: Option<String>,
    /// Any of these patterns; empty for all.
    pub patterns: Vec<PathPattern>,
    /// Only directly below the prefix.
    pub shallow: bool,
    /// What lies deeper than the prefix is told as one folder.
    pub folders: bool,
}

/// A page of a list.
#[derive(Debug, Default)]
pub struct SecretPage {
    /// Secrets with their schedules, by path.
    pub secrets: Vec<(SecretHead, Option<Assignment>)>,
    /// Folders with something in them, each with its slash, by path.
    pub folders: Vec<String>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

impl SecretQuery {
    /// The folder directly below the prefix that a path lies in.
    fn folder<'a>(&self, path: &'a str) -> Option<&'a str> {
        let start = self.filter.prefix.len();
        let end = path.get(start..)?.find('/')?;
        path.get(..=start + end)
    }

    fn wants(&self, head: &SecretHead) -> bool {
        let metadata = &head.metadata;
        let path = head.path.as_str();
        (!self.shallow || self.folder(path).is_none())
            && self.tags.iter().all(|tag| metadata.tags.contains(tag))
            && (self.patterns.is_empty() || self.patterns.iter().any(|p| p.matches(&head.path)))
            && self.text.as_ref().is_none_or(|wanted| {
                let words = [Some(path), metadata.description.as_deref()];
                let words = words.into_iter().chain([metadata.owner.as_deref()]);
                let tags = metadata.tags.iter().map(String::as_str);
                words
                    .flatten()
                    .chain(tags)
                    .any(|word| word.to_lowercase().contains(&wanted.to_lowercase()))
            })
    }
}

/// What one walk found.
pub(super) struct Walk {
    pub(super) heads: Vec<SecretHead>,
    pub(super) folders: Vec<String>,
    pub(super) next: Option<String>,
}

impl Vault {
    /// A page of the secrets the caller may list, by path, and whether there may be more after
    /// the last path looked at. Paths it may not list are left out silently, as if absent.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without the scope.
    pub async fn secret_list(
        &self,
        caller: &Caller,
        query: &SecretQuery,
        after: Option<&str>,
        limit: usize,
    ) -> Result<SecretPage, VaultError> {
        self.require(caller, Scope::SecretsList, Action::List)
            .await?;
        let walk = self.secret_walk(caller, query, after, limit).await?;
        let paths: Vec<SecretPath> = walk.heads.iter().map(|head| head.path.clone()).collect();
        let attached =
            AssignmentReads::assignment_of(&*self.store, caller.tenant(), &paths).await?;
        let mut attached: HashMap<SecretPath, Assignment> = attached
            .into_iter()
            .map(|assignment| (assignment.path.clone(), assignment))
            .collect();
        let secrets: Vec<(SecretHead, Option<Assignment>)> = walk
            .heads
            .into_iter()
            .map(|head| {
                let assignment = attached.remove(&head.path);
                (head, assignment)
            })
            .collect();
        let extra = AuditExtra {
            count: u64::try_from(secrets.len() + walk.folders.len()).ok(),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::List, None, self.now(), extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(SecretPage {
            secrets,
            folders: walk.folders,
            next: walk.next,
        })
    }

    /// The walk behind lists. Each path is decided on; a folder is told once something in it may
    /// be listed, and the rest of it is not read.
    pub(super) async fn secret_walk(
        &self,
        caller: &Caller,
        query: &SecretQuery,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Walk, VaultError> {
        let mut walk = Walk {
            heads: Vec::new(),
            folders: Vec::new(),
            next: None,
        };
        let mut after = after.map(str::to_owned);
        let mut scanned = 0;
        let grants = self.grants_for(caller).await?;
        // Most often all of them are visible: a page and one more, to see whether there is more.
        let mut step = (limit + 1).min(SCAN_STEP);
        loop {
            let rows = SecretReads::secret_list(
                &*self.store,
                caller.tenant(),
                &query.filter,
                after.as_deref(),
                step,
            )
            .await?;
            let last_page = rows.len() < step;
            step = SCAN_STEP;
            scanned += rows.len();
            for head in rows {
                let path = head.path.as_str();
                if after.as_deref().is_some_and(|after| path <= after) {
                    continue; // in the folder told last
                }
                if walk.heads.len() + walk.folders.len() == limit {
                    walk.next = after;
                    return Ok(walk);
                }
                after = Some(path.to_owned());
                let now = self.now();
                if !query.wants(&head)
                    || decided(caller, &grants, Permission::List, &head.path, now).is_err()
                {
                    continue;
                }
                match query.folder(path).filter(|_| query.folders) {
                    Some(folder) => {
                        after = Some(format!("{folder}{BEHIND}"));
                        walk.folders.push(folder.to_owned());
                    }
                    None => walk.heads.push(head),
                }
            }
            if last_page {
                return Ok(walk);
            }
            if scanned >= SCAN_MAX {
                walk.next = after;
                return Ok(walk);
            }
        }
    }
}
