//! Recipes for new values (`/v1/secret-policies`): which keys a value has and how each is made.
//! Nothing is made here, only described, checked and measured.
//!
//! To add a generator: a variant of [`Generator`] with its configuration, its reading in `parse`,
//! its bits in `strength`, its making in `crypto/src/recipe`.

mod charset;
mod generator;
mod parse;
mod strength;
mod template;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::ids::{SecretPolicyId, TenantId};
use crate::time::Timestamp;

pub use charset::{Charset, Class};
pub use generator::{
    BcryptConfig, Curve, EcConfig, Generator, HexConfig, RandomConfig, RsaBits, RsaConfig,
    SshConfig, SshKeyType, StaticConfig, TemplateConfig, UuidConfig,
};
pub use parse::{FIELDS_MAX, RawField, parse_fields};
pub use template::{Part, TemplateError, parse_template};

/// A hint for people and user interfaces; it constrains nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum PolicyType {
    Password,
    ApiKey,
    OauthClient,
    SshKey,
    #[default]
    Custom,
}

impl PolicyType {
    /// Every type.
    pub const ALL: [Self; 5] = [
        Self::Password,
        Self::ApiKey,
        Self::OauthClient,
        Self::SshKey,
        Self::Custom,
    ];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::ApiKey => "api_key",
            Self::OauthClient => "oauth_client",
            Self::SshKey => "ssh_key",
            Self::Custom => "custom",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A secret policy: a recipe, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretPolicy {
    /// Id.
    pub id: SecretPolicyId,
    /// Owner.
    pub tenant: TenantId,
    /// Unique in the tenant.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The hint.
    pub policy_type: PolicyType,
    /// In the order in which the value has them.
    pub fields: Vec<RecipeField>,
    /// Inactive: no value is made by it.
    pub is_active: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

/// One field of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecipeField {
    /// Its name; see [`RecipeField::keys`].
    pub name: String,
    /// How it is made.
    #[serde(flatten)]
    pub generator: Generator,
}

/// How a name that stands for a private key ends.
const PRIVATE_KEY: &str = "private_key";

impl RecipeField {
    /// The keys of the value that this field makes. One named as the field, mostly. A key pair
    /// makes two: where the name ends in `private_key`, that one and the same with `public_key`;
    /// else the name with `_private` and with `_public`. A password and its hash: the name and the
    /// name with `_hash`.
    pub fn keys(&self) -> Vec<String> {
        let name = &self.name;
        match self.generator {
            Generator::RsaKeypair(_) | Generator::EcKeypair(_) | Generator::SshKeypair(_) => {
                let before = name
                    .strip_suffix(PRIVATE_KEY)
                    .filter(|before| before.is_empty() || before.ends_with(['_', '-', '.']));
                match before {
                    Some(before) => vec![name.clone(), format!("{before}public_key")],
                    None => vec![format!("{name}_private"), format!("{name}_public")],
                }
            }
            Generator::BcryptHash(_) => vec![name.clone(), format!("{name}_hash")],
            Generator::Random(_)
            | Generator::Hex(_)
            | Generator::Uuid(_)
            | Generator::Template(_)
            | Generator::Static(_) => vec![name.clone()],
        }
    }
}

impl SecretPolicy {
    /// Every key of the values it makes, in order.
    pub fn keys(&self) -> Vec<String> {
        self.fields.iter().flat_map(RecipeField::keys).collect()
    }
}
