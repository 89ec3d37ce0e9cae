//! Open connections: which user each belongs to and how old it is.

use super::wire::{Fault, Reply, Wire};

/// One connection at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) user: String,
    /// Whole seconds since it was opened.
    pub(crate) age_s: u64,
}

/// Every connection but our own.
pub(crate) async fn list(wire: &mut Wire) -> Result<Vec<Client>, Fault> {
    let own = match wire.ask(&["CLIENT", "ID"]).await? {
        Reply::Number(id) => u64::try_from(id).map_err(|_| Fault::Garbled)?,
        _ => return Err(Fault::Garbled),
    };
    let reply = wire.ask(&["CLIENT", "LIST"]).await?;
    let text = reply.text().ok_or(Fault::Garbled)?;
    let mut all = parse(text).ok_or(Fault::Garbled)?;
    all.retain(|client| client.id != own);
    Ok(all)
}

/// Ends one connection. One that is gone already is as good.
pub(crate) async fn end(wire: &mut Wire, id: u64) -> Result<(), Fault> {
    let id = id.to_string();
    wire.ask(&["CLIENT", "KILL", "ID", id.as_str()])
        .await
        .map(drop)
}

fn parse(text: &str) -> Option<Vec<Client>> {
    text.lines().map(client).collect()
}

/// One line: `field=value` between spaces. Neither names of users nor of connections hold any.
fn client(line: &str) -> Option<Client> {
    let field = |name: &str| {
        line.split(' ')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    };
    Some(Client {
        id: field("id")?.parse().ok()?,
        user: field("user")?.to_owned(),
        age_s: field("age")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = "id=3 addr=127.0.0.1:1 name=user=x age=12 idle=0 cmd=get user=a=b lib-name=\n";
        let expect = Client {
            id: 3,
            user: "a=b".into(),
            age_s: 12,
        };
        assert_eq!(parse(text), Some(vec![expect]));
        assert_eq!(parse(""), Some(vec![]));
        // A server before version 6 names no users.
        assert_eq!(parse("id=3 age=1\n"), None);
        assert_eq!(parse("id=x age=1 user=a\n"), None);
    }
}
