//! Rows to store: whole, plausible, told apart by the name given. Revision 1, nothing claimed.

use scaivault_core::access::{AccessPolicy, Binding, Cidr, Permission, PolicyScope, Rule};
use scaivault_core::audit::{Action, AuditExtra, AuditRow};
use scaivault_core::audit_anchor::{AuditAnchor, AuditPrunable};
use scaivault_core::audit_export::{
    AuditExport, ExportFormat, ExportHead, ExportPart, ExportState,
};
use scaivault_core::audit_forward::AuditForward;
use scaivault_core::campaign::{Campaign, CampaignItem, CampaignState, Cause, ItemState, Mode};
use scaivault_core::consumer::ConsumerRead;
use scaivault_core::cubbyhole::{CubbyItem, Wrapping};
use scaivault_core::debt::{Debt, Owed};
use scaivault_core::delivery::{Delivery, DeliveryState, Receiver};
use scaivault_core::dynamic::{Engine, EngineKind, Lease, Revocation, Role as EngineRole};
use scaivault_core::event::{Event, EventType};
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::{Identity, Scope, Token, TokenBounds, TokenHash, Uses};
use scaivault_core::ids::{
    BindingId, CampaignId, DebtId, DeliveryId, EngineId, EventId, ExportId, KeyId, LeaseId,
    MachineRoleId, PartnerId, PolicyId, RotationId, RotationPolicyId, SecretIdAccessor,
    SecretPolicyId, SubscriptionId, TargetId, TenantId, TokenId, WebhookId,
};
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::mount::{KvRules, Mount, MountKind};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{Op, Unit, UnitName};
use scaivault_core::receiver::{DeliveryMode, Filters, Subscription, Webhook};
use scaivault_core::recipe::{Generator, HexConfig, PolicyType, RecipeField, SecretPolicy};
use scaivault_core::rotation::{
    Assignment, Attached, GroupTurn, Rotation, RotationPolicy, Rules, Trigger,
};
use scaivault_core::seal::{KeyPurpose, KeyRecord, KeyState, Sealed};
use scaivault_core::secret::{
    Metadata, SealedVersion, SecretHead, SecretType, Version, VersionState,
};
use scaivault_core::target::{Overlap, Target};
use scaivault_core::tenancy::{Partner, Role, Status, Tenant};
use scaivault_core::time::{Span, Timestamp};
use scaivault_core::transit::{TransitKey, TransitKind, TransitVersion};

/// The time of the samples.
pub const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

/// `secs` after [`T0`]; before it, when negative.
pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(T0.as_secs() + secs)
}

/// `tnt_<name>`
pub fn tenant(name: &str) -> TenantId {
    TenantId::parse(&format!("tnt_{name}")).expect("a tenant's name")
}

/// A secret's path.
pub fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).expect("a path")
}

/// A typed name.
pub fn identity(text: &str) -> Identity {
    Identity::parse(text).expect("a typed name")
}

/// A duration.
pub fn span(text: &str) -> Span {
    Span::parse(text).expect("a duration")
}

/// A secret with version 1 as the current one.
pub fn secret(owner: &TenantId, at_path: &str) -> SecretHead {
    SecretHead {
        tenant: owner.clone(),
        path: path(at_path),
        secret_type: SecretType::Json,
        metadata: Metadata {
            description: Some("für \"alle\"".into()),
            ..Metadata::default()
        },
        current_version: 1,
        latest_version: 1,
        max_versions: 10,
        created_at: T0,
        updated_at: T0,
        expires_at: None,
        secret_policy_id: None,
        recoverable_until: None,
        expiry: scaivault_core::expiry::Expiry::default(),
        versioning: scaivault_core::secret::Versioning::default(),
        revision: 1,
    }
}

/// A version's row, current.
pub fn version(owner: &TenantId, at_path: &str, number: u64) -> Version {
    Version {
        tenant: owner.clone(),
        path: path(at_path),
        version: number,
        state: VersionState::Current,
        readable_until: None,
        rotation_id: None,
        created_at: T0,
        created_by: identity("user:alice"),
        deletes_at: None,
        revision: 1,
    }
}

/// The same with a value, different for every version.
pub fn sealed(owner: &TenantId, at_path: &str, number: u64) -> SealedVersion {
    let value = format!("{owner}/{at_path}#{number}").into_bytes();
    SealedVersion {
        version: version(owner, at_path, number),
        sealed: Sealed(value),
    }
}

/// An access policy named `policy <id>`.
pub fn policy(owner: &TenantId, id: &str) -> AccessPolicy {
    let rule = Rule {
        path_pattern: PathPattern::parse("app/**").expect("a pattern"),
        permissions: [Permission::Read, Permission::List].into_iter().collect(),
        conditions: scaivault_core::access::Conditions::default(),
    };
    AccessPolicy {
        id: PolicyId::parse(&format!("pol_{id}")).expect("an id"),
        tenant: owner.clone(),
        name: format!("policy {id}"),
        description: None,
        rules: vec![rule],
        scopes: Some([Scope::SecretsRead].into_iter().collect()),
        scope: PolicyScope::Tenant,
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

/// A binding of `policy` to `who`.
pub fn binding(policy: &AccessPolicy, id: &str, who: &str) -> Binding {
    Binding {
        id: BindingId::parse(&format!("bnd_{id}")).expect("an id"),
        tenant: policy.tenant.clone(),
        policy_id: policy.id.clone(),
        identity: identity(who),
        expires_at: None,
        created_at: T0,
        revision: 1,
    }
}

/// A partner with a slug made of its id.
pub fn partner(id: &str) -> Partner {
    Partner {
        id: PartnerId::parse(&format!("ptn_{id}")).expect("an id"),
        name: format!("Partner {id}"),
        slug: format!("partner-{id}"),
        region: Some("eu-1".into()),
        status: Status::Active,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

/// A tenant of a partner with a slug made of its id.
pub fn tenant_row(of: &PartnerId, id: &str) -> Tenant {
    Tenant {
        id: tenant(id),
        partner: of.clone(),
        name: format!("Tenant {id}"),
        slug: format!("tenant-{id}"),
        region: None,
        own_status: Status::Active,
        partner_status: Status::Active,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

/// A token whose hash is made of its id.
pub fn token(owner: &TenantId, id: &str) -> Token {
    let mut hash = [0; 32];
    for (slot, byte) in hash.iter_mut().zip(format!("{owner}{id}").bytes().cycle()) {
        *slot = byte;
    }
    Token {
        id: TokenId::parse(&format!("tok_{id}")).expect("an id"),
        hash: TokenHash(hash),
        tenant: owner.clone(),
        identity: identity("sa:ci"),
        scopes: [Scope::SecretsRead].into_iter().collect(),
        is_root: false,
        roles: [Role::PartnerAdmin].into_iter().collect(),
        description: Some("for the build".into()),
        ttl_s: Some(3_600),
        expires_at: Some(at(3_600)),
        created_at: T0,
        created_by: identity("user:alice"),
        revoked_at: None,
        issuer: Some("https://issuer.example".into()),
        groups: vec![identity("group:builders")],
        bounds: Some(Box::new(TokenBounds {
            uses: Some(Uses { given: 5, left: 3 }),
            allowed_addresses: vec![Cidr::parse("192.0.2.0/24").expect("a range")],
            parent: Some(parent_token()),
            ancestors: vec![TokenHash([9; 32])],
            ended_at: None,
            ended_with_parent: true,
            max_expires_at: Some(at(7_200)),
            period_s: Some(60),
            machine_role: Some("role-1".into()),
            is_fixed: true,
            meta: [("team".to_owned(), "a".to_owned())].into(),
            wraps: true,
            limited_as: Some(identity("sa:maker")),
        })),
        wake_at: Some(at(3_600)),
        settled_at: None,
        revision: 1,
    }
}

/// The token that sample tokens were made with.
pub fn parent_token() -> TokenId {
    TokenId::parse("tok_parent").expect("an id")
}

/// A role named `role-<id>`.
pub fn machine_role(owner: &TenantId, id: &str) -> MachineRole {
    let ranges = || vec![Cidr::parse("192.0.2.0/24").expect("a range")];
    MachineRole {
        id: MachineRoleId::parse(&format!("rol_{owner}-{id}")).expect("an id"),
        tenant: owner.clone(),
        name: format!("role-{id}"),
        role_id: format!("{owner}-{id}"),
        description: Some("builds".into()),
        identity: identity("sa:ci"),
        scopes: [Scope::SecretsRead].into_iter().collect(),
        groups: vec![identity("group:builders")],
        bind_secret_id: true,
        password: None,
        secret_id_ttl: Some(span("10m")),
        secret_id_num_uses: Some(3),
        secret_id_bound_cidrs: ranges(),
        token_ttl: span("10m"),
        token_max_ttl: Some(span("1h")),
        token_period: None,
        token_num_uses: Some(9),
        token_bound_cidrs: ranges(),
        is_active: true,
        created_at: T0,
        created_by: identity("user:alice"),
        updated_at: T0,
        revision: 1,
    }
}

/// A secret id of a role, whose hash is made of its id.
pub fn secret_id(of: &MachineRole, id: &str) -> SecretId {
    let mut hash = [0; 32];
    let name = format!("{}{id}", of.tenant);
    for (slot, byte) in hash.iter_mut().zip(name.bytes().rev().cycle()) {
        *slot = byte;
    }
    SecretId {
        id: SecretIdAccessor::parse(&format!("sia_{id}")).expect("an id"),
        hash: TokenHash(hash),
        tenant: of.tenant.clone(),
        role: of.name.clone(),
        role_uid: of.id.clone(),
        metadata: [("host".to_owned(), "build-7".to_owned())].into(),
        uses: Some(Uses { given: 3, left: 2 }),
        bound_cidrs: vec![Cidr::parse("192.0.2.7").expect("an address")],
        token_bound_cidrs: Vec::new(),
        created_at: T0,
        created_by: identity("user:alice"),
        expires_at: Some(at(600)),
        last_used_at: None,
        revision: 1,
    }
}

/// A rotation policy named `rotation <id>`.
pub fn rotation_policy(owner: &TenantId, id: &str) -> RotationPolicy {
    RotationPolicy {
        id: RotationPolicyId::parse(&format!("rot_{id}")).expect("an id"),
        tenant: owner.clone(),
        name: format!("rotation {id}"),
        description: None,
        interval: span("90d"),
        grace_period: span("48h"),
        warn_before: vec![span("7d")],
        auto_generate: false,
        secret_policy_id: None,
        rules: scaivault_core::rotation::Rules::default(),
        calendar: scaivault_core::rotation::Calendar::default(),
        drift_check: Some(span("2h")),
        webhook_ids: Vec::new(),
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

/// A recipe named `recipe <id>`.
pub fn secret_policy(owner: &TenantId, id: &str) -> SecretPolicy {
    SecretPolicy {
        id: SecretPolicyId::parse(&format!("sp_{id}")).expect("an id"),
        tenant: owner.clone(),
        name: format!("recipe {id}"),
        description: Some("for tests".to_owned()),
        policy_type: PolicyType::ApiKey,
        fields: vec![RecipeField {
            name: "api_key".to_owned(),
            generator: Generator::Hex(HexConfig { length: 40 }),
        }],
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

/// A target named `target <id>`.
pub fn target(owner: &TenantId, id: &str) -> Target {
    Target {
        id: TargetId::parse(&format!("tgt_{id}")).expect("an id"),
        tenant: owner.clone(),
        name: format!("target {id}"),
        description: None,
        connector: "postgresql".to_owned(),
        settings: serde_json::Map::new(),
        manager_path: Some(path("db/manager")),
        created_at: T0,
        updated_at: T0,
        swept_at: None,
        revision: 1,
    }
}

/// Rotations of a target: the row says so.
pub fn at_target(mut row: Rotation, target: &Target) -> Rotation {
    let attached = Attached {
        target_id: target.id.clone(),
        target_name: target.name.clone(),
        overlap: Overlap::TwoUsers,
        account: serde_json::Map::new(),
        is_manager: false,
    };
    row = Rotation {
        wake_at: row.wake_at,
        ..row.clone().at_target(attached, Rules::default(), false, 7)
    };
    row
}

/// Whose turn it is in a group.
pub fn group_turn(owner: &TenantId, group: &str) -> GroupTurn {
    GroupTurn {
        tenant: owner.clone(),
        group: group.to_owned(),
        holder: RotationId::parse("rtn_1").expect("an id"),
        revision: 1,
    }
}

/// A campaign that wakes at `wake`.
pub fn campaign(owner: &TenantId, id: &str, wake: Option<Timestamp>) -> Campaign {
    Campaign {
        id: CampaignId::parse(&format!("cmp_{id}")).expect("an id"),
        tenant: owner.clone(),
        cause: Cause::Paths,
        token_id: None,
        token_revoked: false,
        note: Some("drill".into()),
        requested_by: identity("user:alice"),
        state: CampaignState::Running,
        items: vec![CampaignItem {
            path: path("s/1"),
            mode: Mode::Containment,
            versions: vec![1, 2],
            turn: None,
            state: ItemState::Waiting,
            rotation_id: None,
            began_at: None,
            ended_at: None,
            reason: None,
        }],
        webhook_ids: Vec::new(),
        opened_at: T0,
        moved_at: T0,
        finished_at: None,
        ended_by: None,
        wake_at: wake,
        revision: 1,
    }
}

/// A debt that wakes at `wake`.
pub fn debt(owner: &TenantId, id: &str, wake: Option<Timestamp>) -> Debt {
    let target = target(owner, "1");
    Debt {
        id: DebtId::parse(&format!("dbt_{id}")).expect("an id"),
        tenant: owner.clone(),
        target_id: target.id,
        target_name: target.name,
        owed: Owed::Account {
            account: serde_json::Map::new(),
            overlap: Overlap::TwoUsers,
            tag: "rtn_1".into(),
        },
        since: T0,
        attempts: 0,
        trouble: None,
        alerted: false,
        to_tell: false,
        accepted: false,
        told: false,
        held_until: None,
        wake_at: wake,
        revision: 1,
    }
}

/// An engine at the target of this name.
pub fn engine(owner: &TenantId, id: &str) -> Engine {
    Engine {
        id: EngineId::parse(&format!("eng_{id}")).expect("an id"),
        tenant: owner.clone(),
        name: format!("engine {id}"),
        description: None,
        kind: EngineKind::Database,
        plugin: "scripted".into(),
        target_id: Some(target(owner, id).id),
        default_ttl: span("1h"),
        max_ttl: span("24h"),
        created_at: T0,
        updated_at: T0,
        swept_at: None,
        sweep_held_until: None,
        owns_target: false,
        closed: false,
        connection: None,
        revision: 1,
    }
}

/// A role of an engine.
pub fn engine_role(engine: &Engine, name: &str) -> EngineRole {
    EngineRole {
        tenant: engine.tenant.clone(),
        engine_id: engine.id.clone(),
        name: name.to_owned(),
        creation_statements: vec!["CREATE USER {{name}}".into()],
        rollback_statements: Vec::new(),
        renew_statements: Vec::new(),
        revocation: Revocation::default(),
        username_template: None,
        settings: serde_json::Map::new(),
        default_ttl: None,
        max_ttl: Some(span("2h")),
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

/// A lease of `sa:ci` that is looked at at `wake`; without one it has ended.
pub fn lease(engine: &Engine, id: &str, wake: Option<Timestamp>) -> Lease {
    let role = engine_role(engine, "reader");
    let made = Lease::intended(
        LeaseId::parse(&format!("lse_{id}")).expect("an id"),
        engine.tenant.clone(),
        engine.id.clone(),
        (role.name.clone(), Revocation::default()),
        format!("v_reader_{id}"),
        (identity("sa:ci"), None),
        (None, role.terms(engine)),
        T0,
    );
    let confirmed = made.confirmed(None);
    match wake {
        Some(_) => Lease {
            wake_at: wake,
            revision: 1,
            ..confirmed
        },
        None => Lease {
            state: scaivault_core::dynamic::LeaseState::Revoked,
            revoked_at: Some(T0),
            wake_at: None,
            revision: 1,
            ..confirmed
        },
    }
}

/// A secret's assignment to a policy, waking at `wake`.
pub fn assignment(policy: &RotationPolicy, at_path: &str, wake: Option<Timestamp>) -> Assignment {
    let who = identity("user:alice");
    let mut made = Assignment::new(policy.tenant.clone(), path(at_path), policy, who, T0);
    made.wake_at = wake;
    made
}

/// A rotation under a policy, waking at `wake`.
pub fn rotation(
    policy: &RotationPolicy,
    id: &str,
    at_path: &str,
    wake: Option<Timestamp>,
) -> Rotation {
    let id = RotationId::parse(&format!("rtn_{id}")).expect("an id");
    let who = identity("system:rotation-scheduler");
    let mut made = Rotation::open(id, path(at_path), policy, Trigger::Schedule, who, 1, T0);
    made.wake_at = wake;
    made
}

/// A webhook.
pub fn webhook(owner: &TenantId, id: &str) -> Webhook {
    Webhook {
        id: WebhookId::parse(&format!("wh_{id}")).expect("an id"),
        tenant: owner.clone(),
        name: "deploy".into(),
        url: "https://hooks.example/x".into(),
        signing_secret: Sealed(vec![1, 2, 3]),
        previous_secret: Some((Sealed(vec![4]), at(60))),
        events: vec![EventType::SecretRotated],
        filters: Filters::default(),
        format: scaivault_core::receiver::Format::Scaivault,
        ordered: scaivault_core::receiver::DeliveryOrder::None,
        enabled: true,
        created_at: T0,
        created_by: identity("user:alice"),
        revision: 1,
    }
}

/// A polling subscription.
pub fn subscription(owner: &TenantId, id: &str) -> Subscription {
    Subscription {
        id: SubscriptionId::parse(&format!("sub_{id}")).expect("an id"),
        tenant: owner.clone(),
        identity: identity("sa:agent"),
        root_token: None,
        name: "feed".into(),
        paths: vec![PathPattern::parse("app/**").expect("a pattern")],
        events: vec![EventType::SecretRotated],
        filters: Filters::default(),
        delivery: DeliveryMode::Polling { buffer_size: 100 },
        ttl: None,
        last_read_at: None,
        created_at: T0,
        revision: 1,
    }
}

/// An event, about a secret when `at_path` is given.
pub fn event(owner: &TenantId, id: &str, at_path: Option<&str>) -> Event {
    Event {
        id: EventId::parse(&format!("evt_{id}")).expect("an id"),
        event_type: EventType::SecretRotated,
        at: T0,
        tenant: owner.clone(),
        identity: identity("user:alice"),
        path: at_path.map(path),
        data: serde_json::json!({"new_version": 2, "note": "ü"}),
        request_id: None,
        subject: None,
        rotation_id: None,
        also_to: Vec::new(),
    }
}

/// A pending delivery of the event at `position` to a receiver (`wh_…` or `sub_…`), due at `due`.
pub fn delivery(
    owner: &TenantId,
    id: &str,
    receiver: &str,
    position: u64,
    due: Option<Timestamp>,
) -> Delivery {
    let receiver = match WebhookId::parse(receiver) {
        Ok(webhook) => Receiver::Webhook(webhook),
        Err(_) => Receiver::Subscription(SubscriptionId::parse(receiver).expect("a receiver")),
    };
    Delivery {
        id: DeliveryId::parse(&format!("del_{id}")).expect("an id"),
        tenant: owner.clone(),
        receiver,
        event_id: EventId::parse(&format!("evt_{position}")).expect("an id"),
        event_position: position,
        event_type: EventType::SecretRotated,
        state: DeliveryState::Pending,
        attempts: 0,
        next_attempt_at: due,
        created_at: T0,
        last_attempt_at: None,
        response_code: None,
        error: None,
        duration_ms: None,
        lane: None,
        held: false,
        claimed_until: None,
        revision: 1,
    }
}

/// A wrapped key.
pub fn key(id: &str) -> KeyRecord {
    KeyRecord {
        id: KeyId::parse(&format!("key_{id}")).expect("an id"),
        purpose: KeyPurpose::Tenant,
        tenant: Some(tenant("a")),
        parent: "root".into(),
        wrapped: Sealed(vec![5; 60]),
        state: KeyState::Active,
        created_at: T0,
        revision: 1,
    }
}

/// An audit row of a read by `who`, `secs` after [`T0`].
pub fn audit(owner: &TenantId, secs: i64, who: &str, at_path: Option<&str>) -> AuditRow {
    AuditRow {
        timestamp: at(secs),
        tenant_id: owner.clone(),
        action: Action::Read,
        identity_type: identity(who).kind().as_str().into(),
        identity_id: who.into(),
        secret_path: at_path.map(path),
        source_ip: Some("192.0.2.7".into()),
        user_agent: Some("curl \"8\" \\ \u{1f510}".into()),
        success: true,
        duration_ms: 3,
        request_id: None,
        extra_data: AuditExtra::default(),
    }
}

/// A read of a version, for the ledger, `secs` after [`T0`].
pub fn read(owner: &TenantId, at_path: &str, number: u64, who: &str, secs: i64) -> ConsumerRead {
    ConsumerRead {
        tenant: owner.clone(),
        path: path(at_path),
        version: number,
        consumer: identity(who),
        at: at(secs),
        settled: false,
    }
}

/// The commit that removes these audit rows, `secs` after [`T0`], with the code that `code` makes
/// over the anchor.
pub fn pruning(found: AuditPrunable, secs: i64, code: impl Fn(&[u8]) -> [u8; 32]) -> Unit {
    let mut anchor = AuditAnchor {
        removed_at: at(secs),
        ..found.anchor
    };
    anchor.code = code(&anchor.message());
    let mut unit = Unit::new(UnitName::AuditPrune).op(Op::AuditPrune {
        anchor,
        after: found.after,
        index: found.index,
    });
    unit.audit.push(audit(&tenant("a"), secs, "user:x", None));
    unit
}

/// A mount.
pub fn mount(owner: &TenantId, id: &str) -> Mount {
    Mount {
        path: format!("kv-{id}/"),
        kind: MountKind::Kv1,
        description: "the team's".into(),
        accessor: format!("kv_{id}"),
        prefix: "team/".into(),
        is_view: true,
        rules: KvRules {
            max_versions: Some(7),
            cas_required: true,
            delete_after_s: Some(60),
        },
        default_lease_s: 60,
        max_lease_s: 3_600,
        is_off: true,
        created_at: T0,
        revision: 1,
        ..Mount::default_of(owner)
    }
}

/// A key that others use, which rotates by itself at `wake`.
pub fn transit_key(owner: &TenantId, name: &str, wake: Option<Timestamp>) -> TransitKey {
    TransitKey {
        tenant: owner.clone(),
        mount: "transit".into(),
        name: name.into(),
        kind: TransitKind::Ed25519,
        derived: true,
        convergent: false,
        exportable: true,
        plaintext_backup: true,
        deletion_allowed: true,
        key_bytes: 48,
        auto_rotate_s: 3_600,
        latest: 3,
        min_available: 2,
        min_decryption: 2,
        min_encryption: 3,
        versions: [2, 3]
            .map(|number| TransitVersion {
                number,
                created_at: T0,
                material: Sealed(vec![1, 2, 3]),
                public: Some("a key".into()),
            })
            .to_vec(),
        wake_at: wake,
        created_at: T0,
        revision: 1,
    }
}

/// What a token keeps at `at_path`.
pub fn cubby(of: &Token, at_path: &str) -> CubbyItem {
    CubbyItem {
        tenant: of.tenant.clone(),
        token_id: of.id.clone(),
        path: at_path.to_owned(),
        sealed: Sealed(vec![1, 2, 3]),
        wrapping: Some(Wrapping {
            creation_path: "secret/data/a".into(),
            ttl_s: 60,
        }),
        created_at: T0,
        revision: 1,
    }
}

/// An export that wakes at `wake`.
pub fn audit_export(owner: &TenantId, id: &str, wake: Option<Timestamp>) -> AuditExport {
    AuditExport {
        id: ExportId::parse(&format!("exp_{id}")).expect("an id"),
        tenant: owner.clone(),
        all_tenants: false,
        from: Some(at(1)),
        to: None,
        actions: vec![Action::Read],
        format: ExportFormat::Csv,
        requested_by: "user:alice".into(),
        state: ExportState::Running,
        created_at: T0,
        ended_at: None,
        heads: vec![ExportHead {
            chain: "abcdef".into(),
            last_seq: 7,
            head: "00".repeat(32),
        }],
        below: 8,
        parts: vec![ExportPart {
            name: "part-000001.csv".into(),
            rows: 2,
            bytes: 99,
            sha256: "11".repeat(32),
        }],
        attempts: 1,
        error: Some("the disk is full".into()),
        wake_at: wake,
        revision: 1,
    }
}

/// The place of a collector of logs, held by a node.
pub fn audit_forward(name: &str) -> AuditForward {
    AuditForward {
        name: name.to_owned(),
        heads: vec![ExportHead {
            chain: "abcdef".into(),
            last_seq: 7,
            head: "00".repeat(32),
        }],
        holder: Some("node-1".into()),
        held_until: Some(at(30)),
        revision: 1,
    }
}
