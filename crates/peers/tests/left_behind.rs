//! Of a server that is over nothing is left in the kernel, however it ended.

use scaivault_peers::Segment;
use scaivault_peers::postgresql::Postgresql;
use scaivault_peers::postgresql_pair::PostgresqlPair;

fn start() -> Postgresql {
    Postgresql::start_with(|_| vec!["log_statement=none".into()])
}

/// What it has in the kernel while it runs.
fn held(server: &Postgresql) -> Segment {
    let segment = Segment::of(&server.data()).expect("it names its segment");
    assert!(segment.attached() > Some(0), "{segment:?}");
    segment
}

/// Files that its first process has in memory.
fn mapped(server: &Postgresql) -> String {
    let id = server.server().id().expect("it runs");
    std::fs::read_to_string(format!("/proc/{id}/maps")).expect("its maps")
}

#[test]
fn its_shared_files_are_among_its_data() {
    let server = start();
    let mapped = mapped(&server);
    let own = server.data().join("pg_dynshmem");
    assert!(mapped.contains(&own.display().to_string()), "{mapped}");
    assert!(!mapped.contains("/dev/shm/"), "{mapped}");
}

#[test]
fn one_that_is_dropped_leaves_nothing() {
    let server = start();
    let (segment, directory) = (held(&server), server.server().dir().to_owned());
    drop(server);
    assert_eq!(segment.attached(), None);
    assert!(!directory.exists());
}

#[test]
fn one_that_is_dropped_while_paused_leaves_nothing() {
    let server = start();
    let segment = held(&server);
    server.server().pause(true);
    drop(server);
    assert_eq!(segment.attached(), None);
}

#[test]
fn one_that_was_killed_leaves_nothing() {
    let mut server = start();
    let first = held(&server);
    server.kill_hard();
    assert_eq!(first.attached(), None);
    server.start_again();
    let second = held(&server);
    server.kill_hard();
    drop(server);
    assert_eq!(second.attached(), None);
}

#[test]
fn one_whose_first_process_was_killed_by_another_leaves_nothing() {
    let server = start();
    let segment = held(&server);
    let id = server.server().id().expect("it runs");
    let id = rustix::process::Pid::from_raw(id.cast_signed()).expect("an id");
    rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it takes a signal");
    drop(server);
    assert_eq!(segment.attached(), None);
}

#[test]
fn a_pair_that_failed_over_leaves_nothing() {
    let mut pair = PostgresqlPair::start(&["log_statement=none".into()], Some(200));
    let both = [
        held(pair.primary()),
        held(pair.standby().expect("a standby")),
    ];
    pair.fail_over();
    assert_eq!(both[0].attached(), None);
    drop(pair);
    assert_eq!(both[1].attached(), None);
}
