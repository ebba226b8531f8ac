//! What the encoders sent, picture by picture, and where something else has it from.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::support::{clip, probe};

/// Pictures of one push, one after the other: those of a clip from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub clip: usize,
    pub first: usize,
    pub last: usize,
}

/// A clip that is pushed.
struct Sent {
    pictures: Vec<String>,
    sounds: Vec<String>,
    /// Sums of its pictures, decoded.
    frames: Vec<String>,
    /// Which of `pictures` has this sum.
    at: HashMap<String, usize>,
}

impl Sent {
    fn read(clip: &Path) -> Self {
        let pictures = sums(clip, "v");
        let at: HashMap<_, _> = pictures.iter().cloned().zip(0..).collect();
        assert_eq!(at.len(), pictures.len(), "two pictures of {} are the same", clip.display());
        Self { frames: decoded(clip), sounds: sums(clip, "a"), pictures, at }
    }
}

/// The clips that runs push.
fn sent() -> &'static [Sent] {
    static SENT: OnceLock<Vec<Sent>> = OnceLock::new();
    SENT.get_or_init(|| {
        let clips: [PathBuf; 2] = [clip::long(), clip::long_smaller()];
        clips.iter().map(|clip| Sent::read(clip)).collect()
    })
}

/// `file` holds a stretch of one of the clips: every picture and every sound from its first to its last, as they were
/// sent, and pictures that decode to the same frames. Which one.
///
/// # Panics
/// If it doesn't.
pub fn same_as_sent(file: &Path) -> Run {
    let pictures = sums(file, "v");
    let found = sent()
        .iter()
        .enumerate()
        .find_map(|(clip, sent)| Some((clip, sent, *sent.at.get(pictures.first()?)?)));
    let (clip, sent, first) =
        found.unwrap_or_else(|| panic!("{} holds nothing that was sent", file.display()));
    let stretch = first..first + pictures.len();
    assert_eq!(sent.pictures.get(stretch.clone()), Some(&pictures[..]), "pictures of {}", file.display());
    let frames = decoded(file);
    assert_eq!(sent.frames.get(stretch.clone()), Some(&frames[..]), "decoded frames of {}", file.display());
    let sounds = sums(file, "a");
    let is_there = sent.sounds.windows(sounds.len().max(1)).any(|stretch| *stretch == sounds[..]);
    assert!(is_there || sounds.is_empty(), "the sound of {} is not what was sent", file.display());
    Run { clip, first, last: stretch.end - 1 }
}

/// The runs in pictures of the given sums, as a viewer saw them. A run begins where a clip begins again.
pub fn runs(pictures: &[String]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for sum in pictures {
        let sum = format!("MD5:{sum}");
        let found = sent().iter().enumerate().find_map(|(clip, sent)| Some((clip, *sent.at.get(&sum)?)));
        let (clip, at) = found.unwrap_or_else(|| panic!("a picture that nobody sent: {sum}"));
        match runs.last_mut() {
            Some(run) if run.clip == clip && run.last < at => run.last = at,
            _ => runs.push(Run { clip, first: at, last: at }),
        }
    }
    runs
}

fn sums(file: &Path, kind: &str) -> Vec<String> {
    probe::packets(file, kind).into_iter().map(|packet| packet.md5).collect()
}

/// The sums of the frames that ffmpeg decodes of `file`.
fn decoded(file: &Path) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", file.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let sums = text.lines().filter(|line| !line.starts_with('#'));
    sums.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}
