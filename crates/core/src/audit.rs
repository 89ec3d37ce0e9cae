//! Audit rows. The row is an allow-list: every field has a fixed meaning and none can hold a
//! value of a secret.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::audit_anchor::RemovedRows;
use crate::ids::{
    BindingId, CampaignId, DeliveryId, PartnerId, PolicyId, RequestId, RotationId,
    RotationPolicyId, SecretIdAccessor, SecretPolicyId, SubscriptionId, TargetId, TenantId,
    TokenId, WebhookId,
};
use crate::path::SecretPath;
use crate::time::Timestamp;

macro_rules! actions {
    ($($name:ident = $text:literal;)*) => {
        /// What was done or attempted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "the wire words beside them say it")]
        pub enum Action { $($name,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The wire word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Reads the wire word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

actions! {
    Read = "read";
    Write = "write";
    Delete = "delete";
    List = "list";
    Rotate = "rotate";
    ConsumerAck = "consumer_ack";
    PolicyCreate = "policy_create";
    PolicyUpdate = "policy_update";
    PolicyDelete = "policy_delete";
    PolicyBind = "policy_bind";
    PolicyUnbind = "policy_unbind";
    RotationPolicyCreate = "rotation_policy_create";
    RotationPolicyUpdate = "rotation_policy_update";
    RotationPolicyDelete = "rotation_policy_delete";
    SecretPolicyCreate = "secret_policy_create";
    SecretPolicyUpdate = "secret_policy_update";
    SecretPolicyDelete = "secret_policy_delete";
    SecretPolicyPreview = "secret_policy_preview";
    RotationAssign = "rotation_assign";
    RotationUnassign = "rotation_unassign";
    RotationStep = "rotation_step";
    TargetCreate = "target_create";
    TargetUpdate = "target_update";
    TargetDelete = "target_delete";
    TargetCheck = "target_check";
    CampaignCreate = "campaign_create";
    CampaignUpdate = "campaign_update";
    CampaignStep = "campaign_step";
    RotationRehearse = "rotation_rehearse";
    RotationSweep = "rotation_sweep";
    RotationDebt = "rotation_debt";
    RotationDebtRetry = "rotation_debt_retry";
    RotationDebtWriteOff = "rotation_debt_write_off";
    RotationDrift = "rotation_drift";
    TokenCreate = "token_create";
    TokenRenew = "token_renew";
    TokenRevoke = "token_revoke";
    TokenIntrospect = "token_introspect";
    TokenExchange = "token_exchange";
    TokenUse = "token_use";
    MachineLogin = "machine_login";
    MachineRoleCreate = "machine_role_create";
    MachineRoleUpdate = "machine_role_update";
    MachineRoleDelete = "machine_role_delete";
    SecretIdCreate = "secret_id_create";
    SecretIdLookup = "secret_id_lookup";
    SecretIdRevoke = "secret_id_revoke";
    WebhookCreate = "webhook_create";
    WebhookUpdate = "webhook_update";
    WebhookDelete = "webhook_delete";
    WebhookDelivery = "webhook_delivery";
    WebhookReplay = "webhook_replay";
    SubscriptionCreate = "subscription_create";
    SubscriptionUpdate = "subscription_update";
    SubscriptionDelete = "subscription_delete";
    SubscriptionEvent = "subscription_event";
    AuditQuery = "audit_query";
    AuditPrune = "audit_prune";
    ServerStart = "server_start";
    PartnerCreate = "partner_create";
    PartnerUpdate = "partner_update";
    TenantCreate = "tenant_create";
    TenantUpdate = "tenant_update";
    TenantSelect = "tenant_select";
    PkiIssue = "pki_issue";
    PkiSign = "pki_sign";
    PkiRevoke = "pki_revoke";
    PkiCaCreate = "pki_ca_create";
    DynamicGenerate = "dynamic_generate";
    DynamicRenew = "dynamic_renew";
    DynamicRevoke = "dynamic_revoke";
    DynamicEngineCreate = "dynamic_engine_create";
    DynamicEngineUpdate = "dynamic_engine_update";
    DynamicEngineDelete = "dynamic_engine_delete";
    DynamicRoleWrite = "dynamic_role_write";
    DynamicRoleDelete = "dynamic_role_delete";
    DynamicSweep = "dynamic_sweep";
    FederationSync = "federation_sync";
    IdentitySync = "identity_sync";
    ExportCreated = "export_created";
    ExportEnded = "export_ended";
    StoreReconcile = "store_reconcile";
    StoreResume = "store_resume";
    StoreSign = "store_sign";
    MountWrite = "mount_write";
    MountDelete = "mount_delete";
    Wrap = "wrap";
    Unwrap = "unwrap";
    Cubbyhole = "cubbyhole";
    TransitUse = "transit_use";
    TransitKeyCreate = "transit_key_create";
    TransitKeyUpdate = "transit_key_update";
    TransitKeyRotate = "transit_key_rotate";
    TransitKeyDelete = "transit_key_delete";
    TransitKeyExport = "transit_key_export";
}

/// One row. Its JSON form, behind its id, is what the hash chain covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When it was decided.
    pub timestamp: Timestamp,
    /// In which tenant.
    pub tenant_id: TenantId,
    /// What.
    pub action: Action,
    /// `user`, `service_account` or `system`.
    pub identity_type: Cow<'static, str>,
    /// Who.
    pub identity_id: String,
    /// On which secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_path: Option<SecretPath>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// With what, as the client says: printable ASCII, cut to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Whether it was allowed and done.
    pub success: bool,
    /// From the request's arrival to this row.
    pub duration_ms: u64,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// More, by action.
    #[serde(default, skip_serializing_if = "AuditExtra::is_empty")]
    pub extra_data: AuditExtra,
}

/// The further facts a row may carry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditExtra {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_version: Option<u64>,
    /// The error code the caller got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_rotation: Option<bool>,
    /// Whether a consumer works with the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permanent: Option<bool>,
    /// Only metadata or settings changed, not the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<PolicyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding_id: Option<BindingId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// The role a machine logged in by, or that was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_role: Option<String>,
    /// Which secret id, by its record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id_accessor: Option<SecretIdAccessor>,
    /// Who vouched for the identity: an issuer's URL, or `client_certificate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// SHA-256 of the client certificate that the caller came with, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_policy_id: Option<RotationPolicyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_policy_id: Option<SecretPolicyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_id: Option<RotationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<TargetId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<CampaignId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<WebhookId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<SubscriptionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<DeliveryId>,
    /// Why, in an operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_code: Option<u16>,
    /// The tenant the caller's token belongs to, when the act was done in another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home_tenant_id: Option<TenantId>,
    /// The partner whose own secret or policy it was, or that was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partner_id: Option<PartnerId>,
    /// The tenant that was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_tenant_id: Option<TenantId>,
    /// What became of a partner or tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The first and the last of rows that were removed from the trail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_row_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_row_id: Option<String>,
    /// The chain's hash after them, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_head: Option<String>,
}

impl AuditExtra {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A row with the id its place in the chain gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAuditRow {
    /// `log_…`
    pub id: String,
    /// Place in the chain, from 1.
    pub seq: u64,
    /// The row.
    pub row: AuditRow,
}

/// What a query asks for. Empty fields do not narrow.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditFilter {
    pub tenant: Option<TenantId>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub actions: Vec<Action>,
    pub identity_id: Option<String>,
    pub identity_type: Option<String>,
    pub path: Option<SecretPath>,
    pub path_prefix: Option<String>,
    pub success: Option<bool>,
    pub source_ip: Option<String>,
    pub request_id: Option<String>,
}

impl AuditFilter {
    /// Whether the row is asked for.
    pub fn wants(&self, row: &AuditRow) -> bool {
        fn same(want: Option<&String>, have: Option<&str>) -> bool {
            want.is_none_or(|want| have == Some(want.as_str()))
        }
        let path = row.secret_path.as_ref().map(SecretPath::as_str);
        self.tenant
            .as_ref()
            .is_none_or(|tenant| *tenant == row.tenant_id)
            && self.from.is_none_or(|from| row.timestamp >= from)
            && self.to.is_none_or(|to| row.timestamp < to)
            && (self.actions.is_empty() || self.actions.contains(&row.action))
            && same(self.identity_id.as_ref(), Some(&row.identity_id))
            && same(
                self.identity_type.as_ref(),
                Some(row.identity_type.as_ref()),
            )
            && self
                .path
                .as_ref()
                .is_none_or(|want| path == Some(want.as_str()))
            && self
                .path_prefix
                .as_ref()
                .is_none_or(|prefix| path.is_some_and(|path| path.starts_with(prefix.as_str())))
            && self.success.is_none_or(|want| want == row.success)
            && same(self.source_ip.as_ref(), row.source_ip.as_deref())
            && same(
                self.request_id.as_ref(),
                row.request_id.as_ref().map(RequestId::as_str),
            )
    }
}

/// What the verifier found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Rows read and found whole.
    pub rows: u64,
    /// Hash after the last good row, hex.
    pub head: String,
    /// The first row that does not fit.
    pub first_bad: Option<BadRow>,
    /// What retention removed, by chain.
    pub removed: Vec<RemovedRows>,
}

/// The first row that does not fit the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its id, or the id that is missing.
    pub id: String,
    /// What is wrong: `edited`, `missing`, `inserted`, `reordered`, `truncated`, …
    pub reason: String,
}
