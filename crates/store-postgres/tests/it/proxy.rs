//! A way between a store and its database that can be told what to do with the next commit.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::database::{Database, RUNTIME};

/// A commit as it goes over the wire.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It goes through.
    Pass,
    /// It goes through, its answer is lost, and the connection with it.
    CutAfter,
    /// As `CutAfter`, and nobody gets through until the plan is changed.
    CutAfterAndClose,
    /// It goes through, and is answered with an error of this severity, as by a server that speaks
    /// another language.
    FailAfter(&'static str),
    /// It is lost with the connection, and nobody gets through until the plan is changed.
    LoseAndClose,
    /// It is lost with the client's side of the connection; the database's side stays open.
    CutBefore,
    /// It waits until the plan is changed.
    Hold,
}

struct State {
    plan: watch::Sender<Plan>,
    closed: watch::Sender<bool>,
    seen: watch::Sender<u32>,
    /// Sides of connections that nobody uses and nobody closes.
    kept: Mutex<Vec<TcpStream>>,
}

/// Listens on a port of its own.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        RUNTIME.spawn(Self::listen()).await.unwrap()
    }

    async fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            plan: watch::Sender::new(Plan::Pass),
            closed: watch::Sender::new(false),
            seen: watch::Sender::new(0),
            kept: Mutex::default(),
        });
        let for_all = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !*for_all.closed.borrow() {
                    tokio::spawn(carry(client, Arc::clone(&for_all)));
                }
            }
        });
        Self { port, state }
    }

    /// What is to happen to the next commit. Once it has, the ones after it pass.
    pub(crate) fn plan(&self, plan: Plan) {
        self.state.closed.send_replace(false);
        self.state.plan.send_replace(plan);
    }

    /// Waits until a commit met another plan than to pass.
    pub(crate) async fn met(&self) {
        let mut seen = self.state.seen.subscribe();
        let met = seen.wait_for(|seen| *seen > 0);
        let met = tokio::time::timeout(Duration::from_secs(10), met).await;
        met.expect("no commit came").unwrap();
    }
}

async fn carry(mut client: TcpStream, state: Arc<State>) {
    let server = (Ipv4Addr::LOCALHOST, Database::port());
    let mut server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(count @ 1..) = read else { return };
                let some = &from_client[..count];
                let Some(at) = some.windows(COMMIT.len()).position(|part| part == COMMIT) else {
                    server.write_all(some).await.unwrap();
                    continue;
                };
                let plan = *state.plan.borrow();
                if plan == Plan::Pass {
                    server.write_all(some).await.unwrap();
                    continue;
                }
                server.write_all(&some[..at]).await.unwrap();
                match plan {
                    Plan::Pass => {}
                    Plan::LoseAndClose => {
                        state.closed.send_replace(true);
                        drop(server);
                        pass(&state);
                        return;
                    }
                    Plan::FailAfter(severity) => {
                        server.write_all(&some[at..]).await.unwrap();
                        let before = committed(&mut server).await;
                        client.write_all(&before).await.unwrap();
                        client.write_all(&error(severity)).await.unwrap();
                        pass(&state);
                        return;
                    }
                    Plan::CutBefore => {
                        state.kept.lock().push(server);
                        pass(&state);
                        return;
                    }
                    Plan::Hold => {
                        state.seen.send_modify(|seen| *seen += 1);
                        let mut plan = state.plan.subscribe();
                        plan.wait_for(|plan| *plan != Plan::Hold).await.unwrap();
                        server.write_all(&some[at..]).await.unwrap();
                    }
                    Plan::CutAfter | Plan::CutAfterAndClose => {
                        state.closed.send_replace(plan == Plan::CutAfterAndClose);
                        server.write_all(&some[at..]).await.unwrap();
                        committed(&mut server).await;
                        pass(&state);
                        return;
                    }
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&from_server[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn pass(state: &State) {
    state.plan.send_replace(Plan::Pass);
    state.seen.send_modify(|seen| *seen += 1);
}

/// An error that says nothing of the transaction.
fn error(severity: &str) -> Vec<u8> {
    let fields = format!("SPANIK\0V{severity}\0CXX000\0Mdatei voll\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap();
    [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
}

/// Reads what the database answers until it says that it committed; what it said before.
async fn committed(server: &mut TcpStream) -> Vec<u8> {
    const DONE: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
    let mut answer = Vec::new();
    loop {
        if let Some(at) = answer.windows(DONE.len()).position(|part| part == DONE) {
            answer.truncate(at);
            return answer;
        }
        match server.read_buf(&mut answer).await {
            Ok(0) => panic!("the database closed the connection"),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
}
