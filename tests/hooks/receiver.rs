//! Somebody who receives webhooks.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use serde_json::Value;

/// One request.
#[derive(Clone)]
pub struct Hook {
    headers: Vec<(String, String)>,
    pub body: String,
    taken: bool,
}

impl Hook {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the receiver says.
#[derive(Clone)]
enum Behaviour {
    Answer(u16),
    Refuse(String),
    Redirect(String),
    Hang,
}

/// A receiver on a port of its own.
pub struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    behaviour: Behaviour,
    hooks: Vec<Hook>,
    /// Connections that hang.
    held: Vec<TcpStream>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            behaviour: Behaviour::Answer(200),
            hooks: Vec::new(),
            held: Vec::new(),
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { port, state }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?token=of-the-test", self.port)
    }

    /// From now on every answer is `status`.
    pub fn answer(&self, status: u16) {
        self.lock().behaviour = Behaviour::Answer(status);
    }

    /// From now on every answer is 403, for this reason.
    pub fn refuse(&self, reason: &str) {
        self.lock().behaviour = Behaviour::Refuse(reason.into());
    }

    pub fn redirect(&self, to: &str) {
        self.lock().behaviour = Behaviour::Redirect(to.into());
    }

    /// From now on nothing is answered.
    pub fn hang(&self) {
        self.lock().behaviour = Behaviour::Hang;
    }

    /// Every request.
    pub fn seen(&self) -> Vec<Hook> {
        self.lock().hooks.clone()
    }

    /// Those that were answered with 200.
    pub fn taken(&self) -> Vec<Hook> {
        self.lock().hooks.iter().filter(|hook| hook.taken).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Reads one request and answers it. A server that is killed in between leaves half of one.
fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let Some((headers, body)) = read(&stream) else { return };
    let mut state = state.lock().unwrap();
    let behaviour = state.behaviour.clone();
    let taken = matches!(behaviour, Behaviour::Answer(200));
    state.hooks.push(Hook { headers, body, taken });
    let head = match behaviour {
        Behaviour::Answer(status) => format!("HTTP/1.1 {status} X\r\n"),
        Behaviour::Refuse(reason) => {
            let said = serde_json::json!({ "reason": reason }).to_string();
            let head =
                format!("HTTP/1.1 403 X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", said.len());
            // As below.
            let _ = stream.write_all((head + &said).as_bytes());
            return;
        }
        Behaviour::Redirect(to) => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n"),
        Behaviour::Hang => {
            state.held.push(stream);
            return;
        }
    };
    // An error is a server that was killed meanwhile.
    let _ = stream.write_all(format!("{head}Content-Length: 2\r\nConnection: close\r\n\r\nok").as_bytes());
}

fn read(stream: &TcpStream) -> Option<(Vec<(String, String)>, String)> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    assert!(request.starts_with("POST /"), "{request}");
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let (_, length) = headers.iter().find(|(name, _)| name == "content-length")?;
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).unwrap()))
}

/// Has `hook` checked by the reference library of Standard Webhooks.
pub fn verify_with_reference(secret: &str, hook: &Hook) {
    const PROGRAM: &str = "import json, sys\n\
        from standardwebhooks import Webhook\n\
        given = json.load(sys.stdin)\n\
        Webhook(given['secret']).verify(given['body'], given['headers'])";
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools");
    assert!(tools.join("standardwebhooks").is_dir(), "scripts/install-test-deps installs standardwebhooks");
    let mut python = Command::new("python3")
        .args(["-c", PROGRAM])
        .env("PYTHONPATH", tools)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let headers: serde_json::Map<String, Value> =
        hook.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let given = serde_json::json!({ "secret": secret, "body": hook.body, "headers": headers });
    python.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    assert!(python.wait().unwrap().success(), "{}", hook.body);
}
