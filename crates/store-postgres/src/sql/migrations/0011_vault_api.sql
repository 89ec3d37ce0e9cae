-- Where clients of HashiCorp Vault's API find what, and what tokens keep for themselves. A row of a
-- secret or a version may now say that a version is deleted.
CREATE TABLE mount (
    tenant   text COLLATE "C" NOT NULL,
    path     text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, path)
);

CREATE TABLE cubby (
    tenant   text COLLATE "C" NOT NULL,
    token_id text COLLATE "C" NOT NULL,
    path     text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, token_id, path)
);
