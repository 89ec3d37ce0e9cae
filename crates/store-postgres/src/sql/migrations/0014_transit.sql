-- Keys that stay here while others use them.
CREATE TABLE transit_key (
    tenant   text COLLATE "C" NOT NULL,
    mount    text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    wake_at  bigint,
    doc      text NOT NULL,
    PRIMARY KEY (tenant, mount, name)
);
CREATE INDEX transit_key_wake ON transit_key (wake_at) WHERE wake_at IS NOT NULL;
ALTER TABLE transit_key ADD CONSTRAINT transit_key_doc_code
    CHECK (length(doc) <= 2 OR right(doc, 1) <> '}' OR substr(right(doc, 40), 1, 6) = ',"~":"')
    NOT VALID;
