//! The commands beside `serve`.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{
    Kaibo, clip, http,
    probe::{self, audio, video},
    push, seconds, wait_for, wait_until,
};

fn kaibo(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kaibo")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn the_url_that_is_printed_opens_a_push() {
    let server = Kaibo::start("");
    let config = format!(
        "rtmp.listen = \"{}\"\nhttp.listen = \"{}\"\nauth.push.key = \"{}\"",
        server.at.rtmp,
        server.at.http,
        server.push_key()
    );
    fs::write(server.scratch("url.toml"), config).unwrap();
    let folder = server.scratch(".");
    let output = kaibo(&folder, &["url", "room", "-c", "url.toml", "--expires", "1h"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |name: &str| {
        let line =
            text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
        line[name.len()..].trim().to_owned()
    };
    assert_eq!(line("push URL"), format!("{}/{}", line("OBS server"), line("OBS key")));
    let _encoder = push::ffmpeg(&clip::long(), &line("push URL"));
    server.wait_for_state("room", "live", seconds(10));
    assert_eq!(probe::tracks(line("FLV")).len(), 2);
}

#[test]
fn a_fault_in_the_configuration_is_named_by_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), "[rtmp]\nlisten = \"127.0.0.1:1935\"\nidle_timeot = \"10s\"\n")
        .unwrap();
    let output = kaibo(folder.path(), &["check", "-c", "bad.toml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("bad.toml:3:1") && said.contains("idle_timeout"), "{said}");
    let annotated = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let output = kaibo(folder.path(), &["check", "-c", annotated.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_demo_plays_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_kaibo"))
        .arg("demo")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let flv =
        lines.find_map(|line| line.unwrap().trim().strip_prefix("FLV ").map(|url| url.trim().to_owned()));
    let flv = flv.unwrap();
    wait_until("the demo's stream", seconds(5), || http::stream(&flv).status() == 200);
    assert_eq!(probe::tracks(&flv), [audio("aac"), video("h264", 640, 360)]);
    push::signal("TERM", &demo);
    let exit = wait_for("the demo ends", seconds(10), || demo.try_wait().unwrap());
    assert!(exit.success(), "{exit}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
