//! How this program ends. The codes are a contract with scripts.

use std::io::ErrorKind;
use std::process::ExitCode;

use scaivault_client::{BuildError, ClientError};

use crate::output::note;
use crate::report;

const GENERAL: u8 = 1;
const AUTHENTICATION: u8 = 2;
const AUTHORIZATION: u8 = 3;
const NOT_FOUND: u8 = 4;
const VALIDATION: u8 = 5;
const CAMPAIGN_FAILED: u8 = 6;
const CAMPAIGN_WAITS: u8 = 7;
const SOURCE_WENT_ON: u8 = 8;
const NOT_WHOLE: u8 = 9;

/// What this program itself finds wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The arguments or a file of the user.
    #[error("{0}")]
    Input(String),
    /// The secret is there, the field is not.
    #[error("there is no field '{field}' in this secret; it has: {known}")]
    NoField { field: String, known: String },
    /// Some values of several could not be read.
    #[error("{failed} of {total} secrets were not read")]
    NotAllRead { failed: usize, total: usize },
    /// A rehearsal that a rotation would not survive.
    #[error("the rehearsal did not pass: cure what is told above, then rehearse again")]
    NotPassed,
    /// The credential is made, and has no such field.
    #[error("there is no field '{field}' in this credential; it has: {known}")]
    NoCredentialField { field: String, known: String },
    /// A program that was run ended like this.
    #[error("the program ended with {0}")]
    Program(u8),
    /// A program that was to be run is not one.
    #[error("'{program}' cannot be started: {why}")]
    NotStarted {
        program: String,
        code: u8,
        why: String,
    },
    /// There is nothing to watch.
    #[error("there is no rotation of the secret '{0}'")]
    NoRotation(String),
    /// No rotation policy has this name.
    #[error("there is no rotation policy of the name '{0}': see `scaivault rotation policy list`")]
    NoRotationPolicy(String),
    /// A rotation that was watched ended otherwise.
    #[error("the rotation is {0}")]
    NotRotated(String),
    /// The record was changed.
    #[error("the audit chain is broken at row {id}: {reason}")]
    ChainBroken { id: String, reason: String },
    /// An export that was waited for ended otherwise.
    #[error("the export is {status}: {why}")]
    NotExported { status: String, why: String },
    /// A look at a target found that it cannot be worked with.
    #[error("{target} is not ready: {why}")]
    TargetNotReady { target: String, why: String },
    /// A campaign ended, and not all of it is rotated.
    #[error("{failed} of {total} secrets were not rotated")]
    CampaignFailed { failed: usize, total: usize },
    /// A campaign goes on, and this program does not wait for it any longer.
    #[error("{0}")]
    CampaignWaits(String),
    /// An import ended, and not all of it is here.
    #[error("something is missing: the report says what, and why")]
    NotWhole,
    /// A server other than ours, or ours by another API, said no or did not answer.
    #[error("{text}")]
    Elsewhere { status: Option<u16>, text: String },
    /// A store was copied, and is not the same any more.
    #[error(
        "the copy is whole, but the source went on meanwhile, so it is not finished: stop the \
         servers of the source and run the same command again, which brings what changed"
    )]
    #[cfg_attr(
        not(feature = "server"),
        expect(dead_code, reason = "the server's side copies")
    )]
    SourceWentOn,
}

/// Reports an error, if there is one, and turns the result into the exit code.
pub(crate) fn finish(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    // `scaivault … | head` has what it wanted.
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    // A program that was run has said itself what it had to say.
    if !matches!(error.downcast_ref(), Some(CliError::Program(_))) {
        note(&report::text(&error));
    }
    ExitCode::from(code(&error))
}

/// Help and version end well; a command line that makes no sense is invalid input. Clap's own 2
/// is not used, because for this program it means authentication.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when this cannot be printed.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(VALIDATION)
    } else {
        ExitCode::SUCCESS
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return match error {
            ClientError::Input(_) => VALIDATION,
            other => other.status().map_or(GENERAL, of_status),
        };
    }
    if error.is::<BuildError>() {
        return VALIDATION;
    }
    match error.downcast_ref::<CliError>() {
        Some(CliError::Input(_) | CliError::NoCredentialField { .. }) => VALIDATION,
        Some(CliError::Program(code) | CliError::NotStarted { code, .. }) => *code,
        Some(
            CliError::NoField { .. } | CliError::NoRotation(_) | CliError::NoRotationPolicy(_),
        ) => NOT_FOUND,
        Some(CliError::CampaignFailed { .. }) => CAMPAIGN_FAILED,
        Some(CliError::CampaignWaits(_)) => CAMPAIGN_WAITS,
        Some(CliError::SourceWentOn) => SOURCE_WENT_ON,
        Some(CliError::NotWhole) => NOT_WHOLE,
        Some(CliError::Elsewhere { status, .. }) => status.map_or(GENERAL, of_status),
        Some(
            CliError::ChainBroken { .. }
            | CliError::TargetNotReady { .. }
            | CliError::NotAllRead { .. }
            | CliError::NotPassed
            | CliError::NotRotated(_)
            | CliError::NotExported { .. },
        )
        | None => GENERAL,
    }
}

fn of_status(status: u16) -> u8 {
    match status {
        400 | 413 | 422 => VALIDATION,
        401 => AUTHENTICATION,
        403 => AUTHORIZATION,
        404 => NOT_FOUND,
        _ => GENERAL,
    }
}

#[cfg(test)]
mod tests {
    use scaivault_client::{ApiError, Client};

    use super::*;

    pub(crate) fn api(status: u16) -> anyhow::Error {
        anyhow::Error::new(ClientError::Api(Box::new(ApiError {
            status,
            code: "code".to_owned(),
            message: "message".to_owned(),
            details: None,
            request_id: "req_1".to_owned(),
            retry_after: None,
        })))
    }

    #[test]
    fn codes_by_status() {
        let check = |status, expect| assert_eq!(code(&api(status)), expect, "{status}");
        check(400, 5);
        check(401, 2);
        check(403, 3);
        check(404, 4);
        check(409, 1);
        check(410, 1);
        check(413, 5);
        check(422, 5);
        check(429, 1);
        check(500, 1);
        check(503, 1);
    }

    #[test]
    fn context_does_not_hide_the_code() {
        assert_eq!(code(&api(404).context("while doing more")), 4);
    }

    #[test]
    fn codes_of_our_own() {
        let input = CliError::Input("x".to_owned());
        assert_eq!(code(&input.into()), 5);
        let field = CliError::NoField {
            field: "x".to_owned(),
            known: "y".to_owned(),
        };
        assert_eq!(code(&field.into()), 4);
        let chain = CliError::ChainBroken {
            id: "log_1".to_owned(),
            reason: "x".to_owned(),
        };
        assert_eq!(code(&chain.into()), 1);
        let failed = CliError::CampaignFailed {
            failed: 1,
            total: 2,
        };
        assert_eq!(code(&failed.into()), 6);
        assert_eq!(code(&CliError::CampaignWaits("x".to_owned()).into()), 7);
        assert_eq!(code(&CliError::SourceWentOn.into()), 8);
        assert_eq!(code(&CliError::NotWhole.into()), 9);
        let elsewhere = |status| CliError::Elsewhere {
            status,
            text: "x".to_owned(),
        };
        assert_eq!(code(&elsewhere(Some(401)).into()), 2);
        assert_eq!(code(&elsewhere(None).into()), 1);
        let build = Client::builder("nonsense").build().expect_err("refused");
        assert_eq!(code(&build.into()), 5);
        assert_eq!(code(&anyhow::anyhow!("anything")), 1);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let pipe = std::io::Error::from(ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&pipe.into()));
        let other = std::io::Error::from(ErrorKind::NotFound);
        assert!(!is_closed_pipe(&other.into()));
    }
}
