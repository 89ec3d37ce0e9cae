-- Keys that stay here while others use them.
CREATE TABLE transit_key (
    tenant   TEXT    NOT NULL,
    mount    TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    wake_at  INTEGER,
    doc      TEXT    NOT NULL,
    PRIMARY KEY (tenant, mount, name)
) STRICT;
CREATE INDEX transit_key_wake ON transit_key (wake_at) WHERE wake_at IS NOT NULL;
