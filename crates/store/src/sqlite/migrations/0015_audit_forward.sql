-- How far the audit trail was handed over to collectors of logs.
CREATE TABLE audit_forward (
    name     TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    doc      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
