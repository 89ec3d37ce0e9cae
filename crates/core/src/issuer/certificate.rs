//! What a client certificate says of its holder, as claims that rules are about.
//!
//! Names in a certificate are texts that its authority signed, not texts that are written one way. A
//! name is taken in its one form, or passed over where it has another that a reader might mean to be
//! the same: so no rule fits two spellings of which only one was meant.

use serde_json::{Map, Value};

use super::claims::Claims;
use super::pattern::{Parts, Pattern};

/// What stands for the issuer of identities that certificates give: in rules, tokens and the trail.
pub const CERTIFICATES: &str = "client_certificate";
/// Names of one kind that are looked at; a certificate with more has none of that kind.
const NAMES_MAX: usize = 64;
const URI_BYTES_MAX: usize = 1_024;
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
const WORDS_BYTES_MAX: usize = 256;
const SPIFFE: &str = "spiffe://";

/// The names of a certificate, as they are written in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// Each name with its kind, in the certificate's order.
    pub names: Vec<(NameKind, String)>,
    /// SHA-256 of the certificate, hex.
    pub fingerprint: String,
    /// SHA-256, hex, of each of the server's authorities that it is trusted by.
    pub authorities: Vec<String>,
}

/// Where in a certificate a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A URI of the alternative names.
    Uri,
    /// A host's name among them.
    Dns,
    /// A mail address among them.
    Email,
    /// The subject's common name.
    CommonName,
    /// Its organisation.
    Organisation,
    /// Its unit.
    Unit,
    /// The certificate's own SHA-256.
    Fingerprint,
    /// That of an authority it is trusted by.
    Authority,
}

impl NameKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Uri,
        Self::Dns,
        Self::Email,
        Self::CommonName,
        Self::Organisation,
        Self::Unit,
        Self::Fingerprint,
        Self::Authority,
    ];

    /// What rules call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uri => "uri",
            Self::Dns => "dns",
            Self::Email => "email",
            Self::CommonName => "cn",
            Self::Organisation => "o",
            Self::Unit => "ou",
            Self::Fingerprint => "fingerprint",
            Self::Authority => "issuer",
        }
    }

    /// A pattern over names of this kind, unless it is one that no such name can fit.
    pub fn pattern(self, text: &str) -> Option<Pattern> {
        let parts = match self {
            Self::Uri => Parts::Uri,
            Self::Dns => Parts::Host,
            Self::Email => Parts::Mail,
            Self::CommonName | Self::Organisation | Self::Unit => Parts::Words,
            Self::Fingerprint | Self::Authority => {
                let plain: String = text.chars().filter(|c| *c != ':').collect();
                let plain = plain.to_ascii_lowercase();
                let is_hash = plain.len() == 64 && plain.bytes().all(|b| b.is_ascii_hexdigit());
                return Pattern::parse(&plain).filter(|_| is_hash);
            }
        };
        // With a letter for each star it must be a name, or there is nothing that it fits.
        let sample = text.replace("**", "a").replace('*', "a");
        let can_fit = text == "**" || self.canonical(&sample).as_deref() == Some(sample.as_str());
        Pattern::parse_in(parts, text).filter(|_| can_fit)
    }

    /// The name in its one form; none where it has several, or is not one of its kind.
    pub fn canonical(self, text: &str) -> Option<String> {
        match self {
            Self::Uri => uri(text),
            Self::Dns => host(text),
            Self::Email => mail(text),
            Self::CommonName | Self::Organisation | Self::Unit => words(text),
            Self::Fingerprint | Self::Authority => Some(text.to_owned()),
        }
    }
}

impl CertificateNames {
    /// As claims: one text where there is one name of a kind, a list where there are several. Of a
    /// URI that is there alone, `trust_domain` and `path` (`{/path/1}` is its first part) are claims
    /// too. `sub` is the first name there is: what the trail calls the holder.
    pub fn claims(&self) -> Claims {
        let mut claims = Map::new();
        for kind in NameKind::ALL {
            let found = self.of(kind);
            if kind == NameKind::Uri
                && let [only] = found.as_slice()
            {
                claims.extend(parts_of(only));
            }
            let value = match found.as_slice() {
                [] => continue,
                [only] => Value::from(only.as_str()),
                several => Value::from(several),
            };
            claims.insert(kind.as_str().to_owned(), value);
        }
        let mut names = NameKind::ALL.into_iter().flat_map(|kind| self.of(kind));
        if let Some(first) = names.next() {
            claims.insert("sub".to_owned(), first.into());
        }
        claims
    }

    fn of(&self, kind: NameKind) -> Vec<String> {
        match kind {
            NameKind::Fingerprint => vec![self.fingerprint.clone()],
            NameKind::Authority => self.authorities.clone(),
            kind => {
                let named = self.names.iter().filter(|(its, _)| *its == kind);
                let mut found: Vec<String> = named
                    .clone()
                    .filter_map(|(_, text)| kind.canonical(text))
                    .collect();
                // A workload has one SPIFFE id and no other URI; of two, neither is its.
                let is_workload = found.iter().any(|text| text.starts_with(SPIFFE));
                let strays = kind == NameKind::Uri && is_workload && named.count() > 1;
                found.sort_unstable();
                found.dedup();
                match strays || found.len() > NAMES_MAX {
                    true => Vec::new(),
                    false => found,
                }
            }
        }
    }
}

/// The host of a URI and the parts of its path, by their number from 1.
fn parts_of(uri: &str) -> Vec<(String, Value)> {
    let Some((_, rest)) = uri.split_once("://") else {
        return Vec::new();
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let parts = path.split('/').filter(|part| !part.is_empty());
    let parts = (1..).zip(parts);
    let path: Map<String, Value> = parts
        .map(|(at, part): (usize, _)| (at.to_string(), part.into()))
        .collect();
    vec![
        ("trust_domain".to_owned(), host.into()),
        ("path".to_owned(), path.into()),
    ]
}

fn is_printable(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A SPIFFE id as its specification has it: one spelling. Of other URIs those without what may be
/// written in several ways: coded bytes, upper case in scheme and host, parts that are dots or empty.
fn uri(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| lower(byte) || byte == b'+');
    if !is_printable(text, URI_BYTES_MAX) || !is_scheme || rest.is_empty() {
        return None;
    }
    let one_spelling = match text.strip_prefix(SPIFFE) {
        Some(id) => {
            let (domain, path) = id.split_once('/').map_or((id, None), |(a, b)| (a, Some(b)));
            let in_domain = |byte: u8| lower(byte) || matches!(byte, b'.' | b'-' | b'_');
            let in_part =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !domain.is_empty()
                && !domain.ends_with('.')
                && domain.bytes().all(in_domain)
                && path.is_none_or(|path| {
                    path.split('/').all(is_part)
                        && path.split('/').all(|part| part.bytes().all(in_part))
                })
        }
        None if scheme == "spiffe" => false,
        None => {
            let host = rest.strip_prefix("//").map(|rest| {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                rest.split_at(end)
            });
            !text.contains('%')
                && host.is_none_or(|(host, path)| {
                    let plain = host.bytes().all(|byte| !byte.is_ascii_uppercase());
                    let path = path.strip_prefix('/').unwrap_or("a");
                    plain
                        && !host.is_empty()
                        && !host.ends_with('.')
                        && path.split('/').all(is_part)
                })
        }
    };
    one_spelling.then(|| text.to_owned())
}

fn is_part(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
}

/// In lower case: hosts are the same in either. Not with a dot behind, not with a star.
fn host(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label =
        |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(plain);
    let fits = text.len() <= HOST_BYTES_MAX && text.split('.').all(is_label);
    fits.then(|| text.to_ascii_lowercase())
}

/// One at sign, plain characters before it, a host behind it. In lower case as a whole: nobody
/// relies on two people of one name.
fn mail(text: &str) -> Option<String> {
    let (local, domain) = text.split_once('@')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~.".contains(&byte);
    let fits = !local.is_empty() && text.len() <= WORDS_BYTES_MAX && local.bytes().all(plain);
    let domain = host(domain)?;
    fits.then(|| format!("{}@{domain}", local.to_ascii_lowercase()))
}

/// Printable ASCII, without a space at an end or two in a row: what directories would fold.
fn words(text: &str) -> Option<String> {
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let fits = (1..=WORDS_BYTES_MAX).contains(&text.len())
        && printable
        && text.trim() == text
        && !text.contains("  ");
    fits.then(|| text.to_owned())
}
