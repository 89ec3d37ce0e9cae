//! A look at the target: what the manager may do there, and what stands in the way.

use scaivault_core::ports::{Call, Check, Missing, Reach};
use scaivault_core::target::{Overlap, Trouble};

use super::change::RULES;
use super::clients;
use super::link::{self, Login};
use super::persist::{Keeper, REMEDY};
use super::quote::{set_user, word};
use super::settings::{Account, Site};
use super::user::User;
use super::wire::{Fault, Reply, Wire};

/// What the connector asks for, and what for.
const NEEDS: [(&[&str], &str, &str); 4] = [
    (
        &["ACL", "SETUSER", "x"],
        "+acl|setuser",
        "add and remove passwords",
    ),
    (
        &["CLIENT", "KILL", "ID", "1"],
        "+client|kill",
        "end sessions of old passwords",
    ),
    (
        &["ACL", "DELUSER", "x"],
        "+acl|deluser",
        "remove the users of rehearsals",
    ),
    (
        &["ACL", "USERS"],
        "+acl|users",
        "find users of rehearsals that were left behind",
    ),
];

/// Looks at every node; what is found at any is in the answer.
pub(crate) async fn check(reach: &dyn Reach, call: &Call<'_>) -> Result<Check, Trouble> {
    let site = Site::of(call.settings)?;
    let account = if call.account.is_empty() {
        None
    } else {
        Some(Account::of(call.account, call.overlap)?)
    };
    let manager = Login::manager(call)?.username.as_str().to_owned();
    let mut look = Look {
        manager: manager.clone(),
        check: Check {
            manager,
            overlaps: vec![Overlap::TwoUsers, Overlap::TwoPasswords],
            ..Check::default()
        },
    };
    for wire in &mut link::manage(reach, call).await? {
        look.rights(wire).await?;
        look.keeper(wire, site.volatile_ok).await?;
        if let Some(account) = &account {
            look.accounts(wire, account).await?;
        }
    }
    Ok(look.check)
}

struct Look {
    manager: String,
    check: Check,
}

impl Look {
    fn may(&mut self, what: &str) {
        if !self.check.may.iter().any(|each| each == what) {
            self.check.may.push(what.to_owned());
        }
    }

    fn lacks(&mut self, what: &str, statement: String) {
        let missing = Missing {
            what: what.to_owned(),
            statement,
        };
        if !self.check.missing.contains(&missing) {
            self.check.missing.push(missing);
        }
    }

    fn lacks_rule(&mut self, what: &str, rule: &str) {
        let statement = set_user(&self.manager, rule);
        self.lacks(what, statement);
    }

    fn warn(&mut self, text: String) {
        if !self.check.warnings.contains(&text) {
            self.check.warnings.push(text);
        }
    }

    /// Takes a lack of a right down and gives other faults on.
    fn asked<T>(
        &mut self,
        asked: Result<T, Fault>,
        what: &str,
        rule: &str,
    ) -> Result<Option<T>, Fault> {
        match asked {
            Ok(answer) => {
                self.may(what);
                Ok(Some(answer))
            }
            Err(fault) if fault.is_privilege() => {
                self.lacks_rule(what, rule);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn rights(&mut self, wire: &mut Wire) -> Result<(), Fault> {
        let asked = clients::list(wire).await;
        self.asked(asked, "list sessions", "+client|id +client|list")?;
        for (command, rule, what) in NEEDS {
            self.try_dry(wire, command, what, rule).await?;
        }
        Ok(())
    }

    /// Asks the server whether the manager may run a command, without running it.
    async fn try_dry(
        &mut self,
        wire: &mut Wire,
        command: &[&str],
        what: &str,
        rule: &str,
    ) -> Result<(), Fault> {
        let mut args = vec!["ACL", "DRYRUN", self.manager.as_str()];
        args.extend(command);
        match wire.ask(&args).await {
            Ok(Reply::Text(text)) if text == b"OK" => self.may(what),
            Ok(Reply::Text(_)) => self.lacks_rule(what, rule),
            Ok(_) => return Err(Fault::Garbled),
            Err(fault) if fault.is_privilege() => {
                self.lacks_rule("learn which of its rights are there", RULES);
            }
            // Before version 7 there is no such question.
            Err(fault) if fault.is_refusal() => self.warn(format!(
                "this version does not tell whether the manager may {what}: {}",
                set_user(&self.manager, rule)
            )),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    async fn keeper(&mut self, wire: &mut Wire, volatile_ok: bool) -> Result<(), Fault> {
        let asked = wire.ask(&["INFO", "server"]).await;
        if let Some(reply) = self.asked(asked, "read the server's version", "+info")? {
            self.check.server = server(reply.text().unwrap_or_default());
        }
        let asked = Keeper::of(wire).await;
        let found = self.asked(asked, "find out where users are kept", "+config|get +info")?;
        let (command, rule) = match found {
            Some(Keeper::AclFile) => (["ACL", "SAVE"], "+acl|save"),
            Some(Keeper::ConfigFile) => (["CONFIG", "REWRITE"], "+config|rewrite"),
            Some(Keeper::None) => {
                if volatile_ok {
                    let text = "users are kept in memory alone: a restart of the server forgets \
                                every rotation";
                    self.warn(text.to_owned());
                } else {
                    self.lacks("keep users over a restart of the server", REMEDY.to_owned());
                }
                return Ok(());
            }
            None => return Ok(()),
        };
        self.try_dry(wire, &command, "save users", rule).await
    }

    async fn accounts(&mut self, wire: &mut Wire, account: &Account) -> Result<(), Fault> {
        let mut found = Vec::new();
        for name in account.names() {
            let asked = User::read(wire, name).await;
            let Some(user) = self.asked(asked, "read users", "+acl|getuser")? else {
                return Ok(());
            };
            match user {
                None => self.lacks(
                    &format!("the user {}", word(name)),
                    set_user(name, "on resetpass"),
                ),
                Some(user) => {
                    if user.nopass {
                        self.lacks(
                            &format!("a password of the user {}: it takes any", word(name)),
                            set_user(name, "resetpass #<SHA-256 of the current password>"),
                        );
                    }
                    if user.hashes.len() > 2 {
                        let count = user.hashes.len();
                        let name = word(name);
                        self.warn(format!("the user {name} takes {count} passwords"));
                    }
                    found.push(user);
                }
            }
        }
        if let [a, b] = found.as_slice()
            && !a.same_rules(b)
        {
            self.warn(
                "the rules of the two users differ: a rotation gives the idle one those of the \
                 one in use"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Product and version, of the characters that such words have.
fn server(info: &str) -> String {
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .filter(|text| text.len() <= 32)
            .filter(|text| {
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
            })
    };
    match (field("valkey_version:"), field("redis_version:")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => String::new(),
    }
}
