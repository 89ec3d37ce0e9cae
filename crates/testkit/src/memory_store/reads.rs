//! Reads, by looking at every row.

use std::collections::BTreeMap;

use async_trait::async_trait;
use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::audit::{AuditFilter, AuditReport, StoredAuditRow};
use scaivault_core::consumer::Consumer;
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::event::{Event, StoredEvent};
use scaivault_core::identity::{Identity, Token, TokenHash};
use scaivault_core::ids::{
    BindingId, DeliveryId, EventId, PolicyId, RotationId, RotationPolicyId, SubscriptionId,
    TenantId, TokenId, WebhookId,
};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, AuditPage, AuditReads, AuditSummary, ConsumerReads, DeliveryReads,
    DeliveryStats, EventReads, KeyReads, PolicyReads, ReadError, ReceiverReads, RotationFilter,
    RotationPolicyReads, RotationReads, SecretFilter, SecretReads, TokenReads,
};
use scaivault_core::receiver::{Subscription, Webhook};
use scaivault_core::rotation::{Assignment, Rotation, RotationPolicy};
use scaivault_core::seal::KeyRecord;
use scaivault_core::secret::{SealedVersion, SecretHead, Version};
use scaivault_core::time::Timestamp;

use super::MemoryStore;
use super::table::Row;

type Read<T> = Result<T, ReadError>;

/// Rows whose key is behind `after`.
fn page<'a, R: Row + 'a>(
    rows: impl Iterator<Item = &'a R>,
    after: Option<&str>,
    limit: usize,
) -> Vec<R> {
    let behind = |row: &&R| after.is_none_or(|after| row.key().1.as_str() > after);
    rows.filter(behind).take(limit).cloned().collect()
}

/// Rows whose key is below `after`, the greatest first.
fn page_down<'a, R: Row + 'a>(
    rows: impl DoubleEndedIterator<Item = &'a R>,
    after: Option<&str>,
    limit: usize,
) -> Vec<R> {
    let below = |row: &&R| after.is_none_or(|after| row.key().1.as_str() < after);
    rows.rev().filter(below).take(limit).cloned().collect()
}

#[async_trait]
impl SecretReads for MemoryStore {
    async fn secret_find(&self, tenant: &TenantId, path: &SecretPath) -> Read<Option<SecretHead>> {
        Ok(self.0.lock().secrets.find(tenant, path.as_str()))
    }

    async fn secret_open(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Read<Option<(SecretHead, Option<SealedVersion>)>> {
        let state = self.0.lock();
        let Some(head) = state.secrets.find(tenant, path.as_str()) else {
            return Ok(None);
        };
        let number = version.unwrap_or(head.current_version);
        let mut rows = state.versions.of(tenant);
        let found = rows
            .find(|row| row.path == *path && row.version == number)
            .map(|row| SealedVersion {
                version: row.clone(),
                sealed: state.values[&row.key()].clone(),
            });
        Ok(Some((head, found)))
    }

    async fn secret_list(
        &self,
        tenant: &TenantId,
        filter: &SecretFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<SecretHead>> {
        let state = self.0.lock();
        let wanted = state.secrets.of(tenant).filter(|head| {
            head.path.as_str().starts_with(&filter.prefix)
                && filter
                    .tag
                    .as_ref()
                    .is_none_or(|tag| head.metadata.tags.contains(tag))
                && filter
                    .secret_type
                    .is_none_or(|kind| kind == head.secret_type)
                && filter
                    .expires_before
                    .is_none_or(|end| head.expires_at.is_some_and(|at| at <= end))
                && (filter.include_deleted || !head.is_deleted())
        });
        Ok(page(wanted, after, limit))
    }

    async fn version_list(&self, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Version>> {
        let state = self.0.lock();
        Ok(state
            .versions
            .of(tenant)
            .rev()
            .filter(|row| row.path == *path)
            .cloned()
            .collect())
    }

    async fn secret_purgeable(&self, now: Timestamp, limit: usize) -> Read<Vec<SecretHead>> {
        let state = self.0.lock();
        let ended = |head: &&SecretHead| head.recoverable_until.is_some_and(|end| end <= now);
        let mut found: Vec<_> = state.secrets.0.values().filter(ended).cloned().collect();
        found.sort_by_key(|head| head.recoverable_until);
        found.truncate(limit);
        Ok(found)
    }

    async fn secret_counts(&self) -> Read<BTreeMap<TenantId, u64>> {
        let mut counts = BTreeMap::new();
        for head in self
            .0
            .lock()
            .secrets
            .0
            .values()
            .filter(|head| !head.is_deleted())
        {
            *counts.entry(head.tenant.clone()).or_default() += 1;
        }
        Ok(counts)
    }
}

#[async_trait]
impl PolicyReads for MemoryStore {
    async fn policy_find(&self, tenant: &TenantId, id: &PolicyId) -> Read<Option<AccessPolicy>> {
        Ok(self.0.lock().policies.find(tenant, id.as_str()))
    }

    async fn policy_list(
        &self,
        tenant: &TenantId,
        include_inactive: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<AccessPolicy>> {
        let state = self.0.lock();
        let wanted = state
            .policies
            .of(tenant)
            .filter(|row| include_inactive || row.is_active);
        Ok(page(wanted, after, limit))
    }

    async fn binding_list(&self, tenant: &TenantId, policy: &PolicyId) -> Read<Vec<Binding>> {
        let state = self.0.lock();
        Ok(state
            .bindings
            .of(tenant)
            .filter(|row| row.policy_id == *policy)
            .cloned()
            .collect())
    }

    async fn binding_find(&self, tenant: &TenantId, id: &BindingId) -> Read<Option<Binding>> {
        Ok(self.0.lock().bindings.find(tenant, id.as_str()))
    }

    async fn grants(
        &self,
        tenant: &TenantId,
        identities: &[Identity],
    ) -> Read<Vec<(AccessPolicy, Binding)>> {
        let state = self.0.lock();
        let bound = state
            .bindings
            .of(tenant)
            .filter(|row| identities.contains(&row.identity));
        let mut found: Vec<_> = bound
            .filter_map(|row| {
                Some((
                    state.policies.find(tenant, row.policy_id.as_str())?,
                    row.clone(),
                ))
            })
            .collect();
        found.sort_by_key(|(policy, binding)| (policy.id.clone(), binding.id.clone()));
        Ok(found)
    }
}

#[async_trait]
impl TokenReads for MemoryStore {
    async fn token_by_hash(&self, hash: &TokenHash) -> Read<Option<Token>> {
        Ok(self
            .0
            .lock()
            .tokens
            .0
            .values()
            .find(|row| row.hash == *hash)
            .cloned())
    }

    async fn token_find(&self, tenant: &TenantId, id: &TokenId) -> Read<Option<Token>> {
        Ok(self.0.lock().tokens.find(tenant, id.as_str()))
    }

    async fn token_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Token>> {
        Ok(page(self.0.lock().tokens.of(tenant), after, limit))
    }
}

#[async_trait]
impl RotationPolicyReads for MemoryStore {
    async fn rotation_policy_find(
        &self,
        tenant: &TenantId,
        id: &RotationPolicyId,
    ) -> Read<Option<RotationPolicy>> {
        Ok(self.0.lock().rotation_policies.find(tenant, id.as_str()))
    }

    async fn rotation_policy_list(
        &self,
        tenant: &TenantId,
        active_only: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<RotationPolicy>> {
        let state = self.0.lock();
        let wanted = state
            .rotation_policies
            .of(tenant)
            .filter(|row| row.is_active || !active_only);
        Ok(page(wanted, after, limit))
    }
}

#[async_trait]
impl AssignmentReads for MemoryStore {
    async fn assignment_find(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Read<Option<Assignment>> {
        Ok(self.0.lock().assignments.find(tenant, path.as_str()))
    }

    async fn assignment_list(
        &self,
        tenant: &TenantId,
        policy: &RotationPolicyId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Assignment>> {
        let state = self.0.lock();
        Ok(page(
            state
                .assignments
                .of(tenant)
                .filter(|row| row.policy_id == *policy),
            after,
            limit,
        ))
    }

    async fn assignment_count(&self, tenant: &TenantId, policy: &RotationPolicyId) -> Read<u64> {
        let state = self.0.lock();
        Ok(state
            .assignments
            .of(tenant)
            .filter(|row| row.policy_id == *policy)
            .count() as u64)
    }

    async fn assignment_due(
        &self,
        tenant: &TenantId,
        until: Timestamp,
        policy: Option<&RotationPolicyId>,
        limit: usize,
    ) -> Read<Vec<Assignment>> {
        let state = self.0.lock();
        let due = state.assignments.of(tenant).filter(|row| {
            row.next_rotation_at < until && policy.is_none_or(|policy| row.policy_id == *policy)
        });
        let mut found: Vec<_> = due.cloned().collect();
        found.sort_by_key(|row| row.next_rotation_at);
        found.truncate(limit);
        Ok(found)
    }
}

#[async_trait]
impl RotationReads for MemoryStore {
    async fn rotation_find(&self, tenant: &TenantId, id: &RotationId) -> Read<Option<Rotation>> {
        Ok(self.0.lock().rotations.find(tenant, id.as_str()))
    }

    async fn rotation_list(
        &self,
        tenant: &TenantId,
        filter: &RotationFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Rotation>> {
        let state = self.0.lock();
        let wanted = state.rotations.of(tenant).filter(|row| {
            filter.path.as_ref().is_none_or(|path| row.path == *path)
                && filter
                    .policy_id
                    .as_ref()
                    .is_none_or(|policy| row.policy_id == *policy)
                && (filter.phases.is_empty() || filter.phases.contains(&row.phase))
        });
        Ok(page_down(wanted, after, limit))
    }
}

#[async_trait]
impl ReceiverReads for MemoryStore {
    async fn webhook_find(&self, tenant: &TenantId, id: &WebhookId) -> Read<Option<Webhook>> {
        Ok(self.0.lock().webhooks.find(tenant, id.as_str()))
    }

    async fn webhook_list(&self, tenant: &TenantId) -> Read<Vec<Webhook>> {
        Ok(self.0.lock().webhooks.of(tenant).cloned().collect())
    }

    async fn subscription_find(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
    ) -> Read<Option<Subscription>> {
        Ok(self.0.lock().subscriptions.find(tenant, id.as_str()))
    }

    async fn subscription_list(&self, tenant: &TenantId) -> Read<Vec<Subscription>> {
        Ok(self.0.lock().subscriptions.of(tenant).cloned().collect())
    }
}

#[async_trait]
impl EventReads for MemoryStore {
    async fn event_find(&self, tenant: &TenantId, id: &EventId) -> Read<Option<StoredEvent>> {
        let state = self.0.lock();
        let mut events = state.events.values();
        Ok(events
            .find(|event| event.event.tenant == *tenant && event.event.id == *id)
            .cloned())
    }

    async fn fan_out_pending(&self, limit: usize) -> Read<(u64, Vec<StoredEvent>)> {
        let state = self.0.lock();
        let pending = state
            .events
            .range(state.fan_out + 1..)
            .map(|(_, event)| event.clone());
        Ok((state.fan_out, pending.take(limit).collect()))
    }
}

#[async_trait]
impl DeliveryReads for MemoryStore {
    async fn delivery_find(&self, tenant: &TenantId, id: &DeliveryId) -> Read<Option<Delivery>> {
        Ok(self.0.lock().deliveries.find(tenant, id.as_str()))
    }

    async fn delivery_list(
        &self,
        tenant: &TenantId,
        receiver: &str,
        state: Option<DeliveryState>,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Delivery>> {
        let stored = self.0.lock();
        let wanted = stored.deliveries.of(tenant).filter(|row| {
            row.receiver.as_str() == receiver && state.is_none_or(|state| row.state == state)
        });
        Ok(page_down(wanted, after, limit))
    }

    async fn delivery_stats(
        &self,
        tenant: &TenantId,
        receiver: &str,
        since: Timestamp,
    ) -> Read<DeliveryStats> {
        let state = self.0.lock();
        let rows: Vec<_> = state
            .deliveries
            .of(tenant)
            .filter(|row| row.receiver.as_str() == receiver && row.created_at >= since)
            .collect();
        let times: Vec<u64> = rows.iter().filter_map(|row| row.duration_ms).collect();
        let owned = state.subscriptions.find(tenant, receiver).is_some();
        let dropped = state.dropped.get(receiver).copied().filter(|_| owned);
        Ok(DeliveryStats {
            total: rows.len() as u64,
            succeeded: rows
                .iter()
                .filter(|row| row.state == DeliveryState::Success)
                .count() as u64,
            latency_ms: match times.len() {
                0 => 0.0,
                count => times.iter().sum::<u64>() as f64 / count as f64,
            },
            dropped: dropped.unwrap_or(0),
        })
    }

    async fn delivery_unacked(
        &self,
        tenant: &TenantId,
        receiver: &SubscriptionId,
        after: u64,
        limit: usize,
    ) -> Read<Vec<(Delivery, Event)>> {
        let state = self.0.lock();
        let unacked = state.deliveries.of(tenant).filter(|row| {
            row.receiver.as_str() == receiver.as_str()
                && row.state == DeliveryState::Pending
                && row.event_position > after
        });
        let mut found: Vec<_> = unacked
            .filter_map(|row| {
                let event = state.events.get(&row.event_position)?;
                (event.event.tenant == *tenant).then(|| (row.clone(), event.event.clone()))
            })
            .collect();
        found.sort_by_key(|(row, _)| row.event_position);
        found.truncate(limit);
        Ok(found)
    }
}

#[async_trait]
impl ConsumerReads for MemoryStore {
    async fn consumer_list(&self, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Consumer>> {
        let key = (tenant.to_string(), path.to_string());
        let state = self.0.lock();
        let lines = state.ledger.iter().filter(|(of, _)| *of == key);
        let mut found: Vec<Consumer> = lines.map(|(_, line)| line.clone()).collect();
        found.sort_by(|a, b| {
            b.version
                .cmp(&a.version)
                .then_with(|| a.consumer.as_str().cmp(b.consumer.as_str()))
        });
        Ok(found)
    }
}

#[async_trait]
impl AuditReads for MemoryStore {
    async fn audit_query(
        &self,
        filter: &AuditFilter,
        below: Option<u64>,
        limit: usize,
    ) -> Read<AuditPage> {
        let state = self.0.lock();
        let places: Vec<_> = (1u64..).zip(&state.audit).collect();
        let mut wanted = places
            .into_iter()
            .rev()
            .filter(|(seq, row)| below.is_none_or(|below| *seq < below) && filter.wants(row))
            .map(|(seq, row)| StoredAuditRow {
                id: format!("log_memory_{seq:012}"),
                seq,
                row: row.clone(),
            });
        let rows: Vec<_> = wanted.by_ref().take(limit).collect();
        let more = wanted.next();
        let next = more.and(rows.last().map(|row| row.seq));
        Ok(AuditPage { rows, next })
    }

    async fn audit_summary(&self, filter: &AuditFilter) -> Read<AuditSummary> {
        let mut summary = AuditSummary::default();
        for row in self.0.lock().audit.iter().filter(|row| filter.wants(row)) {
            summary.total += 1;
            summary.succeeded += u64::from(row.success);
            *summary
                .by_action
                .entry(row.action.as_str().to_owned())
                .or_default() += 1;
            *summary
                .by_identity
                .entry(row.identity_id.clone())
                .or_default() += 1;
            let at = Some(row.timestamp);
            summary.first_at = summary.first_at.map_or(at, |first| at.min(Some(first)));
            summary.last_at = summary.last_at.max(at);
        }
        Ok(summary)
    }

    /// There is no chain; the head only tells one length from another.
    async fn audit_verify(&self) -> Read<AuditReport> {
        let rows = self.0.lock().audit.len() as u64;
        Ok(AuditReport {
            rows,
            head: format!("{rows:016x}"),
            first_bad: None,
        })
    }
}

#[async_trait]
impl KeyReads for MemoryStore {
    async fn key_list(&self) -> Read<Vec<KeyRecord>> {
        Ok(self.0.lock().keys.0.values().cloned().collect())
    }
}
