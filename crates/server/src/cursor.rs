//! Pages: where one ends, in a form that says nothing and cannot be forged.

use scaivault_api::ErrorCode;
use scaivault_engine::{Caller, Vault};

use crate::app::App;
use crate::problem::Problem;
use crate::query::Query;

/// The cursors of one list, for one caller's tenant.
pub(crate) struct Cursors<'a> {
    vault: &'a Vault,
    caller: &'a Caller,
    list: &'static str,
}

impl<'a> Cursors<'a> {
    pub(crate) fn of(app: &'a App, caller: &'a Caller, list: &'static str) -> Self {
        Self {
            vault: &app.vault,
            caller,
            list,
        }
    }

    /// The place the request's cursor names, if it has one.
    pub(crate) fn after(&self, query: &Query) -> Result<Option<String>, Problem> {
        query.text("cursor").map(|text| self.open(text)).transpose()
    }

    /// The place a cursor names.
    pub(crate) fn open(&self, text: &str) -> Result<String, Problem> {
        self.vault
            .cursor_open(self.caller.tenant(), self.list, text)
            .ok_or_else(invalid)
    }

    /// The cursor that goes on after a place.
    pub(crate) fn at(&self, place: &str) -> Result<String, Problem> {
        Ok(self
            .vault
            .cursor_seal(self.caller.tenant(), self.list, place)?)
    }

    /// Cuts one row more than the page off, and the cursor that goes on after the last row.
    pub(crate) fn page<T>(
        &self,
        mut rows: Vec<T>,
        limit: usize,
        place: impl Fn(&T) -> &str,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| self.at(place(row))).transpose()?;
        Ok((rows, next))
    }
}

/// Not a cursor of this list.
pub(crate) fn invalid() -> Problem {
    Problem::new(
        ErrorCode::InvalidCursor,
        "the cursor is not one this list gave out",
    )
}

#[cfg(test)]
mod tests {
    use scaivault_core::ids::TenantId;
    use scaivault_crypto::root::key_file;
    use scaivault_crypto::{RootKey, SystemEntropy};
    use scaivault_engine::{Issuers, default_tenant};
    use scaivault_store::SqliteOptions;

    use super::*;
    use crate::assembly::{Opened, open_vault};
    use crate::egress::{EgressPolicy, TargetPolicy};
    use crate::storage::Storage;

    async fn opened(home: &std::path::Path, root: &RootKey) -> Opened {
        let file = SqliteOptions::file(home.join("scaivault.db"));
        let storage = Storage::open_file(file).unwrap();
        let targets = TargetPolicy::default();
        open_vault(
            storage,
            root,
            EgressPolicy::dev(),
            targets,
            Issuers::default(),
            1 << 20,
        )
        .await
        .unwrap()
    }

    fn at<'a>(vault: &'a Vault, caller: &'a Caller, list: &'static str) -> Cursors<'a> {
        Cursors {
            vault,
            caller,
            list,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn cursors_say_nothing_and_open_only_for_their_list_and_tenant() {
        let home = tempfile::tempdir().unwrap();
        let root = key_file::create(&home.path().join("root.key"), &SystemEntropy).unwrap();
        let opened = opened(home.path(), &root).await;
        let vault = &*opened.vault;
        let caller = Caller::system(default_tenant(), "test", vault.now());
        let policies = at(vault, &caller, "policies");
        let text = policies.at("hidden/path").unwrap();
        assert_ne!(text, policies.at("hidden/path").unwrap());
        let asked = |text: &str| Query::parse(Some(&format!("cursor={text}"))).unwrap();
        let query = asked(&text);
        let place = policies.after(&query).unwrap();
        assert_eq!(place.as_deref(), Some("hidden/path"));
        let refused = |cursors: &Cursors<'_>, query: &Query| {
            let code = cursors.after(query).unwrap_err().code;
            assert_eq!(code, ErrorCode::InvalidCursor);
        };
        refused(&at(vault, &caller, "tokens"), &query);
        let other = TenantId::parse("tnt_other").unwrap();
        let other = Caller::system(other, "test", vault.now());
        refused(&at(vault, &other, "policies"), &query);
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            refused(&policies, &asked(&altered));
        }
        let long = "A".repeat(100_000);
        for foreign in ["x", "eyJsIjoicG9saWNpZXMiLCJwIjoicG9sXzEifQ", &long] {
            refused(&policies, &asked(foreign));
        }
        assert!(policies.after(&asked("")).unwrap().is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn cursors_outlive_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let root = key_file::create(&home.path().join("root.key"), &SystemEntropy).unwrap();
        let tenant = default_tenant();
        let first = opened(home.path(), &root).await;
        let text = first.vault.cursor_seal(&tenant, "secrets", "a/b").unwrap();
        drop(first);
        let second = opened(home.path(), &root).await;
        let place = second.vault.cursor_open(&tenant, "secrets", &text);
        assert_eq!(place.as_deref(), Some("a/b"));
    }
}
