-- Deliveries that wait for each other, and those that ended without success.
ALTER TABLE delivery ADD COLUMN lane text COLLATE "C";
CREATE INDEX delivery_lane ON delivery (receiver, lane, event_position)
    WHERE state = 'pending' AND lane IS NOT NULL;
CREATE INDEX delivery_dead ON delivery (tenant, receiver, id) WHERE state = 'failed';
