//! SSH certificates: a key is signed for a while, and servers that trust the signing key let it in.
//!
//! Nothing is connected to. The manager secret is the key that signs; a certificate ends by itself,
//! and before that only where servers are given the list of those that were revoked.

mod ca;
mod certificate;
mod public;
mod request;
mod revoked;
mod terms;
mod wire;

use async_trait::async_trait;
use scaivault_core::dynamic::{NameTemplate, Owned, Role};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Call, Candidate, Check, Connector, Descriptor, Effect,
    Entropy, FieldProblem, Login, Missing, NewAccount, NewField, OldAccount, Sessions,
};
use scaivault_core::recipe::{Generator, RecipeField, SshConfig, SshKeyType};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use scaivault_crypto::{SystemEntropy, recipe};
use serde_json::{Map, Value};

use ca::Ca;
use certificate::Certificate;
use public::PublicKey;
use request::Asked;
use terms::Terms;

/// Servers show a key id of any length; names stay as short as elsewhere.
const NAME_CHARS_MAX: usize = 63;
/// Clocks of servers may be behind by so much.
const BEHIND_S: i64 = 30;

/// The connector.
#[derive(Debug, Default)]
pub struct Ssh;

fn unsupported() -> Trouble {
    TroubleKind::Unsupported.into()
}

#[async_trait]
impl Connector for Ssh {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "ssh",
            about: "SSH certificates, signed on request; each ends by itself alone",
            overlaps: &[],
            needs_manager: true,
            rotates_manager: false,
        }
    }

    fn check_settings(&self, settings: &Map<String, Value>) -> Vec<FieldProblem> {
        let fields = settings.keys();
        fields
            .map(|field| {
                (
                    field.clone(),
                    "is not known: nothing is connected to".to_owned(),
                )
            })
            .collect()
    }

    fn check_account(&self, _account: &Map<String, Value>, _overlap: Overlap) -> Vec<FieldProblem> {
        let what = "nothing to rotate: this connector signs keys on request";
        vec![("overlap".to_owned(), what.to_owned())]
    }

    /// The manager is told as the line that servers trust.
    async fn check(&self, call: &Call<'_>) -> Result<Check, Trouble> {
        Ok(Check {
            server: "OpenSSH certificates".to_owned(),
            manager: Ca::of(call.manager)?.public_line(),
            may: vec!["sign keys".to_owned()],
            ..Check::default()
        })
    }

    fn candidate(
        &self,
        _call: &Call<'_>,
        _current: Option<&Plaintext>,
        _entropy: &dyn Entropy,
    ) -> Result<Candidate, Trouble> {
        Err(unsupported())
    }

    async fn apply(
        &self,
        _call: &Call<'_>,
        _candidate: Option<&Plaintext>,
        _current: Option<&Plaintext>,
    ) -> Effect {
        Effect::NotApplied(unsupported())
    }

    async fn login(&self, _call: &Call<'_>, _credential: &Plaintext) -> Login {
        Login::Unknown(unsupported())
    }

    async fn sessions(&self, _call: &Call<'_>, _credential: &Plaintext) -> Sessions {
        Sessions::NotObservable
    }

    async fn retire(&self, _: &Call<'_>, _dead: &Plaintext, _keep: Option<&Plaintext>) -> Effect {
        Effect::NotApplied(unsupported())
    }

    fn rehearsal_account(&self, _call: &Call<'_>) -> Option<Map<String, Value>> {
        None
    }

    async fn remove(&self, _call: &Call<'_>) -> Effect {
        Effect::NotApplied(unsupported())
    }

    fn accounts(&self) -> Option<&dyn Accounts> {
        Some(self)
    }
}

fn check(role: &Role) -> Vec<FieldProblem> {
    let mut found = Terms::read(&role.settings).err().unwrap_or_default();
    for (field, statements) in [
        ("creation_statements", &role.creation_statements),
        ("rollback_statements", &role.rollback_statements),
        ("renew_statements", &role.renew_statements),
        ("revocation_statements", &role.revocation.statements),
    ] {
        if !statements.is_empty() {
            let what = "are not known here: what is signed is in the role's settings";
            found.push((field.to_owned(), what.to_owned()));
        }
    }
    if role.revocation.owned != Owned::Keep {
        found.push((
            "owned_objects".to_owned(),
            "is not known here: a certificate owns nothing".to_owned(),
        ));
    }
    if let Some(template) = &role.username_template
        && let Err(error) = NameTemplate::parse(template)
    {
        found.push(("username_template".to_owned(), error.to_string()));
    }
    found
}

fn check_request(role: &Role, request: &AccountRequest<'_>) -> Result<(), FieldProblem> {
    let asked = Asked::read(request.params)?;
    if let Some(line) = &asked.public_key {
        PublicKey::read(line).map_err(|what| ("public_key".to_owned(), what.to_owned()))?;
    }
    // A role that is wrong is not the request's fault.
    match Terms::read(&role.settings) {
        Ok(terms) => terms.grant(&asked, request.holder).map(drop),
        Err(_) => Ok(()),
    }
}

fn sign(call: &AccountCall<'_>, new: &NewAccount<'_>) -> Result<Vec<NewField>, Trouble> {
    let refused = |(field, what): FieldProblem| {
        Trouble::new(TroubleKind::Settings).remedy(format!("{field} {what}"))
    };
    let mut problems = check(new.role).into_iter();
    if let Some(problem) = problems.next() {
        return Err(refused(problem));
    }
    let terms = Terms::read(&new.role.settings).map_err(|_| TroubleKind::Settings)?;
    let asked = Asked::read(new.request.params).map_err(refused)?;
    let granted = terms.grant(&asked, new.request.holder).map_err(refused)?;
    let ca = Ca::of(call.manager)?;

    let mut fields = Vec::new();
    let line = match &asked.public_key {
        Some(line) => line.clone(),
        None => {
            fields = pair(new.name, new.request.asked_at)?;
            let public = fields.iter().find(|field| field.name == "public_key");
            let public = public.and_then(|field| std::str::from_utf8(field.value.expose()).ok());
            public.ok_or(TroubleKind::Protocol)?.to_owned()
        }
    };
    let key = PublicKey::read(&line)
        .map_err(|what| refused(("public_key".to_owned(), what.to_owned())))?;
    let mut nonce = [0; 32];
    SystemEntropy.fill(&mut nonce);
    let key_id = terms.key_id(new.name, &new.role.name, new.request.holder);
    let from = new.request.asked_at.as_secs().saturating_sub(BEHIND_S);
    let until = new.expires_at.as_secs();
    let certificate = Certificate {
        key: &key,
        kind: terms.kind,
        serial: revoked::serial(new.name),
        key_id: &key_id,
        principals: &granted.principals,
        valid: (
            u64::try_from(from).unwrap_or(0),
            u64::try_from(until).unwrap_or(0),
        ),
        critical_options: &granted.critical_options,
        extensions: &granted.extensions,
        nonce,
    };
    let signed = certificate.sign(&ca, terms.hash)?;
    let mut field = |name: &str, value: String| {
        fields.push(NewField::new(name, Plaintext::new(value.into_bytes())));
    };
    field("signed_key", signed);
    field("serial_number", certificate.serial.to_string());
    field("valid_principals", granted.principals.join(","));
    field("key_id", key_id.clone());
    Ok(fields)
}

/// A new pair, named after the account.
fn pair(name: &str, now: Timestamp) -> Result<Vec<NewField>, Trouble> {
    let field = RecipeField {
        name: "private_key".to_owned(),
        generator: Generator::SshKeypair(SshConfig {
            key_type: SshKeyType::Ed25519,
            bits: None,
            comment: name.to_owned(),
        }),
    };
    let made = recipe::make(&[field], &SystemEntropy, now);
    made.map_err(|_| TroubleKind::Protocol.into())
}

#[async_trait]
impl Accounts for Ssh {
    fn name_chars_max(&self) -> usize {
        NAME_CHARS_MAX
    }

    fn ends_by_itself(&self) -> bool {
        true
    }

    fn check_role(&self, role: &Role) -> Vec<FieldProblem> {
        check(role)
    }

    fn check_request(&self, role: &Role, request: &AccountRequest<'_>) -> Vec<FieldProblem> {
        check_request(role, request).err().into_iter().collect()
    }

    fn needs(&self, _missing: &Missing) -> bool {
        true
    }

    async fn create(&self, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Effect {
        match sign(call, new) {
            Ok(fields) => Effect::Applied(fields),
            Err(trouble) => Effect::NotApplied(trouble),
        }
    }

    async fn renew(&self, _: &AccountCall<'_>, _of: (&str, &Role), _until: Timestamp) -> Effect {
        Effect::NotApplied(unsupported().remedy("ask for another certificate: its end is signed"))
    }

    /// There is nothing to be removed anywhere.
    async fn remove(&self, _: &AccountCall<'_>, accounts: &[OldAccount<'_>]) -> Vec<Effect> {
        accounts.iter().map(|_| Effect::applied()).collect()
    }

    async fn names(&self, _call: &AccountCall<'_>) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }

    fn revocation_list(
        &self,
        call: &AccountCall<'_>,
        names: &[&str],
        now: Timestamp,
    ) -> Result<Vec<u8>, Trouble> {
        Ok(revoked::list(&Ca::of(call.manager)?, names, now))
    }
}
