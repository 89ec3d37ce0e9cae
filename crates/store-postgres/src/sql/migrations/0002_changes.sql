-- What each transaction of a node changed, for the caches of the others: a JSON document.
-- `maker` names the process, so that it passes over its own. Older ones are removed; `pruned` says
-- up to which number, so that a node that comes late knows that it missed something.
CREATE TABLE store_change (
    chain   text COLLATE "C" NOT NULL,
    batch   bigint NOT NULL,
    maker   text COLLATE "C" NOT NULL,
    changes text NOT NULL,
    PRIMARY KEY (chain, batch)
);
ALTER TABLE store_head ADD COLUMN pruned bigint NOT NULL DEFAULT 0;
