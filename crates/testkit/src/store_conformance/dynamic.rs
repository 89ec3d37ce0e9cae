//! Engines, roles, and leases by what is asked of them.

use scaivault_core::dynamic::{Engine, Lease, LeaseState};
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::ports::{LeaseFilter, Op, Record, Unit, UnitName};
use scaivault_core::target::TroubleKind;
use scaivault_core::tenancy::Status;

use super::pages::check_pages;
use super::samples::{
    T0, at, engine, engine_role, identity, lease, partner, tenant, tenant_row, token,
};
use super::{Subject, commit, put};

pub async fn engines_and_roles_by_name(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let engines = ["2", "1"].map(|id| engine(&a, id));
    let other = engine(&b, "1");
    put(&store, engines.clone().map(Record::Engine)).await;
    put(&store, [Record::Engine(other.clone())]).await;
    for of in [&engines[0], &engines[1], &other] {
        let roles = ["writer", "reader"].map(|name| engine_role(of, name));
        put(&store, roles.map(Record::Role)).await;
    }
    check_pages!(
        ["eng_1", "eng_2"],
        |after, limit| store.engine_list(&a, after, limit),
        |row| row.id
    );
    let named = async |owner: &TenantId, name: &str| store.engine_named(owner, name).await.unwrap();
    assert_eq!(named(&a, "engine 2").await, Some(engines[0].clone()));
    assert_eq!(named(&b, "engine 1").await, Some(other.clone()));
    assert_eq!(named(&b, "engine 2").await, None);
    let id = &engines[0].id;
    check_pages!(
        ["reader", "writer"],
        |after, limit| store.role_list(&a, id, after, limit),
        |row| row.name
    );
    assert_eq!(store.role_list(&b, id, None, 9).await.unwrap(), []);
    assert_eq!(store.role_find(&b, id, "reader").await.unwrap(), None);
    assert_eq!(store.role_find(&a, id, "Reader").await.unwrap(), None);
}

fn ids(rows: &[Lease]) -> Vec<&str> {
    rows.iter().map(|row| &row.id.as_str()[4..]).collect()
}

pub async fn leases_by_filter(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let (one, two) = (engine(&a, "1"), engine(&a, "2"));
    let failing = Lease {
        failing_since: Some(T0),
        trouble: Some(TroubleKind::Unreachable.into()),
        state: LeaseState::Revoking,
        ..lease(&one, "2", Some(T0))
    };
    let by_other = Lease {
        holder: identity("user:alice"),
        role: "writer".into(),
        ..lease(&one, "3", Some(T0))
    };
    let rows = [
        lease(&one, "1", None),
        failing,
        by_other,
        lease(&two, "4", Some(T0)),
        lease(&engine(&b, "1"), "5", Some(T0)),
    ];
    put(&store, rows.map(Record::Lease)).await;
    let all = LeaseFilter::default();
    check_pages!(
        ["lse_4", "lse_3", "lse_2", "lse_1"],
        |after, limit| store.lease_list(&a, &all, after, limit),
        |row| row.id
    );
    let found = async |filter: LeaseFilter| {
        let rows = store.lease_list(&a, &filter, None, 9).await.unwrap();
        ids(&rows).concat()
    };
    let of_one = LeaseFilter {
        engine_id: Some(one.id.clone()),
        ..LeaseFilter::default()
    };
    assert_eq!(found(of_one.clone()).await, "321");
    let of_role = LeaseFilter {
        role: Some("writer".into()),
        ..of_one.clone()
    };
    assert_eq!(found(of_role).await, "3");
    let states = LeaseFilter {
        states: vec![LeaseState::Active, LeaseState::Revoked],
        ..of_one.clone()
    };
    assert_eq!(found(states).await, "31");
    let unended = |filter: &LeaseFilter| LeaseFilter {
        states: vec![LeaseState::Active, LeaseState::Revoking],
        ..filter.clone()
    };
    let failing = LeaseFilter {
        failing: true,
        ..LeaseFilter::default()
    };
    let held = |by: &str| LeaseFilter {
        holder: Some(identity(by)),
        ..LeaseFilter::default()
    };
    // Each alone, of those that have not ended, of an engine, and both.
    for (filter, [alone, unended_ones, of_engine, both]) in [
        (all, ["4321", "432", "321", "32"]),
        (failing, ["2", "2", "2", "2"]),
        (held("user:alice"), ["3", "3", "3", "3"]),
        (held("sa:ci"), ["421", "42", "21", "2"]),
        (held("sa:nobody"), ["", "", "", ""]),
    ] {
        assert_eq!(found(filter.clone()).await, alone);
        assert_eq!(found(unended(&filter)).await, unended_ones);
        let filter = LeaseFilter {
            engine_id: Some(one.id.clone()),
            ..filter
        };
        assert_eq!(found(filter.clone()).await, of_engine);
        assert_eq!(found(unended(&filter)).await, both);
    }
    let counted = async |tenant, engine: &Engine| {
        let counted = store.lease_count(tenant, &engine.id).await;
        counted.unwrap()
    };
    assert_eq!(counted(&a, &one).await, 2, "one has ended");
    assert_eq!((counted(&a, &two).await, counted(&b, &two).await), (1, 0));
}

/// One engine with much to do does not keep the others waiting.
pub async fn leases_are_due_engine_by_engine(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let engines = [engine(&a, "1"), engine(&a, "2"), engine(&b, "3")];
    let row = |of: &Engine, id: &str, wake| Record::Lease(lease(of, id, Some(at(wake))));
    let rows = [
        row(&engines[0], "11", 1),
        row(&engines[0], "12", 2),
        row(&engines[0], "13", 3),
        row(&engines[1], "21", 5),
        row(&engines[1], "22", 90),
        row(&engines[2], "31", 4),
        Record::Lease(lease(&engines[0], "10", None)),
    ];
    put(&store, rows).await;
    let due = async |now, busy: &[&Engine], of_each, limit| {
        let busy: Vec<_> = busy.iter().map(|engine| engine.id.clone()).collect();
        let rows = store.lease_due(at(now), &busy, of_each, limit).await;
        ids(&rows.unwrap()).join(" ")
    };
    assert_eq!(due(0, &[], 9, 9).await, "");
    assert_eq!(due(9, &[], 9, 9).await, "11 12 13 31 21");
    assert_eq!(due(9, &[], 1, 9).await, "11 31 21");
    assert_eq!(due(9, &[], 2, 3).await, "11 12 31");
    assert_eq!(due(9, &[&engines[0]], 9, 9).await, "31 21");
    assert_eq!(due(90, &[&engines[0], &engines[2]], 9, 9).await, "21 22");
    assert_eq!(store.next_work().await.unwrap().lease_at, Some(at(1)));
    let mut stopped = tenant_row(&partner("1").id, "b");
    (stopped.id, stopped.own_status) = (b, Status::Suspended);
    put(&store, [Record::Tenant(stopped)]).await;
    assert_eq!(
        due(9, &[], 1, 9).await,
        "11 31 21",
        "what was made for a tenant ends though it is suspended"
    );
}

pub async fn leases_of_accounts_and_tokens(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let (one, two) = (engine(&a, "1"), engine(&a, "2"));
    let held = |of: &Engine, id: &str, wake, token: &str| Lease {
        token_id: Some(TokenId::parse(token).unwrap()),
        ..lease(of, id, wake)
    };
    let rows = [
        held(&one, "1", Some(T0), "tok_2"),
        held(&two, "2", Some(T0), "tok_1"),
        held(&two, "3", Some(T0), "tok_1"),
        held(&one, "4", None, "tok_3"),
        lease(&one, "5", Some(T0)),
        held(&engine(&b, "1"), "6", Some(T0), "tok_1"),
    ];
    put(&store, rows.map(Record::Lease)).await;
    let names = ["1", "2", "4", "5", "x"].map(|id| format!("v_reader_{id}"));
    let mut found = store.lease_of_accounts(&a, &one.id, &names).await.unwrap();
    found.sort_by(|x, y| x.id.cmp(&y.id));
    assert_eq!(
        ids(&found),
        ["1", "5"],
        "of this engine, that have not ended"
    );
    let none = store.lease_of_accounts(&a, &one.id, &[]).await.unwrap();
    assert_eq!(none, []);

    let tokens = async |after: Option<(&str, &str)>, limit| {
        let found = store.lease_tokens(after, limit).await.unwrap();
        let named = found
            .iter()
            .map(|held| format!("{}/{}", held.tenant, held.id));
        named.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(tokens(None, 9).await, "tnt_a/tok_1 tnt_a/tok_2 tnt_b/tok_1");
    assert_eq!(tokens(None, 1).await, "tnt_a/tok_1");
    assert_eq!(
        tokens(Some(("tnt_a", "tok_1")), 9).await,
        "tnt_a/tok_2 tnt_b/tok_1"
    );
    assert_eq!(tokens(Some(("tnt_b", "tok_1")), 9).await, "");
    put(&store, [Record::Token(token(&a, "2"))]).await;
    let rows = store.lease_tokens(None, 9).await.unwrap();
    let rows: Vec<_> = rows.into_iter().map(|held| held.token).collect();
    assert_eq!(rows, [None, Some(token(&a, "2")), None]);
    let token = TokenId::parse("tok_1").unwrap();
    check_pages!(
        ["lse_2", "lse_3"],
        |after, limit| store.lease_of_token(&a, &token, after, limit),
        |row| row.id
    );
}

pub async fn ended_leases_are_pruned_oldest_first(store: Subject) {
    let a = tenant("a");
    let of = engine(&a, "1");
    let ended = |id: &str, when| Lease {
        revoked_at: Some(at(when)),
        ..lease(&of, id, None)
    };
    let rows = [
        ended("1", 30),
        ended("2", 10),
        ended("3", 20),
        lease(&of, "4", Some(at(1))),
    ];
    put(&store, rows.map(Record::Lease)).await;
    for (before, limit, left) in [
        (10, 9, "4321"),
        (30, 1, "431"),
        (30, 9, "41"),
        (90, 0, "41"),
        (90, 9, "4"),
    ] {
        let before = at(before);
        let there = store.lease_list(&a, &LeaseFilter::default(), None, 9).await;
        let prunable = store.lease_prunable(before, limit).await.unwrap();
        assert_eq!(prunable, there.unwrap().len() - left.len());
        commit(&store, [Op::LeasesPrune { before, limit }]).await;
        let all = LeaseFilter::default();
        let rows = store.lease_list(&a, &all, None, 9).await.unwrap();
        assert_eq!(ids(&rows).concat(), left);
    }
}

pub async fn leases_are_counted(store: Subject) {
    let none = store.lease_figures().await.unwrap();
    assert_eq!(
        (none.by_state, none.failing, none.failing_since),
        (vec![], 0, None)
    );
    let of = engine(&tenant("a"), "1");
    let failing = |id: &str, since| Lease {
        state: LeaseState::Revoking,
        failing_since: Some(at(since)),
        ..lease(&of, id, Some(T0))
    };
    let rows = [
        lease(&of, "1", Some(T0)),
        lease(&of, "2", Some(T0)),
        failing("3", 7),
        failing("4", 5),
        lease(&of, "5", None),
    ];
    let unit = rows
        .into_iter()
        .fold(Unit::new(UnitName::LeaseIntend), |unit, row| {
            unit.put(Record::Lease(row))
        });
    store.commit(unit).await.unwrap();
    let figures = store.lease_figures().await.unwrap();
    assert_eq!(
        figures.by_state,
        [(LeaseState::Active, 2), (LeaseState::Revoking, 2)]
    );
    assert_eq!((figures.failing, figures.failing_since), (2, Some(at(5))));
}
