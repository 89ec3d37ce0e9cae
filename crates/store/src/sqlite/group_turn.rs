//! Turns of groups.

use scaivault_core::ids::TenantId;
use scaivault_core::ports::RecordKind;
use scaivault_core::rotation::GroupTurn;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, int, write};
use crate::refusal::Refusal;

const TABLE: &str = "group_turn";

pub(crate) fn put(conn: &Conn, turn: &GroupTurn, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        turn.revision,
        "INSERT INTO group_turn (tenant, name, revision, doc) VALUES (?1, ?2, ?3, ?4)",
        "UPDATE group_turn SET revision = ?3, doc = ?4
         WHERE tenant = ?1 AND name = ?2 AND revision = ?3 - 1",
        (turn.tenant.as_str(), &turn.group, int(turn.revision), json),
    )?
    .or_conflict(RecordKind::GroupTurn)
}

pub(crate) fn delete(conn: &Conn, turn: &GroupTurn) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::GroupTurn,
        "DELETE FROM group_turn WHERE tenant = ?1 AND name = ?2 AND revision = ?3",
        (turn.tenant.as_str(), &turn.group, int(turn.revision)),
    )
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, group: &str) -> Read<Option<GroupTurn>> {
    let sql = "SELECT tenant, name, doc FROM group_turn WHERE tenant = ?1 AND name = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), group))
}
