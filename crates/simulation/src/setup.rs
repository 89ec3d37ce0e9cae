//! What a life begins with: the target's kind, the policy's rules, who is there, and which kinds
//! of faults may strike. Drawn from the seed, or given.

use scaivault_core::identity::Identity;
use scaivault_core::rotation::{OnDeadline, OnFailure, Rules, Which};
use scaivault_core::target::Overlap;
use scaivault_core::time::Span;
use scaivault_testkit::SeededEntropy;

/// How often faults strike, in parts of a thousand chances.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    pub(crate) commit: u64,
    pub(crate) read: u64,
    pub(crate) effect: u64,
    pub(crate) undo: u64,
    pub(crate) look: u64,
    pub(crate) death: u64,
    pub(crate) pause: u64,
    pub(crate) outage: u64,
    pub(crate) operator: u64,
    pub(crate) report: u64,
    pub(crate) hand: u64,
    /// How often another actor begins while one is under way.
    pub(crate) interleave: u64,
}

/// A life's beginning.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) overlap: Overlap,
    pub(crate) fences: bool,
    pub(crate) observable: bool,
    pub(crate) rules: Rules,
    pub(crate) workers: usize,
    /// All tasks share one vault, as in one process; else each worker has its own.
    pub(crate) one_vault: bool,
    pub(crate) consumers: usize,
    pub(crate) acknowledging: usize,
    pub(crate) max_versions: u32,
    pub(crate) rates: Rates,
    /// Events before faults stop.
    pub(crate) events: usize,
}

pub(crate) fn span(seconds: u64) -> Span {
    Span::parse(&format!("{seconds}s")).unwrap_or_else(|_| unreachable!("a plain number"))
}

pub(crate) fn consumer_name(number: usize) -> Identity {
    Identity::parse(&format!("sa:app-{number}")).unwrap_or_else(|_| unreachable!("a plain name"))
}

impl Setup {
    /// Everything good: one worker, two consumers.
    pub(crate) fn calm(overlap: Overlap) -> Self {
        Self {
            overlap,
            fences: true,
            observable: true,
            rules: Rules {
                accept_gap: overlap == Overlap::None,
                consumers: Which::Live(span(600)),
                quiet_period: span(20),
                deadline: Some(span(7_200)),
                ..Rules::default()
            },
            workers: 1,
            one_vault: true,
            consumers: 2,
            acknowledging: 0,
            max_versions: 10,
            rates: Rates::default(),
            events: 0,
        }
    }

    /// What the seed says. Each life has some kinds of faults and not others: rare faults meet
    /// more often that way than when all of them strike a little.
    pub(crate) fn drawn(dice: &SeededEntropy) -> Self {
        let one_in = |n: u64| dice.below(n) == 0;
        let overlap = Overlap::ALL[usize::try_from(dice.below(4)).unwrap_or(0)];
        let consumers = usize::try_from(dice.below(4)).unwrap_or(0);
        let rate = |most: u64| match dice.below(2) {
            0 => 0,
            _ => 1 + dice.below(most),
        };
        let rules = Rules {
            accept_gap: overlap == Overlap::None,
            approval: one_in(6),
            consumers: match dice.below(4) {
                0 => Which::Listed((0..consumers).map(consumer_name).collect()),
                1 => Which::Count(u32::try_from(consumers.min(2)).unwrap_or(0)),
                _ => Which::Live(span(60 + dice.below(600))),
            },
            quiet_period: span(1 + dice.below(40)),
            deadline: Some(span(60 + dice.below(1_500))),
            on_deadline: match dice.below(3) {
                0 => OnDeadline::Hold,
                1 => OnDeadline::Force,
                _ => OnDeadline::RollBack,
            },
            on_failure: match one_in(2) {
                true => OnFailure::Hold,
                false => OnFailure::RollBack,
            },
            poll: span(5 + dice.below(40)),
            propagation_bound: span(30 + dice.below(600)),
            ..Rules::default()
        };
        let rates = Rates {
            commit: rate(60),
            read: rate(20),
            effect: rate(700),
            undo: rate(400),
            look: rate(200),
            death: rate(20),
            pause: rate(20),
            outage: rate(6),
            operator: rate(25),
            report: rate(60),
            hand: if one_in(6) { 4 } else { 0 },
            interleave: 100 + dice.below(700),
        };
        Self {
            overlap,
            fences: !one_in(3),
            observable: !one_in(5),
            rules,
            workers: 1 + usize::try_from(dice.below(3)).unwrap_or(0),
            one_vault: one_in(2),
            consumers,
            acknowledging: usize::try_from(dice.below(2)).unwrap_or(0),
            max_versions: [10, 10, 3, 2][usize::try_from(dice.below(4)).unwrap_or(0)],
            rates,
            events: 60 + usize::try_from(dice.below(240)).unwrap_or(0),
        }
    }
}
