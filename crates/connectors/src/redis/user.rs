//! Users as the server describes them, and the rules that make one like another.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use scaivault_core::target::{Trouble, TroubleKind};

use super::wire::{Fault, Reply, Wire};

/// One command: its words.
pub(crate) type Command = Vec<Vec<u8>>;

/// A command of these words.
pub(crate) fn command<const N: usize>(words: [&str; N]) -> Command {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// What a password looks like at the server: SHA-256 in hexadecimal digits.
pub(crate) fn hash(password: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, password.as_bytes()))
}

/// A user at one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct User {
    pub(crate) on: bool,
    /// Whether any password is right.
    pub(crate) nopass: bool,
    pub(crate) hashes: BTreeSet<String>,
    /// The rules beside passwords and on or off, in the words of `ACL SETUSER`.
    pub(crate) rules: Vec<Vec<u8>>,
}

impl User {
    /// Asks for a user. `None`: there is none.
    pub(crate) async fn read(wire: &mut Wire, name: &str) -> Result<Option<Self>, Fault> {
        let reply = wire.ask(&["ACL", "GETUSER", name]).await?;
        if reply == Reply::Nil {
            return Ok(None);
        }
        Self::parse(&reply).map(Some).ok_or(Fault::Garbled)
    }

    fn parse(reply: &Reply) -> Option<Self> {
        let mut user = Self::default();
        for (field, value) in pairs(reply)? {
            match field {
                "flags" => {
                    for flag in value.list()? {
                        match flag.text()? {
                            "on" => user.on = true,
                            "nopass" => user.nopass = true,
                            word @ ("sanitize-payload" | "skip-sanitize-payload") => {
                                user.rules.push(word.into());
                            }
                            _ => {}
                        }
                    }
                }
                "passwords" => {
                    for hash in value.list()? {
                        user.hashes.insert(hash.text()?.to_owned());
                    }
                }
                "selectors" => {
                    for selector in value.list()? {
                        let mut words = Vec::new();
                        for (field, value) in pairs(selector)? {
                            words.extend(rules(field, value)?);
                        }
                        let mut rule = b"(".to_vec();
                        rule.extend(words.join(&b' '));
                        rule.push(b')');
                        user.rules.push(rule);
                    }
                }
                field => {
                    if field == "channels" {
                        // What a fresh user may subscribe to depends on the server's settings.
                        user.rules.push(b"resetchannels".to_vec());
                    }
                    user.rules.extend(rules(field, value)?);
                }
            }
        }
        Some(user)
    }

    /// Whether the two differ in passwords at most.
    pub(crate) fn same_rules(&self, other: &Self) -> bool {
        self.rules == other.rules
    }

    /// Makes `name` a user with these rules that takes this one password. The server does it as a
    /// whole or not at all.
    pub(crate) fn copy_to(&self, name: &str, hash: &str) -> Command {
        let mut out = command(["ACL", "SETUSER", name, "reset"]);
        out.extend(self.rules.iter().cloned());
        out.extend([b"on".to_vec(), format!("#{hash}").into_bytes()]);
        out
    }
}

/// The trouble of a user who lets everybody in: a password more would end that, so nothing is done.
pub(crate) fn takes_any_password() -> Trouble {
    Trouble::new(TroubleKind::Settings).code("nopass")
}

/// A map: a flat list of fields and values.
fn pairs(reply: &Reply) -> Option<impl Iterator<Item = (&str, &Reply)>> {
    let list = reply.list()?;
    let even = list.len().is_multiple_of(2);
    let texts = list.iter().step_by(2).all(|field| field.text().is_some());
    let (fields, values) = (list.iter().step_by(2), list.iter().skip(1).step_by(2));
    (even && texts).then(|| {
        fields
            .zip(values)
            .filter_map(|(field, value)| Some((field.text()?, value)))
    })
}

/// The rules of one field, each checked to be of its kind: whatever the server answers, no rule
/// sets a password or switches a user on.
fn rules(field: &str, value: &Reply) -> Option<Vec<Vec<u8>>> {
    let begins: &[u8] = match field {
        "commands" => b"+-",
        "keys" => b"~%",
        "channels" => b"&",
        _ => return Some(Vec::new()),
    };
    let words: Vec<Vec<u8>> = match value {
        // One text of words since version 7.
        Reply::Text(text) => text
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect(),
        // Before, a list of patterns without their sign.
        Reply::List(list) => {
            let sign = *begins.first()?;
            let pattern = |element: &Reply| match element {
                Reply::Text(text) => Some([&[sign], text.as_slice()].concat()),
                _ => None,
            };
            list.iter().map(pattern).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let fits = |word: &Vec<u8>| {
        let sound = |byte: &u8| !byte.is_ascii_whitespace() && *byte != 0;
        word.first().is_some_and(|first| begins.contains(first)) && word.iter().all(sound)
    };
    words.iter().all(fits).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.into())
    }

    fn texts(list: &[&str]) -> Reply {
        Reply::List(list.iter().map(|each| text(each)).collect())
    }

    fn words(user: &User) -> Vec<&str> {
        let read = |rule| std::str::from_utf8(rule).expect("text");
        user.rules.iter().map(|rule| read(rule)).collect()
    }

    #[test]
    fn users_of_version_7_are_read() {
        let selector = Reply::List(vec![
            text("commands"),
            text("-@all +get"),
            text("keys"),
            text("~a* %R~b"),
            text("channels"),
            text(""),
        ]);
        let reply = Reply::List(vec![
            text("flags"),
            texts(&["on", "sanitize-payload"]),
            text("passwords"),
            texts(&["aa", "bb"]),
            text("commands"),
            text("-@all +set"),
            text("keys"),
            text("~*"),
            text("channels"),
            text("&x"),
            text("selectors"),
            Reply::List(vec![selector]),
        ]);
        let user = User::parse(&reply).expect("a user");
        assert!(user.on && !user.nopass);
        assert_eq!(user.hashes.len(), 2);
        let expect = [
            "sanitize-payload",
            "-@all",
            "+set",
            "~*",
            "resetchannels",
            "&x",
            "(-@all +get ~a* %R~b)",
        ];
        assert_eq!(words(&user), expect);
    }

    #[test]
    fn users_of_version_6_are_read() {
        let reply = Reply::List(vec![
            text("flags"),
            texts(&["off", "allkeys", "nopass"]),
            text("passwords"),
            texts(&[]),
            text("commands"),
            text("+@all"),
            text("keys"),
            texts(&["*"]),
        ]);
        let user = User::parse(&reply).expect("a user");
        assert!(!user.on && user.nopass);
        assert_eq!(words(&user), ["+@all", "~*"]);
    }

    #[test]
    fn no_answer_smuggles_a_rule_of_another_kind() {
        for (field, value) in [
            ("commands", text("+get nopass")),
            ("commands", text("+get >secret")),
            ("keys", text("on")),
            ("keys", texts(&["a b"])),
            ("channels", texts(&["x\r\n"])),
            ("commands", Reply::Nil),
        ] {
            let reply = Reply::List(vec![text(field), value]);
            assert_eq!(User::parse(&reply), None);
        }
        assert_eq!(User::parse(&texts(&["flags"])), None);
    }
}
