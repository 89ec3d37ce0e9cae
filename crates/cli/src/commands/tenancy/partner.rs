//! `scaivault partner …`

use clap::{Args, Subcommand};
use scaivault_api::tenancy::{Partner, PartnerBody, PartnerList};

use super::{ACTIVE, PAGE, SUSPENDED, status};
use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Partners {
    /// List partners
    List(List),
    /// Show a partner
    Show(One),
    /// Make a partner
    Create(Create),
    /// Suspend a partner and with it all its tenants
    Suspend(One),
    /// Serve a suspended partner again
    Activate(One),
}

#[derive(Args)]
pub(crate) struct List {
    /// Which page of a thousand
    #[arg(long, value_name = "N", default_value_t = 1)]
    page: u64,
}

#[derive(Args)]
pub(crate) struct One {
    /// The partner's id
    partner: String,
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
    /// Its id, where an identity provider gave it one: ptn_…
    #[arg(long)]
    id: Option<String>,
}

impl Partners {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let partners = session.client.partners();
        let call = match self {
            Self::List(list) => {
                let call = partners.list(list.page, PAGE);
                return session.output.answer(call, render).await;
            }
            Self::Show(one) => partners.get(&one.partner),
            Self::Create(create) => partners.create(&PartnerBody {
                name: create.name,
                id: create.id,
                slug: create.slug,
                region: create.region,
            }),
            Self::Suspend(one) => partners.update(&one.partner, &status(SUSPENDED)),
            Self::Activate(one) => partners.update(&one.partner, &status(ACTIVE)),
        };
        session.output.answer(call, details).await
    }
}

fn render(list: &PartnerList) -> String {
    let mut table = Table::new(&["ID", "NAME", "SLUG", "REGION", "STATUS"]);
    for partner in &list.partners {
        table.row([
            partner.id.as_str(),
            &partner.name,
            &partner.slug,
            or_dash(partner.region.as_deref()),
            &partner.status,
        ]);
    }
    table.render()
}

fn details(partner: &Partner) -> String {
    let mut table = Table::fields();
    table.row(["id", &partner.id]);
    table.row(["name", &partner.name]);
    table.row(["slug", &partner.slug]);
    table.row(["region", or_dash(partner.region.as_deref())]);
    table.row(["status", &partner.status]);
    table.row(["created", &partner.created_at]);
    table.row(["updated", &partner.updated_at]);
    table.render()
}
