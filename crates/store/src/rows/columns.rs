//! What a row's columns must say, by its document: rows are found by them. Times at which work is
//! due are left out: they say when something is done, not what, and claims write some of them alone.

use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::debt::Debt;
use scaivault_core::delivery::Delivery;
use scaivault_core::dynamic::{Engine, Lease};
use scaivault_core::event::Event;
use scaivault_core::identity::Token;
use scaivault_core::ids::{SecretPolicyId, TargetId, TokenId};
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::path::SecretPath;
use scaivault_core::recipe::SecretPolicy;
use scaivault_core::rotation::{Assignment, Rotation, RotationPolicy};
use scaivault_core::secret::SecretHead;
use scaivault_core::target::Target;
use scaivault_core::tenancy::{Partner, Tenant};
use scaivault_core::time::Timestamp;
use serde::de::DeserializeOwned;

use crate::transfer::{Row, Table, Value};

/// A column's name and what it must hold.
type Column = (&'static str, Value);

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn maybe(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

fn time(value: Option<Timestamp>) -> Value {
    value.map_or(Value::Null, |at| Value::Int(at.as_micros()))
}

fn number(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn flag(value: bool) -> Value {
    Value::Int(i64::from(value))
}

fn read<T: DeserializeOwned>(
    text: &str,
    columns: impl FnOnce(T) -> Vec<Column>,
) -> Option<Vec<Column>> {
    serde_json::from_str(text).ok().map(columns)
}

/// The column that does not say what the document says; `"doc"` where that does not decode.
pub(super) fn differs(table: &Table, row: &Row) -> Option<&'static str> {
    let Some(expected) = expected(table, row[table.at("doc")].text()) else {
        return Some("doc");
    };
    let differs = |(name, value): &Column| row[table.at(name)] != *value;
    expected
        .iter()
        .find(|column| differs(column))
        .map(|(name, _)| *name)
}

/// Nothing for tables whose columns are the key, a number and times.
fn expected(table: &Table, doc: &str) -> Option<Vec<Column>> {
    match table.name {
        "partner" => read(doc, |row: Partner| {
            vec![
                ("revision", number(row.revision)),
                ("slug", text(&row.slug)),
                ("status", text(row.status.as_str())),
            ]
        }),
        "tenant" => read(doc, |row: Tenant| {
            vec![
                ("revision", number(row.revision)),
                ("partner", text(row.partner.as_str())),
                ("slug", text(&row.slug)),
                ("is_suspended", flag(row.is_suspended())),
            ]
        }),
        "secret" => read(doc, |row: SecretHead| {
            let policy = row.secret_policy_id.as_ref().map(SecretPolicyId::as_str);
            vec![
                ("revision", number(row.revision)),
                ("secret_type", text(row.secret_type.as_str())),
                ("current_version", number(row.current_version)),
                ("expires_at", time(row.expires_at)),
                ("recoverable_until", time(row.recoverable_until)),
                ("secret_policy_id", maybe(policy)),
            ]
        }),
        "policy" => read(doc, |row: AccessPolicy| {
            named(row.revision, &row.name, row.is_active)
        }),
        "secret_policy" => read(doc, |row: SecretPolicy| {
            named(row.revision, &row.name, row.is_active)
        }),
        "rotation_policy" => read(doc, |row: RotationPolicy| {
            let policy = row.secret_policy_id.as_ref().map(SecretPolicyId::as_str);
            let mut columns = named(row.revision, &row.name, row.is_active);
            columns.push(("secret_policy_id", maybe(policy)));
            columns
        }),
        "binding" => read(doc, |row: Binding| {
            vec![
                ("revision", number(row.revision)),
                ("policy_id", text(row.policy_id.as_str())),
                ("identity", text(row.identity.as_str())),
            ]
        }),
        "token" => read(doc, |row: Token| {
            vec![
                ("revision", number(row.revision)),
                ("hash", Value::Bytes(row.hash.0.to_vec())),
                ("parent", maybe(row.living_parent().map(TokenId::as_str))),
            ]
        }),
        "machine_role" => read(doc, |row: MachineRole| {
            vec![
                ("revision", number(row.revision)),
                ("role_id", text(&row.role_id)),
            ]
        }),
        "secret_id" => read(doc, |row: SecretId| {
            vec![
                ("revision", number(row.revision)),
                ("hash", Value::Bytes(row.hash.0.to_vec())),
                ("role", text(&row.role)),
                ("expires_at", time(row.expires_at)),
            ]
        }),
        "target" => read(doc, |row: Target| {
            let manager = row.manager_path.as_ref().map(SecretPath::as_str);
            vec![
                ("revision", number(row.revision)),
                ("name", text(&row.name)),
                ("manager_path", maybe(manager)),
            ]
        }),
        "engine" => read(doc, |row: Engine| {
            vec![
                ("revision", number(row.revision)),
                ("name", text(&row.name)),
            ]
        }),
        _ => of_work(table, doc),
    }
}

fn named(revision: u64, name: &str, is_active: bool) -> Vec<Column> {
    vec![
        ("revision", number(revision)),
        ("name", text(name)),
        ("is_active", flag(is_active)),
    ]
}

fn of_work(table: &Table, doc: &str) -> Option<Vec<Column>> {
    match table.name {
        "assignment" => read(doc, |row: Assignment| {
            let target = row.attached.as_ref().map(|at| at.target_id.as_str());
            let group = row.turn.as_ref().map(|turn| turn.group.as_str());
            vec![
                ("policy_id", text(row.policy_id.as_str())),
                ("target_id", maybe(target)),
                ("turn_group", maybe(group)),
            ]
        }),
        "rotation" => read(doc, |row: Rotation| {
            let group = row.turn.as_ref().map(|turn| turn.group.as_str());
            vec![
                ("path", text(row.path.as_str())),
                ("policy_id", text(row.policy_id.as_str())),
                ("phase", text(row.phase.as_str())),
                ("target_id", maybe(row.target_id().map(TargetId::as_str))),
                ("turn_group", maybe(group)),
            ]
        }),
        "debt" => read(doc, |row: Debt| {
            vec![
                ("revision", number(row.revision)),
                ("path", maybe(row.owed.path().map(SecretPath::as_str))),
                ("target_id", text(row.target_id.as_str())),
            ]
        }),
        "lease" => read(doc, |row: Lease| {
            vec![
                ("revision", number(row.revision)),
                ("engine_id", text(row.engine_id.as_str())),
                ("role", text(&row.role)),
                ("account", text(&row.account)),
                ("holder", text(row.holder.as_str())),
                (
                    "token_id",
                    maybe(row.token_id.as_ref().map(TokenId::as_str)),
                ),
                ("state", text(row.state.as_str())),
            ]
        }),
        "delivery" => read(doc, |row: Delivery| {
            vec![
                ("receiver", text(row.receiver.as_str())),
                ("event_position", number(row.event_position)),
                ("state", text(row.state.as_str())),
                ("lane", maybe(row.lane.as_deref())),
            ]
        }),
        "event" => read(doc, |row: Event| vec![("at", time(Some(row.at)))]),
        // Their number is all that could differ.
        _ => read(doc, |row: Numbered| {
            vec![("revision", number(row.revision))]
        }),
    }
}

#[derive(serde::Deserialize)]
struct Numbered {
    revision: u64,
}
