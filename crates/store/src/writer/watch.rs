//! The watch: answers callers whose time is up while the writer hangs in the disk. It keeps its own
//! time, so no caller needs a timer, and a commit costs none.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::queue::Shared;

/// The longest a caller waits beyond its time.
const LATE_MAX: Duration = Duration::from_millis(250);

pub(crate) struct Watch {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let every = (shared.commit_timeout() / 8).clamp(Duration::from_millis(1), LATE_MAX);
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("store-watch".to_owned())
            .spawn(move || {
                let (flag, bell) = &*stopped;
                let mut over = flag.lock();
                while !*over {
                    bell.wait_for(&mut over, every);
                    shared.expire(Instant::now());
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
