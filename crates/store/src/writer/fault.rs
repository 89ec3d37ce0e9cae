//! Commits that fail as disks do, for the writer's tests.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender};

use parking_lot::Mutex;
use rusqlite::{Connection, ffi};

/// What the next commit does instead.
pub(super) enum Fault {
    /// Fails with an input/output error, without effect.
    Lost,
    /// Takes effect, and says that it failed.
    Hidden,
    /// Says that the disk is full.
    Full,
    /// Says that it hangs, then hangs until told to go on. Then it commits.
    Hang(Sender<()>, Receiver<()>),
    /// Panics.
    Panic,
    /// Is as ever.
    None,
}

/// The faults of the commits to come, in order; none when they are used up.
#[derive(Default)]
pub(super) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    pub(super) fn arm(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().extend(faults);
    }

    pub(super) fn next(&self) -> Option<Fault> {
        self.0.lock().pop_front()
    }

    pub(super) fn left(&self) -> usize {
        self.0.lock().len()
    }
}

impl Fault {
    pub(super) fn strike(self, conn: &Connection) -> rusqlite::Result<()> {
        let fail = |code| Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        match self {
            Self::Lost => fail(ffi::SQLITE_IOERR_FSYNC),
            Self::Hidden => {
                super::batch::run(conn, "COMMIT")?;
                fail(ffi::SQLITE_IOERR_FSYNC)
            }
            Self::Full => fail(ffi::SQLITE_FULL),
            Self::Hang(hangs, go_on) => {
                hangs.send(()).expect("the test waits for it");
                go_on.recv().expect("the test lets it go on");
                super::batch::run(conn, "COMMIT")
            }
            Self::Panic => panic!("told to"),
            Self::None => super::batch::run(conn, "COMMIT"),
        }
    }
}
