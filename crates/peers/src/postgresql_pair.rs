//! A PostgreSQL with a synchronous standby, and failovers, one after the other.
//!
//! A commit is answered when it is flushed on both, so whatever was answered survives a failover.
//! The one that was failed over from is ended, all its processes, before the other is promoted: it
//! never takes a write again.

use std::time::{Duration, Instant};

use crate::postgresql::Postgresql;

/// How long a copy may take until it keeps up.
const IN_STEP_MAX: Duration = Duration::from_secs(60);

/// Two servers, or one while its standby is missing.
pub struct PostgresqlPair {
    primary: Postgresql,
    standby: Option<Postgresql>,
    megabytes: Option<u32>,
    copies: u32,
}

impl PostgresqlPair {
    /// Starts both, with further settings (`name=value`); their data on disks of so many
    /// megabytes, where that is asked for and permitted.
    pub fn start(settings: &[String], megabytes: Option<u32>) -> Self {
        let primary = match megabytes {
            Some(megabytes) => Postgresql::start_on_small_disk(megabytes, settings),
            None => Postgresql::start_with(|_| settings.to_vec()),
        };
        let mut pair = Self {
            primary,
            standby: None,
            megabytes,
            copies: 0,
        };
        pair.add_standby();
        pair
    }

    /// The one that takes writes.
    pub fn primary(&self) -> &Postgresql {
        &self.primary
    }

    /// The one that takes writes.
    pub fn primary_mut(&mut self) -> &mut Postgresql {
        &mut self.primary
    }

    /// The other one, when there is one.
    pub fn standby(&self) -> Option<&Postgresql> {
        self.standby.as_ref()
    }

    /// Whether one of them has ended.
    pub fn is_gone(&mut self) -> bool {
        self.standby.as_mut().is_some_and(Postgresql::is_gone) || self.primary.is_gone()
    }

    /// Waits until both let in, starting again what has ended; how many had.
    ///
    /// # Panics
    /// When they do not in time.
    pub fn revive(&mut self) -> u32 {
        let standby = self.standby.as_mut().is_some_and(Postgresql::revive);
        u32::from(self.primary.revive()) + u32::from(standby)
    }

    /// Makes a new standby from a copy of the primary and waits until commits wait for it.
    ///
    /// # Panics
    /// When it does not keep up in time.
    pub fn add_standby(&mut self) {
        self.copies += 1;
        self.standby = None;
        self.primary.sql(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active",
        );
        let slot = format!("copy_{}", self.copies);
        let standby = Postgresql::start_standby(&self.primary, &slot, self.megabytes);
        self.standby = Some(standby);
        self.primary
            .sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
        self.primary.sql("SELECT pg_reload_conf()");
        self.await_in_step();
    }

    /// Waits until the standby has all that was answered before commits waited for it, and they
    /// do wait.
    fn await_in_step(&self) {
        let begun = Instant::now();
        let waits = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        let await_one = |sql: &str| {
            while self.primary.sql(sql) != "1" {
                assert!(begun.elapsed() < IN_STEP_MAX, "the standby does not follow");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        await_one(waits);
        // Sessions learn of the setting when they begin their next statement; this one is later.
        let at = self.primary.sql("SELECT pg_current_wal_lsn()");
        await_one(&format!("{waits} AND flush_lsn >= '{at}'"));
    }

    /// Ends the primary as a power loss would and promotes the standby; nothing waits for a
    /// standby until [`PostgresqlPair::add_standby`].
    ///
    /// # Panics
    /// When there is no standby.
    pub fn fail_over(&mut self) {
        self.primary.kill_hard();
        let standby = self.standby.take().expect("a standby");
        standby.promote();
        self.primary = standby;
    }
}
