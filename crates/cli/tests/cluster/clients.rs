//! The load: who asks for what.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::client::Client;
use crate::random::Random;
use crate::record::Record;
use crate::rotated::Rotated;
use crate::{load, rights, rotated};

/// All who ask.
pub(crate) struct Clients {
    /// Open rotations; stopped first.
    pub(crate) opening: JoinSet<()>,
    pub(crate) others: JoinSet<()>,
    /// Follow rotations to their end; stopped last.
    pub(crate) consuming: JoinSet<()>,
}

/// Stops these. One that ended before, in a panic, tells what it found.
pub(crate) async fn stop(clients: &mut JoinSet<()>, record: &Record) {
    clients.abort_all();
    while let Some(ended) = clients.join_next().await {
        let Err(error) = ended else { continue };
        if let Ok(panic) = error.try_into_panic() {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            record.broken(format!("a client panicked: {}", text.unwrap_or("?")));
        }
    }
}

/// Puts the nodes under load.
pub(crate) async fn begin(root: &Client, random: &Random, rotated: &Arc<Rotated>) -> Clients {
    let mut numbers = 10_u64..;
    let mut client = || {
        let number = numbers.next().expect("many");
        let mut client = root.clone();
        client.random = random.fork(number);
        client
    };
    let mut clients = Clients {
        opening: JoinSet::new(),
        others: JoinSet::new(),
        consuming: JoinSet::new(),
    };
    let paths = load::Paths::default();
    for number in 0..4 {
        let writer = load::write(client(), format!("w{number}"), Arc::clone(&paths));
        clients.others.spawn(writer);
    }
    let contended: Vec<String> = (0..2).map(|number| format!("load/cas{number}")).collect();
    for path in &contended {
        load::first(&mut client(), path).await;
    }
    paths
        .lock()
        .expect("nobody panics holding it")
        .extend(contended.iter().cloned());
    for number in 0..3 {
        let writer = load::compete(client(), format!("c{number}"), contended.clone());
        clients.others.spawn(writer);
    }
    for _ in 0..5 {
        clients
            .others
            .spawn(load::read(client(), Arc::clone(&paths)));
    }
    for number in 0..2 {
        clients
            .others
            .spawn(rights::change(client(), format!("rights-{number}")));
    }
    for path in rotated.paths() {
        let told = Arc::clone(&rotated.told);
        clients
            .opening
            .spawn(rotated::rotate(client(), path.clone(), told));
        let token = rotated::consumer(&mut client(), &path).await;
        let consumer = client().with_token(&token);
        clients
            .consuming
            .spawn(rotated::consume(consumer, path, Arc::clone(rotated)));
    }
    clients
}
