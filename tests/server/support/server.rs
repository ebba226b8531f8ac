//! A server of one's own.

use std::{
    cell::{Cell, RefCell},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use md5::{Digest, Md5};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Disk,
    http::{self, Reply},
    push::signal,
    seconds, wait_for,
};

const PUSH_KEY: &str = "push-key-of-the-test-3f9c2b7a";
pub const API_TOKEN: &str = "api-token-of-the-test-81d0e6c4";
pub const READ_TOKEN: &str = "read-token-of-the-test-5d1f20b9";
pub const CONTROL_TOKEN: &str = "control-token-of-the-test-a07c";

/// A running server. When it goes, its log has to be clean: no panic, no secret.
pub struct Kaibo {
    /// Where its data is, where that is not on everybody's disk. It goes before the folder that it is in.
    #[allow(dead_code, reason = "the tests of webhooks fill disks")]
    pub disk: Option<Disk>,
    folder: TempDir,
    process: Child,
    pub at: Addresses,
    /// Every `txSecret` handed out, none of which may ever be logged.
    secrets: RefCell<Vec<String>>,
    /// The test makes trouble of which the log has to tell.
    troubled: Cell<bool>,
}

/// What `run.json` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub rtmp: String,
    pub http: String,
    pub api: String,
    /// Empty without TLS, as is the next.
    pub rtmps: String,
    pub https: String,
}

impl Kaibo {
    /// Starts a server whose configuration is `config`, beside ports, folder and keys.
    pub fn start(config: &str) -> Self {
        Self::start_on(config, |_| None)
    }

    /// The same with its data on a disk of its own of `mib` MiB.
    #[allow(dead_code, reason = "the tests of webhooks fill disks")]
    pub fn start_on_disk(config: &str, mib: u32) -> Self {
        Self::start_on(config, |data| Some(Disk::mount(data, mib)))
    }

    /// The same with a data folder that `prepare` makes something of.
    pub fn start_on(config: &str, prepare: impl FnOnce(&Path) -> Option<Disk>) -> Self {
        let folder = tempfile::Builder::new().prefix("kaibo-test-").tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), config).unwrap();
        fs::write(folder.path().join("tokens"), tokens()).unwrap();
        let [rtmp, http, api] = [any_port(), any_port(), any_port()];
        let free = Addresses { rtmp, http, api, rtmps: String::new(), https: String::new() };
        fs::create_dir(folder.path().join("data")).unwrap();
        let disk = prepare(&folder.path().join("data"));
        let process = spawn(&folder, &free);
        let (secrets, troubled) = (RefCell::default(), Cell::default());
        let mut server = Self { disk, folder, process, at: free, secrets, troubled };
        server.at = server.listening();
        server
    }

    /// From now on errors in the log are what the test wants to see.
    pub fn expect_errors(&self) {
        self.troubled.set(true);
    }

    /// As after a power cut of the process: nothing is said, nothing is closed.
    pub fn kill9(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks the server to stop, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait_for_exit()
    }

    pub fn ask_to_stop(&self) {
        signal("TERM", &self.process);
    }

    pub fn wait_for_exit(&mut self) -> ExitStatus {
        wait_for("the server stops", seconds(10), || self.process.try_wait().unwrap())
    }

    /// Has the server read `config` as its configuration; what it logs about that.
    pub fn reload(&self, config: &str) -> String {
        fs::write(self.folder.path().join("config.toml"), config).unwrap();
        self.hang_up()
    }

    /// The same with whatever is in its files.
    pub fn hang_up(&self) -> String {
        let before = self.log().len();
        signal("HUP", &self.process);
        let said = || self.log()[before..].to_owned();
        // The last line about it.
        let over = || said().contains("the configuration was ");
        wait_for("the end of a reload", seconds(5), || over().then(said))
    }

    /// What the server is to be started with the next time.
    pub fn reconfigure(&self, config: &str) {
        fs::write(self.folder.path().join("config.toml"), config).unwrap();
    }

    /// Starts the server again on the same data and the same ports. It was stopped or killed before.
    pub fn restart(&mut self) {
        self.process = spawn(&self.folder, &self.at);
        assert_eq!(self.listening(), self.at);
    }

    /// The same; how long it took from its exec until it said that it is ready.
    pub fn restart_until_ready(&mut self) -> Duration {
        let begun = Instant::now();
        self.process = spawn(&self.folder, &self.at);
        let ready = format!("http://{}/readyz", self.at.api);
        let took = loop {
            if http::try_get(&ready, &[]).is_ok_and(|reply| reply.status == 200) {
                break begun.elapsed();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "not ready: {}", self.log());
            sleep(Duration::from_millis(5));
        };
        assert_eq!(self.listening(), self.at);
        took
    }

    fn listening(&mut self) -> Addresses {
        let path = self.folder.path().join("data/run.json");
        let run: Value = wait_for("run.json of the new process", seconds(10), || {
            assert_eq!(self.process.try_wait().unwrap(), None, "the server did not start: {}", self.log());
            let run: Value = serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()?;
            (run["pid"] == self.process.id()).then_some(run)
        });
        let at = |what: &str| run[what].as_str().unwrap_or_default().to_owned();
        Addresses {
            rtmp: at("rtmp"),
            http: at("http"),
            api: at("api"),
            rtmps: at("rtmps"),
            https: at("https"),
        }
    }

    /// Everything logged since the first start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// CPU time that it has used, in hundredths of a second.
    pub fn cpu(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Files of the data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Room for a test's own files.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A URL that opens a push of `live/STREAM` for an hour.
    pub fn push_url(&self, stream: &str) -> String {
        format!("rtmp://{}/live/{stream}?{}", self.at.rtmp, self.signature(stream, 3600))
    }

    /// What signs push URLs.
    pub fn push_key(&self) -> &str {
        PUSH_KEY
    }

    /// `txSecret` and `txTime` of `stream`, made as Tencent's and WeChat's guides say. `valid_s` may be negative.
    pub fn signature(&self, stream: &str, valid_s: i64) -> String {
        let expires = unix_seconds() + valid_s;
        self.signature_at(stream, &format!("{expires:08X}"))
    }

    pub fn signature_at(&self, stream: &str, tx_time: &str) -> String {
        self.sign(PUSH_KEY, stream, tx_time)
    }

    /// As [`Kaibo::signature`] for an hour, with another key.
    pub fn signature_with(&self, key: &str, stream: &str) -> String {
        self.sign(key, stream, &format!("{:08X}", unix_seconds() + 3600))
    }

    fn sign(&self, key: &str, stream: &str, tx_time: &str) -> String {
        let secret = hex(&Md5::digest(format!("{key}{stream}{tx_time}")));
        self.secrets.borrow_mut().push(secret.clone());
        format!("txSecret={secret}&txTime={tx_time}")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at.http)
    }

    /// What a viewer gets at `path`.
    pub fn get(&self, path: &str) -> Reply {
        http::get(&self.url(path), &[])
    }

    /// What a backend gets from the control API at `path`.
    pub fn api(&self, path: &str) -> Value {
        let url = format!("http://{}/api/v1{path}", self.at.api);
        let reply = http::get(&url, &[("Authorization", &format!("Bearer {API_TOKEN}"))]);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// Everything that is counted, as OpenMetrics text.
    pub fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.at.api);
        http::get(&url, &[("Authorization", &format!("Bearer {API_TOKEN}"))]).text()
    }

    /// Calls the control API with `body`, or without one where it is null; what it answers, null if nothing.
    pub fn api_call(&self, method: &str, path: &str, body: &Value) -> Value {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}/api/v1{path}", self.at.api))
            .header("authorization", format!("Bearer {API_TOKEN}"))
            .header("content-type", "application/json");
        let answer = match body {
            Value::Null => ureq::run(request.body(()).unwrap()),
            body => ureq::run(request.body(body.to_string()).unwrap()),
        };
        let text =
            answer.unwrap_or_else(|error| panic!("{method} {path}: {error}")).body_mut().read_to_string();
        serde_json::from_str(&text.unwrap()).unwrap_or(Value::Null)
    }

    pub fn api_post(&self, path: &str) -> Value {
        let url = format!("http://{}/api/v1{path}", self.at.api);
        let reply = http::post(&url, &[("Authorization", &format!("Bearer {API_TOKEN}"))]);
        assert!(reply.status < 300, "{path}: {} {}", reply.status, reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    pub fn api_delete(&self, path: &str) -> Reply {
        let url = format!("http://{}/api/v1{path}", self.at.api);
        http::delete(&url, &[("Authorization", &format!("Bearer {API_TOKEN}"))])
    }

    /// Every broadcast of `live/STREAM`, newest first.
    pub fn broadcasts(&self, stream: &str) -> Vec<Value> {
        self.api(&format!("/broadcasts?stream={stream}"))["items"].as_array().unwrap().clone()
    }

    /// The newest broadcast of `live/STREAM`.
    pub fn broadcast(&self, stream: &str) -> Value {
        self.broadcasts(stream).first().unwrap_or(&Value::Null).clone()
    }

    /// Waits until `live/STREAM` is in `state`; the broadcast as it is then.
    pub fn wait_for_state(&self, stream: &str, state: &str, patience: Duration) -> Value {
        wait_for(&format!("{stream} is {state}"), patience, || {
            let broadcast = self.broadcast(stream);
            (broadcast["state"] == state).then_some(broadcast)
        })
    }
}

impl Drop for Kaibo {
    fn drop(&mut self) {
        // Both fail where the test has ended the process itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{log}--- end of the log ---");
            return;
        }
        let troubles: &[&str] = if self.troubled.get() { &["panicked"] } else { &["panicked", "ERROR"] };
        for &trouble in troubles {
            assert!(!log.contains(trouble), "the log tells of trouble:\n{log}");
        }
        let secrets = self.secrets.borrow();
        for secret in secrets.iter().map(String::as_str).chain([PUSH_KEY, API_TOKEN]) {
            assert!(!log.contains(secret), "the log gives {secret} away:\n{log}");
        }
    }
}

fn spawn(folder: &TempDir, at: &Addresses) -> Child {
    let path = |name: &str| folder.path().join(name);
    let log = File::options().create(true).append(true).open(path("log")).unwrap();
    let server = std::env::var("KAIBO_BIN");
    Command::new(server.as_deref().unwrap_or(env!("CARGO_BIN_EXE_kaibo")))
        .args(["serve", "--config"])
        .arg(path("config.toml"))
        .env("KAIBO__DATA_DIR", path("data"))
        .env("KAIBO__RTMP__LISTEN", &at.rtmp)
        .env("KAIBO__HTTP__LISTEN", &at.http)
        .env("KAIBO__API__LISTEN", &at.api)
        .env("KAIBO__AUTH__PUSH__KEY", PUSH_KEY)
        .env("KAIBO__API__TOKENS_FILE", path("tokens"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// One token that is good for everything, and two that are not.
fn tokens() -> String {
    let limited =
        |token, scope| format!("{{ name = \"{scope}\", token = \"{token}\", scopes = [\"{scope}\"] }}");
    let (read, control) = (limited(READ_TOKEN, "read"), limited(CONTROL_TOKEN, "control"));
    format!("[{{ name = \"test\", token = \"{API_TOKEN}\" }}, {read}, {control}]")
}

fn any_port() -> String {
    "127.0.0.1:0".into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}
