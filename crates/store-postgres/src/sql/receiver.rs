//! Webhooks and subscriptions.

use async_trait::async_trait;
use scaivault_core::ids::{SubscriptionId, TenantId, WebhookId};
use scaivault_core::ports::{CommitError, ReceiverReads, RecordKind};
use scaivault_core::receiver::{Subscription, Webhook};

use super::plan::{encode, write};
use super::row::{Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

pub(crate) fn put_webhook(rows: &Rows, webhook: &Webhook) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Webhook),
        write(
            webhook.revision,
            "INSERT INTO webhook (tenant, id, revision, doc) VALUES ($1, $2, $3, $4)",
            "UPDATE webhook SET revision = $3, doc = $4
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        webhook.tenant.as_str().to_owned(),
        webhook.id.as_str().to_owned(),
        int(webhook.revision),
        encode(rows, webhook)?,
    ))
}

pub(crate) fn delete_webhook(webhook: &Webhook) -> Step {
    step!(
        Expect::One(RecordKind::Webhook),
        "DELETE FROM webhook WHERE tenant = $1 AND id = $2 AND revision = $3",
        webhook.tenant.as_str().to_owned(),
        webhook.id.as_str().to_owned(),
        int(webhook.revision),
    )
}

pub(crate) fn put_subscription(
    rows: &Rows,
    subscription: &Subscription,
) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Subscription),
        write(
            subscription.revision,
            "INSERT INTO subscription (tenant, id, revision, doc) VALUES ($1, $2, $3, $4)",
            "UPDATE subscription SET revision = $3, doc = $4
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        subscription.tenant.as_str().to_owned(),
        subscription.id.as_str().to_owned(),
        int(subscription.revision),
        encode(rows, subscription)?,
    ))
}

/// Its count of dropped events goes with it: the id never comes again.
pub(crate) fn delete_subscription(subscription: &Subscription) -> [Step; 2] {
    let gone = step!(
        Expect::One(RecordKind::Subscription),
        "DELETE FROM subscription WHERE tenant = $1 AND id = $2 AND revision = $3",
        subscription.tenant.as_str().to_owned(),
        subscription.id.as_str().to_owned(),
        int(subscription.revision),
    );
    let dropped = step!(
        Expect::Any,
        "DELETE FROM receiver_dropped WHERE receiver = $1",
        subscription.id.as_str().to_owned(),
    );
    [gone, dropped]
}

#[async_trait]
impl ReceiverReads for PostgresStore {
    async fn webhook_find(&self, tenant: &TenantId, id: &WebhookId) -> Read<Option<Webhook>> {
        let sql = "SELECT tenant, id, doc FROM webhook WHERE tenant = $1 AND id = $2";
        self.doc("webhook", sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn webhook_list(&self, tenant: &TenantId) -> Read<Vec<Webhook>> {
        let sql = "SELECT tenant, id, doc FROM webhook WHERE tenant = $1 ORDER BY id";
        self.docs("webhook", sql, &[&tenant.as_str()]).await
    }

    async fn subscription_find(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
    ) -> Read<Option<Subscription>> {
        let sql = "SELECT tenant, id, doc FROM subscription WHERE tenant = $1 AND id = $2";
        self.doc("subscription", sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn subscription_list(&self, tenant: &TenantId) -> Read<Vec<Subscription>> {
        let sql = "SELECT tenant, id, doc FROM subscription WHERE tenant = $1 ORDER BY id";
        self.docs("subscription", sql, &[&tenant.as_str()]).await
    }

    async fn subscription_page(
        &self,
        after: Option<(&str, &str)>,
        rows: usize,
    ) -> Read<Vec<Subscription>> {
        let sql = "SELECT tenant, id, doc FROM subscription WHERE (tenant, id) > ($1, $2)
                   ORDER BY tenant, id LIMIT $3";
        let (tenant, id) = after.unwrap_or_default();
        self.docs("subscription", sql, &[&tenant, &id, &limit(rows)])
            .await
    }
}
