//! Containment: rotations under way that are cut short, and versions that are closed by number.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::campaign::{CampaignItem, ItemState};
use scaivault_core::campaign_course::to_contain;
use scaivault_core::ports::{CommitError, Op, Record, SecretReads, Unit, UnitName};
use scaivault_core::rotation::{Phase, Rotation};
use scaivault_core::secret::{Version, VersionState};
use scaivault_core::time::Timestamp;

use super::select::Found;
use super::worker::{Look, Stop};
use crate::error::VaultError;
use crate::vault::Vault;

impl Vault {
    /// Cuts short every rotation whose old version has to go. One whose step is under way right
    /// now is left alone until the next look.
    pub(super) async fn contain_all(
        &self,
        look: &Look,
        item: &CampaignItem,
        found: &Found,
        now: Timestamp,
    ) -> Result<(), Stop> {
        for rotation in to_contain(item, &found.known) {
            self.contain(look, rotation, now).await?;
        }
        Ok(())
    }

    pub(super) async fn contain(
        &self,
        look: &Look,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), Stop> {
        if rotation.claimed_until.is_some_and(|until| until > now) {
            return Ok(());
        }
        let next = rotation.contained(now);
        let unit = Unit::new(UnitName::CampaignStep);
        let mut unit = self.rotation_written(look, unit, &next, now);
        if rotation.at_target.is_none() && rotation.phase == Phase::Draining {
            let (tenant, path) = (&rotation.tenant, &rotation.path);
            let rows = SecretReads::version_list(&*self.store, tenant, path)
                .await
                .map_err(VaultError::from)?;
            let old = rows.into_iter().find(|row| {
                row.version == rotation.from_version && row.state == VersionState::Previous
            });
            if let Some(old) = old {
                unit = unit.put(Record::Version(Version {
                    readable_until: Some(now),
                    revision: old.revision + 1,
                    ..old
                }));
            }
        }
        match self.commit(unit).await {
            // Whoever was first moved it on: the next look sees.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn rotation_written(
        &self,
        look: &Look,
        unit: Unit,
        next: &Rotation,
        now: Timestamp,
    ) -> Unit {
        let extra = AuditExtra {
            version: next.to_version,
            old_version: Some(next.from_version),
            phase: Some(next.phase.as_str().to_owned()),
            rotation_id: Some(next.id.clone()),
            campaign_id: Some(look.campaign.id.clone()),
            ..AuditExtra::default()
        };
        let row = look
            .caller
            .row(Action::RotationStep, Some(&next.path), now, extra);
        unit.put(Record::Rotation(next.clone())).audited(row)
    }

    /// A version that only readers by number still get, of a rotation that is over.
    pub(super) async fn close_version(
        &self,
        look: &mut Look,
        place: usize,
        found: &Found,
        version: u64,
        now: Timestamp,
    ) -> Result<(), Stop> {
        let mut rows = found.known.versions.iter();
        let Some(row) = rows.find(|row| row.version == version) else {
            return Err(Stop::LostRace);
        };
        let closed = Version {
            state: VersionState::Closed,
            revision: row.revision + 1,
            ..row.clone()
        };
        let unit = Unit::new(UnitName::CampaignStep).op(Op::Put(Record::Version(closed)));
        let item = &mut look.campaign.items[place];
        item.state = ItemState::Rotating;
        item.began_at = item.began_at.or(Some(now));
        look.end(place, ItemState::Rotated, None, now);
        self.campaign_commit(look, unit, now).await
    }
}
