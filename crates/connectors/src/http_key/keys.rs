//! What is done with keys at a service: mint one, list all, revoke one or those of a rotation.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Effect, NewField, Reach};
use scaivault_core::target::{Trouble, TroubleKind};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::description::{Description, Request};
use super::exchange::{Answer, Exchange, Fault, Page};
use super::label;
use super::settings::Settings;
use super::template::Values;
use super::verdict::{self, Verdict, misplaced};
use crate::value;

/// The longest id that is believed.
const ID_MAX: usize = 512;

/// A key in the service's list.
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) last_used: Option<Value>,
}

/// The service's list.
pub(super) struct Listing {
    pub(super) items: Vec<Item>,
    /// How many keys there are, those without id or name too.
    pub(super) total: u64,
    /// Whether all pages were read.
    pub(super) complete: bool,
    /// What time the service took it to be.
    pub(super) date: Option<i64>,
}

impl Listing {
    /// Keys of a rotation, with the epochs that made them.
    pub(super) fn of<'a>(&'a self, base: &'a str) -> impl Iterator<Item = (&'a Item, u64)> {
        self.items.iter().filter_map(move |item| {
            let (of, epoch) = label::split(&item.name)?;
            (of == base).then_some((item, epoch))
        })
    }

    /// Refuses a list that has more pages than are read.
    pub(super) fn whole(&self) -> Result<(), Trouble> {
        match self.complete {
            true => Ok(()),
            false => Err(Trouble::new(TroubleKind::Protocol)
                .code("too_many_pages")
                .remedy("remove keys that are no longer used, or raise `list.pages.max`")),
        }
    }
}

/// One service, for one call.
pub(super) struct Keys<'a> {
    pub(super) settings: &'a Settings,
    call: &'a Call<'a>,
    exchange: Exchange,
}

impl<'a> Keys<'a> {
    pub(super) async fn open(
        reach: &dyn Reach,
        settings: &'a Settings,
        call: &'a Call<'a>,
    ) -> Result<Self, Trouble> {
        let exchange = Exchange::open(reach, settings).await?;
        Ok(Self {
            settings,
            call,
            exchange,
        })
    }

    fn description(&self) -> &Description {
        &self.settings.description
    }

    /// Sends a request as the manager.
    async fn ask(
        &self,
        request: &Request,
        id: Option<&str>,
        at: Option<&Page>,
    ) -> Result<Answer, Fault> {
        let auth = &self.description().auth;
        let tag = label::of(self.call);
        let values = Values {
            manager: self.call.manager,
            credential: None,
            // A look at the target in general has no attachment.
            account: fields(self.call.account).or(Some(&self.settings.fields)),
            tag: &tag,
            id,
        };
        let proof = (auth.header.as_str(), &auth.manager);
        self.exchange.send(request, proof, &values, at).await
    }

    /// Sends the request that tries a key.
    pub(super) async fn attempt(&self, credential: &Plaintext) -> Result<Answer, Fault> {
        let auth = &self.description().auth;
        let values = Values {
            manager: None,
            credential: Some(credential),
            account: fields(self.call.account),
            tag: "",
            id: None,
        };
        let proof = (auth.header.as_str(), &auth.credential);
        let request = &self.description().validate;
        self.exchange.send(request, proof, &values, None).await
    }

    fn judge(&self, request: &Request, answer: &Answer) -> Verdict {
        verdict::judge(self.description(), request, answer)
    }

    /// Every key of the service.
    pub(super) async fn list(&self) -> Result<Listing, Trouble> {
        let list = &self.description().list;
        let pages = list.pages.as_ref().map_or(1, |pages| pages.max);
        let mut listing = Listing {
            items: Vec::new(),
            total: 0,
            complete: false,
            date: None,
        };
        let mut at = None;
        for _ in 0..pages {
            let answer = self
                .ask(&list.request, None, at.as_ref())
                .await
                .map_err(Fault::trouble)?;
            listing.date = answer.date;
            match self.judge(&list.request, &answer) {
                Verdict::Done => {}
                Verdict::Gone => return Err(misplaced(answer.status)),
                Verdict::Not(trouble) | Verdict::Perhaps(trouble) => return Err(trouble),
            }
            let page = answer.json().await?;
            self.read(page.value(), &mut listing)?;
            let next = self.next(page.value())?;
            if next.is_none() {
                listing.complete = true;
                return Ok(listing);
            }
            if next == at {
                return Err(Trouble::new(TroubleKind::Protocol).code("same_page"));
            }
            at = next;
        }
        Ok(listing)
    }

    fn read(&self, page: &Value, listing: &mut Listing) -> Result<(), Trouble> {
        let list = &self.description().list;
        let items = page.pointer(&list.items).and_then(Value::as_array);
        let items = items.ok_or_else(|| Trouble::new(TroubleKind::Protocol).code("no_items"))?;
        for item in items {
            if let Some(live) = &list.live
                && item.pointer(&live.pointer).and_then(Value::as_str) != Some(&live.is)
            {
                continue;
            }
            listing.total += 1;
            let id = item.pointer(&list.item_id).and_then(id_text);
            let name = item.pointer(&list.item_tag).and_then(Value::as_str);
            if let (Some(id), Some(name)) = (id, name) {
                let last_used = list.last_used.as_ref();
                listing.items.push(Item {
                    id,
                    name: name.to_owned(),
                    last_used: last_used.and_then(|used| item.pointer(used)).cloned(),
                });
            }
        }
        Ok(())
    }

    fn next(&self, page: &Value) -> Result<Option<Page>, Trouble> {
        let Some(pages) = &self.description().list.pages else {
            return Ok(None);
        };
        let pointer = pages.next_url.as_ref().or(pages.cursor.as_ref());
        let text = match pointer.and_then(|pointer| page.pointer(pointer)) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(Trouble::new(TroubleKind::Protocol).code("cursor")),
        };
        match &pages.query {
            Some(query) => Ok(Some(Page::Cursor {
                query: query.clone(),
                cursor: text,
            })),
            None => match self.exchange.same_place(&text) {
                Some(url) => Ok(Some(Page::Address(url))),
                None => Err(Trouble::new(TroubleKind::Protocol).code("next_url")),
            },
        }
    }

    /// Mints a key beside `current`.
    ///
    /// The list is looked at first: a key of a later epoch means that another worker took over, a
    /// key of this rotation that nobody holds means that an answer was lost. A second mint would
    /// only add to it.
    pub(super) async fn mint(&self, current: Option<&Plaintext>) -> Effect {
        let service = &self.description().service;
        let listing = match self.list().await {
            Ok(listing) => listing,
            Err(trouble) => return Effect::NotApplied(trouble),
        };
        if let Err(trouble) = listing.whole() {
            return Effect::NotApplied(trouble);
        }
        let held = current.and_then(|current| value::text(current, &self.description().fields.id));
        let base = label::base(self.call);
        for (item, epoch) in listing.of(&base) {
            let is_held = held.as_ref().is_some_and(|held| **held == item.id);
            if epoch > self.call.epoch {
                return Effect::NotApplied(TroubleKind::Fenced.into());
            }
            let is_replayed = service.replays && epoch == self.call.epoch;
            if !is_held && !is_replayed {
                return Effect::Unknown(Trouble::new(TroubleKind::Interrupted).code("residue"));
            }
        }
        let held = held.as_ref().map(|held| held.as_str());
        match self.create(listing.total, held).await {
            // The same idempotency key brings the same key again.
            Effect::Unknown(_) if service.replays => self.create(listing.total, held).await,
            effect => effect,
        }
    }

    async fn create(&self, total: u64, held: Option<&str>) -> Effect {
        let create = &self.description().create;
        let answer = match self.ask(&create.request, None, None).await {
            Ok(answer) => answer,
            Err(Fault::NotSent(trouble)) => return Effect::NotApplied(trouble),
            Err(Fault::Lost(trouble)) => return Effect::Unknown(trouble),
        };
        match self.judge(&create.request, &answer) {
            Verdict::Done => {}
            Verdict::Gone => return Effect::NotApplied(misplaced(answer.status)),
            Verdict::Not(trouble) => {
                return Effect::NotApplied(self.or_quota(trouble, &answer, total));
            }
            Verdict::Perhaps(trouble) => return Effect::Unknown(trouble),
        }
        let answer = match answer.json().await {
            Ok(answer) => answer,
            Err(trouble) => return Effect::Unknown(trouble),
        };
        let key = answer.value().pointer(&create.key).and_then(Value::as_str);
        let id = answer.value().pointer(&create.id).and_then(id_text);
        match (key, id) {
            (Some(key), Some(id)) if !key.is_empty() && Some(id.as_str()) != held => {
                let fields = &self.description().fields;
                let made = |name: &str, text: &str| {
                    NewField::new(name, Plaintext::new(text.as_bytes().to_vec()))
                };
                Effect::Applied(vec![made(&fields.key, key), made(&fields.id, &id)])
            }
            _ => Effect::Unknown(Trouble::new(TroubleKind::Protocol).code("no_key")),
        }
    }

    /// Where one status means both, the number of keys tells which.
    fn or_quota(&self, trouble: Trouble, answer: &Answer, total: u64) -> Trouble {
        let full = self
            .description()
            .service
            .max_keys
            .is_some_and(|max| total >= max);
        if trouble.kind == TroubleKind::Privilege
            && full
            && self.description().statuses.quota.contains(&answer.status)
        {
            return Trouble::new(TroubleKind::Quota).code(answer.status.to_string());
        }
        trouble
    }

    /// Revokes a key by its id. One that is gone is revoked.
    pub(super) async fn revoke(&self, id: &str) -> Effect {
        let request = &self.description().revoke;
        match self.ask(request, Some(id), None).await {
            Ok(answer) => match self.judge(request, &answer) {
                Verdict::Done | Verdict::Gone => Effect::applied(),
                Verdict::Not(trouble) => Effect::NotApplied(trouble),
                Verdict::Perhaps(trouble) => Effect::Unknown(trouble),
            },
            Err(Fault::NotSent(trouble)) => Effect::NotApplied(trouble),
            Err(Fault::Lost(trouble)) => Effect::Unknown(trouble),
        }
    }

    /// Revokes every key with the base name that was made up to an epoch.
    pub(super) async fn revoke_all(&self, base: &str, until: u64) -> Effect {
        let listing = match self.list().await {
            Ok(listing) => listing,
            Err(trouble) => return Effect::NotApplied(trouble),
        };
        let mut changed = false;
        for (item, _) in listing.of(base).filter(|(_, epoch)| *epoch <= until) {
            match self.revoke(&item.id).await {
                Effect::Applied(_) => changed = true,
                Effect::NotApplied(trouble) if changed => return Effect::Unknown(trouble),
                other => return other,
            }
        }
        let later = listing.of(base).any(|(_, epoch)| epoch > until);
        match listing.whole() {
            Err(trouble) if changed => Effect::Unknown(trouble),
            Err(trouble) => Effect::NotApplied(trouble),
            Ok(()) if later && !changed => Effect::NotApplied(TroubleKind::Fenced.into()),
            Ok(()) => Effect::applied(),
        }
    }

    /// Rights that the manager lacks. `None` when the description does not say how to ask.
    pub(super) async fn lacking(&self) -> Result<Option<Vec<String>>, Trouble> {
        let Some(rights) = &self.description().rights else {
            return Ok(None);
        };
        let answer = self
            .ask(&rights.request, None, None)
            .await
            .map_err(Fault::trouble)?;
        match self.judge(&rights.request, &answer) {
            Verdict::Done => {}
            Verdict::Gone => return Err(misplaced(answer.status)),
            Verdict::Not(trouble) | Verdict::Perhaps(trouble) => return Err(trouble),
        }
        let found = answer.json().await?;
        let found = found
            .value()
            .pointer(&rights.pointer)
            .and_then(Value::as_array);
        let found = found.ok_or_else(|| Trouble::new(TroubleKind::Protocol).code("no_rights"))?;
        let has = |right: &String| found.iter().any(|found| found.as_str() == Some(right));
        Ok(Some(
            rights
                .needed
                .iter()
                .filter(|right| !has(right))
                .cloned()
                .collect(),
        ))
    }

    /// The id in a credential.
    pub(super) fn id(&self, credential: &Plaintext) -> Result<Zeroizing<String>, Trouble> {
        value::needed(credential, &self.description().fields.id)
    }
}

/// The attachment's fields for templates.
pub(super) fn fields(account: &Map<String, Value>) -> Option<&Map<String, Value>> {
    account.get("fields").and_then(Value::as_object)
}

fn id_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text.len() <= ID_MAX).then_some(text)
}
