//! The end of a life: faults have stopped, and everything comes to rest.

use std::time::Duration;

use scaivault_core::rotation::Phase;
use scaivault_engine::Act;

use crate::actors;
use crate::gate::Verdict;
use crate::life::{Kept, Life};
use crate::promises::Broken;

impl Life {
    /// Faults have stopped: everything ends.
    pub(crate) fn come_to_rest(&mut self) -> Kept {
        for (_, ill) in std::mem::take(&mut self.ills) {
            self.set_ill(ill, false);
        }
        for consumer in &mut self.consumers {
            consumer.gone = false;
        }
        let until = self.world.now().plus(Duration::from_secs(3 * 86_400));
        for _ in 0..40_000 {
            if self.world.now() >= until {
                break;
            }
            let busy = (0..self.actors.len()).find(|who| self.actors[*who].task.is_some());
            if let Some(who) = busy {
                self.poll(who, Verdict::Go)?;
                continue;
            }
            if self.attend()? {
                continue;
            }
            match self.ready().first() {
                Some(who) => self.begin(*who)?,
                None if self.mirror.open().next().is_none() => return self.afterwards(),
                // A person changed the secret meanwhile, and has to decide.
                None if self.mirror.by_hand && self.resumed > 3 && self.parked() => {
                    return self.afterwards();
                }
                None => self.sleep()?,
            }
        }
        let seen = self.mirror.open().map(|row| {
            let at = row.at_target.as_ref();
            let at = at.map(|at| {
                (
                    at.in_flight,
                    at.maybe_live,
                    at.to_heal,
                    at.retiring,
                    at.resume_phase,
                )
            });
            let trouble = row.trouble.as_ref().map(|trouble| trouble.kind);
            format!("{} {:?} {trouble:?} {at:?}", row.phase.as_str(), row.reason)
        });
        let seen = format!("never ends: {:?}", seen.collect::<Vec<_>>());
        Err(Broken {
            promise: "P4",
            seen,
        })
    }

    /// The operator does what the rotation waits for.
    pub(crate) fn attend(&mut self) -> Result<bool, Broken> {
        let operator = self.operator();
        let Some(row) = self.mirror.open().next() else {
            return Ok(false);
        };
        let id = row.id.clone();
        let waits = row
            .at_target
            .as_ref()
            .is_some_and(|at| self.setup.rules.approval && at.approved_by.is_none());
        if self.world.now() < self.attends_at {
            return Ok(false);
        }
        if row.phase == Phase::Parked {
            self.attends_at = self.world.now().plus(Duration::from_secs(60));
            self.resumed += 1;
            if self.mirror.by_hand && self.resumed > 3 {
                return Ok(false);
            }
            let act = match row.may_roll_back() && self.resumed > 8 {
                true => Act::RollBack,
                false => Act::Resume,
            };
            self.start(operator, |vault| actors::act(vault, id, act))?;
            return Ok(true);
        }
        self.attends_at = self.world.now().plus(Duration::from_secs(60));
        if waits && row.phase == Phase::Draining {
            self.start(operator, |vault| actors::act(vault, id, Act::Approve))?;
            return Ok(true);
        }
        Ok(false)
    }

    fn parked(&self) -> bool {
        self.mirror.open().all(|row| row.phase == Phase::Parked)
    }

    pub(crate) fn afterwards(&mut self) -> Kept {
        self.advance(Duration::from_secs(40_000))?;
        let mut state = self.world.target.state.lock();
        state.restored.clear();
        self.mirror.target(&mut state)
    }
}
