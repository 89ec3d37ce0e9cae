-- Recipes for values, and who refers to them.
CREATE TABLE secret_policy (
    tenant    text COLLATE "C" NOT NULL,
    id        text COLLATE "C" NOT NULL,
    revision  bigint NOT NULL,
    name      text COLLATE "C" NOT NULL,
    is_active boolean NOT NULL,
    doc       text NOT NULL,
    PRIMARY KEY (tenant, id),
    CONSTRAINT secret_policy_name UNIQUE (tenant, name)
);

ALTER TABLE secret ADD COLUMN secret_policy_id text COLLATE "C";
CREATE INDEX secret_recipe ON secret (tenant, secret_policy_id)
    WHERE secret_policy_id IS NOT NULL;

ALTER TABLE rotation_policy ADD COLUMN secret_policy_id text COLLATE "C";
CREATE INDEX rotation_policy_recipe ON rotation_policy (tenant, secret_policy_id)
    WHERE secret_policy_id IS NOT NULL;
