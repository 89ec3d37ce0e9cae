-- Revision 1. The tables of the embedded store in PostgreSQL's types: the key and the columns a
-- record is searched by as real columns, the whole record as JSON in `doc`.
--
-- `doc` is text, not jsonb: it comes back byte for byte as it was written, and may hold what
-- jsonb refuses (the character U+0000). Nothing is searched inside it. Keys and names compare by
-- their bytes (COLLATE "C"), whatever the database's locale. Times are microseconds since the
-- epoch, UTC. Where a claim changes a row, `revision`, `claimed_until` and `wake_at` are the truth
-- and `doc` is not touched: the columns are put over it when the row is read.

-- Numbers of the store itself: `fan_out` (the mark in the outbox), `event_position` (the last
-- position given out), `audit_place` (the last place in the trail given out). Each is a row of its
-- own, locked by whoever moves it.
CREATE TABLE meta (
    name  text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO meta (name, value) VALUES ('fan_out', 0), ('event_position', 0), ('audit_place', 0);

-- One row for each kind of claim that must see what the claim before it did.
CREATE TABLE claim_turn (
    kind text COLLATE "C" PRIMARY KEY
);
INSERT INTO claim_turn (kind) VALUES ('rotation'), ('probe'), ('delivery');

-- One row per node: its audit chain, the number of its last transaction, the end of the chain.
-- Every transaction of a node moves `batch` first: two processes that call themselves by one name
-- take turns, and after a lost answer the number tells what became of the transaction.
CREATE TABLE store_head (
    chain     text COLLATE "C" PRIMARY KEY,
    node      text COLLATE "C" NOT NULL UNIQUE,
    batch     bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq  bigint NOT NULL,
    head      bytea  NOT NULL,
    mac       bytea  NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE secret (
    tenant            text COLLATE "C" NOT NULL,
    path              text COLLATE "C" NOT NULL,
    revision          bigint NOT NULL,
    secret_type       text COLLATE "C" NOT NULL,
    current_version   bigint NOT NULL,
    expires_at        bigint,
    recoverable_until bigint,
    doc               text NOT NULL,
    PRIMARY KEY (tenant, path)
);
CREATE INDEX secret_expires ON secret (tenant, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX secret_deleted ON secret (recoverable_until, tenant)
    WHERE recoverable_until IS NOT NULL;

CREATE TABLE secret_tag (
    tenant text COLLATE "C" NOT NULL,
    path   text COLLATE "C" NOT NULL,
    tag    text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, path, tag)
);
CREATE INDEX secret_tag_path ON secret_tag (tenant, tag, path);

CREATE TABLE version (
    tenant   text COLLATE "C" NOT NULL,
    path     text COLLATE "C" NOT NULL,
    version  bigint NOT NULL,
    revision bigint NOT NULL,
    doc      text  NOT NULL,
    sealed   bytea NOT NULL,
    PRIMARY KEY (tenant, path, version)
);

-- Where two things are unique, the key comes first: it is also checked first, so that a row that
-- is there already is told from a name that is taken.
CREATE TABLE policy (
    tenant    text COLLATE "C" NOT NULL,
    id        text COLLATE "C" NOT NULL,
    revision  bigint NOT NULL,
    name      text COLLATE "C" NOT NULL,
    is_active boolean NOT NULL,
    doc       text NOT NULL,
    PRIMARY KEY (tenant, id),
    CONSTRAINT policy_name UNIQUE (tenant, name)
);

CREATE TABLE binding (
    tenant    text COLLATE "C" NOT NULL,
    id        text COLLATE "C" NOT NULL,
    revision  bigint NOT NULL,
    policy_id text COLLATE "C" NOT NULL,
    identity  text COLLATE "C" NOT NULL,
    doc       text NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX binding_policy ON binding (tenant, policy_id, id);
CREATE INDEX binding_identity ON binding (tenant, identity);

CREATE TABLE token (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    hash     bytea NOT NULL,
    doc      text  NOT NULL,
    PRIMARY KEY (tenant, id),
    CONSTRAINT token_hash UNIQUE (hash)
);

CREATE TABLE rotation_policy (
    tenant    text COLLATE "C" NOT NULL,
    id        text COLLATE "C" NOT NULL,
    revision  bigint NOT NULL,
    name      text COLLATE "C" NOT NULL,
    is_active boolean NOT NULL,
    doc       text NOT NULL,
    PRIMARY KEY (tenant, id),
    CONSTRAINT rotation_policy_name UNIQUE (tenant, name)
);

CREATE TABLE assignment (
    tenant           text COLLATE "C" NOT NULL,
    path             text COLLATE "C" NOT NULL,
    revision         bigint NOT NULL,
    policy_id        text COLLATE "C" NOT NULL,
    next_rotation_at bigint NOT NULL,
    wake_at          bigint,
    claimed_until    bigint,
    target_id        text COLLATE "C",
    turn_group       text COLLATE "C",
    probe_at         bigint,
    drift            text COLLATE "C",
    doc              text NOT NULL,
    PRIMARY KEY (tenant, path)
);
CREATE INDEX assignment_policy ON assignment (tenant, policy_id, path);
CREATE INDEX assignment_due ON assignment (tenant, next_rotation_at);
CREATE INDEX assignment_wake ON assignment (wake_at, claimed_until) WHERE wake_at IS NOT NULL;
CREATE INDEX assignment_held ON assignment (claimed_until, wake_at)
    WHERE claimed_until IS NOT NULL AND wake_at IS NOT NULL;
CREATE INDEX assignment_target ON assignment (tenant, target_id, path)
    WHERE target_id IS NOT NULL;
CREATE INDEX assignment_group ON assignment (tenant, turn_group, path)
    WHERE turn_group IS NOT NULL;
CREATE INDEX assignment_probe ON assignment (probe_at, claimed_until, target_id)
    WHERE probe_at IS NOT NULL;
CREATE INDEX assignment_probe_held ON assignment (claimed_until, probe_at, target_id)
    WHERE claimed_until IS NOT NULL AND probe_at IS NOT NULL;
CREATE INDEX assignment_drift ON assignment (drift) WHERE drift IS NOT NULL;

CREATE TABLE rotation (
    tenant        text COLLATE "C" NOT NULL,
    id            text COLLATE "C" NOT NULL,
    revision      bigint NOT NULL,
    path          text COLLATE "C" NOT NULL,
    policy_id     text COLLATE "C" NOT NULL,
    phase         text COLLATE "C" NOT NULL,
    wake_at       bigint,
    claimed_until bigint,
    target_id     text COLLATE "C",
    turn_group    text COLLATE "C",
    overdue_at    bigint,
    is_delayed    boolean NOT NULL,
    doc           text NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX rotation_path ON rotation (tenant, path, id);
CREATE INDEX rotation_policy_id ON rotation (tenant, policy_id, id);
CREATE INDEX rotation_target ON rotation (tenant, target_id, id) WHERE target_id IS NOT NULL;
CREATE INDEX rotation_group ON rotation (tenant, turn_group, id) WHERE turn_group IS NOT NULL;
CREATE INDEX rotation_wake ON rotation (wake_at, claimed_until)
    WHERE wake_at IS NOT NULL AND target_id IS NULL;
CREATE INDEX rotation_wake_at_target ON rotation (wake_at, claimed_until, target_id)
    WHERE wake_at IS NOT NULL AND target_id IS NOT NULL;
CREATE INDEX rotation_held ON rotation (claimed_until, wake_at)
    WHERE claimed_until IS NOT NULL AND wake_at IS NOT NULL;
CREATE INDEX rotation_unended ON rotation (phase)
    WHERE phase NOT IN ('completed', 'rolled_back');
CREATE INDEX rotation_overdue ON rotation (overdue_at) WHERE overdue_at IS NOT NULL;
CREATE INDEX rotation_delayed ON rotation (tenant, id) WHERE is_delayed;

CREATE TABLE target (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    manager_path text COLLATE "C",
    doc      text NOT NULL,
    PRIMARY KEY (tenant, id),
    CONSTRAINT target_name UNIQUE (tenant, name)
);
CREATE INDEX target_manager ON target (tenant, manager_path, id) WHERE manager_path IS NOT NULL;

CREATE TABLE group_turn (
    tenant   text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE campaign (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    wake_at  bigint,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX campaign_wake ON campaign (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE debt (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    wake_at  bigint,
    path text COLLATE "C",
    target_id text COLLATE "C" NOT NULL,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX debt_path ON debt (tenant, path, id) WHERE path IS NOT NULL;
CREATE INDEX debt_target ON debt (tenant, target_id, id);
CREATE INDEX debt_wake ON debt (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE webhook (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE subscription (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- Positions come from the row `event_position` of `meta`, which stays locked until the commit:
-- they become visible in their order, whichever node puts the event. A sequence of the engine
-- would not do: it gives numbers out in one order and shows them in another.
CREATE TABLE event (
    position bigint PRIMARY KEY,
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    at       bigint NOT NULL,
    doc      text NOT NULL,
    CONSTRAINT event_id UNIQUE (tenant, id)
);
CREATE INDEX event_at ON event (at, position);

-- Outlives events and secrets: a sequence never starts over.
CREATE TABLE event_sequence (
    tenant text COLLATE "C" NOT NULL,
    path   text COLLATE "C" NOT NULL,
    last   bigint NOT NULL,
    PRIMARY KEY (tenant, path)
);

-- `due_at` is the next attempt of a pending delivery, NULL for all others and for polling.
CREATE TABLE delivery (
    tenant         text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    revision       bigint NOT NULL,
    receiver       text COLLATE "C" NOT NULL,
    event_position bigint NOT NULL,
    state          text COLLATE "C" NOT NULL,
    due_at         bigint,
    claimed_until  bigint,
    created_at     bigint NOT NULL,
    duration_ms    bigint,
    doc            text NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX delivery_list ON delivery (tenant, receiver, id);
CREATE INDEX delivery_stats ON delivery (tenant, receiver, created_at);
CREATE INDEX delivery_pending ON delivery (receiver, event_position) WHERE state = 'pending';
CREATE INDEX delivery_event ON delivery (event_position, state);
CREATE INDEX delivery_queue ON delivery (receiver, event_position, due_at, claimed_until)
    WHERE due_at IS NOT NULL;
CREATE INDEX delivery_wake ON delivery (due_at, claimed_until) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_held ON delivery (receiver, claimed_until)
    WHERE claimed_until IS NOT NULL AND due_at IS NOT NULL;

CREATE TABLE receiver_dropped (
    receiver text COLLATE "C" PRIMARY KEY,
    dropped  bigint NOT NULL
);

CREATE TABLE consumer (
    tenant        text COLLATE "C" NOT NULL,
    path          text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    consumer      text COLLATE "C" NOT NULL,
    first_read_at bigint NOT NULL,
    last_read_at  bigint NOT NULL,
    applied_at    bigint,
    failed_at     bigint,
    detail        text,
    PRIMARY KEY (tenant, path, version, consumer)
);
CREATE INDEX consumer_reader ON consumer (tenant, consumer, path, version);

CREATE TABLE keyring (
    id       text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    doc      text NOT NULL
);

-- The audit chains, one row per transaction: `body` holds its audit rows, a JSON line each;
-- `links` the first 8 bytes of the hash after each line, so that a bad line can be named.
-- `first_seq` is the place in the node's chain, `place` that in the trail of all nodes.
CREATE TABLE audit_segment (
    chain     text COLLATE "C" NOT NULL,
    first_seq bigint NOT NULL,
    place     bigint NOT NULL UNIQUE,
    rows      bigint NOT NULL,
    first_at  bigint NOT NULL,
    last_at   bigint NOT NULL,
    prev      bytea  NOT NULL,
    head      bytea  NOT NULL,
    mac       bytea  NOT NULL,
    links     bytea  NOT NULL,
    body      bytea  NOT NULL,
    PRIMARY KEY (chain, first_seq)
);

-- Derived: which segments hold rows of a secret or an identity (a hash of tenant and name). Each
-- node adds its own chain some time later; `audit_indexed` says how far. What lies behind is read
-- itself.
CREATE TABLE audit_key (
    key_hash bigint NOT NULL,
    place    bigint NOT NULL,
    PRIMARY KEY (key_hash, place)
);
CREATE TABLE audit_indexed (
    chain text COLLATE "C" PRIMARY KEY,
    upto  bigint NOT NULL
);
