//! The checker sees what it is there to see.

use crate::checker::Checker;

/// Segments `first..last` of 2 s, dated from 2026-11-21T00:00:00Z on.
fn playlist(first: u64, last: u64) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:00:{:02}.000Z\n",
        first * 2
    );
    for number in first..last {
        text += &format!("#EXTINF:2.000,\n{number}.ts\n");
    }
    text
}

#[test]
fn good_playlists_pass() {
    let mut checker = Checker::default();
    for text in [playlist(0, 1), playlist(0, 8), playlist(2, 8), playlist(4, 10) + "#EXT-X-ENDLIST\n"] {
        checker.observe(&text).unwrap();
    }
}

#[test]
fn each_broken_rule_is_named() {
    let good = playlist(0, 8);
    let cases: &[(&str, String)] = &[
        ("H1: TARGETDURATION changed", good.replace("DURATION:2", "DURATION:3")),
        ("H1: segment 0 is longer", good.replace("EXTINF:2.000", "EXTINF:2.500")),
        ("H2: EXTINF", good.replace("2.000,", "2.0,")),
        ("H3: MEDIA-SEQUENCE went back", playlist(1, 9)),
        ("H3-H5: segment changed", good.replace("7.ts", "seven.ts")),
        ("H3-H5: segment changed", good.replace("SEQUENCE:0\n#EXT-X-P", "SEQUENCE:1\n#EXT-X-P")),
        ("H4: no DISCONTINUITY-SEQUENCE", good.replace("#EXT-X-DISCONTINUITY-SEQUENCE:0\n", "")),
        ("H5: segments left at the end", playlist(0, 7)),
        ("H6: fewer than six", playlist(3, 8)),
        ("H8: 0.ts has no date", good.replace("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:00:00.000Z\n", "")),
        ("H8: no day", good.replace("11-21", "11-31")),
        (
            "H8: date of segment 2",
            good.replace("1.ts", "1.ts\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:00:09.000Z"),
        ),
        ("H9: VOD without", good.replace("#EXT-X-MEDIA", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA")),
        ("H10: version 7", good.replace("VERSION:3", "VERSION:7")),
        ("H15: URI", good.replace("7.ts", "7.bin")),
        (
            "H20: no segment",
            playlist(0, 0).replace("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:00:00.000Z\n", ""),
        ),
        ("stands twice", good.replace("#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-VERSION:3")),
        ("unknown tag", good.replace("#EXT-X-MEDIA", "#EXT-X-ALLOW-CACHE:NO\n#EXT-X-MEDIA")),
    ];
    for (expected, broken) in cases {
        let mut checker = Checker::default();
        let before = if expected.contains("went back") { playlist(2, 9) } else { good.clone() };
        checker.observe(&before).unwrap();
        let error = checker.observe(broken).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
