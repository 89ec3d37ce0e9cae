//! Identities from outside: tokens that issuers sign, taken as they are or exchanged for ours.
//!
//! A bearer's token costs one keyed hash once it was verified: what it came to is kept until it ends,
//! and used only while the issuer's keys are the ones it was verified by (`keys`). Who is refused is
//! told one of two words; the log says which check failed, and how often it was not said again.

mod certificates;
mod exchange;
pub(crate) mod grumble;
mod keys;
mod prune;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use scaivault_core::identity::{Principal, TokenHash};
use scaivault_core::issuer::{Claims, ExchangeRule, Issuer, Refused, Window};
use scaivault_core::ports::Documents;
use scaivault_core::time::Timestamp;
use scaivault_crypto::jwt::{KeySetError, Token, Unverified, looks_like_jwt};

use crate::access::AuthError;
use crate::cache::Coherent;
use crate::vault::Vault;
use grumble::Grumble;
use keys::{Keys, Refresh};

pub use certificates::CertificateShown;
pub use exchange::{ExchangeError, ExchangeOffer, ExchangeRefused, ExchangeRequest};

/// Bytes of verified tokens' principals kept, as estimated.
const VERIFIED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Tokens remembered as signed by nobody known.
const STRANGERS_MAX: usize = 4_096;
/// For how long: a client that shows the same dead token again and again costs no look at the keys.
const STRANGER_FOR: Duration = Duration::from_secs(10);

/// The issuers an operator configured, and the rules of exchange.
pub struct Issuers {
    known: Vec<Arc<Known>>,
    by_url: HashMap<String, usize>,
    rules: Vec<ExchangeRule>,
    /// Rules for client certificates.
    certificates: Vec<ExchangeRule>,
    /// What rules gave to certificates, by what was shown.
    certified: Coherent<TokenHash, Option<Arc<Principal>>>,
    verified: Coherent<TokenHash, Arc<Verified>>,
    /// By when they are forgotten, by the clock that nobody sets.
    strangers: Coherent<TokenHash, Duration>,
    grumble: Grumble,
}

pub(crate) struct Known {
    issuer: Issuer,
    keys: Keys,
}

/// A bearer's token that was verified.
struct Verified {
    principal: Arc<Principal>,
    window: Window,
    issuer: usize,
    /// Of the keys it was verified by.
    epoch: u64,
}

/// Why a foreign token was not accepted, for the log.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub(crate) enum Why {
    #[error("malformed: {0}")]
    Malformed(#[from] scaivault_crypto::jwt::Malformed),
    #[error("no issuer of this 'iss' is configured")]
    NoIssuer,
    #[error(transparent)]
    Unverified(#[from] Unverified),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the issuer's keys are not known: {0}")]
    NoKeys(&'static str),
}

impl From<Why> for AuthError {
    /// All a bearer learns: that it ended, that it cannot be judged now, or that it is not valid.
    fn from(why: Why) -> Self {
        match why {
            Why::Refused(Refused::Expired) => Self::Expired,
            Why::NoKeys(_) => Self::Unavailable(why.to_string()),
            _ => Self::Invalid,
        }
    }
}

/// None.
impl Default for Issuers {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            by_url: HashMap::new(),
            rules: Vec::new(),
            certificates: Vec::new(),
            certified: Coherent::new(VERIFIED_BYTES_MAX),
            verified: Coherent::new(VERIFIED_BYTES_MAX),
            strangers: Coherent::new(STRANGERS_MAX),
            grumble: Grumble::default(),
        }
    }
}

impl Issuers {
    /// From what an operator configured; `documents` fetches their keys. Nothing is fetched yet.
    ///
    /// # Errors
    /// The name of an issuer whose given key set is none.
    pub fn new(
        issuers: Vec<Issuer>,
        rules: Vec<ExchangeRule>,
        documents: &Arc<dyn Documents>,
    ) -> Result<Self, (String, KeySetError)> {
        let known = issuers.into_iter().map(|issuer| {
            let name = issuer.name.clone();
            let keys = Keys::new(&issuer, documents).map_err(|error| (name, error))?;
            Ok(Arc::new(Known { issuer, keys }))
        });
        let known: Vec<Arc<Known>> = known.collect::<Result<_, (String, KeySetError)>>()?;
        let urls = known.iter().map(|one| one.issuer.url.clone());
        Ok(Self {
            by_url: urls.zip(0..).collect(),
            known,
            rules,
            ..Self::default()
        })
    }

    /// With rules for client certificates.
    #[must_use]
    pub fn with_certificates(self, rules: Vec<ExchangeRule>) -> Self {
        Self {
            certificates: rules,
            ..self
        }
    }

    fn is_empty(&self) -> bool {
        self.known.is_empty() && self.certificates.is_empty()
    }

    fn of(&self, url: &str) -> Option<(usize, &Arc<Known>)> {
        let at = *self.by_url.get(url)?;
        Some((at, self.known.get(at)?))
    }
}

impl Vault {
    /// With identities from outside.
    #[must_use]
    pub fn with_issuers(self, issuers: Issuers) -> Self {
        self.issuers_replace(issuers);
        self
    }

    /// Believes these from now on, and nobody else. What was verified before is verified anew; keys
    /// of issuers that stay are still believed.
    pub fn issuers_replace(&self, issuers: Issuers) {
        let mut current = self.issuers.write();
        if let Some(before) = &*current {
            for known in &issuers.known {
                if let Some((_, earlier)) = before.of(&known.issuer.url) {
                    known.keys.adopt(&earlier.keys);
                }
            }
        }
        *current = (!issuers.is_empty()).then(|| Arc::new(issuers));
    }

    /// Whether anybody outside is believed now.
    pub fn believes_somebody(&self) -> bool {
        self.issuers.read().is_some()
    }

    /// Those that are believed now.
    pub(crate) fn issuers_now(&self) -> Option<Arc<Issuers>> {
        self.issuers.read().clone()
    }

    /// Looks again at the keys of every issuer whose time has come. Answers how long until the next.
    pub async fn issuers_run_once(&self) -> Option<Duration> {
        let issuers = self.issuers_now()?;
        let looks = issuers
            .known
            .iter()
            .map(|known| known.keys.look_if_due(self.clock.clone()));
        join_all(looks).await.into_iter().min()
    }

    /// The issuers to ask about a token, when it is one of theirs by its look.
    pub(crate) fn issuers_of(&self, text: &str) -> Option<Arc<Issuers>> {
        // Local tokens take no lock.
        looks_like_jwt(text).then(|| self.issuers_now()).flatten()
    }

    /// The principal a foreign token speaks for.
    pub(crate) async fn authenticate_foreign(
        &self,
        issuers: &Issuers,
        text: &str,
        now: Timestamp,
    ) -> Result<Arc<Principal>, AuthError> {
        let hash = self.keyring.token_hash(text);
        let ticket = match issuers.verified.get(&hash) {
            Ok(seen) if self.still_holds(issuers, &seen) => {
                return match seen.window.ends_at > now {
                    true => {
                        self.seated(issuers, seen.issuer, seen.principal.clone())
                            .await
                    }
                    false => Err(AuthError::Expired),
                };
            }
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        // Apart, so that it takes no room in the future of every request.
        let login = Box::pin(self.login_foreign(issuers, text, hash, now)).await;
        let verified = login.map_err(|(at, why)| self.grumbled(issuers, at, why))?;
        let (principal, weight) = (verified.principal.clone(), weight(&verified.principal));
        let at = verified.issuer;
        // What an earlier key set verified is let go of first.
        let ticket = ticket.or_else(|| {
            issuers.verified.invalidate(&hash);
            issuers.verified.get(&hash).err()
        });
        if let Some(ticket) = ticket {
            let verified = Arc::new(verified);
            issuers.verified.insert(ticket, hash, verified, weight);
        }
        self.seated(issuers, at, principal).await
    }

    /// The principal, if its tenant is there, served, and of the partner that its issuer is
    /// trusted for: that may change while a token lives.
    async fn seated(
        &self,
        issuers: &Issuers,
        at: usize,
        principal: Arc<Principal>,
    ) -> Result<Arc<Principal>, AuthError> {
        let seat = self.seat_in(&principal.tenant).await;
        let (seat, served) = seat.map_err(|error| AuthError::Unavailable(error.to_string()))?;
        if !served {
            return Err(AuthError::Suspended);
        }
        if seat.partner != principal.seat.partner {
            return Err(self.grumbled(issuers, Some(at), Why::Refused(Refused::Partner)));
        }
        Ok(principal)
    }

    async fn login_foreign(
        &self,
        issuers: &Issuers,
        text: &str,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Verified, (Option<usize>, Why)> {
        let (at, epoch, claims) = self.verify_foreign(issuers, text, hash).await?;
        let login = issuers.known[at].issuer.login(&claims, now);
        let login = login.map_err(|why| (Some(at), why.into()))?;
        Ok(Verified {
            principal: Arc::new(login.principal),
            window: login.window,
            issuer: at,
            epoch,
        })
    }

    fn still_holds(&self, issuers: &Issuers, seen: &Verified) -> bool {
        let keys = &issuers.known[seen.issuer].keys;
        keys.believed(self.clock.monotonic())
            .is_some_and(|held| held.epoch == seen.epoch)
    }

    /// The claims of a token that one of the issuers signed; whose, and by which keys. Looks at the
    /// issuer's keys again, or waits for somebody who does, when they cannot have signed it.
    async fn verify_foreign(
        &self,
        issuers: &Issuers,
        text: &str,
        hash: TokenHash,
    ) -> Result<(usize, u64, Claims), (Option<usize>, Why)> {
        let token = Token::parse(text).map_err(|why| (None, why.into()))?;
        let found = token.unverified_issuer().and_then(|url| issuers.of(url));
        let (at, known) = found.ok_or((None, Why::NoIssuer))?;
        let arrived = self.clock.monotonic();
        let verified = |token: &Token<'_>| -> Option<Result<(usize, u64, Claims), Unverified>> {
            let held = known.keys.believed(self.clock.monotonic())?;
            let claims = token.verify(&held.set, &known.issuer.algorithms);
            Some(claims.map(|claims| (at, held.epoch, claims.clone())))
        };
        let refused = |why: Why| (Some(at), why);
        match verified(&token) {
            Some(Err(Unverified::UnknownKey)) | None => {}
            Some(judged) => return judged.map_err(|why| refused(why.into())),
        }
        if issuers
            .strangers
            .get(&hash)
            .is_ok_and(|until| until > arrived)
        {
            return Err(refused(Unverified::UnknownKey.into()));
        }
        let looked = known.keys.look_since(arrived, self.clock.clone()).await;
        match (verified(&token), looked) {
            (Some(Err(Unverified::UnknownKey)), Refresh::Looked) => {
                issuers.strangers.invalidate(&hash);
                if let Err(ticket) = issuers.strangers.get(&hash) {
                    let until = self.clock.monotonic() + STRANGER_FOR;
                    issuers.strangers.insert(ticket, hash, until, 1);
                }
                Err(refused(Unverified::UnknownKey.into()))
            }
            // A key that nobody could look for may well be there.
            (Some(Err(Unverified::UnknownKey)) | None, Refresh::Looked | Refresh::Failed) => {
                Err(refused(Why::NoKeys("they could not be fetched")))
            }
            (Some(Err(Unverified::UnknownKey)) | None, Refresh::Crowded) => Err(refused(
                Why::NoKeys("too many tokens wait for a look at them"),
            )),
            (Some(judged), _) => judged.map_err(|why| refused(why.into())),
        }
    }

    /// What is said of a refusal: why to the log, little to the bearer.
    fn grumbled(&self, issuers: &Issuers, at: Option<usize>, why: Why) -> AuthError {
        // Tokens end; that is nobody's mistake.
        if why != Why::Refused(Refused::Expired)
            && let Some(unsaid) = issuers.grumble.speak(self.clock.monotonic())
        {
            let issuer = at.map_or("?", |at| issuers.known[at].issuer.name.as_str());
            tracing::warn!(issuer, %why, unsaid, "a foreign token was refused");
        }
        why.into()
    }
}

fn weight(principal: &Principal) -> usize {
    let groups = principal
        .groups
        .iter()
        .map(|group| group.as_str().len() + 48);
    1_024 + groups.sum::<usize>()
}
