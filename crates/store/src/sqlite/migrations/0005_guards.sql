-- Which targets a secret is the manager's credential of.
CREATE INDEX target_manager ON target (tenant, json_extract(doc, '$.manager_path'), id)
    WHERE json_extract(doc, '$.manager_path') IS NOT NULL;
