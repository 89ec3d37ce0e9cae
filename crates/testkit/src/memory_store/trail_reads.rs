//! Reads of what happened and whom it is told: receivers, events, deliveries, the ledger, the audit
//! trail; and of the keyring. By looking at every row.

use async_trait::async_trait;
use scaivault_core::audit::{AuditFilter, AuditReport, StoredAuditRow};
use scaivault_core::audit_anchor::{AuditAnchor, AuditPrunable, ExportedEnds};
use scaivault_core::audit_export::{AuditExport, ExportHead};
use scaivault_core::audit_forward::AuditForward;
use scaivault_core::consumer::Consumer;
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::event::{Event, StoredEvent};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{DeliveryId, EventId, ExportId, SubscriptionId, TenantId, WebhookId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AuditPage, AuditReads, AuditSummary, ConsumerReads, DeliveryReads, DeliveryStats, EventReads,
    KeyReads, MarkReads, ReadError, ReceiverReads, StoreMarks,
};
use scaivault_core::receiver::{Subscription, Webhook};
use scaivault_core::seal::KeyRecord;
use scaivault_core::time::Timestamp;

use super::MemoryStore;
use super::run_reads::due;
use super::table::page_down;

type Read<T> = Result<T, ReadError>;

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

    async fn subscription_page(
        &self,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Read<Vec<Subscription>> {
        let state = self.0.lock();
        let mut all: Vec<Subscription> = state.subscriptions.0.values().cloned().collect();
        all.sort_by(|a, b| {
            (a.tenant.as_str(), a.id.as_str()).cmp(&(b.tenant.as_str(), b.id.as_str()))
        });
        all.retain(|row| after.is_none_or(|after| (row.tenant.as_str(), row.id.as_str()) > after));
        all.truncate(limit);
        Ok(all)
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

    async fn delivery_ended(
        &self,
        tenant: &TenantId,
        receiver: &str,
        state: Option<DeliveryState>,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Delivery>> {
        let stored = self.0.lock();
        let wanted = stored.deliveries.of(tenant).filter(|row| {
            row.receiver.as_str() == receiver
                && row.state != DeliveryState::Pending
                && state.is_none_or(|state| row.state == state)
                && from.is_none_or(|from| row.created_at >= from)
                && to.is_none_or(|to| row.created_at < to)
                && after.is_none_or(|after| row.id.as_str() > after)
        });
        let mut found: Vec<Delivery> = wanted.cloned().collect();
        found.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        found.truncate(limit);
        Ok(found)
    }

    async fn delivery_behind(
        &self,
        tenant: &TenantId,
        receiver: &str,
        lane: &str,
        after: u64,
    ) -> Read<Option<Delivery>> {
        let state = self.0.lock();
        let waiting = state.deliveries.of(tenant).filter(|row| {
            row.receiver.as_str() == receiver
                && row.lane.as_deref() == Some(lane)
                && row.event_position > after
                && row.state == DeliveryState::Pending
        });
        Ok(waiting.min_by_key(|row| row.event_position).cloned())
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

    async fn consumer_reads(
        &self,
        tenant: &TenantId,
        who: &Identity,
        after: Option<&str>,
        paths: usize,
    ) -> Read<Vec<(SecretPath, Consumer)>> {
        let state = self.0.lock();
        let mut found: Vec<(SecretPath, Consumer)> = Vec::new();
        for ((of, path), line) in state.ledger.iter() {
            let beyond = after.is_none_or(|after| path.as_str() > after);
            if of == tenant.as_str() && line.consumer == *who && beyond {
                let path = SecretPath::parse(path).expect("a path that was stored");
                found.push((path, line.clone()));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.version.cmp(&a.1.version)));
        let mut seen: Vec<SecretPath> = found.iter().map(|(path, _)| path.clone()).collect();
        seen.dedup();
        seen.truncate(paths);
        found.retain(|(path, _)| seen.contains(path));
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
        let places: Vec<_> = (state.audit_removed + 1..)
            .zip(state.audit.iter())
            .collect();
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
            removed: Vec::new(),
        })
    }

    async fn audit_heads(&self) -> Read<Vec<ExportHead>> {
        let state = self.0.lock();
        let last_seq = state.audit_removed + state.audit.len() as u64;
        Ok(vec![ExportHead {
            chain: "memory".to_owned(),
            last_seq,
            head: format!("{last_seq:064x}"),
        }])
    }

    async fn audit_export_find(
        &self,
        tenant: &TenantId,
        id: &ExportId,
    ) -> Read<Option<AuditExport>> {
        Ok(self.0.lock().audit_exports.find(tenant, id.as_str()))
    }

    async fn audit_export_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<AuditExport>> {
        Ok(page_down(
            self.0.lock().audit_exports.of(tenant),
            after,
            limit,
        ))
    }

    async fn audit_export_due(&self, now: Timestamp, limit: usize) -> Read<Vec<AuditExport>> {
        let state = self.0.lock();
        let suspended = state.suspended();
        let wake_at = |row: &AuditExport| row.wake_at.filter(|_| !suspended.contains(&row.tenant));
        Ok(due(&state.audit_exports, wake_at, now, limit))
    }

    async fn audit_forward_find(&self, name: &str) -> Read<Option<AuditForward>> {
        let key = (String::new(), name.to_owned());
        Ok(self.0.lock().audit_forwards.0.get(&key).cloned())
    }

    /// As if each row were a segment of one chain. Nothing makes codes.
    async fn audit_prunable(
        &self,
        before: Timestamp,
        exported: Option<&ExportedEnds>,
    ) -> Read<Option<AuditPrunable>> {
        let state = self.0.lock();
        let after = state.audit_removed;
        let upto = exported.map_or(u64::MAX, |ends| {
            ends.get("memory").map_or(0, |end| end.last_seq)
        });
        let head = exported.and_then(|ends| ends.get("memory")?.head);
        if head.is_some_and(|head| head != [0; 32]) {
            return Err(ReadError::Undecodable {
                table: "audit_segment",
                column: "head",
                row: "memory".to_owned(),
            });
        }
        let before_last = state.audit.len().saturating_sub(1);
        let front = (after + 1..).zip(state.audit.iter().take(before_last));
        let rows = front
            .take_while(|(seq, row)| row.timestamp < before && *seq <= upto)
            .count() as u64;
        let id = |seq: u64| format!("log_memory_{seq:012}");
        let found = AuditPrunable {
            anchor: AuditAnchor {
                chain: "memory".to_owned(),
                first_seq: after + rows,
                last_seq: after + rows,
                head: [0; 32],
                mac: [0; 32],
                removed_at: Timestamp::from_micros(0),
                code: [0; 32],
            },
            front: None,
            after,
            rows,
            first_id: id(after + 1),
            last_id: id(after + rows),
            index: Vec::new(),
        };
        Ok((rows > 0).then_some(found))
    }
}

#[async_trait]
impl KeyReads for MemoryStore {
    async fn key_list(&self) -> Read<Vec<KeyRecord>> {
        Ok(self.0.lock().keys.0.values().cloned().collect())
    }
}

#[async_trait]
impl MarkReads for MemoryStore {
    async fn marks(&self) -> Read<StoreMarks> {
        Ok(self.0.lock().marks)
    }
}
