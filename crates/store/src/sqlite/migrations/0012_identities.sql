-- Tokens end with the one they were made with, and somebody sees to what follows from an end.
ALTER TABLE token ADD COLUMN parent TEXT;
ALTER TABLE token ADD COLUMN wake_at INTEGER;
UPDATE token SET wake_at = json_extract(doc, '$.expires_at')
    WHERE json_extract(doc, '$.revoked_at') IS NULL;
CREATE INDEX token_of_parent ON token (tenant, parent, id) WHERE parent IS NOT NULL;
CREATE INDEX token_wake ON token (wake_at) WHERE wake_at IS NOT NULL;

-- Roles that machines log in by, and their secret ids.
CREATE TABLE machine_role (
    tenant   TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    role_id  TEXT    NOT NULL UNIQUE,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE secret_id (
    tenant     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    revision   INTEGER NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    expires_at INTEGER,
    doc        TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX secret_id_of_role ON secret_id (tenant, role, id);
CREATE INDEX secret_id_end ON secret_id (expires_at) WHERE expires_at IS NOT NULL;
