//! Decoder parameters as an index keeps them, so that a recording can be muxed anew without parsing its files.

use bytes::Bytes;
use kaibo_media::{AudioCodec, AudioTrack, Tracks, VideoCodec, VideoTrack};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredTracks {
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<StoredVideo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<StoredAudio>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredVideo {
    #[serde(with = "Video")]
    codec: VideoCodec,
    #[serde(with = "hex")]
    config: Bytes,
    width: u32,
    height: u32,
    frame_rate: Option<f64>,
    codecs: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredAudio {
    #[serde(with = "Audio")]
    codec: AudioCodec,
    #[serde(with = "hex")]
    config: Bytes,
    sample_rate: u32,
    channels: u8,
    samples_per_frame: u32,
    codecs: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "VideoCodec", rename_all = "snake_case")]
enum Video {
    H264,
    H265,
    Av1,
    Vp9,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AudioCodec", rename_all = "snake_case")]
enum Audio {
    Aac,
    Opus,
}

impl From<&Tracks> for StoredTracks {
    fn from(tracks: &Tracks) -> Self {
        let video = tracks.video.clone().map(|track| {
            let VideoTrack { codec, config, width, height, frame_rate, codecs } = track;
            StoredVideo { codec, config, width, height, frame_rate, codecs }
        });
        let audio = tracks.audio.clone().map(|track| {
            let AudioTrack { codec, config, sample_rate, channels, samples_per_frame, codecs } = track;
            StoredAudio { codec, config, sample_rate, channels, samples_per_frame, codecs }
        });
        Self { video, audio }
    }
}

impl From<StoredTracks> for Tracks {
    fn from(tracks: StoredTracks) -> Self {
        let video = tracks.video.map(|track| {
            let StoredVideo { codec, config, width, height, frame_rate, codecs } = track;
            VideoTrack { codec, config, width, height, frame_rate, codecs }
        });
        let audio = tracks.audio.map(|track| {
            let StoredAudio { codec, config, sample_rate, channels, samples_per_frame, codecs } = track;
            AudioTrack { codec, config, sample_rate, channels, samples_per_frame, codecs }
        });
        Self { video, audio }
    }
}

mod hex {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
        let bytes: Option<Vec<u8>> = if rest.is_empty() { pairs.iter().map(byte).collect() } else { None };
        bytes.map(Bytes::from).ok_or_else(|| D::Error::custom("not hexadecimal"))
    }
}
