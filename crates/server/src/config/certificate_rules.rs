//! `[[client_certificate]]` of the file of issuers: whom client certificates speak for.

use scaivault_core::ids::TenantId;
use scaivault_core::issuer::{CERTIFICATES, ExchangeRule, NameKind, Pattern};
use scaivault_engine::default_tenant;
use serde::Deserialize;

use super::issuers::{OneOrMore, Outside, Table};
use super::layers::ConfigError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateText {
    name: String,
    uri: Option<OneOrMore>,
    dns: Option<OneOrMore>,
    email: Option<OneOrMore>,
    cn: Option<OneOrMore>,
    o: Option<OneOrMore>,
    ou: Option<OneOrMore>,
    fingerprint: Option<OneOrMore>,
    issuer: Option<OneOrMore>,
    identity: String,
    #[serde(default)]
    groups: Vec<String>,
    scopes: Vec<String>,
    ttl: Option<String>,
    tenant: Option<String>,
}

impl Outside {
    pub(super) fn add_certificate(
        &mut self,
        table: &Table<'_>,
        text: CertificateText,
    ) -> Result<(), ConfigError> {
        let name = table.name(text.name, self.certificates.iter().map(|other| &other.name))?;
        let wanted = [
            (NameKind::Uri, text.uri),
            (NameKind::Dns, text.dns),
            (NameKind::Email, text.email),
            (NameKind::CommonName, text.cn),
            (NameKind::Organisation, text.o),
            (NameKind::Unit, text.ou),
            (NameKind::Fingerprint, text.fingerprint),
            (NameKind::Authority, text.issuer),
        ];
        let mut claims = Vec::new();
        for (kind, texts) in wanted {
            let Some(texts) = texts else { continue };
            let field = kind.as_str();
            let read = |text: &str| kind.pattern(text);
            let patterns = table.each(field, &texts.into_list(), read, || expected(kind))?;
            claims.push((field.to_owned(), patterns));
        }
        let narrows =
            |(_, patterns): &(String, Vec<Pattern>)| !patterns.iter().any(Pattern::is_anything);
        if !claims.iter().any(narrows) {
            let why = "expected less than everybody: at least one of uri, dns, email, cn, o, ou, \
                       fingerprint and issuer, other than **";
            return Err(table.refuse("name", why));
        }
        if let Some(unknown) = placeholders(&text.identity).find(|name| !is_known(name)) {
            let why = format!(
                "a certificate has no {}: expected {{uri}}, {{dns}}, {{email}}, {{cn}}, {{o}}, \
                 {{ou}}, {{fingerprint}}, {{trust_domain}} or {{/path/1}}",
                match unknown.is_empty() {
                    true => "{}",
                    false => "name of a placeholder",
                }
            );
            return Err(table.refuse("identity", why));
        }
        if let Some((before, after)) = run_together(&text.identity) {
            let why = format!(
                "of {{{before}}} and {{{after}}} two certificates could come to one name: put a character \
                 between them that {{{before}}} cannot hold, such as /; {{uri}}, {{cn}}, {{o}} and {{ou}} hold \
                 any, so they stand last"
            );
            return Err(table.refuse("identity", why));
        }
        let gift = table.gift(&text.identity, &text.groups, &text.scopes, text.ttl)?;
        let tenant = match text.tenant {
            None => default_tenant(),
            Some(text) => TenantId::parse(&text)
                .map_err(|_| table.refuse("tenant", "expected a tenant's id: tnt_…"))?,
        };
        let subject = Pattern::parse("**").ok_or_else(|| table.refuse("name", "no pattern"))?;
        self.certificates.push(ExchangeRule {
            name,
            issuer: CERTIFICATES.to_owned(),
            subject,
            claims,
            identity: text.identity,
            groups: gift.groups,
            scopes: gift.scopes,
            ttl: gift.ttl,
            tenant,
        });
        Ok(())
    }
}

fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    let parts = template.split('{').skip(1);
    parts.map(|part| part.split('}').next().unwrap_or_default())
}

/// Two neighbours of which nobody could tell where the first ends: `a-b` and `c` would be called as
/// `a` and `b-c` are.
fn run_together(template: &str) -> Option<(&str, &str)> {
    let mut parts = template.split('{').skip(1).map(|part| {
        let (name, behind) = part.split_once('}').unwrap_or((part, ""));
        (name, behind)
    });
    let (mut before, mut between) = parts.next()?;
    for (name, behind) in parts {
        if between.chars().all(|c| may_hold(before, c)) {
            return Some((before, name));
        }
        (before, between) = (name, behind);
    }
    None
}

/// Whether what a placeholder stands for can have this character in it.
fn may_hold(placeholder: &str, c: char) -> bool {
    match placeholder {
        "uri" | "cn" | "o" | "ou" => true,
        "dns" => c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'),
        "fingerprint" | "issuer" => c.is_ascii_hexdigit(),
        // No colon stands in a mail address that is taken, and no slash in a part of a path.
        "email" => c != ':',
        _ => c != '/',
    }
}

fn is_known(name: &str) -> bool {
    let is_name = NameKind::ALL.iter().any(|kind| kind.as_str() == name);
    let number = name.strip_prefix("/path/").map(str::parse::<u8>);
    is_name || name == "trust_domain" || matches!(number, Some(Ok(1..)))
}

fn expected(kind: NameKind) -> String {
    let text = match kind {
        NameKind::Uri => {
            "expected URIs as certificates have them, such as spiffe://example.org/ns/*/sa/shop: \
             host in lower case, no coded bytes; * is one part, ** any number of them"
        }
        NameKind::Dns => {
            "expected names of hosts in lower case without a dot behind, such as *.prod.example.com; \
             * is one label, ** any number of them"
        }
        NameKind::Email => {
            "expected mail addresses in lower case, such as *@example.com; * ends at the @ and at \
             dots behind it"
        }
        NameKind::CommonName | NameKind::Organisation | NameKind::Unit => {
            "expected printable ASCII without a space at an end; * ends at : / . and @, ** does not"
        }
        NameKind::Fingerprint | NameKind::Authority => {
            "expected SHA-256 of a certificate: 64 hex digits, colons between them or not (openssl \
             x509 -noout -fingerprint -sha256)"
        }
    };
    text.to_owned()
}
