//! How lists and segments are served, and what the multivariant list says.
//!
//! | rule | what |
//! |---|---|
//! | H14 | CODECS, RESOLUTION, FRAME-RATE and bandwidths of the multivariant list |
//! | H15 | content types |
//! | H16 | gzip of lists, never of media; HEAD, ranges, If-None-Match |
//! | H17 | CORS on every answer |
//! | H18 | lists are not kept by caches, segments for ever, 404 not at all |
//! | H20 | nothing under a name is a 404 that pages may read |
//! | L6 | what blocking reloads may ask for |

use std::time::{Duration, Instant};

use crate::{
    follow::{Follower, Way, next_part},
    support::{
        Kaibo,
        hls::beside,
        hls_checker::{Checker, Playlist},
        http::{self, Reply},
    },
    violations::Violations,
};

const ORIGIN: (&str, &str) = ("Origin", "https://shop.example.com");
/// Answers that wait for nothing.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Checks what a live list and its newest segment are served with.
pub fn check(server: &Kaibo, follower: &Follower, violations: &Violations) {
    let (newest, map) = {
        let seen = follower.seen.lock().unwrap();
        let Some((_, kept)) = seen.segments.last_key_value() else { return };
        (kept.segment.uri.clone(), kept.segment.map.clone())
    };
    let (list, segment) = (follower.url.as_str(), beside(&follower.url, &newest));
    let types = [
        (list.to_owned(), "application/vnd.apple.mpegurl"),
        (segment.clone(), if follower.way == Way::Ts { "video/mp2t" } else { "video/mp4" }),
    ];
    let maps = map.map(|map| (beside(list, &map), "video/mp4"));
    for (url, wanted) in types.into_iter().chain(maps) {
        let reply = http::get(&url, &[ORIGIN, ("Accept-Encoding", "gzip")]);
        violations.unless(reply.status == 200, "H15", || format!("{url}: {}", reply.status));
        violations.unless(reply.header("content-type") == wanted, "H15", || {
            format!("{url}: {}", reply.header("content-type"))
        });
        let is_list = url == list;
        let zipped =
            (reply.header("content-encoding") == "gzip", reply.header("vary").contains("Accept-Encoding"));
        violations.unless(if is_list { zipped == (true, true) } else { !zipped.0 }, "H16", || {
            format!(
                "{url}: content-encoding {:?}, vary {:?}",
                reply.header("content-encoding"),
                reply.header("vary")
            )
        });
        cors(&reply, &url, violations);
        let caching = reply.header("cache-control");
        let kept = caching.contains("immutable") || caching.contains("max-age=31536000");
        violations.unless(kept != is_list, "H18", || format!("{url}: cache-control {caching:?}"));
    }
    let part = http::get(&segment, &[ORIGIN, ("Range", "bytes=4-7")]);
    violations
        .unless(part.status == 206 && part.body.len() == 4, "H16", || format!("range: {}", part.status));
    cors(&part, "a range", violations);
    let beyond = http::get(&segment, &[ORIGIN, ("Range", "bytes=999999999-")]);
    violations.unless(beyond.status == 416, "H16", || format!("a range beyond the end: {}", beyond.status));
    cors(&beyond, "a range beyond the end", violations);
    let tag = http::get(&segment, &[]).header("etag").to_owned();
    let known = http::get(&segment, &[ORIGIN, ("If-None-Match", &tag)]);
    violations.unless(known.status == 304, "H16", || format!("If-None-Match {tag:?}: {}", known.status));
    cors(&known, "304", violations);

    for path in ["/live/nobody.m3u8", "/live/nobody/ts.m3u8"] {
        let none = http::get(&server.url(path), &[ORIGIN]);
        violations.unless(none.status == 404, "H20", || format!("{path}: {}", none.status));
        cors(&none, path, violations);
        let caching = none.header("cache-control");
        violations.unless(caching.contains("no-store") || caching.contains("no-cache"), "H18", || {
            format!("{path}: {} with cache-control {caching:?}", none.status)
        });
    }
}

fn cors(reply: &Reply, what: &str, violations: &Violations) {
    let allowed = ["*", ORIGIN.1].contains(&reply.header("access-control-allow-origin"));
    violations.unless(allowed, "H17", || format!("{what}: {} without CORS", reply.status));
}

/// What the multivariant list of `way_in` says about pictures of `size` and the segments that `follower` has seen.
pub fn check_multivariant(
    server: &Kaibo,
    way_in: &str,
    size: (u64, u64),
    newest: Option<u64>,
    follower: &Follower,
    violations: &Violations,
) {
    let before = follower.seen.lock().unwrap().playlist.clone();
    let reply = server.get(way_in);
    let behind = parse(&http::get(&follower.url, &[]));
    let listed = |list: &Option<Playlist>, number: u64| {
        list.iter().flat_map(|list| &list.segments).any(|segment| segment.number == number)
    };
    violations.unless(reply.status == 200, "H14", || format!("{way_in}: {}", reply.status));
    let text = reply.text();
    let line = text.lines().find(|line| line.starts_with("#EXT-X-STREAM-INF:")).unwrap_or_default();
    let number = |name: &str| -> f64 {
        let value = line.split([':', ',']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    };
    let said = |what: &str| line.contains(what);
    violations
        .unless(said(&format!("RESOLUTION={}x{}", size.0, size.1)), "H14", || format!("{size:?}: {text}"));
    violations.unless(said("avc1.") && said("mp4a.40.2"), "H14", || format!("CODECS: {text}"));
    violations.unless((29.0..=31.0).contains(&number("FRAME-RATE")), "H14", || format!("FRAME-RATE: {text}"));
    // Peaks are measured over segments of half a target duration at least (RFC 8216 §4.3.4.2).
    let target = before.as_ref().map_or(1, |playlist| playlist.target_duration) * 1_000_000;
    let from = newest.unwrap_or(0);
    let seen = follower.seen.lock().unwrap();
    let peak = seen
        .segments
        .range(from..)
        // Of what is listed; some may have come or gone between the looks.
        .filter(|(number, _)| listed(&before, **number) && listed(&behind, **number))
        .map(|(_, kept)| kept)
        .filter(|kept| kept.segment.duration * 2 >= target)
        .map(|kept| kept.size as f64 * 8e6 / kept.segment.duration as f64)
        .fold(0.0, f64::max);
    violations.unless(number("BANDWIDTH") >= peak, "H14", || format!("a segment has {peak} bit/s: {text}"));
}

fn parse(reply: &Reply) -> Option<Playlist> {
    Checker::default().observe(&reply.text()).ok()
}

/// What blocking reloads may ask for, of a list that is live.
pub fn check_directives(follower: &Follower, violations: &Violations) {
    let Some(list) = parse(&http::get(&follower.url, &[])) else { return };
    let (first, next) = (list.segments[0].number, next_part(&list).0);
    let ask = |query: &str| {
        let begin = Instant::now();
        (http::get(&format!("{}?{query}", follower.url), &[ORIGIN]), begin.elapsed())
    };
    for query in
        ["_HLS_part=0".into(), "_HLS_msn=x".into(), "_HLS_msn=-1".into(), format!("_HLS_msn={}", next + 5)]
    {
        let (reply, took) = ask(&query);
        violations.unless(reply.status == 400 && took < AT_ONCE, "L6", || {
            format!("{query}: {} after {took:?}", reply.status)
        });
        cors(&reply, &query, violations);
    }
    for query in [format!("_HLS_msn={}", first), format!("_HLS_msn={}&_HLS_part=0", next.saturating_sub(1))] {
        let (reply, took) = ask(&query);
        let current = parse(&reply).is_some_and(|now| next_part(&now).0 >= next);
        violations.unless(reply.status == 200 && took < AT_ONCE && current, "L6", || {
            format!("{query}: {} after {took:?}: {}", reply.status, reply.text())
        });
    }
    // Without a part it is the whole segment that is waited for.
    let (reply, took) = ask(&format!("_HLS_msn={next}"));
    let complete = parse(&reply).is_some_and(|now| next_part(&now).0 > next);
    violations.unless(reply.status == 200 && complete, "L6", || {
        format!("segment {next}: {} after {took:?}, {}", reply.status, reply.text())
    });
}

/// After ENDLIST nobody waits.
pub fn check_ended(follower: &Follower, violations: &Violations) {
    let begin = Instant::now();
    let reply = http::get(&format!("{}?_HLS_msn=99999&_HLS_part=3", follower.url), &[]);
    let right =
        reply.status == 200 && reply.text().ends_with("#EXT-X-ENDLIST\n") && begin.elapsed() < AT_ONCE;
    violations.unless(right, "L6", || {
        format!("directives after ENDLIST: {} after {:?}", reply.status, begin.elapsed())
    });
}
