//! A secret attached to a real target, and the promises checked at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use scaivault_core::ids::TargetId;
use scaivault_core::ports::Record;
use scaivault_core::rotation::{Assignment, Attached as Attachment, Phase, Rotation, Rules, Which};
use scaivault_core::secret::VersionState;
use scaivault_core::target::{Overlap, Target};
use scaivault_engine::{Act, RotationPolicyDraft, default_tenant};
use serde_json::Value;

use crate::consumer::Consumer;
use crate::system::{Fresh, System, object};
use crate::world::{Kept, World, operator, path, span};

pub(crate) const MANAGER_AT: &str = "targets/manager";
const APP_AT: &str = "apps/credential";
/// Numbers accounts.
static NEXT: AtomicUsize = AtomicUsize::new(1);
/// More than any rotation here needs.
const ROUNDS_MAX: usize = 400;
/// Between two rounds.
pub(crate) const ROUND: Duration = Duration::from_secs(15);

pub(crate) struct Attached {
    pub(crate) w: World,
    pub(crate) system: Arc<dyn System>,
    pub(crate) fresh: Fresh,
    /// Where the rotated secret is.
    pub(crate) at: &'static str,
    pub(crate) consumer: Consumer,
    pub(crate) target: Target,
    /// What somebody made the target accept again and a rotation leaves alone.
    pub(crate) put_back: Option<Value>,
}

pub(crate) fn rules() -> Rules {
    Rules {
        accept_gap: true,
        consumers: Which::Live(span("1h")),
        quiet_period: span("10s"),
        poll: span("5s"),
        deadline: Some(span("6h")),
        ..Rules::default()
    }
}

fn policy(name: &str, rules: Rules) -> RotationPolicyDraft {
    RotationPolicyDraft {
        name: name.to_owned(),
        description: None,
        interval: span("90d"),
        grace_period: span("48h"),
        warn_before: Vec::new(),
        auto_generate: false,
        secret_policy_id: None,
        calendar: scaivault_core::rotation::Calendar::default(),
        drift_check: None,
        rules,
        webhook_ids: Vec::new(),
    }
}

impl Attached {
    /// Of accounts that nobody else uses.
    pub(crate) async fn new(system: Arc<dyn System>) -> Self {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let fresh = system.fresh(n).await;
        let w = World::new(u64::try_from(n).unwrap()).await;
        let at = match &fresh.manager {
            Some(manager) => {
                w.put(MANAGER_AT, manager).await;
                APP_AT
            }
            None => MANAGER_AT,
        };
        w.put(at, &fresh.first).await;
        let target = Target {
            id: TargetId::mint(w.now(), &*w.entropy),
            tenant: default_tenant(),
            name: "under-proof".to_owned(),
            description: None,
            connector: system.connector().to_owned(),
            settings: object(&fresh.settings),
            manager_path: Some(path(MANAGER_AT)),
            created_at: w.now(),
            updated_at: w.now(),
            swept_at: None,
            revision: 1,
        };
        w.commit([Record::Target(target.clone())]).await;
        let this = Self {
            w,
            system,
            fresh,
            at,
            consumer: Consumer::default(),
            target,
            put_back: None,
        };
        this.attach(at, this.fresh.overlap, &this.fresh.account, rules())
            .await;
        this
    }

    /// Attaches a secret to the target.
    pub(crate) async fn attach(&self, at: &str, overlap: Overlap, account: &Value, rules: Rules) {
        let made = self
            .w
            .vault
            .rotation_policy_create(&operator(), policy(at, rules))
            .await;
        let policy_id = made.unwrap().id;
        let made = self
            .w
            .vault
            .assignment_create(&operator(), &policy_id, &path(at))
            .await;
        made.unwrap();
        let old = self.w.assignment(at).await;
        let attached = Attachment {
            target_id: self.target.id.clone(),
            target_name: self.target.name.clone(),
            overlap,
            account: object(account),
            is_manager: at == MANAGER_AT,
        };
        let revision = old.revision + 1;
        let attached = Some(attached);
        let row = Assignment {
            attached,
            revision,
            ..old
        };
        self.w.commit([Record::Assignment(row)]).await;
    }

    /// Asks for a rotation, again when the store lost the request.
    pub(crate) async fn rotate(&mut self) {
        let before = self.w.rotations(self.at).await.len();
        let asked = self
            .w
            .vault
            .secret_rotate(&operator(), &path(self.at))
            .await;
        if asked.is_err() && self.w.rotations(self.at).await.len() == before {
            let again = self
                .w
                .vault
                .secret_rotate(&operator(), &path(self.at))
                .await;
            again.unwrap();
        }
    }

    pub(crate) async fn last(&self) -> Rotation {
        self.w.rotations(self.at).await.pop().expect("a rotation")
    }

    /// Every credential of these accounts that was ever told to the target or minted by it.
    fn made(&self) -> Vec<Value> {
        let ours = |made: &Value| match made["username"].as_str() {
            Some(name) => self.fresh.names.iter().any(|ours| ours == name),
            None => true,
        };
        self.w.script.made().into_iter().filter(ours).collect()
    }

    /// The promises, on the real system. What readers get is let in, and nothing is let in that is
    /// not kept.
    pub(crate) async fn check(&mut self) {
        let kept = self.w.kept(self.at).await;
        let rotation = self.w.rotations(self.at).await.pop();
        self.check_readers(&kept, rotation.as_ref()).await;
        self.check_known(&kept, rotation.as_ref()).await;
    }

    async fn check_readers(&mut self, kept: &[Kept], rotation: Option<&Rotation>) {
        let value = self.w.read("sa:app", self.at).await.expect("readable");
        let system = self.system.clone();
        if self.consumer.follow(&*system, &self.fresh, &value).await {
            return;
        }
        // Without overlap there is a gap, which somebody accepted by name (or which is the
        // manager's, whom this server follows): between the change and its promotion the
        // credential that is let in is kept, and about to be what readers get.
        let in_gap = self.fresh.overlap == Overlap::None
            && rotation.is_some_and(|rotation| {
                matches!(
                    rotation.phase,
                    Phase::Applying | Phase::Verifying | Phase::RollingBack | Phase::Parked
                )
            });
        assert!(
            in_gap,
            "locked out: readers get what is refused, {rotation:?}"
        );
        self.consumer.leave().await;
        for one in kept.iter().filter(|one| is_live(one.state)) {
            if let Some(session) = system.log_in(&self.fresh, &one.value).await {
                session.close().await;
                return;
            }
        }
        panic!("locked out: no version that is kept is let in, {rotation:?}");
    }

    async fn check_known(&self, kept: &[Kept], rotation: Option<&Rotation>) {
        let live = kept.iter().filter(|one| is_live(one.state));
        let live = live.map(|one| one.value.clone());
        let live: Vec<Value> = live.chain(self.put_back.clone()).collect();
        let dead = kept.iter().filter(|one| !is_live(one.state));
        let ever = dead.map(|one| one.value.clone()).chain(self.made());
        for credential in ever {
            let is_kept = live.iter().any(|value| holds(value, &credential));
            if !is_kept {
                self.assert_refused(&credential, rotation).await;
            }
        }
        let open = rotation.filter(|rotation| !rotation.phase.is_final());
        let open = open.map(|rotation| rotation.id.as_str());
        let unknown = self.system.unknown(&self.fresh, &live, open).await;
        assert!(unknown.is_empty(), "{unknown:?}: {rotation:?}");
    }

    async fn assert_refused(&self, credential: &Value, rotation: Option<&Rotation>) {
        let minted = credential.get("username").is_none() && credential.get("api_key").is_some();
        let open = rotation.is_some_and(|rotation| !rotation.phase.is_final());
        if minted && open {
            // What a lost answer left is told by its tag, which `unknown` looks at.
            return;
        }
        let let_in = self.system.log_in(&self.fresh, credential).await;
        assert!(
            let_in.is_none(),
            "let in and not kept: {credential}, {rotation:?}"
        );
    }

    /// One round: some work, then a look at the promises.
    pub(crate) async fn round(&mut self) -> Phase {
        let stood_still = self.w.still.is_some();
        // A lost commit may come up as an error: the next round goes on from the record.
        let _ = self.w.work().await;
        self.check().await;
        if stood_still && !self.w.script.is_very_late() {
            self.w.go_on().await;
            self.check().await;
        }
        let phase = self.last().await.phase;
        if phase.is_final() && self.w.still.is_some() {
            self.w.go_on().await;
            self.check().await;
        }
        phase
    }

    /// Works until the rotation has ended, looking at the promises after each round.
    pub(crate) async fn follow(&mut self) -> Phase {
        for _ in 0..ROUNDS_MAX {
            let phase = self.round().await;
            if phase.is_final() {
                return phase;
            }
            self.w.clock.advance(ROUND);
        }
        panic!("never ends: {:?}", self.last().await);
    }

    /// Steps back by request, again when the store lost the request.
    pub(crate) async fn step_back(&mut self) {
        let id = self.last().await.id;
        let act = Act::RollBack;
        for _ in 0..2 {
            let done = self.w.vault.rotation_act(&operator(), &id, act).await;
            if done.is_ok() || self.last().await.phase == Phase::RollingBack {
                return;
            }
        }
        panic!("it may not step back: {:?}", self.last().await);
    }

    /// One credential is left: the one readers get. Every other that ever was is refused.
    pub(crate) async fn assert_one_left(&mut self) {
        self.consumer.leave().await;
        let current = self.w.head(self.at).await.current_version;
        let kept = self.w.kept(self.at).await;
        let now = kept.iter().find(|one| one.version == current).unwrap();
        let session = self.system.log_in(&self.fresh, &now.value).await;
        session
            .expect("the current credential is let in")
            .close()
            .await;
        let others = kept.iter().filter(|one| one.version != current);
        let others = others.map(|one| one.value.clone());
        for other in others.chain(self.made()) {
            let left_alone = self.put_back.as_ref() == Some(&other);
            if !left_alone && !holds(&now.value, &other) {
                self.assert_refused(&other, None).await;
            }
        }
        let only: Vec<Value> = self.put_back.iter().chain([&now.value]).cloned().collect();
        let unknown = self.system.unknown(&self.fresh, &only, None).await;
        assert!(unknown.is_empty(), "left behind: {unknown:?}");
    }
}

fn is_live(state: VersionState) -> bool {
    matches!(
        state,
        VersionState::Pending | VersionState::Current | VersionState::Previous
    )
}

/// Whether a value holds these fields.
fn holds(value: &Value, fields: &Value) -> bool {
    let fields = fields.as_object().expect("an object");
    fields
        .iter()
        .all(|(name, field)| value.get(name) == Some(field))
}
