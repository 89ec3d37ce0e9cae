//! Lists that come in pages.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use scaivault_api::audit::{AuditExportList, AuditLogs, AuditTrail};
use scaivault_api::campaign::CampaignList;
use scaivault_api::debt::DebtList;
use scaivault_api::dynamic::{EngineList, EngineRoleList, LeaseList};
use scaivault_api::machine::{RoleList, SecretIdList};
use scaivault_api::policy::PolicyList;
use scaivault_api::rotation::{RotationList, RotationPolicyList};
use scaivault_api::secret::SecretList;
use scaivault_api::secret_policy::SecretPolicyList;
use scaivault_api::target::TargetList;
use scaivault_api::token::TokenList;

use crate::call::{Call, Json};
use crate::client::Client;
use crate::error::ClientError;
use crate::exchange::Request;

/// Entries asked for at once.
const PAGE_LIMIT: usize = 1000;

/// A page of a list.
pub trait Page: DeserializeOwned {
    /// The key of the entries in the JSON.
    const ITEMS: &'static str;
    /// Entries on this page.
    fn len(&self) -> usize;
    /// Where the next page starts; `None` on the last.
    fn next(&self) -> Option<&str>;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! pages {
    ($($list:ty: $items:ident;)*) => {
        $(impl Page for $list {
            const ITEMS: &'static str = stringify!($items);

            fn len(&self) -> usize {
                self.$items.len()
            }

            fn next(&self) -> Option<&str> {
                // Both are looked at, so that a server that leaves a last cursor ends the walk.
                self.cursor.as_deref().filter(|_| self.has_more)
            }
        })*
    };
}

pages! {
    AuditLogs: logs;
    AuditTrail: logs;
    AuditExportList: exports;
    CampaignList: data;
    PolicyList: policies;
    RoleList: roles;
    SecretIdList: secret_ids;
    DebtList: data;
    EngineList: engines;
    EngineRoleList: roles;
    LeaseList: leases;
    RotationList: data;
    RotationPolicyList: data;
    SecretList: secrets;
    SecretPolicyList: secret_policies;
    TargetList: data;
    TokenList: tokens;
}

/// Walks a list. A page is asked for when [`Pages::next`] is called, and not before.
#[must_use = "nothing is sent until the first page is asked for"]
pub struct Pages<P> {
    client: Client,
    /// `None` at the end.
    step: Option<Step>,
    remaining: Option<usize>,
    page_limit: usize,
    page: PhantomData<fn() -> P>,
}

struct Step {
    request: Result<Request, ClientError>,
    cursor: Option<String>,
}

impl<P: Page> Pages<P> {
    pub(crate) fn new(call: Call<P>) -> Self {
        let (client, request) = call.into_parts();
        // A limit in the query is the size of a page, as it is for a single call.
        let given = request.as_ref().ok().and_then(|request| {
            let limit = request.query.iter().find(|(name, _)| *name == "limit");
            limit.and_then(|(_, value)| value.parse().ok())
        });
        Self {
            client,
            step: Some(Step {
                request,
                cursor: None,
            }),
            remaining: None,
            page_limit: given.unwrap_or(PAGE_LIMIT),
            page: PhantomData,
        }
    }

    /// Stops after `total` entries. The last page is asked for no longer than it needs to be, so
    /// its cursor goes on exactly where this walk ended.
    pub fn up_to(mut self, total: Option<usize>) -> Self {
        self.remaining = total;
        self
    }

    /// The next page and the server's JSON of it, or `None` after the last.
    ///
    /// # Errors
    /// As for any call; afterwards the walk is at its end.
    pub async fn next(&mut self) -> Result<Option<(P, Json<P>)>, ClientError> {
        let limit = self
            .remaining
            .map_or(self.page_limit, |left| left.min(self.page_limit));
        let Some(step) = self.step.take().filter(|_| limit > 0) else {
            return Ok(None);
        };
        let mut request = step.request?;
        request.query.retain(|(name, _)| *name != "limit");
        request.query.push(("limit", limit.to_string()));
        if let Some(cursor) = &step.cursor {
            request.query.retain(|(name, _)| *name != "cursor");
            request.query.push(("cursor", cursor.clone()));
        }
        let json = Call::from_request(&self.client, request.clone())
            .json()
            .await?;
        let page: P = json.parse()?;
        self.remaining = self.remaining.map(|left| left.saturating_sub(page.len()));
        // A server that answers the same cursor again would keep us here for ever.
        let next = page
            .next()
            .filter(|next| Some(*next) != step.cursor.as_deref());
        if let Some(next) = next.filter(|_| self.remaining != Some(0)) {
            self.step = Some(Step {
                request: Ok(request),
                cursor: Some(next.to_owned()),
            });
        }
        Ok(Some((page, json)))
    }

    /// All entries of all remaining pages as the pages they came in.
    ///
    /// # Errors
    /// As for [`Pages::next`]; what was read before the error is lost.
    pub async fn all(mut self) -> Result<Vec<P>, ClientError> {
        let mut pages = Vec::new();
        while let Some((page, _)) = self.next().await? {
            pages.push(page);
        }
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use crate::SecretQuery;
    use crate::testing::{Responder, Script};

    fn page(paths: &[&str], cursor: Option<&str>) -> Script {
        let secrets: Vec<_> = paths
            .iter()
            .map(|path| {
                serde_json::json!({
                    "path": path, "secret_type": "json", "version": 1, "metadata": {},
                    "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
                    "expires_at": null, "rotation_policy_id": null, "secret_policy_id": null,
                    "max_versions": 10
                })
            })
            .collect();
        Script::json(
            200,
            &serde_json::json!({"secrets": secrets, "cursor": cursor, "has_more": cursor.is_some()})
                .to_string(),
        )
    }

    #[tokio::test]
    async fn follows_cursors_and_asks_for_no_more_than_needed() {
        let script = vec![page(&["a", "b"], Some("c 1")), page(&["c"], Some("c2"))];
        let server = Responder::start(script).await;
        let client = server.client();
        let query = SecretQuery {
            prefix: Some("x/".to_owned()),
            limit: Some(2),
            ..Default::default()
        };
        let mut pages = client.secrets().list(&query).pages().up_to(Some(3));
        let mut seen = Vec::new();
        while let Some((page, _)) = pages.next().await.expect("page") {
            seen.extend(page.secrets.into_iter().map(|secret| secret.path));
        }
        assert_eq!(seen, ["a", "b", "c"]);
        let lines = server.lines();
        assert_eq!(lines[0], "GET /v1/secrets?prefix=x%2F&limit=2");
        assert_eq!(lines[1], "GET /v1/secrets?prefix=x%2F&limit=1&cursor=c+1");
        assert_eq!(lines.len(), 2);
    }

    #[tokio::test]
    async fn a_cursor_that_stands_still_ends_the_walk() {
        let script = vec![page(&["a"], Some("same")), page(&["b"], Some("same"))];
        let server = Responder::start(script).await;
        let client = server.client();
        let pages = client
            .secrets()
            .list(&SecretQuery::default())
            .pages()
            .all()
            .await;
        assert_eq!(pages.expect("pages").len(), 2);
        assert_eq!(server.lines()[0], "GET /v1/secrets?limit=1000");
    }
}
