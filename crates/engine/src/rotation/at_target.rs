//! The steps of a rotation at a target. Each effect has its mark committed before it is sent and
//! its outcome after; looks change nothing and are committed as what was seen. Nothing here
//! decides: the machine in core does, and says which row follows.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Call, Candidate, Connector, Effect as Done, Login, NewField, Op, Record, SecretReads,
    TargetReads, Unit, UnitName,
};
use scaivault_core::rotation::{
    AtTarget, Effect, EffectOutcome, Jitter, Look, Phase, Reason, Rotation,
};
use scaivault_core::seal::Sealer;
use scaivault_core::secret::{SealedVersion, SecretHead, Version, VersionState};
use scaivault_core::target::{Target, Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use serde_json::{Map, Value};

use super::candidate::replaced;
use super::manager::account_of;
use super::view::account_name;
use super::worker::{HOLD, StepError};
use crate::caller::Caller;
use crate::secrets::data_place;
use crate::tally::Tally;
use crate::vault::Vault;

/// Everything a connector is told, owned.
pub(super) struct Session {
    target: Target,
    connector: Arc<dyn Connector>,
    /// Which account, in the connector's fields.
    account: Map<String, Value>,
    manager: Option<Plaintext>,
    promoted_for: Option<Duration>,
}

impl Session {
    pub(super) fn call<'a>(&'a self, rotation: &'a Rotation, at: &'a AtTarget) -> Call<'a> {
        Call {
            settings: &self.target.settings,
            account: &self.account,
            overlap: at.attached.overlap,
            manager: self.manager.as_ref(),
            tag: rotation.id.as_str(),
            epoch: rotation.epoch(),
            promoted_for: self.promoted_for,
        }
    }
}

impl Vault {
    pub(crate) fn jitter(&self) -> Jitter {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        Jitter(u64::from_le_bytes(bytes))
    }

    /// The target with its connector and its manager's value. The reason when there is no such
    /// target, trouble when its manager's value is not there.
    pub(super) async fn session(
        &self,
        rotation: &Rotation,
        at: &AtTarget,
        now: Timestamp,
    ) -> Result<Result<Session, Reason>, StepError> {
        let id = &at.attached.target_id;
        let target = TargetReads::target_find(&*self.store, &rotation.tenant, id).await?;
        let Some(target) = target else {
            return Ok(Err(Reason::TargetGone));
        };
        let Some(connector) = self.connectors.get(&target.connector) else {
            return Ok(Err(Reason::TargetGone));
        };
        let manager = self.manager_of(rotation, at, &target, &*connector).await?;
        let since = match rotation.phase {
            Phase::RollingBack => at.demoted_at,
            _ => at.promoted_at,
        };
        Ok(Ok(Session {
            target,
            connector,
            account: account_of(at, manager.as_ref()),
            manager,
            promoted_for: since.map(|since| now.since(since)),
        }))
    }

    /// The head and the value of a version (`None`: the current one), where there is one.
    pub(super) async fn opened(
        &self,
        rotation: &Rotation,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Option<(SecretHead, Option<Plaintext>)>, StepError> {
        self.opened_in(&rotation.tenant, path, version).await
    }

    /// The current value of a secret, where there is one.
    pub(super) async fn value_at(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Result<Option<Plaintext>, StepError> {
        let opened = self.opened_in(tenant, path, None).await?;
        Ok(opened.and_then(|(_, value)| value))
    }

    async fn opened_in(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Option<(SecretHead, Option<Plaintext>)>, StepError> {
        let found = SecretReads::secret_open(&*self.store, tenant, path, version).await?;
        let Some((head, row)) = found.filter(|(head, _)| !head.is_deleted()) else {
            return Ok(None);
        };
        let value = match row {
            Some(row) => {
                let place = data_place(&head, row.version.version);
                Some(Sealer::open(self.sealer(), place, &row.sealed)?)
            }
            None => None,
        };
        Ok(Some((head, value)))
    }

    /// The version to be given up, and the one to be kept. That is what readers get, whatever a
    /// person has written meanwhile: the plan's own version only as long as it is that one.
    async fn dead_and_kept(&self, rotation: &Rotation) -> Result<(u64, u64), StepError> {
        let new = rotation.to_version.unwrap_or(0);
        let (dead, kept) = match rotation.phase {
            Phase::RollingBack => (new, rotation.from_version),
            _ => (rotation.from_version, new),
        };
        let current = self.head_of(rotation).await?;
        let current = current.map_or(kept, |head| head.current_version);
        Ok((dead, if current == dead { kept } else { current }))
    }

    /// The value of a version of the rotated secret; 0 is none.
    async fn value_of(
        &self,
        rotation: &Rotation,
        version: u64,
    ) -> Result<Option<Plaintext>, StepError> {
        if version == 0 {
            return Ok(None);
        }
        let opened = self.opened(rotation, &rotation.path, Some(version)).await?;
        Ok(opened.and_then(|(_, value)| value))
    }

    /// Commits the row that follows; parking is told.
    pub(super) async fn follow(
        &self,
        name: UnitName,
        caller: &Caller,
        rotation: &Rotation,
        next: Rotation,
        more: impl FnOnce(Unit) -> Unit,
    ) -> Result<Rotation, StepError> {
        let now = self.now();
        let mut unit = more(self.step_unit(name, caller, &next, now));
        let parked = next.phase == Phase::Parked && rotation.phase != Phase::Parked;
        if parked && let Some(reason) = next.reason {
            unit = unit.emit(self.failed_event(caller, &next, reason, now));
        }
        self.commit(unit).await?;
        if parked {
            Tally::add(&self.tally.rotations_failed);
        }
        Ok(next)
    }

    /// Plans the candidate: made here, it is sealed and committed alone; minted there, the
    /// intent is.
    pub(super) async fn target_plan(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        session: &Session,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let Some((head, current)) = self.opened(rotation, &rotation.path, None).await? else {
            return self
                .target_park(caller, rotation, Reason::SecretDeleted, now)
                .await;
        };
        let call = session.call(rotation, at);
        let planned = session
            .connector
            .candidate(&call, current.as_ref(), &*self.entropy);
        let fields = match planned {
            Ok(Candidate::Made(fields)) => fields,
            Ok(Candidate::Minted) => {
                let next = rotation.planned(None, now);
                let turn = self.turn_ops(rotation).await?;
                return self
                    .follow(
                        UnitName::RotationPlan,
                        caller,
                        rotation,
                        next,
                        |mut unit| {
                            unit.ops.extend(turn);
                            unit
                        },
                    )
                    .await;
            }
            Err(trouble) => return self.target_trouble(caller, rotation, trouble, now).await,
        };
        let number = head.latest_version + 1;
        let Some(row) = self.sealed_row(
            caller,
            rotation,
            &head,
            number,
            current.as_ref(),
            &fields,
            now,
        )?
        else {
            let trouble = TroubleKind::Credential.into();
            return self.target_trouble(caller, rotation, trouble, now).await;
        };
        let next = rotation.planned(Some(number), now);
        let turn = self.turn_ops(rotation).await?;
        self.follow(
            UnitName::RotationPlan,
            caller,
            rotation,
            next,
            |mut unit| {
                unit.ops.extend(turn);
                unit.put(Record::Secret(with_latest(head, number)))
                    .op(Op::VersionInsert(row))
            },
        )
        .await
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one place that seals, all of it needed"
    )]
    fn sealed_row(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        head: &SecretHead,
        number: u64,
        current: Option<&Plaintext>,
        fields: &[NewField],
        now: Timestamp,
    ) -> Result<Option<SealedVersion>, StepError> {
        let Some(value) = replaced(current, fields) else {
            return Ok(None);
        };
        let sealed = Sealer::seal(self.sealer(), data_place(head, number), &value)?;
        let version = Version {
            tenant: head.tenant.clone(),
            path: head.path.clone(),
            version: number,
            state: VersionState::Pending,
            readable_until: None,
            rotation_id: Some(rotation.id.clone()),
            created_at: now,
            created_by: caller.identity().clone(),
            deletes_at: None,
            revision: 1,
        };
        Ok(Some(SealedVersion { version, sealed }))
    }

    async fn target_trouble(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        trouble: Trouble,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let outcome = EffectOutcome::NotApplied(trouble);
        let next = rotation.sent(Effect::Apply, outcome, self.jitter(), now);
        self.follow(UnitName::RotationSent, caller, rotation, next, |unit| unit)
            .await
    }

    pub(super) async fn target_park(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        reason: Reason,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let next = rotation.parked_at_target(reason, now);
        self.follow(UnitName::RotationPark, caller, rotation, next, |unit| unit)
            .await
    }

    /// Mark, effect, outcome.
    pub(super) async fn target_send(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        effect: Effect,
        session: &Session,
    ) -> Result<Rotation, StepError> {
        // Everything that can fail here fails before the mark.
        let back = rotation.phase == Phase::RollingBack;
        let (dead, kept) = self.dead_and_kept(rotation).await?;
        let (mut new, mut old) = match back {
            true => (dead, kept),
            false => (kept, dead),
        };
        if matches!(effect, Effect::Apply | Effect::Clear) {
            (new, old) = (rotation.to_version.unwrap_or(0), rotation.from_version);
        }
        let new = self.value_of(rotation, new).await?;
        let old = self.value_of(rotation, old).await?;
        let kept = if back { &old } else { &new };
        // What stays has to work now: a target that was restored may have forgotten it.
        if effect == Effect::Retire
            && let Some(kept) = kept
        {
            let call = session.call(rotation, at);
            let login = session.connector.login(&call, kept).await;
            if let Some(next) = rotation.looked_at_kept(&login, self.jitter(), self.now()) {
                return self
                    .follow(UnitName::RotationLook, caller, rotation, next, |unit| unit)
                    .await;
            }
        }
        let (now, begun) = (self.now(), self.stopwatch());
        let marked = rotation.sending(effect, now.plus(HOLD));
        let marked = self
            .follow(UnitName::RotationSend, caller, rotation, marked, |unit| {
                unit
            })
            .await?;
        // Paused for so long that another may have taken over before the call ends: whoever
        // finds the mark looks.
        if self.took_since(&begun) > HOLD / 2 {
            return Err(StepError::LostRace);
        }
        let call = session.call(&marked, at);
        let (dead, kept) = match back {
            true => (new.as_ref(), old.as_ref()),
            false => (old.as_ref(), new.as_ref()),
        };
        let connector = &session.connector;
        let done = match (effect, dead, kept) {
            (Effect::Apply | Effect::Heal | Effect::Restore, _, Some(kept))
                if at.attached.is_manager =>
            {
                connector.apply_manager(&call, kept).await
            }
            (Effect::Apply, old, new) => connector.apply(&call, new, old).await,
            (Effect::Clear, _, _) => {
                let epoch = marked.residue_epoch();
                connector.clear(&Call { epoch, ..call }).await
            }
            (Effect::Retire, Some(dead), kept) => connector.retire(&call, dead, kept).await,
            (Effect::Heal | Effect::Restore, _, Some(kept)) => {
                connector.apply(&call, Some(kept), None).await
            }
            (Effect::Retire | Effect::Heal | Effect::Restore, _, _) => {
                Done::NotApplied(TroubleKind::Credential.into())
            }
        };
        self.target_sent(caller, &marked, effect, done, old.as_ref())
            .await
    }

    async fn target_sent(
        &self,
        caller: &Caller,
        marked: &Rotation,
        effect: Effect,
        done: Done,
        current: Option<&Plaintext>,
    ) -> Result<Rotation, StepError> {
        let now = self.now();
        let outcome = match done {
            Done::Applied(fields) if effect == Effect::Apply && marked.to_version.is_none() => {
                return self
                    .target_minted(caller, marked, &fields, current, now)
                    .await;
            }
            Done::Applied(_) => EffectOutcome::Applied { minted: None },
            Done::NotApplied(trouble) => EffectOutcome::NotApplied(trouble),
            Done::Unknown(trouble) => EffectOutcome::Unknown(trouble),
        };
        let next = marked.sent(effect, outcome, self.jitter(), now);
        self.follow(UnitName::RotationSent, caller, marked, next, |unit| unit)
            .await
    }

    /// What the target minted is sealed and committed with the outcome. When that is lost, the
    /// mark stays, and what was minted is found by its tag and cleared.
    async fn target_minted(
        &self,
        caller: &Caller,
        marked: &Rotation,
        fields: &[NewField],
        current: Option<&Plaintext>,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let head = SecretReads::secret_find(&*self.store, &marked.tenant, &marked.path).await?;
        let Some(head) = head else {
            return Ok(marked.clone());
        };
        let number = head.latest_version + 1;
        let row = self.sealed_row(caller, marked, &head, number, current, fields, now)?;
        let Some(row) = row else {
            let trouble = Trouble::from(TroubleKind::Credential);
            let outcome = EffectOutcome::Unknown(trouble);
            let next = marked.sent(Effect::Apply, outcome, self.jitter(), now);
            return self
                .follow(UnitName::RotationSent, caller, marked, next, |unit| unit)
                .await;
        };
        let outcome = EffectOutcome::Applied {
            minted: Some(number),
        };
        let next = marked.sent(Effect::Apply, outcome, self.jitter(), now);
        self.follow(UnitName::RotationSent, caller, marked, next, |unit| {
            unit.put(Record::Secret(with_latest(head, number)))
                .op(Op::VersionInsert(row))
        })
        .await
    }

    /// Looks, and commits what was seen.
    pub(super) async fn target_look(
        &self,
        caller: &Caller,
        rotation: &Rotation,
        at: &AtTarget,
        look: Look,
        session: &Session,
        now: Timestamp,
    ) -> Result<Rotation, StepError> {
        let call = session.call(rotation, at);
        let back = rotation.phase == Phase::RollingBack;
        let new = rotation.to_version.unwrap_or(0);
        let (dead, kept) = self.dead_and_kept(rotation).await?;
        let jitter = self.jitter();
        let next = match look {
            Look::Candidate => {
                let login = self.log_in(session, &call, rotation, new).await?;
                rotation.looked_for_candidate(&login, jitter, self.now())
            }
            Look::Residue => {
                let call = Call {
                    epoch: rotation.residue_epoch(),
                    ..call
                };
                let residue = session.connector.residue(&call).await;
                rotation.looked_for_residue(&residue, jitter, self.now())
            }
            Look::Sessions => {
                let Some(value) = self.value_of(rotation, dead).await? else {
                    return self
                        .target_trouble(caller, rotation, TroubleKind::Credential.into(), now)
                        .await;
                };
                let sessions = session.connector.sessions(&call, &value).await;
                let looked = rotation.looked_at_sessions(&sessions, jitter, self.now());
                looked.watching(account_name(&value, &at.attached))
            }
            Look::Retired => {
                let dead = self.log_in(session, &call, rotation, dead).await?;
                let kept = match kept {
                    0 => None,
                    kept => Some(self.log_in(session, &call, rotation, kept).await?),
                };
                let now = self.now();
                match rotation.looked_at_retired(&dead, kept.as_ref(), jitter, now) {
                    Some(next) => next,
                    None if back => rotation.candidate_dead(now),
                    None if rotation.owes_last_look() => rotation.retired(now),
                    None => return self.target_complete(caller, rotation, now).await,
                }
            }
        };
        self.follow(UnitName::RotationLook, caller, rotation, next, |unit| unit)
            .await
    }

    pub(super) async fn log_in(
        &self,
        session: &Session,
        call: &Call<'_>,
        rotation: &Rotation,
        version: u64,
    ) -> Result<Login, StepError> {
        Ok(match self.value_of(rotation, version).await? {
            Some(value) => session.connector.login(call, &value).await,
            None => Login::Unknown(TroubleKind::Credential.into()),
        })
    }
}

fn with_latest(head: SecretHead, number: u64) -> SecretHead {
    SecretHead {
        latest_version: number,
        revision: head.revision + 1,
        ..head
    }
}
