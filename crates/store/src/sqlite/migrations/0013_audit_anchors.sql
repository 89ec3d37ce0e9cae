-- What remains of audit rows that retention removed from the front of a chain: the last of them. The
-- rows behind it hang on `head`; `code` is made over the row with the chain's key.
CREATE TABLE audit_anchor (
    chain      TEXT    NOT NULL PRIMARY KEY,
    first_seq  INTEGER NOT NULL,
    last_seq   INTEGER NOT NULL,
    head       BLOB    NOT NULL,
    mac        BLOB    NOT NULL,
    removed_at INTEGER NOT NULL,
    code       BLOB    NOT NULL
) STRICT;

-- Exports of the trail that somebody asked for.
CREATE TABLE audit_export (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    wake_at  INTEGER,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX audit_export_wake ON audit_export (wake_at) WHERE wake_at IS NOT NULL;
