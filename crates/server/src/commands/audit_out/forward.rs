//! `scaivault audit forward`: rows as they come, to a collector of logs, with a mark on disk.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use scaivault_core::audit_anchor::AuditAnchor;

use super::course::{Course, Genuine, Keeper, Trouble};
use super::destination::Destination;
use super::mark::Mark;
use super::source::Source;
use super::syslog::{Form, MessageFormat};
use super::way::Way;
use crate::place::Place;

/// The longest pause before a collector is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// Arguments.
#[derive(Debug, Clone)]
pub struct ForwardArgs {
    /// The store.
    pub database: Place,
    /// To whom.
    pub to: Destination,
    /// In which form.
    pub format: MessageFormat,
    /// For `tls://`: whose certificates are believed; otherwise those this machine believes.
    pub ca_file: Option<PathBuf>,
    /// The mark's file.
    pub mark: PathBuf,
    /// What the messages call this machine.
    pub host: String,
    /// The root key's file: with it what retention removed is told from what others did.
    pub key_file: Option<PathBuf>,
    /// Without a key: go on behind rows that are gone before they were sent.
    pub accept_gap: bool,
    /// Without a mark: begin with what comes from now on, not with the first row.
    pub from_now: bool,
    /// End when everything there is was handed over.
    pub once: bool,
    /// Between two looks.
    pub every: Duration,
}

/// Hands rows over until it is stopped; with `once`, until there are no more. Answers how many. What
/// an operator may want to know meanwhile goes to `told`.
///
/// # Errors
/// When the store or the mark cannot be used, and when the chain is broken or does not continue what
/// was handed over. A collector that is gone is waited for; with `once` it is an error.
pub fn forward(args: &ForwardArgs, told: &(dyn Fn(&str) + Sync)) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(args, told))
}

/// The mark's file.
struct MarkFile(PathBuf);

#[async_trait::async_trait]
impl Keeper for MarkFile {
    async fn keep(&mut self, mark: &Mark) -> Result<()> {
        mark.write(&self.0)
    }
}

async fn run(args: &ForwardArgs, told: &(dyn Fn(&str) + Sync)) -> Result<u64> {
    let source = Source::open(&args.database).await?;
    let keyring = match &args.key_file {
        Some(file) => Some(source.keyring(file.clone()).await?),
        None => None,
    };
    let mark = match Mark::read(&args.mark)? {
        Some(mark) => mark,
        None if args.from_now => source.end().await?,
        None => Mark::default(),
    };
    mark.write(&args.mark)?;
    let form = Form {
        format: args.format,
        host: args.host.clone(),
        structured: None,
    };
    let way = Way::anywhere(args.to.clone(), form, args.ca_file.as_deref())?;
    let fits = |keyring: scaivault_crypto::Keyring| -> Genuine {
        Box::new(move |anchor: &AuditAnchor| anchor.fits(|message| keyring.chain_mac(message)))
    };
    let mut course = Course::new(
        &way,
        source,
        mark,
        Box::new(MarkFile(args.mark.clone())),
        told,
    );
    course.genuine = keyring.map(fits);
    course.accept_gap = args.accept_gap;
    course.once = args.once;
    let (mut rows, mut pause) = (0, PAUSE_MIN);
    loop {
        match course.pass().await {
            Ok(0) if args.once => match course.finish().await {
                Ok(()) => return Ok(rows),
                Err(Trouble::Collector(error)) => bail!("the collector takes nothing: {error}"),
                Err(Trouble::Own(error)) => return Err(error),
            },
            Ok(0) => tokio::time::sleep(args.every).await,
            Ok(handed_over) => {
                rows += handed_over;
                pause = PAUSE_MIN;
            }
            Err(Trouble::Collector(error)) if !args.once => {
                course.hung_up();
                told(&format!(
                    "the collector takes nothing: {error}; trying again"
                ));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(Trouble::Collector(error)) => bail!("the collector takes nothing: {error}"),
            Err(Trouble::Own(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use scaivault_core::audit::{Action, AuditExtra, AuditRow};
    use scaivault_core::ids::TenantId;
    use scaivault_core::ports::{AuditReads as _, Op, Store as _, Unit, UnitName};
    use scaivault_core::time::Timestamp;
    use scaivault_crypto::SystemEntropy;
    use scaivault_store::{ChainMac, SqliteOptions, SqliteStore};

    use scaivault_crypto::Keyring;

    use super::super::source::samples::keyring;
    use super::*;

    struct Key(Keyring);

    impl ChainMac for Key {
        fn mac(&self, message: &[u8]) -> [u8; 32] {
            self.0.chain_mac(message)
        }
    }

    fn row(at: i64) -> AuditRow {
        AuditRow {
            timestamp: Timestamp::from_micros(at),
            tenant_id: TenantId::parse("tnt_a").unwrap(),
            action: Action::Read,
            identity_type: "user".into(),
            identity_id: "user:a".to_owned(),
            secret_path: None,
            source_ip: None,
            user_agent: None,
            success: true,
            duration_ms: 1,
            request_id: None,
            extra_data: AuditExtra::default(),
        }
    }

    /// A store of three segments of which the first is gone, behind an anchor that nobody's key made.
    async fn cut(file: &std::path::Path) {
        let store = SqliteStore::open(SqliteOptions::file(file), &SystemEntropy).unwrap();
        store
            .start_audit(std::sync::Arc::new(Key(keyring())))
            .await
            .unwrap();
        for at in 0..3 {
            store.commit(Unit::audit_only(row(at))).await.unwrap();
        }
        let before = Timestamp::from_micros(1);
        let found = store.audit_prunable(before, None).await.unwrap().unwrap();
        assert_eq!(found.anchor.last_seq, 1);
        let op = Op::AuditPrune {
            anchor: found.anchor,
            after: found.after,
            index: found.index,
        };
        let unit = Unit::new(UnitName::AuditPrune).op(op).audited(row(9));
        store.commit(unit).await.unwrap();
    }

    #[test]
    fn without_a_key_a_gap_is_passed_over_only_when_it_is_accepted() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("store.db");
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(cut(&file));
        let socket = home.path().join("log");
        let collector = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
        let args = |accept_gap| ForwardArgs {
            database: Place::File(file.clone()),
            to: Destination::Unix(socket.clone()),
            format: MessageFormat::Json,
            ca_file: None,
            mark: home.path().join("mark"),
            host: "-".to_owned(),
            key_file: None,
            accept_gap,
            from_now: false,
            once: true,
            every: Duration::from_secs(1),
        };
        let refused = forward(&args(false), &|_| {}).unwrap_err().to_string();
        assert!(
            refused.starts_with("rows 1 to 1 of") && refused.contains("--accept-gap"),
            "{refused}"
        );
        collector.set_nonblocking(true).unwrap();
        assert!(collector.recv(&mut [0; 8]).is_err(), "nothing was sent");
        assert_eq!(forward(&args(true), &|_| {}).unwrap(), 3);
    }

    /// A collector that takes one TLS connection at a time, and its certificate's file.
    fn tls_collector(home: &std::path::Path) -> (rustls::ServerConfig, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = home.join("collector.pem");
        std::fs::write(&file, made.cert.pem()).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        (config, file)
    }

    #[test]
    fn over_tls_nothing_is_lost_when_the_collector_starts_again() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("store.db");
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(cut(&file));
        let (config, certificate) = tls_collector(home.path());
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let port = listener.local_addr().unwrap().port();
        let collector = runtime.spawn(async move {
            // The first that gets through is cut off in the middle; others are read to their end.
            let mut all = Vec::new();
            let mut cut_off = false;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                if !cut_off {
                    cut_off = true;
                    stream.read_exact(&mut [0; 20]).await.unwrap();
                    continue;
                }
                stream.read_to_end(&mut all).await.unwrap();
                stream.shutdown().await.unwrap();
                return String::from_utf8(all).unwrap();
            }
        });
        let args = |ca_file: Option<PathBuf>| ForwardArgs {
            database: Place::File(file.clone()),
            to: Destination::Tls(format!("localhost:{port}")),
            format: MessageFormat::Json,
            ca_file,
            mark: home.path().join("mark"),
            host: "-".to_owned(),
            key_file: None,
            accept_gap: true,
            from_now: false,
            once: true,
            every: Duration::from_secs(1),
        };
        // Whom nobody vouches for gets nothing.
        let refused = forward(&args(None), &|_| {}).unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{refused}");
        let believed = args(Some(certificate));
        let refused = forward(&believed, &|_| {}).unwrap_err().to_string();
        assert!(refused.contains("the collector takes nothing"), "{refused}");
        assert_eq!(forward(&believed, &|_| {}).unwrap(), 3);
        let all = runtime.block_on(collector).unwrap();
        let times = all.lines().map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["timestamp"].as_i64().unwrap()
        });
        assert_eq!(times.collect::<Vec<_>>(), [1, 2, 9]);
        // The mark is behind them.
        let mark = Mark::read(&believed.mark).unwrap().unwrap();
        assert_eq!(mark.heads()[0].last_seq, 4);
    }
}
