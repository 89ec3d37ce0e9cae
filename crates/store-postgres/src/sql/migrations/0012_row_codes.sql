-- Documents have codes from here on (see store/src/rows). Those that are there are given theirs when a
-- node opens the store with its key. What is written from now on has one: a node of an earlier release
-- that goes on for a moment is refused. What is no document can be passed over by a claim all the same.
ALTER TABLE partner ADD CONSTRAINT partner_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE tenant ADD CONSTRAINT tenant_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE secret ADD CONSTRAINT secret_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE version ADD CONSTRAINT version_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE policy ADD CONSTRAINT policy_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE binding ADD CONSTRAINT binding_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE token ADD CONSTRAINT token_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE machine_role ADD CONSTRAINT machine_role_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE secret_id ADD CONSTRAINT secret_id_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE rotation_policy ADD CONSTRAINT rotation_policy_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE secret_policy ADD CONSTRAINT secret_policy_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE target ADD CONSTRAINT target_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE assignment ADD CONSTRAINT assignment_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE rotation ADD CONSTRAINT rotation_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE group_turn ADD CONSTRAINT group_turn_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE campaign ADD CONSTRAINT campaign_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE audit_export ADD CONSTRAINT audit_export_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE debt ADD CONSTRAINT debt_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE engine ADD CONSTRAINT engine_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE engine_role ADD CONSTRAINT engine_role_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE lease ADD CONSTRAINT lease_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE webhook ADD CONSTRAINT webhook_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE subscription ADD CONSTRAINT subscription_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE event ADD CONSTRAINT event_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE delivery ADD CONSTRAINT delivery_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
ALTER TABLE audit_forward ADD CONSTRAINT audit_forward_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
