//! The target as it is: which credentials it accepts, which numbers it holds, what is on its way
//! to it. Looked at by the checks without asking anybody.

use std::collections::{BTreeMap, BTreeSet};

use scaivault_core::target::Overlap;
use scaivault_core::time::Timestamp;

/// An account with a password, or a key's id with the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cred {
    pub(crate) account: String,
    pub(crate) password: String,
}

/// A change as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Accept this beside that.
    Set { new: Cred, beside: Option<Cred> },
    /// Refuse this.
    Retire { dead: Cred },
    /// Make a key.
    Mint { key: Cred },
    /// Revoke the keys of the tag.
    Clear,
}

/// A change with whoever sent it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) actor: usize,
    pub(crate) life: u64,
    pub(crate) tag: String,
    pub(crate) epoch: u64,
    pub(crate) change: Change,
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Done,
    Fenced,
}

/// A credential that the target stopped accepting by a change.
#[derive(Debug, Clone)]
pub(crate) struct Dropped {
    pub(crate) cred: Cred,
    pub(crate) tag: String,
    pub(crate) retired: bool,
}

/// What arrives later.
#[derive(Debug, Clone)]
pub(crate) enum Later {
    Change(Sent),
    /// An older state comes back: what was taken is there again, what was added is not.
    Undo {
        gone: Vec<Cred>,
        back: Vec<(Cred, Minted)>,
        tag: String,
    },
}

/// Which mint made a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Minted {
    pub(crate) tag: Option<String>,
    pub(crate) epoch: u64,
}

/// The target.
pub(crate) struct State {
    pub(crate) overlap: Overlap,
    /// It holds a number for each account and refuses older changes.
    pub(crate) fences: bool,
    accepted: BTreeMap<Cred, Minted>,
    fence: BTreeMap<String, u64>,
    pub(crate) sessions: BTreeMap<Cred, u64>,
    pub(crate) quiet: BTreeMap<Cred, Timestamp>,
    pub(crate) observable: bool,
    pub(crate) down: bool,
    pub(crate) manager_refused: bool,
    pub(crate) privilege_missing: bool,
    /// Effects sent and not yet decided, by actor.
    pub(crate) in_hand: BTreeMap<usize, Sent>,
    /// On its way, with the time it arrives.
    pub(crate) later: Vec<(Timestamp, Later)>,
    pub(crate) dropped: Vec<Dropped>,
    /// Accepted or refused by a restore, not by anybody's wish.
    pub(crate) restored: BTreeSet<Cred>,
    /// Who changed something under which number.
    pub(crate) effects: BTreeMap<(String, u64), u64>,
    pub(crate) doubled: Option<String>,
    pub(crate) keys_made: u64,
    /// Whatever was asked to be retired.
    pub(crate) given_up: BTreeSet<Cred>,
    pub(crate) changed: bool,
}

impl State {
    pub(crate) fn new(overlap: Overlap, fences: bool, observable: bool, first: Cred) -> Self {
        Self {
            overlap,
            fences,
            accepted: BTreeMap::from([(first, Minted::default())]),
            fence: BTreeMap::new(),
            sessions: BTreeMap::new(),
            quiet: BTreeMap::new(),
            observable,
            down: false,
            manager_refused: false,
            privilege_missing: false,
            in_hand: BTreeMap::new(),
            later: Vec::new(),
            dropped: Vec::new(),
            restored: BTreeSet::new(),
            effects: BTreeMap::new(),
            doubled: None,
            keys_made: 0,
            given_up: BTreeSet::new(),
            changed: false,
        }
    }

    pub(crate) fn accepts(&self, cred: &Cred) -> bool {
        self.accepted.contains_key(cred)
    }

    pub(crate) fn accepted(&self) -> impl Iterator<Item = (&Cred, &Minted)> {
        self.accepted.iter()
    }

    /// Keys that a mint of this tag made, with their numbers.
    pub(crate) fn of_tag(&self, tag: &str) -> Vec<(Cred, u64)> {
        let of = self.accepted.iter();
        of.filter(|(_, minted)| minted.tag.as_deref() == Some(tag))
            .map(|(cred, minted)| (cred.clone(), minted.epoch))
            .collect()
    }

    /// Does it, as the target would.
    pub(crate) fn perform(&mut self, sent: &Sent) -> Came {
        let account = match &sent.change {
            Change::Set { new, .. } => Some(&new.account),
            Change::Retire { dead } => Some(&dead.account),
            Change::Mint { .. } | Change::Clear => None,
        };
        if let Some(account) = account.filter(|_| self.fences) {
            let fence = self.fence.entry(account.clone()).or_default();
            if sent.epoch < *fence {
                return Came::Fenced;
            }
            *fence = sent.epoch;
        }
        // Clearing goes up to a number instead of carrying its own.
        let owns = !matches!(sent.change, Change::Clear);
        let number = (sent.tag.clone(), sent.epoch);
        let by = owns.then(|| self.effects.insert(number, sent.life));
        if by.flatten().is_some_and(|by| by != sent.life) {
            self.doubled = Some(format!("{} at {}", sent.tag, sent.epoch));
        }
        self.changed = true;
        match &sent.change {
            Change::Set { new, beside } => {
                let keeps = |cred: &Cred| {
                    cred == new
                        || match self.overlap {
                            Overlap::TwoPasswords => Some(cred) == beside.as_ref(),
                            Overlap::TwoUsers | Overlap::NKeys => cred.account != new.account,
                            Overlap::None => false,
                        }
                };
                let gone: Vec<Cred> = self
                    .accepted
                    .keys()
                    .filter(|c| !keeps(c))
                    .cloned()
                    .collect();
                for cred in gone {
                    self.drop(cred, &sent.tag, false);
                }
                self.restored.remove(new);
                self.accepted.entry(new.clone()).or_default();
            }
            Change::Retire { dead } => {
                let same: Vec<Cred> = match self.overlap {
                    Overlap::TwoUsers | Overlap::NKeys => {
                        let all = self.accepted.keys();
                        all.filter(|cred| cred.account == dead.account)
                            .cloned()
                            .collect()
                    }
                    Overlap::TwoPasswords | Overlap::None => vec![dead.clone()],
                };
                for cred in same {
                    self.drop(cred, &sent.tag, true);
                }
            }
            Change::Mint { key } => {
                let minted = Minted {
                    tag: Some(sent.tag.clone()),
                    epoch: sent.epoch,
                };
                self.accepted.insert(key.clone(), minted);
            }
            Change::Clear => {
                for (cred, epoch) in self.of_tag(&sent.tag) {
                    if epoch <= sent.epoch {
                        self.drop(cred, &sent.tag, true);
                    }
                }
            }
        }
        Came::Done
    }

    fn drop(&mut self, cred: Cred, tag: &str, retired: bool) {
        self.sessions.remove(&cred);
        self.restored.remove(&cred);
        if self.accepted.remove(&cred).is_some() {
            let tag = tag.to_owned();
            self.dropped.push(Dropped { cred, tag, retired });
        }
    }

    /// Does it, and answers what brings the state before back.
    pub(crate) fn perform_undoable(&mut self, sent: &Sent) -> (Came, Later) {
        let before = self.accepted.clone();
        let came = self.perform(sent);
        let gone = self
            .accepted
            .keys()
            .filter(|cred| !before.contains_key(cred));
        let back = before
            .iter()
            .filter(|(cred, _)| !self.accepted.contains_key(cred));
        let later = Later::Undo {
            gone: gone.cloned().collect(),
            back: back
                .map(|(cred, minted)| (cred.clone(), minted.clone()))
                .collect(),
            tag: sent.tag.clone(),
        };
        (came, later)
    }

    fn is_all(&self, gone: &[Cred]) -> bool {
        self.accepted.keys().all(|cred| gone.contains(cred))
    }

    /// Said to be done, and was not.
    pub(crate) fn lie(&mut self, undo: Later) {
        self.arrive(undo.clone(), |_| true);
        if let Later::Undo { back, .. } = undo {
            for (cred, _) in back {
                self.restored.remove(&cred);
            }
        }
    }

    /// What was on its way arrives. A restore of what a rotation did counts only while that
    /// rotation is open: what happens to a target at rest is drift, which is not a rotation's.
    pub(crate) fn arrive(&mut self, later: Later, is_open: impl Fn(&str) -> bool) -> Came {
        match later {
            Later::Change(sent) => self.perform(&sent),
            Later::Undo { tag, .. } if !is_open(&tag) => Came::Fenced,
            // A restore brings back a whole state, in which something was accepted.
            Later::Undo { gone, back, .. } if back.is_empty() && self.is_all(&gone) => Came::Fenced,
            Later::Undo { gone, back, .. } => {
                self.changed = true;
                for cred in gone {
                    if self.accepted.remove(&cred).is_some() {
                        self.sessions.remove(&cred);
                        self.restored.insert(cred);
                    }
                }
                for (cred, minted) in back {
                    if self.accepted.insert(cred.clone(), minted).is_none() {
                        self.restored.insert(cred);
                    }
                }
                Came::Done
            }
        }
    }
}
