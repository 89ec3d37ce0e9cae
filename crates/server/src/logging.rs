//! What the server says while it runs: one line per event on standard error, as JSON or text,
//! with UTC times of the server's one clock.
//!
//! Promises: a level or format that does not exist is an error, not a default; a closed or full
//! standard error never stops or panics the server; the level applies to our own code only.
//! Libraries are held at warnings whatever is configured, because their debug output shows
//! request headers, and with them tokens.

use std::io::{self, Write};
use std::sync::Arc;

use scaivault_core::ports::Clock;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

/// Every crate of ours has a name that begins so.
const OWN_CODE: &str = "scaivault";

/// Least severity that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    /// Only what needs somebody's attention.
    Error,
    /// And what may soon.
    Warn,
    /// And what happens.
    Info,
    /// And why.
    Debug,
    /// And how.
    Trace,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For eyes.
    Text,
}

/// Logging could not be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogError {
    /// Not a level.
    #[error("a log level is one of error, warn, info, debug, trace")]
    Level,
    /// Not a format.
    #[error("a log format is one of json, text")]
    Format,
    /// The process logs already.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

impl LogLevel {
    /// Reads the word, in lower or upper case.
    ///
    /// # Errors
    /// [`LogError::Level`], which lists the words.
    pub(crate) fn parse(text: &str) -> Result<Self, LogError> {
        match text.to_ascii_lowercase().as_str() {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(LogError::Level),
        }
    }

    fn filter(self) -> LevelFilter {
        LevelFilter::from_level(match self {
            Self::Error => Level::ERROR,
            Self::Warn => Level::WARN,
            Self::Info => Level::INFO,
            Self::Debug => Level::DEBUG,
            Self::Trace => Level::TRACE,
        })
    }
}

impl LogFormat {
    /// Reads the word, in lower or upper case.
    ///
    /// # Errors
    /// [`LogError::Format`], which lists the words.
    pub(crate) fn parse(text: &str) -> Result<Self, LogError> {
        match text.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(LogError::Format),
        }
    }
}

/// Sets up logging to standard error for the whole process. Once.
///
/// # Errors
/// [`LogError::AlreadySet`].
pub(crate) fn init(
    level: LogLevel,
    format: LogFormat,
    clock: Arc<dyn Clock>,
) -> Result<(), LogError> {
    let subscriber = subscriber(level, format, clock, || Quiet(io::stderr()));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)
}

/// The same to any writer, for those who set it up for one thread.
pub(crate) fn subscriber<W>(
    level: LogLevel,
    format: LogFormat,
    clock: Arc<dyn Clock>,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let base = fmt::layer()
        .with_timer(UtcMicros(clock))
        .with_writer(writer)
        .with_ansi(false)
        // Its report of a failed write goes to standard error, and panics when that is closed.
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Json => base
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => base.boxed(),
    };
    let ours = level.filter();
    let theirs = ours.min(LevelFilter::WARN);
    let targets = Targets::new()
        .with_default(theirs)
        .with_target(OWN_CODE, ours);
    Registry::default().with(lines.with_filter(targets))
}

struct UtcMicros(Arc<dyn Clock>);

impl FormatTime for UtcMicros {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        writer.write_str(&self.0.now().to_rfc3339_micros())
    }
}

/// A writer whose failures are nobody's problem: a line is written or lost, whole.
struct Quiet<W>(W);

impl<W: Write> Write for Quiet<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Whatever comes of it, there is nowhere left to tell.
        let _ = self.0.write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use scaivault_core::time::Timestamp;

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_776_952_800_123_456)
        }
    }

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(level: LogLevel, format: LogFormat, events: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = subscriber(level, format, Arc::new(Fixed), move || writer.clone());
        tracing::subscriber::with_default(subscriber, events);
        let bytes = memory.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn event() {
        tracing::info!(target: "scaivault_server::x", path = "a/b", "stored");
    }

    #[test]
    fn json_lines_carry_time_level_message_and_fields() {
        let line = written(LogLevel::Info, LogFormat::Json, event);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["timestamp"], "2026-04-23T14:00:00.123456Z");
        assert_eq!(
            (&value["level"], &value["message"]),
            (&"INFO".into(), &"stored".into())
        );
        assert_eq!(value["path"], "a/b");
        assert!(line.ends_with('\n'));
    }

    #[test]
    fn text_lines_are_for_eyes() {
        let line = written(LogLevel::Info, LogFormat::Text, event);
        assert!(
            line.starts_with("2026-04-23T14:00:00.123456Z  INFO"),
            "{line}"
        );
        assert!(
            line.contains("stored path=\"a/b\"") && !line.contains('\u{1b}'),
            "{line}"
        );
    }

    #[test]
    fn the_level_is_for_our_code_and_libraries_stay_quiet() {
        let both = || {
            tracing::trace!(target: "scaivault_engine", "ours");
            tracing::info!(target: "h2::codec", "theirs: authorization Bearer");
            tracing::warn!(target: "rustls", "their warning");
        };
        let lines = written(LogLevel::Trace, LogFormat::Text, both);
        assert!(lines.contains("ours") && lines.contains("their warning"));
        assert!(!lines.contains("Bearer"), "{lines}");
        assert_eq!(written(LogLevel::Error, LogFormat::Text, both), "");
    }

    #[test]
    fn words_that_do_not_exist_are_errors_that_list_the_words() {
        assert_eq!(LogLevel::parse("WARN"), Ok(LogLevel::Warn));
        for bad in ["", "warning", "info,hyper=trace", "5"] {
            assert_eq!(LogLevel::parse(bad), Err(LogError::Level));
        }
        assert_eq!(LogFormat::parse("Text"), Ok(LogFormat::Text));
        assert_eq!(LogFormat::parse("yaml"), Err(LogError::Format));
        assert!(
            LogError::Level
                .to_string()
                .contains("error, warn, info, debug, trace")
        );
    }

    #[test]
    fn a_writer_that_fails_is_nobodys_problem() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        // Wrapped as `init` does, and bare: neither panics.
        let quiet = subscriber(LogLevel::Info, LogFormat::Json, Arc::new(Fixed), || {
            Quiet(Closed)
        });
        tracing::subscriber::with_default(quiet, event);
        let bare = subscriber(LogLevel::Info, LogFormat::Json, Arc::new(Fixed), || Closed);
        tracing::subscriber::with_default(bare, event);
    }
}
