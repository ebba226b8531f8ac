//! AAC frames with ADTS headers (ISO/IEC 14496-3 §1.A.2.2).

use kaibo_media::{AudioCodec, AudioTrack};

use super::Error;

/// What the ADTS headers of a track say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Adts {
    /// Audio object type minus 1, in 2 bits.
    profile: u8,
    rate_index: u8,
    /// channel_configuration, in 3 bits.
    channels: u8,
}

/// samplingFrequencyIndex and its rate in Hz (§1.6.3.4).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

const HEADER: usize = 7;

/// aac_frame_length has 13 bits.
const MAX_FRAME: usize = 0x1FFF;

impl Adts {
    pub fn new(track: &AudioTrack) -> Result<Self, Error> {
        match track.codec {
            AudioCodec::Aac => Self::from_config(&track.config),
            AudioCodec::Opus => Err(Error::Unsupported("Opus")),
        }
    }

    /// From an AudioSpecificConfig (§1.6.2.1). HE-AAC is written as the AAC-LC that it contains: decoders find the
    /// extension in the frames. A channel layout that only the config describes (channel configuration 0) has no
    /// place in a header.
    fn from_config(config: &[u8]) -> Result<Self, Error> {
        let mut bits = Bits::new(config);
        let mut object_type = bits.object_type();
        let rate_index = bits.rate_index();
        let channels = bits.take(4);
        if matches!(object_type, 5 | 29) {
            bits.rate_index();
            object_type = bits.object_type();
        }
        let short_frames = bits.take(1) == 1;
        if bits.taken > 8 * config.len() {
            return Err(Error::Config("AudioSpecificConfig"));
        }
        match (object_type, rate_index, channels, short_frames) {
            (1..=4, Some(rate_index), 1..=7, false) => {
                Ok(Self { profile: object_type as u8 - 1, rate_index, channels: channels as u8 })
            }
            (_, None, ..) => Err(Error::Config("AudioSpecificConfig")),
            (1..=4, _, _, true) => Err(Error::Unsupported("AAC with 960 samples in a frame")),
            _ => Err(Error::Unsupported("AAC of this object type or channel layout")),
        }
    }

    /// The header for a raw frame of `len` bytes; none if it can't be said (empty, 8 KiB or more).
    pub fn header(self, len: usize) -> Option<[u8; HEADER]> {
        let size = len + HEADER;
        if len == 0 || size > MAX_FRAME {
            return None;
        }
        let [high, low] = (size as u16).to_be_bytes();
        Some([
            // Syncword, MPEG-4, no CRC.
            0xFF,
            0xF1,
            self.profile << 6 | self.rate_index << 2 | self.channels >> 2,
            // The 13 bits of the size begin in the last two of this byte.
            self.channels << 6 | high >> 3,
            high << 5 | low >> 3,
            // Buffer fullness 0x7FF: variable rate; one raw data block.
            low << 5 | 0x1F,
            0xFC,
        ])
    }
}

/// Takes bits from the front. Beyond the end it gives zeros, and `taken` tells.
struct Bits {
    bits: u128,
    taken: usize,
}

impl Bits {
    /// Of `bytes` the first 16 matter: no field here lies further back.
    fn new(bytes: &[u8]) -> Self {
        let mut first = [0; 16];
        for (place, byte) in first.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Self { bits: u128::from_be_bytes(first), taken: 0 }
    }

    fn take(&mut self, count: usize) -> u32 {
        let value = self.bits >> (128 - count);
        self.bits <<= count;
        self.taken += count;
        value as u32
    }

    /// GetAudioObjectType().
    fn object_type(&mut self) -> u32 {
        match self.take(5) {
            31 => 32 + self.take(6),
            object_type => object_type,
        }
    }

    /// samplingFrequencyIndex; of an explicit rate the index with the nearest rate, as ADTS knows no other. None if
    /// it is reserved.
    fn rate_index(&mut self) -> Option<u8> {
        let index = self.take(4);
        if index != 15 {
            return (index < RATES.len() as u32).then_some(index as u8);
        }
        let rate = self.take(24);
        let nearest = (0u8..).zip(RATES).min_by_key(|(_, known)| known.abs_diff(rate))?;
        Some(nearest.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(config: &[u8], len: usize) -> Vec<u8> {
        Adts::from_config(config).unwrap().header(len).unwrap().to_vec()
    }

    #[test]
    fn says_what_the_config_says() {
        // AAC-LC, 44.1 kHz, stereo; 371 bytes of frame make 378 with the header. As ffmpeg writes it.
        assert_eq!(header_of(&[0x12, 0x10], 371), [0xFF, 0xF1, 0x50, 0x80, 0x2F, 0x5F, 0xFC]);
        // The same with ffmpeg's explicit "no SBR" tail.
        assert_eq!(header_of(&[0x12, 0x10, 0x56, 0xE5, 0x00], 371), header_of(&[0x12, 0x10], 371));
    }

    #[test]
    fn he_aac_is_written_as_its_lc_core() {
        // Object type 5 at 24 kHz with 48 kHz output, and 29 (parametric stereo), both around AAC-LC.
        let lc = header_of(&[0x13, 0x10], 100);
        assert_eq!(header_of(&[0x2B, 0x11, 0x88, 0x00], 100), lc);
        assert_eq!(header_of(&[0xEB, 0x11, 0x88, 0x00], 100), lc);
    }

    #[test]
    fn an_explicit_rate_becomes_the_nearest_index() {
        // 00010 1111 (44056 in 24 bits) 0010 000
        let bits = 2u64 << 35 | 15 << 31 | 44_056 << 7 | 2 << 3;
        let config = &bits.to_be_bytes()[3..];
        assert_eq!(header_of(config, 371), header_of(&[0x12, 0x10], 371));
    }

    #[test]
    fn refuses_what_adts_cannot_say() {
        assert!(matches!(Adts::from_config(&[]), Err(Error::Config(_))));
        assert!(matches!(Adts::from_config(&[0x12]), Err(Error::Config(_))));
        // 960 samples; a layout of its own; object type 23 (low delay); reserved rate index 13.
        assert!(matches!(Adts::from_config(&[0x12, 0x14]), Err(Error::Unsupported(_))));
        assert!(matches!(Adts::from_config(&[0x12, 0x00]), Err(Error::Unsupported(_))));
        assert!(matches!(Adts::from_config(&[0xBA, 0x10]), Err(Error::Unsupported(_))));
        assert!(matches!(Adts::from_config(&[0x16, 0x90]), Err(Error::Config(_))));
        let lc = Adts::from_config(&[0x12, 0x10]).unwrap();
        assert_eq!((lc.header(0), lc.header(8185)), (None, None));
        assert!(lc.header(8184).is_some());
    }
}
