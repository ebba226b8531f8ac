//! Playlists, letter by letter.

use kaibo_hls::{Config, Entry, Format, Kind, Playlist, Report, Uris, Wanted, Window};
use kaibo_media::Span;

use crate::cuts::{BEGAN, Segmenter, Shape};

const FMP4: Wanted<'_> = Wanted { format: Format::Fmp4, delta: false, query: "", reports: &[] };

/// A broadcast of 2 s segments, of which a window of 12 s is listed.
struct Broadcast {
    segmenter: Segmenter,
    window: Window,
}

impl Broadcast {
    fn new() -> Self {
        Self::listing(12_000)
    }

    /// One with a longer window.
    fn listing(millis: i64) -> Self {
        let config = Config { window: Span::from_millis(millis), ..Config::default() };
        Self { segmenter: Segmenter::new(2), window: Window::new(config) }
    }

    fn segments(&mut self, shapes: impl IntoIterator<Item = Shape>) {
        for shape in shapes {
            for cut in self.segmenter.segment(&shape) {
                self.window.apply(&cut).unwrap();
            }
        }
    }

    fn playlist(&self, wanted: Wanted<'_>) -> String {
        self.window.view().playlist(wanted).unwrap()
    }

    #[track_caller]
    fn shows(&self, expected: &str) {
        self.shows_as(Format::Fmp4, "", expected);
    }

    #[track_caller]
    fn shows_as(&self, format: Format, query: &str, expected: &str) {
        assert_eq!(self.playlist(Wanted { format, delta: false, query, reports: &[] }), expected);
    }
}

#[test]
fn the_first_segments() {
    let mut broadcast = Broadcast::new();
    assert_eq!(broadcast.window.view().playlist(FMP4), None, "never a playlist without a segment");
    broadcast.segments([
        Shape::millis(2000),
        Shape { duration: Span::from_scale(88_064, 44_100), ..Shape::millis(0) },
    ]);
    broadcast.shows(
        "#EXTM3U\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-MAP:URI=\"init-0.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:00.000Z\n\
         #EXTINF:2.000000,\n\
         0.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:02.000Z\n\
         #EXTINF:1.996916,\n\
         1.m4s\n",
    );
    broadcast.shows_as(
        Format::Ts,
        "session=7f3a",
        "#EXTM3U\n\
         #EXT-X-VERSION:3\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:00.000Z\n\
         #EXTINF:2.000000,\n\
         0.ts?session=7f3a\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:02.000Z\n\
         #EXTINF:1.996916,\n\
         1.ts?session=7f3a\n",
    );
}

#[test]
fn a_window_that_rolls_on() {
    let mut broadcast = Broadcast::new();
    broadcast.segments(vec![Shape::millis(2000); 9]);
    broadcast.shows(
        "#EXTM3U\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA-SEQUENCE:3\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-MAP:URI=\"init-0.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:06.000Z\n\
         #EXTINF:2.000000,\n\
         3.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:08.000Z\n\
         #EXTINF:2.000000,\n\
         4.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:10.000Z\n\
         #EXTINF:2.000000,\n\
         5.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:12.000Z\n\
         #EXTINF:2.000000,\n\
         6.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:14.000Z\n\
         #EXTINF:2.000000,\n\
         7.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:16.000Z\n\
         #EXTINF:2.000000,\n\
         8.m4s\n",
    );
}

#[test]
fn a_publisher_that_comes_back_after_a_minute_then_ends() {
    let mut broadcast = Broadcast::new();
    broadcast.segments([Shape::millis(2000), Shape::millis(700)]);
    broadcast.segments([Shape { away: Some(60_000), ..Shape::millis(2000) }]);
    broadcast.window.end();
    broadcast.shows(
        "#EXTM3U\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-MAP:URI=\"init-0.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:00.000Z\n\
         #EXTINF:2.000000,\n\
         0.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:02.000Z\n\
         #EXTINF:0.700000,\n\
         1.m4s\n\
         #EXT-X-DISCONTINUITY\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:28:02.700Z\n\
         #EXTINF:2.000000,\n\
         2.m4s\n\
         #EXT-X-ENDLIST\n",
    );
}

#[test]
fn a_discontinuity_keeps_its_tag_at_the_head_and_is_counted_when_it_leaves() {
    let mut broadcast = Broadcast::new();
    broadcast.segments([Shape::millis(2000), Shape { away: Some(5000), ..Shape::millis(2000) }]);
    broadcast.segments(vec![Shape::millis(2000); 5]);
    let head = |broadcast: &Broadcast| {
        let text = broadcast.playlist(Wanted { format: Format::Ts, ..FMP4 });
        let (start, end) = (text.find("#EXT-X-MEDIA").unwrap(), text.find("#EXTINF").unwrap());
        text[start..end].to_owned()
    };
    assert_eq!(
        head(&broadcast),
        "#EXT-X-MEDIA-SEQUENCE:1\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:07.000Z\n"
    );
    broadcast.segments([Shape::millis(2000)]);
    assert_eq!(
        head(&broadcast),
        "#EXT-X-MEDIA-SEQUENCE:2\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:1\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:09.000Z\n"
    );
}

#[test]
fn a_new_initialisation_section() {
    let mut broadcast = Broadcast::new();
    broadcast.segments([
        Shape::millis(2000),
        Shape { new_init: true, ..Shape::millis(2000) },
        Shape::millis(2000),
    ]);
    broadcast.shows_as(
        Format::Fmp4,
        "s=1",
        "#EXTM3U\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-MAP:URI=\"init-0.mp4?s=1\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:00.000Z\n\
         #EXTINF:2.000000,\n\
         0.m4s?s=1\n\
         #EXT-X-DISCONTINUITY\n\
         #EXT-X-MAP:URI=\"init-1.mp4?s=1\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:02.000Z\n\
         #EXTINF:2.000000,\n\
         1.m4s?s=1\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:04.000Z\n\
         #EXTINF:2.000000,\n\
         2.m4s?s=1\n",
    );
    assert_eq!(broadcast.window.init(0).unwrap().number, 0);
    assert_eq!(broadcast.window.init(1).unwrap().number, 1);
    assert!(broadcast.window.init(2).is_none());
}

#[test]
fn a_segment_cut_within_a_long_gop_is_not_called_independent() {
    let mut broadcast = Broadcast::new();
    broadcast.segments([Shape { independent: false, ..Shape::millis(2000) }]);
    broadcast.shows(
        "#EXTM3U\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-MAP:URI=\"init-0.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:00.000Z\n\
         #EXTINF:2.000000,\n\
         0.m4s\n",
    );
}

#[test]
fn low_latency() {
    let mut broadcast = Broadcast::listing(60_000);
    broadcast.segmenter.part_target = Some(Span::from_millis(500));
    broadcast.segments(vec![Shape::millis(1000); 10]);
    let away = Shape { away: Some(3000), new_init: true, ..Shape::millis(2000) };
    let cuts = broadcast.segmenter.segment(&away);
    for cut in &cuts[..3] {
        broadcast.window.apply(cut).unwrap();
    }
    let reports = [Report { uri: "../b2/live.m3u8?s=1", newest: (9, 1) }];
    let wanted = Wanted { query: "s=1", reports: &reports, ..FMP4 };
    let listed = "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:05.000Z\n\
         #EXT-X-PART:DURATION=0.500000,URI=\"5.0.m4s?s=1\",INDEPENDENT=YES\n\
         #EXT-X-PART:DURATION=0.500000,URI=\"5.1.m4s?s=1\"\n\
         #EXTINF:1.000000,\n\
         5.m4s?s=1\n";
    let open = "#EXT-X-DISCONTINUITY\n\
         #EXT-X-MAP:URI=\"init-1.mp4?s=1\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:13.000Z\n\
         #EXT-X-PART:DURATION=0.500000,URI=\"10.0.m4s?s=1\",INDEPENDENT=YES\n\
         #EXT-X-PART:DURATION=0.450000,URI=\"10.1.m4s?s=1\"\n\
         #EXT-X-RENDITION-REPORT:URI=\"../b2/live.m3u8?s=1\",LAST-MSN=9,LAST-PART=1\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"10.2.m4s?s=1\"\n";
    let whole = broadcast.playlist(wanted);
    let head = "#EXTM3U\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.000000,PART-HOLD-BACK=1.500000\n\
         #EXT-X-PART-INF:PART-TARGET=0.500000\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-MAP:URI=\"init-0.mp4?s=1\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:00.000Z\n\
         #EXTINF:1.000000,\n\
         0.m4s?s=1\n";
    assert!(whole.starts_with(head), "{whole}");
    assert!(whole.contains(listed) && whole.ends_with(open), "{whole}");
    assert!(!whole.contains("\"3.0.m4s"), "more than three target durations before the end");
    assert_eq!(
        broadcast.playlist(Wanted { delta: true, ..wanted }),
        whole,
        "there is nothing to leave out yet"
    );

    // The segment ends where its third part does: the hint is right at the boundary, too.
    cuts[3..].iter().try_for_each(|cut| broadcast.window.apply(cut)).unwrap();
    assert!(
        broadcast
            .playlist(FMP4)
            .ends_with("#EXTINF:2.000000,\n10.m4s\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"11.0.m4s\"\n")
    );
    broadcast.segments(vec![Shape::millis(2000); 5]);
    let delta = broadcast.playlist(Wanted { delta: true, ..FMP4 });
    let head = "#EXTM3U\n\
         #EXT-X-VERSION:9\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.000000,PART-HOLD-BACK=1.500000\n\
         #EXT-X-PART-INF:PART-TARGET=0.500000\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-SKIP:SKIPPED-SEGMENTS=10\n\
         #EXT-X-DISCONTINUITY\n\
         #EXT-X-MAP:URI=\"init-1.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:13.000Z\n\
         #EXTINF:2.000000,\n\
         10.m4s\n";
    assert!(delta.starts_with(head), "{delta}");

    broadcast.window.announce_nothing();
    assert!(broadcast.playlist(FMP4).ends_with("15.m4s\n"), "no hint at what never comes");
    broadcast.window.end();
    assert!(broadcast.playlist(FMP4).ends_with("15.m4s\n#EXT-X-ENDLIST\n"), "no hint");
    assert!(!broadcast.playlist(Wanted { format: Format::Ts, delta: true, ..FMP4 }).contains("PART"));
}

/// Two segments of a recording, with a resume between them.
fn recorded(kind: Kind, prefix: &str) -> String {
    let entry = |number, discontinuity, millis| Entry {
        number,
        duration: Some(Span::from_millis(2000)),
        discontinuity,
        init: 0,
        wall: BEGAN + Span::from_millis(millis),
        parts: &[],
    };
    let playlist = Playlist {
        kind,
        ended: false,
        target_duration: 2,
        media_sequence: 0,
        discontinuity_sequence: 0,
        independent: true,
        date_ranges: &[],
        start: None,
        uris: Uris { prefix, format: Format::Fmp4, query: "" },
        entries: [entry(0, 0, 0), entry(1, 1, 30_000)],
        low_latency: None,
    };
    playlist.render()
}

#[test]
fn a_replay() {
    assert_eq!(
        recorded(Kind::Vod, "b1/"),
        "#EXTM3U\n\
         #EXT-X-VERSION:6\n\
         #EXT-X-TARGETDURATION:2\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-MAP:URI=\"b1/init-0.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:00.000Z\n\
         #EXTINF:2.000000,\n\
         b1/0.m4s\n\
         #EXT-X-DISCONTINUITY\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-21T21:27:30.000Z\n\
         #EXTINF:2.000000,\n\
         b1/1.m4s\n\
         #EXT-X-ENDLIST\n"
    );
}

#[test]
fn a_recording_that_still_grows() {
    let event = recorded(Kind::Event, "");
    assert!(event.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"));
    assert!(!event.contains("ENDLIST"));
}

/// The list `text` with the tags of events alone.
fn events(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("#EXT-X-DATERANGE:ID=\"e-")?.split('"').next()).collect()
}

#[test]
fn events_are_listed_as_long_as_their_time_is_and_in_every_delta() {
    let mut broadcast = Broadcast::new();
    let mut checker = crate::checker::Checker::default();
    broadcast.segmenter.part_target = Some(Span::from_millis(500));
    let at = |number: i64| if number % 2 == 0 { vec![number * 2000 + 700] } else { Vec::new() };
    for number in 0..30 {
        let mut cuts = broadcast.segmenter.segment(&Shape { bytes: 4000, ..Shape::millis(2000) });
        crate::cuts::tell(&mut cuts, &at(number));
        for cut in cuts {
            broadcast.window.apply(&cut).unwrap();
            let Some(text) = broadcast.window.view().playlist(FMP4) else { continue };
            let whole = checker.observe(&text).unwrap();
            let delta = broadcast.playlist(Wanted { delta: true, ..FMP4 });
            assert_eq!(checker.expand(&delta).unwrap(), whole);
        }
    }
    // The window lists segments 24 to 29.
    let text = broadcast.playlist(FMP4);
    assert_eq!(events(&text), ["48700", "52700", "56700"]);
    assert!(text.contains(
        "#EXT-X-DATERANGE:ID=\"e-48700\",CLASS=\"kaibo.event\",START-DATE=\"2026-11-21T21:27:48.700Z\",DURATION=0,\
         X-TYPE=\"product\",X-MEDIA-MS=48700,X-PAYLOAD=\"{%22sku%22:48700}\"\n"
    ));
    // What is being made is not in the list of whole segments.
    let mut cuts = broadcast.segmenter.segment(&Shape { bytes: 4000, ..Shape::millis(2000) });
    crate::cuts::tell(&mut cuts, &[60_100]);
    cuts.iter().take(2).for_each(|cut| broadcast.window.apply(cut).unwrap());
    assert_eq!(events(&broadcast.playlist(FMP4)).last(), Some(&"60100"));
    assert_eq!(events(&broadcast.playlist(Wanted { format: Format::Ts, ..FMP4 })).last(), Some(&"56700"));
}
