//! Clips to push: made once by ffmpeg, then kept beside the build.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The usual clip: 320x180, 30 fps, a keyframe every second, H.264 without B-frames, AAC 44.1 kHz stereo, 6 s.
pub fn short() -> PathBuf {
    clip("short.flv", &[PICTURE, SOUND, &["-t", "6"], X264, AAC].concat())
}

/// The same for 40 s: whoever pushes it stops earlier.
pub fn long() -> PathBuf {
    clip("long.flv", &[PICTURE, SOUND, &["-t", "40"], X264, AAC].concat())
}

/// As [`long`], with another size of the picture.
pub fn long_smaller() -> PathBuf {
    clip("smaller.flv", &[SMALLER, SOUND, &["-t", "40"], X264, AAC].concat())
}

/// As [`long`], with sound that begins 0.3 s behind the picture, as that of a microphone which is slow to open.
pub fn late_sound() -> PathBuf {
    let late: &[&str] = &["-itsoffset", "0.3"];
    clip("late-sound.flv", &[PICTURE, late, SOUND, &["-t", "40"], X264, AAC].concat())
}

pub fn video_only() -> PathBuf {
    clip("video-only.flv", &[PICTURE, &["-t", "6"], X264].concat())
}

pub fn audio_only() -> PathBuf {
    clip("audio-only.flv", &[SOUND, &["-t", "6"], AAC].concat())
}

/// Pictures are shown in another order than they are sent.
pub fn b_frames() -> PathBuf {
    let x264: &[&str] =
        &["-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-sc_threshold", "0", "-bf", "3"];
    let pyramid: &[&str] = &["-x264-params", "bframes=3:b-pyramid=normal:b-adapt=0", "-pix_fmt", "yuv420p"];
    clip("b-frames.flv", &[PICTURE, SOUND, &["-t", "6"], x264, pyramid, AAC].concat())
}

pub fn hevc() -> PathBuf {
    let x265: &[&str] = &[
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "keyint=30:min-keyint=30:log-level=error",
    ];
    clip("hevc.mp4", &[PICTURE, SOUND, &["-t", "6"], x265, &["-tag:v", "hvc1"], AAC].concat())
}

pub fn av1_with_opus() -> PathBuf {
    let av1: &[&str] = &["-c:v", "libsvtav1", "-preset", "12", "-g", "30", "-pix_fmt", "yuv420p"];
    let opus: &[&str] = &["-c:a", "libopus", "-b:a", "64k", "-ar", "48000"];
    clip("av1-opus.mp4", &[PICTURE, SOUND, &["-t", "6"], av1, opus].concat())
}

/// Three seconds of red, then three of blue.
pub fn red_then_blue() -> PathBuf {
    clip("red-then-blue.flv", &[RED_BLUE, SOUND, &["-t", "6"], X264, AAC].concat())
}

/// Moving noise at some 8 Mbit/s: it fills every buffer between us and a viewer who does not read.
pub fn heavy() -> PathBuf {
    let noise: &[&str] = &["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30,noise=alls=60:allf=t"];
    clip("heavy.flv", &[noise, SOUND, &["-t", "20"], X264, &["-b:v", "8M"], AAC].concat())
}

/// The same for 6 s: more than a MiB.
pub fn noisy() -> PathBuf {
    let noise: &[&str] = &["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30,noise=alls=60:allf=t"];
    clip("noisy.flv", &[noise, SOUND, &["-t", "6"], X264, &["-b:v", "4M"], AAC].concat())
}

const RED_BLUE: &[&str] =
    &["-f", "lavfi", "-i", "color=red:s=320x180:r=30:d=3[a];color=blue:s=320x180:r=30:d=3[b];[a][b]concat"];
const PICTURE: &[&str] = &["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30"];
const SMALLER: &[&str] = &["-f", "lavfi", "-i", "testsrc2=size=256x144:rate=30"];
const SOUND: &[&str] = &["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"];
const AAC: &[&str] = &["-c:a", "aac", "-b:a", "96k", "-ac", "2"];
const X264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-g",
    "30",
    "-keyint_min",
    "30",
    "-sc_threshold",
    "0",
    "-pix_fmt",
    "yuv420p",
];

/// The clip `name`, made by ffmpeg with `arguments` if it isn't there. Two tests that want it at the same time both
/// make it; whole files replace each other.
fn clip(name: &str, arguments: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips");
    let path = folder.join(name);
    if path.exists() {
        return path;
    }
    fs::create_dir_all(&folder).unwrap();
    let own = tempfile::Builder::new().suffix(name).tempfile_in(&folder).unwrap().into_temp_path();
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments)
        .args(["-fflags", "+bitexact"])
        .arg(&own)
        .status()
        .unwrap();
    assert!(made.success(), "ffmpeg did not make {name}");
    own.persist(&path).unwrap();
    path
}
