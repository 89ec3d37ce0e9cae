//! MySQL 8 and MariaDB: passwords of accounts.
//!
//! Two alternating accounts, one account with two passwords, or one password replaced. Passwords
//! are sent as the server stores them, never as they are. MySQL keeps our number in the account's
//! attribute; MariaDB has no place for one, so there a late call can only be healed by the next
//! look. A lock of the server keeps calls about the same accounts apart.

mod accounts;
mod check;
mod effects;
mod grants;
mod hash;
mod kill;
mod manager;
mod observe;
#[doc(hidden)]
pub mod probes;
mod quote;
mod rows;
mod server;
mod session;
mod settings;
mod statements;

use std::sync::Arc;

use async_trait::async_trait;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Call, Candidate, Check, Connector, Descriptor, Effect, Entropy, FieldProblem, Login, NewField,
    Reach, Sessions,
};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::value;
use session::{Session, Shut};
use settings::{Accounts, Place};

/// What names of throw-away accounts begin with.
const REHEARSAL: &str = "scaivault_rehearsal_";
/// How much of a rotation's tag their names carry: MySQL allows 32 characters in all.
const TAG_LEN: usize = 11;
const OVERLAPS: [Overlap; 3] = [Overlap::TwoUsers, Overlap::TwoPasswords, Overlap::None];
const PASSWORD_LEN: usize = 32;
const PASSWORD_ALPHABET: &[u8; 62] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The connector.
pub struct MySql {
    reach: Arc<dyn Reach>,
    pool: accounts::Pool,
}

impl MySql {
    /// Reaching targets through `reach`.
    pub fn new(reach: Arc<dyn Reach>) -> Self {
        Self {
            reach,
            pool: accounts::Pool::default(),
        }
    }

    async fn observe<T>(
        &self,
        call: &Call<'_>,
        look: impl AsyncFnOnce(&mut Session) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut session = open_manager(&self.reach, call).await?;
        let seen = look(&mut session).await;
        let seen = match seen {
            Err(trouble) => Err(cured(&mut session, trouble).await),
            seen => seen,
        };
        session.close().await;
        seen
    }

    async fn change(
        &self,
        call: &Call<'_>,
        change: impl AsyncFnOnce(&mut Session) -> Result<(), Trouble>,
    ) -> Effect {
        let mut session = match open_manager(&self.reach, call).await {
            Ok(session) => session,
            Err(trouble) => return Effect::NotApplied(trouble),
        };
        let mut done = change(&mut session).await;
        if let Err(trouble) = done {
            done = Err(cured(&mut session, trouble).await);
        }
        let effect = session.outcome(done);
        session.close().await;
        effect
    }
}

#[async_trait]
impl Connector for MySql {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "mysql",
            about: "Passwords of MySQL 8 and MariaDB accounts",
            overlaps: &OVERLAPS,
            needs_manager: true,
            rotates_manager: true,
        }
    }

    fn check_settings(&self, settings: &Map<String, Value>) -> Vec<FieldProblem> {
        settings::check_settings(settings)
    }

    fn check_account(&self, account: &Map<String, Value>, overlap: Overlap) -> Vec<FieldProblem> {
        settings::check_account(account, overlap)
    }

    async fn check(&self, call: &Call<'_>) -> Result<Check, Trouble> {
        self.observe(call, async |session| check::check(session, call).await)
            .await
    }

    fn candidate(
        &self,
        call: &Call<'_>,
        current: Option<&Plaintext>,
        entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble> {
        let username = current.map(username_of).transpose()?;
        let mut fields = Vec::new();
        // An empty attachment is the manager itself: its name stays.
        if !call.account.is_empty() || username.is_none() {
            let next = next_name(&Accounts::read(call.account)?, username.as_deref())?;
            if username.as_ref().is_none_or(|name| **name != next) {
                fields.push(NewField::new("username", Plaintext::new(next.into_bytes())));
            }
        }
        fields.push(NewField::new("password", generate(entropy)));
        Ok(Candidate::Made(fields))
    }

    async fn apply(
        &self,
        call: &Call<'_>,
        candidate: Option<&Plaintext>,
        current: Option<&Plaintext>,
    ) -> Effect {
        let Some(candidate) = candidate else {
            return Effect::NotApplied(TroubleKind::Unsupported.into());
        };
        self.change(call, async |session| {
            effects::apply(session, call, candidate, current).await
        })
        .await
    }

    async fn login(&self, call: &Call<'_>, credential: &Plaintext) -> Login {
        observe::login(&self.reach, call, credential).await
    }

    async fn sessions(&self, call: &Call<'_>, credential: &Plaintext) -> Sessions {
        let seen = self.observe(call, async |session| {
            observe::sessions(session, call, credential).await
        });
        seen.await.unwrap_or_else(Sessions::Unknown)
    }

    async fn retire(&self, call: &Call<'_>, dead: &Plaintext, keep: Option<&Plaintext>) -> Effect {
        self.change(call, async |session| {
            effects::retire(session, call, dead, keep).await
        })
        .await
    }

    async fn apply_manager(&self, call: &Call<'_>, candidate: &Plaintext) -> Effect {
        manager::apply(&self.reach, call, candidate).await
    }

    fn rehearsal_account(&self, call: &Call<'_>) -> Option<Map<String, Value>> {
        let plain: Vec<char> = call
            .tag
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        // The end of a tag differs between rotations of the same moment.
        let tag: String = plain[plain.len().saturating_sub(TAG_LEN)..]
            .iter()
            .collect();
        let name = format!("{REHEARSAL}{}", tag.to_ascii_lowercase());
        let mut account = match call.overlap {
            Overlap::TwoUsers => json!({"accounts": [format!("{name}a"), format!("{name}b")]}),
            Overlap::TwoPasswords | Overlap::None => json!({"account": name}),
            Overlap::NKeys => return None,
        };
        if let Some(hosts) = call.account.get("hosts") {
            account["hosts"] = hosts.clone();
        }
        account.as_object().cloned()
    }

    async fn remove(&self, call: &Call<'_>) -> Effect {
        self.change(call, async |session| effects::remove(session, call).await)
            .await
    }

    async fn sweep(&self, call: &Call<'_>) -> Result<Vec<String>, Trouble> {
        self.observe(call, async |session| {
            observe::sweep(session, REHEARSAL).await
        })
        .await
    }

    fn accounts(&self) -> Option<&dyn scaivault_core::ports::Accounts> {
        Some(self)
    }
}

/// The manager's session, ready for statements.
async fn open_manager(reach: &Arc<dyn Reach>, call: &Call<'_>) -> Result<Session, Trouble> {
    open_manager_of(reach, call.settings, call.manager).await
}

/// The same of a manager and settings alone.
async fn open_manager_of(
    reach: &Arc<dyn Reach>,
    settings: &Map<String, Value>,
    manager: Option<&Plaintext>,
) -> Result<Session, Trouble> {
    let manager = manager.ok_or(TroubleKind::ManagerMissing)?;
    let missing = |_| Trouble::new(TroubleKind::ManagerMissing);
    let name = username_of(manager).map_err(missing)?;
    let password = password_of(manager).map_err(missing)?;
    let place = Place::of_manager(settings)?;
    let opened = Session::open(reach, &place, &name, &password, None).await;
    let mut session = opened.map_err(|shut| match shut {
        Shut::Refused(_, code) => manager_refused(code),
        Shut::Trouble(trouble) => trouble,
    })?;
    session.prepare().await?;
    Ok(session)
}

fn manager_refused(code: u16) -> Trouble {
    Trouble::new(TroubleKind::ManagerRefused).code(code.to_string())
}

/// A lack of rights with the statements that give them.
async fn cured(session: &mut Session, trouble: Trouble) -> Trouble {
    match trouble.kind {
        TroubleKind::Privilege => check::with_remedy(session, trouble).await,
        _ => trouble,
    }
}

fn username_of(credential: &Plaintext) -> Result<Zeroizing<String>, Trouble> {
    value::needed(credential, "username")
}

/// The password; an empty one lets anybody in and is none.
fn password_of(credential: &Plaintext) -> Result<Zeroizing<String>, Trouble> {
    let password = value::needed(credential, "password")?;
    match password.is_empty() {
        true => Err(TroubleKind::Credential.into()),
        false => Ok(password),
    }
}

/// The account after `current`: the other of two, or the only one.
fn next_name(accounts: &Accounts, current: Option<&String>) -> Result<String, Trouble> {
    let names = &accounts.names;
    let at = match current {
        None => 0,
        Some(current) => {
            let at = names.iter().position(|name| name == current);
            (at.ok_or(TroubleKind::Settings)? + 1) % names.len()
        }
    };
    Ok(names[at].clone())
}

/// A password without characters that programs or shells quote.
fn generate(entropy: &dyn Entropy) -> Plaintext {
    let mut password = Vec::with_capacity(PASSWORD_LEN);
    let mut block = Zeroizing::new([0; 64]);
    while password.len() < PASSWORD_LEN {
        entropy.fill(&mut block[..]);
        // Bytes beyond four alphabets would make its first letters likelier.
        let even = block
            .iter()
            .filter(|byte| usize::from(**byte) < 4 * PASSWORD_ALPHABET.len());
        let letters =
            even.map(|byte| PASSWORD_ALPHABET[usize::from(*byte) % PASSWORD_ALPHABET.len()]);
        password.extend(letters.take(PASSWORD_LEN - password.len()));
    }
    Plaintext::new(password)
}
