//! Everything the engine needs from outside, as traits: time, randomness, storage, delivery.
//! Core and engine know nothing else of the world, so the whole of them runs under simulation.

mod accounts;
mod changes;
mod clock;
mod connector;
mod courier;
mod documents;
mod dynamic;
mod entropy;
mod export_sink;
mod marks;
mod mounts;
mod store;
mod transit;
mod unit;

pub use accounts::{AccountCall, AccountRequest, Accounts, NewAccount, OldAccount};
pub use changes::{ChangeFeed, Changes};
pub use clock::Clock;
pub use connector::{
    Call, Candidate, Check, Connector, Connectors, Descriptor, Effect, FieldProblem, Login,
    Missing, NewField, Reach, Refusal, Residue, Sessions,
};
pub use courier::{Courier, Parcel};
pub use documents::{Documents, FetchError};
pub use dynamic::{DynamicReads, LeaseFigures, LeaseFilter, LeaseToken};
pub use entropy::Entropy;
pub use export_sink::ExportSink;
pub use marks::{MarkReads, StoreMarks};
pub use mounts::MountReads;
pub use store::{
    AssignmentReads, AuditPage, AuditReads, AuditSummary, Claims, ConsumerReads, DeliveryReads,
    DeliveryStats, EventReads, Ground, KeyReads, MachineReads, NextWork, PolicyReads, Read,
    ReadError, ReceiverReads, RotationFigures, RotationFilter, RotationPolicyReads, RotationReads,
    RunReads, SecretFilter, SecretPolicyReads, SecretReads, Served, Store, StoreHealth,
    TargetReads, TenancyReads, TenantFilter, TokenReads,
};
pub use transit::TransitReads;
pub use unit::{CommitError, Committed, Op, Record, RecordKind, Unit, UnitName};
