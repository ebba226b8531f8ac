//! Records that real encoders wrote (x264, x265, libaom, libvpx, ffmpeg's AAC and Opus through ffmpeg 5.1).

use proptest::prelude::*;
use shiguredo_mp4::bitstream;

use super::*;

const H264_1080P: &str =
    "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800";
const H264_PORTRAIT: &str =
    "014d401fffe10019674d401feca05a050d80880000030008000003019078c18cb001000568ebe3cb20";
const H264_BASELINE: &str =
    "0142c015ffe100186742c015d901419f9f0110000003001000000640f162e48001000568cb83cb20";
const H264_INTERLACED: &str =
    "01640028ffe1001a67640028acd94078044fde0220000003002000000643e2c5b2c001000668fba3cb22c0fdf8f800";
/// With scaling matrices and HRD parameters.
const H264_HRD: &str = "01640028ffe1002767640028acd940780227e5c044000003000400000300c9810000b71b00016e37930c01e30632c\
                        001000668ecebb3002cfdf8f800";
const H265_718P: &str = "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff0160000003009000000300000\
                         30078959809a10001002c420101016000000300900000030000030078a00280802d1f596566924caf0168080000030\
                         00800000301e040a2000100074401c172b46240";
/// Main 10 with scaling lists and HRD parameters, and an array of SEI.
const H265_MAIN10: &str = "01022000000090000000000078f000fcfdfafa00000f04a00001001840010c01ffff02200000030090000003000\
                           0030078959809a100010035420101022000000300900000030000030078a003c08010e4d96566924e5780b40400000\
                           fa40001d4c1805259b8000b71b00016e362a2000100074401c172b4624027000100064e0181010f80";
const AV1: &str = "81010c000a0b0000000cc4ff6736be4010";
const VP9: &str = "01000000001582020202 0000";
const OPUS: &str = "4f707573486561640102380180bb0000000000";

pub(crate) fn hex(digits: &str) -> Bytes {
    let digits: Vec<char> = digits.chars().filter(char::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

#[test]
fn video_records_tell_size_rate_and_codec() {
    let [h264, h265] = [VideoCodec::H264, VideoCodec::H265];
    for (codec, record, width, height, rate, codecs) in [
        (h264, H264_1080P, 1920, 1080, Some(30_000.0 / 1001.0), "avc1.640028"),
        (h264, H264_PORTRAIT, 720, 1280, Some(25.0), "avc1.4d401f"),
        (h264, H264_BASELINE, 320, 180, Some(50.0), "avc1.42c015"),
        (h264, H264_INTERLACED, 1920, 1080, Some(25.0), "avc1.640028"),
        (h264, H264_HRD, 1920, 1080, Some(25.0), "avc1.640028"),
        (h265, H265_718P, 1280, 718, Some(60.0), "hvc1.1.6.L120.90"),
        (h265, H265_MAIN10, 1920, 1080, Some(30_000.0 / 1001.0), "hvc1.2.4.L120.90"),
        (VideoCodec::Av1, AV1, 640, 360, None, "av01.0.01M.08"),
        (VideoCodec::Vp9, VP9, 0, 0, None, "vp09.00.21.08"),
    ] {
        let record = hex(record);
        let track = VideoTrack::from_record(codec, record.clone()).unwrap();
        assert_eq!((track.width, track.height, track.frame_rate), (width, height, rate), "{codecs}");
        assert_eq!((track.codecs.as_str(), track.config), (codecs, record));
    }
}

#[test]
fn audio_configs_tell_rate_channels_and_codec() {
    for (config, rate, channels, samples, codecs) in [
        ("1210", 44_100, 2, 1024, "mp4a.40.2"),
        // ffmpeg's own: a tail that says "no SBR"
        ("119056e500", 48_000, 2, 1024, "mp4a.40.2"),
        ("121056e500", 44_100, 2, 1024, "mp4a.40.2"),
        ("11b056e500", 48_000, 6, 1024, "mp4a.40.2"),
        // SBR and PS, hierarchical and backward compatible: the grid is the core's
        ("2b920800", 22_050, 2, 1024, "mp4a.40.5"),
        ("eb8a0800", 22_050, 1, 1024, "mp4a.40.29"),
        ("139056e5a0", 22_050, 2, 1024, "mp4a.40.5"),
        ("138856e5a54880", 22_050, 1, 1024, "mp4a.40.29"),
        // a rate that is not in the table, frames of 960, low delay, 7.1
        ("178056221 0", 44_100, 2, 1024, "mp4a.40.2"),
        ("1194", 48_000, 2, 960, "mp4a.40.2"),
        ("b990", 48_000, 2, 512, "mp4a.40.23"),
        ("11b8", 48_000, 8, 1024, "mp4a.40.2"),
        // 5.0 by a program config element
        ("118004c840002008800d4c61766335392e33372e31303056e500", 48_000, 5, 1024, "mp4a.40.2"),
    ] {
        let track = AudioTrack::from_asc(hex(config)).unwrap_or_else(|error| panic!("{config}: {error}"));
        let found = (track.sample_rate, track.channels, track.samples_per_frame, track.codecs.as_str());
        assert_eq!(found, (rate, channels, samples, codecs), "{config}");
    }
    let track = AudioTrack::from_opus_head(hex(OPUS)).unwrap();
    assert_eq!((track.sample_rate, track.channels, track.codecs.as_str()), (48_000, 2, "opus"));
}

#[test]
fn opus_packets_tell_their_own_length() {
    let track = AudioTrack::from_opus_head(hex(OPUS)).unwrap();
    // CELT 20 ms, SILK 60 ms, hybrid 10 ms twice, CELT 2.5 ms six times, more than 120 ms, nothing at all
    for (packet, samples) in [
        (&[0xfc][..], 960),
        (&[0x18], 2880),
        (&[0x61], 960),
        (&[0xe3, 6], 720),
        (&[0x1b, 3], 960),
        (&[], 960),
    ] {
        assert_eq!(track.samples_in(packet), samples, "{packet:?}");
    }
}

#[test]
fn a_bare_vp9_record_gets_version_and_flags_and_its_size_from_a_keyframe() {
    let mut track = VideoTrack::from_vpcc(hex(VP9).slice(4..)).unwrap();
    assert_eq!(track.config, hex(VP9));
    track.measure_vp9(&hex("824983420027f016760a3824")).unwrap();
    assert_eq!((track.width, track.height), (640, 360));
}

#[test]
fn lengths_of_two_bytes_become_lengths_of_four() {
    for (codec, record, at) in [(VideoCodec::H264, H264_1080P, 4), (VideoCodec::H265, H265_718P, 21)] {
        let mut record = hex(record).to_vec();
        record[at] ^= 2;
        assert_eq!(length_size(codec, &record), 2);
        let track = VideoTrack::from_record(codec, record.into()).unwrap();
        assert_eq!(length_size(codec, &track.config), 4);
    }
}

#[test]
fn parameter_sets_alone_make_the_record_that_the_encoder_would_have_sent() {
    for (codec, record) in
        [(VideoCodec::H264, H264_1080P), (VideoCodec::H264, H264_BASELINE), (VideoCodec::H265, H265_718P)]
    {
        let sent = VideoTrack::from_record(codec, hex(record)).unwrap();
        let sets = ParameterSets::from_record(codec, &hex(record)).unwrap();
        let mut built = sets.track(None).unwrap();
        if codec == VideoCodec::H265 {
            // ffmpeg does not claim that the arrays are complete.
            let mut config = built.config.to_vec();
            config.iter_mut().filter(|byte| (0xa0..=0xa2).contains(*byte)).for_each(|byte| *byte |= 0x80);
            built.config = config.into();
        }
        assert_eq!(built, sent);
    }
}

#[test]
fn parameter_sets_in_annex_b_make_a_track_too() {
    let record = hex("0000000167640028acd940780227e5c04400000fa40003a9803c60c658000000 0168ebe3cb22c0");
    let track = VideoTrack::from_avcc(record).unwrap();
    assert_eq!(track.config, hex(H264_1080P));
}

#[test]
fn broken_records_are_refused_by_name() {
    let cut = hex(H264_1080P).slice(..20);
    assert_eq!(VideoTrack::from_avcc(cut), Err(CodecError::Truncated { at: 8 }));
    assert_eq!(VideoTrack::from_avcc(hex("01640028ffe000")), Err(CodecError::Missing("SPS")));
    // 255 SPS: five bits of them count, and they are not there
    assert!(matches!(VideoTrack::from_avcc(hex("01640028ffff0001")), Err(CodecError::Truncated { .. })));
    assert_eq!(VideoTrack::from_avcc(Bytes::new()), Err(CodecError::Truncated { at: 0 }));
    // 32 zeros in an Exp-Golomb code, a picture of 65,536 x 65,536 pixels
    let zeros = VideoTrack::from_avcc(hex("01640028ffe1000a6742c0150000000000ff01000168"));
    assert_eq!(zeros, Err(CodecError::ExpGolomb { at: 3 }));
    let huge = VideoTrack::from_avcc(hex("0142c01effe1000d 6742c01eda0004000003020019 01 0002 68ce"));
    assert_eq!(huge, Err(CodecError::PictureSize { width: 65_536, height: 65_536 }));
    assert_eq!(AudioTrack::from_asc(Bytes::new()), Err(CodecError::Truncated { at: 0 }));
    assert!(matches!(AudioTrack::from_asc(hex("11e8")), Err(CodecError::Value { .. })));
    assert!(matches!(AudioTrack::from_asc(hex("1690")), Err(CodecError::Value { .. })));
    assert!(AudioTrack::from_opus_head(hex("4f707573")).is_err());
}

/// A record with some of its bytes changed, and perhaps cut.
fn mutated(record: &'static str) -> impl Strategy<Value = Bytes> {
    let length = hex(record).len();
    let changes = prop::collection::vec((0..length, any::<u8>()), 0..4);
    (changes, 0..=length).prop_map(move |(changes, cut)| {
        let mut bytes = hex(record).to_vec();
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        bytes.truncate(if cut % 3 == 0 { cut } else { length });
        bytes.into()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn h264_sets_read_as_another_parser_reads_them(
        record in prop_oneof![mutated(H264_1080P), mutated(H264_HRD), mutated(H264_INTERLACED)],
    ) {
        if let Ok(track) = VideoTrack::from_avcc(record.clone()) {
            let sets = ParameterSets::from_record(VideoCodec::H264, &record).unwrap();
            let built = sets.track(None).unwrap();
            prop_assert_eq!(VideoTrack { config: built.config.clone(), ..track }, built.clone());
            prop_assert_eq!(VideoTrack::from_avcc(built.config.clone()).unwrap(), built.clone());
            let length = usize::from(built.config[6]) << 8 | usize::from(built.config[7]);
            let sps = bitstream::h264::parse_sps(&built.config[8..8 + length]);
            if let Ok(sps) = sps {
                prop_assert_eq!((u32::from(sps.width), u32::from(sps.height)), (built.width, built.height));
            }
        }
    }

    #[test]
    fn h265_sets_read_as_another_parser_reads_them(
        record in prop_oneof![mutated(H265_718P), mutated(H265_MAIN10)],
    ) {
        if VideoTrack::from_hvcc(record.clone()).is_ok() {
            let sets = ParameterSets::from_record(VideoCodec::H265, &record).unwrap();
            let built = sets.track(None).unwrap();
            prop_assert_eq!(VideoTrack::from_hvcc(built.config.clone()).unwrap(), built.clone());
            let at = built.config.windows(2).position(|pair| pair[0] == 0xa1).unwrap() + 3;
            let length = usize::from(built.config[at]) << 8 | usize::from(built.config[at + 1]);
            if let Some(unit) = built.config.get(at + 2..at + 2 + length)
                && let Ok(sps) = bitstream::h265::parse_sps(unit)
            {
                prop_assert_eq!((u32::from(sps.width), u32::from(sps.height)), (built.width, built.height));
            }
        }
    }

    #[test]
    fn no_config_makes_a_parser_panic_or_a_track_absurd(
        av1 in mutated(AV1),
        vp9 in mutated(VP9),
        opus in mutated(OPUS),
        asc in prop::collection::vec(any::<u8>(), 0..40),
        any in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let _ = VideoTrack::from_vpcc(vp9).map(|mut track| track.measure_vp9(&any));
        for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
            let _ = VideoTrack::from_record(codec, any.clone().into());
        }
        if let Ok(track) = VideoTrack::from_av1c(av1) {
            prop_assert!((1..=16_384).contains(&track.width) && (1..=16_384).contains(&track.height));
        }
        for track in [AudioTrack::from_opus_head(opus), AudioTrack::from_asc(asc.into())].into_iter().flatten() {
            prop_assert!((1..=24).contains(&track.channels) && (7350..=192_000).contains(&track.sample_rate));
            prop_assert!((120..=5760).contains(&track.samples_in(&any)));
        }
    }
}
