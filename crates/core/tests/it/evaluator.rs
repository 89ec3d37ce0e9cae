//! The one decision point answers as a second evaluator does that was written from the
//! documentation alone. `SCAIVAULT_DECISIONS` sets how many questions, a million by default.

use std::collections::BTreeMap;

use scaivault_core::access::decide;
use scaivault_core::identity::ScopeSet;
use scaivault_core::path::SecretPath;
use scaivault_testkit::access_model::generate::{Dice, Scene};
use scaivault_testkit::access_model::{Answer, naive, real};

const ASKERS: usize = 5;
const ASKS: usize = 10;
const THREADS: usize = 2;

fn compare(seeds: std::ops::Range<usize>) -> BTreeMap<Answer, usize> {
    let mut counts = BTreeMap::new();
    for seed in seeds {
        let mut dice = Dice::new(seed as u64);
        let scene = Scene::roll(&mut dice);
        let policies = real::policies(&scene.world);
        for _ in 0..ASKERS {
            let asker = scene.asker(&mut dice);
            let principal = real::principal(&asker, ScopeSet::all());
            let grants = real::grants(&scene.world, &policies, &asker);
            for _ in 0..ASKS {
                let ask = scene.ask(&mut dice, &asker);
                let path = SecretPath::parse(&ask.path).expect("paths are made valid");
                let decision = decide(&principal, &grants, &real::attempt(&ask, &path));
                let expected = naive::answer(&scene.world, &asker, &ask);
                let world = &scene.world;
                assert_eq!(
                    real::answer(&decision),
                    expected,
                    "seed {seed}\n{asker:?}\n{ask:?}\n{world:#?}"
                );
                if let Some(matched) = decision.as_ref().ok().and_then(|grant| grant.matched()) {
                    let place: usize = matched.policy_id.as_str()[4..].parse().expect("its place");
                    assert!(
                        naive::allows(world, &asker, &ask, place, matched.rule_index),
                        "seed {seed} names {matched:?}\n{asker:?}\n{ask:?}\n{world:#?}"
                    );
                }
                *counts.entry(expected).or_default() += 1;
            }
        }
    }
    counts
}

#[test]
fn a_million_decisions_are_those_of_a_second_evaluator() {
    let questions: usize = std::env::var("SCAIVAULT_DECISIONS")
        .map_or(1_000_000, |text| text.parse().expect("a number"));
    let scenes = questions.div_ceil(ASKERS * ASKS);
    let share = scenes.div_ceil(THREADS);
    let mut counts: BTreeMap<Answer, usize> = BTreeMap::new();
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..THREADS)
            .map(|part| scope.spawn(move || compare(part * share..(part + 1) * share)))
            .collect();
        for part in parts {
            for (answer, count) in part.join().unwrap() {
                *counts.entry(answer).or_default() += count;
            }
        }
    });
    let asked: usize = counts.values().sum();
    println!("{asked} questions: {counts:?}");
    assert!(asked >= questions);
    // The questions are worth asking: about half are allowed, and every refusal is among them.
    let share_of = |answer: Answer| counts.get(&answer).copied().unwrap_or(0) * 100 / asked;
    assert!((40..=60).contains(&share_of(Answer::Allowed)), "{counts:?}");
    for refusal in [
        Answer::NoRule,
        Answer::Address,
        Answer::SecondFactor,
        Answer::TimeWindow,
    ] {
        assert!(share_of(refusal) >= 3, "{refusal:?}: {counts:?}");
    }
}
