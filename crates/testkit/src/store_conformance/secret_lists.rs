//! Lists of secrets: order, paging, filters.

use scaivault_core::ports::{Op, Record, SecretFilter};
use scaivault_core::secret::{SecretHead, SecretType};

use super::pages::check_pages;
use super::samples::{T0, at, secret, tenant};
use super::{Subject, commit, put};

async fn check_secrets(store: &Subject, filter: &SecretFilter, expect: &[&str]) {
    let a = tenant("a");
    check_pages!(
        expect,
        |after, limit| store.secret_list(&a, filter, after, limit),
        |row| row.path
    );
}

async fn with_secrets(
    store: &Subject,
    paths: &[&str],
    change: impl Fn(&mut SecretHead),
) -> Vec<SecretHead> {
    let heads: Vec<_> = paths
        .iter()
        .map(|at_path| {
            let mut head = secret(&tenant("a"), at_path);
            change(&mut head);
            head
        })
        .collect();
    put(store, heads.iter().cloned().map(Record::Secret)).await;
    heads
}

pub async fn secrets_by_path(store: Subject) {
    with_secrets(
        &store,
        &["b/2", "a", "b-1", "b/1", "b_", "b", "b/1/x"],
        |_| (),
    )
    .await;
    let expect = ["a", "b", "b-1", "b/1", "b/1/x", "b/2", "b_"];
    check_secrets(&store, &SecretFilter::default(), &expect).await;
    let found = store
        .secret_list(&tenant("a"), &SecretFilter::default(), Some("b/0"), 9)
        .await;
    assert_eq!(
        found.unwrap().len(),
        4,
        "a place need not be a path that is there"
    );
}

pub async fn secrets_by_prefix(store: Subject) {
    with_secrets(
        &store,
        &["app", "app/db", "app/dz", "app2", "ap", "app/db/x", "zz"],
        |_| (),
    )
    .await;
    for (prefix, expect) in [
        ("app", &["app", "app/db", "app/db/x", "app/dz", "app2"][..]),
        ("app/", &["app/db", "app/db/x", "app/dz"]),
        ("app/d", &["app/db", "app/db/x", "app/dz"]),
        ("app/db", &["app/db", "app/db/x"]),
        ("b", &[]),
        ("zz", &["zz"]),
    ] {
        let filter = SecretFilter {
            prefix: prefix.into(),
            ..SecretFilter::default()
        };
        check_secrets(&store, &filter, expect).await;
    }
    // A place before the prefix begins at the prefix, one behind it finds nothing.
    let filter = SecretFilter {
        prefix: "app/".into(),
        ..SecretFilter::default()
    };
    let a = tenant("a");
    let list = |after| store.secret_list(&a, &filter, Some(after), 9);
    assert_eq!(list("a").await.unwrap().len(), 3);
    assert_eq!(list("b").await.unwrap().len(), 0);
}

pub async fn secrets_by_tag(store: Subject) {
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    let paths = ["s/1", "s/2", "s/3", "s/4"];
    let mut heads = with_secrets(&store, &paths, |head| {
        head.metadata.tags = match head.path.as_str() {
            "s/1" => tags(&["prod", "db"]),
            "s/2" => tags(&["db", "db"]),
            "s/3" => tags(&["Prod"]),
            _ => tags(&[]),
        };
    })
    .await;
    let by = |tag: &str| SecretFilter {
        tag: Some(tag.into()),
        ..SecretFilter::default()
    };
    check_secrets(&store, &by("db"), &["s/1", "s/2"]).await;
    check_secrets(&store, &by("prod"), &["s/1"]).await;
    check_secrets(&store, &by("d"), &[]).await;
    // Tags follow their secret's changes.
    (heads[0].metadata.tags, heads[0].revision) = (tags(&["new"]), 2);
    (heads[3].metadata.tags, heads[3].revision) = (tags(&["db"]), 2);
    put(
        &store,
        [heads[0].clone(), heads[3].clone()].map(Record::Secret),
    )
    .await;
    check_secrets(&store, &by("db"), &["s/2", "s/4"]).await;
    check_secrets(&store, &by("prod"), &[]).await;
    check_secrets(&store, &by("new"), &["s/1"]).await;
    commit(&store, [Op::Delete(Record::Secret(heads[3].clone()))]).await;
    check_secrets(&store, &by("db"), &["s/2"]).await;
}

pub async fn secrets_by_type(store: Subject) {
    with_secrets(&store, &["s/1", "s/2", "s/3"], |head| {
        head.secret_type = match head.path.as_str() {
            "s/2" => SecretType::Kv,
            _ => SecretType::SshKey,
        };
    })
    .await;
    let by = |kind| SecretFilter {
        secret_type: Some(kind),
        ..SecretFilter::default()
    };
    check_secrets(&store, &by(SecretType::SshKey), &["s/1", "s/3"]).await;
    check_secrets(&store, &by(SecretType::Kv), &["s/2"]).await;
    check_secrets(&store, &by(SecretType::Certificate), &[]).await;
}

pub async fn secrets_by_end(store: Subject) {
    let mut heads = with_secrets(&store, &["s/1", "s/2", "s/3", "s/4"], |head| {
        head.expires_at = match head.path.as_str() {
            "s/1" => Some(at(30)),
            "s/2" => None,
            "s/3" => Some(at(10)),
            _ => Some(at(20)),
        };
    })
    .await;
    let by = |secs| SecretFilter {
        expires_before: Some(at(secs)),
        ..SecretFilter::default()
    };
    check_secrets(&store, &by(9), &[]).await;
    check_secrets(&store, &by(10), &["s/3"]).await;
    check_secrets(&store, &by(99), &["s/1", "s/3", "s/4"]).await;
    (heads[2].expires_at, heads[2].revision) = (None, 2);
    put(&store, [Record::Secret(heads[2].clone())]).await;
    check_secrets(&store, &by(99), &["s/1", "s/4"]).await;
}

pub async fn secrets_without_deleted(store: Subject) {
    with_secrets(&store, &["s/1", "s/2"], |head| {
        head.recoverable_until = (head.path.as_str() == "s/1").then_some(T0);
    })
    .await;
    check_secrets(&store, &SecretFilter::default(), &["s/2"]).await;
    let all = SecretFilter {
        include_deleted: true,
        ..SecretFilter::default()
    };
    check_secrets(&store, &all, &["s/1", "s/2"]).await;
}

/// All parts of the filter at once, against the plain meaning of each.
pub async fn secrets_by_everything(store: Subject) {
    let paths: Vec<String> = (0..48)
        .map(|n| format!("{}/s{n:02}", ["x", "y"][n % 2]))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut heads = with_secrets(&store, &paths, |head| {
        let n: i64 = head.path.as_str()[3..].parse().unwrap();
        head.metadata.tags = if n % 3 == 0 { vec!["t".into()] } else { vec![] };
        head.secret_type = if n % 4 < 2 {
            SecretType::Kv
        } else {
            SecretType::Json
        };
        head.expires_at = (n % 5 < 3).then(|| at(n));
        head.recoverable_until = (n % 7 == 0).then_some(T0);
    })
    .await;
    heads.sort_by(|a, b| a.path.cmp(&b.path));
    for choice in 0..32u8 {
        let on = |bit: u8| choice & (1 << bit) != 0;
        let filter = SecretFilter {
            prefix: if on(0) { "x/".into() } else { String::new() },
            tag: on(1).then(|| "t".into()),
            secret_type: on(2).then_some(SecretType::Kv),
            expires_before: on(3).then(|| at(30)),
            include_deleted: on(4),
        };
        let wants = |head: &&SecretHead| {
            head.path.as_str().starts_with(&filter.prefix)
                && filter
                    .tag
                    .as_ref()
                    .is_none_or(|tag| head.metadata.tags.contains(tag))
                && filter
                    .secret_type
                    .is_none_or(|kind| kind == head.secret_type)
                && filter
                    .expires_before
                    .is_none_or(|end| head.expires_at.is_some_and(|at| at <= end))
                && (filter.include_deleted || !head.is_deleted())
        };
        let expect: Vec<_> = heads
            .iter()
            .filter(wants)
            .map(|head| head.path.as_str())
            .collect();
        check_secrets(&store, &filter, &expect).await;
    }
}
