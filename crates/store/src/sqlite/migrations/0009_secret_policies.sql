-- Recipes for values, and who refers to them.
CREATE TABLE secret_policy (
    tenant    TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    is_active INTEGER NOT NULL,
    doc       TEXT    NOT NULL,
    UNIQUE (tenant, id),
    UNIQUE (tenant, name)
) STRICT;

ALTER TABLE secret ADD COLUMN secret_policy_id TEXT;
CREATE INDEX secret_recipe ON secret (tenant, secret_policy_id)
    WHERE secret_policy_id IS NOT NULL;

ALTER TABLE rotation_policy ADD COLUMN secret_policy_id TEXT;
CREATE INDEX rotation_policy_recipe ON rotation_policy (tenant, secret_policy_id)
    WHERE secret_policy_id IS NOT NULL;
