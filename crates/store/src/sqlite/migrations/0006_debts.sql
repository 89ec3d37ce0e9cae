-- Debts of one secret and debts at one target.
ALTER TABLE debt ADD COLUMN path TEXT;
ALTER TABLE debt ADD COLUMN target_id TEXT;

UPDATE debt SET target_id = json_extract(doc, '$.target_id'),
    path = coalesce(json_extract(doc, '$.owed.credential.path'),
                    json_extract(doc, '$.owed.residue.path'));

CREATE INDEX debt_path ON debt (tenant, path, id) WHERE path IS NOT NULL;
CREATE INDEX debt_target ON debt (tenant, target_id, id) WHERE target_id IS NOT NULL;
