//! One run of an external ffmpeg, within bounds: it gets some keyframes, and is to answer with one JPEG.

use std::{
    env, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use kaibo_container::fmp4::{self, Timed};
use kaibo_media::{Frame, Span, Timestamp, Tracks};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, sink},
    process::{ChildStdin, Command},
    time::timeout,
};

use super::jpeg;

/// Bytes of keyframes that one run is given: a keyframe of 4K at 50 Mbit/s has some 2 MiB. A run holds twice as much.
pub const INPUT: usize = 16 << 20;

/// Bytes of a JPEG: one of 8K at the best quality has less.
const OUTPUT: usize = 16 << 20;

/// Pixels of a picture that is decoded, 8192x4320: larger ones take gigabytes.
const PIXELS: &str = "35389440";

/// Bytes of its complaints that are kept, for one line of the log. The rest is read and dropped.
const SAID: u64 = 512;

/// Where an ffmpeg that was installed by hand finds its libraries.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// A JPEG, and its size in pixels.
#[derive(Clone, Debug)]
pub struct Jpeg {
    pub bytes: Bytes,
    pub width: u32,
    pub height: u32,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no ffmpeg is installed here, or not as snapshot.ffmpeg says")]
    NoFfmpeg,
    #[error("ffmpeg can't be given this: {0}")]
    Unsupported(#[from] fmp4::Error),
    #[error("the keyframe has {0} bytes, which is too much")]
    TooLarge(usize),
    #[error("all places for ffmpeg were taken for too long")]
    Busy,
    #[error("ffmpeg can't be started: {0}")]
    Start(io::Error),
    #[error("ffmpeg took longer than {0:?} and was killed")]
    TimeLimit(Duration),
    #[error("ffmpeg made no picture ({status}): {said}")]
    Failed { status: String, said: String },
}

/// A run: what it is given, and what it is to make of that.
pub struct Run {
    /// Decoder parameters and keyframes, one second apart.
    input: Bytes,
    filter: String,
    /// 2 (best) to 31, as ffmpeg counts.
    quality: u32,
    /// By how much it yields to everything else on the machine, as `nice` counts.
    nice: &'static str,
}

impl Run {
    /// One picture, no wider than `width` pixels; 0 for as wide as it is.
    pub fn snapshot(keyframe: &Frame, width: u32, quality: u32) -> Result<Self, Error> {
        let filter = match width {
            0 => "format=yuvj420p".to_string(),
            _ => format!("scale=w='min({width},iw)':h=-2,format=yuvj420p"),
        };
        Ok(Self { input: input(&[Some(keyframe)])?, filter, quality, nice: "10" })
    }

    /// A sheet of thumbnails. All keyframes are of the same tracks; where there is none, or one that can't be decoded, its
    /// neighbour stands, so that the others keep their places.
    pub fn sheet(
        keyframes: &[Option<Frame>],
        width: u32,
        grid: (usize, usize),
        quality: u32,
    ) -> Result<Self, Error> {
        let (columns, rows) = grid;
        let keyframes: Vec<_> = keyframes.iter().map(Option::as_ref).collect();
        let filter = format!(
            "fps=1:start_time=0:eof_action=pass,scale=w='min({width},iw)':h=-2,format=yuvj420p,tile={columns}x{rows}"
        );
        // It can wait for whatever else there is to do.
        Ok(Self { input: input(&keyframes)?, filter, quality, nice: "19" })
    }

    /// Runs `program` on it, for no longer than `limit`.
    pub async fn with(self, program: &Path, limit: Duration) -> Result<Jpeg, Error> {
        let mut child = self.command(program).spawn().map_err(Error::Start)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let work = async {
            let ((), picture, said) =
                tokio::join!(feed(stdin, &self.input), read(stdout), complaints(stderr));
            (picture, said, child.wait().await)
        };
        let Ok((picture, said, status)) = timeout(limit, work).await else {
            // By its process id, which is its own until it is waited for here.
            if let Err(error) = child.kill().await {
                tracing::warn!(%error, "an ffmpeg that hangs can't be killed");
            }
            return Err(Error::TimeLimit(limit));
        };
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let failed = || Error::Failed { status, said };
        let bytes = picture.map_err(|_| Error::TooLarge(OUTPUT))?;
        let (width, height) = jpeg::size(&bytes).ok_or_else(failed)?;
        Ok(Jpeg { bytes: bytes.into(), width, height })
    }

    fn command(&self, program: &Path) -> Command {
        // It makes room for itself before it becomes ffmpeg, under the same process id.
        let mut command = match find("nice") {
            Some(nice) => {
                let mut command = Command::new(nice);
                command.args(["-n", self.nice]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(["-hide_banner", "-nostdin", "-v", "error"]);
        // One thread for each step, no file and no address but the pipe, however odd what it reads.
        command.args([
            "-threads",
            "1",
            "-max_pixels",
            PIXELS,
            "-protocol_whitelist",
            "pipe",
            "-f",
            "mp4",
            "-i",
            "pipe:0",
        ]);
        command.args(["-an", "-sn", "-dn", "-filter_threads", "1", "-vf", &self.filter, "-frames:v", "1"]);
        command.args(["-c:v", "mjpeg", "-threads", "1", "-q:v", &self.quality.to_string()]);
        command.args(["-f", "image2pipe", "pipe:1"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Our environment may have keys in it.
        command.env_clear().current_dir("/");
        command.envs(env::var_os(LIBRARIES).map(|libraries| (LIBRARIES, libraries)));
        // Whatever ends this run, nothing of it is left behind.
        command.kill_on_drop(true);
        command
    }
}

/// `keyframes` as a fragmented MP4 without sound, one each second from 0 on; one stays until the next that is there.
fn input(keyframes: &[Option<&Frame>]) -> Result<Bytes, Error> {
    let there = || keyframes.iter().copied().flatten();
    let bytes: usize = there().map(|frame| frame.data.len()).sum();
    if bytes > INPUT {
        return Err(Error::TooLarge(bytes));
    }
    let video = there().next().and_then(|frame| frame.tracks.video.clone());
    let tracks = Arc::new(Tracks { video, audio: None });
    let mut timed: Vec<Timed> = Vec::with_capacity(keyframes.len());
    let mut at = Timestamp::ZERO;
    for frame in keyframes {
        let end = at + Span::from_millis(1000);
        match (frame, timed.last_mut()) {
            (Some(frame), _) => {
                let frame =
                    Frame { tracks: tracks.clone(), dts: at, pts_offset: Span::ZERO, ..(*frame).clone() };
                timed.push(Timed { frame: Arc::new(frame), end });
            }
            (None, Some(before)) => before.end = end,
            (None, None) => {}
        }
        at = end;
    }
    let init = fmp4::init(&tracks)?;
    let (part, _) = fmp4::part(1, &tracks, &timed, &[], &[]);
    Ok([init, part].concat().into())
}

/// Gives it everything. If it takes no more it has what it needs, or has failed: its answer says which.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// All that it answers with; an error if that is too much, and then it is told so by its pipe.
async fn read(stdout: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, ()> {
    let mut bytes = Vec::new();
    if let Some(stdout) = stdout {
        let most = OUTPUT as u64 + 1;
        // What could not be read is no JPEG.
        let _ = stdout.take(most).read_to_end(&mut bytes).await;
    }
    if bytes.len() > OUTPUT { Err(()) } else { Ok(bytes) }
}

/// The beginning of what it complains about, as one line.
async fn complaints(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let mut said = Vec::new();
    if let Some(mut stderr) = stderr {
        let _ = (&mut stderr).take(SAID).read_to_end(&mut said).await;
        let _ = copy(&mut stderr, &mut sink()).await;
    }
    let text = String::from_utf8_lossy(&said);
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the program `name` is: at this path, if it is one, else in the first folder of `PATH` that has it. Looked for at
/// each use, so that what is installed later is found.
pub fn find(name: impl AsRef<Path>) -> Option<PathBuf> {
    let name = name.as_ref();
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.components().count() > 1 {
        // The run has another working folder.
        return std::path::absolute(name).ok().filter(runs);
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_path_or_where_it_is_said_to_be() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program-as-this"), None);
        assert_eq!(find(concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml")), None, "nothing that runs");
        assert!(find(find("sh").unwrap()).is_some());
    }

    #[tokio::test]
    async fn complaints_are_one_short_line() {
        let said = format!("a\nb\u{7}c {}", "x".repeat(10_000));
        let line = complaints(Some(said.as_bytes())).await;
        assert!(line.starts_with("a b c xxx") && line.len() <= SAID as usize, "{line}");
        assert_eq!(complaints(None::<&[u8]>).await, "");
    }
}
