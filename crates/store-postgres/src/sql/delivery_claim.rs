//! Claims on deliveries: fair among receivers, in order within each.
//!
//! The statement steps from receiver to receiver through the index of the queue, looks for the
//! oldest due row of each, and takes the first receivers behind the one served last.

/// Claims at most one delivery per receiver: the oldest event's among those due. A receiver that
/// has a delivery in someone's hands is passed over: a second one at the same time would break
/// its order. To be run in its turn: two at once would not see each other's rows.
pub(crate) const CLAIM: &str = "
    WITH RECURSIVE receivers AS (
        (SELECT receiver FROM delivery WHERE due_at IS NOT NULL ORDER BY receiver LIMIT 1)
        UNION ALL
        SELECT (SELECT d.receiver FROM delivery d
                WHERE d.due_at IS NOT NULL AND d.receiver > r.receiver
                ORDER BY d.receiver LIMIT 1)
        FROM receivers r WHERE r.receiver IS NOT NULL),
    first AS MATERIALIZED (
        SELECT oldest.tenant, oldest.id, r.receiver
        FROM receivers r CROSS JOIN LATERAL (
            SELECT d.tenant, d.id FROM delivery d
            WHERE d.receiver = r.receiver AND d.due_at <= $1
              AND (d.claimed_until IS NULL OR d.claimed_until <= $1)
              AND d.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
            ORDER BY d.event_position, d.id LIMIT 1) oldest
        WHERE r.receiver <> ALL($4::text[])
          AND NOT EXISTS (
            SELECT 1 FROM delivery held
            WHERE held.receiver = r.receiver AND held.claimed_until > $1
              AND held.due_at IS NOT NULL)
        ORDER BY r.receiver <= $5, r.receiver LIMIT $3),
    due AS MATERIALIZED (
        SELECT d.tenant, d.id FROM delivery d
        JOIN first ON d.tenant = first.tenant AND d.id = first.id
        WHERE d.due_at <= $1 AND (d.claimed_until IS NULL OR d.claimed_until <= $1)
        FOR UPDATE OF d SKIP LOCKED),
    claimed AS (
        UPDATE delivery d SET revision = d.revision + 1, claimed_until = $2
        FROM due WHERE d.tenant = due.tenant AND d.id = due.id
        RETURNING d.tenant, d.id, d.doc, d.revision, d.claimed_until, d.due_at, d.receiver)
    SELECT * FROM claimed ORDER BY receiver <= $5, receiver";

/// Puts a delivery that does not decode off by the length of a claim, without holding its receiver
/// back: it is nobody's to do, but it must not stand before the others for ever.
pub(crate) const POSTPONE: &str = "
    UPDATE delivery SET due_at = $3, claimed_until = NULL WHERE tenant = $1 AND id = $2";
