//! Claims: jobs of the writer. A claim is handed out after its commit, so it is durable.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::delivery::Delivery;
use scaivault_core::ids::{RotationId, TargetId, TenantId};
use scaivault_core::ports::{Claims, CommitError, NextWork, ReadError};
use scaivault_core::rotation::{Assignment, Rotation};
use scaivault_core::time::Timestamp;

use crate::refusal::Refusal;
use crate::sqlite::conn::Conn;
use crate::sqlite::{assignment, delivery_claim, next_work, release, rotation};
use crate::store::SqliteStore;
use crate::writer::{Memory, Work};

impl SqliteStore {
    /// Runs a claim in the writer's next transaction and gives its result out once that is
    /// durable.
    pub(crate) async fn claim<T: Default + Send + 'static>(
        &self,
        mut body: impl FnMut(&Conn, &mut Memory) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, CommitError> {
        let slot = Arc::new(Mutex::new(T::default()));
        let filled = Arc::clone(&slot);
        let job = move |conn: &Conn, memory: &mut Memory| {
            *filled.lock() = body(conn, memory)?;
            Ok(())
        };
        self.submit(Work::Job(Box::new(job))).await?;
        Ok(std::mem::take(&mut *slot.lock()))
    }
}

impl SqliteStore {
    /// Frees what a process that is gone held, so that its work goes on at once instead of when
    /// its claims lapse. To be called before any worker runs; the store's lock makes sure that no
    /// other process has it. Rotations with a change under way at their target stay held. Answers
    /// how many rows were freed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn release_claims(&self) -> Result<usize, CommitError> {
        self.claim(|conn, _| release::release(conn)).await
    }
}

#[async_trait]
impl Claims for SqliteStore {
    async fn assignment_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError> {
        self.claim(move |conn, _| assignment::claim(conn, now, hold, limit))
            .await
    }

    async fn rotation_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError> {
        self.claim(move |conn, _| rotation::claim(conn, now, hold, limit))
            .await
    }

    async fn rotation_claim_at_targets(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError> {
        let busy = busy.to_vec();
        self.claim(move |conn, _| rotation::claim_at_targets(conn, now, hold, &busy, limit))
            .await
    }

    async fn probe_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError> {
        let busy = busy.to_vec();
        self.claim(move |conn, _| assignment::claim_probes(conn, now, hold, &busy, limit))
            .await
    }

    async fn rotation_claim_one(
        &self,
        tenant: &TenantId,
        id: &RotationId,
        now: Timestamp,
        hold: Duration,
    ) -> Result<Option<Rotation>, CommitError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.claim(move |conn, _| rotation::claim_one(conn, &tenant, &id, now, hold))
            .await
    }

    async fn delivery_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[String],
        limit: usize,
    ) -> Result<Vec<Delivery>, CommitError> {
        let busy = busy.to_vec();
        self.claim(move |conn, memory| {
            let from = memory.served.clone();
            let (claimed, last) = delivery_claim::claim(conn, now, hold, &busy, limit, &from)?;
            memory.served = last;
            Ok(claimed)
        })
        .await
    }

    async fn next_work(&self) -> Result<NextWork, ReadError> {
        self.readers.read_snapshot(next_work::next).await
    }
}
