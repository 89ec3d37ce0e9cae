//! What the server counts, in the names of the product's documentation (`scaivault_…`), and the
//! text Prometheus reads.
//!
//! Promises: labels come from closed sets (and a bounded number of tenants), so the number of
//! series is bounded; no label holds a path, an identity or a value; counting on the request
//! path takes no lock and no allocation once a series exists. A series exists from its first
//! event on.
//!
//! To add one: a field of [`Metrics`], a line in `register`, and a method if it has labels.

mod forwards;
mod histogram;
mod labels;
mod leases;
mod logins;
mod open_rotations;
mod tenants;
mod trail;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub(crate) use forwards::ForwardMetrics;
pub(crate) use histogram::DurationHistogram;
pub(crate) use labels::{AuthMethod, MethodLabel, Outcome, PathCategory};
pub(crate) use leases::Leases;
pub(crate) use logins::{LoginMethod, LoginMetrics, LoginResult};
pub(crate) use open_rotations::OpenRotations;
pub(crate) use tenants::TenantMetrics;
pub(crate) use trail::TrailMetrics;

use crate::listener::ConnectionCounters;
use crate::rate_limit::Category;
use labels::{
    AuthLabels, CategoryLabels, PathLabels, RequestLabels, RouteLabels, StatusLabel, StatusLabels,
};
use tenants::Tenants;

/// The content type of [`Metrics::render`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const ROUTES: usize = MethodLabel::COUNT * PathCategory::ALL.len();
const ANSWERS: usize = ROUTES * StatusLabel::COUNT;

/// All numbers of one server. Make one, share it in an `Arc`.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    requests_made: Box<[OnceLock<Counter>]>,
    durations: Family<RouteLabels, DurationHistogram>,
    durations_made: Box<[OnceLock<DurationHistogram>]>,
    active: [Gauge; PathCategory::ALL.len()],
    rate_limit_hits: [Counter; Category::ALL.len()],
    rotations: [Counter; Outcome::ALL.len()],
    deliveries: [Counter; Outcome::ALL.len()],
    authentications: [Counter; AuthMethod::ALL.len() * Outcome::ALL.len()],
    tenants: Tenants,
    /// The listener's, to be given to it.
    pub connections: ConnectionCounters,
    /// Rows written to the audit chain.
    pub audit_rows: Counter,
    /// Units of work waiting for the store's writer.
    pub store_queue_depth: Gauge,
    /// Rows that were refused: they are not what was written.
    pub store_rows_refused: Gauge,
    /// Size of the store's files, as last looked at.
    pub store_bytes: Gauge,
    /// Debts at targets.
    pub debts: Gauge,
    /// The age of the oldest of them, in seconds.
    pub debt_oldest: Gauge,
    /// Streams of events open.
    pub streams: Gauge,
    /// Rotations that have not ended.
    pub open_rotations: OpenRotations,
    /// Collectors of the audit trail; their loops have it, too.
    pub forwards: Arc<ForwardMetrics>,
    /// Logins.
    pub logins: LoginMetrics,
    /// Retention and exports of the audit trail.
    pub trail: TrailMetrics,
    /// Leases of credentials made on request.
    pub leases: Leases,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("scaivault");
        let requests = Family::default();
        let durations = Family::<RouteLabels, DurationHistogram>::default();
        registry.register("requests", "Requests answered", requests.clone());
        registry.register(
            "request_duration_seconds",
            "Time to answer",
            durations.clone(),
        );
        let active = fixed(
            &mut registry,
            "active_requests",
            "Requests being served",
            || {
                PathCategory::ALL.map(|path| PathLabels {
                    path_category: path.as_str(),
                })
            },
        );
        let rate_limit_hits = fixed(&mut registry, "rate_limit_hits", "Requests refused", || {
            Category::ALL.map(|category| CategoryLabels {
                category: category.as_str(),
            })
        });
        let outcomes = || {
            Outcome::ALL.map(|outcome| StatusLabels {
                status: outcome.as_str(),
            })
        };
        let rotations = fixed(
            &mut registry,
            "secret_rotations",
            "Rotations ended",
            outcomes,
        );
        let deliveries = fixed(
            &mut registry,
            "webhook_deliveries",
            "Delivery attempts ended",
            outcomes,
        );
        let authentications = fixed(
            &mut registry,
            "authentications",
            "Callers that showed who they are, or failed to",
            AuthLabels::all,
        );
        let mut metrics = Self {
            registry,
            requests,
            requests_made: (0..ANSWERS).map(|_| OnceLock::new()).collect(),
            durations,
            durations_made: (0..ROUTES).map(|_| OnceLock::new()).collect(),
            active,
            rate_limit_hits,
            rotations,
            deliveries,
            authentications,
            tenants: Tenants::default(),
            connections: ConnectionCounters::default(),
            audit_rows: Counter::default(),
            store_queue_depth: Gauge::default(),
            store_rows_refused: Gauge::default(),
            store_bytes: Gauge::default(),
            debts: Gauge::default(),
            debt_oldest: Gauge::default(),
            streams: Gauge::default(),
            open_rotations: OpenRotations::default(),
            forwards: Arc::default(),
            logins: LoginMetrics::default(),
            trail: TrailMetrics::default(),
            leases: Leases::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        self.tenants.register(registry);
        self.open_rotations.register(registry);
        self.forwards.register(registry);
        self.logins.register(registry);
        self.trail.register(registry);
        self.leases.register(registry);
        let open = &self.connections;
        registry.register(
            "connections_accepted",
            "Connections taken on",
            open.accepted.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections over the cap",
            open.refused.clone(),
        );
        let failed = open.handshakes_failed.clone();
        registry.register(
            "tls_handshakes_failed",
            "TLS handshakes that failed",
            failed,
        );
        registry.register("connections_open", "Open connections", open.open.clone());
        registry.register(
            "subscription_streams",
            "Streams of events open",
            self.streams.clone(),
        );
        registry.register(
            "audit_rows",
            "Rows written to the audit chain",
            self.audit_rows.clone(),
        );
        registry.register(
            "rotation_debts",
            "What is still to be removed at targets",
            self.debts.clone(),
        );
        registry.register(
            "rotation_debt_oldest_seconds",
            "Age of the oldest debt",
            self.debt_oldest.clone(),
        );
        let depth = self.store_queue_depth.clone();
        registry.register(
            "store_queue_depth",
            "Units of work waiting for the writer",
            depth,
        );
        registry.register(
            "store_rows_refused",
            "Reads of rows that are not what was written",
            self.store_rows_refused.clone(),
        );
        registry.register(
            "store_bytes",
            "Size of the store's files",
            self.store_bytes.clone(),
        );
    }

    /// A request begins. Tell the result how it ended; dropped untold (the client went away, the
    /// handler panicked), only the number of active requests changes.
    pub(crate) fn request(
        self: &Arc<Self>,
        method: MethodLabel,
        path: PathCategory,
    ) -> ActiveRequest {
        self.active[path as usize].inc();
        ActiveRequest {
            metrics: Arc::clone(self),
            method,
            path,
            start: Instant::now(),
        }
    }

    /// A request was refused for its rate.
    pub(crate) fn rate_limit_hit(&self, category: Category) {
        self.rate_limit_hits[category.index()].inc();
    }

    /// Somebody showed who he is, or failed to.
    pub(crate) fn authenticated(&self, method: AuthMethod, succeeded: bool) {
        let outcome = match succeeded {
            true => Outcome::Success,
            false => Outcome::Failed,
        };
        self.authentications[AuthLabels::place(method, outcome)].inc();
    }

    /// So many more rotations ended.
    pub(crate) fn rotations_ended(&self, succeeded: u64, failed: u64) {
        self.rotations[Outcome::Success as usize].inc_by(succeeded);
        self.rotations[Outcome::Failed as usize].inc_by(failed);
    }

    /// So many more delivery attempts ended.
    pub(crate) fn deliveries_ended(&self, succeeded: u64, failed: u64) {
        self.deliveries[Outcome::Success as usize].inc_by(succeeded);
        self.deliveries[Outcome::Failed as usize].inc_by(failed);
    }

    /// One tenant's numbers.
    pub(crate) fn tenant(&self, tenant: &str) -> Arc<TenantMetrics> {
        self.tenants.of(tenant)
    }

    /// Everything as OpenMetrics text; serve it as [`CONTENT_TYPE`].
    pub(crate) fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1_024);
        // Writing to a `String` does not fail; were it to, the text ends without its end mark,
        // which Prometheus refuses.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn answered(&self, request: &ActiveRequest, status: u16) {
        let (method, path) = (request.method, request.path);
        let route = method as usize * PathCategory::ALL.len() + path as usize;
        let status = StatusLabel::of(status);
        let counter = self.requests_made[route * StatusLabel::COUNT + status.0].get_or_init(|| {
            self.requests.get_or_create_owned(&RequestLabels {
                method: method.as_str(),
                path_category: path.as_str(),
                status: status.as_str(),
            })
        });
        counter.inc();
        let histogram = self.durations_made[route].get_or_init(|| {
            self.durations.get_or_create_owned(&RouteLabels {
                method: method.as_str(),
                path_category: path.as_str(),
            })
        });
        histogram.observe(request.start.elapsed());
    }
}

/// A request being served.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    metrics: Arc<Metrics>,
    method: MethodLabel,
    path: PathCategory,
    start: Instant,
}

impl ActiveRequest {
    /// It was answered with this status.
    pub(crate) fn answered(self, status: u16) {
        self.metrics.answered(&self, status);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.metrics.active[self.path as usize].dec();
    }
}

/// A metric with one closed label, every series made at once.
fn fixed<L, M, const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    labels: impl Fn() -> [L; N],
) -> [M; N]
where
    L: Clone + std::hash::Hash + Eq + Send + Sync + std::fmt::Debug + 'static,
    L: prometheus_client::encoding::EncodeLabelSet,
    M: Default + Clone + Send + Sync + std::fmt::Debug + 'static,
    M: prometheus_client::encoding::EncodeMetric + prometheus_client::metrics::TypedMetric,
{
    let family = Family::<L, M>::default();
    registry.register(name, help, family.clone());
    labels().map(|labels| family.get_or_create_owned(&labels))
}

#[cfg(test)]
mod tests {
    use scaivault_core::secret::SecretType;

    use super::*;

    fn check(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.render();
        for line in lines {
            assert!(
                text.lines().any(|found| found == *line),
                "{line}\n---\n{text}"
            );
        }
    }

    #[test]
    fn names_and_labels_are_the_documented_ones() {
        let metrics = Arc::new(Metrics::new());
        let request = metrics.request(MethodLabel::Get, PathCategory::Secrets);
        let abandoned = metrics.request(MethodLabel::Post, PathCategory::Audit);
        check(
            &metrics,
            &[
                r#"scaivault_active_requests{path_category="secrets"} 1"#,
                r#"scaivault_active_requests{path_category="audit"} 1"#,
            ],
        );
        request.answered(200);
        drop(abandoned);
        metrics
            .request(MethodLabel::Get, PathCategory::Secrets)
            .answered(418);
        metrics.rate_limit_hit(Category::BatchRead);
        metrics.rotations_ended(0, 1);
        metrics.deliveries_ended(1, 0);
        let tenant = metrics.tenant("tnt_a");
        tenant.secret_read(SecretType::Kv);
        metrics.tenant("tnt_a").secret_read(SecretType::Kv);
        tenant.secret_written();
        tenant.set_secrets(7);
        metrics.connections.refused.inc();
        metrics.store_bytes.set(4_096);
        metrics.authenticated(AuthMethod::Certificate, true);
        metrics.authenticated(AuthMethod::Token, false);
        check(
            &metrics,
            &[
                r#"scaivault_requests_total{method="GET",path_category="secrets",status="200"} 1"#,
                r#"scaivault_requests_total{method="GET",path_category="secrets",status="other"} 1"#,
                r#"scaivault_request_duration_seconds_count{method="GET",path_category="secrets"} 2"#,
                r#"scaivault_active_requests{path_category="secrets"} 0"#,
                r#"scaivault_active_requests{path_category="audit"} 0"#,
                r#"scaivault_rate_limit_hits_total{category="batch_read"} 1"#,
                r#"scaivault_secret_rotations_total{status="failed"} 1"#,
                r#"scaivault_webhook_deliveries_total{status="success"} 1"#,
                r#"scaivault_secret_reads_total{tenant="tnt_a",secret_type="kv"} 2"#,
                r#"scaivault_secret_writes_total{tenant="tnt_a"} 1"#,
                r#"scaivault_secrets_total{tenant="tnt_a"} 7"#,
                "scaivault_connections_refused_total 1",
                "scaivault_store_bytes 4096",
                r#"scaivault_authentications_total{method="certificate",result="success"} 1"#,
                r#"scaivault_authentications_total{method="certificate",result="failed"} 0"#,
                r#"scaivault_authentications_total{method="token",result="failed"} 1"#,
                r#"scaivault_request_duration_seconds_bucket{le="+Inf",method="GET",path_category="secrets"} 2"#,
                "# EOF",
            ],
        );
        assert!(
            !metrics.render().contains(r#"method="POST""#),
            "only what happened has a series"
        );
    }

    #[test]
    fn lists_are_in_the_order_of_their_discriminants() {
        for (at, path) in PathCategory::ALL.into_iter().enumerate() {
            assert_eq!(path as usize, at);
        }
        assert_eq!(MethodLabel::Other as usize + 1, MethodLabel::COUNT);
        let methods = AuthMethod::ALL.map(|method| method as usize);
        assert_eq!(methods, [0, 1, 2]);
        assert_eq!(Outcome::ALL.map(|outcome| outcome as usize), [0, 1]);
    }

    #[test]
    fn paths_have_their_category_with_and_without_tenant() {
        for (path, expect) in [
            ("/v1/secrets/a/b", PathCategory::Secrets),
            ("/v1/secrets", PathCategory::Secrets),
            ("/v1/secrets/batch", PathCategory::SecretsBatch),
            ("/v1/secrets/batch/metadata", PathCategory::SecretsBatch),
            ("/v1/secrets/batchjobs/x", PathCategory::Secrets),
            ("/v1/t/tnt_a/secrets/x", PathCategory::Secrets),
            ("/v1/partner/secrets/x", PathCategory::Secrets),
            (
                "/v1/subscriptions/sub_1/poll",
                PathCategory::SubscriptionsPoll,
            ),
            ("/v1/subscriptions/sub_1", PathCategory::Subscriptions),
            ("/v1/rotations/x", PathCategory::Rotation),
            ("/v1/health/ready", PathCategory::System),
            ("/v1/t/", PathCategory::Other),
            ("/", PathCategory::Other),
            ("/v2/secrets", PathCategory::Other),
        ] {
            assert_eq!(PathCategory::of_path(path), expect, "{path}");
        }
    }

    #[test]
    fn threads_lose_nothing() {
        let metrics = Arc::new(Metrics::new());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        metrics
                            .request(MethodLabel::Put, PathCategory::Auth)
                            .answered(201);
                        metrics.tenant("tnt_a").secret_written();
                    }
                });
            }
        });
        check(
            &metrics,
            &[
                r#"scaivault_requests_total{method="PUT",path_category="auth",status="201"} 8000"#,
                r#"scaivault_request_duration_seconds_count{method="PUT",path_category="auth"} 8000"#,
                r#"scaivault_secret_writes_total{tenant="tnt_a"} 8000"#,
            ],
        );
    }
}
