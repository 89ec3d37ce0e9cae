//! Partners and tenants: who owns what, and which of them is served.
//!
//! A tenant owns secrets, policies, tokens and audit rows; a partner owns tenants, and secrets and
//! policies for all of them. What belongs to a partner as such is stored under an owner of its
//! own, [`space_of`]: it has a key, rows and cache entries like a tenant, but is none, so no token
//! acts in it and no request can choose it.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{PartnerId, TenantId};
use crate::time::Timestamp;

/// The partner every store has.
pub const DEFAULT_PARTNER: &str = "ptn_default";

/// The tenant every store has.
pub const DEFAULT_TENANT: &str = "tnt_default";

/// What the owner of a partner's own rows begins with. No tenant may be called so.
pub const SPACE_PREFIX: &str = "tnt_p-";

/// The longest name of a partner or tenant.
pub const NAME_CHARS_MAX: usize = 128;

/// The longest slug.
pub const SLUG_CHARS_MAX: usize = 63;

/// The partner every store has.
pub fn default_partner() -> PartnerId {
    static ID: LazyLock<PartnerId> = LazyLock::new(|| {
        PartnerId::parse(DEFAULT_PARTNER).unwrap_or_else(|_| unreachable!("a valid constant"))
    });
    ID.clone()
}

/// The owner under which a partner's own secrets and policies are stored.
pub fn space_of(partner: &PartnerId) -> TenantId {
    let body = &partner.as_str()[PartnerId::PREFIX.len()..];
    TenantId::parse(&format!("{SPACE_PREFIX}{body}"))
        .unwrap_or_else(|_| unreachable!("ids of partners are short enough"))
}

/// The partner whose own rows this owner has, if it is no tenant.
pub fn partner_of_space(owner: &TenantId) -> Option<PartnerId> {
    let body = owner.as_str().strip_prefix(SPACE_PREFIX)?;
    PartnerId::parse(&format!("{}{body}", PartnerId::PREFIX)).ok()
}

/// Whether this owner is the one a partner's own rows have.
pub fn is_space_of(owner: &TenantId, partner: &PartnerId) -> bool {
    owner.as_str().strip_prefix(SPACE_PREFIX) == partner.as_str().strip_prefix(PartnerId::PREFIX)
}

/// Whether a partner or tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Served.
    #[default]
    Active,
    /// Every request is refused and no worker touches it.
    Suspended,
}

impl Status {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// An owner of tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Id.
    pub id: PartnerId,
    /// For people.
    pub name: String,
    /// For URLs and files; unique.
    pub slug: String,
    /// Where it is at home, in the operator's words.
    pub region: Option<String>,
    /// Whether it is served.
    pub status: Status,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Id.
    pub id: TenantId,
    /// Its partner, for ever.
    pub partner: PartnerId,
    /// For people.
    pub name: String,
    /// For URLs and files; unique in the partner.
    pub slug: String,
    /// Where it is at home, in the operator's words.
    pub region: Option<String>,
    /// Whether it is served, as far as it goes by itself.
    pub own_status: Status,
    /// Its partner's: kept here so that whoever finds the tenant knows all.
    pub partner_status: Status,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

impl Tenant {
    /// Whether it is served.
    pub fn status(&self) -> Status {
        match (self.own_status, self.partner_status) {
            (Status::Active, Status::Active) => Status::Active,
            _ => Status::Suspended,
        }
    }

    /// Whether it is not served.
    pub fn is_suspended(&self) -> bool {
        self.status() == Status::Suspended
    }
}

/// Whether a text is a slug: lower-case letters, digits and single hyphens between them.
pub fn is_slug(text: &str) -> bool {
    (1..=SLUG_CHARS_MAX).contains(&text.len())
        && text
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(is_slug_byte))
}

fn is_slug_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// A slug made of a name; empty when nothing of it can be in one.
pub fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        if u8::try_from(c).is_ok_and(is_slug_byte) {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == SLUG_CHARS_MAX {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What an identity may do to tenants and partners, beside its scopes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Role { $($(#[$doc])* $name,)* }

        impl Role {
            /// Every role.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The wire word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Reads the wire word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

roles! {
    /// Everything in every partner. Root tokens have it.
    SuperAdmin = "super_admin";
    /// Acts in every tenant of its partner, and writes what belongs to the partner.
    PartnerAdmin = "partner_admin";
    /// Administers its own tenant. No more than its scopes say; told for the people.
    TenantAdmin = "tenant_admin";
}

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Roles(u8);

impl Roles {
    /// No role.
    pub const NONE: Self = Self(0);

    /// Whether it has this very role.
    pub fn contains(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// Whether it may do what `role` may: by it or by one above.
    pub fn may_as(self, role: Role) -> bool {
        Role::ALL
            .iter()
            .any(|own| *own <= role && self.contains(*own))
    }

    /// The roles, the highest first.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL
            .iter()
            .copied()
            .filter(move |role| self.contains(*role))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(
            roles
                .into_iter()
                .fold(0, |set, role| set | (1 << role as u8)),
        )
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Role::as_str))
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        words
            .iter()
            .map(|word| Role::parse(word).ok_or_else(|| serde::de::Error::custom("unknown role")))
            .collect()
    }
}

/// Where a caller stands among partners and tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The partner of the tenant it acts in.
    pub partner: PartnerId,
    /// Its roles.
    pub roles: Roles,
    /// The tenant its token belongs to, when it acts in another one.
    pub home: Option<TenantId>,
    /// The tenant it acts in, when it asks for what belongs to the partner: there the principal's
    /// tenant is [`space_of`] the partner, and this tenant's policies decide.
    pub asking: Option<TenantId>,
}

impl Seat {
    /// In a tenant of this partner, with no role.
    pub fn of(partner: PartnerId) -> Self {
        Self {
            partner,
            roles: Roles::NONE,
            home: None,
            asking: None,
        }
    }
}

/// In the default partner, with no role.
impl Default for Seat {
    fn default() -> Self {
        Self::of(default_partner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_and_its_own_rows_name_each_other() {
        for text in [DEFAULT_PARTNER, "ptn_01JDB2V9Q7C0M3F5Y8K4T6R1ZX", "ptn_a-b"] {
            let partner = PartnerId::parse(text).unwrap();
            assert_eq!(partner_of_space(&space_of(&partner)), Some(partner));
        }
        let tenant = TenantId::parse(DEFAULT_TENANT).unwrap();
        assert_eq!(partner_of_space(&tenant), None);
    }

    #[test]
    fn slugs() {
        for good in ["a", "acme", "acme-eu-1", &"x".repeat(63)] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "Acme", "a_b", "ä", &"x".repeat(64)] {
            assert!(!is_slug(bad), "{bad}");
        }
        for (name, slug) in [
            ("Acme, Inc. (EU)", "acme-inc-eu"),
            ("  Ärzte 24 ", "rzte-24"),
            ("???", ""),
        ] {
            assert_eq!(slug_of(name), slug);
        }
        for name in [
            "a".repeat(200),
            "a-".repeat(90),
            format!("{}é", "b".repeat(62)),
        ] {
            assert!(is_slug(&slug_of(&name)));
        }
    }

    #[test]
    fn a_higher_role_may_what_a_lower_one_may() {
        let admin: Roles = [Role::PartnerAdmin].into_iter().collect();
        assert!(admin.may_as(Role::PartnerAdmin) && admin.may_as(Role::TenantAdmin));
        assert!(!admin.may_as(Role::SuperAdmin) && !Roles::NONE.may_as(Role::TenantAdmin));
        let text = serde_json::to_string(&admin).unwrap();
        assert_eq!(text, r#"["partner_admin"]"#);
        assert_eq!(serde_json::from_str::<Roles>(&text).unwrap(), admin);
    }

    #[test]
    fn a_tenant_is_served_when_its_partner_is_too() {
        let mut tenant = Tenant {
            id: TenantId::parse("tnt_1").unwrap(),
            partner: default_partner(),
            name: "One".into(),
            slug: "one".into(),
            region: None,
            own_status: Status::Active,
            partner_status: Status::Active,
            created_at: Timestamp::from_secs(0),
            updated_at: Timestamp::from_secs(0),
            revision: 1,
        };
        assert_eq!(tenant.status(), Status::Active);
        tenant.partner_status = Status::Suspended;
        assert!(tenant.is_suspended());
        for status in [Status::Active, Status::Suspended] {
            assert_eq!(Status::parse(status.as_str()), Some(status));
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("\"{}\"", status.as_str()));
        }
    }
}
