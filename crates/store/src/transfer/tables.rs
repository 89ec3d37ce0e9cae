//! What is moved: the tables that both engines have, and the columns that mean the same in both.
//! What can be derived (indexes, queues of deliveries) is made anew by the destination.

/// The type of a column. Any but those of the key may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Text,
    Int,
    Flag,
    Bytes,
}

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// So many of the first columns are the key.
    pub key: usize,
    /// Name and type, in the order of a row's values.
    pub columns: &'static [(&'static str, Kind)],
    /// Columns that are unique beside the key.
    pub unique: &'static [&'static str],
    /// Rows moved at a time.
    pub page: usize,
}

use Kind::{Bytes as B, Flag as F, Int as I, Text as T};

const fn table(name: &'static str, key: usize, columns: &'static [(&'static str, Kind)]) -> Table {
    Table {
        name,
        key,
        columns,
        unique: &[],
        page: 1_000,
    }
}

const fn unique(mut table: Table, columns: &'static [&'static str]) -> Table {
    table.unique = columns;
    table
}

/// All tables but those of the audit trail, in the order they are moved in.
#[rustfmt::skip]
pub const TABLES: &[Table] = &[
    table("keyring", 1, &[("id", T), ("revision", I), ("doc", T)]),
    unique(table("partner", 1, &[
        ("id", T), ("revision", I), ("slug", T), ("status", T), ("doc", T),
    ]), &["slug"]),
    unique(table("tenant", 1, &[
        ("id", T), ("revision", I), ("partner", T), ("slug", T), ("is_suspended", F), ("doc", T),
    ]), &["partner", "slug"]),
    table("secret", 2, &[
        ("tenant", T), ("path", T), ("revision", I), ("secret_type", T), ("current_version", I),
        ("expires_at", I), ("recoverable_until", I), ("secret_policy_id", T), ("doc", T),
        ("notice_at", I),
    ]),
    table("secret_tag", 3, &[("tenant", T), ("path", T), ("tag", T)]),
    // Fewer at a time: values may be large.
    Table { page: 64, ..table("version", 3, &[
        ("tenant", T), ("path", T), ("version", I), ("revision", I), ("doc", T), ("sealed", B),
    ])},
    unique(table("policy", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("name", T), ("is_active", F), ("doc", T),
    ]), &["tenant", "name"]),
    table("binding", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("policy_id", T), ("identity", T), ("doc", T),
    ]),
    unique(table("token", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("hash", B), ("doc", T), ("parent", T),
        ("wake_at", I),
    ]), &["hash"]),
    unique(table("machine_role", 2, &[
        ("tenant", T), ("name", T), ("revision", I), ("role_id", T), ("doc", T),
    ]), &["role_id"]),
    unique(table("secret_id", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("hash", B), ("role", T), ("expires_at", I),
        ("doc", T),
    ]), &["hash"]),
    unique(table("rotation_policy", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("name", T), ("is_active", F),
        ("secret_policy_id", T), ("doc", T),
    ]), &["tenant", "name"]),
    unique(table("secret_policy", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("name", T), ("is_active", F), ("doc", T),
    ]), &["tenant", "name"]),
    unique(table("target", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("name", T), ("manager_path", T), ("doc", T),
    ]), &["tenant", "name"]),
    table("assignment", 2, &[
        ("tenant", T), ("path", T), ("revision", I), ("policy_id", T), ("next_rotation_at", I),
        ("wake_at", I), ("claimed_until", I), ("target_id", T), ("turn_group", T),
        ("probe_at", I), ("drift", T), ("doc", T),
    ]),
    table("rotation", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("path", T), ("policy_id", T), ("phase", T),
        ("wake_at", I), ("claimed_until", I), ("target_id", T), ("turn_group", T),
        ("overdue_at", I), ("is_delayed", F), ("doc", T),
    ]),
    table("group_turn", 2, &[("tenant", T), ("name", T), ("revision", I), ("doc", T)]),
    table("campaign", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("wake_at", I), ("doc", T),
    ]),
    table("audit_export", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("wake_at", I), ("doc", T),
    ]),
    table("audit_forward", 1, &[("name", T), ("revision", I), ("doc", T)]),
    table("debt", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("wake_at", I), ("path", T), ("target_id", T),
        ("doc", T),
    ]),
    unique(table("engine", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("name", T), ("doc", T),
    ]), &["tenant", "name"]),
    table("engine_role", 3, &[
        ("tenant", T), ("engine_id", T), ("name", T), ("revision", I), ("doc", T),
    ]),
    table("lease", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("engine_id", T), ("role", T), ("account", T),
        ("holder", T), ("token_id", T), ("state", T), ("wake_at", I), ("failing_since", I),
        ("revoked_at", I), ("doc", T),
    ]),
    table("mount", 2, &[("tenant", T), ("path", T), ("revision", I), ("doc", T)]),
    table("cubby", 3, &[
        ("tenant", T), ("token_id", T), ("path", T), ("revision", I), ("doc", T),
    ]),
    table("transit_key", 3, &[
        ("tenant", T), ("mount", T), ("name", T), ("revision", I), ("wake_at", I), ("doc", T),
    ]),
    table("webhook", 2, &[("tenant", T), ("id", T), ("revision", I), ("doc", T)]),
    table("subscription", 2, &[("tenant", T), ("id", T), ("revision", I), ("doc", T)]),
    unique(table("event", 1, &[
        ("position", I), ("tenant", T), ("id", T), ("sequence", I), ("at", I), ("doc", T),
    ]), &["tenant", "id"]),
    table("event_sequence", 2, &[("tenant", T), ("path", T), ("last", I)]),
    table("delivery", 2, &[
        ("tenant", T), ("id", T), ("revision", I), ("receiver", T), ("event_position", I),
        ("state", T), ("due_at", I), ("claimed_until", I), ("created_at", I),
        ("duration_ms", I), ("doc", T), ("lane", T),
    ]),
    table("receiver_dropped", 1, &[("receiver", T), ("dropped", I)]),
    table("consumer", 4, &[
        ("tenant", T), ("path", T), ("version", I), ("consumer", T), ("first_read_at", I),
        ("last_read_at", I), ("applied_at", I), ("failed_at", I), ("detail", T),
    ]),
];

impl Table {
    /// The table of this name. Names are constants: a wrong one is a mistake in the program.
    pub fn named(name: &str) -> &'static Self {
        TABLES
            .iter()
            .find(|table| table.name == name)
            .unwrap_or_else(|| unreachable!("no table {name}"))
    }

    /// Where a column is.
    pub fn at(&self, column: &str) -> usize {
        self.columns
            .iter()
            .position(|(name, _)| *name == column)
            .unwrap_or_else(|| unreachable!("no column {column} in {}", self.name))
    }

    /// Names of all columns.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// Names of the key's columns, with commas.
    pub fn key_names(&self) -> String {
        let names: Vec<_> = self.names().take(self.key).collect();
        names.join(", ")
    }

    /// The key of a row.
    pub fn key_of<'a>(&self, row: &'a [super::Value]) -> &'a [super::Value] {
        &row[..self.key]
    }
}
