//! What a consumer says of a version: it works with it, or it fails.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::consumer::ConsumerReport;
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, CommitError, Op, Record, RotationReads, SecretReads, Unit, UnitName,
};
use scaivault_core::rotation::{Phase, Rotation};
use scaivault_core::secret::VersionState;
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// Characters kept of what a consumer says.
const DETAIL_MAX: usize = 256;

/// What a consumer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Of which version.
    pub version: u64,
    /// Whether it works with it.
    pub applied: bool,
    /// What happened, for people: printable text, cut.
    pub detail: Option<String>,
}

impl Vault {
    /// Notes in the ledger what the caller says of a version, and has the open rotation of the
    /// secret look at once. Answers when it was noted, and the current version.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such secret or version.
    pub async fn secret_ack(
        &self,
        caller: &Caller,
        path: &SecretPath,
        said: Acknowledgement,
    ) -> Result<(Timestamp, u64), VaultError> {
        self.authorize(
            caller,
            Scope::SecretsRead,
            Permission::Read,
            path,
            Action::ConsumerAck,
        )
        .await?;
        let outcome = self.acknowledge(caller, path, said).await;
        self.on_trail(caller, Action::ConsumerAck, path, outcome)
            .await
    }

    async fn acknowledge(
        &self,
        caller: &Caller,
        path: &SecretPath,
        said: Acknowledgement,
    ) -> Result<(Timestamp, u64), VaultError> {
        let tenant = caller.tenant();
        let head = SecretReads::secret_find(&*self.store, tenant, path)
            .await?
            .filter(|head| !head.is_deleted())
            .ok_or(VaultError::NotFound(Missing::Secret))?;
        let rows = SecretReads::version_list(&*self.store, tenant, path).await?;
        let version = rows.iter().find(|row| row.version == said.version);
        // A candidate was never given to anybody.
        let unread = [VersionState::Pending, VersionState::Withdrawn];
        version
            .filter(|row| !unread.contains(&row.state))
            .ok_or(VaultError::NotFound(Missing::Version))?;
        let now = self.now();
        let extra = AuditExtra {
            version: Some(said.version),
            applied: Some(said.applied),
            ..AuditExtra::default()
        };
        let noted = Unit::new(UnitName::ConsumerAck)
            .op(Op::ConsumerReport(ConsumerReport {
                tenant: tenant.clone(),
                path: path.clone(),
                version: said.version,
                consumer: caller.consumer(),
                at: now,
                applied: said.applied,
                detail: said.detail.as_deref().and_then(printable),
            }))
            .audited(caller.row(Action::ConsumerAck, Some(path), now, extra));
        let woken = self.waiting_rotation(caller, path, now).await?;
        if let Some(rotation) = woken {
            let unit = noted.clone().put(Record::Rotation(rotation));
            match self.commit(unit).await {
                // A worker has the rotation: it looks by itself.
                Err(CommitError::Conflict(_)) => {}
                outcome => return Ok(outcome.map(|_| (now, head.current_version))?),
            }
        }
        self.commit(noted).await?;
        Ok((now, head.current_version))
    }

    /// The open rotation of a secret, to be looked at now, if it waits for consumers and nobody
    /// has it in hand.
    async fn waiting_rotation(
        &self,
        caller: &Caller,
        path: &SecretPath,
        now: Timestamp,
    ) -> Result<Option<Rotation>, VaultError> {
        let tenant = caller.tenant();
        let assignment = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
        let Some(id) = assignment.and_then(|assignment| assignment.open_rotation) else {
            return Ok(None);
        };
        let rotation = RotationReads::rotation_find(&*self.store, tenant, &id).await?;
        let waits = |rotation: &Rotation| {
            let for_consumers = matches!(
                rotation.phase,
                Phase::Propagating | Phase::Draining | Phase::RollingBack
            );
            let free = rotation.claimed_until.is_none_or(|until| until <= now);
            let later = rotation.wake_at.is_none_or(|at| at > now);
            rotation.at_target.is_some() && for_consumers && free && later
        };
        let waiting = rotation.filter(waits);
        Ok(waiting.map(|rotation| rotation.waiting(Some(now))))
    }
}

/// Text that a terminal shows as it is, cut; nothing for nothing.
fn printable(text: &str) -> Option<String> {
    let is_plain = |c: &char| {
        let turns = matches!(*c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}');
        !c.is_control() && !turns
    };
    let kept: String = text.chars().filter(is_plain).take(DETAIL_MAX).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_printable_and_short() {
        let long = "x".repeat(DETAIL_MAX + 9);
        assert_eq!(printable(&long).map(|text| text.len()), Some(DETAIL_MAX));
        let text = "could\u{1b}[2J not\nconnect\u{202e} ";
        assert_eq!(printable(text).as_deref(), Some("could[2J notconnect"));
        assert_eq!(printable(" \n\u{7} "), None);
    }
}
