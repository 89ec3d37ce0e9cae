-- Lists of leases in the order of their ids: whatever narrows one has its own index. Those of leases
-- that have not ended hold few rows beside those that are kept for a while after their end.
CREATE INDEX lease_engine ON lease (tenant, engine_id, id);
CREATE INDEX lease_holder ON lease (tenant, holder, id);
CREATE INDEX lease_of_engine ON lease (tenant, engine_id, id) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_unended ON lease (tenant, id) WHERE wake_at IS NOT NULL;
CREATE INDEX lease_troubled ON lease (tenant, id) WHERE failing_since IS NOT NULL;
