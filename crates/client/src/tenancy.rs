//! Partners and tenants.

use reqwest::Method;

use scaivault_api::tenancy::{
    Partner, PartnerBody, PartnerList, TenancyPatch, Tenant, TenantBody, TenantList,
};

use crate::call::Call;
use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;
use crate::route::Route;

/// Calls below `/v1/identity/partners`.
#[derive(Debug, Clone, Copy)]
pub struct Partners<'a> {
    client: &'a Client,
}

impl<'a> Partners<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of partners, from 1.
    pub fn list(&self, page: u64, page_size: u64) -> Call<PartnerList> {
        Call::get(self.client, Ok(partners()))
            .query("page", Some(page))
            .query("page_size", Some(page_size))
    }

    /// A new partner.
    pub fn create(&self, body: &PartnerBody) -> Call<Partner> {
        let route = Ok(partners());
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// One partner.
    pub fn get(&self, id: &str) -> Call<Partner> {
        Call::get(self.client, partners().id(id))
    }

    /// Changes the given fields.
    pub fn update(&self, id: &str, patch: &TenancyPatch) -> Call<Partner> {
        patched(self.client, partners().id(id), patch)
    }
}

/// Calls below `/v1/identity/tenants`.
#[derive(Debug, Clone, Copy)]
pub struct Tenants<'a> {
    client: &'a Client,
}

impl<'a> Tenants<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// A page of tenants, from 1; of one partner, or of all.
    pub fn list(&self, partner: Option<&str>, page: u64, page_size: u64) -> Call<TenantList> {
        Call::get(self.client, Ok(tenants()))
            .query("partner_id", partner)
            .query("page", Some(page))
            .query("page_size", Some(page_size))
    }

    /// A new tenant.
    pub fn create(&self, body: &TenantBody) -> Call<Tenant> {
        let route = Ok(tenants());
        Call::new(self.client, Method::POST, route, Repeat::Harmful).body(body)
    }

    /// One tenant.
    pub fn get(&self, id: &str) -> Call<Tenant> {
        Call::get(self.client, tenants().id(id))
    }

    /// Changes the given fields.
    pub fn update(&self, id: &str, patch: &TenancyPatch) -> Call<Tenant> {
        patched(self.client, tenants().id(id), patch)
    }
}

fn partners() -> Route {
    Route::new("/identity/partners")
}

fn tenants() -> Route {
    Route::new("/identity/tenants")
}

fn patched<T>(client: &Client, route: Result<Route, ClientError>, patch: &TenancyPatch) -> Call<T> {
    Call::new(client, Method::PATCH, route, Repeat::Harmless).body(patch)
}
