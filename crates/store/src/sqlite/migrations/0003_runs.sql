-- Which target and group a rotation is of, turns of groups, campaigns, and debts at targets.

ALTER TABLE assignment ADD COLUMN target_id TEXT;
ALTER TABLE assignment ADD COLUMN turn_group TEXT;
ALTER TABLE rotation ADD COLUMN target_id TEXT;
ALTER TABLE rotation ADD COLUMN turn_group TEXT;

UPDATE assignment SET target_id = json_extract(doc, '$.attached.target_id');
UPDATE rotation SET target_id = json_extract(doc, '$.at_target.attached.target_id');

CREATE INDEX assignment_target ON assignment (tenant, target_id, path)
    WHERE target_id IS NOT NULL;
CREATE INDEX assignment_group ON assignment (tenant, turn_group, path)
    WHERE turn_group IS NOT NULL;
CREATE INDEX rotation_target ON rotation (tenant, target_id, id) WHERE target_id IS NOT NULL;
CREATE INDEX rotation_group ON rotation (tenant, turn_group, id) WHERE turn_group IS NOT NULL;

-- Work without a target and work at targets are claimed apart.
DROP INDEX rotation_wake;
CREATE INDEX rotation_wake ON rotation (wake_at, claimed_until)
    WHERE wake_at IS NOT NULL AND target_id IS NULL;
CREATE INDEX rotation_wake_at_target ON rotation (wake_at, claimed_until, target_id)
    WHERE wake_at IS NOT NULL AND target_id IS NOT NULL;

CREATE TABLE group_turn (
    tenant   TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE campaign (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    wake_at  INTEGER,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX campaign_wake ON campaign (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE debt (
    tenant   TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    wake_at  INTEGER,
    doc      TEXT    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX debt_wake ON debt (wake_at) WHERE wake_at IS NOT NULL;
