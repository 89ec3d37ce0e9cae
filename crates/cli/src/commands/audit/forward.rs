//! `scaivault audit forward`: the trail to a collector of logs.

use std::path::PathBuf;

use clap::Args;

/// Send rows to a collector of logs as they come, beside the store's servers.
///
/// Goes on where its mark is, and waits for a collector that is gone: rows may come twice (they have
/// ids), and none is left out. Exits with 1 when the chain does not continue what was sent.
#[derive(Args)]
pub(crate) struct Forward {
    /// The store: a file, postgresql://…, or @FILE with it
    #[arg(long, value_name = "STORE")]
    database: String,
    /// tcp://host:port, tls://host:port, udp://host:port or unix:///path
    #[arg(long, value_name = "WHERE")]
    to: String,
    /// With tls://: believe the certificates in this file, not those this machine does
    #[arg(long, value_name = "FILE")]
    collector_ca_file: Option<PathBuf>,
    /// syslog: RFC 5424 with the row as its text; json: the row
    #[arg(long, value_name = "FORMAT", value_parser = ["syslog", "json"], default_value = "syslog")]
    format: String,
    /// The file that says how far rows were sent
    #[arg(long, value_name = "FILE")]
    mark: PathBuf,
    /// The root key: with it rows that retention removed are told from those that somebody else did
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Without --key-file: go on behind rows that were removed before they were sent
    #[arg(long)]
    accept_gap: bool,
    /// What messages call this machine
    #[arg(long, value_name = "NAME", default_value = "-")]
    hostname: String,
    /// Without a mark: begin with what comes from now on
    #[arg(long)]
    from_now: bool,
    /// End when everything there is was sent; a collector that is gone is an error
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

impl Forward {
    #[cfg(feature = "server")]
    pub(crate) fn run_offline(self, as_json: bool) -> anyhow::Result<()> {
        use scaivault_server::commands::{Destination, ForwardArgs, MessageFormat, Place, forward};

        let plain = |c: char| c.is_ascii_graphic();
        if self.hostname.is_empty()
            || self.hostname.len() > 255
            || !self.hostname.chars().all(plain)
        {
            anyhow::bail!("--hostname has 1 to 255 printable ASCII characters, no space");
        }
        let args = ForwardArgs {
            database: Place::parse(&self.database)?,
            to: Destination::parse(&self.to)?,
            format: match self.format.as_str() {
                "json" => MessageFormat::Json,
                _ => MessageFormat::Syslog,
            },
            ca_file: self.collector_ca_file,
            mark: self.mark,
            host: self.hostname,
            key_file: self.key_file,
            accept_gap: self.accept_gap,
            from_now: self.from_now,
            once: self.once,
            every: std::time::Duration::from_secs(self.every),
        };
        let rows = forward(&args, &crate::output::note)?;
        let text = match as_json {
            true => format!("{{\"rows\":{rows}}}\n"),
            false => format!("sent {rows} rows\n"),
        };
        let mut out = std::io::stdout();
        Ok(std::io::Write::write_all(&mut out, text.as_bytes())?)
    }

    #[cfg(not(feature = "server"))]
    pub(crate) fn run_offline(self, _: bool) -> anyhow::Result<()> {
        anyhow::bail!("this binary was built without the server: it cannot open a database")
    }
}
