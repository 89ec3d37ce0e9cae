//! When the next work of each kind is due, in one statement: `least` and `greatest` pass over what
//! is missing.

use scaivault_core::ports::NextWork;

use super::row::{Read, time};
use crate::store::PostgresStore;

const NEXT: &str = "SELECT
    least((SELECT min(wake_at) FROM assignment
           WHERE wake_at IS NOT NULL AND claimed_until IS NULL
             AND assignment.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)),
          (SELECT min(greatest(wake_at, claimed_until)) FROM assignment
           WHERE claimed_until IS NOT NULL AND wake_at IS NOT NULL
             AND assignment.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended))),
    least((SELECT min(wake_at) FROM rotation
           WHERE wake_at IS NOT NULL AND target_id IS NULL AND claimed_until IS NULL
             AND rotation.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)),
          (SELECT min(wake_at) FROM rotation
           WHERE wake_at IS NOT NULL AND target_id IS NOT NULL AND claimed_until IS NULL
             AND rotation.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)),
          (SELECT min(greatest(wake_at, claimed_until)) FROM rotation
           WHERE claimed_until IS NOT NULL AND wake_at IS NOT NULL
             AND rotation.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended))),
    least((SELECT min(probe_at) FROM assignment
           WHERE probe_at IS NOT NULL AND claimed_until IS NULL
             AND assignment.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)),
          (SELECT min(greatest(probe_at, claimed_until)) FROM assignment
           WHERE claimed_until IS NOT NULL AND probe_at IS NOT NULL
             AND assignment.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended))),
    (SELECT min(wake_at) FROM campaign WHERE wake_at IS NOT NULL
             AND campaign.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)),
    (SELECT min(wake_at) FROM debt WHERE wake_at IS NOT NULL
             AND debt.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)),
    (SELECT min(wake_at) FROM lease WHERE wake_at IS NOT NULL),
    (SELECT min(notice_at) FROM secret WHERE notice_at IS NOT NULL
             AND secret.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended
                 UNION ALL SELECT 'tnt_p-' || substr(id, 5) FROM partner
                           WHERE status = 'SUSPENDED')),
    least((SELECT min(due_at) FROM delivery
           WHERE due_at IS NOT NULL AND claimed_until IS NULL
             AND delivery.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)),
          (SELECT min(greatest(due_at, claimed_until)) FROM delivery
           WHERE claimed_until IS NOT NULL AND due_at IS NOT NULL
             AND delivery.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)))";

pub(crate) async fn next(store: &PostgresStore) -> Read<NextWork> {
    let rows = store.rows(NEXT, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(NextWork::default());
    };
    Ok(NextWork {
        assignment_at: time(row, 0)?,
        rotation_at: time(row, 1)?,
        probe_at: time(row, 2)?,
        campaign_at: time(row, 3)?,
        debt_at: time(row, 4)?,
        lease_at: time(row, 5)?,
        notice_at: time(row, 6)?,
        delivery_at: time(row, 7)?,
    })
}
