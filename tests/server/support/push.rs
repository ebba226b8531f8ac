//! Real encoders.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::{NamedTempFile, TempPath};

use super::{seconds, wait_for};

/// An encoder at work. It is killed when dropped.
pub struct Pusher {
    process: Child,
    /// What it told its user.
    said: TempPath,
}

/// Debian's ffmpeg, which plays `clip` in real time to `url`.
pub fn ffmpeg(clip: &Path, url: &str) -> Pusher {
    start(ffmpeg_command("ffmpeg".as_ref(), clip).arg(url))
}

/// An ffmpeg of today, which pushes HEVC, AV1 and Opus by Enhanced RTMP.
pub fn newest_ffmpeg(clip: &Path, url: &str) -> Pusher {
    start(ffmpeg_command(&newest_ffmpeg_path(), clip).arg(url))
}

pub fn newest_ffmpeg_path() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/imageio_ffmpeg/binaries");
    let files = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("scripts/install-test-deps makes {}: {error}", folder.display()));
    files
        .map(|file| file.unwrap().path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ffmpeg-")))
        .expect("an ffmpeg among the test tools")
}

fn ffmpeg_command(ffmpeg: &Path, clip: &Path) -> Command {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-nostdin", "-v", "info", "-re", "-i"]).arg(clip);
    command.args(["-c", "copy", "-f", "flv"]);
    command
}

/// One ffmpeg that encodes 160x90, 320x180 and 640x360 of the same pictures, a keyframe every second, and pushes each
/// to its URL.
pub fn three_sizes(urls: [String; 3]) -> Pusher {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "info", "-re", "-f", "lavfi"]);
    command.args(["-i", "testsrc2=size=640x360:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=44100"]);
    let x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"];
    for (size, url) in ["160:90", "320:180", "640:360"].into_iter().zip(urls) {
        command.args(["-map", "0:v", "-map", "1:a", "-vf", &format!("scale={size}")]).args(x264);
        command.args([
            "-g",
            "30",
            "-keyint_min",
            "30",
            "-sc_threshold",
            "0",
            "-c:a",
            "aac",
            "-f",
            "flv",
            &url,
        ]);
    }
    start(&mut command)
}

/// GStreamer with `rtmp2sink`, or with `rtmpsink`, which is librtmp's.
pub fn gstreamer(sink: &str, clip: &Path, url: &str) -> Pusher {
    let source = format!("location={}", clip.display());
    let location = match sink {
        "rtmpsink" => format!("location={url} live=1"),
        _ => format!("location={url}"),
    };
    start(Command::new("gst-launch-1.0").args(["-e", "filesrc", &source, "!", "flvdemux", "name=from"]).args(
        [
            "from.video",
            "!",
            "queue",
            "!",
            "to.video",
            "from.audio",
            "!",
            "queue",
            "!",
            "to.audio",
            "flvmux",
            "name=to",
            "streamable=true",
            "!",
            "identity",
            "sync=true",
            "!",
            sink,
            &location,
        ],
    ))
}

/// Any encoder.
pub fn start(command: &mut Command) -> Pusher {
    let said = NamedTempFile::new().unwrap();
    let output = |file: &NamedTempFile| -> File { file.reopen().unwrap() };
    let process = command
        .stdin(Stdio::null())
        .stdout(output(&said))
        .stderr(output(&said))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Pusher { process, said: said.into_temp_path() }
}

impl Pusher {
    /// As when its machine loses power (but for the FIN that its kernel still sends).
    pub fn kill9(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stops it properly, as a user does.
    pub fn quit(mut self) {
        signal("INT", &self.process);
        self.wait();
    }

    /// It hangs, with its connection open.
    pub fn freeze(&self) {
        signal("STOP", &self.process);
    }

    /// It goes on.
    pub fn thaw(&self) {
        signal("CONT", &self.process);
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the encoder ends", seconds(25), || self.process.try_wait().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// What it told its user so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap()).into_owned()
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        // Both fail where it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the encoder said ---\n{}", self.said());
        }
    }
}

/// Sends the signal `name` to a process of ours.
pub fn signal(name: &str, process: &Child) {
    let sent = Command::new("kill").args(["-s", name, &process.id().to_string()]).status().unwrap();
    assert!(sent.success(), "no process {} for {name}", process.id());
}
