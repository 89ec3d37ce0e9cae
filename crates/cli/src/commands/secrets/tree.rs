//! Paths as a tree: each segment once, below the one it is in.

use scaivault_api::secret::SecretList;

use crate::table::plain;

/// The paths of all pages, which are in order of the paths.
pub(super) fn tree(pages: &[SecretList]) -> String {
    let mut paths: Vec<Vec<&str>> = pages
        .iter()
        .flat_map(|page| &page.secrets)
        .map(|secret| secret.path.split('/').collect())
        .collect();
    // By segments: what is in a folder stands together, whatever sorts between.
    paths.sort();
    let mut text = String::new();
    let mut before: &[&str] = &[];
    for path in &paths {
        let same = before.iter().zip(path).take_while(|(a, b)| a == b).count();
        // A secret whose path is also a folder is a line of its own.
        for (depth, segment) in path.iter().enumerate().skip(same) {
            let slash = if depth + 1 < path.len() { "/" } else { "" };
            text.push_str(&format!(
                "{}{}{slash}\n",
                "  ".repeat(depth),
                plain(segment)
            ));
        }
        before = path;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_stands_once() {
        let secret = |path: &str| {
            serde_json::json!({
                "path": path, "secret_type": "json", "version": 1, "metadata": {},
                "created_at": "", "updated_at": "", "expires_at": null,
                "rotation_policy_id": null, "secret_policy_id": null, "max_versions": 10
            })
        };
        let paths = ["app/db-2/a", "app/db/a", "app/db/b", "app/zz", "top"];
        let page: SecretList = serde_json::from_value(serde_json::json!({
            "secrets": paths.map(secret), "cursor": null, "has_more": false
        }))
        .expect("page");
        assert_eq!(
            tree(&[page]),
            "app/\n  db/\n    a\n    b\n  db-2/\n    a\n  zz\ntop\n"
        );
    }
}
