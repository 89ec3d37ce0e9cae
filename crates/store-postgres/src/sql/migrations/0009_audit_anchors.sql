-- What remains of audit rows that retention removed from the front of a chain: the last of them. The
-- rows behind it hang on `head`; `code` is made over the row with the chain's key.
CREATE TABLE audit_anchor (
    chain      text COLLATE "C" PRIMARY KEY,
    first_seq  bigint NOT NULL,
    last_seq   bigint NOT NULL,
    head       bytea  NOT NULL,
    mac        bytea  NOT NULL,
    removed_at bigint NOT NULL,
    code       bytea  NOT NULL
);

-- Exports of the trail that somebody asked for.
CREATE TABLE audit_export (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    wake_at  bigint,
    doc      text   NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX audit_export_wake ON audit_export (wake_at) WHERE wake_at IS NOT NULL;
