//! The encoder is lost and comes back: the same broadcast goes on.

use std::fs;

use kaibo_container::flv::TagKind;

use crate::support::{Kaibo, clip, flv, hls, probe, push, seconds, wait_until};

/// Shorter segments than usual make shorter tests.
const CONFIG: &str = "hls.segment = \"1s\"\nhls.window = \"30s\"";

/// Times of pictures and of sound never go back and leave no hole: two frames of the clips are 33 ms apart, pictures that
/// are held 100 ms, and an AAC frame more or less at a seam is heard by nobody.
pub fn assert_contiguous(viewer: &flv::Viewer) {
    assert_steps(viewer, 100 + 25);
}

/// The same with steps of up to `most_ms`.
fn assert_steps(viewer: &flv::Viewer, most_ms: u32) {
    for kind in [TagKind::Video, TagKind::Audio] {
        // Decoder parameters stand between frames and have the time of one.
        let times: Vec<u32> = viewer
            .tags()
            .iter()
            .filter(|tag| tag.kind == kind && tag.body[1] != 0)
            .map(|tag| tag.time_ms)
            .collect();
        assert!(times.len() > 10, "{kind:?}: {times:?}");
        for (index, pair) in times.windows(2).enumerate() {
            assert!(
                pair[1] > pair[0] && pair[1] - pair[0] <= most_ms,
                "{kind:?} {index}: {} ms follows {} ms",
                pair[1],
                pair[0]
            );
        }
    }
}

#[test]
fn a_killed_encoder_comes_back_into_the_same_broadcast_as_often_as_it_likes() {
    let server = Kaibo::start(CONFIG);
    let url = server.push_url("room");
    let encoder = push::ffmpeg(&clip::long(), &url);
    let began = server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");
    let viewer = flv::Viewer::open(&server, "room");
    let mut newest = fmp4.wait_for_segment(3);

    let mut encoder = Some(encoder);
    for times in 1..=2 {
        encoder.take().unwrap().kill9();
        server.wait_for_state("room", "interrupted", seconds(2));
        encoder = Some(push::ffmpeg(&clip::long(), &url));
        let back = server.wait_for_state("room", "live", seconds(5));
        assert_eq!((&back["id"], &back["resumes"]), (&began["id"], &times.into()));
        let last = *newest.segments.last_key_value().unwrap().0;
        newest = fmp4.wait_for_segment(last + 4);
    }

    let ts = ts.wait_for_segment(*newest.segments.last_key_value().unwrap().0);
    for seen in [&newest, &ts] {
        assert_eq!(seen.discontinuities().len(), 2, "one for each return: {:?}", seen.playlist);
        assert!(seen.segments.keys().copied().eq(1..=seen.segments.len() as u64), "no number is left out");
    }
    assert_eq!(newest.maps.len(), 1, "nothing changed, so one initialisation section is enough");
    assert_eq!(hls::media_playlist(&server, "/live/room.m3u8"), fmp4.url);
    assert_eq!(viewer.end(), None, "the FLV viewer is still there");
    assert_contiguous(&viewer);
    assert_eq!(server.broadcasts("room").len(), 1);

    let file = server.scratch("joined.ts");
    fs::write(&file, ts.joined()).unwrap();
    assert_eq!(probe::complaints(&file), "");
    let file = server.scratch("joined.mp4");
    fs::write(&file, newest.joined()).unwrap();
    assert_eq!(probe::decoding_complaints(&file), "");
}

#[test]
fn pictures_out_of_order_go_on_where_they_were() {
    let server = Kaibo::start(CONFIG);
    let url = server.push_url("room");
    let encoder = push::ffmpeg(&clip::b_frames(), &url);
    server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");
    let viewer = flv::Viewer::open(&server, "room");
    fmp4.wait_for_segment(3);
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    push::ffmpeg(&clip::b_frames(), &url).wait();

    let (fmp4, ts) = (fmp4.wait_for_end(), ts.wait_for_end());
    assert_eq!((fmp4.discontinuities().len(), ts.discontinuities().len()), (1, 1));
    // The encoder was cut off when it had sent a picture ahead of three others at the most: those never came.
    assert_steps(&viewer, 100 + 3 * 34);
    for (name, bytes) in
        [("joined.ts", ts.joined()), ("joined.mp4", fmp4.joined()), ("joined.flv", viewer.bytes())]
    {
        let file = server.scratch(name);
        fs::write(&file, bytes).unwrap();
        assert_eq!(probe::complaints(&file), "", "{name}");
        assert_eq!(probe::decoding_complaints(&file), "", "{name}");
    }
}

#[test]
fn an_encoder_that_comes_back_with_another_size_is_shown_in_it() {
    let server = Kaibo::start(CONFIG);
    let url = server.push_url("room");
    let encoder = push::ffmpeg(&clip::long(), &url);
    let began = server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");
    let viewer = flv::Viewer::open(&server, "room");
    fmp4.wait_for_segment(2);

    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    let _encoder = push::ffmpeg(&clip::long_smaller(), &url);
    server.wait_for_state("room", "live", seconds(5));
    let seen = fmp4.wait_for("three segments of the new size", seconds(10), |seen| {
        let tagged = seen.discontinuities();
        tagged.first().is_some_and(|first| seen.segments.contains_key(&(first + 2)))
    });

    assert_eq!(seen.discontinuities().len(), 1);
    let at = seen.discontinuities()[0];
    let map = |number: u64| seen.segments[&number].0.map.clone();
    assert!(map(at).is_some() && map(at) != map(at - 1), "a new EXT-X-MAP");
    let way_in = server.get("/live/room.m3u8").text();
    assert!(way_in.contains("RESOLUTION=256x144"), "{way_in}");
    assert_eq!(server.broadcast("room")["id"], began["id"]);
    assert!(server.get("/status/live/room").text().contains("\"width\":256"));

    let (before, after) = (server.scratch("before.mp4"), server.scratch("after.mp4"));
    let part = |number: u64| [&seen.maps[&map(number).unwrap()][..], &seen.segments[&number].1].concat();
    fs::write(&before, part(at - 1)).unwrap();
    fs::write(&after, part(at)).unwrap();
    assert_eq!(probe::tracks(&before)[1], probe::video("h264", 320, 180));
    assert_eq!(probe::tracks(&after)[1], probe::video("h264", 256, 144));
    for file in [before, after] {
        assert_eq!(probe::decoding_complaints(&file), "");
    }

    let file = server.scratch("joined.ts");
    fs::write(&file, ts.wait_for_segment(at + 2).joined()).unwrap();
    assert_eq!(probe::complaints(&file), "");

    assert_eq!(viewer.end(), None, "the FLV viewer plays on");
    assert_contiguous(&viewer);
    let mut parameters: Vec<_> = viewer
        .tags()
        .into_iter()
        .filter(|tag| tag.kind == TagKind::Video && tag.body[..2] == [0x17, 0])
        .map(|tag| tag.body)
        .collect();
    parameters.dedup();
    assert_eq!(parameters.len(), 2, "decoder parameters of both sizes");
    let file = server.scratch("both.flv");
    fs::write(&file, viewer.bytes()).unwrap();
    assert!(!probe::decoding_complaints(&file).contains("error while decoding"));
}

#[test]
fn an_encoder_that_comes_back_without_sound_has_flv_viewers_open_anew() {
    let server = Kaibo::start(CONFIG);
    let url = server.push_url("room");
    let encoder = push::ffmpeg(&clip::long(), &url);
    server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let viewer = flv::Viewer::open(&server, "room");
    fmp4.wait_for_segment(2);

    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    let _encoder = push::ffmpeg(&clip::video_only(), &url);
    server.wait_for_state("room", "live", seconds(5));
    wait_until("the FLV stream ends", seconds(5), || viewer.end().is_some());
    assert_eq!(viewer.end(), Some(Ok(())));
    let anew = flv::Viewer::open(&server, "room");
    wait_until("pictures without sound", seconds(5), || anew.newest_picture().is_some());
    assert_eq!(anew.bytes()[4], 1, "the FLV header announces pictures alone");
    let seen = fmp4.wait_for("a discontinuity", seconds(10), |seen| !seen.discontinuities().is_empty());
    assert_eq!((seen.discontinuities().len(), seen.maps.len()), (1, 2));
}
