//! Keys that a service mints over HTTP: several at a time, each with an id of its own.
//!
//! What a service expects and answers is a description, not code. The connector mints a key named
//! after the rotation, tries it, and revokes the old one by its id. Services give a key's value
//! only once, so an answer that was lost is not asked for again: what it left is found by its
//! name, revoked, and another key is minted.

mod accounts;
mod description;
mod exchange;
mod keys;
mod label;
mod settings;
mod settling;
mod sound;
mod template;
mod times;
mod verdict;
mod wiped;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Call, Candidate, Check, Connector, Descriptor, Effect, Entropy, FieldProblem, Login, Missing,
    Reach, Refusal, Residue, Sessions,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::exchange::Fault;
use self::keys::{Keys, Listing};
use self::settings::Settings;
use self::settling::Settling;
use crate::value;

/// The connector.
pub struct HttpKey {
    reach: Arc<dyn Reach>,
    settling: Settling,
}

impl HttpKey {
    /// Services are reached through `reach` alone.
    pub fn new(reach: Arc<dyn Reach>) -> Self {
        Self {
            reach,
            settling: Settling::default(),
        }
    }

    /// How much longer an observation has to last before it counts.
    fn unsettled(&self, settings: &Settings, of: settling::Digest) -> Option<Trouble> {
        let window = Duration::from_secs(settings.description.service.consistency_seconds);
        let left = self.settling.refused(of, Instant::now(), window)?;
        // Rounded up: asked again too early, it would only be told to wait once more.
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(
            Trouble::new(TroubleKind::Throttled)
                .code("settling")
                .retry_after(seconds),
        )
    }

    async fn try_login(&self, call: &Call<'_>, credential: &Plaintext) -> Result<Login, Trouble> {
        let settings = Settings::of(call.settings)?;
        let description = &settings.description;
        let key = value::needed(credential, &description.fields.key)?;
        let digest = settling::digest(settings.base.as_str(), &key);
        let keys = Keys::open(&*self.reach, &settings, call).await?;
        let answer = keys.attempt(credential).await.map_err(Fault::trouble)?;
        let statuses = &description.statuses;
        let status = answer.status;
        let trouble = |kind: TroubleKind| Trouble::new(kind).code(status.to_string());
        if description.validate.expect.contains(&status) {
            self.settling.accepted(&digest);
            return Ok(Login::Accepted);
        }
        if statuses.throttled.contains(&status) {
            let mut throttled = trouble(TroubleKind::Throttled);
            throttled.retry_after_s = answer.retry_after;
            return Err(throttled);
        }
        if statuses.refused.contains(&status) || statuses.forbidden.contains(&status) {
            return Ok(match self.unsettled(&settings, digest) {
                Some(trouble) => Login::Unknown(trouble),
                None => Login::Refused(Refusal::Credential),
            });
        }
        Err(trouble(if status >= 500 {
            TroubleKind::Interrupted
        } else {
            TroubleKind::Protocol
        }))
    }

    async fn try_sessions(
        &self,
        call: &Call<'_>,
        credential: &Plaintext,
    ) -> Result<Sessions, Trouble> {
        let settings = Settings::of(call.settings)?;
        let (Some(_), Some(promoted_for)) =
            (&settings.description.list.last_used, call.promoted_for)
        else {
            return Ok(Sessions::NotObservable);
        };
        let keys = Keys::open(&*self.reach, &settings, call).await?;
        let id = keys.id(credential)?;
        let listing = keys.list().await?;
        let Some(item) = listing.items.iter().find(|item| item.id == *id) else {
            listing.whole()?;
            return Ok(Sessions::Open(0));
        };
        let used = match &item.last_used {
            None | Some(Value::Null) => return Ok(Sessions::Open(0)),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => times::rfc3339(text),
            Some(_) => None,
        };
        let unclear = || Trouble::new(TroubleKind::Protocol).code("last_used");
        let (used, now) = used.zip(listing.date).ok_or_else(unclear)?;
        let promoted_for = i64::try_from(promoted_for.as_secs()).unwrap_or(i64::MAX);
        // A use in the very second of the promotion counts: better one look more.
        let since = used >= now.saturating_sub(promoted_for);
        Ok(Sessions::Open(u64::from(since)))
    }

    async fn try_retire(
        &self,
        call: &Call<'_>,
        dead: &Plaintext,
        keep: Option<&Plaintext>,
    ) -> Result<Effect, Trouble> {
        let settings = Settings::of(call.settings)?;
        let keys = Keys::open(&*self.reach, &settings, call).await?;
        let id = keys.id(dead)?;
        let field = &settings.description.fields.id;
        let is_its = |other: &Plaintext| value::text(other, field).is_some_and(|other| other == id);
        if keep.is_some_and(is_its) || call.manager.is_some_and(is_its) {
            return Err(Trouble::new(TroubleKind::Credential)
                .remedy("the value to revoke has the id of one that is kept"));
        }
        Ok(keys.revoke(&id).await)
    }

    async fn try_residue(&self, call: &Call<'_>) -> Result<Residue, Trouble> {
        let settings = Settings::of(call.settings)?;
        let keys = Keys::open(&*self.reach, &settings, call).await?;
        let base = label::base(call);
        let listing = keys.list().await?;
        let of_this = listing.of(&base);
        let count = of_this.filter(|(_, epoch)| *epoch <= call.epoch).count();
        if count > 0 {
            self.settling.accepted(&residue_digest(&settings, &base));
            return Ok(Residue::Found(u64::try_from(count).unwrap_or(u64::MAX)));
        }
        listing.whole()?;
        // A key that was just made may not be listed yet.
        match self.unsettled(&settings, residue_digest(&settings, &base)) {
            Some(trouble) => Err(trouble),
            None => Ok(Residue::None),
        }
    }

    async fn try_all(&self, call: &Call<'_>, base: &str, until: u64) -> Result<Effect, Trouble> {
        let settings = Settings::of(call.settings)?;
        let keys = Keys::open(&*self.reach, &settings, call).await?;
        Ok(keys.revoke_all(base, until).await)
    }

    async fn try_check(&self, call: &Call<'_>) -> Result<Check, Trouble> {
        let settings = Settings::of(call.settings)?;
        let keys = Keys::open(&*self.reach, &settings, call).await?;
        let mut check = Check {
            server: settings.description.service.name.clone(),
            manager: "the manager's key".to_owned(),
            overlaps: vec![Overlap::NKeys],
            ..Check::default()
        };
        if let Some(username) = call
            .manager
            .and_then(|manager| value::text(manager, "username"))
        {
            check.manager.clone_from(&username);
        }
        let rights = keys.lacking().await?;
        for right in rights.iter().flatten() {
            check.missing.push(Missing {
                what: format!("the right {right}"),
                statement: verdict::grant(&settings.description),
            });
        }
        if rights.as_ref().is_some_and(Vec::is_empty) {
            check.may.push("create, list and revoke keys".to_owned());
        }
        match keys.list().await {
            Ok(listing) => listed(&settings, &listing, &mut check),
            Err(trouble) if trouble.kind == TroubleKind::Privilege => {
                if check.missing.is_empty() {
                    check.missing.push(Missing {
                        what: "list keys".to_owned(),
                        statement: verdict::grant(&settings.description),
                    });
                }
            }
            Err(trouble) if trouble.kind == TroubleKind::Settings && call.account.is_empty() => {
                let warning =
                    "the list is asked for with an attachment's fields: check one of those";
                check.warnings.push(warning.to_owned());
            }
            Err(trouble) => return Err(trouble),
        }
        Ok(check)
    }
}

/// What is remembered about a rotation's residue. The colon keeps it apart from keys.
fn residue_digest(settings: &Settings, base: &str) -> settling::Digest {
    settling::digest(settings.base.as_str(), &format!("residue:{base}"))
}

fn listed(settings: &Settings, listing: &Listing, check: &mut Check) {
    check.may.push("list keys".to_owned());
    if !listing.complete {
        check
            .warnings
            .push("the list has more pages than are read: minting is refused".to_owned());
    }
    if let Some(max) = settings.description.service.max_keys
        && listing.total >= max
    {
        check.warnings.push(format!(
            "{} of {max} keys exist: another cannot be minted until one is revoked",
            listing.total
        ));
    }
    if settings.description.list.last_used.is_none() {
        check
            .warnings
            .push("the service does not tell when a key was last used".to_owned());
    }
}

#[async_trait]
impl Connector for HttpKey {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "http_key",
            about: "API keys that a service mints over HTTP, from a description",
            overlaps: &[Overlap::NKeys],
            needs_manager: true,
            rotates_manager: false,
        }
    }

    fn check_settings(&self, settings: &Map<String, Value>) -> Vec<FieldProblem> {
        Settings::read(settings).err().unwrap_or_default()
    }

    fn check_account(&self, account: &Map<String, Value>, overlap: Overlap) -> Vec<FieldProblem> {
        let mut problems = settings::account_problems(account);
        if overlap != Overlap::NKeys {
            problems.push(("overlap".to_owned(), "is n_keys".to_owned()));
        }
        problems
    }

    async fn check(&self, call: &Call<'_>) -> Result<Check, Trouble> {
        self.try_check(call).await
    }

    fn candidate(
        &self,
        call: &Call<'_>,
        current: Option<&Plaintext>,
        _entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble> {
        let settings = Settings::of(call.settings)?;
        let given = keys::fields(call.account);
        for field in sound::account_fields(&settings.description) {
            if !given.is_some_and(|given| given.contains_key(&field)) {
                return Err(Trouble::new(TroubleKind::Settings)
                    .remedy(format!("give the attachment's `fields` a field `{field}`")));
            }
        }
        if let Some(current) = current {
            // Without its id the current key could never be revoked.
            value::needed(current, &settings.description.fields.id)?;
        }
        Ok(Candidate::Minted)
    }

    async fn apply(
        &self,
        call: &Call<'_>,
        candidate: Option<&Plaintext>,
        current: Option<&Plaintext>,
    ) -> Effect {
        if candidate.is_some() || call.overlap != Overlap::NKeys {
            // A key that was revoked does not come back: healing is another mint.
            return Effect::NotApplied(TroubleKind::Unsupported.into());
        }
        let settings = match Settings::of(call.settings) {
            Ok(settings) => settings,
            Err(trouble) => return Effect::NotApplied(trouble),
        };
        match Keys::open(&*self.reach, &settings, call).await {
            Ok(keys) => {
                // From here on something may lie there that is not listed yet.
                let base = label::base(call);
                self.settling.accepted(&residue_digest(&settings, &base));
                keys.mint(current).await
            }
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }

    async fn login(&self, call: &Call<'_>, credential: &Plaintext) -> Login {
        let login = self.try_login(call, credential).await;
        login.unwrap_or_else(Login::Unknown)
    }

    async fn sessions(&self, call: &Call<'_>, credential: &Plaintext) -> Sessions {
        let sessions = self.try_sessions(call, credential).await;
        sessions.unwrap_or_else(Sessions::Unknown)
    }

    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect {
        let effect = self.try_retire(call, dead, keep).await;
        effect.unwrap_or_else(Effect::NotApplied)
    }

    async fn residue(&self, call: &Call<'_>) -> Residue {
        self.try_residue(call)
            .await
            .unwrap_or_else(Residue::Unknown)
    }

    async fn clear(&self, call: &Call<'_>) -> Effect {
        let effect = self.try_all(call, &label::base(call), call.epoch).await;
        effect.unwrap_or_else(Effect::NotApplied)
    }

    fn rehearsal_account(&self, call: &Call<'_>) -> Option<Map<String, Value>> {
        if call.overlap != Overlap::NKeys {
            return None;
        }
        let mut account = call.account.clone();
        let name = label::rehearsal(call.tag);
        account.insert(label::REHEARSAL_FIELD.to_owned(), Value::String(name));
        Some(account)
    }

    async fn remove(&self, call: &Call<'_>) -> Effect {
        match value::setting(call.account, label::REHEARSAL_FIELD) {
            Some(name) if label::is_rehearsal(name) => {
                let effect = self.try_all(call, name, u64::MAX).await;
                effect.unwrap_or_else(Effect::NotApplied)
            }
            _ => Effect::NotApplied(TroubleKind::Settings.into()),
        }
    }

    fn swept_account(&self, name: &str) -> (Overlap, Map<String, Value>) {
        let mut account = Map::new();
        let field = label::REHEARSAL_FIELD.to_owned();
        account.insert(field, Value::String(name.to_owned()));
        (Overlap::NKeys, account)
    }

    async fn tags(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        let settings = Settings::of(call.settings)?;
        let keys = Keys::open(&*self.reach, &settings, call).await?;
        let listing = keys.list().await?;
        let names = listing.items.iter();
        let mut found: Vec<String> = names
            .filter_map(|item| label::split(&item.name))
            .filter(|(base, _)| !label::is_rehearsal(base))
            .filter_map(|(base, _)| base.strip_prefix(label::PREFIX))
            .map(str::to_owned)
            .collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    async fn sweep(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        let settings = Settings::of(call.settings)?;
        let keys = Keys::open(&*self.reach, &settings, call).await?;
        let listing = keys.list().await?;
        listing.whole()?;
        let names = listing
            .items
            .iter()
            .filter_map(|item| label::split(&item.name));
        let mut found: Vec<String> = names
            .map(|(base, _)| base.to_owned())
            .filter(|base| label::is_rehearsal(base))
            .collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn accounts(&self) -> Option<&dyn scaivault_core::ports::Accounts> {
        Some(self)
    }
}
