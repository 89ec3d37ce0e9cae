//! A service that mints keys, scripted: it has the shapes of three services, keeps its keys, and
//! misbehaves on request. HTTP/1.1 on the loopback interface, one request per connection.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the service takes the time to be, as a header and in seconds.
pub(crate) const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
pub(crate) const NOW: i64 = 784_111_777;

/// The manager's key, and one without any right.
pub(crate) const MANAGER: &str = "manager-key-of-the-fake";
pub(crate) const WEAK: &str = "weak-key-of-the-fake";

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    List,
    Revoke,
    Validate,
}

/// What goes wrong with the next request of a kind.
#[derive(Debug, Clone)]
pub(crate) enum Trick {
    /// It is done, and the connection ends without an answer.
    Lose,
    /// It is done, and answered after this time.
    Late(Duration),
    /// It is not done; this is answered: status, further header, body.
    Answer(u16, String, String),
    /// It is done; this body is answered.
    Body(String),
}

/// A key as the service holds it.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) value: String,
    pub(crate) name: String,
    pub(crate) scopes: Value,
    pub(crate) last_used: Value,
    born: Instant,
    dead: Option<Instant>,
}

impl Key {
    /// Whether it has not been revoked.
    pub(crate) fn is_alive(&self) -> bool {
        self.dead.is_none()
    }
}

/// What the service holds.
pub(crate) struct State {
    pub(crate) keys: Vec<Key>,
    pub(crate) quota: usize,
    /// How long a new key is refused and a revoked one let in.
    pub(crate) lag: Duration,
    /// What the next page's address begins with.
    pub(crate) pages_at: String,
    /// Request lines and headers but those with a key.
    pub(crate) log: Vec<String>,
    tricks: Vec<(Kind, Trick)>,
    replays: HashMap<String, Value>,
    minted: u64,
}

impl State {
    fn alive(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.is_alive())
    }
}

/// The running service. It ends with the runtime of its test.
pub(crate) struct FakeKeys {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: HashMap<String, String>,
    body: String,
}

impl FakeKeys {
    /// A service with no keys.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            keys: Vec::new(),
            quota: usize::MAX,
            lag: Duration::ZERO,
            pages_at: String::new(),
            log: Vec::new(),
            tricks: Vec::new(),
            replays: HashMap::new(),
            minted: 0,
        }));
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    /// The next request of this kind goes wrong.
    pub(crate) fn trick(&self, kind: Kind, trick: Trick) {
        self.state().tricks.push((kind, trick));
    }

    /// Puts a key there, as somebody else would.
    pub(crate) fn plant(&self, id: &str, name: &str) -> Key {
        let mut state = self.state();
        let key = mint(&mut state, name, json!(["mail.send"]));
        let last = state.keys.last_mut().expect("just made");
        id.clone_into(&mut last.id);
        Key {
            id: id.to_owned(),
            ..key
        }
    }

    /// Names of the keys that live.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().alive().map(|key| key.name.clone()).collect()
    }

    /// Whether a key with this value lives.
    pub(crate) fn accepts(&self, value: &str) -> bool {
        self.state().alive().any(|key| key.value == value)
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.state().log.len()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let asked = read(&mut stream).await?;
    let kind = kind(&asked);
    let trick = {
        let mut state = state.lock().ok()?;
        let logged = asked
            .headers
            .iter()
            .filter(|(name, _)| *name != "authorization");
        let logged: Vec<_> = logged
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let line = format!(
            "{} {} {:?} {logged:?}",
            asked.method, asked.path, asked.query
        );
        state.log.push(line);
        let at = state.tricks.iter().position(|(of, _)| Some(*of) == kind);
        at.map(|at| state.tricks.remove(at).1)
    };
    if let Some(Trick::Answer(status, header, body)) = &trick {
        return write(&mut stream, *status, header, body).await;
    }
    let (status, body) = answer(&mut *state.lock().ok()?, &asked, kind);
    match trick {
        Some(Trick::Lose) => return None,
        Some(Trick::Late(delay)) => tokio::time::sleep(delay).await,
        Some(Trick::Body(body)) => return write(&mut stream, status, "", &body).await,
        _ => {}
    }
    let body = if status == 204 {
        String::new()
    } else {
        body.to_string()
    };
    write(&mut stream, status, "", &body).await
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if !bytes[0].is_ascii_uppercase() {
            // No HTTP: the beginning of a handshake.
            write(stream, 400, "", "").await;
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap_or(0));
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Asked {
        method,
        path: path.to_owned(),
        query: pairs(query),
        headers,
        body: String::from_utf8(bytes[end + 4..].to_vec()).ok()?,
    })
}

/// Pairs of a query or a form. Values of the tests need `%XX` and `+` only.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'+' => out.push(b' '),
                b'%' => {
                    let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                    let hex = std::str::from_utf8(&hex).expect("hex");
                    out.push(u8::from_str_radix(hex, 16).expect("hex"));
                }
                byte => out.push(byte),
            }
        }
        String::from_utf8(out).expect("UTF-8")
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

async fn write(stream: &mut TcpStream, status: u16, header: &str, body: &str) -> Option<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nDate: {DATE}\r\nConnection: close\r\nContent-Length: {length}\r\n{header}\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

fn kind(asked: &Asked) -> Option<Kind> {
    let path = asked.path.as_str();
    match asked.method.as_str() {
        "GET" if matches!(path, "/v3/scopes" | "/v1/balance" | "/v1/me") => Some(Kind::Validate),
        "GET" if matches!(path, "/v3/api_keys" | "/v2/iam/api_keys" | "/v1/keys") => {
            Some(Kind::List)
        }
        "POST" if path.ends_with("/expire") => Some(Kind::Revoke),
        "POST" if matches!(path, "/v3/api_keys" | "/v2/iam/api_keys" | "/v1/keys") => {
            Some(Kind::Create)
        }
        "DELETE" => Some(Kind::Revoke),
        _ => None,
    }
}

fn error(status: u16) -> (u16, Value) {
    (
        status,
        json!({"errors": [{"message": "a text nobody should repeat"}]}),
    )
}

fn answer(state: &mut State, asked: &Asked, kind: Option<Kind>) -> (u16, Value) {
    let proof = asked.headers.get("authorization");
    let proof = proof
        .and_then(|proof| proof.strip_prefix("Bearer "))
        .unwrap_or_default();
    if kind == Some(Kind::Validate) {
        return validate(state, proof);
    }
    match proof {
        MANAGER => {}
        WEAK => return error(403),
        _ => return error(401),
    }
    match kind {
        Some(Kind::Create) => create(state, asked),
        Some(Kind::List) => list(state, asked),
        Some(Kind::Revoke) => revoke(state, asked),
        _ => error(404),
    }
}

fn validate(state: &State, proof: &str) -> (u16, Value) {
    match proof {
        MANAGER => {
            let all = json!({"scopes": ["api_keys.create", "api_keys.read", "api_keys.delete"]});
            return (200, all);
        }
        WEAK => return (200, json!({"scopes": ["mail.send"]})),
        _ => {}
    }
    let known = state.keys.iter().find(|key| key.value == proof);
    let lets_in = known.is_some_and(|key| {
        let settled = key.born.elapsed() >= state.lag;
        settled && key.dead.is_none_or(|dead| dead.elapsed() < state.lag)
    });
    match known {
        Some(key) if lets_in => (200, json!({"scopes": key.scopes})),
        _ => error(401),
    }
}

fn mint(state: &mut State, name: &str, scopes: Value) -> Key {
    state.minted += 1;
    let key = Key {
        id: format!("id{}", state.minted),
        value: format!("SG.secret-text-{}", state.minted),
        name: name.to_owned(),
        scopes,
        last_used: Value::Null,
        born: Instant::now(),
        dead: None,
    };
    state.keys.push(key.clone());
    key
}

fn create(state: &mut State, asked: &Asked) -> (u16, Value) {
    if state.alive().count() >= state.quota {
        return error(403);
    }
    if asked.path == "/v1/keys" {
        let form = pairs(&asked.body);
        let once = asked
            .headers
            .get("idempotency-key")
            .cloned()
            .unwrap_or_default();
        if let Some(before) = state.replays.get(&once) {
            return (200, before.clone());
        }
        let key = mint(state, &form["metadata[rotation]"], json!(form.get("role")));
        let made = json!({"id": key.id, "secret": key.value});
        state.replays.insert(once, made.clone());
        return (200, made);
    }
    let body: Value = serde_json::from_str(&asked.body).expect("a JSON body");
    let name = body["name"].as_str().expect("a name");
    if asked.path == "/v3/api_keys" {
        let key = mint(state, name, body["scopes"].clone());
        let made =
            json!({"api_key": key.value, "api_key_id": key.id, "name": name, "scopes": key.scopes});
        return (201, made);
    }
    let headed = ["stripe-version", "stripe-context", "idempotency-key"];
    assert!(headed.iter().all(|name| asked.headers.contains_key(*name)));
    let key = mint(state, name, body["permissions"].clone());
    (
        200,
        json!({"id": key.id, "secret_key": {"token": key.value}, "status": "active"}),
    )
}

fn list(state: &State, asked: &Asked) -> (u16, Value) {
    if asked.path == "/v3/api_keys" {
        let item = |key: &Key| json!({"name": key.name, "api_key_id": key.id});
        return (
            200,
            json!({"result": state.alive().map(item).collect::<Vec<_>>()}),
        );
    }
    let limit = asked
        .query
        .get("limit")
        .map_or(2, |text| text.parse().expect("a number"));
    let from: usize = asked
        .query
        .get("page")
        .map_or(0, |text| text.parse().expect("a number"));
    if asked.path == "/v1/keys" {
        let item = |key: &Key| json!({"id": key.id, "metadata": {"rotation": key.name}, "used": key.last_used});
        let all: Vec<_> = state.alive().map(item).collect();
        let next = (from + limit < all.len()).then(|| from + limit);
        let page: Vec<_> = all.into_iter().skip(from).take(limit).collect();
        return (200, json!({"data": page, "next": next}));
    }
    let item = |key: &Key| {
        let status = if key.dead.is_some() {
            "expired"
        } else {
            "active"
        };
        json!({"id": key.id, "name": key.name, "status": status, "secret_key": {"token": key.value}})
    };
    let all: Vec<_> = state.keys.iter().map(item).collect();
    let next = (from + limit < all.len()).then(|| {
        let next = from + limit;
        format!(
            "{}/v2/iam/api_keys?limit={limit}&page={next}",
            state.pages_at
        )
    });
    let page: Vec<_> = all.into_iter().skip(from).take(limit).collect();
    (200, json!({"data": page, "next_page_url": next}))
}

fn revoke(state: &mut State, asked: &Asked) -> (u16, Value) {
    let path = asked.path.trim_end_matches("/expire");
    let id = path.rsplit('/').next().unwrap_or_default();
    let id = pairs(&format!("id={id}")).remove("id").unwrap_or_default();
    let found = state
        .keys
        .iter_mut()
        .find(|key| key.id == id && key.dead.is_none());
    let Some(found) = found else {
        return error(404);
    };
    found.dead = Some(Instant::now());
    (
        if asked.path.starts_with("/v3") {
            204
        } else {
            200
        },
        json!({}),
    )
}
