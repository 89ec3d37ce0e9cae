//! Claims: each one statement that finds free rows that are due, passing over what others are
//! writing, and makes them held. Handed out after its commit, so it is durable.
//!
//! Claims that look at more than the rows they take (one per target, one per receiver) are run in
//! turn: a row of their kind is locked by a statement of its own before, so that the claim itself
//! sees what the one before it did. Everything is sent at once: a node that stops in between
//! leaves nothing locked.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join3;
use scaivault_core::delivery::Delivery;
use scaivault_core::ids::{RotationId, TargetId, TenantId};
use scaivault_core::ports::{Claims, CommitError, NextWork, ReadError};
use scaivault_core::rotation::{Assignment, Rotation};
use scaivault_core::time::Timestamp;
use scaivault_store::rows::Document;
use serde::de::DeserializeOwned;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::conn::Conn;
use crate::refusal::{is_lost, text};
use crate::sql::row::{decode, limit};
use crate::sql::{assignment, delivery, delivery_claim, next_work, rotation};
use crate::step::Param;
use crate::store::PostgresStore;

/// A claim with its parameters.
struct Claim {
    sql: &'static str,
    params: Vec<Param>,
    /// Whose turn it takes.
    turn: Option<&'static str>,
}

const TURN: &str = "SELECT 1 FROM claim_turn WHERE kind = $1 FOR UPDATE";

impl Claim {
    async fn run(&self, conn: &Conn) -> Result<Vec<Row>, Error> {
        let params: Vec<&(dyn ToSql + Sync)> = self
            .params
            .iter()
            .map(|param| {
                let param: &(dyn ToSql + Sync) = &**param;
                param
            })
            .collect();
        let Some(kind) = self.turn else {
            return conn.query(self.sql, &params).await;
        };
        let turn = conn.prepare(TURN).await?;
        let claim = conn.prepare(self.sql).await?;
        let kind: [&(dyn ToSql + Sync); 1] = [&kind];
        let in_turn = async {
            let (begun, turn) =
                futures_util::future::join(conn.run("BEGIN"), conn.fetch(&turn, &kind)).await;
            begun.and(turn)
        };
        let (in_turn, claimed, committed) =
            join3(in_turn, conn.fetch(&claim, &params), conn.run("COMMIT")).await;
        in_turn?;
        let claimed = claimed?;
        committed?;
        Ok(claimed)
    }
}

impl PostgresStore {
    /// Runs a claim to its end, also when its caller goes away: a transaction is never left open.
    async fn claim(&self, claim: Claim) -> Result<Vec<Row>, CommitError> {
        let pool = std::sync::Arc::clone(&self.pool);
        let work = self.handle.spawn(async move {
            let unavailable = |error: ReadError| CommitError::Unavailable(error.to_string());
            let done = pool.in_time(async {
                let lease = pool.lease().await.map_err(unavailable)?;
                match claim.run(lease.conn()).await {
                    Ok(rows) => {
                        lease.give_back();
                        Ok(rows)
                    }
                    Err(error) if is_lost(&error) => Err(CommitError::Unknown),
                    Err(error) => Err(CommitError::Unavailable(text(&error))),
                }
            });
            done.await.unwrap_or(Err(CommitError::Unknown))
        });
        work.await.unwrap_or(Err(CommitError::Unknown))
    }

    /// Claims, and decodes. A row that does not decode is held all the same: it is nobody's to do,
    /// but it must not stand before the others for ever.
    async fn claim_all<T: Document + DeserializeOwned>(
        &self,
        table: &'static str,
        claim: Claim,
    ) -> Result<Vec<T>, CommitError> {
        let rows = self.claim(claim).await?;
        let decoded = rows.iter().filter_map(|row| self.passed_over(table, row));
        Ok(decoded.collect())
    }

    fn passed_over<T: Document + DeserializeOwned>(
        &self,
        table: &'static str,
        row: &Row,
    ) -> Option<T> {
        decode(&self.shared.rows, table, row, 0)
            .inspect_err(|error| tracing::error!(%error, "due work passed over"))
            .ok()
    }
}

/// A claim of so many rows until then.
fn claim(sql: &'static str, now: Timestamp, hold: Duration, rows: usize) -> Claim {
    Claim {
        sql,
        params: vec![
            Box::new(now.as_micros()),
            Box::new(now.plus(hold).as_micros()),
            Box::new(limit(rows)),
        ],
        turn: None,
    }
}

impl Claim {
    /// Takes its turn, and leaves these out.
    fn in_turn(mut self, kind: &'static str, busy: Vec<String>) -> Self {
        self.turn = Some(kind);
        self.params.push(Box::new(busy));
        self
    }
}

fn names(busy: &[TargetId]) -> Vec<String> {
    busy.iter().map(|id| id.as_str().to_owned()).collect()
}

#[async_trait]
impl Claims for PostgresStore {
    async fn assignment_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError> {
        let claim = claim(assignment::CLAIM, now, hold, limit);
        self.claim_all(assignment::TABLE, claim).await
    }

    async fn rotation_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError> {
        let claim = claim(rotation::CLAIM, now, hold, limit);
        self.claim_all(rotation::TABLE, claim).await
    }

    async fn rotation_claim_at_targets(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError> {
        let claim = claim(rotation::CLAIM_AT_TARGETS, now, hold, limit);
        let claim = claim.in_turn("rotation", names(busy));
        self.claim_all(rotation::TABLE, claim).await
    }

    async fn probe_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError> {
        let claim = claim(assignment::CLAIM_PROBES, now, hold, limit);
        let claim = claim.in_turn("probe", names(busy));
        self.claim_all(assignment::TABLE, claim).await
    }

    async fn rotation_claim_one(
        &self,
        tenant: &TenantId,
        id: &RotationId,
        now: Timestamp,
        hold: Duration,
    ) -> Result<Option<Rotation>, CommitError> {
        let claim = Claim {
            sql: rotation::CLAIM_ONE,
            params: vec![
                Box::new(now.as_micros()),
                Box::new(now.plus(hold).as_micros()),
                Box::new(tenant.as_str().to_owned()),
                Box::new(id.as_str().to_owned()),
            ],
            turn: None,
        };
        Ok(self.claim_all(rotation::TABLE, claim).await?.pop())
    }

    async fn delivery_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[String],
        limit: usize,
    ) -> Result<Vec<Delivery>, CommitError> {
        let from = self.served.lock().clone();
        let mut claim = claim(delivery_claim::CLAIM, now, hold, limit);
        claim = claim.in_turn("delivery", busy.to_vec());
        claim.params.push(Box::new(from));
        let rows = self.claim(claim).await?;
        let mut claimed: Vec<Delivery> = Vec::with_capacity(rows.len());
        for row in &rows {
            match self.passed_over(delivery::TABLE, row) {
                Some(delivery) => claimed.push(delivery),
                None => self.postpone(row, now.plus(hold)).await?,
            }
        }
        if let Some(last) = claimed.last() {
            last.receiver.as_str().clone_into(&mut self.served.lock());
        }
        Ok(claimed)
    }

    async fn next_work(&self) -> Result<NextWork, ReadError> {
        next_work::next(self).await
    }
}

impl PostgresStore {
    async fn postpone(&self, row: &Row, until: Timestamp) -> Result<(), CommitError> {
        let key = |at| row.try_get::<_, String>(at).unwrap_or_default();
        let postpone = Claim {
            sql: delivery_claim::POSTPONE,
            params: vec![
                Box::new(key(0)),
                Box::new(key(1)),
                Box::new(until.as_micros()),
            ],
            turn: None,
        };
        self.claim(postpone).await.map(drop)
    }
}
