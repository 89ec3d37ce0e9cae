//! Identities from outside: what an operator says of an issuer of signed tokens (`settings`), what a
//! verified token's claims make of its bearer (`claims`), and which foreign workloads are given a
//! token of ours (`exchange`). Client certificates are read into claims (`certificate`), so that the same
//! rules decide on them. Whether a signature holds is judged elsewhere; here it has held.

mod certificate;
mod claims;
mod exchange;
mod pattern;
mod settings;

pub use certificate::{CERTIFICATES, CertificateNames, NameKind};
pub use claims::{Claims, Login, Refused, Window, claim_at, text_of};
pub use exchange::{Exchange, ExchangeRule, exchange};
pub use pattern::{Parts, Pattern};
pub use settings::{Algorithm, ClaimNames, Issuer, KeysFrom};

#[cfg(test)]
mod certificate_tests;
#[cfg(test)]
mod tests;
