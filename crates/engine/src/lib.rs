//! The engine: everything the server does, without sockets.
//!
//! [`Vault`] holds the ports and the coherent caches. Each capability is a folder of `impl Vault`
//! blocks: `secrets`, `policies`, `tokens`, `rotation`, `receivers`, `delivery`, `audit`. Every
//! public operation takes a [`Caller`], asks the one decision point ([`Vault::authorize`] or
//! [`Vault::require`]), plans a unit of work from what it read, and commits it with its audit
//! row. Workers expose `run_once`; loops, timers and shutdown live in the server.
//!
//! To add a capability: a file here with its operations, a [`scaivault_core::ports::UnitName`]
//! for each commit it makes, an audit action, and a route in the server.

mod access;
mod acl;
mod audit;
mod audit_forward;
mod audit_retention;
mod cache;
mod caller;
mod campaigns;
mod cursor;
mod delivery;
mod dynamic;
mod error;
mod events;
mod expiry;
mod exports;
mod housekeeping;
mod issuers;
mod machines;
mod mounts;
mod neighbours;
mod policies;
mod receivers;
mod recipes;
mod rotation;
mod secrets;
mod settlement;
mod signals;
mod tally;
mod targets;
mod tenancy;
mod tokens;
mod transit;
mod vault;
mod wrap_count;
mod wrapping;

pub use access::AuthError;
pub use caller::{Caller, clean_user_agent};
pub use campaigns::{CampaignAct, CampaignDraft, CampaignView, Selector};
pub use cursor::TEXT_CHARS_MAX as CURSOR_CHARS_MAX;
pub use delivery::ClaimedDelivery;
pub use dynamic::{
    ConnectionWrite, CredentialRequest, DueLeases, EngineAt, EngineChange, EngineDraft,
    EngineHealth, Generated, RoleDraft, RoleWrite, StaticRole, StaticRoleWrite, StaticSchedule,
};
pub use error::{GoneVersion, Missing, VaultError};
pub use exports::ExportDraft;
pub use issuers::{
    CertificateShown, ExchangeError, ExchangeOffer, ExchangeRefused, ExchangeRequest, Issuers,
};
pub use machines::{
    GROUPS_MAX, LoginError, MachineLogin, MachineRoleChange, MachineRoleDraft, MintedSecretId,
    NAME_CHARS_MAX as MACHINE_NAME_CHARS_MAX, ROLE_ID_CHARS_MIN, SecretIdDraft, USER_PREFIX,
    UserLogin,
};
pub use mounts::{MountChange, MountDraft};
pub use neighbours::LOOK_EVERY;
pub use policies::{BindingDraft, PolicyDraft, PolicyTestOutcome, PolicyTestQuery, PolicyVerdict};
pub use receivers::{
    DeliveryDraft, ReplayRange, Replayed, SubscriptionChange, SubscriptionDraft, WebhookChange,
    WebhookDraft, WebhookTestOutcome,
};
pub use recipes::{Preview, PreviewField, SecretPolicyChange, SecretPolicyDraft};
pub use rotation::{
    Act, Attach, AttachTo, Attachment, ClaimedProbe, ClaimedRotation, DebtFigures, DueDebt,
    REASON_MAX, Reconciled, Reconciliation, Rehearsal, RehearsalStep, RotationPolicyChange,
    RotationPolicyDraft, RotationView, Stuck,
};
pub use secrets::{
    Acknowledgement, BATCH_BYTES_MAX, BATCH_PATHS_MAX, BatchOutcomes, BatchRead, BatchRefusal,
    Deleted, MetadataChange, MetadataPage, ReadSecret, SecretDetails, SecretPage, SecretQuery,
    SecretWrite, VERSIONS_MAX, VersionAct, Versions, Written, value_place,
};
pub use signals::Signals;
pub use tally::{Tally, TallyReading};
pub use targets::{TargetChange, TargetCheckQuery, TargetChecked, TargetDraft};
pub use tenancy::{
    ID_BODY_MAX, PartnerChange, PartnerDraft, TenantChange, TenantDraft, TenantQuery,
};
pub use tokens::{
    Bound, ChildDraft, Entered, Introspected, MintedToken, TokenDraft, TokenLimits, TokenRef,
};
pub use transit::{
    TransitAt, TransitCheck, TransitDataKey, TransitDraft, TransitEncrypt, TransitExport,
    TransitInput, TransitOpen, TransitOutcome, TransitPage, TransitSeal, TransitSigned,
};
pub use vault::{Vault, VaultPorts, default_tenant};
pub use wrap_count::WRAPPED_MAX;
pub use wrapping::Waiting;
