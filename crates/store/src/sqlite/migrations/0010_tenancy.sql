-- Partners, and the tenants they own. Work of suspended tenants is not looked for.
CREATE TABLE partner (
    id       TEXT    NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    slug     TEXT    NOT NULL UNIQUE,
    status   TEXT    NOT NULL,
    doc      TEXT    NOT NULL
) STRICT;

CREATE TABLE tenant (
    id           TEXT    NOT NULL PRIMARY KEY,
    revision     INTEGER NOT NULL,
    partner      TEXT    NOT NULL,
    slug         TEXT    NOT NULL,
    is_suspended INTEGER NOT NULL,
    doc          TEXT    NOT NULL,
    UNIQUE (partner, slug)
) STRICT;
CREATE INDEX tenant_of_partner ON tenant (partner, id);
CREATE INDEX tenant_suspended ON tenant (id) WHERE is_suspended;
