//! MPEG-TS segments as a player sees them: any number of them, one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use kaibo_container::{
    segment::{Part, Sample},
    ts,
};
use kaibo_media::{
    AudioCodec, AudioTrack, Cue, Span, Timestamp, TrackId, Tracks, UnixMillis, VideoCodec, VideoTrack,
};
use mpeg2ts::{
    pes::{PesPacketReader, ReadPesPacket},
    ts::TsPacketReader,
};
use proptest::{collection::vec, prelude::*};

const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x1F, 0xAC];
const PPS: &[u8] = &[0x68, 0xEB, 0xE3];

fn avc_config() -> Bytes {
    let mut config = vec![1, 0x64, 0x00, 0x1F, 0xFF, 0xE1, 0, SPS.len() as u8];
    config.extend_from_slice(SPS);
    config.extend_from_slice(&[1, 0, PPS.len() as u8]);
    config.extend_from_slice(PPS);
    config.into()
}

fn video(codec: VideoCodec, config: Bytes) -> Option<VideoTrack> {
    Some(VideoTrack {
        codec,
        config,
        width: 1280,
        height: 720,
        frame_rate: Some(30.0),
        codecs: String::new(),
    })
}

fn aac() -> Option<AudioTrack> {
    Some(AudioTrack {
        codec: AudioCodec::Aac,
        config: Bytes::from_static(&[0x12, 0x10]),
        sample_rate: 44_100,
        channels: 2,
        samples_per_frame: 1024,
        codecs: "mp4a.40.2".to_owned(),
    })
}

fn tracks(with_video: bool, with_audio: bool) -> Tracks {
    Tracks {
        video: video(VideoCodec::H264, avc_config()).filter(|_| with_video),
        audio: aac().filter(|_| with_audio),
    }
}

/// A frame to be, with its NAL units or its one AAC frame.
#[derive(Clone, Debug)]
struct Unit {
    track: TrackId,
    dts: Timestamp,
    pts_offset: Span,
    keyframe: bool,
    pieces: Vec<Vec<u8>>,
}

fn picture(dts_ms: i64, keyframe: bool, pieces: Vec<Vec<u8>>) -> Unit {
    let dts = Timestamp::from_millis(dts_ms);
    Unit { track: TrackId::Video, dts, pts_offset: Span::from_millis(40), keyframe, pieces }
}

fn sound(dts: Timestamp, frame: Vec<u8>) -> Unit {
    Unit { track: TrackId::Audio, dts, pts_offset: Span::ZERO, keyframe: true, pieces: vec![frame] }
}

/// A part that lasts from `start` to `end` milliseconds.
fn part(start: i64, end: i64, units: &[Unit]) -> Arc<Part> {
    let mut bytes = b"moof and head of mdat".to_vec();
    let mut samples = Vec::new();
    for unit in units {
        let from = bytes.len() as u32;
        for piece in &unit.pieces {
            if unit.track == TrackId::Video {
                bytes.extend_from_slice(&(piece.len() as u32).to_be_bytes());
            }
            bytes.extend_from_slice(piece);
        }
        let Unit { track, dts, pts_offset, keyframe, .. } = *unit;
        samples.push(Sample { track, dts, pts_offset, keyframe, range: from..bytes.len() as u32 });
    }
    Arc::new(Part {
        segment: 0,
        index: 0,
        start: Timestamp::from_millis(start),
        duration: Span::from_millis(end - start),
        independent: true,
        bytes: bytes.into(),
        samples: samples.into(),
        cues: Box::default(),
    })
}

/// An access unit as it must come out, and its times in 90 kHz.
#[derive(Clone, Debug, PartialEq)]
struct AccessUnit {
    dts: i64,
    pts: i64,
    data: Vec<u8>,
}

fn expected_picture(unit: &Unit) -> AccessUnit {
    let mut nals: Vec<&[u8]> = vec![&[0x09, 0xF0]];
    if unit.keyframe {
        nals.extend([SPS, PPS]);
    }
    nals.extend(unit.pieces.iter().map(Vec::as_slice).filter(|nal| !nal.is_empty() && nal[0] & 0x1F != 9));
    let data = nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect();
    AccessUnit { dts: clock(unit.dts), pts: clock(unit.dts + unit.pts_offset), data }
}

/// Ten seconds ahead of the timeline, in 33 bits.
fn clock(time: Timestamp) -> i64 {
    (time.in_scale(90_000) + 900_000) & 0x1_FFFF_FFFF
}

/// What a demultiplexer that isn't ours makes of it: pictures, and AAC frames with the times that players derive.
fn demux(stream: &[u8]) -> (Vec<AccessUnit>, Vec<AccessUnit>) {
    let mut reader = PesPacketReader::new(TsPacketReader::new(stream));
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    while let Some(pes) = reader.read_pes_packet().unwrap() {
        let Some(pts) = pes.header.pts else {
            assert!(pes.data.is_empty(), "payload without a time");
            continue;
        };
        let pts = pts.as_u64() as i64;
        let dts = pes.header.dts.map_or(pts, |dts| dts.as_u64() as i64);
        if pes.header.stream_id.is_video() {
            pictures.push(AccessUnit { dts, pts, data: pes.data });
        } else {
            let mut rest = &pes.data[..];
            let mut samples = 0;
            while !rest.is_empty() {
                assert_eq!(rest[..3], [0xFF, 0xF1, 0x50], "sync word and AAC-LC 44.1 kHz");
                let size =
                    usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5]) >> 5;
                let time = pts + Span::from_scale(samples, 44_100).in_scale(90_000);
                sounds.push(AccessUnit { dts: time, pts: time, data: rest[7..size].to_vec() });
                rest = &rest[size..];
                samples += 1024;
            }
            assert!(samples * 10 <= 44_100 * 3, "more than 0.3 s of sound in one PES packet");
        }
    }
    // The reader gives what is open at the end in no order.
    pictures.sort_by_key(|unit| unit.dts);
    sounds.sort_by_key(|unit| unit.dts);
    (pictures, sounds)
}

/// Reads the packets one by one and holds them against H.222.0.
fn check_packets(stream: &[u8], clock_pid: u16) {
    assert_eq!(stream.len() % 188, 0);
    let mut counters: HashMap<u16, u8> = HashMap::new();
    let (mut clock, mut tables_at) = (None::<i64>, None::<i64>);
    for (index, packet) in stream.chunks(188).enumerate() {
        assert_eq!(packet[0], 0x47, "packet {index}");
        let pid = u16::from(packet[1] & 0x1F) << 8 | u16::from(packet[2]);
        let (has_adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let counter = packet[3] & 0x0F;
        if let Some(last) = counters.insert(pid, counter) {
            let expected = if has_payload { (last + 1) % 16 } else { last };
            assert_eq!(counter, expected, "continuity of PID {pid:#x} at packet {index}");
        } else {
            assert_eq!(counter, if has_payload { 0 } else { 15 });
        }
        let adaptation = if has_adaptation { usize::from(packet[4]) + 1 } else { 0 };
        assert!(adaptation <= if has_payload { 183 } else { 184 }, "payload of packet {index}");
        if adaptation > 1 && packet[5] & 0x10 != 0 {
            assert_eq!(pid, clock_pid);
            assert_eq!(packet[10] & 0x7E, 0x7E, "reserved bits");
            let base = packet[6..10].iter().fold(0, |base, byte| base << 8 | i64::from(*byte));
            let base = base << 1 | i64::from(packet[10] >> 7);
            if let Some(last) = clock.replace(base) {
                let gap = (base - last) & 0x1_FFFF_FFFF;
                assert!(gap <= 9000, "{} ms without PCR at packet {index}", gap / 90);
            }
        }
        let starts = packet[1] & 0x40 != 0;
        if pid == 0 {
            let now = clock.unwrap_or(0);
            if let Some(last) = tables_at.replace(now).filter(|last| *last != 0) {
                assert!((now - last) & 0x1_FFFF_FFFF <= 400 * 90, "tables too rare at packet {index}");
            }
        } else if starts && (pid == 0x100 || pid == 0x101) {
            let pes = &packet[4 + adaptation..];
            assert_eq!(pes[..3], [0, 0, 1]);
            let stamps = pes[7] >> 6;
            if stamps != 0 {
                let dts = stamp(&pes[if stamps == 3 { 14 } else { 9 }..]);
                let ahead = (dts - clock.expect("a PCR comes first")) & 0x1_FFFF_FFFF;
                assert!(ahead > 0 && ahead < 90_000, "DTS is {} ms ahead of the PCR", ahead / 90);
            }
        }
    }
    for (pid, counter) in counters {
        assert_eq!(counter, 15, "PID {pid:#x} ends so that the next segment goes on");
    }
}

fn stamp(bytes: &[u8]) -> i64 {
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|index| i64::from(bytes[index]));
    (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
}

/// One second of 25 pictures and sound from `start` milliseconds, as a segment of two parts.
fn second(tracks: &Tracks, start: i64) -> Bytes {
    let mut units = Vec::new();
    for frame in 0..25 {
        let keyframe = frame == 0;
        let nal = vec![if keyframe { 0x65 } else { 0x41 }; if keyframe { 30_000 } else { 3_000 }];
        units.push(picture(start + frame * 40, keyframe, vec![nal]));
    }
    for frame in 0..43 {
        units.push(sound(Timestamp::from_millis(start + frame * 1024 * 1000 / 44_100), vec![7; 370]));
    }
    let parts = [part(start, start + 480, &units[..12]), part(start + 480, start + 1000, &units[12..])];
    let segment = ts::segment(tracks, &parts).unwrap();
    assert_eq!(ts::size(tracks, &parts).unwrap(), segment.len());
    segment
}

#[test]
fn a_segment_begins_as_players_want_it() {
    let segment = second(&tracks(true, true), 0);
    let packets: Vec<&[u8]> = segment.chunks(188).collect();
    // The very tables that ffmpeg writes for H.264 and AAC on these PIDs, and the events' stream with what points at it.
    let pat =
        [&[0x47, 0x40, 0, 0x10, 0][..], b"\0\xB0\x0D\0\x01\xC1\0\0\0\x01\xF0\0\x2A\xB1\x04\xB2"].concat();
    let pmt = [
        &[0x47, 0x50, 0, 0x10, 0][..],
        b"\x02\xB0\x3C\0\x01\xC1\0\0\xE1\0\xF0\x11\x25\x0F\xFF\xFFID3 \xFFID3 \0\x1F\0\x01",
        b"\x1B\xE1\0\xF0\0\x0F\xE1\x01\xF0\0",
        b"\x15\xE1\x02\xF0\x0F\x26\x0D\xFF\xFFID3 \xFFID3 \0\x0F\x22\xBB\x5B\x1A",
    ]
    .concat();
    for (packet, expected) in packets.iter().zip([pat, pmt]) {
        assert_eq!(packet[..expected.len()], expected);
        assert!(packet[expected.len()..].iter().all(|byte| *byte == 0xFF), "stuffed behind the section");
    }
    let picture = packets[2];
    assert_eq!(
        picture[..6],
        [0x47, 0x41, 0x00, 0x30, 0x07, 0x50],
        "random access and PCR on the picture's PID"
    );
    // PCR 9.5 s; PES header with PTS 10.04 s and DTS 10 s; delimiter, SPS, PPS, picture.
    assert_eq!(picture[6..12], [0x00, 0x06, 0x85, 0xEC, 0x7E, 0x00]);
    assert_eq!(picture[12..21], [0, 0, 1, 0xE0, 0, 0, 0x84, 0xC0, 10]);
    assert_eq!((stamp(&picture[21..]), stamp(&picture[26..])), (903_600, 900_000));
    let unit =
        [&[0, 0, 0, 1, 9, 0xF0, 0, 0, 0, 1][..], SPS, &[0, 0, 0, 1], PPS, &[0, 0, 0, 1, 0x65]].concat();
    assert_eq!(picture[31..31 + unit.len()], unit);
}

#[test]
fn a_change_of_tracks_changes_the_version_of_the_table() {
    let version = |tracks: Tracks| ts::segment(&tracks, &[]).unwrap()[188 + 10];
    let mut versions =
        [(true, true), (true, false), (false, true)].map(|(video, audio)| version(tracks(video, audio)));
    versions.sort();
    assert!(versions.windows(2).all(|pair| pair[0] != pair[1]), "{versions:x?}");
}

#[test]
fn segments_made_apart_play_as_one_stream() {
    let tracks = tracks(true, true);
    let stream: Vec<u8> = (0..4).flat_map(|number| second(&tracks, number * 1000)).collect();
    check_packets(&stream, 0x100);
    let (pictures, sounds) = demux(&stream);
    assert_eq!((pictures.len(), sounds.len()), (100, 172));
    assert_eq!(second(&tracks, 2000), second(&tracks, 2000));
}

#[test]
fn overhead_stays_small() {
    let payload = 30_000 + 24 * 3_000 + 43 * 370;
    let size = second(&tracks(true, true), 0).len();
    assert!(size < payload * 116 / 100, "{size} bytes for {payload} at 1 Mbit/s");
}

#[test]
fn times_wrap_after_33_bits() {
    let tracks = tracks(true, true);
    // 2^33 ticks are 95,443.718 s; times are 10 s ahead.
    let stream: Vec<u8> = (95_433..95_436).flat_map(|second_at| second(&tracks, second_at * 1000)).collect();
    check_packets(&stream, 0x100);
    let (pictures, _) = demux(&stream);
    assert!(
        pictures.iter().any(|unit| unit.dts < 9000) && pictures.iter().any(|unit| unit.dts > 0x1_FFFF_0000)
    );
}

#[test]
fn a_held_picture_at_one_per_second_keeps_the_clock_running() {
    let tracks = tracks(true, true);
    let units = |start: i64| [0, 1000].map(|at| picture(start + at, at == 0, vec![vec![0x65; 5000]]));
    let stream: Vec<u8> = (0..3)
        .map(|number| number * 2000)
        .flat_map(|start| ts::segment(&tracks, &[part(start, start + 2000, &units(start))]).unwrap())
        .collect();
    check_packets(&stream, 0x100);
    assert_eq!(demux(&stream).0.len(), 6);
}

#[test]
fn pictures_may_stop_while_sound_goes_on() {
    let sounds: Vec<Unit> =
        (0..40).map(|n| sound(Timestamp::from_scale(n * 1024, 44_100), vec![9; 200])).collect();
    let stream = ts::segment(&tracks(true, true), &[part(0, 929, &sounds)]).unwrap();
    check_packets(&stream, 0x100);
    assert_eq!(demux(&stream).1.len(), 40);
}

#[test]
fn the_smallest_segment_still_counts_to_sixteen() {
    // Silence in mono is 6 bytes: fewer with its header than there are packets to fill.
    let segment = |start: i64| {
        let units = [sound(Timestamp::from_millis(start), vec![0x00, 0xC8, 0x00, 0x80, 0x23, 0x80])];
        ts::segment(&tracks(false, true), &[part(start, start + 23, &units)]).unwrap()
    };
    let stream = [segment(0), segment(23)].concat();
    check_packets(&stream, 0x101);
    assert_eq!(demux(&stream).1.len(), 2);
    let nothing = ts::segment(&tracks(true, true), &[]).unwrap();
    check_packets(&nothing, 0x100);
}

#[test]
fn a_hole_of_a_day_does_not_become_a_day_of_packets() {
    let units = [0, 86_400_000].map(|at| picture(at, true, vec![vec![0x65; 50]]));
    let segment = ts::segment(&tracks(true, true), &[part(0, 86_400_000, &units)]).unwrap();
    assert!(segment.len() < 1_000_000);
}

#[test]
fn h265_has_its_own_delimiter_and_parameter_sets() {
    let [vps, sps, pps]: [&[u8]; 3] = [&[0x40, 1, 9], &[0x42, 1, 8], &[0x44, 1, 7]];
    let mut config = vec![0; 22];
    config.push(4);
    for (kind, nal) in [(0xA0, vps), (0xA1, sps), (0xA2, pps), (0x27, &[0x4E, 1, 5][..])] {
        config.extend_from_slice(&[kind, 0, 1, 0, 3]);
        config.extend_from_slice(nal);
    }
    let tracks = Tracks { video: video(VideoCodec::H265, config.into()), audio: None };
    // The delimiter (0x46) and the VPS that the encoder put in are not doubled.
    let units = [picture(0, true, vec![vec![0x46, 1, 0x50], vps.to_vec(), vec![0x26, 1, 0xAA]])];
    let stream = ts::segment(&tracks, &[part(0, 40, &units)]).unwrap();
    assert_eq!(stream[188 + 5 + 29], 0x24, "stream type");
    let data = &demux(&stream).0[0].data;
    let expected =
        [&[0x46, 1, 0x50], vps, sps, pps, &[0x26, 1, 0xAA]].map(|nal| [&[0, 0, 0, 1], nal].concat());
    assert_eq!(*data, expected.concat());
}

#[test]
fn other_codecs_are_refused_by_name() {
    let refused = |tracks: Tracks| {
        let error = ts::segment(&tracks, &[]).unwrap_err().to_string();
        assert_eq!(ts::carries(&tracks).unwrap_err().to_string(), error);
        error
    };
    let only = |codec| Tracks { video: video(codec, avc_config()), audio: None };
    assert_eq!(refused(only(VideoCodec::Av1)), "AV1 is not supported in MPEG-TS");
    assert_eq!(refused(only(VideoCodec::Vp9)), "VP9 is not supported in MPEG-TS");
    let opus = aac().map(|track| AudioTrack { codec: AudioCodec::Opus, ..track });
    assert_eq!(refused(Tracks { video: None, audio: opus }), "Opus is not supported in MPEG-TS");
    let broken = Tracks { video: video(VideoCodec::H264, Bytes::from_static(&[1, 2, 3])), audio: None };
    assert_eq!(refused(broken), "the avcC record is malformed");
}

/// NAL units of a picture: slices, now and then a delimiter or something empty.
fn nals() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let nal = (prop_oneof![8 => Just(0x41u8), 2 => Just(0x06), 1 => Just(0x09)], vec(any::<u8>(), 0..400))
        .prop_map(|(head, tail)| [&[head][..], &tail].concat());
    (vec(nal, 0..3), vec(any::<u8>(), 1..2000)).prop_map(|(mut nals, slice)| {
        nals.push([&[0x41][..], &slice].concat());
        nals
    })
}

/// How many milliseconds each lasts, and what is in it.
type Pictures = Vec<(i64, Vec<Vec<u8>>)>;
type Sounds = Vec<(i64, Vec<u8>)>;

/// What is in one segment.
fn segment_units() -> impl Strategy<Value = (Pictures, Sounds)> {
    let pictures = vec((1i64..400, nals()), 1..12);
    // Mostly the steady 23 ms with a millisecond of rounding, now and then a gap.
    let step = prop_oneof![20 => 23i64..=24, 1 => 25i64..300];
    (pictures, vec((step, vec(any::<u8>(), 1..500)), 0..60))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the samples: the same access units come out at the same times, and the packets are in order, over
    /// all segments.
    #[test]
    fn what_goes_in_comes_out(segments in vec(segment_units(), 1..4), with_video: bool, with_audio: bool) {
        let tracks = tracks(with_video, with_audio || !with_video);
        let mut stream = Vec::new();
        let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
        let mut start = 0;
        for (mut shown, mut heard) in segments {
            let (mut at, mut end) = (start, start + 1);
            let mut units = Vec::new();
            for (index, (step, nals)) in shown.drain(..).enumerate().filter(|_| with_video) {
                units.push(picture(at, index == 0, nals));
                at += step;
                end = at;
            }
            let mut at = start;
            for (step, frame) in heard.drain(..).take_while(|_| tracks.audio.is_some()) {
                // Sound never runs far beyond the pictures of its segment.
                if with_video && at >= end {
                    break;
                }
                units.push(sound(Timestamp::from_millis(at), frame));
                at += step;
                if !with_video {
                    end = at;
                }
            }
            pictures.extend(units.iter().filter(|unit| unit.track == TrackId::Video).map(expected_picture));
            sounds.extend(units.iter().filter(|unit| unit.track == TrackId::Audio).cloned());
            let middle = units.len() / 2;
            let parts = [part(start, (start + end) / 2, &units[..middle]), part((start + end) / 2, end, &units[middle..])];
            stream.extend_from_slice(&ts::segment(&tracks, &parts).unwrap());
            start = end;
        }
        check_packets(&stream, if with_video { 0x100 } else { 0x101 });
        let (seen, heard) = demux(&stream);
        prop_assert_eq!(seen, pictures);
        prop_assert_eq!(heard.len(), sounds.len());
        for (heard, sound) in heard.iter().zip(&sounds) {
            prop_assert_eq!(&heard.data, &sound.pieces[0]);
            prop_assert!((heard.pts - clock(sound.dts)).abs() <= 91, "more than 1 ms off");
        }
    }

    /// Samples and records that are no pictures and no sound: something comes out, or an error.
    #[test]
    fn garbage_is_survived(config in vec(any::<u8>(), 0..60), data in vec(any::<u8>(), 0..600), cuts in vec(any::<u16>(), 0..8)) {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            for config in [Bytes::from(config.clone()), avc_config()] {
                let audio = aac().map(|track| AudioTrack { config: config.clone(), ..track });
                let tracks = Tracks { video: video(codec, config), audio };
                let samples = cuts.windows(2).enumerate().map(|(index, cut)| Sample {
                    track: if index % 3 == 0 { TrackId::Audio } else { TrackId::Video },
                    dts: Timestamp::from_millis(i64::from(cut[0]) * 1_000_000_007),
                    pts_offset: Span::from_millis(i64::from(cut[1])),
                    keyframe: index % 2 == 0,
                    range: u32::from(cut[0] % 700)..u32::from(cut[1] % 700),
                });
                let part = Part {
                    samples: samples.collect(),
                    bytes: data.clone().into(),
                    ..Arc::into_inner(part(0, 1, &[])).unwrap()
                };
                if let Ok(segment) = ts::segment(&tracks, &[Arc::new(part)]) {
                    prop_assert_eq!(segment.len() % 188, 0);
                }
            }
        }
    }
}

#[test]
fn events_are_id3_tags_of_their_own_and_leave_the_media_alone() {
    let tracks = tracks(true, true);
    let cue = |at, payload: String| {
        Arc::new(Cue {
            id: format!("e-{at}").into(),
            kind: "coupon".into(),
            payload: payload.into(),
            at: Timestamp::from_millis(at),
            wall: UnixMillis(0),
            script: None,
        })
    };
    let units: Vec<_> =
        (0..25).map(|frame| picture(frame * 40, frame == 0, vec![vec![0x65; 3000]])).collect();
    let with = |cues: Vec<Arc<Cue>>| {
        let part = Arc::into_inner(part(0, 1000, &units)).unwrap();
        let parts = [Arc::new(Part { cues: cues.into(), ..part })];
        let segment = ts::segment(&tracks, &parts).unwrap();
        assert_eq!(ts::size(&tracks, &parts).unwrap(), segment.len());
        check_packets(&segment, 0x100);
        segment
    };
    let of = |segment: &[u8], pid: u16| -> Vec<u8> {
        let of_pid = |packet: &&[u8]| u16::from(packet[1] & 0x1F) << 8 | u16::from(packet[2]) == pid;
        segment.chunks(188).filter(of_pid).flatten().copied().collect()
    };
    let plain = with(Vec::new());
    let told = with(vec![cue(130, "1".into()), cue(700, format!("\"{}\"", "x".repeat(8000)))]);
    for pid in [0, 0x1000, 0x100, 0x101] {
        assert_eq!(of(&plain, pid), of(&told, pid), "PID {pid:#x}");
    }
    assert_eq!(of(&plain, 0x102).len(), 0);
    assert_eq!(of(&told, 0x102).len() / 188 % 16, 0);
    let mut reader = PesPacketReader::new(TsPacketReader::new(&told[..]));
    let mut tags = Vec::new();
    while let Some(pes) = reader.read_pes_packet().unwrap() {
        if pes.header.stream_id.as_u8() == 0xBD && !pes.data.is_empty() {
            assert!(pes.data.starts_with(b"ID3\x04\0"));
            tags.push((pes.header.pts.unwrap().as_u64() as i64, pes.data.len()));
        }
    }
    tags.sort();
    assert_eq!(tags[0].0, clock(Timestamp::from_millis(130)));
    assert_eq!(tags[1].0, clock(Timestamp::from_millis(700)));
    assert!(tags[1].1 > 8000);
}
