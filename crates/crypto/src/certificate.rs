//! What stands in a client certificate. Whether it is to be believed (chain, times, revocation) is
//! judged by the TLS library; here its names are read for the rules that give identities.

use scaivault_core::issuer::{CertificateNames, NameKind};
use scaivault_core::time::Timestamp;
use sha2::{Digest as _, Sha256};
use x509_cert::der::Decode as _;
use x509_cert::der::Tagged as _;
use x509_cert::der::asn1::{Any, ObjectIdentifier};
use x509_cert::der::{Error, Tag};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

const SUBJECT: [(ObjectIdentifier, NameKind); 3] = [
    (
        ObjectIdentifier::new_unwrap("2.5.4.3"),
        NameKind::CommonName,
    ),
    (
        ObjectIdentifier::new_unwrap("2.5.4.10"),
        NameKind::Organisation,
    ),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), NameKind::Unit),
];

/// A certificate's names and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its names; those of its authorities are not known here.
    pub names: CertificateNames,
    /// From when.
    pub not_before: Timestamp,
    /// Until when, that moment included.
    pub expires_at: Timestamp,
}

/// It is none, or none that can be read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be read")]
pub struct Unreadable;

impl From<Error> for Unreadable {
    fn from(_: Error) -> Self {
        Self
    }
}

/// SHA-256 of a certificate, hex: what it is called by.
pub fn fingerprint(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// Reads a certificate.
///
/// # Errors
/// When it, or its list of alternative names, is not well-formed.
pub fn read(der: &[u8]) -> Result<Certificate, Unreadable> {
    let certificate = x509_cert::Certificate::from_der(der)?;
    let body = &certificate.tbs_certificate;
    let mut names = Vec::new();
    if let Some((_, alternative)) = body.get::<SubjectAltName>()? {
        names.extend(alternative.0.iter().filter_map(alternative_name));
    }
    let attributes = body.subject.0.iter().flat_map(|part| part.0.iter());
    for attribute in attributes {
        let kind = SUBJECT.iter().find(|(oid, _)| *oid == attribute.oid);
        if let (Some((_, kind)), Some(text)) = (kind, text(&attribute.value)) {
            names.push((*kind, text.to_owned()));
        }
    }
    Ok(Certificate {
        names: CertificateNames {
            names,
            fingerprint: fingerprint(der),
            authorities: Vec::new(),
        },
        not_before: at(&body.validity.not_before),
        expires_at: at(&body.validity.not_after),
    })
}

fn alternative_name(name: &GeneralName) -> Option<(NameKind, String)> {
    let (kind, text) = match name {
        GeneralName::UniformResourceIdentifier(text) => (NameKind::Uri, text),
        GeneralName::DnsName(text) => (NameKind::Dns, text),
        GeneralName::Rfc822Name(text) => (NameKind::Email, text),
        _ => return None,
    };
    Some((kind, text.as_str().to_owned()))
}

/// Of the many kinds of text those that are read in one way.
fn text(value: &Any) -> Option<&str> {
    let is_plain = matches!(
        value.tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String
    );
    std::str::from_utf8(value.value()).ok().filter(|_| is_plain)
}

fn at(time: &Time) -> Timestamp {
    Timestamp::from_secs(0).plus(time.to_unix_duration())
}
