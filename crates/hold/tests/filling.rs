//! What viewers get for the time without a publisher, whatever that had sent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::sync::Arc;

use bytes::Bytes;
use kaibo_hold::Keeper;
use kaibo_media::{AudioTrack, Edge, Frame, Run, Span, Timestamp, TrackId, Tracks, VideoTrack, nal};
use proptest::prelude::*;

/// 1080p with CABAC, as OBS sends it.
const AVCC: &str =
    "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800";

fn hex(text: &str) -> Bytes {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn tracks(video: bool, audio: Option<&str>) -> Arc<Tracks> {
    Arc::new(Tracks {
        video: video.then(|| VideoTrack::from_avcc(hex(AVCC)).unwrap()),
        audio: audio.map(|config| AudioTrack::from_asc(hex(config)).unwrap()),
    })
}

fn frame(tracks: &Arc<Tracks>, track: TrackId, time_ms: i64, data: &[u8]) -> Frame {
    let data = [&(data.len() as u32).to_be_bytes(), data].concat().into();
    let (tracks, dts) = (tracks.clone(), Timestamp::from_millis(time_ms));
    let (run, pts_offset) = (Run::default(), Span::from_millis(67));
    Frame { tracks, run, track, dts, pts_offset, keyframe: true, filler: false, data }
}

/// An I slice of an IDR picture: number 0, order 0, then as good as random.
fn idr(rest: &[u8]) -> Vec<u8> {
    [&[0x65, 0x88, 0x84, 0x00, 0x33][..], rest].concat()
}

fn edge(picture_ms: i64, sound_ms: i64) -> Edge {
    let [picture, sound] = [picture_ms, sound_ms].map(Timestamp::from_millis);
    Edge { run: Run::default(), picture, shown: picture + Span::from_millis(33), sound }
}

fn filled(keeper: &Keeper, edge: Edge, segment_ms: i64, for_ms: i64) -> Option<Vec<Frame>> {
    let mut filler = keeper.filler(edge, Span::from_millis(segment_ms))?;
    let mut frames = Vec::new();
    for time in (0..=for_ms).step_by(100) {
        filler.fill(edge.picture.max(edge.sound) + Span::from_millis(time), &mut frames);
    }
    filler.finish(&mut frames);
    let end = filler.edge();
    assert!(frames.iter().all(|frame| frame.dts < end.picture.max(end.sound)));
    Some(frames)
}

fn of(frames: &[Frame], track: TrackId) -> Vec<&Frame> {
    frames.iter().filter(|frame| frame.track == track).collect()
}

#[test]
fn the_picture_is_an_idr_per_segment_and_ten_still_ones_a_second() {
    let tracks = tracks(true, Some("1210"));
    let mut keeper = Keeper::default();
    keeper.note(&frame(&tracks, TrackId::Video, 0, &idr(&[0x55; 40])));
    let frames = filled(&keeper, edge(1000, 1010), 2000, 6000).unwrap();
    let pictures = of(&frames, TrackId::Video);
    assert!(pictures.windows(2).all(|pair| pair[1].dts - pair[0].dts == Span::from_millis(100)));
    let keys: Vec<_> =
        pictures.iter().filter(|frame| frame.keyframe).map(|frame| frame.dts.as_millis()).collect();
    assert_eq!(keys, [1000, 3000, 5000, 7000]);
    assert!(pictures.iter().all(|frame| frame.filler && frame.pts_offset == Span::from_millis(67)));

    let unit = |at: usize| nal::units(&pictures[at].data).next().unwrap().unwrap();
    // Numbers 1 and 2 (010 and 011) in turn in the place of 0, and everything behind them two bits later.
    assert_eq!(unit(0)[..4], [0x65, 0x88, 0x82, 0x00]);
    assert_eq!(unit(20)[..4], [0x65, 0x88, 0x83, 0x00]);
    assert_eq!(unit(40), unit(0));
    // 8160 macroblocks of 1080p.
    assert!(unit(1).len() < 80, "{:02x?}", unit(1));
    assert_ne!(unit(1), unit(2), "their numbers and their order");
    assert_eq!(unit(1), unit(21));
}

#[test]
fn nothing_is_shown_before_what_was_sent_ahead() {
    let tracks = tracks(true, None);
    let mut keeper = Keeper::default();
    keeper.note(&frame(&tracks, TrackId::Video, 0, &idr(&[0x55; 40])));
    let shown = Timestamp::from_millis(1200);
    let frames = filled(&keeper, Edge { shown, ..edge(1000, 1000) }, 2000, 1000).unwrap();
    let times: Vec<_> = frames.iter().map(|frame| (frame.dts.as_millis(), frame.pts().as_millis())).collect();
    // 67 ms are the usual delay.
    assert_eq!(times[..5], [(1000, 1200), (1100, 1250), (1200, 1300), (1300, 1367), (1400, 1467)]);
}

#[test]
fn sound_goes_on_upon_its_grid() {
    let tracks = tracks(false, Some("1210"));
    let mut keeper = Keeper::default();
    keeper.note(&frame(&tracks, TrackId::Audio, 0, b"sound"));
    let from = Timestamp::from_scale(1024 * 77, 44_100);
    let edge = Edge { picture: from, shown: from, sound: from, ..edge(0, 0) };
    let frames = filled(&keeper, edge, 2000, 1000).unwrap();
    for (index, frame) in frames.iter().enumerate() {
        assert_eq!(frame.dts, Timestamp::from_scale(1024 * (77 + index as i64), 44_100));
        assert!(frame.keyframe && frame.data.len() == 9);
    }
    assert_eq!(frames.len(), 44);
}

#[test]
fn silence_reaches_to_the_first_sound_of_the_encoder_that_is_back() {
    const FRAME: Span = Span::from_scale(1024, 44_100);
    let tracks = tracks(true, Some("1210"));
    let mut keeper = Keeper::default();
    keeper.note(&frame(&tracks, TrackId::Video, 0, &idr(&[0x55; 40])));
    // Sound begins with the picture, within its first frame, long behind it, and so late that it is none of a joint.
    for (late_ms, filled) in [(0, true), (23, true), (640, true), (5000, false)] {
        let mut filler = keeper.filler(edge(1000, 1010), Span::from_millis(2000)).unwrap();
        let mut frames = Vec::new();
        filler.fill(Timestamp::from_millis(2350), &mut frames);
        filler.finish(&mut frames);
        let sound = filler.edge().picture + Span::from_millis(late_ms);
        let before = frames.len();
        filler.silence_until(sound, &mut frames);
        assert!(frames[before..].iter().all(|frame| frame.track == TrackId::Audio && frame.filler));
        let sounds = of(&frames, TrackId::Audio);
        assert!(
            sounds
                .windows(2)
                .all(|pair| ((pair[1].dts - pair[0].dts) - FRAME).abs() < Span::from_scale(1, 44_100))
        );
        let hole = sound - (sounds.last().unwrap().dts + FRAME);
        assert!(hole >= Span::ZERO, "{late_ms}: silence and sound at once");
        assert_eq!(hole < FRAME, filled, "{late_ms}: {hole:?}");
    }
}

#[test]
fn what_cannot_be_held_is_not() {
    let none = |frames: &[Frame]| {
        let mut keeper = Keeper::default();
        frames.iter().for_each(|frame| keeper.note(frame));
        keeper.filler(edge(1000, 1000), Span::from_millis(2000)).is_none()
    };
    let plain = tracks(true, None);
    let idr = |tracks: &Arc<Tracks>| frame(tracks, TrackId::Video, 0, &idr(&[0x55; 40]));
    assert!(!none(&[idr(&plain)]));
    assert!(none(&[]), "nothing came");
    let open = frame(&plain, TrackId::Video, 0, &[0x41, 0x88, 0x84, 0x00, 0x33]);
    assert!(none(&[open]), "an I picture of an open group of pictures");
    let eight_channels = tracks(true, Some("1238"));
    assert!(none(&[idr(&eight_channels)]), "no silence is known");
    let mut other = Tracks::clone(&plain);
    other.video.as_mut().unwrap().width = 1280;
    let other = frame(&Arc::new(other), TrackId::Video, 40, &[0x41, 1]);
    assert!(none(&[idr(&plain), other]), "an IDR of other parameter sets");
}

proptest! {
    #[test]
    fn any_picture_makes_filler_that_never_goes_back(
        slices in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..4),
        avcc in prop::collection::vec((0usize..45, any::<u8>()), 0..4),
        picture in 0i64..5000, sound in 0i64..5000, segment in 500i64..20_000, cabac in any::<bool>(),
    ) {
        let mut record = hex(AVCC).to_vec();
        if cabac {
            avcc.into_iter().for_each(|(at, byte)| record[at] = byte);
        }
        let Ok(video) = VideoTrack::from_avcc(record.into()) else { return Ok(()) };
        let tracks = Arc::new(Tracks { video: Some(video), ..Tracks::clone(&tracks(true, Some("1210"))) });
        let data: Vec<u8> = slices.iter().map(|slice| idr(slice)).flat_map(|slice| {
            [&(slice.len() as u32).to_be_bytes()[..], &slice].concat()
        }).collect();
        let mut keeper = Keeper::default();
        keeper.note(&Frame { data: data.into(), ..frame(&tracks, TrackId::Video, 0, b"") });
        let Some(frames) = filled(&keeper, edge(picture, sound), segment, 9000) else { return Ok(()) };
        for track in [TrackId::Video, TrackId::Audio] {
            let own = of(&frames, track);
            prop_assert!(own.windows(2).all(|pair| pair[1].dts > pair[0].dts));
            prop_assert!(own.iter().all(|frame| frame.filler && !frame.data.is_empty()));
        }
        prop_assert!(frames.windows(2).all(|pair| pair[1].dts >= pair[0].dts));
        let pictures = of(&frames, TrackId::Video);
        let keys = pictures.iter().filter(|frame| frame.keyframe).count();
        prop_assert!(pictures.windows(2).all(|pair| pair[1].pts() > pair[0].pts()));
        prop_assert!(pictures[0].pts() >= edge(picture, sound).shown.min(pictures[0].dts + Span::from_millis(67)));
        prop_assert!(pictures.len() >= 2 && pictures[0].keyframe && keys >= 1);
    }
}
