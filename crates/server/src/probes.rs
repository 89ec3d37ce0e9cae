//! What of this crate reads bytes from outside, for the targets of `crates/fuzz` and for nothing else:
//! each function is one reader, its answer in plain types.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use scaivault_api as wire;
use scaivault_core::access::Cidr;
use scaivault_core::ids::RequestId;
use scaivault_core::time::Timestamp;
use url::Host;

use crate::call::{Call, Passage};
use crate::config::{Config, Environment, Outside};
use crate::egress::{self, EgressPolicy, TargetPolicy};
use crate::problem::Problem;
use crate::query::Query;

/// A refused body: its status and every word of the answer.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Message and details.
    pub text: String,
}

fn refusal(problem: &Problem) -> Refusal {
    Refusal {
        status: problem.code.status(),
        text: format!("{} {:?}", problem.message, problem.details),
    }
}

type BodyReader = fn(&[u8]) -> Result<(), Problem>;

macro_rules! bodies {
    ($($body:ty),* $(,)?) => {
        const BODIES: &[(&str, BodyReader)] = &[
            $((stringify!($body), |bytes| crate::body::parse::<$body>(bytes).map(drop))),*
        ];
    };
}

bodies![
    wire::secret::PutSecret,
    wire::secret::PatchMetadata,
    wire::secret::SecretAck,
    wire::secret_batch::BatchRead,
    wire::secret_batch::BatchMetadata,
    wire::policy::PolicyBody,
    wire::policy::PolicyPatch,
    wire::policy::BindingBody,
    wire::policy::PolicyTest,
    wire::rotation::AssignBody,
    wire::rotation::RotationPolicyBody,
    wire::rotation::RotationPolicyPatch,
    wire::rotation::RotateBody,
    wire::campaign::CampaignBody,
    wire::receiver::SubscriptionBody,
    wire::receiver::SubscriptionPatch,
    wire::receiver::WebhookBody,
    wire::receiver::WebhookPatch,
    wire::receiver::AckBody,
    wire::tenancy::PartnerBody,
    wire::tenancy::TenantBody,
    wire::secret_policy::SecretPolicyBody,
    wire::secret_policy::SecretPolicyPatch,
    wire::token::TokenBody,
    wire::token::IntrospectBody,
    wire::token::ExchangeBody,
    wire::target::TargetBody,
    wire::target::TargetPatch,
];

/// How many kinds of body there are.
pub fn bodies() -> usize {
    BODIES.len()
}

/// Reads a body as the kind of that number.
///
/// # Errors
/// [`Refusal`]
pub fn body(kind: usize, bytes: &[u8]) -> Result<(), Refusal> {
    let (_, read) = BODIES[kind % BODIES.len()];
    read(bytes).map_err(|problem| refusal(&problem))
}

/// Reads a query string; every name with its values.
pub fn query(text: &str) -> Option<Vec<(String, String)>> {
    Some(Query::parse(Some(text)).ok()?.into_pairs())
}

/// What headers say of a request.
#[derive(Debug)]
pub struct Seen {
    /// The token sent.
    pub bearer: Option<String>,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
    /// The version that `If-Match` names; `Err` when it is not one.
    pub if_match: Result<Option<u64>, ()>,
}

/// Reads headers; `None` when they are none that a client can send.
pub fn headers(given: &[(&str, &[u8])], peer: SocketAddr, trusted: &[Cidr]) -> Option<Seen> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let passage = Passage {
        request_id: RequestId::parse("req_1").ok()?,
        started_at: Timestamp::default(),
        peer: Some(peer),
        certificate: None,
        verdict: OnceLock::new(),
        prefix: OnceLock::new(),
    };
    let if_match = crate::routes::if_match(&headers).map_err(drop);
    let call = Call {
        passage: Arc::new(passage),
        headers,
    };
    Some(Seen {
        bearer: call.bearer().ok().map(str::to_owned),
        source_ip: call.source_ip(trusted),
        user_agent: call.user_agent(),
        if_match,
    })
}

/// Where a URL that was accepted leads.
#[derive(Debug, PartialEq, Eq)]
pub struct Destination {
    /// The URL as it is requested.
    pub url: String,
    /// The host, where it is an address.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: Option<u16>,
}

/// Judges a receiver's URL by the rule of a production server.
///
/// # Errors
/// The sentence for whoever sent it.
pub fn receiver_url(text: &str) -> Result<Destination, &'static str> {
    let (url, _) = EgressPolicy::default().check_url(text)?;
    let address = match url.host() {
        Some(Host::Ipv4(v4)) => Some(v4.into()),
        Some(Host::Ipv6(v6)) => Some(v6.into()),
        _ => None,
    };
    Ok(Destination {
        address,
        port: url.port_or_known_default(),
        url: url.into(),
    })
}

/// Whether the rule of a production server lets anything go out to this address: to a receiver, and
/// to a target.
pub fn may_be_reached(address: IpAddr) -> (bool, bool) {
    (
        EgressPolicy::default().permits(address, egress::Scheme::Https),
        TargetPolicy::default().permits(address),
    )
}

/// Reads a configuration file.
///
/// # Errors
/// What is told of it.
pub fn configuration(text: &str) -> Result<(), String> {
    let file = Some((Path::new("scaivault.toml"), text));
    let read = Config::from_text(file, &Environment::default());
    read.map(drop).map_err(|error| error.to_string())
}

/// Reads a file of issuers.
///
/// # Errors
/// What is told of it.
pub fn issuers(text: &str) -> Result<usize, String> {
    let read = Outside::from_text(Path::new("issuers.toml"), text, &EgressPolicy::default());
    read.map(|outside| outside.issuers.len() + outside.rules.len())
        .map_err(|error| error.to_string())
}
