//! What the audit trail says last about rows: an older row of the same key has its code, but the
//! trail tells that it was followed by another.

use std::collections::HashMap;

use scaivault_core::audit::{Action, AuditRow};
use scaivault_core::secret::VersionState;
use scaivault_core::time::Timestamp;
use serde::Deserialize;

/// Why a row is not the last one.
pub(super) type Older = Option<&'static str>;

const OLDER: Older = Some("older than the audit trail says");
const REMOVED: Older = Some("removed according to the audit trail");

/// Of a secret, by tenant and path.
#[derive(Default)]
struct SecretSaid {
    /// The last write, of its value or of something else.
    changed: Option<Told>,
    written: Option<Timestamp>,
    deleted: Option<Timestamp>,
    purged: Option<Timestamp>,
    /// The highest version, and when it was first told of.
    version: Option<(u64, Timestamp)>,
    /// The last step of a rotation: when, whether it completed, the version.
    step: Option<(Timestamp, bool, Option<u64>)>,
    /// Versions that a rotation replaced, and when it completed: from then on nobody reads them.
    closed: HashMap<u64, Timestamp>,
    seen: bool,
}

/// Of a rotation, by id: when it came into the phase it was last in.
struct PhaseSaid {
    phase: String,
    since: Timestamp,
    last: Timestamp,
}

/// Of what has an id of its own, or a name in its tenant.
#[derive(Default)]
struct NamedSaid {
    changed: Option<Told>,
    removed: Option<Timestamp>,
}

/// Everything the trail says, gathered row by row in any order of chains.
#[derive(Default)]
pub(super) struct Trail {
    secrets: HashMap<(String, String), SecretSaid>,
    rotations: HashMap<String, PhaseSaid>,
    named: HashMap<String, NamedSaid>,
    /// What may be made again under the same key, by table, tenant and key.
    keyed: HashMap<(&'static str, String, String), NamedSaid>,
    chain: usize,
}

fn later(slot: &mut Option<Timestamp>, at: Timestamp) {
    *slot = (*slot).max(Some(at));
}

/// A time, and in which chain it was told. Within a chain the last row counts, whatever its time
/// is: a clock may have been set back. Between chains the later one does.
#[derive(Clone, Copy)]
struct Told {
    chain: usize,
    at: Timestamp,
}

fn told(slot: &mut Option<Told>, now: Told) {
    if slot.is_none_or(|before| before.chain == now.chain || before.at <= now.at) {
        *slot = Some(now);
    }
}

impl Trail {
    /// What comes next is of another chain.
    pub(super) fn next_chain(&mut self) {
        self.chain += 1;
    }

    /// Takes a row in.
    pub(super) fn take(&mut self, row: &AuditRow) {
        if !row.success {
            return;
        }
        let (at, extra) = (row.timestamp, &row.extra_data);
        let now = Told {
            chain: self.chain,
            at,
        };
        // What belongs to a partner as such is on the trail of whoever did it.
        if let Some(path) = row
            .secret_path
            .as_ref()
            .filter(|_| extra.partner_id.is_none())
        {
            let key = (row.tenant_id.as_str().to_owned(), path.as_str().to_owned());
            let said = self.secrets.entry(key).or_default();
            let of_value = matches!(row.action, Action::Write | Action::RotationStep);
            if let Some(version) = extra.version.filter(|_| of_value)
                && extra.metadata_only != Some(true)
            {
                said.version = said.version.max(Some((version, at)));
            }
            let completed = extra.phase.as_deref() == Some("completed");
            if let Some(old) = extra.old_version.filter(|_| completed)
                && row.action == Action::RotationStep
            {
                let closed = said.closed.entry(old).or_insert(at);
                *closed = at.max(*closed);
            }
            match row.action {
                Action::Write => {
                    told(&mut said.changed, now);
                    later(&mut said.written, at);
                }
                Action::Delete if extra.permanent == Some(true) => later(&mut said.purged, at),
                Action::Delete if extra.permanent == Some(false) => {
                    told(&mut said.changed, now);
                    later(&mut said.deleted, at);
                }
                Action::RotationStep if said.step.is_none_or(|(last, ..)| last <= at) => {
                    said.step = Some((at, completed, extra.version));
                }
                _ => {}
            }
        }
        self.keyed(row, now);
        if row.action == Action::RotationStep
            && let (Some(id), Some(phase)) = (&extra.rotation_id, &extra.phase)
        {
            self.phase(id.as_str(), phase, at);
        }
        let (id, removed) = match row.action {
            Action::PolicyCreate | Action::PolicyUpdate => (id(&extra.policy_id), false),
            Action::PolicyDelete => (id(&extra.policy_id), true),
            Action::PolicyUnbind => (id(&extra.binding_id), true),
            Action::TokenRevoke => (id(&extra.token_id), true),
            Action::RotationPolicyCreate | Action::RotationPolicyUpdate => {
                (id(&extra.rotation_policy_id), false)
            }
            Action::RotationPolicyDelete => (id(&extra.rotation_policy_id), true),
            Action::SecretPolicyCreate | Action::SecretPolicyUpdate => {
                (id(&extra.secret_policy_id), false)
            }
            Action::SecretPolicyDelete => (id(&extra.secret_policy_id), true),
            Action::TargetDelete => (id(&extra.target_id), true),
            Action::WebhookDelete => (id(&extra.webhook_id), true),
            Action::SubscriptionDelete => (id(&extra.subscription_id), true),
            Action::SecretIdRevoke => (id(&extra.secret_id_accessor), true),
            Action::DynamicEngineDelete => (extra.subject.clone(), true),
            _ => return,
        };
        if let Some(id) = id {
            let said = self.named.entry(id).or_default();
            match removed {
                true => later(&mut said.removed, at),
                false => told(&mut said.changed, now),
            }
        }
    }

    /// Takes in a row about what has no id that the trail names: roles that machines log in by, and
    /// roles of engines.
    fn keyed(&mut self, row: &AuditRow, now: Told) {
        let extra = &row.extra_data;
        let (table, key, removed) = match row.action {
            Action::MachineRoleCreate | Action::MachineRoleUpdate => {
                ("machine_role", extra.machine_role.clone(), false)
            }
            Action::MachineRoleDelete => ("machine_role", extra.machine_role.clone(), true),
            Action::DynamicRoleWrite => ("engine_role", engine_role(row), false),
            Action::DynamicRoleDelete => ("engine_role", engine_role(row), true),
            _ => return,
        };
        // What belongs to a partner as such is on the trail of whoever did it.
        let Some(key) = key.filter(|_| extra.partner_id.is_none()) else {
            return;
        };
        let key = (table, row.tenant_id.as_str().to_owned(), key);
        let said = self.keyed.entry(key).or_default();
        match removed {
            true => later(&mut said.removed, now.at),
            false => told(&mut said.changed, now),
        }
    }

    fn phase(&mut self, id: &str, phase: &str, at: Timestamp) {
        let new = || PhaseSaid {
            phase: phase.to_owned(),
            since: at,
            last: at,
        };
        let Some(said) = self.rotations.get_mut(id) else {
            self.rotations.insert(id.to_owned(), new());
            return;
        };
        if at < said.last {
            return;
        }
        match said.phase == phase {
            true => said.last = at,
            false => *said = new(),
        }
    }

    /// Whether a row that is there is one that the trail says was followed by another.
    pub(super) fn about(&mut self, table: &str, space: &str, key: &str, doc: &str) -> Older {
        match table {
            "secret" => self.about_secret(space, key, doc),
            "rotation" => {
                let said = self.rotations.get(key)?;
                let row: RotationRow = serde_json::from_str(doc).ok()?;
                (row.phase != said.phase && row.phase_since < said.since).then_some(OLDER)?
            }
            "token" => {
                self.named.get(key)?.removed?;
                let row: TokenRow = serde_json::from_str(doc).ok()?;
                row.revoked_at.is_none().then_some(OLDER)?
            }
            "policy" | "rotation_policy" | "secret_policy" | "target" => {
                let said = self.named.get(key)?;
                if said.removed.is_some() {
                    return REMOVED;
                }
                let row: Updated = serde_json::from_str(doc).ok()?;
                let changed = said.changed.map(|told| told.at);
                (Some(row.updated_at) < changed).then_some(OLDER)?
            }
            "binding" | "webhook" | "subscription" | "engine" => self.removed(key),
            "secret_id" => self.removed(key).or_else(|| {
                // They went with their role, without a word for each.
                let row: SecretIdRow = serde_json::from_str(doc).ok()?;
                let of = ("machine_role", space.to_owned(), row.role);
                let gone = self.keyed.get(&of)?.removed;
                (gone > Some(row.created_at)).then_some(REMOVED)?
            }),
            "machine_role" => self.about_keyed("machine_role", space, key, doc),
            "engine_role" => {
                // They went with their engine.
                let engine = key.split_once('/').map(|(engine, _)| engine);
                let gone = engine.and_then(|engine| self.removed(engine));
                gone.or_else(|| self.about_keyed("engine_role", space, key, doc))
            }
            "version" => {
                let (path, version) = key.rsplit_once('#')?;
                let of = (space.to_owned(), path.to_owned());
                let closed = *self.secrets.get(&of)?.closed.get(&version.parse().ok()?)?;
                let row: VersionRow = serde_json::from_str(doc).ok()?;
                let reads_on = match row.state {
                    VersionState::Current | VersionState::Superseded => true,
                    VersionState::Previous => row.readable_until.is_none(),
                    _ => false,
                };
                (reads_on && row.created_at <= closed).then_some(OLDER)?
            }
            _ => None,
        }
    }

    fn about_keyed(&self, table: &'static str, space: &str, key: &str, doc: &str) -> Older {
        let of = (table, space.to_owned(), key.to_owned());
        let said = self.keyed.get(&of)?;
        let row: Made = serde_json::from_str(doc).ok()?;
        if said.removed > Some(row.created_at) {
            return REMOVED;
        }
        let changed = said.changed.map(|told| told.at);
        (Some(row.updated_at) < changed).then_some(OLDER)?
    }

    fn removed(&self, id: &str) -> Older {
        self.named.get(id)?.removed.and(REMOVED)
    }

    fn about_secret(&mut self, space: &str, path: &str, doc: &str) -> Older {
        let said = self.secrets.get_mut(&(space.to_owned(), path.to_owned()))?;
        said.seen = true;
        let row: SecretRow = serde_json::from_str(doc).ok()?;
        if said.purged > Some(row.created_at) {
            return REMOVED;
        }
        // What was before is of another secret at the same path.
        let of_this = |at: &Timestamp| *at >= row.created_at;
        let changed = said.changed.map(|told| told.at);
        if changed.filter(of_this) > Some(row.updated_at) {
            return OLDER;
        }
        let version = said.version.filter(|(_, at)| of_this(at));
        if version.is_some_and(|(version, _)| row.latest_version < version) {
            return OLDER;
        }
        let deleted = said.deleted.filter(of_this);
        if deleted.is_some() && deleted > said.written && row.recoverable_until.is_none() {
            return OLDER;
        }
        let step = said
            .step
            .filter(|(at, ..)| of_this(at) && Some(*at) >= said.written);
        match step {
            Some((_, true, Some(version))) if row.current_version < version => OLDER,
            _ => None,
        }
    }

    /// A secret that was written, not removed, and was not seen.
    pub(super) fn missing(&self) -> Option<String> {
        let missing = self
            .secrets
            .iter()
            .filter(|(_, said)| !said.seen && said.written.is_some() && said.written > said.purged);
        let first = missing.map(|(key, _)| key).min()?;
        Some(format!("secret {}/{}", first.0, first.1))
    }
}

/// The key of an engine's role that a row is about.
fn engine_role(row: &AuditRow) -> Option<String> {
    let (_, name) = row.secret_path.as_ref()?.as_str().rsplit_once("/creds/")?;
    Some(format!("{}/{name}", row.extra_data.subject.as_ref()?))
}

fn id<T: ToString>(id: &Option<T>) -> Option<String> {
    id.as_ref().map(ToString::to_string)
}

#[derive(Deserialize)]
struct SecretRow {
    current_version: u64,
    latest_version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    recoverable_until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct RotationRow {
    phase: String,
    phase_since: Timestamp,
}

#[derive(Deserialize)]
struct TokenRow {
    revoked_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct SecretIdRow {
    role: String,
    created_at: Timestamp,
}

#[derive(Deserialize)]
struct VersionRow {
    state: VersionState,
    readable_until: Option<Timestamp>,
    created_at: Timestamp,
}

#[derive(Deserialize)]
struct Made {
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct Updated {
    updated_at: Timestamp,
}
