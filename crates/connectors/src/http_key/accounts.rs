//! Keys made on request: each is named after its account, so that one whose answer was lost is
//! found and revoked like any other.

use async_trait::async_trait;
use futures_util::future::join_all;
use scaivault_core::dynamic::{NameTemplate, Owned, Role};
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Call, Effect, FieldProblem, Missing, NewAccount,
    OldAccount,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use serde_json::{Map, Value};

use super::keys::{Keys, Listing};
use super::settings::Settings;
use super::{HttpKey, label, residue_digest, settings, sound};
use crate::begun::Begun;

/// With what is put around it, shorter than what services take.
const NAME_CHARS_MAX: usize = 63;
const NAME_CHARS_MIN: usize = 20;
/// Keys revoked at a time.
const AT_A_TIME: usize = 8;

/// The parts of a call about one account.
struct About {
    account: Map<String, Value>,
}

impl About {
    /// The target's fields, and beside them a role's.
    fn new(name: &str, settings: &Settings, role: Option<&Role>) -> Self {
        let mut fields = settings.fields.clone();
        let own = role.and_then(|role| super::keys::fields(&role.settings));
        fields.extend(own.cloned().unwrap_or_default());
        let mut account = Map::new();
        account.insert("fields".to_owned(), Value::Object(fields));
        let base = Value::String(label::lease(name));
        account.insert(label::LEASE_FIELD.to_owned(), base);
        Self { account }
    }

    fn call<'a>(&'a self, call: &AccountCall<'a>) -> Call<'a> {
        Call {
            settings: call.settings,
            account: &self.account,
            overlap: Overlap::NKeys,
            manager: call.manager,
            tag: "",
            // A name is made once: nobody comes later under the same.
            epoch: 1,
            promoted_for: None,
        }
    }
}

fn check(role: &Role) -> Vec<FieldProblem> {
    let mut found: Vec<FieldProblem> = settings::account_problems(&role.settings)
        .into_iter()
        .map(|(field, what)| (format!("settings.{field}"), what))
        .collect();
    if role.settings.contains_key(label::REHEARSAL_FIELD) {
        found.push(("settings.rehearsal".to_owned(), "no such field".to_owned()));
    }
    for (field, statements) in [
        ("creation_statements", &role.creation_statements),
        ("rollback_statements", &role.rollback_statements),
        ("renew_statements", &role.renew_statements),
        ("revocation_statements", &role.revocation.statements),
    ] {
        if !statements.is_empty() {
            let what = "are not known here: the target's description has the requests, and \
                        settings.fields what they need";
            found.push((field.to_owned(), what.to_owned()));
        }
    }
    if role.revocation.owned != Owned::Keep {
        let what = "is not known here: a key owns nothing";
        found.push(("owned_objects".to_owned(), what.to_owned()));
    }
    if let Some(template) = &role.username_template
        && let Err(error) = NameTemplate::parse(template)
    {
        found.push(("username_template".to_owned(), error.to_string()));
    }
    found
}

/// Every field that is needed is there, and those that revoking needs are the target's: when a key
/// is revoked, or found without a lease, its role may be gone.
fn fields_fit(settings: &Settings, role: &Role) -> Result<(), Trouble> {
    let unfit = |text: String| Err(Trouble::new(TroubleKind::Settings).remedy(text));
    let of_role = super::keys::fields(&role.settings);
    let in_role = |field: &String| of_role.is_some_and(|own| own.contains_key(field));
    let target = &settings.fields;
    if let Some(field) = target.keys().find(|field| in_role(field)) {
        return unfit(format!(
            "leave `{field}` out of the role's `settings.fields`: it is the target's"
        ));
    }
    for field in sound::fields_of_revoking(&settings.description) {
        if !target.contains_key(&field) {
            return unfit(format!(
                "give the target's `fields` a field `{field}`: revoking needs it"
            ));
        }
    }
    for field in sound::account_fields(&settings.description) {
        if !target.contains_key(&field) && !in_role(&field) {
            return unfit(format!(
                "give the role's `settings.fields` a field `{field}`"
            ));
        }
    }
    Ok(())
}

impl HttpKey {
    async fn make(&self, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Result<Effect, Trouble> {
        let settings = Settings::of(call.settings)?;
        call.manager.ok_or(TroubleKind::ManagerMissing)?;
        fields_fit(&settings, new.role)?;
        let about = About::new(new.name, &settings, Some(new.role));
        let of = about.call(call);
        let begun = Begun::now();
        let keys = Keys::open(&*self.reach, &settings, &of).await?;
        begun.in_time()?;
        // From here on something may lie there that is not listed yet.
        let base = label::lease(new.name);
        self.settling.accepted(&residue_digest(&settings, &base));
        Ok(keys.mint(None).await)
    }

    /// An outcome for each, by one look at the list.
    async fn unmake(
        &self,
        call: &AccountCall<'_>,
        accounts: &[OldAccount<'_>],
    ) -> Result<Vec<Effect>, Trouble> {
        let settings = Settings::of(call.settings)?;
        call.manager.ok_or(TroubleKind::ManagerMissing)?;
        let about = About::new("", &settings, None);
        let of = about.call(call);
        let keys = Keys::open(&*self.reach, &settings, &of).await?;
        let listing = keys.list().await?;
        let mut effects = Vec::with_capacity(accounts.len());
        for some in accounts.chunks(AT_A_TIME) {
            let each = some.iter();
            let each = each.map(|account| self.unmake_one(&keys, &listing, account.name));
            effects.extend(join_all(each).await);
        }
        Ok(effects)
    }

    async fn unmake_one(&self, keys: &Keys<'_>, listing: &Listing, name: &str) -> Effect {
        let base = label::lease(name);
        let digest = residue_digest(keys.settings, &base);
        let mut found = false;
        for (item, _) in listing.of(&base) {
            match keys.revoke(&item.id).await {
                Effect::Applied(_) => found = true,
                Effect::NotApplied(trouble) if found => return Effect::Unknown(trouble),
                other => return other,
            }
        }
        if let Err(trouble) = listing.whole() {
            return match found {
                true => Effect::Unknown(trouble),
                false => Effect::NotApplied(trouble),
            };
        }
        // A key that was just made may not be listed yet.
        match self.unsettled(keys.settings, digest) {
            Some(trouble) if !found => Effect::NotApplied(trouble),
            _ => Effect::applied(),
        }
    }
}

#[async_trait]
impl Accounts for HttpKey {
    fn name_chars_max(&self) -> usize {
        NAME_CHARS_MAX
    }

    fn check_role(&self, role: &Role) -> Vec<FieldProblem> {
        check(role)
    }

    fn needs(&self, _missing: &Missing) -> bool {
        true
    }

    fn check_request(&self, _role: &Role, request: &AccountRequest<'_>) -> Vec<FieldProblem> {
        request.takes_nothing()
    }

    fn ends_by_itself(&self) -> bool {
        false
    }

    async fn create(&self, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Effect {
        let made = self.make(call, new).await;
        made.unwrap_or_else(Effect::NotApplied)
    }

    async fn renew(
        &self,
        _call: &AccountCall<'_>,
        _of: (&str, &Role),
        _until: Timestamp,
    ) -> Effect {
        // The service holds no end of a key.
        Effect::applied()
    }

    async fn remove(&self, call: &AccountCall<'_>, accounts: &[OldAccount<'_>]) -> Vec<Effect> {
        match self.unmake(call, accounts).await {
            Ok(effects) => effects,
            Err(trouble) => accounts
                .iter()
                .map(|_| Effect::NotApplied(trouble.clone()))
                .collect(),
        }
    }

    async fn names(&self, call: &AccountCall<'_>) -> Result<Vec<String>, Trouble> {
        let settings = Settings::of(call.settings)?;
        let about = About::new("", &settings, None);
        let of = about.call(call);
        let keys = Keys::open(&*self.reach, &settings, &of).await?;
        let listing = keys.list().await?;
        let bases = listing.items.iter();
        let bases = bases.filter_map(|item| label::split(&item.name));
        let names = bases.filter_map(|(base, _)| label::lease_name(base));
        let mut names: Vec<String> = names
            .filter(|name| name.len() >= NAME_CHARS_MIN)
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn revocation_list(
        &self,
        _call: &AccountCall<'_>,
        _names: &[&str],
        _now: Timestamp,
    ) -> Result<Vec<u8>, Trouble> {
        Err(TroubleKind::Unsupported.into())
    }
}
