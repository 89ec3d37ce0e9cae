//! `scaivault tenant …`

use clap::{Args, Subcommand};
use scaivault_api::tenancy::{Tenant, TenantBody, TenantList};

use super::{ACTIVE, PAGE, SUSPENDED, status};
use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Tenants {
    /// List tenants
    List(List),
    /// Show a tenant
    Show(One),
    /// Make a tenant
    Create(Create),
    /// Refuse every request of a tenant and leave its work alone
    Suspend(One),
    /// Serve a suspended tenant again
    Activate(One),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only those of this partner
    #[arg(long, value_name = "PARTNER")]
    partner: Option<String>,
    /// Which page of a thousand
    #[arg(long, value_name = "N", default_value_t = 1)]
    page: u64,
}

#[derive(Args)]
pub(crate) struct One {
    /// The tenant's id
    tenant: String,
}

#[derive(Args)]
pub(crate) struct Create {
    /// For people
    name: String,
    /// For URLs and files [default: made of the name]
    #[arg(long)]
    slug: Option<String>,
    /// Where it is at home
    #[arg(long)]
    region: Option<String>,
    /// Its partner [default: the caller's]
    #[arg(long, value_name = "PARTNER")]
    partner: Option<String>,
    /// Its id, where an identity provider gave it one: tnt_…
    #[arg(long)]
    id: Option<String>,
}

impl Tenants {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let tenants = session.client.tenants();
        let call = match self {
            Self::List(list) => {
                let call = tenants.list(list.partner.as_deref(), list.page, PAGE);
                return session.output.answer(call, render).await;
            }
            Self::Show(one) => tenants.get(&one.tenant),
            Self::Create(create) => tenants.create(&TenantBody {
                name: create.name,
                partner_id: create.partner,
                id: create.id,
                slug: create.slug,
                region: create.region,
            }),
            Self::Suspend(one) => tenants.update(&one.tenant, &status(SUSPENDED)),
            Self::Activate(one) => tenants.update(&one.tenant, &status(ACTIVE)),
        };
        session.output.answer(call, details).await
    }
}

fn render(list: &TenantList) -> String {
    let mut table = Table::new(&["ID", "NAME", "SLUG", "PARTNER", "REGION", "STATUS"]);
    for tenant in &list.tenants {
        table.row([
            tenant.id.as_str(),
            &tenant.name,
            &tenant.slug,
            &tenant.partner_id,
            or_dash(tenant.region.as_deref()),
            &tenant.status,
        ]);
    }
    table.render()
}

fn details(tenant: &Tenant) -> String {
    let mut table = Table::fields();
    table.row(["id", &tenant.id]);
    table.row(["partner", &tenant.partner_id]);
    table.row(["name", &tenant.name]);
    table.row(["slug", &tenant.slug]);
    table.row(["region", or_dash(tenant.region.as_deref())]);
    table.row(["status", &tenant.status]);
    table.row(["created", &tenant.created_at]);
    table.row(["updated", &tenant.updated_at]);
    table.render()
}
