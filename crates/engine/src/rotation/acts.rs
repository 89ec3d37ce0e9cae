//! What a person may do with a rotation at a target: resume, roll back, approve, abandon.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::identity::Scope;
use scaivault_core::ids::RotationId;
use scaivault_core::ports::{CommitError, RotationReads, UnitName};
use scaivault_core::rotation::{Ending, Phase, Reason, Rotation};

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A parked rotation goes on where it stopped, with all its attempts; one that waits before
    /// another attempt at its target makes it now.
    Resume,
    /// Readers get the old version again, and the new one is retired.
    RollBack,
    /// The old credential may be revoked.
    Approve,
    /// It ends here: readers keep what they get now, and what the target may still accept
    /// becomes a debt.
    Abandon,
    /// The same, where the old credential may still be in use: it is revoked without waiting for
    /// anybody, and told of.
    AbandonByForce,
}

impl Act {
    /// Every act that is offered; none of them by force.
    pub const ALL: [Self; 4] = [Self::Resume, Self::RollBack, Self::Approve, Self::Abandon];

    /// Its word in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::RollBack => "rollback",
            Self::Approve => "approve",
            Self::Abandon => "abandon",
            Self::AbandonByForce => "abandon with force",
        }
    }

    /// Those that are legal now.
    pub fn legal(rotation: &Rotation) -> Vec<Self> {
        let all = Self::ALL.into_iter();
        all.filter(|act| act.is_legal(rotation)).collect()
    }

    /// Whether it is legal now.
    pub fn is_legal(self, rotation: &Rotation) -> bool {
        match self {
            Self::Abandon => return rotation.ending() == Ending::Free,
            Self::AbandonByForce => return rotation.ending() != Ending::Never,
            Self::Resume | Self::RollBack | Self::Approve => {}
        }
        let Some(at) = &rotation.at_target else {
            return false;
        };
        match self {
            Self::Abandon | Self::AbandonByForce => false,
            Self::Resume => rotation.phase == Phase::Parked || rotation.backs_off(),
            Self::RollBack => rotation.may_roll_back(),
            Self::Approve => {
                matches!(rotation.phase, Phase::Propagating | Phase::Draining)
                    && at.rules.approval
                    && at.approved_by.is_none()
            }
        }
    }
}

impl Vault {
    /// Does it, audited in the caller's name.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when the caller may not see the rotation;
    /// [`VaultError::IllegalAct`] when it is not legal in the rotation's phase;
    /// [`VaultError::StepUnderWay`] while a step is under way at the target;
    /// [`VaultError::Restored`] where it leads to a change at the target and the store is only
    /// reconciled.
    pub async fn rotation_act(
        &self,
        caller: &Caller,
        id: &RotationId,
        act: Act,
    ) -> Result<Rotation, VaultError> {
        self.rotation_act_soon(caller, id, act, std::future::ready(()))
            .await
    }

    /// The same, but while a step is under way at the target it waits for its end, until
    /// `give_up` completes.
    ///
    /// # Errors
    /// As [`Vault::rotation_act`].
    pub async fn rotation_act_soon(
        &self,
        caller: &Caller,
        id: &RotationId,
        act: Act,
        give_up: impl Future<Output = ()>,
    ) -> Result<Rotation, VaultError> {
        let mut give_up = std::pin::pin!(give_up);
        let mut changes = self.signals.rotations();
        let seen = self.rotation_details(caller, id).await?;
        self.authorize(
            caller,
            Scope::SecretsRotate,
            Permission::Rotate,
            &seen.path,
            Action::Rotate,
        )
        .await?;
        let mut races = 0;
        while races < RACES_MAX {
            changes.mark_unchanged();
            let rotation = RotationReads::rotation_find(&*self.store, caller.tenant(), id)
                .await?
                .ok_or(VaultError::NotFound(Missing::Rotation))?;
            if !act.is_legal(&rotation) {
                let mut legal = Act::legal(&rotation);
                if act == Act::Abandon && Act::AbandonByForce.is_legal(&rotation) {
                    legal.push(Act::AbandonByForce);
                }
                let legal = legal.into_iter();
                return Err(VaultError::IllegalAct {
                    phase: rotation.phase,
                    actions: legal.map(Act::as_str).collect(),
                });
            }
            // What it would be decided on is of the past. Abandoning looks for itself:
            // it may end where that leaves nothing to be done at the target.
            if rotation.at_target.is_some() && act != Act::Abandon {
                self.not_restored().await?;
            }
            let now = self.now();
            if rotation.claimed_until.is_some_and(|until| until > now) {
                // A step takes as long as the target takes to answer.
                tokio::select! {
                    biased;
                    () = &mut give_up => return Err(VaultError::StepUnderWay),
                    _ = changes.changed() => continue,
                }
            }
            let stepped = |next: Rotation| {
                let unit = self.step_unit(UnitName::RotationAct, caller, &next, now);
                (next, unit)
            };
            let (next, unit) = match act {
                Act::Resume if rotation.backs_off() => stepped(rotation.hurried(now)),
                Act::Resume => stepped(rotation.resumed(true, now)),
                Act::RollBack => stepped(rotation.stepped_back(Reason::ByHand, now)),
                Act::Approve => stepped(rotation.approved(caller.identity().clone(), now)),
                Act::AbandonByForce if rotation.ending() == Ending::ByForce => {
                    self.forced_abandon_unit(caller, &rotation, now).await?
                }
                Act::Abandon | Act::AbandonByForce => {
                    let reason = Reason::Abandoned;
                    self.abandon_unit(caller, &rotation, reason, now).await?
                }
            };
            match self.commit(unit).await {
                Ok(_) => return Ok(next),
                Err(CommitError::Conflict(_)) => races += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the rotation changes too quickly: try again".into(),
        ))
    }
}
