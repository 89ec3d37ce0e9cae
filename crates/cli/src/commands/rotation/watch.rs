//! `scaivault rotation watch`: follows a rotation until it ends or is parked.

use std::time::{Duration, Instant};

use clap::Args;
use scaivault_api::rotation::Rotation;
use scaivault_client::Json;

use crate::commands::Session;
use crate::exit::CliError;
use crate::output::Output;

/// Between two requests that brought nothing new.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Watch {
    /// The rotation's id (rtn_…), or the path of a secret: its newest rotation
    rotation: String,
}

impl Watch {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let id = super::named::rotation_id(session, self.rotation).await?;
        let rotations = session.client.rotation();
        let mut teller = Teller::default();
        let mut shown = rotations.get(&id).json().await?;
        loop {
            let rotation = shown.parse()?;
            teller.tell(&mut session.output, &shown, &rotation)?;
            match rotation.phase.as_str() {
                "completed" => return Ok(()),
                "parked" | "rolled_back" => {
                    let why = rotation.reason.as_deref().unwrap_or("no reason given");
                    let cure = cure(&rotation);
                    let text = format!("{}: {why}: {cure}", rotation.phase);
                    return Err(CliError::NotRotated(text).into());
                }
                _ => {}
            }
            // Not before the server has something new, or the time of one request is over.
            let asked = Instant::now();
            shown = rotations.changed(&id, rotation.revision).json().await?;
            // A server that does not wait is not asked again at once.
            if shown.parse()?.revision == rotation.revision {
                tokio::time::sleep(PAUSE.saturating_sub(asked.elapsed())).await;
            }
        }
    }
}

/// What to do about it: of trouble at the target its own cure, with the statements to run.
fn cure(rotation: &Rotation) -> String {
    let trouble = rotation.trouble.as_ref();
    match trouble.filter(|_| rotation.reason.as_deref() == Some("target_trouble")) {
        Some(trouble) => {
            let mut lines = vec![trouble.advice.as_str()];
            lines.extend(trouble.remedy.iter().map(String::as_str));
            lines.join("\n  ")
        }
        None => rotation.advice.clone().unwrap_or_default(),
    }
}

/// Tells what changed since it told last.
#[derive(Default)]
struct Teller {
    phase: Option<String>,
    waits_for: Vec<String>,
}

impl Teller {
    fn tell(
        &mut self,
        output: &mut Output,
        shown: &Json<Rotation>,
        rotation: &Rotation,
    ) -> anyhow::Result<()> {
        let text = self.lines_of(rotation, output.is_terminal());
        if text.is_empty() {
            return Ok(());
        }
        match output.is_json() {
            true => output.line(shown.text())?,
            false => output.text(&text)?,
        }
        self.phase = Some(rotation.phase.clone());
        self.waits_for.clone_from(&rotation.waits_for);
        Ok(())
    }

    /// A line for a phase that is new, and one for each thing it waits for; nothing when neither
    /// changed. On a terminal the lines of what it waited for are gone over again, without lines
    /// that wrap; those of phases stay.
    fn lines_of(&self, rotation: &Rotation, is_terminal: bool) -> String {
        let mut text = String::new();
        let is_new = self.phase.as_ref() != Some(&rotation.phase);
        if !is_new && self.waits_for == rotation.waits_for {
            return text;
        }
        if is_terminal && !self.waits_for.is_empty() {
            text.push_str(&format!("\u{1b}[{}A\u{1b}[J", self.waits_for.len()));
        }
        if is_new {
            text.push_str(&format!(
                "{}  {}  {}\n",
                rotation.phase_since, rotation.secret_path, rotation.phase
            ));
        }
        for sentence in &rotation.waits_for {
            let line = crate::table::plain(&format!("  waits for {sentence}"));
            let cut: String = line
                .chars()
                .take(match is_terminal {
                    true => TERMINAL_COLUMNS,
                    false => usize::MAX,
                })
                .collect();
            text.push_str(&cut);
            text.push('\n');
        }
        text
    }
}

/// Taken for the width of every terminal.
const TERMINAL_COLUMNS: usize = 79;

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(phase: &str, waits_for: &[&str]) -> Rotation {
        serde_json::from_value(serde_json::json!({
            "id": "rtn_1", "secret_path": "a/b", "rotation_policy_id": "rot_1",
            "rotation_policy_name": "p", "status": "pending", "phase": phase,
            "phase_since": "t1", "strategy": "target", "trigger": "manual",
            "requested_by": "user:root", "started_at": "t0", "finished_at": null,
            "old_version": 1, "new_version": null, "grace_period_ends": null,
            "waiting_for": null, "waits_for": waits_for, "next_attempt_at": null,
            "reason": null, "advice": null, "last_error": null
        }))
        .expect("a rotation")
    }

    fn told(phase: &str, waits_for: &[&str]) -> Teller {
        let rotation = rotation(phase, waits_for);
        Teller {
            phase: Some(rotation.phase),
            waits_for: rotation.waits_for,
        }
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let now = rotation("draining", &["x"]);
        assert_eq!(
            Teller::default().lines_of(&now, false),
            "t1  a/b  draining\n  waits for x\n"
        );
        assert_eq!(told("draining", &["x"]).lines_of(&now, false), "");
        assert_eq!(told("draining", &["x"]).lines_of(&now, true), "");
        assert_eq!(
            told("draining", &["y"]).lines_of(&now, false),
            "  waits for x\n"
        );
    }

    #[test]
    fn trouble_is_told_with_its_cure() {
        let mut parked = rotation("parked", &[]);
        parked.advice = Some("see `trouble`".to_owned());
        parked.reason = Some("drain_deadline".to_owned());
        assert_eq!(cure(&parked), "see `trouble`");
        parked.reason = Some("target_trouble".to_owned());
        parked.trouble = serde_json::from_value(serde_json::json!({
            "kind": "privilege", "code": "42501", "advice": "run it", "remedy": ["GRANT x"]
        }))
        .expect("trouble");
        assert_eq!(cure(&parked), "run it\n  GRANT x");
    }

    #[test]
    fn on_a_terminal_phases_stay_and_what_it_waits_for_is_gone_over() {
        assert_eq!(
            told("propagating", &["x", "y"]).lines_of(&rotation("draining", &["z"]), true),
            "\u{1b}[2A\u{1b}[Jt1  a/b  draining\n  waits for z\n"
        );
        assert_eq!(
            told("draining", &["z"]).lines_of(&rotation("draining", &[]), true),
            "\u{1b}[1A\u{1b}[J"
        );
    }
}
