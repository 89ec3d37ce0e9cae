//! Where results and messages go: results to stdout, messages to stderr.

use std::io::{IsTerminal, Write};

use scaivault_client::{Call, Json, Page};
use serde::de::DeserializeOwned;

use crate::listing::{self, Listing};

/// Results. An error of the writer is passed on: a closed pipe ends the program quietly.
pub(crate) struct Output {
    json: bool,
    is_terminal: bool,
    writer: Box<dyn Write + Send>,
}

impl Output {
    pub(crate) fn stdout(json: bool) -> Self {
        let stdout = std::io::stdout();
        Self {
            json,
            is_terminal: stdout.is_terminal(),
            writer: Box::new(stdout),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether results go to a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Sends a call and prints its answer: the server's JSON, or what `render` makes of it.
    pub(crate) async fn answer<T: DeserializeOwned>(
        &mut self,
        call: Call<T>,
        render: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let json = call.json().await?;
        self.show(&json, render)
    }

    /// Prints an answer.
    pub(crate) fn show<T: DeserializeOwned>(
        &mut self,
        json: &Json<T>,
        render: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            self.line(json.text())
        } else {
            self.text(&render(&json.parse()?))
        }
    }

    /// Follows a list up to `limit` and prints it as one.
    pub(crate) async fn list<P: Page>(
        &mut self,
        call: Call<P>,
        limit: Option<usize>,
        render: impl FnOnce(&[P]) -> String,
    ) -> anyhow::Result<()> {
        let Listing { pages, text } = listing::collect(call, limit).await?;
        if self.json {
            self.line(&text)
        } else {
            self.text(&render(&pages))
        }
    }

    /// Prints text that ends as it should.
    pub(crate) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        self.writer.write_all(text.as_bytes())?;
        Ok(self.writer.flush()?)
    }

    /// Prints text and a line end, unless it has one; nothing for nothing.
    pub(crate) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        let end = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        self.text(&format!("{text}{end}"))
    }

    /// Prints a value for a script: to the byte, except that a terminal gets a line end.
    pub(crate) fn value(&mut self, text: &str) -> anyhow::Result<()> {
        if self.is_terminal {
            self.line(text)
        } else {
            self.text(text)
        }
    }
}

/// A message, on stderr. Nobody is left to tell when it cannot be written.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::ErrorKind;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn printed(is_terminal: bool, print: impl FnOnce(&mut Output) -> anyhow::Result<()>) -> String {
        let kept = Kept::default();
        let mut output = Output {
            json: false,
            is_terminal,
            writer: Box::new(kept.clone()),
        };
        print(&mut output).expect("printed");
        let bytes = kept.0.lock().expect("lock").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_value_is_exact_unless_someone_looks() {
        assert_eq!(printed(false, |output| output.value("x")), "x");
        assert_eq!(printed(true, |output| output.value("x")), "x\n");
        assert_eq!(printed(true, |output| output.value("x\n")), "x\n");
        assert_eq!(printed(false, |output| output.line("x")), "x\n");
        assert_eq!(printed(false, |output| output.line("")), "");
    }

    #[test]
    fn a_closed_pipe_is_passed_on() {
        let mut output = Output {
            json: false,
            is_terminal: false,
            writer: Box::new(Closed),
        };
        let error = output.line("x").expect_err("closed");
        let kind = error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        assert_eq!(kind, Some(ErrorKind::BrokenPipe));
    }
}
