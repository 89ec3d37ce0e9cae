-- Audit chains that were begun elsewhere and end here: those of a store that was copied into this
-- one. Their segments have a place of their own in the trail; the rows of this store's own chain
-- come behind them, by the number `audit_past` in `meta`.
CREATE TABLE audit_past (
    chain     TEXT    NOT NULL PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    head      BLOB    NOT NULL,
    mac       BLOB    NOT NULL
) STRICT;

ALTER TABLE audit_segment ADD COLUMN place INTEGER;
CREATE UNIQUE INDEX audit_segment_place ON audit_segment (place) WHERE place IS NOT NULL;
