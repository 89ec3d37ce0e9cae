//! `scaivault rotation …`

mod abandon;
mod act;
mod assign;
mod campaign;
mod debts;
mod list;
mod named;
mod policy;
mod show;
mod unassign;
mod watch;

pub(crate) use named::policy_id;

use clap::Subcommand;
use scaivault_api::rotation::Rotation;

pub(crate) use assign::{account_map, field as account_field};
pub(crate) use debts::table as debts_table;

use super::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Rotations {
    /// Create, change and list rotation policies
    #[command(subcommand)]
    Policy(policy::Policies),
    /// Rotate what an identity read, a policy, a group or paths, in order
    #[command(subcommand)]
    Campaign(campaign::Campaigns),
    /// Attach a secret to a rotation policy, and to the target whose credential it is
    Assign(assign::Assign),
    /// Detach a secret from its rotation policy
    Unassign(unassign::Unassign),
    /// List rotations, newest first
    List(list::List),
    /// Show where a rotation stands
    Show(show::Show),
    /// End a rotation here; what its target may still accept becomes a debt
    Abandon(abandon::Abandon),
    /// List what is still to be removed at targets
    Debts(debts::Debts),
    /// Try a debt again, or give it up
    #[command(subcommand)]
    Debt(debts::Debt),
    /// Follow a rotation until it ends or is parked
    Watch(watch::Watch),
    /// Let a parked rotation go on
    Resume(act::Resume),
    /// Give readers the old version again and retire the new one
    Rollback(act::Rollback),
    /// Approve that the old credential is revoked
    Approve(act::Approve),
}

impl Rotations {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Policy(command) => command.run(session).await,
            Self::Campaign(command) => command.run(session).await,
            Self::Assign(command) => command.run(session).await,
            Self::Unassign(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Abandon(command) => command.run(session).await,
            Self::Debts(command) => command.run(session).await,
            Self::Debt(command) => command.run(session).await,
            Self::Watch(command) => command.run(session).await,
            Self::Resume(command) => command.run(session).await,
            Self::Rollback(command) => command.run(session).await,
            Self::Approve(command) => command.run(session).await,
        }
    }
}

/// A rotation in full; used by `show` and `secrets rotate`.
pub(crate) fn details(rotation: &Rotation) -> String {
    let mut table = Table::fields();
    let versions = match rotation.new_version {
        Some(new_version) => format!("{} -> {new_version}", rotation.old_version),
        None => format!("{} -> ?", rotation.old_version),
    };
    let policy = format!(
        "{} ({})",
        rotation.rotation_policy_name, rotation.rotation_policy_id
    );
    table.row(["id", &rotation.id]);
    table.row(["secret", &rotation.secret_path]);
    table.row(["policy", &policy]);
    table.row(["status", &rotation.status]);
    table.row([
        "phase",
        &format!("{} since {}", rotation.phase, rotation.phase_since),
    ]);
    table.row(["strategy", &rotation.strategy]);
    table.row([
        "trigger",
        &format!("{} by {}", rotation.trigger, rotation.requested_by),
    ]);
    table.row(["versions", &versions]);
    table.row(["started", &rotation.started_at]);
    table.row(["finished", or_dash(rotation.finished_at.as_deref())]);
    let target = rotation
        .target
        .as_ref()
        .map(|target| format!("{} ({}), {}", target.name, target.id, target.strategy));
    let forced = rotation.forced.then(|| "yes".to_owned());
    for (name, value) in [
        ("target", &target),
        ("group", &rotation.group),
        ("new since", &rotation.promoted_at),
        ("deadline", &rotation.deadline_at),
        ("approved by", &rotation.approved_by),
        ("forced", &forced),
        ("grace ends", &rotation.grace_period_ends),
    ] {
        if let Some(value) = value {
            table.row([name, value]);
        }
    }
    for (name, value) in waiting(rotation) {
        table.row([name, value.as_str()]);
    }
    for (name, value) in [
        ("next attempt", &rotation.next_attempt_at),
        ("reason", &rotation.reason),
        ("advice", &rotation.advice),
        ("last error", &rotation.last_error),
    ] {
        if let Some(value) = value {
            table.row([name, value]);
        }
    }
    for (name, value) in trouble(rotation) {
        table.row([name, &value]);
    }
    if !rotation.actions.is_empty() {
        table.row(["actions", &rotation.actions.join(", ")]);
    }
    table.render()
}

/// What it waits for, a row each.
fn waiting(rotation: &Rotation) -> Vec<(&'static str, &String)> {
    let sentences = match rotation.waits_for.as_slice() {
        // A server that does not tell them apart.
        [] => rotation.waiting_for.as_slice(),
        sentences => sentences,
    };
    let names = std::iter::once("waiting for").chain(std::iter::repeat(""));
    names.zip(sentences).collect()
}

/// The trouble at the target and its cures, a row each.
fn trouble(rotation: &Rotation) -> Vec<(&'static str, String)> {
    let Some(trouble) = &rotation.trouble else {
        return Vec::new();
    };
    let code = trouble.code.as_ref().map(|code| format!(" ({code})"));
    let what = format!("{}{}", trouble.kind, code.unwrap_or_default());
    let mut rows = vec![("trouble", what), ("cure", trouble.advice.clone())];
    rows.extend(trouble.remedy.iter().map(|step| ("", step.clone())));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_shown() {
        let rotation: Rotation = serde_json::from_value(serde_json::json!({
            "id": "rtn_1", "secret_path": "a/b", "rotation_policy_id": "rot_1",
            "rotation_policy_name": "quarterly", "status": "pending", "phase": "generating",
            "phase_since": "t1", "strategy": "event_driven", "trigger": "manual",
            "requested_by": "user:root", "started_at": "t0", "finished_at": null,
            "old_version": 1, "new_version": null, "grace_period_ends": null,
            "waiting_for": "a new value", "next_attempt_at": null, "reason": null,
            "advice": null, "last_error": null
        }))
        .expect("rotation");
        let text = details(&rotation);
        assert!(text.contains("versions     1 -> ?\n"), "{text}");
        assert!(text.contains("waiting for  a new value\n"), "{text}");
        assert!(!text.contains("advice"), "{text}");
    }
}
