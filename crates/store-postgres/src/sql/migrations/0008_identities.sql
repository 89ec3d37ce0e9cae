-- Tokens end with the one they were made with, and somebody sees to what follows from an end.
ALTER TABLE token ADD COLUMN parent text COLLATE "C";
ALTER TABLE token ADD COLUMN wake_at bigint;
UPDATE token SET wake_at = (doc::json ->> 'expires_at')::bigint
    WHERE doc::json ->> 'revoked_at' IS NULL;
CREATE INDEX token_of_parent ON token (tenant, parent, id) WHERE parent IS NOT NULL;
CREATE INDEX token_wake ON token (wake_at) WHERE wake_at IS NOT NULL;

-- Roles that machines log in by, and their secret ids.
CREATE TABLE machine_role (
    tenant   text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    role_id  text COLLATE "C" NOT NULL,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, name),
    CONSTRAINT machine_role_role_id UNIQUE (role_id)
);

CREATE TABLE secret_id (
    tenant     text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    revision   bigint NOT NULL,
    hash       bytea NOT NULL,
    role       text COLLATE "C" NOT NULL,
    expires_at bigint,
    doc        text NOT NULL,
    PRIMARY KEY (tenant, id),
    CONSTRAINT secret_id_hash UNIQUE (hash)
);
CREATE INDEX secret_id_of_role ON secret_id (tenant, role, id);
CREATE INDEX secret_id_end ON secret_id (expires_at) WHERE expires_at IS NOT NULL;
