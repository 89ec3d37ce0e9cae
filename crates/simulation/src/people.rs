//! What consumers and the operator do in a life.

use std::time::Duration;

use scaivault_core::consumer::ConsumerReport;
use scaivault_core::ports::{Op, Unit, UnitName};
use scaivault_engine::{Act, default_tenant};

use crate::actors::{self};
use crate::gate::Point;
use crate::life::{Kept, Life};
use crate::promises::Broken;
use crate::setup::consumer_name;
use crate::target::Later;
use crate::world::path;

impl Life {
    /// Whether the operator does something.
    pub(crate) fn operate(&mut self, operator: usize) -> Result<bool, Broken> {
        let open = self
            .mirror
            .open()
            .next()
            .map(|row| (row.id.clone(), row.phase));
        // Somebody who edits a secret edits one that works; what the target forgets of it later is
        // nobody's rotation.
        let works = self.world.target.state.lock().restored.is_empty();
        if works && self.strike(self.setup.rates.hand, || "a change by hand".into()) {
            self.mirror.by_hand = true;
            let mut state = self.world.target.state.lock();
            state
                .later
                .retain(|(_, later)| matches!(later, Later::Change(_)));
            drop(state);
            self.edits += 1;
            let edits = self.edits;
            self.start(operator, |vault| actors::write(vault, edits))?;
            return Ok(true);
        }
        if self.strike(self.setup.rates.operator, || "the operator acts".into()) {
            let choice = self.any(5);
            match (open, choice) {
                (Some((id, _)), 0) => {
                    self.start(operator, |v| actors::act(v, id, Act::RollBack))?
                }
                (Some((id, _)), 1 | 2) => {
                    self.start(operator, |v| actors::act(v, id, Act::Resume))?
                }
                (Some((id, _)), 3) => self.start(operator, |v| actors::act(v, id, Act::Approve))?,
                _ => self.start(operator, actors::rotate)?,
            }
            return Ok(true);
        }
        let again = open.is_none() && self.mirror.rotations.len() < 3;
        if again && self.dice.below(20) == 0 {
            self.start(operator, actors::rotate)?;
            return Ok(true);
        }
        Ok(false)
    }

    pub(crate) fn consumer_begins(&mut self, who: usize, number: usize) -> Kept {
        if self.strike(self.setup.rates.death, || "a consumer disappears".into()) {
            self.close_session(number);
            self.consumers[number].gone = true;
            return Ok(());
        }
        let lag = 3 + self.dice.below(90);
        self.consumers[number].next_at = self.world.now().plus(Duration::from_secs(lag));
        let reconnects = self.dice.below(3) != 0 && self.stormy;
        if let Some((_, cred)) = self.consumers[number].holds.clone().filter(|_| reconnects) {
            // It goes on with what it has, as long as the target lets it in.
            let state = self.world.target.state.lock();
            if state.accepts(&cred) || state.down {
                return Ok(());
            }
        }
        // In one process a commit counts for readers when it is answered.
        let mut actors = self.actors.iter();
        let unanswered = self.setup.one_vault && actors.any(|actor| actor.at == Some(Point::After));
        self.consumers[number].since = match unanswered {
            true => self.currents.len().saturating_sub(3),
            false => self.currents.len().saturating_sub(1),
        };
        let vault = match self.setup.one_vault {
            true => self.actors[who].vault.clone(),
            false => self.world.vault(),
        };
        self.start(who, |_| actors::fetch(vault, number))
    }

    fn close_session(&mut self, number: usize) {
        let consumer = &mut self.consumers[number];
        if let Some((_, cred)) = consumer.holds.take().filter(|_| consumer.session) {
            let mut state = self.world.target.state.lock();
            if let Some(open) = state.sessions.get_mut(&cred) {
                *open = open.saturating_sub(1);
            }
        }
        self.consumers[number].session = false;
    }

    pub(crate) fn consumer_got(
        &mut self,
        number: usize,
        version: u64,
        cred: crate::target::Cred,
    ) -> Kept {
        let since = self.consumers[number].since;
        if !self.currents[since..].contains(&version) {
            let seen = format!(
                "read v{version}, current since: {:?}",
                &self.currents[since..]
            );
            return Err(Broken {
                promise: "P1",
                seen,
            });
        }
        let (down, accepted) = {
            let state = self.world.target.state.lock();
            (state.down, state.accepts(&cred))
        };
        let at = self.world.now();
        self.note(|| format!("app-{number} got v{version}, accepted: {accepted}"));
        if down {
            self.consumers[number].next_at = at.plus(Duration::from_secs(15));
            return Ok(());
        }
        if !accepted {
            // Once more at once: what it got is not current any more, or is being healed.
            self.consumers[number].next_at =
                at.plus(Duration::from_secs(if self.stormy { 2 } else { 30 }));
            return Ok(());
        }
        self.close_session(number);
        *self
            .world
            .target
            .state
            .lock()
            .sessions
            .entry(cred.clone())
            .or_default() += 1;
        let consumer = &mut self.consumers[number];
        consumer.session = true;
        consumer.holds = Some((version, cred));
        let fails = self.strike(self.setup.rates.report, || format!("app-{number} fails"));
        if fails || self.consumers[number].acknowledges {
            let report = ConsumerReport {
                tenant: default_tenant(),
                path: path(),
                version,
                consumer: consumer_name(number),
                at,
                applied: !fails,
                detail: None,
            };
            self.world
                .commit(Unit::new(UnitName::AuditOnly).op(Op::ConsumerReport(report)));
            self.look()?;
        }
        Ok(())
    }
}
