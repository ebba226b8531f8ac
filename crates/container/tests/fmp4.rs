//! What players and demuxers find in the initialisation section and the parts, seen with an independent reader.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod fmp4_streams;

use std::sync::Arc;

use fmp4_streams::*;
use kaibo_container::{
    fmp4::{self, Timed},
    segment::Sample,
};
use kaibo_media::{
    AudioCodec, AudioTrack, Cue, Span, Timestamp, TrackId, Tracks, UnixMillis, VideoCodec, VideoTrack,
};
use proptest::prelude::*;
use shiguredo_mp4::{
    Decode, TrackKind,
    boxes::{FtypBox, MoofBox, MoovBox, SampleEntry},
    demux::Fmp4SegmentDemuxer,
};

fn opus() -> AudioTrack {
    AudioTrack { codec: AudioCodec::Opus, config: unhex(OPUS), samples_per_frame: 960, ..aac() }
}

fn demuxer(tracks: &Tracks) -> Fmp4SegmentDemuxer {
    let mut demuxer = Fmp4SegmentDemuxer::new();
    demuxer.handle_init_segment(&fmp4::init(tracks).unwrap()).unwrap();
    demuxer
}

fn sample_entries(tracks: &Tracks) -> Vec<SampleEntry> {
    let bytes = fmp4::init(tracks).unwrap();
    let (_, ftyp) = FtypBox::decode(&bytes).unwrap();
    let (moov, len) = MoovBox::decode(&bytes[ftyp..]).unwrap();
    assert_eq!(ftyp + len, bytes.len());
    assert!(
        moov.trak_boxes.iter().all(|trak| trak.edts_box.is_none()),
        "no edit list shifts sound against picture"
    );
    let ids: Vec<u32> = moov.trak_boxes.iter().map(|trak| trak.tkhd_box.track_id).collect();
    let extends: Vec<u32> = moov.mvex_box.unwrap().trex_boxes.iter().map(|trex| trex.track_id).collect();
    assert_eq!(ids, extends);
    moov.trak_boxes.into_iter().flat_map(|trak| trak.mdia_box.minf_box.stbl_box.stsd_box.entries).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn every_codec_has_its_sample_entry_with_its_configuration_byte_for_byte() {
    for (codec, config, kind) in [
        (VideoCodec::H264, AVCC, b"avcC"),
        (VideoCodec::H265, HVCC, b"hvcC"),
        (VideoCodec::Av1, AV1C, b"av1C"),
        (VideoCodec::Vp9, VPCC, b"vpcC"),
    ] {
        let tracks = Tracks { video: Some(video(codec, config)), audio: None };
        let entry = &sample_entries(&tracks)[0];
        let (width, height) = match (codec, entry) {
            (VideoCodec::H264, SampleEntry::Avc1(entry)) => (entry.visual.width, entry.visual.height),
            (VideoCodec::H265, SampleEntry::Hvc1(entry)) => (entry.visual.width, entry.visual.height),
            (VideoCodec::Av1, SampleEntry::Av01(entry)) => (entry.visual.width, entry.visual.height),
            (VideoCodec::Vp9, SampleEntry::Vp09(entry)) => (entry.visual.width, entry.visual.height),
            (codec, entry) => panic!("{codec:?} in {entry:?}"),
        };
        assert_eq!((width, height), (320, 180));
        let verbatim = [kind, &unhex(config)[..]].concat();
        assert!(contains(&fmp4::init(&tracks).unwrap(), &verbatim), "{codec:?}");
    }
}

#[test]
fn a_vp9_record_without_the_box_header_gets_it() {
    let with = Tracks { video: Some(video(VideoCodec::Vp9, VPCC)), audio: None };
    let without = Tracks { video: Some(video(VideoCodec::Vp9, &VPCC[8..])), audio: None };
    assert_eq!(fmp4::init(&with).unwrap(), fmp4::init(&without).unwrap());
}

#[test]
fn aac_and_opus_keep_their_configuration() {
    let [entry] = &sample_entries(&aac_only())[..] else { panic!() };
    let SampleEntry::Mp4a(entry) = entry else { panic!("{entry:?}") };
    let decoder = &entry.esds_box.es.dec_config_descr;
    assert_eq!(decoder.object_type_indication, 0x40);
    assert_eq!(decoder.dec_specific_info.as_ref().unwrap().payload, unhex(AAC));
    assert_eq!((entry.audio.channelcount, entry.audio.samplerate.integer), (2, 48_000));

    let tracks = Tracks { video: None, audio: Some(opus()) };
    let [SampleEntry::Opus(entry)] = &sample_entries(&tracks)[..] else { panic!() };
    assert_eq!((entry.dops_box.output_channel_count, entry.dops_box.pre_skip), (2, 312));
    assert_eq!((entry.dops_box.input_sample_rate, entry.dops_box.output_gain), (48_000, 0));
}

#[test]
fn rates_that_16_bits_cannot_hold_stand_in_the_media_header() {
    let tracks = Tracks { video: None, audio: Some(AudioTrack { sample_rate: 96_000, ..aac() }) };
    assert_eq!(demuxer(&tracks).tracks().unwrap()[0].timescale.get(), 96_000);
}

#[test]
fn what_mp4_cannot_carry_is_refused() {
    let audio = |audio: AudioTrack| Tracks { video: None, audio: Some(audio) };
    let video = |video: VideoTrack| Tracks { video: Some(video), audio: None };
    let h264 = h264().video.clone().unwrap();
    assert_eq!(fmp4::init(&Tracks::default()), Err(fmp4::Error::NoTracks));
    for tracks in [
        audio(AudioTrack { sample_rate: 0, ..aac() }),
        audio(AudioTrack { config: "OpusHea".into(), ..opus() }),
        audio(AudioTrack { config: vec![0; 70_000].into(), ..aac() }),
        video(VideoTrack { width: 70_000, ..h264.clone() }),
        video(VideoTrack { config: "".into(), ..h264 }),
    ] {
        assert!(matches!(fmp4::init(&tracks), Err(fmp4::Error::Unsupported(_))), "{tracks:?}");
    }
}

/// Three pictures with reordering (29.97 per second as RTMP's milliseconds show it) and two audio frames.
fn small_part(tracks: &Arc<Tracks>) -> (Vec<Timed>, Vec<Timed>) {
    let mut publisher = Publisher::new(tracks.clone());
    let mut timed = |track, dts, end, offset, keyframe| {
        let mut frame = publisher.frame(track, dts, keyframe);
        frame.pts_offset = Span::from_millis(offset);
        Timed { frame: Arc::new(frame), end }
    };
    let video = vec![
        timed(TrackId::Video, ms(1000), ms(1033), 67, true),
        timed(TrackId::Video, ms(1033), ms(1067), 100, false),
        timed(TrackId::Video, ms(1067), ms(1100), 0, false),
    ];
    let tick = |frame: i64| Timestamp::from_scale(48_000 + frame * 1024, 48_000);
    let audio = vec![
        timed(TrackId::Audio, tick(0), tick(1), 0, false),
        timed(TrackId::Audio, tick(1), tick(2), 0, false),
    ];
    (video, audio)
}

#[test]
fn a_part_says_when_each_frame_is_due_and_where_it_lies() {
    let tracks = h264_aac();
    let (video, audio) = small_part(&tracks);
    let (bytes, ours) = fmp4::part(7, &tracks, &video, &audio, &[]);
    let (moof, _) = MoofBox::decode(&bytes).unwrap();
    assert_eq!(moof.mfhd_box.sequence_number, 7);
    assert!(moof.traf_boxes.iter().all(|traf| traf.tfhd_box.default_base_is_moof));

    let mut demuxer = demuxer(&tracks);
    let samples = demuxer.handle_media_segment(&bytes).unwrap();
    let seen: Vec<_> = samples
        .iter()
        .map(|sample| {
            let offset = sample.composition_time_offset.unwrap_or(0);
            (sample.track.kind, sample.timestamp, sample.duration, offset, sample.keyframe)
        })
        .collect();
    assert_eq!(
        seen,
        [
            (TrackKind::Video, 90_000, 2970, 6030, true),
            (TrackKind::Video, 92_970, 3060, 9000, false),
            (TrackKind::Video, 96_030, 2970, 0, false),
            (TrackKind::Audio, 48_000, 1024, 0, true),
            (TrackKind::Audio, 49_024, 1024, 0, true),
        ]
    );
    for ((sample, ours), timed) in samples.iter().zip(&ours).zip(video.iter().chain(&audio)) {
        let offset = sample.data_offset as usize;
        assert_eq!(bytes[offset..offset + sample.data_size], timed.frame.data);
        assert_eq!(bytes[ours.range.start as usize..ours.range.end as usize], timed.frame.data);
    }
}

#[test]
fn a_part_reads_back_as_it_was_written() {
    let tracks = h264_aac();
    let (video, audio) = small_part(&tracks);
    let (bytes, written) = fmp4::part(7, &tracks, &video, &audio, &[]);
    let read = fmp4::read_part(&bytes, &tracks).unwrap();
    assert_eq!((read.len, read.sequence), (bytes.len(), 7));
    assert_eq!((read.start, read.duration), (ms(1000), span(100)));
    assert_eq!(format!("{:?}", read.samples), format!("{written:?}"));
}

fn cue() -> Arc<Cue> {
    Arc::new(Cue {
        id: "e-1".into(),
        kind: "product".into(),
        payload: r#"{"name":"tea"}"#.into(),
        at: ms(1033),
        wall: UnixMillis(1_700_000_001_033),
        script: None,
    })
}

#[test]
fn an_event_stands_in_front_of_its_part_and_moves_no_frame() {
    let tracks = h264_aac();
    let (video, audio) = small_part(&tracks);
    let (plain, before) = fmp4::part(7, &tracks, &video, &audio, &[]);
    let (bytes, samples) = fmp4::part(7, &tracks, &video, &audio, &[cue()]);
    let json =
        r#"{"id":"e-1","type":"product","media_ms":1033,"unix_ms":1700000001033,"payload":{"name":"tea"}}"#;
    let tag = [
        &b"ID3\x04\0\0\0\0\0"[..],
        &[17 + json.len() as u8],
        b"TXXX\0\0\0",
        &[7 + json.len() as u8],
        b"\0\0\x03kaibo\0",
        json.as_bytes(),
    ]
    .concat();
    let body = [
        // Version 1; 90 kHz; 92,970 ticks; no duration; FNV-1a of `e-1`.
        &b"emsg\x01\0\0\0\0\x01\x5F\x90\0\0\0\0\0\x01\x6B\x2A\0\0\0\0\x30\x29\xAA\xF2"[..],
        b"https://aomedia.org/emsg/ID3\0product\0",
        &tag,
    ]
    .concat();
    let event = [&(4 + body.len() as u32).to_be_bytes()[..], &body].concat();
    assert_eq!(bytes[..event.len()], event);
    assert_eq!(bytes[event.len()..], plain);
    let read = fmp4::read_part(&bytes, &tracks).unwrap();
    assert_eq!((&*read.cues, read.len), (&[cue()][..], bytes.len()));
    assert_eq!(format!("{:?}", read.samples), format!("{samples:?}"));
    for (moved, sample) in samples.iter().zip(&before) {
        let range = |sample: &Sample| sample.range.start as usize..sample.range.end as usize;
        assert_eq!(bytes[range(moved)], plain[range(sample)]);
    }
}

#[test]
fn a_torn_recording_is_read_up_to_its_last_whole_part() {
    let tracks = h264_aac();
    let (video, audio) = small_part(&tracks);
    let parts: Vec<_> = (0..3).map(|number| fmp4::part(number, &tracks, &video, &audio, &[]).0).collect();
    let bytes = parts.concat();
    let len = parts[0].len();
    for end in 0..=bytes.len() {
        let mut walk = fmp4::fragments(&bytes[..end], &tracks);
        let whole = walk.by_ref().filter(Result::is_ok).count();
        assert_eq!((whole, walk.whole()), (end / len, end / len * len));
    }
}

#[test]
fn a_part_without_frames_is_still_a_part() {
    let (bytes, samples) = fmp4::part(1, &h264_aac(), &[], &[], &[]);
    let read = fmp4::read_part(&bytes, &h264_aac()).unwrap();
    assert_eq!((read.len, read.samples.len(), samples.len()), (bytes.len(), 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_parts_are_refused_or_read_within_bounds(
        damage in prop::collection::vec((0usize..600, any::<u8>()), 1..6),
        cut in 0usize..600,
    ) {
        let tracks = h264_aac();
        let (video, audio) = small_part(&tracks);
        let mut bytes = fmp4::part(7, &tracks, &video, &audio, &[cue()]).0.to_vec();
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.max(100));
        if let Ok(part) = fmp4::read_part(&bytes, &tracks) {
            prop_assert!(part.len <= bytes.len());
            prop_assert!(part.samples.iter().all(|sample| sample.range.end as usize <= part.len));
        }
    }

    #[test]
    fn noise_is_no_part(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(fmp4::read_part(&bytes, &h264_aac()).is_err());
    }
}
