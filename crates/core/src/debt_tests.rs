use super::*;
use crate::ports::Refusal;

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

fn attached() -> Attached {
    Attached {
        target_id: TargetId::parse("tgt_1").unwrap(),
        target_name: "orders".into(),
        overlap: Overlap::TwoUsers,
        account: Map::new(),
        is_manager: false,
    }
}

fn debt(owed: Owed) -> Debt {
    let id = DebtId::parse("dbt_1").unwrap();
    let tenant = TenantId::parse("tnt_a").unwrap();
    let at = attached();
    Debt::new(id, tenant, (at.target_id, at.target_name), owed, T0, T0)
}

fn credential(may_arrive: bool) -> Debt {
    debt(Owed::Credential {
        path: SecretPath::parse("a/b").unwrap(),
        version: 1,
        rotation_id: RotationId::parse("rtn_1").unwrap(),
        attached: attached(),
        may_arrive,
    })
}

fn residue() -> Debt {
    debt(Owed::Residue {
        path: SecretPath::parse("a/b").unwrap(),
        rotation_id: RotationId::parse("rtn_1").unwrap(),
        attached: attached(),
        until: 7,
    })
}

const JITTER: Jitter = Jitter(u64::MAX);
const REFUSED: Login = Login::Refused(Refusal::Credential);

fn later(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

#[test]
fn a_refused_credential_settles_unless_a_change_may_still_arrive() {
    assert_eq!(credential(false).looked(&REFUSED, JITTER, T0), None);
    let telling = credential(true).looked(&REFUSED, JITTER, T0).unwrap();
    assert_eq!(telling.step(), DebtStep::Retire);
    let told = telling.sent(&Effect::applied(), JITTER, T0).unwrap();
    assert_eq!(told.step(), DebtStep::Login);
    let waiting = told.looked(&REFUSED, JITTER, later(899)).unwrap();
    assert_eq!(
        waiting.step(),
        DebtStep::Login,
        "looked at again, told no more"
    );
    assert_eq!(waiting.looked(&REFUSED, JITTER, later(900)), None);
}

#[test]
fn an_accepted_credential_is_told_and_looked_at_again() {
    let telling = credential(false)
        .looked(&Login::Accepted, JITTER, T0)
        .unwrap();
    assert_eq!(telling.step(), DebtStep::Retire);
    let told = telling.sent(&Effect::applied(), JITTER, T0).unwrap();
    let still = told.looked(&Login::Accepted, JITTER, T0).unwrap();
    assert_eq!(still.step(), DebtStep::Retire, "told again, later");
    assert!(still.wake_at > Some(T0));
    let code = still.trouble.and_then(|trouble| trouble.code);
    assert_eq!(code.as_deref(), Some("still_accepted"));
}

#[test]
fn an_account_that_is_needed_is_never_taken_for_done_while_the_credential_is_accepted() {
    let needed = Effect::NotApplied(TroubleKind::Settings.into());
    let accepted = credential(false)
        .looked(&Login::Accepted, JITTER, T0)
        .unwrap();
    let next = accepted.sent(&needed, JITTER, T0).unwrap();
    assert_eq!(next.step(), DebtStep::Login);
    let refused = credential(true).looked(&REFUSED, JITTER, T0).unwrap();
    assert_eq!(refused.sent(&needed, JITTER, T0), None);
    let down = Effect::NotApplied(TroubleKind::Unreachable.into());
    assert!(refused.sent(&down, JITTER, T0).is_some());
}

#[test]
fn late_keys_are_watched_for_a_quarter_of_an_hour() {
    let debt = residue();
    assert_eq!(debt.step(), DebtStep::Residue);
    assert!(
        debt.looked_for_residue(&Residue::None, JITTER, later(899))
            .is_some()
    );
    assert_eq!(
        debt.looked_for_residue(&Residue::None, JITTER, later(900)),
        None
    );
    let found = debt
        .looked_for_residue(&Residue::Found(1), JITTER, later(900))
        .unwrap();
    assert_eq!(found.step(), DebtStep::Clear);
    let others = Effect::NotApplied(TroubleKind::Fenced.into());
    for done in [Effect::applied(), others] {
        let told = found.sent(&done, JITTER, later(901)).unwrap();
        assert_eq!(told.step(), DebtStep::Residue);
    }
}

#[test]
fn attempts_double_from_a_minute_to_an_hour_and_never_end() {
    let mut debt = credential(false);
    let mut waits = Vec::new();
    for _ in 0..40 {
        let trouble = Some(TroubleKind::Unreachable.into());
        debt = debt.put_off(trouble, Jitter(0), T0);
        waits.push(debt.wake_at.unwrap().since(T0).as_secs());
    }
    assert_eq!(waits[..7], [30, 60, 120, 240, 480, 960, 1_800]);
    assert!(
        waits[7..].iter().all(|wait| *wait == 1_800),
        "half of an hour at least"
    );
}

#[test]
fn its_age_is_told_once() {
    let debt = credential(false);
    assert!(!debt.is_to_be_told(later(86_399)));
    assert!(debt.is_to_be_told(later(86_400)));
    let told = Debt {
        alerted: true,
        ..debt
    };
    assert!(!told.is_to_be_told(later(900_000)));
}
