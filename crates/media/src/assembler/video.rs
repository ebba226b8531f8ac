//! What is known of a publisher's video, and its frames brought to one form.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    CodecError, Packet, VideoCodec, VideoTrack,
    codec::{ParameterSets, length_size},
    nal::{self, NalError, NalKind},
};

/// The video side of a publish session.
#[derive(Debug, Default)]
pub(super) struct VideoInput {
    /// The sequence header that came last, as it came: encoders repeat it.
    header: Option<(VideoCodec, Bytes)>,
    codec: Option<VideoCodec>,
    /// Bytes per length of a NAL unit.
    length_size: usize,
    /// The sets in force, of H.264 and H.265.
    sets: Option<ParameterSets>,
    /// Sets that came in band and wait for their keyframe.
    in_band: Option<ParameterSets>,
    track: Option<VideoTrack>,
}

/// A frame in the form of [`crate::Frame::data`].
struct Picture {
    data: Bytes,
    /// It has slices: it is a picture, not just parameter sets.
    coded: bool,
    random_access: bool,
}

impl VideoInput {
    /// The parameters that the next keyframe needs.
    pub(super) fn track(&self) -> Option<&VideoTrack> {
        self.track.as_ref()
    }

    /// Takes a sequence header. One that is byte for byte the same as the last changes nothing, even if parameter
    /// sets in band have overruled it since.
    pub(super) fn configure(&mut self, codec: VideoCodec, record: Bytes) -> Result<(), CodecError> {
        if self.header.as_ref().is_some_and(|header| header.0 == codec && header.1 == record) {
            return Ok(());
        }
        self.header = Some((codec, record.clone()));
        let track = VideoTrack::from_record(codec, record.clone())?;
        if has_nal_units(codec) {
            self.sets = Some(ParameterSets::from_record(codec, &record)?);
            self.length_size = length_size(codec, &record);
        }
        self.codec = Some(codec);
        self.in_band = None;
        self.track = Some(track);
        Ok(())
    }

    /// Brings a packet to one form; none if there is no picture in it.
    pub(super) fn frame(&mut self, mut packet: Packet) -> Result<Option<Packet>, NalError> {
        let Some(codec) = self.codec.or_else(|| guess(&packet.data)) else { return Ok(None) };
        if !has_nal_units(codec) {
            if packet.keyframe && codec == VideoCodec::Vp9 {
                self.measure_vp9(&packet.data);
            }
            return Ok(Some(packet));
        }
        let picture = self.picture(codec, &packet.data, packet.keyframe)?;
        packet.keyframe |= picture.random_access;
        if !picture.coded {
            return Ok(None);
        }
        if packet.keyframe {
            self.apply_in_band(codec);
        }
        packet.data = picture.data;
        Ok(Some(packet))
    }

    /// The size of a picture that does not say is kept.
    fn measure_vp9(&mut self, keyframe: &[u8]) {
        let Some(track) = &mut self.track else { return };
        let size = (track.width, track.height);
        if track.measure_vp9(keyframe).is_err() {
            (track.width, track.height) = size;
        }
    }

    /// Checks the NAL units of a frame, gathers its parameter sets, and gives them lengths of 4 bytes: publishers
    /// send other sizes, Annex B, and empty units.
    fn picture(&mut self, codec: VideoCodec, data: &Bytes, keyframe: bool) -> Result<Picture, NalError> {
        let size = if self.length_size == 0 { 4 } else { self.length_size };
        let checked: Result<Vec<&[u8]>, NalError> = nal::units_sized(data, size).collect();
        let (units, rewrite) = match checked {
            Ok(units) => {
                let rewrite = size != 4 || units.iter().any(|unit| unit.is_empty());
                (units, rewrite)
            }
            // A unit of 256 to 511 bytes begins like a start code, so Annex B is the second guess.
            Err(_) if nal::starts_annex_b(data) => (nal::annex_b(data).collect(), true),
            Err(error) => return Err(error),
        };
        let mut picture = Picture { data: Bytes::new(), coded: false, random_access: false };
        for unit in &units {
            let kind = nal::kind(codec, unit);
            picture.coded |= kind.is_slice();
            picture.random_access |= matches!(kind, NalKind::Idr | NalKind::RandomAccess);
        }
        // The decoder reads the sets of other pictures where they are; only a keyframe starts from the record.
        if keyframe || picture.random_access || !picture.coded {
            let in_band = self.in_band.get_or_insert_with(|| ParameterSets::new(codec));
            units.iter().for_each(|unit| in_band.add(unit));
        }
        picture.data = if rewrite { length_prefixed(&units) } else { data.clone() };
        Ok(picture)
    }

    /// Parameter sets in band win over the sequence header, and stand in for one that never came.
    fn apply_in_band(&mut self, codec: VideoCodec) {
        let Some(in_band) = self.in_band.take().filter(|sets| !sets.is_empty()) else { return };
        let mut sets = self.sets.clone().unwrap_or_else(|| ParameterSets::new(codec));
        // Sets that cannot be read change nothing: the record may still fit.
        if sets.override_with(in_band)
            && let Ok(track) = sets.track(None)
        {
            self.codec = Some(codec);
            self.sets = Some(sets);
            self.track = Some(track);
        }
    }
}

fn has_nal_units(codec: VideoCodec) -> bool {
    matches!(codec, VideoCodec::H264 | VideoCodec::H265)
}

/// The codec of a frame that brings all its parameter sets along.
fn guess(data: &[u8]) -> Option<VideoCodec> {
    [VideoCodec::H265, VideoCodec::H264].into_iter().find(|&codec| {
        let mut sets = ParameterSets::new(codec);
        if nal::units(data).all(|unit| unit.is_ok()) {
            nal::units(data).flatten().for_each(|unit| sets.add(unit));
        } else {
            nal::annex_b(data).for_each(|unit| sets.add(unit));
        }
        sets.track(None).is_ok()
    })
}

fn length_prefixed(units: &[&[u8]]) -> Bytes {
    let mut data = BytesMut::with_capacity(units.iter().map(|unit| 4 + unit.len()).sum());
    for unit in units.iter().filter(|unit| !unit.is_empty()) {
        data.put_u32(unit.len() as u32);
        data.put_slice(unit);
    }
    data.freeze()
}
