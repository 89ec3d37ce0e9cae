//! Deliveries.

use async_trait::async_trait;
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::event::Event;
use scaivault_core::ids::{DeliveryId, SubscriptionId, TenantId};
use scaivault_core::ports::{CommitError, DeliveryReads, DeliveryStats, RecordKind};
use scaivault_core::time::Timestamp;

use super::plan::{encode, write};
use super::row::{PATHS_END, Read, count, decode, get, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

pub(crate) const TABLE: &str = "delivery";

fn due_at(delivery: &Delivery) -> Option<i64> {
    let pending = delivery.state == DeliveryState::Pending;
    delivery
        .next_attempt_at
        .filter(|_| pending)
        .map(Timestamp::as_micros)
}

pub(crate) fn put(rows: &Rows, delivery: &Delivery) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Delivery),
        write(
            delivery.revision,
            "INSERT INTO delivery (tenant, id, revision, receiver, event_position, state, due_at,
                                   claimed_until, created_at, duration_ms, doc, lane)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            "UPDATE delivery SET revision = $3, receiver = $4, event_position = $5, state = $6,
                                 due_at = $7, claimed_until = $8, created_at = $9,
                                 duration_ms = $10, doc = $11, lane = $12
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        delivery.tenant.as_str().to_owned(),
        delivery.id.as_str().to_owned(),
        int(delivery.revision),
        delivery.receiver.as_str().to_owned(),
        int(delivery.event_position),
        delivery.state.as_str(),
        due_at(delivery),
        delivery.claimed_until.map(Timestamp::as_micros),
        delivery.created_at.as_micros(),
        delivery.duration_ms.map(int),
        encode(rows, delivery)?,
        delivery.lane.clone(),
    ))
}

pub(crate) fn delete(delivery: &Delivery) -> Step {
    step!(
        Expect::One(RecordKind::Delivery),
        "DELETE FROM delivery WHERE tenant = $1 AND id = $2 AND revision = $3",
        delivery.tenant.as_str().to_owned(),
        delivery.id.as_str().to_owned(),
        int(delivery.revision),
    )
}

/// Drops what a polling receiver has not acknowledged beyond its newest `keep`, and counts it.
pub(crate) fn trim(receiver: &str, keep: u32) -> Step {
    step!(
        Expect::Any,
        "WITH gone AS (
             DELETE FROM delivery WHERE (tenant, id) IN (
                 SELECT tenant, id FROM delivery
                 WHERE receiver = $1 AND state = 'pending' AND due_at IS NULL
                 ORDER BY event_position DESC OFFSET $2)
             RETURNING 1)
         INSERT INTO receiver_dropped (receiver, dropped)
         SELECT $1, counted.rows FROM (SELECT count(*) AS rows FROM gone) counted
         WHERE counted.rows > 0
         ON CONFLICT (receiver)
         DO UPDATE SET dropped = receiver_dropped.dropped + excluded.dropped",
        receiver.to_owned(),
        i64::from(keep),
    )
}

#[async_trait]
impl DeliveryReads for PostgresStore {
    async fn delivery_find(&self, tenant: &TenantId, id: &DeliveryId) -> Read<Option<Delivery>> {
        let sql = "SELECT tenant, id, doc, revision, claimed_until, due_at FROM delivery
                   WHERE tenant = $1 AND id = $2";
        self.doc(TABLE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    /// Newest first, below `after`.
    async fn delivery_list(
        &self,
        tenant: &TenantId,
        receiver: &str,
        state: Option<DeliveryState>,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Delivery>> {
        let sql = "SELECT tenant, id, doc, revision, claimed_until, due_at FROM delivery
                   WHERE tenant = $1 AND receiver = $2 AND id < $3
                     AND ($4::text IS NULL OR state = $4)
                   ORDER BY id DESC LIMIT $5";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or(PATHS_END));
        let state = state.map(DeliveryState::as_str);
        self.docs(
            TABLE,
            sql,
            &[&tenant, &receiver, &after, &state, &limit(rows)],
        )
        .await
    }

    /// Oldest first, behind `after`.
    async fn delivery_ended(
        &self,
        tenant: &TenantId,
        receiver: &str,
        state: Option<DeliveryState>,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Delivery>> {
        let states = match state {
            Some(DeliveryState::Failed) => "state = 'failed'",
            Some(DeliveryState::Success) => "state = 'success'",
            Some(DeliveryState::Pending) => return Ok(Vec::new()),
            None => "state <> 'pending'",
        };
        let sql = format!(
            "SELECT tenant, id, doc, revision, claimed_until, due_at FROM delivery
             WHERE tenant = $1 AND receiver = $2 AND id > $3 AND {states}
               AND created_at >= $4 AND created_at < $5
             ORDER BY id LIMIT $6"
        );
        let from = from.map_or(i64::MIN, Timestamp::as_micros);
        let to = to.map_or(i64::MAX, Timestamp::as_micros);
        let (tenant, after) = (tenant.as_str(), after.unwrap_or(""));
        self.docs(
            TABLE,
            &sql,
            &[&tenant, &receiver, &after, &from, &to, &limit(rows)],
        )
        .await
    }

    async fn delivery_behind(
        &self,
        tenant: &TenantId,
        receiver: &str,
        lane: &str,
        after: u64,
    ) -> Read<Option<Delivery>> {
        let sql = "SELECT tenant, id, doc, revision, claimed_until, due_at FROM delivery
                   WHERE receiver = $2 AND lane = $3 AND event_position > $4
                     AND state = 'pending' AND tenant = $1
                   ORDER BY event_position LIMIT 100";
        let key = (tenant.as_str(), int(after));
        let rows = self.rows(sql, &[&key.0, &receiver, &lane, &key.1]).await?;
        Ok(rows
            .iter()
            .find_map(|row| decode(&self.shared.rows, TABLE, row, 0).ok()))
    }

    async fn delivery_stats(
        &self,
        tenant: &TenantId,
        receiver: &str,
        since: Timestamp,
    ) -> Read<DeliveryStats> {
        let sql = "SELECT count(*), count(*) FILTER (WHERE state = 'success'),
                          avg(duration_ms)::float8,
                          (SELECT d.dropped FROM receiver_dropped d
                           JOIN subscription s ON s.id = d.receiver
                           WHERE s.tenant = $1 AND d.receiver = $2)
                   FROM delivery
                   WHERE tenant = $1 AND receiver = $2 AND created_at >= $3";
        let key = (tenant.as_str(), since.as_micros());
        let rows = self.rows(sql, &[&key.0, &receiver, &key.1]).await?;
        let Some(row) = rows.first() else {
            return Ok(DeliveryStats::default());
        };
        Ok(DeliveryStats {
            total: count(row, 0)?,
            succeeded: count(row, 1)?,
            latency_ms: get::<Option<f64>>(row, 2)?.unwrap_or(0.0),
            dropped: count(row, 3)?,
        })
    }

    /// Oldest event first.
    async fn delivery_unacked(
        &self,
        tenant: &TenantId,
        receiver: &SubscriptionId,
        after: u64,
        rows: usize,
    ) -> Read<Vec<(Delivery, Event)>> {
        let sql = "SELECT d.tenant, d.id, d.doc, d.revision, d.claimed_until, d.due_at,
                          e.tenant, e.id, e.doc
                   FROM delivery d JOIN event e ON e.position = d.event_position
                   WHERE d.receiver = $2 AND d.state = 'pending' AND d.event_position > $3
                     AND d.tenant = $1 AND e.tenant = $1
                   ORDER BY d.event_position LIMIT $4";
        let key = (tenant.as_str(), receiver.as_str(), int(after));
        let rows = self
            .rows(sql, &[&key.0, &key.1, &key.2, &limit(rows)])
            .await?;
        let unacked = rows.iter().map(|row| {
            let delivery = decode(&self.shared.rows, TABLE, row, 0)?;
            Ok((delivery, decode(&self.shared.rows, "event", row, 6)?))
        });
        unacked.collect()
    }
}
