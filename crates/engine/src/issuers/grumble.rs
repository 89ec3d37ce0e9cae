//! Refusals are told to the log, but who sends forged tokens does not write it full.

use std::time::Duration;

use parking_lot::Mutex;

/// Lines within [`SPELL`].
const LINES_MAX: u32 = 20;
const SPELL: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Grumble(Mutex<Spell>);

#[derive(Default)]
struct Spell {
    began: Option<Duration>,
    lines: u32,
    unsaid: u64,
}

impl Grumble {
    /// Whether a line may be said now; and how many were not since the last one.
    pub(crate) fn speak(&self, now: Duration) -> Option<u64> {
        let mut spell = self.0.lock();
        if spell
            .began
            .is_none_or(|began| now.saturating_sub(began) >= SPELL)
        {
            spell.began = Some(now);
            spell.lines = 0;
        }
        if spell.lines == LINES_MAX {
            spell.unsaid += 1;
            return None;
        }
        spell.lines += 1;
        Some(std::mem::take(&mut spell.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_a_few_lines_and_a_number() {
        let grumble = Grumble::default();
        let at = Duration::from_secs(5);
        let said = (0..1_000).filter(|_| grumble.speak(at).is_some()).count();
        assert_eq!(said, 20);
        assert_eq!(grumble.speak(at + SPELL), Some(980));
        assert_eq!(grumble.speak(at + SPELL), Some(0));
    }
}
