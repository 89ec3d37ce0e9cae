//! `scaivault rotation watch`: follows a rotation until it ends or is parked.

use std::time::{Duration, Instant};

use clap::Args;
use scaivault_api::rotation::Rotation;
use scaivault_client::{Json, RotationQuery};

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
        let rotations = session.client.rotation();
        let id = match self.rotation.starts_with("rtn_") {
            true => self.rotation,
            false => {
                let query = RotationQuery {
                    path: Some(self.rotation.clone()),
                    limit: Some(1),
                    ..RotationQuery::default()
                };
                let newest = rotations.list(&query).json().await?.parse()?;
                let newest = newest.data.into_iter().next();
                newest.ok_or(CliError::NoRotation(self.rotation))?.id
            }
        };
        let mut teller = Teller::default();
        let mut shown = rotations.get(&id).json().await?;
        loop {
            let rotation = shown.parse()?;
            teller.tell(&mut session.output, &shown, &rotation)?;
            match rotation.phase.as_str() {
                "completed" => return Ok(()),
                "parked" | "rolled_back" => {
                    let why = rotation.reason.as_deref().unwrap_or("no reason given");
                    let advice = rotation.advice.unwrap_or_default();
                    let text = format!("{}: {why}: {advice}", rotation.phase);
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

/// Tells what changed since it told last.
#[derive(Default)]
struct Teller {
    phase: Option<String>,
    told: Option<String>,
    /// Lines of the block on the terminal.
    lines: usize,
}

impl Teller {
    fn tell(
        &mut self,
        output: &mut Output,
        shown: &Json<Rotation>,
        rotation: &Rotation,
    ) -> anyhow::Result<()> {
        let text = match output.is_json() {
            true => format!("{} {:?}", rotation.phase, rotation.waits_for),
            false => self.lines_of(rotation, output.is_terminal()),
        };
        if text.is_empty() || self.told.as_deref() == Some(&text) {
            return Ok(());
        }
        if output.is_json() {
            output.line(shown.text())?;
        } else if output.is_terminal() {
            // Back over the block told last.
            let back = match self.lines {
                0 => String::new(),
                lines => format!("\u{1b}[{lines}A\u{1b}[J"),
            };
            output.text(&format!("{back}{text}"))?;
            self.lines = text.lines().count();
        } else {
            output.text(&text)?;
        }
        self.told = Some(text);
        self.phase = Some(rotation.phase.clone());
        Ok(())
    }

    /// A line for a phase that is new, and one for each thing it waits for. On a terminal the
    /// whole block again, without lines that wrap.
    fn lines_of(&self, rotation: &Rotation, is_terminal: bool) -> String {
        let mut text = String::new();
        if is_terminal || self.phase.as_ref() != Some(&rotation.phase) {
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
