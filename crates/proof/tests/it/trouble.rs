//! Trouble of operation, on real servers: the rotation parks with a reason that tells what to do,
//! consumers go on working, and after the cure it goes on to success.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::rotation::{Phase, Reason, Rotation};
use scaivault_core::target::TroubleKind;
use scaivault_engine::Act;
use serde_json::json;

use crate::attached::{Attached, MANAGER_AT};
use crate::mariadb::{self, MariaDb};
use crate::postgresql::{self, Postgresql};
use crate::redis::{self, Redis};
use crate::system::{Operation, System, text};
use crate::world::operator;

const MINUTE: Duration = Duration::from_secs(60);

/// Where in a rotation the trouble comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before anything was changed.
    AtFirst,
    /// Readers have the new version; both are accepted.
    Draining,
}

/// How a parked rotation goes on after its cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Resumed,
    ByItself,
}

const TIMES: [(When, Then); 2] = [
    (When::AtFirst, Then::ByItself),
    (When::Draining, Then::Resumed),
];

impl Attached {
    /// Asks for a rotation and goes as far as `when`.
    async fn until(&mut self, when: When) {
        self.check().await;
        self.rotate().await;
        if when == When::Draining {
            assert_eq!(self.round().await, Phase::Propagating);
            self.w.clock.advance(crate::attached::ROUND);
        }
    }

    /// Hours go by; nobody looks at the target but the worker.
    async fn hours(&mut self, hours: u32) {
        for _ in 0..60 * hours {
            let _ = self.w.work().await;
            self.w.clock.advance(MINUTE);
        }
    }

    /// It is parked by this trouble, and says what to do.
    async fn assert_parked(&mut self, kind: TroubleKind) -> Rotation {
        // Now and then it tries again by itself.
        for _ in 0..20 {
            if self.last().await.phase != Phase::Parked {
                let _ = self.w.work().await;
                self.w.clock.advance(crate::attached::ROUND);
            }
        }
        let rotation = self.last().await;
        let why = (rotation.phase, rotation.reason);
        assert_eq!(
            why,
            (Phase::Parked, Some(Reason::TargetTrouble)),
            "{rotation:?}"
        );
        let trouble = rotation.trouble.clone().expect("a trouble");
        assert_eq!(trouble.kind, kind, "{trouble:?}");
        assert!(!trouble.kind.advice().is_empty());
        let next = rotation.wake_at.expect("it is tried again by itself");
        assert!(next > self.w.now().minus(MINUTE));
        rotation
    }

    /// Goes on to its end, with everybody let in all the way.
    async fn cured(&mut self, then: Then) {
        self.check().await;
        match then {
            Then::ByItself => self.w.clock.advance(MINUTE * 16),
            Then::Resumed => {
                let id = self.last().await.id;
                let done = self
                    .w
                    .vault
                    .rotation_act(&operator(), &id, Act::Resume)
                    .await;
                assert_ne!(done.unwrap().phase, Phase::Parked);
                self.w.now()
            }
        };
        assert_eq!(self.follow().await, Phase::Completed);
        self.assert_one_left().await;
    }
}

async fn down_for_hours(system: Arc<dyn System>) {
    for (when, then) in TIMES {
        let mut attached = Attached::new(system.clone()).await;
        attached.until(when).await;
        attached.consumer.cut_off();
        system.stop();
        attached.hours(5).await;
        attached.assert_parked(TroubleKind::Unreachable).await;
        // Readers are served all the while.
        attached.w.read("sa:app", attached.at).await.unwrap();
        system.start_again().await;
        attached.cured(then).await;
    }
}

async fn manager_trouble(system: Arc<dyn System>) {
    for (when, then) in TIMES {
        let mut attached = Attached::new(system.clone()).await;
        attached.until(when).await;
        let changed = Operation::SetManager("changed");
        system.operate(changed, &attached.fresh).await;
        attached.hours(1).await;
        attached.assert_parked(TroubleKind::ManagerRefused).await;
        attached.check().await;
        let manager = json!({"username": "manager", "password": "changed"});
        attached.w.put(MANAGER_AT, &manager).await;
        attached.cured(then).await;
        let back = Operation::SetManager("manages");
        system.operate(back, &attached.fresh).await;
    }
    for (when, then) in TIMES {
        let mut attached = Attached::new(system.clone()).await;
        attached.until(when).await;
        system
            .operate(Operation::ExpireManager, &attached.fresh)
            .await;
        attached.hours(1).await;
        attached.assert_parked(TroubleKind::ManagerRefused).await;
        attached.check().await;
        system
            .operate(Operation::RenewManager, &attached.fresh)
            .await;
        attached.cured(then).await;
    }
}

async fn right_taken(system: Arc<dyn System>) {
    for (when, then) in TIMES {
        let mut attached = Attached::new(system.clone()).await;
        attached.until(when).await;
        system.operate(Operation::TakeRight, &attached.fresh).await;
        attached.hours(1).await;
        let parked = attached.assert_parked(TroubleKind::Privilege).await;
        attached.check().await;
        let remedy = parked.trouble.unwrap().remedy;
        assert!(!remedy.is_empty(), "no remedy is named");
        for statement in remedy {
            system
                .operate(Operation::Run(statement), &attached.fresh)
                .await;
        }
        attached.cured(then).await;
    }
}

/// The server comes back from a backup that was made before the rotation, while it drains or after
/// its end: the successor is gone, the old credential is there again.
async fn restored(system: Arc<dyn System>) {
    let mut attached = Attached::new(system.clone()).await;
    attached.until(When::Draining).await;
    let first = text(&attached.fresh.first, "password").to_owned();
    system
        .operate(Operation::PutBack(first.clone()), &attached.fresh)
        .await;
    // What is left working is not taken away before the successor works again.
    let begun = attached.w.now();
    loop {
        let _ = attached.w.work().await;
        attached.assert_somebody_gets_in().await;
        let value = attached.w.read("sa:app", attached.at).await.unwrap();
        if let Some(session) = system.log_in(&attached.fresh, &value).await {
            session.close().await;
            break;
        }
        attached.w.clock.advance(crate::attached::ROUND);
        assert!(attached.w.now().since(begun) < MINUTE * 10, "not healed");
    }
    assert_eq!(attached.follow().await, Phase::Completed);
    attached.assert_one_left().await;

    // After its end nobody looks; the next rotation brings everything together.
    system
        .operate(Operation::PutBack(first), &attached.fresh)
        .await;
    attached.consumer.leave().await;
    let cleared = system.clears_what_is_put_back();
    attached.put_back = (!cleared).then(|| attached.fresh.first.clone());
    attached.rotate().await;
    let _ = attached.w.work().await;
    assert_eq!(attached.follow().await, Phase::Completed);
    attached.assert_one_left().await;
}

impl Attached {
    async fn assert_somebody_gets_in(&self) {
        for one in self.w.kept(self.at).await {
            if let Some(session) = self.system.log_in(&self.fresh, &one.value).await {
                session.close().await;
                return;
            }
        }
        panic!("locked out: {:?}", self.last().await);
    }
}

async fn all(system: Arc<dyn System>) {
    down_for_hours(system.clone()).await;
    manager_trouble(system.clone()).await;
    right_taken(system.clone()).await;
    restored(system).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_postgresql() {
    all(Arc::new(
        Postgresql::start(postgresql::Kind::TwoUsers).await,
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_mariadb() {
    all(Arc::new(MariaDb::start(mariadb::Kind::TwoUsers).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_mariadb_with_two_passwords() {
    all(Arc::new(MariaDb::start(mariadb::Kind::TwoPasswords).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_redis() {
    all(Arc::new(Redis::start(redis::Kind::TwoPasswords))).await;
}
