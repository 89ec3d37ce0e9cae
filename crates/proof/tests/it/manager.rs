//! The manager's own credential, rotated through itself.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::ports::Record;
use scaivault_core::rotation::{Phase, Rotation};
use scaivault_core::target::{Overlap, Target};

use crate::attached::{Attached, ROUND, rules};
use crate::mariadb::{self, MariaDb};
use crate::matrix::{Way, matrix};
use crate::postgresql::{self, Postgresql};
use crate::redis::{self, Redis};
use crate::script::Strike;
use crate::system::{Fresh, System};
use crate::world::{operator, path};

const OTHER_AT: &str = "apps/other";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_postgresql_at_every_point() {
    let system = Arc::new(Postgresql::start(postgresql::Kind::Manager).await);
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_mariadb_at_every_point() {
    let system = Arc::new(MariaDb::start(mariadb::Kind::Manager).await);
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_redis_at_every_point() {
    let system = Arc::new(Redis::start(redis::Kind::Manager));
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}

/// While the manager's credential is changed at the target and readers do not have it yet, another
/// rotation at the same target goes through with whichever value the target takes; before and
/// after as well.
async fn others_go_on(system: Arc<dyn System>, overlap: Overlap) {
    let mut attached = Attached::new(system.clone()).await;
    let app = attached.others_account().await;
    attached.rotate_other(&app, overlap).await;

    // The new password is applied; nobody learns of it, and its verification does not tell.
    attached.w.script.strike(0, Strike::AnswerLost);
    attached.rotate().await;
    let _ = attached.w.work().await;
    let stuck = attached.last().await;
    assert_eq!(stuck.phase, Phase::Applying, "{stuck:?}");
    attached.hold_back().await;
    attached.rotate_other(&app, overlap).await;
    attached.check().await;

    attached.let_go().await;
    assert_eq!(attached.follow().await, Phase::Completed);
    attached.assert_one_left().await;
    attached.rotate_other(&app, overlap).await;
}

impl Attached {
    /// Another account of the same target, which its manager may change; its secret is attached.
    async fn others_account(&mut self) -> Fresh {
        let fresh = self.system.beside(&self.fresh).await;
        self.w.put(OTHER_AT, &fresh.first).await;
        self.attach(OTHER_AT, fresh.overlap, &fresh.account, rules())
            .await;
        fresh
    }

    async fn rotate_other(&mut self, app: &Fresh, overlap: Overlap) {
        assert_eq!(app.overlap, overlap);
        let asked = self
            .w
            .vault
            .secret_rotate(&operator(), &path(OTHER_AT))
            .await;
        let id = asked.unwrap().id;
        for _ in 0..20 {
            self.w.work().await.unwrap();
            let value = self.w.read("sa:other", OTHER_AT).await.unwrap();
            let session = self.system.log_in(app, &value).await;
            session.expect("the other account is let in").close().await;
            let rotations = self.w.rotations(OTHER_AT).await;
            let rotation = rotations.iter().find(|rotation| rotation.id == id).unwrap();
            if rotation.phase == Phase::Completed {
                return;
            }
            self.w.clock.advance(ROUND);
        }
        panic!("{:?}", self.w.rotations(OTHER_AT).await.pop());
    }

    /// The manager's rotation is not looked at for an hour.
    async fn hold_back(&self) {
        let rotation = self.last().await;
        let asleep = Rotation {
            claimed_until: None,
            wake_at: Some(self.w.now().plus(Duration::from_secs(3_600))),
            revision: rotation.revision + 1,
            ..rotation
        };
        self.w.commit([Record::Rotation(asleep)]).await;
    }

    /// It is looked at again.
    async fn let_go(&self) {
        self.w.clock.advance(Duration::from_secs(3_600));
    }
}

/// What stands in front of the target for consumers need not know the manager.
async fn goes_to_the_server_itself(system: Arc<dyn System>) {
    let mut attached = Attached::new(system).await;
    let mut settings = attached.target.settings.clone();
    settings.insert("login_port".to_owned(), scaivault_peers::free_port().into());
    let target = Target {
        settings,
        revision: attached.target.revision + 1,
        ..attached.target.clone()
    };
    attached.w.commit([Record::Target(target)]).await;
    attached.rotate().await;
    assert_eq!(attached.follow().await, Phase::Completed);
    attached.assert_one_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_by_what_stands_in_front() {
    let system = Postgresql::start(postgresql::Kind::Manager).await;
    goes_to_the_server_itself(Arc::new(system)).await;
    let system = MariaDb::start(mariadb::Kind::Manager).await;
    goes_to_the_server_itself(Arc::new(system)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_go_on_at_postgresql() {
    let system = Arc::new(Postgresql::start(postgresql::Kind::Manager).await);
    others_go_on(system, Overlap::TwoUsers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_go_on_at_mariadb() {
    let system = Arc::new(MariaDb::start(mariadb::Kind::Manager).await);
    others_go_on(system, Overlap::TwoUsers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_go_on_at_redis() {
    let system = Arc::new(Redis::start(redis::Kind::Manager));
    others_go_on(system, Overlap::TwoPasswords).await;
}
