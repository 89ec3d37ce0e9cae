use super::*;

fn mysql() -> Server {
    Server::parse("8.0.36")
}

fn row(plugin: &str, first: &str, second: Option<&str>) -> Row {
    Row {
        host: "%".into(),
        methods: vec![Method::new(plugin, hash::stored(plugin, first).unwrap())],
        second: second.map(|password| hash::stored(plugin, password).unwrap()),
        locked: false,
        epoch: None,
    }
}

fn writer(server: &Server) -> Writer<'_> {
    Writer {
        server,
        name: "app",
        epoch: 5,
    }
}

/// What a row of MySQL is after its statements, read from the statements themselves.
fn run(mut row: Row, statements: &[String]) -> Row {
    for sql in statements {
        assert!(sql.starts_with("ALTER USER 'app'@'%' "), "{sql}");
        if sql.contains("DISCARD OLD PASSWORD") {
            row.second = None;
            continue;
        }
        let (_, rest) = sql.split_once(" AS '").unwrap();
        let (stored, rest) = rest.split_once('\'').unwrap();
        let before = std::mem::replace(&mut row.methods[0].stored, stored.to_owned());
        if rest.contains("RETAIN CURRENT PASSWORD") {
            row.second = Some(before);
        }
        row.locked |= rest.contains("ACCOUNT LOCK");
        row.locked &= !rest.contains("ACCOUNT UNLOCK");
        assert!(rest.ends_with(r#"ATTRIBUTE '{"scaivault": {"epoch": 5}}'"#));
    }
    row
}

#[test]
fn mysql_accepts_beside_from_every_state_and_stays_there() {
    let server = mysql();
    let writer = writer(&server);
    for plugin in [hash::NATIVE, hash::CACHING_SHA2] {
        for first in ["old", "new", "lost"] {
            for second in [None, Some("old"), Some("new"), Some("lost")] {
                let before = row(plugin, first, second);
                let sql = writer.accept_beside(&before, "new", Some("old")).unwrap();
                let after = run(before, &sql);
                assert!(after.accepts("old") && after.accepts("new"), "{sql:?}");
                assert!(!after.accepts("lost"));
                let again = writer.accept_beside(&after, "new", Some("old")).unwrap();
                assert_eq!(again, [] as [String; 0], "retained twice");
            }
        }
    }
}

#[test]
fn mysql_statements_read_as_the_manual_has_them() {
    let server = mysql();
    let sql = writer(&server)
        .accept_beside(&row(hash::NATIVE, "old", None), "password", Some("old"))
        .unwrap();
    assert_eq!(
        sql,
        [
            "ALTER USER 'app'@'%' IDENTIFIED WITH 'mysql_native_password' AS \
          '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19' RETAIN CURRENT PASSWORD \
          ATTRIBUTE '{\"scaivault\": {\"epoch\": 5}}'"
        ]
    );
}

#[test]
fn mysql_refuses_a_password_from_every_state() {
    let server = mysql();
    let writer = writer(&server);
    for first in ["dead", "keep"] {
        for second in [None, Some("dead"), Some("keep")] {
            let before = row(hash::CACHING_SHA2, first, second);
            let kept = before.accepts("keep");
            let sql = writer
                .refuse_password(&before, "dead", Some("keep"))
                .unwrap();
            let after = run(before, &sql);
            assert!(!after.accepts("dead"), "{first} {second:?}: {sql:?}");
            assert!(after.accepts("keep") || !kept);
            let again = writer
                .refuse_password(&after, "dead", Some("keep"))
                .unwrap();
            assert_eq!(again, [] as [String; 0]);
        }
    }
    let after = row(hash::NATIVE, "dead", None);
    let sql = writer.refuse_password(&after, "dead", None).unwrap();
    assert!(!run(after, &sql).accepts("dead"));
}

#[test]
fn an_account_is_refused_only_while_it_has_the_dead_password() {
    let server = mysql();
    let writer = writer(&server);
    let before = row(hash::NATIVE, "dead", Some("older"));
    let sql = writer.refuse_account(&before, "dead").unwrap().unwrap();
    let after = run(before, &sql);
    assert!(after.locked && !after.accepts("dead") && !after.accepts("older"));
    assert_eq!(writer.refuse_account(&after, "dead").unwrap(), Some(vec![]));
    let later = row(hash::NATIVE, "successor", None);
    assert_eq!(writer.refuse_account(&later, "dead").unwrap(), None);

    let sql = writer.accept_alone(&after, "next", true).unwrap();
    let after = run(after, &sql);
    assert!(!after.locked && after.accepts("next"));
    assert_eq!(
        writer.accept_alone(&after, "next", true).unwrap(),
        [] as [String; 0]
    );
}

#[test]
fn mariadb_keeps_ways_in_that_are_no_passwords() {
    let server = Server::parse("10.11.6-MariaDB");
    let writer = writer(&server);
    let mut before = row(hash::NATIVE, "old", None);
    before
        .methods
        .insert(0, Method::new("unix_socket", String::new()));
    let sql = writer
        .accept_beside(&before, "password", Some("old"))
        .unwrap();
    assert_eq!(
        sql,
        [format!(
            "ALTER USER 'app'@'%' IDENTIFIED VIA 'mysql_native_password' USING \
             '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19' OR 'mysql_native_password' USING '{}' \
             OR 'unix_socket'",
            hash::stored(hash::NATIVE, "old").unwrap()
        )]
    );
}

/// MariaDB holds no number that would tell a late call.
#[test]
fn mariadb_does_not_bring_a_retired_password_back() {
    let server = Server::parse("10.11.6-MariaDB");
    let writer = writer(&server);
    let retired = row(hash::NATIVE, "new", None);
    let late = writer.accept_beside(&retired, "new", Some("old")).unwrap();
    assert_eq!(late, [] as [String; 0]);
    let before = row(hash::NATIVE, "old", None);
    let first = writer.accept_beside(&before, "new", Some("old")).unwrap();
    assert_eq!(first.len(), 1);
}

#[test]
fn plugins_whose_form_is_not_known_are_left_alone() {
    let server = Server::parse("10.11.6-MariaDB");
    let writer = writer(&server);
    let mut before = row(hash::NATIVE, "old", None);
    before.methods[0] = Method::new("ed25519", "x".into());
    let trouble = writer.accept_alone(&before, "new", true).unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Unsupported);
    assert_eq!(
        trouble.remedy,
        ["ALTER USER 'app'@'%' IDENTIFIED VIA mysql_native_password"]
    );
    // To refuse such an account nothing needs to be known of its password.
    let sql = writer.refuse_account(&before, "old").unwrap().unwrap();
    assert!(sql[0].ends_with("ACCOUNT LOCK"));
}
