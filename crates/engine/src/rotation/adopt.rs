//! What a target is asked before a secret is attached to it: which overlap it supports for the
//! account, and whether it accepts the current value.

use std::collections::BTreeSet;
use std::sync::Arc;

use scaivault_core::debt::Owed;
use scaivault_core::ids::{TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AssignmentReads, Call, Check, Connector, Descriptor, Login, Refusal, TargetReads,
};
use scaivault_core::rotation::{Attached, RotationPolicy};
use scaivault_core::secret::SecretHead;
use scaivault_core::target::{Overlap, Target, Trouble};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::attach::{AttachTo, NEEDS_GAP, Planned};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// What the connector is told instead of a rotation's id: nothing is changed under it.
const TAG: &str = "adoption";
/// Attachments of a target read at a time.
const PAGE: usize = 500;

impl Vault {
    /// Finds the target and the overlap, and tries the current value there. Changes nothing.
    pub(super) async fn plan_attached(
        &self,
        caller: &Caller,
        policy: &RotationPolicy,
        path: &SecretPath,
        head: Option<&SecretHead>,
        to: &AttachTo,
    ) -> Result<Planned, VaultError> {
        let tenant = caller.tenant();
        let target = self.target_by(tenant, &to.target).await?;
        let Some(connector) = self.connectors.get(&target.connector) else {
            return refused("target", "is of a connector that this server does not have");
        };
        let descriptor = connector.descriptor();
        check_manager(&target, &descriptor, path, to)?;
        let has_value = head.is_some_and(|head| head.current_version > 0);
        let account = match has_value && to.manager {
            // Looked at here and sent nowhere.
            true => account_of(to, self.value_at(tenant, path).await?.as_ref()),
            false => account_of(to, None),
        };
        let offered = offered(&*connector, &descriptor, policy, to, &account)?;
        self.account_is_free(tenant, &target.id, path, &account)
            .await?;
        // Each value is on the trail before it is opened for the target.
        let asks = !(to.unverified && to.strategy.is_some());
        let manager = match &target.manager_path {
            Some(manager) if asks => self.value_for(caller, &target, manager).await?,
            _ => None,
        };
        let asked = Asked {
            connector,
            target: &target,
            account: &account,
            manager: manager.as_ref(),
        };
        let (overlap, warnings) = match to.strategy {
            Some(given) if !asks => (given, Vec::new()),
            _ => asked.overlap(&offered).await?,
        };
        if has_value
            && !to.unverified
            && let Some(current) = self.value_for(caller, &target, path).await?
        {
            asked.log_in(overlap, &current).await?;
        }
        let attached = Attached {
            target_id: target.id.clone(),
            target_name: target.name.clone(),
            overlap,
            account,
            is_manager: to.manager,
        };
        Ok(Planned {
            target,
            attached,
            warnings,
        })
    }

    async fn target_by(&self, tenant: &TenantId, text: &str) -> Result<Target, VaultError> {
        let by_id = match TargetId::parse(text) {
            Ok(id) => TargetReads::target_find(&*self.store, tenant, &id).await?,
            Err(_) => None,
        };
        let found = match by_id {
            Some(target) => Some(target),
            None => TargetReads::target_named(&*self.store, tenant, text).await?,
        };
        match found {
            Some(target) => Ok(target),
            None => refused("target", "is the id or the name of a target: there is none"),
        }
    }

    /// Two secrets of one account would change it behind each other's back.
    async fn account_is_free(
        &self,
        tenant: &TenantId,
        target: &TargetId,
        path: &SecretPath,
        account: &Map<String, Value>,
    ) -> Result<(), VaultError> {
        let names = names_of(account);
        let mut after: Option<String> = None;
        loop {
            let page = AssignmentReads::assignment_at_target(
                &*self.store,
                tenant,
                target,
                after.as_deref(),
                PAGE,
            )
            .await?;
            for row in page.iter().filter(|row| row.path != *path) {
                let theirs = row.attached.as_ref().map(|at| names_of(&at.account));
                if theirs.is_some_and(|theirs| !names.is_disjoint(&theirs)) {
                    let why = format!("is rotated as {} already", row.path);
                    return refused("account", why);
                }
            }
            match page.last().filter(|_| page.len() == PAGE) {
                Some(last) => after = Some(last.path.as_str().to_owned()),
                None => break,
            }
        }
        // Settling the debt of another secret would cut off this one.
        for debt in self.debts_at(tenant, target).await? {
            if let Owed::Credential {
                path: theirs,
                attached,
                ..
            } = &debt.owed
                && theirs != path
                && !names.is_disjoint(&names_of(&attached.account))
            {
                let why = format!(
                    "has a credential of {theirs} that is still to be revoked there: try again \
                     when the debt {} is settled, or write it off",
                    debt.id
                );
                return refused("account", why);
            }
        }
        Ok(())
    }
}

/// Whom the questions go to.
struct Asked<'a> {
    connector: Arc<dyn Connector>,
    target: &'a Target,
    account: &'a Map<String, Value>,
    manager: Option<&'a Plaintext>,
}

impl Asked<'_> {
    fn call(&self, overlap: Overlap) -> Call<'_> {
        Call {
            settings: &self.target.settings,
            account: self.account,
            overlap,
            manager: self.manager,
            tag: TAG,
            epoch: 0,
            promoted_for: None,
        }
    }

    /// The first of these that the target supports, and what should be known about it.
    async fn overlap(&self, offered: &[Overlap]) -> Result<(Overlap, Vec<String>), VaultError> {
        let first = offered.first().copied().unwrap_or(Overlap::None);
        let check = self.connector.check(&self.call(first)).await;
        let check = check.map_err(|trouble| not_adopted(&trouble))?;
        let chosen = offered
            .iter()
            .find(|overlap| check.overlaps.contains(overlap));
        match chosen {
            Some(overlap) => Ok((*overlap, warnings(check))),
            None => {
                let known: Vec<_> = check.overlaps.iter().map(|one| one.as_str()).collect();
                let why = format!("is not possible there; it supports: {}", known.join(", "));
                refused("strategy", why)
            }
        }
    }

    async fn log_in(&self, overlap: Overlap, current: &Plaintext) -> Result<(), VaultError> {
        match self.connector.login(&self.call(overlap), current).await {
            Login::Accepted => Ok(()),
            Login::Refused(refusal) => Err(VaultError::NotAdopted {
                trouble: refusal.as_str(),
                advice: format!(
                    "the target refuses the current value: {}; nothing was attached",
                    about(refusal)
                ),
            }),
            Login::Unknown(trouble) => Err(not_adopted(&trouble)),
        }
    }
}

fn about(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Credential => "wrong credential or no such account: write the right value first",
        Refusal::Locked => "the account is locked or may not log in: unlock it first",
        Refusal::Expired => "the password or the account has expired: renew it first",
        Refusal::AnotherAccount => {
            "it gets in as another account, which shadows the one it names: see the connector's page"
        }
    }
}

fn not_adopted(trouble: &Trouble) -> VaultError {
    let mut advice = format!("the target could not be asked: {trouble}");
    for remedy in &trouble.remedy {
        advice.push_str("; ");
        advice.push_str(remedy);
    }
    advice.push_str("; nothing was attached");
    VaultError::NotAdopted {
        trouble: trouble.kind.as_str(),
        advice,
    }
}

fn warnings(check: Check) -> Vec<String> {
    let missing = check.missing.into_iter();
    let missing = missing.map(|one| format!("{}: run {}", one.what, one.statement));
    check.warnings.into_iter().chain(missing).collect()
}

fn check_manager(
    target: &Target,
    descriptor: &Descriptor,
    path: &SecretPath,
    to: &AttachTo,
) -> Result<(), VaultError> {
    let is_manager_path = target.manager_path.as_ref() == Some(path);
    match (to.manager, is_manager_path) {
        (true, _) if !descriptor.rotates_manager => {
            refused("manager", "is not possible with this connector")
        }
        (true, false) => refused("manager", "is for the target's own manager secret alone"),
        (true, true) if to.create => refused("create", "is not for a manager: it exists"),
        (false, true) => refused("manager", "is needed: this is the target's manager secret"),
        _ => Ok(()),
    }
}

/// The account as given; a manager's is the one its value names.
fn account_of(to: &AttachTo, current: Option<&Plaintext>) -> Map<String, Value> {
    #[derive(Deserialize)]
    struct Named {
        username: Option<String>,
    }
    let given = to.account.clone().unwrap_or_default();
    if !to.manager || !given.is_empty() {
        return given;
    }
    let named = current.and_then(|value| serde_json::from_slice::<Named>(value.expose()).ok());
    let name = named.and_then(|named| named.username);
    name.map(|name| ("account".to_owned(), Value::String(name)))
        .into_iter()
        .collect()
}

/// The overlaps that come into question, the wanted one or safest first: what the connector can
/// do with this account and the policy accepts.
fn offered(
    connector: &dyn Connector,
    descriptor: &Descriptor,
    policy: &RotationPolicy,
    to: &AttachTo,
    account: &Map<String, Value>,
) -> Result<Vec<Overlap>, VaultError> {
    let mut all = descriptor.overlaps.to_vec();
    if let Some(wanted) = to.strategy {
        if !all.contains(&wanted) {
            let known: Vec<_> = all.iter().map(|one| one.as_str()).collect();
            return refused("strategy", format!("is one of: {}", known.join(", ")));
        }
        all = vec![wanted];
    } else if to.manager {
        // Its password is replaced in place wherever that is possible at all.
        all.sort_by_key(|overlap| *overlap != Overlap::None);
    }
    let problems = |overlap: Overlap| -> Vec<(String, String)> {
        let found = connector.check_account(account, overlap).into_iter();
        found
            .map(|(field, why)| match field.as_str() {
                "overlap" => ("strategy".to_owned(), why),
                _ => (format!("account.{field}"), why),
            })
            .collect()
    };
    let fits: Vec<Overlap> = all
        .iter()
        .copied()
        .filter(|overlap| problems(*overlap).is_empty())
        .collect();
    if fits.is_empty() {
        let first = all.first().copied().unwrap_or(Overlap::None);
        return Err(VaultError::Validation(problems(first)));
    }
    let accepted: Vec<Overlap> = fits
        .into_iter()
        .filter(|overlap| *overlap != Overlap::None || to.manager || policy.rules.accept_gap)
        .collect();
    if accepted.is_empty() {
        return refused("strategy", NEEDS_GAP);
    }
    Ok(accepted)
}

/// The names of the accounts an attachment is about. Connectors that mint have none.
pub(super) fn names_of(account: &Map<String, Value>) -> BTreeSet<&str> {
    let one = account.get("account").and_then(Value::as_str);
    let many = account.get("accounts").and_then(Value::as_array);
    let many = many.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many).collect()
}

fn refused<T>(field: &str, why: impl Into<String>) -> Result<T, VaultError> {
    Err(VaultError::Validation(vec![(field.to_owned(), why.into())]))
}
