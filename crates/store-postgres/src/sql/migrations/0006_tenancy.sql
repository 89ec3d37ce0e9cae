-- Partners, and the tenants they own. Work of suspended tenants is not looked for.
CREATE TABLE partner (
    id       text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    slug     text COLLATE "C" NOT NULL,
    status   text COLLATE "C" NOT NULL,
    doc      text NOT NULL,
    CONSTRAINT partner_slug UNIQUE (slug)
);

CREATE TABLE tenant (
    id           text COLLATE "C" PRIMARY KEY,
    revision     bigint NOT NULL,
    partner      text COLLATE "C" NOT NULL,
    slug         text COLLATE "C" NOT NULL,
    is_suspended boolean NOT NULL,
    doc          text NOT NULL,
    CONSTRAINT tenant_slug UNIQUE (partner, slug)
);
CREATE INDEX tenant_of_partner ON tenant (partner, id);
CREATE INDEX tenant_suspended ON tenant (id) WHERE is_suspended;
