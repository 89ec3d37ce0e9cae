-- Where clients of HashiCorp Vault's API find what, and what tokens keep for themselves. A row of a
-- secret or a version may now say that a version is deleted.
CREATE TABLE mount (
    tenant   TEXT    NOT NULL,
    path     TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    doc      TEXT    NOT NULL,
    PRIMARY KEY (tenant, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE cubby (
    tenant   TEXT    NOT NULL,
    token_id TEXT    NOT NULL,
    path     TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    doc      TEXT    NOT NULL,
    PRIMARY KEY (tenant, token_id, path)
) STRICT, WITHOUT ROWID;
