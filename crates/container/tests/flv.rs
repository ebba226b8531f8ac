//! FLV as encoders send it and as players want it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kaibo_container::flv::{
    Audio, Error, Flv, HevcForm, Packager, TagKind, Tags, Video, parse_audio, parse_video, websocket_header,
};
use kaibo_media::{
    AudioCodec, AudioTrack, Cue, Frame, Item, Run, Span, Timestamp, TrackId, Tracks, UnixMillis, VideoCodec,
    VideoTrack, nal,
};
use proptest::{collection::vec, prelude::*};

fn video_of(body: &[u8]) -> Video {
    parse_video(Bytes::copy_from_slice(body)).unwrap()
}

fn audio_of(body: &[u8]) -> Audio {
    parse_audio(Bytes::copy_from_slice(body)).unwrap()
}

fn config(codec: VideoCodec, record: &'static [u8]) -> Video {
    Video::Config { codec, record: Bytes::from_static(record) }
}

fn picture(codec: VideoCodec, composition_ms: i32, keyframe: bool, data: &'static [u8]) -> Video {
    Video::Frame { codec, composition_ms, nanos: 0, keyframe, data: Bytes::from_static(data) }
}

#[test]
fn reads_pictures_as_every_encoder_sends_them() {
    use VideoCodec::*;
    // OBS and ffmpeg; composition times have a sign.
    assert_eq!(video_of(b"\x17\0\0\0\0\x01dA"), config(H264, b"\x01dA"));
    assert_eq!(video_of(b"\x17\x01\0\0\x50data"), picture(H264, 80, true, b"data"));
    assert_eq!(video_of(b"\x27\x01\xFF\xFF\xD8data"), picture(H264, -40, false, b"data"));
    // Encoders for Chinese CDNs.
    assert_eq!(video_of(b"\x1C\0\0\0\0record"), config(H265, b"record"));
    assert_eq!(video_of(b"\x2C\x01\0\0\x28data"), picture(H265, 40, false, b"data"));
    // Enhanced RTMP: only H.264 and H.265 have composition times, and those only in CodedFrames.
    assert_eq!(video_of(b"\x90hvc1record"), config(H265, b"record"));
    assert_eq!(video_of(b"\x91hvc1\0\0\x28data"), picture(H265, 40, true, b"data"));
    assert_eq!(video_of(b"\xA3hvc1data"), picture(H265, 0, false, b"data"));
    assert_eq!(video_of(b"\xA1avc1\xFF\xFF\xFFdata"), picture(H264, -1, false, b"data"));
    assert_eq!(video_of(b"\x91av01data"), picture(Av1, 0, true, b"data"));
    assert_eq!(video_of(b"\x93vp09data"), picture(Vp9, 0, true, b"data"));
}

#[test]
fn reads_sound_as_every_encoder_sends_it() {
    let config = |codec, record| Audio::Config { codec, record: Bytes::from_static(record) };
    let frame = |codec, data| Audio::Frame { codec, nanos: 0, data: Bytes::from_static(data) };
    assert_eq!(audio_of(b"\xAF\0\x12\x10"), config(AudioCodec::Aac, b"\x12\x10"));
    assert_eq!(audio_of(b"\xAF\x01data"), frame(AudioCodec::Aac, b"data"));
    // Some encoders set rate and channel bits as they please.
    assert_eq!(audio_of(b"\xA2\x01data"), frame(AudioCodec::Aac, b"data"));
    assert_eq!(audio_of(b"\x90mp4a\x12\x10"), config(AudioCodec::Aac, b"\x12\x10"));
    assert_eq!(audio_of(b"\x90OpusOpusHead"), config(AudioCodec::Opus, b"OpusHead"));
    assert_eq!(audio_of(b"\x91Opusdata"), frame(AudioCodec::Opus, b"data"));
}

#[test]
fn knows_the_last_tag() {
    for end in [&b"\x17\x02"[..], b"\x17\x02\0\0\0", b"\x92hvc1", b"\x92av01"] {
        assert_eq!(video_of(end), Video::End);
    }
    assert_eq!(audio_of(b"\x92mp4a"), Audio::End);
}

#[test]
fn passes_over_what_is_not_media() {
    // Nothing; a command (seek); no record; no picture; ffmpeg's HDR metadata, whose frame type means nothing; MPEG-2
    // TS start; an extended command; an unknown packet type.
    let bodies: [&[u8]; 8] = [
        b"",
        b"\x57\0",
        b"\x17\0\0\0\0",
        b"\x27\x01\0\0\0",
        b"\xD4av01\x02",
        b"\x95av01x",
        b"\xD1\0",
        b"\x98av01",
    ];
    for body in bodies {
        assert_eq!(video_of(body), Video::Ignored, "{body:?}");
    }
    // Silence; an empty AudioSpecificConfig; the channel layout that ffmpeg sends with Opus.
    for body in [&b""[..], b"\xAF\0", b"\x94Opus\x01\x02\0\0\0\x03"] {
        assert_eq!(audio_of(body), Audio::Ignored, "{body:?}");
    }
}

#[test]
fn takes_track_0_of_several() {
    let expected = picture(VideoCodec::H264, 80, true, b"data");
    // One track; many of one codec; many with a codec each. The sizes go over the other tracks.
    assert_eq!(video_of(b"\x96\x01avc1\0\0\0\x50data"), expected);
    assert_eq!(video_of(b"\x96\x11avc1\x01\0\0\x05other\0\0\0\x07\0\0\x50data"), expected);
    assert_eq!(video_of(b"\x96\x21hvc1\x01\0\0\x05otheravc1\0\0\0\x07\0\0\x50data"), expected);
    assert_eq!(video_of(b"\x96\x01avc1\x01\0\0\x50data"), Video::Ignored, "only track 1");
    // An unknown codec on another track is none of ours.
    assert_eq!(video_of(b"\x96\x21vvc1\x01\0\0\x05other"), Video::Ignored);
    let sound = Audio::Frame { codec: AudioCodec::Aac, nanos: 0, data: Bytes::from_static(b"data") };
    assert_eq!(audio_of(b"\x95\x01mp4a\0data"), sound);
    assert_eq!(audio_of(b"\x95\x11mp4a\x01\0\0\x05other\0\0\0\x04data"), sound);
}

#[test]
fn adds_the_nanoseconds_of_a_wrapper() {
    let nanos = |body: &[u8]| match video_of(body) {
        Video::Frame { nanos, composition_ms: 80, data, .. } if data == b"data"[..] => nanos,
        other => panic!("{other:?}"),
    };
    // ModEx: size - 1, data, type and packet type behind it.
    assert_eq!(nanos(b"\x97\x02\x0F\x42\x3F\x01avc1\0\0\x50data"), 999_999);
    assert_eq!(nanos(b"\x97\x02\x0F\x42\x40\x01avc1\0\0\x50data"), 999_999, "no more than allowed");
    assert_eq!(nanos(b"\x97\x00\xAA\x51avc1\0\0\x50data"), 0, "unknown type");
    // Two wrappers, one of them with a long size: 255 says that 16 bits follow.
    let long = [b"\x97\xFF\x01\x2B", &[9; 300][..], b"\x57\x02\0\0\x05\x01avc1\0\0\x50data"].concat();
    assert_eq!(nanos(&long), 5);
    match audio_of(b"\x97\x02\0\0\x07\x01Opusdata") {
        Audio::Frame { nanos: 7, codec: AudioCodec::Opus, .. } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_what_it_does_not_carry() {
    let video = |body| parse_video(Bytes::from_static(body)).unwrap_err().to_string();
    let audio = |body| parse_audio(Bytes::from_static(body)).unwrap_err().to_string();
    assert_eq!(video(b"\x12data"), "video codec id 2 (Sorenson H.263) is not supported");
    assert_eq!(video(b"\x91vvc1data"), "video FourCC vvc1 is not supported");
    assert_eq!(video(b"\x91\0<\n\xFFdata"), r"video FourCC \x00<\n\xff is not supported");
    assert_eq!(audio(b"\x2Fdata"), "audio format 2 (MP3) is not supported");
    assert_eq!(audio(b"\x91fLaCdata"), "audio FourCC fLaC is not supported");
    assert_eq!(video(b"\x17"), "the video tag is cut short at byte 1");
    assert_eq!(video(b"\x17\x01\0"), "the video tag is cut short at byte 2");
    assert_eq!(video(b"\x96\x11avc1\0\0\0\x07dat"), "the video tag is cut short at byte 10");
    assert_eq!(audio(b"\x95\x35mp4a"), "the audio tag is malformed at byte 2");
}

#[test]
fn a_picture_is_not_copied() {
    let body = Bytes::from_static(b"\x96\x11avc1\x01\0\0\x05other\0\0\0\x07\0\0\x50data");
    let Video::Frame { data, .. } = parse_video(body.clone()).unwrap() else { panic!() };
    assert_eq!(data.as_ptr(), body[body.len() - 4..].as_ptr());
}

fn video_track(codec: VideoCodec) -> VideoTrack {
    let config = Bytes::from_static(b"record");
    VideoTrack { codec, config, width: 1280, height: 720, frame_rate: Some(30.0), codecs: String::new() }
}

fn audio_track(codec: AudioCodec) -> AudioTrack {
    AudioTrack {
        codec,
        config: Bytes::from_static(b"\x12\x10"),
        sample_rate: 44_100,
        channels: 2,
        samples_per_frame: 1024,
        codecs: String::new(),
    }
}

fn tracks(video: Option<VideoCodec>, audio: Option<AudioCodec>) -> Arc<Tracks> {
    Arc::new(Tracks { video: video.map(video_track), audio: audio.map(audio_track) })
}

fn h264_and_aac() -> Arc<Tracks> {
    tracks(Some(VideoCodec::H264), Some(AudioCodec::Aac))
}

fn frame(tracks: &Arc<Tracks>, track: TrackId, dts_ms: i64, keyframe: bool, data: Bytes) -> Frame {
    Frame {
        tracks: Arc::clone(tracks),
        run: Run::default(),
        track,
        dts: Timestamp::from_millis(dts_ms),
        pts_offset: Span::ZERO,
        keyframe,
        filler: false,
        data,
    }
}

/// The tags of `bytes`, which follow a header or are the first of a stream.
fn tags(bytes: &[u8]) -> Vec<(TagKind, u32, Bytes)> {
    let file = if bytes.starts_with(b"FLV") {
        bytes.to_vec()
    } else {
        [b"FLV\x01\x05\0\0\0\x09\0\0\0\0", bytes].concat()
    };
    Tags::new(file.into()).unwrap().map(Result::unwrap).map(|tag| (tag.kind, tag.time_ms, tag.body)).collect()
}

#[test]
fn the_header_announces_the_tracks_that_there_are() {
    let flags = |video, audio| Flv::default().header(&tracks(video, audio), 0).unwrap()[4];
    assert_eq!(flags(Some(VideoCodec::H264), Some(AudioCodec::Aac)), 5);
    assert_eq!(flags(Some(VideoCodec::H264), None), 1);
    assert_eq!(flags(None, Some(AudioCodec::Opus)), 4);

    let header = Flv::default().header(&h264_and_aac(), 16_777_217).unwrap();
    assert_eq!(header[..13], *b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
    let tags = tags(&header);
    assert_eq!(tags[1], (TagKind::Video, 16_777_217, Bytes::from_static(b"\x17\0\0\0\0record")));
    assert_eq!(tags[2], (TagKind::Audio, 16_777_217, Bytes::from_static(b"\xAF\0\x12\x10")));
    assert_eq!((tags.len(), tags[0].0, tags[0].1), (3, TagKind::Script, 0));
    let sequence_headers = Flv::default().sequence_headers(&h264_and_aac(), 16_777_217);
    assert!(header.ends_with(&sequence_headers));
    // Time in 24 bits and 8 above them, stream id 0, the size of tag behind it.
    assert_eq!(sequence_headers[..11], [9, 0, 0, 11, 0, 0, 1, 1, 0, 0, 0]);
    assert_eq!(sequence_headers[22..26], 22u32.to_be_bytes());
}

#[test]
fn metadata_tells_what_players_ask_for() {
    let metadata = Flv::default().metadata(&tracks(Some(VideoCodec::H264), None));
    let expected = [
        &b"\x02\0\x0AonMetaData\x08\0\0\0\x06\0\x08hasVideo\x01\x01\0\x08hasAudio\x01\0"[..],
        b"\0\x05width\0\x40\x94\0\0\0\0\0\0\0\x06height\0\x40\x86\x80\0\0\0\0\0",
        b"\0\x09framerate\0\x40\x3E\0\0\0\0\0\0\0\x0Cvideocodecid\0\x40\x1C\0\0\0\0\0\0\0\0\x09",
    ];
    assert_eq!(metadata, expected.concat());
    let metadata = Flv::default().metadata(&tracks(Some(VideoCodec::H265), Some(AudioCodec::Opus)));
    let has = |key: &[u8], number: u32| {
        let entry = [key, &[0], &f64::from(number).to_be_bytes()].concat();
        metadata.windows(entry.len()).any(|window| window == entry)
    };
    assert!(
        has(b"videocodecid", u32::from_be_bytes(*b"hvc1"))
            && has(b"audiocodecid", u32::from_be_bytes(*b"Opus"))
    );
}

#[test]
fn each_codec_in_the_form_that_players_know() {
    let body = |flv: Flv, codec, keyframe| {
        let mut late =
            frame(&tracks(Some(codec), None), TrackId::Video, 5, keyframe, Bytes::from_static(b"data"));
        late.pts_offset = Span::from_millis(80);
        let mut out = BytesMut::new();
        flv.write_tag(&mut out, &late);
        tags(&out).pop().map(|tag| tag.2.to_vec()).unwrap_or_default()
    };
    let flv = Flv::default();
    assert_eq!(body(flv, VideoCodec::H264, true), b"\x17\x01\0\0\x50data");
    assert_eq!(body(flv, VideoCodec::H265, false), b"\xA1hvc1\0\0\x50data");
    assert_eq!(body(Flv { hevc: HevcForm::Legacy }, VideoCodec::H265, false), b"\x2C\x01\0\0\x50data");
    assert_eq!(body(flv, VideoCodec::Av1, true), b"\x91av01data");
    // No player opens VP9 in FLV.
    assert_eq!(body(flv, VideoCodec::Vp9, true), b"");
    let refused = flv.header(&tracks(Some(VideoCodec::Vp9), None), 0);
    assert_eq!(refused, Err(Error::Unsupported("VP9 in FLV".to_owned())));
}

#[test]
fn time_stays_within_31_bits() {
    let mut out = BytesMut::new();
    for time in [-50, 0x7FFF_FFFE, 0x8000_0000] {
        let data = Bytes::from_static(b"data");
        Flv::default().write_tag(&mut out, &frame(&h264_and_aac(), TrackId::Audio, time, true, data));
    }
    assert_eq!(tags(&out).iter().map(|tag| tag.1).collect::<Vec<_>>(), [0, 0x7FFF_FFFE, 0x7FFF_FFFF]);
}

#[test]
fn reads_a_file_to_where_it_is_cut() {
    let mut file = BytesMut::from(&Flv::default().header(&h264_and_aac(), 0).unwrap()[..]);
    let whole = file.len();
    // A tag of a kind that nobody knows is passed over.
    file.put_slice(b"\x0F\0\0\x01\0\0\0\0\0\0\0x\0\0\0\x0C");
    Flv::default()
        .write_tag(&mut file, &frame(&h264_and_aac(), TrackId::Audio, 1, true, Bytes::from_static(b"data")));
    let file = file.freeze();
    assert_eq!(tags(&file).len(), 4);
    let mut cut = Tags::new(file.slice(..whole + 30)).unwrap();
    assert_eq!(cut.by_ref().take(3).filter(Result::is_ok).count(), 3);
    assert!(matches!(cut.next(), Some(Err(Error::Truncated { .. }))));
    assert_eq!(cut.next(), None);
    assert!(Tags::new(Bytes::from_static(b"<html>not an FLV file")).is_err());
    assert!(Tags::new(Bytes::from_static(b"FLV\x01\x05\0\0\0\x08\0\0\0\0")).is_err());
}

fn push(packager: &mut Packager<Flv>, frame: &Frame) -> Option<(Vec<(TagKind, u32)>, bool)> {
    packager.push(&Item::Frame(Arc::new(frame.clone()))).map(|block| {
        let tags: Vec<_> = tags(&block.bytes).into_iter().map(|tag| (tag.0, tag.1)).collect();
        (tags, block.keyframe)
    })
}

#[test]
fn blocks_begin_at_key_pictures() {
    let tracks = h264_and_aac();
    let video = |time, keyframe| frame(&tracks, TrackId::Video, time, keyframe, Bytes::from_static(b"data"));
    let audio = |time| frame(&tracks, TrackId::Audio, time, false, Bytes::from_static(b"data"));
    let text = frame(&tracks, TrackId::Data, 45, false, Bytes::from_static(b"\x02\0\x0AonTextData"));
    let mut packager = Packager::new(Flv::default());
    for frame in [video(0, true), audio(3), video(40, false), text] {
        assert_eq!(push(&mut packager, &frame), None);
    }
    use TagKind::*;
    let first = vec![(Video, 0), (Audio, 3), (Video, 40), (Script, 45)];
    assert_eq!(push(&mut packager, &video(80, true)), Some((first, true)));
    // The batch timer runs out; then the publisher goes away.
    let block = packager.flush().unwrap();
    assert_eq!((block.start, block.frames, block.keyframe), (Timestamp::from_millis(80), 1, true));
    assert!(packager.flush().is_none() && packager.push(&Item::Break).is_none());
    assert_eq!(push(&mut packager, &audio(99)), None);
    assert!(!packager.push(&Item::Break).unwrap().keyframe);
}

#[test]
fn filler_brings_its_parameter_sets_and_is_never_thin() {
    let mut tracks = Tracks::clone(&h264_and_aac());
    let (sps, pps) = (b"\x67sequence", b"\x68picture");
    let record = [b"\x01\x64\x00\x1f\xff\xe1\x00\x09", &sps[..], b"\x01\x00\x08", pps].concat();
    tracks.video.as_mut().unwrap().config = record.into();
    let tracks = Arc::new(tracks);
    let picture = |keyframe, size: usize| {
        let data =
            [&(size as u32 - 4).to_be_bytes()[..], &[if keyframe { 0x65 } else { 0x41 }], &vec![7; size - 5]];
        Frame { filler: true, ..frame(&tracks, TrackId::Video, 0, keyframe, data.concat().into()) }
    };
    let kinds = |body: &[u8]| -> Vec<u8> { nal::units(body).map(|unit| unit.unwrap()[0]).collect() };
    for (keyframe, size, expected) in [
        (true, 900, &[0x67, 0x68, 0x06, 0x65][..]),
        (true, 40_000, &[0x67, 0x68, 0x65]),
        (false, 14, &[0x06, 0x41]),
    ] {
        let frame = picture(keyframe, size);
        let body = Flv::default().body(&frame);
        assert_eq!(kinds(&body), expected);
        assert!(body.ends_with(&frame.data));
        let least = if keyframe { 12_000 } else { 4_800 };
        assert!((least..least + 500).contains(&body.len()) || size > least, "{}", body.len());
        assert_eq!(Flv::default().body(&Frame { filler: false, ..frame.clone() }), frame.data);
    }
}

#[test]
fn sound_alone_is_gathered_until_flushed() {
    let tracks = tracks(None, Some(AudioCodec::Aac));
    let mut packager = Packager::new(Flv::default());
    for time in [0, 23, 46] {
        assert_eq!(
            push(&mut packager, &frame(&tracks, TrackId::Audio, time, true, Bytes::from_static(b"data"))),
            None
        );
    }
    let block = packager.flush().unwrap();
    assert_eq!((block.frames, block.keyframe), (3, true));
}

#[test]
fn changed_parameters_come_before_their_first_frame_and_equal_ones_do_not() {
    let old = h264_and_aac();
    let mut changed = Tracks::clone(&old);
    changed.video.as_mut().unwrap().config = Bytes::from_static(b"other record");
    let changed = Arc::new(changed);
    let video =
        |tracks: &Arc<Tracks>, time| frame(tracks, TrackId::Video, time, false, Bytes::from_static(b"data"));
    let mut packager = Packager::new(Flv::default());
    assert_eq!(push(&mut packager, &video(&old, 0)), None);
    assert_eq!(push(&mut packager, &video(&Arc::new(Tracks::clone(&old)), 40)), None);
    // A joiner was sent the first ones with the header, so they are not in the first block.
    assert_eq!(
        push(&mut packager, &video(&changed, 80)).unwrap().0,
        [(TagKind::Video, 0), (TagKind::Video, 40)]
    );
    let block = packager.flush().unwrap();
    assert!(Arc::ptr_eq(&block.tracks, &changed));
    let bodies: Vec<_> = tags(&block.bytes).into_iter().map(|tag| tag.2).collect();
    assert_eq!(bodies[0], b"\x17\0\0\0\0other record"[..]);
    assert_eq!((bodies.len(), &bodies[2][..]), (3, &b"\x27\x01\0\0\0data"[..]));
}

#[test]
fn a_block_holds_frames_of_one_run() {
    let first = frame(&h264_and_aac(), TrackId::Audio, 0, true, Bytes::from_static(b"data"));
    let run = Run { number: 1, start: Timestamp::from_millis(23), wall: UnixMillis(5) };
    let mut packager = Packager::new(Flv::default());
    assert_eq!(push(&mut packager, &first), None);
    assert!(push(&mut packager, &Frame { run, ..first }).is_some());
    assert_eq!(packager.flush().unwrap().run, run);
}

#[test]
fn a_block_is_bounded_and_a_large_picture_is_not_cut() {
    let tracks = h264_and_aac();
    let mut packager = Packager::new(Flv::default());
    let mut blocks = Vec::new();
    let sizes = [100_000, 100_000, 100_000, 3_000_000, 10];
    for (time, size) in (0..).zip(sizes) {
        let item = Item::Frame(Arc::new(frame(&tracks, TrackId::Video, time, false, vec![0; size].into())));
        blocks.extend(packager.push(&item));
    }
    blocks.extend(packager.flush());
    let frames: Vec<u32> = blocks.iter().map(|block| block.frames).collect();
    assert_eq!(frames[..2], [2, 1]);
    assert_eq!(frames.iter().sum::<u32>(), 5);
    assert!(blocks.iter().all(|block| block.bytes.len() <= 256 * 1024 || block.frames <= 2));
}

#[test]
fn websocket_headers_by_length() {
    // RFC 6455 §5.7 has such lengths as examples.
    assert_eq!(*websocket_header(5), [0x82, 5]);
    assert_eq!(*websocket_header(125), [0x82, 125]);
    assert_eq!(*websocket_header(126), [0x82, 126, 0, 126]);
    assert_eq!(*websocket_header(65_535), [0x82, 126, 0xFF, 0xFF]);
    assert_eq!(*websocket_header(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
}

proptest! {
    /// No body makes the readers panic, and what they hand out is part of the body.
    #[test]
    fn any_bytes_are_survived(
        head in prop_oneof![
            vec(any::<u8>(), 0..2),
            (0x90..=0xFFu8, prop_oneof![Just("hvc1"), Just("av01"), Just("mp4a"), Just("Opus"), Just("\x02\0\0\x07")])
                .prop_map(|(first, four_cc)| [&[first], four_cc.as_bytes()].concat()),
        ],
        tail in vec(any::<u8>(), 0..64),
    ) {
        let body = Bytes::from([head, tail].concat());
        if let Ok(Video::Frame { data, nanos, composition_ms, .. }) = parse_video(body.clone()) {
            prop_assert!(body.windows(data.len()).any(|window| window == data));
            prop_assert!(nanos <= 999_999 && (-0x80_0000..0x80_0000).contains(&composition_ms));
        }
        if let Ok(Audio::Frame { data, .. }) = parse_audio(body.clone()) {
            prop_assert!(body.windows(data.len()).any(|window| window == data));
        }
        let file = [b"FLV\x01\x05\0\0\0\x09\0\0\0\0", &body[..]].concat();
        prop_assert!(Tags::new(body).is_err());
        prop_assert!(Tags::new(file.into()).unwrap().count() <= 8);
    }

    /// What a viewer reads is what was published, however it is cut into blocks.
    #[test]
    fn what_is_written_is_read(
        codec in prop_oneof![Just(VideoCodec::H264), Just(VideoCodec::H265), Just(VideoCodec::Av1)],
        legacy: bool,
        frames in vec((0..2u8, 0..60i64, 0..200i64, any::<bool>(), vec(any::<u8>(), 1..300), any::<bool>()), 1..40),
    ) {
        let tracks = tracks(Some(codec), Some(AudioCodec::Opus));
        let flv = Flv { hevc: if legacy { HevcForm::Legacy } else { HevcForm::FourCc } };
        let mut packager = Packager::new(flv);
        let mut bytes = flv.header(&tracks, 0).unwrap().to_vec();
        let mut published = Vec::new();
        let mut time = 0;
        for (kind, step, offset, keyframe, data, flush) in frames {
            time += step;
            let track = if kind == 0 { TrackId::Video } else { TrackId::Audio };
            let mut frame = frame(&tracks, track, time, keyframe, data.into());
            let offset = if track == TrackId::Video && codec != VideoCodec::Av1 { offset } else { 0 };
            frame.pts_offset = Span::from_millis(offset);
            let pushed = packager.push(&Item::Frame(Arc::new(frame.clone())));
            let flushed = if flush { packager.flush() } else { None };
            for block in pushed.into_iter().chain(flushed) {
                bytes.extend_from_slice(&block.bytes);
            }
            published.push(frame);
        }
        if let Some(block) = packager.flush() {
            bytes.extend_from_slice(&block.bytes);
        }
        let tags = tags(&bytes);
        prop_assert_eq!(tags.len(), 3 + published.len());
        for ((kind, time_ms, body), frame) in tags.into_iter().skip(3).zip(published) {
            prop_assert_eq!(i64::from(time_ms), frame.dts.as_millis());
            match kind {
                TagKind::Video => prop_assert_eq!(parse_video(body).unwrap(), Video::Frame {
                    codec,
                    composition_ms: frame.pts_offset.as_millis() as i32,
                    nanos: 0,
                    keyframe: frame.keyframe,
                    data: frame.data,
                }),
                _ => prop_assert_eq!(
                    parse_audio(body).unwrap(),
                    Audio::Frame { codec: AudioCodec::Opus, nanos: 0, data: frame.data }
                ),
            }
        }
    }
}

#[test]
fn an_event_is_a_script_tag_with_its_time() {
    let tracks = h264_and_aac();
    let cue = |script| {
        Item::Cue(Arc::new(Cue {
            id: "e-1".into(),
            kind: "product".into(),
            payload: r#"{"id":1}"#.into(),
            at: Timestamp::from_millis(45),
            wall: UnixMillis(1000),
            script,
        }))
    };
    let video = |time, keyframe| frame(&tracks, TrackId::Video, time, keyframe, Bytes::from_static(b"data"));
    let mut packager = Packager::new(Flv::default());
    // One that comes before everything else waits for the first frame.
    let own = Bytes::from_static(b"\x02\0\x0AonCuePoint\x05");
    assert!(packager.push(&cue(Some(own.clone()))).is_none() && packager.flush().is_none());
    assert_eq!(push(&mut packager, &video(0, true)), None);
    assert!(packager.push(&cue(None)).is_none());
    let block = packager.flush().unwrap();
    let file = [&b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..], &block.bytes].concat();
    let tags: Vec<_> = Tags::new(file.into()).unwrap().map(Result::unwrap).collect();
    assert_eq!((tags[0].kind, tags[0].time_ms, &tags[0].body), (TagKind::Script, 45, &own));
    assert_eq!((tags[2].kind, tags[2].time_ms), (TagKind::Script, 45));
    let number = |value: f64| value.to_be_bytes();
    let expected = [
        b"\x02\0\x0ConTimedEvent\x03\0\x02id\x02\0\x03e-1\0\x04type\x02\0\x07product\0\x08media_ms\0",
        &number(45.0)[..],
        b"\0\x07unix_ms\0",
        &number(1000.0),
        b"\0\x07payload\x02\0\x08{\"id\":1}\0\0\x09",
    ]
    .concat();
    assert_eq!(tags[2].body, expected);
    // Without media no more wait than a piece of memory holds.
    for _ in 0..10_000 {
        assert!(packager.push(&cue(None)).is_none());
    }
    assert_eq!(push(&mut packager, &video(40, false)), None);
    assert!(packager.flush().unwrap().bytes.len() < 600_000);
}
