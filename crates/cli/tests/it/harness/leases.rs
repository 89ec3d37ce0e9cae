//! Leases and the accounts they are for, after something went wrong.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::http::{Api, text};

pub(crate) const LEASES: &str = "/v1/dynamic/leases";

/// All there are.
async fn all(root: &Api) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let behind = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let route = format!("{LEASES}?limit=500{behind}");
        let page = root.get(&route).await.ok(200);
        all.extend(page["leases"].as_array().expect("leases").clone());
        match page["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return all,
        }
    }
}

/// Where one engine makes all accounts, and nobody asks for more: none of them is without a lease, and
/// no active lease without its account. Answers how many leases there are.
pub(crate) async fn no_strays(
    root: &Api,
    engine: &str,
    at_target: impl Fn() -> BTreeSet<String>,
) -> usize {
    // An account goes before its lease has ended: leases first.
    let rows = all(root).await;
    let accounts = at_target();
    let held = rows.iter().filter(|row| row["status"] != "revoked");
    let held: BTreeSet<String> = held.map(|row| text(row, "account").to_owned()).collect();
    let strays: Vec<_> = accounts.difference(&held).collect();
    assert!(strays.is_empty(), "{strays:?}");
    // And the sweep, which looks for just that, finds nothing.
    let swept = root.post_empty(&format!("{engine}/sweep")).await.ok(200);
    assert_eq!(swept["found"], json!([]));
    let active = rows.iter().filter(|row| row["status"] == "active");
    let active: Vec<_> = active.collect();
    assert!(!active.is_empty());
    for row in active {
        if !accounts.contains(text(row, "account")) {
            let lease = format!("{LEASES}/{}", text(row, "id"));
            let now = root.get(&lease).await.ok(200);
            assert_ne!(now["status"], "active", "it has no account: {now}");
        }
    }
    rows.len()
}
