//! A certificate authority of a test: certificates of clients and servers, and revocation lists.

use std::time::Duration;

use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use super::issuer::now_s;

pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
    fingerprint: String,
}

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    serial: u64,
}

/// What a certificate is to say.
pub(crate) struct Wanted {
    pub(crate) names: Vec<SanType>,
    pub(crate) subject: Vec<(DnType, &'static str)>,
    /// Seconds from now.
    pub(crate) valid: (i64, i64),
    pub(crate) usage: ExtendedKeyUsagePurpose,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            subject: vec![(DnType::CommonName, "a client")],
            valid: (-60, 3_600),
            usage: ExtendedKeyUsagePurpose::ClientAuth,
        }
    }
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("plain text"))
}

pub(crate) fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("plain text"))
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params.self_signed(&key).expect("a certificate");
        Self {
            pem: made.pem(),
            fingerprint: sha256(made.der()),
            params,
            key,
        }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(crate) fn issue(&self, serial: u64, wanted: Wanted) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, text) in wanted.subject {
            params.distinguished_name.push(kind, text);
        }
        params.subject_alt_names = wanted.names;
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date_time_ymd(1970, 1, 1) + since(wanted.valid.0);
        params.not_after = date_time_ymd(1970, 1, 1) + since(wanted.valid.1);
        params.extended_key_usages = vec![wanted.usage];
        let issuer = Issuer::from_params(&self.params, &self.key);
        let made = params.signed_by(&key, &issuer).expect("a certificate");
        Issued {
            fingerprint: sha256(made.der()),
            certificate: made.pem(),
            key: key.serialize_pem(),
            serial,
        }
    }

    /// A client that is called by one URI.
    pub(crate) fn workload(&self, serial: u64, id: &str) -> Issued {
        self.issue(
            serial,
            Wanted {
                names: vec![uri(id)],
                ..Wanted::default()
            },
        )
    }

    /// A list of those that were revoked.
    pub(crate) fn list(&self, revoked: &[&Issued]) -> String {
        let revoked = revoked.iter().map(|one| RevokedCertParams {
            serial_number: SerialNumber::from(one.serial),
            revocation_time: date_time_ymd(1970, 1, 1) + since(-30),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + since(-60),
            next_update: date_time_ymd(1970, 1, 1) + since(3_600),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer = Issuer::from_params(&self.params, &self.key);
        let list = params.signed_by(&issuer).expect("a list");
        list.pem().expect("in PEM")
    }
}

impl Issued {
    /// What a client shows.
    pub(crate) fn identity(&self) -> reqwest::Identity {
        let pem = format!("{}{}", self.key, self.certificate);
        reqwest::Identity::from_pem(pem.as_bytes()).expect("a certificate and its key")
    }
}

/// Since 1970.
fn since(from_now: i64) -> Duration {
    let since = i64::try_from(now_s()).expect("a time") + from_now;
    Duration::from_secs(u64::try_from(since).expect("a time"))
}

fn sha256(der: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, der))
}
