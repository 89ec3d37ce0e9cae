-- When something is to be told of a secret's end. What an earlier release gave an end has no plan
-- yet: it is looked at at once, and given one.
ALTER TABLE secret ADD COLUMN notice_at INTEGER;
UPDATE secret SET notice_at = 0 WHERE expires_at IS NOT NULL AND recoverable_until IS NULL;
CREATE INDEX secret_notice ON secret (notice_at) WHERE notice_at IS NOT NULL;
