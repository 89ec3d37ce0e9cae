//! The outbox: events, their places, and how far they were fanned out.

use async_trait::async_trait;
use scaivault_core::event::{Event, StoredEvent};
use scaivault_core::ids::{EventId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, EventReads, RecordKind};
use scaivault_core::time::Timestamp;
use scaivault_store::rows::Rows;
use tokio_postgres::Row;

use super::plan::encode;
use super::row::{Read, count, decode, get, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;

const TABLE: &str = "event";

/// An event as it is put.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    tenant: String,
    id: String,
    path: Option<String>,
    at: i64,
    doc: String,
}

impl EventRow {
    pub(crate) fn new(rows: &Rows, event: &Event) -> Result<Self, CommitError> {
        let path = event.path.as_ref().map(SecretPath::as_str);
        Ok(Self {
            tenant: event.tenant.as_str().to_owned(),
            id: event.id.as_str().to_owned(),
            path: path.map(str::to_owned),
            at: event.at.as_micros(),
            doc: encode(rows, event)?,
        })
    }

    /// Puts the event into the outbox, next in its path's sequence. The row `event_position` is
    /// locked first, and until the commit: whoever sees a position sees all before it. A missing
    /// row there would make the position NULL, which the table refuses.
    pub(crate) fn emit(&self) -> Step {
        step!(
            Expect::Must("an event of this id is in the outbox already"),
            "WITH place AS (
                 UPDATE meta SET value = value + 1 WHERE name = 'event_position'
                 RETURNING value),
             next AS (
                 INSERT INTO event_sequence (tenant, path, last)
                 SELECT $1, $3, 1 FROM place WHERE $3::text IS NOT NULL
                 ON CONFLICT (tenant, path) DO UPDATE SET last = event_sequence.last + 1
                 RETURNING last)
             INSERT INTO event (position, tenant, id, sequence, at, doc)
             SELECT (SELECT value FROM place), $1, $2, coalesce((SELECT last FROM next), 0), $4,
                    $5",
            self.tenant.clone(),
            self.id.clone(),
            self.path.clone(),
            self.at,
            self.doc.clone(),
        )
    }
}

/// Events that one statement puts, at most.
pub(crate) const TOGETHER: usize = 64;

/// As [`EventRow::emit`], for events in their order: each next in its path's sequence.
pub(crate) fn emit_all(events: &[&EventRow]) -> Vec<Step> {
    let emitting = events.chunks(TOGETHER).map(|some| match some {
        [one] => one.emit(),
        many => emit_many(many),
    });
    emitting.collect()
}

/// Tables of the statement that puts many events …
macro_rules! emit_tables {
    () => {
        "made AS (
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
                  WITH ORDINALITY AS r (tenant, id, path, at, doc, number)),
         place AS (
             UPDATE meta SET value = value + cardinality($1::text[])
             WHERE name = 'event_position'
             RETURNING value - cardinality($1::text[]) AS before),
         next AS (
             INSERT INTO event_sequence (tenant, path, last)
             SELECT made.tenant, made.path, count(*) FROM place, made
             WHERE made.path IS NOT NULL GROUP BY made.tenant, made.path
             ON CONFLICT (tenant, path) DO UPDATE SET last = event_sequence.last + excluded.last
             RETURNING tenant, path, last)"
    };
}

/// … and what is done with them.
macro_rules! emit_put {
    () => {
        " INSERT INTO event (position, tenant, id, sequence, at, doc)
         SELECT (SELECT before FROM place) + made.number, made.tenant, made.id,
                coalesce(next.last - row_number() OVER (
                    PARTITION BY made.tenant, made.path ORDER BY made.number DESC) + 1, 0),
                made.at, made.doc
         FROM made LEFT JOIN next ON next.tenant = made.tenant AND next.path = made.path"
    };
}

/// As [`EventRow::emit`], for at most [`TOGETHER`] events in their order.
pub(crate) fn emit_many(events: &[&EventRow]) -> Step {
    let texts = |of: fn(&EventRow) -> &String| -> Vec<String> {
        events.iter().map(|event| of(event).clone()).collect()
    };
    let paths: Vec<Option<String>> = events.iter().map(|event| event.path.clone()).collect();
    let times: Vec<i64> = events.iter().map(|event| event.at).collect();
    let mut step = step!(
        Expect::All(
            events.len() as u64,
            "an event of this id is in the outbox already"
        ),
        concat!("WITH ", emit_tables!(), emit_put!()),
        texts(|event| &event.tenant),
        texts(|event| &event.id),
        paths,
        times,
        texts(|event| &event.doc),
    );
    step.inside = Some((emit_tables!(), emit_put!()));
    step
}

/// Moves the mark; a conflict when it is not at `from`. There is no kind for the mark: what races
/// for it is the making of deliveries.
pub(crate) fn fan_out_advance(from: u64, to: u64) -> Step {
    step!(
        Expect::One(RecordKind::Delivery),
        "UPDATE meta SET value = $2 WHERE name = 'fan_out' AND value = $1",
        int(from),
        int(to),
    )
    .or_many(
        "UPDATE meta m SET value = r.upto
         FROM unnest($1::bigint[], $2::bigint[]) AS r (at, upto)
         WHERE m.name = 'fan_out' AND m.value = r.at",
    )
}

/// Removes fanned-out events older than `before` that no delivery waits for, with their
/// deliveries: some at a time, oldest first. What is kept for a subscription that is gone is waited
/// for by nobody: it was put on its way by somebody who did not know yet.
pub(crate) fn prune(before: Timestamp) -> Step {
    step!(
        Expect::Any,
        "WITH gone AS MATERIALIZED (
             SELECT e.position FROM event e
             WHERE e.at < $1
               AND e.position <= (SELECT value FROM meta WHERE name = 'fan_out')
               AND NOT EXISTS (SELECT 1 FROM delivery d
                               WHERE d.event_position = e.position AND d.state = 'pending'
                                 AND (d.due_at IS NOT NULL
                                      OR EXISTS (SELECT 1 FROM subscription s
                                                 WHERE s.tenant = d.tenant
                                                   AND s.id = d.receiver)))
             ORDER BY e.at, e.position LIMIT 5000 FOR UPDATE OF e SKIP LOCKED),
         with_them AS (
             DELETE FROM delivery d USING gone WHERE d.event_position = gone.position)
         DELETE FROM event e USING gone WHERE e.position = gone.position",
        before.as_micros(),
    )
}

/// Removes deliveries of tests: they have no event that takes them along.
pub(crate) fn prune_tests(before: Timestamp) -> Step {
    step!(
        Expect::Any,
        "DELETE FROM delivery WHERE (tenant, id) IN (
             SELECT tenant, id FROM delivery
             WHERE event_position = 0 AND state <> 'pending' AND created_at < $1 LIMIT 5000)",
        before.as_micros(),
    )
}

/// A row selected as `position, sequence, tenant, id, doc` from column `first` on.
fn stored(rows: &Rows, row: &Row, first: usize) -> Read<StoredEvent> {
    Ok(StoredEvent {
        position: count(row, first)?,
        sequence: count(row, first + 1)?,
        event: decode(rows, TABLE, row, first + 2)?,
    })
}

#[async_trait]
impl EventReads for PostgresStore {
    async fn event_find(&self, tenant: &TenantId, id: &EventId) -> Read<Option<StoredEvent>> {
        let sql = "SELECT e.position, e.sequence, e.tenant, e.id, e.doc FROM event e
                   WHERE e.tenant = $1 AND e.id = $2";
        let rows = self.rows(sql, &[&tenant.as_str(), &id.as_str()]).await?;
        rows.first()
            .map(|row| stored(&self.shared.rows, row, 0))
            .transpose()
    }

    /// In one statement: the mark and the events are of one moment.
    async fn fan_out_pending(&self, rows: usize) -> Read<(u64, Vec<StoredEvent>)> {
        let sql = "SELECT m.value, e.position, e.sequence, e.tenant, e.id, e.doc
                   FROM (SELECT value FROM meta WHERE name = 'fan_out') m
                   LEFT JOIN LATERAL (
                       SELECT * FROM event WHERE event.position > m.value
                       ORDER BY event.position LIMIT $1) e ON true
                   ORDER BY e.position";
        let rows = self.rows(sql, &[&limit(rows)]).await?;
        let mark = rows.first().map_or(Ok(0), |row| count(row, 0))?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            if get::<Option<i64>>(row, 1)?.is_some() {
                events.push(stored(&self.shared.rows, row, 1)?);
            }
        }
        Ok((mark, events))
    }
}
