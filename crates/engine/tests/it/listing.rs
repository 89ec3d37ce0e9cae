//! Lists: folders, tags, text; what may not be listed is as if absent, page by page.

use scaivault_core::access::Permission;
use scaivault_core::ports::SecretFilter;
use scaivault_core::secret::Metadata;
use scaivault_engine::{Caller, SecretQuery, SecretWrite, Vault};

use crate::world::{World, caller, root, write_of};

async fn put(w: &World, at: &str, metadata: Metadata) {
    let write = SecretWrite {
        metadata: Some(metadata),
        ..write_of(at, "v")
    };
    w.vault.secret_write(&root(), write).await.unwrap();
}

fn tagged(tags: &[&str]) -> Metadata {
    Metadata {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..Metadata::default()
    }
}

/// Everything a list answers in pages of `limit`: secrets, folders, and how many pages.
async fn walk(
    vault: &Vault,
    who: &Caller,
    query: &SecretQuery,
    limit: usize,
) -> (Vec<String>, Vec<String>, usize) {
    let (mut secrets, mut folders, mut pages) = (Vec::new(), Vec::new(), 0);
    let mut after: Option<String> = None;
    loop {
        let page = vault
            .secret_list(who, query, after.as_deref(), limit)
            .await
            .unwrap();
        assert!(page.secrets.len() + page.folders.len() <= limit);
        pages += 1;
        secrets.extend(
            page.secrets
                .into_iter()
                .map(|(head, _)| head.path.as_str().to_owned()),
        );
        folders.extend(page.folders);
        after = page.next;
        if after.is_none() {
            return (secrets, folders, pages);
        }
        assert!(pages < 1_000, "the pages never end");
    }
}

fn below(prefix: &str) -> SecretQuery {
    SecretQuery {
        filter: SecretFilter {
            prefix: prefix.to_owned(),
            ..SecretFilter::default()
        },
        folders: true,
        ..SecretQuery::default()
    }
}

async fn tree() -> World {
    let w = World::new().await;
    for at in [
        "app",
        "app/db",
        "app/db/a",
        "app/db/b",
        "app/db-2/a",
        "app/db_x",
        "app/web/tls/cert",
        "app/zz",
        "apple/core",
        "other/x",
        "top",
    ] {
        put(&w, at, Metadata::default()).await;
    }
    w
}

#[tokio::test]
async fn folders_are_told_once_on_pages_of_any_size() {
    let w = tree().await;
    for (prefix, secrets, folders) in [
        ("", vec!["app", "top"], vec!["app/", "apple/", "other/"]),
        ("app", vec!["app"], vec!["app/", "apple/"]),
        (
            "app/",
            vec!["app/db", "app/db_x", "app/zz"],
            vec!["app/db-2/", "app/db/", "app/web/"],
        ),
        (
            "app/d",
            vec!["app/db", "app/db_x"],
            vec!["app/db-2/", "app/db/"],
        ),
        ("app/db/", vec!["app/db/a", "app/db/b"], vec![]),
        ("nothing/", vec![], vec![]),
    ] {
        for limit in 1..=7 {
            let found = walk(&w.vault, &root(), &below(prefix), limit).await;
            assert_eq!(
                (&found.0, &found.1),
                (
                    &secrets.iter().map(ToString::to_string).collect(),
                    &folders.iter().map(ToString::to_string).collect()
                ),
                "{prefix} by {limit}"
            );
        }
    }
}

#[tokio::test]
async fn a_folder_is_there_only_for_whoever_may_list_something_in_it() {
    let w = tree().await;
    w.grant("sa:lister", "app/db/b", &[Permission::List]).await;
    w.grant("sa:lister", "other/*", &[Permission::Read]).await;
    w.grant("sa:lister", "app/web/**", &[Permission::List])
        .await;
    let who = caller("sa:lister");
    for limit in [1, 2, 100] {
        let (secrets, folders, _) = walk(&w.vault, &who, &below(""), limit).await;
        assert_eq!((secrets, folders), (vec![], vec!["app/".to_owned()]));
        let (secrets, folders, _) = walk(&w.vault, &who, &below("app/"), limit).await;
        assert_eq!(
            (secrets, folders),
            (vec![], vec!["app/db/".to_owned(), "app/web/".to_owned()])
        );
    }
}

#[tokio::test]
async fn a_large_folder_costs_no_more_than_a_small_one() {
    let w = World::new().await;
    for n in 0..700 {
        put(&w, &format!("big/n{n:03}"), Metadata::default()).await;
    }
    put(&w, "after", Metadata::default()).await;
    put(&w, "zoo/x", Metadata::default()).await;
    let (secrets, folders, pages) = walk(&w.vault, &root(), &below(""), 10).await;
    assert_eq!(
        (secrets, folders),
        (
            vec!["after".to_owned()],
            vec!["big/".to_owned(), "zoo/".to_owned()]
        )
    );
    assert_eq!(pages, 1);
}

#[tokio::test]
async fn tags_hold_together_and_text_is_found_anywhere() {
    let w = World::new().await;
    put(&w, "app/one", tagged(&["prod", "eu"])).await;
    put(&w, "app/two", tagged(&["prod"])).await;
    put(&w, "app/three", tagged(&["eu", "Billing"])).await;
    let owned = Metadata {
        owner: Some("team:Billing".into()),
        description: Some("Zahlungs-Schlüssel".into()),
        ..Metadata::default()
    };
    put(&w, "app/four", owned).await;
    put(&w, "app/billing", Metadata::default()).await;
    let of = async |tags: &[&str], text: Option<&str>| {
        let query = SecretQuery {
            filter: SecretFilter {
                tag: tags.first().map(|tag| (*tag).to_owned()),
                ..SecretFilter::default()
            },
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            text: text.map(str::to_owned),
            ..SecretQuery::default()
        };
        let all = walk(&w.vault, &root(), &query, 100).await.0;
        assert_eq!(walk(&w.vault, &root(), &query, 1).await.0, all);
        all.iter()
            .map(|at| at.trim_start_matches("app/").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&["prod"], None).await, ["one", "two"]);
    assert_eq!(of(&["prod", "eu"], None).await, ["one"]);
    assert_eq!(of(&["eu", "prod", "x"], None).await, Vec::<String>::new());
    assert_eq!(of(&[], Some("billing")).await, ["billing", "four", "three"]);
    assert_eq!(of(&["eu"], Some("BILLING")).await, ["three"]);
    assert_eq!(of(&[], Some("SCHLÜSSEL")).await, ["four"]);
    assert_eq!(of(&[], Some("app/t")).await, ["three", "two"]);
}

#[tokio::test]
async fn only_directly_below_is_paged_whole() {
    let w = tree().await;
    let query = SecretQuery {
        shallow: true,
        folders: false,
        ..below("app/")
    };
    for limit in 1..=4 {
        let (secrets, folders, _) = walk(&w.vault, &root(), &query, limit).await;
        assert_eq!(secrets, ["app/db", "app/db_x", "app/zz"]);
        assert!(folders.is_empty());
    }
}
