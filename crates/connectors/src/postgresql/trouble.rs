//! What the server's codes mean. Nothing else of its answers is repeated.

use scaivault_core::target::{Trouble, TroubleKind};
use tokio_postgres::Error;

/// The code of an answer. PgBouncer gives most of its refusals the code of a protocol error.
pub(super) fn code(error: &Error) -> Option<&str> {
    error.code().map(tokio_postgres::error::SqlState::code)
}

fn kind_of(code: &str) -> TroubleKind {
    match code {
        "28P01" | "28000" => TroubleKind::ManagerRefused,
        "42501" => TroubleKind::Privilege,
        "42704" => TroubleKind::NoAccount,
        // No such database; a server that only reads.
        "3D000" | "25006" => TroubleKind::Settings,
        "53300" => TroubleKind::Throttled,
        // Starting up or shutting down.
        "57P03" => TroubleKind::Unreachable,
        "57014" | "55P03" | "25P03" => TroubleKind::TimedOut,
        "40001" | "40P01" => TroubleKind::Throttled,
        "0A000" => TroubleKind::Unsupported,
        code if code.starts_with("08") || code.starts_with("57") => TroubleKind::Interrupted,
        _ => TroubleKind::Protocol,
    }
}

/// The trouble of a failed statement.
pub(super) fn statement(error: &Error) -> Trouble {
    match code(error) {
        Some(code) => Trouble::new(kind_of(code)).code(code),
        None => TroubleKind::Interrupted.into(),
    }
}

/// The trouble of a failed login.
pub(super) fn login(error: &Error, encrypted: bool) -> Trouble {
    if let Some(code) = code(error) {
        return Trouble::new(kind_of(code)).code(code);
    }
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    match source.map(std::io::Error::kind) {
        // What rustls found wrong with the certificate.
        Some(std::io::ErrorKind::InvalidData) if encrypted => TroubleKind::Tls.into(),
        Some(_) => TroubleKind::Unreachable.into(),
        // The server does not speak TLS.
        None if encrypted && error.to_string().starts_with("error performing TLS") => {
            TroubleKind::Tls.into()
        }
        None if error.is_closed() => TroubleKind::Unreachable.into(),
        None => TroubleKind::Protocol.into(),
    }
}
