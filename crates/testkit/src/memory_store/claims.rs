//! Claims, by looking at every row.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::ids::{RotationId, TargetId, TenantId};
use scaivault_core::ports::{Claims, CommitError, NextWork, ReadError};
use scaivault_core::rotation::{Assignment, Rotation};
use scaivault_core::secret::SecretHead;
use scaivault_core::time::Timestamp;

use super::table::{Row, Table};
use super::{MemoryStore, State};

/// A row a worker can hold.
trait Held: Row {
    fn owner(&self) -> &TenantId;
    /// When it is due, and until when it is held.
    fn times(&self) -> (Option<Timestamp>, Option<Timestamp>);
    fn hold(&mut self, until: Timestamp);

    fn is_claimable(&self, now: Timestamp) -> bool {
        let (due, held) = self.times();
        due.is_some_and(|due| due <= now) && held.is_none_or(|until| until <= now)
    }
}

macro_rules! held {
    ($($row:ident due $due:expr;)*) => {$(
        impl Held for $row {
            fn owner(&self) -> &TenantId {
                &self.tenant
            }

            fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
                let due: fn(&Self) -> Option<Timestamp> = $due;
                (due(self), self.claimed_until)
            }

            fn hold(&mut self, until: Timestamp) {
                self.claimed_until = Some(until);
                self.revision += 1;
            }
        }
    )*};
}

held! {
    Assignment due |row| row.wake_at;
    Rotation due |row| row.wake_at;
    Delivery due |row| row.next_attempt_at.filter(|_| row.state == DeliveryState::Pending);
}

fn claim<R: Held>(
    table: &mut Table<R>,
    wanted: impl Fn(&R) -> bool,
    now: Timestamp,
    hold: Duration,
    limit: usize,
) -> Vec<R> {
    let mut due: Vec<_> = table
        .0
        .values_mut()
        .filter(|row| row.is_claimable(now) && wanted(row))
        .collect();
    due.sort_by_key(|row| row.times().0);
    due.truncate(limit);
    due.into_iter().map(|row| take(row, now, hold)).collect()
}

fn take<R: Held>(row: &mut R, now: Timestamp, hold: Duration) -> R {
    row.hold(now.plus(hold));
    row.clone()
}

fn next<R: Held>(table: &Table<R>, suspended: &BTreeSet<TenantId>) -> Option<Timestamp> {
    let free = |row: &R| {
        if suspended.contains(row.owner()) {
            return None;
        }
        let (due, held) = row.times();
        due.map(|due| held.map_or(due, |until| until.max(due)))
    };
    table.0.values().filter_map(free).min()
}

/// When a look is due, and until when the row is held.
fn probe_times(row: &Assignment) -> (Option<Timestamp>, Option<Timestamp>) {
    (row.probe_due(), row.claimed_until)
}

impl State {
    /// The receivers in turn, beginning behind the one served last.
    fn receivers(&self, now: Timestamp, busy: &[String]) -> Vec<String> {
        let rows = || self.deliveries.0.values();
        let in_hands = |receiver: &str| {
            rows().any(|row| {
                row.receiver.as_str() == receiver
                    && row.times().0.is_some()
                    && row.claimed_until.is_some_and(|until| until > now)
            })
        };
        let suspended = self.suspended();
        let due: BTreeSet<String> = rows()
            .filter(|row| row.is_claimable(now) && !suspended.contains(&row.tenant))
            .map(|row| row.receiver.as_str().to_owned())
            .filter(|receiver| !busy.contains(receiver) && !in_hands(receiver))
            .collect();
        let (before, after): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|receiver| *receiver <= self.served);
        after.into_iter().chain(before).collect()
    }

    fn claim_of(&mut self, receiver: &str, now: Timestamp, hold: Duration) -> Option<Delivery> {
        let mine = |row: &&mut Delivery| row.receiver.as_str() == receiver && row.is_claimable(now);
        let rows = self.deliveries.0.values_mut().filter(mine);
        let oldest = rows.min_by_key(|row| row.event_position)?;
        receiver.clone_into(&mut self.served);
        Some(take(oldest, now, hold))
    }
}

#[async_trait]
impl Claims for MemoryStore {
    async fn assignment_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError> {
        let mut state = self.0.lock();
        let suspended = state.suspended();
        let served = |row: &Assignment| !suspended.contains(&row.tenant);
        Ok(claim(&mut state.assignments, served, now, hold, limit))
    }

    async fn rotation_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError> {
        let mut state = self.0.lock();
        let suspended = state.suspended();
        let local = |row: &Rotation| row.target_id().is_none() && !suspended.contains(&row.tenant);
        Ok(claim(&mut state.rotations, local, now, hold, limit))
    }

    async fn rotation_claim_at_targets(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError> {
        let mut state = self.0.lock();
        let rows = || state.rotations.0.values();
        let held = |row: &&Rotation| {
            row.wake_at.is_some() && row.claimed_until.is_some_and(|until| until > now)
        };
        let mut taken: BTreeSet<TargetId> = busy.iter().cloned().collect();
        taken.extend(
            rows()
                .filter(held)
                .filter_map(|row| row.target_id().cloned()),
        );
        let suspended = state.suspended();
        let mut firsts: Vec<Rotation> = rows()
            .filter(|row| row.is_claimable(now) && !suspended.contains(&row.tenant))
            .cloned()
            .collect();
        firsts.sort_by_key(|row| row.wake_at);
        firsts.retain(|row| {
            row.target_id()
                .is_some_and(|target| taken.insert(target.clone()))
        });
        firsts.truncate(limit);
        let chosen = |row: &Rotation| firsts.iter().any(|first| first.key() == row.key());
        Ok(claim(&mut state.rotations, chosen, now, hold, limit))
    }

    async fn probe_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError> {
        let mut state = self.0.lock();
        let target = |row: &Assignment| row.attached.as_ref().map(|at| at.target_id.clone());
        let suspended = state.suspended();
        let mut due = Vec::new();
        let mut taken: BTreeSet<TargetId> = busy.iter().cloned().collect();
        for row in state.assignments.0.values() {
            match probe_times(row) {
                (Some(_), Some(until)) if until > now => taken.extend(target(row)),
                (Some(at), _) if at <= now && !suspended.contains(&row.tenant) => {
                    due.push((at, row.key()))
                }
                _ => {}
            }
        }
        due.sort();
        let mut claimed = Vec::new();
        for (_, key) in due {
            let Some(row) = state.assignments.0.get_mut(&key) else {
                continue;
            };
            if claimed.len() < limit && target(row).is_some_and(|target| taken.insert(target)) {
                claimed.push(take(row, now, hold));
            }
        }
        Ok(claimed)
    }

    async fn rotation_claim_one(
        &self,
        tenant: &TenantId,
        id: &RotationId,
        now: Timestamp,
        hold: Duration,
    ) -> Result<Option<Rotation>, CommitError> {
        let mut state = self.0.lock();
        let row = state
            .rotations
            .0
            .get_mut(&(tenant.to_string(), id.to_string()));
        Ok(row
            .filter(|row| row.is_claimable(now))
            .map(|row| take(row, now, hold)))
    }

    async fn delivery_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[String],
        limit: usize,
    ) -> Result<Vec<Delivery>, CommitError> {
        let mut state = self.0.lock();
        let receivers = state.receivers(now, busy);
        let turn = receivers.iter().take(limit);
        Ok(turn
            .filter_map(|receiver| state.claim_of(receiver, now, hold))
            .collect())
    }

    async fn next_work(&self) -> Result<NextWork, ReadError> {
        let state = self.0.lock();
        let suspended = state.suspended();
        Ok(NextWork {
            assignment_at: next(&state.assignments, &suspended),
            rotation_at: next(&state.rotations, &suspended),
            probe_at: {
                let rows = state.assignments.0.values();
                let free = |(due, held): (Option<Timestamp>, Option<Timestamp>)| {
                    due.map(|due| held.map_or(due, |until| until.max(due)))
                };
                rows.filter(|row| !suspended.contains(&row.tenant))
                    .filter_map(|row| free(probe_times(row)))
                    .min()
            },
            campaign_at: state
                .campaigns
                .0
                .values()
                .filter(|row| !suspended.contains(&row.tenant))
                .filter_map(|row| row.wake_at)
                .min(),
            debt_at: state
                .debts
                .0
                .values()
                .filter(|row| !suspended.contains(&row.tenant))
                .filter_map(|row| row.wake_at)
                .min(),
            lease_at: state.leases.0.values().filter_map(|row| row.wake_at).min(),
            notice_at: state
                .secrets
                .0
                .values()
                .filter(|row| !suspended.contains(&row.tenant))
                .filter_map(SecretHead::notice_at)
                .min(),
            delivery_at: next(&state.deliveries, &suspended),
        })
    }
}
