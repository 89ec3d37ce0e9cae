//! Secret policies: recipes for values.

use reqwest::Method;

use scaivault_api::secret_policy::{
    SecretPolicy, SecretPolicyBody, SecretPolicyList, SecretPolicyPatch, SecretPolicyPreview,
    SecretPolicyTry,
};

use crate::call::{Call, Done};
use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/secret-policies`. A recipe is named by its id or its name.
#[derive(Debug, Clone, Copy)]
pub struct SecretPolicies<'a> {
    client: &'a Client,
}

impl<'a> SecretPolicies<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of recipes.
    pub fn list(&self) -> Call<SecretPolicyList> {
        Call::get(self.client, Ok(all()))
    }

    /// A new recipe.
    pub fn create(&self, body: &SecretPolicyBody) -> Call<SecretPolicy> {
        Call::new(self.client, Method::POST, Ok(all()), Repeat::Harmful).body(body)
    }

    /// One recipe.
    pub fn get(&self, policy: &str) -> Call<SecretPolicy> {
        Call::get(self.client, one(policy))
    }

    /// Changes the given fields.
    pub fn update(&self, policy: &str, patch: &SecretPolicyPatch) -> Call<SecretPolicy> {
        let route = one(policy);
        Call::new(self.client, Method::PATCH, route, Repeat::Harmless).body(patch)
    }

    /// Deletes a recipe; with `force` also one that is referred to.
    pub fn delete(&self, policy: &str, force: bool) -> Call<Done> {
        let route = one(policy);
        Call::new(self.client, Method::DELETE, route, Repeat::Harmless)
            .query("force", force.then_some(true))
    }

    /// A sample of what a recipe makes. It belongs into nothing.
    pub fn preview(&self, policy: &str) -> Call<SecretPolicyPreview> {
        let route = one(policy).map(|route| route.then("/preview"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless)
    }

    /// The same for a recipe that is not stored.
    pub fn preview_of(&self, body: &SecretPolicyTry) -> Call<SecretPolicyPreview> {
        let route = Ok(all().then("/preview"));
        Call::new(self.client, Method::POST, route, Repeat::Harmless).body(body)
    }
}

fn all() -> Route {
    Route::new("/secret-policies")
}

fn one(policy: &str) -> Result<Route, ClientError> {
    all().id(policy)
}
