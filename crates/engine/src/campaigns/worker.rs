//! Carrying campaigns on. Everything is decided from the record: opening a rotation and noting it
//! on its item is one commit, so a worker may stop anywhere and none is opened twice.

use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::campaign::{Campaign, CampaignItem, CampaignState, ItemState, Mode};
use scaivault_core::campaign_course::{Course, DELETED, course, lets_on};
use scaivault_core::ports::{
    CommitError, Record, RecordKind, RotationReads, RunReads, Unit, UnitName,
};
use scaivault_core::rotation::{Phase, Rotation, Trigger};
use scaivault_core::time::Timestamp;

use super::audit_row;
use super::select::Found;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::rotation::Opening;
use crate::vault::Vault;

/// Whom the audit trail names.
const WORKER: &str = "campaign-runner";
/// Campaigns looked at in one slice.
const CAMPAIGNS_MAX: usize = 16;
/// Items begun in one look.
const BEGIN_MAX: usize = 64;
/// The shortest wait between two looks.
const LOOK_MIN: Duration = Duration::from_secs(1);
/// The longest while somebody waits for the next item or for the old credential to be refused.
const LOOK_URGENT: Duration = Duration::from_secs(5);
/// The longest.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// Reason of items whose rotation completed without replacing what had to go.
const STILL_CURRENT: &str = "its rotation ended and a version that had to go is still current: \
                             see the rotation, then start again";
/// Reason of items that wait while a debt of their secret is being told to its target.
const DEBT_IN_HAND: &str = "waits until its target was told what an earlier rotation left there";

/// Why a look ended early.
pub(super) enum Stop {
    /// Someone else wrote first: the next look starts from what they wrote.
    LostRace,
    Failed(VaultError),
}

impl From<CommitError> for Stop {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => Self::LostRace,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<VaultError> for Stop {
    fn from(error: VaultError) -> Self {
        Self::Failed(error)
    }
}

/// One look at one campaign.
pub(super) struct Look {
    pub(super) caller: Caller,
    /// As it will be written next.
    pub(super) campaign: Campaign,
    /// The rotations of items that are rotating, by place.
    rotations: Vec<Option<Rotation>>,
    moved: bool,
}

impl Look {
    pub(super) fn end(
        &mut self,
        place: usize,
        state: ItemState,
        reason: Option<&str>,
        now: Timestamp,
    ) {
        self.campaign.items[place].end(state, reason, now);
        self.rotations[place] = None;
        self.moved = true;
    }

    fn follow(&mut self, place: usize, rotation: &Rotation, now: Timestamp) {
        let item = &mut self.campaign.items[place];
        item.state = ItemState::Rotating;
        item.rotation_id = Some(rotation.id.clone());
        item.began_at = item.began_at.or(Some(now));
        item.reason = None;
        self.rotations[place] = Some(rotation.clone());
        self.moved = true;
    }

    /// Whether an earlier item holds up the one at `place`.
    fn is_held_up(&self, place: usize) -> bool {
        let group = |at: usize| {
            let turn = self.campaign.items[at].turn.as_ref();
            turn.map(|turn| turn.group.as_str())
        };
        let own = group(place);
        self.rotations[..place].iter().enumerate().any(|(at, row)| {
            let same_group = || own.is_some() && own == group(at);
            row.as_ref()
                .is_some_and(|rotation| !lets_on(rotation, same_group()))
        })
    }

    /// When to look again: soon after something moved, then less and less often.
    fn wake_at(&self, now: Timestamp) -> Timestamp {
        let urgent = |(item, rotation): (&CampaignItem, &Option<Rotation>)| {
            rotation.as_ref().is_some_and(|rotation| {
                let cut = item.mode == Mode::Containment && rotation.phase != Phase::Parked;
                !lets_on(rotation, false) || (cut && !rotation.awaits_value())
            })
        };
        let most = match self.campaign.items.iter().zip(&self.rotations).any(urgent) {
            true => LOOK_URGENT,
            false => LOOK_MAX,
        };
        let since = now.since(self.campaign.moved_at);
        let next = now.plus((since / 8).clamp(LOOK_MIN, most));
        let known = self.rotations.iter().flatten();
        known
            .filter_map(|rotation| rotation.wake_at)
            .filter(|at| *at > now)
            .fold(next, Timestamp::min)
    }
}

impl Vault {
    /// Looks at every campaign that is due. Answers how many; 0 means none is.
    ///
    /// # Errors
    /// When the store cannot be read or written; the next look goes on from the record.
    pub async fn campaigns_run_once(&self) -> Result<usize, VaultError> {
        if self.is_reconcile_only().await? {
            return Ok(0);
        }
        let due = RunReads::campaign_due(&*self.store, self.now(), CAMPAIGNS_MAX).await?;
        let mut looked_at = 0;
        // One campaign that cannot be worked on must not stand before the others for ever.
        let mut first_error = None;
        for campaign in due {
            match self.campaign_look(campaign).await {
                Ok(()) => looked_at += 1,
                Err(Stop::LostRace) => {}
                Err(Stop::Failed(error @ VaultError::Unavailable(_))) => return Err(error),
                Err(Stop::Failed(error)) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(looked_at), Err)
    }

    async fn campaign_look(&self, campaign: Campaign) -> Result<(), Stop> {
        let caller = Caller::system(campaign.tenant.clone(), WORKER, self.now());
        let mut look = Look {
            caller,
            rotations: vec![None; campaign.items.len()],
            campaign,
            moved: false,
        };
        for place in 0..look.campaign.items.len() {
            if look.campaign.items[place].state == ItemState::Rotating {
                self.look_at_item(&mut look, place).await?;
            }
        }
        let mut begun = 0;
        if look.campaign.state == CampaignState::Running {
            for place in 0..look.campaign.items.len() {
                let waits = look.campaign.items[place].state == ItemState::Waiting;
                if waits && begun < BEGIN_MAX && !look.is_held_up(place) {
                    self.begin_item(&mut look, place).await?;
                    // One that has to wait for another rotation costs a look and holds up nobody.
                    begun += usize::from(look.campaign.items[place].state != ItemState::Waiting);
                    let over = look.rotations[place].as_ref();
                    if over.is_some_and(|rotation| rotation.phase.is_final()) {
                        self.look_at_item(&mut look, place).await?;
                    }
                }
            }
        }
        let now = self.now();
        if look.moved {
            look.campaign.moved_at = now;
        }
        if !look.campaign.finish(now) {
            look.campaign.wake_at = Some(match begun {
                BEGIN_MAX => now,
                _ => look.wake_at(now),
            });
        }
        self.campaign_commit(&mut look, Unit::new(UnitName::CampaignStep), now)
            .await
    }

    /// Writes the campaign as it stands now, together with what is in `unit`.
    pub(super) async fn campaign_commit(
        &self,
        look: &mut Look,
        unit: Unit,
        now: Timestamp,
    ) -> Result<(), Stop> {
        look.campaign.revision += 1;
        let mut unit = unit.put(Record::Campaign(look.campaign.clone()));
        unit.name = UnitName::CampaignStep;
        if look.moved {
            let row = audit_row(&look.caller, Action::CampaignStep, &look.campaign, now);
            unit = unit.audited(row);
        }
        let unit = self.with_summary(unit, &look.caller, &look.campaign, now);
        self.commit(unit).await?;
        Ok(())
    }

    /// Where the rotation of an item stands, and what follows.
    async fn look_at_item(&self, look: &mut Look, place: usize) -> Result<(), Stop> {
        let now = self.now();
        let item = look.campaign.items[place].clone();
        let tenant = look.campaign.tenant.clone();
        let found = match &item.rotation_id {
            Some(id) => RotationReads::rotation_find(&*self.store, &tenant, id)
                .await
                .map_err(VaultError::from)?,
            None => None,
        };
        let Some(rotation) = found else {
            look.end(place, ItemState::Failed, Some(DELETED), now);
            return Ok(());
        };
        match rotation.phase {
            Phase::RolledBack => {
                let known = self.campaign_known(&tenant, &item.path).await?;
                let current = known.head.as_ref().map(|head| head.current_version);
                let leaked = current.is_some_and(|version| item.versions.contains(&version));
                let advice = match leaked {
                    true => Some(STILL_CURRENT),
                    false => rotation.reason.map(|reason| reason.advice()),
                };
                look.end(place, ItemState::Failed, advice, now);
                return Ok(());
            }
            Phase::Completed if rotation.at_target.is_some() && rotation.reason.is_some() => {
                let advice = rotation.reason.map(|reason| reason.advice());
                look.end(place, ItemState::Failed, advice, now);
                return Ok(());
            }
            Phase::Completed => {}
            _ if item.mode != Mode::Containment => {
                look.rotations[place] = Some(rotation);
                return Ok(());
            }
            _ => {}
        }
        let known = self.campaign_known(&tenant, &item.path).await?;
        self.contain_all(look, &item, &known, now).await?;
        if rotation.phase != Phase::Completed {
            look.rotations[place] = Some(rotation);
            return Ok(());
        }
        match course(&item, &known.known, now) {
            Course::Join(id) => {
                let other = known.known.under_way.iter().find(|row| row.id == id);
                if let Some(other) = other {
                    look.follow(place, &other.clone(), now);
                }
            }
            Course::Close(version) => {
                self.close_version(look, place, &known, version, now)
                    .await?
            }
            Course::Open | Course::After(_) => {
                look.end(place, ItemState::Failed, Some(STILL_CURRENT), now);
            }
            // Deleted after the rotation had done its work.
            Course::End(..) => look.end(place, ItemState::Rotated, None, now),
        }
        Ok(())
    }

    /// Begins an item, if nothing stands in its way.
    async fn begin_item(&self, look: &mut Look, place: usize) -> Result<(), Stop> {
        let now = self.now();
        let item = look.campaign.items[place].clone();
        let found = self
            .campaign_known(&look.campaign.tenant, &item.path)
            .await?;
        self.contain_all(look, &item, &found, now).await?;
        // What was contained has changed.
        let found = match item.mode {
            Mode::Containment => {
                self.campaign_known(&look.campaign.tenant, &item.path)
                    .await?
            }
            Mode::Continuity => found,
        };
        match course(&item, &found.known, now) {
            Course::End(state, reason) => look.end(place, state, reason, now),
            Course::Close(version) => {
                self.close_version(look, place, &found, version, now)
                    .await?
            }
            Course::Join(id) => {
                let row = found.known.under_way.iter().find(|row| row.id == id);
                if let Some(rotation) = row.cloned() {
                    self.join(look, place, &found, rotation, now).await?;
                }
            }
            Course::After(id) => {
                let row = found.known.under_way.iter().find(|row| row.id == id);
                if item.mode == Mode::Containment
                    && let Some(rotation) = row
                    && !rotation.is_before_promotion()
                    && !rotation.is_stepping_back()
                    && !rotation.is_contained()
                {
                    self.contain(look, rotation, now).await?;
                }
                let why = format!("waits for rotation {id} of this secret to end");
                look.campaign.items[place].reason = Some(why);
            }
            Course::Open => self.open_item(look, place, &found, now).await?,
        }
        Ok(())
    }

    /// The rotation and the item that follows it: one commit.
    async fn open_item(
        &self,
        look: &mut Look,
        place: usize,
        found: &Found,
        now: Timestamp,
    ) -> Result<(), Stop> {
        let (Some(head), Some((assignment, policy))) = (&found.head, &found.attached) else {
            return Err(Stop::LostRace);
        };
        let how = Opening {
            trigger: Trigger::Manual,
            requested_by: look.campaign.requested_by.clone(),
            contained: look.campaign.items[place].mode == Mode::Containment,
            ignore: self.cut_off(&look.campaign, now).await?,
        };
        let caller = look.caller.clone();
        let opening = self
            .opening(&caller, head, assignment, policy, how, now)
            .await;
        let (unit, rotation) = match opening {
            Err(CommitError::Conflict(RecordKind::Debt)) => {
                look.campaign.items[place].reason = Some(DEBT_IN_HAND.to_owned());
                return Ok(());
            }
            opening => opening?,
        };
        look.follow(place, &rotation, now);
        self.campaign_commit(look, unit, now).await?;
        look.rotations[place] = Some(self.carry_on(rotation).await?);
        Ok(())
    }

    /// Follows a rotation that somebody else opened; one that waits for a person goes on.
    async fn join(
        &self,
        look: &mut Look,
        place: usize,
        found: &Found,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(), Stop> {
        let parked = rotation.phase == Phase::Parked && rotation.is_before_promotion();
        let free = rotation.claimed_until.is_none_or(|until| until <= now);
        let unit = Unit::new(UnitName::CampaignStep);
        let (unit, rotation) = match (&found.head, &found.attached) {
            (Some(head), Some((assignment, policy)))
                if parked && free && rotation.at_target.is_none() =>
            {
                let caller = &look.caller;
                self.announcing_again(caller, head, assignment, policy, &rotation, now)
            }
            (Some(_), _) if parked && free && rotation.at_target.is_some() => {
                let next = rotation.resumed(true, now);
                (self.rotation_written(look, unit, &next, now), next)
            }
            _ => (unit, rotation),
        };
        // Only what this commit writes is ours to carry on: another worker may hold the row.
        let ours = !unit.ops.is_empty();
        look.follow(place, &rotation, now);
        self.campaign_commit(look, unit, now).await?;
        if ours {
            look.rotations[place] = Some(self.carry_on(rotation).await?);
        }
        Ok(())
    }
}
