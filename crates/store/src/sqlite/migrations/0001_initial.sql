-- Revision 1. Every aggregate is one table: its key and the columns it is searched by as real
-- columns, the whole record as JSON in `doc`. Times are microseconds since the epoch, UTC.
-- Rows above some 200 bytes live in ordinary tables (with a unique index): in a WITHOUT ROWID
-- table they would fill the inner pages of the tree and make it deep.

-- Numbers of the store itself: `fan_out` (the mark in the outbox), `audit_indexed` (the audit
-- index covers the segments up to this row).
CREATE TABLE meta (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('fan_out', 0), ('audit_indexed', 0);

-- One row, written by every transaction: its number, and the end of the audit chain.
CREATE TABLE store_head (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    chain     TEXT    NOT NULL,
    batch     INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    head      BLOB    NOT NULL,
    mac       BLOB    NOT NULL
) STRICT;

CREATE TABLE secret (
    tenant            TEXT    NOT NULL,
    path              TEXT    NOT NULL,
    revision          INTEGER NOT NULL,
    secret_type       TEXT    NOT NULL,
    current_version   INTEGER NOT NULL,
    expires_at        INTEGER,
    recoverable_until INTEGER,
    doc               TEXT    NOT NULL,
    UNIQUE (tenant, path)
) STRICT;
CREATE INDEX secret_expires ON secret (tenant, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX secret_deleted ON secret (recoverable_until, tenant) WHERE recoverable_until IS NOT NULL;

CREATE TABLE secret_tag (
    tenant TEXT NOT NULL,
    path   TEXT NOT NULL,
    tag    TEXT NOT NULL,
    PRIMARY KEY (tenant, path, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_tag_path ON secret_tag (tenant, tag, path);

CREATE TABLE version (
    tenant   TEXT    NOT NULL,
    path     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    doc      TEXT    NOT NULL,
    sealed   BLOB    NOT NULL,
    UNIQUE (tenant, path, version)
) STRICT;

CREATE TABLE policy (
    tenant    TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    is_active INTEGER NOT NULL,
    doc       TEXT    NOT NULL,
    UNIQUE (tenant, id),
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE binding (
    tenant    TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    policy_id TEXT    NOT NULL,
    identity  TEXT    NOT NULL,
    doc       TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX binding_policy ON binding (tenant, policy_id, id);
CREATE INDEX binding_identity ON binding (tenant, identity);

CREATE TABLE token (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    hash     BLOB    NOT NULL UNIQUE,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;

CREATE TABLE rotation_policy (
    tenant    TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    is_active INTEGER NOT NULL,
    doc       TEXT    NOT NULL,
    UNIQUE (tenant, id),
    UNIQUE (tenant, name)
) STRICT;

-- Due work: `*_wake` finds it in the order it became due, stepping over what is claimed without
-- touching the rows; `*_held` holds the claimed rows only, a handful, for the next wake-up time.
CREATE TABLE assignment (
    tenant           TEXT    NOT NULL,
    path             TEXT    NOT NULL,
    revision         INTEGER NOT NULL,
    policy_id        TEXT    NOT NULL,
    next_rotation_at INTEGER NOT NULL,
    wake_at          INTEGER,
    claimed_until    INTEGER,
    doc              TEXT    NOT NULL,
    UNIQUE (tenant, path)
) STRICT;
CREATE INDEX assignment_policy ON assignment (tenant, policy_id, path);
CREATE INDEX assignment_due ON assignment (tenant, next_rotation_at);
CREATE INDEX assignment_wake ON assignment (wake_at, claimed_until) WHERE wake_at IS NOT NULL;
CREATE INDEX assignment_held ON assignment (claimed_until, wake_at)
    WHERE claimed_until IS NOT NULL AND wake_at IS NOT NULL;

CREATE TABLE rotation (
    tenant        TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    revision      INTEGER NOT NULL,
    path          TEXT    NOT NULL,
    policy_id     TEXT    NOT NULL,
    phase         TEXT    NOT NULL,
    wake_at       INTEGER,
    claimed_until INTEGER,
    doc           TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX rotation_path ON rotation (tenant, path, id);
CREATE INDEX rotation_policy_id ON rotation (tenant, policy_id, id);
CREATE INDEX rotation_wake ON rotation (wake_at, claimed_until) WHERE wake_at IS NOT NULL;
CREATE INDEX rotation_held ON rotation (claimed_until, wake_at)
    WHERE claimed_until IS NOT NULL AND wake_at IS NOT NULL;

CREATE TABLE webhook (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;

CREATE TABLE subscription (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;

-- AUTOINCREMENT: a position is never used twice, even when the newest events were pruned.
CREATE TABLE event (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX event_at ON event (at);

-- Outlives events and secrets: a sequence never starts over.
CREATE TABLE event_sequence (
    tenant TEXT    NOT NULL,
    path   TEXT    NOT NULL,
    last   INTEGER NOT NULL,
    PRIMARY KEY (tenant, path)
) STRICT, WITHOUT ROWID;

-- `due_at` is the next attempt of a pending delivery, NULL for all others and for polling.
CREATE TABLE delivery (
    row_id         INTEGER PRIMARY KEY,
    tenant         TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    revision       INTEGER NOT NULL,
    receiver       TEXT    NOT NULL,
    event_position INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    due_at         INTEGER,
    claimed_until  INTEGER,
    created_at     INTEGER NOT NULL,
    duration_ms    INTEGER,
    doc            TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX delivery_list ON delivery (tenant, receiver, id);
CREATE INDEX delivery_stats ON delivery (tenant, receiver, created_at, state, duration_ms);
CREATE INDEX delivery_pending ON delivery (receiver, event_position, due_at) WHERE state = 'pending';
CREATE INDEX delivery_event ON delivery (event_position, state);
CREATE INDEX delivery_wake ON delivery (due_at, claimed_until) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_held ON delivery (receiver, claimed_until, due_at)
    WHERE claimed_until IS NOT NULL AND due_at IS NOT NULL;

-- Every delivery with a next attempt is in exactly one of these two: waiting for a time, or
-- ready, in its receiver's order. A claim moves what has become ready from one to the other, so
-- a receiver with a hundred thousand rows costs no more to serve than one with a single row.
CREATE TABLE delivery_waiting (
    free_at        INTEGER NOT NULL,
    row_id         INTEGER NOT NULL,
    receiver       TEXT    NOT NULL,
    event_position INTEGER NOT NULL,
    PRIMARY KEY (free_at, row_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery_ready (
    receiver       TEXT    NOT NULL,
    event_position INTEGER NOT NULL,
    row_id         INTEGER NOT NULL,
    free_at        INTEGER NOT NULL,
    PRIMARY KEY (receiver, event_position, row_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE receiver_dropped (
    receiver TEXT    NOT NULL PRIMARY KEY,
    dropped  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE consumer (
    tenant        TEXT    NOT NULL,
    path          TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    consumer      TEXT    NOT NULL,
    first_read_at INTEGER NOT NULL,
    last_read_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, path, version, consumer)
) STRICT, WITHOUT ROWID;

CREATE TABLE keyring (
    id       TEXT    NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    doc      TEXT    NOT NULL
) STRICT;

-- The audit chain, one row per transaction: `body` holds its audit rows, a JSON line each;
-- `links` the first 8 bytes of the hash after each line, so that a bad line can be named.
CREATE TABLE audit_segment (
    chain     TEXT    NOT NULL,
    first_seq INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    first_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    prev      BLOB    NOT NULL,
    head      BLOB    NOT NULL,
    mac       BLOB    NOT NULL,
    links     BLOB    NOT NULL,
    body      BLOB    NOT NULL,
    UNIQUE (chain, first_seq)
) STRICT;

-- Derived: which segments hold rows of a secret or an identity (a hash of tenant and name).
CREATE TABLE audit_key (
    key_hash  INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    PRIMARY KEY (key_hash, first_seq)
) STRICT, WITHOUT ROWID;
