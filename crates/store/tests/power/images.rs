//! Which of the possible images are looked at.
//!
//! The moments are those just before a sync: whatever the disk may hold at an earlier one, it may
//! hold then, too, and more was answered. Of the fates of up to six unsynced changes every
//! combination is taken. Of more: none, all, each number of first ones, all but one, only one, the
//! last one torn; then at random. When there are more than asked for, they are drawn.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use scaivault_testkit::SeededEntropy;

use crate::disk::{Fate, Op, Unsynced};

/// Up to so many changes every combination is taken.
const EXHAUSTIVE: usize = 6;
/// A moment is also taken after so many changes without a sync.
const STRIDE: usize = 200;

pub(crate) type Fates = Vec<Fate>;

/// The moments: power is lost before the change of this number.
pub(crate) fn moments(ops: &[Op]) -> Vec<usize> {
    let mut last = 0;
    let mut moments = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        if matches!(op, Op::Sync(_) | Op::SyncDirectory) || at - last >= STRIDE {
            moments.push(at);
            last = at;
        }
    }
    moments.push(ops.len());
    moments
}

/// Up to `count` different images of one moment.
pub(crate) fn fates(unsynced: &[Unsynced], count: usize, seed: u64) -> Vec<Fates> {
    let mut drawn = Draw {
        entropy: SeededEntropy::new(seed),
        unsynced,
        seen: HashSet::new(),
        made: Vec::new(),
        count,
    };
    drawn.systematic();
    drawn.at_random();
    drawn.made
}

struct Draw<'a> {
    entropy: SeededEntropy,
    unsynced: &'a [Unsynced],
    seen: HashSet<u64>,
    made: Vec<Fates>,
    count: usize,
}

impl Draw<'_> {
    /// Takes it, unless there are enough or it is there. Returns whether it was new.
    fn take(&mut self, fates: Fates) -> bool {
        let mut hasher = DefaultHasher::new();
        fates.hash(&mut hasher);
        let fresh = self.made.len() < self.count && self.seen.insert(hasher.finish());
        if fresh {
            self.made.push(fates);
        }
        fresh
    }

    fn below(&self, end: usize) -> usize {
        usize::try_from(self.entropy.below(end as u64)).expect("a small number")
    }

    fn systematic(&mut self) {
        let len = self.unsynced.len();
        let fate = |there: bool| if there { Fate::There } else { Fate::Missing };
        self.take(vec![Fate::Missing; len]);
        self.take(vec![Fate::There; len]);
        let mut all: Vec<Fates> = if len <= EXHAUSTIVE {
            (0u32..1 << len)
                .map(|bits| (0..len).map(|at| fate(bits >> at & 1 == 1)).collect())
                .collect()
        } else {
            let mut all = Vec::new();
            for changed in 0..len {
                all.push((0..len).map(|at| fate(at < changed)).collect());
                all.push((0..len).map(|at| fate(at != changed)).collect());
                all.push((0..len).map(|at| fate(at == changed)).collect());
                let mut torn: Fates = (0..len).map(|at| fate(at < changed)).collect();
                torn[changed] = self.torn(&self.unsynced[changed]);
                all.push(torn);
            }
            all
        };
        // In any order, so that a draw of few has some of each.
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
        let most = match len {
            0..=EXHAUSTIVE => self.count,
            _ => self.count * 2 / 3,
        };
        for fates in all {
            if self.made.len() >= most {
                return;
            }
            self.take(fates);
        }
    }

    /// Until there are enough, or nothing new comes.
    fn at_random(&mut self) {
        let mut in_vain = 0;
        while self.made.len() < self.count && in_vain < 200 {
            let fates = self.random();
            in_vain = if self.take(fates) { 0 } else { in_vain + 1 };
        }
    }

    fn random(&self) -> Fates {
        let len = self.unsynced.len();
        let end = match self.below(2) {
            0 => len,
            _ => self.below(len + 1),
        };
        let [there, torn] = [[5, 10], [50, 10], [90, 20], [97, 40]][self.below(4)];
        (0..len)
            .map(|at| match self.below(100) {
                _ if at >= end => Fate::Missing,
                _ if self.below(100) < torn => self.torn(&self.unsynced[at]),
                dice if dice < there => Fate::There,
                _ => Fate::Missing,
            })
            .collect()
    }

    /// A write torn in some way; another change is there or not.
    fn torn(&self, change: &Unsynced) -> Fate {
        let len = change.sectors;
        if len == 0 {
            return [Fate::There, Fate::Missing][self.below(2)].clone();
        }
        let cut = self.below(len);
        // Where the second page of memory begins.
        let page = 8 - change.first;
        Fate::Torn(match self.below(6) {
            0 => (0..len).map(|at| at < cut).collect(),
            1 => (0..len).map(|at| at > cut).collect(),
            2 => (0..len).map(|at| at != cut).collect(),
            3 => (0..len).map(|_| self.below(2) == 0).collect(),
            4 => {
                let first = self.below(2) == 0;
                (0..len).map(|at| (at < page) == first).collect()
            }
            _ => return Fate::Longer,
        })
    }
}

/// How many images of each moment, so that together they are `count`: the same for each, but that
/// what one moment does not have goes to the others.
pub(crate) fn shares(unsynced: &[Vec<Unsynced>], count: usize, seed: u64) -> Vec<usize> {
    let mut most = count / unsynced.len();
    loop {
        most += 1;
        let shares: Vec<usize> = unsynced
            .iter()
            .enumerate()
            .map(|(at, changes)| match changes.len() {
                0..=EXHAUSTIVE => fates(changes, most, seed_of(seed, at)).len(),
                _ => most,
            })
            .collect();
        let all: usize = shares.iter().sum();
        if all >= count {
            return shares;
        }
        let large = unsynced.iter().filter(|it| it.len() > EXHAUSTIVE).count();
        assert!(large > 0, "there are only {all} images");
        most += (count - all) / large;
    }
}

/// The seed of a moment's draw.
pub(crate) fn seed_of(seed: u64, moment: usize) -> u64 {
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(moment as u64)
}

#[test]
fn few_changes_have_every_fate_and_no_image_comes_twice() {
    let change = Unsynced {
        what: String::new(),
        sectors: 0,
        first: 0,
    };
    let five = vec![change.clone(); 5];
    assert_eq!(fates(&five, 1_000, 1).len(), 32);
    assert_eq!(fates(&[], 1_000, 1), vec![Vec::new()]);
    let nine = vec![change; 9];
    let drawn = fates(&nine, 300, 1);
    assert_eq!(drawn.len(), 300);
    let alone: Fates = (0..9)
        .map(|at| [Fate::Missing, Fate::There][usize::from(at == 4)].clone())
        .collect();
    assert!(drawn.contains(&alone));
    assert_eq!(drawn, fates(&nine, 300, 1));
    let shares = shares(&[five, nine, Vec::new()], 200, 1);
    assert_eq!((shares[0], shares[2]), (32, 1));
    assert!(shares.iter().sum::<usize>() >= 200);
}
