//! Silent frames of AAC.

use kaibo_media::{AudioCodec, AudioTrack};

/// One `raw_data_block` of AAC-LC (ISO/IEC 14496-3 §4.4.2.1) per count of channels, from 1 on: elements as the channel
/// configuration of the same number orders them, each without a single spectral line. They name no sample rate.
const SILENCE: [&[u8]; 6] = [
    &[0x00, 0xc8, 0x00, 0x80, 0x23, 0x80],
    &[0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80],
    &[0x00, 0xc8, 0x00, 0x80, 0x20, 0x84, 0x01, 0x26, 0x40, 0x08, 0x64, 0x00, 0x8e],
    &[
        0x00, 0xc8, 0x00, 0x80, 0x20, 0x84, 0x01, 0x26, 0x40, 0x08, 0x64, 0x00, 0x80, 0x2c, 0x80, 0x08, 0x02,
        0x38,
    ],
    &[
        0x00, 0xc8, 0x00, 0x80, 0x20, 0x84, 0x01, 0x26, 0x40, 0x08, 0x64, 0x00, 0x82, 0x30, 0x04, 0x99, 0x00,
        0x21, 0x90, 0x02, 0x38,
    ],
    &[
        0x00, 0xc8, 0x00, 0x80, 0x20, 0x84, 0x01, 0x26, 0x40, 0x08, 0x64, 0x00, 0x82, 0x30, 0x04, 0x99, 0x00,
        0x21, 0x90, 0x02, 0x00, 0xb2, 0x00, 0x20, 0x08, 0xe0,
    ],
];

/// Samples in a frame of AAC-LC.
pub(crate) const SAMPLES: u32 = 1024;

/// A silent frame of `track`, if one is known.
pub(crate) fn frame(track: &AudioTrack) -> Option<&'static [u8]> {
    // With a channel configuration of 0 the elements stand in the configuration and may be any.
    let configuration = explicit_configuration(track)?;
    let known = track.codec == AudioCodec::Aac
        && track.codecs == "mp4a.40.2"
        && track.samples_per_frame == SAMPLES
        && configuration == track.channels;
    let index = usize::from(track.channels).checked_sub(1).filter(|_| known)?;
    SILENCE.get(index).copied()
}

/// `channelConfiguration` of an AudioSpecificConfig whose object type needs no escape (ISO/IEC 14496-3 §1.6.2.1).
fn explicit_configuration(track: &AudioTrack) -> Option<u8> {
    let bits = track.config.iter().take(5).fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
    let bits = bits << (64 - 8 * track.config.len().min(5));
    let explicit_rate = (bits >> 55) & 0xf == 0xf;
    let behind = if explicit_rate { 5 + 4 + 24 } else { 5 + 4 };
    (track.config.len() >= 2).then(|| (bits >> (60 - behind) & 0xf) as u8)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn track(config: &'static [u8]) -> AudioTrack {
        AudioTrack::from_asc(Bytes::from_static(config)).unwrap()
    }

    #[test]
    fn every_rate_and_up_to_six_channels_of_aac_lc_have_a_silence() {
        for rate in 0..13_u8 {
            for channels in 1..=6_u8 {
                let config = [2 << 3 | rate >> 1, rate << 7 | channels << 3];
                let track = AudioTrack::from_asc(Bytes::copy_from_slice(&config)).unwrap();
                assert_eq!(frame(&track), Some(SILENCE[usize::from(channels) - 1]), "{rate} {channels}");
            }
        }
        // 44,056 Hz, told in full
        let explicit = track(&[0x17, 0x80, 0x56, 0x0c, 0x10]);
        assert_eq!((explicit.sample_rate, frame(&explicit)), (44_056, Some(SILENCE[1])));
    }

    #[test]
    fn other_sound_has_none() {
        // Eight channels; HE-AAC; frames of 960 samples.
        for config in [&[0x12, 0x38][..], &[0x2b, 0x92, 0x08, 0x00], &[0x12, 0x14]] {
            assert_eq!(
                frame(&AudioTrack::from_asc(Bytes::copy_from_slice(config)).unwrap()),
                None,
                "{config:?}"
            );
        }
        // Two channels by a program configuration.
        let program = AudioTrack { config: Bytes::from_static(&[0x12, 0x00]), ..track(&[0x12, 0x10]) };
        assert_eq!(frame(&program), None);
        let opus = AudioTrack { codec: AudioCodec::Opus, ..track(&[0x12, 0x10]) };
        assert_eq!(frame(&opus), None);
    }
}
