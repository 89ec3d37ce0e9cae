-- When a credential at a target is looked at next, what was found, and the figures of rotations
-- that have not ended.
ALTER TABLE assignment ADD COLUMN probe_at INTEGER;
ALTER TABLE assignment ADD COLUMN drift TEXT;
ALTER TABLE rotation ADD COLUMN overdue_at INTEGER;
ALTER TABLE rotation ADD COLUMN is_delayed INTEGER NOT NULL DEFAULT 0;

UPDATE assignment SET probe_at = json_extract(doc, '$.assigned_at')
    WHERE target_id IS NOT NULL AND json_extract(doc, '$.open_rotation') IS NULL;
UPDATE rotation SET overdue_at = json_extract(doc, '$.overdue_at')
    WHERE phase IN ('generating', 'applying', 'verifying')
       OR (phase = 'parked' AND json_extract(doc, '$.at_target.promoted_at') IS NULL);
UPDATE rotation SET is_delayed = 1
    WHERE phase = 'propagating' AND json_extract(doc, '$.at_target.alerted');

CREATE INDEX assignment_probe ON assignment (probe_at, claimed_until, target_id)
    WHERE probe_at IS NOT NULL;
CREATE INDEX assignment_probe_held ON assignment (claimed_until, probe_at, target_id)
    WHERE claimed_until IS NOT NULL AND probe_at IS NOT NULL;
CREATE INDEX assignment_drift ON assignment (drift) WHERE drift IS NOT NULL;
CREATE INDEX rotation_unended ON rotation (phase)
    WHERE phase NOT IN ('completed', 'rolled_back');
CREATE INDEX rotation_overdue ON rotation (overdue_at) WHERE overdue_at IS NOT NULL;
CREATE INDEX rotation_delayed ON rotation (is_delayed) WHERE is_delayed = 1;
