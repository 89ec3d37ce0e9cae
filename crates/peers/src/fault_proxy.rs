//! A network that fails on request: a proxy on the loopback interface in front of one server.
//! Put one before each client, and each client can be cut off on its own, in one direction or
//! both.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// For a server that is there to accept.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What becomes of bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// They pass.
    Open,
    /// They are kept and delivered when the wire is open again, as a network does that was down
    /// for a while: what was sent before may arrive long after.
    Held,
    /// They are lost. Nobody is told before the wire is open again; then the connections that
    /// lost something are reset.
    Swallowed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
    lost: bool,
    /// Nothing passes any more.
    hung: bool,
}

impl Pair {
    /// Both sides see a reset, not an orderly end.
    fn reset(&self) {
        for side in [&self.client, &self.server] {
            let _ = set_socket_linger(side, Some(Duration::ZERO));
            let _ = side.shutdown(Shutdown::Both);
        }
    }

    fn end(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

struct State {
    backend: u16,
    refuse: bool,
    to_server: Wire,
    to_client: Wire,
    delay: Duration,
    /// Bytes that still pass, either way, before everything is reset.
    left: Option<usize>,
    pairs: HashMap<u64, Pair>,
    next: u64,
    closed: bool,
    /// Clients hear of no notification.
    deaf: bool,
    /// How often anybody noticed that it is not just a wire.
    felt: usize,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics holding it")
    }
}

impl State {
    fn reset_all(&mut self) {
        self.felt += self.pairs.len();
        for (_, pair) in self.pairs.drain() {
            pair.reset();
        }
    }
}

/// The proxy. Everything passes until something else is asked for.
pub struct FaultProxy {
    shared: Arc<Shared>,
    port: u16,
}

impl FaultProxy {
    /// One before the server at this port of the loopback interface.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(backend: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                backend,
                refuse: false,
                to_server: Wire::Open,
                to_client: Wire::Open,
                delay: Duration::ZERO,
                left: None,
                pairs: HashMap::new(),
                next: 0,
                closed: false,
                deaf: false,
                felt: 0,
            }),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { shared, port }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on another server is behind it; connections to the former one are reset.
    pub fn set_backend(&self, port: u16) {
        let mut state = self.shared.state();
        state.backend = port;
        state.reset_all();
        self.shared.changed.notify_all();
    }

    /// Resets all connections and refuses new ones.
    pub fn cut(&self) {
        let mut state = self.shared.state();
        state.refuse = true;
        state.reset_all();
        self.shared.changed.notify_all();
    }

    /// Resets all connections; new ones pass.
    pub fn reset(&self) {
        self.shared.state().reset_all();
        self.shared.changed.notify_all();
    }

    /// The connections there are pass nothing any more, without a word to anybody, as when a
    /// gateway has forgotten them; new ones pass.
    pub fn hang(&self) {
        let mut state = self.shared.state();
        state.pairs.values_mut().for_each(|pair| pair.hung = true);
    }

    /// What becomes of bytes from now on, in each direction.
    pub fn set(&self, to_server: Wire, to_client: Wire) {
        let mut state = self.shared.state();
        state.to_server = to_server;
        state.to_client = to_client;
        self.shared.changed.notify_all();
    }

    /// Every piece is this late, in each direction.
    pub fn delay(&self, by: Duration) {
        self.shared.state().delay = by;
    }

    /// From now on new connections to a PostgreSQL hear of no notification, as behind a pooler of
    /// transactions. They must be in clear text.
    pub fn deafen(&self) {
        self.shared.state().deaf = true;
    }

    /// Lets so many bytes more through, whichever way, then resets all connections, once.
    pub fn cut_after(&self, bytes: usize) {
        self.shared.state().left = Some(bytes);
    }

    /// Everything passes again. What was held is delivered; connections that lost something are
    /// reset.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.refuse = false;
        state.to_server = Wire::Open;
        state.to_client = Wire::Open;
        state.delay = Duration::ZERO;
        state.left = None;
        state.pairs.retain(|_, pair| {
            if pair.lost {
                pair.reset();
            }
            !pair.lost
        });
        self.shared.changed.notify_all();
    }

    /// How many connections were reset or refused and how many pieces held or lost, at least: it
    /// grows when a fault meets something.
    pub fn felt(&self) -> usize {
        self.shared.state().felt
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.state().pairs.len()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.closed = true;
            state.reset_all();
        }
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let (closed, refuse) = {
            let mut state = shared.state();
            state.felt += usize::from(state.refuse);
            (state.closed, state.refuse)
        };
        if closed {
            return;
        }
        let Ok(client) = client else { continue };
        if refuse {
            let _ = set_socket_linger(&client, Some(Duration::ZERO));
            continue;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // Whoever is not let through sees a reset.
            let _ = set_socket_linger(&client, Some(Duration::ZERO));
            let _ = serve(client, &shared);
        });
    }
}

fn serve(client: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    let backend: SocketAddr = (Ipv4Addr::LOCALHOST, shared.state().backend).into();
    let server = TcpStream::connect_timeout(&backend, CONNECT_MAX)?;
    let _ = set_socket_linger(&client, None);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let pair = Pair {
        client: client.try_clone()?,
        server: server.try_clone()?,
        lost: false,
        hung: false,
    };
    let id = {
        let mut state = shared.state();
        if state.refuse || state.closed || state.backend != backend.port() {
            pair.reset();
            return Ok(());
        }
        state.next += 1;
        let id = state.next;
        state.pairs.insert(id, pair);
        id
    };
    let (client_in, server_out) = (client.try_clone()?, server.try_clone()?);
    let there = Arc::clone(shared);
    std::thread::spawn(move || pump(client_in, server_out, Direction::ToServer, id, &there));
    pump(server, client, Direction::ToClient, id, shared);
    Ok(())
}

/// What to do with a piece that was read.
enum Fate {
    Pass(usize, Duration),
    Lost,
    Over,
}

fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    direction: Direction,
    id: u64,
    shared: &Arc<Shared>,
) {
    let mut buffer = vec![0; 1 << 14];
    let deaf = direction == Direction::ToClient && shared.state().deaf;
    let mut messages = deaf.then(Messages::default);
    loop {
        let mut read = from.read(&mut buffer).unwrap_or(0);
        if let Some(messages) = messages.as_mut().filter(|_| read > 0) {
            let kept = messages.without_notifications(&buffer[..read]);
            read = kept.len();
            buffer[..read].copy_from_slice(&kept);
            if read == 0 {
                continue;
            }
        }
        match fate(shared, direction, id, read) {
            Fate::Over => return,
            Fate::Lost if read == 0 => break,
            Fate::Lost => {}
            Fate::Pass(0, _) if read == 0 => break,
            Fate::Pass(bytes, delay) => {
                std::thread::sleep(delay);
                if to.write_all(&buffer[..bytes]).is_err() {
                    break;
                }
                let mut state = shared.state();
                if state.left == Some(0) {
                    state.left = None;
                    state.reset_all();
                    shared.changed.notify_all();
                }
            }
        }
    }
    if let Some(pair) = shared.state().pairs.remove(&id) {
        pair.end();
    }
}

/// What a PostgreSQL tells, taken apart: a letter, a length, and the rest.
#[derive(Default)]
struct Messages {
    /// The begin of a message whose length is not known yet.
    begin: Vec<u8>,
    /// What is still to come of the message before, and whether it is passed on.
    left: usize,
    passes: bool,
}

impl Messages {
    fn without_notifications(&mut self, bytes: &[u8]) -> Vec<u8> {
        const NOTIFICATION: u8 = b'A';
        let mut kept = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.left > 0 {
                self.left -= 1;
                kept.extend(self.passes.then_some(*byte));
                continue;
            }
            self.begin.push(*byte);
            if let [letter, a, b, c, d] = self.begin[..] {
                let length = u32::from_be_bytes([a, b, c, d]);
                self.left = usize::try_from(length).unwrap_or(4).saturating_sub(4);
                self.passes = letter != NOTIFICATION;
                if self.passes {
                    kept.append(&mut self.begin);
                }
                self.begin.clear();
            }
        }
        kept
    }
}

/// Waits while the wire holds; an end (`read == 0`) is held like anything else.
fn fate(shared: &Shared, direction: Direction, id: u64, read: usize) -> Fate {
    let mut state = shared.state();
    loop {
        let wire = match direction {
            Direction::ToServer => state.to_server,
            Direction::ToClient => state.to_client,
        };
        let delay = state.delay;
        state.felt += usize::from(wire != Wire::Open && state.pairs.contains_key(&id));
        let Some(pair) = state.pairs.get_mut(&id) else {
            return Fate::Over;
        };
        if pair.hung {
            return Fate::Lost;
        }
        match wire {
            Wire::Open => {
                let bytes = read.min(state.left.unwrap_or(read));
                state.left = state.left.map(|left| left - bytes);
                return Fate::Pass(bytes, delay);
            }
            // An end that nobody is told of is waited for until the wire is open.
            Wire::Swallowed if read > 0 => {
                pair.lost = true;
                return Fate::Lost;
            }
            Wire::Swallowed | Wire::Held => {}
        }
        state = shared
            .changed
            .wait(state)
            .expect("nobody panics holding it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every byte with the next one.
    fn successor() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut one = [0];
                    while matches!(stream.read(&mut one), Ok(1)) {
                        let _ = stream.write_all(&[one[0] + 1]);
                    }
                });
            }
        });
        port
    }

    fn client(proxy: &FaultProxy) -> TcpStream {
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        client
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        client
    }

    fn ask(client: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        client.write_all(&[byte])?;
        hear(client)
    }

    fn hear(client: &mut TcpStream) -> std::io::Result<u8> {
        let mut one = [0];
        client.read_exact(&mut one)?;
        Ok(one[0])
    }

    fn is_silent(heard: &std::io::Result<u8>) -> bool {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        matches!(heard, Err(error) if matches!(error.kind(), TimedOut | WouldBlock))
    }

    #[test]
    fn what_is_held_arrives_later_and_what_is_swallowed_never() {
        let proxy = FaultProxy::start(successor());
        let mut one = client(&proxy);
        assert_eq!(ask(&mut one, 1).unwrap(), 2);
        for (to_server, to_client) in [(Wire::Held, Wire::Open), (Wire::Open, Wire::Held)] {
            proxy.set(to_server, to_client);
            assert!(is_silent(&ask(&mut one, 5)));
            proxy.heal();
            assert_eq!(hear(&mut one).unwrap(), 6);
        }
        for (to_server, to_client) in [(Wire::Swallowed, Wire::Open), (Wire::Open, Wire::Swallowed)]
        {
            let mut one = client(&proxy);
            assert_eq!(ask(&mut one, 1).unwrap(), 2);
            proxy.set(to_server, to_client);
            assert!(is_silent(&ask(&mut one, 5)));
            proxy.heal();
            let heard = hear(&mut one);
            assert!(heard.is_err() && !is_silent(&heard), "{heard:?}");
        }
    }

    #[test]
    fn what_hangs_stays_so_and_others_pass() {
        let proxy = FaultProxy::start(successor());
        let mut one = client(&proxy);
        assert_eq!(ask(&mut one, 1).unwrap(), 2);
        proxy.hang();
        assert!(is_silent(&ask(&mut one, 1)));
        assert_eq!(ask(&mut client(&proxy), 1).unwrap(), 2);
        proxy.heal();
        assert!(is_silent(&ask(&mut one, 1)));
    }

    #[test]
    fn a_cut_is_seen_at_once_by_all_and_ends() {
        let proxy = FaultProxy::start(successor());
        let mut one = client(&proxy);
        assert_eq!(ask(&mut one, 1).unwrap(), 2);
        proxy.cut();
        let heard = hear(&mut one);
        assert!(heard.is_err() && !is_silent(&heard), "{heard:?}");
        let mut other = client(&proxy);
        let heard = ask(&mut other, 1);
        assert!(heard.is_err() && !is_silent(&heard), "{heard:?}");
        proxy.heal();
        assert_eq!(ask(&mut client(&proxy), 1).unwrap(), 2);
        // After so many bytes, either way.
        let mut one = client(&proxy);
        proxy.cut_after(3);
        assert_eq!(ask(&mut one, 1).unwrap(), 2);
        assert!(ask(&mut one, 1).is_err());
        assert_eq!(ask(&mut client(&proxy), 1).unwrap(), 2);
    }

    #[test]
    fn notifications_are_left_out_however_they_are_cut() {
        let told = b"Z\0\0\0\x05IA\0\0\0\x08newsA\0\0\0\x04D\0\0\0\x06hi";
        for size in 1..told.len() {
            let mut messages = Messages::default();
            let pieces = told.chunks(size);
            let kept: Vec<u8> = pieces
                .flat_map(|piece| messages.without_notifications(piece))
                .collect();
            assert_eq!(kept, b"Z\0\0\0\x05ID\0\0\0\x06hi");
        }
    }

    #[test]
    fn another_server_can_be_behind_it() {
        let proxy = FaultProxy::start(successor());
        let mut one = client(&proxy);
        assert_eq!(ask(&mut one, 1).unwrap(), 2);
        proxy.set_backend(successor());
        assert!(hear(&mut one).is_err());
        let mut one = client(&proxy);
        assert_eq!(ask(&mut one, 7).unwrap(), 8);
        assert_eq!(proxy.connections(), 1);
    }
}
