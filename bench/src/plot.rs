//! Plots of measured figures: which figure goes into which chart. Nothing is measured here.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::chart::{Chart, Series};
use crate::peer::{Kind, Work};
use crate::ratio::Spread;
use crate::results::{Comparison, Results, Side};

#[derive(Args)]
pub(crate) struct PlotArgs {
    /// Figures, as `peer --json` and `sizes --json` left them.
    #[arg(long, default_value = "docs/plots/results.json")]
    from: PathBuf,
    /// The directory that the plots go into.
    #[arg(long, default_value = "docs/plots")]
    to: PathBuf,
}

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];

/// Connections of the figures that are drawn for one number of them only.
const ONE: usize = 64;

pub(crate) fn run(args: &PlotArgs) -> Result<()> {
    if !args.from.is_file() {
        bail!("{} is not there: measure first", args.from.display());
    }
    let results = Results::load(&args.from)?;
    fs::create_dir_all(&args.to)?;
    let charts = [
        ("throughput-read", throughput(&results, Work::Read)),
        ("throughput-write", throughput(&results, Work::Write)),
        ("ratios", ratios(&results)),
        ("latency-read", latency(&results)),
        ("read-by-secrets", sizes(&results)),
    ];
    for (name, chart) in charts {
        let Some(chart) = chart else {
            println!("{name}: nothing measured");
            continue;
        };
        let file = args.to.join(name).with_extension("svg");
        fs::write(&file, chart.svg())
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("{}", file.display());
    }
    Ok(())
}

/// Figures of one store and transport, among as many secrets as were measured there.
fn of(results: &Results, store: Kind, tls: bool) -> Vec<&Comparison> {
    let fits = |one: &&Comparison| one.store == store && one.tls == tls;
    let all = || results.comparisons.iter().filter(fits);
    let most = all().map(|one| one.secrets).max();
    all().filter(|one| Some(one.secrets) == most).collect()
}

fn throughput(results: &Results, work: Work) -> Option<Chart> {
    let points = |of: &[&Comparison], side: fn(&Comparison) -> &Side| {
        let at = |connections: &usize| {
            let fits = |one: &&&Comparison| {
                one.work == work && one.connections == *connections && one.offered.is_none()
            };
            of.iter().find(fits).map(|one| side(one).rate)
        };
        CONNECTIONS.iter().map(at).collect::<Vec<_>>()
    };
    let embedded = of(results, Kind::Sqlite, false);
    let shared = of(results, Kind::Postgresql, false);
    let secrets = embedded.first()?.secrets;
    let mut series = vec![
        Series {
            name: "ScaiVault".to_owned(),
            points: points(&embedded, |one| &one.product),
        },
        Series {
            name: results.peer.clone(),
            points: points(&embedded, |one| &one.peer),
        },
    ];
    if !shared.is_empty() {
        series.push(Series {
            name: "ScaiVault, PostgreSQL".to_owned(),
            points: points(&shared, |one| &one.product),
        });
        series.push(Series {
            name: format!("{}, PostgreSQL", results.peer),
            points: points(&shared, |one| &one.peer),
        });
    }
    let title = match work {
        Work::Write => "Writes a second, each synced and audited",
        _ => "Audited reads a second",
    };
    Some(Chart {
        title: title.to_owned(),
        note: format!(
            "{secrets} secrets, no TLS, closed loop; median of the rounds, least to most. The peer's \
             audit log is not synced."
        ),
        x_label: "connections".to_owned(),
        places: CONNECTIONS.iter().map(ToString::to_string).collect(),
        y_label: "requests/s".to_owned(),
        logarithmic: false,
        series,
        level: None,
    })
}

fn ratios(results: &Results) -> Option<Chart> {
    let kinds = [
        (Kind::Sqlite, false, "embedded"),
        (Kind::Sqlite, true, "embedded, TLS"),
        (Kind::Postgresql, false, "PostgreSQL"),
    ];
    let series: Vec<Series> = kinds
        .into_iter()
        .filter_map(|(store, tls, name)| {
            let of = of(results, store, tls);
            let at = |work: &Work| {
                let fits = |one: &&&Comparison| {
                    one.work == *work && one.connections == ONE && one.offered.is_none()
                };
                of.iter().find(fits).map(|one| one.ratio)
            };
            let points: Vec<_> = Work::ALL.iter().map(at).collect();
            points.iter().any(Option::is_some).then(|| Series {
                name: name.to_owned(),
                points,
            })
        })
        .collect();
    (!series.is_empty()).then(|| Chart {
        title: format!("Requests a second, times those of {}", results.peer),
        note: format!("{ONE} connections, closed loop; median of the rounds, least to most"),
        x_label: "kind of work".to_owned(),
        places: Work::ALL
            .iter()
            .map(|work| work.name().to_owned())
            .collect(),
        y_label: "ratio".to_owned(),
        logarithmic: true,
        series,
        level: Some((5.0, "aim of reads and writes: 5".to_owned())),
    })
}

fn latency(results: &Results) -> Option<Chart> {
    let open = of(results, Kind::Sqlite, false);
    let open = open.iter().find(|one| one.offered.is_some())?;
    let points = |side: &Side| {
        [side.p50_ms, side.p90_ms, side.p99_ms, side.p999_ms]
            .map(|ms| Some(Spread::of([ms])))
            .to_vec()
    };
    Some(Chart {
        title: "Latency of a read, from when it was meant to be sent".to_owned(),
        note: format!(
            "{} requests/s offered to each over {} connections, {} secrets",
            open.offered.unwrap_or_default(),
            open.connections,
            open.secrets
        ),
        x_label: "percentile".to_owned(),
        places: ["50", "90", "99", "99.9"].map(str::to_owned).to_vec(),
        y_label: "ms".to_owned(),
        logarithmic: true,
        series: vec![
            Series {
                name: "ScaiVault".to_owned(),
                points: points(&open.product),
            },
            Series {
                name: results.peer.clone(),
                points: points(&open.peer),
            },
        ],
        level: None,
    })
}

fn sizes(results: &Results) -> Option<Chart> {
    let sizes = &results.sizes;
    (!sizes.is_empty()).then(|| Chart {
        title: "What a read costs by the number of secrets".to_owned(),
        note: "Time by that among 1,000 secrets, in the same run; processor time likewise"
            .to_owned(),
        x_label: "secrets".to_owned(),
        places: sizes.iter().map(|size| size.secrets.to_string()).collect(),
        y_label: "ratio".to_owned(),
        logarithmic: false,
        series: vec![
            Series {
                name: "time".to_owned(),
                points: sizes.iter().map(|size| Some(size.cost)).collect(),
            },
            Series {
                name: "processor time".to_owned(),
                points: sizes
                    .iter()
                    .map(|size| Some(Spread::of([size.cpu_cost])))
                    .collect(),
            },
        ],
        level: Some((1.2, "aim: at most 1.2".to_owned())),
    })
}
