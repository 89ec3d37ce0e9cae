//! What each change means.

use scaivault_core::consumer::{Consumer, ConsumerRead, ConsumerReport};
use scaivault_core::delivery::DeliveryState;
use scaivault_core::event::{Event, StoredEvent};
use scaivault_core::ports::{CommitError, Op, Record, RecordKind};
use scaivault_core::secret::{SealedVersion, SecretHead};
use scaivault_core::time::Timestamp;

use super::State;
use super::table::{Row, version_key};

type Applied = Result<(), CommitError>;

impl State {
    pub(super) fn apply(&mut self, op: &Op) -> Applied {
        match op {
            Op::Put(record) => self.put(record),
            Op::Delete(record) => self.delete(record),
            Op::VersionInsert(sealed) => self.insert(sealed),
            Op::VersionDelete {
                tenant,
                path,
                version,
            } => {
                let key = (tenant.to_string(), version_key(path.as_str(), *version));
                self.versions.0.remove(&key);
                self.values.remove(&key);
                Ok(())
            }
            Op::SecretErase(head) => self.erase(head),
            Op::ConsumerReport(report) => {
                self.report(report);
                Ok(())
            }
            Op::Emit(event) => {
                self.emit(event);
                Ok(())
            }
            Op::FanOutAdvance { from, to } if self.fan_out == *from => {
                self.fan_out = *to;
                Ok(())
            }
            Op::FanOutAdvance { .. } => Err(CommitError::Conflict(RecordKind::Delivery)),
            Op::AssignmentsWake {
                tenant,
                policy_id,
                at,
            } => {
                for row in self.assignments.0.values_mut() {
                    if row.tenant == *tenant && row.policy_id == *policy_id {
                        (row.wake_at, row.claimed_until) = (Some(*at), None);
                        row.revision += 1;
                    }
                }
                Ok(())
            }
            Op::BufferTrim { receiver, keep } => {
                self.trim(receiver, *keep);
                Ok(())
            }
            Op::EventsPrune { before } => {
                self.prune(*before);
                Ok(())
            }
            Op::LeasesPrune { before, limit } => {
                self.prune_leases(*before, *limit);
                Ok(())
            }
            Op::AuditPrune { anchor, after, .. } if self.audit_removed == *after => {
                let gone = usize::try_from(anchor.last_seq - after).expect("few rows");
                self.audit.drain(..gone);
                self.audit_removed = anchor.last_seq;
                Ok(())
            }
            Op::AuditPrune { .. } => Err(CommitError::Conflict(RecordKind::AuditAnchor)),
            Op::Mark(marks) => {
                self.marks = *marks;
                Ok(())
            }
        }
    }

    fn put(&mut self, record: &Record) -> Applied {
        match record {
            Record::Secret(row) => self.secrets.put(row),
            Record::Version(row) if row.revision <= 1 => {
                Err(CommitError::Conflict(RecordKind::Version))
            }
            Record::Version(row) => self.versions.put(row),
            Record::Policy(row) => self
                .policies
                .put_unique(row, "name", |row| (row.tenant.clone(), row.name.clone())),
            Record::Binding(row) => self.bindings.put(row),
            Record::Token(row) => self.tokens.put_unique(row, "hash", |row| row.hash),
            Record::MachineRole(row) => self
                .machine_roles
                .put_unique(row, "role_id", |row| row.role_id.clone()),
            Record::SecretId(row) => self.secret_ids.put_unique(row, "hash", |row| row.hash),
            Record::RotationPolicy(row) => self
                .rotation_policies
                .put_unique(row, "name", |row| (row.tenant.clone(), row.name.clone())),
            Record::SecretPolicy(row) => self
                .secret_policies
                .put_unique(row, "name", |row| (row.tenant.clone(), row.name.clone())),
            Record::Assignment(row) => self.assignments.put(row),
            Record::Rotation(row) => self.rotations.put(row),
            Record::Target(row) => self
                .targets
                .put_unique(row, "name", |row| (row.tenant.clone(), row.name.clone())),
            Record::GroupTurn(row) => self.turns.put(row),
            Record::Campaign(row) => self.campaigns.put(row),
            Record::AuditExport(row) => self.audit_exports.put(row),
            Record::AuditForward(row) => self.audit_forwards.put(row),
            Record::Mount(row) => self.mounts.put(row),
            Record::Cubby(row) => self.cubbies.put(row),
            Record::Transit(row) => self.transit.put(row),
            Record::Debt(row) => self.debts.put(row),
            Record::Webhook(row) => self.webhooks.put(row),
            Record::Subscription(row) => self.subscriptions.put(row),
            Record::Delivery(row) => self.deliveries.put(row),
            Record::Key(row) => self.keys.put(row),
            Record::Partner(row) => self
                .partners
                .put_unique(row, "slug", |row| row.slug.clone()),
            Record::Tenant(row) => self
                .tenants
                .put_unique(row, "slug", |row| (row.partner.clone(), row.slug.clone())),
            Record::Engine(row) => self
                .engines
                .put_unique(row, "name", |row| (row.tenant.clone(), row.name.clone())),
            Record::Role(row) => self.roles.put(row),
            Record::Lease(row) => self.leases.put(row),
        }
    }

    fn delete(&mut self, record: &Record) -> Applied {
        match record {
            Record::Secret(row) => self.secrets.delete(row),
            Record::Version(row) => {
                self.versions.delete(row)?;
                self.values.remove(&row.key());
                Ok(())
            }
            Record::Policy(row) => self.policies.delete(row),
            Record::Binding(row) => self.bindings.delete(row),
            Record::Token(row) => self.tokens.delete(row),
            Record::MachineRole(row) => {
                self.machine_roles.delete(row)?;
                let of = |other: &scaivault_core::machine::SecretId| {
                    other.tenant == row.tenant && other.role == row.name
                };
                self.secret_ids.0.retain(|_, other| !of(other));
                Ok(())
            }
            Record::SecretId(row) => self.secret_ids.delete(row),
            Record::RotationPolicy(row) => self.rotation_policies.delete(row),
            Record::SecretPolicy(row) => self.secret_policies.delete(row),
            Record::Assignment(row) => self.assignments.delete(row),
            Record::Rotation(row) => self.rotations.delete(row),
            Record::Target(row) => self.targets.delete(row),
            Record::GroupTurn(row) => self.turns.delete(row),
            Record::Campaign(row) => self.campaigns.delete(row),
            Record::AuditExport(row) => self.audit_exports.delete(row),
            Record::AuditForward(row) => self.audit_forwards.delete(row),
            Record::Mount(row) => self.mounts.delete(row),
            Record::Cubby(row) => self.cubbies.delete(row),
            Record::Transit(row) => self.transit.delete(row),
            Record::Debt(row) => self.debts.delete(row),
            Record::Webhook(row) => self.webhooks.delete(row),
            Record::Subscription(row) => {
                self.subscriptions.delete(row)?;
                self.dropped.remove(row.id.as_str());
                Ok(())
            }
            Record::Delivery(row) => self.deliveries.delete(row),
            Record::Key(row) => self.keys.delete(row),
            Record::Partner(row) => self.partners.delete(row),
            Record::Tenant(row) => self.tenants.delete(row),
            Record::Engine(row) => self.engines.delete(row),
            Record::Role(row) => self.roles.delete(row),
            Record::Lease(row) => self.leases.delete(row),
        }
    }

    fn insert(&mut self, sealed: &SealedVersion) -> Applied {
        if sealed.version.revision != 1 {
            return Err(CommitError::Conflict(RecordKind::Version));
        }
        self.versions.put(&sealed.version)?;
        self.values
            .insert(sealed.version.key(), sealed.sealed.clone());
        Ok(())
    }

    fn erase(&mut self, head: &SecretHead) -> Applied {
        self.secrets.delete(head)?;
        let of =
            |tenant: &str, path: &str| tenant == head.tenant.as_str() && path == head.path.as_str();
        let gone =
            |row: &scaivault_core::secret::Version| of(row.tenant.as_str(), row.path.as_str());
        self.values
            .retain(|key, _| !self.versions.0.get(key).is_some_and(gone));
        self.versions.0.retain(|_, row| !gone(row));
        self.assignments.0.retain(|key, _| !of(&key.0, &key.1));
        self.ledger.retain(|(key, _)| !of(&key.0, &key.1));
        Ok(())
    }

    fn emit(&mut self, event: &Event) {
        self.last_position += 1;
        let sequence = event.path.as_ref().map_or(0, |path| {
            let key = (event.tenant.to_string(), path.to_string());
            let last = self.sequences.entry(key).or_default();
            *last += 1;
            *last
        });
        let position = self.last_position;
        self.events.insert(
            position,
            StoredEvent {
                position,
                sequence,
                event: event.clone(),
            },
        );
    }

    fn trim(&mut self, receiver: &str, keep: u32) {
        let mut unacked: Vec<_> = self
            .deliveries
            .0
            .values()
            .filter(|row| row.receiver.as_str() == receiver)
            .filter(|row| row.state == DeliveryState::Pending && row.next_attempt_at.is_none())
            .map(|row| (row.event_position, row.key()))
            .collect();
        unacked.sort();
        let gone = unacked
            .len()
            .saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        for (_, key) in unacked.drain(..gone) {
            self.deliveries.0.remove(&key);
            *self.dropped.entry(receiver.to_owned()).or_default() += 1;
        }
    }

    fn prune(&mut self, before: Timestamp) {
        let pending = |position: u64| {
            let mut rows = self.deliveries.0.values();
            rows.any(|row| {
                let receiver = row.receiver.as_str();
                let kept = row.next_attempt_at.is_some()
                    || self.subscriptions.find(&row.tenant, receiver).is_some();
                kept && row.event_position == position && row.state == DeliveryState::Pending
            })
        };
        let gone: Vec<u64> = self
            .events
            .values()
            .filter(|event| event.event.at < before && event.position <= self.fan_out)
            .map(|event| event.position)
            .filter(|position| !pending(*position))
            .collect();
        self.events.retain(|position, _| !gone.contains(position));
        self.deliveries.0.retain(|_, row| {
            let of_test = row.event_position == 0
                && row.state != DeliveryState::Pending
                && row.created_at < before;
            !of_test && !gone.contains(&row.event_position)
        });
    }

    fn report(&mut self, report: &ConsumerReport) {
        let key = (report.tenant.to_string(), report.path.to_string());
        let known = self.ledger.iter().any(|(of, line)| {
            *of == key && line.version == report.version && line.consumer == report.consumer
        });
        if !known {
            self.record(&ConsumerRead {
                tenant: report.tenant.clone(),
                path: report.path.clone(),
                version: report.version,
                consumer: report.consumer.clone(),
                at: report.at,
                settled: false,
            });
        }
        for (of, line) in self.ledger.iter_mut() {
            if *of == key && line.version == report.version && line.consumer == report.consumer {
                let at = Some(report.at);
                line.applied_at = if report.applied { at } else { line.applied_at };
                line.failed_at = if report.applied { line.failed_at } else { at };
                line.detail.clone_from(&report.detail);
            }
        }
    }

    pub(super) fn record(&mut self, read: &ConsumerRead) {
        let key = (read.tenant.to_string(), read.path.to_string());
        let line = self.ledger.iter_mut().find(|(of, line)| {
            *of == key && line.version == read.version && line.consumer == read.consumer
        });
        match line {
            Some((_, line)) if read.at.since(line.last_read_at) >= read.resolution() => {
                line.last_read_at = read.at;
            }
            Some(_) => {}
            None => self.ledger.push((
                key,
                Consumer {
                    consumer: read.consumer.clone(),
                    version: read.version,
                    first_read_at: read.at,
                    last_read_at: read.at,
                    applied_at: None,
                    failed_at: None,
                    detail: None,
                },
            )),
        }
    }
}
