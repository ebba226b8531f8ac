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

/// Segments `0..whole` of 2 s with four parts each, and `parts` parts of the next.
fn low_latency(whole: u64, parts: u64) -> String {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.000,PART-HOLD-BACK=1.500\n\
         #EXT-X-PART-INF:PART-TARGET=0.500\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"init.mp4\"\n"
        .to_string();
    for number in 0..=whole {
        let date = format!("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:00:{:02}.000Z\n", number * 2);
        let count = if number < whole { 4 } else { parts };
        if count > 0 {
            text += &date;
        }
        let near = number + 3 >= whole;
        for index in (0..count).filter(|_| near) {
            let independent = if index == 0 { ",INDEPENDENT=YES" } else { "" };
            text += &format!("#EXT-X-PART:DURATION=0.500,URI=\"{number}.{index}.m4s\"{independent}\n");
        }
        if number < whole {
            text += &format!("#EXTINF:2.000,\n{number}.m4s\n");
        }
    }
    text + &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{whole}.{parts}.m4s\"\n")
}

#[test]
fn good_low_latency_passes() {
    let mut checker = Checker::default();
    for (whole, parts) in [(1, 0), (1, 1), (1, 3), (2, 0), (8, 0), (8, 2), (9, 0)] {
        checker.observe(&low_latency(whole, parts)).unwrap();
    }
    let ended = low_latency(9, 0);
    let ended = ended.split("#EXT-X-PRELOAD").next().unwrap();
    checker.observe(&format!("{ended}#EXT-X-ENDLIST\n")).unwrap();
}

#[test]
fn each_broken_rule_of_low_latency_is_named() {
    let good = low_latency(8, 2);
    let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"8.2.m4s\"\n";
    let cases: &[(&str, String)] = &[
        (
            "L1, L2: PART-TARGET",
            good.replace("TARGET=0.500", "TARGET=0.510").replace("BACK=1.500", "BACK=1.530"),
        ),
        ("L1: part 8.0 lasts", good.replace("0.500,URI=\"8.0", "0.501,URI=\"8.0")),
        ("L1: part 8.0 is below", good.replace("0.500,URI=\"8.0", "0.424,URI=\"8.0")),
        (
            "L1: parts without",
            good.replace("#EXT-X-PART-INF:PART-TARGET=0.500\n", "").replace(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.000,PART-HOLD-BACK=1.500\n",
                "",
            ),
        ),
        ("L2: no blocking", good.replace("RELOAD=YES", "RELOAD=NO")),
        ("L2: PART-HOLD-BACK", good.replace("BACK=1.500", "BACK=1.400")),
        ("L2: CAN-SKIP-UNTIL", good.replace("UNTIL=12.000", "UNTIL=11.000")),
        ("L3: the parts of segment 7 last", good.replace("0.500,URI=\"7.3", "0.490,URI=\"7.3")),
        ("L3: part (8, 1) changed", good.replace("8.1.m4s\"", "8.1.m4s\",INDEPENDENT=YES")),
        ("L3: the next part was", low_latency(8, 1)),
        ("L3: a segment behind", {
            let lines: Vec<_> = good.lines().filter(|line| !line.contains("\"7.")).collect();
            lines.join("\n") + "\n"
        }),
        ("L4: part 8.0", good.replace("8.0.m4s\",INDEPENDENT=YES", "8.0.m4s\"")),
        ("L5: no hint", good.replace(hint, "")),
        ("after ENDLIST", good.replace(hint, &format!("#EXT-X-ENDLIST\n{hint}"))),
        (
            "L5: `#EXT-X-RENDITION",
            good.clone() + "#EXT-X-RENDITION-REPORT:URI=\"b\",LAST-MSN=1,LAST-PART=0\n",
        ),
        ("L5: the hint names a listed part", good.replace("URI=\"8.2", "URI=\"8.1")),
        (
            "L7: EXT-X-SKIP in a whole list",
            good.replace("#EXT-X-MAP", "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-MAP"),
        ),
        (
            "stands twice",
            good.replace("#EXT-X-PART-INF", "#EXT-X-PART-INF:PART-TARGET=0.500\n#EXT-X-PART-INF"),
        ),
    ];
    for (expected, broken) in cases {
        let mut checker = Checker::default();
        checker.observe(&good).unwrap();
        let error = checker.observe(broken).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let mut checker = Checker::default();
    checker.observe(&good.replace("URI=\"8.2", "URI=\"9.0")).unwrap();
    assert!(checker.observe(&low_latency(8, 3)).unwrap_err().contains("L5: 9.0.m4s was announced"));
}
