//! Prefixed identifiers. The body is a ULID: 48 bits of time, 80 random bits, Crockford base 32,
//! so ids of one kind sort by creation. Both time and randomness are arguments. Cheap to clone.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ports::Entropy;
use crate::time::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BODY_CHARS: usize = 26;
/// The longest prefix there is.
const PREFIX_MAX: usize = 4;

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {0}…")]
pub struct IdError(pub &'static str);

/// A new id of a kind. Made for every request: one allocation.
fn minted(prefix: &str, now: Timestamp, entropy: &dyn Entropy) -> Arc<str> {
    let mut random = [0u8; 10];
    entropy.fill_public(&mut random);
    let millis = u128::try_from(now.as_micros() / 1_000).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    let mut value = millis << 80;
    for (at, byte) in random.iter().enumerate() {
        value |= u128::from(*byte) << (72 - 8 * at);
    }
    let mut text = [0u8; PREFIX_MAX + BODY_CHARS];
    let length = prefix.len() + BODY_CHARS;
    text[..prefix.len()].copy_from_slice(prefix.as_bytes());
    for (at, digit) in text[prefix.len()..length].iter_mut().rev().enumerate() {
        *digit = ALPHABET[usize::try_from((value >> (5 * at)) & 31).unwrap_or(0)];
    }
    std::str::from_utf8(&text[..length])
        .unwrap_or_else(|_| unreachable!("both are ASCII"))
        .into()
}

/// The longest id, without its prefix.
pub const ID_BODY_CHARS_MAX: usize = 64;

fn is_body(text: &str) -> bool {
    (1..=ID_BODY_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from the given time and randomness.
            pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(minted($prefix, now, entropy))
            }

            /// Checks prefix and characters.
            ///
            /// # Errors
            /// [`IdError`] when the text cannot be such an id.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix($prefix) {
                    Some(rest) if is_body(rest) => Ok(Self(text.into())),
                    _ => Err(IdError($prefix)),
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A tenant: the owner of secrets, policies, tokens and audit rows.
    TenantId = "tnt_";
    /// An owner of tenants.
    PartnerId = "ptn_";
    /// An access policy.
    PolicyId = "pol_";
    /// A binding of an access policy to an identity.
    BindingId = "bnd_";
    /// A local token's record (never the token itself).
    TokenId = "tok_";
    /// A role that machines log in by.
    MachineRoleId = "rol_";
    /// A secret id's record (never the secret id itself).
    SecretIdAccessor = "sia_";
    /// A rotation policy.
    RotationPolicyId = "rot_";
    /// A secret policy: a recipe for values.
    SecretPolicyId = "sp_";
    /// One rotation of one secret.
    RotationId = "rtn_";
    /// A system whose credentials are rotated.
    TargetId = "tgt_";
    /// A run of many rotations in order.
    CampaignId = "cmp_";
    /// Something at a target that is still to be removed.
    DebtId = "dbt_";
    /// An engine that makes credentials on request.
    EngineId = "eng_";
    /// A credential made on request, for as long as it lives.
    LeaseId = "lse_";
    /// An export of the audit trail.
    ExportId = "exp_";
    /// A webhook.
    WebhookId = "wh_";
    /// A subscription.
    SubscriptionId = "sub_";
    /// An event.
    EventId = "evt_";
    /// One event on its way to one receiver.
    DeliveryId = "del_";
    /// An HTTP request.
    RequestId = "req_";
    /// A key of the keyring.
    KeyId = "key_";
}

impl DeliveryId {
    /// The id of the delivery of one event to one receiver (both by their ids): derived, so that
    /// putting an event on its way twice is the same delivery.
    pub fn of(event: &EventId, receiver: &str) -> Self {
        let tail = |id: &str| id.split_once('_').map_or(id, |(_, tail)| tail).to_owned();
        Self(format!("del_{}-{}", tail(event.as_str()), tail(receiver)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn ids_sort_by_time_and_round_trip() {
        let early = PolicyId::mint(Timestamp::from_secs(1_000), &Fixed(0xff));
        let late = PolicyId::mint(Timestamp::from_secs(2_000), &Fixed(0));
        assert!(early < late);
        assert_eq!(early.as_str().len(), 4 + 26);
        assert_eq!(PolicyId::parse(early.as_str()), Ok(early));
    }

    #[test]
    fn foreign_text_is_refused() {
        for bad in ["", "pol_", "wh_123", "pol_a b", "pol_../x", "pol_é"] {
            assert_eq!(PolicyId::parse(bad), Err(IdError("pol_")), "{bad}");
        }
    }
}
