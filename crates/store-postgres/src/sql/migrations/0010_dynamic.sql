-- Engines that make credentials on request, their roles, and leases of what they made.
CREATE TABLE engine (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, id),
    CONSTRAINT engine_name UNIQUE (tenant, name)
);

CREATE TABLE engine_role (
    tenant    text COLLATE "C" NOT NULL,
    engine_id text COLLATE "C" NOT NULL,
    name      text COLLATE "C" NOT NULL,
    revision  bigint NOT NULL,
    doc       text NOT NULL,
    PRIMARY KEY (tenant, engine_id, name)
);

CREATE TABLE lease (
    tenant        text COLLATE "C" NOT NULL,
    id            text COLLATE "C" NOT NULL,
    revision      bigint NOT NULL,
    engine_id     text COLLATE "C" NOT NULL,
    role          text COLLATE "C" NOT NULL,
    account       text COLLATE "C" NOT NULL,
    holder        text COLLATE "C" NOT NULL,
    token_id      text COLLATE "C",
    state         text COLLATE "C" NOT NULL,
    wake_at       bigint,
    failing_since bigint,
    revoked_at    bigint,
    doc           text NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX lease_due ON lease (engine_id, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_wake ON lease (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_state ON lease (state) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_role ON lease (tenant, engine_id, role, id);
CREATE INDEX lease_account ON lease (tenant, engine_id, account) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_token ON lease (tenant, token_id, id)
    WHERE wake_at IS NOT NULL AND token_id IS NOT NULL;
CREATE INDEX lease_failing ON lease (failing_since) WHERE failing_since IS NOT NULL;
CREATE INDEX lease_ended ON lease (revoked_at) WHERE revoked_at IS NOT NULL;
