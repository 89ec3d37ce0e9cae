//! Access policies once more, as plain data, with an evaluator that shares nothing with the real
//! one but the documentation: what `access::decide` is compared with.
//!
//! * [`World`], [`Ask`]: tenants, policies, bindings and questions, in words and numbers.
//! * [`naive`]: the answer, by straight loops and recursion.
//! * [`generate`]: worlds and questions near the edges where evaluators differ.
//! * [`real`]: the same world in the types of the domain.

pub mod generate;
pub mod naive;
pub mod real;
mod zones;

use std::net::IpAddr;

/// All policies and bindings of all tenants.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The policies; bindings name them by place.
    pub policies: Vec<Policy>,
    /// Who is bound to what.
    pub bindings: Vec<Binding>,
}

/// One access policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Owner.
    pub tenant: String,
    /// Inactive ones allow nothing.
    pub is_active: bool,
    /// Whether its reach is every tenant of the partner that the tenant named here belongs to.
    pub is_partner_wide: bool,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Which paths.
    pub pattern: String,
    /// What, by the words of the interface.
    pub permissions: Vec<&'static str>,
    /// Address ranges as written; `None` is no condition.
    pub ip_ranges: Option<Vec<String>>,
    /// Whether a second factor is asked for.
    pub require_mfa: bool,
    /// How old it may be, in seconds; asks for one by itself.
    pub mfa_max_age_s: Option<i64>,
    /// When.
    pub window: Option<Window>,
}

/// A time window.
#[derive(Debug, Clone)]
pub struct Window {
    /// Days from Monday = 0; none is every day.
    pub days: Vec<i64>,
    /// First minute of the day inside.
    pub start_min: i64,
    /// First minute outside.
    pub end_min: i64,
    /// Name of the time zone, one of those of [`naive::ZONES`].
    pub zone: &'static str,
}

/// One binding.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Place of the policy in the world.
    pub policy: usize,
    /// Typed name.
    pub identity: String,
    /// End in microseconds since the epoch.
    pub expires_at: Option<i64>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The tenant acted in.
    pub tenant: String,
    /// Typed name.
    pub identity: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Needs no policy.
    pub is_root: bool,
}

/// What is asked. Times are microseconds since the epoch.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The word of the permission.
    pub permission: &'static str,
    /// Where.
    pub path: String,
    /// From where, if known.
    pub source_ip: Option<IpAddr>,
    /// When a second factor was proven.
    pub mfa_at: Option<i64>,
    /// When.
    pub now: i64,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// A rule allows, or the caller needs none.
    Allowed,
    /// No rule is about this.
    NoRule,
    /// A rule would allow from another address.
    Address,
    /// A rule would allow with a fresh second factor.
    SecondFactor,
    /// A rule would allow at another time.
    TimeWindow,
}
