//! The cases. Each leaves `current` accepted.

use std::time::{Duration, Instant};

use scaivault_core::ports::{Call, Effect, Login, Refusal, Residue, Sessions};
use scaivault_core::target::TroubleKind;
use serde_json::json;

use super::suite::{Suite, assert_applied, field, plain};

/// How long a server may take until it no longer shows a session that was closed.
const SETTLE_MAX: Duration = Duration::from_secs(10);

pub(super) fn descriptor(suite: &Suite<'_>) {
    let descriptor = suite.connector.descriptor();
    assert!(!descriptor.name.is_empty() && !descriptor.about.is_empty());
    assert!(descriptor.overlaps.contains(&suite.subject.overlap()));
    assert!(
        descriptor.overlaps.is_sorted(),
        "overlaps are told safest first"
    );
}

pub(super) fn settings(suite: &Suite<'_>) {
    let overlap = suite.subject.overlap();
    assert_eq!(suite.connector.check_settings(&suite.settings), []);
    assert_eq!(suite.connector.check_account(&suite.account, overlap), []);
    for name in ["password", "no_such_setting"] {
        let mut settings = suite.settings.clone();
        settings.insert(name.into(), json!("x"));
        let problems = suite.connector.check_settings(&settings);
        assert!(problems.iter().any(|(field, _)| field == name), "{name}");
        let mut account = suite.account.clone();
        account.insert(name.into(), json!("x"));
        let problems = suite.connector.check_account(&account, overlap);
        assert!(problems.iter().any(|(field, _)| field == name), "{name}");
    }
    assert_ne!(suite.connector.check_settings(&serde_json::Map::new()), []);
}

pub(super) async fn check(suite: &Suite<'_>) {
    let found = suite.connector.check(&suite.call()).await.expect("a look");
    assert!(!found.server.is_empty() && !found.may.is_empty());
    assert_eq!(found.missing, [], "the manager of the suite lacks nothing");
    assert!(found.overlaps.contains(&suite.subject.overlap()));
    let general = Call {
        account: &serde_json::Map::new(),
        ..suite.call()
    };
    let found = suite.connector.check(&general).await.expect("a look");
    assert!(found.overlaps.contains(&suite.subject.overlap()));
}

/// Planning changes nothing.
pub(super) async fn candidate(suite: &mut Suite<'_>) {
    let current = suite.current.clone();
    suite.assert_accepted(&current, "the first").await;
    if let Some(planned) = suite.plan(Some(&current)) {
        let name = suite.subject.secret_field();
        assert_ne!(field(&planned, name), field(&current, name));
        suite.assert_accepted(&current, "current").await;
        suite.assert_refused(&planned, "a plan").await;
    }
}

/// One rotation, every effect made twice.
pub(super) async fn rotation(suite: &mut Suite<'_>) {
    suite.begin();
    let old = suite.current.clone();
    let new = match suite.plan(Some(&old)) {
        Some(new) => {
            assert_applied(&suite.apply(Some(&new), Some(&old)).await);
            suite.epoch += 1;
            assert_applied(&suite.apply(Some(&new), Some(&old)).await);
            new
        }
        None => minted(suite, &old).await,
    };
    suite.assert_accepted(&new, "the candidate").await;
    assert_eq!(login(suite, &new).await, Login::Accepted);
    if suite.has_gap() {
        suite.assert_refused(&old, "what was replaced").await;
    } else {
        suite.assert_accepted(&old, "current beside it").await;
        assert_eq!(login(suite, &old).await, Login::Accepted);
    }
    suite.current.clone_from(&new);
    suite.promoted = Some(Instant::now());
    for _ in 0..2 {
        suite.epoch += 1;
        assert_applied(&suite.retire(&old, Some(&new)).await);
        suite.assert_refused(&old, "what was retired").await;
        suite.assert_accepted(&new, "what is kept").await;
    }
    assert!(matches!(login(suite, &old).await, Login::Refused(_)));
}

/// A mint whose answer was lost is found by its tag and cleared, then one that is kept.
async fn minted(suite: &mut Suite<'_>, old: &str) -> String {
    let lost = suite.advance(Some(old)).await;
    assert_eq!(
        suite.connector.residue(&suite.call()).await,
        Residue::Found(1)
    );
    suite.assert_accepted(&lost, "what was minted").await;
    for _ in 0..2 {
        assert_applied(&suite.connector.clear(&suite.call()).await);
        assert_eq!(suite.connector.residue(&suite.call()).await, Residue::None);
    }
    suite.assert_refused(&lost, "what was cleared").await;
    suite.assert_accepted(old, "current").await;
    suite.advance(Some(old)).await
}

pub(super) async fn login(suite: &Suite<'_>, credential: &str) -> Login {
    suite
        .connector
        .login(&suite.call(), &plain(credential))
        .await
}

async fn count(suite: &Suite<'_>, credential: &str) -> u64 {
    let (call, credential) = (suite.call(), plain(credential));
    match suite.connector.sessions(&call, &credential).await {
        Sessions::Open(count) => count,
        other => panic!("sessions are not told: {other:?}"),
    }
}

/// A server forgets a closed session a moment later.
async fn assert_none_left(suite: &Suite<'_>, credential: &str) {
    let begun = Instant::now();
    while count(suite, credential).await != 0 {
        assert!(begun.elapsed() < SETTLE_MAX, "a closed session is counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sessions of the old credential are counted until they are gone, and retiring ends them.
pub(super) async fn sessions(suite: &mut Suite<'_>) {
    if !suite.subject.has_sessions() {
        return;
    }
    suite.begin();
    let old = suite.current.clone();
    let held = suite.subject.open_session(&old).await;
    let mut cut = suite.subject.open_session(&old).await;
    let new = suite.advance(Some(&old)).await;
    suite.current.clone_from(&new);
    suite.promoted = Some(Instant::now());
    let mut kept = suite.subject.open_session(&new).await;

    assert_eq!(count(suite, &old).await, 2);
    held.close().await;
    let begun = Instant::now();
    while count(suite, &old).await != 1 {
        assert!(begun.elapsed() < SETTLE_MAX, "a closed session is counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(cut.works().await);
    suite.epoch += 1;
    assert_applied(&suite.retire(&old, Some(&new)).await);
    assert!(!cut.works().await, "a session of the dead one still works");
    assert!(kept.works().await, "a session of the kept one was ended");
    assert_none_left(suite, &old).await;
    suite.assert_accepted(&new, "what is kept").await;
    kept.close().await;
}

/// Told to retire what is to be kept, a connector keeps it.
pub(super) async fn retire_spares_keep(suite: &mut Suite<'_>) {
    suite.begin();
    let current = suite.current.clone();
    let mut session = match suite.subject.has_sessions() {
        true => Some(suite.subject.open_session(&current).await),
        false => None,
    };
    let _ = suite.retire(&current, Some(&current)).await;
    suite.assert_accepted(&current, "what is kept").await;
    if let Some(session) = &mut session {
        assert!(session.works().await, "a session of the kept one was ended");
    }
}

/// What comes late is refused by the target.
pub(super) async fn fence(suite: &mut Suite<'_>) {
    if !suite.subject.fences() {
        return;
    }
    let early = suite.epoch;
    let stale = suite.current.clone();
    suite.rotate().await;
    let late = suite
        .plan(Some(&stale))
        .expect("fenced targets mint nothing");
    let back = suite.rotate().await;
    let now = std::mem::replace(&mut suite.epoch, early);
    assert_fenced(&suite.apply(Some(&late), Some(&stale)).await);
    suite.assert_refused(&late, "what came late").await;
    let current = suite.current.clone();
    assert_fenced(&suite.retire(&current, Some(&back)).await);
    suite.assert_accepted(&current, "current").await;
    suite.epoch = now;
}

fn assert_fenced(effect: &Effect) {
    let fenced = matches!(effect, Effect::NotApplied(t) if t.kind == TroubleKind::Fenced);
    assert!(fenced, "{effect:?}");
}

fn assert_not_applied(effect: &Effect, kind: TroubleKind) {
    let as_told = matches!(effect, Effect::NotApplied(t) if t.kind == kind);
    assert!(as_told, "{effect:?}, not {kind:?}");
}

/// Wrong credentials and a dead server are told apart.
pub(super) async fn refusals(suite: &mut Suite<'_>) {
    suite.begin();
    let current = suite.current.clone();
    let wrong = suite.subject.wrong(&current);
    assert_eq!(
        login(suite, &wrong).await,
        Login::Refused(Refusal::Credential)
    );

    let planned = suite.plan(Some(&current));
    let manager = std::mem::replace(
        &mut suite.manager,
        plain(&suite.subject.wrong(&suite.subject.manager())),
    );
    let effect = suite.apply(planned.as_deref(), Some(&current)).await;
    assert_not_applied(&effect, TroubleKind::ManagerRefused);
    let look = suite.connector.check(&suite.call()).await;
    assert_eq!(
        look.expect_err("a wrong password").kind,
        TroubleKind::ManagerRefused
    );

    suite.manager = plain("{}");
    let effect = suite.apply(planned.as_deref(), Some(&current)).await;
    assert_not_applied(&effect, TroubleKind::ManagerMissing);
    suite.manager = manager;

    let alive = std::mem::replace(&mut suite.settings, suite.subject.dead_settings());
    match login(suite, &current).await {
        Login::Unknown(trouble) => assert_eq!(trouble.kind, TroubleKind::Unreachable),
        other => panic!("a dead server answered {other:?}"),
    }
    let effect = suite.apply(planned.as_deref(), Some(&current)).await;
    assert_not_applied(&effect, TroubleKind::Unreachable);
    let effect = suite.retire(&current, None).await;
    assert_not_applied(&effect, TroubleKind::Unreachable);
    suite.settings = alive;
    suite.assert_accepted(&current, "current").await;
}

/// A manager without rights changes nothing, and what it is told to ask for suffices.
pub(super) async fn weak_manager(suite: &mut Suite<'_>) {
    let Some(weak) = suite.subject.weak_manager().await else {
        return;
    };
    suite.begin();
    let current = suite.current.clone();
    let strong = std::mem::replace(&mut suite.manager, plain(&weak));
    let planned = suite.plan(Some(&current));
    let effect = suite.apply(planned.as_deref(), Some(&current)).await;
    assert_not_applied(&effect, TroubleKind::Privilege);
    let Effect::NotApplied(trouble) = effect else {
        unreachable!()
    };
    assert!(!trouble.remedy.is_empty(), "no remedy is told");
    if let Some(planned) = &planned {
        suite.assert_refused(planned, "what was not applied").await;
    }
    suite.assert_accepted(&current, "current").await;

    let found = suite.connector.check(&suite.call()).await.expect("a look");
    let statements: Vec<String> = found.missing.into_iter().map(|m| m.statement).collect();
    assert!(!statements.is_empty(), "nothing is said to be missing");
    if suite.subject.cure(&statements).await {
        let found = suite.connector.check(&suite.call()).await.expect("a look");
        assert_eq!(found.missing, [], "the statements do not suffice");
        suite.rotate().await;
        suite.rotate().await;
    }
    suite.manager = strong;
    let current = suite.current.clone();
    suite.assert_accepted(&current, "current").await;
}

/// Two rotations leave grants, limits and ownership as they were.
pub(super) async fn fingerprint(suite: &mut Suite<'_>) {
    let before = suite.subject.fingerprint().await;
    assert!(!before.is_empty());
    suite.rotate().await;
    suite.rotate().await;
    assert_eq!(suite.subject.fingerprint().await, before);
}

/// Many rotations in a row.
pub(super) async fn many(suite: &mut Suite<'_>) {
    for _ in 0..6 {
        let old = suite.rotate().await;
        suite.assert_refused(&old, "what was retired").await;
        let current = suite.current.clone();
        suite.assert_accepted(&current, "current").await;
    }
}

/// A rotation of throw-away accounts, which are gone afterwards.
pub(super) async fn rehearsal(suite: &mut Suite<'_>) {
    suite.begin();
    let Some(account) = suite.connector.rehearsal_account(&suite.call()) else {
        return;
    };
    let overlap = suite.subject.overlap();
    assert_eq!(suite.connector.check_account(&account, overlap), []);
    let real = std::mem::replace(&mut suite.account, account);

    let first = suite.advance(None).await;
    assert_eq!(login(suite, &first).await, Login::Accepted);
    let second = suite.advance(Some(&first)).await;
    assert_eq!(login(suite, &second).await, Login::Accepted);
    suite.promoted = Some(Instant::now());
    assert_applied(&suite.retire(&first, Some(&second)).await);
    assert!(matches!(login(suite, &first).await, Login::Refused(_)));

    let found = suite.connector.sweep(&suite.call()).await.expect("a sweep");
    for _ in 0..2 {
        assert_applied(&suite.connector.remove(&suite.call()).await);
    }
    assert!(matches!(login(suite, &second).await, Login::Refused(_)));
    assert!(!found.is_empty());
    let prefixed = |name: &String| name.starts_with("scaivault_rehearsal_");
    assert!(found.iter().all(prefixed), "{found:?}");
    let left = suite.connector.sweep(&suite.call()).await;
    assert_eq!(left, Ok(Vec::new()), "something is left behind");

    // A real account is never removed.
    suite.account = real;
    let effect = suite.connector.remove(&suite.call()).await;
    assert_not_applied(&effect, TroubleKind::Settings);
    let current = suite.current.clone();
    suite.assert_accepted(&current, "current").await;
}

/// The server was told no secret it could write down.
pub(super) async fn log(suite: &Suite<'_>) {
    let text = suite.subject.log_text().await;
    let holds = suite.subject.log_holds();
    assert!(text.contains(holds), "the log does not even hold {holds}");
    assert!(suite.made.len() > 8);
    for secret in &suite.made {
        assert!(!text.contains(secret), "the log holds a secret");
    }
}
