//! Every step of the machine, before, unknown and after, with the worker killed, told an error,
//! or paused and replaced. The list of steps is the machine's own: one that no story reaches
//! fails the test.

use std::collections::{BTreeMap, BTreeSet};

use scaivault_core::rotation::StepKind;
use scaivault_core::target::Overlap;
use scaivault_simulation::{Fate, Inject, Place, STORIES, Story, Variant, walk};

/// Whether a rotation at a target of this overlap can come to this step.
fn belongs(step: StepKind, overlap: Overlap) -> bool {
    match step {
        StepKind::Clear | StepKind::LookResidue => overlap == Overlap::NKeys,
        StepKind::LookCandidate => overlap != Overlap::NKeys,
        StepKind::Restore => overlap == Overlap::None,
        // Of strategies without a target; their matrix runs over the names of their commits.
        StepKind::Promote | StepKind::Withdraw | StepKind::Overdue => false,
        // The first credential of a secret, and the deletion of a secret.
        StepKind::Close | StepKind::Abandon => false,
        StepKind::Generate
        | StepKind::Apply
        | StepKind::Retire
        | StepKind::Heal
        | StepKind::LookSessions
        | StepKind::LookRetired
        | StepKind::Verify
        | StepKind::Enter
        | StepKind::Force
        | StepKind::Alert
        | StepKind::StepBack
        | StepKind::Demote
        | StepKind::Finish
        | StepKind::Resume
        | StepKind::Park
        | StepKind::Wait => true,
    }
}

/// Runs every mishap at every stop of every story. Answers what was broken, the steps that were
/// reached, and how many points there were.
fn points(overlap: Overlap, variant: Option<Variant>) -> (Vec<String>, BTreeSet<StepKind>, usize) {
    let (mut broken, mut reached, mut points) = (Vec::new(), BTreeSet::new(), 0);
    let mut plain = Vec::new();
    for story in STORIES {
        let stops = match walk(story, overlap, None, variant) {
            Ok(calm) => calm.stops,
            Err(failed) => {
                broken.push(format!("{overlap:?} {story:?}: {failed:?}"));
                continue;
            }
        };
        reached.extend(stops.iter().copied());
        // What all stories begin with is tried in the first of them.
        let same = stops
            .iter()
            .zip(&plain)
            .take_while(|(one, other)| one == other);
        let begins = same.count();
        let mut seen: BTreeMap<StepKind, usize> = BTreeMap::new();
        for (stop, step) in stops.iter().enumerate().skip(begins) {
            let times = seen.entry(*step).or_default();
            *times += 1;
            if *times > 6 {
                continue; // the same again: waiting, looking at sessions
            }
            for place in [Place::Before, Place::Unknown, Place::After] {
                for fate in [Fate::Killed, Fate::Error, Fate::Paused] {
                    let inject = Inject {
                        at: stop + 1,
                        place,
                        fate,
                    };
                    points += 1;
                    match walk(story, overlap, Some(inject), variant) {
                        Ok(walked) if walked.struck => {}
                        Ok(_) => broken.push(format!("{story:?} {inject:?}: never came there")),
                        Err(failed) => {
                            broken.push(format!("{story:?} {step:?} {inject:?}: {failed:?}"));
                        }
                    }
                }
            }
        }
        if story == Story::Plain {
            plain = stops;
        }
    }
    (broken, reached, points)
}

fn matrix(overlap: Overlap) {
    let (broken, reached, points) = points(overlap, None);
    assert_eq!(broken, Vec::<String>::new(), "{overlap:?}");
    let all = StepKind::ALL.iter().copied();
    let missed: Vec<_> = all
        .filter(|step| belongs(*step, overlap) && !reached.contains(step))
        .collect();
    assert!(
        missed.is_empty(),
        "{overlap:?}: no story reaches {missed:?}"
    );
    assert!(points >= 36, "{overlap:?}: only {points} points");
}

#[test]
fn broken_engines_fall_at_a_crash_point() {
    let fallen = |overlap, variant| !points(overlap, Some(variant)).0.is_empty();
    assert!(fallen(Overlap::NKeys, Variant::UnknownIsNotApplied));
    assert!(fallen(Overlap::TwoUsers, Variant::KeptUnseen));
    assert!(fallen(Overlap::TwoUsers, Variant::StepBackAtOnce));
}

#[test]
fn two_users_survive_every_crash_point() {
    matrix(Overlap::TwoUsers);
}

#[test]
fn two_passwords_survive_every_crash_point() {
    matrix(Overlap::TwoPasswords);
}

#[test]
fn minted_keys_survive_every_crash_point() {
    matrix(Overlap::NKeys);
}

#[test]
fn no_overlap_survives_every_crash_point() {
    matrix(Overlap::None);
}
