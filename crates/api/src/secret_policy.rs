//! Secret policies: recipes for values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One field of a recipe. Not `Debug`: somebody may have put a secret into it, where none belongs.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipeField {
    /// The key it makes. A key pair makes two: `private_key` also `public_key`, any other name with
    /// `_private` and `_public`; `bcrypt_hash` the name and the name with `_hash`.
    #[schema(example = "password")]
    pub name: String,
    /// `random`, `hex`, `uuid`, `template`, `rsa_keypair`, `ec_keypair`, `ssh_keypair`,
    /// `bcrypt_hash` or `static`.
    #[schema(example = "random")]
    pub generator: String,
    /// As the generator takes it; what is absent has a default. Answers show every part.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

/// Body of `POST /v1/secret-policies` and of `PUT /v1/secret-policies/{id}`, which replaces all.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretPolicyBody {
    /// Unique in the tenant; does not begin with `sp_`.
    pub name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A hint: `password`, `api_key`, `oauth_client`, `ssh_key` or `custom` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_type: Option<String>,
    /// 1 to 32, in the order in which values have them.
    pub fields: Vec<RecipeField>,
    /// Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// Body of `PATCH /v1/secret-policies/{id}`: only given fields change.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in SecretPolicyBody")]
pub struct SecretPolicyPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `null` takes it away.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_type: Option<String>,
    /// Replaces all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<RecipeField>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// Body of `POST /v1/secret-policies/preview`: a recipe that is not stored.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretPolicyTry {
    /// As in a recipe. Its other parts are taken, and make no difference.
    pub fields: Vec<RecipeField>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[expect(missing_docs, reason = "as in SecretPolicyBody")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[expect(missing_docs, reason = "as in SecretPolicyBody")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[expect(missing_docs, reason = "as in SecretPolicyBody")]
    pub policy_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[expect(missing_docs, reason = "as in SecretPolicyBody")]
    pub is_active: Option<bool>,
}

/// A recipe.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in SecretPolicyBody")]
pub struct SecretPolicy {
    #[schema(example = "sp_01M7Y3MCNCPWDRSZPE1GBCMGEB")]
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub policy_type: String,
    pub fields: Vec<RecipeField>,
    /// Every key of the values it makes.
    pub keys: Vec<String>,
    /// How hard each field is to guess, in bits; 0 for what is always the same.
    pub entropy_bits: BTreeMap<String, f64>,
    pub is_active: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// `GET /v1/secret-policies`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretPolicyList {
    /// By id.
    pub secret_policies: Vec<SecretPolicy>,
    /// To go on; null at the end.
    pub cursor: Option<String>,
    /// Whether there is more.
    pub has_more: bool,
}

/// A sample of what a recipe makes. It is kept nowhere and belongs into nothing.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretPolicyPreview {
    /// The recipe; null for one that is not stored.
    pub secret_policy_id: Option<String>,
    /// What the sample is not for.
    pub notice: String,
    /// As a secret's `data` would be.
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
    /// How hard each field is to guess.
    pub entropy_bits: BTreeMap<String, f64>,
}
