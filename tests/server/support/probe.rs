//! What ffprobe and ffmpeg see.

use std::{ffi::OsStr, process::Command};

use serde_json::Value;

/// A track as ffprobe names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub codec: String,
    /// 0x0 for sound.
    pub size: (u64, u64),
}

/// The tracks of a file or URL, sorted by their codec.
pub fn tracks(source: impl AsRef<OsStr>) -> Vec<Track> {
    let json = ffprobe(source.as_ref(), &["-show_streams"]);
    let mut tracks: Vec<Track> = json["streams"]
        .as_array()
        .unwrap()
        .iter()
        // Timed metadata is for pages.
        .filter(|stream| stream["codec_type"] != "data")
        .map(|stream| Track {
            codec: stream["codec_name"].as_str().unwrap_or_default().into(),
            size: (stream["width"].as_u64().unwrap_or(0), stream["height"].as_u64().unwrap_or(0)),
        })
        .collect();
    tracks.sort_by(|a, b| a.codec.cmp(&b.codec));
    tracks
}

pub fn video(codec: &str, width: u64, height: u64) -> Track {
    Track { codec: codec.into(), size: (width, height) }
}

pub fn audio(codec: &str) -> Track {
    Track { codec: codec.into(), size: (0, 0) }
}

/// A packet as ffprobe shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Seconds.
    pub pts: f64,
    pub dts: f64,
    pub keyframe: bool,
    pub size: u64,
    pub md5: String,
}

/// The packets of the track `kind` (`v` or `a`) in their order.
pub fn packets(source: impl AsRef<OsStr>, kind: &str) -> Vec<Packet> {
    let wanted = ["-select_streams", kind, "-show_packets", "-show_data_hash", "md5"];
    let json = ffprobe(source.as_ref(), &wanted);
    let number = |packet: &Value, key: &str| packet[key].as_str().and_then(|text| text.parse::<f64>().ok());
    json["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|packet| Packet {
            pts: number(packet, "pts_time").unwrap(),
            dts: number(packet, "dts_time").unwrap(),
            keyframe: packet["flags"].as_str().unwrap().starts_with('K'),
            size: number(packet, "size").unwrap() as u64,
            md5: packet["data_hash"].as_str().unwrap().into(),
        })
        .collect()
}

fn ffprobe(source: &OsStr, options: &[&str]) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json"])
        .args(options)
        .arg(source)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "ffprobe {}: {}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What ffmpeg says of MPEG-TS whose stream of timed events has none: that it has no time.
const NO_EVENTS: &str = "is not set in estimate_timings_from_pts";

/// What ffmpeg complains about when it reads all of `source`: nothing, if it is sound.
pub fn complaints(source: impl AsRef<OsStr>) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-nostdin", "-i"])
        .arg(source)
        .args(["-c", "copy", "-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    said.lines().filter(|line| !line.contains(NO_EVENTS)).collect()
}

/// The checksum of each decoded picture, all of them brought to one size.
pub fn decoded(source: impl AsRef<OsStr>) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(source)
        .args(["-an", "-vf", "scale=320:180", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let sums = text.lines().filter(|line| !line.starts_with('#'));
    sums.filter_map(|line| line.rsplit(',').next()).map(|sum| sum.trim().to_owned()).collect()
}

/// What ffmpeg complains about when it decodes all of `source`. Every frame keeps its own time: on a grid of the frame
/// rate two frames that are 33 ms apart may fall together.
pub fn decoding_complaints(source: impl AsRef<OsStr>) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(source)
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}
