//! Several qualities of one stream, under one name.

use std::collections::BTreeMap;

use crate::support::{Kaibo, clip, hls, http, probe, push, seconds, wait_for};

const PLAY_KEY: &str = "play-key-of-the-test-77aa00fe";

/// `uri` as it stands in the playlist at `url`.
fn resolve(url: &str, uri: &str) -> String {
    let mut folder = url.rsplit_once('/').unwrap().0;
    let mut uri = uri;
    while let Some(rest) = uri.strip_prefix("../") {
        (folder, uri) = (folder.rsplit_once('/').unwrap().0, rest);
    }
    format!("{folder}/{uri}")
}

/// The media playlists that the list at `way_in` leads to.
fn variants(server: &Kaibo, way_in: &str) -> Vec<String> {
    let reply = server.get(way_in);
    assert_eq!(reply.status, 200, "{way_in}: {}", reply.text());
    let text = reply.text();
    let uris = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    uris.map(|uri| resolve(&server.url(way_in), uri)).collect()
}

/// Of a segment: its date, and the time that its first track begins with, in milliseconds.
type Times = BTreeMap<u64, (i64, i64)>;

fn times(seen: &hls::Seen) -> Times {
    let time = |bytes: &[u8]| {
        let at = bytes.windows(4).position(|name| name == b"tfdt").unwrap();
        let ticks = u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap());
        i64::try_from(ticks / 90).unwrap()
    };
    let of = |(segment, bytes): &(_, Vec<u8>)| {
        let segment: &crate::support::hls_checker::Segment = segment;
        (segment.date as i64, time(bytes))
    };
    seen.segments.iter().map(|(number, segment)| (*number, of(segment))).collect()
}

/// Every date and time of one is that of the other, where both have the number.
fn assert_in_line(one: &Times, other: &Times) {
    let common: Vec<_> = one.iter().filter_map(|(number, a)| Some((number, a, other.get(number)?))).collect();
    assert!(common.len() >= 3, "{one:?} and {other:?}");
    for (number, a, b) in common {
        let apart = (a.0 - b.0).abs().max((a.1 - b.1).abs());
        assert!(apart <= 1, "segment {number} is {apart} ms apart: {one:?} and {other:?}");
    }
}

#[test]
fn one_encoder_that_sends_three_sizes_is_one_stream_in_three_qualities() {
    let server = Kaibo::start("hls.segment = \"1s\"");
    let names = ["room_sd", "room_hd", "room_uhd"];
    let _encoder = push::three_sizes(names.map(|name| server.push_url(name)));
    for name in names {
        server.wait_for_state(name, "live", seconds(15));
    }
    let viewers = names.map(|name| hls::Viewer::open(&server, &format!("/live/{name}.m3u8")));
    let [sd, hd, uhd] = viewers.map(|viewer| times(&viewer.wait_for_segment(4)));
    assert_in_line(&sd, &hd);
    assert_in_line(&sd, &uhd);

    let text = server.get("/live/room.m3u8").text();
    let sizes: Vec<_> =
        text.split("RESOLUTION=").skip(1).map(|rest| rest.split(',').next().unwrap()).collect();
    assert_eq!(sizes, ["160x90", "320x180", "640x360"], "{text}");
    for way_in in ["/live/room.m3u8", "/live/room/ts.m3u8"] {
        let tracks = probe::tracks(server.url(way_in));
        assert_eq!(tracks.iter().filter(|track| track.codec == "h264").count(), 3, "{way_in}: {tracks:?}");
    }
    let status = server.get("/status/live/room").text();
    assert!(status.contains("\"state\":\"live\"") && status.contains("\"width\":640"), "{status}");

    // Each says how far the others are, and whoever goes there finds it so.
    let lists = variants(&server, "/live/room.m3u8");
    for list in &lists {
        let text = http::get(list, &[]).text();
        let reports: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("#EXT-X-RENDITION-REPORT:URI=\"")).collect();
        assert_eq!(reports.len(), 2, "{text}");
        for report in reports {
            let (uri, rest) = report.split_once("\",LAST-MSN=").unwrap();
            let (msn, part) = rest.split_once(",LAST-PART=").unwrap();
            let other = http::get(&format!("{}?_HLS_msn={msn}&_HLS_part={part}", resolve(list, uri)), &[]);
            assert_eq!(other.status, 200);
            assert!(
                other.text().contains(&format!("URI=\"{msn}.{part}.m4s\"")),
                "{report}: {}",
                other.text()
            );
        }
    }
    for list in variants(&server, "/live/room/ts.m3u8") {
        assert!(!http::get(&list, &[]).text().contains("RENDITION-REPORT"));
    }
}

#[test]
fn a_quality_that_drops_out_comes_back_in_line_and_disturbs_no_other() {
    // These encoders have clocks of their own.
    let server = Kaibo::start("hls.segment = \"1s\"");
    let _sd = push::ffmpeg(&clip::long_smaller(), &server.push_url("room_sd"));
    server.wait_for_state("room_sd", "live", seconds(10));
    let sd_viewer = hls::Viewer::open(&server, "/live/room_sd.m3u8");
    sd_viewer.wait_for_segment(3);
    let hd = push::ffmpeg(&clip::long(), &server.push_url("room_hd"));
    server.wait_for_state("room_hd", "live", seconds(10));
    let hd_viewer = hls::Viewer::open(&server, "/live/room_hd.m3u8");
    let first = *hd_viewer
        .wait_for("a segment", seconds(10), |seen| !seen.segments.is_empty())
        .segments
        .keys()
        .next()
        .unwrap();
    assert!(first >= 3, "it has the numbers of the other, not {first}");
    hd.kill9();
    server.wait_for_state("room_hd", "interrupted", seconds(3));
    assert_eq!(variants(&server, "/live/room.m3u8").len(), 2);
    let last = *hd_viewer.seen().segments.last_key_value().unwrap().0;
    let _hd = push::ffmpeg(&clip::long(), &server.push_url("room_hd"));
    hd_viewer.wait_for_segment(last + 3);

    // A date belongs to the same time in both, before and after.
    let sd_seen = sd_viewer.seen();
    let (sd, hd) = (times(&sd_seen), times(&hd_viewer.seen()));
    let zero = |times: &Times| times.values().map(|(date, time)| date - time).collect::<Vec<_>>();
    let expected = zero(&sd)[0];
    for found in zero(&sd).into_iter().chain(zero(&hd)) {
        assert!((found - expected).abs() <= 1, "{sd:?} and {hd:?}");
    }
    assert_eq!(sd_seen.discontinuities(), [0; 0]);
    // What is shown is what is happening, in both.
    let newest = |times: &Times| times.last_key_value().unwrap().1.0;
    let apart = wait_for("both are as far", seconds(5), || {
        let apart = (newest(&times(&sd_viewer.seen())) - newest(&times(&hd_viewer.seen()))).abs();
        (apart < 1500).then_some(apart)
    });
    assert!(apart < 1500);
}

#[test]
fn ts_lists_the_qualities_that_it_carries() {
    let server = Kaibo::start("hls.segment = \"1s\"");
    let _hd = push::newest_ffmpeg(&clip::av1_with_opus(), &server.push_url("room_hd"));
    server.wait_for_state("room_hd", "live", seconds(10));
    assert_eq!(variants(&server, "/live/room.m3u8").len(), 1);
    let refused = server.get("/live/room/ts.m3u8");
    assert_eq!(refused.status, 415, "{}", refused.text());
    assert!(refused.text().contains("codec_not_carried"), "{}", refused.text());

    let _sd = push::ffmpeg(&clip::long(), &server.push_url("room_sd"));
    server.wait_for_state("room_sd", "live", seconds(10));
    wait_for("both", seconds(5), || (variants(&server, "/live/room.m3u8").len() == 2).then_some(()));
    let lists = variants(&server, "/live/room/ts.m3u8");
    assert!(matches!(lists.as_slice(), [list] if list.contains("/live/room_sd/")), "{lists:?}");
}

#[test]
fn the_key_of_the_stream_opens_its_qualities_and_a_broadcast_of_that_name_comes_first() {
    let server =
        Kaibo::start(&format!("hls.segment = \"1s\"\n[auth.play]\nenabled = true\nkey = \"{PLAY_KEY}\""));
    let _sd = push::ffmpeg(&clip::long_smaller(), &server.push_url("room_sd"));
    let _hd = push::ffmpeg(&clip::long(), &server.push_url("room_hd"));
    for name in ["room_sd", "room_hd"] {
        server.wait_for_state(name, "live", seconds(10));
    }
    assert_eq!(server.get("/live/room.m3u8").status, 403);
    assert_eq!(
        server.get(&format!("/live/room.m3u8?{}", server.signature_with(PLAY_KEY, "room_sd"))).status,
        403
    );
    let way_in = format!("/live/room.m3u8?{}", server.signature_with(PLAY_KEY, "room"));
    let lists = wait_for("two qualities", seconds(10), || {
        let lists = variants(&server, &way_in);
        (lists.len() == 2).then_some(lists)
    });
    for list in lists {
        let text = http::get(&list, &[]).text();
        let segment = text.lines().find(|line| line.contains(".m4s?session=") && !line.starts_with('#'));
        let segment = hls::beside(&list, segment.unwrap_or_else(|| panic!("{text}")));
        assert_eq!(http::get(&segment, &[]).status, 200);
        let (bare, _) = list.split_once('?').unwrap();
        assert_eq!(http::get(bare, &[]).status, 403);
    }
    let _plain = push::ffmpeg(&clip::short(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let lists = variants(&server, &way_in);
    assert!(matches!(lists.as_slice(), [list] if list.contains("/live/room/")), "{lists:?}");
}
