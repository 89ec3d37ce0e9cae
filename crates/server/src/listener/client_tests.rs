//! What was shown at a handshake, judged as time goes on. The clock is moved by hand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use scaivault_core::ports::Clock;
use scaivault_core::time::Timestamp;

use super::client::{CertificateRefused, ClientCertificate};
use super::*;

const NOW: i64 = 1_800_000_000;

#[derive(Default)]
struct ByHand(AtomicI64);

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::SeqCst))
    }
}

fn after(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(NOW + seconds).unwrap())
}

/// A name and key that others may be issued by.
struct Above {
    params: CertificateParams,
    key: KeyPair,
}

fn params(name: &str, serial: u64, ends: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = date_time_ymd(1970, 1, 1) + after(-60);
    params.not_after = date_time_ymd(1970, 1, 1) + after(ends);
    params
}

fn authority(name: &str, serial: u64, ends: i64) -> Above {
    let mut params = params(name, serial, ends);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    Above { params, key }
}

impl Above {
    fn issue(&self, params: &CertificateParams, key: &KeyPair) -> rcgen::Certificate {
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(key, &issuer).unwrap()
    }

    fn list(&self, revoked: &[u64], ends: i64) -> String {
        let day = date_time_ymd(1970, 1, 1);
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: day + after(-30),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: day + after(-60),
            next_update: day + after(ends),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(&issuer).unwrap().pem().unwrap()
    }
}

struct Stage {
    folder: tempfile::TempDir,
    clock: Arc<ByHand>,
    root: Above,
    between: Above,
    chain: Vec<CertificateDer<'static>>,
}

/// A client below an authority between, which ends after a thousand seconds, the client after two.
fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let (root, between) = (authority("root", 1, 9_000), authority("between", 2, 1_000));
    let own = root.params.self_signed(&root.key).unwrap();
    let mut wanted = params("client", 3, 2_000);
    wanted.subject_alt_names = vec![SanType::URI("spiffe://a/b".try_into().unwrap())];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = between.issue(&wanted, &KeyPair::generate().unwrap());
    let above = root.issue(&between.params, &between.key);
    let server = rcgen::generate_simple_self_signed(["vault.test".to_owned()]).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("cert.pem", server.cert.pem());
    write("key.pem", server.signing_key.serialize_pem());
    write("ca.pem", own.pem());
    let clock = Arc::new(ByHand::default());
    clock.0.store(NOW, Ordering::SeqCst);
    Stage {
        chain: vec![client.der().clone(), above.der().clone()],
        folder,
        clock,
        root,
        between,
    }
}

impl Stage {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn tls(&self, crl: bool) -> Tls {
        let files = TlsFiles {
            cert: self.path().join("cert.pem"),
            key: self.path().join("key.pem"),
            clients: Some(ClientFiles {
                ca: self.path().join("ca.pem"),
                crl: crl.then(|| self.path().join("crl.pem")),
                required: true,
            }),
        };
        Tls::load(files, self.clock.clone()).unwrap()
    }

    fn lists(&self, revoked: &[u64], ends: i64) {
        let lists = self.root.list(&[], 9_000) + &self.between.list(revoked, ends);
        std::fs::write(self.path().join("crl.pem"), lists).unwrap();
    }

    fn at(&self, shown: &ClientCertificate, after: i64) -> Result<String, CertificateRefused> {
        self.clock.0.store(NOW + after, Ordering::SeqCst);
        let shown = shown.shown(self.clock.now())?;
        Ok(shown.claims["uri"].as_str().unwrap().to_owned())
    }
}

#[test]
fn a_certificate_ends_with_whatever_it_stands_on() {
    let stage = stage();
    let tls = stage.tls(false);
    let shown = ClientCertificate::new(&stage.chain, &tls);
    assert_eq!(stage.at(&shown, 0).unwrap(), "spiffe://a/b");
    assert!(stage.at(&shown, 990).is_ok());
    // The one between ends, and is looked at again within a minute; the client's own end is exact.
    assert_eq!(
        stage.at(&shown, 1_061),
        Err(CertificateRefused::NotAccepted)
    );
    assert_eq!(stage.at(&shown, 2_001), Err(CertificateRefused::Expired));
    // Whoever sets the clock back is judged again, too.
    assert!(stage.at(&shown, 10).is_ok());
    let own = ClientCertificate::new(&stage.chain[..1], &tls);
    assert_eq!(stage.at(&own, 0), Err(CertificateRefused::NotAccepted));
    let none = ClientCertificate::new(&[CertificateDer::from(vec![0; 9])], &tls);
    assert_eq!(stage.at(&none, 0), Err(CertificateRefused::NotAccepted));
}

#[test]
fn a_list_counts_from_the_reload_on_and_until_it_is_out_of_date() {
    let stage = stage();
    stage.lists(&[7], 300);
    let tls = stage.tls(true);
    let shown = ClientCertificate::new(&stage.chain, &tls);
    assert!(stage.at(&shown, 0).is_ok());
    assert!(stage.at(&shown, 290).is_ok());
    assert_eq!(stage.at(&shown, 361), Err(CertificateRefused::NotAccepted));
    stage.lists(&[7], 900);
    tls.reload().unwrap();
    assert!(stage.at(&shown, 362).is_ok(), "the very next request");
    stage.lists(&[7, 3], 900);
    assert!(stage.at(&shown, 363).is_ok(), "not before the reload");
    tls.reload().unwrap();
    assert_eq!(stage.at(&shown, 363), Err(CertificateRefused::NotAccepted));
    // A list that cannot be read leaves what there was.
    std::fs::write(stage.path().join("crl.pem"), "half").unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("crl.pem"));
    assert_eq!(stage.at(&shown, 364), Err(CertificateRefused::NotAccepted));
    // Of the authority between there has to be one.
    std::fs::write(stage.path().join("crl.pem"), stage.root.list(&[], 900)).unwrap();
    tls.reload().unwrap();
    assert_eq!(stage.at(&shown, 365), Err(CertificateRefused::NotAccepted));
}

#[test]
fn who_vouches_is_known_by_the_authoritys_fingerprint() {
    let stage = stage();
    let other = authority("root", 1, 9_000);
    let other = other.params.self_signed(&other.key).unwrap();
    let ca = std::fs::read_to_string(stage.path().join("ca.pem")).unwrap();
    std::fs::write(stage.path().join("ca.pem"), other.pem() + &ca).unwrap();
    let tls = stage.tls(false);
    let shown = ClientCertificate::new(&stage.chain, &tls);
    let issuer = shown.shown(stage.clock.now()).unwrap().claims["issuer"].clone();
    let in_file = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
    let in_file = scaivault_crypto::certificate::fingerprint(&in_file);
    assert_eq!(issuer, in_file.as_str());
    assert_ne!(
        issuer,
        scaivault_crypto::certificate::fingerprint(other.der()).as_str()
    );
}

#[test]
fn an_authority_that_has_ended_vouches_for_nobody() {
    let stage = stage();
    let above = CertificateDer::from_pem_slice(
        std::fs::read(stage.path().join("ca.pem"))
            .unwrap()
            .as_slice(),
    );
    let root = above.unwrap();
    // The one between, as an authority of its own; it ends after a thousand seconds.
    let between = pem(&stage.chain[1]);
    std::fs::write(stage.path().join("ca.pem"), &between).unwrap();
    let tls = stage.tls(false);
    let mut wanted = params("long", 9, 2_000);
    wanted.subject_alt_names = vec![SanType::URI("spiffe://a/b".try_into().unwrap())];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = stage.between.issue(&wanted, &KeyPair::generate().unwrap());
    let chain = [client.der().clone()];
    let shown = ClientCertificate::new(&chain, &tls);
    assert!(stage.at(&shown, 1_000).is_ok());
    assert_eq!(
        stage.at(&shown, 1_061),
        Err(CertificateRefused::NotAccepted)
    );
    // Nor is it the way to another that is good: it has ended, whoever is above it.
    std::fs::write(stage.path().join("ca.pem"), between + &pem(&root)).unwrap();
    tls.reload().unwrap();
    let shown = ClientCertificate::new(&stage.chain, &tls);
    assert!(stage.at(&shown, 900).is_ok());
    assert_eq!(
        stage.at(&shown, 1_061),
        Err(CertificateRefused::NotAccepted)
    );
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
