//! Grants as the server prints them: read, compared, and told for another account.

use scaivault_core::target::{Trouble, TroubleKind};

use super::quote::{self, words};
use super::server::{Family, Server};
use super::session::Session;

/// One printed line, without its grantee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// Up to the word before the grantee.
    head: String,
    /// `WITH GRANT OPTION` and the like.
    tail: &'static str,
    /// The grantee as printed.
    grantee: String,
}

impl Grant {
    /// Reads a line. `None` for what is no grant.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let all = words(line);
        let before = match *all.first()? {
            "GRANT" => "TO",
            "REVOKE" => "FROM",
            "SET" => "FOR",
            _ => return None,
        };
        // The last one: no option after the grantee has such a word, a hostile name before it may.
        let at = all.iter().rposition(|word| *word == before)?;
        let rest = all.get(at + 2..)?;
        let option = |kind: &str| rest.windows(2).any(|pair| pair == [kind, "OPTION"]);
        Some(Self {
            head: all[..=at].join(" "),
            tail: match (option("GRANT"), option("ADMIN")) {
                (true, _) => " WITH GRANT OPTION",
                (_, true) => " WITH ADMIN OPTION",
                _ => "",
            },
            grantee: all[at + 1].to_owned(),
        })
    }

    /// The same for this account.
    pub(super) fn statement(&self, account: &str) -> String {
        format!("{} {account}{}", self.head, self.tail)
    }

    /// What to run so that `manager` may give this to an account; or, where that right would be
    /// a far wider one and the account is there, what to run in its place.
    pub(super) fn remedy(&self, manager: &str, to: Option<&str>) -> String {
        match (self.is_default_role(), self.object(), to) {
            (true, _, Some(to)) => self.statement(to),
            (true, _, None) => format!("GRANT UPDATE ON `mysql`.* TO {manager}"),
            (_, Some(_), _) => format!("{} {manager} WITH GRANT OPTION", self.head),
            (_, None, _) => format!("{} {manager} WITH ADMIN OPTION", self.head),
        }
    }

    fn is_default_role(&self) -> bool {
        self.head.starts_with("SET ")
    }

    /// The privileges, without the columns they are about.
    fn privileges(&self) -> Vec<String> {
        let all = words(&self.head);
        let on = all.iter().position(|word| *word == "ON");
        let listed = all[1..on.unwrap_or(1)].join(" ");
        let (mut quote, mut depth) = (None, 0_u32);
        let mut plain = String::new();
        for c in listed.chars() {
            match quote {
                Some(open) if c == open => quote = None,
                Some(_) => {}
                None if matches!(c, '`' | '\'' | '"') => quote = Some(c),
                None if c == '(' => depth += 1,
                None if c == ')' => depth = depth.saturating_sub(1),
                None if depth == 0 => plain.push(c),
                None => {}
            }
        }
        plain.split(',').map(|one| one.trim().to_owned()).collect()
    }

    fn object(&self) -> Option<String> {
        let all = words(&self.head);
        let on = all.iter().position(|word| *word == "ON")?;
        Some(all[on + 1..all.len() - 1].join(" "))
    }

    /// Whether two lines give the same, to whomever.
    fn is_alike(&self, other: &Self) -> bool {
        self.head == other.head && self.tail == other.tail
    }

    /// A line that grants nothing.
    fn is_empty(&self) -> bool {
        self.head == "GRANT USAGE ON *.* TO" && self.tail.is_empty()
    }

    /// Whether the line can be told again without meaning something else: all that is not a word
    /// of the language is quoted. Some servers print column names as they are.
    fn is_plain(&self) -> bool {
        let mut quote = None;
        let mut depth = 0_u32;
        let mut targets = 0;
        for word in words(&self.head) {
            targets += u32::from(matches!(word, "ON" | "TO" | "FROM" | "FOR"));
        }
        let plain = self.head.chars().all(|c| match quote {
            Some(open) => {
                quote = (c != open).then_some(open);
                true
            }
            None => match c {
                '`' | '\'' | '"' => {
                    quote = Some(c);
                    true
                }
                '(' => {
                    depth += 1;
                    depth == 1
                }
                ')' => {
                    depth = depth.saturating_sub(1);
                    true
                }
                c if depth > 0 => matches!(c, ',' | ' '),
                c => {
                    c.is_ascii_alphanumeric()
                        || matches!(c, ' ' | ',' | '_' | '.' | '*' | '@' | '%')
                }
            },
        });
        plain && quote.is_none() && depth == 0 && targets <= 2
    }
}

/// The grants of one `'name'@'host'`, without those of its roles.
pub(super) async fn of(
    session: &mut Session,
    name: &str,
    host: &str,
) -> Result<Vec<Grant>, Trouble> {
    let account = quote::account(name, host);
    let lines: Vec<String> = session.rows(&format!("SHOW GRANTS FOR {account}")).await?;
    let own = [printed(name, host, '`'), printed(name, host, '\'')];
    let grants = lines.iter().filter_map(|line| Grant::parse(line));
    Ok(grants
        .filter(|grant| own.contains(&grant.grantee) && !grant.is_empty())
        .collect())
}

/// What of `wanted` is not in `have`.
pub(super) fn lacking<'a>(wanted: &'a [Grant], have: &[Grant]) -> Vec<&'a Grant> {
    let lacks = |grant: &&Grant| !have.iter().any(|own| own.is_alike(grant));
    wanted.iter().filter(lacks).collect()
}

/// Statements that give these to `to`.
pub(super) fn statements(grants: &[&Grant], to: &str) -> Result<Vec<String>, Trouble> {
    let told = grants.iter().map(|grant| match grant.is_plain() {
        true => Ok(grant.statement(to)),
        false => Err(Trouble::new(TroubleKind::Unsupported).remedy(format!(
            "give {to} by hand the grants on columns that the other account has, or use `role`"
        ))),
    });
    told.collect()
}

fn printed(name: &str, host: &str, quote: char) -> String {
    let twice = format!("{quote}{quote}");
    let part = |text: &str| format!("{quote}{}{quote}", text.replace(quote, &twice));
    format!("{}@{}", part(name), part(host))
}

/// Limits and TLS of an account, as its creating statement tells them, and its default roles.
pub(super) async fn options(
    session: &mut Session,
    server: &Server,
    name: &str,
    host: &str,
) -> Result<(String, Option<String>), Trouble> {
    let account = quote::account(name, host);
    let told: Vec<u8> = session.one(&format!("SHOW CREATE USER {account}")).await?;
    let told = String::from_utf8_lossy(&told);
    let all = words(&told);
    let starts: &[&str] = match server.family {
        Family::MySql => &["REQUIRE"],
        Family::MariaDb => &["REQUIRE", "WITH", "PASSWORD", "ACCOUNT"],
    };
    // `IDENTIFIED BY PASSWORD` is not yet an option.
    let begins = |at: &usize| starts.contains(&all[*at]) && all[at - 1] != "BY";
    let begin = (3..all.len()).find(begins).unwrap_or(all.len());
    let roles = all[..begin]
        .windows(2)
        .position(|pair| pair == ["DEFAULT", "ROLE"]);
    let roles = roles.map(|at| all[at + 2..begin].join(" "));
    Ok((kept_options(&all[begin..]), roles))
}

/// All but the lock, what is bound to the old password, and notes.
fn kept_options(all: &[&str]) -> String {
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(word) = all.get(at) {
        let next = all.get(at + 1).copied().unwrap_or_default();
        let after = all.get(at + 2).copied().unwrap_or_default();
        match *word {
            "ACCOUNT" | "ATTRIBUTE" | "COMMENT" => at += 2,
            "PASSWORD"
                if next == "EXPIRE" && !matches!(after, "DEFAULT" | "NEVER" | "INTERVAL") =>
            {
                at += 2;
            }
            word => {
                kept.push(word);
                at += 1;
            }
        }
    }
    kept.join(" ")
}

/// What the session's account may do, its active roles included.
pub(super) struct Rights(Vec<Grant>);

impl Rights {
    /// Asks.
    pub(super) async fn ask(session: &mut Session) -> Result<Self, Trouble> {
        let lines: Vec<String> = session.rows("SHOW GRANTS").await?;
        Ok(Self(
            lines.iter().filter_map(|line| Grant::parse(line)).collect(),
        ))
    }

    /// Whether it has a privilege on `object` or everywhere.
    pub(super) fn has(&self, privilege: &str, object: &str) -> bool {
        self.0.iter().any(|grant| {
            let everywhere = grant.object().as_deref() == Some("*.*");
            let named = grant.privileges().iter().any(|own| own == privilege);
            let all = grant.privileges().iter().any(|own| own == "ALL PRIVILEGES");
            (everywhere || grant.object().as_deref() == Some(object)) && (named || all)
        })
    }

    /// Whether it may hand on what this grant gives.
    pub(super) fn may_give(&self, wanted: &Grant) -> bool {
        if wanted.is_default_role() {
            return self.has("UPDATE", "`mysql`.*");
        }
        let object = wanted.object();
        let Some(object) = object.as_deref() else {
            // A role: by ADMIN OPTION.
            let own = |grant: &Grant| grant.head == wanted.head && !grant.tail.is_empty();
            return self.has("ROLE_ADMIN", "*.*")
                || self.has("SUPER", "*.*")
                || self.0.iter().any(own);
        };
        wanted.privileges().iter().all(|privilege| {
            self.0.iter().any(|grant| {
                let here = grant.object().as_deref() == Some("*.*")
                    || grant.object().as_deref() == Some(object);
                let listed = grant.privileges();
                let named = listed
                    .iter()
                    .any(|own| own == privilege || own == "ALL PRIVILEGES");
                here && named && grant.tail == " WITH GRANT OPTION"
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_told_for_another_account() {
        let check = |line: &str, expect: &str| {
            let grant = Grant::parse(line).unwrap();
            assert!(grant.is_plain(), "{line}");
            assert_eq!(grant.statement("'b'@'%'"), expect);
        };
        check(
            "GRANT EXECUTE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*X' REQUIRE SSL WITH GRANT \
             OPTION MAX_QUERIES_PER_HOUR 1000",
            "GRANT EXECUTE ON *.* TO 'b'@'%' WITH GRANT OPTION",
        );
        check(
            "GRANT SELECT, INSERT (`x``) ON *.* TO y`) ON `d TO e`.`t` TO `a`@`%`",
            "GRANT SELECT, INSERT (`x``) ON *.* TO y`) ON `d TO e`.`t` TO 'b'@'%'",
        );
        check(
            "GRANT `r` TO `a`@`%` WITH ADMIN OPTION",
            "GRANT `r` TO 'b'@'%' WITH ADMIN OPTION",
        );
        check(
            "SET DEFAULT ROLE `r` FOR `a`@`%`",
            "SET DEFAULT ROLE `r` FOR 'b'@'%'",
        );
        check(
            "REVOKE SELECT ON `d`.* FROM `a`@`%`",
            "REVOKE SELECT ON `d`.* FROM 'b'@'%'",
        );
    }

    #[test]
    fn names_that_are_not_quoted_are_not_told_again() {
        for line in [
            "GRANT SELECT (a) ON `d`.`t` TO `a`@`%`",
            "GRANT SELECT (a), INSERT (b) ON `d`.`t` TO `a`@`%`",
            "GRANT SELECT (`a`; DROP) ON `d`.`t` TO `a`@`%`",
        ] {
            assert!(!Grant::parse(line).unwrap().is_plain(), "{line}");
        }
    }

    #[test]
    fn options_leave_out_the_lock_and_notes() {
        let told = "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 9 PASSWORD EXPIRE ACCOUNT LOCK PASSWORD \
                    HISTORY DEFAULT ATTRIBUTE '{\"a\": 1}'";
        assert_eq!(
            kept_options(&words(told)),
            "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 9 PASSWORD HISTORY DEFAULT"
        );
    }

    #[test]
    fn rights_are_found_where_they_reach() {
        let lines = [
            "GRANT PROCESS, CREATE USER ON *.* TO `m`@`%`",
            "GRANT SELECT ON `mysql`.* TO `m`@`%`",
            "GRANT SELECT, INSERT ON `d`.* TO `m`@`%` WITH GRANT OPTION",
        ];
        let rights = Rights(lines.iter().filter_map(|line| Grant::parse(line)).collect());
        assert!(rights.has("CREATE USER", "*.*") && rights.has("SELECT", "`mysql`.*"));
        assert!(!rights.has("SUPER", "*.*") && !rights.has("SELECT", "*.*"));
        let may = |line| rights.may_give(&Grant::parse(line).unwrap());
        assert!(may("GRANT INSERT ON `d`.* TO `a`@`%`"));
        assert!(
            !may("GRANT DELETE ON `d`.* TO `a`@`%`") && !may("GRANT PROCESS ON *.* TO `a`@`%`")
        );
    }
}
