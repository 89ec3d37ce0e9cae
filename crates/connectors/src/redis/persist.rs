//! Where a node keeps its users over a restart.

use scaivault_core::target::{Trouble, TroubleKind};

use super::wire::{Fault, Wire};

/// What keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// An ACL file, written by `ACL SAVE`.
    AclFile,
    /// The configuration file, written by `CONFIG REWRITE`.
    ConfigFile,
    /// Nothing.
    None,
}

/// What to do where nothing keeps users.
pub(crate) const REMEDY: &str = "set `aclfile /etc/redis/users.acl` in redis.conf, create that file \
     and restart the server; or set `volatile_ok` to true in the target's settings";

impl Keeper {
    /// Asks a node.
    pub(crate) async fn of(wire: &mut Wire) -> Result<Self, Fault> {
        let reply = wire.ask(&["CONFIG", "GET", "aclfile"]).await?;
        let list = reply.list().ok_or(Fault::Garbled)?;
        if list
            .get(1)
            .and_then(|value| value.text())
            .is_some_and(|path| !path.is_empty())
        {
            return Ok(Self::AclFile);
        }
        let reply = wire.ask(&["INFO", "server"]).await?;
        let text = reply.text().ok_or(Fault::Garbled)?;
        let path = text
            .lines()
            .find_map(|line| line.strip_prefix("config_file:"));
        Ok(match path {
            Some(path) if !path.trim().is_empty() => Self::ConfigFile,
            _ => Self::None,
        })
    }

    /// The command that writes it.
    pub(crate) fn command(self) -> Option<[&'static str; 2]> {
        match self {
            Self::AclFile => Some(["ACL", "SAVE"]),
            Self::ConfigFile => Some(["CONFIG", "REWRITE"]),
            Self::None => None,
        }
    }

    /// Writes it.
    pub(crate) async fn save(self, wire: &mut Wire) -> Result<(), Fault> {
        match self.command() {
            Some(command) => wire.ask(&command).await.map(drop),
            None => Ok(()),
        }
    }
}

/// Finds the keeper and has it write once before anything is changed: a server that cannot save
/// (rights, a full disk) is found out while nothing depends on it.
pub(crate) async fn rehearse(wire: &mut Wire, volatile_ok: bool) -> Result<Keeper, Trouble> {
    let keeper = find(wire, volatile_ok).await?;
    keeper.save(wire).await?;
    Ok(keeper)
}

/// Finds the keeper; none is a trouble unless it may be.
pub(crate) async fn find(wire: &mut Wire, volatile_ok: bool) -> Result<Keeper, Trouble> {
    let keeper = any(wire, volatile_ok).await?;
    if keeper == Keeper::None && !volatile_ok {
        return Err(Trouble::new(TroubleKind::Settings)
            .code("volatile")
            .remedy(REMEDY));
    }
    Ok(keeper)
}

/// Finds the keeper, or that there is none.
pub(crate) async fn any(wire: &mut Wire, volatile_ok: bool) -> Result<Keeper, Fault> {
    match Keeper::of(wire).await {
        // Servers run by others often keep these commands to themselves.
        Err(fault) if volatile_ok && fault.is_refusal() => Ok(Keeper::None),
        found => found,
    }
}
