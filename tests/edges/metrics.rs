//! `/metrics`, read as strictly as OpenMetrics 1.0 is written.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    raw,
    support::{Kaibo, clip, flv, push, seconds, server::API_TOKEN},
};

/// Samples by name and labels.
type Samples = BTreeMap<String, f64>;

/// Parses an exposition; every rule that Prometheus insists on is asserted.
fn parse(text: &str) -> Samples {
    let text = text.strip_suffix("# EOF\n").expect("it ends with EOF");
    let mut samples = Samples::new();
    let mut families = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let [keyword, name, value] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line:?}")
            };
            if name != family {
                assert!(families.insert(name.to_owned()), "{name} is in two places");
                (family, kind) = (name.to_owned(), String::new());
            }
            match keyword {
                "HELP" => assert!(value.ends_with('.'), "{line}"),
                "TYPE" => kind = value.to_owned(),
                "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                _ => panic!("{line:?}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect("labels end")),
            None => (series, ""),
        };
        assert!(
            name.starts_with("kaibo_") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        );
        let suffix = name.strip_prefix(&*family).unwrap_or_else(|| panic!("{name} is not of {family}"));
        let expected: &[&str] = match &*kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => panic!("{family} is a {kind:?}"),
        };
        assert!(expected.contains(&suffix), "{name} of a {kind}");
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').unwrap();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{label}");
            assert!(value.len() >= 2 && value.starts_with('"') && value.ends_with('"'), "{label}");
        }
        let value: f64 = value.parse().unwrap();
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert_eq!(samples.insert(series.to_owned(), value), None, "{series} twice");
    }
    samples
}

fn scrape(server: &Kaibo) -> (String, Samples) {
    let reply =
        raw::request(&server.at.api, "GET /metrics", &[&format!("Authorization: Bearer {API_TOKEN}")]);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    (reply.text(), parse(&reply.text()))
}

#[test]
fn metrics_count_what_happens_and_name_nobody() {
    let server = Kaibo::start("");
    let (_, quiet) = scrape(&server);
    assert_eq!(quiet[&format!("kaibo_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    assert_eq!((quiet["kaibo_broadcasts"], quiet["kaibo_publishers"]), (0.0, 0.0));

    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("a-name-of-somebody"));
    server.wait_for_state("a-name-of-somebody", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "a-name-of-somebody");
    viewer.wait_for_time(500);
    server.get("/live/another-name.m3u8");
    let (text, busy) = scrape(&server);
    assert_eq!((busy["kaibo_broadcasts"], busy["kaibo_publishers"]), (1.0, 1.0), "{text}");
    assert_eq!(busy["kaibo_viewers{protocol=\"flv\"}"], 1.0, "{text}");
    assert!(busy["kaibo_ingest_frames_total"] > 15.0 && busy["kaibo_ingest_bytes_total"] > 1000.0, "{text}");
    assert!(busy["kaibo_sent_bytes_total{protocol=\"flv\"}"] > 1000.0, "{text}");
    assert_eq!(busy["kaibo_http_responses_total{status=\"404\"}"], 1.0, "{text}");
    assert_eq!(busy["kaibo_panics_total"], 0.0);
    for secret in
        ["a-name-of-somebody", "another-name", "127.0.0.1", "txSecret", server.push_key(), API_TOKEN]
    {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for (series, value) in quiet.iter().filter(|(series, _)| series.contains("_total")) {
        assert!(busy[series] >= *value, "{series} went back");
    }
}
