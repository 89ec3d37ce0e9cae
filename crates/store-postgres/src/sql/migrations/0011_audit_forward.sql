-- How far the audit trail was handed over to collectors of logs.
CREATE TABLE audit_forward (
    name     text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    doc      text NOT NULL
);
