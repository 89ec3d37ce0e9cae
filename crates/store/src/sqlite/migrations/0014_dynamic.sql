-- Engines that make credentials on request, their roles, and leases of what they made.
CREATE TABLE engine (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    doc      TEXT    NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX engine_name ON engine (tenant, name);

CREATE TABLE engine_role (
    tenant    TEXT    NOT NULL,
    engine_id TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    doc       TEXT    NOT NULL,
    PRIMARY KEY (tenant, engine_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    tenant        TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    revision      INTEGER NOT NULL,
    engine_id     TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    account       TEXT    NOT NULL,
    holder        TEXT    NOT NULL,
    token_id      TEXT,
    state         TEXT    NOT NULL,
    wake_at       INTEGER,
    failing_since INTEGER,
    revoked_at    INTEGER,
    doc           TEXT    NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_due ON lease (engine_id, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_wake ON lease (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_state ON lease (state) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_role ON lease (tenant, engine_id, role, id);
CREATE INDEX lease_account ON lease (tenant, engine_id, account) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_token ON lease (tenant, token_id, id)
    WHERE wake_at IS NOT NULL AND token_id IS NOT NULL;
CREATE INDEX lease_failing ON lease (failing_since) WHERE failing_since IS NOT NULL;
CREATE INDEX lease_ended ON lease (revoked_at) WHERE revoked_at IS NOT NULL;
