use std::{collections::BTreeSet, path::Path};

use serde::Deserialize;
use tempfile::TempDir;
use toml::{Table, Value};

use super::{
    Duration, LogFormat, Settings, WebhookFormat, load,
    settings::{App, Config},
};

const SHIPPED: &str = include_str!("../../config.toml");

/// A key that must never be seen, however the file or a variable is broken.
const SECRET: &str = "e12c46f2612d5106e2034781ab261ca3";

/// Loads `text` as `config.toml`; an error is what `kaibo check` prints, with the folder cut off.
fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let env = env.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    load(Some(&path), env).map_err(|error| {
        let line = error.to_string();
        assert!(!line.contains('\n'), "more than one line: {line:?}");
        line.replace(&format!("{}/", folder.path().display()), "")
    })
}

/// What is said about `text`.
fn complaint(text: &str) -> String {
    load_text(text, &[]).expect_err(text)
}

fn env(variables: &[(&str, &str)]) -> Settings {
    load_text("", variables).unwrap()
}

fn env_complaint(variable: &str, value: &str) -> String {
    load_text("", &[(variable, value)]).expect_err(variable)
}

#[test]
fn the_shipped_file_says_what_is_built_in() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let shipped = load(Some(&shipped), std::iter::empty()).unwrap();
    assert_eq!(shipped.config, load(None, std::iter::empty()).unwrap().config);
    assert_eq!(shipped.config, Config::default());
}

#[test]
fn the_shipped_file_shows_every_key() {
    let shipped: Table = SHIPPED.parse().unwrap();
    let mut sections = vec![Vec::new()];
    while let Some(path) = sections.pop() {
        let section = section(&shipped, &path);
        let shown: BTreeSet<String> = section.keys().cloned().collect();
        assert_eq!(shown, known_keys(&shipped, &path), "[{}]", path.join("."));
        for (name, value) in section {
            // The names of apps are anybody's.
            if value.is_table() && name != "apps" {
                sections.push([path.clone(), vec![name.clone()]].concat());
            }
        }
    }
}

fn section<'t>(table: &'t Table, path: &[String]) -> &'t Table {
    path.iter().fold(table, |table, name| table[name].as_table().unwrap())
}

/// The keys that the types know in a section: they are named when a stranger is put there.
fn known_keys(shipped: &Table, path: &[String]) -> BTreeSet<String> {
    let mut with_stranger = shipped.clone();
    let section = path.iter().fold(&mut with_stranger, |table, name| table[name].as_table_mut().unwrap());
    section.insert("zzz".into(), Value::Integer(0));
    let error = Config::deserialize(Value::Table(with_stranger)).unwrap_err();
    let known = error.message().strip_prefix("unknown field `zzz`, expected ").expect("zzz is refused");
    known.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

#[test]
fn the_examples_in_its_comments_are_valid() {
    let example = |line: &str| {
        let line = line.strip_prefix("# ")?;
        let is_toml = line.starts_with('[') || line.contains(" = ") && line.parse::<Table>().is_ok();
        is_toml.then(|| line.to_string())
    };
    let text: Vec<String> = SHIPPED
        .lines()
        .filter(|line| !line.starts_with("tokens") && !line.starts_with("webhooks"))
        .map(|line| example(line).unwrap_or(line.into()))
        .collect();
    let settings = load_text(&text.join("\n").replace("\n[apps]", ""), &[]).unwrap();
    assert_eq!(settings.config.api.tokens[0].name, "backend");
    let webhook = &settings.config.webhooks[0];
    assert_eq!((webhook.format, webhook.allow_private), (WebhookFormat::Kaibo, false));
    assert_eq!(settings.app("shop").broadcast.resume_window, Duration::secs(300));
}

#[test]
fn webhooks_that_could_not_be_served_are_refused() {
    let webhook = |keys: &str| format!("[[webhooks]]\n{keys}");
    let good = "url = \"https://a.example/x\"\nsecret = \"0123456789abcdef\"\n";
    assert!(load_text(&webhook(good), &[]).is_ok());
    for (keys, expected) in [
        (webhook("url = \"https://a.example\""), "missing field `secret`"),
        (webhook("url = \"a.example\"\nsecret = \"0123456789abcdef\""), "\"\" has a url that is not http://"),
        (
            webhook("name = \"shop\"\nurl = \"https://a\"\nsecret = \"short\""),
            "\"shop\" has a secret that is shorter",
        ),
        (
            webhook(&format!("{good}events = [\"push.upp\"]")),
            "wants \"push.upp\", which is neither \"*\" nor one of",
        ),
        (webhook(&format!("{good}format = \"srs\"")), "\"srs\" is none of kaibo, tencent"),
        (webhook(good).repeat(2), "\"https://a.example/x\" is there twice"),
    ] {
        let said = complaint(&keys);
        assert!(said.starts_with("config.toml:") && said.contains(expected), "{keys}\n  said {said}");
    }
}

#[test]
fn faults_are_found_with_line_and_column() {
    for (text, expected) in [
        ("[rtmp]\nlistn = 1", "config.toml:2:1: unknown key \"listn\", did you mean \"listen\"?"),
        ("[rtpm]\n", "config.toml:1:2: unknown key \"rtpm\", did you mean \"rtmp\"?"),
        ("[hls]\nqqq = 1", "config.toml:2:1: unknown key \"qqq\""),
        (
            "data_dir = \"d\"\n\n[hls]\n  part = 5",
            "config.toml:4:10: invalid type: integer, expected a string",
        ),
        ("[rtmp]\nlisten = \"here\"", "config.toml:2:10: invalid socket address syntax"),
        (
            "[hls]\npart = \"5\"",
            "config.toml:2:8: \"5\" is no duration like \"15m\" or \"500ms\": time unit needed, for example 5sec or 5ms",
        ),
        (
            "[limits]\nstream_buffer = \"1 elephant\"",
            "config.toml:2:17: \"1 elephant\" is no size like \"64KiB\" or \"16MiB\": ",
        ),
        ("[limits]\nfailed_keys = -1", "config.toml:2:15: invalid value: integer, expected u32"),
        (
            "[broadcast]\nconflict = \"take-over\"",
            "config.toml:2:12: \"take-over\" is none of probe, takeover, reject, did you mean \"takeover\"?",
        ),
        ("[log]\nformat = \"xml\"", "config.toml:2:10: \"xml\" is none of text, json"),
        ("[hls\npart = 1", "config.toml:1:5: unclosed table, expected `]`"),
        ("[hls]\n[hls]", "config.toml:2:2: duplicate key"),
        // In an app's own sections, too.
        ("[apps.shop.hls]\nprat = 1", "config.toml:2:1: unknown key \"prat\", did you mean \"part\"?"),
        ("[apps.shop.rtmp]\nlisten = 1", "config.toml:1:12: unknown key \"rtmp\""),
        ("[apps.shop.hls]\npart = true", "config.toml:2:8: invalid type: boolean, expected a string"),
        (
            "[apps.\"my shop\"]",
            "config.toml:1:7: the app name has ' ' at position 3; only A-Z, a-z, 0-9, _ and - are allowed",
        ),
        (
            "[apps.\"../x\"]",
            "config.toml:1:7: the app name has '.' at position 1; only A-Z, a-z, 0-9, _ and - are allowed",
        ),
    ] {
        let said = complaint(text);
        assert!(said.starts_with(expected), "{text:?}\n  said     {said}\n  expected {expected}");
    }
}

#[test]
fn senseless_values_are_found_where_they_stand() {
    for (text, expected) in [
        (
            "[broadcast]\nresume_window = \"31m\"",
            "config.toml:2:1: broadcast.resume_window: 31m is outside 0s to 30m",
        ),
        (
            "[broadcast]\nmax_duration = \"21d\"",
            "config.toml:2:1: broadcast.max_duration: 21days is outside 1s to 20days",
        ),
        ("[hls]\nsegment = \"1h\"", "config.toml:2:1: hls.segment: 1h is outside 500ms to 20s"),
        ("[hls]\npart = \"3s\"", "config.toml:2:1: hls.part: 3s is outside 100ms to 2s"),
        ("[hls]\nwindow = \"4s\"", "config.toml:2:1: hls.window: 4s is outside 12s to 10m"),
        // The window that is too short for these segments is a default: the section is the nearest place.
        ("[hls]\ndvr_window = \"13h\"", "config.toml:2:1: hls.dvr_window: 13h is outside 0s to 12h"),
        (
            "[hls]\ndvr_window = \"2h\"\n[record]\nenabled = false",
            "config.toml:2:1: hls.dvr_window: it needs record.enabled: the past is served from recordings",
        ),
        ("\n[hls]\nsegment = \"10s\"", "config.toml:2:2: hls.window: 30s is outside 1m to 10m"),
        (
            "[apps.shop.hls]\nwindow = \"4s\"",
            "config.toml:2:1: apps.shop.hls.window: 4s is outside 12s to 10m",
        ),
        (
            "[hls]\nwindow=\"3m\"\n[apps.shop.hls]\nsegment = \"20s\"\npart=\"30s\"",
            "config.toml:5:1: apps.shop.hls.part: 30s is outside 100ms to 20s",
        ),
        ("[snapshot]\ninterval = \"10ms\"", "config.toml:2:1: snapshot.interval: 10ms is outside 1s to 1h"),
        ("[snapshot]\nprocesses = 0", "config.toml:2:1: snapshot.processes: 0 is outside 1 to 64"),
        (
            "[snapshot]\nffmpeg = \"\"",
            "config.toml:2:1: snapshot.ffmpeg: it is the name or the path of a program",
        ),
        ("[auth]\nurl = \"a.example\"", "config.toml:2:1: auth.url: the URL is not http://"),
        (
            "[apps.shop.auth]\nurl = \"https://a.example/x\"",
            "config.toml:1:12: apps.shop.auth.secret: the secret is shorter than 16 bytes",
        ),
        ("[auth]\ntimeout = \"1m\"", "config.toml:2:1: auth.timeout: 1m is outside 10ms to 10s"),
        ("[flv]\nbatch = \"2s\"", "config.toml:2:1: flv.batch: 2s is outside 0s to 1s"),
        ("[record]\nsync = \"0s\"", "config.toml:2:1: record.sync: 0s is outside 100ms to 1m"),
        (
            "[limits]\nhttp_connections = 9223372036854775807",
            "config.toml:2:1: limits.http_connections: 9223372036854775807 is outside 1 to 1000000",
        ),
        ("[limits]\nfailed_keys = 0", "config.toml:2:1: limits.failed_keys: 0 is outside 1 to 1000000"),
        (
            "[limits]\nfailed_keys_ban = \"100000y\"",
            "config.toml:2:1: limits.failed_keys_ban: 100000years is outside 0s to 30days",
        ),
        (
            "[limits]\npublish_message = \"1B\"",
            "config.toml:2:1: limits.publish_message: 1 B is outside 64.0 KiB to 16.0 MiB",
        ),
        (
            "[limits]\nstream_buffer = \"1MiB\"",
            "config.toml:2:1: limits.stream_buffer: 1.0 MiB is outside 8.0 MiB to 2.0 GiB",
        ),
        (
            "[http]\npublic_url = \"live.example.com\"",
            "config.toml:2:1: http.public_url: \"live.example.com\" is not http://HOST or https://HOST",
        ),
        ("[http]\npublic_url = \"https://\"", "config.toml:2:1: http.public_url: \"https://\" is not"),
        (
            "[http]\npublic_url = \"https://h\\n/\"",
            "config.toml:2:1: http.public_url: \"https://h\\n/\" is not",
        ),
        (
            "[http]\npublic_rtmp_url = \"http://h\"",
            "config.toml:2:1: http.public_rtmp_url: \"http://h\" is not rtmp://HOST or rtmps://HOST",
        ),
        (
            "[http]\ncors_origins = [\"https://shop.example.com/\"]",
            "config.toml:2:1: http.cors_origins: \"https://shop.example.com/\" is neither",
        ),
        (
            "[log]\nlevel = \"inof\"",
            "config.toml:2:1: log.level: \"inof\" is none of off, error, warn, info, debug, trace",
        ),
        ("[log]\nlevel = \"info,kaibo=loud\"", "config.toml:2:1: log.level: "),
        ("[auth.push]\nbackup_key = \"b\"", "config.toml:1:7: auth.push.key: a backup key needs a main key"),
        (
            "[auth.play]\nenabled = true\nbackup_key = \"b\"",
            "config.toml:1:7: auth.play.key: a backup key needs a main key",
        ),
        (
            "[[api.tokens]]\nname = \"b\"\ntoken = \"short\"",
            "config.toml:1:7: api.tokens: a token has at least 16 characters",
        ),
        (
            "[[api.tokens]]\nname = \"b\"\ntoken = \"a token with spaces\"",
            "config.toml:1:7: api.tokens: a token has",
        ),
    ] {
        let said = complaint(text);
        assert!(said.starts_with(expected), "{text:?}\n  said     {said}\n  expected {expected}");
    }
}

#[test]
fn a_bucket_that_could_not_be_used_is_refused() {
    let keys = "access_key = \"a\"\nsecret_key = \"0123456789\"\n";
    let storage = |url: &str, more: &str| format!("[storage]\nurl = \"{url}\"\n{more}");
    let good = load_text(&storage("s3://media/one/server/", keys), &[]).unwrap();
    let name = good.config.storage.bucket().unwrap();
    assert_eq!((name.bucket, name.prefix, good.config.storage.folder()), ("media", "one/server", "media"));
    let folder = load_text(&storage("file:/srv/live", ""), &[]).unwrap();
    assert_eq!((folder.config.storage.bucket(), folder.config.storage.folder()), (None, "/srv/live"));
    for (url, more, expected) in [
        ("file:", "", "storage.url: \"file:\" is neither file:FOLDER nor s3://BUCKET/PREFIX"),
        ("gs://media", "", "is neither file:FOLDER nor s3://BUCKET/PREFIX"),
        ("s3://m", keys, "storage.url: \"m\" is no name of a bucket"),
        ("s3://media/a//b", keys, "storage.url: a prefix is made of"),
        ("s3://media/../b", keys, "storage.url: a prefix is made of"),
        ("s3://media", "", "storage.access_key: a bucket needs access_key and secret_key"),
        ("s3://media", "access_key = \"a\"", "storage.secret_key: a bucket needs"),
        (
            "s3://media",
            &format!("{keys}endpoint = \"http://s3\""),
            "storage.endpoint: http:// needs allow_http",
        ),
        ("s3://media", &format!("{keys}endpoint = \"s3.example.com\""), "is not http://HOST or https://HOST"),
        (
            "s3://media",
            &format!("{keys}bucket_in_host = true"),
            "it needs an endpoint, which names the bucket",
        ),
        (
            "s3://media",
            &format!("{keys}spool_max = \"1KiB\""),
            "storage.spool_max: 1.0 KiB is outside 1.0 MiB",
        ),
    ] {
        let said = complaint(&storage(url, more));
        assert!(said.starts_with("config.toml:") && said.contains(expected), "{url} {more}\n  said {said}");
        assert!(!said.contains("0123456789"), "{said}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let said = load(Some(Path::new("/nowhere/config.toml")), std::iter::empty()).unwrap_err().to_string();
    assert_eq!(said, "can't read /nowhere/config.toml: No such file or directory (os error 2)");
}

#[test]
fn variables_set_any_key() {
    let settings = env(&[
        ("KAIBO__RTMP__LISTEN", "127.0.0.1:1936"),
        ("KAIBO__HLS__SEGMENT", "4s"),
        ("KAIBO__AUTH__PUSH__ENABLED", "false"),
        ("KAIBO__AUTH__PLAY__ALGORITHM", "hmac-sha256"),
        ("KAIBO__LIMITS__HTTP_CONNECTIONS", "7"),
        ("KAIBO__LIMITS__VIEWER_LAG", "3s"),
        ("KAIBO__HTTP__CORS_ORIGINS", r#"["https://a.example", "https://b.example"]"#),
        ("KAIBO__API__TOKENS", r#"[{ name = "backend", token = "0123456789abcdef" }]"#),
        ("KAIBO__LOG__FORMAT", "json"),
        ("KAIBO__DATA_DIR", "/srv/kaibo"),
        ("KAIBO_RTMP_LISTEN", "not ours"),
        ("PATH", "/bin"),
    ]);
    let config = &settings.config;
    assert_eq!(config.rtmp.listen, "127.0.0.1:1936".parse().unwrap());
    assert_eq!(config.hls.segment, Duration::secs(4));
    assert!(!config.auth.push.enabled);
    assert_eq!(config.auth.play.algorithm, kaibo_broadcast::Algorithm::HmacSha256);
    assert_eq!(config.limits.http_connections, 7);
    assert_eq!(config.limits.viewer_lag, Duration::secs(3));
    assert_eq!(config.http.cors_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.api.tokens[0].token.expose(), "0123456789abcdef");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.data_dir, Path::new("/srv/kaibo"));
}

#[test]
fn variables_win_over_the_file() {
    let settings =
        load_text("[hls]\nsegment = \"3s\"\npart = \"1s\"", &[("KAIBO__HLS__PART", "250ms")]).unwrap();
    assert_eq!(settings.config.hls.segment, Duration::secs(3));
    assert_eq!(settings.config.hls.part, Duration::millis(250));
}

#[test]
fn a_key_that_looks_like_a_number_is_still_a_key() {
    for key in ["1234567890123456", "true", "1e10", "2026-01-01", "\"quoted\"", "[1]"] {
        assert_eq!(env(&[("KAIBO__AUTH__PUSH__KEY", key)]).config.auth.push.key.expose(), key);
    }
}

#[test]
fn a_secret_can_come_from_a_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let settings = env(&[("KAIBO__AUTH__PUSH__KEY_FILE", path.to_str().unwrap())]);
    assert_eq!(settings.config.auth.push.key.expose(), SECRET);
    let tokens = format!("[{{ name = \"backend\", token = \"{SECRET}\" }}]\n");
    std::fs::write(&path, tokens).unwrap();
    let settings = env(&[("KAIBO__API__TOKENS_FILE", path.to_str().unwrap())]);
    assert_eq!(settings.config.api.tokens[0].token.expose(), SECRET);
}

#[test]
fn a_bad_variable_is_named() {
    for (variable, value, expected) in [
        ("KAIBO__RTMP__LISTN", "x", "unknown key \"listn\", did you mean \"listen\"?"),
        ("KAIBO__RTPM__LISTEN", "x", "unknown key \"rtpm\", did you mean \"rtmp\"?"),
        ("KAIBO__RTMP__LISTEN__HOST", "x", "invalid type: map, expected socket address"),
        ("KAIBO__RTMP", "x", "invalid type: string, expected struct Rtmp"),
        ("KAIBO__", "x", "unknown key \"\""),
        ("KAIBO__AUTH__PUSH__ENABLED", "yes", "invalid type: string, expected a boolean"),
        ("KAIBO__LIMITS__FAILED_KEYS", "-1", "invalid value: integer, expected u32"),
        ("KAIBO__BROADCAST__RESUME_WINDOW", "15", "\"15\" is no duration like"),
        ("KAIBO__BROADCAST__RESUME_WINDOW", "1h", "1h is outside 0s to 30m"),
        ("KAIBO__APPS__SHOP__HLS__PART", "3s", "3s is outside 100ms to 2s"),
        ("KAIBO__APPS__SHOP__HLS__PRAT", "3s", "unknown key \"prat\", did you mean \"part\"?"),
        ("KAIBO__APPS__MY.SHOP__HLS__PART", "1s", "the app name has '.' at position 3"),
    ] {
        let said = env_complaint(variable, value);
        let expected = format!("{variable}: {expected}");
        assert!(said.starts_with(&expected), "said     {said}\nexpected {expected}");
    }
    let said = load_text("[apps.shop]\n", &[("KAIBO__APPS__SHOP__LOG__LEVEL", "x")]).unwrap_err();
    assert_eq!(said, "KAIBO__APPS__SHOP__LOG__LEVEL: unknown key \"log\"");
}

#[test]
fn an_app_has_its_own_settings_over_the_general_ones() {
    let text = "[broadcast]\nresume_window = \"10m\"\nconflict = \"reject\"\n[auth.push]\nkey = \"general\"\n\
                [apps.Shop.broadcast]\nresume_window = \"5m\"\n[apps.Shop.auth.push]\nkey = \"own\"";
    let settings = load_text(text, &[("KAIBO__APPS__SHOP__FLV__HOLD", "1s")]).unwrap();
    let (shop, other) = (settings.app("Shop"), settings.app("other"));
    assert_eq!(shop.broadcast.resume_window, Duration::secs(300));
    assert_eq!(shop.broadcast.conflict, kaibo_broadcast::ConflictPolicy::Reject, "not set: as for all");
    assert_eq!(shop.auth.push.key.expose(), "own");
    assert_eq!(shop.flv.hold, Duration::secs(1), "variables are upper case, apps needn't be");
    assert_eq!(other.broadcast.resume_window, Duration::secs(600));
    assert_eq!(other.auth.push.key.expose(), "general");
    assert_eq!(other.flv, App::default().flv);
    assert_eq!(settings.app("shop").auth.push.key.expose(), "general", "the case of an app's name counts");
}

#[test]
fn no_complaint_shows_a_secret() {
    for text in [
        format!("[[api.tokens]]\nname = \"b\"\ntoken = [\"{SECRET}\"]"),
        format!("[[api.tokens]]\nname = \"b\"\ntoken = {{ a = \"{SECRET}\" }}"),
        format!("[api]\ntokens = [\"{SECRET}\"]"),
        format!("[api]\ntokens = \"{SECRET}\""),
        format!("[[api.tokens]]\nname = \"b\"\ntoken = \"{SECRET} {SECRET}\""),
        format!("webhooks = [\"{SECRET}\"]"),
        format!("[[webhooks]]\nurl = [\"{SECRET}\"]\nsecret = \"{SECRET}\""),
        format!("[[webhooks]]\nurl = \"no-url?{SECRET}\"\nsecret = \"{SECRET}\""),
        format!("[[webhooks]]\nurl = \"https://a/?{SECRET}\"\nsecret = \"whsec_{SECRET}!\""),
        format!("[[webhooks]]\nurl = \"https://a/?{SECRET}\"\nsecret = \"{SECRET}\"\nevents = [\"x\"]"),
        format!("[auth]\npush = \"{SECRET}\""),
        format!("auth = \"{SECRET}\""),
        format!("[auth]\nurl = \"no-url?{SECRET}\""),
        format!("[auth]\nurl = \"https://a/?{SECRET}\"\nsecret = \"whsec_{SECRET}!\""),
        format!("[auth.push]\nkey = \"{SECRET}"),
        format!("[auth.push]\nkey = {SECRET}"),
        format!("[auth.push]\nkey = '''{SECRET}"),
        format!("[auth.push]\nkey = \"{SECRET}\" \"{SECRET}\""),
        format!("[auth.push]\nkey = \"{SECRET}\\q\""),
        format!("[auth.push]\nkey = \"{SECRET}\"\nkey = \"{SECRET}\""),
        format!("[auth.push]\nenabled = \"{SECRET}\""),
        format!("[auth.push]\n\"{SECRET}\""),
        format!("[apps.shop.auth]\npush = \"{SECRET}\""),
        format!("[apps]\nshop = \"{SECRET}\""),
        format!("[http.tls]\ncert = \"c\"\nkey = \"-----BEGIN PRIVATE KEY-----{SECRET}\""),
        format!("[rtmp.tls]\nkey = \"-----BEGIN PRIVATE KEY-----{SECRET}\""),
    ] {
        let said = complaint(&text);
        assert!(said.starts_with("config.toml:") && !said.contains(SECRET), "{text}\n  said {said}");
    }
    // Numbers, of which a key may consist.
    let said = complaint("[auth.push]\nkey = 1234567890123456");
    assert_eq!(said, "config.toml:2:7: invalid type: integer, expected a string");
    for (variable, value) in [
        ("KAIBO__AUTH__PUSH__KEY_FILE", SECRET.to_string()),
        ("KAIBO__AUTH__PUSH", SECRET.to_string()),
        ("KAIBO__AUTH", format!("{{ push = {{ key = [\"{SECRET}\"] }} }}")),
        ("KAIBO__API__TOKENS", SECRET.to_string()),
        ("KAIBO__API__TOKENS", format!("[{{ name = \"b\", token = [\"{SECRET}\"] }}]")),
        ("KAIBO__API__TOKENS", format!("[{{ name = \"b\", token = \"{SECRET} {SECRET}\" }}]")),
        ("KAIBO__APPS__SHOP__AUTH__PUSH", SECRET.to_string()),
    ] {
        let said = env_complaint(variable, &value);
        assert!(said.contains(variable) && !said.contains(SECRET), "{variable}={value}\n  said {said}");
    }
}

/// Every way to break one character of a file with a key in it.
#[test]
fn a_slip_of_the_pen_shows_no_secret_and_makes_one_line() {
    let text = format!(
        "[auth.push]\nkey = \"{SECRET}\"\nenabled = true\n\n[[api.tokens]]\nname = \"b\"\ntoken = '{SECRET}'\n"
    );
    let mut refused = 0;
    for at in 0..text.len() {
        for slip in ["", "\"", "'", "=", "[", "]", "#", "\n", "\\", "x", "0", "\u{1b}"] {
            for width in [0, 1] {
                let mut broken = text.clone();
                broken.replace_range(at..at + width, slip);
                if let Err(said) = load_text(&broken, &[]) {
                    assert!(!said.contains(SECRET), "{broken}\n  said {said}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn a_name_with_a_line_break_makes_no_second_line() {
    // `load_text` checks this of every message.
    assert!(complaint("\"a\\nb\" = 1").ends_with("unknown key \"a\\nb\""));
    assert!(complaint("[log]\nlevel = \"a\\nb\"").contains("\"a\\nb\" is none of"));
    assert!(env_complaint("KAIBO__A\nB", "1").starts_with("KAIBO__A\\nB: unknown key"));
    assert!(
        load(Some(Path::new("/no\nwhere")), std::iter::empty())
            .unwrap_err()
            .to_string()
            .starts_with("can't read /no\\nwhere: ")
    );
}
