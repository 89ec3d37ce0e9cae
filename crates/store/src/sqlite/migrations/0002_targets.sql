-- Systems whose credentials are rotated, and what consumers say of the versions they hold.

CREATE TABLE target (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, id),
    UNIQUE (tenant, name)
) STRICT;

ALTER TABLE consumer ADD COLUMN applied_at INTEGER;
ALTER TABLE consumer ADD COLUMN failed_at INTEGER;
ALTER TABLE consumer ADD COLUMN detail TEXT;

-- What one identity read.
CREATE INDEX consumer_reader ON consumer (tenant, consumer, path, version);
