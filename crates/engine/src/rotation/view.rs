//! A rotation as an operator looks at it: what it waits for, by name, and what may be done now.

use std::borrow::Cow;

use scaivault_core::identity::Identity;
use scaivault_core::ids::RotationId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::RotationReads;
use scaivault_core::rotation::{AtTarget, Attached, Phase, Reason, Rotation, Standing, Which};
use scaivault_core::target::Trouble;
use scaivault_core::time::Timestamp;
use serde::Deserialize;

use super::acts::Act;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// Names in one sentence; the rest is a number.
pub(crate) const NAMES_MAX: usize = 20;

/// A rotation, what it waits for, and what may be done.
#[derive(Debug, Clone, PartialEq)]
pub struct RotationView {
    /// The row.
    pub rotation: Rotation,
    /// What it waits for: one sentence each.
    pub waits_for: Vec<String>,
    /// What is legal now.
    pub actions: Vec<Act>,
}

impl RotationView {
    /// Of the row alone: consumers and the group are not looked at.
    pub fn of_row(rotation: Rotation, now: Timestamp) -> Self {
        let waits_for = waits_for(&rotation, &Seen::default(), now);
        let actions = Act::legal(&rotation);
        Self {
            rotation,
            waits_for,
            actions,
        }
    }
}

/// What is looked up beside the row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Where the consumers stand.
    pub(crate) standing: Option<Standing>,
    /// The rotation of its group that goes first.
    pub(crate) first: Option<RotationId>,
}

impl Vault {
    /// One rotation with everything it waits for. Who may neither administer nor rotate its
    /// secret does not see it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn rotation_show(
        &self,
        caller: &Caller,
        id: &RotationId,
    ) -> Result<RotationView, VaultError> {
        let rotation = self.rotation_details(caller, id).await?;
        let looked = Rotation {
            phase: stands_in(&rotation),
            ..rotation.clone()
        };
        let seen = Seen {
            standing: match &rotation.at_target {
                Some(_) if !rotation.phase.is_final() => Some(self.standing_of(&looked).await?),
                _ => None,
            },
            first: self.goes_first(&rotation).await?.map(|first| first.id),
        };
        let waits_for = waits_for(&rotation, &seen, self.now());
        let actions = Act::legal(&rotation);
        Ok(RotationView {
            rotation,
            waits_for,
            actions,
        })
    }

    /// Waits until a rotation the caller was shown is no longer at `revision`, or `give_up`
    /// completes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn rotation_changed(
        &self,
        shown: &Rotation,
        revision: u64,
        give_up: impl Future<Output = ()>,
    ) -> Result<(), VaultError> {
        let mut changes = self.signals.rotations();
        let mut give_up = std::pin::pin!(give_up);
        loop {
            changes.mark_unchanged();
            let row = RotationReads::rotation_find(&*self.store, &shown.tenant, &shown.id).await?;
            let row = row.ok_or(VaultError::NotFound(Missing::Rotation))?;
            if row.revision != revision {
                return Ok(());
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = &mut give_up => return Ok(()),
            }
        }
    }
}

/// The phase it is in, or was in when it was parked.
fn stands_in(rotation: &Rotation) -> Phase {
    let resumes = || rotation.at_target.as_ref()?.resume_phase;
    match rotation.phase {
        Phase::Parked => resumes().unwrap_or(Phase::Parked),
        phase => phase,
    }
}

/// What a rotation waits for, one sentence each; what needs more than was `seen` is left out.
pub(crate) fn waits_for(rotation: &Rotation, seen: &Seen, now: Timestamp) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(trouble) = current_trouble(rotation) {
        said.push(trouble_text(rotation, trouble));
    }
    match (&rotation.at_target, rotation.phase) {
        (_, Phase::Completed | Phase::RolledBack) => {}
        (_, Phase::Generating) => said.extend(generating(rotation, seen)),
        (at, Phase::Parked) => {
            if let (Some(at), Some(Reason::DrainDeadline | Reason::ConsumerFailed)) =
                (at, rotation.reason)
            {
                said.extend(consumers(rotation, at, seen));
                said.extend(sessions(at));
            }
            said.push("a person: see reason and advice".to_owned());
        }
        (None, Phase::Draining) => said.extend(rotation.grace_ends_at.map(|end| {
            format!(
                "the grace period: version {} stays readable until {}",
                rotation.from_version,
                end.to_rfc3339()
            )
        })),
        // The first credential replaces none: nobody is waited for.
        (Some(_), Phase::Propagating | Phase::Draining) if rotation.from_version == 0 => {}
        (Some(at), Phase::Propagating | Phase::Draining) => {
            said.extend(consumers(rotation, at, seen));
            if rotation.phase == Phase::Draining {
                said.extend(silence(at, now));
            }
            if at.rules.approval && at.approved_by.is_none() {
                said.push("an approval".to_owned());
            }
        }
        (Some(at), Phase::RollingBack) if at.demoted_at.is_some() && !at.forced => {
            said.extend(consumers(rotation, at, seen));
            said.extend(silence(at, now));
        }
        _ => {}
    }
    let held = rotation.claimed_until.is_some_and(|until| until > now);
    if let Some(at) = &rotation.at_target
        && said.is_empty()
        && held
    {
        said.push(format!("a step under way at {}", at.attached.target_name));
    }
    said
}

fn generating(rotation: &Rotation, seen: &Seen) -> Option<String> {
    if rotation.awaits_value() {
        return Some(format!(
            "a new value: PUT /v1/secrets/{} by an identity that may rotate, before {}",
            rotation.path,
            rotation.overdue_at.to_rfc3339()
        ));
    }
    let turn = rotation.turn.as_ref()?;
    let first = seen.first.as_ref()?;
    Some(format!(
        "its turn in group {}: {first} goes first",
        turn.group
    ))
}

/// The trouble a rotation is in, rather than one it had.
fn current_trouble(rotation: &Rotation) -> Option<&Trouble> {
    let parked_otherwise =
        rotation.phase == Phase::Parked && rotation.reason != Some(Reason::TargetTrouble);
    let over = rotation.phase.is_final() || parked_otherwise;
    rotation.trouble.as_ref().filter(|_| !over)
}

fn trouble_text(rotation: &Rotation, trouble: &Trouble) -> String {
    let name = target_name(rotation).unwrap_or("-");
    let code = trouble.code.as_ref().map(|code| format!(" ({code})"));
    let next = rotation.wake_at.map(Timestamp::to_rfc3339);
    let next = next.map(|at| format!(", next attempt {at}"));
    format!(
        "the target {name}: {}{}{}",
        trouble.kind.as_str(),
        code.unwrap_or_default(),
        next.unwrap_or_default()
    )
}

fn target_name(rotation: &Rotation) -> Option<&str> {
    let at = rotation.at_target.as_ref()?;
    Some(at.attached.target_name.as_str())
}

fn consumers(rotation: &Rotation, at: &AtTarget, seen: &Seen) -> Vec<String> {
    let Some(standing) = &seen.standing else {
        return Vec::new();
    };
    let new = rotation.to_version.unwrap_or(rotation.from_version);
    let (wanted, other) = match stands_in(rotation) {
        Phase::RollingBack => (rotation.from_version, new),
        _ => (new, rotation.from_version),
    };
    let mut said = Vec::new();
    if !standing.behind.is_empty() {
        said.push(behind_text(standing, at, wanted, other));
    }
    if let (true, Which::Count(number)) = (standing.missing > 0, &at.rules.consumers) {
        said.push(format!(
            "{} more that hold v{wanted}: the policy asks for {number}",
            counted(u64::from(standing.missing), "consumer")
        ));
    }
    match standing.unapplied.as_slice() {
        [] => {}
        [one] => said.push(format!("{one} has not acknowledged v{wanted}")),
        more => said.push(format!(
            "{} have not acknowledged v{wanted}: {}",
            counted(more.len() as u64, "consumer"),
            names(more)
        )),
    }
    match standing.failed.as_slice() {
        [] => {}
        [one] => said.push(format!("{one} reports that it fails with v{wanted}")),
        more => said.push(format!(
            "{} report that they fail with v{wanted}: {}",
            counted(more.len() as u64, "consumer"),
            names(more)
        )),
    }
    if !standing.used && standing.has_moved() && stands_in(rotation) != Phase::RollingBack {
        said.push(format!("a first reader of v{wanted}"));
    }
    said
}

fn behind_text(standing: &Standing, at: &AtTarget, wanted: u64, other: u64) -> String {
    let behind = standing.behind.len();
    let one = behind == 1;
    // Listed ones may never have read anything.
    let what = match (&at.rules.consumers, one) {
        (Which::Listed(_), true) => format!("does not hold v{wanted}"),
        (Which::Listed(_), false) => format!("do not hold v{wanted}"),
        (_, true) => format!("still holds v{other}"),
        (_, false) => format!("still hold v{other}"),
    };
    let all = counted(standing.counted.max(behind) as u64, "consumer");
    format!("{behind} of {all} {what}: {}", names(&standing.behind))
}

fn sessions(at: &AtTarget) -> Option<String> {
    let open = at.sessions.filter(|open| *open > 0)?;
    let whose = at.watched.as_deref().unwrap_or("the old credential");
    let target = &at.attached.target_name;
    Some(format!(
        "{} of {whose} on {target}",
        counted(open, "session")
    ))
}

fn silence(at: &AtTarget, now: Timestamp) -> Option<String> {
    if let Some(open) = sessions(at) {
        return Some(open);
    }
    let quiet = at.rules.quiet_period.duration().as_secs();
    let since = now.since(at.quiet_since?).as_secs();
    (since < quiet).then(|| format!("quiet since {since} s of {quiet} s"))
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// The first names, then how many more.
fn names(all: &[Identity]) -> String {
    let first: Vec<&str> = all.iter().take(NAMES_MAX).map(Identity::as_str).collect();
    let more = all.len().saturating_sub(NAMES_MAX);
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The account a credential is of, if the attachment names it: nothing of a value is repeated
/// that is not a setting.
pub(super) fn account_name(value: &Plaintext, attached: &Attached) -> Option<String> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        username: Cow<'a, str>,
    }
    let named: Named<'_> = serde_json::from_slice(value.expose()).ok()?;
    let is_named = |setting: &serde_json::Value| match setting {
        serde_json::Value::String(text) => *text == named.username,
        serde_json::Value::Array(list) => list
            .iter()
            .any(|item| item.as_str() == Some(&*named.username)),
        _ => false,
    };
    let known = attached.account.values().any(is_named);
    known.then(|| named.username.into_owned())
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
