//! Commands as an operator meets them.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;

use crate::{
    raw,
    support::{Kaibo, clip, flv, push, seconds, tls::Certificate, wait_for},
};

/// Runs `kaibo` in `folder` until it ends by itself.
fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kaibo")).args(arguments).current_dir(folder.path()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn folder_with(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

#[test]
fn help_explains_every_command_and_option() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(&folder, &["--help"]);
    assert!(help.status.success());
    let commands = ["serve", "demo", "url", "check"];
    for command in commands {
        assert!(stdout(&help).contains(&format!("  {command} ")), "{command} in {}", stdout(&help));
        let help = run(&folder, &[command, "--help"]);
        assert!(help.status.success());
        let text = stdout(&help);
        let mut explained = 0;
        for line in text.lines().filter(|line| line.starts_with("  ")) {
            let (what, help) = line.trim().split_once("  ").unwrap_or_else(|| panic!("{line:?} has no help"));
            assert!(help.trim().len() > 3, "{what}");
            explained += 1;
        }
        assert!(explained >= 1, "{text}");
    }
    let version = run(&folder, &["--version"]);
    assert_eq!(stdout(&version), format!("kaibo {}\n", env!("CARGO_PKG_VERSION")));
    for wrong in [&[][..], &["serv"], &["serve", "--port", "1"], &["url"], &["url", "x", "--expires", "soon"]]
    {
        let output = run(&folder, wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(stdout(&output).is_empty() && stderr(&output).contains("--help"), "{wrong:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "none of this makes files");
}

#[test]
fn check_passes_what_is_right() {
    for config in ["", "rtmp.listen = \"[::]:1935\"", "[apps.shop.broadcast]\nresume_window = \"0s\""] {
        let folder = folder_with(config);
        let output = run(&folder, &["check"]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(0), String::new()));
        assert_eq!(stderr(&output), "config.toml is valid\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "checking makes no files");
    }
    let weak = folder_with("auth.push.enabled = false\napi.listen = \"0.0.0.0:8081\"");
    let output = run(&weak, &["check"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output).matches("warning: ").count(), 2, "{}", stderr(&output));
}

#[test]
fn check_names_what_is_wrong_in_one_line() {
    for (config, expected) in [
        ("[hls]\nprat = \"1s\"", "config.toml:2:1: unknown key \"prat\", did you mean \"part\"?"),
        ("[hls]\npart = 1", "config.toml:2:8: invalid type: integer, expected a string"),
        ("[hls]\npart = \"1h\"", "config.toml:2:1: hls.part: 1h is outside 100ms to 2s"),
        ("[hls", "config.toml:1:5: unclosed table, expected `]`"),
        (
            "log.level = \"loud\"",
            "config.toml:1:5: log.level: \"loud\" is none of off, error, warn, info, debug, trace",
        ),
        (
            "[apps.\"a b\"]",
            "config.toml:1:7: the app name has ' ' at position 2; only A-Z, a-z, 0-9, _ and - are allowed",
        ),
    ] {
        for command in ["check", "serve"] {
            let output = run(&folder_with(config), &[command, "-c", "config.toml"]);
            assert_eq!(output.status.code(), Some(1), "{config}");
            assert_eq!(stderr(&output), format!("kaibo: {expected}\n"));
        }
    }
    let output = run(&tempfile::tempdir().unwrap(), &["check", "-c", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "kaibo: can't read nowhere.toml: No such file or directory (os error 2)\n");
}

/// The blocks of TOML in what people copy from.
#[test]
fn every_sample_in_the_guides_is_valid() {
    let certificate = Certificate::make();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guides = fs::read_dir(root).unwrap().chain(fs::read_dir(root.join("docs")).into_iter().flatten());
    let guides = guides
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"));
    for guide in guides {
        let text = fs::read_to_string(&guide).unwrap();
        for sample in text.split("```toml\n").skip(1) {
            let sample = sample.split("```").next().unwrap();
            // The files that they name are on no machine of ours.
            let certificates = "/etc/letsencrypt/live/live.example.com";
            let sample = sample
                .replace(&format!("{certificates}/fullchain.pem"), certificate.cert().to_str().unwrap())
                .replace(&format!("{certificates}/privkey.pem"), certificate.key().to_str().unwrap());
            let output = run(&folder_with(&sample), &["check"]);
            assert_eq!(output.status.code(), Some(0), "{}: {}\n{sample}", guide.display(), stderr(&output));
        }
    }
}

/// Prints the URLs of `room` with these arguments, and takes the push URL apart: server, secret, time.
fn url(folder: &TempDir, arguments: &[&str]) -> (String, String, String) {
    let output = run(folder, &[&["url", "room", "-c", "config.toml"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let url = text.lines().find_map(|line| line.strip_prefix("push URL ")).unwrap().trim();
    let (server, rest) = url.split_once("/room?txSecret=").unwrap();
    let (secret, time) = rest.split_once("&txTime=").unwrap();
    (server.into(), secret.into(), time.into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_printed_url_is_signed_as_the_guides_of_tencent_say() {
    const KEY: &str = "e12c46f2612d5106e2034781ab261ca3";
    for (algorithm, sign) in [
        ("md5", &(|time: &str| hex(&Md5::digest(format!("{KEY}room{time}")))) as &dyn Fn(&str) -> String),
        ("sha256", &|time| hex(&Sha256::digest(format!("{KEY}room{time}")))),
        ("hmac-sha256", &|time| {
            let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
            hex(&mac.chain_update(format!("live/room/{time}")).finalize().into_bytes())
        }),
    ] {
        let folder = folder_with(&format!(
            "[auth.push]\nkey = \"{KEY}\"\nalgorithm = \"{algorithm}\"\n[api]\n{TOKENS}"
        ));
        let (server, secret, time) = url(&folder, &[]);
        assert_eq!(server, "rtmp://localhost/live");
        assert_eq!(secret, sign(&time), "{algorithm}");
        assert_eq!(time.len(), 8);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let valid = u64::from_str_radix(&time, 16).unwrap() - now;
        assert!((86_390..=86_400).contains(&valid), "a day unless asked for otherwise: {valid}");
        assert!(!folder.path().join("data").exists(), "nothing is missing, so nothing is made");
    }
}

const TOKENS: &str = "tokens = [{ name = \"b\", token = \"0123456789abcdef\" }]";

#[test]
fn a_printed_url_is_one_that_works() {
    let config =
        format!("auth.push.key = \"0123456789abcdef\"\nauth.push.max_key_ttl = \"2h\"\napi.{TOKENS}");
    let folder = folder_with(&config);
    let (server, ..) = url(&folder, &["--app", "shop", "--host", "tv.example.com", "--expires", "2h"]);
    assert_eq!(server, "rtmp://tv.example.com/shop");
    for (arguments, complaint) in [
        (&["url", "../x", "--expires", "1h"][..], "the stream name has '.' at position 1"),
        (&["url", "room", "--app", "a b"], "the app name has ' ' at position 2"),
        (&["url", "room", "--app", "watch"], "watch can't be an app"),
        (&["url", "room", "--expires", "3h"], "--expires is more than auth.push.max_key_ttl allows: 2h"),
        (&["url", "room", "--expires", "100000y"], "--expires is more than"),
    ] {
        let output = run(&folder, &[arguments, &["-c", "config.toml"]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.starts_with(&format!("kaibo: {complaint}")) && said.lines().count() == 1, "{said}");
        assert!(stdout(&output).is_empty());
    }
    let output = run(&folder, &["url", "room", "--host", "tv.example.com:80"]);
    assert_eq!(output.status.code(), Some(2));
}

/// A server that was told nothing but to take free ports.
struct Fresh {
    folder: TempDir,
    process: Child,
}

impl Fresh {
    fn start(folder: TempDir) -> Self {
        let log = File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
        let process = serve(&folder).stderr(log).spawn().unwrap();
        Self { folder, process }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// `run.json`, once this process has written it.
    fn run(&mut self) -> Value {
        wait_for("run.json", seconds(10), || {
            assert_eq!(self.process.try_wait().unwrap(), None, "{}", self.log());
            let run: Value =
                serde_json::from_str(&fs::read_to_string(self.path("data/run.json")).ok()?).ok()?;
            (run["pid"] == self.process.id()).then_some(run)
        })
    }

    fn secrets(&self) -> toml::Table {
        fs::read_to_string(self.path("data/secrets.toml")).unwrap().parse().unwrap()
    }

    /// Stops it; its folder stays.
    fn stop(mut self) -> TempDir {
        push::signal("TERM", &self.process);
        let status = wait_for("the server stops", seconds(5), || self.process.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", self.log());
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Both fail where it has stopped already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaibo"));
    command.arg("serve").current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
    for what in ["RTMP", "HTTP", "API"] {
        command.env(format!("KAIBO__{what}__LISTEN"), "127.0.0.1:0");
    }
    command
}

#[test]
fn the_first_start_makes_keys_and_the_next_ones_keep_them() {
    let mut server = Fresh::start(tempfile::tempdir().unwrap());
    let run = server.run();
    let secrets = server.secrets();
    let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
    assert_eq!(names, ["api_token", "play_key", "push_key"]);
    let mode = fs::metadata(server.path("data/secrets.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "its owner's alone");
    let log = server.log();
    assert!(log.contains("data/secrets.toml"), "the log says where: {log}");
    for (name, secret) in &secrets {
        let secret = secret.as_str().unwrap();
        assert!(secret.len() >= 32 && !log.contains(secret), "{name} is in the log, or too short: {log}");
    }
    // They work: the token for the API, the push key for `kaibo url`.
    let authorization = format!("Authorization: Bearer {}", secrets["api_token"].as_str().unwrap());
    let api = run["api"].as_str().unwrap();
    assert_eq!(raw::request(api, "GET /api/v1/streams", &[&authorization]).status, 200);
    let folder = server.stop();
    fs::write(folder.path().join("config.toml"), "").unwrap();
    let (_, secret, time) = url(&folder, &[]);
    assert_eq!(secret, hex(&Md5::digest(format!("{}room{time}", secrets["push_key"].as_str().unwrap()))));

    let mut again = Fresh::start(folder);
    again.run();
    assert_eq!(again.secrets(), secrets);
    let mut other = Fresh::start(tempfile::tempdir().unwrap());
    other.run();
    let others = other.secrets();
    assert!(others.iter().all(|(name, secret)| secrets[name] != *secret), "no two servers have the same");
}

#[test]
fn a_server_with_a_key_missing_does_not_start() {
    let refused = |secrets: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/secrets.toml"), secrets).unwrap();
        let output = serve(&folder).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output).lines().last().unwrap().to_owned()
    };
    assert_eq!(
        refused("push_key = \"\"\nplay_key = \"\"\napi_token = \"0123456789abcdef\""),
        "kaibo: authentication is on, but the key is empty"
    );
    for broken in [
        "",
        "push_key = \"hush-hush",
        "push_key = [\"hush-hush\"]\nplay_key=\"\"\napi_token=\"\"",
        "hush = \"hush-hush\"",
    ] {
        let said = refused(broken);
        assert_eq!(said, "kaibo: data/secrets.toml is no secrets file; remove it to have a new one made");
    }
}

#[test]
fn run_json_says_where_the_server_is_while_it_is_there() {
    let mut server = Fresh::start(tempfile::tempdir().unwrap());
    let run = server.run();
    let names: Vec<&str> = run.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["api", "http", "pid", "rtmp"]);
    for (what, line, status) in [("http", "GET /", 404), ("api", "GET /livez", 200)] {
        assert_eq!(raw::request(run[what].as_str().unwrap(), line, &[]).status, status, "{what}");
    }
    drop(std::net::TcpStream::connect(run["rtmp"].as_str().unwrap()).unwrap());
    let folder = server.stop();
    assert!(!folder.path().join("data/run.json").exists());
}

#[test]
fn a_port_in_use_is_named() {
    let first = Kaibo::start("");
    let output =
        serve(&tempfile::tempdir().unwrap()).env("KAIBO__HTTP__LISTEN", &first.at.http).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    let complaint = format!("kaibo: can't listen on {} for HTTP: Address already in use", first.at.http);
    assert!(said.lines().last().unwrap().starts_with(&complaint), "{said}");
}

#[test]
fn a_stop_is_prompt_however_busy_the_server_is() {
    let mut server = Kaibo::start("");
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let _viewer = flv::Viewer::open(&server, "room");
    // A request that is never finished, one that is never begun, and a page that listens for changes.
    let mut dawdler = raw::connect(&server.at.http);
    dawdler.write_all(b"GET / HT").unwrap();
    let _idle = [raw::connect(&server.at.http), raw::connect(&server.at.api), raw::connect(&server.at.rtmp)];
    let mut page = raw::connect(&server.at.http);
    page.write_all(b"GET /status/live/room HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
        .unwrap();
    raw::read_head(&mut page);
    let begin = Instant::now();
    let status = server.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(begin.elapsed() < seconds(2), "{:?}", begin.elapsed());
}

#[test]
fn a_second_signal_is_obeyed_at_once() {
    let mut server = Fresh::start(tempfile::tempdir().unwrap());
    server.run();
    push::signal("INT", &server.process);
    push::signal("INT", &server.process);
    let begin = Instant::now();
    let status = wait_for("the server stops", seconds(5), || server.process.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_url_needs_a_port_that_is_known() {
    let folder = folder_with("rtmp.listen = \"127.0.0.1:0\"\nhttp.listen = \"127.0.0.1:0\"");
    let output = run(&folder, &["url", "room", "-c", "config.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("rtmp.listen has port 0") && said.contains("while the server runs"), "{said}");

    let mut server = Fresh::start(folder);
    let running = server.run();
    let output = run(&server.folder, &["url", "room", "-c", "config.toml"]);
    let said = stdout(&output);
    for what in ["rtmp", "http"] {
        assert!(said.contains(&format!("{what}://{}/", running[what].as_str().unwrap())), "{said}");
    }
}

#[test]
fn a_variable_that_is_no_text_is_refused_without_its_value() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let value = OsStr::from_bytes(b"hush-\xff");
    let output = serve(&tempfile::tempdir().unwrap()).env("KAIBO__AUTH__PUSH__KEY", value).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "kaibo: KAIBO__AUTH__PUSH__KEY: its value is no Unicode text\n");
}
