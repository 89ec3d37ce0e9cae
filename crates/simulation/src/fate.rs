//! Which faults strike: at the target as a whole, and at the call an actor stands at.

use std::time::Duration;

use scaivault_core::target::TroubleKind;

use crate::gate::{Point, Verdict};
use crate::life::{Ill, Kept, Life};

impl Life {
    pub(crate) fn fate_of_target(&mut self) -> Kept {
        let at = self.world.now();
        let (over, lasting): (Vec<_>, Vec<_>) =
            self.ills.drain(..).partition(|(until, _)| *until <= at);
        self.ills = lasting;
        for (_, ill) in over {
            self.set_ill(ill, false);
        }
        if self.strike(self.setup.rates.outage, || "the target falls ill".into()) {
            let ill = [Ill::Down, Ill::Manager, Ill::Privilege][self.any(3)];
            let lasts = Duration::from_secs(1 + self.dice.below(8_000));
            self.set_ill(ill, true);
            self.ills.push((at.plus(lasts), ill));
        }
        let waiting = self.world.target.state.lock().later.len();
        if waiting > 0 && self.dice.below(60) == 0 {
            let place = self.any(waiting);
            let (_, later) = self.world.target.state.lock().later.swap_remove(place);
            return self.arrive(later);
        }
        Ok(())
    }

    pub(crate) fn set_ill(&mut self, ill: Ill, is: bool) {
        self.note(|| format!("{ill:?} {is}"));
        let mut state = self.world.target.state.lock();
        match ill {
            Ill::Down => state.down = is,
            Ill::Manager => state.manager_refused = is,
            Ill::Privilege => state.privilege_missing = is,
        }
    }

    /// What comes of the call an actor stands at.
    pub(crate) fn verdict(&mut self, who: usize) -> Verdict {
        let rates = self.setup.rates;
        let kind = self.dice.below(1_000);
        match self.actors[who].at {
            Some(Point::Commit(name)) => {
                let all = [Verdict::Lose, Verdict::LoseAnswer, Verdict::LoseRequest];
                let verdict = all[usize::try_from(kind % 3).unwrap_or(0)];
                match self.strike(rates.commit, || format!("{} {verdict:?}", name.as_str())) {
                    true => verdict,
                    false => Verdict::Go,
                }
            }
            Some(Point::Claim) => {
                let all = [Verdict::Lose, Verdict::LoseAnswer];
                let verdict = all[usize::try_from(kind % 2).unwrap_or(0)];
                match self.strike(rates.commit, || format!("claim {verdict:?}")) {
                    true => verdict,
                    false => Verdict::Go,
                }
            }
            Some(Point::Read) => match self.strike(rates.read, || "read".into()) {
                true => Verdict::Lose,
                false => Verdict::Go,
            },
            Some(Point::Effect) => {
                let lasts = [0, 0, 2, 600, 5_000][usize::try_from(kind % 5).unwrap_or(0)];
                let undo = if self.mirror.by_hand { 0 } else { rates.undo };
                if self.strike(undo, || format!("effect Undo({lasts})")) {
                    return Verdict::Undo(lasts);
                }
                let all = [
                    Verdict::LoseAnswer,
                    Verdict::LoseRequest,
                    Verdict::Late,
                    Verdict::Late,
                    Verdict::Twice,
                    Verdict::Refuse(TroubleKind::Unreachable),
                    Verdict::Refuse(TroubleKind::Privilege),
                    Verdict::Refuse(TroubleKind::Throttled),
                ];
                let verdict = all[usize::try_from(kind % 8).unwrap_or(0)];
                match self.strike(rates.effect, || format!("effect {verdict:?}")) {
                    true => verdict,
                    false => Verdict::Go,
                }
            }
            Some(Point::Look) => {
                let kinds = [TroubleKind::TimedOut, TroubleKind::Interrupted];
                let kind = kinds[usize::try_from(kind % 2).unwrap_or(0)];
                match self.strike(rates.look, || format!("look {kind:?}")) {
                    true => Verdict::Refuse(kind),
                    false => Verdict::Go,
                }
            }
            Some(Point::After) | None => Verdict::Go,
        }
    }
}
